//! Compares many models over many streams, by ranks (Demšar, Statistical comparisons of classifiers over multiple data
//! sets, 2006).

use super::distributions::{f_upper, studentized_range};

/// Level at which differences are called beyond noise.
const ALPHA: f64 = 0.05;

/// Friedman's test of a difference between any models over the streams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Friedman {
    /// Friedman's statistic (1937), by ranks without a correction for ties.
    pub chi2: f64,
    /// Iman and Davenport's statistic (1980), which is less conservative; ∞ if the order is the same on every stream.
    pub f: f64,
    /// Degrees of freedom of `f`.
    pub df: (f64, f64),
    /// Chance of as much if no model were better than another, 0 to 1.
    pub p: f64,
}

/// Ranks values from 1, the smallest first; equals share the mean of their ranks, and NaN comes last.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let key = |i: usize| if values[i].is_nan() { f64::INFINITY } else { values[i] };
    let rank = |i: usize| {
        let (below, equal) = (0..values.len()).fold((0, 0), |(below, equal), j| match key(j).total_cmp(&key(i)) {
            std::cmp::Ordering::Less => (below + 1, equal),
            std::cmp::Ordering::Equal => (below, equal + 1),
            std::cmp::Ordering::Greater => (below, equal),
        });
        f64::from(below) + (f64::from(equal) + 1.0) / 2.0
    };
    (0..values.len()).map(rank).collect()
}

/// Returns each model's mean rank over streams, of which each holds an error per model. Empty without streams.
pub fn mean_ranks(streams: &[Vec<f64>]) -> Vec<f64> {
    let Some(first) = streams.first() else { return Vec::new() };
    let mut means = vec![0.0; first.len()];
    for stream in streams {
        means.iter_mut().zip(ranks(stream)).for_each(|(mean, rank)| *mean += rank / streams.len() as f64);
    }
    means
}

/// Applies Friedman's test to mean ranks of `n` streams; `None` for fewer than two streams or models.
pub fn friedman(mean_ranks: &[f64], n: usize) -> Option<Friedman> {
    let (k, streams) = (mean_ranks.len() as f64, n as f64);
    if mean_ranks.len() < 2 || n < 2 {
        return None;
    }
    let squares: f64 = mean_ranks.iter().map(|rank| rank * rank).sum();
    let chi2 = (12.0 * streams / (k * (k + 1.0)) * (squares - k * (k + 1.0) * (k + 1.0) / 4.0)).max(0.0);
    let left = streams * (k - 1.0) - chi2;
    let f = if left <= 1e-9 * chi2 { f64::INFINITY } else { (streams - 1.0) * chi2 / left };
    let df = (k - 1.0, (k - 1.0) * (streams - 1.0));
    Some(Friedman { chi2, f, df, p: f_upper(f, df.0, df.1) })
}

/// Returns the critical difference of Nemenyi's test (1963) at 5 %: mean ranks over `n` ≥ 1 streams that are further
/// apart differ beyond noise. `k` ≥ 2 models.
pub fn nemenyi(k: usize, n: usize) -> f64 {
    let q = studentized_range(ALPHA, k) / std::f64::consts::SQRT_2;
    q * ((k * (k + 1)) as f64 / (6 * n) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Demšar 2006, section 3.2.2: four variants of C4.5 on 14 data sets, by their mean ranks.
    #[test]
    fn demsars_example() {
        let found = friedman(&[3.143, 2.000, 2.893, 1.964], 14).expect("enough");
        assert!((found.chi2 - 9.28).abs() < 0.01, "{found:?}");
        assert!((found.f - 3.69).abs() < 0.01, "{found:?}");
        assert_eq!(found.df, (3.0, 39.0));
        // Its critical value at 5 % is 2.85.
        assert!(found.p < 0.05, "{found:?}");
        assert!((nemenyi(4, 14) - 1.25).abs() < 0.01, "{}", nemenyi(4, 14));
    }

    #[test]
    fn mean_ranks_are_over_streams() {
        let streams = [vec![3.0, 1.0, 2.0], vec![1.0, 1.0, 5.0]];
        assert_eq!(mean_ranks(&streams), [2.25, 1.25, 2.5]);
        assert_eq!(mean_ranks(&[]), [0.0; 0]);
    }

    #[test]
    fn equals_share_their_ranks_and_what_is_no_number_is_last() {
        assert_eq!(ranks(&[2.0, 1.0, 2.0, f64::NAN, f64::INFINITY]), [2.5, 1.0, 2.5, 4.5, 4.5]);
    }

    #[test]
    fn one_stream_says_nothing_and_the_same_order_everywhere_says_all() {
        assert_eq!(friedman(&[1.0, 2.0], 1), None);
        assert_eq!(friedman(&[1.0], 9), None);
        let found = friedman(&[1.0, 2.0, 3.0], 6).expect("enough");
        assert_eq!((found.f, found.p), (f64::INFINITY, 0.0));
    }
}
