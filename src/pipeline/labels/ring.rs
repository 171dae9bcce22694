//! What waits, in the order in which it came, and by key: of those that share one the oldest is the first.
//!
//! Invariant: whatever leaves is the first of its key, so that a key's entries are a chain that only loses its head.

use std::{collections::VecDeque, hash::BuildHasher, sync::Arc};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Bytes that an entry takes besides itself: its places in the tables.
const ENTRY_BYTES: usize = 64;

/// Bytes that parts of their own take besides what is in them.
const SHARED_BYTES: usize = 80;

/// Places of entries that have left which are kept, besides one for each that is there.
const MAX_HOLES: usize = 64;

/// Place of none.
const NONE: u64 = u64::MAX;

/// Something that waits.
pub(super) trait Entry {
    /// By what it is found.
    fn key(&self) -> &[u8];
    /// The stream's time when it came, in milliseconds since 1970; `None` while only what comes next can tell it.
    fn since(&self) -> Option<i64>;
    /// Bytes that it takes, which follow from what is in it.
    fn bytes(&self) -> usize;
}

impl<E: Entry> Entry for Arc<E> {
    fn key(&self) -> &[u8] {
        (**self).key()
    }

    fn since(&self) -> Option<i64> {
        (**self).since()
    }

    fn bytes(&self) -> usize {
        SHARED_BYTES + (**self).bytes()
    }
}

#[derive(Debug)]
pub(super) struct Ring<T> {
    /// The first and the last are there; of the others some have left.
    slots: VecDeque<Slot<T>>,
    /// Place of the first slot.
    base: u64,
    /// Per key, the places of its first and its last entry, whose keys it is found by.
    ends: HashTable<[u64; 2]>,
    hasher: RandomState,
    len: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Slot<T> {
    entry: Option<T>,
    /// Place of the key's next one.
    next: u64,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        let hasher = RandomState::default();
        Self { slots: VecDeque::new(), base: 0, ends: HashTable::new(), hasher, len: 0, bytes: 0 }
    }
}

impl<T: Entry> FromIterator<T> for Ring<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut ring = Self::default();
        entries.into_iter().for_each(|entry| ring.push(entry));
        ring
    }
}

impl<T: Entry> Ring<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, entry: T) {
        let place = self.base + self.slots.len() as u64;
        let Self { slots, base, ends, hasher, .. } = self;
        let hash = hasher.hash_one(entry.key());
        match ends.find_mut(hash, |ends| is_of(slots, *base, *ends, entry.key())) {
            Some([_, last]) => {
                let before = std::mem::replace(last, place);
                slots[(before - *base) as usize].next = place;
            }
            None => {
                let hash_of = |ends: &[u64; 2]| hasher.hash_one(key_at(slots, *base, *ends));
                ends.insert_unique(hash, [place; 2], hash_of);
            }
        }
        self.len += 1;
        self.bytes += ENTRY_BYTES + entry.key().len() + entry.bytes();
        self.slots.push_back(Slot { entry: Some(entry), next: NONE });
    }

    fn ends_of(&self, key: &[u8]) -> Option<[u64; 2]> {
        let Self { slots, base, ends, hasher, .. } = self;
        ends.find(hasher.hash_one(key), |ends| is_of(slots, *base, *ends, key)).copied()
    }

    /// Returns the newest one of a key.
    pub(super) fn newest(&self, key: &[u8]) -> Option<&T> {
        let [_, last] = self.ends_of(key)?;
        self.slots[(last - self.base) as usize].entry.as_ref()
    }

    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.ends_of(key).is_some()
    }

    /// Returns the oldest one of all.
    pub(super) fn oldest(&self) -> Option<&T> {
        self.slots.front()?.entry.as_ref()
    }

    /// Takes the oldest one of a key.
    pub(super) fn take(&mut self, key: &[u8]) -> Option<T> {
        let Self { slots, base, ends, hasher, .. } = self;
        let found = ends.find_entry(hasher.hash_one(key), |ends| is_of(slots, *base, *ends, key));
        let mut found = found.ok()?;
        let [first, _] = *found.get();
        let slot = &mut slots[(first - *base) as usize];
        let entry = slot.entry.take()?;
        match slot.next {
            NONE => drop(found.remove()),
            next => found.get_mut()[0] = next,
        }
        self.len -= 1;
        self.bytes -= ENTRY_BYTES + key.len() + entry.bytes();
        while self.slots.front().is_some_and(|slot| slot.entry.is_none()) {
            self.slots.pop_front();
            self.base += 1;
        }
        // Or whoever looks from the end would pass all that has left since the last one that stays.
        while self.slots.back().is_some_and(|slot| slot.entry.is_none()) {
            self.slots.pop_back();
        }
        if self.slots.len() > 2 * self.len + MAX_HOLES {
            self.close_up();
        }
        Some(entry)
    }

    /// Lets those that are there stand side by side: one that waits for long must not keep the places of all behind it.
    fn close_up(&mut self) {
        let slots = std::mem::take(&mut self.slots);
        *self = slots.into_iter().filter_map(|slot| slot.entry).collect();
    }

    /// Gives those that came last, and have no time yet, that of the stream.
    pub(super) fn stamp(&mut self, now: i64, stand_at: impl Fn(&mut T, i64)) {
        for entry in self.slots.iter_mut().rev().filter_map(|slot| slot.entry.as_mut()) {
            if entry.since().is_some() {
                return;
            }
            stand_at(entry, now);
        }
    }

    /// Changes the time of each that came after `now`, when the clock was wrong.
    pub(super) fn turn_back(&mut self, now: i64, stand_at: impl Fn(&mut T, i64)) {
        let slots = std::mem::take(&mut self.slots);
        let turned = slots.into_iter().filter_map(|slot| slot.entry).map(|mut entry| {
            if entry.since().is_some_and(|since| since > now) {
                stand_at(&mut entry, now);
            }
            entry
        });
        *self = turned.collect();
    }

    /// Takes the oldest one of all, which is also the oldest of its key.
    pub(super) fn take_oldest(&mut self) -> Option<T> {
        let key = self.oldest()?.key().to_vec();
        self.take(&key)
    }

    /// Takes the oldest one of all, where it came before `limit`.
    pub(super) fn take_before(&mut self, limit: i64) -> Option<T> {
        self.oldest().filter(|entry| entry.since().is_some_and(|since| since < limit))?;
        self.take_oldest()
    }

    /// Returns them, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.entry.as_ref())
    }
}

/// Returns the key of a chain, which its first entry has, since that one is there.
fn key_at<T: Entry>(slots: &VecDeque<Slot<T>>, base: u64, [first, _]: [u64; 2]) -> &[u8] {
    slots[(first - base) as usize].entry.as_ref().map_or(&[], |entry| entry.key())
}

fn is_of<T: Entry>(slots: &VecDeque<Slot<T>>, base: u64, ends: [u64; 2], key: &[u8]) -> bool {
    key_at(slots, base, ends) == key
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Waits(&'static [u8], i64);

    impl Entry for Waits {
        fn key(&self) -> &[u8] {
            self.0
        }

        fn since(&self) -> Option<i64> {
            Some(self.1)
        }

        fn bytes(&self) -> usize {
            8
        }
    }

    fn times(ring: &Ring<Waits>) -> Vec<i64> {
        ring.iter().map(|entry| entry.1).collect()
    }

    #[test]
    fn the_oldest_of_a_key_is_the_first_to_leave_and_nothing_is_counted_twice() {
        let entries = [(&b"a"[..], 0), (b"b", 1), (b"a", 2), (b"c", 3), (b"a", 4)];
        let mut ring: Ring<Waits> = entries.into_iter().map(|(key, time)| Waits(key, time)).collect();
        assert_eq!(ring.newest(b"a").map(|entry| entry.1), Some(4));
        assert_eq!(ring.take(b"a").map(|entry| entry.1), Some(0));
        assert_eq!(ring.take(b"c").map(|entry| entry.1), Some(3));
        assert!(ring.take(b"c").is_none() && !ring.has(b"c"));
        assert_eq!(times(&ring), [1, 2, 4]);
        // One that left amid the others is no hindrance to those behind it.
        assert!(ring.take_before(1).is_none());
        assert_eq!(ring.take_before(2).map(|entry| entry.1), Some(1));
        ring.push(Waits(b"c", 5));
        assert_eq!((times(&ring), ring.len()), (vec![2, 4, 5], 3));
        while ring.take_oldest().is_some() {}
        assert_eq!((ring.len(), ring.bytes(), ring.ends.len(), ring.slots.len()), (0, 0, 0, 0));
    }

    #[test]
    fn one_that_waits_for_long_keeps_no_places_of_those_that_leave() {
        let mut ring = Ring::default();
        ring.push(Waits(b"stays", 0));
        for time in 1..10_000 {
            ring.push(Waits(b"leaves", time));
            ring.push(Waits(b"too", time));
            assert_eq!(ring.take(b"leaves").map(|entry| entry.1), Some(time));
            assert_eq!(ring.take(b"too").map(|entry| entry.1), Some(time));
            // Nothing is left to pass behind it either.
            assert_eq!(ring.slots.len(), 1);
        }
        assert_eq!((times(&ring), ring.has(b"stays"), ring.ends.len()), (vec![0], true, 1));
    }
}
