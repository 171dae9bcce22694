//! What every model promises, whatever its kind: one suite, run on all of them with and without a scaler.
//!
//! A kind that is missing does not compile: [`every_kind`] matches the closed set.

use crate::support::kinds::{NOMINAL, every_kind, samples};
use thalweg_models::{Features, ModelConfig, Pipeline, Scratch};
use thalweg_state as state;

fn configs() -> impl Iterator<Item = ModelConfig> {
    let of = |scale| every_kind().into_iter().map(move |kind| ModelConfig::new(kind.name(), kind).scaled(scale));
    of(false).chain(of(true))
}

/// A model with room to work in.
struct Learner {
    pipeline: Pipeline,
    scratch: Scratch,
}

impl Learner {
    fn new(config: &ModelConfig) -> Self {
        Self { pipeline: Pipeline::new(config), scratch: Scratch::default() }
    }

    fn predict(&mut self, x: &[f64]) -> f64 {
        self.pipeline.predict_one(Features::with_nominal(x, &NOMINAL), &mut self.scratch)
    }

    /// Whether it was learned and not refused.
    fn learn(&mut self, x: &[f64], y: f64) -> bool {
        self.pipeline.learn_one(Features::with_nominal(x, &NOMINAL), y, &mut self.scratch).is_ok()
    }

    fn restored(&self) -> Self {
        let bytes = rmp_serde::to_vec_named(&self.pipeline).expect("saved");
        Self { pipeline: state::read(&bytes).expect("restored"), scratch: Scratch::default() }
    }
}

fn trained(config: &ModelConfig, n: usize) -> Learner {
    let mut learner = Learner::new(config);
    samples(n).for_each(|(x, y)| assert!(learner.learn(&x, y), "{config:?}"));
    learner
}

#[test]
fn a_prediction_before_the_first_sample_is_0() {
    for config in configs() {
        assert_eq!(Learner::new(&config).predict(&[1.0, 2.0]), 0.0, "{config:?}");
    }
}

#[test]
fn predicting_does_not_learn() {
    for config in configs() {
        let (mut asked, mut left) = (Learner::new(&config), Learner::new(&config));
        for (x, y) in samples(1500) {
            let first = asked.predict(&x);
            assert_eq!(asked.predict(&x).to_bits(), first.to_bits(), "{config:?}");
            asked.predict(&[1e6, -1e6, 0.0, 3.0, 1e-9, 77.0, 5.0]);
            asked.learn(&x, y);
            left.learn(&x, y);
        }
        for (x, _) in samples(100) {
            assert_eq!(asked.predict(&x).to_bits(), left.predict(&x).to_bits(), "{config:?}");
        }
    }
}

#[test]
fn going_on_from_a_saved_state_equals_never_having_stopped_at_any_sample() {
    for config in configs() {
        let (mut straight, mut stopped) = (Learner::new(&config), Learner::new(&config));
        for (i, (x, y)) in samples(1200).enumerate() {
            if i < 5 || i % 83 == 0 {
                stopped = stopped.restored();
            }
            assert_eq!(straight.predict(&x).to_bits(), stopped.predict(&x).to_bits(), "{config:?} at {i}");
            assert_eq!(straight.learn(&x, y), stopped.learn(&x, y), "{config:?} at {i}");
        }
    }
}

#[test]
fn nothing_that_comes_in_makes_a_later_prediction_unsound() {
    let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, -1e308, 1e150, 1e-308];
    for config in configs() {
        let mut learner = trained(&config, 300);
        for value in bad {
            // In the target, in one feature, in all of them, and in both.
            for (x, y) in [
                (vec![0.5; 6], value),
                (vec![0.5, value, 0.5, 0.5, 0.5, 1.0], 1.0),
                (vec![value; 6], 1.0),
                (vec![value; 6], value),
            ] {
                // What is not finite never comes out of the decoder, except as unknown.
                if x.iter().all(|value| !value.is_infinite()) {
                    learner.learn(&x, y);
                }
            }
            learner.learn(&[], 1.0);
            let prediction = learner.predict(&[0.5, 0.5, 0.5, 0.5, 0.5, 1.0]);
            assert!(prediction.is_finite(), "{config:?} predicts {prediction} after {value}");
        }
        let restored = learner.restored().predict(&[0.5; 6]);
        assert_eq!(restored.to_bits(), learner.predict(&[0.5; 6]).to_bits(), "{config:?}");
    }
}

#[test]
fn a_series_without_features_is_learned_and_may_gain_one() {
    for config in configs() {
        let mut learner = Learner::new(&config);
        let mut restored = Learner::new(&config);
        let y = |i: i32| 10.0 + (0.1 * f64::from(i)).sin();
        for i in 0..1500 {
            if i % 111 == 0 {
                restored = learner.restored();
            }
            let predicted = learner.predict(&[]);
            assert!(predicted.is_finite(), "{config:?} at {i}");
            assert_eq!(predicted.to_bits(), restored.predict(&[]).to_bits(), "{config:?} at {i}");
            assert!(learner.learn(&[], y(i)) && restored.learn(&[], y(i)), "{config:?} at {i}");
        }
        assert!((learner.predict(&[]) - 10.0).abs() < 3.0, "{config:?}: {}", learner.predict(&[]));
        for i in 0..300 {
            assert!(learner.predict(&[f64::from(i % 7)]).is_finite(), "{config:?}");
            learner.learn(&[f64::from(i % 7)], y(i));
        }
        assert!(learner.predict(&[]).is_finite() && learner.predict(&[1.0, 2.0]).is_finite(), "{config:?}");
    }
}

#[test]
fn a_constant_target_is_learned_and_kept() {
    for config in configs() {
        // FTRL's own L2 penalty pulls towards 0, and steps of ±1 never quite settle.
        let mut learner = Learner::new(&config);
        for (x, _) in samples(5000) {
            learner.learn(&x, 3.0);
        }
        let error = samples(100).map(|(x, _)| (learner.predict(&x) - 3.0).abs()).sum::<f64>() / 100.0;
        assert!(error < 0.6, "{config:?}: off by {error}");
    }
}

#[test]
fn a_target_a_million_times_as_large_stays_sound() {
    for config in configs() {
        let mut learner = Learner::new(&config);
        for (x, y) in samples(1000) {
            learner.learn(&x, 1e6 * y);
        }
        assert!(samples(100).all(|(x, _)| learner.predict(&x).is_finite()), "{config:?}");
    }
}

#[test]
fn an_empty_row_and_a_column_never_seen_are_predicted_all_the_same() {
    for config in configs() {
        let mut learner = trained(&config, 500);
        for x in [vec![], vec![f64::NAN; 6], vec![0.5; 9], vec![f64::NAN, 0.5, f64::NAN, 0.5, 0.5, 99.0, 1.0]] {
            assert!(learner.predict(&x).is_finite(), "{config:?} for {x:?}");
        }
    }
}
