//! The champion: predicts what the best of its members of late has predicted.
//!
//! Its columns are its members' predictions. Who is best is judged by whoever knows their errors: see [`best`], which
//! changes its mind only for a difference that counts (hysteresis), so that two equals do not take turns.
//! What this does not do: keep errors of its own, which would be those of the members once more.

use serde::{Deserialize, Serialize};

use super::{Features, Refused, Regressor};

/// Parameters of [`Champion`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Names of the models to choose from, at least one.
    pub members: Vec<String>,
    /// A challenger must be better by more than this share of the champion's RMSE, 0 or more and under 1.
    pub margin: f64,
}

impl Params {
    /// By how much a challenger must be better where nothing else is said.
    pub const MARGIN: f64 = 0.02;
}

/// Follows one of its members.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Champion {
    margin: f64,
    /// The member's column.
    current: usize,
}

impl Champion {
    /// One that follows its first member.
    pub fn new(params: &Params) -> Self {
        Self { margin: params.margin, current: 0 }
    }

    /// The column of the member that it follows.
    pub fn current(&self) -> usize {
        self.current
    }

    /// Follows the best member of late from now on, given their RMSEs. Whether that is another one.
    pub fn elect(&mut self, rmses: impl Iterator<Item = f64>) -> bool {
        let before = self.current;
        self.current = best(before, rmses, self.margin);
        self.current != before
    }
}

/// The index of the lowest RMSE, the first of equals, unless it is less than `margin`, a share of the `current` one's,
/// below that.
pub fn best(current: usize, rmses: impl Iterator<Item = f64>, margin: f64) -> usize {
    let (mut lowest, mut present) = ((current, f64::INFINITY), f64::INFINITY);
    for (i, rmse) in rmses.enumerate() {
        if i == current && !rmse.is_nan() {
            present = rmse;
        }
        if rmse < lowest.1 {
            lowest = (i, rmse);
        }
    }
    if lowest.1 < present * (1.0 - margin) { lowest.0 } else { current }
}

impl Regressor for Champion {
    fn predict_one(&self, members: Features<'_>) -> f64 {
        members.get(self.current).unwrap_or(0.0)
    }

    fn learn_one(&mut self, _: Features<'_>, _: f64, _: f64) -> Result<(), Refused> {
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenger_that_is_hardly_better_does_not_win() {
        assert_eq!(best(0, [1.0, 0.99].into_iter(), 0.02), 0);
        assert_eq!(best(0, [1.0, 0.97].into_iter(), 0.02), 1);
        assert_eq!(best(1, [0.99, 1.0].into_iter(), 0.02), 1);
        // Without a margin the lowest wins, and the present one keeps its place among equals.
        assert_eq!(best(2, [1.0, 0.5, 0.5].into_iter(), 0.0), 2);
        assert_eq!(best(0, [1.0, 0.5, 0.5].into_iter(), 0.0), 1);
    }

    #[test]
    fn a_champion_without_an_error_or_with_none_but_nan_stays() {
        assert_eq!(best(1, [0.0, 0.0].into_iter(), 0.02), 1);
        assert_eq!(best(1, [f64::NAN, f64::NAN].into_iter(), 0.02), 1);
        assert_eq!(best(1, [0.5, f64::NAN].into_iter(), 0.02), 0);
    }
}
