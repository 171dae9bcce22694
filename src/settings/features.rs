//! Reads `[[features]]` and `[keys]`: what is made of a sample's time and of what came before it.

use config::{Value, ValueKind};
use thalweg_features::{Calendar, Feature, Form, Kind, Part, Plan, Since, Span, Statistic};
use thalweg_pipeline::decode::{date, zone};

use super::{
    choices::{Choices, choices, every},
    section::Section,
};

/// Most entries.
const MAX_ENTRIES: usize = 1000;

/// Reads what a kind is made of; the zone is that of the samples' times.
type Read = fn(&mut Section, &str) -> Kind;

const KINDS: &Choices<Read> = &choices!(Kind {
    "calendar": Calendar => |section, timezone| Kind::Calendar(calendar(section, timezone)),
    "elapsed": Elapsed => |section, _| {
        Kind::Elapsed(section.one_of("since", Since::default(), &choices!(Since { "sample": Sample, "label": Label })))
    },
    "lag": Lag => |section, _| Kind::Lag { of: section.names("of"), at: spans(section, "at") },
    "rolling": Rolling => |section, _| Kind::Rolling {
        of: section.names("of"),
        over: spans(section, "over"),
        statistics: statistics(section),
    },
    "difference": Difference => |section, _| Kind::Difference(two(section)),
    "ratio": Ratio => |section, _| Kind::Ratio(two(section)),
    "expression": Expression => |section, _| Kind::Expression(section.text("formula", "")),
});

/// Reads the features; `target` is the name of the target, and `timezone` that of the samples' times.
pub(super) fn read(root: &mut Section, target: &str, timezone: &str) -> Vec<Feature> {
    let sections = root.sections("features").unwrap_or_default();
    if sections.len() > MAX_ENTRIES {
        root.problem("features", &format!("holds {} entries; it may hold {MAX_ENTRIES}", sections.len()));
        return Vec::new();
    }
    let count = sections.len();
    let entry = |mut section: Section| {
        let read = section.kind(KINDS)?;
        let kind = read(&mut section, timezone);
        Some(Feature { kind, by: section.optional_text("by"), name: section.optional_text("name") })
    };
    let features: Vec<Feature> = sections.into_iter().filter_map(entry).collect();
    // An entry that cannot be read at all has been reported, and would only shift the others.
    if features.len() == count
        && let Err(problems) = Plan::new(&features, target, zone)
    {
        for problem in problems {
            root.problem(&format!("features[{}].{}", problem.feature, problem.key), &problem.message);
        }
    }
    features
}

/// Reads the bytes that what is remembered by key may take.
pub(super) fn budget(mut section: Section, default: usize) -> usize {
    section.bytes("budget", default, 1 << 16..=1 << 40)
}

fn calendar(section: &mut Section, timezone: &str) -> Calendar {
    let parts =
        every!(Part { Minute, Hour, Weekday, DayOfYear, Month, Weekend, Holiday }).map(|part| (part.name(), part));
    Calendar {
        parts: chosen(section, "parts", &parts),
        zone: section.text("zone", timezone),
        form: section.one_of(
            "as",
            Form::default(),
            &choices!(Form { "cyclic": Cyclic, "category": Category, "number": Number }),
        ),
        holidays: holidays(section),
    }
}

fn statistics(section: &mut Section) -> Vec<Statistic> {
    let all = every!(Statistic { Mean, Deviation, Min, Max, Count, Sum, Slope, Ewm }).map(|it| (it.name(), it));
    chosen(section, "statistics", &all)
}

/// Reads a list of choices.
fn chosen<T: Clone>(section: &mut Section, key: &str, choices: &Choices<T>) -> Vec<T> {
    section.names(key).iter().filter_map(|text| section.chosen(key, text, choices)).collect()
}

/// Reads two names.
fn two(section: &mut Section) -> [String; 2] {
    let names = section.names("of");
    <[String; 2]>::try_from(names).unwrap_or_else(|names| {
        let count = names.len();
        section
            .problem("of", &format!("must be a list of two names, such as [\"inside\", \"outside\"], not of {count}"));
        // These are no problem of their own.
        ["a".into(), "b".into()]
    })
}

/// Reads how far back: a number of values, or a time, or a list of both.
fn spans(section: &mut Section, key: &str) -> Vec<Span> {
    let values = match section.take(key) {
        Some(Value { kind: ValueKind::Array(values), .. }) => values,
        Some(value) => vec![value],
        None => Vec::new(),
    };
    values.into_iter().filter_map(|value| span(section, key, &value)).collect()
}

fn span(section: &Section, key: &str, value: &Value) -> Option<Span> {
    let wanted = "a number of values such as 24, or a time such as \"24h\"";
    match &value.kind {
        ValueKind::I64(number) => Some(Span::Samples(u32::try_from(*number).unwrap_or(0))),
        ValueKind::String(text) => match humantime::parse_duration(text) {
            Ok(time) => Some(Span::Time(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))),
            Err(error) => {
                section.problem(key, &format!("`{text}` is no time ({error}); it takes {wanted}"));
                None
            }
        },
        other => {
            section.problem(key, &format!("must hold {wanted}, not {other}"));
            None
        }
    }
}

/// Reads days, in days since 1970.
fn holidays(section: &mut Section) -> Vec<i32> {
    let days = section.texts("holidays");
    let day = |text: &String| {
        let found = date(text).filter(|time| time.rem_euclid(DAY) == 0).and_then(|time| i32::try_from(time / DAY).ok());
        if found.is_none() {
            section.problem("holidays", &format!("`{text}` is no day; write it like \"2026-12-25\""));
        }
        found
    };
    days.iter().filter_map(day).collect()
}

const DAY: i64 = 86_400_000;
