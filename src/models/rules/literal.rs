//! One test of a rule.
//!
//! Invariant: false for a sample that does not know the feature. What this does not do: decide which test is worth it.

use serde::{Deserialize, Serialize};

use crate::Features;
use thalweg_metrics::checked;

/// A test of one feature, by its column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Literal {
    /// The value is at or below the threshold.
    AtMost {
        /// Column of the feature.
        feature: u32,
        /// Threshold, in the feature's unit (after a scaler: in standard deviations).
        threshold: f64,
    },
    /// The value is above the threshold.
    Above {
        /// Column of the feature.
        feature: u32,
        /// Threshold, in the feature's unit (after a scaler: in standard deviations).
        threshold: f64,
    },
    /// The category is this one.
    Is {
        /// Column of the feature.
        feature: u32,
        /// Index of the category.
        category: f64,
    },
    /// The category is known, and another one.
    IsNot {
        /// Column of the feature.
        feature: u32,
        /// Index of the category.
        category: f64,
    },
}

checked!(enum Literal {
    AtMost { feature, threshold },
    Above { feature, threshold },
    Is { feature, category },
    IsNot { feature, category },
});

impl Literal {
    /// Returns the column of the feature that is tested.
    pub fn feature(&self) -> usize {
        match *self {
            Literal::AtMost { feature, .. }
            | Literal::Above { feature, .. }
            | Literal::Is { feature, .. }
            | Literal::IsNot { feature, .. } => feature as usize,
        }
    }

    /// Returns true if `x` passes the test.
    #[inline]
    pub fn covers(&self, x: Features<'_>) -> bool {
        // Comparisons with NaN, an unknown value, are false.
        let value = |feature: u32| x.values().get(feature as usize).copied().unwrap_or(f64::NAN);
        match *self {
            Literal::AtMost { feature, threshold } => value(feature) <= threshold,
            Literal::Above { feature, threshold } => value(feature) > threshold,
            Literal::Is { feature, category } => value(feature) == category,
            Literal::IsNot { feature, category } => value(feature) < category || value(feature) > category,
        }
    }

    /// Returns true if whatever passes `self` passes `other`, too.
    fn implies(&self, other: &Self) -> bool {
        use Literal::{Above, AtMost, Is, IsNot};
        self.feature() == other.feature()
            && match (self, other) {
                (AtMost { threshold: a, .. }, AtMost { threshold: b, .. }) => a <= b,
                (Above { threshold: a, .. }, Above { threshold: b, .. }) => a >= b,
                (Is { category: a, .. }, Is { category: b, .. })
                | (IsNot { category: a, .. }, IsNot { category: b, .. }) => a == b,
                (Is { category: a, .. }, IsNot { category: b, .. }) => a != b,
                _ => false,
            }
    }

    /// Returns true if nothing passes both.
    fn contradicts(&self, other: &Self) -> bool {
        use Literal::{Above, AtMost, Is, IsNot};
        self.feature() == other.feature()
            && match (self, other) {
                (AtMost { threshold: most, .. }, Above { threshold: least, .. })
                | (Above { threshold: least, .. }, AtMost { threshold: most, .. }) => most <= least,
                (Is { category: a, .. }, Is { category: b, .. }) => a != b,
                (Is { category: a, .. }, IsNot { category: b, .. })
                | (IsNot { category: a, .. }, Is { category: b, .. }) => a == b,
                _ => false,
            }
    }

    /// Adds the test to a conjunction, in place of one that it implies, and returns true if that has narrowed the
    /// conjunction. Leaves it as it is if the test adds nothing to it, or nothing could pass it.
    pub(super) fn narrow(self, literals: &mut Vec<Literal>) -> bool {
        if literals.iter().any(|known| known.implies(&self) || known.contradicts(&self)) {
            return false;
        }
        match literals.iter_mut().find(|known| self.implies(known)) {
            Some(known) => *known = self,
            None => {
                literals.reserve_exact(1);
                literals.push(self);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at_most(threshold: f64) -> Literal {
        Literal::AtMost { feature: 1, threshold }
    }

    const fn above(threshold: f64) -> Literal {
        Literal::Above { feature: 1, threshold }
    }

    const fn is(category: f64) -> Literal {
        Literal::Is { feature: 1, category }
    }

    const fn is_not(category: f64) -> Literal {
        Literal::IsNot { feature: 1, category }
    }

    #[test]
    fn an_unknown_value_passes_no_test() {
        for literal in [at_most(0.0), above(0.0), is(0.0), is_not(0.0)] {
            assert!(!literal.covers(Features::new(&[1.0, f64::NAN])), "{literal:?}");
            assert!(!literal.covers(Features::new(&[1.0])), "{literal:?}");
        }
    }

    #[test]
    fn a_threshold_belongs_to_the_lower_side() {
        let covered = |value| [at_most(1.0), above(1.0)].map(|literal| literal.covers(Features::new(&[0.0, value])));
        assert_eq!([covered(1.0), covered(1.5)], [[true, false], [false, true]]);
        let covered = |value| [is(1.0), is_not(1.0)].map(|literal| literal.covers(Features::new(&[0.0, value])));
        assert_eq!([covered(1.0), covered(2.0), covered(0.0)], [[true, false], [false, true], [false, true]]);
    }

    #[test]
    fn a_conjunction_takes_only_what_narrows_it() {
        let cases = [
            (vec![at_most(2.0)], at_most(1.0), true, vec![at_most(1.0)]),
            (vec![at_most(1.0)], at_most(1.0), false, vec![at_most(1.0)]),
            (vec![at_most(1.0)], at_most(2.0), false, vec![at_most(1.0)]),
            (vec![above(1.0)], above(2.0), true, vec![above(2.0)]),
            (vec![above(1.0)], above(0.5), false, vec![above(1.0)]),
            (vec![above(1.0)], at_most(2.0), true, vec![above(1.0), at_most(2.0)]),
            (vec![above(1.0)], at_most(1.0), false, vec![above(1.0)]),
            (vec![at_most(1.0)], above(1.0), false, vec![at_most(1.0)]),
            (vec![is_not(1.0)], is(2.0), true, vec![is(2.0)]),
            (vec![is_not(1.0)], is(1.0), false, vec![is_not(1.0)]),
            (vec![is(1.0)], is_not(2.0), false, vec![is(1.0)]),
            (vec![is_not(1.0)], is_not(2.0), true, vec![is_not(1.0), is_not(2.0)]),
        ];
        for (mut literals, literal, narrower, then) in cases {
            let before = literals.clone();
            assert_eq!(literal.narrow(&mut literals), narrower, "{literal:?} on {before:?}");
            assert_eq!(literals, then, "{literal:?} on {before:?}");
        }
    }
}
