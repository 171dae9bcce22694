//! A node of a model tree: its linear model, its errors, and what it is at present.

use serde::{Deserialize, Serialize};

use super::{Params, grid::Grid, plane::Plane};
use thalweg_metrics::checked;

/// Share by which errors follow the latest one.
const RATE: f64 = 0.007;

/// Samples before errors tell anything of what is usual.
const SETTLED: u64 = 20;

/// A CUSUM (Page 1954) alarms when squared errors over twice the usual one, at most nine-fold, have summed up to this.
const ALARM: f64 = 40.0;
const SLACK: f64 = 2.0;
const MOST: f64 = 9.0;

/// By how much a node becomes less sure of each weight where its errors have risen, or where it is new.
pub(super) const LOOSER: f64 = 0.1;

/// How fast trust moves between a node and the tree below it with the ratio of their squared errors.
const SHARPNESS: i32 = 8;

/// A child that has seen so many samples counts as much as its parent does (Quinlan 1992 takes 15).
const SMOOTHING: f64 = 5.0;

/// The models of branches serve comparison and smoothing, for which one sample in so many is enough.
const THINNING: u64 = 4;

/// Larger errors count as so large.
const LARGEST_ERROR: f64 = 1e152;

/// A node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Node {
    pub(super) plane: Plane,
    pub(super) role: Role,
    pub(super) depth: u32,
    /// Weight of the samples seen.
    pub(super) n: f64,
    /// Samples seen since it took its role.
    pub(super) age: u64,
    /// Samples the tree had seen by then.
    pub(super) since: u64,
    /// Faded squared error of its own model, in the target's unit squared.
    pub(super) own: f64,
    /// The same of the tree from here down.
    pub(super) below: f64,
    /// The CUSUM of its own errors.
    excess: f64,
}

checked!(Node { plane, role, depth, n, age, since, own, below, excess });

/// What a node is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Role {
    /// No part of the tree; its room is used again.
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
    /// Where a row goes. The row has a leading 1.
    #[inline]
    pub(super) fn child(&self, row: &[f64]) -> usize {
        usize::from(self.children[usize::from(row[usize::from(self.feature) + 1] > self.threshold)])
    }
}

impl Node {
    /// A leaf that has learned nothing.
    pub(super) fn new(plane: Plane, grid: Grid) -> Self {
        let role = Role::Leaf(grid);
        Self { plane, role, depth: 0, n: 0.0, age: 0, since: 0, own: 0.0, below: 0.0, excess: 0.0 }
    }

    /// The branch, unless it is none.
    #[inline]
    pub(super) fn branch(&self) -> Option<&Branch> {
        match &self.role {
            Role::Branch(branch) => Some(branch),
            Role::Leaf(_) | Role::Free => None,
        }
    }

    /// Takes a role at `clock`, and begins to judge itself anew; the role it had.
    pub(super) fn take(&mut self, role: Role, clock: u64) -> Role {
        (self.age, self.since, self.excess) = (0, clock, 0.0);
        std::mem::replace(&mut self.role, role)
    }

    /// A leaf below this node.
    pub(super) fn child(&self, plane: Plane, grid: Grid, clock: u64) -> Self {
        let (depth, own) = (self.depth + 1, self.own);
        Self { depth, since: clock, own, below: own, ..Self::new(plane, grid) }
    }

    /// Whether its errors say what is usual.
    pub(super) fn is_settled(&self) -> bool {
        self.age > SETTLED && self.own > 0.0
    }

    /// Learns a sample, given the errors of its own model and of the tree from here down.
    /// `gain` is room to work in.
    pub(super) fn learn(&mut self, row: &[f64], errors: [f64; 2], weight: f64, params: &Params, gain: &mut Vec<f64>) {
        // Of targets as large as can be, the squares stay finite.
        let [error, below] = errors.map(|error| error.clamp(-LARGEST_ERROR, LARGEST_ERROR));
        self.n += weight;
        self.age += 1;
        let (square, rate) = (error * error, (1.0 / self.age as f64).max(RATE));
        self.own += rate * (square - self.own);
        self.below += rate * (below * below - self.below);
        if self.is_settled() {
            self.excess = (self.excess + (square / self.own).min(MOST) - SLACK).max(0.0);
            if self.excess > ALARM {
                self.start_over(params);
            }
        }
        let is_leaf = matches!(self.role, Role::Leaf(_));
        if is_leaf || self.age.is_multiple_of(THINNING) {
            let forgetting = if is_leaf { params.forgetting } else { params.forgetting.powi(THINNING as i32) };
            self.plane.learn(row, error, weight, forgetting, params, gain);
        }
    }

    /// Errors have risen: what was learned of the weights, and where they differ, may be history.
    #[cold]
    fn start_over(&mut self, params: &Params) {
        self.excess = 0.0;
        self.own *= 4.0;
        self.plane.loosen(LOOSER, params);
        self.plane.mass = 0.0;
        if let Role::Leaf(grid) = &mut self.role {
            grid.begin(self.own.sqrt());
        }
    }

    /// The share that the tree below has in what is predicted here, if the child on the way down has seen `n`: smoothing
    /// (Quinlan 1992), and less the more the tree below has done worse than this node alone.
    #[inline]
    pub(super) fn trust_below(&self, n: f64) -> f64 {
        let grown = n / (n + SMOOTHING);
        if self.below <= self.own { grown } else { grown * 2.0 / (1.0 + (self.below / self.own).powi(SHARPNESS)) }
    }

    /// A sample's worth of squared error that the tree below saves, over all samples the tree has seen since.
    pub(super) fn saves(&self, clock: u64) -> f64 {
        (self.own - self.below) * self.traffic(clock)
    }

    /// The share of the tree's samples that come here.
    pub(super) fn traffic(&self, clock: u64) -> f64 {
        self.age as f64 / (clock - self.since).max(1) as f64
    }

    /// Whether a saved one may be part of a tree that has seen `clock` samples, with rows of `width`.
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
