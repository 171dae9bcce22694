//! Logins and certificates on the ports of a real broker: the right ones let the daemon in; the wrong ones end a start within
//! seconds, with the key to change.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use crate::{
    Scene,
    broker::Broker,
    proxy::{Proxy, Trap},
    support::daemon::Daemon,
};

/// Ports of `tests/kafka/kafka start --secure`, counted from the first.
const TLS: u16 = 4;
const MUTUAL: u16 = 5;
const ELSEWHERE: u16 = 6;
const EXPIRED: u16 = 7;
pub const LOGIN: u16 = 8;
const TLS_LOGIN: u16 = 9;
/// A login on `LOGIN` is good for that long.
const SESSION: Duration = Duration::from_secs(2);

/// `transport.kafka.tls` with the authority of this folder, and a certificate of ours where one is named.
fn tls(ca: &str, identity: Option<(&str, &str)>) -> String {
    let path = |name: &str| format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let identity = identity
        .map_or(String::new(), |(cert, key)| format!(r#",cert_file="{}",key_file="{}""#, path(cert), path(key)));
    format!(r#"transport.kafka.tls={{ca_file="{}"{identity}}}"#, path(ca))
}

fn trusted() -> String {
    tls("broker/ca.pem", None)
}

pub fn login(mechanism: &str, password: &str) -> String {
    format!(r#"transport.kafka.sasl={{mechanism="{mechanism}",username="thalweg",password="{password}"}}"#)
}

/// A daemon that comes to that port with these settings.
pub fn come(port: u16, settings: &[String]) -> (Scene, Daemon, Instant) {
    let (broker, turn) = Broker::ours();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let scene = Scene::at("secure", &settings, broker, turn, &broker.secure(port));
    let begun = Instant::now();
    let daemon = scene.site.start(&["run", "--set", "generator.enabled=true", "--set", "generator.rate=1000"]);
    (scene, daemon, begun)
}

#[test]
fn the_right_login_and_certificate_let_it_in() {
    let ours = Some(("broker/client.pem", "broker/client.pem"));
    let encrypted = Some(("broker/encrypted.pem", "broker/encrypted.pem"));
    for (port, settings) in [
        (TLS, vec![trusted()]),
        (MUTUAL, vec![tls("broker/ca.pem", ours)]),
        (MUTUAL, vec![tls("broker/bundle.pem", encrypted), "transport.kafka.tls.key_password=secret".to_owned()]),
        (LOGIN, vec![login("plain", "right")]),
        (TLS_LOGIN, vec![trusted(), login("plain", "right")]),
    ] {
        let (_scene, mut daemon, _) = come(port, &settings);
        daemon.line("some records", |line| line["records"].as_u64().is_some_and(|records| records > 100));
        assert!(daemon.stop().success(), "{}", daemon.story());
    }
}

#[test]
fn the_environment_may_name_whom_the_system_trusts_and_ca_file_is_the_only_trust_beside_it() {
    let ca = format!("{}/tests/tls/broker/ca.pem", env!("CARGO_MANIFEST_DIR"));
    for (settings, trusted) in [("transport.kafka.tls={}".to_owned(), true), (tls("ca.pem", None), false)] {
        let (broker, turn) = Broker::ours();
        let settings = [&settings, "generator.enabled=true", "generator.rate=1000"];
        let scene = Scene::at("secure", &settings, broker, turn, &broker.secure(TLS));
        let mut daemon = scene.site.start_with(&[("SSL_CERT_FILE", ca.clone())]);
        if trusted {
            daemon.line("some records", |line| line["records"].as_u64().is_some_and(|records| records > 100));
            assert!(daemon.stop().success(), "{}", daemon.story());
        } else {
            let failed = daemon.event("failed");
            assert!(failed["error"].as_str().is_some_and(|said| said.contains("not trusted")), "{failed}");
            assert_eq!(daemon.wait().code(), Some(78), "{}", daemon.story());
        }
    }
}

#[test]
fn what_no_further_try_gets_past_ends_it_with_the_exit_code_of_wrong_settings() {
    let other = Some(("client.pem", "client.key"));
    let expired = Some(("broker/expired.pem", "broker/expired.pem"));
    for (port, settings, words) in [
        (LOGIN, vec![login("plain", "wrong")], &["transport.kafka.sasl.username and password", "Invalid username"][..]),
        (TLS_LOGIN, vec![trusted(), login("plain", "wrong")], &["transport.kafka.sasl.username and password"]),
        (LOGIN, vec![login("scram-sha-256", "right")], &["transport.kafka.sasl.mechanism", "it offers", "PLAIN"]),
        (TLS, vec![trusted(), login("plain", "right")], &["leave out transport.kafka.sasl"]),
        (LOGIN, vec![], &["wants a login; set transport.kafka.sasl", "it offers", "PLAIN"]),
        (TLS_LOGIN, vec![trusted()], &["wants a login; set transport.kafka.sasl", "it offers PLAIN"]),
        (0, vec![trusted()], &["has no encryption; leave out transport.kafka.tls"]),
        (LOGIN, vec![trusted(), login("plain", "right")], &["has no encryption; leave out transport.kafka.tls"]),
        (TLS, vec![], &["wants encryption", "Set transport.kafka.tls"]),
        (TLS_LOGIN, vec![login("plain", "right")], &["wants encryption", "Set transport.kafka.tls"]),
        (TLS, vec!["transport.kafka.tls={}".to_owned()], &["transport.kafka.tls.ca_file", "not trusted"]),
        (TLS, vec![tls("ca.pem", None)], &["transport.kafka.tls.ca_file", "not trusted"]),
        (ELSEWHERE, vec![trusted()], &["transport.kafka.brokers", "another host", "kafka.example"]),
        (EXPIRED, vec![trusted()], &["has expired", "clock"]),
        (MUTUAL, vec![trusted()], &["set transport.kafka.tls.cert_file and key_file"]),
        (MUTUAL, vec![tls("broker/ca.pem", other)], &["does not accept our certificate", "tls.cert_file"]),
        (MUTUAL, vec![tls("broker/ca.pem", expired)], &["does not accept our certificate", "tls.cert_file"]),
    ] {
        let (_scene, mut daemon, begun) = come(port, &settings);
        let failed = daemon.event("failed");
        let said = failed["error"].as_str().expect("an error");
        assert!(words.iter().all(|word| said.contains(word)), "{settings:?}: {said}");
        assert_eq!(daemon.wait().code(), Some(78), "{settings:?}: {}", daemon.story());
        assert!(begun.elapsed().as_secs() < 5, "{settings:?} took {:?}", begun.elapsed());
    }
}

/// A daemon's folder, for the broker at an address.
fn scene(address: impl FnOnce(&Broker) -> String, settings: &[String]) -> Scene {
    let (broker, turn) = Broker::ours();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    Scene::at("mute", &settings, broker, turn, &address(broker))
}

/// What the log says of the broker.
fn told(scene: &Scene) -> String {
    let mut daemon = scene.site.start(&["run"]);
    let said = daemon.event("broker_unreachable")["error"].as_str().expect("an error").to_owned();
    assert!(daemon.stop().success(), "{}", daemon.story());
    said
}

#[test]
fn whoever_accepts_connections_and_says_nothing_is_told_from_nobody() {
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = mute.local_addr().expect("bound").to_string();
    for (settings, word) in
        [(vec![], "does not answer the first request"), (vec![trusted()], "does not go on with the encryption")]
    {
        let said = told(&scene(|_| address.clone(), &settings));
        for part in [&address, "accepts connections", word, "transport.kafka.brokers"] {
            assert!(said.contains(part), "`{part}` in {said}");
        }
        assert!(!said.contains("Check that a broker runs there"), "{said}");
    }
    drop(mute);
    let said = told(&scene(|_| address, &[]));
    assert!(said.contains("Check that a broker runs there") && !said.contains("accepts"), "{said}");
}

#[test]
fn a_broker_that_does_not_come_to_an_end_with_a_login_is_told() {
    let scene = scene(Broker::advertised, &[login("plain", "right")]);
    let proxied = scene.broker.proxy_port();
    let proxy = Proxy::start(proxied, proxied - 3 + LOGIN);
    proxy.lay("PLAIN", Trap::HoldLogin);
    let said = told(&scene);
    assert!(said.contains("does not come to an end with the login"), "{said}");
    assert!(!said.contains("Check that a broker runs there"), "{said}");
    proxy.release();
}

#[test]
fn a_login_that_lasts_two_seconds_is_renewed_under_load_and_nobody_notices() {
    let (scene, mut daemon, _) = come(LOGIN, &[login("plain", "right")]);
    let begun = Instant::now();
    while begun.elapsed() < 5 * SESSION {
        assert!(!daemon.has_ended(), "{}", daemon.story());
        daemon.watch(Duration::from_millis(100));
    }
    for trouble in ["worker_interrupted", "broker_unreachable", "stalled", "failed"] {
        assert!(daemon.lines_of(trouble).is_empty(), "{trouble}: {}", daemon.story());
    }
    scene.settle(daemon);
}
