//! The request for an identity as an idempotent producer (KIP-98), which rskafka lacks.

use std::io::{Cursor, Write};

use rskafka::protocol::{
    api_key::ApiKey,
    api_version::{ApiVersion, ApiVersionRange},
    error::Error as ProtocolError,
    messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType},
    primitives::{Int16, Int32, Int64, NullableString},
    traits::{ReadType, WriteType},
};

use super::{
    answer::{Answer, Outcome},
    header::ProducerId,
};

/// Asks for an identity without transactions.
pub(crate) struct InitProducerId;

impl RequestBody for InitProducerId {
    type ResponseBody = Identity;
    const API_KEY: ApiKey = ApiKey::InitProducerId;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(ApiVersion(Int16(0)), ApiVersion(Int16(1)));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ApiVersion(Int16(2));
}

impl<W: Write> WriteVersionedType<W> for InitProducerId {
    fn write_versioned(&self, writer: &mut W, _: ApiVersion) -> Result<(), WriteVersionedError> {
        NullableString(None).write(writer)?;
        // The timeout of transactions, of which there are none.
        Int32(i32::MAX).write(writer)?;
        Ok(())
    }
}

/// A new identity.
pub(crate) struct Identity {
    outcome: Outcome,
    pub(crate) producer: ProducerId,
}

impl Answer for Identity {
    fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for Identity {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        let throttle = Int32::read(reader)?;
        let outcome = Outcome::new(ProtocolError::new(Int16::read(reader)?.0), Some(throttle));
        let producer = Int64::read(reader)?.0;
        // Always 0: only transactions and renewals have others.
        let _epoch = Int16::read(reader)?;
        Ok(Self { outcome, producer })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_tells_its_error_and_how_long_to_wait() {
        let read = |error: i16| {
            let answer = [&250_i32.to_be_bytes()[..], &error.to_be_bytes(), &7_i64.to_be_bytes(), &[0, 0]].concat();
            Identity::read_versioned(&mut Cursor::new(answer), ApiVersion(Int16(1))).expect("an answer")
        };
        let given = read(0);
        assert_eq!(
            (given.producer, given.outcome.failure, given.outcome.throttle),
            (7, None, Duration::from_millis(250))
        );
        assert_eq!(read(15).outcome.failure, Some(ProtocolError::CoordinatorNotAvailable.into()));
    }
}
