//! How far a consumer is behind: the event that its marker names, in the publisher's table, and the events after it.

use chrono::{DateTime, Utc};

use crate::model::{RowId, lag::Lag};

use super::{
    Source, SourceError,
    connection::Session,
    named::{NEWEST, Place, Within, after, ids_of, search},
    schema::{Found, Table},
    sql,
};

/// The most unread events that are counted.
pub const COUNTED: u64 = 20_000;

/// Ids after an earlier position of a marker among which the present one is searched.
const WINDOW: i128 = 20_000;

/// A marker whose lag is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ReadPosition<'a> {
    /// The entry read last, with or without the prefix of entries.
    pub entry: &'a str,
    /// The category in the feed's address.
    pub category: &'a str,
    /// The id of that event, if it is known.
    pub id: Option<RowId>,
    /// An earlier position of the marker.
    pub earlier: Option<RowId>,
    /// Whether all events may be searched.
    pub whole: bool,
}

impl Source {
    /// Returns how far a consumer is behind this publisher. `None` if that is not known: the event is not found, is of
    /// another category, or there is no table of events.
    ///
    /// # Errors
    /// Fails also if the search takes too long.
    pub async fn lag(&self, position: ReadPosition<'_>) -> Result<Option<Lag>, SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let outcome = lag(&mut session, position).await;
        session.end(outcome).await
    }
}

async fn lag(session: &mut Session<'_>, position: ReadPosition<'_>) -> Result<Option<Lag>, SourceError> {
    let schema = session.schema.clone();
    let Ok(events) = schema.table(Table::EventRecords) else { return Ok(None) };
    if events.column("uuid").is_none() {
        return Ok(None);
    }
    let Some((id, of)) = find(session, &events, position).await? else { return Ok(None) };
    let category = match of.filter(|of| !of.trim().is_empty()) {
        None if events.column("category").is_none() => None,
        Some(of) if of.trim().to_lowercase() == position.category.trim().to_lowercase() => Some(of),
        // The publisher says elsewhere that the marker names an event of another category.
        _ => return Ok(None),
    };
    let place = Place { id, category };
    let unread = count_after(session, &events, &place).await?;
    let since: Option<DateTime<Utc>> = match unread {
        0 => None,
        _ => after(session, &events, &place).await?.and_then(|first| first.since),
    };
    let more = unread > COUNTED;
    Ok(Some(Lag { read_to: id, unread: unread.min(COUNTED), more, since, at: crate::clock::now() }))
}

/// Returns the id and the category of the event that a marker names: by its id, near its earlier position, among the
/// newest events, among all.
async fn find(
    session: &mut Session<'_>,
    events: &Found<'_>,
    position: ReadPosition<'_>,
) -> Result<Option<(RowId, Option<String>)>, SourceError> {
    let ids = ids_of(position.entry);
    let near = |from: RowId, width| Within::Range(from, RowId(from.0.saturating_add(width)));
    let mut places: Vec<Within> = position.id.map(|id| near(id, 1)).into_iter().collect();
    places.extend(position.earlier.map(|id| near(id, WINDOW)));
    places.push(Within::Newest(NEWEST));
    places.extend(position.whole.then_some(Within::All));
    for within in places {
        if let Some(found) = search(session, events, &ids, within).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Returns the number of events of a feed after a place; [`COUNTED`] and one if there are more.
async fn count_after(session: &mut Session<'_>, events: &Found<'_>, place: &Place) -> Result<u64, SourceError> {
    let id = events.expression("id");
    let count = sql::as_text(events.backend, "COUNT(*)");
    let mut statement =
        session.link.statement(format!("SELECT {count} FROM (SELECT {id} FROM {} WHERE {id} > ", events.name));
    statement.id(&events.id, place.id);
    if let Some(category) = &place.category {
        // The database compares as the publisher does.
        statement.push(" AND ").equals(&events.long_text("category"), category);
    }
    statement.push(format!(" ORDER BY {id} LIMIT {}) AS later", COUNTED + 1));
    Ok(session.link.row(statement).await?.count())
}
