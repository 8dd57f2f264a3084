//! What failed and what became of it.

use std::collections::BTreeMap;

use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::model::Right;
use crate::{
    error::Problem,
    model::{
        ApplicationInfo, EventKey,
        feed_names::NamedFeed,
        history::{FollowedSince, HistoryDay, HistoryQuery, Resolving},
        ledger::{Fault, LedgerBreak, LedgerEntry, LedgerEvent, LedgerRequest},
        operation::Discarded,
    },
};

/// The history of one feed, one application or all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The query as understood.
    pub query: HistoryQuery,
    /// All days shown, oldest first.
    pub days: Vec<HistoryDay>,
    pub resolving: Resolving,
    /// A page of the events that left their table, the latest first.
    pub ended: Vec<LedgerEvent>,
    pub next: Option<HistoryQuery>,
    /// Results of the search, newest first; `None` if nothing was searched for.
    pub found: Option<Vec<LedgerEvent>>,
    pub followed: Vec<FollowedSince>,
    /// When a source turned out to be a different database, newest first.
    pub breaks: Vec<LedgerBreak>,
    pub applications: Vec<ApplicationInfo>,
    /// Application key and feed address, for the form.
    pub feeds: Vec<(String, Option<String>)>,
    /// Names of the feeds of all applications.
    #[serde(default)]
    pub names: Vec<NamedFeed>,
}

/// Returns a history page; `query` is the page's query string.
#[server(prefix = "/api", input = GetUrl, endpoint = "history")]
pub async fn view_history(query: String) -> Result<HistoryPage, Problem> {
    let console = super::console_for(Right::See)?;
    let mut page = crate::server::history::page(&console, HistoryQuery::parse(&query)).await?;
    let events = page.ended.iter_mut().chain(page.found.iter_mut().flatten());
    crate::server::records::call(&console, &super::actor()?, "history", events).await?;
    Ok(page)
}

/// The life of one failed event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LifePage {
    pub info: ApplicationInfo,
    pub event: LedgerEvent,
    /// Oldest first.
    pub entries: Vec<LedgerEntry>,
    pub requests: Vec<LedgerRequest>,
    /// The faults referenced by `event` and `entries`.
    pub faults: BTreeMap<i64, Fault>,
    /// Other failed events of the same record, newest first.
    pub same_record: Vec<LedgerEvent>,
    pub applications: Vec<ApplicationInfo>,
    /// Copy of a discarded event, with who discarded it and why; `None` if it is not kept, or the user may not see it.
    pub copy: Option<Discarded>,
    /// The neighbours of its former place in the list from which it was opened.
    pub previous: Option<EventKey>,
    pub next: Option<EventKey>,
}

/// Returns the life of one failed event, by the ledger's number.
#[server(prefix = "/api", input = GetUrl, endpoint = "life")]
pub async fn view_life(id: String) -> Result<LifePage, Problem> {
    let unknown =
        || Problem::not_found(format!("{id:?} is not a number of the history."), "Open an event from the history.");
    let console = super::console_for(Right::See)?;
    let mut page = crate::server::history::life(&console, id.parse().map_err(|_| unknown())?).await?;
    named(&console, &mut page).await?;
    Ok(page)
}

/// Adds what people call the records.
#[cfg(feature = "ssr")]
async fn named(console: &crate::server::state::Console, page: &mut LifePage) -> Result<(), Problem> {
    let what = format!("event {} of the history", page.event.id);
    let events = std::iter::once(&mut page.event).chain(&mut page.same_record);
    crate::server::records::call(console, &super::actor()?, &what, events).await
}

/// A discarded event that has a copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CopyPage {
    pub info: ApplicationInfo,
    pub copy: Discarded,
}

/// Returns the copy of the discarded event that had this row id; `None` if there is no copy.
#[server(prefix = "/api", input = GetUrl, endpoint = "copy_of_row")]
pub async fn view_copy_of_row(app: String, id: String) -> Result<Option<CopyPage>, Problem> {
    let unknown =
        || Problem::not_found(format!("{id:?} is not an id of a failed event."), "Open an event from the list.");
    let row = id.parse().map_err(|_| unknown())?;
    crate::server::history::copy_of_row(&super::console_for(Right::See)?, &app, row).await
}

/// Returns the life of the failed event that has, or last had, this row id; `None` if the console never saw one. `list`
/// is the query string of the list from which it was opened.
#[server(prefix = "/api", input = GetUrl, endpoint = "life_of_row")]
pub async fn view_life_of_row(
    app: String,
    id: String,
    #[server(default)] list: String,
) -> Result<Option<LifePage>, Problem> {
    let unknown =
        || Problem::not_found(format!("{id:?} is not an id of a failed event."), "Open an event from the list.");
    let console = super::console_for(Right::See)?;
    let list = console.list_query(&list)?;
    let id = id.parse().map_err(|_| unknown())?;
    let mut page = crate::server::history::life_of_row(&console, &app, id, &list.filter).await?;
    if let Some(page) = &mut page {
        named(&console, page).await?;
    }
    Ok(page)
}
