//! The nodes of a tree: branches, compact because every sample walks through them, and leaves, which are large.
//!
//! Invariant: from `root` (and from the alternates of an adaptive tree) every branch and every leaf is reached exactly
//! once.
//! `Arm::weight` is the weight of the leaves below the arm, kept up to date so that a sample without the split feature
//! finds the heavier side at once.

use serde::{Deserialize, Serialize};

use crate::{
    Features,
    compact_vec::{self, bytes_of},
};
use thalweg_metrics::statistics::Var;

use super::{leaf::Leaf, params::Params, split::Parts};
use thalweg_metrics::checked;

/// A branch (its index) or a leaf (its index with the top bit set).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeId(u32);

checked!(NodeId(place));

/// The node that a [`NodeId`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Branch(usize),
    Leaf(usize),
}

const LEAF_BIT: u32 = 1 << 31;

impl NodeId {
    pub(super) fn leaf(index: usize) -> Self {
        Self(index as u32 | LEAF_BIT)
    }

    pub(super) fn branch(index: usize) -> Self {
        Self(index as u32)
    }

    #[inline]
    pub(super) fn place(self) -> Place {
        if self.0 & LEAF_BIT == 0 { Place::Branch(self.0 as usize) } else { Place::Leaf((self.0 & !LEAF_BIT) as usize) }
    }
}

/// The way from a branch to one of its children.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Arm {
    pub(super) child: NodeId,
    pub(super) weight: f64,
}

checked!(Arm { child, weight });

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Branch {
    /// Values ≤ `threshold` take the first arm.
    Threshold { feature: u32, threshold: f64, arms: [Arm; 2] },
    /// The category takes the first arm, others the second.
    Category { feature: u32, category: f64, arms: [Arm; 2] },
    /// An arm per category, ascending.
    Categories { feature: u32, arms: Vec<(f64, Arm)> },
}

checked!(enum Branch {
    Threshold { feature, threshold, arms },
    Category { feature, category, arms },
    Categories { feature, arms },
} then fits);

impl Branch {
    fn fits(&self) -> Result<(), &'static str> {
        match self {
            Self::Categories { arms, .. } if arms.is_empty() || !arms.is_sorted_by(|a, b| a.0 < b.0) => {
                Err("the categories of a branch are none, or do not ascend")
            }
            Self::Threshold { .. } | Self::Category { .. } | Self::Categories { .. } => Ok(()),
        }
    }
}

/// The result of a branch's test of a sample.
enum Route {
    Arm(usize),
    /// A category that has no arm yet, with the index that its arm would have.
    New(usize, f64),
    /// The sample does not know the feature.
    Unknown,
}

impl Branch {
    #[inline]
    fn route(&self, x: Features<'_>) -> Route {
        let value = |feature: u32| x.values().get(feature as usize).copied().unwrap_or(f64::NAN);
        match self {
            Branch::Threshold { feature, threshold, .. } => {
                let value = value(*feature);
                if value.is_nan() { Route::Unknown } else { Route::Arm(usize::from(value > *threshold)) }
            }
            Branch::Category { feature, category, .. } => {
                let value = value(*feature);
                if value.is_nan() { Route::Unknown } else { Route::Arm(usize::from(value != *category)) }
            }
            Branch::Categories { feature, arms } => {
                let value = value(*feature);
                if value.is_nan() {
                    return Route::Unknown;
                }
                match arms.binary_search_by(|(category, _)| category.total_cmp(&value)) {
                    Ok(at) => Route::Arm(at),
                    Err(at) => Route::New(at, value),
                }
            }
        }
    }

    pub(super) fn feature(&self) -> usize {
        match self {
            Branch::Threshold { feature, .. }
            | Branch::Category { feature, .. }
            | Branch::Categories { feature, .. } => *feature as usize,
        }
    }

    pub(super) fn arms(&self) -> impl DoubleEndedIterator<Item = &Arm> {
        let (two, many): (&[Arm], &[(f64, Arm)]) = match self {
            Branch::Threshold { arms, .. } | Branch::Category { arms, .. } => (arms, &[]),
            Branch::Categories { arms, .. } => (&[], arms),
        };
        two.iter().chain(many.iter().map(|(_, arm)| arm))
    }

    fn arms_mut(&mut self) -> impl Iterator<Item = &mut Arm> {
        let (two, many): (&mut [Arm], &mut [(f64, Arm)]) = match self {
            Branch::Threshold { arms, .. } | Branch::Category { arms, .. } => (arms, &mut []),
            Branch::Categories { arms, .. } => (&mut [], arms),
        };
        two.iter_mut().chain(many.iter_mut().map(|(_, arm)| arm))
    }

    #[inline]
    fn arm(&mut self, at: usize) -> &mut Arm {
        match self {
            Branch::Threshold { arms, .. } | Branch::Category { arms, .. } => &mut arms[at],
            Branch::Categories { arms, .. } => &mut arms[at].1,
        }
    }

    #[inline]
    fn child(&self, at: usize) -> NodeId {
        match self {
            Branch::Threshold { arms, .. } | Branch::Category { arms, .. } => arms[at].child,
            Branch::Categories { arms, .. } => arms[at].1.child,
        }
    }

    /// Returns the arm that predicts for `x`: the heaviest if the feature is unknown or its category has no arm.
    #[inline]
    fn arm_for(&self, x: Features<'_>) -> usize {
        match self.route(x) {
            Route::Arm(arm) => arm,
            Route::New(..) | Route::Unknown => self.heaviest(),
        }
    }

    /// Returns the arm with most weight, the first among equals.
    fn heaviest(&self) -> usize {
        let mut best = (0, f64::NEG_INFINITY);
        for (at, arm) in self.arms().enumerate() {
            if arm.weight > best.1 {
                best = (at, arm.weight);
            }
        }
        best.0
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Nodes {
    pub(super) root: NodeId,
    pub(super) branches: Vec<Branch>,
    pub(super) leaves: Vec<Leaf>,
}

checked!(Nodes { root, branches, leaves });

/// The start of a walk through the tree: its root, or the root of an alternate subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) at: NodeId,
    /// Level of the node; the tree's root has 0.
    pub(super) depth: u32,
}

/// The leaf that a sample belongs to, and the last step to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) leaf: usize,
    /// Branch and arm that lead to the leaf; `None` if the walk began at it.
    pub(super) from: Option<(usize, usize)>,
    /// True if every test on the way knew its feature and its category. Other samples cause no attempt to split.
    pub(super) direct: bool,
}

checked!(Start { at, depth } then fits);

impl Start {
    fn fits(&self) -> Result<(), &'static str> {
        if self.depth <= Leaf::MAX_DEPTH { Ok(()) } else { Err("an alternate is deeper than can be") }
    }
}

impl Nodes {
    /// Returns a single leaf.
    pub(super) fn new(params: &Params) -> Self {
        Self { root: NodeId::leaf(0), branches: Vec::new(), leaves: vec![Leaf::new(0, params)] }
    }

    /// Returns the root as the start of a walk.
    pub(super) fn start(&self) -> Start {
        Start { at: self.root, depth: 0 }
    }

    /// Returns the leaf that predicts for `x` from `at` on, calling `pass` with the branches on the way and the arms
    /// taken.
    #[inline]
    pub(super) fn find(&self, mut at: NodeId, x: Features<'_>, mut pass: impl FnMut(usize, usize)) -> &Leaf {
        loop {
            match at.place() {
                Place::Leaf(leaf) => return &self.leaves[leaf],
                Place::Branch(index) => {
                    let branch = &self.branches[index];
                    let arm = branch.arm_for(x);
                    pass(index, arm);
                    at = branch.child(arm);
                }
            }
        }
    }

    /// Returns the next node of a walk from a branch; `None` from a leaf.
    #[inline]
    pub(super) fn next(&self, at: NodeId, x: Features<'_>) -> Option<NodeId> {
        let Place::Branch(index) = at.place() else { return None };
        let branch = &self.branches[index];
        Some(branch.child(branch.arm_for(x)))
    }

    /// Returns the leaf that learns from `x`, and adds `weight` along the way. A category without an arm gets one, with
    /// a new leaf.
    #[inline]
    pub(super) fn descend(&mut self, start: Start, x: Features<'_>, weight: f64, params: &Params) -> Arrival {
        let mut arrival = Arrival { leaf: 0, from: None, direct: true };
        let Start { mut at, mut depth } = start;
        loop {
            match at.place() {
                Place::Leaf(leaf) => return Arrival { leaf, ..arrival },
                Place::Branch(index) => {
                    depth += 1;
                    let branch = &mut self.branches[index];
                    let arm = match branch.route(x) {
                        Route::Arm(arm) => arm,
                        Route::Unknown => {
                            arrival.direct = false;
                            branch.heaviest()
                        }
                        Route::New(arm, category) => {
                            arrival.direct = false;
                            if let Branch::Categories { arms, .. } = branch {
                                let child = NodeId::leaf(self.leaves.len());
                                compact_vec::insert(arms, arm, (category, Arm { child, weight: 0.0 }));
                                compact_vec::push(&mut self.leaves, Leaf::new(depth, params));
                            }
                            arm
                        }
                    };
                    let taken = branch.arm(arm);
                    taken.weight += weight;
                    at = taken.child;
                    arrival.from = Some((index, arm));
                }
            }
        }
    }

    /// Returns the id that the next leaf will have.
    pub(super) fn next_leaf(&self) -> NodeId {
        NodeId::leaf(self.leaves.len())
    }

    /// Returns the weight of the samples that a subtree has seen.
    fn weight(&self, at: NodeId) -> f64 {
        match at.place() {
            Place::Branch(index) => self.branches[index].arms().map(|arm| arm.weight).sum(),
            Place::Leaf(index) => self.leaves[index].target.n,
        }
    }

    /// Replaces a branch, to which `path` leads from the root, by another subtree. Nothing leads to the branch then.
    pub(super) fn replace(&mut self, path: &[(usize, usize)], branch: usize, by: NodeId) {
        let more = self.weight(by) - self.weight(NodeId::branch(branch));
        for &(above, arm) in path {
            self.branches[above].arm(arm).weight += more;
        }
        self.set(path.last().copied(), by);
    }

    /// Makes `to` the child at the end of `link`, or the root if there is no link.
    pub(super) fn set(&mut self, link: Option<(usize, usize)>, to: NodeId) {
        match link {
            Some((branch, arm)) => self.branches[branch].arm(arm).child = to,
            None => self.root = to,
        }
    }

    /// Replaces a leaf by a branch with a leaf per part, and returns the branch. If the walk began at the leaf, nothing
    /// leads to the branch yet.
    pub(super) fn split(
        &mut self,
        start: Start,
        arrival: Arrival,
        x: Features<'_>,
        feature: usize,
        parts: &Parts,
    ) -> NodeId {
        let parent = &self.leaves[arrival.leaf];
        let before = parent.target.n;
        let children: Vec<Leaf> = parts.targets().map(|target| parent.child(*target)).collect();
        // The first child takes its parent's place, the others come last.
        let last = self.leaves.len();
        let arm = |at: usize, target: &Var| {
            let child = NodeId::leaf(if at == 0 { arrival.leaf } else { last + at - 1 });
            Arm { child, weight: target.n }
        };
        let two = |targets: &[Var; 2]| [arm(0, &targets[0]), arm(1, &targets[1])];
        let feature = feature as u32;
        let branch = match parts {
            Parts::Threshold { threshold, targets } => {
                Branch::Threshold { feature, threshold: *threshold, arms: two(targets) }
            }
            Parts::Category { category, targets } => {
                Branch::Category { feature, category: *category, arms: two(targets) }
            }
            Parts::Categories(parts) => {
                let arms = parts.iter().enumerate().map(|(at, (category, target))| (*category, arm(at, target)));
                Branch::Categories { feature, arms: arms.collect() }
            }
        };
        let lost = before - branch.arms().map(|arm| arm.weight).sum::<f64>();
        if lost != 0.0 {
            self.forget(start.at, x, lost);
        }
        let mut children = children.into_iter();
        self.leaves.splice(arrival.leaf..=arrival.leaf, children.next());
        children.for_each(|child| compact_vec::push(&mut self.leaves, child));
        let id = NodeId::branch(self.branches.len());
        compact_vec::push(&mut self.branches, branch);
        if arrival.from.is_some() {
            self.set(arrival.from, id);
        }
        id
    }

    /// Subtracts weight along the way of a sample that every test knows: a branch per category has no arm for the
    /// samples that came without one.
    fn forget(&mut self, mut at: NodeId, x: Features<'_>, weight: f64) {
        while let Place::Branch(index) = at.place() {
            let branch = &mut self.branches[index];
            let Route::Arm(arm) = branch.route(x) else { return };
            let taken = branch.arm(arm);
            taken.weight -= weight;
            at = taken.child;
        }
    }

    /// Returns for each branch and each leaf whether it is below the root, or below a subtree that `also` names for a
    /// branch;
    /// `None` if a node is reached twice, or a leaf is on another level than it says.
    pub(super) fn reached(&self, also: impl Fn(usize) -> Option<Start>) -> Option<[Vec<bool>; 2]> {
        let mut branches = vec![false; self.branches.len()];
        let mut leaves = vec![false; self.leaves.len()];
        let mut open = vec![self.start()];
        while let Some(Start { at, depth }) = open.pop() {
            let seen = match at.place() {
                Place::Branch(index) => branches.get_mut(index),
                Place::Leaf(index) => leaves.get_mut(index),
            };
            match seen {
                Some(seen) if !*seen => *seen = true,
                _ => return None,
            }
            match at.place() {
                Place::Branch(index) => {
                    let below = self.branches[index].arms().map(|arm| Start { at: arm.child, depth: depth + 1 });
                    open.extend(below.chain(also(index)));
                }
                Place::Leaf(index) if self.leaves[index].depth == depth => {}
                Place::Leaf(_) => return None,
            }
        }
        Some([branches, leaves])
    }

    /// Drops every node that is neither below the root nor below the subtree that `also` names for a branch that stays.
    /// Returns whether each branch has stayed, and a map from old ids of nodes to new ones.
    pub(super) fn compact(
        &mut self,
        also: &dyn Fn(usize) -> Option<Start>,
    ) -> Option<(Vec<bool>, impl Fn(NodeId) -> NodeId + use<>)> {
        let [branches, leaves] = self.reached(also)?;
        let places = |kept: &[bool]| -> Vec<usize> {
            let before = kept.iter().scan(0, |next, kept| Some(std::mem::replace(next, *next + usize::from(*kept))));
            before.collect()
        };
        let (branch_places, leaf_places) = (places(&branches), places(&leaves));
        let moved = move |at: NodeId| match at.place() {
            Place::Branch(index) => NodeId::branch(branch_places[index]),
            Place::Leaf(index) => NodeId::leaf(leaf_places[index]),
        };
        let (mut stays, mut leaf_stays) = (branches.iter(), leaves.iter());
        self.branches.retain(|_| stays.next() == Some(&true));
        self.leaves.retain(|_| leaf_stays.next() == Some(&true));
        self.branches.shrink_to_fit();
        self.leaves.shrink_to_fit();
        self.root = moved(self.root);
        for branch in &mut self.branches {
            branch.arms_mut().for_each(|arm| arm.child = moved(arm.child));
        }
        Some((branches, moved))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let arms = self.branches.iter().map(|branch| match branch {
            Branch::Categories { arms, .. } => bytes_of(arms),
            Branch::Threshold { .. } | Branch::Category { .. } => 0,
        });
        let leaves = self.leaves.iter().map(Leaf::heap_bytes);
        bytes_of(&self.branches) + bytes_of(&self.leaves) + arms.sum::<usize>() + leaves.sum::<usize>()
    }
}
