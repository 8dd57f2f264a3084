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

/// Results of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchPage {
    pub query: SearchQuery,
    /// The parsed search text.
    pub search: Search,
    /// The row that the text names, with the application's name, if there is such an application.
    pub named: Option<(String, EventKey)>,
    /// The page to which a typed link of this console leads, and what it shows.
    pub leads: Option<(String, String)>,
    /// Failed events that are still in their table.
    pub now: Vec<FoundRow>,
    /// Query of the next page of `now`.
    pub more_now: Option<SearchQuery>,
    /// Failed events that left their table.
    pub past: Vec<LedgerEvent>,
    pub more_past: Option<SearchQuery>,
    /// Groups whose error contains all of the search text; the largest first.
    pub groups: Vec<FoundGroup>,
    /// How far tables were read for this answer, if the index could not answer.
    pub scans: Vec<Scan>,
    /// Address at which to continue reading tables.
    pub further: Option<String>,
    pub missing: Vec<MissingPart>,
    /// Applications whose index is being built: name, failed events in the index, and total.
    pub building: Vec<(String, u64, u64)>,
    /// A part of a word matches so many words that not all are searched for.
    pub too_short: bool,
    /// Why error texts are not searched, as a sentence; `None` if they are searched.
    pub masked: Option<String>,
    pub applications: Vec<ApplicationInfo>,
    /// Names of the feeds of all applications.
    #[serde(default)]
    pub names: Vec<NamedFeed>,
}

/// A failed event that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundRow {
    pub row: FailedEventRow,
    /// The uuid of its record.
    pub record: Option<String>,
    /// Text around the hit, if the row itself does not show it.
    pub around: Option<String>,
}

/// A group that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundGroup {
    pub fault: i64,
    pub title: String,
    /// Number of its failed events now.
    pub failed: u64,
}

/// Searches for the query string of the page.
#[server(prefix = "/api", input = GetUrl, endpoint = "search")]
pub async fn view_search(query: String) -> Result<SearchPage, Problem> {
    crate::server::search::page(&super::console_for(Right::See)?, SearchQuery::parse(&query)?).await
}
