//! Reads states out of the named MessagePack that they were written as.
//!
//! What the engine has learned is a state of its own inside another, and is read here: [`whole`] is for fields of that kind
//! in what is further up. So the code for it, most of what a reader consists of, is built once and in this package.

mod messages;

use serde::{
    Deserializer,
    de::{DeserializeOwned, Error as _, Visitor},
};
use thalweg_metrics::{
    Conformal, Scorecard,
    drift::{Detector, DetectorKind},
};
use thalweg_models::{Fence, ModelConfig, Pipeline, Recent};

pub use messages::Error;
use messages::{Messages, WHOLE};

/// Reads a state.
///
/// # Errors
/// When it ends too early, or something in it is not what its type expects.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    T::deserialize(&mut Messages::new(bytes))
}

/// What the engine learns and is read in one piece.
pub trait Whole: Sized {
    /// See [`read`].
    ///
    /// # Errors
    /// See [`read`].
    fn read(bytes: &[u8]) -> Result<Self, Error>;
}

macro_rules! whole {
    ($($kind:ty),*) => {
        $(impl Whole for $kind {
            fn read(bytes: &[u8]) -> Result<Self, Error> {
                read(bytes)
            }
        })*
    };
}

whole!(
    Box<Pipeline>,
    Conformal,
    Fence,
    ModelConfig,
    Option<Detector>,
    Option<DetectorKind>,
    Pipeline,
    Recent,
    Scorecard,
    Vec<ModelConfig>
);

/// For `#[serde(deserialize_with)]` of a field in a state that [`read`] reads, and no other.
///
/// # Errors
/// See [`read`].
pub fn whole<'de, T: Whole, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let bytes = from.deserialize_newtype_struct(WHOLE, Bytes)?;
    T::read(bytes).map_err(D::Error::custom)
}

/// Takes a value as the bytes that it is written in.
struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = &'de [u8];

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a state")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use thalweg_models::ModelKind;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Outer {
        first: u8,
        #[serde(deserialize_with = "whole")]
        config: ModelConfig,
        #[serde(default, deserialize_with = "whole")]
        detector: Option<DetectorKind>,
        last: u8,
    }

    #[test]
    fn a_state_inside_another_comes_back_and_what_follows_it_too() {
        for detector in [None, Some(DetectorKind::default())] {
            let outer = Outer { first: 1, config: ModelConfig::new("mean", ModelKind::Mean), detector, last: 2 };
            let bytes = rmp_serde::to_vec_named(&outer).expect("written");
            assert_eq!(read::<Outer>(&bytes).expect("read"), outer);
        }
    }

    #[test]
    fn what_is_wrong_inside_is_said_outside() {
        #[derive(Serialize)]
        struct Other {
            first: u8,
            config: [u8; 2],
            last: u8,
        }
        let bytes = rmp_serde::to_vec_named(&Other { first: 1, config: [1, 2], last: 2 }).expect("written");
        let error = read::<Outer>(&bytes).expect_err("no configuration");
        assert_eq!(error.to_string(), "a list of fields was expected 2 bytes before the end");
    }
}
