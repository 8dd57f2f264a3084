//! The watcher's reads to keep its ledger up to date: sums of ranges, the keys of a range, new rows with their texts,
//! the retry log from an id on, and the identity of the database.
//!
//! All reads use the primary key, the only index. No statement reads more rows than its limit, except the sums, which
//! are one pass over the table without the long texts.

use std::collections::BTreeSet;

use crate::{
    model::{Backend, FailedEventRow, RowId, Stamp},
    server::digest::{self, Digest},
};

use super::{
    SourceError, SourceErrorKind, TextLimit,
    connection::{Record, Session},
    list::failed_events,
    postgres,
    rows::{failed_event_columns, read_failed_event, stamp},
    schema::{Found, Table},
    sql, sqlite,
};

/// Number of characters of texts that the watcher reads: the consumers cut both at 4,000.
const TEXTS: TextLimit = TextLimit(4_000);

/// Highest id that the ledger can hold: 63 bits.
const WIDEST: &str = "9223372036854775807";

/// What a poll without changes reads of the source: identity, span, sums, and the end of the retry log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSums {
    /// Distinguishes this database from another one at the same address. `None` if this source cannot do that.
    pub identity: Option<String>,
    /// The lowest and the highest id, as far as the ledger can hold them; `None` if there are no rows.
    pub span: Option<(i64, i64)>,
    /// There are rows with larger ids.
    pub beyond: bool,
    /// The sums by bucket, of the requested width. Buckets without rows are left out.
    pub buckets: Vec<(i64, Digest)>,
    /// The newest rows of the retry log, highest id first, each with a text that distinguishes it from a later row with
    /// the same id; `None` if there is no such table.
    pub log: Option<Vec<(i64, String)>>,
    /// The database rewrites `failed_at` with every change of a row.
    pub moves: bool,
}

/// The key of a row, and what can change in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowKey {
    pub id: i64,
    pub feed_uri: Option<String>,
    pub event_id: Option<String>,
    pub retries: Option<i64>,
    /// A number that the source calculates from event id and feed.
    pub mark: i64,
}

/// A row with its texts, as long as the consumers write them.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeRow {
    pub row: FailedEventRow,
    pub mark: i64,
}

/// A row of the retry log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    pub id: i64,
    pub feed_uri: Option<String>,
    pub event_id: Option<String>,
    pub failed_at: Option<Stamp>,
    pub error: Option<String>,
}

/// Number of newest rows of the retry log that a poll reads: transactions may commit in another order than their ids.
const LOG_TAIL: u32 = 200;

/// Returns the sums of the whole table by buckets, whose width `choose` returns for the span of its ids; no width, no
/// sums.
pub(super) async fn table_sums(
    session: &mut Session<'_>,
    choose: impl FnOnce(Option<(i64, i64)>) -> Option<i64>,
) -> Result<TableSums, SourceError> {
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    let identity = identity(session, &table).await?;
    let id = table.expression("id");
    let ends = session.link.statement(format!(
        "SELECT (SELECT {} FROM {name}), (SELECT {} FROM {name})",
        sql::as_text(table.backend, &format!("MIN({id})")),
        sql::as_text(table.backend, &format!("MAX({id})")),
        name = table.name
    ));
    let mut ends = session.link.row(ends).await?;
    let (lowest, highest) = (ends.number::<i128>(), ends.number::<i128>());
    let beyond = highest.is_some_and(|highest| highest > i64::MAX.into());
    let span = lowest
        .zip(highest)
        .and_then(|(lowest, highest)| Some((i64::try_from(lowest).ok()?, i64::try_from(highest).unwrap_or(i64::MAX))));
    let width = choose(span);
    let buckets = match span.zip(width) {
        Some((span, width)) => digests(session, span, width).await?,
        None => Vec::new(),
    };
    let log = log_tail(session, LOG_TAIL).await?;
    let moves = table.column("failed_at").is_some_and(|column| column.moves);
    Ok(TableSums { identity, span, beyond, buckets, log, moves })
}

/// Returns the sums of the rows with ids from the first to the last, by bucket.
pub(super) async fn digests(
    session: &mut Session<'_>,
    (first, last): (i64, i64),
    width: i64,
) -> Result<Vec<(i64, Digest)>, SourceError> {
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    let (id, column) = (table.expression("id"), &table.id);
    let (signed, retries) = numbers(&table);
    let bucket = match table.backend {
        Backend::MySql => format!("{signed} DIV {width}"),
        Backend::Postgres | Backend::Sqlite => format!("{signed} / {width}"),
    };
    let mut columns = vec![bucket.clone(), "COUNT(*)".to_owned()];
    columns.extend(digest::sums(&signed, &retries, &mark(&table)));
    let columns: Vec<String> = columns.iter().map(|column| sql::as_text(table.backend, column)).collect();
    let mut statement = session.link.statement(format!("SELECT {} FROM {}", columns.join(", "), table.name));
    statement.push(format!(" WHERE {id} >= ")).id(column, RowId(first.into()));
    statement.push(format!(" AND {id} <= ")).id(column, RowId(last.into()));
    statement.push(format!(" GROUP BY {bucket}"));
    let read = |mut row: Record| {
        let number = row.number()?;
        let mut next = || row.number().unwrap_or_default();
        Some((number, Digest { rows: next(), ids: next(), retries: next(), mixed: next() }))
    };
    Ok(session.link.rows(statement).await?.into_iter().filter_map(read).collect())
}

/// Returns expressions for id and retries as signed numbers that are never NULL.
fn numbers(table: &Found<'_>) -> (String, String) {
    let (id, retries) = (table.expression("id"), table.expression("retries"));
    let none = digest::NO_RETRIES;
    match table.backend {
        // In MySQL, an unsigned number makes the whole calculation unsigned, and results below zero are an error.
        Backend::MySql => (format!("CAST({id} AS SIGNED)"), format!("CAST(COALESCE({retries}, {none}) AS SIGNED)")),
        Backend::Postgres => (format!("({id})::bigint"), format!("COALESCE({retries}, {none})::bigint")),
        Backend::Sqlite => (format!("CAST({id} AS INTEGER)"), format!("CAST(COALESCE({retries}, {none}) AS INTEGER)")),
    }
}

/// Returns an expression for a number calculated from event id and feed. It must be the same only within one database.
fn mark(table: &Found<'_>) -> String {
    let text = |column: &str| format!("COALESCE({}, '')", table.long_text(column));
    let (event, feed) = (text("event_id"), text("feed_uri"));
    match table.backend {
        Backend::MySql => format!("CAST(CRC32(CONCAT({event}, '|', {feed})) AS SIGNED)"),
        Backend::Postgres => format!("hashtext({event} || '|' || {feed})::bigint"),
        // SQLite has no hash function: uses the end of the id, where uuids differ, and some letters of the address.
        Backend::Sqlite => {
            let letter = |text: &str, at: i32| format!("COALESCE(UNICODE(SUBSTR({text}, {at}, 1)), 0)");
            let of_event = (1..=8_u32).map(|at| (letter(&event, -(at as i32)), 31_i64.pow(at - 1)));
            let of_feed = [8, 10, 12, 14, 16].map(|at| (letter(&feed, at), 1_000_003 * i64::from(at)));
            let length = (format!("LENGTH({feed})"), 7_368_787);
            let parts = of_event.chain(of_feed).chain([length]).map(|(value, times)| format!("{value} * {times}"));
            format!("({})", parts.collect::<Vec<_>>().join(" + "))
        }
    }
}

/// Returns the keys of the rows with ids from the first to the last, lowest first: at most `limit`.
pub(super) async fn keys(
    session: &mut Session<'_>,
    (first, last): (i64, i64),
    limit: u32,
) -> Result<Vec<RowKey>, SourceError> {
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    let id = table.expression("id");
    let mut statement = session.link.statement(format!(
        "SELECT {}, {}, {}, {}, {} FROM {} WHERE {id} >= ",
        table.text("id"),
        table.text("feed_uri"),
        table.text("event_id"),
        table.text("retries"),
        sql::as_text(table.backend, &mark(&table)),
        table.name
    ));
    statement.id(&table.id, RowId(first.into()));
    statement.push(format!(" AND {id} <= ")).id(&table.id, RowId(last.into()));
    statement.push(format!(" ORDER BY {id} LIMIT {limit}"));
    let read = |mut row: Record| {
        let (id, feed_uri, event_id) = (row.number()?, row.key(), row.key());
        Some(RowKey { id, feed_uri, event_id, retries: row.number(), mark: row.number().unwrap_or_default() })
    };
    Ok(session.link.rows(statement).await?.into_iter().filter_map(read).collect())
}

/// Returns the rows with ids from the first to the last, lowest first, with their texts: at most `limit`.
pub(super) async fn whole_rows(
    session: &mut Session<'_>,
    (first, last): (i64, i64),
    limit: u32,
) -> Result<Vec<WholeRow>, SourceError> {
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    let id = table.expression("id");
    let mut condition = session.link.statement(format!("{id} >= "));
    condition.id(&table.id, RowId(first.into()));
    condition.push(format!(" AND {id} <= ")).id(&table.id, RowId(last.into()));
    condition.push(format!(" ORDER BY {id} LIMIT {limit}"));
    read_whole(session, &table, condition).await
}

async fn read_whole(
    session: &mut Session<'_>,
    table: &Found<'_>,
    condition: sql::Statement,
) -> Result<Vec<WholeRow>, SourceError> {
    let app = session.link.app;
    let mut statement = condition;
    statement.text = format!(
        "SELECT {}, {} FROM {} WHERE {}",
        sql::as_text(table.backend, &mark(table)),
        failed_event_columns(table, TEXTS),
        table.name,
        statement.text
    );
    let read = |mut record: Record| WholeRow {
        mark: record.number().unwrap_or_default(),
        row: read_failed_event(app, table, TEXTS, &mut record),
    };
    Ok(session.link.rows(statement).await?.into_iter().map(read).collect())
}

/// Returns the existing rows with these ids, with their texts.
pub(super) async fn whole_rows_of(session: &mut Session<'_>, ids: &[RowId]) -> Result<Vec<WholeRow>, SourceError> {
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    let mut rows = Vec::with_capacity(ids.len());
    for ids in ids.chunks(500) {
        let mut condition = session.link.statement("");
        condition.id_in(&table.expression("id"), &table.id, ids.iter().copied());
        rows.extend(read_whole(session, &table, condition).await?);
    }
    Ok(rows)
}

/// Returns the end of the retry log; `None` if the log cannot be read.
async fn log_tail(session: &mut Session<'_>, limit: u32) -> Result<Option<Vec<(i64, String)>>, SourceError> {
    let schema = session.schema.clone();
    let Ok(log) = schema.table(Table::RetryLog) else { return Ok(None) };
    let id = log.expression("id");
    let statement = session.link.statement(format!(
        "SELECT {}, {}, {} FROM {} WHERE {id} <= {WIDEST} ORDER BY {id} DESC LIMIT {limit}",
        log.text("id"),
        log.text("event_id"),
        log.text("failed_at"),
        log.name
    ));
    let read = |mut row: Record| {
        let id = row.number()?;
        Some((id, format!("{} {}", row.key().unwrap_or_default(), row.text().unwrap_or_default())))
    };
    Ok(Some(session.link.rows(statement).await?.into_iter().filter_map(read).collect()))
}

/// Returns the rows of the retry log above an id, lowest first: at most `limit`.
pub(super) async fn log_above(
    session: &mut Session<'_>,
    above: Option<i64>,
    limit: u32,
) -> Result<Vec<LogRow>, SourceError> {
    let schema = session.schema.clone();
    let Ok(log) = schema.table(Table::RetryLog) else { return Ok(Vec::new()) };
    let id = log.expression("id");
    let mut statement =
        session.link.statement(format!("SELECT {} FROM {} WHERE {id} <= {WIDEST}", log_columns(&log), log.name));
    if let Some(above) = above {
        statement.push(format!(" AND {id} > ")).id(&log.id, RowId(above.into()));
    }
    statement.push(format!(" ORDER BY {id} LIMIT {limit}"));
    read_log(session, &log, statement).await
}

/// Returns the existing rows of the retry log with these ids, lowest first.
pub(super) async fn log_of(session: &mut Session<'_>, ids: &[i64]) -> Result<Vec<LogRow>, SourceError> {
    let schema = session.schema.clone();
    let Ok(log) = schema.table(Table::RetryLog) else { return Ok(Vec::new()) };
    let id = log.expression("id");
    let mut statement = session.link.statement(format!("SELECT {} FROM {} WHERE ", log_columns(&log), log.name));
    statement.id_in(&id, &log.id, ids.iter().map(|id| RowId((*id).into())));
    statement.push(format!(" ORDER BY {id}"));
    read_log(session, &log, statement).await
}

/// Returns which of these ids exist in the retry log.
pub(super) async fn log_present(session: &mut Session<'_>, ids: &[i64]) -> Result<BTreeSet<i64>, SourceError> {
    let schema = session.schema.clone();
    let mut present = BTreeSet::new();
    let Ok(log) = schema.table(Table::RetryLog) else { return Ok(present) };
    for ids in ids.chunks(500) {
        let mut statement = session.link.statement(format!("SELECT {} FROM {} WHERE ", log.text("id"), log.name));
        statement.id_in(&log.expression("id"), &log.id, ids.iter().map(|id| RowId((*id).into())));
        present.extend(session.link.rows(statement).await?.into_iter().filter_map(|mut row| row.number::<i64>()));
    }
    Ok(present)
}

fn log_columns(log: &Found<'_>) -> String {
    let error = log.cut("error_message", TEXTS.0);
    [log.text("id"), log.text("feed_uri"), log.text("event_id"), log.text("failed_at"), error].join(", ")
}

async fn read_log(
    session: &mut Session<'_>,
    log: &Found<'_>,
    statement: sql::Statement,
) -> Result<Vec<LogRow>, SourceError> {
    let app = session.link.app;
    let read = |mut row: Record| {
        Some(LogRow {
            id: row.number()?,
            feed_uri: row.key(),
            event_id: row.key(),
            failed_at: stamp(app, log, "failed_at", row.text()),
            error: row.text(),
        })
    };
    Ok(session.link.rows(statement).await?.into_iter().filter_map(read).collect())
}

/// Returns what distinguishes this database, and this table in it, from another one at the same address.
async fn identity(session: &mut Session<'_>, table: &Found<'_>) -> Result<Option<String>, SourceError> {
    let app = session.link.app;
    match table.backend {
        // Each file of a folder has its own number; a copy that replaces it has another one.
        Backend::Sqlite => {
            Ok(sqlite::identity_of(&app.database.database).map(|(device, inode)| format!("{device}:{inode}")))
        }
        // A table that was created again (a dump restored, a rebuild) has another time.
        Backend::MySql => {
            let mut statement = session.link.statement(
                "SELECT CAST(CONCAT(DATABASE(), ' ', CREATE_TIME) AS CHAR) FROM information_schema.TABLES \
                 WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ",
            );
            statement.value(Table::FailedEvents.name());
            Ok(session.link.row(statement).await?.text())
        }
        Backend::Postgres => postgres_identity(session).await,
    }
}

async fn postgres_identity(session: &mut Session<'_>) -> Result<Option<String>, SourceError> {
    let namespace = postgres::namespace(session.link.app);
    let mut statement = session.link.statement(
        "SELECT (d.oid::text || ' ' || c.oid::text), \
         has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')::text \
         FROM pg_catalog.pg_database d, pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE d.datname = current_database() AND c.relname::text = ",
    );
    statement.value(Table::FailedEvents.name()).push(" AND n.nspname::text = ").value(&namespace);
    let mut row = session.link.row(statement).await?;
    let Some(oids) = row.text() else { return Ok(None) };
    if row.text().as_deref() != Some("true") {
        return Ok(Some(oids));
    }
    // Oids start alike on every new server; this number does not.
    let statement = session.link.statement("SELECT system_identifier::text FROM pg_catalog.pg_control_system()");
    match session.link.row(statement).await {
        Ok(mut row) => Ok(Some(format!("{} {oids}", row.text().unwrap_or_default()))),
        Err(error) if error.kind == SourceErrorKind::NotHere => Ok(Some(oids)),
        Err(error) => Err(error),
    }
}
