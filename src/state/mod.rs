//! Writes states as named MessagePack, reads them back, and checks them.
//!
//! What the engine has learned is a state of its own inside another, and is read here: [`nested`] is for fields of that
//! kind in what is further up. So the code for it, most of what a reader consists of, is built once and in this
//! package.

mod named_msgpack;
mod writer;

use serde::{
    Deserializer,
    de::{DeserializeOwned, Error as _, Visitor},
};
use thalweg_metrics::{
    Checked, Conformal, Scorecard,
    drift::{Detector, DetectorKind},
};
use thalweg_models::{Fence, ModelConfig, Pipeline, SampleWindow};

pub use named_msgpack::Error;
use named_msgpack::{NESTED_STATE, NamedMsgpack};
pub use writer::write;

/// Reads a state, and checks all of it.
///
/// # Errors
/// When it ends too early, something in it is not what its type expects, or it cannot be.
///
/// ```compile_fail
/// #[derive(serde::Deserialize)]
/// struct State {
///     n: u64,
/// }
/// // Nothing checks it: add `thalweg_metrics::checked!(State { n });`.
/// thalweg_state::read::<State>(&[]);
/// ```
pub fn read<T: DeserializeOwned + Checked>(bytes: &[u8]) -> Result<T, Error> {
    let mut state: T = unchecked(bytes)?;
    state.check()?;
    Ok(state)
}

fn unchecked<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    T::deserialize(&mut NamedMsgpack::new(bytes))
}

/// A state of the engine that is read in one piece, nested inside another.
pub trait NestedState: Nested {}

/// Keeps the unchecked read private to this package: every caller outside checks the whole state.
mod piece {
    pub trait Nested: Sized {
        fn read(bytes: &[u8]) -> Result<Self, super::Error>;
    }
}
use piece::Nested;

macro_rules! nested {
    ($($kind:ty),*) => {
        $(impl Nested for $kind {
            fn read(bytes: &[u8]) -> Result<Self, Error> {
                unchecked(bytes)
            }
        }

        impl NestedState for $kind {})*
    };
}

nested!(
    Box<Pipeline>,
    Conformal,
    Fence,
    ModelConfig,
    Option<Detector>,
    Option<DetectorKind>,
    Pipeline,
    SampleWindow,
    Scorecard,
    Vec<ModelConfig>
);

/// For `#[serde(deserialize_with)]` of a field in a state that [`read`] reads, and no other; it is checked with the
/// rest.
///
/// # Errors
/// See [`read`].
pub fn nested<'de, T: NestedState, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let bytes = from.deserialize_newtype_struct(NESTED_STATE, Bytes)?;
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
    use thalweg_metrics::{
        checked,
        drift::{AdwinParams, CusumParams},
    };
    use thalweg_models::ModelKind;

    use super::{writer::tests::written, *};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Outer {
        first: u8,
        #[serde(deserialize_with = "nested")]
        config: ModelConfig,
        #[serde(default, deserialize_with = "nested")]
        detector: Option<DetectorKind>,
        last: u8,
    }

    checked!(Outer { first, config, detector, last });

    #[test]
    fn a_state_inside_another_comes_back_and_what_follows_it_too() {
        for detector in [None, Some(DetectorKind::default())] {
            let outer = Outer { first: 1, config: ModelConfig::new("mean", ModelKind::Mean), detector, last: 2 };
            let bytes = written(&outer);
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
        let bytes = written(&Other { first: 1, config: [1, 2], last: 2 });
        let error = read::<Outer>(&bytes).expect_err("no configuration");
        assert_eq!(error.to_string(), "a list of fields was expected 2 bytes before the end");
    }

    #[test]
    fn what_cannot_be_inside_is_refused_and_said_where() {
        let outer = |detector| {
            let config = ModelConfig::new("mean", ModelKind::Mean);
            let outer = Outer { first: 1, config, detector: Some(detector), last: 2 };
            read::<Outer>(&written(&outer)).map_err(|error| error.to_string())
        };
        let adwin = outer(DetectorKind::Adwin(AdwinParams { delta: f64::NAN, ..Default::default() }));
        assert_eq!(adwin, Err("a number is not finite: Outer.DetectorKind.AdwinParams".to_owned()));
        let cusum = outer(DetectorKind::Cusum(CusumParams { slack: f64::INFINITY, ..Default::default() }));
        assert_eq!(cusum, Err("a number is not finite: Outer.DetectorKind.CusumParams".to_owned()));
    }
}
