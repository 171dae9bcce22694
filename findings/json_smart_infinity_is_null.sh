#!/usr/bin/env bash
# json-smart 2.6.1: an infinity is written as null, and NaN as the bare word, which is no JSON. Expected was the same for both, since
# neither is a number that JSON has: null, as for infinities, or an error, as of Gson 2.15.0. So a column that a reader takes without a
# word as long as its bad values are infinite makes records that it refuses as a whole once one is NaN.
#
# Seen: {"x":null} for both infinities, {"x":NaN} for NaN, of doubles and of floats, in a map and alone.
#
# Needs a JDK and Maven.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cat >"$folder/pom.xml" <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
  <groupId>findings</groupId><artifactId>findings</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>net.minidev</groupId><artifactId>json-smart</artifactId><version>2.6.1</version></dependency>
    <dependency><groupId>com.google.code.gson</groupId><artifactId>gson</artifactId><version>2.15.0</version></dependency>
  </dependencies>
</project>
XML
mvn -q -B -Dstyle.color=never -f "$folder/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory="$folder/jars"
cat >"$folder/Infinite.java" <<'JAVA'
import com.google.gson.Gson;
import java.util.Map;
import net.minidev.json.JSONObject;
import net.minidev.json.JSONValue;

class Infinite {
    static void is(Object value, String expected) {
        String found = JSONObject.toJSONString(Map.of("x", value));
        System.out.println(value.getClass().getSimpleName() + " " + value + " is written as " + found);
        if (!found.equals("{\"x\":" + expected + "}") || !JSONValue.toJSONString(value).equals(expected)) {
            throw new AssertionError("json-smart writes it otherwise now");
        }
    }

    public static void main(String[] arguments) {
        is(Double.POSITIVE_INFINITY, "null");
        is(Double.NEGATIVE_INFINITY, "null");
        is(Float.POSITIVE_INFINITY, "null");
        is(Double.NaN, "NaN");
        is(Float.NaN, "NaN");
        for (double value : new double[] {Double.POSITIVE_INFINITY, Double.NaN}) {
            try {
                throw new AssertionError("Gson writes " + new Gson().toJson(Map.of("x", value)));
            } catch (IllegalArgumentException refused) {
                System.out.println("Gson: " + refused.getMessage());
            }
        }
    }
}
JAVA
java -cp "$folder/jars/*" "$folder/Infinite.java"
