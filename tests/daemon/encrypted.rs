//! HTTPS: with a certificate and its key, and with what is none.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::support::{
    daemon::{Daemon, Workspace},
    http::address,
};

const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");

#[test]
fn with_a_certificate_it_speaks_tls_and_nothing_else() {
    let site = Workspace::new(&["http.listen=127.0.0.1:0", "generator.rate=1000"]);
    let both = put(&site, "right").display().to_string();
    let mut daemon =
        site.start(&["run", "--set", &format!("http.tls_cert={both}"), "--set", &format!("http.tls_key={both}")]);
    let address = address(&mut daemon);
    // Whoever begins and does not go on holds up nobody.
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).expect("connected")).collect();
    let ask = |more: &[&str]| {
        let url = format!("https://{address}/healthz");
        Command::new("curl").args(["-sS", "--max-time", "20", &url]).args(more).output().expect("curl runs")
    };
    let authority = format!("{CERTIFICATES}/broker/ca.pem");
    let told = ask(&["--cacert", &authority]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    assert!(!told.stdout.is_empty());
    // curl's code for a certificate that nobody it knows vouches for.
    assert_eq!(ask(&[]).status.code(), Some(60));
    let mut plain = TcpStream::connect(address).expect("connected");
    plain.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).expect("written");
    let mut answer = Vec::new();
    // It is hung up on, perhaps with what it wrote unread.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    drop(silent);
    assert!(daemon.stop().success());
}

/// Puts a certificate with its key where the settings name it.
fn put(site: &Workspace, from: &str) -> PathBuf {
    let path = site.write("both.pem", fs::read(format!("{CERTIFICATES}/broker/{from}.pem")).expect("a certificate"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    path
}

/// The subject of the certificate that a server has.
fn subject(address: SocketAddr) -> String {
    let url = format!("https://{address}/healthz");
    let told = Command::new("curl").args(["-sSkv", "--max-time", "20", &url]).output().expect("curl runs");
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    let subject = told.lines().find_map(|line| line.strip_prefix("*  subject: "));
    subject.unwrap_or_else(|| panic!("{told}")).to_owned()
}

#[test]
fn a_reload_reads_the_certificate_anew_and_one_that_is_none_leaves_the_old_one() {
    let site = Workspace::new(&["http.listen=127.0.0.1:0", "generator.enabled=false"]);
    let both = put(&site, "right").display().to_string();
    let text = format!("[http]\ntls_cert = \"{both}\"\ntls_key = \"{both}\"\n");
    site.write("settings.toml", &text);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    daemon.event("worker_started");
    assert_eq!(subject(address), "CN=right");
    let reload = |daemon: &mut Daemon| {
        daemon.signal("HUP");
        let over = daemon.line("the end", |line| line["event"] == "reloaded" || line["event"] == "reload_refused");
        over["event"].as_str().expect("a text").to_owned()
    };
    put(&site, "elsewhere");
    assert_eq!(subject(address), "CN=right", "before the reload");
    assert_eq!(reload(&mut daemon), "reloaded");
    assert_eq!(daemon.lines_of("certificate_replaced").len(), 1);
    assert_eq!(subject(address), "CN=elsewhere");
    // The same again is no change to tell of.
    assert_eq!(reload(&mut daemon), "reloaded");
    assert_eq!(daemon.lines_of("certificate_replaced").len(), 1);
    site.write("both.pem", "neither\n");
    assert_eq!(reload(&mut daemon), "reload_refused");
    assert_eq!(daemon.lines_of("setting_refused")[0]["key"], "http.tls_cert");
    assert_eq!(subject(address), "CN=elsewhere");
    // Other files are other settings, and hold as well; to encrypt no more is for a restart.
    let other = site.write("other.pem", fs::read(format!("{CERTIFICATES}/broker/expired.pem")).expect("a certificate"));
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).expect("a mode");
    site.write("settings.toml", text.replace(&both, &other.display().to_string()));
    assert_eq!(reload(&mut daemon), "reloaded");
    assert_eq!(subject(address), "CN=expired");
    site.write("settings.toml", "");
    assert_eq!(reload(&mut daemon), "reloaded");
    let waiting: Vec<&Value> = daemon.lines_of("restart_needed").iter().map(|line| &line["key"]).collect();
    assert_eq!(waiting, ["http.tls_cert", "http.tls_key"]);
    assert_eq!(subject(address), "CN=expired");
    assert!(daemon.stop().success());
}

#[test]
fn what_is_no_certificate_is_told_before_anything_runs() {
    let site = Workspace::new(&["http.listen=127.0.0.1:0"]);
    let file = |name: &str, from: &str, mode: u32| {
        let path = site.write(name, fs::read(Path::new(CERTIFICATES).join(from)).expect(from));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        path.display().to_string()
    };
    let (cert, key) = (file("cert.pem", "client.pem", 0o644), file("key.pem", "client.key", 0o600));
    let (other, open) = (file("other.pem", "other.key", 0o600), file("open.pem", "client.key", 0o644));
    let locked = file("locked.pem", "broker/encrypted.pem", 0o600);
    let cases: [(Option<&str>, Option<&str>, &str); 7] = [
        (Some(&cert), None, "http.tls_key: is missing"),
        (None, Some(&key), "http.tls_cert: is missing"),
        (Some(&cert), Some(&other), "does not fit its key"),
        (Some(&cert), Some(&open), "chmod 600"),
        (Some(&key), Some(&key), "holds no certificate"),
        (Some(&cert), Some(&locked), "without a password"),
        (Some("nowhere.pem"), Some(&key), "nowhere.pem cannot be read"),
    ];
    for (cert, key, expected) in cases {
        let given = [("tls_cert", cert), ("tls_key", key)];
        let set: Vec<String> =
            given.into_iter().filter_map(|(name, path)| Some(format!("http.{name}={}", path?))).collect();
        let arguments: Vec<&str> = ["check"].into_iter().chain(set.iter().flat_map(|it| ["--set", it])).collect();
        let refused = site.run(&arguments);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(78) && said.contains(expected), "{expected}: {said}");
    }
    assert!(
        site.run(&["check", "--set", &format!("http.tls_cert={cert}"), "--set", &format!("http.tls_key={key}")])
            .status
            .success()
    );
}
