//! What the worker needs of a schema registry; whoever speaks to one does it elsewhere.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use thalweg_metrics::checked;

use crate::decode::{Definition, SchemaId};

/// A registry's answer about an id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The schema.
    Found(Definition),
    /// It has no such schema.
    Unknown,
    /// It has one that cannot be used, and why.
    Unusable(String),
}

checked!(
    enum Answer {
        Found(definition),
        Unknown,
        Unusable(problem),
    }
);

impl Answer {
    /// Reads what a state file has of one; `None` where it is damaged.
    pub fn noted(bytes: &[u8]) -> Option<Self> {
        thalweg_state::read(bytes).ok()
    }
}

/// The reason why there is no answer at the moment, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away(pub String);

/// Gives schemas by their ids.
pub trait Registry: fmt::Debug + Send + Sync {
    /// Asks for a schema, once.
    fn schema(&self, id: SchemaId) -> BoxFuture<'_, Result<Answer, Away>>;

    /// Returns the time after which an id that was unknown is asked for again.
    fn asks_again_after(&self) -> Duration;
}
