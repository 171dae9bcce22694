#!/usr/bin/env bash
# protobuf 7.36.2 (Python): MessageToJson with always_print_fields_with_no_presence=True prints fields that are 0 or empty
# after all others, so the order of the names in a record depends on its values. Expected was the order of the fields in the
# message, which is what is printed where all are set. A reader that takes the first line's order for a header, or counts on
# one layout per topic to be fast, sees a new layout for every set of zeros.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check protobuf==7.36.2
"$folder/venv/bin/python" - <<'PYTHON'
import json

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

file = descriptor_pb2.FileDescriptorProto(name="row.proto", package="p", syntax="proto3")
message = file.message_type.add(name="Row")
for number, name in enumerate(["a", "b", "c", "d"], 1):
    kind = descriptor_pb2.FieldDescriptorProto
    message.field.add(name=name, number=number, type=kind.TYPE_DOUBLE, label=kind.LABEL_OPTIONAL)
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
Row = message_factory.GetMessageClass(pool.FindMessageTypeByName("p.Row"))


def order(**values):
    text = json_format.MessageToJson(Row(**values), indent=None, always_print_fields_with_no_presence=True)
    print(text)
    return "".join(json.loads(text))


assert order(a=1, b=2, c=3, d=4) == "abcd"
assert order(a=1, b=0, c=3, d=4) == "acdb", "in the message's order now"
assert order(a=0, b=2, c=0, d=4) == "bdac", "in the message's order now"
PYTHON
