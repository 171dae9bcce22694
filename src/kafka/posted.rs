//! Samples of programs that have no access to Kafka, in one batch each time.
//!
//! Invariant: a batch is sent under an identity of its own, by which one lands, so that it is tried again within its time and is
//! there once or not at all. Where no try was answered in time it may be either, and the caller is told so.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    client::{Fault, Partition, producer},
    shared::Shared,
};
use thalweg_topic::{Error, NotTaken, record::Outgoing};

/// Time for a batch.
const DEADLINE: Duration = Duration::from_secs(5);
/// Wait between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// Appends samples to a partition as one batch.
pub(super) async fn append(
    shared: &Arc<Shared>,
    partition: i32,
    samples: Vec<Outgoing>,
) -> Result<Option<i64>, NotTaken> {
    let count = shared.sample_partitions_now.load(Ordering::Relaxed);
    if !(0..count).contains(&partition) {
        return Err(NotTaken::Partition { partition, count });
    }
    let (bytes, limit) = (samples.iter().map(Outgoing::size).sum(), shared.sample_batch_bytes.load(Ordering::Relaxed));
    let too_large = || NotTaken::TooLarge { size: bytes, limit, unit: "bytes" };
    if bytes > limit {
        return Err(too_large());
    }
    let Shared { cluster, topics, closing, .. } = &**shared;
    let handle = Partition::new(cluster, &topics.samples, partition);
    let mut sent = false;
    let send = async {
        let id = producer::identity(cluster, &topics.samples, partition).await.map_err(Error::from)?;
        loop {
            sent = true;
            let problem = match producer::once(&handle, id, samples.clone()).await {
                Ok(offset) => return Ok(offset),
                Err(Fault::Permanent(refusal)) => return Err(NotTaken::Failed(refusal.into())),
                Err(Fault::TooLarge) => return Err(too_large()),
                Err(fault) => fault,
            };
            tracing::debug!(event = "samples_not_taken", partition, ?problem, "posted samples are sent again");
            tokio::time::sleep(PAUSE).await;
        }
    };
    let late = |sent: bool, problem: String| {
        // Without a try there is nothing that could land.
        if sent { NotTaken::Unknown(problem) } else { NotTaken::Failed(Error::Interrupted { partition, problem }) }
    };
    tokio::select! {
        ended = timeout(DEADLINE, send) => match ended {
            Ok(ended) => ended,
            Err(_) => Err(late(sent, format!("the broker has not acknowledged them within {} s", DEADLINE.as_secs()))),
        },
        () = closing.cancelled() => Err(late(sent, "the daemon stops".to_owned())),
    }
}
