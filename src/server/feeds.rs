//! A publisher's feeds as pages, cut from its tables as the publisher itself does it, and who has read them.
//!
//! Where a page begins is found by the publisher's offset marker or, for the pages before it, by the console's index of
//! published events. Without an index, the source skips the events before the page, within its statement timeout.

use std::collections::HashMap;

use axum::{
    extract::{Path, RawQuery},
    http::header,
    response::{IntoResponse, Response},
};

use atomfeed::{Chunking, FeedSettings, PageNumber, PublishedRow};

use super::{
    http::Seen,
    operations::Actor,
    published::mask,
    sources::{Counted, FeedShape, Ids, ReadPosition, Source, Stretch},
    state::Console,
    store::{End, Indexed, compared},
};
use crate::{
    error::Problem,
    model::{
        ApplicationInfo, ApplicationView, Availability, Kind, RowId,
        audit::AuditKind,
        feed::category_of,
        feed_pages::{
            AddressSource, FeedAddress, FeedList, FeedPage, FeedQuery, FeedReader, FeedSummary, IndexState, PageEntry,
            PageOf, WhichPage,
        },
        filter::ENTRY_PREFIX,
        payload,
        publisher::{Chunk, PublishedEvent, Publisher},
    },
};

/// Events of one record among which an entry is searched.
const MOST_OF_RECORD: u32 = 500;

/// Events that one request for the rows of one object reads.
const READ: u32 = 1_000;

/// Events that are skipped without mention.
const UNTOLD: u64 = 5_000;

/// The most entries that are shown of a page: chunking_history can make a page of millions.
const MOST_ENTRIES: u64 = 1_000;

/// Returns all feeds of a publisher.
///
/// # Errors
/// Fails as [`Console::source`] does, and if the source does not answer.
pub async fn list(console: &Console, app: &str) -> Result<FeedList, Problem> {
    let source = console.source(app)?;
    let publisher = console.parts.publishers.of(source).await?;
    let views = console.views().await;
    let index = index(console, source, &publisher).await;
    let categories = publisher.categories.here().cloned().unwrap_or_default();
    let total = categories.iter().map(|category| category.count).sum();
    let newest = categories.iter().filter_map(|category| category.newest.clone()).max_by_key(|stamp| stamp.at);
    let chunking = publisher.chunking.here().and_then(|chunks| chunking(chunks).ok());
    let info = &source.app().info;
    let summary = |category: &str, events, newest_at| FeedSummary {
        category: category.to_owned(),
        events,
        newest_at,
        pages: chunking.as_ref().and_then(|chunking| pages(chunking, as_counted(&publisher, category, events))),
        readers: readers(&views, info, category, source),
    };
    let mut feeds: Vec<FeedSummary> = categories
        .into_iter()
        .filter_map(|category| {
            Some((category.category.filter(|name| !name.is_empty())?, category.count, category.newest))
        })
        .map(|(category, count, newest)| summary(&category, count, newest))
        .collect();
    if publisher.categories.here().is_some() {
        feeds.push(summary("", total, newest));
    }
    Ok(FeedList { name: info.name.clone(), publisher, feeds, index })
}

/// Returns the state of the index. If it holds another number of events than were just counted, events were removed or
/// added in between, and it is built again.
async fn index(console: &Console, source: &Source, publisher: &Publisher) -> Option<IndexState> {
    let (store, app) = (&console.parts.store, &source.app().info.key);
    let indexed = store.indexed(app).await.ok()??;
    let events = store.published_count(&indexed, "", i64::MIN).await.ok()?;
    let counted = publisher.categories.here().map(|categories| {
        let newest = categories.iter().filter_map(|category| category.newest_id).max();
        (newest, categories.iter().map(|category| category.count).sum::<u64>())
    });
    if let Some((Some(newest), counted)) = counted
        && newest.0 == i128::from(indexed.highest)
        && indexed.end == End::Beginning
        && counted != events
    {
        tracing::info!(application = %source.app().info.name, "published events were removed; their index is built again");
        if let Err(error) = store.forget_published(app).await {
            tracing::debug!(%error, "the index of published events could not be built again");
        }
    }
    Some(IndexState {
        events,
        whole: indexed.end == End::Beginning,
        filling: indexed.end == End::Open,
        from: store.indexed_since(&indexed).await.ok()?,
    })
}

/// Returns the number of a feed's events as the publisher counts them: with its offset marker, if there is one.
fn as_counted(publisher: &Publisher, category: &str, events: u64) -> u64 {
    let markers = publisher.offset_markers.here().map(|markers| markers.rows.as_slice()).unwrap_or_default();
    let marker = markers.iter().find(|marker| marker.category.as_deref() == Some(category));
    let counted = marker.and_then(|marker| Some(u64::try_from(marker.event_count?).ok()? + marker.behind?));
    counted.unwrap_or(events)
}

fn chunking(chunks: &[Chunk]) -> Result<Chunking, String> {
    let rows: Vec<_> = (1..).zip(chunks).map(|(id, chunk)| (id, Some(chunk.length), Some(chunk.start))).collect();
    Chunking::new(&rows).map_err(|error| error.to_string())
}

fn pages(chunking: &Chunking, events: u64) -> Option<u64> {
    u64::try_from(chunking.pages(i64::try_from(events).ok()?)).ok()
}

/// Returns the consumers of a feed among the applications that the user may see.
fn readers(views: &[ApplicationView], info: &ApplicationInfo, category: &str, source: &Source) -> Vec<FeedReader> {
    let backend = source.app().database.backend;
    let wanted = compared(backend, category);
    let of_feed =
        |uri: &str| info.is_publisher_of(uri) && category_of(uri).is_some_and(|of| compared(backend, &of) == wanted);
    let of_view = |view: &ApplicationView| {
        let feed =
            view.feeds().iter().find(|feed| !feed.markers.is_empty() && feed.uri.as_deref().is_some_and(of_feed))?;
        Some(FeedReader { app: view.info.key.clone(), name: view.info.name.clone(), lag: feed.lag.clone() })
    };
    views.iter().filter_map(of_view).collect()
}

/// Returns a page of a feed.
///
/// # Errors
/// Fails as [`Console::source`] does, with 404 if there is no such page, with 409 if its publisher cannot cut pages, and
/// if the source does not answer in time.
pub async fn page(console: &Console, app: &str, query: &FeedQuery) -> Result<FeedPage, Problem> {
    let (mut page, _) = whole_page(console, app, query).await?;
    for entry in &mut page.entries {
        entry.event.object = entry.event.object.as_deref().and_then(payload::reference);
    }
    Ok(page)
}

/// Returns a page as its publisher would serve it, as XML. The objects of a user who may not read texts are only kinds
/// and uuids.
///
/// # Errors
/// Fails as [`page`] does.
pub async fn xml(console: &Console, app: &str, query: &FeedQuery) -> Result<String, Problem> {
    let (page, settings) = whole_page(console, app, query).await?;
    let Some(of) = page.number else {
        return Err(Problem::bad_request("A list by record is no page of a feed.", "Open a page of the feed."));
    };
    let mut events: Vec<PublishedEvent> = page.entries.into_iter().map(|entry| entry.event).collect();
    mask(console, &mut events);
    let rows = events.into_iter().map(|event| {
        let at = |stamp: Option<crate::model::Stamp>| stamp.and_then(|stamp| stamp.at);
        PublishedRow {
            uuid: event.uuid.unwrap_or_default(),
            title: event.title.unwrap_or_default(),
            at: at(event.at).or_else(|| at(event.raised)),
            object: event.object,
            category: event.category,
            tags: event.tags,
        }
    });
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let asked = match query.which {
        WhichPage::Recent => PageNumber::Recent,
        _ => PageNumber::Number(number(of.number)),
    };
    let category = Some(query.category.as_str()).filter(|category| !category.is_empty());
    let written = settings.page(category, asked, number(of.number), number(of.last), rows.collect());
    written.map_err(Problem::internal)
}

/// `/applications/{app}/feed.xml`: a page as its publisher would serve it. As plain text, so that a browser shows it and
/// never runs the content.
pub async fn source(
    Seen(console): Seen,
    actor: Actor,
    Path(app): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = FeedQuery::parse(query.as_deref().unwrap_or_default());
    let xml = xml(&console, &app, &query).await?;
    if console.masked().is_none() {
        let what = format!("a page of the feed {:?}, its source", query.category);
        console.parts.audit.record(actor.entry(AuditKind::PayloadViewed).app(&app).what(what)).await?;
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], xml).into_response())
}

async fn whole_page(console: &Console, app: &str, query: &FeedQuery) -> Result<(FeedPage, FeedSettings), Problem> {
    let source = console.source(app)?;
    let info = &source.app().info;
    let views = console.views().await;
    let (address, settings) = settings(&views, info, &query.category);
    let mut page = FeedPage {
        name: info.name.clone(),
        query: query.clone(),
        number: None,
        entries: Vec::new(),
        scanned: 0,
        earlier: None,
        readers: readers(&views, info, &query.category, source),
        address,
        categories: Vec::new(),
        chunks: Vec::new(),
        offset: None,
        event: None,
    };
    match &query.which {
        WhichPage::Distinct(before) => distinct(source, &mut page, *before).await?,
        _ => numbered(console, source, &mut page).await?,
    }
    // The other feeds are a convenience: a page does not count them.
    if let Some(publisher) = console.parts.publishers.last(&info.key) {
        let categories = publisher.categories.here().into_iter().flatten();
        page.categories = categories.filter_map(|category| category.category.clone()).collect();
        page.categories.retain(|category| !category.is_empty());
    }
    Ok((page, settings))
}

/// Reads the newest events of a feed, one row for each object.
async fn distinct(source: &Source, page: &mut FeedPage, before: Option<RowId>) -> Result<(), Problem> {
    let events = there(source, source.newest_of_feed(&page.query.category, before, READ).await?)?;
    page.scanned = events.len() as u64;
    page.earlier = events.last().map(|event| event.id).filter(|_| events.len() == READ as usize);
    let mut places = HashMap::<Option<String>, usize>::new();
    for event in events {
        match places.get(&event.object) {
            Some(place) => page.entries[*place].rows += 1,
            None => {
                places.insert(event.object.clone(), page.entries.len());
                page.entries.push(PageEntry { event, rows: 1 });
            }
        }
    }
    Ok(())
}

/// Reads a numbered page of a feed.
async fn numbered(console: &Console, source: &Source, page: &mut FeedPage) -> Result<(), Problem> {
    let category = page.query.category.clone();
    let index = Index::of(console, source, &category).await;
    let shape = there(source, source.feed_shape(&category, index.as_ref().and_then(Index::counted)).await?)?;
    let chunking = chunking(&shape.chunks).map_err(|reason| {
        Problem::conflict(format!("{} cannot cut its feeds into pages.", source.app().info.name), reason)
    })?;
    let events = i64::try_from(shape.events).unwrap_or(i64::MAX);
    let last = u64::try_from(chunking.pages(events)).unwrap_or_default();
    let event = match &page.query.which {
        WhichPage::Of(id) => Some(*id),
        WhichPage::Entry { id, record } => Some(id_of_entry(console, source, &category, id, record.as_deref()).await?),
        WhichPage::Number(_) | WhichPage::Recent | WhichPage::Distinct(_) => None,
    };
    let number = match (&page.query.which, event) {
        (WhichPage::Number(number), _) => *number,
        (_, Some(id)) => {
            let position = position_of(source, &category, id, index.as_ref(), &shape).await?;
            chunking.page_at(position).and_then(|page| u64::try_from(page).ok()).unwrap_or(last)
        }
        (_, None) => last,
    };
    page.event = event;
    (page.chunks, page.offset) = (shape.chunks.clone(), shape.offset);
    let range = i64::try_from(number).ok().and_then(|number| chunking.page(number, events));
    let Some(range) = range else {
        if last == 0 && event.is_none() {
            // A feed without events has an empty page.
            page.number = Some(PageOf { number: 0, last: 0, positions: (0, 0), events: 0 });
            return Ok(());
        }
        return Err(no_page(&source.app().info.name, &category, number, last));
    };
    let position = |position: i64| u64::try_from(position).unwrap_or_default();
    let positions = (position(range.first), position(range.last.min(events)));
    page.number = Some(PageOf { number, last, positions, events: shape.events });
    let (events, scanned) = read_positions(source, &category, positions, index.as_ref(), &shape).await?;
    page.scanned = scanned;
    page.entries = events.into_iter().map(|event| PageEntry { event, rows: 1 }).collect();
    Ok(())
}

/// Returns the id of the event of an entry: from the index by its record, otherwise searched by the source.
async fn id_of_entry(
    console: &Console,
    source: &Source,
    category: &str,
    entry: &str,
    record: Option<&str>,
) -> Result<RowId, Problem> {
    let app = source.app();
    if let Some(record) = record {
        let ids = console.parts.store.published_of(&app.info.key, record, MOST_OF_RECORD).await?;
        let events = there(source, source.published(&Ids::Of(ids), MOST_OF_RECORD).await?)?;
        let bare = entry.strip_prefix(ENTRY_PREFIX).unwrap_or(entry);
        if let Some(event) = events.iter().rev().find(|event| event.uuid.as_deref().is_some_and(|uuid| uuid == bare)) {
            return Ok(event.id);
        }
    }
    let position = ReadPosition { entry, category, id: None, earlier: None, whole: true };
    let found = source.lag(position).await?.map(|lag| lag.read_to);
    found.ok_or_else(|| {
        Problem::not_found(
            format!("{} has no such event on the feed {category}.", app.info.name),
            "It was removed from event_records, or is of another category.",
        )
    })
}

fn no_page(name: &str, category: &str, number: u64, last: u64) -> Problem {
    let feed = if category.is_empty() { "of all events".to_owned() } else { category.to_owned() };
    let todo = match last {
        0 => "The feed has no events.".to_owned(),
        last => format!("Its pages are 1 to {last}."),
    };
    Problem::not_found(format!("The feed {feed} of {name} has no page {number}."), todo)
}

/// The index of a publisher, as far as it helps with a feed.
struct Index<'a> {
    console: &'a Console,
    indexed: Indexed,
    category: String,
    /// Indexed events of the feed.
    events: u64,
}

impl<'a> Index<'a> {
    /// Returns the index if it has the first event: positions are counted from there.
    async fn of(console: &'a Console, source: &Source, category: &str) -> Option<Self> {
        let app = source.app();
        let indexed = console.parts.store.indexed(&app.info.key).await.ok()??;
        if indexed.end != End::Beginning {
            return None;
        }
        let category = compared(app.database.backend, category);
        let events = console.parts.store.published_count(&indexed, &category, i64::MIN).await.ok()?;
        Some(Self { console, indexed, category, events })
    }

    fn counted(&self) -> Option<Counted> {
        Some(Counted { to: RowId(self.indexed.highest.into()), events: self.events })
    }

    /// Returns where the events at these positions, counted from the first event, are; `None` if the index does not
    /// know.
    async fn stretch(&self, (first, last): (u64, u64)) -> Option<Stretch> {
        let limit = last - first + 1;
        if first > self.events {
            let from = RowId(i128::from(self.indexed.highest) + 1);
            return Some(Stretch { from, to: None, skipped: first - self.events - 1, limit });
        }
        let place =
            self.console.parts.store.published_place(&self.indexed, &self.category, (first, last)).await.ok()??;
        // The page may go on after the indexed events.
        let to = (last <= self.events).then(|| RowId(place.to.into()));
        Some(Stretch { from: RowId(place.from.into()), to, skipped: first - 1 - place.before, limit })
    }
}

/// Reads the events at these positions as the publisher counts them. Returns also how many events were skipped to find
/// them, if they were many.
async fn read_positions(
    source: &Source,
    category: &str,
    (first, last): (u64, u64),
    index: Option<&Index<'_>>,
    shape: &FeedShape,
) -> Result<(Vec<PublishedEvent>, u64), Problem> {
    let limit = (last + 1 - first).min(MOST_ENTRIES);
    let last = first + limit - 1;
    // As the publisher: after the offset marker from there, otherwise from the beginning.
    if let Some(offset) = shape.offset.filter(|offset| first > offset.events) {
        let skipped = first - 1 - offset.events;
        let stretch = Stretch { from: RowId(offset.event_id.0 + 1), to: None, skipped, limit };
        let events = there(source, source.feed_events(category, stretch).await?)?;
        return Ok((events, if skipped > UNTOLD { skipped } else { 0 }));
    }
    if let Some(index) = index
        && let Some(stretch) = index.stretch((first, last)).await
    {
        let events = there(source, source.feed_events(category, stretch).await?)?;
        // Fewer: events were removed since they were indexed.
        if events.len() as u64 == limit {
            return Ok((events, 0));
        }
    }
    let stretch = Stretch { from: RowId(0), to: None, skipped: first - 1, limit };
    let events = source.feed_events(category, stretch).await;
    let events = there(source, events.map_err(|error| too_far(error, first))?)?;
    Ok((events, if first > UNTOLD { first - 1 } else { 0 }))
}

/// Returns the position of an event on its feed, as the publisher counts.
async fn position_of(
    source: &Source,
    category: &str,
    id: RowId,
    index: Option<&Index<'_>>,
    shape: &FeedShape,
) -> Result<i64, Problem> {
    let (from, before) = match (shape.offset, index) {
        (Some(offset), _) if id > offset.event_id => (RowId(offset.event_id.0 + 1), offset.events),
        (_, Some(index)) => {
            let block = super::store::block_start(i64::try_from(id.0).unwrap_or(i64::MAX).min(index.indexed.highest));
            let store = &index.console.parts.store;
            let after = store.published_count(&index.indexed, &index.category, block).await?;
            (RowId(block.into()), index.events.saturating_sub(after))
        }
        _ => (RowId(0), 0),
    };
    let between = source.count_of_feed(category, from, id).await.map_err(|error| too_far(error, before))?;
    Ok(i64::try_from(before + between).unwrap_or(i64::MAX).max(1))
}

/// A statement that had to read too many events.
fn too_far(error: super::sources::SourceError, events: u64) -> Problem {
    use super::sources::SourceErrorKind::TimedOut;
    if error.kind != TimedOut {
        return error.into();
    }
    Problem::unavailable(
        format!("This page needs a scan of {events} events, which takes too long."),
        "Open a later page, or wait until the console has indexed this publisher's events.",
    )
}

fn there<T>(source: &Source, part: Availability<T>) -> Result<T, Problem> {
    match part {
        Availability::Here(part) => Ok(part),
        Availability::NotHere(reason) => Err(Problem::not_found(
            format!("The feeds of {} cannot be shown: {reason}.", source.app().info.name),
            "An account of the database needs the right to read event_records and chunking_history.",
        )),
    }
}

/// Returns the address of a feed's pages and the texts of its pages: from the settings, from the read position of a
/// consumer, or as assumed from the kind.
fn settings(views: &[ApplicationView], info: &ApplicationInfo, category: &str) -> (FeedAddress, FeedSettings) {
    let texts = &info.feed_texts;
    let uris = views.iter().flat_map(|view| view.feeds()).filter_map(|feed| feed.uri.as_deref());
    // `…/ws/atomfeed/encounter/recent` → `…/ws/atomfeed`
    let base_of = |uri: &str| {
        let mut parts = uri.trim_end_matches('/').rsplitn(3, '/').skip(2);
        parts.next().map(str::to_owned)
    };
    let of_marker = uris.filter(|uri| info.is_publisher_of(uri) && category_of(uri).is_some()).find_map(base_of);
    let (base, source) = match (texts.address.clone(), of_marker) {
        (Some(address), _) => (address, AddressSource::Settings),
        (None, Some(base)) => (base, AddressSource::Marker),
        (None, None) => {
            let begin = info.publishes.first().map_or("http://publisher/", String::as_str).trim_end_matches('/');
            let path = match info.kind {
                Kind::Openmrs => "/ws/atomfeed",
                Kind::Openelis => "/ws/feed",
                _ => "",
            };
            (format!("{begin}{path}"), AddressSource::Assumed)
        }
    };
    let (title, prefix) = match info.kind {
        Kind::Openmrs => ("Patient AOP", "bec795b1-3d17-451d-b43e-a094019f6984"),
        _ => (info.name.as_str(), "00000000-0000-0000-0000-000000000000"),
    };
    let mut settings = FeedSettings::new(
        base,
        texts.title.clone().unwrap_or_else(|| title.to_owned()),
        texts.id_prefix.clone().unwrap_or_else(|| prefix.to_owned()),
    );
    if info.kind == Kind::Openmrs {
        settings.author = "OpenMRS".to_owned();
        settings.generator = "OpenMRS Feed Publisher".to_owned();
    }
    let category = Some(category).filter(|category| !category.is_empty());
    (FeedAddress { text: settings.address(category, PageNumber::Recent), source }, settings)
}
