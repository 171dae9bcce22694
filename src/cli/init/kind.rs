//! What a field is, from all of its values in the sample: a number, a category, a time, or nothing to learn from.
//!
//! Invariant: it depends on the whole sample and on no order of the records, but for counters and times, which are known
//! by their order.

use std::collections::HashSet;

use super::survey::{Cell, Column};
use crate::pipeline::decode::{date, doubtful_time, number_in_text, time_in_text};

/// Known values from which on the absence of something says anything.
const MIN_EVIDENCE: usize = 20;
/// Most different words among numbers that stand for unknown values.
const MAX_WORDS: usize = 5;

/// A field's kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// No value at all.
    Empty,
    /// One value in every record.
    Constant(String),
    /// A number, with the words that stand among its values.
    Number { words: Vec<(String, usize)> },
    /// A category, and the number of different ones.
    Category(usize),
    /// A number that counts the records.
    Counter,
    /// A text or number that is another one in nearly every record.
    Identifier(usize),
    /// Sentences.
    Prose,
    /// A time, and the number of values that cannot be read as one.
    Time { form: Form, unread: usize, rising: bool },
    /// A number or time that Thalweg cannot read in this form; the reason and the remedy.
    Unreadable(String),
}

/// How times are written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// As text; true where it names its zone.
    Text(bool),
    /// As a number of this unit, and its name for people.
    Number(&'static str, &'static str),
    /// By its type.
    Typed,
}

/// Words in a name that tell what a field is.
pub(super) mod names {
    pub(in super::super) const TIME: &[&str] =
        &["time", "timestamp", "ts", "date", "datetime", "at", "when", "epoch", "created", "updated", "day"];
    pub(in super::super) const IDENTIFIER: &[&str] =
        &["id", "uid", "uuid", "guid", "pk", "index", "idx", "rowid", "hash", "seq", "sequence", "offset"];
    pub(in super::super) const CODE: &[&str] = &[
        "id", "code", "zip", "zipcode", "postcode", "postal", "plz", "sku", "category", "class", "store", "shop",
        "station", "device", "sensor", "machine", "vehicle", "product", "customer", "user", "route", "site", "region",
        "meter",
    ];
    pub(in super::super) const KEY: &[&str] = &[
        "id", "key", "device", "sensor", "station", "symbol", "ticker", "machine", "host", "vehicle", "meter", "store",
        "site", "customer", "user",
    ];

    /// Returns `true` where the last part of a path holds one of `words`, whatever separates them.
    pub(in super::super) fn hold(path: &str, words: &[&str]) -> bool {
        let last = path.rsplit('.').find(|part| part.parse::<u64>().is_err()).unwrap_or(path);
        let mut word = String::new();
        let mut before = ' ';
        for c in last.chars().chain(['_']) {
            let begins = c.is_uppercase() && before.is_lowercase();
            if begins || !c.is_alphanumeric() {
                if words.contains(&word.as_str()) {
                    return true;
                }
                word.clear();
            }
            if c.is_alphanumeric() {
                word.extend(c.to_lowercase());
            }
            before = c;
        }
        false
    }
}

/// Returns the kind of a column.
pub(super) fn of(column: &Column) -> Kind {
    let records = column.cells().len();
    let numbers: Vec<f64> = column.numbers().collect();
    let counts = column.counts();
    let texts: usize = counts.iter().sum();
    let known = numbers.len() + texts;
    if known == 0 {
        return Kind::Empty;
    }
    let different_numbers = numbers.iter().map(|number| number.to_bits()).collect::<HashSet<_>>().len();
    let different = different_numbers + column.texts.len();
    if different == 1 && known >= MIN_EVIDENCE && 20 * known >= 19 * records {
        let number = || if column.truths == known { (numbers[0] != 0.0).to_string() } else { numbers[0].to_string() };
        let value = column.texts.first().map_or_else(number, |text| format!("{text:?}"));
        return Kind::Constant(value);
    }
    let is_code = column.leading_zeros > 0
        && (names::hold(&column.name, names::CODE) || column.texts.iter().all(|text| text.len() >= 5));
    let words = || column.texts.iter().cloned().zip(counts.iter().copied()).collect::<Vec<_>>();
    match (numbers.is_empty(), texts) {
        (false, 0) => of_numbers(column, &numbers, different),
        // The decoder reads them as numbers, unless they are listed as categories.
        _ if column.is_cell && column.leading_zeros > 0 && column.leading_zeros == texts && !is_code => {
            Kind::Number { words: Vec::new() }
        }
        (false, _)
            if column.leading_zeros == 0 && 10 * numbers.len() >= 8 * known && column.texts.len() <= MAX_WORDS =>
        {
            Kind::Number { words: words() }
        }
        (true, _) => of_texts(column, &counts, known),
        (false, _) if column.leading_zeros == 0 && known >= MIN_EVIDENCE && 2 * different > known => {
            Kind::Unreadable(format!(
                "numbers ({}) and texts ({texts}, e.g. {:?}) mixed; where a text stands for an unknown value, list it in \
                 schema.missing",
                numbers.len(),
                column.texts[0]
            ))
        }
        (false, _) => by_count(column, different, known),
    }
}

fn of_numbers(column: &Column, numbers: &[f64], different: usize) -> Kind {
    let number = Kind::Number { words: Vec::new() };
    if column.truths == numbers.len() {
        return number;
    }
    let is_whole = numbers.iter().all(|number| number.fract() == 0.0);
    let rising = numbers.windows(2).all(|pair| pair[0] <= pair[1]);
    if column.times == numbers.len() {
        return Kind::Time { form: Form::Typed, unread: 0, rising };
    }
    let compact = |number: &f64| {
        let text = number.to_string();
        matches!(text.len(), 8 | 14) && (text.starts_with("19") || text.starts_with("20")) && date(&text).is_some()
    };
    if is_whole && numbers.iter().all(compact) {
        return match column.spelled == numbers.len() {
            true => Kind::Time { form: Form::Text(false), unread: 0, rising },
            false => Kind::Unreadable(format!(
                "a date as the number {}, which would be read as seconds since 1970; write it as 2013-01-31",
                numbers[0]
            )),
        };
    }
    if let Some((unit, name)) = unit(numbers)
        && (names::hold(&column.name, names::TIME) || rising && is_whole && different > 1 && numbers[0] >= 1e9)
    {
        return Kind::Time { form: Form::Number(unit, name), unread: 0, rising };
    }
    let known = numbers.len();
    if is_whole && known >= MIN_EVIDENCE {
        let step = numbers[1] - numbers[0];
        let steps = numbers.windows(2).filter(|pair| pair[1] - pair[0] == step).count();
        // Partitions of a topic count on their own.
        if step != 0.0 && 100 * steps >= 99 * (known - 1) {
            return Kind::Counter;
        }
        if names::hold(&column.name, names::IDENTIFIER) && 10 * different >= 9 * known {
            return Kind::Identifier(different);
        }
        if names::hold(&column.name, names::CODE) && 2 * different <= known {
            return Kind::Category(different);
        }
    }
    number
}

/// Returns the unit in which all numbers are times from 1990 to 2100, if there is one.
fn unit(numbers: &[f64]) -> Option<(&'static str, &'static str)> {
    const FIRST: f64 = 631_152_000.0;
    const LAST: f64 = 4_102_444_800.0;
    let units =
        [("s", "seconds", 1.0), ("ms", "milliseconds", 1e3), ("us", "microseconds", 1e6), ("ns", "nanoseconds", 1e9)];
    units.into_iter().find_map(|(unit, name, per)| {
        let is_time = |number: &f64| (FIRST * per..LAST * per).contains(number);
        numbers.iter().all(is_time).then_some((unit, name))
    })
}

fn of_texts(column: &Column, counts: &[usize], known: usize) -> Kind {
    // How many records hold a text of which `is` is true.
    let share = |is: &dyn Fn(&str) -> bool| -> usize {
        column.texts.iter().zip(counts).filter(|(text, _)| is(text)).map(|(_, count)| count).sum()
    };
    let mostly = |count: usize| 10 * count >= 9 * known;
    let first = &column.texts[0];
    // Digits alone would be seconds since 1970.
    let is_time = |text: &str| text.contains(|c: char| !c.is_ascii_digit()) && time_in_text(text).is_some();
    let read = share(&is_time);
    if mostly(read) {
        let times = column.cells().iter().filter_map(|cell| match cell {
            Cell::Text(code) => time_in_text(&column.texts[*code as usize]),
            _ => None,
        });
        let has_zone = mostly(share(&|text| names_zone(text)));
        return Kind::Time { form: Form::Text(has_zone), unread: known - read, rising: times.is_sorted() };
    }
    if mostly(share(&|text| doubtful_time(text).is_some())) {
        let why = doubtful_time(first).map_or("", |doubt| doubt.text());
        return Kind::Unreadable(format!("a time such as {first:?}{why}; write it like 2013-01-31 10:00:00"));
    }
    if mostly(share(&|text| is_foreign_number(text))) {
        let how = if column.is_cell { ", or have decimal commas read with --decimal ," } else { "" };
        return Kind::Unreadable(format!(
            "a number written as {first:?}; write it with a point and no grouping, as 1234.5{how}"
        ));
    }
    let affix =
        |text: &str| number_in_text(text.trim_start_matches(['$', '€', '£', '¥']).trim_end_matches('%')).is_some();
    if mostly(share(&affix)) {
        return Kind::Unreadable(format!("a number with its unit, such as {first:?}; write the number alone"));
    }
    by_count(column, column.texts.len(), known)
}

/// Tells categories from what is another text in each record.
fn by_count(column: &Column, different: usize, known: usize) -> Kind {
    let chars: usize = column.texts.iter().map(|text| text.chars().count()).sum();
    let mean = chars / column.texts.len().max(1);
    let words = column.texts.iter().filter(|text| text.split_whitespace().count() > 3).count();
    let is_prose = 2 * words > column.texts.len() && mean > 30;
    let enough = known >= MIN_EVIDENCE;
    match (enough && 2 * different > known, is_prose) {
        (_, true) if different > MAX_WORDS || !enough => Kind::Prose,
        (true, _) => Kind::Identifier(different),
        // A uuid or a hash is one in the first record, too.
        _ if !enough && different == known && mean >= 30 => Kind::Identifier(different),
        _ => Kind::Category(different),
    }
}

/// Returns `true` where a time ends in a zone.
fn names_zone(text: &str) -> bool {
    let text = text.trim_end();
    let time = text.split_once(['T', 't', ' ']).map_or("", |(_, time)| time);
    text.ends_with(['Z', 'z', ']'])
        || time.contains(['+', '-'])
        || ["UTC", "GMT"].iter().any(|zone| text.contains(zone))
}

/// Returns `true` for `1,5`, `1.234,5` and `1,234.5`.
fn is_foreign_number(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['-', '+']);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit()) && digits.ends_with(|c: char| c.is_ascii_digit());
    is_number && digits.contains(',') && digits.chars().all(|c| c.is_ascii_digit() || ",.' \u{a0}\u{202f}".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::init::survey::tests::cells;

    fn kind(name: &str, of: impl Fn(usize) -> String) -> Kind {
        super::of(&cells(name, (0..200).map(of)))
    }

    /// A number that is no rule of another.
    fn any(i: usize) -> usize {
        i * 7919 % 1009
    }

    #[test]
    fn numbers_times_codes_and_counters_are_told_apart() {
        let number = Kind::Number { words: vec![] };
        let second = Form::Number("s", "seconds");
        for (name, of, expected) in [
            ("x", (|i| format!("{}.5", any(i))) as fn(usize) -> String, number.clone()),
            ("x", |i| (i * 3 + 7).to_string(), Kind::Counter),
            ("user_id", |i| any(i).to_string(), Kind::Identifier(200)),
            ("storeId", |i| (any(i) % 9).to_string(), Kind::Category(9)),
            ("grade", |i| (any(i) % 9).to_string(), number.clone()),
            ("plz", |i| format!("{:05}", [1067, 80331, 50667][i % 3]), Kind::Category(3)),
            ("hhmm", |i| format!("{:04}", i * 37 % 24 * 100), number.clone()),
            (
                "ts",
                |i| (1_700_000_000 + any(i)).to_string(),
                Kind::Time { form: second.clone(), unread: 0, rising: false },
            ),
            ("x", |i| (1_700_000_000 + i * i).to_string(), Kind::Time { form: second, unread: 0, rising: true }),
            ("price", |i| (1_700_000_000 + any(i)).to_string(), number),
            ("v", |i| ["a", "b"][i % 2].to_owned(), Kind::Category(2)),
            ("v", |i| format!("{i}x{}", any(i)), Kind::Identifier(200)),
            ("v", |_| "1.0".to_owned(), Kind::Constant("1".to_owned())),
            ("v", |_| "NA".to_owned(), Kind::Empty),
        ] {
            assert_eq!(kind(name, of), expected, "{name}: {}, {}, …", of(0), of(1));
        }
    }

    #[test]
    fn words_among_numbers_stand_for_unknown_values_where_they_are_few() {
        let some = |i: usize| if i % 20 == 3 { "err".to_owned() } else { any(i).to_string() };
        assert_eq!(kind("x", some), Kind::Number { words: vec![("err".to_owned(), 10)] });
        let many = |i: usize| if i.is_multiple_of(2) { format!("none {i}") } else { any(i).to_string() };
        assert!(matches!(kind("x", many), Kind::Unreadable(why) if why.contains("mixed")));
    }

    #[test]
    fn what_cannot_be_read_says_how_to_write_it() {
        for (of, words) in [
            ((|i| format!("{},5", any(i))) as fn(usize) -> String, "--decimal"),
            (|i| format!("{} %", any(i)).replace(' ', ""), "the number alone"),
            (|i| format!("${}.50", any(i)), "the number alone"),
            (|i| format!("{}/{}/2025", i % 28 + 1, i % 12 + 1), "either way round"),
            (|i| format!("202501{:02}", i % 28 + 1), "write it as 2013-01-31"),
        ] {
            let found = kind("x", of);
            assert!(matches!(&found, Kind::Unreadable(why) if why.contains(words)), "{}: {found:?}", of(1));
        }
    }

    #[test]
    fn names_are_taken_apart_at_capitals_and_marks() {
        for (path, is) in [
            ("userId", true),
            ("user_id", true),
            ("meta.ID", true),
            ("idle", false),
            ("grid", false),
            ("ids.0", false),
            ("id.0", true),
        ] {
            assert_eq!(names::hold(path, names::IDENTIFIER), is, "{path}");
        }
    }
}
