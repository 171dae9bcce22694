//! The columns that features make, and how they are filled.

use exmex::{Express, FlatEx};
use jiff::tz::TimeZone;

use super::{
    builder::Builder,
    calendar::{Clock, Wall},
    config::{Calendar, Feature, Since, Statistic},
    past::{History, Past},
    series::{self, Wanted},
};

/// Numbers beyond this are unknown, as in records.
const MAX_MAGNITUDE: f64 = 1e150;

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its categories, where it has some: a value is the place of one.
    pub categories: Option<Vec<String>>,
}

/// Something wrong with the features that are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which of them, from 0.
    pub feature: usize,
    /// Its setting.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What a sample brings.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Its time, in milliseconds since 1970.
    pub time: Option<i64>,
    /// The value of each of [`Plan::fields`], NaN where unknown.
    pub fields: &'a [f64],
    /// The value of each of [`Plan::keys`].
    pub keys: &'a [Option<String>],
}

/// How the columns of features are filled.
#[derive(Debug, Default)]
pub struct Plan {
    pub(super) columns: Vec<Column>,
    pub(super) steps: Vec<Step>,
    pub(super) fields: Vec<String>,
    pub(super) keys: Vec<String>,
    pub(super) groups: Vec<Group>,
    pub(super) clocks: Vec<Clock>,
    /// Buffer for a key.
    key: Vec<u8>,
    /// Buffer for the values of a formula.
    values: Vec<f64>,
    pub(super) needs_time: bool,
}

/// Features whose past is kept by the same key.
#[derive(Debug)]
pub(super) struct Group {
    /// Index of the key; `None` for all samples.
    pub(super) by: Option<usize>,
    pub(super) series: Vec<(Source, Wanted)>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Source {
    Target,
    Field(usize),
    /// A column before.
    Column(usize),
}

/// What fills the next columns.
#[derive(Debug)]
pub(super) enum Step {
    Calendar { calendar: Calendar, clock: usize, columns: usize },
    Elapsed { group: usize, since: Since },
    Past { group: usize, series: usize, past: series::Past },
    Difference([Source; 2]),
    Ratio([Source; 2]),
    Expression { formula: Box<FlatEx<f64>>, variables: Vec<Source> },
}

impl Plan {
    /// Plans the columns of `features`, where `target` is the name of the target. `zone` knows the zones of calendars.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(
        features: &[Feature],
        target: &str,
        zone: impl Fn(&str) -> Option<TimeZone>,
    ) -> Result<Self, Vec<Problem>> {
        Builder::new(target).plan(features, zone)
    }

    /// Returns the columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns the fields whose values are needed, but for the target.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Returns the fields whose texts tell pasts apart.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Returns true where something is made of the samples' time.
    pub fn needs_time(&self) -> bool {
        self.needs_time
    }

    /// Returns true where it makes no feature.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Writes the features of a sample to `row`, which has a place for each of the columns: from what was known before it.
    pub fn fill(&mut self, past: &Past, input: Input<'_>, row: &mut [f64]) {
        let Self { steps, groups, clocks, key, values, .. } = self;
        // Nearly always a few features share a group.
        let mut found: Option<(usize, Option<&History>)> = None;
        let mut history = |group: usize| match found {
            Some((known, history)) if known == group => history,
            _ => {
                let history = find(past, &groups[group], input, key);
                found = Some((group, history));
                history
            }
        };
        let mut column = 0;
        for step in steps {
            let value = match step {
                Step::Calendar { calendar, clock, columns } => {
                    let part = &mut row[column..column + *columns];
                    match input.time.and_then(|time| clocks[*clock].wall(time)) {
                        Some(wall) => Wall::write(&wall, calendar, part),
                        None => part.fill(f64::NAN),
                    }
                    column += *columns;
                    continue;
                }
                Step::Elapsed { group, since } => {
                    let last = history(*group).and_then(|history| match since {
                        Since::Sample => history.sample,
                        Since::Label => history.label,
                    });
                    match input.time.zip(last) {
                        Some((time, last)) => time.saturating_sub(last).max(0) as f64 / 1000.0,
                        None => f64::NAN,
                    }
                }
                Step::Past { group, series, past } => match history(*group) {
                    Some(history) => history.series[*series].get(&groups[*group].series[*series].1, *past, input.time),
                    None if matches!(past, series::Past::Window(_, Statistic::Count | Statistic::Sum)) => 0.0,
                    None => f64::NAN,
                },
                Step::Difference([one, other]) => one.of(input, row) - other.of(input, row),
                Step::Ratio([one, other]) => one.of(input, row) / other.of(input, row),
                Step::Expression { formula, variables } => {
                    values.clear();
                    values.extend(variables.iter().map(|variable| variable.of(input, row)));
                    // The only error is a wrong number of values.
                    formula.eval(values).unwrap_or(f64::NAN)
                }
            };
            // Infinities are unknown, too.
            row[column] = if value.abs() <= MAX_MAGNITUDE { value } else { f64::NAN };
            column += 1;
        }
    }

    /// Remembers a sample: its time, its fields, and its target where that is known. Its features come first.
    pub fn remember(&mut self, past: &mut Past, input: Input<'_>, target: Option<f64>) {
        let value = |source| match source {
            Source::Field(i) => Some(input.fields[i]).filter(|value| !value.is_nan()),
            Source::Target => target,
            Source::Column(_) => None,
        };
        self.each_group(past, input.keys, |history| {
            history.sample = input.time.or(history.sample);
            history.label = target.and(input.time).or(history.label);
            (input.time, value)
        });
    }

    /// Remembers the target of a sample that had these keys and this time, and whose target was not known then.
    pub fn remember_target(&mut self, past: &mut Past, keys: &[Option<String>], time: Option<i64>, target: f64) {
        self.each_group(past, keys, |history| {
            history.label = time.or(history.label);
            (time, |source| (source == Source::Target).then_some(target))
        });
    }

    /// Changes the history of each group, and adds the values of its series at a time, which `change` returns.
    fn each_group<V: Fn(Source) -> Option<f64>>(
        &mut self,
        past: &mut Past,
        keys: &[Option<String>],
        mut change: impl FnMut(&mut History) -> (Option<i64>, V),
    ) {
        let Self { groups, key, .. } = self;
        let mut late = 0;
        for group in groups {
            let new = || History::new(group.series.iter().map(|(_, wanted)| wanted));
            let mut add = |history: &mut History| {
                let (time, value) = change(history);
                for ((source, wanted), series) in group.series.iter().zip(&mut history.series) {
                    let is_late = value(*source).is_some_and(|value| !series.push(wanted, time, value));
                    late += u64::from(is_late);
                }
            };
            match group.by {
                None => add(past.all.get_or_insert_with(new)),
                Some(by) => {
                    let Some(text) = &keys[by] else { continue };
                    write_key(key, by, text);
                    past.keyed.update(key, new, add);
                }
            }
        }
        past.late += late;
    }

    /// Returns true where a past that was read from a state is one of this plan.
    pub fn fits(&self, past: &Past) -> bool {
        let fits = |group: &Group, history: &History| {
            history.series.len() == group.series.len()
                && history.series.iter().zip(&group.series).all(|(series, (_, wanted))| series.fits_to(wanted))
        };
        let all = self.groups.iter().find(|group| group.by.is_none());
        let of = |key: &[u8]| {
            let by = usize::from(*key.first()?);
            self.groups.iter().find(|group| group.by == Some(by))
        };
        past.all.as_ref().is_none_or(|history| all.is_some_and(|group| fits(group, history)))
            && past.keyed.iter().all(|(key, history)| of(key).is_some_and(|group| fits(group, history)))
    }
}

fn find<'p>(past: &'p Past, group: &Group, input: Input<'_>, key: &mut Vec<u8>) -> Option<&'p History> {
    let Some(by) = group.by else { return past.all.as_ref() };
    write_key(key, by, input.keys[by].as_ref()?);
    past.keyed.get(key)
}

/// Writes the key of a state: the field's place, then its text.
fn write_key(key: &mut Vec<u8>, by: usize, text: &str) {
    key.clear();
    // There are at most `MAX_KEYS` fields.
    key.push(by as u8);
    key.extend_from_slice(text.as_bytes());
}

impl Source {
    fn of(self, input: Input<'_>, row: &[f64]) -> f64 {
        match self {
            Self::Field(i) => input.fields[i],
            Self::Column(i) => row[i],
            // Refused where the plan is made.
            Self::Target => f64::NAN,
        }
    }
}
