#!/usr/bin/env bash
# polars 2.1.0: read_ndjson looks at the first 100 rows for the names of the columns. A field that first comes later is left out
# without a word, while a number that first has a fraction later is an error. Expected was an error for both, or neither.
#
# Seen: of 150 rows with x and then one with x and z, only x is read; of 150 whole numbers and then 1.5, a ComputeError.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import io

import polars

early = [b'{"x":1}'] * 150
late_field = polars.read_ndjson(io.BytesIO(b"\n".join([*early, b'{"x":1,"z":2}'])))
print("columns of the table with a late field:", late_field.columns)
assert late_field.columns == ["x"] and late_field.height == 151, "a late field is read now"
try:
    polars.read_ndjson(io.BytesIO(b"\n".join([*early, b'{"x":1.5}'])))
except polars.exceptions.ComputeError as error:
    print("a late fraction:", error)
else:
    raise AssertionError("a late fraction is read now")
PYTHON
