//! A window of the latest samples, bounded in number and bytes, for questions that only data can answer.
//!
//! Invariant: at most [`MAX_SAMPLES`] samples and [`MAX_VALUE_BYTES`] bytes of values, oldest overwritten first; adding
//! a sample allocates only until the window is full, or if a column is new. What this does not do: learn from them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Features;
use thalweg_metrics::checked;

/// Number of samples kept.
const MAX_SAMPLES: usize = 200;

/// Bytes of values kept. Fewer wide rows are kept, and none if not even two fit.
const MAX_VALUE_BYTES: usize = 1 << 17;

/// A window of samples: features as they came, and targets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleWindow {
    /// Number of values in a row: its features, then the target.
    width: usize,
    nominal: Vec<bool>,
    /// Values, row by row; in a full window the oldest row is at `next`.
    #[serde(serialize_with = "nan_as_none", deserialize_with = "none_as_nan")]
    values: Vec<f64>,
    /// Index of the row that the next sample takes.
    next: usize,
}

/// Writes an unknown value (NaN) as none, because some formats have no NaN.
fn nan_as_none<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(values.iter().map(|value| Some(*value).filter(|value| !value.is_nan())))
}

fn none_as_nan<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    let values = Vec::<Option<f64>>::deserialize(from)?;
    Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

// Values may be NaN: those are unknown.
checked!(SampleWindow { width, nominal, values: any, next } then fits);

/// Returns the number of rows kept if each has `width` values.
fn rows_of(width: usize) -> usize {
    let max_rows = MAX_VALUE_BYTES / width.max(1).saturating_mul(size_of::<f64>());
    if max_rows < 2 { 0 } else { max_rows.min(MAX_SAMPLES) }
}

impl SampleWindow {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { width, values, next, .. } = self;
        let rows = values.len().checked_div(*width).unwrap_or(0);
        let max_rows = rows_of(*width);
        if values.len() != rows * width || rows > max_rows || *next > rows || rows < max_rows && *next != rows {
            return Err("a window of samples does not hold whole samples");
        }
        let targets = values.chunks_exact((*width).max(1)).filter_map(<[f64]>::last);
        if targets.chain([&0.0]).any(|y| !y.is_finite()) || values.iter().any(|value| value.is_infinite()) {
            return Err("a window of samples holds a number that is not finite");
        }
        Ok(())
    }

    /// Adds a sample with its target, which is finite.
    #[inline(always)]
    pub fn push(&mut self, x: Features<'_>, y: f64) {
        if x.len() + 1 != self.width {
            self.widen(x);
        }
        let (width, max_rows) = (self.width, rows_of(self.width));
        if max_rows == 0 {
            return;
        }
        if self.next == max_rows {
            self.next = 0;
        }
        // Columns that this sample does not have.
        let missing = width - 1 - x.len();
        if self.values.len() < max_rows * width {
            self.values.extend_from_slice(x.values());
            self.values.extend(std::iter::repeat_n(f64::NAN, missing));
            self.values.push(y);
        } else {
            let row = &mut self.values[self.next * width..][..width];
            row[..x.len()].copy_from_slice(x.values());
            row[x.len()..width - 1].fill(f64::NAN);
            row[width - 1] = y;
        }
        self.next += 1;
    }

    /// Adds new columns, unknown in the samples already kept.
    #[cold]
    fn widen(&mut self, x: Features<'_>) {
        let known = self.nominal.len();
        self.nominal.extend((known..x.len()).map(|i| x.is_nominal(i)));
        let width = x.len() + 1;
        if width <= self.width {
            return;
        }
        let (rows, max_rows) = (self.len(), rows_of(width));
        let kept = rows.min(max_rows);
        let mut values = Vec::with_capacity(max_rows * width);
        for (features, y) in self.rows().skip(rows - kept) {
            values.extend_from_slice(features);
            values.extend(std::iter::repeat_n(f64::NAN, width - 1 - features.len()));
            values.push(y);
        }
        (self.width, self.next, self.values) = (width, kept, values);
    }

    /// Returns the number of samples in the window.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// Returns whether the window holds no sample.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns whether the next sample will replace the oldest.
    pub fn is_full(&self) -> bool {
        self.len() == rows_of(self.width)
    }

    /// Returns whether column `i` of the features is nominal.
    pub fn is_nominal(&self, i: usize) -> bool {
        self.nominal.get(i).copied().unwrap_or(false)
    }

    /// Replaces each value, unknown ones too, by the result of `map` for its column and the value, oldest sample first.
    /// The target's column comes after those of the features.
    pub fn map_values(&mut self, mut map: impl FnMut(usize, f64) -> f64) {
        let first = if self.next < self.len() { self.next } else { 0 };
        for row in (first..self.len()).chain(0..first) {
            let row = &mut self.values[row * self.width..][..self.width];
            row.iter_mut().enumerate().for_each(|(i, value)| *value = map(i, *value));
        }
    }

    /// Returns the number of feature columns.
    pub fn columns(&self) -> usize {
        self.width.saturating_sub(1)
    }

    /// Returns a row of this window with the kinds of its columns.
    pub fn features<'a>(&'a self, row: &'a [f64]) -> Features<'a> {
        Features::with_nominal(row, &self.nominal)
    }

    /// Iterates over features and target of each sample, oldest first.
    pub fn rows(&self) -> impl Iterator<Item = (&[f64], f64)> {
        let full = self.next < self.len();
        let (newer, older) = self.values.split_at(if full { self.next * self.width } else { 0 });
        let rows = [older, newer].into_iter().flat_map(|values| values.chunks_exact(self.width.max(1)));
        rows.filter_map(|row| row.split_last().map(|(y, features)| (features, *y)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_metrics::Checked;

    fn targets(recent: &SampleWindow) -> Vec<f64> {
        recent.rows().map(|(_, y)| y).collect()
    }

    #[test]
    fn the_latest_samples_stay_in_order() {
        let mut recent = SampleWindow::default();
        for i in 0..1234_i32 {
            recent.push(Features::new(&[f64::from(i), f64::NAN]), f64::from(-i));
            let first = (i + 1 - MAX_SAMPLES as i32).max(0);
            assert_eq!(targets(&recent), (first..=i).map(|i| f64::from(-i)).collect::<Vec<_>>());
            let saved = rmp_serde::to_vec_named(&recent).expect("saved");
            let mut restored: SampleWindow = rmp_serde::from_slice(&saved).expect("restored");
            restored.check().expect("sound");
            assert_eq!((targets(&restored), restored.next), (targets(&recent), recent.next));
        }
        assert!(recent.rows().all(|(x, y)| x[0] == -y && x[1].is_nan()));
    }

    #[test]
    fn a_new_column_is_unknown_in_what_came_before_and_a_short_row_has_none_of_it() {
        let mut recent = SampleWindow::default();
        (0..300).for_each(|i| recent.push(Features::new(&[f64::from(i)]), 1.0));
        recent.push(Features::with_nominal(&[5.0, 2.0], &[false, true]), 2.0);
        recent.push(Features::new(&[6.0]), 3.0);
        let rows: Vec<_> = recent.rows().collect();
        assert_eq!((rows.len(), recent.columns()), (MAX_SAMPLES, 2));
        assert_eq!(rows[0].0[0], 102.0);
        assert!(rows[0].0[1].is_nan() && rows[199].0[1].is_nan() && rows[199].1 == 3.0);
        assert_eq!(rows[198].0, [5.0, 2.0]);
        assert!(recent.features(rows[198].0).is_nominal(1));
    }

    #[test]
    fn wide_rows_are_fewer() {
        for (columns, rows) in [(1, 200), (80, 200), (999, 16), (8191, 2), (8192, 0), (1_000_000, 0)] {
            let mut recent = SampleWindow::default();
            let x = vec![1.0; columns];
            (0..250).for_each(|_| recent.push(Features::new(&x), 1.0));
            assert_eq!(recent.len(), rows, "{columns}");
            assert!(recent.values.capacity() * 8 <= 2 * MAX_VALUE_BYTES, "{columns}");
        }
    }

    #[test]
    fn a_damaged_window_is_refused() {
        let saved = |width: usize, values: &[Option<f64>], next: usize| {
            let state = (width, Vec::<bool>::new(), values, next);
            let mut read: SampleWindow =
                rmp_serde::from_slice(&rmp_serde::to_vec(&state).expect("saved")).expect("read");
            read.check().is_ok()
        };
        let [one, none] = [Some(1.0), None];
        assert!(saved(2, &[one, one], 1) && saved(2, &[none, one], 1) && saved(0, &[], 0));
        for (width, values, next) in
            [(2, &[one][..], 0), (2, &[one, one], 0), (2, &[one, one], 2), (2, &[one, none], 1), (0, &[one], 0)]
        {
            assert!(!saved(width, values, next), "{width} {values:?} {next}");
        }
    }
}
