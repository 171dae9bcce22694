//! From a partition of samples to predictions, dead letters and events.
//!
//! Reading order, with the data: [`decode`] (bytes to features) → [`prequential`] (predict, score, learn: the one
//! place) → [`encode`], [`pending_predictions`] and [`form`] (outputs) → [`processor`] (all of that for one record) → [`worker`]
//! (one per partition: recovery, with [`gap`]; fetch, process, publish) → [`checkpoint`] and [`checkpoints`] (state
//! that survives a restart) → [`snapshot`] and [`tap`] (views of a worker for others) and [`replica`] (a copy to
//! predict with).
//!
//! Invariant: nothing here knows which transport runs, and a worker alone owns its models.

pub mod checkpoint;
pub mod checkpoints;
mod contributions;
pub mod decode;
mod digest;
pub mod encode;
pub mod form;
pub mod gap;
pub mod label_topic;
pub mod labels;
pub mod learned;
pub mod pending_predictions;
pub mod prequential;
pub mod processor;
pub mod registry;
pub mod replica;
pub mod snapshot;
pub mod tap;
pub mod worker;
