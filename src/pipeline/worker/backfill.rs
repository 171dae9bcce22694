//! Models that are new, or whose settings are, learn what the topic holds before they join the race.
//!
//! Invariant: the race goes on with the models that it had, under one checkpoint after the other, until the new ones have learned
//! what these have; then the race changes in one step, between two records, at a checkpoint. What they have learned until then is
//! kept nowhere: a restart begins it again, and publishes what the race would have.
//! They begin with nothing where the topic no longer holds what was learned from, or is read by another schema.

use std::{
    ops::Range,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;

use super::{
    CHANNEL_CAPACITY, Error, joined,
    schemas::Schemas,
    tasks::{Batch, Intake, fetch},
};
use crate::{
    checkpoint::Checkpoint,
    decode::Schema,
    decode::{Explode, ReadAhead},
    prequential,
    processor::{Config, Processor},
};
use thalweg_topic::{Fetched, Outbox, Reader, Share};

/// Time between two lines that say how far they are.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Models that learn beside the race, and all that they see others' predictions of.
pub(super) struct Backfill {
    /// Has learned all that the topic holds before its position.
    learner: Box<Processor>,
    explode: Explode,
    models: Vec<String>,
    begun: Instant,
    has_caught_up: bool,
}

/// Has the models that a checkpoint lacks join it, where they have caught up with it. Returns it, and the settings of the race that
/// goes on from it: while they have not, those with the models of before, and `backfill` holds them. Whoever ends once all is read
/// has them learn first.
///
/// # Errors
/// Those of the reader.
pub(super) async fn settle<R: Reader>(
    config: &super::Config,
    mut stored: Checkpoint,
    range: &Range<i64>,
    reader: &mut R,
    backfill: &mut Option<Backfill>,
    schemas: Schemas,
) -> Result<(Checkpoint, Config), Error> {
    let super::Config { processor: config, until_caught_up, .. } = config;
    let models = stored.prequential.lacking(&config.race);
    // Models per key come with fields of their own.
    let as_before = |schema: &Schema| Schema { model_keys: config.schema.model_keys.clone(), ..schema.clone() };
    let is_read_alike =
        stored.schema.as_ref().map(as_before).as_ref() == Some(&config.schema) && stored.index.fits(&config.schema);
    // Records that are gone leave a hole in what they would learn.
    let begun = backfill.take().filter(|begun| begun.position() >= range.start);
    // Which labels came before which samples is told of the latest samples only.
    if models.is_empty() || config.labels.is_some() || !is_read_alike || range.start >= stored.position {
        return Ok((stored, config.clone()));
    }
    let mut begun = begun.unwrap_or_else(|| Backfill::new(config, &stored, models, range.start));
    if (begun.has_caught_up || *until_caught_up) && begun.position() <= stored.position {
        begun.learn_up_to(stored.position, reader, schemas).await?;
        begun.join(&mut stored);
        return Ok((stored, config.clone()));
    }
    begun.has_caught_up = false;
    *backfill = Some(begun);
    let models = stored.prequential.config().models.clone();
    let race = prequential::Config { models, ..config.race.clone() };
    Ok((stored, Config { race, ..config.clone() }))
}

impl Backfill {
    fn new(config: &Config, stored: &Checkpoint, models: Vec<String>, start: i64) -> Self {
        for model in &models {
            tracing::info!(
                event = "model_learning",
                partition = stored.partition,
                model,
                from = start,
                to = stored.position,
                "the model is new, or its settings are: it learns what the topic holds, and joins the race when it has caught up"
            );
        }
        let learner = Processor::learner(config, stored.partition, start, stored.index.clone());
        let explode = Explode::new(&config.schema);
        Self { learner: Box::new(learner), explode, models, begun: Instant::now(), has_caught_up: false }
    }

    fn position(&self) -> i64 {
        self.learner.position()
    }

    fn join(self, stored: &mut Checkpoint) {
        let Self { learner, models, begun, .. } = self;
        // Where columns came in another order, the models begin with nothing, and `model_afresh` tells it.
        if learner.join(stored) {
            let (partition, position, took) = (stored.partition, stored.position, begun.elapsed());
            for model in models {
                tracing::info!(
                    event = "model_joined",
                    partition,
                    model,
                    position,
                    ?took,
                    "the model has caught up and joins"
                );
            }
        }
    }

    /// Learns until it is told to stop, or has come to where the race is, which then ends: `race` is cancelled in any case.
    pub(super) async fn run<R: Reader>(
        mut self,
        reader: R,
        (ahead, schemas): (ReadAhead, Schemas),
        share: Share,
        mut confirmed: watch::Receiver<i64>,
        race: CancellationToken,
        stop: CancellationToken,
    ) -> (Self, Result<(), Error>) {
        // After a panic, too, or the race would wait for it for ever.
        let _race = race.drop_guard();
        // A race that was interrupted may be at a checkpoint before it.
        let position = self.position();
        tokio::select! {
            () = stop.cancelled() => return (self, Ok(())),
            // The worker holds the other end.
            _ = confirmed.wait_for(|confirmed| *confirmed >= position) => {}
        }
        let (batches, mut incoming) = mpsc::channel(CHANNEL_CAPACITY);
        let intake = Intake {
            reader,
            batches,
            end: None,
            counters: Arc::default(),
            stop,
            ahead,
            reads_rows: true,
            schemas,
            share,
        };
        let all_read = Arc::<AtomicBool>::default();
        let fetch = tokio::spawn(fetch(intake, self.position(), all_read).in_current_span());
        let fetch = AbortOnDropHandle::new(fetch);
        let mut told = Instant::now();
        while !self.has_caught_up
            && let Some(batch) = incoming.recv().await
        {
            let end = *confirmed.borrow();
            self.learn(*batch, end);
            // What is left of the batch is the race's.
            self.has_caught_up = self.position() == end;
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let (position, models) = (self.position(), self.models.join(", "));
                tracing::info!(event = "models_learning", models, position, end, "models learn what the topic holds");
            }
        }
        drop(incoming);
        let fetched = joined("fetch", fetch).await;
        (self, fetched)
    }

    async fn learn_up_to<R: Reader>(&mut self, end: i64, reader: &mut R, mut schemas: Schemas) -> Result<(), Error> {
        while self.position() < end {
            let mut fetched = reader.fetch(self.position()).await?;
            let learned = schemas.learn(&fetched.records).await?;
            fetched.records = self.explode.split(fetched.records, &learned);
            self.learn(Batch { fetched, learned, ..Batch::default() }, end);
        }
        Ok(())
    }

    /// Learns the records of a batch that lie before `end`.
    fn learn(&mut self, batch: Batch, end: i64) {
        let Batch { fetched: Fetched { records, next_offset, high_watermark, .. }, rows, learned, .. } = batch;
        let mut learned = learned.iter().peekable();
        let mut outbox = Outbox::at(self.position());
        for (i, record) in records.into_iter().enumerate().take_while(|(_, record)| record.offset < end) {
            while let Some(learned) = learned.next_if(|learned| learned.offset <= record.offset) {
                self.learner.learn_schema(learned);
            }
            // The race has told why one cannot be used.
            let _ = self.learner.process_ahead(record, rows.get(i), &mut outbox);
        }
        self.learner.advance(next_offset.min(end), high_watermark, None);
        drop((self.learner.take_notices(), self.learner.take_implausible()));
    }
}
