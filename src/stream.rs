//! What runs on the streams: [`generator`] makes samples up, [`pipeline`] takes each from the samples topic to the
//! predictions topic.
//!
//! The crate `thalweg` has both modules under the same names.

pub mod generator;
pub mod pipeline;

pub use thalweg_engine::{metrics, models};
pub use thalweg_state as state;
