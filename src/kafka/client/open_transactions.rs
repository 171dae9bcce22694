//! Who has a transaction open in a partition.

use super::{fault::Try, partition::Partition};
use crate::protocol::{DescribeProducers, ProducerId};

/// Returns the first offset of each transaction that is open in a partition, with its producer.
pub(crate) async fn open_transactions(partition: &Partition) -> Try<Vec<(i64, ProducerId)>> {
    let (topic, number) = (partition.topic(), partition.partition());
    let action = format!("asking who writes to `{topic}`/{number}");
    let request = DescribeProducers { topic, partition: number };
    Ok(partition.at_leader(async |leader| leader.broker.call(&action, request).await).await?.open)
}
