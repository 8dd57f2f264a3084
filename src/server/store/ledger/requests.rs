//! Requests of people: put into the ledger by operations before the source is touched, ended by the watcher.

use std::collections::{BTreeMap, HashMap};

use chrono::Utc;
use sqlx::{QueryBuilder, Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::read::{self, EVENT_COLUMNS, FROM_EVENTS};
use crate::{
    model::{
        RowId,
        ledger::{Asked, Happened, LedgerEvent, LedgerRequest, Moment, RequestKind, RequestOutcome},
    },
    server::store::{ROWS, Store, StoreError, push_list},
};

/// A request for one failed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub row_id: RowId,
    /// The event id of the row, as the person saw it: an id can have been given to another event since.
    pub event_id: Option<String>,
    /// The retries before the request.
    pub retries_before: Option<i64>,
}

/// How the requests of an operation stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Nothing is known yet.
    pub open: u64,
    pub resolved: u64,
    pub failed_again: u64,
    pub overwritten: u64,
    pub gone: u64,
    pub discarded: u64,
    pub restored: u64,
    pub superseded: u64,
    pub withdrawn: u64,
}

impl Store {
    /// Puts requests on record, in one transaction. Call it right **before** the source is changed, so that no outcome can
    /// be seen before its request; a row whose change then fails is taken back with [`Store::withdraw`].
    ///
    /// A retry and a discard go to the open event with this row id; a restore to the newest discarded one. Rows that the
    /// ledger does not know yet are skipped. Answers how many were put on record.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn ask(
        &self,
        app: &str,
        kind: RequestKind,
        operation: i64,
        who: &str,
        asks: &[Ask],
    ) -> Result<u64, StoreError> {
        self.tell_requests().await?;
        let mut transaction = self.begin().await?;
        let taken = ask(&mut transaction, app, kind, operation, who, asks, Utc::now().timestamp_millis()).await?;
        transaction.commit().await?;
        Ok(taken)
    }

    /// Takes back requests of an operation whose rows were not changed in the source.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn withdraw(&self, app: &str, operation: i64, rows: &[RowId]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        withdraw(&mut transaction, app, operation, rows).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// How the requests of operations stand, by operation. Operations without requests are not named.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn request_counts(&self, operations: &[i64]) -> Result<BTreeMap<i64, RequestCounts>, StoreError> {
        let mut counts = BTreeMap::<i64, RequestCounts>::new();
        for operation in operations {
            let rows =
                sqlx::query("SELECT outcome, COUNT(*) FROM ledger_requests WHERE operation = ? GROUP BY outcome")
                    .bind(operation)
                    .fetch_all(&self.pool)
                    .await?;
            for row in rows {
                let number = u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default();
                let outcome = row.try_get::<Option<i64>, _>(0)?.and_then(RequestOutcome::from_code);
                *counts.entry(*operation).or_default().of(outcome) += number;
            }
        }
        Ok(counts)
    }

    /// The requests of an operation with their events, in the order in which they were put on record: at most `limit` after
    /// request number `after`. `outcome`: only those (`Some(None)`: of which nothing is known yet). The number of each
    /// request is for asking on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn requests_of(
        &self,
        operation: i64,
        outcome: Option<Option<RequestOutcome>>,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<(i64, LedgerRequest, LedgerEvent)>, StoreError> {
        let condition = match outcome {
            None => "1 = 1 OR ? IS NULL",
            Some(None) => "r.outcome IS NULL OR ? IS NOT NULL",
            Some(Some(_)) => "r.outcome = ?",
        };
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {EVENT_COLUMNS}, r.id AS request_id, {REQUEST_COLUMNS} {FROM_EVENTS} \
             JOIN ledger_requests r ON r.ledger_event = e.id \
             WHERE r.operation = ? AND r.id > ? AND ({condition}) ORDER BY r.id LIMIT ?"
        )))
        .bind(operation)
        .bind(after.unwrap_or(i64::MIN))
        .bind(outcome.flatten().map(RequestOutcome::code))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok((row.try_get("request_id")?, read_request(row)?, read::read_event(row)?))).collect()
    }

    /// The requests for one event, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn requests_for(&self, ledger_event: i64) -> Result<Vec<LedgerRequest>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {REQUEST_COLUMNS} FROM ledger_requests r WHERE r.ledger_event = ? ORDER BY r.id LIMIT 1000"
        )))
        .bind(ledger_event)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_request).collect()
    }
}

impl RequestCounts {
    fn of(&mut self, outcome: Option<RequestOutcome>) -> &mut u64 {
        match outcome {
            None => &mut self.open,
            Some(RequestOutcome::Resolved) => &mut self.resolved,
            Some(RequestOutcome::FailedAgain) => &mut self.failed_again,
            Some(RequestOutcome::Overwritten) => &mut self.overwritten,
            Some(RequestOutcome::Gone) => &mut self.gone,
            Some(RequestOutcome::Discarded) => &mut self.discarded,
            Some(RequestOutcome::Restored) => &mut self.restored,
            Some(RequestOutcome::Superseded) => &mut self.superseded,
            Some(RequestOutcome::Withdrawn) => &mut self.withdrawn,
        }
    }
}

/// Puts requests on record within a transaction, as asked for at a time in milliseconds since 1970: see [`Store::ask`].
pub(in crate::server::store) async fn ask(
    transaction: &mut Transaction<'_, Sqlite>,
    app: &str,
    kind: RequestKind,
    operation: i64,
    who: &str,
    asks: &[Ask],
    at: i64,
) -> Result<u64, StoreError> {
    let mut taken = 0;
    for chunk in asks.chunks(ROWS) {
        let found = find(transaction, app, kind, chunk).await?;
        if !found.is_empty() {
            put(transaction, &found, kind, operation, who, at).await?;
            taken += found.len() as u64;
        }
    }
    Ok(taken)
}

/// Takes requests back within a transaction: see [`Store::withdraw`].
pub(in crate::server::store) async fn withdraw(
    transaction: &mut Transaction<'_, Sqlite>,
    app: &str,
    operation: i64,
    rows: &[RowId],
) -> Result<(), StoreError> {
    let now = Utc::now().timestamp_millis();
    for row in rows {
        let Ok(row_id) = i64::try_from(row.0) else { continue };
        let events = sqlx::query(
            "UPDATE ledger_requests SET outcome = ?, outcome_at = ? WHERE operation = ? AND outcome IS NULL \
             AND ledger_event IN (SELECT e.id FROM ledger_events e JOIN ledger_sources s ON s.id = e.source_id \
             WHERE s.app = ? AND e.row_id = ?) RETURNING ledger_event",
        )
        .bind(RequestOutcome::Withdrawn.code())
        .bind(now)
        .bind(operation)
        .bind(app)
        .bind(row_id)
        .fetch_all(&mut **transaction)
        .await?;
        for event in events {
            let event: i64 = event.try_get(0)?;
            sqlx::query("INSERT INTO ledger_entries (ledger_event, kind, at, operation) VALUES (?, ?, ?, ?)")
                .bind(event)
                .bind(Happened::Withdrawn.code())
                .bind(now)
                .bind(operation)
                .execute(&mut **transaction)
                .await?;
            sqlx::query("UPDATE ledger_events SET asked = NULL WHERE id = ? AND asked = ?")
                .bind(event)
                .bind(Asked::Requested.code())
                .execute(&mut **transaction)
                .await?;
        }
    }
    Ok(())
}

/// The ledger's numbers of the events that requests are for, each with the retries before.
async fn find(
    transaction: &mut Transaction<'_, Sqlite>,
    app: &str,
    kind: RequestKind,
    asks: &[Ask],
) -> Result<BTreeMap<i64, Option<i64>>, StoreError> {
    let states = match kind {
        RequestKind::Retry | RequestKind::Discard => "+e.state < 10",
        RequestKind::Restore => "+e.state = 13",
    };
    let ids: Vec<i64> = asks.iter().filter_map(|ask| i64::try_from(ask.row_id.0).ok()).collect();
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT e.id, e.row_id, e.event_id FROM ledger_events e JOIN ledger_sources s ON s.id = e.source_id WHERE s.app = ",
    );
    query.push_bind(app).push(format!(" AND {states} AND e.row_id IN ("));
    push_list(&mut query, &ids);
    query.push(" ORDER BY e.life");
    let mut lives = HashMap::<i64, Vec<(i64, Option<String>)>>::new();
    for row in query.build().fetch_all(&mut **transaction).await? {
        lives.entry(row.try_get(1)?).or_default().push((row.try_get(0)?, row.try_get(2)?));
    }
    let newest = |ask: &Ask| {
        let lives = lives.get(&i64::try_from(ask.row_id.0).ok()?)?;
        let (event, _) = lives.iter().rfind(|(_, event_id)| ask.event_id.is_none() || *event_id == ask.event_id)?;
        Some((*event, ask.retries_before))
    };
    Ok(asks.iter().filter_map(newest).collect())
}

/// Puts requests for these events on record, each with the retries before.
async fn put(
    transaction: &mut Transaction<'_, Sqlite>,
    events: &BTreeMap<i64, Option<i64>>,
    kind: RequestKind,
    operation: i64,
    who: &str,
    now: i64,
) -> Result<(), StoreError> {
    let ids: Vec<i64> = events.keys().copied().collect();
    let mut superseded = QueryBuilder::<Sqlite>::new("UPDATE ledger_requests SET outcome = ");
    superseded.push_bind(RequestOutcome::Superseded.code()).push(", outcome_at = ").push_bind(now);
    superseded.push(" WHERE outcome IS NULL AND operation <> ").push_bind(operation).push(" AND ledger_event IN (");
    push_list(&mut superseded, &ids);
    superseded.build().execute(&mut **transaction).await?;

    // Again by the same operation (after an overwritten reset, or after a restart): the request is open once more.
    let mut requests = QueryBuilder::<Sqlite>::new(
        "INSERT INTO ledger_requests (ledger_event, kind, operation, who, at, retries_before) ",
    );
    requests.push_values(events, |mut values, (event, before)| {
        values.push_bind(*event).push_bind(kind.code()).push_bind(operation).push_bind(who).push_bind(now);
        values.push_bind(*before);
    });
    requests.push(
        " ON CONFLICT (operation, ledger_event, kind) DO UPDATE SET at = excluded.at, \
         retries_before = excluded.retries_before, outcome = NULL, outcome_after = NULL, outcome_at = NULL, \
         outcome_fault_id = NULL",
    );
    requests.build().execute(&mut **transaction).await?;

    // What comes of a restore is entered when the row is seen again.
    let happened = match kind {
        RequestKind::Retry => Some(Happened::Requested { before: None }),
        RequestKind::Discard => Some(Happened::Discarded),
        RequestKind::Restore => None,
    };
    if let Some(happened) = happened {
        let mut entries = QueryBuilder::<Sqlite>::new(
            "INSERT INTO ledger_entries (ledger_event, kind, at, retries_before, operation, who) ",
        );
        entries.push_values(events, |mut values, (event, before)| {
            values.push_bind(*event).push_bind(happened.code()).push_bind(now).push_bind(*before);
            values.push_bind(operation).push_bind(who);
        });
        entries.build().execute(&mut **transaction).await?;
    }
    if kind == RequestKind::Retry {
        let mut asked = QueryBuilder::<Sqlite>::new("UPDATE ledger_events SET asked = ");
        asked.push_bind(Asked::Requested.code()).push(" WHERE id IN (");
        push_list(&mut asked, &ids);
        asked.build().execute(&mut **transaction).await?;
    }
    Ok(())
}

/// The columns that [`read_request`] takes.
const REQUEST_COLUMNS: &str = "r.kind AS request_kind, r.operation, r.who, r.at AS request_at, r.retries_before, r.outcome, \
     r.outcome_after, r.outcome_at, r.outcome_fault_id";

fn read_request(row: &SqliteRow) -> Result<LedgerRequest, StoreError> {
    let outcome = row.try_get::<Option<i64>, _>("outcome")?.and_then(RequestOutcome::from_code);
    let at: Option<i64> = row.try_get("outcome_at")?;
    let moment = at.map(|at| {
        Ok::<_, StoreError>(Moment { after: read::time(row.try_get("outcome_after")?), at: read::instant(at)? })
    });
    let kind: i64 = row.try_get("request_kind")?;
    Ok(LedgerRequest {
        kind: RequestKind::from_code(kind)
            .ok_or_else(|| StoreError::Content(format!("a request of the unknown kind {kind}")))?,
        operation: row.try_get("operation")?,
        who: row.try_get("who")?,
        at: read::instant(row.try_get("request_at")?)?,
        retries_before: row.try_get("retries_before")?,
        outcome: outcome.zip(moment.transpose()?),
        fault: row.try_get("outcome_fault_id")?,
    })
}
