//! How far consumers are behind their publishers, where the console watches both: measured with the polls, at most once
//! a minute, and kept in the store.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use crate::{
    model::{
        ApplicationInfo, Marker, RowId,
        feed::category_of,
        lag::{Forecast, Lag, LagSample, WINDOW},
    },
    server::{
        sources::{FeedFailures, ReadPosition, Source},
        store::{BLOCK, Store, block_start, compared},
    },
};

/// Time between two measurements.
const EVERY: Duration = Duration::from_secs(60);

/// All events are searched for the same marker at most this often.
const WHOLE_EVERY: Duration = Duration::from_secs(600);

/// Time between two removals of old samples.
const PRUNED_EVERY: Duration = Duration::from_secs(3600);

/// The most feeds of an application that are measured.
const MOST_FEEDS: usize = 50;

/// The lag of a feed, and where it leads.
#[derive(Clone, Debug, Default)]
pub(super) struct Outlook {
    pub lag: Option<Lag>,
    pub forecast: Forecast,
}

/// What one watcher knows of the lag of its feeds.
#[derive(Debug)]
pub(super) struct Lags {
    publishers: Arc<Vec<Arc<Source>>>,
    feeds: HashMap<String, FeedLag>,
    measured: Option<Instant>,
    pruned: Option<Instant>,
}

#[derive(Debug, Default)]
struct FeedLag {
    /// The entry that the marker named last, and the id of its event.
    read_to: Option<(String, RowId)>,
    /// When all events were last searched.
    searched: Option<Instant>,
    lag: Option<Lag>,
    /// The samples of the last hour, oldest first; `None` until they were read from the store.
    samples: Option<Vec<LagSample>>,
    forecast: Forecast,
}

impl Lags {
    pub fn new(publishers: Arc<Vec<Arc<Source>>>) -> Self {
        Self { publishers, feeds: HashMap::new(), measured: None, pruned: None }
    }

    /// Measures the feeds of an application, if that was long enough ago, and returns their outlook by address.
    pub async fn measure(
        &mut self,
        info: &ApplicationInfo,
        store: &Store,
        markers: &[Marker],
        failures: &[FeedFailures],
    ) -> HashMap<String, Outlook> {
        if self.measured.is_none_or(|at| at.elapsed() >= EVERY) {
            self.measured = Some(Instant::now());
            self.measure_now(info, store, markers, failures).await;
        }
        let outlook = |feed: &FeedLag| Outlook { lag: feed.lag.clone(), forecast: feed.forecast.clone() };
        self.feeds.iter().map(|(uri, feed)| (uri.clone(), outlook(feed))).collect()
    }

    async fn measure_now(
        &mut self,
        info: &ApplicationInfo,
        store: &Store,
        markers: &[Marker],
        failures: &[FeedFailures],
    ) {
        let now = crate::clock::now();
        let of_markers = markers.iter().filter_map(|marker| marker.feed_uri.as_deref());
        let mut uris: Vec<&str> = of_markers.chain(failures.iter().filter_map(|feed| feed.uri.as_deref())).collect();
        uris.sort_unstable();
        uris.dedup();
        uris.retain(|uri| !uri.trim().is_empty());
        uris.truncate(MOST_FEEDS);
        self.feeds.retain(|known, _| uris.contains(&known.as_str()));
        let mut taken = Vec::new();
        for uri in uris {
            let mut of_feed = markers.iter().filter(|marker| marker.feed_uri.as_deref() == Some(uri));
            // Of several markers, it is not known which one is used.
            let marker = of_feed.next().filter(|_| of_feed.next().is_none() && !info.concerns.is_idle(Some(uri)));
            let mut feed = self.feeds.remove(uri).unwrap_or_default();
            feed.lag = match marker {
                Some(marker) => self.lag_of(store, marker, uri, &mut feed).await,
                None => None,
            };
            let failed = failures.iter().filter(|feed| feed.uri.as_deref() == Some(uri)).map(|feed| feed.total).sum();
            let sample = sample(now, feed.lag.as_ref(), failed);
            feed.note(store, info, uri, sample).await;
            taken.push((uri.to_owned(), sample));
            self.feeds.insert(uri.to_owned(), feed);
        }
        if let Err(error) = store.add_lag_samples(&info.key, &taken).await {
            tracing::debug!(%error, "samples of the lag could not be kept");
        }
        if self.pruned.is_none_or(|at| at.elapsed() > PRUNED_EVERY) {
            self.pruned = Some(Instant::now());
            if let Err(error) = store.prune_lag_samples(&info.key, now).await {
                tracing::debug!(%error, "old samples of the lag could not be removed");
            }
        }
    }

    /// Returns the lag of a feed. Where it cannot be measured now, it is not known.
    async fn lag_of(&self, store: &Store, marker: &Marker, uri: &str, feed: &mut FeedLag) -> Option<Lag> {
        let entry = marker.last_read_entry_id.as_deref().filter(|entry| !entry.trim().is_empty())?;
        let category = category_of(uri)?;
        let publisher = self.publishers.iter().find(|source| source.app().info.is_publisher_of(uri))?;
        if publisher.is_down() {
            return None;
        }
        let known = feed.read_to.as_ref();
        let position = ReadPosition {
            entry,
            category: &category,
            id: known.filter(|(same, _)| same == entry).map(|(_, id)| *id),
            earlier: known.map(|(_, id)| *id),
            whole: feed.searched.is_none_or(|at| at.elapsed() >= WHOLE_EVERY),
        };
        let whole = position.whole;
        let lag = match publisher.lag(position).await {
            Ok(lag) => lag,
            Err(error) => {
                feed.searched = Some(Instant::now());
                let name = &publisher.app().info.name;
                tracing::debug!(publisher = %name, reason = %error.reason, "how far a consumer is behind is not known");
                return None;
            }
        };
        let Some(mut lag) = lag else {
            if whole {
                feed.searched = Some(Instant::now());
            }
            return None;
        };
        feed.read_to = Some((entry.to_owned(), lag.read_to));
        if lag.more
            && let Some(unread) = indexed_after(store, publisher, &category, lag.read_to).await
        {
            (lag.unread, lag.more) = (unread.max(lag.unread), false);
        }
        Some(lag)
    }
}

/// Returns the number of events after one by the index of published events, to within a block. `None` if the index does
/// not reach so far back.
async fn indexed_after(store: &Store, publisher: &Source, category: &str, id: RowId) -> Option<u64> {
    let app = publisher.app();
    let indexed = store.indexed(&app.info.key).await.ok()??;
    let from = block_start(i64::try_from(id.0).ok()?).saturating_add(BLOCK);
    if indexed.lowest > from {
        return None;
    }
    let category = compared(app.database.backend, category);
    store.published_count(&indexed, &category, from).await.ok()
}

fn sample(at: DateTime<Utc>, lag: Option<&Lag>, failed: u64) -> LagSample {
    let age = lag.and_then(|lag| lag.age(at)).and_then(|age| u64::try_from(age.num_seconds()).ok());
    // A number that was not counted to the end is no basis of a pace.
    LagSample { at, unread: lag.filter(|lag| !lag.more).map(|lag| lag.unread), age_secs: age, failed }
}

impl FeedLag {
    async fn note(&mut self, store: &Store, info: &ApplicationInfo, uri: &str, sample: LagSample) {
        let samples = match &mut self.samples {
            Some(samples) => samples,
            None => {
                let Ok(earlier) = store.lag_samples(&info.key, uri, sample.at - WINDOW).await else { return };
                self.samples.insert(earlier)
            }
        };
        samples.push(sample);
        samples.retain(|earlier| sample.at - earlier.at <= WINDOW);
        self.forecast = Forecast::of(samples, info.limits_of(Some(uri)).max_failed_events);
    }
}
