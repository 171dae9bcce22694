//! Logs which fields of the samples are used: once there have been enough samples, and again when it has changed.
//!
//! Invariant: a line is logged again only with something new in it, and does not grow with the stream.

use std::collections::HashSet;

use thalweg_pipeline::decode::{Feature, FeatureKind, Fields, Text};

/// Number of records after which fields are logged even while more wait, and a field or target that never came is worth
/// a warning.
const MIN_RECORDS_TO_WARN: u64 = 1000;
/// Factor by which the number of records has to grow before a change is logged.
const RECHECK_FACTOR: u64 = 10;
/// Maximum number of names of each kind in a line.
const MAX_NAMES_SHOWN: usize = 30;

/// Logs the fields, and remembers what was logged.
#[derive(Debug, Default)]
pub(super) struct FieldsLog {
    /// Signature of the fields logged last, and the number of records then.
    logged: Option<(Vec<String>, u64)>,
    warned: HashSet<(&'static str, String)>,
    /// Number of records when a missing target was last warned of.
    no_target: u64,
    /// True where targets come in records of their own, so that none may be there yet.
    pub(super) are_late: bool,
}

impl FieldsLog {
    /// Logs what is new; `idle` while no more records wait, `done` when none will come, `learned` if there has been a
    /// target before.
    pub(super) fn log(&mut self, fields: &Fields, idle: bool, done: bool, learned: bool) {
        let records = fields.records;
        if records == 0 {
            return;
        }
        let names = signature(fields);
        let due = match &self.logged {
            None => records >= MIN_RECORDS_TO_WARN || idle || done,
            Some((logged, at)) => {
                *logged != names
                    && (records >= at.saturating_mul(RECHECK_FACTOR)
                        || (*at < MIN_RECORDS_TO_WARN && records >= MIN_RECORDS_TO_WARN))
            }
        };
        if due {
            let line = Line::of(fields);
            tracing::info!(
                event = "fields",
                records,
                with_target = fields.with_target,
                with_timestamp = fields.timestamp.as_ref().map(|_| fields.with_timestamp),
                features = fields.features.len(),
                numbers = line.numbers,
                categories = line.categories,
                ignored_text = line.text,
                ignored = line.ignored,
                bad_values = line.bad,
                "what is used of the samples"
            );
            self.logged = Some((names, records));
        }
        if records >= MIN_RECORDS_TO_WARN || done {
            self.warn(fields, learned);
        }
    }

    fn warn(&mut self, fields: &Fields, learned: bool) {
        let is_worth_it = fields.records >= MIN_RECORDS_TO_WARN || !learned;
        if is_worth_it
            && !self.are_late
            && fields.with_target == 0
            && fields.records >= self.no_target.saturating_mul(RECHECK_FACTOR)
        {
            self.no_target = fields.records;
            tracing::warn!(event = "no_target", records = fields.records, "{}", no_target(fields));
        }
        for unseen in fields.never_seen.iter().filter(|unseen| unseen.setting != "schema.target") {
            if self.warned.insert((unseen.setting, unseen.name.clone())) {
                tracing::warn!(
                    event = "never_seen",
                    setting = unseen.setting,
                    field = unseen.name,
                    nearest = unseen.nearest,
                    records = fields.records,
                    "a field that the settings name was in no record"
                );
            }
        }
    }
}

/// Returns the signature that has to change before the fields are logged again.
fn signature(fields: &Fields) -> Vec<String> {
    let features = fields.features.iter().map(|feature| match feature.kind {
        FeatureKind::Number => feature.name.clone(),
        FeatureKind::NumberInText => format!("\"{}", feature.name),
        FeatureKind::Category { .. } => format!("[{}", feature.name),
    });
    let text = fields.text.iter().map(|text| format!("~{}", text.name));
    features.chain(text).collect()
}

/// Explains why nothing can be learned, and where to look.
pub fn no_target(fields: &Fields) -> String {
    let there = some(fields.there().filter(|name| *name != fields.target).map(str::to_owned));
    let nearest = fields.nearest(&fields.target);
    let nearest = nearest.map_or(String::new(), |name| format!(" (did you mean `{name}`?)"));
    format!(
        "no record of {} has a target to score; look at schema.target, which is `{}`{nearest}; there are: {there}",
        fields.records, fields.target
    )
}

/// The parts of a line, each with its names.
pub struct Line {
    /// Fields that are numbers.
    pub numbers: String,
    /// Fields that are categories, with how many values each has.
    pub categories: String,
    /// Fields that hold other text.
    pub text: String,
    /// Fields that no model sees.
    pub ignored: String,
    /// Fields that could not be read.
    pub bad: String,
}

impl Line {
    /// Names the fields of `fields` by what the models make of them.
    pub fn of(fields: &Fields) -> Self {
        let number = |feature: &Feature| match feature.kind {
            FeatureKind::Number => Some(feature.name.clone()),
            FeatureKind::NumberInText => Some(format!("{} (in text)", feature.name)),
            FeatureKind::Category { .. } => None,
        };
        let category = |feature: &Feature| match feature.kind {
            FeatureKind::Category { categories } => Some(format!("{} ({categories})", feature.name)),
            _ => None,
        };
        let text = |text: &Text| match (text.values, text.different) {
            (0, _) => text.name.clone(),
            (values, different) => {
                let more = if different >= 100 { " or more" } else { "" };
                format!("{} ({values} texts, {different}{more} different, e.g. {})", text.name, text.example)
            }
        };
        Self {
            numbers: some(fields.features.iter().filter_map(number)),
            categories: some(fields.features.iter().filter_map(category)),
            text: some(fields.text.iter().map(text)),
            ignored: some(fields.ignored.iter().cloned()),
            bad: some(fields.bad.iter().map(|bad| format!("{} ({}: {})", bad.name, bad.values, bad.first))),
        }
    }
}

/// Lists the first of many names.
fn some(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let more = names.len().saturating_sub(MAX_NAMES_SHOWN);
    let shown = names[..names.len().min(MAX_NAMES_SHOWN)].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// Describes the fields for a person, in a few lines; empty kinds are left out.
pub fn lines(fields: &Fields) -> Vec<String> {
    let line = Line::of(fields);
    let mut lines =
        vec![format!("target: {} (in {} of {} records)", fields.target, fields.with_target, fields.records)];
    if let Some(name) = fields.timestamp.as_ref().filter(|_| fields.with_timestamp > 0) {
        let others = if fields.with_timestamp < fields.records { "; the record's own time stands in" } else { "" };
        lines.push(format!("time: {name} (in {} of {} records{others})", fields.with_timestamp, fields.records));
    }
    let numbers = fields.features.iter().filter(|it| !matches!(it.kind, FeatureKind::Category { .. })).count();
    let mut add = |what: String, names: &str| {
        if !names.is_empty() {
            lines.push(format!("{what}: {names}"));
        }
    };
    add(format!("numeric features ({numbers})"), &line.numbers);
    add(format!("categories ({})", fields.features.len() - numbers), &line.categories);
    add("text that is ignored (list in schema.nominal what is a category)".to_owned(), &line.text);
    add("ignored by schema.ignore".to_owned(), &line.ignored);
    add("bad values, taken as unknown".to_owned(), &line.bad);
    for unseen in &fields.never_seen {
        let nearest = unseen.nearest.as_ref().map_or(String::new(), |name| format!("; did you mean `{name}`?"));
        lines.push(format!("never seen: `{}` of {}{nearest}", unseen.name, unseen.setting));
    }
    lines
}
