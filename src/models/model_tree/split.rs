//! The search for a split: where would two linear models do better than one?
//!
//! Potts and Sammut (2005) answer with a Chow test, for which each candidate trains a linear model on either side. The
//! score test of the same hypothesis needs only the leaf's own model: it measures the difference of the sums of scores
//! on both sides by that model's covariance (the parameter instability test of Zeileis, Hothorn and Hornik 2008). It
//! finds a change of slopes, as interactions make, even if the mean residual of both sides is 0.
//!
//! Invariant: read-only; ties go to the first candidate.

use super::{
    MAX_ROW_WIDTH,
    grid::{BINS, CELL_HEADER_LEN, Grid, upper_edge},
    plane::{Plane, Row},
};

/// Minimum weight on each side.
const MIN_SIDE_WEIGHT: f64 = 50.0;

/// Evidence required, in units of the logarithm of the number of candidates times that of samples.
const EVIDENCE_FACTOR: f64 = 0.9;

/// A threshold that divides a leaf's samples into two parts that differ.
pub(super) struct Split {
    /// Position in the row, counting from 0 without the leading 1.
    pub(super) feature: usize,
    /// Standardised threshold; values at or below it are on the left.
    pub(super) threshold: f64,
    /// Expected fall of the mean squared error, in the target's unit squared.
    pub(super) gain: f64,
    /// Weight on the left and the right.
    pub(super) weights: [f64; 2],
    /// Difference of the weights from the leaf's, on the left and the right: a Newton step each.
    pub(super) steps: [Row; 2],
}

/// Returns the best significant split by one of `features`. `buffer` is overwritten.
pub(super) fn search(grid: &Grid, plane: &Plane, features: &[u16], shift: f64, buffer: &mut Vec<f64>) -> Option<Split> {
    let width = plane.weights.len();
    let stride = width + CELL_HEADER_LEN;
    let candidates = (BINS * (width - 1)) as f64;
    let needed = EVIDENCE_FACTOR * (candidates * grid.n).max(1.0).ln();
    let mut best: Option<(f64, usize, usize)> = None;
    for &feature in features {
        let lines = &grid.cells[usize::from(feature) * BINS * stride..][..BINS * stride];
        let total = sums(lines, stride);
        let variance = total[1] / total[0];
        let mut left = [0.0; MAX_ROW_WIDTH + CELL_HEADER_LEN];
        for (bin, cell) in lines.chunks_exact(stride).enumerate().take(BINS - 1) {
            left.iter_mut().zip(cell).for_each(|(sum, x)| *sum += f64::from(*x));
            let (n, n_left, n_right) = (total[0], left[0], total[0] - left[0]);
            // False for NaN, too.
            if !(n_left >= MIN_SIDE_WEIGHT && n_right >= MIN_SIDE_WEIGHT && variance > 0.0) {
                continue;
            }
            let mut apart: Row = [0.0; MAX_ROW_WIDTH];
            let apart = &mut apart[..width];
            for ((u, l), t) in apart.iter_mut().zip(&left[CELL_HEADER_LEN..]).zip(&total[CELL_HEADER_LEN..]) {
                *u = l - n_left / n * t;
            }
            let unit = plane.mass * n / (n_left * n_right);
            let squares = plane.project(apart, buffer) * unit;
            if best.is_some_and(|(highest, ..)| squares <= highest) {
                continue;
            }
            let singles = buffer.iter().enumerate().map(|(i, step)| step * step / plane.variance(i));
            let single = singles.fold(0.0, f64::max) * unit;
            let evidence = (single / variance / 2.0 - (width as f64).ln()).max(tail(squares / variance, width as f64));
            if evidence > needed {
                best = Some((squares, usize::from(feature), bin));
            }
        }
    }
    best.map(|(squares, feature, bin)| {
        let lines = &grid.cells[feature * BINS * stride..][..BINS * stride];
        let total = sums(lines, stride);
        let left = sums(&lines[..(bin + 1) * stride], stride);
        let mut right = total;
        right.iter_mut().zip(&left).for_each(|(sum, l)| *sum -= l);
        let mut steps = [[0.0; MAX_ROW_WIDTH]; 2];
        for (step, side) in steps.iter_mut().zip([&left, &right]) {
            plane.project(&side[CELL_HEADER_LEN..CELL_HEADER_LEN + width], buffer);
            let unit = grid.scale * plane.mass / side[0];
            step.iter_mut().zip(&*buffer).for_each(|(s, v)| *s = v * unit);
        }
        let gain = squares / total[0] * grid.scale * grid.scale;
        Split { feature, threshold: upper_edge(bin, shift), gain, weights: [left[0], right[0]], steps }
    })
}

/// Returns the sums of some cells.
fn sums(cells: &[f32], stride: usize) -> [f64; MAX_ROW_WIDTH + CELL_HEADER_LEN] {
    let mut total = [0.0; MAX_ROW_WIDTH + CELL_HEADER_LEN];
    for cell in cells.chunks_exact(stride) {
        total.iter_mut().zip(cell).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    total
}

/// Returns a lower bound, in nats, of the negative log probability that a χ² with `degrees` degrees of freedom is
/// `squares` or more (Chernoff's bound).
fn tail(squares: f64, degrees: f64) -> f64 {
    if squares <= degrees { 0.0 } else { 0.5 * (squares - degrees - degrees * (squares / degrees).ln()) }
}
