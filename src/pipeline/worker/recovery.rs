//! Finds where a worker continues: its newest checkpoint, the outputs published past it, and gaps in the topic.
//!
//! Invariant: before anything new is published there is a checkpoint that says where it began. So a crash at any moment
//! leads back to the same input offset, whatever `start` means by then, and past a gap only once.

use std::{ops::Range, sync::Arc};

use super::{
    Config, Error,
    backfill::{Backfill, settle},
    schemas::Schemas,
};
use crate::{
    checkpoint::Checkpoint,
    checkpoints,
    decode::Schema,
    gap::{Anchor, Gap, Policy, Reason},
    label_topic::LabelsRead,
    processor::Processor,
};
use thalweg_store::{Store, set_meta};
use thalweg_topic::{Interleaving, Outputs, Published, Publisher, Reader, Resumed, Start, record::Record};

/// The inputs of a partition.
pub(super) struct Inputs<R> {
    pub(super) samples: R,
    /// Labels that have a topic of their own.
    pub(super) labels: Option<R>,
}

/// Restores the newest checkpoint, or begins where the settings say, and finds out what has been published past it, and how samples
/// and labels were interleaved there.
///
/// # Errors
/// [`Error::Gap`] when records are missing and the settings do not allow for that, and errors that the transport or
/// the state file cannot mend.
pub(super) async fn recover<R: Reader, P: Publisher>(
    config: &Config,
    store: &Arc<Store>,
    partition: i32,
    inputs: &mut Inputs<R>,
    publisher: &mut P,
    backfill: &mut Option<Backfill>,
    schemas: Schemas,
) -> Result<(Processor, Interleaving), Error> {
    let Inputs { samples: reader, labels } = inputs;
    let range = reader.range().await?;
    let found = found(config, store, partition, &range, reader).await?;
    let restored = found.stored.is_some();
    let mut position = match &found {
        Found { gap: Some(gap), .. } => gap.resumed,
        Found { stored: Some(stored), .. } => stored.position,
        Found { .. } => beginning(config, partition, &range, reader).await?,
    };
    let resumed = publisher.resume(found.outputs(), if restored { position } else { 0 }).await?;
    let furthest = resumed.published.into_iter().max().unwrap_or(position);
    // New records may have come, and another worker may have published for them: so we ask for the topic's end again,
    // afterwards.
    let range = if furthest > range.end { range.start..reader.range().await?.end } else { range };
    if let (false, Start::Latest | Start::Timestamp(_)) = (restored, config.start) {
        // `latest` and times mean another offset at every start; the outputs' last source offset does not.
        position = resumed.published.into_iter().max().filter(|last| *last > 0).map_or(position, |it| it.min(position));
    }
    let is_blind = resumed.is_blind;
    let (mut interleaving, ends) = (resumed.interleaving.clone(), resumed.outputs);
    let Settled { published, since, gap } = settled(config, partition, &found, position, resumed, &range)?;
    let Found { mut stored, before, .. } = found;
    if let (Some(gap), Some(stored)) = (gap, &mut stored) {
        behind(stored, gap, position, &config.processor.topic);
    }
    if gap.is_some_and(|gap| gap.reason != Reason::Retention) {
        interleaving.forget_samples();
    }
    let labels = match labels.as_mut().zip(config.processor.labels.as_deref()) {
        Some((reader, topic)) => {
            let stored = stored.as_ref().and_then(|stored| stored.labels_read.as_ref());
            let from = labels_from(config, store, (topic, partition), stored, reader, &mut interleaving).await?;
            Some((from, reader))
        }
        None => None,
    };
    let before_it = stored.as_ref().map(|stored| stored.settings);
    let mut race = config.processor.clone();
    match stored {
        Some(checkpoint) if gap.is_none() => {
            let (checkpoint, settled) = settle(config, checkpoint, &range, reader, backfill, schemas).await?;
            (stored, race) = (Some(checkpoint), settled);
        }
        _ => *backfill = None,
    }
    let (mut processor, afresh) = Processor::new(&race, partition, position, stored);
    if let Some(schema) = before {
        processor.read_before(schema);
    }
    processor.skip_published(published);
    let (mut is_behind_gap, mut since) = (gap.is_some(), since);
    if let Some((LabelsFrom { read, end, is_anew }, _)) = &labels {
        is_behind_gap |= read.gap.is_some() || *is_anew;
        // What the outputs say of other labels must not be read back. How far they have got the checkpoint says itself.
        since = if *is_anew { ends } else { since };
        processor.read_labels(read.clone(), *end, &interleaving);
    }
    let same_settings = before_it == Some(race.fingerprint());
    if is_behind_gap || ((is_blind || !same_settings) && processor.may_begin_here()) {
        store.save(Box::new(processor.checkpoint().at(since))).await?;
    }
    note_identity(&config.processor.topic, store, partition, reader.identity()).await?;
    if let Some((from, reader)) = labels {
        note_identity(&from.read.topic, store, partition, reader.identity()).await?;
    }
    tell(&processor, restored, published, &afresh);
    Ok((processor, interleaving))
}

/// Where a partition of the labels topic is read on from.
struct LabelsFrom {
    read: LabelsRead,
    /// Offset after the last record that the topic holds.
    end: i64,
    /// True where its offsets mean other labels than what is published says.
    is_anew: bool,
}

/// Finds where a partition of the labels topic is read on from, behind a gap if the settings allow for it.
async fn labels_from<R: Reader>(
    config: &Config,
    store: &Arc<Store>,
    (topic, partition): (&str, i32),
    stored: Option<&LabelsRead>,
    reader: &mut R,
    interleaving: &mut Interleaving,
) -> Result<LabelsFrom, Error> {
    let range = reader.range().await?;
    let from = |position, anchor, gap, is_anew| {
        let read = LabelsRead { topic: topic.to_owned(), position, anchor, gap };
        LabelsFrom { read, end: range.end.max(position), is_anew }
    };
    let is_other = stored.is_some_and(|stored| stored.topic != topic);
    if is_other {
        *interleaving = Interleaving::default();
    }
    let mut gap = None;
    let (mut position, mut anchor) = match stored.filter(|_| !is_other) {
        Some(stored) => {
            let last = record_at(stored.anchor, &range, reader).await?;
            let known = store.meta(&identity_name(topic, partition))?;
            let anew = known.zip(reader.identity()).is_some_and(|(known, now)| known != now);
            gap = Gap::in_range(stored.position, &range, stored.anchor, last.as_ref(), anew);
            (stored.position, stored.anchor)
        }
        None => {
            // An offset is one of the samples'.
            let start = if matches!(config.start, Start::Offset(_)) { Start::Earliest } else { config.start };
            let position = reader.resolve(start).await?;
            let known = Some(interleaving.known()).filter(|known| *known > 0 && start != Start::Earliest);
            (known.map_or(position, |known| known.min(position)), None)
        }
    };
    // Labels that predictions knew of are not there any more.
    gap = gap.or_else(|| Gap::at_the_end(interleaving.known(), range.end.max(position)));
    if let Some(found) = gap {
        gap = Some(accepted(config, (topic, topic), partition, found, &range)?);
        if found.reason.changes_offsets() {
            *interleaving = Interleaving::default();
        }
        if found.reason != Reason::Truncated {
            (position, anchor) = (found.resumed, None);
        }
    }
    let is_anew = is_other || gap.is_some_and(|gap| gap.reason.changes_offsets());
    // An earlier one may not be published yet.
    let gap = gap.or(stored.filter(|_| !is_other).and_then(|stored| stored.gap));
    Ok(from(position, anchor, gap, is_anew))
}

/// Name in the state file of the identity of the topic that a partition was learned from.
fn identity_name(topic: &str, partition: i32) -> String {
    format!("identity:{topic}/{partition}")
}

/// Keeps the identity of the topic; after the checkpoint behind a gap, so that a crash between the two finds that gap again.
async fn note_identity(topic: &str, store: &Arc<Store>, partition: i32, identity: Option<i64>) -> Result<(), Error> {
    let name = identity_name(topic, partition);
    let known = store.meta(&name)?;
    match identity.filter(|now| known != Some(*now)) {
        Some(now) => {
            Ok(store.write("the topic's identity cannot be written", move |tx| set_meta(tx, &name, now)).await?)
        }
        None => Ok(()),
    }
}

/// Stored state to continue from, and the gap between it and what the topic holds.
struct Found {
    stored: Option<Checkpoint>,
    /// Schema under which the outputs' records were read, where everything is learned anew.
    before: Option<Schema>,
    gap: Option<Gap>,
}

impl Found {
    /// Returns the ends of the outputs at the checkpoint.
    fn outputs(&self) -> Outputs {
        self.stored.as_ref().map(Checkpoint::outputs).unwrap_or_default()
    }
}

async fn found<R: Reader>(
    config: &Config,
    store: &Arc<Store>,
    partition: i32,
    range: &Range<i64>,
    reader: &mut R,
) -> Result<Found, Error> {
    let topic = &config.processor.topic;
    if let Some(stored) = checkpoints::load(store, topic, partition)? {
        if stored.relearn {
            return Ok(Found { stored: None, before: stored.schema, gap: None });
        }
        let gap = missing(config, store, &stored, range, reader).await?;
        return Ok(Found { stored: Some(stored), before: None, gap });
    }
    let other = store.other_topic(topic, partition)?;
    let stored = other.map(|other| checkpoints::load(store, &other, partition)).transpose()?.flatten();
    let gap = left_behind(config, stored.as_ref(), range, reader).await?;
    Ok(Found { stored, before: None, gap })
}

/// Source offsets from which on nothing is published, ends from which the outputs are read back, and the gap.
struct Settled {
    published: Published,
    since: Outputs,
    gap: Option<Gap>,
}

/// Reconciles the outputs with the checkpoint and the gap.
fn settled(
    config: &Config,
    partition: i32,
    found: &Found,
    position: i64,
    resumed: Resumed,
    range: &Range<i64>,
) -> Result<Settled, Error> {
    let topic = &config.processor.topic;
    let (mut gap, mut since) = (found.gap, found.outputs());
    let Resumed { mut published, outputs, is_blind, interleaving: _ } = resumed;
    if is_blind {
        since = seen(since, &outputs, published, position);
    }
    // Outputs that the checkpoint has as published count as published, also where the topic has lost them.
    let stored = found.stored.as_ref();
    let floor = stored.filter(|stored| stored.topic == *topic).map_or([0; 3], |stored| stored.published);
    for (published, floor) in published.iter_mut().zip(floor) {
        *published = (*published).max(floor).max(position);
    }
    match gap.map(|gap| gap.reason) {
        // The existing outputs refer to records that are gone or of another topic: they do not count as published.
        Some(Reason::Recreated) => (published, since) = ([position; 3], outputs),
        Some(Reason::OtherTopic | Reason::Truncated) => {}
        Some(Reason::Retention) | None => {
            let furthest = published.into_iter().max().unwrap_or(position);
            if let Some(truncated) = Gap::at_the_end(furthest, range.end.max(position)) {
                gap = Some(accepted(config, (topic, topic), partition, truncated, range)?);
            }
        }
    }
    if let Some(Gap { reason: Reason::Truncated, resumed, .. }) = gap {
        // From there on the same offsets mean other records.
        (published, since) = (published.map(|published| published.min(resumed)), outputs);
    }
    Ok(Settled { published, since, gap })
}

/// Returns the ends of the outputs up to which nothing has been published past `position`. What the publisher has said of itself
/// since the checkpoint is before these: where it cannot be read back, it would be taken for what a crash has left.
fn seen(since: Outputs, outputs: &Outputs, published: Published, position: i64) -> Outputs {
    let mut seen = *outputs;
    for (i, published) in published.into_iter().enumerate() {
        if published > position {
            seen.offsets[i] = if since.topics == outputs.topics { since.offsets[i] } else { 0 };
        }
    }
    seen
}

/// Logs where it continues, and with which state.
fn tell(processor: &Processor, restored: bool, published: Published, afresh: &[String]) {
    let snapshot = processor.snapshot();
    let (partition, position) = (snapshot.partition, snapshot.position);
    tracing::info!(
        event = "worker_started",
        partition,
        position,
        restored,
        version = snapshot.version,
        champion = snapshot.champion_name(),
        replay = published[0].max(published[1]).saturating_sub(position),
        "worker started"
    );
    for model in afresh {
        tracing::warn!(
            event = "model_afresh",
            partition,
            model,
            "model starts afresh: it is new, or its settings or the schema are not those of the stored state; \
             `thalweg model restore` lists what can be gone back to"
        );
    }
}

/// Returns the offset to begin at without a checkpoint.
async fn beginning<R: Reader>(
    config: &Config,
    partition: i32,
    range: &Range<i64>,
    reader: &mut R,
) -> Result<i64, Error> {
    let position = reader.resolve(config.start).await?;
    // Every other position exists, or did a moment ago.
    if matches!(config.start, Start::Offset(_)) && position > range.end {
        let problem = format!(
            "transport.kafka.start is {position}, but partition {partition} ends at {}; name an offset that is there, or \
             \"latest\"",
            range.end
        );
        return Err(Error::Transport(thalweg_topic::Error::Topic { topic: config.processor.topic.clone(), problem }));
    }
    Ok(position)
}

/// Finds the gap between a checkpoint and the topic as it is now, if the settings allow for it.
async fn missing<R: Reader>(
    config: &Config,
    store: &Arc<Store>,
    stored: &Checkpoint,
    range: &Range<i64>,
    reader: &mut R,
) -> Result<Option<Gap>, Error> {
    let last = record_at(stored.anchor, range, reader).await?;
    let known = store.meta(&identity_name(&stored.topic, stored.partition))?;
    let anew = known.zip(reader.identity()).is_some_and(|(known, now)| known != now);
    let found = Gap::in_range(stored.position, range, stored.anchor, last.as_ref(), anew);
    let Some(mut gap) = found else { return Ok(None) };
    if gap.reason == Reason::Recreated && stored.position > range.end {
        // Older checkpoints tell another topic from a truncated one: the last record of one of them may still be there.
        for older in store.kept(&stored.topic, stored.partition, &checkpoints::read)? {
            let Some(record) = record_at(older.anchor, range, reader).await? else { continue };
            if older.anchor == Some(Anchor::of(&record)) {
                gap = Gap { reason: Reason::Truncated, resumed: range.end, ..gap };
            }
            break;
        }
    }
    accepted(config, (&stored.topic, &config.processor.topic), stored.partition, gap, range).map(Some)
}

/// Reads the record that is now at the offset of the last record that was processed.
async fn record_at<R: Reader>(
    anchor: Option<Anchor>,
    range: &Range<i64>,
    reader: &mut R,
) -> Result<Option<Record>, Error> {
    match anchor {
        Some(anchor) if range.contains(&anchor.offset) => {
            Ok(reader.fetch(anchor.offset).await?.records.into_iter().next())
        }
        _ => Ok(None),
    }
}

/// Makes the gap between the topic that was learned from and the configured one, if the settings allow for it.
async fn left_behind<R: Reader>(
    config: &Config,
    stored: Option<&Checkpoint>,
    range: &Range<i64>,
    reader: &mut R,
) -> Result<Option<Gap>, Error> {
    let Some(stored) = stored else { return Ok(None) };
    let resumed = reader.resolve(config.start).await?;
    let gap = Gap { reason: Reason::OtherTopic, requested: stored.position, resumed, missed: None };
    accepted(config, (&stored.topic, &config.processor.topic), stored.partition, gap, range).map(Some)
}

/// Accepts the gap of `topic` and logs it, or stops.
fn accepted(
    config: &Config,
    (learned_from, topic): (&str, &str),
    partition: i32,
    gap: Gap,
    available: &Range<i64>,
) -> Result<Gap, Error> {
    let topic = topic.to_owned();
    if config.on_gap == Policy::Stop {
        let available = available.clone();
        return Err(Error::Gap { learned_from: learned_from.to_owned(), topic, partition, gap, available });
    }
    tracing::warn!(
        event = "gap",
        reason = gap.reason.name(),
        topic,
        partition,
        learned_from,
        requested = gap.requested,
        resumed = gap.resumed,
        first = available.start,
        end = available.end,
        missed = gap.missed,
        "records are missing; going on behind the gap with what has been learned"
    );
    Ok(gap)
}

/// Moves a checkpoint behind a gap, to `position`.
fn behind(stored: &mut Checkpoint, gap: Gap, position: i64, topic: &str) {
    stored.missed = stored.missed.saturating_add(gap.missed.unwrap_or(0));
    // A gap whose event is not published yet becomes part of this one.
    stored.gap = Some(match stored.gap {
        Some(earlier) if earlier.reason == gap.reason => Gap {
            requested: earlier.requested,
            missed: gap.missed.zip(earlier.missed).map(|(now, before)| now + before),
            ..gap
        },
        _ => gap,
    });
    if stored.position != position || gap.reason != Reason::Truncated {
        stored.anchor = None;
    }
    stored.generation = stored.generation.saturating_add(gap.reason.changes_offsets().into());
    stored.position = position;
    topic.clone_into(&mut stored.topic);
}
