//! The search: what fails now and what failed before, in one answer.

use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

use super::{
    failed_events::{MissingPart, Scan},
    records::FoundRecord,
};
#[cfg(feature = "ssr")]
use crate::model::Right;
use crate::{
    error::Problem,
    model::{
        ApplicationInfo, EventKey, FailedEventRow,
        feed_names::NamedFeed,
        ledger::LedgerEvent,
        record::PersonsShown,
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
    /// Records that people mean by the search text: patients, orders, lab samples.
    #[serde(default)]
    pub records: Vec<FoundRecord>,
    /// The failed events of these records, present and past, the newest first.
    #[serde(default)]
    pub of_records: Vec<LedgerEvent>,
    /// Where records could not be searched, and why, one sentence each.
    #[serde(default)]
    pub records_lacking: Vec<String>,
    /// How much of the persons behind records the user may see, and so search for.
    #[serde(default)]
    pub persons: PersonsShown,
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
    let (console, actor) = (super::console_for(Right::See)?, super::actor()?);
    let mut page = crate::server::search::page(&console, &actor, SearchQuery::parse(&query)?).await?;
    crate::server::records::call(&console, &actor, "search", page.now.iter_mut().map(|found| &mut found.row)).await?;
    crate::server::records::call(&console, &actor, "search", page.past.iter_mut().chain(&mut page.of_records)).await?;
    Ok(page)
}

/// Begins a search for a text that was typed: leads to its page. If the text can name a person, it is kept under a
/// random number, and stands in no address.
#[server(prefix = "/api", endpoint = "start_search")]
pub async fn start_search(#[server(default)] q: String) -> Result<(), Problem> {
    let (console, actor) = (super::console_for(Right::See)?, super::actor()?);
    let mut encoded = String::new();
    crate::model::filter::push(&mut encoded, "q", &q);
    let mut query = SearchQuery::parse(&encoded)?;
    if crate::server::records::is_personal(&console, &query.typed) {
        query.kept = Some(console.parts.kept_searches.keep(&actor.who, &query.typed));
    }
    super::go_to(&console.parts.config.base.search(&query));
    Ok(())
}
