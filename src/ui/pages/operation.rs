//! One operation: its plan before anything is changed, its progress while it runs, and the outcome of each row.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};

use super::operations::{StageBadge, place};
use crate::{
    api::operations::{FeedOfPlan, OperationPage as Page, view_operation},
    error::Problem,
    model::{
        ApplicationInfo, EventKey, FailedSince, Feed, FeedState,
        application::name_of,
        error_text::visible,
        feed_names::{NamedFeed, called},
        fingerprint,
        ledger::{RequestKind, RequestOutcome},
        obstacle::{no_address, untitled_in_plan},
        operation::{Operation, OperationRow, PlannedFeed, RowCourse, RowOutcome, Stage, WhichRows},
        time_left::{FeedWork, time_left},
    },
    ui::{
        components::{
            At, Back, Badge, FieldTold, FormToken, Icon, Notice, NoticeKind, Number, PlanButton, PlanOf, SeenAtWork,
            ShortId, Since, Steps, field_id, field_told, here, icon, loaded, now, outcome_kind, since_heading,
            use_base,
        },
        due,
        islands::Follows,
        sentences,
        visitor::{lacking, refused, typed},
        words,
    },
};

#[component]
pub fn OperationPage() -> impl IntoView {
    let id = use_params_map().read_untracked().get("id").unwrap_or_default();
    let after = place("after");
    let which = use_query_map().read_untracked().get("rows");
    let answer = async move {
        let id = id
            .parse()
            .map_err(|_| Problem::not_found("There is no such operation.", "Open the list of operations."))?;
        view_operation(id, after?, which).await
    };
    loaded(answer, |page| match page.operation.stage {
        Stage::Planning => view! { <BeingPlanned page /> }.into_any(),
        Stage::Draft => view! { <Plan page /> }.into_any(),
        _ => view! { <Running page /> }.into_any(),
    })
}

#[component]
fn Head(operation: Operation) -> impl IntoView {
    let base = use_base();
    let heading = visible(&sentences::scope(&operation));
    view! {
        <Title text=heading.clone() />
        <div class="head">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb">
                    <a href=base.operations()>"Operations"</a>
                    <span>{format!("Operation {}", operation.id)}</span>
                </nav>
                <h1>{heading}</h1>
            </div>
        </div>
    }
    .into_any()
}

/// The plan is still being written.
#[component]
fn BeingPlanned(page: Page) -> impl IntoView {
    let (id, kind) = (page.operation.id, page.operation.kind);
    view! {
        <Head operation=page.operation />
        <Follows app=None again=Some(2) />
        <Notice kind=NoticeKind::Info>
            <strong data-say="">"Creating the plan. Nothing is changed yet."</strong>
            <p>{format!("{} so far.", words::count_first(page.so_far, "event"))}</p>
        </Notice>
        <div class="bar">
            <Turn id kind=kind turn="drop" text="Cancel" />
        </div>
    }
    .into_any()
}

/// The plan, before it is started.
#[component]
fn Plan(page: Page) -> impl IntoView {
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
                    let filled = ["per_minute", "try_first", "try_needed"].into_iter().filter_map(typed);
                    let open = filled.into_iter().any(|text| !text.trim().is_empty());
                    view! {
                        <details open=open>
                            <summary>"Options: limit the speed or test a few first"</summary>
                            <Count name="per_minute" text="Maximum per minute (empty: no limit)" />
                            {(kind == RequestKind::Retry)
                                .then(|| {
                                    view! {
                                        <Count name="try_first" text="Test with the first … events (empty: no test)" />
                                        <Count name="try_needed" text="Continue if … of them succeed (empty: all)" />
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
fn Count(name: &'static str, text: &'static str) -> impl IntoView {
    view! {
        <label>
            <span>{text}</span>
            <input
                id=field_id(name)
                name=name
                inputmode="numeric"
                pattern="[0-9]*"
                autocomplete="off"
                value=typed(name)
                aria-describedby=field_told(name)
            />
            <FieldTold name />
        </label>
    }
    .into_any()
}

/// A button that pauses, resumes or cancels; empty if the user lacks the right. Dropping a plan leads to the page on
/// which it was made.
#[component]
fn Turn(id: i64, kind: RequestKind, turn: &'static str, text: &'static str) -> impl IntoView {
    let base = use_base();
    if refused(kind.right()).is_some() {
        return ().into_any();
    }
    view! {
        <form method="post" action=base.function("turn_operation") class="inline">
            <FormToken />
            <input type="hidden" name="back" value=if turn == "drop" { made_on() } else { Some(here()) } />
            <input type="hidden" name="id" value=id.to_string() />
            <button type="submit" name="turn" value=turn>
                {text}
            </button>
        </form>
    }
    .into_any()
}

/// Returns the page on which a plan was made, if its address says so.
fn made_on() -> Option<String> {
    use_query_map().read_untracked().get("back")
}

/// An operation that has started.
#[component]
fn Running(page: Page) -> impl IntoView {
    let base = use_base();
    let operation = page.operation.clone();
    let (id, stage, of_kind) = (operation.id, operation.stage, operation.kind);
    let late = late(&page);
    // If the retry job does not run, no time is promised.
    let left = late.is_none().then(|| time_left(&operation, &work_of(&page), now())).flatten();
    let outcome = sentences::outcome(&operation, left);
    let expected = (of_kind == RequestKind::Retry && operation.awaited() > 0 && operation.tried() == 0)
        .then(|| due_of(&page.feeds, &page.applications, &page.names));
    let (kind, note, badge) = (outcome_kind(&operation), operation.note.clone(), operation.clone());
    let (progress, failed_again) = (operation.clone(), operation.followed.failed_again);
    let again = stage.is_under_way().then_some(2);
    // Until the end, the sentence changes with every event: screen readers announce tenths instead.
    let ended = !stage.is_under_way() && operation.awaited() == 0;
    view! {
        <Head operation=operation.clone() />
        <Follows app=None again />
        <Notice kind>
            <p>
                <span data-say="">
                    <StageBadge operation=badge />
                </span>
                " "
                <strong data-say=ended.then_some("")>{outcome}</strong>
            </p>
            <Progress operation=progress />
            {late.map(|late| view! { <p>{late}</p> })}
            {note.map(|note| view! { <p>{visible(&note)}</p> })}
            {expected}
        </Notice>
        <div class="bar">
            {matches!(stage, Stage::Running | Stage::Trying).then(|| view! { <Turn id kind=of_kind turn="pause" text="Pause" /> })}
            {(stage == Stage::Paused).then(|| view! { <Turn id kind=of_kind turn="resume" text="Continue" /> })}
            {(stage == Stage::Trying).then(|| view! { <Turn id kind=of_kind turn="resume" text="Continue without waiting" /> })}
            {stage.is_under_way().then(|| view! { <Turn id kind=of_kind turn="cancel" text="Cancel" /> })}
            {(failed_again > 0)
                .then(|| {
                    let text = format!("Retry the {} that failed again…", words::number(failed_again));
                    view! { <PlanButton kind=RequestKind::Retry of=PlanOf::FailedAgain(id) text /> }
                })}
            {(page.restorable > 0 && !stage.is_under_way())
                .then(|| {
                    let text = format!("Restore {}…", words::count(page.restorable, "event"));
                    view! {
                        <PlanButton kind=RequestKind::Restore of=PlanOf::CopiesOf(id) text />
                        <a class="button" href=base.discarded(Some(id))>
                            "Show the discarded events"
                        </a>
                    }
                })}
        </div>
        <Outcomes page=page.clone() />
        <Rows page=page.clone() />
        <FactsOf operation=operation.clone() />
    }
    .into_any()
}

/// Returns the work of a retry for the retry job of each feed, without rows that have no feed address: no retry job
/// processes them.
fn work_of(page: &Page) -> Vec<FeedWork> {
    let planned = page.feeds.iter().map(|feed| &feed.planned).filter(|feed| !no_address(feed.feed_uri.as_deref()));
    planned
        .filter_map(|feed| {
            let info = page.applications.iter().find(|info| info.key == feed.app)?;
            Some(FeedWork { rows: feed.rows, limits: info.limits_of(feed.feed_uri.as_deref()) })
        })
        .collect()
}

/// The progress: rows of a retry with a result, or rows written by the other operations.
#[component]
fn Progress(operation: Operation) -> impl IntoView {
    let counts = operation.counts;
    let asked = operation.planned.unwrap_or(counts.asked).max(counts.asked);
    let written = counts.done() + counts.left_alone();
    let (value, of, what) = match operation.kind {
        RequestKind::Retry if operation.awaited() > 0 && written >= asked => {
            (operation.tried(), operation.followed.all(), "tried")
        }
        _ if operation.stage.is_under_way() => (written, asked, "processed"),
        _ => return ().into_any(),
    };
    view! {
        <p>
            <progress value=value.to_string() max=of.to_string() aria-label=format!("Events {what}")></progress>
            " "
            {format!("{} of {} {what}", words::number(value), words::number(of))}
            {tenths(value, of).map(|percent| {
                view! {
                    <span class="unseen" data-say="">
                        {format!("{percent} % {what}")}
                    </span>
                }
            })}
        </p>
    }
    .into_any()
}

/// Returns the share of a whole in percent, rounded down to tens; `None` below ten.
fn tenths(value: u64, of: u64) -> Option<u64> {
    let tens = u128::from(value) * 10 / u128::from(of.max(1));
    u64::try_from(tens.min(10) * 10).ok().filter(|percent| *percent > 0)
}

/// If results are awaited and a feed's retry job has not run for long, that is said instead of an estimate.
fn late(page: &Page) -> Option<String> {
    if page.operation.awaited() == 0 {
        return None;
    }
    let since = page.feeds.iter().filter_map(|feed| feed.feed.as_ref()?.signs.unretried_since).min()?;
    Some(due::overdue(since, now()))
}

/// The results of a retry, each with a link to its rows; and the rows that failed again, by cause.
#[component]
fn Outcomes(page: Page) -> impl IntoView {
    let base = use_base();
    let seen = page.operation.followed;
    if page.operation.kind != RequestKind::Retry || seen.all() == 0 {
        return ().into_any();
    }
    let (id, shown) = (page.operation.id, page.which);
    let link = |which: WhichRows, rows: u64, of: String| {
        let href = base.operation_rows(id, which, None) + "#rows";
        let current = (which == shown).then_some("true");
        view! {
            <a href=href aria-current=current>
                {words::number(rows)}
                <span class="unseen">{format!(" {of}")}</span>
            </a>
        }
    };
    let results = [
        (WhichRows::Open, seen.open, "No result yet", "requested", "retry"),
        (WhichRows::Resolved, seen.resolved, "Resolved", "running", "running"),
        (WhichRows::FailedAgain, seen.failed_again, "Failed again", "exhausted", "exhausted"),
        (WhichRows::Overwritten, seen.overwritten, "Retry lost", "warning", "failing"),
        (WhichRows::Gone, seen.gone, "Removed, reason unknown", "gone", "unknown"),
    ];
    let results = results
        .into_iter()
        .filter(|(_, rows, ..)| *rows > 0)
        .map(|(which, rows, text, word, icon)| {
            view! {
                <li data-key=text>
                    <Badge word icon text />
                    " "
                    {link(which, rows, text.to_lowercase())}
                </li>
            }
        })
        .collect_view();
    let causes = page
        .causes
        .iter()
        .map(|cause| {
            view! {
                <li data-key=cause.fault.to_string()>
                    <b class="number">
                        {link(WhichRows::Cause(cause.fault), cause.rows, visible(&fingerprint::title(&cause.said)))}
                    </b>
                    " "
                    <a href=base.group(cause.fault)>{visible(&fingerprint::title(&cause.said))}</a>
                </li>
            }
        })
        .collect_view();
    let same = (seen.same_fault > 0)
        .then(|| format!("{} failed with the same error as before.", words::number(seen.same_fault)));
    view! {
        <section class="sheet" aria-labelledby="outcomes">
            <header>
                <h2 id="outcomes">"Results"</h2>
            </header>
            <div class="pad">
                <ul class="plain counts">{results}</ul>
                {(!page.causes.is_empty())
                    .then(|| {
                        view! {
                            <h3>"Failed again, by cause"</h3>
                            <ul class="plain causes">{causes}</ul>
                        }
                    })}
                {same.map(|same| view! { <p class="small muted">{same}</p> })}
                {(seen.overwritten > 0)
                    .then(|| {
                        view! {
                            <p>
                                "A retry is lost when another retry of the same event is running. The console repeated these up to three times. Retry these events later."
                            </p>
                        }
                    })}
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn FactsOf(operation: Operation) -> impl IntoView {
    let pace = operation.pace;
    // A retry whose requests are all set has not ended: its results are still to come.
    let finished = match (operation.kind, operation.stage) {
        (RequestKind::Retry, Stage::Ended) if operation.note.is_none() => "All requests set",
        _ => "Ended",
    };
    view! {
        <div class="sheet">
            <dl class="facts pad">
                <dt>"What"</dt>
                <dd>{visible(&operation.scope)}</dd>
                <dt>"Started"</dt>
                <dd>
                    <At at=operation.started_at exact=true />
                    " ("
                    <At at=operation.started_at />
                    ")"
                </dd>
                <dt>{finished}</dt>
                <dd>
                    {match operation.finished_at {
                        Some(at) => view! { <At at=at exact=true /> }.into_any(),
                        None => "in progress".into_any(),
                    }}
                </dd>
                {operation
                    .planned
                    .map(|planned| {
                        view! {
                            <dt>"Planned"</dt>
                            <dd>{words::count(planned, "event")}</dd>
                        }
                    })}
                {operation
                    .left_out
                    .map(|left_out| {
                        view! {
                            <dt>"Left out"</dt>
                            <dd>{visible(&left_out)}</dd>
                        }
                    })}
                {pace
                    .per_minute
                    .map(|per_minute| {
                        view! {
                            <dt>"Speed"</dt>
                            <dd>{format!("at most {} per minute", words::number(per_minute))}</dd>
                        }
                    })}
                {pace
                    .try_first
                    .map(|first| {
                        view! {
                            <dt>"Test"</dt>
                            <dd>
                                {format!("first {}; continue if {} succeed", words::count(first.rows.into(), "event"), words::number(first.needed))}
                            </dd>
                        }
                    })}
                <dt>"Who"</dt>
                <dd>
                    <bdi>{visible(&operation.who)}</bdi>
                    ", from "
                    {visible(&operation.address)}
                </dd>
                <dt>"Reason"</dt>
                <dd>
                    {match operation.reason {
                        Some(reason) => view! { <bdi>{visible(&reason)}</bdi> }.into_any(),
                        None => view! { <span class="none">"–"</span> }.into_any(),
                    }}
                </dd>
            </dl>
        </div>
    }
    .into_any()
}

/// When the reset takes effect, for each application with reset rows.
fn due_of(feeds: &[FeedOfPlan], applications: &[ApplicationInfo], names: &[NamedFeed]) -> AnyView {
    applications
        .iter()
        .flat_map(|info| {
            // No retry job finds rows without a feed address, and it is unknown when a blocked feed continues.
            let of_app = |feed: &&FeedOfPlan| {
                let planned = &feed.planned;
                planned.app == info.key && planned.feed_uri.is_some() && planned.reset > 0
            };
            let (mut reset, mut blocked) = (Vec::new(), Vec::new());
            for feed in feeds.iter().filter(of_app) {
                match due::blocked(feed.feed.as_ref()) {
                    None => reset.push(feed.planned.reset),
                    Some(reason) => {
                        let name = called(names, applications, &info.key, feed.planned.feed_uri.as_deref());
                        blocked.push(format!("{} · {name}: {reason}", info.name));
                    }
                }
            }
            let mut said: Vec<String> = sentences::retry_schedule(info, &reset).into_iter().collect();
            said.extend(blocked);
            said
        })
        .map(|sentence| view! { <p>{sentence}</p> })
        .collect_view()
        .into_any()
}

#[component]
fn Rows(page: Page) -> impl IntoView {
    let base = use_base();
    let Page { operation, rows, next, which, names, applications, .. } = page;
    let (id, kind) = (operation.id, operation.kind);
    let planned = matches!(operation.stage, Stage::Planning | Stage::Draft);
    let all = (which != WhichRows::All).then(|| {
        view! {
            <a class="push" href=base.operation_rows(id, WhichRows::All, None)>
                "Show all"
            </a>
        }
    });
    if rows.is_empty() {
        return view! {
            <p class="sheet empty" id="rows">
                "No events here. " <a href=base.operation(id)>"Show all events of this operation"</a>
            </p>
        }
        .into_any();
    }
    let guard = match kind {
        RequestKind::Retry => "Skipped if changed in the meantime.",
        RequestKind::Discard => "Skipped if changed since the copy.",
        RequestKind::Restore => "Skipped if the event failed again since its discard.",
    };
    let heading = match which {
        WhichRows::All => "Events",
        WhichRows::Open => "Events without a result yet",
        WhichRows::Resolved => "Resolved events",
        WhichRows::FailedAgain => "Events that failed again",
        WhichRows::Overwritten => "Events whose retry was lost",
        WhichRows::Gone => "Removed events, reason unknown",
        WhichRows::Cause(_) => "Events that failed again with this cause",
    };
    let times: Vec<FailedSince> = rows.iter().filter_map(|course| course.since.clone()).collect();
    let since = since_heading(&times);
    view! {
        <section class="sheet" aria-labelledby="rows">
            <header>
                <h2 id="rows">{heading}</h2>
                <span class="small muted">{guard}</span>
                {all}
            </header>
            <table class="cards">
                <caption class="unseen">{heading}</caption>
                <thead>
                    <tr>
                        <th scope="col">"Event"</th>
                        <th scope="col">{if planned { "Error" } else { "Result" }}</th>
                        {planned.then(|| view! { <th scope="col">{since}</th> })}
                        <th scope="col">"Event id"</th>
                        <th scope="col">"Feed"</th>
                        <th scope="col" class="num">"Retries before"</th>
                    </tr>
                </thead>
                <tbody>{rows.into_iter().map(|each| row(each, &names, &applications, planned)).collect_view()}</tbody>
            </table>
            <Steps
                first=next.map(|_| ("First events", base.operation_rows(id, which, None)))
                next=next.map(|next| ("More events", base.operation_rows(id, which, Some(next))))
            />
        </section>
    }
    .into_any()
}

fn row(
    course: RowCourse,
    names: &[NamedFeed],
    applications: &[ApplicationInfo],
    planned: bool,
) -> impl IntoView + use<> {
    let base = use_base();
    let row = course.row.clone();
    let app = name_of(applications, &row.app);
    let now = match row.outcome {
        Some(RowOutcome::Restored { id }) => id,
        _ => row.id,
    };
    let event = EventKey { app: row.app.clone(), id: now };
    let not_known = || view! { <span class="none">"not known"</span> }.into_any();
    let id = |text: Option<String>| match text {
        Some(text) => view! { <ShortId text=visible(&text) keep=if planned { 20 } else { 32 } /> }.into_any(),
        None if !course.named => not_known(),
        None => view! { <span class="none">"none"</span> }.into_any(),
    };
    let feed = match course.named {
        true => called(names, applications, &row.app, row.feed_uri.as_deref()).into_any(),
        false => not_known(),
    };
    let error = || match course.fault.as_deref() {
        Some(fault) => visible(&fingerprint::title(fault)).into_any(),
        None => not_known(),
    };
    view! {
        <tr>
            <th scope="row">
                <a href=base.failed_event(&event, None)>{course.naming().event(&app)}</a>
                <span class="small muted block">{format!("row {now}")}</span>
            </th>
            <td data-label=if planned { "Error" } else { "Result" }>{if planned { error() } else { outcome(&course) }}</td>
            {planned
                .then(|| {
                    let heading = since_heading(course.since.as_ref());
                    let since = course.since.clone().map(|since| view! { <Since since /> });
                    view! { <td data-label=heading>{since}</td> }
                })}
            <td data-label="Event id">{id(row.event_id)}</td>
            <td data-label="Feed">{feed}</td>
            <td class="num" data-label="Retries before">
                {row.seen_retries.map(|retries| view! { <Number value=retries /> })}
            </td>
        </tr>
    }
}

/// The outcome of a row: what the watcher saw, otherwise what the operation did.
fn outcome(course: &RowCourse) -> AnyView {
    let base = use_base();
    let (word, icon, text, more) = match (&course.row.outcome, course.seen) {
        (Some(RowOutcome::Reset), Some(RequestOutcome::Resolved)) => ("running", "running", "Resolved", None),
        (Some(RowOutcome::Reset), Some(RequestOutcome::FailedAgain)) => {
            let more = course.new_fault.as_ref().map(|(same, fault)| match same {
                true => "Same error as before.".to_owned(),
                false => format!("New error: {}", fingerprint::title(fault)),
            });
            ("exhausted", "exhausted", "Failed again", more)
        }
        (Some(RowOutcome::Reset), Some(RequestOutcome::Overwritten)) => {
            ("warning", "failing", "Retry lost", Some("Another retry was running.".to_owned()))
        }
        (Some(RowOutcome::Reset), Some(RequestOutcome::Gone)) => ("gone", "unknown", "Removed, reason unknown", None),
        (Some(RowOutcome::Reset), None) if course.unfollowed => {
            let why = match i64::try_from(course.row.id.0) {
                Ok(_) => "the event left the table before the console saw it there.",
                Err(_) => "the history has no ids above 9,223,372,036,854,775,807.",
            };
            ("requested", "retry", "Retry requested", Some(format!("The result is not followed: {why}")))
        }
        _ => own_outcome(&course.row),
    };
    let other = match course.row.outcome {
        Some(RowOutcome::Taken { operation }) => {
            Some(view! { <a href=base.operation(operation)>{format!("Operation {operation}")}</a> })
        }
        _ => None,
    };
    view! {
        <div>
            <Badge word=word icon=icon text=text />
            {more.map(|text| view! { <span class="small muted">{visible(&text)}</span> })}
            {other}
        </div>
    }
    .into_any()
}

/// `103 MB`, `0.5 MB`.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(1 << 10).saturating_mul(10).div_ceil(1 << 10);
    match (tenths / 10, tenths % 10) {
        (whole, part) if whole < 10 && part > 0 => format!("{whole}.{part} MB"),
        (whole, part) => format!("{} MB", words::number(whole + u64::from(part > 0))),
    }
}

type Told = (&'static str, &'static str, &'static str, Option<String>);

fn own_outcome(row: &OperationRow) -> Told {
    match &row.outcome {
        Some(RowOutcome::Reset) => ("requested", "retry", "Retry requested", None),
        Some(RowOutcome::Discarded) => ("gone", "stopped", "Discarded", None),
        Some(RowOutcome::Restored { id }) if *id == row.id => ("running", "running", "Restored", None),
        Some(RowOutcome::Restored { .. }) => {
            let told = format!("Row {} was in use: it has a new number.", row.id);
            ("running", "running", "Restored", Some(told))
        }
        Some(RowOutcome::AlreadyThere) => {
            let told = "The event is in the table again: it failed again since its discard, or was restored. Its copy is kept.";
            ("gone", "info", "Skipped", Some(told.to_owned()))
        }
        Some(RowOutcome::TooLong { bytes, limit }) => {
            let (bytes, limit) = (megabytes(*bytes), megabytes(*limit));
            let told = match row.copy {
                None => format!(
                    "Too long to be copied: {bytes}, the limit is {limit}. Nothing was changed. Fix the event in the application's database."
                ),
                Some(_) => format!(
                    "Too long for the database: {bytes}, and it takes {limit} at a time (max_allowed_packet). The copy is kept. Raise \
                     the limit, then restore again."
                ),
            };
            ("warning", "failing", "Skipped", Some(told))
        }
        Some(RowOutcome::Taken { .. }) => {
            ("warning", "waiting", "Skipped", Some("Another operation is running.".to_owned()))
        }
        Some(RowOutcome::Changed { retries }) => (
            "warning",
            "failing",
            "Skipped",
            Some(match retries {
                Some(retries) => format!("Changed in the meantime: {retries} retries."),
                None => "Changed in the meantime.".to_owned(),
            }),
        ),
        Some(RowOutcome::Gone) => ("gone", "unknown", "Skipped", Some("Not in the table any more.".to_owned())),
        Some(RowOutcome::Failed { reason }) => ("problem", "exhausted", "Not written", Some(reason.clone())),
        Some(RowOutcome::Uncertain { reason }) => ("warning", "unknown", "Uncertain", Some(reason.clone())),
        Some(RowOutcome::Busy { .. }) => {
            ("warning", "waiting", "Locked", Some("Locked by another transaction. Will be tried again.".to_owned()))
        }
        None => ("unknown", "waiting", "Not started", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_announced_at_every_tenth() {
        let told = |value, of| tenths(value, of);
        assert_eq!([told(0, 0), told(0, 7), told(9, 100), told(1, 11)], [None; 4]);
        assert_eq!([told(10, 100), told(19, 100), told(1, 3), told(3, 3)], [Some(10), Some(10), Some(30), Some(100)]);
        assert_eq!(told(u64::MAX, u64::MAX), Some(100));
    }
}
