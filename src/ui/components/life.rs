//! What the ledger knows, as parts of pages: the state of a life, and times between two looks.

use leptos::prelude::*;

use super::{At, Badge};
use crate::model::ledger::{Asked, LifeState, Moment};

/// The state of a failed event, also of one that is gone; a request of a person goes before waiting and exhausted.
#[component]
pub fn LifeBadge(state: LifeState, asked: Option<Asked>) -> impl IntoView {
    let (word, icon, text) = match (state, asked) {
        (state, Some(asked)) if state.is_open() => match asked {
            Asked::Requested => ("waiting", "retry", "Retry requested"),
            Asked::FailedAgain => ("exhausted", "failing", "Failed again"),
            Asked::Overwritten => ("exhausted", "failing", "Retry overwritten"),
        },
        (LifeState::Waiting, _) => ("waiting", "waiting", "Waiting"),
        (LifeState::Exhausted, _) => ("exhausted", "exhausted", "Exhausted"),
        (LifeState::Unknown, _) => ("unknown", "unknown", "Unknown"),
        (LifeState::Resolved, _) => ("running", "running", "Resolved"),
        (LifeState::Gone, _) => ("unknown", "unknown", "Gone"),
        (LifeState::Discarded, _) => ("unknown", "stopped", "Discarded"),
    };
    view! { <Badge word icon text /> }
}

/// A moment as far as it is known: exactly, between two looks, or before the first.
#[component]
pub fn Between(moment: Moment) -> impl IntoView {
    match moment.after {
        Some(after) if after < moment.at => {
            view! { "between " <At at=after exact=true /> " and " <At at=moment.at exact=true /> }.into_any()
        }
        _ => view! { <At at=moment.at exact=true /> }.into_any(),
    }
}
