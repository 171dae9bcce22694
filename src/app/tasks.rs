//! Begins the daemon's tasks, watches them, and ends them in order.
//!
//! Invariant: the first task that fails stops the others. The generator ends before the workers do, so that what it sent
//! last is counted as sent, and the reporter ends last. A partition has one worker at a time, and one that is revoked is
//! given back only once its worker has ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fmt,
    future::Future,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinError,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::JoinMap};

use super::{Error, PUBLISH_TIMEOUT, STOP_TIMEOUT, reload::Anew};
use thalweg_pipeline::{
    form::Form,
    processor,
    registry::Registry,
    worker::{self, Gauges, Stop, View, Worker},
};
use thalweg_store::Store;
use thalweg_topic::{Assigned, Assignment, Assignments, Budget, Revoked, Start, Transport};

/// Maximum time before a revoked partition is given back, whatever the transport allows.
const MAX_DRAIN: Duration = Duration::from_secs(3600);
/// Time for tasks that are told to end at once.
const ABORT_TIMEOUT: Duration = Duration::from_millis(500);

/// The views of the workers, by partition.
pub(super) type Views = watch::Receiver<BTreeMap<i32, View>>;

/// A task, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Task {
    /// Processes a partition.
    Worker(i32),
    /// Generates samples.
    Generator,
    /// Reports the daemon's state in the log.
    Reporter,
}

impl Task {
    fn is_worker(self) -> bool {
        matches!(self, Task::Worker(_))
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Task::Worker(partition) => write!(f, "worker-{partition}"),
            Task::Generator => f.write_str("generator"),
            Task::Reporter => f.write_str("reporter"),
        }
    }
}

/// The tasks of a daemon.
pub(super) struct TaskGroup<T> {
    transport: Arc<T>,
    store: Arc<Store>,
    registry: Option<Arc<dyn Registry>>,
    form: Form,
    config: Arc<worker::Config>,
    /// One for all workers, whatever settings they run under.
    budget: Budget,
    tasks: JoinMap<Task, Result<(), Error>>,
    workers: BTreeMap<i32, (Stop, Assigned)>,
    views: watch::Sender<BTreeMap<i32, View>>,
    /// Partitions that are being given back.
    leaving: Vec<Leaving>,
    /// Partitions that were assigned again before their worker had ended.
    returning: BTreeMap<i32, Assigned>,
    /// Partitions whose workers have not begun anew under new settings, and who waits for that.
    changing: (BTreeSet<i32>, Option<oneshot::Sender<()>>),
    /// True if the last change was an assignment, so that there is something to catch up with.
    assigned: bool,
    result: Result<(), Error>,
}

/// Partitions that were revoked together.
struct Leaving {
    /// Partitions whose workers have not ended.
    partitions: BTreeSet<i32>,
    deadline: Instant,
    drained: oneshot::Sender<()>,
}

impl<T: Transport> TaskGroup<T> {
    pub(super) fn new(
        transport: Arc<T>,
        store: Arc<Store>,
        registry: Option<Arc<dyn Registry>>,
        form: Form,
        config: worker::Config,
    ) -> Self {
        Self {
            transport,
            store,
            registry,
            form,
            config: Arc::new(config),
            budget: Budget::default(),
            tasks: JoinMap::new(),
            workers: BTreeMap::new(),
            views: watch::Sender::new(BTreeMap::new()),
            leaving: Vec::new(),
            returning: BTreeMap::new(),
            changing: Default::default(),
            assigned: false,
            result: Ok(()),
        }
    }

    /// Subscribes to the views of the workers.
    pub(super) fn views(&self) -> Views {
        self.views.subscribe()
    }

    pub(super) fn begin(&mut self, task: Task, work: impl Future<Output = Result<(), Error>> + Send + 'static) {
        self.tasks.spawn(task, work);
    }

    /// Processes assigned partitions until `shutdown` is cancelled, a task fails, or, if workers end once they have
    /// caught up, all of them have. The generator ends by `shutdown`, too, and the reporter by `reporting`. Workers begin anew
    /// under the settings that `changes` brings.
    ///
    /// # Errors
    /// Fails with the first error of a task.
    pub(super) async fn work(
        mut self,
        mut assignments: T::Assignments,
        mut changes: mpsc::Receiver<Anew>,
        shutdown: &CancellationToken,
        reporting: CancellationToken,
    ) -> Result<(), Error> {
        let mut ready = false;
        while self.result.is_ok() && !(self.assigned && self.config.until_caught_up && !self.has(Task::is_worker)) {
            let deadline = self.deadline();
            tokio::select! {
                () = shutdown.cancelled() => break,
                change = assignments.next() => match change {
                    Ok(Assignment::Assigned(partitions)) => {
                        if !ready {
                            self.log_ready(partitions.len());
                        }
                        (ready, self.assigned) = (true, true);
                        partitions.into_iter().for_each(|assigned| self.assign(assigned));
                    }
                    Ok(Assignment::Revoked(revoked)) => {
                        self.assigned = false;
                        self.revoke(revoked);
                    }
                    Err(error) => self.result = Err(error.into()),
                },
                Some(anew) = changes.recv() => self.begin_anew(anew),
                Some((task, ended)) = self.tasks.join_next() => self.ended(task, ended),
                () = due(deadline) => self.abort_overdue(),
            }
        }
        // Workers that were to begin again do not.
        self.returning.clear();
        shutdown.cancel();
        self.store.wait_no_more();
        let transport = Arc::clone(&self.transport);
        let in_time = tokio::select! {
            stopped = timeout(STOP_TIMEOUT, self.stop()) => stopped.is_ok(),
            never = give_up_publishing(&*transport) => match never {},
        };
        let stragglers: Vec<String> =
            self.running().filter(|task| *task != Task::Reporter).map(|it| it.to_string()).collect();
        if !in_time {
            self.workers.values().for_each(|(stop, _)| stop.at_once.cancel());
            self.tasks.abort(&Task::Generator);
            // They end when polled next, unless a poll never returns.
            let _ = timeout(ABORT_TIMEOUT, self.until_ended(|task| task != Task::Reporter)).await;
        }
        reporting.cancel();
        self.until_ended(|task| task == Task::Reporter).await;
        if in_time {
            self.result
        } else {
            self.result.and(Err(Error::Stragglers { stragglers: stragglers.join(", ") }))
        }
    }

    /// Waits for the generator to end, and then ends the workers.
    async fn stop(&mut self) {
        // After a failure the order matters no more.
        if self.result.is_ok() {
            self.until_ended(|task| task == Task::Generator).await;
        }
        self.workers.values().for_each(|(stop, _)| stop.in_order.cancel());
        self.until_ended(|task| task != Task::Reporter).await;
    }

    /// Waits until none of the selected tasks is left; a partition that is given back keeps its deadline.
    async fn until_ended(&mut self, is_meant: impl Fn(Task) -> bool) {
        while self.has(&is_meant) {
            let deadline = self.deadline();
            tokio::select! {
                Some((task, ended)) = self.tasks.join_next() => self.ended(task, ended),
                () = due(deadline) => self.abort_overdue(),
            }
        }
    }

    /// Returns the time by which the first partition has to be given back.
    fn deadline(&self) -> Option<Instant> {
        self.leaving.iter().map(|leaving| leaving.deadline).min()
    }

    fn log_ready(&self, partitions: usize) {
        let processor::Config { topic, labels, .. } = &self.config.processor;
        tracing::info!(event = "ready", topic, labels, partitions, "transport is open");
    }

    fn running(&self) -> impl Iterator<Item = Task> {
        self.tasks.keys().copied()
    }

    fn has(&self, is_meant: impl Fn(Task) -> bool) -> bool {
        self.running().any(is_meant)
    }

    fn assign(&mut self, assigned: Assigned) {
        let Assigned { partition, is_new } = assigned;
        if self.workers.contains_key(&partition) {
            self.returning.insert(partition, assigned);
            return;
        }
        let mut config = Arc::clone(&self.config);
        if is_new {
            Arc::make_mut(&mut config).start = Start::Earliest;
        }
        let (gauges, stop) = (Gauges::default(), Stop::default());
        self.views.send_modify(|views| drop(views.insert(partition, gauges.view())));
        self.workers.insert(partition, (stop.clone(), assigned));
        let (transport, store, budget) = (Arc::clone(&self.transport), Arc::clone(&self.store), self.budget.clone());
        let (registry, form) = (self.registry.clone(), self.form);
        let worker = Worker { transport, store, config, budget, registry, form, partition, gauges, stop };
        self.begin(Task::Worker(partition), async move {
            worker.run().await.map_err(|source| Error::Worker { partition, source: Box::new(source) })
        });
    }

    /// Has each worker leave a checkpoint and begin anew there, under new settings.
    fn begin_anew(&mut self, anew: Anew) {
        self.config = Arc::new(anew.config);
        let staying = self
            .workers
            .iter()
            .filter(|(partition, _)| !self.leaving.iter().any(|leaving| leaving.partitions.contains(*partition)));
        let mut changing = BTreeSet::new();
        for (&partition, (stop, assigned)) in staying {
            stop.in_order.cancel();
            self.returning.insert(partition, *assigned);
            changing.insert(partition);
        }
        self.changing = (changing, Some(anew.begun));
        self.tell_changed();
    }

    /// Tells who waits for it that all workers have begun anew.
    fn tell_changed(&mut self) {
        let (changing, waiting) = &mut self.changing;
        if changing.is_empty()
            && let Some(waiting) = waiting.take()
        {
            // A receiver that is gone need not be told.
            let _ = waiting.send(());
        }
    }

    fn revoke(&mut self, revoked: Revoked) {
        let Revoked { partitions, within, drained } = revoked;
        tracing::info!(event = "partitions_revoked", ?partitions, ?within, "partitions go to another process");
        let deadline = Instant::now() + within.min(MAX_DRAIN);
        let mut leaving = Leaving { partitions: BTreeSet::new(), deadline, drained };
        for partition in partitions {
            self.returning.remove(&partition);
            if let Some((stop, _)) = self.workers.get(&partition) {
                stop.in_order.cancel();
                leaving.partitions.insert(partition);
            } else {
                self.forget(partition);
            }
        }
        self.leaving.push(leaving);
        self.give_back();
    }

    /// Aborts the workers that have not drained in time.
    fn abort_overdue(&mut self) {
        let now = Instant::now();
        for leaving in self.leaving.iter_mut().filter(|leaving| leaving.deadline <= now) {
            for partition in &leaving.partitions {
                tracing::warn!(
                    event = "revoke_overdue",
                    partition,
                    "the worker has not published and saved all in time; whoever has the partition next goes on from its last \
                     checkpoint"
                );
                if let Some((stop, _)) = self.workers.get(partition) {
                    stop.at_once.cancel();
                }
            }
            // Nothing more can be done but wait for them.
            leaving.deadline = now + STOP_TIMEOUT;
        }
    }

    /// Gives back the partitions whose workers have ended.
    fn give_back(&mut self) {
        for leaving in self.leaving.extract_if(.., |leaving| leaving.partitions.is_empty()) {
            // A receiver that is gone need not be told.
            let _ = leaving.drained.send(());
        }
    }

    fn ended(&mut self, task: Task, ended: Result<Result<(), Error>, JoinError>) {
        let ended = ended.unwrap_or_else(|error| if error.is_panic() { Err(Error::Panicked) } else { Ok(()) });
        if ended.as_ref().is_err_and(Error::is_defect) {
            self.store.seal();
        }
        if self.result.is_ok() {
            self.result = ended;
        }
        if let Task::Worker(partition) = task {
            self.worker_ended(partition);
        }
    }

    /// Removes a partition's view.
    fn forget(&self, partition: i32) {
        self.views.send_modify(|views| drop(views.remove(&partition)));
    }

    fn worker_ended(&mut self, partition: i32) {
        self.workers.remove(&partition);
        let mut revoked = false;
        for leaving in &mut self.leaving {
            revoked |= leaving.partitions.remove(&partition);
        }
        if revoked {
            self.forget(partition);
        }
        self.give_back();
        if let Some(assigned) = self.returning.remove(&partition)
            && self.result.is_ok()
        {
            self.assign(assigned);
        }
        self.changing.0.remove(&partition);
        self.tell_changed();
    }
}

/// Lets the transport give up, once it has had its time, what it waits for.
async fn give_up_publishing<T: Transport>(transport: &T) -> Infallible {
    sleep(PUBLISH_TIMEOUT).await;
    transport.wait_no_more();
    std::future::pending().await
}

/// Waits until `deadline`, or for ever if there is none.
async fn due(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
