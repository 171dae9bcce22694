//! Logging in by name and password (SASL).

use rskafka::{
    client::{Credentials, SaslConfig, error::RequestError},
    messenger::{Messenger, SaslError},
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    config::{Sasl, SaslMechanism},
    fault::{Fault, Try},
};

/// Logs in at `broker`.
pub(crate) async fn login<S>(messenger: &Messenger<S>, broker: &str, sasl: &Sasl) -> Try<()>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    // The library keeps this copy of the password as plain text for as long as the login takes.
    let credentials = Credentials::new(sasl.username.clone(), sasl.password.reveal().to_owned());
    let config = match sasl.mechanism {
        SaslMechanism::Plain => SaslConfig::Plain(credentials),
        SaslMechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
        SaslMechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
    };
    messenger.do_sasl(config).await.map_err(|error| refused(broker, error))
}

/// Judges a login that failed: for good, unless it was the connection that did.
fn refused(broker: &str, error: SaslError) -> Fault {
    let action = format!("logging in at {broker}");
    match error {
        SaslError::RequestError(error @ RequestError::NoVersionMatch { .. }) => Fault::of_request(&action, &error),
        SaslError::RequestError(error) => Fault::transient(format!("{action}: {error}")),
        SaslError::ApiError(code) => Fault::of_login(&action, Some(code), code.to_string()),
        error => Fault::of_login(&action, None, error.to_string()),
    }
}
