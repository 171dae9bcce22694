//! `thalweg health`, as a container asks.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt};

use crate::support::daemon::Workspace;

/// A setting with a port that is free, as far as one can know.
fn listen(host: &str) -> String {
    let probe = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http.listen={host}:{}", probe.local_addr().expect("an address").port())
}

/// Whether it is well, and what is said about it.
fn health(site: &Workspace) -> (bool, String) {
    let asked = site.run(&["health"]);
    let said = [asked.stdout, asked.stderr].concat();
    (asked.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn it_tells_how_the_daemon_is_and_that_nobody_answers() {
    let site = Workspace::new(&[&listen("127.0.0.1"), "generator.count=100"]);
    let (well, said) = health(&site);
    assert!(!well && said.contains("no answer from 127.0.0.1") && said.contains("thalweg run"), "{said}");
    let mut daemon = site.start(&["run"]);
    daemon.event("worker_started");
    let (well, said) = health(&site);
    assert!(well && said.starts_with("learning from 1 partition"), "{said}");
    assert!(daemon.stop().success());
}

#[test]
fn it_brings_the_token_and_asks_who_listens_everywhere_on_this_machine() {
    let mut site = Workspace::new(&[&listen("0.0.0.0"), "generator.enabled=false"]);
    let token = site.write("token", "0123456789abcdefghij\n");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("its mode");
    site.settings.push(format!("http.token_file={}", token.display()));
    let mut daemon = site.start(&["run"]);
    daemon.event("worker_started");
    assert!(health(&site).0, "{:?}", health(&site));
    // Another one than the daemon has.
    fs::write(&token, "9876543210abcdefghij\n").expect("written");
    let (well, said) = health(&site);
    assert!(!well && said.contains("HTTP 401"), "{said}");
    assert!(daemon.stop().success());
}

#[test]
fn it_speaks_tls_with_the_token_and_to_nobody_else() {
    let mut site = Workspace::new(&[&listen("0.0.0.0"), "generator.enabled=false"]);
    let secret = |name: &str, content: Vec<u8>| {
        let path = site.write(name, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        path.display().to_string()
    };
    let certificates = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/broker");
    // It is for another name, and nobody known vouches for it.
    let both = secret("both.pem", fs::read(format!("{certificates}/elsewhere.pem")).expect("a certificate"));
    let token = secret("token", b"0123456789abcdefghij\n".into());
    let more = [("tls_cert", &both), ("tls_key", &both), ("token_file", &token)];
    site.settings.extend(more.map(|(key, path)| format!("http.{key}={path}")));
    let mut daemon = site.start(&["run"]);
    daemon.event("worker_started");
    let (well, said) = health(&site);
    assert!(well && said.starts_with("learning from 1 partition"), "{said}");
    fs::write(&token, "9876543210abcdefghij\n").expect("written");
    let (well, said) = health(&site);
    assert!(!well && said.contains("HTTP 401"), "{said}");
    // Whoever listens there without the certificate's key is not told the token.
    fs::write(&both, fs::read(format!("{certificates}/right.pem")).expect("a certificate")).expect("written");
    let (well, said) = health(&site);
    assert!(!well && said.contains("another certificate than http.tls_cert"), "{said}");
    assert!(daemon.stop().success());
}

#[test]
fn it_says_which_setting_keeps_it_from_asking() {
    for (setting, wanted) in [("http.listen=", "http.listen is empty"), ("http.listen=127.0.0.1:0", "port 0")] {
        let (well, said) = health(&Workspace::new(&[setting]));
        assert!(!well && said.contains(wanted), "{said}");
    }
}
