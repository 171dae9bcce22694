//! A broker that knows our producers from a later time than we do: a state file from a backup, and an output whose records
//! retention has dropped, so that reading them back does not tell the numbers either. It would refuse us for ever.

use std::{fs, path::Path};

use thalweg::topic::Output;

use crate::{
    Scene,
    support::{
        daemon::{Daemon, stdout},
        proof::source,
    },
};

/// What a daemon that has stopped leaves behind.
fn back_up(scene: &Scene) {
    copy(&scene.site.path("data"), &scene.site.path("backup"));
}

fn restore(scene: &Scene) {
    fs::remove_dir_all(scene.site.path("data")).expect("it goes");
    copy(&scene.site.path("backup"), &scene.site.path("data"));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for file in fs::read_dir(from).expect("a folder") {
        let file = file.expect("a file");
        fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
    }
}

/// A daemon that generates `count` samples in all, and ends when `goal` predictions were published.
fn generated(scene: &Scene, count: i64, goal: i64) -> Daemon {
    let count = format!("generator.count={count}");
    let mut daemon = scene.site.start(&["run", "--set", "generator.rate=0", "--set", &count]);
    scene.until_published(&mut daemon, goal);
    assert!(daemon.stop().success(), "{}", daemon.story());
    daemon
}

#[test]
fn an_output_whose_numbers_nobody_knows_any_more_is_gone_on_with_as_another_producer() {
    let scene = Scene::new("numbers", &["generator.enabled=false"]);
    scene.bus.create(&scene.names.samples, 1);
    scene.produce(0..10_000);
    scene.caught_up();
    back_up(&scene);
    scene.produce(10_000..20_000);
    scene.caught_up();
    let predictions = &scene.names.outputs[Output::Predictions as usize];
    scene.bus.delete_records(predictions, 0, 20_000);
    restore(&scene);

    let mut daemon = scene.site.start(&["run"]);
    assert_eq!(daemon.event("new_producer")["partition"], 0);
    scene.produce(20_000..21_000);
    daemon.line("all of them", |line| line["records"] == 21_000 && line["lag"] == 0);
    assert!(daemon.stop().success(), "{}", daemon.story());
    assert_eq!(daemon.lines_of("new_producer").len(), 1);
    let published = scene.bus.read(predictions, 0);
    let sources: Vec<i64> = published.iter().map(|record| source(Output::Predictions, record)).collect();
    assert_eq!(sources, (10_000..21_000).collect::<Vec<_>>());
    // It stays the one that it is.
    scene.produce(21_000..22_000);
    let mut daemon = scene.site.start(&["run", "--until-caught-up"]);
    assert!(daemon.wait().success() && daemon.lines_of("new_producer").is_empty(), "{}", daemon.story());
    assert_eq!(scene.bus.end(predictions, 0), 32_000);
}

#[test]
fn samples_whose_numbers_nobody_knows_any_more_are_generated_as_another_producer() {
    let scene = Scene::new("generated", &["transport.on_gap=continue"]);
    generated(&scene, 10_000, 10_000);
    back_up(&scene);
    generated(&scene, 20_000, 20_000);
    scene.bus.delete_records(&scene.names.samples, 0, 20_000);
    restore(&scene);

    // Those from 20,000 on, which are 10,000 again and 10,000 more.
    let daemon = generated(&scene, 30_000, 40_000);
    assert_eq!(daemon.lines_of("new_producer").len(), 1, "{}", daemon.story());
    let printed = stdout(&scene.site.run(&["generate", "-n", "30000"]));
    let samples = scene.bus.read(&scene.names.samples, 0);
    let have: Vec<&[u8]> = samples.iter().filter_map(|record| record.value.as_deref()).collect();
    let due: Vec<&[u8]> = printed.lines().skip(10_000).map(str::as_bytes).collect();
    assert_eq!(have.len(), due.len());
    assert!(have == due, "other samples than those that `generate` prints");
}
