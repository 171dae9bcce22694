//! The fingerprint by which a single object names its schema: CRC-64-AVRO of the schema's Parsing Canonical Form (Avro 1.12,
//! "Schema Fingerprints").

use serde_json::Value;

/// Fingerprint of nothing, and the polynomial.
const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

/// Returns the fingerprint of a schema's text; `None` where that is no JSON.
pub(crate) fn of(text: &str) -> Option<u64> {
    let mut form = String::new();
    canonical(&serde_json::from_str(text).ok()?, "", &mut form);
    Some(form.bytes().fold(EMPTY, |sum, byte| {
        (0..8).fold(sum ^ u64::from(byte), |sum, _| sum >> 1 ^ EMPTY & (sum & 1).wrapping_neg())
    }))
}

/// Writes a schema without all that does not matter to its readers. JSON bounds the depth.
fn canonical(schema: &Value, namespace: &str, out: &mut String) {
    match schema {
        Value::String(name) if PRIMITIVES.contains(&name.as_str()) => quoted(name, out),
        Value::String(name) => quoted(&full(name, namespace), out),
        Value::Array(branches) => {
            out.push('[');
            list(branches, out, |branch, out| canonical(branch, namespace, out));
            out.push(']');
        }
        Value::Object(object) => match object.get("type") {
            Some(Value::String(of)) => complex(of, schema, namespace, out),
            Some(inner) => canonical(inner, namespace, out),
            None => {}
        },
        _ => {}
    }
}

/// Writes an object whose type is named by `of`.
fn complex(of: &str, schema: &Value, namespace: &str, out: &mut String) {
    let is_named = ["record", "error", "enum", "fixed"].contains(&of);
    if !is_named && of != "array" && of != "map" {
        return canonical(&Value::from(of), namespace, out);
    }
    out.push('{');
    let mut within = namespace.to_owned();
    if is_named {
        let own = schema["namespace"].as_str().unwrap_or(namespace);
        let name = full(schema["name"].as_str().unwrap_or_default(), own);
        within = name.rsplit_once('.').map_or_else(String::new, |(namespace, _)| namespace.to_owned());
        out.push_str("\"name\":");
        quoted(&name, out);
        out.push(',');
    }
    out.push_str("\"type\":");
    quoted(of, out);
    let each = |key: &str| schema[key].as_array().map(Vec::as_slice).unwrap_or_default();
    match of {
        "array" | "map" => {
            let key = if of == "array" { "items" } else { "values" };
            out.push_str(&format!(",\"{key}\":"));
            canonical(&schema[key], &within, out);
        }
        "enum" => {
            out.push_str(",\"symbols\":[");
            list(each("symbols"), out, |symbol, out| quoted(symbol.as_str().unwrap_or_default(), out));
            out.push(']');
        }
        "fixed" => {
            let size = schema["size"].as_u64().or_else(|| schema["size"].as_str()?.parse().ok());
            out.push_str(&format!(",\"size\":{}", size.unwrap_or_default()));
        }
        _ => {
            out.push_str(",\"fields\":[");
            list(each("fields"), out, |field, out| {
                out.push_str("{\"name\":");
                quoted(field["name"].as_str().unwrap_or_default(), out);
                out.push_str(",\"type\":");
                canonical(&field["type"], &within, out);
                out.push('}');
            });
            out.push(']');
        }
    }
    out.push('}');
}

fn list(values: &[Value], out: &mut String, mut write: impl FnMut(&Value, &mut String)) {
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(value, out);
    }
}

fn full(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    out.push_str(text);
    out.push('"');
}
