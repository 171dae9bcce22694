//! From a partition of samples to predictions, dead letters and events.
//!
//! Reading order, with the data: [`record`] → [`transport`] (where records come from and go to) → [`decode`] (bytes to
//! features) → [`prequential`] (predict, score, learn: the one place) → [`encode`] (what is published) →
//! [`processor`] (all of that for one record) → [`worker`] (one per partition: fetch, process, publish) → [`recovery`]
//! (where a worker goes on, with [`gap`]) → [`checkpoint`] and [`store`] (what survives a restart; [`archive`] only reads
//! it) → [`snapshot`] (what others may see of a worker). Beside it: [`dead_letters`] (looked at, and sent back).
//!
//! Invariant: nothing outside [`transport`] knows which transport runs, and a worker alone owns its models.

pub mod archive;
pub mod burst;
pub mod checkpoint;
pub mod dead_letters;
pub mod decode;
pub mod drafts;
pub mod encode;
pub mod gap;
pub mod prequential;
pub mod processor;
pub mod record;
pub mod recovery;
pub mod snapshot;
pub mod store;
pub mod transport;
pub mod worker;
