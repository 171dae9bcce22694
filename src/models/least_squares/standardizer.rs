//! Rows as experts see them: standardised, clipped, complete, and never too long.
//!
//! Invariant: place `i` of a row holds the same feature until [`Standardizer::learn`] returns it. Unknown and nominal
//! values are 0, the mean of a standardised feature, and so is whatever has never varied. Where there are more features
//! than places, the features that correlate most with the target have one.

use serde::{Deserialize, Serialize};

use super::Screening;
use crate::{Features, NamedColumn, compact_vec::lengthen, describe::column, steps::StandardScaler};
use thalweg_metrics::checked;

/// Maximum number of places in a row.
pub(crate) const MAX_INPUTS: usize = 96;

/// Buffer for a row.
pub(crate) type RowBuffer = [f64; MAX_INPUTS];

/// Values are clipped at this many standard deviations from the mean.
const MAX_DEVIATIONS: f64 = 4.0;

/// Brings features to mean 0 and variance 1 by their running statistics (Welford 1962).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Standardizer {
    scaler: StandardScaler,
    /// The feature at each place.
    places: Vec<usize>,
    /// Present once there are more features than places.
    screening: Option<Screening>,
}

checked!(Standardizer { scaler, places, screening } then fits);

impl Standardizer {
    fn fits(&self) -> Result<(), &'static str> {
        if self.places.len() > MAX_INPUTS {
            return Err("a standardised row has more places than it may");
        }
        Ok(())
    }
}

impl Standardizer {
    /// Writes the row of `x` into `buffer`.
    pub(crate) fn row<'a>(&self, x: Features<'_>, buffer: &'a mut RowBuffer) -> &'a [f64] {
        let row = &mut buffer[..self.places.len()];
        for (z, column) in row.iter_mut().zip(&self.places) {
            *z = standardised(&self.scaler, x, *column);
        }
        row
    }

    /// Adds `x`, with the target `y`, to the statistics; returns the place that holds another feature from now on, if
    /// one does.
    pub(crate) fn learn(&mut self, x: Features<'_>, y: f64) -> Option<usize> {
        let Self { scaler, places, screening } = self;
        scaler.learn_one(x);
        if places.len() < x.len().min(MAX_INPUTS) {
            let before = places.len();
            lengthen(places, x.len().min(MAX_INPUTS), 0);
            places[before..].iter_mut().zip(before..).for_each(|(place, column)| *place = column);
        }
        if x.len() > MAX_INPUTS {
            let screening = screening.get_or_insert_default();
            screening.learn((0..x.len()).map(|i| standardised(scaler, x, i)), y);
            if let Some((place, column)) = screening.exchange(places) {
                places[place] = column;
                return Some(place);
            }
        }
        None
    }

    /// Returns the names of a row's places; `columns` are those of the features.
    pub(crate) fn inputs(&self, columns: &[NamedColumn]) -> Vec<NamedColumn> {
        let mut all = columns.to_vec();
        self.scaler.describe(&mut all);
        self.places.iter().map(|i| column(&all, *i)).collect()
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let screening = self.screening.as_ref().map_or(0, Screening::heap_bytes);
        self.scaler.heap_bytes() + size_of_val(self.places.as_slice()) + screening
    }
}

fn standardised(scaler: &StandardScaler, x: Features<'_>, column: usize) -> f64 {
    scaler.standardised(x, column).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
}
