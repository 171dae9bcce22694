"""Writes files of rows with the libraries of Python, the same rows as JSON, and a table of who wrote what, into a folder.

Needs what rows.py needs, and pyarrow, pandas, polars and duckdb, pinned in `make`. Each row is the one of rows.py with its number.
"""

import json
import sys
from pathlib import Path

import avro.datafile
import avro.io
import avro.schema
import duckdb
import fastavro
import pandas
import polars
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import rows

FOLDER = Path(sys.argv[1])
# l and e have no room for the rows behind.
COUNT = 18
CODECS = ["null", "deflate", "snappy", "zstandard"]
# Blocks of a few rows each.
BLOCK_BYTES = 600


def tell(file, *packages):
    with open(FOLDER / "table.tsv", "a") as table:
        print(file, rows.by(*packages), sep="\t", file=table)


def avro_files(shape, schema, row):
    for codec in CODECS:
        name = f"{shape}.fastavro.{codec}.avro"
        with open(FOLDER / name, "wb") as out:
            parsed = fastavro.parse_schema(schema)
            fastavro.writer(out, parsed, map(row, range(COUNT)), codec=codec, sync_interval=BLOCK_BYTES, sync_marker=bytes(range(16)))
        tell(name, "fastavro")
    name = f"{shape}.apache.deflate.avro"
    parsed = avro.schema.parse(json.dumps(schema))
    with avro.datafile.DataFileWriter(open(FOLDER / name, "wb"), avro.io.DatumWriter(), parsed, codec="deflate") as writer:
        for k in range(COUNT):
            writer.append(rows.plain(row(k)))
            if k % 7 == 6:
                writer.sync()
    tell(name, "avro")


def reference(shape, row):
    with open(FOLDER / f"{shape}.jsonl", "w") as out:
        for k in range(COUNT):
            print(json.dumps(rows.as_json(row(k)), ensure_ascii=False), file=out)


PLACE = pa.struct([("lat", pa.float64()), ("lon", pa.float32()), ("deeper", pa.struct([("z", pa.int64())]))])
FLAT = pa.schema(
    [
        ("x", pa.float64()),
        ("f", pa.float32()),
        ("i", pa.int32()),
        ("l", pa.int64()),
        ("b", pa.bool_()),
        ("n", pa.float64()),
        ("o", pa.int64()),
        ("s", pa.large_string()),
        ("c", pa.dictionary(pa.int8(), pa.string())),
        ("d", pa.decimal128(9, 3)),
        ("e", pa.decimal256(40, 2)),
        ("at", pa.timestamp("us", "UTC")),
        ("seen", pa.timestamp("ms", "Europe/Paris")),
        ("day", pa.date32()),
        ("t", pa.time32("ms")),
        ("v", pa.time64("us")),
        ("id", pa.uuid()),
        ("place", PLACE),
        ("maybe", pa.struct([("p", pa.float64()), ("q", PLACE)])),
        ("any", pa.float16()),
        ("nothing", pa.null()),
        ("y", pa.float64()),
    ]
)
LISTS = pa.schema(
    [
        ("x", pa.float64()),
        ("xs", pa.list_(pa.float64())),
        ("m", pa.map_(pa.string(), pa.int64())),
        ("places", pa.large_list(PLACE)),
        ("either", pa.struct([("a", pa.float64()), ("b", pa.float64())])),
        ("raw", pa.binary(2)),
        ("at", pa.timestamp("ns", "UTC")),
        ("y", pa.float64()),
    ]
)


def column_rows(shape, row):
    """The rows of a table, which has no unions: a number for any of them, a part for each record."""
    for k in range(COUNT):
        found = dict(row(k))
        if shape == "flat":
            found["any"] = None if found["any"] is None else float(found["any"])
            found["id"] = found["id"].bytes
        else:
            found["m"] = list(found["m"].items())
            # A record of its union has parts that the other has not.
            found["either"] = {"a": found["either"].get("a"), "b": found["either"].get("b")}
        yield found


def columns(shape, schema, row):
    table = pa.Table.from_pylist(list(column_rows(shape, row)), schema=schema)

    def write(name, make, *packages):
        make(FOLDER / f"{shape}.{name}")
        tell(f"{shape}.{name}", *packages)

    parquet = pyarrow.parquet.write_table
    for codec in ["none", "snappy", "gzip", "lz4", "zstd"]:
        # Some groups of rows, each with pages of its own.
        write(f"pyarrow.{codec}.parquet", lambda path: parquet(table, path, compression=codec, row_group_size=7), "pyarrow")
    more = {"data_page_version": "2.0", "use_dictionary": False, "column_encoding": {"x": "BYTE_STREAM_SPLIT"}, "write_statistics": False}
    write("pyarrow.v2.parquet", lambda path: parquet(table, path, **more), "pyarrow")
    write("pyarrow.brotli.parquet", lambda path: parquet(table, path, compression="brotli"), "pyarrow")
    for codec in ["uncompressed", "lz4", "zstd"]:
        write(f"pyarrow.{codec}.feather", lambda path: pyarrow.feather.write_feather(table, path, compression=codec, chunksize=7), "pyarrow")

    def stream(path):
        with pa.ipc.new_stream(path, table.schema) as out:
            out.write_table(table, max_chunksize=7)

    write("pyarrow.arrows", stream, "pyarrow")

    def dictionaries(path):
        """Each batch adds to the dictionaries of those before."""
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True, compression="zstd")
        with pa.ipc.new_stream(path, table.schema, options=options) as out:
            for start in range(0, COUNT, 6):
                out.write_table(pa.Table.from_pylist(list(column_rows(shape, row))[start : start + 6], schema=schema))

    write("pyarrow.deltas.arrows", dictionaries, "pyarrow")
    if shape != "flat":
        return
    # What other libraries hold has fewer types.
    plain = table.set_column(table.schema.get_field_index("id"), "id", pa.array([str(row(k)["id"]) for k in range(COUNT)]))
    plain = plain.set_column(plain.schema.get_field_index("any"), "any", table["any"].cast(pa.float32()))
    plain = plain.set_column(plain.schema.get_field_index("e"), "e", table["e"].cast(pa.decimal128(20, 2)))
    frame = plain.to_pandas(types_mapper=None)
    write("pandas.parquet", lambda path: frame.to_parquet(path, engine="pyarrow", index=False), "pandas", "pyarrow")
    write("pandas.feather", lambda path: frame.to_feather(path), "pandas", "pyarrow")
    lazy = polars.from_arrow(plain)
    write("polars.parquet", lambda path: lazy.write_parquet(path, row_group_size=7), "polars")
    write("polars.arrow", lambda path: lazy.write_ipc(path, compression="zstd"), "polars")
    write("polars.arrows", lambda path: lazy.write_ipc_stream(path, compression="lz4"), "polars")
    without = plain.drop_columns(["nothing"])
    duckdb.register("plain", without)
    write("duckdb.parquet", lambda path: duckdb.sql(f"COPY (SELECT * REPLACE (id::UUID AS id) FROM plain) TO '{path}' (FORMAT parquet)"), "duckdb")


(FOLDER / "table.tsv").unlink(missing_ok=True)
for (shape, schema, row), types in zip(rows.SHAPES, [FLAT, LISTS]):
    reference(shape, row)
    avro_files(shape, schema, row)
    columns(shape, types, row)
