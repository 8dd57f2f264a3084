//! Failed events: lists, one whole, its neighbours, and the retry of those that were seen.

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

/// A part of a list that is missing, because its source did not answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissingPart {
    pub app: ApplicationInfo,
    pub reason: String,
    pub advice: String,
}

/// How far a text search looked in one application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scan {
    pub app: ApplicationInfo,
    /// Rows looked at for this page.
    pub looked_at: u64,
    /// Rows in the table at the last look, where known.
    pub of: Option<u64>,
    /// It came to the end.
    pub complete: bool,
}

/// What was counted of a list whose number nothing knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    pub total: u64,
    /// As [`ListPage::to_retry`].
    pub to_retry: u64,
    /// All rows were read; otherwise these are the least that there can be.
    pub complete: bool,
    /// How many rows were read of each application for a text; 0 where the database itself finds what matches.
    pub scans: Vec<Scan>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListPage {
    /// The query as understood.
    pub query: ListQuery,
    pub rows: Vec<FailedEventRow>,
    /// The place that was asked for is beyond the end of the list: this is its last page.
    #[serde(default)]
    pub at_end: bool,
    /// The query of the next and of the previous page, where there is one.
    pub next: Option<ListQuery>,
    pub previous: Option<ListQuery>,
    /// How many match in all, where that is known without asking (filters by application, feed, state and group only).
    pub total: Option<u64>,
    /// Of those, how many a retry of all would take: the waiting ones where they are filtered for, otherwise those whose
    /// retries are used up.
    #[serde(default)]
    pub to_retry: Option<u64>,
    /// What was counted because it was asked for, where `total` would not be known.
    #[serde(default)]
    pub counted: Option<Counted>,
    /// The title of the group that the list is of.
    pub group: Option<String>,
    /// Every configured application, for the filter form and the names in the rows.
    pub applications: Vec<ApplicationInfo>,
    /// The feeds of all applications by name, for the filter form and the rows.
    pub feeds: Vec<NamedFeed>,
    /// Why nothing can be retried, by application key; applications that are not named can.
    pub retry_refused: Vec<(String, String)>,
    pub missing: Vec<MissingPart>,
    /// A text search: how far it looked, per application. Empty without a text.
    pub scans: Vec<Scan>,
    /// What the snapshot knew when the list was read, for [`news`]; opaque to everyone else.
    pub mark: String,
    /// Why error texts are masked and not searched, as a sentence; `None`: they are not masked.
    pub masked: Option<String>,
    /// How many match without the text, where whoever asks may not search the error texts for it.
    #[serde(default)]
    pub without_text: Option<u64>,
    /// Applications whose database keeps no first failure: see [`crate::model::FailedEventRow::moves`].
    pub moving: Vec<Moving>,
}

/// An application whose database keeps no first failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    /// Its key.
    pub app: String,
    /// The list is filtered and sorted by the times that it shows; otherwise by those of the rows' last changes.
    pub as_shown: bool,
}

/// A page of failed events. `query` is the page's query string.
#[server(prefix = "/api", input = GetUrl, endpoint = "failed_events")]
pub async fn list_failed_events(query: String) -> Result<ListPage, Problem> {
    let console = super::console_for(Right::See)?;
    let mut page = crate::server::lists::page(&console, console.list_query(&query)?).await?;
    // A way to look at the same list, and no part of it.
    if page.total.is_none() && pairs(&query).any(|(key, value)| key == "count" && value == "all") {
        let counted = crate::server::counts::of_list(&console, &page.query.filter).await;
        if counted.complete {
            (page.total, page.to_retry) = (Some(counted.total), Some(counted.to_retry));
        }
        page.counted = Some(counted);
    }
    Ok(page)
}

/// A list by cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CausesPage {
    /// What is counted of the filter that was asked for.
    pub filter: Filter,
    /// The filter asked for more than can be counted.
    pub narrowed: bool,
    /// The greatest first.
    pub causes: Vec<Cause>,
    /// How many there are in all.
    pub all: usize,
    pub applications: Vec<ApplicationInfo>,
    pub feeds: Vec<NamedFeed>,
    /// Keys of the applications where nothing can be retried.
    pub off: Vec<String>,
    /// The names of the applications whose failed events could not be read, and whether others could.
    #[serde(default)]
    pub unread: (Vec<String>, bool),
}

/// The causes of a list. `query` is the list's query string.
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

/// What came since a list was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrivals {
    /// For the reader, as the text of a link: "12 new failed events — show". Empty: nothing came. Where the list is
    /// filtered by more than the snapshot can tell (category, time, text), it says that they are of these applications.
    pub in_words: String,
}

/// Whether failed events came since a list was read. `query` is the list's query string, `mark` its [`ListPage::mark`].
/// Answered from the snapshot alone: asking costs no source anything.
#[server(prefix = "/api", input = GetUrl, endpoint = "news")]
pub async fn news(query: String, mark: String) -> Result<Arrivals, Problem> {
    let console = super::console_for(Right::See)?;
    let list = console.list_query(&query)?;
    Ok(crate::server::lists::arrivals(&console, &list.filter, &mark).await)
}

/// A failed event whose texts may not be read by who asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Masked {
    /// Why, as a sentence.
    pub why: String,
    /// What can be done about it, as a sentence.
    pub advice: String,
    /// What the payload is: "JSON".
    pub payload_kind: String,
}

/// The group that a failed event belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventGroup {
    pub fault: i64,
    pub title: String,
    /// How many failed events of it there are now.
    pub failed: u64,
    pub note: Option<crate::model::group::WrittenNote>,
}

/// A failed event and what stands around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventPage {
    pub info: ApplicationInfo,
    pub event: FailedEvent,
    /// What the page does not show to who asks; `None`: nothing is masked.
    pub masked: Option<Masked>,
    /// Why it cannot be retried; `None`: it can.
    pub retry_refused: Option<String>,
    /// How many events of the same feed will be tried before this one after a retry (lower ids, waiting).
    pub ahead: Option<u64>,
    /// When the consumer was last seen at work on this feed.
    pub last_seen_at_work: Option<crate::model::Stamp>,
    /// The feed's numbers, where the snapshot has them.
    pub feed: Option<crate::model::Feed>,
    /// Other failed events of the same record, here and in other applications.
    pub same_record: Vec<FailedEventRow>,
    /// Applications where that could not be looked up, or only partly, with the reason.
    pub same_record_missing: Vec<MissingPart>,
    /// Names for the applications of `same_record`.
    pub applications: Vec<ApplicationInfo>,
    /// What the feeds of all applications are called.
    #[serde(default)]
    pub names: Vec<NamedFeed>,
    /// The failed events with the same fault; `None`: not known yet.
    pub group: Option<EventGroup>,
    /// Later events of the same record here: how many were resolved, and how many failed too.
    pub later: (u64, u64),
    /// The retries that it had before they were set back to 0, where the console saw that.
    pub set_back: Option<i64>,
    /// What the ledger knows of it; `None`: it has not seen it yet.
    pub life: Option<crate::model::ledger::LedgerEvent>,
    /// Where a browser of the hospital finds the record, where that is known.
    #[serde(default)]
    pub record_link: Option<String>,
    /// The neighbours in the list it was opened from.
    pub previous: Option<EventKey>,
    pub next: Option<EventKey>,
}

/// One failed event. `list` is the query string of the list it was opened from.
#[server(prefix = "/api", input = GetUrl, endpoint = "failed_event")]
pub async fn view_failed_event(app: String, id: String, list: String) -> Result<EventPage, Problem> {
    let console = super::console_for(Right::See)?;
    let unknown =
        || Problem::not_found(format!("{id:?} is not an id of a failed event."), "Open an event from the list.");
    // An open page that reads its live parts anew: see the island.
    let live = crate::model::filter::pairs(&list).any(|(key, _)| key == "live");
    let list = console.list_query(&list)?;
    let id = id.parse().map_err(|_| unknown())?;
    crate::server::events::event(&console, &super::actor()?, &app, id, &list.filter, live).await
}

/// Retries failed events: sets their retries to 0 where the row still has the retries that the person saw.
///
/// A plain form posts `rows` (`app:id:retries`, any number), or `only` (one such row, from the button in the row, and
/// then `rows` is not looked at); `back` is the path and query below the base to return to.
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
    let events = rows.iter().map(|row| {
        SeenEvent::parse(row).ok_or_else(|| {
            Problem::bad_request(format!("{row:?} does not name a failed event."), "Reload the list and try again.")
        })
    });
    let action = operations::retry(&console, super::actor()?, events.collect::<Result<_, _>>()?, said(reason)).await?;
    super::go_back(&console, &with_place(&back), action);
    Ok(())
}

/// The way back to the place on the list where a row was acted on: what the button of a row adds to the address that its
/// form is posted to.
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

/// A reason as typed: nothing when it is blank, and no longer than a paragraph.
#[cfg(feature = "ssr")]
pub(super) fn said(reason: Option<String>) -> Option<String> {
    let reason: String = reason?.trim().chars().take(1000).collect();
    (!reason.is_empty()).then_some(reason)
}
