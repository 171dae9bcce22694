//! One of something that all who need it share: made by the first, and made anew once it has failed.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use tokio::{sync::Mutex, time::Instant};

use super::{access::Access, fault::Try};

/// Something that goes over a connection, and fails with it.
pub(super) trait Reusable: Send + Sync + 'static {
    /// Says whether it can still be used.
    fn is_open(&self) -> bool;
}

/// The place of one.
#[derive(Debug)]
pub(super) struct Slot<T> {
    /// Held while it is made, so that one makes it for all.
    made: Mutex<Option<Made<T>>>,
    /// The same, for whoever only wants to know.
    last: StdMutex<Option<Arc<T>>>,
}

#[derive(Debug)]
struct Made<T> {
    at: Instant,
    result: Try<Arc<T>>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { made: Mutex::default(), last: StdMutex::default() }
    }
}

impl<T: Reusable> Slot<T> {
    /// Returns what there is, or makes it. A failure stands for the first wait between two tries, so that a thousand who wait
    /// for the same are one try.
    pub(super) async fn get(&self, access: &Access, make: impl Future<Output = Try<T>>) -> Try<Arc<T>> {
        let mut made = self.made.lock().await;
        if let Some(Made { at, result }) = &*made {
            let stands = match result {
                Ok(shared) => shared.is_open(),
                Err(_) => at.elapsed() < access.config().backoff_initial,
            };
            if stands {
                return result.clone();
            }
        }
        let result = make.await.map(Arc::new);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = result.as_ref().ok().cloned();
        *made = Some(Made { at: Instant::now(), result: result.clone() });
        result
    }

    /// Says whether there is one that can be used.
    pub(super) fn is_open(&self) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|shared| shared.is_open())
    }
}
