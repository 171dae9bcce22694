#!/usr/bin/env bash
# pkcs8 0.10.2 (pkcs5 0.7.1): decrypting a private key with a wrong password gives the error EncryptFailed, "PKCS#5 encryption
# failed". Expected was DecryptFailed, which is there too, and which pkcs8 0.11.0 (pkcs5 0.8.1) gives. Whoever shows the
# message tells people that something could not be encrypted, where all they did was mistype a password, and whoever looks
# for DecryptFailed never sees it.
#
# Seen: EncryptedPrivateKey(EncryptFailed) of 0.10.2, EncryptedPrivateKey(DecryptFailed) of 0.11.0, for the same key. Needs cargo.
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
later = { package = "pkcs8", version = "=0.11.0", features = ["encryption"] }
later_pkcs5 = { package = "pkcs5", version = "=0.8.1" }
pkcs5 = "=0.7.1"
pkcs8 = { version = "=0.10.2", features = ["encryption"] }

[workspace]
TOML
cat >"$folder/client/src/main.rs" <<'RUST'
use pkcs8::{EncryptedPrivateKeyInfo, ObjectIdentifier, PrivateKeyInfo, spki::AlgorithmIdentifierRef};

fn main() {
    let ed25519 = AlgorithmIdentifierRef { oid: ObjectIdentifier::new_unwrap("1.3.101.112"), parameters: None };
    // An OCTET STRING of 32 bytes.
    let mut key = [7; 34];
    key[..2].copy_from_slice(&[4, 32]);
    // A fixed salt and IV: what a wrong password makes of the key ends in a good padding once in 256 times.
    let how = pkcs5::pbes2::Parameters::pbkdf2_sha256_aes256cbc(2048, &[1; 16], &[2; 16]).expect("parameters");
    let sealed = PrivateKeyInfo::new(ed25519, &key).encrypt_with_params(how, "right").expect("an encrypted key");
    let now = EncryptedPrivateKeyInfo::try_from(sealed.as_bytes()).expect("an encrypted key");
    let later = later::EncryptedPrivateKeyInfoRef::try_from(sealed.as_bytes()).expect("an encrypted key");
    for password in ["right", "wrong"] {
        let opened = now.decrypt(password).map(|it| it.as_bytes().len());
        println!("0.10.2, {password}: {opened:?}{}", opened.as_ref().err().map_or(String::new(), |it| format!(", {it}")));
        let opened = later.decrypt(password).map(|it| it.as_bytes().len());
        println!("0.11.0, {password}: {opened:?}{}", opened.as_ref().err().map_or(String::new(), |it| format!(", {it}")));
    }
}
RUST
cargo run --quiet --manifest-path "$folder/client/Cargo.toml" | tee "$folder/said"
grep -qxF '0.10.2, right: Ok(48)' "$folder/said"
grep -qxF '0.11.0, right: Ok(48)' "$folder/said"
grep -qxF '0.11.0, wrong: Err(EncryptedPrivateKey(DecryptFailed)), PKCS#5 decryption failed' "$folder/said"
grep -qxF '0.10.2, wrong: Err(EncryptedPrivateKey(EncryptFailed)), PKCS#5 encryption failed' "$folder/said" ||
  { echo "the error is another now" >&2; exit 1; }
