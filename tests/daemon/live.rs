//! The daemon over HTTP, over time: the stream of what it does, and the past.

use std::{collections::BTreeMap, net::SocketAddr, time::Instant};

use serde_json::Value;

use crate::support::{
    PATIENCE,
    daemon::Workspace,
    event_stream::EventStream,
    http::{address, get},
};

const PORT: &str = "http.listen=127.0.0.1:0";

/// Asks until an answer is as wanted.
fn until(address: SocketAddr, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let answer = get(address, path);
        if answer.code == 200 {
            let told: Value = serde_json::from_str(&answer.body).expect("JSON");
            if wanted(&told) {
                return told;
            }
        } else {
            assert_eq!(answer.code, 503, "{path}: {}", answer.body);
        }
        assert!(begun.elapsed() < PATIENCE, "{path}: {} {}", answer.code, answer.body);
    }
}

#[test]
fn predictions_on_the_stream_are_those_that_are_published_at_the_rate_that_was_asked_for() {
    let site = Workspace::new(&[PORT, "generator.rate=1000"]);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    let mut stream = EventStream::open(address, "/api/v1/stream?rate=20", "");
    let first = stream.next().expect("standings");
    assert_eq!(first.kind, "standings", "it begins with how it is");
    let (mut seen, mut standings) = (Vec::new(), 0);
    while standings < 4 {
        let sent = stream.next().expect("the stream goes on");
        match sent.kind.as_str() {
            "prediction" => seen.push(sent.data),
            "standings" => standings += 1,
            _ => assert!(sent.id.is_some() && sent.data["told"].is_string(), "{sent:?}"),
        }
    }
    // Three to four seconds of 20 a second, on a machine that may be busy.
    assert!((30..=110).contains(&seen.len()), "{} predictions", seen.len());
    assert!(daemon.stop().success());
    let published: BTreeMap<i64, Value> =
        site.predictions().into_iter().map(|it| (it["source"]["offset"].as_i64().expect("an offset"), it)).collect();
    for made in &seen {
        let it = &published[&made["offset"].as_i64().expect("an offset")];
        for field in ["target", "prediction", "lower", "upper", "model", "version", "predictions", "timestamp"] {
            assert_eq!(made[field], it[field], "{field} of {made}");
        }
    }
}

#[test]
fn who_does_not_read_is_hung_up_on() {
    // Long names fill what the system keeps for a client soon.
    let model = |i: usize| format!("{{kind=\"mean\",name=\"{}{i}\"}}", "m".repeat(100));
    let models = format!("models=[{}]", (0..12).map(model).collect::<Vec<_>>().join(","));
    let site = Workspace::new(&[PORT, "generator.rate=1000", "logging.level=debug", &models]);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    let mut unread = EventStream::open(address, "/api/v1/stream?rate=100", "");
    let mut read = EventStream::open(address, "/api/v1/stream?rate=0", "");
    let reading = std::thread::spawn(move || (0..3).for_each(|_| drop(read.next_of("standings"))));
    daemon.event("http_stream_dropped");
    reading.join().expect("another one is served meanwhile");
    // What had been sent before can be read to its end.
    while unread.next().is_some() {}
    assert!(daemon.stop().success());
}

#[test]
fn streams_and_histories_that_cannot_be_are_refused_with_the_reason() {
    let site = Workspace::new(&[PORT]);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    for (path, reason) in [
        ("/api/v1/stream?rate=1000", "rate"),
        ("/api/v1/stream?rate=NaN", "rate"),
        ("/api/v1/stream?partitions=1", "partitions"),
        ("/api/v1/history?window=soon", "15m"),
        ("/api/v1/history?points=0", "points"),
        ("/api/v1/history?partition=-1", "partition"),
        ("/api/v1/history?widow=5m", "widow"),
    ] {
        let answer = get(address, path);
        assert_eq!(answer.code, 400, "{path}");
        assert!(answer.body.contains(reason), "{path}: {}", answer.body);
    }
    assert!(daemon.stop().success());
}

#[test]
fn the_past_is_what_the_status_was_and_survives_a_restart() {
    let site = Workspace::new(&[PORT, "generator.count=4000", "generator.rate=0"]);
    let mut daemon = site.start(&["run"]);
    let at = address(&mut daemon);
    until(at, "/api/v1/status", |status| status["partitions"][0]["confirmed"] == 4000);
    // Two looks after the last record.
    let past = "/api/v1/history?window=10m";
    let last_second = until(at, past, |told| {
        let lag = told["lag_records"].as_array().expect("a series");
        lag.len() >= 2 && lag[lag.len() - 2..].iter().all(|lag| lag == 0.0)
    });
    let status: Value = serde_json::from_str(&get(at, "/api/v1/status").body).expect("JSON");
    let near = |told: &Value, wanted: &Value| {
        let [told, wanted] = [told, wanted].map(|it| it.as_f64().expect("a number"));
        assert!((told - wanted).abs() <= 1e-5 * wanted.abs(), "{told} and not {wanted}");
    };
    let newest = |series: &Value| series.as_array().and_then(|it| it.last().cloned()).expect("a value");
    let partition = &status["partitions"][0];
    for figure in ["rmse", "mae", "skill"] {
        near(&newest(&last_second[figure]), &partition["published"][figure]);
    }
    for figure in ["coverage", "width"] {
        near(&newest(&last_second[figure]), &partition[figure]);
    }
    let models = last_second["models"].as_array().expect("models");
    assert_eq!(models.len(), partition["models"].as_array().map_or(0, Vec::len));
    for (told, model) in models.iter().zip(partition["models"].as_array().expect("models")) {
        assert_eq!(told["name"], model["name"]);
        ["rmse", "mae"].iter().for_each(|figure| near(&newest(&told[figure]), &model[figure]));
    }
    let times: Vec<i64> = last_second["times"].as_array().expect("times").iter().filter_map(Value::as_i64).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert!(daemon.stop().success());

    let mut daemon = site.start(&["run"]);
    let at = address(&mut daemon);
    let after = until(at, past, |told| told["times"].as_array().is_some_and(|it| it.len() > times.len()));
    let kept = |told: &Value, name: &str| told[name].as_array().expect("a series")[..times.len()].to_vec();
    for name in ["times", "lag_records", "coverage"] {
        assert_eq!(kept(&after, name), kept(&last_second, name), "{name}");
    }
    assert!(!last_second["marks"].as_array().expect("marks").is_empty(), "champions have changed");
    assert_eq!(after["marks"], last_second["marks"]);
    // The same, by the minute.
    let thinned = get(at, "/api/v1/history?window=10m&points=10").body;
    let thinned: Value = serde_json::from_str(&thinned).expect("JSON");
    assert_eq!((&thinned["resolution_seconds"], &last_second["resolution_seconds"]), (&60.into(), &1.into()));
    assert!(thinned["times"].as_array().is_some_and(|it| !it.is_empty() && it.len() < times.len().max(3)));
    assert!(daemon.stop().success());
}
