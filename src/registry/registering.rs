//! Registers a schema under a subject.
//!
//! Invariant: one that is there already is found first, so that whoever may only read needs no more once somebody has registered it.

use hyper::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use thalweg_pipeline::registry::Away;

use super::{Client, NOT_FOUND, Purpose, Refused, short};

/// Code of a registry whose subject takes no schemas at the moment.
const READ_ONLY: u32 = 42205;

/// What became of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// The registry has it under this number.
    As(u32),
    /// It does not take it, in its own words.
    Refused(String),
}

/// What would become of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It is there.
    Is(u32),
    /// The subject would take it.
    Welcome,
    /// The subject would not take it.
    Refused,
}

/// A schema's number.
#[derive(Deserialize)]
struct Numbered {
    id: u32,
}

#[derive(Deserialize)]
struct Compatible {
    is_compatible: bool,
}

impl Client {
    /// Returns the number of a schema of Avro under a subject, where it is registered if it is not yet.
    ///
    /// # Errors
    /// What is in the way at the moment.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<Registered, Away> {
        if let Some(id) = self.registered(subject, schema).await? {
            return Ok(Registered::As(id));
        }
        let (status, body) = self.answer(&format!("{}/versions", at(subject)), Some(asked(schema))).await?;
        let body = body.unwrap_or_default();
        if status.is_success() {
            return serde_json::from_slice(&body).map(|Numbered { id }| Registered::As(id)).map_err(|_| self.strange());
        }
        let refused = serde_json::from_slice::<Refused>(&body).ok();
        let is_final = matches!(status, StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY);
        match refused {
            Some(refused) if is_final && refused.error_code != READ_ONLY => {
                Ok(Registered::Refused(short(&refused.message)))
            }
            None if status == StatusCode::NOT_FOUND => Err(self.strange()),
            refused => Err(self.failed(status, refused, Purpose::Registering)),
        }
    }

    /// Says what would become of a schema, and changes nothing.
    ///
    /// # Errors
    /// What is in the way at the moment.
    pub async fn outlook(&self, subject: &str, schema: &str) -> Result<Outlook, Away> {
        if let Some(id) = self.registered(subject, schema).await? {
            return Ok(Outlook::Is(id));
        }
        let path = format!("compatibility/{}/versions/latest", at(subject));
        let (status, body) = self.answer(&path, Some(asked(schema))).await?;
        let body = body.unwrap_or_default();
        if status.is_success() {
            let Compatible { is_compatible } = serde_json::from_slice(&body).map_err(|_| self.strange())?;
            return Ok(if is_compatible { Outlook::Welcome } else { Outlook::Refused });
        }
        match serde_json::from_slice::<Refused>(&body).ok() {
            // There is nothing that it could contradict.
            Some(refused) if NOT_FOUND.contains(&refused.error_code) => Ok(Outlook::Welcome),
            None if status == StatusCode::NOT_FOUND => Err(self.strange()),
            refused => Err(self.failed(status, refused, Purpose::Registering)),
        }
    }

    /// Looks for a schema under a subject.
    async fn registered(&self, subject: &str, schema: &str) -> Result<Option<u32>, Away> {
        let (status, body) = self.answer(&at(subject), Some(asked(schema))).await?;
        let body = body.unwrap_or_default();
        if status.is_success() {
            return serde_json::from_slice(&body).map(|Numbered { id }| Some(id)).map_err(|_| self.strange());
        }
        match serde_json::from_slice::<Refused>(&body).ok() {
            Some(refused) if NOT_FOUND.contains(&refused.error_code) => Ok(None),
            // Who cannot parse it with what the subject has will say so when it is registered.
            Some(_) if status == StatusCode::UNPROCESSABLE_ENTITY => Ok(None),
            None if status == StatusCode::NOT_FOUND => Err(self.strange()),
            refused => Err(self.failed(status, refused, Purpose::Registering)),
        }
    }

    fn strange(&self) -> Away {
        self.away("what answers there is no schema registry; check schema.registry.url and its path")
    }
}

fn at(subject: &str) -> String {
    format!("subjects/{}", utf8_percent_encode(subject, NON_ALPHANUMERIC))
}

/// Avro is what is meant where no type is named.
fn asked(schema: &str) -> String {
    serde_json::json!({ "schema": schema }).to_string()
}
