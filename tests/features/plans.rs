//! What can be asked for, what it is called, and what is refused; what is remembered, and how much.

use thalweg_features::{Feature, Kind, Past, Plan, Since, Span, Statistic};

use crate::{Sample, Stream, by, feature};

const HOUR: i64 = 3_600_000;

fn plan(features: &[Feature]) -> Result<Plan, Vec<String>> {
    let zone = |name: &str| jiff::tz::TimeZone::get(name).ok();
    Plan::new(features, "y", zone).map_err(|problems| {
        problems.into_iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
    })
}

fn lag(of: &str, at: &[Span]) -> Kind {
    Kind::Lag { of: vec![of.into()], at: at.to_vec() }
}

fn sample(time: i64, fields: &[f64], key: &str, target: f64) -> Sample {
    Sample { time: Some(time), fields: fields.to_vec(), keys: vec![Some(key.into())], target: Some(target) }
}

#[test]
fn features_are_called_what_a_person_would_call_them() {
    let rolling =
        Kind::Rolling { of: vec!["load".into()], over: vec![Span::Time(90_000)], statistics: vec![Statistic::Mean] };
    let features = [
        feature(lag("y", &[Span::Samples(1), Span::Time(24 * HOUR), Span::Time(7 * 24 * HOUR)])),
        by("device", rolling),
        feature(Kind::Elapsed(Since::Label)),
        feature(Kind::Difference(["lag(y, 1)".into(), "lag(y, 24h)".into()])),
        Feature { name: Some("power".into()), ..feature(Kind::Expression("volts * {motor.amps}".into())) },
        feature(Kind::Ratio(["power".into(), "load".into()])),
    ];
    let plan = plan(&features).expect("a plan");
    let names: Vec<&str> = plan.columns().iter().map(|column| &column.name[..]).collect();
    let expected = [
        "lag(y, 1)",
        "lag(y, 24h)",
        "lag(y, 7d)",
        "mean(load, 90s) by device",
        "elapsed(y)",
        "lag(y, 1) - lag(y, 24h)",
        "power",
        "power / load",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        (plan.fields(), plan.keys()),
        (&["load".into(), "motor.amps".into(), "volts".into()][..], &["device".into()][..])
    );
    assert!(plan.needs_time());
}

#[test]
fn formulas_differences_and_ratios_are_of_the_sample_itself_and_of_features_before() {
    let features = [
        feature(lag("x", &[Span::Samples(1)])),
        feature(Kind::Difference(["x".into(), "lag(x, 1)".into()])),
        feature(Kind::Ratio(["x".into(), "z".into()])),
        feature(Kind::Expression("2 * x + z".into())),
    ];
    let mut stream = Stream::new(&features);
    assert!(stream.next(&sample(0, &[3.0, 0.0], "", 0.0))[..3].iter().all(|value| value.is_nan()));
    assert_eq!(stream.next(&sample(1, &[5.0, 2.0], "", 0.0)), [3.0, 2.0, 2.5, 12.0]);
    let row = stream.next(&sample(2, &[f64::NAN, 2.0], "", 0.0));
    assert!(row[0] == 5.0 && row[1..].iter().all(|value| value.is_nan()), "{row:?}");
}

#[test]
fn what_cannot_be_is_refused_with_what_to_do() {
    let cases = [
        (feature(lag("x", &[])), "at: must name at least one"),
        (feature(lag("x", &[Span::Samples(0)])), "at: holds 0; it takes 1 to 10000 samples"),
        (by("y", lag("x", &[Span::Samples(1)])), "by: must not be the target `y`"),
        (feature(Kind::Difference(["x".into(), "y".into()])), "its past is, as in `lag(y, 1)`"),
        (feature(Kind::Expression("x +".into())), "formula: `x +`"),
        (feature(Kind::Expression("1 + 1".into())), "formula: `1 + 1` names no field"),
        (by("device", Kind::Ratio(["x".into(), "z".into()])), "by: keeps pasts apart"),
        (
            Feature { name: Some("two".into()), ..feature(lag("x", &[Span::Samples(1), Span::Samples(2)])) },
            "name: names one feature, and these settings make 2",
        ),
        (Feature { name: Some("y".into()), ..feature(lag("x", &[Span::Samples(1)])) }, "name: `y` is the target's"),
    ];
    for (feature, expected) in cases {
        let problems = plan(std::slice::from_ref(&feature)).expect_err("refused").join("\n");
        assert!(problems.contains(expected), "{expected}: {problems}");
    }
    let twice = [feature(lag("x", &[Span::Samples(1)])), feature(lag("x", &[Span::Samples(1)]))];
    assert!(plan(&twice).expect_err("refused")[0].contains("`lag(x, 1)` is there twice"));
    let of_a_feature = [feature(lag("x", &[Span::Samples(1)])), feature(lag("lag(x, 1)", &[Span::Samples(1)]))];
    assert!(plan(&of_a_feature).expect_err("refused")[0].contains("is made here, and its past is not kept"));
}

#[test]
fn however_many_values_come_a_span_of_time_holds_about_a_thousand() {
    let rolling =
        Kind::Rolling { of: vec!["y".into()], over: vec![Span::Time(HOUR)], statistics: vec![Statistic::Count] };
    let mut stream = Stream::new(&[feature(lag("y", &[Span::Time(HOUR)])), feature(rolling)]);
    let mut most = 0;
    for i in 0..300_000_i64 {
        // A hundred samples a second.
        let row = stream.next(&sample(10 * i, &[], "", i as f64));
        most = most.max(stream.past.memory_bytes());
        if i % 1000 == 999 && i > 0 {
            assert_eq!(row[1], i.min(360_000) as f64);
        }
    }
    assert!(most < 250_000, "{most} bytes");
    let mut last = Vec::new();
    for i in 300_000..1_000_000_i64 {
        last = stream.next(&sample(10 * i, &[], "", i as f64));
    }
    // Right to a part of the span, 3.5 s.
    let off = [last[0] - (999_999.0 - 360_000.0), last[1] - 360_000.0];
    assert!(off.iter().all(|off| off.abs() <= 352.0), "{last:?} {off:?}");
}

#[test]
fn a_million_keys_stay_within_the_budget_and_the_latest_are_known() {
    let mut stream = Stream::new(&[by("device", lag("y", &[Span::Samples(1)]))]);
    stream.past.set_budget(1 << 20);
    for i in 0..1_000_000_i64 {
        let row = stream.next(&sample(i, &[], &format!("device {i}"), i as f64));
        assert!(row[0].is_nan());
    }
    assert!(stream.past.memory_bytes() <= 1 << 20);
    assert_eq!(stream.past.evicted() + stream.past.keys() as u64, 1_000_000);
    assert_eq!(stream.features(&sample(0, &[], "device 999999", 0.0)), [999_999.0]);
}

#[test]
fn one_glitch_of_a_clock_costs_ten_samples_and_is_counted() {
    let mut stream = Stream::new(&[feature(lag("y", &[Span::Time(HOUR)]))]);
    let mut unknown = 0;
    for i in 0..200_i64 {
        let time = if i == 100 { 9_000_000_000_000 } else { 1_700_000_000_000 + i * HOUR };
        let row = stream.next(&sample(time, &[], "", i as f64));
        unknown += u32::from(row[0].is_nan());
        if i > 120 {
            assert_eq!(row, [(i - 1) as f64]);
        }
    }
    assert_eq!((unknown, stream.past.late()), (1, 9));
}

#[test]
fn a_sample_without_a_time_counts_by_its_number_and_is_not_late() {
    let mut stream = Stream::new(&[feature(lag("y", &[Span::Samples(1), Span::Time(HOUR)]))]);
    let row =
        (0..3).map(|i| stream.next(&Sample { time: None, ..sample(0, &[], "", f64::from(i)) })).last().expect("a row");
    assert!(row[0] == 1.0 && row[1].is_nan(), "{row:?}");
    assert_eq!(stream.past.late(), 0);
}

#[test]
fn a_past_of_another_plan_is_not_taken_for_its_own() {
    let mut stream = Stream::new(&[feature(lag("y", &[Span::Samples(3)])), by("device", lag("x", &[Span::Time(5)]))]);
    for i in 0..5 {
        stream.next(&sample(i, &[1.0], "a", 1.0));
    }
    assert!(stream.plan.fits(&stream.past));
    for other in [vec![feature(lag("y", &[Span::Samples(2)]))], vec![feature(lag("y", &[Span::Time(7)]))], vec![]] {
        assert!(!plan(&other).expect("a plan").fits(&stream.past));
        assert!(plan(&other).expect("a plan").fits(&Past::default()));
    }
}
