//! Checkpoints on their way into the state file.

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use thalweg_store::Store;
use thalweg_topic::Savepoint;

/// Writes checkpoints one after another. Publishing does not wait for them: while one is under way, as on a disk that is
/// full, the newest of those that follow waits, and the ones before it are left out.
pub(super) struct CheckpointWriter {
    store: Arc<Store>,
    /// Whoever drops the writer leaves it, too: what is being written is whole or not there.
    under_way: Option<AbortOnDropHandle<Result<(), thalweg_store::Error>>>,
    waiting: Option<Box<dyn Savepoint>>,
}

impl CheckpointWriter {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self { store: Arc::clone(store), under_way: None, waiting: None }
    }

    pub(super) async fn begin(&mut self, checkpoint: Box<dyn Savepoint>) -> Result<(), thalweg_store::Error> {
        if self.under_way.as_ref().is_some_and(|under_way| !under_way.is_finished()) {
            self.waiting = Some(checkpoint);
            return Ok(());
        }
        self.join().await?;
        self.waiting = None;
        let store = Arc::clone(&self.store);
        self.under_way = Some(AbortOnDropHandle::new(tokio::spawn(async move { store.save(checkpoint).await })));
        Ok(())
    }

    async fn join(&mut self) -> Result<(), thalweg_store::Error> {
        match self.under_way.take() {
            // Nothing cancels it, so that a failed join is a panic: a defect that must stop the daemon.
            Some(task) => task.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())),
            None => Ok(()),
        }
    }

    /// Waits for the one under way, and writes the one that waits.
    pub(super) async fn finish(mut self) -> Result<(), thalweg_store::Error> {
        self.join().await?;
        match self.waiting.take() {
            Some(checkpoint) => self.store.save(checkpoint).await,
            None => Ok(()),
        }
    }
}
