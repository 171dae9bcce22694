//! The transport conformance suite on the embedded transport, and what only that one promises.

use std::{path::PathBuf, sync::Arc};

use crate::conformance::{Place, all_of_them};
use tempfile::TempDir;
use thalweg_embedded::{Config, Embedded};
use thalweg_store::{self, Store};
use thalweg_topic::{Error, NotTaken, Opening, Reader as _, SampleLog as _, Source as _, Topics, record::Outgoing};

struct StateFile {
    store: Arc<Store>,
    _folder: TempDir,
}

async fn state_file(_: &str) -> StateFile {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&config(&folder)).expect("a state file");
    StateFile { store: Arc::new(store), _folder: folder }
}

fn config(folder: &TempDir) -> thalweg_store::Config {
    thalweg_store::Config { path: path(folder), ..thalweg_store::Config::default() }
}

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("state.db")
}

impl Place for StateFile {
    type Transport = Embedded;

    fn topics(&self) -> Topics {
        Topics::default()
    }

    fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    async fn open(&self, topics: Topics) -> Result<Embedded, Error> {
        Embedded::open(Config::default(), topics, self.store(), &Opening::to_generate()).await
    }
}

all_of_them!(state_file);

#[test]
fn a_second_process_on_the_state_file_is_refused_and_told_which_is_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Store::open(&config(&folder)).expect("the first");
    match Store::open(&config(&folder)) {
        Err(thalweg_store::Error::InUse { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
        other => panic!("expected a refusal, got {other:?}"),
    }
    drop(first);
    Store::open(&config(&folder)).expect("free again");
}

#[test]
fn a_state_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Store::open(&config(&folder)).expect("a state file"));
    let newer = rusqlite::Connection::open(path(&folder)).expect("sqlite");
    newer.execute("UPDATE thalweg_meta SET value = 999 WHERE name = 'format'", []).expect("update");
    assert!(matches!(Store::open(&config(&folder)), Err(thalweg_store::Error::Newer { found: 999, .. })));
}

#[tokio::test]
async fn cells_that_were_written_by_hand_are_each_read_as_what_they_print_as() {
    let place = state_file("").await;
    let transport = place.open(Topics::default()).await.expect("open");
    let by_hand = rusqlite::Connection::open(place.store.path()).expect("sqlite");
    let rows = [
        (r#"1, 'a', '{"y":1}', NULL"#, (1, Some(&b"a"[..]), Some(&br#"{"y":1}"#[..]))),
        ("2, NULL, NULL, NULL", (2, None, None)),
        ("'noon', 7, 0.5, 'no headers'", (0, Some(b"7"), Some(b"0.5"))),
        ("4, '', x'', NULL", (4, Some(b""), Some(b""))),
        ("5.9, x'00ff', 'last', NULL", (5, Some(b"\x00\xff"), Some(b"last"))),
    ];
    for (offset, (cells, _)) in rows.iter().enumerate() {
        by_hand.execute(&format!("INSERT INTO samples VALUES (0, {offset}, {cells})"), []).expect("a row");
    }
    let fetched =
        transport.reader(&place.topics().samples, 0).await.expect("a reader").fetch(0).await.expect("records");
    let found = fetched.records.iter().map(|record| (record.timestamp, record.key.as_deref(), record.value.as_deref()));
    assert_eq!(found.collect::<Vec<_>>(), rows.map(|(_, read)| read));
    assert!(fetched.records.iter().all(|record| record.headers.is_empty()));
}

#[tokio::test]
async fn samples_for_which_there_is_no_room_are_not_taken() {
    let place = state_file("").await;
    let config = Config { retention_records: 10, ..Config::default() };
    let transport = Embedded::open(config, Topics::default(), place.store(), &Opening::default()).await.expect("open");
    let samples = |count| vec![Outgoing { value: Some(b"{}".to_vec()), ..Outgoing::default() }; count];
    assert!(matches!(
        transport.take_samples(0, samples(11)).await,
        Err(NotTaken::TooLarge { size: 11, limit: 10, .. })
    ));
    assert_eq!(transport.take_samples(0, samples(6)).await.expect("room"), Some(0));
    // Nobody processes them.
    assert!(matches!(transport.take_samples(0, samples(5)).await, Err(NotTaken::Full { waiting: 6, limit: 10 })));
    assert_eq!(transport.take_samples(0, samples(4)).await.expect("room"), Some(6));
    let held = transport.reader("samples", 0).await.expect("a reader").range().await.expect("a range");
    assert_eq!(held, 0..10);
}
