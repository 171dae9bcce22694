//! A worker's eyes on its outputs: whether another Thalweg publishes the same, and which records are there twice for it.
//!
//! Invariant: nothing that another one has published between what is ours goes unseen, however short its life was; who was there
//! first goes on.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use super::{
    client::{Partition, Try},
    errors::not_retried,
    foreign::Found,
    protocol::{At, ProducerId},
    rivals::{Overlap, Place, Rival},
    shared::Shared,
};
use thalweg_store::RateLimited;
use thalweg_topic::{Error, Output};

/// What a last look at an output that partitions share may take.
const MAX_LAST_LOOK: Duration = Duration::from_secs(5);

/// Watches what is published for one partition.
#[derive(Debug)]
pub(super) struct Lookout {
    shared: Arc<Shared>,
    /// Of the samples.
    partition: i32,
    handles: [Partition; 3],
    /// The identity under which the worker publishes.
    own: ProducerId,
    /// Records that others have put into our outputs.
    foreign: RateLimited,
    /// By output, the first offset at which another Thalweg publishes the same.
    overlaps: BTreeMap<Output, i64>,
}

/// Somebody who has written into an output of ours.
struct Sighting {
    found: Found,
    /// Set where that was since the batch before, so that it is there now.
    is_there: bool,
}

impl Lookout {
    pub(super) fn new(shared: &Arc<Shared>, partition: i32) -> Self {
        Self {
            shared: Arc::clone(shared),
            partition,
            handles: shared.outputs_of(partition),
            own: ProducerId::MAX,
            foreign: RateLimited::default(),
            overlaps: BTreeMap::new(),
        }
    }

    /// The worker publishes as `own`, where its outputs have these ends.
    pub(super) fn begin(&mut self, own: ProducerId, ends: [i64; 3]) {
        self.own = own;
        for output in Output::ALL {
            self.shared.foreign(output, self.partition).begin(self.partition, own, ends[output as usize]);
        }
    }

    /// Looks at what is between what this process has sent: nobody else should write there. `range` is what the broker has just
    /// appended, where `expected` was the end of what is known.
    ///
    /// # Errors
    /// When another Thalweg publishes the same. The one that was started first begins again, behind what the other has
    /// published; the other one ends. So one goes on, whichever of them notices.
    pub(super) async fn watch(&mut self, output: Output, expected: i64, range: Range<i64>) -> Result<(), Error> {
        if !self.is_watched(output) {
            return Ok(());
        }
        let (topic, partition, base) = (self.shared.output_topic(output), self.partition, range.start);
        // The next batch that is not where it was expected is looked at.
        let unread = |error: Error| {
            tracing::warn!(
                event = "output_unread",
                topic,
                partition,
                from = expected,
                to = base,
                %error,
                "somebody has written to an output, and it could not be looked at who"
            );
        };
        let Sighting { found, is_there } = match self.sight(output, expected, range).await {
            Ok(Some(sighting)) => sighting,
            Ok(None) => return Ok(()),
            Err(fault) => {
                unread(not_retried(fault, partition));
                return Ok(());
            }
        };
        let first = found.first;
        let rival = match self.rival(output, found).await? {
            Ok(Some(rival)) => rival,
            Ok(None) => {
                if self.shared.is_exclusive(output) {
                    self.foreign.seen(output.name(), |times| {
                        tracing::error!(
                            event = "foreign_records",
                            topic,
                            partition,
                            from = expected,
                            to = base,
                            times,
                            "another producer writes to an output of ours; give it a topic of its own"
                        );
                    });
                }
                return Ok(());
            }
            Err(error) => {
                unread(error);
                return Ok(());
            }
        };
        self.overlaps.entry(output).or_insert(first);
        let by = rival.to_string();
        let is_older = rival.is_older(&self.shared, self.own);
        if is_older && is_there {
            let (samples, output) = (self.shared.topics.samples.clone(), topic.to_owned());
            return Err(Error::Contended { samples, partition, output, rival: by });
        }
        if is_older {
            tracing::warn!(
                event = "rival",
                topic,
                partition,
                by,
                "another Thalweg has published the same; going on behind that, and looking whether it is still there"
            );
        } else {
            tracing::warn!(
                event = "rival",
                topic,
                partition,
                by,
                "another Thalweg publishes the same and has been there for less long, so that it has to end; going on behind \
                 what it has published"
            );
        }
        let problem = "another Thalweg publishes the same".to_owned();
        Err(Error::Interrupted { partition, problem })
    }

    /// Names what another one has published, too. Nothing of ours is under way any more; it was taken to the end where
    /// `in_order` is set.
    pub(super) async fn end(&mut self, in_order: bool) {
        let watched = Output::ALL.into_iter().filter(|output| self.is_watched(*output));
        let shared: Vec<Output> = watched.filter(|output| !self.shared.is_exclusive(*output)).collect();
        // After any other failure its next run looks.
        if in_order || !self.overlaps.is_empty() {
            for output in shared {
                self.look_once_more(output).await;
            }
        }
        for (output, from) in std::mem::take(&mut self.overlaps) {
            Overlap { place: self.place(output), from }.name().await;
        }
        if in_order {
            Output::ALL.iter().for_each(|output| self.shared.foreign(*output, self.partition).end(self.partition));
        }
    }

    /// Looks at what others have written to the end of an output that partitions share: nothing of ours comes behind that would
    /// lead there.
    async fn look_once_more(&mut self, output: Output) {
        let (handle, foreign) = (&self.handles[output as usize], self.shared.foreign(output, self.partition));
        let look = async {
            let looked = async {
                let end = handle.offset(At::Latest).await?;
                foreign.look(handle, output, &self.shared.topics.samples, end).await
            };
            looked.await.map_err(|fault| not_retried(fault, self.partition))?;
            let Some((found, _)) = foreign.take(self.partition) else { return Ok(None) };
            let first = found.first;
            Ok::<_, Error>(self.rival(output, found).await??.map(|_| first))
        };
        let problem = match tokio::time::timeout(MAX_LAST_LOOK, look).await {
            Ok(Ok(first)) => {
                if let Some(first) = first {
                    self.overlaps.entry(output).or_insert(first);
                }
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        tracing::warn!(
            event = "output_unread",
            topic = self.shared.output_topic(output),
            partition = self.partition,
            from = foreign.looked(),
            error = problem,
            "it could not be looked at whether others have written to an output since the last look"
        );
    }

    /// Whoever sends dead letters back says so on the events topic, and whoever publishes.
    fn is_watched(&self, output: Output) -> bool {
        output != Output::Events && self.shared.readable[output as usize]
    }

    /// Looks for somebody who has written beside `range`, which is ours, where `expected` was the end of what is known.
    async fn sight(&self, output: Output, expected: i64, range: Range<i64>) -> Try<Option<Sighting>> {
        let foreign = self.shared.foreign(output, self.partition);
        if self.shared.is_exclusive(output) {
            foreign.passed(range.end);
            if range.start <= expected {
                return Ok(None);
            }
            let producers = self.place(output).producers(expected..range.start).await?;
            return Ok(Some(Sighting { found: Found { first: expected, producers }, is_there: true }));
        }
        // What lies between is mostly of other partitions.
        foreign.wrote(range.clone());
        if range.start > expected && foreign.is_due(self.partition, range.end) {
            let (handle, samples) = (&self.handles[output as usize], &self.shared.topics.samples);
            foreign.look(handle, output, samples, range.end).await?;
        }
        // Of one that has written before our last batch, what comes next tells whether it is still there.
        let taken = foreign.take(self.partition);
        Ok(taken.map(|(found, is_first)| Sighting { is_there: !is_first || found.first >= expected, found }))
    }

    /// Says which of those who were found is another Thalweg. What cannot be found out of somebody is kept for the next time.
    ///
    /// # Errors
    /// When the state file cannot be read, outside; when the topics cannot, inside.
    async fn rival(&self, output: Output, found: Found) -> Result<Result<Option<Rival>, Error>, Error> {
        let ours = self.shared.own_producers(self.partition)?;
        let rival = self.place(output).rival(&found.producers, self.own, &ours).await;
        Ok(rival.map_err(|fault| {
            self.shared.foreign(output, self.partition).put_back(self.partition, found);
            not_retried(fault, self.partition)
        }))
    }

    fn place(&self, output: Output) -> Place<'_> {
        let (handle, events) = (&self.handles[output as usize], &self.handles[Output::Events as usize]);
        Place { shared: &self.shared, output, partition: self.partition, handle, events }
    }
}
