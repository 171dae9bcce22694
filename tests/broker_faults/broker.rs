//! The suite's own broker, through tests/kafka/kafka.

use std::{
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

/// Where ten free ports are looked for.
const FIRST_PORT: u16 = 29192;

pub struct Broker {
    port: u16,
    /// The end of its input tells it that this process has ended, however it did.
    _keeper: Mutex<Child>,
}

impl Broker {
    /// The broker, running and answering, and the turn to use it.
    pub fn ours() -> (&'static Self, MutexGuard<'static, ()>) {
        static TURN: Mutex<()> = Mutex::new(());
        static BROKER: OnceLock<Broker> = OnceLock::new();
        // A test that failed has nothing half done that a start does not mend.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let broker = BROKER.get_or_init(|| {
            let port = free_port();
            Broker { port, _keeper: Mutex::new(keeper(port)) }
        });
        broker.start();
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
        self.run(&["start"]);
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
        let output: Output = script(self.port).args(arguments).output().expect("the script runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn script(port: u16) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/kafka"));
    command
        .args(["--port", &port.to_string(), "--advertised", &(port + 3).to_string(), "--secure"])
        .stdin(Stdio::null());
    command
}

/// A shell that removes the broker when this process has ended.
fn keeper(port: u16) -> Child {
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

/// The first of ten ports in a row on which nothing listens.
fn free_port() -> u16 {
    #[expect(clippy::disallowed_methods, reason = "which ports are free here, is no setting of the daemon")]
    let first = std::env::var("THALWEG_TEST_FAULT_PORT").map_or(FIRST_PORT, |port| port.parse().expect("a port"));
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (first..first + 100).step_by(10).find(|port| (*port..port + 10).all(free)).expect("ten free ports in a row")
}
