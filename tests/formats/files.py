"""Writes files of rows with the libraries of Python, the same rows as JSON, and a table of who wrote what, into a folder.

Needs what rows.py needs, and pyarrow, pandas, polars and duckdb, pinned in `make`. Each row is the one of rows.py with its number.
"""

import json
import sys
from pathlib import Path

import avro.datafile
import avro.io
import avro.schema
import fastavro
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


(FOLDER / "table.tsv").unlink(missing_ok=True)
for shape, schema, row in rows.SHAPES:
    reference(shape, row)
    avro_files(shape, schema, row)
