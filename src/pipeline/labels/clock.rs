//! The time of a stream, by which it is told what has waited for too long.

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

/// Times in a row that are earlier than the clock before it is taken to have been wrong.
const MAX_EARLIER: u8 = 100;

/// The greatest median of three successive times, in milliseconds since 1970: a single time that is wrong moves nothing, and one
/// that goes back neither. Where a hundred times in a row are earlier, it was wrong, and goes on from these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The latest two times.
    latest: [Option<i64>; 2],
    now: Option<i64>,
    /// Times in a row that were earlier.
    earlier: u8,
}

checked!(Clock { latest, now, earlier });

impl Clock {
    /// Takes the next time; returns true where the clock goes back.
    pub(super) fn note(&mut self, time: Option<i64>) -> bool {
        let Some(time) = time else { return false };
        let [before, last] = self.latest;
        self.latest = [last, Some(time)];
        let mut known = [before.unwrap_or(i64::MIN), last.unwrap_or(i64::MIN), time];
        known.sort_unstable();
        let [_, median, _] = known;
        if median == i64::MIN {
            return false;
        }
        self.earlier = if self.now.is_some_and(|now| time < now) { self.earlier.saturating_add(1) } else { 0 };
        if self.earlier >= MAX_EARLIER {
            (self.now, self.earlier) = (Some(median), 0);
            return true;
        }
        self.now = self.now.max(Some(median));
        false
    }

    pub(super) fn now(&self) -> Option<i64> {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_time_that_is_wrong_moves_nothing_and_a_hundred_that_are_earlier_turn_it_back() {
        let mut clock = Clock::default();
        let mut now = |time| {
            clock.note(time);
            clock.now()
        };
        assert_eq!([Some(10), Some(11), None, Some(12)].map(&mut now), [None, Some(10), Some(10), Some(11)]);
        assert_eq!([Some(i64::MAX), Some(13), Some(14)].map(&mut now), [Some(12), Some(13), Some(14)]);
        assert_eq!([Some(0), Some(1), Some(15)].map(&mut now), [Some(14), Some(14), Some(14)]);
        assert_eq!([Some(i64::MAX), Some(i64::MAX)].map(&mut now), [Some(15), Some(i64::MAX)]);
        for time in 16..115 {
            assert_eq!(now(Some(time)), Some(i64::MAX));
        }
        assert_eq!(now(Some(115)), Some(114));
    }
}
