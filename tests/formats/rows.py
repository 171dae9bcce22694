"""Writes rows with the serializers of Python: a line of JSON for each serializer and shape, with what a registry answers.

Needs confluent-kafka[avro,protobuf,json], fastavro, avro and grpcio-tools, pinned in `make`. A row is there as its serializer
wrote it, in hexadecimal digits, and as JSON: both have to be the same sample.
"""

import base64
import datetime
import decimal
import importlib.metadata
import io
import json
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import avro.io
import avro.schema
import fastavro
from confluent_kafka.schema_registry import SchemaRegistryClient, header_schema_id_serializer
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

HERE = Path(__file__).parent
COUNT = 12
UTC = datetime.timezone.utc
START = datetime.datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)


def by(*packages):
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


def field(name, kind, **more):
    return {"name": name, "type": kind, **more}


def logical(kind, name, **more):
    return {"type": kind, "logicalType": name, **more}


PLACE = {
    "type": "record",
    "name": "Place",
    "fields": [
        field("lat", "double"),
        field("lon", "float"),
        field("deeper", {"type": "record", "name": "Deeper", "fields": [field("z", "long")]}),
    ],
}
FLAT = {
    "type": "record",
    "name": "Flat",
    "namespace": "rows",
    "fields": [
        field("x", "double"),
        field("f", "float"),
        field("i", "int"),
        field("l", "long"),
        field("b", "boolean"),
        field("n", ["null", "double"], default=None),
        field("o", ["long", "null"], default=0),
        field("s", "string"),
        field("c", {"type": "enum", "name": "Colour", "symbols": ["RED", "DARK_BLUE", "GREEN"]}),
        field("d", logical("bytes", "decimal", precision=9, scale=3)),
        field("e", logical("fixed", "decimal", size=8, precision=18, scale=2) | {"name": "Eight"}),
        field("at", logical("long", "timestamp-micros")),
        field("seen", ["null", logical("long", "timestamp-millis")], default=None),
        field("day", logical("int", "date")),
        field("t", logical("int", "time-millis")),
        field("v", logical("long", "time-micros")),
        field("id", logical("string", "uuid")),
        field("place", PLACE),
        field("maybe", ["null", {"type": "record", "name": "Maybe", "fields": [field("p", "double"), field("q", ["null", "Place"])]}]),
        field("any", ["null", "long", "double", "boolean"]),
        field("nothing", "null"),
        field("y", "double"),
    ],
}
LISTS = {
    "type": "record",
    "name": "Lists",
    "namespace": "rows",
    "fields": [
        field("x", "double"),
        field("xs", {"type": "array", "items": "double"}),
        field("m", {"type": "map", "values": "long"}),
        field("places", {"type": "array", "items": PLACE}),
        field("either", [{"type": "record", "name": "A", "fields": [field("a", "double")]}, {"type": "record", "name": "B", "fields": [field("b", "double")]}]),
        field("raw", "bytes"),
        field("at", logical("long", "timestamp-millis")),
        field("y", "double"),
    ],
}


def place(k):
    return {"lat": k / 8, "lon": -k / 4, "deeper": {"z": k - 5}}


def flat(k):
    at = START + datetime.timedelta(milliseconds=1500 * k, microseconds=k)
    return {
        "x": k / 8 - 0.5,
        "f": k * 0.25,
        "i": (-1) ** k * k * 100,
        "l": (-1) ** k * k**15,
        "b": k % 2 == 0,
        "n": None if k % 3 == 1 else k / 3,
        "o": None if k % 4 == 3 else k,
        "s": ["one", "two", "zwölf"][k % 3],
        "c": ["RED", "DARK_BLUE", "GREEN"][k % 3],
        "d": decimal.Decimal(k * 1234 - 6000).scaleb(-3),
        "e": decimal.Decimal((-1) ** k * k**14).scaleb(-2),
        "at": at,
        "seen": None if k % 5 == 0 else START + datetime.timedelta(seconds=k),
        "day": (START + datetime.timedelta(days=k)).date(),
        "t": datetime.time(k, 1, 2, 3000),
        "v": datetime.time(k, 1, 2, 3000 + k),
        "id": uuid.UUID(int=k**20),
        "place": place(k),
        "maybe": None if k % 4 == 2 else {"p": k / 16, "q": place(k + 1) if k % 4 == 1 else None},
        "any": [None, 7, 0.5, True][k % 4],
        "nothing": None,
        "y": k / 2 + 1,
    }


def lists(k):
    return {
        "x": k / 8,
        "xs": [i / 4 + k for i in range(k % 4)],
        "m": {f"k{i}": i * k for i in range(k % 3)},
        "places": [place(i) for i in range(k % 3)],
        "either": {"a": k / 4} if k % 2 else {"b": k / 2},
        "raw": bytes([k, 255]),
        "at": START + datetime.timedelta(milliseconds=k),
        "y": k / 2 + 1,
    }


def as_json(value):
    """What the row is without types: times are milliseconds, bytes their digits."""
    match value:
        case dict():
            return {name: as_json(value) for name, value in value.items()}
        case list():
            return [as_json(value) for value in value]
        case datetime.datetime():
            return (value - EPOCH) / datetime.timedelta(milliseconds=1)
        case datetime.date():
            return (value - EPOCH.date()) / datetime.timedelta(milliseconds=1)
        case datetime.time():
            passed = datetime.timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
            return passed / datetime.timedelta(milliseconds=1)
        case datetime.timedelta():
            return value / datetime.timedelta(milliseconds=1)
        case decimal.Decimal():
            return float(value)
        case uuid.UUID():
            return str(value)
        case bytes():
            return "0x" + value.hex()
    return value


def write(tool, format, frame, shape, rows, **more):
    rows = [{"value": value.hex(), "header": header and header.hex(), "json": json_row} for value, header, json_row in rows]
    print(json.dumps({"by": tool, "format": format, "frame": frame, "shape": shape, **more, "rows": rows}, ensure_ascii=False))


SHAPES = [("flat", FLAT, flat), ("lists", LISTS, lists)]


def answers(client, used):
    """What the registry says of the ids and GUIDs, and of what they refer to."""
    found = {}
    subjects = {}

    def asked(schema):
        references = [{"name": it.name, "subject": it.subject, "version": it.version} for it in schema.references or []]
        for it in references:
            referred = client.get_version(it["subject"], it["version"]).schema
            subjects[f"{it['subject']}/{it['version']}"] = asked(referred)
        return {"schema": schema.schema_str, "schemaType": schema.schema_type, "references": references}

    for key, schema in used.items():
        found[key] = asked(schema)
    return {"schemas": found, "subjects": subjects}


def confluent_avro():
    for headers in (False, True):
        client = SchemaRegistryClient.new_client({"url": "mock://rows"})
        for shape, schema, row in SHAPES:
            conf = {"schema.id.serializer": header_schema_id_serializer} if headers else {}
            serializer = AvroSerializer(client, json.dumps(schema), conf=conf)
            rows = []
            for k in range(COUNT):
                context = SerializationContext(f"rows-{shape}", MessageField.VALUE, [])
                value = serializer(row(k), context)
                header = dict(context.headers).get("__value_schema_id") if headers else None
                rows.append((value, header, as_json(row(k))))
            registered = client.get_latest_version(f"rows-{shape}-value")
            used = {registered.guid if headers else registered.schema_id: registered.schema}
            frame = "header" if headers else "registry"
            write(by("confluent-kafka", "fastavro"), "avro", frame, shape, rows, **answers(client, used))


def fastavro_bare():
    for shape, schema, row in SHAPES:
        rows = []
        for k in range(COUNT):
            out = io.BytesIO()
            fastavro.schemaless_writer(out, fastavro.parse_schema(schema), row(k))
            rows.append((out.getvalue(), None, as_json(row(k))))
        write(by("fastavro"), "avro", "none", shape, rows, schema=json.dumps(schema))


def plain(row):
    """What Apache's own library takes: it knows UUIDs as text."""
    return {name: str(value) if isinstance(value, uuid.UUID) else value for name, value in row.items()}


def apache_avro():
    """Also as single objects, with the fingerprint of the schema's canonical form."""
    for shape, schema, row in SHAPES:
        parsed = avro.schema.parse(json.dumps(schema))
        for frame in ("none", "single"):
            rows = []
            for k in range(COUNT):
                out = io.BytesIO()
                avro.io.DatumWriter(parsed).write(plain(row(k)), avro.io.BinaryEncoder(out))
                mark = b""
                if frame == "single":
                    digits = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(schema), "CRC-64-AVRO")
                    mark = b"\xc3\x01" + bytes.fromhex(digits)
                rows.append((mark + out.getvalue(), None, as_json(row(k))))
            write(by("avro", "fastavro") if frame == "single" else by("avro"), "avro", frame, shape, rows, schema=json.dumps(schema))


def protobuf():
    with tempfile.TemporaryDirectory() as folder:
        run = [sys.executable, "-m", "grpc_tools.protoc", f"-I{HERE}", f"--python_out={folder}", "place.proto", "rows.proto"]
        subprocess.run(run, check=True)
        run = [sys.executable, "-m", "grpc_tools.protoc", f"-I{HERE}", "--include_imports", f"--descriptor_set_out={folder}/set", "rows.proto"]
        subprocess.run(run, check=True)
        sys.path.insert(0, folder)
        import rows_pb2

        descriptors = Path(folder, "set").read_bytes()
        sources = {name: (HERE / name).read_text() for name in ("rows.proto", "place.proto")}

        def flat_message(k):
            message = rows_pb2.Flat()
            row = {"x": k / 8 - 0.5, "f": k * 0.25, "i": (-1) ** k * k * 100, "l": (-1) ** k * k**15, "u": k**15, "w": k, "b": k % 2 == 0}
            for name, value in row.items():
                setattr(message, name, value)
            row["n"] = None if k % 3 == 1 else k / 3
            if row["n"] is not None:
                message.n = row["n"]
            row["s"] = message.s = ["one", "", "zwölf"][k % 3]
            message.c = k % 4
            row["c"] = ["UNKNOWN", "RED", "DARK_BLUE", 3][k % 4]
            row["at"] = as_json(START + datetime.timedelta(milliseconds=1500 * k))
            message.at.FromDatetime(START + datetime.timedelta(milliseconds=1500 * k))
            row["took"] = None if k % 4 == 0 else k * 250 + 0.5
            if k % 4:
                message.took.FromMicroseconds(k * 250_000 + 500)
            row["maybe"] = None if k % 3 == 0 else k - 1
            if k % 3:
                message.maybe.value = k - 1
            row["place"] = {"lat": k / 8, "lon": -k / 4, "deeper": {"z": k - 5} if k % 2 else None}
            message.place.lat, message.place.lon = k / 8, -k / 4
            if k % 2:
                message.place.deeper.z = k - 5
            row["one"], row["two"] = [(None, None), (k / 4, None), (None, "word")][k % 3]
            if k % 3 == 1:
                message.one = k / 4
            elif k % 3 == 2:
                message.two = "word"
            row["z"] = message.z = -k
            row["y"] = message.y = k / 2 + 1
            return message, row

        def lists_message(k):
            message = rows_pb2.Lists(x=k / 8, raw=bytes([k, 255]), y=k / 2 + 1)
            message.xs.extend(i / 4 + k for i in range(k % 4))
            message.packed.extend(-i for i in range(k % 3))
            for i in range(k % 3):
                message.m[f"k{i}"] = i * k
                message.places.add(lat=i, lon=k)
            message.at.FromDatetime(START + datetime.timedelta(milliseconds=k))
            row = {
                "x": k / 8,
                "xs": list(message.xs),
                "packed": list(message.packed),
                "m": {f"k{i}": i * k for i in range(k % 3)},
                "places": [{"lat": i, "lon": k, "deeper": None} for i in range(k % 3)],
                "raw": "0x" + bytes([k, 255]).hex(),
                "at": as_json(START + datetime.timedelta(milliseconds=k)),
                "y": k / 2 + 1,
            }
            return message, row

        def within_message(k):
            return rows_pb2.Other.Within(x=k / 8, y=k / 2 + 1), {"x": k / 8, "y": k / 2 + 1}

        shapes = [("flat", rows_pb2.Flat, flat_message), ("lists", rows_pb2.Lists, lists_message), ("within", rows_pb2.Other.Within, within_message)]
        for shape, kind, make in shapes:
            rows = [(message.SerializeToString(), None, row) for message, row in map(make, range(COUNT))]
            name = kind.DESCRIPTOR.full_name
            write(by("protobuf"), "protobuf", "none", shape, rows, descriptors=descriptors.hex(), message=name)
            write(by("protobuf"), "protobuf", "none", shape, rows, sources=sources, message=name)
        for headers in (False, True):
            client = SchemaRegistryClient.new_client({"url": "mock://rows"})
            for shape, kind, make in shapes:
                conf = {"use.deprecated.format": False}
                if headers:
                    conf["schema.id.serializer"] = header_schema_id_serializer
                serializer = ProtobufSerializer(kind, client, conf)
                rows = []
                for message, row in map(make, range(COUNT)):
                    context = SerializationContext(f"rows-{shape}", MessageField.VALUE, [])
                    value = serializer(message, context)
                    header = dict(context.headers).get("__value_schema_id") if headers else None
                    rows.append((value, header, row))
                registered = client.get_latest_version(f"rows-{shape}-value")
                # The serializer registers descriptors; a registry answers with the text of the file.
                used = {registered.guid if headers else registered.schema_id: registered.schema}
                told = answers(client, used)
                for answer in [*told["schemas"].values(), *told["subjects"].values()]:
                    name = "rows.proto" if "places" in str(base64.b64decode(answer["schema"])) else "place.proto"
                    answer["schema"] = sources[name]
                write(by("confluent-kafka", "protobuf"), "protobuf", "header" if headers else "registry", shape, rows, **told)


if __name__ == "__main__":
    confluent_avro()
    fastavro_bare()
    apache_avro()
    protobuf()
