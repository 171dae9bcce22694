#!/usr/bin/env bash
# rsasl 2.3.1, OAUTHBEARER: when a server has refused a token and said why, the client's last message is empty, while the state it
# returns is Finished(Yes), which stands for "a message was written". Expected was the byte 1, which RFC 7628 (3.2.3) has a client
# send so that the server can end the login. A caller who sends what was written sends nothing, or an empty message, which is not
# the one a server waits for: Kafka gives the reason of a refusal only after that byte. The first message ends as it should, with
# two bytes 1.
#
# Seen: Finished(Yes) with 0 bytes after {"status":"invalid_token"}. Needs cargo.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/client/src"
cat >"$folder/client/Cargo.toml" <<'TOML'
[package]
name = "client"
version = "0.0.0"
edition = "2024"

[dependencies]
rsasl = { version = "=2.3.1", default-features = false, features = ["config_builder", "oauthbearer", "provider", "std"] }

[workspace]
TOML
cat >"$folder/client/src/main.rs" <<'RUST'
use rsasl::{
    callback::{Context, Request, SessionCallback, SessionData},
    mechanisms::oauthbearer::properties::OAuthBearerErrored,
    mechname::Mechname,
    prelude::{SASLClient, SASLConfig, SessionError},
    property::OAuthBearerToken,
};

struct Token;

impl SessionCallback for Token {
    fn callback(&self, _: &SessionData, _: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        request.satisfy::<OAuthBearerToken>("abc")?;
        if let Some(error) = request.get_action::<OAuthBearerErrored>() {
            println!("told: {}", error.status);
        }
        Ok(())
    }
}

fn main() {
    let config = SASLConfig::builder().with_defaults().with_callback(Token).expect("a config");
    let name = Mechname::parse(b"OAUTHBEARER").expect("a name");
    let mut session = SASLClient::new(config).start_suggested(&[name]).expect("a session");
    for said in [None, Some(br#"{"status":"invalid_token"}"#.as_slice())] {
        let mut written = Vec::new();
        let state = session.step(said, &mut written).expect("a state");
        println!("{state:?}: {:?}", String::from_utf8_lossy(&written));
    }
}
RUST
cargo run --quiet --manifest-path "$folder/client/Cargo.toml" | tee "$folder/said"
grep -qxF 'Running: "n,,\u{1}auth=Bearer abc\u{1}\u{1}"' "$folder/said"
grep -qxF 'told: invalid_token' "$folder/said"
grep -qxF 'Finished(Yes): ""' "$folder/said" || { echo "the last message is another now" >&2; exit 1; }
