//! The time of a sample, however it is written: a number in one of four units, or text.
//!
//! Invariant: the unit of numbers is found at the first one that tells and never changes while the state lives; what
//! could be read in two ways is refused. It does not know the current time: others decide which times are implausible.

use std::ops::RangeInclusive;

use jiff::{
    civil::{self, Date, DateTime, ISOWeekDate, Weekday},
    fmt::rfc2822,
    tz::{Offset, TimeZone},
};
use serde::{Deserialize, Serialize};

use super::{Schema, rejection::Doubt};
use thalweg_metrics::checked;

/// Last moment that is read, in microseconds since 1970: the end of the year 9999, past which no date has a name.
const MAX_MOMENT_MICROS: f64 = 253_402_300_799_999_999.0;

/// Bytes of the longest text that is read.
const MAX_TEXT_BYTES: usize = 128;

/// Microseconds since 1970 of the times that decide the unit: from 1973, before which numbers are small in any unit, to
/// 2200, so that one slip of a digit cannot decide it wrongly.
const UNIT_DECIDING_MICROS: RangeInclusive<i64> = 100_000_000_000_000..=7_258_118_400_000_000;

/// Unit that a number counts since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
    /// Days. No size of a number stands for it.
    D,
}

checked!(enum Unit = S | Ms | Us | Ns | D);

impl Unit {
    /// Returns its name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Unit::S => "s",
            Unit::Ms => "ms",
            Unit::Us => "us",
            Unit::Ns => "ns",
            Unit::D => "d",
        }
    }

    /// Returns the unit in which a number of that size is a time between 1973 and 5138.
    fn of(number: f64) -> Self {
        match number.abs() {
            ..1e11 => Unit::S,
            ..1e14 => Unit::Ms,
            ..1e17 => Unit::Us,
            _ => Unit::Ns,
        }
    }

    fn micros(self, number: f64) -> Option<i64> {
        let micros = match self {
            Unit::S => number * 1e6,
            Unit::Ms => number * 1e3,
            Unit::Us => number,
            Unit::Ns => number / 1e3,
            Unit::D => number * 86_400e6,
        };
        // Rounds, because most fractions of a second have no exact f64.
        (micros.abs() <= MAX_MOMENT_MICROS).then(|| micros.round() as i64)
    }
}

/// A moment in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(i64);

impl Moment {
    /// Returns the moment of so many milliseconds since 1970; `None` beyond the year 9999.
    pub(super) fn of_milliseconds(number: f64) -> Option<Self> {
        Unit::Ms.micros(number).map(Self)
    }

    /// Returns whole milliseconds, rounded down.
    pub(super) fn milliseconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the number that stands for it in `unit`, approximately.
    pub(super) fn in_unit(self, unit: Unit) -> f64 {
        let micros = self.0 as f64;
        match unit {
            Unit::S => micros / 1e6,
            Unit::Ms => micros / 1e3,
            Unit::Us => micros,
            Unit::Ns => micros * 1e3,
            Unit::D => micros / 86_400e6,
        }
    }

    /// Returns its number of seconds or milliseconds where that looks like a date, as which it is not read: 20130131,
    /// 20130131100000.
    pub(super) fn like_date(self) -> Option<i64> {
        let numbers = [self.0.div_euclid(1_000_000), self.0.div_euclid(1000)].into_iter();
        let is_date = |number: &i64| {
            let text = number.to_string();
            matches!(text.len(), 8 | 14)
                && (text.starts_with("19") || text.starts_with("20"))
                && written(&text, &TimeZone::UTC).is_some()
        };
        numbers
            .zip([1_000_000, 1000])
            .find(|(number, unit)| number * unit == self.0 && is_date(number))
            .map(|(it, _)| it)
    }

    /// Returns its value as a feature: milliseconds with their fraction.
    pub(super) fn value(self) -> f64 {
        self.0 as f64 / 1e3
    }
}

/// Reads the times of records that nobody has decoded yet, as the decoder of the same schema does.
#[derive(Clone, Debug)]
pub struct Times(Clock);

impl Times {
    /// Begins where the unit of numbers is not known yet, unless the schema says it.
    pub fn new(schema: &Schema) -> Self {
        Self(Clock { zone: schema.zone(), unit: schema.timestamp_unit })
    }

    /// Returns the microseconds since 1970 that a number stands for; `None` where it is no time.
    pub fn number(&mut self, number: f64) -> Option<i64> {
        let found = self.0.number(number);
        self.take(found)
    }

    /// The same of milliseconds.
    pub fn milliseconds(&self, number: f64) -> Option<i64> {
        Unit::Ms.micros(number)
    }

    /// The same of a text.
    pub fn text(&mut self, text: &str) -> Option<i64> {
        let found = self.0.text(text);
        self.take(found)
    }

    fn take(&mut self, found: Option<(Moment, Option<Unit>)>) -> Option<i64> {
        let (moment, unit) = found?;
        self.0.unit = unit.or(self.0.unit);
        Some(moment.0)
    }
}

/// Settings by which times are read.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// Zone of texts that name none.
    pub(super) zone: TimeZone,
    /// Unit of numbers, once it is known.
    pub(super) unit: Option<Unit>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { zone: TimeZone::UTC, unit: None }
    }
}

impl Clock {
    /// Returns the moment of a number, and the unit where this number decides it.
    #[inline]
    pub(super) fn number(&self, number: f64) -> Option<(Moment, Option<Unit>)> {
        let unit = self.unit.unwrap_or_else(|| Unit::of(number));
        let moment = Moment(unit.micros(number)?);
        Some((moment, (self.unit.is_none() && UNIT_DECIDING_MICROS.contains(&moment.0)).then_some(unit)))
    }

    /// Returns the moment of a text, and the unit where the text is a number that decides it.
    pub(super) fn text(&self, text: &str) -> Option<(Moment, Option<Unit>)> {
        if let Some(micros) = internet_time(text.as_bytes()) {
            return Some((Moment(micros), None));
        }
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_TEXT_BYTES {
            return None;
        }
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        // As numbers, 20130101 and 20130101100000 would be moments of 1970 or after 2600.
        let compact = digits && matches!(text.len(), 8 | 14) && (text.starts_with("19") || text.starts_with("20"));
        if compact
            && self.unit.is_none()
            && let Some(micros) = written(text, &self.zone)
        {
            return Some((Moment(micros), None));
        }
        if text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
            && let Ok(number) = text.parse()
        {
            return self.number(number);
        }
        let micros = written(text, &self.zone).or_else(|| rfc2822(text))?;
        (micros.unsigned_abs() as f64 <= MAX_MOMENT_MICROS).then_some((Moment(micros), None))
    }
}

/// Returns the zone of a setting: `UTC`, a name of the IANA database, or a fixed offset such as `+01:00`.
pub fn zone(name: &str) -> Option<TimeZone> {
    let mut scanner = Scanner(name.as_bytes());
    match scanner.offset() {
        Some(offset) if scanner.0.is_empty() => Some(TimeZone::fixed(offset)),
        _ => TimeZone::get(name).ok(),
    }
}

/// Returns the milliseconds since 1970 of a text such as "1990-01-01", in UTC where it names no zone; no number.
pub fn date(text: &str) -> Option<i64> {
    written(text.trim(), &TimeZone::UTC).map(|micros| micros.div_euclid(1000))
}

/// Returns the reason why a text that is nearly a time is not read as one.
pub(super) fn doubt(text: &str) -> Option<Doubt> {
    match text {
        "an object" => Some(Doubt::Members),
        _ if is_ambiguous(text) => Some(Doubt::DayOrMonth),
        _ if ends_in_letters(text) => Some(Doubt::Letters),
        _ => None,
    }
}

/// Returns `true` for a date whose day and month may stand either way round.
fn is_ambiguous(text: &str) -> bool {
    let mut parts = text.trim().split(['/', '.', '-']);
    let short = |part: Option<&str>| {
        part.is_some_and(|part| matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    short(parts.next())
        && short(parts.next())
        && parts.next().is_some_and(|part| part.starts_with(|c: char| c.is_ascii_digit()))
}

/// Returns `true` for a date that ends in the letters of a zone, which stand for different offsets in different places.
fn ends_in_letters(text: &str) -> bool {
    let text = text.trim();
    let date = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    matches!(text.len() - date.len(), 2..=5) && written(date.trim_end(), &TimeZone::UTC).is_some()
}

/// Reads the form of most producers, such as `2013-01-01T10:00:00.25Z`, as microseconds since 1970; [`written`] reads all
/// others, and this one, too, more slowly.
fn internet_time(text: &[u8]) -> Option<i64> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let marks = [head[4], head[7], head[10], head[13], head[16]];
    if !matches!(marks, [b'-', b'-', b'T' | b' ', b':', b':']) {
        return None;
    }
    // A byte that is no digit gives more than 9.
    let digit = |at: usize| i64::from(head[at].wrapping_sub(b'0'));
    let places = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18];
    if places.into_iter().any(|at| digit(at) > 9) {
        return None;
    }
    let two = |at: usize| 10 * digit(at) + digit(at + 1);
    let (year, month, day) = (100 * two(0) + two(2), two(5), two(8));
    let (hour, minute, second) = (two(11), two(14), two(17));
    let days = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    // Midnights of 24:00, leap seconds and the last year are left to the other.
    let is_usual = year < 9999 && (1..=days).contains(&day) && hour < 24 && minute < 60 && second < 60;
    let micros = fraction(rest).filter(|_| is_usual)?;
    // Days of the civil calendar (Hinnant 2013): years begin in March, and eras of 400 years are alike.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + (153 * month + 2) / 5 + day - 1;
    let days = 146_097 * era + day_of_era - 719_468;
    Some((((24 * days + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

/// Reads a fraction of a second, in microseconds, and the mark of UTC.
fn fraction(text: &[u8]) -> Option<i64> {
    let text = text.strip_suffix(b"Z").or_else(|| text.strip_suffix(b"+00:00"))?;
    let Some((point, digits)) = text.split_first() else { return Some(0) };
    let is_usual = *point == b'.' && (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let number = digits.iter().take(6).fold(0, |number, digit| 10 * number + i64::from(digit - b'0'));
    is_usual.then(|| number * 10_i64.pow(6 - digits.len().min(6) as u32))
}

/// Reads a date whose year comes first, with or without a time and a zone, as microseconds since 1970.
fn written(text: &str, zone: &TimeZone) -> Option<i64> {
    let mut rest = Scanner(text.as_bytes());
    let date = rest.date()?;
    let mut time = Time::default();
    let mut offset = rest.zone();
    if offset.is_none() && !rest.0.is_empty() && rest.0[0] != b'[' {
        let marked = rest.separator()?;
        time = rest.time(marked)?;
        offset = rest.zone();
    }
    let named = rest.annotation()?;
    if !rest.0.is_empty() {
        return None;
    }
    let Time { hour, minute, second, nanos } = time;
    // 24:00 is ISO 8601's other name for the midnight that ends a day; leap seconds are counted by no clock here.
    let ends = (hour, minute, second, nanos) == (24, 0, 0, 0);
    let (hour, second) = (if ends { 0 } else { hour }, if second == 60 { 59 } else { second });
    let mut local = DateTime::from_parts(date, civil::Time::new(hour, minute, second, nanos).ok()?);
    if ends {
        local = local.tomorrow().ok()?;
    }
    let stamp = match (offset, named) {
        (Some(offset), _) => offset.to_timestamp(local),
        (None, Some(named)) => TimeZone::get(named).ok()?.to_timestamp(local),
        // An ambiguous hour is taken as its first occurrence; a skipped hour with the offset before it.
        (None, None) => zone.to_timestamp(local),
    };
    i64::try_from(stamp.ok()?.as_nanosecond().div_euclid(1000)).ok()
}

/// Reads a time of mails and HTTP, such as "Tue, 01 Jan 2013 10:00:00 GMT", as microseconds since 1970.
fn rfc2822(text: &str) -> Option<i64> {
    const PARSER: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    let stamp = match text.strip_suffix("UTC") {
        Some(text) => PARSER.parse_timestamp(format!("{text}GMT")),
        None => PARSER.parse_timestamp(text),
    };
    stamp.ok().map(|stamp| stamp.as_microsecond())
}

#[derive(Default)]
struct Time {
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
}

/// Rest of a text that is not read yet.
struct Scanner<'t>(&'t [u8]);

impl<'t> Scanner<'t> {
    /// Reads between `least` and `most` digits.
    fn digits(&mut self, least: usize, most: usize) -> Option<i16> {
        let count = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(count).filter(|_| count >= least)?;
        self.0 = rest;
        Some(digits.iter().fold(0, |number, digit| 10 * number + i16::from(digit - b'0')))
    }

    fn two(&mut self, least: usize) -> Option<i8> {
        self.digits(least, 2).map(|number| number as i8)
    }

    fn take(&mut self, wanted: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first().filter(|(first, _)| wanted.contains(first))?;
        self.0 = rest;
        Some(*first)
    }

    fn word(&mut self, wanted: &str) -> Option<()> {
        let (head, rest) = self.0.split_at_checked(wanted.len())?;
        head.eq_ignore_ascii_case(wanted.as_bytes()).then(|| self.0 = rest)
    }

    fn spaces(&mut self) -> usize {
        let before = self.0.len();
        self.0 = self.0.trim_ascii_start();
        before - self.0.len()
    }

    /// Reads the year first; then month and day, or, also as in ISO 8601, the week and its day or the day of the year.
    fn date(&mut self) -> Option<Date> {
        let year = self.digits(4, 4)?;
        let mark = self.take(b"-/.");
        if matches!(mark, None | Some(b'-')) && self.take(b"Ww").is_some() {
            return self.day_of_week(year, mark.is_some());
        }
        let Some(mark) = mark else { return Date::new(year, self.two(2)?, self.two(2)?).ok() };
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if (mark, digits) == (b'-', 3) {
            let day = self.digits(3, 3)?;
            return Date::new(year, 1, 1).ok()?.with().day_of_year(day).build().ok();
        }
        let month = self.two(1)?;
        self.take(&[mark])?;
        Date::new(year, month, self.two(1)?).ok()
    }

    /// Reads `01-5` or `015`, the fifth day of the first week.
    fn day_of_week(&mut self, year: i16, marked: bool) -> Option<Date> {
        let week = self.two(2)?;
        if marked {
            self.take(b"-")?;
        }
        let day = Weekday::from_monday_one_offset(self.digits(1, 1)? as i8).ok()?;
        Some(ISOWeekDate::new(year, week, day).ok()?.date())
    }

    /// Reads the separator of date and time, and returns `true` where there is one. Without one, digits must follow.
    fn separator(&mut self) -> Option<bool> {
        let marked = self.spaces() > 0 || self.take(b"Tt_").is_some();
        self.spaces();
        (marked || self.0.first()?.is_ascii_digit()).then_some(marked)
    }

    /// Reads a time of day. An hour alone is one only after a separator.
    fn time(&mut self, marked: bool) -> Option<Time> {
        let digit = |rest: &[u8]| rest.first().is_some_and(u8::is_ascii_digit);
        let (two, third) = self.0.split_at_checked(2).unwrap_or((self.0, b""));
        let alone = marked && two.iter().all(u8::is_ascii_digit) && two.len() == 2 && !digit(third);
        let mut time = Time { hour: self.two(1)?, ..Time::default() };
        let colons = self.take(b":").is_some();
        if colons || !alone {
            time.minute = self.two(2)?;
        }
        let more = if colons { self.take(b":").is_some() } else { digit(self.0) };
        if more {
            time.second = self.two(2)?;
            if self.take(b".,").is_some() {
                time.nanos = self.fraction()?;
            }
        }
        let before = self.0;
        self.spaces();
        let half = if self.word("am").is_some() { Some(0) } else { self.word("pm").map(|()| 12) };
        match half {
            Some(half) if (1..=12).contains(&time.hour) => time.hour = time.hour % 12 + half,
            Some(_) => return None,
            None => self.0 = before,
        }
        Some(time)
    }

    /// Reads a fraction of any length, at least one digit, as nanoseconds; finer digits are cut.
    fn fraction(&mut self) -> Option<i32> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(count).filter(|_| count > 0)?;
        self.0 = rest;
        let nine = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
        Some(nine.fold(0, |number, digit| 10 * number + i32::from(digit - b'0')))
    }

    /// Reads a zone that gives its offset; leaves other text.
    fn zone(&mut self) -> Option<Offset> {
        let before = self.0;
        self.spaces();
        if self.word("utc").is_some() || self.word("gmt").is_some() {
            return Some(self.offset().unwrap_or(Offset::UTC));
        }
        if self.take(b"Zz").is_some() {
            return Some(Offset::UTC);
        }
        let offset = self.offset();
        if offset.is_none() {
            self.0 = before;
        }
        offset
    }

    /// Reads `+01`, `+0100`, `+01:00` or `+01:00:00`, also with the typographical minus.
    fn offset(&mut self) -> Option<Offset> {
        let before = self.0;
        let sign = match self.take(b"+-") {
            Some(b'+') => 1,
            Some(_) => -1,
            None => {
                self.word("\u{2212}")?;
                -1
            }
        };
        let offset = self.offset_digits().and_then(|seconds| Offset::from_seconds(sign * seconds).ok());
        if offset.is_none() {
            self.0 = before;
        }
        offset
    }

    fn offset_digits(&mut self) -> Option<i32> {
        let mut parts = [i32::from(self.digits(1, 2)?), 0, 0];
        for part in &mut parts[1..] {
            let colon = self.take(b":").is_some();
            if colon || self.0.first().is_some_and(u8::is_ascii_digit) {
                *part = i32::from(self.digits(2, 2)?);
            }
        }
        let [hours, minutes, seconds] = parts;
        (hours <= 18 && minutes < 60 && seconds < 60).then_some(3600 * hours + 60 * minutes + seconds)
    }

    /// Reads the name in brackets that Java puts behind an offset, if there is one. Returns `None` where the brackets
    /// are wrong.
    fn annotation(&mut self) -> Option<Option<&'t str>> {
        if self.take(b"[").is_none() {
            return Some(None);
        }
        let end = self.0.iter().position(|byte| *byte == b']')?;
        let name = std::str::from_utf8(&self.0[..end]).ok()?;
        self.0 = &self.0[end + 1..];
        Some(Some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(unit: Option<Unit>, name: &str) -> Clock {
        Clock { zone: zone(name).expect("a zone"), unit }
    }

    fn read(text: &str) -> Option<i64> {
        clock(None, "UTC").text(text).map(|(moment, _)| moment.0)
    }

    /// 2013-01-01T10:00:00Z.
    const TEN_O_CLOCK_MICROS: i64 = 1_357_034_400_000_000;

    #[test]
    fn the_usual_form_is_read_as_by_the_way_that_reads_all_forms() {
        let mut texts = Vec::new();
        for date in ["2024-02-29", "2023-02-29", "2000-02-29", "1900-02-29", "0000-01-01", "9999-12-31", "1969-12-31"] {
            for end in ["T10:20:30Z", " 23:59:59.9999999Z", "T00:00:00.1+00:00", "T24:00:00Z", "T23:59:60Z", "T1:2:3Z"]
            {
                texts.push(format!("{date}{end}"));
            }
        }
        for day in -800_000..800_000_i64 {
            let stamp = jiff::Timestamp::from_second(86_400 * day + day.rem_euclid(86_400)).expect("a moment");
            texts.extend((day % 97 == 0).then(|| stamp.to_string()));
        }
        for text in ["2013-1x-01T10:00:00Z", "2013-01-01T10:00:00.Z", "2013-01-01T10:00:00", "2013-13-01T10:00:00Z"] {
            texts.push(text.to_owned());
        }
        let mut usual = 0;
        for text in &texts {
            if let Some(micros) = internet_time(text.as_bytes()) {
                assert_eq!(Some(micros), written(text, &TimeZone::UTC), "{text}");
                usual += 1;
            }
        }
        assert!(usual > 15_000 && usual < texts.len(), "{usual} of {}", texts.len());
        assert_eq!(internet_time(b"2013-01-01T10:00:00.25Z"), Some(1_357_034_400_250_000));
    }

    #[test]
    fn what_producers_write_is_understood() {
        let day = TEN_O_CLOCK_MICROS - 36_000_000_000;
        for (text, expected) in [
            ("2013-01-01T10:00:00Z", TEN_O_CLOCK_MICROS),
            ("2013-01-01t10:00:00z", TEN_O_CLOCK_MICROS),
            ("2013-01-01 10:00:00", TEN_O_CLOCK_MICROS),
            ("2013-01-01T10:00", TEN_O_CLOCK_MICROS),
            (" 2013-01-01  10:00:00 ", TEN_O_CLOCK_MICROS),
            ("2013/01/01 10:00:00", TEN_O_CLOCK_MICROS),
            ("2013-1-1 10:00:00", TEN_O_CLOCK_MICROS),
            ("2013-01-01T11:00:00+01:00", TEN_O_CLOCK_MICROS),
            ("2013-01-01T11:00:00+0100", TEN_O_CLOCK_MICROS),
            ("2013-01-01T11:00:00+01", TEN_O_CLOCK_MICROS),
            ("2013-01-01 11:00:00 +0100", TEN_O_CLOCK_MICROS),
            ("2013-01-01 11:00:00+01:00:00", TEN_O_CLOCK_MICROS),
            ("2013-01-01 10:00:00 UTC", TEN_O_CLOCK_MICROS),
            ("2013-01-01 10:00:00 GMT", TEN_O_CLOCK_MICROS),
            ("2013-01-01 10:00:00UTC", TEN_O_CLOCK_MICROS),
            ("2013-01-01 11:00:00 GMT+1", TEN_O_CLOCK_MICROS),
            ("2013-01-01T04:30:00\u{2212}05:30", TEN_O_CLOCK_MICROS),
            ("2013-01-01T11:00+01:00[Europe/Paris]", TEN_O_CLOCK_MICROS),
            ("2013-01-01T11:00[Europe/Paris]", TEN_O_CLOCK_MICROS),
            ("2013-01-01 10:00:00 AM", TEN_O_CLOCK_MICROS),
            ("2013-01-01 10:00:00 pm", TEN_O_CLOCK_MICROS + 12 * 3_600_000_000),
            ("20130101T100000Z", TEN_O_CLOCK_MICROS),
            ("20130101100000", TEN_O_CLOCK_MICROS),
            ("20130101", day),
            ("2013-01-01", day),
            ("2013-01-01Z", day),
            ("2013-W01-2", day),
            ("2013W012", day),
            ("2013-w01-2T10:00Z", TEN_O_CLOCK_MICROS),
            ("2013-001", day),
            ("2013-001T11:00:00+0100", TEN_O_CLOCK_MICROS),
            ("2012-366T10", TEN_O_CLOCK_MICROS - 86_400_000_000),
            ("2013-01-01T10", TEN_O_CLOCK_MICROS),
            ("2013-01-01 10Z", TEN_O_CLOCK_MICROS),
            ("2013-01-01 10 am", TEN_O_CLOCK_MICROS),
            ("2013-01-01+01:00", day - 3_600_000_000),
            ("2012-12-31T24:00:00Z", day),
            ("2012-12-31T23:59:60Z", day - 1_000_000),
            ("2013-01-01T10:00:00.5", TEN_O_CLOCK_MICROS + 500_000),
            ("2013-01-01 10:00:00,25", TEN_O_CLOCK_MICROS + 250_000),
            ("2013-01-01 10:00:00.123456789Z", TEN_O_CLOCK_MICROS + 123_456),
            ("2013-01-01 10:00:00.1234567890123456789Z", TEN_O_CLOCK_MICROS + 123_456),
            ("Tue, 01 Jan 2013 10:00:00 GMT", TEN_O_CLOCK_MICROS),
            ("Tue, 01 Jan 2013 11:00:00 +0100", TEN_O_CLOCK_MICROS),
            ("Tue, 01 Jan 2013 10:00:00 UTC", TEN_O_CLOCK_MICROS),
            ("1357034400", TEN_O_CLOCK_MICROS),
            ("1357034400.25", TEN_O_CLOCK_MICROS + 250_000),
            ("1.3570344e9", TEN_O_CLOCK_MICROS),
            ("1357034400000", TEN_O_CLOCK_MICROS),
            ("1357034400000000", TEN_O_CLOCK_MICROS),
            ("1357034400000000000", TEN_O_CLOCK_MICROS),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_could_be_another_time_is_refused() {
        for text in [
            "",
            " ",
            "yesterday",
            "01/02/2013",
            "01-02-2013",
            "1.2.2013 10:00",
            "2013-01",
            "2013-13-01",
            "2013-02-29",
            "2013-01-01T",
            "2013-01-01T25:00",
            "2013-01-01T10:60",
            "2013-01-01T10:00:61",
            "2013-01-01T10:00:00.",
            "2013-01-01T10:00:00+",
            "2013-01-01T10:00:00+25:00",
            "2013-01-01T10:00:00 EST",
            "2013-01-01T10:00:00Zx",
            "2013-01-01 13:00 pm",
            "2013-01-01 00:00 am",
            "2013-01-01[Nowhere/Else]",
            "2013-01-01T10:00[Europe/Paris",
            "2013-01/01",
            "2013-W01",
            "2013-W01-0",
            "2013-W54-1",
            "2013W01-1",
            "2013-000",
            "2013-366",
            "2013/001",
            "2013-01-01T1",
            "2013-01-01T10:",
            "10:00:00",
            "NaN",
            "inf",
            "1e400",
            "-",
            "1e18e",
            "2013-01-0110:00:00x",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"1".repeat(200)), None);
        for (text, letters) in [
            ("2013-01-01T10:00:00 EST", true),
            ("2013-01-01 10:00 cest", true),
            ("2013-01-01 10:00:00.5 PDT", true),
            ("2013-01-01 10:00 somewhere", false),
            ("10:00 EST", false),
            ("2013-01-01", false),
            ("EST", false),
        ] {
            assert_eq!(ends_in_letters(text), letters, "{text}");
        }
        for (number, date) in
            [(20_130_131, true), (20_130_131_100_000, true), (20_131_301, false), (1_357_034_400, false)]
        {
            let moment = clock(None, "UTC").number(number as f64).expect("a time").0;
            assert_eq!(moment.like_date(), date.then_some(number), "{number}");
        }
        assert!(is_ambiguous("01/02/2013 10:00") && is_ambiguous("1.2.13") && !is_ambiguous("2013-01-32"));
    }

    #[test]
    fn texts_without_a_zone_are_in_the_zone_that_is_set() {
        let micros = |name: &str, text: &str| clock(None, name).text(text).expect(text).0.0;
        assert_eq!(micros("Europe/Paris", "2013-01-01 11:00:00"), TEN_O_CLOCK_MICROS);
        assert_eq!(micros("+01:00", "2013-01-01 11:00:00"), TEN_O_CLOCK_MICROS);
        assert_eq!(micros("-0530", "2013-01-01 04:30:00"), TEN_O_CLOCK_MICROS);
        assert_eq!(micros("America/New_York", "2013-07-01"), 1_372_651_200_000_000);
        assert_eq!(micros("Europe/Paris", "2013-01-01 10:00:00Z"), TEN_O_CLOCK_MICROS, "a text's own zone comes first");
        // The hour that a clock leaves out counts on from before it, the hour that comes twice is the first.
        let spring = micros("Europe/Paris", "2026-03-29 01:30:00");
        assert_eq!(micros("Europe/Paris", "2026-03-29 02:30:00"), spring + 3_600_000_000);
        assert_eq!(micros("Europe/Paris", "2026-10-25 02:30:00"), micros("UTC", "2026-10-25 00:30:00"));
        for wrong in ["", "Europe/Nowhere", "+25:00", "CEST", "+01:00x"] {
            assert!(zone(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_unit_is_found_by_size_once_a_number_tells() {
        let auto = clock(None, "UTC");
        for (number, unit) in [
            (1_357_034_400.0, Unit::S),
            (1_357_034_400_000.0, Unit::Ms),
            (1_357_034_400_000_000.0, Unit::Us),
            (1_357_034_400_000_000_000.0, Unit::Ns),
        ] {
            assert_eq!(auto.number(number), Some((Moment(TEN_O_CLOCK_MICROS), Some(unit))));
            assert_eq!(clock(Some(unit), "UTC").number(number), Some((Moment(TEN_O_CLOCK_MICROS), None)));
        }
        // Near 1970 they all look alike, and a digit too many or too few is no reason to read all others so.
        for number in [0.0, -1.5, 86_400.0, 99_999_999.0, -1e9, 13_570_344_000.0] {
            assert_eq!(auto.number(number), Some((Moment((number * 1e6) as i64), None)));
        }
        for digits in [135_703_440_000.0, 13_570_344_000_000.0] {
            let unit = auto.number(digits).expect("a time").1;
            assert!(unit.is_none_or(|unit| unit == Unit::Ms), "{unit:?} from a slip in milliseconds");
        }
        assert_eq!(clock(Some(Unit::Ms), "UTC").number(5.0), Some((Moment(5000), None)));
        for number in [1e300, -1e300, f64::INFINITY] {
            assert_eq!(auto.number(number), None);
        }
        assert_eq!(clock(Some(Unit::S), "UTC").number(1_357_034_400_000.0), None, "the year 44,972");
        // To the millisecond whatever a double makes of it.
        for ms in (0..1000).map(|i| 1_774_747_800_000 + i) {
            let seconds = auto.number(ms as f64 / 1e3).expect("s").0;
            let nanos = auto.number(ms as f64 * 1e6).expect("ns").0;
            assert_eq!((seconds.milliseconds(), nanos.milliseconds(), seconds.value()), (ms, ms, ms as f64));
        }
    }
}
