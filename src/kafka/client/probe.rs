//! A second look at a port that has hung up, so that what is wrong is known and not guessed.
//!
//! Invariant: no credentials are sent, and nothing here lasts longer than a moment.
//! What this does not do: work with what it finds.

use std::time::Duration;

use rskafka::{client::error::ProtocolError, messenger::Messenger, protocol::messages::SaslHandshakeRequest};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufStream},
    net::TcpStream,
    time::timeout,
};

use super::{fault::Try, versions};

const PATIENCE: Duration = Duration::from_secs(2);
/// An answer here is a list of versions, of a few kilobytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// A way to log in that no broker has, so that it names those that it has.
const NO_MECHANISM: &str = "NONE";

/// Says whether a Kafka broker answers at `broker` without encryption.
pub(super) async fn is_plain(broker: &str) -> bool {
    let greeted = async {
        let socket = TcpStream::connect(broker).await.ok()?;
        let mut messenger = Messenger::new(BufStream::new(socket), MAX_ANSWER_BYTES, "".into());
        versions::agree(&mut messenger).await.ok().map(drop)
    };
    matches!(timeout(PATIENCE, greeted).await, Ok(Some(())))
}

/// Returns the ways to log in that a port offers, over a new connection to it; `None` where it wants none, or does not say.
pub(super) async fn logins<S>(connecting: impl Future<Output = Try<Messenger<S>>>) -> Option<Vec<String>>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let asked = async { connecting.await.ok()?.request(SaslHandshakeRequest::new(NO_MECHANISM)).await.ok() };
    let answer = timeout(PATIENCE, asked).await.ok()??;
    if answer.error_code != Some(ProtocolError::UnsupportedSaslMechanism) {
        return None;
    }
    Some(answer.mechanisms.0?.into_iter().map(|mechanism| mechanism.0).collect())
}
