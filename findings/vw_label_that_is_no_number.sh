#!/usr/bin/env bash
# Vowpal Wabbit 9.11: a label that is no number is learned as 0, and the run goes on. Expected was an error, or an example without
# a label, which is what an empty one is.
#
# Seen: after a hundred examples with the label 3, one with the label NA, nan or - takes the prediction from 3.00 to 2.68, the same as
# one with the label 0; an empty label leaves it.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check vowpalwabbit==9.11.2
"$folder/venv/bin/python" - <<'PYTHON'
from vowpalwabbit import Workspace


def after(label: str) -> float:
    model = Workspace("--quiet")
    for _ in range(100):
        model.learn("3 | x:1")
    model.learn(f"{label} | x:1")
    prediction = model.predict("| x:1")
    print(f"label {label!r}: the prediction is {prediction:.4f}")
    return prediction


zero = after("0")
assert zero < 2.9 and after("") > 2.99
for label in ("NA", "nan", "-"):
    assert after(label) == zero, f"{label} is taken otherwise now"
PYTHON
