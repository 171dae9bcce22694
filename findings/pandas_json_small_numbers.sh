#!/usr/bin/env bash
# pandas 3.1.1: DataFrame.to_json writes numbers to ten decimals, so a small one loses its digits or becomes zero; below 1e-15
# it is written in full again. Expected was the shortest text that reads back as the number, as json.dumps writes it.
#
# Seen: 1.5e-10 -> 0.0000000002, 4e-11 -> 0.0, 1e-15 -> 0.0, 9.9e-16 -> 9.9e-16. double_precision=15 moves the border, not the fault.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1
"$folder/venv/bin/python" - <<'PYTHON'
import json

import pandas

wanted = {1.5e-10: 2e-10, 4e-11: 0.0, 1e-15: 0.0, 9.9e-16: 9.9e-16}
for number, read in wanted.items():
    text = pandas.DataFrame({"x": [number]}).to_json(orient="records")
    print(f"{number!r} is written as {text}")
    assert json.loads(text) == [{"x": read}], "pandas writes it otherwise now"
    assert json.loads(json.dumps(number)) == number
assert json.loads(pandas.Series([1e-15]).to_json(orient="values", double_precision=15)) == [1e-15]
assert json.loads(pandas.Series([1.25e-15]).to_json(orient="values", double_precision=15)) == [1e-15]
PYTHON
