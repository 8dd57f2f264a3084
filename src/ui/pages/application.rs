//! One application: the state of each feed that it reads, its limits, and what it publishes itself.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

use crate::{
    api::overview::{list_applications, list_feed_causes, list_feed_retries, view_application, view_publisher},
    error::Problem,
    model::{
        ApplicationInfo, ApplicationView, Availability, DayCount, Feed, Limits, Reach, Seen, ShownState,
        application::COMPLETE_ENTRY,
        cause::{Cause, FeedCauses},
        concerns::{About, Concern, ConcernKind},
        explain,
        history::HistoryQuery,
        ledger::RequestKind,
        operation::FeedRetry,
        publisher::{Chunk, OffsetMarker, OffsetMarkers, PublishedCategory, Publisher},
        quiet::{self, QuietPublisher},
    },
    ui::{
        components::{
            At, DayChart, FeedBadge, FeedLinks, LookedAt, NotHere, Notice, NoticeKind, Number, ProblemView,
            RetriesInProgress, ShortId, TopCauses, When, known, loaded, now, use_base, use_reader,
        },
        feed_names::FeedName,
        sentences,
        visitor::refused,
        words,
    },
};

/// The data of the page.
struct Looked {
    view: ApplicationView,
    /// Its publisher's side, if its database answers.
    publisher: Option<Result<Publisher, Problem>>,
    /// All configured applications, for the names of publishers.
    applications: Vec<ApplicationInfo>,
    /// Publishers of its feeds from which no application has read anything for long.
    quiet: Vec<QuietPublisher>,
    /// Why feeds fail.
    causes: Vec<FeedCauses>,
    /// Retries in progress.
    retries: Vec<FeedRetry>,
}

#[component]
pub fn ApplicationPage() -> impl IntoView {
    let key = use_params_map().read_untracked().get("app").unwrap_or_default();
    loaded(load(key), |Looked { view, publisher, applications, quiet, causes, retries }| {
        view! {
            <Application view applications quiet causes retries />
            {publisher.map(|publisher| view! { <Publishes publisher /> })}
        }
    })
}

async fn load(key: String) -> Result<Looked, Problem> {
    let view = view_application(key.clone()).await?;
    let publisher = match view.reach {
        Reach::Reachable { .. } => Some(view_publisher(key).await),
        // A further query would only wait for the same answer.
        Reach::NotYet | Reach::Unreachable { .. } | Reach::NotConfigured { .. } => None,
    };
    // Without the other applications' names a feed is shown by its address.
    let views = list_applications().await.unwrap_or_default();
    let mut quiet = quiet::publishers(&views, now());
    quiet.retain(|publisher| publisher.read_by.contains(&view.info.key));
    let applications = views.into_iter().map(|view| view.info).collect();
    let causes = list_feed_causes().await.unwrap_or_default();
    let retries = list_feed_retries().await.unwrap_or_default();
    Ok(Looked { view, publisher, applications, quiet, causes, retries })
}

#[component]
fn Application(
    view: ApplicationView,
    applications: Vec<ApplicationInfo>,
    quiet: Vec<QuietPublisher>,
    causes: Vec<FeedCauses>,
    retries: Vec<FeedRetry>,
) -> impl IntoView {
    let base = use_base();
    let info = view.info.clone();
    let key = info.key.clone();
    let still_shown = still_shown(&view);
    let reach = match view.reach.clone() {
        Reach::Unreachable { reason, advice, .. } => view! {
            <Notice kind=NoticeKind::Problem>
                <strong>{reason}</strong>
                <p>{advice}</p>
                <p>{still_shown}</p>
            </Notice>
        }
        .into_any(),
        Reach::NotYet => view! {
            <Notice kind=NoticeKind::Info>"The console has just started and checks this database for the first time. Reload the page in a moment."</Notice>
        }
        .into_any(),
        Reach::NotConfigured { lacking } => view! {
            <Notice kind=NoticeKind::Warning>
                <strong>"The entry in the configuration is not complete:"</strong>
                <ul>{lacking.into_iter().map(|line| view! { <li>{line}</li> }).collect_view()}</ul>
                <p>{COMPLETE_ENTRY}</p>
            </Notice>
        }
        .into_any(),
        Reach::Reachable { .. } => ().into_any(),
    };
    let silent = quiet
        .iter()
        .map(|publisher| {
            let said = format!("{} Check that it is running and can be reached.", publisher.in_words(now()));
            view! { <Notice kind=NoticeKind::Warning>{said}</Notice> }
        })
        .collect_view();
    let seen = view.seen.as_deref();
    let concerns = view.concerns.clone();
    let feeds = seen.cloned().map(|seen| {
        view! {
            <Hazards seen=seen.clone() concerns=concerns />
            <Feeds info=info.clone() seen=seen applications=applications causes retries />
        }
    });
    let days = view.days.clone();
    let failures = seen.cloned().map(|seen| view! { <Failures seen days /> });
    view! {
        <Title text=info.name.clone() />
        <div data-live="application" data-live-app=key.clone()>
        <div class="head">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb">
                    <a href=base.applications()>"Applications"</a>
                    <span>{info.name.clone()}</span>
                </nav>
                <h1 class=if quiet.is_empty() { "" } else { "risk" }>
                    {sentences::application_heading(&view, &quiet, now())}
                </h1>
                <p class="lead">
                    {match &view.reach {
                        Reach::Reachable { server } => format!("{server} at "),
                        _ => String::new(),
                    }} <code>{info.address.clone()}</code> ", " <LookedAt view=view.clone() />
                </p>
            </div>
            <div class="bar">
                <a class="button" href=base.history(&HistoryQuery::of_app(&key))>"History"</a>
            </div>
        </div>
        {reach}
        {silent}
        {feeds}
        <div class="columns">{failures} <Settings info=info />
        </div>
        </div>
    }
}

fn still_shown(view: &ApplicationView) -> AnyView {
    match view.seen_at {
        Some(at) => view! { "The numbers below are from the last successful check, " <At at=at /> "." }.into_any(),
        None => "Not reachable since the console started.".into_any(),
    }
}

/// What will break the consumer, why nothing can be retried, and what this schema lacks.
#[component]
fn Hazards(seen: Seen, concerns: Vec<Concern>) -> impl IntoView {
    let others = concerns
        .into_iter()
        .filter(|concern| concern.about == About::Application && !has_its_own_place(concern.kind))
        .map(|Concern { title, cause, todo, .. }| {
            view! {
                <Notice kind=NoticeKind::Warning>
                    <strong>{title}</strong>
                    <p>{cause} " " {todo}</p>
                </Notice>
            }
        })
        .collect_view();
    let hazards = (!seen.hazards.is_empty()).then(|| {
        view! {
            <Notice kind=NoticeKind::Warning>
                <strong>"Problem:"</strong>
                <ul>{seen.hazards.into_iter().map(|hazard| view! { <li>{hazard}</li> }).collect_view()}</ul>
            </Notice>
        }
    });
    let gap = seen.out_of_step.map(|why| {
        view! {
            <Notice kind=NoticeKind::Warning>
                <strong>"The history is incomplete. "</strong>
                {why}
            </Notice>
        }
    });
    // Actions outside the reader's role are simply not offered.
    let role = refused(RequestKind::Retry.right()).is_some();
    let refused = seen.retry_refused.filter(|_| !role).map(|reason| {
        view! {
            <Notice kind=NoticeKind::Info>
                <strong>"Nothing can be retried here. "</strong>
                {reason}
            </Notice>
        }
    });
    let missing = (!seen.missing.is_empty()).then(|| {
        view! {
            <Notice kind=NoticeKind::Info>
                <strong>"Not available here: "</strong>
                {seen.missing.join(", ")}
                ". The related parts are not shown."
            </Notice>
        }
    });
    view! {
        {others}
        {hazards}
        {gap}
        {refused}
        {missing}
    }
}

/// Returns whether the application's page shows a concern elsewhere than in a separate notice.
fn has_its_own_place(kind: ConcernKind) -> bool {
    matches!(kind, ConcernKind::Unreachable | ConcernKind::FeedsNotSeen | ConcernKind::Hazard | ConcernKind::HistoryGap)
}

#[component]
fn Feeds(
    info: ApplicationInfo,
    seen: Seen,
    applications: Vec<ApplicationInfo>,
    causes: Vec<FeedCauses>,
    retries: Vec<FeedRetry>,
) -> impl IntoView {
    let refused = seen.retry_refused;
    let body = match seen.feeds {
        Availability::NotHere(reason) => view! {
            <div class="sheet pad">
                <NotHere reason=reason />
            </div>
        }
        .into_any(),
        Availability::Here(feeds) if feeds.is_empty() => view! {
            <p class="sheet empty">
                "No feeds. Nothing has been read yet, or the application reads no feeds."
            </p>
        }
        .into_any(),
        Availability::Here(mut feeds) => {
            feeds.sort_by_key(|feed| sentences::worst_first(ShownState::of(feed, &info), feed.counts.total));
            let applications: Vec<&ApplicationInfo> = applications.iter().collect();
            let sheets = feeds
                .iter()
                .map(|feed| {
                    let name = FeedName::of(feed.uri.as_deref(), &feeds, &applications);
                    let causes = FeedCauses::of(&causes, &info.key, feed.uri.as_deref()).to_vec();
                    let retries = FeedRetry::of(&retries, &info.key, feed.uri.as_deref());
                    view! { <FeedSheet info=info.clone() feed=feed.clone() name=name refused=refused.clone() causes retries /> }
                })
                .collect_view();
            view! {
                {sheets}
                <p class="small muted">
                    "“Last activity” is the newest failure or failed retry. Successful events are not recorded in these tables."
                </p>
            }
            .into_any()
        }
    };
    view! {
        <section class="group" aria-labelledby="feeds">
            <h2 id="feeds">"Feeds it reads"</h2>
            {body}
        </section>
    }
}

#[component]
fn FeedSheet(
    info: ApplicationInfo,
    feed: Feed,
    name: FeedName,
    refused: Option<String>,
    causes: Vec<Cause>,
    retries: Vec<FeedRetry>,
) -> impl IntoView {
    let state = ShownState::of(&feed, &info);
    let saying = explain::feed(&feed, &info, &use_reader());
    let label = name.label();
    let counts = feed.counts;
    let failures = (counts.total > 0).then(|| {
        view! {
            <dt>"Failed events"</dt>
            <dd>
                <Number value=counts.total />
                {counts.states_are_known()
                    .then(|| {
                        view! { ": " <Number value=counts.waiting /> " waiting for retry, " <Number value=counts.exhausted /> " with all retries used up" }
                    })}
            </dd>
            <dt>"Oldest failure"</dt>
            <dd>
                <When stamp=feed.oldest_failure.clone() />
            </dd>
            <dt>"Newest failure"</dt>
            <dd>
                <When stamp=feed.newest_failure.clone() />
            </dd>
        }
    });
    let at_work = match feed.last_seen_at_work.clone() {
        Some(stamp) => view! { <When stamp=stamp /> }.into_any(),
        None => view! { <span class="none">"none recorded"</span> }.into_any(),
    };
    view! {
        <article class=format!("sheet feed {}", state.class())>
            <header>
                <FeedBadge state />
                <h3>{label.clone()}</h3>
                {feed
                    .uri
                    .clone()
                    .filter(|_| matches!(name, FeedName::Category(_) | FeedName::Of { .. }))
                    .map(|uri| view! { <ShortId text=uri keep=72 /> })}
            </header>
            <div class="feed-body">
                <div class="say pad">
                    <p>{saying.cause}</p>
                    <p class="todo">{saying.todo}</p>
                    <TopCauses app=info.key.clone() uri=feed.uri.clone() causes total=counts.total about=label.clone() />
                    <RetriesInProgress retries=retries.clone() />
                    <FeedLinks info=info feed=feed.clone() refused=refused retries about=label />
                </div>
                <dl class="facts pad">
                    {failures}
                    <dt>"Last activity"</dt>
                    <dd>{at_work}</dd>
                    {markers(&feed)}
                </dl>
            </div>
        </article>
    }
}

/// How far the consumer has read; each marker if there are several.
fn markers(Feed { markers, signs, .. }: &Feed) -> AnyView {
    if let (true, Some(reason)) = (markers.is_empty(), signs.markers_not_known.clone()) {
        return view! {
            <dt>"Read position"</dt>
            <dd>
                <NotHere reason=reason />
            </dd>
        }
        .into_any();
    }
    if markers.is_empty() {
        return view! {
            <dt>"Read position"</dt>
            <dd class="none">"no read position is stored for this address"</dd>
        }
        .into_any();
    }
    markers
        .iter()
        .cloned()
        .map(|marker| {
            view! {
                <dt>"Last event read"</dt>
                <dd>
                    {match marker.last_read_entry_id {
                        Some(id) => view! { <ShortId text=id keep=44 /> }.into_any(),
                        None => view! { <span class="none">"none yet"</span> }.into_any(),
                    }}
                </dd>
                <dt>"Feed page"</dt>
                <dd>
                    {match marker.page_uri {
                        Some(uri) => view! { <ShortId text=uri keep=60 /> }.into_any(),
                        None => view! { <span class="none">"none stored"</span> }.into_any(),
                    }}
                </dd>
            }
        })
        .collect_view()
        .into_any()
}

#[component]
fn Failures(seen: Seen, days: Vec<DayCount>) -> impl IntoView {
    let zone = use_reader().zone.name();
    view! {
        <section class="sheet" aria-labelledby="failures">
            <header>
                <h2 id="failures">"Failures, 14 days"</h2>
                <span class="small muted push">
                    {format!("by first failure; days in {zone}")}
                </span>
            </header>
            <div class="pad">
                {(!days.is_empty()).then(|| view! { <DayChart days wide=true /> })}
                <dl class="facts">
                    <dt>"Waiting for retry"</dt>
                    <dd>{known(seen.waiting)}</dd>
                    <dt>"Retries used up"</dt>
                    <dd>{known(seen.exhausted)}</dd>
                    <dt>"All failed events"</dt>
                    <dd>{known(seen.failed)}</dd>
                    {(seen.failed > Some(0))
                        .then(|| {
                            view! {
                                <dt>"Oldest failure"</dt>
                                <dd>
                                    <When stamp=seen.oldest_failure />
                                </dd>
                                <dt>"Newest failure"</dt>
                                <dd>
                                    <When stamp=seen.newest_failure />
                                </dd>
                            }
                        })}
                </dl>
            </div>
        </section>
    }
}

/// The configured limits of the consumer; the console cannot see the consumer's own properties.
#[component]
fn Settings(info: ApplicationInfo) -> impl IntoView {
    let Limits { max_failed_events, max_retry, feed_interval_secs, retry_interval_secs, retry_batch, assumed } =
        info.limits;
    let retries = max_retry.map(|_| {
        view! {
            <dt>"Retries"</dt>
            <dd>{format!("every {}, {retry_batch} events of a feed a run", words::span(retry_interval_secs))}</dd>
        }
    });
    view! {
        <section class="sheet" aria-labelledby="settings">
            <header>
                <h2 id="settings">"Limits and schedule"</h2>
                <span class="small muted push">
                    {if assumed { "assumed from the application's name" } else { "from the console's configuration" }}
                </span>
            </header>
            <dl class="facts pad">
                <dt>"Stops after"</dt>
                <dd>
                    {max_failed_events
                        .map_or("no limit".to_owned(), |max| format!("{} failed events", words::number(max)))}
                </dd>
                {info
                    .feed_limits
                    .into_iter()
                    .map(|limit| {
                        view! {
                            <dt>"This feed stops after"</dt>
                            <dd>
                                {limit
                                    .max_failed_events
                                    .map_or("no limit".to_owned(), |max| words::count(max, "failed event"))} ": "
                                <ShortId text=limit.uri keep=60 />
                            </dd>
                        }
                    })
                    .collect_view()}
                <dt>"Maximum retries"</dt>
                <dd>{super::applications::gives_up(max_retry)}</dd>
                <dt>"Reads each feed"</dt>
                <dd>{format!("every {}", words::span(feed_interval_secs))}</dd>
                {retries}
                <dt>"Kind"</dt>
                <dd>{info.kind.word()} {info.kind_assumed.then_some(" (assumed)")}</dd>
                <dt>"Default time zone"</dt>
                <dd>{info.time_zone}</dd>
                <dt>"Check interval"</dt>
                <dd>{format!("every {}", words::span(info.refresh_secs))}</dd>
                {(!info.publishes.is_empty())
                    .then(|| {
                        view! {
                            <dt>"Base URL"</dt>
                            <dd>
                                {info
                                    .publishes
                                    .into_iter()
                                    .map(|prefix| view! { <ShortId text=prefix keep=60 /> " " })
                                    .collect_view()}
                            </dd>
                        }
                    })}
            </dl>
        </section>
    }
}

/// The publisher's side: events by category, the queue, offset markers, chunking.
#[component]
fn Publishes(publisher: Result<Publisher, Problem>) -> impl IntoView {
    let counted = publisher.as_ref().ok().map(|publisher| publisher.counted_at.clone());
    let body = match publisher {
        Ok(publisher) => published(publisher),
        Err(problem) => view! {
            <div class="pad">
                <ProblemView problem=problem part=true />
            </div>
        }
        .into_any(),
    };
    view! {
        <section class="sheet" aria-labelledby="publishes">
            <header>
                <h2 id="publishes">"What it publishes"</h2>
                {counted.map(|stamp| view! { <span class="small muted push">"counted " <When stamp=stamp /></span> })}
            </header>
            {body}
        </section>
    }
}

fn published(publisher: Publisher) -> AnyView {
    let queue = match publisher.queue {
        Availability::Here(queue) if queue.length == 0 => "none".into_any(),
        Availability::Here(queue) => view! {
            {format!("{} not on a feed yet", queue.in_words())}
            {match queue.oldest {
                Some(oldest) => view! { ", the oldest " <When stamp=Some(oldest) /> }.into_any(),
                None => ", with no time in the table".into_any(),
            }}
        }
        .into_any(),
        Availability::NotHere(reason) => view! { <NotHere reason=reason /> }.into_any(),
    };
    let chunking = match publisher.chunking {
        Availability::Here(chunks) => chunks_in_words(&chunks).into_any(),
        Availability::NotHere(reason) => view! { <NotHere reason=reason /> }.into_any(),
    };
    view! {
        {categories(publisher.categories)}
        <dl class="facts pad ruled">
            <dt>"Events in the queue"</dt>
            <dd>{queue}</dd>
            <dt>"Entries a page"</dt>
            <dd>{chunking}</dd>
        </dl>
        {offset_markers(publisher.offset_markers)}
    }
    .into_any()
}

fn categories(categories: Availability<Vec<PublishedCategory>>) -> AnyView {
    let categories = match categories {
        Availability::NotHere(reason) => {
            return view! {
                <div class="pad">
                    <NotHere reason=reason />
                </div>
            }
            .into_any();
        }
        Availability::Here(categories) if categories.is_empty() => {
            return view! { <p class="empty">"Nothing has been published yet."</p> }.into_any();
        }
        Availability::Here(categories) => categories,
    };
    let rows = categories
        .into_iter()
        .map(|category| {
            view! {
                <tr>
                    <th scope="row">{category_name(category.category)}</th>
                    <td class="num" data-label="Events">
                        <Number value=category.count />
                    </td>
                    <td class="num" data-label="Newest id">
                        {category.newest_id.map(|id| view! { <Number value=id.0 /> })}
                    </td>
                    <td data-label="Newest">
                        <When stamp=category.newest />
                    </td>
                    <td data-label="Oldest">
                        <When stamp=category.oldest />
                    </td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <table class="cards">
            <caption class="unseen">"Published events by category"</caption>
            <thead>
                <tr>
                    <th scope="col">"Category"</th>
                    <th scope="col" class="num">"Events"</th>
                    <th scope="col" class="num">"Newest id"</th>
                    <th scope="col">"Newest"</th>
                    <th scope="col">"Oldest"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

fn category_name(category: Option<String>) -> AnyView {
    match category {
        Some(name) if !name.is_empty() => name.into_any(),
        _ => view! { <span class="none">"no category"</span> }.into_any(),
    }
}

/// "5 from the first event on, 10 from position 101 on", with a warning about unusable rows.
fn chunks_in_words(chunks: &[Chunk]) -> String {
    if chunks.is_empty() {
        return "chunking_history is empty: the publisher cannot build pages.".to_owned();
    }
    let parts: Vec<String> = chunks
        .iter()
        .map(|chunk| match chunk.start {
            1 => format!("{} from the first event on", words::number(chunk.length)),
            start => format!("{} from position {} on", words::number(chunk.length), words::number(start)),
        })
        .collect();
    let parts = parts.join(", ");
    let fault = if chunks.iter().any(|chunk| chunk.length < 1 || chunk.start < 1) {
        "Lengths and starts in chunking_history must be 1 or more: otherwise"
    } else if chunks.iter().zip(chunks.iter().skip(1)).any(|(before, after)| after.start <= before.start) {
        "Each row of chunking_history, in the order of the ids, must start after the row before: otherwise"
    } else {
        return parts;
    };
    format!("{parts}. {fault} pages are missing or overlap, and consumers read events twice or stop.")
}

fn offset_markers(markers: Availability<OffsetMarkers>) -> AnyView {
    let heading = view! {
        <header class="inner">
            <h3>"Offset markers"</h3>
        </header>
    };
    let body = match markers {
        Availability::NotHere(reason) => view! {
            <div class="pad">
                <NotHere reason=reason />
            </div>
        }
        .into_any(),
        Availability::Here(markers) if markers.rows.is_empty() => view! {
            <p class="empty">"None. Pages are counted from the first event."</p>
            {not_listed(&markers)}
        }
        .into_any(),
        Availability::Here(markers) => view! {
            {miscounts(&markers)}
            <table class="cards">
                <caption class="unseen">"Offset markers by category"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Category"</th>
                        <th scope="col" class="num">"Up to event id"</th>
                        <th scope="col" class="num">"Events until there"</th>
                        <th scope="col" class="num">"Behind the newest"</th>
                    </tr>
                </thead>
                <tbody>{markers.rows.clone().into_iter().map(offset_marker).collect_view()}</tbody>
            </table>
            {not_listed(&markers)}
        }
        .into_any(),
    };
    view! {
        {heading}
        {body}
    }
    .into_any()
}

/// A warning if markers count events that do not exist.
fn miscounts(markers: &OffsetMarkers) -> Option<AnyView> {
    markers.rows.iter().any(|marker| marker.miscounts().is_some()).then(|| {
        view! {
            <Notice kind=NoticeKind::Warning>
                "An offset marker has a wrong count: events were deleted or restored later. Pages of the feed may miss events, or consumers may stop. Ask the database administrator to repair the offset marker."
            </Notice>
        }
        .into_any()
    })
}

/// The number of markers that the table does not list.
fn not_listed(markers: &OffsetMarkers) -> Option<AnyView> {
    let more = markers.with_category.saturating_sub(markers.rows.len() as u64);
    let more = (more > 0).then(|| format!("Not shown: {} with a category.", words::count(more, "offset marker")));
    let without = match markers.without_category {
        0 => None,
        1 => Some("1 offset marker has no category (NULL) and is not used.".to_owned()),
        several => Some(format!("{} offset markers have no category (NULL) and are not used.", words::number(several))),
    };
    let lines: Vec<String> = more.into_iter().chain(without).collect();
    (!lines.is_empty()).then(|| view! { <p class="small muted pad">{lines.join(" ")}</p> }.into_any())
}

fn offset_marker(marker: OffsetMarker) -> impl IntoView {
    let unknown = || view! { <span class="none">"not known"</span> }.into_any();
    let miscounts = marker.miscounts();
    let there_in_words = |there: u64| if there == 0 { "none".to_owned() } else { words::number(there) };
    let category = match marker.category.as_deref() {
        Some("") => "all categories".into_any(),
        _ => category_name(marker.category),
    };
    view! {
        <tr>
            <th scope="row">{category}</th>
            <td class="num" data-label="Up to event id">
                {marker.event_id.map_or_else(unknown, |id| view! { <Number value=id.0 /> }.into_any())}
            </td>
            <td class="num" data-label="Events until there">
                {marker.event_count.map_or_else(unknown, |events| view! { <Number value=events /> }.into_any())}
                {miscounts.map(|there| format!(" (the table has {})", there_in_words(there)))}
            </td>
            <td class="num" data-label="Behind the newest">
                {marker
                    .behind
                    .map_or_else(unknown, |events| view! { {words::count(events, "event")} }.into_any())}
            </td>
        </tr>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunking_is_told_in_words() {
        assert_eq!(chunks_in_words(&[Chunk { length: 5, start: 1 }]), "5 from the first event on");
        assert_eq!(
            chunks_in_words(&[Chunk { length: 5, start: 1 }, Chunk { length: 1000, start: 20_001 }]),
            "5 from the first event on, 1,000 from position 20,001 on"
        );
        assert!(chunks_in_words(&[]).contains("empty"));
        let (usual, row) = (Chunk { length: 5, start: 1 }, |length, start| Chunk { length, start });
        for wrong in [row(0, 8), row(3, 0), row(3, -1)] {
            assert!(chunks_in_words(&[usual.clone(), wrong]).contains("must be 1 or more"));
        }
        for start in [1, 4] {
            let told = chunks_in_words(&[usual.clone(), row(5, 5), row(10, start)]);
            assert!(told.contains("must start after the row before"), "{told}");
        }
    }
}
