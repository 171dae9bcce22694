//! Dialect of a CSV: the separator of its cells, its decimal mark, the place of its names.
//!
//! Invariant: the user's options hold. The rest is found in the first rows, and reported where it is unusual.
//! What this does not do: guess types; a cell is text until the decoder reads it.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// Most rows that are looked at.
const MAX_SNIFFED_ROWS: usize = 200;

/// Candidates for the separator where the user names none; earlier ones win.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Options that the user gives.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) delimiter: Option<u8>,
    pub(super) decimal: Option<u8>,
}

/// Dialect of a CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    /// True where `1,5` is one and a half.
    pub(super) decimal_comma: bool,
    /// Byte that ends a line.
    pub(super) terminator: u8,
    /// Lines in front of the names.
    pub(super) preamble: usize,
    /// True where the line of the names begins with a comment mark, as NumPy writes it.
    pub(super) marked: bool,
    /// True where rows begin with a cell without a name, as R writes it.
    pub(super) unnamed_first: bool,
}

/// Finds the dialect from the beginning of a file; `whole` is true where that is all of it.
pub(super) fn found(head: &[u8], whole: bool, asked: Asked) -> Dialect {
    // An old file may have only carriage returns.
    let terminator = if !head.contains(&b'\n') && head.contains(&b'\r') { b'\r' } else { b'\n' };
    // A row that is cut off must not count.
    let end = if whole {
        head.len()
    } else {
        head.iter().rposition(|byte| *byte == terminator).map_or(head.len(), |at| at + 1)
    };
    let mut rest = &head[..end];
    let (mut preamble, mut said) = (0, None);
    let mut marked = None;
    while let Some(line) = first_line(rest, terminator) {
        let text = line.trim_ascii();
        let next = &rest[line.len()..];
        match text {
            b"" => {}
            // `sep=` is Excel's own line.
            [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator] if preamble == 0 => said = Some(*separator),
            [b'#', ..] => marked = Some((preamble, text)),
            _ => break,
        }
        preamble += 1;
        rest = next;
    }
    let delimiter = asked.delimiter.or(said).unwrap_or_else(|| separator(rest));
    let (rows, widths) = rows(rest, delimiter);
    // The last comment holds the names where it has as many words as the numbers in the row below.
    let names = marked.filter(|(at, line)| {
        let own = cells(&line[1..], delimiter).len();
        let numbers = rows.first().is_some_and(|row| row.iter().all(|cell| is_number(cell)));
        *at + 1 == preamble && own > 1 && Some(&own) == widths.first() && numbers
    });
    let decimal_comma =
        asked.decimal.map_or_else(|| delimiter != b',' && commas_are_points(&rows), |byte| byte == b',');
    let wider = |width: &usize| Some(*width) == widths.first().map(|header| header + 1);
    // A separator behind the last cell of each row is another case, and does no harm.
    let filled = rows.iter().skip(1).any(|row| row.last().is_some_and(|cell| !cell.trim().is_empty()));
    let unnamed_first = names.is_none() && widths.len() > 1 && widths[1..].iter().all(wider) && filled;
    match names {
        Some((at, _)) => Dialect { delimiter, decimal_comma, terminator, preamble: at, marked: true, unnamed_first },
        None => Dialect { delimiter, decimal_comma, terminator, preamble, marked: false, unnamed_first },
    }
}

/// Returns the first line with its end.
fn first_line(bytes: &[u8], terminator: u8) -> Option<&[u8]> {
    let end = bytes.iter().position(|byte| *byte == terminator).map_or(bytes.len(), |at| at + 1);
    (end > 0).then(|| &bytes[..end])
}

/// Finds the separator: the one by which most rows have as many cells as the first, and among equals the one with most
/// cells.
fn separator(text: &[u8]) -> u8 {
    let score = |separator: u8| {
        let (_, widths) = rows(text, separator);
        let header = widths.first().copied().unwrap_or(0);
        if header < 2 {
            return (0, 0);
        }
        let alike = widths.iter().filter(|width| **width == header).count();
        // We compare whole percent, so that a few odd rows do not outweigh the rest.
        (100 * alike / widths.len(), header)
    };
    let best = SEPARATORS.into_iter().rev().max_by_key(|separator| score(*separator));
    best.filter(|best| score(*best).0 > 0).unwrap_or(b',')
}

/// Returns the cells of the first rows, and the number of cells of each.
fn rows(text: &[u8], delimiter: u8) -> (Vec<Vec<String>>, Vec<usize>) {
    let mut rows = Vec::new();
    let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
    let mut rest = text;
    while rows.len() < MAX_SNIFFED_ROWS {
        let Some(cells) = next_row(&mut reader, &mut rest) else { break };
        if cells.len() > 1 || cells.iter().any(|cell| !cell.trim().is_empty()) {
            rows.push(cells);
        }
    }
    let widths = rows.iter().map(Vec::len).collect();
    (rows, widths)
}

fn cells(line: &[u8], delimiter: u8) -> Vec<String> {
    let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
    next_row(&mut reader, &mut &*line).unwrap_or_default()
}

fn next_row(reader: &mut Reader, rest: &mut &[u8]) -> Option<Vec<String>> {
    // Cells are no longer than their source, and there is at most one per byte, and one.
    let mut out = vec![0; rest.len() + 1];
    let mut ends = vec![0; rest.len() + 2];
    let (mut written, mut ended) = (0, 0);
    loop {
        let (result, read, wrote, closed) = reader.read_record(rest, &mut out[written..], &mut ends[ended..]);
        *rest = &rest[read..];
        written += wrote;
        ended += closed;
        match result {
            ReadRecordResult::Record => break,
            ReadRecordResult::End => return None,
            // The empty rest ends the last row.
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => return None,
        }
    }
    let starts = std::iter::once(0).chain(ends[..ended].iter().copied());
    Some(
        starts
            .zip(&ends[..ended])
            .map(|(start, end)| String::from_utf8_lossy(&out[start..*end]).into_owned())
            .collect(),
    )
}

/// Returns `true` where cells with a fraction have a decimal comma.
fn commas_are_points(rows: &[Vec<String>]) -> bool {
    let (mut commas, mut points) = (0, 0);
    for cell in rows.iter().skip(1).flatten() {
        let cell = cell.trim();
        commas += usize::from(with_point(cell).is_some());
        points += usize::from(cell.contains('.') && !cell.contains(',') && cell.parse::<f64>().is_ok());
    }
    // Points may group thousands, but then fractions have a comma.
    commas > 0 && (points == 0 || commas > 10 * points)
}

fn is_number(cell: &str) -> bool {
    let cell = cell.trim();
    cell.parse::<f64>().is_ok() || with_point(cell).is_some()
}

/// Returns `true` for a first row of only numbers, which holds no names.
pub(super) fn is_all_numbers(cells: &[String]) -> bool {
    cells.iter().any(|cell| !cell.trim().is_empty())
        && cells.iter().all(|cell| cell.trim().is_empty() || is_number(cell))
}

/// Replaces the decimal comma of a number by a point: `-1.234,5e3` becomes `-1234.5e3`. Returns `None` for anything
/// else.
pub(super) fn with_point(cell: &str) -> Option<String> {
    let (whole, fraction) = cell.split_once(',')?;
    let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    let end = fraction.find(['e', 'E']).unwrap_or(fraction.len());
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(&fraction[..end]) {
        return None;
    }
    if !digits.is_empty() && !is_digits(digits) && !is_grouped(digits) {
        return None;
    }
    let text: String = whole
        .chars()
        .filter(|c| c.is_ascii_digit() || "+-".contains(*c))
        .chain(['.'])
        .chain(fraction.chars())
        .collect();
    text.parse::<f64>().is_ok().then_some(text)
}

/// Removes the points, spaces or apostrophes that group the thousands of a whole number.
pub(super) fn ungrouped(cell: &str) -> Option<String> {
    let digits = cell.strip_prefix(['+', '-']).unwrap_or(cell);
    is_grouped(digits).then(|| cell.chars().filter(|c| c.is_ascii_digit() || "+-".contains(*c)).collect())
}

/// Returns `true` for digits in groups of three behind the first, all separated by the same character.
fn is_grouped(digits: &str) -> bool {
    const DIGIT_SEPARATORS: [char; 5] = ['.', ' ', '\'', '\u{a0}', '\u{202f}'];
    let Some(apart) = digits.chars().find(|c| DIGIT_SEPARATORS.contains(c)) else { return false };
    let mut groups = digits.split(apart);
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let first = groups.next().unwrap_or_default();
    (1..=3).contains(&first.len()) && is_digits(first) && groups.all(|group| group.len() == 3 && is_digits(group))
}

/// Returns a separator's name for people.
pub(super) fn named(delimiter: u8) -> String {
    match delimiter {
        b',' => "commas".to_owned(),
        b';' => "semicolons".to_owned(),
        b'\t' => "tabs".to_owned(),
        b'|' => "pipes".to_owned(),
        other => format!("`{}`", other.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(text: &str) -> Dialect {
        found(text.as_bytes(), true, Asked::default())
    }

    #[test]
    fn the_separator_is_what_gives_rows_as_long_as_the_header() {
        for (text, expected) in [
            ("a,b,y\n1,2,3\n", b','),
            ("a;b;y\n1,5;2,5;3,5\n4,5;5,5;6,5\n", b';'),
            ("a\tb\ty\n1,000\t2\t3\n", b'\t'),
            ("a|b|y\n1|2;3|4\n", b'|'),
            ("\"a;b\",\"c;d\"\n\"1;2\",\"3\n;4\"\n", b','),
            ("\"a,b\";\"c,d\";e\n\"x,y\";2;3\n", b';'),
            ("y\n1\n2\n", b','),
            ("", b','),
            ("sep=|\na;b|c;d\n1;2|3;4\n", b'|'),
        ] {
            assert_eq!(dialect(text).delimiter, expected, "{text}");
        }
    }

    #[test]
    fn a_decimal_comma_is_found_where_all_fractions_have_one() {
        assert!(dialect("a;b;y\n1,5;2;3\n2,5;3;4\n").decimal_comma);
        assert!(dialect("a;b;y\n1.234,5;2;3\n").decimal_comma);
        assert!(!dialect("a;b;y\n1.5;2,5;3.5\n").decimal_comma);
        assert!(!dialect("a;b;y\n1;2;3\n").decimal_comma);
        assert!(!dialect("a;b;y\nx,y;2;3\n").decimal_comma);
        assert!(found(b"a;y\n1;2\n", true, Asked { decimal: Some(b','), ..Asked::default() }).decimal_comma);
        assert!(!found(b"a;y\n1,5;2\n", true, Asked { decimal: Some(b'.'), ..Asked::default() }).decimal_comma);
    }

    #[test]
    fn numbers_with_a_comma_are_read_as_they_are_meant_and_nothing_else_is() {
        let numbers = [
            ("1,5", "1.5"),
            ("-0,25", "-0.25"),
            (",5", ".5"),
            ("1.234.567,8", "1234567.8"),
            ("1 234,5", "1234.5"),
            ("2,5e-3", "2.5e-3"),
        ];
        for (cell, expected) in numbers {
            assert_eq!(with_point(cell).as_deref(), Some(expected), "{cell}");
        }
        for cell in ["1.5", "1,2,3", "a,b", "1,", "12.34,5", "1,5 kg", "1.2345,6", ""] {
            assert_eq!(with_point(cell), None, "{cell}");
        }
        assert_eq!(ungrouped("-1.234"), Some("-1234".to_owned()));
        for cell in ["1.5", "1234", "0.12", "1.2345", "2013.01.01"] {
            assert_eq!(ungrouped(cell), None, "{cell}");
        }
    }

    #[test]
    fn lines_before_the_names_are_passed_over_but_for_numpys() {
        let noted = dialect("# from the station\n#\n\na,b\n1,2\n");
        assert_eq!((noted.preamble, noted.marked), (3, false));
        let numpy = dialect("# run 7\n# x0,y\n1.0,2.0\n3.0,4.0\n");
        assert_eq!((numpy.preamble, numpy.marked), (1, true));
    }

    #[test]
    fn row_names_without_a_name_are_told_from_a_separator_at_the_end() {
        assert!(dialect("a,y\nr1,1,2\nr2,3,4\n").unnamed_first);
        assert!(!dialect("a,y\n1,2,\n3,4,\n").unnamed_first);
        assert!(!dialect("a,y\n1,2\n3,4\n").unnamed_first);
    }
}
