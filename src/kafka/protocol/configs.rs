//! The request for topics' settings, which rskafka lacks.

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

use super::answer::{Answer, Failure, Outcome};

pub(crate) const CLEANUP_POLICY: &str = "cleanup.policy";
pub(crate) const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
pub(crate) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
pub(crate) const RETENTION: &str = "retention.ms";
pub(crate) const TIMESTAMP_TYPE: &str = "message.timestamp.type";

/// Values of `cleanup.policy`, of which a topic may have both.
pub(crate) const DELETE: &str = "delete";
const COMPACT: &str = "compact";
/// Values of `message.timestamp.type`.
pub(crate) const CREATE_TIME: &str = "CreateTime";
const LOG_APPEND_TIME: &str = "LogAppendTime";

/// Asks for the settings of topics, as far as they can hurt.
pub(crate) struct DescribeConfigs<'a> {
    pub(crate) topics: &'a [&'a str],
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
        Int32(self.topics.len() as i32).write(writer)?;
        for topic in self.topics {
            TOPIC.write(writer)?;
            String_((*topic).to_owned()).write(writer)?;
            let names = [CLEANUP_POLICY, MAX_MESSAGE_BYTES, MIN_INSYNC_REPLICAS, RETENTION, TIMESTAMP_TYPE];
            Int32(names.len() as i32).write(writer)?;
            for name in names {
                String_(name.to_owned()).write(writer)?;
            }
        }
        // With the values that a topic without settings of its own would have.
        Boolean(true).write(writer)?;
        Ok(())
    }
}

/// An answer about topics.
pub(crate) struct Configs {
    throttle: Int32,
    /// By topic.
    pub(crate) topics: HashMap<String, Result<TopicSettings, Failure>>,
}

impl Answer for Configs {
    /// Returns no error: each topic has one of its own.
    fn outcome(&self) -> Outcome {
        Outcome::new(None::<ProtocolError>, Some(self.throttle))
    }
}

/// The settings of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicSettings {
    /// The values that count for the topic.
    pub(crate) own: Values,
    /// The values that a new topic would have.
    pub(crate) of_new_topics: Values,
}

/// Values of settings by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values(HashMap<&'static str, String>);

impl Values {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// Returns how long records are kept, in milliseconds; `None` where none is deleted for its age.
    pub(crate) fn retention(&self) -> Option<i64> {
        let deletes = self.get(CLEANUP_POLICY).is_some_and(|policy| policy.contains(DELETE));
        self.number(RETENTION).filter(|retention| deletes && *retention >= 0)
    }

    /// Says whether of the records with the same key only the latest stays, and one without a key is refused.
    pub(crate) fn is_compacted(&self) -> bool {
        self.get(CLEANUP_POLICY).is_some_and(|policy| policy.contains(COMPACT))
    }

    /// Says whether the broker puts its own time in the place of a producer's.
    pub(crate) fn has_broker_times(&self) -> bool {
        self.get(TIMESTAMP_TYPE) == Some(LOG_APPEND_TIME)
    }

    /// Returns the bytes that a batch may have.
    pub(crate) fn max_message_bytes(&self) -> Option<usize> {
        self.number(MAX_MESSAGE_BYTES)?.try_into().ok()
    }

    /// Returns the copies that must have a record before it counts as written.
    pub(crate) fn min_insync_replicas(&self) -> Option<i64> {
        self.number(MIN_INSYNC_REPLICAS)
    }

    #[cfg(test)]
    pub(crate) fn of(values: &[(&'static str, &str)]) -> Self {
        Self(values.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for Configs {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        let mut configs = Self { throttle: Int32::read(reader)?, topics: HashMap::new() };
        for _ in 0..Int32::read(reader)?.0 {
            let code = ProtocolError::new(Int16::read(reader)?.0);
            let message = NullableString::read(reader)?.0;
            let _kind = Int8::read(reader)?;
            let topic = String_::read(reader)?.0;
            let mut settings = TopicSettings::default();
            for _ in 0..Int32::read(reader)?.0 {
                let (name, value) = (String_::read(reader)?.0, NullableString::read(reader)?.0);
                let _read_only = Boolean::read(reader)?;
                let _source = Int8::read(reader)?;
                let _is_sensitive = Boolean::read(reader)?;
                let mut of_new_topics = None;
                for _ in 0..Int32::read(reader)?.0 {
                    const OF_THE_TOPIC: Int8 = Int8(1);
                    let (name, value) = (String_::read(reader)?.0, NullableString::read(reader)?.0);
                    if Int8::read(reader)? != OF_THE_TOPIC {
                        of_new_topics = of_new_topics.or(value.and_then(|value| in_unit_of_topics(&name, value)));
                    }
                }
                let known = [CLEANUP_POLICY, MAX_MESSAGE_BYTES, MIN_INSYNC_REPLICAS, RETENTION, TIMESTAMP_TYPE];
                if let Some(name) = known.into_iter().find(|known| *known == name) {
                    settings.own.0.extend(value.map(|value| (name, value)));
                    settings.of_new_topics.0.extend(of_new_topics.map(|value| (name, value)));
                }
            }
            let described = code.map_or(Ok(settings), |code| Err(Failure { code, message }));
            configs.topics.insert(topic, described);
        }
        Ok(configs)
    }
}

/// Brokers say how long they keep records in milliseconds, minutes or hours, by the setting's name.
fn in_unit_of_topics(name: &str, value: String) -> Option<String> {
    let unit = match name.rsplit('.').next() {
        Some("minutes") => 60_000,
        Some("hours") => 3_600_000,
        _ => return Some(value),
    };
    value.parse::<i64>().ok().map(|value| if value < 0 { value } else { value.saturating_mul(unit) }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_that_is_not_the_topic_s_own_is_that_of_new_topics_in_milliseconds() {
        for (synonyms, expected) in [
            (vec![("retention.ms", "5", 1), ("log.retention.ms", "70", 4)], Some(70)),
            (vec![("retention.ms", "5", 1), ("log.retention.hours", "168", 5)], Some(604_800_000)),
            (vec![("log.retention.minutes", "2", 4), ("log.retention.hours", "168", 5)], Some(120_000)),
            (vec![("log.retention.minutes", "-1", 4)], None),
            (vec![], None),
        ] {
            let mut answer = Vec::new();
            let text = |text: &str, answer: &mut Vec<u8>| String_(text.to_owned()).write(answer).expect("room");
            answer.extend([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 2]);
            text("t", &mut answer);
            answer.extend(2_i32.to_be_bytes());
            for (name, value, synonyms) in [
                ("retention.ms", "5", synonyms),
                ("cleanup.policy", "delete", vec![("log.cleanup.policy", "delete", 5)]),
            ] {
                text(name, &mut answer);
                text(value, &mut answer);
                answer.extend([0, 1, 0]);
                answer.extend((synonyms.len() as i32).to_be_bytes());
                for (name, value, source) in synonyms {
                    text(name, &mut answer);
                    text(value, &mut answer);
                    answer.push(source);
                }
            }
            let read = Configs::read_versioned(&mut Cursor::new(answer), ApiVersion(Int16(1))).expect("an answer");
            let settings = read.topics["t"].as_ref().expect("settings");
            assert_eq!((settings.own.retention(), settings.of_new_topics.retention()), (Some(5), expected));
        }
    }
}
