//! The statements of a consumer: markers, failed events, and the log of retries.

use chrono::{DateTime, Utc};
use sqlx::mysql::MySqlDatabaseError;

use super::{
    database::{Backend, Database, DatabaseError, Record, Statement, Transaction, Value},
    event::Event,
    java,
    shape::{Shape, Table, TableName},
};

/// How far a feed was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub entry: Option<String>,
    pub page: Option<String>,
}

/// A row of failed_events.
#[derive(Clone, Debug)]
pub(super) struct FailedEvent {
    /// As the database prints it.
    pub id: String,
    pub event: Event,
    pub retries: i64,
    /// As the database prints it.
    pub failed_at: Option<String>,
}

/// A consumer's tables.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
}

impl Store {
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The feed's marker. Where there are several the oldest counts, as the original most often reads it.
    pub async fn marker(&self, feed: &str) -> Result<Option<Marker>, DatabaseError> {
        let shape = self.database.shape_with(&[TableName::Markers]).await?;
        let select = self.select_marker(&shape, "")?;
        Ok(self.database.rows(select.with(feed)).await?.into_iter().next().map(marker))
    }

    fn select_marker(&self, shape: &Shape, lock: &str) -> Result<Statement, DatabaseError> {
        let table = self.database.table(TableName::Markers);
        let has_id = shape.table(TableName::Markers)?.has("id");
        let order = if has_id { format!(" ORDER BY {table}.id") } else { String::new() };
        Ok(Statement::new(format!(
            "SELECT last_read_entry_id, feed_uri_for_last_read_entry FROM {table} \
             WHERE feed_uri = ?{order} LIMIT 1{lock}"
        )))
    }

    /// Moves the feed's marker (all of its markers, where there are several) or writes the first one. Answers `false`,
    /// with nothing written, if it is not where this run left it.
    pub async fn put_marker(
        &self,
        transaction: &mut Transaction,
        feed: &str,
        held: Option<&Marker>,
        next: &Marker,
    ) -> Result<bool, DatabaseError> {
        if held.is_none() && self.database.backend() == Backend::Postgres {
            // No row to lock yet, and OpenELIS and Odoo let two runs at once write two.
            let wait = Statement::new("SELECT pg_advisory_xact_lock(hashtext(?))").with(feed);
            transaction.execute(wait).await?;
        }
        let lock = if self.database.backend() == Backend::Sqlite { "" } else { " FOR UPDATE" };
        let shape = transaction.shape().await?;
        let select = self.select_marker(&shape, lock)?;
        let found = transaction.rows(select.with(feed)).await?.into_iter().next().map(marker);
        if found.as_ref() != held {
            return Ok(false);
        }
        if held.is_some() {
            let table = self.database.table(TableName::Markers);
            let update = format!(
                "UPDATE {table} SET last_read_entry_id = ?, feed_uri_for_last_read_entry = ? WHERE feed_uri = ?"
            );
            let update = Statement::new(update).with(next.entry.clone()).with(next.page.clone()).with(feed);
            transaction.execute(update).await?;
        } else {
            let values: Vec<(&'static str, Value)> = vec![
                ("feed_uri", feed.into()),
                ("last_read_entry_id", next.entry.clone().into()),
                ("feed_uri_for_last_read_entry", next.page.clone().into()),
            ];
            shape.table(TableName::Markers)?.insert(transaction, values).await?;
        }
        Ok(true)
    }

    /// How many failed events the feed has, exhausted ones too.
    pub async fn count_failed(&self, feed: &str) -> Result<u64, DatabaseError> {
        let (count, table) = (self.database.text("COUNT(*)"), self.database.table(TableName::FailedEvents));
        let select = Statement::new(format!("SELECT {count} FROM {table} WHERE feed_uri = ?")).with(feed);
        Ok(self.database.rows(select).await?.into_iter().next().and_then(|mut row| row.number()).unwrap_or(0))
    }

    /// Records a failed event. Where its pair of feed and event is there already, only its retries are set back to 0:
    /// the new error is lost, as it is with the original.
    pub async fn put_failed(
        &self,
        transaction: &mut Transaction,
        feed: &str,
        event: &Event,
        error: &str,
        at: DateTime<Utc>,
    ) -> Result<(), DatabaseError> {
        let shape = transaction.shape().await?;
        let failed = shape.table(TableName::FailedEvents)?;
        let (count, table) = (self.database.text("COUNT(*)"), self.database.table(TableName::FailedEvents));
        let known = format!("SELECT {count} FROM {table} WHERE feed_uri = ? AND event_id = ?");
        let known = transaction.rows(Statement::new(known).with(feed).with(event.id.as_str())).await?;
        if known.into_iter().next().and_then(|mut row| row.number::<u64>()).unwrap_or(0) > 0 {
            return self.set_retries(transaction, feed, &event.id, 0).await;
        }
        let error = java::stored_error(error);
        let values: Vec<(&'static str, Value)> = vec![
            ("feed_uri", feed.into()),
            ("failed_at", self.database.time(at, failed.has_zone("failed_at")).into()),
            ("error_hash_code", i64::from(java::hash_code(&error)).into()),
            ("error_message", error.into()),
            ("event_id", event.id.as_str().into()),
            ("event_content", event.content.clone().into()),
            ("title", event.title.clone().into()),
            ("retries", 0.into()),
            ("tags", event.tags().into()),
        ];
        insert_with_error(failed, transaction, values).await
    }

    /// Sets the retries of a pair. `failed_at` stays what it is, which MySQL has to be told.
    async fn set_retries(
        &self,
        transaction: &mut Transaction,
        feed: &str,
        event_id: &str,
        retries: i64,
    ) -> Result<(), DatabaseError> {
        let shape = transaction.shape().await?;
        if !shape.table(TableName::FailedEvents)?.has("retries") {
            return Ok(());
        }
        let table = self.database.table(TableName::FailedEvents);
        let update =
            format!("UPDATE {table} SET retries = ?, failed_at = failed_at WHERE feed_uri = ? AND event_id = ?");
        transaction.execute(Statement::new(update).with(retries).with(feed).with(event_id)).await.map(drop)
    }

    /// The oldest failed events of a feed that are not exhausted. In the oldest tables, which count no retries, none
    /// ever is.
    pub async fn oldest_failed(&self, feed: &str, max: u32, batch: u32) -> Result<Vec<FailedEvent>, DatabaseError> {
        let shape = self.database.shape_with(&[TableName::FailedEvents]).await?;
        let failed = shape.table(TableName::FailedEvents)?;
        let columns = ["id", "event_id", "event_content", "title", "tags", "retries", "failed_at"]
            .map(|column| failed.text(&self.database, column))
            .join(", ");
        let table = self.database.table(TableName::FailedEvents);
        let mut select = Statement::new(format!("SELECT {columns} FROM {table} WHERE feed_uri = ?")).with(feed);
        if failed.has("retries") {
            select = select.and(" AND retries < ?").with(i64::from(max));
        }
        let rows = self.database.rows(select.and(&format!(" ORDER BY {table}.id LIMIT {batch}"))).await?;
        Ok(rows.into_iter().map(failed_event).collect())
    }

    /// Whether the row is still there.
    pub async fn is_there(&self, row: &FailedEvent) -> Result<bool, DatabaseError> {
        let (id, table) = (self.database.text("id"), self.database.table(TableName::FailedEvents));
        // As a number in the statement: ids are of four types, and it came from the database as digits.
        let Ok(number) = row.id.parse::<i128>() else { return Ok(false) };
        let select = Statement::new(format!("SELECT {id} FROM {table} WHERE id = {number}"));
        Ok(!self.database.rows(select).await?.is_empty())
    }

    /// Whether there is a log of retries. Where there is none it is looked for each time: somebody may have made it.
    pub async fn has_retry_log(&self) -> Result<bool, DatabaseError> {
        match self.database.shape_with(&[TableName::FailedEventRetryLog]).await {
            Ok(_) => Ok(true),
            Err(DatabaseError::NoTable(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes every row of the pair, and what the log has of it; answers how many rows there were.
    pub async fn remove_failed(
        &self,
        transaction: &mut Transaction,
        feed: &str,
        event_id: &str,
        has_log: bool,
    ) -> Result<u64, DatabaseError> {
        let removed = self.delete(transaction, TableName::FailedEvents, feed, event_id).await?;
        if has_log {
            self.delete(transaction, TableName::FailedEventRetryLog, feed, event_id).await?;
        }
        Ok(removed)
    }

    async fn delete(
        &self,
        transaction: &mut Transaction,
        table: TableName,
        feed: &str,
        event_id: &str,
    ) -> Result<u64, DatabaseError> {
        let delete = format!("DELETE FROM {} WHERE feed_uri = ? AND event_id = ?", self.database.table(table));
        transaction.execute(Statement::new(delete).with(feed).with(event_id)).await
    }

    /// Counts a retry that failed, and logs its error. The count is the one that the row had when it was read plus one,
    /// written to every row of the pair, as the original does it.
    pub async fn count_retry(
        &self,
        transaction: &mut Transaction,
        feed: &str,
        row: &FailedEvent,
        error: &str,
        at: DateTime<Utc>,
    ) -> Result<(), DatabaseError> {
        self.set_retries(transaction, feed, &row.event.id, row.retries + 1).await?;
        let shape = transaction.shape().await?;
        let log = shape.table(TableName::FailedEventRetryLog)?;
        let error = java::stored_error(error);
        let values: Vec<(&'static str, Value)> = vec![
            ("feed_uri", feed.into()),
            ("failed_at", self.database.time(at, log.has_zone("failed_at")).into()),
            ("error_hash_code", i64::from(java::hash_code(&error)).into()),
            ("error_message", error.into()),
            ("event_id", row.event.id.as_str().into()),
            ("event_content", row.event.content.clone().into()),
        ];
        insert_with_error(log, transaction, values).await
    }
}

/// Writes a row with an error text. Where MySQL's column cannot hold all of its letters (latin1, utf8mb3), those that
/// are no ASCII become `?`: a text in another script must not hold the feed.
async fn insert_with_error(
    table: &Table,
    transaction: &mut Transaction,
    mut values: Vec<(&'static str, Value)>,
) -> Result<(), DatabaseError> {
    match table.insert(transaction, values.clone()).await {
        Err(error) if is_unfit(&error) => {}
        done => return done,
    }
    for (column, value) in &mut values {
        if let ("error_message", Value::Text(Some(text))) = (*column, value) {
            *text = text.chars().map(|letter| if letter.is_ascii() { letter } else { '?' }).collect();
        }
    }
    table.insert(transaction, values).await
}

/// MySQL: "Incorrect string value"; from 8.0 on also "Conversion from collation … into … impossible for parameter".
fn is_unfit(error: &DatabaseError) -> bool {
    let DatabaseError::Sql(sqlx::Error::Database(error)) = error else { return false };
    error.try_downcast_ref::<MySqlDatabaseError>().is_some_and(|error| matches!(error.number(), 1366 | 3988))
}

fn marker(mut row: Record) -> Marker {
    Marker { entry: row.text(), page: row.text() }
}

fn failed_event(mut row: Record) -> FailedEvent {
    let id = row.text().unwrap_or_default();
    let event_id = row.text().unwrap_or_default();
    let (content, title, tags) = (row.text(), row.text(), row.text());
    let event = Event {
        id: event_id,
        title,
        content,
        categories: Event::categories_of(tags.as_deref()),
        updated: None,
        page: None,
    };
    FailedEvent { id, event, retries: row.number().unwrap_or(0), failed_at: row.text() }
}
