//! Finds stalled feeds: the marker does not move while the publisher continues. The consumer's own error is then only
//! in its log; this is its only sign in the databases, and only where the console watches the publisher, too.
//!
//! For events published since the first poll, the newest event of a feed reveals a stall. For earlier events, the
//! comparison of markers tells whether any come after them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    clock,
    model::{ApplicationInfo, Limits, feed::category_of},
    server::{
        sources::{Source, Unread},
        store::ledger::Work,
    },
};

/// A consumer is stalled after reading nothing for this long and for this number of its intervals.
const PATIENCE: TimeDelta = TimeDelta::minutes(5);
const INTERVALS: i32 = 10;

/// The newest event of each category (in lower case) that each application published, by its key.
#[derive(Debug, Default)]
pub(super) struct Publications(Mutex<HashMap<String, HashMap<String, DateTime<Utc>>>>);

/// What one watcher knows of feeds that do not move.
#[derive(Debug)]
pub(super) struct Standstill {
    publications: Arc<Publications>,
    applications: Arc<Vec<ApplicationInfo>>,
    /// Since when there is something unread, by feed.
    unread: HashMap<String, DateTime<Utc>>,
}

impl Standstill {
    pub fn new(publications: Arc<Publications>, applications: Arc<Vec<ApplicationInfo>>) -> Self {
        Self { publications, applications, unread: HashMap::new() }
    }

    /// Publishes this application's newest events to the other watchers.
    pub async fn publish(&self, source: &Source) {
        let info = &source.app().info;
        if info.publishes.is_empty() {
            return;
        }
        match source.newest_published().await {
            Ok(newest) => {
                let newest = newest.into_iter().map(|(category, at)| (category.to_lowercase(), at)).collect();
                let mut all = self.publications.0.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(info.key.clone(), newest);
            }
            Err(error) => {
                tracing::debug!(application = %info.name, reason = %error.reason, "its newest events are not known")
            }
        }
    }

    /// Returns the stalled feeds among those whose markers are known. `unread`: feeds with events after their markers.
    pub fn stalled(
        &mut self,
        work: &HashMap<String, Work>,
        unread: &HashMap<String, Unread>,
        limits: &Limits,
    ) -> Vec<String> {
        let now = clock::now();
        let interval = Duration::from_secs(limits.feed_interval_secs);
        let patience =
            TimeDelta::from_std(interval).unwrap_or(PATIENCE).checked_mul(INTERVALS).unwrap_or(PATIENCE).max(PATIENCE);
        let mut stalled = Vec::new();
        for (uri, work) in work {
            let Some(moved) = work.moved_at else { continue };
            let newer = self.newest(uri).filter(|newest| *newest > moved);
            // Events after the marker are dated by the first of them, or else by when they were first seen.
            let older = unread.get(uri);
            let Some(seen) = newer.or(older.map(|_| now)) else {
                self.unread.remove(uri);
                continue;
            };
            let seen = *self.unread.entry(uri.clone()).or_insert(seen);
            let published = older.and_then(|unread| unread.since).unwrap_or(seen);
            let since = published.min(seen).max(moved);
            if now - since > patience {
                stalled.push(uri.clone());
            }
        }
        stalled
    }

    /// Returns the time of the newest event published for a feed.
    fn newest(&self, uri: &str) -> Option<DateTime<Utc>> {
        let publisher = self.applications.iter().find(|info| info.is_publisher_of(uri))?;
        let all = self.publications.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&publisher.key)?.get(&category_of(uri)?.to_lowercase()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples;

    const FEED: &str = "http://openmrs:8080/openmrs/ws/atomfeed/Patient/recent";

    fn limits() -> Limits {
        Limits {
            max_failed_events: None,
            max_retry: None,
            feed_interval_secs: 15,
            retry_interval_secs: 15,
            ..samples::limits()
        }
    }

    fn standstill(published_minutes_ago: i64) -> Standstill {
        let publisher = ApplicationInfo {
            limits: limits(),
            publishes: vec!["http://openmrs:8080/".to_owned()],
            ..samples::info("OpenMRS")
        };
        let publications = Publications::default();
        let at = clock::now() - TimeDelta::minutes(published_minutes_ago);
        let newest = HashMap::from([("patient".to_owned(), at)]);
        publications.0.lock().unwrap().insert("openmrs".to_owned(), newest);
        Standstill::new(Arc::new(publications), Arc::new(vec![publisher]))
    }

    fn moved(minutes_ago: i64) -> HashMap<String, Work> {
        let moved_at = Some(clock::now() - TimeDelta::minutes(minutes_ago));
        HashMap::from([(FEED.to_owned(), Work { moved_at, ..Work::default() })])
    }

    fn none() -> HashMap<String, Unread> {
        HashMap::new()
    }

    #[test]
    fn what_was_published_before_the_first_look_and_not_read_since_is_a_standstill() {
        let unread = |minutes: Option<i64>| {
            let since = minutes.map(|minutes| clock::now() - TimeDelta::minutes(minutes));
            HashMap::from([(FEED.to_owned(), Unread { since })])
        };
        // The newest event is older than the first poll of the marker.
        let told = |moved_before, unread_since| {
            standstill(180).stalled(&moved(moved_before), &unread(unread_since), &limits()).len()
        };
        assert_eq!(told(6, Some(200)), 1);
        assert_eq!(told(4, Some(200)), 0, "it has its time from the first look on");
        assert_eq!(told(60, Some(4)), 0, "and from when the event was published");
        assert_eq!(told(60, None), 0, "and from when an event without a time was seen");
        assert_eq!(told(60, Some(-30)), 0);
        let mut standstill = standstill(180);
        assert!(standstill.stalled(&moved(60), &unread(None), &limits()).is_empty());
        *standstill.unread.get_mut(FEED).unwrap() -= TimeDelta::minutes(6);
        assert_eq!(standstill.stalled(&moved(60), &unread(None), &limits()).len(), 1);
        assert!(standstill.stalled(&moved(60), &none(), &limits()).is_empty(), "until it is read");
        assert!(standstill.stalled(&moved(60), &unread(None), &limits()).is_empty());
    }

    #[test]
    fn a_marker_that_stands_while_events_are_published_is_a_standstill() {
        assert_eq!(standstill(6).stalled(&moved(60), &none(), &limits()), [FEED]);
    }

    #[test]
    fn a_category_that_is_encoded_in_the_address_is_found() {
        let mut standstill = standstill(6);
        let newest = HashMap::from([("lab test".to_owned(), clock::now() - TimeDelta::minutes(6))]);
        standstill.publications.0.lock().unwrap().insert("openmrs".to_owned(), newest);
        let feed = "http://openmrs:8080/openmrs/ws/atomfeed/Lab%20Test/recent";
        let work = Work { moved_at: Some(clock::now() - TimeDelta::hours(1)), ..Work::default() };
        assert_eq!(standstill.stalled(&HashMap::from([(feed.to_owned(), work)]), &none(), &limits()), [feed]);
    }

    #[test]
    fn a_consumer_has_its_time_to_read() {
        assert!(standstill(4).stalled(&moved(60), &none(), &limits()).is_empty());
        let slow = Limits { feed_interval_secs: 3_600, ..limits() };
        assert!(standstill(6).stalled(&moved(60), &none(), &slow).is_empty());
    }

    #[test]
    fn nothing_new_is_no_standstill() {
        assert!(standstill(60).stalled(&moved(10), &none(), &limits()).is_empty());
    }

    #[test]
    fn events_that_go_on_coming_do_not_hide_a_standstill() {
        let mut standstill = standstill(6);
        assert_eq!(standstill.stalled(&moved(60), &none(), &limits()).len(), 1);
        let newest = HashMap::from([("patient".to_owned(), clock::now())]);
        standstill.publications.0.lock().unwrap().insert("openmrs".to_owned(), newest);
        assert_eq!(standstill.stalled(&moved(60), &none(), &limits()).len(), 1);
        assert!(standstill.stalled(&moved(-1), &none(), &limits()).is_empty(), "until the marker moves");
    }

    #[test]
    fn what_the_console_cannot_see_it_does_not_claim() {
        let elsewhere = HashMap::from([(
            "http://other:8080/ws/atomfeed/patient/recent".to_owned(),
            Work { moved_at: Some(clock::now() - TimeDelta::days(1)), ..Work::default() },
        )]);
        assert!(standstill(6).stalled(&elsewhere, &none(), &limits()).is_empty());
    }
}
