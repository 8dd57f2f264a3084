//! The feeds that an application publishes: how many events, the working page, and who reads them.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

use crate::{
    api::feeds::view_feeds,
    error::Problem,
    model::{
        Availability,
        error_text::visible,
        feed_pages::{FeedList, FeedQuery, FeedReader, FeedSummary, IndexState, WhichPage},
    },
    paths::Base,
    ui::{
        components::{NotHere, Number, When, loaded, now, use_base, use_reader},
        words,
    },
};

#[component]
pub fn FeedsPage() -> impl IntoView {
    let app = use_params_map().read_untracked().get("app").unwrap_or_default();
    loaded(load(app), |(app, list)| view! { <Feeds app list /> })
}

async fn load(app: String) -> Result<(String, FeedList), Problem> {
    let list = view_feeds(app.clone()).await?;
    Ok((app, list))
}

#[component]
fn Feeds(app: String, list: FeedList) -> impl IntoView {
    let base = use_base();
    let FeedList { name, publisher, feeds, index } = list;
    let title = format!("Feeds of {name}");
    let indexed = publisher.categories.here().is_some_and(|categories| !categories.is_empty());
    let indexed = indexed.then(|| view! { <p class="small muted">{index_in_words(index)}</p> });
    let body = match publisher.categories {
        Availability::NotHere(reason) => view! {
            <div class="sheet pad">
                <NotHere reason=reason />
            </div>
        }
        .into_any(),
        // Only the feed of all events, and it has none.
        Availability::Here(categories) if categories.is_empty() => {
            view! { <p class="sheet empty">"Nothing has been published yet."</p> }.into_any()
        }
        Availability::Here(_) => {
            let rows = feeds.into_iter().map(|feed| row(feed, &app, &base)).collect_view();
            view! {
                <div class="sheet">
                    <table class="cards">
                        <caption class="unseen">"Feeds by category"</caption>
                        <thead>
                            <tr>
                                <th scope="col">"Feed"</th>
                                <th scope="col" class="num">"Events"</th>
                                <th scope="col">"Newest event"</th>
                                <th scope="col" class="num">"Working page"</th>
                                <th scope="col">"Read by"</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
            }
            .into_any()
        }
    };
    view! {
        <Title text=title.clone() />
        <div class="head">
            <div>
                <Crumbs app=app.clone() name=name.clone() here="Feeds" />
                <h1>{title}</h1>
                <p class="lead">
                    "Counted " <When stamp=publisher.counted_at /> ". The working page is the newest one, which consumers read last."
                </p>
            </div>
        </div>
        {body}
        {indexed}
    }
    .into_any()
}

/// The way to a page of a feed.
#[component]
pub(super) fn Crumbs(app: String, name: String, #[prop(into)] here: String) -> impl IntoView {
    let base = use_base();
    let on_list = here == "Feeds";
    view! {
        <nav class="crumbs" aria-label="Breadcrumb">
            <a href=base.applications()>"Applications"</a>
            <a href=base.application(&app)>{name}</a>
            {(!on_list).then(|| view! { <a href=base.feeds(&app)>"Feeds"</a> })}
            <span>{here}</span>
        </nav>
    }
}

fn row(feed: FeedSummary, app: &str, base: &Base) -> impl IntoView + use<> {
    let query = FeedQuery { category: feed.category.clone(), which: WhichPage::Recent };
    view! {
        <tr>
            <th scope="row">
                <a href=base.feed(app, &query)>{feed_name(&feed.category)}</a>
            </th>
            <td class="num" data-label="Events">
                <Number value=feed.events />
            </td>
            <td data-label="Newest event">{(feed.events > 0).then(|| view! { <When stamp=feed.newest_at /> })}</td>
            <td class="num" data-label="Working page">
                {match feed.pages {
                    Some(pages) => view! { <Number value=pages /> }.into_any(),
                    None => view! { <span class="none">"not known"</span> }.into_any(),
                }}
            </td>
            <td data-label="Read by">
                <Readers readers=feed.readers />
            </td>
        </tr>
    }
}

/// The name of a feed: its category.
pub(super) fn feed_name(category: &str) -> String {
    if category.is_empty() { "All events".to_owned() } else { visible(category) }
}

/// The consumers of a feed, and how far each is behind.
#[component]
pub(super) fn Readers(readers: Vec<FeedReader>) -> impl IntoView {
    let base = use_base();
    let now = now();
    if readers.is_empty() {
        return view! { <span class="none">"none that the console sees"</span> }.into_any();
    }
    let items = readers
        .into_iter()
        .map(|reader| {
            let lag = reader.lag.map_or_else(|| "read position not known".to_owned(), |lag| lag.in_short(now));
            view! {
                <li>
                    <a href=base.application(&reader.app)>{reader.name}</a>
                    " "
                    <span class="small muted">{lag}</span>
                </li>
            }
        })
        .collect_view();
    view! { <ul class="plain">{items}</ul> }.into_any()
}

/// How much of the events the console has indexed, as a sentence.
fn index_in_words(index: Option<IndexState>) -> String {
    let Some(index) = index else {
        return "The console has not indexed these events yet. Pages in the middle of a long feed take longer until then."
            .to_owned();
    };
    let events = words::count(index.events, "event");
    let reader = use_reader();
    let from = index.from.map(|from| format!(", back to {}", reader.instant(from))).unwrap_or_default();
    match (index.whole, index.filling) {
        (true, _) => format!("The console has indexed all {events}."),
        (false, true) => format!("The console has indexed {events}{from}, and continues with earlier ones."),
        (false, false) => format!("The console has indexed the newest {events}{from}."),
    }
}
