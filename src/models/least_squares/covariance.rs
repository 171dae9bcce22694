//! The covariance of weights that are learned by least squares: a symmetric matrix with the two passes that an update
//! takes, and the ways to bring it back into bounds.
//!
//! Invariant: the matrix is a lower triangle of square tiles, those on the diagonal whole and exactly symmetric, and what
//! is beyond its last row and column is 0. A tile's row is what the processor does at once, without an end to take care
//! of; sums keep their order and nothing is fused, so that the bits are the same on every processor. What this does not
//! do: weights, and deciding which updates are sound.

use std::array;

use fearless_simd::{Level, Simd, SimdBase, SimdFrom, dispatch, f64x4};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeSeq};
use thalweg_metrics::checked;

/// A symmetric positive definite matrix.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Vec<f64>")]
pub(crate) struct Covariance {
    /// Rows, and as many columns.
    n: usize,
    /// Row by row of tiles.
    tiles: Vec<Tile>,
}

checked!(Covariance { n, tiles });

/// Rows and columns of a tile: with more, small matrices would be mostly padding; with fewer, no register would be full.
const TILE_SIDE: usize = 4;

/// Elements by row and column. No row is in two of the processor's cache lines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(align(64))]
struct Tile([[f64; TILE_SIDE]; TILE_SIDE]);

checked!(Tile(rows));

/// Saved as its lower triangle, row by row.
impl Serialize for Covariance {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // With its length: a format that writes it first would have to keep all elements until the last one is known.
        let mut triangle = to.serialize_seq(Some(self.n * (self.n + 1) / 2))?;
        for i in 0..self.n {
            (0..=i).try_for_each(|j| triangle.serialize_element(&self.element(i, j)))?;
        }
        triangle.end()
    }
}

impl TryFrom<Vec<f64>> for Covariance {
    type Error = &'static str;

    fn try_from(triangle: Vec<f64>) -> Result<Self, Self::Error> {
        // This is exact: no list is long enough for its length to be rounded.
        let n = ((8.0 * triangle.len() as f64 + 1.0).sqrt() as usize - 1) / 2;
        if triangle.len() != n * (n + 1) / 2 {
            return Err("a covariance is not a whole triangle");
        }
        let mut made = Self { n, tiles: vec![Tile::default(); first_of_row(n.div_ceil(TILE_SIDE))] };
        let places = (0..n).flat_map(|i| (0..=i).map(move |j| (i, j)));
        places.zip(triangle).for_each(|((i, j), element)| made.set(i, j, element));
        Ok(made)
    }
}

/// The number of tiles before those of a row of tiles.
fn first_of_row(row: usize) -> usize {
    row * (row + 1) / 2
}

/// Factor by which a variance may exceed its bound before all are brought back at once. The variance of a weight that
/// is never excited grows with every sample that is forgotten, and once in a while is enough.
const BOUND_TOLERANCE: f64 = 1.05;

/// Number of sums side by side in a product of two lists: as many as keep the processor's adders busy.
const PARALLEL_SUMS: usize = 8;

#[cfg(test)]
thread_local! {
    /// Number of passes that have written to a whole matrix; tests of an update's cost count them.
    pub(crate) static PASSES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Covariance {
    /// Makes a diagonal matrix.
    pub(crate) fn with_diagonal(variances: impl IntoIterator<Item = f64>) -> Self {
        let mut made = Self { n: 0, tiles: Vec::new() };
        variances.into_iter().for_each(|variance| made.push(variance));
        made.tiles.shrink_to_fit();
        made
    }

    /// Appends a row and a column, 0 but for the diagonal.
    pub(crate) fn push(&mut self, variance: f64) {
        self.reserve(self.n + 1);
        self.tiles.resize(first_of_row((self.n + 1).div_ceil(TILE_SIDE)), Tile::default());
        self.n += 1;
        self.set(self.n - 1, self.n - 1, variance);
    }

    /// Makes room for `n` rows, so that pushing them moves nothing.
    pub(crate) fn reserve(&mut self, n: usize) {
        self.tiles.reserve_exact(first_of_row(n.div_ceil(TILE_SIDE)).saturating_sub(self.tiles.len()));
    }

    /// Rows, and as many columns.
    pub(crate) fn len(&self) -> usize {
        self.n
    }

    /// Element `i` of the diagonal.
    pub(crate) fn diagonal(&self, i: usize) -> f64 {
        self.element(i, i)
    }

    /// Returns the place of element (i, j): the tile, and the row and column in it.
    fn place(i: usize, j: usize) -> (usize, usize, usize) {
        let (i, j) = (i.max(j), i.min(j));
        (first_of_row(i / TILE_SIDE) + j / TILE_SIDE, i % TILE_SIDE, j % TILE_SIDE)
    }

    fn element(&self, i: usize, j: usize) -> f64 {
        let (tile, row, column) = Self::place(i, j);
        self.tiles[tile].0[row][column]
    }

    fn set(&mut self, i: usize, j: usize, element: f64) {
        let (tile, row, column) = Self::place(i, j);
        self.tiles[tile].0[row][column] = element;
        if i / TILE_SIDE == j / TILE_SIDE {
            self.tiles[tile].0[column][row] = element;
        }
    }

    /// Writes its product with `x`, which is as long as it, into `gain` and returns x · gain.
    pub(crate) fn project(&self, x: &[f64], gain: &mut Vec<f64>) -> f64 {
        let x = &x[..self.n];
        gain.clear();
        gain.reserve_exact(self.n.next_multiple_of(TILE_SIDE));
        gain.resize(self.n.next_multiple_of(TILE_SIDE), 0.0);
        dispatch!(Level::new(), simd => project(simd, &self.tiles, x, gain));
        gain.truncate(self.n);
        dot(x, gain)
    }

    /// Subtracts gain · gainᵀ / `q` and divides by `forgetting`, which learns the sample that `gain` was projected
    /// from. Scales `gain` by 1/√`q`: k · kᵀ of that is exactly symmetric, which keeps the matrix from diverging.
    pub(crate) fn shrink(&mut self, gain: &mut Vec<f64>, q: f64, forgetting: f64) {
        let root = q.sqrt();
        gain.iter_mut().for_each(|g| *g /= root);
        gain.resize(self.n.next_multiple_of(TILE_SIDE), 0.0);
        #[cfg(test)]
        PASSES.set(PASSES.get() + 1);
        dispatch!(Level::new(), simd => shrink(simd, &mut self.tiles, gain, 1.0 / forgetting));
        gain.truncate(self.n);
    }

    /// Brings element `i` of the diagonal down to `most` as if weight `i` had been observed to be what it is, at O(n²).
    /// What is known of sums of weights stays known. `column` is a buffer.
    #[cold]
    pub(crate) fn confine_by_observing(&mut self, i: usize, most: f64, column: &mut Vec<f64>) {
        let variance = self.diagonal(i);
        column.clear();
        column.reserve_exact(self.n.next_multiple_of(TILE_SIDE));
        column.extend((0..self.n).map(|j| self.element(i, j)));
        self.shrink(column, variance / (variance - most) * variance, 1.0);
        self.set(i, i, most);
    }

    /// Returns true if weight `i` depends on no other; O(n).
    pub(crate) fn is_isolated(&self, i: usize) -> bool {
        (0..self.n).all(|j| j == i || self.element(i, j) == 0.0)
    }

    /// Brings the diagonal back into its bounds, at O(n²) if an element clearly exceeds its bound and O(n) otherwise:
    /// scales row and column of each element above `most`, and isolates each that rounding has made 0 or less.
    /// `factors`, as long as the diagonal, is a buffer.
    pub(crate) fn confine(&mut self, most: impl Fn(usize) -> f64, factors: &mut [f64]) {
        let mut beyond = false;
        for i in 0..self.n {
            let variance = self.diagonal(i);
            // Also false of NaN.
            let sound = variance > 0.0;
            if !sound {
                self.isolate(i, most(i));
            }
            beyond |= variance > BOUND_TOLERANCE * most(i);
        }
        if beyond {
            let factors = &mut factors[..self.n];
            for (i, factor) in factors.iter_mut().enumerate() {
                *factor = (most(i) / self.diagonal(i)).sqrt().min(1.0);
            }
            self.scale(factors);
        }
    }

    /// Multiplies row and column `i` by `factors[i]`, for all `i` at once: correlations stay as they are.
    pub(crate) fn scale(&mut self, factors: &[f64]) {
        self.update(|i, j, p| p * (factors[i] * factors[j]));
    }

    /// Sets the variance of weight `i` and forgets its dependence on others: the rest of its row and column becomes 0.
    pub(crate) fn isolate(&mut self, i: usize, variance: f64) {
        (0..self.n).for_each(|j| self.set(i, j, 0.0));
        self.set(i, i, variance);
    }

    /// Forgets how weights depend on each other: sets what is off the diagonal to 0, and element `i` of the diagonal to
    /// `variance` of `i` and its old value.
    pub(crate) fn isolate_all(&mut self, variance: impl Fn(usize, f64) -> f64) {
        self.update(|i, j, p| if i == j { variance(i, p) } else { 0.0 });
    }

    /// Adds `variance` to each element of the diagonal.
    pub(crate) fn loosen(&mut self, variance: f64) {
        for i in 0..self.n {
            self.set(i, i, self.diagonal(i) + variance);
        }
    }

    /// Sets each element to `of` its row, its column, which is not beyond the diagonal, and its old value.
    fn update(&mut self, of: impl Fn(usize, usize, f64) -> f64) {
        #[cfg(test)]
        PASSES.set(PASSES.get() + 1);
        for i in 0..self.n {
            for j in 0..=i {
                self.set(i, j, of(i, j, self.element(i, j)));
            }
        }
    }

    /// Copies `other`, which is as large.
    pub(crate) fn copy(&mut self, other: &Self) {
        self.tiles.copy_from_slice(&other.tiles);
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(self.tiles.as_slice())
    }
}

/// Writes the product of the matrix and `x` into `gain`, which is 0 before and as long as the rows of `tiles`, padding
/// included.
#[inline(always)]
fn project<S: Simd>(simd: S, tiles: &[Tile], x: &[f64], gain: &mut [f64]) {
    let row_of = |row: &[f64; TILE_SIDE]| f64x4::simd_from(simd, *row);
    let (blocks, beyond) = x.as_chunks::<TILE_SIDE>();
    let last = array::from_fn(|k| beyond.get(k).copied().unwrap_or_default());
    let gains = gain.as_chunks_mut::<TILE_SIDE>().0;
    let mut rest = tiles;
    for b in 0..gains.len() {
        let (row, after) = rest.split_at(b + 1);
        rest = after;
        let x_rows = blocks.get(b).unwrap_or(&last).map(|x| f64x4::splat(simd, x));
        let (before, own) = gains.split_at_mut(b);
        // Tiles left of the diagonal count for these rows, and mirrored for those before them.
        let mut sums = [f64x4::splat(simd, 0.0); TILE_SIDE];
        for ((Tile(tile), x), g) in row.iter().zip(blocks).zip(before) {
            let (x, mut mirrored) = (row_of(x), row_of(g));
            for r in 0..TILE_SIDE {
                let p = row_of(&tile[r]);
                sums[r] += p * x;
                mirrored += p * x_rows[r];
            }
            *g = mirrored.into();
        }
        let corner = row[b].0;
        let whole = (0..TILE_SIDE).fold(f64x4::splat(simd, 0.0), |sum, r| sum + row_of(&corner[r]) * x_rows[r]);
        let sums: [[f64; TILE_SIDE]; TILE_SIDE] = sums.map(Into::into);
        own[0] = array::from_fn(|r| (sums[r][0] + sums[r][2]) + (sums[r][1] + sums[r][3]) + whole[r]);
    }
}

/// Sets each element p to (p − k · k) · `keep`; `gain` is as long as the rows of `tiles`, padding included.
#[inline(always)]
fn shrink<S: Simd>(simd: S, tiles: &mut [Tile], gain: &[f64], keep: f64) {
    let gains = gain.as_chunks::<TILE_SIDE>().0;
    let mut rest = tiles;
    for (b, k_rows) in gains.iter().enumerate() {
        let (row, after) = rest.split_at_mut(b + 1);
        rest = after;
        for (Tile(tile), k) in row.iter_mut().zip(gains) {
            let k = f64x4::simd_from(simd, *k);
            for (p, k_row) in tile.iter_mut().zip(k_rows) {
                *p = ((f64x4::simd_from(simd, *p) - k * *k_row) * keep).into();
            }
        }
    }
}

/// Returns the sum of products of two lists, up to the end of the shorter, in [`PARALLEL_SUMS`] sums side by side.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, a_rest) = a[..n].as_chunks::<PARALLEL_SUMS>();
    let (b, b_rest) = b[..n].as_chunks::<PARALLEL_SUMS>();
    let mut sums = [0.0; PARALLEL_SUMS];
    for (a, b) in a.iter().zip(b) {
        sums = array::from_fn(|k| sums[k] + a[k] * b[k]);
    }
    let sum = ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
    a_rest.iter().zip(b_rest).fold(sum, |sum, (a, b)| sum + a * b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in −1..1 without structure that matters here.
    fn number(i: usize) -> f64 {
        2.0 * ((i as f64 + 1.0) * 0.754_877_666_246_692_7).fract() - 1.0
    }

    /// The same as a whole matrix.
    fn whole(covariance: &Covariance) -> Vec<Vec<f64>> {
        (0..covariance.len()).map(|i| (0..covariance.len()).map(|j| covariance.element(i, j)).collect()).collect()
    }

    #[test]
    fn the_passes_over_whole_and_partial_tiles_do_what_the_equations_say() {
        for n in [1, 2, 4, 7, 32, 77] {
            let mut covariance = Covariance::with_diagonal((0..n).map(|i| 1.0 + 0.1 * i as f64));
            let mut gain = Vec::new();
            for t in 0..5 {
                let x: Vec<f64> = (0..n).map(|i| number(t * n + i)).collect();
                let before = whole(&covariance);
                let expected: Vec<f64> =
                    before.iter().map(|row| row.iter().zip(&x).map(|(p, x)| p * x).sum()).collect();
                let reach = covariance.project(&x, &mut gain);
                let off = gain.iter().zip(&expected).map(|(g, e)| (g - e).abs()).fold(0.0, f64::max);
                let expected_reach: f64 = x.iter().zip(&expected).map(|(x, g)| x * g).sum();
                assert!(off < 1e-12 && (reach - expected_reach).abs() < 1e-10, "{n}: {off}, {reach}, {expected_reach}");
                let q = 0.9 + reach;
                covariance.shrink(&mut gain, q, 0.9);
                for (i, row) in whole(&covariance).iter().enumerate() {
                    for (j, element) in row.iter().enumerate() {
                        let due = (before[i][j] - expected[i] * expected[j] / q) / 0.9;
                        assert!((element - due).abs() < 1e-12, "{n}: {element}, {due}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_isolated_weight_depends_on_no_other() {
        let mut covariance = Covariance::with_diagonal([1.0; 5]);
        let mut gain = Vec::new();
        covariance.project(&[1.0, 2.0, 3.0, 4.0, 5.0], &mut gain);
        covariance.shrink(&mut gain, 56.0, 1.0);
        covariance.isolate(2, 7.0);
        for (i, row) in whole(&covariance).iter().enumerate() {
            for (j, element) in row.iter().enumerate() {
                let due_zero = i != j && (i == 2 || j == 2);
                assert_eq!(*element == 0.0, due_zero, "{i}, {j}: {element}");
            }
        }
        assert_eq!(covariance.diagonal(2), 7.0);
    }
}
