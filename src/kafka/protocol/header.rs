//! A record batch's header, and the sequence numbers that producers give their records.

/// The identity by which a broker knows a producer.
pub(crate) type ProducerId = i64;

/// Returns the sequence number that follows `count` records from `sequence` on; past the largest they begin again at 0.
pub(crate) fn advance(sequence: i32, count: usize) -> i32 {
    ((i64::from(sequence) + count as i64) & i64::from(i32::MAX)) as i32
}

/// The one layout that brokers have written since Kafka 0.11.
pub(crate) const MAGIC: u8 = 2;

/// Bits of the attributes.
const LOG_APPEND_TIME: i16 = 1 << 3;
pub(crate) const TRANSACTIONAL: i16 = 1 << 4;
pub(crate) const CONTROL: i16 = 1 << 5;

/// A batch's header, as far as it is needed.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) checksum: u32,
    pub(crate) attributes: i16,
    /// The records' times are relative to this one.
    pub(crate) first_timestamp: i64,
    max_timestamp: i64,
    pub(crate) producer: ProducerId,
    sequence: i32,
    pub(crate) records: i32,
}

impl Header {
    /// Bytes of it.
    pub(crate) const BYTES: usize = 61;
    /// Bytes that the length does not count: offset and length themselves.
    pub(crate) const PREFIX: usize = 12;
    pub(crate) const LENGTH_AT: usize = 8;
    pub(crate) const MAGIC_AT: usize = 16;
    pub(crate) const CHECKSUM_AT: usize = 17;
    /// From here to the end of the batch.
    pub(crate) const CHECKED_FROM: usize = 21;

    /// Reads the header of a whole batch.
    pub(crate) fn of(batch: &[u8]) -> Self {
        let base_offset = i64::from_be_bytes(array(batch, 0));
        let last_delta = i32::from_be_bytes(array(batch, 23));
        Self {
            base_offset,
            last_offset: base_offset.saturating_add(last_delta.into()),
            checksum: u32::from_be_bytes(array(batch, Self::CHECKSUM_AT)),
            attributes: i16::from_be_bytes(array(batch, 21)),
            first_timestamp: i64::from_be_bytes(array(batch, 27)),
            max_timestamp: i64::from_be_bytes(array(batch, 35)),
            producer: i64::from_be_bytes(array(batch, 43)),
            sequence: i32::from_be_bytes(array(batch, 53)),
            records: i32::from_be_bytes(array(batch, 57)),
        }
    }

    pub(crate) fn is(&self, attribute: i16) -> bool {
        self.attributes & attribute != 0
    }

    /// Returns the sequence number that its producer's next record must have.
    pub(crate) fn next_sequence(&self) -> i32 {
        let count = self.last_offset.saturating_sub(self.base_offset).max(0) as usize + 1;
        advance(self.sequence, count)
    }

    /// The broker's time, where the topic keeps that: it is in the header alone.
    pub(crate) fn appended_at(&self) -> Option<i64> {
        self.is(LOG_APPEND_TIME).then_some(self.max_timestamp)
    }
}

/// `N` bytes from `at` on, which must be there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::advance;

    #[test]
    fn numbers_begin_again_past_the_largest() {
        assert_eq!(advance(5, 3), 8);
        assert_eq!(advance(i32::MAX, 1), 0);
        assert_eq!(advance(i32::MAX - 1, 4), 2);
    }
}
