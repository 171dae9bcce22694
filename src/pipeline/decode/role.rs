//! What a field is: its part in what the models see, and whether it is the key or the time besides.
//!
//! Invariant: the roles are independent. A field can be key, category and time at once; only the models see it in one
//! way.

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

/// What a field is to the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    Target,
    /// A numeric feature's column.
    Column(usize),
    /// A nominal feature's column.
    Nominal(usize),
    /// Nothing, with all that is nested in it. A state may still say so by a role that had no other beside it.
    #[serde(alias = "Key", alias = "Timestamp")]
    Ignored,
    /// Not seen yet; becomes a numeric column if it brings a number and the features are not listed.
    New,
    /// Listed as nominal, not seen yet.
    NewNominal,
    /// Holds text that is no number, which nothing is made of. The first number makes a column of it, or brings that
    /// back which it was before it held such text. Narrow, since what a field is gets copied for every value.
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

/// All that a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) part: Part,
    pub(super) key: bool,
    pub(super) timestamp: bool,
    /// It is ignored, but something nested in it is not.
    pub(super) inner: bool,
}

impl Field {
    /// A name that nothing is known of.
    pub(super) const NEW: Self = Self { part: Part::New, key: false, timestamp: false, inner: false };

    /// Whether it goes to the models alone.
    #[inline]
    pub(super) fn is_plain(self) -> bool {
        !(self.key || self.timestamp)
    }

    /// Whether a number has to be spelled out for it.
    #[inline]
    pub(super) fn wants_text(self) -> bool {
        self.key || matches!(self.part, Part::Nominal(_) | Part::NewNominal)
    }
}
