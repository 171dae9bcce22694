"""Writes readings to a topic with the Avro serializer of confluent-kafka, which registers their schema at a registry.

    produce.py TOPIC BROKER REGISTRY SCHEMA < readings.jsonl
"""

import json
import sys
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

topic, broker, registry, schema = sys.argv[1:]
serialize = AvroSerializer(SchemaRegistryClient({"url": registry}), Path(schema).read_text())
# In order, also where a broker asks for a batch again.
producer = Producer({"bootstrap.servers": broker, "enable.idempotence": True})
for number, line in enumerate(sys.stdin):
    # A meter of three, and a reading a second.
    reading = {"meter": f"m{number % 3}", "at": 1774747800000 + 1000 * number, **json.loads(line)}
    value = serialize(reading, SerializationContext(topic, MessageField.VALUE))
    producer.produce(topic, value, key=reading["meter"])
    producer.poll(0)
producer.flush()
