//! Deletes failed events in two steps: they are read in full, and once their copies are safe they are deleted. Events
//! too long to be held in memory a few times are not copied, and not deleted.
//!
//! The second step deletes only rows that still equal their copies, each with its copied rows of the retry log: those
//! of exactly its feed address and event id, and only if no other failed event has that pair, because the consumer
//! finds, updates and deletes by the pair. One transaction per batch.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Backend, RowId,
    operation::RowOutcome,
    whole_row::{Beside, WholeEvent, WholeRow},
};

use super::{
    DiscardRow, SourceError,
    busy::Change,
    connection::{Raw, Session},
    fault,
    list::failed_events,
    mysql, postgres,
    schema::{Found, Schema, Table},
    sql,
    whole::{self, WholeColumn},
};

/// Most ids in one statement.
const CHUNK: usize = 200;

/// A feed's address and an event's id, as bytes.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// Most bytes of an event that is copied, in all its columns and with its retry log. Consumers cut errors at 4,000
/// characters; several copies of a longer row would be in memory at a time.
pub const LONGEST_EVENT: u64 = 8 << 20;

/// Copies of failed events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// By id; missing rows are left out.
    pub events: BTreeMap<RowId, WholeEvent>,
    /// Number of ids, from the first on, that this answer covers.
    pub taken: usize,
    /// Rows too long to be copied.
    pub too_long: BTreeMap<RowId, TooLong>,
}

/// The size of a row that is longer than may be written or copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    pub bytes: u64,
    pub limit: u64,
}

impl TooLong {
    /// Returns the outcome of its row.
    pub fn outcome(self) -> RowOutcome {
        RowOutcome::TooLong { bytes: self.bytes, limit: self.limit }
    }
}

/// Most bytes that may be copied. The database is asked for the lengths first: longer rows are never read.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Of an event with its retry log.
    event: u64,
    /// Of a row by itself.
    row: u64,
}

impl Limits {
    async fn of(session: &mut Session<'_>) -> Result<Self, SourceError> {
        // A row is restored in one packet, which also contains names and lengths.
        let packet = packet(session).await?.map_or(u64::MAX, |packet| packet / 2);
        Ok(Self { event: LONGEST_EVENT, row: packet.min(LONGEST_EVENT) })
    }

    fn of_row(self, bytes: u64) -> Option<TooLong> {
        (bytes > self.row).then_some(TooLong { bytes, limit: self.row })
    }

    fn of_event(self, bytes: u64) -> Option<TooLong> {
        (bytes > self.event).then_some(TooLong { bytes, limit: self.event })
    }
}

/// Returns the bytes that MySQL accepts in one packet. `None` if the database has no such limit.
pub(super) async fn packet(session: &mut Session<'_>) -> Result<Option<u64>, SourceError> {
    if session.link.app.database.backend != Backend::MySql {
        return Ok(None);
    }
    let statement = session.link.statement("SELECT CAST(@@max_allowed_packet AS CHAR)");
    Ok(session.link.row(statement).await?.number())
}

/// Copies the first of these failed events, as many as hold about `most` bytes, but at least one, with the rows of the
/// retry log that would be deleted with them.
pub(super) async fn copy(session: &mut Session<'_>, ids: &[RowId], most: usize) -> Result<Copied, SourceError> {
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    let columns = whole::columns(session, Table::FailedEvents).await?;
    let limits = Limits::of(session).await?;
    let lengths = lengths(session, &table, &columns, ids).await?;
    let mut too_long = BTreeMap::new();
    for (id, bytes) in &lengths {
        too_long.extend(limits.of_row(*bytes).map(|why| (*id, why)));
    }
    let taken = fitting(ids, most, |id| lengths.get(&id).copied().filter(|_| !too_long.contains_key(&id)));
    let read: Vec<RowId> = ids[..taken].iter().copied().filter(|id| !too_long.contains_key(id)).collect();
    let mut rows = BTreeMap::new();
    for chunk in read.chunks(CHUNK) {
        rows.extend(read_rows(session, &table, &columns, chunk).await?);
    }
    let beside = same_pairs(session, &table, &rows).await?;
    let logged = logged(session, &table, &rows, &beside).await?;
    // How much of the retry log belongs to an event is known only now.
    let mut of_log: BTreeMap<RowId, u64> = BTreeMap::new();
    for row in &logged {
        *of_log.entry(row.owner).or_default() += row.bytes;
        too_long.extend(limits.of_row(row.bytes).map(|why| (row.owner, why)));
    }
    let bytes_of = |id: RowId| {
        let of_row = lengths.get(&id).filter(|_| rows.contains_key(&id))?;
        Some(of_row + of_log.get(&id).copied().unwrap_or_default())
    };
    for id in rows.keys() {
        too_long.extend(bytes_of(*id).and_then(|bytes| limits.of_event(bytes)).map(|why| (*id, why)));
    }
    let taken = fitting(&ids[..taken], most, |id| bytes_of(id).filter(|_| !too_long.contains_key(&id)));
    let leaving: BTreeSet<RowId> =
        ids[..taken].iter().copied().filter(|id| rows.contains_key(id) && !too_long.contains_key(id)).collect();
    too_long.retain(|id, _| ids[..taken].contains(id));
    rows.retain(|id, _| leaving.contains(id));
    let mut events: BTreeMap<RowId, WholeEvent> = BTreeMap::new();
    for (id, event) in rows {
        let pair = pair_of(&event);
        let others =
            pair.and_then(|pair| beside.get(&pair)).into_iter().flatten().copied().filter(|other| *other != id);
        let beside = Beside { ids: others.collect(), all_lower: false };
        events.insert(id, WholeEvent { event, log: Vec::new(), beside });
    }
    // If fewer rows are copied than were read, a row with the same pair may remain, and the log with it.
    let goes = |row: &&Logged| {
        let pair = events.get(&row.owner).and_then(|event| pair_of(&event.event));
        pair.and_then(|pair| beside.get(&pair)).is_some_and(|rows| rows.is_subset(&leaving))
    };
    let logged: Vec<&Logged> = logged.iter().filter(goes).collect();
    let owners: Vec<(RowId, RowId)> = logged.into_iter().map(|row| (row.id, row.owner)).collect();
    add_log(session, &mut events, &owners).await?;
    Ok(Copied { events, taken, too_long })
}

/// Returns how many of these rows, from the first on, hold up to `most` bytes; at least one. Rows with `None` bytes do
/// not count.
fn fitting(ids: &[RowId], most: usize, bytes_of: impl Fn(RowId) -> Option<u64>) -> usize {
    let mut used = 0_u64;
    for (place, id) in ids.iter().enumerate() {
        used = used.saturating_add(bytes_of(*id).unwrap_or_default());
        if used > most as u64 {
            return place.max(1);
        }
    }
    ids.len()
}

/// Returns the bytes that the existing ones of these rows hold in all their columns.
pub(super) async fn lengths(
    session: &mut Session<'_>,
    table: &Found<'_>,
    columns: &[WholeColumn],
    ids: &[RowId],
) -> Result<BTreeMap<RowId, u64>, SourceError> {
    let mut lengths = BTreeMap::new();
    for chunk in ids.chunks(CHUNK) {
        let mut statement = session.link.statement(format!(
            "SELECT {}, {} FROM {} WHERE ",
            sql::as_text(table.backend, &table.expression("id")),
            whole::length(table, columns),
            table.name
        ));
        statement.id_in(&table.expression("id"), &table.id, chunk.iter().copied());
        for mut record in session.link.rows(statement).await? {
            if let Some(id) = record.number() {
                lengths.insert(RowId(id), record.count());
            }
        }
    }
    Ok(lengths)
}

/// Reads these rows in full.
pub(super) async fn read_rows(
    session: &mut Session<'_>,
    table: &Found<'_>,
    columns: &[WholeColumn],
    ids: &[RowId],
) -> Result<Vec<(RowId, WholeRow)>, SourceError> {
    let mut statement =
        session.link.statement(format!("SELECT {} FROM {} WHERE ", whole::selection(table, columns), table.name));
    statement.id_in(&table.expression("id"), &table.id, ids.iter().copied());
    let raw = session.link.raw_rows(statement).await?;
    let row = |raw| {
        let row = whole::read(table.backend, columns, raw);
        Some((id_of(&row)?, row))
    };
    Ok(raw.into_iter().filter_map(row).collect())
}

/// Returns the id in a whole row.
pub(super) fn id_of(row: &WholeRow) -> Option<RowId> {
    row.text("id")?.trim().parse().ok()
}

/// Returns the pair by which the consumer identifies an event; `None` if a part of it is NULL, which equals nothing.
pub(super) fn pair_of(row: &WholeRow) -> Option<Pair> {
    Some((row.value("feed_uri")?.to_vec(), row.value("event_id")?.to_vec()))
}

/// Returns all rows of `failed_events` with the pairs of these rows.
async fn same_pairs(
    session: &mut Session<'_>,
    table: &Found<'_>,
    rows: &BTreeMap<RowId, WholeRow>,
) -> Result<BTreeMap<Pair, BTreeSet<RowId>>, SourceError> {
    let mut same: BTreeMap<Pair, BTreeSet<RowId>> =
        rows.values().filter_map(pair_of).map(|pair| (pair, BTreeSet::new())).collect();
    if table.column("event_id").is_none() {
        return Ok(same);
    }
    for chunk in event_ids(same.keys()).chunks(CHUNK) {
        for (id, pair, _) in keys(session, table, None, chunk).await? {
            if let Some(ids) = same.get_mut(&pair) {
                ids.insert(id);
            }
        }
    }
    Ok(same)
}

/// Returns the event ids of these pairs, each once.
fn event_ids<'p>(pairs: impl Iterator<Item = &'p Pair>) -> Vec<String> {
    let event_ids: BTreeSet<&[u8]> = pairs.map(|(_, event_id)| event_id.as_slice()).collect();
    event_ids.into_iter().map(|id| String::from_utf8_lossy(id).into_owned()).collect()
}

/// A row of the retry log that is copied with an event.
#[derive(Clone, Copy, Debug)]
struct Logged {
    id: RowId,
    /// The failed event with which it is copied: the first one if several have the same pair.
    owner: RowId,
    bytes: u64,
}

/// Returns the rows of the retry log whose pair no failed event has except these, lowest id first.
async fn logged(
    session: &mut Session<'_>,
    table: &Found<'_>,
    rows: &BTreeMap<RowId, WholeRow>,
    same: &BTreeMap<Pair, BTreeSet<RowId>>,
) -> Result<Vec<Logged>, SourceError> {
    let schema = session.schema.clone();
    let Ok(log) = schema.table(Table::RetryLog) else { return Ok(Vec::new()) };
    if log.column("event_id").is_none() || log.column("feed_uri").is_none() || table.column("event_id").is_none() {
        return Ok(Vec::new());
    }
    let columns = whole::columns(session, Table::RetryLog).await?;
    let length = whole::length(&log, &columns);
    let owned: BTreeMap<&Pair, RowId> = same
        .iter()
        .filter(|(_, ids)| ids.iter().all(|id| rows.contains_key(id)))
        .filter_map(|(pair, ids)| Some((pair, *ids.first()?)))
        .collect();
    let mut logged = Vec::new();
    for chunk in event_ids(owned.keys().copied()).chunks(CHUNK) {
        for (id, pair, bytes) in keys(session, &log, Some(&length), chunk).await? {
            logged.extend(owned.get(&pair).map(|owner| Logged { id, owner: *owner, bytes }));
        }
    }
    logged.sort_by_key(|row| row.id);
    Ok(logged)
}

/// Returns the rows with these event ids, each with its pair and, if `length` is given, the bytes that it holds. Rows
/// without a pair are left out.
pub(super) async fn keys(
    session: &mut Session<'_>,
    table: &Found<'_>,
    length: Option<&str>,
    event_ids: &[String],
) -> Result<Vec<(RowId, Pair, u64)>, SourceError> {
    let bytes = |name: &str| match table.backend {
        Backend::MySql => format!("CAST({} AS BINARY)", table.expression(name)),
        Backend::Postgres => sql::as_text(table.backend, &table.expression(name)),
        Backend::Sqlite => format!("CAST({} AS BLOB)", table.expression(name)),
    };
    let mut selected = vec![bytes("id"), bytes("feed_uri"), bytes("event_id")];
    selected.extend(length.map(str::to_owned));
    let mut statement = session.link.statement(format!("SELECT {} FROM {} WHERE ", selected.join(", "), table.name));
    statement.text_in(&table.expression("event_id"), event_ids);
    let rows = session.link.raw_rows(statement).await?;
    let number = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    let key = |raw: Raw| {
        let mut values = raw.0.into_iter();
        let id: RowId = number(values.next().flatten()?).parse().ok()?;
        let pair = (values.next().flatten()?, values.next().flatten()?);
        let bytes = values.next().flatten().and_then(|bytes| number(bytes).parse().ok());
        Some((id, pair, bytes.unwrap_or_default()))
    };
    Ok(rows.into_iter().filter_map(key).collect())
}

/// Adds rows of the retry log to the events that own them.
async fn add_log(
    session: &mut Session<'_>,
    events: &mut BTreeMap<RowId, WholeEvent>,
    owners: &[(RowId, RowId)],
) -> Result<(), SourceError> {
    let schema = session.schema.clone();
    let Ok(log) = schema.table(Table::RetryLog) else { return Ok(()) };
    if owners.is_empty() {
        return Ok(());
    }
    let columns = whole::columns(session, Table::RetryLog).await?;
    let owner_of: BTreeMap<RowId, RowId> = owners.iter().copied().collect();
    for chunk in owners.chunks(CHUNK) {
        let ids: Vec<RowId> = chunk.iter().map(|(id, _)| *id).collect();
        let mut rows = read_rows(session, &log, &columns, &ids).await?;
        rows.sort_by_key(|(id, _)| *id);
        for (id, row) in rows {
            if let Some(event) = owner_of.get(&id).and_then(|owner| events.get_mut(owner)) {
                event.log.push(row);
            }
        }
    }
    Ok(())
}

/// Deletes the rows that equal their copies and have the retries that the user saw.
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
    if let Some(reason) = refused(session, WriteKind::Discard).await? {
        return Err(fault::not_allowed(session.link.app, &reason));
    }
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    let columns = whole::columns(session, Table::FailedEvents).await?;
    let mut outcomes = Vec::with_capacity(rows.len());
    let mut leaving = BTreeMap::new();
    for chunk in rows.chunks(CHUNK) {
        let ids: Vec<RowId> = chunk.iter().map(|row| row.id).collect();
        // A row longer than any copy differs from its copy, and is not read.
        let lengths = lengths(session, &table, &columns, &ids).await?;
        let short = |id: &RowId| lengths.get(id).is_some_and(|bytes| *bytes <= LONGEST_EVENT);
        let ids: Vec<RowId> = ids.into_iter().filter(short).collect();
        let now: BTreeMap<RowId, WholeRow> = match ids.is_empty() {
            true => BTreeMap::new(),
            false => read_rows(session, &table, &columns, &ids).await?.into_iter().collect(),
        };
        for row in chunk {
            let outcome = match (now.get(&row.id), copies.get(&row.id)) {
                (None, _) if lengths.contains_key(&row.id) => RowOutcome::Changed { retries: None },
                (None, _) => RowOutcome::Gone,
                (Some(now), Some(copy)) if *now == copy.event && seen(now, row) => {
                    leaving.insert(row.id, row.seen_retries);
                    RowOutcome::Discarded
                }
                (Some(now), _) => RowOutcome::Changed { retries: retries_of(now) },
            };
            outcomes.push(outcome);
        }
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

/// Deletes the rows that still have these retries; returns those that do not.
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
    let pairs: BTreeSet<Pair> = rows.iter().filter_map(|row| pair_of(row)).collect();
    let mut staying = BTreeSet::new();
    for chunk in event_ids(pairs.iter()).chunks(CHUNK) {
        staying.extend(keys(session, table, None, chunk).await?.into_iter().map(|(_, pair, _)| pair));
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

/// A write that needs another right than a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteKind {
    Discard,
    Restore,
}

/// Returns why rows cannot be discarded or restored here, as a whole sentence; `None` if they can.
pub(super) async fn refused(session: &mut Session<'_>, write: WriteKind) -> Result<Option<String>, SourceError> {
    let app = session.link.app;
    let name = &app.info.name;
    let schema = session.schema.clone();
    let (what, right) = match write {
        WriteKind::Discard => ("discarded", "DELETE"),
        WriteKind::Restore => ("restored", "INSERT"),
    };
    if app.info.read_only {
        return Ok(Some(format!("{name} is read-only (read_only in the configuration).")));
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
