//! A table from whole-number keys to indices of nodes, which saves a search.
//!
//! Invariant: a cache, which changes no result. It is not saved, and fills again as keys are looked up.

/// Largest width of a table, from the smallest key to the largest.
const MAX_WIDTH: usize = 1024;

/// Largest width of a table per key in it.
const MAX_WIDTH_PER_KEY: usize = 2;

/// Largest absolute key in a table; larger ones are searched for.
const MAX_KEY: f64 = 1e9;

/// Spare width on the side on which the table grows.
const SPARE_WIDTH: i32 = 8;

/// A table that starts with the key `first`: 0 for a key without a place, else the place plus 1. It is small, because
/// every feature of every leaf has one, and most are out of the processor's cache when they are needed.
#[derive(Clone, Debug, Default)]
pub(super) struct Shortcut {
    first: i32,
    places: Box<[u16]>,
}

impl Shortcut {
    /// Returns the place of `key`, if it is known.
    #[inline]
    pub(super) fn get(&self, key: f64) -> Option<u32> {
        // Casts of too large keys saturate, and then point outside of the table.
        let at = (key as i64).wrapping_sub(i64::from(self.first)) as usize;
        self.places.get(at)?.checked_sub(1).map(u32::from)
    }

    /// Forgets the places that are not `alive`.
    pub(super) fn retain(&mut self, alive: impl Fn(u32) -> bool) {
        for place in &mut self.places {
            if place.checked_sub(1).is_some_and(|at| !alive(u32::from(at))) {
                *place = 0;
            }
        }
    }

    /// Sets the place of `key`, unless the table would become too wide for `keys` keys.
    pub(super) fn set(&mut self, key: f64, place: u32, keys: usize) {
        let Ok(place) = u16::try_from(place.saturating_add(1)) else { return };
        if key.abs() > MAX_KEY {
            return;
        }
        let key = key as i32;
        if self.places.is_empty() {
            self.first = key + SPARE_WIDTH;
        }
        let end = self.first + self.places.len() as i32;
        if !(self.first..end).contains(&key) {
            // Spare width for the next keys on the side of this one.
            let first = if key < self.first { key - SPARE_WIDTH } else { self.first };
            let end = if key >= end { key + 1 + SPARE_WIDTH } else { end };
            match usize::try_from(end - first) {
                Ok(width) if width <= MAX_WIDTH.min(MAX_WIDTH_PER_KEY * (keys + SPARE_WIDTH as usize)) => {
                    self.widen(first, width)
                }
                _ => return,
            }
        }
        let at = usize::try_from(key - self.first);
        if let Some(slot) = at.ok().and_then(|at| self.places.get_mut(at)) {
            *slot = place;
        }
    }

    #[cold]
    fn widen(&mut self, first: i32, width: usize) {
        let mut places = vec![0; width].into_boxed_slice();
        let before = (self.first - first) as usize;
        places[before..before + self.places.len()].copy_from_slice(&self.places);
        *self = Self { first, places };
    }

    /// Estimates the bytes of a table for `keys` keys. The estimate must not depend on how much of it is filled.
    pub(super) fn heap_bytes(keys: usize) -> usize {
        (keys + SPARE_WIDTH as usize) * size_of::<u16>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_where_it_was_put_and_no_other_is() {
        let mut shortcut = Shortcut::default();
        for (place, key) in [3.0, -5.0, 9.0, 0.0, 5e9, -1e300, f64::MAX, 1e9 + 1.0].into_iter().enumerate() {
            shortcut.set(key, place as u32, 8);
        }
        let places = |keys: [f64; 6]| keys.map(|key| shortcut.get(key));
        assert_eq!(places([3.0, -5.0, 9.0, 0.0, -0.0, 1.0]), [Some(0), Some(1), Some(2), Some(3), Some(3), None]);
        let far = [5e9, -1e300, f64::MAX, 1e9 + 1.0, f64::from(i32::MAX), f64::from(i32::MIN)];
        assert_eq!(places(far), [None; 6]);
    }

    #[test]
    fn a_table_stays_narrow_however_far_apart_keys_are() {
        let mut shortcut = Shortcut::default();
        for i in 0..10_000_i32 {
            shortcut.set(f64::from(i * 1000), i as u32, i as usize + 1);
        }
        assert!(shortcut.places.len() <= MAX_WIDTH, "{}", shortcut.places.len());
        shortcut.retain(|place| place != 0);
        assert_eq!(shortcut.get(0.0), None);
    }
}
