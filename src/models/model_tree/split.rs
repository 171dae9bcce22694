//! The search for a split: where would two linear models do better than one?
//!
//! Potts and Sammut (2005) answer with a Chow test, for which each candidate trains a linear model on either side. The
//! score test of the same hypothesis needs but the leaf's own model: by how much the sums of scores on both sides differ,
//! measured by that model's covariance (the parameter instability test of Zeileis, Hothorn and Hornik 2008). It sees a
//! change of slopes, as interactions make, where the mean residual of both sides is 0.
//!
//! Invariant: read-only; ties go to the first candidate.

use super::{
    WIDEST,
    grid::{BINS, Grid, LEAD, upper_edge},
    plane::{Plane, Row},
};

/// Least weight on each side.
const LEAST: f64 = 50.0;

/// Evidence that is asked for, in logarithms of the number of candidates times that of samples.
const STRICTNESS: f64 = 0.9;

/// A threshold that parts a leaf's samples into two that differ.
pub(super) struct Split {
    /// Position in the row, counting from 0 without the leading 1.
    pub(super) feature: usize,
    /// Standardised; values at or below it are on the left.
    pub(super) threshold: f64,
    /// By how much the mean squared error of the samples seen would fall, in the target's unit squared.
    pub(super) gain: f64,
    /// Weight on the left and the right.
    pub(super) weights: [f64; 2],
    /// By how much the weights differ from the leaf's on the left and the right: a Newton step each.
    pub(super) steps: [Row; 2],
}

/// The best significant split by one of `features`.
/// `room` is room to work in.
pub(super) fn search(grid: &Grid, plane: &Plane, features: &[u16], shift: f64, room: &mut Vec<f64>) -> Option<Split> {
    let width = plane.weights.len();
    let stride = width + LEAD;
    let candidates = (BINS * (width - 1)) as f64;
    let needed = STRICTNESS * (candidates * grid.n).max(1.0).ln();
    let mut best: Option<(f64, usize, usize)> = None;
    for &feature in features {
        let lines = &grid.cells[usize::from(feature) * BINS * stride..][..BINS * stride];
        let total = sums(lines, stride);
        let variance = total[1] / total[0];
        let mut left = [0.0; WIDEST + LEAD];
        for (bin, cell) in lines.chunks_exact(stride).enumerate().take(BINS - 1) {
            left.iter_mut().zip(cell).for_each(|(sum, x)| *sum += f64::from(*x));
            let (n, n_left, n_right) = (total[0], left[0], total[0] - left[0]);
            // Also false of NaN.
            if !(n_left >= LEAST && n_right >= LEAST && variance > 0.0) {
                continue;
            }
            let mut apart: Row = [0.0; WIDEST];
            let apart = &mut apart[..width];
            for ((u, l), t) in apart.iter_mut().zip(&left[LEAD..]).zip(&total[LEAD..]) {
                *u = l - n_left / n * t;
            }
            let unit = plane.mass * n / (n_left * n_right);
            let squares = plane.project(apart, room) * unit;
            if best.is_some_and(|(most, ..)| squares <= most) {
                continue;
            }
            let singles = room.iter().enumerate().map(|(i, step)| step * step / plane.variance(i));
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
        let mut steps = [[0.0; WIDEST]; 2];
        for (step, side) in steps.iter_mut().zip([&left, &right]) {
            plane.project(&side[LEAD..LEAD + width], room);
            let unit = grid.scale * plane.mass / side[0];
            step.iter_mut().zip(&*room).for_each(|(s, v)| *s = v * unit);
        }
        let gain = squares / total[0] * grid.scale * grid.scale;
        Split { feature, threshold: upper_edge(bin, shift), gain, weights: [left[0], right[0]], steps }
    })
}

/// The sums of some cells.
fn sums(cells: &[f32], stride: usize) -> [f64; WIDEST + LEAD] {
    let mut total = [0.0; WIDEST + LEAD];
    for cell in cells.chunks_exact(stride) {
        total.iter_mut().zip(cell).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    total
}

/// How unlikely it is by chance that a χ² of so many degrees of freedom is `squares` or more: at least so many nats
/// (Chernoff's bound).
fn tail(squares: f64, degrees: f64) -> f64 {
    if squares <= degrees { 0.0 } else { 0.5 * (squares - degrees - degrees * (squares / degrees).ln()) }
}
