//! Samples that programs post.

use std::sync::PoisonError;

use bytes::Bytes;

use super::{predictor, topics};
use thalweg_http::{Accepted, Answer, Check, Intake, Problem};
use thalweg_pipeline::{
    decode::{Decoder, Explode, Format, Headed, Index, Schema},
    labels::Labels,
};

use super::Open;

/// Takes samples into the topic of an open transport.
impl Intake for Open {
    fn checker(&self) -> Box<dyn Check> {
        Box::new(BySchema::new(&self.schema.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn append(&self, partition: Option<i32>, samples: Vec<(Option<Vec<u8>>, Bytes)>) -> Answer<'_, Accepted> {
        if self.schema.read().unwrap_or_else(PoisonError::into_inner).format != Format::Json {
            let message = "samples are posted in JSON, and those of this topic are in another format: schema.format. Send them with a \
                           serializer";
            return Box::pin(std::future::ready(Err(Problem::conflict("other_format", message))));
        }
        if self.generates_alone {
            let message = "the generator was told to fill this topic, and is to be alone there: set generator.enabled = false, or \
                           generator.into_foreign_topic = true to have both in it";
            return Box::pin(std::future::ready(Err(Problem::conflict("generated_topic", message))));
        }
        let samples = samples.into_iter().map(|(key, value)| topics::sample(key, value.to_vec())).collect();
        self.topics.append(partition, samples)
    }
}

/// Refuses what the stream could use under no circumstances, by the schema alone.
struct BySchema {
    decoder: Decoder,
    explode: Explode,
    index: Index,
}

impl BySchema {
    fn new(schema: &Schema) -> Self {
        // Whether a label has a sample only the stream knows.
        let schema = Schema { format: Format::Json, labels: Labels::default(), ..schema.clone() };
        let index = Index::new(&schema);
        Self { decoder: Decoder::new(&schema, index.clone()), explode: Explode::new(&schema), index }
    }

    /// Returns the key that a sample names.
    fn key(&mut self, value: &[u8]) -> Result<Option<Vec<u8>>, Problem> {
        self.decoder.forget(&self.index);
        let sample = self.decoder.decode(Some(value)).map_err(|rejection| predictor::problem(&rejection))?;
        Ok(sample.key.map(|key| key.as_bytes().to_vec()))
    }
}

impl Check for BySchema {
    fn check(&mut self, value: &[u8]) -> Result<Option<Vec<u8>>, Problem> {
        if !self.explode.is_needed() {
            return self.key(value);
        }
        let Some(rows) = self.explode.rows(&Bytes::copy_from_slice(value), Headed::default()) else {
            return self.key(value);
        };
        let keys = rows.iter().map(|row| self.key(row)).collect::<Result<Vec<_>, _>>()?;
        // A record has one key; where its rows have several, none of them is its.
        let is_one = keys.windows(2).all(|two| two[0] == two[1]);
        Ok(keys.into_iter().next().flatten().filter(|_| is_one))
    }
}
