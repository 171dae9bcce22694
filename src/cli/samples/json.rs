//! JSON objects of a file, one at a time and bounded in size: one per line, or the elements of an array.
//!
//! Invariant: a bad line costs only itself. An array is read element by element and never held whole.

use std::io::{self, BufRead, Read};

use anyhow::bail;

use super::Unusable;

/// An open file of objects.
pub(super) struct Objects {
    read: Box<dyn BufRead>,
    /// True inside an array.
    in_array: bool,
    line: Vec<u8>,
    /// Line of the last value that was read, from 1.
    number: u64,
}

/// Outcome of one read.
pub(super) enum Next<'a> {
    Value(&'a [u8]),
    Unusable(Unusable),
    End,
}

impl Objects {
    /// # Errors
    /// When each object is spread over several lines.
    pub(super) fn open(mut read: Box<dyn BufRead>, head: &[u8]) -> anyhow::Result<Self> {
        let mark = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        io::copy(&mut read.by_ref().take(mark as u64), &mut io::sink())?;
        let text = head[mark..].trim_ascii_start();
        if is_spread(text) {
            bail!("its objects are spread over lines; one per line is read: jq -c . FILE | thalweg replay -");
        }
        Ok(Self { read, in_array: false, line: Vec::new(), number: 0 })
    }

    /// Returns the line of the last value that was read.
    pub(super) fn line(&self) -> u64 {
        self.number
    }

    /// Returns the last value that was read.
    pub(super) fn value(&self) -> &[u8] {
        self.line.trim_ascii()
    }

    /// Returns the next value; blank lines are skipped. One over `limit` bytes is not kept in memory.
    pub(super) fn next(&mut self, limit: usize) -> anyhow::Result<Next<'_>> {
        loop {
            if self.in_array {
                match self.element(limit)? {
                    Element::Value => return Ok(Next::Value(self.line.trim_ascii())),
                    Element::TooLong(size) => return Ok(Next::Unusable(Unusable::too_long(self.number, size, limit))),
                    Element::End => self.in_array = false,
                }
                continue;
            }
            if self.begins_array()? {
                self.in_array = true;
                continue;
            }
            self.line.clear();
            self.number += 1;
            if self.read.as_mut().take(limit as u64 + 2).read_until(b'\n', &mut self.line)? == 0 {
                return Ok(Next::End);
            }
            if self.line.len() > limit && !self.line.ends_with(b"\n") {
                let size = self.line.len() + skip_line(self.read.as_mut())?;
                return Ok(Next::Unusable(Unusable::too_long(self.number, size, limit)));
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Next::Value(self.line.trim_ascii()));
            }
        }
    }

    /// Returns `true` where an array of objects begins here, and reads its bracket.
    fn begins_array(&mut self) -> io::Result<bool> {
        let mut peeked = 0;
        {
            let buffer = self.read.fill_buf()?;
            let text = buffer.trim_ascii_start();
            if let Some(rest) = text.strip_prefix(b"[") {
                let within = rest.trim_ascii_start();
                // An array of anything else is a record that cannot be used.
                if matches!(within.first(), Some(b'{' | b']') | None) && !rest.starts_with(b"]\n")
                    || rest.trim_ascii() == b"]"
                {
                    peeked = buffer.len() - rest.len();
                    self.number += buffer[..peeked].iter().filter(|byte| **byte == b'\n').count() as u64
                        + u64::from(self.number == 0);
                }
            }
        }
        self.read.consume(peeked);
        Ok(peeked > 0)
    }

    /// Reads an element of the array.
    fn element(&mut self, limit: usize) -> io::Result<Element> {
        self.line.clear();
        let (mut depth, mut in_text, mut escaped, mut size) = (0_usize, false, false, 0_usize);
        loop {
            let buffer = self.read.fill_buf()?;
            if buffer.is_empty() {
                // The decoder refuses an element that was cut off.
                let nothing = self.line.trim_ascii().is_empty();
                return Ok(if nothing { Element::End } else { Element::Value });
            }
            let mut used = 0;
            let mut end = None;
            for &byte in buffer {
                used += 1;
                self.number += u64::from(byte == b'\n');
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if in_text => escaped = true,
                    b'"' => in_text = !in_text,
                    _ if in_text => {}
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' if depth > 0 => depth -= 1,
                    b']' => end = Some(Element::End),
                    b',' if depth == 0 => end = Some(Element::Value),
                    _ => {}
                }
                if end.is_some() {
                    break;
                }
            }
            let kept = used - usize::from(end.is_some());
            size += kept;
            if size <= limit {
                self.line.extend_from_slice(&buffer[..kept]);
            }
            self.read.consume(used);
            match end {
                None => {}
                Some(_) if size > limit => {
                    // The bracket that ends the array is read; the next element, which is empty, tells what follows.
                    self.in_array = !matches!(end, Some(Element::End));
                    return Ok(Element::TooLong(size));
                }
                Some(end) => {
                    let nothing = self.line.trim_ascii().is_empty();
                    match end {
                        Element::End if nothing => return Ok(Element::End),
                        Element::End => {
                            self.in_array = false;
                            return Ok(Element::Value);
                        }
                        _ if nothing => {}
                        _ => return Ok(Element::Value),
                    }
                    self.line.clear();
                    depth = 0;
                }
            }
        }
    }
}

enum Element {
    Value,
    TooLong(usize),
    End,
}

/// Returns `true` where the first object takes more than one line.
fn is_spread(text: &[u8]) -> bool {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    first == b"{"
}

/// Skips the rest of a line, and returns its length.
fn skip_line(reader: &mut dyn BufRead) -> io::Result<usize> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(skipped);
        }
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        reader.consume(used);
        skipped += used;
        if end.is_some() {
            return Ok(skipped);
        }
    }
}
