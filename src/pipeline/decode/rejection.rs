//! Reasons why a record cannot be used: a text for people and a stable code for programs.

use std::fmt;

use super::MAX_MAGNITUDE;

/// Value found where a number belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Text, shortened and in quotes; true where it reads as a number.
    Text(String, bool),
    /// An array.
    Array,
    /// An object, and the name of its first member.
    Object(Option<String>),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Text(text, _) => write!(f, "the text {text}"),
            Found::Array => f.write_str("an array"),
            Found::Object(_) => f.write_str("an object"),
        }
    }
}

impl Found {
    /// Returns the advice that ends the message.
    fn advice(&self, field: &str, target: bool) -> String {
        match self {
            Found::Text(_, true) => "; schema.numeric_text = true reads numbers in text".to_owned(),
            Found::Text(_, false) if target => "; list it in schema.missing if it stands for an unknown value".to_owned(),
            Found::Text(..) => {
                "; list the field in schema.nominal if it is a category, the text in schema.missing if it stands for an \
                 unknown value"
                    .to_owned()
            }
            Found::Array if target => format!("; schema.target = \"{field}.0\" is its first element"),
            Found::Object(Some(member)) if target => format!("; schema.target = \"{field}.{member}\" is one of its members"),
            Found::Array | Found::Object(_) if target => "; schema.target can name a member by its path".to_owned(),
            Found::Array | Found::Object(_) => ", as it held before; what is in it is not read".to_owned(),
        }
    }
}

/// Reason why a text is not read as a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The date could be two.
    DayOrMonth,
    /// The zone is given in letters such as `CST`, which are not the same offset everywhere.
    Letters,
    /// It is an object, of which one member may be a time.
    Members,
}

impl Doubt {
    /// Returns the reason, to follow the text.
    pub fn text(&self) -> &'static str {
        match self {
            Doubt::DayOrMonth => ": its day and month could be either way round",
            Doubt::Letters => ": the letters of its zone are not the same everywhere, so give an offset such as +01:00",
            Doubt::Members => {
                ": if one of its members is the time, name that in schema.timestamp, as in \"ts.seconds\""
            }
        }
    }
}

/// The reason a record becomes a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// A null value.
    #[error("the record is a tombstone (its value is null)")]
    Tombstone,
    /// A value of no bytes.
    #[error("the record's value is empty")]
    Empty,
    /// The value is over `schema.max_record_bytes`.
    #[error("the record has {size} bytes, schema.max_record_bytes allows {limit}")]
    TooLarge {
        /// Size in bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Not JSON.
    #[error("the record is not JSON: {problem}")]
    NotJson {
        /// Message of the parser, with line and column.
        problem: String,
    },
    /// JSON, but no object.
    #[error("the record is not a JSON object but {found}")]
    NotAnObject {
        /// Kind of the value.
        found: &'static str,
    },
    /// The record says that a row was deleted, and no more.
    #[error("the record says that a row was deleted: there is nothing to predict from (schema.on_delete)")]
    Deleted {
        /// True where it is skipped, and no dead letter.
        is_skipped: bool,
    },
    /// The object that holds the features is not there.
    #[error("the record has {} at `{root}`, where its features belong (schema.root, schema.envelope)", found.unwrap_or("nothing"))]
    NoRoot {
        /// Path of the object.
        root: String,
        /// Kind of what is there, if anything.
        found: Option<&'static str>,
    },
    /// An array of rows without any.
    #[error("the record's array of rows is empty: there is nothing to predict from (schema.explode)")]
    NoRows,
    /// More rows in an array than `schema.max_rows`.
    #[error("the record's array has {rows} rows, schema.max_rows allows {limit}")]
    TooManyRows {
        /// Number of rows.
        rows: usize,
        /// The limit.
        limit: usize,
    },
    /// More than one row where one is asked for.
    #[error("the sample holds {rows} rows; send each as a sample of its own")]
    SeveralRows {
        /// Number of rows.
        rows: usize,
    },
    /// Rows that are too large, each with what stands around the array.
    #[error(
        "the record's {rows} rows have {size} bytes, with what stands around the array in each of them; {limit} are the most, four          times schema.max_record_bytes"
    )]
    RowsTooLarge {
        /// Number of rows.
        rows: usize,
        /// Bytes of all.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// JSON of a form that cannot be read.
    #[error("the record is {form}: {advice}")]
    OtherForm {
        /// The form.
        form: String,
        /// What to do.
        advice: &'static str,
    },
    /// An attribute of an event that is no text.
    #[error(
        "the header `{header}` is not UTF-8, as an attribute of CloudEvents has to be; check who writes to the topic"
    )]
    BadHeader {
        /// The header.
        header: String,
    },
    /// No id of a schema where serializers with a registry write one.
    #[error(
        "the record does not begin with the id of its schema, as serializers with a schema registry write it, but with {found}; \
         check who writes to the topic, or name a schema in schema.file where its records have no ids"
    )]
    NotFramed {
        /// What is there.
        found: String,
    },
    /// An id that the registry does not know.
    #[error(
        "the registry has no schema {id}; check that schema.registry.url is the registry of whoever wrote the record"
    )]
    UnknownSchema {
        /// The id.
        id: String,
    },
    /// A schema that cannot be read.
    #[error("the record's schema {id} cannot be read: {problem}")]
    BadSchema {
        /// The id.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Bytes that were not written by the schema that is said of them.
    #[error("the record does not fit its schema {schema}: {problem}")]
    DoesNotFit {
        /// The schema's id.
        schema: String,
        /// What does not fit.
        problem: String,
    },
    /// A value is NaN where that is not listed as missing, an infinity, or a number too large to be held.
    #[error("field `{field}`: {value} is not finite; list it in schema.missing if it stands for an unknown value")]
    NotFinite {
        /// The field.
        field: String,
        /// Its value, shortened.
        value: String,
    },
    /// A number is finite, but too large to be squared.
    #[error("field `{field}`: {value} is beyond ±{MAX_MAGNITUDE:e}")]
    OutOfRange {
        /// The field.
        field: String,
        /// Its value.
        value: String,
    },
    /// The target or a numeric feature is no number.
    #[error("field `{field}` holds {found} where a number belongs{}", found.advice(field, *target))]
    NotANumber {
        /// The field.
        field: String,
        /// True where it is the target.
        target: bool,
        /// Its value.
        found: Found,
    },
    /// There is no feature to predict from, and no target.
    #[error("the record has no usable feature")]
    NoFeatures,
    /// A label that lacks what a label needs.
    #[error(
        "the record is a label without `{field}`, or with none that can be used; each needs its target, and what it shares with its sample ({setting})"
    )]
    BadLabel {
        /// What it lacks.
        field: String,
        /// The setting that names it.
        setting: &'static str,
    },
    /// A label for which no sample waits.
    #[error(
        "no sample with the key `{key}` waits for this label; it came before it (labels.max_early), after labels.max_wait, or there \
         was none"
    )]
    NoSample {
        /// What it shares with its sample, shortened.
        key: String,
    },
    /// Another label for a sample that has had one.
    #[error("the sample with the key `{key}` has had its label; labels.on_correction = \"learn\" learns it once more")]
    AlreadyLabelled {
        /// What it shares with its sample, shortened.
        key: String,
    },
    /// More features than `schema.max_features`.
    #[error("the record would bring the stream to more than schema.max_features = {limit} features")]
    TooManyFeatures {
        /// The limit.
        limit: usize,
    },
    /// A feature name too long to keep.
    #[error("the record has a feature name of {size} bytes, {limit} is the most")]
    NameTooLong {
        /// Size in bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A key too long to go with a prediction.
    #[error("the record has a key of {size} bytes, {limit} is the most")]
    KeyTooLong {
        /// Size in bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The timestamp field holds no time that is understood.
    #[error(
        "field `{field}` holds {value}, no time that is understood{}; write the year first, as in 2013-01-31T10:00:00Z, \
         2013-01-31 10:00:00.5 or 2013-01-31, or a number since 1970 in schema.timestamp_unit",
        doubt.as_ref().map_or("", Doubt::text)
    )]
    BadTimestamp {
        /// The field.
        field: String,
        /// Its value, shortened.
        value: String,
        /// Reason why it could be another time, where it is known.
        doubt: Option<Doubt>,
    },
}

impl Rejection {
    /// Returns `true` where the record is skipped and counted, and no dead letter.
    pub fn is_skipped(&self) -> bool {
        matches!(self, Rejection::Deleted { is_skipped: true } | Rejection::NoRows)
    }

    /// Returns the field that caused the rejection, where there is one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Rejection::NotFinite { field, .. }
            | Rejection::OutOfRange { field, .. }
            | Rejection::NotANumber { field, .. }
            | Rejection::BadTimestamp { field, .. } => Some(field),
            _ => None,
        }
    }

    /// Returns the stable code of the header `thalweg.reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Rejection::Tombstone => "tombstone",
            Rejection::Empty => "empty",
            Rejection::TooLarge { .. } => "too_large",
            Rejection::NotJson { .. } => "not_json",
            Rejection::NotAnObject { .. } => "not_an_object",
            Rejection::Deleted { .. } => "deleted",
            Rejection::NoRoot { .. } => "no_root",
            Rejection::NoRows => "no_rows",
            Rejection::TooManyRows { .. } | Rejection::SeveralRows { .. } | Rejection::RowsTooLarge { .. } => {
                "too_many_rows"
            }
            Rejection::OtherForm { .. } => "other_form",
            Rejection::BadHeader { .. } => "bad_header",
            Rejection::NotFramed { .. } => "not_framed",
            Rejection::UnknownSchema { .. } => "unknown_schema",
            Rejection::BadSchema { .. } => "bad_schema",
            Rejection::DoesNotFit { .. } => "does_not_fit",
            Rejection::NotFinite { .. } => "not_finite",
            Rejection::OutOfRange { .. } => "out_of_range",
            Rejection::NotANumber { .. } => "not_a_number",
            Rejection::NoFeatures => "no_features",
            Rejection::BadLabel { .. } => "bad_label",
            Rejection::NoSample { .. } => "no_sample",
            Rejection::AlreadyLabelled { .. } => "already_labelled",
            Rejection::TooManyFeatures { .. } => "too_many_features",
            Rejection::NameTooLong { .. } => "name_too_long",
            Rejection::KeyTooLong { .. } => "key_too_long",
            Rejection::BadTimestamp { .. } => "bad_timestamp",
        }
    }
}
