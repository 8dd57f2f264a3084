//! Links from an event to its neighbours in the list from which it was opened.

use leptos::prelude::*;

use super::use_base;
use crate::model::{EventKey, filter::ListQuery};

#[component]
pub fn Neighbours(previous: Option<EventKey>, next: Option<EventKey>, list: ListQuery) -> impl IntoView {
    let base = use_base();
    let address = |event: EventKey| base.failed_event(&event, Some(&list));
    let (previous, next) = (previous.map(address), next.map(address));
    (previous.is_some() || next.is_some()).then(|| {
        view! {
            <nav class="bar" aria-label="Neighbours in the list">
                {previous
                    .map(|href| {
                        view! {
                            <a class="button" rel="prev" data-previous="" href=href>
                                "← Previous"
                            </a>
                        }
                    })}
                {next
                    .map(|href| {
                        view! {
                            <a class="button" rel="next" data-next="" href=href>
                                "Next →"
                            </a>
                        }
                    })}
            </nav>
        }
    })
}
