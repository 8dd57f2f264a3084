//! Resets retries of failed events to 0.
//!
//! Each row is written only while it still has the retries that the user saw. The UPDATE itself checks that, so that no
//! right to lock rows is needed, and no row is written that changed after it was read. A chunk of rows is one
//! statement; if fewer rows match than were asked for, the chunk is rolled back and done row by row, to find out which
//! ones.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Backend, Obstacle, RowId, Stamp, operation::RowOutcome};

use super::{
    ResetRow, SourceError,
    busy::Change,
    connection::Session,
    fault,
    list::failed_events,
    poll::retry_refused,
    schema::{Column, Found},
    sql::Statement,
};

/// Most rows of one statement: as many as a batch of an operation has.
const CHUNK: usize = 500;

/// Returns the columns that a reset names on the left of a `=`.
///
/// On MySQL that includes failed_at: with ON UPDATE CURRENT_TIMESTAMP it would change unless it is set to itself.
pub(super) fn columns_written<'a>(table: &'a Found<'_>, retries: &'a Column) -> Vec<&'a Column> {
    let mut columns = vec![retries];
    if table.backend == Backend::MySql {
        columns.extend(table.column("failed_at"));
    }
    columns
}

/// Sets retries to 0 if they still are what the user saw.
pub(super) struct Reset;

impl Change for Reset {
    type Row = ResetRow;

    fn id(row: ResetRow) -> RowId {
        row.id
    }

    async fn write(&self, session: &mut Session<'_>, rows: &[ResetRow]) -> Result<Vec<RowOutcome>, SourceError> {
        write_all(session, rows).await
    }
}

async fn write_all(session: &mut Session<'_>, rows: &[ResetRow]) -> Result<Vec<RowOutcome>, SourceError> {
    let app = session.link.app;
    let schema = session.schema.clone();
    if let Some(reason) = retry_refused(app, &schema) {
        return Err(fault::not_allowed(app, &reason));
    }
    let table = failed_events(app, &schema)?;
    let retries = table.column("retries").ok_or_else(|| fault::not_here(app, "failed_events has no column retries"))?;

    // Rows that were seen with the same retries share one UPDATE; a row that is named twice counts once.
    let mut by_seen: BTreeMap<i64, BTreeSet<RowId>> = BTreeMap::new();
    for row in rows {
        by_seen.entry(row.seen_retries).or_default().insert(row.id);
    }
    let mut unmatched = BTreeSet::new();
    for (seen, ids) in &by_seen {
        let ids: Vec<RowId> = ids.iter().copied().collect();
        for chunk in ids.chunks(CHUNK) {
            let missed = write_chunk(session, &table, retries, *seen, chunk).await?;
            unmatched.extend(missed.into_iter().map(|id| (*seen, id)));
        }
    }
    let now = rows_now(session, &table, unmatched.iter().map(|(_, id)| *id).collect()).await?;
    let outcome = |row: &ResetRow| match now.get(&row.id) {
        _ if !unmatched.contains(&(row.seen_retries, row.id)) => RowOutcome::Reset,
        Some((_, Some(obstacle))) => RowOutcome::Failed { reason: obstacle.why().to_owned() },
        Some((retries, None)) => RowOutcome::Changed { retries: *retries },
        None => RowOutcome::Gone,
    };
    Ok(rows.iter().map(outcome).collect())
}

/// Writes a chunk of rows that were all seen with the same retries; returns those that were not written.
async fn write_chunk(
    session: &mut Session<'_>,
    table: &Found<'_>,
    retries: &Column,
    seen: i64,
    ids: &[RowId],
) -> Result<Vec<RowId>, SourceError> {
    // For a single row, the count is enough.
    if let [id] = ids {
        let update = guarded_update(session, table, retries, seen, &[*id]);
        return Ok(if session.link.execute(update).await? == 0 { vec![*id] } else { Vec::new() });
    }
    session.link.command("SAVEPOINT chunk").await?;
    let update = guarded_update(session, table, retries, seen, ids);
    let mut missed = Vec::new();
    if session.link.execute(update).await? != ids.len() as u64 {
        session.link.command("ROLLBACK TO SAVEPOINT chunk").await?;
        for id in ids {
            let update = guarded_update(session, table, retries, seen, &[*id]);
            if session.link.execute(update).await? == 0 {
                missed.push(*id);
            }
        }
    }
    session.link.command("RELEASE SAVEPOINT chunk").await?;
    Ok(missed)
}

fn guarded_update(session: &Session<'_>, table: &Found<'_>, retries: &Column, seen: i64, ids: &[RowId]) -> Statement {
    let mut update = session.link.statement(format!("UPDATE {} SET ", table.by_primary_key()));
    for (place, column) in columns_written(table, retries).into_iter().enumerate() {
        let target = table.target(column);
        let value = if column == retries { "0" } else { target.as_str() };
        update.push(format!("{}{target} = {value}", if place > 0 { ", " } else { "" }));
    }
    update.push(format!(" WHERE {} = ", table.expression("retries"))).int(seen).push(" AND ");
    update.id_in(&table.expression("id"), &table.id, ids.iter().copied());
    // The caller has checked this before, but the row may be another one by now.
    update.push(format!(" AND NOT {} AND NOT {}", table.no_address(), table.no_date("failed_at")));
    update
}

/// Returns the retries that rows have now, and why no retry helps them; without missing rows.
async fn rows_now(
    session: &mut Session<'_>,
    table: &Found<'_>,
    ids: Vec<RowId>,
) -> Result<BTreeMap<RowId, (Option<i64>, Option<Obstacle>)>, SourceError> {
    let mut now = BTreeMap::new();
    for chunk in ids.chunks(CHUNK) {
        let mut statement = session.link.statement(format!(
            "SELECT {}, {}, {}, {} FROM {} WHERE ",
            table.text("id"),
            table.text("retries"),
            table.text("feed_uri"),
            table.text("failed_at"),
            table.name
        ));
        statement.id_in(&table.expression("id"), &table.id, chunk.iter().copied());
        for mut record in session.link.rows(statement).await? {
            if let Some(id) = record.number() {
                let (retries, feed_uri) = (record.number(), record.text());
                let failed_at = record.text().map(|text| Stamp { text, at: None });
                now.insert(RowId(id), (retries, Obstacle::in_columns(feed_uri.as_deref(), failed_at.as_ref())));
            }
        }
    }
    Ok(now)
}
