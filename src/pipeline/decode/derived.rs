//! Features that a record does not hold itself, and the past that they are made of.
//!
//! Invariant: they are the first columns, in the order of the settings, so that what records bring never moves them.

use std::sync::Arc;

use thalweg_features::{Column, Input, Past, Plan};

use super::{Notice, Schema, zone};

/// Name that stands for the record's own key, where pasts are kept apart by it.
pub(super) const RECORD_KEY: &str = "$key";

/// What the index knows of them: names, and fields that they need.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) columns: Vec<Column>,
    pub(super) fields: Vec<String>,
    /// Fields whose texts are needed: by which pasts are kept apart, behind these models, and behind all what joins labels to samples.
    pub(super) keys: Vec<String>,
    /// Number of the first, and of the first and the second.
    pub(super) pasts: usize,
    pub(super) of_rows: usize,
    /// Of these texts, the place of that which a label shares with its sample, and of that which marks a label.
    pub(super) join: [Option<usize>; 2],
}

impl Names {
    pub(super) fn of(schema: &Schema) -> Self {
        let plan = plan(schema);
        let mut keys = row_keys(schema, &plan);
        let (pasts, of_rows) = (plan.keys().len(), keys.len());
        let join = join_fields(schema).map(|field| {
            let field = field?;
            let known = keys.iter().position(|known| known == field);
            Some(known.unwrap_or_else(|| {
                keys.push(field.clone());
                keys.len() - 1
            }))
        });
        Self { columns: plan.columns().to_vec(), fields: plan.fields().to_vec(), keys, pasts, of_rows, join }
    }

    /// Returns what a field is needed for.
    pub(super) fn use_of(&self, name: &str) -> Option<Use> {
        let place = |names: &[String]| names.iter().position(|known| known == name);
        let found = Use { field: place(&self.fields), key: place(&self.keys) };
        (found != Use::default()).then_some(found)
    }
}

/// What a field is needed for: its place among the values, and among the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) field: Option<usize>,
    pub(super) key: Option<usize>,
}

/// What a record brings for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawn {
    /// NaN where unknown.
    pub(super) fields: Vec<f64>,
    pub(super) keys: Vec<Option<String>>,
}

/// The features of a stream, with its past.
#[derive(Debug, Default)]
pub(super) struct Derived {
    plan: Plan,
    /// Shared with copies that predict, and checkpoints.
    past: Arc<Past>,
    /// Time of the last sample.
    time: Option<i64>,
    /// Bytes that keys may take.
    budget: usize,
    /// Notices not taken yet, and what was told already: forgotten keys, late values.
    notices: Vec<Notice>,
    told: [bool; 2],
}

impl Derived {
    /// Goes on from a past of the same features.
    pub(super) fn new(schema: &Schema, mut past: Arc<Past>) -> Self {
        let budget = schema.keys_budget;
        if past.budget() != budget {
            Arc::make_mut(&mut past).set_budget(budget);
        }
        Self { plan: plan(schema), past, budget, ..Self::default() }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.plan.is_empty()
    }

    pub(super) fn needs_time(&self) -> bool {
        self.plan.needs_time()
    }

    pub(super) fn past(&self) -> &Arc<Past> {
        &self.past
    }

    /// Writes the features of a record to its row.
    pub(super) fn fill(&mut self, time: Option<i64>, drawn: &Drawn, row: &mut [f64]) {
        let row = &mut row[..self.plan.columns().len()];
        self.time = time;
        self.plan.fill(&self.past, Input { time, fields: &drawn.fields, keys: &drawn.keys }, row);
    }

    /// Makes the target of an earlier sample a part of the past: one that had these keys and this time.
    pub(super) fn remember_target(&mut self, keys: &[Option<String>], time: Option<i64>, target: f64) {
        if !self.plan.is_empty() {
            self.plan.remember_target(Arc::make_mut(&mut self.past), keys, time, target);
            self.note();
        }
    }

    /// Returns the part of what was drawn by which pasts are kept apart.
    pub(super) fn pasts_of<'d>(&self, drawn: &'d Drawn) -> &'d [Option<String>] {
        &drawn.keys[..self.plan.keys().len()]
    }

    /// Makes the last record a part of the past.
    pub(super) fn remember(&mut self, drawn: &Drawn, target: Option<f64>) {
        let Drawn { fields, keys } = drawn;
        self.plan.remember(Arc::make_mut(&mut self.past), Input { time: self.time, fields, keys }, target);
        self.note();
    }

    /// Notes what a person should know of the past.
    fn note(&mut self) {
        let (forgets, is_late) = (self.past.evicted() > 0, self.past.late() > 0);
        if [forgets, is_late] != self.told {
            let notices =
                [(forgets, Notice::KeysForgotten { budget: self.budget, model: None }), (is_late, Notice::LateValues)];
            let new = notices.into_iter().zip(self.told).filter(|((is_so, _), was_told)| *is_so && !was_told);
            self.notices.extend(new.map(|((_, notice), _)| notice));
            self.told = [forgets, is_late];
        }
    }

    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}

/// Returns the field whose text a label shares with its sample, and the one that marks a label.
pub(super) fn join_fields(schema: &Schema) -> [Option<&String>; 2] {
    let join = schema.labels.join();
    [join.and_then(|join| join.by.as_ref()), join.and_then(|join| join.marker.as_ref()).map(|marker| &marker.field)]
}

/// Returns the names of the keys that rows have.
pub(super) fn row_keys(schema: &Schema, plan: &Plan) -> Vec<String> {
    let mut keys = plan.keys().to_vec();
    for name in &schema.model_keys {
        if !keys.contains(name) {
            keys.push(name.clone());
        }
    }
    keys
}

pub(super) fn plan(schema: &Schema) -> Plan {
    // The settings refuse what has no plan.
    Plan::new(&schema.derived, &schema.target, zone).unwrap_or_default()
}
