"""Joins samples to their predictions by partition and offset, and says how good these were.

    python join.py BROKER SAMPLES PREDICTIONS DEAD_LETTERS TARGET
"""

import json
import sys
from collections import Counter

import pandas
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition


def read(broker: str, topic: str):
    """All records of a topic, as (partition, offset, value, headers)."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "first-day", "enable.auto.commit": False,
                         "enable.partition.eof": False})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    for partition in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), 10)
        if low == high:
            continue
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        at = low
        while at < high:
            message = consumer.poll(10)
            if message is None:
                sys.exit(f"{topic}/{partition} ends at {at} instead of {high}")
            if message.error():
                sys.exit(str(message.error()))
            at = message.offset() + 1
            yield partition, message.offset(), message.value(), dict(message.headers() or [])
    consumer.close()


def main(broker: str, samples: str, predictions: str, dead_letters: str, target: str) -> None:
    rows = pandas.DataFrame(
        [(partition, offset, json.loads(value).get(target)) for partition, offset, value, _ in read(broker, samples)],
        columns=["partition", "offset", "truth"],
    )
    values = [json.loads(value) for _, _, value, _ in read(broker, predictions)]
    made = pandas.DataFrame(
        {
            "partition": [value["source"]["partition"] for value in values],
            "offset": [value["source"]["offset"] for value in values],
            "prediction": [value["prediction"] for value in values],
            "lower": [value["lower"] for value in values],
            "upper": [value["upper"] for value in values],
            "model": [value["model"] for value in values],
        }
    )
    refused = Counter(headers["thalweg.reason"].decode() for _, _, _, headers in read(broker, dead_letters))
    joined = rows.merge(made, on=["partition", "offset"])
    print(f"{len(rows)} samples, {len(made)} predictions of {made[['partition', 'offset']].drop_duplicates().shape[0]} of them, "
          f"{sum(refused.values())} dead letters {dict(refused)}")
    scored = joined.dropna(subset=["truth", "prediction"])
    error = scored.prediction - scored.truth
    spread = (scored.truth - scored.truth.expanding().mean().shift()).dropna()
    inside = scored.dropna(subset=["lower"])
    held = ((inside.lower <= inside.truth) & (inside.truth <= inside.upper)).mean()
    print(f"{len(scored)} with a truth: RMSE {(error**2).mean()**0.5:.3f} (the mean so far: {(spread**2).mean()**0.5:.3f}), "
          f"MAE {error.abs().mean():.3f}; the intervals held {held:.1%}")


main(*sys.argv[1:])
