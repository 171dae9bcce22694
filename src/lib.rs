//! Thalweg learns from a topic while the topic flows: each sample is predicted, scored and learned from, in that
//! order, and the prediction is published before the next one is due.
//!
//! # Reading order, with the data
//! 1. [`cli`], then [`settings`]: what the user wants, checked.
//! 2. [`app`]: the composition root; builds the parts from the settings and runs them until told to stop.
//! 3. [`generator`]: fictitious samples, for when there is no stream of one's own.
//! 4. [`pipeline`]: a record's way from the samples topic to the predictions topic.
//! 5. [`embedded`] and [`kafka`]: where the topics are. They and the pipeline do not know each other: 2 joins them.
//! 6. [`topic`] and [`store`]: what a topic is, and the state file, whatever is in them.
//! 7. [`features`]: what is made of a sample's time, and of what came before it.
//! 8. [`models`] and [`metrics`]: the learning engine, which knows no runtime, transport, clock or entropy.
//!
//! [`state`] reads back what 4 has saved of 7 and 8. [`logging`] is what people read of all of them. Imports
//! point down this list and never up: all but [`cli`] are packages whose manifests lie in their folders, so that Cargo holds
//! them to it. ARCHITECTURE.md maps concepts to files.

pub mod cli;

pub use thalweg_app as app;
pub use thalweg_embedded as embedded;
pub use thalweg_features as features;
pub use thalweg_generator as generator;
pub use thalweg_kafka as kafka;
pub use thalweg_logging as logging;
pub use thalweg_metrics as metrics;
pub use thalweg_models as models;
pub use thalweg_pipeline as pipeline;
pub use thalweg_settings as settings;
pub use thalweg_state as state;
pub use thalweg_store as store;
pub use thalweg_topic as topic;
