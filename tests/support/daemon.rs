//! The real binary, started and stopped as a user would, in a folder of its own.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::PATIENCE;

/// A folder with a state file and nothing else.
pub struct Workspace {
    folder: TempDir,
    /// Settings every command of this site gets.
    pub settings: Vec<String>,
}

/// The binary as a person starts it: what is run in the background ignores SIGHUP, and so does all that it starts.
fn binary() -> Command {
    const BINARY: &str = env!("CARGO_BIN_EXE_thalweg");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let is_hangup = |mask: &str| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1);
    if !ignored.is_some_and(is_hangup) {
        return Command::new(BINARY);
    }
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", BINARY]);
    command
}

impl Workspace {
    /// Settings are `key.path=value`, on top of the built-in defaults.
    pub fn new(settings: &[&str]) -> Self {
        let site = Self {
            folder: tempfile::tempdir().expect("a folder"),
            settings: settings.iter().map(ToString::to_string).collect(),
        };
        std::fs::create_dir(site.path("data")).expect("a data folder");
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("write");
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = binary();
        command.current_dir(self.folder.path()).args(arguments).stdin(Stdio::null());
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        // Tests run side by side, and there is one default port.
        let runs = arguments.first().is_none_or(|first| *first == "run" || first.starts_with("--"));
        let mut set = arguments.iter().copied().chain(self.settings.iter().map(String::as_str));
        if runs && !set.any(|set| set.starts_with("http.listen=")) {
            command.args(["--set", "http.listen="]);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// Starts the daemon; its log is JSON.
    pub fn start(&self, arguments: &[&str]) -> Daemon {
        self.spawn(self.command(arguments))
    }

    /// Starts the daemon with more in its environment.
    pub fn start_with(&self, environment: &[(&str, String)]) -> Daemon {
        let mut command = self.command(&[]);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        self.spawn(command)
    }

    /// Starts the daemon in a shell that has set a limit before, as `ulimit` does with these arguments.
    pub fn start_under(&self, ulimit: &str, arguments: &[&str]) -> Daemon {
        let daemon = self.command(arguments);
        let mut shell = Command::new("sh");
        shell.current_dir(self.folder.path()).stdin(Stdio::null());
        shell.args(["-c", &format!(r#"ulimit {ulimit} && exec "$0" "$@""#)]);
        shell.arg(daemon.get_program()).args(daemon.get_args());
        self.spawn(shell)
    }

    fn spawn(&self, mut command: Command) -> Daemon {
        command.args(["--set", "logging.format=json"]);
        Daemon::of(command)
    }

    pub fn state(&self) -> Connection {
        Connection::open(self.path("data/thalweg.db")).expect("the state file")
    }

    /// The records of a topic's partition 0: offset, value, headers.
    pub fn topic(&self, name: &str) -> Vec<(i64, Option<Vec<u8>>, Value)> {
        let state = self.state();
        let mut query = state
            .prepare(&format!(
                "SELECT offset, CAST(value AS BLOB), headers FROM \"{name}\" WHERE partition = 0 ORDER BY offset"
            ))
            .expect("the topic");
        let headers =
            |text: Option<String>| text.map_or(Value::Null, |text| serde_json::from_str(&text).expect("JSON"));
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, headers(row.get(2)?)))).expect("rows");
        rows.map(|row| row.expect("a row")).collect()
    }

    /// The predictions, parsed.
    pub fn predictions(&self) -> Vec<Value> {
        let parse = |(_, value, _): (i64, Option<Vec<u8>>, Value)| {
            serde_json::from_slice(&value.expect("a value")).expect("a prediction is JSON")
        };
        self.topic("predictions").into_iter().map(parse).collect()
    }
}

/// A running daemon. Killed when dropped.
pub struct Daemon {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<Value>,
}

impl Daemon {
    /// Starts a command that becomes the daemon; its log must be JSON.
    pub fn of(mut command: Command) -> Self {
        command.stderr(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let (sender, lines) = sync_channel(100_000);
        let stderr = child.stderr.take().expect("stderr is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Awaits the first log line, from here on, of which `wanted` is true.
    pub fn line(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
                    self.seen.push(line.clone());
                    if wanted(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("waited {PATIENCE:?} for {what}; saw {}", self.story()),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without {what}; said {}", self.story()),
            }
        }
    }

    /// Awaits an event by its name.
    pub fn event(&mut self, name: &str) -> Value {
        self.line(name, |line| line["event"] == name)
    }

    /// Takes in its log for a while.
    pub fn watch(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.seen.push(parsed(line));
        }
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its status").is_some()
    }

    /// What it said, but for reports, one line each.
    pub fn story(&self) -> String {
        let told = self.seen.iter().filter(|line| line["event"] != "report" && line["event"] != "model");
        told.map(|line| format!("\n  {line}")).collect()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL. Fails where the process has ended by itself before.
    pub fn kill(&mut self) {
        assert!(!self.has_ended(), "it ended before it was killed; said {}", self.story());
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("wait");
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Awaits its end; every log line until then is kept.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(parsed(line)),
                // Its standard error is closed: it has ended, or is about to.
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().expect("wait"),
                Err(RecvTimeoutError::Timeout) => panic!("not ended after {PATIENCE:?}; saw {}", self.story()),
            }
        }
    }

    /// SIGTERM, then its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// All log lines of an event so far.
    pub fn lines_of(&self, event: &str) -> Vec<&Value> {
        self.seen.iter().filter(|line| line["event"] == event).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already ended in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A log line; what is none, such as a panic's message, as its text.
fn parsed(line: String) -> Value {
    serde_json::from_str(&line).unwrap_or(Value::String(line))
}

/// Standard output as text, of a command that must have succeeded.
pub fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// The file as text.
pub fn read(path: &Path) -> String {
    let mut text = String::new();
    std::fs::File::open(path).expect("open").read_to_string(&mut text).expect("read");
    text
}
