//! One model tree: it routes samples, grows and shrinks.
//!
//! Invariant: node 0 is the root; the nodes that are not free form one tree, no deeper and no larger than the
//! parameters allow. Nodes keep their memory once made, so a tree that has been at its largest allocates nothing any
//! more.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize, Serializer};

use super::{
    Params,
    columns::MAX_COLUMNS,
    grid::Grid,
    node::{ADDED_VARIANCE, Branch, Node, Role},
    params::MAX_DEPTH,
    plane::Plane,
    split::{self, Split},
};
use crate::compact_vec;

/// Samples that a branch has to see before it may be pruned.
const MIN_PRUNE_SAMPLES: u64 = 300;

/// Samples the tree has to see after a branch was made before it may be cut for another.
const MIN_REPLACE_SAMPLES: u64 = 1000;

/// Factor by which another split has to save more to replace a branch.
const REPLACE_FACTOR: f64 = 2.0;

/// Share of the samples on its side that a new leaf remembers: another model has learned them.
const INHERITED_SHARE: f64 = 0.5;

/// A tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// Grids that no leaf uses. Their values do not matter, so only their number is saved.
    #[serde(serialize_with = "serialize_len", deserialize_with = "super::restore::spare_grids")]
    pub(super) spare: Vec<Grid>,
    /// Number of samples seen.
    pub(super) clock: u64,
    /// Shift of the edges of its bins, 0 to 1.
    pub(super) shift: f64,
    pub(super) rng: ChaCha8Rng,
}

fn serialize_len<S: Serializer>(grids: &[Grid], to: S) -> Result<S::Ok, S::Error> {
    grids.len().serialize(to)
}

/// Nodes from the root to a leaf, with the predictions of each alone and of the tree from there down.
pub(super) struct Path {
    nodes: [u16; MAX_DEPTH as usize + 1],
    alone: [f64; MAX_DEPTH as usize + 1],
    below: [f64; MAX_DEPTH as usize + 1],
    leaf: usize,
}

impl Tree {
    /// Returns a tree that has learned nothing.
    pub(super) fn new(params: &Params, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shift = rng.random();
        let root = Node::new(Plane::new(1, params), Grid::new(1));
        Self { nodes: vec![root], spare: Vec::new(), clock: 0, shift, rng }
    }

    /// Predicts for a row with its leading 1.
    pub(super) fn predict(&self, row: &[f64]) -> f64 {
        self.walk(row).below[0]
    }

    fn walk(&self, row: &[f64]) -> Path {
        let zeros = || [0.0; MAX_DEPTH as usize + 1];
        let mut path = Path { nodes: [0; MAX_DEPTH as usize + 1], alone: zeros(), below: zeros(), leaf: 0 };
        let mut at = 0;
        loop {
            let node = &self.nodes[at];
            path.nodes[path.leaf] = at as u16;
            path.alone[path.leaf] = node.plane.predict(row);
            let Some(branch) = node.branch() else { break };
            at = branch.child(row);
            path.leaf += 1;
        }
        let (mut below, mut n) = (path.alone[path.leaf], self.nodes[at].n);
        path.below[path.leaf] = below;
        for i in (0..path.leaf).rev() {
            let node = &self.nodes[usize::from(path.nodes[i])];
            let alone = path.alone[i];
            below = alone + node.trust_below(n) * (below - alone);
            path.below[i] = below;
            n = node.n;
        }
        path
    }

    /// Learns a sample: a row with its leading 1, and the target. The weight is over 0. `gain` is a buffer.
    pub(super) fn learn(&mut self, row: &[f64], y: f64, weight: f64, params: &Params, gain: &mut Vec<f64>) {
        self.clock += 1;
        let path = self.walk(row);
        for i in 0..=path.leaf {
            let node = &mut self.nodes[usize::from(path.nodes[i])];
            let errors = [path.alone[i], path.below[i]].map(|prediction| y - prediction);
            node.learn(row, errors, weight, params, gain);
        }
        if self.prune(&path) {
            return;
        }
        let at = usize::from(path.nodes[path.leaf]);
        let node = &mut self.nodes[at];
        let (reliable, rmse) = (node.has_reliable_error(), node.own.sqrt());
        let Role::Leaf(grid) = &mut node.role else { return };
        if grid.scale <= 0.0 && reliable {
            grid.begin(rmse);
        }
        grid.add(row, y - path.alone[path.leaf], weight, self.shift);
        if grid.waiting >= params.grace_period {
            grid.waiting = 0;
            self.attempt(at, params, gain);
        }
    }

    /// Makes a leaf of the uppermost branch on the way that predicts better alone than with the tree below it. Returns
    /// whether there is one.
    fn prune(&mut self, path: &Path) -> bool {
        let branches = path.nodes[..path.leaf].iter().map(|at| usize::from(*at));
        let worse = |at: &usize| {
            let node = &self.nodes[*at];
            node.age > MIN_PRUNE_SAMPLES && node.own < node.below
        };
        let found = branches.into_iter().find(worse);
        found.inspect(|at| self.cut(*at)).is_some()
    }

    /// Makes a leaf of a branch.
    fn cut(&mut self, at: usize) {
        let clock = self.clock;
        self.free_below(at);
        let mut grid = self.spare.pop().unwrap_or_else(|| Grid::new(self.width()));
        let node = &mut self.nodes[at];
        grid.begin(node.own.sqrt());
        node.take(Role::Leaf(grid), clock);
    }

    /// Frees all nodes below a branch.
    fn free_below(&mut self, at: usize) {
        let Some(Branch { children, .. }) = self.nodes[at].branch().copied() else { return };
        for child in children.map(usize::from) {
            self.free_below(child);
            if let Role::Leaf(grid) = std::mem::replace(&mut self.nodes[child].role, Role::Free) {
                compact_vec::push(&mut self.spare, grid);
            }
        }
    }

    /// Splits a leaf, if its depth allows and it gains enough.
    fn attempt(&mut self, at: usize, params: &Params, buffer: &mut Vec<f64>) {
        let Self { nodes, rng, .. } = self;
        let Node { role: Role::Leaf(grid), plane, depth, .. } = &nodes[at] else { return };
        if *depth >= params.max_depth {
            return;
        }
        let mut features: [u16; MAX_COLUMNS] = std::array::from_fn(|i| i as u16);
        let all = plane.weights.len() - 1;
        let looked_at = params.max_features.of(all).min(all);
        // The first steps of a Fisher-Yates shuffle.
        for i in 0..looked_at {
            features.swap(i, rng.random_range(i..all));
        }
        let found = split::search(grid, plane, &features[..looked_at], self.shift, buffer);
        if let Some(found) = found.filter(|found| self.ensure_capacity(at, found.gain, params)) {
            self.divide(at, &found, params);
        }
    }

    /// Returns whether two more nodes may be made, if splitting a leaf saves `gain` of its squared error. In a full
    /// tree a branch that saves much less is cut for them.
    fn ensure_capacity(&mut self, leaf: usize, gain: f64, params: &Params) -> bool {
        let used = self.nodes.iter().filter(|node| !matches!(node.role, Role::Free)).count();
        if used + 2 <= params.max_nodes as usize {
            return true;
        }
        let is_leaf = |at: usize| at != leaf && matches!(self.nodes[at].role, Role::Leaf(_));
        let is_replaceable = |node: &Node| {
            let lowest = node.branch().is_some_and(|branch| branch.children.iter().all(|at| is_leaf(usize::from(*at))));
            lowest && self.clock - node.since > MIN_REPLACE_SAMPLES
        };
        let branches = self.nodes.iter().enumerate().filter(|(_, node)| is_replaceable(node));
        let ranked = branches.map(|(at, node)| (at, node.saves(self.clock)));
        let least = ranked.min_by(|a, b| a.1.total_cmp(&b.1));
        match least {
            Some((at, saves)) if REPLACE_FACTOR * saves < gain * self.nodes[leaf].traffic(self.clock) => {
                self.cut(at);
                true
            }
            _ => false,
        }
    }

    fn divide(&mut self, at: usize, split: &Split, params: &Params) {
        let (clock, rmse) = (self.clock, self.nodes[at].own.sqrt());
        let children = [self.free_node(params), self.free_node(params)];
        let branch = Branch {
            feature: split.feature as u16,
            threshold: split.threshold,
            children: children.map(|child| child as u16),
        };
        if let Role::Leaf(grid) = self.nodes[at].take(Role::Branch(branch), clock) {
            compact_vec::push(&mut self.spare, grid);
        }
        for ((child, step), n) in children.into_iter().zip(&split.steps).zip(split.weights) {
            let mut grid = self.spare.pop().unwrap_or_else(|| Grid::new(self.width()));
            grid.begin(rmse);
            let mut plane = std::mem::replace(&mut self.nodes[child].plane, Plane::new(0, params));
            let parent = &self.nodes[at];
            plane.inherit(&parent.plane, step, INHERITED_SHARE * n, ADDED_VARIANCE, params);
            self.nodes[child] = parent.child(plane, grid, clock);
        }
    }

    /// Returns the index of a free node, marked as used.
    fn free_node(&mut self, params: &Params) -> usize {
        let width = self.width();
        let free = self.nodes.iter().position(|node| matches!(node.role, Role::Free));
        let at = free.unwrap_or_else(|| {
            compact_vec::push(&mut self.nodes, Node::new(Plane::new(width, params), Grid::empty()));
            self.nodes.len() - 1
        });
        self.nodes[at].role = Role::Leaf(Grid::empty());
        at
    }

    /// Returns the width of a row.
    pub(super) fn width(&self) -> usize {
        self.nodes[0].plane.weights.len()
    }

    /// Extends to rows of `width`.
    pub(super) fn widen(&mut self, width: usize, params: &Params) {
        self.spare.clear();
        for node in &mut self.nodes {
            node.plane.widen(width, params);
            if let Role::Leaf(grid) = &mut node.role {
                *grid = Grid { scale: grid.scale, ..Grid::new(width) };
            }
        }
    }

    /// Forgets the feature at a position of rows, which is another one from now on.
    pub(super) fn renew(&mut self, position: usize, params: &Params) {
        let width = self.width();
        for at in 0..self.nodes.len() {
            if self.nodes[at].branch().is_some_and(|branch| usize::from(branch.feature) == position) {
                self.cut(at);
            }
        }
        for node in &mut self.nodes {
            node.plane.forget(position + 1, params);
            if let Role::Leaf(grid) = &mut node.role {
                grid.forget(position, width);
            }
        }
    }

    /// Returns the bytes it takes beside the struct itself.
    pub(super) fn heap_bytes(&self) -> usize {
        let nodes = self.nodes.iter().map(Node::heap_bytes).sum::<usize>();
        let spare = self.spare.iter().map(Grid::heap_bytes).sum::<usize>();
        compact_vec::bytes_of(&self.nodes) + nodes + compact_vec::bytes_of(&self.spare) + spare
    }
}
