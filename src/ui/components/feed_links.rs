//! What a person can do about a feed: retry its exhausted events, or open them.

use leptos::prelude::*;

use super::{Icon, PlanButton, PlanOf, use_base};
use crate::{
    model::{ApplicationInfo, EventState, Feed, filter, history::HistoryQuery, ledger::RequestKind},
    ui::words,
};

/// The retry of all exhausted events (whose plan is shown first), and the list of failed events.
/// `refused` says why nothing can be retried; then the button is off and says so.
#[component]
pub fn FeedLinks(info: ApplicationInfo, feed: Feed, refused: Option<String>) -> impl IntoView {
    let base = use_base();
    let counts = feed.counts;
    let list = filter::ListQuery {
        filter: filter::Filter {
            apps: vec![info.key.clone()],
            feed: Some(feed.uri.clone().unwrap_or_default()),
            ..Default::default()
        },
        ..Default::default()
    };
    // A retry job looks by feed address, and not every consumer has one: a reset that nobody sees is not offered.
    let helped = counts.exhausted.saturating_sub(counts.beyond_help);
    let wanted = helped > 0 && info.limits.max_retry.is_some();
    let retry = wanted.then(|| {
        let text = format!("Retry {} exhausted", words::number(helped));
        match &refused {
            None => {
                let exhausted = filter::Filter { state: Some(EventState::Exhausted), ..list.filter.clone() };
                let of = PlanOf::List(exhausted.to_query());
                view! { <PlanButton kind=RequestKind::Retry of text=format!("{text}…") primary=true /> }.into_any()
            }
            Some(_) => view! {
                <button type="button" disabled>
                    <Icon name="retry" />
                    {text}
                </button>
            }
            .into_any(),
        }
    });
    let open = (counts.total > 0).then(|| {
        view! {
            <a class="button" href=base.failed_events(&list)>
                {format!("Open {}", words::count(counts.total, "failed event"))}
            </a>
        }
    });
    let why_off = refused.filter(|_| wanted).map(|reason| view! { <p class="small muted why">{reason}</p> });
    let history = base.history(&HistoryQuery::of_feed(&info.key, feed.uri.as_deref()));
    view! {
        <div class="bar">
            {retry} {open} <a class="button" href=history>
                "History"
            </a> {why_off}
        </div>
    }
}
