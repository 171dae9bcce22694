//! Parts of the time in zones whose clocks change.

use thalweg_features::{Calendar, Form, Kind, Part};

use crate::{Sample, Stream, feature};

const ALL: [Part; 7] =
    [Part::Minute, Part::Hour, Part::Weekday, Part::DayOfYear, Part::Month, Part::Weekend, Part::Holiday];

fn calendar(zone: &str, form: Form, parts: &[Part]) -> Stream {
    let holidays = if parts.contains(&Part::Holiday) { vec![20_812] } else { Vec::new() };
    Stream::new(&[feature(Kind::Calendar(Calendar { parts: parts.to_vec(), zone: zone.into(), form, holidays }))])
}

fn at(stream: &mut Stream, time: &str) -> Vec<f64> {
    let time = time.parse::<jiff::Timestamp>().expect("a time").as_millisecond();
    stream.features(&Sample { time: Some(time), fields: vec![], keys: vec![], target: None })
}

#[test]
fn the_hour_is_that_of_the_zone_on_both_sides_of_a_change() {
    let mut stream = calendar("Europe/Berlin", Form::Number, &[Part::Hour]);
    let hours = ["2026-03-29T00:59:59.999Z", "2026-03-29T01:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]
        .map(|time| (at(&mut stream, time)[0] * 1000.0).round() / 1000.0);
    assert_eq!(hours, [2.0, 3.0, 2.5, 2.5]);
    // Times may go back, over a change, too.
    assert_eq!(at(&mut stream, "2026-03-29T00:30:00Z"), [1.5]);
    assert_eq!(at(&mut stream, "1850-01-01T00:00:00Z").len(), 1);
}

#[test]
fn numbers_and_categories_of_a_day_are_those_of_a_calendar() {
    let mut stream = calendar("UTC", Form::Number, &ALL);
    // 2026-12-25 is a Friday, the 359th day, and the holiday.
    let row = at(&mut stream, "2026-12-25T18:45:00Z");
    let share = 18.75 / 24.0;
    assert_eq!(row, [45.0, 18.75, 4.0 + share, 358.0 + share, 11.0 + (24.0 + share) / 31.0, 0.0, 1.0]);
    assert_eq!(at(&mut stream, "2026-12-26T00:00:00Z")[5..], [1.0, 0.0]);
    let mut stream = calendar("UTC", Form::Category, &ALL);
    let row = at(&mut stream, "2024-12-31T23:59:59Z");
    let names: Vec<String> = stream
        .plan
        .columns()
        .iter()
        .zip(row)
        .map(|(column, value)| column.categories.as_ref().map_or("-".into(), |names| names[value as usize].clone()))
        .collect();
    assert_eq!(names, ["59", "23", "Tuesday", "366", "December", "-", "-"]);
}

#[test]
fn the_end_of_a_round_is_next_to_its_beginning() {
    let mut stream = calendar("Asia/Kolkata", Form::Cyclic, &ALL[..5]);
    let near = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
    let (before, after) = (at(&mut stream, "2026-12-31T18:29:59.9Z"), at(&mut stream, "2026-12-31T18:30:00Z"));
    assert_eq!(after.len(), 10);
    // The week goes on from a Thursday to a Friday; all others begin anew.
    assert!(near(before.clone(), after.clone()), "{before:?} {after:?}");
    assert!(near(after[..4].to_vec(), vec![0.0, 1.0, 0.0, 1.0]), "{after:?}");
    for pair in after.chunks(2) {
        assert!((pair[0].hypot(pair[1]) - 1.0).abs() < 1e-12);
    }
}

#[test]
fn a_sample_without_a_time_or_beyond_the_calendar_knows_none_of_it() {
    let mut stream = calendar("Europe/Paris", Form::Cyclic, &ALL);
    for time in [None, Some(i64::MIN), Some(i64::MAX)] {
        let row = stream.features(&Sample { time, fields: vec![], keys: vec![], target: None });
        assert!(row.len() == 12 && row.iter().all(|value| value.is_nan()), "{time:?}: {row:?}");
    }
}
