//! One poll of a source: markers, failed events per feed, the newest retries, and hazards.
//!
//! Markers and counts are read in one transaction. Each optional part has its own transaction and is left out if it
//! takes too long: a slow part must not make a source that answers appear down.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use crate::{
    model::{Availability, EventState, Marker, RowId, Stamp, obstacle::no_address, overview::NewRow},
    server::config::Application,
};

use super::{
    FeedFailures, NEWEST, Poll, Source, SourceError, SourceErrorKind,
    connection::{Record, Session},
    events::{push_count_of, push_least_of},
    publisher::dated,
    rows::{plain, stamp},
    schema::{Found, Schema, Table},
    sql,
};

/// Most markers, and most feed addresses of failed events, that a poll reads. A hospital has some dozens.
const FEEDS: usize = 500;

/// Number of newest rows of the retry log that are read for the last retries.
const LAST_RETRIES: u32 = 500;

/// Largest size at which failed_events is searched for duplicate pairs, in rows: the search sorts the table.
const PAIRS_SEARCHED_UP_TO: u64 = 100_000;

/// How long the result of that search is reused.
const PAIRS_LAST: Duration = Duration::from_secs(600);

/// Polls the source.
pub(super) async fn poll(source: &Source) -> Result<Poll, SourceError> {
    let mut session = source.pool.poll_session(&source.app).await?;
    let counts = markers_and_counts(&mut session).await;
    let mut poll = session.end(counts).await?;

    let mut session = source.pool.poll_session(&source.app).await?;
    let newest = newest(&mut session).await;
    poll.newest = if_in_time(session.end(newest).await)?;

    let mut session = source.pool.poll_session(&source.app).await?;
    let last_retries = last_retries(&mut session).await;
    poll.last_retries = if_in_time(session.end(last_retries).await)?;

    let rows: u64 = poll.failures.here().into_iter().flatten().map(|feed| feed.total).sum();
    if rows <= PAIRS_SEARCHED_UP_TO {
        let pairs = pairs_twice_lately(source).await?;
        if pairs > 0 {
            poll.hazards.push(format!(
                "{} more than once in failed_events. One success removes all rows of the pair.",
                counted(pairs, "pair of feed and event is", "pairs of feed and event are")
            ));
        }
    }
    Ok(poll)
}

/// Makes a part that took too long empty; any other error fails the whole poll.
fn if_in_time<T: Default>(part: Result<T, SourceError>) -> Result<T, SourceError> {
    match part {
        Err(error) if error.kind == SourceErrorKind::TimedOut => {
            tracing::debug!(reason = error.reason, "a part of a poll took too long and is left out");
            Ok(T::default())
        }
        other => other,
    }
}

/// Reads the required parts of a poll.
async fn markers_and_counts(session: &mut Session<'_>) -> Result<Poll, SourceError> {
    let app = session.link.app;
    let schema = session.schema.clone();
    let mut hazards = Vec::new();

    let (markers, marker_gap) = match schema.table(Table::Markers) {
        Ok(table) => (Availability::Here(markers(session, &table, &mut hazards).await?), marker_gap(&table)),
        Err(reason) => (Availability::NotHere(reason), None),
    };
    let failures = match schema.table(Table::FailedEvents) {
        Ok(table) => Availability::Here(failures(session, &table, &mut hazards).await?),
        Err(reason) => Availability::NotHere(reason),
    };
    if failures.here().is_some() && schema.lacks(Table::RetryLog) {
        hazards.push(
            "The table failed_event_retry_log does not exist. The retry counter cannot grow, so failing events are retried \
             forever."
                .to_owned(),
        );
    }
    Ok(Poll {
        server: schema.server.clone(),
        markers,
        marker_gap,
        failures,
        last_retries: Vec::new(),
        newest: Vec::new(),
        retry_refused: retry_refused(app, &schema),
        missing: schema.missing(),
        hazards,
    })
}

/// Returns the markers, without their hazards.
pub(super) async fn markers_alone(session: &mut Session<'_>) -> Result<Availability<Vec<Marker>>, SourceError> {
    let schema = session.schema.clone();
    Ok(match schema.table(Table::Markers) {
        Ok(table) => Availability::Here(markers(session, &table, &mut Vec::new()).await?),
        Err(reason) => Availability::NotHere(reason),
    })
}

/// Returns which part of a marker this table lacks, as a part of a sentence.
fn marker_gap(table: &Found<'_>) -> Option<String> {
    let columns = ["feed_uri", "feed_uri_for_last_read_entry", "last_read_entry_id"];
    let missing = columns.into_iter().find(|column| table.column(column).is_none())?;
    Some(format!("the table markers has no column {missing} that the account may read"))
}

async fn markers(
    session: &mut Session<'_>,
    table: &Found<'_>,
    hazards: &mut Vec<String>,
) -> Result<Vec<Marker>, SourceError> {
    let statement = session.link.statement(format!(
        "SELECT {}, {}, {} FROM {} ORDER BY 1 LIMIT {FEEDS}",
        table.text("feed_uri"),
        table.text("last_read_entry_id"),
        table.text("feed_uri_for_last_read_entry"),
        table.name
    ));
    let records = session.link.rows(statement).await?;
    if records.len() == FEEDS {
        hazards.push(format!("The table markers has {FEEDS} rows or more. Only {FEEDS} are shown."));
    }
    let read = |mut row: Record| {
        let mut text = || row.key().map(plain);
        Marker { feed_uri: text(), last_read_entry_id: text(), page_uri: text() }
    };
    Ok(records.into_iter().map(read).collect())
}

/// Returns the failed events per feed, from one pass over the table.
async fn failures(
    session: &mut Session<'_>,
    table: &Found<'_>,
    hazards: &mut Vec<String>,
) -> Result<Vec<FeedFailures>, SourceError> {
    let app = session.link.app;
    let (failed_at, no_date) = (table.expression("failed_at"), table.no_date("failed_at"));
    let text = |expression: String| sql::as_text(table.backend, &expression);
    let with_date = |time: &str| format!("CASE WHEN {no_date} THEN NULL ELSE {time} END");
    let mut statement = session.link.statement(format!(
        "SELECT {}, {}, {}, {}, {}, ",
        table.text("feed_uri"),
        text("COUNT(*)".to_owned()),
        text(format!("SUM(CASE WHEN {no_date} THEN 1 ELSE 0 END)")),
        table.text_of("failed_at", &format!("MIN({})", with_date(&failed_at))),
        table.text_of("failed_at", &format!("MAX({})", with_date(&failed_at))),
    ));
    push_count_of(&mut statement, app, table, EventState::Waiting, "1 = 1");
    statement.push(", ");
    push_count_of(&mut statement, app, table, EventState::Exhausted, "1 = 1");
    statement.push(", ");
    push_count_of(&mut statement, app, table, EventState::Exhausted, &no_date);
    statement.push(", ");
    push_count_of(&mut statement, app, table, EventState::Waiting, &no_date);
    statement.push(", ");
    push_least_of(&mut statement, app, table, EventState::Waiting, &with_date(&dated(table, "failed_at")));
    statement.push(format!(" FROM {}", table.name));
    if table.column("feed_uri").is_some() {
        statement.push(format!(" GROUP BY {} ORDER BY 1 LIMIT {FEEDS}", table.grouping("feed_uri", 1)));
    }
    let records = session.link.rows(statement).await?;
    if records.len() == FEEDS {
        hazards.push(format!("failed_events has {FEEDS} feeds or more. Only {FEEDS} are counted."));
    }

    let (mut failures, mut untimed) = (Vec::new(), 0);
    for mut record in records {
        let uri = record.key();
        let total = record.count();
        untimed += record.count();
        let oldest = stamp(app, table, "failed_at", record.text());
        let newest = stamp(app, table, "failed_at", record.text());
        let (waiting, exhausted) = (record.count(), record.count());
        let (timeless, timeless_waiting) = (record.count(), record.count());
        let oldest_waiting = stamp(app, table, "failed_at", record.text());
        // An empty table without a column of feed addresses still returns one row.
        if total > 0 {
            // Without an address there is no feed whose retries could be blocked.
            let (beyond_help, blocking) =
                if no_address(uri.as_deref()) { (exhausted, 0) } else { (timeless, timeless_waiting) };
            let feed =
                FeedFailures { uri, total, waiting, exhausted, beyond_help, blocking, oldest, newest, oldest_waiting };
            add(&mut failures, feed);
        }
    }
    if untimed > 0 && table.column("failed_at").is_some() {
        hazards.push(format!(
            "{} no time (failed_at is NULL or 0000-00-00). A waiting row without a time blocks all retries of its feed.",
            counted(untimed, "failed event has", "failed events have")
        ));
    }
    Ok(failures)
}

/// Adds the failed events of a feed. Two addresses that were cut can be equal: their failed events are counted
/// together.
fn add(failures: &mut Vec<FeedFailures>, more: FeedFailures) {
    let cut = more.uri.as_ref().is_some_and(|uri| uri.ends_with('…'));
    let Some(known) = failures.iter_mut().find(|known| cut && known.uri == more.uri) else {
        failures.push(more);
        return;
    };
    known.total += more.total;
    known.waiting += more.waiting;
    known.exhausted += more.exhausted;
    known.beyond_help += more.beyond_help;
    known.blocking += more.blocking;
    let at = |stamp: &Option<Stamp>| stamp.as_ref().and_then(|stamp| stamp.at);
    if at(&more.oldest).is_some_and(|oldest| at(&known.oldest).is_none_or(|known| oldest < known)) {
        known.oldest = more.oldest;
    }
    if at(&more.oldest_waiting).is_some_and(|oldest| at(&known.oldest_waiting).is_none_or(|known| oldest < known)) {
        known.oldest_waiting = more.oldest_waiting;
    }
    if at(&more.newest) > at(&known.newest) {
        known.newest = more.newest;
    }
}

/// Returns the number of duplicate pairs, counted now or not long ago.
async fn pairs_twice_lately(source: &Source) -> Result<u64, SourceError> {
    let known = *source.pairs_twice.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, pairs)) = known
        && at.elapsed() < PAIRS_LAST
    {
        return Ok(pairs);
    }
    let mut session = source.pool.poll_session(&source.app).await?;
    let pairs = pairs_twice(&mut session).await;
    // If it takes too long, the next poll does not try it again either.
    let pairs = if_in_time(session.end(pairs).await)?;
    *source.pairs_twice.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), pairs));
    Ok(pairs)
}

/// Returns the number of duplicate pairs. The consumer finds, changes and deletes a failed event by feed and event id:
/// to it, all rows of a pair are one event.
async fn pairs_twice(session: &mut Session<'_>) -> Result<u64, SourceError> {
    let schema = session.schema.clone();
    let Ok(table) = schema.table(Table::FailedEvents) else { return Ok(0) };
    if table.column("feed_uri").is_none() || table.column("event_id").is_none() {
        return Ok(0);
    }
    let (feed, event) = (table.expression("feed_uri"), table.expression("event_id"));
    let statement = session.link.statement(format!(
        "SELECT {} FROM (SELECT {feed} FROM {} WHERE {feed} IS NOT NULL AND {event} IS NOT NULL \
         GROUP BY {feed}, {event} HAVING COUNT(*) > 1) AS pairs",
        sql::as_text(table.backend, "COUNT(*)"),
        table.name
    ));
    Ok(session.link.row(statement).await?.count())
}

/// Returns the newest failed events by id.
async fn newest(session: &mut Session<'_>) -> Result<Vec<NewRow>, SourceError> {
    let schema = session.schema.clone();
    let Ok(table) = schema.table(Table::FailedEvents) else { return Ok(Vec::new()) };
    let statement = session.link.statement(format!(
        "SELECT {}, {} FROM {} ORDER BY {} DESC LIMIT {NEWEST}",
        table.text("id"),
        table.text("feed_uri"),
        table.name,
        table.expression("id")
    ));
    let records = session.link.rows(statement).await?;
    let read = |mut row: Record| Some(NewRow { id: RowId(row.number()?), feed_uri: row.key() });
    Ok(records.into_iter().filter_map(read).collect())
}

/// Returns when a retry last failed, per feed address.
async fn last_retries(session: &mut Session<'_>) -> Result<Vec<(Option<String>, Stamp)>, SourceError> {
    let app = session.link.app;
    let schema = session.schema.clone();
    let Ok(table) = schema.table(Table::RetryLog) else { return Ok(Vec::new()) };
    let statement = session.link.statement(format!(
        "SELECT {}, {} FROM {} ORDER BY {} DESC LIMIT {LAST_RETRIES}",
        table.text("feed_uri"),
        table.text("failed_at"),
        table.name,
        table.expression("id")
    ));
    let mut newest: Vec<(Option<String>, Stamp)> = Vec::new();
    for mut record in session.link.rows(statement).await? {
        let uri = record.key();
        let Some(at) = stamp(app, &table, "failed_at", record.text()) else { continue };
        if !newest.iter().any(|(known, _)| *known == uri) {
            newest.push((uri, at));
        }
    }
    Ok(newest)
}

/// Returns why `reset` would fail, as a sentence; `None` if it would work.
pub(super) fn retry_refused(app: &Application, schema: &Schema) -> Option<String> {
    let name = &app.info.name;
    if app.info.read_only {
        return Some(format!("{name} is read-only (read_only in the configuration)."));
    }
    let table = match schema.table(Table::FailedEvents) {
        Ok(table) => table,
        Err(reason) => return Some(format!("Nothing can be retried in {name}: {reason}.")),
    };
    let Some(retries) = table.column("retries") else {
        return Some(format!(
            "Nothing can be retried in {name}: the table failed_events has no column retries that the account may read."
        ));
    };
    // Without these columns it is unknown which rows a retry would help.
    if let Some(missing) = ["feed_uri", "failed_at"].into_iter().find(|column| table.column(column).is_none()) {
        return Some(format!(
            "Nothing can be retried in {name}: the table failed_events has no column {missing} that the account may read."
        ));
    }
    if let Some(reason) = &schema.write_refused {
        return Some(format!("Nothing can be written in {name}: {reason}."));
    }
    let needed = super::reset::columns_written(&table, retries);
    let forbidden = needed.iter().find(|column| !column.may_update)?;
    Some(format!(
        "The account {} may not change {} in failed_events of {name}: grant it UPDATE on that column.",
        app.database.user, forbidden.name
    ))
}

/// Returns `1 marker` or `3 markers`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
