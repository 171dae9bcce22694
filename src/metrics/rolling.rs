//! Scores the last samples, exactly however long it runs.
//!
//! Two stacks (Tangwongsan, Hirzel and Schneider 2015): the older half of the window holds, for each sample, the scores
//! of itself and all that came after it in that half; the newer half is one running sum. The window is their merge, a
//! sample leaves by being dropped, and no sum is ever subtracted from: an outlier that has left leaves no trace. The
//! histogram of the errors is of whole counts, from which taking one off is exact.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::checked;

use super::{Quantiles, Scores, quantiles::bucket, scores::Sums};

/// [`Scores`] of the last `window` predictions and the [`Quantiles`] of their errors. O(1) a sample, amortised; `window` ×
/// 110 bytes at most, and the histogram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rolling {
    window: usize,
    /// Older samples, oldest last: each with the scores of itself and all newer ones in this list.
    older: Vec<Scores>,
    /// Newer samples as (target, prediction), oldest first.
    newer: Vec<(f64, f64)>,
    newer_scores: Scores,
    errors: Quantiles,
    /// Bucket of each sample in `errors`, oldest first.
    buckets: VecDeque<u16>,
}

checked!(Rolling { window, older, newer, newer_scores, errors, buckets } then fits);

impl Rolling {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { window, older, newer, errors, buckets, .. } = self;
        let held = older.len() + newer.len();
        if *window == 0 || held > *window {
            return Err("a rolling window holds more samples than fit");
        }
        if buckets.len() != held || !errors.holds(buckets) {
            return Err("the errors in a rolling window are not those of its samples");
        }
        Ok(())
    }

    /// Makes an empty window of at most `window` samples, at least 1.
    pub fn new(window: usize) -> Self {
        Self {
            window: window.max(1),
            older: Vec::new(),
            newer: Vec::new(),
            newer_scores: Scores::default(),
            errors: Quantiles::default(),
            buckets: VecDeque::new(),
        }
    }

    /// Scores the prediction `p` of the target `y`; when the window is full the oldest sample leaves it.
    #[inline]
    pub fn update(&mut self, y: f64, p: f64) {
        self.add(y, p, Sums::of(y, p), bucket(y - p));
    }

    /// Scores a prediction with its errors and their bucket.
    #[inline]
    pub(super) fn add(&mut self, y: f64, p: f64, errors: Sums, bucket: u16) {
        if self.older.len() + self.newer.len() == self.window {
            self.drop_oldest();
        }
        self.newer.push((y, p));
        self.newer_scores.add(y, errors);
        self.errors.insert(bucket);
        self.buckets.push_back(bucket);
    }

    /// Returns the absolute errors in the window.
    pub fn errors(&self) -> &Quantiles {
        &self.errors
    }

    /// Returns the scores of the samples in the window.
    pub fn scores(&self) -> Scores {
        match self.older.last() {
            Some(older) => older.merged(self.newer_scores),
            None => self.newer_scores,
        }
    }

    fn drop_oldest(&mut self) {
        if self.older.is_empty() {
            let mut sum = Scores::default();
            self.older.extend(self.newer.drain(..).rev().map(|(y, p)| {
                sum.update(y, p);
                sum
            }));
            self.newer_scores = Scores::default();
        }
        self.older.pop();
        if let Some(bucket) = self.buckets.pop_front() {
            self.errors.remove(bucket);
        }
    }
}
