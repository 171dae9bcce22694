//! Reads the named MessagePack that a state was written as, and takes nothing else.
//!
//! A reader for any MessagePack offers each type whatever comes. For the few hundred types of a state that was two
//! megabytes of code and a third of the build, since each type then brings the ways along in which it is never written.
//! Here the type says what comes next, and anything else is an error.

use std::fmt;

use rmp::{Marker, decode};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
    value::BorrowedStrDeserializer,
};
use thalweg_metrics::Damaged;

/// Limit of nested values; the types of a checkpoint stay far below, and the stack holds that many.
const MAX_DEPTH: u32 = 128;

/// The name of a newtype that takes a value as the bytes that it is written in.
pub(super) const NESTED_STATE: &str = "thalweg_state::NestedState";

/// Reason why bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They end too early, or are something else.
    #[error("{what} was expected {left} bytes before the end")]
    Expected {
        /// The expected value.
        what: &'static str,
        /// Bytes from the place of the error to the end.
        left: usize,
    },
    /// A type does not take what it holds.
    #[error("{0}")]
    Refused(String),
    /// The state that was read is invalid.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

impl de::Error for Error {
    #[cold]
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::Refused(reason.to_string())
    }
}

/// The bytes that have not been read yet.
pub(super) struct NamedMsgpack<'de> {
    bytes: &'de [u8],
    depth: u32,
}

impl<'de> NamedMsgpack<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { bytes, depth: 0 }
    }

    #[cold]
    fn expected(&self, what: &'static str) -> Error {
        Error::Expected { what, left: self.bytes.len() }
    }

    fn signed(&mut self) -> Result<i64, Error> {
        decode::read_int(&mut self.bytes).map_err(|_| self.expected("a whole number"))
    }

    fn unsigned(&mut self) -> Result<u64, Error> {
        decode::read_int(&mut self.bytes).map_err(|_| self.expected("a whole number from 0 on"))
    }

    fn float32(&mut self) -> Result<f32, Error> {
        decode::read_f32(&mut self.bytes).map_err(|_| self.expected("a number of 32 bits"))
    }

    fn float64(&mut self) -> Result<f64, Error> {
        decode::read_f64(&mut self.bytes).map_err(|_| self.expected("a number of 64 bits"))
    }

    fn truth(&mut self) -> Result<bool, Error> {
        decode::read_bool(&mut self.bytes).map_err(|_| self.expected("true or false"))
    }

    fn text(&mut self) -> Result<&'de str, Error> {
        let (text, rest) = decode::read_str_from_slice(self.bytes).map_err(|_| self.expected("a text"))?;
        self.bytes = rest;
        Ok(text)
    }

    fn binary(&mut self) -> Result<&'de [u8], Error> {
        let n = decode::read_bin_len(&mut self.bytes).map_err(|_| self.expected("bytes"))?;
        self.take(n as usize)
    }

    fn wide(&mut self) -> Result<u128, Error> {
        let bytes = self.binary()?.try_into().map_err(|_| self.expected("a whole number of 16 bytes"))?;
        Ok(u128::from_be_bytes(bytes))
    }

    fn take(&mut self, n: usize) -> Result<&'de [u8], Error> {
        let (taken, rest) = self.bytes.split_at_checked(n).ok_or_else(|| self.expected("more bytes"))?;
        self.bytes = rest;
        Ok(taken)
    }

    /// Passes the next value where it is `marker`; returns whether it was.
    fn at(&mut self, marker: Marker) -> bool {
        let Some((_, rest)) = self.bytes.split_first().filter(|(first, _)| **first == marker.to_u8()) else {
            return false;
        };
        self.bytes = rest;
        true
    }

    /// The items of a list.
    fn list(&mut self) -> Result<Items<'_, 'de>, Error> {
        let left = decode::read_array_len(&mut self.bytes).map_err(|_| self.expected("a list"))?;
        Ok(Items { messages: self, left })
    }

    /// The fields of a struct, or the entries of a map.
    fn fields(&mut self) -> Result<Items<'_, 'de>, Error> {
        let left = decode::read_map_len(&mut self.bytes).map_err(|_| self.expected("a list of fields"))?;
        Ok(Items { messages: self, left })
    }

    /// Runs `read` one level deeper.
    fn inside<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth == MAX_DEPTH {
            return Err(self.expected("no further value in a value"));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// Passes a value, with all that is in it.
    fn skip(&mut self) -> Result<(), Error> {
        let mut values = 1_u64;
        while values > 0 {
            let marker = decode::read_marker(&mut self.bytes).map_err(|_| self.expected("a value"))?;
            let (bytes, inside) = match marker {
                Marker::Null | Marker::True | Marker::False | Marker::FixPos(_) | Marker::FixNeg(_) => (0, 0),
                Marker::U8 | Marker::I8 => (1, 0),
                Marker::U16 | Marker::I16 => (2, 0),
                Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
                Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
                Marker::FixStr(n) => (u64::from(n), 0),
                Marker::Str8 | Marker::Bin8 => (self.length(1)?, 0),
                Marker::Str16 | Marker::Bin16 => (self.length(2)?, 0),
                Marker::Str32 | Marker::Bin32 => (self.length(4)?, 0),
                Marker::FixArray(n) => (0, u64::from(n)),
                Marker::Array16 => (0, self.length(2)?),
                Marker::Array32 => (0, self.length(4)?),
                Marker::FixMap(n) => (0, 2 * u64::from(n)),
                Marker::Map16 => (0, 2 * self.length(2)?),
                Marker::Map32 => (0, 2 * self.length(4)?),
                _ => return Err(self.expected("a value without extensions")),
            };
            self.take(usize::try_from(bytes).unwrap_or(usize::MAX))?;
            values = values - 1 + inside;
        }
        Ok(())
    }

    /// A length of so many bytes.
    fn length(&mut self, bytes: usize) -> Result<u64, Error> {
        Ok(self.take(bytes)?.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)))
    }
}

/// Methods that read one thing and show it to the visitor.
macro_rules! plain {
    ($($method:ident: $read:ident, $visit:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.$read()?)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut NamedMsgpack<'de> {
    type Error = Error;

    plain! {
        deserialize_bool: truth, visit_bool;
        deserialize_i8: signed, visit_i64;
        deserialize_i16: signed, visit_i64;
        deserialize_i32: signed, visit_i64;
        deserialize_i64: signed, visit_i64;
        deserialize_u8: unsigned, visit_u64;
        deserialize_u16: unsigned, visit_u64;
        deserialize_u32: unsigned, visit_u64;
        deserialize_u64: unsigned, visit_u64;
        deserialize_u128: wide, visit_u128;
        deserialize_f32: float32, visit_f32;
        deserialize_f64: float64, visit_f64;
        deserialize_char: text, visit_borrowed_str;
        deserialize_str: text, visit_borrowed_str;
        deserialize_string: text, visit_borrowed_str;
        deserialize_identifier: text, visit_borrowed_str;
        deserialize_bytes: binary, visit_borrowed_bytes;
        deserialize_byte_buf: binary, visit_borrowed_bytes;
    }

    /// Reads enums whose tag is one of the fields, at any place among them.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.bytes.first().map(|first| Marker::from_u8(*first)) {
            Some(Marker::Null) => self.deserialize_unit(visitor),
            Some(Marker::True | Marker::False) => self.deserialize_bool(visitor),
            Some(Marker::FixPos(_) | Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64) => {
                self.deserialize_u64(visitor)
            }
            Some(Marker::FixNeg(_) | Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64) => {
                self.deserialize_i64(visitor)
            }
            Some(Marker::F32) => self.deserialize_f32(visitor),
            Some(Marker::F64) => self.deserialize_f64(visitor),
            Some(Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32) => self.deserialize_str(visitor),
            Some(Marker::Bin8 | Marker::Bin16 | Marker::Bin32) => self.deserialize_bytes(visitor),
            Some(Marker::FixArray(_) | Marker::Array16 | Marker::Array32) => self.deserialize_seq(visitor),
            Some(Marker::FixMap(_) | Marker::Map16 | Marker::Map32) => self.deserialize_map(visitor),
            _ => Err(self.expected("a value without extensions")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.at(Marker::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.at(Marker::Null) { visitor.visit_unit() } else { Err(self.expected("nothing")) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        if self.at(Marker::FixArray(0)) { visitor.visit_unit() } else { Err(self.expected("an empty list")) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        if name != NESTED_STATE {
            return visitor.visit_newtype_struct(self);
        }
        let bytes = self.bytes;
        self.skip()?;
        visitor.visit_borrowed_bytes(&bytes[..bytes.len() - self.bytes.len()])
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.inside(|messages| visitor.visit_seq(messages.list()?))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.inside(|messages| visitor.visit_map(messages.fields()?))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.inside(|messages| {
            let holds = messages.at(Marker::FixMap(1));
            let name = messages.text()?;
            visitor.visit_enum(Variant { messages, name, holds })
        })
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The items of a list or the fields of a struct, one after the other.
struct Items<'a, 'de> {
    messages: &'a mut NamedMsgpack<'de>,
    left: u32,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.messages).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        usize::try_from(self.left).ok()
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.messages)
    }

    fn size_hint(&self) -> Option<usize> {
        usize::try_from(self.left).ok()
    }
}

/// A variant of an enum: its name, or a map from it to its content.
struct Variant<'a, 'de> {
    messages: &'a mut NamedMsgpack<'de>,
    name: &'de str,
    holds: bool,
}

impl<'a, 'de> Variant<'a, 'de> {
    fn held(self) -> Result<&'a mut NamedMsgpack<'de>, Error> {
        if self.holds { Ok(self.messages) } else { Err(self.messages.expected("what a variant holds")) }
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name = seed.deserialize(BorrowedStrDeserializer::<Error>::new(self.name))?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        if self.holds { Err(self.messages.expected("a variant that holds nothing")) } else { Ok(()) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.held()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.held()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.held()?.deserialize_map(visitor)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::{super::unchecked as read, super::writer::tests::written, *};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(in super::super) struct Everything {
        truth: (bool, bool),
        signed: Vec<i64>,
        small: (i8, i16, i32, u8, u16, u32),
        unsigned: Vec<u64>,
        wide: u128,
        floats: Vec<f64>,
        float: f32,
        letter: char,
        text: String,
        long: Box<str>,
        none: Option<u8>,
        some: Option<Option<f64>>,
        unit: (),
        empty: Empty,
        wrapped: Wrapped,
        pair: Pair,
        choices: Vec<Choice>,
        names: BTreeMap<String, [f64; 3]>,
        tagged: Vec<Tagged>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Bare,
        Numbers {
            truth: bool,
            low: i64,
            high: u64,
            none: Option<u8>,
            list: Vec<f64>,
            text: String,
            choice: Box<Choice>,
        },
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Empty;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(f64);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Pair(i64, String);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Choice {
        Bare,
        Held(Box<Choice>),
        Two(u8, f64),
        Named { inside: Vec<Choice> },
    }

    pub(in super::super) fn everything() -> Everything {
        Everything {
            truth: (true, false),
            signed: vec![i64::MIN, -40_000, -200, -129, -33, -32, -1, 0, 127, 128, 70_000, i64::MAX],
            small: (i8::MIN, i16::MIN, i32::MIN, u8::MAX, u16::MAX, u32::MAX),
            unsigned: vec![0, 127, 128, 255, 256, 65_535, 65_536, 1 << 32, u64::MAX],
            wide: u128::MAX - 1,
            floats: vec![0.1, -0.0, f64::MIN_POSITIVE / 4.0, f64::MAX, f64::INFINITY],
            float: 0.1,
            letter: 'ß',
            text: "ü".repeat(20),
            long: "x".repeat(70_000).into(),
            none: None,
            some: Some(Some(1.5)),
            unit: (),
            empty: Empty,
            wrapped: Wrapped(2.5),
            pair: Pair(-1, String::new()),
            choices: vec![
                Choice::Bare,
                Choice::Held(Box::new(Choice::Held(Box::new(Choice::Bare)))),
                Choice::Two(1, -1.0),
                Choice::Named { inside: vec![Choice::Bare; 20] },
            ],
            tagged: vec![
                Tagged::Bare,
                Tagged::Numbers {
                    truth: true,
                    low: -70_000,
                    high: u64::MAX,
                    none: None,
                    list: vec![0.5; 20],
                    text: "x".repeat(300),
                    choice: Box::new(Choice::Two(1, 1.0)),
                },
            ],
            names: BTreeMap::from([("a".to_owned(), [1.0, 2.0, 3.0]), (String::new(), [0.0; 3])]),
        }
    }

    #[test]
    fn every_kind_of_value_comes_back_as_it_was_written() {
        let everything = everything();
        assert_eq!(read::<Everything>(&written(&everything)).expect("read"), everything);
    }

    #[test]
    fn a_field_that_no_type_asks_for_is_passed_with_all_that_is_in_it() {
        #[derive(Serialize)]
        struct Later {
            first: u8,
            #[serde(flatten)]
            unknown: BTreeMap<&'static str, Everything>,
            last: u8,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Earlier {
            first: u8,
            last: u8,
        }
        let unknown = BTreeMap::from([("one", everything()), ("two", everything())]);
        let bytes = written(&Later { first: 1, unknown, last: 2 });
        assert_eq!(read::<Earlier>(&bytes).expect("read"), Earlier { first: 1, last: 2 });
    }

    #[test]
    fn bytes_cut_off_anywhere_are_an_error() {
        let bytes = written(&Everything { long: "x".into(), ..everything() });
        for end in 0..bytes.len() {
            assert!(read::<Everything>(&bytes[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_byte_changed_anywhere_is_an_error_or_another_value() {
        let bytes = written(&Everything { long: "x".into(), ..everything() });
        let mut refused = 0;
        for at in 0..bytes.len() {
            for value in 0..=u8::MAX {
                let mut changed = bytes.clone();
                changed[at] = value;
                refused += usize::from(read::<Everything>(&changed).is_err());
                // Nothing to say of the outcome but that there is one.
                let _ = NamedMsgpack::new(&changed[at..]).skip();
            }
        }
        assert!(refused > bytes.len() * 128, "{refused} of {}", bytes.len() * 256);
    }

    #[test]
    fn values_in_values_without_end_are_an_error_and_no_overflow() {
        let endless = b"\x81\xa4Held".repeat(1_000_000);
        let error = read::<Choice>(&endless).expect_err("too deep");
        assert!(error.to_string().contains("no further value in a value"), "{error}");
    }

    #[test]
    fn an_error_says_what_was_expected_and_where() {
        let error = read::<(u64, u64)>(&written(&(1, "two"))).expect_err("a text");
        assert_eq!(error.to_string(), "a whole number from 0 on was expected 3 bytes before the end");
    }
}
