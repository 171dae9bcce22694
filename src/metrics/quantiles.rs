//! Estimates quantiles of the absolute error.
//!
//! Invariant: counts only, so that removing a sample restores the state without it, and two sets of counts add up.

use std::{borrow::Cow, collections::VecDeque};

use serde::{Deserialize, Serialize, Serializer};

use crate::checked;

/// Number of bits of the mantissa that choose a bucket: 64 buckets from one power of two to the next.
const MANTISSA_BITS: u32 = 6;

/// Smallest exponent, biased, and number of exponents: errors below 2⁻⁶⁴ count as 0, those from 2⁵⁰⁰ on as 2⁵⁰⁰.
const MIN_EXPONENT: u64 = 1023 - 64;
const EXPONENT_COUNT: u64 = 64 + 500;

/// Buckets with errors from which on all between the least and the greatest are kept.
const MAX_SPARSE: usize = 64;

/// A histogram of |y − p| with logarithmic buckets (after DDSketch: Masson, Rim and Lee 2019), whose quantiles are within
/// 0.8 % of the true ones. 16 bytes for each bucket that holds errors, while there are at most 64 of them; from then on 8 bytes for
/// each between the least and the greatest error: about 10 KB in everyday life, 290 KB at most.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "State")]
pub struct Quantiles {
    n: u64,
    /// The lowest bucket that has held errors.
    first: u16,
    /// Number of buckets from there to the highest that has.
    span: usize,
    /// Counts above 0 with their buckets, in order, while there are few of them.
    sparse: Vec<(u16, u64)>,
    /// All counts from the first bucket on; empty while there are few. Apart from the others, since most errors are counted here.
    dense: Vec<u64>,
}

/// The form in a state, which does not tell how it is kept.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Quantiles")]
struct State<'a> {
    n: u64,
    first: u16,
    counts: Cow<'a, [u64]>,
}

impl Serialize for Quantiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts = if self.dense.is_empty() {
            Cow::Owned(dense(&self.sparse, self.first, self.span))
        } else {
            Cow::Borrowed(&*self.dense)
        };
        State { n: self.n, first: self.first, counts }.serialize(serializer)
    }
}

impl From<State<'_>> for Quantiles {
    fn from(state: State<'_>) -> Self {
        let State { n, first, counts } = state;
        let span = counts.len();
        let buckets = (first..=u16::MAX).zip(counts.iter().copied()).filter(|(_, count)| *count > 0);
        // One that has too many buckets is refused as it is.
        let few = span <= usize::from(LAST_BUCKET) + 1 && buckets.clone().count() <= MAX_SPARSE;
        let sparse = if few { buckets.collect() } else { Vec::new() };
        Self { n, first, span, sparse, dense: if few { Vec::new() } else { counts.into_owned() } }
    }
}

impl PartialEq for Quantiles {
    fn eq(&self, other: &Self) -> bool {
        (self.n, self.first, self.span) == (other.n, other.first, other.span) && self.counted().eq(other.counted())
    }
}

/// Returns the counts of `span` buckets from `first` on.
fn dense(entries: &[(u16, u64)], first: u16, span: usize) -> Vec<u64> {
    let mut counts = vec![0; span];
    for (bucket, count) in entries {
        counts[usize::from(bucket - first)] = *count;
    }
    counts
}

/// Number of the last bucket.
const LAST_BUCKET: u16 = (EXPONENT_COUNT << MANTISSA_BITS) as u16;

/// Returns the bucket of an error; bucket 0 holds 0.
#[inline]
pub(super) fn bucket(error: f64) -> u16 {
    let key = error.abs().to_bits() >> (52 - MANTISSA_BITS);
    let from = MIN_EXPONENT << MANTISSA_BITS;
    // Saturating below puts the smallest errors into bucket 0.
    ((key + 1).saturating_sub(from)).min(u64::from(LAST_BUCKET)) as u16
}

/// Returns the middle of a bucket.
fn middle(bucket: u16) -> f64 {
    let Some(key) = u64::from(bucket).checked_sub(1) else { return 0.0 };
    let edge = |key: u64| f64::from_bits((key + (MIN_EXPONENT << MANTISSA_BITS)) << (52 - MANTISSA_BITS));
    f64::midpoint(edge(key), edge(key + 1))
}

checked!(Quantiles { n, first, span, sparse, dense } then fits);

impl Quantiles {
    fn fits(&self) -> Result<(), &'static str> {
        if self.span + usize::from(self.first) > usize::from(LAST_BUCKET) + 1 {
            return Err("a histogram of errors has more buckets than there are");
        }
        // The sum of so many counts of at most 2⁶⁰ can overflow.
        if self.counted().try_fold(0_u64, |sum, (_, count)| sum.checked_add(count)) != Some(self.n) {
            return Err("the counts of a histogram of errors do not add up");
        }
        Ok(())
    }

    /// Returns the buckets that hold errors, with their counts, in order.
    fn counted(&self) -> impl Iterator<Item = (u16, u64)> {
        let dense = (self.first..=u16::MAX).zip(self.dense.iter().copied()).filter(|(_, count)| *count > 0);
        self.sparse.iter().copied().chain(dense)
    }

    /// Counts an error; finite.
    #[inline]
    pub fn update(&mut self, error: f64) {
        self.insert(bucket(error));
    }

    #[inline]
    pub(super) fn insert(&mut self, bucket: u16) {
        match self.dense.get_mut(usize::from(bucket.wrapping_sub(self.first))) {
            Some(count) => {
                self.n += 1;
                *count += 1;
            }
            None => self.add(bucket, 1),
        }
    }

    /// Removes an error that was counted.
    #[inline]
    pub(super) fn remove(&mut self, bucket: u16) {
        if let Some(count) = self.dense.get_mut(usize::from(bucket.wrapping_sub(self.first))) {
            *count = count.saturating_sub(1);
            self.n = self.n.saturating_sub(1);
        } else {
            self.remove_sparse(bucket);
        }
    }

    #[inline(never)]
    fn remove_sparse(&mut self, bucket: u16) {
        if let Ok(at) = self.sparse.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            self.sparse[at].1 -= 1;
            self.n = self.n.saturating_sub(1);
            if self.sparse[at].1 == 0 {
                self.sparse.remove(at);
            }
        }
    }

    /// Returns true if it counts exactly these errors.
    pub(super) fn holds(&self, buckets: &VecDeque<u16>) -> bool {
        let mut counted = Self::default();
        buckets.iter().for_each(|bucket| counted.insert(*bucket));
        counted.counted().eq(self.counted())
    }

    /// Counts errors in a bucket, whether it has held any or not.
    #[inline(never)]
    fn add(&mut self, bucket: u16, errors: u64) {
        self.n += errors;
        let first = if self.span == 0 { bucket } else { self.first.min(bucket) };
        let end = (usize::from(self.first) + self.span).max(usize::from(bucket) + 1);
        let span = end - usize::from(first);
        if self.dense.is_empty() {
            match self.sparse.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
                Ok(at) => self.sparse[at].1 += errors,
                Err(at) => self.sparse.insert(at, (bucket, errors)),
            }
            if self.sparse.len() > MAX_SPARSE {
                self.dense = dense(&std::mem::take(&mut self.sparse), first, span);
            }
        } else {
            self.dense.splice(..0, std::iter::repeat_n(0, usize::from(self.first - first)));
            self.dense.resize(span, 0);
            self.dense[usize::from(bucket - first)] += errors;
        }
        (self.first, self.span) = (first, span);
    }

    /// Returns what both have counted.
    #[must_use]
    pub fn merged(mut self, other: &Self) -> Self {
        other.counted().for_each(|(bucket, errors)| self.add(bucket, errors));
        self
    }

    /// Returns [`Quantiles::get`]; `None` before the first error.
    pub fn known(&self, q: f64) -> Option<f64> {
        (self.n > 0).then(|| self.get(q))
    }

    /// Returns the error that a share `q` of all errors, from 0 to 1, does not exceed (nearest rank), within 0.8 %; 0
    /// before the first one.
    pub fn get(&self, q: f64) -> f64 {
        let rank = ((q * self.n as f64).ceil() as u64).clamp(1, self.n.max(1));
        let mut below = 0;
        for (bucket, count) in self.counted() {
            below += count;
            if below >= rank {
                return middle(bucket);
            }
        }
        0.0
    }
}
