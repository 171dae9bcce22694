//! Output topics that are deleted under the daemon. What they held is gone with them; from there on each source offset
//! is there once, in order, and with the bits of a run that nobody disturbed.

use std::slice::from_ref;

use serde_json::json;
use thalweg::topic::Output;

use crate::{
    SETTINGS, Scene,
    broker_client::undisturbed,
    support::{
        daemon::Daemon,
        kill_loop::Ground,
        proof::{Proof, source},
    },
};

/// Lets the daemon go on and end, and proves what the new predictions topic holds. The old one, when it went, held
/// nothing from source offset `before` on.
fn settle(scene: &Scene, mut daemon: Daemon, before: i64) {
    let predictions = &scene.names.outputs[Output::Predictions as usize];
    scene.bus.until("new predictions", || scene.bus.topics().contains_key(predictions));
    scene.bus.forget();
    scene.until_published(&mut daemon, 2000);
    assert!(daemon.stop().success(), "{}", daemon.story());
    scene.caught_up();

    let topics = scene.bus.all(&scene.names);
    let first = source(Output::Predictions, &topics.of(Output::Predictions)[0][0]);
    let (mut others, site) = undisturbed(&scene.bus, &scene.names, "earliest", &SETTINGS);
    others.outputs[Output::Predictions as usize][0].drain(..first as usize);
    let mut proof = Proof::default();
    proof.each_once(&topics, from_ref(&(first..topics.samples[0].len() as i64)));
    proof.same_outputs(&topics, &others);
    proof.same_state(&scene.site, &site, &scene.names.samples, 1);
    proof.holds(format!("the new topic begins at {first}, the old one ended before {before}"), first <= before);
    println!("{}: {}", scene.names.samples, proof.summary());
    proof.hold();
}

#[test]
fn a_predictions_topic_made_anew_holds_all_from_there_on() {
    let scene = Scene::new("anew", &[]);
    let daemon = scene.under_load(5000, 2000);
    scene.bus.delete(&scene.names.outputs[0]);
    let before = scene.bus.end(&scene.names.samples, 0);
    scene.bus.create(&scene.names.outputs[0], 1);
    settle(&scene, daemon, before);
}

#[test]
fn a_predictions_topic_that_does_not_come_back_is_created_by_the_daemon() {
    let scene = Scene::new("missing", &[]);
    let mut daemon = scene.under_load(5000, 2000);
    scene.bus.delete(&scene.names.outputs[0]);
    let before = scene.bus.end(&scene.names.samples, 0);
    daemon.line("a new topic", |line| line["event"] == "topic_created" && line["topic"] == *scene.names.outputs[0]);
    settle(&scene, daemon, before);
}

#[test]
fn a_predictions_topic_made_anew_while_the_daemon_is_stopped_holds_all_from_there_on() {
    let scene = Scene::new("stopped", &[]);
    let mut daemon = scene.under_load(5000, 2000);
    assert!(daemon.stop().success(), "{}", daemon.story());
    scene.caught_up();
    let before = scene.published();
    scene.bus.delete(&scene.names.outputs[0]);
    scene.bus.create(&scene.names.outputs[0], 1);
    let mut daemon = scene.site.start(&["run", "--set", "generator.rate=5000"]);
    let line = daemon.event("output_cut");
    assert_eq!(
        (&line["topic"], &line["partition"], &line["level"]),
        (&json!(scene.names.outputs[0]), &json!(0), &json!("WARN"))
    );
    assert_eq!((&line["expected"], &line["end"]), (&json!(before), &json!(0)), "{line}");
    settle(&scene, daemon, before);
    assert_eq!(scene.bus.start(&scene.names.outputs[0], 0), 0);
}
