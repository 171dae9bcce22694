//! The suite's own brokers, through tests/kafka/kafka.

use std::{
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
    sync::{Condvar, LazyLock, Mutex, OnceLock, PoisonError},
};

use crate::broker_client::BrokerClient;

/// Where free ports are looked for.
const FIRST_PORT: u16 = 29192;

/// Single brokers, of which each serves one test at a time.
const BROKERS: usize = 2;

/// Turns to use something of which there are a few.
pub struct Turns {
    free: Mutex<Vec<usize>>,
    freed: Condvar,
}

/// Whoever holds it uses the one of that number alone.
pub struct Turn {
    of: &'static Turns,
    pub number: usize,
}

impl Turns {
    pub fn new(free: Vec<usize>) -> Self {
        Self { free: Mutex::new(free), freed: Condvar::new() }
    }

    /// Awaits one that is free; the first that is `better`, if any is.
    pub fn wait(&'static self, better: impl Fn(usize) -> bool) -> Turn {
        // A test that failed has nothing half done that a start does not mend.
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(at) = free.iter().position(|it| better(*it)).or((!free.is_empty()).then_some(0)) {
                return Turn { of: self, number: free.remove(at) };
            }
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
        self.of.freed.notify_one();
    }
}

pub struct Broker {
    port: u16,
    /// `key=value`, of the run that goes on now.
    settings: Mutex<&'static [&'static str]>,
    /// The end of its input tells it that this process has ended, however it did.
    _keeper: Mutex<Child>,
}

impl Broker {
    /// A broker, running and answering, and the turn to use it.
    pub fn ours() -> (&'static Self, Turn) {
        Self::with(&[])
    }

    /// The same with settings of its own, `key=value`.
    pub fn with(settings: &'static [&'static str]) -> (&'static Self, Turn) {
        static TURNS: LazyLock<Turns> = LazyLock::new(|| Turns::new((0..BROKERS).collect()));
        static BROKER: [OnceLock<Broker>; BROKERS] = [const { OnceLock::new() }; BROKERS];
        let has_them = |broker: &Broker| *broker.settings.lock().expect("a lock") == settings;
        let turn = TURNS.wait(|number| BROKER[number].get().is_some_and(has_them));
        let broker = BROKER[turn.number].get_or_init(|| {
            let port = free_ports(50 * turn.number as u16, 10);
            Broker { port, settings: Mutex::new(settings), _keeper: Mutex::new(keeper(port)) }
        });
        if std::mem::replace(&mut *broker.settings.lock().expect("a lock"), settings) != settings {
            broker.run(&["stop"]);
        }
        broker.start();
        // A broker that was killed looks at every topic that it holds before it answers: hundreds took it forty seconds.
        BrokerClient::new(broker.address()).delete_all();
        (broker, turn)
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where clients of the proxied port are sent.
    pub fn advertised(&self) -> String {
        format!("127.0.0.1:{}", self.proxy_port())
    }

    /// Where a proxy has to listen.
    pub fn proxy_port(&self) -> u16 {
        self.port + 3
    }

    /// Where a proxy has to pass connections on to.
    pub fn proxied_port(&self) -> u16 {
        self.port + 2
    }

    /// The port that is so many after the first, one of those with TLS or a login.
    pub fn secure(&self, after: u16) -> String {
        format!("127.0.0.1:{}", self.port + after)
    }

    pub fn start(&self) {
        let settings = *self.settings.lock().expect("a lock");
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        self.run(&["start"].into_iter().chain(settings).collect::<Vec<_>>());
    }

    pub fn kill(&self) {
        self.run(&["kill"]);
    }

    pub fn freeze(&self) {
        self.run(&["freeze"]);
    }

    pub fn thaw(&self) {
        self.run(&["thaw"]);
    }

    /// Sets `key=value` of a topic.
    pub fn set(&self, topic: &str, setting: &str) {
        self.run(&["topic", "set", topic, setting]);
    }

    /// Holds a client back by `key=value`.
    pub fn limit(&self, client_id: &str, quota: &str) {
        self.run(&["quota", client_id, quota]);
    }

    /// Gives a topic more partitions.
    pub fn grow(&self, topic: &str, partitions: i32) {
        self.run(&["topic", "grow", topic, "--partitions", &partitions.to_string()]);
    }

    /// Takes the right to read a topic from everybody.
    pub fn write_only(&self, topic: &str) {
        self.run(&["topic", "write-only", topic]);
    }

    /// Gives rights or takes them, as `kafka-acls.sh` does with these arguments.
    pub fn acl(&self, arguments: &[&str]) {
        self.run(&[&["acl"], arguments].concat());
    }

    /// Returns what Kafka's own tool says of a topic.
    pub fn describe(&self, topic: &str) -> String {
        self.run(&["topic", "describe", topic])
    }

    fn run(&self, arguments: &[&str]) -> String {
        run(script(self.port).args(["--advertised", &self.proxy_port().to_string(), "--secure"]).args(arguments))
    }
}

/// tests/kafka/kafka with an instance of its own at a port.
pub fn script(port: u16) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/kafka"));
    command.args(["--port", &port.to_string()]).stdin(Stdio::null());
    command
}

/// Runs it to its end; it must succeed. Returns its standard output.
pub fn run(script: &mut Command) -> String {
    let output: Output = script.output().expect("the script runs");
    assert!(output.status.success(), "{script:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A shell that removes the instance when this process has ended.
pub fn keeper(port: u16) -> Child {
    let clean = r#"read -r _; exec "$0" clean --port "$1""#;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/kafka");
    Command::new("setsid")
        .args(["sh", "-c", clean, script, &port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell")
}

/// The first of so many ports in a row on which nothing listens, among the fifty that are `after` the first.
pub fn free_ports(after: u16, count: u16) -> u16 {
    #[expect(clippy::disallowed_methods, reason = "which ports are free here, is no setting of the daemon")]
    let first = std::env::var("THALWEG_TEST_FAULT_PORT").map_or(FIRST_PORT, |port| port.parse().expect("a port"));
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut firsts = (first + after..first + after + 50).step_by(usize::from(count));
    firsts.find(|port| (*port..port + count).all(free)).expect("free ports in a row")
}
