//! Reads `[schema]`: the format of samples.
//!
//! Roles may be combined if that means something; contradictions are reported, all at once.

use std::{collections::HashSet, time::Duration};

use super::{
    choices::{choices, every, or_none},
    format,
    section::Section,
    values,
};
use thalweg_pipeline::decode::{
    Absent, Cast, Envelope, Format, MAX_CATEGORIES, Named, OnDelete, Rename, Schema, Unit, date, naming, zone,
};

/// What was read.
pub(super) struct Read {
    pub(super) schema: Schema,
    /// See [`format::Written`].
    pub(super) asked: Option<thalweg_registry::Config>,
    pub(super) registry: Option<thalweg_registry::Config>,
}

/// `registers` is true where predictions may have a use for the registry.
pub(super) fn read(mut section: Section, registers: bool) -> Read {
    let default = Schema::default();
    let format::Written { format, asked, registry } = format::read(&mut section, registers);
    let features = match section.take("features") {
        None => None,
        Some(value) if value.clone().into_string().is_ok_and(|text| text == "auto") => None,
        Some(value) => section.list_of_texts("features", value, "\"auto\" or a list of names"),
    };
    let schema = Schema {
        format,
        envelope: section.one_of(
            "envelope",
            default.envelope,
            &every!(Envelope {
                Auto,
                None,
                Connect,
                Debezium,
                CloudEvents,
                Telegraf,
                AvroJson,
                MongoDb,
                Maxwell,
                Canal,
                Ogg
            })
            .map(|envelope| (envelope.name(), envelope)),
        ),
        root: section.optional_text("root"),
        explode: section.optional_text("explode"),
        max_rows: section.integer("max_rows", default.max_rows, 1..=100_000),
        on_delete: section.one_of(
            "on_delete",
            default.on_delete,
            &choices!(OnDelete { "skip": Skip, "dead_letter": DeadLetter }),
        ),
        rename: rename(&mut section),
        cast: cast(&mut section),
        // Tables of their own.
        derived: default.derived,
        model_keys: default.model_keys,
        keys_budget: default.keys_budget,
        labels: default.labels,
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
            &or_none("auto", every!(Unit { S, Ms, Us, Ns, D }).map(|unit| (unit.name(), unit))),
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
    if schema.format != Format::Json
        && !matches!(schema.envelope, Envelope::Auto | Envelope::None | Envelope::Debezium | Envelope::CloudEvents)
    {
        section.problem("envelope", "is one of JSON, and schema.format is another");
    }
    check_form(&section, &schema);
    check_lists(&section, &schema);
    check_key_and_time(&section, &schema);
    Read { schema, asked, registry }
}

/// Reads the table of other names.
fn rename(section: &mut Section) -> Vec<Rename> {
    let mut table = section.section("rename");
    let fields = table.rest().into_iter();
    fields.filter_map(|from| table.optional_text(&from).map(|to| Rename { from, to })).collect()
}

/// Reads the table of meanings.
fn cast(section: &mut Section) -> Vec<Named> {
    let mut table = section.section("cast");
    let mut named = Vec::new();
    for field in table.rest() {
        let Some(text) = table.optional_text(&field) else { continue };
        match text.parse() {
            Ok(cast) => named.push(Named { field, cast }),
            Err(()) => {
                let wanted = "\"number\", \"time\" or \"decimal(N)\" with N digits after the point; categories are listed in \
                              schema.nominal";
                table.problem(&field, &format!("`{text}` is not one of {wanted}"));
            }
        }
    }
    named
}

/// Checks where the rows of a record are.
fn check_explode(section: &Section, schema: &Schema) {
    let Some(path) = &schema.explode else { return };
    let (is_record, problem) = (path == "$", |message: &str| section.problem("explode", message));
    if !is_record && (path.starts_with('$') || path.split('.').any(str::is_empty)) {
        problem("must be the path of an array, such as \"data.rows\", or \"$\" where the record itself is one");
    }
    if is_record && schema.format != Format::Json {
        problem(
            "is the path of an array in a record of Avro or Protocol Buffers, such as \"rows\": the record itself is none",
        );
    }
    if !is_record && !may_be_within(schema.envelope, path) {
        let message = format!(
            "says where the features are, as does schema.envelope = \"{}\": leave the envelope out, and name in schema.root where \
             they are within a row",
            schema.envelope.name()
        );
        problem(&message);
    }
    let is_within =
        |root: &str| root.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if let Some(root) = schema.root.as_deref().filter(|root| !is_record && !is_within(root)) {
        section.problem(
            "root",
            &format!(
                "must lie in schema.explode, as \"{path}.fields\" does, since a row stands there; `{root}` does not"
            ),
        );
    }
}

/// Returns true where a path says where the features are, in spite of the envelope: within an event's data it does.
fn may_be_within(envelope: Envelope, path: &str) -> bool {
    let is_in_data = || path.split('.').next() == Some("data");
    matches!(envelope, Envelope::Auto | Envelope::None) || (envelope == Envelope::CloudEvents && is_in_data())
}

/// Checks where the features are, and what they are called.
fn check_form(section: &Section, schema: &Schema) {
    if let Some(root) = &schema.root {
        if root.split('.').any(str::is_empty) {
            section.problem(
                "root",
                "must be a path such as \"payload.after\"; leave it out where the record itself is meant",
            );
        }
        if !may_be_within(schema.envelope, root) {
            let message = format!(
                "says where the features are, as does schema.envelope = \"{}\": set one of them",
                schema.envelope.name()
            );
            section.problem("root", &message);
        }
    }
    check_explode(section, schema);
    let mut names = HashSet::new();
    for Rename { from, to } in &schema.rename {
        let key = format!("rename.{from}");
        if from.is_empty() || to.is_empty() {
            section.problem(&key, "must not be empty");
        } else if !names.insert(to) {
            section.problem(&key, &format!("gives the name `{to}` to a second field"));
        } else if naming::is_pattern(from) || naming::is_pattern(to) {
            section.problem(&key, "must be a name: a star stands for others only in features, nominal and ignore");
        }
    }
    for Named { field, cast } in &schema.cast {
        if *cast != Cast::Time && schema.nominal.contains(field) {
            section.problem(
                &format!("cast.{field}"),
                "contradicts schema.nominal, which holds it: a category is no number",
            );
        }
    }
    let single =
        [("target", Some(&schema.target)), ("key", schema.key.as_ref()), ("timestamp", schema.timestamp.as_ref())];
    for (key, name) in single {
        if name.is_some_and(|name| naming::is_pattern(name)) {
            section.problem(key, "must be one field: a star stands for others only in features, nominal and ignore");
        }
    }
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
    // A list of names may single out some of those that a pattern of the other fits.
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
        let is_listed = |name: &String| features.iter().any(|feature| naming::fits(feature, name));
        for name in schema.nominal.iter().filter(|name| !is_listed(name)) {
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
            Some(name)
                if schema
                    .features
                    .as_ref()
                    .is_some_and(|features| !features.iter().any(|listed| naming::fits(listed, name))) =>
            {
                section.problem(flag, &format!("contradicts schema.features, which does not list `{name}`"));
            }
            _ => {}
        }
    }
}
