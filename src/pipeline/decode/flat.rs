//! The short way for the records that nearly every stream holds: one flat object of numbers.
//!
//! It reads exactly what [`super::json`] reads, only faster, or says that it cannot and leaves the record to it: nested
//! values, escapes, and whatever is wrong. Numbers, which are most of a record, are checked and read in one pass.

use sonic_number::{ParserNumber, parse_number};

use super::{
    Draft,
    index::{Field, Index},
};

/// The record is not of the plain kind; nothing is known about it yet.
pub(super) struct NotFlat;

/// What one try found.
type Read<T> = Result<T, NotFlat>;

/// Reads `text` into `draft` if it is plain and good; otherwise the draft must be begun anew.
pub(super) fn read_object(text: &str, index: &mut Index, draft: &mut Draft) -> Read<()> {
    let mut cursor = 0;
    let mut scanner = Scanner { text, bytes: text.as_bytes(), at: 0 };
    scanner.expect(b'{')?;
    loop {
        let name = scanner.name()?;
        let field = index.field(name, &mut cursor);
        scanner.expect(b':')?;
        scanner.space();
        match scanner.peek()? {
            b'-' | b'0'..=b'9' => {
                let number = scanner.number()?;
                // Those want the number's text, as the long way spells it.
                if matches!(field, Field::Nominal(_) | Field::NewNominal | Field::Key) {
                    return Err(NotFlat);
                }
                // Why it is refused is found out the long way.
                draft.number(index, field, name, number, String::new).map_err(|_| NotFlat)?;
            }
            b'n' => scanner.word("null")?,
            _ => return Err(NotFlat),
        }
        match scanner.next()? {
            b',' => {}
            b'}' => break,
            _ => return Err(NotFlat),
        }
    }
    scanner.space();
    if scanner.at < scanner.bytes.len() { Err(NotFlat) } else { Ok(()) }
}

struct Scanner<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
}

impl<'t> Scanner<'t> {
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
    fn next(&mut self) -> Read<u8> {
        self.space();
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Read<()> {
        if self.next()? == wanted { Ok(()) } else { Err(NotFlat) }
    }

    /// A name without escapes.
    #[inline]
    fn name(&mut self) -> Read<&'t str> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' | 0..=0x1f => return Err(NotFlat),
                _ => self.at += 1,
            }
        }
        let name = &self.text[start..self.at];
        self.at += 1;
        Ok(name)
    }

    fn word(&mut self, word: &str) -> Read<()> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word.as_bytes()) {
            return Err(NotFlat);
        }
        self.at = end;
        Ok(())
    }

    /// A number by JSON's grammar that f64 can hold. What follows it is left for the next step to judge.
    #[inline]
    fn number(&mut self) -> Read<f64> {
        // Not left to the parser, for which -0 is 0.
        let negative = self.bytes[self.at] == b'-';
        self.at += usize::from(negative);
        let magnitude = match parse_number(self.bytes, &mut self.at, false).map_err(|_| NotFlat)? {
            ParserNumber::Unsigned(number) => number as f64,
            ParserNumber::Signed(number) => number as f64,
            ParserNumber::Float(number) => number,
        };
        Ok(if negative { -magnitude } else { magnitude })
    }
}
