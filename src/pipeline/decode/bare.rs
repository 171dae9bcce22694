//! Numbers that JSON has no word for, as many writers spell them without quotes: NaN, Infinity, and what is beyond f64.
//!
//! They count only as values, at any depth. We put them in quotes, so that the parser goes on and judges all the rest; by
//! their places we tell them from texts that look the same.

use std::ops::Range;

/// A record in which they are quoted; empty while none is.
#[derive(Debug, Default)]
pub(super) struct Quoted {
    bytes: Vec<u8>,
    /// Offset in `bytes` of each quoted word, in order.
    starts: Vec<usize>,
}

impl Quoted {
    /// Reads a new record and returns `true` where it has any such word.
    pub(super) fn read(&mut self, bytes: &[u8]) -> bool {
        self.bytes.clear();
        self.starts.clear();
        let (mut at, mut copied) = (0, 0);
        let mut before = b' ';
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'"' => at = end_of_text(bytes, at),
                b' ' | b'\n' | b'\r' | b'\t' => {
                    at += 1;
                    continue;
                }
                b'+' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                    let word = at..end_of_word(bytes, at);
                    if is_value(before, bytes, &word) && is_no_json(&bytes[word.clone()]) {
                        self.bytes.extend_from_slice(&bytes[copied..word.start]);
                        self.bytes.push(b'"');
                        self.starts.push(self.bytes.len());
                        self.bytes.extend_from_slice(&bytes[word.clone()]);
                        self.bytes.push(b'"');
                        copied = word.end;
                    }
                    at = word.end;
                }
                _ => at += 1,
            }
            before = byte;
        }
        if self.starts.is_empty() {
            return false;
        }
        self.bytes.extend_from_slice(&bytes[copied..]);
        true
    }

    /// The record with quotes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the offsets at which the quoted words begin in it.
    pub(super) fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Converts a place in the record with quotes to the place in the record as it was.
    pub(super) fn original(&self, place: usize) -> usize {
        // Each has a quote before and one behind.
        let begun = self.starts.partition_point(|start| *start <= place);
        let end = begun.checked_sub(1).map_or(0, |last| end_of_word(&self.bytes, self.starts[last]));
        place - 2 * begun + usize::from(begun > 0 && place <= end)
    }
}

fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_word(bytes: &[u8], start: usize) -> usize {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    bytes[start..].iter().position(|byte| !is_word(byte)).map_or(bytes.len(), |length| start + length)
}

/// Returns `true` where the word stands in the place of a value, and nowhere else.
fn is_value(before: u8, bytes: &[u8], word: &Range<usize>) -> bool {
    let behind = bytes[word.end..].iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(before, b':' | b'[' | b',') && matches!(behind, Some(b',' | b'}' | b']'))
}

/// Returns `true` for a word such as `NaN`, and for a number by JSON's grammar that f64 cannot hold.
fn is_no_json(word: &[u8]) -> bool {
    let name = word.strip_prefix(b"-").or_else(|| word.strip_prefix(b"+")).unwrap_or(word);
    [&b"nan"[..], b"inf", b"infinity"].iter().any(|known| name.eq_ignore_ascii_case(known)) || is_beyond_f64(word)
}

fn is_beyond_f64(word: &[u8]) -> bool {
    // Nearly every number is shorter than any of them.
    let may_be = word.len() > 308 || word.iter().any(|byte| matches!(byte, b'e' | b'E'));
    may_be
        && super::numeric_text::is_json(word)
        && std::str::from_utf8(word).is_ok_and(|text| text.parse::<f64>().is_ok_and(f64::is_infinite))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(json: &str) -> Option<String> {
        let mut quoted = Quoted::default();
        quoted.read(json.as_bytes()).then(|| String::from_utf8(quoted.bytes().to_vec()).expect("UTF-8"))
    }

    #[test]
    fn words_for_no_number_are_quoted_where_values_stand() {
        let json = r#"{"NaN":NaN , "a":[-Infinity,{"b":1e400},+inf], "c":"NaN,", "d":nan}"#;
        let expected = r#"{"NaN":"NaN" , "a":["-Infinity",{"b":"1e400"},"+inf"], "c":"NaN,", "d":"nan"}"#;
        assert_eq!(quoted(json).as_deref(), Some(expected));
    }

    #[test]
    fn names_garbage_and_what_json_knows_stay_as_they_are() {
        for json in [
            r#"{"a":1,NaN:2}"#,
            r#"{NaN:2}"#,
            r#"{"a":NaN"b":1}"#,
            r#"{"a":NaN 1}"#,
            r#"{"a":NaNs}"#,
            r#"{"a":+1e400}"#,
            r#"{"a":01e400}"#,
            r#"{"a":1e308,"b":1e-400,"c":true,"d":null}"#,
            r#"{"a":"\",NaN,"}"#,
            r#"{"a":undefined,"b":None}"#,
            r#"{"a":"x"#,
            "\"\\",
        ] {
            assert_eq!(quoted(json), None, "{json}");
        }
    }

    #[test]
    fn places_lead_back_to_the_record_as_it_was() {
        let json = r#"{"a":NaN,"b":[-inf,1],x}"#;
        let mut quoted = Quoted::default();
        assert!(quoted.read(json.as_bytes()));
        let place = |bytes: &[u8], needle: u8| bytes.iter().rposition(|byte| *byte == needle).expect("there");
        for needle in [b'b', b'1', b'x'] {
            assert_eq!(quoted.original(place(quoted.bytes(), needle)), place(json.as_bytes(), needle));
        }
        assert_eq!(quoted.original(0), 0);
    }
}
