#!/usr/bin/env bash
# scikit-learn 1.9.1: the scalers leave missing values out of their statistics. Row by row that does not hold: a row that is the
# whole batch and has no value makes the mean, the range and all that comes NaN for good. Expected was that the row changes nothing, as
# it does amid others of its batch.
#
# Seen for StandardScaler, MinMaxScaler and MaxAbsScaler, whether that row is the first or a later one, with a thousand good ones after.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.9.1
"$folder/venv/bin/python" - <<'PYTHON'
import warnings

import numpy
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler

warnings.simplefilter("ignore")
missing, known = [[numpy.nan]], [[1.0]]
for kind in (StandardScaler, MinMaxScaler, MaxAbsScaler):
    for begin in ([missing], [known, missing], [[*known, *missing]]):
        scaler = kind()
        for batch in begin:
            scaler.partial_fit(batch)
        for i in range(1000):
            scaler.partial_fit([[float(i % 10)]])
        scaled = float(scaler.transform([[5.0]])[0, 0])
        print(f"{kind.__name__} after the batches {begin}: 5.0 -> {scaled}")
        alone = missing in begin
        # MinMaxScaler and MaxAbsScaler recover nothing either, since the least of a number and NaN is NaN.
        assert numpy.isnan(scaled) == alone, "the row counts otherwise now"
PYTHON
