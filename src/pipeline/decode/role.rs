//! Roles of a field: its part in the sample that the models see, and whether it is also the key or the time.
//!
//! Invariant: the roles are independent. A field can be key, category and time at once; only the models see it in one
//! way.

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

/// Part of a field in the sample that the models see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    Target,
    /// A numeric feature's column.
    Column(usize),
    /// A nominal feature's column.
    Nominal(usize),
    /// Ignored, with all that is nested in it. Older states say so by `Key` or `Timestamp`, when a field had one role
    /// only.
    #[serde(alias = "Key", alias = "Timestamp")]
    Ignored,
    /// Not seen yet; becomes a numeric column if it brings a number and the features are not listed.
    New,
    /// Listed as nominal, not seen yet.
    NewNominal,
    /// Holds text that is no number, and is ignored. The first number makes a column of it, or restores the column that
    /// it was before. Two `u32`, since a `Field` is copied for every value.
    Text {
        slot: u32,
        column: Option<u32>,
    },
}

checked!(enum Part {
    Target,
    Column(column),
    Nominal(column),
    Ignored,
    New,
    NewNominal,
    Text { slot, column },
});

impl Part {
    pub(super) fn feature(column: usize, nominal: bool) -> Self {
        if nominal { Part::Nominal(column) } else { Part::Column(column) }
    }
}

/// Roles of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) part: Part,
    pub(super) key: bool,
    pub(super) timestamp: bool,
    /// True where it is ignored, but something nested in it is not.
    pub(super) inner: bool,
}

impl Field {
    /// Field of an unknown name.
    pub(super) const NEW: Self = Self { part: Part::New, key: false, timestamp: false, inner: false };

    /// Returns `true` where only the models use it: it is neither the key nor the time.
    #[inline]
    pub(super) fn is_model_only(self) -> bool {
        !(self.key || self.timestamp)
    }

    /// Returns `true` where it also needs the text of a number.
    #[inline]
    pub(super) fn wants_text(self) -> bool {
        self.key || matches!(self.part, Part::Nominal(_) | Part::NewNominal)
    }
}
