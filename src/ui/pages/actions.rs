//! The record of actions: who did what, when, with what outcome.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{
    api::actions::{self, list_actions},
    error::Problem,
    model::{action::Action, error_text::visible},
    ui::{
        components::{At, ProblemView, use_base},
        sentences,
    },
};

#[component]
pub fn ActionsPage() -> impl IntoView {
    let before = place("before");
    view! {
        <Title text="Actions" />
        <Await future=async { list_actions(before?).await } blocking=true let:answer>
            {match answer.clone() {
                Ok(page) => view! { <Record page=page /> }.into_any(),
                Err(problem) => view! { <ProblemView problem=problem /> }.into_any(),
            }}
        </Await>
    }
}

/// A place in a record, from the page's query.
pub(super) fn place(key: &str) -> Result<Option<i64>, Problem> {
    match use_query_map().read_untracked().get(key) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Problem::bad_request(
                format!("“{key}” in the address of this page is no place in a record."),
                "Start again with the newest actions.",
            )
        }),
    }
}

#[component]
fn Record(page: actions::ActionsPage) -> impl IntoView {
    let base = use_base();
    let body = if page.actions.is_empty() {
        view! {
            <p class="sheet empty">
                "Nothing is on record here. Every retry will be, with who asked for it and what became of each row."
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
                            <th scope="col">"Outcome"</th>
                            <th scope="col">"Who"</th>
                            <th scope="col">"Reason"</th>
                        </tr>
                    </thead>
                    <tbody>{page.actions.into_iter().map(row).collect_view()}</tbody>
                </table>
                {page
                    .next
                    .map(|next| {
                        view! {
                            <nav class="pager" aria-label="Pages">
                                <a class="button" href=base.actions()>
                                    "Newest"
                                </a>
                                <a class="button" href=base.actions_before(next) rel="next">
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
                <h1>"Actions on record"</h1>
                <p class="lead">"Everything that was done to a database through this console, newest first."</p>
            </div>
        </div>
        {body}
    }
}

fn row(action: Action) -> impl IntoView {
    let base = use_base();
    let ended = match (&action.ended_early, action.finished_at) {
        (Some(_), _) => Some(" Ended early."),
        (None, None) => Some(" Not ended yet."),
        (None, Some(_)) => None,
    };
    view! {
        <tr>
            <td data-label="When">
                <At at=action.started_at />
            </td>
            <th scope="row">
                <a href=base.action(action.id)>{sentences::scope(&action)}</a>
            </th>
            <td data-label="Outcome">{sentences::outcome(&action)} {ended}</td>
            <td data-label="Who">
                <div>
                    <bdi>{visible(&action.who)}</bdi>
                    " "
                    <span class="small muted whole">{visible(&action.address)}</span>
                </div>
            </td>
            <td data-label="Reason">
                {match action.reason {
                    Some(reason) => view! { <bdi>{visible(&reason)}</bdi> }.into_any(),
                    None => view! { <span class="none">"none given"</span> }.into_any(),
                }}
            </td>
        </tr>
    }
}
