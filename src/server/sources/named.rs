//! Whether a publisher has what the marker of a consumer names: the event read last, and the page it was read on.
//!
//! A marker that moves along names one of the newest events: these are looked through first, by the primary key. Only then
//! is the whole table searched, where whoever asks wants that.

use crate::model::{
    error_text::KEY_CHARS,
    feed::Unpublished,
    publisher::{Chunk, pages},
};

use super::{
    SourceError,
    connection::{Record, Session},
    schema::{Found, Schema, Table},
    sql,
};

/// Newest events that are looked through first.
const NEWEST: u32 = 1000;

/// Rows of chunking_history at the most.
const CHUNKS: u32 = 1000;

/// How the ids of entries begin, before the uuid in event_records.
const PREFIX: &str = "tag:atomfeed.ict4h.org:";

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

/// What a publisher says of what a marker names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It has it.
    Has,
    /// It does not have it.
    HasNot(Unpublished),
    /// Its tables do not say, or it was not searched to the end.
    NotKnown,
}

/// Asks a publisher. `whole`: all of its events are searched, and the pages of the feed are counted.
pub(super) async fn named(session: &mut Session<'_>, named: Named<'_>, whole: bool) -> Result<Word, SourceError> {
    let schema = session.schema.clone();
    let Ok(events) = schema.table(Table::EventRecords) else { return Ok(Word::NotKnown) };
    let mut word = Word::Has;
    if let Some(entry) = named.entry.filter(|entry| !entry.trim().is_empty()) {
        word = of_entry(session, &events, entry, named.category, whole).await?;
    }
    if word == Word::Has
        && whole
        && let (Some(page), Some(category)) = (named.page, named.category)
        && let Some(last) = last_page(session, &schema, &events, category).await?
        && page > last
    {
        word = Word::HasNot(Unpublished::Page { page, last });
    }
    Ok(word)
}

async fn of_entry(
    session: &mut Session<'_>,
    events: &Found<'_>,
    entry: &str,
    category: Option<&str>,
    whole: bool,
) -> Result<Word, SourceError> {
    // Of an entry that was cut only the beginning is known.
    if events.column("uuid").is_none() || entry.chars().count() >= KEY_CHARS as usize {
        return Ok(Word::NotKnown);
    }
    let ids = ids_of(entry);
    let mut found = search(session, events, &ids, Some(NEWEST)).await?;
    if found.is_none() && whole {
        found = search(session, events, &ids, None).await?;
    }
    Ok(match (found, whole) {
        (None, false) => Word::NotKnown,
        (None, true) => Word::HasNot(Unpublished::Entry(entry.to_owned())),
        (Some(of), _) => match (of.filter(|of| !of.trim().is_empty()), category) {
            (Some(of), Some(feed)) if of.trim().to_lowercase() != feed.to_lowercase() => {
                Word::HasNot(Unpublished::OtherCategory { entry: entry.to_owned(), category: of })
            }
            _ => Word::Has,
        },
    })
}

/// The ids under which event_records may have an entry.
fn ids_of(entry: &str) -> Vec<String> {
    match entry.strip_prefix(PREFIX) {
        Some(bare) => vec![bare.to_owned(), entry.to_owned()],
        None => vec![entry.to_owned(), format!("{PREFIX}{entry}")],
    }
}

/// The category of the newest event with one of these ids; `None`: there is no such event among the newest, or at all.
async fn search(
    session: &mut Session<'_>,
    events: &Found<'_>,
    ids: &[String],
    newest: Option<u32>,
) -> Result<Option<Option<String>>, SourceError> {
    let id = events.expression("id");
    // PostgreSQL may have a uuid as such: as a text it can be compared, and as what it is be found by an index.
    let uuid = events.long_text("uuid");
    let category = events.text("category");
    let mut statement = match newest {
        Some(newest) => {
            let mut statement = session.link.statement(format!(
                "SELECT newest.category FROM (SELECT {uuid} AS uuid, {category} AS category FROM {} ORDER BY {id} DESC \
                 LIMIT {newest}) AS newest WHERE ",
                events.name
            ));
            statement.text_in("newest.uuid", ids);
            statement
        }
        None => {
            let mut statement = session.link.statement(format!("SELECT {category} FROM {} WHERE ", events.name));
            statement.text_in(&uuid, ids).push(format!(" ORDER BY {id} DESC"));
            statement
        }
    };
    statement.push(" LIMIT 1");
    Ok(session.link.rows(statement).await?.into_iter().next().map(|mut row| row.key()))
}

/// The number of the last page of a category's feed, counted as the publisher does: from its offset marker on, where there
/// is one, and at least so many as there are events. `None`: its pages cannot be counted.
async fn last_page(
    session: &mut Session<'_>,
    schema: &Schema,
    events: &Found<'_>,
    category: &str,
) -> Result<Option<u64>, SourceError> {
    let Ok(table) = schema.table(Table::Chunking) else { return Ok(None) };
    let statement = session.link.statement(format!(
        "SELECT {}, {} FROM {} ORDER BY {} LIMIT {CHUNKS}",
        table.text("chunk_length"),
        table.text("start"),
        table.name,
        table.expression("start")
    ));
    let read = |mut record: Record| Some(Chunk { length: record.number()?, start: record.number()? });
    let chunks: Vec<Chunk> = session.link.rows(statement).await?.into_iter().filter_map(read).collect();
    let mut counted = of_category(session, events, category, 0).await?;
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
        same_category(&mut statement, &offsets, category);
        statement.push(format!(" AND {upto} IS NOT NULL ORDER BY {upto} DESC LIMIT 1"));
        let mut row = session.link.row(statement).await?;
        if let (Some(upto), Some(until)) = (row.number::<i64>(), row.number::<u64>()) {
            let after = of_category(session, events, category, upto).await?;
            counted = counted.max(until.saturating_add(after));
        }
    }
    Ok(pages(&chunks, counted))
}

/// Events of a category above an id.
async fn of_category(
    session: &mut Session<'_>,
    events: &Found<'_>,
    category: &str,
    above: i64,
) -> Result<u64, SourceError> {
    let count = sql::as_text(events.backend, "COUNT(*)");
    let mut statement =
        session.link.statement(format!("SELECT {count} FROM {} WHERE {} > ", events.name, events.expression("id")));
    statement.id(&events.id, crate::model::RowId(above.into()));
    if events.column("category").is_some() {
        statement.push(" AND ");
        same_category(&mut statement, events, category);
    }
    Ok(session.link.row(statement).await?.count())
}

/// Whether a row's category is this one, without regard to case: some databases compare like that, and what is counted must
/// not be less than what the publisher counts.
fn same_category(statement: &mut sql::Statement, table: &Found<'_>, category: &str) {
    let name = table.long_text("category");
    statement.equals(&format!("LOWER({name})"), &category.to_lowercase());
}
