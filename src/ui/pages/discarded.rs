//! Discarded failed events: what was deleted, by whom, why, and until when it can be restored.

use std::collections::BTreeSet;

use leptos::prelude::*;
use leptos_meta::Title;

use super::operations::{BeyondTheEnd, place};
use crate::{
    api::operations::{self, list_discarded},
    model::{
        ApplicationInfo, EventKey, application::name_of, error_text::visible, ledger::RequestKind, operation::Discarded,
    },
    ui::{
        components::{
            At, Back, Badge, Called, FieldTold, FormToken, PlanButton, PlanOf, PlanSubmit, ShortId, Steps, field_id,
            loaded, use_base,
        },
        due,
        islands::Follows,
        visitor::{refused, ticked},
        words,
    },
};

#[component]
pub fn DiscardedPage() -> impl IntoView {
    let (operation, before) = (place("operation"), place("before"));
    let later = matches!(before, Ok(Some(_)));
    view! {
        <Title text="Discarded events" />
        <Follows app=None again=None />
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
            format!("You can restore each for {days}. Then the copy is deleted.")
        }
        None => "You can restore these events at any time.".to_owned(),
    };
    let operation = page.operation;
    let restorable = page.restorable;
    let apps: BTreeSet<&str> = page.discarded.iter().map(|copy| copy.app.as_str()).collect();
    let forbidden = due::forbidden(page.applications.iter().filter(|info| apps.contains(info.key.as_str())));
    let forbidden_here = forbidden.clone();
    let may = refused(RequestKind::Restore.right()).is_none();
    let body = if page.discarded.is_empty() && later {
        view! { <BeyondTheEnd newest=base.discarded(operation) /> }.into_any()
    } else if page.discarded.is_empty() {
        view! { <p class="sheet empty">"No discarded events."</p> }.into_any()
    } else {
        let ticked: BTreeSet<i64> = ticked("copies[]").iter().filter_map(|copy| copy.parse().ok()).collect();
        let of_copy = |copy: Discarded| {
            let ticked = ticked.contains(&copy.id);
            row(copy, &page.applications, may.then_some(ticked))
        };
        let rows = page.discarded.into_iter().map(of_copy).collect_view();
        view! {
            <form class="sheet" method="post" action=base.function("plan_operation")>
                <FormToken />
                <Back />
                {may
                    .then(|| {
                        view! {
                            <div class="bar selection" id=field_id("copies")>
                                <span>"Select events to restore"</span>
                                {(restorable > 0)
                                    .then(|| {
                                        view! { <PlanSubmit kind=RequestKind::Restore text="Restore selected…" class="primary" forbidden=forbidden_here.clone() /> }
                                    })}
                                <FieldTold name="copies" />
                            </div>
                        }
                    })}
                <table class="cards">
                    <caption class="unseen">"Discarded events, newest first"</caption>
                    <thead>
                        <tr>
                            {may
                                .then(|| {
                                    view! {
                                        <th scope="col">
                                            <span class="unseen">"Selected"</span>
                                        </th>
                                    }
                                })}
                            <th scope="col">"Failed event"</th>
                            <th scope="col">"Error"</th>
                            <th scope="col">"Event id"</th>
                            <th scope="col">"Discarded"</th>
                            <th scope="col">"Reason"</th>
                            <th scope="col">"Can be restored"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
                <Steps
                    first=page.next.map(|_| ("Newest", base.discarded(operation)))
                    next=page.next.map(|next| ("Older", base.discarded_before(operation, next)))
                />
            </form>
        }
        .into_any()
    };
    view! {
        <div class="head">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb">
                    <a href=base.operations()>"Operations"</a>
                    {operation.map(|id| view! { <a href=base.operation(id)>{format!("Operation {id}")}</a> })}
                </nav>
                <h1>"Discarded events"</h1>
                <p class="lead">"These events were removed and will not be processed. " {kept}</p>
            </div>
            <div class="bar">
                {operation
                    .filter(|_| restorable > 0)
                    .map(|id| {
                        let text = format!("Restore all {} of this operation…", words::number(restorable));
                        view! { <PlanButton kind=RequestKind::Restore of=PlanOf::CopiesOf(id) text forbidden=forbidden.clone() /> }
                    })}
            </div>
        </div>
        {body}
    }
    .into_any()
}

/// `ticked`: whether the row is selected; `None` if nothing can be selected.
fn row(copy: Discarded, applications: &[ApplicationInfo], ticked: Option<bool>) -> impl IntoView {
    let base = use_base();
    let name = name_of(applications, &copy.app);
    let called = copy.naming().event(&name);
    let label = format!("{called}, row {}", copy.row_id);
    let event = EventKey { app: copy.app.clone(), id: copy.row_id };
    let href = base.failed_event(&event, None);
    let restored = copy.restored;
    view! {
        <tr>
            {ticked
                .map(|ticked| {
                    view! {
                        <td class="tick">
                            <input
                                type="checkbox"
                                name="copies[]"
                                value=copy.id.to_string()
                                disabled=restored.is_some()
                                checked=ticked
                                aria-label=format!("Select {label}")
                            />
                        </td>
                    }
                })}
            <th scope="row">
                <a href=href>{called}</a>
                <Called called=copy.called.clone() />
            </th>
            <td data-label="Error">{visible(&copy.fault)}</td>
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
                        .then(|| view! { <span class="small block">"It is not known whether the event was removed."</span> })}
                </div>
            </td>
            <td data-label="Reason">{copy.reason.map(|reason| visible(&reason))}</td>
            <td data-label="Can be restored">
                {match restored {
                    Some((at, operation, id)) => {
                        let key = EventKey { app: copy.app.clone(), id };
                        view! {
                            <div>
                                <Badge word="running" icon="running" text="Restored" />
                                <span class="small muted block">
                                    <At at=at />
                                    ", "
                                    <a href=base.operation(operation)>{format!("operation {operation}")}</a>
                                    ", "
                                    <a href=base.failed_event(&key, None)>{format!("row {}", key.id)}</a>
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
