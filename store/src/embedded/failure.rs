//! The one failure that ends a store's life, and who waits for it.

use tokio::sync::watch;

use crate::StoreError;

/// Set at most once.
pub(super) struct Failure {
    reason: watch::Sender<Option<String>>,
}

impl Failure {
    pub(super) fn new() -> Self {
        Self { reason: watch::Sender::new(None) }
    }

    /// The first reason stays.
    pub(super) fn set(&self, reason: &str) {
        tracing::error!(reason, "the store can write no more");
        self.reason.send_modify(|set| {
            set.get_or_insert_with(|| reason.to_owned());
        });
    }

    /// The failure as every later call sees it.
    pub(super) fn get(&self) -> Option<StoreError> {
        self.reason.borrow().clone().map(StoreError::Fatal)
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.get().map_or(Ok(()), Err)
    }

    /// Resolves when it is set.
    pub(super) async fn wait(&self) -> StoreError {
        let mut reasons = self.reason.subscribe();
        loop {
            if let Some(failure) = self.get() {
                return failure;
            }
            // The sender lives as long as `self`: this cannot end otherwise.
            let _ = reasons.changed().await;
        }
    }
}
