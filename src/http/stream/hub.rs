//! Who listens, and what is sent to them.
//!
//! Invariant: a look is made and put into words once for all; a client's own are the partition and the rate.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::body::Bytes;
use serde::Serialize;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::{Line, Live, MAX_RATE, Tail};
use crate::{Observe, Status};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Looks between two standings, which come once a second and tell, too, that the stream is alive.
const LOOKS_PER_STANDINGS: u32 = 20;
/// Clients at most.
const MAX_CLIENTS: usize = 64;
/// Events that are kept for who comes back.
const KEPT_EVENTS: usize = 256;
/// Begin of a stream: after how many milliseconds a client should come back.
const RETRY: &[u8] = b"retry: 2000\n\n";

/// There is no room for another client.
pub(super) struct Full;

/// Sends to all that listen.
pub(crate) struct Hub {
    observer: Arc<dyn Observe>,
    /// In event ids: those of another process are none of ours.
    started: u128,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    clients: Vec<Client>,
    is_running: bool,
    /// True until the first look after nobody has listened: what it finds was left for those who listened before.
    is_stale: bool,
    tail: Option<Box<dyn Tail>>,
    /// The newest events, with their partitions.
    events: VecDeque<(i32, Bytes)>,
    /// Number of the next event.
    next_event: u64,
    looks: u32,
}

/// Somebody who listens.
pub(super) struct Client {
    frames: mpsc::Sender<Bytes>,
    line: Line,
    partition: Option<i32>,
    rate: f64,
    /// Predictions that may be sent, in part.
    credit: f64,
    /// Id of the last event that it has seen.
    last: Option<String>,
    /// Number of the next event for it, once it is known.
    next_event: Option<u64>,
}

impl Client {
    pub(super) fn new(
        frames: mpsc::Sender<Bytes>,
        line: Line,
        partition: Option<i32>,
        rate: f64,
        last: Option<String>,
    ) -> Self {
        Self { frames, line, partition, rate, credit: 1.0, last, next_event: None }
    }

    fn is_for(&self, partition: i32) -> bool {
        self.partition.is_none_or(|wanted| wanted == partition)
    }

    /// Returns how many of so many predictions are sent now.
    fn share(&mut self, made: usize) -> usize {
        let most = (self.rate * 0.5).max(1.0);
        self.credit = (self.credit + self.rate * LOOK_EVERY.as_secs_f64()).min(most);
        let share = (self.credit as usize).min(made);
        self.credit -= share as f64;
        if self.rate == 0.0 { 0 } else { share }
    }
}

impl Hub {
    pub(crate) fn new(observer: Arc<dyn Observe>) -> Arc<Self> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Arc::new(Self { observer, started, state: Mutex::default() })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends to another client from now on.
    pub(super) fn join(self: &Arc<Self>, client: Client) -> Result<(), Full> {
        let mut state = self.state();
        state.clients.retain(|client| !client.frames.is_closed());
        if state.clients.len() >= MAX_CLIENTS {
            return Err(Full);
        }
        // It cannot be full yet.
        let _ = client.frames.try_send(Bytes::from_static(RETRY));
        state.clients.push(client);
        if !std::mem::replace(&mut state.is_running, true) {
            state.is_stale = true;
            tokio::spawn(run(Arc::downgrade(self)));
        }
        Ok(())
    }

    /// Looks once, and sends. Returns false once nobody listens.
    fn look(&self) -> bool {
        let mut state = self.state();
        let state = &mut *state;
        state.clients.retain(|client| !client.frames.is_closed());
        if state.clients.is_empty() {
            state.is_running = false;
            return false;
        }
        let tail = state.tail.get_or_insert_with(|| Arc::clone(&self.observer).tail());
        let Live { mut predictions, events } = tail.read((MAX_RATE * LOOK_EVERY.as_secs_f64()).ceil() as u32);
        if std::mem::take(&mut state.is_stale) {
            predictions.clear();
        }
        for event in &events {
            let id = format!("{}-{}", self.started, state.next_event);
            state.events.push_back((event.partition, frame(event, "event", Some(&id))));
            state.next_event += 1;
        }
        state.events.drain(..state.events.len().saturating_sub(KEPT_EVENTS));
        let first = state.next_event - state.events.len() as u64;
        let predictions: Vec<(i32, Bytes)> =
            predictions.iter().map(|it| (it.partition, frame(it, "prediction", None))).collect();
        let is_due = state.looks.is_multiple_of(LOOKS_PER_STANDINGS);
        state.looks = state.looks.wrapping_add(1);
        let mut status = None;
        let mut standings: BTreeMap<Option<i32>, Bytes> = BTreeMap::new();
        let (events, next_event) = (&state.events, state.next_event);
        state.clients.retain_mut(|client| {
            let is_new = client.next_event.is_none();
            let mut out = Vec::new();
            if is_due || is_new {
                let partition = client.partition;
                let frame = standings.entry(partition).or_insert_with(|| {
                    let status = status.get_or_insert_with(|| self.observer.status());
                    frame(&only(status, partition), "standings", None)
                });
                out.extend_from_slice(frame);
            }
            // Who is new gets what comes from now on; who comes back, what came since.
            let from = client.next_event.unwrap_or_else(|| self.resume(client.last.as_deref(), first, next_event));
            let unseen = events.iter().skip(usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX));
            unseen
                .filter(|(partition, _)| client.is_for(*partition))
                .for_each(|(_, frame)| out.extend_from_slice(frame));
            client.next_event = Some(next_event);
            let made: Vec<&Bytes> =
                predictions.iter().filter(|(partition, _)| client.is_for(*partition)).map(|it| &it.1).collect();
            let share = client.share(made.len());
            // Spread over what there is.
            (1..=share).for_each(|i| out.extend_from_slice(made[i * made.len() / share - 1]));
            let is_sent = out.is_empty() || client.frames.try_send(out.into()).is_ok();
            if !is_sent {
                tracing::debug!(event = "http_stream_dropped", "a client does not read what it has asked for");
                client.line.hang_up();
            }
            is_sent
        });
        true
    }

    /// Returns the number of the event that a client wants next.
    fn resume(&self, last: Option<&str>, first: u64, next: u64) -> u64 {
        let Some((started, number)) = last.and_then(|last| last.split_once('-')) else { return next };
        match number.parse::<u64>() {
            Ok(number) if started == self.started.to_string() => number.saturating_add(1).min(next),
            // All that there is has come since the process was started anew.
            Ok(_) => first,
            Err(_) => next,
        }
    }
}

async fn run(hub: Weak<Hub>) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(hub) = hub.upgrade() else { return };
        if !hub.look() {
            return;
        }
    }
}

/// Returns the status with one partition, or with all.
fn only(status: &Status, partition: Option<i32>) -> Status {
    let mut status = status.clone();
    status.partitions.retain(|it| partition.is_none_or(|wanted| it.partition == wanted));
    status
}

/// Spells something as a server-sent event.
fn frame(data: &impl Serialize, kind: &str, id: Option<&str>) -> Bytes {
    let mut out = Vec::new();
    if let Some(id) = id {
        out.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    out.extend_from_slice(format!("event: {kind}\ndata: ").as_bytes());
    // Plain structs of texts and numbers always have a form as JSON, and JSON has no line breaks.
    let _ = serde_json::to_writer(&mut out, data);
    out.extend_from_slice(b"\n\n");
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Features, History, HistoryQuery, Partition, Prediction};

    /// A daemon of which each look finds one prediction and one event.
    struct Lively;

    impl Tail for Lively {
        fn read(&mut self, asked: u32) -> Live {
            assert_eq!(asked, 5);
            let event = Event {
                partition: 1,
                kind: "drift".to_owned(),
                model: None,
                time: 0,
                told: "it drifts".to_owned(),
                published: serde_json::Value::Null,
            };
            Live { predictions: vec![Prediction { partition: 1, ..Prediction::default() }], events: vec![event] }
        }
    }

    impl Observe for Lively {
        fn status(&self) -> Status {
            Status { partitions: vec![Partition { partition: 1, ..Partition::default() }], ..Status::default() }
        }

        fn partitions(&self) -> Vec<i32> {
            vec![1]
        }

        fn history(&self, _: &HistoryQuery) -> Result<History, String> {
            Err("there is none".to_owned())
        }

        fn features(&self, _: i32, _: Option<&str>) -> Result<Features, String> {
            Err("there are none".to_owned())
        }

        fn tail(self: Arc<Self>) -> Box<dyn Tail> {
            Box::new(Lively)
        }
    }

    /// A hub without a task of its own, with this client.
    fn hub(client: Client) -> Arc<Hub> {
        let hub = Hub::new(Arc::new(Lively));
        hub.state().clients.push(client);
        hub
    }

    fn client(capacity: usize, partition: Option<i32>, last: Option<&str>) -> (Client, mpsc::Receiver<Bytes>, Line) {
        let (frames, sent) = mpsc::channel(capacity);
        let line = Line::default();
        (Client::new(frames, line.clone(), partition, 10.0, last.map(str::to_owned)), sent, line)
    }

    /// All that has been sent so far.
    fn taken(sent: &mut mpsc::Receiver<Bytes>) -> String {
        std::iter::from_fn(|| sent.try_recv().ok()).map(|it| String::from_utf8_lossy(&it).into_owned()).collect()
    }

    #[test]
    fn who_does_not_read_is_hung_up_on_and_others_go_on() {
        let (slow, _unread, line) = client(3, None, None);
        let (quick, mut read, _) = client(3, None, None);
        let hub = hub(slow);
        hub.state().clients.push(quick);
        for _ in 0..10 {
            assert!(hub.look());
            assert!(!taken(&mut read).is_empty());
        }
        assert!(line.hang_up.is_cancelled());
        assert_eq!(hub.state().clients.len(), 1);
        drop(read);
        assert!(!hub.look(), "nobody listens any more");
    }

    #[test]
    fn events_of_before_are_sent_to_who_comes_back_and_to_nobody_else() {
        let (first, mut sent, _) = client(64, None, None);
        let hub = hub(first);
        (0..4).for_each(|_| assert!(hub.look()));
        let told = taken(&mut sent);
        let ids: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
        assert_eq!(ids.len(), 3, "what was there before it came is not for it: {told}");
        for (last, wanted) in [(Some(ids[0]), 3), (Some("1-0"), 5), (Some("nonsense"), 0), (None, 0)] {
            let (again, mut sent, _) = client(64, None, last);
            let hub_again = &hub;
            hub_again.state().clients.push(again);
            assert!(hub_again.look());
            let told = taken(&mut sent);
            let events = told.matches("event: event").count();
            let since = hub.state().next_event as usize - 5;
            assert_eq!(events, if wanted == 0 { 0 } else { wanted + since }, "{last:?}: {told}");
        }
    }

    #[test]
    fn a_partition_is_sent_alone() {
        let (other, mut sent, _) = client(64, Some(2), None);
        let hub = hub(other);
        (0..25).for_each(|_| assert!(hub.look()));
        let told = taken(&mut sent);
        assert_eq!((told.matches("event: prediction").count(), told.matches("event: event").count()), (0, 0), "{told}");
        assert_eq!(told.matches("event: standings").count(), 2, "once a second");
        assert!(told.contains(r#""partitions":[]"#));
    }

    #[test]
    fn a_client_gets_its_rate_and_no_burst_after_silence() {
        let of = |rate: f64| Client::new(mpsc::channel(1).0, Line::default(), None, rate, None);
        for (rate, wanted) in [(0.0, 0), (1.0, 10), (10.0, 100), (100.0, 1000)] {
            let mut client = of(rate);
            // Ten seconds; a worker leaves five at a look.
            let sent: usize = (0..200).map(|_| client.share(5)).sum();
            assert!(sent.abs_diff(wanted) <= 1, "{sent} of {wanted} at {rate}/s");
        }
        let mut client = of(10.0);
        (0..2000).for_each(|_| assert_eq!(client.share(0), 0));
        assert!(client.share(100) <= 5);
    }
}
