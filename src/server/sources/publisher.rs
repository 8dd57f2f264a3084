//! The publisher's side: events by category, the queue, offset markers, chunking.
//!
//! Every part is read in its own transaction: counting a long table may take too long, and the other parts should still
//! be available then.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::model::{
    Availability, Backend, RowId, Stamp,
    publisher::{Chunk, OffsetMarker, OffsetMarkers, PublishedCategory, Publisher, Queue},
};

use super::{
    Source, SourceError, SourceErrorKind,
    connection::{Record, Session},
    rows::{plain, stamp},
    schema::{ColumnKind, Found, Table},
    sql,
};

/// Most rows of the small tables that are read.
const ROWS: u32 = 1000;

/// Number of newest rows of event_records that are read to see when categories were last published to.
const NEWEST: u32 = 500;

/// Returns the publisher's side of a source. `previous`, if given, is added to: as long as the number of events up to
/// its newest equals its count, only later events are counted by category.
pub(super) async fn publisher(source: &Source, previous: Option<&Publisher>) -> Result<Publisher, SourceError> {
    let previous = previous.and_then(|publisher| publisher.categories.here());
    let mut session = source.session().await?;
    let categories = categories(&mut session, previous).await;
    let categories = available(session.end(categories).await)?;

    let mut session = source.session().await?;
    let queue = queue(&mut session).await;
    let queue = available(session.end(queue).await)?;

    let mut session = source.session().await?;
    let offset_markers = offset_markers(&mut session, categories.here()).await;
    let offset_markers = available(session.end(offset_markers).await)?;

    let mut session = source.session().await?;
    let chunking = chunking(&mut session).await;
    let chunking = available(session.end(chunking).await)?;

    Ok(Publisher { categories, queue, offset_markers, chunking, counted_at: Stamp::of(Utc::now()) })
}

/// Makes a part that took too long or lacks its table unavailable; any other error fails the whole.
fn available<T>(part: Result<Availability<T>, SourceError>) -> Result<Availability<T>, SourceError> {
    match part {
        Err(error) if matches!(error.kind, SourceErrorKind::TimedOut | SourceErrorKind::NotHere) => {
            Ok(Availability::NotHere(error.reason))
        }
        other => other,
    }
}

/// Evaluates to the table, or returns the reason why it is missing.
macro_rules! table_or_leave {
    ($schema:expr, $table:expr) => {
        match $schema.table($table) {
            Ok(table) => table,
            Err(reason) => return Ok(Availability::NotHere(reason)),
        }
    };
}

async fn categories(
    session: &mut Session<'_>,
    previous: Option<&Vec<PublishedCategory>>,
) -> Result<Availability<Vec<PublishedCategory>>, SourceError> {
    let schema = session.schema.clone();
    let table = table_or_leave!(schema, Table::EventRecords);
    let newest =
        |categories: &Vec<PublishedCategory>| categories.iter().filter_map(|category| category.newest_id).max();
    if let Some(known) = previous
        && let Some(counted_to) = newest(known)
        && events_up_to(session, &table, counted_to).await? == known.iter().map(|category| category.count).sum::<u64>()
        && highest_id(session, &table).await? >= Some(counted_to)
    {
        let newer = counted(session, &table, Some(counted_to)).await?;
        return Ok(Availability::Here(add(known.clone(), newer)));
    }
    Ok(Availability::Here(counted(session, &table, None).await?))
}

/// Returns when the newest event of each category was published, from the newest rows alone, which are read by the
/// primary key.
pub(super) async fn newest(session: &mut Session<'_>) -> Result<Vec<(String, DateTime<Utc>)>, SourceError> {
    let app = session.link.app;
    let schema = session.schema.clone();
    let Ok(table) = schema.table(Table::EventRecords) else { return Ok(Vec::new()) };
    let statement = session.link.statement(format!(
        "SELECT {}, {} FROM {} ORDER BY {} DESC LIMIT {NEWEST}",
        table.text("category"),
        table.text("timestamp"),
        table.name,
        table.expression("id")
    ));
    let mut newest = BTreeMap::new();
    for mut row in session.link.rows(statement).await? {
        let category = row.key().map(plain).unwrap_or_default();
        if let Some(at) = stamp(app, &table, "timestamp", row.text()).and_then(|stamp| stamp.at) {
            newest.entry(category).or_insert(at);
        }
    }
    Ok(newest.into_iter().collect())
}

/// Returns the number of events up to an id, which shows whether events were deleted since they were counted.
async fn events_up_to(session: &mut Session<'_>, table: &Found<'_>, id: RowId) -> Result<u64, SourceError> {
    let count = sql::as_text(table.backend, "COUNT(*)");
    let mut statement =
        session.link.statement(format!("SELECT {count} FROM {} WHERE {} <= ", table.name, table.expression("id")));
    statement.id(&table.id, id);
    Ok(session.link.row(statement).await?.count())
}

/// Returns the highest id. Ids start again when a dump is restored: if it is below the newest one of the last count,
/// that count is invalid.
async fn highest_id(session: &mut Session<'_>, table: &Found<'_>) -> Result<Option<RowId>, SourceError> {
    let highest = sql::as_text(table.backend, &format!("MAX({})", table.expression("id")));
    let statement = session.link.statement(format!("SELECT {highest} FROM {}", table.name));
    Ok(session.link.row(statement).await?.number().map(RowId))
}

async fn counted(
    session: &mut Session<'_>,
    table: &Found<'_>,
    above: Option<RowId>,
) -> Result<Vec<PublishedCategory>, SourceError> {
    let app = session.link.app;
    let text = |expression: String| sql::as_text(table.backend, &expression);
    let (id, time) = (table.expression("id"), table.expression("timestamp"));
    let mut statement = session.link.statement(format!(
        "SELECT {}, {}, {}, {}, {} FROM {}",
        table.text("category"),
        text("COUNT(*)".to_owned()),
        text(format!("MAX({id})")),
        table.text_of("timestamp", &format!("MAX({time})")),
        table.text_of("timestamp", &format!("MIN({})", dated(table, "timestamp"))),
        table.name
    ));
    if let Some(above) = above {
        statement.push(format!(" WHERE {id} > ")).id(&table.id, above);
    }
    if table.column("category").is_some() {
        statement.push(format!(" GROUP BY {} ORDER BY 1 LIMIT {ROWS}", table.grouping("category", 1)));
    }
    let read = |mut record: Record| PublishedCategory {
        category: record.key().map(plain),
        count: record.count(),
        newest_id: record.number().map(RowId),
        newest: stamp(app, table, "timestamp", record.text()),
        oldest: stamp(app, table, "timestamp", record.text()),
    };
    let categories = session.link.rows(statement).await?.into_iter().map(read);
    // An empty table without categories still returns one row. Categories that differ only by language, or after the
    // point where they were cut, are one.
    Ok(add(Vec::new(), categories.filter(|category| category.count > 0).collect()))
}

/// Adds newer events to a count.
fn add(mut known: Vec<PublishedCategory>, newer: Vec<PublishedCategory>) -> Vec<PublishedCategory> {
    for newer in newer {
        match known.iter_mut().find(|category| category.category == newer.category) {
            Some(category) => {
                category.count += newer.count;
                category.newest_id = category.newest_id.max(newer.newest_id);
                let later = newer.newest.as_ref().and_then(|stamp| stamp.at)
                    >= category.newest.as_ref().and_then(|stamp| stamp.at);
                if later && newer.newest.is_some() {
                    category.newest = newer.newest;
                }
                let at = |stamp: &Option<Stamp>| stamp.as_ref().and_then(|stamp| stamp.at);
                if at(&newer.oldest).is_some_and(|new| at(&category.oldest).is_none_or(|old| new < old)) {
                    category.oldest = newer.oldest;
                }
            }
            None => known.push(newer),
        }
    }
    known.sort_by(|a, b| a.category.cmp(&b.category));
    known
}

/// Returns how many events wait in the queue, and since when. At most [`Queue::COUNTED`] rows are read, by the primary
/// key, oldest first.
pub(super) async fn queue(session: &mut Session<'_>) -> Result<Availability<Queue>, SourceError> {
    let app = session.link.app;
    let schema = session.schema.clone();
    let table = table_or_leave!(schema, Table::Queue);
    let text = |expression: &str| sql::as_text(table.backend, expression);
    let raised = table.column("timestamp").is_some();
    let numbered = table.column("id").is_some();
    let order = if numbered { format!(" ORDER BY {}", table.expression("id")) } else { String::new() };
    let statement = session.link.statement(format!(
        "SELECT {}, {}, {}, {} FROM (SELECT {} AS raised, {} AS id FROM {}{order} LIMIT {}) AS waiting",
        text("COUNT(*)"),
        if raised { text("MIN(waiting.raised)") } else { text("NULL") },
        text(if raised { "COUNT(*) - COUNT(waiting.raised)" } else { "COUNT(*)" }),
        if numbered { text("MIN(waiting.id)") } else { text("NULL") },
        if raised { dated(&table, "timestamp") } else { "1".to_owned() },
        if numbered { table.expression("id") } else { "1".to_owned() },
        table.name,
        Queue::COUNTED
    ));
    let mut row = session.link.row(statement).await?;
    Ok(Availability::Here(Queue {
        length: row.count(),
        oldest: stamp(app, &table, "timestamp", row.text()),
        undated: row.count(),
        lowest: row.number().map(RowId),
        first_seen: None,
    }))
}

/// Returns a column of times as an expression that is NULL where the value is not a date (0000-00-00, infinity): such a
/// value would otherwise be the least of a table's times.
pub(super) fn dated(table: &Found<'_>, name: &str) -> String {
    let time = table.expression(name);
    match (table.backend, table.column(name).map(|column| column.kind)) {
        (Backend::MySql, Some(ColumnKind::Instant | ColumnKind::Local)) => {
            format!("CASE WHEN YEAR({time}) > 0 THEN {time} END")
        }
        (Backend::Postgres, Some(ColumnKind::Instant | ColumnKind::Local)) => {
            format!("CASE WHEN isfinite({time}) THEN {time} END")
        }
        _ => time,
    }
}

async fn chunking(session: &mut Session<'_>) -> Result<Availability<Vec<Chunk>>, SourceError> {
    let schema = session.schema.clone();
    let table = table_or_leave!(schema, Table::Chunking);
    Ok(Availability::Here(chunks(session, &table).await?))
}

/// Returns the rows of chunking_history in the order in which a publisher reads them.
pub(super) async fn chunks(session: &mut Session<'_>, table: &Found<'_>) -> Result<Vec<Chunk>, SourceError> {
    let statement = session.link.statement(format!(
        "SELECT {}, {} FROM {} ORDER BY {} LIMIT {ROWS}",
        table.text("chunk_length"),
        table.text("start"),
        table.name,
        table.expression(if table.column("id").is_some() { "id" } else { "start" })
    ));
    let records = session.link.rows(statement).await?;
    // The first row may lack a start, which means the first event. Elsewhere NULL is as unusable as 0.
    let read = |(place, mut record): (usize, Record)| Chunk {
        length: record.number().unwrap_or_default(),
        start: record.number().unwrap_or(i64::from(place == 0)),
    };
    Ok(records.into_iter().enumerate().map(read).collect())
}

/// Returns the offset markers. `counted`: the events by category, if they have just been counted.
async fn offset_markers(
    session: &mut Session<'_>,
    counted: Option<&Vec<PublishedCategory>>,
) -> Result<Availability<OffsetMarkers>, SourceError> {
    let schema = session.schema.clone();
    let table = table_or_leave!(schema, Table::OffsetMarkers);
    let category = table.expression("category");
    let without = match table.column("category") {
        Some(_) => format!("SUM(CASE WHEN {category} IS NULL THEN 1 ELSE 0 END)"),
        None => "0".to_owned(),
    };
    let statement = session.link.statement(format!(
        "SELECT {}, {} FROM {}",
        sql::as_text(table.backend, "COUNT(*)"),
        sql::as_text(table.backend, &without),
        table.name
    ));
    let mut numbers = session.link.row(statement).await?;
    let (all, without_category) = (numbers.count(), numbers.count());
    let with_category = match table.column("category") {
        Some(_) => format!(" WHERE {category} IS NOT NULL ORDER BY 1, {} DESC", table.expression("event_id")),
        None => String::new(),
    };
    let statement = session.link.statement(format!(
        "SELECT {}, {}, {} FROM {}{with_category} LIMIT {}",
        table.text("category"),
        table.text("event_id"),
        table.text("event_count"),
        table.name,
        OffsetMarkers::SHOWN
    ));
    let records = session.link.rows(statement).await?;
    let read = |mut record: Record| OffsetMarker {
        category: record.key().map(plain),
        event_id: record.number().map(RowId),
        event_count: record.number(),
        behind: None,
        there: None,
    };
    let mut rows: Vec<OffsetMarker> = records.into_iter().map(read).collect();
    if let Ok(events) = schema.table(Table::EventRecords) {
        let upto = counted.and_then(|counted| counted.iter().filter_map(|category| category.newest_id).max());
        for marker in &mut rows {
            let Some((behind, counted_behind)) = behind(session, &events, marker, upto).await? else { continue };
            marker.behind = Some(behind);
            let all = counted.map(|counted| count_of(counted, marker.category.as_deref(), events.backend));
            marker.there = all.and_then(|all| all.checked_sub(counted_behind));
        }
    }
    Ok(Availability::Here(OffsetMarkers {
        rows,
        with_category: all.saturating_sub(without_category),
        without_category,
    }))
}

/// Returns how many of the counted events are of a category, compared as the database does it.
fn count_of(counted: &[PublishedCategory], category: Option<&str>, backend: Backend) -> u64 {
    let same = |of: &str, category: &str| match backend {
        Backend::MySql => of.trim_end().to_lowercase() == category.trim_end().to_lowercase(),
        Backend::Postgres | Backend::Sqlite => of == category,
    };
    let chosen = counted.iter().filter(|of| match category {
        None | Some("") => true,
        Some(category) => of.category.as_deref().is_some_and(|of| same(of, category)),
    });
    chosen.map(|category| category.count).sum()
}

/// Returns the number of events of the marker's category after it, and how many of them have ids up to `upto`. The
/// database compares the category as the publisher does. `None` if the marker has no event id, or the events lack a
/// column for its category.
async fn behind(
    session: &mut Session<'_>,
    events: &Found<'_>,
    marker: &OffsetMarker,
    upto: Option<RowId>,
) -> Result<Option<(u64, u64)>, SourceError> {
    let Some(event_id) = marker.event_id else { return Ok(None) };
    let id = events.expression("id");
    let mut statement = session.link.statement(format!("SELECT {}, ", sql::as_text(events.backend, "COUNT(*)")));
    statement.as_text(|statement| {
        match upto {
            Some(upto) => {
                statement.push(format!("SUM(CASE WHEN {id} <= ")).id(&events.id, upto);
                statement.push(" THEN 1 ELSE 0 END)")
            }
            None => statement.push("COUNT(*)"),
        };
    });
    statement.push(format!(" FROM {} WHERE {id} > ", events.name)).id(&events.id, event_id);
    match marker.category.as_deref() {
        None | Some("") => {}
        Some(_) if events.column("category").is_none() => return Ok(None),
        Some(category) => {
            statement.push(" AND ").equals_key(&events.expression("category"), category);
        }
    }
    let mut row = session.link.row(statement).await?;
    Ok(Some((row.count(), row.count())))
}
