//! Publishes what one worker makes, several requests in flight, in order.
//!
//! Invariant: requests are first polled in order on one connection per output, so they reach the broker in order, and
//! their records are numbered (`producer`), so the broker keeps to it; after a failure nothing more is sent, what is in
//! flight settles, and the worker begins again at its checkpoint, where [`Publisher::resume`] tells what has landed. So no
//! copy of what was sent has to be kept, and a failure takes the very path that a crash takes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, OnceLock, PoisonError},
};

use futures_util::{FutureExt, StreamExt, stream::FuturesOrdered};
use tokio::sync::{mpsc, watch};

use super::{
    checkpoint_writer::CheckpointWriter,
    client::{Fault, Partition, Producer, producer, retry_on},
    limits::{self, Refused},
    lookout::Lookout,
    protocol::{At, ProducerId, Time, advance},
    read_back,
    requests::{self, OutputProducer, ProduceOutcome, Request, Size, requests},
    rights, rivals,
    sent::SentTimes,
    shared::Shared,
};
use thalweg_store::{RateLimited, set_meta};
use thalweg_topic::Savepoint;
use thalweg_topic::{
    Error, Held, Interleaving, Outbox, Output, Outputs, Publisher, Resumed, Sequences, Timestamps, stamps,
};

/// Publishes what is made from one partition.
#[derive(Debug)]
pub struct KafkaPublisher {
    shared: Arc<Shared>,
    partition: i32,
    handles: [Partition; 3],
    /// The ends of the outputs; known once it has resumed.
    outputs: Outputs,
    /// Sees what others put into our outputs.
    lookout: Lookout,
    /// Records of samples that are older than their topic keeps any.
    too_old: RateLimited,
}

/// An outbox under way.
struct InFlightOutbox {
    /// Requests not yet acknowledged.
    open: usize,
    position: i64,
    checkpoint: Option<Box<dyn Savepoint>>,
    /// Given back with it.
    _held: Vec<Held>,
}

impl KafkaPublisher {
    pub(super) fn new(shared: Arc<Shared>, partition: i32) -> Self {
        let (lookout, handles) = (Lookout::new(&shared, partition), shared.outputs_of(partition));
        Self { shared, partition, handles, outputs: Outputs::default(), lookout, too_old: RateLimited::default() }
    }

    /// Returns the identity by which the broker knows this worker, also after a restart. It is a new one where there is none,
    /// or where a broker keeps refusing the same sequence number, or refuses one while a copy of the state file is about: two that
    /// have the same identity keep each other from publishing, and neither would see that the other is there.
    async fn identity(&self) -> Result<ProducerId, Error> {
        let name = self.shared.producer_name(self.partition);
        let renew = self.refused(|refused| {
            let lasting = refused.values().any(|refused| refused.is_lasting());
            if lasting {
                refused.clear();
            }
            lasting
        });
        match self.shared.store.meta(&name)? {
            Some(id) if !renew && !self.is_copied(id).await? => return Ok(id),
            Some(_) => tracing::warn!(
                event = "new_producer",
                partition = self.partition,
                "the broker does not go on with our numbers; going on as another producer"
            ),
            None => {}
        }
        let predictions = &self.handles[Output::Predictions as usize];
        let (topic, partition) = (predictions.topic(), predictions.partition());
        let id = producer::identity(&self.shared.cluster, topic, partition).await?;
        // What it sent under an earlier one may yet arrive.
        let kept = format!("{name}/{id}");
        let note = move |tx: &rusqlite::Transaction<'_>| {
            set_meta(tx, &name, id)?;
            set_meta(tx, &kept, id)
        };
        self.shared.store.write("the identity as a producer cannot be written", note).await?;
        Ok(id)
    }

    /// Says whether the broker has refused a number of ours, and another state file has this identity, too.
    async fn is_copied(&self, id: ProducerId) -> Result<bool, Error> {
        let events = &self.handles[Output::Events as usize];
        if self.refused(|refused| refused.is_empty()) || !self.shared.readable[Output::Events as usize] {
            return Ok(false);
        }
        let look = || rivals::is_copied(&self.shared, events, id);
        Ok(retry_on(events, "looking for who else publishes", look).await?)
    }

    /// Reads or changes, by output, which of our sequence numbers the broker has not taken.
    fn refused<T>(&self, change: impl FnOnce(&mut BTreeMap<usize, Refused>) -> T) -> T {
        let mut all = self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(self.partition).or_default())
    }

    /// Reads or changes which times requests to an output carry that may yet land.
    fn sent_times<T>(&self, output: Output, change: impl FnOnce(&mut SentTimes) -> T) -> T {
        let mut all = self.shared.sent_times.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry((self.partition, output as usize)).or_default())
    }

    /// When the records of a request, of which the first gets the number `sequence`, are said to be written.
    fn time_of(&mut self, request: &Request, sequence: i32) -> Time {
        let output = request.output;
        if self.shared.timestamps == Timestamps::Clock || output == Output::DeadLetters {
            let (stamps, now) = (self.shared.stamps(output, self.partition), stamps::now());
            // As far as stamps may be from the clock in the other direction: a topic can refuse older ones, too.
            let oldest = now.saturating_sub(stamps::MAX_CLOCK_LEAD.as_millis() as i64);
            let sent = |sent: &mut SentTimes| sent.time(sequence, request.size.records, oldest, || stamps.next(now));
            return Time::At(self.sent_times(output, sent));
        }
        let retention = self.shared.retention.get().and_then(|all| all[output as usize]);
        if let (Some(retention), Some(oldest)) = (retention, request.records.oldest())
            && oldest < stamps::now().saturating_sub(retention)
        {
            let topic = self.shared.output_topic(output);
            self.too_old.seen(output.name(), |times| {
                tracing::warn!(
                    event = "older_than_retention",
                    topic,
                    oldest,
                    retention_ms = retention,
                    times,
                    "records carry the time of samples that are older than the topic keeps any (retention.ms): the broker \
                     deletes them soon, whoever has read them. Set output.timestamp = \"clock\", or raise retention.ms"
                );
            });
        }
        Time::Own
    }

    fn interrupted(&self, problem: impl Into<String>) -> Error {
        Error::Interrupted { partition: self.partition, problem: problem.into() }
    }

    /// Makes of a failed request what the worker is to do; `sequence` is that of the first record that has not landed.
    fn failed(&self, output: Output, fault: Fault, size: Size, sequence: i32) -> Error {
        if let Fault::OutOfSequence(_) = fault {
            self.refused(|refused| refused.entry(output as usize).or_default().again(sequence));
        }
        requests::failed(&self.shared, self.partition, output, fault, size)
    }

    /// Says whether a request to an output may be sent now. Where labels have a topic of their own, what else is published waits for the
    /// predictions before it, which say what came before what ([`Interleaving`]).
    fn may_send(&self, output: Output, producers: &[OutputProducer; 3]) -> bool {
        let is_alone = self.shared.topics.labels.is_none() || output == Output::Predictions;
        producers[output as usize].is_free() && (is_alone || producers[Output::Predictions as usize].is_idle())
    }

    /// A connection per output, with the number of the next record.
    async fn producers(&mut self, sequences: Sequences) -> Result<[OutputProducer; 3], Error> {
        let mut producers = Vec::with_capacity(3);
        for ((output, handle), sequence) in Output::ALL.into_iter().zip(&self.handles).zip(sequences.next) {
            let (cluster, topic) = (Arc::clone(handle.cluster()), handle.topic());
            let (partition, id) = (handle.partition(), sequences.producer);
            // One try: the way to another is from the beginning, where stopping is heard.
            let opened = Producer::open(&cluster, topic, partition, id).await;
            let opened = opened.map_err(|fault| self.failed(output, fault, Size::default(), sequence));
            producers.push(OutputProducer::new(opened?, sequence));
        }
        <[OutputProducer; 3]>::try_from(producers).map_err(|_| self.interrupted("an output is missing"))
    }
}

impl Publisher for KafkaPublisher {
    fn resume(&mut self, since: Outputs, position: i64) -> impl Future<Output = Result<Resumed, Error>> + Send {
        async move {
            self.shared.make_outputs().await?;
            self.shared.look_at_settings().await?;
            limits::account_for_refusals(&self.shared).await?;
            let id = self.identity().await?;
            // What the checkpoint says of another identity says nothing of this one.
            let known = since.sequences.filter(|sequences| sequences.producer == id);
            let mut sequences = known.unwrap_or(Sequences { producer: id, next: [0; 3] });
            let mut published = [position; 3];
            let mut interleaving = Interleaving::default();
            let topics = &self.shared.topics;
            let (samples, labels) = (&*topics.samples, topics.labels.as_deref());
            let inputs = read_back::Inputs { samples, labels, partition: self.partition };
            for output in Output::ALL {
                let (i, handle) = (output as usize, &self.handles[output as usize]);
                if !self.shared.readable[i] {
                    let end =
                        retry_on(handle, "asking for the end of an output", || handle.offset(At::Appended)).await?;
                    let is_known = since.topics == self.shared.fingerprint(self.partition) && since.offsets[i] == end;
                    if end > 0 && !is_known {
                        return Err(rights::unreadable(&self.shared.cluster, handle.topic()));
                    }
                    self.outputs.offsets[i] = end;
                    continue;
                }
                let action = format!("reading back `{}`/{}", handle.topic(), handle.partition());
                // Offsets in other topics than these say nothing.
                let is_known = since.topics == self.shared.fingerprint(self.partition);
                let since = if is_known { since.offsets[i] } else { 0 };
                let appended = OnceLock::new();
                let look = || read_back::output(handle, output, inputs, since, id, &appended);
                let (found, told) = retry_on(handle, &action, look).await?;
                interleaving.add(told);
                published[i] = found.source.map_or(position, |last| position.max(last + 1));
                // An output that was given more partitions holds what was published before in another one.
                for former in self.shared.former_partitions(output, self.partition)? {
                    let handle = Partition::new(&self.shared.cluster, handle.topic(), former);
                    let action = format!("reading back `{}`/{former}", handle.topic());
                    let appended = OnceLock::new();
                    let look = || read_back::output(&handle, output, inputs, 0, id, &appended);
                    let (found, told) = retry_on(&handle, &action, look).await?;
                    interleaving.add(told);
                    published[i] = found.source.map_or(published[i], |last| published[i].max(last + 1));
                }
                sequences.next[i] = found.sequence.unwrap_or(sequences.next[i]);
                self.outputs.offsets[i] = found.end;
                self.shared.stamps(output, self.partition).saw(found.time);
            }
            let events = &self.handles[Output::Events as usize];
            if let Some(offset) = rivals::announce(&self.shared, self.partition, events, id).await? {
                self.outputs.offsets[Output::Events as usize] = offset + 1;
            }
            self.shared.note_partitions(self.partition).await?;
            for output in Output::ALL {
                let i = output as usize;
                self.sent_times(output, |sent| sent.landed(id, sequences.next[i]));
            }
            self.lookout.begin(id, self.outputs.offsets);
            self.outputs.sequences = Some(sequences);
            self.outputs.topics = self.shared.fingerprint(self.partition);
            Ok(Resumed { published, outputs: self.outputs, is_blind: self.shared.is_blind, interleaving })
        }
        .boxed()
    }

    fn run(
        mut self,
        mut outboxes: mpsc::Receiver<Outbox>,
        confirmed: watch::Sender<i64>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        async move {
            if self.outputs.sequences.is_none() {
                Box::pin(self.resume(Outputs::default(), 0)).await?;
            }
            let Outputs { offsets: mut next, sequences: Some(mut sequences), topics } = self.outputs else {
                return Ok(());
            };
            // On the heap, as what is seldom done further down: this waits for as long as the worker lives.
            let mut producers = Box::pin(self.producers(sequences)).await?;
            let in_flight = self.shared.cluster.config().in_flight;
            let mut under_way: FuturesOrdered<_> = FuturesOrdered::new();
            let mut waiting: VecDeque<Request> = VecDeque::new();
            let mut open_outboxes: VecDeque<InFlightOutbox> = VecDeque::new();
            let mut checkpoints = CheckpointWriter::new(&self.shared.store);
            let mut receiving = true;
            let mut failure: Option<Error> = None;
            while receiving || !under_way.is_empty() || !waiting.is_empty() {
                while under_way.len() < in_flight
                    && let Some(request) = waiting.pop_front_if(|request| self.may_send(request.output, &producers))
                {
                    let producer = &mut producers[request.output as usize];
                    let time = self.time_of(&request, producer.sequence());
                    under_way.push_back(producer.send(request, time));
                }
                tokio::select! {
                    biased;
                    Some(ProduceOutcome { output, result, size }) = under_way.next() => match result
                        .and_then(|base| Fault::unless_new(base, next[output as usize]))
                    {
                        // What lands behind a failure is found by the read-back.
                        Ok(_) if failure.is_some() => {}
                        Ok(base) => {
                            producers[output as usize].acknowledged();
                            let appended = base..base + size.records as i64;
                            if let Err(error) = Box::pin(self.lookout.watch(output, next[output as usize], appended)).await {
                                receiving = false;
                                waiting.clear();
                                failure = Some(error);
                            }
                            self.acknowledged(&mut next, &mut sequences, &mut open_outboxes, output, base, size);
                        }
                        Err(fault) => {
                            receiving = false;
                            waiting.clear();
                            let sequence = sequences.next[output as usize];
                            failure.get_or_insert_with(|| self.failed(output, fault, size, sequence));
                        }
                    },
                    () = self.shared.closing.cancelled(), if failure.is_none() => {
                        return Err(self.interrupted("the broker had not taken everything when it was time to stop"));
                    }
                    outbox = outboxes.recv(), if receiving && waiting.is_empty() && under_way.len() < in_flight => {
                        match outbox {
                            Some(mut outbox) => {
                                let careful = producers.each_ref().map(OutputProducer::is_new);
                                waiting.extend(requests(&self.shared, &mut outbox, careful));
                                let Outbox { position, checkpoint, held: _held, .. } = outbox;
                                open_outboxes.push_back(InFlightOutbox { open: waiting.len(), position, checkpoint, _held });
                            }
                            None => receiving = false,
                        }
                    }
                }
                while failure.is_none() && open_outboxes.front().is_some_and(|oldest| oldest.open == 0) {
                    let Some(oldest) = open_outboxes.pop_front() else { break };
                    if let Some(mut checkpoint) = oldest.checkpoint {
                        let outputs = Outputs { offsets: next, sequences: Some(sequences), topics };
                        checkpoint.stand_at(outputs);
                        checkpoints.begin(checkpoint).await?;
                    }
                    confirmed.send_replace(oldest.position);
                }
            }
            Box::pin(self.lookout.end(failure.is_none())).await;
            match failure {
                // What is published does not wait for what is kept of it.
                Some(failure) => Err(failure),
                None => Ok(checkpoints.finish().await?),
            }
        }
        .boxed()
    }
}

impl KafkaPublisher {
    /// Takes note of a request that the broker has appended.
    fn acknowledged(
        &self,
        next: &mut [i64; 3],
        sequences: &mut Sequences,
        open_outboxes: &mut VecDeque<InFlightOutbox>,
        output: Output,
        base: i64,
        size: Size,
    ) {
        let i = output as usize;
        next[i] = base + size.records as i64;
        sequences.next[i] = advance(sequences.next[i], size.records);
        self.refused(|refused| refused.remove(&i));
        self.sent_times(output, |sent| sent.landed(sequences.producer, sequences.next[i]));
        if let Some(oldest) = open_outboxes.front_mut() {
            oldest.open -= 1;
        }
    }
}
