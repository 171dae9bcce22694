//! Roles of a field: its part in the sample that the models see, and whether it is also the key or the time.
//!
//! Invariant: the roles are independent. A field can be key, category and time at once; only the models see it in one
//! way.

use serde::{Deserialize, Serialize};

use super::cast::Cast;
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

/// What counts of that which is nested in an ignored field, or in the one that holds the features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inner {
    /// Nothing does.
    Nothing,
    /// Fields that the schema names.
    Named,
    /// All that has a name: the field alone has given its own away.
    All,
    /// All: it is the object that holds the features, where that is not the record.
    Root,
}

/// Roles of a field, in 24 bytes: one is copied for each value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) part: Part,
    pub(super) key: bool,
    pub(super) timestamp: bool,
    /// What counts of that which is nested in it, where it is ignored.
    pub(super) inner: Inner,
    /// Meaning of its values, where it is said.
    pub(super) cast: Option<Cast>,
    /// What the features of the past need it for: the place of that in the index, plus one; 0 for nothing.
    pub(super) needed: u8,
    /// True where its numbers are milliseconds since 1970, whatever the settings say: the writer's schema does.
    pub(super) in_milliseconds: bool,
    /// True where it is the key or the time, features of the past need it, or the meaning of its values is said: one look tells that
    /// it is none.
    pub(super) is_marked: bool,
}

const _: () = assert!(size_of::<Field>() == 24);

impl Field {
    /// Field of an unknown name.
    pub(super) const NEW: Self = Self {
        part: Part::New,
        key: false,
        timestamp: false,
        inner: Inner::Nothing,
        cast: None,
        needed: 0,
        in_milliseconds: false,
        is_marked: false,
    };

    /// Field that nothing uses, with all that is nested in it.
    pub(super) const IGNORED: Self = Self { part: Part::Ignored, ..Self::NEW };

    /// Object or array of which a field within it has the name.
    pub(super) const DISPLACED: Self = Self { part: Part::Ignored, inner: Inner::All, ..Self::NEW };

    /// Returns `true` where nothing uses it, nor anything nested in it.
    #[inline]
    pub(super) fn is_skipped(self) -> bool {
        self == Self::IGNORED
    }

    /// Returns `true` for the object that holds the features, where that is not the record.
    #[inline]
    pub(super) fn is_root(self) -> bool {
        self.inner == Inner::Root
    }

    /// Returns `true` where of what is nested in it only fields that the schema names count.
    #[inline]
    pub(super) fn is_ignored_within(self) -> bool {
        self.part == Part::Ignored && self.inner != Inner::All
    }

    /// Returns `true` where only a number may stand, so that members and elements are no features.
    #[inline]
    pub(super) fn must_be_number(self) -> bool {
        matches!(self.part, Part::Target | Part::Column(_)) && !self.timestamp
    }

    /// Returns its roles inside an ignored field, where only fields that the schema names count.
    pub(super) fn within_ignored(self) -> Self {
        if self.part == Part::New && self.is_model_only() { Self::IGNORED } else { self }
    }

    /// Returns `true` where only the models use it: it is neither the key nor the time, nor is it needed besides.
    #[inline]
    pub(super) fn is_model_only(self) -> bool {
        !(self.key || self.timestamp || self.needed > 0)
    }

    /// Returns `true` where a number is taken as it is.
    #[inline]
    pub(super) fn is_plain(self) -> bool {
        !self.is_marked
    }

    /// Returns it once all is known that it is besides its part.
    pub(super) fn marked(self) -> Self {
        Self { is_marked: self.key || self.timestamp || self.needed > 0 || self.cast.is_some(), ..self }
    }

    /// Returns `true` where its values are categories.
    pub(super) fn is_category(self) -> bool {
        matches!(self.part, Part::Nominal(_) | Part::NewNominal)
    }

    /// Returns it without the roles that a value has been taken for.
    pub(super) fn as_feature(self) -> Self {
        Self { key: false, timestamp: false, cast: None, needed: 0, is_marked: false, ..self }
    }

    /// Returns `true` where it also needs the text of a number.
    #[inline]
    pub(super) fn wants_text(self) -> bool {
        self.wants_digits() || self.is_category()
    }

    /// Returns `true` where a number may be a key: its digits count.
    #[inline]
    pub(super) fn wants_digits(self) -> bool {
        self.key || self.needed > 0
    }
}
