//! A few rows that stay in place at the bottom of a terminal, while log lines run above them.
//!
//! Invariant: what is above the rows is never touched, but where a terminal that does not wrap lines anew becomes narrower
//! than the rows; rows are as wide and as many as fit, so that the terminal neither wraps nor scrolls them. The cursor stays
//! below them and is never hidden, so that however the process ends, nothing has to be put right.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use console::{Style, Term};

/// The style of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// Normal text.
    #[default]
    Plain,
    /// Emphasised.
    Strong,
    /// Dimmed.
    Faint,
}

/// A row of text without any control character.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Text, cut at the edge of the terminal.
    pub text: String,
    /// Style, if colours are wanted.
    pub look: Look,
}

/// The rows at the bottom of standard error.
#[derive(Debug)]
pub struct Screen {
    term: Term,
    colours: bool,
    drawn: Mutex<Drawn>,
}

#[derive(Debug, Default)]
struct Drawn {
    rows: Vec<Row>,
    /// Number of characters of each row as drawn.
    widths: Vec<usize>,
}

impl Screen {
    /// Makes the screen of this process's standard error, if that is a terminal.
    pub(super) fn of_stderr() -> Option<Self> {
        let term = Term::stderr();
        let there = term.features().is_attended() && term.size_checked().is_some();
        there.then(|| Self { term, colours: console::colors_enabled_stderr(), drawn: Mutex::default() })
    }

    /// Returns true if colours are wanted.
    pub(super) fn colours(&self) -> bool {
        self.colours
    }

    /// Returns the maximum number of columns of a row.
    pub fn columns(&self) -> usize {
        // A row that reaches the edge makes some terminals wrap.
        usize::from(self.term.size().1).saturating_sub(1).max(1)
    }

    /// Replaces the rows.
    pub fn show(&self, rows: Vec<Row>) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = self.erase(&drawn);
        drawn.rows = rows;
        self.draw(&mut drawn, &mut out);
        self.write(&out);
    }

    /// Leaves the rows where they are for good.
    pub fn leave(&self) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        *drawn = Drawn::default();
    }

    /// Writes lines above the rows.
    pub(super) fn above(&self, lines: &[u8]) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = self.erase(&drawn);
        out.extend_from_slice(lines);
        self.draw(&mut drawn, &mut out);
        self.write(&out);
    }

    /// Returns the control sequence that removes the rows: up to the first of them, and clear to the end.
    fn erase(&self, drawn: &Drawn) -> Vec<u8> {
        // Terminals break rows anew when they become narrower.
        let columns = usize::from(self.term.size().1).max(1);
        let lines: usize = drawn.widths.iter().map(|width| width.div_ceil(columns).max(1)).sum();
        match lines {
            0 => Vec::new(),
            lines => format!("\x1b[{lines}A\r\x1b[J").into_bytes(),
        }
    }

    fn draw(&self, drawn: &mut Drawn, out: &mut Vec<u8>) {
        let (height, columns) = (usize::from(self.term.size().0), self.columns());
        drawn.widths.clear();
        // The cursor needs a line of its own.
        for row in drawn.rows.iter().take(height.saturating_sub(1)) {
            let text: String = row.text.chars().filter(|c| !c.is_control()).take(columns).collect();
            drawn.widths.push(text.chars().count());
            let style = Style::new().for_stderr().force_styling(self.colours);
            let style = match row.look {
                Look::Plain => style,
                Look::Strong => style.bold().green(),
                Look::Faint => style.dim(),
            };
            out.extend_from_slice(style.apply_to(text).to_string().as_bytes());
            out.push(b'\n');
        }
    }

    fn write(&self, out: &[u8]) {
        // Written in one piece so that it does not flicker. A terminal that is gone takes nothing, which is no reason
        // to stop.
        let _ = io::stderr().lock().write_all(out);
    }
}

/// Writes log lines above the rows of a screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct AboveRows(pub(super) &'static Screen);

impl Write for AboveRows {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.above(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
