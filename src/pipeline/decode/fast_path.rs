//! Fast path for the records that nearly every stream holds: one flat object of numbers.
//!
//! It reads exactly what [`super::json`] reads, only faster, or says that it cannot and leaves the record to it: nested
//! values, escapes, and whatever is wrong. Numbers, which are most of a record, are checked and read in one pass.

use sonic_number::{ParserNumber, parse_number};

use super::{
    MAX_MAGNITUDE,
    draft::Draft,
    index::Index,
    role::{Field, Part},
};

/// The record is not a flat object of numbers, or something is wrong with it; the full decoder finds out what.
pub(super) struct NeedsFullDecode;

/// Result of one step.
type Read<T> = Result<T, NeedsFullDecode>;

/// Reads a flat and good value into `draft`; after an error the draft must be started again.
pub(super) fn read_object(value: &[u8], index: &mut Index, draft: &mut Draft) -> Read<()> {
    let mut cursor = 0;
    let mut scanner = Scanner::new(value, index.takes_bare_nan());
    scanner.expect(b'{')?;
    loop {
        let name = std::str::from_utf8(scanner.name()?).map_err(|_| NeedsFullDecode)?;
        let field = index.field(name, &mut cursor);
        scanner.expect(b':')?;
        take(index, draft, field, || name, scanner.number_or_null()?)?;
        match scanner.next()? {
            b',' => {}
            b'}' => break,
            _ => return Err(NeedsFullDecode),
        }
    }
    scanner.end()
}

/// Takes a field's number, or NaN for `null`. The full decoder finds out why a number is refused.
#[inline]
pub(super) fn take<'n>(
    index: &Index,
    draft: &mut Draft,
    field: Field,
    name: impl FnOnce() -> &'n str,
    number: f64,
) -> Read<()> {
    // This covers nearly all numbers of a stream, and is false for NaN.
    if let Part::Column(column) = field.part
        && field.is_model_only()
        && number.abs() <= MAX_MAGNITUDE
    {
        draft.set(column, number);
        return Ok(());
    }
    take_other(index, draft, field, name(), number)
}

/// Takes the rare cases; kept apart so that the common one is small enough to be inlined.
#[inline(never)]
fn take_other(index: &Index, draft: &mut Draft, field: Field, name: &str, number: f64) -> Read<()> {
    if number.is_nan() {
        draft.null(index, field);
        return Ok(());
    }
    // They want the number's text, which only the full decoder has.
    if field.wants_text() {
        return Err(NeedsFullDecode);
    }
    draft.number(index, field, name, number, String::new).map_err(|_| NeedsFullDecode)
}

/// Reads a value's bytes from front to back.
pub(super) struct Scanner<'t> {
    bytes: &'t [u8],
    at: usize,
    /// True where a bare `NaN` stands for `null`.
    bare_nan: bool,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(bytes: &'t [u8], bare_nan: bool) -> Self {
        Self { bytes, at: 0, bare_nan }
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    #[inline]
    fn peek(&self) -> Read<u8> {
        self.bytes.get(self.at).copied().ok_or(NeedsFullDecode)
    }

    /// Returns the next byte that is not space.
    #[inline]
    pub(super) fn next(&mut self) -> Read<u8> {
        self.space();
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    pub(super) fn expect(&mut self, wanted: u8) -> Read<()> {
        if self.next()? == wanted { Ok(()) } else { Err(NeedsFullDecode) }
    }

    /// Expects these bytes, with no space before them.
    #[inline]
    pub(super) fn literal(&mut self, wanted: &[u8]) -> Read<()> {
        let end = self.at + wanted.len();
        if self.bytes.get(self.at..end) != Some(wanted) {
            return Err(NeedsFullDecode);
        }
        self.at = end;
        Ok(())
    }

    /// Reads a name without escapes; it may be no UTF-8.
    #[inline]
    pub(super) fn name(&mut self) -> Read<&'t [u8]> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' | 0..=0x1f => return Err(NeedsFullDecode),
                _ => self.at += 1,
            }
        }
        let name = &self.bytes[start..self.at];
        self.at += 1;
        Ok(name)
    }

    /// Reads a number by JSON's grammar that f64 can hold, or NaN for `null` and a bare `NaN` that stands for it. The
    /// next step judges what follows.
    #[inline]
    pub(super) fn number_or_null(&mut self) -> Read<f64> {
        self.space();
        let negative = match self.peek()? {
            b'-' => true,
            b'0'..=b'9' => false,
            b'n' => return self.literal(b"null").map(|()| f64::NAN),
            b'N' if self.bare_nan => return self.literal(b"NaN").map(|()| f64::NAN),
            _ => return Err(NeedsFullDecode),
        };
        // We apply the sign ourselves: for the parser -0 is 0.
        self.at += usize::from(negative);
        let magnitude = match parse_number(self.bytes, &mut self.at, false).map_err(|_| NeedsFullDecode)? {
            ParserNumber::Unsigned(number) => number as f64,
            ParserNumber::Signed(number) => number as f64,
            ParserNumber::Float(number) => number,
        };
        Ok(if negative { -magnitude } else { magnitude })
    }

    /// Expects that only space is left.
    #[inline]
    pub(super) fn end(&mut self) -> Read<()> {
        self.space();
        if self.at < self.bytes.len() { Err(NeedsFullDecode) } else { Ok(()) }
    }
}
