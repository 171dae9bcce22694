//! The first question to a broker: which requests it knows, in which versions.
//!
//! The client library asks this again for as long as a broker throttles it, which is as long as this client is over a quota; here
//! it is asked once, and how long the broker wants to be left alone is handed on as with every other answer.

use std::{collections::HashMap, time::Duration};

use rskafka::{
    client::error::RequestError,
    messenger::Messenger,
    protocol::{
        api_key::ApiKey,
        api_version::{ApiVersion, ApiVersionRange},
        messages::{ApiVersionsRequest, RequestBody},
        primitives::{CompactString, Int16, TaggedFields},
    },
};
use tokio::io::{AsyncRead, AsyncWrite};

/// Asks, in the newest version that the broker answers, and lets the messenger choose by that from then on. Returns for how long
/// the broker asks to be left alone.
///
/// # Errors
/// When there is no answer, or none in a version that we know.
pub(super) async fn agree<S>(messenger: &mut Messenger<S>) -> Result<Duration, RequestError>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let known = ApiVersionsRequest::API_VERSION_RANGE;
    for newest in (known.min().0.0..=known.max().0.0).rev() {
        let range = ApiVersionRange::new(known.min(), ApiVersion(Int16(newest)));
        messenger.override_version_ranges(HashMap::from([(ApiKey::ApiVersions, range)]));
        let request = ApiVersionsRequest {
            client_software_name: Some(CompactString("thalweg".to_owned())),
            client_software_version: Some(CompactString(env!("CARGO_PKG_VERSION").to_owned())),
            tagged_fields: Some(TaggedFields::default()),
        };
        let answer = match messenger.request(request).await {
            Ok(answer) if answer.error_code.is_none() => answer,
            // The broker answers a version that it does not know in the oldest one, with an error.
            Ok(_)
            | Err(
                RequestError::ReadError(_) | RequestError::ReadVersionedError(_) | RequestError::TooMuchData { .. },
            ) => continue,
            Err(error) => return Err(error),
        };
        let ranges = answer.api_keys.iter().filter(|found| found.min_version <= found.max_version);
        let ranges = ranges.map(|found| (found.api_key, ApiVersionRange::new(found.min_version, found.max_version)));
        messenger.override_version_ranges(ranges.collect());
        let milliseconds = answer.throttle_time_ms.map_or(0, |time| time.0);
        return Ok(Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0)));
    }
    Err(RequestError::NoVersionMatch { api_key: ApiKey::ApiVersions })
}
