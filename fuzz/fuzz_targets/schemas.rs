//! Whatever a registry gives as a schema, it is read or refused, and so is a record by it.
//!
//! The first byte chooses the format; a zero byte ends the schema, and the rest is a record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg_pipeline::decode::{Decoder, Definition, Format, Index, Origin, Schema};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let definition = Definition { body: rest[..end].to_vec(), ..Definition::default() };
    let origin = Origin::File(definition);
    let format = if first % 2 == 0 { Format::Avro(origin) } else { Format::Protobuf(origin) };
    let schema = Schema { format, ..Schema::default() };
    let mut decoder = Decoder::new(&schema, Index::new(&schema));
    let _ = decoder.decode(Some(rest.get(end + 1..).unwrap_or_default()));
});
