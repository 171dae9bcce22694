"""What real serializers with a real registry write, through the daemon.

    checks.py BINARY BROKER FOLDER REGISTRY…    (the last words start and end the registry: tests/registry/registry)
"""

import atexit
import io
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

BINARY, BROKER, FOLDER, *REGISTRY = sys.argv[1:]
FOLDER = Path(FOLDER)
PORT = int(REGISTRY[REGISTRY.index("--port") + 1])
URL = f"http://127.0.0.1:{PORT}/apis/ccompat/v7"
# On the next port it speaks TLS.
ENCRYPTED = f"https://127.0.0.1:{PORT + 1}/apis/ccompat/v7"
AUTHORITY = Path("tests/tls/broker/ca.pem").resolve()
OTHER_AUTHORITY = Path("tests/tls/ca.pem").resolve()
COUNT = 300
PATIENCE = 60
# Of a login, which this registry does not ask for.
SECRET = "s3cret-word"
SETTINGS = [
    "transport.kind=kafka",
    f'transport.kafka.brokers=["{BROKER}"]',
    "logging.format=json",
    "schema.timestamp=at",
    'schema.nominal=["site"]',
    'models=[{kind="mean"},{kind="rls"},{kind="hoeffding_tree"}]',
]

client = SchemaRegistryClient({"url": URL})
deserialize = AvroDeserializer(client)
admin = AdminClient({"bootstrap.servers": BROKER})
# A leader that has not heard of its new topic yet refuses a batch; what is sent again then must not come behind the next one.
producer = Producer({"bootstrap.servers": BROKER, "enable.idempotence": True})
passed = failed = 0


def check(name, holds, found=""):
    """Counts an assertion; tells what was found where it does not hold."""
    global passed, failed
    failed += not holds
    passed += bool(holds)
    print(f"ok   {name}" if holds else f"FAIL {name}\n     | " + str(found).replace("\n", "\n     | "), flush=True)


def same(name, topic, expected):
    """Counts whether a topic was predicted as another one with the same rows."""
    found = predictions(topic)
    differ = [f"{one}\n{other}" for one, other in zip(found, expected) if one != other]
    problem = differ[0] if differ else f"{len(found)} predictions, {len(expected)} expected; {set(reasons(topic, 'thalweg.error'))}"
    check(name, not differ and len(found) == len(expected), problem)


def awaited(what, wanted):
    """The first result of `wanted` that is something; ends the script where there is none in time."""
    deadline = time.monotonic() + PATIENCE
    while not (found := wanted()):
        if time.monotonic() > deadline:
            sys.exit(f"waited {PATIENCE} s for {what}")
        time.sleep(0.05)
    return found


def row(k):
    place = {"lat": k % 17 / 8, "lon": -(k % 5) / 4}
    x = k % 50 / 8
    return {"at": 1774747800000 + 250 * k, "site": "ABC"[k % 3], "x": x, "n": k % 7, "place": place, "y": x + k % 3 + place["lat"]}


def newer(k):
    """With a field of the schema's second version."""
    return {**row(k), "w": k % 4 / 2}


def context(topic):
    return SerializationContext(topic, MessageField.VALUE, [])


def field(name, kind, **more):
    return {"name": name, "type": kind, **more}


PLACE = {"type": "record", "name": "Place", "namespace": "rows", "fields": [field("lat", "double"), field("lon", "double")]}
READING = [
    field("at", {"type": "long", "logicalType": "timestamp-millis"}),
    field("site", {"type": "enum", "name": "Site", "symbols": ["A", "B", "C"]}),
    field("x", "double"),
    field("n", ["null", "long"], default=None),
    field("place", "rows.Place"),
    field("y", "float"),
]


def avro(topic, *more):
    """A serializer whose schema refers to another one of the registry."""
    client.register_schema("place", Schema(json.dumps(PLACE), "AVRO"))
    schema = {"type": "record", "name": "Reading", "namespace": "rows", "fields": [*READING, *more]}
    serializer = AvroSerializer(client, Schema(json.dumps(schema), "AVRO", [SchemaReference("rows.Place", "place", 1)]))
    return lambda of: serializer(of, context(topic))


def message():
    """A message of Protocol Buffers with one of another file in it."""
    pool = descriptor_pool.DescriptorPool()

    def add(name, needs, of, fields, symbols=()):
        file = descriptor_pb2.FileDescriptorProto(name=name, package="rows", syntax="proto3", dependency=needs)
        message = file.message_type.add(name=of)
        for number, (field, kind, type_name) in enumerate(fields, 1):
            message.field.add(name=field, number=number, label=1, type=kind, type_name=type_name)
        for number, symbol in enumerate(symbols):
            (file.enum_type or [file.enum_type.add(name="Site")])[0].value.add(name=symbol, number=number)
        pool.Add(file)

    double, float_, int64, of_message, of_enum = 1, 2, 3, 11, 14
    add("place.proto", [], "Place", [("lat", double, None), ("lon", double, None)])
    fields = [("at", int64, None), ("site", of_enum, ".rows.Site"), ("x", double, None), ("n", int64, None)]
    fields += [("place", of_message, ".rows.Place"), ("y", float_, None)]
    add("reading.proto", ["place.proto"], "Reading", fields, symbols=["A", "B", "C"])
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("rows.Reading"))


def protobuf(topic):
    kind = message()
    serializer = ProtobufSerializer(kind, client, {"use.deprecated.format": False})
    return lambda of: serializer(kind(**of), context(topic))


def json_schema(topic):
    numbers = {name: {"type": "number"} for name in ("at", "x", "n", "y")}
    schema = {"title": "Reading", "type": "object", "properties": {**numbers, "site": {"type": "string"}, "place": {"type": "object"}}}
    serializer = JSONSerializer(json.dumps(schema), client)
    return lambda of: serializer(of, context(topic))


def plain(_):
    return lambda of: json.dumps(of).encode()


def fill(topic, values):
    for value in values:
        value, headers = value if isinstance(value, tuple) else (value, [])
        producer.produce(topic, value, headers=headers, partition=0)
    assert producer.flush(PATIENCE) == 0, "records are not acknowledged"


def make(topic):
    for made in admin.create_topics([NewTopic(topic, 1, 1)]).values():
        made.result()


def read(topic):
    """All records of a topic."""
    consumer = Consumer({"bootstrap.servers": BROKER, "group.id": "checks", "enable.auto.commit": False})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=PATIENCE)
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = []
    while len(found) < end:
        record = awaited(f"{topic}, of which {len(found)} of {end} are there", lambda: consumer.poll(1))
        assert not record.error(), record.error()
        found.append(record)
    consumer.close()
    return found


def said(record):
    """What a prediction says, in whatever form it is."""
    value = record.value()
    if value.startswith(b"{"):
        return json.loads(value)
    return timed(deserialize(value, context(record.topic())))


def timed(of):
    """A prediction of a deserializer with its time in milliseconds, as JSON has it."""
    return {**of, "timestamp": round(of["timestamp"].timestamp() * 1000)}


def plainly(of):
    """The same without where it came from."""
    return {name: value for name, value in timed(of).items() if name != "source"}


def predictions(topic):
    """What was predicted, without where it came from."""
    found = [said(record) for record in read(f"{topic}.predictions")]
    return [{name: value for name, value in of.items() if name != "source"} for of in found]


def reasons(topic, header="thalweg.reason"):
    return [dict(record.headers())[header].decode() for record in read(f"{topic}.dead-letters")]


def command(topic, *words, settings=()):
    folder = FOLDER / topic
    folder.mkdir(exist_ok=True)
    topics = [f"topics.samples={topic}", *(f"topics.{kind.replace('-', '_')}={topic}.{kind}" for kind in ("predictions", "dead-letters", "events"))]
    sets = [word for setting in (*SETTINGS, *topics, *settings) for word in ("--set", setting)]
    return {"args": [BINARY, *words, *sets], "cwd": folder}


def run(topic, *words, settings=()):
    return subprocess.run(**command(topic, *words, settings=settings), capture_output=True, text=True, timeout=PATIENCE)


def learn(topic, settings=()):
    """Works a topic off."""
    done = run(topic, "run", "--until-caught-up", settings=settings)
    if done.returncode:
        sys.exit(f"{topic}: {done.stderr}")


def registry(word):
    subprocess.run([*REGISTRY, word], check=True, stdout=subprocess.DEVNULL)


def same_samples():
    make("plain")
    fill("plain", map(plain("plain"), map(row, range(COUNT))))
    learn("plain")
    expected = predictions("plain")
    check("the rows in JSON are learned", len(expected) == COUNT, len(expected))
    formats = [("avro", avro, ["format=avro"]), ("protobuf", protobuf, ["format=protobuf"]), ("json", json_schema, [])]
    for topic, serializer, settings in formats:
        make(topic)
        fill(topic, map(serializer(topic), map(row, range(COUNT))))
        settings = [f"schema.{setting}" for setting in settings]
        if settings:
            settings += [f"schema.registry.url={ENCRYPTED}", f"schema.registry.ca_file={AUTHORITY}"]
        learn(topic, settings)
        same(f"those of {topic} are the same samples", topic, expected)
    apicurio(expected)


def apicurio(expected):
    """Apicurio's serializers of Java (Rows.java), in each of their forms."""
    forms = {}
    for line in (FOLDER / "java.jsonl").read_text().splitlines():
        of = json.loads(line)
        headers = [(name, bytes.fromhex(value)) for name, value in of["headers"].items()]
        forms.setdefault(of["form"], []).append((bytes.fromhex(of["value"]), headers))
    check("all forms were written", sorted(forms) == ["connect", "contentId", "default", "eight", "framed"], list(forms))
    for form, values in forms.items():
        topic = f"java-{form}"
        make(topic)
        fill(topic, values)
        learn(topic, ["schema.format=avro", f"schema.registry.url={URL}"])
        if form in ("default", "eight"):
            # Numbers that this interface of the registry does not know, and a word on what to set.
            said = reasons(topic, "thalweg.error")
            told = len(said) == COUNT and all("apicurio.registry.use-id" in words for words in said)
            check(f"those of Apicurio, {form}, are told how to be read", told, set(said))
        else:
            same(f"those of Apicurio, {form}, are the same samples", topic, expected)


def in_avro():
    """Predictions that are published in Avro, for whoever reads them."""
    settings = ["output.format=avro", f"schema.registry.url={URL}"]
    make("in-avro")
    values = list(map(plain("in-avro"), map(row, range(COUNT))))
    # JSON, Avro, JSON, Avro in one topic.
    for part in range(4):
        fill("in-avro", values[part * COUNT // 4 : (part + 1) * COUNT // 4])
        learn("in-avro", settings if part % 2 else [])
    forms = [record.value()[:1] for record in read("in-avro.predictions")]
    check("both forms are in the topic, a quarter each time", forms == ([b"{"] * (COUNT // 4) + [b"\0"] * (COUNT // 4)) * 2, forms)
    expected = predictions("plain")
    same("confluent-kafka's deserializer reads what JSON says", "in-avro", expected)
    [version] = client.get_versions("in-avro.predictions-value")
    registered = json.loads(client.get_version("in-avro.predictions-value", version).schema.schema_str)
    printed = json.loads(run("in-avro", "schema").stdout)
    check("the schema is registered once, as `thalweg schema` prints it", registered == printed, registered)

    make("single")
    fill("single", values)
    learn("single", ["output.format=avro"])
    canonical = fastavro.schema.to_parsing_canonical_form(printed)
    mark = b"\xc3\x01" + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
    found = [record.value() for record in read("single.predictions")]
    check("without a registry they are single objects of that schema", all(value.startswith(mark) for value in found), found[0][:10])
    parsed = fastavro.parse_schema(printed)
    said_so = [plainly(fastavro.schemaless_reader(io.BytesIO(value[len(mark) :]), parsed)) for value in found]
    check("which fastavro reads", said_so == expected, said_so[0])

    # Another daemon learns from the predictions, in Avro and in JSON.
    make("all-avro")
    fill("all-avro", values)
    learn("all-avro", settings)
    of_predictions = ["schema.timestamp=timestamp", "schema.target=target"]
    learn("plain.predictions", of_predictions)
    learn("all-avro.predictions", [*of_predictions, "schema.format=avro", f"schema.registry.url={URL}"])
    same("predictions in Avro are samples as those in JSON are", "all-avro.predictions", predictions("plain.predictions"))

    subject = "refused.predictions-value"
    other = {"type": "record", "name": "Other", "fields": [field("a", "string")]}
    client.register_schema(subject, Schema(json.dumps(other), "AVRO"))
    client.set_compatibility(subject_name=subject, level="BACKWARD")
    make("refused")
    fill("refused", values[:1])
    done = run("refused", "run", "--until-caught-up", settings=settings)
    told = done.stdout + done.stderr
    check("a subject that does not take the schema ends the start", done.returncode == 78 and subject in told and "output.subject" in told, told)
    check("and nothing is registered", client.get_versions(subject) == [1], client.get_versions(subject))
    told = run("refused", "check", "--connect", settings=settings).stdout
    check("as a check says before", f"WRONG    subject {subject}: " in told, told)


def encrypted():
    settings = ["schema.format=avro", f"schema.registry.url={ENCRYPTED}"]
    for name, more, wanted in [
        ("the authority of its certificate", [f"schema.registry.ca_file={AUTHORITY}"], "answers as a schema registry does"),
        ("another authority", [f"schema.registry.ca_file={OTHER_AUTHORITY}"], "schema.registry.ca_file"),
        ("none but the system's", [], "schema.registry.ca_file"),
    ]:
        told = run("avro", "check", "--connect", settings=[*settings, *more])
        lines = [line for line in (told.stdout + told.stderr).splitlines() if " registry " in line]
        check(f"with {name} it says so", any(wanted in line for line in lines), told.stdout + told.stderr)


class Daemon:
    """One that runs on a topic."""

    def __init__(self, topic, settings):
        self.log = FOLDER / topic / "log"
        self.process = subprocess.Popen(**command(topic, "run", settings=settings), stderr=self.log.open("w"))
        # Whatever ends this script ends it.
        atexit.register(self.process.kill)
        self.address = awaited("its address", lambda: self.of("http_listening"))[0]["address"]

    def of(self, event):
        """Lines of an event so far."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [line.get("fields", line) for line in lines if line.get("fields", line).get("event") == event]

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def records(self):
        found = re.search(r"^thalweg_records_total{.*} (\d+)$", self.get("/metrics")[1], re.MULTILINE)
        return int(found[1]) if found else 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def held():
    """A registry that is killed amid a stream, beside the same rows in JSON."""
    settings = ["schema.format=avro", f"schema.registry.url={URL}", "http.listen=127.0.0.1:0"]
    settings += ["schema.registry.username=meter", f"schema.registry.password={SECRET}"]
    rows = [row(k) for k in range(50)] + [newer(k) for k in range(50, 100)] + [row(k) for k in range(100, 111)]
    make("twin")
    fill("twin", map(plain("twin"), rows))
    learn("twin")
    expected = predictions("twin")

    make("held")
    first, second = avro("held"), avro("held", field("w", "double", default=0))
    fill("held", map(first, rows[:50]))
    daemon = Daemon("held", settings)
    awaited("the first records", lambda: daemon.records() == 50)
    waiting = [*map(second, rows[50:100]), *map(first, rows[100:110])]
    registry("kill")
    fill("held", waiting)
    # Another one has to have its schema registered first.
    make("begun")
    fill("begun", map(plain("begun"), rows[:50]))
    begun = Daemon("begun", ["output.format=avro", f"schema.registry.url={URL}", "http.listen=127.0.0.1:0"])
    away = awaited("a word that the registry is away", lambda: begun.of("registry_away"))[0]
    check("a start that needs the registry says so", away["subject"] == "begun.predictions-value", away)
    check("and is not ready", begun.get("/readyz")[0] == 503, begun.get("/readyz"))
    away = awaited("a word that the registry is away", lambda: daemon.of("registry_away"))[0]
    check("it says which registry is away", URL in away["problem"], away)
    awaited("it to be not ready for that", lambda: (got := daemon.get("/readyz"))[0] == 503 and "registry" in got[1])
    told = [daemon.log.read_text(), *(daemon.get(path)[1] for path in ("/api/v1/status", "/metrics", "/api/v1/schema", "/"))]
    told += [(done := run("held", *words, settings=settings)).stdout + done.stderr for words in (["check"], ["check", "--connect"])]
    check("and its password nowhere", all(told) and not any(SECRET in text for text in told), told)
    # What ends while it waits waits again.
    check("it ends in order", (code := daemon.stop()) == 0, code)
    daemon = Daemon("held", settings)
    awaited("a word that it is still away", lambda: daemon.of("registry_away"))
    check("it has read nothing behind the schema that it does not know", (count := len(predictions("held"))) == 50, count)
    registry("start")
    awaited("the rest", lambda: daemon.records() == 110)
    check("it says that the registry is back", daemon.of("registry_answers"), daemon.log.read_text())
    awaited("it to be ready", lambda: daemon.get("/readyz")[0] == 200)
    awaited("those of the other one", lambda: begun.records() == 50)
    check("which ends in order, too", (code := begun.stop()) == 0, code)
    same("and has published in Avro what the same rows give", "begun", expected[:50])

    # A number and a GUID that the registry does not know; it knows nothing of GUIDs at all.
    unknown = [b"\0\0\0\x10\x92\2", (b"\2", [("__value_schema_id", b"\1" + bytes(range(16)))])]
    fill("held", [*unknown, first(rows[110])])
    awaited("them, too", lambda: daemon.records() == 113)
    check("it ends in order again", (code := daemon.stop()) == 0, code)
    check("unknown schemas are dead letters", (found := reasons("held")) == ["unknown_schema"] * 2, found)
    same("nothing is lost or there twice, and all are the samples of the rows in JSON", "held", expected)


started = time.monotonic()
same_samples()
in_avro()
encrypted()
held()
print(f"\n{passed} passed, {failed} failed in {time.monotonic() - started:.0f} s")
sys.exit(failed > 0)
