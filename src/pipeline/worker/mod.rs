//! One worker per partition: three tasks joined by bounded channels.
//!
//! `fetch` reads ahead, `process` owns the models, `publish` confirms in order. Invariant: stopping starts at the
//! source. The shutdown token ends `fetch`; its closed channel lets `process` drain and leave a last checkpoint; the
//! next closed channel lets `publish` drain. After a panic in one of the three the last checkpoint is left out.
//!
//! A worker told to end at once aborts all three, and ends only after them.
//!
//! Reading order: `config`, this file (a worker's life), `recovery` (where it continues), `tasks` (two of the three
//! tasks; the third is the transport's), `backfill` (models that learn beside the race before they join it), `gauges` (its
//! readings), `label_feed` (what comes before what, where labels have a topic of their own), `replicas` (copies of its models), `schemas` (by which its records were written).

mod backfill;
mod config;
mod gauges;
mod label_feed;
mod recovery;
mod replicas;
mod schemas;
mod tasks;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use thalweg_store::{Backoff, Store};
use thalweg_topic::{Budget, Output, Publisher, Reader, Transport};
use tokio::{sync::mpsc, task::AbortHandle};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;

pub use config::{Config, Error};
pub use gauges::{Gauges, View};
pub use replicas::Dated;

use crate::{decode::ReadAhead, form::Form, registry::Registry, tap::Spout};
use backfill::Backfill;
use label_feed::{Ends, LabelFeed};
use recovery::{Inputs, recover};
use schemas::Schemas;
use tasks::{Intake, Results, fetch, process};

/// Fetched batches that may wait for `process`, and outboxes that may wait for `publish`.
const CHANNEL_CAPACITY: usize = 1;
/// First and longest wait before beginning again after an interruption.
const INITIAL_RESTART_WAIT: Duration = Duration::from_millis(200);
const MAX_RESTART_WAIT: Duration = Duration::from_secs(5);

/// Tells a worker to end.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Ends it in order: records already read are published, and a last checkpoint is left.
    pub in_order: CancellationToken,
    /// Ends it at once: outputs not confirmed are left to the partition's next worker.
    pub at_once: CancellationToken,
}

/// A worker of one partition, before it runs.
#[derive(Debug)]
pub struct Worker<T> {
    /// Transport of its records.
    pub transport: Arc<T>,
    /// Store of its checkpoints.
    pub store: Arc<Store>,
    /// Its settings.
    pub config: Arc<Config>,
    /// Bytes that all workers of the process may hold between them.
    pub budget: Budget,
    /// Gives the schemas of records; none where the settings name no registry.
    pub registry: Option<Arc<dyn Registry>>,
    /// Form of the predictions that it publishes.
    pub form: Form,
    /// Partition of the samples topic.
    pub partition: i32,
    /// Gauges that it updates.
    pub gauges: Gauges,
    /// Ends it.
    pub stop: Stop,
}

impl<T: Transport> Worker<T> {
    /// Works on the partition until it is told to stop, or until it has caught up if so configured. After an
    /// interruption or a gap it begins again at its last checkpoint, just as after a crash.
    ///
    /// # Errors
    /// Errors that the transport or the state file cannot mend; everything confirmed until then is kept.
    pub async fn run(self) -> Result<(), Error> {
        // The span has the highest level, so that no setting removes it from a line.
        let span = tracing::error_span!("worker", partition = self.partition);
        let ended = self.attempts().instrument(span).await;
        self.gauges.counters.done.store(true, Ordering::Release);
        ended
    }

    async fn attempts(&self) -> Result<(), Error> {
        let partition = self.partition;
        let (mut end, mut backfill) = (None, None);
        let mut backoff = Backoff::new(INITIAL_RESTART_WAIT, MAX_RESTART_WAIT);
        loop {
            let confirmed = *self.gauges.confirmed.borrow();
            let ended = self.attempt(&mut end, &mut backfill).await;
            // The store is closed before workers are told to stop; either means that the daemon ends.
            let stopping = self.is_told_to_stop() || self.store.is_closing();
            let problem = match ended {
                Err(Error::Transport(thalweg_topic::Error::Interrupted { problem, .. })) => problem,
                // The next attempt decides what to do about it, and asks for the end anew.
                Err(Error::Transport(gap @ thalweg_topic::Error::Gap { .. })) => {
                    end = None;
                    gap.to_string()
                }
                Err(error) if error.is_transient() => error.to_string(),
                Ok(()) if backfill.is_some() && !stopping => continue,
                other => return other,
            };
            self.gauges.counters.attempts.fetch_add(1, Ordering::Relaxed);
            if stopping {
                tracing::warn!(
                    event = "unpublished",
                    partition,
                    problem,
                    "stopped; the next start publishes what is missing"
                );
                return Ok(());
            }
            // Progress shows that the trouble has passed.
            if *self.gauges.confirmed.borrow() > confirmed {
                backoff.reset();
            }
            let wait = backoff.next_wait();
            tracing::warn!(
                event = "worker_interrupted", partition, problem, next_try = ?wait,
                "interrupted; beginning again at the last checkpoint"
            );
            tokio::select! {
                () = self.told_to_stop() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn is_told_to_stop(&self) -> bool {
        self.stop.in_order.is_cancelled() || self.stop.at_once.is_cancelled()
    }

    async fn told_to_stop(&self) {
        tokio::select! {
            () = self.stop.in_order.cancelled() => {}
            () = self.stop.at_once.cancelled() => {}
        }
    }

    /// Runs once from the last checkpoint on. `end` is the offset to stop at, once it is known; `backfill` are models that have not
    /// joined the race, with which it begins again once they can.
    async fn attempt(&self, end: &mut Option<i64>, backfill: &mut Option<Backfill>) -> Result<(), Error> {
        let Self { transport, store, config, budget, registry, form, partition, gauges, stop } = self;
        let (topic, labels_topic) = (config.processor.topic.as_str(), config.processor.labels.as_deref());
        let schemas = |topic, decided| {
            let place = (topic, *partition);
            let (store, counters) = (Arc::clone(store), Arc::clone(&gauges.counters));
            Schemas::new(registry.clone(), store, place, &config.processor.schema, decided, counters)
        };
        let opening = async {
            let samples = transport.reader(topic, *partition).await?;
            let labels = match labels_topic {
                Some(topic) => Some(transport.reader(topic, *partition).await?),
                None => None,
            };
            let mut inputs = Inputs { samples, labels };
            let mut publisher = transport.publisher(*partition).await?;
            // All that models learn before they join the race has been read before.
            let before = schemas(topic, i64::MAX);
            let (mut processor, interleaving) =
                recover(config, store, *partition, &mut inputs, &mut publisher, backfill, before).await?;
            processor.publish_as(*form);
            let beside = match backfill.take() {
                Some(backfill) => Some((backfill, transport.reader(topic, *partition).await?)),
                None => None,
            };
            if config.until_caught_up && end.is_none() {
                *end = Some(inputs.samples.range().await?.end);
            }
            let labels_end = match &mut inputs.labels {
                Some(labels) if config.until_caught_up => Some(labels.range().await?.end),
                _ => None,
            };
            Ok::<_, Error>((inputs, labels_end, interleaving, publisher, processor, beside))
        };
        // On the heap, since it is large and over soon, and a process may have a thousand workers.
        let (inputs, labels_end, interleaving, publisher, processor, beside) = tokio::select! {
            () = self.told_to_stop() => return Ok(()),
            opened = Box::pin(opening) => opened?,
        };
        let position = processor.position();
        gauges.confirmed.send_replace(position);
        gauges.snapshot.send_replace(Some(Arc::new(processor.snapshot())));

        let (batches, incoming) = mpsc::channel(CHANNEL_CAPACITY);
        let (outboxes, outgoing) = mpsc::channel(CHANNEL_CAPACITY);
        let all_read = Arc::new(AtomicBool::new(false));
        // The race ends where models have caught up with it, too.
        let race = stop.in_order.child_token();
        let Inputs { samples, labels } = inputs;
        let intake = Intake {
            reader: samples,
            batches,
            end: *end,
            counters: Arc::clone(&gauges.counters),
            stop: race.clone(),
            ahead: ReadAhead::new(&config.processor.schema),
            reads_rows: true,
            schemas: schemas(topic, processor.published_up_to()),
            share: budget.share(),
        };
        let mut feed = None;
        let labels = labels.zip(labels_topic).zip(processor.labels_reached());
        let fetch_labels = labels.map(|((reader, topic), (position, end))| {
            let (batches, incoming) = mpsc::channel(CHANNEL_CAPACITY);
            let published = processor.published_up_to_in(Output::Predictions);
            let schemas = schemas(topic, interleaving.known());
            let all_read = Arc::<AtomicBool>::default();
            feed = Some(LabelFeed::new(
                incoming,
                interleaving,
                published,
                (position, end),
                Ends { at: labels_end, stop: race.clone(), all_read: Arc::clone(&all_read) },
            ));
            let intake = Intake {
                reader,
                batches,
                end: labels_end,
                counters: Arc::clone(&gauges.counters),
                stop: race.clone(),
                ahead: ReadAhead::new(&config.processor.schema),
                reads_rows: false,
                schemas,
                share: budget.share(),
            };
            let read = fetch(intake, position, all_read).in_current_span();
            AbortOnDropHandle::new(tokio::spawn(read))
        });
        let results = Results {
            outboxes,
            snapshots: gauges.snapshot.clone(),
            replicas: gauges.replicas.clone(),
            counters: Arc::clone(&gauges.counters),
            checkpoint_every: config.checkpoint_every,
            all_read: Arc::clone(&all_read),
            spout: Spout::new(Arc::clone(&gauges.tap)),
            end: *end,
            labels: feed,
        };
        // Dropping the worker drops its tasks, too.
        let fetch = AbortOnDropHandle::new(tokio::spawn(fetch(intake, position, all_read).in_current_span()));
        let beside_ends = stop.in_order.child_token();
        let beside = beside.map(|(backfill, reader)| {
            let (ahead, confirmed) = (ReadAhead::new(&config.processor.schema), gauges.confirmed.subscribe());
            // All that it reads has been read before.
            let learned = backfill.run(
                reader,
                (ahead, schemas(topic, i64::MAX)),
                budget.share(),
                confirmed,
                race,
                beside_ends.clone(),
            );
            AbortOnDropHandle::new(tokio::spawn(learned.in_current_span()))
        });
        let process = process(Box::new(processor), incoming, results).in_current_span();
        let process = AbortOnDropHandle::new(tokio::spawn(process));
        let publish = publisher.run(outgoing, gauges.confirmed.clone()).in_current_span();
        let publish = AbortOnDropHandle::new(tokio::spawn(publish));
        let mut all = vec![fetch.abort_handle(), process.abort_handle(), publish.abort_handle()];
        all.extend(fetch_labels.as_ref().map(AbortOnDropHandle::abort_handle));
        // A task that ends makes the one before it end: the channel between them closes. Where labels are fetched no more before their
        // time, `process` ends.
        let fetch_labels = async {
            match fetch_labels {
                Some(handle) => joined("fetch labels", handle).await,
                None => Ok(()),
            }
        };
        let joined = async {
            tokio::join!(joined("fetch", fetch), fetch_labels, joined("process", process), joined("publish", publish))
        };
        tokio::pin!(joined);
        let (fetched, fetched_labels, processed, published) = tokio::select! {
            ended = &mut joined => ended,
            () = stop.at_once.cancelled() => {
                all.iter().for_each(AbortHandle::abort);
                joined.await
            }
        };
        let ended = published.and(fetched).and(fetched_labels).and(processed);
        let Some(beside) = beside else { return ended };
        beside_ends.cancel();
        let (models, learned) = beside.await.map_err(|_| Error::Panicked { task: "backfill" })?;
        *backfill = Some(models);
        ended.and(learned)
    }
}

async fn joined<E: Into<Error>>(task: &'static str, handle: AbortOnDropHandle<Result<(), E>>) -> Result<(), Error> {
    match handle.await {
        Ok(result) => result.map_err(Into::into),
        // It was told to end at once.
        Err(error) if error.is_cancelled() => Ok(()),
        Err(_) => Err(Error::Panicked { task }),
    }
}
