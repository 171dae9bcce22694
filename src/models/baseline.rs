//! The models that use no feature: the baselines any other has to beat.

use serde::{Deserialize, Serialize};

use thalweg_metrics::checked;

use super::{Description, Features, NamedColumn, Refused, Regressor};

/// Predicts the mean of the targets so far. Skill is measured against it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    weight: f64,
    mean: f64,
}

checked!(Mean { weight, mean });

impl Regressor for Mean {
    fn predict_one(&self, _: Features<'_>) -> f64 {
        self.mean
    }

    fn learn_one(&mut self, _: Features<'_>, y: f64, weight: f64) -> Result<(), Refused> {
        let total = self.weight + weight;
        let mean = self.mean + (weight / total) * (y - self.mean);
        if !mean.is_finite() {
            return Err(Refused);
        }
        (self.weight, self.mean) = (total, mean);
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn describe(&self, _: &[NamedColumn]) -> Description {
        Description::constant(self.mean)
    }
}

/// Predicts the last target (persistence), the baseline for targets that move slowly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Last {
    target: f64,
}

checked!(Last { target });

impl Regressor for Last {
    fn predict_one(&self, _: Features<'_>) -> f64 {
        self.target
    }

    fn learn_one(&mut self, _: Features<'_>, y: f64, _: f64) -> Result<(), Refused> {
        if !y.is_finite() {
            return Err(Refused);
        }
        self.target = y;
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn describe(&self, _: &[NamedColumn]) -> Description {
        Description::constant(self.target)
    }
}
