//! Tests paired differences against their own scatter.

use super::{distributions::student_t_two_sided, signed_ranks::signed_ranks};

/// A mean of paired differences and its significance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Mean difference, in the unit of the losses.
    pub mean: f64,
    /// Mean over standard error; ±∞ if all differences are the same and not 0.
    pub t: f64,
    /// Chance of a mean at least as far from 0 if there were no difference, 0 to 1.
    pub p: f64,
}

/// The paired t-test (Student 1908) with one degree of freedom less than there are differences. They must be independent:
/// one per seed, or one per stretch of a run ([`super::Blocks`]).
///
/// `None` for fewer than two differences, or if one is not finite.
pub fn paired(differences: &[f64]) -> Option<Paired> {
    let n = differences.len();
    if n < 2 || differences.iter().any(|difference| !difference.is_finite()) {
        return None;
    }
    // Scaled by the largest, since squares of large losses overflow; t does not depend on the scale.
    let scale = differences.iter().fold(0.0_f64, |most, difference| most.max(difference.abs()));
    if scale == 0.0 {
        return Some(Paired { mean: 0.0, t: 0.0, p: 1.0 });
    }
    let mean = differences.iter().map(|difference| difference / scale).sum::<f64>() / n as f64;
    let squares: f64 =
        differences.iter().map(|difference| (difference / scale - mean) * (difference / scale - mean)).sum();
    let error = (squares / (n - 1) as f64 / n as f64).sqrt();
    // Rounding errors of equal differences are no scatter.
    let t = if error <= 1e-14 * mean.abs() { f64::INFINITY.copysign(mean) } else { mean / error };
    Some(Paired { mean: mean * scale, t, p: student_t_two_sided(t, (n - 1) as f64) })
}

/// Chance of paired losses this unlike each other if there were no difference: by [`paired`] or by [`signed_ranks`],
/// whichever is more certain, paid for by twice its chance (Bonferroni). Ranks count only where they say the same as the
/// means: a model that is better nearly always and now and then terribly wrong is not better. Too few pairs for ranks are
/// left to the t-test.
///
/// `None` if [`paired`] is.
pub fn alike(a: &[f64], b: &[f64]) -> Option<f64> {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let by_means = paired(&differences)?;
    let Some(by_ranks) = signed_ranks(a, b) else { return Some(by_means.p) };
    let agree = by_ranks.balance * by_means.mean > 0.0;
    let least = if agree { by_means.p.min(by_ranks.p) } else { by_means.p };
    Some((2.0 * least).min(1.0))
}

/// Adjusts p-values by Holm's step-down method (1979), so that many questions can be held against one level.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![1.0; p.len()];
    let mut most = 0.0_f64;
    for (place, i) in order.into_iter().enumerate() {
        most = most.max(p[i] * (p.len() - place) as f64).min(1.0);
        adjusted[i] = most;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sleep data of Student 1908: hours gained by ten patients under two drugs.
    #[test]
    fn students_own_example() {
        let differences = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        let found = paired(&differences).expect("ten differences");
        assert!((found.mean - 1.58).abs() < 1e-12, "{found:?}");
        assert!((found.t - 4.0621).abs() < 1e-4, "{found:?}");
        assert!((found.p - 0.002833).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn what_cannot_be_judged_is_none() {
        assert_eq!(paired(&[]), None);
        assert_eq!(paired(&[3.0]), None);
        assert_eq!(paired(&[1.0, f64::NAN]), None);
        assert_eq!(paired(&[1.0, f64::INFINITY]), None);
    }

    #[test]
    fn equal_differences_are_beyond_any_noise_and_none_are_no_difference() {
        assert_eq!(paired(&[0.0, 0.0]).map(|it| it.p), Some(1.0));
        let found = paired(&[-0.1; 7]).expect("seven");
        assert_eq!((found.t, found.p), (f64::NEG_INFINITY, 0.0));
    }

    #[test]
    fn losses_whose_squares_overflow_are_compared_all_the_same() {
        let small = paired(&[1.0, 2.0, 4.0]).expect("three");
        let large = paired(&[1e300, 2e300, 4e300]).expect("three");
        assert!((small.t - large.t).abs() < 1e-12 && large.mean.is_finite(), "{large:?}");
    }

    fn uniform(state: &mut u64) -> f64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Mean losses of 16 stretches, of a distribution whose tail is so heavy that it has no variance (index 1.5) or not even
    /// a mean (0.8), a third of each shared by both models, as an outlier in the target is.
    fn stretches(state: &mut u64, index: f64, shared: &[f64]) -> Vec<f64> {
        shared.iter().map(|shared| shared + uniform(state).powf(-1.0 / index)).collect()
    }

    #[test]
    fn models_that_are_alike_are_not_told_apart_however_heavy_the_tails() {
        for index in [0.8, 1.5, 3.0] {
            let (mut state, runs) = (42, 2000);
            let found = (0..runs).filter(|_| {
                let shared: Vec<f64> = (0..16).map(|_| 0.5 * uniform(&mut state).powf(-1.0 / index)).collect();
                let [a, b] = [0, 1].map(|_| stretches(&mut state, index, &shared));
                alike(&a, &b).expect("finite") < 0.05
            });
            let share = found.count() as f64 / f64::from(runs);
            assert!(share <= 0.05, "index {index}: {share}");
        }
    }

    #[test]
    fn a_model_that_is_far_worse_is_told_although_few_stretches_hold_all_of_its_losses() {
        let mut state = 7;
        let good: Vec<f64> = (0..16).map(|_| 1.0 + uniform(&mut state)).collect();
        let bad: Vec<f64> = good.iter().enumerate().map(|(i, loss)| if i == 3 { 1e6 } else { 4.0 * loss }).collect();
        let differences: Vec<f64> = bad.iter().zip(&good).map(|(a, b)| a - b).collect();
        assert!(paired(&differences).is_some_and(|it| it.p > 0.3), "the t-test cannot see it");
        assert!(alike(&bad, &good).is_some_and(|p| p < 0.001));
        // Better nearly always, and once terribly wrong: no verdict.
        let wild: Vec<f64> = good.iter().enumerate().map(|(i, loss)| if i == 3 { 1e6 } else { 0.3 * loss }).collect();
        assert!(alike(&wild, &good).is_some_and(|p| p > 0.05));
    }

    /// Holm 1979 by hand: 0.01·4, 0.02·3, 0.03·2 (kept monotone), 0.04·1.
    #[test]
    fn holm_steps_down_and_never_turns_back() {
        let adjusted = holm(&[0.04, 0.01, 0.03, 0.02]);
        for (found, expected) in adjusted.iter().zip([0.06, 0.04, 0.06, 0.06]) {
            assert!((found - expected).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }
}
