//! Several files as one stream: joined in the order of their rows' times where the schema names a field with the time, else one
//! behind the other.
//!
//! Invariant: no more than a row of each file is held. Within a file the order stays as it is: a row whose time is unknown, or
//! before that of the row in front of it, comes right behind that one. Of rows with the same time those of the file that was named
//! first come first.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::bail;

use super::{
    Position, Reading, Unusable,
    input::{Input, Row},
};
use crate::pipeline::decode::{Leaf, Leaves, Schema, Times};

/// Files that are read at once, at most: each takes a descriptor and some hundred kilobytes.
const MAX_AT_ONCE: usize = 500;

/// The files of one stream.
pub(super) struct Joined {
    files: Vec<Part>,
    /// The field with the time, and what reads it; `None` where one file comes behind the other.
    times: Option<(String, Times, Leaves)>,
    /// The times of the rows that come next, and their files.
    next: BinaryHeap<Reverse<(i64, usize)>>,
    /// The file of the row that was returned last.
    current: Option<usize>,
    /// Files that are not begun yet.
    waiting: VecDeque<usize>,
    opening: Opening,
    notes: BTreeMap<String, Vec<usize>>,
    size: Option<u64>,
    /// Bytes of the files that have been read to their end.
    done: u64,
}

struct Part {
    path: PathBuf,
    name: Arc<str>,
    /// Open while it is read.
    input: Option<Input>,
    /// The place of its next row, and its problem.
    position: Position,
    problem: Option<Unusable>,
    time: i64,
}

struct Opening {
    reading: Reading,
    schema: Schema,
}

/// A row, with the name of its file and its place there.
pub(super) struct Found<'a> {
    pub(super) file: &'a Arc<str>,
    pub(super) position: Position,
    pub(super) row: Row<'a>,
}

impl Joined {
    /// Opens all of them, so that what cannot be read is told before anything is.
    pub(super) fn open(paths: &[PathBuf], reading: Reading, schema: &Schema) -> anyhow::Result<Self> {
        if paths.iter().any(|path| path.as_os_str() == "-") {
            bail!("standard input (-) cannot be joined with files; write it to a file first");
        }
        let times = schema.timestamp.clone().map(|field| (field, Times::new(schema), Leaves::new(schema)));
        if times.is_some() && paths.len() > MAX_AT_ONCE {
            bail!(
                "{} files cannot be joined in order of time, but {MAX_AT_ONCE} at once: join some first, or leave schema.timestamp out, so that \
                 they are read in the order given",
                paths.len()
            );
        }
        let mut joined = Self {
            files: Vec::new(),
            times,
            next: BinaryHeap::new(),
            current: None,
            waiting: VecDeque::new(),
            opening: Opening { reading, schema: schema.clone() },
            notes: BTreeMap::new(),
            size: Some(0),
            done: 0,
        };
        for (i, path) in paths.iter().enumerate() {
            let input = joined.opening.open(path)?;
            input.notes().into_iter().for_each(|note| joined.notes.entry(note).or_default().push(i));
            joined.size = joined.size.zip(input.size()).map(|(sum, size)| sum + size);
            // What is no file can be opened only once.
            let stays = joined.times.is_some() || input.size().is_none();
            joined.files.push(Part {
                path: path.clone(),
                name: path.display().to_string().into(),
                input: stays.then_some(input),
                position: Position::Row(0),
                problem: None,
                time: i64::MIN,
            });
            joined.waiting.push_back(i);
        }
        Ok(joined)
    }

    /// Returns the bytes of all files, where they are known.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns the number of bytes read.
    pub(super) fn position(&self) -> u64 {
        let open = self.files.iter().filter_map(|file| file.input.as_ref());
        self.done + open.map(Input::position).sum::<u64>()
    }

    /// Returns in which order they are read, and what is unusual about them, in sentences.
    pub(super) fn notes(&self) -> Vec<String> {
        let count = self.files.len();
        let order = match &self.times {
            Some((field, ..)) => format!("{count} files are joined in the order of `{field}`"),
            None => format!("{count} files are read one behind the other; with schema.timestamp set, in order of time"),
        };
        let told = self.notes.iter().map(|(note, of)| {
            let first = &self.files[of[0]].name;
            match of.len() {
                1 => format!("{first}: {note}"),
                2 => format!("{first} and another: {note}"),
                all => format!("{first} and {} others: {note}", all - 1),
            }
        });
        std::iter::once(order).chain(told).collect()
    }

    /// Returns the next row; `None` at the end of all.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn next_row(&mut self, limit: usize) -> anyhow::Result<Option<Found<'_>>> {
        if let Some(last) = self.current.take() {
            self.advance(last, limit)?;
        }
        while !self.waiting.is_empty() && (self.times.is_some() || self.next.is_empty()) {
            let Some(file) = self.waiting.pop_front() else { break };
            if self.files[file].input.is_none() {
                self.files[file].input = Some(self.opening.open(&self.files[file].path)?);
            }
            self.advance(file, limit)?;
        }
        let Some(Reverse((_, file))) = self.next.pop() else { return Ok(None) };
        self.current = Some(file);
        let part = &mut self.files[file];
        let row = match (part.problem.take(), &part.input) {
            (Some(problem), _) => Row::Unusable(problem),
            (None, Some(input)) => input.row(),
            (None, None) => return Ok(None),
        };
        Ok(Some(Found { file: &part.name, position: part.position, row }))
    }

    /// Reads the next row of a file.
    fn advance(&mut self, file: usize, limit: usize) -> anyhow::Result<()> {
        let Part { input, position, problem, time, .. } = &mut self.files[file];
        let Some(open) = input else { return Ok(()) };
        match open.next_row(limit)? {
            None => {
                self.done += open.position();
                *input = None;
                return Ok(());
            }
            Some((at, Row::Unusable(found))) => (*position, *problem) = (at, Some(found)),
            Some((at, row)) => {
                *position = at;
                if let Some((field, times, leaves)) = &mut self.times {
                    *time = time_of(&row, field, times, leaves).map_or(*time, |found| found.max(*time));
                }
            }
        }
        self.next.push(Reverse((*time, file)));
        Ok(())
    }
}

impl Opening {
    fn open(&self, path: &Path) -> anyhow::Result<Input> {
        Input::open(path, self.reading, &self.schema)
    }
}

/// Returns the time that a row names in `field`, in microseconds since 1970.
fn time_of(row: &Row<'_>, field: &str, times: &mut Times, leaves: &mut Leaves) -> Option<i64> {
    let mut found = None;
    match row {
        Row::Cells(table) => {
            found = table.cells().find(|(name, _)| *name == field).and_then(|(_, cell)| times.text(cell));
        }
        Row::Json(value) => {
            // What is no JSON has no time, and is refused when it is decoded.
            let _ = leaves.read(value, |name, leaf| match leaf {
                Leaf::Number(number) if name == field => found = times.number(number),
                Leaf::Text(text) if name == field => found = times.text(text),
                _ => {}
            });
        }
        Row::Typed(row) => {
            let _ = leaves.read_typed(*row, |name, leaf| match leaf {
                Leaf::Time(milliseconds) if name == field => found = times.milliseconds(milliseconds),
                Leaf::Number(number) if name == field => found = times.number(number),
                Leaf::Text(text) if name == field => found = times.text(text),
                _ => {}
            });
        }
        Row::Unusable(_) => {}
    }
    found
}
