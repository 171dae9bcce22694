//! The daemon under test, over a backlog or live.

use std::{path::PathBuf, process::Command, time::Duration};

use crate::{
    process::{Usage, Watched, between},
    topics::Broker,
};

/// What is raced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Race {
    Linear,
    Tree,
    /// What settings.toml ships.
    Default,
}

impl Race {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Race::Linear => "linear + mean",
            Race::Tree => "hoeffding_tree + linear + mean",
            Race::Default => "the default models",
        }
    }

    /// The name that peers know it by.
    pub(crate) fn peer(self) -> &'static str {
        if self == Race::Linear { "linear" } else { "tree" }
    }

    fn setting(self) -> Option<&'static str> {
        match self {
            Race::Linear => Some(r#"models=[{kind="mean"},{kind="linear",optimizer="sgd"}]"#),
            Race::Tree => {
                Some(r#"models=[{kind="mean"},{kind="linear",optimizer="sgd"},{kind="hoeffding_tree",scale=true}]"#)
            }
            Race::Default => None,
        }
    }
}

/// A daemon with a folder of its own, which goes with it.
pub(crate) struct Daemon {
    pub(crate) folder: tempfile::TempDir,
    settings: Vec<String>,
    binary: PathBuf,
}

impl Daemon {
    /// On the broker; its outputs are topics called `name`-predictions and so on.
    pub(crate) fn on(broker: &Broker, samples: &str, name: &str, race: Race) -> Self {
        Self::with(
            race,
            [
                "transport.kind=kafka".to_owned(),
                format!("transport.kafka.brokers=[\"{}\"]", broker.address),
                format!("topics.samples={samples}"),
                format!("topics.predictions={name}-predictions"),
                format!("topics.dead_letters={name}-dead-letters"),
                format!("topics.events={name}-events"),
                "generator.enabled=false".to_owned(),
            ],
        )
    }

    /// On the embedded transport, without samples of its own.
    pub(crate) fn embedded(race: Race) -> Self {
        Self::with(
            race,
            ["generator.enabled=false", "transport.embedded.retention_records=100_000_000"].map(Into::into),
        )
    }

    fn with(race: Race, settings: impl IntoIterator<Item = String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings: Vec<String> = settings.into_iter().collect();
        settings.push(format!("state.path={}", folder.path().join("state.db").display()));
        settings.push("logging.format=json".to_owned());
        settings.extend(race.setting().map(ToOwned::to_owned));
        Self { folder, settings, binary: env!("CARGO_BIN_EXE_thalweg").into() }
    }

    pub(crate) fn set(&mut self, setting: &str) {
        self.settings.push(setting.to_owned());
    }

    /// Runs another build.
    pub(crate) fn run_by(&mut self, binary: PathBuf) {
        self.binary = binary;
    }

    /// Returns what the build says against the settings; none where it takes them.
    pub(crate) fn refusal(&self) -> Option<String> {
        let output = self.command(&["check"]).output().expect("it starts");
        let words = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        (!output.status.success()).then_some(words)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        let settings = self.settings.iter().flat_map(|setting| ["--set", setting]);
        command.args(arguments).args(settings).current_dir(self.folder.path());
        command
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Watched {
        Watched::start(&mut self.command(arguments), &self.log())
    }

    /// Works off the backlog; the time from its first record to its end.
    pub(crate) async fn backlog(&self) -> Duration {
        self.backlog_and_usage().await.0
    }

    /// Works off the backlog; also what the whole process took.
    pub(crate) async fn backlog_and_usage(&self) -> (Duration, Usage) {
        let (watched, log) = (self.start(&["run", "--until-caught-up"]), self.log());
        let waited = tokio::task::spawn_blocking(move || watched.wait(&log));
        let (usage, log) = waited.await.expect("a task");
        (between(&log, "worker_started", "stopped"), usage)
    }
}
