//! The composition root: settings → build → run → stop in order.
//!
//! Invariant: every task has a name, is watched, and is joined under a deadline; the first that fails stops the others.
//! The caller supplies the signal to stop, so that tests can stop it too.

mod api;
mod asking;
mod contact;
pub mod dead_letters;
pub mod decoded;
mod features;
pub mod fields;
mod generating;
pub mod history;
mod http;
pub mod json;
mod observer;
mod partition_ends;
pub mod registering;
mod reload;
mod report;
mod table;
mod tail;
mod tasks;
mod timeline;
mod vitals;

use std::{
    future::pending,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use http::Http;
use partition_ends::PartitionEnds;
use reload::{Live, Reloader, for_workers};
use tasks::{Task, TaskGroup};
use thalweg_embedded::Embedded;
use thalweg_kafka::Kafka;
use thalweg_pipeline::{registry::Registry, worker};
use thalweg_settings::{self as settings, Settings};
use thalweg_store::{self as store, Store};
use thalweg_topic::{self as topic, Generating, Opening, SampleLog, Transport};

pub use reload::Reload;

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
    /// The schema registry cannot be asked as the settings say.
    #[error("schema.registry: {0}")]
    Registry(String),
    /// The schema registry does not take the schema of predictions.
    #[error(
        "output.format: the schema registry does not take the schema of predictions (`thalweg schema` prints it) under the subject \
         `{subject}`: {problem}. Give it a subject of its own (output.subject, or another topics.predictions, which the subject is named \
         after), change what that subject takes at the registry (its compatibility, its schemas), or set output.format = \"json\""
    )]
    Subject {
        /// Subject under which it should be.
        subject: String,
        /// The registry's words.
        problem: String,
    },
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
            Error::Registry(_) | Error::Subject { .. } => true,
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
/// (the generator then rests). With `reload` its settings may change meanwhile.
///
/// # Errors
/// Fails with whatever needs a person; everything confirmed is kept.
pub fn run(
    settings: Settings,
    until_caught_up: bool,
    reload: Option<Reload>,
    stop: BoxFuture<'static, ()>,
) -> BoxFuture<'static, Result<(), Error>> {
    // A future is compiled where it is awaited first, or boxed: here, and not in every program that runs a daemon.
    daemon(settings, until_caught_up, reload, stop).boxed()
}

async fn daemon(
    mut settings: Settings,
    until_caught_up: bool,
    reload: Option<Reload>,
    stop: BoxFuture<'static, ()>,
) -> Result<(), Error> {
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
    let http = Http::begin(&settings).inspect_err(log_failure)?;
    let shutdown = CancellationToken::new();
    let (reloader, live) = match reload {
        Some(reload) => {
            let (reloader, live) = Reloader::new(reload, &settings, until_caught_up, http.as_ref(), shutdown.clone());
            (Some(reloader), live)
        }
        None => (None, Live::fixed(&settings)),
    };
    let reloading = async {
        match reloader {
            Some(reloader) => reloader.run().await,
            None => pending().await,
        }
    };
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
                observed(transport, &settings, &store, until_caught_up, &shutdown, http.as_ref(), live).boxed().await
            }
            settings::Transport::Kafka(config) => {
                let open = Kafka::open(config.as_ref().clone(), topics, Arc::clone(&store), wanted, shutdown.clone());
                let transport = open.await?;
                observed(transport, &settings, &store, until_caught_up, &shutdown, http.as_ref(), live).boxed().await
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
        never = reloading => match never {},
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
    observed(transport, settings, store, until_caught_up, shutdown, None, Live::fixed(settings)).await
}

async fn observed<T: Transport + SampleLog>(
    transport: T,
    settings: &Settings,
    store: &Arc<Store>,
    until_caught_up: bool,
    shutdown: &CancellationToken,
    http: Option<&Http>,
    live: Live,
) -> Result<(), Error> {
    if shutdown.is_cancelled() {
        return Ok(());
    }
    let form = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        form = registering::form(settings, http.map(|http| &*http.observer)) => form?,
    };
    let transport = Arc::new(transport);
    let config = for_workers(settings, until_caught_up);
    report::tell_systemd_ready();
    live.up.store(true, Ordering::Release);

    let registry = match &settings.registry {
        Some(registry) => {
            let client = thalweg_registry::Client::new(registry.clone(), &settings.schema.format);
            Some(Arc::new(client.map_err(Error::Registry)?) as Arc<dyn Registry>)
        }
        None => None,
    };
    let mut tasks = TaskGroup::new(Arc::clone(&transport), Arc::clone(store), registry, form, config);
    let (views, ends) = (tasks.views(), Arc::new(PartitionEnds::default()));
    if let Some(http) = http {
        http.api.open(views.clone(), &transport, settings);
    }
    let looking = partition_ends::run(views.clone(), Arc::clone(&transport), Arc::clone(&ends));
    let watching = vitals::run(views.clone(), Arc::clone(&transport), Arc::clone(store));
    let observing = async {
        match http {
            Some(http) => http.observer.run(views.clone(), &*transport, Arc::clone(store), Arc::clone(&ends)).await,
            None => pending().await,
        }
    };
    let sources = report::Sources {
        views: views.clone(),
        transport: Arc::clone(&transport),
        store: Arc::clone(store),
        ends: Arc::clone(&ends),
        page: http.map(Http::address),
    };
    let reporting = CancellationToken::new();
    let reports = report::run(sources, live.report_every, reporting.clone());
    tasks.begin(Task::Reporter, reports.map(Ok));
    if settings.generator.enabled && !until_caught_up {
        let generate = generating::run(Arc::clone(&transport), settings.generator.clone(), live.rate, shutdown.clone());
        tasks.begin(Task::Generator, generate.map(|ended| ended.map_err(Error::from)));
    }
    let ended = tokio::select! {
        ended = tasks.work(transport.assignments(), live.workers, shutdown, reporting) => ended,
        never = watching => match never {},
        never = looking => match never {},
        never = observing => match never {},
    };
    if let Some(http) = http {
        http.observer.end().await;
    }
    ended
}

/// Asks the schema registry whether it is there; `None` where samples need none.
///
/// # Errors
/// What is in the way.
pub async fn ask_registry(settings: &Settings) -> Option<Result<(), String>> {
    let registry = settings.registry.as_ref()?;
    Some(match thalweg_registry::Client::new(registry.clone(), &settings.schema.format) {
        Ok(client) => client.probe().await.map_err(|away| away.0),
        Err(problem) => Err(problem),
    })
}

/// Formats an error with all its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
