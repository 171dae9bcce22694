"""River in Spark's structured streaming: each micro-batch is collected to the driver, where River learns from it.

    spark_river.py --brokers HOST:PORT --samples TOPIC --predictions TOPIC --models linear|tree (--records N | --live)

Prints a line of JSON at the end; README.md says what its numbers are. Needs Java 17. Spark fetches its Kafka connector
through Maven coordinates when it starts first, and has it in ~/.ivy2 from then on.
"""

import json
import os
import signal
import sys
import tempfile
import threading

from pyspark.sql import SparkSession

from prequential import RACES, Meter, Race, flat, options

CONNECTOR = "org.apache.spark:spark-sql-kafka-0-10_2.12:3.5.3"
# Records in one micro-batch, at most: larger ones are hardly faster, and without a bound the first one is the whole
# backlog, in the driver's memory.
BATCH = 50_000
# How often the end is looked for, in seconds.
WAIT = 0.2


def session(folder):
    return (
        SparkSession.builder.master("local[2]")
        .appName("spark-river")
        .config("spark.jars.packages", CONNECTOR)
        .config("spark.ui.enabled", False)
        .config("spark.ui.showConsoleProgress", False)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.local.dir", folder)
        .getOrCreate()
    )


class Batches:
    """What `foreachBatch` calls, micro-batch by micro-batch; nothing happens any more once it is closed."""

    def __init__(self, spark, arguments, meter, finished):
        self.spark, self.arguments, self.meter, self.finished = spark, arguments, meter, finished
        self.race = Race(RACES[arguments.models], arguments.samples, arguments.partition)
        self._lock, self._closed = threading.Lock(), False

    def close(self):
        """Waits for the batch under way, so that its predictions are all there."""
        with self._lock:
            self._closed = True

    def process(self, frame, _):
        with self._lock:
            if self._closed:
                return
            self.meter.begin()
            # Ordered by offset: one partition of the topic is one of the frame.
            rows = frame.selectExpr("key", "CAST(value AS STRING)", "offset", "unix_millis(timestamp)").collect()
            if self.arguments.records is not None:
                rows = rows[: self.arguments.records - self.race.version]
            # Text, since bytes take Spark longer between Python and the JVM.
            self.publish([self.predicted(*row) for row in rows])
            if self.race.version == self.arguments.records:
                self._closed = True
                self.finished.set()

    def predicted(self, key, value, offset, at):
        """Key and value of the prediction for a row."""
        x, y, key, at = flat(value, key, at)
        return key, self.race.step(offset, at, x, y).decode()

    def publish(self, predictions):
        """Returns when the broker has acknowledged all of them. Spark's sink cannot set a record's timestamp."""
        # One slice: several would be sent side by side, out of order.
        rows = self.spark.sparkContext.parallelize(predictions, 1)
        (
            self.spark.createDataFrame(rows, "key binary, value string")
            .write.format("kafka")
            .option("kafka.bootstrap.servers", self.arguments.brokers)
            .option("topic", self.arguments.predictions)
            .save()
        )
        self.meter.acknowledged()


def main():
    meter = Meter()
    arguments = options(__doc__)
    # Standard output is for the report alone; the JVM, which inherits it, writes there, too.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # Spark's Python workers are to be this Python, not the one that is first on the path; and nothing but loopback.
    os.environ.update(PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1")
    finished = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: finished.set())
    with tempfile.TemporaryDirectory(prefix="spark-river-") as folder:
        spark = session(folder)
        spark.sparkContext.setLogLevel("ERROR")
        batches = Batches(spark, arguments, meter, finished)
        query = (
            spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", arguments.brokers)
            .option("assign", json.dumps({arguments.samples: [arguments.partition]}))
            .option("startingOffsets", "earliest")
            .option("maxOffsetsPerTrigger", BATCH)
            .load()
            .writeStream.foreachBatch(batches.process)
            .option("checkpointLocation", f"{folder}/checkpoint")
            .start()
        )
        while query.isActive and not finished.wait(WAIT):
            pass
        batches.close()
        if not query.isActive:
            raise query.exception()
        meter.end()
        query.stop()
        print(meter.report(batches.race), file=out, flush=True)
        spark.stop()


if __name__ == "__main__":
    main()
