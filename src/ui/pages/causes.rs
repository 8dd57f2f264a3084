//! A list of failed events by cause: how many each cause has, and links to them.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    api::failed_events::CausesPage,
    model::{
        ApplicationInfo, EventState,
        advice::advise_on,
        filter::{Filter, ListQuery, Place},
        ledger::RequestKind,
    },
    ui::{
        components::{Chips, Icon, Number, PlanButton, PlanOf, use_base},
        islands::Follows,
        sentences,
        visitor::refused,
        words,
    },
};

/// The causes of the events in a filter, the most frequent first.
#[component]
pub fn Causes(page: CausesPage) -> impl IntoView {
    let base = use_base();
    let heading = match page.causes.as_slice() {
        [] => {
            let (unread, others) = page.unread.clone();
            sentences::none_failed(unread, others)
        }
        _ => {
            let failed: u64 = page.causes.iter().map(|cause| cause.failed).sum();
            let at_least = if page.all > page.causes.len() { "At least " } else { "" };
            format!("{at_least}{} by cause", words::count(failed, "failed event"))
        }
    };
    let list = ListQuery { filter: page.filter.clone(), place: Place::default() };
    let only = match page.filter.apps.as_slice() {
        [app] => Some(app.clone()),
        _ => None,
    };
    let last_seen = (!page.causes.is_empty()).then(|| sentences::counted_as_last_seen(&page.unread.0)).flatten();
    let beyond = page.all.saturating_sub(page.causes.len()) as u64;
    let body = if page.causes.is_empty() {
        view! {
            <div class="sheet empty">
                <p>
                    <Icon name="info" />
                    " Nothing is counted for this filter."
                </p>
                <p>
                    <a href=base.failed_events(&list)>"One by one"</a>
                </p>
            </div>
        }
        .into_any()
    } else {
        let may = refused(RequestKind::Retry.right()).is_none();
        let rows = page.causes.iter().map(|cause| {
            let of_cause = Filter { group: Some(cause.fault), ..page.filter.clone() };
            let events = ListQuery { filter: of_cause.clone(), place: Place::default() };
            let says = cause.says();
            let meaning = advise_on(&says, &cause.about).map(|advice| advice.meaning);
            let retry = (may && cause.used_up > 0 && retries(&page.applications, &page.filter, &page.off)).then(|| {
                let of = PlanOf::List(Filter { state: Some(EventState::Exhausted), ..of_cause }.to_query());
                view! { <PlanButton kind=RequestKind::Retry of text=format!("Retry {}…", words::number(cause.used_up)) about=Some(format!(" {says}")) /> }
            });
            view! {
                <tr data-key=cause.fault.to_string()>
                    <td class="num" data-label="Failed events">
                        <Number value=cause.failed />
                    </td>
                    <th scope="row">
                        <a href=base.failed_events(&events)>{says.clone()}</a>
                        {meaning.map(|meaning| view! { <span class="small muted">{meaning}</span> })}
                    </th>
                    <td class="num" data-label="Retries used up">
                        <Number value=cause.used_up />
                    </td>
                    <td class="num">
                        <div class="bar">
                            {retry} <a class="button quiet" href=base.group(cause.fault)>
                                "About this cause"
                                <span class="unseen">{format!(" {says}")}</span>
                            </a>
                        </div>
                    </td>
                </tr>
            }
        });
        view! {
            <section class="sheet">
                <table class="cards causes">
                    <caption class="unseen">"Causes: failed events, error, retries used up"</caption>
                    <thead>
                        <tr>
                            <th scope="col" class="num">"Failed events"</th>
                            <th scope="col">"Latest error"</th>
                            <th scope="col" class="num">"Retries used up"</th>
                            <th scope="col">
                                <span class="unseen">"What can be done"</span>
                            </th>
                        </tr>
                    </thead>
                    <tbody data-steady="">{rows.collect_view()}</tbody>
                </table>
                {(beyond > 0)
                    .then(|| view! { <p class="pager small muted">{format!("Not shown: {} with fewer events.", words::count(beyond, "cause"))}</p> })}
            </section>
        }
        .into_any()
    };
    view! {
        <Title text=heading.clone() />
        <Follows app=only again=None />
        <div class="list-page">
            <div class="head">
                <h1>{heading}</h1>
                <a class="button" href=base.failed_events(&list)>
                    "One by one"
                </a>
            </div>
            <Chips
                filter=page.filter.clone()
                applications=page.applications.clone()
                feeds=page.feeds.clone()
                group=None
                moving=Vec::new()
                causes=true
            />
            {last_seen.map(|told| view! { <p class="small muted">{told}</p> })}
            {page
                .narrowed
                .then(|| {
                    view! {
                        <p class="small muted">
                            "Counted by application, feed and state. The other parts of the filter are not used."
                        </p>
                    }
                })}
            {body}
        </div>
    }
    .into_any()
}

/// Returns whether retries are possible in at least one of the applications.
fn retries(applications: &[ApplicationInfo], filter: &Filter, off: &[String]) -> bool {
    applications.iter().any(|app| filter.wants_app(&app.key) && !off.contains(&app.key))
}
