//! The learning engine: [`models`] that learn sample by sample, and the [`metrics`] that judge them.
//!
//! It knows no runtime, transport, clock or entropy. The crate `thalweg` has both modules under the same names.

pub mod metrics;
pub mod models;
