//! What failed and what became of it.

use std::collections::BTreeMap;

use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::model::Right;
use crate::{
    error::Problem,
    model::{
        ApplicationInfo,
        history::{FollowedSince, HistoryDay, HistoryQuery, Resolving},
        ledger::{Fault, LedgerBreak, LedgerEntry, LedgerEvent, LedgerRequest},
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
}

/// A history page; `query` is the page's query string.
#[server(prefix = "/api", input = GetUrl, endpoint = "history")]
pub async fn view_history(query: String) -> Result<HistoryPage, Problem> {
    crate::server::history::page(&super::console_for(Right::See)?, HistoryQuery::parse(&query)).await
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
}

/// The life of one failed event, by the ledger's own number.
#[server(prefix = "/api", input = GetUrl, endpoint = "life")]
pub async fn view_life(id: String) -> Result<LifePage, Problem> {
    let unknown =
        || Problem::not_found(format!("{id:?} is no number of the history."), "Open one from the history's pages.");
    crate::server::history::life(&super::console_for(Right::See)?, id.parse().map_err(|_| unknown())?).await
}

/// The life of the failed event that has, or last had, the id of a row; `None`: the console never saw one.
#[server(prefix = "/api", input = GetUrl, endpoint = "life_of_row")]
pub async fn view_life_of_row(app: String, id: String) -> Result<Option<LifePage>, Problem> {
    let unknown = || Problem::not_found(format!("{id:?} is no id of a failed event."), "Open one from the list.");
    crate::server::history::life_of_row(&super::console_for(Right::See)?, &app, id.parse().map_err(|_| unknown())?)
        .await
}
