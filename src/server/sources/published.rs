//! Published events themselves: ranges of ids for the console's index, named ones, and the places of a feed's pages.
//! All reads are by the primary key, except those that say that they count.

use crate::model::{
    Availability, RowId,
    publisher::{Chunk, Offset, PublishedEvent},
};

use super::{
    Source, SourceError,
    connection::{Record, Session},
    publisher,
    rows::{plain, stamp},
    schema::{Found, Schema, Table},
    sql,
};

/// Characters that are read of an object. OpenMRS' column has 1,000; OpenERP 7 publishes whole products.
const OBJECT: u32 = 4_000;

/// Events of event_records by their ids.
#[derive(Clone, Debug)]
pub enum Ids {
    /// The events with these ids.
    Of(Vec<RowId>),
    /// The first events from this id on, lowest id first.
    From(RowId),
    /// The last events before this id, or the newest, highest id first.
    Before(Option<RowId>),
}

/// What the pages of a feed are cut from.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedShape {
    /// The rows of chunking_history.
    pub chunks: Vec<Chunk>,
    /// The offset marker that the publisher counts from.
    pub offset: Option<Offset>,
    /// The number of the feed's events as the publisher counts them: see [`Counted`].
    pub events: u64,
}

/// A known number of events up to an id, from which counting goes on if there is no offset marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub to: RowId,
    pub events: u64,
}

/// Which events of a feed are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first id that they can have.
    pub from: RowId,
    /// The first id that they cannot have any more.
    pub to: Option<RowId>,
    /// Events of the feed from `from` on that come before them.
    pub skipped: u64,
    pub limit: u64,
}

impl Source {
    /// Returns published events by their ids, at most `limit`.
    ///
    /// # Errors
    /// Fails if they cannot be read in time.
    pub async fn published(&self, which: &Ids, limit: u32) -> Result<Availability<Vec<PublishedEvent>>, SourceError> {
        let mut session = self.session().await?;
        let outcome = events(&mut session, which, limit).await;
        session.end(outcome).await
    }

    /// Like [`Source::published`], for the watcher.
    pub async fn published_to_index(
        &self,
        which: &Ids,
        limit: u32,
    ) -> Result<Availability<Vec<PublishedEvent>>, SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let outcome = events(&mut session, which, limit).await;
        session.end(outcome).await
    }

    /// Returns what the pages of a feed are cut from; `category` is empty for the feed of all events. `counted` is used
    /// if there is no offset marker; without both, all events of the feed are counted.
    ///
    /// # Errors
    /// Fails also if counting takes too long.
    pub async fn feed_shape(
        &self,
        category: &str,
        counted: Option<Counted>,
    ) -> Result<Availability<FeedShape>, SourceError> {
        let mut session = self.session().await?;
        let outcome = feed_shape(&mut session, category, counted).await;
        session.end(outcome).await
    }

    /// Returns events of a feed, lowest id first.
    ///
    /// # Errors
    /// Fails also if reading those that are skipped takes too long.
    pub async fn feed_events(
        &self,
        category: &str,
        stretch: Stretch,
    ) -> Result<Availability<Vec<PublishedEvent>>, SourceError> {
        let mut session = self.session().await?;
        let outcome = self::stretch(&mut session, category, stretch).await;
        session.end(outcome).await
    }

    /// Returns the newest events of a feed, highest id first; those before an id, if it is given.
    ///
    /// # Errors
    /// Fails also if searching them takes too long.
    pub async fn newest_of_feed(
        &self,
        category: &str,
        before: Option<RowId>,
        limit: u32,
    ) -> Result<Availability<Vec<PublishedEvent>>, SourceError> {
        let mut session = self.session().await?;
        let outcome = newest_of_feed(&mut session, category, before, limit).await;
        session.end(outcome).await
    }

    /// Returns the number of events of a feed with ids from the first to the second, both included.
    ///
    /// # Errors
    /// Fails also if counting takes too long.
    pub async fn count_of_feed(&self, category: &str, from: RowId, to: RowId) -> Result<u64, SourceError> {
        let mut session = self.session().await?;
        let outcome = count_of_feed(&mut session, category, from, to).await;
        session.end(outcome).await
    }
}

/// The table of published events, or the reason why it cannot be read.
macro_rules! events_or_leave {
    ($schema:expr) => {
        match events_table(&$schema) {
            Ok(table) => table,
            Err(reason) => return Ok(Availability::NotHere(reason)),
        }
    };
}

fn events_table(schema: &Schema) -> Result<Found<'_>, String> {
    let table = schema.table(Table::EventRecords)?;
    match ["uuid", "object"].into_iter().find(|column| table.column(column).is_none()) {
        Some(column) => Err(format!("the table event_records has no column {column} that the account may read")),
        None => Ok(table),
    }
}

/// Returns events by their ids, at most `limit`.
async fn events(
    session: &mut Session<'_>,
    which: &Ids,
    limit: u32,
) -> Result<Availability<Vec<PublishedEvent>>, SourceError> {
    let schema = session.schema.clone();
    let table = events_or_leave!(schema);
    let id = table.expression("id");
    let mut statement = session.link.statement(format!("SELECT {} FROM {}", columns(&table), table.name));
    match which {
        Ids::Of(ids) if ids.is_empty() => return Ok(Availability::Here(Vec::new())),
        Ids::Of(ids) => {
            statement.push(" WHERE ").id_in(&id, &table.id, ids.iter().copied());
            statement.push(format!(" ORDER BY {id}"));
        }
        Ids::From(from) => {
            statement.push(format!(" WHERE {id} >= ")).id(&table.id, *from).push(format!(" ORDER BY {id}"));
        }
        Ids::Before(before) => {
            if let Some(before) = before {
                statement.push(format!(" WHERE {id} < ")).id(&table.id, *before);
            }
            statement.push(format!(" ORDER BY {id} DESC"));
        }
    }
    statement.push(format!(" LIMIT {limit}"));
    let rows = session.link.rows(statement).await?;
    Ok(Availability::Here(read(session, &table, rows)))
}

/// Returns what the pages of a feed are cut from; `category` is empty for the feed of all events. `counted`: see
/// [`Counted`]. Without it and without an offset marker, all events of the feed are counted.
async fn feed_shape(
    session: &mut Session<'_>,
    category: &str,
    counted: Option<Counted>,
) -> Result<Availability<FeedShape>, SourceError> {
    let schema = session.schema.clone();
    let table = events_or_leave!(schema);
    if !category.is_empty() && table.column("category").is_none() {
        return Ok(Availability::NotHere("the table event_records has no column category".to_owned()));
    }
    let chunking = match schema.table(Table::Chunking) {
        Ok(chunking) => chunking,
        Err(reason) => return Ok(Availability::NotHere(reason)),
    };
    let chunks = publisher::chunks(session, &chunking).await?;
    let offset = offset(session, &schema, category).await?;
    let known = offset.map(|offset| Counted { to: offset.event_id, events: offset.events }).or(counted);
    let count = sql::as_text(table.backend, "COUNT(*)");
    let mut statement = session.link.statement(format!("SELECT {count} FROM {} WHERE 1 = 1", table.name));
    if let Some(known) = known {
        statement.push(format!(" AND {} > ", table.expression("id"))).id(&table.id, known.to);
    }
    of_category(&mut statement, &table, category);
    let more = session.link.row(statement).await?.count();
    let events = known.map_or(0, |known| known.events).saturating_add(more);
    Ok(Availability::Here(FeedShape { chunks, offset, events }))
}

/// Returns the offset marker of a feed. If there are several, the publisher uses the first.
async fn offset(session: &mut Session<'_>, schema: &Schema, category: &str) -> Result<Option<Offset>, SourceError> {
    let Ok(table) = schema.table(Table::OffsetMarkers) else { return Ok(None) };
    if table.column("event_count").is_none() || table.column("category").is_none() {
        return Ok(None);
    }
    let mut statement = session.link.statement(format!(
        "SELECT {}, {} FROM {} WHERE ",
        table.text("event_id"),
        table.text("event_count"),
        table.name
    ));
    statement.equals_key(&table.long_text("category"), category);
    let order = if table.column("id").is_some() { "id" } else { "event_id" };
    statement.push(format!(" ORDER BY {} LIMIT 1", table.expression(order)));
    let first = session.link.rows(statement).await?.into_iter().next();
    Ok(first.and_then(|mut row| Some(Offset { event_id: RowId(row.number()?), events: row.number()? })))
}

/// Returns events of a feed, lowest id first.
async fn stretch(
    session: &mut Session<'_>,
    category: &str,
    stretch: Stretch,
) -> Result<Availability<Vec<PublishedEvent>>, SourceError> {
    let schema = session.schema.clone();
    let table = events_or_leave!(schema);
    let id = table.expression("id");
    let Stretch { from, to, skipped, limit } = stretch;
    let mut statement =
        session.link.statement(format!("SELECT {} FROM {} WHERE {id} >= ", columns(&table), table.name));
    statement.id(&table.id, from);
    if let Some(to) = to {
        statement.push(format!(" AND {id} < ")).id(&table.id, to);
    }
    of_category(&mut statement, &table, category);
    statement.push(format!(" ORDER BY {id} LIMIT {limit} OFFSET {skipped}"));
    let rows = session.link.rows(statement).await?;
    Ok(Availability::Here(read(session, &table, rows)))
}

async fn newest_of_feed(
    session: &mut Session<'_>,
    category: &str,
    before: Option<RowId>,
    limit: u32,
) -> Result<Availability<Vec<PublishedEvent>>, SourceError> {
    let schema = session.schema.clone();
    let table = events_or_leave!(schema);
    let id = table.expression("id");
    let mut statement = session.link.statement(format!("SELECT {} FROM {} WHERE 1 = 1", columns(&table), table.name));
    if let Some(before) = before {
        statement.push(format!(" AND {id} < ")).id(&table.id, before);
    }
    of_category(&mut statement, &table, category);
    statement.push(format!(" ORDER BY {id} DESC LIMIT {limit}"));
    let rows = session.link.rows(statement).await?;
    Ok(Availability::Here(read(session, &table, rows)))
}

async fn count_of_feed(session: &mut Session<'_>, category: &str, from: RowId, to: RowId) -> Result<u64, SourceError> {
    let schema = session.schema.clone();
    let Ok(table) = events_table(&schema) else { return Ok(0) };
    let id = table.expression("id");
    let count = sql::as_text(table.backend, "COUNT(*)");
    let mut statement = session.link.statement(format!("SELECT {count} FROM {} WHERE {id} >= ", table.name));
    statement.id(&table.id, from).push(format!(" AND {id} <= ")).id(&table.id, to);
    of_category(&mut statement, &table, category);
    Ok(session.link.row(statement).await?.count())
}

/// Appends the condition that an event is on this feed; the database compares as the publisher does.
fn of_category(statement: &mut sql::Statement, table: &Found<'_>, category: &str) {
    if !category.is_empty() {
        statement.push(" AND ").equals_key(&table.long_text("category"), category);
    }
}

/// The columns of a [`PublishedEvent`], in the order in which [`read`] reads them.
fn columns(table: &Found<'_>) -> String {
    let [id, uuid, title, category, tags] = ["id", "uuid", "title", "category", "tags"].map(|name| table.text(name));
    let object = table.cut("object", OBJECT);
    [id, uuid, title, category, tags, object, table.text("timestamp"), table.text("date_created")].join(", ")
}

fn read(session: &Session<'_>, table: &Found<'_>, rows: Vec<Record>) -> Vec<PublishedEvent> {
    let app = session.link.app;
    let event = |mut row: Record| {
        let id = RowId(row.number()?);
        let mut text = || row.key().map(plain);
        let (uuid, title, category, tags) = (text(), text(), text(), text());
        let object = row.text().map(|text| text.chars().take(OBJECT as usize).collect());
        let at = stamp(app, table, "timestamp", row.text());
        let raised = stamp(app, table, "date_created", row.text());
        Some(PublishedEvent { id, uuid, title, category, tags, object, at, raised })
    };
    rows.into_iter().filter_map(event).collect()
}
