//! Whatever bytes are a record of Avro, they become one prediction or one dead letter and leave a state that works.
//!
//! The first byte chooses how records are read, the rest is one record.
#![no_main]

#[path = "../../tests/support/hostile_oracle.rs"]
mod hostile_oracle;
#[path = "../../tests/support/typed_schemas.rs"]
mod typed_schemas;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use thalweg_pipeline::decode::{Format, Origin, Sink, TypedRow, Writer};

static WRITER: OnceLock<Writer> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let Some((first, record)) = bytes.split_first() else { return };
    let all = typed_schemas::typed(&hostile_oracle::schemas());
    let half = all.len() / 2;
    let schemas = &all[..half];
    let mut oracle = hostile_oracle::HostileOracle::new(schemas[usize::from(*first) % schemas.len()].clone());
    oracle.value(0, Some(record));
    oracle.finish();
    // Of the bytes of a container file some are a record, or none.
    let writer = WRITER.get_or_init(|| {
        let Format::Avro(Origin::File(definition)) = &schemas[0].format else { unreachable!("records of Avro") };
        Writer::new(&schemas[0].format, definition).expect("a schema")
    });
    if let Some(end) = writer.end_of(record, 0) {
        assert!(end <= record.len() && writer.end_of(&record[..end], 0) == Some(end));
        let _ = writer.row(&record[..end]).read(&mut Sink::seen_by(&mut |_, _| ()));
    }
});
