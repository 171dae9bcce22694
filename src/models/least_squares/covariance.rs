//! The covariance of weights that are learned by least squares: a packed symmetric matrix with the two passes that an
//! update takes, and the ways to bring it back into bounds.
//!
//! Invariant: symmetric by construction, since one triangle is all there is. Loops go along rows, without a bounds check
//! or a branch inside, so that the processor does several columns at once, as many as it can; sums keep their order and
//! nothing is fused, so that the bits are the same on every processor. What this does not do: weights, and deciding which updates are sound.

use std::array;

use fearless_simd::{Level, dispatch};
use serde::{Deserialize, Serialize, Serializer};

/// A symmetric positive definite matrix, its lower triangle row by row.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Vec<f64>")]
pub(in crate::models) struct Covariance {
    /// Rows, and as many columns.
    n: usize,
    triangle: Vec<f64>,
}

/// Saved as the triangle alone.
impl Serialize for Covariance {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.triangle.serialize(to)
    }
}

impl TryFrom<Vec<f64>> for Covariance {
    type Error = &'static str;

    fn try_from(triangle: Vec<f64>) -> Result<Self, Self::Error> {
        // Exact: no list is so long that its length is not.
        let n = ((8.0 * triangle.len() as f64 + 1.0).sqrt() as usize - 1) / 2;
        if triangle.len() != n * (n + 1) / 2 {
            return Err("a covariance is not a whole triangle");
        }
        if !triangle.iter().all(|element| element.is_finite()) {
            return Err("a covariance holds a number that is not finite");
        }
        Ok(Self { n, triangle })
    }
}

/// Index of the diagonal's element `i` in the packed triangle.
fn end_of_row(i: usize) -> usize {
    i * (i + 3) / 2
}

/// Rows of at most so many elements are summed up one after the other; longer ones in [`LANES`] sums side by side.
const SHORT: usize = 32;

/// By how much a variance outgrows its bound before all are brought back at once. What is never excited grows with every
/// sample that is forgotten, and once in a while is enough.
const TOLERANCE: f64 = 1.05;

/// Sums side by side: as many as keep the processor's adders busy without wider registers than every one has.
const LANES: usize = 8;

/// Rows of a long product at once, and elements of each.
const ROWS: usize = 4;

impl Covariance {
    /// A diagonal matrix.
    pub(in crate::models) fn with_diagonal(variances: impl IntoIterator<Item = f64>) -> Self {
        let mut made = Self { n: 0, triangle: Vec::new() };
        variances.into_iter().for_each(|variance| made.push(variance));
        made.triangle.shrink_to_fit();
        made
    }

    /// A further row and column, 0 but for the diagonal.
    pub(in crate::models) fn push(&mut self, variance: f64) {
        self.triangle.reserve_exact(self.n + 1);
        self.triangle.extend(std::iter::repeat_n(0.0, self.n));
        self.triangle.push(variance);
        self.n += 1;
    }

    /// Makes room for `n` rows, so that pushing them moves nothing.
    pub(in crate::models) fn reserve(&mut self, n: usize) {
        self.triangle.reserve_exact((n * (n + 1) / 2).saturating_sub(self.triangle.len()));
    }

    /// Rows, and as many columns.
    pub(in crate::models) fn len(&self) -> usize {
        self.n
    }

    /// Element `i` of the diagonal.
    pub(in crate::models) fn diagonal(&self, i: usize) -> f64 {
        self.triangle[end_of_row(i)]
    }

    /// Writes its product with `x`, which is as long as it, into `gain`; x · gain.
    pub(in crate::models) fn project(&self, x: &[f64], gain: &mut Vec<f64>) -> f64 {
        let x = &x[..self.n];
        gain.clear();
        gain.reserve_exact(self.n);
        if self.n <= SHORT {
            project_short(&self.triangle, x, gain);
            return x.iter().zip(&*gain).map(|(x, g)| x * g).sum();
        }
        gain.resize(self.n, 0.0);
        dispatch!(Level::new(), _ => project_long(&self.triangle, x, gain));
        dot(x, gain)
    }

    /// Takes gain · gainᵀ / `q` off and divides by `forgetting`: what remains once the sample is learned that `gain` was
    /// projected from. Scales `gain` by 1/√`q`: k · kᵀ of that is exactly symmetric, which keeps it from diverging.
    pub(in crate::models) fn shrink(&mut self, gain: &mut [f64], q: f64, forgetting: f64) {
        let root = q.sqrt();
        gain.iter_mut().for_each(|g| *g /= root);
        let keep = 1.0 / forgetting;
        if self.n <= SHORT {
            shrink(&mut self.triangle, gain, keep);
        } else {
            dispatch!(Level::new(), _ => shrink(&mut self.triangle, gain, keep));
        }
    }

    /// Brings element `i` of the diagonal down to `most` as if weight `i` had been observed to be what it is, at O(n²).
    /// What is known of sums of weights stays known. `column` is room to work in.
    #[cold]
    pub(in crate::models) fn confine_by_observing(&mut self, i: usize, most: f64, column: &mut Vec<f64>) {
        let variance = self.diagonal(i);
        column.clear();
        column.extend((0..self.n).map(|j| self.triangle[end_of_row(i.max(j)) - i.abs_diff(j)]));
        let share = (variance - most) / variance / variance;
        let mut rest = self.triangle.as_mut_slice();
        for (j, &c_j) in column.iter().enumerate() {
            let (line, after) = rest.split_at_mut(j + 1);
            rest = after;
            if c_j != 0.0 {
                line.iter_mut().zip(&*column).for_each(|(p, c_k)| *p -= share * c_j * c_k);
            }
        }
        self.triangle[end_of_row(i)] = most;
    }

    /// Brings the diagonal back into its bounds, at O(n²) where an element is clearly beyond and O(n) else: scales row and column
    /// of what is larger than `most` says, and isolates what rounding has eaten up. `factors`, as long as it, is room to work
    /// in.
    pub(in crate::models) fn confine(&mut self, most: impl Fn(usize) -> f64, factors: &mut [f64]) {
        let mut beyond = false;
        for i in 0..self.n {
            let variance = self.diagonal(i);
            // Also false of NaN.
            let sound = variance > 0.0;
            if !sound {
                self.isolate(i, most(i));
            }
            beyond |= variance > TOLERANCE * most(i);
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
    pub(in crate::models) fn scale(&mut self, factors: &[f64]) {
        let mut rest = self.triangle.as_mut_slice();
        for (i, &f_i) in factors[..self.n].iter().enumerate() {
            let (line, after) = rest.split_at_mut(i + 1);
            rest = after;
            line.iter_mut().zip(factors).for_each(|(p, f_j)| *p *= f_i * f_j);
        }
    }

    /// Makes weight `i` as unsure as `variance` says, and of nothing else: its row and column become 0.
    pub(in crate::models) fn isolate(&mut self, i: usize, variance: f64) {
        let start = end_of_row(i) - i;
        self.triangle[start..=start + i].fill(0.0);
        for j in i..self.n {
            self.triangle[end_of_row(j) - j + i] = 0.0;
        }
        self.triangle[end_of_row(i)] = variance;
    }

    /// Forgets how weights depend on each other: what is off the diagonal becomes 0, and element `i` of the diagonal what
    /// `variance` makes of `i` and it.
    pub(in crate::models) fn isolate_all(&mut self, variance: impl Fn(usize, f64) -> f64) {
        let mut rest = self.triangle.as_mut_slice();
        for i in 0..self.n {
            let (line, after) = rest.split_at_mut(i + 1);
            rest = after;
            line[..i].fill(0.0);
            line[i] = variance(i, line[i]);
        }
    }

    /// Adds `variance` to each element of the diagonal.
    pub(in crate::models) fn loosen(&mut self, variance: f64) {
        (0..self.n).for_each(|i| self.triangle[end_of_row(i)] += variance);
    }

    /// Becomes as `other`, which is as large.
    pub(in crate::models) fn copy(&mut self, other: &Self) {
        self.triangle.copy_from_slice(&other.triangle);
    }

    /// Bytes on the heap.
    pub(in crate::models) fn heap_bytes(&self) -> usize {
        size_of_val(self.triangle.as_slice())
    }
}

fn project_short(triangle: &[f64], x: &[f64], gain: &mut Vec<f64>) {
    let mut rest = triangle;
    for (i, &x_i) in x.iter().enumerate() {
        let (line, after) = rest.split_at(i + 1);
        rest = after;
        // The part left of the diagonal counts for this element, and mirrored for those before it.
        let mut sum = 0.0;
        for ((p, x_j), g) in line[..i].iter().zip(x).zip(gain.iter_mut()) {
            sum += p * x_j;
            *g += p * x_i;
        }
        gain.push(sum + line[i] * x_i);
    }
}

/// The same, [`ROWS`] rows at once, so that `x` and `gain` are read and written once for all of them and no sum waits for the
/// one before.
#[inline(always)]
fn project_long(triangle: &[f64], x: &[f64], gain: &mut [f64]) {
    let mut rest = triangle;
    let (blocks, last) = x.as_chunks::<ROWS>();
    for (b, x_rows) in blocks.iter().enumerate() {
        let i = b * ROWS;
        let rows: [&[f64]; ROWS] = array::from_fn(|r| {
            let (row, after) = rest.split_at(i + 1 + r);
            rest = after;
            row
        });
        let (before, corner) = gain.split_at_mut(i);
        let gains = &mut before.as_chunks_mut::<ROWS>().0[..b];
        let lines = rows.map(|row| &row.as_chunks::<ROWS>().0[..b]);
        let mut sums = [[0.0; ROWS]; ROWS];
        for (j, (gain, x)) in gains.iter_mut().zip(&blocks[..b]).enumerate() {
            for ((sums, line), x_row) in sums.iter_mut().zip(lines).zip(x_rows) {
                let p = &line[j];
                *sums = array::from_fn(|k| sums[k] + p[k] * x[k]);
                *gain = array::from_fn(|k| gain[k] + p[k] * x_row);
            }
        }
        // What is left is the triangle where these rows meet their own columns.
        for (r, (row, sums)) in rows.iter().zip(sums).enumerate() {
            corner[r] = (sums[0] + sums[2]) + (sums[1] + sums[3]);
            for (j, p) in row[i..i + r].iter().enumerate() {
                corner[r] += p * x_rows[j];
                corner[j] += p * x_rows[r];
            }
            corner[r] += row[i + r] * x_rows[r];
        }
    }
    for (i, &x_i) in (x.len() - last.len()..).zip(last) {
        let (line, after) = rest.split_at(i + 1);
        rest = after;
        gain[i] = dot(&line[..i], x) + line[i] * x_i;
        gain[..i].iter_mut().zip(line).for_each(|(g, p)| *g += p * x_i);
    }
}

/// Element by element (p − k · k) · `keep`.
#[inline(always)]
fn shrink(triangle: &mut [f64], gain: &[f64], keep: f64) {
    let mut rest = triangle;
    for (i, &k_i) in gain.iter().enumerate() {
        let (line, after) = rest.split_at_mut(i + 1);
        rest = after;
        for (p, k_j) in line.iter_mut().zip(gain) {
            *p = (*p - k_i * k_j) * keep;
        }
    }
}

/// The sum of products of two lists, as far as both go, in [`LANES`] sums side by side.
pub(in crate::models) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, a_rest) = a[..n].as_chunks::<LANES>();
    let (b, b_rest) = b[..n].as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
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
        let element = |i: usize, j: usize| covariance.triangle[end_of_row(i.max(j)) - i.abs_diff(j)];
        (0..covariance.len()).map(|i| (0..covariance.len()).map(|j| element(i, j)).collect()).collect()
    }

    #[test]
    fn the_passes_over_rows_short_and_long_do_what_the_equations_say() {
        for n in [1, 2, 7, SHORT, SHORT + 1, 77] {
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
