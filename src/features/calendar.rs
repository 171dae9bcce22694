//! Parts of a sample's time, on the clock of a zone.
//!
//! Invariant: they follow from the time and the zone alone, of the database that is compiled in; the caches only save time.

use std::f64::consts::TAU;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::config::{Calendar, Form, Part};

const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The clock of a zone.
#[derive(Debug)]
pub(crate) struct Clock {
    zone: TimeZone,
    /// Times from the first to before the second are ahead of UTC by the third; milliseconds.
    offset: [i64; 3],
    day: Day,
}

/// A day of the calendar.
#[derive(Clone, Copy, Debug)]
struct Day {
    /// Days since 1970-01-01.
    number: i64,
    /// From 0.
    of_year: i64,
    days_in_year: i64,
    /// From 0.
    month: i64,
    /// From 0.
    of_month: i64,
    days_in_month: i64,
}

/// A time on the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wall {
    day: Day,
    /// Milliseconds since its begin.
    time: i64,
}

impl Clock {
    pub(crate) fn new(zone: TimeZone) -> Self {
        Self { zone, offset: [0; 3], day: Day { number: i64::MIN, ..Day::EPOCH } }
    }

    /// Returns what the clock shows at a time, in milliseconds since 1970; `None` beyond the calendar.
    pub(crate) fn wall(&mut self, time: i64) -> Option<Wall> {
        let [from, until, _] = self.offset;
        if time < from || time >= until {
            self.offset = self.offset_at(time)?;
        }
        let [_, _, ahead] = self.offset;
        let local = time.checked_add(ahead)?;
        let (number, time) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        if self.day.number != number {
            self.day = Day::of(number)?;
        }
        Some(Wall { day: self.day, time })
    }

    /// Finds the offset at a time, and how long it holds.
    fn offset_at(&self, time: i64) -> Option<[i64; 3]> {
        let at = Timestamp::from_millisecond(time).ok()?;
        let ahead = i64::from(self.zone.to_offset(at).seconds()) * 1000;
        let next = self.zone.following(at).next().map_or(i64::MAX, |next| next.timestamp().as_millisecond());
        // From here on is enough: times mostly go forward.
        Some([time, next, ahead])
    }
}

impl Day {
    const EPOCH: Self = Self { number: 0, of_year: 0, days_in_year: 365, month: 0, of_month: 0, days_in_month: 31 };

    fn of(number: i64) -> Option<Self> {
        let at = Timestamp::from_second(number.checked_mul(DAY / 1000)?).ok()?;
        let date: Date = TimeZone::UTC.to_datetime(at).date();
        Some(Self {
            number,
            of_year: i64::from(date.day_of_year()) - 1,
            days_in_year: i64::from(date.days_in_year()),
            month: i64::from(date.month()) - 1,
            of_month: i64::from(date.day()) - 1,
            days_in_month: i64::from(date.days_in_month()),
        })
    }
}

impl Wall {
    /// Returns how far a part of the time that comes again has come, and its whole round.
    fn round(&self, part: Part) -> (f64, f64) {
        let Self { day, time } = *self;
        let share = time as f64 / DAY as f64;
        match part {
            Part::Minute => ((time % HOUR) as f64 / MINUTE as f64, 60.0),
            Part::Hour => (time as f64 / HOUR as f64, 24.0),
            Part::Weekday => (self.weekday() as f64 + share, 7.0),
            Part::DayOfYear => (day.of_year as f64 + share, day.days_in_year as f64),
            Part::Month => (day.month as f64 + (day.of_month as f64 + share) / day.days_in_month as f64, 12.0),
            Part::Weekend | Part::Holiday => (0.0, 1.0),
        }
    }

    /// Returns the day of the week, Monday as 0.
    fn weekday(&self) -> i64 {
        // 1970-01-01 was a Thursday.
        (self.day.number + 3).rem_euclid(7)
    }

    /// Writes the features of a calendar, whose holidays are in order, to `row`.
    pub(crate) fn write(&self, calendar: &Calendar, row: &mut [f64]) {
        let mut columns = row.iter_mut();
        let mut put = |value: f64| {
            if let Some(column) = columns.next() {
                *column = value;
            }
        };
        for part in &calendar.parts {
            let (value, round) = self.round(*part);
            match (part, calendar.form) {
                (Part::Weekend, _) => put(f64::from(u8::from(self.weekday() >= 5))),
                (Part::Holiday, _) => {
                    let is_one =
                        calendar.holidays.binary_search_by(|day| i64::from(*day).cmp(&self.day.number)).is_ok();
                    put(f64::from(u8::from(is_one)));
                }
                (_, Form::Cyclic) => {
                    let (sine, cosine) = libm::sincos(TAU * value / round);
                    put(sine);
                    put(cosine);
                }
                (_, Form::Category) => put(value.floor()),
                (_, Form::Number) => put(value),
            }
        }
    }
}

/// Returns the names of a calendar's features, each with its categories where it has some.
pub(crate) fn columns(calendar: &Calendar) -> Vec<(String, Option<Vec<String>>)> {
    let mut columns = Vec::new();
    for part in &calendar.parts {
        let name = part.name();
        match calendar.form {
            _ if part.is_flag() => columns.push((name.to_owned(), None)),
            Form::Cyclic => columns.extend(["sin", "cos"].map(|of| (format!("{of}({name})"), None))),
            Form::Category => columns.push((name.to_owned(), Some(categories(*part)))),
            Form::Number => columns.push((name.to_owned(), None)),
        }
    }
    columns
}

fn categories(part: Part) -> Vec<String> {
    let numbers = |range: std::ops::Range<u32>| range.map(|number| number.to_string()).collect();
    match part {
        Part::Minute => numbers(0..60),
        Part::Hour => numbers(0..24),
        Part::Weekday => WEEKDAYS.map(str::to_owned).to_vec(),
        Part::DayOfYear => numbers(1..367),
        Part::Month => MONTHS.map(str::to_owned).to_vec(),
        Part::Weekend | Part::Holiday => Vec::new(),
    }
}
