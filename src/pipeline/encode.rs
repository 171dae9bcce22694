//! What is published: predictions, dead letters and events as records.
//!
//! The formats are public interface, described in the README. Predictions are written straight into bytes: field names
//! are escaped once, numbers are spelled as the shortest text that reads back to the same bits.

use std::sync::Arc;

use serde::Serialize;

use super::{
    decode::{Rejection, Sample},
    gap::Gap,
    prequential::{Event, Prequential, Rescue, Step},
    record::{Headers, Outgoing, Record},
};

/// Headers of ours begin so.
pub(super) const PREFIX: &str = "thalweg.";

/// On a sample that was a dead letter: where that is, as `<partition>/<offset>`.
pub(super) const RETRY: &str = "thalweg.retry";

/// Encodes what is made from one partition.
#[derive(Debug)]
pub struct Encoder {
    topic: String,
    partition: i32,
    /// `{"source":{"topic":…,"partition":…,"offset":`
    head: Vec<u8>,
    /// `,"model":"<name>","version":` per model.
    models: Vec<Vec<u8>>,
    /// `"<name>":` per model.
    members: Vec<Vec<u8>>,
    names: Vec<Arc<str>>,
    /// Bytes of the last prediction, so that the next one is allocated once.
    expected: usize,
}

impl Encoder {
    /// An encoder for predictions of `names`, made from `topic`/`partition`.
    pub fn new(topic: &str, partition: i32, names: impl IntoIterator<Item = Arc<str>>) -> Self {
        let names: Vec<Arc<str>> = names.into_iter().collect();
        let quoted: Vec<String> = names.iter().map(|name| quote(name)).collect();
        Self {
            head: format!(r#"{{"source":{{"topic":{},"partition":{partition},"offset":"#, quote(topic)).into_bytes(),
            models: quoted.iter().map(|name| format!(r#","model":{name},"version":"#).into_bytes()).collect(),
            members: quoted.iter().map(|name| format!("{name}:").into_bytes()).collect(),
            topic: topic.to_owned(),
            partition,
            names,
            expected: 256,
        }
    }

    /// The prediction for one sample, with the record's key where the sample has none of its own.
    pub fn prediction(&mut self, source: &Record, sample: &Sample<'_>, step: &Step<'_>) -> Outgoing {
        let timestamp = sample.timestamp.unwrap_or(source.timestamp);
        let mut out = Vec::with_capacity(self.expected + 32);
        out.extend_from_slice(&self.head);
        integer(&mut out, source.offset);
        out.extend_from_slice(b"},\"timestamp\":");
        integer(&mut out, timestamp);
        out.extend_from_slice(b",\"target\":");
        match sample.target {
            Some(y) => number(&mut out, y),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"prediction\":");
        number(&mut out, step.predictions[step.champion]);
        out.extend_from_slice(&self.models[step.champion]);
        integer(&mut out, step.version);
        out.extend_from_slice(b",\"predictions\":{");
        for (i, (member, prediction)) in self.members.iter().zip(step.predictions).enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(member);
            number(&mut out, *prediction);
        }
        out.extend_from_slice(b"}}");
        self.expected = out.len();
        let key = sample.key.map(str::as_bytes).or(source.key.as_deref()).map(<[u8]>::to_vec);
        Outgoing { source: source.offset, timestamp, key, value: Some(out), headers: Headers::new() }
    }

    /// The dead letter for a record: its bytes and key unchanged, its headers kept, the reason in headers of our own.
    pub fn dead_letter(&self, source: &Record, rejection: &Rejection) -> Outgoing {
        let mut headers = source.headers.owned();
        // Ours are said anew, whatever a sample brings; only that it was retried is worth knowing.
        headers.retain(|name| !name.starts_with(PREFIX.as_bytes()) || name == RETRY.as_bytes());
        let mut set = |name, value: String| headers.set(name, value);
        set("thalweg.error", rejection.to_string());
        set("thalweg.reason", rejection.reason().to_owned());
        set("thalweg.topic", self.topic.clone());
        set("thalweg.partition", self.partition.to_string());
        set("thalweg.offset", source.offset.to_string());
        let [key, value] = [&source.key, &source.value].map(|bytes| bytes.as_deref().map(<[u8]>::to_vec));
        Outgoing { source: source.offset, timestamp: source.timestamp, key, value, headers }
    }

    /// An event that the record at `offset` brought about; `race` is as it was after it.
    pub fn event(&self, offset: i64, timestamp: i64, event: Event, race: &Prequential) -> Outgoing {
        let model = |i: usize| self.names.get(i).map_or("", |name| name);
        let standing = |i: usize| Standing { model: model(i), rmse: race.rolling_rmse(i) };
        let body = match event {
            Event::ChampionChanged { from, to } => Body::ChampionChanged { from: standing(from), to: standing(to) },
            Event::Drift { model: i } => Body::Drift {
                model: model(i),
                detector: race.config().drift.map_or("none", |drift| drift.name()),
                faded_rmse: race.faded_rmse(i),
                rmse: race.rolling_rmse(i),
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
        };
        self.published(offset, timestamp, body)
    }

    /// The event that records before `offset` were missed.
    pub fn gap(&self, offset: i64, timestamp: i64, gap: Gap) -> Outgoing {
        self.published(offset, timestamp, Body::Gap(gap))
    }

    fn published(&self, offset: i64, timestamp: i64, body: Body<'_>) -> Outgoing {
        let source = Source { topic: &self.topic, partition: self.partition, offset };
        // Plain structs of texts and numbers always have a JSON form.
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

/// RMSEs without another word are rolling.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Body<'a> {
    ChampionChanged { from: Standing<'a>, to: Standing<'a> },
    Drift { model: &'a str, detector: &'static str, faded_rmse: f64, rmse: f64 },
    Guard { model: &'a str, action: &'static str, to_version: u64, version: u64 },
    Gap(Gap),
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

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// JSON has no word for a number that is not finite; `null` is what its readers expect then.
fn number(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}
