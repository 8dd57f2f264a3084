//! The overview: is anything broken, why, and what can be done first?

use leptos::prelude::*;
use leptos_meta::{Link, Title};

use crate::{
    api::overview::{Happened, OverviewData, view_overview},
    model::{
        ApplicationView, Reach, explain,
        filter::{Filter, ListQuery},
        quiet,
        recent::Recent,
    },
    ui::{
        components::{
            Alerts, ApplicationStrip, ApplicationsTable, At, FeedLines, Icon, SystemMap, is_well, loaded, now,
            use_base, use_reader,
        },
        sentences,
        words::capitalised,
    },
};

#[component]
pub fn OverviewPage() -> impl IntoView {
    loaded(view_overview(), |data| view! { <Overview data /> })
}

#[component]
fn Overview(data: OverviewData) -> impl IntoView {
    let base = use_base();
    let OverviewData { views, causes, retries, since, since_evening } = data;
    let body = if views.is_empty() {
        view! {
            <p class="sheet empty">
                "Add the applications and their databases to the configuration file, then restart the console."
            </p>
        }
        .into_any()
    } else {
        view! {
            <ApplicationStrip views=views.clone() />
            <Alerts views=views.clone() />
            <FeedLines views=views.clone() causes retries />
            <div class="columns stacked">
                <section class="sheet" aria-labelledby="applications">
                    <header>
                        <h2 id="applications">"Applications"</h2>
                    </header>
                    <ApplicationsTable views=views.clone() />
                </section>
                <section class="sheet" aria-labelledby="map">
                    <header>
                        <h2 id="map">"Systems and feeds"</h2>
                        <span class="small muted push">"publisher → application"</span>
                    </header>
                    <SystemMap views=views.clone() />
                </section>
            </div>
        }
        .into_any()
    };
    let quiet = quiet::publishers(&views, now());
    let well = is_well(&views) && quiet.is_empty();
    let headline = sentences::headline(&views, &quiet, now());
    let tab = sentences::tab(&views, &quiet);
    let troubled = !well && tab != "Overview";
    let class = match (well, quiet.is_empty()) {
        (true, _) => "well",
        (false, false) => "risk",
        (false, true) => "",
    };
    let icon = if well { "favicon-good.svg" } else { "favicon-bad.svg" };
    view! {
        <Title text=tab />
        {(well || troubled).then(|| view! { <Link rel="icon" type_="image/svg+xml" href=base.asset(icon) /> })}
        <div data-live="overview">
        <div class="head">
            <div>
                <h1 class=class>
                    {well.then(|| view! { <Icon name="running" /> " " })} {headline}
                </h1>
                <p class="lead">{checked(&views)}</p>
                {quiet.iter().map(|publisher| view! { <p class="risk">{publisher.in_words(now())}</p> }).collect_view()}
                <p class="small muted">{since.map(since_visit)} {since_evening.map(evening)}</p>
            </div>
        </div>
        {body}
        </div>
    }
}

/// `Since your last visit, 9 h ago: 11 new, 3 resolved, 1 feed stopped.`
fn since_visit(since: Happened) -> AnyView {
    let filter = Filter { from: Some(since.at), ..Filter::default() };
    view! { "Since your last visit, " <At at=since.at /> ": " {happened(&since, filter)} ". " }.into_any()
}

/// `Since yesterday 18:00: 11 new, 3 resolved.`
fn evening(since: Happened) -> AnyView {
    let begins = capitalised(Recent::Evening.in_sentence(use_reader().preferences.clock));
    let filter = Filter { recent: Some(Recent::Evening), ..Filter::default() };
    view! { {begins} ": " {happened(&since, filter)} "." }.into_any()
}

/// What happened, with a link to the list of what is new.
fn happened(since: &Happened, new: Filter) -> AnyView {
    let list = use_base().failed_events(&ListQuery { filter: new, ..ListQuery::default() });
    view! { <a href=list>{sentences::new_since(since)}</a> {sentences::rest_since(since)} }.into_any()
}

/// Whether the databases answered and when: the time of the oldest poll, which is the relevant one.
fn checked(views: &[ApplicationView]) -> AnyView {
    let answering = || views.iter().filter(|view| matches!(view.reach, Reach::Reachable { .. }));
    let oldest = answering().filter_map(|view| view.looked_at).min();
    let newest_failure = views
        .iter()
        // A time in the future is not a last failure: an alert explains it.
        .filter(|view| explain::ahead(view).is_none())
        .filter_map(|view| view.seen.as_ref()?.newest_failure.as_ref()?.at)
        .max()
        .map(|at| view! { " Last failure " <At at=at /> "." });
    let old = sentences::shown_as_last_seen(views).map(|sentence| format!(" {sentence}"));
    match oldest {
        Some(at) => {
            view! { {sentences::answered(views)} " Checked " <At at=at /> "." {newest_failure} {old} }.into_any()
        }
        None => old.into_any(),
    }
}
