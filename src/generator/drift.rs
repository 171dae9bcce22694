//! Concept drift on top of any function (after Gama, Žliobaitė, Bifet, Pechenizkiy and Bouchachia, A survey on concept
//! drift adaptation, 2014).

use super::Error;

/// Maximum number of transitions that are listed; more would be of no use to anybody.
const MAX_TRANSITIONS: usize = 1000;

/// One concept giving way to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// First sample that may be of the next concept.
    pub at: u64,
    /// Number of samples it takes; 0 is abrupt.
    pub width: u64,
}

/// Iterates over the transitions before sample `until`: concepts change at `positions`, and everything begins anew
/// every `repeat` samples (0 is never), which counts as a change if `returns`.
pub(super) fn transitions(
    positions: &[u64],
    width: u64,
    repeat: u64,
    returns: bool,
    until: u64,
) -> impl Iterator<Item = Transition> {
    let rounds = if repeat == 0 { 1 } else { until.div_ceil(repeat) };
    let round = move |round: u64| {
        let start = round * repeat;
        let back = (returns && round > 0).then_some(Transition { at: start, width: 0 });
        let within = positions.iter().map(move |position| Transition { at: start.saturating_add(*position), width });
        back.into_iter().chain(within)
    };
    (0..rounds).flat_map(round).take_while(move |transition| transition.at < until).take(MAX_TRANSITIONS)
}

/// The change that makes a new concept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// Every feature takes the role of the next one.
    #[default]
    Rotate,
    /// The target changes its sign.
    Negate,
}

/// The times and the kind of changes of the concept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Samples at which the next concept begins, strictly increasing.
    pub positions: Vec<u64>,
    /// Number of samples the change takes: 0 is abrupt; otherwise the chance of the new concept rises evenly over them.
    pub width: u64,
    /// The change that makes a new concept.
    pub change: Change,
    /// Number of samples after which everything begins anew; 0 is never.
    pub repeat: u64,
}

impl Drift {
    /// Returns itself if the parameters fit together.
    ///
    /// # Errors
    /// Errors name the parameter that does not.
    pub fn checked(&self) -> Result<Self, Error> {
        if self.positions.is_empty() || !self.positions.is_sorted_by(|a, b| a < b) {
            return Err(Error::new("drift.positions", "needs at least one position, strictly increasing"));
        }
        let gap = self.positions.windows(2).map(|pair| pair[1] - pair[0]).min();
        if gap.is_some_and(|gap| self.width > gap) {
            return Err(Error::new("drift.width", "must not be over the samples between two positions"));
        }
        if self.repeat != 0 && self.positions.last().is_some_and(|last| self.repeat <= *last) {
            return Err(Error::new("drift.repeat", "must be 0 or beyond the last position"));
        }
        Ok(self.clone())
    }

    /// Iterates over its changes before sample `until`, at most a thousand.
    pub(super) fn transitions(&self, until: u64) -> impl Iterator<Item = Transition> {
        transitions(&self.positions, self.width, self.repeat, true, until)
    }

    /// Returns the number of the concept at sample `index`, from 0; `chance` (uniform in [0, 1)) decides in a
    /// transition.
    pub fn concept(&self, index: u64, chance: f64) -> usize {
        let i = if self.repeat == 0 { index } else { index % self.repeat };
        let begun = self.positions.iter().filter(|position| i >= **position).count();
        match begun.checked_sub(1).map(|last| i - self.positions[last]) {
            Some(since) if since < self.width && chance >= since as f64 / self.width as f64 => begun - 1,
            _ => begun,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(positions: &[u64], width: u64, repeat: u64, returns: bool, until: u64) -> Vec<(u64, u64)> {
        transitions(positions, width, repeat, returns, until).map(|it| (it.at, it.width)).collect()
    }

    #[test]
    fn transitions_come_again_with_every_round() {
        assert_eq!(found(&[15, 30], 0, 0, true, 100), [(15, 0), (30, 0)]);
        assert_eq!(found(&[15, 30], 0, 0, true, 30), [(15, 0)]);
        assert_eq!(found(&[15, 30], 5, 45, false, 90), [(15, 5), (30, 5), (60, 5), (75, 5)]);
        assert_eq!(found(&[15, 30], 5, 45, true, 61), [(15, 5), (30, 5), (45, 0), (60, 5)]);
        assert_eq!(found(&[1], 0, 2, true, u64::MAX).len(), MAX_TRANSITIONS);
    }

    #[test]
    fn between_two_transitions_nothing_changes() {
        let drift = Drift { positions: vec![40, 70], width: 10, change: Change::Rotate, repeat: 100 };
        let mut inside = vec![false; 250];
        for Transition { at, width } in drift.transitions(250) {
            for i in at..=at + width {
                if let Some(inside) = inside.get_mut(i as usize) {
                    *inside = true;
                }
            }
        }
        for i in 1..250 {
            let change = drift.concept(i - 1, 0.5) != drift.concept(i, 0.5);
            assert!(!change || inside[i as usize], "a change at {i}");
        }
        assert!(inside[40] && inside[100] && inside[170]);
    }
}
