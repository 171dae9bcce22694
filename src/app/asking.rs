//! The schemas of records that a command copies from a topic: what a record's id means is asked for once, and kept with the copy.
//!
//! Invariant: a copy holds values alone, so that a record whose header names its schema is copied with the name in front.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use thalweg_pipeline::{
    decode::{Learned, Meaning, SchemaHeader, SchemaId, Writer, Writers},
    registry::{Answer, Away, Registry},
};
use thalweg_settings::Settings;
use thalweg_topic::record::Record;

use super::history::Error;

/// Asks for schemas.
pub(super) struct Asking {
    client: thalweg_registry::Client,
    settings: Settings,
    writers: Writers,
    learned: Vec<Learned>,
    /// Numbers of the GUIDs, from the top, where no registry has come to.
    numbers: HashMap<u128, u32>,
}

impl Asking {
    /// Begins with nothing known; `None` where records need no registry.
    pub(super) fn new(settings: &Settings) -> Result<Option<Self>, Error> {
        let Some(registry) = &settings.registry else { return Ok(None) };
        let client =
            thalweg_registry::Client::new(registry.clone(), &settings.schema.format).map_err(Error::Registry)?;
        let writers = Writers::new(&settings.schema);
        let (settings, numbers) = (settings.clone(), HashMap::new());
        Ok(Some(Self { client, settings, writers, learned: Vec::new(), numbers }))
    }

    /// Returns the value of a record as it is copied, once its schema is known.
    pub(super) async fn value<'r>(&mut self, record: &'r Record) -> Result<Option<Cow<'r, [u8]>>, Error> {
        let (value, header) = (record.value.as_deref(), SchemaHeader::of(&record.headers));
        let Some((id, known)) = self.writers.of(value, header) else { return Ok(value.map(Cow::Borrowed)) };
        if known.is_none() {
            let meaning = match self.client.schema(id).await {
                Ok(Answer::Found(definition)) => match Writer::new(&self.settings.schema.format, &definition) {
                    Ok(writer) => Meaning::Known(Arc::new(writer)),
                    Err(problem) => Meaning::Unreadable(problem.into()),
                },
                Ok(Answer::Unknown) => Meaning::Unknown,
                Ok(Answer::Unusable(problem)) => Meaning::Unreadable(problem.into()),
                Err(Away(problem)) => return Err(Error::Registry(problem)),
            };
            let learned = Learned { offset: record.offset, id, meaning };
            self.writers.learn(&learned);
            let id = SchemaId::Number(self.number(id));
            self.learned.push(Learned { id, ..learned });
        }
        let Some((header, own)) = header.zip(value) else { return Ok(value.map(Cow::Borrowed)) };
        let number = self.number(id).to_be_bytes();
        Ok(Some(Cow::Owned([&[0], &number[..], header.indexes(), own].concat())))
    }

    fn number(&mut self, id: SchemaId) -> u32 {
        match id {
            SchemaId::Number(number) => number,
            SchemaId::Guid(guid) => {
                let next = u32::MAX - self.numbers.len() as u32;
                *self.numbers.entry(guid).or_insert(next)
            }
        }
    }

    /// Returns what was asked for.
    pub(super) fn learned(self) -> Vec<Learned> {
        self.learned
    }
}
