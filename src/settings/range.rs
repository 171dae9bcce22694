//! Ranges of the numbers that a key takes.
//!
//! Invariant: a range is described from its own bounds, so that a message and a check cannot differ.

use std::{
    fmt,
    ops::{Bound, RangeBounds, RangeFrom, RangeInclusive},
};

/// From one bound to another; it prints as in "must be over 0 and at most 1".
#[derive(Clone, Copy, Debug)]
pub(super) struct Range<T> {
    low: Bound<T>,
    high: Bound<T>,
    words: Option<&'static str>,
}

/// Any number; infinities are refused by every reader.
pub(super) const FINITE: Range<f64> = Range::new(Bound::Unbounded, Bound::Unbounded);
pub(super) const POSITIVE: Range<f64> = Range::over(0.0);
pub(super) const NOT_NEGATIVE: Range<f64> = Range::new(Bound::Included(0.0), Bound::Unbounded);
/// Shares over 0, up to 1.
pub(super) const UP_TO_1: Range<f64> = Range::over(0.0).to(1.0);
/// Shares from 0, under 1.
pub(super) const UNDER_1: Range<f64> = Range::new(Bound::Included(0.0), Bound::Excluded(1.0));
/// Shares over 0 and under 1.
pub(super) const BETWEEN_0_AND_1: Range<f64> = Range::new(Bound::Excluded(0.0), Bound::Excluded(1.0));

impl Range<f64> {
    const fn new(low: Bound<f64>, high: Bound<f64>) -> Self {
        Self { low, high, words: None }
    }

    /// Makes the range over `low`.
    pub(super) const fn over(low: f64) -> Self {
        Self::new(Bound::Excluded(low), Bound::Unbounded)
    }

    /// Bounds it by `high`, included.
    pub(super) const fn to(self, high: f64) -> Self {
        Self { high: Bound::Included(high), ..self }
    }
}

impl<T: PartialOrd> Range<T> {
    /// Describes it in other words, where those of the bounds do not say enough.
    pub(super) fn described_as(self, words: &'static str) -> Self {
        Self { words: Some(words), ..self }
    }

    pub(super) fn contains(&self, number: &T) -> bool {
        (self.low.as_ref(), self.high.as_ref()).contains(number)
    }
}

impl<T> From<RangeFrom<T>> for Range<T> {
    fn from(range: RangeFrom<T>) -> Self {
        Self { low: Bound::Included(range.start), high: Bound::Unbounded, words: None }
    }
}

impl<T> From<RangeInclusive<T>> for Range<T> {
    fn from(range: RangeInclusive<T>) -> Self {
        let (low, high) = range.into_inner();
        Self { low: Bound::Included(low), high: Bound::Included(high), words: None }
    }
}

impl<T> From<std::ops::Range<T>> for Range<T> {
    fn from(range: std::ops::Range<T>) -> Self {
        Self { low: Bound::Included(range.start), high: Bound::Excluded(range.end), words: None }
    }
}

impl<T: fmt::Display> fmt::Display for Range<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.words, &self.low, &self.high) {
            (Some(words), ..) => return f.write_str(words),
            (None, Bound::Unbounded, Bound::Unbounded) => return f.write_str("a finite number"),
            (None, Bound::Included(low), Bound::Included(high)) => return write!(f, "from {low} to {high}"),
            (None, Bound::Included(low), _) => write!(f, "{low} or more")?,
            (None, Bound::Excluded(low), _) => write!(f, "over {low}")?,
            (None, Bound::Unbounded, _) => {}
        }
        let and = if matches!(self.low, Bound::Unbounded) { "" } else { " and " };
        match &self.high {
            Bound::Included(high) => write!(f, "{and}at most {high}"),
            Bound::Excluded(high) => write!(f, "{and}under {high}"),
            Bound::Unbounded => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_says_what_it_takes() {
        let described_as = |range: Range<f64>, inside: &[f64], outside: &[f64]| {
            assert!(inside.iter().all(|number| range.contains(number)), "{range}: {inside:?}");
            assert!(!outside.iter().any(|number| range.contains(number)), "{range}: {outside:?}");
            range.to_string()
        };
        assert_eq!(described_as(FINITE, &[-1e300, 1e300], &[]), "a finite number");
        assert_eq!(described_as(POSITIVE, &[1e-300, 1e300], &[0.0, -1.0, f64::NAN]), "over 0");
        assert_eq!(described_as(NOT_NEGATIVE, &[0.0, 1e300], &[-1e-300]), "0 or more");
        assert_eq!(described_as(UP_TO_1, &[1e-300, 1.0], &[0.0, 1.5]), "over 0 and at most 1");
        assert_eq!(described_as(UNDER_1, &[0.0, 0.99], &[-0.1, 1.0]), "0 or more and under 1");
        assert_eq!(described_as(BETWEEN_0_AND_1, &[1e-300, 0.99], &[0.0, 1.0]), "over 0 and under 1");
        assert_eq!(described_as((0.0..=1.0).into(), &[0.0, 1.0], &[-0.1, 1.1]), "from 0 to 1");
        assert_eq!(described_as((0.5..1.0).into(), &[0.5], &[0.4, 1.0]), "0.5 or more and under 1");
        assert_eq!(described_as(POSITIVE.described_as("over 0, in MiB"), &[1.0], &[0.0]), "over 0, in MiB");
        assert_eq!(Range::from(1..=10).to_string(), "from 1 to 10");
        assert_eq!(Range::from(3_u64..).to_string(), "3 or more");
    }
}
