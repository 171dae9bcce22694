#!/usr/bin/env bash
# Vowpal Wabbit 9.11: a feature's name is hashed, but one of digits only is taken for the number of its weight. So names that differ
# in leading zeros share a weight. Expected were two features, as there are with a letter in front.
#
# Seen: learning 1 for 007 and 5 for 7 gives about 3 for both; for a007 and a7 it gives 1 and 5. --hash all tells them apart.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check vowpalwabbit==9.11.2
"$folder/venv/bin/python" - <<'PYTHON'
from vowpalwabbit import Workspace


def learned(options: str, one: str, other: str) -> tuple[float, float]:
    model = Workspace(f"--quiet {options}")
    for _ in range(200):
        model.learn(f"1 | {one}:1")
        model.learn(f"5 | {other}:1")
    both = model.predict(f"| {one}:1"), model.predict(f"| {other}:1")
    print(f"{options or 'defaults'}: {one} -> {both[0]:.3f}, {other} -> {both[1]:.3f}")
    return both


one, other = learned("", "007", "7")
assert one == other and 2.5 < one < 3.5, "the names are told apart now"
for options, names in (("", ("a007", "a7")), ("--hash all", ("007", "7"))):
    one, other = learned(options, *names)
    assert abs(one - 1) < 0.1 and abs(other - 5) < 0.1
PYTHON
