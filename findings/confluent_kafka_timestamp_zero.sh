#!/usr/bin/env bash
# confluent-kafka 2.16.1 (librdkafka): produce(timestamp=0) sends the clock's time, since 0 stands for "not given" below. So the
# one sample at the epoch of a series that begins in 1970 is decades late. Expected was the time 0, which aiokafka 0.14.0 and
# kafka-python 3.0.12 send. A time of -1 is sent as it is.
#
# Seen with librdkafka's own mock broker, by a consumer.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check confluent-kafka==2.16.1
"$folder/venv/bin/python" - <<'PYTHON'
import logging
import re
import time

from confluent_kafka import Consumer, Producer, TopicPartition


class Lines(logging.Handler):
    """Keeps what is logged: the mock broker tells its address nowhere else."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


lines = Lines()
log = logging.getLogger("librdkafka")
log.addHandler(lines)
log.setLevel(logging.DEBUG)
producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1}, logger=log)
for asked in (0, 1, -1):
    producer.produce("t", str(asked), timestamp=asked)
assert producer.flush(30) == 0
address = re.search(r"127\.0\.0\.1:\d+", " ".join(lines.lines))[0]
consumer = Consumer({"bootstrap.servers": address, "group.id": "g"})
consumer.assign([TopicPartition("t", partition, 0) for partition in consumer.list_topics("t", 10).topics["t"].partitions])
found, give_up = {}, time.monotonic() + 60
while len(found) < 3 and time.monotonic() < give_up:
    message = consumer.poll(1)
    if message is not None and not message.error():
        found[int(message.value())] = message.timestamp()[1]
for asked, sent in sorted(found.items()):
    print(f"asked for {asked}, sent {sent}")
assert abs(found[0] - time.time() * 1000) < 120_000, "0 is sent as it is now"
assert (found[1], found[-1]) == (1, -1)
PYTHON
