//! A process under test: the daemon or a peer, and what it takes.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Between two looks at what the process takes.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Of the kernel's accounting (`getconf CLK_TCK`), the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process takes, with all its children.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_kib: u64,
    pub(crate) peak_kib: u64,
}

/// A process that is watched from its start to its end.
pub(crate) struct Watched {
    child: Child,
    pub(crate) started: Instant,
    usage: Arc<Mutex<Usage>>,
    /// Its other end ends the watcher.
    ended: Option<mpsc::SyncSender<()>>,
    watcher: Option<JoinHandle<()>>,
}

impl Watched {
    /// Starts it with its output going to a file.
    pub(crate) fn start(command: &mut Command, output: &Path) -> Self {
        let file = std::fs::File::create(output).expect("a file");
        let errors = file.try_clone().expect("a file");
        let started = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn().expect("it starts");
        let (usage, (ended, end)) = (Arc::new(Mutex::new(Usage::default())), mpsc::sync_channel(0));
        let (pid, seen) = (child.id(), Arc::clone(&usage));
        let watcher = std::thread::spawn(move || {
            while end.recv_timeout(LOOK_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                let mut now = Usage::default();
                for pid in family(pid) {
                    add(pid, &mut now);
                }
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if now.cpu_seconds >= seen.cpu_seconds {
                    now.peak_kib = now.peak_kib.max(seen.peak_kib).max(now.resident_kib);
                    *seen = now;
                }
            }
        });
        Self { child, started, usage, ended: Some(ended), watcher: Some(watcher) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn usage(&self) -> Usage {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its end, which must be a good one; `log` is what it said then.
    pub(crate) fn wait(mut self, log: &Path) -> (Usage, String) {
        let status = self.child.wait().expect("it ends");
        self.ended = None;
        if let Some(watcher) = self.watcher.take() {
            watcher.join().expect("the watcher");
        }
        let text = std::fs::read_to_string(log).unwrap_or_default();
        assert!(status.success(), "{status}: {text}");
        (self.usage(), text)
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn stop(self, log: &Path) -> (Usage, String) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(status.expect("kill").success());
        self.wait(log)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process and all below it.
fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while at < all.len() {
        let path = format!("/proc/{0}/task/{0}/children", all[at]);
        let children = std::fs::read_to_string(path).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        at += 1;
    }
    all
}

fn add(pid: u32, usage: &mut Usage) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Fields are counted behind the name, which may hold anything: user and system time are the 12th and 13th.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    usage.cpu_seconds += (ticks(11) + ticks(12)) / TICKS_PER_SECOND;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    usage.resident_kib += kib("VmRSS:").unwrap_or(0);
    usage.peak_kib += kib("VmHWM:").unwrap_or(0);
}

/// The time between two events of the daemon's JSON log.
pub(crate) fn between(log: &str, first: &str, last: &str) -> Duration {
    let at = |event: &str| {
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = lines.rev().find(|line| line["event"] == event).unwrap_or_else(|| panic!("no {event} in {log}"));
        let time = line["timestamp"].as_str().and_then(|time| chrono::DateTime::parse_from_rfc3339(time).ok());
        time.unwrap_or_else(|| panic!("no time in {line}"))
    };
    (at(last) - at(first)).to_std().expect("time goes forward")
}
