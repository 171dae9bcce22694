#!/usr/bin/env bash
# polars 2.1.0: what stands behind the first eight bytes of an Arrow file is "identical to the stream format", says Arrow's
# specification, and pyarrow's files can be read so. polars writes the schema there without the mark and the size that are in front of
# each message, so that its files can be read by their footers alone. Expected was a stream.
#
# Seen: both files have two rows; behind the magic of pyarrow's 26.0.1 follows ffffffff and a stream of two rows, behind that of
# polars 04000000, and a reader of streams says "Invalid flatbuffers message".
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0 pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import polars
import pyarrow as pa
import pyarrow.feather

frame = polars.DataFrame({"x": [1.5, 2.5]})
frame.write_ipc("polars.arrow")
pyarrow.feather.write_feather(frame.to_arrow(), "pyarrow.arrow")
streams = {}
for name in ("pyarrow", "polars"):
    content = open(f"{name}.arrow", "rb").read()
    with pa.ipc.open_file(f"{name}.arrow") as whole:
        assert whole.read_all().num_rows == 2
    try:
        streams[name] = pa.ipc.open_stream(content[8:]).read_all().num_rows
    except OSError as error:
        streams[name] = str(error)
    print(f"{name}: behind the magic {content[8:12].hex()}, as a stream: {streams[name]}")
assert streams["pyarrow"] == 2
assert "flatbuffers" in str(streams["polars"]), "it is a stream now"
PYTHON
