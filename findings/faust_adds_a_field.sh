#!/usr/bin/env bash
# faust-streaming 0.15.3: a Record that is written as JSON carries a field of its own, __faust, that names the Python class. Expected
# were the declared fields. A class that is moved to another module changes the bytes of every record.
#
# Seen: {"x":1.5,"__faust":{"ns":"<stdin>.Sample"}}
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check faust-streaming==0.15.3 setuptools
"$folder/venv/bin/python" - <<'PYTHON'
import json

import faust


class Sample(faust.Record, serializer="json"):
    x: float


written = json.loads(Sample(1.5).dumps())
print(written)
assert written == {"x": 1.5, "__faust": {"ns": "<stdin>.Sample"}}, "it is written otherwise now"
PYTHON
