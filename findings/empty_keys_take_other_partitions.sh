#!/usr/bin/env bash
# confluent-kafka 2.16.1 (librdkafka) with its default partitioner treats an empty key as no key and spreads such records over all
# partitions; kafka-python 3.0.12, which follows Java's rule, sends them all to one. Expected was one partition per key from both,
# though not the same one. Records that share a key then do not share a partition, nor a model.
#
# Seen with librdkafka's own mock broker: three or four partitions of four for an empty key, one for a key of one letter.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check confluent-kafka==2.16.1 kafka-python==3.0.12
"$folder/venv/bin/python" - <<'PYTHON'
from confluent_kafka import Producer
from kafka.partitioner.default import murmur2

# Without a linger that would keep records of no key together.
producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "sticky.partitioning.linger.ms": 0})
taken = {b"": set(), b"a": set()}
for key, partitions in taken.items():
    for _ in range(200):
        producer.produce("t", b"v", key=key, on_delivery=lambda error, sent, to=partitions: to.add(sent.partition()))
    assert producer.flush(30) == 0
print("librdkafka:", taken)
assert len(taken[b""]) > 1 and len(taken[b"a"]) == 1, "an empty key stays together now"
# Java's rule, as kafka-python has it: the hash of the key, if there is one, and of an empty key as of any other.
print(f"Java's rule: the empty key goes to partition {(murmur2(b'') & 0x7FFFFFFF) % 4} of 4")
PYTHON
