//! Retries in progress by feed, so that a feed whose events are being retried is not offered for another retry.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    model::operation::{FeedRetry, Operation, PlannedFeed, Stage},
    server::{
        state::Console,
        store::{Store, StoreError},
    },
};

/// The feeds of retries in progress, by operation. Cached: a plan does not change, and counting it reads all of its
/// rows.
#[derive(Debug, Default)]
pub struct FeedsOfRetries(Mutex<BTreeMap<i64, Arc<[PlannedFeed]>>>);

impl FeedsOfRetries {
    async fn of(&self, store: &Store, operation: &Operation) -> Result<Arc<[PlannedFeed]>, StoreError> {
        let kept = self.kept(|kept| kept.get(&operation.id).cloned());
        if let Some(feeds) = kept {
            return Ok(feeds);
        }
        let feeds: Arc<[PlannedFeed]> = store.planned_feeds(operation).await?.into();
        self.kept(|kept| kept.insert(operation.id, feeds.clone()));
        Ok(feeds)
    }

    fn kept<T>(&self, does: impl FnOnce(&mut BTreeMap<i64, Arc<[PlannedFeed]>>) -> T) -> T {
        does(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Returns the retries in progress that the user may see, newest first. Returns none if the store does not answer,
/// because a page that says what is broken is worth more than one that says what is being done.
pub async fn retries(console: &Console) -> Vec<FeedRetry> {
    match by_feed(console).await {
        Ok(retries) => retries,
        Err(error) => {
            tracing::warn!(%error, "the retries in progress are not known");
            Vec::new()
        }
    }
}

async fn by_feed(console: &Console) -> Result<Vec<FeedRetry>, StoreError> {
    let (store, known) = (&console.parts.store, &console.parts.retries);
    let operations = store.retries_in_progress(console.only()).await?;
    if console.only().is_none() {
        // Ended operations are not requested again.
        known.kept(|kept| kept.retain(|id, _| operations.iter().any(|operation| operation.id == *id)));
    }
    let mut retries = Vec::new();
    for operation in &operations {
        let feeds = known.of(store, operation).await?;
        retries.extend(feeds.iter().map(|feed| FeedRetry {
            app: feed.app.clone(),
            uri: feed.feed_uri.clone(),
            rows: feed.rows,
            operation: operation.id,
            who: operation.who.clone(),
            paused: operation.stage == Stage::Paused,
            tried: operation.tried(),
            all: operation.followed.all().max(operation.counts.asked.saturating_sub(operation.counts.left_alone())),
            feeds: feeds.len() as u64,
        }));
    }
    Ok(retries)
}
