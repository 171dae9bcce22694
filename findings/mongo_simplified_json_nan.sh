#!/usr/bin/env bash
# MongoDB's Kafka connector 2.0.1 with its SimplifiedJson formatter: a double is a plain number, but NaN and infinities are objects,
# {"$numberDouble":"NaN"}. Expected was anything but an object in a column of numbers from the one formatter that is there to write
# none: its decimals are texts, its dates texts, its longs numbers. Its DefaultJson writes a bare NaN for the same value.
#
# Seen with the connector's own bson 4.7.2: SimplifiedJson {"x": 1.5} and {"x": {"$numberDouble": "NaN"}}, DefaultJson {"x": NaN}.
#
# Needs a JDK and Maven.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cat >"$folder/pom.xml" <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
  <groupId>findings</groupId><artifactId>findings</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.mongodb</groupId><artifactId>bson</artifactId><version>4.7.2</version></dependency>
    <dependency><groupId>org.mongodb.kafka</groupId><artifactId>mongo-kafka-connect</artifactId><version>2.0.1</version>
      <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>
  </dependencies>
</project>
XML
mvn -q -B -Dstyle.color=never -f "$folder/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory="$folder/jars"
cat >"$folder/Simplified.java" <<'JAVA'
import com.mongodb.kafka.connect.source.json.formatter.DefaultJson;
import com.mongodb.kafka.connect.source.json.formatter.JsonWriterSettingsProvider;
import com.mongodb.kafka.connect.source.json.formatter.SimplifiedJson;
import org.bson.BsonDecimal128;
import org.bson.BsonDocument;
import org.bson.BsonDouble;
import org.bson.BsonInt64;
import org.bson.BsonValue;
import org.bson.types.Decimal128;

class Simplified {
    static void is(JsonWriterSettingsProvider format, BsonValue value, String expected) {
        String found = new BsonDocument("x", value).toJson(format.getJsonWriterSettings());
        System.out.println(format.getClass().getSimpleName() + ": " + found);
        if (!found.equals("{\"x\": " + expected + "}")) {
            throw new AssertionError("it is written otherwise now");
        }
    }

    public static void main(String[] arguments) {
        is(new SimplifiedJson(), new BsonDouble(1.5), "1.5");
        is(new SimplifiedJson(), new BsonInt64(7), "7");
        is(new SimplifiedJson(), new BsonDecimal128(Decimal128.parse("12.340")), "\"12.340\"");
        is(new SimplifiedJson(), new BsonDouble(Double.NaN), "{\"$numberDouble\": \"NaN\"}");
        is(new SimplifiedJson(), new BsonDouble(Double.POSITIVE_INFINITY), "{\"$numberDouble\": \"Infinity\"}");
        is(new DefaultJson(), new BsonDouble(Double.NaN), "NaN");
    }
}
JAVA
java -cp "$folder/jars/*" "$folder/Simplified.java" 2> >(grep -v '^SLF4J' >&2)
