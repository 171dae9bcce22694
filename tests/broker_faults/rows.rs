//! Records that hold many rows: what is made of one is there whole or not at all.

use serde_json::{Value, json};

use super::Scene;
use crate::support::kill_loop::Ground;

/// Record `i`, of so many rows.
fn record(i: usize, rows: usize) -> Option<Vec<u8>> {
    let row = |j: usize| {
        let x = ((i * 31 + j * 17) % 100) as f64 / 10.0;
        if j % 9 == 4 { json!({"x": x, "y": "bad"}) } else { json!({"x": x, "y": 2.0 * x + 1.0}) }
    };
    Some(json!({"rows": (0..rows).map(row).collect::<Vec<_>>()}).to_string().into_bytes())
}

#[test]
fn kills_amid_batches_larger_than_usual_lose_no_row_and_double_none() {
    // The rows of most records make more than a batch.
    let small = ["generator.enabled=false", "schema.explode=rows", "transport.kafka.max_batch_bytes=4096"];
    let scene = Scene::new("rows", &small);
    let count = |i: usize| i * 7 % 60;
    let mut total = 0;
    for round in 0..8_usize {
        let records: Vec<_> = (round * 50..(round + 1) * 50).map(|i| record(i, count(i))).collect();
        total += (round * 50..(round + 1) * 50).map(count).sum::<usize>();
        let (before, goal) = (scene.published(), total as i64);
        scene.bus.produce_keyless(&scene.names.samples, 0, records);
        let mut daemon = scene.site.start(&["run"]);
        // Some are killed amid their work, the last at its end.
        scene.until_published(&mut daemon, before + (goal - before) * (round as i64 + 1) / 8);
        daemon.kill();
    }
    scene.caught_up();
    let topics = scene.bus.all(&scene.names);
    let mut places: Vec<(i64, u64)> = topics.outputs[0][0]
        .iter()
        .map(|made| {
            let made: Value = serde_json::from_slice(made.value.as_deref().expect("a value")).expect("JSON");
            (made["source"]["offset"].as_i64().expect("an offset"), made["source"]["row"].as_u64().expect("a row"))
        })
        .chain(topics.outputs[1][0].iter().map(|letter| {
            let header = |name: &str| String::from_utf8_lossy(letter.headers.get(name).expect("a header")).into_owned();
            (header("thalweg.offset").parse().expect("a number"), header("thalweg.row").parse().expect("a number"))
        }))
        .collect();
    places.sort_unstable();
    let expected: Vec<(i64, u64)> =
        (0..400).flat_map(|i| (0..count(i) as u64).map(move |row| (i as i64, row))).collect();
    assert_eq!(places.len(), total);
    assert!(places == expected, "some row is there twice, or never");
}

#[test]
fn rows_that_make_more_than_the_topic_takes_end_it_and_name_both_settings() {
    let scene = Scene::new("tall", &["generator.enabled=false", "schema.explode=rows"]);
    scene.bus.create(&scene.names.outputs[0], 1);
    scene.broker.set(&scene.names.outputs[0], "max.message.bytes=4000");
    scene.bus.produce_keyless(&scene.names.samples, 0, vec![record(0, 200)]);
    let mut daemon = scene.site.start(&["run"]);
    let failed = daemon.event("failed");
    let said = failed["error"].as_str().expect("an error");
    for words in ["max.message.bytes", "schema.max_rows", "published as one"] {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(daemon.wait().code(), Some(1));
    let predictions = || scene.bus.end(&scene.names.outputs[0], 0);
    assert_eq!(predictions(), 0);
    scene.broker.set(&scene.names.outputs[0], "max.message.bytes=1000000");
    scene.caught_up();
    assert_eq!((predictions(), scene.published()), (178, 200));
}

#[test]
fn dead_letters_of_a_record_that_fit_their_topic_only_in_part_are_cut_and_told() {
    let scene = Scene::new("letters", &["generator.enabled=false", "schema.explode=rows"]);
    scene.bus.create(&scene.names.outputs[1], 1);
    scene.broker.set(&scene.names.outputs[1], "max.message.bytes=40000");
    let long = "b".repeat(3000);
    let rows: Vec<Value> = (0..30).map(|i| json!({"x": i, "y": format!("{long}{i}")})).collect();
    scene.bus.produce_keyless(&scene.names.samples, 0, vec![Some(json!({"rows": rows}).to_string().into_bytes())]);
    let mut daemon = scene.site.start(&["run"]);
    scene.until_published(&mut daemon, 30);
    assert_eq!(daemon.lines_of("dead_letter_cut").len(), 1, "{}", daemon.story());
    assert!(daemon.stop().success(), "{}", daemon.story());
    let letters = scene.bus.read(&scene.names.outputs[1], 0);
    assert_eq!(letters.len(), 30);
    assert!(letters.iter().all(|letter| letter.headers.get("thalweg.truncated").is_some()));
}
