//! Headers as JSON, for a cell of the headers column.

use std::fmt;

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

use thalweg_topic::record::Headers;

/// Encodes headers as a JSON object in their order; a name that comes twice is written twice.
pub(super) fn to_json(headers: &Headers) -> String {
    // A map of texts and numbers always has a JSON form.
    serde_json::to_string(&HeadersJson(headers)).unwrap_or_default()
}

/// Reads the headers in a cell; it has none where it is no object.
pub(super) fn read(json: &str) -> Headers {
    serde_json::from_str(json).map_or_else(|_| Headers::new(), |Read(headers)| headers)
}

struct HeadersJson<'a>(&'a Headers);

struct Read(Headers);

/// A header value in JSON: text where it is text, `null` where it is null.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum HeaderValue {
    Null,
    Text(String),
    Bytes(Vec<u8>),
    /// Any other value, which we never write; kept as its JSON.
    Other(serde_json::Value),
}

impl HeaderValue {
    fn of(bytes: Option<&[u8]>) -> Self {
        let Some(bytes) = bytes else { return HeaderValue::Null };
        match std::str::from_utf8(bytes) {
            Ok(text) => HeaderValue::Text(text.to_owned()),
            Err(_) => HeaderValue::Bytes(bytes.to_vec()),
        }
    }

    fn bytes(self) -> Option<Vec<u8>> {
        match self {
            HeaderValue::Null => None,
            HeaderValue::Text(text) => Some(text.into_bytes()),
            HeaderValue::Bytes(bytes) => Some(bytes),
            HeaderValue::Other(value) => Some(value.to_string().into_bytes()),
        }
    }
}

impl Serialize for HeadersJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.0.iter().map(|(name, value)| (String::from_utf8_lossy(name), HeaderValue::of(value))))
    }
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Read;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
                let mut headers = Headers::new();
                while let Some((name, value)) = map.next_entry::<String, HeaderValue>()? {
                    headers.push(name.into(), value.bytes().map(Bytes::from));
                }
                Ok(Read(headers))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_in_their_order_with_doubles_and_nulls() {
        let before: Headers = [
            ("z".into(), None),
            ("a".into(), Some(Bytes::new())),
            ("z".into(), Some("text".into())),
            ("".into(), Some(b"\xff\x00"[..].into())),
            ("n".into(), Some("null".into())),
        ]
        .into_iter()
        .collect();
        let json = to_json(&before);
        assert_eq!(json, r#"{"z":null,"a":"","z":"text","":[255,0],"n":"null"}"#);
        assert_eq!(read(&json), before);
    }

    #[test]
    fn whatever_else_stands_in_a_cell_is_kept_or_no_header() {
        let headers = read(r#"{"a":1,"b":[1,999],"c":{"d":null}}"#);
        assert_eq!(headers, Headers::from([("a", "1"), ("b", "[1,999]"), ("c", r#"{"d":null}"#)]));
        for json in ["", "[]", "null", "7", "{\"a\":"] {
            assert!(read(json).is_empty(), "{json}");
        }
    }
}
