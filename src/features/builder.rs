//! Makes a plan of the features that the settings ask for, or says all that is wrong with them.

use exmex::Express;
use jiff::tz::TimeZone;

use super::{
    calendar::{self, Clock},
    config::{Calendar, Feature, Kind, MAX_SAMPLES, MAX_TIME, Part, Since, Span},
    plan::{Column, Group, Plan, Problem, Source, Step},
    series::{self, Wanted},
};

/// Most fields by which pasts are kept apart.
const MAX_KEYS: usize = 16;

/// Most fields whose values are used; a decoder tells the fields apart by a byte.
const MAX_FIELDS: usize = 200;

pub(super) struct Builder<'t> {
    plan: Plan,
    target: &'t str,
    problems: Vec<Problem>,
    /// The feature that is being added.
    feature: usize,
}

impl<'t> Builder<'t> {
    pub(super) fn new(target: &'t str) -> Self {
        Self { plan: Plan::default(), target, problems: Vec::new(), feature: 0 }
    }

    /// Returns the plan, or all that is wrong with the features.
    pub(super) fn plan(
        mut self,
        features: &[Feature],
        zone: impl Fn(&str) -> Option<TimeZone>,
    ) -> Result<Plan, Vec<Problem>> {
        for (i, feature) in features.iter().enumerate() {
            self.feature = i;
            self.add(feature, &zone);
        }
        if self.problems.is_empty() { Ok(self.plan) } else { Err(self.problems) }
    }

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
        if calendar.parts.contains(&Part::Holiday) == calendar.holidays.is_empty() {
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
