//! A tree of a forest, with its drift detectors.

use serde::{Deserialize, Serialize};

use super::Params;
use crate::{
    Features, Regressor,
    bootstrap::Bootstrap,
    tree::{self, HoeffdingTree},
};
use thalweg_metrics::{
    checked,
    drift::{Change, ErrorWatch},
    statistics::Var,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Member {
    tree: HoeffdingTree,
    /// Tree that has been learning since the last warning, to replace `tree`.
    background: Option<Box<HoeffdingTree>>,
    warning: Option<ErrorWatch>,
    drift: Option<ErrorWatch>,
    /// All errors so far, which normalise the detectors' input.
    errors: Var,
    /// Sum of squared errors of `tree`.
    squared: f64,
    /// Number of errors in that sum.
    n: u64,
    counts: Counts,
}

checked!(Member { tree, background, warning, drift, errors, squared, n, counts });

/// Numbers of warnings and drifts of a forest's trees since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Number of background trees begun.
    pub warnings: u64,
    /// Number of trees replaced.
    pub drifts: u64,
}

checked!(Counts { warnings, drifts });

impl Counts {
    pub(super) fn merged(self, other: Self) -> Self {
        Self { warnings: self.warnings + other.warnings, drifts: self.drifts + other.drifts }
    }
}

/// Returns whether errors have risen; if they have fallen, the detector starts counting anew.
fn risen(watch: &mut Option<ErrorWatch>, error: f64) -> bool {
    let Some(watch) = watch else { return false };
    let change = watch.update(error);
    if change == Change::Fallen {
        watch.recount();
    }
    change == Change::Risen
}

/// Returns a tree that has learned nothing.
fn new_tree(params: &Params, seed: u64) -> HoeffdingTree {
    // At worst each member has two trees.
    let max_bytes = params.tree.max_bytes / (2 * params.n_models.max(1) as usize);
    let tree = tree::Params { max_bytes, ..params.tree.clone() };
    HoeffdingTree::in_subspaces(tree, params.max_features, seed)
}

impl Member {
    pub(super) fn new(params: &Params, seed: u64) -> Self {
        Self {
            tree: new_tree(params, seed),
            background: None,
            warning: params.warning_detector.map(ErrorWatch::new),
            drift: params.drift_detector.map(ErrorWatch::new),
            errors: Var::default(),
            squared: 0.0,
            n: 0,
            counts: Counts::default(),
        }
    }

    pub(super) fn tree(&self) -> &HoeffdingTree {
        &self.tree
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the mean squared error of the tree since it began to predict, 0 before.
    pub(super) fn mse(&self) -> f64 {
        if self.n == 0 { 0.0 } else { self.squared / self.n as f64 }
    }

    /// Learns a sample that trees accept, as often as `bootstrap` draws, and updates the detectors with the error.
    pub(super) fn learn_one(
        &mut self,
        x: Features<'_>,
        y: f64,
        weight: f64,
        params: &Params,
        bootstrap: &mut Bootstrap,
    ) {
        let weight = weight * f64::from(bootstrap.count());
        let prediction = if weight > 0.0 { self.tree.learn_accepted(x, y, weight) } else { self.tree.predict_one(x) };
        let error = y - prediction;
        self.squared += error * error;
        self.n += 1;
        if weight == 0.0 {
            return;
        }
        if let Some(background) = &mut self.background {
            background.learn_accepted(x, y, weight);
        }
        let normalised = self.normalised(error);
        if risen(&mut self.warning, normalised) {
            self.background = Some(Box::new(new_tree(params, bootstrap.seed())));
            self.warning = params.warning_detector.map(ErrorWatch::new);
            self.counts.warnings += 1;
        }
        if risen(&mut self.drift, normalised) {
            self.tree = match self.background.take() {
                Some(background) => *background,
                None => new_tree(params, bootstrap.seed()),
            };
            self.warning = params.warning_detector.map(ErrorWatch::new);
            self.drift = params.drift_detector.map(ErrorWatch::new);
            (self.squared, self.n) = (0.0, 0);
            self.counts.drifts += 1;
        }
    }

    /// Returns the absolute error relative to all errors so far: 1 is three standard deviations, within which nearly
    /// all normal errors lie (Gomes et al. 2018).
    fn normalised(&mut self, error: f64) -> f64 {
        self.errors.update(error, 1.0);
        let deviation = self.errors.get().sqrt();
        if deviation > 0.0 { error.abs() / (3.0 * deviation) } else { 0.0 }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let detectors = [&self.warning, &self.drift];
        let detectors = detectors.into_iter().flatten().map(ErrorWatch::heap_bytes).sum::<usize>();
        let trees = self.tree.memory_bytes() - size_of::<HoeffdingTree>();
        let background = self.background.as_ref().map_or(0, |background| background.memory_bytes());
        size_of::<Self>() + detectors + trees + background
    }
}
