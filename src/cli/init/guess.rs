//! The part of each field: target, feature, category, key, time, or ignored, each with its reason.

use super::{
    kind::{self, Form, Kind, names},
    leak,
    survey::{Column, Survey},
};

/// Names that say what is to be predicted.
const TARGETS: [&str; 7] = ["y", "target", "label", "response", "outcome", "truth", "ground_truth"];

/// Bytes of a feature's name; a longer one would cost its records.
const MAX_NAME_BYTES: usize = 512;

/// A field's part.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Target,
    Time,
    Number,
    Category,
    /// Left out; the reason.
    Ignored(String),
}

/// The parts of all fields.
#[derive(Debug)]
pub(super) struct Guess {
    /// Index of the target, and why it is it.
    pub(super) target: usize,
    pub(super) why: String,
    /// True where it was asked for.
    pub(super) asked: bool,
    pub(super) kinds: Vec<Kind>,
    pub(super) parts: Vec<Part>,
    /// Index of the key, which is a category, too.
    pub(super) key: Option<usize>,
    pub(super) time: Option<Time>,
    /// Words that stand for unknown values besides the usual ones, with their fields.
    pub(super) words: Vec<(String, String)>,
    /// What deserves a second look.
    pub(super) doubts: Vec<String>,
}

/// The field of the time.
#[derive(Clone, Debug)]
pub(super) struct Time {
    pub(super) column: usize,
    pub(super) form: Form,
    /// Values that are no time.
    pub(super) unread: usize,
}

/// The fields' kinds, and which of them could be the target.
#[derive(Debug)]
pub(super) struct Candidates {
    pub(super) kinds: Vec<Kind>,
    /// Indices, the best last.
    pub(super) targets: Vec<usize>,
}

impl Candidates {
    pub(super) fn of(survey: &Survey) -> Self {
        let kinds: Vec<Kind> = survey.columns.iter().map(kind::of).collect();
        let targets = (0..kinds.len()).filter(|i| matches!(kinds[*i], Kind::Number { .. })).collect();
        Self { kinds, targets }
    }

    /// Returns the likeliest target and the reason.
    pub(super) fn likeliest(&self, columns: &[Column]) -> Option<(usize, String)> {
        let named = |name: &str| {
            let mut all = self.targets.iter().copied();
            all.find(|i| columns[*i].name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case(name)))
        };
        if let Some(i) = TARGETS.iter().find_map(|name| named(name)) {
            return Some((i, "so its name says".to_owned()));
        }
        if let [only] = self.targets[..] {
            return Some((only, "the one field with numbers that differ".to_owned()));
        }
        let values =
            |i: &usize| columns[*i].numbers().map(f64::to_bits).collect::<std::collections::HashSet<_>>().len();
        let last = self.targets.iter().rev().find(|i| values(i) > 2).or(self.targets.last())?;
        Some((*last, "a guess: the last field with numbers".to_owned()))
    }
}

impl Guess {
    /// Gives every field its part, once the target is known.
    pub(super) fn new(survey: &Survey, candidates: Candidates, (target, why): (usize, Option<String>)) -> Self {
        let kinds = candidates.kinds;
        let columns = &survey.columns;
        let mut guess = Self {
            target,
            asked: why.is_none(),
            why: why.unwrap_or_else(|| "as asked for".to_owned()),
            parts: Vec::new(),
            key: None,
            time: time(columns, &kinds, target),
            words: Vec::new(),
            doubts: Vec::new(),
            kinds,
        };
        guess.parts = (0..columns.len()).map(|i| guess.part(&columns[i], i)).collect();
        guess.leave_out_leaks(columns);
        guess.key = guess.find_key(columns);
        for (i, kind) in guess.kinds.iter().enumerate() {
            if let (Kind::Number { words }, false) = (kind, matches!(guess.parts[i], Part::Ignored(_))) {
                guess.words.extend(words.iter().map(|(word, _)| (word.clone(), columns[i].name.clone())));
            }
        }
        guess.doubt(survey);
        guess
    }

    /// Returns the indices of the fields that models see.
    pub(super) fn features(&self) -> impl Iterator<Item = usize> {
        (0..self.parts.len()).filter(|i| matches!(self.parts[*i], Part::Number | Part::Category))
    }

    fn part(&self, column: &Column, i: usize) -> Part {
        if i == self.target {
            return Part::Target;
        }
        if self.time.as_ref().is_some_and(|time| time.column == i) {
            return Part::Time;
        }
        let records = column.cells().len();
        let bytes = column.name.len();
        Part::Ignored(match &self.kinds[i] {
            Kind::Number { .. } | Kind::Category(_) if bytes > MAX_NAME_BYTES => {
                format!("has a name of {bytes} bytes, {MAX_NAME_BYTES} is the most of a feature")
            }
            Kind::Number { .. } => return Part::Number,
            Kind::Category(_) => return Part::Category,
            Kind::Empty => "has no value in the sample".to_owned(),
            Kind::Constant(value) => format!("is {value} in every record"),
            Kind::Counter => "counts on by the same step from record to record, as the number of a row does".to_owned(),
            Kind::Identifier(different) => {
                format!("has {different} different values in {records} records: an identifier, nothing to learn from")
            }
            Kind::Prose => "holds sentences".to_owned(),
            Kind::Time { .. } => "is one more time".to_owned(),
            Kind::Unreadable(why) => format!("holds {why}"),
        })
    }

    /// Leaves out what gives the target away, unless nothing else would be left.
    fn leave_out_leaks(&mut self, columns: &[Column]) {
        let target = &columns[self.target];
        let leaks: Vec<(usize, String)> =
            self.features().filter_map(|i| Some((i, leak::reason(&columns[i], target)?))).collect();
        let all = leaks.len() == self.features().count();
        for (i, why) in leaks {
            let name = &columns[i].name;
            if all {
                self.doubts.push(format!("`{name}` {why}; it is used all the same, since there is no other feature"));
            } else {
                self.parts[i] = Part::Ignored(format!("{why}; if it is known before, take it out of schema.ignore"));
            }
        }
    }

    /// Finds the category that names whose record it is.
    fn find_key(&self, columns: &[Column]) -> Option<usize> {
        let is_key = |i: &usize| match self.kinds[*i] {
            Kind::Category(different) => {
                self.parts[*i] == Part::Category
                    && names::hold(&columns[*i].name, names::KEY)
                    && different > 1
                    && 4 * different <= columns[*i].cells().len()
            }
            _ => false,
        };
        (0..columns.len()).find(is_key)
    }

    fn doubt(&mut self, survey: &Survey) {
        let columns = &survey.columns;
        let target = &columns[self.target];
        let known = target.numbers().count();
        let first = target.numbers().next();
        if survey.records < 100 {
            let records =
                if survey.records == 1 { "1 record tells" } else { &format!("{} records tell", survey.records) };
            self.doubts.push(format!("{records} little: look at what was guessed"));
        }
        if known == 0 {
            self.doubts.push(format!("`{}`, the target, has no value in the sample", target.name));
        } else if known > 1 && target.numbers().all(|y| Some(y) == first) {
            self.doubts.push(format!("`{}`, the target, has the same value in every record", target.name));
        } else if target.numbers().map(f64::to_bits).collect::<std::collections::HashSet<_>>().len() == 2 && known >= 20
        {
            self.doubts.push(format!(
                "`{}`, the target, has two values: Thalweg predicts numbers, so read its predictions as being nearer to one or \
                 the other",
                target.name
            ));
        }
        if !matches!(self.kinds[self.target], Kind::Number { .. } | Kind::Constant(_) | Kind::Empty) {
            self.doubts.push(format!(
                "`{}` was asked for; it looks like a number to be left out, not to be predicted",
                target.name
            ));
        }
        if self.features().next().is_none() {
            self.doubts.push("there is no feature: it can learn only from the target's own past".to_owned());
        }
        if survey.left_out > 0 {
            self.doubts.push(format!(
                "a record has {} fields beyond the {} that schema.max_features allows, and cannot be used; raise it, or ignore some",
                survey.left_out,
                columns.len()
            ));
        }
    }
}

/// Chooses the field of the time: one that never goes back, one whose name says so, the one with most readable values.
fn time(columns: &[Column], kinds: &[Kind], target: usize) -> Option<Time> {
    let times = kinds.iter().enumerate().filter_map(|(i, kind)| match kind {
        Kind::Time { form, unread, rising } if i != target => {
            let known = columns[i].cells().iter().filter(|cell| **cell != super::survey::Cell::Unknown).count();
            let named = names::hold(&columns[i].name, names::TIME);
            let is_usual = 10 * known >= 9 * columns[i].cells().len();
            Some((
                (is_usual, *rising, named, known - unread, std::cmp::Reverse(i)),
                Time { column: i, form: form.clone(), unread: *unread },
            ))
        }
        _ => None,
    });
    times.max_by_key(|(rank, _)| *rank).map(|(_, time)| time)
}
