//! Settings that change while the daemon runs: read anew, checked, and handed to whom they concern.
//!
//! Invariant: settings that are not good change nothing, and nothing is ignored in silence: each key that differs either holds
//! from now on or is named as one that needs a restart. What concerns the workers reaches them as a restart would: each leaves a
//! checkpoint and begins anew there, in the same process and on the same connections.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{http::Http, report::tell_systemd};
use thalweg_generator as generator;
use thalweg_http::{self as http, Identity, Token};
use thalweg_logging as logging;
use thalweg_pipeline::{processor, worker};
use thalweg_settings::{Errors, Keys, Problem, Settings, Sources};

/// Time for the workers to begin anew before systemd is told that the reload is over; they go on with it all the same.
const CHANGEOVER: Duration = Duration::from_secs(10);

/// Keys that hold at once, whatever else of their section has to wait for a restart.
const AT_ONCE: [&str; 3] = ["generator.rate", "logging.level", "metrics.report_every"];

/// Where new settings come from, and when.
#[derive(Debug)]
pub struct Reload {
    /// One for each wish of a person to read them anew.
    pub wishes: mpsc::Receiver<()>,
    /// Where they are read from.
    pub sources: Sources,
    /// The keys that were found at the start.
    pub keys: Keys,
}

/// New settings of the workers.
#[derive(Debug)]
pub(super) struct Anew {
    pub(super) config: worker::Config,
    /// Told when every worker has begun anew.
    pub(super) begun: oneshot::Sender<()>,
}

/// The settings that may change, for who keeps to them.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) rate: watch::Receiver<f64>,
    pub(super) report_every: watch::Receiver<Duration>,
    pub(super) workers: mpsc::Receiver<Anew>,
    /// Set once the daemon has told systemd that it is up; before that a reload tells it nothing.
    pub(super) up: Arc<AtomicBool>,
}

impl Live {
    /// Returns settings that stay as they are.
    pub(super) fn fixed(settings: &Settings) -> Self {
        channels(settings).1
    }
}

/// The other ends of [`Live`].
#[derive(Debug)]
struct Controls {
    rate: watch::Sender<f64>,
    report_every: watch::Sender<Duration>,
    workers: mpsc::Sender<Anew>,
    up: Arc<AtomicBool>,
}

fn channels(settings: &Settings) -> (Controls, Live) {
    let (rate, rates) = watch::channel(settings.generator.rate);
    let (report_every, intervals) = watch::channel(settings.report_every);
    let (workers, changes) = mpsc::channel(1);
    let up = Arc::new(AtomicBool::new(false));
    let live = Live { rate: rates, report_every: intervals, workers: changes, up: Arc::clone(&up) };
    (Controls { rate, report_every, workers, up }, live)
}

/// Returns what the settings say to the workers.
pub(super) fn for_workers(settings: &Settings, until_caught_up: bool) -> worker::Config {
    worker::Config {
        processor: processor::Config {
            topic: settings.topics.samples.clone(),
            labels: settings.topics.labels.clone(),
            schema: settings.schema.clone(),
            race: settings.race.clone(),
        },
        start: settings.start,
        on_gap: settings.on_gap,
        checkpoint_every: settings.state.every,
        until_caught_up,
    }
}

/// Settings as they were read anew, with what the files that they name hold.
struct Found {
    settings: Settings,
    keys: Keys,
    token: Option<Token>,
    identity: Option<Identity>,
}

/// Reads the settings anew when it is asked to.
pub(super) struct Reloader<'s> {
    reload: Reload,
    /// What holds now.
    settings: Settings,
    until_caught_up: bool,
    controls: Controls,
    server: Option<&'s Http>,
    shutdown: CancellationToken,
}

impl<'s> Reloader<'s> {
    pub(super) fn new(
        reload: Reload,
        settings: &Settings,
        until_caught_up: bool,
        server: Option<&'s Http>,
        shutdown: CancellationToken,
    ) -> (Self, Live) {
        let (controls, live) = channels(settings);
        (Self { reload, settings: settings.clone(), until_caught_up, controls, server, shutdown }, live)
    }

    /// Listens until dropped.
    pub(super) async fn run(mut self) -> Infallible {
        while self.reload.wishes.recv().await.is_some() {
            if self.shutdown.is_cancelled() {
                break;
            }
            let up = self.controls.up.load(Ordering::Acquire);
            if up {
                tell_reloading();
            }
            tracing::info!(event = "reloading", "the settings are read anew");
            match self.read().await {
                Ok(found) => self.apply(found).await,
                Err(errors) => refuse(&errors),
            }
            if up && !self.shutdown.is_cancelled() {
                tell_systemd(&[sd_notify::NotifyState::Ready]);
            }
        }
        pending().await
    }

    /// Reads the settings and all that they name.
    async fn read(&self) -> Result<Found, Errors> {
        let sources = self.reload.sources.clone();
        let read = move || {
            let (settings, keys) = Settings::load_with_keys(&sources)?;
            settings.check_files()?;
            let http = settings.http.as_ref();
            let wrong = |path: &str, message| Errors::from(vec![Problem { path: path.to_owned(), message }]);
            let token = http.and_then(|http| http.token_file.as_deref()).map(Token::read).transpose();
            let tls = http.and_then(|http| http.tls.as_ref());
            let identity = tls.map(|(cert, key)| Identity::read(cert, key)).transpose();
            let token = token.map_err(|problem| wrong("http.token_file", problem))?;
            let identity = identity.map_err(|problem| wrong("http.tls_cert", problem))?;
            Ok(Found { settings, keys, token, identity })
        };
        let broken = |error: tokio::task::JoinError| {
            let message = format!("the settings cannot be read: {error}");
            Errors::from(vec![Problem { path: "settings".to_owned(), message }])
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(broken(error)))
    }

    async fn apply(&mut self, Found { settings: new, keys, token, identity }: Found) {
        let next = reachable(&self.settings, &new);
        let apart = differing_sections(&next, &new);
        let waits = |path: &&str| {
            let section = path.split('.').next().unwrap_or_default();
            apart.contains(&section) && !AT_ONCE.contains(path)
        };
        let found = self.reload.keys.clone();
        let (waiting, changed): (Vec<&str>, Vec<&str>) = found.differing(&keys).into_iter().partition(waits);
        // The files may hold another token, and another certificate, under the same names.
        if let Some(server) = self.server.filter(|_| next.http == new.http) {
            server.replace(token, identity);
        }
        let level = next.logging.level;
        if level > self.settings.logging.level {
            logging::set_level(level);
        }
        self.controls.rate.send_if_modified(|rate| std::mem::replace(rate, next.generator.rate) != next.generator.rate);
        let every = next.report_every;
        self.controls.report_every.send_if_modified(|interval| std::mem::replace(interval, every) != every);
        let config = for_workers(&next, self.until_caught_up);
        if let Some(server) = self.server {
            server.api.adopt(&config.processor.schema);
        }
        let anew = config != for_workers(&self.settings, self.until_caught_up);
        self.reload.keys.take(&keys, |path| !waiting.contains(&path));
        self.settings = next;
        if anew {
            self.begin_anew(config).await;
        }
        for key in &waiting {
            tracing::warn!(
                event = "restart_needed",
                key,
                "this setting has changed and holds from the next start on: systemctl restart thalweg"
            );
        }
        tracing::info!(
            event = "reloaded",
            changed = changed.join(", "),
            waiting = waiting.join(", "),
            workers_anew = anew,
            "{}",
            if changed.is_empty() && waiting.is_empty() {
                "no setting has changed; environment and --set go before the file"
            } else {
                "the settings hold, but for those that wait for a restart"
            }
        );
        // A log that is to tell less tells this still.
        logging::set_level(level);
    }

    /// Has the workers go on with new settings, and waits for that for a while.
    async fn begin_anew(&self, config: worker::Config) {
        let (begun, done) = oneshot::channel();
        // A receiver that is gone means that the daemon ends; before the transport is open, the channel keeps it.
        let changed = async {
            if self.controls.workers.send(Anew { config, begun }).await.is_ok()
                && self.controls.up.load(Ordering::Acquire)
            {
                let _ = done.await;
            }
        };
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            waited = timeout(CHANGEOVER, changed) => if waited.is_err() {
                tracing::warn!(
                    event = "changeover_pending",
                    "workers still publish what they have read under the settings of before, and change over after that"
                );
            }
        }
    }
}

/// Returns the settings that can be had without a restart.
fn reachable(now: &Settings, new: &Settings) -> Settings {
    let level = new.logging.level;
    let rate = new.generator.rate;
    let mut next = Settings {
        report_every: new.report_every,
        logging: logging::Config { level, ..now.logging },
        generator: generator::Config { rate, ..now.generator.clone() },
        ..now.clone()
    };
    // Another token and certificate, but only for the address that they were meant for.
    if let (Some(http), Some(new)) = (&mut next.http, &new.http)
        && http.tls.is_some() == new.tls.is_some()
        && (http::Config { token_file: new.token_file.clone(), tls: new.tls.clone(), ..http.clone() }) == *new
    {
        http.clone_from(new);
    }
    // What a worker learns, and from which topic, belong together.
    let is_elsewhere = next.transport != new.transport
        || next.start != new.start
        || next.topics != new.topics
        || next.timestamps != new.timestamps
        || next.shared_outputs != new.shared_outputs
        || next.predictions != new.predictions;
    // Workers keep the registry that they began with.
    if !is_elsewhere && next.registry == new.registry {
        (next.schema, next.race, next.on_gap) = (new.schema.clone(), new.race.clone(), new.on_gap);
    }
    next
}

/// Returns the sections in which two settings differ.
fn differing_sections(one: &Settings, other: &Settings) -> Vec<&'static str> {
    let Settings {
        transport,
        topics,
        start,
        on_gap,
        timestamps,
        shared_outputs,
        predictions,
        schema,
        registry,
        generator,
        race,
        report_every: _,
        http,
        state,
        logging,
    } = one;
    let race = *race != other.race;
    // The registry is a table of [schema].
    let predictions = *predictions != other.predictions;
    let differ = [
        ("transport", *transport != other.transport || *start != other.start || *on_gap != other.on_gap),
        ("topics", *topics != other.topics),
        ("output", predictions || *timestamps != other.timestamps || *shared_outputs != other.shared_outputs),
        ("schema", *schema != other.schema || *registry != other.registry || predictions || race),
        ("labels", schema.labels != other.schema.labels),
        ("features", schema.derived != other.schema.derived),
        ("keys", schema.keys_budget != other.schema.keys_budget),
        ("generator", *generator != other.generator),
        ("models", race),
        ("guard", race),
        ("intervals", race),
        ("metrics", race),
        ("http", *http != other.http),
        ("state", *state != other.state),
        ("logging", *logging != other.logging),
    ];
    differ.into_iter().filter(|(_, differ)| *differ).map(|(section, _)| section).collect()
}

/// Logs why settings are refused, a line for each problem.
fn refuse(errors: &Errors) {
    let problems = errors.problems();
    for Problem { path, message } in problems {
        tracing::error!(event = "setting_refused", key = path, problem = message, "this setting is not good");
    }
    tracing::error!(
        event = "reload_refused",
        problems = problems.len(),
        "the settings are not good, so those of before still hold; mend them and reload again"
    );
}

/// Tells systemd that the settings are being read anew.
fn tell_reloading() {
    match sd_notify::NotifyState::monotonic_usec_now() {
        Ok(now) => tell_systemd(&[sd_notify::NotifyState::Reloading, now]),
        Err(error) => {
            tracing::warn!(event = "systemd_unreachable", %error, "there is no monotonic clock to tell systemd")
        }
    }
}
