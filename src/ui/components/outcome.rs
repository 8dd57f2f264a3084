//! What became of an operation: the notice above the page that a retry returns to.

use std::collections::BTreeSet;

use leptos::prelude::*;

use super::{Notice, NoticeKind, When, use_base};
use crate::{
    api::{
        operations::{OperationPage, view_operation},
        overview::list_applications,
    },
    model::{
        ApplicationInfo, ApplicationView, Stamp,
        filter::pairs,
        obstacle::no_address,
        operation::{Operation, RowOutcome},
    },
    ui::{due, feed_names::FeedName, sentences, words},
};

/// Feeds whose next run is spoken of; more would hide the list.
const FEEDS: usize = 4;

/// An operation and what is needed to say when it takes effect.
#[derive(Debug)]
pub struct Done {
    page: OperationPage,
    /// As last seen; empty where the console could not say.
    views: Vec<ApplicationView>,
}

impl Done {
    /// The operation that the page's query string names as just done, if it names one that is on record.
    pub async fn of_query(query: &str) -> Option<Self> {
        let id = pairs(query).find(|(key, _)| key == "done")?.1.parse().ok()?;
        let page = view_operation(id, None).await.ok()?;
        let views = list_applications().await.unwrap_or_default();
        Some(Self { page, views })
    }

    /// The feeds with a row that was reset: the application, the address, when the consumer was last seen at work.
    fn feeds(&self) -> Vec<(&ApplicationView, Option<&str>, Option<Stamp>)> {
        let reset: BTreeSet<(&str, Option<&str>)> = self
            .page
            .rows
            .iter()
            .map(|course| &course.row)
            .filter(|row| row.outcome == Some(RowOutcome::Reset))
            .map(|row| (row.app.as_str(), row.feed_uri.as_deref()))
            .collect();
        reset
            .into_iter()
            .filter_map(|(app, uri)| {
                let view = self.views.iter().find(|view| view.info.key == app)?;
                let feeds = view.seen.as_ref().and_then(|seen| seen.feeds.here());
                let feed = feeds.into_iter().flatten().find(|feed| feed.uri.as_deref() == uri);
                Some((view, uri, feed.and_then(|feed| feed.last_seen_at_work.clone())))
            })
            .collect()
    }
}

/// How many rows were reset, had changed, were gone; and when the consumer comes to them.
#[component]
pub fn Outcome(done: Option<Done>) -> impl IntoView {
    let Some(done) = done else { return ().into_any() };
    let base = use_base();
    let operation = &done.page.operation;
    let sentence = sentences::outcome(operation);
    let unfinished = operation.note.as_ref().map(|note| format!(" {note}"));
    let (kind, href) = (outcome_kind(operation), base.operation(operation.id));
    let feeds = done.feeds();
    let applications: Vec<&ApplicationInfo> = done.views.iter().map(|view| &view.info).collect();
    let more = feeds.len().saturating_sub(FEEDS);
    let dues = feeds
        .into_iter()
        .take(FEEDS)
        .map(|(view, uri, at_work)| {
            let siblings = view.seen.as_ref().and_then(|seen| seen.feeds.here()).map_or(&[][..], Vec::as_slice);
            let feed = FeedName::of(uri, siblings, &applications).in_sentence();
            view! {
                <li>
                    {view.info.name.clone()} ", " {feed} ": " {if no_address(uri) {
                        due::NEVER_FOUND.to_owned()
                    } else {
                        due::turn(&view.info.limits, None)
                    }} " "
                    <SeenAtWork stamp=at_work />
                </li>
            }
        })
        .collect_view();
    view! {
        <Notice kind>
            // Whoever asked for it comes to this page by its form: the answer is where they go on from.
            <p tabindex="-1" autofocus=true data-outcome="">
                <strong>{sentence}</strong>
                {unfinished}
                " "
                <a href=href>"See each of them"</a>
            </p>
            <ul class="plain">{dues}</ul>
            {(more > 0).then(|| view! { <p class="small">{format!("And {}.", words::count(more as u64, "more feed"))}</p> })}
        </Notice>
    }
    .into_any()
}

/// When the consumer was last seen at work on a feed: a failure or a failed retry is all that its tables show.
#[component]
pub fn SeenAtWork(stamp: Option<Stamp>) -> impl IntoView {
    match stamp {
        Some(stamp) => view! { <span>"It was last seen at work " <When stamp=stamp /> "."</span> }.into_any(),
        None => view! { <span>"It has never been seen at work on this feed."</span> }.into_any(),
    }
}

/// How an operation went, for the notice that tells it.
pub fn outcome_kind(operation: &Operation) -> NoticeKind {
    let counts = &operation.counts;
    if counts.failed + counts.uncertain > 0 {
        NoticeKind::Problem
    } else if operation.finished_at.is_none() {
        if operation.note.is_some() { NoticeKind::Warning } else { NoticeKind::Info }
    } else if counts.done() + counts.already_there < counts.asked {
        NoticeKind::Warning
    } else {
        NoticeKind::Done
    }
}
