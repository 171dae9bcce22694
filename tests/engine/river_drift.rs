//! ADWIN and Page-Hinkley detect where River's do, and hold the same numbers on the way; all detectors keep their word.

use crate::vectors::{Table, assert_close};
use thalweg_metrics::drift::{
    Adwin, AdwinParams, Cusum, CusumParams, Detector, DetectorKind, Kswin, KswinParams, Mode, PageHinkley,
    PageHinkleyParams,
};

const TOLERANCE: f64 = 1e-9;

const SIGNALS: [&str; 3] = ["s1", "s2", "s3"];

fn adwins() -> [(&'static str, AdwinParams); 3] {
    let default = AdwinParams::default();
    let eager = AdwinParams { clock: 1, max_buckets: 3, min_window_length: 10, grace_period: 50, ..default };
    [("adwin", default), ("adwin_d1e-5", AdwinParams { delta: 1e-5, ..default }), ("adwin_c1_m3_w10_g50", eager)]
}

fn page_hinkleys() -> [(&'static str, PageHinkleyParams); 3] {
    let default = PageHinkleyParams::default();
    let sharp = PageHinkleyParams { threshold: 20.0, ..default };
    [
        ("ph", default),
        ("ph_t20_d0.05_up", PageHinkleyParams { delta: 0.05, mode: Mode::Up, ..sharp }),
        ("ph_t20_down_a1", PageHinkleyParams { min_instances: 100, alpha: 1.0, mode: Mode::Down, ..sharp }),
    ]
}

fn rows(table: &Table, detector: &str, signal: &str) -> Vec<usize> {
    let of_it = |row: &usize| table.text(*row, "detector") == detector && table.text(*row, "signal") == signal;
    (0..table.len()).filter(of_it).collect()
}

#[test]
fn adwin_detects_at_rivers_indices_with_rivers_window() {
    let (signals, events, trace) =
        (Table::read("drift_signals"), Table::read("drift_events"), Table::read("drift_trace"));
    assert_eq!((signals.len(), events.len(), trace.len()), (6000, 145, 1440));
    for (name, params) in adwins() {
        for signal in SIGNALS {
            let mut adwin = Adwin::new(params);
            let (mut expected, mut traced) =
                (rows(&events, name, signal).into_iter(), rows(&trace, name, signal).into_iter().peekable());
            let check = |adwin: &Adwin, table: &Table, row: usize, columns: [&str; 4]| {
                let got = [adwin.width() as f64, adwin.total(), adwin.variance(), adwin.estimation()];
                for (got, column) in got.into_iter().zip(columns) {
                    assert_close(
                        got,
                        table.number(row, column),
                        TOLERANCE,
                        &format_args!("{name}, {signal}, row {row}, {column}"),
                    );
                }
            };
            let columns = ["width", "total", "variance", "estimation"];
            for i in 0..signals.len() {
                if adwin.update(signals.number(i, signal)) {
                    let row = expected.next().unwrap_or_else(|| panic!("{name}, {signal}: one too many, at {i}"));
                    assert_eq!(events.text(row, "i"), i.to_string(), "{name}, {signal}");
                    check(&adwin, &events, row, columns);
                }
                if traced.peek().is_some_and(|row| trace.text(*row, "i") == i.to_string()) {
                    check(&adwin, &trace, traced.next().expect("peeked"), ["v1", "v2", "v3", "v4"]);
                }
            }
            let end = expected.next().expect("the final state");
            assert_eq!(events.text(end, "k"), "end", "{name}, {signal}: a detection is missing");
            check(&adwin, &events, end, columns);
            assert!(traced.next().is_none());
        }
    }
}

#[test]
fn page_hinkley_detects_at_rivers_indices_with_rivers_sums() {
    let (signals, events, trace) =
        (Table::read("drift_signals"), Table::read("drift_events"), Table::read("drift_trace"));
    for (name, params) in page_hinkleys() {
        for signal in SIGNALS {
            let mut detector = PageHinkley::new(params);
            let expected: Vec<_> = rows(&events, name, signal)
                .into_iter()
                .filter(|row| events.text(*row, "k") != "end")
                .map(|row| events.number(row, "i"))
                .collect();
            let mut traced = rows(&trace, name, signal).into_iter().peekable();
            let mut got = Vec::new();
            for i in 0..signals.len() {
                if detector.update(signals.number(i, signal)) {
                    got.push(i as f64);
                }
                if traced.peek().is_some_and(|row| trace.text(*row, "i") == i.to_string()) {
                    let row = traced.next().expect("peeked");
                    for (got, column) in detector.state().into_iter().zip(["v1", "v2", "v3", "v4", "v5"]) {
                        assert_close(
                            got,
                            trace.number(row, column),
                            TOLERANCE,
                            &format_args!("{name}, {signal}, {i}, {column}"),
                        );
                    }
                }
            }
            assert_eq!(got, expected, "{name}, {signal}");
        }
    }
}

/// Pseudo-random values in 0..1 without structure that matters here.
fn noise(n: usize) -> impl Iterator<Item = f64> {
    (1..=n).map(|i| (i as f64 * 0.754_877_666_246_692_7).fract())
}

fn detectors() -> [Detector; 4] {
    [
        DetectorKind::Adwin(AdwinParams::default()),
        DetectorKind::PageHinkley(PageHinkleyParams { threshold: 10.0, ..PageHinkleyParams::default() }),
        DetectorKind::Kswin(KswinParams::default()),
        DetectorKind::Cusum(CusumParams::default()),
    ]
    .map(Detector::new)
}

#[test]
fn every_detector_sees_a_jump_soon_and_nothing_before_it() {
    for mut detector in detectors() {
        let early = noise(2000).filter(|value| detector.update(*value)).count();
        assert_eq!(early, 0, "{detector:?}");
        let late = noise(300).position(|value| detector.update(value + 3.0));
        assert!(late.is_some_and(|late| late < 100), "{late:?} of {detector:?}");
    }
}

#[test]
fn a_value_that_is_not_finite_makes_no_detector_blind() {
    for mut detector in detectors() {
        noise(2000).for_each(|value| assert!(!detector.update(value)));
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
            detector.update(bad);
        }
        noise(200).for_each(|value| {
            detector.update(value);
        });
        let late = noise(300).position(|value| detector.update(value + 3.0));
        assert!(late.is_some(), "{detector:?}");
    }
}

#[test]
fn kswin_sees_a_change_of_spread_that_leaves_the_mean() {
    let (mut kswin, mut adwin) = (Kswin::new(KswinParams::default()), Adwin::new(AdwinParams::default()));
    let calm = noise(1000).map(|value| value - 0.5);
    let wild = noise(200).map(|value| 10.0 * (value - 0.5));
    let mut seen = [0, 0];
    for value in calm.chain(wild) {
        seen[0] += usize::from(kswin.update(value));
        seen[1] += usize::from(adwin.update(value));
    }
    assert!(seen[0] > 0 && seen[1] == 0, "{seen:?}");
}

#[test]
fn one_outlier_is_no_alarm_of_cusum_and_a_lasting_rise_is() {
    let mut cusum = Cusum::new(CusumParams::default());
    noise(1000).for_each(|value| assert!(!cusum.update(value)));
    assert!(!cusum.update(1e9));
    assert!(cusum.usual() < 1.0, "usual is {}", cusum.usual());
    noise(100).for_each(|value| assert!(!cusum.update(value)));
    assert!(noise(100).any(|value| cusum.update(value + 5.0)));
}
