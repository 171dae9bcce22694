# The commands of this repository. Checks are stages of .ci/run, so that people and CI run the same ones.

# Lists the recipes.
default:
    @just --list

# What README names as the test command, with the lock file enforced.
test:
    .ci/run test

# Format, clippy, documentation and shell scripts; warnings are errors.
lint:
    .ci/run fmt clippy doc shellcheck

# Formats the code.
fmt:
    cargo fmt

# Everything that has to pass before a change lands. As root: it installs what is missing and boots a container.
ci:
    CI=true .ci/run

# The suites that need a broker; starts an Apache Kafka of their own.
test-kafka:
    .ci/run kafka

# The service under a real systemd, as root.
test-systemd:
    .ci/run release systemd

# The Debian package, checked; and the alerts and the dashboard in a real Prometheus.
test-package:
    .ci/run release package monitoring

# Ten minutes at full speed, a clock that jumps, a simulated day.
soak:
    .ci/run release soak

# Brokers that die, freeze and come back, topics made anew, networks that swallow; with brokers of its own.
test-faults:
    .ci/run faults

# The daemon with the shipped settings, no Kafka needed.
run *arguments:
    cargo run --release -- {{ arguments }}

# The same on the Kafka of `just kafka-start`.
run-kafka *arguments:
    cargo run --release -- --set transport.kind=kafka --set transport.kafka.brokers='["127.0.0.1:19092"]' {{ arguments }}

# A real Apache Kafka on 127.0.0.1:19092; needs Java and Maven.
kafka-start:
    tests/kafka/kafka start --port 19092

kafka-stop:
    tests/kafka/kafka stop --port 19092

# Every release of Kafka that is supported, into the table of docs/kafka.md; a quarter of an hour; needs a JDK, Maven and Go.
kafka-matrix:
    .ci/run release
    tests/kafka/matrix --write

# The page of `thalweg compare` in a real browser.
test-report:
    .ci/run release report

# Rows of the serializers of four languages; needs Python, a JDK, Maven, node and go.
test-producers:
    .ci/run release producers

# A real schema registry and serializers that ask it; needs Python, a JDK and Maven.
test-registry:
    .ci/run release registry

# Licences, sources and known holes of the dependencies; needs cargo-deny and, for the holes, the network.
deny:
    cargo deny check

# Samples a second of each kind of model, in memory.
bench-engine:
    cargo bench --bench engine

# Writes docs/engine.md: speed and accuracy beside River, in about half an hour; needs Python 3.11. --quick to try it.
bench-engine-table *arguments:
    benches/engine_table {{ arguments }}

# Writes docs/accuracy.md: the mixture and its experts beside the best of River, in about an hour. --quick to try it.
bench-accuracy *arguments:
    benches/accuracy {{ arguments }}

# Writes docs/performance.md: the whole beside plain copies and the Python stacks, on a broker of its own, in an hour.
bench-pipeline *arguments:
    benches/pipeline_table {{ arguments }}

# Draws target/flamegraph.svg: where the daemon's CPU time goes over a backlog on Kafka. Needs perf and inferno.
flamegraph *arguments:
    benches/flamegraph {{ arguments }}

# Instructions of the hot loops against benches/instructions.tsv; --accept writes it. Needs valgrind.
bench-instructions *arguments:
    benches/instructions {{ arguments }}

# Looks for bytes that a restore does not survive, for so many seconds; needs cargo-fuzz and a nightly compiler.
fuzz-restore seconds="300":
    cargo test --locked -p thalweg-pipeline --test stream restore_corrupted:: -- --ignored
    cargo +nightly fuzz run -s none restore -- -max_len=150000 -timeout=20 -malloc_limit_mb=512 -max_total_time={{ seconds }}

# Looks for records that break the decoder or the processor, likewise.
fuzz-decode seconds="300":
    cargo test --locked --test daemon hostile_input:: -- --ignored
    cargo +nightly fuzz run -s none decode -- -max_len=4096 -timeout=20 -malloc_limit_mb=512 -max_total_time={{ seconds }}

# Looks for records of other formats, and for schemas, that break their readers, likewise: avro, protobuf or schemas.
fuzz-format target seconds="300":
    cargo +nightly fuzz run -s none {{ target }} -- -max_len=4096 -timeout=20 -malloc_limit_mb=512 -max_total_time={{ seconds }}

# Looks for answers of a broker that break the reading of records, likewise.
fuzz-kafka-records seconds="300":
    cargo test --locked --lib kafka::records -- --ignored
    cargo +nightly fuzz run -s none kafka_records -- -max_len=4096 -timeout=20 -malloc_limit_mb=512 -max_total_time={{ seconds }}
