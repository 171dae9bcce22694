//! The quantization observer: a numeric feature in slots of a fixed width (Mastelini and de Carvalho 2021, "Using
//! dynamical quantization to perform split attempts in online tree regressors").
//!
//! Invariant: slots ascend by key and none is empty. Two defects of River are fixed here: the left part of a candidate
//! is a copy of the running sum, not the sum itself (which goes on to count everything), and the threshold lies between
//! the last slot on the left and the first on the right, not one slot lower. So the first slot can be split off, too.

use serde::{Deserialize, Serialize};

use crate::compact_vec::{bytes_of, insert};
use thalweg_metrics::statistics::Var;

use super::super::split::{Criterion, Parts};
use thalweg_metrics::checked;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Quantized {
    slots: Vec<Slot>,
}

checked!(Quantized { slots } then fits);

impl Quantized {
    fn fits(&self) -> Result<(), &'static str> {
        let sound = self.slots.iter().all(|slot| slot.target.n > 0.0) && self.slots.is_sorted_by(|a, b| a.key < b.key);
        if sound { Ok(()) } else { Err("slots do not ascend, or some have seen nothing") }
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Slot {
    /// Key of the slot: ⌊value / radius⌋.
    key: f64,
    /// Mean of the feature in this slot.
    mean: f64,
    target: Var,
}

checked!(Slot { key, mean, target });

impl Quantized {
    pub(super) fn update(&mut self, x: f64, radius: f64, y: f64, weight: f64) {
        // Adding 0 makes a negative zero positive.
        let key = (x / radius).floor() + 0.0;
        if !key.is_finite() {
            return;
        }
        match self.find(key) {
            Ok(at) => self.slots[at].update(x, y, weight),
            Err(at) => {
                let mut slot = Slot { key, mean: 0.0, target: Var::default() };
                slot.update(x, y, weight);
                insert(&mut self.slots, at, slot);
            }
        }
    }

    fn find(&self, key: f64) -> Result<usize, usize> {
        // Slots mostly have no gaps: then the index is the distance from the first one.
        let guess = self.slots.first().map_or(0, |first| (key - first.key) as usize);
        match self.slots.get(guess) {
            Some(slot) if slot.key == key => Ok(guess),
            _ => self.slots.binary_search_by(|slot| slot.key.total_cmp(&key)),
        }
    }

    pub(super) fn best_split(&self, criterion: &Criterion) -> Option<(f64, Parts)> {
        let mut best = None;
        let mut best_merit = f64::NEG_INFINITY;
        let mut left = Var::default();
        for pair in self.slots.windows(2) {
            left = left.merged(pair[0].target);
            let targets = [left, criterion.whole.without(left)];
            let merit = criterion.merit(&targets);
            if merit > best_merit {
                best_merit = merit;
                best = Some(Parts::Threshold { threshold: f64::midpoint(pair[0].mean, pair[1].mean), targets });
            }
        }
        best.map(|parts| (best_merit, parts))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        bytes_of(&self.slots)
    }
}

impl Slot {
    fn update(&mut self, x: f64, y: f64, weight: f64) {
        self.target.update(y, weight);
        self.mean += (weight / self.target.n) * (x - self.mean);
    }
}
