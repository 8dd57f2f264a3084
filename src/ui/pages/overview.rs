//! The overview: is anything broken, and what needs attention first?

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    api::overview::list_applications,
    model::{ApplicationView, Reach, explain},
    ui::{
        components::{ApplicationsTable, At, Concerns, SystemMap, loaded},
        sentences,
    },
};

#[component]
pub fn OverviewPage() -> impl IntoView {
    loaded(list_applications(), |views| view! { <Overview views /> })
}

#[component]
fn Overview(views: Vec<ApplicationView>) -> impl IntoView {
    let body = if views.is_empty() {
        view! {
            <p class="sheet empty">
                "Name the applications and their databases in the configuration file, then start the console again."
            </p>
        }
        .into_any()
    } else {
        view! {
            <Concerns views=views.clone() />
            <div class="columns lead-wide">
                <section class="sheet" aria-labelledby="applications">
                    <header>
                        <h2 id="applications">"Applications"</h2>
                    </header>
                    <ApplicationsTable views=views.clone() />
                </section>
                <section class="sheet" aria-labelledby="map">
                    <header>
                        <h2 id="map">"Systems and feeds"</h2>
                        <span class="small muted push">"from publisher to reader"</span>
                    </header>
                    <SystemMap views=views.clone() />
                </section>
            </div>
        }
        .into_any()
    };
    view! {
        <Title text="Overview" />
        <div data-live="overview">
        <div class="head">
            <div>
                <h1>{sentences::headline(&views)}</h1>
                <p class="lead">{looked(&views)}</p>
            </div>
        </div>
        {body}
        </div>
    }
}

/// When the applications were last looked at: the oldest of the looks, which is the one that matters.
fn looked(views: &[ApplicationView]) -> AnyView {
    let configured = views.iter().filter(|view| !matches!(view.reach, Reach::NotConfigured { .. })).count();
    let answering = || views.iter().filter(|view| matches!(view.reach, Reach::Reachable { .. }));
    let oldest = answering().filter_map(|view| view.looked_at).min();
    let newest_failure = views
        .iter()
        // What lies ahead is no last failure: a concern says why that may be.
        .filter(|view| explain::ahead(view).is_none())
        .filter_map(|view| view.seen.as_ref()?.newest_failure.as_ref()?.at)
        .max()
        .map(|at| view! { " Last failure " <At at=at /> "." });
    let old = sentences::shown_as_last_seen(views).map(|sentence| format!(" {sentence}"));
    match oldest {
        Some(at) if answering().count() == configured => {
            let every = if configured == views.len() { "Every application" } else { "Every configured application" };
            view! { {every} " answered; last looked " <At at=at /> "." {newest_failure} }.into_any()
        }
        Some(at) => {
            let text = format!("{} of {} applications answer; last looked ", answering().count(), configured);
            view! { {text} <At at=at /> "." {newest_failure} {old} }.into_any()
        }
        None => old.into_any(),
    }
}
