//! A hash that means the same in every version and on every machine, since states hold it.

/// Returns the 64-bit FNV-1a hash of some bytes (Fowler, Noll and Vo 1991).
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
