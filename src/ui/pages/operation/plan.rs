//! The plan of an operation: what it would do, and the form that starts it.

use leptos::prelude::*;

use super::{Head, Rows, Turn};
use crate::{
    api::operations::{FeedOfPlan, OperationPage as Page},
    model::{
        ApplicationInfo, Feed, FeedState,
        error_text::visible,
        feed_names::{NamedFeed, called},
        ledger::RequestKind,
        obstacle::{no_address, untitled_in_plan},
        operation::{Operation, PlannedFeed},
    },
    ui::{
        components::{
            Back, Badge, FieldTold, FormToken, Icon, Notice, NoticeKind, Number, SeenAtWork, field_id, field_told,
            icon, use_base,
        },
        due,
        visitor::{lacking, typed},
        words,
    },
};

/// The plan, before it is started.
#[component]
pub(super) fn Plan(page: Page) -> impl IntoView {
    let operation = page.operation.clone();
    view! {
        <Head operation=operation.clone() />
        <section class="sheet plan" aria-label="The plan">
            <div class="pad">
                <Effect page=page.clone() />
                <FeedsOfPlan
                    kind=operation.kind
                    feeds=page.feeds.clone()
                    names=page.names.clone()
                    applications=page.applications.clone()
                />
                <Start page=page.clone() />
            </div>
        </section>
        <Rows page=page.clone() />
    }
    .into_any()
}

/// The effects of a plan, in sentences.
#[component]
fn Effect(page: Page) -> impl IntoView {
    let operation = &page.operation;
    let planned = operation.planned.unwrap_or(operation.counts.asked);
    let rows = words::count_first(planned, "failed event");
    let one = planned == 1;
    let worded = |of_one: &'static str, of_many: &'static str| if one { of_one } else { of_many };
    let mut effects = match operation.kind {
        RequestKind::Retry => vec![
            format!("{rows}: the retry counter is set to 0{}. Nothing else changes.", worded("", ", oldest first")),
            "New failures are not included.".to_owned(),
            format!("If the cause is not fixed, {} will fail again.", worded("it", "they")),
        ],
        RequestKind::Discard => {
            let copy = worded("A copy is kept.", "A copy of each is kept.");
            vec![
                format!("{rows}: removed from the table, with the rows of {} retry log.", worded("its", "their")),
                format!("The application will never process {}.", worded("this event", "these events")),
                match page.keep_days {
                    Some(days) => {
                        let days = words::count(u64::try_from(days).unwrap_or_default(), "day");
                        format!("{copy} You can restore it for {days}.")
                    }
                    None => format!("{copy} You can restore it at any time."),
                },
            ]
        }
        RequestKind::Restore => vec![
            format!("{rows}: restored as before, with the retry log."),
            worded(
                "If the event failed again since its discard, it is skipped and its copy is kept. If its id is in use, it gets a new \
                 one.",
                "Events that failed again since their discard are skipped, and their copies are kept. If an id is in use, the event \
                 gets a new one.",
            )
            .to_owned(),
            worded(
                "The restored event counts as a failed event again and can stop its feed.",
                "Restored events count as failed events again and can stop their feed.",
            )
            .to_owned(),
        ],
    };
    effects.extend(operation.left_out.clone());
    let later = order_matters(operation);
    let untitled = untitled_in_plan(operation.untitled);
    view! {
        {untitled.map(|sentence| view! { <Notice kind=NoticeKind::Warning>{sentence}</Notice> })}
        {later.map(|sentence| view! { <Notice kind=NoticeKind::Warning>{sentence}</Notice> })}
        <ul class="effects">{effects.into_iter().map(|effect| view! { <li>{visible(&effect)}</li> }).collect_view()}</ul>
    }
    .into_any()
}

/// If later events of the same records are known, the order of processing may matter.
fn order_matters(operation: &Operation) -> Option<String> {
    let mut parts = Vec::new();
    if operation.later_resolved > 0 {
        parts.push(format!("for {} a later event succeeded", words::count(operation.later_resolved, "record")));
    }
    if operation.later_failed > 0 {
        parts.push(format!("for {} a later event failed too", words::count(operation.later_failed, "record")));
    }
    let what = match operation.kind {
        RequestKind::Retry | RequestKind::Restore => {
            "A retry reads the current record. If one order changes another, retry the older event first."
        }
        RequestKind::Discard => "The later event is then processed without the discarded one.",
    };
    (!parts.is_empty()).then(|| format!("The order may matter: {}. {what}", words::listed(parts)))
}

/// The feeds of a plan's rows and their present numbers; for retries also how long the consumers will need.
#[component]
fn FeedsOfPlan(
    kind: RequestKind,
    feeds: Vec<FeedOfPlan>,
    names: Vec<NamedFeed>,
    applications: Vec<ApplicationInfo>,
) -> impl IntoView {
    let base = use_base();
    let heading = match kind {
        RequestKind::Discard | RequestKind::Restore => "Feed after this",
        RequestKind::Retry => "Expected time",
    };
    let rows = feeds
        .into_iter()
        .map(|FeedOfPlan { planned, feed }| {
            let info = applications.iter().find(|info| info.key == planned.app).cloned();
            let name = info.as_ref().map_or_else(|| visible(&planned.app), |info| info.name.clone());
            let href = base.application(&planned.app);
            // In a retry plan only rows that were not read lack a feed address.
            let unread = kind == RequestKind::Retry && planned.feed_uri.is_none();
            let label = match unread {
                true => "feed not known".to_owned(),
                false => called(&names, &applications, &planned.app, planned.feed_uri.as_deref()),
            };
            let stopped = feed.as_ref().is_some_and(|feed| feed.state == FeedState::Stopped);
            let stands = match (kind, &info) {
                (RequestKind::Discard, _) => after_discard(&planned, feed.as_ref()),
                (RequestKind::Restore, _) => after_restore(&planned, feed.as_ref(), info.as_ref()),
                (RequestKind::Retry, _) if unread => {
                    vec!["These events could not be read, or are not in the table.".to_owned()]
                }
                (RequestKind::Retry, Some(info)) => work(&planned, feed.as_ref(), info),
                (RequestKind::Retry, None) => Vec::new(),
            };
            let at_work = feed.and_then(|feed| feed.last_seen_at_work);
            let seen = (kind == RequestKind::Retry).then(|| view! { " " <SeenAtWork stamp=at_work /> });
            let assumed = info.as_ref().filter(|_| kind == RequestKind::Retry).and_then(due::assumed);
            view! {
                <tr>
                    <th scope="row">
                        <a href=href>{name}</a>
                        " · "
                        {label}
                    </th>
                    <td class="num" data-label="Failed events">
                        <Number value=planned.rows />
                    </td>
                    <td data-label=heading>
                        <div>
                            {stopped
                                .then(|| {
                                    view! { <Badge word="stopped" icon="stopped" text="Stopped: nothing new is read" /> }
                                })} <span class="small block">{stands.join(" ")} {seen} " " {assumed}</span>
                        </div>
                    </td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <table class="cards">
            <caption class="unseen">"The feeds of these events"</caption>
            <thead>
                <tr>
                    <th scope="col">"Feed"</th>
                    <th scope="col" class="num">"Failed events"</th>
                    <th scope="col">{heading}</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

/// How many of a feed's failed events remain after the rows of a plan are discarded.
fn after_discard(planned: &PlannedFeed, feed: Option<&Feed>) -> Vec<String> {
    let Some(feed) = feed else { return vec!["The number of failed events is not known.".to_owned()] };
    let (total, left) = (feed.counts.total, feed.counts.total.saturating_sub(planned.rows));
    vec![match left {
        0 => "No failed events left.".to_owned(),
        left => format!("{} of {} left.", words::number(left), words::count(total, "failed event")),
    }]
}

/// How many failed events a feed has after the rows of a plan are restored, and whether that stops it.
fn after_restore(planned: &PlannedFeed, feed: Option<&Feed>, info: Option<&ApplicationInfo>) -> Vec<String> {
    let total = feed.map_or(0, |feed| feed.counts.total).saturating_add(planned.rows);
    let limit = info.and_then(|info| info.limits_of(planned.feed_uri.as_deref()).max_failed_events);
    let mut said = vec![format!("{}.", words::count(total, "failed event"))];
    if let Some(limit) = limit.filter(|limit| total >= *limit) {
        said.push(format!("The limit is {}: the feed will be stopped.", words::number(limit)));
    }
    said
}

/// How long a feed's rows of a plan take. Events that already wait are added, except those that are rows of the plan.
fn work(planned: &PlannedFeed, feed: Option<&Feed>, info: &ApplicationInfo) -> Vec<String> {
    if no_address(planned.feed_uri.as_deref()) {
        return vec![due::NEVER_FOUND.to_owned()];
    }
    if info.limits.max_retry.is_none() {
        return vec![due::turn(&info.limits, None)];
    }
    if let Some(reason) = due::blocked(feed) {
        return vec![reason];
    }
    let others = feed.map_or(0, |feed| feed.counts.waiting).saturating_sub(planned.waiting);
    let mut work = vec![due::work(&info.limits, planned.rows.saturating_add(others))];
    match others {
        0 => {}
        1 => work.push("1 other event of the feed is waiting and counted here.".to_owned()),
        others => {
            work.push(format!("{} other events of the feed are waiting and counted here.", words::number(others)));
        }
    }
    work
}

/// The form that starts the operation, or why it cannot be started; one line if the user lacks the right.
#[component]
fn Start(page: Page) -> impl IntoView {
    let base = use_base();
    if let Some(lacking) = lacking(page.operation.kind.right()) {
        return view! { <p class="muted">{lacking}</p> }.into_any();
    }
    let operation = page.operation;
    let (id, kind) = (operation.id, operation.kind);
    let planned = operation.planned.unwrap_or(operation.counts.asked);
    let rows = words::count(planned, "failed event");
    let button = match kind {
        RequestKind::Retry => format!("Retry {rows}"),
        RequestKind::Discard => format!("Discard {rows}"),
        RequestKind::Restore => format!("Restore {rows}"),
    };
    let refused = page.refused;
    let off = !refused.is_empty()
        && operation.counts.asked > 0
        && page.feeds.iter().map(|feed| &feed.planned.app).collect::<std::collections::BTreeSet<_>>().len()
            <= refused.len();
    let needs_reason = kind == RequestKind::Discard;
    let label = if needs_reason { "Reason (required): why these events are not needed" } else { "Reason (optional)" };
    view! {
        {refused
            .into_iter()
            .map(|why| view! { <Notice kind=NoticeKind::Warning>{visible(&why)}</Notice> })
            .collect_view()}
        <form method="post" action=base.function("start_operation") class="ask">
            <FormToken />
            <Back />
            <input type="hidden" name="id" value=id.to_string() />
            <label>
                <span>{label}</span>
                <input
                    id=field_id("reason")
                    name="reason"
                    maxlength="1000"
                    autocomplete="off"
                    required=needs_reason
                    value=typed("reason")
                    aria-describedby=field_told("reason")
                />
                <FieldTold name="reason" />
            </label>
            {(planned > 1)
                .then(|| {
                    let first = operation.pace.try_first;
                    let filled = ["per_minute", "try_first", "try_needed"].into_iter().filter_map(typed);
                    let open = first.is_some() || filled.into_iter().any(|text| !text.trim().is_empty());
                    view! {
                        <details open=open>
                            <summary>"Options: limit the speed or test a few first"</summary>
                            <Count name="per_minute" text="Maximum per minute (empty: no limit)" />
                            {(kind == RequestKind::Retry)
                                .then(|| {
                                    view! {
                                        <Count
                                            name="try_first"
                                            text="Test with the first … events (empty: no test)"
                                            suggested=first.map(|first| first.rows)
                                        />
                                        <Count
                                            name="try_needed"
                                            text="Continue if … of them succeed (empty: all)"
                                            suggested=first.map(|first| first.needed)
                                        />
                                    }
                                })}
                        </details>
                    }
                })}
            <div class="bar">
                <button type="submit" class=if kind == RequestKind::Discard { "danger" } else { "primary" } disabled=off>
                    <Icon name=icon(kind) />
                    {button}
                </button>
            </div>
        </form>
        <Turn id kind=kind turn="drop" text="Cancel" />
    }
    .into_any()
}

/// A field for an optional number.
#[component]
fn Count(name: &'static str, text: &'static str, #[prop(optional_no_strip)] suggested: Option<u32>) -> impl IntoView {
    let value = typed(name).or_else(|| suggested.map(|number| number.to_string()));
    view! {
        <label>
            <span>{text}</span>
            <input
                id=field_id(name)
                name=name
                inputmode="numeric"
                pattern="[0-9]*"
                autocomplete="off"
                value=value
                aria-describedby=field_told(name)
            />
            <FieldTold name />
        </label>
    }
    .into_any()
}
