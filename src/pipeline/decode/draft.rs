//! The sample that a record's values make, one value at a time.
//!
//! Invariant: nothing here changes the [`Index`]: new features and categories of a record wait until the whole record
//! is accepted. It does not know the syntax of values in the record.

use std::collections::HashMap;

use super::{
    Index, MAX_MAGNITUDE, Notice, NumericText, OnBad, OnBadField, Rejection, Unit,
    bare::Quoted,
    categories::Category,
    check_key,
    index::NewColumn,
    missing::{Bad, shown},
    numeric_text::{self, Turn},
    rejection::Found,
    role::{Field, Part},
    time::{self, Moment},
    usage::Usage,
};

/// Longest name of a feature, so that names cannot eat the memory.
const MAX_NAME_BYTES: usize = 512;

/// Bad values of one record that are counted.
const MAX_LOST_VALUES: usize = 1000;

/// The record being decoded.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// A value per known column, NaN where unknown.
    pub(super) row: Vec<f64>,
    /// Features seen for the first time; they become columns once the record is accepted.
    pub(super) new: Vec<NewColumn>,
    /// Their places in `new`, by name.
    new_lookup: HashMap<String, usize>,
    /// Categories seen for the first time, with their columns, which exist; added once the record is accepted.
    pub(super) new_categories: Vec<(usize, String)>,
    pub(super) target: Option<f64>,
    pub(super) key: Option<String>,
    pub(super) timestamp: Option<Moment>,
    /// Unit of times, where this record's time decides it.
    pub(super) unit: Option<Unit>,
    /// Number of known values for known columns.
    pub(super) known: usize,
    /// Buffer for flattened names.
    pub(super) path: String,
    pub(super) rejection: Option<Rejection>,
    /// Buffer for a record in which bare words are quoted.
    pub(super) quoted: Quoted,
    /// Evidence of texts about their columns, and names of fields with text that is no number.
    pub(super) turns: Vec<Turn>,
    pub(super) words: Vec<String>,
    /// Bad values of this record that cost only their field.
    pub(super) lost: Vec<(String, Rejection)>,
    /// Bad values of all records.
    pub(super) bad: Bad,
    /// Fields with text that is ignored.
    pub(super) texts: Vec<usize>,
    /// Notices about the stream since they were last taken.
    pub(super) notices: Vec<Notice>,
    pub(super) usage: Usage,
    /// True on the fast path, which rejects every bad value at once: only the full decoder knows the value's text.
    pub(super) on_fast_path: bool,
}

impl Draft {
    #[inline]
    pub(super) fn start(&mut self, index: &Index) {
        index.begin(&mut self.row);
        // Nearly always there is nothing to clear: one look for all of them.
        let (columns, words) = (self.new_lookup.len() + self.new_categories.len(), self.turns.len() + self.words.len());
        if columns + words + self.new.len() + self.lost.len() + self.texts.len() > 0 {
            self.clear();
        }
        (self.target, self.key, self.timestamp, self.unit) = (None, None, None, None);
        (self.known, self.rejection) = (0, None);
    }

    #[cold]
    fn clear(&mut self) {
        self.new.clear();
        self.new_lookup.clear();
        self.new_categories.clear();
        self.turns.clear();
        self.words.clear();
        self.lost.clear();
        self.texts.clear();
    }

    /// Takes a number for a field. `text` returns its text, for the fields that want text.
    #[inline]
    pub(super) fn number(
        &mut self,
        index: &Index,
        field: Field,
        name: &str,
        number: f64,
        text: impl FnOnce() -> String,
    ) -> Result<(), Rejection> {
        if !field.is_model_only() {
            let text = if field.wants_text() { text() } else { String::new() };
            return self.marked(index, field, name, number, text);
        }
        match field.part {
            Part::Column(_) | Part::Target if number.abs() > MAX_MAGNITUDE => {
                return self.bad(index, field.part, name, || beyond(name, number));
            }
            Part::Column(column) => self.set(column, number),
            Part::Target => self.target = Some(number),
            Part::Nominal(_) | Part::NewNominal => return self.text(index, field, name, &text()),
            Part::Text { column: Some(column), .. } if number.abs() <= MAX_MAGNITUDE => {
                let column = column as usize;
                self.set(column, number);
                self.turns.push(Turn::Number(column));
            }
            Part::New | Part::Text { .. } if index.is_open() => {
                check_name(name)?;
                if number.abs() > MAX_MAGNITUDE {
                    return self.bad(index, field.part, name, || beyond(name, number));
                }
                self.add(index, name, number, None)?;
            }
            Part::New => self.usage.other(name),
            Part::Text { .. } | Part::Ignored => {}
        }
        Ok(())
    }

    /// Takes a number for the key or the time.
    fn marked(
        &mut self,
        index: &Index,
        field: Field,
        name: &str,
        mut number: f64,
        text: String,
    ) -> Result<(), Rejection> {
        if field.key {
            self.take_key(&text)?;
        }
        if field.timestamp {
            match index.time(number) {
                Some(moment) => number = self.take_time(moment),
                None => {
                    self.bad_time(index, name, &number.to_string())?;
                    // A nominal feature still gets a category.
                    if !matches!(field.part, Part::Nominal(_) | Part::NewNominal) {
                        self.null(index, field);
                        return Ok(());
                    }
                }
            }
        }
        self.number(index, Field { part: field.part, ..Field::NEW }, name, number, || text)
    }

    /// Takes a word without quotes that is none of JSON's: no number, or one that f64 cannot hold.
    pub(super) fn bare(&mut self, index: &Index, field: Field, name: &str, word: &str) -> Result<(), Rejection> {
        if index.schema().is_missing(word) {
            self.null(index, field);
            return Ok(());
        }
        match field.part {
            Part::Nominal(_) | Part::NewNominal => return self.text(index, field, name, word),
            _ if field.key => self.take_key(word)?,
            _ => {}
        }
        if field.timestamp {
            self.bad_time(index, name, word)?;
            self.null(index, field);
            return Ok(());
        }
        match field.part {
            Part::Column(_) | Part::Target => self.bad(index, field.part, name, || not_finite(name, word)),
            Part::New | Part::Text { .. } if index.is_open() => {
                check_name(name)?;
                self.bad(index, field.part, name, || not_finite(name, word))
            }
            _ => Ok(()),
        }
    }

    /// Takes a value that is no number where a number belongs.
    pub(super) fn no_number(
        &mut self,
        index: &Index,
        part: Part,
        name: &str,
        found: impl FnOnce() -> Found,
    ) -> Result<(), Rejection> {
        let target = part == Part::Target;
        self.bad(index, part, name, || Rejection::NotANumber { field: name.to_owned(), target, found: found() })
    }

    /// Makes a bad value cost its field or its record, by the settings.
    #[cold]
    fn bad(
        &mut self,
        index: &Index,
        part: Part,
        name: &str,
        rejection: impl FnOnce() -> Rejection,
    ) -> Result<(), Rejection> {
        let OnBadField { features, target, .. } = index.schema().on_bad_field;
        let costs = if part == Part::Target { target } else { features };
        if costs == OnBad::DeadLetter || self.on_fast_path {
            return Err(rejection());
        }
        if part == Part::Target {
            self.target = None;
        }
        self.null(index, Field { part, ..Field::NEW });
        if self.lost.len() < MAX_LOST_VALUES {
            self.lost.push((name.to_owned(), rejection()));
        }
        Ok(())
    }

    /// Makes a time that cannot be read cost the record or only the time, by the settings.
    #[cold]
    pub(super) fn bad_time(&mut self, index: &Index, name: &str, found: &str) -> Result<(), Rejection> {
        let rejection = bad_timestamp(name, found);
        if index.schema().on_bad_field.timestamp == OnBad::DeadLetter || self.on_fast_path {
            return Err(rejection);
        }
        (self.timestamp, self.unit) = (None, None);
        if self.lost.len() < MAX_LOST_VALUES {
            self.lost.push((name.to_owned(), rejection));
        }
        Ok(())
    }

    /// Takes text for a field.
    pub(super) fn text(&mut self, index: &Index, field: Field, name: &str, text: &str) -> Result<(), Rejection> {
        if index.schema().is_missing(text) {
            self.null(index, field);
            return Ok(());
        }
        if field.key {
            self.take_key(text)?;
        }
        let plain = Field { part: field.part, ..Field::NEW };
        if field.timestamp {
            let is_category = matches!(field.part, Part::Nominal(_) | Part::NewNominal);
            match index.time_of_text(text) {
                Some(moment) => {
                    let value = self.take_time(moment);
                    if !is_category {
                        return self.number(index, plain, name, value, String::new);
                    }
                }
                None => {
                    self.bad_time(index, name, text)?;
                    if !is_category {
                        self.null(index, plain);
                        return Ok(());
                    }
                }
            }
        }
        match field.part {
            Part::Target | Part::Column(_) => return self.number_in_text(index, plain, name, text),
            Part::New | Part::Text { .. } if index.is_open() => return self.other_text(index, plain, name, text),
            Part::Nominal(column) => match index.category(column, text) {
                Category::Known(number) => {
                    self.new_categories.retain(|(other, _)| *other != column);
                    self.set(column, f64::from(number));
                }
                Category::New(name) => {
                    self.new_categories.retain(|(other, _)| *other != column);
                    self.new_categories.push((column, name.into_owned()));
                    self.set(column, 0.0);
                }
            },
            Part::NewNominal => {
                check_name(name)?;
                self.add(index, name, 0.0, Some(text.to_owned()))?;
            }
            Part::New => self.usage.other(name),
            Part::Ignored | Part::Text { .. } => {}
        }
        Ok(())
    }

    /// Takes text where a number belongs; it may read as one.
    fn number_in_text(&mut self, index: &Index, field: Field, name: &str, text: &str) -> Result<(), Rejection> {
        let number = numeric_text::read(text);
        let open = match field.part {
            Part::Column(column) if index.texts().is_on_probation(column) => Some(column),
            _ => None,
        };
        match number.filter(|_| index.schema().numeric_text != NumericText::Never) {
            Some(number) if number.is_finite() => {
                self.turns.extend(open.map(Turn::Numeric));
                self.number(index, field, name, number, String::new)
            }
            Some(_) => self.bad(index, field.part, name, || not_finite(name, text)),
            None if number.is_none() && open.is_some() => {
                self.turns.extend(open.map(Turn::Words));
                Ok(())
            }
            None => self.no_number(index, field.part, name, || Found::Text(shown(text), number.is_some())),
        }
    }

    /// Takes text of a field that is no feature yet.
    fn other_text(&mut self, index: &Index, field: Field, name: &str, text: &str) -> Result<(), Rejection> {
        let setting = index.schema().numeric_text;
        let number = numeric_text::read(text).filter(|_| setting != NumericText::Never);
        match (number, field.part) {
            // NaN and infinities are no evidence about the field.
            (Some(number), _) if !number.is_finite() => {}
            (Some(number), _) if setting == NumericText::Always => {
                return self.number(index, field, name, number, String::new);
            }
            (Some(number), Part::New)
                if number.abs() <= MAX_MAGNITUDE
                    && name.len() <= MAX_NAME_BYTES
                    && index.check_room(self.new.len() + 1).is_ok() =>
            {
                let known = self.new.len();
                self.add(index, name, number, None)?;
                if let Some(new) = self.new.get_mut(known) {
                    new.spelled = true;
                }
            }
            (None, Part::New) => self.note_words(index, name),
            (Some(_), Part::New) => self.usage.other(name),
            (_, Part::Text { slot, .. }) => {
                self.usage.text(slot as usize, text);
                self.texts.push(slot as usize);
            }
            _ => {}
        }
        Ok(())
    }

    /// Remembers a field with text that is no number, for when the record is accepted.
    fn note_words(&mut self, index: &Index, name: &str) {
        let has_room = name.len() <= MAX_NAME_BYTES && index.texts().have_room(self.words.len());
        if has_room && !self.words.iter().any(|known| known == name) {
            self.words.push(name.to_owned());
        } else if !has_room {
            self.usage.other(name);
        }
    }

    fn take_key(&mut self, text: &str) -> Result<(), Rejection> {
        check_key(Some(text.as_bytes()))?;
        let key = self.key.get_or_insert_default();
        key.clear();
        key.push_str(text);
        Ok(())
    }

    /// Takes the time, and returns its value as a feature.
    #[inline]
    fn take_time(&mut self, (moment, unit): (Moment, Option<Unit>)) -> f64 {
        (self.timestamp, self.unit) = (Some(moment), unit);
        moment.value()
    }

    /// Takes `null` for a field: unknown, also where absent is zero.
    #[inline]
    pub(super) fn null(&mut self, index: &Index, field: Field) {
        if let Part::Column(column) = field.part
            && index.absent_is_zero()
        {
            self.row[column] = f64::NAN;
        }
    }

    #[inline]
    pub(super) fn set(&mut self, column: usize, value: f64) {
        self.known += 1;
        self.row[column] = value;
    }

    fn add(&mut self, index: &Index, name: &str, value: f64, category: Option<String>) -> Result<(), Rejection> {
        // A name that comes twice counts once, with its last value, as JSON readers have it.
        if let Some(&i) = self.new_lookup.get(name) {
            (self.new[i].value, self.new[i].category) = (value, category);
            return Ok(());
        }
        index.check_room(self.new.len() + 1)?;
        self.new_lookup.insert(name.to_owned(), self.new.len());
        self.new.push(NewColumn { name: name.to_owned(), value, category, spelled: false });
        Ok(())
    }
}

/// Limits the length of a name before anything is said about a feature: messages name it, and travel with the dead
/// letter.
fn check_name(name: &str) -> Result<(), Rejection> {
    if name.len() > MAX_NAME_BYTES {
        return Err(Rejection::NameTooLong { size: name.len(), limit: MAX_NAME_BYTES });
    }
    Ok(())
}

fn beyond(name: &str, number: f64) -> Rejection {
    Rejection::OutOfRange { field: name.to_owned(), value: format!("{number:e}") }
}

fn not_finite(name: &str, word: &str) -> Rejection {
    Rejection::NotFinite { field: name.to_owned(), value: shown(word) }
}

#[cold]
fn bad_timestamp(name: &str, found: &str) -> Rejection {
    let shown: String = found.chars().take(40).collect();
    let value = if shown.len() < found.len() { format!("{shown}…") } else { shown };
    Rejection::BadTimestamp { field: name.to_owned(), value, doubt: time::doubt(found) }
}
