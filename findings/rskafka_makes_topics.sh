#!/usr/bin/env bash
# rskafka 0.6.0 against Apache Kafka 4.1.2: Client::partition_client("misspelt", 0, UnknownTopicHandling::Error) returns the error
# UnknownTopicOrPartition, and the topic is there a moment later, with the broker's default number of partitions: asking for
# the leader lets the broker make the topic (auto.create.topics.enable is true unless set). Expected was an error and no more,
# as `Error` in the name says, and as Client::list_topics, which asks for all topics, makes none. Whoever waits for a topic
# with it brings a deleted one back. Needs Java, Maven and cargo.
set -euo pipefail

folder="$(mktemp -d)"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
port="${1:-29490}"
broker=("$here/../tests/kafka/kafka" --version 4.1.2 --port "$port" --dir "$folder/broker")
trap '"${broker[@]}" clean >/dev/null; rm -rf "$folder"' EXIT
"${broker[@]}" start
mkdir -p "$folder/client/src"
cat >"$folder/client/Cargo.toml" <<'TOML'
[package]
name = "client"
version = "0.0.0"
edition = "2024"

[dependencies]
rskafka = { version = "=0.6.0", default-features = false }
tokio = { version = "1", features = ["macros", "rt", "time"] }

[workspace]
TOML
cat >"$folder/client/src/main.rs" <<'RUST'
use rskafka::client::{ClientBuilder, partition::UnknownTopicHandling};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let brokers = vec![std::env::args().nth(1).expect("host:port")];
    let client = ClientBuilder::new(brokers).build().await.expect("a client");
    let names = async || client.list_topics().await.expect("topics").into_iter().map(|it| (it.name, it.partitions.len()));
    println!("topics before: {:?}", names().await.collect::<Vec<_>>());
    let asked = client.partition_client("misspelt", 0, UnknownTopicHandling::Error).await;
    println!("asked: {}", asked.err().map_or("a partition".to_owned(), |error| error.to_string()));
    for _ in 0..100 {
        if names().await.any(|(name, _)| name == "misspelt") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    println!("topics after: {:?}", names().await.collect::<Vec<_>>());
}
RUST
cargo run --quiet --manifest-path "$folder/client/Cargo.toml" -- "127.0.0.1:$port" | tee "$folder/said"
grep -qxF 'topics before: []' "$folder/said"
grep -q '^asked: .*UnknownTopicOrPartition' "$folder/said" || { echo "no error any more" >&2; exit 1; }
grep -qxF 'topics after: [("misspelt", 2)]' "$folder/said" || { echo "no topic is made any more" >&2; exit 1; }
