//! Whatever bytes a state file holds, restoring them is an error or gives a state that works.
//!
//! `just fuzz-restore` writes valid states of every kind into the corpus first.
#![no_main]

#[path = "../../tests/support/kinds.rs"]
mod kinds;
#[path = "../../tests/support/survive.rs"]
mod survive;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    survive::pipeline(bytes);
    survive::checkpoint(bytes);
});
