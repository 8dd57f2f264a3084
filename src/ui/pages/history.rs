//! The history: what failed, what was resolved, how long it took, and who helped; of all applications, one, or one feed.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_url;

use super::operations::BeyondTheEnd;
use crate::{
    api::history::{HistoryPage as Page, view_history},
    model::{
        ApplicationInfo, FailedSince,
        error_text::visible,
        filter::PASTED,
        history::{DAYS_TO_CHOOSE, HistoryDay, HistoryQuery},
        ledger::LedgerEvent,
        payload::short_id,
    },
    ui::{
        components::{
            At, Between, Icon, LifeBadge, Notice, NoticeKind, OutcomeChart, ShortId, Since, loaded, since_heading,
            use_base,
        },
        words,
    },
};

/// Everything it shows is decided by the page's query string.
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
                        <h2 id="over-time">"Failures and what became of them"</h2>
                        <span class="small muted push">"days in UTC"</span>
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
    match (page.query.feed.as_deref(), name) {
        (Some(""), Some(name)) => format!("History of {name}: failed events without a feed address"),
        (Some(feed), Some(name)) => visible(&format!("History of {feed} in {name}")),
        (Some(feed), None) => visible(&format!("History of {feed}")),
        (None, Some(name)) => format!("History of {name}"),
        (None, None) => "History".to_owned(),
    }
}

fn name_of(applications: &[ApplicationInfo], key: &str) -> String {
    applications.iter().find(|app| app.key == key).map_or_else(|| key.to_owned(), |app| app.name.clone())
}

/// Since when the console can know anything.
fn watched(page: &Page) -> AnyView {
    let Some(first) = page.followed.iter().map(|followed| followed.since).min() else {
        return "The console has not begun to watch yet: it waits for a database to answer.".into_any();
    };
    let reading: Vec<String> = page
        .followed
        .iter()
        .filter(|followed| !followed.whole)
        .map(|followed| name_of(&page.applications, &followed.app))
        .collect();
    let still = (!reading.is_empty())
        .then(|| format!(" Failed events of {} are being read for the first time.", words::listed(reading)));
    view! { "The console has watched since " <At at=first exact=true /> "." {still} }.into_any()
}

/// Search, application, feed and span.
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
    let feeds = page
        .feeds
        .iter()
        .filter_map(|(_, feed)| feed.clone())
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .map(|feed| {
            let selected = query.feed.as_ref() == Some(&feed);
            view! {
                <option value=feed.clone() selected=selected>
                    {visible(&feed)}
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
    let text = page.query.find.clone().unwrap_or_default();
    let body = if found.is_empty() {
        view! {
            <p class="pad empty">
                "The console knows no failed event with this event id, or of a record with this uuid. It finds whole ids and uuids only, and nothing from before it watched."
            </p>
        }
        .into_any()
    } else {
        view! { <EventTable events=found applications=page.applications caption="Failed events found" /> }.into_any()
    };
    view! {
        <section class="sheet" aria-labelledby="found">
            <header>
                <h2 id="found">"Found for " <ShortId text=visible(&text) keep=48 /></h2>
            </header>
            {body}
        </section>
    }
    .into_any()
}

/// Databases that turned out to be others: what was before may not fit what came after.
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
    let took = page.resolving.median_secs.map(|seconds| {
        format!("{}, by the median of the last {}", words::span(seconds), words::number(page.resolving.of))
    });
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
                <dt>"Gone, cause unknown"</dt>
                <dd>{sum(|day| day.gone)}</dd>
                <dt>"Discarded"</dt>
                <dd>{sum(|day| day.discarded)}</dd>
                <dt>"Failed retries"</dt>
                <dd>{sum(|day| day.attempts)}</dd>
                <dt>"Time until resolved"</dt>
                <dd>{took.unwrap_or_else(|| "nothing was resolved yet".to_owned())}</dd>
                <dt>"Helped"</dt>
                <dd>
                    {match (helped, page.resolving.of) {
                        (_, 0) => "nothing was resolved yet".to_owned(),
                        (0, of) => format!("the last {} were resolved without a retry by a person", words::number(of)),
                        (helped, of) => {
                            format!("{} of the last {} were resolved after a retry by a person", words::number(helped), words::number(of))
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
                "No failed event has left its table since the console watches. The next one that is resolved will stand here."
            </p>
        }
        .into_any()
    } else {
        view! {
            <EventTable events=page.ended applications=page.applications caption="Failed events that left their table, the last first" />
        }
        .into_any()
    };
    view! {
        <section class="sheet" aria-labelledby="ended">
            <header>
                <h2 id="ended">"What left its table"</h2>
                <span class="small muted push">"the last first"</span>
            </header>
            {body}
            {(newest.is_some() || older.is_some())
                .then(|| {
                    view! {
                        <nav class="pager" aria-label="Pages">
                            {newest.map(|href| view! { <a class="button" href=href>"Newest"</a> })}
                            {older.map(|href| view! { <a class="button" rel="next" href=href>"Older"</a> })}
                        </nav>
                    }
                })}
        </section>
    }
    .into_any()
}

/// Failed events as the ledger knows them.
#[component]
pub(super) fn EventTable(
    events: Vec<LedgerEvent>,
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
            let lasted = event.lasted().and_then(|lasted| u64::try_from(lasted.num_seconds()).ok()).map(words::span);
            view! {
                <tr>
                    <td data-label="State">
                        <LifeBadge state=event.state asked=event.asked />
                    </td>
                    <th scope="row" data-label="Failed event">
                        <a href=base.life(event.id)>{what(&event)}</a>
                    </th>
                    <td data-label="Application">
                        {name}
                        {event.feed_uri.clone().map(|uri| view! { <span class="small muted whole">{visible(&uri)}</span> })}
                    </td>
                    <td data-label=since_heading([&since])>
                        <Since since=since.clone() />
                    </td>
                    <td data-label="Left">
                        {match event.ended {
                            Some(moment) => view! { <At at=moment.at /> }.into_any(),
                            None => view! { <span class="none">"still there"</span> }.into_any(),
                        }}
                    </td>
                    <td class="num" data-label="After">{lasted}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <table class="cards">
            <caption class="unseen">{caption}</caption>
            <thead>
                <tr>
                    <th scope="col">"State"</th>
                    <th scope="col">"Failed event"</th>
                    <th scope="col">"Application"</th>
                    <th scope="col">{heading}</th>
                    <th scope="col">"Left"</th>
                    <th scope="col" class="num">
                        "After"
                    </th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

/// `Encounter 4417ab02…c2a7`
pub(super) fn what(event: &LedgerEvent) -> String {
    let title = event.title.as_deref().filter(|title| !title.trim().is_empty()).unwrap_or("Event");
    let of = event.record.as_deref().or(event.event_id.as_deref()).map(|id| format!(" {}", short_id(id)));
    visible(&format!("{title}{}", of.unwrap_or_default()))
}
