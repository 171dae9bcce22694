//! Reads `[schema]`: the format of samples.
//!
//! Roles may be combined if that means something; contradictions are reported, all at once.

use std::{collections::HashSet, time::Duration};

use super::{
    choices::{choices, every, or_none},
    section::Section,
    values,
};
use thalweg_pipeline::decode::{Absent, MAX_CATEGORIES, Schema, Unit, date, zone};

pub(super) fn read(mut section: Section) -> Schema {
    let default = Schema::default();
    section.one_of("format", (), &[("json", ())]);
    let features = match section.take("features") {
        None => None,
        Some(value) if value.clone().into_string().is_ok_and(|text| text == "auto") => None,
        Some(value) => section.list_of_texts("features", value, "\"auto\" or a list of names"),
    };
    let schema = Schema {
        target: section.text("target", &default.target),
        nominal: section.texts("nominal"),
        ignore: section.texts("ignore"),
        key: section.optional_text("key"),
        key_is_feature: section.boolean("key_is_feature", default.key_is_feature),
        timestamp: section.optional_text("timestamp"),
        timestamp_is_feature: section.boolean("timestamp_is_feature", default.timestamp_is_feature),
        timestamp_unit: section.one_of(
            "timestamp_unit",
            default.timestamp_unit,
            &or_none("auto", every!(Unit { S, Ms, Us, Ns }).map(|unit| (unit.name(), unit))),
        ),
        timezone: timezone(&mut section, &default.timezone),
        timestamp_min: timestamp_min(&mut section, default.timestamp_min),
        timestamp_ahead: timestamp_ahead(&mut section, default.timestamp_ahead),
        absent: section.one_of("absent", default.absent, &choices!(Absent { "unknown": Unknown, "zero": Zero })),
        max_categories: section.integer("max_categories", default.max_categories, 1..=MAX_CATEGORIES),
        missing: values::missing(&mut section),
        on_bad_field: values::on_bad_field(&mut section),
        numeric_text: values::numeric_text(&mut section),
        max_features: section.integer("max_features", default.max_features, 1..=1_000_000),
        max_record_bytes: section.integer("max_record_bytes", default.max_record_bytes, 1..=1 << 30),
        features,
    };
    check_lists(&section, &schema);
    check_key_and_time(&section, &schema);
    schema
}

fn timezone(section: &mut Section, default: &str) -> String {
    let name = section.text("timezone", default);
    if zone(&name).is_none() {
        let wanted = "a name such as \"UTC\" or \"Europe/Paris\", or an offset such as \"+01:00\"";
        section.problem("timezone", &format!("`{name}` is no time zone; it is {wanted}"));
    }
    name
}

fn timestamp_min(section: &mut Section, default: i64) -> i64 {
    let Some(text) = section.optional_text("timestamp_min") else { return default };
    date(&text).unwrap_or_else(|| {
        section.problem("timestamp_min", &format!("`{text}` is no time; write it like \"1990-01-01\""));
        default
    })
}

fn timestamp_ahead(section: &mut Section, default: u64) -> u64 {
    let ahead = section.duration("timestamp_ahead", Duration::from_millis(default), Duration::ZERO);
    u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX)
}

fn check_lists(section: &Section, schema: &Schema) {
    let listed = schema.features.as_deref().unwrap_or_default();
    for (key, names) in [("features", listed), ("nominal", &schema.nominal), ("ignore", &schema.ignore)] {
        if names.contains(&schema.target) {
            section.problem(key, &format!("must not hold the target `{}`", schema.target));
        }
        let mut seen = HashSet::new();
        for name in names {
            if name.is_empty() {
                section.problem(key, "must not hold an empty name");
            } else if !seen.insert(name) {
                section.problem(key, &format!("holds `{name}` more than once"));
            }
        }
    }
    for name in listed.iter().filter(|name| schema.ignore.contains(name)) {
        section.problem("ignore", &format!("must not hold the feature `{name}`"));
    }
    for name in schema.nominal.iter().filter(|name| schema.ignore.contains(name) && !listed.contains(name)) {
        section.problem("ignore", &format!("must not hold `{name}`, which is in schema.nominal"));
    }
    if let Some(features) = &schema.features {
        if features.is_empty() {
            section.problem("features", "must name at least one, or be \"auto\"");
        }
        if features.len() > schema.max_features {
            section.problem("max_features", &format!("must be at least {}, the features listed", features.len()));
        }
        for name in schema.nominal.iter().filter(|name| !features.contains(name)) {
            section.problem("nominal", &format!("`{name}` is not in schema.features"));
        }
    }
}

/// Checks the key and the time, which may be features but not the target: a prediction is made before that is known.
fn check_key_and_time(section: &Section, schema: &Schema) {
    if schema.target.is_empty() {
        section.problem("target", "must not be empty");
    }
    for (key, name, flag, is_feature) in [
        ("key", &schema.key, "key_is_feature", schema.key_is_feature),
        ("timestamp", &schema.timestamp, "timestamp_is_feature", schema.timestamp_is_feature),
    ] {
        match name {
            Some(name) if name.is_empty() => section.problem(key, "must not be empty; leave it out"),
            Some(name) if *name == schema.target => {
                section.problem(key, &format!("must not be the target `{name}`: it is not known when predicting"));
            }
            _ => {}
        }
        if !is_feature {
            continue;
        }
        match name {
            None => section.problem(flag, &format!("says nothing without schema.{key}")),
            Some(name) if schema.ignore.contains(name) => {
                section.problem(flag, &format!("contradicts schema.ignore, which holds `{name}`"));
            }
            Some(name) if schema.features.as_ref().is_some_and(|features| !features.contains(name)) => {
                section.problem(flag, &format!("contradicts schema.features, which does not list `{name}`"));
            }
            _ => {}
        }
    }
}
