//! Opens the dead letters of whichever transport is set, for the command line.

use futures_util::{FutureExt, future::LocalBoxFuture};
use thalweg_embedded::EmbeddedDeadLetters;
use thalweg_kafka::KafkaDeadLetters;
use thalweg_settings::{Settings, Transport};
use thalweg_store as store;
use thalweg_topic as topic;
use thalweg_topic::dead_letters::{self, DeadLetter, Retried, Selection, Summary};

/// The reason why dead letters cannot be shown or sent back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Failure of the transport.
    #[error(transparent)]
    Transport(#[from] topic::Error),
    /// A daemon holds the state file.
    #[error(
        "process {pid} works on the state file; with the embedded transport, dead letters go back only while the daemon \
         rests. Stop it (Ctrl-C, or systemctl stop thalweg), retry, and start it again"
    )]
    Running {
        /// Process that holds it.
        pid: String,
    },
    /// Failure of the output.
    #[error("dead letters cannot be written out")]
    Output(#[from] std::io::Error),
}

/// Passes every dead letter of `selection` to `see`, partition by partition, oldest first. A daemon may run meanwhile.
///
/// # Errors
/// Fails if the letters cannot be read, or with the error of `see`.
pub fn list<'a>(
    settings: &'a Settings,
    selection: &'a Selection,
    see: &'a mut dyn FnMut(DeadLetter) -> Result<(), Error>,
) -> LocalBoxFuture<'a, Result<Summary, Error>> {
    let topics = settings.topics.clone();
    async move {
        match &settings.transport {
            Transport::Embedded(_) => {
                let mut letters = EmbeddedDeadLetters::open(topics, &settings.state.path)?;
                dead_letters::list(&mut letters, selection, see).await
            }
            Transport::Kafka(config) => {
                let mut letters = KafkaDeadLetters::open(config.as_ref().clone(), topics).await?;
                dead_letters::list(&mut letters, selection, see).await
            }
        }
    }
    .boxed_local()
}

/// Sends the dead letters of `selection` back to the samples topic.
///
/// # Errors
/// [`Error::Running`] if the daemon has to be stopped first, and the transport's.
pub fn retry<'a>(settings: &'a Settings, selection: &'a Selection) -> LocalBoxFuture<'a, Result<Retried, Error>> {
    let topics = settings.topics.clone();
    async move {
        match &settings.transport {
            Transport::Embedded(config) => {
                let opened = EmbeddedDeadLetters::open_to_retry(config.clone(), topics, &settings.state);
                let mut letters = opened.map_err(|error| match error {
                    topic::Error::Store(store::Error::InUse { pid, .. }) => Error::Running { pid },
                    other => other.into(),
                })?;
                Ok(dead_letters::retry(&mut letters, selection).await?)
            }
            Transport::Kafka(config) => {
                let mut letters = KafkaDeadLetters::open(config.as_ref().clone(), topics).await?;
                Ok(dead_letters::retry(&mut letters, selection).await?)
            }
        }
    }
    .boxed_local()
}
