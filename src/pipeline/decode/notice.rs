//! Notices about a stream, each given once: assumptions that were made, and values that were given up.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

use super::{Envelope, Rejection, Unit, numeric_text::PROBATION_VALUES};

/// Something that a person should know.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// The unit of times was found, and stays.
    TimestampUnit {
        /// The field.
        field: String,
        /// The unit.
        unit: Unit,
        /// The number that decided it.
        number: f64,
        /// Its time, in milliseconds since 1970.
        time: i64,
    },
    /// A nominal feature has all the categories it may have.
    CategoriesShared {
        /// The field.
        field: String,
        /// The limit.
        limit: usize,
    },
    /// A category is too long to keep.
    CategoryCut {
        /// The field.
        field: String,
    },
    /// A bad value cost its field; more of the same field are only counted.
    BadValue(Rejection),
    /// A field holds its numbers as text.
    NumericText {
        /// The field.
        field: String,
    },
    /// Records are wrapped in an envelope, which is taken off.
    Envelope {
        /// The envelope.
        envelope: Envelope,
        /// Place of the features, within Connect's payload where there is one; empty where it is the record.
        root: String,
    },
    /// What is remembered by key has no more room: keys that came up least recently are forgotten from now on.
    KeysForgotten {
        /// Bytes that they may take.
        budget: usize,
        /// The model per key; `None` for what features of the past remember.
        model: Option<Arc<str>>,
    },
    /// Values came later than the longest span of their features, and do not count.
    LateValues,
    /// A sample brings its target although labels bring those, and might be a label.
    WholeSample {
        /// A feature that it has, where it has some.
        feature: Option<String>,
    },
    /// A sample has nothing by which a label could be joined to it.
    Unjoinable {
        /// The field that it lacks; `None` for a key.
        field: Option<String>,
    },
    /// A field whose first texts were numbers is text after all.
    Words {
        /// The field.
        field: String,
    },
}

impl Notice {
    /// Returns its stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Notice::TimestampUnit { .. } => "timestamp_unit",
            Notice::CategoriesShared { .. } => "categories_shared",
            Notice::CategoryCut { .. } => "category_cut",
            Notice::BadValue(_) => "bad_value",
            Notice::Envelope { .. } => "envelope",
            Notice::NumericText { .. } => "numeric_text",
            Notice::Words { .. } => "not_numeric_text",
            Notice::KeysForgotten { .. } => "keys_forgotten",
            Notice::LateValues => "late_values",
            Notice::WholeSample { .. } => "whole_sample",
            Notice::Unjoinable { .. } => "unjoinable",
        }
    }

    /// Returns `true` where values lose detail or are lost, and `false` where everything is as it should be.
    pub fn is_warning(&self) -> bool {
        !matches!(
            self,
            Notice::TimestampUnit { .. } | Notice::Envelope { .. } | Notice::NumericText { .. } | Notice::Words { .. }
        )
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::TimestampUnit { field, unit, number, time } => write!(
                f,
                "field `{field}`: times are taken to be in {}, since {number} is {}; schema.timestamp_unit says otherwise",
                unit.name(),
                DisplayTime(*time)
            ),
            Notice::CategoriesShared { field, limit } => write!(
                f,
                "field `{field}` has more than schema.max_categories = {limit} categories: the rare ones share a few from \
                 now on; if it is an identifier, list it in schema.ignore"
            ),
            Notice::CategoryCut { field } => write!(
                f,
                "field `{field}` holds text too long for a category: it is told apart by its hash; if it is no category, \
                 list it in schema.ignore"
            ),
            Notice::BadValue(rejection @ Rejection::BadTimestamp { .. }) => write!(
                f,
                "{rejection}. The time of the record itself stands in (schema.on_bad_field), for more such times as well"
            ),
            Notice::BadValue(rejection) => {
                write!(f, "{rejection}. The value counts as unknown (schema.on_bad_field), more of this field as well")
            }
            Notice::Envelope { envelope, root } => {
                let place = if root.is_empty() { String::new() } else { format!(", and features those of `{root}`") };
                write!(
                    f,
                    "records are taken to be {}{place}; schema.envelope = \"none\" reads them as they are",
                    envelope.records()
                )
            }
            Notice::NumericText { field } => {
                write!(
                    f,
                    "field `{field}` holds numbers as text, {PROBATION_VALUES} of {PROBATION_VALUES}, and is read as a number"
                )
            }
            Notice::KeysForgotten { budget, model } => {
                let (what, setting) = match model {
                    Some(model) => (format!("what `{model}` has learned of its keys"), "budget"),
                    None => ("what is remembered by key".to_owned(), "keys.budget"),
                };
                write!(
                    f,
                    "keys that came up least recently are forgotten from now on, since {what} takes over {setting} = {budget} bytes \
                     in a partition; they begin anew when they come back"
                )
            }
            Notice::LateValues => f.write_str(
                "values came later than the longest span of their features, and do not count from now on (docs/features.md); look \
                 at the samples' times, and at whose clock they are of",
            ),
            Notice::WholeSample { feature } => {
                let such = feature.as_ref().map_or(String::new(), |feature| format!(", such as `{feature}`"));
                write!(
                    f,
                    "a record has the target and features{such}: it and others like it are learned at once as samples; if they are \
                     labels, tell them by labels.marker, or list what else they hold in schema.ignore"
                )
            }
            Notice::Unjoinable { field } => {
                let lacks = field.as_ref().map_or("a key".to_owned(), |field| format!("`{field}`"));
                write!(f, "a sample has no {lacks}, by which labels are joined (labels.by): it is predicted, as others like it are, and never learned")
            }
            Notice::Words { field } => write!(
                f,
                "field `{field}` holds text that is no number, and is no feature any more; if it is a category, list it \
                 in schema.nominal"
            ),
        }
    }
}

/// Implausible times since they were last taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Implausible {
    /// The field.
    pub field: String,
    /// The first of them, in milliseconds since 1970.
    pub time: i64,
    /// True where it is too early, false where it is too late.
    pub early: bool,
    /// The number that it was read from, where that looks like a date: 20130131.
    pub date: Option<i64>,
    /// Number of implausible times.
    pub count: u64,
}

impl fmt::Display for Implausible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, time, early, date, .. } = self;
        let bound = if *early { "before schema.timestamp_min" } else { "further ahead than schema.timestamp_ahead" };
        write!(
            f,
            "field `{field}`: {} is {bound}; set that, or schema.timestamp_unit, if this is not as it should be",
            DisplayTime(*time)
        )?;
        match date {
            Some(date) => write!(f, "; a date such as {date} has to be text, \"{date}\""),
            None => Ok(()),
        }
    }
}

/// Shows a time in the form that people read.
pub(super) struct DisplayTime(pub(super) i64);

impl fmt::Display for DisplayTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}
