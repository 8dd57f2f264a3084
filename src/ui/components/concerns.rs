//! What needs attention, the most pressing first.

use leptos::prelude::*;

use super::{At, Badge, FeedBadge, FeedLinks, use_base};
use crate::{
    model::{
        ApplicationView, Feed, FeedState,
        concerns::{self, About, Concern, ConcernKind},
    },
    ui::words,
};

/// Concerns that a page shows; the rest is a number.
const SHOWN: usize = 8;

/// The list, or nothing where nothing needs attention.
#[component]
pub fn Concerns(views: Vec<ApplicationView>) -> impl IntoView {
    let mut all: Vec<(&ApplicationView, &Concern)> =
        views.iter().flat_map(|view| view.concerns.iter().map(move |concern| (view, concern))).collect();
    if all.is_empty() {
        return ().into_any();
    }
    all.sort_by_key(|(_, concern)| concerns::rank(concern));
    let more = all.len().saturating_sub(SHOWN);
    let shown = all.into_iter().take(SHOWN).map(|(view, concern)| item(view, concern)).collect_view();
    let base = use_base();
    view! {
        <section class="sheet" aria-labelledby="attention">
            <header>
                <h2 id="attention">"Needs attention first"</h2>
            </header>
            <ul class="concerns">{shown}</ul>
            {(more > 0)
                .then(|| {
                    view! {
                        <p class="pager">
                            {format!("And {} more.", words::number(more as u64))}
                            <a href=base.applications()>"All applications"</a>
                        </p>
                    }
                })}
        </section>
    }
    .into_any()
}

fn item(view: &ApplicationView, concern: &Concern) -> AnyView {
    let feed = match &concern.about {
        About::Feed(uri) => feed_of(view, uri.as_deref()),
        About::Application => None,
    };
    let links = match feed {
        Some(feed) => {
            let refused = view.seen.as_ref().and_then(|seen| seen.retry_refused.clone());
            view! { <FeedLinks info=view.info.clone() feed=feed.clone() refused=refused /> }.into_any()
        }
        None => {
            let seen = (concern.kind == ConcernKind::Unreachable).then(|| last_good_look(view));
            let href = use_base().application(&view.info.key);
            view! { <div class="bar">{seen} <a class="button" href=href>"Open the application"</a></div> }.into_any()
        }
    };
    let (word, badge) = badge(concern.kind);
    view! {
        <li class=format!("concern {word}")>
            <div>{badge}</div>
            <div class="say">
                <h3>{concern.title.clone()}</h3>
                {(!concern.cause.is_empty()).then(|| view! { <p>{concern.cause.clone()}</p> })}
                {(!concern.todo.is_empty()).then(|| view! { <p class="todo">{concern.todo.clone()}</p> })}
            </div>
            {links}
        </li>
    }
    .into_any()
}

fn feed_of<'a>(view: &'a ApplicationView, uri: Option<&str>) -> Option<&'a Feed> {
    view.seen.as_ref()?.feeds.here()?.iter().find(|feed| feed.uri.as_deref() == uri)
}

/// The class that colours a concern, and its badge.
fn badge(kind: ConcernKind) -> (&'static str, AnyView) {
    let of_state = |state: FeedState| (state.word(), view! { <FeedBadge state=state /> }.into_any());
    let of = |word, icon, text: &'static str| (word, view! { <Badge word=word icon=icon text=text /> }.into_any());
    match kind {
        ConcernKind::FeedStopped => of_state(FeedState::Stopped),
        ConcernKind::FeedStalled => of_state(FeedState::Stalled),
        ConcernKind::MarkerUnusable => of("stalled", "stalled", "No way on"),
        ConcernKind::MarkerNamesNoEvent => of("stalled", "stalled", "No such event"),
        ConcernKind::QueueStands => of("stalled", "waiting", "Queue stands"),
        ConcernKind::Unreachable => of("unreachable", "unreachable", "Unreachable"),
        ConcernKind::FeedsNotSeen | ConcernKind::FailuresNotSeen => of("unknown", "unknown", "Not seen"),
        ConcernKind::Outdated => of("unknown", "waiting", "Old"),
        ConcernKind::NearLimit => of("failing", "failing", "Near its limit"),
        ConcernKind::RetryOverdue => of("failing", "waiting", "Retry overdue"),
        ConcernKind::Exhausted => of("exhausted", "exhausted", "Exhausted"),
        ConcernKind::Hazard => of("warning", "failing", "Hazard"),
        ConcernKind::TimesAhead => of("warning", "failing", "Times"),
        ConcernKind::NotConfigured => of("unknown", "unknown", "Not configured"),
        ConcernKind::HistoryGap => of("unknown", "unknown", "Not followed"),
    }
}

/// When numbers that are still shown were read.
fn last_good_look(view: &ApplicationView) -> AnyView {
    match view.seen_at {
        Some(at) => view! { <p class="small muted">"Last good look " <At at=at /> "."</p> }.into_any(),
        None => view! { <p class="small muted">"Not seen since the console started."</p> }.into_any(),
    }
}
