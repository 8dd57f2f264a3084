//! Detects retries that leave no row in the retry log: one that succeeds removes its event, and one by a user changes
//! its retries. Compares two polls, so that a retry job is not called overdue while it works. For events removed before
//! the console started, the ledger is used ([`Store::left_last`](crate::server::store::Store::left_last)).

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::{model::Stamp, server::sources::Poll};

/// What one watcher has seen of retries.
#[derive(Debug, Default)]
pub(super) struct Retries {
    before: HashMap<String, Counts>,
    seen: HashMap<String, DateTime<Utc>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Counts {
    total: u64,
    exhausted: u64,
    newest_retry: Option<Stamp>,
}

impl Retries {
    /// Returns when an event of a feed was last seen to be retried or reset, by feed, including this poll.
    pub fn note(&mut self, poll: &Poll, now: DateTime<Utc>) -> HashMap<String, DateTime<Utc>> {
        let mut counts = HashMap::<String, Counts>::new();
        for feed in poll.failures.here().into_iter().flatten() {
            let Some(uri) = feed.uri.clone().filter(|uri| !uri.is_empty()) else { continue };
            let newest_retry = poll.last_retries.iter().find(|(of, _)| *of == feed.uri).map(|(_, at)| at.clone());
            counts.insert(uri, Counts { total: feed.total, exhausted: feed.exhausted, newest_retry });
        }
        for (uri, now_there) in &counts {
            let Some(before) = self.before.get(uri) else { continue };
            // A first failure adds to the total and is not a retry.
            let retried = now_there.total < before.total
                || now_there.exhausted != before.exhausted
                || now_there.newest_retry != before.newest_retry;
            if retried {
                self.seen.insert(uri.clone(), now);
            }
        }
        self.seen.retain(|uri, _| counts.contains_key(uri));
        self.before = counts;
        self.seen.clone()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{model::Availability, server::sources::FeedFailures};

    const FEED: &str = "http://openmrs:8080/openmrs/ws/atomfeed/patient/recent";

    fn poll(waiting: u64, exhausted: u64, retried: Option<i64>) -> Poll {
        let uri = Some(FEED.to_owned());
        let stamp = |at| Stamp::of(DateTime::from_timestamp(at, 0).unwrap());
        Poll {
            server: String::new(),
            markers: Availability::Here(vec![]),
            marker_gap: None,
            failures: Availability::Here(vec![FeedFailures {
                uri: uri.clone(),
                total: waiting + exhausted,
                waiting,
                exhausted,
                beyond_help: 0,
                blocking: 0,
                oldest: None,
                newest: None,
                oldest_waiting: None,
            }]),
            last_retries: retried.map(|at| (uri, stamp(at))).into_iter().collect(),
            newest: vec![],
            retry_refused: None,
            missing: vec![],
            hazards: vec![],
        }
    }

    #[test]
    fn a_success_a_failed_retry_and_a_reset_are_seen_and_a_first_failure_is_none() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for (after, seen) in [
            (poll(5, 5, None), false),
            (poll(9, 5, None), false),
            (poll(4, 5, None), true),
            (poll(5, 4, None), true),
            (poll(6, 4, None), true),
            (poll(4, 6, None), true),
            (poll(5, 5, Some(1)), true),
        ] {
            let mut retries = Retries::default();
            assert!(retries.note(&poll(5, 5, None), now).is_empty(), "a first look has nothing to compare");
            let later = now + TimeDelta::seconds(10);
            let told = retries.note(&after, later);
            assert_eq!(told.get(FEED).copied(), seen.then_some(later), "{after:?}");
            let again = retries.note(&after, later + TimeDelta::seconds(10));
            assert_eq!(again.get(FEED).copied(), seen.then_some(later), "it stays what was seen last");
        }
    }
}
