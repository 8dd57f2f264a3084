//! The statements of a consumer on its tables: markers, failed events, and the log of retries.

use chrono::{DateTime, Utc};
use sqlx::mysql::MySqlDatabaseError;

use super::{
    database::{Backend, Database, DatabaseError, Reads, Record, Session, Statement, Transaction, Value},
    event::Event,
    fit::{Capacity, Change, Letters, fit, fit_id},
    java,
    shape::{Shape, Table, TableName},
};

/// How far a feed has been read.
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

    /// Returns the feed's marker. If there are several, the oldest, which the Java library most often reads too.
    pub async fn marker(&self, session: &mut Session, feed: &str) -> Result<Option<Marker>, DatabaseError> {
        let shape = session.shape_with(&[TableName::Markers]).await?;
        let select = self.select_marker(&shape, "")?;
        Ok(session.rows(select.with(feed)).await?.into_iter().next().map(marker))
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

    /// Moves the feed's marker (all of its markers if there are several) or writes the first one. Returns `false`, with
    /// nothing written, if the stored marker is no longer `held`, the one this run knows.
    pub async fn put_marker(
        &self,
        transaction: &mut Transaction<'_>,
        feed: &str,
        held: Option<&Marker>,
        next: &Marker,
    ) -> Result<bool, DatabaseError> {
        if held.is_none() && self.database.backend() == Backend::Postgres {
            // There is no row to lock yet, and the tables of OpenELIS and Odoo would let two concurrent runs write two.
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

    /// Returns how many failed events the feed has, including exhausted ones.
    pub async fn count_failed(&self, session: &mut Session, feed: &str) -> Result<u64, DatabaseError> {
        let (count, table) = (self.database.text("COUNT(*)"), self.database.table(TableName::FailedEvents));
        let select = Statement::new(format!("SELECT {count} FROM {table} WHERE feed_uri = ?")).with(feed);
        Ok(session.rows(select).await?.into_iter().next().and_then(|mut row| row.number()).unwrap_or(0))
    }

    /// Records a failed event, with its texts fitted to the columns. If the pair of feed and event is already there,
    /// only its retries are reset to 0; the new error is lost, as with the Java library. Returns what was changed to
    /// fit; empty if nothing was.
    pub async fn put_failed(
        &self,
        transaction: &mut Transaction<'_>,
        feed: &str,
        event: &Event,
        error: &str,
        at: DateTime<Utc>,
        letters: &Alphabet,
    ) -> Result<Vec<String>, DatabaseError> {
        let known_shape = transaction.shape().await?;
        let mut row = Row::of(transaction, known_shape.table(TableName::FailedEvents)?, event, error, letters).await?;
        let mut shape = known_shape;
        if !row.changes.is_empty() {
            // The columns may have been enlarged since they were read.
            self.database.forget_shape();
            shape = transaction.shape().await?;
            row = Row::of(transaction, shape.table(TableName::FailedEvents)?, event, error, letters).await?;
        }
        let failed = shape.table(TableName::FailedEvents)?;
        let (count, table) = (self.database.text("COUNT(*)"), self.database.table(TableName::FailedEvents));
        let known = format!("SELECT {count} FROM {table} WHERE feed_uri = ? AND event_id = ?");
        let known = transaction.rows(Statement::new(known).with(feed).with(row.event_id.as_str())).await?;
        if known.into_iter().next().and_then(|mut row| row.number::<u64>()).unwrap_or(0) > 0 {
            self.set_retries(transaction, feed, &row.event_id, 0).await?;
            return Ok(row.changes);
        }
        let values: Vec<(&'static str, Value)> = vec![
            ("feed_uri", feed.into()),
            ("failed_at", self.database.time(at, failed.has_zone("failed_at")).into()),
            ("error_hash_code", i64::from(java::hash_code(&row.error)).into()),
            ("error_message", row.error.into()),
            ("event_id", row.event_id.into()),
            ("event_content", row.content.into()),
            ("title", row.title.into()),
            ("retries", 0.into()),
            ("tags", row.tags.into()),
        ];
        failed.insert(transaction, values).await?;
        Ok(row.changes)
    }

    /// Returns the marker after an event, fitted to its columns. An id that does not fit is shortened. A page address
    /// is never shortened, because part of an address cannot be read.
    pub async fn marker_behind(
        &self,
        session: &mut Session,
        event: &Event,
        page: &str,
    ) -> Result<(Marker, Option<Change>), DatabaseError> {
        let shape = session.shape_with(&[TableName::Markers]).await?;
        let markers = shape.table(TableName::Markers)?;
        let (entry, change) = fit_id(session, &markers.capacity("last_read_entry_id"), &event.id).await?;
        let capacity = markers.capacity("feed_uri_for_last_read_entry");
        let mut page = page.to_owned();
        if fit(session, &capacity, &page).await?.1.is_some_and(|change| change.is_of_letters()) {
            // The same address percent-encoded, in ASCII, which every column can hold.
            page = url::Url::parse(&page).map_or(page, String::from);
        }
        markers.check("feed_uri_for_last_read_entry", &page)?;
        Ok((Marker { entry: Some(entry), page: Some(page) }, change))
    }

    /// Sets the retries of a pair. `failed_at` is set to itself, because MySQL may otherwise update it.
    async fn set_retries(
        &self,
        transaction: &mut Transaction<'_>,
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

    /// Returns the oldest failed events of a feed that are not exhausted. The oldest tables do not count retries, so
    /// none is ever exhausted there.
    pub async fn oldest_failed(
        &self,
        session: &mut Session,
        feed: &str,
        max: u32,
        batch: u32,
    ) -> Result<Vec<FailedEvent>, DatabaseError> {
        let shape = session.shape_with(&[TableName::FailedEvents]).await?;
        let failed = shape.table(TableName::FailedEvents)?;
        let columns = ["id", "event_id", "event_content", "title", "tags", "retries", "failed_at"]
            .map(|column| failed.text(&self.database, column))
            .join(", ");
        let table = self.database.table(TableName::FailedEvents);
        let mut select = Statement::new(format!("SELECT {columns} FROM {table} WHERE feed_uri = ?")).with(feed);
        if failed.has("retries") {
            select = select.and(" AND retries < ?").with(i64::from(max));
        }
        let rows = session.rows(select.and(&format!(" ORDER BY {table}.id LIMIT {batch}"))).await?;
        Ok(rows.into_iter().map(failed_event).collect())
    }

    /// Returns whether the row is still there.
    pub async fn is_there(&self, session: &mut Session, row: &FailedEvent) -> Result<bool, DatabaseError> {
        let (id, table) = (self.database.text("id"), self.database.table(TableName::FailedEvents));
        if row.id.parse::<i128>().is_err() {
            return Ok(false);
        }
        let select = Statement::new(format!("SELECT {id} FROM {table} WHERE id = "));
        // Bound, so that the statement is the same for every row. Each new statement would be prepared, and after a
        // hundred of them the driver closes one for each, which takes 40 ms on MySQL.
        let select = match (row.id.parse::<i64>(), self.database.backend()) {
            (Ok(number), _) => select.and("?").with(number),
            // For ids above a signed 64-bit number: MySQL's `bigint unsigned`, PostgreSQL's `numeric`. MySQL from
            // 8.0.22 on treats a bare parameter as a signed number and reduces its digits to the largest one.
            (Err(_), Backend::MySql) => select.and("CAST(CAST(? AS CHAR) AS UNSIGNED)").with(row.id.as_str()),
            (Err(_), Backend::Postgres) => select.and("CAST(? AS numeric)").with(row.id.as_str()),
            (Err(_), Backend::Sqlite) => select.and("?").with(row.id.as_str()),
        };
        Ok(!session.rows(select).await?.is_empty())
    }

    /// Returns whether there is a log of retries. A missing log is looked up every time, because it may have been
    /// created.
    pub async fn has_retry_log(&self, session: &mut Session) -> Result<bool, DatabaseError> {
        match session.shape_with(&[TableName::FailedEventRetryLog]).await {
            Ok(_) => Ok(true),
            Err(DatabaseError::NoTable(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes every row of the pair and its log entries. Returns how many rows of failed_events it deleted.
    pub async fn remove_failed(
        &self,
        transaction: &mut Transaction<'_>,
        feed: &str,
        event_id: &str,
        has_log: bool,
    ) -> Result<u64, DatabaseError> {
        let removed = self.delete(transaction, TableName::FailedEvents, feed, event_id).await?;
        if has_log {
            let shape = transaction.shape().await?;
            let capacity = shape.table(TableName::FailedEventRetryLog)?.capacity("event_id");
            let (logged, _) = fit_id(transaction, &capacity, event_id).await?;
            self.delete(transaction, TableName::FailedEventRetryLog, feed, &logged).await?;
        }
        Ok(removed)
    }

    async fn delete(
        &self,
        transaction: &mut Transaction<'_>,
        table: TableName,
        feed: &str,
        event_id: &str,
    ) -> Result<u64, DatabaseError> {
        let delete = format!("DELETE FROM {} WHERE feed_uri = ? AND event_id = ?", self.database.table(table));
        transaction.execute(Statement::new(delete).with(feed).with(event_id)).await
    }

    /// Counts a failed retry and logs its error. As in the Java library, every row of the pair gets the count that the
    /// row had when read, plus one. Returns what was changed to fit the log.
    pub async fn count_retry(
        &self,
        transaction: &mut Transaction<'_>,
        feed: &str,
        row: &FailedEvent,
        error: &str,
        at: DateTime<Utc>,
        letters: &Alphabet,
    ) -> Result<Vec<String>, DatabaseError> {
        self.set_retries(transaction, feed, &row.event.id, row.retries + 1).await?;
        let shape = transaction.shape().await?;
        let log = shape.table(TableName::FailedEventRetryLog)?;
        let logged = Row::of(transaction, log, &row.event, error, letters).await?;
        let values: Vec<(&'static str, Value)> = vec![
            ("feed_uri", feed.into()),
            ("failed_at", self.database.time(at, log.has_zone("failed_at")).into()),
            ("error_hash_code", i64::from(java::hash_code(&logged.error)).into()),
            ("error_message", logged.error.into()),
            ("event_id", logged.event_id.into()),
            ("event_content", logged.content.into()),
        ];
        log.insert(transaction, values).await?;
        Ok(logged.changes)
    }
}

/// The letters a row is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Those that the columns report.
    OfColumns,
    /// ASCII, which every column can hold; used if what the columns report was wrong.
    Ascii,
}

impl Alphabet {
    /// Returns a column's capacity, limited to these letters.
    pub fn in_use(self, capacity: Capacity) -> Capacity {
        match self {
            Self::OfColumns => capacity,
            Self::Ascii => Capacity { letters: Letters::UpTo('\u{7F}'), ..capacity },
        }
    }
}

/// A failed event fitted to the columns of a table.
struct Row {
    event_id: String,
    content: Option<String>,
    title: Option<String>,
    tags: Option<String>,
    error: String,
    /// What differs from the event, in words. Cutting an error to 4000 characters is the rule and not listed.
    changes: Vec<String>,
}

impl Row {
    async fn of(
        transaction: &mut Transaction<'_>,
        table: &Table,
        event: &Event,
        error: &str,
        letters: &Alphabet,
    ) -> Result<Self, DatabaseError> {
        let capacity = |column| letters.in_use(table.capacity(column));
        let mut changes = Vec::new();
        let mut note = |column: &str, change: Option<Change>| {
            changes.extend(change.filter(|_| table.has(column)).map(|change| format!("{column} {change}")));
        };
        let (event_id, change) = fit_id(transaction, &capacity("event_id"), &event.id).await?;
        note("event_id", change);
        let tags = event.tags();
        let mut texts = Vec::new();
        for (column, text) in
            [("event_content", event.content.as_deref()), ("title", event.title.as_deref()), ("tags", Some(&*tags))]
        {
            let capacity = capacity(column);
            let Some(text) = text else {
                texts.push((!capacity.takes_null).then(String::new));
                continue;
            };
            let (text, change) = fit(transaction, &capacity, text).await?;
            note(column, change);
            texts.push(Some(text));
        }
        let tags = texts.pop().flatten();
        let title = texts.pop().flatten();
        let content = texts.pop().flatten();
        let error = stored_error(transaction, &capacity("error_message"), error, &changes).await?;
        Ok(Self { event_id, content, title, tags, error, changes })
    }
}

/// Fits an error text to its column: at most 4000 Java characters, followed by a note about what of the event is not
/// kept whole.
async fn stored_error(
    transaction: &mut Transaction<'_>,
    capacity: &Capacity,
    error: &str,
    changes: &[String],
) -> Result<String, DatabaseError> {
    let error = java::stored_error(error);
    let note = format!("\nThe event is not kept whole: {}.\n", changes.join("; "));
    let most = capacity.chars.unwrap_or(java::LONGEST_ERROR).min(java::LONGEST_ERROR);
    let (error, _) = fit(transaction, capacity, &error).await?;
    // The error matters more than the note, so a small column gets no note.
    if changes.is_empty() || note.len() > most / 2 {
        return Ok(error);
    }
    let room = most.saturating_sub(note.len());
    let mut units = 0;
    let kept = error.chars().take_while(|letter| {
        units += letter.len_utf16();
        units <= room
    });
    let whole = kept.collect::<String>() + &note;
    Ok(fit(transaction, capacity, &whole).await?.0)
}

/// Returns whether a text did not fit its column after all: the columns were changed since they were read, or contain
/// letters that their database counts in another way.
pub(super) fn is_unfit(error: &DatabaseError) -> bool {
    let error = match error {
        DatabaseError::TooLong { .. } => return true,
        DatabaseError::Sql(sqlx::Error::Database(error)) => error,
        _ => return false,
    };
    match error.try_downcast_ref::<MySqlDatabaseError>() {
        // "Incorrect string value"; from 8.0 on also "Conversion from collation … into … impossible for parameter"; and
        // "Data too long for column".
        Some(error) => matches!(error.number(), 1366 | 3988 | 1406),
        // PostgreSQL: too long, invalid byte sequence for the encoding, letter not in the encoding.
        None => error.code().is_some_and(|code| ["22001", "22021", "22P05"].contains(&&*code)),
    }
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
