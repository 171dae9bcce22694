//! What the generator and the pipeline promise to whoever calls them, without the daemon around them.

mod adaptive_models;
mod allocations;
mod cloud_events;
mod contract;
mod decode;
mod derived;
mod drift_events;
mod embedded;
mod envelopes;
mod explode;
mod exploded_formats;
mod generator;
mod glitches;
mod guard;
mod late;
mod memory_bound;
mod mixture;
mod per_key;
mod predictions;
mod prequential;
mod replica;
mod restore_corrupted;
mod rules;
mod saved_states;
mod state;
mod tree_budget;
#[path = "formats.rs"]
mod typed_formats;
mod worker;

#[path = "../support/conformance.rs"]
mod conformance;
#[path = "../support/formats.rs"]
mod formats;
#[path = "../support/stream.rs"]
mod support;

/// The repository's folder.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
