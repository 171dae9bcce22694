//! How far back the past is kept, and how finely.

/// A resolution of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tier {
    /// Seconds of a slot.
    pub(super) seconds: i64,
    /// Slots that are kept at most.
    pub(super) slots: i64,
}

/// The resolutions, the finest first: an hour by the second, six by ten seconds, a day by the minute, a week by ten minutes, a
/// month by the hour.
pub(super) const TIERS: [Tier; 5] = [
    Tier { seconds: 1, slots: 3600 },
    Tier { seconds: 10, slots: 2160 },
    Tier { seconds: 60, slots: 1440 },
    Tier { seconds: 600, slots: 1008 },
    Tier { seconds: 3600, slots: 744 },
];

/// Slots of a block, which is a row of the state file.
pub(super) const BLOCK_SLOTS: i64 = 60;

/// Bytes that all blocks of the state file may take; with more partitions and models the past is shorter.
const MAX_BYTES: i64 = 64 << 20;

/// Slots of each tier that are kept in any case, where there is room for as many.
const MIN_SLOTS: i64 = 120;

/// Returns how many slots of each tier are kept with so many partitions and bytes a slot. What lies far back is kept longest,
/// since nothing else tells of it.
pub(super) fn kept(partitions: usize, slot_bytes: usize) -> [i64; TIERS.len()] {
    let slots = MAX_BYTES / (partitions.max(1) as i64 * slot_bytes.max(1) as i64);
    let least = MIN_SLOTS.min(slots / TIERS.len() as i64);
    let mut room = slots - least * TIERS.len() as i64;
    let mut kept = [0; TIERS.len()];
    for (kept, tier) in kept.iter_mut().zip(TIERS).rev() {
        let more = room.min((tier.slots - least).max(0));
        *kept = least.min(tier.slots) + more;
        room -= more;
    }
    kept
}

/// Returns the index of the finest tier that reaches back `age` seconds and has no more than `points` slots in `span` seconds;
/// the coarsest where there is none.
pub(super) fn fitting(kept: [i64; TIERS.len()], age: i64, span: i64, points: i64) -> usize {
    let fits = |(tier, kept): (&Tier, i64)| age <= kept * tier.seconds && span <= points * tier.seconds;
    TIERS.iter().zip(kept).position(fits).unwrap_or(TIERS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_partitions_are_kept_in_full_and_many_within_the_bound() {
        let full = TIERS.map(|tier| tier.slots);
        for (partitions, slot_bytes) in [(1, 72), (100, 72), (1, 4000)] {
            assert_eq!(kept(partitions, slot_bytes), full, "{partitions} partitions, {slot_bytes} bytes");
        }
        for (partitions, slot_bytes) in [(110, 72), (1000, 72), (1000, 400), (10_000, 72), (10_000, 400)] {
            let kept = kept(partitions, slot_bytes);
            let bytes = kept.iter().sum::<i64>() * partitions as i64 * slot_bytes as i64;
            assert!(bytes <= MAX_BYTES && bytes > MAX_BYTES / 2, "{bytes} bytes of {partitions} partitions: {kept:?}");
            assert!(kept.iter().all(|slots| *slots > 0), "{kept:?}");
        }
        // The month is kept, and of the hour by the second less.
        let [by_second, .., by_hour] = kept(500, 72);
        assert!(by_second < 3600 && by_hour == 744);
    }

    #[test]
    fn the_finest_resolution_is_taken_that_reaches_and_is_not_too_long() {
        let kept = TIERS.map(|tier| tier.slots);
        let seconds = |age, span, points| TIERS[fitting(kept, age, span, points)].seconds;
        assert_eq!(seconds(900, 900, 1000), 1);
        assert_eq!(seconds(3600, 3600, 1000), 10);
        assert_eq!(seconds(3600, 3600, 4000), 1);
        // A short window far back.
        assert_eq!(seconds(86_400, 60, 1000), 60);
        assert_eq!(seconds(30 * 86_400, 30 * 86_400, 1000), 3600);
        assert_eq!(seconds(300 * 86_400, 300 * 86_400, 10), 3600);
    }
}
