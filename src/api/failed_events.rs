//! Failed events: lists, single events with their neighbours, and retries of events that the user has seen.

use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::model::Right;
#[cfg(feature = "ssr")]
use crate::model::filter::pairs;
use crate::{
    error::Problem,
    model::{
        ApplicationInfo, EventKey, FailedEvent, FailedEventRow,
        cause::Cause,
        feed_names::NamedFeed,
        filter::{Filter, ListQuery},
    },
};

/// A part of a list that is missing because its source did not answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissingPart {
    pub app: ApplicationInfo,
    pub reason: String,
    pub advice: String,
}

/// How far a text search read one application's table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scan {
    pub app: ApplicationInfo,
    /// Rows read for this page.
    pub looked_at: u64,
    /// Rows in the table at the last poll, if known.
    pub of: Option<u64>,
    /// The search reached the end of the table.
    pub complete: bool,
}

/// Count of a list whose total neither the ledger nor the snapshot knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    pub total: u64,
    /// As [`ListPage::to_retry`].
    pub to_retry: u64,
    /// All rows were read; otherwise the numbers are lower bounds.
    pub complete: bool,
    /// Number of rows read per application for a text search; 0 if the database itself finds the matches.
    pub scans: Vec<Scan>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListPage {
    /// The query as understood.
    pub query: ListQuery,
    pub rows: Vec<FailedEventRow>,
    /// The requested place is past the end of the list: this is the last page.
    #[serde(default)]
    pub at_end: bool,
    /// Queries of the next and of the previous page, if there is one.
    pub next: Option<ListQuery>,
    pub previous: Option<ListQuery>,
    /// Total number of matches, if known without asking a source (filters by application, feed, state and group only).
    pub total: Option<u64>,
    /// How many of them a retry of all would include: the waiting events if the filter asks for them, otherwise those
    /// whose retries are used up.
    #[serde(default)]
    pub to_retry: Option<u64>,
    /// The count that the request asked for, if `total` would not be known.
    #[serde(default)]
    pub counted: Option<Counted>,
    /// The title of the group in the filter.
    pub group: Option<String>,
    /// All configured applications, for the filter form and the names in the rows.
    pub applications: Vec<ApplicationInfo>,
    /// The feeds of all applications by name, for the filter form and the rows.
    pub feeds: Vec<NamedFeed>,
    /// Why nothing can be retried, by application key; applications that are not listed allow retries.
    pub retry_refused: Vec<(String, String)>,
    pub missing: Vec<MissingPart>,
    /// How far a text search read each application. Empty without a text.
    pub scans: Vec<Scan>,
    /// What the snapshot contained when the list was read, for [`news`]; opaque to other callers.
    pub mark: String,
    /// Why error texts are masked and not searched, as a sentence; `None` if they are not masked.
    pub masked: Option<String>,
    /// How many events match without the text, if the caller may not search error texts.
    #[serde(default)]
    pub without_text: Option<u64>,
    /// Applications whose database does not keep the first failure: see [`crate::model::FailedEventRow::moves`].
    pub moving: Vec<Moving>,
}

/// An application whose database does not keep the first failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    /// Its key.
    pub app: String,
    /// The list is filtered and sorted by the times that it shows; otherwise by the times of the rows' last changes.
    pub as_shown: bool,
}

/// Returns a page of failed events. `query` is the page's query string.
#[server(prefix = "/api", input = GetUrl, endpoint = "failed_events")]
pub async fn list_failed_events(query: String) -> Result<ListPage, Problem> {
    let console = super::console_for(Right::See)?;
    let mut page = crate::server::lists::page(&console, console.list_query(&query)?).await?;
    // `count` is a display option and not part of the list's query.
    if page.total.is_none() && pairs(&query).any(|(key, value)| key == "count" && value == "all") {
        let counted = crate::server::counts::of_list(&console, &page.query.filter).await;
        if counted.complete {
            (page.total, page.to_retry) = (Some(counted.total), Some(counted.to_retry));
        }
        page.counted = Some(counted);
    }
    crate::server::records::call(&console, &super::actor()?, "list of failed events", &mut page.rows).await?;
    Ok(page)
}

/// A list by cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CausesPage {
    /// The part of the requested filter that can be counted.
    pub filter: Filter,
    /// The requested filter has parts that cannot be counted.
    pub narrowed: bool,
    /// The most frequent first.
    pub causes: Vec<Cause>,
    /// Total number of causes.
    pub all: usize,
    pub applications: Vec<ApplicationInfo>,
    pub feeds: Vec<NamedFeed>,
    /// Keys of the applications where nothing can be retried.
    pub off: Vec<String>,
    /// Names of the applications whose failed events could not be read, and whether others could be.
    #[serde(default)]
    pub unread: (Vec<String>, bool),
}

/// Returns the causes of a list. `query` is the list's query string.
#[server(prefix = "/api", input = GetUrl, endpoint = "causes")]
pub async fn list_causes(query: String) -> Result<CausesPage, Problem> {
    use crate::server::causes;
    let console = super::console_for(Right::See)?;
    let asked = console.list_query(&query)?.filter;
    for app in &asked.apps {
        console.info(app)?;
    }
    let filter = causes::countable(&asked);
    let (causes, all) = causes::of_list(&console, &filter).await?;
    let views = console.views().await;
    let off = views.iter().filter(|view| view.seen.as_ref().is_none_or(|seen| seen.retry_refused.is_some()));
    Ok(CausesPage {
        narrowed: Filter { order: filter.order, ..asked } != filter,
        off: off.map(|view| view.info.key.clone()).collect(),
        unread: causes::unread(&console, &filter).await,
        feeds: crate::model::feed_names::named(&views),
        applications: console.applications().cloned().collect(),
        filter,
        causes,
        all,
    })
}

/// What arrived since a list was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrivals {
    /// The text of a link: "12 new failed events — show". Empty if nothing arrived. If the filter has parts that the
    /// snapshot does not know (category, time, text), the text says that the events are of these applications.
    pub in_words: String,
}

/// Reports whether failed events arrived since a list was read. `query` is the list's query string, `mark` its
/// [`ListPage::mark`]. Uses only the snapshot, so it causes no load on a source.
#[server(prefix = "/api", input = GetUrl, endpoint = "news")]
pub async fn news(query: String, mark: String) -> Result<Arrivals, Problem> {
    let console = super::console_for(Right::See)?;
    let list = console.list_query(&query)?;
    Ok(crate::server::lists::arrivals(&console, &list.filter, &mark).await)
}

/// A failed event whose texts the caller may not read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Masked {
    /// Why, as a sentence.
    pub why: String,
    /// What can be done about it, as a sentence.
    pub advice: String,
    /// Kind of the payload: "JSON".
    pub payload_kind: String,
}

/// The group that a failed event belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventGroup {
    pub fault: i64,
    pub title: String,
    /// Number of its failed events now.
    pub failed: u64,
    pub note: Option<crate::model::group::WrittenNote>,
}

/// A failed event with its context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventPage {
    pub info: ApplicationInfo,
    pub event: FailedEvent,
    /// What the page hides from the caller; `None` if nothing is masked.
    pub masked: Option<Masked>,
    /// Why the event cannot be retried; `None` if it can.
    pub retry_refused: Option<String>,
    /// Number of events of the same feed that will be tried before this one after a retry (waiting, with lower ids).
    pub ahead: Option<u64>,
    /// When the consumer was last active on this feed.
    pub last_seen_at_work: Option<crate::model::Stamp>,
    /// The feed's numbers, if the snapshot has them.
    pub feed: Option<crate::model::Feed>,
    /// Other failed events of the same record, here and in other applications.
    pub same_record: Vec<FailedEventRow>,
    /// Applications where the lookup of the same record failed or was incomplete, with the reason.
    pub same_record_missing: Vec<MissingPart>,
    /// Names for the applications of `same_record`.
    pub applications: Vec<ApplicationInfo>,
    /// Names of the feeds of all applications.
    #[serde(default)]
    pub names: Vec<NamedFeed>,
    /// The group of failed events with the same fault; `None` if not known yet.
    pub group: Option<EventGroup>,
    /// Later events of the same record in this application: how many were resolved, and how many failed too.
    pub later: (u64, u64),
    /// The retry count before it was reset to 0, if the console saw that.
    pub set_back: Option<i64>,
    /// The ledger's entry of the event; `None` if the ledger does not have it yet.
    pub life: Option<crate::model::ledger::LedgerEvent>,
    /// Address of the record for a browser in the hospital, if known.
    #[serde(default)]
    pub record_link: Option<String>,
    /// The neighbours in the list from which the event was opened.
    pub previous: Option<EventKey>,
    pub next: Option<EventKey>,
}

/// Returns one failed event. `list` is the query string of the list from which it was opened.
#[server(prefix = "/api", input = GetUrl, endpoint = "failed_event")]
pub async fn view_failed_event(app: String, id: String, list: String) -> Result<EventPage, Problem> {
    let console = super::console_for(Right::See)?;
    let unknown =
        || Problem::not_found(format!("{id:?} is not an id of a failed event."), "Open an event from the list.");
    // An open page that refreshes its live parts: see the island `Live`.
    let live = crate::model::filter::pairs(&list).any(|(key, _)| key == "live");
    let list = console.list_query(&list)?;
    let id = id.parse().map_err(|_| unknown())?;
    let actor = super::actor()?;
    let mut page = crate::server::events::event(&console, &actor, &app, id, &list.filter, live).await?;
    let rows = std::iter::once(&mut page.event.row).chain(&mut page.same_record);
    crate::server::records::call(&console, &actor, &format!("failed event {id} of {app}"), rows).await?;
    Ok(page)
}

/// Retries failed events: sets the retry counter to 0 if the row still has the count that the user saw.
///
/// A plain form posts `rows` (`app:id:retries`, any number), or `only` (one such row, from the button in the row;
/// `rows` is then ignored); `back` is the path and query below the base to return to.
#[server(prefix = "/api", endpoint = "retry")]
pub async fn retry(
    #[server(default)] rows: Vec<String>,
    #[server(default)] only: Option<String>,
    #[server(default)] reason: Option<String>,
    #[server(default)] back: String,
) -> Result<(), Problem> {
    use crate::server::operations::{self, SeenEvent};
    let console = super::console_for(Right::Retry)?;
    let rows = only.filter(|only| !only.is_empty()).map_or(rows, |only| vec![only]);
    let events = rows.iter().map(|row| SeenEvent::parse(row).ok_or_else(|| super::operations::not_a_row(row)));
    let action = operations::retry(&console, super::actor()?, events.collect::<Result<_, _>>()?, said(reason)).await?;
    super::go_back(&console, &with_place(&back), action);
    Ok(())
}

/// Adds to `back` the place on the list where a row was acted on: the row's button adds it to the address that its form
/// posts to.
#[cfg(feature = "ssr")]
fn with_place(back: &str) -> String {
    let place = leptos::prelude::with_context(|parts: &axum::http::request::Parts| {
        let query = parts.uri.query().unwrap_or_default();
        crate::model::filter::pairs(query).find(|(key, _)| key == "at")?.1.parse::<u16>().ok()
    });
    match place.flatten() {
        Some(place) => format!("{back}{}at={place}", if back.contains('?') { '&' } else { '?' }),
        None => back.to_owned(),
    }
}

/// Returns the reason as typed: `None` if it is blank; cut to 1,000 characters.
#[cfg(feature = "ssr")]
pub(super) fn said(reason: Option<String>) -> Option<String> {
    let reason: String = reason?.trim().chars().take(1000).collect();
    (!reason.is_empty()).then_some(reason)
}
