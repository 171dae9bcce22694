//! The values within a span, and what is known of them at any time.
//!
//! Invariant: reading changes nothing, and what is read depends on the values alone, in the order in which they came.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

use super::{Span, aggregate::Aggregate};

/// Parts of a span of time in which values count as one, and so about the most that a window holds of one.
pub const PARTS: i64 = 1024;

/// The values of a sliding window, aggregated by two stacks (Tangwongsan, Hirzel, Schneider and Wu 2015, "General incremental
/// sliding-window aggregation"): adding one takes O(1) amortised, reading O(log n).
///
/// Values of a span of time that are less than 1/1024 of it apart are one, at the time of the first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Time of the first value of all, from which those of aggregates are reckoned: milliseconds since 1970 have no digits to spare.
    origin: i64,
    /// In order of their times.
    parts: VecDeque<Part>,
    /// Number of parts in front, whose aggregates up to the last of them are known.
    front: usize,
    /// Aggregate of the parts behind them, value by value.
    back: Aggregate,
    /// The aggregates of the front, that of the first part last.
    #[serde(skip)]
    suffixes: Vec<Aggregate>,
}

/// Values that count as one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Part {
    /// Milliseconds since 1970, or the number of the value.
    at: i64,
    values: Aggregate,
}

checked!(Part { at, values });
checked!(Window { origin, parts, front, back, suffixes: skipped } then fits);

impl Window {
    fn fits(&mut self) -> Result<(), &'static str> {
        if self.front > self.parts.len() {
            return Err("the window has fewer values than its front");
        }
        if self.parts.iter().zip(self.parts.iter().skip(1)).any(|(one, next)| one.at > next.at) {
            return Err("the values of the window are out of order");
        }
        self.aggregate_front();
        Ok(())
    }

    /// Adds a value at `at`, no earlier than the one before, and drops what has left the span.
    pub(crate) fn push(&mut self, span: Span, at: i64, value: f64) {
        if self.parts.is_empty() {
            self.origin = at;
        }
        let one = Aggregate::of(value, at.saturating_sub(self.origin) as f64);
        self.back = self.back.and(&one);
        let (apart, all_in_front) = (part_of(span), self.suffixes.len() == self.parts.len());
        match self.parts.back_mut() {
            // What is in front is aggregated already.
            Some(last) if !all_in_front && at - last.at < apart => {
                last.values = last.values.and(&one);
            }
            _ => self.parts.push_back(Part { at, values: one }),
        }
        let begin = span.begin(at);
        while self.parts.front().is_some_and(|first| first.at <= begin) {
            self.pop();
        }
    }

    /// Returns what is known of the values in the span that ends at `at`.
    pub(crate) fn at(&self, span: Span, at: i64) -> Aggregate {
        let begin = span.begin(at);
        let gone = match self.parts.front() {
            Some(first) if first.at <= begin => self.parts.partition_point(|part| part.at <= begin),
            _ => 0,
        };
        let front = self.suffixes.len();
        if gone <= front {
            let known = front.checked_sub(gone + 1).map_or_else(Aggregate::default, |i| self.suffixes[i]);
            return known.and(&self.back);
        }
        self.parts.range(gone..).fold(Aggregate::default(), |all, part| all.and(&part.values))
    }

    /// Forgets all values.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        // As if all were in front: it follows from the values alone.
        self.parts.len() * (size_of::<Part>() + size_of::<Aggregate>())
    }

    fn pop(&mut self) {
        if self.suffixes.is_empty() {
            self.front = self.parts.len();
            self.aggregate_front();
            self.back = Aggregate::default();
        }
        self.suffixes.pop();
        self.parts.pop_front();
        self.front = self.suffixes.len();
    }

    fn aggregate_front(&mut self) {
        self.suffixes.clear();
        let mut all = Aggregate::default();
        for part in self.parts.range(..self.front).rev() {
            all = part.values.and(&all);
            self.suffixes.push(all);
        }
    }
}

/// Returns how far apart values must be not to count as one.
pub(crate) fn part_of(span: Span) -> i64 {
    match span {
        Span::Samples(_) => 0,
        Span::Time(milliseconds) => (milliseconds / PARTS).max(1),
    }
}
