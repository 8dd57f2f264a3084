//! The search: what fails now and what failed before, in one answer.

use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

use super::failed_events::{MissingPart, Scan};
#[cfg(feature = "ssr")]
use crate::model::Right;
use crate::{
    error::Problem,
    model::{
        ApplicationInfo, EventKey, FailedEventRow,
        feed_names::NamedFeed,
        ledger::LedgerEvent,
        search::{Search, SearchQuery},
    },
};

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchPage {
    pub query: SearchQuery,
    /// What was typed, understood.
    pub search: Search,
    /// The row that was named, where there is such an application: its name, and the row.
    pub named: Option<(String, EventKey)>,
    /// The page that a link of this console leads to, and what it is of.
    pub leads: Option<(String, String)>,
    /// Failed events that are in their table now.
    pub now: Vec<FoundRow>,
    /// The next page of them.
    pub more_now: Option<SearchQuery>,
    /// Failed events that left their table.
    pub past: Vec<LedgerEvent>,
    pub more_past: Option<SearchQuery>,
    /// Groups of failed events whose error has all that was typed; the largest first.
    pub groups: Vec<FoundGroup>,
    /// How far tables were read for this answer, where the index could not answer.
    pub scans: Vec<Scan>,
    /// Where to go on reading them.
    pub further: Option<String>,
    pub missing: Vec<MissingPart>,
    /// Applications whose index is being built: name, failed events in it, and how many there are.
    pub building: Vec<(String, u64, u64)>,
    /// A part of a word stands for more words than are looked for.
    pub too_short: bool,
    /// Why error texts are not searched, as a sentence; `None`: they are.
    pub masked: Option<String>,
    pub applications: Vec<ApplicationInfo>,
    /// What the feeds of all applications are called.
    #[serde(default)]
    pub names: Vec<NamedFeed>,
}

/// A failed event that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundRow {
    pub row: FailedEventRow,
    /// The uuid of its record.
    pub record: Option<String>,
    /// What stands around the hit, where the row itself does not show it.
    pub around: Option<String>,
}

/// A group that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundGroup {
    pub fault: i64,
    pub title: String,
    /// Failed events of it now.
    pub failed: u64,
}

/// What is found for the query string of the page.
#[server(prefix = "/api", input = GetUrl, endpoint = "search")]
pub async fn view_search(query: String) -> Result<SearchPage, Problem> {
    crate::server::search::page(&super::console_for(Right::See)?, SearchQuery::parse(&query)?).await
}
