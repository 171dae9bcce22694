//! Model trees: trees with a linear model at every node, split where its residuals show that two would do better.
//!
//! Reading order: [`Params`], this file (a forest of trees), `tree` (the walk to a leaf; growing and pruning), `node`
//! (a node and its smoothing), `plane` (its linear model), `grid` (a leaf's sums to find splits), `split` (the search),
//! `columns` (the features a tree works on), `describe` and `restore`.
//!
//! Invariant: trees are bounded in depth and nodes, and each works on at most `MAX_COLUMNS` features. The same samples
//! and seed give the same bits.

mod columns;
mod describe;
mod grid;
mod node;
mod params;
mod plane;
mod restore;
mod split;
mod tree;

pub use params::{MAX_DEPTH, MAX_NODES, MAX_TREES, Params};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use self::{columns::Columns, tree::Tree};
use super::{
    Description, NamedColumn, Refused,
    least_squares::{Expert, Standalone},
};

/// Largest width of a tree's row: a leading 1, and the features it works on.
const MAX_ROW_WIDTH: usize = 17;

/// Model trees for regression (Potts and Sammut 2005, "Incremental learning of linear model trees"): trees with a
/// linear model in every node, which the nodes below it begin with. A leaf splits where its model's scores differ on
/// both sides of a threshold (Zeileis, Hothorn and Hornik 2008, "Model-based recursive partitioning"), and its children
/// begin with the weights that this difference suggests. Predictions are smoothed along the path (Quinlan 1992,
/// "Learning with continuous classes"), the more towards a node the lower its error is than that of the tree below it.
/// A node with a lower error than the tree below it is pruned, and so trees follow drift, as do FIMT-DD's (Ikonomovska,
/// Gama and Džeroski 2011, "Learning model trees from evolving data streams"). Several trees differ in the edges of
/// their bins and in the features that they look at; their mean is predicted.
pub type ModelTree = Standalone<Forest>;

impl ModelTree {
    /// Returns trees that have learned nothing.
    pub fn new(params: Params) -> Self {
        Self::around(Forest::new(params))
    }
}

/// See [`ModelTree`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Forest {
    params: Params,
    columns: Columns,
    trees: Vec<Tree>,
    /// First target, subtracted from all others, so that intercepts are small even if targets are far from 0.
    origin: Option<f64>,
    /// Buffer for gains.
    #[serde(skip)]
    gain: Vec<f64>,
}

/// Largest sample weight that is learned.
const MAX_WEIGHT: f64 = 1e15;

impl Forest {
    /// Returns trees that have learned nothing.
    pub(super) fn new(params: Params) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
        let trees = (0..params.n_models).map(|_| Tree::new(&params, rng.random())).collect();
        Self { params, columns: Columns::default(), trees, origin: None, gain: Vec::new() }
    }
}

impl Expert for Forest {
    fn predict(&self, z: &[f64]) -> f64 {
        let Some(origin) = self.origin else { return 0.0 };
        let mut row = [0.0; MAX_ROW_WIDTH];
        let row = self.columns.fill(z, &mut row);
        let sum = self.trees.iter().map(|tree| tree.predict(row)).sum::<f64>();
        origin + sum / self.trees.len() as f64
    }

    /// Refuses weights beyond 1e15.
    fn learn(&mut self, z: &[f64], y: f64, weight: f64) -> Result<(), Refused> {
        if weight > MAX_WEIGHT {
            return Err(Refused);
        }
        let Self { params, columns, trees, origin, gain } = self;
        let y = y - *origin.get_or_insert(y);
        if columns.extend_to(z.len()) {
            trees.iter_mut().for_each(|tree| tree.widen(columns.len() + 1, params));
        }
        if let Some(position) = columns.choose(z, y) {
            trees.iter_mut().for_each(|tree| tree.renew(position, params));
        }
        let mut row = [0.0; MAX_ROW_WIDTH];
        let row = columns.fill(z, &mut row);
        trees.iter_mut().for_each(|tree| tree.learn(row, y, weight, params, gain));
        Ok(())
    }

    fn renew(&mut self, i: usize) {
        if let Some(position) = self.columns.renew(i) {
            self.trees.iter_mut().for_each(|tree| tree.renew(position, &self.params));
        }
    }

    fn describe(&self, inputs: &[NamedColumn]) -> Description {
        Description::Forest(self.described(inputs))
    }

    fn heap_bytes(&self) -> usize {
        let trees = self.trees.iter().map(Tree::heap_bytes).sum::<usize>();
        let gain = (self.columns.len() + 1) * size_of::<f64>();
        size_of_val(self.trees.as_slice()) + trees + self.columns.heap_bytes() + gain
    }
}
