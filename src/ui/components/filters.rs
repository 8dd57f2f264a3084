//! The filter of a list: its form, and the chips that name each part of the filter and remove it.

use std::collections::BTreeSet;

use chrono::{DateTime, Timelike, Utc};
use leptos::prelude::*;

use super::{At, Icon, MOVES, use_base, use_reader};
use crate::{
    api::failed_events::Moving,
    model::{
        ApplicationInfo, EventState,
        error_text::visible,
        feed::category_of,
        feed_names::{NamedFeed, tell_apart},
        filter::{Filter, LONGEST_NAME, ListQuery, Order, PASTED},
        ledger::LifeState,
        recent::Recent,
    },
    ui::words,
};

/// A plain form that requests the list again: all its values are in the URL. The first line has the most used fields,
/// the rest is behind "More", which opens over the list and moves nothing.
#[component]
pub fn FilterForm(
    filter: Filter,
    applications: Vec<ApplicationInfo>,
    /// The feeds of all applications.
    feeds: Vec<NamedFeed>,
    /// Applications whose database does not keep the first failure.
    moving: Vec<Moving>,
    /// The user may not search error texts and payloads.
    masked: bool,
) -> impl IntoView {
    let base = use_base();
    let (searched, hint) = match masked {
        false => ("Text in event id, title, payload, first or latest error", "Text in id, record or error"),
        true => ("Text in event id or title", "Text in id or title"),
    };
    let several = filter.apps.len() > 1;
    let one_app = filter.apps.len() == 1;
    let (from_words, told) =
        (from_words(&filter, &applications, &moving), moving_words(&filter, &applications, &moving));
    let offered = offered_feeds(&filter, &feeds);
    let categories = categories(offered.iter().map(|(uri, _)| uri.as_str()));
    let some_without = feeds.iter().any(|feed| feed.failing && filter.wants_app(&feed.app) && feed.uri.is_none());
    let typed = filter.recent.is_none() && filter.has_range();
    let clock = use_reader().preferences.clock;
    let from = filter.from.filter(|_| typed);
    view! {
        <form class="filters sheet" method="get" action=base.failed_events(&ListQuery::default()) aria-label="Filter">
            // Chosen on the group's page; its chip removes it.
            {filter.group.map(|group| view! { <input type="hidden" name="group" value=group.to_string() /> })}
            {(!several).then(|| view! { <ApplicationChoice filter=filter.clone() applications=applications.clone() /> })}
            <label>
                <span class="unseen">"State"</span>
                <select name="state">
                    <option value="">"All states"</option>
                    {[EventState::Exhausted, EventState::Waiting, EventState::Unknown]
                        .map(|state| {
                            view! {
                                <option
                                    value=LifeState::from(state).word()
                                    selected=filter.state == Some(state)
                                >
                                    {state.label()}
                                </option>
                            }
                        })
                        .collect_view()}
                </select>
            </label>
            <label>
                <span class="unseen">"Time"</span>
                <select name="since">
                    <option value="">{if typed { "Times as below" } else { "Any time" }}</option>
                    {Recent::ALL
                        .map(|recent| {
                            view! {
                                <option value=recent.word() selected=filter.recent == Some(recent)>
                                    {recent.label(clock)}
                                </option>
                            }
                        })
                        .collect_view()}
                </select>
            </label>
            <label class="wide">
                <span class="unseen">{searched}</span>
                <input
                    type="search"
                    name="q"
                    maxlength=PASTED.to_string()
                    placeholder=hint
                    value=filter.text.clone().unwrap_or_default()
                />
            </label>
            <button type="submit">
                <Icon name="search" />
                "Filter"
            </button>
            <details>
                <summary>"More"</summary>
                <div class="fields sheet">
                    {several.then(|| view! { <Applications filter=filter.clone() applications /> })}
                    <label>
                        <span>"Feed"</span>
                        <select name="feed">
                            <option value="">"All feeds"</option>
                            {offered
                                .into_iter()
                                .map(|(uri, name)| {
                                    let chosen = filter.feed.as_deref() == Some(&uri);
                                    view! {
                                        <option value=uri selected=chosen>
                                            {name}
                                        </option>
                                    }
                                })
                                .collect_view()}
                        </select>
                    </label>
                    {some_without
                        .then(|| {
                            view! {
                                <label class="tick">
                                    <input type="checkbox" name="nofeed" value="1" checked=filter.feed.as_deref() == Some("") />
                                    <span>"No feed address"</span>
                                </label>
                            }
                        })}
                    <label>
                        <span>"Feed name or tag"</span>
                        <input name="category" maxlength=LONGEST_NAME.to_string() list="categories" value=filter.category.clone().unwrap_or_default() />
                        <datalist id="categories">
                            {categories.into_iter().map(|category| view! { <option value=category></option> }).collect_view()}
                        </datalist>
                    </label>
                    <TimeField name="from" text=from_words value=from />
                    <TimeField name="until" text="To" value=filter.until />
                    {told.map(|told| view! { <p class="small muted wide">{told}</p> })}
                    <label>
                        <span>"Order"</span>
                        <select name="sort">
                            {Order::ALL
                                .into_iter()
                                .filter(|order| one_app || !order.by_id())
                                .map(|order| {
                                    view! {
                                        <option value=order.word() selected=filter.order == order>
                                            {order_words(order)}
                                        </option>
                                    }
                                })
                                .collect_view()}
                        </select>
                    </label>
                </div>
            </details>
        </form>
    }
    .into_any()
}

/// The usual choice: one application, or all.
#[component]
fn ApplicationChoice(filter: Filter, applications: Vec<ApplicationInfo>) -> impl IntoView {
    view! {
        <label>
            <span class="unseen">"Application"</span>
            <select name="app">
                <option value="">"All applications"</option>
                {applications
                    .into_iter()
                    .map(|app| {
                        let chosen = filter.apps.contains(&app.key);
                        view! {
                            <option value=app.key selected=chosen>
                                {app.name}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
        </label>
    }
    .into_any()
}

/// One box per application, if the URL names several.
#[component]
fn Applications(filter: Filter, applications: Vec<ApplicationInfo>) -> impl IntoView {
    view! {
        <fieldset class="wide">
            <legend>"Applications"</legend>
            {applications
                .into_iter()
                .map(|app| {
                    let chosen = filter.apps.contains(&app.key);
                    view! {
                        <label class="tick">
                            <input type="checkbox" name="app" value=app.key checked=chosen />
                            <span>{app.name}</span>
                        </label>
                    }
                })
                .collect_view()}
        </fieldset>
    }
    .into_any()
}

/// A field for a time in UTC; an island lets users enter their local time.
#[component]
pub fn TimeField(name: &'static str, text: &'static str, value: Option<DateTime<Utc>>) -> impl IntoView {
    let value = value.map(field_value).unwrap_or_default();
    view! {
        <label class="time">
            <span>
                {text} " (" <span data-zone="">"UTC"</span> ")"
            </span>
            <input type="datetime-local" name=name data-utc="" step="any" max="9999-12-31T23:59" value=value />
        </label>
    }
    .into_any()
}

/// The filter in words, each part with a link that removes it.
#[component]
pub fn Chips(
    filter: Filter,
    applications: Vec<ApplicationInfo>,
    /// The feeds of all applications.
    feeds: Vec<NamedFeed>,
    /// The title of the group in the filter.
    group: Option<String>,
    /// Applications whose database does not keep the first failure.
    moving: Vec<Moving>,
    /// The list is shown by cause; the links keep that.
    #[prop(optional)]
    causes: bool,
) -> impl IntoView {
    let base = use_base();
    let parts = parts(&filter, &applications, &feeds, group.as_deref(), &moving);
    if parts.is_empty() {
        return ().into_any();
    }
    let to = |filter: Filter| {
        if causes { base.causes(&filter) } else { base.failed_events(&ListQuery { filter, ..ListQuery::default() }) }
    };
    let all = to(Filter { order: timely(filter.order), ..Filter::default() });
    view! {
        <ul class="bar chips" aria-label="What is filtered">
            {parts
                .into_iter()
                .map(|part| {
                    let remove = match &part.value {
                        Value::Words(words) => format!("Remove the filter {} {words}", part.name),
                        Value::Time(_) => format!("Remove the filter {}", part.name),
                    };
                    let value = match part.value {
                        Value::Words(words) => words.into_any(),
                        // The script writes it in the reader's zone.
                        Value::Time(at) => view! { <At at exact=true /> }.into_any(),
                    };
                    view! {
                        <li class="chip">
                            <b>{part.name}</b>
                            <span>{value}</span>
                            <a href=to(part.without) aria-label=remove.clone() title=remove>
                                "×"
                            </a>
                        </li>
                    }
                })
                .collect_view()}
            <li>
                <a href=all>"Remove all filters"</a>
            </li>
        </ul>
    }
    .into_any()
}

/// One part of a filter.
#[derive(Debug, PartialEq)]
struct Part {
    name: &'static str,
    value: Value,
    /// The filter without this part.
    without: Filter,
}

/// The value of a filter's part.
#[derive(Debug, PartialEq)]
enum Value {
    Words(String),
    Time(DateTime<Utc>),
}

impl From<String> for Value {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}

/// Names the beginning of the time range by the kind of times of the filtered applications.
fn from_words(filter: &Filter, applications: &[ApplicationInfo], moving: &[Moving]) -> &'static str {
    let wanted = applications.iter().filter(|app| filter.wants_app(&app.key));
    let (mut first, mut seen, mut changed) = (false, false, false);
    for app in wanted {
        match moving.iter().find(|moving| moving.app == app.key) {
            None => first = true,
            Some(Moving { as_shown: true, .. }) => seen = true,
            Some(_) => changed = true,
        }
    }
    match (first, seen, changed) {
        (_, false, false) => "First failed from",
        (false, true, false) => "First seen failed from",
        (false, false, true) => "Last changed from",
        (true, true, false) => "First failed, or first seen failed, from",
        (true, false, true) => "First failed, or last changed, from",
        (false, true, true) => "First seen failed, or last changed, from",
        (true, true, true) => "First failed, first seen failed or last changed, from",
    }
}

/// Says which applications have other times, which times these are, and why.
fn moving_words(filter: &Filter, applications: &[ApplicationInfo], moving: &[Moving]) -> Option<String> {
    let names = |as_shown: bool| {
        let of = |app: &&ApplicationInfo| moving.iter().any(|it| it.app == app.key && it.as_shown == as_shown);
        let wanted = applications.iter().filter(|app| filter.wants_app(&app.key)).filter(of);
        wanted.map(|app| visible(&app.name)).collect::<Vec<String>>()
    };
    let (shown, stored) = (names(true), names(false));
    let mut told = Vec::new();
    if !shown.is_empty() {
        told.push(format!(
            "In {} the time is when the console first saw the failed event, or the last change of the row before that.",
            words::listed(shown)
        ));
    }
    if !stored.is_empty() {
        told.push(format!(
            "In {} the time is the last change of the row, not the first failure: the history of the console is not up to \
             date now.",
            words::listed(stored)
        ));
    }
    (!told.is_empty()).then(|| format!("{} {MOVES}", told.join(" ")))
}

fn parts(
    filter: &Filter,
    applications: &[ApplicationInfo],
    feeds: &[NamedFeed],
    group: Option<&str>,
    moving: &[Moving],
) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut part = |name, value: Value, change: &dyn Fn(&mut Filter)| {
        let mut without = filter.clone();
        change(&mut without);
        if without.apps.len() != 1 {
            without.order = timely(without.order);
        }
        parts.push(Part { name, value, without });
    };
    for app in &filter.apps {
        let name = applications.iter().find(|known| known.key == *app).map_or(app, |known| &known.name);
        part("Application", visible(name).into(), &|it| it.apps.retain(|other| other != app));
    }
    match filter.feed.as_deref() {
        Some("") => part("Feed", "none".to_owned().into(), &|it| it.feed = None),
        Some(feed) => part("Feed", feed_name(filter, feeds, feed).into(), &|it| it.feed = None),
        None => {}
    }
    if let Some(category) = &filter.category {
        part("Feed name or tag", visible(category).into(), &|it| it.category = None);
    }
    if let Some(state) = filter.state {
        part("State", state.label().to_owned().into(), &|it| it.state = None);
    }
    if let Some(number) = filter.group {
        let title = group.map_or_else(|| number.to_string(), visible);
        part("Cause", title.into(), &|it| it.group = None);
    }
    match (filter.recent, filter.from) {
        (Some(recent), _) => part("Time", recent.label(use_reader().preferences.clock).to_owned().into(), &|it| {
            (it.recent, it.from) = (None, None);
        }),
        (None, Some(from)) => part(from_words(filter, applications, moving), Value::Time(from), &|it| it.from = None),
        (None, None) => {}
    }
    if let Some(until) = filter.until {
        part("To", Value::Time(until), &|it| it.until = None);
    }
    if let Some(text) = &filter.text {
        part("Text", visible(text).into(), &|it| it.text = None);
    }
    parts
}

/// Returns the name of a feed in the filter.
fn feed_name(filter: &Filter, feeds: &[NamedFeed], uri: &str) -> String {
    let named = feeds.iter().find(|feed| filter.wants_app(&feed.app) && feed.uri.as_deref() == Some(uri));
    named.map_or_else(|| visible(uri), |feed| feed.name.clone())
}

/// Returns an order that is valid across applications: ids are comparable only within one.
fn timely(order: Order) -> Order {
    match order {
        Order::IdDown => Order::Newest,
        Order::IdUp => Order::Oldest,
        order => order,
    }
}

/// Returns the feeds to choose from, by address and name: those of the filtered applications that have failed events,
/// each once, and the chosen one. Feeds with equal names are distinguished by address.
fn offered_feeds(filter: &Filter, feeds: &[NamedFeed]) -> Vec<(String, String)> {
    let failing = feeds.iter().filter(|feed| feed.failing && filter.wants_app(&feed.app));
    let known = failing.filter_map(|feed| feed.uri.as_deref());
    let uris: BTreeSet<&str> = known.chain(filter.feed.as_deref()).filter(|uri| !uri.is_empty()).collect();
    let mut offered: Vec<(String, String)> =
        uris.into_iter().map(|uri| (uri.to_owned(), feed_name(filter, feeds, uri))).collect();
    tell_apart(&mut offered);
    offered.sort_by(|(_, one), (_, other)| one.cmp(other));
    offered
}

fn categories<'a>(feeds: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut categories: Vec<String> = feeds.filter_map(category_of).map(|category| category.to_lowercase()).collect();
    categories.sort();
    categories.dedup();
    categories
}

/// Formats a time for `<input type=datetime-local>`, with seconds only if they are not 0.
fn field_value(at: DateTime<Utc>) -> String {
    let form = if at.second() == 0 && at.nanosecond() == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S" };
    at.format(form).to_string()
}

fn order_words(order: Order) -> &'static str {
    match order {
        Order::Newest => "Newest first",
        Order::Oldest => "Oldest first",
        Order::IdDown => "Highest id first",
        Order::IdUp => "Lowest id first",
        Order::Application => "By application, A to Z",
        Order::ApplicationDown => "By application, Z to A",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Filter {
        ListQuery::parse(query).expect(query).filter
    }

    #[test]
    fn a_time_range_is_called_by_the_times_that_are_compared() {
        let apps: Vec<ApplicationInfo> = ["one", "two"].map(crate::model::samples::info).into();
        let moving = |app: &str, as_shown| Moving { app: app.into(), as_shown };
        let (all, one) = (Filter::default(), filter("app=one"));
        for (filter, moving, name) in [
            (&all, vec![], "First failed from"),
            (&one, vec![moving("two", true)], "First failed from"),
            (&all, vec![moving("two", true)], "First failed, or first seen failed, from"),
            (&one, vec![moving("one", true)], "First seen failed from"),
            (&one, vec![moving("one", false)], "Last changed from"),
            (&all, vec![moving("one", false)], "First failed, or last changed, from"),
            (&all, vec![moving("one", false), moving("two", true)], "First seen failed, or last changed, from"),
        ] {
            assert_eq!(from_words(filter, &apps, &moving), name, "{moving:?}");
        }
        assert_eq!(moving_words(&one, &apps, &[moving("two", true)]), None);
        let told = moving_words(&all, &apps, &[moving("one", false), moving("two", true)]).unwrap();
        assert!(told.starts_with("In two the time is when the console first saw the failed event"), "{told}");
        assert!(told.contains("In one the time is the last change of the row"), "{told}");
    }

    #[test]
    fn every_part_of_a_filter_can_be_taken_away_alone() {
        let full = filter(
            "app=odoo&app=pacs&feed=http://a/b&category=lab&state=waiting&group=7&from=2026-11-01&until=2026-11-02&q=timeout",
        );
        let parts = parts(&full, &[], &[], None, &[]);
        assert_eq!(parts.len(), 9);
        for part in &parts {
            assert_ne!(part.without, full, "{}", part.name);
            let rest = super::parts(&part.without, &[], &[], None, &[]);
            assert_eq!(rest.len(), 8, "{}", part.name);
            assert!(!rest.iter().any(|other| (other.name, &other.value) == (part.name, &part.value)), "{}", part.name);
        }
    }

    #[test]
    fn taking_the_only_application_away_leaves_no_order_by_id() {
        let parts = parts(&filter("app=odoo&sort=id-up"), &[], &[], None, &[]);
        let without = &parts[0].without;
        assert_eq!(without.order, Order::Oldest);
        ListQuery::parse(&without.to_query()).expect("a link of ours is understood");
    }

    #[test]
    fn feeds_are_offered_once_and_only_those_of_the_application() {
        let named = |app: &str, uri: Option<&str>, name: &str, failing| NamedFeed {
            app: app.into(),
            uri: uri.map(str::to_owned),
            name: name.into(),
            failing,
        };
        let feeds = [
            named("odoo", Some("http://o/lab/recent"), "lab", true),
            named("pacs", Some("http://o/lab/recent"), "lab", true),
            named("pacs", Some("http://o/encounter/recent"), "encounter", true),
            named("pacs", Some("http://e/encounter/recent"), "encounter", true),
            named("pacs", Some("http://o/drug/recent"), "drug", false),
            named("odoo", None, "no feed address", true),
        ];
        let offered = |query| {
            let offered = offered_feeds(&filter(query), &feeds);
            offered.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
        };
        assert_eq!(
            offered(""),
            ["encounter – http://e/encounter/recent", "encounter – http://o/encounter/recent", "lab"]
        );
        assert_eq!(offered("app=odoo"), ["lab"]);
        assert_eq!(offered("app=odoo&feed=gone"), ["gone", "lab"]);
    }

    #[test]
    fn a_time_comes_back_from_its_field_unchanged() {
        for time in ["2026-11-01T08:30", "2026-11-01T08:30:09"] {
            let from = filter(&format!("from={time}")).from.unwrap();
            assert_eq!(field_value(from), time);
        }
    }
}
