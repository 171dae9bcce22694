//! Encryption: who vouches for the registry, and the certificate that this client shows.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::Config;

/// Reads the certificates that the settings name, and those of the system where they name none.
///
/// # Errors
/// The key, and what is wrong with its file.
pub(super) fn client_config(config: &Config) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("the TLS versions do not fit: {error}"))?;
    let builder = builder.with_root_certificates(authorities(config.ca_file.as_deref())?);
    let Some((cert_file, key_file)) = &config.identity else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|error| format!("key_file: {} holds no key that can be read: {error}", key_file.display()))?;
    builder.with_client_auth_cert(certificates(cert_file, "cert_file")?, key).map_err(|error| {
        let (cert, key) = (cert_file.display(), key_file.display());
        format!("cert_file: {cert} does not fit its key, {key}; name two that were made together: {error}")
    })
}

fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            for certificate in certificates(file, "ca_file")? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("ca_file: a certificate in {} is not usable: {error}", file.display()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("ca_file: this system's certificates were not found; name them here".to_owned());
            }
        }
    }
    Ok(roots)
}

fn certificates(file: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => {
            Err(format!("{key}: there is no certificate in {}; name a file in PEM", file.display()))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(format!("{key}: {} cannot be read: {error}", file.display())),
    }
}
