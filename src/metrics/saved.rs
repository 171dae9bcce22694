//! Checks on numbers that come out of a saved state, for `#[serde(deserialize_with)]`.
//!
//! Invariant: a state that passes cannot overflow a counter or hold a number that is not finite where one must be. What
//! this does not do: fit the parts of a state together, which each type does itself (`#[serde(try_from)]`).

use serde::{Deserialize, Deserializer, de::Error};

/// No stream is that long; from here a counter can still count for ages without overflow.
const MOST: u64 = 1 << 60;

/// A counter.
pub fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let count = u64::deserialize(from)?;
    if count <= MOST { Ok(count) } else { Err(D::Error::custom("a counter holds an impossible number")) }
}

/// A finite number.
pub fn finite<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(from)?;
    if number.is_finite() { Ok(number) } else { Err(D::Error::custom("a number is not finite")) }
}

/// A finite number above 0.
pub fn positive<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let number = finite(from)?;
    if number > 0.0 { Ok(number) } else { Err(D::Error::custom("a number that must be over 0 is not")) }
}

/// Finite numbers.
pub fn all_finite<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    let numbers = Vec::<f64>::deserialize(from)?;
    let finite = numbers.iter().all(|number| number.is_finite());
    if finite { Ok(numbers) } else { Err(D::Error::custom("a number is not finite")) }
}
