"""Prints predictions in Avro, each behind its place in the samples: consume.py TOPIC BROKER REGISTRY"""

import sys

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

topic, broker, registry = sys.argv[1:]
deserializer = AvroDeserializer(SchemaRegistryClient({"url": registry}))
consumer = Consumer({"bootstrap.servers": broker, "group.id": "consume", "enable.auto.commit": False})
_, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)
consumer.assign([TopicPartition(topic, 0, 0)])
position = 0
while position < end:
    record = consumer.poll(10)
    if record is None or record.error():
        sys.exit(f"{topic} ends at {end}, and nothing comes from {position} on")
    position = record.offset() + 1
    # What is from before the change is JSON.
    if not record.value().startswith(b"{"):
        prediction = deserializer(record.value(), SerializationContext(topic, MessageField.VALUE))
        print(f"{prediction['source']['offset']}: {prediction['prediction']} by {prediction['model']} for {prediction['timestamp']}")
consumer.close()
