//! The request for a topic's settings, which rskafka lacks.

use std::{
    collections::HashMap,
    io::{Cursor, Write},
};

use rskafka::protocol::{
    api_key::ApiKey,
    api_version::{ApiVersion, ApiVersionRange},
    error::Error as ProtocolError,
    messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType},
    primitives::{Boolean, Int8, Int16, Int32, NullableString, String_},
    traits::{ReadType, WriteType},
};

use super::answer::{Answer, Outcome};

const RETENTION: &str = "retention.ms";
const CLEANUP: &str = "cleanup.policy";
const TIME: &str = "message.timestamp.type";

/// Asks for the settings of a topic that tell how long it keeps records.
pub(crate) struct DescribeConfigs<'a> {
    pub(crate) topic: &'a str,
}

impl RequestBody for DescribeConfigs<'_> {
    type ResponseBody = Configs;
    const API_KEY: ApiKey = ApiKey::DescribeConfigs;
    /// Brokers from Kafka 1.1 to 4 have this version in common.
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(ApiVersion(Int16(1)), ApiVersion(Int16(1)));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ApiVersion(Int16(4));
}

impl<W: Write> WriteVersionedType<W> for DescribeConfigs<'_> {
    fn write_versioned(&self, writer: &mut W, _: ApiVersion) -> Result<(), WriteVersionedError> {
        const TOPIC: Int8 = Int8(2);
        Int32(1).write(writer)?;
        TOPIC.write(writer)?;
        String_(self.topic.to_owned()).write(writer)?;
        let names = [RETENTION, CLEANUP, TIME];
        Int32(names.len() as i32).write(writer)?;
        for name in names {
            String_(name.to_owned()).write(writer)?;
        }
        // Without where else a value might come from.
        Boolean(false).write(writer)?;
        Ok(())
    }
}

/// The settings of a topic.
pub(crate) struct Configs {
    outcome: Outcome,
    values: HashMap<String, String>,
}

impl Configs {
    /// Returns how long the topic keeps records by the time that their producer gives them, in milliseconds; `None` where
    /// it does not delete by that.
    pub(crate) fn retention(&self) -> Option<i64> {
        let value = |name: &str| self.values.get(name).map_or("", String::as_str);
        let deletes = value(CLEANUP).contains("delete") && value(TIME) != "LogAppendTime";
        value(RETENTION).parse().ok().filter(|retention| deletes && *retention >= 0)
    }
}

impl Answer for Configs {
    fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for Configs {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        let throttle = Int32::read(reader)?;
        let outcome = Outcome::new(None::<ProtocolError>, Some(throttle));
        let mut configs = Self { outcome, values: HashMap::new() };
        for _ in 0..Int32::read(reader)?.0 {
            configs.outcome = Outcome::new(ProtocolError::new(Int16::read(reader)?.0), Some(throttle));
            let _message = NullableString::read(reader)?;
            let _kind = Int8::read(reader)?;
            let _topic = String_::read(reader)?;
            for _ in 0..Int32::read(reader)?.0 {
                let (name, value) = (String_::read(reader)?.0, NullableString::read(reader)?.0);
                let _read_only = Boolean::read(reader)?;
                let _source = Int8::read(reader)?;
                let _is_sensitive = Boolean::read(reader)?;
                for _ in 0..Int32::read(reader)?.0 {
                    let _synonym = (String_::read(reader)?, NullableString::read(reader)?, Int8::read(reader)?);
                }
                configs.values.insert(name, value.unwrap_or_default());
            }
        }
        Ok(configs)
    }
}
