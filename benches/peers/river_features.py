"""River's side of `benches/features_table`: nanoseconds a record for features of the past by key, and of time.

    river_features.py [RECORDS]

Each set does what a River user would write for it; the loop is predict-free: `transform_one`, then `learn_one`.
"""

import collections
import datetime
import json
import math
import sys
import time
import zoneinfo

from river import feature_extraction, stats, utils

RECORDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
BEGIN = datetime.datetime(2023, 11, 14, 22, 13, 20)
MINUTE = datetime.timedelta(minutes=1)
DAY = datetime.timedelta(hours=24)


class Lags:
    """Lags by key, which River has none of for time: the deque that people write."""

    def __init__(self, most):
        self.most = most
        self.past = collections.defaultdict(lambda: collections.deque(maxlen=most))

    def transform_one(self, x):
        past = self.past[x["device"]]
        return {f"lag {k}": past[-k] if len(past) >= k else None for k in range(1, self.most + 1)}

    def learn_one(self, x, y, t):
        self.past[x["device"]].append(y)


class Aggregate:
    def __init__(self, how):
        self.aggregate = feature_extraction.TargetAgg(by="device", how=how)
        self.is_timed = isinstance(how, utils.TimeRolling)

    def transform_one(self, x):
        return self.aggregate.transform_one(x)

    def learn_one(self, x, y, t):
        self.aggregate.learn_one(x, y, t=t if self.is_timed else None)


class Calendar:
    def __init__(self):
        self.zone = zoneinfo.ZoneInfo("Europe/Berlin")

    def transform_one(self, x):
        at = x["at"].replace(tzinfo=datetime.timezone.utc).astimezone(self.zone)
        hour = (at.hour + at.minute / 60) / 24
        week, year = (at.weekday() + hour) / 7, at.timetuple().tm_yday / 366
        turns = [2 * math.pi * share for share in (hour, week, year)]
        return {**{f"sin {i}": math.sin(t) for i, t in enumerate(turns)}, **{f"cos {i}": math.cos(t) for i, t in enumerate(turns)},
                "weekend": at.weekday() >= 5}

    def learn_one(self, x, y, t):
        pass


SETS = {
    "10 lags by samples": (lambda: Lags(10), 100, 10),
    "mean of 100 samples": (lambda: Aggregate(utils.Rolling(stats.Mean, window_size=100)), 100, 1),
    "mean of 24 hours": (lambda: Aggregate(utils.TimeRolling(stats.Mean, period=DAY)), 100, 1),
    "exponentially weighted mean": (lambda: Aggregate(stats.EWMean(fading_factor=0.07)), 100, 1),
    "mean of 100 samples, 100,000 keys": (lambda: Aggregate(utils.Rolling(stats.Mean, window_size=100)), 100_000, 1),
    "calendar in a zone": (Calendar, 1, 7),
}


def main():
    for name, (make, keys, features) in SETS.items():
        devices = [f"device-{key:06}" for key in range(keys)]
        best = math.inf
        for _ in range(3):
            maker, place = make(), 0
            begun = time.perf_counter()
            for i in range(RECORDS):
                place = (place + 7919) % keys
                at = BEGIN + i * MINUTE / keys
                x = {"device": devices[place], "at": at}
                maker.transform_one(x)
                maker.learn_one(x, float(i % 100), at)
            best = min(best, (time.perf_counter() - begun) * 1e9 / RECORDS)
        print(json.dumps({"set": name, "ns": best, "features": features, "keys": keys}), flush=True)


main()
