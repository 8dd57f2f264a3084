//! One action on record: what was asked, what became of each row, and when it takes effect.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

use super::actions::place;
use crate::{
    api::actions::{self, view_action},
    error::Problem,
    model::{
        ApplicationInfo, EventKey,
        action::{ActionRow, RowOutcome},
        error_text::visible,
    },
    ui::{
        components::{At, Badge, Notice, Number, ProblemView, ShortId, outcome_kind, use_base},
        sentences, words,
    },
};

#[component]
pub fn ActionPage() -> impl IntoView {
    let id = use_params_map().read_untracked().get("id").unwrap_or_default();
    let after = place("after");
    let answer = async move {
        let id = id.parse().map_err(|_| {
            Problem::not_found("There is no such action: actions are named by numbers.", "Open the record of actions.")
        })?;
        view_action(id, after?).await
    };
    view! {
        <Await future=answer blocking=true let:answer>
            {match answer.clone() {
                Ok(page) => view! { <OneAction page=page /> }.into_any(),
                Err(problem) => view! { <ProblemView problem=problem /> }.into_any(),
            }}
        </Await>
    }
}

#[component]
fn OneAction(page: actions::ActionPage) -> impl IntoView {
    let base = use_base();
    let action = page.action;
    let id = action.id;
    let kind = outcome_kind(&action);
    let unfinished = sentences::unfinished(&action);
    let running = sentences::is_running(&action);
    let planned = action.planned;
    let (started, finished) = (action.started_at, action.finished_at);
    let outcome = sentences::outcome(&action);
    let due = (action.counts.reset > 0).then(|| due(&page.rows, &page.applications, action.counts.reset));
    view! {
        <Title text=format!("Action {id}") />
        <div class="head">
            <div>
                <p class="crumbs">
                    <a href=base.actions()>"Actions"</a>
                    <span>{format!("Action {id}")}</span>
                </p>
                <h1>{sentences::scope(&action)}</h1>
            </div>
        </div>
        <Notice kind=kind>
            <strong>{outcome}</strong>
            {unfinished.map(|sentence| view! { <p>{sentence}</p> })}
            {due}
        </Notice>
        <div class="sheet">
            <dl class="facts pad">
                <dt>"What"</dt>
                <dd>{visible(&action.scope)}</dd>
                <dt>"Started"</dt>
                <dd>
                    <At at=started exact=true />
                    " ("
                    <At at=started />
                    ")"
                </dd>
                <dt>"Ended"</dt>
                <dd>
                    {match finished {
                        Some(at) => view! { <At at=at exact=true /> }.into_any(),
                        None if running => "still running".into_any(),
                        None => "not known: it was not running any more when the console looked".into_any(),
                    }}
                </dd>
                {planned
                    .map(|planned| {
                        view! {
                            <dt>"Planned"</dt>
                            <dd>{words::count(planned, "row")}</dd>
                        }
                    })}
                <dt>"Who"</dt>
                <dd>
                    <bdi>{visible(&action.who)}</bdi>
                    ", from "
                    {visible(&action.address)}
                </dd>
                <dt>"Reason"</dt>
                <dd>
                    {match &action.reason {
                        Some(reason) => view! { <bdi>{visible(reason)}</bdi> }.into_any(),
                        None => view! { <span class="none">"none given"</span> }.into_any(),
                    }}
                </dd>
            </dl>
        </div>
        <Rows id=id rows=page.rows next=page.next applications=page.applications />
    }
}

/// When the reset takes effect, for each application among the rows.
fn due(rows: &[ActionRow], applications: &[ApplicationInfo], reset: u64) -> AnyView {
    let concerned: Vec<&ApplicationInfo> =
        applications.iter().filter(|info| rows.iter().any(|row| row.app == info.key)).collect();
    let only = concerned.len() == 1;
    concerned
        .into_iter()
        .filter_map(|info| {
            let here = rows.iter().filter(|row| row.app == info.key && row.outcome == Some(RowOutcome::Reset)).count();
            let rows = if only { reset } else { here as u64 };
            sentences::retry_schedule(info, rows)
        })
        .map(|sentence| view! { <p>{sentence}</p> })
        .collect_view()
        .into_any()
}

#[component]
fn Rows(id: i64, rows: Vec<ActionRow>, next: Option<i64>, applications: Vec<ApplicationInfo>) -> impl IntoView {
    let base = use_base();
    if rows.is_empty() {
        return view! { <p class="sheet empty">"No rows stand here."</p> }.into_any();
    }
    view! {
        <section class="sheet" aria-labelledby="rows">
            <header>
                <h2 id="rows">"Rows"</h2>
                <span class="small muted push">"each was reset only if it still had the retries that were seen"</span>
            </header>
            <table class="cards">
                <thead>
                    <tr>
                        <th scope="col">"Failed event"</th>
                        <th scope="col">"Outcome"</th>
                        <th scope="col">"Event id"</th>
                        <th scope="col">"Feed"</th>
                        <th scope="col" class="num">"Retries seen"</th>
                    </tr>
                </thead>
                <tbody>{rows.into_iter().map(|each| row(each, &applications)).collect_view()}</tbody>
            </table>
            {next
                .map(|next| {
                    view! {
                        <nav class="pager" aria-label="Pages">
                            <a class="button" href=base.action(id)>
                                "First rows"
                            </a>
                            <a class="button" href=base.action_after(id, next) rel="next">
                                "More rows"
                            </a>
                        </nav>
                    }
                })}
        </section>
    }
    .into_any()
}

fn row(row: ActionRow, applications: &[ApplicationInfo]) -> impl IntoView {
    let base = use_base();
    let app = applications.iter().find(|info| info.key == row.app).map_or(row.app.clone(), |info| info.name.clone());
    let event = EventKey { app: row.app.clone(), id: row.id };
    let id = |text: Option<String>| match text {
        Some(text) => view! { <ShortId text=text keep=32 /> }.into_any(),
        None => view! { <span class="none">"none"</span> }.into_any(),
    };
    view! {
        <tr>
            <th scope="row">
                <a href=base.failed_event(&event, None)>{format!("{app} {}", row.id)}</a>
            </th>
            <td data-label="Outcome">{outcome(row.outcome)}</td>
            <td data-label="Event id">{id(row.event_id)}</td>
            <td data-label="Feed">{id(row.feed_uri)}</td>
            <td class="num" data-label="Retries seen">
                <Number value=row.seen_retries />
            </td>
        </tr>
    }
}

fn outcome(outcome: Option<RowOutcome>) -> AnyView {
    let (word, icon, text, more) = match outcome {
        Some(RowOutcome::Reset) => ("requested", "retry", "Retry requested", None),
        Some(RowOutcome::Changed { retries }) => (
            "warning",
            "failing",
            "Changed meanwhile",
            Some(match retries {
                Some(retries) => format!("It had {retries} retries by then and was left alone."),
                None => "Its retries were NULL by then; it was left alone.".to_owned(),
            }),
        ),
        Some(RowOutcome::Gone) => ("gone", "unknown", "Gone", Some("It is not in the table any more.".to_owned())),
        Some(RowOutcome::Failed { reason }) => ("problem", "exhausted", "Not written", Some(reason)),
        Some(RowOutcome::Uncertain { reason }) => ("warning", "unknown", "Uncertain", Some(reason)),
        None => ("unknown", "waiting", "Not reached", None),
    };
    view! {
        <div>
            <Badge word=word icon=icon text=text />
            {more.map(|text| view! { <span class="small muted">{text}</span> })}
        </div>
    }
    .into_any()
}
