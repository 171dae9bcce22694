//! The past of each partition: figures once a second, thinned with age, in the state file, and what happened meanwhile.
//!
//! Invariants: it is fed by looks at what the workers leave behind, so it costs them nothing. What is not written yet is bounded,
//! and a file that cannot be written costs the oldest of it and nothing else. [`tiers`] says how far back it goes.
//!
//! Reading order: this file, `tiers`, `block` (figures of consecutive slots), `marks` (events in words).

mod block;
mod marks;
mod tiers;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use block::Block;
pub(super) use marks::Told;
use thalweg_http::{History, HistoryQuery, Mark, ModelHistory};
use thalweg_metrics::Scores;
use thalweg_pipeline::snapshot::Snapshot;
use thalweg_store::{self as store, BlockKey, RateLimit, Store};
use tiers::{BLOCK_SLOTS, TIERS};

/// Time between two writes.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// Time between two writes of tiers whose slots are longer than that.
const WRITE_LONG_EVERY: Duration = Duration::from_secs(600);
/// Looks that wait to be written at most, by the second.
const MAX_WAITING_SECONDS: i64 = 900;
/// Marks that wait to be written at most.
const MAX_WAITING_MARKS: usize = 1000;
/// Marks of an answer at most.
const MAX_MARKS: usize = 1000;

/// Names of the columns of a partition, before those of its models.
const COLUMNS: [&str; 8] = [
    "records_per_second",
    "lag_records",
    "lag_seconds",
    "coverage",
    "width",
    "published.rmse",
    "published.mae",
    "published.skill",
];

/// The past.
#[derive(Debug)]
pub(super) struct Timeline {
    topic: String,
    waiting: Mutex<Waiting>,
    /// Held while what waited is on its way into the state file, so that nobody misses it.
    writing: Mutex<()>,
}

/// What is not in the state file yet.
#[derive(Debug)]
struct Waiting {
    /// By partition and tier.
    blocks: BTreeMap<(i32, usize), Block>,
    marks: Vec<store::Mark>,
    /// Columns that all partitions share, and the models that they are of.
    columns: Vec<String>,
    models: Vec<Arc<str>>,
    partitions: usize,
    /// By partition, the records at the last look, and how many came in a second.
    rates: BTreeMap<i32, (Instant, u64, Option<f64>)>,
    written: Instant,
    long_written: Instant,
    complaints: RateLimit,
}

/// The figures of a partition that are no part of its snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lag {
    pub(super) records: i64,
    pub(super) seconds: Option<f64>,
}

impl Timeline {
    pub(super) fn new(topic: &str) -> Self {
        let now = Instant::now();
        Self {
            topic: topic.to_owned(),
            writing: Mutex::default(),
            waiting: Mutex::new(Waiting {
                blocks: BTreeMap::new(),
                marks: Vec::new(),
                columns: Vec::new(),
                models: Vec::new(),
                partitions: 0,
                rates: BTreeMap::new(),
                written: now,
                long_written: now,
                complaints: RateLimit::default(),
            }),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes one look at a partition, at a second since the Unix epoch.
    pub(super) fn note(&self, second: i64, snapshot: &Snapshot, lag: Lag) {
        self.waiting().note(second, snapshot, lag);
    }

    /// Notes an event of a partition, at a time in milliseconds since the Unix epoch.
    pub(super) fn mark(&self, partition: i32, time: i64, told: Told) {
        if !told.is_mark() {
            return;
        }
        let waiting = &mut *self.waiting();
        if waiting.marks.len() < MAX_WAITING_MARKS {
            let Told { kind, model, words } = told;
            waiting.marks.push(store::Mark { partition, time, kind, model, told: words });
        }
    }

    /// Forgets how fast partitions were that are no longer here.
    pub(super) fn retain(&self, is_here: impl Fn(i32) -> bool) {
        let waiting = &mut *self.waiting();
        waiting.rates.retain(|partition, _| is_here(*partition));
        waiting.partitions = waiting.rates.len();
    }

    /// Returns the records a second of a partition, between the last two looks.
    pub(super) fn rate(&self, partition: i32) -> Option<f64> {
        self.waiting().rates.get(&partition)?.2
    }

    /// Writes what is due, or all; off the async threads.
    pub(super) async fn write(self: &Arc<Self>, store: &Arc<Store>, second: i64, all: bool) {
        let due = {
            let waiting = self.waiting();
            all || waiting.written.elapsed() >= WRITE_EVERY
        };
        if due {
            let (timeline, store) = (Arc::clone(self), Arc::clone(store));
            // A panic there has told of itself.
            let _ = tokio::task::spawn_blocking(move || timeline.write_blocking(&store, second, all)).await;
        }
    }

    fn write_blocking(&self, store: &Store, second: i64, all: bool) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (batch, marks, kept) = {
            let waiting = &mut *self.waiting();
            (waiting.take(all), std::mem::take(&mut waiting.marks), waiting.kept())
        };
        let keys: Vec<BlockKey> = batch.keys().copied().collect();
        let merged = |key: BlockKey, old: Option<Vec<u8>>| {
            let first = key.block * BLOCK_SLOTS;
            // What cannot be read is of no use to anybody.
            let mut whole = old.and_then(|old| Block::from_bytes(first, &old)).unwrap_or_default();
            batch.get(&key).into_iter().for_each(|block| whole.merge(block));
            whole.to_bytes(first)
        };
        let oldest: Vec<BlockKey> = keys
            .iter()
            .filter_map(|key| {
                let tier = TIERS.iter().position(|tier| tier.seconds == key.seconds)?;
                Some(BlockKey { block: (second / key.seconds - kept[tier]).div_euclid(BLOCK_SLOTS), ..*key })
            })
            .collect();
        let Err(error) = store.keep_history(&self.topic, &keys, merged, &marks, &oldest) else { return };
        let waiting = &mut *self.waiting();
        waiting.put_back(batch, marks, second);
        if waiting.complaints.is_due() {
            tracing::warn!(
                event = "history_unwritable", %error,
                "the history of the last minutes waits in memory; what is older than 15 min is lost"
            );
        }
    }

    /// Answers what was between two times.
    ///
    /// # Errors
    /// When the state file cannot be read, for people.
    pub(super) fn history(&self, store: &Store, query: &HistoryQuery) -> Result<History, String> {
        let HistoryQuery { partition, from, to, now, points } = *query;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (blocks, marks, kept) = {
            let waiting = self.waiting();
            (waiting.blocks.clone(), waiting.marks.clone(), waiting.kept())
        };
        let tier = tiers::fitting(kept, now - from, to - from, points);
        let seconds = TIERS[tier].seconds;
        let slots = from.div_euclid(seconds)..(to + seconds - 1).div_euclid(seconds);
        let range = slots.start.div_euclid(BLOCK_SLOTS)..(slots.end + BLOCK_SLOTS - 1).div_euclid(BLOCK_SLOTS);
        let failed = |error: store::Error| error.to_string();
        let mut whole = Block::default();
        for (block, figures) in store.blocks(&self.topic, partition, seconds, range).map_err(failed)? {
            Block::from_bytes(block * BLOCK_SLOTS, &figures).into_iter().for_each(|block| whole.merge(&block));
        }
        blocks.get(&(partition, tier)).into_iter().for_each(|block| whole.merge(block));
        let whole = whole.split(slots);
        let times = from * 1000..to * 1000;
        let mut happened = store.marks(&self.topic, partition, times.clone(), MAX_MARKS).map_err(failed)?;
        happened.extend(marks.into_iter().filter(|mark| mark.partition == partition && times.contains(&mark.time)));
        let surplus = happened.len().saturating_sub(MAX_MARKS);
        let marks = happened.into_iter().skip(surplus);
        let marks = marks.map(|store::Mark { time, kind, model, told, .. }| Mark { time, kind, model, told });
        Ok(told(&self.topic, &whole, query, seconds, marks.collect()))
    }
}

/// Lays out a block as an answer.
fn told(topic: &str, block: &Block, query: &HistoryQuery, seconds: i64, marks: Vec<Mark>) -> History {
    let series = |name: &str| {
        let column = block.columns().iter().position(|column| column == name);
        let value = |values: &[f32]| column.and_then(|i| values.get(i).copied()).filter(|value| value.is_finite());
        block.slots().map(|(_, values)| value(values)).collect::<Vec<_>>()
    };
    let models = block.columns().iter().filter_map(|name| name.strip_prefix("models.")?.strip_suffix(".rmse"));
    let model = |name: &str| ModelHistory {
        name: name.to_owned(),
        rmse: series(&format!("models.{name}.rmse")),
        mae: series(&format!("models.{name}.mae")),
    };
    let [records_per_second, lag_records, lag_seconds, coverage, width, rmse, mae, skill] = COLUMNS.map(series);
    History {
        topic: topic.to_owned(),
        partition: query.partition,
        from: query.from,
        to: query.to,
        resolution_seconds: seconds,
        times: block.slots().map(|(slot, _)| slot * seconds).collect(),
        records_per_second,
        lag_records,
        lag_seconds,
        coverage,
        width,
        rmse,
        mae,
        skill,
        models: models.map(model).collect(),
        marks,
    }
}

impl Waiting {
    fn note(&mut self, second: i64, snapshot: &Snapshot, lag: Lag) {
        if !snapshot.models.iter().map(|model| &model.name).eq(&self.models) {
            self.models = snapshot.models.iter().map(|model| Arc::clone(&model.name)).collect();
            let of_models = self.models.iter().flat_map(|name| ["rmse", "mae"].map(|it| format!("models.{name}.{it}")));
            self.columns = COLUMNS.map(str::to_owned).into_iter().chain(of_models).collect();
        }
        let now = Instant::now();
        let (at, before, rate) = self.rates.entry(snapshot.partition).or_insert((now, snapshot.records, None));
        let elapsed = now - *at;
        if !elapsed.is_zero() {
            *rate = Some(snapshot.records.saturating_sub(*before) as f64 / elapsed.as_secs_f64());
            (*at, *before) = (now, snapshot.records);
        }
        let coverage = snapshot.coverage.filter(|coverage| coverage.n() > 0);
        let published = &snapshot.published;
        let errors = |scores: &Scores| [scores.known(Scores::rmse), scores.known(Scores::mae)];
        let [rmse, mae] = errors(&published.rolling);
        let mut values = Vec::with_capacity(self.columns.len());
        let of_partition = [
            *rate,
            Some(lag.records as f64),
            lag.seconds,
            coverage.map(|coverage| coverage.recent()),
            coverage.map(|coverage| coverage.recent_width()),
            rmse,
            mae,
            published.skill,
        ];
        values.extend(of_partition.into_iter().map(|value| value.map_or(f32::NAN, |value| value as f32)));
        for model in &snapshot.models {
            values.extend(errors(&model.rolling).map(|value| value.map_or(f32::NAN, |value| value as f32)));
        }
        for (i, tier) in TIERS.iter().enumerate() {
            let block = self.blocks.entry((snapshot.partition, i)).or_default();
            block.note(second.div_euclid(tier.seconds), &self.columns, &values);
        }
    }

    /// Returns how many slots of each tier are kept.
    fn kept(&self) -> [i64; TIERS.len()] {
        tiers::kept(self.partitions, block::slot_bytes(self.columns.len()))
    }

    /// Takes out what is to be written.
    fn take(&mut self, all: bool) -> BTreeMap<BlockKey, Block> {
        let now = Instant::now();
        self.written = now;
        let long = all || self.long_written.elapsed() >= WRITE_LONG_EVERY;
        if long {
            self.long_written = now;
        }
        let mut batch = BTreeMap::new();
        for ((partition, tier), mut block) in std::mem::take(&mut self.blocks) {
            let seconds = TIERS[tier].seconds;
            if !long && seconds > WRITE_EVERY.as_secs() as i64 {
                self.blocks.insert((partition, tier), block);
                continue;
            }
            while let Some(slot) = block.first() {
                let number = slot.div_euclid(BLOCK_SLOTS);
                let part = block.split(number * BLOCK_SLOTS..(number + 1) * BLOCK_SLOTS);
                batch.insert(BlockKey { partition, seconds, block: number }, part);
            }
        }
        batch
    }

    /// Puts back what could not be written, as far as there is room.
    fn put_back(&mut self, batch: BTreeMap<BlockKey, Block>, marks: Vec<store::Mark>, second: i64) {
        for (BlockKey { partition, seconds, .. }, mut block) in batch {
            let Some(tier) = TIERS.iter().position(|tier| tier.seconds == seconds) else { continue };
            let recent = block.split((second - MAX_WAITING_SECONDS).div_euclid(seconds)..i64::MAX);
            if !recent.is_empty() {
                self.blocks.entry((partition, tier)).or_default().merge(&recent);
            }
        }
        let room = MAX_WAITING_MARKS.saturating_sub(self.marks.len());
        self.marks.splice(0..0, marks.into_iter().take(room));
    }
}
