"""River on the streams of docs/recipes.md, with the features that their settings make, and targets that come as late.

    recipes.py demand|parking FILE.csv

Prints RMSE and MAE over all rows with a target, from the first one on, as `thalweg replay FILE.csv --label-delay …` does.
What a River user would write: lags and windows in deques, a scaler in front of what needs one, a model for each car park in a dict.
"""

import collections
import csv
import datetime
import math
import sys
import zoneinfo

from river import compose, forest, linear_model, preprocessing, stream, tree


def turns(name, share):
    return {f"{name} sin": math.sin(2 * math.pi * share), f"{name} cos": math.cos(2 * math.pi * share)}


def calendar(at, zone, parts):
    local = at.astimezone(zone)
    hour = local.hour + local.minute / 60 + local.second / 3600
    all_of = {
        "hour": turns("hour", hour / 24),
        "weekday": turns("weekday", (local.weekday() + hour / 24) / 7),
        "day_of_year": turns("day", (local.timetuple().tm_yday - 1 + hour / 24) / 366),
        "weekend": {"weekend": float(local.weekday() >= 5)},
    }
    return {name: value for part in parts for name, value in all_of[part].items()}


def slope(values):
    n = len(values)
    mean_i, mean = (n - 1) / 2, sum(values) / n
    square = sum((i - mean_i) ** 2 for i in range(n))
    return sum((i - mean_i) * (value - mean) for i, value in enumerate(values)) / square if square else 0.0


def demand(rows):
    zone, past = zoneinfo.ZoneInfo("Australia/Melbourne"), collections.deque(maxlen=334)
    for row in rows:
        at = datetime.datetime.fromisoformat(row["at"]).replace(tzinfo=zone)
        x = {name: float(row[name]) for name in ("Demand", "WorkDay", "Temperature")}
        x |= calendar(at, zone, ["hour", "weekday", "day_of_year", "weekend"])
        x |= {f"lag {k}": past[-k] for k in (1, 2, 46, 48, 334) if len(past) >= k}
        for hours in (3, 24):
            window = list(past)[-2 * hours :]
            if window:
                x |= {f"mean {hours}": sum(window) / len(window), f"slope {hours}": slope(window)}
        yield at.astimezone(datetime.timezone.utc).replace(tzinfo=None), x, row["in_an_hour"], None
        past.append(x["Demand"])


def parking(rows):
    zone = zoneinfo.ZoneInfo("Europe/London")
    pasts = collections.defaultdict(lambda: collections.deque(maxlen=17))
    for row in rows:
        at = datetime.datetime.fromisoformat(row["at"]).replace(tzinfo=zone)
        past = pasts[row["car_park"]]
        x = {name: float(row[name]) for name in ("Capacity", "Occupancy")} | calendar(at, zone, ["hour", "weekday"])
        x |= {f"lag {k}": past[-k] for k in (1, 2, 17) if len(past) >= k}
        x["difference"] = x["Occupancy"] - past[-1] if past else 0.0
        yield at.astimezone(datetime.timezone.utc).replace(tzinfo=None), x, row["next"], row["car_park"]
        past.append(x["Occupancy"])


def complete(rows, names):
    """Unknown is 0: River's linear models and forests know no other."""
    for at, x, y, key in rows:
        yield at, {name: x.get(name, 0.0) for name in names}, y, key


class PerKey:
    """A model for each key."""

    def __init__(self, make):
        self.models = collections.defaultdict(make)

    def predict_one(self, x):
        return self.models[x["key"]].predict_one({name: value for name, value in x.items() if name != "key"})

    def learn_one(self, x, y):
        self.models[x["key"]].learn_one({name: value for name, value in x.items() if name != "key"}, y)


def scaled(model):
    return preprocessing.StandardScaler() | model


def one_hot(model):
    """The key as a category, the numbers scaled."""
    numbers = compose.SelectType(float) | preprocessing.StandardScaler()
    return (numbers + (compose.Select("key") | preprocessing.OneHotEncoder())) | model


def without_key(model):
    return compose.Discard("key") | model


SETS = {
    "demand": (
        demand,
        datetime.timedelta(hours=1),
        {
            "SS+LR": lambda: scaled(linear_model.LinearRegression()),
            "SS+HTR": lambda: scaled(tree.HoeffdingTreeRegressor()),
            "ARF10": lambda: forest.ARFRegressor(seed=42),
        },
    ),
    "parking": (
        parking,
        datetime.timedelta(minutes=30),
        {
            "SS+LR, key one-hot": lambda: one_hot(linear_model.LinearRegression()),
            "SS+HTR": lambda: without_key(scaled(tree.HoeffdingTreeRegressor())),
            "ARF10": lambda: without_key(forest.ARFRegressor(seed=42)),
            "SS+LR per key": lambda: PerKey(lambda: scaled(linear_model.LinearRegression())),
            "SS+HTR per key": lambda: PerKey(lambda: scaled(tree.HoeffdingTreeRegressor())),
        },
    ),
}


def main():
    features, delay, models = SETS[sys.argv[1]]
    with open(sys.argv[2], newline="") as file:
        rows = list(features(csv.DictReader(file)))
    names = sorted({name for _, x, _, _ in rows for name in x})
    samples = []
    for at, x, y, key in complete(rows, names):
        if y:
            samples.append(({**x, "at": at} | ({"key": key} if key else {}), float(y)))
    for name, make in models.items():
        model, asked, square, absolute = make(), {}, 0.0, 0.0
        for i, x, y, *_ in stream.simulate_qa(samples, moment="at", delay=delay):
            x = {field: value for field, value in x.items() if field != "at"}
            if y is None:
                asked[i] = model.predict_one(x)
            else:
                error = asked.pop(i) - y
                square, absolute = square + error**2, absolute + abs(error)
                model.learn_one(x, y)
        print(f"{sys.argv[1]} {name}: {math.sqrt(square / len(samples)):.4f} / {absolute / len(samples):.4f}", flush=True)


main()
