"""Writes times and keys with Python's libraries: one file each in the folder named by the argument.

A row's time is `START` and so many times `STEP` ms, of which some are whole seconds and minutes; its key has 20 digits or an end of
zeros. The name of a file ends with what its times are cut to, where that is not a millisecond.
"""

import datetime
import decimal
import json
import sqlite3
import sys
from pathlib import Path

import duckdb
import msgspec
import orjson
import pandas
import polars
import simplejson
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf import json_format

START, STEP, COUNT = 1774747800000, 7500, 40
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1)

folder = Path(sys.argv[1])
rest = [{"id": 18446744073709551617 + k, "x": k % 7, "y": k % 7 + 1} for k in range(COUNT)]
naive = [EPOCH + datetime.timedelta(milliseconds=START + STEP * k, microseconds=456) for k in range(COUNT)]
aware = [time.replace(tzinfo=UTC) for time in naive]
there = [time.astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=30))) for time in aware]


def lines(name, written):
    (folder / f"{name}.jsonl").write_text("".join(line + "\n" for line in written))


def texts(name, times):
    lines(name, [json.dumps({"t": time, **of}) for time, of in zip(times, rest)])


texts("isoformat", [time.isoformat() for time in naive])
texts("isoformat_aware", [time.isoformat() for time in there])
texts("str", [str(time) for time in naive])
texts("strftime", [time.strftime("%Y-%m-%dT%H:%M:%S.%f%z") for time in there])
texts("timestamp", [time.timestamp() for time in aware])
texts("timestamp_s", [int(time.timestamp()) for time in aware])
for name, times in [("naive", naive), ("aware", there)]:
    lines(f"orjson_{name}", [orjson.dumps({"t": time, "x": of["x"], "y": of["y"]}).decode() for time, of in zip(times, rest)])
    # A frame holds no numbers of 20 digits.
    frame = [{"t": time, "id": k, "x": of["x"], "y": of["y"]} for k, (time, of) in enumerate(zip(times, rest))]
    polars.DataFrame(frame).write_ndjson(folder / f"polars_{name}.jsonl")
    polars.DataFrame(frame).write_csv(folder / f"polars_{name}.csv")
    pandas.DataFrame(frame).to_json(folder / f"pandas_iso_{name}.jsonl", orient="records", lines=True, date_format="iso", date_unit="us")
    pandas.DataFrame(frame).to_csv(folder / f"pandas_{name}.csv", index=False)
for unit in ("s", "ms", "us", "ns"):
    frame = pandas.DataFrame([{"t": time, "x": of["x"], "y": of["y"]} for time, of in zip(naive, rest)])
    name = "pandas_epoch_s" if unit == "s" else f"pandas_epoch_{unit}"
    frame.to_json(folder / f"{name}.jsonl", orient="records", lines=True, date_format="epoch", date_unit=unit)
stamps = [Timestamp() for _ in naive]
for stamp, time in zip(stamps, aware):
    stamp.FromDatetime(time)
texts("protobuf", [json_format.MessageToDict(stamp) for stamp in stamps])
# As protobuf's JSON writes 64 bits.
texts("nanoseconds_text", [str(stamp.ToNanoseconds()) for stamp in stamps])
decimals = [{"t": START + STEP * k, **of, "id": decimal.Decimal(1210 + 10 * (k % 9)).scaleb(-2)} for k, of in enumerate(rest)]
lines("simplejson_decimal", [simplejson.dumps(row, use_decimal=True) for row in decimals])
for name, times in [("naive", naive), ("aware", there)]:
    lines(f"msgspec_{name}", [msgspec.json.encode({"t": time, **of}).decode() for time, of in zip(times, rest)])
database = duckdb.connect()
kinds = [("naive", "TIMESTAMP", "UTC", naive), ("aware", "TIMESTAMPTZ", "Asia/Kolkata", there), ("utc", "TIMESTAMPTZ", "UTC", aware)]
for name, kind, zone, times in kinds:
    # Written as +05:30 and +00.
    database.execute(f"SET TimeZone = '{zone}'")
    database.execute(f"CREATE TABLE {name} (t {kind}, id HUGEINT, x INTEGER, y INTEGER)")
    database.executemany(f"INSERT INTO {name} VALUES (?, ?, ?, ?)", [[time, *of.values()] for time, of in zip(times, rest)])
    database.execute(f"COPY {name} TO '{folder}/duckdb_{name}.jsonl' (FORMAT json)")
    database.execute(f"COPY {name} TO '{folder}/duckdb_{name}.csv'")
for name, time in [("datetime", "datetime(?1, 'unixepoch')"), ("unixepoch", "unixepoch(?1, 'unixepoch')")]:
    query = f"SELECT json_object('t', {time}, 'x', ?2, 'y', ?3)"
    ask = sqlite3.connect(":memory:").execute
    given = [((START + STEP * k) // 1000, of["x"], of["y"]) for k, of in enumerate(rest)]
    lines(f"sqlite_{name}_s", [ask(query, values).fetchone()[0] for values in given])
