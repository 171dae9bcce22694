//! What a request that failed means, and which key of the settings to change.

use std::{error::Error, io};

use hyper::StatusCode;
use rustls::{AlertDescription, CertificateError};

use super::{Config, Credential, Login, Purpose};

/// Says what is wrong where encryption was not agreed on.
pub(super) fn of_handshake(error: &io::Error, config: &Config) -> String {
    let advice = match encryption(error) {
        Some(rustls::Error::InvalidCertificate(why)) => of_certificate(why),
        Some(rustls::Error::InvalidMessage(_)) => {
            "what answers there does not speak TLS; check schema.registry.url: http://, or another port"
        }
        Some(rustls::Error::AlertReceived(alert)) if is_about_ours(*alert) => of_ours(config),
        _ => return error.to_string(),
    };
    format!("{error}: {advice}")
}

/// Says what is wrong where a request had no answer over a connection. Since TLS 1.3 a registry may refuse the certificate of a client
/// after the handshake.
pub(super) fn of_request(error: &hyper::Error, config: &Config) -> String {
    let causes = std::iter::successors(error.source(), |cause| (**cause).source());
    let mut failures = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    if let Some((failure, rustls::Error::AlertReceived(alert))) =
        failures.find_map(|failure| encryption(failure).map(|inner| (failure, inner)))
        && is_about_ours(*alert)
    {
        return format!("{failure}: {}", of_ours(config));
    }
    let is_plain = !config.url.starts_with("https:");
    if is_plain && (error.is_parse() || error.is_incomplete_message()) {
        return format!(
            "{error}: what answers there does not speak HTTP; check schema.registry.url: https://, or another port"
        );
    }
    error.to_string()
}

/// Says what to check where the registry refuses a request; empty where no key helps.
pub(super) fn of_status(status: StatusCode, config: &Config, purpose: Purpose) -> &'static str {
    match (status, &config.login) {
        (StatusCode::UNAUTHORIZED, None) => "; it wants a login: set schema.registry.username and password, or token",
        (StatusCode::UNAUTHORIZED, Some(Login::Password { password: Credential::File(_), .. })) => {
            "; check schema.registry.username and password_file"
        }
        (StatusCode::UNAUTHORIZED, Some(Login::Password { .. })) => "; check schema.registry.username and password",
        (StatusCode::UNAUTHORIZED, Some(Login::Token(Credential::File(_)))) => "; check schema.registry.token_file",
        (StatusCode::UNAUTHORIZED, Some(Login::Token(_))) => "; check schema.registry.token",
        (StatusCode::FORBIDDEN, None) => "; it may want a login: schema.registry.username and password, or token",
        (StatusCode::FORBIDDEN, Some(_)) if purpose == Purpose::Registering => {
            "; it knows the login of schema.registry, which needs the right to register under the subject, unless somebody registers what \
             `thalweg schema` prints there"
        }
        (StatusCode::FORBIDDEN, Some(_)) => {
            "; it knows the login of schema.registry, which needs the right to read all schemas there"
        }
        _ if status.is_redirection() => "; it is elsewhere: check schema.registry.url",
        _ => "",
    }
}

fn encryption(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// Says whether an alert is about the certificate of ours, or its absence.
fn is_about_ours(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::DecryptError
    )
}

fn of_ours(config: &Config) -> &'static str {
    if config.identity.is_some() {
        "the registry does not accept our certificate; check schema.registry.cert_file and key_file: it must be of an authority that \
         the registry trusts, and not have expired"
    } else {
        "the registry wants a certificate of ours; set schema.registry.cert_file and key_file"
    }
}

/// Says what is wrong with the certificate that a registry shows.
fn of_certificate(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the registry's certificate is for another host; write a name that it is for in schema.registry.url"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the registry's certificate has expired; the registry needs a new one, unless this machine's clock is wrong"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the registry's certificate is not valid yet; is this machine's clock right?"
        }
        CertificateError::UnknownIssuer => {
            "the registry's certificate is of an authority that is not trusted here; name a file with the authority's certificate in \
             schema.registry.ca_file"
        }
        _ => {
            "the registry's certificate is not accepted; check schema.registry.ca_file, and the host in schema.registry.url"
        }
    }
}
