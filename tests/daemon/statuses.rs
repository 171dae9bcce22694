//! What the description of the API says that a path may answer: each of it is provoked, and nothing else is answered.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    daemon::{Daemon, Workspace},
    http::{Answer, address, exchange, get, ready},
};

const PORT: &str = "http.listen=127.0.0.1:0";
const JSON: &str = "Content-Type: application/json\r\n";

/// An operation, such as `GET /healthz`, and a status.
type Case = (String, u16);

/// All that the description names.
fn described(address: SocketAddr) -> BTreeSet<Case> {
    let document: Value = serde_json::from_str(&get(address, "/api/v1/openapi.json").body).expect("JSON");
    let mut cases = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            for status in operation["responses"].as_object().expect("responses").keys() {
                cases.insert((format!("{} {path}", method.to_uppercase()), status.parse().expect("a status")));
            }
        }
    }
    cases
}

/// A path of the description where something is served: a model and a topic that are there.
fn there(path: &str) -> String {
    path.replace("models/{name}", "models/mean").replace("topics/{name}", "topics/samples")
}

/// What can be sent that is good.
fn body(path: &str) -> &'static str {
    if path.contains("retry") { "{\"reason\":\"none\"}" } else { "{\"x0\":0.5}" }
}

fn request(address: SocketAddr, method: &str, path: &str, host: &str, headers: &str, body: &str) -> Answer {
    let body = if method == "POST" { body } else { "" };
    // One that is announced is larger than it is.
    let length =
        if headers.contains("Content-Length") { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}{length}Connection: close\r\n\r\n");
    exchange(address, [head.as_bytes(), body.as_bytes()].concat().as_slice())
}

/// Asks for all operations that `is_meant`, each at a path made from that of the description, and keeps what they answer.
struct Round<'a> {
    cases: &'a BTreeSet<Case>,
    provoked: BTreeSet<Case>,
}

impl Round<'_> {
    fn ask(&mut self, is_meant: impl Fn(&str, u16) -> bool, ask: impl Fn(&str, &str) -> Answer) {
        let cases: Vec<&Case> = self.cases.iter().filter(|(operation, status)| is_meant(operation, *status)).collect();
        for (operation, _) in cases {
            let (method, path) = operation.split_once(' ').expect("a method and a path");
            let answer = ask(method, path);
            let case = (operation.clone(), answer.code);
            assert!(self.cases.contains(&case), "{case:?} is answered and not described: {}", answer.body);
            self.provoked.insert(case);
        }
    }
}

/// The status line of a stream that goes on.
fn begun(address: SocketAddr) -> (TcpStream, u16) {
    let mut stream = TcpStream::connect(address).expect("connected");
    let head = format!("GET /api/v1/stream HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("written");
    let mut line = [0; 12];
    stream.read_exact(&mut line).expect("a status");
    (stream, String::from_utf8_lossy(&line[9..]).parse().expect("a status"))
}

/// A daemon whose broker does not answer, once it is known not to be well.
fn without_a_broker() -> (Workspace, Daemon, SocketAddr) {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    let broker = format!("transport.kafka.brokers=[\"{nobody}\"]");
    let site = Workspace::new(&[PORT, "transport.kind=kafka", &broker]);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    let begun = Instant::now();
    while get(address, "/healthz").code != 503 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", daemon.story());
        daemon.watch(Duration::from_millis(500));
    }
    (site, daemon, address)
}

#[test]
fn each_status_that_the_description_names_is_answered_and_no_other() {
    let unreachable = std::thread::spawn(without_a_broker);
    let site = Workspace::new(&[PORT, "generator.enabled=false", "state.every=50ms"]);
    let mut daemon = site.start(&["run"]);
    let to = ready(&mut daemon);
    let cases = described(to);
    assert!(cases.len() > 70, "{cases:?}");
    let own = to.to_string();
    let mut round = Round { cases: &cases, provoked: BTreeSet::new() };

    // Who begins a body and does not go on with it, meanwhile.
    let begin = |(operation, _): &Case| {
        let mut stream = TcpStream::connect(to).expect("connected");
        let head =
            format!("{operation} HTTP/1.1\r\nHost: {to}\r\n{JSON}Content-Length: 9\r\nConnection: close\r\n\r\n{{");
        stream.write_all(head.as_bytes()).expect("written");
        (operation.clone(), stream)
    };
    let slow: Vec<(String, TcpStream)> = cases.iter().filter(|(_, status)| *status == 408).map(begin).collect();

    // What it has learned and saved, so that there is something to tell.
    let row = |i: i32| format!("{{\"x0\":{i},\"x1\":{},\"y\":{}}}", i % 7, 2 * i);
    let rows = format!("[{}]", (0..300).map(row).collect::<Vec<_>>().join(","));
    assert_eq!(request(to, "POST", "/api/v1/samples", &own, JSON, &rows).code, 202);
    let begun_at = Instant::now();
    for path in ["/readyz", "/api/v1/features", "/api/v1/models/mean"] {
        while get(to, path).code != 200 {
            assert!(begun_at.elapsed() < Duration::from_secs(30), "{path}: {}", get(to, path).body);
            std::thread::yield_now();
        }
    }
    round.ask(
        |operation, status| (200..300).contains(&status) && operation != "GET /api/v1/stream",
        |method, path| request(to, method, &there(path), &own, JSON, body(path)),
    );
    round.ask(
        |_, status| status == 400,
        |method, path| request(to, method, &format!("{}?nonsense=1", there(path)), &own, JSON, body(path)),
    );
    round.ask(
        |_, status| status == 404,
        |method, path| {
            let nowhere = path.replace("{name}", "none");
            let (query, body) = match path {
                "/api/v1/dead-letters/retry" => ("", "{\"partition\":9}"),
                _ if path.contains("{name}") => ("", ""),
                _ => ("?partition=9", body(path)),
            };
            request(to, method, &format!("{nowhere}{query}"), &own, JSON, body)
        },
    );
    let large = format!("{JSON}Content-Length: 9000000\r\n");
    round.ask(|_, status| status == 413, |method, path| request(to, method, path, &own, &large, ""));
    round.ask(
        |_, status| status == 415,
        |method, path| request(to, method, path, &own, "Content-Type: text/plain\r\n", "{}"),
    );
    round.ask(
        |_, status| status == 416,
        |method, path| request(to, method, &format!("{}?from=99999", there(path)), &own, JSON, ""),
    );
    round.ask(
        |_, status| status == 421,
        |method, path| request(to, method, &there(path), "somebody.example", JSON, body(path)),
    );
    round.ask(|_, status| status == 422, |method, path| request(to, method, path, &own, JSON, "[7]"));

    // As many streams as there may be, and one more.
    let mut streams = Vec::new();
    let refused = loop {
        assert!(streams.len() < 1000, "there is no end of streams");
        match begun(to) {
            (_, status) if status != 200 => break status,
            (stream, status) => {
                round.provoked.insert(("GET /api/v1/stream".to_owned(), status));
                streams.push(stream);
            }
        }
    };
    round.provoked.insert(("GET /api/v1/stream".to_owned(), refused));
    drop(streams);

    let site = Workspace::new(&[PORT, "generator.enabled=true", "generator.rate=100"]);
    let mut filled = site.start(&["run"]);
    let by_the_generator = ready(&mut filled);
    round.ask(
        |_, status| status == 409,
        |method, path| request(by_the_generator, method, path, &by_the_generator.to_string(), JSON, body(path)),
    );
    assert!(filled.stop().success());

    let mut site = Workspace::new(&[PORT, "generator.enabled=false"]);
    let token = site.write("token", "0123456789abcdefghij");
    fs::set_permissions(&token, Permissions::from_mode(0o600)).expect("its mode");
    site.settings.push(format!("http.token_file={}", token.display()));
    let mut guarded = site.start(&["run"]);
    let closed = address(&mut guarded);
    round.ask(
        |_, status| status == 401,
        |method, path| request(closed, method, &there(path), &closed.to_string(), JSON, body(path)),
    );
    guarded.event("worker_started");
    assert!(guarded.stop().success());

    for (operation, mut stream) in slow {
        let mut answer = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        stream.read_to_string(&mut answer).expect("an answer");
        round.provoked.insert((operation, answer[9..12].parse().expect("a status")));
    }
    assert!(daemon.stop().success());

    let (_site, mut daemon, alone) = unreachable.join().expect("a daemon without a broker");
    round.ask(
        |operation, status| status == 503 && operation != "GET /api/v1/stream",
        |method, path| request(alone, method, &there(path), &alone.to_string(), JSON, body(path)),
    );
    daemon.kill();

    let never: Vec<&Case> = cases.difference(&round.provoked).collect();
    assert!(never.is_empty(), "described and not answered: {never:?}");
    let more: Vec<&Case> = round.provoked.difference(&cases).collect();
    assert!(more.is_empty(), "answered and not described: {more:?}");
}
