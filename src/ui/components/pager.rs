//! To the next and the previous page of a list.

use leptos::prelude::*;

use super::use_base;
use crate::model::filter::{ListQuery, Order};

/// Links by key, not by number: a page begins after a row, and stays where it is when rows come and go.
#[component]
pub fn Pager(
    query: ListQuery,
    previous: Option<ListQuery>,
    next: Option<ListQuery>,
    /// A text search that has not come to its end: the next page looks further instead of showing more.
    searching: bool,
) -> impl IntoView {
    let base = use_base();
    let (back, on, order) = words(query.filter.order);
    let on = if searching { "Look further" } else { on };
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

/// What "back" and "on" mean in an order, and its name.
fn words(order: Order) -> (&'static str, &'static str, &'static str) {
    match order {
        Order::Newest => ("← Newer", "Older →", "Newest first, by first failure"),
        Order::Oldest => ("← Older", "Newer →", "Oldest first, by first failure"),
        Order::IdDown => ("← Higher ids", "Lower ids →", "Highest id first"),
        Order::IdUp => ("← Lower ids", "Higher ids →", "Lowest id first, as the consumer retries"),
    }
}
