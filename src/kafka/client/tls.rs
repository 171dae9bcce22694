//! Encryption: who vouches for a broker, the certificate of ours, and what is wrong where there is none.

use std::{io, path::Path, sync::Arc};

use rskafka::{
    client::error::RequestError,
    protocol::frame::{ReadError, WriteError},
};
use rustls::{AlertDescription, CertificateError, ClientConfig, ConfigBuilder, RootCertStore, client::WantsClientCert};

use super::{
    config::{Identity, Tls},
    fault::{Fault, Refusal},
    pem::{self, Unreadable},
};

const SETTING_UP: &str = "setting up TLS";

/// Reads the certificates and the key that the settings name, and those of the system where they name none.
pub(crate) fn client_config(tls: &Tls) -> Result<ClientConfig, Refusal> {
    let builder = builder(tls.ca_file.as_deref(), "transport.kafka.tls.ca_file")?;
    match &tls.identity {
        None => Ok(builder.with_no_client_auth()),
        Some(Identity { cert_file, key_file, key_password }) => {
            let key = pem::key(key_file, key_password.as_ref())?;
            builder.with_client_auth_cert(pem::certificates(cert_file)?, key).map_err(|error| {
                let (cert, key) = (cert_file.display(), key_file.display());
                let problem = format!("{cert} does not fit its key, {key}; name two that were made together");
                Refusal::access(SETTING_UP, &problem, error.to_string())
            })
        }
    }
}

/// Makes the configuration of a client without a certificate, which trusts the authorities of a file, or the system's where
/// none is named by `key`.
pub(super) fn trusting(ca_file: Option<&Path>, key: &str) -> Result<ClientConfig, Refusal> {
    Ok(builder(ca_file, key)?.with_no_client_auth())
}

fn builder(ca_file: Option<&Path>, key: &str) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Refusal> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder =
        builder.map_err(|error| Refusal::access(SETTING_UP, "the TLS versions do not fit", error.to_string()))?;
    Ok(builder.with_root_certificates(authorities(ca_file, key)?))
}

/// Reads the certificates of a file that vouch for others, or the system's where none is named by `key`.
fn authorities(ca_file: Option<&Path>, key: &str) -> Result<RootCertStore, Refusal> {
    let mut roots = RootCertStore::empty();
    let Some(file) = ca_file else {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let problem = format!(
                "this system's certificates were not found; name them in {key}, or in the environment variable SSL_CERT_FILE or \
                 SSL_CERT_DIR"
            );
            let reason = found.errors.first().map_or("no certificates".to_owned(), ToString::to_string);
            return Err(Refusal::access(SETTING_UP, &problem, reason));
        }
        return Ok(roots);
    };
    for (i, certificate) in pem::certificates(file)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| {
            let problem = format!("certificate {} in {} is not usable; take it out", i + 1, file.display());
            Refusal::access(SETTING_UP, &problem, error.to_string())
        })?;
    }
    Ok(roots)
}

impl From<Unreadable> for Refusal {
    fn from(Unreadable { problem, reason }: Unreadable) -> Self {
        Refusal::access(SETTING_UP, &problem, reason)
    }
}

/// Says whether a handshake failed over the certificate of the other side.
pub(super) fn is_about_certificate(error: &io::Error) -> bool {
    matches!(error_of(error), Some(rustls::Error::InvalidCertificate(_)))
}

/// Says whether a handshake failed since the other side speaks another protocol, or hung up at the first byte of it.
pub(crate) fn is_other_protocol(error: &io::Error) -> bool {
    matches!(error_of(error), Some(rustls::Error::InvalidMessage(_))) || error.kind() == io::ErrorKind::UnexpectedEof
}

/// Judges a handshake that failed. What has to do with certificates is the same at the next try.
pub(crate) fn of_handshake(broker: &str, tls: &Tls, error: &io::Error) -> Fault {
    match error_of(error) {
        Some(rustls::Error::InvalidCertificate(why)) => {
            Fault::access(&format!("encrypting the connection to {broker}"), unacceptable(why), error.to_string())
        }
        Some(rustls::Error::InvalidMessage(_)) => Fault::transient(format!(
            "{broker}: {error}: what answers there does not speak TLS, and is no broker; check transport.kafka.brokers"
        )),
        _ if error.kind() == io::ErrorKind::UnexpectedEof => Fault::transient(format!(
            "{broker}: {error}: it ended the connection before encryption was agreed on; if this stays so, check that \
             transport.kafka.brokers names the encrypted port"
        )),
        _ => of_alert(broker, tls, error).unwrap_or_else(|| Fault::transient(format!("{broker}: {error}"))),
    }
}

/// Judges the first request that failed over an encrypted connection: since TLS 1.3 a broker may refuse the certificate of a
/// client after the handshake. `None` where it was not that.
pub(crate) fn of_first_request(broker: &str, tls: &Tls, error: &RequestError) -> Option<Fault> {
    of_alert(broker, tls, io_error(error)?)
}

/// Returns the failure of the connection behind that of a request. The library keeps it whole, inside the variants of its
/// errors and not as their `source`.
fn io_error(error: &RequestError) -> Option<&io::Error> {
    match error {
        RequestError::Poisoned(first) => io_error(first),
        RequestError::IO(error)
        | RequestError::ReadFramedMessageError(ReadError::IO(error))
        | RequestError::WriteMessageError(WriteError::IO(error)) => Some(error),
        _ => None,
    }
}

fn error_of(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// Judges an alert of the broker's about the certificate of ours, or its absence.
fn of_alert(broker: &str, tls: &Tls, error: &io::Error) -> Option<Fault> {
    let Some(rustls::Error::AlertReceived(alert)) = error_of(error) else { return None };
    let about_certificates = matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
    );
    let problem = if tls.identity.is_some() {
        "the broker does not accept our certificate; check transport.kafka.tls.cert_file and key_file: it must be of an \
         authority that the broker trusts, and not have expired"
    } else {
        "the broker wants a certificate of ours; set transport.kafka.tls.cert_file and key_file"
    };
    let action = format!("encrypting the connection to {broker}");
    about_certificates.then(|| Fault::access(&action, problem, error.to_string()))
}

/// Says what is wrong with the certificate that a broker shows.
fn unacceptable(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the broker's certificate is for another host; in transport.kafka.brokers, and in the broker's \
             advertised.listeners, write a name that its certificate is for"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the broker's certificate has expired; the broker needs a new one, unless this machine's clock is wrong. Nothing in \
             transport.kafka.tls helps"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the broker's certificate is not valid yet; is this machine's clock right? Nothing in transport.kafka.tls helps"
        }
        CertificateError::UnknownIssuer => {
            "the broker's certificate is of an authority that is not trusted here; name a file with the authority's certificate \
             in transport.kafka.tls.ca_file"
        }
        _ => {
            "the broker's certificate is not accepted; check transport.kafka.tls.ca_file, and that the broker's name in \
             transport.kafka.brokers and its advertised.listeners is one that its certificate is for"
        }
    }
}

#[cfg(test)]
mod tests {
    use rskafka::protocol::api_key::ApiKey;

    use super::*;

    fn alert(alert: AlertDescription) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, rustls::Error::AlertReceived(alert))
    }

    /// A request that met `error` on a connection that has been given up since.
    fn poisoned(error: io::Error) -> RequestError {
        let read = RequestError::ReadFramedMessageError(ReadError::IO(error));
        RequestError::Poisoned(Arc::new(RequestError::Poisoned(Arc::new(read))))
    }

    #[test]
    fn an_alert_about_our_certificate_is_known_however_deep_the_library_keeps_it() {
        let identity = Identity { cert_file: "chain".into(), key_file: "key".into(), key_password: None };
        let (none, shown) = (Tls::default(), Tls { identity: Some(identity), ..Tls::default() });
        for (tls, words) in [(&none, "wants a certificate"), (&shown, "does not accept our certificate")] {
            let late = of_first_request("b:1", tls, &poisoned(alert(AlertDescription::CertificateRequired)));
            let early = of_handshake("b:1", tls, &alert(AlertDescription::UnknownCA));
            for fault in [late.expect("about certificates"), early] {
                let Fault::Permanent(refusal) = fault else { panic!("{fault:?}") };
                assert!(refusal.problem.contains(words), "{refusal:?}");
            }
        }
    }

    #[test]
    fn other_ends_of_a_connection_pass_whatever_their_text_says() {
        let told = io::Error::other("received fatal alert: CertificateRequired");
        let others = [alert(AlertDescription::InternalError), told, io::ErrorKind::ConnectionReset.into()];
        for error in others {
            assert!(matches!(of_handshake("b:1", &Tls::default(), &error), Fault::Transient(_)), "{error}");
            assert!(of_first_request("b:1", &Tls::default(), &poisoned(error)).is_none());
        }
        let no_version = RequestError::NoVersionMatch { api_key: ApiKey::ApiVersions };
        assert!(of_first_request("b:1", &Tls::default(), &no_version).is_none());
    }
}
