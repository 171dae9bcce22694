#!/usr/bin/env bash
# fastavro 1.13.1 (Python) and Apache Avro 1.12.2 (Java): Avro's JSON encoding of a double that is NaN or infinite. Java writes it as
# text, "NaN". fastavro.json_writer writes it without quotes, which is no JSON, and Java refuses it. fastavro.json_reader reads Java's
# as a str where the schema says double, without a word; the next sum over the column fails, or joins texts. Expected was that
# each reads what the other writes, since both follow one schema.
#
# Needs a JDK and Maven.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fastavro==1.13.1
cat >"$folder/pom.xml" <<'POM'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>reader</groupId>
  <artifactId>reader</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.avro</groupId><artifactId>avro</artifactId><version>1.12.2</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>2.0.17</version></dependency>
  </dependencies>
</project>
POM
mvn -q -B -Dstyle.color=never -f "$folder/pom.xml" \
  org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory="$folder/jars"
cat >"$folder/Both.java" <<'JAVA'
import java.io.ByteArrayOutputStream;
import java.nio.file.*;
import org.apache.avro.Schema;
import org.apache.avro.generic.*;
import org.apache.avro.io.*;

class Both {
    public static void main(String[] arguments) throws Exception {
        Schema schema = new Schema.Parser().parse(Files.readString(Path.of(arguments[0], "row.avsc")));
        GenericRecord row = new GenericData.Record(schema);
        row.put("x", Double.NaN);
        row.put("u", Double.POSITIVE_INFINITY);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Encoder encoder = EncoderFactory.get().jsonEncoder(schema, out, false);
        new GenericDatumWriter<GenericRecord>(schema).write(row, encoder);
        encoder.flush();
        Files.write(Path.of(arguments[0], "java.json"), out.toByteArray());
        String other = Files.readString(Path.of(arguments[0], "fastavro.json"));
        try {
            Object read = new GenericDatumReader<Object>(schema).read(null, DecoderFactory.get().jsonDecoder(schema, other));
            throw new AssertionError("Java reads it now: " + read);
        } catch (java.io.IOException refused) {
            System.out.println("Java refuses " + other.strip() + ": " + refused.getMessage().lines().findFirst().orElse(""));
        }
    }
}
JAVA
cat >"$folder/row.avsc" <<'AVSC'
{"type":"record","name":"Row","fields":[{"name":"x","type":"double"},{"name":"u","type":["null","double"]}]}
AVSC
cat >"$folder/both.py" <<'PYTHON'
import json
import sys
from pathlib import Path

import fastavro

folder = Path(sys.argv[1])
schema = fastavro.schema.load_schema(folder / "row.avsc")
if sys.argv[2] == "write":
    with open(folder / "fastavro.json", "w") as out:
        fastavro.json_writer(out, schema, [{"x": float("nan"), "u": float("inf")}])
    text = (folder / "fastavro.json").read_text()
    assert text.strip() == '{"x": NaN, "u": {"double": Infinity}}', text
else:
    text = (folder / "java.json").read_text()
    assert json.loads(text) == {"x": "NaN", "u": {"double": "Infinity"}}, text
    with open(folder / "java.json") as lines:
        [row] = fastavro.json_reader(lines, schema)
    print("fastavro reads", text, "as", row)
    assert row == {"x": "NaN", "u": "Infinity"} and isinstance(row["x"], str), row
PYTHON
"$folder/venv/bin/python" "$folder/both.py" "$folder" write
java -cp "$folder/jars/*" "$folder/Both.java" "$folder"
"$folder/venv/bin/python" "$folder/both.py" "$folder" read
