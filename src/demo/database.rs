//! Writes an application's share of the history into a SQLite file.

use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sqlx::{Connection, QueryBuilder, Sqlite, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    System,
    faults::Fault,
    history::{Event, Failure, Oddity, PAGE_ENTRIES, Schedule, Share, hyphenated},
    records::{self, Records},
    texts::{self, Subject},
};

/// Rows per INSERT. All full chunks use one prepared statement.
const ROWS: usize = 100;
/// Number of events by which offset markers are behind the newest.
const OFFSET_BEHIND: usize = 1000;

/// How one application's database differs from the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    pub system: System,
    pub schema: &'static str,
    pub zone: Tz,
    pub schedule: Schedule,
    /// `failed_events` has `tags`.
    pub tags: bool,
    /// `markers` has a column `id`.
    pub numbered_markers: bool,
    /// There are `event_records` and the tables that belong to them.
    pub publishes: bool,
    /// As only MySQL allows: the oldest events have the date 0000-00-00.
    pub zero_dates: bool,
}

/// Creates the complete file or none.
pub(super) async fn create(file: &Path, variant: Variant, share: &Share, records: &Records) -> anyhow::Result<()> {
    let partial = file.with_extension("part");
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", partial.display()));
        }
        _ => {}
    }
    fill(&partial, variant, share, records)
        .await
        .with_context(|| format!("cannot write the demo database {}", partial.display()))?;
    std::fs::rename(&partial, file)
        .with_context(|| format!("cannot rename {} to {}", partial.display(), file.display()))
}

async fn fill(file: &Path, variant: Variant, share: &Share, records: &Records) -> anyhow::Result<()> {
    // A half-written file is discarded, so nothing needs to be durable before it is complete.
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .pragma("journal_mode", "off")
        .pragma("synchronous", "off")
        .pragma("locking_mode", "exclusive")
        .pragma("cache_size", "-16000");
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(variant.schema).execute(&mut *transaction).await?;
    Writer { connection: &mut transaction, variant, records }.write(share).await?;
    records::write(&mut transaction, variant.system, records).await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(())
}

struct Writer<'a> {
    connection: &'a mut SqliteConnection,
    variant: Variant,
    records: &'a Records,
}

impl Writer<'_> {
    async fn write(&mut self, share: &Share) -> Result<(), sqlx::Error> {
        self.failed_events(&share.failures).await?;
        self.retry_log(&share.failures).await?;
        self.markers(share).await?;
        if self.variant.publishes {
            self.event_records(&share.published).await?;
            self.queue(&share.queued).await?;
            self.offset_markers(&share.published).await?;
            let chunks = "INSERT INTO chunking_history (id, chunk_length, start) VALUES (1, ?, 1)";
            sqlx::query(chunks).bind(PAGE_ENTRIES).execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    async fn failed_events(&mut self, failures: &[Failure]) -> Result<(), sqlx::Error> {
        let tags = self.variant.tags;
        let insert = format!(
            "INSERT INTO failed_events (id, feed_uri, failed_at, error_message, event_id, event_content, error_hash_code, \
             title, retries{}) ",
            if tags { ", tags" } else { "" }
        );
        for (chunk, first_id) in failures.chunks(ROWS).zip((1_i64..).step_by(ROWS)) {
            let mut query = QueryBuilder::<Sqlite>::new(&insert);
            query.push_values(chunk.iter().zip(first_id..), |mut row, (failure, id)| {
                let error = self.first_error(failure);
                let hash = texts::java_hash(&error);
                let failed_at = (failure.oddity != Some(Oddity::NoTime)).then(|| self.time(failure.at));
                row.push_bind(id).push_bind(&failure.feed).push_bind(failed_at).push_bind(error);
                row.push_bind(failure.event.entry_id()).push_bind(content(failure)).push_bind(hash);
                row.push_bind(failure.event.title).push_bind(failure.retries);
                if tags {
                    row.push_bind(failure.event.category.word());
                }
            });
            query.build().execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    /// Writes the attempts of all events in chronological order.
    async fn retry_log(&mut self, failures: &[Failure]) -> Result<(), sqlx::Error> {
        let schedule = self.variant.schedule;
        let mut attempts: Vec<(DateTime<Utc>, &Failure, u32)> = failures
            .iter()
            .flat_map(|failure| (1..=failure.attempts).map(move |attempt| (failure, attempt)))
            .map(|(failure, attempt)| (failure.attempt_at(attempt, schedule), failure, attempt))
            .collect();
        attempts.sort_by_key(|(at, failure, attempt)| (*at, failure.event.uuid, *attempt));
        let mut logged = Logged::default();
        for (chunk, first_id) in attempts.chunks(ROWS).zip((1_i64..).step_by(ROWS)) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "INSERT INTO failed_event_retry_log (id, feed_uri, failed_at, error_message, event_id, event_content, \
                 error_hash_code) ",
            );
            query.push_values(chunk.iter().zip(first_id..), |mut row, ((at, failure, attempt), id)| {
                let fault = if *attempt == 1 { failure.first } else { failure.latest };
                let (error, hash) = logged.error(failure, fault, || self.subject(failure, fault));
                row.push_bind(id).push_bind(&failure.feed).push_bind(self.time(*at)).push_bind(error);
                row.push_bind(failure.event.entry_id()).push_bind(content(failure)).push_bind(hash);
            });
            query.build().execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    async fn markers(&mut self, share: &Share) -> Result<(), sqlx::Error> {
        for (marker, id) in share.markers.iter().zip(1_i64..) {
            let (columns, values) = if self.variant.numbered_markers { ("id, ", "?4, ") } else { ("", "") };
            let insert = format!(
                "INSERT INTO markers ({columns}feed_uri, last_read_entry_id, feed_uri_for_last_read_entry) \
                 VALUES ({values}?1, ?2, ?3)"
            );
            let mut query =
                sqlx::query(sqlx::AssertSqlSafe(insert)).bind(&marker.feed).bind(&marker.entry).bind(&marker.page);
            if self.variant.numbered_markers {
                query = query.bind(id);
            }
            query.execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    async fn event_records(&mut self, published: &[Event]) -> Result<(), sqlx::Error> {
        for (chunk, first_id) in published.chunks(ROWS).zip((1_i64..).step_by(ROWS)) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "INSERT INTO event_records (id, uuid, title, timestamp, object, category, date_created, tags) ",
            );
            query.push_values(chunk.iter().zip(first_id..), |mut row, (event, id)| {
                let at = self.time(event.at);
                // These were added before the column was.
                let created =
                    if self.variant.zero_dates && id <= 20 { "0000-00-00 00:00:00".to_owned() } else { at.clone() };
                row.push_bind(id).push_bind(hyphenated(event.uuid)).push_bind(event.title).push_bind(at);
                row.push_bind(event.content()).push_bind(event.category.word()).push_bind(created);
                row.push_bind(event.category.word());
            });
            query.build().execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    /// Writes the newest events, which are not on the feed yet.
    async fn queue(&mut self, queued: &[Event]) -> Result<(), sqlx::Error> {
        for (event, id) in queued.iter().zip(1_i64..) {
            let insert = "INSERT INTO event_records_queue (id, uuid, title, timestamp, object, category, tags) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)";
            sqlx::query(insert)
                .bind(id)
                .bind(hyphenated(event.uuid))
                .bind(event.title)
                .bind(self.time(event.at))
                .bind(event.content())
                .bind(event.category.word())
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(())
    }

    /// Writes one row for all categories and one for each: the number of events up to a position behind the newest.
    async fn offset_markers(&mut self, published: &[Event]) -> Result<(), sqlx::Error> {
        // If fewer were published than the markers are behind, they are in the middle.
        let upto = published.len().checked_sub(OFFSET_BEHIND).filter(|rest| *rest > 0).unwrap_or(published.len() / 2);
        let counted = published.get(..upto).unwrap_or_default();
        let mut categories: Vec<&str> = published.iter().map(|event| event.category.word()).collect();
        categories.sort_unstable();
        categories.dedup();
        for (category, id) in std::iter::once("").chain(categories).zip(1_i64..) {
            let count = counted.iter().filter(|event| category.is_empty() || event.category.word() == category).count();
            let insert =
                "INSERT INTO event_records_offset_marker (id, event_id, event_count, category) VALUES (?, ?, ?, ?)";
            sqlx::query(insert)
                .bind(id)
                .bind(i64::try_from(upto).unwrap_or(i64::MAX))
                .bind(i64::try_from(count).unwrap_or(i64::MAX))
                .bind(category)
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(())
    }

    fn subject(&self, failure: &Failure, fault: Fault) -> Subject {
        self.records.subject(fault, failure.event.record, failure.event.position, self.variant.system)
    }

    fn first_error(&self, failure: &Failure) -> String {
        let feed = failure.feed.clone().unwrap_or_else(|| failure.event.category.feed());
        let error = texts::compose(failure.first, &self.subject(failure, failure.first));
        let text = texts::first_error(&failure.event.page(&feed), &error);
        if failure.oddity != Some(Oddity::LongError) {
            return text;
        }
        // No schema of the library accepts this length, but openmrs-module-atomfeed's longtext does.
        let line = "\tat org.openmrs.module.demo.Recursion.again(Recursion.java:42)\n";
        text + &line.repeat(200_000 / line.len())
    }

    /// Formats a time as in the column: local time of the application.
    fn time(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.variant.zone).format("%Y-%m-%d %H:%M:%S%.6f").to_string()
    }
}

/// The last error text written to the retry log. An event's attempts are mostly adjacent and equal, and composing the
/// texts is most of the work.
#[derive(Default)]
struct Logged {
    last: Option<(u128, Fault)>,
    error: String,
    hash: i32,
}

impl Logged {
    fn error(&mut self, failure: &Failure, fault: Fault, subject: impl FnOnce() -> Subject) -> (String, i32) {
        let wanted = Some((failure.event.uuid, fault));
        if self.last != wanted {
            self.error = texts::cut(texts::compose(fault, &subject()));
            self.hash = texts::java_hash(&self.error);
            self.last = wanted;
        }
        (self.error.clone(), self.hash)
    }
}

fn content(failure: &Failure) -> String {
    let uuid = hyphenated(failure.event.record);
    match failure.oddity {
        Some(Oddity::Xml) => format!(
            "<?xml version=\"1.0\"?>\n<result xmlns=\"urn:example:results\" id=\"{uuid}\">\n  <patient>Demo Person 12</patient>\n  \
             <test code=\"HB\" unit=\"g/dl\">13.4</test>\n</result>"
        ),
        Some(Oddity::Hl7) => format!(
            "MSH|^~\\&|PARTNER|DEMO|BAHMNI|DEMO|20260101120000||ORU^R01|{uuid}|P|2.5\r\
             PID|1||DEMO000012^^^DEMO||Person^Demo||19800101|F\rOBR|1|||HB^Haemoglobin^LOCAL\r\
             OBX|1|NM|HB^Haemoglobin^LOCAL||13.4|g/dl|12-16|N|||F"
        ),
        Some(Oddity::Text) => format!("result {uuid} was corrected; please read it again"),
        _ => failure.event.content(),
    }
}
