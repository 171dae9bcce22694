//! Topics in the state file, read beside the daemon without a lock.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tokio::sync::watch;

use super::{EmbeddedReader, Table};
use thalweg_store::StateReader;
use thalweg_topic::{Error, Source};

/// Topics of a state file, which a daemon may use at the same time.
#[derive(Debug)]
pub struct EmbeddedTopics {
    path: PathBuf,
}

impl EmbeddedTopics {
    /// Opens a state file for reading.
    ///
    /// # Errors
    /// When there is no state file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        StateReader::open(path)?;
        Ok(Self { path: path.to_owned() })
    }

    fn connect(&self) -> Result<Connection, Error> {
        Ok(StateReader::open(&self.path)?.into_connection())
    }
}

impl Source for EmbeddedTopics {
    type Reader = EmbeddedReader;

    async fn partitions(&self, topic: &str) -> Result<i32, Error> {
        partitions(&self.connect()?, topic, &self.path)
    }

    async fn reader(&self, topic: &str, partition: i32) -> Result<EmbeddedReader, Error> {
        // This process is not told when the daemon appends.
        let appended = watch::Sender::new(0);
        Ok(EmbeddedReader::new(self.connect()?, &self.path, topic, partition, appended))
    }
}

/// Returns the number of partitions of a topic that hold records.
pub(super) fn partitions(connection: &Connection, topic: &str, path: &Path) -> Result<i32, Error> {
    let failed = |source| thalweg_store::Error::of(path.to_owned(), "the topic cannot be read", source);
    if !super::dead_letters::has_table(connection, topic).map_err(failed)? {
        let path = path.display();
        let problem = format!("it is not in the state file {path}; has the daemon run with these settings?");
        return Err(Error::Topic { topic: topic.to_owned(), problem });
    }
    Ok(Table::new(topic).partitions(connection).map_err(failed)?)
}
