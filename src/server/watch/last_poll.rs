//! What the last poll of a source found.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{
    clock,
    model::{ApplicationInfo, Availability, Marker, Reach, Seen, concerns, publisher::Queue},
    server::sources::{FeedFailures, Poll, SourceError},
};

use super::seen::{LedgerFacts, seen};

/// The last poll of one source, and the last successful one.
#[derive(Clone, Debug)]
pub(super) struct LastPoll {
    pub(super) reach: Reach,
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) seen: Option<Arc<Seen>>,
    pub(super) seen_at: Option<DateTime<Utc>>,
    /// Since when the ledger follows the source, and whether it has read all of it.
    pub(super) followed: Option<(DateTime<Utc>, bool)>,
    /// The last poll brought the ledger to the table's state.
    pub(super) in_step: bool,
    /// Number of poll requests made when this poll began.
    pub(super) asked: u64,
    /// Markers and failures as the last successful poll read them.
    pub(super) raw: Option<Arc<MarkersAndFailures>>,
}

impl LastPoll {
    pub(super) fn is_in_step(&self) -> bool {
        self.in_step && self.followed.is_some_and(|(_, whole)| whole)
    }

    /// Returns what was seen, without what differs at every poll and is not news: a queue that moves as it should, and
    /// by how much consumers are behind.
    pub(super) fn as_told(&self, info: &ApplicationInfo) -> Option<Seen> {
        let seen = self.seen.as_deref()?;
        let stands =
            |queue: &Queue| self.seen_at.is_some_and(|at| concerns::standing(queue, &info.concerns, at).is_some());
        let mut told = Seen { queue: seen.queue.clone().filter(stands), ..seen.clone() };
        if let Availability::Here(feeds) = &mut told.feeds {
            for feed in feeds {
                feed.forecast = Default::default();
                feed.lag = None;
            }
        }
        Some(told)
    }

    pub(super) fn take(
        &mut self,
        polled: Result<Poll, SourceError>,
        info: &ApplicationInfo,
        facts: &LedgerFacts,
        followed: Option<(DateTime<Utc>, bool)>,
        asked: u64,
    ) {
        let now = clock::now();
        self.asked = asked;
        self.at = Some(now);
        self.followed = followed;
        match polled {
            Ok(poll) => {
                self.reach = Reach::Reachable { server: poll.server.clone() };
                self.raw = Some(Arc::new(MarkersAndFailures {
                    markers: poll.markers.clone(),
                    failures: poll.failures.clone(),
                }));
                self.seen = Some(Arc::new(seen(poll, info, facts)));
                self.seen_at = Some(now);
            }
            Err(error) => {
                let answers = error.kind.is_an_answer();
                self.reach = Reach::Unreachable { reason: error.reason, advice: error.advice, answers };
            }
        }
    }
}

/// Markers and failures as the database has them: a row per marker and per address in failed_events, nothing merged.
#[derive(Clone, Debug)]
pub struct MarkersAndFailures {
    pub markers: Availability<Vec<Marker>>,
    pub failures: Availability<Vec<FeedFailures>>,
}

impl From<Poll> for MarkersAndFailures {
    fn from(poll: Poll) -> Self {
        Self { markers: poll.markers, failures: poll.failures }
    }
}
