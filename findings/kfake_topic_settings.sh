#!/usr/bin/env bash
# franz-go's kfake 0.0.0-20260918054303 and Java's kafka-clients 4.4.0: Admin.createTopics makes the topic and fails. kfake answers
# with null for the settings of a topic that was asked for without any, which the protocol allows and the client does not expect:
# it gives a NullPointerException for every result of that request, all() too. For a topic with a setting of its own, kfake says
# that it came from the source -1, and the client gives an IllegalArgumentException. Expected was a success, as both the topics
# are there. Whoever makes topics with Java takes the one that is there for one that could not be made.
#
# Seen: Cannot invoke "java.util.List.stream()" because "configs" is null; id should be positive, id: -1. Needs Go, a JDK and Maven.
set -euo pipefail

folder="$(mktemp -d)"
port="${1:-26010}"
# Set by coproc.
kfake_PID=
trap 'kill "${kfake_PID:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
mkdir "$folder/kfake" "$folder/client"
cat >"$folder/kfake/main.go" <<'GO'
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port))
	if err != nil {
		panic(err)
	}
	fmt.Println(cluster.ListenAddrs()[0])
	select {}
}
GO
cat >"$folder/kfake/go.mod" <<'MOD'
module broker

go 1.26.0

require (
	github.com/twmb/franz-go v1.22.3 // indirect
	github.com/twmb/franz-go/pkg/kfake v0.0.0-20260918054303-01f206a7e32c
)
MOD
(cd "$folder/kfake" && go mod tidy && go build -o kfake .) 2>"$folder/fetched" || { cat "$folder/fetched" >&2; exit 1; }
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
mvn -q -B -Dstyle.color=never -f "$folder/client/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
  -DoutputDirectory="$folder/client"
cat >"$folder/client/Create.java" <<'JAVA'
import java.util.*;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.*;

class Create {
    public static void main(String[] arguments) throws Exception {
        try (var admin = Admin.create(Map.<String, Object>of("bootstrap.servers", arguments[0]))) {
            for (var name : List.of("plain", "short")) {
                var settings = name.equals("plain") ? Map.<String, String>of() : Map.of("retention.ms", "60000");
                var made = admin.createTopics(List.of(new NewTopic(name, 1, (short) 1).configs(settings)));
                for (var result : List.of(made.all(), made.config(name))) {
                    try {
                        System.out.println(name + ": " + result.get());
                    } catch (ExecutionException error) {
                        System.out.println(name + ": " + error.getCause());
                    }
                }
            }
            System.out.println("topics: " + new TreeSet<>(admin.listTopics().names().get()));
        }
    }
}
JAVA
coproc kfake { exec "$folder/kfake/kfake" "$port"; }
read -r address <&"${kfake[0]}"
java -cp "$folder/client/*" "$folder/client/Create.java" "$address" | tee "$folder/said"
grep -qxF 'topics: [plain, short]' "$folder/said"
null='java.lang.NullPointerException: Cannot invoke "java.util.List.stream()" because "configs" is null'
[[ "$(grep -cxF "plain: $null" "$folder/said")" == 2 ]] || { echo "null is taken now, or not sent" >&2; exit 1; }
source='java.lang.IllegalArgumentException: id should be positive, id: -1'
[[ "$(grep -cxF "short: $source" "$folder/said")" == 2 ]] || { echo "the source is another now, or taken" >&2; exit 1; }
