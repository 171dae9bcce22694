//! A node of a model tree: its linear model, its errors, and its current role.

use serde::{Deserialize, Serialize};

use super::{Params, grid::Grid, plane::Plane};
use thalweg_metrics::checked;

/// Smallest share of the latest squared error in its recent mean.
const MIN_RATE: f64 = 0.007;

/// Samples before the mean squared error is reliable.
const WARM_UP_SAMPLES: u64 = 20;

/// Sum at which a CUSUM (Page 1954) of squared errors, in units of their mean, alarms.
const CUSUM_ALARM: f64 = 40.0;

/// Subtracted from each squared error in the CUSUM, in units of their mean.
const CUSUM_SLACK: f64 = 2.0;

/// Largest squared error in the CUSUM, in units of their mean.
const CUSUM_MAX_RATIO: f64 = 9.0;

/// Variance added to each weight of a node that is new or whose errors have risen.
pub(super) const ADDED_VARIANCE: f64 = 0.1;

/// Exponent of the ratio of squared errors that shifts trust between a node and the tree below it.
const TRUST_EXPONENT: i32 = 8;

/// Weight of samples at which a child counts as much as its parent (Quinlan 1992 takes 15).
const SMOOTHING_WEIGHT: f64 = 5.0;

/// One sample in this many is learned by the models of branches, which only serve comparison and smoothing.
const BRANCH_LEARN_INTERVAL: u64 = 4;

/// Largest error that counts.
const MAX_ERROR: f64 = 1e152;

/// A node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Node {
    pub(super) plane: Plane,
    pub(super) role: Role,
    pub(super) depth: u32,
    /// Weight of the samples seen.
    pub(super) n: f64,
    /// Number of samples seen since it took its role.
    pub(super) age: u64,
    /// Number of samples the tree had seen when it took its role.
    pub(super) since: u64,
    /// Faded squared error of its own model, in the target's unit squared.
    pub(super) own: f64,
    /// Faded squared error of the tree from here down.
    pub(super) below: f64,
    /// CUSUM of its own squared errors.
    excess: f64,
}

checked!(Node { plane, role, depth, n, age, since, own, below, excess });

/// The role of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Role {
    /// Not part of the tree; its memory is reused.
    Free,
    /// Divides samples.
    Branch(Branch),
    /// Looks for a split.
    Leaf(Grid),
}

checked!(
    enum Role {
        Free,
        Branch(branch),
        Leaf(grid),
    }
);

/// A split: standardised values of a feature at or below the threshold go to the first child.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Branch {
    pub(super) feature: u16,
    pub(super) threshold: f64,
    pub(super) children: [u16; 2],
}

checked!(Branch { feature, threshold, children });

impl Branch {
    /// Returns the child that a row goes to. The row has a leading 1.
    #[inline]
    pub(super) fn child(&self, row: &[f64]) -> usize {
        usize::from(self.children[usize::from(row[usize::from(self.feature) + 1] > self.threshold)])
    }
}

impl Node {
    /// Returns a leaf that has learned nothing.
    pub(super) fn new(plane: Plane, grid: Grid) -> Self {
        let role = Role::Leaf(grid);
        Self { plane, role, depth: 0, n: 0.0, age: 0, since: 0, own: 0.0, below: 0.0, excess: 0.0 }
    }

    /// Returns the branch, if the node is one.
    #[inline]
    pub(super) fn branch(&self) -> Option<&Branch> {
        match &self.role {
            Role::Branch(branch) => Some(branch),
            Role::Leaf(_) | Role::Free => None,
        }
    }

    /// Takes a role at `clock`, and resets its age and CUSUM. Returns the previous role.
    pub(super) fn take(&mut self, role: Role, clock: u64) -> Role {
        (self.age, self.since, self.excess) = (0, clock, 0.0);
        std::mem::replace(&mut self.role, role)
    }

    /// Returns a leaf below this node.
    pub(super) fn child(&self, plane: Plane, grid: Grid, clock: u64) -> Self {
        let (depth, own) = (self.depth + 1, self.own);
        Self { depth, since: clock, own, below: own, ..Self::new(plane, grid) }
    }

    /// Returns whether its mean squared error is reliable and over 0.
    pub(super) fn has_reliable_error(&self) -> bool {
        self.age > WARM_UP_SAMPLES && self.own > 0.0
    }

    /// Learns a sample, given the errors of its own model and of the tree from here down. `gain` is a buffer.
    pub(super) fn learn(&mut self, row: &[f64], errors: [f64; 2], weight: f64, params: &Params, gain: &mut Vec<f64>) {
        // So that squares stay finite even for the largest targets.
        let [error, below] = errors.map(|error| error.clamp(-MAX_ERROR, MAX_ERROR));
        self.n += weight;
        self.age += 1;
        let (square, rate) = (error * error, (1.0 / self.age as f64).max(MIN_RATE));
        self.own += rate * (square - self.own);
        self.below += rate * (below * below - self.below);
        if self.has_reliable_error() {
            self.excess = (self.excess + (square / self.own).min(CUSUM_MAX_RATIO) - CUSUM_SLACK).max(0.0);
            if self.excess > CUSUM_ALARM {
                self.start_over(params);
            }
        }
        let is_leaf = matches!(self.role, Role::Leaf(_));
        if is_leaf || self.age.is_multiple_of(BRANCH_LEARN_INTERVAL) {
            let forgetting =
                if is_leaf { params.forgetting } else { params.forgetting.powi(BRANCH_LEARN_INTERVAL as i32) };
            self.plane.learn(row, error, weight, forgetting, params, gain);
        }
    }

    /// Starts over after errors have risen: the weights, and the splits they suggest, may be outdated.
    #[cold]
    fn start_over(&mut self, params: &Params) {
        self.excess = 0.0;
        self.own *= 4.0;
        self.plane.add_variance(ADDED_VARIANCE, params);
        self.plane.mass = 0.0;
        if let Role::Leaf(grid) = &mut self.role {
            grid.begin(self.own.sqrt());
        }
    }

    /// Returns the share of the tree below in the prediction here, if the child on the way down has seen `n`: smoothing
    /// (Quinlan 1992), reduced the more the error of the tree below exceeds that of this node alone.
    #[inline]
    pub(super) fn trust_below(&self, n: f64) -> f64 {
        let smoothed = n / (n + SMOOTHING_WEIGHT);
        if self.below <= self.own {
            smoothed
        } else {
            smoothed * 2.0 / (1.0 + (self.below / self.own).powi(TRUST_EXPONENT))
        }
    }

    /// Returns the squared error that the tree below saves, per sample that the whole tree has seen since.
    pub(super) fn saves(&self, clock: u64) -> f64 {
        (self.own - self.below) * self.traffic(clock)
    }

    /// Returns the share of the tree's samples that come here.
    pub(super) fn traffic(&self, clock: u64) -> f64 {
        self.age as f64 / (clock - self.since).max(1) as f64
    }

    /// Returns whether a restored node is valid in a tree that has seen `clock` samples, with rows of `width`.
    pub(super) fn fits(&self, width: usize, clock: u64) -> bool {
        let errors = [self.n, self.own, self.below, self.excess];
        let grid_fits = match &self.role {
            Role::Leaf(grid) => grid.fits(width),
            Role::Free | Role::Branch(_) => true,
        };
        self.plane.fits(width)
            && grid_fits
            && self.since <= clock
            && self.age <= clock
            && errors.iter().all(|number| *number >= 0.0)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let grid = match &self.role {
            Role::Leaf(grid) => grid.heap_bytes(),
            Role::Free | Role::Branch(_) => 0,
        };
        self.plane.heap_bytes() + grid
    }
}
