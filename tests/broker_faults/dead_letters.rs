//! `thalweg dead-letters retry` whose requests the network holds up until another run has taken the letters over.

use std::process::Stdio;

use serde_json::{Value, json};
use thalweg::topic::Output;

use crate::{
    Scene,
    proxy::{Proxy, Trap},
    support::{daemon::stdout, kill_loop::Ground, proof::FOREIGN},
};

const HOUR: i64 = 3_600_000;

/// Two dead letters.
fn refused(name: &str) -> (Scene, Proxy) {
    // Nobody gives up a request that is held.
    let settings = ["generator.enabled=false", "transport.kafka.request_timeout=50s"];
    let scene = Scene::behind_proxy(name, &settings);
    let proxy = Proxy::start(scene.broker.proxy_port(), scene.broker.proxied_port());
    scene.bus.create(&scene.names.samples, 1);
    scene.mix_in(&[Some(b"no".to_vec()), Some(b"nor this".to_vec())]);
    scene.caught_up();
    (scene, proxy)
}

/// A run that claimed both letters an hour ago and was killed while its request was on the way, where it still is.
fn abandoned(scene: &Scene, proxy: &Proxy) {
    proxy.lay(&scene.names.samples, Trap::HoldRequest);
    let mut run = scene.site.start(&["dead-letters", "retry", "--all"]);
    scene.bus.until("its request", || proxy.sprung() == 1);
    run.kill();

    let events = &scene.names.outputs[Output::Events as usize];
    let claim = scene.bus.read(events, 0).pop().and_then(|record| record.value).expect("a claim");
    let mut claim: Value = serde_json::from_slice(&claim).expect("JSON");
    assert_eq!((&claim["event"], &claim["dead_letters"]["offsets"]), (&json!("retrying"), &json!([0, 1])));
    claim["timestamp"] = json!(claim["timestamp"].as_i64().expect("a time") - HOUR);
    scene.bus.delete_records(events, 0, scene.bus.end(events, 0));
    scene.bus.produce(events, 0, FOREIGN, [Some(claim.to_string().into_bytes())]);
}

/// The request that was held reaches the broker.
fn arrives(scene: &Scene, proxy: &Proxy) {
    proxy.release();
    scene.bus.until("the broker's answer", || proxy.answered() == 1);
}

fn retry(scene: &Scene, which: &[&str]) -> String {
    stdout(&scene.site.run(&[&["dead-letters", "retry"], which].concat()))
}

/// The dead letters that were sent back.
fn sent_back(scene: &Scene) -> Vec<String> {
    let records = scene.bus.read(&scene.names.samples, 0);
    let place = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    records.iter().filter_map(|record| record.headers.get("thalweg.retry").map(place)).collect()
}

#[test]
fn what_arrives_after_another_run_has_sent_some_of_it_is_kept_out() {
    let (scene, proxy) = refused("behind");
    abandoned(&scene, &proxy);
    assert!(retry(&scene, &["--offset", "1"]).starts_with("1 of 1 "));
    arrives(&scene, &proxy);
    assert_eq!(sent_back(&scene), ["0/1"]);
    let said = retry(&scene, &["--all"]);
    assert!(said.starts_with("1 of 2 ") && said.contains("1 not: sent back before"), "{said}");
    assert_eq!(sent_back(&scene), ["0/1", "0/0"]);
}

#[test]
fn what_arrives_before_the_run_that_takes_it_over_keeps_that_one_out() {
    for (name, which, said) in [("ahead", ["--reason", "not_json"], "2 of 2 "), ("part", ["--offset", "1"], "1 of 1 ")]
    {
        let (scene, proxy) = refused(name);
        abandoned(&scene, &proxy);
        proxy.lay(&scene.names.samples, Trap::HoldRequest);
        let mut taker = scene.site.command(&[&["dead-letters", "retry"], &which[..]].concat());
        let taker = taker.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        // It has looked, and found nothing.
        scene.bus.until("a second request", || proxy.sprung() == 2);
        arrives(&scene, &proxy);
        proxy.release();
        let output = stdout(&taker.wait_with_output().expect("ended"));
        assert!(output.starts_with(said), "{output}");
        assert_eq!(sent_back(&scene), ["0/0", "0/1"]);
        assert!(retry(&scene, &["--all"]).contains("2 not: sent back before"));
        assert_eq!(sent_back(&scene), ["0/0", "0/1"]);
    }
}

#[test]
fn what_arrived_with_nobody_left_to_note_it_is_not_sent_again() {
    let (scene, proxy) = refused("unnoted");
    abandoned(&scene, &proxy);
    arrives(&scene, &proxy);
    let said = retry(&scene, &["--all"]);
    assert!(said.starts_with("0 of 2 ") && said.contains("2 not: sent back before"), "{said}");
    assert_eq!(sent_back(&scene), ["0/0", "0/1"]);
}
