//! The binary encoding of Avro's primitive types.
//!
//! Invariant: it never reads past the end; `None` is the end, or a number that is none.

/// A place in a record's bytes.
pub(super) struct Wire<'b> {
    bytes: &'b [u8],
    pub(super) at: usize,
}

impl<'b> Wire<'b> {
    pub(super) fn new(bytes: &'b [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Returns the number of bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// Reads so many bytes.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Reads a whole number: zigzag, seven bits a byte.
    #[inline]
    pub(super) fn long(&mut self) -> Option<i64> {
        let first = *self.bytes.get(self.at)?;
        self.at += 1;
        let raw = if first < 0x80 { u64::from(first) } else { self.more(u64::from(first & 0x7f))? };
        Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    fn more(&mut self, mut raw: u64) -> Option<u64> {
        for shift in (7..64).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            // The tenth byte has room for one bit.
            if shift == 63 && byte > 1 {
                return None;
            }
            raw |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(raw);
            }
        }
        None
    }

    #[inline]
    pub(super) fn float(&mut self) -> Option<f64> {
        self.array().map(|bytes| f64::from(f32::from_le_bytes(bytes)))
    }

    #[inline]
    pub(super) fn double(&mut self) -> Option<f64> {
        self.array().map(f64::from_le_bytes)
    }

    pub(super) fn boolean(&mut self) -> Option<bool> {
        match self.array()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    /// Reads bytes behind their number.
    #[inline]
    pub(super) fn bytes(&mut self) -> Option<&'b [u8]> {
        let count = usize::try_from(self.long()?).ok()?;
        self.take(count)
    }

    pub(super) fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_to_the_last_bit_and_no_further() {
        let read = |bytes: &[u8]| Wire::new(bytes, 0).long();
        for (bytes, expected) in [
            (&[0][..], Some(0)),
            (&[1], Some(-1)),
            (&[0x7f], Some(-64)),
            (&[0x80, 0x01], Some(64)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Some(i64::MIN)),
            (&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Some(i64::MAX)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], None),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], None),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(read(bytes), expected, "{bytes:x?}");
        }
    }

    #[test]
    fn a_length_that_lies_reads_nothing() {
        for bytes in [&[0x04, b'a'][..], &[0x01], &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]] {
            assert_eq!(Wire::new(bytes, 0).bytes(), None, "{bytes:x?}");
        }
    }
}
