//! Scales features to [0, 1] as they come.

use serde::{Deserialize, Serialize};

use super::{Range, StepDescription};
use crate::{Features, NamedColumn, compact_vec::lengthen};
use thalweg_metrics::checked;

/// Maps each numeric feature's range so far to [0, 1]. Nominal columns pass through. A value that lies outside of what
/// has been learned comes out outside of [0, 1]; a feature that never varied, or was never learned, becomes 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MinMaxScaler {
    /// Least and greatest value per column; least > greatest before the first.
    ranges: Vec<[f64; 2]>,
}

checked!(MinMaxScaler { ranges });

impl MinMaxScaler {
    /// Widens the ranges to hold the known features of `x`.
    pub fn learn_one(&mut self, x: Features<'_>) {
        lengthen(&mut self.ranges, x.len(), [f64::MAX, f64::MIN]);
        for (i, (range, &value)) in self.ranges.iter_mut().zip(x.values()).enumerate() {
            if value.is_finite() && !x.is_nominal(i) {
                *range = [range[0].min(value), range[1].max(value)];
            }
        }
    }

    pub(super) fn describe(&self, columns: &mut [NamedColumn]) -> StepDescription {
        let mut features = Vec::new();
        for (i, named) in columns.iter_mut().enumerate().filter(|(_, named)| !named.is_nominal()) {
            let range = self.ranges.get(i).copied().filter(|[least, greatest]| least <= greatest);
            let [least, greatest] = range.unwrap_or_default();
            features.extend(range.map(|_| Range { feature: named.name.clone(), least, greatest }));
            named.rescale(least, greatest - least);
        }
        StepDescription::MinMaxScaler { features }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.ranges.as_slice())
    }

    /// Writes the mapped features into `out`, as many as `x` has; unknown ones stay NaN.
    pub fn transform_one(&self, x: Features<'_>, out: &mut Vec<f64>) {
        out.clear();
        out.extend(x.values().iter().enumerate().map(|(i, &value)| {
            if value.is_nan() || x.is_nominal(i) {
                return value;
            }
            let [least, greatest] = self.ranges.get(i).copied().unwrap_or([0.0, 0.0]);
            // Halves, because a range from -1e308 to 1e308 is wider than the largest float.
            let width = greatest / 2.0 - least / 2.0;
            if width > 0.0 { (value / 2.0 - least / 2.0) / width } else { 0.0 }
        }));
    }
}
