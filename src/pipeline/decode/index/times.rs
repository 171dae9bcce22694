//! Values that are more than their JSON shows: times, and what the settings or the records' own schema say.

use super::{
    super::{
        Notice, Unit,
        cast::{self, Cast},
        numeric_text,
        time::{Clock, Moment},
    },
    Index,
};

impl Index {
    pub(super) fn clock(&self) -> Clock {
        Clock { zone: self.schema.zone(), unit: self.schema.timestamp_unit.or(self.unit) }
    }

    /// Returns the clock for a field whose type is said; `None` where it is the stream's.
    pub(super) fn clock_of(&self, cast: Option<Cast>) -> Option<Clock> {
        match cast {
            // Where a person has set a unit, that counts.
            Some(Cast::In(unit)) => {
                Some(Clock { zone: self.clock.zone.clone(), unit: self.schema.timestamp_unit.or(Some(unit)) })
            }
            _ => None,
        }
    }

    /// Returns the moment of a number, and the unit where this number decides it.
    #[inline]
    pub(in crate::decode) fn time(&self, number: f64, cast: Option<Cast>) -> Option<(Moment, Option<Unit>)> {
        match self.clock_of(cast) {
            Some(clock) => clock.number(number),
            None => self.clock.number(number),
        }
    }

    /// Returns the moment of a text, and the unit where this text decides it.
    pub(in crate::decode) fn time_of_text(&self, text: &str, cast: Option<Cast>) -> Option<(Moment, Option<Unit>)> {
        match self.clock_of(cast) {
            Some(clock) => clock.text(text),
            None => self.clock.text(text),
        }
    }

    /// Returns the number that a text stands for by its meaning; `None` where it has no such form.
    pub(in crate::decode) fn cast(&self, text: &str, cast: Cast) -> Option<f64> {
        match cast {
            Cast::Number => numeric_text::read(text).filter(|number| number.is_finite()),
            Cast::Time => self.clock.text(text).map(|(moment, _)| moment.value()),
            Cast::Decimal(digits) => cast::decimal(text, digits),
            Cast::In(_) => None,
        }
    }

    /// Returns what is known of a field's values besides its part.
    pub(super) fn cast_of(&self, name: &str) -> Option<Cast> {
        let set = self.schema.cast.iter().find(|named| named.field == name).map(|named| named.cast);
        set.or_else(|| self.types.get(name).copied())
    }

    /// Takes the types of fields from the records' own schema; paths are those of the payload.
    pub(in crate::decode) fn set_types(&mut self, types: Vec<cast::Named>) {
        let named =
            types.into_iter().map(|cast::Named { field, cast }| (self.name(&field).into_owned(), cast)).collect();
        if self.types != named {
            self.types = named;
            self.turned += 1;
            self.mark();
        }
    }

    /// Fixes `unit` as the unit of times; `time` was the first.
    pub(in crate::decode) fn decide(&mut self, unit: Unit, time: Moment) {
        self.changes += 1;
        (self.unit, self.clock.unit) = (Some(unit), Some(unit));
        if let Some(field) = self.schema.timestamp.clone() {
            self.notices.push(Notice::TimestampUnit {
                field,
                unit,
                number: time.in_unit(unit),
                time: time.milliseconds(),
            });
        }
    }

    /// Returns the name of the field of the time; empty where there is none.
    pub(in crate::decode) fn timestamp(&self) -> &str {
        self.schema.timestamp.as_deref().unwrap_or_default()
    }
}
