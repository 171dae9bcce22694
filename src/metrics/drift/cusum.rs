//! CUSUM on squared errors: an alarm when they stay above the usual.

use serde::{Deserialize, Serialize};

use crate::checked;

/// Parameters of [`Cusum`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CusumParams {
    /// Multiple of the usual squared error up to which there is no change, > 0.
    pub slack: f64,
    /// Sum of excess, in usual squared errors, above which there is a change, > 0.
    pub threshold: f64,
    /// Rate at which the usual squared error follows the latest one, 0 < `rate` < 1.
    pub rate: f64,
}

impl Default for CusumParams {
    fn default() -> Self {
        Self { slack: 2.0, threshold: 40.0, rate: 0.005 }
    }
}

/// A cumulative sum (Page 1954) of the excess of squared errors over the usual one. The usual error follows slowly, and
/// a single outlier counts nine-fold at most, so that only a lasting rise is a change. After an alarm, four times the
/// usual error becomes usual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cusum {
    params: CusumParams,
    /// Usual squared error; 0 before the first one.
    usual: f64,
    sum: f64,
}

/// Bound on a squared error, in usual ones.
const MAX_ERROR_RATIO: f64 = 9.0;

/// Factor on the usual squared error after an alarm.
const ALARM_SCALE_FACTOR: f64 = 4.0;

checked!(CusumParams { slack, threshold, rate });

checked!(Cusum { params, usual, sum });

impl Cusum {
    /// Makes a detector that has seen nothing.
    pub fn new(params: CusumParams) -> Self {
        Self { params, usual: 0.0, sum: 0.0 }
    }

    /// Returns the squared error that counts as usual.
    pub fn usual(&self) -> f64 {
        self.usual
    }

    /// Returns the usual squared error before the alarm that the last error gave.
    pub fn usual_before(&self) -> f64 {
        self.usual / ALARM_SCALE_FACTOR
    }

    /// Sets the usual squared error and resets the sum.
    pub fn expect(&mut self, usual: f64) {
        (self.usual, self.sum) = (usual, 0.0);
    }

    /// Takes the next error, in the target's unit; returns true if errors have risen. One that is not finite is
    /// skipped.
    #[inline]
    pub fn update(&mut self, error: f64) -> bool {
        let square = error * error;
        if !square.is_finite() {
            return false;
        }
        if self.usual == 0.0 {
            self.usual = square;
            return false;
        }
        let CusumParams { slack, threshold, rate } = self.params;
        self.sum = (self.sum + (square / self.usual).min(MAX_ERROR_RATIO) - slack).max(0.0);
        self.usual += rate * (square.min(MAX_ERROR_RATIO * self.usual) - self.usual);
        let changed = self.sum > threshold;
        if changed {
            self.usual *= ALARM_SCALE_FACTOR;
            self.sum = 0.0;
        }
        changed
    }
}
