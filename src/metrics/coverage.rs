//! Counts the targets that intervals have held, and averages their widths.

use serde::{Deserialize, Serialize};

use super::Interval;
use crate::checked;

/// The share of targets that intervals held, and the mean width of these: since the beginning, and lately. Wide
/// intervals hold much and say little, so that one counts only beside the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Share of the targets that intervals are to hold.
    target: f64,
    /// Weight of an interval over that of the next one, lately.
    keep: f64,
    n: u64,
    held: u64,
    width: f64,
    recent: Sums,
}

/// Faded sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    weight: f64,
    held: f64,
    width: f64,
}

checked!(Coverage { target, keep, n, held, width, recent });

checked!(Sums { weight, held, width });

impl Coverage {
    /// Makes a coverage with nothing counted. `target` is the share wanted; recent figures fade over about `window`
    /// intervals, ≥ 1.
    pub fn new(target: f64, window: usize) -> Self {
        let keep = 1.0 - 1.0 / window.max(1) as f64;
        Self { target, keep, n: 0, held: 0, width: 0.0, recent: Sums::default() }
    }

    /// Counts an interval and its target.
    #[inline]
    pub fn update(&mut self, y: f64, interval: Interval) {
        let (held, width) = (interval.holds(y), interval.width());
        self.n += 1;
        self.held += u64::from(held);
        // Means, because sums could overflow.
        self.width += (width - self.width) / self.n as f64;
        let Sums { weight, held: recently_held, width: recent_width } = &mut self.recent;
        *weight = self.keep * *weight + 1.0;
        *recently_held = self.keep * *recently_held + f64::from(held);
        *recent_width += (width - *recent_width) / *weight;
    }

    /// Returns what both have counted.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let mean =
            |a: f64, of: f64, b: f64, over: f64| if of + over > 0.0 { (a * of + b * over) / (of + over) } else { 0.0 };
        let (mine, others) = (self.recent, other.recent);
        Self {
            target: self.target,
            keep: self.keep,
            n: self.n + other.n,
            held: self.held + other.held,
            width: mean(self.width, self.n as f64, other.width, other.n as f64),
            recent: Sums {
                weight: mine.weight + others.weight,
                held: mine.held + others.held,
                width: mean(mine.width, mine.weight, others.width, others.weight),
            },
        }
    }

    /// Returns the share of the targets that intervals are to hold.
    pub fn target(&self) -> f64 {
        self.target
    }

    /// Returns the number of intervals counted.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Returns the share of the targets held lately, 0 to 1; 0 before the first.
    pub fn recent(&self) -> f64 {
        if self.recent.weight > 0.0 { self.recent.held / self.recent.weight } else { 0.0 }
    }

    /// Returns the recent mean width, in the target's unit; 0 before the first.
    pub fn recent_width(&self) -> f64 {
        self.recent.width
    }

    /// Returns the share of the targets held since the beginning, 0 to 1; 0 before the first.
    pub fn total(&self) -> f64 {
        if self.n > 0 { self.held as f64 / self.n as f64 } else { 0.0 }
    }

    /// Returns the mean width since the beginning, in the target's unit; 0 before the first.
    pub fn total_width(&self) -> f64 {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(half: f64) -> Interval {
        Interval { lower: -half, upper: half }
    }

    #[test]
    fn shares_and_widths_are_of_all_and_of_late() {
        let mut coverage = Coverage::new(0.9, 10);
        assert_eq!((coverage.total(), coverage.recent(), coverage.total_width()), (0.0, 0.0, 0.0));
        (0..100).for_each(|_| coverage.update(1.0, interval(2.0)));
        (0..100).for_each(|_| coverage.update(1.0, interval(0.5)));
        assert_eq!((coverage.n(), coverage.total()), (200, 0.5));
        assert!((coverage.total_width() - 2.5).abs() < 1e-12);
        assert!(coverage.recent() < 1e-4 && (coverage.recent_width() - 1.0).abs() < 1e-3);
    }

    #[test]
    fn two_partitions_add_up() {
        let (mut a, mut b, mut both) = (Coverage::new(0.9, 1000), Coverage::new(0.9, 1000), Coverage::new(0.9, 1000));
        for i in 0..300 {
            let (y, interval) = (f64::from(i % 7), interval(f64::from(i % 10)));
            if i % 3 == 0 { &mut a } else { &mut b }.update(y, interval);
            both.update(y, interval);
        }
        let merged = a.merged(b);
        assert_eq!((merged.n(), merged.total()), (both.n(), both.total()));
        assert!((merged.total_width() - both.total_width()).abs() < 1e-12);
        assert!((merged.recent() - both.recent()).abs() < 0.05);
        let none = Coverage::new(0.9, 10);
        assert_eq!(none.merged(none).recent_width(), 0.0);
    }

    #[test]
    fn the_widest_interval_there_is_has_a_width() {
        let mut coverage = Coverage::new(0.9, 10);
        (0..10).for_each(|_| coverage.update(0.0, interval(f64::MAX)));
        assert!(coverage.total_width().is_finite() && coverage.recent_width().is_finite());
    }
}
