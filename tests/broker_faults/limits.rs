//! Topics that take less in one request, or in one record, than the daemon wants to send.

use std::{slice::from_ref, time::Duration};

use thalweg::topic::Output;

use crate::{
    Scene,
    proxy::{LinkCondition, Proxy},
    support::{
        kill_loop::Ground,
        proof::{Proof, source},
    },
};

/// The bytes of records that a batch of so many bytes can hold.
pub fn within(batch: usize) -> usize {
    const HEADER: usize = 61;
    batch - HEADER
}

/// A topic that takes no more than `bytes` in one request, before the daemon makes it.
fn narrow(scene: &Scene, topic: &str, bytes: usize) {
    scene.bus.create(topic, 1);
    scene.broker.set(topic, &format!("max.message.bytes={bytes}"));
}

#[test]
fn batches_that_a_topic_does_not_take_any_more_are_sent_in_smaller_ones() {
    let scene = Scene::new("batches", &[]);
    let mut daemon = scene.under_load(20_000, 5000);
    scene.broker.set(&scene.names.outputs[0], "max.message.bytes=5000");
    let line = daemon.event("batch_limit");
    assert_eq!(line["topic"], *scene.names.outputs[0]);
    assert_eq!(line["bytes"], within(5000), "the topic's own limit, asked for and not found by halving");
    assert!(line["message"].as_str().is_some_and(|text| text.contains("max_batch_bytes")));
    scene.settle(daemon);
}

#[test]
fn a_batch_that_is_refused_is_not_overtaken_by_smaller_ones_behind_it() {
    let scene = Scene::behind_proxy("overtaken", &[]);
    let proxy = Proxy::start(scene.broker.proxy_port(), scene.broker.proxied_port());
    narrow(&scene, &scene.names.outputs[0], 50_000);
    scene.bus.create(&scene.names.samples, 1);
    scene.produce(0..2000);
    // Slow enough that several requests are under way: a large one of what waits, small ones of what is sent meanwhile.
    proxy.weather(LinkCondition::Slow(Duration::from_millis(50)));
    let mut daemon = scene.site.start(&["run", "--set", "generator.rate=1000"]);
    assert_eq!(daemon.event("batch_limit")["topic"], *scene.names.outputs[0]);
    proxy.weather(LinkCondition::Clear);
    scene.settle(daemon);
}

#[test]
fn samples_that_the_topic_does_not_take_in_one_batch_are_sent_in_smaller_ones() {
    let scene = Scene::new("samples", &["generator.count=20000"]);
    narrow(&scene, &scene.names.samples, 20_000);
    let mut daemon = scene.site.start(&["run", "--set", "generator.rate=0"]);
    let line = daemon.event("batch_limit");
    assert_eq!((&line["topic"], &line["bytes"]), (&(*scene.names.samples).into(), &within(20_000).into()));
    scene.until_published(&mut daemon, 20_000);
    assert!(daemon.stop().success(), "{}", daemon.story());
    scene.caught_up();
    scene.prove();
}

#[test]
fn a_prediction_that_its_topic_does_not_take_stops_the_daemon_and_is_published_once_it_does() {
    let scene = Scene::new("prediction", &[]);
    let mut daemon = scene.under_load(2000, 2000);
    scene.broker.set(&scene.names.outputs[0], "max.message.bytes=150");
    let error = daemon.event("failed")["error"].as_str().expect("a text").to_owned();
    assert_eq!(daemon.wait().code(), Some(1));
    for part in [scene.names.outputs[0].as_str(), "max.message.bytes"] {
        assert!(error.contains(part), "`{part}` in: {error}");
    }
    scene.broker.set(&scene.names.outputs[0], "max.message.bytes=1000000");
    let daemon = scene.under_load(2000, 500);
    scene.settle(daemon);
}

#[test]
fn a_dead_letter_that_its_topic_does_not_take_is_cut_and_says_so() {
    let scene = Scene::new("letter", &[]);
    let mut daemon = scene.under_load(2000, 1000);
    scene.broker.set(&scene.names.outputs[1], "max.message.bytes=50000");
    let huge = vec![b'x'; 200_000];
    scene.mix_in(&[Some(huge.clone()), Some(b"small".to_vec())]);
    let line = daemon.event("dead_letter_cut");
    assert_eq!(line["bytes"], huge.len());
    let goal = scene.published() + 500;
    scene.until_published(&mut daemon, goal);
    assert!(daemon.stop().success(), "{}", daemon.story());
    scene.caught_up();

    let topics = scene.bus.all(&scene.names);
    let mut proof = Proof::default();
    proof.each_once(&topics, from_ref(&(0..topics.samples[0].len() as i64)));
    proof.hold();
    let letters = &topics.of(Output::DeadLetters)[0];
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0].headers.get("thalweg.truncated"), Some(huge.len().to_string().as_bytes()));
    assert_eq!(line["offset"], source(Output::DeadLetters, &letters[0]));
    let value = letters[0].value.as_deref().expect("a value");
    assert!(!value.is_empty() && value.len() < huge.len() && huge.starts_with(value));
    assert_eq!(letters[1].value.as_deref(), Some(&b"small"[..]));
}
