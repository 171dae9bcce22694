//! The sample that a record's values make, one value at a time.
//!
//! Invariant: nothing here changes the [`Index`]: new features and categories of a record wait until the whole record
//! is accepted. It does not know the syntax of values in the record.

use std::collections::HashMap;

use super::{
    Index, MAX_MAGNITUDE, Notice, NumericText, OnBad, OnBadField, Rejection, Unit,
    bare::Quoted,
    cast::Cast,
    categories::Category,
    check_key,
    derived::Drawn,
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
    /// What the features of the past need.
    pub(super) drawn: Drawn,
    /// True once the object that holds the features was there.
    pub(super) has_root: bool,
    /// Unit of times, where this record's time decides it.
    pub(super) unit: Option<Unit>,
    /// Number of known values for known columns.
    pub(super) known: usize,
    /// Buffer for flattened names.
    pub(super) path: String,
    /// Buffer for a text without its escapes.
    pub(super) plain: String,
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
        self.has_root = index.is_root();
        if index.draws() {
            index.begin_to_draw(&mut self.drawn);
        }
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

    /// Takes a number for the field at `path`. `text` returns its text, for the fields that want text.
    #[inline]
    pub(super) fn number(
        &mut self,
        index: &Index,
        field: Field,
        path: &str,
        number: f64,
        text: impl FnOnce() -> String,
    ) -> Result<(), Rejection> {
        if !field.is_plain() {
            let text = if field.wants_text() { text() } else { String::new() };
            return self.marked(index, field, path, number, text);
        }
        match field.part {
            Part::Column(_) | Part::Target if number.abs() > MAX_MAGNITUDE => {
                return self.bad(index, field.part, path, |name| beyond(name, number));
            }
            Part::Column(column) => self.set(column, number),
            Part::Target => self.target = Some(number),
            Part::Nominal(_) | Part::NewNominal => return self.text(index, field, path, &text()),
            Part::Text { column: Some(column), .. } if number.abs() <= MAX_MAGNITUDE => {
                let column = column as usize;
                self.set(column, number);
                self.turns.push(Turn::Number(column));
            }
            Part::New | Part::Text { .. } if index.takes(path) => {
                let name = index.name(path);
                check_name(&name)?;
                if number.abs() > MAX_MAGNITUDE {
                    return self.bad(index, field.part, path, |name| beyond(name, number));
                }
                self.add(index, &name, number, None)?;
            }
            Part::New => self.usage.other(&index.name(path)),
            Part::Text { .. } | Part::Ignored => {}
        }
        Ok(())
    }

    /// Takes a number for the key, the time, or what is cast.
    fn marked(
        &mut self,
        index: &Index,
        field: Field,
        path: &str,
        mut number: f64,
        text: String,
    ) -> Result<(), Rejection> {
        if field.key {
            self.take_key(&text)?;
        }
        self.draw_key(index, field, &text)?;
        if field.timestamp {
            let moment = match field.in_milliseconds {
                true => Moment::of_milliseconds(number).map(|moment| (moment, None)),
                false => index.time(number, field.cast),
            };
            match moment {
                Some(moment) => number = self.take_time(moment),
                None => {
                    self.bad_time(index, path, &number.to_string())?;
                    // A nominal feature still gets a category.
                    if !field.is_category() {
                        self.null(index, field);
                        return Ok(());
                    }
                }
            }
        } else if field.cast == Some(Cast::Time) {
            match index.time(number, field.cast) {
                Some((moment, _)) => number = moment.value(),
                None => {
                    return self.no_number(index, field.part, path, || Found::Text(shown(&number.to_string()), false));
                }
            }
        }
        self.draw(index, field, number);
        self.number(index, field.as_feature(), path, number, || text)
    }

    /// Takes a number that features of the past need.
    #[inline]
    fn draw(&mut self, index: &Index, field: Field, number: f64) {
        if let Some(place) = index.use_of(field).field {
            self.drawn.fields[place] = if number.abs() <= MAX_MAGNITUDE { number } else { f64::NAN };
        }
    }

    /// Takes a text by which pasts are kept apart.
    fn draw_key(&mut self, index: &Index, field: Field, text: &str) -> Result<(), Rejection> {
        if let Some(place) = index.use_of(field).key {
            check_key(Some(text.as_bytes()))?;
            self.drawn.keys[place] = Some(text.to_owned());
        }
        Ok(())
    }

    /// Takes text that features of the past need as a number.
    fn draw_text(&mut self, index: &Index, field: Field, text: &str) {
        let number = match field.cast {
            Some(cast) => index.cast(text, cast),
            None if index.schema().numeric_text == NumericText::Never => None,
            None => numeric_text::read(text),
        };
        self.draw(index, field, number.filter(|number| number.is_finite()).unwrap_or(f64::NAN));
    }

    /// Takes a word without quotes that is none of JSON's: no number, or one that f64 cannot hold.
    pub(super) fn bare(&mut self, index: &Index, field: Field, path: &str, word: &str) -> Result<(), Rejection> {
        if index.is_missing(word) {
            self.null(index, field);
            return Ok(());
        }
        match field.part {
            Part::Nominal(_) | Part::NewNominal => return self.text(index, field, path, word),
            _ if field.key => self.take_key(word)?,
            _ => {}
        }
        self.draw_key(index, field, word)?;
        if field.timestamp {
            self.bad_time(index, path, word)?;
            self.null(index, field);
            return Ok(());
        }
        match field.part {
            Part::Column(_) | Part::Target => self.bad(index, field.part, path, |name| not_finite(name, word)),
            Part::New | Part::Text { .. } if index.takes(path) => {
                check_name(&index.name(path))?;
                self.bad(index, field.part, path, |name| not_finite(name, word))
            }
            _ => Ok(()),
        }
    }

    /// Takes a value that is no number where a number belongs.
    pub(super) fn no_number(
        &mut self,
        index: &Index,
        part: Part,
        path: &str,
        found: impl FnOnce() -> Found,
    ) -> Result<(), Rejection> {
        let target = part == Part::Target;
        self.bad(index, part, path, |name| Rejection::NotANumber { field: name.to_owned(), target, found: found() })
    }

    /// Makes a bad value cost its field or its record, by the settings.
    #[cold]
    fn bad(
        &mut self,
        index: &Index,
        part: Part,
        path: &str,
        rejection: impl FnOnce(&str) -> Rejection,
    ) -> Result<(), Rejection> {
        let OnBadField { features, target, .. } = index.schema().on_bad_field;
        let costs = if part == Part::Target { target } else { features };
        let name = index.name(path);
        if costs == OnBad::DeadLetter || self.on_fast_path {
            return Err(rejection(&name));
        }
        if part == Part::Target {
            self.target = None;
        }
        self.null(index, Field { part, ..Field::NEW });
        if self.lost.len() < MAX_LOST_VALUES {
            self.lost.push((name.clone().into_owned(), rejection(&name)));
        }
        Ok(())
    }

    /// Makes a time that cannot be read cost the record or only the time, by the settings.
    #[cold]
    pub(super) fn bad_time(&mut self, index: &Index, path: &str, found: &str) -> Result<(), Rejection> {
        let name = index.name(path);
        let rejection = bad_timestamp(&name, found);
        if index.schema().on_bad_field.timestamp == OnBad::DeadLetter || self.on_fast_path {
            return Err(rejection);
        }
        (self.timestamp, self.unit) = (None, None);
        if self.lost.len() < MAX_LOST_VALUES {
            self.lost.push((name.into_owned(), rejection));
        }
        Ok(())
    }

    /// Takes text for a field.
    pub(super) fn text(&mut self, index: &Index, field: Field, path: &str, text: &str) -> Result<(), Rejection> {
        if index.is_missing(text) {
            self.null(index, field);
            return Ok(());
        }
        if field.key {
            self.take_key(text)?;
        }
        if field.needed > 0 {
            self.draw_key(index, field, text)?;
            self.draw_text(index, field, text);
        }
        if field.timestamp {
            match index.time_of_text(text, field.cast) {
                Some(moment) => {
                    let value = self.take_time(moment);
                    if !field.is_category() {
                        return self.number(index, field.as_feature(), path, value, String::new);
                    }
                }
                None => {
                    self.bad_time(index, path, text)?;
                    if !field.is_category() {
                        self.null(index, field);
                        return Ok(());
                    }
                }
            }
        } else if let Some(cast) = field.cast
            && let Some(taken) = self.cast_text(index, field, path, text, cast)
        {
            return taken;
        }
        match field.part {
            Part::Target | Part::Column(_) => return self.number_in_text(index, field.as_feature(), path, text),
            Part::New | Part::Text { .. } if index.takes(path) => return self.other_text(index, field, path, text),
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
                let name = index.name(path);
                check_name(&name)?;
                self.add(index, &name, 0.0, Some(text.to_owned()))?;
            }
            Part::New => self.usage.other(&index.name(path)),
            Part::Ignored | Part::Text { .. } => {}
        }
        Ok(())
    }

    /// Takes text for a field whose meaning is said; `None` where it is taken as any other.
    #[inline(never)]
    fn cast_text(
        &mut self,
        index: &Index,
        field: Field,
        path: &str,
        text: &str,
        cast: Cast,
    ) -> Option<Result<(), Rejection>> {
        if field.is_category() {
            return None;
        }
        if let Some(number) = index.cast(text, cast) {
            return Some(self.number(index, field.as_feature(), path, number, || text.to_owned()));
        }
        let is_bad = matches!(cast, Cast::Number | Cast::Time) && field.part != Part::Ignored;
        is_bad.then(|| self.no_number(index, field.part, path, || Found::Text(shown(text), false)))
    }

    /// Takes text where a number belongs; it may read as one.
    fn number_in_text(&mut self, index: &Index, field: Field, path: &str, text: &str) -> Result<(), Rejection> {
        let number = numeric_text::read(text);
        let open = match field.part {
            Part::Column(column) if index.texts().is_on_probation(column) => Some(column),
            _ => None,
        };
        match number.filter(|_| index.schema().numeric_text != NumericText::Never) {
            Some(number) if number.is_finite() => {
                self.turns.extend(open.map(Turn::Numeric));
                self.number(index, field, path, number, String::new)
            }
            Some(_) => self.bad(index, field.part, path, |name| not_finite(name, text)),
            None if number.is_none() && open.is_some() => {
                self.turns.extend(open.map(Turn::Words));
                Ok(())
            }
            None => self.no_number(index, field.part, path, || Found::Text(shown(text), number.is_some())),
        }
    }

    /// Takes text of a field that is no feature yet.
    fn other_text(&mut self, index: &Index, field: Field, path: &str, text: &str) -> Result<(), Rejection> {
        let setting = index.schema().numeric_text;
        let number = numeric_text::read(text).filter(|_| setting != NumericText::Never);
        match (number, field.part) {
            // NaN and infinities are no evidence about the field.
            (Some(number), _) if !number.is_finite() => {}
            (Some(number), _) if setting == NumericText::Always => {
                return self.number(index, field.as_feature(), path, number, String::new);
            }
            (Some(number), Part::New)
                if number.abs() <= MAX_MAGNITUDE
                    && index.name(path).len() <= MAX_NAME_BYTES
                    && index.check_room(self.new.len() + 1).is_ok() =>
            {
                let known = self.new.len();
                self.add(index, &index.name(path), number, None)?;
                if let Some(new) = self.new.get_mut(known) {
                    new.spelled = true;
                }
            }
            (None, Part::New) => self.note_words(index, &index.name(path)),
            (Some(_), Part::New) => self.usage.other(&index.name(path)),
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

    pub(super) fn take_key(&mut self, text: &str) -> Result<(), Rejection> {
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
        self.draw(index, field, f64::NAN);
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
