//! The history: what failed, what was resolved, how long it took, and who helped; of all applications, one, or one
//! feed.

use std::collections::BTreeSet;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_url;

use super::operations::BeyondTheEnd;
use crate::{
    api::history::{HistoryPage as Page, view_history},
    model::{
        ApplicationInfo, FailedSince,
        application::name_of,
        error_text::visible,
        feed_names::{FeedName, NamedFeed, called, tell_apart},
        filter::PASTED,
        history::{DAYS_TO_CHOOSE, HistoryDay, HistoryQuery},
        ledger::LedgerEvent,
        search::SearchQuery,
    },
    ui::{
        components::{
            At, Between, Called, Icon, LifeBadge, Notice, NoticeKind, OutcomeChart, ShortId, Since, Steps, loaded,
            since_heading, use_base, use_reader,
        },
        words,
    },
};

/// The history page. The page's query string determines everything that it shows.
#[component]
pub fn HistoryPage() -> impl IntoView {
    let query = use_url().read_untracked().search().trim_start_matches('?').to_owned();
    loaded(view_history(query), |page| view! { <History page /> })
}

#[component]
fn History(page: Page) -> impl IntoView {
    let base = use_base();
    let heading = heading(&page);
    let query = page.query.clone();
    let file = base.history_file(&HistoryQuery { days: None, find: None, before: None, ..query.clone() });
    view! {
        <Title text=heading.clone() />
        <div class="head">
            <div>
                <h1>{heading}</h1>
                <p class="lead">{watched(&page)}</p>
            </div>
            <div class="bar">
                <a class="button" href=file download="">
                    "Export CSV"
                </a>
            </div>
        </div>
        <Choice page=page.clone() />
        {page.found.clone().map(|found| view! { <Found found page=page.clone() /> })}
        <Breaks page=page.clone() />
        <div data-live="history">
            <div class="columns lead-wide">
                <section class="sheet" aria-labelledby="over-time">
                    <header>
                        <h2 id="over-time">"Failed and ended, by day"</h2>
                        <span class="small muted push">{format!("days in {}", use_reader().zone.name())}</span>
                    </header>
                    <div class="pad">
                        <OutcomeChart days=page.days.clone() />
                    </div>
                </section>
                <Sums page=page.clone() />
            </div>
            <Ended page />
        </div>
    }
    .into_any()
}

fn heading(page: &Page) -> String {
    let name = page.query.app.as_ref().map(|key| name_of(&page.applications, key));
    let feed = |uri| feed_name(page, uri).in_sentence();
    match (page.query.feed.as_deref(), name) {
        (Some(""), Some(name)) => format!("History of {name}: failed events without a feed address"),
        (Some(uri), Some(name)) => format!("History of {} in {name}", feed(uri)),
        (Some(uri), None) => format!("History of {}", feed(uri)),
        (None, Some(name)) => format!("History of {name}"),
        (None, None) => "History".to_owned(),
    }
}

/// Returns the name of a feed, unique among all feeds that the page can be about.
fn feed_name(page: &Page, uri: &str) -> FeedName {
    let apps: Vec<&ApplicationInfo> = page.applications.iter().collect();
    let about = |app: &str| page.query.app.as_deref().is_none_or(|asked| asked == app);
    let known = page.feeds.iter().filter(|(app, _)| about(app)).filter_map(|(_, uri)| uri.as_deref());
    let seen = page.names.iter().filter(|feed| about(&feed.app)).filter_map(|feed| feed.uri.as_deref());
    FeedName::among(Some(uri), known.chain(seen), &apps)
}

/// Since when the console has data.
fn watched(page: &Page) -> AnyView {
    let Some(first) = page.followed.iter().map(|followed| followed.since).min() else {
        return "No data yet: no database has answered.".into_any();
    };
    let reading: Vec<String> = page
        .followed
        .iter()
        .filter(|followed| !followed.whole)
        .map(|followed| name_of(&page.applications, &followed.app))
        .collect();
    let still = (!reading.is_empty()).then(|| format!(" Still reading {} for the first time.", words::listed(reading)));
    view! { "Data since " <At at=first exact=true /> "." {still} }.into_any()
}

/// The form for search, application, feed and time span.
#[component]
fn Choice(page: Page) -> impl IntoView {
    let base = use_base();
    let query = page.query.clone();
    let action = base.history(&HistoryQuery::default());
    let everything = action.clone();
    let apps = page
        .applications
        .iter()
        .map(|app| {
            let selected = query.app.as_ref() == Some(&app.key);
            view! {
                <option value=app.key.clone() selected=selected>
                    {app.name.clone()}
                </option>
            }
        })
        .collect_view();
    let known: BTreeSet<&str> = page.feeds.iter().filter_map(|(_, uri)| uri.as_deref()).collect();
    let mut known: Vec<(String, String)> =
        known.into_iter().map(|uri| (uri.to_owned(), feed_name(&page, uri).label())).collect();
    tell_apart(&mut known);
    known.sort_by(|(_, one), (_, other)| one.cmp(other));
    let feeds = known
        .into_iter()
        .map(|(uri, name)| {
            let selected = query.feed.as_ref() == Some(&uri);
            view! {
                <option value=uri selected=selected>
                    {name}
                </option>
            }
        })
        .collect_view();
    let days = DAYS_TO_CHOOSE
        .map(|days| {
            view! {
                <option value=days selected=query.shown_days() == days>
                    {words::count(days.into(), "day")}
                </option>
            }
        })
        .collect_view();
    view! {
        <form class="filters sheet" method="get" action=action role="search" aria-label="History">
            <label>
                <span>"Event id, or uuid of the record"</span>
                <input type="search" name="find" maxlength=PASTED.to_string() value=query.find.clone() />
            </label>
            <label>
                <span>"Application"</span>
                <select name="app">
                    <option value="">"all"</option>
                    {apps}
                </select>
            </label>
            <label>
                <span>"Feed"</span>
                <select name="feed">
                    <option value="">"all"</option>
                    {feeds}
                </select>
            </label>
            <label>
                <span>"Time"</span>
                <select name="days">{days}</select>
            </label>
            <button type="submit" class="primary">
                <Icon name="search" />
                "Show"
            </button>
            {(query != HistoryQuery::default()).then(|| view! { <a href=everything>"Everything"</a> })}
        </form>
    }
    .into_any()
}

#[component]
fn Found(found: Vec<LedgerEvent>, page: Page) -> impl IntoView {
    let base = use_base();
    let text = page.query.find.clone().unwrap_or_default();
    let everywhere = SearchQuery { typed: text.clone(), ..SearchQuery::default() };
    let words = if found.is_empty() { "Nothing found for " } else { "Found for " };
    let body = if found.is_empty() {
        view! {
            <p class="pad empty">
                "No failed event has this event id, and no record of a failed event has this uuid. "
                <a href=base.search(&everywhere)>"Search everything for it"</a>
                ". Events from before the console was started are not known."
            </p>
        }
        .into_any()
    } else {
        view! {
            <EventTable
                events=found
                names=page.names
                applications=page.applications
                caption="Failed events found"
            />
        }
        .into_any()
    };
    view! {
        <section class="sheet" aria-labelledby="found">
            <header>
                <h2 id="found">{words} <ShortId text=visible(&text) keep=48 /></h2>
                <span class="small muted push">"the rest of the page is not filtered by it"</span>
            </header>
            {body}
        </section>
    }
    .into_any()
}

/// Sources that turned out to be different databases: older entries may not match later ones.
#[component]
fn Breaks(page: Page) -> impl IntoView {
    (!page.breaks.is_empty()).then(|| {
        let items = page
            .breaks
            .iter()
            .take(5)
            .map(|found| {
                let name = name_of(&page.applications, &found.app);
                view! {
                    <li>
                        <strong>{name}</strong>
                        ", "
                        <Between moment=found.moment />
                        ": "
                        {visible(&found.what)}
                    </li>
                }
            })
            .collect_view();
        view! {
            <Notice kind=NoticeKind::Info>
                <strong>"A database was replaced or restored:"</strong>
                <ul>{items}</ul>
            </Notice>
        }
    })
}

/// The sums of the days shown, and how long resolving takes.
#[component]
fn Sums(page: Page) -> impl IntoView {
    let sum = |of: fn(&HistoryDay) -> u64| words::number(page.days.iter().map(of).sum::<u64>());
    let took = page
        .resolving
        .median_secs
        .map(|seconds| format!("{} (of the last {})", words::span(seconds), words::number(page.resolving.of)));
    let helped: u64 = page.resolving.helped.iter().map(|(_, number)| number).sum();
    let who = page
        .resolving
        .helped
        .iter()
        .take(10)
        .map(|(who, number)| view! { <li>{visible(who)} ": " {words::number(*number)}</li> })
        .collect_view();
    view! {
        <section class="sheet" aria-labelledby="sums">
            <header>
                <h2 id="sums">{format!("In {}", words::count(page.days.len() as u64, "day"))}</h2>
            </header>
            <dl class="facts pad">
                <dt>"Failed"</dt>
                <dd>{sum(|day| day.failed)}</dd>
                <dt>"Resolved"</dt>
                <dd>{sum(|day| day.resolved)}</dd>
                <dt>"Removed, reason unknown"</dt>
                <dd>{sum(|day| day.gone)}</dd>
                <dt>"Discarded"</dt>
                <dd>{sum(|day| day.discarded)}</dd>
                <dt>"Failed retries"</dt>
                <dd>{sum(|day| day.attempts)}</dd>
                <dt>"Median time to resolve"</dt>
                <dd>{took.unwrap_or_else(|| "nothing resolved yet".to_owned())}</dd>
                <dt>"Manual retries"</dt>
                <dd>
                    {match page.resolving.of {
                        0 => "nothing resolved yet".to_owned(),
                        of => {
                            format!("{} of {} resolved after a manual retry", words::number(helped), words::number(of))
                        }
                    }} <ul class="plain">{who}</ul>
                </dd>
            </dl>
        </section>
    }
    .into_any()
}

#[component]
fn Ended(page: Page) -> impl IntoView {
    let base = use_base();
    let newest = page.query.before.map(|_| base.history(&HistoryQuery { before: None, ..page.query.clone() }));
    let older = page.next.as_ref().map(|next| base.history(next));
    let body = if let (true, Some(newest)) = (page.ended.is_empty(), newest.clone()) {
        view! { <BeyondTheEnd newest /> }.into_any()
    } else if page.ended.is_empty() {
        view! {
            <p class="empty pad">
                "No resolved or removed events yet."
            </p>
        }
        .into_any()
    } else {
        view! {
            <EventTable
                events=page.ended
                names=page.names
                applications=page.applications
                caption="Resolved and removed events, newest first"
            />
        }
        .into_any()
    };
    view! {
        <section class="sheet" aria-labelledby="ended">
            <header>
                <h2 id="ended">"Resolved and removed events"</h2>
                <span class="small muted push">"newest first"</span>
            </header>
            {body}
            <Steps first=newest.map(|href| ("Newest", href)) next=older.map(|href| ("Older", href)) />
        </section>
    }
    .into_any()
}

/// Failed events as the ledger knows them.
#[component]
fn EventTable(
    events: Vec<LedgerEvent>,
    names: Vec<NamedFeed>,
    applications: Vec<ApplicationInfo>,
    caption: &'static str,
) -> impl IntoView {
    let base = use_base();
    let times: Vec<FailedSince> = events.iter().map(LedgerEvent::failed_since).collect();
    let heading = since_heading(&times);
    let rows = events
        .into_iter()
        .zip(times)
        .map(|(event, since)| {
            let name = name_of(&applications, &event.app);
            let feed = called(&names, &applications, &event.app, event.feed_uri.as_deref());
            let lasted = event.lasted().and_then(|lasted| u64::try_from(lasted.num_seconds()).ok()).map(words::span);
            view! {
                <tr>
                    <td data-label="State">
                        <LifeBadge state=event.state asked=event.asked />
                    </td>
                    <th scope="row" data-label="Failed event">
                        <a href=base.life(event.id)>{event.naming().event(&name)}</a>
                        <Called called=event.called.clone() />
                    </th>
                    <td data-label="Application">
                        {name}
                        <span class="small muted block">{feed}</span>
                    </td>
                    <td data-label=since_heading([&since])>
                        <Since since=since.clone() />
                    </td>
                    <td data-label="Ended">
                        {match event.ended {
                            Some(moment) => view! { <At at=moment.at /> }.into_any(),
                            None => view! { <span class="none">"still failing"</span> }.into_any(),
                        }}
                    </td>
                    <td class="num" data-label="After">{lasted}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="fits">
        <table class="cards">
            <caption class="unseen">{caption}</caption>
            <thead>
                <tr>
                    <th scope="col">"State"</th>
                    <th scope="col">"Failed event"</th>
                    <th scope="col">"Application"</th>
                    <th scope="col">{heading}</th>
                    <th scope="col">"Ended"</th>
                    <th scope="col" class="num">
                        "After"
                    </th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
        </div>
    }
    .into_any()
}
