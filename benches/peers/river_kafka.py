"""River between two Kafka topics, in one Python process: consume, predict, score, learn, produce.

    river_kafka.py --brokers HOST:PORT --samples TOPIC --predictions TOPIC --models linear|tree
      [--shape flat|telemetry] (--records N | --live)

Prints a line of JSON at the end; README.md says what its numbers are.
"""

import signal
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

from prequential import RACES, SHAPES, Meter, Race, options

# Records taken at once, at most.
BATCH = 200
# Longest wait for a record, in seconds: how soon SIGTERM is noticed.
WAIT = 0.2


def consumer(arguments):
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.brokers,
            "client.id": "river",
            # Asked for, but without a meaning for an assigned partition whose offsets are not committed.
            "group.id": "river",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # Samples read ahead; the default of 64 MiB would be most of the process's memory.
            "queued.max.messages.kbytes": 16384,
        }
    )
    try:
        topics = consumer.list_topics(timeout=10).topics
    except KafkaException as error:
        sys.exit(f"no broker answers on {arguments.brokers}: {error}; start one with tests/kafka/kafka start")
    for topic in (arguments.samples, arguments.predictions):
        if topic not in topics:
            sys.exit(f"there is no topic {topic} on {arguments.brokers}; create it first")
    consumer.assign([TopicPartition(arguments.samples, arguments.partition, OFFSET_BEGINNING)])
    return consumer


def producer(arguments):
    return Producer(
        {
            "bootstrap.servers": arguments.brokers,
            "client.id": "river",
            # In order and once each, with several requests under way.
            "enable.idempotence": True,
            "linger.ms": 0 if arguments.live else 5,
            "batch.size": 900 << 10,
        }
    )


def take(consumer, most):
    """The records that are there, up to `most`; waits only for the first, so that none waits for a batch to fill."""
    first = consumer.poll(WAIT)
    if first is None:
        return []
    messages = [first] if most == 1 else [first, *consumer.consume(most - 1, timeout=0)]
    for message in messages:
        if message.error():
            raise KafkaException(message.error())
    return messages


def main():
    meter = Meter()
    arguments = options(__doc__, SHAPES)
    stopping = False

    def stop(*_):
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)

    def acknowledged(error, _):
        if error is not None:
            raise KafkaException(error)
        meter.acknowledged()

    source, sink = consumer(arguments), producer(arguments)
    read = SHAPES[arguments.shape]
    race = Race(RACES[arguments.models], arguments.samples, arguments.partition)
    while not stopping and race.version != arguments.records:
        left = BATCH if arguments.live else min(BATCH, arguments.records - race.version)
        messages = take(source, left)
        if messages:
            meter.begin()
        for message in messages:
            x, y, key, timestamp = read(message.value(), message.key(), message.timestamp()[1])
            prediction = race.step(message.offset(), timestamp, x, y)
            while True:
                try:
                    sink.produce(
                        arguments.predictions,
                        prediction,
                        key,
                        arguments.partition,
                        on_delivery=acknowledged,
                        timestamp=timestamp,
                    )
                    break
                except BufferError:  # The broker lags behind: wait for acknowledgements.
                    sink.poll(WAIT)
        sink.poll(0)  # Hears of acknowledgements.
    sink.flush()
    meter.end()
    print(meter.report(race), flush=True)
    source.close()


if __name__ == "__main__":
    main()
