//! The state file: how many checkpoints it keeps, and what it does with a damaged one.

use std::{path::Path, sync::Arc};

use rusqlite::Connection;
use thalweg_models::{ModelConfig, ModelKind};
use thalweg_pipeline::{
    checkpoints::{self, Content},
    decode::Schema,
    prequential,
    processor::{self, Processor},
};
use thalweg_store::{Config, Error, StateReader, Store};
use thalweg_topic::{Outbox, record::Record};

fn config(folder: &Path) -> Config {
    Config { path: folder.join("state.db"), keep: 3, ..Config::default() }
}

async fn save(store: &Arc<Store>, partition: i32, position: i64) {
    save_with(store, partition, position, 10).await;
}

/// A window of so many scores, 16 bytes each.
async fn save_with(store: &Arc<Store>, partition: i32, position: i64, window: usize) {
    let config = processor::Config {
        topic: "samples".into(),
        labels: None,
        schema: Schema::default(),
        race: prequential::Config {
            window,
            ..prequential::Config::of(vec![ModelConfig::new("mean", ModelKind::Mean)])
        },
    };
    let mut processor = Processor::new(&config, partition, position, None).0;
    let scored = window as i64 * i64::from(window > 10);
    for offset in position - scored..position {
        let value = Some(format!(r#"{{"x":1,"y":{offset}.5}}"#).into());
        processor
            .process(Record { offset, value, ..Record::default() }, &mut Outbox::default())
            .expect("a good record");
    }
    let checkpoint = processor.checkpoint();
    store.save(Box::new(checkpoint)).await.expect("saved");
}

fn position(store: &Store, partition: i32) -> Option<i64> {
    checkpoints::load(store, "samples", partition).expect("load").map(|checkpoint| checkpoint.position)
}

#[tokio::test]
async fn the_newest_checkpoints_of_each_partition_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(Store::open(&config(folder.path())).expect("open"));
    for at in 1..=5 {
        save(&store, 0, 10 * at).await;
        save(&store, 1, at).await;
    }
    assert_eq!((position(&store, 0), position(&store, 1), position(&store, 2)), (Some(50), Some(5), None));
    drop(store);
    let rows = Connection::open(config(folder.path()).path).expect("sqlite");
    let count = |partition: i32| -> i64 {
        let query = "SELECT count(*) FROM thalweg_checkpoints WHERE partition = ?1";
        rows.query_row(query, [partition], |row| row.get(0)).expect("count")
    };
    assert_eq!((count(0), count(1)), (3, 3));
}

#[tokio::test]
async fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    for damage in [
        "UPDATE thalweg_checkpoints SET state = zeroblob(length(state)) WHERE id = 3",
        "UPDATE thalweg_checkpoints SET state = substr(state, 1, length(state) / 2) WHERE id = 3",
        "UPDATE thalweg_checkpoints SET checksum = checksum + 1 WHERE id >= 3",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Store::open(&config(folder.path())).expect("open"));
        for at in 1..=3 {
            save(&store, 0, at).await;
        }
        drop(store);
        Connection::open(config(folder.path()).path).and_then(|rows| rows.execute(damage, [])).expect("damage");
        let store = Store::open(&config(folder.path())).expect("open again");
        assert_eq!(position(&store, 0), Some(2), "{damage}");
    }
}

#[tokio::test]
async fn a_large_checkpoint_is_kept_in_parts_and_goes_as_a_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let store = Arc::new(Store::open(&config).expect("open"));
    let rows = Connection::open(&config.path).expect("sqlite");
    let parts = || -> Vec<(i64, i64)> {
        let query = "SELECT checkpoint, count(*) FROM thalweg_checkpoint_parts GROUP BY checkpoint ORDER BY checkpoint";
        let mut query = rows.prepare(query).expect("a query");
        let found = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("parts");
        found.collect::<Result<_, _>>().expect("parts")
    };
    for at in 1..=3 {
        save_with(&store, 0, 100_000 * at, 50_000).await;
    }
    let each = parts()[0].1;
    assert!(each >= 2, "{:?}", parts());
    assert_eq!(parts(), [(1, each), (2, each), (3, each)]);
    let archive = StateReader::open(&config.path).expect("open beside the daemon");
    let kept = archive.checkpoints(&Content::read).expect("checkpoints");
    assert!(kept.iter().all(|kept| kept.bytes > 512 << 10 && kept.content.is_ok()));
    let scored = |store: &Store| {
        let found = checkpoints::load(store, "samples", 0).expect("load").expect("a checkpoint");
        (found.position, found.prequential.standings()[0].rolling.n())
    };
    assert_eq!(scored(&store), (300_000, 50_000));
    // Those beyond what is kept leave nothing behind.
    save(&store, 0, 400_000).await;
    assert_eq!(parts(), [(2, each), (3, each)]);
    for (id, damage) in (5..).zip([
        "DELETE FROM thalweg_checkpoint_parts WHERE part = 2",
        "UPDATE thalweg_checkpoint_parts SET part = -part WHERE part < 3",
        "UPDATE thalweg_checkpoint_parts SET state = zeroblob(length(state)) WHERE part = 1",
    ]) {
        save(&store, 0, 500_000).await;
        save_with(&store, 0, 600_000, 50_000).await;
        let newest: i64 =
            rows.query_row("SELECT max(id) FROM thalweg_checkpoints", [], |row| row.get(0)).expect("an id");
        assert_eq!(newest, 2 * id - 4);
        rows.execute(&format!("{damage} AND checkpoint = {newest}"), []).expect("damage");
        assert_eq!(position(&store, 0), Some(500_000), "{damage}");
    }
}

#[tokio::test]
async fn a_reader_sees_the_newest_intact_checkpoint_while_the_file_is_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    assert!(matches!(StateReader::open(&config.path), Err(Error::Missing { .. })));
    let store = Arc::new(Store::open(&config).expect("open"));
    let archive = StateReader::open(&config.path).expect("open beside the daemon");
    assert_eq!(archive.partitions("samples").expect("partitions"), [0_i32; 0]);
    for at in 1..=3 {
        save(&store, 2, at).await;
    }
    save(&store, 0, 7).await;
    assert_eq!(archive.partitions("samples").expect("partitions"), [0, 2]);
    assert!(archive.newest("samples", 1, &checkpoints::read).expect("read").is_none());
    let newest =
        |partition| archive.newest("samples", partition, &checkpoints::read).expect("read").expect("a checkpoint");
    assert_eq!((newest(0).checkpoint.position, newest(2).checkpoint.position), (7, 3));
    let damage = |ids: &str| {
        let rows = Connection::open(&config.path).expect("sqlite");
        rows.execute(&format!("UPDATE thalweg_checkpoints SET state = x'00' WHERE id {ids}"), []).expect("damage");
    };
    damage("= 3");
    assert_eq!((newest(2).checkpoint.position, newest(2).damaged.len()), (2, 1));
    damage("<= 3");
    assert!(matches!(archive.newest("samples", 2, &checkpoints::read), Err(Error::Damaged { partition: 2, .. })));
}
