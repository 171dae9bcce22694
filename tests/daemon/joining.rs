//! Models that are new: they learn what the topic holds, and join the race as if they had been there from the start.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::support::daemon::{Daemon, Workspace};

const BEFORE: &str =
    "[[models]]\nkind = \"mean\"\n[[models]]\nkind = \"linear\"\n[[models]]\nname = \"leaves\"\nkind = \"last\"\n";
/// A tree and a champion of all come, and `leaves` goes.
const AFTER: &str = "[[models]]\nname = \"tree\"\nkind = \"hoeffding_tree\"\n[[models]]\nkind = \"mean\"\n[[models]]\nkind = \
                     \"linear\"\n[[models]]\nname = \"best\"\nkind = \"champion\"\n";

fn file(models: &str) -> String {
    format!("[metrics]\nreport_every = \"20ms\"\n[generator]\nfunction = \"friedman_drift\"\n{models}")
}

/// Awaits so many records in all.
fn records(daemon: &mut Daemon, count: u64) {
    daemon.line("records", |line| line["event"] == "report" && line["records"].as_u64() >= Some(count));
}

/// What each model predicted, by offset; every offset is there once.
fn predicted(site: &Workspace) -> Vec<Value> {
    let all = site.predictions();
    let offsets = all.iter().map(|it| it["source"]["offset"].as_u64());
    assert!(offsets.eq((0..all.len() as u64).map(Some)), "a record is missing or there twice");
    all.iter().map(|it| it["predictions"].clone()).collect()
}

/// What a run says that had these models from the start.
fn calm(settings: &[&str], models: &str, count: u64) -> Vec<Value> {
    let site = Workspace::new(&[settings, &["generator.rate=0"]].concat());
    site.write("settings.toml", file(models));
    let mut daemon = site.start(&["run"]);
    records(&mut daemon, count);
    assert!(daemon.stop().success());
    predicted(&site)
}

/// Checks that each record was predicted by one race or the other, as if it had been there from the start, and says by how many of
/// the later ones.
fn is_one_after_the_other(site: &Workspace, settings: &[&str], count: u64) -> usize {
    let (got, before, after) = (predicted(site), calm(settings, BEFORE, count), calm(settings, AFTER, count));
    assert_eq!(got.len() as u64, count);
    let joined = got.iter().position(|it| it.get("tree").is_some()).unwrap_or(got.len());
    let wanted = before[..joined].iter().chain(&after[joined..]);
    for (offset, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        assert_eq!(got, wanted, "at {offset}, of {joined} before");
    }
    got.len() - joined
}

#[test]
fn models_that_a_reload_brings_join_as_if_they_had_been_there_from_the_start_and_others_go() {
    const SETTINGS: [&str; 1] = ["generator.count=12000"];
    let site = Workspace::new(&[SETTINGS[0], "generator.rate=4000"]);
    site.write("settings.toml", file(BEFORE));
    let mut daemon = site.start(&["run"]);
    records(&mut daemon, 4000);
    site.write("settings.toml", file(AFTER));
    daemon.signal("HUP");
    let learning = daemon.event("model_learning");
    assert_eq!((&learning["model"], &learning["from"]), (&"tree".into(), &0.into()));
    let joined = daemon.line("both", |line| line["event"] == "model_joined" && line["model"] == "best");
    let position = joined["position"].as_u64().expect("a position");
    assert!((4000..12_000).contains(&position), "{joined}");
    records(&mut daemon, 12_000);
    assert_eq!(daemon.lines_of("model_afresh").len(), 0, "{}", daemon.story());
    assert!(daemon.stop().success());
    assert_eq!(is_one_after_the_other(&site, &SETTINGS, 12_000) as u64, 12_000 - position);
}

#[test]
fn a_kill_while_models_learn_loses_nothing_doubles_nothing_and_changes_no_bit() {
    const SETTINGS: [&str; 1] = ["generator.count=40000"];
    let site = Workspace::new(&[SETTINGS[0], "generator.rate=0", "transport.embedded.retention_records=100000"]);
    site.write("settings.toml", file(BEFORE));
    let mut daemon = site.start(&["run"]);
    records(&mut daemon, 20_000);
    site.write("settings.toml", file(AFTER));
    daemon.signal("HUP");
    daemon.event("model_learning");
    let (mut random, mut interrupted) = (ChaCha8Rng::seed_from_u64(24), 0);
    for _ in 0..20 {
        daemon.watch(Duration::from_micros(random.random_range(0..40_000)));
        daemon.kill();
        daemon = site.start(&["run"]);
        let told = ["model_learning", "worker_started"];
        let next = daemon.line("how it goes on", |line| told.iter().any(|event| line["event"] == *event));
        if next["event"] == "worker_started" {
            break;
        }
        interrupted += 1;
    }
    assert!(interrupted > 1, "{interrupted} kills came while models learned");
    daemon.line("the whole race", |line| line["event"] == "model" && line["model"] == "best");
    records(&mut daemon, 40_000);
    assert!(daemon.stop().success());
    is_one_after_the_other(&site, &SETTINGS, 40_000);
}

#[test]
fn what_the_topic_no_longer_holds_is_not_learned_and_another_schema_begins_with_nothing() {
    let site = Workspace::new(&["generator.rate=0", "generator.count=60000", "state.every=50ms"]);
    let kept = "[transport.embedded]\nretention_records = 10000\n";
    site.write("settings.toml", file(&format!("{kept}{BEFORE}")));
    let mut daemon = site.start(&["run"]);
    records(&mut daemon, 60_000);
    site.write("settings.toml", file(&format!("{kept}{AFTER}")));
    daemon.signal("HUP");
    let learning = daemon.event("model_learning");
    assert!(learning["from"].as_i64() > Some(0) && learning["to"] == 60_000, "{learning}");
    assert_eq!(daemon.event("model_joined")["position"], 60_000);
    // A model has another meaning where columns have.
    site.write("settings.toml", file(&format!("{kept}[schema]\nignore = [\"x0\"]\n{AFTER}")));
    daemon.signal("HUP");
    daemon.event("model_afresh");
    assert_eq!(daemon.lines_of("model_joined").len(), 2, "{}", daemon.story());
    assert!(daemon.stop().success());
}
