//! The state file: how many checkpoints it keeps, and what it does with a damaged one.

use std::{path::Path, sync::Arc};

use rusqlite::Connection;
use thalweg::{
    models::{ModelConfig, ModelKind},
    pipeline::{
        archive::Archive,
        decode::Schema,
        prequential,
        processor::{self, Processor},
        store::{Config, Error, Store},
    },
};

fn config(folder: &Path) -> Config {
    Config { path: folder.join("state.db"), keep: 3, ..Config::default() }
}

async fn save(store: &Arc<Store>, partition: i32, position: i64) {
    let config = processor::Config {
        topic: "samples".into(),
        schema: Schema::default(),
        race: prequential::Config {
            window: 10,
            ..prequential::Config::of(vec![ModelConfig::new("mean", ModelKind::Mean)])
        },
    };
    let checkpoint = Processor::new(&config, partition, position, None).0.checkpoint();
    store.save(Box::new(checkpoint)).await.expect("saved");
}

fn position(store: &Store, partition: i32) -> Option<i64> {
    store.load("samples", partition).expect("load").map(|checkpoint| checkpoint.position)
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
async fn a_reader_sees_the_newest_intact_checkpoint_while_the_file_is_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    assert!(matches!(Archive::open(&config.path), Err(Error::Missing { .. })));
    let store = Arc::new(Store::open(&config).expect("open"));
    let archive = Archive::open(&config.path).expect("open beside the daemon");
    assert_eq!(archive.partitions("samples").expect("partitions"), [0_i32; 0]);
    for at in 1..=3 {
        save(&store, 2, at).await;
    }
    save(&store, 0, 7).await;
    assert_eq!(archive.partitions("samples").expect("partitions"), [0, 2]);
    assert!(archive.newest("samples", 1).expect("read").is_none());
    let newest = |partition| archive.newest("samples", partition).expect("read").expect("a checkpoint");
    assert_eq!((newest(0).checkpoint.position, newest(2).checkpoint.position), (7, 3));
    let damage = |ids: &str| {
        let rows = Connection::open(&config.path).expect("sqlite");
        rows.execute(&format!("UPDATE thalweg_checkpoints SET state = x'00' WHERE id {ids}"), []).expect("damage");
    };
    damage("= 3");
    assert_eq!((newest(2).checkpoint.position, newest(2).damaged.len()), (2, 1));
    damage("<= 3");
    assert!(matches!(archive.newest("samples", 2), Err(Error::Damaged { partition: 2, .. })));
}
