//! Reads one partition of a topic.

use std::{ops::Range, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{
    client::{Came, Cluster, Fault, Partition, Retry, Subscription, Try, What},
    open_transaction::OpenTransaction,
    protocol::{self, At, Committed, TopicId},
};
use thalweg_topic::{Error, Fetched, Reader, Start};

/// Time without an answer after which a topic that was asked for by name may be another one.
const MAX_SILENCE: Duration = Duration::from_secs(2);

/// A reader of what is committed: where a topic is written in transactions, it ends at the last stable offset, and what
/// was aborted is passed over.
///
/// Invariant: all that it reads is of one topic. When that was made anew, it ends ([`Error::Interrupted`]), so that whoever
/// goes on looks where. Where records can be asked for by the topic's name alone, its identity is asked for after whatever
/// brings some, if it has one.
#[derive(Debug)]
pub struct KafkaReader {
    partition: Partition,
    /// The wait at the end, while it is there.
    subscription: Option<Subscription>,
    /// Time of the last answer about the topic's name, which another topic may have by now; `None` where answers are about
    /// its identity.
    named: Option<Instant>,
    /// Set where something has failed since.
    failed: bool,
    open_transaction: OpenTransaction,
    /// Set once the log says that the topic is written in transactions.
    said: bool,
    action: String,
}

impl KafkaReader {
    pub(super) fn new(cluster: &Arc<Cluster>, topic: &str, partition: i32) -> Self {
        cluster.note_readers(1);
        Self {
            partition: Partition::of_the_same_topic(cluster, topic, partition),
            subscription: None,
            named: None,
            failed: false,
            open_transaction: OpenTransaction::default(),
            said: false,
            action: format!("reading `{topic}`/{partition}"),
        }
    }

    /// Reads what is there, or waits at the end for what comes.
    async fn read(&mut self, offset: i64) -> Try<protocol::Fetched> {
        if self.subscription.as_ref().is_some_and(|subscription| subscription.offset() != offset) {
            self.subscription = None;
        }
        let (fetched, answered) = match &mut self.subscription {
            // On the heap: large, and not what a reader waits for most of the time.
            None => {
                let fetched = Box::pin(self.partition.fetch(offset)).await?;
                let answered = Instant::now();
                let paused = self.named.is_some_and(|named| self.failed || answered - named > MAX_SILENCE);
                let brings = fetched.committed.next_offset.is_some();
                if paused || (fetched.by_name && brings && self.partition.identity().is_some()) {
                    Box::pin(self.partition.verify(answered)).await?;
                }
                (fetched, answered)
            }
            Some(subscription) => {
                let came = subscription.next().await.map_err(|fault| self.partition.judged(fault))?;
                let Came { what, answered, paused } = came;
                let brings = matches!(what, What::Records(_));
                let named = self.named.is_some() && brings && self.partition.identity().is_some();
                if let Some(since) = paused.or(named.then_some(answered)) {
                    Box::pin(self.partition.verify(since)).await?;
                }
                let fetched = match what {
                    What::Records(brought) => self.partition.records(brought, offset)?,
                    What::Nothing(last_stable_offset, end) => {
                        let (committed, by_name) = (Committed::default(), self.named.is_some());
                        protocol::Fetched { committed, last_stable_offset, end, by_name }
                    }
                };
                (fetched, answered)
            }
        };
        (self.named, self.failed) = (fetched.by_name.then_some(answered), false);
        let next = fetched.committed.next_offset.map_or(offset, |next| next.max(offset));
        let is_behind = next < fetched.last_stable_offset;
        match &self.subscription {
            None if !is_behind => {
                let ends = (fetched.last_stable_offset, fetched.end);
                self.subscription = Some(Box::pin(self.partition.subscribe(next, ends, answered)).await?);
            }
            Some(waits) if waits.offset() != next || (is_behind && !waits.has_more()) => self.subscription = None,
            _ => {}
        }
        Ok(fetched)
    }

    /// Asks until there is an answer, or the topic has gone.
    async fn retry<T, F: Future<Output = Try<T>>>(&self, mut ask: impl FnMut() -> F) -> Result<T, Error> {
        let mut retry = Retry::new(self.partition.cluster(), Some(self.partition.topic()), &self.action);
        loop {
            match ask().await {
                Ok(answer) => {
                    retry.succeeded();
                    return Ok(answer);
                }
                // When it is back it may be another one, so the worker has to look anew.
                Err(Fault::NoTopic(trouble)) if self.partition.has_met_its_topic() => {
                    let partition = self.partition.partition();
                    return Err(Error::Interrupted { partition, problem: trouble.problem });
                }
                Err(fault) => retry.after(fault).await?,
            }
        }
    }

    /// Reads in spite of a fault, as soon as that has passed.
    async fn read_on(&mut self, offset: i64, mut fault: Fault) -> Result<protocol::Fetched, Error> {
        let (cluster, topic) = (Arc::clone(self.partition.cluster()), self.partition.topic().to_owned());
        let action = self.action.clone();
        let mut retry = Retry::new(&cluster, Some(&topic), &action);
        loop {
            match fault {
                Fault::OutOfRange => match out_of_range(&self.partition, offset).await {
                    Ok(gap) => return Err(gap),
                    Err(other) => fault = other,
                },
                // When it is back it may be another one, so the worker has to look anew.
                Fault::NoTopic(trouble) => {
                    let partition = self.partition.partition();
                    return Err(Error::Interrupted { partition, problem: trouble.problem });
                }
                other => fault = other,
            }
            (self.subscription, self.failed) = (None, true);
            retry.after(fault).await?;
            match self.read(offset).await {
                Ok(fetched) => {
                    retry.succeeded();
                    return Ok(fetched);
                }
                Err(next) => fault = next,
            }
        }
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        self.partition.cluster().note_readers(-1);
    }
}

impl Reader for KafkaReader {
    fn resolve(&mut self, start: Start) -> impl Future<Output = Result<i64, Error>> + Send {
        async move { self.retry(|| resolved(&self.partition, start)).await }.boxed()
    }

    fn range(&mut self) -> impl Future<Output = Result<Range<i64>, Error>> + Send {
        async move { self.retry(|| self.partition.range()).await }.boxed()
    }

    fn identity(&self) -> Option<i64> {
        self.partition.identity().map(TopicId::short)
    }

    fn fetch(&mut self, offset: i64) -> impl Future<Output = Result<Fetched, Error>> + Send {
        async move {
            let fetched = match self.read(offset).await {
                Ok(fetched) => fetched,
                Err(fault) => Box::pin(self.read_on(offset, fault)).await?,
            };
            let committed = fetched.committed;
            if committed.transactional && !self.said {
                self.said = true;
                tracing::info!(
                    event = "transactional_topic",
                    topic = self.partition.topic(),
                    partition = self.partition.partition(),
                    offset,
                    "the topic is written in transactions: records come once they are committed, aborted ones never"
                );
            }
            let next_offset = committed.next_offset.map_or(offset, |next| next.max(offset));
            let high_watermark = fetched.last_stable_offset.max(next_offset);
            let end = fetched.end.max(high_watermark);
            if self.open_transaction.is_of_interest(fetched.last_stable_offset, end) {
                let saw = self.open_transaction.saw(&self.partition, next_offset, fetched.last_stable_offset, end);
                Box::pin(saw).await;
            }
            Ok(Fetched { records: committed.records, next_offset, high_watermark, end })
        }
        .boxed()
    }
}

async fn resolved(partition: &Partition, start: Start) -> Try<i64> {
    match start {
        Start::Earliest => partition.offset(At::Earliest).await,
        Start::Latest => partition.offset(At::Latest).await,
        Start::Offset(offset) => Ok(offset),
        Start::Timestamp(time) => match partition.offset(At::Time(time)).await? {
            // Nothing is that young.
            offset if offset < 0 => partition.offset(At::Latest).await,
            offset => Ok(offset),
        },
    }
}

/// Tells an offset that is really not there from a broker that is only behind for a moment.
async fn out_of_range(partition: &Partition, offset: i64) -> Try<Error> {
    let available = partition.range().await?;
    if (available.start..=available.end).contains(&offset) {
        return Err(Fault::transient("the broker does not know an offset that it lists"));
    }
    Ok(Error::Gap {
        topic: partition.topic().to_owned(),
        partition: partition.partition(),
        requested: offset,
        missing: (available.start - offset).max(0),
        available,
    })
}
