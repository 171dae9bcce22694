"""River's side of the comparison: writes the reference streams, and runs River's models over them.

    river_engine.py streams FOLDER [-n 50000] [--seed 42]
    river_engine.py run MODEL FILE [-n RECORDS]
    river_engine.py floor STREAM FILE [-n 50000]
    river_engine.py models

`run` is the prequential loop in memory: predict, update MAE, RMSE and R2, learn. It prints JSON; `rate` is records a
second of the loop alone, and reading the file is no part of it. `floor` is the error of the true conditional mean of a
synthetic stream that `streams` wrote with the same `-n`: no model can be better, but by chance.
"""

import argparse
import csv
import functools
import itertools
import json
import math
import time
from pathlib import Path

from river import datasets, forest, linear_model, metrics, preprocessing, rules, tree
from river.datasets import synth


def scaled(model):
    return preprocessing.StandardScaler() | model


# River's defaults; what is random has the seed.
MODELS = {
    "SS+LR": lambda seed: scaled(linear_model.LinearRegression()),
    "HTR": lambda seed: tree.HoeffdingTreeRegressor(),
    "SS+HTR": lambda seed: scaled(tree.HoeffdingTreeRegressor()),
    "HTR mean leaf": lambda seed: tree.HoeffdingTreeRegressor(leaf_prediction="mean"),
    "HATR": lambda seed: tree.HoeffdingAdaptiveTreeRegressor(seed=seed),
    "ARF10": lambda seed: forest.ARFRegressor(n_models=10, seed=seed),
    "SS+AMRules": lambda seed: scaled(rules.AMRules()),
    "AMF10": lambda seed: forest.AMFRegressor(n_estimators=10, seed=seed),
}


def timed(stream, features):
    """A stream of real records with numeric features, by `features` of a record's place and its features."""
    return ((features(i, x), y) for i, (x, y) in enumerate(stream))


def drifting(n, kind, seed):
    """Friedman's function with drift at the same shares of any length; 50,000 gives the positions of the tables."""
    shares = (0.25, 0.5, 0.75) if kind == "lea" else (0.3, 0.6)
    position = tuple(int(n * share) for share in shares)
    return synth.FriedmanDrift(drift_type=kind, position=position, transition_window=n // 10, seed=seed)


def streams(n, seed):
    """The streams by name."""
    return {
        "friedman": synth.Friedman(seed=seed),
        "friedman_lea": drifting(n, "lea", seed),
        "friedman_gra": drifting(n, "gra", seed),
        "friedman_gsg": drifting(n, "gsg", seed),
        "planes2d": synth.Planes2D(seed=seed),
        "trump_approval": datasets.TrumpApproval(),
        "chick_weights": timed(datasets.ChickWeights(), lambda _, x: {"time": x["time"], "diet": x["diet"]}),
        "airline_passengers": timed(datasets.AirlinePassengers(), lambda i, x: {"t": i, "month": x["month"].month}),
        "water_flow": timed(
            datasets.WaterFlow(), lambda i, x: {"t": i, "hour": x["Time"].hour, "weekday": x["Time"].weekday()}
        ),
    }


def write(folder, n, seed):
    folder.mkdir(parents=True, exist_ok=True)
    for name, stream in streams(n, seed).items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            out = csv.writer(file)
            for i, (x, y) in enumerate(itertools.islice(stream, n)):
                if i == 0:
                    out.writerow([f"x{key}" if isinstance(key, int) else key for key in x] + ["y"])
                # `repr` is the shortest text that reads back to the same bits.
                out.writerow([repr(float(value)) for value in (*x.values(), y)])


def read(path, n):
    with path.open(newline="") as file:
        rows = csv.reader(file)
        names = next(rows)[:-1]
        for row in itertools.islice(rows, n):
            yield dict(zip(names, map(float, row))), float(row[-1])


def run(name, path, n, seed):
    samples = list(read(path, n))
    model = MODELS[name](seed)
    mae, rmse, r2 = metrics.MAE(), metrics.RMSE(), metrics.R2()
    began = time.perf_counter()
    for x, y in samples:
        # A forest without a sample predicts None; everyone's first prediction is 0.
        prediction = model.predict_one(x) or 0.0
        mae.update(y, prediction)
        rmse.update(y, prediction)
        r2.update(y, prediction)
        model.learn_one(x, y)
    seconds = time.perf_counter() - began
    return {
        "model": name,
        "records": len(samples),
        "rmse": rmse.get(),
        "mae": mae.get(),
        "r2": r2.get(),
        "rate": len(samples) / seconds,
    }


class Coin:
    """A coin that always falls on the same side, for the mean over both."""

    def __init__(self, side):
        self.side = side

    def getrandbits(self, _):
        return self.side


def conditional_mean(stream, n):
    """Of a synthetic stream of `n` records: the target without its noise, of the features and a record's place."""
    if stream == "planes2d":
        return lambda x, _: 3 + 3 * x[1] + 2 * x[2] + x[3] if x[0] == 1 else -3 + 3 * x[4] + 2 * x[5] + x[6]
    kind = stream.removeprefix("friedman_")
    if kind == "gsg":
        sides = [functools.partial(drifting(n, kind, None)._global_and_slow_gradual_gen, rc=Coin(side)) for side in (0, 1)]
        return lambda x, i: (sides[0](x, i) + sides[1](x, i)) / 2
    # Without drift it is what comes before the first change.
    return drifting(n, kind, None)._y_maker if kind in ("lea", "gra") else drifting(10 * n, "gra", None)._y_maker


def floor(stream, path, n):
    mean = conditional_mean(stream, n)
    errors = [y - mean(list(x.values()), i) for i, (x, y) in enumerate(read(path, n))]
    square, absolute = sum(error * error for error in errors), sum(map(abs, errors))
    return {"rmse": math.sqrt(square / len(errors)), "mae": absolute / len(errors)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("models", help="the names that `run` takes")
    writing = commands.add_parser("streams", help="writes the reference streams as CSV")
    writing.add_argument("folder", type=Path)
    writing.add_argument("-n", type=int, default=50_000)
    running = commands.add_parser("run", help="runs a model over a CSV whose last column is the target")
    running.add_argument("model", choices=MODELS)
    running.add_argument("file", type=Path)
    running.add_argument("-n", type=int, default=None)
    bounding = commands.add_parser("floor", help="the error of a synthetic stream's conditional mean")
    bounding.add_argument("stream")
    bounding.add_argument("file", type=Path)
    bounding.add_argument("-n", type=int, default=50_000)
    for command in (writing, running):
        command.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    if arguments.command == "models":
        print("\n".join(MODELS))
    elif arguments.command == "streams":
        write(arguments.folder, arguments.n, arguments.seed)
    elif arguments.command == "floor":
        print(json.dumps(floor(arguments.stream, arguments.file, arguments.n)))
    else:
        print(json.dumps(run(arguments.model, arguments.file, arguments.n, arguments.seed)))


if __name__ == "__main__":
    main()
