//! From a key that is a whole number to its place, without a search.
//!
//! Invariant: a cache, which changes no result. It is not saved, and fills again as keys are looked up.

/// The most keys, from the least to the greatest, that are worth a table.
const WIDEST: usize = 1024;

/// How much wider than the number of keys the table may be.
const SPARSEST: usize = 2;

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
            self.first = key;
        }
        let end = self.first.saturating_add(self.places.len() as i64);
        let (first, end) = (self.first.min(key), end.max(key.saturating_add(1)));
        let Ok(width) = usize::try_from(end.saturating_sub(first)) else { return };
        if width > WIDEST.min(SPARSEST * (keys + 4)) {
            return;
        }
        if first < self.first {
            let more = (self.first - first) as usize;
            self.places.reserve_exact(more);
            self.places.splice(..0, std::iter::repeat_n(0, more));
            self.first = first;
        }
        if width > self.places.len() {
            self.places.reserve_exact(width - self.places.len());
            self.places.resize(width, 0);
        }
        if let Some(slot) = usize::try_from(key - first).ok().and_then(|at| self.places.get_mut(at)) {
            *slot = place.saturating_add(1);
        }
    }

    /// What the table of so many `keys` takes, about: it must not matter how much of it is filled.
    pub(super) fn heap_bytes(keys: usize) -> usize {
        keys * size_of::<u32>()
    }
}
