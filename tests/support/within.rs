//! Waiting for what must come.

use std::{future::Future, time::Duration};

/// Nothing here takes this long; a test that waits longer fails instead of hanging.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Awaits `future`, naming what was waited for if it does not come.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}
