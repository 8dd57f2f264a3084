//! All applications as configured: database, whether it answers, and limits.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    api::overview::list_applications,
    model::{ApplicationView, Reach},
    ui::{
        components::{LookedAt, feed_states, loaded, use_base},
        islands::Follows,
        sentences, words,
    },
};

#[component]
pub fn ApplicationsPage() -> impl IntoView {
    view! {
        <Title text="Applications" />
        <Follows app=None again=None />
        {loaded(list_applications(), |views| view! { <Applications views /> })}
    }
}

#[component]
fn Applications(views: Vec<ApplicationView>) -> impl IntoView {
    let lacking = views.iter().filter(|view| matches!(view.reach, Reach::NotConfigured { .. })).count() as u64;
    let heading = if views.is_empty() {
        "No application is configured".to_owned()
    } else {
        let lacking = (lacking > 0).then_some((lacking, "not configured"));
        let parts = sentences::unread_in_short(&views).into_iter().chain(lacking);
        parts.fold(words::count(views.len() as u64, "application"), |heading, (some, what)| {
            format!("{heading}, {} {what}", words::number(some))
        })
    };
    view! {
        <div class="head">
            <div>
                <h1>{heading}</h1>
                <p class="lead">
                    "An application reads Atom feeds of other systems and stores its progress in its own database. "
                    "The console reads that database."
                </p>
            </div>
        </div>
        {(!views.is_empty())
            .then(|| {
                view! {
                    <div class="sheet">
                        <table class="cards">
                            <caption class="unseen">"Applications: database, state, limits"</caption>
                            <thead>
                                <tr>
                                    <th scope="col">"Application"</th>
                                    <th scope="col">"Database"</th>
                                    <th scope="col">"State"</th>
                                    <th scope="col">"Stops after"</th>
                                    <th scope="col">"Maximum retries"</th>
                                </tr>
                            </thead>
                            <tbody>{views.into_iter().map(row).collect_view()}</tbody>
                        </table>
                    </div>
                }
            })}
    }
}

fn row(view: ApplicationView) -> impl IntoView {
    let base = use_base();
    let limits = view.info.limits;
    let assumed = limits.assumed.then_some(" (assumed)");
    let server = match &view.reach {
        Reach::Reachable { server } => server.clone(),
        Reach::NotYet => String::new(),
        Reach::Unreachable { reason, .. } => reason.clone(),
        Reach::NotConfigured { lacking } => lacking.join("; "),
    };
    view! {
        <tr>
            <th scope="row">
                <a href=base.application(&view.info.key)>{view.info.name.clone()}</a>
                <span class="small muted">
                    {view.info.kind.word()} {view.info.kind_assumed.then_some(" (assumed)")}
                </span>
            </th>
            <td data-label="Database">
                <div>
                    <code>{view.info.address.clone()}</code>
                    <span class="small muted">{server}</span>
                </div>
            </td>
            <td data-label="State">
                <div class="stack">
                    {feed_states(&view)}
                    <span class="small muted">
                        {matches!(view.reach, Reach::Reachable { .. }).then_some("database reachable, ")}
                        <LookedAt view=view.clone() />
                    </span>
                </div>
            </td>
            <td data-label="Stops after">
                {limits.max_failed_events.map_or("no limit".to_owned(), |max| words::count(max, "failed event"))}
                {assumed} {other_limits(view.info.feed_limits.len() as u64)}
            </td>
            <td data-label="Maximum retries">{gives_up(limits.max_retry)} {assumed}</td>
        </tr>
    }
}

/// Says how many feeds of an application have a separate limit; `None` if there is none.
fn other_limits(feeds: u64) -> Option<String> {
    (feeds > 0).then(|| format!(", another for {}", words::count(feeds, "feed")))
}

/// After how many retries a consumer gives up on an event.
pub(super) fn gives_up(max_retry: Option<i64>) -> String {
    match max_retry {
        None => "never retries".to_owned(),
        Some(1) => "1 retry".to_owned(),
        Some(retries) => format!("{} retries", words::number(retries)),
    }
}
