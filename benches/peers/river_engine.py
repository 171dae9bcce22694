"""River's side of the comparison: writes the reference streams, and runs River's models over them.

    river_engine.py streams FOLDER [-n 50000] [--seed 42]
    river_engine.py run MODEL FILE [-n RECORDS]
    river_engine.py models

`run` is the prequential loop in memory: predict, update MAE, RMSE and R2, learn. It prints JSON; `rate` is records a
second of the loop alone, and reading the file is no part of it.
"""

import argparse
import csv
import itertools
import json
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
}


def streams(n, seed):
    """The streams by name. Drift comes at the same shares of any length; 50,000 gives the positions of the table."""
    at = lambda *shares: tuple(int(n * share) for share in shares)
    drift = lambda kind, position: synth.FriedmanDrift(
        drift_type=kind, position=position, transition_window=n // 10, seed=seed
    )
    return {
        "friedman": synth.Friedman(seed=seed),
        "friedman_lea": drift("lea", at(0.25, 0.5, 0.75)),
        "friedman_gra": drift("gra", at(0.3, 0.6)),
        "friedman_gsg": drift("gsg", at(0.3, 0.6)),
        "planes2d": synth.Planes2D(seed=seed),
        "trump_approval": datasets.TrumpApproval(),
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
        prediction = model.predict_one(x)
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
    for command in (writing, running):
        command.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    if arguments.command == "models":
        print("\n".join(MODELS))
    elif arguments.command == "streams":
        write(arguments.folder, arguments.n, arguments.seed)
    else:
        print(json.dumps(run(arguments.model, arguments.file, arguments.n, arguments.seed)))


if __name__ == "__main__":
    main()
