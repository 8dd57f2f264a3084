//! Applications, feeds and operations for unit tests.

use std::sync::Arc;

use chrono::DateTime;

use super::{
    ApplicationInfo, ApplicationView, Availability, EventState, FailedEventRow, Feed, FeedCounts, FeedState, Kind,
    Limits, Marker, Reach, RowId, Seen,
    feed::Signs,
    ledger::RequestKind,
    operation::{Followed, Operation, OutcomeCounts, Pace, Stage},
};

/// Returns the limits of an ordinary consumer: a feed stops at 1,000, five retries, a run every 30 s.
pub fn limits() -> Limits {
    Limits {
        max_failed_events: Some(1000),
        max_retry: Some(5),
        feed_interval_secs: 30,
        retry_interval_secs: 30,
        retry_batch: 5,
        assumed: false,
    }
}

/// Returns an application of this name that publishes nothing.
pub fn info(name: &str) -> ApplicationInfo {
    ApplicationInfo {
        key: name.to_lowercase(),
        name: name.into(),
        kind: Kind::Odoo,
        kind_assumed: false,
        address: "db/odoo".into(),
        limits: limits(),
        feed_limits: vec![],
        concerns: Default::default(),
        time_zone: "UTC".into(),
        refresh_secs: 15,
        publishes: vec![],
        public_url: None,
        read_only: false,
        feed_texts: Default::default(),
    }
}

/// Returns a failed event of Odoo of which nothing but its row is known.
pub fn failed_event() -> FailedEventRow {
    FailedEventRow {
        app: "odoo".into(),
        id: RowId(1),
        feed_uri: None,
        failed_at: None,
        error: None,
        event_id: None,
        payload: None,
        title: None,
        retries: None,
        tags: None,
        state: EventState::Unknown,
        moves: false,
        first_sight: None,
        latest: None,
        cause: None,
        known: None,
        quote: None,
        called: None,
        of_record: None,
    }
}

/// Returns the encounter feed of OpenMRS with these numbers of failed events.
pub fn feed_with(waiting: u64, exhausted: u64, total: u64) -> Feed {
    let counts = FeedCounts { waiting, exhausted, total, ..FeedCounts::default() };
    let uri = Some("http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent".to_owned());
    Feed {
        uri: uri.clone(),
        markers: vec![Marker {
            feed_uri: uri,
            last_read_entry_id: Some("tag:atomfeed.ict4h.org:1".into()),
            page_uri: Some("http://openmrs:8080/openmrs/ws/atomfeed/encounter/36".into()),
        }],
        category: Some("encounter".into()),
        counts,
        oldest_failure: None,
        newest_failure: None,
        last_seen_at_work: None,
        state: FeedState::of(&counts, true, &limits()),
        signs: Signs::default(),
        lag: None,
        forecast: Default::default(),
    }
}

/// Returns an application as polled with these feeds.
pub fn view(name: &str, reach: Reach, feeds: Vec<Feed>) -> ApplicationView {
    let sum = |rows: fn(&FeedCounts) -> u64| Some(feeds.iter().map(|feed| rows(&feed.counts)).sum());
    let at = DateTime::from_timestamp(1_800_000_000, 0);
    ApplicationView {
        info: info(name),
        reach,
        looked_at: at,
        seen_at: at,
        seen: Some(Arc::new(Seen {
            waiting: sum(|counts| counts.waiting),
            exhausted: sum(|counts| counts.exhausted),
            failed: sum(|counts| counts.total),
            feeds: Availability::Here(feeds),
            failures_not_known: None,
            oldest_failure: None,
            newest_failure: None,
            newest: Vec::new(),
            queue: None,
            queue_not_known: None,
            retry_refused: None,
            missing: vec![],
            hazards: vec![],
            out_of_step: None,
        })),
        concerns: Vec::new(),
        days: Vec::new(),
        probe: None,
    }
}

/// Returns an application whose configuration entry is incomplete.
pub fn unconfigured(name: &str) -> ApplicationView {
    let lacking = vec!["console.toml:9: application[2].user: is empty".to_owned()];
    let reach = Reach::NotConfigured { lacking };
    ApplicationView { seen: None, seen_at: None, looked_at: None, ..view(name, reach, vec![]) }
}

/// The database answers.
pub fn up() -> Reach {
    Reach::Reachable { server: "PostgreSQL 15".into() }
}

/// The database does not answer.
pub fn down() -> Reach {
    Reach::Unreachable { reason: "Refused.".into(), advice: "Start it.".into(), answers: false }
}

/// The database answers, and refuses the console's password.
pub fn shut() -> Reach {
    Reach::Unreachable { reason: "Access denied.".into(), advice: "Correct the password.".into(), answers: true }
}

/// Returns an operation on all failed events that began in 1970 and has not ended.
pub fn operation(kind: RequestKind, stage: Stage, counts: OutcomeCounts, followed: Followed) -> Operation {
    Operation {
        id: 1,
        started_at: DateTime::UNIX_EPOCH,
        finished_at: None,
        who: "asha".into(),
        address: "127.0.0.1".into(),
        kind,
        scope: "all failed events".into(),
        reason: None,
        stage,
        note: None,
        planned: None,
        left_out: None,
        pace: Pace::default(),
        later_resolved: 0,
        later_failed: 0,
        untitled: 0,
        counts,
        followed,
    }
}
