//! The daemon as a user meets it: the binary, the embedded transport, signals, restarts, bad input.

use std::time::{Duration, Instant};

use crate::support::daemon::{Workspace, read, stdout};
use serde_json::Value;

fn source_offsets(predictions: &[Value]) -> Vec<i64> {
    predictions.iter().map(|prediction| prediction["source"]["offset"].as_i64().expect("an offset")).collect()
}

#[test]
fn the_first_start_shows_every_model_learning_within_a_second() {
    let site = Workspace::new(&[]);
    let started = Instant::now();
    let mut daemon = site.start(&[]);
    let report = daemon.event("report");
    let last = daemon.line("the last model's line", |line| line["model"] == "hoeffding_tree");
    // One second is the promise; debug builds on a busy machine get a second more.
    assert!(started.elapsed() < Duration::from_secs(2), "took {:?}", started.elapsed());
    for field in ["records", "rate", "lag", "skill", "coverage", "width"] {
        assert!(report[field].is_number(), "{field} in {report}");
    }
    assert!(report["champion"].is_string());
    for field in ["mae", "rmse", "r2", "skill"] {
        assert!(last[field].is_number(), "{field} in {last}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn both_signals_stop_in_order_with_exit_code_0() {
    for signal in ["INT", "TERM"] {
        let site = Workspace::new(&[]);
        let mut daemon = site.start(&["run"]);
        daemon.event("report");
        daemon.signal(signal);
        assert!(daemon.wait().success(), "SIG{signal}");
        assert_eq!(daemon.lines_of("stopped").len(), 1, "SIG{signal}");
    }
}

/// Of a running process.
#[cfg(target_os = "linux")]
fn told_by_the_kernel(daemon: &crate::support::daemon::Daemon, what: &str) -> String {
    String::from_utf8(std::fs::read(format!("/proc/{}/{what}", daemon.id())).expect("/proc")).expect("text")
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_run_has_one_arena_for_all_its_threads_unless_told_otherwise() {
    let site = Workspace::new(&[]);
    for (environment, expected) in [(vec![], "1"), (vec![("MALLOC_ARENA_MAX", "3".to_owned())], "3")] {
        let mut daemon = site.start_with(&environment);
        daemon.event("report");
        let told = told_by_the_kernel(&daemon, "environ");
        let arenas = told.split('\0').find_map(|variable| variable.strip_prefix("MALLOC_ARENA_MAX="));
        assert_eq!(arenas, Some(expected));
        assert_eq!(told_by_the_kernel(&daemon, "comm").trim_end(), "thalweg");
        assert!(daemon.stop().success());
    }
}

#[test]
fn clean_restarts_lose_and_repeat_nothing_and_equal_a_run_that_never_stopped() {
    let site = Workspace::new(&["generator.rate=20000", "metrics.report_every=100ms"]);
    for run in 1..=4_u64 {
        let mut daemon = site.start(&[]);
        daemon.line("some progress", |line| {
            line["event"] == "report" && line["records"].as_u64().is_some_and(|records| records > 3000 * run)
        });
        assert!(daemon.stop().success());
    }
    assert!(site.run(&["run", "--until-caught-up"]).status.success());

    let samples = site.topic("samples");
    let predictions = site.predictions();
    let expected: Vec<i64> = (0..samples.len() as i64).collect();
    assert_eq!(source_offsets(&predictions), expected);

    // The same samples in one go, through the other way in.
    let lines: Vec<u8> =
        samples.iter().flat_map(|(_, value, _)| [value.as_deref().expect("a value"), b"\n"].concat()).collect();
    let file = site.write("samples.jsonl", lines);
    let out = site.path("replayed.csv");
    stdout(&site.run(&["replay", &file.display().to_string(), "--predictions", &out.display().to_string()]));
    let mut replayed = csv::Reader::from_path(&out).expect("the replay's predictions");
    let headers = replayed.headers().expect("a header");
    let names: Vec<String> =
        headers.iter().skip(2).take_while(|name| *name != "prediction").map(str::to_owned).collect();
    let mut compared = 0;
    for (row, prediction) in replayed.records().zip(&predictions) {
        let row = row.expect("a row");
        for (name, cell) in names.iter().zip(row.iter().skip(2)) {
            let number: f64 = cell.parse().expect("a number");
            assert_eq!(prediction["predictions"][name].as_f64(), Some(number), "row {} of {name}", &row[0]);
            compared += 1;
        }
    }
    assert_eq!(compared, predictions.len() * names.len());
}

#[test]
fn the_generator_goes_on_where_it_was_and_gives_the_same_samples_as_generate() {
    let site = Workspace::new(&["generator.count=3000", "generator.rate=0", "metrics.report_every=50ms"]);
    let mut daemon = site.start(&[]);
    daemon.line("all samples", |line| line["records"] == 3000);
    assert!(daemon.stop().success());
    let printed = stdout(&site.run(&["generate", "-n", "3000"]));
    let stored = site.topic("samples");
    assert_eq!(stored.len(), 3000);
    for (line, (_, value, _)) in printed.lines().zip(stored) {
        assert_eq!(line.as_bytes(), value.expect("a value"));
    }
}

/// Puts records into the samples topic as another program would.
fn insert(site: &Workspace, values: &[Option<&[u8]>]) {
    // The daemon makes the tables.
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let state = site.state();
    let next: i64 = state
        .query_row("SELECT coalesce(max(offset) + 1, 0) FROM samples", [], |row| row.get(0))
        .expect("the next offset");
    for (offset, value) in (next..).zip(values) {
        state
            .execute(
                "INSERT INTO samples (partition, offset, timestamp, key, value) VALUES (0, ?1, 1700000000000, 'k', ?2)",
                rusqlite::params![offset, value],
            )
            .expect("insert");
    }
}

#[test]
fn learning_anew_by_other_rules_answers_no_record_in_both_ways() {
    // The last ones are those on which the rules differ.
    let row = |i: usize| match i % 3 {
        0 => format!(r#"{{"x":{i},"z":1,"y":2}}"#),
        1 => r#"{"x":"hot","z":1,"y":2}"#.to_owned(),
        _ => r#"{"x":NaN,"z":1,"y":2}"#.to_owned(),
    };
    let rows: Vec<String> = (0..60).map(row).collect();
    let values: Vec<Option<&[u8]>> = rows.iter().map(|row| Some(row.as_bytes())).collect();
    let strict = ["schema.on_bad_field=dead_letter", "schema.missing=[]"];
    for (before, after, letters) in [(&strict[..], &[][..], 40), (&[], &strict, 0)] {
        let mut site = Workspace::new(&[&["generator.enabled=false"], before].concat());
        insert(&site, &values);
        assert!(site.run(&["run", "--until-caught-up"]).status.success());
        assert_eq!(site.topic("dead-letters").len(), letters);
        site.settings.truncate(1);
        site.settings.extend(after.iter().map(ToString::to_string));
        assert!(site.run(&["model", "relearn", "--yes"]).status.success());
        for _ in 0..2 {
            assert!(site.run(&["run", "--until-caught-up"]).status.success());
            let lettered = site.topic("dead-letters").len();
            assert_eq!((site.predictions().len(), lettered), (60 - letters, letters), "each once, as at first");
        }
        insert(&site, &values[..3]);
        assert!(site.run(&["run", "--until-caught-up"]).status.success());
        let more = if after.is_empty() { (3, 0) } else { (1, 2) };
        let all = (site.predictions().len(), site.topic("dead-letters").len());
        assert_eq!(all, (60 - letters + more.0, letters + more.1), "what is new by the new rules");
    }
}

#[test]
fn what_is_published_has_the_clock_s_time_or_where_that_is_wanted_the_sample_s() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_millis() as i64;
    for (setting, clock) in [("clock", true), ("sample", false)] {
        let site = Workspace::new(&["generator.enabled=false", &format!("output.timestamp={setting}")]);
        insert(&site, &[Some(br#"{"x":1.5,"y":2}"#), Some(b"no"), Some(br#"{"x":1.5,"y":2}"#)]);
        assert!(site.run(&["run", "--until-caught-up"]).status.success());
        let times = |topic: &str| {
            let state = site.state();
            let mut query =
                state.prepare(&format!("SELECT timestamp FROM \"{topic}\" ORDER BY offset")).expect("a topic");
            let rows = query.query_map([], |row| row.get::<_, i64>(0)).expect("rows");
            rows.map(|row| row.expect("a time")).collect::<Vec<_>>()
        };
        let (predictions, letters) = (times("predictions"), times("dead-letters"));
        if clock {
            assert!(predictions.iter().all(|time| *time >= now) && predictions.is_sorted(), "{predictions:?}");
        } else {
            assert_eq!(predictions, [1_700_000_000_000; 2]);
        }
        assert!(letters[0] >= now, "{letters:?}");
        assert_eq!(site.topic("dead-letters")[0].2["thalweg.timestamp"], "1700000000000");
        assert_eq!(site.predictions()[0]["timestamp"], 1_700_000_000_000_i64);
    }
}

/// A port where something else than a broker listens, that says `answer` to whatever comes.
fn stranger(answer: &'static [u8]) -> u16 {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(answer);
        }
    });
    port
}

#[test]
fn a_port_on_which_no_broker_listens_is_told_by_what_it_says() {
    for (answer, word) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not Kafka's protocol"),
        (b"", "first byte"),
    ] {
        let port = stranger(answer);
        let brokers = format!("transport.kafka.brokers=[\"127.0.0.1:{port}\"]");
        let site = Workspace::new(&["transport.kind=kafka", &brokers]);
        let begun = std::time::Instant::now();
        let mut daemon = site.start(&[]);
        let line = daemon.event("broker_unreachable");
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
        let said = line["error"].as_str().expect("an error");
        assert!(said.contains(word) && said.contains(&port.to_string()), "{answer:?}: {said}");
        assert!(daemon.stop().success());
    }
}

#[test]
fn a_port_that_wants_encryption_ends_it_with_the_exit_code_of_wrong_settings() {
    let port = stranger(b"\x15\x03\x03\x00\x02\x02\x50");
    let site = Workspace::new(&["transport.kind=kafka", &format!("transport.kafka.brokers=[\"127.0.0.1:{port}\"]")]);
    let mut daemon = site.start(&[]);
    let failed = daemon.event("failed");
    assert!(failed["error"].as_str().is_some_and(|said| said.contains("Set transport.kafka.tls")), "{failed}");
    assert_eq!(daemon.wait().code(), Some(78), "{}", daemon.story());
}

#[test]
fn a_certificate_that_is_refused_ends_it_with_the_exit_code_of_wrong_settings() {
    // TLS's alert `bad_certificate`.
    let port = stranger(b"\x15\x03\x03\x00\x02\x02\x2a");
    let brokers = format!("transport.kafka.brokers=[\"127.0.0.1:{port}\"]");
    let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/ca.pem");
    let site = Workspace::new(&["transport.kind=kafka", &brokers, &format!("transport.kafka.tls={{ca_file={ca:?}}}")]);
    let mut daemon = site.start(&[]);
    let failed = daemon.event("failed");
    let said = failed["error"].as_str().expect("an error");
    assert!(said.contains("transport.kafka.tls.cert_file") && said.contains("wants a certificate"), "{failed}");
    assert_eq!(daemon.wait().code(), Some(78), "{}", daemon.story());
}

#[test]
fn the_generator_makes_way_for_samples_that_somebody_puts_into_the_file() {
    let site = Workspace::new(&["metrics.report_every=50ms", "generator.rate=0", "generator.count=500"]);
    let sample: &[u8] = br#"{"x":1.5,"y":2}"#;
    insert(&site, &[Some(sample); 20]);
    let mut daemon = site.start(&[]);
    daemon.event("generator_rests");
    daemon.line("all of them", |line| line["records"] == 20);
    assert!(daemon.stop().success());
    assert_eq!(site.topic("samples").len(), 20);
    // Asked for, it refuses; told that it may, it goes on.
    let refused = site.run(&["--set", "generator.enabled=true"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("generator.into_foreign_topic = true"), "{said}");
    assert_eq!(site.topic("samples").len(), 20);
    let mut daemon = site.start(&["--set", "generator.into_foreign_topic=true"]);
    daemon.line("all of both", |line| line["records"] == 520);
    assert!(daemon.stop().success());
}

#[test]
fn a_dead_letter_that_was_sent_back_is_no_reason_for_the_generator_to_rest() {
    let settings = ["metrics.report_every=50ms", "generator.rate=0", "generator.count=500"];
    let mut site = Workspace::new(&[&settings[..], &["schema.max_record_bytes=220"]].concat());
    let mut daemon = site.start(&[]);
    daemon.line("all of them", |line| line["records"] == 500);
    assert!(daemon.stop().success());
    assert!(site.run(&["dead-letters", "retry", "--all"]).status.success());
    let held = site.topic("samples").len();
    assert!(held > 500, "{held}");
    site.settings.push("generator.count=700".into());
    let mut daemon = site.start(&[]);
    daemon.line("all of both", |line| line["records"] == held + 200);
    assert!(daemon.stop().success());
}

#[test]
fn bad_input_ends_in_dead_letters_with_its_reason_and_the_stream_goes_on() {
    let huge = format!(r#"{{"x":1,"y":2,"text":"{}"}}"#, "x".repeat(10 << 20));
    let good: &[u8] = br#"{"x":1.5,"y":2}"#;
    let bad: [(&[u8], &str); 12] = [
        (br#"{"x":1,"y":-Infinity}"#, "not_finite"),
        (br#"{"x":1,"y":1e400}"#, "not_finite"),
        (br#"{"x":1,"y":1e200}"#, "out_of_range"),
        (b"hello", "not_json"),
        (br#"{"x":1.5,"y":"#, "not_json"),
        (b"\xff\xfe", "not_json"),
        (br#"[1,2]"#, "not_an_object"),
        (b"17", "not_an_object"),
        (br#"{"x":1,"y":"text"}"#, "not_a_number"),
        (br#"{"y":null}"#, "no_features"),
        (huge.as_bytes(), "too_large"),
        (b"", "empty"),
    ];
    let site = Workspace::new(&["generator.enabled=false"]);
    let mut values: Vec<Option<&[u8]>> = vec![Some(good)];
    for (value, _) in bad {
        values.extend([Some(value), Some(good)]);
    }
    values.extend([None, Some(good)]);
    insert(&site, &values);
    let output = site.run(&["run", "--until-caught-up"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let letters = site.topic("dead-letters");
    let expected = bad.iter().map(|(value, reason)| (Some(value.to_vec()), *reason)).chain([(None, "tombstone")]);
    assert_eq!(letters.len(), bad.len() + 1);
    for (i, ((_, value, headers), (sent, reason))) in (0..).zip(letters.into_iter().zip(expected)) {
        assert!(value == sent, "dead letter {i} is not what was sent");
        assert_eq!(headers["thalweg.reason"], reason, "dead letter {i}");
        assert_eq!(headers["thalweg.topic"], "samples");
        assert_eq!(headers["thalweg.partition"], "0");
        assert_eq!(headers["thalweg.offset"], (2 * i + 1).to_string());
        assert!(headers["thalweg.error"].as_str().is_some_and(|text| text.len() > 10));
    }
    let offsets = source_offsets(&site.predictions());
    assert_eq!(offsets, (0..values.len() as i64).step_by(2).collect::<Vec<_>>());
}

#[test]
fn a_prediction_record_has_the_documented_form_and_never_saw_its_target() {
    let site = Workspace::new(&["generator.enabled=false", r#"models=[{kind="mean"},{kind="last",name="before"}]"#]);
    insert(
        &site,
        &[Some(br#"{"x":1,"y":10}"#), Some(br#"{"x":1,"y":20}"#), Some(br#"{"x":1}"#), Some(br#"{"x":1,"y":null}"#)],
    );
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let mut predictions = site.predictions();
    // Nothing is known of errors before the first, of 10; the interval that a Laplace distribution of that size would
    // have narrows a little, because it holds the second target.
    let half = -10.0 * 0.1_f64.ln();
    let halves = [None, Some(half), Some(half * (-0.03_f64).exp()), Some(half * (-0.03_f64).exp())];
    for (prediction, half) in predictions.iter_mut().zip(halves) {
        let value = prediction["prediction"].as_f64().expect("a number");
        let ends = ["lower", "upper"].map(|end| {
            prediction.as_object_mut().and_then(|prediction| prediction.remove(end)).expect("an end").as_f64()
        });
        match (ends, half) {
            ([Some(lower), Some(upper)], Some(half)) => {
                assert!(
                    (lower - (value - half)).abs() < 1e-9 && (upper - (value + half)).abs() < 1e-9,
                    "{lower} {upper}"
                );
            }
            (ends, half) => assert_eq!((ends, half), ([None; 2], None)),
        }
    }
    let expected = [
        r#"{"source":{"topic":"samples","partition":0,"offset":0},"timestamp":1700000000000,"target":10.0,"prediction":0.0,"model":"mean","version":0,"predictions":{"mean":0.0,"before":0.0}}"#,
        r#"{"source":{"topic":"samples","partition":0,"offset":1},"timestamp":1700000000000,"target":20.0,"prediction":10.0,"model":"mean","version":1,"predictions":{"mean":10.0,"before":10.0}}"#,
        r#"{"source":{"topic":"samples","partition":0,"offset":2},"timestamp":1700000000000,"target":null,"prediction":15.0,"model":"mean","version":2,"predictions":{"mean":15.0,"before":20.0}}"#,
        r#"{"source":{"topic":"samples","partition":0,"offset":3},"timestamp":1700000000000,"target":null,"prediction":15.0,"model":"mean","version":2,"predictions":{"mean":15.0,"before":20.0}}"#,
    ];
    let expected: Vec<Value> = expected.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
    assert_eq!(predictions, expected);
    let keys: i64 =
        site.state().query_row("SELECT count(*) FROM predictions WHERE key = 'k'", [], |row| row.get(0)).expect("keys");
    assert_eq!(keys, 4);
}

#[test]
fn a_new_champion_is_an_event() {
    // A mixture would lead from the start.
    let site = Workspace::new(&[
        "generator.count=5000",
        "generator.rate=0",
        "metrics.report_every=50ms",
        r#"models=[{kind="mean"},{kind="linear"}]"#,
    ]);
    let mut daemon = site.start(&[]);
    daemon.line("all samples", |line| line["records"] == 5000);
    assert!(daemon.stop().success());
    let events = site.topic("events");
    let events = events.iter().map(|event| serde_json::from_slice(event.1.as_deref().expect("a value")).expect("JSON"));
    let first: Value =
        events.into_iter().find(|event: &Value| event["event"] == "champion_changed").expect("a new champion");
    assert_eq!(first["from"]["model"], "mean");
    assert!(first["to"]["rmse"].as_f64() < first["from"]["rmse"].as_f64(), "{first}");
    // The latter half of the samples so far.
    let scored = first["source"]["offset"].as_u64().expect("an offset") + 1;
    assert_eq!(first["over"].as_u64(), Some(scored.div_ceil(2)), "{first}");
}

/// The events of a site, parsed.
fn events(site: &Workspace) -> Vec<Value> {
    let parse = |(_, value, _): (i64, Option<Vec<u8>>, Value)| {
        serde_json::from_slice(&value.expect("a value")).expect("an event is JSON")
    };
    site.topic("events").into_iter().map(parse).collect()
}

fn keys(event: &Value) -> Vec<&str> {
    event.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn a_drift_and_a_rescue_are_events_of_the_documented_form_and_counted_in_the_log() {
    let site = Workspace::new(&[
        "generator.enabled=false",
        "guard.every=100",
        "metrics.drift=page_hinkley",
        r#"models=[{kind="mean"},{kind="linear",scale=false,optimizer={kind="sgd",lr=0.05}}]"#,
    ]);
    // A plane; then features a hundred times as large, with which the linear model runs away.
    let noise = |i: u32| (f64::from(i) * 0.754_877_666_246_692_7).fract() * 2.0 - 1.0;
    let sample = |i: u32| {
        let (a, b, scale) = (noise(i), noise(7919 * i + 13), if i < 500 { 1.0 } else { 100.0 });
        format!(r#"{{"a":{},"b":{},"y":{}}}"#, scale * a, scale * b, 3.0 * a - b + 10.0).into_bytes()
    };
    let samples: Vec<Vec<u8>> = (0..700).map(sample).collect();
    insert(&site, &samples.iter().map(|sample| Some(sample.as_slice())).collect::<Vec<_>>());
    let mut daemon = site.start(&["run", "--until-caught-up"]);
    assert!(daemon.wait().success());

    let events = events(&site);
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    let guard = of("guard");
    let rescued = guard.first().expect("a rescue");
    assert_eq!(keys(rescued), ["action", "event", "model", "source", "timestamp", "to_version", "version"]);
    assert_eq!((&rescued["model"], &rescued["action"]), (&"linear".into(), &"rollback".into()));
    assert_eq!(rescued["to_version"], 500);
    // The sample that brought it about was the last that the models had learned from.
    let offset = rescued["source"]["offset"].as_i64().expect("an offset");
    assert!((500..600).contains(&offset), "{rescued}");
    assert_eq!(rescued["version"], offset + 1);

    // The mean is published in its stead, which is told and counted.
    let stand_in = of("stand_in");
    let began = stand_in.first().expect("a stand-in");
    assert_eq!(keys(began), ["active", "event", "faded_rmse", "model", "source", "timestamp", "version"]);
    assert_eq!((&began["model"], &began["active"]), (&"linear".into(), &true.into()));
    assert!(began["faded_rmse"].is_number(), "{began}");

    let drift = of("drift");
    let drifted = drift.iter().find(|event| event["model"] == "linear").expect("a drift");
    assert_eq!(
        keys(drifted),
        [
            "detector",
            "event",
            "faded_rmse",
            "model",
            "models",
            "parameters",
            "rmse",
            "rmse_after",
            "rmse_before",
            "samples_ago",
            "source",
            "timestamp"
        ]
    );
    assert_eq!(drifted["detector"], "page_hinkley");
    assert_eq!((&drifted["parameters"]["threshold"], &drifted["parameters"]["mode"]), (&50.0.into(), &"both".into()));
    for field in ["faded_rmse", "rmse", "rmse_before", "rmse_after"] {
        assert!(drifted[field].is_number(), "{field} in {drifted}");
    }

    let lines = daemon.lines_of("model");
    let last = lines.iter().rfind(|line| line["model"] == "linear").expect("a line");
    assert_eq!(last["rescues"].as_u64(), Some(guard.len() as u64));
    // Of what it noticed within a thousand samples there is one event.
    let drifts = drift.iter().filter(|event| event["model"] == "linear").count() as u64;
    assert!(last["drifts"].as_u64().is_some_and(|count| count >= drifts) && drifts == 1, "{drift:?}");
    for field in ["implausible", "stood_in"] {
        assert!(last[field].as_u64().is_some_and(|count| count > 0), "{field} in {last}");
    }
    for field in ["bias", "smape", "error_p50", "error_p90", "error_p99", "faded_rmse", "memory"] {
        assert!(last[field].is_number(), "{field} in {last}");
    }
}

#[test]
fn a_model_with_new_settings_learns_what_the_topic_holds_and_the_others_keep_what_they_learned() {
    let base = ["generator.count=2000", "generator.rate=0", "metrics.report_every=50ms"];
    let (before, after) =
        (r#"models=[{kind="mean"},{kind="linear"}]"#, r#"models=[{kind="linear",l2=0.1},{kind="mean"}]"#);
    let last = |first: &str, then: &str| {
        let mut site = Workspace::new(&base);
        site.settings.push(first.into());
        let mut daemon = site.start(&[]);
        daemon.line("all samples", |line| line["records"] == 2000);
        assert!(daemon.stop().success());
        *site.settings.last_mut().expect("settings") = then.into();
        insert_one(&site);
        let mut daemon = site.start(&["run", "--until-caught-up"]);
        assert!(daemon.wait().success());
        let joined: Vec<Value> = daemon.lines_of("model_joined").iter().map(|line| line["model"].clone()).collect();
        (site.predictions().pop().expect("a prediction"), joined)
    };
    let (changed, joined) = last(before, after);
    assert_eq!(joined, ["linear"]);
    let (same, joined) = last(after, after);
    assert_eq!(joined, Vec::<Value>::new());
    assert_eq!(changed["version"], 2000);
    assert_eq!(changed["predictions"], same["predictions"]);
}

#[test]
fn what_a_killed_daemon_had_published_stays_once_though_the_schema_has_changed() {
    let mut site = Workspace::new(&["generator.enabled=false", "state.every=1h", "schema.max_record_bytes=40"]);
    let long = format!(r#"{{"x":1,"y":2,"note":"{}"}}"#, "long".repeat(10)).into_bytes();
    let values: Vec<Option<&[u8]>> =
        (0..100).map(|i| Some(if i % 3 == 0 { &*long } else { br#"{"x":1.5,"y":2}"# })).collect();
    insert(&site, &values);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    // Back to the checkpoint from before the first record, as a kill leaves it; and some of it has not been published.
    let state = "DELETE FROM thalweg_checkpoints WHERE position > 0; DELETE FROM predictions WHERE offset >= 40;
                 DELETE FROM \"dead-letters\" WHERE offset >= 20";
    site.state().execute_batch(state).expect("executed");
    site.settings.retain(|setting| !setting.starts_with("schema."));
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let letters = site.topic("dead-letters").into_iter().map(|(_, _, headers)| {
        headers["thalweg.offset"].as_str().and_then(|offset| offset.parse().ok()).expect("an offset")
    });
    let mut sources: Vec<i64> = source_offsets(&site.predictions()).into_iter().chain(letters).collect();
    assert!(!sources.is_sorted(), "both topics take part");
    sources.sort_unstable();
    assert_eq!(sources, (0..100).collect::<Vec<_>>());
}

fn insert_one(site: &Workspace) {
    site.state()
        .execute("INSERT INTO samples VALUES (0, 2000, 1700000000000, NULL, '{\"x0\":1,\"y\":2}', NULL)", [])
        .expect("insert");
}

#[test]
fn wrong_settings_end_with_78_and_name_every_error() {
    let site = Workspace::new(&["metrics.window=0", "generator.rate=-1", "topics.sampels=x"]);
    for command in [vec!["run"], vec!["check"]] {
        let output = site.run(&command);
        assert_eq!(output.status.code(), Some(78));
        let text = String::from_utf8_lossy(&output.stderr);
        for part in ["metrics.window", "generator.rate", "topics.sampels", "samples"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

#[test]
fn replay_reads_standard_input_and_skips_what_cannot_be_used() {
    let site = Workspace::new(&[]);
    let file = site.write("in.csv", "a,b,y\n1,2,3\n2,,5\nnan,1,1\n3,4,\n1,1,text\n4,5,9\n");
    let out = site.path("out.csv");
    let arguments = ["replay", "-", "--predictions", &out.display().to_string(), "--report", "json"];
    let output =
        site.command(&arguments).stdin(std::fs::File::open(&file).expect("open")).output().expect("the binary runs");
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!((&report["records"], &report["scored"], &report["dead_letters"]), (&6.into(), &4.into(), &1.into()));
    assert_eq!(report["models"].as_array().map(Vec::len), Some(5));
    let linear = &report["models"][2];
    assert_eq!((&linear["name"], &linear["kind"]), (&"linear".into(), &"linear".into()));
    let errors = ["mae", "rmse", "r2", "bias", "smape", "error_p50", "error_p90", "error_p99"];
    for field in
        errors.iter().chain(&["skill", "refused", "implausible", "stood_in", "drifts", "rescues", "memory_bytes"])
    {
        assert!(linear[field].is_number(), "{field} in {linear}");
    }
    assert!(errors.iter().all(|field| linear["rolling"][field].is_number()), "{linear}");
    assert!(["mae", "rmse", "bias", "smape"].iter().all(|field| linear["faded"][field].is_number()), "{linear}");
    let rows = read(&out);
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!(rows[0], "i,target,mean,last,linear,hoeffding_tree,mixture,prediction,lower,upper,model,key,timestamp");
    let heads: Vec<&str> =
        rows[1..].iter().map(|row| row.split_inclusive(',').take(2).last().map_or("", |t| t)).collect();
    assert_eq!(heads, ["3.0,", "5.0,", "1.0,", ",", "9.0,"]);
    assert!(rows[4].starts_with("3,,"), "{}", rows[4]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("record 4 cannot be used (not_a_number)"), "{errors}");
}
