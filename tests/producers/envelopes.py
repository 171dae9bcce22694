"""Writes the rows as Python's libraries wrap them: one file each in the folder named by the argument."""

import io
import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import fastavro
from bson import ObjectId, json_util
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from row import rows

folder = Path(sys.argv[1])


def lines(name, written):
    (folder / f"{name}.jsonl").write_text("".join(line + "\n" for line in written))


def event(k, of, **more):
    about = {"id": str(k), "source": "/rows", "type": "row", "datacontenttype": "application/json"}
    known = {name: value for name, value in of.items() if value is not None and abs(value) < 1e300}
    return CloudEvent(attributes=about | more, data=known)


lines("cloudevents", [JSONFormat().write(event(k, of)).decode() for k, of in enumerate(rows)])

# As records of Kafka, in both modes; what a header holds is text.
begin = datetime(2026, 3, 29, 1, 30, tzinfo=timezone.utc)
for mode, message in (("binary", kafka.to_binary), ("structured", kafka.to_structured)):
    records = []
    for k, of in enumerate(rows):
        about = {"time": begin + timedelta(seconds=k), "subject": f"d{k % 7}", "type": ("hot", "cold")[k % 2], "level": k % 5}
        record = message(event(k, of, **about), JSONFormat())
        headers = {name: value.decode() for name, value in record.headers.items()}
        records.append(json.dumps({"headers": headers, "value": record.value.decode()}))
    (folder / "events").mkdir(exist_ok=True)
    (folder / "events" / mode).write_text("\n".join(records))

for mode in ("CANONICAL", "RELAXED"):
    options = getattr(json_util, f"{mode}_JSON_OPTIONS")
    documents = [{"_id": ObjectId(f"{k:024x}"), **of} for k, of in enumerate(rows)]
    lines(f"mongodb_{mode.lower()}", [json_util.dumps(document, json_options=options) for document in documents])

schema = {
    "type": "record",
    "name": "Row",
    "fields": [
        {"name": "i", "type": "double"},
        {"name": "m", "type": ["null", "double"]},
        {"name": "n", "type": ["double", "null"]},
        {"name": "x", "type": "float"},
        {"name": "y", "type": "double"},
    ],
}
out = io.StringIO()
fastavro.json_writer(out, fastavro.parse_schema(schema), rows)
lines("avro_json_fastavro", [line for line in out.getvalue().splitlines() if line])

file = descriptor_pb2.FileDescriptorProto(name="row.proto", package="rows", syntax="proto3")
message = file.message_type.add(name="Row")
for number, name in enumerate("imnxy", 1):
    field = message.field.add(name=name, number=number, type=1, label=1, proto3_optional=True)
    field.oneof_index = len(message.oneof_decl)
    message.oneof_decl.add(name=f"_{name}")
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
Row = message_factory.GetMessageClass(pool.FindMessageTypeByName("rows.Row"))
known = [{name: value for name, value in of.items() if value is not None} for of in rows]
lines("protobuf_json", [json_format.MessageToJson(Row(**of), indent=None) for of in known])
