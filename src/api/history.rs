//! What failed and what became of it.

use std::collections::BTreeMap;

use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::model::{Reader, Right};
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
    /// Every day that is shown, oldest first.
    pub days: Vec<HistoryDay>,
    pub resolving: Resolving,
    /// The events that left their table, the last first; a page of them.
    pub ended: Vec<LedgerEvent>,
    pub next: Option<HistoryQuery>,
    /// What was searched for, newest first; `None`: nothing was.
    pub found: Option<Vec<LedgerEvent>>,
    pub followed: Vec<FollowedSince>,
    /// When databases turned out to be others, newest first.
    pub breaks: Vec<LedgerBreak>,
    pub applications: Vec<ApplicationInfo>,
    /// Application key and address, for the form.
    pub feeds: Vec<(String, Option<String>)>,
    /// What the feeds of all applications are called.
    #[serde(default)]
    pub names: Vec<NamedFeed>,
}

/// A history page; `query` is the page's query string.
#[server(prefix = "/api", input = GetUrl, endpoint = "history")]
pub async fn view_history(query: String) -> Result<HistoryPage, Problem> {
    // A program that asks gets days in UTC: it has no reader's zone.
    let reader: Reader = use_context().unwrap_or_default();
    let ahead = reader.zone.local(chrono::Utc::now()).offset;
    crate::server::history::page(&super::console_for(Right::See)?, HistoryQuery::parse(&query), ahead).await
}

/// The life of one failed event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LifePage {
    pub info: ApplicationInfo,
    pub event: LedgerEvent,
    /// Oldest first.
    pub entries: Vec<LedgerEntry>,
    pub requests: Vec<LedgerRequest>,
    /// The faults that event and entries name.
    pub faults: BTreeMap<i64, Fault>,
    /// Other failed events of the same record, newest first.
    pub same_record: Vec<LedgerEvent>,
    pub applications: Vec<ApplicationInfo>,
    /// Of a discarded one: its copy, with who discarded it and why; `None`: it is not kept, or may not be seen.
    pub copy: Option<Discarded>,
    /// The neighbours of the place that it had in the list it was opened from.
    pub previous: Option<EventKey>,
    pub next: Option<EventKey>,
}

/// The life of one failed event, by the ledger's own number.
#[server(prefix = "/api", input = GetUrl, endpoint = "life")]
pub async fn view_life(id: String) -> Result<LifePage, Problem> {
    let unknown =
        || Problem::not_found(format!("{id:?} is not a number of the history."), "Open an event from the history.");
    crate::server::history::life(&super::console_for(Right::See)?, id.parse().map_err(|_| unknown())?).await
}

/// A discarded event of which there is a copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CopyPage {
    pub info: ApplicationInfo,
    pub copy: Discarded,
}

/// The copy of the discarded event that had the id of a row; `None`: there is none.
#[server(prefix = "/api", input = GetUrl, endpoint = "copy_of_row")]
pub async fn view_copy_of_row(app: String, id: String) -> Result<Option<CopyPage>, Problem> {
    let unknown =
        || Problem::not_found(format!("{id:?} is not an id of a failed event."), "Open an event from the list.");
    let row = id.parse().map_err(|_| unknown())?;
    crate::server::history::copy_of_row(&super::console_for(Right::See)?, &app, row).await
}

/// The life of the failed event that has, or last had, the id of a row; `None`: the console never saw one. `list` is the
/// query string of the list it was opened from.
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
    crate::server::history::life_of_row(&console, &app, id.parse().map_err(|_| unknown())?, &list.filter).await
}
