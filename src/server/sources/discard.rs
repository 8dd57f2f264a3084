//! Removing failed events, in two steps: they are read whole, and once their copies are safe they are deleted.
//!
//! The second step deletes only what is still as it was copied, and with an event the rows of the retry log that were
//! copied with it: those of exactly its feed address and event id, and only when no other failed event has that pair, as
//! the consumer counts them (it finds, updates and deletes by the pair). One transaction a batch.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Backend, RowId,
    operation::RowOutcome,
    whole_row::{WholeEvent, WholeRow},
};

use super::{
    DiscardRow, SourceError,
    busy::Change,
    connection::Session,
    fault,
    list::failed_events,
    mysql, postgres,
    schema::{Found, Schema, Table},
    sql,
    whole::{self, WholeColumn},
};

/// Ids that one statement names.
const CHUNK: usize = 200;

/// A feed's address and an event's id, byte by byte.
type Pair = (Vec<u8>, Vec<u8>);

/// Failed events as they are now, with the retry log that would go with them. Rows that are not there are not in it.
pub(super) async fn copy(session: &mut Session<'_>, ids: &[RowId]) -> Result<BTreeMap<RowId, WholeEvent>, SourceError> {
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    let columns = whole::columns(session, Table::FailedEvents).await?;
    let mut events = BTreeMap::new();
    for chunk in ids.chunks(CHUNK) {
        let mut statement =
            session.link.statement(format!("SELECT {} FROM {} WHERE ", whole::selection(&table, &columns), table.name));
        statement.id_in(&table.expression("id"), &table.id, chunk.iter().copied());
        for raw in session.link.raw_rows(statement).await? {
            let event = whole::read(table.backend, &columns, raw);
            if let Some(id) = id_of(&event) {
                events.insert(id, WholeEvent { event, log: Vec::new() });
            }
        }
    }
    let leaving: BTreeSet<RowId> = events.keys().copied().collect();
    add_log(session, &table, &mut events, &leaving).await?;
    Ok(events)
}

/// The id in a whole row.
pub(super) fn id_of(row: &WholeRow) -> Option<RowId> {
    row.text("id")?.trim().parse().ok()
}

/// The pair that the consumer knows an event by; `None` where a part of it is NULL, which equals nothing.
pub(super) fn pair_of(row: &WholeRow) -> Option<Pair> {
    Some((row.value("feed_uri")?.to_vec(), row.value("event_id")?.to_vec()))
}

/// Puts the retry log beside the events whose pair is left by nobody but `leaving`. Of several events with one pair the
/// first takes it.
async fn add_log(
    session: &mut Session<'_>,
    table: &Found<'_>,
    events: &mut BTreeMap<RowId, WholeEvent>,
    leaving: &BTreeSet<RowId>,
) -> Result<(), SourceError> {
    let schema = session.schema.clone();
    let Ok(log) = schema.table(Table::RetryLog) else { return Ok(()) };
    if log.column("event_id").is_none() || log.column("feed_uri").is_none() || table.column("event_id").is_none() {
        return Ok(());
    }
    let columns = whole::columns(session, Table::RetryLog).await?;
    let mut first_of: BTreeMap<Pair, RowId> = BTreeMap::new();
    for (id, event) in events.iter() {
        if let Some(pair) = pair_of(&event.event) {
            first_of.entry(pair).or_insert(*id);
        }
    }
    let event_ids: BTreeSet<Vec<u8>> = first_of.keys().map(|(_, event_id)| event_id.clone()).collect();
    let event_ids: Vec<String> = event_ids.into_iter().map(|id| String::from_utf8_lossy(&id).into_owned()).collect();
    for chunk in event_ids.chunks(CHUNK) {
        for pair in pairs_that_stay(session, table, chunk, leaving).await? {
            first_of.remove(&pair);
        }
        for row in log_rows(session, &log, &columns, chunk).await? {
            let owner = pair_of(&row).and_then(|pair| first_of.get(&pair));
            if let Some(event) = owner.and_then(|id| events.get_mut(id)) {
                event.log.push(row);
            }
        }
    }
    Ok(())
}

/// The pairs of these event ids that a row has which does not leave.
async fn pairs_that_stay(
    session: &mut Session<'_>,
    table: &Found<'_>,
    event_ids: &[String],
    leaving: &BTreeSet<RowId>,
) -> Result<Vec<Pair>, SourceError> {
    let bytes = |name: &str| match table.backend {
        Backend::MySql => format!("CAST({} AS BINARY)", table.expression(name)),
        Backend::Postgres => sql::as_text(table.backend, &table.expression(name)),
        Backend::Sqlite => format!("CAST({} AS BLOB)", table.expression(name)),
    };
    let mut statement = session.link.statement(format!(
        "SELECT {}, {}, {} FROM {} WHERE ",
        bytes("id"),
        bytes("feed_uri"),
        bytes("event_id"),
        table.name
    ));
    statement.text_in(&table.expression("event_id"), event_ids);
    let rows = session.link.raw_rows(statement).await?;
    Ok(rows
        .into_iter()
        .filter_map(|raw| {
            let mut values = raw.0.into_iter();
            let id = values.next().flatten()?;
            let id: RowId = String::from_utf8_lossy(&id).trim().parse().ok()?;
            let pair = (values.next().flatten()?, values.next().flatten()?);
            (!leaving.contains(&id)).then_some(pair)
        })
        .collect())
}

/// The retry log of these event ids, whole, lowest id first.
pub(super) async fn log_rows(
    session: &mut Session<'_>,
    log: &Found<'_>,
    columns: &[WholeColumn],
    event_ids: &[String],
) -> Result<Vec<WholeRow>, SourceError> {
    let mut statement =
        session.link.statement(format!("SELECT {} FROM {} WHERE ", whole::selection(log, columns), log.name));
    statement.text_in(&log.expression("event_id"), event_ids);
    statement.push(format!(" ORDER BY {}", log.expression("id")));
    let rows = session.link.raw_rows(statement).await?;
    Ok(rows.into_iter().map(|raw| whole::read(log.backend, columns, raw)).collect())
}

/// Deletes the rows that are as their copies say and have the retries that were seen.
pub(super) struct Discard<'a> {
    pub copies: &'a BTreeMap<RowId, WholeEvent>,
}

impl Change for Discard<'_> {
    type Row = DiscardRow;

    fn id(row: DiscardRow) -> RowId {
        row.id
    }

    async fn write(&self, session: &mut Session<'_>, rows: &[DiscardRow]) -> Result<Vec<RowOutcome>, SourceError> {
        delete_all(session, rows, self.copies).await
    }
}

async fn delete_all(
    session: &mut Session<'_>,
    rows: &[DiscardRow],
    copies: &BTreeMap<RowId, WholeEvent>,
) -> Result<Vec<RowOutcome>, SourceError> {
    if let Some(reason) = refused(session, Deed::Discard).await? {
        return Err(fault::not_allowed(session.link.app, &reason));
    }
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    let ids: Vec<RowId> = rows.iter().map(|row| row.id).collect();
    let now = copy(session, &ids).await?;
    let mut outcomes = Vec::with_capacity(rows.len());
    let mut leaving = BTreeMap::new();
    for row in rows {
        let outcome = match (now.get(&row.id), copies.get(&row.id)) {
            (None, _) => RowOutcome::Gone,
            (Some(now), Some(copy)) if now.event == copy.event && seen(&now.event, row) => {
                leaving.insert(row.id, row.seen_retries);
                RowOutcome::Discarded
            }
            (Some(now), _) => RowOutcome::Changed { retries: retries_of(&now.event) },
        };
        outcomes.push(outcome);
    }
    let missed = delete_rows(session, &table, &leaving).await?;
    for (row, outcome) in rows.iter().zip(&mut outcomes) {
        if missed.contains(&row.id) {
            *outcome = RowOutcome::Changed { retries: None };
            leaving.remove(&row.id);
        }
    }
    let left = leaving.keys().filter_map(|id| copies.get(id));
    delete_log(session, &table, left).await?;
    Ok(outcomes)
}

fn seen(row: &WholeRow, asked: &DiscardRow) -> bool {
    asked.seen_retries == retries_of(row)
}

fn retries_of(row: &WholeRow) -> Option<i64> {
    row.text("retries")?.trim().parse().ok()
}

/// Deletes rows while they have these retries; answers those that did not any more.
async fn delete_rows(
    session: &mut Session<'_>,
    table: &Found<'_>,
    rows: &BTreeMap<RowId, Option<i64>>,
) -> Result<BTreeSet<RowId>, SourceError> {
    let mut by_seen: BTreeMap<Option<i64>, Vec<RowId>> = BTreeMap::new();
    for (id, seen) in rows {
        by_seen.entry(*seen).or_default().push(*id);
    }
    let mut missed = BTreeSet::new();
    for (seen, ids) in by_seen {
        for chunk in ids.chunks(CHUNK) {
            session.link.command("SAVEPOINT chunk").await?;
            if delete_chunk(session, table, seen, chunk).await? != chunk.len() as u64 {
                session.link.command("ROLLBACK TO SAVEPOINT chunk").await?;
                for id in chunk {
                    if delete_chunk(session, table, seen, &[*id]).await? == 0 {
                        missed.insert(*id);
                    }
                }
            }
            session.link.command("RELEASE SAVEPOINT chunk").await?;
        }
    }
    Ok(missed)
}

async fn delete_chunk(
    session: &mut Session<'_>,
    table: &Found<'_>,
    seen: Option<i64>,
    ids: &[RowId],
) -> Result<u64, SourceError> {
    let mut statement = session.link.statement(table.delete());
    match seen {
        Some(seen) => statement.push(format!("{} = ", table.expression("retries"))).int(seen),
        None if table.column("retries").is_some() => statement.push(format!("{} IS NULL", table.expression("retries"))),
        None => statement.push("1 = 1"),
    };
    statement.push(" AND ").id_in(&table.expression("id"), &table.id, ids.iter().copied());
    session.link.execute(statement).await
}

/// Deletes the copied rows of the retry log whose pair no failed event has any more.
async fn delete_log<'a>(
    session: &mut Session<'_>,
    table: &Found<'_>,
    left: impl Iterator<Item = &'a WholeEvent>,
) -> Result<(), SourceError> {
    let schema = session.schema.clone();
    let Ok(log) = schema.table(Table::RetryLog) else { return Ok(()) };
    let rows: Vec<&WholeRow> = left.flat_map(|event| &event.log).collect();
    let event_ids: BTreeSet<String> = rows.iter().filter_map(|row| row.text("event_id")).collect();
    let event_ids: Vec<String> = event_ids.into_iter().collect();
    let mut staying = BTreeSet::new();
    for chunk in event_ids.chunks(CHUNK) {
        staying.extend(pairs_that_stay(session, table, chunk, &BTreeSet::new()).await?);
    }
    let ids: Vec<RowId> = rows
        .into_iter()
        .filter(|row| pair_of(row).is_some_and(|pair| !staying.contains(&pair)))
        .filter_map(id_of)
        .collect();
    for chunk in ids.chunks(CHUNK) {
        let mut statement = session.link.statement(log.delete());
        statement.id_in(&log.expression("id"), &log.id, chunk.iter().copied());
        session.link.execute(statement).await?;
    }
    Ok(())
}

/// What needs a right beyond that of a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Discard,
    Restore,
}

/// Why rows cannot be discarded or put back here, as a whole sentence; `None`: they can.
pub(super) async fn refused(session: &mut Session<'_>, deed: Deed) -> Result<Option<String>, SourceError> {
    let app = session.link.app;
    let name = &app.info.name;
    let schema = session.schema.clone();
    let (what, right) = match deed {
        Deed::Discard => ("discarded", "DELETE"),
        Deed::Restore => ("put back", "INSERT"),
    };
    if app.info.read_only {
        return Ok(Some(format!("The configuration sets {name} to read-only.")));
    }
    if let Err(reason) = schema.table(Table::FailedEvents) {
        return Ok(Some(format!("Nothing can be {what} in {name}: {reason}.")));
    }
    if let Some(reason) = &schema.write_refused {
        return Ok(Some(format!("Nothing can be written in {name}: {reason}.")));
    }
    for table in [Table::FailedEvents, Table::RetryLog] {
        if schema.found(table).is_some() && !may(session, &schema, right, table).await? {
            return Ok(Some(format!(
                "Nothing can be {what} in {name}: the account {} lacks the right {right} on {}.",
                app.database.user,
                table.name()
            )));
        }
    }
    Ok(None)
}

async fn may(session: &mut Session<'_>, schema: &Schema, right: &str, table: Table) -> Result<bool, SourceError> {
    match session.link.app.database.backend {
        Backend::MySql => mysql::may_on_table(&mut session.link, right, table.name()).await,
        Backend::Postgres => postgres::may_on_table(&mut session.link, right, &schema.qualified(table.name())).await,
        Backend::Sqlite => Ok(schema.write_refused.is_none()),
    }
}
