#!/usr/bin/env bash
# pyarrow 26.0.1: pyarrow.json.read_json takes text that looks like a time for one. A zone is applied and then forgotten, so that
# a time in UTC and one that names no zone have the same type; one with a fraction of a second stays text. Expected were times in
# UTC where a zone is given, of whatever precision.
#
# Seen: 10:00+02:00 -> 08:00 and 10:00Z -> 10:00, both timestamp[s] without a zone; 10:00:00.5 -> string.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import datetime
import io

import pyarrow.json


def read(text: str):
    table = pyarrow.json.read_json(io.BytesIO(b'{"t":"%s"}\n' % text.encode()))
    kind, value = table.schema.field("t").type, table.to_pylist()[0]["t"]
    print(f"{text} -> {kind}: {value}")
    return str(kind), value


assert read("2013-01-01 10:00:00") == ("timestamp[s]", datetime.datetime(2013, 1, 1, 10))
assert read("2013-01-01T10:00:00Z") == ("timestamp[s]", datetime.datetime(2013, 1, 1, 10))
assert read("2013-01-01 10:00:00+02:00") == ("timestamp[s]", datetime.datetime(2013, 1, 1, 8))
assert read("2013-01-01 10:00:00.5")[0] == "string"
PYTHON
