//! The rows of a CSV, one at a time and bounded in size.
//!
//! Invariant: a bad row costs only itself. Where a quote is left open, its first line is refused and the next ones are
//! read anew; a row of another width than the names is refused with its line. Cells are `csv_core`'s, which reads RFC
//! 4180 and more.

use std::io::{self, BufRead, Read};

use anyhow::bail;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::{
    Unusable,
    dialect::{self, Asked, Dialect},
};

/// Reader of a table, behind its names.
pub(super) struct Table {
    lines: Lines,
    dialect: Dialect,
    reader: Reader,
    columns: Vec<Column>,
    /// Number of cells of a row.
    width: usize,
    raw: Vec<u8>,
    out: Vec<u8>,
    ends: Vec<usize>,
    /// Text of the row's cells for the decoder, one behind the other.
    text: String,
    cuts: Vec<usize>,
    notes: Vec<String>,
    /// True where the file ended within quotes.
    open: bool,
}

struct Column {
    /// Name; `None` for a column that is left out.
    name: Option<String>,
    /// True where its text is kept as it is: a category, a key, a time.
    verbatim: bool,
}

/// Outcome of one read.
pub(super) enum Next {
    Row,
    Unusable(Unusable),
    End,
}

impl Table {
    /// Reads the names. `is_text` returns `true` for a column whose cells are text, even where they look like numbers.
    pub(super) fn open(
        read: Box<dyn BufRead>,
        head: &[u8],
        whole: bool,
        asked: Asked,
        limit: usize,
        is_text: impl Fn(&str) -> bool,
        is_name: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Self> {
        let mark = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let dialect = dialect::found(&head[mark..], whole, asked);
        let reader = ReaderBuilder::new().delimiter(dialect.delimiter).build();
        let mut lines = Lines { read, terminator: dialect.terminator, back: Vec::new(), taken: 0, number: 0 };
        io::copy(&mut lines.read.by_ref().take(mark as u64), &mut io::sink())?;
        let mut skipped = Vec::new();
        for _ in 0..dialect.preamble {
            skipped.clear();
            lines.next(&mut skipped, limit)?;
        }
        if dialect.marked {
            let mut one = [0];
            lines.read.read_exact(&mut one)?;
        }
        let mut table = Self {
            lines,
            dialect,
            reader,
            columns: Vec::new(),
            width: 0,
            raw: Vec::new(),
            out: Vec::new(),
            ends: Vec::new(),
            text: String::new(),
            cuts: Vec::new(),
            notes: Vec::new(),
            open: false,
        };
        table.read_names(limit, is_text, is_name)?;
        Ok(table)
    }

    fn read_names(
        &mut self,
        limit: usize,
        is_text: impl Fn(&str) -> bool,
        is_name: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let header = match self.record(limit)? {
            Taken::End => return Ok(()),
            Taken::TooLong(..) => {
                bail!("its first line has over {limit} bytes; a CSV begins with the names of its columns")
            }
            Taken::Record => {
                let Ok(text) = std::str::from_utf8(&self.out) else {
                    bail!(
                        "it is not UTF-8; make it so: iconv -f LATIN1 -t UTF-8 FILE > samples.csv (or -f WINDOWS-1252)"
                    );
                };
                let starts = std::iter::once(0).chain(self.ends.iter().copied());
                starts.zip(&self.ends).map(|(start, end)| text[start..*end].trim().to_owned()).collect::<Vec<_>>()
            }
        };
        if dialect::is_all_numbers(&header) && !header.iter().any(|name| is_name(name)) {
            let shown: Vec<&str> = header.iter().map(String::as_str).take(4).collect();
            bail!(
                "its first line holds numbers ({}{}) and no names; a CSV begins with the names of its columns. Put them in \
                 front: {}",
                shown.join(", "),
                if header.len() > shown.len() { ", …" } else { "" },
                put_in_front(header.len())
            );
        }
        let first = usize::from(self.dialect.unnamed_first);
        self.width = header.len() + first;
        if first == 1 {
            self.columns.push(Column { name: None, verbatim: true });
            self.notes.push("the first cell of each row has no name and is left out".to_owned());
        }
        let mut names: Vec<String> = Vec::new();
        for (i, name) in header.into_iter().enumerate() {
            if name.is_empty() && i == 0 && self.width > 1 {
                // pandas and R write the number of the row in front, which is no feature.
                self.notes.push("the first column has no name and is left out".to_owned());
                self.columns.push(Column { name: None, verbatim: true });
                continue;
            }
            let mut unique = if name.is_empty() { format!("column_{}", i + 1) } else { name.clone() };
            let base = unique.clone();
            let mut count = 0;
            while names.contains(&unique) {
                count += 1;
                unique = format!("{base}.{count}");
            }
            if unique != name {
                let was =
                    if name.is_empty() { "has no name and".to_owned() } else { format!("is one more `{name}` and") };
                self.notes.push(format!("column {} {was} is read as `{unique}`", i + 1 + first));
            }
            names.push(unique.clone());
            self.columns.push(Column { verbatim: is_text(&unique), name: Some(unique) });
        }
        Ok(())
    }

    /// Returns what is unusual about it, in sentences.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        let Dialect { delimiter, decimal_comma, preamble, .. } = self.dialect;
        if delimiter != b',' || decimal_comma {
            let decimal = if decimal_comma { ", 1,5 is one and a half" } else { "" };
            let other = "--delimiter and --decimal say otherwise";
            notes.insert(0, format!("cells are separated by {}{decimal}; {other}", dialect::named(delimiter)));
        }
        if preamble > 0 {
            let lines = if preamble == 1 { "line" } else { "lines" };
            notes.push(format!("{preamble} {lines} before the names passed over"));
        }
        if self.width == 1 {
            notes.push(
                "only one column was found; if another sign separates the cells, name it: --delimiter".to_owned(),
            );
        }
        notes
    }

    /// Reads the next row; blank lines are skipped.
    pub(super) fn next(&mut self, limit: usize) -> anyhow::Result<Next> {
        match self.record(limit)? {
            Taken::End => return Ok(Next::End),
            Taken::TooLong(line, size) => return Ok(Next::Unusable(Unusable::too_long(line, size, limit))),
            Taken::Record => {}
        }
        let line = self.line();
        let found = self.ends.len();
        let width = self.width;
        // Some writers put a separator at the end of each row.
        let extra_is_empty =
            found > width && width > 0 && self.ends[width - 1..].windows(2).all(|pair| pair[0] == pair[1]);
        if self.open || found != width && !extra_is_empty {
            let open = self.open;
            let lines = self.give_back();
            if open {
                let problem = "there is a quote left open in this line".to_owned();
                return Ok(Next::Unusable(Unusable::at(line, "wrong_width", problem)));
            }
            let why = if lines > 1 { "; is a quote left open in this line?" } else { "" };
            let s = if found == 1 { "" } else { "s" };
            let problem = format!("the row has {found} cell{s} where there are {width} names{why}");
            return Ok(Next::Unusable(Unusable::at(line, "wrong_width", problem)));
        }
        let Ok(text) = std::str::from_utf8(&self.out) else {
            let problem = "the row is not UTF-8; iconv -f LATIN1 -t UTF-8 FILE makes it so".to_owned();
            return Ok(Next::Unusable(Unusable::at(line, "not_utf8", problem)));
        };
        self.text.clear();
        self.cuts.clear();
        let mut start = 0;
        for (column, end) in self.columns.iter().zip(&self.ends) {
            let cell = &text[start..*end];
            start = *end;
            if column.name.is_none() {
                continue;
            }
            let comma = self.dialect.decimal_comma && !column.verbatim;
            let number = comma.then(|| dialect::with_point(cell.trim()).or_else(|| dialect::ungrouped(cell.trim())));
            self.text.push_str(number.flatten().as_deref().unwrap_or(cell));
            self.cuts.push(self.text.len());
        }
        Ok(Next::Row)
    }

    /// Returns the line of the row that was read last.
    pub(super) fn line(&self) -> u64 {
        let lines = self.raw.split_inclusive(|byte| *byte == self.dialect.terminator).count() as u64;
        (self.lines.number + 1).saturating_sub(lines)
    }

    /// Returns names and cells of the row that was read last.
    pub(super) fn cells(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.columns.iter().filter_map(|column| column.name.as_deref());
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        names.zip(starts.zip(&self.cuts).map(|(start, end)| &self.text[start..*end]))
    }

    /// Keeps the first line of the record, gives the others back to be read anew, and returns their number.
    fn give_back(&mut self) -> usize {
        let terminator = self.dialect.terminator;
        let first = self.raw.iter().position(|byte| *byte == terminator).map_or(self.raw.len(), |at| at + 1);
        let lines = 1 + self.raw[first..].split_inclusive(|byte| *byte == terminator).count();
        self.lines.give_back(&self.raw[first..]);
        self.raw.truncate(first);
        lines
    }

    /// Reads lines until they make a record.
    fn record(&mut self, limit: usize) -> anyhow::Result<Taken> {
        self.reader.reset();
        self.raw.clear();
        self.out.clear();
        self.ends.clear();
        let (mut written, mut ended) = (0, 0);
        loop {
            let start = self.raw.len();
            let room = limit.saturating_sub(start);
            let is_line = self.lines.next(&mut self.raw, room)?;
            if !is_line && start > 0 {
                // There were many lines since a quote: only the first of them is at fault.
                let size = self.raw.len();
                self.lines.number += 1;
                let line = self.line();
                self.give_back();
                return Ok(Taken::TooLong(line, size));
            }
            if !is_line {
                let size = self.raw.len() + self.lines.skip_line()?;
                self.raw.clear();
                return Ok(Taken::TooLong(self.lines.number, size));
            }
            if self.raw.is_empty() {
                return Ok(Taken::End);
            }
            if start == 0 && self.raw.trim_ascii().is_empty() {
                self.raw.clear();
                continue;
            }
            let mut input = &self.raw[start..];
            let at_end = input.is_empty();
            self.out.resize(self.raw.len() + 1, 0);
            self.ends.resize(self.raw.len() + 2, 0);
            loop {
                let (result, read, wrote, closed) =
                    self.reader.read_record(input, &mut self.out[written..], &mut self.ends[ended..]);
                input = &input[read..];
                written += wrote;
                ended += closed;
                match result {
                    ReadRecordResult::Record => {
                        self.out.truncate(written);
                        self.ends.truncate(ended);
                        // A sound record has an even number of quotes, escaped ones included. In a single line an open
                        // one does no harm.
                        let lines = self.raw.split_inclusive(|byte| *byte == self.dialect.terminator).count();
                        let quotes = || self.raw.iter().filter(|byte| **byte == b'"').count();
                        self.open = at_end && lines > 1 && quotes() % 2 == 1;
                        // A carriage return inside a line ends a row, too; the rest is the next one.
                        if !input.is_empty() && input != b"\n" {
                            let used = self.raw.len() - input.len();
                            self.lines.give_back_part(&self.raw[used..]);
                            self.raw.truncate(used);
                        }
                        return Ok(Taken::Record);
                    }
                    ReadRecordResult::End => return Ok(Taken::End),
                    ReadRecordResult::InputEmpty if at_end => {}
                    ReadRecordResult::InputEmpty => break,
                    // The buffers have room for every byte, and for one end more than there are bytes.
                    ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                        bail!("line {}: the row cannot be taken apart", self.lines.number)
                    }
                }
            }
        }
    }
}

/// Returns the command that gives a CSV of so many columns its names.
pub(in crate::cli) fn put_in_front(columns: usize) -> String {
    let names: Vec<String> = (0..columns.saturating_sub(1)).map(|i| format!("x{i}")).chain(["y".to_owned()]).collect();
    match columns {
        ..=30 => format!("(echo {}; cat FILE) > named.csv", names.join(",")),
        _ => "(echo NAME,NAME,…; cat FILE) > named.csv".to_owned(),
    }
}

/// Outcome of [`Table::record`].
enum Taken {
    Record,
    /// Its line, and its number of bytes.
    TooLong(u64, usize),
    End,
}

/// Lines that can be given back.
struct Lines {
    read: Box<dyn BufRead>,
    terminator: u8,
    /// Bytes to be read again before anything else, from `taken` on.
    back: Vec<u8>,
    taken: usize,
    /// Number of the line that was read last, from 1.
    number: u64,
}

impl Lines {
    /// Appends a line to `line`, or its beginning where it has over `limit` bytes and its end. Returns `true` where the
    /// line has ended.
    fn next(&mut self, line: &mut Vec<u8>, limit: usize) -> io::Result<bool> {
        let before = line.len();
        let most = limit as u64 + 2;
        let back = &self.back[self.taken..];
        let end = back.iter().position(|byte| *byte == self.terminator).map_or(back.len(), |at| at + 1);
        let end = end.min(most as usize);
        line.extend_from_slice(&back[..end]);
        self.taken += end;
        if line[before..].last() != Some(&self.terminator) && (end as u64) < most {
            self.read.as_mut().take(most - end as u64).read_until(self.terminator, line)?;
        }
        let ended = line[before..].last() == Some(&self.terminator);
        // The last line of a file may have no end.
        let whole = ended || ((line.len() - before) as u64) < most;
        self.number += u64::from(whole && line.len() > before);
        Ok(whole)
    }

    fn give_back(&mut self, lines: &[u8]) {
        self.number -= lines.split_inclusive(|byte| *byte == self.terminator).count() as u64;
        self.give_back_part(lines);
    }

    /// Gives back the rest of a line that has been counted.
    fn give_back_part(&mut self, rest: &[u8]) {
        self.back.splice(..self.taken, rest.iter().copied());
        self.taken = 0;
    }

    /// Skips the rest of a line, and returns its length.
    fn skip_line(&mut self) -> io::Result<usize> {
        let mut skipped = 0;
        self.number += 1;
        let back = &self.back[self.taken..];
        let end = back.iter().position(|byte| *byte == self.terminator);
        skipped += end.map_or(back.len(), |at| at + 1);
        self.taken += skipped;
        if end.is_some() {
            return Ok(skipped);
        }
        loop {
            let buffer = self.read.fill_buf()?;
            if buffer.is_empty() {
                return Ok(skipped);
            }
            let end = buffer.iter().position(|&byte| byte == self.terminator);
            let used = end.map_or(buffer.len(), |at| at + 1);
            self.read.consume(used);
            skipped += used;
            if end.is_some() {
                return Ok(skipped);
            }
        }
    }
}
