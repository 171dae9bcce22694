//! The Hoeffding adaptive tree: a tree whose branches watch their own errors and are replaced after drift.
//!
//! Reading order: [`Params`], this file, `monitor` (the watcher of a branch).
//!
//! Invariant: each branch has its monitor, at the same index; alternates hang on branches of the main tree only, so
//! that a sample passes through at most one alternate for each branch on its way.

mod monitor;
mod params;

use serde::{Deserialize, Serialize};

pub use params::Params;

use self::monitor::{Monitor, Verdict};
use super::{HoeffdingTree, Node, Summary, core::Core, leaf::Leaf, nodes::Start};
use crate::{Description, Features, NamedColumn, Refused, Regressor, bootstrap::Bootstrap, compact_vec};
use thalweg_metrics::checked;

/// A Hoeffding adaptive tree for regression (Bifet and Gavaldà 2009, "Adaptive learning from evolving data streams"),
/// with River's parameters (`HoeffdingAdaptiveTreeRegressor` of 0.26.1).
///
/// Every branch watches the absolute error of predictions below it. If that rises, an alternate subtree starts to grow
/// beside the branch; once both have been watched for long enough, a z-test of their mean errors decides whether the
/// alternate takes the branch's place or goes.
///
/// It differs from River in three things. River judges by the last error alone whether a change is for the worse; here
/// the mean of the recent ones decides. In River, the first split of an alternate replaces its branch at once,
/// untested; here an alternate goes on growing until the test. And River predicts the mean of the leaf and all
/// alternates on the way; here the leaf predicts, or the uppermost alternate whose recent error is below its branch's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdaptiveTree {
    params: Params,
    pub(super) core: Core,
    monitors: Vec<Monitor>,
    bootstrap: Bootstrap,
    counts: Counts,
    /// Branches of the main tree on the way of a sample, with the arms taken.
    #[serde(skip)]
    path: Vec<(usize, usize)>,
}

checked!(AdaptiveTree { params, core, monitors, bootstrap, counts, path: skipped } then fits);

impl AdaptiveTree {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { core, monitors, .. } = self;
        if monitors.len() != core.nodes.branches.len() {
            return Err("an adaptive tree does not watch each of its branches");
        }
        core.fits(|branch| monitors[branch].start())
    }
}

/// Numbers of alternates of a tree since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Number of alternates begun.
    pub alternates: u64,
    /// Number of alternates that replaced their branch.
    pub switched: u64,
    /// Number of alternates dropped because they were worse.
    pub pruned: u64,
}

checked!(Counts { alternates, switched, pruned });

impl AdaptiveTree {
    /// Returns a tree that has learned nothing: a single leaf.
    pub fn new(params: Params) -> Self {
        Self {
            core: Core::new(params.tree.clone()),
            monitors: Vec::new(),
            bootstrap: Bootstrap::new(1.0, params.seed),
            counts: Counts::default(),
            path: Vec::new(),
            params,
        }
    }

    /// Returns the tree's parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Returns the numbers of alternates so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the size of the main tree, without alternates. Walks through all of it.
    pub fn summary(&self) -> Summary {
        self.core.summary()
    }

    /// Iterates over every node of the main tree, parents before their children and these in order.
    pub fn walk(&self) -> impl Iterator<Item = Node<'_>> {
        self.core.walk()
    }

    /// Updates each branch on the way with the absolute error of the prediction; begins alternates, judges them, and
    /// replaces branches by those that have won. Returns whether nodes were dropped, to which nothing leads now.
    fn watch(&mut self, error: f64) -> bool {
        let Self { params, core, monitors, counts, path, .. } = self;
        let mut dropped = false;
        for depth in 0..path.len() {
            let (branch, _) = path[depth];
            let monitor = &mut monitors[branch];
            match monitor.update(error, params) {
                Verdict::Stay => {}
                Verdict::Begin => {
                    let start = Start { at: core.nodes.next_leaf(), depth: depth as u32 };
                    compact_vec::push(&mut core.nodes.leaves, Leaf::new(start.depth, &params.tree));
                    monitor.begin(start, params.drift_detector);
                    counts.alternates += 1;
                }
                Verdict::Prune => {
                    monitor.alternate = None;
                    counts.pruned += 1;
                    dropped = true;
                }
                Verdict::Switch => {
                    let Some(alternate) = monitor.alternate.take() else { continue };
                    core.nodes.replace(&path[..depth], branch, alternate.start.at);
                    counts.switched += 1;
                    // The nodes below are gone, and their alternates with them.
                    path.truncate(depth);
                    return true;
                }
            }
        }
        dropped
    }

    /// Returns the weight times a random count. As in River and MOA, a count of 0 becomes 1.
    fn drawn(&mut self, weight: f64) -> f64 {
        if self.params.bootstrap_sampling { weight * f64::from(self.bootstrap.count().max(1)) } else { weight }
    }

    fn learn_alternates(&mut self, x: Features<'_>, y: f64, weight: f64) {
        for i in 0..self.path.len() {
            let branch = self.path[i].0;
            if self.monitors[branch].alternate.is_none() {
                continue;
            }
            let weight = self.drawn(weight);
            let Self { core, monitors, .. } = self;
            let Some(alternate) = &mut monitors[branch].alternate else { continue };
            let learned = core.learn(alternate.start, x, y, weight, &mut |_| {});
            alternate.update((y - learned.prediction).abs());
            if let Some(branch) = learned.root {
                alternate.start.at = branch;
            }
        }
    }

    /// Removes nodes to which nothing leads.
    #[cold]
    fn compact(&mut self) {
        let monitors = &self.monitors;
        let Some((stays, moved)) = self.core.nodes.compact(&|branch| monitors[branch].start()) else { return };
        let mut stays = stays.into_iter();
        self.monitors.retain(|_| stays.next() == Some(true));
        for alternate in self.monitors.iter_mut().filter_map(|monitor| monitor.alternate.as_mut()) {
            alternate.start.at = moved(alternate.start.at);
        }
    }
}

impl Regressor for AdaptiveTree {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        let mut better = None;
        let prediction = self.core.predict(self.core.nodes.root, x, |branch, _| {
            better = better.or_else(|| self.monitors[branch].better_alternate());
        });
        better.map_or(prediction, |alternate| self.core.predict(alternate, x, |_, _| {}))
    }

    /// Refuses the same samples as [`super::HoeffdingTree`].
    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        let Self { core, path, .. } = self;
        path.clear();
        HoeffdingTree::accepts(y, weight)?;
        let prediction = core.predict(core.nodes.root, x, |branch, arm| path.push((branch, arm)));
        if weight == 0.0 {
            return Ok(());
        }
        let dropped = self.watch((y - prediction).abs());
        self.learn_alternates(x, y, weight);
        let weight = self.drawn(weight);
        if self.core.next_look == 0 {
            self.core.besides = self.monitors.iter().map(Monitor::memory_bytes).sum();
        }
        self.core.learn_in_main(x, y, weight, &mut |_| {});
        let Self { core, monitors, params, .. } = self;
        while monitors.len() < core.nodes.branches.len() {
            compact_vec::push(monitors, Monitor::new(params.drift_detector));
        }
        if dropped {
            self.compact();
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        let monitors = self.monitors.iter().map(Monitor::memory_bytes).sum::<usize>();
        size_of::<Self>() + self.core.heap_bytes() + monitors
    }

    fn describe(&self, columns: &[NamedColumn]) -> Description {
        // Only the main tree, without alternates.
        Description::Tree(self.core.describe(columns))
    }

    fn weighs_columns(&self) -> bool {
        true
    }
}
