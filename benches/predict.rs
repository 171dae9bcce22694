//! What predicting over HTTP costs: how many samples a second, how late a single one is, and what the worker keeps of its rate
//! while it works off a backlog of the embedded transport.
//!
//! `cargo bench --bench predict`; a minute and 3 GB of disk. An argument is the share of the backlog, to try it on a slow machine.
//! Turns of half a second with and without requests take turns, all of one run. Requests come at a fixed rate, whatever the answers; a
//! delay counts from when its request was due. Where the worker, HTTP and this client share few cores, its rate says who had them:
//! what it keeps is told of the processor time that a record takes, too, of all threads but that of HTTP, copies for HTTP included.

#![expect(clippy::disallowed_methods, reason = "requests come at a fixed rate")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use thalweg::{
    embedded::{self, Embedded},
    generator::{self, Stream, encode},
    store::{self, Store},
    topic::{Opening, SampleLog, Topics, record::Outgoing},
};

/// Time with requests, and time without.
const TURN: Duration = Duration::from_millis(500);
/// Turns of each.
const TURNS: usize = 8;

struct Case {
    name: &'static str,
    settings: &'static str,
    /// Samples of the backlog.
    backlog: u64,
    /// Samples of a request.
    samples: usize,
    /// Requests a second.
    rate: f64,
}

const CASES: [Case; 3] = [
    Case {
        name: "linear race, 1,000 samples a call",
        settings: "[[models]]\nname = \"mean\"\nkind = \"mean\"\n[[models]]\nname = \"linear\"\nkind = \"linear\"\n",
        backlog: 6_000_000,
        samples: 1000,
        rate: 110.0,
    },
    Case { name: "default race, single samples", settings: "", backlog: 1_500_000, samples: 1, rate: 1000.0 },
    Case { name: "default race, 1,000 samples a call", settings: "", backlog: 1_500_000, samples: 1000, rate: 10.0 },
];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!(
        "{:<38} {:>10} {:>9} {:>9} {:>9} {:>12} {:>7} {:>16}",
        "", "samples/s", "p50", "p99", "most", "worker/s", "kept", "of its processor"
    );
    let share = std::env::args().filter_map(|it| it.parse::<f64>().ok()).next().unwrap_or(1.0);
    for case in CASES {
        let case = Case { backlog: (case.backlog as f64 * share) as u64, ..case };
        let folder = tempfile::tempdir().expect("a folder");
        runtime.block_on(fill(&folder.path().join("thalweg.db"), case.backlog));
        run(&case, folder.path());
    }
}

fn stream() -> (Stream, Vec<String>) {
    let stream = Stream::new(&generator::Config::default()).expect("a stream");
    let names = stream.feature_names().to_vec();
    (stream, names)
}

/// Fills a state file with samples that nobody has processed.
async fn fill(path: &Path, count: u64) {
    let store = store::Config { path: path.to_owned(), ..store::Config::default() };
    let store = Arc::new(Store::open(&store).expect("a state file"));
    let config = embedded::Config { retention_records: count + 1, retention_bytes: 1 << 40 };
    let transport =
        Embedded::open(config, Topics::default(), store, &Opening::to_generate()).await.expect("the topics");
    let ((mut stream, names), mut x) = (stream(), Vec::new());
    for first in (0..count).step_by(10_000) {
        let sample = |_| {
            let target = stream.next_sample(&mut x);
            let mut value = Vec::with_capacity(256);
            encode::json(&names, &x, target, &mut value);
            Outgoing { value: Some(value), ..Outgoing::default() }
        };
        let samples = (0..10_000.min(count - first)).map(sample).collect();
        transport.append_samples(first, samples).await.expect("appended");
    }
}

/// The daemon, killed when dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(case: &Case, folder: &Path) {
    let settings = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n[generator]\nenabled = false\n[state]\npath = \"thalweg.db\"\n[logging]\nformat = \
         \"json\"\n[transport.embedded]\nretention_records = {}\nretention_bytes = {}\n{}",
        case.backlog + 1,
        1_u64 << 40,
        case.settings
    );
    std::fs::write(folder.join("settings.toml"), settings).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut daemon = Daemon(command.spawn().expect("the daemon starts"));
    let mut log = BufReader::new(daemon.0.stderr.take().expect("its log")).lines().map_while(Result::ok);
    let listening = log.find_map(|line| {
        let line: Value = serde_json::from_str(&line).ok()?;
        (line["event"] == "http_listening").then(|| line["address"].as_str()?.parse::<SocketAddr>().ok())?
    });
    let address = listening.expect("it listens");
    // Somebody has to read the log.
    std::thread::spawn(move || log.for_each(drop));

    let mut client = Client::connect(address, daemon.0.id());
    let bodies = bodies(case.samples);
    while client.records() == 0 {}
    client.predict(&bodies[0]);
    let (mut delays, mut predicted, mut busy) = (Vec::new(), 0, Duration::ZERO);
    let (mut rates, mut costs): ([Vec<f64>; 2], [Vec<f64>; 2]) = Default::default();
    for turn in 0..2 * TURNS {
        let (begun, before, spent) = client.progress();
        let end = Instant::now() + TURN;
        if turn % 2 == 0 {
            let first = Instant::now();
            for i in 0.. {
                let due = first + Duration::from_secs_f64(f64::from(i) / case.rate);
                if due >= end {
                    break;
                }
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                client.predict(&bodies[i as usize % bodies.len()]);
                predicted += case.samples;
                delays.push(due.elapsed());
            }
            busy += first.elapsed();
        } else {
            std::thread::sleep(TURN);
        }
        let (ended, after, spent_then) = client.progress();
        costs[turn % 2].push((spent_then - spent).as_secs_f64() / (after - before) as f64);
        rates[turn % 2].push((after - before) as f64 / (ended - begun).as_secs_f64());
    }
    assert!(client.records() < case.backlog, "{}: the backlog was worked off: it has to be larger", case.name);
    delays.sort();
    let quantile = |q: f64| delays[((delays.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3;
    // Neighbours are compared, since a model may become slower as it learns.
    let median = |some: &[f64], others: &[f64]| {
        let mut ratios: Vec<f64> = some.iter().zip(others).map(|(one, other)| one / other).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    };
    let without = rates[1].iter().sum::<f64>() / TURNS as f64;
    println!(
        "{:<38} {:>10.0} {:>6.2} ms {:>6.2} ms {:>6.2} ms {without:>12.0} {:>7.3} {:>16.3}",
        case.name,
        predicted as f64 / busy.as_secs_f64(),
        quantile(0.5),
        quantile(0.99),
        quantile(1.0),
        median(&rates[0], &rates[1]),
        median(&costs[1], &costs[0]),
    );
}

/// Bodies of requests.
fn bodies(samples: usize) -> Vec<String> {
    let ((mut stream, names), mut x) = (stream(), Vec::new());
    let mut sample = || {
        stream.next_sample(&mut x);
        let members: Vec<String> = names.iter().zip(&x).map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let body = |_| match samples {
        1 => sample(),
        _ => format!("[{}]", (0..samples).map(|_| sample()).collect::<Vec<_>>().join(",")),
    };
    (0..16).map(body).collect()
}

/// One connection that is kept.
struct Client {
    address: SocketAddr,
    daemon: u32,
    stream: BufReader<TcpStream>,
    answer: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr, daemon: u32) -> Self {
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_nodelay(true).expect("set");
        Self { address, daemon, stream: BufReader::with_capacity(1 << 16, stream), answer: Vec::new() }
    }

    fn ask(&mut self, request: &[u8]) -> &[u8] {
        self.stream.get_mut().write_all(request).expect("written");
        let (mut line, mut length, mut status) = (String::new(), 0, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("a line");
            if status.is_empty() {
                status = line.trim().to_owned();
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.trim().is_empty() {
                break;
            }
        }
        self.answer.resize(length, 0);
        self.stream.read_exact(&mut self.answer).expect("a body");
        assert!(status.contains(" 200 "), "{status} {}", String::from_utf8_lossy(&self.answer));
        &self.answer
    }

    fn predict(&mut self, body: &str) {
        let head = format!(
            "POST /api/v1/predict HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let request = [head.as_bytes(), body.as_bytes()].concat();
        assert!(self.ask(&request).len() > 50);
    }

    fn records(&mut self) -> u64 {
        let request = format!("GET /api/v1/status HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        let status: Value = serde_json::from_slice(self.ask(request.as_bytes())).expect("JSON");
        status["partitions"][0]["records"].as_u64().unwrap_or(0)
    }

    /// The number of records, and when it became known: it does ten times a second. With them the processor time of all threads but
    /// that of HTTP.
    fn progress(&mut self) -> (Instant, u64, Duration) {
        let before = self.records();
        loop {
            std::thread::sleep(Duration::from_millis(1));
            let records = self.records();
            if records > before {
                return (Instant::now(), records, self.spent());
            }
        }
    }

    fn spent(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.daemon)).expect("its threads");
        let of = |thread: std::io::Result<std::fs::DirEntry>| {
            let path = thread.ok()?.path();
            let name = std::fs::read_to_string(path.join("comm")).ok()?;
            // The first number is nanoseconds on a processor.
            let spent = std::fs::read_to_string(path.join("schedstat")).ok()?;
            (name.trim() != "http").then(|| spent.split(' ').next()?.parse::<u64>().ok()).flatten()
        };
        Duration::from_nanos(threads.filter_map(of).sum())
    }
}
