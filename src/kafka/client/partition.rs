//! One partition of one topic, as the broker that leads it knows it.

use std::{ops::Range, sync::Arc};

use super::{
    admin::At,
    cluster::Cluster,
    fault::Try,
    fetch::{Fetcher, Wait},
};
use crate::protocol::Committed;

/// One partition of one topic, over a connection that is made when it is needed and dropped when it fails.
#[derive(Debug)]
pub(crate) struct Handle {
    fetcher: Fetcher,
}

impl Handle {
    pub(crate) fn new(cluster: &Arc<Cluster>, topic: &str, partition: i32) -> Self {
        Self { fetcher: Fetcher::new(cluster, topic, partition) }
    }

    pub(crate) fn cluster(&self) -> &Arc<Cluster> {
        self.fetcher.cluster()
    }

    pub(crate) fn topic(&self) -> &str {
        self.fetcher.topic()
    }

    pub(crate) fn partition(&self) -> i32 {
        self.fetcher.partition()
    }

    /// First offset, and the end of what is committed.
    pub(crate) async fn range(&mut self) -> Try<Range<i64>> {
        Ok(self.offset(At::Earliest).await?..self.offset(At::Latest).await?)
    }

    pub(crate) async fn offset(&mut self, at: At) -> Try<i64> {
        self.fetcher.offset(at).await
    }

    /// Committed records in whole batches, of which the first may begin before `offset`.
    pub(crate) async fn batches(&mut self, offset: i64) -> Try<Committed> {
        Ok(self.fetcher.whole(offset, Wait::Never).await?.committed)
    }

    /// Committed records from `offset` on.
    pub(crate) async fn fetch(&mut self, offset: i64) -> Try<Committed> {
        Ok(self.fetcher.fetch(offset, Wait::First).await?.committed)
    }
}
