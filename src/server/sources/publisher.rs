//! The publisher's side: events by category, the queue, offset markers, chunking.
//!
//! Every part is read in a transaction of its own: counting a long table may take too long, and the other parts should
//! still be there.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::model::{
    Availability, Backend, RowId, Stamp,
    publisher::{Chunk, OffsetMarker, PublishedCategory, Publisher, Queue},
};

use super::{
    Source, SourceError, SourceErrorKind,
    connection::{Record, Session},
    rows::stamp,
    schema::{ColumnKind, Found, Table},
    sql,
};

/// Rows of the small tables that are read at the most.
const ROWS: u32 = 1000;

/// Newest rows of event_records that tell when categories were last published to.
const NEWEST: u32 = 500;

/// Offset markers whose distance from the newest event is counted.
const COUNTED_MARKERS: usize = 200;

/// The publisher's side of a source. `previous`, where given, is added to: only events above its newest are counted.
pub(super) async fn publisher(source: &Source, previous: Option<&Publisher>) -> Result<Publisher, SourceError> {
    let previous = previous.and_then(|publisher| publisher.categories.here());
    let mut session = source.session().await?;
    let categories = categories(&mut session, previous).await;
    let categories = available(session.end(categories).await)?;

    let mut session = source.session().await?;
    let queue = queue(&mut session).await;
    let queue = available(session.end(queue).await)?;

    let mut session = source.session().await?;
    let offset_markers = offset_markers(&mut session).await;
    let offset_markers = available(session.end(offset_markers).await)?;

    let mut session = source.session().await?;
    let chunking = chunking(&mut session).await;
    let chunking = available(session.end(chunking).await)?;

    Ok(Publisher { categories, queue, offset_markers, chunking, counted_at: Stamp::of(Utc::now()) })
}

/// A part that took too long is not available; a source that is gone is an error of the whole.
fn available<T>(part: Result<Availability<T>, SourceError>) -> Result<Availability<T>, SourceError> {
    match part {
        Err(error) if matches!(error.kind, SourceErrorKind::TimedOut | SourceErrorKind::NotHere) => {
            Ok(Availability::NotHere(error.reason))
        }
        other => other,
    }
}

/// Binds the table or leaves with the reason why it is not there.
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
        && highest_id(session, &table).await? >= Some(counted_to)
    {
        let newer = counted(session, &table, Some(counted_to)).await?;
        return Ok(Availability::Here(add(known.clone(), newer)));
    }
    Ok(Availability::Here(counted(session, &table, None).await?))
}

/// When the newest event of each category was published, from the newest rows alone: one step down the primary key.
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
        let category = row.text().unwrap_or_default();
        if let Some(at) = stamp(app, &table, "timestamp", row.text()).and_then(|stamp| stamp.at) {
            newest.entry(category).or_insert(at);
        }
    }
    Ok(newest.into_iter().collect())
}

/// Ids start again when a dump is restored: below the last count's newest, that count says nothing any more.
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
        text(format!("MAX({time})")),
        text(format!("MIN({})", dated(table, "timestamp"))),
        table.name
    ));
    if let Some(above) = above {
        statement.push(format!(" WHERE {id} > ")).id(&table.id, above);
    }
    if table.column("category").is_some() {
        statement.push(format!(" GROUP BY {} ORDER BY 1 LIMIT {ROWS}", table.expression("category")));
    }
    let read = |mut record: Record| PublishedCategory {
        category: record.text(),
        count: record.count(),
        newest_id: record.number().map(RowId),
        newest: stamp(app, table, "timestamp", record.text()),
        oldest: stamp(app, table, "timestamp", record.text()),
    };
    let categories = session.link.rows(statement).await?.into_iter().map(read);
    // An empty table without categories still answers with one row.
    Ok(categories.filter(|category| category.count > 0).collect())
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
            }
            None => known.push(newer),
        }
    }
    known.sort_by(|a, b| a.category.cmp(&b.category));
    known
}

/// How many events wait in the queue, and since when. Its rows are read by the primary key, and no more than
/// [`Queue::COUNTED`] of them: the oldest come first.
pub(super) async fn queue(session: &mut Session<'_>) -> Result<Availability<Queue>, SourceError> {
    let app = session.link.app;
    let schema = session.schema.clone();
    let table = table_or_leave!(schema, Table::Queue);
    let text = |expression: &str| sql::as_text(table.backend, expression);
    let raised = table.column("timestamp").is_some();
    let order = table.column("id").map(|_| format!(" ORDER BY {}", table.expression("id"))).unwrap_or_default();
    let statement = session.link.statement(format!(
        "SELECT {}, {} FROM (SELECT {} AS raised FROM {}{order} LIMIT {}) AS waiting",
        text("COUNT(*)"),
        if raised { text("MIN(waiting.raised)") } else { text("NULL") },
        if raised { dated(&table, "timestamp") } else { "1".to_owned() },
        table.name,
        Queue::COUNTED
    ));
    let mut row = session.link.row(statement).await?;
    Ok(Availability::Here(Queue { length: row.count(), oldest: stamp(app, &table, "timestamp", row.text()) }))
}

/// A column of times as an expression that is NULL where the value is no date (0000-00-00, infinity): the least of a
/// table's times would be that one.
fn dated(table: &Found<'_>, name: &str) -> String {
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
    let statement = session.link.statement(format!(
        "SELECT {}, {} FROM {} ORDER BY {} LIMIT {ROWS}",
        table.text("chunk_length"),
        table.text("start"),
        table.name,
        table.expression("start")
    ));
    let records = session.link.rows(statement).await?;
    let read = |mut record: Record| Some(Chunk { length: record.number()?, start: record.number()? });
    Ok(Availability::Here(records.into_iter().filter_map(read).collect()))
}

async fn offset_markers(session: &mut Session<'_>) -> Result<Availability<Vec<OffsetMarker>>, SourceError> {
    let schema = session.schema.clone();
    let table = table_or_leave!(schema, Table::OffsetMarkers);
    let statement = session.link.statement(format!(
        "SELECT {}, {}, {} FROM {} ORDER BY {} LIMIT {ROWS}",
        table.text("category"),
        table.text("event_id"),
        table.text("event_count"),
        table.name,
        table.expression("category")
    ));
    let records = session.link.rows(statement).await?;
    let read = |mut record: Record| OffsetMarker {
        category: record.text(),
        event_id: record.number().map(RowId),
        event_count: record.number(),
        behind: None,
    };
    let mut markers: Vec<OffsetMarker> = records.into_iter().map(read).collect();
    if let Ok(events) = schema.table(Table::EventRecords) {
        for marker in markers.iter_mut().take(COUNTED_MARKERS) {
            marker.behind = behind(session, &events, marker).await?;
        }
    }
    Ok(Availability::Here(markers))
}

/// Events of the marker's category that came after it; the database compares the category as the publisher does.
async fn behind(
    session: &mut Session<'_>,
    events: &Found<'_>,
    marker: &OffsetMarker,
) -> Result<Option<u64>, SourceError> {
    let Some(event_id) = marker.event_id else { return Ok(None) };
    let count = sql::as_text(events.backend, "COUNT(*)");
    let mut statement =
        session.link.statement(format!("SELECT {count} FROM {} WHERE {} > ", events.name, events.expression("id")));
    statement.id(&events.id, event_id);
    match marker.category.as_deref() {
        None | Some("") => {}
        Some(_) if events.column("category").is_none() => return Ok(None),
        Some(category) => {
            statement.push(" AND ").equals(&events.expression("category"), category);
        }
    }
    Ok(Some(session.link.row(statement).await?.count()))
}
