//! The report of `check` about one application: tables, rights, clock. Changes nothing.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::{
    clock,
    model::{Backend, Marker, Stamp, feed::MarkerFault, obstacle::no_address},
    server::config::Tls,
};

use super::{
    Poll, Source, SourceError, SourceErrorKind,
    clock::stamp,
    connection::Session,
    fault, mysql,
    poll::counted,
    postgres,
    schema::{ColumnKind, Schema, Table},
    sql,
};

/// Report of `check` about one application.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    pub server: String,
    /// The server's clock.
    pub clock: Option<DateTime<Utc>>,
    /// The console's own clock at the same moment.
    pub own_clock: DateTime<Utc>,
    /// The time zone and character set of the session.
    pub time_zone: String,
    /// Why the connection is not encrypted although the configuration prefers that.
    pub unencrypted: Option<String>,
    pub tables: Vec<TableReport>,
    /// Time of the newest failure.
    pub newest_failure: Option<Stamp>,
    /// The addresses of all feeds, from markers and failures.
    pub feeds: BTreeSet<String>,
    /// Why `reset` would fail: see [`Poll::retry_refused`]. Intended if the application is read-only.
    pub retry_refused: Option<String>,
    /// What will break the consumer or the console, in words.
    pub hazards: Vec<String>,
    /// Records that cannot be named, each with the GRANT that would allow it.
    pub records_lacking: Vec<String>,
}

/// One of the known tables, as `check` found it.
#[derive(Clone, Debug, PartialEq)]
pub struct TableReport {
    pub name: &'static str,
    pub found: bool,
    /// Not found, but may exist: MySQL hides tables that an account may not read.
    pub may_be_hidden: bool,
    /// Columns that the console knows and the table lacks.
    pub missing_columns: Vec<&'static str>,
    pub rows: Option<u64>,
    pub may_select: bool,
    /// `None` if the table is missing or the console never writes to it.
    pub may_insert: Option<bool>,
    pub may_update: Option<bool>,
    pub may_delete: Option<bool>,
}

/// Returns everything that `check` prints about one application.
pub(super) async fn check(source: &Source) -> Result<CheckReport, SourceError> {
    let mut session = source.session().await?;
    let schema = session.schema.clone();
    let asked = clock::now();
    let about = clock_and_zone(&mut session).await;
    // The server's clock was read somewhere between the question and the answer.
    let own_clock = asked + (clock::now() - asked) / 2;
    let (clock, time_zone) = session.end(about).await?;
    let mut session = source.session().await?;
    let unencrypted = unencrypted(&mut session).await;
    let unencrypted = session.end(unencrypted).await?;
    let seen = source.poll().await?;

    let records_lacking = source.record_lacks().await?;
    let mut tables = Vec::new();
    for table in Table::ALL {
        tables.push(report(source, &schema, table).await?);
    }
    let failures = seen.failures.here().map(Vec::as_slice).unwrap_or_default();
    let newest = failures.iter().filter_map(|feed| feed.newest.as_ref()).max_by_key(|stamp| stamp.at);
    let of_markers = seen.markers.here().into_iter().flatten().filter_map(|marker| marker.feed_uri.clone());
    let newest_failure = newest.cloned();
    let feeds = of_markers.chain(failures.iter().filter_map(|feed| feed.uri.clone())).collect();
    let hazards = marker_hazards(&seen).into_iter().chain(seen.hazards).collect();
    Ok(CheckReport {
        newest_failure,
        feeds,
        hazards,
        records_lacking,
        server: schema.server.clone(),
        clock,
        own_clock,
        time_zone,
        unencrypted,
        tables,
        retry_refused: seen.retry_refused,
    })
}

/// Returns, in words, the markers that no consumer can continue from, and feeds with several markers.
fn marker_hazards(seen: &Poll) -> Vec<String> {
    let markers = seen.markers.here().filter(|_| seen.marker_gap.is_none()).into_iter().flatten();
    let mut addresses: Vec<&str> = markers.clone().filter_map(|marker| marker.feed_uri.as_deref()).collect();
    addresses.retain(|uri| !no_address(Some(*uri)));
    addresses.sort_unstable();
    let twice: Vec<&[&str]> = addresses.chunk_by(|a, b| a == b).filter(|same| same.len() > 1).collect();
    let twice = twice.first().and_then(|same| same.first()).map(|first| {
        format!(
            "{} more than one read position (the first is {first}). It is not known which one is used.",
            counted(twice.len() as u64, "feed has", "feeds have")
        )
    });
    let nameless = markers.clone().filter(|marker| marker.fault() == Some(MarkerFault::NoFeed)).count();
    let nameless = (nameless > 0).then(|| {
        let positions = counted(nameless as u64, "read position has", "read positions have");
        format!("{positions} no feed address (feed_uri is NULL or empty). No consumer finds such a row of markers.")
    });
    let faults: Vec<(&Marker, MarkerFault<'_>)> =
        markers.filter_map(|marker| Some((marker, marker.fault()?))).collect();
    let told = |fits: fn(&MarkerFault<'_>) -> bool, what: &str| {
        let of_kind: Vec<_> = faults.iter().filter(|(_, fault)| fits(fault)).collect();
        let (first, _) = of_kind.first()?;
        let feed = first.feed_uri.as_deref().unwrap_or_default();
        let markers = counted(of_kind.len() as u64, "read position", "read positions");
        Some(format!("{markers} {what} (the first is of {feed}). The consumer fails and reads nothing."))
    };
    [
        nameless,
        twice,
        told(|fault| *fault == MarkerFault::NoPage, "without a page (feed_uri_for_last_read_entry is empty)"),
        told(|fault| matches!(fault, MarkerFault::NoAddress(_)), "whose page is not an address"),
        told(|fault| matches!(fault, MarkerFault::NoNumber(_)), "whose page has no number from 1 on"),
        told(|fault| matches!(fault, MarkerFault::NoEntry(_)), "whose last_read_entry_id is not an event id"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Returns the server's clock, and the time zones of the session and the server in words.
async fn clock_and_zone(session: &mut Session<'_>) -> Result<(Option<DateTime<Utc>>, String), SourceError> {
    let app = session.link.app;
    let statement = session.link.statement(match app.database.backend {
        Backend::MySql => {
            "SELECT CAST(UTC_TIMESTAMP(6) AS CHAR), CONCAT('session ', @@session.time_zone, ', server ', \
             @@global.time_zone, ' (', @@system_time_zone, '), ', @@character_set_connection)"
        }
        Backend::Postgres => {
            "SELECT clock_timestamp()::text, 'session ' || current_setting('TimeZone') || ', ' || \
             current_setting('server_encoding')"
        }
        Backend::Sqlite => "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now'), 'the configured zone, UTF-8'",
    });
    let mut row = session.link.row(statement).await?;
    let clock = row.text().and_then(|text| stamp(chrono_tz::UTC, ColumnKind::Instant, text).at);
    Ok((clock, format!("{}; configured {}", row.text().unwrap_or_default(), app.info.time_zone)))
}

/// Returns why the connection is not encrypted although `tls` is "preferred". `None` if it is encrypted, or if another
/// setting applies.
async fn unencrypted(session: &mut Session<'_>) -> Result<Option<String>, SourceError> {
    let database = &session.link.app.database;
    let cipher = match database.backend {
        _ if database.tls != Tls::Preferred => return Ok(None),
        Backend::MySql => "SHOW SESSION STATUS LIKE 'Ssl_cipher'",
        Backend::Postgres => "SELECT '', cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl",
        Backend::Sqlite => return Ok(None),
    };
    let statement = session.link.statement(cipher);
    let mut row = session.link.row(statement).await?;
    row.text();
    let encrypted = row.text().is_some_and(|cipher| !cipher.is_empty());
    Ok((!encrypted).then(|| fault::unencrypted(session.link.encryption_failed())))
}

async fn report(source: &Source, schema: &Schema, table: Table) -> Result<TableReport, SourceError> {
    let name = table.name();
    let columns = schema.found(table);
    let missing_columns =
        table.columns().iter().copied().filter(|column| columns.is_some_and(|found| found.found(column).is_none()));
    let readable = schema.table(table);
    let mut report = TableReport {
        name,
        found: columns.is_some(),
        may_be_hidden: columns.is_none() && !schema.lacks(table),
        missing_columns: missing_columns.collect(),
        rows: None,
        may_select: readable.is_ok(),
        may_insert: None,
        may_update: None,
        may_delete: None,
    };
    if let Ok(found) = &readable {
        report.rows = match count(source, &found.name).await {
            Ok(rows) => Some(rows),
            // A table too long to be counted in time must not prevent the report of the others.
            Err(error) if error.kind == SourceErrorKind::TimedOut => None,
            Err(error) => return Err(error),
        };
    }
    if report.found && matches!(table, Table::FailedEvents | Table::RetryLog) {
        let mut session = source.session().await?;
        let rights = rights(&mut session, schema, table).await;
        let [insert, update, delete] = session.end(rights).await?;
        (report.may_insert, report.may_update, report.may_delete) = (Some(insert), Some(update), Some(delete));
    }
    Ok(report)
}

async fn count(source: &Source, table: &str) -> Result<u64, SourceError> {
    let mut session = source.session().await?;
    let count = sql::as_text(source.app().database.backend, "COUNT(*)");
    let statement = session.link.statement(format!("SELECT {count} FROM {table}"));
    let row = session.link.row(statement).await;
    Ok(session.end(row).await?.count())
}

/// Returns whether the account may insert, update and delete. UPDATE on the columns that a retry writes counts as
/// UPDATE on the table.
async fn rights(session: &mut Session<'_>, schema: &Schema, table: Table) -> Result<[bool; 3], SourceError> {
    let columns_updatable = match table {
        Table::FailedEvents => schema.found(table).and_then(|columns| columns.found("retries")),
        _ => None,
    }
    .is_some_and(|retries| retries.may_update);
    let mut held = [false; 3];
    for (held, right) in held.iter_mut().zip(["INSERT", "UPDATE", "DELETE"]) {
        *held = match session.link.app.database.backend {
            Backend::MySql => mysql::may_on_table(&mut session.link, right, table.name()).await?,
            Backend::Postgres => {
                postgres::may_on_table(&mut session.link, right, &schema.qualified(table.name())).await?
            }
            Backend::Sqlite => schema.write_refused.is_none(),
        };
    }
    held[1] |= columns_updatable;
    Ok(held)
}
