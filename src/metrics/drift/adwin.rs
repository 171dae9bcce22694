//! ADWIN: a window that grows while the mean stays the same and shrinks when it changes.

use serde::{Deserialize, Serialize};

use crate::checked;

/// Parameters of [`Adwin`]; the defaults are River's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdwinParams {
    /// Chance of a false alarm at a check, 0 < `delta` < 1.
    pub delta: f64,
    /// Number of values between two checks, ≥ 1.
    pub clock: u32,
    /// Number of buckets of one size before two of them become one of the next, ≥ 2.
    pub max_buckets: u32,
    /// Minimum number of values on either side of a cut, ≥ 1.
    pub min_window_length: u32,
    /// Number of values before the first check.
    pub grace_period: u32,
}

impl Default for AdwinParams {
    fn default() -> Self {
        Self { delta: 0.002, clock: 32, max_buckets: 5, min_window_length: 5, grace_period: 10 }
    }
}

/// Adaptive windowing (Bifet and Gavaldà 2007, "Learning from time-changing data with adaptive windowing"), with River's
/// results. The window is an exponential histogram: row `i` holds buckets of 2^i values, so that a window of W values
/// takes O(log W) of memory. At a check, every cut between two buckets is tried, oldest first; while the means of both
/// sides differ more than chance allows, the oldest bucket is dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adwin {
    params: AdwinParams,
    rows: Vec<Row>,
    width: u64,
    total: f64,
    variance: f64,
    ticks: u64,
    detected: bool,
}

/// Maximum number of rows: more would hold more values than can be counted.
const MAX_ROWS: usize = 60;

/// Maximum of `max_buckets` in a state.
const MAX_BUCKETS: usize = 1_000_000;

/// Buckets of one size, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Row {
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Bucket {
    total: f64,
    /// Sum of squared deviations from the bucket's mean.
    variance: f64,
}

checked!(AdwinParams { delta, clock, max_buckets, min_window_length, grace_period });

checked!(Adwin { params, rows, width, total, variance, ticks, detected } then fits);

checked!(Row { buckets });

checked!(Bucket { total, variance });

impl Adwin {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { params, rows, width, .. } = self;
        let most = params.max_buckets as usize;
        if !(2..=MAX_BUCKETS).contains(&most) {
            return Err("an ADWIN has an impossible number of buckets of a size");
        }
        if rows.len() > MAX_ROWS || rows.iter().any(|row| row.buckets.len() > most) {
            return Err("an ADWIN holds more buckets than fit");
        }
        let values = rows.iter().enumerate().try_fold(0_u64, |sum, (i, row)| {
            sum.checked_add((row.buckets.len() as u64).checked_mul(1 << i)?).filter(|sum| *sum <= 1 << MAX_ROWS)
        });
        if values != Some(*width) {
            return Err("the width of an ADWIN is not that of its buckets");
        }
        Ok(())
    }

    /// Makes a detector that has seen nothing.
    pub fn new(params: AdwinParams) -> Self {
        Self { params, rows: Vec::new(), width: 0, total: 0.0, variance: 0.0, ticks: 0, detected: false }
    }

    /// Returns the number of values in the window.
    pub fn width(&self) -> u64 {
        self.width
    }

    /// Returns the sum of the values in the window.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// Returns the sum of squared deviations from the mean of the window.
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// Returns the mean of the window, 0 if it is empty.
    pub fn estimation(&self) -> f64 {
        if self.width == 0 { 0.0 } else { self.total / self.width as f64 }
    }

    /// Returns the bytes on the heap: every row has capacity for all the buckets that it may come to hold.
    pub(super) fn heap_bytes(&self) -> usize {
        let row = size_of::<Row>() + (self.params.max_buckets as usize + 1) * size_of::<Bucket>();
        self.rows.len() * row
    }

    /// Takes the next value; returns true if the mean has changed. A value that is not finite, or whose square
    /// overflows, is skipped.
    #[inline]
    pub fn update(&mut self, value: f64) -> bool {
        if self.detected {
            self.restart();
        }
        if value.abs() > 1e150 || value.is_nan() {
            return false;
        }
        self.insert(value);
        self.ticks += 1;
        if self.ticks.is_multiple_of(u64::from(self.params.clock)) && self.width > u64::from(self.params.grace_period) {
            self.detected = self.shrink();
        }
        self.detected
    }

    /// Forgets everything but keeps its buffers.
    fn restart(&mut self) {
        self.rows.iter_mut().for_each(|row| row.buckets.clear());
        (self.width, self.total, self.variance, self.ticks, self.detected) = (0, 0.0, 0.0, 0, false);
    }

    #[inline]
    fn insert(&mut self, value: f64) {
        if self.width > 0 {
            let width = self.width as f64;
            let deviation = value - self.total / width;
            self.variance += width * deviation * deviation / (width + 1.0);
        }
        self.width += 1;
        self.total += value;
        let most = self.params.max_buckets as usize;
        let mut incoming = Bucket { total: value, variance: 0.0 };
        let mut size = 1.0;
        for row in &mut self.rows {
            row.buckets.push(incoming);
            if row.buckets.len() <= most {
                return;
            }
            incoming = Bucket::joined(row.buckets[0], row.buckets[1], size);
            row.buckets.drain(..2);
            size *= 2.0;
        }
        let mut buckets = Vec::with_capacity(most + 1);
        buckets.push(incoming);
        self.rows.push(Row { buckets });
    }

    /// Drops the values before the last change; returns true if there was one.
    fn shrink(&mut self) -> bool {
        let mut changed = false;
        while self.has_cut() {
            changed = true;
            self.drop_oldest();
        }
        changed
    }

    fn has_cut(&self) -> bool {
        let width = self.width as f64;
        let least = f64::from(self.params.min_window_length);
        let confidence = (2.0 * width.ln() / self.params.delta).ln();
        let spread = 2.0 * (self.variance / width) * confidence;
        let (mut n0, mut total0) = (0.0, 0.0);
        for (i, row) in self.rows.iter().enumerate().rev() {
            let size = (1_u64 << i) as f64;
            for bucket in &row.buckets {
                n0 += size;
                total0 += bucket.total;
                let (n1, total1) = (width - n0, self.total - total0);
                if n1 < least {
                    return false;
                }
                if n0 < least {
                    continue;
                }
                let m = 1.0 / (n0 - least + 1.0) + 1.0 / (n1 - least + 1.0);
                let bound = (spread * m).sqrt() + 2.0 / 3.0 * confidence * m;
                if (total0 / n0 - total1 / n1).abs() > bound {
                    return true;
                }
            }
        }
        false
    }

    fn drop_oldest(&mut self) {
        while self.rows.last().is_some_and(|row| row.buckets.is_empty()) {
            self.rows.pop();
        }
        let Some(size) = self.rows.len().checked_sub(1).map(|i| 1_u64 << i) else { return };
        let Some(row) = self.rows.last_mut() else { return };
        let bucket = row.buckets.remove(0);
        if row.buckets.is_empty() {
            self.rows.pop();
        }
        self.width -= size;
        self.total -= bucket.total;
        if self.width == 0 {
            self.variance = 0.0;
            return;
        }
        let (n, width) = (size as f64, self.width as f64);
        let apart = bucket.total / n - self.total / width;
        // Cancellation must not make it negative.
        self.variance = (self.variance - bucket.variance - n * width * apart * apart / (n + width)).max(0.0);
    }
}

impl Bucket {
    /// Joins two buckets of `size` values each.
    fn joined(a: Self, b: Self, size: f64) -> Self {
        let apart = a.total / size - b.total / size;
        Self { total: a.total + b.total, variance: a.variance + b.variance + size * 0.5 * apart * apart }
    }
}
