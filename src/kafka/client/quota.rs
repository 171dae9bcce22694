//! Quotas of a broker: how long it asks to be left alone, and the waits that keep to it.
//!
//! A broker that throttles a client says so in an answer and then leaves the connection unread for that long (KIP-219).
//! Invariants: nothing is sent meanwhile, and the time does not count as the broker's silence. A quota belongs to the client
//! id or the user, so whoever else has the same is throttled, too.
//! What this does not do: choose a rate. The broker decides, and only it knows the others.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use rskafka::protocol::api_key::ApiKey;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    access::Access,
    fault::{Fault, Try},
    pulse::Pulse,
};

/// A quota is no longer exceeded when no answer has said so for this long.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Waits are said once they come to this: a broker that lets through just as much as a quota allows first asks for milliseconds.
const NOTABLE_WAIT: Duration = Duration::from_millis(100);
/// A quota that stays exceeded is said again that often.
const REMINDER_INTERVAL: Duration = Duration::from_secs(600);
/// The watchdog hears of a wait that often.
const SIGN_OF_LIFE_INTERVAL: Duration = Duration::from_secs(1);

/// The waits of one connection.
#[derive(Debug)]
pub(crate) struct Quota {
    access: Arc<Access>,
    pulse: Arc<Pulse>,
    /// Held by the request that is sent next, so that requests which wait keep their order.
    turn: Mutex<()>,
    /// Time until which the broker does not read this connection.
    muted_until: StdMutex<Instant>,
}

impl Quota {
    pub(super) fn new(access: &Arc<Access>, pulse: &Arc<Pulse>) -> Self {
        let (access, pulse) = (Arc::clone(access), Arc::clone(pulse));
        Self { access, pulse, turn: Mutex::default(), muted_until: StdMutex::new(Instant::now()) }
    }

    /// Waits until the broker may be sent a request, and for those that came before.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        let turn = self.turn.lock().await;
        loop {
            let (now, until) = (Instant::now(), self.muted_until());
            if now >= until {
                return turn;
            }
            sleep_until(until.min(now + SIGN_OF_LIFE_INTERVAL)).await;
            self.access.note_wait();
        }
    }

    /// Waits for an answer for as long as a request may take and `wait` beside, not counting the time that the broker is mute.
    /// A broker answers a connection's requests one after the other, so the time begins anew with all that comes over it: over
    /// a slow network the last of several may come long after the first.
    ///
    /// # Errors
    /// When there is none in time.
    pub(super) async fn bounded<T>(
        &self,
        wait: Duration,
        mut answer: Pin<&mut impl Future<Output = Try<T>>>,
    ) -> Try<T> {
        let patience = self.access.config().request_timeout + wait;
        let begun = Instant::now();
        let deadline = || self.muted_until().max(self.pulse.heard()).max(begun) + patience;
        loop {
            if let Ok(answer) =
                timeout_at(deadline().min(Instant::now() + SIGN_OF_LIFE_INTERVAL), answer.as_mut()).await
            {
                return answer;
            }
            let now = Instant::now();
            if now < self.muted_until() {
                self.access.note_wait();
            }
            // An answer to an earlier request may have moved the deadline.
            if now >= deadline() {
                return Err(Fault::late(patience));
            }
        }
    }

    /// Takes note of the time for which an answer asks to be left alone, and says so.
    pub(super) fn throttled(&self, action: &str, request: ApiKey, throttle: Duration) {
        if throttle.is_zero() {
            return;
        }
        let mut until = self.muted_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Instant::now() + throttle);
        drop(until);
        let quota = quota_of(request);
        if let Some(Spell { times, waited }) = self.access.throttling().seen(quota, throttle) {
            tracing::warn!(
                event = "throttled",
                action,
                quota,
                throttle_ms = throttle.as_millis() as u64,
                times,
                waited_ms = waited.as_millis() as u64,
                "the broker holds this client back, since it is over a quota; waiting as long as it says. Raise the quota of \
                 this user or client id (kafka-configs.sh --alter --entity-type clients), or give transport.kafka.client_id a \
                 name that nobody else has"
            );
        }
    }

    fn muted_until(&self) -> Instant {
        *self.muted_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names the quotas that a broker applies to a request; it does not say which of them was exceeded.
fn quota_of(request: ApiKey) -> &'static str {
    match request {
        ApiKey::Fetch => "consumer_byte_rate or request_percentage",
        ApiKey::Produce => "producer_byte_rate or request_percentage",
        ApiKey::CreateTopics => "controller_mutation_rate or request_percentage",
        _ => "request_percentage",
    }
}

/// Quotas that this client is over, by name, on whatever connection.
#[derive(Debug, Default)]
pub(crate) struct Throttling {
    quotas: BTreeMap<&'static str, Exceeded>,
}

#[derive(Debug)]
struct Exceeded {
    /// Time at which the wait of the latest answer is over.
    until: Instant,
    /// `None` as long as it has not been said.
    last_said: Option<Instant>,
    unsaid: Spell,
}

/// The throttled answers that one line stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Spell {
    times: u64,
    waited: Duration,
}

impl Throttling {
    /// Says whether the wait that an answer has asked for is not over.
    pub(super) fn is_waiting(&self) -> bool {
        let now = Instant::now();
        self.quotas.values().any(|exceeded| now < exceeded.until)
    }

    /// Takes note of a throttled answer. Returns what to say: as soon as it is worth a line, and now and then while it goes on.
    fn seen(&mut self, quota: &'static str, throttle: Duration) -> Option<Spell> {
        let now = Instant::now();
        let known = self.quotas.entry(quota).and_modify(|known| {
            if now >= known.until + MAX_PAUSE {
                *known = Exceeded::at(now);
            }
        });
        let known = known.or_insert_with(|| Exceeded::at(now));
        known.until = known.until.max(now + throttle);
        known.unsaid.times += 1;
        known.unsaid.waited += throttle;
        let is_due = match known.last_said {
            None => known.unsaid.waited >= NOTABLE_WAIT,
            Some(said) => now - said >= REMINDER_INTERVAL,
        };
        is_due.then(|| {
            known.last_said = Some(now);
            std::mem::take(&mut known.unsaid)
        })
    }
}

impl Exceeded {
    fn at(now: Instant) -> Self {
        Self { until: now, last_said: None, unsaid: Spell::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::config::Config, *};

    fn quota() -> Quota {
        let access = Arc::new(Access::new(Config::default(), None).expect("no TLS"));
        Quota::new(&access, &Arc::new(Pulse::new()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_mute_broker_is_waited_for_as_long_as_it_says_and_then_for_a_request() {
        let quota = quota();
        let patience = quota.access.config().request_timeout;
        let begun = Instant::now();
        let throttle = async {
            tokio::time::sleep(patience / 2).await;
            quota.throttled("fetching", ApiKey::Fetch, patience * 3);
            std::future::pending::<Try<()>>().await
        };
        let late = quota.bounded(Duration::ZERO, std::pin::pin!(throttle)).await;
        assert!(matches!(late, Err(Fault::Transient(_))), "{late:?}");
        assert_eq!(begun.elapsed(), patience / 2 + patience * 3 + patience);
        assert!(quota.access.retries() >= 29, "{}", quota.access.retries());
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_come_one_after_the_other_are_waited_for_and_silence_is_not() {
        let quota = quota();
        let patience = quota.access.config().request_timeout;
        let begun = Instant::now();
        // Five requests were sent at once; this is the last.
        let others = async {
            for _ in 0..4 {
                tokio::time::sleep(patience * 4 / 5).await;
                quota.pulse.beat();
            }
            std::future::pending::<Try<()>>().await
        };
        let late = quota.bounded(Duration::ZERO, std::pin::pin!(others)).await;
        assert!(matches!(late, Err(Fault::Transient(_))), "{late:?}");
        assert_eq!(begun.elapsed(), patience * 4 * 4 / 5 + patience);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_sent_while_the_broker_is_mute_and_the_order_stays() {
        let quota = quota();
        quota.throttled("producing", ApiKey::Produce, Duration::from_secs(7));
        let begun = Instant::now();
        let sent = StdMutex::new(Vec::new());
        let request = |number: u32| {
            let (quota, sent) = (&quota, &sent);
            async move {
                let _turn = quota.turn().await;
                sent.lock().expect("nothing panics with it").push((number, begun.elapsed().as_secs()));
            }
        };
        tokio::join!(request(0), request(1), request(2));
        assert_eq!(*sent.lock().expect("nothing panics with it"), [(0, 7), (1, 7), (2, 7)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_is_said_once_while_it_is_exceeded_and_again_after_a_pause() {
        let mut throttling = Throttling::default();
        let second = Duration::from_secs(1);
        let mut said = Vec::new();
        for at in 0..700 {
            said.extend(throttling.seen("bytes", second).map(|spell| (at, spell.times)));
            tokio::time::advance(second).await;
        }
        tokio::time::advance(MAX_PAUSE + second).await;
        said.extend(throttling.seen("bytes", second).map(|spell| (0, spell.times)));
        assert_eq!(said, [(0, 1), (600, 600), (0, 1)]);
        assert!(throttling.seen("requests", second).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_of_milliseconds_is_not_what_a_quota_is_said_by() {
        let mut throttling = Throttling::default();
        let millisecond = Duration::from_millis(1);
        assert_eq!(throttling.seen("bytes", 3 * millisecond), None);
        let told = throttling.seen("bytes", 9_960 * millisecond);
        assert_eq!(told, Some(Spell { times: 2, waited: 9_963 * millisecond }));
        // Many short ones come to as much.
        let said = (0..200).filter_map(|_| throttling.seen("requests", millisecond)).collect::<Vec<_>>();
        assert_eq!(said, [Spell { times: 100, waited: 100 * millisecond }]);
    }
}
