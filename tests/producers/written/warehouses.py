"""Writes the rows of row.py and the times of times.py with Spark and ClickHouse: one file each in the folder named by the argument."""

import datetime
import decimal
import sys
from pathlib import Path

import chdb
from pyspark.sql import SparkSession, functions
from pyspark.sql.types import DecimalType, DoubleType, IntegerType, StructField, StructType, TimestampNTZType, TimestampType

from row import row

START, STEP, COUNT, TIMES = 1774747800000, 7500, 60, 40
FIRST = 18446744073709551617

folder = Path(sys.argv[1])
rows = [row(k) for k in range(COUNT)]
priced = [{**of, "x": decimal.Decimal(of["x"]).quantize(decimal.Decimal("0.001"))} for of in rows]
naive = [datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=START + STEP * k, microseconds=456) for k in range(TIMES)]
aware = [time.replace(tzinfo=datetime.timezone.utc) for time in naive]


def write(name, text):
    (folder / f"{name}.jsonl").write_text(text)


spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()


def spark_lines(name, fields, of, **options):
    """As a query to Kafka does it: all columns into one value."""
    frame = spark.createDataFrame(of, StructType([StructField(column, kind) for column, kind in fields.items()]))
    values = frame.coalesce(1).select(functions.to_json(functions.struct("*"), options).alias("value")).collect()
    write(name, "".join(value["value"] + "\n" for value in values))


numbers = {column: DecimalType(9, 3) if column == "x" else DoubleType() for column in "imnxy"}
for name, options in [("spark", {}), ("spark_nulls", {"ignoreNullFields": "false"})]:
    spark_lines(f"rows/{name}", numbers, [tuple(of.values()) for of in priced], **options)
for name, kind, times, zone in [
    ("spark_utc", TimestampType(), aware, "UTC"),
    ("spark_zoned", TimestampType(), aware, "Asia/Kolkata"),
    ("spark_ntz", TimestampNTZType(), naive, "Asia/Kolkata"),
]:
    spark.conf.set("spark.sql.session.timeZone", zone)
    timed = {"t": kind, "id": DecimalType(20, 0), "x": IntegerType(), "y": IntegerType()}
    of = [(time, decimal.Decimal(FIRST + k), k % 7, k % 7 + 1) for k, time in enumerate(times)]
    spark_lines(f"times/{name}", timed, of)
spark.stop()


def clickhouse(name, selects, **settings):
    # A union of single rows keeps no order by itself.
    union = " UNION ALL ".join(f"SELECT {k} AS k, {select}" for k, select in enumerate(selects))
    of = ", ".join(f"{key} = {setting}" for key, setting in settings.items())
    write(name, chdb.query(f"SELECT * EXCEPT k FROM ({union}) ORDER BY k SETTINGS max_threads = 1{of and ', ' + of}", "JSONEachRow").data())


def value(column, number):
    kind = "Decimal(9, 3)" if column == "x" else "Float64"
    # A column that has NULLs is nullable, and those that have none are not.
    return f"CAST({repr(str(number)) if number is not None else 'NULL'} AS {f'Nullable({kind})' if column == 'm' else kind}) AS {column}"


selects = [", ".join(value(column, number) for column, number in of.items()) for of in priced]
quoted = {f"output_format_json_quote_{what}": 1 for what in ("decimals", "64bit_floats", "denormals")}
clickhouse("rows/clickhouse", selects)
clickhouse("rows/clickhouse_denormals", selects, output_format_json_quote_denormals=1)
clickhouse("rows/clickhouse_text", selects, **quoted)
for name, settings in [
    ("simple", {}),
    ("iso", {"date_time_output_format": "'iso'"}),
    ("unix", {"date_time_output_format": "'unix_timestamp'"}),
]:
    moments = [f"fromUnixTimestamp64Micro(toInt64({(START + STEP * k) * 1000 + 456}), 'UTC') AS t" for k in range(TIMES)]
    timed = [f"{moment}, toUInt128('{FIRST + k}') AS id, {k % 7} AS x, {k % 7 + 1} AS y" for k, moment in enumerate(moments)]
    clickhouse(f"times/clickhouse_{name}", timed, **settings)
