//! The parameters of adaptive model rules, under River's names.

use serde::{Deserialize, Serialize};

use crate::{linear, tree::Splitter};
use thalweg_metrics::checked;
use thalweg_metrics::drift::DetectorKind;

/// What a rule predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredType {
    /// The mean of the targets it has learned.
    Mean,
    /// Its linear regression.
    Model,
    /// Whichever of the two has the lower faded absolute error.
    #[default]
    Adaptive,
}

checked!(enum PredType = Mean | Model | Adaptive);

/// Parameters of [`super::AmRules`]; the defaults are River's, except that River has no `max_rules`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Samples (more exactly: their weight) that a rule learns between two attempts to expand, ≥ 1.
    pub n_min: u32,
    /// Significance of the Hoeffding bound, 0 < delta < 1: the chance of choosing a worse test.
    pub delta: f64,
    /// Below this bound the two best tests count as tied, 0 to 1.
    pub tau: f64,
    /// What a rule predicts.
    pub pred_type: PredType,
    /// The linear regression of a rule.
    pub pred_model: linear::Params,
    /// Summary of numeric features.
    pub splitter: Splitter,
    /// Detector on the absolute error of a rule, in the target's unit; `None` keeps every rule.
    pub drift_detector: Option<DetectorKind>,
    /// Fading of the errors that choose between mean and model, 0 < fading ≤ 1.
    pub fading_factor: f64,
    /// A sample that scores less is an anomaly to a rule, which then does not learn it: a mean log odds, 0 for what is
    /// √3 standard deviations off in every feature that is more than one off, lower further out.
    pub anomaly_threshold: f64,
    /// Weight that a rule must have learned before any sample is an anomaly.
    pub m_min: u32,
    /// Only the first rule that covers a sample predicts and learns. Otherwise all do, and their mean is predicted.
    pub ordered_rule_set: bool,
    /// Minimum number of samples on each side of a test, ≥ 1.
    pub min_samples_split: u32,
    /// Maximum number of rules beside the default rule, ≥ 1. At the maximum, a new one takes the place of the one that
    /// has covered nothing for longest, if for more than `max_rules · n_min` samples; otherwise the set does not grow.
    pub max_rules: u32,
}

checked!(Params {
    n_min,
    delta,
    tau,
    pred_type,
    pred_model,
    splitter,
    drift_detector,
    fading_factor,
    anomaly_threshold,
    m_min,
    ordered_rule_set,
    min_samples_split,
    max_rules,
});

impl Default for Params {
    fn default() -> Self {
        Self {
            n_min: 200,
            delta: 1e-7,
            tau: 0.05,
            pred_type: PredType::default(),
            pred_model: linear::Params::river(),
            splitter: Splitter::Tebst { digits: 1 },
            drift_detector: Some(DetectorKind::default()),
            fading_factor: 0.99,
            anomaly_threshold: -0.75,
            m_min: 30,
            ordered_rule_set: true,
            min_samples_split: 5,
            max_rules: 100,
        }
    }
}
