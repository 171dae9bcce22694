//! Assigns partitions of the samples topic to this process, while it runs.
//!
//! Invariant: a partition has one worker at most in all processes together. So a transport that revokes it waits for
//! [`Revoked::drained`], or for the deadline to pass, before another process gets it.
//! What this does not do: choose the process of a partition, which the transport does.

use std::{future::Future, time::Duration};

use tokio::sync::oneshot;

use crate::Error;

/// Change of the partitions that this process works on.
#[derive(Debug)]
pub enum Assignment {
    /// Work on these partitions, too.
    Assigned(Vec<Assigned>),
    /// Work on these partitions no longer.
    Revoked(Revoked),
}

impl Assignment {
    /// Assigns partitions that were there from the beginning.
    pub fn of(partitions: impl IntoIterator<Item = i32>) -> Self {
        let assigned = |partition| Assigned { partition, is_new: false };
        Assignment::Assigned(partitions.into_iter().map(assigned).collect())
    }
}

/// A partition to work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// Its number.
    pub partition: i32,
    /// True where it was added to the topic after the first start. Nobody can have meant to skip its records, so it is
    /// read from its beginning whatever `start` says.
    pub is_new: bool,
}

/// Partitions that go to another process.
#[derive(Debug)]
pub struct Revoked {
    /// Their numbers.
    pub partitions: Vec<i32>,
    /// Time within which their workers have to publish and save what they hold.
    pub within: Duration,
    /// Signalled, or dropped, once nothing more is published for these partitions.
    pub drained: oneshot::Sender<()>,
}

/// Stream of assignment changes; the first one holds the initial partitions.
pub trait Assignments: Send + 'static {
    /// Returns the next change. It waits as long as there is none, and dropping the future loses none.
    ///
    /// # Errors
    /// An error that needs a person.
    fn next(&mut self) -> impl Future<Output = Result<Assignment, Error>> + Send;
}

/// An assignment that never changes.
#[derive(Clone, Debug)]
pub struct Fixed(Option<Vec<i32>>);

impl Fixed {
    /// Assigns these partitions.
    pub fn of(partitions: impl IntoIterator<Item = i32>) -> Self {
        Self(Some(partitions.into_iter().collect()))
    }
}

impl Assignments for Fixed {
    async fn next(&mut self) -> Result<Assignment, Error> {
        match self.0.take() {
            Some(partitions) => Ok(Assignment::of(partitions)),
            None => std::future::pending().await,
        }
    }
}
