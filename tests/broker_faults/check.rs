//! `thalweg check --connect` on a real broker: each thing that lacks has its line, and looking changes nothing.

use serde_json::Value;

use crate::{
    Scene,
    broker::Broker,
    secure::{LOGIN, login},
};

/// What a look finds, and the exit code.
fn looked(scene: &Scene, arguments: &[&str]) -> (Vec<String>, Option<i32>) {
    let mut command = scene.site.command(&["check", "--connect", "--json", "--set", "http.listen="]);
    // Behind the scene's own settings, of which the last one counts.
    let output = command.args(arguments).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON; {said}"));
    let line = |it: &Value| {
        let word = |key: &str| it[key].as_str().expect("a text").to_owned();
        format!("{} {} {}: {}", word("verdict"), word("check"), word("subject"), word("told"))
    };
    (json["findings"].as_array().expect("findings").iter().map(line).collect(), output.status.code())
}

#[test]
fn what_the_daemon_needs_is_looked_at_before_it_starts_and_nothing_is_made() {
    let scene = Scene::new("check", &["generator.enabled=false"]);
    let [samples, outputs @ ..] =
        [&scene.names.samples, &scene.names.outputs[0], &scene.names.outputs[1], &scene.names.outputs[2]];
    scene.produce(0..50);
    let before = scene.bus.topics();
    let (lines, code) = looked(&scene, &[]);
    assert_eq!(code, Some(0), "{lines:#?}");
    let has =
        |lines: &[String], part: &str| assert!(lines.iter().any(|line| line.contains(part)), "{part} in {lines:#?}");
    has(&lines, "ok broker ");
    has(&lines, &format!("ok topic {samples}: is there, 1 partition, offsets of 50 records"));
    for output in outputs {
        has(&lines, &format!("ok topic {output}: is not there yet; the first start makes it"));
    }
    has(&lines, &format!("ok settings {samples}: nothing that hurts"));
    has(&lines, "ok clock : the newest record of");
    assert!(lines.iter().all(|line| line.starts_with("ok ") || line.starts_with("warning disk")), "{lines:#?}");
    assert_eq!(scene.bus.topics(), before, "looking made or changed a topic");

    let (lines, code) = looked(&scene, &["--set", "topics.samples=no-such-topic"]);
    assert_eq!(code, Some(78), "{lines:#?}");
    has(&lines, "wrong topic no-such-topic: does not exist (");
    let (lines, code) = looked(&scene, &["--set", "transport.kafka.partitions=[0, 7]"]);
    assert_eq!(code, Some(78), "{lines:#?}");
    has(&lines, "transport.kafka.partitions names 7, but the topic has partitions 0 to 0");

    scene.caught_up();
    scene.broker.set(outputs[0], "cleanup.policy=compact");
    let (lines, code) = looked(&scene, &[]);
    assert_eq!(code, Some(0), "{lines:#?}");
    has(&lines, &format!("warning settings {}: cleanup.policy=compact: ", outputs[0]));
}

#[test]
fn a_refused_login_and_each_right_that_lacks_have_a_line_of_their_own() {
    let (broker, turn) = Broker::ours();
    let good = login("plain", "right");
    let scene =
        Scene::at("check-rights", &[good.as_str(), "generator.enabled=false"], broker, turn, &broker.secure(LOGIN));
    let (lines, code) = looked(&scene, &["--set", &login("plain", "wrong")]);
    assert_eq!(code, Some(78), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.starts_with("wrong broker ") && line.contains("does not take this login")),
        "{lines:#?}"
    );

    let _rules = crate::rights::Rules::of(&scene);
    let (lines, code) = looked(&scene, &[]);
    assert_eq!(code, Some(78), "{lines:#?}");
    let samples = &scene.names.samples;
    let lacks = |operation: &str, topic: &str| {
        let beginning = format!("wrong right {operation} on `{topic}`: lacks; ");
        let command = format!("--allow-principal \"User:thalweg\" --operation {operation} --topic {topic}");
        lines.iter().any(|line| line.starts_with(&beginning) && line.ends_with(&command))
    };
    assert!(lacks("Read", samples), "{lines:#?}");
    for output in &scene.names.outputs {
        assert!(lacks("Write", output) && lacks("Create", output), "{output}: {lines:#?}");
    }
    assert!(lines.iter().any(|line| line == "ok login : the broker takes that of User:thalweg"), "{lines:#?}");
}
