//! What has to be true of a run that was battered, whatever battered it: every record of the samples topic gave exactly
//! one prediction or dead letter, in order; all that was published, and what was learned, is what a run that nobody
//! disturbed makes of the same samples; the generator sent each of its samples once.
//!
//! Findings are collected and told together, since one fault mostly shows in several ways.

use std::{fmt::Write, ops::Range};

use serde_json::Value;
use thalweg_store::StateReader;
use thalweg_topic::{Output, record::Record};

use super::daemon::{Workspace, stdout};

/// Key of the records that a test mixes in beside the generator.
pub const FOREIGN: &[u8] = b"foreign";

/// Findings of one kind that are spelled out; the rest are counted.
const SHOWN: usize = 2;

/// All topics of a run, each a list of partitions.
pub struct Topics {
    pub samples: Vec<Vec<Record>>,
    /// In the order of [`Output`].
    pub outputs: [Vec<Vec<Record>>; 3],
}

impl Topics {
    pub fn of(&self, output: Output) -> &[Vec<Record>] {
        &self.outputs[output as usize]
    }
}

/// What was looked at, and what was wrong.
#[derive(Debug, Default)]
pub struct Proof {
    /// Source offsets looked at.
    pub checked: usize,
    /// Source offsets that were published more than once.
    pub duplicates: usize,
    /// Source offsets that were never published.
    pub lost: usize,
    findings: Vec<String>,
}

impl Proof {
    /// One line for people.
    pub fn summary(&self) -> String {
        let Self { checked, duplicates, lost, findings } = self;
        format!("{checked} records checked, {duplicates} duplicates, {lost} lost, {} findings", findings.len())
    }

    /// Fails with all that was found.
    pub fn hold(&self) {
        assert!(self.findings.is_empty(), "{}:\n{}", self.summary(), self.findings.join("\n"));
    }

    /// That the mixture's prediction is what is published mostly, and that all but the first are within an interval.
    pub fn mixture_and_intervals(&mut self, topics: &Topics) {
        for (partition, predictions) in topics.of(Output::Predictions).iter().enumerate() {
            let values = predictions.iter().filter_map(|record| record.value.as_deref());
            let parsed: Vec<Value> = values.map(|value| serde_json::from_slice(value).expect("JSON")).collect();
            let mixed = parsed.iter().filter(|prediction| prediction["model"] == "mixture").count();
            let what = format!("partition {partition} has {mixed} of {} predictions of the mixture", parsed.len());
            println!("{what}");
            self.holds(what, 2 * mixed > parsed.len());
            let inside = |prediction: &Value| {
                let bounds = ["lower", "prediction", "upper"].map(|name| prediction[name].as_f64().unwrap_or(f64::NAN));
                bounds[0] < bounds[1] && bounds[1] < bounds[2]
            };
            let outside = parsed.iter().skip(100).find(|prediction| !inside(prediction));
            self.holds(format!("within an interval: {outside:?}"), outside.is_none());
        }
    }

    fn found(&mut self, what: String, details: &[String]) {
        let mut text = what;
        for detail in details.iter().take(SHOWN) {
            let _ = write!(text, "\n    {detail}");
        }
        if details.len() > SHOWN {
            let _ = write!(text, "\n    … {} in all", details.len());
        }
        self.findings.push(text);
    }

    /// Every source offset of `sources`, one range per partition, is in exactly one of predictions and dead letters, or each row of
    /// that record is, and both are in order.
    pub fn each_once(&mut self, topics: &Topics, sources: &[Range<i64>]) {
        for (partition, range) in sources.iter().enumerate() {
            // The rows of each record that were published; of one that is a row itself, as the first.
            let mut rows = vec![Vec::new(); (range.end - range.start) as usize];
            for output in [Output::Predictions, Output::DeadLetters] {
                let (mut last, mut disorder, mut strangers) = ((i64::MIN, 0), Vec::new(), Vec::new());
                for record in &topics.of(output)[partition] {
                    let (source, row) = (source(output, record), row(output, record));
                    if (source, row) <= last {
                        disorder.push(format!("offset {}: source {source}, row {row} after {last:?}", record.offset));
                    }
                    last = (source, row);
                    match rows.get_mut(usize::try_from(source - range.start).unwrap_or(usize::MAX)) {
                        Some(rows) => rows.push(row),
                        None => strangers.push(format!("offset {}: source {source}", record.offset)),
                    }
                }
                if !disorder.is_empty() {
                    self.found(format!("{output:?}/{partition} is not in source order"), &disorder);
                }
                if !strangers.is_empty() {
                    self.found(format!("{output:?}/{partition} has sources outside of {range:?}"), &strangers);
                }
            }
            rows.iter_mut().for_each(|rows| rows.sort_unstable());
            let of = |wanted: &dyn Fn(&[i64]) -> bool| -> Vec<String> {
                let numbered = (range.start..).zip(&rows);
                let wanted = numbered.filter(|(_, rows)| wanted(rows));
                wanted.map(|(offset, rows)| format!("source {offset}, rows {rows:?}")).collect()
            };
            let is_twice = |rows: &[i64]| rows.windows(2).any(|two| two[0] == two[1]);
            // That the last ones are there is shown by the run that nobody disturbed.
            let has_hole = |rows: &[i64]| rows.is_empty() || (0..).zip(rows).any(|(i, row)| *row > i);
            let (twice, never) = (of(&is_twice), of(&has_hole));
            self.checked += rows.len();
            self.duplicates += twice.len();
            self.lost += never.len();
            if !twice.is_empty() {
                self.found(format!("partition {partition}: published more than once"), &twice);
            }
            if !never.is_empty() {
                self.found(format!("partition {partition}: never published"), &never);
            }
        }
    }

    /// The time of records never goes back, and is no sample's.
    pub fn times_go_on(&mut self, topics: &Topics, since: i64) {
        for output in Output::ALL {
            for (partition, records) in topics.of(output).iter().enumerate() {
                let back = |pair: &[Record]| {
                    (pair[1].timestamp < pair[0].timestamp)
                        .then(|| format!("{}\n    before {}", text(&pair[0]), text(&pair[1])))
                };
                let mut wrong: Vec<String> = records.windows(2).filter_map(back).collect();
                wrong.extend(records.first().filter(|record| record.timestamp < since).map(text));
                if !wrong.is_empty() {
                    self.found(format!("{output:?}/{partition}: times go back, or are from before the test"), &wrong);
                }
            }
        }
    }

    /// Every output record is, but for its offset and the time it was published, the one that `undisturbed` has.
    pub fn same_outputs(&mut self, topics: &Topics, undisturbed: &Topics) {
        for output in Output::ALL {
            for (partition, (ours, theirs)) in topics.of(output).iter().zip(undisturbed.of(output)).enumerate() {
                let differ = |(ours, theirs): (&Record, &Record)| {
                    let mut theirs = theirs.clone();
                    (theirs.offset, theirs.timestamp) = (ours.offset, ours.timestamp);
                    (*ours != theirs).then(|| format!("{}\n    not {}", text(ours), text(&theirs)))
                };
                let differences: Vec<String> = ours.iter().zip(theirs).filter_map(differ).collect();
                if !differences.is_empty() {
                    self.found(format!("{output:?}/{partition} differs from the undisturbed run"), &differences);
                }
                if ours.len() != theirs.len() {
                    let (ours, theirs) = (ours.len(), theirs.len());
                    self.found(format!("{output:?}/{partition} holds {ours} records, undisturbed {theirs}"), &[]);
                }
            }
        }
    }

    /// What `site` has learned is to the bit what `undisturbed` has.
    pub fn same_state(&mut self, site: &Workspace, undisturbed: &Workspace, topic: &str, partitions: usize) {
        self.same_learned([(site, topic), (undisturbed, topic)], partitions);
        if exported(site) != exported(undisturbed) {
            self.found("`thalweg model export` differs".to_owned(), &[]);
        }
    }

    /// What two have learned, each from its own topic, is the same to the bit.
    pub fn same_learned(&mut self, both: [(&Workspace, &str); 2], partitions: usize) {
        for partition in 0..partitions as i32 {
            let [ours, theirs] = both.map(|(site, topic)| state(site, topic, partition));
            for ((part, ours), (_, theirs)) in ours.iter().zip(&theirs) {
                if ours != theirs {
                    let (ours, theirs) = (ours.len(), theirs.len());
                    self.found(format!("partition {partition}: {part} differs ({ours} and {theirs} bytes)"), &[]);
                }
            }
        }
    }

    /// Apart from foreign records, partition `p` of `n` holds exactly the samples p, p + n, … of `printed`, of which there
    /// are as many as all partitions hold.
    pub fn generated_once(&mut self, topics: &Topics, printed: &str) {
        let lines: Vec<&str> = printed.lines().collect();
        let count = topics.samples.len();
        for (partition, records) in topics.samples.iter().enumerate() {
            let own: Vec<&Record> = records.iter().filter(|record| record.key.as_deref() != Some(FOREIGN)).collect();
            let due = lines.iter().skip(partition).step_by(count);
            let (have, want) = (own.len(), due.len());
            let wrong = own.iter().zip(due).filter(|(record, line)| record.value.as_deref() != Some(line.as_bytes()));
            let wrong: Vec<String> =
                wrong.map(|(record, line)| format!("{}\n    not {line}", text(record))).take(SHOWN).collect();
            if !wrong.is_empty() {
                self.found(format!("samples/{partition}: not the samples that `generate` prints"), &wrong);
            }
            if have != want {
                self.found(format!("samples/{partition}: {have} generated samples, {want} expected"), &[]);
            }
        }
    }

    /// Notes what does not hold.
    pub fn holds(&mut self, what: impl Into<String>, holds: bool) {
        if !holds {
            self.findings.push(what.into());
        }
    }
}

/// The source offset that an output record names.
pub fn source(output: Output, record: &Record) -> i64 {
    of_source(output, record, "offset")
}

/// The place among the rows of its record that an output record names; 0 where the record is one.
fn row(output: Output, record: &Record) -> i64 {
    if output == Output::DeadLetters {
        let header = record.headers.get("thalweg.row");
        return header.map_or(0, |header| String::from_utf8_lossy(header).parse().expect("a number"));
    }
    let value: Value = serde_json::from_slice(record.value.as_deref().expect("a value")).expect("JSON");
    value["source"]["row"].as_i64().unwrap_or(0)
}

/// The partition of the samples that an output record names.
pub fn source_partition(output: Output, record: &Record) -> i32 {
    of_source(output, record, "partition") as i32
}

/// Says whether an event was made from a sample, and not by a person or a process.
pub fn has_source(event: &Record) -> bool {
    let value: Value = serde_json::from_slice(event.value.as_deref().expect("a value")).expect("JSON");
    value.get("source").is_some()
}

fn of_source(output: Output, record: &Record, part: &str) -> i64 {
    if output == Output::DeadLetters {
        let header = record.headers.get(&format!("thalweg.{part}")).expect("a dead letter names its source");
        return String::from_utf8_lossy(header).parse().expect("a number");
    }
    let value: Value = serde_json::from_slice(record.value.as_deref().expect("a value")).expect("JSON");
    value["source"][part].as_i64().expect("a number")
}

/// The newest checkpoint's parts as they are stored.
fn state(site: &Workspace, topic: &str, partition: i32) -> Vec<(&'static str, Vec<u8>)> {
    let archive = StateReader::open(site.path("data/thalweg.db")).expect("a state file");
    let found = archive
        .newest(topic, partition, &thalweg_pipeline::checkpoints::read)
        .expect("an intact checkpoint")
        .expect("a checkpoint");
    assert!(found.damaged.is_empty(), "{:?}", found.damaged);
    let checkpoint = found.checkpoint;
    let progress = format!("{} {} {}", checkpoint.position, checkpoint.records, checkpoint.dead_letters);
    vec![
        ("prequential", rmp_serde::to_vec_named(&checkpoint.prequential).expect("MessagePack")),
        ("index", rmp_serde::to_vec_named(&checkpoint.index).expect("MessagePack")),
        ("position, records, dead letters", progress.into_bytes()),
    ]
}

/// What `thalweg model export` prints, but for the time of writing.
fn exported(site: &Workspace) -> Value {
    let mut export: Value = serde_json::from_str(&stdout(&site.run(&["model", "export"]))).expect("JSON");
    for partition in export["partitions"].as_array_mut().expect("partitions") {
        partition.as_object_mut().expect("an object").remove("written_at").expect("a time");
    }
    export
}

fn text(record: &Record) -> String {
    let Record { offset, timestamp, key, value, headers, .. } = record;
    let show =
        |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(160)]).into_owned());
    format!(
        "{offset} at {timestamp} key {:?} headers {}: {:?}",
        show(key.as_deref()),
        headers.len(),
        show(value.as_deref())
    )
}
