//! Whatever bytes are a record of Protocol Buffers, they become one prediction or one dead letter and leave a state that works.
//!
//! The first byte chooses how records are read, the rest is one record.
#![no_main]

#[path = "../../tests/support/hostile_oracle.rs"]
mod hostile_oracle;
#[path = "../../tests/support/typed_schemas.rs"]
mod typed_schemas;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, record)) = bytes.split_first() else { return };
    let all = typed_schemas::typed(&hostile_oracle::schemas());
    let half = all.len() / 2;
    let schemas = &all[half..];
    let mut oracle = hostile_oracle::HostileOracle::new(schemas[usize::from(*first) % schemas.len()].clone());
    oracle.value(0, Some(record));
    oracle.finish();
});
