//! Groups of failed events by fault: they reduce three thousand failed events to three problems.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{
    api::groups::{self, list_groups},
    model::{
        ApplicationInfo,
        advice::{Subject, advise_on},
        application::name_of,
        error_text::{shortened, visible},
        feed_names::{NamedFeed, called},
        group::{Group, GroupPlace},
    },
    ui::{
        components::{At, DayChart, Number, loaded, use_base},
        islands::Follows,
        sentences, words,
    },
};

#[component]
pub fn GroupsPage() -> impl IntoView {
    let quiet = use_query_map().read_untracked().get("quiet").is_some_and(|value| !value.is_empty());
    view! {
        <Title text="Groups" />
        <Follows app=None again=None />
        {loaded(list_groups(quiet), |page| view! { <Groups page /> })}
    }
}

#[component]
fn Groups(page: groups::GroupsPage) -> impl IntoView {
    let base = use_base();
    let quiet = page.quiet;
    let heading = match (quiet, page.all) {
        (true, _) => "Resolved groups".to_owned(),
        (false, 0) if !page.unread.is_empty() => {
            let names = words::listed(page.unread.iter().map(|name| visible(name)));
            format!("No groups: {names} could not be read")
        }
        (false, 0) => "No groups".to_owned(),
        (false, 1) => "1 group of failed events".to_owned(),
        (false, all) => format!("{} groups of failed events", words::number(all as u64)),
    };
    let last_seen = (!page.groups.is_empty()).then(|| sentences::counted_as_last_seen(&page.unread)).flatten();
    let more = page.all.saturating_sub(page.groups.len());
    let body = if page.groups.is_empty() {
        let text = if quiet { "No resolved groups yet." } else { "No failed events are known." };
        view! { <p class="sheet empty">{text}</p> }.into_any()
    } else {
        // One scale: four failures must not look like four hundred.
        let most = page.groups.iter().flat_map(|group| &group.days).map(|day| day.failures).max().unwrap_or_default();
        let rows = page
            .groups
            .into_iter()
            .map(|group| row(group, &page.names, &page.applications, quiet, most))
            .collect_view();
        view! {
            <div class="sheet">
                <table class="cards groups">
                    <caption class="unseen">"Groups of failed events: how many, error, where, when"</caption>
                    <thead>
                        <tr>
                            <th scope="col" class="num">{if quiet { "Resolved" } else { "Failed events" }}</th>
                            <th scope="col">"Error"</th>
                            <th scope="col">"Where"</th>
                            <th scope="col">"Two weeks"</th>
                            <th scope="col">"First and last seen"</th>
                        </tr>
                    </thead>
                    <tbody data-steady="">{rows}</tbody>
                </table>
                {(more > 0)
                    .then(|| view! { <p class="pad small">{format!("{} are not shown.", words::count_first(more as u64, "smaller group"))}</p> })}
            </div>
        }
        .into_any()
    };
    view! {
        <div class="head">
            <div>
                <h1>{heading}</h1>
                <p class="lead">
                    "Failed events grouped by error. "
                    {last_seen}
                </p>
            </div>
            <div class="bar">
                <a class="button" href=base.groups(!quiet)>
                    {if quiet { "Groups with failed events" } else { "Resolved groups" }}
                </a>
            </div>
        </div>
        {body}
    }
    .into_any()
}

/// Returns what the failed events of a group have in common, for advice on the fault.
pub fn about(group: &Group, applications: &[ApplicationInfo]) -> Subject {
    Subject::of_group(group, |app| applications.iter().find(|info| info.key == app).map(|info| info.kind))
}

fn row(
    group: Group,
    names: &[NamedFeed],
    applications: &[ApplicationInfo],
    quiet: bool,
    most: u64,
) -> impl IntoView + use<> {
    let base = use_base();
    let meaning = advise_on(&group.fingerprint, &about(&group, applications)).map(|advice| advice.meaning);
    let note = group.note.clone();
    let places = places(&group.places, names, applications);
    let count = if quiet { group.resolved } else { group.failed() };
    let exhausted =
        (!quiet && group.exhausted > 0).then(|| format!("{} used up their retries", words::number(group.exhausted)));
    view! {
        <tr>
            <td class="num" data-label="Failed events">
                <div>
                    <Number value=count /> {exhausted.map(|text| view! { <span class="small muted block">{text}</span> })}
                </div>
            </td>
            <th scope="row">
                <a href=base.group(group.fault)>{visible(&group.title)}</a>
                {meaning.map(|meaning| view! { <span class="small muted block">{meaning}</span> })}
                {note
                    .map(|written| {
                        let said = [written.note.what, written.note.looks_after].into_iter().find(|part| !part.is_empty());
                        view! { <span class="small block">"Note: " {said.map(|said| visible(&shortened(&said, NOTE)))}</span> }
                    })}
            </th>
            <td data-label="Where">
                <div>{places}</div>
            </td>
            <td data-label="Two weeks">
                <DayChart days=group.days scale=most />
            </td>
            <td data-label="First and last seen">
                <div>
                    {group.first_seen.map(|at| view! { <At at=at /> })} " – " {group.last_seen.map(|at| view! { <At at=at /> })}
                </div>
            </td>
        </tr>
    }
}

/// Maximum characters of a note in the list; the group's page shows all of it.
const NOTE: usize = 200;

/// Maximum number of an application's feeds that the list names for a group.
const FEEDS: usize = 8;

/// The applications with their feeds: "Odoo · encounter, lab".
fn places(places: &[GroupPlace], names: &[NamedFeed], applications: &[ApplicationInfo]) -> AnyView {
    let mut apps: Vec<(&str, Vec<String>)> = Vec::new();
    for place in places {
        let feed = shortened(&called(names, applications, &place.app, place.feed_uri.as_deref()), 80);
        match apps.iter_mut().find(|(app, _)| *app == place.app) {
            Some((_, feeds)) if feeds.contains(&feed) => {}
            Some((_, feeds)) => feeds.push(feed),
            None => apps.push((&place.app, vec![feed])),
        }
    }
    apps.into_iter()
        .map(|(app, feeds)| {
            let name = name_of(applications, app);
            view! {
                <span class="block">
                    {name} <span class="muted">" · " {listed(&feeds)}</span>
                </span>
            }
        })
        .collect_view()
        .into_any()
}

fn listed(feeds: &[String]) -> String {
    let shown = feeds.get(..FEEDS).unwrap_or(feeds).join(", ");
    match feeds.len().saturating_sub(FEEDS) {
        0 => shown,
        more => format!("{shown} and {}", words::count(more as u64, "more feed")),
    }
}
