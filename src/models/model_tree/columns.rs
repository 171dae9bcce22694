//! Which columns a tree works on: all of them where there are few, else those that have most to do with the target.
//!
//! The cost of a tree grows with the square of the columns it works on, so it takes [`MOST_COLUMNS`] at most. Where there
//! are more, columns compete: now and then one at random is compared with the least relevant one in use. The trees of a
//! forest draw differently and so come to know different columns.
//!
//! Invariant: the columns in use are distinct. What this does not do: see a column that matters only together with another.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::WIDEST;
use crate::{metrics::saved, models::room};

/// The most columns a tree works on at once.
pub(super) const MOST_COLUMNS: usize = WIDEST - 1;

/// A column has to be so many times as relevant as the one whose place it takes.
const CLEARLY: f64 = 1.5;

/// The columns of a tree.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Columns {
    /// By position in a row, the leading 1 aside.
    chosen: Vec<u32>,
    /// Columns there are.
    known: u32,
}

impl Columns {
    /// Columns in use.
    pub(super) fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Whether all columns there are are in use.
    pub(super) fn are_all(&self) -> bool {
        self.chosen.len() == self.known as usize
    }

    /// The column at each position.
    pub(super) fn chosen(&self) -> &[u32] {
        &self.chosen
    }

    /// Takes note of `d` columns, and uses new ones as far as there is room; whether it does.
    pub(super) fn follow(&mut self, d: usize, rng: &mut ChaCha8Rng) -> bool {
        let before = self.known as usize;
        if d <= before {
            return false;
        }
        let new = d - before;
        let taken = new.min(MOST_COLUMNS - self.chosen.len());
        let first = if taken < new { rng.random_range(0..new) } else { 0 };
        self.chosen.reserve_exact(taken);
        self.chosen.extend((0..taken).map(|i| (before + (first + i) % new) as u32));
        self.known = d as u32;
        taken > 0
    }

    /// The row of standardised features, with its leading 1. Unknown ones count as their mean.
    #[inline]
    pub(super) fn fill<'a>(&self, z: &[f64], row: &'a mut [f64; WIDEST]) -> &'a [f64] {
        row[0] = 1.0;
        for (x, column) in row[1..].iter_mut().zip(&self.chosen) {
            *x = z.get(*column as usize).copied().unwrap_or(0.0);
        }
        &row[..=self.chosen.len()]
    }

    /// Draws a column, and lets it take the place of the least relevant one in use that is not `kept`, if it is clearly
    /// more relevant; the position that it took.
    pub(super) fn replace(
        &mut self,
        relevance: &Relevance,
        kept: impl Fn(usize) -> bool,
        rng: &mut ChaCha8Rng,
    ) -> Option<usize> {
        let drawn = rng.random_range(0..self.known);
        if self.chosen.contains(&drawn) {
            return None;
        }
        let relevant = relevance.of(drawn);
        if relevant <= relevance.noise() {
            return None;
        }
        let ranked = self.chosen.iter().enumerate().map(|(position, column)| (position, relevance.of(*column)));
        let (position, least) = ranked.filter(|(i, _)| !kept(*i)).min_by(|a, b| a.1.total_cmp(&b.1))?;
        let clearly = relevant > CLEARLY * least;
        clearly.then(|| {
            self.chosen[position] = drawn;
            position
        })
    }

    pub(super) fn is_sound(&self) -> bool {
        let distinct = self.chosen.iter().enumerate().all(|(i, column)| !self.chosen[..i].contains(column));
        let many = (self.known as usize).min(MOST_COLUMNS);
        self.chosen.len() == many && distinct && self.chosen.iter().all(|column| *column < self.known)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.chosen.as_slice())
    }
}

/// How much each column has to do with the target, where there are too many to use all: the larger of the correlations of
/// its value and of its square.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Relevance {
    #[serde(deserialize_with = "saved::count")]
    n: u64,
    #[serde(deserialize_with = "saved::finite")]
    mean: f64,
    #[serde(deserialize_with = "saved::finite")]
    variance: f64,
    #[serde(deserialize_with = "saved::all_finite")]
    linear: Vec<f64>,
    #[serde(deserialize_with = "saved::all_finite")]
    square: Vec<f64>,
}

/// Share by which correlations follow the latest sample.
const RATE: f64 = 0.002;

/// The largest target that counts, in standard deviations.
const FAR: f64 = 3.0;

/// Correlations up to so many times their standard deviation are chance.
const CHANCE: f64 = 3.0;

impl Relevance {
    /// Learns a sample of standardised features.
    pub(super) fn learn(&mut self, z: &[f64], y: f64) {
        if z.len() <= MOST_COLUMNS {
            return;
        }
        room::lengthen(&mut self.linear, z.len(), 0.0);
        room::lengthen(&mut self.square, z.len(), 0.0);
        self.n += 1;
        let rate = self.rate();
        let apart = y - self.mean;
        self.mean += rate * apart;
        self.variance += rate * (apart * apart - self.variance);
        if self.variance <= 0.0 {
            return;
        }
        let y = (apart / self.variance.sqrt()).clamp(-FAR, FAR);
        for ((linear, square), z) in self.linear.iter_mut().zip(&mut self.square).zip(z) {
            *linear += rate * (z * y - *linear);
            *square += rate * ((z * z - 1.0) * y - *square);
        }
    }

    fn rate(&self) -> f64 {
        (1.0 / self.n.max(1) as f64).max(RATE)
    }

    /// Of a column, 0 where nothing is known.
    fn of(&self, column: u32) -> f64 {
        let size = |list: &[f64]| list.get(column as usize).map_or(0.0, |correlation| correlation.abs());
        size(&self.linear).max(size(&self.square))
    }

    /// What chance makes.
    fn noise(&self) -> f64 {
        CHANCE * self.rate().sqrt()
    }

    /// Whether a saved one can be.
    pub(super) fn is_sound(&self) -> bool {
        self.linear.len() == self.square.len() && self.variance >= 0.0
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.linear.as_slice()) + size_of_val(self.square.as_slice())
    }
}
