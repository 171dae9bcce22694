//! The time of the records that are published.
//!
//! Brokers delete records by their time, whatever it means: with the time of samples that are years old, predictions
//! and dead letters would be gone at the broker's next look. So they carry the clock's time, which enters here and
//! nowhere else; the sample's time is in their content. Invariant: within a partition it never goes back, whatever the
//! clock does.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime},
};

/// Time that the record of a prediction or an event carries (`output.timestamp`). A dead letter always carries the
/// clock's, so that there is time to look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamps {
    /// The clock's time when it is published.
    #[default]
    Clock,
    /// The time of its sample.
    Sample,
}

/// Longest lead over the clock: brokers refuse records more than an hour ahead of their clock, and theirs may be behind
/// ours.
pub const MAX_CLOCK_LEAD: Duration = Duration::from_secs(1800);

/// Returns the milliseconds since the Unix epoch; 0 on a machine whose clock is before it.
pub fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Newest time in one partition.
#[derive(Debug, Default)]
pub struct Stamps(AtomicI64);

impl Stamps {
    /// Notes the time of a record that the partition holds.
    pub fn saw(&self, time: i64) {
        self.0.fetch_max(time, Ordering::Relaxed);
    }

    /// Returns the time for a record that is published when the clock says `now`.
    pub fn next(&self, now: i64) -> i64 {
        // A time further ahead than brokers accept is no clock's, so later records do not wait for it.
        if self.0.load(Ordering::Relaxed) > now.saturating_add(MAX_CLOCK_LEAD.as_millis() as i64) {
            return now;
        }
        self.0.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::Stamps;

    #[test]
    fn time_stands_still_where_the_clock_goes_back_and_is_not_led_astray() {
        let stamps = Stamps::default();
        assert_eq!([5, 3, 4, 6].map(|now| stamps.next(now)), [5, 5, 5, 6]);
        stamps.saw(9);
        assert_eq!(stamps.next(7), 9);
        stamps.saw(i64::MAX);
        assert_eq!([stamps.next(10), stamps.next(11)], [10, 11]);
    }
}
