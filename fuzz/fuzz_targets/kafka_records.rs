//! Whatever a broker's answer holds, it is records in the order of their offsets, or an error.
//!
//! `just fuzz-kafka-records` writes batches under every compression into the corpus first.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg::kafka::read_log;

/// Where a batch's checksum is, and from where on it counts.
const CHECKSUM: std::ops::Range<usize> = 17..21;

fuzz_target!(|bytes: &[u8]| {
    let mut log = bytes.to_vec();
    // One that fits: what is wrong with a batch is to be found behind it.
    if log.len() > CHECKSUM.end {
        let checksum = crc32c::crc32c(&log[CHECKSUM.end..]);
        log[CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
    }
    if let Ok(records) = read_log(&log.into()) {
        assert!(records.is_sorted_by_key(|record| record.offset));
    }
});
