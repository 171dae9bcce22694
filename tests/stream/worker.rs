//! A worker on a transport that does what no real one does on demand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::support::{
    faulty_transport::{FaultyTransport, Published, worker},
    within,
};
use tempfile::TempDir;
use thalweg_pipeline::{gap::Reason, worker};
use thalweg_store::{self, Store};
use thalweg_topic::{Budget, Fetched, record::Record};

fn store(folder: &TempDir) -> Arc<Store> {
    let config = thalweg_store::Config { path: folder.path().join("state.db"), ..thalweg_store::Config::default() };
    Arc::new(Store::open(&config).expect("a state file"))
}

/// There is always a record, and nothing is ever published.
async fn stuck(store: &Arc<Store>, fetches: &Arc<AtomicU64>) -> FaultyTransport {
    let mut transport = FaultyTransport::open(store).await;
    let counted = Arc::clone(fetches);
    transport.on_fetch = Arc::new(move |offset| {
        counted.fetch_add(1, Ordering::Relaxed);
        let record = Record { offset, value: Some(r#"{"x":1,"y":2}"#.into()), ..Record::default() };
        Some(Fetched { records: vec![record], next_offset: offset + 1, high_watermark: i64::MAX, end: i64::MAX })
    });
    transport.published = Published::Nothing;
    transport
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_waits_is_not_outrun() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder);
    let fetches = Arc::new(AtomicU64::new(0));
    let transport = stuck(&store, &fetches).await;
    let work = worker(transport, store, false).run();
    // The clock goes on only when nothing else can.
    tokio::time::timeout(Duration::from_secs(10), work).await.expect_err("nothing is ever published");
    // Of the records one is with the publisher, one has been processed, one is read ahead, and one has come.
    assert_eq!(fetches.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_the_models_is_made_when_it_is_asked_for_and_once_a_second_at_most() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder);
    let fetches = Arc::new(AtomicU64::new(0));
    // The publisher takes nothing, so that the worker waits for it all the time.
    let transport = stuck(&store, &fetches).await;
    let worker = worker(transport, store, false);
    let mut view = worker.gauges.view();
    let work = tokio::spawn(worker.run());
    // The fourth is only fetched once the first has been learned.
    while fetches.load(Ordering::Relaxed) < 4 {
        tokio::task::yield_now().await;
    }
    let first = view.replica().await.expect("a copy").replica;
    assert!(first.position > 0);
    for _ in 0..100 {
        assert!(Arc::ptr_eq(&first, &view.replica().await.expect("a copy").replica));
    }
    // One that is a little old is still good, and has the next one made.
    tokio::time::advance(Duration::from_millis(1500)).await;
    assert!(Arc::ptr_eq(&first, &view.replica().await.expect("a copy").replica));
    let newer = async {
        loop {
            let next = view.replica().await.expect("a copy").replica;
            if !Arc::ptr_eq(&first, &next) {
                break next;
            }
            tokio::task::yield_now().await;
        }
    };
    let second = within("the next copy", newer).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(
        !Arc::ptr_eq(&second, &view.replica().await.expect("a copy").replica),
        "one that is old is not good enough"
    );
    work.abort();
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(view.replica().await.is_none(), "the worker has ended");
}

#[tokio::test(start_paused = true)]
async fn workers_whose_outputs_are_stuck_hold_what_they_may_between_them_and_a_fetch_each() {
    let folders: [TempDir; 3] = std::array::from_fn(|_| tempfile::tempdir().expect("a folder"));
    let fetches = Arc::new(AtomicU64::new(0));
    let budget = Budget::of_bytes(1 << 10);
    let mut workers = Vec::new();
    for folder in &folders {
        let store = store(folder);
        let transport = stuck(&store, &fetches).await;
        let mut worker = worker(transport, store, false);
        worker.budget = budget.clone();
        workers.push(worker.run());
    }
    let work = futures_util::future::join_all(workers);
    tokio::time::timeout(Duration::from_secs(10), work).await.expect_err("nothing is ever published");
    // Each has one that it may hold, since it holds nothing else, and has fetched the next, which waits.
    assert_eq!(fetches.load(Ordering::Relaxed), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_come_while_it_catches_up_are_left_for_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder);
    for end in [30, 100] {
        let transport = FaultyTransport::open(&store).await;
        if end == 30 {
            transport.fill(100).await;
        }
        transport.end.store(end, Ordering::Relaxed);
        let work = worker(transport, Arc::clone(&store), true).run();
        within("the end", work).await.expect("caught up");
        let checkpoint =
            thalweg_pipeline::checkpoints::load(&store, "samples", 0).expect("readable").expect("a checkpoint");
        assert_eq!((checkpoint.position, checkpoint.records), (end, end as u64));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_publish_of_records_that_came_while_it_starts_is_no_sign_of_a_shorter_topic() {
    for comes in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(&folder);
        let mut transport = FaultyTransport::open(&store).await;
        transport.fill(100).await;
        transport.end.store(30, Ordering::Relaxed);
        let end = Arc::clone(&transport.end);
        transport.on_resume = Arc::new(move || {
            if comes {
                end.store(100, Ordering::Relaxed);
            }
            60
        });
        let work = worker(transport, store, true).run();
        let ended = within("the end", work).await;
        if comes {
            ended.expect("caught up");
        } else {
            let lost = matches!(&ended, Err(worker::Error::Gap { gap, .. }) if gap.reason == Reason::Truncated);
            assert!(lost, "{ended:?}");
        }
    }
}
