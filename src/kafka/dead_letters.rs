//! Dead letters in a topic: read and sent back beside the daemon, without its state file.
//!
//! Reading order: this file, `ledger` (what was sent back, and by whom), `claims` (sending).

use std::{ops::Range, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};

use super::{
    Config,
    claims::Claims,
    client::{Cluster, Partition, partitions_of, retry, retry_on},
    ledger::Standing,
};
use thalweg_topic::{
    DeadLetters, Error, Fate, Page, Topics,
    dead_letters::{DeadLetter, Source},
};

/// Letters under one claim at most.
const MAX_CLAIMED: usize = 500;

/// The dead letters of a Kafka topic.
#[derive(Debug)]
pub struct KafkaDeadLetters {
    cluster: Arc<Cluster>,
    partitions: Vec<i32>,
    letters: Vec<Opened>,
    claims: Claims,
}

/// A partition of the dead-letters topic, and what it held then.
#[derive(Debug)]
struct Opened {
    handle: Partition,
    range: Range<i64>,
}

impl KafkaDeadLetters {
    /// Connects, waiting for the broker as long as it takes, and reads from the events what was sent back.
    ///
    /// # Errors
    /// When a topic is missing, or the broker refuses for good.
    pub fn open(config: Config, topics: Topics) -> BoxFuture<'static, Result<Self, Error>> {
        Self::opened(config, topics).boxed()
    }

    async fn opened(config: Config, topics: Topics) -> Result<Self, Error> {
        let cluster = Arc::new(Cluster::new(config, None)?);
        let handles = async |topic: &str| {
            let action = format!("looking for topic `{topic}`");
            let count = retry(&cluster, Some(topic), &action, || partitions_of(&cluster, topic)).await?;
            let missing = || Error::Topic {
                topic: topic.to_owned(),
                problem: "it does not exist; has the daemon run with these settings?".to_owned(),
            };
            let handle = |partition| Partition::new(&cluster, topic, partition);
            Ok::<Vec<Partition>, Error>((0..count.ok_or_else(missing)?).map(handle).collect())
        };
        let mut letters = Vec::new();
        for handle in handles(&topics.dead_letters).await? {
            let range = retry_on(&handle, "asking for offsets", || handle.range()).await?;
            letters.push(Opened { handle, range });
        }
        let partitions = (0..letters.len() as i32).collect();
        let (events, samples) = (handles(&topics.events).await?, handles(&topics.samples).await?);
        let labels = match &topics.labels {
            Some(labels) => handles(labels).await?,
            None => Vec::new(),
        };
        let claims = Claims::open(topics, events, samples, labels).await?;
        Ok(Self { cluster, partitions, letters, claims })
    }
}

impl DeadLetters for KafkaDeadLetters {
    fn topic(&self) -> &str {
        &self.claims.topics().dead_letters
    }

    fn partitions(&self) -> &[i32] {
        &self.partitions
    }

    fn takes_back(&self, source: &Source) -> bool {
        let topics = self.claims.topics();
        let is_ours = source.topic == topics.samples || Some(&source.topic) == topics.labels.as_ref();
        is_ours && self.claims.takes(self.claims.target(source))
    }

    fn read(&mut self, partition: i32, offset: i64) -> impl Future<Output = Result<Page, Error>> + Send {
        async move {
            let Some(Opened { handle, range }) = self.letters.get(partition as usize) else {
                return Ok(Page::default());
            };
            let offset = offset.max(range.start);
            if offset >= range.end {
                return Ok(Page::default());
            }
            let action = format!("reading `{}`/{partition}", handle.topic());
            let found = retry_on(handle, &action, || handle.fetch(offset)).await?.committed;
            let next = found.next_offset.filter(|next| (offset + 1..range.end).contains(next));
            let mut page = Page { next, ..Page::default() };
            for record in found.records.iter().filter(|record| record.offset < range.end) {
                match DeadLetter::read(partition, record) {
                    Some(mut letter) => {
                        letter.retried = *self.claims.standing(partition, letter.offset) == Standing::Retried;
                        page.letters.push(letter);
                    }
                    None => page.strangers += 1,
                }
            }
            Ok(page)
        }
        .boxed()
    }

    fn retry(&mut self, letters: Vec<DeadLetter>) -> impl Future<Output = Result<Vec<Fate>, Error>> + Send {
        async move {
            let limit = self.cluster.config().max_batch_bytes;
            let mut fates = Vec::with_capacity(letters.len());
            let mut batch: Vec<DeadLetter> = Vec::new();
            let mut bytes = 0;
            for letter in letters {
                let size = letter.sample().size();
                let target = self.claims.target(&letter.source);
                let same = batch.last().is_none_or(|last| self.claims.target(&last.source) == target);
                if !same || batch.len() >= MAX_CLAIMED || (!batch.is_empty() && bytes + size > limit) {
                    let full = std::mem::take(&mut batch);
                    fates.extend(self.claims.send(self.claims.target(&full[0].source), full).await?);
                    bytes = 0;
                }
                bytes += size;
                batch.push(letter);
            }
            if let Some(to) = batch.first().map(|letter| self.claims.target(&letter.source)) {
                fates.extend(self.claims.send(to, batch).await?);
            }
            Ok(fates)
        }
        .boxed()
    }
}
