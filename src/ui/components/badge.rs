//! State badges: an icon, a word, and a colour as the third sign.

use leptos::prelude::*;

use super::Icon;
use crate::model::{EventState, Reach, ShownState, ledger::LifeState};

/// A badge. `word` is the CSS class for the colour; `icon` is the name in the sprite; `text` is the visible word.
#[component]
pub fn Badge(word: &'static str, icon: &'static str, #[prop(into)] text: String) -> impl IntoView {
    view! {
        <span class=format!("state {word}")>
            <Icon name=icon />
            {text}
        </span>
    }
}

/// The state of a failed event.
#[component]
pub fn EventBadge(state: EventState) -> impl IntoView {
    let word = LifeState::from(state).word();
    view! { <Badge word=word icon=word text=state.label() /> }
}

/// The state of a feed.
#[component]
pub fn FeedBadge(
    state: ShownState,
    /// Replaces the state's own word: "2 stopped".
    #[prop(optional, into)]
    text: Option<String>,
) -> impl IntoView {
    let text = text.unwrap_or_else(|| state.label().to_owned());
    view! { <Badge word=state.class() icon=state.icon() text=text /> }
}

/// Whether an application's database answers.
#[component]
pub fn ReachBadge(reach: Reach) -> impl IntoView {
    match reach {
        Reach::NotYet => view! { <Badge word="unknown" icon="waiting" text="Not checked yet" /> },
        Reach::Reachable { .. } => view! { <Badge word="running" icon="running" text="Database reachable" /> },
        Reach::Unreachable { .. } => view! { <Badge word="unreachable" icon="unreachable" text="Unreachable" /> },
        Reach::NotConfigured { .. } => view! { <Badge word="unknown" icon="unknown" text="Not configured" /> },
    }
}
