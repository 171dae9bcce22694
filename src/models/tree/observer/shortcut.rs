//! From a key that is a whole number to its place, without a search.
//!
//! Invariant: a cache, which changes no result. It is not saved, and fills again as keys are looked up.

/// The most keys, from the least to the greatest, that are worth a table.
const WIDEST: usize = 1024;

/// How much wider than the number of keys the table may be.
const SPARSEST: usize = 2;

/// Room for keys on the side on which the table grows.
const MARGIN: i64 = 8;

/// A table from `first` on; 0 for a key without a place, else the place plus 1.
#[derive(Clone, Debug, Default)]
pub(super) struct Shortcut {
    first: i64,
    places: Vec<u32>,
}

impl Shortcut {
    /// The place of `key`, where it is known.
    #[inline]
    pub(super) fn get(&self, key: f64) -> Option<u32> {
        // Casts of what is too large for a whole number saturate, and then point outside of the table.
        let at = (key as i64).wrapping_sub(self.first) as usize;
        self.places.get(at)?.checked_sub(1)
    }

    /// Forgets all places.
    pub(super) fn clear(&mut self) {
        self.places.fill(0);
    }

    /// Names the place of `key`, one of so many `keys`, unless the table would become too wide.
    pub(super) fn set(&mut self, key: f64, place: u32, keys: usize) {
        let key = key as i64;
        if self.places.is_empty() {
            self.first = key.saturating_add(MARGIN);
        }
        let end = self.first.saturating_add(self.places.len() as i64);
        if !(self.first..end).contains(&key) {
            // With room for the next ones on the side where this one is.
            let first = if key < self.first { key.saturating_sub(MARGIN) } else { self.first };
            let end = if key >= end { key.saturating_add(1 + MARGIN) } else { end };
            match usize::try_from(end.saturating_sub(first)) {
                Ok(width) if width <= WIDEST.min(SPARSEST * (keys + MARGIN as usize)) => self.widen(first, width),
                _ => return,
            }
        }
        if let Some(slot) = usize::try_from(key - self.first).ok().and_then(|at| self.places.get_mut(at)) {
            *slot = place.saturating_add(1);
        }
    }

    #[cold]
    fn widen(&mut self, first: i64, width: usize) {
        let mut places = vec![0; width];
        let before = (self.first - first) as usize;
        places[before..before + self.places.len()].copy_from_slice(&self.places);
        *self = Self { first, places };
    }

    /// What the table of so many `keys` takes, about: it must not matter how much of it is filled.
    pub(super) fn heap_bytes(keys: usize) -> usize {
        (keys + MARGIN as usize) * size_of::<u32>()
    }
}
