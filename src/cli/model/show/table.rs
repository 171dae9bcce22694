//! Columns under each other, and numbers that a person can read.

use std::io::{self, Write};

use crate::logging::figures::finite;

/// A table whose first column is text and all others numbers.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(ToString::to_string).collect()] }
    }

    pub(super) fn row(&mut self, name: &str, numbers: impl IntoIterator<Item = f64>) {
        self.known(name, numbers.into_iter().map(Some));
    }

    /// Adds a row whose numbers may be missing.
    pub(super) fn known(&mut self, name: &str, numbers: impl IntoIterator<Item = Option<f64>>) {
        let cells = numbers.into_iter().map(|it| finite(it, number));
        self.rows.push([name.to_owned()].into_iter().chain(cells).collect());
    }

    /// Prints it, `indent` characters from the left and the rows below the header two more.
    pub(super) fn print(&self, out: &mut impl Write, indent: usize) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |i: usize| self.rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|i| width(i).unwrap_or(0)).collect();
        for (at, row) in self.rows.iter().enumerate() {
            let inset = if at == 0 { indent } else { indent + 2 };
            let first = widths.first().copied().unwrap_or(0) + indent + 2 - inset;
            write!(out, "{:inset$}{:first$}", "", row.first().map_or("", String::as_str))?;
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                write!(out, "  {cell:>width$}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

/// Formats a number with four significant digits, and with powers of ten only where it would be long.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-4..1e9).contains(&size) {
        return format!("{value:.3e}");
    }
    // Whole numbers, such as counts, are printed in full.
    if value.fract() == 0.0 {
        return format!("{value}");
    }
    let decimals = 3 - size.log10().floor() as i32;
    let decimals = usize::try_from(decimals).unwrap_or(0);
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_significant_digits() {
        let cases = [
            (0.0, "0"),
            (14.2, "14.20"),
            (-0.012_345_6, "-0.01235"),
            (123_456.7, "123457"),
            (12345.0, "12345"),
            (1e-7, "1.000e-7"),
            (-2.5e12, "-2.500e12"),
            (0.5, "0.5000"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
