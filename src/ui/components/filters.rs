//! The filter of a list: its form, and the chips that say what is filtered and take it away.

use chrono::{DateTime, Timelike, Utc};
use leptos::prelude::*;

use super::{Icon, MOVES, use_base};
use crate::{
    model::{
        ApplicationInfo, EventState,
        error_text::visible,
        feed::category_of,
        filter::{Filter, LONGEST_NAME, ListQuery, Order, PASTED},
    },
    ui::words,
};

/// A plain form that asks for the list anew: everything it says is in the URL.
#[component]
pub fn FilterForm(
    filter: Filter,
    applications: Vec<ApplicationInfo>,
    /// Feed addresses with failed events: application key, address.
    feeds: Vec<(String, Option<String>)>,
    /// Applications whose database keeps no first failure.
    moving: Vec<String>,
) -> impl IntoView {
    let base = use_base();
    let from_words = from_words(&filter, &applications, &moving);
    let told = moving_words(&filter, &applications, &moving);
    let several = filter.apps.len() > 1;
    let offered = offered_feeds(&filter, &feeds);
    let some_without = filter.feed.as_deref() == Some("")
        || feeds.iter().any(|(app, feed)| filter.wants_app(app) && feed.as_deref().unwrap_or_default().is_empty());
    let categories = categories(&offered);
    let one_app = filter.apps.len() == 1;
    // The fields that are asked for less often are folded, unless they say something.
    let narrowed = filter
        != Filter {
            apps: filter.apps.clone(),
            state: filter.state,
            group: filter.group,
            text: filter.text.clone(),
            ..Filter::default()
        };
    view! {
        <form class="filters sheet" method="get" action=base.failed_events(&ListQuery::default()) aria-label="Filter">
            // Chosen on the group's page; the chip takes it away.
            {filter.group.map(|group| view! { <input type="hidden" name="group" value=group.to_string() /> })}
            {if several {
                view! { <Applications filter=filter.clone() applications /> }.into_any()
            } else {
                view! { <ApplicationChoice filter=filter.clone() applications /> }.into_any()
            }}
            <label>
                <span>"State"</span>
                <select name="state">
                    <option value="">"Every state"</option>
                    {[EventState::Exhausted, EventState::Waiting, EventState::Unknown]
                        .map(|state| {
                            let word = state_word(state);
                            view! {
                                <option value=word selected=filter.state == Some(state)>
                                    {word}
                                </option>
                            }
                        })
                        .collect_view()}
                </select>
            </label>
            <label class="wide">
                <span>"Text in event id, title, payload, first or latest error"</span>
                <input type="search" name="q" maxlength=PASTED.to_string() value=filter.text.clone().unwrap_or_default() />
            </label>
            <button type="submit" class="primary">
                <Icon name="search" />
                "Filter"
            </button>
            <details open=narrowed>
                <summary>"Feed, category, time, order"</summary>
                <div class="fields">
            <label>
                <span>"Feed"</span>
                <select name="feed">
                    <option value="">"All feeds"</option>
                    {offered
                        .into_iter()
                        .map(|feed| {
                            let chosen = filter.feed.as_deref() == Some(&feed);
                            view! {
                                <option value=feed.clone() selected=chosen>
                                    {visible(&feed)}
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
                            <span>"Without a feed address"</span>
                        </label>
                    }
                })}
            <label>
                <span>"Category or tag"</span>
                <input name="category" maxlength=LONGEST_NAME.to_string() list="categories" value=filter.category.clone().unwrap_or_default() />
                <datalist id="categories">
                    {categories.into_iter().map(|category| view! { <option value=category></option> }).collect_view()}
                </datalist>
            </label>
            <TimeField name="from" text=from_words value=filter.from />
            <TimeField name="until" text="Until before" value=filter.until />
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
            <span>"Application"</span>
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

/// Where the URL names several applications, each has a box.
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

/// A field for a time. It means UTC; an island lets people write their own time.
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

/// The filter in words, each part with a link that takes it away.
#[component]
pub fn Chips(
    filter: Filter,
    applications: Vec<ApplicationInfo>,
    /// The title of the group that is filtered for.
    group: Option<String>,
    /// Applications whose database keeps no first failure.
    moving: Vec<String>,
) -> impl IntoView {
    let base = use_base();
    let parts = parts(&filter, &applications, group.as_deref(), &moving);
    if parts.is_empty() {
        return ().into_any();
    }
    let all = ListQuery { filter: Filter { order: timely(filter.order), ..Filter::default() }, ..ListQuery::default() };
    view! {
        <ul class="bar chips" aria-label="What is filtered">
            {parts
                .into_iter()
                .map(|part| {
                    let list = ListQuery { filter: part.without, ..ListQuery::default() };
                    let remove = format!("Remove the filter {} {}", part.name, part.value);
                    view! {
                        <li class="chip">
                            <b>{part.name}</b>
                            <span>{part.value}</span>
                            <a href=base.failed_events(&list) aria-label=remove.clone() title=remove>
                                "×"
                            </a>
                        </li>
                    }
                })
                .collect_view()}
            <li>
                <a href=base.failed_events(&all)>"Remove all filters"</a>
            </li>
        </ul>
    }
    .into_any()
}

/// One part of a filter.
#[derive(Debug, PartialEq)]
struct Part {
    name: &'static str,
    value: String,
    /// The filter without it.
    without: Filter,
}

/// What the beginning of the time range is called, by the times that the applications filtered for have.
fn from_words(filter: &Filter, applications: &[ApplicationInfo], moving: &[String]) -> &'static str {
    let mut wanted = applications.iter().filter(|app| filter.wants_app(&app.key)).peekable();
    let moves = |app: &ApplicationInfo| moving.contains(&app.key);
    match (wanted.peek().is_some() && wanted.clone().all(moves), wanted.any(moves)) {
        (true, _) => "Last changed from",
        (false, true) => "First failed, or last changed, from",
        (false, false) => "First failed from",
    }
}

/// Which applications have other times, and why.
fn moving_words(filter: &Filter, applications: &[ApplicationInfo], moving: &[String]) -> Option<String> {
    let names: Vec<String> = applications
        .iter()
        .filter(|app| filter.wants_app(&app.key) && moving.contains(&app.key))
        .map(|app| visible(&app.name))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "In {} the time is that of the row’s last change, not of the first failure. {MOVES}",
            words::listed(names)
        )
    })
}

fn parts(filter: &Filter, applications: &[ApplicationInfo], group: Option<&str>, moving: &[String]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut part = |name, value: String, change: &dyn Fn(&mut Filter)| {
        let mut without = filter.clone();
        change(&mut without);
        if without.apps.len() != 1 {
            without.order = timely(without.order);
        }
        parts.push(Part { name, value, without });
    };
    for app in &filter.apps {
        let name = applications.iter().find(|known| known.key == *app).map_or(app, |known| &known.name);
        part("Application", visible(name), &|it| it.apps.retain(|other| other != app));
    }
    match filter.feed.as_deref() {
        Some("") => part("Feed", "none".to_owned(), &|it| it.feed = None),
        Some(feed) => part("Feed", visible(feed), &|it| it.feed = None),
        None => {}
    }
    if let Some(category) = &filter.category {
        part("Category or tag", visible(category), &|it| it.category = None);
    }
    if let Some(state) = filter.state {
        part("State", state_word(state).to_owned(), &|it| it.state = None);
    }
    if let Some(number) = filter.group {
        let title = group.map_or_else(|| number.to_string(), visible);
        part("Group", title, &|it| it.group = None);
    }
    if let Some(from) = filter.from {
        part(from_words(filter, applications, moving), words::instant(from), &|it| it.from = None);
    }
    if let Some(until) = filter.until {
        part("Before", words::instant(until), &|it| it.until = None);
    }
    if let Some(text) = &filter.text {
        part("Text", visible(text), &|it| it.text = None);
    }
    parts
}

/// An order that holds across applications: ids can be compared within one only.
fn timely(order: Order) -> Order {
    match order {
        Order::IdDown => Order::Newest,
        Order::IdUp => Order::Oldest,
        order => order,
    }
}

/// The feeds to choose from: those of the applications filtered for, each once, with the one that is chosen.
fn offered_feeds(filter: &Filter, feeds: &[(String, Option<String>)]) -> Vec<String> {
    let known = feeds.iter().filter(|(app, _)| filter.wants_app(app)).filter_map(|(_, feed)| feed.clone());
    let mut offered: Vec<String> = known.chain(filter.feed.clone()).filter(|feed| !feed.is_empty()).collect();
    offered.sort();
    offered.dedup();
    offered
}

fn categories(feeds: &[String]) -> Vec<String> {
    let mut categories: Vec<String> =
        feeds.iter().filter_map(|feed| category_of(feed)).map(str::to_lowercase).collect();
    categories.sort();
    categories.dedup();
    categories
}

/// As `<input type=datetime-local>` wants it; seconds only where there are any.
fn field_value(at: DateTime<Utc>) -> String {
    let form = if at.second() == 0 && at.nanosecond() == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S" };
    at.format(form).to_string()
}

fn state_word(state: EventState) -> &'static str {
    match state {
        EventState::Waiting => "waiting",
        EventState::Exhausted => "exhausted",
        EventState::Unknown => "unknown",
    }
}

fn order_words(order: Order) -> &'static str {
    match order {
        Order::Newest => "Newest first",
        Order::Oldest => "Oldest first",
        Order::IdDown => "Highest id first",
        Order::IdUp => "Lowest id first",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Filter {
        ListQuery::parse(query).expect(query).filter
    }

    #[test]
    fn every_part_of_a_filter_can_be_taken_away_alone() {
        let full = filter(
            "app=odoo&app=pacs&feed=http://a/b&category=lab&state=waiting&group=7&from=2026-11-01&until=2026-11-02&q=timeout",
        );
        let parts = parts(&full, &[], None, &[]);
        assert_eq!(parts.len(), 9);
        for part in &parts {
            assert_ne!(part.without, full, "{}", part.name);
            let rest = super::parts(&part.without, &[], None, &[]);
            assert_eq!(rest.len(), 8, "{}", part.name);
            assert!(!rest.iter().any(|other| (other.name, &other.value) == (part.name, &part.value)), "{}", part.name);
        }
    }

    #[test]
    fn taking_the_only_application_away_leaves_no_order_by_id() {
        let parts = parts(&filter("app=odoo&sort=id-up"), &[], None, &[]);
        let without = &parts[0].without;
        assert_eq!(without.order, Order::Oldest);
        ListQuery::parse(&without.to_query()).expect("a link of ours is understood");
    }

    #[test]
    fn feeds_are_offered_once_and_only_those_of_the_application() {
        let feeds = [
            ("odoo".to_owned(), Some("http://o/lab/recent".to_owned())),
            ("pacs".to_owned(), Some("http://o/lab/recent".to_owned())),
            ("pacs".to_owned(), Some("http://o/encounter/recent".to_owned())),
            ("odoo".to_owned(), None),
        ];
        assert_eq!(offered_feeds(&filter(""), &feeds), ["http://o/encounter/recent", "http://o/lab/recent"]);
        assert_eq!(offered_feeds(&filter("app=odoo"), &feeds), ["http://o/lab/recent"]);
        assert_eq!(offered_feeds(&filter("app=odoo&feed=gone"), &feeds), ["gone", "http://o/lab/recent"]);
    }

    #[test]
    fn a_time_comes_back_from_its_field_unchanged() {
        for time in ["2026-11-01T08:30", "2026-11-01T08:30:09"] {
            let from = filter(&format!("from={time}")).from.unwrap();
            assert_eq!(field_value(from), time);
        }
    }
}
