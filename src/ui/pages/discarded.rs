//! Discarded failed events: what was removed, by whom, why, and until when it can be put back.

use std::collections::BTreeSet;

use leptos::prelude::*;
use leptos_meta::Title;

use super::operations::{BeyondTheEnd, place};
use crate::{
    api::operations::{self, list_discarded},
    model::{
        ApplicationInfo, EventKey, error_text::visible, feed::category_of, ledger::RequestKind, operation::Discarded,
    },
    ui::{
        components::{At, Badge, FormToken, PlanButton, PlanOf, PlanSubmit, ShortId, loaded, use_base},
        due, words,
    },
};

#[component]
pub fn DiscardedPage() -> impl IntoView {
    let (operation, before) = (place("operation"), place("before"));
    let later = matches!(before, Ok(Some(_)));
    view! {
        <Title text="Discarded failed events" />
        {loaded(async move { list_discarded(operation?, before?).await }, move |page| view! { <List page later /> })}
    }
}

#[component]
fn List(
    page: operations::DiscardedPage,
    /// It is not the first page.
    later: bool,
) -> impl IntoView {
    let base = use_base();
    let kept = match page.keep_days {
        Some(days) => {
            let days = words::count(u64::try_from(days).unwrap_or_default(), "day");
            format!("Each can be put back for {days}; then its copy is deleted for good.")
        }
        None => "Each can be put back as long as the console's store is kept.".to_owned(),
    };
    let operation = page.operation;
    let restorable = page.restorable;
    let apps: BTreeSet<&str> = page.discarded.iter().map(|copy| copy.app.as_str()).collect();
    let forbidden = due::forbidden(page.applications.iter().filter(|info| apps.contains(info.key.as_str())));
    let forbidden_here = forbidden.clone();
    let body = if page.discarded.is_empty() && later {
        view! { <BeyondTheEnd newest=base.discarded(operation) /> }.into_any()
    } else if page.discarded.is_empty() {
        view! { <p class="sheet empty">"Nothing stands here: no failed event was discarded, or the copies have had their time."</p> }
            .into_any()
    } else {
        let rows = page.discarded.into_iter().map(|copy| row(copy, &page.applications)).collect_view();
        view! {
            <form class="sheet" method="post" action=base.function("plan_operation")>
                <FormToken />
                <div class="bar selection">
                    <span>"Tick what to put back"</span>
                    {(restorable > 0)
                        .then(|| {
                            view! { <PlanSubmit kind=RequestKind::Restore text="Put the ticked ones back…" class="primary" forbidden=forbidden_here.clone() /> }
                        })}
                </div>
                <table class="cards">
                    <thead>
                        <tr>
                            <th scope="col">
                                <span class="unseen">"Selected"</span>
                            </th>
                            <th scope="col">"Failed event"</th>
                            <th scope="col">"Fault"</th>
                            <th scope="col">"Event id"</th>
                            <th scope="col">"Discarded"</th>
                            <th scope="col">"Why"</th>
                            <th scope="col">"Can be put back"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
                {page
                    .next
                    .map(|next| {
                        view! {
                            <nav class="pager" aria-label="Pages">
                                <a class="button" href=base.discarded(operation)>
                                    "Newest"
                                </a>
                                <a class="button" href=base.discarded_before(operation, next) rel="next">
                                    "Older"
                                </a>
                            </nav>
                        }
                    })}
            </form>
        }
        .into_any()
    };
    view! {
        <div class="head">
            <div>
                <p class="crumbs">
                    <a href=base.operations()>"Operations"</a>
                    {operation.map(|id| view! { <a href=base.operation(id)>{format!("Operation {id}")}</a> })}
                </p>
                <h1>"Discarded failed events"</h1>
                <p class="lead">"They were removed from their tables, and their consumers never process them. " {kept}</p>
            </div>
            <div class="bar">
                {operation
                    .filter(|_| restorable > 0)
                    .map(|id| {
                        let text = format!("Put all {} of this operation back…", words::number(restorable));
                        view! { <PlanButton kind=RequestKind::Restore of=PlanOf::CopiesOf(id) text forbidden=forbidden.clone() /> }
                    })}
            </div>
        </div>
        {body}
    }
    .into_any()
}

fn row(copy: Discarded, applications: &[ApplicationInfo]) -> impl IntoView {
    let base = use_base();
    let name = applications.iter().find(|info| info.key == copy.app).map_or(copy.app.clone(), |info| info.name.clone());
    let label = format!("{name} {}", copy.row_id);
    let category = copy.feed_uri.as_deref().and_then(category_of).map(visible);
    let restored = copy.restored;
    view! {
        <tr>
            <td class="tick">
                <input
                    type="checkbox"
                    name="copies[]"
                    value=copy.id.to_string()
                    disabled=restored.is_some()
                    aria-label=format!("Select {label}")
                />
            </td>
            <th scope="row">{label} {category.map(|category| view! { <span class="muted">" · " {category}</span> })}</th>
            <td data-label="Fault">{visible(&copy.fault)}</td>
            <td data-label="Event id">
                {match copy.event_id {
                    Some(id) => view! { <ShortId text=visible(&id) keep=28 /> }.into_any(),
                    None => view! { <span class="none">"none"</span> }.into_any(),
                }}
            </td>
            <td data-label="Discarded">
                <div>
                    <At at=copy.at />
                    <span class="small muted block">
                        {visible(&copy.who)} ", " <a href=base.operation(copy.operation)>{format!("operation {}", copy.operation)}</a>
                    </span>
                    {(!copy.certain)
                        .then(|| view! { <span class="small block">"Nobody saw whether the removal came through."</span> })}
                </div>
            </td>
            <td data-label="Why">{copy.reason.map(|reason| visible(&reason))}</td>
            <td data-label="Can be put back">
                {match restored {
                    Some((at, operation, id)) => {
                        let key = id.map(|id| EventKey { app: copy.app.clone(), id });
                        view! {
                            <div>
                                <Badge word="running" icon="running" text=if key.is_some() { "Put back" } else { "There again" } />
                                <span class="small muted block">
                                    <At at=at />
                                    ", "
                                    <a href=base.operation(operation)>{format!("operation {operation}")}</a>
                                    {key.map(|key| view! { ", " <a href=base.failed_event(&key, None)>{format!("id {}", key.id)}</a> })}
                                </span>
                            </div>
                        }
                            .into_any()
                    }
                    None => {
                        match copy.until {
                            Some(until) => view! { "until " <At at=until exact=true /> }.into_any(),
                            None => "yes".into_any(),
                        }
                    }
                }}
            </td>
        </tr>
    }
}
