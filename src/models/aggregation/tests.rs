use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Aggregation, Rule};
use thalweg_metrics::Checked;

/// Sums of squared errors of a rule and its members on a stream of (members' predictions, target).
struct Run {
    squares: f64,
    of_members: Vec<f64>,
}

fn run(rule: Rule, rows: &[(Vec<f64>, f64)]) -> Run {
    let mut aggregation = Aggregation::new(rule);
    let mut run = Run { squares: 0.0, of_members: vec![0.0; rows[0].0.len()] };
    for (members, y) in rows {
        let error = aggregation.predict(members) - y;
        run.squares += error * error;
        run.of_members.iter_mut().zip(members).for_each(|(sum, member)| *sum += (member - y) * (member - y));
        aggregation.learn(members, *y);
    }
    run
}

/// Returns predictions of four members around a moving target, with these error deviations before and after the middle.
fn rows(n: usize, before: [f64; 4], after: [f64; 4]) -> Vec<(Vec<f64>, f64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    // Uniform with variance 1.
    let mut noise = move || 12f64.sqrt() * (rng.random::<f64>() - 0.5);
    let row = |i: usize| {
        let y = 10.0 + 3.0 * (i as f64 / 50.0).sin() + noise();
        let deviations = if 2 * i < n { before } else { after };
        (deviations.iter().map(|deviation| y + deviation * noise()).collect(), y)
    };
    (0..n).map(row).collect()
}

fn ordinary() -> Vec<(Vec<f64>, f64)> {
    rows(3000, [1.0, 0.5, 2.0, 5.0], [2.0, 3.0, 0.5, 5.0])
}

#[test]
fn weights_are_never_negative_and_sum_to_1() {
    for rule in Rule::ALL {
        let mut aggregation = Aggregation::new(rule);
        for (members, y) in ordinary() {
            aggregation.learn(&members, y);
            let weights = aggregation.weights();
            assert_eq!(weights.len(), 4);
            let sum: f64 = weights.iter().sum();
            assert!((sum - 1.0).abs() < 1e-12 && weights.iter().all(|weight| *weight >= 0.0), "{rule:?}: {weights:?}");
        }
    }
}

#[test]
fn the_plain_mean_comes_before_anything_was_learned_and_0_without_members() {
    for rule in Rule::ALL {
        let aggregation = Aggregation::new(rule);
        assert_eq!(aggregation.predict(&[1.0, 2.0, 6.0]), 3.0, "{rule:?}");
        assert_eq!(aggregation.predict(&[]), 0.0, "{rule:?}");
    }
}

#[test]
fn it_is_hardly_worse_than_the_best_member_and_far_better_than_the_worst() {
    let rows = rows(5000, [1.0, 0.5, 2.0, 5.0], [1.0, 0.5, 2.0, 5.0]);
    for rule in Rule::ALL {
        let Run { squares, of_members } = run(rule, &rows);
        assert!(squares < 1.1 * of_members[1], "{rule:?}: {squares} against {of_members:?}");
    }
}

/// Checks the regret bound of Gaillard, Stoltz and van Erven (2014), see [`super::ml_poly::MlPoly`]: members are
/// constant, and the adversary that chooses the target knows the prediction.
#[test]
fn ml_poly_keeps_its_regret_bound_on_sequences_that_are_made_to_break_it() {
    type Adversary = fn(usize, f64, &mut ChaCha8Rng) -> f64;
    let adversaries: [Adversary; 4] = [
        // The target is as far from the prediction as possible.
        |_, prediction, _| if prediction > 0.0 { -1.0 } else { 1.0 },
        // The same, but on one side for 1000 records.
        |i, prediction, _| if (i / 1000).is_multiple_of(2) == (prediction > 0.9) { -1.0 } else { 1.0 },
        |i, _, _| if i.is_multiple_of(2) { 1.0 } else { -1.0 },
        |_, _, rng| if rng.random::<bool>() { 1.0 } else { -1.0 },
    ];
    for (which, adversary) in adversaries.into_iter().enumerate() {
        let members = [-1.0, -0.3, 0.0, 0.6, 1.0];
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut aggregation = Aggregation::new(Rule::MlPoly);
        let (mut regret, mut squares, mut largest) = ([0.0; 5], [0.0; 5], 0.0f64);
        for i in 0..10_000 {
            let prediction = aggregation.predict(&members);
            // The first one makes the largest regret there can be.
            let y = if i == 0 { -1.0 } else { adversary(i, prediction, &mut rng) };
            for (k, member) in members.iter().enumerate() {
                let r = 2.0 * (prediction - y) * (prediction - member);
                regret[k] += (prediction - y) * (prediction - y) - (member - y) * (member - y);
                squares[k] += r * r;
                largest = largest.max(r * r);
            }
            aggregation.learn(&members, y);
            for (regret, square) in regret.iter().zip(squares) {
                let bound = (5.0 * (1.0 + (i as f64 + 2.0).ln()) * (largest + square)).sqrt();
                assert!(*regret <= bound, "adversary {which}: {regret} > {bound} after {i}");
            }
        }
    }
}

/// A scale that is a power of 2 changes only exponents; any other, and a shift, changes last digits.
#[test]
fn another_unit_or_origin_of_the_target_is_one_of_the_predictions() {
    for rule in Rule::ALL {
        for (scale, shift, within) in
            [(1024.0, 0.0, 0.0), (1e-6, 0.0, 1e-9), (1e9, 0.0, 1e-9), (-3.0, 0.0, 1e-9), (1.0, 1e4, 1e-5)]
        {
            let (mut plain, mut moved) = (Aggregation::new(rule), Aggregation::new(rule));
            for (members, y) in ordinary() {
                let others: Vec<f64> = members.iter().map(|member| member * scale + shift).collect();
                let (plainly, otherwise) = (plain.predict(&members), moved.predict(&others));
                let off = ((otherwise - shift) / scale - plainly).abs();
                assert!(off <= within * plainly.abs().max(1.0), "{rule:?} · {scale} + {shift}: off by {off}");
                plain.learn(&members, y);
                moved.learn(&others, y * scale + shift);
            }
        }
    }
}

/// 3,000 records after the second member has become worse than the third, the rules that follow have done so.
#[test]
fn it_recovers_after_the_best_member_has_changed() {
    let rows = rows(9000, [1.0, 0.5, 2.0, 5.0], [2.0, 3.0, 0.5, 5.0]);
    for (rule, most) in [
        (Rule::Combined, 1.02),
        (Rule::FixedShare, 1.05),
        (Rule::Boa, 1.3),
        (Rule::MlPoly, 1.3),
        (Rule::Stacking, 1.02),
        // It promises only to be as good as the best member in hindsight.
        (Rule::Exponential, 8.0),
    ] {
        let mut aggregation = Aggregation::new(rule);
        let (mut own, mut best) = (0.0, 0.0);
        for (i, (members, y)) in rows.iter().enumerate() {
            if i >= 7500 {
                own += (aggregation.predict(members) - y).powi(2);
                best += (members[2] - y).powi(2);
            }
            aggregation.learn(members, *y);
        }
        println!("{}: {:.3} of the best member's", rule.name(), own / best);
        assert!(own < most * best, "{rule:?}: {} of the best member's", own / best);
    }
}

#[test]
fn a_restored_state_goes_on_with_the_same_bits() {
    for rule in Rule::ALL {
        let (mut straight, mut stopped) = (Aggregation::new(rule), Aggregation::new(rule));
        for (i, (members, y)) in ordinary().into_iter().enumerate() {
            if i < 5 || i % 97 == 0 {
                let bytes = rmp_serde::to_vec_named(&stopped).expect("saved");
                stopped = rmp_serde::from_slice(&bytes).expect("restored");
                stopped.check().expect("sound");
                assert_eq!(stopped.heap_bytes(), straight.heap_bytes(), "{rule:?} at {i}");
            }
            assert_eq!(straight.predict(&members).to_bits(), stopped.predict(&members).to_bits(), "{rule:?} at {i}");
            straight.learn(&members, y);
            stopped.learn(&members, y);
        }
    }
}

#[test]
fn a_member_that_joins_later_is_heard_as_soon_as_it_is_better() {
    for rule in Rule::ALL {
        let mut aggregation = Aggregation::new(rule);
        let (mut own, mut known) = (0.0, 0.0);
        for (i, (members, y)) in rows(4000, [1.0, 2.0, 3.0, 0.1], [1.0, 2.0, 3.0, 0.1]).iter().enumerate() {
            let members = if i < 1000 { &members[..3] } else { members };
            if i >= 3000 {
                own += (aggregation.predict(members) - y).powi(2);
                known += (members[0] - y).powi(2);
            }
            aggregation.learn(members, *y);
        }
        assert_eq!(aggregation.weights().len(), 4);
        assert!(own < 0.1 * known, "{rule:?}: {own} against {known} of the best of the first three");
    }
}

#[test]
fn a_member_that_is_not_finite_has_no_say_and_leaves_no_trace() {
    for rule in Rule::ALL {
        let mut aggregation = Aggregation::new(rule);
        for (i, (mut members, y)) in ordinary().into_iter().enumerate() {
            if i % 3 == 0 {
                members[i % 4] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][i % 9 / 3];
            }
            if i % 50 == 0 {
                members = vec![f64::NAN; 4];
                assert_eq!(aggregation.predict(&members), 0.0, "{rule:?}");
            }
            let prediction = aggregation.predict(&members);
            assert!(prediction.is_finite() && prediction.abs() < 100.0, "{rule:?}: {prediction} at {i}");
            aggregation.learn(&members, y);
        }
    }
}

#[test]
fn a_member_that_is_never_finite_does_not_keep_the_others_from_being_learned() {
    for rule in Rule::ALL {
        let mut aggregation = Aggregation::new(rule);
        for (mut members, y) in rows(2000, [5.0, 0.5, 5.0, 1.0], [5.0, 0.5, 5.0, 1.0]) {
            members[3] = f64::NAN;
            aggregation.learn(&members, y);
        }
        // The second one is the best by far.
        let prediction = aggregation.predict(&[10.0, 0.0, 10.0, f64::NAN]);
        assert!(prediction.abs() < 2.0, "{rule:?}: {prediction}");
    }
}

#[test]
fn no_number_however_large_or_small_makes_a_later_prediction_unsound() {
    for rule in Rule::ALL {
        let mut aggregation = Aggregation::new(rule);
        let extremes = [f64::MAX, f64::MIN, 1e308, -1e154, 1e77, 1e-308, -5e-324, 0.0, f64::NAN, f64::INFINITY];
        for (members, y) in &ordinary()[..100] {
            aggregation.learn(members, *y);
        }
        for a in extremes {
            for b in extremes {
                aggregation.learn(&[a, b, 1.0, b], a);
                aggregation.learn(&[a, a, a, b], 1.0);
                assert!(aggregation.predict(&[a, b, 1.0, b]).is_finite(), "{rule:?} for {a} and {b}");
            }
        }
        assert!(aggregation.predict(&[1.0, 2.0, 3.0, 4.0]).abs() < 100.0, "{rule:?}");
    }
}

#[test]
fn members_that_are_all_right_or_all_the_same_are_followed() {
    for rule in Rule::ALL {
        let mut aggregation = Aggregation::new(rule);
        for _ in 0..1000 {
            aggregation.learn(&[3.0, 3.0, 3.0], 3.0);
        }
        assert_eq!(aggregation.predict(&[3.0, 3.0, 3.0]), 3.0, "{rule:?}");
        for i in 0..1000 {
            aggregation.learn(&[1.0, 1.0, 1.0], f64::from(i % 3));
        }
        let prediction = aggregation.predict(&[1.0, 1.0, 1.0]);
        assert!((prediction - 1.0).abs() < 0.5, "{rule:?}: {prediction}");
    }
}
