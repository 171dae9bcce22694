//! The champion: repeats the prediction of its best member.
//!
//! Its columns are its members' predictions. [`best`] elects a member from the [`Track`] of each, which the scorer of
//! the models keeps. It follows the leader and changes only for a difference that counts, so that two equals do not
//! take turns.
//! What this does not do: keep errors of its own, which would duplicate those of the members.

use serde::{Deserialize, Serialize};

use super::{Description, Features, NamedColumn, Refused, Regressor};
use thalweg_metrics::checked;

/// Parameters of [`Champion`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Names of the models to choose from, at least one.
    pub members: Vec<String>,
    /// Share of the champion's RMSE by which a challenger must be better, 0 or more and under 1.
    pub margin: f64,
}

checked!(Params { members, margin });

impl Params {
    /// Margin used unless the settings name another.
    pub const DEFAULT_MARGIN: f64 = 0.02;
}

impl Default for Params {
    /// Returns parameters without members, which the settings read as all other models.
    fn default() -> Self {
        Self { members: Vec::new(), margin: Self::DEFAULT_MARGIN }
    }
}

/// Share of all samples so far that a recent error covers: the latest ones, so that a bad start is forgotten.
const MEMORY_SHARE: f64 = 0.5;

/// Largest number of samples that a recent error covers.
const MAX_MEMORY_SAMPLES: f64 = 2000.0;

/// Samples before a margin is required. Until then the leader is followed: models differ most at the start.
const WARM_UP_SAMPLES: u64 = 200;

/// Standard errors by which a model must beat the default: a single large error of the default gives less, two give
/// more. Over 52 streams the elected model then has 1.001 times the best one's RMSE (geometric mean); with three it has
/// 1.017.
const MIN_STANDARD_ERRORS: f64 = 1.0;

/// Samples up to which no model counts as better than the default.
const MIN_COMPARED_SAMPLES: u64 = 30;

/// Squared errors are capped here, so that no product of them overflows.
const MAX_SQUARED_ERROR: f64 = 1e150;

/// Caps a square at [`MAX_SQUARED_ERROR`], also if it is NaN. [`f64::min`] takes four times the instructions.
#[inline]
fn bounded(squared: f64) -> f64 {
    if squared < MAX_SQUARED_ERROR { squared } else { MAX_SQUARED_ERROR }
}

/// A model's recent errors, on which elections are based.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Number of samples scored.
    seen: u64,
    /// Faded mean of its squared errors.
    error: f64,
    /// Faded mean of the default's squared error minus the model's.
    ahead: f64,
    /// Faded mean of the square of that difference.
    scatter: f64,
}

checked!(Track { seen, error, ahead, scatter });

impl Track {
    /// Returns a track that begins amid a run: `n` samples were scored, the latest ones with this mean squared error.
    pub fn with(n: u64, error: f64) -> Self {
        Self { seen: n, error: error.min(MAX_SQUARED_ERROR), ..Self::default() }
    }

    /// Takes the squared error of the next sample, and the default's if there is one.
    #[inline]
    pub fn update(&mut self, squared: f64, default: Option<f64>) {
        self.seen += 1;
        let rate = 1.0 / self.memory();
        let squared = bounded(squared);
        self.error += rate * (squared - self.error);
        if let Some(default) = default {
            let ahead = bounded(default) - squared;
            self.ahead += rate * (ahead - self.ahead);
            self.scatter += rate * (ahead * ahead - self.scatter);
        }
    }

    /// Returns the track against another default, with no comparison made yet.
    #[must_use]
    pub fn against_another(self) -> Self {
        Self { ahead: 0.0, scatter: 0.0, ..self }
    }

    /// Returns the recent RMSE, in the target's unit, which elections compare.
    pub fn rmse(&self) -> f64 {
        self.error.sqrt()
    }

    /// Returns the approximate number of samples that the recent RMSE covers.
    pub fn samples(&self) -> u64 {
        self.memory().min(self.seen as f64).round() as u64
    }

    /// Returns the number of samples that the faded means cover.
    #[inline]
    fn memory(&self) -> f64 {
        (MEMORY_SHARE * self.seen as f64).clamp(1.0, MAX_MEMORY_SAMPLES)
    }

    /// Returns whether the model beats the default by more than chance. A single large error of the default is no
    /// proof.
    fn beats_default(&self) -> bool {
        self.seen > MIN_COMPARED_SAMPLES
            && self.ahead * self.memory().sqrt() > MIN_STANDARD_ERRORS * self.scatter.sqrt()
    }
}

/// Follows one of its members.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Champion {
    margin: f64,
    /// Column of the member it follows.
    current: usize,
}

checked!(Champion { margin, current });

impl Champion {
    /// Returns a champion that follows its first member.
    pub fn new(params: &Params) -> Self {
        Self { margin: params.margin, current: 0 }
    }

    /// Returns the column of the member that it follows.
    pub fn current(&self) -> usize {
        self.current
    }

    /// Follows this member from now on.
    pub fn follow(&mut self, member: usize) {
        self.current = member;
    }

    /// Follows the [`best`] member from now on. Returns whether that is another one than before.
    pub fn elect<'a>(&mut self, default: Option<usize>, members: impl Iterator<Item = &'a Track> + Clone) -> bool {
        let before = self.current;
        self.current = best(before, default, members, self.margin);
        self.current != before
    }
}

/// Returns the index of the model to follow after `current`: the leader (the lowest faded squared error; Kalai and
/// Vempala 2005, "Efficient algorithms for online decision problems", on following it and on doing so lazily), if its
/// RMSE is lower by more than `margin`, a share of the `current` one's. If one of them is the `default`, that one is
/// followed unless another has beaten it by a standard error of the paired difference (Diebold and Mariano 1995), and
/// again as soon as it leads. A model that has begun later than `current` takes part after 200 samples.
pub fn best<'a>(
    current: usize,
    default: Option<usize>,
    tracks: impl Iterator<Item = &'a Track> + Clone,
    margin: f64,
) -> usize {
    let Some(present) = tracks.clone().nth(current) else { return 0 };
    let factor = if present.seen > WARM_UP_SAMPLES { (1.0 - margin) * (1.0 - margin) } else { 1.0 };
    let mut leader = (current, present.error);
    for (i, track) in tracks.enumerate() {
        // Nearly always true for most models.
        if track.error >= leader.1 || track.seen < present.seen.min(WARM_UP_SAMPLES) {
            continue;
        }
        let wins = match default {
            Some(default) if i == default => true,
            Some(default) if current == default => track.beats_default(),
            Some(_) => track.error < factor * present.error && track.beats_default(),
            None => track.error < factor * present.error,
        };
        if wins {
            leader = (i, track.error);
        }
    }
    leader.0
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

    fn describe(&self, columns: &[NamedColumn]) -> Description {
        let weights: Vec<f64> = (0..columns.len()).map(|i| f64::from(i == self.current)).collect();
        Description::linear(0.0, &weights, columns)
    }

    fn weighs_columns(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(n: u64, errors: [f64; 3]) -> [Track; 3] {
        errors.map(|error| Track::with(n, error * error))
    }

    /// Returns the tracks of two models that make these errors `n` times; the first one is the default.
    fn tracks(n: usize, errors: [fn(usize) -> f64; 2]) -> [Track; 2] {
        let mut tracks = [Track::default(); 2];
        for i in 0..n {
            let squares = errors.map(|error| error(i) * error(i));
            tracks.iter_mut().zip(squares).for_each(|(track, square)| track.update(square, Some(squares[0])));
        }
        tracks
    }

    #[test]
    fn a_challenger_that_is_hardly_better_does_not_win() {
        let elect = |current, tracks: [Track; 3], margin| best(current, None, tracks.iter(), margin);
        assert_eq!(elect(0, after(500, [1.0, 0.99, 2.0]), 0.02), 0);
        assert_eq!(elect(0, after(500, [1.0, 0.97, 2.0]), 0.02), 1);
        // Without a margin the lowest wins, and the present one keeps its place among equals.
        assert_eq!(elect(2, after(500, [1.0, 0.5, 0.5]), 0.0), 2);
        assert_eq!(elect(0, after(500, [1.0, 0.5, 0.5]), 0.0), 1);
        // At the start the leader is followed.
        assert_eq!(elect(0, after(20, [1.0, 0.99, 2.0]), 0.02), 1);
    }

    #[test]
    fn a_champion_without_an_error_stays() {
        assert_eq!(best(1, None, after(500, [0.0; 3]).iter(), 0.02), 1);
        assert_eq!(best(7, None, after(500, [0.0; 3]).iter(), 0.02), 0);
    }

    #[test]
    fn a_newcomer_is_not_elected_for_a_lucky_start() {
        let mut tracks = after(5000, [1.0; 3]);
        tracks[1] = Track::default();
        for _ in 0..199 {
            tracks[1].update(0.0, None);
            assert_eq!(best(0, None, tracks.iter(), 0.02), 0);
        }
        tracks[1].update(0.0, None);
        assert_eq!(best(0, None, tracks.iter(), 0.02), 1);
    }

    #[test]
    fn the_default_is_left_for_proof_and_not_for_a_single_large_error() {
        let errors: [fn(usize) -> f64; 2] = [|i| 1.0 + (i % 7) as f64 / 7.0, |i| 0.8 * (1.0 + (i % 7) as f64 / 7.0)];
        assert_eq!(best(0, Some(0), tracks(1000, errors).iter(), 0.02), 1);
        assert_eq!(best(0, Some(0), tracks(30, errors).iter(), 0.02), 0);
        assert_eq!(best(0, Some(0), tracks(31, errors).iter(), 0.02), 1);
        // Far less than half the mean squared error, all of it of one sample.
        let lucky = |late: fn(usize) -> f64| tracks(1000, [late, |_| 1.05]);
        let once = lucky(|i| if i == 700 { 60.0 } else { 1.0 });
        assert!(once[1].error < 0.3 * once[0].error);
        assert_eq!(best(0, Some(0), once.iter(), 0.02), 0);
        let again = lucky(|i| if i % 100 == 0 { 60.0 } else { 1.0 });
        assert_eq!(best(0, Some(0), again.iter(), 0.02), 1);
        // Back as soon as it leads.
        assert_eq!(best(1, Some(0), tracks(1000, [|_| 0.999, |_| 1.0]).iter(), 0.02), 0);
    }

    #[test]
    fn an_old_bad_start_is_forgotten_and_errors_without_bounds_stay_finite() {
        let [first, second] = tracks(300, [|i| if i < 50 { 1e100 } else { 1.0 }, |_| 2.0]);
        assert!(first.error.is_finite() && first.scatter.is_finite() && second.ahead.is_finite());
        let late = tracks(1000, [|i| if i < 50 { 20.0 } else { 1.0 }, |_| 2.0]);
        assert!(late[0].error < late[1].error, "{late:?}");
    }
}
