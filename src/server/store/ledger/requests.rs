//! Requests of users: operations record them in the ledger before they change the source, and the watcher sets their
//! outcomes.

use std::collections::{BTreeMap, HashMap};

use sqlx::{QueryBuilder, Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::read::{self, EVENT_COLUMNS, FROM_EVENTS};
use crate::{
    clock,
    model::{
        RowId,
        ledger::{Asked, Happened, LedgerEvent, LedgerRequest, Moment, RequestKind, RequestOutcome},
    },
    server::store::{ROWS, Store, StoreError, count, push_list},
};

/// A request for one failed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub row_id: RowId,
    /// The event id of the row, as the user saw it: the row id may belong to another event by now.
    pub event_id: Option<String>,
    /// Retries before the request.
    pub retries_before: Option<i64>,
}

/// Requests of an operation, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// No outcome is known yet.
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
    /// Records requests, in one transaction. Call it right **before** the source is changed, so that no outcome can be
    /// seen before its request; if the change of a row then fails, take its request back with [`Store::withdraw`].
    ///
    /// A retry and a discard apply to the open event with this row id; a restore to the newest discarded one. Rows that
    /// the ledger does not know yet are skipped; a retry of such a row is recorded when the watcher first sees the row.
    /// Returns the number of recorded requests.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    pub async fn ask(
        &self,
        app: &str,
        kind: RequestKind,
        operation: i64,
        who: &str,
        asks: &[Ask],
    ) -> Result<u64, StoreError> {
        self.flush_requests().await?;
        let mut transaction = self.begin().await?;
        let taken = ask(&mut transaction, app, kind, operation, who, asks, clock::now().timestamp_millis()).await?;
        transaction.commit().await?;
        Ok(taken)
    }

    /// Withdraws requests of an operation whose rows were not changed in the source. Earlier requests that they
    /// superseded apply again.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    pub async fn withdraw(&self, app: &str, operation: i64, rows: &[RowId]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        withdraw(&mut transaction, app, operation, rows).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Returns the requests of operations counted by outcome, by operation. Operations without requests are missing.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn request_counts(&self, operations: &[i64]) -> Result<BTreeMap<i64, RequestCounts>, StoreError> {
        let mut counts = BTreeMap::<i64, RequestCounts>::new();
        for operation in operations {
            let rows =
                sqlx::query("SELECT outcome, COUNT(*) FROM ledger_requests WHERE operation = ? GROUP BY outcome")
                    .bind(operation)
                    .fetch_all(&self.pool)
                    .await?;
            for row in rows {
                let number = count(&row, 1)?;
                let outcome = row.try_get::<Option<i64>, _>(0)?.and_then(RequestOutcome::from_code);
                *counts.entry(*operation).or_default().of(outcome) += number;
            }
        }
        Ok(counts)
    }

    /// Returns the requests of an operation with their events, in the order in which they were recorded: at most
    /// `limit` after request number `after`. `outcome`: only those with it (`Some(None)`: those without one yet). The
    /// number of each request is for reading the next page.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
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

    /// Returns the requests for one event, oldest first.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
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
    /// Returns the number of requests that were not withdrawn.
    pub fn standing(&self) -> u64 {
        let seen = self.resolved + self.failed_again + self.overwritten + self.gone;
        self.open + seen + self.discarded + self.restored + self.superseded
    }

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

/// Records requests within a transaction, as made at a time in milliseconds since 1970: see [`Store::ask`].
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

/// Withdraws requests within a transaction: see [`Store::withdraw`]. They changed nothing, so any outcome seen
/// meanwhile belongs to the requests that they superseded, which apply again.
pub(in crate::server::store) async fn withdraw(
    transaction: &mut Transaction<'_, Sqlite>,
    app: &str,
    operation: i64,
    rows: &[RowId],
) -> Result<(), StoreError> {
    let now = clock::now().timestamp_millis();
    for row in rows {
        let Ok(row_id) = i64::try_from(row.0) else { continue };
        let requests = sqlx::query(
            "SELECT r.id, r.ledger_event, r.outcome, r.superseded_by FROM ledger_sources s \
             CROSS JOIN ledger_events e ON e.source_id = s.id AND e.row_id = ? \
             CROSS JOIN ledger_requests r ON r.operation = ? AND r.ledger_event = e.id WHERE s.app = ?",
        )
        .bind(row_id)
        .bind(operation)
        .bind(app)
        .fetch_all(&mut **transaction)
        .await?;
        for request in requests {
            let (id, event): (i64, i64) = (request.try_get(0)?, request.try_get(1)?);
            let outcome = request.try_get::<Option<i64>, _>(2)?.and_then(RequestOutcome::from_code);
            let goes = match outcome {
                None => {
                    give_back(transaction, operation, event, None).await?;
                    true
                }
                Some(RequestOutcome::Superseded) => {
                    give_back(transaction, operation, event, request.try_get(3)?).await?;
                    true
                }
                Some(
                    RequestOutcome::Resolved
                    | RequestOutcome::FailedAgain
                    | RequestOutcome::Overwritten
                    | RequestOutcome::Gone,
                ) => hand_over(transaction, operation, event, id).await?,
                Some(_) => false,
            };
            if goes {
                end_withdrawn(transaction, operation, event, id, now).await?;
            }
        }
    }
    Ok(())
}

/// Reopens the request that one of this operation superseded. `by`: the operation whose request has superseded this
/// operation's since; then it supersedes the earlier request, too.
async fn give_back(
    transaction: &mut Transaction<'_, Sqlite>,
    operation: i64,
    event: i64,
    by: Option<i64>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE ledger_requests SET outcome = CASE WHEN ?1 IS NULL THEN NULL ELSE outcome END, \
         outcome_at = CASE WHEN ?1 IS NULL THEN NULL ELSE outcome_at END, superseded_by = ?1 \
         WHERE ledger_event = ?2 AND outcome = ?3 AND superseded_by = ?4",
    )
    .bind(by)
    .bind(event)
    .bind(RequestOutcome::Superseded.code())
    .bind(operation)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Moves the outcome of a request that changed nothing to the request of the same kind that it superseded, because that
/// one caused it. Returns whether there is such a request.
async fn hand_over(
    transaction: &mut Transaction<'_, Sqlite>,
    operation: i64,
    event: i64,
    request: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE ledger_requests SET outcome = own.outcome, outcome_after = own.outcome_after, outcome_at = own.outcome_at, \
         outcome_fault_id = own.outcome_fault_id, superseded_by = NULL FROM ledger_requests own WHERE own.id = ?1 \
         AND ledger_requests.ledger_event = ?2 AND ledger_requests.outcome = ?3 AND ledger_requests.superseded_by = ?4 \
         AND ledger_requests.kind = own.kind",
    )
    .bind(request)
    .bind(event)
    .bind(RequestOutcome::Superseded.code())
    .bind(operation)
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends a request as withdrawn, after the request that it superseded was reopened.
async fn end_withdrawn(
    transaction: &mut Transaction<'_, Sqlite>,
    operation: i64,
    event: i64,
    request: i64,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE ledger_requests SET outcome = ?, outcome_after = NULL, outcome_at = ?, outcome_fault_id = NULL, \
         superseded_by = NULL WHERE id = ?",
    )
    .bind(RequestOutcome::Withdrawn.code())
    .bind(now)
    .bind(request)
    .execute(&mut **transaction)
    .await?;
    sqlx::query("INSERT INTO ledger_entries (ledger_event, kind, at, operation) VALUES (?, ?, ?, ?)")
        .bind(event)
        .bind(Happened::Withdrawn.code())
        .bind(now)
        .bind(operation)
        .execute(&mut **transaction)
        .await?;
    // The state by the newest remaining request, as if this one had never existed.
    sqlx::query(
        "UPDATE ledger_events SET asked = (SELECT CASE WHEN q.kind <> ?1 THEN NULL WHEN q.outcome IS NULL THEN ?2 \
         WHEN q.outcome = ?3 THEN ?4 WHEN q.outcome = ?5 THEN ?6 END FROM ledger_requests q \
         WHERE q.ledger_event = ledger_events.id AND (q.outcome IS NULL OR q.outcome NOT IN (?7, ?8)) \
         ORDER BY q.at DESC, q.id DESC LIMIT 1) WHERE id = ?9 AND asked = ?2",
    )
    .bind(RequestKind::Retry.code())
    .bind(Asked::Requested.code())
    .bind(RequestOutcome::FailedAgain.code())
    .bind(Asked::FailedAgain.code())
    .bind(RequestOutcome::Overwritten.code())
    .bind(Asked::Overwritten.code())
    .bind(RequestOutcome::Superseded.code())
    .bind(RequestOutcome::Withdrawn.code())
    .bind(event)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Returns the ledger ids of the events that requests are for, each with the retries before.
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

/// Records requests for these events, each with the retries before.
pub(super) async fn put(
    transaction: &mut Transaction<'_, Sqlite>,
    events: &BTreeMap<i64, Option<i64>>,
    kind: RequestKind,
    operation: i64,
    who: &str,
    now: i64,
) -> Result<(), StoreError> {
    let ids: Vec<i64> = events.keys().copied().collect();
    // An earlier request of the same operation took effect and was overwritten: what it superseded is not reopened when
    // this one is withdrawn.
    let mut for_good =
        QueryBuilder::<Sqlite>::new("UPDATE ledger_requests SET superseded_by = NULL WHERE superseded_by = ");
    for_good.push_bind(operation);
    for_good.push(
        " AND EXISTS (SELECT 1 FROM ledger_requests own WHERE own.ledger_event = ledger_requests.ledger_event \
         AND own.operation = ",
    );
    for_good.push_bind(operation).push(" AND own.outcome = ").push_bind(RequestOutcome::Overwritten.code());
    for_good.push(") AND ledger_event IN (");
    push_list(&mut for_good, &ids);
    for_good.build().execute(&mut **transaction).await?;

    let mut superseded = QueryBuilder::<Sqlite>::new("UPDATE ledger_requests SET outcome = ");
    superseded.push_bind(RequestOutcome::Superseded.code()).push(", outcome_at = ").push_bind(now);
    superseded.push(", superseded_by = ").push_bind(operation);
    superseded.push(" WHERE outcome IS NULL AND operation <> ").push_bind(operation).push(" AND ledger_event IN (");
    push_list(&mut superseded, &ids);
    superseded.build().execute(&mut **transaction).await?;

    // Repeated by the same operation (after an overwritten reset, or after a restart): the request is reopened.
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
         outcome_fault_id = NULL, superseded_by = NULL",
    );
    requests.build().execute(&mut **transaction).await?;

    // The result of a restore is recorded when the row is seen again.
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

/// The columns that [`read_request`] reads.
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
