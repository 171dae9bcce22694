//! Model trees: linear models at every node, split where the residuals of one say that two would do better.
//!
//! Reading order: [`Params`], this file (a forest of trees), `tree` (where samples go; growing and pruning), `node` (a node and
//! how far it is trusted), `plane` (its linear model), `grid` (what a leaf keeps to find splits), `split` (the search),
//! `columns` (which features a tree works on), `describe` and `restore`.
//!
//! Invariant: trees are bounded in depth and nodes, and each works on at most [`MOST_COLUMNS`](columns::MOST_COLUMNS)
//! features. The same samples and seed give the same bits.

mod columns;
mod grid;
mod node;
mod params;
mod plane;
mod split;
mod tree;

pub use params::{DEEPEST, MOST_NODES, MOST_TREES, Params};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use self::{columns::Relevance, tree::Tree};

/// The most numbers in a tree's row: a leading 1, and the features it works on.
const WIDEST: usize = 17;

/// Model trees on standardised features.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Forest {
    params: Params,
    trees: Vec<Tree>,
    relevance: Relevance,
    /// The first target, from which all others are reckoned; intercepts are then small where targets are far from 0.
    origin: Option<f64>,
}

impl Forest {
    pub fn new(params: Params) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
        let trees = (0..params.n_models).map(|_| Tree::new(&params, rng.random())).collect();
        Self { params, trees, relevance: Relevance::default(), origin: None }
    }

    pub fn predict(&self, z: &[f64]) -> f64 {
        let Some(origin) = self.origin else { return 0.0 };
        origin + self.trees.iter().map(|tree| tree.predict(z)).sum::<f64>() / self.trees.len() as f64
    }

    pub fn learn(&mut self, z: &[f64], y: f64, weight: f64) {
        let y = y - *self.origin.get_or_insert(y);
        self.relevance.learn(z, y);
        for tree in &mut self.trees {
            tree.learn(z, y, weight, &self.relevance, &self.params);
        }
    }

    pub fn heap_bytes(&self) -> usize {
        let trees = self.trees.iter().map(Tree::heap_bytes).sum::<usize>();
        size_of_val(self.trees.as_slice()) + trees + self.relevance.heap_bytes()
    }
    pub fn sizes(&self) -> String { self.trees.iter().map(|t| format!("{} ", t.nodes.iter().filter(|n| !matches!(n.role, node::Role::Free)).count())).collect() }
}
