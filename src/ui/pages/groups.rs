//! Groups: what makes three thousand failed events three problems.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{
    api::groups::{self, list_groups},
    model::{
        ApplicationInfo,
        advice::advise,
        error_text::{shortened, visible},
        feed::category_of,
        group::{Group, GroupPlace},
    },
    ui::{
        components::{At, DayChart, Number, loaded, use_base},
        words,
    },
};

#[component]
pub fn GroupsPage() -> impl IntoView {
    let quiet = use_query_map().read_untracked().get("quiet").is_some_and(|value| !value.is_empty());
    view! {
        <Title text="Groups" />
        {loaded(list_groups(quiet), |page| view! { <Groups page /> })}
    }
}

#[component]
fn Groups(page: groups::GroupsPage) -> impl IntoView {
    let base = use_base();
    let quiet = page.quiet;
    let heading = match (quiet, page.all) {
        (true, _) => "Groups without failed events".to_owned(),
        (false, 0) => "No groups".to_owned(),
        (false, 1) => "1 group of failed events".to_owned(),
        (false, all) => format!("{} groups of failed events", words::number(all as u64)),
    };
    let more = page.all.saturating_sub(page.groups.len());
    let body = if page.groups.is_empty() {
        let text = if quiet {
            "No fault has come to its end yet."
        } else {
            "No failed events are known. The console gathers them from the first look at each database on."
        };
        view! { <p class="sheet empty">{text}</p> }.into_any()
    } else {
        let rows = page.groups.into_iter().map(|group| row(group, &page.applications, quiet)).collect_view();
        view! {
            <div class="sheet">
                <table class="cards groups">
                    <thead>
                        <tr>
                            <th scope="col" class="num">{if quiet { "Resolved" } else { "Failed events" }}</th>
                            <th scope="col">"Fault"</th>
                            <th scope="col">"Where"</th>
                            <th scope="col">"Two weeks"</th>
                            <th scope="col">"First and last seen"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
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
                    "Failed events with the same fault in their latest error, whatever record, number or name it speaks of."
                </p>
            </div>
            <div class="bar">
                <a class="button" href=base.groups(!quiet)>
                    {if quiet { "Groups with failed events" } else { "Groups without failed events" }}
                </a>
            </div>
        </div>
        {body}
    }
    .into_any()
}

fn row(group: Group, applications: &[ApplicationInfo], quiet: bool) -> impl IntoView {
    let base = use_base();
    let meaning = advise(&group.fingerprint).map(|advice| advice.meaning);
    let note = group.note.clone();
    let places = places(&group.places, applications);
    let count = if quiet { group.resolved } else { group.failed() };
    let exhausted = (!quiet && group.exhausted > 0).then(|| format!("{} exhausted", words::number(group.exhausted)));
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
                <DayChart days=group.days />
            </td>
            <td data-label="First and last seen">
                <div>
                    {group.first_seen.map(|at| view! { <At at=at /> })} " – " {group.last_seen.map(|at| view! { <At at=at /> })}
                </div>
            </td>
        </tr>
    }
}

/// Characters of a note that the list shows; the group's page shows it whole.
const NOTE: usize = 200;

/// Feeds of an application that the list names for a group.
const FEEDS: usize = 8;

/// The applications with their feeds: "Odoo · encounter, lab".
fn places(places: &[GroupPlace], applications: &[ApplicationInfo]) -> AnyView {
    let mut apps: Vec<(&str, Vec<String>)> = Vec::new();
    for place in places {
        let uri = place.feed_uri.as_deref();
        let feed = uri
            .and_then(category_of)
            .or(uri)
            .map_or_else(|| "no feed address".to_owned(), |name| visible(&shortened(name, 80)));
        match apps.iter_mut().find(|(app, _)| *app == place.app) {
            Some((_, feeds)) if feeds.contains(&feed) => {}
            Some((_, feeds)) => feeds.push(feed),
            None => apps.push((&place.app, vec![feed])),
        }
    }
    apps.into_iter()
        .map(|(app, feeds)| {
            let name = applications.iter().find(|info| info.key == app).map_or(app, |info| info.name.as_str());
            view! {
                <span class="block">
                    {visible(name)} <span class="muted">" · " {listed(&feeds)}</span>
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
