//! The sample that a record's values make, one value at a time.
//!
//! Invariant: nothing here changes the [`Index`]: what a record brings for the first time waits until the record turns out
//! well. How values are spelled in the record it does not know.

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
    /// Features seen for the first time; they become columns when the record turns out well.
    pub(super) new: Vec<NewColumn>,
    /// Their places in `new`.
    new_lookup: HashMap<String, usize>,
    /// Categories seen for the first time in columns that exist, likewise.
    pub(super) new_categories: Vec<(usize, String)>,
    pub(super) target: Option<f64>,
    pub(super) key: Option<String>,
    pub(super) timestamp: Option<Moment>,
    /// The unit that the time decides.
    pub(super) unit: Option<Unit>,
    /// How many known values it has brought for known columns.
    pub(super) known: usize,
    /// Room for flattened names.
    pub(super) path: String,
    pub(super) rejection: Option<Rejection>,
    /// Room for a record in which bare words are quoted.
    pub(super) quoted: Quoted,
    /// What texts have shown of their fields, and names of fields with text that is no number.
    pub(super) turns: Vec<Turn>,
    pub(super) words: Vec<String>,
    /// Bad values that cost only their field.
    pub(super) lost: Vec<(String, Rejection)>,
    /// Those of all records.
    pub(super) bad: Bad,
    /// Fields with text that is ignored.
    pub(super) texts: Vec<usize>,
    /// What somebody may want to hear of.
    pub(super) notices: Vec<Notice>,
    pub(super) usage: Usage,
    /// On the short way nothing that is bad is judged: the long way knows how it was spelled.
    pub(super) short: bool,
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

    /// Takes a number for a field. `text` spells it, for the fields that want text.
    #[inline]
    pub(super) fn number(
        &mut self,
        index: &Index,
        field: Field,
        name: &str,
        number: f64,
        text: impl FnOnce() -> String,
    ) -> Result<(), Rejection> {
        if !field.is_plain() {
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
                    // A category of its own all the same.
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

    /// What is no number is where one belongs.
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

    /// A bad value costs its field or its record.
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
        if costs == OnBad::DeadLetter || self.short {
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

    /// A time that cannot be read costs the record, or only the time.
    #[cold]
    pub(super) fn bad_time(&mut self, index: &Index, name: &str, found: &str) -> Result<(), Rejection> {
        let rejection = bad_timestamp(name, found);
        if index.schema().on_bad_field.timestamp == OnBad::DeadLetter || self.short {
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

    /// Takes text where a number belongs, which it may be.
    fn number_in_text(&mut self, index: &Index, field: Field, name: &str, text: &str) -> Result<(), Rejection> {
        let number = numeric_text::read(text);
        let open = match field.part {
            Part::Column(column) if index.texts().is_on_probation(column) => Some(column),
            _ => None,
        };
        match number.filter(|_| index.schema().numeric_text != NumericText::Never) {
            Some(number) if number.is_finite() => {
                self.turns.extend(open.map(Turn::EncodedPrediction));
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
            // Says nothing of the field.
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

    /// Remembers a field with text that is no number, if the record turns out well.
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

    /// The feature that the time is, too.
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

/// Before anything is said about a feature: what is said names it, and travels with the dead letter.
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
