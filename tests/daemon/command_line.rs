//! The command line as a user meets it on the first day: what it says, what it finds, how it ends.

use std::process::Output;

use crate::support::daemon::{Workspace, stdout};

/// Standard error as text.
fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A certificate or key that never expires as far as these tests go, and is good for nothing else.
fn tls(name: &str) -> String {
    format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn signals_that_come_together_are_one_and_leave_a_checkpoint() {
    for _ in 0..5 {
        let site = Workspace::new(&[]);
        let mut daemon = site.start(&[]);
        daemon.event("report");
        // As `timeout` does it: the process, then its group.
        for signal in ["INT", "TERM", "INT"] {
            daemon.signal(signal);
        }
        assert!(daemon.wait().success(), "{}", daemon.story());
        assert_eq!((daemon.lines_of("stopped").len(), daemon.lines_of("killed").len()), (1, 0), "{}", daemon.story());
    }
}

#[test]
fn what_ends_the_daemon_is_said_once() {
    let site = Workspace::new(&["state.path=/proc/none/thalweg.db"]);
    for format in ["text", "json"] {
        let output = site.run(&["run", "--set", &format!("logging.format={format}")]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(stderr(&output).matches("state file /proc/none/thalweg.db").count(), 1, "{}", stderr(&output));
    }
}

#[test]
fn until_caught_up_needs_no_command_and_goes_with_no_other() {
    let site = Workspace::new(&[]);
    let output = site.run(&["--until-caught-up"]);
    assert!(output.status.success() && stderr(&output).contains("stopped"), "{}", stderr(&output));
    let output = site.run(&["--until-caught-up", "check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("thalweg run"), "{}", stderr(&output));
}

#[test]
fn check_says_where_the_settings_are_from() {
    let site = Workspace::new(&[]);
    let none = stdout(&site.run(&["check"]));
    assert!(none.contains("no settings.toml here"), "{none}");
    site.write("settings.toml", "[schema]\ntarget = \"price\"\n[[models]]\nkind = \"mean\"\n");
    let found = site.command(&["check", "--set", "metrics.window=7"]).env("THALWEG__STATE__KEEP", "2").output();
    let found = stdout(&found.expect("the binary runs"));
    for part in
        ["settings.toml", "price", "THALWEG__STATE__KEEP", "--set metrics.window", "1 (instead of the shipped ones)"]
    {
        assert!(found.contains(part), "{part} in {found}");
    }
    let other = site.write("other.toml", "");
    let named = stdout(&site.run(&["check", "--settings", &other.display().to_string()]));
    assert!(named.contains("other.toml") && named.contains("as shipped"), "{named}");
}

const KEY_PASSWORD: &str = "THALWEG__TRANSPORT__KAFKA__TLS__KEY_PASSWORD";

#[test]
fn check_and_run_find_what_is_wrong_with_certificates() {
    let kafka = |tls: &str| Workspace::new(&["transport.kind=kafka", &format!("transport.kafka.tls={tls}")]);
    let table = |ca: &str, chain: &str, key: &str| format!("{{ca_file={ca:?},cert_file={chain:?},key_file={key:?}}}");
    let (ca, chain, key) = (tls("ca.pem"), tls("client.pem"), tls("client.key"));
    let good = kafka(&table(&ca, &chain, &key)).run(&["check"]);
    assert!(stdout(&good).contains("client.key"));
    // Several authorities; certificate and key in one file; a key that a password opens.
    let (bundle, both, legacy) = (tls("broker/bundle.pem"), tls("broker/encrypted.pem"), tls("broker/legacy.key"));
    let whole = |password: &str| format!("{{ca_file={bundle:?},cert_file={both:?}{password}}}");
    let opened = kafka(&whole("")).command(&["check"]).env(KEY_PASSWORD, "secret").output().expect("the binary runs");
    assert!(stdout(&opened).contains("encrypted.pem") && !stdout(&opened).contains("secret"));
    let stores = Workspace::new(&[]);
    let pkcs12 = stores.write("store.p12", b"0\x82\x01\x00").display().to_string();
    let java = stores.write("store.jks", b"\xfe\xed\xfe\xed\x00\x00\x00\x02").display().to_string();
    let wrong = [
        (table("/nope.pem", &chain, "/tmp"), vec!["tls.ca_file: /nope.pem", "tls.key_file: /tmp"]),
        (table(&key, &chain, &key), vec!["client.key holds no readable certificate"]),
        (table(&ca, &key, &key), vec!["client.key"]),
        (table(&ca, &chain, &ca), vec!["ca.pem holds no readable key"]),
        (table(&ca, &chain, &tls("other.key")), vec!["client.pem does not fit its key"]),
        (whole(""), vec!["is encrypted; set transport.kafka.tls.key_password"]),
        (whole(r#",key_password="wrong""#), vec!["transport.kafka.tls.key_password does not open"]),
        (table(&ca, &chain, &legacy), vec!["openssl pkcs8 -topk8 -in"]),
        (table(&pkcs12, &chain, &key), vec!["openssl pkcs12 -in"]),
        (table(&ca, &chain, &java), vec!["keytool -importkeystore"]),
        (format!("{{key_file={key:?}}}"), vec!["tls.cert_file: is missing"]),
    ];
    let sasl = format!(
        r#"transport.kafka.sasl={{mechanism="oauthbearer",token_url="https://a",client_id="a",client_secret="a",ca_file={key:?}}}"#
    );
    let output = Workspace::new(&["transport.kind=kafka", &sasl]).run(&["check"]);
    assert!(stderr(&output).contains("sasl.ca_file: ") && stderr(&output).contains("no readable certificate"));
    for (tls, parts) in wrong {
        for command in ["check", "run"] {
            let output = kafka(&tls).run(&[command]);
            assert_eq!(output.status.code(), Some(78), "{command} {tls}: {}", stderr(&output));
            for part in &parts {
                assert!(stderr(&output).contains(part), "{part} in {}", stderr(&output));
            }
            assert!(!stderr(&output).contains("\"wrong\""), "{}", stderr(&output));
        }
    }
}

#[test]
fn check_looks_whether_the_state_file_can_be_written() {
    for path in ["/proc/none/thalweg.db", "."] {
        let output = Workspace::new(&[&format!("state.path={path}")]).run(&["check"]);
        assert_eq!(output.status.code(), Some(78), "{path}");
        assert!(stderr(&output).contains("state.path: "), "{}", stderr(&output));
    }
    let site = Workspace::new(&["state.path=deep/er/thalweg.db"]);
    assert!(stdout(&site.run(&["check"])).contains("at the first start"));
    assert!(!site.path("deep").exists(), "a check leaves nothing behind");
}

#[test]
fn variables_with_the_wrong_underscores_are_errors_that_name_the_right_ones() {
    let site = Workspace::new(&[]);
    let check = |variables: &[(&str, &str)]| {
        let output = site.command(&["check"]).envs(variables.iter().copied()).output().expect("the binary runs");
        (output.status.code(), stderr(&output) + &String::from_utf8_lossy(&output.stdout))
    };
    for (wrong, right) in [
        ("THALWEG_SCHEMA_TARGET", "THALWEG__SCHEMA__TARGET"),
        ("THALWEG__SCHEMA_TARGET", "THALWEG__SCHEMA__TARGET"),
        ("THALWEG_STATE__PATH", "THALWEG__STATE__PATH"),
        ("thalweg__metrics__report_every", "THALWEG__METRICS__REPORT_EVERY"),
        ("THALWEG__TRANSPORT__KAFKA_BROKERS", "THALWEG__TRANSPORT__KAFKA__BROKERS"),
        ("THALWEG_TRANSPORT_KAFKA_SASL_PASSWORD", "THALWEG__TRANSPORT__KAFKA__SASL__PASSWORD"),
        ("THALWEG_SCHEMA_MAX_FEATURES", "THALWEG__SCHEMA__MAX_FEATURES"),
    ] {
        let (code, text) = check(&[(wrong, "x")]);
        assert_eq!(code, Some(78), "{wrong}: {text}");
        assert_eq!(text.matches("is not a setting").count(), 1, "{text}");
        assert!(text.contains(wrong) && text.contains(&format!(": {right}\n")), "{text}");
    }
    // What others put there, and this project's own tools.
    let others = [
        "THALWEG_METRICS_SERVICE_HOST",
        "THALWEG_STATE_PORT_80_TCP_ADDR",
        "THALWEG_TEST_BROKERS",
        "THALWEG_KAFKA_PORT",
    ];
    let (code, text) = check(&others.map(|name| (name, "x")));
    assert!(code == Some(0) && !text.contains("THALWEG_"), "{text}");
    let (code, text) = check(&[("THALWEG_HOME", "x")]);
    assert!(code == Some(0) && text.contains("THALWEG_HOME is no setting"), "{text}");
}

#[test]
fn relearn_lets_a_new_model_learn_everything_and_nothing_is_published_twice() {
    let mut site = Workspace::new(&[
        "generator.count=2000",
        "generator.rate=0",
        "metrics.report_every=50ms",
        r#"models=[{kind="mean"}]"#,
    ]);
    let mut daemon = site.start(&[]);
    daemon.line("all samples", |line| line["records"] == 2000);
    let busy = site.run(&["model", "relearn", "--yes"]);
    assert!(!busy.status.success() && stderr(&busy).contains("in use by process"), "{}", stderr(&busy));
    assert!(daemon.stop().success());
    let published = site.predictions();

    site.settings.pop();
    site.settings.push(r#"models=[{kind="mean"},{kind="rls"}]"#.to_owned());
    assert!(stdout(&site.run(&["model", "relearn"])).contains("--yes"), "nothing is done unless it is asked for");
    assert!(stdout(&site.run(&["model", "restore"])).contains("samples/0"));
    stdout(&site.run(&["model", "relearn", "--yes"]));
    let mut daemon = site.start(&["run", "--until-caught-up"]);
    assert!(daemon.wait().success());
    let begun = daemon.lines_of("worker_started");
    assert_eq!((&begun[0]["replay"], &begun[0]["position"]), (&2000.into(), &0.into()), "{}", daemon.story());
    let rls = daemon.lines_of("model").into_iter().rfind(|line| line["model"] == "rls").cloned().expect("a line");
    assert!(rls["total_r2"].as_f64() > Some(0.5), "it has learned: {rls}");
    assert_eq!(site.predictions(), published);
    // What was learned before is still there to go back to.
    let listed = stdout(&site.run(&["model", "restore"]));
    assert!(listed.lines().any(|line| line.contains("samples/0  2000  2000")), "{listed}");
}
