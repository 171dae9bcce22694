//! What features of time and of the past cost, in nanoseconds a feature and record, without the record and without a model.
//!
//! `benches/features_table` runs it beside River's.

use std::{hint::black_box, time::Instant};

use thalweg::features::{Calendar, Feature, Form, Input, Kind, Part, Past, Plan, Since, Span, Statistic};

const RECORDS: usize = 400_000;
const RUNS: usize = 5;
const MINUTE: i64 = 60_000;

fn lag(at: Vec<Span>) -> Kind {
    Kind::Lag { of: vec!["y".into()], at }
}

fn rolling(over: Span, statistics: &[Statistic]) -> Kind {
    Kind::Rolling { of: vec!["y".into()], over: vec![over], statistics: statistics.to_vec() }
}

/// Named sets of features, each with the number of keys that its records have.
fn sets() -> Vec<(&'static str, Vec<Kind>, usize)> {
    let hours = |range: std::ops::RangeInclusive<i64>| range.map(|hour| Span::Time(hour * 60 * MINUTE)).collect();
    let calendar = Calendar {
        parts: vec![Part::Hour, Part::Weekday, Part::DayOfYear, Part::Weekend],
        zone: "Europe/Berlin".into(),
        form: Form::Cyclic,
        holidays: vec![],
    };
    let moments = [Statistic::Mean, Statistic::Deviation, Statistic::Min, Statistic::Max];
    vec![
        ("10 lags by samples", vec![lag((1..=10).map(Span::Samples).collect())], 100),
        ("10 lags by time", vec![lag(hours(1..=10))], 100),
        ("mean of 100 samples", vec![rolling(Span::Samples(100), &[Statistic::Mean])], 100),
        ("mean of 24 hours", vec![rolling(Span::Time(1440 * MINUTE), &[Statistic::Mean])], 100),
        ("mean, deviation, min, max of 24 hours", vec![rolling(Span::Time(1440 * MINUTE), &moments)], 100),
        ("exponentially weighted mean", vec![rolling(Span::Samples(10), &[Statistic::Ewm])], 100),
        ("mean of 100 samples, 100,000 keys", vec![rolling(Span::Samples(100), &[Statistic::Mean])], 100_000),
        ("calendar in a zone", vec![Kind::Calendar(calendar)], 0),
        ("time since the last sample", vec![Kind::Elapsed(Since::Sample)], 100),
    ]
}

/// Nanoseconds for a record, by the best of some runs.
fn time(kind: &[Kind], keys: usize) -> (f64, usize) {
    let by = (keys > 0).then(|| "device".to_owned());
    let features: Vec<Feature> =
        kind.iter().map(|kind| Feature { kind: kind.clone(), by: by.clone(), name: None }).collect();
    let zone = |name: &str| jiff::tz::TimeZone::get(name).ok();
    let texts: Vec<Vec<Option<String>>> = (0..keys.max(1)).map(|key| vec![Some(format!("device-{key:06}"))]).collect();
    let mut best = f64::INFINITY;
    let mut columns = 0;
    for _ in 0..RUNS {
        let mut plan = Plan::new(&features, "y", zone).expect("a plan");
        let mut past = Past::default();
        columns = plan.columns().len();
        let mut row = vec![0.0; columns];
        let mut place = 0;
        let begun = Instant::now();
        for i in 0..RECORDS {
            // Neighbours in the stream are none among the keys.
            place = (place + 7919) % texts.len();
            let (time, keys) = (Some(1_700_000_000_000 + i as i64 * MINUTE / keys.max(1) as i64), &texts[place]);
            plan.fill(&past, Input { time, fields: &[], keys }, black_box(&mut row));
            plan.remember(&mut past, Input { time, fields: &[], keys }, Some((i % 100) as f64));
        }
        best = best.min(begun.elapsed().as_nanos() as f64 / RECORDS as f64);
    }
    (best, columns)
}

fn main() {
    // `cargo bench` passes it.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    for (name, kinds, keys) in sets() {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part)) {
            let (ns, columns) = time(&kinds, keys);
            println!("{}", serde_json::json!({"set": name, "ns": ns, "features": columns, "keys": keys}));
        }
    }
}
