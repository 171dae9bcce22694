//! Features of time and of the past, through their public interface.

mod calendar;
mod oracle;
mod plans;

use thalweg_features::{Feature, Input, Kind, Past, Plan};

/// A plan with its past, which is told of samples as a stream tells it.
pub(crate) struct Stream {
    pub(crate) plan: Plan,
    pub(crate) past: Past,
}

/// A sample: its time, its fields, the texts of its keys, and its target where that is known at once.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) time: Option<i64>,
    pub(crate) fields: Vec<f64>,
    pub(crate) keys: Vec<Option<String>>,
    pub(crate) target: Option<f64>,
}

impl Stream {
    pub(crate) fn new(features: &[Feature]) -> Self {
        let zone = |name: &str| jiff::tz::TimeZone::get(name).ok();
        Self { plan: Plan::new(features, "y", zone).expect("a plan"), past: Past::default() }
    }

    /// Returns the features of a sample, and remembers it.
    pub(crate) fn next(&mut self, sample: &Sample) -> Vec<f64> {
        let row = self.features(sample);
        let Sample { time, fields, keys, target } = sample;
        self.plan.remember(&mut self.past, Input { time: *time, fields, keys }, *target);
        row
    }

    /// Returns the features of a sample.
    pub(crate) fn features(&mut self, Sample { time, fields, keys, .. }: &Sample) -> Vec<f64> {
        let mut row = vec![f64::NAN; self.plan.columns().len()];
        self.plan.fill(&self.past, Input { time: *time, fields, keys }, &mut row);
        row
    }

    /// Goes on from its saved past.
    pub(crate) fn restart(&mut self) {
        let saved = rmp_serde::to_vec_named(&self.past).expect("saved");
        self.past = rmp_serde::from_slice(&saved).expect("restored");
        thalweg_metrics::Checked::check(&mut self.past).expect("sound");
        assert!(self.plan.fits(&self.past));
    }
}

pub(crate) fn feature(kind: Kind) -> Feature {
    Feature { kind, by: None, name: None }
}

pub(crate) fn by(key: &str, kind: Kind) -> Feature {
    Feature { kind, by: Some(key.into()), name: None }
}
