//! What several suites share. Each test crate uses its own part of it.
#![allow(dead_code)]

pub mod batter;
pub mod bent;
pub mod broker;
pub mod daemon;
pub mod judge;
pub mod kinds;
pub mod proof;
pub mod survive;

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
