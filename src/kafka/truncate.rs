//! Makes a dead letter small enough for its topic, which may take less than the samples topic did.
//!
//! Invariant: what of it is ours is never cut, so that it is always known which record it was and why it was refused.

use thalweg_topic::record::{Outgoing, PREFIX};

/// Bytes that remain of a value, and of a key, at most.
const MAX_KEPT_BYTES: usize = 16 << 10;

/// No letter that was cut is larger: our own headers take less than the rest of this.
pub(super) const MAX_TRUNCATED_BYTES: usize = 2 * MAX_KEPT_BYTES + (8 << 10);

/// Cuts a dead letter to `limit` bytes, about, and says in a header that it did: first the value, then the sample's own
/// headers, then the key, and more of both where the limit is lower than usual. Returns the bytes that the value had where
/// something was cut.
pub(super) fn fit(record: &mut Outgoing, limit: usize) -> Option<usize> {
    if record.size() <= limit {
        return None;
    }
    let bytes = record.value.as_ref().map_or(0, Vec::len);
    let kept = MAX_KEPT_BYTES.min(limit / 2);
    if let Some(value) = &mut record.value {
        value.truncate(kept);
    }
    if record.size() > limit {
        record.headers.retain(|name| name.starts_with(PREFIX.as_bytes()));
    }
    if record.size() > limit
        && let Some(key) = &mut record.key
    {
        key.truncate(kept);
    }
    record.headers.set("thalweg.truncated", bytes.to_string());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_topic::record::Headers;

    fn letter(value: usize, header: usize, key: usize) -> Outgoing {
        let headers = Headers::from([("own", vec![b'h'; header]), ("thalweg.reason", b"not_json".to_vec())]);
        Outgoing { key: Some(vec![b'k'; key]), value: Some(vec![b'v'; value]), headers, ..Outgoing::default() }
    }

    #[test]
    fn what_fits_stays_whole() {
        let mut record = letter(90_000, 5, 5);
        let before = record.clone();
        assert_eq!(fit(&mut record, 100_000), None);
        assert_eq!(record, before);
    }

    #[test]
    fn whatever_is_too_large_is_cut_and_no_more_than_that() {
        for (value, header, key, left) in [
            (200_000, 5, 5, (MAX_KEPT_BYTES, true, 5)),
            (10, 200_000, 5, (10, false, 5)),
            (10, 5, 200_000, (10, false, MAX_KEPT_BYTES)),
            (200_000, 200_000, 200_000, (MAX_KEPT_BYTES, false, MAX_KEPT_BYTES)),
        ] {
            let mut record = letter(value, header, key);
            assert_eq!(fit(&mut record, 100_000), Some(value));
            let kept = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
            assert_eq!((kept(&record.value), record.headers.get("own").is_some(), kept(&record.key)), left);
            assert_eq!(record.headers.get("thalweg.reason"), Some(&b"not_json"[..]));
            assert_eq!(record.headers.get("thalweg.truncated"), Some(value.to_string().as_bytes()));
            assert!(record.size() < MAX_TRUNCATED_BYTES);
        }
    }
}
