//! A leaf's summary of its samples to find splits: sums of its linear model's scores, by feature and bin.
//!
//! A score is the residual times the row: the gradient of the squared error in the weights. If the sums of the scores
//! on two sides of a threshold differ by more than chance, the two sides need different weights, be it intercept or
//! slopes.
//!
//! Invariant: residuals are in units of the RMSE when the grid was begun, and capped at [`MAX_RESIDUAL`], so single
//! precision is enough for targets of any scale, and an outlier has little effect.

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

/// Number of bins per feature.
pub(super) const BINS: usize = 16;

/// Standardised features are binned from −`BIN_SPAN` to `BIN_SPAN`; values beyond count in the outermost bins.
const BIN_SPAN: f64 = 2.0;

/// Largest residual that counts, in units of the grid's scale.
const MAX_RESIDUAL: f64 = 6.0;

/// The sums of a leaf.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Grid {
    /// Weight of the samples in it.
    pub(super) n: f64,
    /// RMSE in the target's unit when the grid was begun; 0 before there was one.
    pub(super) scale: f64,
    /// Number of samples since the last attempt to split.
    pub(super) waiting: u32,
    /// Cells by feature, by bin: weight, squared residuals, then the scores, that of the intercept first.
    pub(super) cells: Vec<f32>,
}

checked!(Grid { n, scale, waiting, cells });

/// Number of values in a cell before its scores.
pub(super) const CELL_HEADER_LEN: usize = 2;

impl Grid {
    /// Returns an empty grid for rows of `width` numbers, the leading 1 included.
    pub(super) fn new(width: usize) -> Self {
        Self { n: 0.0, scale: 0.0, waiting: 0, cells: vec![0.0; Self::size(width)] }
    }

    /// Returns a grid without cells.
    pub(super) fn empty() -> Self {
        Self { n: 0.0, scale: 0.0, waiting: 0, cells: Vec::new() }
    }

    /// Returns the number of values in the cells of a grid for rows of `width`.
    pub(super) fn size(width: usize) -> usize {
        (width - 1) * BINS * (width + CELL_HEADER_LEN)
    }

    /// Starts anew with residuals in units of `scale`.
    pub(super) fn begin(&mut self, scale: f64) {
        self.cells.fill(0.0);
        (self.n, self.scale, self.waiting) = (0.0, scale, 0);
    }

    /// Adds a sample, or does nothing before there is a scale. `shift` is that of [`bin_of`].
    #[inline]
    pub(super) fn add(&mut self, row: &[f64], residual: f64, weight: f64, shift: f64) {
        if self.scale <= 0.0 {
            return;
        }
        let residual = (residual / self.scale).clamp(-MAX_RESIDUAL, MAX_RESIDUAL);
        let stride = row.len() + CELL_HEADER_LEN;
        let weight_f32 = weight as f32;
        let square = (weight * residual * residual) as f32;
        let residual = (weight * residual) as f32;
        for (lines, z) in self.cells.chunks_exact_mut(BINS * stride).zip(&row[1..]) {
            let start = bin_of(*z, shift) * stride;
            let cell = &mut lines[start..start + stride];
            cell[0] += weight_f32;
            cell[1] += square;
            for (sum, x) in cell[CELL_HEADER_LEN..].iter_mut().zip(row) {
                *sum += residual * *x as f32;
            }
        }
        self.n += weight;
        self.waiting += 1;
    }

    /// Forgets all sums with the feature at a position of rows of `width`.
    pub(super) fn forget(&mut self, feature: usize, width: usize) {
        let stride = width + CELL_HEADER_LEN;
        self.cells.iter_mut().skip(CELL_HEADER_LEN + 1 + feature).step_by(stride).for_each(|sum| *sum = 0.0);
        self.cells[feature * BINS * stride..][..BINS * stride].fill(0.0);
    }

    /// Returns whether a restored grid is valid for rows of `width`.
    pub(super) fn fits(&self, width: usize) -> bool {
        self.cells.len() == Self::size(width) && self.n >= 0.0 && self.scale >= 0.0
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.cells.as_slice())
    }
}

/// Returns the bin of a standardised value, with all edges moved down by `shift` (0 to 1) of a bin's width.
#[inline]
fn bin_of(z: f64, shift: f64) -> usize {
    let place = (z + BIN_SPAN) * ((BINS - 1) as f64 / (2.0 * BIN_SPAN)) + shift;
    // The upper edge belongs to a bin, as it does to the left side of a split.
    (place.ceil() as usize).saturating_sub(1).min(BINS - 1)
}

/// Returns the upper edge of a bin.
pub(super) fn upper_edge(bin: usize, shift: f64) -> f64 {
    ((bin + 1) as f64 - shift) * (2.0 * BIN_SPAN / (BINS - 1) as f64) - BIN_SPAN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_or_below_an_upper_edge_is_in_that_bin_or_one_before() {
        for shift in [0.0, 0.3, 0.9] {
            for bin in 0..BINS - 1 {
                let edge = upper_edge(bin, shift);
                assert!(bin_of(edge - 1e-9, shift) <= bin && bin_of(edge + 1e-9, shift) > bin, "{bin} {shift}");
            }
        }
        assert_eq!([bin_of(-4.0, 0.5), bin_of(4.0, 0.5)], [0, BINS - 1]);
    }
}
