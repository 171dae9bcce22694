//! Metrics mean what their names say: each against its definition, over windows and merged, and after a restart.

use proptest::prelude::*;
use thalweg_metrics::{Checked, Faded, Quantiles, Rolling, Scorecard, Scores, statistics::Var};

type Samples = [(f64, f64)];

/// A name and how to read it off.
type Metric = (&'static str, fn(&Scores) -> f64);

const METRICS: [Metric; 5] = [
    ("mae", Scores::mae),
    ("rmse", Scores::rmse),
    ("r2", Scores::r2),
    ("bias", Scores::bias),
    ("smape", Scores::smape),
];

/// Pseudo-random targets and predictions, without structure that matters here.
fn samples(n: usize) -> Vec<(f64, f64)> {
    let number = |i: usize| ((i as f64 + 1.0) * 0.754_877_666_246_692_7).fract();
    (0..n).map(|i| (20.0 * number(i) - 5.0, 20.0 * number(i + 12_345) - 5.0)).collect()
}

fn scored(samples: &Samples) -> Scores {
    let mut scores = Scores::default();
    samples.iter().for_each(|(y, p)| scores.update(*y, *p));
    scores
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// In the order of [`METRICS`], by their definitions.
fn by_definition(samples: &Samples) -> [f64; 5] {
    let errors = || samples.iter().map(|(y, p)| p - y);
    let centre = mean(samples.iter().map(|(y, _)| *y));
    let total: f64 = samples.iter().map(|(y, _)| (y - centre).powi(2)).sum();
    let residual: f64 = errors().map(|error| error * error).sum();
    let relative = |(y, p): &(f64, f64)| {
        let size = y.abs() + p.abs();
        if size == 0.0 { 0.0 } else { 200.0 * (y - p).abs() / size }
    };
    [
        mean(errors().map(f64::abs)),
        mean(errors().map(|error| error * error)).sqrt(),
        if total > 0.0 { 1.0 - residual / total } else { 0.0 },
        mean(errors()),
        mean(samples.iter().map(relative)),
    ]
}

#[track_caller]
fn assert_metrics(got: &Scores, expected: &Samples, place: impl std::fmt::Display) {
    assert_eq!(got.n(), expected.len() as u64, "{place}");
    for ((name, get), expected) in METRICS.into_iter().zip(by_definition(expected)) {
        let got = get(got);
        assert!((got - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{name}, {place}: {got} not {expected}");
    }
}

/// The nearest-rank quantile of the absolute errors.
fn exact_quantile(errors: &[f64], q: f64) -> f64 {
    let mut sorted: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted[((q * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len()) - 1]
}

fn counted(errors: &[f64]) -> Quantiles {
    let mut quantiles = Quantiles::default();
    errors.iter().for_each(|error| quantiles.update(*error));
    quantiles
}

const QS: [f64; 6] = [0.0, 0.01, 0.5, 0.9, 0.99, 1.0];

#[test]
fn smape_is_in_percent_and_a_pair_of_zeros_is_no_error() {
    let mut scores = Scores::default();
    assert_eq!(scores.smape(), 0.0);
    // 2 · 1 / 3 and 2, of 200 % at most.
    for (y, p, expected) in [(0.0, 0.0, 0.0), (1.0, 2.0, 100.0 / 3.0), (-3.0, 3.0, 800.0 / 9.0)] {
        scores.update(y, p);
        assert!((scores.smape() - expected).abs() < 1e-12, "{} not {expected}", scores.smape());
    }
}

#[test]
fn bias_is_above_0_where_predictions_are_too_high() {
    let mut scores = Scores::default();
    assert_eq!(scores.bias(), 0.0);
    scores.update(1.0, 4.0);
    assert_eq!(scores.bias(), 3.0);
    scores.update(10.0, 3.0);
    assert_eq!(scores.bias(), -2.0);
}

#[test]
fn every_metric_is_its_definition_from_the_first_sample_on() {
    let samples = samples(500);
    let mut scores = Scores::default();
    assert!(METRICS.iter().all(|(_, get)| get(&scores) == 0.0));
    for (i, (y, p)) in samples.iter().enumerate() {
        scores.update(*y, *p);
        assert_metrics(&scores, &samples[..=i], format_args!("sample {i}"));
    }
}

#[test]
fn faded_metrics_weigh_each_sample_by_its_age() {
    let samples = samples(400);
    for factor in [0.9, 0.99, 1.0] {
        let mut faded = Faded::new(factor);
        assert_eq!([faded.mae(), faded.rmse(), faded.bias(), faded.smape()], [0.0; 4]);
        for i in 0..samples.len() {
            faded.update(samples[i].0, samples[i].1);
            let of = |score: &dyn Fn(f64, f64) -> f64| {
                let aged = || samples[..=i].iter().rev().zip(0..).map(|(sample, age)| (factor.powi(age), sample));
                let weight: f64 = aged().map(|(weight, _)| weight).sum();
                aged().map(|(weight, (y, p))| weight * score(*y, *p)).sum::<f64>() / weight
            };
            let expected = [
                of(&|y, p| (y - p).abs()),
                of(&|y, p| (y - p) * (y - p)).sqrt(),
                of(&|y, p| p - y),
                of(&|y, p| 200.0 * (y - p).abs() / (y.abs() + p.abs())),
            ];
            for (got, expected) in [faded.mae(), faded.rmse(), faded.bias(), faded.smape()].into_iter().zip(expected) {
                assert!((got - expected).abs() < 1e-9 * expected.abs().max(1.0), "{factor}, {i}: {got}, {expected}");
            }
        }
    }
}

#[test]
fn a_window_equals_recomputing_it_at_every_step_even_after_an_outlier() {
    let mut samples = samples(700);
    samples[100] = (1e8, -1e8);
    samples[350].1 = 1e8;
    // Of one sample, of a few, longer than all there is.
    for window in [1, 2, 7, 50, 128, 1000] {
        let mut rolling = Rolling::new(window);
        for (i, (y, p)) in samples.iter().enumerate() {
            rolling.update(*y, *p);
            let inside = &samples[(i + 1).saturating_sub(window)..=i];
            // While the outlier is in, its own size is what rounding is relative to.
            if inside.iter().all(|(y, p)| y.abs().max(p.abs()) < 1e8) {
                assert_metrics(&rolling.scores(), inside, format_args!("window {window}, sample {i}"));
            } else {
                let (got, expected) = (rolling.scores(), by_definition(inside));
                for ((name, get), expected) in METRICS.into_iter().zip(expected) {
                    let off = (get(&got) - expected).abs();
                    assert!(off <= 1e-6 * expected.abs().max(1.0), "{name}, window {window}, sample {i}: off {off}");
                }
            }
            let errors: Vec<f64> = inside.iter().map(|(y, p)| y - p).collect();
            assert_eq!(QS.map(|q| rolling.errors().get(q)), QS.map(|q| counted(&errors).get(q)), "{window}, {i}");
        }
    }
}

#[test]
fn a_window_of_none_is_one_of_one() {
    let mut rolling = Rolling::new(0);
    [(1.0, 2.0), (5.0, 2.0)].into_iter().for_each(|(y, p)| rolling.update(y, p));
    assert_eq!((rolling.scores().n(), rolling.scores().mae(), rolling.errors().get(0.5)), (1, 3.0, 3.015625));
}

/// What is saved tells how much is kept, without a look inside.
#[test]
fn a_window_keeps_no_more_than_its_samples() {
    let size = |rolling: &Rolling| rmp_serde::to_vec(rolling).expect("saved").len();
    let window = 256;
    let mut rolling = Rolling::new(window);
    let mut largest = 0;
    for (i, (y, p)) in samples(20 * window).into_iter().enumerate() {
        rolling.update(y, p);
        if i % 17 == 0 {
            largest = largest.max(size(&rolling));
        }
    }
    // Never more than its samples as running sums, their buckets and the histogram.
    assert!(largest < window * 130 + 10_000, "{largest} bytes");
}

#[test]
fn quantiles_before_the_first_error_are_0_and_sizes_beyond_reason_are_counted_at_the_ends() {
    assert_eq!(Quantiles::default().get(0.5), 0.0);
    let quantiles = counted(&[0.0, 1e-300, f64::MAX]);
    assert_eq!((quantiles.get(0.3), quantiles.get(0.6)), (0.0, 0.0));
    assert!(quantiles.get(1.0).is_finite() && quantiles.get(1.0) > 1e150);
}

#[test]
fn everything_that_is_kept_goes_on_to_the_bit_after_a_restart() {
    let (mut straight, mut stopped) = (Scorecard::new(64, 0.99), Scorecard::new(64, 0.99));
    for (i, (y, p)) in samples(1000).into_iter().enumerate() {
        if i % 41 == 0 {
            let saved = rmp_serde::to_vec_named(&stopped).expect("saved");
            stopped = rmp_serde::from_slice(&saved).expect("restored");
            stopped.check().expect("sound");
        }
        straight.update(y, p);
        stopped.update(y, p);
        let bits = |card: &Scorecard| {
            let rolling = card.rolling.scores();
            let scores = METRICS.iter().flat_map(|(_, get)| [get(&card.total), get(&rolling)]);
            let faded = [card.faded.mae(), card.faded.rmse(), card.faded.bias(), card.faded.smape()];
            let errors = QS.iter().flat_map(|q| [card.errors.get(*q), card.rolling.errors().get(*q)]);
            scores.chain(faded).chain(errors).map(f64::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(bits(&straight), bits(&stopped), "sample {i}");
        assert!(straight == stopped, "sample {i}");
    }
}

/// Within the half-width of a bucket, 1/128.
fn assert_near(got: f64, exact: f64, place: impl std::fmt::Display) {
    assert!((got - exact).abs() <= 0.008 * exact, "{place}: {got} instead of {exact}");
}

proptest! {
    #[test]
    fn quantiles_are_near_the_exact_ones_whatever_the_magnitudes(
        errors in prop::collection::vec((1.0..10.0_f64, -18..140_i32, any::<bool>()), 1..200),
    ) {
        let error = |(digits, exponent, negative): &(f64, i32, bool)| {
            digits * 10_f64.powi(*exponent) * if *negative { -1.0 } else { 1.0 }
        };
        let errors: Vec<f64> = errors.iter().map(error).collect();
        for q in QS {
            assert_near(counted(&errors).get(q), exact_quantile(&errors, q), q);
        }
    }

    #[test]
    fn merged_quantiles_are_those_of_all_errors(
        left in prop::collection::vec(-1e9..1e9_f64, 0..60),
        right in prop::collection::vec(-1e-9..1e-3_f64, 0..60),
    ) {
        let all = counted(&[left.clone(), right.clone()].concat());
        for merged in [counted(&left).merged(&counted(&right)), counted(&right).merged(&counted(&left))] {
            for q in QS {
                prop_assert_eq!(merged.get(q), all.get(q));
            }
        }
    }

    #[test]
    fn merged_metrics_are_those_of_all_samples(
        all in prop::collection::vec((-1e4..1e4_f64, -1e4..1e4_f64), 1..120),
        cut in 0..120_usize,
    ) {
        let (left, right) = all.split_at(cut.min(all.len()));
        assert_metrics(&scored(left).merged(scored(right)), &all, "merged");
    }

    #[test]
    fn merged_faded_metrics_weigh_each_side_as_faded_as_it_is(
        left in prop::collection::vec((-1e3..1e3_f64, -1e3..1e3_f64), 0..40),
        right in prop::collection::vec((-1e3..1e3_f64, -1e3..1e3_f64), 1..40),
    ) {
        let factor: f64 = 0.95;
        let of = |samples: &Samples| {
            let mut faded = Faded::new(factor);
            samples.iter().for_each(|(y, p)| faded.update(*y, *p));
            faded
        };
        let aged = |samples: &Samples| -> Vec<(f64, f64)> {
            samples.iter().rev().zip(0..).map(|((y, p), age)| (factor.powi(age), (y - p).abs())).collect()
        };
        let both = [aged(&left), aged(&right)].concat();
        let weight: f64 = both.iter().map(|(weight, _)| weight).sum();
        let expected = both.iter().map(|(weight, error)| weight * error).sum::<f64>() / weight;
        let got = of(&left).merged(of(&right)).mae();
        prop_assert!((got - expected).abs() <= 1e-9 * expected.max(1.0), "{} {}", got, expected);
    }

    #[test]
    fn a_window_equals_recomputing_it_whatever_comes(
        samples in prop::collection::vec((-1e6..1e6_f64, -1e6..1e6_f64), 1..200),
        window in 1..40_usize,
    ) {
        let mut rolling = Rolling::new(window);
        for i in 0..samples.len() {
            rolling.update(samples[i].0, samples[i].1);
            let (got, expected) = (rolling.scores(), by_definition(&samples[(i + 1).saturating_sub(window)..=i]));
            for ((name, get), expected) in METRICS.into_iter().zip(expected) {
                prop_assert!((get(&got) - expected).abs() <= 1e-7 * expected.abs().max(1.0), "{} at {}", name, i);
            }
        }
    }

    #[test]
    fn a_weighted_variance_is_by_definition_and_what_is_merged_can_be_taken_out_again(
        left in prop::collection::vec((-1e3..1e3_f64, 0.1..5.0_f64), 2..40),
        right in prop::collection::vec((-1e3..1e3_f64, 0.1..5.0_f64), 2..40),
    ) {
        let of = |samples: &[(f64, f64)]| {
            let mut var = Var::default();
            samples.iter().for_each(|(x, weight)| var.update(*x, *weight));
            var
        };
        let close = |a: Var, b: Var| {
            let off = |a: f64, b: f64| (a - b).abs() / b.abs().max(1.0);
            off(a.n, b.n) < 1e-9 && off(a.mean, b.mean) < 1e-7 && off(a.s, b.s) < 1e-7
        };
        let (a, b) = (of(&left), of(&right));
        let weight: f64 = left.iter().map(|(_, weight)| weight).sum();
        let centre = left.iter().map(|(x, weight)| weight * x).sum::<f64>() / weight;
        let s = left.iter().map(|(x, weight)| weight * (x - centre).powi(2)).sum();
        let by_definition = Var { n: weight, mean: centre, s };
        prop_assert!(close(a, by_definition));
        let both = a.merged(b);
        prop_assert!(close(both, of(&[left, right].concat())));
        prop_assert!(close(both.without(a), b) && close(both.without(b), a));
        prop_assert!((both.get() - both.s / (both.n - 1.0)).abs() <= 1e-9 * both.get());
    }
}

#[test]
fn a_variance_of_nothing_or_of_one_is_0_and_nothing_is_neutral() {
    let mut one = Var::default();
    one.update(7.0, 1.0);
    assert_eq!((Var::default().get(), one.get()), (0.0, 0.0));
    assert_eq!((one.merged(Var::default()), Var::default().merged(one)), (one, one));
    assert_eq!(one.without(one), Var::default());
}

/// Errors of few sizes are kept otherwise than those of many; nobody can tell.
#[test]
fn a_histogram_is_the_same_however_many_sizes_of_errors_it_counts() {
    for sizes in [1, 7, 64, 65, 200, 2000_u32] {
        let error =
            |i: u32| 1.5_f64.powi((i.wrapping_mul(2_654_435_761) % sizes % 90) as i32 - 40) * f64::from(1 + i % sizes);
        let errors: Vec<f64> = (0..3000).map(error).collect();
        let quantiles = counted(&errors);
        for q in QS {
            let (found, exact) = (quantiles.get(q), exact_quantile(&errors, q));
            assert!((found - exact).abs() <= 0.008 * exact, "{sizes} sizes, {q}: {found} not {exact}");
        }
        // What is saved goes on, and adds up in any order.
        let saved = rmp_serde::to_vec(&counted(&errors[..1000])).expect("saved");
        let mut restored: Quantiles = rmp_serde::from_slice(&saved).expect("read");
        restored.check().expect("sound");
        errors[1000..].iter().for_each(|error| restored.update(*error));
        assert_eq!(restored, quantiles, "{sizes} sizes");
        assert_eq!(rmp_serde::to_vec(&restored).expect("saved"), rmp_serde::to_vec(&quantiles).expect("saved"));
        let (few, many) = (counted(&errors[..10]), counted(&errors[10..]));
        assert_eq!(few.clone().merged(&many), quantiles);
        assert_eq!(many.merged(&few), quantiles);
        // A window forgets to the last one.
        let mut rolling = Rolling::new(5);
        errors.iter().for_each(|error| rolling.update(*error, 0.0));
        let last = counted(&errors[errors.len() - 5..]);
        assert_eq!(QS.map(|q| rolling.errors().get(q)), QS.map(|q| last.get(q)), "{sizes} sizes");
    }
}
