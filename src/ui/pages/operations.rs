//! Operations, running and past: who did what, when, with what outcome.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{
    api::operations::{self, list_operations},
    error::Problem,
    model::{error_text::visible, operation::Operation},
    ui::{
        components::{At, Badge, loaded, use_base},
        sentences, words,
    },
};

#[component]
pub fn OperationsPage() -> impl IntoView {
    let before = place("before");
    let later = matches!(before, Ok(Some(_)));
    view! {
        <Title text="Operations" />
        {loaded(async move { list_operations(before?).await }, move |page| view! { <Record page later /> })}
    }
}

/// What stands where a page of a record begins behind its oldest entry.
#[component]
pub(super) fn BeyondTheEnd(
    /// The record's first page.
    newest: String,
) -> impl IntoView {
    view! {
        <p class="sheet empty">
            "This is beyond the end of the list: there is nothing older. " <a href=newest>"To its beginning"</a>
        </p>
    }
    .into_any()
}

/// A place in a record, from the page's query.
pub(super) fn place(key: &str) -> Result<Option<i64>, Problem> {
    match use_query_map().read_untracked().get(key) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Problem::bad_request(
                format!("“{key}” in the address of this page is no place in a list."),
                "Start again with the newest.",
            )
        }),
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
                "Nothing was done yet. Every retry, discard and restore will be here, with who asked for it and what became of each row."
            </p>
        }
        .into_any()
    } else {
        view! {
            <div class="sheet">
                <table class="cards">
                    <thead>
                        <tr>
                            <th scope="col">"When"</th>
                            <th scope="col">"What"</th>
                            <th scope="col">"State"</th>
                            <th scope="col">"Outcome"</th>
                            <th scope="col">"Who"</th>
                            <th scope="col">"Reason"</th>
                        </tr>
                    </thead>
                    <tbody>{page.operations.into_iter().map(row).collect_view()}</tbody>
                </table>
                {page
                    .next
                    .map(|next| {
                        view! {
                            <nav class="pager" aria-label="Pages">
                                <a class="button" href=base.operations()>
                                    "Newest"
                                </a>
                                <a class="button" href=base.operations_before(next) rel="next">
                                    "Older"
                                </a>
                            </nav>
                        }
                    })}
            </div>
        }
        .into_any()
    };
    view! {
        <div class="head">
            <div>
                <h1>"Operations"</h1>
                <p class="lead">"Everything that was done to a database through this console, running and past."</p>
            </div>
            <div class="bar">
                <a class="button" href=base.discarded(None)>
                    {match page.restorable {
                        0 => "Discarded failed events".to_owned(),
                        restorable => format!("Discarded: {} can be put back", words::number(restorable)),
                    }}
                </a>
            </div>
        </div>
        {body}
    }
}

/// What the watcher saw of the rows, where there is something to tell.
pub(super) fn followed(operation: &Operation) -> Option<String> {
    let seen = operation.followed;
    let mut parts = Vec::new();
    for (rows, what) in [
        (seen.resolved, "resolved"),
        (seen.failed_again, "failed again"),
        (seen.overwritten, "overwritten by the consumer"),
        (seen.open, "not tried yet"),
    ] {
        if rows > 0 {
            parts.push(format!("{} {what}", words::number(rows)));
        }
    }
    (!parts.is_empty()).then(|| format!("{}.", words::listed(parts)))
}

fn row(operation: Operation) -> impl IntoView {
    let base = use_base();
    let followed = followed(&operation);
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
            <td data-label="Outcome">
                <div>
                    {sentences::outcome(&operation)} {followed.map(|followed| view! { <span class="small muted block">{followed}</span> })}
                </div>
            </td>
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
                    None => view! { <span class="none">"none given"</span> }.into_any(),
                }}
            </td>
        </tr>
    }
}

/// How far an operation has come: an icon and a word.
#[component]
pub(super) fn StageBadge(operation: Operation) -> impl IntoView {
    use crate::model::operation::Stage;
    let (word, icon, text) = match operation.stage {
        Stage::Planning => ("waiting", "waiting", "Being planned"),
        Stage::Draft => ("waiting", "waiting", "Plan"),
        Stage::Running if operation.note.is_some() => ("warning", "failing", "Waits"),
        Stage::Running => ("requested", "retry", "Running"),
        Stage::Trying => ("requested", "waiting", "Trying the first"),
        Stage::Paused => ("warning", "failing", "Paused"),
        Stage::Cancelled => ("gone", "unknown", "Cancelled"),
        Stage::Ended if operation.note.is_some() => ("warning", "failing", "Ended early"),
        Stage::Ended if operation.counts.failed + operation.counts.uncertain > 0 => {
            ("problem", "exhausted", "Ended with problems")
        }
        Stage::Ended => ("running", "running", "Ended"),
    };
    view! { <Badge word icon text /> }.into_any()
}
