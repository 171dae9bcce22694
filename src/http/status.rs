//! How the daemon is at one moment, for whoever asks.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use utoipa::ToSchema;

/// How the transport answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Contact {
    /// It is not open yet.
    #[default]
    Opening,
    /// As it should.
    Answers,
    /// Late, since a quota of the broker's holds this client back.
    Throttled,
    /// Not as it should.
    Outage,
}

/// All that there is to tell.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Status {
    /// Version of the program.
    pub version: &'static str,
    /// One sentence for people.
    pub summary: String,
    /// False where records wait and nothing has been published for a while.
    pub healthy: bool,
    /// True once all partitions have worked off what waited at the start, but for while they wait for the schema registry.
    pub ready: bool,
    /// True while records, or the start, wait for the schema registry, which does not answer.
    pub waits_for_registry: bool,
    /// How the transport answers.
    pub contact: Contact,
    /// Topic of the samples.
    pub topic: String,
    /// All topics.
    pub topics: Topics,
    /// Kind of the transport.
    pub transport: &'static str,
    /// Time of the start, in seconds since the Unix epoch.
    pub started: f64,
    /// Time of this look, in seconds since the Unix epoch.
    pub time: f64,
    /// The process.
    pub process: Process,
    /// The partitions that this process works on, in order; one that has not restored its state yet is missing.
    pub partitions: Vec<Partition>,
}

/// The names of the topics.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Topics {
    /// What is learned from.
    pub samples: String,
    /// What is published.
    pub predictions: String,
    /// Records that cannot be used, and why.
    pub dead_letters: String,
    /// What happens: drift, rescues, champions, gaps.
    pub events: String,
}

/// What the process takes.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct Process {
    /// Resident memory, in bytes; absent where the system does not tell.
    pub resident_memory_bytes: Option<u64>,
    /// Processor time, of users and system, in seconds.
    pub cpu_seconds: f64,
}

/// One partition of the samples.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Partition {
    /// Its number.
    pub partition: i32,
    /// Records processed since the beginning, across restarts.
    pub records: u64,
    /// Predictions published since the beginning.
    pub predictions: u64,
    /// Records that could not be used, since the beginning.
    pub dead_letters: u64,
    /// The same since the start of the process, by reason.
    pub dead_letters_by_reason: BTreeMap<&'static str, u64>,
    /// Records skipped since the beginning: they only said that a row was deleted, or held no row.
    pub skipped: u64,
    /// Records lost to gaps since the beginning.
    pub missed: u64,
    /// Keys that features of the past remember something of.
    pub remembered_keys: u64,
    /// Bytes of what they remember, of all samples and by key.
    pub remembered_bytes: u64,
    /// Keys that were forgotten for want of room, since the beginning.
    pub forgotten_keys: u64,
    /// Values that came too late to count for features of the past, since the beginning.
    pub late_values: u64,
    /// Samples whose targets come late; absent where every target is in its sample (`labels.mode`).
    pub late: Option<Late>,
    /// Records that were labels of earlier samples, since the beginning.
    pub labels: u64,
    /// Records processed a second, of late; absent before the second look.
    pub records_per_second: Option<f64>,
    /// Offset up to which everything is published.
    pub confirmed: i64,
    /// Records without a published answer.
    pub lag: u64,
    /// Those of them that an open transaction keeps from being read.
    pub undecided: u64,
    /// Age of the newest record that was processed, in seconds, where records wait; 0 where none do, absent where none was
    /// processed since the start.
    pub lag_seconds: Option<f64>,
    /// Seconds since the last checkpoint of this process; absent before it.
    pub checkpoint_age_seconds: Option<f64>,
    /// Bytes of that checkpoint.
    pub checkpoint_bytes: Option<u64>,
    /// Records processed since that checkpoint.
    pub unsaved: u64,
    /// Samples learned from.
    pub version: u64,
    /// Name of the model whose predictions are published.
    #[schema(value_type = String)]
    pub champion: Arc<str>,
    /// Share of the targets that intervals held of late, 0 to 1.
    pub coverage: Option<f64>,
    /// The share of them that intervals should hold, `intervals.coverage`.
    pub wanted_coverage: Option<f64>,
    /// Their mean width, in units of the target.
    pub width: Option<f64>,
    /// The models, in configured order.
    pub models: Vec<Model>,
    /// What was published, whichever model made it.
    pub published: Model,
}

/// Samples whose targets come late.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct Late {
    /// Samples whose labels came, since the beginning.
    pub labelled: u64,
    /// Samples learned once more with another label, since the beginning.
    pub corrected: u64,
    /// Samples that wait for their labels.
    pub waiting: u64,
    /// Bytes of all that waits.
    pub waiting_bytes: u64,
    /// Samples that waited for longer than `labels.max_wait`, since the beginning.
    pub expired: u64,
    /// Samples that left for want of room, `labels.max_pending`, since the beginning.
    pub no_room: u64,
    /// Labels that waited for a sample in vain, since the beginning.
    pub unmatched: u64,
    /// Records of the labels topic that have not been read; absent where labels have no topic of their own.
    pub unread: Option<u64>,
    /// Time from a sample to its label that half of them did not exceed, since the beginning.
    pub delay_p50_seconds: Option<f64>,
    /// Time that nine in ten did not exceed.
    pub delay_p90_seconds: Option<f64>,
    /// Time that 99 in 100 did not exceed.
    pub delay_p99_seconds: Option<f64>,
}

/// The standing of one model. A figure that does not exist yet is absent.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Model {
    /// Its name.
    #[schema(value_type = String)]
    pub name: Arc<str>,
    /// Its kind.
    pub kind: &'static str,
    /// True for the model whose predictions are published.
    pub champion: bool,
    /// Over the last `metrics.window` samples, in units of the target.
    pub rmse: Option<f64>,
    /// Over the same samples, in units of the target.
    pub mae: Option<f64>,
    /// Over the same samples; 1 at best.
    pub r2: Option<f64>,
    /// Mean of prediction − target over the same samples.
    pub bias: Option<f64>,
    /// 1 − RMSE / RMSE of the mean over the same samples.
    pub skill: Option<f64>,
    /// Quantile 0.5 of the absolute error.
    pub error_p50: Option<f64>,
    /// Quantile 0.9 of the absolute error.
    pub error_p90: Option<f64>,
    /// Quantile 0.99 of the absolute error.
    pub error_p99: Option<f64>,
    /// Since the beginning.
    pub total_rmse: Option<f64>,
    /// Since the beginning.
    pub total_mae: Option<f64>,
    /// Samples scored since the beginning.
    pub scored: u64,
    /// Samples it did not learn from.
    pub refused: u64,
    /// Predictions that could not be, for which the mean stood in.
    pub implausible: u64,
    /// Drifts it has found.
    pub drifts: u64,
    /// Times it was made anew.
    pub rescues: u64,
    /// Memory of the model, in bytes.
    pub memory_bytes: u64,
    /// Keys that have models of their own; `null` where there is one model for all.
    pub keys: Option<u64>,
    /// Keys that were forgotten for want of room, likewise.
    pub forgotten_keys: Option<u64>,
}
