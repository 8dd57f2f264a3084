//! Reads single failed events: one in full, its long texts, its attempts, and related ones by event, record and feed.
//! Changes nothing.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use chrono::{DateTime, Utc};

use crate::{
    model::{
        Attempt, Availability, Backend, EventState, FailedEvent, FailedEventRow, RowId,
        feed::tail_of,
        filter::{Direction, Order},
    },
    server::config::Application,
};

use super::{
    KnownLog, LongText, SourceError, TextLimit,
    connection::{Record, Session},
    fault,
    list::{
        Walk, chosen_rows, failed_events, push_feed, push_search, push_state, push_window, read_rows, rows_by_id,
        window_bound,
    },
    rows::{
        ATTEMPT_COLUMNS, AttemptTexts, attempt_columns, failed_event_columns, read_attempt, read_failed_event, stamp,
    },
    schema::{Found, Table},
    sql::{self, Statement},
};

/// Most rows with one event id that are returned.
const ROWS_OF_EVENT: u32 = 100;

/// Most attempts of one event id that are returned.
const ATTEMPTS_OF_EVENT: usize = 1000;

/// Most bytes that are held of an event's attempts: enough for a thousand attempts with a payload and the longest error
/// that the consumers write, 4,000 characters. If they are longer, only the newest are returned.
const BYTES_OF_ATTEMPTS: usize = 8 << 20;

/// Most rows of the retry log that are counted for one event.
const ATTEMPTS_COUNTED: u32 = 10_000;

/// Returns one failed event with its attempts. `first_sight`: when its row was first seen, or the `failed_at` that it
/// had then.
pub(super) async fn event(
    session: &mut Session<'_>,
    id: RowId,
    first_sight: Option<DateTime<Utc>>,
    known: Option<&KnownLog>,
) -> Result<Option<FailedEvent>, SourceError> {
    let app = session.link.app;
    let schema = session.schema.clone();
    let table = failed_events(app, &schema)?;
    let texts = TextLimit(FailedEvent::TEXT_LIMIT);
    let length = |column: &str| match table.backend {
        Backend::MySql | Backend::Postgres => format!("CHAR_LENGTH({})", table.long_text(column)),
        // SQLite counts characters only up to a NUL: the length of a text that contains one is NULL here.
        Backend::Sqlite => {
            let text = table.long_text(column);
            format!("CASE WHEN INSTR(CAST({text} AS BLOB), X'00') = 0 THEN LENGTH({text}) END")
        }
    };
    let mut statement = session.link.statement(format!(
        "SELECT {}, {}, {}, {} FROM {} WHERE {} = ",
        failed_event_columns(&table, texts),
        table.text("error_hash_code"),
        sql::as_text(table.backend, &length("error_message")),
        sql::as_text(table.backend, &length("event_content")),
        table.name,
        table.expression("id"),
    ));
    statement.id(&table.id, id);
    let Some(mut record) = session.link.rows(statement).await?.into_iter().next() else { return Ok(None) };
    let row = read_failed_event(app, &table, texts, &mut record);
    let error_hash_code = record.number();
    let (error_chars, payload_chars) = (record.number(), record.number());
    let error_chars = match error_chars {
        None if row.error.is_some() => counted(session, id, LongText::Error).await?,
        counted => counted.unwrap_or_default(),
    };
    let payload_chars = match payload_chars {
        None if row.payload.is_some() => counted(session, id, LongText::Payload).await?,
        counted => counted.unwrap_or_default(),
    };
    let known = known.filter(|known| row.event_id.as_ref() == Some(&known.event_id));
    let tried = tried(session, &row, row.present_since(first_sight), known).await?;
    let Tried { attempts, attempts_total, earlier, earlier_total } = tried;
    Ok(Some(FailedEvent {
        row,
        error_chars,
        payload_chars,
        error_hash_code,
        attempts,
        attempts_total,
        earlier,
        earlier_total,
    }))
}

/// Returns the number of characters of a text, which is read in full and counted here.
async fn counted(session: &mut Session<'_>, id: RowId, which: LongText) -> Result<u64, SourceError> {
    let whole = text(session, id, which, 0, u32::MAX).await?.unwrap_or_default();
    Ok(whole.chars().count() as u64)
}

/// The rows of the retry log for a failed event: see [`FailedEvent`].
struct Tried {
    attempts: Availability<Vec<Attempt>>,
    attempts_total: u64,
    earlier: Vec<Attempt>,
    earlier_total: u64,
}

/// Returns the attempts of a failed event. Those before `since` belong to an earlier failure.
///
/// They are found by event id: start scripts rewrite host names in failed_events but not in the retry log. The same
/// event may also have failed on another feed: if both addresses are known, only attempts of the same feed, on whatever
/// host, belong to this row.
async fn tried(
    session: &mut Session<'_>,
    row: &FailedEventRow,
    since: Option<DateTime<Utc>>,
    known: Option<&KnownLog>,
) -> Result<Tried, SourceError> {
    let none = |attempts| Tried { attempts, attempts_total: 0, earlier: Vec::new(), earlier_total: 0 };
    let app = session.link.app;
    let schema = session.schema.clone();
    let log = match schema.table(Table::RetryLog) {
        Ok(log) => log,
        Err(reason) => return Ok(none(Availability::NotHere(reason))),
    };
    let (Some(event_id), Some(_)) = (&row.event_id, log.column("event_id")) else {
        return Ok(none(Availability::Here(Vec::new())));
    };
    // The log has no index on the event's id: it is scanned once for the ids alone, and the texts are then read by id.
    // Known rows and the few newer ones are found by the primary key.
    let columns = [log.text("id"), log.text("feed_uri"), log.text("failed_at")].join(", ");
    let id = log.expression("id");
    let mut parts = Vec::new();
    match known {
        None => parts.push(session.link.statement("1 = 1")),
        Some(known) => {
            let mut new = session.link.statement(format!("{id} > "));
            new.id(&log.id, known.to);
            parts.push(new);
            for ids in known.ids.chunks(ROWS_OF_EVENT as usize) {
                let mut part = session.link.statement("");
                part.id_in(&id, &log.id, ids.iter().copied());
                parts.push(part);
            }
        }
    }
    let mut found = Vec::new();
    for mut statement in parts {
        statement.text = format!("SELECT {columns} FROM {} WHERE {} AND ", log.name, statement.text);
        statement.equals_key(&log.expression("event_id"), event_id);
        statement.push(format!(" ORDER BY {id} DESC LIMIT {ATTEMPTS_COUNTED}"));
        found.extend(session.link.rows(statement).await?);
    }
    let this = tail_of(row.feed_uri.as_deref());
    let mut of_event: Vec<(RowId, Option<DateTime<Utc>>)> = found
        .into_iter()
        .filter_map(|mut record| Some((RowId(record.number()?), record.key(), record.text())))
        .filter(|(_, uri, _)| tail_of(uri.as_deref()).is_none_or(|feed| this.is_none_or(|this| this == feed)))
        .map(|(id, _, at)| (id, stamp(app, &log, "failed_at", at).and_then(|stamp| stamp.at)))
        .collect();
    of_event.sort_by_key(|(id, _)| Reverse(*id));
    let times: Vec<_> = of_event.iter().map(|(_, at)| *at).collect();
    let (mut present, mut earlier) = (Vec::new(), Vec::new());
    for ((id, _), counts) in of_event.into_iter().zip(row.present_attempts(since, &times)) {
        let kind = if counts { &mut present } else { &mut earlier };
        kind.push(id);
    }
    let present_shown = present.iter().take(FailedEvent::ATTEMPT_LIMIT as usize);
    let earlier_shown: BTreeSet<RowId> = earlier.iter().take(FailedEvent::EARLIER_LIMIT as usize).copied().collect();
    let mut condition = session.link.statement("1 = 0");
    for id in present_shown.chain(&earlier_shown) {
        condition.push(format!(" OR {} = ", log.expression("id"))).id(&log.id, *id);
    }
    let limit = FailedEvent::ATTEMPT_LIMIT + FailedEvent::EARLIER_LIMIT;
    let texts = AttemptTexts { error: FailedEvent::ATTEMPT_TEXT_LIMIT, payload: None };
    let shown = newest_attempts(session, &log, condition, limit, texts).await?;
    let (of_earlier, mut attempts): (Vec<_>, Vec<_>) =
        shown.into_iter().partition(|attempt: &Attempt| earlier_shown.contains(&attempt.id));
    if let Some(latest) = attempts.last_mut().filter(|latest| latest.error_cut) {
        let mut alone = session.link.statement(format!("{} = ", log.expression("id")));
        alone.id(&log.id, latest.id);
        let texts = AttemptTexts { error: FailedEvent::TEXT_LIMIT, payload: None };
        if let Some(more) = newest_attempts(session, &log, alone, 1, texts).await?.pop() {
            *latest = more;
        }
    }
    Ok(Tried {
        attempts: Availability::Here(attempts),
        attempts_total: present.len() as u64,
        earlier: of_earlier,
        earlier_total: earlier.len() as u64,
    })
}

/// Returns the existing rows of the retry log with these ids.
pub(super) async fn attempts(
    session: &mut Session<'_>,
    ids: &[RowId],
    texts: TextLimit,
) -> Result<Vec<Attempt>, SourceError> {
    let schema = session.schema.clone();
    let Ok(log) = schema.table(Table::RetryLog) else { return Ok(Vec::new()) };
    let texts = AttemptTexts { error: texts.of_errors().0, payload: None };
    let mut attempts = Vec::with_capacity(ids.len());
    for ids in ids.chunks(ROWS_OF_EVENT as usize) {
        let mut condition = session.link.statement("");
        condition.id_in(&log.expression("id"), &log.id, ids.iter().copied());
        attempts.extend(newest_attempts(session, &log, condition, ROWS_OF_EVENT, texts).await?);
    }
    Ok(attempts)
}

/// Number of newest rows of the retry log that are read while the ledger does not know the log yet.
const NEWEST_OF_LOG: i128 = 20_000;

/// Returns the newest attempt of the present failure of each of these rows, as far as the end of the retry log shows
/// it.
pub(super) async fn newest_of_rows(
    session: &mut Session<'_>,
    rows: &[FailedEventRow],
    texts: TextLimit,
) -> Result<HashMap<RowId, Attempt>, SourceError> {
    let app = session.link.app;
    let schema = session.schema.clone();
    let Ok(log) = schema.table(Table::RetryLog) else { return Ok(HashMap::new()) };
    let events: Vec<String> = rows.iter().filter_map(|row| row.event_id.clone()).collect();
    if log.column("event_id").is_none() || events.is_empty() {
        return Ok(HashMap::new());
    }
    let id = log.expression("id");
    let highest = sql::as_text(log.backend, &format!("MAX({id})"));
    let highest = session.link.statement(format!("SELECT {highest} FROM {}", log.name));
    let Some(highest) = session.link.row(highest).await?.number::<i128>() else { return Ok(HashMap::new()) };
    let columns = [log.text("id"), log.text("feed_uri"), log.text("failed_at"), log.text("event_id")].join(", ");
    let mut statement = session.link.statement(format!("SELECT {columns} FROM {} WHERE {id} > ", log.name));
    statement.id(&log.id, RowId(highest.saturating_sub(NEWEST_OF_LOG)));
    statement.push(" AND ").text_in(&log.expression("event_id"), &events);
    statement.push(format!(" ORDER BY {id} DESC LIMIT {ATTEMPTS_COUNTED}"));
    let read = |mut record: Record| {
        let (id, uri) = (RowId(record.number()?), record.key());
        let at = stamp(app, &log, "failed_at", record.text()).and_then(|stamp| stamp.at);
        Some((id, uri, at, record.key()))
    };
    let found: Vec<_> = session.link.rows(statement).await?.into_iter().filter_map(read).collect();
    let newest: HashMap<RowId, RowId> = rows
        .iter()
        .filter_map(|row| {
            let (this, since) = (tail_of(row.feed_uri.as_deref()), row.present_since(None));
            let of_row = found.iter().filter(|(_, uri, _, event)| {
                let same_feed = tail_of(uri.as_deref()).is_none_or(|feed| this.is_none_or(|this| this == feed));
                *event == row.event_id && same_feed
            });
            let (ids, times): (Vec<RowId>, Vec<_>) = of_row.map(|(id, _, at, _)| (*id, *at)).unzip();
            let present = ids.into_iter().zip(row.present_attempts(since, &times));
            present.into_iter().find_map(|(id, counts)| counts.then_some((row.id, id)))
        })
        .collect();
    let ids: Vec<RowId> = newest.values().copied().collect();
    let attempts = attempts(session, &ids, texts).await?;
    let by_id: HashMap<RowId, Attempt> = attempts.into_iter().map(|attempt| (attempt.id, attempt)).collect();
    Ok(newest.into_iter().filter_map(|(row, id)| Some((row, by_id.get(&id)?.clone()))).collect())
}

async fn newest_attempts(
    session: &mut Session<'_>,
    log: &Found<'_>,
    condition: Statement,
    limit: u32,
    texts: AttemptTexts,
) -> Result<Vec<Attempt>, SourceError> {
    let mut statement = condition;
    statement.text = format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {} DESC LIMIT {limit}",
        attempt_columns(log, texts).join(", "),
        log.name,
        statement.text,
        log.expression("id"),
    );
    let app = session.link.app;
    let mut attempts: Vec<Attempt> = session
        .link
        .rows(statement)
        .await?
        .into_iter()
        .map(|mut record| read_attempt(app, log, texts, &mut record))
        .collect();
    attempts.reverse();
    Ok(attempts)
}

/// Returns whether a row of the retry log is an attempt of a failed event: whether both have the same event id.
pub(super) async fn is_attempt_of(session: &mut Session<'_>, attempt: RowId, id: RowId) -> Result<bool, SourceError> {
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    let Ok(log) = schema.table(Table::RetryLog) else { return Ok(false) };
    let mut statement = session.link.statement(format!(
        "SELECT {} FROM {}, {} WHERE {} = {} AND {} = ",
        log.text("id"),
        log.name,
        table.name,
        log.expression("event_id"),
        table.expression("event_id"),
        log.expression("id"),
    ));
    statement.id(&log.id, attempt);
    statement.push(format!(" AND {} = ", table.expression("id"))).id(&table.id, id);
    Ok(!session.link.rows(statement).await?.is_empty())
}

/// Returns a piece of a long text.
pub(super) async fn text(
    session: &mut Session<'_>,
    id: RowId,
    which: LongText,
    offset: u64,
    chars: u32,
) -> Result<Option<String>, SourceError> {
    let schema = session.schema.clone();
    let (table, id) = match which {
        LongText::Error | LongText::Payload => (failed_events(session.link.app, &schema)?, id),
        LongText::Attempt(attempt) => match schema.table(Table::RetryLog) {
            Ok(log) => (log, attempt),
            Err(_) => return Ok(None),
        },
    };
    let column = table.long_text(match which {
        LongText::Error | LongText::Attempt(_) => "error_message",
        LongText::Payload => "event_content",
    });
    // SQLite's text functions stop at a NUL, so the piece is cut out here.
    let sqlite = table.backend == Backend::Sqlite;
    let piece = if sqlite {
        format!("CAST({column} AS BLOB)")
    } else {
        format!("SUBSTRING({column}, {}, {chars})", offset.saturating_add(1).min(i32::MAX as u64))
    };
    let mut statement =
        session.link.statement(format!("SELECT {piece} FROM {} WHERE {} = ", table.name, table.expression("id")));
    statement.id(&table.id, id);
    let Some(mut record) = session.link.rows(statement).await?.into_iter().next() else { return Ok(None) };
    let text = record.text().unwrap_or_default();
    Ok(Some(if sqlite {
        text.chars().skip(usize::try_from(offset).unwrap_or(usize::MAX)).take(chars as usize).collect()
    } else {
        text
    }))
}

/// Returns the rows with these ids that are in the table, in any order.
pub(super) async fn rows(
    session: &mut Session<'_>,
    ids: &[RowId],
    texts: TextLimit,
) -> Result<Vec<FailedEventRow>, SourceError> {
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    rows_by_id(session, &table, ids, texts).await
}

/// Returns the rows of `failed_events` with this event id, lowest id first.
pub(super) async fn rows_of_event(
    session: &mut Session<'_>,
    event_id: &str,
) -> Result<Vec<FailedEventRow>, SourceError> {
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    let texts = TextLimit::LIST;
    // In one statement: there are few rows, and no index helps to find them, whichever columns are read.
    let columns = failed_event_columns(&table, texts);
    let mut statement = session.link.statement(format!("SELECT {columns} FROM {} WHERE ", table.name));
    statement.equals_key(&table.expression("event_id"), event_id);
    statement.push(format!(" ORDER BY {} LIMIT {ROWS_OF_EVENT}", table.expression("id")));
    read_rows(session, &table, statement, texts).await
}

/// Returns the rows of the retry log with this event id, oldest first; `None` if no failed event has it.
///
/// Normally one statement: the log's rows and, unless the event is `known`, one extra row that shows whether there is
/// such a failed event. The id is compared with each table separately, because their columns can differ in character
/// set and then cannot be compared with each other. The extra row has the log's own columns, without values: MariaDB
/// from 11.8 on refuses a union of columns that differ in character set, and a NULL cast to text has the connection's.
/// The rows are read oldest first, because that is the quicker direction to scan a table; if there are too many of them,
/// the newest are read by a second statement.
pub(super) async fn attempts_of_event(
    session: &mut Session<'_>,
    event_id: &str,
    known: bool,
) -> Result<Option<Vec<Attempt>>, SourceError> {
    let app = session.link.app;
    let schema = session.schema.clone();
    let table = failed_events(app, &schema)?;
    let log = schema.table(Table::RetryLog).map_err(|reason| fault::not_here(app, &reason))?;
    let texts = AttemptTexts { error: FailedEvent::TEXT_LIMIT, payload: Some(FailedEvent::TEXT_LIMIT) };
    // MySQL requires distinct names for the columns of a sub-select.
    let named = |columns: [String; ATTEMPT_COLUMNS]| {
        let named = columns.iter().enumerate().map(|(place, column)| format!("{column} AS c{place}"));
        named.collect::<Vec<_>>().join(", ")
    };
    let columns = named(attempt_columns(&log, texts));
    let push_log = |statement: &mut Statement, way: &str, most: usize| {
        statement.push(format!("SELECT {columns} FROM {} WHERE ", log.name));
        statement.equals_key(&log.expression("event_id"), event_id);
        statement.push(format!(" ORDER BY {} {way} LIMIT {most}", log.expression("id")));
    };
    let mut statement = session.link.statement("");
    if known {
        push_log(&mut statement, "ASC", ATTEMPTS_OF_EVENT + 1);
    } else {
        statement
            .push(format!("SELECT * FROM (SELECT {columns} FROM (SELECT 1 AS one FROM {} WHERE ", table.name))
            .equals_key(&table.expression("event_id"), event_id)
            .push(format!(" LIMIT 1) failed LEFT JOIN {} ON 1 = 0) failure UNION ALL SELECT * FROM (", log.name));
        push_log(&mut statement, "ASC", ATTEMPTS_OF_EVENT + 1);
        statement.push(") attempts");
    }
    let (mut records, whole) = session.link.rows_within::<Record>(statement, BYTES_OF_ATTEMPTS).await?;
    let read = records.len();
    records.retain(Record::begins_with_a_number);
    let mut there = records.len() < read;
    if !whole || records.len() > ATTEMPTS_OF_EVENT {
        let mut newest = session.link.statement("");
        push_log(&mut newest, "DESC", ATTEMPTS_OF_EVENT);
        (records, _) = session.link.rows_within::<Record>(newest, BYTES_OF_ATTEMPTS).await?;
    }
    let mut attempts: Vec<Attempt> = records.iter_mut().map(|record| read_attempt(app, &log, texts, record)).collect();
    // A known event may have been deleted with its log meanwhile, and the extra row may be among the rows cut off.
    if if known { attempts.is_empty() } else { !whole && !there } {
        let mut statement = session.link.statement(format!("SELECT 1 FROM {} WHERE ", table.name));
        statement.equals_key(&table.expression("event_id"), event_id).push(" LIMIT 1");
        there = !session.link.rows(statement).await?.is_empty();
    } else {
        there |= known;
    }
    // No database promises the order of a union's parts.
    attempts.sort_by_key(|attempt| attempt.id);
    Ok(there.then_some(attempts))
}

/// Returns failed events of the same record, newest id first, and whether the whole table was searched.
pub(super) async fn same_record(
    session: &mut Session<'_>,
    needle: &str,
    except: Option<RowId>,
    limit: u32,
) -> Result<(Vec<FailedEventRow>, bool), SourceError> {
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    let walk = Walk::new(Order::IdDown, false, Direction::Forward, None);
    let bound = window_bound(session, &table, &walk).await?;
    let mut chosen = session.link.statement("1 = 1");
    push_window(&mut chosen, &table, &walk, bound.map(|(id, _)| id));
    if let Some(except) = except {
        chosen.push(format!(" AND {} <> ", table.expression("id"))).id(&table.id, except);
    }
    push_search(&mut chosen, &table, &["event_content", "event_id"], needle);
    let rows = chosen_rows(session, &table, chosen, &walk.order_by(&table), limit, TextLimit::LIST).await?;
    Ok((rows, !bound.is_some_and(|(_, more)| more)))
}

/// Appends, as text, the number of rows that are in a state and for which a condition holds.
pub(super) fn push_count_of(
    statement: &mut Statement,
    app: &Application,
    table: &Found<'_>,
    state: EventState,
    condition: &str,
) {
    statement.as_text(|statement| {
        statement.push(format!("SUM(CASE WHEN {condition}"));
        push_state(statement, app, table, state);
        statement.push(" THEN 1 ELSE 0 END)");
    });
}

/// Appends, as text, the least value of an expression among the rows in a state.
pub(super) fn push_least_of(
    statement: &mut Statement,
    app: &Application,
    table: &Found<'_>,
    state: EventState,
    expression: &str,
) {
    statement.as_text(|statement| {
        statement.push("MIN(CASE WHEN 1 = 1");
        push_state(statement, app, table, state);
        statement.push(format!(" THEN {expression} END)"));
    });
}

/// Returns the number of waiting failed events of the feed with a lower id.
pub(super) async fn ahead(session: &mut Session<'_>, feed: Option<&str>, id: RowId) -> Result<u64, SourceError> {
    let app = session.link.app;
    let schema = session.schema.clone();
    let table = failed_events(app, &schema)?;
    let count = sql::as_text(table.backend, "COUNT(*)");
    let mut statement =
        session.link.statement(format!("SELECT {count} FROM {} WHERE {} < ", table.name, table.expression("id")));
    statement.id(&table.id, id);
    push_feed(&mut statement, &table, feed);
    push_state(&mut statement, app, &table, EventState::Waiting);
    Ok(session.link.row(statement).await?.count())
}
