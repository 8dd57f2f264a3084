//! Links to the next and the previous page of a list.

use leptos::prelude::*;

use super::use_base;
use crate::model::filter::{ListQuery, Order};

/// Links by key, not by number: a page begins after a row, and keeps its place when rows are added or removed.
#[component]
pub fn Pager(
    query: ListQuery,
    previous: Option<ListQuery>,
    next: Option<ListQuery>,
    /// A text search that is not complete: the next page continues the search instead of showing more results.
    searching: bool,
) -> impl IntoView {
    let base = use_base();
    let (back, on, order) = words(query.filter.order);
    let on = if searching { search_further(query.filter.order) } else { on };
    view! {
        <nav class="pager" aria-label="Pages of the list">
            <span class="small muted">{order}</span>
            <span class="bar">
                {previous
                    .map(|list| {
                        view! {
                            <a class="button" rel="prev" href=base.failed_events(&list)>
                                {back}
                            </a>
                        }
                    })}
                {next
                    .map(|list| {
                        view! {
                            <a class="button" rel="next" href=base.failed_events(&list)>
                                {on}
                            </a>
                        }
                    })}
            </span>
        </nav>
    }
    .into_any()
}

/// The text of the link that continues a text search.
pub fn search_further(order: Order) -> &'static str {
    if order.descending() { "Search older events" } else { "Search newer events" }
}

/// Links to the first page of a table and to its next one; empty if there is neither.
#[component]
pub fn Steps(
    #[prop(default = "Pages")] label: &'static str,
    /// Text and address of the link to the first page.
    #[prop(optional_no_strip)]
    first: Option<(&'static str, String)>,
    /// Text and address of the link to the next page.
    next: Option<(&'static str, String)>,
) -> impl IntoView {
    (first.is_some() || next.is_some()).then(|| {
        view! {
            <nav class="pager" aria-label=label>
                {first.map(|(words, href)| view! { <a class="button" href=href>{words}</a> })}
                {next.map(|(words, href)| view! { <a class="button" rel="next" href=href>{words}</a> })}
            </nav>
        }
    })
}

/// The texts for "back" and "on" in an order, and its name.
fn words(order: Order) -> (&'static str, &'static str, &'static str) {
    match order {
        Order::Newest => ("← Newer", "Older →", "Newest first, by first failure"),
        Order::Oldest => ("← Older", "Newer →", "Oldest first, by first failure"),
        Order::Application => ("← Back", "On →", "By application, A to Z, newest first"),
        Order::ApplicationDown => ("← Back", "On →", "By application, Z to A, newest first"),
        Order::IdDown => ("← Higher ids", "Lower ids →", "Highest id first"),
        Order::IdUp => ("← Lower ids", "Higher ids →", "Lowest id first, as the consumer retries"),
    }
}
