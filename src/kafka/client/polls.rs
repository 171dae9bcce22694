//! Records that are yet to come, of all partitions that somebody waits at: one fetch after another waits at the broker.
//!
//! A partition goes on from where its last records ended, whether they have been taken yet or not, so that whoever is quick
//! misses no poll. One that has brought more than a fetch waits until that is taken.
//! Invariants: what was brought is handed over in order, whole, and once. A poll has no partition that is not at its end when
//! it is sent, but for what has come since: whoever is behind reads elsewhere, and holds up nobody. Where topics are asked for
//! by name, what comes after a pause longer than a poll says so, so that whoever reads it looks whether the topic is still the
//! same; it is not asked for again, since a quota may have made the pause.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    access::Access,
    broker,
    connection::Connection,
    fault::{Fault, Try},
    slot::Reusable,
};
use crate::protocol::{Brought, Fetch, FetchAnswer, Place};

/// Whoever begins to wait has to wait for the poll that is under way. As long as somebody has just begun, others do, too, and
/// polls are short: this, and [`SHORT_WAIT_EACH`] for each partition.
const SHORT_WAIT: Duration = Duration::from_millis(5);
const SHORT_WAIT_EACH: Duration = Duration::from_micros(100);
/// Time for which polls stay short.
const UNREST: Duration = Duration::from_secs(1);
/// Time, for each partition, after which whoever waits hears that nothing has come; a fetch's wait at least.
const IDLE_EACH: Duration = Duration::from_millis(5);
/// Time between two answers, beside the wait that was asked for, after which a topic's name may be another one's.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// The polls at one broker.
#[derive(Debug)]
pub(crate) struct Polls {
    connection: Arc<Connection>,
    waiting: Arc<Waiting>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Waiting {
    access: Arc<Access>,
    subscribed: StdMutex<Subscribed>,
    /// Told when there is more to poll for.
    more: Notify,
}

#[derive(Debug)]
struct Subscribed {
    partitions: BTreeMap<u64, Partition>,
    /// Number of the next subscription.
    next: u64,
    /// Subscriptions from this number on come first in the next poll, since an answer may not have room for all.
    turn: u64,
    /// Time of the last change.
    changed: Instant,
    /// Time of the last answer.
    answered: Instant,
    /// Set when the last answer has brought all that there was.
    lingers: bool,
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Partition {
    place: Place,
    brought: VecDeque<Brought>,
    bytes: usize,
    /// Set when it has brought something that nothing can follow.
    is_damaged: bool,
    fault: Option<Fault>,
    /// The last stable offset and the end, as of the last answer.
    ends: (i64, i64),
    /// Time of the last answer about it.
    answered: Instant,
    /// Time of the last answer about its name alone that came after a pause, until that is handed over.
    paused: Option<Instant>,
    told: Arc<Notify>,
}

/// A partition that is polled, as long as this is there.
#[derive(Debug)]
pub(crate) struct Subscription {
    polls: Arc<Polls>,
    number: u64,
    told: Arc<Notify>,
    /// The offset of what is handed over next, and the ends that were told last.
    offset: i64,
    ends: (i64, i64),
}

/// What came of waiting.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) what: What,
    /// Time of the last answer about the partition.
    pub(crate) answered: Instant,
    /// Set where the topic may be another one, since there was a pause and it is asked for by name: the time since which that
    /// has to be looked at.
    pub(crate) paused: Option<Instant>,
}

#[derive(Debug)]
pub(crate) enum What {
    Records(Brought),
    /// Nothing, or a change of the ends alone: the last stable offset and the end.
    Nothing(i64, i64),
}

impl Reusable for Polls {
    fn is_open(&self) -> bool {
        self.connection.is_open() && self.waiting.lock().fault.is_none()
    }
}

impl Polls {
    pub(super) fn new(access: &Arc<Access>, connection: Connection) -> Self {
        let connection = Arc::new(connection);
        let now = Instant::now();
        let subscribed = Subscribed {
            partitions: BTreeMap::new(),
            next: 0,
            turn: 0,
            changed: now,
            answered: now,
            lingers: false,
            fault: None,
        };
        let waiting = Arc::new(Waiting {
            access: Arc::clone(access),
            subscribed: StdMutex::new(subscribed),
            more: Notify::new(),
        });
        let task = tokio::spawn(poll(Arc::clone(&waiting), Arc::clone(&connection)));
        Self { connection, waiting, _task: AbortOnDropHandle::new(task) }
    }

    /// Begins to poll at a place, which was the end when that was `answered`.
    pub(crate) fn subscribe(self: Arc<Self>, place: Place, ends: (i64, i64), answered: Instant) -> Subscription {
        let told = Arc::new(Notify::new());
        let mut subscribed = self.waiting.lock();
        let (number, offset) = (subscribed.next, place.offset);
        let (brought, told_too) = (VecDeque::new(), Arc::clone(&told));
        let partition = Partition {
            place,
            brought,
            bytes: 0,
            is_damaged: false,
            fault: None,
            ends,
            answered,
            paused: None,
            told: told_too,
        };
        subscribed.partitions.insert(number, partition);
        subscribed.next += 1;
        subscribed.changed = Instant::now();
        drop(subscribed);
        self.waiting.more.notify_one();
        Subscription { polls: self, number, told, offset, ends }
    }
}

impl Partition {
    /// Hands something over.
    fn came(&mut self, what: What) -> Came {
        Came { what, answered: self.answered, paused: self.paused.take() }
    }
}

impl Subscription {
    /// Returns the offset that comes next.
    pub(crate) fn offset(&self) -> i64 {
        self.offset
    }

    /// Says whether something has come already.
    pub(crate) fn has_more(&self) -> bool {
        let subscribed = self.polls.waiting.lock();
        subscribed.partitions.get(&self.number).is_some_and(|partition| !partition.brought.is_empty())
    }

    /// Waits for records, for other ends, or until it is time to say that nothing has come. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Try<Came> {
        let begun = Instant::now();
        let mut until: Option<Instant> = None;
        loop {
            let deadline = {
                let mut subscribed = self.polls.waiting.lock();
                let (answered, count) = (subscribed.answered, subscribed.partitions.len() as u32);
                let fault = subscribed.fault.clone();
                let partition = subscribed.partitions.get_mut(&self.number);
                let partition = partition.ok_or_else(|| Fault::transient("the subscription has ended"))?;
                if let Some(brought) = partition.brought.pop_front() {
                    let was_full = partition.bytes >= self.polls.waiting.room();
                    partition.bytes -= brought.bytes();
                    self.offset = brought.next_offset().unwrap_or(self.offset);
                    self.ends = partition.ends;
                    let came = partition.came(What::Records(brought));
                    drop(subscribed);
                    if was_full {
                        self.polls.waiting.more.notify_one();
                    }
                    return Ok(came);
                }
                if let Some(fault) = partition.fault.clone().or(fault) {
                    return Err(fault);
                }
                let now = Instant::now();
                let is_over = until.is_some_and(|until| now >= until);
                if partition.ends != self.ends || (is_over && answered >= begun) {
                    self.ends = partition.ends;
                    return Ok(partition.came(What::Nothing(self.ends.0, self.ends.1)));
                }
                let period = self.polls.waiting.access.config().fetch_wait.max(IDLE_EACH * count);
                // A broker that does not answer is waited for.
                until.filter(|_| !is_over).unwrap_or_else(|| *until.insert(now + period))
            };
            // Either way the state is looked at again.
            let _ = timeout_at(deadline, self.told.notified()).await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subscribed = self.polls.waiting.lock();
        subscribed.partitions.remove(&self.number);
        subscribed.changed = Instant::now();
    }
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Subscribed> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the bytes that a partition may have brought before it waits until they are taken.
    fn room(&self) -> usize {
        self.access.fetch_bytes().unsigned_abs() as usize
    }

    /// Makes the next poll, with the number of each place's subscription; `None` while there is nothing to poll for.
    fn next_poll(&self) -> Option<(Vec<u64>, Fetch)> {
        let config = self.access.config();
        let mut subscribed = self.lock();
        let (turn, room) = (subscribed.turn, self.room());
        let mut seen = HashSet::new();
        let (mut numbers, mut places) = (Vec::new(), Vec::new());
        let mut is_full = false;
        let partitions = &subscribed.partitions;
        for (number, partition) in partitions.range(turn..).chain(partitions.range(..turn)) {
            let place = &partition.place;
            is_full |= partition.bytes >= room;
            // Two that read the same take turns.
            let is_free = partition.bytes < room && !partition.is_damaged && partition.fault.is_none();
            if is_free && seen.insert((Arc::clone(&place.topic), place.partition)) {
                numbers.push(*number);
                places.push(place.clone());
            }
        }
        if places.is_empty() {
            return None;
        }
        subscribed.turn = numbers[0] + 1;
        let is_restless = is_full || subscribed.changed.elapsed() < UNREST;
        let short = SHORT_WAIT + SHORT_WAIT_EACH * places.len() as u32;
        let (min_bytes, wait) = if std::mem::take(&mut subscribed.lingers) {
            (config.fetch_bytes, config.linger)
        } else if is_restless {
            (1, config.fetch_wait.min(short))
        } else {
            (1, config.fetch_wait)
        };
        // Places of one topic go together.
        let mut both: Vec<(u64, Place)> = numbers.into_iter().zip(places).collect();
        both.sort_by(|a, b| (&a.1.topic, a.1.id.is_some()).cmp(&(&b.1.topic, b.1.id.is_some())));
        let (numbers, places) = both.into_iter().unzip();
        Some((numbers, broker::fetch(&self.access, places, min_bytes, wait)))
    }

    /// Takes note of what a poll has brought.
    fn answered(&self, numbers: &[u64], fetch: &Fetch, answer: FetchAnswer) {
        let linger = !self.access.config().linger.is_zero();
        let (by_name, now) = (answer.is_by_name(), Instant::now());
        let mut subscribed = self.lock();
        subscribed.answered = now;
        let (mut brought_records, mut caught_up) = (false, true);
        for ((number, place), brought) in numbers.iter().zip(&fetch.places).zip(fetch.share_out(answer)) {
            // It may have gone meanwhile, and a broker that throttles says nothing.
            let Some(brought) = brought else { continue };
            let Some(partition) = subscribed.partitions.get_mut(number) else { continue };
            if by_name && now - partition.answered > fetch.max_wait + MAX_PAUSE {
                partition.paused = Some(now);
            }
            partition.answered = now;
            let ends = (brought.last_stable_offset, brought.end);
            if let Some(code) = brought.failure {
                let action = format!("fetching from `{}`/{}", place.topic, place.partition);
                partition.fault = Some(Fault::of_answer(&action, code.into()));
            } else if let Some(next) = brought.next_offset() {
                brought_records = true;
                caught_up &= next >= ends.0;
                partition.place.offset = next;
                partition.bytes += brought.bytes();
                partition.ends = ends;
                partition.brought.push_back(brought);
            } else if brought.bytes() > 0 {
                // Whoever reads it finds what is wrong with it.
                (partition.is_damaged, partition.bytes) = (true, partition.bytes + brought.bytes());
                partition.brought.push_back(brought);
            } else if partition.ends == ends {
                continue;
            } else {
                partition.ends = ends;
            }
            partition.told.notify_one();
        }
        subscribed.lingers = linger && brought_records && caught_up;
    }

    /// Ends all subscriptions.
    fn failed(&self, fault: &Fault) {
        let mut subscribed = self.lock();
        subscribed.fault = Some(fault.clone());
        subscribed.partitions.values().for_each(|partition| partition.told.notify_one());
    }
}

/// Polls until the connection fails.
async fn poll(waiting: Arc<Waiting>, connection: Arc<Connection>) {
    loop {
        let more = waiting.more.notified();
        let Some((numbers, fetch)) = waiting.next_poll() else {
            more.await;
            continue;
        };
        match broker::call(&connection, "fetching", &fetch).await {
            Ok(answer) => waiting.answered(&numbers, &fetch, answer),
            Err(fault) => return waiting.failed(&fault),
        }
    }
}
