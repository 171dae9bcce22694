//! Writes a state as named MessagePack, the same bytes as `rmp-serde` writes with names.
//!
//! A writer for any target is compiled for each of the few hundred types of a state several times over: once for the
//! target, once for lists whose length nobody knows beforehand, and once to see whether a list might be bytes. This one
//! has one target, and counts in place.

use std::{
    fmt::Display,
    io::{self, Write},
};

use rmp::encode::{self, ByteBuf};
use serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// Bytes handed on at once: what a state consists of is written number by number.
const BUFFER_BYTES: usize = 8 << 10;

/// Writes a state.
///
/// # Errors
/// When `out` fails, or something in it is longer than MessagePack can hold, 4 GiB.
pub fn write<T: Serialize>(state: &T, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = Writer { out, buffer: ByteBuf::with_capacity(BUFFER_BYTES), uncounted: 0 };
    state.serialize(&mut writer).map_err(|Error(error)| error)?;
    writer.hand_on().map_err(|Error(error)| error)
}

/// The reason why a state could not be written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Error(io::Error);

impl ser::Error for Error {
    #[cold]
    fn custom<T: Display>(reason: T) -> Self {
        Self(io::Error::other(reason.to_string()))
    }
}

/// Returns a length as MessagePack writes it.
fn length(items: usize) -> Result<u32, Error> {
    u32::try_from(items).map_err(|_| ser::Error::custom("a state holds more than MessagePack can: 4 GiB"))
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    /// Bytes that have not been handed on.
    buffer: ByteBuf,
    /// Lists around this place whose length is written once they end, so that the buffer has to be kept.
    uncounted: u32,
}

impl Writer<'_> {
    fn hand_on(&mut self) -> Result<(), Error> {
        self.out.write_all(self.buffer.as_slice()).map_err(Error)?;
        self.buffer.as_mut_vec().clear();
        Ok(())
    }

    /// Ends a value.
    fn written(&mut self) -> Result<(), Error> {
        if self.buffer.as_slice().len() < BUFFER_BYTES || self.uncounted > 0 { Ok(()) } else { self.hand_on() }
    }

    fn list(&mut self, items: usize) -> Result<(), Error> {
        let Ok(_) = encode::write_array_len(&mut self.buffer, length(items)?);
        Ok(())
    }

    fn fields(&mut self, fields: usize) -> Result<(), Error> {
        let Ok(_) = encode::write_map_len(&mut self.buffer, length(fields)?);
        Ok(())
    }

    fn variant(&mut self, name: &str) -> Result<(), Error> {
        self.fields(1)?;
        self.serialize_str(name)
    }
}

/// The items of a list, or the entries of a map, whose number may show only at the end.
struct Items<'a, 'out> {
    writer: &'a mut Writer<'out>,
    uncounted: Option<Uncounted>,
}

/// Items that are counted as they come.
struct Uncounted {
    /// Place of their number in the buffer.
    start: usize,
    items: usize,
}

impl<'a, 'out> Items<'a, 'out> {
    fn uncounted(writer: &'a mut Writer<'out>) -> Self {
        writer.uncounted += 1;
        let start = writer.buffer.as_slice().len();
        Self { writer, uncounted: Some(Uncounted { start, items: 0 }) }
    }

    fn count(&mut self) {
        if let Some(uncounted) = &mut self.uncounted {
            uncounted.items += 1;
        }
    }

    /// Writes the number in front of the items.
    fn end(self, number: impl FnOnce(&mut Writer<'out>, usize) -> Result<(), Error>) -> Result<(), Error> {
        let Self { writer, uncounted } = self;
        if let Some(Uncounted { start, items }) = uncounted {
            let end = writer.buffer.as_slice().len();
            number(writer, items)?;
            let bytes = &mut writer.buffer.as_mut_vec()[start..];
            let number = bytes.len() - (end - start);
            bytes.rotate_right(number);
            writer.uncounted -= 1;
        }
        writer.written()
    }
}

/// Methods that write one thing.
macro_rules! plain {
    ($($method:ident($kind:ty): $write:ident;)*) => {
        $(fn $method(self, value: $kind) -> Result<(), Error> {
            let Ok(_) = encode::$write(&mut self.buffer, value.into());
            self.written()
        })*
    };
}

impl<'a, 'out> Serializer for &'a mut Writer<'out> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'a, 'out>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Items<'a, 'out>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    plain! {
        serialize_i8(i8): write_sint;
        serialize_i16(i16): write_sint;
        serialize_i32(i32): write_sint;
        serialize_i64(i64): write_sint;
        serialize_u8(u8): write_uint;
        serialize_u16(u16): write_uint;
        serialize_u32(u32): write_uint;
        serialize_u64(u64): write_uint;
        serialize_f32(f32): write_f32;
        serialize_f64(f64): write_f64;
    }

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        let Ok(()) = encode::write_bool(&mut self.buffer, value);
        self.written()
    }

    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        self.serialize_bytes(&value.to_be_bytes())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.serialize_bytes(&value.to_be_bytes())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        length(value.len())?;
        let Ok(()) = encode::write_str(&mut self.buffer, value);
        self.written()
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        length(value.len())?;
        let Ok(()) = encode::write_bin(&mut self.buffer, value);
        self.written()
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        let Ok(()) = encode::write_nil(&mut self.buffer);
        self.written()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.list(0)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.variant(variant)?;
        value.serialize(self)
    }

    fn serialize_seq(self, items: Option<usize>) -> Result<Items<'a, 'out>, Error> {
        let Some(items) = items else { return Ok(Items::uncounted(self)) };
        self.list(items)?;
        Ok(Items { writer: self, uncounted: None })
    }

    fn serialize_tuple(self, items: usize) -> Result<Self, Error> {
        self.list(items)?;
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, items: usize) -> Result<Self, Error> {
        self.serialize_tuple(items)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        items: usize,
    ) -> Result<Self, Error> {
        self.variant(variant)?;
        self.serialize_tuple(items)
    }

    fn serialize_map(self, entries: Option<usize>) -> Result<Items<'a, 'out>, Error> {
        let Some(entries) = entries else { return Ok(Items::uncounted(self)) };
        self.fields(entries)?;
        Ok(Items { writer: self, uncounted: None })
    }

    fn serialize_struct(self, _: &'static str, fields: usize) -> Result<Self, Error> {
        self.fields(fields)?;
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        fields: usize,
    ) -> Result<Self, Error> {
        self.variant(variant)?;
        self.serialize_struct(name, fields)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

impl SerializeSeq for Items<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.count();
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Error> {
        self.end(Writer::list)
    }
}

impl SerializeMap for Items<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Error> {
        self.count();
        key.serialize(&mut *self.writer)
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Error> {
        self.end(Writer::fields)
    }
}

/// The items of a list of known length.
macro_rules! listed {
    ($($kind:ident, $method:ident;)*) => {
        $(impl $kind for &mut Writer<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), Error> {
                Ok(())
            }
        })*
    };
}

listed! {
    SerializeTuple, serialize_element;
    SerializeTupleStruct, serialize_field;
    SerializeTupleVariant, serialize_field;
}

/// The fields of a struct, by their names.
macro_rules! named {
    ($($kind:ident),*) => {
        $(impl $kind for &mut Writer<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
                self.serialize_str(name)?;
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), Error> {
                Ok(())
            }
        })*
    };
}

named!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Serialize;

    use super::{super::named_msgpack::tests::everything, *};

    pub(in super::super) fn written<T: Serialize>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(value, &mut bytes).expect("written");
        bytes
    }

    /// Lists and maps that do not know their length.
    struct Uncounted(Vec<(u64, Vec<f64>)>);

    impl Serialize for Uncounted {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            struct Odd<'a>(&'a [f64]);

            impl Serialize for Odd<'_> {
                fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    to.collect_seq(self.0.iter().filter(|value| **value > 0.5))
                }
            }

            to.collect_map(self.0.iter().filter(|(key, _)| key % 3 > 0).map(|(key, values)| (key, Odd(values))))
        }
    }

    #[test]
    fn every_kind_of_value_is_written_as_the_format_says() {
        #[derive(Serialize)]
        struct Flat {
            first: i8,
            #[serde(flatten)]
            more: BTreeMap<&'static str, u128>,
        }
        let flat = Flat { first: -100, more: BTreeMap::from([("a", 1), ("b", u128::MAX)]) };
        let value = (everything(), flat, i128::MIN);
        assert_eq!(written(&value), rmp_serde::to_vec_named(&value).expect("written"));
    }

    proptest! {
        #[test]
        fn lists_whose_length_shows_at_their_end_are_written_in_place(
            values in prop::collection::vec((any::<u64>(), prop::collection::vec(0.0..1.0, 0..40)), 0..300),
            before in 0..3 * BUFFER_BYTES,
        ) {
            let value = ("x".repeat(before), Uncounted(values), 7);
            prop_assert_eq!(written(&value), rmp_serde::to_vec_named(&value).expect("written"));
        }

        #[test]
        fn numbers_of_every_size_are_written_as_the_format_says(
            whole in prop::collection::vec((any::<i64>(), 0_u32..64), 0..100),
            floats in prop::collection::vec(any::<f64>(), 0..2000),
        ) {
            let signed: Vec<i64> = whole.iter().map(|(value, bits)| value >> bits).collect();
            let unsigned: Vec<u64> = whole.iter().map(|(value, bits)| value.unsigned_abs() >> bits).collect();
            let value = (signed, unsigned, floats);
            prop_assert_eq!(written(&value), rmp_serde::to_vec_named(&value).expect("written"));
        }
    }

    #[test]
    fn a_file_that_takes_no_more_is_an_error_of_its_own_kind() {
        struct Full(usize);

        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let state = vec![0.5; 10_000];
        for room in [0, BUFFER_BYTES, 50_000] {
            let error = write(&state, &mut Full(room)).expect_err("90,003 bytes");
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{room}");
        }
        write(&state, &mut Full(90_003)).expect("room for all");
    }

    #[test]
    fn what_a_type_refuses_to_be_written_as_is_said() {
        struct Never;

        impl Serialize for Never {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(ser::Error::custom("never"))
            }
        }

        let error = write(&[Never], &mut Vec::new()).expect_err("refused");
        assert_eq!(error.to_string(), "never");
    }
}
