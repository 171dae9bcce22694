//! Features that are made of a sample's time, of other fields, and of what came before.

use std::fmt;

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

use super::aggregate::Aggregate;

/// Most samples that a span counts.
pub const MAX_SAMPLES: u32 = 10_000;

/// Longest span of time, in milliseconds: ten years.
pub const MAX_TIME: i64 = 3_653 * 86_400_000;

/// One entry of `[[features]]`, which makes one feature or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// What it is made of.
    pub kind: Kind,
    /// Field by whose values the past is kept apart; `None` for one past of all samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Name of the feature, where it makes one; by default what it is, such as `lag(y, 24h)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

checked!(Feature { kind, by, name });

/// What features are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Parts of the sample's time.
    Calendar(Calendar),
    /// Seconds since something.
    Elapsed(Since),
    /// What values were.
    Lag {
        /// Fields, or the target.
        of: Vec<String>,
        /// How long ago.
        at: Vec<Span>,
    },
    /// Statistics of the latest values.
    Rolling {
        /// Fields, or the target.
        of: Vec<String>,
        /// How far back.
        over: Vec<Span>,
        /// Which ones.
        statistics: Vec<Statistic>,
    },
    /// One field, or feature made before, less another.
    Difference([String; 2]),
    /// One divided by another; unknown where that is 0.
    Ratio([String; 2]),
    /// A formula over fields and features made before.
    Expression(String),
}

checked!(
    enum Kind {
        Calendar(calendar),
        Elapsed(since),
        Lag { of, at },
        Rolling { of, over, statistics },
        Difference(of),
        Ratio(of),
        Expression(formula),
    }
);

/// Parts of the time, in a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// Which ones.
    pub parts: Vec<Part>,
    /// Zone of the clock on the wall, of the IANA database.
    pub zone: String,
    /// How they are written.
    pub form: Form,
    /// Holidays, in days since 1970-01-01.
    pub holidays: Vec<i32>,
}

checked!(Calendar { parts, zone, form, holidays });

/// A part of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Minute of the hour.
    Minute,
    /// Hour of the day.
    Hour,
    /// Day of the week, from Monday.
    Weekday,
    /// Day of the year.
    DayOfYear,
    /// Month of the year.
    Month,
    /// 1 on Saturdays and Sundays, else 0.
    Weekend,
    /// 1 on the days that are listed, else 0.
    Holiday,
}

checked!(enum Part = Minute | Hour | Weekday | DayOfYear | Month | Weekend | Holiday);

impl Part {
    /// Returns its name in the settings and in those of features.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Weekday => "weekday",
            Self::DayOfYear => "day_of_year",
            Self::Month => "month",
            Self::Weekend => "weekend",
            Self::Holiday => "holiday",
        }
    }

    /// Returns true for what is either so or not.
    pub(crate) fn is_flag(self) -> bool {
        matches!(self, Self::Weekend | Self::Holiday)
    }
}

/// How a part of the time that comes again is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// Sine and cosine of the share of its round, so that its end is next to its beginning.
    #[default]
    Cyclic,
    /// A category.
    Category,
    /// A number from 0, with its fraction.
    Number,
}

checked!(enum Form = Cyclic | Category | Number);

/// What time has passed since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Since {
    /// The sample before.
    #[default]
    Sample,
    /// The latest sample whose target is known.
    Label,
}

checked!(enum Since = Sample | Label);

/// A distance back from a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Span {
    /// So many values, 1 to [`MAX_SAMPLES`].
    Samples(u32),
    /// So many milliseconds, 1 to [`MAX_TIME`].
    Time(i64),
}

checked!(
    enum Span {
        Samples(n),
        Time(milliseconds),
    }
);

impl Span {
    /// Returns the time or the number of the value with which a span that ends at `at` begins: what is there is no part of it.
    pub(crate) fn begin(self, at: i64) -> i64 {
        match self {
            Self::Samples(n) => at.saturating_sub(i64::from(n)),
            Self::Time(milliseconds) => at.saturating_sub(milliseconds),
        }
    }

    /// Returns its milliseconds, where it is one of time.
    pub(crate) fn milliseconds(self) -> Option<i64> {
        match self {
            Self::Samples(_) => None,
            Self::Time(milliseconds) => Some(milliseconds),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(i64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
        match *self {
            Self::Samples(n) => write!(f, "{n}"),
            Self::Time(time) => {
                // A day is said in hours, as people do.
                let whole = |(unit, name): &(i64, &'static str)| {
                    (time % unit == 0 && !(*name == "d" && time == *unit)).then(|| (time / unit, *name))
                };
                let (number, unit) = UNITS.iter().find_map(whole).unwrap_or((time, "ms"));
                write!(f, "{number}{unit}")
            }
        }
    }
}

/// A statistic of the values within a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statistic {
    /// Mean.
    Mean,
    /// Standard deviation, with one degree of freedom less than values.
    Deviation,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// Number of values; 0 where there are none.
    Count,
    /// Sum; 0 where there are no values.
    Sum,
    /// Slope of the line of least squares: per second in a span of time, per value in one of samples.
    Slope,
    /// Mean of all values, of which each weighs half as much after the span.
    Ewm,
}

checked!(enum Statistic = Mean | Deviation | Min | Max | Count | Sum | Slope | Ewm);

impl Statistic {
    /// Returns its name in the settings and in those of features.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Deviation => "deviation",
            Self::Min => "min",
            Self::Max => "max",
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Slope => "slope",
            Self::Ewm => "ewm",
        }
    }

    pub(crate) fn of(self, values: &Aggregate, span: Span) -> f64 {
        match self {
            Self::Mean | Self::Ewm => values.mean(),
            Self::Deviation => values.deviation(),
            Self::Min => values.min(),
            Self::Max => values.max(),
            Self::Count => values.count(),
            Self::Sum => values.sum(),
            // Times are in milliseconds.
            Self::Slope => values.slope() * if span.milliseconds().is_some() { 1000.0 } else { 1.0 },
        }
    }
}
