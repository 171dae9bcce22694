//! The Page-Hinkley test: a faded sum of deviations from the mean that has moved too far from its extreme.

use serde::{Deserialize, Serialize};

use crate::checked;

/// The changes that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Rises of the mean.
    Up,
    /// Falls of the mean.
    Down,
    /// Either.
    #[default]
    Both,
}

/// Parameters of [`PageHinkley`]; the defaults are River's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageHinkleyParams {
    /// Number of values before the first detection.
    pub min_instances: u32,
    /// Size up to which a deviation is no change, ≥ 0, in the values' unit.
    pub delta: f64,
    /// Sum of deviations above which there is a change, > 0, in the values' unit.
    pub threshold: f64,
    /// Share of the sum that is kept from value to value, 0 < `alpha` ≤ 1.
    pub alpha: f64,
    /// The changes that count.
    pub mode: Mode,
}

impl Default for PageHinkleyParams {
    fn default() -> Self {
        Self { min_instances: 30, delta: 0.005, threshold: 50.0, alpha: 0.9999, mode: Mode::Both }
    }
}

/// The Page-Hinkley test (Page 1954, "Continuous inspection schemes"), two-sided and faded, with River's results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageHinkley {
    params: PageHinkleyParams,
    n: u64,
    mean: f64,
    increase: f64,
    decrease: f64,
    /// Lowest `increase`; `None` before the first value.
    lowest: Option<f64>,
    /// Highest `decrease`. It starts where River's does.
    highest: f64,
    detected: bool,
}

checked!(enum Mode = Up | Down | Both);

checked!(PageHinkleyParams { min_instances, delta, threshold, alpha, mode });

checked!(PageHinkley { params, n, mean, increase, decrease, lowest, highest, detected });

impl PageHinkley {
    /// Makes a detector that has seen nothing.
    pub fn new(params: PageHinkleyParams) -> Self {
        Self { params, n: 0, mean: 0.0, increase: 0.0, decrease: 0.0, lowest: None, highest: -1.0, detected: false }
    }

    /// Returns the numbers that the test compares: mean, faded sum upwards with its lowest value, faded sum downwards
    /// with its highest.
    pub fn state(&self) -> [f64; 5] {
        [self.mean, self.increase, self.lowest.unwrap_or(f64::INFINITY), self.decrease, self.highest]
    }

    /// Takes the next value; returns true if the mean has changed. A value that is not finite is skipped.
    #[inline]
    pub fn update(&mut self, value: f64) -> bool {
        if self.detected {
            *self = Self::new(self.params);
        }
        // Beyond this the sums could overflow.
        if value.abs() > 1e150 || value.is_nan() {
            return false;
        }
        let PageHinkleyParams { min_instances, delta, threshold, alpha, mode } = self.params;
        self.n += 1;
        self.mean += (value - self.mean) / self.n as f64;
        let deviation = value - self.mean;
        self.increase = alpha * self.increase + deviation - delta;
        self.decrease = alpha * self.decrease + deviation + delta;
        let lowest = self.lowest.map_or(self.increase, |lowest| lowest.min(self.increase));
        self.lowest = Some(lowest);
        self.highest = self.highest.max(self.decrease);
        if self.n >= u64::from(min_instances) {
            let up = self.increase - lowest > threshold;
            let down = self.highest - self.decrease > threshold;
            self.detected = match mode {
                Mode::Up => up,
                Mode::Down => down,
                Mode::Both => up || down,
            };
        }
        self.detected
    }
}
