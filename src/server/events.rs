//! One failed event with everything around it: its feed, its place in the queue, the other failed events of the same
//! record, and the neighbours in the list it was opened from. It reads the source and the ledger, and records the view
//! in the audit log.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::TimeDelta;

use super::{
    expiring_map::ExpiringMap,
    groups,
    lists::{self, EVENT_FROM_LEDGER},
    operations::Actor,
    present,
    sources::{KnownLog, Source, SourceError, TextLimit},
    state::Console,
};
use crate::{
    api::failed_events::{EventGroup, EventPage, Masked, MissingPart},
    clock,
    error::Problem,
    model::{
        Attempt, Availability, FailedEvent, FailedEventRow, Feed, RowId, audit::AuditKind, filter::Filter,
        ledger::LedgerEvent, masking, page_texts::Room, payload, payload::record_uuid, publisher::Publisher,
    },
};

/// Maximum other failed events of the same record that one application contributes.
const SAME_RECORD: u32 = 10;

/// How long a recorded view of an event covers later ones of the same user, which open pages make by themselves.
const VIEW_INTERVAL: Duration = Duration::from_secs(3_600);

/// Maximum views that are remembered.
const MOST_VIEWS: usize = 10_000;

/// The recent views of events that are recorded in the audit log, by user.
#[derive(Debug)]
pub struct RecentViews(ExpiringMap<(String, String, RowId)>);

impl Default for RecentViews {
    fn default() -> Self {
        Self(ExpiringMap::new(VIEW_INTERVAL, MOST_VIEWS))
    }
}

impl RecentViews {
    /// Returns whether a recorded view of the event by this user covers one at `now`.
    fn stands(&self, who: &str, app: &str, id: RowId, now: Instant) -> bool {
        self.0.get(&(who.to_owned(), app.to_owned(), id), now).is_some()
    }

    fn remember(&self, who: &str, app: &str, id: RowId, now: Instant) {
        self.0.put((who.to_owned(), app.to_owned(), id), (), now);
    }
}

/// Returns a failed event's page. `live`: only its live parts, without payloads but with error texts. Such a view is
/// recorded unless a recorded view by the same user is less than an hour old.
///
/// # Errors
/// Fails if the application is unknown, the event is not in the table, or the source does not answer.
pub async fn event(
    console: &Console,
    actor: &Actor,
    app: &str,
    id: RowId,
    list: &Filter,
    live: bool,
) -> Result<EventPage, Problem> {
    let source = console.source(app)?;
    // The page can do without the history. The id can have been another event's, whose life does not belong here.
    let lives = console.parts.store.ledger_events_of_row(&source.app().info.key, id).await.unwrap_or_default();
    let life = lives.into_iter().next().filter(|life| life.state.is_open());
    let known = known_log(console, source, life.as_ref()).await;
    let first_sight = life.as_ref().map(|life| life.first_sight().at);
    let Some(mut event) = source.event_seen(id, first_sight, known.as_ref()).await? else {
        let copy = console.parts.store.newest_copy_of(&source.app().info.key, id, None).await.unwrap_or_default();
        let why = match copy {
            Some(copy) => format!("Operation {} discarded it. See the discarded events.", copy.operation),
            None => {
                "It was resolved or deleted, or there was never one with this number. See the list of failed events."
                    .to_owned()
            }
        };
        return Err(Problem::not_found(format!("{} has no failed event {id}.", source.app().info.name), why));
    };
    let life = life.filter(|life| life.event_id == event.row.event_id);
    event.row.first_sight = life.as_ref().map(LedgerEvent::first_sight);
    let set_back = match &life {
        Some(life) if event.row.retries.is_some_and(|retries| retries <= 0) => {
            console.parts.store.set_back_from(life.id).await?
        }
        _ => None,
    };
    let (around, neighbours, view, ahead, group, later) = tokio::join!(
        same_record(console, &event.row, life.as_ref()),
        lists::neighbours(console, list, &event.row),
        console.view(app),
        ahead(console, source, &event.row, life.as_ref()),
        group(console, app, id),
        console.parts.store.later_of_record(app, id),
    );
    let masked = console.masked().map(|lacking| Masked {
        why: lacking.to_string(),
        advice: lacking.advice(),
        payload_kind: payload::parse(event.row.payload.as_deref().unwrap_or_default()).in_words().to_owned(),
    });
    let feed_uri = event.row.feed_uri.as_deref();
    let publisher = feed_uri.and_then(|uri| console.applications().find(|info| info.is_publisher_of(uri)));
    let payload = event.row.payload.as_deref().filter(|_| masked.is_none());
    let record_link = payload.and_then(|payload| publisher?.public_link(payload));
    let (mut same, same_missing) = around;
    present::complete_all(console, &mut same, TextLimit::LIST).await;
    if masked.is_some() {
        masking::mask_event(&mut event);
        present::mask(console, &mut same).await;
    } else if live {
        same.iter_mut().for_each(|row| row.payload = row.payload.as_deref().and_then(payload::reference));
        event.row.payload = event.row.payload.as_deref().and_then(payload::reference);
        if let Availability::Here(attempts) = &mut event.attempts {
            attempts.iter_mut().for_each(|attempt| attempt.payload = None);
        }
        event.earlier.iter_mut().for_each(|attempt| attempt.payload = None);
        if !console.parts.recent_views.stands(&actor.who, app, id, Instant::now()) {
            let entry =
                actor.entry(AuditKind::ErrorViewed).app(app).what(format!("failed event {id}, its page read again"));
            console.parts.audit.record(entry).await?;
            console.parts.recent_views.remember(&actor.who, app, id, Instant::now());
        }
    } else {
        same.iter_mut().for_each(|row| row.payload = row.payload.as_deref().and_then(payload::reference));
        let entry = actor.entry(AuditKind::PayloadViewed).app(app).what(format!("failed event {id}, its page"));
        console.parts.audit.record(entry).await?;
        console.parts.recent_views.remember(&actor.who, app, id, Instant::now());
    }
    fit(&mut event);
    let seen = view.and_then(|view| view.seen);
    let feed = seen.as_ref().and_then(|seen| find_feed(seen.feeds.here()?, event.row.feed_uri.as_deref()));
    Ok(EventPage {
        record_link,
        info: source.app().info.clone(),
        life,
        set_back,
        retry_refused: seen.as_ref().and_then(|seen| seen.retry_refused.clone()),
        ahead: ahead.ok(),
        last_seen_at_work: feed.and_then(|feed| feed.last_seen_at_work.clone()),
        feed: feed.cloned(),
        same_record: same,
        same_record_missing: same_missing,
        masked,
        applications: console.applications().cloned().collect(),
        names: console.named_feeds().await,
        group: group?,
        later: later?,
        previous: neighbours.0,
        next: neighbours.1,
        event,
    })
}

/// Bytes of a page for the first error, the payload and the latest error, for each time that they are shown.
const SHOWN: usize = 130_000;

/// Bytes of a page for the errors of all other attempts.
const OTHERS: usize = 600_000;

/// Bytes of a page for one attempt of an earlier failure.
const EARLIER: usize = 4_000;

/// Cuts the long texts of an event to what a page can contain of them together. Each can be downloaded whole.
fn fit(event: &mut FailedEvent) {
    for text in [&mut event.row.error, &mut event.row.payload].into_iter().flatten() {
        // Shown twice: parsed, and as stored.
        Room::new(2 * SHOWN).take(text, 2);
    }
    // For earlier failures, the page shows only what the error says.
    for attempt in &mut event.earlier {
        attempt.error_cut |= attempt.error.as_mut().is_some_and(|error| Room::new(EARLIER).take(error, 1));
    }
    let Availability::Here(attempts) = &mut event.attempts else { return };
    let (mut latest, mut others) = (Room::new(3 * SHOWN), Room::new(OTHERS));
    // The page shows the same error of consecutive attempts once, and must still recognize it as the same.
    let same = |one: &Attempt, next: &Attempt| one.error == next.error && one.error_cut == next.error_cut;
    for (number, alike) in attempts.chunk_by_mut(same).rev().enumerate() {
        let Some((first, rest)) = alike.split_first_mut() else { continue };
        if let Some(error) = &mut first.error {
            // The page shows the latest error three times: parsed, as stored, and among the attempts.
            first.error_cut |= if number == 0 { latest.take(error, 3) } else { others.take(error, 1) };
        }
        for attempt in rest {
            attempt.error.clone_from(&first.error);
            attempt.error_cut = first.error_cut;
        }
    }
}

/// Returns the group that the ledger counts a failed event to. `None` if the watcher has not seen it yet.
async fn group(console: &Console, app: &str, id: RowId) -> Result<Option<EventGroup>, Problem> {
    let Some(fault) = console.parts.store.fault_of(app, id).await? else { return Ok(None) };
    let group = groups::find(console, fault).await?;
    Ok(group.map(|group| EventGroup { fault, title: group.title.clone(), failed: group.failed(), note: group.note }))
}

/// Returns the rows of the retry log that the ledger knows of an event, if the table is long. `None` if the log must be
/// read.
async fn known_log(console: &Console, source: &Source, life: Option<&LedgerEvent>) -> Option<KnownLog> {
    let app = &source.app().info.key;
    let event_id = life?.event_id.clone()?;
    if !lists::is_long_and_known(console, app, EVENT_FROM_LEDGER) {
        return None;
    }
    let (ids, to) = console.parts.store.log_of_event(app, &event_id).await.ok()??;
    Some(KnownLog { event_id, ids, to })
}

/// Returns the other failed events of this one's record, in every application.
async fn same_record(
    console: &Console,
    row: &FailedEventRow,
    life: Option<&LedgerEvent>,
) -> (Vec<FailedEventRow>, Vec<MissingPart>) {
    let needle = row.payload.as_deref().and_then(record_uuid).or_else(|| row.event_id.as_deref().and_then(record_uuid));
    let Some(needle) = needle else { return (Vec::new(), Vec::new()) };
    // The ledger reads less of a long payload than this page does, so it is asked for its own id of the record.
    let known = life.and_then(|life| life.record.as_deref()).unwrap_or(&needle);
    let asked = console.sources().map(|source| {
        let own = source.app().info.key == row.app;
        let (except, needle) = (own.then_some(row.id), needle.as_str());
        async move {
            let answer = match known_of_record(console, source, if own { known } else { needle }, except).await {
                Some(known) => known.map(|rows| (rows, true)),
                None => source.same_record(needle, except, SAME_RECORD).await,
            };
            (source, answer)
        }
    });
    let mut rows = Vec::new();
    let mut missing = Vec::new();
    for (source, answer) in futures::future::join_all(asked).await {
        let info = source.app().info.clone();
        match answer {
            Ok((found, complete)) => {
                rows.extend(found);
                if !complete {
                    missing.push(MissingPart {
                        reason: format!("Only the newest failed events of {} were searched.", info.name),
                        advice: "Search for the uuid in the list of failed events.".into(),
                        app: info,
                    });
                }
            }
            Err(error) => missing.push(MissingPart { app: info, reason: error.reason, advice: error.advice }),
        }
    }
    (rows, missing)
}

/// As `same_record`, for one application with a long table: uses the ledger, which knows every row's record. `None` if
/// the source must answer, also if rows were removed or their ids belong to other events since the last poll.
async fn known_of_record(
    console: &Console,
    source: &Source,
    record: &str,
    except: Option<RowId>,
) -> Option<Result<Vec<FailedEventRow>, SourceError>> {
    let app = &source.app().info.key;
    if !lists::is_long_and_known(console, app, EVENT_FROM_LEDGER) {
        return None;
    }
    let known = console.parts.store.open_rows_of_record(app, record, except, SAME_RECORD).await.ok()?;
    let ids: Vec<RowId> = known.iter().map(|(id, _)| *id).collect();
    let mut rows = match source.rows(&ids, TextLimit::LIST).await {
        Ok(rows) => rows,
        Err(error) => return Some(Err(error)),
    };
    rows.sort_by_key(|row| std::cmp::Reverse(row.id));
    let same = rows.len() == known.len()
        && rows.iter().zip(&known).all(|(row, (id, event))| (row.id, &row.event_id) == (*id, event));
    same.then_some(Ok(rows))
}

/// Returns the number of waiting failed events of the feed with a lower id. The ledger is used if it agrees with the
/// table on this row: during a retry it may not have seen the others either.
async fn ahead(
    console: &Console,
    source: &Source,
    row: &FailedEventRow,
    life: Option<&LedgerEvent>,
) -> Result<u64, SourceError> {
    let (app, feed) = (&source.app().info.key, row.feed_uri.as_deref());
    if life.is_some_and(|life| life.retries == row.retries)
        && lists::is_long_and_known(console, app, EVENT_FROM_LEDGER)
        && let Ok(known) = console.parts.store.waiting_before(app, feed, row.id).await
    {
        return Ok(known);
    }
    source.ahead(feed, row.id).await
}

fn find_feed<'a>(feeds: &'a [Feed], uri: Option<&str>) -> Option<&'a Feed> {
    feeds.iter().find(|feed| feed.uri.as_deref() == uri)
}

/// The publisher's side of applications, kept for a while, so that a long table is not counted again for every page
/// view.
#[derive(Debug, Default)]
pub struct Publishers {
    kept: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Option<Publisher>>>>>,
}

/// Maximum age of an answer.
const FRESH: TimeDelta = TimeDelta::seconds(30);

impl Publishers {
    /// Returns what was last counted of an application, without counting anything.
    pub fn last(&self, app: &str) -> Option<Publisher> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(app)?.clone();
        kept.try_lock().ok()?.clone()
    }

    /// Returns what the application publishes, counted now or a moment ago. Ten users at once cost one count.
    ///
    /// # Errors
    /// Fails if the source does not answer.
    pub async fn of(&self, source: &Source) -> Result<Publisher, Problem> {
        let slot = {
            let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            kept.entry(source.app().info.key.clone()).or_default().clone()
        };
        let mut slot = slot.lock().await;
        let fresh = slot.as_ref().filter(|kept| kept.counted_at.at.is_some_and(|at| clock::now() - at < FRESH));
        if let Some(publisher) = fresh {
            return Ok(publisher.clone());
        }
        let publisher = source.publisher(slot.as_ref()).await?;
        *slot = Some(publisher.clone());
        Ok(publisher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_stands_for_an_hour_for_one_person_and_one_event() {
        let (recent_views, now) = (RecentViews::default(), Instant::now());
        recent_views.remember("asha", "odoo", RowId(1), now);
        for (who, app, id, seconds, stands) in [
            ("asha", "odoo", 1, 0, true),
            ("asha", "odoo", 1, 3_599, true),
            ("asha", "odoo", 1, 3_600, false),
            ("asha", "odoo", 2, 0, false),
            ("asha", "pacs", 1, 0, false),
            ("binta", "odoo", 1, 0, false),
        ] {
            let at = now + Duration::from_secs(seconds);
            assert_eq!(recent_views.stands(who, app, RowId(id), at), stands, "{who} {app} {id} {seconds}");
        }
        for id in 0..3 * MOST_VIEWS as i128 {
            recent_views.remember("asha", "odoo", RowId(id), now);
        }
        assert!(recent_views.0.len() <= MOST_VIEWS);
    }
}
