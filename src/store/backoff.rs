//! The wait between two tries of what has failed: it doubles up to a limit, and part of it is random.
//!
//! Invariant: a wait lies between half its base and the base (equal jitter). Workers that one event stopped, such as
//! the end of a broker, therefore come back one after another, and none of them later than its base says.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// A growing wait.
#[derive(Clone, Debug)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    base: Duration,
    random: u64,
}

impl Backoff {
    /// Begins with `initial` and doubles up to `max`.
    pub fn new(initial: Duration, max: Duration) -> Self {
        // The standard library's hash keys are the process's own randomness, another one for each call.
        Self::seeded(initial, max, RandomState::new().hash_one(0))
    }

    /// Does the same with random parts that depend on `seed` alone.
    pub fn seeded(initial: Duration, max: Duration, seed: u64) -> Self {
        Self { initial, max, base: initial, random: seed }
    }

    /// Returns the next wait, in whole milliseconds where it has any, and doubles the base.
    pub fn next_wait(&mut self) -> Duration {
        let base = self.base.min(self.max);
        self.base = base.saturating_mul(2);
        let wait = base / 2 + (base / 2).mul_f64(self.fraction());
        if wait < Duration::from_millis(1) { wait } else { Duration::from_millis(wait.as_millis() as u64) }
    }

    /// Begins with `initial` again: after progress.
    pub fn reset(&mut self) {
        self.base = self.initial;
    }

    /// Returns a random number in [0, 1]: SplitMix64 (Steele, Lea, Flood 2014).
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        mixed as f64 / u64::MAX as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL: Duration = Duration::from_millis(200);
    const MAX: Duration = Duration::from_secs(5);

    #[test]
    fn waits_double_up_to_the_limit_and_lie_in_the_upper_half() {
        for seed in 0..100 {
            let mut backoff = Backoff::seeded(INITIAL, MAX, seed);
            for base in [200, 400, 800, 1600, 3200, 5000, 5000] {
                let wait = backoff.next_wait();
                assert!((base / 2..=base).contains(&(wait.as_millis() as u64)), "{wait:?} of {base} ms, seed {seed}");
            }
            backoff.reset();
            assert!(backoff.next_wait() <= INITIAL, "seed {seed}");
        }
    }

    #[test]
    fn those_that_fail_together_do_not_come_back_together() {
        let first: std::collections::BTreeSet<_> = (0..100).map(|_| Backoff::new(INITIAL, MAX).next_wait()).collect();
        assert!(first.len() > 30, "{} different waits of 100", first.len());
        let again = |seed| Backoff::seeded(INITIAL, MAX, seed).next_wait();
        assert_eq!(again(7), again(7));
    }

    #[test]
    fn a_limit_below_the_first_wait_holds() {
        assert!(Backoff::seeded(MAX, INITIAL, 3).next_wait() <= INITIAL);
    }
}
