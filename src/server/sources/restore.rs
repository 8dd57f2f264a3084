//! Putting discarded failed events back as they were, also when the consumer's database has moved on meanwhile.
//!
//! A row whose pair of feed address and event id is there again is not doubled: the consumer read the event anew. Rows of the
//! pair that stood beside it when it was discarded say nothing of that. A row whose id is taken, or will be given out by a
//! sequence, gets a new one. One transaction a batch.

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
    discard::{Deed, Pair, id_of, keys, lengths, packet, pair_of, read_rows, refused},
    fault,
    list::failed_events,
    schema::{Found, Table},
    sql,
    whole::{self, WholeColumn},
};

/// Ids that one statement names.
const CHUNK: usize = 200;

/// What MySQL's packets have room for beside the values of a row: names of columns, lengths and kinds.
const BESIDE_VALUES: u64 = 16 << 10;

/// Events from this length on may be longer than a server takes at a time, whatever it says of itself: each is restored by
/// itself, so that no other one is lost with it.
pub const LONG_EVENT: usize = 512 << 10;

/// Puts events back, and answers in their order.
pub(super) async fn restore(source: &Source, events: &[WholeEvent]) -> Result<Vec<RowOutcome>, SourceError> {
    let alone = matches!(events, [event] if event.longest_row() >= LONG_EVENT);
    match once(source, events).await {
        Err(error) if error.kind == SourceErrorKind::Lost && alone => again(source, events).await,
        other => other,
    }
}

/// The connection was lost while one long event was being written. A server, or a proxy before it, that finds a packet too long
/// may end the connection without a word: where that happens twice and the database answers, there is no use in waiting for it.
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

/// All of them in one transaction.
async fn once(source: &Source, events: &[WholeEvent]) -> Result<Vec<RowOutcome>, SourceError> {
    let mut session = source.pool.write(&source.app).await?;
    match insert_all(&mut session, events).await {
        Ok(outcomes) => committed(session, outcomes).await,
        Err(error) => session.end(Err(error)).await,
    }
}

async fn insert_all(session: &mut Session<'_>, events: &[WholeEvent]) -> Result<Vec<RowOutcome>, SourceError> {
    let app = session.link.app;
    if let Some(reason) = refused(session, Deed::Restore).await? {
        return Err(fault::not_allowed(app, &reason));
    }
    let schema = session.schema.clone();
    let mut rows = Place::of(session, failed_events(app, &schema)?, Table::FailedEvents).await?;
    let mut log = match schema.table(Table::RetryLog) {
        Ok(found) => Some(Place::of(session, found, Table::RetryLog).await?),
        Err(_) => None,
    };
    rows.look(session, events.iter().map(|event| &event.event)).await?;
    if let Some(log) = &mut log {
        log.look(session, events.iter().flat_map(|event| &event.log)).await?;
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

/// A table that rows are put into, and what of them stands there already.
struct Place<'a> {
    table: Found<'a>,
    columns: Vec<WholeColumn>,
    /// The database gives out ids by itself.
    fills_id: bool,
    /// Ids above this one will be given out again; `None`: there is no such limit.
    given_out: Option<RowId>,
    taken: BTreeSet<RowId>,
    /// The rows that are there with the pairs of those that are to come back.
    pairs: BTreeMap<Pair, BTreeSet<RowId>>,
    /// Rows without a pair that are there exactly as they were.
    same: BTreeSet<RowId>,
}

impl<'a> Place<'a> {
    async fn of(session: &mut Session<'_>, table: Found<'a>, kind: Table) -> Result<Self, SourceError> {
        let columns = whole::columns(session, kind).await?;
        let fills_id = columns.iter().any(|column| column.name.eq_ignore_ascii_case("id") && column.fills_itself);
        let last = last_of_sequence(session, &table, fills_id).await?;
        // A sequence that the table has outrun (a dump was put in, and nobody moved it) gives numbers that are taken: to
        // it nothing can be left, and nothing is reserved for it.
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

    /// Looks which ids and pairs of these rows are there, before any of them is put.
    async fn look<'r>(
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

    /// The row with this id as it is; `None` also where it is longer than the one that it is compared with.
    async fn whole(
        &self,
        session: &mut Session<'_>,
        id: RowId,
        compared: &WholeRow,
    ) -> Result<Option<WholeRow>, SourceError> {
        // Numbers can be printed in some bytes more or less than the database says.
        let most = (compared.bytes() + 1_000) as u64;
        let length = lengths(session, &self.table, &self.columns, &[id]).await?;
        if length.get(&id).is_none_or(|bytes| *bytes > most) {
            return Ok(None);
        }
        Ok(read_rows(session, &self.table, &self.columns, &[id]).await?.pop().map(|(_, row)| row))
    }

    /// Whether exactly this row is there.
    fn has(&self, row: &WholeRow) -> bool {
        let Some(id) = id_of(row) else { return false };
        match pair_of(row) {
            Some(pair) => self.pairs.get(&pair).is_some_and(|ids| ids.contains(&id)),
            None => self.same.contains(&id),
        }
    }

    /// Whether this failed event is there again: by itself, or as another row of its pair that did not stand beside it.
    fn failed_again(&self, event: &WholeEvent) -> bool {
        let Some(pair) = pair_of(&event.event) else { return self.has(&event.event) };
        let own = id_of(&event.event);
        let another = |id: &RowId| own.is_none_or(|own| !event.stood_beside(own, *id));
        self.pairs.get(&pair).is_some_and(|ids| ids.iter().any(another))
    }

    /// Puts a row; answers the id it has now.
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

    /// The database gives the id.
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

    /// Whoever writes this table gives the ids: the row gets the next one after the highest.
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

/// The highest id there is; 0 for an empty table.
async fn highest_id(session: &mut Session<'_>, table: &Found<'_>) -> Result<RowId, SourceError> {
    let highest = sql::as_text(table.backend, &format!("MAX({})", table.expression("id")));
    let statement = session.link.statement(format!("SELECT {highest} FROM {}", table.name));
    Ok(RowId(session.link.row(statement).await?.number().unwrap_or_default()))
}

/// The last number that PostgreSQL's sequence of the id has given out. A row put above it would stand in the way of the
/// consumer's own next one. The other databases move their counters by themselves.
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
    // The name comes quoted from the server itself.
    let statement = session.link.statement(format!("SELECT last_value::text FROM {name}"));
    Ok(session.link.row(statement).await?.number().map(RowId))
}
