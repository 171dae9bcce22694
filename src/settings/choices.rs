//! Maps names to the members of closed sets.
//!
//! Invariant: a list that leaves out a variant of its enum does not compile, nor does a name without a variant. A set
//! that is named outside of the settings, too, has its names where it is defined; its list is an [`every`] then.

use super::Section;

/// Names, each with its value or its [`Reader`], in the order in which messages list them.
pub(super) type Choices<T> = [(&'static str, T)];

/// Reads the parameters of what was chosen.
pub(super) type Reader<T> = fn(&mut Section) -> T;

/// Names each variant: `choices!(Mode { "up": Up, "down": Down })`. With parameters, their reader follows:
/// `choices!(Loss { "huber": Huber => huber, … })`.
macro_rules! choices {
    ($Set:ident { $($name:literal: $Variant:ident $(=> $read:expr)?),+ $(,)? }) => {{
        const _: fn(&$Set) = |listed| match listed {
            $($Set::$Variant { .. } => (),)+
        };
        [$(($name, choices!(@ $Set::$Variant $(=> $read)?))),+]
    }};
    (@ $value:path) => { $value };
    (@ $value:path => $read:expr) => { $read };
}

/// Lists every variant: `every!(Function { Mv, Sine(Sine::default()) })`.
macro_rules! every {
    ($Set:ident { $($Variant:ident $(($value:expr))?),+ $(,)? }) => {{
        const _: fn(&$Set) = |listed| match listed {
            $($Set::$Variant { .. } => (),)+
        };
        [$($Set::$Variant $(($value))?),+]
    }};
}

pub(super) use {choices, every};

/// Returns the choices with `name` in front, which chooses `None`.
pub(super) fn or_none<T>(
    name: &'static str,
    some: impl IntoIterator<Item = (&'static str, T)>,
) -> Vec<(&'static str, Option<T>)> {
    let some = some.into_iter().map(|(name, value)| (name, Some(value)));
    [(name, None)].into_iter().chain(some).collect()
}
