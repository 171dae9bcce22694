#!/usr/bin/env bash
# time 0.3.55 (Rust) with its feature `serde`: a moment is written as an array, and as text as soon as any crate of the same build asks
# for `serde-human-readable`, since Cargo joins the features of all. Expected was that a program writes what it wrote before when it
# takes in a library that has no part in its own records. The text is none that RFC 3339 or ISO 8601 knows, with an offset of three
# parts; neither chrono 0.4.45 nor jiff 1.0.2 reads it.
#
# Seen: [2026,88,1,30,7,500456000,5,30,0] alone, "2026-03-29 01:30:07.500456 +05:30:00" beside the other library.
#
# Needs Cargo.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder"/{mine,other}/src
cat >"$folder/Cargo.toml" <<'TOML'
[workspace]
members = ["mine", "other"]
resolver = "3"
TOML
cat >"$folder/other/Cargo.toml" <<'TOML'
[package]
name = "other"
version = "0.0.0"
edition = "2024"

[dependencies]
time = { version = "=0.3.55", features = ["serde-human-readable"] }
TOML
cat >"$folder/mine/Cargo.toml" <<'TOML'
[package]
name = "mine"
version = "0.0.0"
edition = "2024"

[features]
other = ["dep:other"]

[dependencies]
chrono = "=0.4.45"
jiff = "=1.0.2"
other = { path = "../other", optional = true }
serde_json = "=1.0.154"
time = { version = "=0.3.55", features = ["serde", "macros"] }
TOML
touch "$folder/other/src/lib.rs"
cat >"$folder/mine/src/main.rs" <<'RUST'
fn main() {
    let moment = time::macros::datetime!(2026-03-29 01:30:07.500456 +05:30);
    let written = serde_json::to_string(&moment).unwrap();
    println!("{written}");
    if let Ok(text) = serde_json::from_str::<String>(&written) {
        assert!(chrono::DateTime::parse_from_rfc3339(&text).is_err() && text.parse::<chrono::DateTime<chrono::Utc>>().is_err());
        assert!(text.parse::<jiff::Timestamp>().is_err());
    }
}
RUST
export CARGO_TARGET_DIR="$folder/target"
alone="$(cd "$folder/mine" && cargo run --quiet)"
beside="$(cd "$folder/mine" && cargo run --quiet --features other)"
echo "alone:  $alone"
echo "beside: $beside"
[[ "$alone" == "[2026,88,1,30,7,500456000,5,30,0]" && "$beside" == '"2026-03-29 01:30:07.500456 +05:30:00"' ]]
