//! What the engine promises, with nothing else in the program: its models and metrics beside River's numbers and their own
//! definitions. One program, since linking takes longer than compiling.

mod experts;
mod hedge;
mod linear_family;
mod metrics;
mod model_tree;
mod river_adaptive;
mod river_drift;
mod river_linear;
mod river_metrics;
mod river_rules;
mod river_tree;

#[path = "../support/vectors.rs"]
mod vectors;

/// The repository's folder.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
