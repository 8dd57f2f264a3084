//! Restores discarded failed events unchanged, also if the consumer's database has changed meanwhile.
//!
//! An event whose pair of feed address and event id is there again is not duplicated: the consumer read the event anew.
//! Rows of the pair that were beside it when it was discarded do not count as that. A row gets a new id if its own is
//! used or will be given out by a sequence. One transaction per batch.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Backend, RowId,
    operation::RowOutcome,
    whole_row::{WholeEvent, WholeRow},
};

use super::{
    Source, SourceError, SourceErrorKind, TooLong,
    busy::committed,
    connection::Session,
    discard::{Pair, WriteKind, id_of, keys, lengths, packet, pair_of, read_rows, refused},
    fault,
    list::failed_events,
    schema::{Found, Table},
    sql,
    whole::{self, WholeColumn},
};

/// Most ids in one statement.
const CHUNK: usize = 200;

/// Bytes of a MySQL packet that are left free beside the values of a row: for names of columns, lengths and types.
const BESIDE_VALUES: u64 = 16 << 10;

/// Events from this length on may be longer than a server accepts at a time, whatever limit it reports: each is
/// restored separately, so that no other one is lost with it.
pub const LONG_EVENT: usize = 512 << 10;

/// Restores events, and returns the outcomes in their order.
pub(super) async fn restore(source: &Source, events: &[WholeEvent]) -> Result<Vec<RowOutcome>, SourceError> {
    let alone = matches!(events, [event] if event.longest_row() >= LONG_EVENT);
    match once(source, events).await {
        Err(error) if error.kind == SourceErrorKind::Lost && alone => again(source, events).await,
        other => other,
    }
}

/// Tries again after the connection was lost while one long event was being written. A server, or a proxy before it,
/// that finds a packet too long may end the connection without an error: if that happens twice and the database answers
/// otherwise, waiting for it is useless.
async fn again(source: &Source, events: &[WholeEvent]) -> Result<Vec<RowOutcome>, SourceError> {
    match once(source, events).await {
        Err(error) if error.kind == SourceErrorKind::Lost => {
            let session = source.pool.write(&source.app).await?;
            session.end(Ok(())).await?;
            let reason = "The connection was lost twice while this row was being written, and the database answers otherwise: the row \
                          may be longer than the server takes (MySQL and MariaDB: max_allowed_packet). Nothing was written. The \
                          copy is kept.";
            Ok(vec![RowOutcome::Failed { reason: reason.to_owned() }; events.len()])
        }
        other => other,
    }
}

/// Restores all events in one transaction.
async fn once(source: &Source, events: &[WholeEvent]) -> Result<Vec<RowOutcome>, SourceError> {
    let mut session = source.pool.write(&source.app).await?;
    match insert_all(&mut session, events).await {
        Ok(outcomes) => committed(session, outcomes).await,
        Err(error) => session.end(Err(error)).await,
    }
}

async fn insert_all(session: &mut Session<'_>, events: &[WholeEvent]) -> Result<Vec<RowOutcome>, SourceError> {
    let app = session.link.app;
    if let Some(reason) = refused(session, WriteKind::Restore).await? {
        return Err(fault::not_allowed(app, &reason));
    }
    let schema = session.schema.clone();
    let mut rows = Place::of(session, failed_events(app, &schema)?, Table::FailedEvents).await?;
    let mut log = match schema.table(Table::RetryLog) {
        Ok(found) => Some(Place::of(session, found, Table::RetryLog).await?),
        Err(_) => None,
    };
    rows.find(session, events.iter().map(|event| &event.event)).await?;
    if let Some(log) = &mut log {
        log.find(session, events.iter().flat_map(|event| &event.log)).await?;
    }
    let packet = packet(session).await?;
    let mut outcomes = Vec::with_capacity(events.len());
    for event in events {
        if rows.failed_again(event) {
            outcomes.push(RowOutcome::AlreadyThere);
            continue;
        }
        let bytes = event.longest_row() as u64;
        if let Some(limit) = packet.filter(|packet| bytes.saturating_add(BESIDE_VALUES) > *packet) {
            outcomes.push(TooLong { bytes, limit }.outcome());
            continue;
        }
        let id = rows.put(session, &event.event).await?;
        outcomes.push(RowOutcome::Restored { id });
        if let Some(log) = &mut log {
            for row in event.log.iter() {
                if !log.has(row) {
                    log.put(session, row).await?;
                }
            }
        }
    }
    Ok(outcomes)
}

/// A table that rows are restored to, and which of them it already has.
struct Place<'a> {
    table: Found<'a>,
    columns: Vec<WholeColumn>,
    /// The database assigns ids itself.
    fills_id: bool,
    /// Ids above this one will be given out by a sequence; `None` if there is no such limit.
    given_out: Option<RowId>,
    taken: BTreeSet<RowId>,
    /// The existing rows with the event ids of the rows to restore, by pair.
    pairs: BTreeMap<Pair, BTreeSet<RowId>>,
    /// Rows without a pair that exist unchanged.
    same: BTreeSet<RowId>,
}

impl<'a> Place<'a> {
    async fn of(session: &mut Session<'_>, table: Found<'a>, kind: Table) -> Result<Self, SourceError> {
        let columns = whole::columns(session, kind).await?;
        let fills_id = columns.iter().any(|column| column.name.eq_ignore_ascii_case("id") && column.fills_itself);
        let last = last_of_sequence(session, &table, fills_id).await?;
        // A sequence that is behind the table (a dump was loaded without moving it) gives out ids that are used: it
        // cannot assign ids, and none are reserved for it.
        let highest = if last.is_some() { highest_id(session, &table).await? } else { RowId(0) };
        let outrun = last.is_some_and(|last| last < highest);
        let (fills_id, given_out) = (fills_id && !outrun, last.filter(|_| !outrun));
        Ok(Self {
            table,
            columns,
            fills_id,
            given_out,
            taken: BTreeSet::new(),
            pairs: BTreeMap::new(),
            same: BTreeSet::new(),
        })
    }

    /// Finds which ids and pairs of these rows exist, before any of them is inserted.
    async fn find<'r>(
        &mut self,
        session: &mut Session<'_>,
        rows: impl Iterator<Item = &'r WholeRow>,
    ) -> Result<(), SourceError> {
        let mut ids = Vec::new();
        let mut event_ids = BTreeSet::new();
        for row in rows {
            ids.extend(id_of(row));
            event_ids.extend(row.text("event_id"));
            if let (None, Some(id)) = (pair_of(row), id_of(row)) {
                self.same.extend(self.whole(session, id, row).await?.filter(|there| there == row).map(|_| id));
            }
        }
        for chunk in ids.chunks(CHUNK) {
            let id = self.table.text("id");
            let mut statement = session.link.statement(format!("SELECT {id} FROM {} WHERE ", self.table.name));
            statement.id_in(&self.table.expression("id"), &self.table.id, chunk.iter().copied());
            let found = session.link.rows(statement).await?;
            self.taken.extend(found.into_iter().filter_map(|mut record| record.number().map(RowId)));
        }
        if self.table.column("event_id").is_none() {
            return Ok(());
        }
        let event_ids: Vec<String> = event_ids.into_iter().collect();
        for chunk in event_ids.chunks(CHUNK) {
            for (id, pair, _) in keys(session, &self.table, None, chunk).await? {
                self.pairs.entry(pair).or_default().insert(id);
            }
        }
        Ok(())
    }

    /// Returns the row with this id in full; `None` also if it is longer than the one that it is compared with.
    async fn whole(
        &self,
        session: &mut Session<'_>,
        id: RowId,
        compared: &WholeRow,
    ) -> Result<Option<WholeRow>, SourceError> {
        // Printed numbers can be some bytes longer or shorter than the database reports.
        let most = (compared.bytes() + 1_000) as u64;
        let length = lengths(session, &self.table, &self.columns, &[id]).await?;
        if length.get(&id).is_none_or(|bytes| *bytes > most) {
            return Ok(None);
        }
        Ok(read_rows(session, &self.table, &self.columns, &[id]).await?.pop().map(|(_, row)| row))
    }

    /// Returns whether exactly this row exists.
    fn has(&self, row: &WholeRow) -> bool {
        let Some(id) = id_of(row) else { return false };
        match pair_of(row) {
            Some(pair) => self.pairs.get(&pair).is_some_and(|ids| ids.contains(&id)),
            None => self.same.contains(&id),
        }
    }

    /// Returns whether this failed event is there again: as itself, or as another row of its pair that was not beside
    /// it when it was discarded.
    fn failed_again(&self, event: &WholeEvent) -> bool {
        let Some(pair) = pair_of(&event.event) else { return self.has(&event.event) };
        let own = id_of(&event.event);
        let another = |id: &RowId| own.is_none_or(|own| !event.stood_beside(own, *id));
        self.pairs.get(&pair).is_some_and(|ids| ids.iter().any(another))
    }

    /// Inserts a row; returns its id.
    async fn put(&mut self, session: &mut Session<'_>, row: &WholeRow) -> Result<RowId, SourceError> {
        let own = id_of(row);
        let free = own.filter(|id| !self.taken.contains(id) && self.given_out.is_none_or(|last| *id <= last));
        if let Some(id) = free {
            let statement = whole::insert(session, &self.table, &self.columns, row, None);
            session.link.execute(statement).await?;
            self.taken.insert(id);
            return Ok(id);
        }
        let id = if self.fills_id {
            self.put_without_id(session, row).await?
        } else {
            self.put_at_end(session, row).await?
        };
        self.taken.insert(id);
        Ok(id)
    }

    /// Inserts a row whose id the database assigns.
    async fn put_without_id(&mut self, session: &mut Session<'_>, row: &WholeRow) -> Result<RowId, SourceError> {
        let mut statement = whole::insert(session, &self.table, &self.columns, row, Some("id"));
        let last = match self.table.backend {
            Backend::Postgres => {
                statement.push(format!(" RETURNING {}", self.table.text("id")));
                session.link.row(statement).await?
            }
            backend => {
                session.link.execute(statement).await?;
                let last = match backend {
                    Backend::MySql => "SELECT CAST(LAST_INSERT_ID() AS CHAR)",
                    _ => "SELECT CAST(last_insert_rowid() AS TEXT)",
                };
                let last = session.link.statement(last);
                session.link.row(last).await?
            }
        };
        let mut last = last;
        Ok(RowId(last.number().unwrap_or_default()))
    }

    /// Inserts a row with the next id after the highest, because the database does not assign usable ids to this table.
    async fn put_at_end(&mut self, session: &mut Session<'_>, row: &WholeRow) -> Result<RowId, SourceError> {
        let id = RowId(highest_id(session, &self.table).await?.0 + 1);
        let mut row = row.clone();
        if let Some(cell) = row.0.iter_mut().find(|cell| cell.column.eq_ignore_ascii_case("id")) {
            cell.bytes = Some(id.to_string().into_bytes());
        }
        let statement = whole::insert(session, &self.table, &self.columns, &row, None);
        session.link.execute(statement).await?;
        Ok(id)
    }
}

/// Returns the highest id; 0 for an empty table.
async fn highest_id(session: &mut Session<'_>, table: &Found<'_>) -> Result<RowId, SourceError> {
    let highest = sql::as_text(table.backend, &format!("MAX({})", table.expression("id")));
    let statement = session.link.statement(format!("SELECT {highest} FROM {}", table.name));
    Ok(RowId(session.link.row(statement).await?.number().unwrap_or_default()))
}

/// Returns the last number that PostgreSQL's sequence of the id has given out. A row inserted above it would collide
/// with a later row of the consumer. The other databases move their counters themselves.
async fn last_of_sequence(
    session: &mut Session<'_>,
    table: &Found<'_>,
    fills_id: bool,
) -> Result<Option<RowId>, SourceError> {
    if table.backend != Backend::Postgres || !fills_id {
        return Ok(None);
    }
    let mut statement = session.link.statement(
        "SELECT s.name, COALESCE(has_sequence_privilege(s.name, 'SELECT'), false)::text FROM (SELECT pg_get_serial_sequence(",
    );
    statement.value(&table.name).push(", ").value(&table.id.name).push(") AS name) s");
    let mut record = session.link.row(statement).await?;
    let (name, readable) = (record.text(), record.text());
    let Some(name) = name.filter(|_| readable.as_deref() == Some("true")) else { return Ok(None) };
    // The server itself returns the name quoted.
    let statement = session.link.statement(format!("SELECT last_value::text FROM {name}"));
    Ok(session.link.row(statement).await?.number().map(RowId))
}
