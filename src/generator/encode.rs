//! Writes a sample as JSON or CSV, straight into bytes.
//!
//! Numbers are the shortest text that reads back to the same bits. Non-finite numbers are written as by Python's
//! `json.dumps` (`Infinity`), which is not JSON: generators that diverge test how a consumer takes it.

/// Name of the target.
pub const TARGET: &str = "y";

/// Writes `{"x0":0.5,…,"y":1.5}`. Names consist of letters, digits and `_`, so they need no escaping.
pub fn json(names: &[String], features: &[f64], target: f64, out: &mut Vec<u8>) {
    out.push(b'{');
    for (name, value) in names.iter().map(String::as_str).zip(features).chain([(TARGET, &target)]) {
        if out.last() != Some(&b'{') {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        number(*value, ["NaN", "Infinity", "-Infinity"], out);
    }
    out.push(b'}');
}

/// Writes [`json`] and a line's end.
pub fn json_line(names: &[String], features: &[f64], target: f64, out: &mut Vec<u8>) {
    json(names, features, target, out);
    out.push(b'\n');
}

/// Writes `x0,…,y` and a line's end.
pub fn csv_header(names: &[String], out: &mut Vec<u8>) {
    for name in names {
        out.extend_from_slice(name.as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(TARGET.as_bytes());
    out.push(b'\n');
}

/// Writes `0.5,…,1.5` and a line's end.
pub fn csv_row(features: &[f64], target: f64, out: &mut Vec<u8>) {
    for value in features {
        number(*value, ["nan", "inf", "-inf"], out);
        out.push(b',');
    }
    number(target, ["nan", "inf", "-inf"], out);
    out.push(b'\n');
}

fn number(value: f64, [nan, above, below]: [&str; 3], out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(nan.as_bytes());
    } else {
        out.extend_from_slice(if value > 0.0 { above } else { below }.as_bytes());
    }
}
