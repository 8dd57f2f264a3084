//! The actions for a feed: show its causes, retry its events with used-up retries, or open them.

use leptos::prelude::*;

use super::{PlanButton, PlanOf, use_base};
use crate::{
    model::{
        ApplicationInfo, EventState, Feed, FeedState,
        filter::{Filter, ListQuery},
        history::HistoryQuery,
        ledger::RequestKind,
        operation::FeedRetry,
    },
    paths::Base,
    ui::{sentences, visitor, words},
};

/// The failed events of a feed.
fn list_of(info: &ApplicationInfo, feed: &Feed) -> Filter {
    Filter { apps: vec![info.key.clone()], feed: Some(feed.uri.clone().unwrap_or_default()), ..Filter::default() }
}

/// Returns the page that a feed's line leads to: its failed events or, if it has none, its application.
pub fn page_of(info: &ApplicationInfo, feed: &Feed, base: &Base) -> String {
    if feed.counts.total > 0 {
        base.failed_events(&ListQuery { filter: list_of(info, feed), ..ListQuery::default() })
    } else {
        base.application(&info.key)
    }
}

/// Returns the number of a feed's events that a retry helps, as far as the console knows. A retry job selects by feed
/// address, and not every consumer has a retry job: a reset without effect is not offered.
fn helped(info: &ApplicationInfo, feed: &Feed) -> u64 {
    let helped = feed.counts.exhausted.saturating_sub(feed.counts.beyond_help);
    if info.limits.max_retry.is_some() { helped } else { 0 }
}

/// Returns whether a retry is offered: it helps some event, the application permits it, and the user may retry. No
/// retry is offered if retries in progress can cover all these events.
fn is_offered(info: &ApplicationInfo, feed: &Feed, refused: Option<&str>, retries: &[FeedRetry]) -> bool {
    let in_progress: u64 = retries.iter().map(|retry| retry.rows).sum();
    helped(info, feed) > in_progress && refused.is_none() && visitor::refused(RequestKind::Retry.right()).is_none()
}

/// The retries of a feed that are in progress, each as a link to its page.
#[component]
pub fn RetriesInProgress(retries: Vec<FeedRetry>) -> impl IntoView {
    let base = use_base();
    let links = retries.into_iter().map(|retry| {
        view! {
            <span class="small block">
                <a href=base.operation(retry.operation)>{sentences::retry_in_progress(&retry)}</a>
            </span>
        }
    });
    links.collect_view().into_any()
}

fn retry(info: &ApplicationInfo, feed: &Feed, about: &str, primary: bool) -> impl IntoView {
    let exhausted = Filter { state: Some(EventState::Exhausted), ..list_of(info, feed) };
    let text = format!("Retry {}…", words::number(helped(info, feed)));
    view! { <PlanButton kind=RequestKind::Retry of=PlanOf::List(exhausted.to_query()) text about=Some(format!(" {about}")) primary /> }
}

/// The first action for a feed. For a stopped feed that is to find the cause: a retry helps only after the cause is
/// fixed.
#[component]
pub fn FeedAction(
    info: ApplicationInfo,
    feed: Feed,
    refused: Option<String>,
    /// The retries of this feed that are in progress.
    retries: Vec<FeedRetry>,
    /// Name of the feed's line, for screen reader users, who hear a button without its line.
    about: String,
) -> impl IntoView {
    let base = use_base();
    let of = view! { <span class="unseen">{format!(" {about}")}</span> };
    match feed.state {
        FeedState::Stopped => view! {
            <a class="button primary" href=base.causes(&list_of(&info, &feed))>
                "See causes"
                {of}
            </a>
        }
        .into_any(),
        _ if is_offered(&info, &feed, refused.as_deref(), &retries) => retry(&info, &feed, &about, false).into_any(),
        _ => view! {
            <a class="button" href=page_of(&info, &feed, &base)>
                "Open"
                {of}
            </a>
        }
        .into_any(),
    }
}

/// All actions: the causes, the retry of all events with used-up retries (its plan is shown first), the list, and the
/// history. `refused` says why nothing can be retried; then no retry is offered.
#[component]
pub fn FeedLinks(
    info: ApplicationInfo,
    feed: Feed,
    refused: Option<String>,
    /// The retries of this feed that are in progress.
    retries: Vec<FeedRetry>,
    /// The feed's name, for screen reader users, who hear a button without its section.
    about: String,
) -> impl IntoView {
    let base = use_base();
    let of = || view! { <span class="unseen">{format!(" {about}")}</span> };
    let counts = feed.counts;
    let filter = list_of(&info, &feed);
    let stopped = feed.state == FeedState::Stopped;
    let causes = (counts.total > 0).then(|| {
        view! {
            <a class=if stopped { "button primary" } else { "button" } href=base.causes(&filter)>
                "See causes"
                {of()}
            </a>
        }
    });
    let retry = is_offered(&info, &feed, refused.as_deref(), &retries).then(|| retry(&info, &feed, &about, !stopped));
    let list = ListQuery { filter, ..ListQuery::default() };
    let open = (counts.total > 0).then(|| {
        view! {
            <a class="button" href=base.failed_events(&list)>
                {format!("Open {}", words::count(counts.total, "failed event"))}
                {of()}
            </a>
        }
    });
    let history = base.history(&HistoryQuery::of_feed(&info.key, feed.uri.as_deref()));
    view! {
        <div class="bar">
            {causes} {retry} {open} <a class="button" href=history>
                "History"
                {of()}
            </a>
        </div>
    }
    .into_any()
}
