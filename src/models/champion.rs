//! The champion: predicts what the best of its members has predicted.
//!
//! Its columns are its members' predictions. Who is best is judged from a [`Track`] for each, kept by whoever scores them:
//! see [`best`], which follows the leader and changes its mind only for a difference that counts, so that two equals do not
//! take turns.
//! What this does not do: keep errors of its own, which would be those of the members once more.

use serde::{Deserialize, Serialize};

use super::{Description, Features, NamedColumn, Refused, Regressor};
use thalweg_metrics::checked;

/// Parameters of [`Champion`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Names of the models to choose from, at least one.
    pub members: Vec<String>,
    /// A challenger must be better by more than this share of the champion's RMSE, 0 or more and under 1.
    pub margin: f64,
}

checked!(Params { members, margin });

impl Params {
    /// By how much a challenger must be better where nothing else is said.
    pub const DEFAULT_MARGIN: f64 = 0.02;
}

impl Default for Params {
    /// No members, which settings take for all other models.
    fn default() -> Self {
        Self { members: Vec::new(), margin: Self::DEFAULT_MARGIN }
    }
}

/// Share of the samples so far that an error looks back on: the latest count, and a bad start is forgotten.
const SHARE: f64 = 0.5;

/// Samples that it looks back on at most.
const MOST: f64 = 2000.0;

/// Samples after which a margin is asked for. Before, whoever leads is followed: models differ most at the start.
const SETTLED: u64 = 200;

/// Standard errors by which the default must have been beaten: a single large error of it is less, two are more. Over 52
/// streams what is followed then has 1.001 times the best one's RMSE (geometric mean); with three it has 1.017 times.
const PROOF: f64 = 1.0;

/// Samples before which nothing is proof.
const FEW: u64 = 30;

/// Squared errors beyond this are all as bad, so that no product of them overflows.
const WORST: f64 = 1e150;

/// The square, or [`WORST`] where it is larger or no number. [`f64::min`] takes four times the instructions.
#[inline]
fn bounded(squared: f64) -> f64 {
    if squared < WORST { squared } else { WORST }
}

/// How a model has done of late: what elections look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Samples scored.
    seen: u64,
    /// Faded mean of its squared errors.
    error: f64,
    /// Faded mean of how much smaller they were than the default's.
    ahead: f64,
    /// Faded mean of that, squared.
    scatter: f64,
}

checked!(Track { seen, error, ahead, scatter });

impl Track {
    /// One that begins amid a run: `n` samples were scored, the latest ones with this mean squared error.
    pub fn with(n: u64, error: f64) -> Self {
        Self { seen: n, error: error.min(WORST), ..Self::default() }
    }

    /// Takes the squared error of the next sample, and the default's where there is one.
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

    /// The same with another default, against which nothing is known yet.
    #[must_use]
    pub fn against_another(self) -> Self {
        Self { ahead: 0.0, scatter: 0.0, ..self }
    }

    /// RMSE of late, in the target's unit: what an election compares.
    pub fn rmse(&self) -> f64 {
        self.error.sqrt()
    }

    /// How many samples that looks back on, about.
    pub fn samples(&self) -> u64 {
        self.memory().min(self.seen as f64).round() as u64
    }

    /// Samples that the means look back on.
    #[inline]
    fn memory(&self) -> f64 {
        (SHARE * self.seen as f64).clamp(1.0, MOST)
    }

    /// Whether it has beaten the default by more than chance would. A single large error of the default is no proof.
    fn beats_default(&self) -> bool {
        self.seen > FEW && self.ahead * self.memory().sqrt() > PROOF * self.scatter.sqrt()
    }
}

/// Follows one of its members.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Champion {
    margin: f64,
    /// The member's column.
    current: usize,
}

checked!(Champion { margin, current });

impl Champion {
    /// One that follows its first member.
    pub fn new(params: &Params) -> Self {
        Self { margin: params.margin, current: 0 }
    }

    /// The column of the member that it follows.
    pub fn current(&self) -> usize {
        self.current
    }

    /// Follows this member from now on.
    pub fn follow(&mut self, member: usize) {
        self.current = member;
    }

    /// Follows the best member from now on, as of [`best`]. Whether that is another one.
    pub fn elect<'a>(&mut self, default: Option<usize>, members: impl Iterator<Item = &'a Track> + Clone) -> bool {
        let before = self.current;
        self.current = best(before, default, members, self.margin);
        self.current != before
    }
}

/// Whom to follow after `current`, by index: the leader (the lowest faded squared error; Kalai and Vempala 2005, "Efficient
/// algorithms for online decision problems", on following it and on doing so lazily), if its RMSE is lower by more than
/// `margin`, a share of the `current` one's. Where one of them is the `default`, that one is followed unless another has
/// beaten it by a standard error of the paired difference (Diebold and Mariano 1995), and again as soon as it leads. A
/// model that has begun later than `current` takes part after 200 samples.
pub fn best<'a>(
    current: usize,
    default: Option<usize>,
    tracks: impl Iterator<Item = &'a Track> + Clone,
    margin: f64,
) -> usize {
    let Some(present) = tracks.clone().nth(current) else { return 0 };
    let enough = if present.seen > SETTLED { (1.0 - margin) * (1.0 - margin) } else { 1.0 };
    let mut leader = (current, present.error);
    for (i, track) in tracks.enumerate() {
        // Most of them, nearly always.
        if track.error >= leader.1 || track.seen < present.seen.min(SETTLED) {
            continue;
        }
        let wins = match default {
            Some(default) if i == default => true,
            Some(default) if current == default => track.beats_default(),
            Some(_) => track.error < enough * present.error && track.beats_default(),
            None => track.error < enough * present.error,
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

    /// Tracks of models that make these errors over and over, the first of them the default.
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
        // At the start whoever leads is followed.
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
