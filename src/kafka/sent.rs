//! The times of requests that a broker may append yet.
//!
//! A request that was given up may still be on its way, and lands where what comes before it is sent again and lands first. What is
//! sent again therefore carries the time that it had, which is no later than that of what followed it. Invariant: in the order of
//! their numbers, times never go back, whichever of the copies of a request lands.

use std::collections::VecDeque;

use super::protocol::{ProducerId, advance};

/// Requests whose times are kept, at most; more have the time of the last one.
const MAX_KEPT: usize = 64;

/// Requests of one producer to one partition, in the order of their numbers, of which none is known to have landed.
#[derive(Debug, Default)]
pub(crate) struct SentTimes {
    producer: Option<ProducerId>,
    kept: VecDeque<Sent>,
}

#[derive(Debug)]
struct Sent {
    /// The numbers of its first record, and of the one behind its last.
    first: i32,
    end: i32,
    time: i64,
}

impl SentTimes {
    /// Takes note that everything before `next` has landed, under this identity. Numbers of another one say nothing.
    pub(crate) fn landed(&mut self, producer: ProducerId, next: i32) {
        if self.producer.replace(producer) != Some(producer) {
            self.kept.clear();
        }
        while self.kept.pop_front_if(|sent| !is_before(next, sent.end)).is_some() {}
    }

    /// Returns the time of a request of so many records from number `first` on: that of before, where these were sent before, else
    /// `now`. Times of before `oldest` are not used again.
    pub(crate) fn time(&mut self, first: i32, records: usize, oldest: i64, now: impl FnOnce() -> i64) -> i64 {
        if self.kept.front().is_some_and(|sent| sent.time < oldest) {
            self.kept.clear();
        }
        let end = advance(first, records);
        let before = self.kept.iter().find(|sent| !is_before(first, sent.first) && is_before(first, sent.end));
        let before = before.map(|sent| sent.time);
        let is_full = self.kept.len() == MAX_KEPT;
        match self.kept.back_mut() {
            Some(last) if before.is_some() || is_full => {
                // What ends behind it may have to be sent in other pieces.
                if is_before(last.end, end) {
                    last.end = end;
                }
                before.unwrap_or(last.time)
            }
            _ => {
                let time = now();
                self.kept.push_back(Sent { first, end, time });
                time
            }
        }
    }
}

/// Says whether a number comes before another, of which none is half a turn ahead.
fn is_before(number: i32, other: i32) -> bool {
    let ahead = other.wrapping_sub(number) & i32::MAX;
    ahead != 0 && ahead < 1 << 30
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of requests of ten records each from these numbers on, of which the clock gives the next one each time.
    fn times(sent: &mut SentTimes, clock: &mut i64, firsts: &[i32]) -> Vec<i64> {
        let mut next = || {
            *clock += 1;
            *clock
        };
        firsts.iter().map(|first| sent.time(*first, 10, 0, &mut next)).collect()
    }

    fn of(producer: ProducerId, next: i32) -> SentTimes {
        let mut sent = SentTimes::default();
        sent.landed(producer, next);
        sent
    }

    #[test]
    fn what_is_sent_again_carries_the_time_of_before_and_what_is_new_the_clock_s() {
        let (mut sent, mut clock) = (of(5, 0), 0);
        assert_eq!(times(&mut sent, &mut clock, &[0, 10, 20]), [1, 2, 3]);
        assert_eq!(times(&mut sent, &mut clock, &[0, 10]), [1, 2]);
        sent.landed(5, 20);
        assert_eq!(times(&mut sent, &mut clock, &[20, 30]), [3, 4]);
        sent.landed(5, 40);
        assert_eq!(times(&mut sent, &mut clock, &[40]), [5]);
        assert_eq!(sent.kept.len(), 1);
    }

    #[test]
    fn what_is_sent_again_in_other_pieces_is_never_later_than_what_may_still_land_behind_it() {
        let (mut sent, mut clock) = (of(5, 0), 0);
        assert_eq!(times(&mut sent, &mut clock, &[0, 10]), [1, 2]);
        // From the midst of the first to the midst of what nobody has sent yet.
        assert_eq!(sent.time(5, 20, 0, || 90), 1);
        // One of before may still land from 20 on, and one of these from 25 on.
        assert_eq!([sent.time(15, 5, 0, || 91), sent.time(20, 5, 0, || 92), sent.time(25, 5, 0, || 93)], [2, 2, 93]);
    }

    #[test]
    fn numbers_begin_again_past_the_largest() {
        let (mut sent, mut clock) = (of(5, i32::MAX - 9), 0);
        assert_eq!(times(&mut sent, &mut clock, &[i32::MAX - 9, 0, i32::MAX - 9, 0, 10]), [1, 2, 1, 2, 3]);
        sent.landed(5, 0);
        assert_eq!(times(&mut sent, &mut clock, &[0]), [2]);
    }

    #[test]
    fn numbers_of_another_identity_and_times_that_are_too_old_say_nothing() {
        let (mut sent, mut clock) = (of(5, 0), 0);
        assert_eq!(times(&mut sent, &mut clock, &[0, 10]), [1, 2]);
        assert_eq!([sent.time(0, 10, 2, || 90), sent.time(10, 10, 2, || 91)], [90, 91]);
        sent.landed(6, 0);
        assert_eq!(times(&mut sent, &mut clock, &[10]), [3]);
    }

    #[test]
    fn however_much_is_sent_the_list_is_bounded_and_times_do_not_go_back() {
        let (mut sent, mut clock) = (of(5, 0), 0);
        let firsts: Vec<i32> = (0..1000).map(|i| 10 * i).collect();
        let all = times(&mut sent, &mut clock, &firsts);
        assert!(all.is_sorted() && sent.kept.len() == MAX_KEPT, "{all:?}");
        assert_eq!(times(&mut sent, &mut clock, &firsts), all);
    }
}
