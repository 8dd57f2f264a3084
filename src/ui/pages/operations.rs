//! Operations, running and past: who did what, when, with what outcome.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{
    api::operations::{self, list_operations},
    error::Problem,
    model::{
        error_text::visible,
        operation::{Operation, Standing},
    },
    ui::{
        components::{At, Badge, Steps, loaded, use_base},
        islands::Follows,
        sentences, words,
    },
};

#[component]
pub fn OperationsPage() -> impl IntoView {
    let before = place("before");
    let later = matches!(before, Ok(Some(_)));
    view! {
        <Title text="Operations" />
        <Follows app=None again=None />
        {loaded(async move { list_operations(before?).await }, move |page| view! { <Record page later /> })}
    }
}

/// Shown if a page of a record begins after its oldest entry.
#[component]
pub(super) fn BeyondTheEnd(
    /// The record's first page.
    newest: String,
) -> impl IntoView {
    view! {
        <p class="sheet empty">
            "There is nothing older. " <a href=newest>"Show the newest"</a>
        </p>
    }
    .into_any()
}

/// Parses a position in a record from the page's query.
pub(super) fn place(key: &str) -> Result<Option<i64>, Problem> {
    match use_query_map().read_untracked().get(key) {
        None => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| Problem::bad_request(format!("Invalid “{key}” in the link."), "Start again with the newest.")),
    }
}

#[component]
fn Record(
    page: operations::OperationsPage,
    /// It is not the first page.
    later: bool,
) -> impl IntoView {
    let base = use_base();
    let body = if page.operations.is_empty() && later {
        view! { <BeyondTheEnd newest=base.operations() /> }.into_any()
    } else if page.operations.is_empty() {
        view! {
            <p class="sheet empty">
                "No operations yet."
            </p>
        }
        .into_any()
    } else {
        view! {
            <div class="sheet">
                <table class="cards">
                    <caption class="unseen">"Operations, newest first"</caption>
                    <thead>
                        <tr>
                            <th scope="col">"When"</th>
                            <th scope="col">"What"</th>
                            <th scope="col">"State"</th>
                            <th scope="col">"Result"</th>
                            <th scope="col">"Who"</th>
                            <th scope="col">"Reason"</th>
                        </tr>
                    </thead>
                    <tbody>{page.operations.into_iter().map(row).collect_view()}</tbody>
                </table>
                <Steps
                    first=page.next.map(|_| ("Newest", base.operations()))
                    next=page.next.map(|next| ("Older", base.operations_before(next)))
                />
            </div>
        }
        .into_any()
    };
    view! {
        <div class="head">
            <div>
                <h1>"Operations"</h1>
                <p class="lead">"All retries, discards and restores."</p>
            </div>
            <div class="bar">
                <a class="button" href=base.discarded(None)>
                    {match page.restorable {
                        0 => "Discarded events".to_owned(),
                        restorable => format!("Discarded events: {} can be restored", words::number(restorable)),
                    }}
                </a>
            </div>
        </div>
        {body}
    }
}

fn row(operation: Operation) -> impl IntoView {
    let base = use_base();
    view! {
        <tr>
            <td data-label="When">
                <At at=operation.started_at />
            </td>
            <th scope="row">
                <a href=base.operation(operation.id)>{sentences::scope(&operation)}</a>
            </th>
            <td data-label="State">
                <StageBadge operation=operation.clone() />
            </td>
            <td data-label="Result">{sentences::outcome(&operation, None)}</td>
            <td data-label="Who">
                <div>
                    <bdi>{visible(&operation.who)}</bdi>
                    " "
                    <span class="small muted whole">{visible(&operation.address)}</span>
                </div>
            </td>
            <td data-label="Reason">
                {match operation.reason {
                    Some(reason) => view! { <bdi>{visible(&reason)}</bdi> }.into_any(),
                    None => view! { <span class="none">"–"</span> }.into_any(),
                }}
            </td>
        </tr>
    }
}

/// The stage of an operation: an icon and a word.
#[component]
pub(super) fn StageBadge(operation: Operation) -> impl IntoView {
    let (word, icon, text) = match operation.standing() {
        Standing::Planning => ("waiting", "waiting", "Creating the plan"),
        Standing::Plan => ("waiting", "waiting", "Plan"),
        Standing::InProgress => ("requested", "retry", "In progress"),
        Standing::Waiting => ("warning", "failing", "Waiting"),
        Standing::Testing => ("requested", "waiting", "Testing the first"),
        Standing::Paused => ("warning", "failing", "Paused"),
        Standing::Cancelled => ("gone", "unknown", "Cancelled"),
        Standing::EndedEarly => ("warning", "failing", "Ended early"),
        Standing::Problems => ("problem", "exhausted", "Finished with problems"),
        Standing::AllFailed => ("problem", "exhausted", "All failed again"),
        Standing::SomeFailed => ("warning", "failing", "Some failed again"),
        Standing::Finished => ("running", "running", "Finished"),
    };
    view! { <Badge word icon text /> }.into_any()
}
