#!/usr/bin/env bash
# Apache Kafka 4.4.0: a consumer with the client's default settings gets half of the consumer_byte_rate that it is given. One
# answer brings up to ten seconds' worth of it, which is what the broker measures over, and nothing is held back then: the first
# 1 MB of 100000 bytes a second comes at once, with a throttle time of 1 ms. After it come two empty answers with throttle times of
# ten seconds, and then 1 MB again. Expected was the rate, which a consumer gets with a fetch.max.bytes of half a second's worth.
# A short test of a quota sees no throttle at all, and a long one half of the rate.
#
# Seen with kafka-clients 4.4.0 and records of 1000 bytes: 976 after 0.2 s, 1952 after 20 s, 2928 after 40 s; with
# fetch.max.bytes=50000 as many after 24 s. Needs a JDK and Maven.
set -euo pipefail

folder="$(mktemp -d)"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
port="${1:-26020}"
broker=("$here/../tests/kafka/kafka" --version 4.4.0 --port "$port" --dir "$folder/broker")
trap '"${broker[@]}" clean >/dev/null; rm -rf "$folder"' EXIT
"${broker[@]}" start
"${broker[@]}" topic create t --partitions 1
"${broker[@]}" quota default consumer_byte_rate=100000
"${broker[@]}" quota small consumer_byte_rate=100000
mkdir "$folder/client"
cat >"$folder/client/pom.xml" <<'POM'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>client</groupId>
  <artifactId>client</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-clients</artifactId><version>4.4.0</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
POM
mvn -q -B -Dstyle.color=never -f "$folder/client/pom.xml" \
  org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory="$folder/client"
cat >"$folder/client/Fetch.java" <<'JAVA'
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

class Fetch {
    static final int RECORDS = 2900;

    public static void main(String[] arguments) throws Exception {
        var settings = new HashMap<String, Object>(Map.of("bootstrap.servers", arguments[0]));
        try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int i = 0; i < 3000; i++) {
                producer.send(new ProducerRecord<>("t", new byte[1000]));
            }
        }
        // An answer is seen as a whole, and the throttle times of all of them.
        settings.putAll(Map.of("max.poll.records", 10_000, "metrics.sample.window.ms", 600_000));
        read("default", settings);
        settings.put("fetch.max.bytes", 50_000);
        read("small", settings);
    }

    static void read(String id, Map<String, Object> settings) {
        settings.put("client.id", id);
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            var all = List.of(new TopicPartition("t", 0));
            consumer.assign(all);
            consumer.seekToBeginning(all);
            var start = System.nanoTime();
            int got = 0;
            double now = 0;
            while (got < RECORDS && now < 150) {
                int more = consumer.poll(Duration.ofMillis(100)).count();
                now = (System.nanoTime() - start) / 1e9;
                got += more;
                if (more > 0 && (id.equals("default") || got >= RECORDS)) {
                    System.out.printf(Locale.ROOT, "%s: %d records after %.1f s%n", id, got, now);
                }
            }
            for (var metric : consumer.metrics().entrySet()) {
                if (metric.getKey().name().equals("fetch-throttle-time-max")) {
                    System.out.printf(Locale.ROOT, "%s: longest throttle time %.0f ms%n", id, metric.getValue().metricValue());
                }
            }
        }
    }
}
JAVA
java -cp "$folder/client/*" "$folder/client/Fetch.java" "127.0.0.1:$port" | tee "$folder/said"
grep -qE '^default: 9[0-9]{2} records after [0-4]\.' "$folder/said" || { echo "the first answer is another now" >&2; exit 1; }
grep -qE '^small: 29[0-9]{2} records after (1[89]|2[0-9])\.' "$folder/said"
grep -qE '^default: 29[0-9]{2} records after (3[6-9]|4[0-5])\.' "$folder/said" || { echo "the rate is kept to now" >&2; exit 1; }
