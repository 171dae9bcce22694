//! Whatever bytes are a record, they become one prediction or one dead letter and leave a state that works.
//!
//! The first byte chooses how records are read, the rest is records with 0x1e between them. `just fuzz-decode` writes
//! the hostile corpus there first.
#![no_main]

#[path = "../../tests/support/hostile_oracle.rs"]
mod hostile_oracle;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, records)) = bytes.split_first() else { return };
    let mut schemas = hostile_oracle::schemas();
    let schema = schemas.swap_remove(usize::from(*first) % schemas.len());
    let mut oracle = hostile_oracle::HostileOracle::new(schema);
    for (offset, value) in (0..).zip(records.split(|byte| *byte == 0x1e)) {
        oracle.value(offset, Some(value));
    }
    oracle.finish();
});
