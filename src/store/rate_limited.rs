//! Log lines about trouble that lasts: one, then none for ten seconds, so that a flood of bad records is no flood of lines.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// Time between two lines about the same trouble.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Decides whether a line is due.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateLimit {
    last: Option<Instant>,
}

impl RateLimit {
    /// Returns `true` the first time, and then at most every ten seconds; the caller writes its line then.
    pub fn is_due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= LOG_INTERVAL);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }

    /// Returns `true` once a line has been due.
    pub fn has_spoken(&self) -> bool {
        self.last.is_some()
    }
}

/// Counts occurrences by a fixed set of names, and limits the lines about each.
#[derive(Debug, Default)]
pub struct RateLimited {
    seen: HashMap<&'static str, (RateLimit, u64)>,
}

impl RateLimited {
    /// Notes one occurrence of `what`; calls `say` with the number of occurrences since its last call, on the first
    /// and then at most every ten seconds.
    pub fn seen(&mut self, what: &'static str, say: impl FnOnce(u64)) {
        self.seen_times(what, 1, say);
    }

    /// Notes `times` occurrences at once.
    pub fn seen_times(&mut self, what: &'static str, times: u64, say: impl FnOnce(u64)) {
        let (limit, unsaid) = self.seen.entry(what).or_default();
        *unsaid += times;
        if limit.is_due() {
            say(std::mem::take(unsaid));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_said_once_and_then_counted() {
        let mut limited = RateLimited::default();
        let mut said = Vec::new();
        for second in 0..25 {
            limited.seen("flood", |times| said.push((second, times)));
            limited.seen_times("other", 3, |_| {});
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(said, [(0, 1), (10, 10), (20, 10)]);
    }
}
