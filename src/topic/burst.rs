//! Says a thing that keeps happening once, then how often it happened, so that a flood of bad records is no flood of
//! log lines.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines about the same thing.
const QUIET: Duration = Duration::from_secs(10);

/// Counts occurrences by a fixed set of names.
#[derive(Debug, Default)]
pub struct Burst {
    seen: HashMap<&'static str, (Instant, u64)>,
}

impl Burst {
    /// Notes one occurrence of `what`; calls `say` with the number of occurrences since it was last said, on the first
    /// and then at most every ten seconds.
    pub fn seen(&mut self, what: &'static str, say: impl FnOnce(u64)) {
        self.seen_times(what, 1, say);
    }

    /// The same for `times` occurrences at once.
    pub fn seen_times(&mut self, what: &'static str, times: u64, say: impl FnOnce(u64)) {
        let now = Instant::now();
        match self.seen.get_mut(what) {
            Some((said, unsaid)) if now.duration_since(*said) < QUIET => *unsaid += times,
            known => {
                let unsaid = known.map_or(0, |(_, unsaid)| *unsaid);
                self.seen.insert(what, (now, 0));
                say(unsaid + times);
            }
        }
    }
}
