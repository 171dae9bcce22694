"""Writes the rows with every Python serializer: one file each in the folder named by the argument."""

import decimal
import json
import math
import sys
from pathlib import Path

import duckdb
import msgspec
import orjson
import pandas
import polars
import simplejson
import ujson

from row import rows


def known(row):
    return {name: None if value is None or not math.isfinite(value) else value for name, value in row.items()}


folder = Path(sys.argv[1])


def lines(name, written):
    (folder / f"{name}.jsonl").write_text("".join(line + "\n" for line in written))


# What all others are held against: unknown is null.
lines("reference", [json.dumps(known(row), allow_nan=False) for row in rows])
lines("json", map(json.dumps, rows))
lines("json_absent", [json.dumps({name: value for name, value in row.items() if value is not None}) for row in rows])
lines("json_text", [json.dumps({name: str(value) for name, value in row.items()}) for row in rows])
lines("simplejson", [simplejson.dumps(row, allow_nan=True) for row in rows])
lines("simplejson_ignore_nan", [simplejson.dumps(row, ignore_nan=True) for row in rows])
lines("orjson", [orjson.dumps(row).decode() for row in rows])
lines("ujson", map(ujson.dumps, rows))
pandas.DataFrame(rows).to_json(folder / "pandas.jsonl", orient="records", lines=True, double_precision=15)
pandas.DataFrame(rows).to_csv(folder / "pandas_csv.csv", index=False)
pandas.DataFrame(rows).to_csv(folder / "pandas_csv_na.csv", index=False, na_rep="NA")
polars.DataFrame(rows).write_ndjson(folder / "polars.jsonl")
polars.DataFrame(rows).write_csv(folder / "polars_csv.csv")

# Decimals, which most write as text.
priced = [{**row, "x": decimal.Decimal(row["x"]).quantize(decimal.Decimal("0.001"))} for row in rows]
lines("msgspec", [msgspec.json.encode(row).decode() for row in priced])
lines("simplejson_decimal", [simplejson.dumps(row, use_decimal=True, allow_nan=True) for row in priced])
pandas.DataFrame(priced).to_json(folder / "pandas_decimal.jsonl", orient="records", lines=True, double_precision=15)
polars.DataFrame(priced).write_ndjson(folder / "polars_decimal.jsonl")
database = duckdb.connect()
database.execute("CREATE TABLE rows (i DOUBLE, m DOUBLE, n DOUBLE, x DECIMAL(9, 3), y DOUBLE)")
database.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", [[row[name] for name in "imnxy"] for row in priced])
database.execute(f"COPY rows TO '{folder}/duckdb.jsonl' (FORMAT json)")
