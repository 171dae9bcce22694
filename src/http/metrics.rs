//! The status as metrics in the text format of OpenMetrics 1.0.
//!
//! Invariant: names, units and labels are promised: docs/operations.md lists them, and a test compares the two.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use crate::status::{Model, Partition, Status};

/// Type of the text that [`encode`] makes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A metric, as it is promised.
#[derive(Debug)]
pub struct Metric {
    /// Its name, without unit and `_total`.
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    values: Values,
}

/// Where the values of a metric come from. Counters are those that only grow while the process lives.
enum Values {
    Info,
    Gauge(fn(&Status) -> Option<f64>),
    Counter(fn(&Status) -> f64),
    PartitionGauge(fn(&Partition) -> Option<f64>),
    PartitionCounter(fn(&Partition) -> u64),
    Reasons,
    Delays,
    ModelGauge(fn(&Model) -> Option<f64>),
    ModelCounter(fn(&Model) -> u64),
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.labels())
    }
}

impl Values {
    fn labels(&self) -> &'static str {
        match self {
            Self::Info => "version",
            Self::Gauge(_) | Self::Counter(_) => "",
            Self::PartitionGauge(_) | Self::PartitionCounter(_) => "topic, partition",
            Self::Reasons => "topic, partition, reason",
            Self::Delays => "topic, partition, quantile",
            Self::ModelGauge(_) | Self::ModelCounter(_) => "topic, partition, model",
        }
    }

    fn kind(&self) -> MetricType {
        match self {
            Self::Info => MetricType::Info,
            Self::Gauge(_) | Self::PartitionGauge(_) | Self::Delays | Self::ModelGauge(_) => MetricType::Gauge,
            Self::Counter(_) | Self::PartitionCounter(_) | Self::Reasons | Self::ModelCounter(_) => MetricType::Counter,
        }
    }
}

impl Metric {
    const fn new(name: &'static str, unit: Option<&'static str>, help: &'static str, values: Values) -> Self {
        Self { name, unit, help, values }
    }

    /// Returns the name of its samples.
    pub fn name(&self) -> String {
        let unit = self.unit.map_or(String::new(), |unit| format!("_{unit}"));
        let suffix = match self.values.kind() {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            _ => "",
        };
        format!("{}{unit}{suffix}", self.name)
    }

    /// Returns the names of its labels, separated by commas.
    pub fn labels(&self) -> &'static str {
        self.values.labels()
    }

    /// Returns what it measures.
    pub fn help(&self) -> &'static str {
        self.help
    }
}

/// All metrics.
pub static METRICS: &[Metric] = &[
    Metric::new("thalweg_build", None, "The version that runs", Values::Info),
    Metric::new(
        "thalweg_healthy",
        None,
        "0 where records wait and nothing has been published for a while, else 1",
        Values::Gauge(|it| Some(it.healthy.into())),
    ),
    Metric::new(
        "thalweg_ready",
        None,
        "1 once all partitions have worked off what waited at the start, before that 0",
        Values::Gauge(|it| Some(it.ready.into())),
    ),
    Metric::new(
        "process_start_time",
        Some("seconds"),
        "Time of the start, since the Unix epoch",
        Values::Gauge(|it| Some(it.started)),
    ),
    Metric::new(
        "process_resident_memory",
        Some("bytes"),
        "Resident memory of the process",
        Values::Gauge(|it| it.process.resident_memory_bytes.map(|bytes| bytes as f64)),
    ),
    Metric::new(
        "process_cpu",
        Some("seconds"),
        "Processor time of the process, of users and system",
        Values::Counter(|it| it.process.cpu_seconds),
    ),
    Metric::new("thalweg_records", None, "Records processed", Values::PartitionCounter(|it| it.records)),
    Metric::new("thalweg_predictions", None, "Predictions made", Values::PartitionCounter(|it| it.predictions)),
    Metric::new(
        "thalweg_dead_letters",
        None,
        "Records that could not be used since the process has started, by reason",
        Values::Reasons,
    ),
    Metric::new(
        "thalweg_skipped_records",
        None,
        "Records that only said that a row was deleted, and arrays without rows",
        Values::PartitionCounter(|it| it.skipped),
    ),
    Metric::new("thalweg_missed_records", None, "Records lost to gaps", Values::PartitionCounter(|it| it.missed)),
    Metric::new(
        "thalweg_remembered_keys",
        None,
        "Keys that features of the past remember something of",
        Values::PartitionGauge(|it| Some(it.remembered_keys as f64)),
    ),
    Metric::new(
        "thalweg_remembered",
        Some("bytes"),
        "Size of what features of the past remember",
        Values::PartitionGauge(|it| Some(it.remembered_bytes as f64)),
    ),
    Metric::new(
        "thalweg_forgotten_keys",
        None,
        "Keys that were forgotten for want of room, keys.budget",
        Values::PartitionCounter(|it| it.forgotten_keys),
    ),
    Metric::new(
        "thalweg_late_values",
        None,
        "Values that came too late to count for features of the past",
        Values::PartitionCounter(|it| it.late_values),
    ),
    Metric::new(
        "thalweg_labels",
        None,
        "Records that were labels of earlier samples",
        Values::PartitionCounter(|it| it.labels),
    ),
    Metric::new(
        "thalweg_labelled_samples",
        None,
        "Samples whose labels came later",
        Values::PartitionCounter(|it| it.late.map_or(0, |late| late.labelled)),
    ),
    Metric::new(
        "thalweg_waiting_samples",
        None,
        "Samples that wait for their labels",
        Values::PartitionGauge(|it| it.late.map(|late| late.waiting as f64)),
    ),
    Metric::new(
        "thalweg_waiting",
        Some("bytes"),
        "Size of all that waits for labels, or for samples",
        Values::PartitionGauge(|it| it.late.map(|late| late.waiting_bytes as f64)),
    ),
    Metric::new(
        "thalweg_expired_samples",
        None,
        "Samples whose labels did not come within labels.max_wait",
        Values::PartitionCounter(|it| it.late.map_or(0, |late| late.expired)),
    ),
    Metric::new(
        "thalweg_crowded_out_samples",
        None,
        "Samples that left before their labels came for want of room, labels.max_pending",
        Values::PartitionCounter(|it| it.late.map_or(0, |late| late.no_room)),
    ),
    Metric::new(
        "thalweg_unmatched_labels",
        None,
        "Labels that waited for a sample in vain, labels.max_early",
        Values::PartitionCounter(|it| it.late.map_or(0, |late| late.unmatched)),
    ),
    Metric::new(
        "thalweg_unread_labels",
        None,
        "Records of the labels topic that have not been read, labels.mode = \"topic\"",
        Values::PartitionGauge(|it| it.late.map(|late| late.unread.unwrap_or(0) as f64)),
    ),
    Metric::new(
        "thalweg_label_delay",
        Some("seconds"),
        "Time from a sample to its label, quantiles since the beginning",
        Values::Delays,
    ),
    Metric::new(
        "thalweg_lag_records",
        None,
        "Records without a published answer",
        Values::PartitionGauge(|it| Some(it.lag as f64)),
    ),
    Metric::new(
        "thalweg_lag",
        Some("seconds"),
        "Age of the newest record that was processed, where records wait, else 0",
        Values::PartitionGauge(|it| it.lag_seconds),
    ),
    Metric::new(
        "thalweg_undecided_records",
        None,
        "Records of the lag that an open transaction keeps from being read",
        Values::PartitionGauge(|it| Some(it.undecided as f64)),
    ),
    Metric::new(
        "thalweg_checkpoint_age",
        Some("seconds"),
        "Time since the last checkpoint",
        Values::PartitionGauge(|it| it.checkpoint_age_seconds),
    ),
    Metric::new(
        "thalweg_unsaved_records",
        None,
        "Records processed since the last checkpoint",
        Values::PartitionGauge(|it| Some(it.unsaved as f64)),
    ),
    Metric::new(
        "thalweg_model_version",
        None,
        "Samples that the models have learned from",
        Values::PartitionGauge(|it| Some(it.version as f64)),
    ),
    Metric::new(
        "thalweg_interval_coverage",
        Some("ratio"),
        "Share of the targets that intervals held of late",
        Values::PartitionGauge(|it| it.coverage),
    ),
    Metric::new(
        "thalweg_interval_wanted_coverage",
        Some("ratio"),
        "Share of the targets that intervals should hold, intervals.coverage",
        Values::PartitionGauge(|it| it.wanted_coverage),
    ),
    Metric::new(
        "thalweg_interval_width",
        None,
        "Mean width of the intervals of late, in units of the target",
        Values::PartitionGauge(|it| it.width),
    ),
    Metric::new(
        "thalweg_published_rmse",
        None,
        "RMSE of what was published over metrics.window samples, in units of the target",
        Values::PartitionGauge(|it| it.published.rmse),
    ),
    Metric::new(
        "thalweg_published_mae",
        None,
        "MAE of what was published over metrics.window samples, in units of the target",
        Values::PartitionGauge(|it| it.published.mae),
    ),
    Metric::new(
        "thalweg_published_skill",
        None,
        "1 - RMSE / RMSE of the mean, of what was published over metrics.window samples",
        Values::PartitionGauge(|it| it.published.skill),
    ),
    Metric::new(
        "thalweg_model_champion",
        None,
        "1 for the model whose predictions are published, else 0",
        Values::ModelGauge(|it| Some(it.champion.into())),
    ),
    Metric::new(
        "thalweg_model_rmse",
        None,
        "RMSE over metrics.window samples, in units of the target",
        Values::ModelGauge(|it| it.rmse),
    ),
    Metric::new(
        "thalweg_model_mae",
        None,
        "MAE over metrics.window samples, in units of the target",
        Values::ModelGauge(|it| it.mae),
    ),
    Metric::new(
        "thalweg_model_skill",
        None,
        "1 - RMSE / RMSE of the mean over metrics.window samples",
        Values::ModelGauge(|it| it.skill),
    ),
    Metric::new(
        "thalweg_model_memory",
        Some("bytes"),
        "Memory of the model",
        Values::ModelGauge(|it| Some(it.memory_bytes as f64)),
    ),
    Metric::new(
        "thalweg_model_keys",
        None,
        "Keys that have models of their own",
        Values::ModelGauge(|it| it.keys.map(|keys| keys as f64)),
    ),
    Metric::new(
        "thalweg_model_forgotten_keys",
        None,
        "Keys that a model per key has forgotten for want of room",
        Values::ModelCounter(|it| it.forgotten_keys.unwrap_or(0)),
    ),
    Metric::new(
        "thalweg_model_refused_samples",
        None,
        "Samples that the model did not learn from",
        Values::ModelCounter(|it| it.refused),
    ),
    Metric::new(
        "thalweg_model_implausible_predictions",
        None,
        "Predictions that could not be, for which the mean stood in",
        Values::ModelCounter(|it| it.implausible),
    ),
    Metric::new("thalweg_model_drifts", None, "Drifts that the model has found", Values::ModelCounter(|it| it.drifts)),
    Metric::new("thalweg_model_rescues", None, "Times the model was made anew", Values::ModelCounter(|it| it.rescues)),
];

/// Encodes a status.
///
/// # Errors
/// None: a text takes everything.
pub(crate) fn encode(status: &Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collected(status.clone())));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// A status on its way into text.
#[derive(Debug)]
struct Collected(Status);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in METRICS {
            let unit = metric.unit.map(|unit| Unit::Other(unit.to_owned()));
            // Its dot is the encoder's.
            let values = encoder.encode_descriptor(metric.name, metric.help, unit.as_ref(), metric.values.kind())?;
            metric.values.encode(&self.0, values)?;
        }
        Ok(())
    }
}

impl Values {
    fn encode(&self, status: &Status, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let topic = &*status.topic;
        match self {
            Self::Info => encoder.encode_info(&[("version", status.version)])?,
            Self::Gauge(of) => {
                if let Some(value) = of(status) {
                    encoder.encode_gauge(&value)?;
                }
            }
            Self::Counter(of) => encoder.encode_counter::<NoLabels, _, f64>(&of(status), None)?,
            Self::PartitionGauge(_)
            | Self::PartitionCounter(_)
            | Self::Reasons
            | Self::Delays
            | Self::ModelGauge(_)
            | Self::ModelCounter(_) => {
                for partition in &status.partitions {
                    self.encode_partition(topic, partition, &mut encoder)?;
                }
            }
        }
        Ok(())
    }

    fn encode_partition(&self, topic: &str, of: &Partition, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let number = of.partition.to_string();
        let labels = [("topic", topic), ("partition", &*number)];
        match self {
            Self::PartitionGauge(value) => {
                if let Some(value) = value(of) {
                    encoder.encode_family(&labels)?.encode_gauge(&value)?;
                }
            }
            Self::PartitionCounter(value) => {
                encoder.encode_family(&labels)?.encode_counter::<NoLabels, _, f64>(&value(of), None)?;
            }
            Self::Reasons => {
                for (reason, count) in &of.dead_letters_by_reason {
                    let labels = [("topic", topic), ("partition", &*number), ("reason", *reason)];
                    encoder.encode_family(&labels)?.encode_counter::<NoLabels, _, f64>(count, None)?;
                }
            }
            Self::Delays => {
                let late = of.late.unwrap_or_default();
                let delays = [
                    ("0.5", late.delay_p50_seconds),
                    ("0.9", late.delay_p90_seconds),
                    ("0.99", late.delay_p99_seconds),
                ];
                for (quantile, delay) in delays.into_iter().filter_map(|(quantile, delay)| Some((quantile, delay?))) {
                    let labels = [("topic", topic), ("partition", &*number), ("quantile", quantile)];
                    encoder.encode_family(&labels)?.encode_gauge(&delay)?;
                }
            }
            Self::ModelGauge(value) => {
                for model in &of.models {
                    if let Some(value) = value(model) {
                        let labels = [("topic", topic), ("partition", &*number), ("model", &*model.name)];
                        encoder.encode_family(&labels)?.encode_gauge(&value)?;
                    }
                }
            }
            Self::ModelCounter(value) => {
                for model in &of.models {
                    let labels = [("topic", topic), ("partition", &*number), ("model", &*model.name)];
                    encoder.encode_family(&labels)?.encode_counter::<NoLabels, _, f64>(&value(model), None)?;
                }
            }
            Self::Info | Self::Gauge(_) | Self::Counter(_) => {}
        }
        Ok(())
    }
}

/// Labels of exemplars, of which there are none.
type NoLabels = [(&'static str, &'static str); 0];
