//! Checks what is read from a state, which can be damaged: all of it and once, before anything is made of it.
//!
//! Invariant: a state that passes cannot overflow a counter, hold a non-finite number where it must not, or refer to a
//! part that is missing; and derived values are rebuilt. [`checked!`](crate::checked) names every field, so that
//! neither a type nor a field without a check compiles into a state.
//! What this does not do: read. `thalweg_state::read` does, and hands out nothing unchecked.

use std::{collections::VecDeque, fmt, sync::Arc};

use rand_chacha::ChaCha8Rng;

/// Maximum of a counter: no stream is that long, and from here a counter can still count for ages without overflow.
const MAX_COUNT: u64 = 1 << 60;

/// A part of a state.
pub trait Checked {
    /// Checks a value that was just read, and rebuilds what is kept for speed and not saved.
    ///
    /// # Errors
    /// The part that is damaged, and why.
    fn check(&mut self) -> Result<(), Damaged>;
}

/// The reason why a state is refused.
#[derive(Debug)]
pub struct Damaged(Box<Reason>);

#[derive(Debug)]
struct Reason {
    text: &'static str,
    /// Types, from the innermost outwards.
    parts: Vec<&'static str>,
}

impl Damaged {
    /// Adds the `part` that holds it.
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn within(mut self, part: &'static str) -> Self {
        self.0.parts.push(part);
        self
    }

    // Out of line: most of the code of checks is their error texts.
    #[cold]
    #[inline(never)]
    fn not_finite() -> Self {
        "a number is not finite".into()
    }

    #[cold]
    #[inline(never)]
    fn too_many() -> Self {
        "a counter holds an impossible number".into()
    }
}

impl From<&'static str> for Damaged {
    #[cold]
    #[inline(never)]
    fn from(text: &'static str) -> Self {
        Self(Box::new(Reason { text, parts: Vec::new() }))
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.text)?;
        for (i, part) in self.0.parts.iter().rev().enumerate() {
            write!(formatter, "{}{part}", if i == 0 { ": " } else { "." })?;
        }
        Ok(())
    }
}

impl std::error::Error for Damaged {}

/// Checks every field of a struct or of an enum's variants, each by its name; one that is left out does not compile.
///
/// `enum Mode = Up | Down` has variants that hold nothing. `field: any` holds whatever its type can: a number that may be
/// infinite, a seed. `field: skipped` is not saved.
/// `then fits` calls `self.fits()?` last: it holds the fields to each other, rebuilds what is skipped, and returns a `Result`
/// whose error is a [`Damaged`] or a text.
///
/// ```
/// use thalweg_metrics::{Checked, checked};
///
/// struct Mean {
///     n: u64,
///     sum: f64,
///     seed: u64,
///     mean: f64,
/// }
///
/// checked!(Mean { n, sum, seed: any, mean: skipped } then fits);
///
/// impl Mean {
///     fn fits(&mut self) -> Result<(), &'static str> {
///         self.mean = if self.n > 0 { self.sum / self.n as f64 } else { 0.0 };
///         if self.n > 0 || self.sum == 0.0 { Ok(()) } else { Err("a sum of nothing is not 0") }
///     }
/// }
///
/// let mut read = Mean { n: 2, sum: 3.0, seed: u64::MAX, mean: 0.0 };
/// assert!(read.check().is_ok() && read.mean == 1.5);
/// let error = Mean { sum: f64::NAN, ..read }.check().expect_err("damaged");
/// assert_eq!(error.to_string(), "a number is not finite: Mean");
/// ```
///
/// ```compile_fail
/// struct Mean {
///     n: u64,
///     sum: f64,
/// }
/// // Says nothing of `sum`.
/// thalweg_metrics::checked!(Mean { n });
/// ```
#[macro_export]
macro_rules! checked {
    (enum $type:ident = $($variant:ident)|+) => {
        $crate::checked!(@type [] $type, it => {
            match it {
                $(Self::$variant)|+ => {}
            }
        });
    };
    (enum $type:ident {
        $($variant:ident $(($inner:ident))? $({ $($field:ident $(: $how:ident)?),+ $(,)? })?),+ $(,)?
    } $(then $fits:ident)?) => {
        $crate::checked!(@type [] $type, it => {
            match it {
                $(Self::$variant $(($inner))? $({ $($field),+ })? => {
                    $($crate::checked!(@part $inner);)?
                    $($($crate::checked!(@part $field $($how)?);)+)?
                })+
            }
            $(it.$fits()?;)?
        });
    };
    ($type:ident $(<$($param:ident),+>)? { $($field:ident $(: $how:ident)?),+ $(,)? } $(then $fits:ident)?) => {
        $crate::checked!(@type [$($($param),+)?] $type $(<$($param),+>)?, it => {
            let Self { $($field),+ } = it;
            $($crate::checked!(@part $field $($how)?);)+
            $(it.$fits()?;)?
        });
    };
    ($type:ident($field:ident)) => {
        $crate::checked!(@type [] $type, it => {
            let Self($field) = it;
            $crate::checked!(@part $field);
        });
    };
    (@type [$($param:ident),*] $type:ident $(<$($of:ident),+>)?, $it:ident => $body:block) => {
        impl<$($param: $crate::Checked),*> $crate::Checked for $type $(<$($of),+>)? {
            // Runs once, at a start, so that its size counts and not its speed.
            #[cold]
            fn check(&mut self) -> Result<(), $crate::Damaged> {
                let check = |$it: &mut Self| -> Result<(), $crate::Damaged> {
                    $body
                    Ok(())
                };
                check(self).map_err(|damaged| damaged.within(stringify!($type)))
            }
        }
    };
    (@part $field:ident) => {
        $crate::Checked::check($field)?;
    };
    (@part $field:ident any) => {
        let _ = $field;
    };
    (@part $field:ident skipped) => {
        let _ = $field;
    };
}

impl Checked for f64 {
    #[inline(never)]
    fn check(&mut self) -> Result<(), Damaged> {
        if self.is_finite() { Ok(()) } else { Err(Damaged::not_finite()) }
    }
}

impl Checked for f32 {
    #[inline(never)]
    fn check(&mut self) -> Result<(), Damaged> {
        if self.is_finite() { Ok(()) } else { Err(Damaged::not_finite()) }
    }
}

impl Checked for u64 {
    #[inline(never)]
    fn check(&mut self) -> Result<(), Damaged> {
        if *self <= MAX_COUNT { Ok(()) } else { Err(Damaged::too_many()) }
    }
}

impl Checked for usize {
    #[inline(never)]
    fn check(&mut self) -> Result<(), Damaged> {
        (*self as u64).check()
    }
}

/// Implements the check for types whose every value is sound.
macro_rules! always_sound {
    ($($type:ty),*) => {
        $(impl Checked for $type {
            #[inline]
            fn check(&mut self) -> Result<(), Damaged> {
                Ok(())
            }
        })*
    };
}

always_sound!(bool, u8, u16, u32, i32, i64, str, String, ChaCha8Rng);

impl<T: Checked> Checked for [T] {
    // Not inlined: one function for all lists of a type.
    #[inline(never)]
    fn check(&mut self) -> Result<(), Damaged> {
        self.iter_mut().try_for_each(T::check)
    }
}

impl<T: Checked, const N: usize> Checked for [T; N] {
    #[inline]
    fn check(&mut self) -> Result<(), Damaged> {
        self.as_mut_slice().check()
    }
}

impl<T: Checked> Checked for Vec<T> {
    #[inline]
    fn check(&mut self) -> Result<(), Damaged> {
        self.as_mut_slice().check()
    }
}

impl<T: Checked> Checked for VecDeque<T> {
    fn check(&mut self) -> Result<(), Damaged> {
        self.iter_mut().try_for_each(T::check)
    }
}

impl<T: Checked> Checked for Option<T> {
    #[inline]
    fn check(&mut self) -> Result<(), Damaged> {
        self.as_mut().map_or(Ok(()), T::check)
    }
}

impl<T: Checked + ?Sized> Checked for Box<T> {
    #[inline]
    fn check(&mut self) -> Result<(), Damaged> {
        (**self).check()
    }
}

/// Checks what was just read, which nothing shares yet.
impl<T: Checked + ?Sized> Checked for Arc<T> {
    fn check(&mut self) -> Result<(), Damaged> {
        Arc::get_mut(self).ok_or("a part of a state is shared before it is checked")?.check()
    }
}

impl<A: Checked, B: Checked> Checked for (A, B) {
    #[inline]
    fn check(&mut self) -> Result<(), Damaged> {
        self.0.check()?;
        self.1.check()
    }
}
