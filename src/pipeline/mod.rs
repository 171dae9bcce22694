//! From a partition of samples to predictions, dead letters and events.
//!
//! Reading order, with the data: [`decode`] (bytes to features) → [`prequential`] (predict, score, learn: the one place) →
//! [`encode`] and [`drafts`] (what is published) → [`processor`] (all of that for one record) → [`worker`] (one per partition:
//! where it goes on, with [`gap`]; fetch, process, publish) → [`checkpoint`] and [`checkpoints`] (what survives a restart) →
//! [`snapshot`] (what others may see of a worker).
//!
//! Invariant: nothing here knows which transport runs, and a worker alone owns its models.

pub mod checkpoint;
pub mod checkpoints;
pub mod decode;
pub mod encode;
pub mod gap;
pub mod pending_predictions;
pub mod prequential;
pub mod processor;
pub mod snapshot;
pub mod worker;
