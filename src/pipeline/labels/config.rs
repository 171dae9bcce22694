//! When and how the targets of samples come.

use serde::{Deserialize, Serialize};
use thalweg_features::Span;
use thalweg_metrics::checked;

/// Checked settings of targets that come late (`[labels]`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Labels {
    /// Where targets come.
    pub mode: Mode,
    /// Longest time that a sample waits for its target, in milliseconds of the samples' own time.
    pub max_wait: u64,
    /// Bytes that all that waits in a partition may take.
    pub max_pending: usize,
    /// Time that a label waits for its sample, in milliseconds; 0 where one without a sample is a dead letter at once.
    pub max_early: u64,
    /// Target by which a sample is learned that has waited for too long; `None` where nothing is learned of it.
    pub default: Option<f64>,
    /// Consequence of another label for a sample that has had one.
    pub on_correction: OnCorrection,
}

checked!(Labels { mode, max_wait, max_pending, max_early, default, on_correction });

/// Where targets come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// In the sample itself.
    #[default]
    Inline,
    /// In a later record of the same partition, the label.
    SameTopic(Join),
    /// In records of a topic of their own, in the partition of the same number.
    Topic(Join),
    /// In the sample itself, but not known until so much later: so that what was recorded can be judged by what was known.
    Delayed(Span),
}

checked!(
    enum Mode {
        Inline,
        SameTopic(join),
        Topic(join),
        Delayed(span),
    }
);

/// How labels are told from samples, and which sample one belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Field whose value a label shares with its sample; `None` for the records' key, by which the oldest sample that waits is meant.
    pub by: Option<String>,
    /// What marks a label; `None` where it is that a record has the target and no feature.
    pub marker: Option<Marker>,
}

checked!(Join { by, marker });

/// A field and its value, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Field.
    pub field: String,
    /// Its value in labels.
    pub value: String,
}

checked!(Marker { field, value });

/// Consequence of another label for a sample that has had one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnCorrection {
    /// It is a dead letter.
    #[default]
    Refuse,
    /// The sample is learned once more, with the other target; its scores stay.
    Learn,
}

checked!(enum OnCorrection = Refuse | Learn);

impl Default for Labels {
    fn default() -> Self {
        Self {
            mode: Mode::Inline,
            max_wait: 7 * 86_400_000,
            max_pending: 64 << 20,
            max_early: 0,
            default: None,
            on_correction: OnCorrection::Refuse,
        }
    }
}

impl Labels {
    /// Returns how labels are found; `None` where there are none.
    pub fn join(&self) -> Option<&Join> {
        match &self.mode {
            Mode::SameTopic(join) | Mode::Topic(join) => Some(join),
            Mode::Inline | Mode::Delayed(_) => None,
        }
    }

    /// Returns true where labels have a topic of their own.
    pub fn have_topic(&self) -> bool {
        matches!(self.mode, Mode::Topic(_))
    }

    /// Returns true where every target is in its sample and known at once.
    pub fn is_inline(&self) -> bool {
        self.mode == Mode::Inline
    }
}
