//! An expert as a model of its own.

use serde::{Deserialize, Serialize};

use super::{Expert, RowBuffer, Standardizer, TargetRange};
use crate::{Description, Features, NamedColumn, Refused, Regressor};
use thalweg_metrics::checked;

/// An expert between its standardiser and the range of its predictions. It learns from rows standardised after the
/// statistics have taken the sample in, which are far less wild as long as the statistics hold few samples (River's
/// order, too).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Standalone<E> {
    standardizer: Standardizer,
    range: TargetRange,
    expert: E,
}

checked!(Standalone<E> { standardizer, range, expert });

#[expect(private_bounds, reason = "which experts there are is the engine's own affair")]
impl<E: Expert> Standalone<E> {
    /// Makes a model around an expert that has learned nothing.
    pub(crate) fn around(expert: E) -> Self {
        Self { standardizer: Standardizer::default(), range: TargetRange::default(), expert }
    }
}

impl<E: Expert> Regressor for Standalone<E> {
    fn predict_one(&self, x: Features<'_>) -> f64 {
        let mut room: RowBuffer = [0.0; _];
        self.range.clip(self.expert.predict(self.standardizer.row(x, &mut room)))
    }

    /// Refuses targets beyond 1e150, and what the expert refuses; the statistics of features and target then know the
    /// sample.
    fn learn_one(&mut self, x: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        if !TargetRange::accepts(y) {
            return Err(Refused);
        }
        let y = self.range.learn(y);
        if let Some(i) = self.standardizer.learn(x, y) {
            self.expert.renew(i);
        }
        if weight > 0.0 {
            let mut room: RowBuffer = [0.0; _];
            self.expert.learn(self.standardizer.row(x, &mut room), y, weight)?;
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.standardizer.heap_bytes() + self.expert.heap_bytes()
    }

    fn describe(&self, columns: &[NamedColumn]) -> Description {
        self.expert.describe(&self.standardizer.inputs(columns))
    }
}
