//! A partition over a connection of its own that holds nothing back. rskafka's client leaves Nagle's algorithm on: a
//! request that follows another within its round trip waits for the acknowledgement, which made up most of what came
//! late in the live runs, before the daemon had seen it.

use std::time::{Duration, SystemTime};

use rskafka::{
    messenger::Messenger,
    protocol::{
        messages::{
            FetchRequest, FetchRequestPartition, FetchRequestTopic, IsolationLevel, NORMAL_CONSUMER, ProduceRequest,
            ProduceRequestPartitionData, ProduceRequestTopicData,
        },
        primitives::{Int16, Int32, Int64, NullableString, Records, String_},
        record::{ControlBatchOrRecords, Record, RecordBatch, RecordBatchCompression, RecordBatchTimestampType},
    },
};
use tokio::{io::BufStream, net::TcpStream};

/// Largest answer that is read.
const MAX_BYTES: usize = 64 << 20;
/// Of a produce request, in milliseconds.
const DEADLINE: i32 = 30_000;

/// Partition 0 of a topic at the only broker.
pub(crate) struct Line {
    messenger: Messenger<BufStream<TcpStream>>,
    topic: String,
}

impl Line {
    pub(crate) async fn open(broker: &str, topic: &str) -> Self {
        let socket = TcpStream::connect(broker).await.expect("the broker answers");
        socket.set_nodelay(true).expect("a socket");
        let mut messenger = Messenger::new(BufStream::new(socket), MAX_BYTES, "bench".into());
        messenger.sync_versions().await.expect("versions in common");
        Self { messenger, topic: topic.to_owned() }
    }

    /// Appends records with these values; the offset of the first.
    pub(crate) async fn produce(&self, values: Vec<Vec<u8>>) -> i64 {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as i64);
        let record = |(offset_delta, value)| Record {
            timestamp_delta: 0,
            offset_delta,
            key: None,
            value: Some(value),
            headers: Vec::new(),
        };
        let batch = RecordBatch {
            base_offset: 0,
            partition_leader_epoch: 0,
            last_offset_delta: values.len() as i32 - 1,
            first_timestamp: now,
            max_timestamp: now,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            records: ControlBatchOrRecords::Records((0..).zip(values).map(record).collect()),
            compression: RecordBatchCompression::NoCompression,
            is_transactional: false,
            timestamp_type: RecordBatchTimestampType::CreateTime,
        };
        let partition_data = vec![ProduceRequestPartitionData { index: Int32(0), records: Records(vec![batch]) }];
        let request = ProduceRequest {
            transactional_id: NullableString(None),
            acks: Int16(-1),
            timeout_ms: Int32(DEADLINE),
            topic_data: vec![ProduceRequestTopicData { name: String_(self.topic.clone()), partition_data }],
        };
        let answer = self.messenger.request(request).await.expect("produced");
        let answer = &answer.responses[0].partition_responses[0];
        assert!(answer.error.is_none(), "{:?}", answer.error);
        answer.base_offset.0
    }

    /// Offsets and values from `offset` on, after `wait` at most, or as soon as there are `least` bytes.
    pub(crate) async fn fetch(&self, offset: i64, least: i32, wait: Duration) -> Vec<(i64, Vec<u8>)> {
        let bytes = Int32(4 << 20);
        let partition =
            FetchRequestPartition { partition: Int32(0), fetch_offset: Int64(offset), partition_max_bytes: bytes };
        let request = FetchRequest {
            replica_id: NORMAL_CONSUMER,
            max_wait_ms: Int32(wait.as_millis() as i32),
            min_bytes: Int32(least),
            max_bytes: Some(bytes),
            isolation_level: Some(IsolationLevel::ReadUncommitted),
            topics: vec![FetchRequestTopic { topic: String_(self.topic.clone()), partitions: vec![partition] }],
        };
        let answer = self.messenger.request(request).await.expect("fetched");
        let partition = answer.responses.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
        let partition = partition.expect("the partition");
        assert!(partition.error_code.is_none(), "{:?}", partition.error_code);
        let mut found = Vec::new();
        for batch in partition.records.0 {
            let ControlBatchOrRecords::Records(records) = batch.records else { continue };
            let at =
                |record: Record| (batch.base_offset + i64::from(record.offset_delta), record.value.unwrap_or_default());
            // A batch comes as a whole.
            found.extend(records.into_iter().map(at).filter(|(at, _)| *at >= offset));
        }
        found
    }
}
