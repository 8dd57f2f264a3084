//! One application: the state of each feed that it reads, its limits, and what it publishes itself.

mod publishes;
mod served;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

use crate::{
    api::overview::{list_applications, list_feed_causes, list_feed_retries, view_application, view_publisher},
    error::Problem,
    model::{
        ApplicationInfo, ApplicationView, Availability, DayCount, Feed, Limits, Marker, Reach, Seen, ShownState,
        application::COMPLETE_ENTRY,
        cause::{Cause, FeedCauses},
        concern::{About, Concern, ConcernKind},
        explain,
        feed::category_of,
        feed_pages::{FeedQuery, WhichPage},
        history::HistoryQuery,
        ledger::RequestKind,
        operation::FeedRetry,
        publisher::Publisher,
        quiet::{self, QuietPublisher},
    },
    ui::{
        components::{
            At, DayChart, FeedBadge, FeedLinks, LookedAt, NotHere, Notice, NoticeKind, Number, RetriesInProgress,
            ShortId, TopCauses, When, known, loaded, now, use_base, use_reader,
        },
        feed_names::FeedName,
        sentences,
        visitor::refused,
        words,
    },
};
use publishes::Publishes;
pub(super) use publishes::chunks_in_words;
use served::Served;

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
        let app = view.info.key.clone();
        let categories = publisher.as_ref().and_then(|read| read.as_ref().ok()?.categories.here().cloned());
        let served = view.probe.clone().map(|probe| {
            view! { <Served probe published=categories.unwrap_or_default() /> }
        });
        view! {
            <Application view applications quiet causes retries />
            {served}
            {publisher.map(|publisher| view! { <Publishes app publisher /> })}
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
                    let publisher = publisher_of(feed, &applications);
                    view! {
                        <FeedSheet
                            info=info.clone()
                            feed=feed.clone()
                            name=name
                            refused=refused.clone()
                            causes
                            retries
                            publisher
                        />
                    }
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
    /// The key of its publisher, if the reader may see that.
    publisher: Option<String>,
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
                    {lag(&feed)}
                    {markers(&feed, publisher.as_deref())}
                </dl>
            </div>
        </article>
    }
}

/// The key of the application that publishes a feed, if the console shows it to the reader.
fn publisher_of(feed: &Feed, applications: &[&ApplicationInfo]) -> Option<String> {
    let uri = feed.uri.as_deref()?;
    applications.iter().find(|info| info.is_publisher_of(uri)).map(|info| info.key.clone())
}

/// How far the consumer is behind its publisher, and where that leads.
fn lag(Feed { lag, forecast, .. }: &Feed) -> AnyView {
    let (now, reader) = (now(), use_reader());
    let behind = lag.as_ref().map(|lag| {
        let more = [forecast.trend(), forecast.level(&reader, now)].into_iter().flatten().filter(|_| lag.unread > 0);
        let told = std::iter::once(lag.in_short(now)).chain(more).collect::<Vec<_>>().join("; ");
        view! {
            <dt>"Behind the publisher"</dt>
            <dd>{told}</dd>
        }
    });
    let limit = forecast.limit(now).map(|told| {
        view! {
            <dt>"Failed events at this pace"</dt>
            <dd>{told}</dd>
        }
    });
    view! {
        {behind}
        {limit}
    }
    .into_any()
}

/// The page of the publisher's feed that a marker is on.
fn position(feed: &Feed, marker: &Marker) -> Option<FeedQuery> {
    let category = category_of(feed.uri.as_deref()?)?.into_owned();
    let entry = marker.last_read_entry_id.clone().filter(|entry| !entry.trim().is_empty());
    let which = match (&feed.lag, entry, marker.page_number()) {
        (Some(lag), _, _) => WhichPage::Of(lag.read_to),
        (None, Some(id), _) => WhichPage::Entry { id, record: None },
        (None, None, Some(number)) => WhichPage::Number(number),
        (None, None, None) => return None,
    };
    Some(FeedQuery { category, which })
}

/// How far the consumer has read; each marker if there are several.
fn markers(feed: &Feed, publisher: Option<&str>) -> AnyView {
    let Feed { markers, signs, .. } = feed;
    let base = use_base();
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
            let there = publisher.zip(position(feed, &marker)).map(|(publisher, query)| {
                view! { " " <a href=base.feed(publisher, &query)>"Show at the publisher"</a> }
            });
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
                    }} {there}
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
                {if days.is_empty() {
                    view! { <p class="muted">"The failures by day are not known: the console's own database does not answer."</p> }
                        .into_any()
                } else {
                    view! { <DayChart days wide=true /> }.into_any()
                }}
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
