//! State by key, within a budget of bytes: those that were used least recently go first.
//!
//! Invariant: what is kept follows from the keys and the sizes of their states alone, in the order in which they were used, so that a
//! restart changes nothing. A copy shares the states, and costs little however many there are.

#![expect(clippy::disallowed_types, reason = "places are looked up and never gone through")]

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeSeq};
use thalweg_metrics::{Checked, Damaged};

/// Bytes that an entry takes besides its key and its state: its places in the tables.
const ENTRY_BYTES: usize = 96;

/// Place of none.
const NONE: u32 = u32::MAX;

/// The state of one key.
pub trait State: Clone {
    /// Returns the bytes that it takes, which follow from what was put into it.
    fn memory_bytes(&self) -> usize;
}

/// States by key, least recently used first.
#[derive(Clone, Debug)]
pub struct Keyed<S> {
    entries: Vec<Option<Arc<Entry<S>>>>,
    /// Per entry, the one used before it and the one used after it.
    links: Vec<[u32; 2]>,
    /// The least recently used one, and the most recently used one.
    ends: [u32; 2],
    /// Entries without a key.
    free: Vec<u32>,
    places: Arc<HashMap<Arc<[u8]>, u32, RandomState>>,
    bytes: usize,
    budget: usize,
    evicted: u64,
}

#[derive(Clone, Debug)]
struct Entry<S> {
    key: Arc<[u8]>,
    state: S,
    /// Bytes that were counted for it.
    bytes: usize,
}

impl<S> Default for Keyed<S> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            links: Vec::new(),
            ends: [NONE; 2],
            free: Vec::new(),
            places: Arc::default(),
            bytes: 0,
            budget: usize::MAX,
            evicted: 0,
        }
    }
}

impl<S: State> Keyed<S> {
    /// Returns the budget, in bytes.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Sets the budget, in bytes. One state is kept, whatever its size.
    pub fn set_budget(&mut self, bytes: usize) {
        self.budget = bytes;
        self.make_room();
    }

    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns true where there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes that all states take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many states were dropped for want of room.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Returns the state of a key, if it has one.
    pub fn get(&self, key: &[u8]) -> Option<&S> {
        let place = *self.places.get(key)?;
        self.entries[place as usize].as_ref().map(|entry| &entry.state)
    }

    /// Changes the state of a key, which becomes the most recently used one; a key without a state gets what `new` makes.
    pub fn update<R>(&mut self, key: &[u8], new: impl FnOnce() -> S, change: impl FnOnce(&mut S) -> R) -> R {
        let place = match self.places.get(key) {
            Some(&place) => {
                self.unlink(place);
                place
            }
            None => self.insert(Entry { key: key.into(), state: new(), bytes: 0 }),
        };
        self.link(place);
        let Some(entry) = &mut self.entries[place as usize] else { unreachable!("a place leads to an entry") };
        let entry = Arc::make_mut(entry);
        let changed = change(&mut entry.state);
        let bytes = ENTRY_BYTES + entry.key.len() + entry.state.memory_bytes();
        self.bytes = self.bytes - entry.bytes + bytes;
        entry.bytes = bytes;
        self.make_room();
        changed
    }

    /// Adds an entry, which is not linked yet.
    fn insert(&mut self, entry: Entry<S>) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.links.push([NONE; 2]);
            // There is no room for as many entries as that.
            (self.entries.len() - 1) as u32
        });
        Arc::make_mut(&mut self.places).insert(Arc::clone(&entry.key), place);
        self.entries[place as usize] = Some(Arc::new(entry));
        place
    }

    /// Drops states until the rest fits, but for the last one.
    fn make_room(&mut self) {
        while self.bytes > self.budget && self.len() > 1 {
            let [place, _] = self.ends;
            self.unlink(place);
            if let Some(entry) = self.entries[place as usize].take() {
                Arc::make_mut(&mut self.places).remove(&entry.key);
                self.bytes -= entry.bytes;
            }
            self.free.push(place);
            self.evicted += 1;
        }
    }

    /// Makes an entry the most recently used one.
    fn link(&mut self, place: u32) {
        let last = std::mem::replace(&mut self.ends[1], place);
        self.links[place as usize] = [last, NONE];
        match last {
            NONE => self.ends[0] = place,
            last => self.links[last as usize][1] = place,
        }
    }

    fn unlink(&mut self, place: u32) {
        let [before, after] = self.links[place as usize];
        match before {
            NONE => self.ends[0] = after,
            before => self.links[before as usize][1] = after,
        }
        match after {
            NONE => self.ends[1] = before,
            after => self.links[after as usize][0] = before,
        }
    }

    /// Returns the entries, least recently used first.
    fn in_order(&self) -> impl Iterator<Item = &Entry<S>> {
        let mut next = self.ends[0];
        std::iter::from_fn(move || {
            let entry = self.entries.get(next as usize)?.as_ref()?;
            next = self.links[next as usize][1];
            Some(&**entry)
        })
    }

    /// Returns the keys with their states, least recently used first.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &S)> {
        self.in_order().map(|entry| (&*entry.key, &entry.state))
    }
}

/// The number of states that were dropped, and the entries in the order in which they were used.
impl<S: State + Serialize> Serialize for Keyed<S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        (self.evicted, InOrder(self)).serialize(serializer)
    }
}

struct InOrder<'k, S>(&'k Keyed<S>);

impl<S: State + Serialize> Serialize for InOrder<'_, S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (key, state) in self.0.iter() {
            list.serialize_element(&(key, state))?;
        }
        list.end()
    }
}

impl<'de, S: State + Deserialize<'de>> Deserialize<'de> for Keyed<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (evicted, entries): (u64, Vec<(Vec<u8>, S)>) = Deserialize::deserialize(deserializer)?;
        let mut keyed = Self { evicted, ..Self::default() };
        for (key, state) in entries {
            if keyed.places.contains_key(&key[..]) {
                return Err(D::Error::custom("a key has two states"));
            }
            keyed.update(&key, || state, |_| ());
        }
        Ok(keyed)
    }
}

impl<S: Checked> Checked for Keyed<S> {
    fn check(&mut self) -> Result<(), Damaged> {
        self.evicted.check()?;
        for entry in self.entries.iter_mut().flatten() {
            Arc::get_mut(entry).ok_or("a state is shared before it is checked")?.state.check()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl State for Vec<f64> {
        fn memory_bytes(&self) -> usize {
            self.len() * 8
        }
    }

    fn keys(keyed: &Keyed<Vec<f64>>) -> Vec<&[u8]> {
        keyed.iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn the_least_recently_used_ones_give_way_and_come_back_empty() {
        let mut keyed = Keyed::default();
        keyed.set_budget(3 * (ENTRY_BYTES + 1 + 16));
        for key in [b"a", b"b", b"c", b"a", b"d"] {
            keyed.update(key, Vec::new, |state| *state = vec![1.0; 2]);
        }
        assert_eq!(keys(&keyed), [b"c", b"a", b"d"]);
        assert_eq!((keyed.evicted(), keyed.get(b"b")), (1, None));
        // One that grows takes the room of others, but never its own.
        keyed.update(b"a", Vec::new, |state| state.resize(100, 2.0));
        assert_eq!((keys(&keyed), keyed.evicted()), (vec![&b"a"[..]], 3));
    }

    #[test]
    fn a_copy_stays_as_it_was_and_a_saved_one_goes_on_alike() {
        let mut keyed = Keyed::default();
        for i in 0..100_u8 {
            keyed.update(&[i % 7], Vec::new, |state| state.push(f64::from(i)));
        }
        let copy = keyed.clone();
        let mut saved = Vec::new();
        keyed.serialize(&mut rmp_serde::Serializer::new(&mut saved)).expect("saved");
        let mut restored: Keyed<Vec<f64>> = rmp_serde::from_slice(&saved).expect("restored");
        restored.check().expect("sound");
        for keyed in [&mut keyed, &mut restored] {
            keyed.update(&[3], Vec::new, |state| state.clear());
            keyed.set_budget(keyed.bytes() / 2);
        }
        assert_eq!(keys(&keyed), keys(&restored));
        assert_eq!((keyed.bytes(), keyed.evicted()), (restored.bytes(), restored.evicted()));
        assert_eq!((copy.len(), copy.get(&[3]).map(Vec::len)), (7, Some(14)));
    }
}
