//! The status of all applications, for a monitoring system: `/status`, as JSON or as one line. docs/monitoring.md
//! describes it.
//!
//! It answers from the snapshot alone: it sends no statement to a hospital's database, and polls do not become more
//! frequent. It reports the concerns of the overview, for the applications that the client may see.

use axum::{
    Json,
    extract::RawQuery,
    http::header,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::http::Seen;
use crate::clock;
use crate::model::{
    ApplicationView, Availability, Feed, FeedState, Marker, Reach, Stamp,
    concern::{About, Concern, ConcernKind, Severity},
    concerns::rank,
    error_text::visible_line,
    filter::pairs,
    probe::{Probe, ProbeAnswer},
    publisher::Queue,
    words::count,
};

/// Maximum characters of the line: a Nagios check keeps 4,096 bytes.
const LONGEST_LINE: usize = 1_000;

/// Answers as JSON, or with `?plain` as a line of text.
pub async fn status(Seen(console): Seen, RawQuery(query): RawQuery) -> Response {
    let views = console.snapshot().await;
    let plain = pairs(query.as_deref().unwrap_or_default()).any(|(key, _)| key == "plain");
    let status = Status::of(&views, clock::now());
    let mut response = if plain { plain_text(&status, &views).into_response() } else { Json(status).into_response() };
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// The worst severity of the concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    Ok,
    Warning,
    Critical,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
        }
    }
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Warning => Level::Warning,
            Severity::Critical => Level::Critical,
        }
    }
}

/// The whole response. docs/monitoring.md describes its fields, which do not change their meaning.
#[derive(Debug, Serialize)]
struct Status {
    status: Level,
    at: DateTime<Utc>,
    applications: Vec<ApplicationStatus>,
}

#[derive(Debug, Serialize)]
struct ApplicationStatus {
    key: String,
    name: String,
    kind: &'static str,
    /// `reachable`, `unreachable`, `not_looked_at` or `not_configured`.
    state: &'static str,
    status: Level,
    server: Option<String>,
    looked_at: Option<DateTime<Utc>>,
    /// When the figures were read.
    seen_at: Option<DateTime<Utc>>,
    /// How old the figures are.
    age_seconds: Option<i64>,
    waiting: Option<u64>,
    exhausted: Option<u64>,
    failed: Option<u64>,
    queue: Option<QueueStatus>,
    /// Why `queue` is null, if there is or should be one.
    queue_not_known: Option<String>,
    /// What its feed answers; null if the console does not request it.
    probe: Option<ProbeStatus>,
    feeds: Option<Vec<FeedStatus>>,
    concerns: Vec<ConcernStatus>,
}

/// The last answer of a publisher's feed over HTTP.
#[derive(Debug, Serialize)]
struct ProbeStatus {
    address: String,
    /// `null`: not requested yet.
    answers: Option<bool>,
    /// When it was requested last, and since when the answers are like that one.
    at: Option<DateTime<Utc>>,
    since: Option<DateTime<Utc>>,
    milliseconds: Option<u64>,
    /// Why there is no feed.
    reason: Option<String>,
}

impl ProbeStatus {
    fn of(probe: &Probe) -> Self {
        let last = probe.last.as_ref();
        let reason = match last.map(|last| &last.answer) {
            Some(ProbeAnswer::Failed { reason, .. }) => Some(reason.clone()),
            Some(ProbeAnswer::Feed(_)) | None => None,
        };
        Self {
            address: probe.address.clone(),
            answers: last.map(|last| matches!(last.answer, ProbeAnswer::Feed(_))),
            at: last.map(|last| last.at),
            since: last.map(|last| last.since),
            milliseconds: last.map(|last| last.took_ms),
            reason,
        }
    }
}

#[derive(Debug, Serialize)]
struct QueueStatus {
    events: u64,
    /// There may be more.
    more: bool,
    /// Since when the oldest waits at least: since its own time, or since the console first saw it.
    oldest_at: Option<DateTime<Utc>>,
    /// How old the oldest was when the figures were read.
    oldest_age_seconds: Option<i64>,
}

#[derive(Debug, Serialize)]
struct FeedStatus {
    uri: Option<String>,
    category: Option<String>,
    state: &'static str,
    status: Level,
    waiting: Option<u64>,
    exhausted: Option<u64>,
    failed: Option<u64>,
    limit: Option<u64>,
    limit_assumed: bool,
    oldest_failure_at: Option<DateTime<Utc>>,
    newest_failure_at: Option<DateTime<Utc>>,
    last_seen_at_work_at: Option<DateTime<Utc>>,
    unretried_since: Option<DateTime<Utc>>,
    /// How far the consumer is behind its publisher.
    lag: Option<LagStatus>,
    /// When there are as many failed events as the limit, at the present pace.
    limit_reached_at: Option<DateTime<Utc>>,
    markers: Option<Vec<MarkerStatus>>,
    concerns: Vec<ConcernStatus>,
}

#[derive(Debug, Serialize)]
struct LagStatus {
    /// Events of the feed that were not read.
    events: u64,
    /// There may be more.
    more: bool,
    /// When the oldest of them was published.
    oldest_at: Option<DateTime<Utc>>,
    /// How old the oldest was when this was counted.
    oldest_age_seconds: Option<i64>,
    /// Change of the number of events, at the present pace.
    events_per_hour: Option<i64>,
    /// When nothing is unread any more, at the present pace.
    level_at: Option<DateTime<Utc>>,
    counted_at: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
struct MarkerStatus {
    entry: Option<String>,
    page: Option<String>,
}

#[derive(Debug, Serialize)]
struct ConcernStatus {
    kind: ConcernKind,
    severity: Severity,
    title: String,
    cause: String,
    todo: String,
}

impl Status {
    fn of(views: &[ApplicationView], now: DateTime<Utc>) -> Self {
        let applications: Vec<ApplicationStatus> = views.iter().map(|view| ApplicationStatus::of(view, now)).collect();
        let status = applications.iter().map(|application| application.status).max().unwrap_or(Level::Ok);
        Self { status, at: now, applications }
    }
}

impl ApplicationStatus {
    fn of(view: &ApplicationView, now: DateTime<Utc>) -> Self {
        let seen = view.seen.as_deref();
        let (state, server) = match &view.reach {
            Reach::NotYet => ("not_looked_at", None),
            Reach::Reachable { server } => ("reachable", Some(server.clone())),
            Reach::Unreachable { .. } => ("unreachable", None),
            Reach::NotConfigured { .. } => ("not_configured", None),
        };
        let not_yet = if view.reach == Reach::NotYet { Level::Warning } else { Level::Ok };
        let queue = seen.filter(|seen| seen.queue_not_known.is_none()).and_then(|seen| seen.queue.as_ref());
        let of_application = view.concerns.iter().filter(|concern| concern.about == About::Application);
        Self {
            key: view.info.key.clone(),
            name: view.info.name.clone(),
            kind: view.info.kind.word(),
            state,
            status: worst(view.concerns.iter()).max(not_yet),
            server,
            looked_at: view.looked_at,
            seen_at: view.seen_at,
            age_seconds: view.seen_at.map(|at| (now - at).num_seconds()),
            waiting: seen.and_then(|seen| seen.waiting),
            exhausted: seen.and_then(|seen| seen.exhausted),
            failed: seen.and_then(|seen| seen.failed),
            queue: queue.map(|queue| QueueStatus {
                events: queue.length,
                more: queue.length >= Queue::COUNTED,
                oldest_at: view.seen_at.and_then(|at| queue.waits_since(at)),
                oldest_age_seconds: view.seen_at.and_then(|at| queue.age(at)).map(|age| age.num_seconds()),
            }),
            queue_not_known: seen.and_then(|seen| seen.queue_not_known.clone()),
            probe: view.probe.as_ref().map(ProbeStatus::of),
            feeds: seen.and_then(|seen| feeds(&seen.feeds, view)),
            concerns: of_application.map(ConcernStatus::of).collect(),
        }
    }
}

fn feeds(feeds: &Availability<Vec<Feed>>, view: &ApplicationView) -> Option<Vec<FeedStatus>> {
    Some(feeds.here()?.iter().map(|feed| FeedStatus::of(feed, view)).collect())
}

impl FeedStatus {
    fn of(feed: &Feed, view: &ApplicationView) -> Self {
        let concerns: Vec<&Concern> =
            view.concerns.iter().filter(|concern| concern.about == About::Feed(feed.uri.clone())).collect();
        let limits = view.info.limits_of(feed.uri.as_deref());
        let known = feed.signs.failures_not_known.is_none();
        let states_known = known && feed.counts.states_are_known();
        let at = |stamp: &Option<Stamp>| stamp.as_ref().and_then(|stamp| stamp.at);
        let marker =
            |marker: &Marker| MarkerStatus { entry: marker.last_read_entry_id.clone(), page: marker.page_uri.clone() };
        Self {
            uri: feed.uri.clone(),
            category: feed.category.clone(),
            state: feed.state.word(),
            status: worst(concerns.iter().copied()),
            waiting: states_known.then_some(feed.counts.waiting),
            exhausted: states_known.then_some(feed.counts.exhausted),
            failed: known.then_some(feed.counts.total),
            limit: limits.max_failed_events,
            limit_assumed: limits.assumed,
            oldest_failure_at: at(&feed.oldest_failure),
            newest_failure_at: at(&feed.newest_failure),
            last_seen_at_work_at: at(&feed.last_seen_at_work),
            unretried_since: feed.signs.unretried_since,
            lag: feed.lag.as_ref().map(|lag| LagStatus {
                events: lag.unread,
                more: lag.more,
                oldest_at: lag.since.filter(|_| lag.unread > 0),
                oldest_age_seconds: lag.age(lag.at).map(|age| age.num_seconds()),
                events_per_hour: feed.forecast.unread_per_hour,
                level_at: feed.forecast.level_at,
                counted_at: lag.at,
            }),
            limit_reached_at: feed.forecast.limit_at,
            markers: feed.signs.markers_not_known.is_none().then(|| feed.markers.iter().map(marker).collect()),
            concerns: concerns.into_iter().map(ConcernStatus::of).collect(),
        }
    }
}

impl ConcernStatus {
    fn of(concern: &Concern) -> Self {
        Self {
            kind: concern.kind,
            severity: concern.kind.severity(),
            title: concern.title.clone(),
            cause: concern.cause.clone(),
            todo: concern.todo.clone(),
        }
    }
}

fn worst<'a>(concerns: impl Iterator<Item = &'a Concern>) -> Level {
    concerns.map(|concern| concern.kind.severity().into()).max().unwrap_or(Level::Ok)
}

/// Returns the line, critical concerns first:
/// `CRITICAL - Odoo is not receiving new events from the patient feed: 1,000 failed events, …`.
fn plain_text(status: &Status, views: &[ApplicationView]) -> String {
    let mut concerns: Vec<&Concern> = views.iter().flat_map(|view| &view.concerns).collect();
    concerns.sort_by_key(|concern| (std::cmp::Reverse(concern.kind.severity()), rank(concern)));
    let not_yet = views.iter().filter(|view| view.reach == Reach::NotYet);
    let reasons: Vec<String> = concerns
        .into_iter()
        .map(reason)
        .chain(not_yet.map(|view| format!("{} has not been checked yet", view.info.name)))
        .collect();
    let mut line = format!("{} - ", status.status.word());
    if reasons.is_empty() {
        line.push_str(&calm(views));
    }
    for (told, reason) in reasons.iter().enumerate() {
        let left = reasons.len() - told;
        if told > 0 && line.chars().count() + reason.chars().count() > LONGEST_LINE {
            line.push_str(&format!("; and {left} more"));
            break;
        }
        line.push_str(if told > 0 { "; " } else { "" });
        line.push_str(reason);
    }
    // A Nagios check reads text after a bar as figures.
    let mut line: String = visible_line(&line).replace('|', "/").chars().take(LONGEST_LINE + 100).collect();
    line.push('\n');
    line
}

fn reason(concern: &Concern) -> String {
    let title = concern.title.trim_end_matches('.');
    match concern.cause.trim_end_matches('.') {
        "" => title.to_owned(),
        cause => format!("{title}: {cause}"),
    }
}

fn calm(views: &[ApplicationView]) -> String {
    let feeds: Vec<&Feed> = views.iter().filter_map(|view| view.seen.as_ref()?.feeds.here()).flatten().collect();
    let running = feeds.iter().filter(|feed| feed.state == FeedState::Running).count() as u64;
    let waiting = views.iter().filter_map(|view| view.seen.as_ref()?.waiting).sum();
    format!(
        "{}, {} of them running, {} for another try",
        count(feeds.len() as u64, "feed"),
        running,
        match waiting {
            0 => "no event waits".to_owned(),
            1 => "1 event waits".to_owned(),
            waiting => format!("{} wait", count(waiting, "event")),
        }
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        Reader, concerns,
        samples::{down, feed_with, up, view},
    };

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_042, 0).unwrap()
    }

    fn judged(mut views: Vec<ApplicationView>) -> Vec<ApplicationView> {
        for view in &mut views {
            view.concerns = concerns::of(view, &[], now(), &Reader::default());
        }
        views
    }

    fn line(views: Vec<ApplicationView>) -> String {
        let views = judged(views);
        plain_text(&Status::of(&views, now()), &views)
    }

    #[test]
    fn the_line_begins_with_the_worst_and_says_why() {
        for (views, expected) in [
            (
                vec![view("Odoo", up(), vec![feed_with(3, 0, 3), feed_with(0, 0, 0)])],
                "OK - 2 feeds, 1 of them running, 3 events wait for another try\n",
            ),
            (vec![], "OK - no feeds, 0 of them running, no event waits for another try\n"),
            (
                vec![view("Odoo", up(), vec![feed_with(0, 1, 1)])],
                "WARNING - 1 event from the encounter feed failed all retries (Odoo): 1 failed event, with retries used up\n",
            ),
            (
                vec![view("Odoo", up(), vec![feed_with(0, 1, 1)]), view("PACS", down(), vec![])],
                "CRITICAL - Refused: Start it; 1 event from the encounter feed failed all retries (Odoo): 1 failed event, \
                 with retries used up\n",
            ),
        ] {
            assert_eq!(line(views), expected);
        }
        let mut new = view("PACS", Reach::NotYet, vec![]);
        new.seen = None;
        assert_eq!(line(vec![new]), "WARNING - PACS has not been checked yet\n");
    }

    #[test]
    fn the_line_stays_one_line_of_some_length_in_which_nothing_acts() {
        let mut odoo = view("Odoo", up(), vec![]);
        let seen = Arc::make_mut(odoo.seen.as_mut().unwrap());
        seen.hazards = (0..500).map(|number| format!("A\nrow | {number} \u{1b}[2J")).collect();
        let line = line(vec![odoo]);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains(['|', '\u{1b}']), "{line}");
        assert!(line.chars().count() < 1_200, "{}", line.len());
        assert!(line.contains("; and 4"), "it says how many are left out: {line}");
    }

    #[test]
    fn programs_read_figures_limits_and_concerns_of_each_feed() {
        let views = judged(vec![view("Odoo", up(), vec![feed_with(990, 0, 990)])]);
        let json = serde_json::to_value(Status::of(&views, now())).unwrap();
        assert_eq!(json["status"], "WARNING");
        let odoo = &json["applications"][0];
        assert_eq!(
            (&odoo["state"], &odoo["age_seconds"], &odoo["failed"]),
            (&"reachable".into(), &42.into(), &990.into())
        );
        let feed = &odoo["feeds"][0];
        assert_eq!((&feed["state"], &feed["limit"], &feed["waiting"]), (&"failing".into(), &1000.into(), &990.into()));
        assert_eq!(
            (&feed["concerns"][0]["kind"], &feed["concerns"][0]["severity"]),
            (&"near_limit".into(), &"warning".into())
        );
        assert!(feed["concerns"][0]["cause"].as_str().unwrap().starts_with("990 of 1,000 failed events"));
        assert_eq!(odoo["concerns"], serde_json::json!([]), "told once, with its feed");
    }

    #[test]
    fn what_is_not_known_is_null_and_never_zero() {
        let mut feed = feed_with(0, 0, 0);
        feed.signs.failures_not_known = Some("the table failed_events does not exist".into());
        feed.signs.markers_not_known = Some("the table markers does not exist".into());
        let mut odoo = view("Odoo", up(), vec![feed]);
        let seen = Arc::make_mut(odoo.seen.as_mut().unwrap());
        (seen.waiting, seen.exhausted, seen.failed) = (None, None, None);
        let json = serde_json::to_value(Status::of(&judged(vec![odoo]), now())).unwrap();
        let odoo = &json["applications"][0];
        for figure in ["waiting", "exhausted", "failed"] {
            assert!(odoo[figure].is_null() && odoo["feeds"][0][figure].is_null(), "{figure}");
        }
        assert!(odoo["feeds"][0]["markers"].is_null());
    }
}
