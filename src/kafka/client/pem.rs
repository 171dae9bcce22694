//! Certificates and keys out of PEM files: several in one file, certificate and key in one, keys that are encrypted.
//!
//! Invariant: what cannot be read is told with the command that makes it readable, and no password is ever part of it.
//! What this does not do: judge whether anybody trusts them.

use std::{fs, path::Path};

use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument, pkcs5::Error as PasswordError};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer,
    pem::{Error as PemError, PemObject},
};

use super::config::Secret;

const ENCRYPTED: (&str, &str) = ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----END ENCRYPTED PRIVATE KEY-----");
/// A line by which keys are known that OpenSSL encrypted before it had PKCS #8.
const LEGACY_ENCRYPTION: &str = "Proc-Type: 4,ENCRYPTED";
/// First bytes of a keystore of Java's own format.
const JAVA_KEYSTORE: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
/// First byte of anything in DER, PKCS #12 among it.
const DER: u8 = 0x30;

/// A file that does not hold what it should.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// The problem, and what to do about it.
    pub(super) problem: String,
    /// The words of the library.
    pub(super) reason: String,
}

/// Reads all certificates of a file.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Unreadable> {
    let bytes = read(file)?;
    let found: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(of_other_kind(file, &bytes, "certificate", "there is none in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(of_other_kind(file, &bytes, "certificate", &error.to_string())),
    }
}

/// Reads the key of a file, which `password` opens where it is encrypted.
pub(super) fn key(file: &Path, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, Unreadable> {
    let bytes = read(file)?;
    let text = String::from_utf8_lossy(&bytes);
    let name = file.display();
    if text.contains(LEGACY_ENCRYPTION) {
        let problem = format!(
            "the key in {name} is encrypted in a way of old that is not read; convert it with `openssl pkcs8 -topk8 -in {name} \
             -out NEW`, and name the new file in transport.kafka.tls.key_file"
        );
        return Err(Unreadable { problem, reason: LEGACY_ENCRYPTION.to_owned() });
    }
    let (begin, end) = ENCRYPTED;
    let encrypted = text.find(begin).and_then(|from| {
        let length = text[from..].find(end)? + end.len();
        Some(&text[from..from + length])
    });
    match (encrypted, password) {
        (None, _) => PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
            PemError::NoItemsFound => of_other_kind(file, &bytes, "key", "there is none in it"),
            error => of_other_kind(file, &bytes, "key", &error.to_string()),
        }),
        (Some(_), None) => Err(Unreadable {
            problem: format!("the key in {name} is encrypted; set transport.kafka.tls.key_password"),
            reason: "no password".to_owned(),
        }),
        (Some(encrypted), Some(password)) => decrypted(file, encrypted, password),
    }
}

/// Decrypts a key in PKCS #8.
fn decrypted(file: &Path, pem: &str, password: &Secret) -> Result<PrivateKeyDer<'static>, Unreadable> {
    let name = file.display();
    let damaged = |error: pkcs8::der::Error| Unreadable {
        problem: format!("the encrypted key in {name} is damaged; take it from where it was made"),
        reason: error.to_string(),
    };
    let (_, document) = SecretDocument::from_pem(pem).map_err(damaged)?;
    let encrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes())
        .map_err(|error| Unreadable { problem: unsupported(file), reason: error.to_string() })?;
    match encrypted.decrypt(password.reveal()) {
        Ok(key) => Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into()),
        // A wrong password shows in the padding (pkcs5 0.7 then says that encryption failed), or in bytes that are no key.
        Err(
            error @ (pkcs8::Error::EncryptedPrivateKey(PasswordError::DecryptFailed | PasswordError::EncryptFailed)
            | pkcs8::Error::Asn1(_)),
        ) => {
            let problem = format!("transport.kafka.tls.key_password does not open the key in {name}");
            Err(Unreadable { problem, reason: error.to_string() })
        }
        Err(error) => Err(Unreadable { problem: unsupported(file), reason: error.to_string() }),
    }
}

fn unsupported(file: &Path) -> String {
    let name = file.display();
    format!(
        "the key in {name} is encrypted in a way that is not read; convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -in \
         {name} -out NEW`, and name the new file in transport.kafka.tls.key_file"
    )
}

/// Says what a file is that has no `wanted` in PEM.
fn of_other_kind(file: &Path, bytes: &[u8], wanted: &str, reason: &str) -> Unreadable {
    let name = file.display();
    let problem = if bytes.starts_with(&JAVA_KEYSTORE) {
        format!(
            "{name} is a keystore of Java's and not PEM; convert it with `keytool -importkeystore -srckeystore {name} \
             -destkeystore NEW.p12 -deststoretype PKCS12` and `openssl pkcs12 -in NEW.p12 -out NEW.pem`"
        )
    } else if bytes.first() == Some(&DER) {
        format!(
            "{name} is binary and not PEM; convert it with `openssl pkcs12 -in {name} -out NEW.pem` where it is a PKCS #12 store, \
             else with `openssl x509 -inform der -in {name} -out NEW.pem` or `openssl pkey -inform der -in {name} -out NEW.pem`"
        )
    } else {
        format!("{name} holds no readable {wanted}; it has to be a PEM file with one")
    };
    Unreadable { problem, reason: reason.to_owned() }
}

fn read(file: &Path) -> Result<Vec<u8>, Unreadable> {
    fs::read(file).map_err(|error| Unreadable {
        problem: format!("{} cannot be read", file.display()),
        reason: error.to_string(),
    })
}
