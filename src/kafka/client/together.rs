//! Questions that go to a broker together: while one request is under way, those that come are kept for the next.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Debug,
    sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::fault::{Fault, Try};

/// Questions in one request at most.
const MAX_TOGETHER: usize = 2_000;

/// A question about one partition.
pub(super) trait Question: Debug + Send + 'static {
    /// Type of the answer.
    type Answer: Debug + Send + 'static;

    /// Returns its topic and its partition, of which a request has each once.
    fn partition(&self) -> (&Arc<str>, i32);

    /// Returns what all questions of a request have in common.
    fn kind(&self) -> u8;
}

/// Questions that wait.
#[derive(Debug)]
pub(super) struct Together<Q: Question>(StdMutex<Waiting<Q>>);

#[derive(Debug)]
struct Waiting<Q: Question> {
    asked: VecDeque<Asked<Q>>,
    /// Set while somebody sends them.
    is_sent: bool,
}

/// A question, and whoever waits for its answer.
#[derive(Debug)]
pub(super) struct Asked<Q: Question> {
    pub(super) question: Q,
    waits: oneshot::Sender<Try<Q::Answer>>,
}

impl<Q: Question> Asked<Q> {
    pub(super) fn answer(self, answer: Try<Q::Answer>) {
        // Whoever asked may have gone.
        let _ = self.waits.send(answer);
    }
}

impl<Q: Question> Default for Together<Q> {
    fn default() -> Self {
        Self(StdMutex::new(Waiting { asked: VecDeque::new(), is_sent: false }))
    }
}

impl<Q: Question> Together<Q> {
    /// Asks, and waits. Where nobody sends questions yet, `send` is begun, which [`takes`](Self::take) them until there are
    /// none.
    pub(super) async fn ask<S>(&self, question: Q, send: impl FnOnce() -> S) -> Try<Q::Answer>
    where
        S: Future<Output = ()> + Send + 'static,
    {
        let (waits, answered) = oneshot::channel();
        if self.add(Asked { question, waits }) {
            tokio::spawn(send());
        }
        answered.await.unwrap_or_else(|_| Err(Fault::transient("the question was not asked")))
    }

    /// Returns `true` where somebody has to begin to send.
    fn add(&self, asked: Asked<Q>) -> bool {
        let mut waiting = self.lock();
        waiting.asked.push_back(asked);
        !std::mem::replace(&mut waiting.is_sent, true)
    }

    /// Takes questions that fit into one request, the oldest first and with it those of its topic; `None` where there is none,
    /// and from then on nobody sends.
    pub(super) fn take(&self) -> Option<Vec<Asked<Q>>> {
        let mut waiting = self.lock();
        waiting.asked.retain(|asked| !asked.waits.is_closed());
        let Some(kind) = waiting.asked.front().map(|asked| asked.question.kind()) else {
            waiting.is_sent = false;
            return None;
        };
        let (mut taken, mut left, mut partitions) = (Vec::new(), VecDeque::new(), HashSet::new());
        for asked in waiting.asked.drain(..) {
            let (topic, partition) = asked.question.partition();
            let fits = taken.len() < MAX_TOGETHER
                && asked.question.kind() == kind
                && partitions.insert((Arc::clone(topic), partition));
            if fits { taken.push(asked) } else { left.push_back(asked) }
        }
        waiting.asked = left;
        drop(waiting);
        let mut topics: Vec<Arc<str>> = Vec::new();
        taken.sort_by_cached_key(|asked: &Asked<Q>| {
            let topic = asked.question.partition().0;
            topics.iter().position(|known| known == topic).unwrap_or_else(|| {
                topics.push(Arc::clone(topic));
                topics.len() - 1
            })
        });
        Some(taken)
    }

    /// Puts questions back that an answer had no room for; they come first in the next request.
    pub(super) fn put_back(&self, asked: Vec<Asked<Q>>) {
        let mut waiting = self.lock();
        asked.into_iter().rev().for_each(|asked| waiting.asked.push_front(asked));
    }

    /// Returns what gives up all questions when it is dropped, unless they have all been taken: whoever sends them might
    /// panic.
    pub(super) fn sender(&self) -> Sender<'_, Q> {
        Sender(self)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<Q>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever sends questions.
pub(super) struct Sender<'a, Q: Question>(&'a Together<Q>);

impl<Q: Question> Drop for Sender<'_, Q> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut waiting = self.0.lock();
            waiting.asked.clear();
            waiting.is_sent = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Question for (Arc<str>, i32, u8) {
        type Answer = i32;

        fn partition(&self) -> (&Arc<str>, i32) {
            (&self.0, self.1)
        }

        fn kind(&self) -> u8 {
            self.2
        }
    }

    #[tokio::test]
    async fn what_is_asked_while_a_request_is_under_way_goes_into_the_next_one() {
        let together: Arc<Together<(Arc<str>, i32, u8)>> = Arc::default();
        let requests: Arc<StdMutex<Vec<Vec<i32>>>> = Arc::default();
        let ask = |partition: i32, kind: u8| {
            let (together, requests) = (Arc::clone(&together), Arc::clone(&requests));
            async move {
                let send = || {
                    let (together, requests) = (Arc::clone(&together), Arc::clone(&requests));
                    async move {
                        while let Some(asked) = together.take() {
                            let partitions = asked.iter().map(|asked| asked.question.1).collect();
                            requests.lock().expect("nothing panics with it").push(partitions);
                            tokio::task::yield_now().await;
                            asked.into_iter().for_each(|asked| {
                                let answer = asked.question.1 * 10;
                                asked.answer(Ok(answer));
                            });
                        }
                    }
                };
                together.ask(("t".into(), partition, kind), send).await.expect("an answer")
            }
        };
        let answers = tokio::join!(ask(1, 0), ask(2, 0), ask(2, 0), ask(3, 1), ask(4, 0));
        assert_eq!(answers, (10, 20, 20, 30, 40));
        let requests = requests.lock().expect("nothing panics with it").clone();
        // A request has a partition once, and questions of one kind.
        assert_eq!(requests, [vec![1, 2, 4], vec![2], vec![3]]);
    }

    #[tokio::test]
    async fn a_question_that_nobody_waits_for_is_not_sent() {
        let together: Together<(Arc<str>, i32, u8)> = Together::default();
        let given_up = together.ask(("t".into(), 1, 0), || std::future::ready(()));
        assert!(futures_util::poll!(std::pin::pin!(given_up)).is_pending());
        assert!(together.take().is_none());
    }
}
