//! The columns that features make, and how they are filled.

use exmex::{Express, FlatEx};
use jiff::tz::TimeZone;

use super::{
    calendar::{self, Clock, Wall},
    config::{Calendar, Feature, Kind, MAX_SAMPLES, MAX_TIME, Since, Span, Statistic},
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
    columns: Vec<Column>,
    steps: Vec<Step>,
    fields: Vec<String>,
    keys: Vec<String>,
    groups: Vec<Group>,
    clocks: Vec<Clock>,
    /// Buffer for a key.
    key: Vec<u8>,
    /// Buffer for the values of a formula.
    values: Vec<f64>,
    needs_time: bool,
}

/// Features whose past is kept by the same key.
#[derive(Debug)]
struct Group {
    /// Index of the key; `None` for all samples.
    by: Option<usize>,
    series: Vec<(Source, Wanted)>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Target,
    Field(usize),
    /// A column before.
    Column(usize),
}

/// What fills the next columns.
#[derive(Debug)]
enum Step {
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
        let mut builder = Builder { plan: Self::default(), target, problems: Vec::new(), feature: 0 };
        for (i, feature) in features.iter().enumerate() {
            builder.feature = i;
            builder.add(feature, &zone);
        }
        let Builder { plan, problems, .. } = builder;
        if problems.is_empty() { Ok(plan) } else { Err(problems) }
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

/// Most fields by which pasts are kept apart.
const MAX_KEYS: usize = 16;

/// Most fields whose values are used; a decoder tells the fields apart by a byte.
const MAX_FIELDS: usize = 200;

struct Builder<'t> {
    plan: Plan,
    target: &'t str,
    problems: Vec<Problem>,
    /// The feature that is being added.
    feature: usize,
}

impl Builder<'_> {
    fn problem(&mut self, key: &'static str, message: impl Into<String>) {
        let message = message.into();
        // Many names may have one and the same.
        if self.problems.iter().any(|known| known.feature == self.feature && known.message == message) {
            return;
        }
        self.problems.push(Problem { feature: self.feature, key, message });
    }

    fn add(&mut self, feature: &Feature, zone: &impl Fn(&str) -> Option<TimeZone>) {
        let Feature { kind, by, name } = feature;
        let first = self.plan.columns.len();
        let group = match by {
            Some(by) if by == self.target => {
                self.problem("by", format!("must not be the target `{by}`: it is not known when predicting"));
                return;
            }
            Some(by) if by.is_empty() => {
                self.problem("by", "must name a field, such as \"device\"");
                return;
            }
            _ => by.as_deref(),
        };
        match kind {
            Kind::Calendar(calendar) => self.calendar(calendar, zone),
            Kind::Elapsed(since) => {
                self.plan.needs_time = true;
                let group = self.group(group);
                let name = match since {
                    Since::Sample => "elapsed".to_owned(),
                    Since::Label => format!("elapsed({})", self.target),
                };
                self.column(Step::Elapsed { group, since: *since }, name);
            }
            Kind::Lag { of, at } => {
                self.check_spans("at", at);
                for of in of {
                    for span in at {
                        self.past(group, "of", of, *span, |wanted| wanted.lag(*span), format!("lag({of}, {span})"));
                    }
                }
            }
            Kind::Rolling { of, over, statistics } => {
                self.check_spans("over", over);
                if statistics.is_empty() {
                    self.problem("statistics", "must name at least one, such as \"mean\"");
                }
                for of in of {
                    for (span, statistic) in over.iter().flat_map(|span| statistics.iter().map(move |it| (span, *it))) {
                        let name = format!("{}({of}, {span})", statistic.name());
                        self.past(group, "of", of, *span, |wanted| wanted.window(*span, statistic), name);
                    }
                }
            }
            Kind::Difference(of) => {
                let name = format!("{} - {}", of[0], of[1]);
                if let Some(of) = self.sources("of", of) {
                    self.column(Step::Difference(of), name);
                }
            }
            Kind::Ratio(of) => {
                let name = format!("{} / {}", of[0], of[1]);
                if let Some(of) = self.sources("of", of) {
                    self.column(Step::Ratio(of), name);
                }
            }
            Kind::Expression(formula) => self.expression(formula),
        }
        if let Kind::Lag { of, .. } | Kind::Rolling { of, .. } = kind
            && of.is_empty()
        {
            self.problem("of", "must name at least one field, or the target");
        }
        if by.is_some() && !matches!(kind, Kind::Elapsed(_) | Kind::Lag { .. } | Kind::Rolling { .. }) {
            self.problem("by", "keeps pasts apart, and this kind looks at none");
        }
        self.name(first, group, name.as_deref());
    }

    /// Gives the columns from `first` on their names.
    fn name(&mut self, first: usize, by: Option<&str>, name: Option<&str>) {
        let made = self.plan.columns.len() - first;
        match name {
            Some("") => self.problem("name", "must not be empty"),
            Some(name) if made == 1 => name.clone_into(&mut self.plan.columns[first].name),
            Some(_) if made > 1 => {
                self.problem("name", format!("names one feature, and these settings make {made}; leave it out"));
            }
            _ => {
                if let Some(by) = by {
                    self.plan.columns[first..].iter_mut().for_each(|column| column.name += &format!(" by {by}"));
                }
            }
        }
        for i in first..self.plan.columns.len() {
            let name = self.plan.columns[i].name.clone();
            if self.plan.columns[..i].iter().any(|other| other.name == name) {
                self.problem("name", format!("`{name}` is there twice; give one another `name`, or leave it out"));
            } else if name == self.target {
                self.problem("name", format!("`{name}` is the target's"));
            }
        }
    }

    fn column(&mut self, step: Step, name: String) {
        self.plan.columns.push(Column { name, categories: None });
        self.plan.steps.push(step);
    }

    fn calendar(&mut self, calendar: &Calendar, zone: &impl Fn(&str) -> Option<TimeZone>) {
        let Some(zone) = zone(&calendar.zone) else {
            self.problem(
                "zone",
                format!(
                    "`{}` is no time zone; it is a name such as \"Europe/Paris\", or an offset such as \"+01:00\"",
                    calendar.zone
                ),
            );
            return;
        };
        if calendar.parts.is_empty() {
            self.problem("parts", "must name at least one, such as \"hour\"");
        }
        if calendar.parts.contains(&super::Part::Holiday) == calendar.holidays.is_empty() {
            self.problem("holidays", "lists the days of the part \"holiday\"; set both, or none");
        }
        let mut calendar = calendar.clone();
        calendar.holidays.sort_unstable();
        let columns = calendar::columns(&calendar);
        let clock = self.plan.clocks.len();
        self.plan.clocks.push(Clock::new(zone));
        self.plan.needs_time = true;
        self.plan.steps.push(Step::Calendar { calendar, clock, columns: columns.len() });
        self.plan.columns.extend(columns.into_iter().map(|(name, categories)| Column { name, categories }));
    }

    fn check_spans(&mut self, key: &'static str, spans: &[Span]) {
        if spans.is_empty() {
            self.problem(key, "must name at least one, such as 1 or \"24h\"");
        }
        for span in spans {
            let fits = match *span {
                Span::Samples(n) => (1..=MAX_SAMPLES).contains(&n),
                Span::Time(time) => (1..=MAX_TIME).contains(&time),
            };
            if !fits {
                self.problem(key, format!("holds {span}; it takes 1 to {MAX_SAMPLES} samples, or 1 ms to ten years"));
            }
        }
    }

    /// Adds a column of what came before.
    fn past(
        &mut self,
        by: Option<&str>,
        key: &'static str,
        of: &str,
        span: Span,
        add: impl FnOnce(&mut Wanted) -> series::Past,
        name: String,
    ) {
        let source = if of == self.target { Source::Target } else { self.field(of) };
        if let Source::Field(_) = source
            && self.plan.columns.iter().any(|column| column.name == of)
        {
            self.problem(key, format!("`{of}` is made here, and its past is not kept; name a field, or the target"));
            return;
        }
        self.plan.needs_time |= span.milliseconds().is_some();
        let group = self.group(by);
        let all = &mut self.plan.groups[group].series;
        let series = all.iter().position(|(known, _)| *known == source).unwrap_or_else(|| {
            all.push((source, Wanted::default()));
            all.len() - 1
        });
        let past = add(&mut all[series].1);
        self.column(Step::Past { group, series, past }, name);
    }

    fn group(&mut self, by: Option<&str>) -> usize {
        let by = by.map(|by| {
            let keys = &mut self.plan.keys;
            keys.iter().position(|known| known == by).unwrap_or_else(|| {
                keys.push(by.to_owned());
                keys.len() - 1
            })
        });
        if self.plan.keys.len() > MAX_KEYS {
            self.problem("by", format!("names one more field than the {MAX_KEYS} that may keep pasts apart"));
        }
        let groups = &mut self.plan.groups;
        groups.iter().position(|group| group.by == by).unwrap_or_else(|| {
            groups.push(Group { by, series: Vec::new() });
            groups.len() - 1
        })
    }

    fn field(&mut self, name: &str) -> Source {
        if self.plan.fields.len() >= MAX_FIELDS && !self.plan.fields.iter().any(|known| known == name) {
            self.problem("of", format!("names one more field than the {MAX_FIELDS} whose values may be used"));
            return Source::Target;
        }
        let fields = &mut self.plan.fields;
        Source::Field(fields.iter().position(|known| known == name).unwrap_or_else(|| {
            fields.push(name.to_owned());
            fields.len() - 1
        }))
    }

    /// Returns where a name's value comes from: a feature before it, or a field.
    fn source(&mut self, key: &'static str, name: &str) -> Option<Source> {
        if let Some(i) = self.plan.columns.iter().position(|column| column.name == name) {
            return Some(Source::Column(i));
        }
        if name == self.target {
            self.problem(
                key,
                format!("must not hold the target `{name}`: it is not known when predicting; its past is, as in `lag({name}, 1)`"),
            );
            return None;
        }
        if name.is_empty() {
            self.problem(key, "must not hold an empty name");
            return None;
        }
        Some(self.field(name))
    }

    fn sources(&mut self, key: &'static str, names: &[String; 2]) -> Option<[Source; 2]> {
        let [one, other] = names;
        Some([self.source(key, one)?, self.source(key, other)?])
    }

    fn expression(&mut self, text: &str) {
        let formula = match exmex::parse::<f64>(text) {
            Ok(formula) => formula,
            Err(error) => {
                let message =
                    format!("`{text}`: {error}; it is such as \"volts * amps\", names with other signs in {{braces}}");
                self.problem("formula", message);
                return;
            }
        };
        let names = formula.var_names().to_vec();
        if names.is_empty() {
            self.problem("formula", format!("`{text}` names no field, and so is a constant"));
        }
        let variables: Option<Vec<Source>> = names.iter().map(|name| self.source("formula", name)).collect();
        if let Some(variables) = variables {
            self.column(Step::Expression { formula: Box::new(formula), variables }, text.to_owned());
        }
    }
}
