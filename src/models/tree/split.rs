//! What a split is worth and when it is certain enough: variance reduction and the Hoeffding bound.
//!
//! Invariant: pure functions of statistics; candidates are compared in the order of their columns, so that ties come out
//! the same on every run. What this does not do: find split points (see `observer`) or change the tree (see `grow`).

use thalweg_metrics::statistics::Var;

use super::params::Params;

/// A way to split a leaf on one feature, with the statistics of the target in each part.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Column of the feature.
    pub feature: usize,
    /// Variance of the target that the split would remove, in the target's unit squared.
    pub merit: f64,
    /// Where the parts meet.
    pub parts: Parts,
}

/// How a feature is divided.
#[derive(Clone, Debug, PartialEq)]
pub enum Parts {
    /// Values ≤ `threshold` and the others.
    Threshold {
        /// In the feature's unit (after a scaler: in standard deviations).
        threshold: f64,
        /// The target below (or at) and above.
        targets: [Var; 2],
    },
    /// One category and the others.
    Category {
        /// Index of the category.
        category: f64,
        /// The target of the category and of the others.
        targets: [Var; 2],
    },
    /// A part for each category, by ascending index.
    Categories(Vec<(f64, Var)>),
}

impl Parts {
    /// The target's statistics, part by part.
    pub fn targets(&self) -> impl Iterator<Item = &Var> {
        let (two, many): (&[Var], &[(f64, Var)]) = match self {
            Parts::Threshold { targets, .. } | Parts::Category { targets, .. } => (targets, &[]),
            Parts::Categories(parts) => (&[], parts),
        };
        two.iter().chain(many.iter().map(|(_, target)| target))
    }
}

/// An attempt to split a leaf, as an observer of learning sees it.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Level of the leaf; the root has 0.
    pub depth: u32,
    /// Weight of the samples the leaf has seen.
    pub weight: f64,
    /// The Hoeffding bound at that weight.
    pub bound: f64,
    /// The split of the highest merit.
    pub best: Option<&'a Candidate>,
    /// The best split on another feature.
    pub second: Option<&'a Candidate>,
    /// Whether the leaf was split.
    pub split: bool,
}

/// Measures splits of the samples summarised in `whole` by the reduction of the target's variance: in the target's unit
/// squared for trees, as a share of the whole's for rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Criterion {
    pub(super) whole: Var,
    /// What a split into parts without variance is worth.
    most: f64,
    /// What variances are measured in.
    unit: f64,
    least: f64,
}

impl Criterion {
    pub(super) fn new(whole: Var, params: &Params) -> Self {
        Self { whole, most: whole.get(), unit: 1.0, least: f64::from(params.min_samples_split) }
    }

    /// The variance ratio (Almeida, Ferreira and Gama 2013): the share of the variance that a split removes. `None` where
    /// there is no variance to share.
    pub(crate) fn ratio(whole: Var, min_samples_split: u32) -> Option<Self> {
        let unit = whole.get();
        (unit > 0.0).then(|| Self { whole, most: 1.0, unit, least: f64::from(min_samples_split) })
    }

    /// Variance of the whole less that within the parts; 0 where a part is too small to tell.
    #[inline]
    pub(super) fn merit<'a>(&self, parts: impl IntoIterator<Item = &'a Var>) -> f64 {
        let mut merit = self.most;
        for part in parts {
            if part.n < self.least {
                return 0.0;
            }
            merit -= part.n / self.whole.n * (part.get() / self.unit);
        }
        merit
    }

    /// The share of the variance that a split of this merit removes, at most 1.
    fn share(&self, merit: f64) -> f64 {
        merit / self.most
    }
}

/// How far, with probability 1 − `delta`, a mean of `n` observations in [0, 1] is from its expectation at most
/// (Hoeffding 1963).
pub(crate) fn hoeffding_bound(delta: f64, n: f64) -> f64 {
    ((1.0 / delta).ln() / (2.0 * n)).sqrt()
}

/// The two best of `candidates`, best first. Of equal merits the later one is better, as in River.
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

/// Whether the best split is certain enough to be made (Domingos and Hulten 2000; for regression Ikonomovska, Gama and
/// Džeroski 2011): the ratio of the two best merits is below 1 by more than the bound, or the two are as good as tied.
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
