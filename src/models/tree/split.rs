//! The merit of a split and its certainty: variance reduction and the Hoeffding bound.
//!
//! Invariant: pure functions of statistics; candidates are compared in the order of their columns, so that ties come
//! out the same on every run. What this does not do: find split points (see `observer`) or change the tree (see
//! `grow`).

use thalweg_metrics::statistics::Var;

use super::params::Params;

/// A way to split a leaf on one feature, with the statistics of the target in each part.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Column of the feature.
    pub feature: usize,
    /// Variance of the target that the split would remove, in the target's unit squared.
    pub merit: f64,
    /// Division into parts.
    pub parts: Parts,
}

/// A division of a feature's values.
#[derive(Clone, Debug, PartialEq)]
pub enum Parts {
    /// Values ≤ `threshold` and the others.
    Threshold {
        /// Threshold in the feature's unit (after a scaler: in standard deviations).
        threshold: f64,
        /// Statistics of the target at or below the threshold, and above.
        targets: [Var; 2],
    },
    /// One category and the others.
    Category {
        /// Index of the category.
        category: f64,
        /// Statistics of the target in the category, and in the others.
        targets: [Var; 2],
    },
    /// A part for each category, by ascending index.
    Categories(Vec<(f64, Var)>),
}

impl Parts {
    /// Iterates over the target's statistics, part by part.
    pub fn targets(&self) -> impl Iterator<Item = &Var> {
        let (two, many): (&[Var], &[(f64, Var)]) = match self {
            Parts::Threshold { targets, .. } | Parts::Category { targets, .. } => (targets, &[]),
            Parts::Categories(parts) => (&[], parts),
        };
        two.iter().chain(many.iter().map(|(_, target)| target))
    }
}

/// An attempt to split a leaf, as passed to a watcher of learning.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Level of the leaf; the root has 0.
    pub depth: u32,
    /// Weight of the samples the leaf has seen.
    pub weight: f64,
    /// Hoeffding bound at that weight.
    pub bound: f64,
    /// Split of the highest merit.
    pub best: Option<&'a Candidate>,
    /// Best split on another feature.
    pub second: Option<&'a Candidate>,
    /// True if the leaf was split.
    pub split: bool,
}

/// Measures splits of the samples summarised in `whole` by the reduction of the target's variance: in the target's unit
/// squared for trees, as a share of the whole's for rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Criterion {
    pub(super) whole: Var,
    /// Merit of a split into parts without variance.
    max_merit: f64,
    /// Unit of variances.
    unit: f64,
    /// Minimum weight of a part.
    min_weight: f64,
}

impl Criterion {
    pub(super) fn new(whole: Var, params: &Params) -> Self {
        Self { whole, max_merit: whole.get(), unit: 1.0, min_weight: f64::from(params.min_samples_split) }
    }

    /// Returns the criterion of the variance ratio (Almeida, Ferreira and Gama 2013): the share of the variance that a
    /// split removes. `None` if there is no variance.
    pub(crate) fn ratio(whole: Var, min_samples_split: u32) -> Option<Self> {
        let unit = whole.get();
        (unit > 0.0).then(|| Self { whole, max_merit: 1.0, unit, min_weight: f64::from(min_samples_split) })
    }

    /// Returns the variance of the whole less that within the parts; 0 if a part is too small to tell.
    #[inline]
    pub(super) fn merit<'a>(&self, parts: impl IntoIterator<Item = &'a Var>) -> f64 {
        let mut merit = self.max_merit;
        for part in parts {
            if part.n < self.min_weight {
                return 0.0;
            }
            merit -= part.n / self.whole.n * (part.get() / self.unit);
        }
        merit
    }

    /// Returns the share of the variance that a split of this merit removes, at most 1.
    fn share(&self, merit: f64) -> f64 {
        merit / self.max_merit
    }
}

/// Returns the largest distance, with probability 1 − `delta`, of a mean of `n` observations in [0, 1] from its
/// expectation (Hoeffding 1963).
pub(crate) fn hoeffding_bound(delta: f64, n: f64) -> f64 {
    ((1.0 / delta).ln() / (2.0 * n)).sqrt()
}

/// Returns the two best of `candidates`, best first. Of equal merits the later one is better, as in River.
pub(crate) fn two_best(candidates: &[Candidate]) -> (Option<&Candidate>, Option<&Candidate>) {
    let (mut best, mut second): (Option<&Candidate>, Option<&Candidate>) = (None, None);
    for candidate in candidates {
        if best.is_none_or(|best| candidate.merit >= best.merit) {
            second = best;
            best = Some(candidate);
        } else if second.is_none_or(|second| candidate.merit >= second.merit) {
            second = Some(candidate);
        }
    }
    (best, second)
}

/// Returns whether the best split is certain enough to be made (Domingos and Hulten 2000; for regression Ikonomovska,
/// Gama and Džeroski 2011): the ratio of the two best merits is below 1 by more than the bound, or the two are as good
/// as tied.
///
/// A feature without a rival is measured against not splitting at all: the share of variance it removes must exceed
/// the bound. River's rival is then a null split of merit −∞, which lets any positive merit pass, and so splits on
/// pure noise at every attempt.
pub(super) fn is_certain(
    criterion: &Criterion,
    best: &Candidate,
    second: Option<&Candidate>,
    bound: f64,
    params: &Params,
) -> bool {
    if best.merit <= 0.0 {
        return false;
    }
    match second {
        Some(second) => second.merit / best.merit < 1.0 - bound || bound < params.tau,
        None => !params.merit_preprune || criterion.share(best.merit) > bound,
    }
}
