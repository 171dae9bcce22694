//! The format of samples, and what their schemas say, before anything is made of it.

use serde::{Deserialize, Serialize};

use thalweg_metrics::checked;

/// Format of samples (`schema.format`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// JSON objects.
    #[default]
    Json,
    /// Apache Avro, in its binary encoding.
    Avro(Origin),
    /// Protocol Buffers.
    Protobuf(Origin),
}

checked!(
    enum Format {
        Json,
        Avro(origin),
        Protobuf(origin),
    }
);

impl Format {
    /// Returns true where samples need no schema. Such a format is not saved, so that states of before have the same settings.
    pub fn is_json(&self) -> bool {
        *self == Format::Json
    }
}

/// Where the schemas of samples are from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A registry: each record says the id of its schema.
    Registry,
    /// A file (`schema.file`), as it was read.
    File(Definition),
}

checked!(
    enum Origin {
        Registry,
        File(definition),
    }
);

/// A schema as its author wrote it, with all that it refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// JSON of Avro, the text of a .proto, or a descriptor set.
    #[serde(with = "bytes")]
    pub body: Vec<u8>,
    /// What it refers to, each behind what that refers to itself.
    pub references: Vec<Reference>,
    /// The message of Protocol Buffers that a record holds, by its full name, where its file has more than one.
    pub message: Option<String>,
}

checked!(Definition { body, references, message });

/// Another schema that a schema refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Name by which it is referred to: a type's, or the path of an import.
    pub name: String,
    /// The same as [`Definition::body`].
    #[serde(with = "bytes")]
    pub body: Vec<u8>,
}

checked!(Reference { name, body });

impl Definition {
    /// Returns its size in bytes.
    pub fn size(&self) -> usize {
        self.body.len() + self.references.iter().map(|reference| reference.body.len()).sum::<usize>()
    }
}

/// Saves bytes as text where they are text, which most are.
mod bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    enum Body<'b> {
        Text(std::borrow::Cow<'b, str>),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let body = match std::str::from_utf8(bytes) {
            Ok(text) => Body::Text(text.into()),
            Err(_) => Body::Bytes(bytes.to_vec()),
        };
        body.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Ok(match Body::deserialize(deserializer)? {
            Body::Text(text) => text.into_owned().into_bytes(),
            Body::Bytes(bytes) => bytes,
        })
    }
}
