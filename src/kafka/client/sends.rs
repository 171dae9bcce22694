//! Batches on their way to one broker, over one connection for all partitions.
//!
//! Invariant: the batches of a partition reach the broker in the order in which they were handed over, one in a request;
//! when the connection fails nothing more goes over it, so that whoever has a batch on it looks what has landed.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesOrdered};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::{
    access::Access,
    connection::Connection,
    fault::{Fault, Try},
    slot::Reusable,
};
use crate::protocol::{Buffers, Parcel, Produce};

/// Batches that wait to be taken up; more wait with whoever brings them.
const MAX_WAITING: usize = 1_024;

/// The way of batches to a broker.
#[derive(Debug)]
pub(crate) struct Sends {
    connection: Arc<Connection>,
    waiting: mpsc::Sender<Waiting>,
    buffers: Arc<Buffers>,
    _task: AbortOnDropHandle<()>,
}

/// A batch, and whoever waits for its offset.
#[derive(Debug)]
struct Waiting {
    parcel: Parcel,
    waits: oneshot::Sender<Try<i64>>,
}

impl Reusable for Sends {
    fn is_open(&self) -> bool {
        self.connection.is_open()
    }
}

impl Sends {
    pub(super) fn new(access: &Arc<Access>, connection: Connection) -> Self {
        let connection = Arc::new(connection);
        let (waiting, parcels) = mpsc::channel(MAX_WAITING);
        let buffers = Arc::default();
        let task = send_all(Arc::clone(access), Arc::clone(&connection), Arc::clone(&buffers), parcels);
        Self { connection, waiting, buffers, _task: AbortOnDropHandle::new(tokio::spawn(task)) }
    }

    /// Returns an empty buffer for a batch.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.buffers.take()
    }

    /// Appends a batch and returns the offset of its first record. Batches go in the order in which these futures are first
    /// polled; one that is dropped before its batch has gone takes it back.
    pub(crate) async fn append(&self, parcel: Parcel) -> Try<i64> {
        let (waits, appended) = oneshot::channel();
        let closed = || Fault::transient("the connection has ended");
        self.waiting.send(Waiting { parcel, waits }).await.map_err(|_| closed())?;
        appended.await.unwrap_or_else(|_| Err(closed()))
    }
}

/// Sends what comes until nobody brings any more, or the connection fails: who waits then is told by the closed channel.
async fn send_all(
    access: Arc<Access>,
    connection: Arc<Connection>,
    buffers: Arc<Buffers>,
    mut parcels: mpsc::Receiver<Waiting>,
) {
    let in_flight = access.config().in_flight;
    let mut waiting: VecDeque<Waiting> = VecDeque::new();
    let mut under_way: FuturesOrdered<_> = FuturesOrdered::new();
    while connection.is_open() {
        while under_way.len() < in_flight
            && let Some(together) = take(&mut waiting, access.config().max_batch_bytes)
        {
            under_way.push_back(send(&access, &connection, &buffers, together));
        }
        let mut came = Vec::new();
        let room = MAX_WAITING.saturating_sub(waiting.len());
        tokio::select! {
            biased;
            Some(()) = under_way.next() => {}
            count = parcels.recv_many(&mut came, room), if room > 0 => {
                if count == 0 {
                    break;
                }
                waiting.extend(came);
            }
        }
    }
    while under_way.next().await.is_some() {}
}

/// Takes from the front what one request may hold: one batch of a partition, and no more than `max_bytes` but for a single
/// batch. Leaves out what nobody waits for any more.
fn take(waiting: &mut VecDeque<Waiting>, max_bytes: usize) -> Option<Vec<Waiting>> {
    let (mut taken, mut left) = (Vec::new(), VecDeque::new());
    let (mut bytes, mut seen) = (0, HashSet::new());
    for one in waiting.drain(..).filter(|one| !one.waits.is_closed()) {
        let is_first = seen.insert((Arc::clone(&one.parcel.topic), one.parcel.partition));
        if is_first && (taken.is_empty() || bytes + one.parcel.batch.len() <= max_bytes) {
            bytes += one.parcel.batch.len();
            taken.push(one);
        } else {
            left.push_back(one);
        }
    }
    *waiting = left;
    (!taken.is_empty()).then_some(taken)
}

async fn send(access: &Access, connection: &Connection, buffers: &Buffers, mut together: Vec<Waiting>) {
    together.sort_by(|a, b| a.parcel.topic.cmp(&b.parcel.topic));
    let (parcels, waits): (Vec<Parcel>, Vec<_>) = together.into_iter().map(|one| (one.parcel, one.waits)).unzip();
    let partitions: Vec<_> = parcels.iter().map(|parcel| (Arc::clone(&parcel.topic), parcel.partition)).collect();
    let request = Produce::new(access.config().request_timeout, parcels, buffers);
    let answer = connection.call("producing", Duration::ZERO, request).await;
    let appended: Vec<Try<i64>> = match &answer {
        Ok(answer) => (partitions.iter().zip(Produce::answers(&partitions, answer)))
            .map(|((topic, partition), appended)| {
                let action = || format!("producing to `{topic}`/{partition}");
                match appended.map(|appended| (appended.error, appended.base_offset)) {
                    Some((None, offset)) => Ok(offset.0),
                    Some((Some(code), _)) => Err(Fault::of_answer(&action(), code.into())),
                    None => Err(Fault::transient(format!("{}: the broker acknowledged nothing", action()))),
                }
            })
            .collect(),
        Err(fault) => partitions.iter().map(|_| Err(fault.clone())).collect(),
    };
    for (waits, appended) in waits.into_iter().zip(appended) {
        // Whoever waited may have gone.
        let _ = waits.send(appended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(parcels: &[(&str, i32, usize)]) -> (VecDeque<Waiting>, Vec<oneshot::Receiver<Try<i64>>>) {
        let one = |(topic, partition, bytes): &(&str, i32, usize)| {
            let (waits, appended) = oneshot::channel();
            let parcel = Parcel { topic: (*topic).into(), partition: *partition, batch: vec![0; *bytes] };
            (Waiting { parcel, waits }, appended)
        };
        parcels.iter().map(one).unzip()
    }

    fn taken(waiting: &mut VecDeque<Waiting>) -> Vec<(String, i32, usize)> {
        let of = |one: Waiting| (one.parcel.topic.to_string(), one.parcel.partition, one.parcel.batch.len());
        take(waiting, 100).into_iter().flatten().map(of).collect()
    }

    #[test]
    fn a_request_holds_one_batch_of_each_partition_and_the_rest_follows_in_order() {
        let (mut waiting, _receivers) =
            waiting(&[("p", 0, 10), ("p", 0, 11), ("p", 1, 12), ("e", 0, 13), ("p", 0, 14)]);
        assert_eq!(taken(&mut waiting), [("p".into(), 0, 10), ("p".into(), 1, 12), ("e".into(), 0, 13)]);
        assert_eq!(taken(&mut waiting), [("p".into(), 0, 11)]);
        assert_eq!(taken(&mut waiting), [("p".into(), 0, 14)]);
        assert_eq!(taken(&mut waiting), []);
    }

    #[test]
    fn a_batch_that_has_no_room_holds_back_those_of_its_partition_that_follow() {
        let (mut waiting, _receivers) =
            waiting(&[("p", 0, 60), ("p", 1, 60), ("p", 1, 1), ("p", 2, 40), ("p", 3, 900)]);
        assert_eq!(taken(&mut waiting), [("p".into(), 0, 60), ("p".into(), 2, 40)]);
        assert_eq!(taken(&mut waiting), [("p".into(), 1, 60)]);
        assert_eq!(taken(&mut waiting), [("p".into(), 1, 1)]);
        assert_eq!(taken(&mut waiting), [("p".into(), 3, 900)]);
    }

    #[test]
    fn what_nobody_waits_for_is_not_sent() {
        let (mut waiting, mut receivers) = waiting(&[("p", 0, 10), ("p", 1, 11)]);
        drop(receivers.remove(0));
        assert_eq!(taken(&mut waiting), [("p".into(), 1, 11)]);
    }
}
