//! Writes and reads checkpoints of the state file, which keeps them as bytes.

use std::io::{self, Write};

use thalweg_store::{Error, Place, State, Store};
use thalweg_topic::{Outputs, Savepoint};

use crate::checkpoint::Checkpoint;

impl State for Checkpoint {
    fn place(&self) -> Place<'_> {
        let Self { topic, partition, position, settings, .. } = self;
        Place { topic, partition: *partition, position: *position, settings: *settings }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        thalweg_state::write(self, out)
    }
}

impl Savepoint for Checkpoint {
    fn stand_at(&mut self, outputs: Outputs) {
        (self.outputs, self.numbers, self.topics) = (outputs.offsets, outputs.sequences, outputs.topics);
    }
}

/// Reads a checkpoint from its bytes, or says what is wrong with them.
///
/// # Errors
/// For people.
pub fn read(state: &[u8]) -> Result<Checkpoint, String> {
    thalweg_state::read(state).map_err(|error| error.to_string())
}

/// Returns the newest intact checkpoint of a partition; `None` where it has none at all.
///
/// # Errors
/// As [`Store::newest`].
pub fn load(store: &Store, topic: &str, partition: i32) -> Result<Option<Checkpoint>, Error> {
    store.newest(topic, partition, &read)
}

/// Summary of a checkpoint.
#[derive(Debug)]
pub struct Content {
    /// Samples learned from.
    pub version: u64,
    /// Names of the models.
    pub models: Vec<String>,
}

impl Content {
    /// Reads the summary from a checkpoint's bytes, or says what is wrong with them.
    ///
    /// # Errors
    /// For people.
    pub fn read(state: &[u8]) -> Result<Self, String> {
        let race = &read(state)?.prequential;
        Ok(Self { version: race.version(), models: race.names().map(ToString::to_string).collect() })
    }
}

/// A checkpoint that was restored as the newest.
#[derive(Debug)]
pub struct Restored {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// True where its position was moved, because the topic was re-created after it had been written.
    pub moved: bool,
}

/// Saves the learned state of checkpoint `id` of `topic` as the newest checkpoint of its partition, so that the next
/// start continues with it: from its position, or, where the topic was re-created since, from that of the newest.
/// Returns the saved checkpoint.
///
/// # Errors
/// [`Error::NoCheckpoint`], [`Error::Damaged`], or when SQLite fails.
pub fn restore(store: &Store, id: i64, topic: &str) -> Result<Restored, Error> {
    let mut checkpoint = store.one(id, topic, &read)?;
    checkpoint.relearn = false;
    let newest = load(store, topic, checkpoint.partition)?.filter(|newest| newest.generation != checkpoint.generation);
    let moved = newest.is_some();
    if let Some(newest) = newest {
        checkpoint = checkpoint.moved_to(&newest);
    }
    store.save_all(vec![Box::new(checkpoint.clone())])?;
    Ok(Restored { checkpoint, moved })
}

/// Makes the next start learn `topic` from its beginning. The checkpoints stay, so that they can be restored. Returns
/// the number of partitions.
///
/// # Errors
/// [`Error::Damaged`], or when SQLite fails.
pub fn relearn(store: &Store, topic: &str) -> Result<usize, Error> {
    let mut states: Vec<Box<dyn State>> = Vec::new();
    for partition in store.partitions(topic)? {
        if let Some(newest) = load(store, topic, partition)? {
            states.push(Box::new(Checkpoint { relearn: true, ..newest }));
        }
    }
    let partitions = states.len();
    store.save_all(states)?;
    Ok(partitions)
}
