//! A state file that is cut off or whose bits have flipped: the daemon says so or works, and never panics or hangs.

use std::path::Path;

use crate::support::{
    daemon::{Workspace, stdout},
    within,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rusqlite::Connection;
use thalweg::{
    app,
    pipeline::checkpoints,
    settings::{Settings, Sources},
    store::StateReader,
};

/// A state file with 1,500 samples processed in several runs, and 100 that wait.
fn whole(site: &Workspace) -> Vec<u8> {
    site.run(&["run", "--until-caught-up"]);
    let samples = stdout(&site.run(&["generate", "-n", "1600"]));
    let samples: Vec<&str> = samples.lines().collect();
    for (i, part) in [&samples[..500], &samples[500..1000], &samples[1000..1500], &samples[1500..]].iter().enumerate() {
        let state = site.state();
        for (offset, line) in (500 * i..).zip(part.iter()) {
            state
                .execute("INSERT INTO samples VALUES (0, ?1, 1700000000000, NULL, ?2, NULL)", (offset as i64, line))
                .expect("insert");
        }
        drop(state);
        if i < 3 {
            assert!(site.run(&["run", "--until-caught-up"]).status.success());
        }
    }
    site.state().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("all in one file");
    std::fs::read(site.path("data/thalweg.db")).expect("the state file")
}

/// What a run leaves behind: the models and metrics to the bit, and the values of two topics as far as they can be read.
#[derive(PartialEq)]
struct Outcome {
    learned: Vec<u8>,
    samples: Option<Vec<Vec<u8>>>,
    predictions: Option<Vec<Vec<u8>>>,
}

/// The values of a topic, unless SQLite notices that its pages are damaged.
fn values(rows: &Connection, topic: &str) -> Option<Vec<Vec<u8>>> {
    let mut query = rows.prepare(&format!("SELECT CAST(value AS BLOB) FROM {topic} ORDER BY offset")).ok()?;
    query.query_map([], |row| row.get(0)).ok()?.collect::<Result<_, _>>().ok()
}

/// Runs the daemon on these bytes until it has caught up; what it says where it fails.
async fn run(folder: &Path, name: &str, bytes: &[u8]) -> Result<Outcome, String> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("written");
    let overrides =
        vec![format!("state.path={}", path.display()), "generator.enabled=false".into(), "http.listen=".into()];
    let settings = Settings::load(&Sources::new(None, std::iter::empty(), overrides)).expect("good settings");
    let ended = within("the end", app::run(settings, true, None, Box::pin(std::future::pending()))).await;
    let outcome = ended.map_err(|error| app::chain(&error)).map(|()| {
        let newest = StateReader::open(&path).and_then(|archive| archive.newest("samples", 0, &checkpoints::read));
        let newest = newest.expect("readable").expect("a checkpoint").checkpoint;
        let rows = Connection::open(&path).expect("sqlite");
        Outcome {
            learned: rmp_serde::to_vec_named(&newest.prequential).expect("encoded"),
            samples: values(&rows, "samples"),
            predictions: values(&rows, "predictions"),
        }
    });
    for suffix in ["", "-wal", "-shm", ".lock"] {
        // Not all of them are there.
        let _ = std::fs::remove_file(folder.join(format!("{name}{suffix}")));
    }
    outcome
}

/// Whether what the daemon says helps: it names the file and what to do, and is no defect.
fn helps(said: &str, name: &str) {
    assert!(!said.contains("panicked"), "{said}");
    assert!(said.contains(name) || said.contains("samples"), "{said}");
    let advice = ["put a copy", "move it away", "move the file away", "name another", "raise it", "transport.on_gap"];
    assert!(advice.iter().any(|advice| said.contains(advice)), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_that_flips_anywhere_is_noticed_or_harmless() {
    let site = Workspace::new(&["generator.enabled=false"]);
    let whole = whole(&site);
    let undamaged = run(site.path("").as_path(), "whole.db", &whole).await.expect("undamaged it works");
    let (mut same, mut in_topics, mut noticed) = (0, 0, 0);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..1000 {
        let (byte, bit) = (rng.random_range(0..whole.len()), rng.random_range(0..8));
        let mut damaged = whole.clone();
        damaged[byte] ^= 1 << bit;
        match run(site.path("").as_path(), "damaged.db", &damaged).await {
            Ok(outcome) if outcome == undamaged => same += 1,
            // Rows of topics have no checksum: a sample may say something else now, and a prediction be illegible.
            Ok(outcome) => {
                let sample = outcome.samples != undamaged.samples;
                assert!(outcome.learned == undamaged.learned || sample, "another state, from the same samples: {byte}");
                assert!(sample || outcome.predictions != undamaged.predictions, "{byte}");
                in_topics += 1;
            }
            Err(said) => {
                helps(&said, "damaged.db");
                noticed += 1;
            }
        }
    }
    println!("1000 flips: {same} without effect, {noticed} noticed, {in_topics} in rows of a topic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_cut_off_anywhere_is_noticed_or_harmless() {
    let site = Workspace::new(&["generator.enabled=false"]);
    let whole = whole(&site);
    let mut refused = 0;
    for part in 0..50 {
        let bytes = &whole[..whole.len() * part / 50];
        if let Err(said) = run(site.path("").as_path(), "damaged.db", bytes).await {
            helps(&said, "damaged.db");
            refused += 1;
        }
    }
    assert!(refused > 40, "only {refused} of 50 cut files were refused");
}
