//! Reads `[output]`: how and when predictions are said to be written.

use super::{Section, choices::choices};
use thalweg_topic::{Timestamps, Topics};

/// Form of the predictions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Predictions {
    /// JSON.
    #[default]
    Json,
    /// Avro, by a schema that a registry numbers; single objects where there is none.
    Avro(Option<Registration>),
}

/// Where a schema is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// `[schema.registry]`
    pub registry: thalweg_registry::Config,
    /// `output.subject`
    pub subject: String,
}

/// A format as people choose it.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Json,
    Avro,
}

/// What was read; the topics and the registry are read elsewhere.
pub(super) struct Read {
    pub(super) timestamps: Timestamps,
    pub(super) shared: bool,
    pub(super) is_avro: bool,
    subject: Option<String>,
}

pub(super) fn read(mut section: Section) -> Read {
    let times = choices!(Timestamps { "clock": Clock, "sample": Sample });
    let format = section.one_of("format", Format::Json, &choices!(Format { "json": Json, "avro": Avro }));
    let subject = section.optional_text("subject");
    let is_avro = format == Format::Avro;
    if subject.is_some() && !is_avro {
        section.problem("subject", "goes with output.format = \"avro\": JSON is published without a schema");
    }
    if subject.as_ref().is_some_and(|subject| subject.trim().is_empty()) {
        section.problem("subject", "must be the name of a subject of the registry, such as \"{predictions}-value\"");
    }
    Read {
        timestamps: section.one_of("timestamp", Timestamps::default(), &times),
        shared: section.boolean("shared", false),
        is_avro,
        subject,
    }
}

impl Read {
    /// Returns the form of the predictions.
    pub(super) fn predictions(
        self,
        root: &Section,
        topics: &Topics,
        registry: Option<thalweg_registry::Config>,
    ) -> Predictions {
        if !self.is_avro {
            return Predictions::Json;
        }
        if registry.is_none() && self.subject.is_some() {
            root.problem("output.subject", "is one of a registry: set schema.registry.url, or leave it out");
        }
        // That of Confluent's serializers where nothing else is set (TopicNameStrategy).
        let subject = self.subject.unwrap_or_else(|| "{predictions}-value".to_owned());
        let subject = subject.replace("{predictions}", &topics.predictions);
        Predictions::Avro(registry.map(|registry| Registration { registry, subject }))
    }
}
