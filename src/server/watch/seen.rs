//! Combines markers and failures of a poll into feeds with their states.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use crate::{
    model::{
        ApplicationInfo, Availability, Feed, FeedCounts, FeedState, Marker, Seen, Stamp,
        concerns::overdue_since,
        feed::{Signs, can_be_read, category_of},
        publisher::Queue,
    },
    server::{sources::Poll, store::ledger::Work},
};

use super::compare::Compared;

/// What the ledger and the publishers add to a poll, by feed address.
#[derive(Debug, Default)]
pub(super) struct LedgerFacts {
    /// When the consumer was last seen at work.
    pub worked: HashMap<String, DateTime<Utc>>,
    /// How the markers move.
    pub reads: HashMap<String, Work>,
    /// Feeds whose marker does not move while their publisher continues.
    pub stalled: Vec<String>,
    /// When an event of a feed was last seen to be retried or reset, in addition to the retry log.
    pub retried: HashMap<String, DateTime<Utc>>,
    /// What the publishers say of the markers.
    pub compared: Compared,
    /// The events that wait in the source's own queue.
    pub queue: Option<Queue>,
    /// Why they are currently unknown.
    pub queue_not_known: Option<String>,
    /// What keeps the ledger from following the source, as a sentence.
    pub out_of_step: Option<String>,
}

/// Converts a poll of this application to what pages show.
pub(super) fn seen(poll: Poll, info: &ApplicationInfo, facts: &LedgerFacts) -> Seen {
    let feeds = feeds(&poll, info, facts);
    let all = poll.failures.here().and(feeds.here()).map(|feeds| {
        let sum = |of: fn(&FeedCounts) -> u64| feeds.iter().map(|feed| of(&feed.counts)).sum();
        FeedCounts {
            waiting: sum(|counts| counts.waiting),
            exhausted: sum(|counts| counts.exhausted),
            total: sum(|counts| counts.total),
            beyond_help: sum(|counts| counts.beyond_help),
            blocking: sum(|counts| counts.blocking),
        }
    });
    let of_known_state = all.filter(FeedCounts::states_are_known);
    let times = |of: fn(&Feed) -> Option<&Stamp>| feeds.here().into_iter().flatten().filter_map(of);
    Seen {
        waiting: of_known_state.map(|counts| counts.waiting),
        exhausted: of_known_state.map(|counts| counts.exhausted),
        failed: all.map(|counts| counts.total),
        failures_not_known: why_not(&poll.failures),
        oldest_failure: times(|feed| feed.oldest_failure.as_ref()).min_by_key(|stamp| stamp.at).cloned(),
        newest_failure: times(|feed| feed.newest_failure.as_ref()).max_by_key(|stamp| stamp.at).cloned(),
        feeds,
        newest: poll.newest,
        queue: facts.queue.clone(),
        queue_not_known: facts.queue_not_known.clone(),
        retry_refused: poll.retry_refused,
        missing: poll.missing,
        hazards: poll.hazards,
        out_of_step: facts.out_of_step.clone(),
    }
}

fn feeds(poll: &Poll, info: &ApplicationInfo, facts: &LedgerFacts) -> Availability<Vec<Feed>> {
    let (markers, failures) = match (&poll.markers, &poll.failures) {
        (Availability::NotHere(reason), Availability::NotHere(_)) => return Availability::NotHere(reason.clone()),
        (markers, failures) => (markers.here(), failures.here()),
    };
    let signs = Signs {
        failures_not_known: why_not(&poll.failures),
        markers_not_known: why_not(&poll.markers).or(poll.marker_gap.clone()),
        unpublished: None,
        unretried_since: None,
        read_at: None,
        read_every_secs: None,
    };
    let now = Utc::now();
    let mut by_uri = BTreeMap::<Option<String>, Parts>::new();
    for marker in markers.into_iter().flatten() {
        by_uri.entry(address(&marker.feed_uri)).or_default().markers.push(marker.clone());
    }
    for failed in failures.into_iter().flatten() {
        let Parts { counts, oldest, newest, oldest_waiting, .. } = by_uri.entry(address(&failed.uri)).or_default();
        counts.waiting += failed.waiting;
        counts.exhausted += failed.exhausted;
        counts.total += failed.total;
        counts.beyond_help += failed.beyond_help;
        counts.blocking += failed.blocking;
        *oldest = [oldest.take(), failed.oldest.clone()].into_iter().flatten().min_by_key(|stamp| stamp.at);
        *oldest_waiting =
            [oldest_waiting.take(), failed.oldest_waiting.clone()].into_iter().flatten().min_by_key(|stamp| stamp.at);
        *newest = [newest.take(), failed.newest.clone()].into_iter().flatten().max_by_key(|stamp| stamp.at);
    }
    let feeds = by_uri.into_iter().map(|(uri, parts)| {
        let Parts { markers, counts, oldest, newest, oldest_waiting } = parts;
        let retried = poll.last_retries.iter().filter(|(of, _)| address(of) == uri).map(|(_, at)| at);
        let worked = uri.as_ref().and_then(|uri| facts.worked.get(uri)).map(|at| Stamp::of(*at));
        let at_work = retried.chain(&newest).chain(&worked).filter(|stamp| stamp.at.is_some());
        let last_seen_at_work = at_work.max_by_key(|stamp| stamp.at);
        let in_log = poll.last_retries.iter().filter(|(of, _)| address(of) == uri).filter_map(|(_, at)| at.at);
        let beyond = uri.as_ref().and_then(|uri| facts.retried.get(uri)).copied();
        let waits = oldest_waiting.and_then(|stamp| stamp.at);
        let retried = in_log.chain(beyond).max();
        let unretried_since = overdue_since(info, uri.as_deref(), counts.waiting, waits, retried, now);
        let limits = info.limits_of(uri.as_deref());
        let idle = info.concerns.is_idle(uri.as_deref());
        let stands_still = !idle && uri.as_ref().is_some_and(|uri| facts.stalled.contains(uri));
        let unpublished = uri.as_ref().and_then(|uri| facts.compared.unpublished.get(uri)).cloned();
        let can_be_read = can_be_read(&markers, unpublished.as_ref());
        let state = match FeedState::of(&counts, can_be_read, &limits) {
            // A stopped feed does not move either, but its cause is known.
            FeedState::Running | FeedState::Failing if stands_still => FeedState::Stalled,
            FeedState::Unknown if stands_still && unpublished.is_some() => FeedState::Stalled,
            FeedState::Running if signs.failures_not_known.is_some() => FeedState::Unknown,
            state => state,
        };
        let reads = uri.as_ref().and_then(|uri| facts.reads.get(uri));
        let (read_at, read_every_secs) = (reads.and_then(|work| work.moved_at), reads.and_then(Work::usual_pause));
        Feed {
            signs: Signs { unpublished, unretried_since, read_at, read_every_secs, ..signs.clone() },
            category: uri.as_deref().and_then(category_of).map(Into::into),
            last_seen_at_work: last_seen_at_work.cloned(),
            uri,
            markers,
            counts,
            oldest_failure: oldest,
            newest_failure: newest,
            state,
        }
    });
    Availability::Here(feeds.collect())
}

/// What markers and failed events say of one address.
#[derive(Debug, Default)]
struct Parts {
    markers: Vec<Marker>,
    counts: FeedCounts,
    oldest: Option<Stamp>,
    newest: Option<Stamp>,
    oldest_waiting: Option<Stamp>,
}

/// Returns why something is not known.
fn why_not<T>(part: &Availability<T>) -> Option<String> {
    match part {
        Availability::Here(_) => None,
        Availability::NotHere(reason) => Some(reason.clone()),
    }
}

/// Returns a feed's address; an empty text counts as none, as in the lists.
fn address(uri: &Option<String>) -> Option<String> {
    uri.clone().filter(|uri| !uri.is_empty())
}
