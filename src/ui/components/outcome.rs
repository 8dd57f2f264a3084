//! The outcome of an operation: the notice above the page to which a retry returns.

use std::collections::BTreeSet;

use leptos::prelude::*;

use super::{Notice, NoticeKind, When, use_base};
use crate::{
    api::{
        operations::{OperationPage, view_operation},
        overview::list_applications,
    },
    model::{
        ApplicationInfo, ApplicationView, Feed, RowId, Stamp,
        filter::pairs,
        ledger::RequestKind,
        obstacle::no_address,
        operation::{Operation, RowOutcome, Standing},
    },
    ui::{due, feed_names::FeedName, sentences, words},
};

/// Maximum number of feeds whose next run is mentioned; more would hide the list.
const FEEDS: usize = 4;

/// An operation, and the data that say when it takes effect.
#[derive(Debug)]
pub struct Done {
    page: OperationPage,
    /// As of the last polls; empty if they could not be read.
    views: Vec<ApplicationView>,
}

impl Done {
    /// Returns the operation that the page's query string names as just done, if it is recorded.
    pub async fn of_query(query: &str) -> Option<Self> {
        let id = pairs(query).find(|(key, _)| key == "done")?.1.parse().ok()?;
        let page = view_operation(id, None, None).await.ok()?;
        let views = list_applications().await.unwrap_or_default();
        Some(Self { page, views })
    }

    /// Returns whether the operation concerned this row, as far as its first page shows.
    pub fn took(&self, app: &str, id: RowId) -> bool {
        self.page.rows.iter().any(|course| course.row.id == id && course.row.app == app)
    }

    /// Returns the feeds with a row that was reset: the application, the address, and the feed at the last poll.
    fn feeds(&self) -> Vec<(&ApplicationView, Option<&str>, Option<&Feed>)> {
        let reset: BTreeSet<(&str, Option<&str>)> = self
            .page
            .rows
            .iter()
            // The feed of a row that was not read is unknown.
            .filter(|course| course.named)
            .map(|course| &course.row)
            .filter(|row| row.outcome == Some(RowOutcome::Reset))
            .map(|row| (row.app.as_str(), row.feed_uri.as_deref()))
            .collect();
        reset
            .into_iter()
            .filter_map(|(app, uri)| {
                let view = self.views.iter().find(|view| view.info.key == app)?;
                let feed = view.feeds().iter().find(|feed| feed.uri.as_deref() == uri);
                Some((view, uri, feed))
            })
            .collect()
    }
}

/// How many rows were reset, had changed, or were missing; and when the consumer retries them.
#[component]
pub fn Outcome(done: Option<Done>) -> impl IntoView {
    let Some(done) = done else { return ().into_any() };
    let base = use_base();
    let operation = &done.page.operation;
    let sentence = sentences::outcome(operation, None);
    let unfinished = operation.note.as_ref().map(|note| format!(" {note}"));
    let (kind, href) = (outcome_kind(operation), base.operation(operation.id));
    // Once there are results, no times are promised.
    let feeds = if operation.tried() > 0 { Vec::new() } else { done.feeds() };
    let applications: Vec<&ApplicationInfo> = done.views.iter().map(|view| &view.info).collect();
    let more = feeds.len().saturating_sub(FEEDS);
    let dues = feeds
        .into_iter()
        .take(FEEDS)
        .map(|(view, uri, seen)| {
            let siblings = view.feeds();
            let feed = FeedName::of(uri, siblings, &applications).in_sentence();
            view! {
                <li>
                    {view.info.name.clone()} ", " {feed} ": " {if no_address(uri) {
                        due::NEVER_FOUND.to_owned()
                    } else {
                        due::blocked(seen).unwrap_or_else(|| due::turn(&view.info.limits, None))
                    }} " "
                    <SeenAtWork stamp=seen.and_then(|feed| feed.last_seen_at_work.clone()) />
                </li>
            }
        })
        .collect_view();
    view! {
        <Notice kind>
            // The user comes here by submitting the form: the keyboard continues at the answer.
            <p tabindex="-1" autofocus=true data-outcome="">
                <strong data-say="">{sentence}</strong>
                {unfinished}
                " "
                <a href=href>"Show this operation"</a>
            </p>
            {(!dues.is_empty()).then(|| view! { <ul class="plain">{dues}</ul> })}
            {(more > 0).then(|| view! { <p class="small">{format!("And {}.", words::count(more as u64, "more feed"))}</p> })}
        </Notice>
    }
    .into_any()
}

/// When the consumer was last active on a feed: its tables show only failures and failed retries.
#[component]
pub fn SeenAtWork(stamp: Option<Stamp>) -> impl IntoView {
    match stamp {
        Some(stamp) => view! { <span>"Last activity " <When stamp=stamp /> "."</span> }.into_any(),
        None => view! { <span>"No activity recorded on this feed."</span> }.into_any(),
    }
}

/// Returns the kind of the notice about an operation, coloured by the results: a warning as soon as one failed again.
pub fn outcome_kind(operation: &Operation) -> NoticeKind {
    let counts = &operation.counts;
    match operation.standing() {
        Standing::Problems | Standing::AllFailed => NoticeKind::Problem,
        Standing::Waiting | Standing::Paused | Standing::EndedEarly | Standing::SomeFailed => NoticeKind::Warning,
        Standing::Cancelled => NoticeKind::Warning,
        Standing::InProgress | Standing::Testing if operation.followed.failed_again > 0 => NoticeKind::Warning,
        Standing::Planning | Standing::Plan | Standing::InProgress | Standing::Testing => NoticeKind::Info,
        Standing::Finished if counts.done() < counts.asked => NoticeKind::Warning,
        // Without results in the ledger, the console only knows that the retry was requested.
        Standing::Finished if operation.kind == RequestKind::Retry && operation.tried() == 0 => NoticeKind::Info,
        Standing::Finished => NoticeKind::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        operation::{Followed, OutcomeCounts, Stage},
        samples::operation,
    };

    #[test]
    fn an_operation_has_the_colour_of_its_results() {
        let operation = |stage, open, failed_again| {
            let counts = OutcomeCounts { asked: 10, reset: 10, ..OutcomeCounts::default() };
            let resolved = 10 - open - failed_again;
            operation(
                RequestKind::Retry,
                stage,
                counts,
                Followed { open, failed_again, resolved, ..Followed::default() },
            )
        };
        assert_eq!(outcome_kind(&operation(Stage::Running, 10, 0)), NoticeKind::Info);
        assert_eq!(outcome_kind(&operation(Stage::Running, 1, 9)), NoticeKind::Warning);
        assert_eq!(outcome_kind(&operation(Stage::Ended, 1, 9)), NoticeKind::Warning);
        assert_eq!(outcome_kind(&operation(Stage::Ended, 1, 0)), NoticeKind::Info);
        assert_eq!(outcome_kind(&operation(Stage::Ended, 0, 9)), NoticeKind::Warning);
        assert_eq!(outcome_kind(&operation(Stage::Ended, 0, 10)), NoticeKind::Problem);
        assert_eq!(outcome_kind(&operation(Stage::Ended, 0, 0)), NoticeKind::Done);
    }
}
