//! Escapes in the texts of JSON.
//!
//! Invariant: what is taken here, every reader of JSON takes as the same characters. Halves of a surrogate pair are left to the full
//! decoder, which says what is wrong with them.

/// Returns the character of the escape that `text` begins with, and the escape's length; `None` where it is none.
pub(super) fn escape(text: &[u8]) -> Option<(char, usize)> {
    let [b'\\', letter, rest @ ..] = text else { return None };
    let character = match letter {
        b'"' | b'\\' | b'/' => char::from(*letter),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return of_units(rest),
        _ => return None,
    };
    Some((character, 2))
}

/// Returns the character of one or two units of UTF-16, the first of which is `rest`'s beginning.
fn of_units(rest: &[u8]) -> Option<(char, usize)> {
    let first = unit(rest)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((character, 6));
    }
    let [b'\\', b'u', low @ ..] = rest.get(4..)? else { return None };
    let character = char::decode_utf16([first, unit(low)?]).next()?.ok()?;
    Some((character, 12))
}

/// Returns the number of four hexadecimal digits.
fn unit(digits: &[u8]) -> Option<u16> {
    digits.get(..4)?.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | digit as u16)
    })
}

/// Appends a text to `out`, each escape as its character; `None` where one is none.
pub(super) fn unescape(mut text: &str, out: &mut String) -> Option<()> {
    while let Some(at) = text.find('\\') {
        out.push_str(&text[..at]);
        let (character, length) = escape(&text.as_bytes()[at..])?;
        out.push(character);
        text = &text[at + length..];
    }
    out.push_str(text);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_what_the_parser_of_the_full_decoder_takes_them_for() {
        let texts = [
            r"plain",
            r#"[\"24023119\",\"24023128\"]"#,
            r"\\\/\b\f\n\r\t",
            r"caf\u00e9 \u00DF \u0000",
            r"\ud83d\ude00 and \uD83D\uDE00",
            r"é\\",
        ];
        for text in texts {
            let mut found = String::new();
            let parsed: String = serde_json::from_str(&format!("\"{text}\"")).expect("JSON");
            assert_eq!((unescape(text, &mut found), found), (Some(()), parsed), "{text}");
        }
        for text in [
            r"\",
            r"\x",
            r"\u",
            r"\u12",
            r"\u+123",
            r"\ud83d",
            r"\ude00",
            r"\ud83d\u0041",
            r"\ud83dab\ude00",
            r"\u12g4",
        ] {
            assert_eq!(unescape(text, &mut String::new()), None, "{text}");
            assert!(serde_json::from_str::<String>(&format!("\"{text}\"")).is_err(), "{text}");
        }
    }
}
