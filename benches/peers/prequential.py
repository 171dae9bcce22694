"""What the pipelines of River have in common: the models, what happens to one record, and what is reported at the end.

Predict, score, learn, in the daemon's order and with its names, so that its predictions and these can be compared. What
the daemon does beyond that is left out, to the peers' advantage: no dead letters (a record that is no good ends the
run), no guard, no checkpoints.
"""

import argparse
import contextlib
import os
import time
from datetime import datetime
from pathlib import Path

# Not the standard library's json: orjson is what people reach for where JSON is hot, reads a sample several times as
# fast, and spells floats as the shortest text that reads back to the same bits, as the daemon does.
import orjson
from river import dummy, linear_model, metrics, preprocessing, stats, tree, utils

# The daemon's names; River's defaults.
MODELS = {
    "mean": lambda: dummy.StatisticRegressor(stats.Mean()),
    "linear": lambda: preprocessing.StandardScaler() | linear_model.LinearRegression(),
    "hoeffding_tree": lambda: preprocessing.StandardScaler() | tree.HoeffdingTreeRegressor(),
}
RACES = {"linear": ("mean", "linear"), "tree": ("mean", "linear", "hoeffding_tree")}
WINDOW = 1000
ELECTION_EVERY = 100


def flat(value, key, timestamp):
    """Features, target, key and time (milliseconds since 1970) of a record that is an object of numbers."""
    x = orjson.loads(value)
    return x, x.pop("y"), key, timestamp


def telemetry(value, key, timestamp):
    """The same of a device's readings, whose key and time are in them."""
    record = orjson.loads(value)
    device, x = record["device"], record["readings"]
    x["ok"] = device["ok"]
    return x, record["y"], device["id"], int(datetime.fromisoformat(record["time"]).timestamp() * 1000)


# How records are read, by their shape.
SHAPES = {"flat": flat, "telemetry": telemetry}


class Race:
    """Models that learn from one partition and are scored on each record before they learn from it."""

    def __init__(self, names, topic, partition):
        self.topic, self.partition = topic, partition
        self.models = {name: MODELS[name]() for name in names}
        rolling = lambda metric: utils.Rolling(metric, window_size=WINDOW)
        self.rmse = {name: metrics.RMSE() for name in names}
        self.rolling_rmse = {name: rolling(metrics.RMSE) for name in names}
        self.scores = {
            name: (self.rmse[name], self.rolling_rmse[name], metrics.MAE(), rolling(metrics.MAE)) for name in names
        }
        self.champion = names[0]
        self.version = 0

    def step(self, offset, timestamp, x, y):
        """The prediction for one sample, as JSON (bytes). `timestamp`: milliseconds since 1970; `x`: features by name."""
        predictions = {name: model.predict_one(x) for name, model in self.models.items()}
        published = orjson.dumps(
            {
                "source": {"topic": self.topic, "partition": self.partition, "offset": offset},
                "timestamp": timestamp,
                "target": y,
                "prediction": predictions[self.champion],
                "model": self.champion,
                "version": self.version,
                "predictions": predictions,
            }
        )
        for name, prediction in predictions.items():
            for score in self.scores[name]:
                score.update(y, prediction)
        for model in self.models.values():
            model.learn_one(x, y)
        self.version += 1
        if self.version % ELECTION_EVERY == 0:
            self.elect()
        return published

    def elect(self):
        """The lowest rolling RMSE wins; among equals the present champion, then the first."""
        best = min(self.models, key=lambda name: self.rolling_rmse[name].get())
        if self.rolling_rmse[best].get() < self.rolling_rmse[self.champion].get():
            self.champion = best


def options(description, shapes=("flat",)):
    """The command line of a peer that reads these shapes; `--records` or `--live` says when it ends."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", default="127.0.0.1:19092", metavar="HOST:PORT")
    parser.add_argument("--samples", default="samples", metavar="TOPIC", help="read from its beginning")
    parser.add_argument("--partition", type=int, default=0)
    parser.add_argument("--predictions", default="predictions", metavar="TOPIC", help="has to exist")
    parser.add_argument("--models", choices=RACES, default="linear")
    parser.add_argument("--shape", choices=shapes, default="flat", help="of the samples")
    end = parser.add_mutually_exclusive_group(required=True)
    end.add_argument("--records", type=int, metavar="N", help="works off a backlog: ends after N records, 1 or more")
    end.add_argument("--live", action="store_true", help="low latency: ends at SIGTERM")
    arguments = parser.parse_args()
    if arguments.records is not None and arguments.records < 1:
        parser.error("--records has to be 1 or more")
    return arguments


class Meter:
    """Time, and the CPU and memory of this process and all that it started."""

    def __init__(self):
        self.began = self.ended = self.first = None

    def begin(self):
        """The first record is here."""
        if self.began is None:
            self.began = time.perf_counter(), cpu_seconds()

    def acknowledged(self):
        """A prediction has been acknowledged."""
        if self.first is None:
            started = int(stat(os.getpid())[STARTED]) / TICKS
            self.first = time.clock_gettime(time.CLOCK_BOOTTIME) - started

    def end(self):
        """Every prediction has been acknowledged."""
        self.ended = time.perf_counter(), cpu_seconds()
        self.began = self.began or self.ended

    def report(self, race):
        """The line of JSON. No process may be about to start another: until it has, it would be counted twice."""
        line = {
            "records": race.version,
            "seconds": self.ended[0] - self.began[0],
            "cpu_seconds": self.ended[1] - self.began[1],
            "start_cpu_seconds": self.began[1],
            "resident_kib": sum(map(peak_kib, processes())),
            "first_prediction_seconds": self.first,
            "rmse": {name: rmse.get() for name, rmse in race.rmse.items()},
        }
        return orjson.dumps(line).decode()


TICKS = os.sysconf("SC_CLK_TCK")
# Places in what `stat` returns, whose first is field 3 of proc(5). Parent's pid; user and system time, the process's
# own and that of its children which have ended; start, since boot.
PARENT, CPU, STARTED = 1, slice(11, 15), 19


def stat(pid):
    # The command, field 2, may hold spaces and brackets.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def processes():
    """This process and all below it: what `stat` says, by pid."""
    every = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # It has ended meanwhile.
            every[int(folder.name)] = stat(folder.name)
    found = [os.getpid()]
    for parent in found:
        found.extend(pid for pid, fields in every.items() if int(fields[PARENT]) == parent)
    return {pid: every[pid] for pid in found}


def cpu_seconds():
    return sum(int(ticks) for fields in processes().values() for ticks in fields[CPU]) / TICKS


def peak_kib(pid):
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0  # It has ended.
