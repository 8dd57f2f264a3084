//! Ledger data as parts of pages: the state of a life, and times between two polls.

use leptos::prelude::*;

use super::{At, Badge, moment as shown};
use crate::model::ledger::{Asked, LifeState, Moment};

/// The state of a failed event, also of one that left its table; a user's request takes precedence over waiting and
/// exhausted.
#[component]
pub fn LifeBadge(state: LifeState, asked: Option<Asked>) -> impl IntoView {
    let asked = asked.filter(|_| state.is_open());
    let (word, icon) = match (state, asked) {
        (_, Some(Asked::Requested)) => ("waiting", "retry"),
        (_, Some(Asked::FailedAgain | Asked::Overwritten)) => ("exhausted", "failing"),
        (LifeState::Waiting, _) => ("waiting", "waiting"),
        (LifeState::Exhausted, _) => ("exhausted", "exhausted"),
        (LifeState::Unknown | LifeState::Gone, _) => ("unknown", "unknown"),
        (LifeState::Resolved, _) => ("running", "running"),
        (LifeState::Discarded, _) => ("unknown", "stopped"),
    };
    let text = asked.map_or(state.label(), Asked::label);
    view! { <Badge word icon text /> }
}

/// A moment as precisely as known: exact, between two polls, or before the first poll. Two polls with the same text
/// appear as one time.
#[component]
pub fn Between(moment: Moment) -> impl IntoView {
    match moment.after {
        Some(after) if after < moment.at && shown(after) != shown(moment.at) => {
            view! { "between " <At at=after exact=true /> " and " <At at=moment.at exact=true /> }.into_any()
        }
        _ => view! { <At at=moment.at exact=true /> }.into_any(),
    }
}
