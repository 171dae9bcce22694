//! Encodes what is published: predictions, dead letters and events as records.
//!
//! The formats are public interface, described in docs/formats.md. Predictions are written in [`super::form`].

use std::{borrow::Cow, sync::Arc};

use serde::Serialize;

use crate::{
    decode::{Rejection, Sample},
    form::{Form, Template},
    gap::Gap,
    labels::Told,
    pending_predictions::{PendingPrediction, PendingPredictions},
    prequential::{Drift, Event, Prequential, Rescue, Step},
};
use thalweg_metrics::drift::{AdwinParams, CusumParams, DetectorKind, KswinParams, PageHinkleyParams};
use thalweg_models::Outlier;
use thalweg_topic::record::{Headers, Outgoing, PREFIX, RETRY, ROW, Record, TIMESTAMP};

/// Returns the time of a record whose fields give none: the record's own time, or its first one where it was sent back.
#[inline]
pub fn time(record: &Record) -> i64 {
    if record.headers.is_empty() { record.timestamp } else { first_time(record) }
}

fn first_time(record: &Record) -> i64 {
    let before = record.headers.get(RETRY).and_then(|_| record.headers.get(TIMESTAMP));
    before.and_then(|time| std::str::from_utf8(time).ok()?.parse().ok()).unwrap_or(record.timestamp)
}

/// Encodes the outputs made from one partition.
#[derive(Debug)]
pub struct Encoder {
    topic: String,
    partition: i32,
    names: Vec<Arc<str>>,
    intervals: bool,
    template: Arc<Template>,
}

impl Encoder {
    /// Creates an encoder for predictions of `names`, with or without `intervals` around the published one, made from
    /// `topic`/`partition`.
    pub fn new(topic: &str, partition: i32, names: impl IntoIterator<Item = Arc<str>>, intervals: bool) -> Self {
        let names: Vec<Arc<str>> = names.into_iter().collect();
        let template = Arc::new(Template::new(Form::default(), topic, partition, &names, intervals));
        Self { topic: topic.to_owned(), partition, names, intervals, template }
    }

    /// Sets the form of predictions, which is JSON before.
    pub fn publish_as(&mut self, form: Form) {
        let Self { topic, partition, names, intervals, .. } = self;
        self.template = Arc::new(Template::new(form, topic, *partition, names, *intervals));
    }

    /// Adds the prediction for one sample to `drafts`, with the record's key where the sample has none of its own.
    #[inline]
    pub fn prediction(&self, source: &Record, sample: &Sample<'_>, step: &Step<'_>, drafts: &mut PendingPredictions) {
        drafts.add(
            &self.template,
            PendingPrediction {
                source: source.offset,
                row: source.row,
                timestamp: sample.timestamp.unwrap_or_else(|| time(source)),
                key: sample.key.map(str::as_bytes).or(source.key.as_deref()).map(<[u8]>::to_vec),
                target: sample.target,
                champion: step.champion,
                version: step.version,
                interval: step.interval,
            },
            step.predictions,
        );
    }

    /// Makes the dead letter for a record: its bytes and key unchanged, its headers kept, the reason in headers of our
    /// own.
    pub fn dead_letter(&self, source: &Record, rejection: &Rejection) -> Outgoing {
        let mut headers = source.headers.owned();
        // Our own headers are set anew, whatever the record brings, except the one that marks a retry.
        headers.retain(|name| !name.starts_with(PREFIX.as_bytes()) || name == RETRY.as_bytes());
        let mut set = |name, value: String| headers.set(name, value);
        set("thalweg.error", rejection.to_string());
        set("thalweg.reason", rejection.reason().to_owned());
        if let Some(field) = rejection.field() {
            set("thalweg.field", field.to_owned());
        }
        set("thalweg.topic", self.topic.clone());
        set("thalweg.partition", self.partition.to_string());
        set("thalweg.offset", source.offset.to_string());
        if let Some(row) = source.row {
            set(ROW, row.to_string());
        }
        set(TIMESTAMP, time(source).to_string());
        let [key, value] = [&source.key, &source.value].map(|bytes| bytes.as_deref().map(<[u8]>::to_vec));
        Outgoing { source: source.offset, timestamp: time(source), key, value, headers }
    }

    /// Makes the event that the record at `offset` caused; `race` is its state after that record.
    pub fn event(&self, offset: i64, timestamp: i64, event: Event, race: &Prequential) -> Outgoing {
        let model = |i: usize| self.names.get(i).map_or("", |name| name);
        let standing = |i: usize| Standing { model: model(i), rmse: race.track(i).rmse() };
        let body = match event {
            Event::ChampionChanged { of, from, to } => Body::ChampionChanged {
                champion: of.map(model),
                from: standing(from),
                to: standing(to),
                over: race.track(to).samples(),
            },
            Event::Drift { model: i, drift: Drift { before, after } } => Body::Drift {
                model: model(i),
                detector: race.config().drift.map_or("none", |drift| drift.name()),
                parameters: race.config().drift.as_ref().map(Parameters::from),
                rmse_before: before,
                rmse_after: after,
                faded_rmse: race.faded_rmse(i),
                rmse: race.rolling_rmse(i),
                models: race.drifted().0.map(model).collect(),
                samples_ago: race.drifted().1,
            },
            Event::Rescued { model: i, rescue } => Body::Guard {
                model: model(i),
                action: match rescue {
                    Rescue::RolledBack { .. } => "rollback",
                    Rescue::Reset => "reset",
                },
                to_version: match rescue {
                    Rescue::RolledBack { to } => to,
                    Rescue::Reset => 0,
                },
                version: race.version(),
            },
            Event::StandIn { model: i, active } => {
                Body::StandIn { model: model(i), active, version: race.version(), faded_rmse: race.faded_rmse(i) }
            }
            Event::Outlier(outlier) => {
                let column = outlier.column.map(|i| format!("column {i}"));
                return self.outlier(offset, timestamp, outlier, column.as_deref());
            }
        };
        self.published(offset, timestamp, body)
    }

    /// Makes the event that robust models did not believe a value of `feature`, or of the target.
    pub fn outlier(&self, offset: i64, timestamp: i64, outlier: Outlier, feature: Option<&str>) -> Outgoing {
        let Outlier { value, taken_for, count, .. } = outlier;
        self.published(offset, timestamp, Body::Outlier { feature, value, taken_for, count })
    }

    /// Makes the event of what the record at `offset` brought about; `race` is its state after that record, and `columns` are the names
    /// of its columns.
    pub(crate) fn told(
        &self,
        offset: i64,
        timestamp: i64,
        told: &Told,
        race: &Prequential,
        columns: &[String],
    ) -> Outgoing {
        let body = match told {
            Told::Race(Event::Outlier(outlier)) => {
                let name = outlier.column.and_then(|i| columns.get(i)).map(String::as_str);
                return self.outlier(offset, timestamp, *outlier, name);
            }
            Told::Race(event) => return self.event(offset, timestamp, *event, race),
            Told::Missed { why, samples, offsets: [from, to], default } => {
                Body::SamplesMissed { reason: why.name(), samples: *samples, from: *from, to: *to, default: *default }
            }
            Told::Unmatched(label) => Body::LabelUnmatched {
                key: String::from_utf8_lossy(&label.key),
                target: label.target,
                offset: label.offset,
                row: label.row,
            },
        };
        self.published(offset, timestamp, body)
    }

    /// Makes the event that records before `offset` were missed.
    pub fn gap(&self, offset: i64, timestamp: i64, gap: Gap) -> Outgoing {
        self.published(offset, timestamp, Body::Gap(gap))
    }

    fn published(&self, offset: i64, timestamp: i64, body: Body<'_>) -> Outgoing {
        let source = Source { topic: &self.topic, partition: self.partition, offset };
        // Plain structs of texts and numbers always have a JSON template.
        let value = serde_json::to_vec(&Published { source, timestamp, body }).unwrap_or_default();
        Outgoing { source: offset, timestamp, key: None, value: Some(value), headers: Headers::new() }
    }
}

#[derive(Serialize)]
struct Published<'a> {
    #[serde(flatten)]
    body: Body<'a>,
    source: Source<'a>,
    timestamp: i64,
}

/// A plain `rmse` is rolling; those of an election are the ones that it compared.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Body<'a> {
    ChampionChanged {
        #[serde(skip_serializing_if = "Option::is_none")]
        champion: Option<&'a str>,
        from: Standing<'a>,
        to: Standing<'a>,
        over: u64,
    },
    Drift {
        model: &'a str,
        detector: &'static str,
        parameters: Option<Parameters<'a>>,
        rmse_before: f64,
        rmse_after: f64,
        faded_rmse: f64,
        rmse: f64,
        models: Vec<&'a str>,
        samples_ago: u64,
    },
    Guard {
        model: &'a str,
        action: &'static str,
        to_version: u64,
        version: u64,
    },
    StandIn {
        model: &'a str,
        active: bool,
        version: u64,
        /// Faded RMSE of the predictions published for it.
        faded_rmse: f64,
    },
    Outlier {
        /// `null` is the target.
        feature: Option<&'a str>,
        value: f64,
        taken_for: f64,
        count: u64,
    },
    /// Samples wait no longer for their targets.
    SamplesMissed {
        reason: &'static str,
        samples: u64,
        /// Offsets of the first and the last.
        from: i64,
        to: i64,
        /// The target that they were learned with.
        #[serde(skip_serializing_if = "Option::is_none")]
        default: Option<f64>,
    },
    /// A label waited for its sample in vain.
    LabelUnmatched {
        key: Cow<'a, str>,
        target: f64,
        /// Of the label's record.
        offset: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        row: Option<u32>,
    },
    Gap(Gap),
}

/// Parameters of a detector, under the names of the settings.
#[derive(Serialize)]
#[serde(untagged)]
enum Parameters<'a> {
    Adwin(&'a AdwinParams),
    PageHinkley(&'a PageHinkleyParams),
    Kswin(&'a KswinParams),
    Cusum(&'a CusumParams),
}

impl<'a> From<&'a DetectorKind> for Parameters<'a> {
    fn from(kind: &'a DetectorKind) -> Self {
        match kind {
            DetectorKind::Adwin(params) => Self::Adwin(params),
            DetectorKind::PageHinkley(params) => Self::PageHinkley(params),
            DetectorKind::Kswin(params) => Self::Kswin(params),
            DetectorKind::Cusum(params) => Self::Cusum(params),
        }
    }
}

#[derive(Serialize)]
struct Source<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
}

#[derive(Serialize)]
struct Standing<'a> {
    model: &'a str,
    rmse: f64,
}
