#!/usr/bin/env bash
# River 0.26.1: utils.Rolling takes an old value back out by subtracting what it had added. After large values have left the
# window, what was rounded off stays in it, so small ones are scored wrongly for good. Expected was the metric of the window's
# values, or one near it.
#
# Seen, ten values after a thousand of up to 1e9: the RMSE of perfect predictions is a complex number of about 17j, the variance of
# ten times 3.0 is -427, and R2 exceeds 1.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check river==0.26.1
"$folder/venv/bin/python" - <<'PYTHON'
import random

from river import metrics, stats, utils

chance = random.Random(1)
rmse = utils.Rolling(metrics.RMSE, window_size=10)
variance = utils.Rolling(stats.Var, window_size=10)
r2 = utils.Rolling(metrics.R2, window_size=10)
for _ in range(1000):
    rmse.update(0, 1e9 * chance.random())
for _ in range(1000):
    variance.update(1e9 * chance.random())
for _ in range(1000):
    r2.update(1e9 * chance.random(), 1e9 * chance.random())
for i in range(100):
    rmse.update(0.0, 0.0)
    variance.update(3.0)
    r2.update(3.0 + i % 2, 3.0 + i % 2)
print(f"RMSE {rmse.get()}, variance {variance.get()}, R2 {r2.get()}; right would be 0, 0 and 1")
assert isinstance(rmse.get(), complex) and rmse.get().imag > 1, "the RMSE is otherwise now"
assert variance.get() < -1, "the variance is otherwise now"
assert r2.get() > 1.1, "R2 is otherwise now"
PYTHON
