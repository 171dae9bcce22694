//! What the API answers from: workers, topics and models of this daemon.
//!
//! Invariant: nothing here runs in a worker or waits for one without a limit.

mod intake;
mod model;
mod predictor;
mod topics;

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use super::tasks::Views;
use thalweg_http::{Answer, Intake, Predict, Problem, Records, Retried, Selected};
use thalweg_pipeline::{decode::Schema, learned::Keys};
use thalweg_settings::Settings;
use thalweg_topic::{SampleLog, Transport};
use topics::{AnyTopics, Opened};

/// Seconds after which a program may ask again, where the daemon is not ready.
const RETRY_AFTER: u32 = 1;

/// Answers programs.
#[derive(Debug, Default)]
pub(super) struct Api {
    /// Set once the transport is open.
    open: OnceLock<Open>,
}

/// What there is once the transport is open.
struct Open {
    views: Views,
    topics: Box<dyn AnyTopics>,
    /// Schema of the samples, which a reload may change.
    schema: RwLock<Schema>,
    /// Name of the samples topic.
    samples: String,
    /// True where the generator runs because somebody wants it to, and shares the topic with nobody.
    generates_alone: bool,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("samples", &self.samples).finish_non_exhaustive()
    }
}

impl Api {
    /// Begins to answer.
    pub(super) fn open<T: Transport + SampleLog>(&self, views: Views, transport: &Arc<T>, settings: &Settings) {
        let generator = &settings.generator;
        let open = Open {
            views,
            topics: Box::new(Opened::new(Arc::clone(transport), settings.topics.clone())),
            schema: RwLock::new(settings.schema.clone()),
            samples: settings.topics.samples.clone(),
            generates_alone: generator.enabled && generator.asked_for && !generator.into_foreign_topic,
        };
        // A transport is opened once.
        let _ = self.open.set(open);
    }

    /// Takes over another schema of the samples.
    pub(super) fn adopt(&self, schema: &Schema) {
        if let Some(open) = self.open.get() {
            schema.clone_into(&mut open.schema.write().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn opened(&self) -> Result<&Open, Problem> {
        let opening = || Problem::unavailable("opening", "the transport is being opened", RETRY_AFTER);
        self.open.get().ok_or_else(opening)
    }
}

impl thalweg_http::Api for Api {
    fn predictor(&self, partition: Option<i32>, explain: bool) -> Answer<'_, Box<dyn Predict>> {
        Box::pin(async move { predictor::of(self.opened()?, partition, explain).await })
    }

    fn intake(&self) -> Result<&dyn Intake, Problem> {
        Ok(self.opened()?)
    }

    fn records(&self, topic: String, partition: i32, from: Option<i64>, limit: usize) -> Answer<'_, Records> {
        match self.opened() {
            Ok(open) => open.topics.read(topic, partition, from, limit),
            Err(problem) => Box::pin(std::future::ready(Err(problem))),
        }
    }

    fn send_back(&self, selected: Selected) -> Answer<'_, Retried> {
        match self.opened() {
            Ok(open) => open.topics.send_back(selected),
            Err(problem) => Box::pin(std::future::ready(Err(problem))),
        }
    }

    fn model(
        &self,
        name: String,
        partition: Option<i32>,
        key: Option<String>,
        keys: Option<usize>,
    ) -> Answer<'_, Vec<u8>> {
        let keys = Keys::of(key, keys).unwrap_or_default();
        Box::pin(async move { model::document(self.opened()?, name, partition, keys).await })
    }
}
