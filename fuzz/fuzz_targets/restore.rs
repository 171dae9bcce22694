//! Whatever bytes a state file holds, restoring them is an error or gives a state that works.
//!
//! `just fuzz-restore` writes valid states of every kind into the corpus first.
#![no_main]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/support/damage.rs"]
mod damage;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/support/kinds.rs"]
mod kinds;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    damage::pipeline(bytes);
    damage::checkpoint(bytes);
});
