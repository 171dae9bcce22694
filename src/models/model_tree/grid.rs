//! What a leaf keeps of its samples in search of a split: sums of its linear model's scores, by feature and bin.
//!
//! A score is the residual times the row, the gradient of the squared error in the weights. Where the sums of the scores
//! on two sides of a threshold differ by more than chance, the two sides want different weights, be it intercept or slopes.
//!
//! Invariant: residuals count in units of what was usual when the grid was begun, and no further than [`MOST`] of them, so
//! single precision is enough for targets of any scale, and an outlier moves little.

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

/// Bins per feature.
pub(super) const BINS: usize = 16;

/// Standardised features are binned from −`SPAN` to `SPAN`; what lies beyond counts in the outermost bins.
const SPAN: f64 = 2.0;

/// The largest residual that counts, in usual ones.
const MOST: f64 = 6.0;

/// A leaf's sums.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Grid {
    /// Weight of the samples in it.
    pub(super) n: f64,
    /// The usual residual, in the target's unit, when it was begun; 0 before there was one.
    pub(super) scale: f64,
    /// Samples since the last attempt to split.
    pub(super) waiting: u32,
    /// By feature, by bin: weight, squared residuals, then the scores from the intercept's on.
    pub(super) cells: Vec<f32>,
}

checked!(Grid { n, scale, waiting, cells });

/// Numbers of a cell in front of its scores.
pub(super) const LEAD: usize = 2;

impl Grid {
    /// An empty grid for rows of `width` numbers, the leading 1 included.
    pub(super) fn new(width: usize) -> Self {
        Self { n: 0.0, scale: 0.0, waiting: 0, cells: vec![0.0; Self::size(width)] }
    }

    /// One without room for anything.
    pub(super) fn empty() -> Self {
        Self { n: 0.0, scale: 0.0, waiting: 0, cells: Vec::new() }
    }

    /// Numbers of a grid for rows of `width`.
    pub(super) fn size(width: usize) -> usize {
        (width - 1) * BINS * (width + LEAD)
    }

    /// Begins anew with residuals in units of `scale`.
    pub(super) fn begin(&mut self, scale: f64) {
        self.cells.fill(0.0);
        (self.n, self.scale, self.waiting) = (0.0, scale, 0);
    }

    /// Counts a sample; nothing before there is a scale. `shift` as in [`bin_of`].
    #[inline]
    pub(super) fn add(&mut self, row: &[f64], residual: f64, weight: f64, shift: f64) {
        if self.scale <= 0.0 {
            return;
        }
        let residual = (residual / self.scale).clamp(-MOST, MOST);
        let stride = row.len() + LEAD;
        let weight_f32 = weight as f32;
        let square = (weight * residual * residual) as f32;
        let residual = (weight * residual) as f32;
        for (lines, z) in self.cells.chunks_exact_mut(BINS * stride).zip(&row[1..]) {
            let start = bin_of(*z, shift) * stride;
            let cell = &mut lines[start..start + stride];
            cell[0] += weight_f32;
            cell[1] += square;
            for (sum, x) in cell[LEAD..].iter_mut().zip(row) {
                *sum += residual * *x as f32;
            }
        }
        self.n += weight;
        self.waiting += 1;
    }

    /// Forgets all that has to do with the feature at a position of rows of `width`.
    pub(super) fn forget(&mut self, feature: usize, width: usize) {
        let stride = width + LEAD;
        self.cells.iter_mut().skip(LEAD + 1 + feature).step_by(stride).for_each(|sum| *sum = 0.0);
        self.cells[feature * BINS * stride..][..BINS * stride].fill(0.0);
    }

    /// Whether a saved one may be a leaf's, for rows of `width`.
    pub(super) fn fits(&self, width: usize) -> bool {
        self.cells.len() == Self::size(width) && self.n >= 0.0 && self.scale >= 0.0
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.cells.as_slice())
    }
}

/// The bin of a standardised value, where all edges are moved down by `shift` (0 to 1) of a bin's width.
#[inline]
fn bin_of(z: f64, shift: f64) -> usize {
    let place = (z + SPAN) * ((BINS - 1) as f64 / (2.0 * SPAN)) + shift;
    // The upper edge belongs to a bin, as it does to the left side of a split.
    (place.ceil() as usize).saturating_sub(1).min(BINS - 1)
}

/// The upper edge of a bin.
pub(super) fn upper_edge(bin: usize, shift: f64) -> f64 {
    ((bin + 1) as f64 - shift) * (2.0 * SPAN / (BINS - 1) as f64) - SPAN
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
