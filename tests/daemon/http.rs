//! The daemon over HTTP: what it tells, and whom.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    daemon::Workspace,
    http::{Answer, address, exchange, get, get_with},
};

const PORT: &str = "http.listen=127.0.0.1:0";

/// Waits until a path answers with this code.
fn until(address: SocketAddr, path: &str, code: u16) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = get(address, path);
        if answer.code == code {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{path}: {} {}", answer.code, answer.body);
        std::thread::yield_now();
    }
}

/// The sample of a metric whose labels contain all of these.
fn value(metrics: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let of = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|it| line.contains(it))
    };
    metrics.lines().find(of)?.rsplit(' ').next()?.parse().ok()
}

#[test]
fn status_and_metrics_tell_the_same_as_the_topics_hold() {
    let site = Workspace::new(&[PORT, "generator.count=3000", "generator.rate=0", "topics.partitions=2"]);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    until(address, "/readyz", 200);
    let done = |status: &Value| {
        let partitions = status["partitions"].as_array().expect("partitions");
        partitions.iter().filter_map(|it| it["confirmed"].as_i64()).sum::<i64>() == 3000
    };
    let status = loop {
        let status: Value = serde_json::from_str(&get(address, "/api/v1/status").body).expect("JSON");
        if done(&status) {
            break status;
        }
    };
    let metrics = get(address, "/metrics");
    assert!(metrics.head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(metrics.body.ends_with("# EOF\n"));
    let version = format!("thalweg_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    assert!(metrics.body.contains(&version), "{}", metrics.body);
    assert_eq!((status["healthy"].clone(), status["contact"].clone()), (true.into(), "answers".into()));
    for partition in status["partitions"].as_array().expect("partitions") {
        let number = format!("partition=\"{}\"", partition["partition"]);
        let one = |name: &str| value(&metrics.body, name, &[&number, "topic=\"samples\""]).expect(name);
        assert_eq!((one("thalweg_records_total"), one("thalweg_predictions_total")), (1500.0, 1500.0));
        assert_eq!((one("thalweg_lag_records"), one("thalweg_lag_seconds")), (0.0, 0.0));
        assert_eq!(Some(one("thalweg_published_rmse")), partition["published"]["rmse"].as_f64());
        let models = partition["models"].as_array().expect("models");
        assert!(models.len() > 3);
        for model in models {
            let name = format!("model={}", model["name"]);
            let of = |metric: &str| value(&metrics.body, metric, &[&number, &name]);
            assert_eq!(of("thalweg_model_rmse"), model["rmse"].as_f64(), "{name}");
            assert_eq!(of("thalweg_model_skill"), model["skill"].as_f64(), "{name}");
            assert_eq!(of("thalweg_model_champion"), Some(f64::from(u8::from(model["champion"] == true))), "{name}");
            assert_eq!(model["champion"] == true, model["name"] == partition["champion"]);
        }
    }
    assert!(value(&metrics.body, "process_resident_memory_bytes", &[]).expect("memory") > 1e6);
    assert!(value(&metrics.body, "process_cpu_seconds_total", &[]).expect("processor time") > 0.0);
    // Each has its help, and what has a unit says so.
    for family in metrics.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = family.split(' ').next().expect("a name");
        assert!(metrics.body.contains(&format!("# HELP {name} ")), "{name}");
        for unit in ["seconds", "bytes", "ratio"].iter().filter(|unit| name.ends_with(*unit)) {
            assert!(metrics.body.contains(&format!("# UNIT {name} {unit}\n")), "{name}");
        }
    }
    assert!(daemon.stop().success());
}

#[test]
fn records_that_cannot_be_used_are_counted_by_reason() {
    let site = Workspace::new(&[PORT, "generator.enabled=false"]);
    // The daemon makes the tables.
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    for (offset, value) in ["not json", r#"{"x":1}"#, "[1]", "neither"].iter().enumerate() {
        let row = rusqlite::params![offset as i64, 1_700_000_000_000_i64, value.as_bytes()];
        site.state().execute("INSERT INTO samples VALUES (0, ?1, ?2, NULL, ?3, NULL)", row).expect("insert");
    }
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    until(address, "/readyz", 200);
    let metrics = get(address, "/metrics").body;
    let of = |reason: &str| value(&metrics, "thalweg_dead_letters_total", &[&format!("reason=\"{reason}\"")]);
    assert_eq!((of("not_json"), of("not_an_object")), (Some(2.0), Some(1.0)), "{metrics}");
    assert!(daemon.stop().success());
}

#[test]
fn every_metric_is_in_the_table_of_the_documents_and_no_other() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).expect("read");
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, labels, help] = cells[..] else { return None };
        let name = name.strip_prefix('`')?.strip_suffix('`')?;
        let is_metric = name.starts_with("thalweg_") || name.starts_with("process_");
        is_metric.then(|| (name.to_owned(), labels.replace('`', ""), help.to_owned()))
    };
    let told: Vec<_> = text.lines().filter_map(row).collect();
    let served: Vec<_> =
        thalweg_http::METRICS.iter().map(|it| (it.name(), it.labels().to_owned(), it.help().to_owned())).collect();
    let table: String =
        served.iter().map(|(name, labels, help)| format!("| `{name}` | {labels} | {help} |\n")).collect();
    assert_eq!(told, served, "docs/operations.md should say:\n{table}");
}

#[test]
fn who_calls_the_server_by_another_name_is_told_nothing() {
    let site = Workspace::new(&[PORT, r#"http.hosts=["thalweg.example"]"#]);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    let host = |host: &str| get_with(address, "/api/v1/status", &format!("Host: {host}\r\n")).code;
    let port = address.port();
    for name in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "thalweg.example".to_owned()] {
        assert_eq!(host(&name), 200, "{name}");
    }
    for name in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil.example", ""] {
        assert_eq!(host(name), 421, "{name}");
    }
    assert_eq!(exchange(address, b"GET / HTTP/1.0\r\n\r\n").code, 421, "no name at all");
    assert_eq!(get(address, "/nothing").code, 404);
    let posted = exchange(
        address,
        format!("POST /metrics HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .as_bytes(),
    );
    assert_eq!(posted.code, 405);
    let head = get(address, "/healthz").head;
    for header in
        ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff", "cache-control: no-store"]
    {
        assert!(head.contains(header), "{header} in {head}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn who_calls_another_port_is_told_nothing_unless_names_are_given() {
    let site = Workspace::new(&[PORT]);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    let host = |host: &str| get_with(address, "/healthz", &format!("Host: {host}\r\n")).code;
    assert_eq!((host(&format!("localhost:{}", address.port())), host("localhost")), (200, 200));
    assert_eq!((host("localhost:1"), host("127.0.0.1:1")), (421, 421));
    assert!(daemon.stop().success());
}

#[test]
fn a_token_is_asked_for_and_its_file_must_be_its_owner_s() {
    let site = Workspace::new(&[]);
    let token = "0123456789abcdefghij";
    let file = site.write("token", format!("{token}\n"));
    let with = format!("http.token_file={}", file.display());
    let everywhere = ["run", "--set", "http.listen=0.0.0.0:0"];
    // Others reach it, and would need nothing.
    let refused = site.run(&everywhere);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(78) && said.contains("http.token_file") && said.contains("http.open"),
        "{said}"
    );
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("a mode");
    mode(0o644);
    let refused = site.run(&[&everywhere[..], &["--set", &with]].concat());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(78) && said.contains("chmod 600"), "{said}");
    assert!(!said.contains(token));
    mode(0o600);
    let mut daemon = site.start(&[&everywhere[..], &["--set", &with]].concat());
    let address = SocketAddr::from(([127, 0, 0, 1], address(&mut daemon).port()));
    let ask = |more: &str| get_with(address, "/metrics", &format!("Host: {address}\r\n{more}"));
    for more in [
        "",
        "Authorization: Bearer wrong\r\n",
        "Authorization: Basic YTpi\r\n",
        "Authorization: Bearer 0123456789abcdefghi\r\n",
    ] {
        let answer = ask(more);
        assert_eq!((answer.code, answer.head.contains("www-authenticate: bearer")), (401, true), "{more}");
        assert!(!answer.body.contains("thalweg_"));
    }
    let told = ask(&format!("Authorization: Bearer {token}\r\n"));
    assert_eq!(told.code, 200);
    assert!(!told.body.contains(token));
    assert!(daemon.stop().success());
    assert!(!daemon.story().contains(token));
}

#[test]
fn a_port_that_is_taken_is_told_and_nothing_is_begun() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let site = Workspace::new(&[&format!("http.listen={}", taken.local_addr().expect("an address"))]);
    let refused = site.run(&["run"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("http.listen") && said.contains("another program has this port"), "{said}");
}

#[test]
fn a_default_port_that_is_taken_is_told_and_all_else_goes_on() {
    // By whomever.
    let _taken = std::net::TcpListener::bind(thalweg_http::DEFAULT_ADDRESS);
    let site = Workspace::new(&[&format!("http.listen={}", thalweg_http::DEFAULT_ADDRESS)]);
    let mut daemon = site.start(&["run"]);
    let told = daemon.event("http_rests");
    assert_eq!(told["level"], "WARN");
    assert!(told["error"].as_str().is_some_and(|error| error.contains("another program has this port")), "{told}");
    daemon.line("predictions", |line| line["event"] == "report" && line["records"].as_u64() > Some(0));
    assert!(daemon.stop().success());
}

#[test]
fn who_is_slow_or_says_too_much_is_hung_up_on_and_others_are_answered() {
    let site = Workspace::new(&[PORT, "generator.rate=1000"]);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    // More than are served at a time, of which none says what it wants.
    let silent: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(address).expect("connected")).collect();
    let begun = Instant::now();
    assert_eq!(get(address, "/healthz").code, 200);
    // It had to wait until some of them were hung up on.
    assert!((Duration::from_secs(2)..Duration::from_secs(15)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let mut byte = [0];
    for mut stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        assert!(matches!(stream.read(&mut byte), Ok(0) | Err(_)), "it was hung up on");
    }
    let long = format!("GET / HTTP/1.1\r\nHost: {address}\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let mut stream = TcpStream::connect(address).expect("connected");
    // It may hang up before all is written.
    let _ = stream.write_all(long.as_bytes());
    assert!(!matches!(exchange(address, b"\x16\x03\x01\x02\x00garbage\r\n\r\n").code, 200..=299));
    assert_eq!(get(address, "/healthz").code, 200);
    assert!(daemon.stop().success());
}
