//! The request for who writes to a partition (KIP-664), which rskafka lacks. Brokers since Kafka 2.8 answer it.

use std::io::{Cursor, Write};

use rskafka::protocol::{
    api_key::ApiKey,
    api_version::{ApiVersion, ApiVersionRange},
    error::Error as ProtocolError,
    messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType},
    primitives::{
        CompactArrayRef, CompactNullableString, CompactString, CompactStringRef, Int16, Int32, Int64, TaggedFields,
        UnsignedVarint,
    },
    traits::{ReadError, ReadType, WriteType},
};

use super::{
    answer::{Answer, Outcome},
    header::ProducerId,
};

/// Asks the leader of a partition which producers write to it.
pub(crate) struct DescribeProducers<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
}

impl RequestBody for DescribeProducers<'_> {
    type ResponseBody = Producers;
    const API_KEY: ApiKey = ApiKey::DescribeProducers;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(ApiVersion(Int16(0)), ApiVersion(Int16(0)));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ApiVersion(Int16(0));
}

impl<W: Write> WriteVersionedType<W> for DescribeProducers<'_> {
    fn write_versioned(&self, writer: &mut W, _: ApiVersion) -> Result<(), WriteVersionedError> {
        // Lists count one more than they hold: one topic, one partition.
        UnsignedVarint(2).write(writer)?;
        CompactStringRef(self.topic).write(writer)?;
        CompactArrayRef(Some(&[Int32(self.partition)])).write(writer)?;
        TaggedFields::default().write(writer)?;
        TaggedFields::default().write(writer)?;
        Ok(())
    }
}

/// The producers that write to a partition.
#[derive(Debug)]
pub(crate) struct Producers {
    outcome: Outcome,
    /// The first offset of each open transaction, with its producer.
    pub(crate) open: Vec<(i64, ProducerId)>,
}

impl Answer for Producers {
    fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for Producers {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        let throttle = Int32::read(reader)?;
        let mut producers = Self { outcome: Outcome::new(None::<ProtocolError>, Some(throttle)), open: Vec::new() };
        for _ in 0..length(reader)? {
            let _topic = CompactString::read(reader)?;
            for _ in 0..length(reader)? {
                let _partition = Int32::read(reader)?;
                producers.outcome = Outcome::new(ProtocolError::new(Int16::read(reader)?.0), Some(throttle));
                let _message = CompactNullableString::read(reader)?;
                for _ in 0..length(reader)? {
                    let producer = Int64::read(reader)?.0;
                    let _epoch_and_sequence = (Int32::read(reader)?, Int32::read(reader)?);
                    let _time_and_coordinator = (Int64::read(reader)?, Int32::read(reader)?);
                    let first = Int64::read(reader)?.0;
                    producers.open.extend((first >= 0).then_some((first, producer)));
                    TaggedFields::read(reader)?;
                }
                TaggedFields::read(reader)?;
            }
            TaggedFields::read(reader)?;
        }
        TaggedFields::read(reader)?;
        Ok(producers)
    }
}

/// Reads the length of a list.
fn length(reader: &mut Cursor<Vec<u8>>) -> Result<u64, ReadError> {
    Ok(UnsignedVarint::read(reader)?.0.saturating_sub(1))
}
