//! The composition root: settings → build → run → stop in order.
//!
//! Invariant: every task has a name, is watched, and is joined under a deadline; the first that fails stops the others.
//! The caller supplies the signal to stop, so that tests can stop it too.

mod contact;
pub mod dead_letters;
pub mod fields;
mod generating;
pub mod history;
mod observer;
mod partition_ends;
mod report;
mod table;
mod tasks;
mod vitals;

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use observer::Observer;
use partition_ends::PartitionEnds;
use tasks::{Task, TaskGroup};
use thalweg_embedded::Embedded;
use thalweg_http::Server;
use thalweg_kafka::Kafka;
use thalweg_pipeline::{processor, worker};
use thalweg_settings::{self as settings, Settings};
use thalweg_store::{self as store, Store};
use thalweg_topic::{self as topic, Generating, Opening, SampleLog, Transport};

/// Time from the signal to the end of the last task.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Time from the signal until what the transport has not taken is left to the next start.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// The reason why the daemon ended before it was told to, or not in order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Failure of the state file.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Failure of the transport.
    #[error(transparent)]
    Transport(#[from] topic::Error),
    /// Failure of a worker.
    #[error("worker of partition {partition}")]
    Worker {
        /// Partition of the worker.
        partition: i32,
        /// Error of the worker.
        #[source]
        source: Box<worker::Error>,
    },
    /// Failure of the generator.
    #[error("generator")]
    Generator(#[from] generating::Error),
    /// Failure to serve HTTP.
    #[error(transparent)]
    Http(#[from] thalweg_http::Error),
    /// A task ended by a defect.
    #[error("a task panicked; the state is as of the last checkpoint. Please report this")]
    Panicked,
    /// The deadline for stopping passed.
    #[error(
        "not stopped within {STOP_TIMEOUT:?}: {stragglers}; what they had not confirmed is done again at the next start"
    )]
    Stragglers {
        /// Names of the tasks that still ran.
        stragglers: String,
    },
}

impl Error {
    /// Returns true if the settings have to change first, so that starting again soon is of no use.
    pub fn is_for_the_settings(&self) -> bool {
        match self {
            Error::Transport(error) | Error::Generator(generating::Error::Transport(error)) => {
                error.is_for_the_settings()
            }
            Error::Worker { source, .. } => {
                matches!(&**source, worker::Error::Transport(error) if error.is_for_the_settings())
            }
            _ => false,
        }
    }

    /// Returns true if a task has panicked.
    fn is_defect(&self) -> bool {
        match self {
            Error::Panicked => true,
            Error::Worker { source, .. } => matches!(**source, worker::Error::Panicked { .. }),
            _ => false,
        }
    }
}

/// Runs the daemon until `stop` resolves or, with `until_caught_up`, until all records there at the start are processed
/// (the generator then rests).
///
/// # Errors
/// Fails with whatever needs a person; everything confirmed is kept.
pub async fn run(mut settings: Settings, until_caught_up: bool, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let store = Arc::new(Store::open(&settings.state).inspect_err(log_failure)?);
    tracing::info!(
        event = "starting",
        version = env!("CARGO_PKG_VERSION"),
        transport = settings.transport.name(),
        state = %store.path().display(),
        models = settings.race.models.len(),
        "thalweg starts"
    );
    report::tell_systemd_status(&opening(&settings));
    let observer = settings.http.is_some().then(|| Arc::new(Observer::new(&settings)));
    let _http = listen(&settings, observer.as_ref()).inspect_err(log_failure)?;
    let shutdown = CancellationToken::new();
    let opening = async {
        let topics = settings.topics.clone();
        let generating = Generating { into_foreign_topic: settings.generator.into_foreign_topic };
        let wanted = Opening {
            generating: (settings.generator.enabled && !until_caught_up).then_some(generating),
            until_caught_up,
            shared_outputs: settings.shared_outputs,
            timestamps: settings.timestamps,
            checkpoint_every: settings.state.every,
            status: Some(Arc::new(report::tell_systemd_status)),
        };
        match &settings.transport {
            settings::Transport::Embedded(config) => {
                let config = config.clone();
                let open = async |opening: &Opening| {
                    Embedded::open(config.clone(), topics.clone(), Arc::clone(&store), opening).await
                };
                let transport = match open(&wanted).await {
                    // Nobody asked for the generator, so it is turned off.
                    Err(topic::Error::Foreign { topic, found }) if !settings.generator.asked_for => {
                        generating::log_rests(&topic, &found);
                        settings.generator.enabled = false;
                        open(&Opening { generating: None, ..wanted.clone() }).await?
                    }
                    other => other?,
                };
                // Boxed, since otherwise the compiler lays out everything that awaits in one future.
                observed(transport, &settings, &store, until_caught_up, &shutdown, observer.as_deref()).boxed().await
            }
            settings::Transport::Kafka(config) => {
                let open = Kafka::open(config.as_ref().clone(), topics, Arc::clone(&store), wanted, shutdown.clone());
                let transport = open.boxed().await?;
                observed(transport, &settings, &store, until_caught_up, &shutdown, observer.as_deref()).boxed().await
            }
        }
    };
    let stopper = async {
        stop.await;
        tracing::info!(event = "stopping", "stopping in order");
        report::tell_systemd_stopping();
        shutdown.cancel();
        // The tasks stop by themselves from here on; this only watches the clock.
        tokio::time::sleep(STOP_TIMEOUT + Duration::from_secs(1)).await;
    };
    let result = tokio::select! {
        result = opening => result,
        () = stopper => Err(Error::Stragglers { stragglers: "opening the transport".into() }),
    };
    // Told to stop while waiting for the broker: nothing was begun, so nothing is left undone.
    let result = match result {
        Err(Error::Transport(topic::Error::Stopped)) => Ok(()),
        other => other,
    };
    match &result {
        Ok(()) => tracing::info!(event = "stopped", "stopped; the next start carries on from here"),
        Err(error) => log_failure(error),
    }
    result
}

/// Begins to tell over HTTP how the daemon is, where the settings say so. It answers while the transport is being opened, too.
fn listen(settings: &Settings, observer: Option<&Arc<Observer>>) -> Result<Option<Server>, Error> {
    let Some((config, observer)) = settings.http.as_ref().zip(observer) else { return Ok(None) };
    let server = Server::start(config.clone(), Arc::clone(observer) as _)?;
    tracing::info!(event = "http_listening", address = %server.address(), "HTTP is served");
    Ok(Some(server))
}

/// Logs the error that ended it, in this one place.
fn log_failure(error: &(impl std::error::Error + 'static)) {
    tracing::error!(event = "failed", error = %chain(error), "stopped by an error");
}

/// Describes what a start waits for first.
fn opening(settings: &Settings) -> String {
    match &settings.transport {
        settings::Transport::Embedded(_) => "opening the embedded transport".to_owned(),
        settings::Transport::Kafka(config) => format!("connecting to Kafka at {}", config.brokers.join(", ")),
    }
}

/// Runs the daemon on an open transport, until `shutdown` or, with `until_caught_up`, until all records there at the
/// start are processed.
///
/// # Errors
/// Fails with whatever needs a person; everything confirmed is kept.
pub async fn serve<T: Transport + SampleLog>(
    transport: T,
    settings: &Settings,
    store: &Arc<Store>,
    until_caught_up: bool,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    observed(transport, settings, store, until_caught_up, shutdown, None).await
}

async fn observed<T: Transport + SampleLog>(
    transport: T,
    settings: &Settings,
    store: &Arc<Store>,
    until_caught_up: bool,
    shutdown: &CancellationToken,
    observer: Option<&Observer>,
) -> Result<(), Error> {
    if shutdown.is_cancelled() {
        return Ok(());
    }
    let transport = Arc::new(transport);
    let config = worker::Config {
        processor: processor::Config {
            topic: settings.topics.samples.clone(),
            schema: settings.schema.clone(),
            race: settings.race.clone(),
        },
        start: settings.start,
        on_gap: settings.on_gap,
        checkpoint_every: settings.state.every,
        until_caught_up,
    };
    report::tell_systemd_ready();

    let mut tasks = TaskGroup::new(Arc::clone(&transport), Arc::clone(store), config);
    let (views, ends) = (tasks.views(), Arc::new(PartitionEnds::default()));
    let looking = partition_ends::run(views.clone(), Arc::clone(&transport), Arc::clone(&ends));
    let watching = vitals::run(views.clone(), Arc::clone(&transport), Arc::clone(store));
    let observing = async {
        match observer {
            Some(observer) => observer.run(views.clone(), &*transport, Arc::clone(store), Arc::clone(&ends)).await,
            None => std::future::pending().await,
        }
    };
    let sources = report::Sources {
        views: views.clone(),
        transport: Arc::clone(&transport),
        store: Arc::clone(store),
        ends: Arc::clone(&ends),
    };
    let reporting = CancellationToken::new();
    let reports = report::run(sources, settings.report_every, reporting.clone());
    tasks.begin(Task::Reporter, reports.map(Ok));
    if settings.generator.enabled && !until_caught_up {
        let generate = generating::run(Arc::clone(&transport), settings.generator.clone(), shutdown.clone());
        tasks.begin(Task::Generator, generate.map(|ended| ended.map_err(Error::from)));
    }
    tokio::select! {
        ended = tasks.work(transport.assignments(), shutdown, reporting) => ended,
        never = watching => match never {},
        never = looking => match never {},
        never = observing => match never {},
    }
}

/// Formats an error with all its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
