//! Metrics give River's numbers, and rolling ones those of recomputing the window.

use crate::vectors::{Table, assert_close, deviation};
use proptest::prelude::*;
use thalweg_metrics::{Rolling, Scores, skill, statistics::Var};

/// A name and how to read it off.
type Metric = (&'static str, fn(&Scores) -> f64);

const METRICS: [Metric; 3] = [("mae", Scores::mae), ("rmse", Scores::rmse), ("r2", Scores::r2)];

#[test]
fn cumulative_and_rolling_metrics_are_rivers() {
    let table = Table::read("rolling_metrics");
    assert_eq!(table.len(), 2000);
    let mut total = Scores::default();
    let mut rolling = [(100, Rolling::new(100)), (1000, Rolling::new(1000))];
    for row in 0..table.len() {
        let (y, p) = (table.number(row, "y_true"), table.number(row, "y_pred"));
        total.update(y, p);
        for (name, get) in METRICS {
            assert_close(get(&total), table.number(row, name), 1e-9, &format_args!("{name}, row {row}"));
        }
        for (window, scores) in &mut rolling {
            scores.update(y, p);
            for (name, get) in METRICS {
                let expected = table.number(row, &format!("{name}_{window}"));
                assert_close(get(&scores.scores()), expected, 1e-9, &format_args!("{name}_{window}, row {row}"));
            }
        }
    }
}

fn recomputed(samples: &[(f64, f64)]) -> Scores {
    let mut scores = Scores::default();
    samples.iter().for_each(|(y, p)| scores.update(*y, *p));
    scores
}

#[test]
fn an_outlier_that_has_left_the_window_leaves_no_trace() {
    for outlier in [1e8, 1e200] {
        let mut rolling = Rolling::new(50);
        let ordinary: Vec<(f64, f64)> = (0..200).map(|i| (f64::from(i % 7), f64::from(i % 5))).collect();
        for (i, (y, p)) in ordinary.iter().enumerate() {
            rolling.update(if i == 100 { outlier } else { *y }, *p);
        }
        let (got, expected) = (rolling.scores(), recomputed(&ordinary[150..]));
        for (name, get) in METRICS {
            assert!(deviation(get(&got), get(&expected)) < 1e-12, "{name} after {outlier}: {got:?}");
        }
    }
}

#[test]
fn a_window_of_one_is_the_last_sample() {
    let mut rolling = Rolling::new(1);
    for (y, p) in [(1.0, 2.0), (5.0, 2.0)] {
        rolling.update(y, p);
    }
    let scores = rolling.scores();
    assert_eq!((scores.n(), scores.mae(), scores.rmse(), scores.r2()), (1, 3.0, 3.0, 0.0));
}

#[test]
fn skill_is_0_for_the_baseline_itself_even_where_that_is_perfect() {
    assert_eq!((skill(2.0, 2.0), skill(0.0, 0.0), skill(1.0, 2.0)), (0.0, 0.0, 0.5));
    assert!(skill(1.0, 0.0) < 0.0);
}

proptest! {
    #[test]
    fn rolling_equals_recomputing_the_window(
        samples in prop::collection::vec((-1e6..1e6_f64, -1e6..1e6_f64), 1..300),
        window in 1..60_usize,
    ) {
        let mut rolling = Rolling::new(window);
        for i in 0..samples.len() {
            rolling.update(samples[i].0, samples[i].1);
            let (got, expected) = (rolling.scores(), recomputed(&samples[(i + 1).saturating_sub(window)..=i]));
            prop_assert_eq!(got.n(), expected.n());
            for (name, get) in METRICS {
                prop_assert!(deviation(get(&got), get(&expected)) < 1e-9, "{} at {}", name, i);
            }
        }
    }

    #[test]
    fn a_merged_variance_is_that_of_all_samples(
        left in prop::collection::vec(-1e3..1e3_f64, 0..50),
        right in prop::collection::vec(-1e3..1e3_f64, 0..50),
    ) {
        let of = |samples: &[f64]| samples.iter().fold(Var::default(), |mut var, x| { var.update(*x, 1.0); var });
        let (merged, all) = (of(&left).merged(of(&right)), of(&[left, right].concat()));
        prop_assert!(deviation(merged.get(), all.get()) < 1e-9);
        prop_assert!(deviation(merged.mean, all.mean) < 1e-9);
    }
}
