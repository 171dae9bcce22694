//! The corpus of hostile records, with what must become of each under the default schema after [`GOOD`].

/// A record that is as it should be.
pub const GOOD: &[u8] = br#"{"x":1.5,"y":2}"#;

/// A record made to do harm.
pub struct Case {
    pub name: &'static str,
    pub value: Option<Vec<u8>>,
    /// "prediction", or the reason of the dead letter.
    pub expected: &'static str,
}

fn case(name: &'static str, value: impl Into<Vec<u8>>, expected: &'static str) -> Case {
    Case { name, value: Some(value.into()), expected }
}

/// All of them.
pub fn cases() -> Vec<Case> {
    [not_text(), numbers(), shapes(), sizes(), names()].into_iter().flatten().collect()
}

/// Bytes that are no UTF-8, or should not be JSON.
fn not_text() -> Vec<Case> {
    let in_text = |bytes: &[u8]| [br#"{"x":1,"y":2,"s":""#, bytes, br#""}"#].concat();
    let in_name = |bytes: &[u8]| [br#"{"x":1,"y":2,""#, bytes, br#"":3}"#].concat();
    vec![
        case("a lone continuation byte", in_text(b"\x80"), "not_json"),
        case("a cut sequence of two", in_text(b"\xc3"), "not_json"),
        case("a cut sequence of four", in_text(b"\xf0\x9f\x92"), "not_json"),
        case("an overlong slash", in_text(b"\xc0\xaf"), "not_json"),
        case("an encoded surrogate", in_text(b"\xed\xa0\x80"), "not_json"),
        case("beyond Unicode", in_text(b"\xf4\x90\x80\x80"), "not_json"),
        case("a byte that is never there", in_text(b"\xff"), "not_json"),
        case("no UTF-8 in a name", in_name(b"\xfe"), "not_json"),
        case("UTF-16", b"\xff\xfe{\x00}\x00".to_vec(), "not_json"),
        case("a byte order mark", [b"\xef\xbb\xbf", GOOD].concat(), "not_json"),
        case("zeros", vec![0; 64], "not_json"),
        case("a lone high surrogate", r#"{"x":1,"y":2,"s":"\ud800"}"#, "not_json"),
        case("a lone low surrogate", r#"{"x":1,"y":2,"s":"\udc00"}"#, "not_json"),
        case("a lone surrogate in a name", r#"{"x":1,"y":2,"\ud83d":3}"#, "not_json"),
        case("a pair of surrogates", r#"{"x":1,"y":2,"s":"\ud83d\ude00"}"#, "prediction"),
        case("a control character in text", "{\"x\":1,\"y\":2,\"s\":\"\u{1}\"}", "not_json"),
        case("a newline in a name", "{\"x\":1,\"y\":2,\"a\nb\":3}", "not_json"),
        case("an unknown escape", r#"{"x":1,"y":2,"s":"\x41"}"#, "not_json"),
    ]
}

fn numbers() -> Vec<Case> {
    let x = |spelled: &str| format!(r#"{{"x":{spelled},"z":1,"y":2}}"#);
    let y = |spelled: &str| format!(r#"{{"x":1,"y":{spelled}}}"#);
    vec![
        case("NaN", x("NaN"), "prediction"),
        case("nan", x("nan"), "prediction"),
        case("-NaN", x("-NaN"), "prediction"),
        case("NAN", y("NAN"), "prediction"),
        case("NaN in an array", r#"{"x":1,"a":[1, NaN],"y":2}"#, "prediction"),
        case("NaN as text", x("\"NaN\""), "prediction"),
        case("Infinity", x("Infinity"), "prediction"),
        case("-Infinity", y("-Infinity"), "not_finite"),
        case("+inf", x("+inf"), "prediction"),
        case("1e400", x("1e400"), "prediction"),
        case("-1e400 as the target", y("-1e400"), "not_finite"),
        case("an exponent without end", x(&format!("1e{}", "9".repeat(400))), "prediction"),
        case("a small exponent without end", x(&format!("1e-{}", "9".repeat(400))), "prediction"),
        case("the largest number", x("1.7976931348623157e308"), "prediction"),
        case("just beyond the range", x("1.0000000000000002e150"), "prediction"),
        case("at the end of the range", x("1e150"), "prediction"),
        case("a target beyond the range", y("1.0000000000000002e150"), "out_of_range"),
        case("-0.0", x("-0.0"), "prediction"),
        case("-0", y("-0"), "prediction"),
        case("the smallest number", x("5e-324"), "prediction"),
        case("beyond u64", x("18446744073709551616"), "prediction"),
        case("an integer of 140 digits", x(&"9".repeat(140)), "prediction"),
        case("an integer of 200 digits", x(&"9".repeat(200)), "prediction"),
        case("an integer of 100,000 digits", x(&"9".repeat(100_000)), "prediction"),
        case("a fraction of 100,000 digits", x(&format!("0.{}", "3".repeat(100_000))), "prediction"),
        case("hexadecimal", x("0x10"), "not_json"),
        case("a leading zero", x("01"), "not_json"),
        case("a leading plus", x("+1"), "not_json"),
        case("a leading dot", x(".5"), "not_json"),
        case("a trailing dot", x("1."), "not_json"),
        case("an exponent without digits", x("1e"), "not_json"),
        case("a lone minus", x("-"), "not_json"),
        case("two minuses", x("--1"), "not_json"),
        case("underscores", x("1_000"), "not_json"),
        case("a number as text", x("\"1.5\""), "prediction"),
        case("the target as text", y("\"2\""), "prediction"),
        case("text as the target", y("\"two\""), "not_a_number"),
        case("an infinity as the target, in text", y("\"-Infinity\""), "not_finite"),
        case("NaN as the target, in text", y("\"NaN\""), "prediction"),
        case("thousands as the target", y("\"1,000.5\""), "not_a_number"),
        case("a bare word that is no number", x("None"), "not_json"),
        case("NaN as a name", r#"{"x":1,NaN:2,"y":2}"#, "not_json"),
        case("NaN and no comma", r#"{"x":NaN "z":1,"y":2}"#, "not_json"),
        case("NaN and no end", r#"{"x":NaN,"z":1"#, "not_json"),
        case("100,000 times NaN", format!(r#"{{"x":1,"y":2,"a":[{}1]}}"#, "NaN,".repeat(100_000)), "prediction"),
        case("the target in an array", y("[2]"), "not_a_number"),
        case("the target in an object", y("{\"value\":2}"), "not_a_number"),
    ]
}

fn shapes() -> Vec<Case> {
    let deep = |open: &str, close: &str, n: usize| {
        format!(r#"{{"x":1,"y":2,"deep{n}":{}1{}}}"#, open.repeat(n), close.repeat(n)).into_bytes()
    };
    vec![
        Case { name: "a tombstone", value: None, expected: "tombstone" },
        case("empty", "", "empty"),
        case("only space", " \n\t ", "not_json"),
        case("text", "hello", "not_json"),
        case("an empty object", "{}", "no_features"),
        case("an empty array", "[]", "not_an_object"),
        case("an array of objects", r#"[{"x":1,"y":2}]"#, "not_an_object"),
        case("a number", "17", "not_an_object"),
        case("a text in quotes", "\"x\"", "not_an_object"),
        case("null", "null", "not_an_object"),
        case("only the target", r#"{"y":2}"#, "prediction"),
        case("only nulls", r#"{"x":null,"y":null}"#, "no_features"),
        case("cut", r#"{"x":1.5,"y":"#, "not_json"),
        case("cut in a text", r#"{"x":1,"s":"ab"#, "not_json"),
        case("single quotes", "{'x':1}", "not_json"),
        case("a name without quotes", "{x:1}", "not_json"),
        case("a trailing comma", r#"{"x":1,"y":2,}"#, "not_json"),
        case("a comment", r#"{"x":1,/* why */"y":2}"#, "not_json"),
        case("trailing garbage", r#"{"x":1,"y":2}garbage"#, "not_json"),
        case("a trailing zero byte", "{\"x\":1,\"y\":2}\0", "not_json"),
        case("two objects", r#"{"x":1,"y":2}{"x":1,"y":2}"#, "not_json"),
        case("two objects on two lines", "{\"x\":1,\"y\":2}\n{\"x\":1,\"y\":2}", "not_json"),
        case("a newline at the end", "{\"x\":1,\"y\":2}\n", "prediction"),
        case("duplicate keys", r#"{"x":1,"x":2,"y":1,"y":3}"#, "prediction"),
        case("duplicate keys of two kinds", r#"{"x":1,"x":"two","y":3}"#, "prediction"),
        case("nested 100", deep("[", "]", 100), "prediction"),
        case("arrays nested 100,000 deep", deep("[", "]", 100_000), "not_json"),
        case("objects nested 100,000 deep", deep("{\"a\":", "}", 100_000), "not_json"),
        case("100,000 brackets", "[".repeat(100_000), "not_an_object"),
        case("100,000 braces", "{\"a\":".repeat(100_000), "not_json"),
    ]
}

fn sizes() -> Vec<Case> {
    let text = "x".repeat(10 << 20);
    let fields = |n: usize, value: &str| {
        let fields: Vec<String> = (0..n).map(|i| format!("\"f{i}\":{value}")).collect();
        format!("{{{},\"x\":1,\"y\":2}}", fields.join(","))
    };
    let long = "n".repeat(400_000);
    vec![
        case("a text of 10 MB", format!(r#"{{"x":1,"y":2,"s":"{text}"}}"#), "too_large"),
        case("10 MB that are no JSON", text.clone(), "too_large"),
        case("a name of 10 MB", format!(r#"{{"{text}":1}}"#), "too_large"),
        case("a text of a megabyte", format!(r#"{{"x":1,"y":2,"s":"{}"}}"#, &text[..1_000_000]), "prediction"),
        case("80,000 features", fields(80_000, "1"), "too_many_features"),
        case("70,000 unknown features", fields(70_000, "null"), "prediction"),
        case("100,000 features in an array", format!(r#"{{"a":[{}1]}}"#, "1,".repeat(100_000)), "too_many_features"),
        case("100,000 times the same name", format!("{{{}\"y\":2}}", "\"x\":1,".repeat(100_000)), "prediction"),
        case("100,000 times the same new name", format!("{{{}\"y\":2}}", "\"n\":1,".repeat(100_000)), "prediction"),
        // Nothing of a name's length may be done for each of its elements.
        case(
            "a long name of 100,000 unknowns",
            format!(r#"{{"{long}":[{}null],"x":1}}"#, "null,".repeat(100_000)),
            "prediction",
        ),
    ]
}

fn names() -> Vec<Case> {
    let long = |n: usize, value: &str| format!(r#"{{"x":1,"y":2,"{}":{value}}}"#, "n".repeat(n));
    vec![
        case("a name of 512 bytes", long(512, "1"), "prediction"),
        case("a name of 513 bytes", long(513, "1"), "name_too_long"),
        case("a name of a megabyte", long(1_000_000, "1"), "name_too_long"),
        // What is said of it would otherwise hold its name.
        case("a name of a megabyte with a number out of range", long(1_000_000, "1e200"), "name_too_long"),
        case("an empty name", r#"{"":1,"y":2}"#, "prediction"),
        case("a name of escapes", r#"{"x":1,"y":2,"\"\\\u0000\n\u001b[31m":3}"#, "prediction"),
        case("a name that is SQL", r#"{"x":1,"y":2,"\"; DROP TABLE samples; --":3}"#, "prediction"),
        case("names that flatten to one", r#"{"a.b":1,"a":{"b":2},"y":3}"#, "prediction"),
        case("a name as of a prediction", r#"{"x":1,"source":{"offset":7},"y":2}"#, "prediction"),
    ]
}
