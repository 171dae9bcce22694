//! Reads a JSON value's bytes from front to back, as long as they are plain: no escapes in names, no depth without end, nothing
//! wrong.
//!
//! Invariant: what it accepts is JSON, and it reads the same as the full decoder does. Numbers, which are most of a
//! record, are checked and read in one pass.

use std::ops::Range;

use sonic_number::{ParserNumber, parse_number};

use super::{
    cast,
    cell::{Cell, Value},
    envelope::Wrappers,
    escapes::escape,
};

/// The record is not plain, or something is wrong with it; the full decoder finds out what.
#[derive(Clone, Copy, Debug)]
pub(super) struct NeedsFullDecode;

/// Result of one step.
pub(super) type Read<T> = Result<T, NeedsFullDecode>;

/// Deepest nesting that is plain.
const MAX_DEPTH: usize = 32;

/// What is done with the values of a record. A level is what holds within one object or array.
pub(super) trait Visit {
    type Level: Copy;

    /// Enters the object or the array at `path`, and returns what holds within.
    fn enter(&mut self, path: &str, is_array: bool, outer: Self::Level) -> Read<Self::Level>;

    /// Takes the value at `path`, which has this place in the record.
    fn leaf(&mut self, path: &str, level: Self::Level, cell: Cell, place: Range<usize>) -> Read<()>;

    /// Takes the value of a member of the record itself, whose name may be no UTF-8: most are known, and need no check.
    fn member(&mut self, name: &[u8], level: Self::Level, cell: Cell, place: Range<usize>) -> Read<()>;
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Sets the highest bit of each byte that is zero, and at most of some above the lowest one (Mycroft 1987).
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH_BITS
}

/// Compares two runs of bytes. Most have no more than 16, for which a call of `memcmp` costs more than comparisons that overlap.
#[inline(always)]
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    fn ends<const N: usize>(bytes: &[u8]) -> Option<[&[u8; N]; 2]> {
        Some([bytes.first_chunk()?, bytes.last_chunk()?])
    }
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        length @ 1..=3 => [0, length / 2, length - 1].iter().all(|at| one[*at] == other[*at]),
        4..=8 => ends::<4>(one) == ends::<4>(other),
        9..=16 => ends::<8>(one) == ends::<8>(other),
        _ => one == other,
    }
}

/// A text as it is written.
struct Text {
    place: Range<usize>,
    /// False where it is ASCII.
    may_be_other: bool,
    has_escapes: bool,
}

/// A place in a value's bytes.
#[derive(Clone, Copy)]
pub(super) struct Scanner<'t> {
    bytes: &'t [u8],
    pub(super) at: usize,
    syntax: Syntax,
}

/// What is read besides JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Syntax {
    /// True where a bare `NaN` stands for `null`.
    pub(super) bare_nan: bool,
    /// Objects that stand for a value.
    pub(super) wrappers: Wrappers,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(bytes: &'t [u8], syntax: Syntax) -> Self {
        Self { bytes, at: 0, syntax }
    }

    /// Walks through a whole object. `path` is a buffer for names.
    #[inline]
    pub(super) fn walk<V: Visit>(mut self, path: &mut String, visit: &mut V, level: V::Level) -> Read<usize> {
        self.expect(b'{')?;
        self.members(path, visit, level, MAX_DEPTH)?;
        let end = self.at;
        self.end()?;
        Ok(end)
    }

    /// Walks through an object's members, of which there is at least one.
    fn members<V: Visit>(&mut self, path: &mut String, visit: &mut V, level: V::Level, depth: usize) -> Read<()> {
        let prefix = path.len();
        loop {
            let name = self.name()?;
            self.expect(b':')?;
            self.space();
            let first = self.peek()?;
            // Nearly all names of most streams are those of the record itself, and need no copy.
            if prefix == 0 && !matches!(first, b'{' | b'[') {
                let (start, cell) = (self.at, self.scalar(first)?);
                visit.member(name, level, cell, start..self.at)?;
            } else {
                if prefix > 0 {
                    path.push('.');
                }
                path.push_str(std::str::from_utf8(name).map_err(|_| NeedsFullDecode)?);
                self.value(path, visit, level, depth)?;
                path.truncate(prefix);
            }
            match self.next()? {
                b',' => {}
                b'}' => return Ok(()),
                _ => return Err(NeedsFullDecode),
            }
        }
    }

    /// Walks through an array's elements, of which there is at least one.
    fn elements<V: Visit>(&mut self, path: &mut String, visit: &mut V, level: V::Level, depth: usize) -> Read<()> {
        let prefix = path.len();
        for i in 0_u64.. {
            path.push('.');
            path.push_str(itoa::Buffer::new().format(i));
            self.space();
            self.value(path, visit, level, depth)?;
            path.truncate(prefix);
            match self.next()? {
                b',' => {}
                b']' => break,
                _ => return Err(NeedsFullDecode),
            }
        }
        Ok(())
    }

    /// Walks through a value, which begins here.
    fn value<V: Visit>(&mut self, path: &mut String, visit: &mut V, level: V::Level, depth: usize) -> Read<()> {
        let start = self.at;
        let close = match self.peek()? {
            b'{' => b'}',
            b'[' => b']',
            first => {
                let cell = self.scalar(first)?;
                return visit.leaf(path, level, cell, start..self.at);
            }
        };
        if self.syntax.wrappers != Wrappers::None && close == b'}' {
            if let Some(cell) = self.wrapped()? {
                return visit.leaf(path, level, cell, start..self.at);
            }
            self.at = start;
            if self.opens_wrapper()? {
                let depth = depth.checked_sub(1).ok_or(NeedsFullDecode)?;
                self.value(path, visit, level, depth)?;
                return self.expect(b'}');
            }
            self.at = start;
        }
        if self.empty(close)? {
            return visit.leaf(path, level, Cell::EMPTY, start..self.at);
        }
        let inner = visit.enter(path, close == b']', level)?;
        let depth = depth.checked_sub(1).ok_or(NeedsFullDecode)?;
        if close == b'}' { self.members(path, visit, inner, depth) } else { self.elements(path, visit, inner, depth) }
    }

    /// Reads an opening bracket, and the closing one where nothing is between them; returns `true` there.
    fn empty(&mut self, close: u8) -> Read<bool> {
        self.at += 1;
        self.space();
        let is_empty = self.peek()? == close;
        self.at += usize::from(is_empty);
        Ok(is_empty)
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
    fn next(&mut self) -> Read<u8> {
        self.space();
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Read<()> {
        if self.next()? == wanted { Ok(()) } else { Err(NeedsFullDecode) }
    }

    /// Expects what stands between two values: these bytes, or the same with other space.
    #[inline(always)]
    pub(super) fn between(&mut self, wanted: &[u8]) -> Read<()> {
        let end = self.at + wanted.len();
        if self.bytes.get(self.at..end).is_some_and(|found| is_same(found, wanted)) {
            self.at = end;
            return Ok(());
        }
        self.spaced(wanted)
    }

    fn spaced(&mut self, wanted: &[u8]) -> Read<()> {
        let mut quoted = false;
        for &byte in wanted {
            if !quoted {
                if byte.is_ascii_whitespace() {
                    continue;
                }
                self.space();
            }
            if self.peek()? != byte {
                return Err(NeedsFullDecode);
            }
            self.at += 1;
            quoted ^= byte == b'"';
        }
        Ok(())
    }

    /// Reads a name without escapes; it may be no UTF-8. Most are short, so that byte by byte is the fastest.
    #[inline]
    fn name(&mut self) -> Read<&'t [u8]> {
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

    /// Reads the rest of a text, whose opening quote has been read.
    #[inline]
    fn text(&mut self) -> Read<Text> {
        let start = self.at;
        let mut beyond_ascii = 0;
        while let Some(word) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*word);
            beyond_ascii |= word & HIGH_BITS;
            // Bytes below a space have none of the three highest bits.
            let each = |byte: u8| ONES * u64::from(byte);
            let ends = zeros(word ^ each(b'"')) | zeros(word ^ each(b'\\')) | zeros(word & each(0xe0));
            if ends != 0 {
                self.at += ends.trailing_zeros() as usize / 8;
                break;
            }
            self.at += 8;
        }
        loop {
            let byte = self.peek()?;
            match byte {
                b'"' => break,
                b'\\' => return self.escaped(start),
                0..=0x1f => return Err(NeedsFullDecode),
                _ => self.at += 1,
            }
            beyond_ascii |= u64::from(byte & 0x80);
        }
        let place = start..self.at;
        self.at += 1;
        Ok(Text { place, may_be_other: beyond_ascii != 0, has_escapes: false })
    }

    /// Reads the rest of a text that begins at `start`, from its first escape on.
    #[inline(never)]
    fn escaped(&mut self, start: usize) -> Read<Text> {
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += escape(&self.bytes[self.at..]).ok_or(NeedsFullDecode)?.1,
                0..=0x1f => return Err(NeedsFullDecode),
                _ => self.at += 1,
            }
        }
        let place = start..self.at;
        self.at += 1;
        Ok(Text { may_be_other: !self.bytes[place.clone()].is_ascii(), place, has_escapes: true })
    }

    /// Reads a value that is neither an object nor an array, or one of them that is empty or stands for a value. The next
    /// step judges what follows.
    #[inline]
    pub(super) fn cell(&mut self) -> Read<Cell> {
        self.space();
        match self.peek()? {
            b'{' | b'[' => self.nothing_or_wrapped(),
            first => self.scalar(first),
        }
    }

    #[inline(never)]
    fn nothing_or_wrapped(&mut self) -> Read<Cell> {
        let (start, close) = (self.at, if self.peek()? == b'{' { b'}' } else { b']' });
        if self.syntax.wrappers != Wrappers::None && close == b'}' {
            if let Some(cell) = self.wrapped()? {
                return Ok(cell);
            }
            self.at = start;
        }
        if self.empty(close)? { Ok(Cell::EMPTY) } else { Err(NeedsFullDecode) }
    }

    /// Reads the beginning of an object whose only member stands for it; returns `false` where it is another one, of which
    /// a part may have been read.
    fn opens_wrapper(&mut self) -> Read<bool> {
        self.expect(b'{')?;
        if self.next()? != b'"' {
            return Ok(false);
        }
        self.at -= 1;
        let name = self.name()?;
        self.expect(b':')?;
        self.space();
        Ok(self.syntax.wrappers.hold(name))
    }

    /// Reads an object that stands for a scalar; returns `None` where it is another one, of which a part may have been
    /// read.
    #[inline(never)]
    fn wrapped(&mut self) -> Read<Option<Cell>> {
        let cell = if self.syntax.wrappers == Wrappers::Scaled { self.scaled() } else { self.held()? };
        // What stands for a value is looked at by its bytes.
        if cell.is_some_and(Cell::is_escaped) { Err(NeedsFullDecode) } else { Ok(cell) }
    }

    /// Reads the value in wrappers; `None` as [`wrapped`](Self::wrapped).
    fn held(&mut self) -> Read<Option<Cell>> {
        // A wrapper may hold another one, as in {"$date":{"$numberLong":"0"}}; the parser of the full decoder goes as deep.
        let mut depth = 0;
        while self.peek()? == b'{' {
            if depth == MAX_DEPTH || !self.opens_wrapper()? {
                return Ok(None);
            }
            depth += 1;
        }
        if self.peek()? == b'[' {
            return Ok(None);
        }
        let cell = self.rare_scalar()?;
        for _ in 0..depth {
            self.expect(b'}')?;
        }
        Ok(Some(cell))
    }

    /// Reads `{"scale":2,"value":"BNI="}` as the number that it is; a text with escapes as that.
    fn scaled(&mut self) -> Option<Cell> {
        self.between(br#"{"scale":"#).ok()?;
        self.space();
        let Value::Number(scale) = self.rare_scalar().ok()?.value() else { return None };
        self.between(br#","value":"#).ok()?;
        self.space();
        let cell = self.rare_scalar().ok()?;
        let text = match cell.value() {
            Value::Text(text) => text,
            Value::Escaped(_) => return Some(cell),
            _ => return None,
        };
        self.expect(b'}').ok()?;
        let text = std::str::from_utf8(self.bytes.get(text)?).ok()?;
        cast::scaled(scale, text).map(Cell)
    }

    /// Reads a number by JSON's grammar that f64 can hold, a word or a text; `first` is the next byte. A bare `NaN` is
    /// `null` where it stands for it.
    #[inline]
    fn scalar(&mut self, first: u8) -> Read<Cell> {
        let negative = match first {
            b'-' => true,
            b'0'..=b'9' => false,
            _ => return self.word_or_text(first),
        };
        // We apply the sign ourselves: for the parser -0 is 0.
        self.at += usize::from(negative);
        let magnitude = match parse_number(self.bytes, &mut self.at, false).map_err(|_| NeedsFullDecode)? {
            ParserNumber::Unsigned(number) => number as f64,
            ParserNumber::Signed(number) => number as f64,
            ParserNumber::Float(number) => number,
        };
        Ok(Cell(if negative { -magnitude } else { magnitude }))
    }

    /// Reads the same where that is rare.
    #[inline(never)]
    fn rare_scalar(&mut self) -> Read<Cell> {
        let first = self.peek()?;
        self.scalar(first)
    }

    #[inline(never)]
    fn word_or_text(&mut self, first: u8) -> Read<Cell> {
        let (word, cell): (&[u8], Cell) = match first {
            b'"' => {
                self.at += 1;
                let text = self.text()?;
                if text.may_be_other && std::str::from_utf8(&self.bytes[text.place.clone()]).is_err() {
                    return Err(NeedsFullDecode);
                }
                let cell = if text.has_escapes { Cell::escaped(&text.place) } else { Cell::text(&text.place) };
                return cell.ok_or(NeedsFullDecode);
            }
            b't' => (b"true", Cell::truth(true)),
            b'f' => (b"false", Cell::truth(false)),
            b'n' => (b"null", Cell::NULL),
            b'N' if self.syntax.bare_nan => (b"NaN", Cell::NULL),
            _ => return Err(NeedsFullDecode),
        };
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word) {
            return Err(NeedsFullDecode);
        }
        self.at = end;
        Ok(cell)
    }

    /// Expects that only space is left.
    #[inline]
    pub(super) fn end(&mut self) -> Read<()> {
        self.space();
        if self.at < self.bytes.len() { Err(NeedsFullDecode) } else { Ok(()) }
    }
}
