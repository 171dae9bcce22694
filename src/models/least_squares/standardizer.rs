//! Rows as experts see them: standardised, clipped, complete, and never too long.
//!
//! Invariant: place `i` of a row means the same feature until [`Standardizer::learn`] says otherwise. Unknown and nominal
//! values are 0, the mean of a standardised feature, and so is whatever has never varied.

use serde::{Deserialize, Serialize};

use crate::models::{Features, NamedColumn, describe::column, steps::StandardScaler};

/// Places in a row, at most.
pub(in crate::models) const MOST_INPUTS: usize = 96;

/// Room for a row.
pub(in crate::models) type Room = [f64; MOST_INPUTS];

/// How many deviations from the mean count; what is further away counts as much.
const FURTHEST: f64 = 4.0;

/// Brings features to mean 0 and variance 1 by their running statistics (Welford 1962).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::models) struct Standardizer {
    scaler: StandardScaler,
    /// Columns seen so far.
    columns: usize,
}

impl Standardizer {
    /// The row of `x`, in `room`.
    pub(in crate::models) fn row<'a>(&self, x: Features<'_>, room: &'a mut Room) -> &'a [f64] {
        let n = self.columns.min(MOST_INPUTS);
        let row = &mut room[..n];
        for (i, z) in row.iter_mut().enumerate() {
            *z = self.scaler.standardised(x, i).clamp(-FURTHEST, FURTHEST);
        }
        row
    }

    /// Takes `x` into the statistics; the place that holds another feature from now on, if one does.
    pub(in crate::models) fn learn(&mut self, x: Features<'_>, _y: f64) -> Option<usize> {
        self.columns = self.columns.max(x.len());
        self.scaler.learn_one(x);
        None
    }

    /// The names of a row's places, and the way back to the features' units; `columns` are those of the features.
    pub(in crate::models) fn inputs(&self, columns: &[NamedColumn]) -> Vec<NamedColumn> {
        let mut inputs: Vec<NamedColumn> = (0..self.columns.min(MOST_INPUTS)).map(|i| column(columns, i)).collect();
        self.scaler.describe(&mut inputs);
        inputs
    }

    /// Bytes on the heap.
    pub(in crate::models) fn heap_bytes(&self) -> usize {
        self.scaler.heap_bytes()
    }
}
