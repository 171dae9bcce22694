//! The short way for the records that nearly every stream holds: one flat object of numbers.
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

/// The record is not of the plain kind; nothing is known about it yet.
pub(super) struct NotFlat;

/// What one try found.
type Read<T> = Result<T, NotFlat>;

/// Reads a value into `draft` if it is plain and good; otherwise the draft must be begun anew.
pub(super) fn read_object(value: &[u8], index: &mut Index, draft: &mut Draft) -> Read<()> {
    let mut cursor = 0;
    let mut scanner = Scanner::new(value, index.takes_bare_nan());
    scanner.expect(b'{')?;
    loop {
        let name = std::str::from_utf8(scanner.name()?).map_err(|_| NotFlat)?;
        let field = index.field(name, &mut cursor);
        scanner.expect(b':')?;
        take(index, draft, field, || name, scanner.number_or_null()?)?;
        match scanner.next()? {
            b',' => {}
            b'}' => break,
            _ => return Err(NotFlat),
        }
    }
    scanner.end()
}

/// Takes a field's number, or NaN for `null`. Why one is refused is found out the long way.
#[inline]
pub(super) fn take<'n>(
    index: &Index,
    draft: &mut Draft,
    field: Field,
    name: impl FnOnce() -> &'n str,
    number: f64,
) -> Read<()> {
    // Nearly all that a stream holds, and false for NaN.
    if let Part::Column(column) = field.part
        && field.is_plain()
        && number.abs() <= MAX_MAGNITUDE
    {
        draft.set(column, number);
        return Ok(());
    }
    take_other(index, draft, field, name(), number)
}

/// Apart from the common case, which is small enough to be inlined so.
#[inline(never)]
fn take_other(index: &Index, draft: &mut Draft, field: Field, name: &str, number: f64) -> Read<()> {
    if number.is_nan() {
        draft.null(index, field);
        return Ok(());
    }
    // Those want the number's text, as the long way spells it.
    if field.wants_text() {
        return Err(NotFlat);
    }
    draft.number(index, field, name, number, String::new).map_err(|_| NotFlat)
}

/// Goes through a value's bytes.
pub(super) struct Scanner<'t> {
    bytes: &'t [u8],
    at: usize,
    /// Whether `NaN` stands for `null`.
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
        self.bytes.get(self.at).copied().ok_or(NotFlat)
    }

    /// The next byte that is not space.
    #[inline]
    pub(super) fn next(&mut self) -> Read<u8> {
        self.space();
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    pub(super) fn expect(&mut self, wanted: u8) -> Read<()> {
        if self.next()? == wanted { Ok(()) } else { Err(NotFlat) }
    }

    /// These bytes, and no space before them.
    #[inline]
    pub(super) fn literal(&mut self, wanted: &[u8]) -> Read<()> {
        let end = self.at + wanted.len();
        if self.bytes.get(self.at..end) != Some(wanted) {
            return Err(NotFlat);
        }
        self.at = end;
        Ok(())
    }

    /// A name without escapes, which may be no UTF-8.
    #[inline]
    pub(super) fn name(&mut self) -> Read<&'t [u8]> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' | 0..=0x1f => return Err(NotFlat),
                _ => self.at += 1,
            }
        }
        let name = &self.bytes[start..self.at];
        self.at += 1;
        Ok(name)
    }

    /// A number by JSON's grammar that f64 can hold, or NaN for `null` and what stands for it. What follows it is left for the next step to judge.
    #[inline]
    pub(super) fn number_or_null(&mut self) -> Read<f64> {
        self.space();
        let negative = match self.peek()? {
            b'-' => true,
            b'0'..=b'9' => false,
            b'n' => return self.literal(b"null").map(|()| f64::NAN),
            b'N' if self.bare_nan => return self.literal(b"NaN").map(|()| f64::NAN),
            _ => return Err(NotFlat),
        };
        // Not left to the parser, for which -0 is 0.
        self.at += usize::from(negative);
        let magnitude = match parse_number(self.bytes, &mut self.at, false).map_err(|_| NotFlat)? {
            ParserNumber::Unsigned(number) => number as f64,
            ParserNumber::Signed(number) => number as f64,
            ParserNumber::Float(number) => number,
        };
        Ok(if negative { -magnitude } else { magnitude })
    }

    /// Nothing but space is left.
    #[inline]
    pub(super) fn end(&mut self) -> Read<()> {
        self.space();
        if self.at < self.bytes.len() { Err(NotFlat) } else { Ok(()) }
    }
}
