//! One failed event: what failed, why, what to do, and what happened so far.

mod errors;
mod timeline;

use chrono::{DateTime, Utc};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_url};

use crate::{
    api::{
        failed_events::{EventPage, MissingPart, view_failed_event},
        history::{CopyPage, LifePage, view_copy_of_row, view_life_of_row},
    },
    error::Problem,
    model::{
        ApplicationInfo, EventKey, EventState, FailedEventRow, FailedSince, FeedState,
        advice::{self, Subject, advise_on},
        application::name_of,
        error_text::visible,
        feed::category_of,
        feed_names::{NamedFeed, called},
        feed_pages::{FeedQuery, WhichPage},
        filter::ListQuery,
        ledger::{Asked, RequestKind},
        obstacle::untitled,
        payload::record_uuid,
        says,
    },
    paths::Base,
    ui::{
        components::{
            At, Back, Badge, Done, EventBadge, FormToken, Icon, LifeBadge, MOVES, Neighbours, Notice, NoticeKind,
            Outcome, PlanSubmit, SeenAtWork, ShortId, Since, TicketText, When, list_at, loaded, now, ticket_of_event,
            use_base,
        },
        due::{self, Offer, SetBack},
        islands::Follows,
        pages::life::{CopyOfRow, Life},
        visitor::{lacking, refused},
        words,
    },
};
use errors::{Errors, PayloadSheet, Text, Whole};
use timeline::Timeline;

/// The page of a failed event. Its query string is that of the list from which it was opened.
#[component]
pub fn FailedEventPage() -> impl IntoView {
    let params = use_params_map().read_untracked().clone();
    let query = use_url().read_untracked().search().trim_start_matches('?').to_owned();
    let (app, id) = (params.get("app").unwrap_or_default(), params.get("id").unwrap_or_default());
    let list = ListQuery::parse(&query).unwrap_or_default();
    loaded(load(app, id, query), move |shown| match shown {
        Shown::Event(shown) => {
            let (page, done) = *shown;
            view! { <Event page list done /> }.into_any()
        }
        Shown::Life(page) => view! { <Life page=*page list=Some(list.clone()) /> }.into_any(),
        Shown::Copy(page) => view! { <CopyOfRow page=*page list=list.clone() /> }.into_any(),
    })
}

/// What the page shows.
enum Shown {
    Event(Box<(EventPage, Option<Done>)>),
    /// The row is missing from the table: the event's life in the ledger.
    Life(Box<LifePage>),
    /// The console discarded it before the ledger had an entry of it.
    Copy(Box<CopyPage>),
}

async fn load(app: String, id: String, query: String) -> Result<Shown, Problem> {
    match view_failed_event(app.clone(), id.clone(), query.clone()).await {
        Ok(page) => Ok(Shown::Event(Box::new((page, Done::of_query(&query).await)))),
        // Whatever fails in the history, the row is missing: the 404 remains true.
        Err(problem) if problem.status == 404 => match view_life_of_row(app.clone(), id.clone(), query).await {
            Ok(Some(life)) => Ok(Shown::Life(Box::new(life))),
            Ok(None) | Err(_) => match view_copy_of_row(app, id).await {
                Ok(Some(copy)) => Ok(Shown::Copy(Box::new(copy))),
                Ok(None) | Err(_) => Err(problem),
            },
        },
        Err(problem) => Err(problem),
    }
}

#[component]
fn Event(page: EventPage, list: ListQuery, done: Option<Done>) -> impl IntoView {
    let latest = page.event.latest().cloned();
    // For masked texts the group's title is used, which is the same on every page.
    let group = page.group.as_ref().filter(|_| page.masked.is_some()).map(|group| visible(&group.title));
    let heading = group.filter(|title| !title.trim().is_empty()).unwrap_or_else(|| {
        match latest.as_ref().and_then(|attempt| attempt.error.as_deref()) {
            Some(error) => says(Some(error)),
            None => page.event.row.says(),
        }
    });
    view! {
        <Title text=heading.clone() />
        <Follows app=Some(page.info.key.clone()) again=None />
        <Outcome done />
        {page
            .masked
            .clone()
            .map(|masked| {
                view! {
                    <Notice kind=NoticeKind::Info>
                        <p>
                            "Error texts and payload are masked: you see the kind of error and of record. "
                            {masked.why} " " {masked.advice}
                        </p>
                    </Notice>
                }
            })}
        <Head page=page.clone() list=list.clone() heading />
        <div class="event">
            <div class="column">
                <Standing page=page.clone() list=list.clone() />
                <Errors event=page.event.clone() key=key(&page) latest masked=page.masked.is_some() />
                <PayloadSheet page=page.clone() />
                <TicketText text=ticket_of_event(&page) />
            </div>
            <div class="column">
                <Timeline event=page.event.clone() key=key(&page) masked=page.masked.is_some() />
                <Facts page=page.clone() />
                <SameRecord
                    rows=page.same_record
                    missing=page.same_record_missing
                    names=page.names
                    applications=page.applications
                    here=page.info
                    list
                />
            </div>
        </div>
    }
    .into_any()
}

fn key(page: &EventPage) -> EventKey {
    EventKey { app: page.info.key.clone(), id: page.event.row.id }
}

/// Heading, if there is one, and links to the neighbours.
#[component]
fn Head(page: EventPage, list: ListQuery, heading: String) -> impl IntoView {
    let base = use_base();
    let row = &page.event.row;
    let feed = called(&page.names, &page.applications, &row.app, row.feed_uri.as_deref());
    view! {
        <div class="head">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb">
                    <a href=list_at(&base, &list, &key(&page))>"Back to the list"</a>
                    <a href=base.application(&page.info.key)>{page.info.name.clone()}</a>
                    <span>{feed}</span>
                </nav>
                <h1>{heading}</h1>
                <p class="lead">
                    {row.called.as_deref().map(|called| format!("{}. ", visible(called)))}
                    {row.of_record.as_ref().map(|(app, record)| {
                        view! { <a href=base.record(app, record)>"Where is it?"</a> " " }
                    })}
                    {what(row, &page.info)} {match (row.failed_since(), row.failed_at.clone()) {
                        (FailedSince::First(Some(stamp)), _) if !stamp.is_no_date() => view! { " First failed " <When stamp /> "." }.into_any(),
                        (FailedSince::Changed(Some(stamp)), _) => {
                            view! { " Last changed " <When stamp /> "; when it failed first is not known." }.into_any()
                        }
                        (FailedSince::Seen(at), Some(stamp)) => {
                            view! { " First seen failed " <At at /> ", last changed " <When stamp /> "." }.into_any()
                        }
                        (FailedSince::ChangedBefore(at), Some(stamp)) => {
                            view! { " Failed before " <At at /> ", last changed " <When stamp /> "." }.into_any()
                        }
                        _ => " When it failed first is not known.".into_any(),
                    }}
                </p>
            </div>
            <Neighbours previous=page.previous.clone() next=page.next.clone() list=list.clone() />
        </div>
    }
    .into_any()
}

/// `Encounter b6c1f2e4…8a11 could not be processed by Odoo.`
fn what(row: &FailedEventRow, info: &ApplicationInfo) -> String {
    format!("{} could not be processed by {}.", row.naming().record(), visible(&info.name))
}

/// The state, its meaning, what to do, and the button for it.
#[component]
fn Standing(page: EventPage, list: ListQuery) -> impl IntoView {
    let row = &page.event.row;
    let limits = &page.info.limits;
    let offer = Offer::of(row, page.retry_refused.as_deref());
    let known = page.event.latest().and_then(|attempt| attempt.error.as_deref()).or(row.error.as_deref());
    let about = Subject::of_row(row, Some(page.info.kind));
    let advice = known.and_then(|error| advise_on(error, &about));
    let gone = advice.is_some_and(|advice| advice.gone);
    let obstacle = row.obstacle();
    let queued = offer.is_open() || row.retries == Some(0) && obstacle.is_none();
    let blocked = due::blocked(page.feed.as_ref()).filter(|_| queued);
    // If every run gives up, none can write its own count over the reset.
    let offer = if blocked.is_some() && offer == Offer::Risky { Offer::Plain } else { offer };
    // A blocked event is not simply late: the reason is known.
    let waits_in_vain = blocked.clone().filter(|_| row.state == EventState::Waiting);
    let overdue = overdue(&page).filter(|_| blocked.is_none());
    let comes = match (blocked, overdue) {
        _ if !queued || waits_in_vain.is_some() => None,
        (Some(reason), _) => Some(reason),
        (None, Some(_)) => None,
        (None, None) => Some(match row.state {
            EventState::Exhausted => due::turn_after_retry(limits, page.ahead),
            EventState::Waiting | EventState::Unknown => due::turn(limits, page.ahead),
        }),
    };
    let stopped = stopped(&page);
    // An earlier request has no effect if no retry helps.
    let asked = page.life.as_ref().and_then(|life| life.asked).filter(|_| obstacle.is_none());
    let untitled = queued && obstacle.is_none() && untitled(row.title.as_deref());
    let life = page.life.as_ref().map(|life| use_base().life(life.id));
    let attempts = page.event.attempts.here().map(|_| page.event.attempts_total);
    let set_back = SetBack { from: page.set_back, attempts };
    let at_work = page.last_seen_at_work.clone();
    view! {
        <section class="sheet standing" aria-label="State and retry">
            <header>
                {match (asked, overdue.is_some()) {
                    _ if waits_in_vain.is_some() => {
                        view! { <Badge word="warning" icon="failing" text="Retry blocked" /> }.into_any()
                    }
                    (_, true) => view! { <Badge word="warning" icon="failing" text="Retry overdue" /> }.into_any(),
                    (Some(asked), _) => view! { <LifeBadge state=row.state.into() asked=Some(asked) /> }.into_any(),
                    (None, _) => view! { <EventBadge state=row.state /> }.into_any(),
                }}
                <span data-say="">
                    {asked.map(|asked| format!("{} ", asked_words(asked)))}
                    {match (waits_in_vain, overdue) {
                        (Some(reason), _) => reason,
                        (None, Some(since)) => due::overdue("this feed", since, now()),
                        (None, None) => due::state(row, limits, set_back),
                    }}
                </span>
                {life.map(|href| view! { <a class="push" href=href>"History"</a> })}
            </header>
            <div class="pad">
                {advice
                    .map(|advice| {
                        view! {
                            <div class="advice">
                                <Icon name="info" />
                                <div>
                                    <p>
                                        <strong>{advice.meaning}</strong>
                                    </p>
                                    <p>{advice.todo}</p>
                                </div>
                            </div>
                        }
                    })}
                {stopped
                    .map(|sentence| view! { <Notice kind=NoticeKind::Warning>{sentence}</Notice> })}
                {later(&page).map(|sentence| view! { <Notice kind=NoticeKind::Warning>{sentence}</Notice> })}
                {untitled.then(|| view! { <Notice kind=NoticeKind::Warning>{due::UNTITLED}</Notice> })}
                <RetryForm page=page.clone() list offer gone />
                <p class="muted">
                    {comes.map(|sentence| format!("{sentence} "))} <SeenAtWork stamp=at_work />
                    {due::assumed(&page.info).map(|sentence| format!(" {sentence}"))}
                </p>
                <InGroup page=page.clone() />
                <DiscardForm page=page.clone() gone />
            </div>
        </section>
    }
    .into_any()
}

/// Returns since when the retry of this event is overdue: the event is waiting, and the retry job has not processed its
/// feed for long.
fn overdue(page: &EventPage) -> Option<DateTime<Utc>> {
    let waits = page.event.row.state == EventState::Waiting && page.event.row.obstacle().is_none();
    page.feed.as_ref().filter(|_| waits)?.signs.unretried_since
}

/// The outcome of the last request so far.
fn asked_words(asked: Asked) -> &'static str {
    match asked {
        Asked::Requested => "Retry requested: no result yet.",
        Asked::FailedAgain => "Failed again after the retry.",
        Asked::Overwritten => "The retry was lost: another retry was running. Press Retry again.",
    }
}

/// A stopped feed reads nothing new, whatever happens to this event.
fn stopped(page: &EventPage) -> Option<String> {
    let feed = page.feed.as_ref().filter(|feed| feed.state == FeedState::Stopped)?;
    let limit = page.info.limits_of(feed.uri.as_deref()).max_failed_events?;
    Some(format!(
        "This feed is stopped: {}, the limit is {}. Nothing new is read until some of them succeed. Retries continue.",
        words::count(feed.counts.total, "failed event"),
        words::number(limit),
    ))
}

/// If the ledger has later events of the same record, their order of processing may matter.
fn later(page: &EventPage) -> Option<String> {
    let (resolved, failed) = page.later;
    let mut parts = Vec::new();
    if resolved > 0 {
        parts.push(format!("{} of the same record succeeded", words::count(resolved, "later event")));
    }
    if failed > 0 {
        parts.push(format!("{} of it failed too", words::count(failed, "later event")));
    }
    (!parts.is_empty()).then(|| {
        format!(
            "The order may matter: {}. A retry reads the current record. If one order changes another, retry the older event \
             first.",
            words::listed(parts)
        )
    })
}

/// The failed events with the same fault, and the note on them.
#[component]
fn InGroup(page: EventPage) -> impl IntoView {
    let base = use_base();
    page.group
        .map(|group| {
            let others = match group.failed.saturating_sub(1) {
                0 => "No other event has the same error".to_owned(),
                1 => "1 other event has the same error".to_owned(),
                others => format!("{} other events have the same error", words::number(others)),
            };
            let note = group.note.map(|written| written.note).into_iter().flat_map(|note| {
                [("What it is: ", note.what), ("What to do: ", note.todo), ("Owner: ", note.looks_after)]
            });
            let note = note
                .filter(|(_, text)| !text.is_empty())
                .map(|(name, text)| view! { <p class="lines">{name} {visible(&text)}</p> })
                .collect_view();
            view! {
                <div class="in-group">
                    {note} <p>{others} ": " <a href=base.group(group.fault)>{visible(&group.title)}</a></p>
                </div>
            }
        })
        .into_any()
}

/// The form that plans to discard this event alone. `gone`: the record is missing, so only discarding is left.
#[component]
fn DiscardForm(page: EventPage, gone: bool) -> impl IntoView {
    let base = use_base();
    let may = refused(RequestKind::Discard.right()).is_none();
    let value = due::row_value(&page.event.row).filter(|_| may && !page.info.read_only);
    value
        .map(|value| {
            view! {
                <form method="post" action=base.function("plan_operation") class="bar">
                    <FormToken />
                    <Back />
                    <input type="hidden" name="rows[]" value=value />
                    <PlanSubmit kind=RequestKind::Discard text="Discard…" class=if gone { "" } else { "quiet" } />
                    <span class="small muted">
                        {if gone {
                            "Suggested: the record was deleted. You can restore the event later."
                        } else {
                            "Removes the event. You can restore it later."
                        }}
                    </span>
                </form>
            }
        })
        .into_any()
}

/// The main button of the page; one line if the user may not retry. If it is disabled, the reason is next to it.
/// `gone`: the record is missing.
#[component]
fn RetryForm(page: EventPage, list: ListQuery, offer: Offer, gone: bool) -> impl IntoView {
    let base = use_base();
    let action = base.function("retry");
    // The page to return to, below the base path.
    let back = Base::default().failed_event(&key(&page), Some(&list));
    if let Some(lacking) = lacking(RequestKind::Retry.right()) {
        // If no retry helps, another role would change nothing.
        let why = page.event.row.obstacle().map_or(lacking, |obstacle| obstacle.why().to_owned());
        return view! { <p class="muted">{why}</p> }.into_any();
    }
    match offer {
        Offer::Off(why) => view! {
            <div class="bar">
                <button type="button" class="off" aria-disabled="true" aria-describedby="why-off">
                    <Icon name="retry" />
                    "Retry"
                </button>
                <span id="why-off">{why}</span>
            </div>
        }
        .into_any(),
        open => view! {
            <form method="post" action=action class="bar">
                <FormToken />
                <input type="hidden" name="back" value=back />
                <button
                    type="submit"
                    class="primary"
                    name="only"
                    value=due::row_value(&page.event.row)
                    data-retry-main=""
                >
                    <Icon name="retry" />
                    "Retry"
                </button>
                {(open == Offer::Risky).then(|| view! { <span class="risk">{due::RISK}</span> })}
                {gone.then(|| view! { <span class="risk">{advice::GONE}</span> })}
            </form>
        }
        .into_any(),
    }
}

/// Copies a text that the page shows shortened.
#[component]
fn CopyText(text: String, what: &'static str) -> impl IntoView {
    let label = format!("Copy the {what}");
    view! {
        " "
        <button type="button" class="quiet small copy" data-copy=visible(&text) data-done="Copied" aria-label=label hidden=true>
            "Copy"
        </button>
    }
    .into_any()
}

#[component]
fn Facts(page: EventPage) -> impl IntoView {
    let base = use_base();
    let row = page.event.row;
    let since = row.failed_since();
    let info = page.info;
    let text = |value: Option<String>, what| match value.filter(|value| !value.is_empty()) {
        Some(value) => view! {
            <ShortId text=visible(&value) keep=72 />
            <CopyText text=value what />
        }
        .into_any(),
        None => view! { <span class="none">"none"</span> }.into_any(),
    };
    let record = row.payload.as_deref().and_then(record_uuid);
    let in_feed = in_feed(&row, record.clone(), &page.applications, &base);
    let plain = |value: Option<String>| match value.filter(|value| !value.is_empty()) {
        Some(value) => visible(&value).into_any(),
        None => view! { <span class="none">"none"</span> }.into_any(),
    };
    view! {
        <section class="sheet" aria-labelledby="facts-title">
            <header>
                <h2 id="facts-title">"Details"</h2>
            </header>
            <dl class="facts inner">
                <dt>"Application"</dt>
                <dd>
                    <a href=base.application(&info.key)>{info.name.clone()}</a>
                    " "
                    <span class="small muted">{info.address.clone()}</span>
                </dd>
                <dt>"Title"</dt>
                <dd>{plain(row.title)}</dd>
                {match since {
                    FailedSince::First(stamp) => view! {
                        <dt>"First failed"</dt>
                        <dd>
                            <When stamp exact=true />
                        </dd>
                    }
                    .into_any(),
                    FailedSince::Changed(stamp) => view! {
                        <dt>"Last changed"</dt>
                        <dd>
                            <When stamp exact=true />
                            <span class="small muted block">{MOVES}</span>
                        </dd>
                    }
                    .into_any(),
                    FailedSince::Seen(at) | FailedSince::ChangedBefore(at) => view! {
                        <dt>{if matches!(since, FailedSince::Seen(_)) { "First seen failed" } else { "Last change when first seen" }}</dt>
                        <dd>
                            <At at exact=true />
                        </dd>
                        <dt>"Last changed"</dt>
                        <dd>
                            <When stamp=row.failed_at exact=true />
                            <span class="small muted block">{MOVES}</span>
                        </dd>
                    }
                    .into_any(),
                }}
                <dt>"Retries"</dt>
                <dd>{due::retries(row.retries, Some(&info.limits))}</dd>
                // Technical values come last.
                <dt>"Tags"</dt>
                <dd>{plain(row.tags)}</dd>
                <dt>"Record"</dt>
                <dd>{text(record, "record id")}</dd>
                <dt>"Event"</dt>
                <dd>{text(row.event_id, "event id")}</dd>
                <dt>"Feed"</dt>
                <dd>{text(row.feed_uri, "feed address")} {in_feed}</dd>
                <dt>"Database row"</dt>
                <dd>
                    <code>{row.id.to_string()}</code>
                </dd>
            </dl>
        </section>
    }
    .into_any()
}

/// A link to the page of the publisher's feed that has the event, if the reader may see the publisher.
fn in_feed(
    row: &FailedEventRow,
    record: Option<String>,
    applications: &[ApplicationInfo],
    base: &Base,
) -> Option<AnyView> {
    let uri = row.feed_uri.as_deref()?;
    let publisher = applications.iter().find(|info| info.is_publisher_of(uri))?;
    let category = category_of(uri)?.into_owned();
    let id = row.event_id.clone().filter(|id| !id.trim().is_empty())?;
    let query = FeedQuery { category, which: WhichPage::Entry { id, record } };
    Some(view! { " " <a href=base.feed(&publisher.key, &query)>"Show its page of the feed"</a> }.into_any())
}

/// Other failed events of the same record, with their states; the reader decides which of them matters.
#[component]
fn SameRecord(
    rows: Vec<FailedEventRow>,
    missing: Vec<MissingPart>,
    names: Vec<NamedFeed>,
    applications: Vec<ApplicationInfo>,
    here: ApplicationInfo,
    list: ListQuery,
) -> impl IntoView {
    let base = use_base();
    let empty = rows.is_empty();
    let whole = missing.is_empty();
    let rows = rows
        .into_iter()
        .map(|row| {
            let name = name_of(applications.iter().chain([&here]), &row.app);
            let feed = called(&names, &applications, &row.app, row.feed_uri.as_deref());
            let href = base.failed_event(&EventKey { app: row.app.clone(), id: row.id }, Some(&list));
            view! {
                <li>
                    <EventBadge state=row.state />
                    <span>
                        <a href=href>
                            {row.says()} <span class="unseen">{format!(", row {} of {name}", row.id)}</span>
                        </a>
                        <span class="small muted block">
                            {name} " · " {feed} " · "
                            <Since since=row.failed_since() />
                        </span>
                    </span>
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="sheet" aria-labelledby="same-title">
            <header>
                <h2 id="same-title">"Same record"</h2>
            </header>
            {if empty && whole {
                view! { <p class="pad muted">"No other failed events of this record."</p> }.into_any()
            } else {
                view! { <ul class="same plain pad">{rows}</ul> }.into_any()
            }}
            {missing
                .into_iter()
                .map(|part| {
                    view! {
                        <p class="pad small">{part.app.name} " could not be searched: " {part.reason} " " {part.advice}</p>
                    }
                })
                .collect_view()}
        </section>
    }
    .into_any()
}
