//! Checks whether a publisher has what the marker of a consumer names: the event read last, and the page it was read
//! on.
//!
//! A marker that advances names one of the newest events: these are searched first, by the primary key. The whole table
//! is searched only after that, and only if the caller asks for it.
//!
//! A publisher may have a feed of all its events whose address only looks as if it named a category: this is assumed
//! for a category without any event.

use chrono::{DateTime, Utc};

use crate::model::{
    RowId,
    error_text::KEY_CHARS,
    feed::Unpublished,
    filter::ENTRY_PREFIX,
    publisher::{Chunk, pages},
};

use super::{
    SourceError,
    connection::Session,
    publisher,
    rows::stamp,
    schema::{Found, Schema, Table},
    sql,
};

/// Number of newest events that are searched first.
pub(super) const NEWEST: u32 = 1000;

/// What a marker names.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// The entry read last, with or without the prefix of entries.
    pub entry: Option<&'a str>,
    /// The number of the page.
    pub page: Option<u64>,
    /// The category in the feed's address.
    pub category: Option<&'a str>,
}

/// Whether a publisher has what a marker names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The publisher has it.
    Has,
    /// The publisher does not have it.
    HasNot(Unpublished),
    /// The publisher's tables do not show it, or were not searched to the end.
    NotKnown,
}

/// The answer about a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub word: Word,
    /// Events of the feed after what the marker names. `None` if there are none, or if that was not asked or cannot be
    /// determined.
    pub unread: Option<Unread>,
}

/// Unread events of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// When the first of them was published, if that is known.
    pub since: Option<DateTime<Utc>>,
}

impl From<Word> for Answer {
    fn from(word: Word) -> Self {
        Self { word, unread: None }
    }
}

/// Position in its feed of the event that a marker names.
pub(super) struct Place {
    pub id: RowId,
    /// The category of the feed's events; `None` if the feed has all events.
    pub category: Option<String>,
}

/// Where an event is searched.
#[derive(Clone, Copy, Debug)]
pub(super) enum Within {
    /// Among this number of newest events.
    Newest(u32),
    /// Among the ids from the first up to the second, which is excluded.
    Range(RowId, RowId),
    All,
}

/// Checks what a marker names. `whole`: all events are searched, the pages of the feed are counted, and events after
/// the marker are searched for.
pub(super) async fn named(session: &mut Session<'_>, named: Named<'_>, whole: bool) -> Result<Answer, SourceError> {
    let schema = session.schema.clone();
    let Ok(events) = schema.table(Table::EventRecords) else { return Ok(Word::NotKnown.into()) };
    let entry = named.entry.filter(|entry| !entry.trim().is_empty());
    let (word, place) = match entry {
        Some(entry) => of_entry(session, &events, entry, named.category, whole).await?,
        None => (Word::Has, None),
    };
    if word != Word::Has || !whole {
        return Ok(word.into());
    }
    let mut unread = None;
    if let (Some(page), Some(category)) = (named.page, named.category)
        && let Some(of_feed) = last_page(session, &schema, &events, category).await?
    {
        let last = of_feed.last;
        if page > last {
            return Ok(Word::HasNot(Unpublished::Page { page, last }).into());
        }
        if let (Some(entry), Some(place)) = (entry, &place)
            && let Some((from, to)) = pages_of(session, &events, &of_feed, place).await?
            // Transactions that committed in another order may have moved it across the end of a page since.
            && !(from.saturating_sub(1)..=to.saturating_add(1)).contains(&page)
        {
            let within = (from, to.min(last));
            return Ok(Word::HasNot(Unpublished::OtherPage { entry: entry.to_owned(), page, within }).into());
        }
        // Without an entry, a consumer begins with the first event of the page.
        unread = (entry.is_none() && of_feed.of_category).then_some(Unread { since: None });
    }
    if let Some(place) = place {
        unread = after(session, &events, &place).await?;
    }
    Ok(Answer { word, unread })
}

/// Returns the unread events of a feed after a place; `None` if there are none.
pub(super) async fn after(
    session: &mut Session<'_>,
    events: &Found<'_>,
    place: &Place,
) -> Result<Option<Unread>, SourceError> {
    let app = session.link.app;
    let id = events.expression("id");
    let mut statement =
        session.link.statement(format!("SELECT {} FROM {} WHERE {id} > ", events.text("timestamp"), events.name));
    statement.id(&events.id, place.id);
    if let Some(category) = &place.category {
        // The database compares as the publisher does.
        statement.push(" AND ").equals(&events.long_text("category"), category);
    }
    statement.push(format!(" ORDER BY {id} LIMIT 1"));
    let first = session.link.rows(statement).await?.into_iter().next();
    Ok(first.map(|mut row| Unread { since: stamp(app, events, "timestamp", row.text()).and_then(|stamp| stamp.at) }))
}

async fn of_entry(
    session: &mut Session<'_>,
    events: &Found<'_>,
    entry: &str,
    category: Option<&str>,
    whole: bool,
) -> Result<(Word, Option<Place>), SourceError> {
    // Only the beginning of a cut entry is known.
    if events.column("uuid").is_none() || entry.chars().count() >= KEY_CHARS as usize {
        return Ok((Word::NotKnown, None));
    }
    let ids = ids_of(entry);
    let mut found = search(session, events, &ids, Within::Newest(NEWEST)).await?;
    if found.is_none() && whole {
        found = search(session, events, &ids, Within::All).await?;
    }
    let Some((id, of)) = found else {
        let word = if whole { Word::HasNot(Unpublished::Entry(entry.to_owned())) } else { Word::NotKnown };
        return Ok((word, None));
    };
    let of = of.filter(|of| !of.trim().is_empty());
    let all = Place { id, category: None };
    Ok(match (of, category) {
        // A table without categories is one feed.
        (None, _) => (Word::Has, events.column("category").is_none().then_some(all)),
        (Some(_), None) => (Word::Has, None),
        (Some(of), Some(feed)) if of.trim().to_lowercase() == feed.to_lowercase() => {
            (Word::Has, Some(Place { id, category: Some(of) }))
        }
        (Some(_), Some(_)) if !whole => (Word::NotKnown, None),
        (Some(of), Some(feed)) => match of_category(session, events, Some(feed), 0).await? {
            0 => (Word::Has, Some(all)),
            _ => (Word::HasNot(Unpublished::OtherCategory { entry: entry.to_owned(), category: of }), None),
        },
    })
}

/// Returns the ids under which event_records may have an entry.
pub(super) fn ids_of(entry: &str) -> Vec<String> {
    match entry.strip_prefix(ENTRY_PREFIX) {
        Some(bare) => vec![bare.to_owned(), entry.to_owned()],
        None => vec![entry.to_owned(), format!("{ENTRY_PREFIX}{entry}")],
    }
}

/// The most events whose ids a collation calls equal that are looked at.
const ALIKE: u32 = 20;

/// Returns the row and the category of the newest event with one of these ids. `None` if there is no such event, either
/// at all or where it is searched.
pub(super) async fn search(
    session: &mut Session<'_>,
    events: &Found<'_>,
    ids: &[String],
    within: Within,
) -> Result<Option<(RowId, Option<String>)>, SourceError> {
    let id = events.expression("id");
    // PostgreSQL may store it as type uuid: it is compared as text.
    let uuid = events.long_text("uuid");
    let (place, category) = (events.text("id"), events.text("category"));
    let mut statement = match within {
        Within::Newest(newest) => {
            let mut statement = session.link.statement(format!(
                "SELECT newest.place, newest.category, newest.uuid FROM (SELECT {place} AS place, {uuid} AS uuid, \
                 {category} AS category FROM {} ORDER BY {id} DESC LIMIT {newest}) AS newest WHERE ",
                events.name
            ));
            statement.text_in("newest.uuid", ids);
            statement
        }
        Within::Range(..) | Within::All => {
            let mut statement =
                session.link.statement(format!("SELECT {place}, {category}, {uuid} FROM {} WHERE ", events.name));
            if let Within::Range(from, to) = within {
                statement.push(format!("{id} >= ")).id(&events.id, from);
                statement.push(format!(" AND {id} < ")).id(&events.id, to).push(" AND ");
            }
            statement.text_in(&uuid, ids).push(format!(" ORDER BY {id} DESC"));
            statement
        }
    };
    // Collations of MySQL ignore case and accents; consumers compare exactly.
    statement.push(format!(" LIMIT {ALIKE}"));
    let rows = session.link.rows(statement).await?;
    Ok(rows.into_iter().find_map(|mut row| {
        let (id, category, uuid) = (RowId(row.number()?), row.key(), row.key()?);
        ids.iter().any(|id| *id == uuid.trim_end()).then_some((id, category))
    }))
}

/// The pages of a feed.
struct Pages {
    last: u64,
    /// They are the pages of its category, which has events, and not of all events.
    of_category: bool,
    chunks: Vec<Chunk>,
    /// Number of events that the offset marker counts up to its position, minus the number that exist there now.
    removed: i64,
}

/// Returns the first and the last page of the feed that an event can be on: counted with the publisher's offset marker
/// and without it, and with regard to the case of categories and without. `None` if the pages cannot be counted.
async fn pages_of(
    session: &mut Session<'_>,
    events: &Found<'_>,
    of_feed: &Pages,
    place: &Place,
) -> Result<Option<(u64, u64)>, SourceError> {
    let mut counted = Vec::with_capacity(2);
    for any_case in [false, true] {
        let count = sql::as_text(events.backend, "COUNT(*)");
        let mut statement = session.link.statement(format!(
            "SELECT {count} FROM {} WHERE {} <= ",
            events.name,
            events.expression("id")
        ));
        statement.id(&events.id, place.id);
        match &place.category {
            Some(category) if any_case => {
                statement.push(" AND ");
                same_category(&mut statement, events, category);
            }
            // The database compares as the publisher does.
            Some(category) => {
                statement.push(" AND ").equals(&events.long_text("category"), category);
            }
            None if any_case => continue,
            None => {}
        }
        let here = session.link.row(statement).await?.count();
        counted.extend([here, here.saturating_add_signed(of_feed.removed)]);
    }
    let pages_of = |event: Option<&u64>| event.and_then(|event| pages(&of_feed.chunks, *event));
    Ok(pages_of(counted.iter().min()).zip(pages_of(counted.iter().max())))
}

/// Returns the pages of a category's feed, counted as the publisher does: from its offset marker on, if there is one,
/// and at least as many as the events need. A category without events has the pages of all events. `None` if the pages
/// cannot be counted.
async fn last_page(
    session: &mut Session<'_>,
    schema: &Schema,
    events: &Found<'_>,
    category: &str,
) -> Result<Option<Pages>, SourceError> {
    let Ok(table) = schema.table(Table::Chunking) else { return Ok(None) };
    let chunks = publisher::chunks(session, &table).await?;
    let mut category = Some(category);
    let mut counted = of_category(session, events, category, 0).await?;
    if counted == 0 {
        category = None;
        counted = of_category(session, events, category, 0).await?;
    }
    let mut removed = 0;
    if let Ok(offsets) = schema.table(Table::OffsetMarkers)
        && offsets.column("event_count").is_some()
        && offsets.column("category").is_some()
    {
        let upto = offsets.expression("event_id");
        let mut statement = session.link.statement(format!(
            "SELECT {}, {} FROM {} WHERE ",
            offsets.text("event_id"),
            offsets.text("event_count"),
            offsets.name
        ));
        same_category(&mut statement, &offsets, category.unwrap_or_default());
        statement.push(format!(" AND {upto} IS NOT NULL ORDER BY {upto} DESC LIMIT 1"));
        let mut row = session.link.row(statement).await?;
        if let (Some(upto), Some(until)) = (row.number::<i64>(), row.number::<u64>()) {
            let after = of_category(session, events, category, upto).await?;
            let by_marker = until.saturating_add(after);
            removed = i64::try_from(i128::from(by_marker) - i128::from(counted)).unwrap_or(i64::MAX);
            counted = counted.max(by_marker);
        }
    }
    let of_category = category.is_some();
    Ok(pages(&chunks, counted).map(|last| Pages { last, of_category, chunks, removed }))
}

/// Returns the number of events of a category, or of all, above an id.
async fn of_category(
    session: &mut Session<'_>,
    events: &Found<'_>,
    category: Option<&str>,
    above: i64,
) -> Result<u64, SourceError> {
    let count = sql::as_text(events.backend, "COUNT(*)");
    let mut statement =
        session.link.statement(format!("SELECT {count} FROM {} WHERE {} > ", events.name, events.expression("id")));
    statement.id(&events.id, crate::model::RowId(above.into()));
    if let Some(category) = category
        && events.column("category").is_some()
    {
        statement.push(" AND ");
        same_category(&mut statement, events, category);
    }
    Ok(session.link.row(statement).await?.count())
}

/// Appends the condition that a row's category is this one, without regard to case: some databases compare like that,
/// and the count must not be lower than the publisher's.
fn same_category(statement: &mut sql::Statement, table: &Found<'_>, category: &str) {
    let name = table.long_text("category");
    statement.equals(&format!("LOWER({name})"), &category.to_lowercase());
}
