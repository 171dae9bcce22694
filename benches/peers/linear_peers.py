"""Linear learners of River, Vowpal Wabbit and scikit-learn, and River's tree, over one of real_streams.py's streams.

    linear_peers.py FOLDER NAME FROM       prints {"learner": RMSE from record FROM on, ...}

Each predicts a record before it learns from it, with its defaults. They get numbers alone: categories one-hot (of over 64 in
all, the mean of the targets so far), gaps as the mean of the values so far, and both scaled by River's StandardScaler. scikit-
learn's and Vowpal Wabbit's values are cut off at ten standard deviations, and Vowpal Wabbit's targets are divided by the mean
size of the first 200, without which both do worse."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import vowpalwabbit
from river import linear_model, optim, preprocessing, tree
from sklearn.linear_model import SGDRegressor

RIVER = {
    "SGD": optim.SGD(0.01),
    "Adam": optim.Adam(),
    "AdaGrad": optim.AdaGrad(),
    "RMSProp": optim.RMSProp(),
    "AMSGrad": optim.AMSGrad(),
    "AdaDelta": optim.AdaDelta(),
    "FTRL": optim.FTRLProximal(),
}


def load(folder, name):
    about = json.loads((folder / "index.json").read_text())[name]
    rows = [json.loads(line) for line in open(folder / f"{name}.jsonl")]
    y = np.array([row.pop(about["target"]) for row in rows], float)
    names = list(dict.fromkeys(key for row in rows for key in row))
    nominal = [key for key in about["nominal"] if key in names]
    # Text that nobody called a category is no feature.
    numeric = [key for key in names if key not in nominal and not any(isinstance(row.get(key), str) for row in rows)]
    many = sum(len({row.get(key) for row in rows}) for key in nominal) > 64
    columns = [filled([row.get(key) for row in rows]) for key in numeric]
    for key in nominal:
        values = [row.get(key) for row in rows]
        if many:
            columns.append(mean_targets(values, y))
        else:
            columns += [np.array([value == category for value in values], float) for category in sorted(set(values), key=str)]
    return np.column_stack(columns), y


def filled(values):
    mean, n, out = 0.0, 0, []
    for value in values:
        if value is not None:
            n += 1
            mean += (value - mean) / n
        out.append(mean if value is None else float(value))
    return np.array(out)


def mean_targets(values, y, smoothing=10):
    sums, mean, out = {}, 0.0, []
    for i, (value, target) in enumerate(zip(values, y)):
        total, n = sums.get(value, (0.0, 0))
        out.append((total + smoothing * mean) / (n + smoothing))
        sums[value] = (total + target, n + 1)
        mean += (target - mean) / (i + 1)
    return np.array(out)


def river(model, rows, y):
    said = np.zeros(len(y))
    for i, (x, target) in enumerate(zip(rows, y)):
        said[i] = model.predict_one(x)
        model.learn_one(x, target)
    return said


def sklearn(z, y):
    model, said = SGDRegressor(), np.zeros(len(y))
    for i in range(len(y)):
        if i:
            said[i] = z[i] @ model.coef_ + model.intercept_[0]
        model.partial_fit(z[i : i + 1], y[i : i + 1])
    return said


def wabbit(z, y):
    size = max(1e-12, np.abs(y[:200]).mean())
    model, said = vowpalwabbit.Workspace("--quiet"), np.zeros(len(y))
    for i in range(len(y)):
        features = " ".join(f"f{j}:{value:.6g}" for j, value in enumerate(z[i]) if value)
        said[i] = model.predict(f"|a {features}") * size
        model.learn(f"{y[i] / size:.9g} |a {features}")
    model.finish()
    return said


def main():
    folder, name, start = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    x, y = load(folder, name)
    rows = [dict(enumerate(row)) for row in x.tolist()]
    scaler, z = preprocessing.StandardScaler(), np.zeros_like(x)
    for i, row in enumerate(rows):
        scaler.learn_one(row)
        z[i] = list(scaler.transform_one(row).values())
    z = np.clip(z, -10, 10)
    said = {"VW": wabbit(z, y), "scikit-learn SGD": sklearn(z, y)}
    for optimizer, of in RIVER.items():
        model = preprocessing.StandardScaler() | linear_model.LinearRegression(optimizer=of.clone())
        said[f"River {optimizer}"] = river(model, rows, y)
    said["River SS+HTR"] = river(preprocessing.StandardScaler() | tree.HoeffdingTreeRegressor(), rows, y)
    with np.errstate(over="ignore", invalid="ignore"):
        errors = {key: math.sqrt(np.mean((value[start:] - y[start:]) ** 2)) for key, value in said.items()}
    print(json.dumps({key: error if math.isfinite(error) else 1e300 for key, error in errors.items()}))


if __name__ == "__main__":
    main()
