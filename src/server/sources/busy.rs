//! Changes of rows that other transactions may have locked.
//!
//! A batch waits at most one second for a lock ([`super::mysql`], [`super::postgres`] and [`super::sqlite`] set that)
//! and is then rolled back as a whole, so that no other transaction waits for the rows that it had locked. After that
//! the free rows are changed, and the others are reported as busy: the caller tries them again. Nothing here waits long
//! while it holds a lock.
//!
//! - PostgreSQL and MySQL from 8 on report the free rows themselves (`SKIP LOCKED`).
//! - MariaDB from 10.3 on can be set not to wait: the batch is tried in halves, down to the single row.
//! - Older servers only accept whole seconds: the halves are tried there too, but only a limited number of them may
//!   wait. Once most rows are changed, the rest is left for the next attempt, so that the caller can report both.
//! - SQLite locks the whole file: every row is busy.

use std::{
    collections::{BTreeSet, VecDeque},
    future::Future,
    ops::Range,
};

use crate::model::{Backend, RowId, operation::RowOutcome};

use super::{Source, SourceError, SourceErrorKind, connection::Session, list::failed_events};

/// Most parts of a batch that may wait in vain, on a server where each of them waits a second.
const MOST_WAITS: u32 = 12;

/// The same limit once at least half of the batch's rows are changed.
const WAITS_FOR_THE_REST: u32 = 4;

/// Number of waits up to which the largest part is tried first. If all these were in vain, locks are everywhere, and
/// only small parts can be free.
const WAITS_OF_LARGE_PARTS: u32 = 4;

/// Most ids in one statement.
const CHUNK: usize = 500;

/// A change of rows of `failed_events`, written within one transaction.
pub(super) trait Change: Sync {
    type Row: Copy + Send + Sync;

    fn id(row: Self::Row) -> RowId;

    /// Writes the change of these rows, and returns the outcomes in their order.
    fn write(
        &self,
        session: &mut Session<'_>,
        rows: &[Self::Row],
    ) -> impl Future<Output = Result<Vec<RowOutcome>, SourceError>> + Send;
}

/// Carries out a change, and returns the outcomes in the order of the rows.
///
/// # Errors
/// Fails if the rows cannot be read or written; then nothing was written. If the connection is lost or times out while
/// committing, this is unknown: then every changed row has the outcome [`RowOutcome::Uncertain`], and there is no
/// error.
pub(super) async fn carry_out<C: Change>(
    source: &Source,
    change: &C,
    rows: &[C::Row],
) -> Result<Vec<RowOutcome>, SourceError> {
    match in_one(source, change, rows, false).await {
        Err(error) if error.kind == SourceErrorKind::Locked => {}
        other => return other,
    }
    tracing::debug!(app = source.app.info.key, rows = rows.len(), "a batch met a lock and is taken apart");
    if source.app.database.backend == Backend::Sqlite {
        return Ok(all_busy(rows.len()));
    }
    match those_free(source, change, rows).await? {
        Some(outcomes) => Ok(outcomes),
        None => in_halves(source, change, rows).await,
    }
}

fn all_busy(rows: usize) -> Vec<RowOutcome> {
    vec![RowOutcome::Busy { again: false }; rows]
}

/// Changes all rows in one transaction. `at_once`: without waiting for any lock; only for servers that support this.
async fn in_one<C: Change>(
    source: &Source,
    change: &C,
    rows: &[C::Row],
    at_once: bool,
) -> Result<Vec<RowOutcome>, SourceError> {
    let mut session = source.pool.write(&source.app).await?;
    let written = if at_once {
        session.link.command("SET SESSION innodb_lock_wait_timeout = 0, lock_wait_timeout = 0").await?;
        let written = change.write(&mut session, rows).await;
        session.link.command("SET SESSION innodb_lock_wait_timeout = 1, lock_wait_timeout = 1").await?;
        written
    } else {
        change.write(&mut session, rows).await
    };
    match written {
        Ok(outcomes) => committed(session, outcomes).await,
        Err(error) => session.end(Err(error)).await,
    }
}

/// Commits what was written. If the result of the commit is unknown, the outcomes of the changed rows say so.
pub(super) async fn committed(session: Session<'_>, outcomes: Vec<RowOutcome>) -> Result<Vec<RowOutcome>, SourceError> {
    match session.commit().await {
        Ok(()) => Ok(outcomes),
        Err(error) if matches!(error.kind, SourceErrorKind::Lost | SourceErrorKind::TimedOut) => {
            let uncertain = |outcome: RowOutcome| match outcome.is_done() {
                true => RowOutcome::Uncertain { reason: error.reason.clone() },
                false => outcome,
            };
            Ok(outcomes.into_iter().map(uncertain).collect())
        }
        Err(error) => Err(error),
    }
}

/// Changes the rows that the server reports as free. `None` if it cannot report them, or if something that belongs to
/// them is locked.
async fn those_free<C: Change>(
    source: &Source,
    change: &C,
    rows: &[C::Row],
) -> Result<Option<Vec<RowOutcome>>, SourceError> {
    let mut session = source.pool.write(&source.app).await?;
    if !skips_locked(source.app.database.backend, &session.schema.server) {
        return session.end(Ok(None)).await;
    }
    match lock_and_write(&mut session, change, rows).await {
        Ok(Some(outcomes)) => committed(session, outcomes).await.map(Some),
        Ok(None) => session.end(Ok(None)).await,
        // The whole table is locked.
        Err(error) if error.kind == SourceErrorKind::Locked => session.end(Ok(Some(all_busy(rows.len())))).await,
        Err(error) => session.end(Err(error)).await,
    }
}

async fn lock_and_write<C: Change>(
    session: &mut Session<'_>,
    change: &C,
    rows: &[C::Row],
) -> Result<Option<Vec<RowOutcome>>, SourceError> {
    let ids: BTreeSet<RowId> = rows.iter().map(|row| C::id(*row)).collect();
    let free = match ids_there(session, &ids, " FOR UPDATE SKIP LOCKED").await {
        Ok(free) => free,
        // The account may lock rows only by changing them, or the server is not the one that it claims to be.
        Err(error) if matches!(error.kind, SourceErrorKind::NotAllowed | SourceErrorKind::Other) => return Ok(None),
        Err(error) => return Err(error),
    };
    let here = ids_there(session, &ids.difference(&free).copied().collect(), "").await?;
    let wanted: Vec<C::Row> = rows.iter().copied().filter(|row| free.contains(&C::id(*row))).collect();
    let mut written = match change.write(session, &wanted).await {
        Ok(written) => VecDeque::from(written),
        // Something that belongs to a free row is locked.
        Err(error) if error.kind == SourceErrorKind::Locked => return Ok(None),
        Err(error) => return Err(error),
    };
    let outcome = |row: &C::Row| match C::id(*row) {
        id if free.contains(&id) => written.pop_front().unwrap_or(RowOutcome::Busy { again: false }),
        id if here.contains(&id) => RowOutcome::Busy { again: false },
        _ => RowOutcome::Gone,
    };
    Ok(Some(rows.iter().map(outcome).collect()))
}

/// Returns those of these ids that are in the table; with `locking`, those that could be locked.
async fn ids_there(
    session: &mut Session<'_>,
    ids: &BTreeSet<RowId>,
    locking: &str,
) -> Result<BTreeSet<RowId>, SourceError> {
    let schema = session.schema.clone();
    let table = failed_events(session.link.app, &schema)?;
    let ids: Vec<RowId> = ids.iter().copied().collect();
    let mut there = BTreeSet::new();
    for chunk in ids.chunks(CHUNK) {
        // Also selects a column outside the index: otherwise, for a small table, MySQL from 8.0 on would scan the whole
        // index and lock rows that were not asked for.
        let columns = [table.text("id"), table.text("failed_at")].join(", ");
        let mut statement = session.link.statement(format!("SELECT {columns} FROM {} WHERE ", table.by_primary_key()));
        statement.id_in(&table.expression("id"), &table.id, chunk.iter().copied()).push(locking);
        let rows = session.link.rows(statement).await?;
        there.extend(rows.into_iter().filter_map(|mut row| row.number().map(RowId)));
    }
    Ok(there)
}

/// Changes the free rows by trying the halves of locked parts, each in its own transaction. Rows that were not tried
/// any more are reported as busy, too.
async fn in_halves<C: Change>(source: &Source, change: &C, rows: &[C::Row]) -> Result<Vec<RowOutcome>, SourceError> {
    let server = source.pool.known_schema().map(|schema| schema.server.clone()).unwrap_or_default();
    let at_once = need_not_wait(source.app.database.backend, &server);
    let mut outcomes = all_busy(rows.len());
    // The whole batch was tried already.
    let mut parts = Parts::halves_of(rows.len(), at_once);
    while let Some(part) = parts.next() {
        match in_one(source, change, &rows[part.clone()], at_once).await {
            Ok(of_part) => {
                parts.written += part.len();
                drop(outcomes.splice(part, of_part));
            }
            Err(error) if error.kind == SourceErrorKind::Locked => parts.waited(part),
            // Committed parts stay committed; the caller tries the rest again.
            Err(error) if parts.written > 0 => {
                tracing::debug!(reason = error.reason, "the rest of a batch is left for later");
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(outcomes)
}

/// Parts of a batch that are still to be tried.
struct Parts {
    untried: VecDeque<Range<usize>>,
    rows: usize,
    /// A locked part costs no wait.
    at_once: bool,
    waits: u32,
    /// Number of rows in the parts that were free.
    written: usize,
}

impl Parts {
    fn halves_of(rows: usize, at_once: bool) -> Self {
        Self { untried: halves(0..rows).into(), rows, at_once, waits: 0, written: 0 }
    }

    /// Returns the part to try now: large parts before small ones, so that free rows wait for few locked ones.
    fn next(&mut self) -> Option<Range<usize>> {
        if self.at_once {
            return self.untried.pop_front();
        }
        let mostly_written = self.written * 2 >= self.rows;
        match self.waits {
            MOST_WAITS.. => None,
            WAITS_FOR_THE_REST.. if mostly_written => None,
            WAITS_OF_LARGE_PARTS.. => self.untried.pop_back(),
            _ => self.untried.pop_front(),
        }
    }

    /// Records that a row of this part is locked.
    fn waited(&mut self, part: Range<usize>) {
        self.waits += 1;
        self.untried.extend(halves(part));
    }
}

/// Returns the two halves of a part; none for a single row.
fn halves(part: Range<usize>) -> Vec<Range<usize>> {
    let middle = part.start + part.len() / 2;
    if part.len() < 2 { Vec::new() } else { vec![part.start..middle, middle..part.end] }
}

/// Returns whether to use `SKIP LOCKED`. MariaDB supports it from 10.6 on, too, but not waiting gives the same result
/// there and needs no right other than that to change rows.
fn skips_locked(backend: Backend, server: &str) -> bool {
    match backend {
        Backend::Postgres => true,
        Backend::MySql => !server.starts_with("MariaDB") && version(server) >= (8, 0),
        Backend::Sqlite => false,
    }
}

/// Returns whether the server accepts 0 as the seconds to wait.
fn need_not_wait(backend: Backend, server: &str) -> bool {
    backend == Backend::MySql && server.starts_with("MariaDB") && version(server) >= (10, 3)
}

/// Returns `(10, 11)` for `MariaDB 10.11.6`.
fn version(server: &str) -> (u32, u32) {
    let mut numbers = server.rsplit(' ').next().unwrap_or_default().split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_can_do_follows_from_its_version() {
        for (server, skips, at_once) in [
            ("MySQL 5.6.51", false, false),
            ("MySQL 5.7.44", false, false),
            ("MySQL 8.0.36", true, false),
            ("MySQL 9.1.0", true, false),
            ("MariaDB 10.2.44", false, false),
            ("MariaDB 10.3.39", false, true),
            ("MariaDB 11.8.2", false, true),
        ] {
            let told = (skips_locked(Backend::MySql, server), need_not_wait(Backend::MySql, server));
            assert_eq!(told, (skips, at_once), "{server}");
        }
        assert!(
            skips_locked(Backend::Postgres, "PostgreSQL 9.6.24")
                && !need_not_wait(Backend::Postgres, "PostgreSQL 16.3")
        );
    }

    #[test]
    fn halves_are_a_part_without_gaps_and_end_with_single_rows() {
        assert_eq!(halves(0..5), [0..2, 2..5]);
        assert_eq!(halves(3..5), [3..4, 4..5]);
        assert!(halves(3..4).is_empty() && halves(3..3).is_empty());
        // The parts end with every row once.
        let (mut parts, mut rows) = (Parts::halves_of(11, true), Vec::new());
        while let Some(part) = parts.next() {
            match part.len() {
                1 => rows.push(part.start),
                _ => parts.waited(part),
            }
        }
        rows.sort_unstable();
        assert_eq!(rows, (0..11).collect::<Vec<_>>());
    }

    /// Returns the parts that are tried if these rows are locked, and whether each was free.
    fn tried(rows: usize, at_once: bool, locked: impl Fn(usize) -> bool) -> Vec<(Range<usize>, bool)> {
        let (mut parts, mut tried) = (Parts::halves_of(rows, at_once), Vec::new());
        while let Some(part) = parts.next() {
            let free = !part.clone().any(&locked);
            tried.push((part.clone(), free));
            if free {
                parts.written += part.len();
            } else {
                parts.waited(part);
            }
        }
        tried
    }

    fn written(tried: &[(Range<usize>, bool)]) -> usize {
        tried.iter().filter(|(_, free)| *free).map(|(part, _)| part.len()).sum()
    }

    #[test]
    fn what_is_free_is_written_before_small_parts_are_waited_for() {
        for locked in [0, 4, 249, 250, 499] {
            let tried = tried(500, false, |row| row == locked);
            let waits = tried.iter().filter(|(_, free)| !free).count();
            assert!(written(&tried[..2]) >= 250, "row {locked}: {tried:?}");
            assert!(waits <= 4 && written(&tried) >= 437, "row {locked}: {tried:?}");
        }
        // Among few rows, the locked one is isolated quickly.
        assert_eq!(written(&tried(8, false, |row| row == 3)), 7);
    }

    #[test]
    fn where_locks_are_everywhere_small_parts_are_written_and_the_waits_are_bounded() {
        for every in [2, 3, 5, 50] {
            let tried = tried(500, false, |row| row % every == 0);
            assert!(tried.iter().filter(|(_, free)| !free).count() <= MOST_WAITS as usize, "{every}: {tried:?}");
            assert!(written(&tried) > 0, "{every}: {tried:?}");
        }
    }

    #[test]
    fn a_server_that_need_not_wait_is_asked_for_every_row() {
        assert_eq!(written(&tried(500, true, |row| row % 3 == 0)), 333);
    }
}
