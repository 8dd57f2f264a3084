//! One operation: its plan before anything is touched, its course while it runs, and what became of each row.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

use super::operations::{StageBadge, followed, place};
use crate::{
    api::operations::{FeedOfPlan, OperationPage as Page, view_operation},
    error::Problem,
    model::{
        ApplicationInfo, EventKey, Feed, FeedState,
        error_text::visible,
        feed::category_of,
        fingerprint,
        ledger::{RequestKind, RequestOutcome},
        obstacle::{no_address, untitled_in_plan},
        operation::{Operation, OperationRow, PlannedFeed, RowCourse, RowOutcome, Stage},
    },
    ui::{
        components::{
            At, Badge, FormToken, Icon, Notice, NoticeKind, Number, PlanButton, PlanOf, SeenAtWork, ShortId, icon,
            loaded, outcome_kind, use_base,
        },
        due,
        islands::Course,
        sentences,
        visitor::refused,
        words,
    },
};

#[component]
pub fn OperationPage() -> impl IntoView {
    let id = use_params_map().read_untracked().get("id").unwrap_or_default();
    let after = place("after");
    let answer = async move {
        let id = id.parse().map_err(|_| {
            Problem::not_found(
                "There is no such operation: operations are named by numbers.",
                "Open the list of operations.",
            )
        })?;
        view_operation(id, after?).await
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
                <p class="crumbs">
                    <a href=base.operations()>"Operations"</a>
                    <span>{format!("Operation {}", operation.id)}</span>
                </p>
                <h1>{heading}</h1>
            </div>
        </div>
    }
    .into_any()
}

/// The rows are still being written down.
#[component]
fn BeingPlanned(page: Page) -> impl IntoView {
    let base = use_base();
    let (id, kind) = (page.operation.id, page.operation.kind);
    view! {
        <Head operation=page.operation />
        <Course ask=base.operation_course(id) stage="planning".to_owned() />
        <Notice kind=NoticeKind::Info>
            <strong>"The plan is being made: its rows are written down, and nothing is touched."</strong>
            <p>{format!("{} so far. Reload the page to see how far it is.", words::count_first(page.so_far, "row"))}</p>
        </Notice>
        <div class="bar">
            <Turn id kind=kind turn="drop" text="Throw the plan away" />
        </div>
    }
    .into_any()
}

/// What would be done, before it is.
#[component]
fn Plan(page: Page) -> impl IntoView {
    let operation = page.operation.clone();
    view! {
        <Head operation=operation.clone() />
        <section class="sheet plan" aria-label="The plan">
            <div class="pad">
                <Effect page=page.clone() />
                <FeedsOfPlan kind=operation.kind feeds=page.feeds.clone() applications=page.applications.clone() />
                <Start page=page.clone() />
            </div>
        </section>
        <Rows id=operation.id kind=operation.kind rows=page.rows next=page.next applications=page.applications />
    }
    .into_any()
}

/// What it would do, in sentences.
#[component]
fn Effect(page: Page) -> impl IntoView {
    let operation = &page.operation;
    let planned = operation.planned.unwrap_or(operation.counts.asked);
    let rows = words::count_first(planned, "failed event");
    let mut effects = match operation.kind {
        RequestKind::Retry => vec![
            format!("{rows}: retries is set to 0, oldest first, and nothing else is changed."),
            "Exactly these rows: what fails, or becomes exhausted, from now on is not part of it.".to_owned(),
            "Events whose cause is not gone fail again, until they are exhausted once more.".to_owned(),
        ],
        RequestKind::Discard => vec![
            format!("{rows}: removed from the table, with the rows of the retry log that belong to them."),
            "The consumer will never process these events: it has read past them.".to_owned(),
            "A feed that is stopped by too many failed events reads on when fewer are left.".to_owned(),
            match page.keep_days {
                Some(days) => format!(
                    "Each is copied whole before it is removed, and can be put back for {}; then the copy is deleted for good.",
                    words::count(u64::try_from(days).unwrap_or_default(), "day")
                ),
                None => "Each is copied whole before it is removed, and can be put back.".to_owned(),
            },
        ],
        RequestKind::Restore => vec![
            format!("{rows}: put back as they were, with their retry log."),
            "One that is there again by the consumer's own doing is not doubled; one whose id is taken gets a new id."
                .to_owned(),
            "They count as failed events again: a feed may be stopped by them.".to_owned(),
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

/// Where later events of the same records are known, the order in which they come through matters.
fn order_matters(operation: &Operation) -> Option<String> {
    let mut parts = Vec::new();
    if operation.later_resolved > 0 {
        parts.push(format!(
            "of {} a later event has succeeded meanwhile",
            words::count(operation.later_resolved, "record")
        ));
    }
    if operation.later_failed > 0 {
        parts.push(format!("of {} a later event failed too", words::count(operation.later_failed, "record")));
    }
    let what = match operation.kind {
        RequestKind::Retry | RequestKind::Restore => {
            "A retry reads the record as it is now, which is harmless for patients and reference data; an order that changes \
             an earlier one needs that one first."
        }
        RequestKind::Discard => "What is discarded is missing when the later one is processed.",
    };
    (!parts.is_empty()).then(|| format!("The order may matter: {}. {what}", words::listed(parts)))
}

/// Where the rows are, and how these feeds stand. Of what makes work for the consumers, how long they will need.
#[component]
fn FeedsOfPlan(kind: RequestKind, feeds: Vec<FeedOfPlan>, applications: Vec<ApplicationInfo>) -> impl IntoView {
    let base = use_base();
    let heading = match kind {
        RequestKind::Discard => "How the feed stands",
        RequestKind::Retry | RequestKind::Restore => "What the consumer has to do",
    };
    let rows = feeds
        .into_iter()
        .map(|FeedOfPlan { planned, feed }| {
            let info = applications.iter().find(|info| info.key == planned.app).cloned();
            let name = info.as_ref().map_or_else(|| visible(&planned.app), |info| info.name.clone());
            let href = base.application(&planned.app);
            let category = planned.feed_uri.as_deref().and_then(category_of).map(visible);
            let label = category.or_else(|| planned.feed_uri.as_deref().map(visible)).unwrap_or_else(|| "no feed address".to_owned());
            let stopped = feed.as_ref().is_some_and(|feed| feed.state == FeedState::Stopped);
            let stands = match (kind, &info) {
                (RequestKind::Discard, _) => after_discard(&planned, feed.as_ref()),
                (_, Some(info)) => work(kind, &planned, feed.as_ref(), info),
                (_, None) => Vec::new(),
            };
            let at_work = feed.and_then(|feed| feed.last_seen_at_work);
            let seen = (kind != RequestKind::Discard).then(|| view! { " " <SeenAtWork stamp=at_work /> });
            let assumed = info.as_ref().filter(|_| kind != RequestKind::Discard).and_then(due::assumed);
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
                                    view! { <Badge word="stopped" icon="stopped" text="Stopped: nothing new is read from it" /> }
                                })} <span class="small block">{stands.join(" ")} {seen} " " {assumed}</span>
                        </div>
                    </td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <table class="cards">
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

/// What is left of a feed's failed events when those of a plan are discarded.
fn after_discard(planned: &PlannedFeed, feed: Option<&Feed>) -> Vec<String> {
    let Some(feed) = feed else { return vec!["How many failed events it has now is not known.".to_owned()] };
    let (total, left) = (feed.counts.total, feed.counts.total.saturating_sub(planned.rows));
    vec![match left {
        0 => "No failed event is left after it.".to_owned(),
        left => format!("{} of {} are left after it.", words::number(left), words::count(total, "failed event")),
    }]
}

/// What the consumer has to do about a feed's rows of a plan. Those that wait already are its work too, but for rows of the
/// plan that are among them.
fn work(kind: RequestKind, planned: &PlannedFeed, feed: Option<&Feed>, info: &ApplicationInfo) -> Vec<String> {
    if no_address(planned.feed_uri.as_deref()) {
        return vec![due::NEVER_FOUND.to_owned()];
    }
    if info.limits.max_retry.is_none() {
        return vec![due::turn(&info.limits, None)];
    }
    let waiting = feed.map_or(0, |feed| feed.counts.waiting);
    // Rows that are put back are not in the table now.
    let others = if kind == RequestKind::Restore { waiting } else { waiting.saturating_sub(planned.waiting) };
    let mut work = vec![due::work(&info.limits, planned.rows.saturating_add(others))];
    if others > 0 {
        let (verb, are) = if others == 1 { ("waits", "is") } else { ("wait", "are") };
        let events = words::count_first(others, "other event");
        work.push(format!("{events} of the feed {verb} already and {are} tried in between."));
    }
    work
}

/// The question, or why it cannot be asked.
#[component]
fn Start(page: Page) -> impl IntoView {
    let base = use_base();
    let operation = page.operation;
    let (id, kind) = (operation.id, operation.kind);
    let lacking = refused(kind.right());
    let planned = operation.planned.unwrap_or(operation.counts.asked);
    let rows = words::count(planned, "failed event");
    let button = match kind {
        RequestKind::Retry => format!("Retry {rows}"),
        RequestKind::Discard => format!("Discard {rows}"),
        RequestKind::Restore => format!("Put {rows} back"),
    };
    let mut refused = page.refused;
    let off = lacking.is_some()
        || !refused.is_empty()
            && operation.counts.asked > 0
            && page.feeds.iter().map(|feed| &feed.planned.app).collect::<std::collections::BTreeSet<_>>().len()
                <= refused.len();
    refused.extend(lacking);
    let needs_reason = kind == RequestKind::Discard;
    let label = if needs_reason {
        "Reason: why these need never be processed"
    } else {
        "Reason, for the record (may stay empty)"
    };
    view! {
        {refused
            .into_iter()
            .map(|why| view! { <Notice kind=NoticeKind::Warning>{visible(&why)}</Notice> })
            .collect_view()}
        <form method="post" action=base.function("start_operation") class="ask">
            <FormToken />
            <input type="hidden" name="id" value=id.to_string() />
            <label>
                <span>{label}</span>
                <input name="reason" maxlength="1000" autocomplete="off" required=needs_reason />
            </label>
            <details>
                <summary>"Carefully: a rate, or a few first"</summary>
                <label>
                    <span>"At most so many a minute (empty: as quickly as the database takes them)"</span>
                    <input name="per_minute" inputmode="numeric" pattern="[0-9]*" autocomplete="off" />
                </label>
                {(kind == RequestKind::Retry)
                    .then(|| {
                        view! {
                            <label>
                                <span>"First only so many, and wait for their outcome"</span>
                                <input name="try_first" inputmode="numeric" pattern="[0-9]*" autocomplete="off" />
                            </label>
                            <label>
                                <span>"Go on if so many of them succeeded (empty: all of them)"</span>
                                <input name="try_needed" inputmode="numeric" pattern="[0-9]*" autocomplete="off" />
                            </label>
                        }
                    })}
            </details>
            <div class="bar">
                <button type="submit" class="primary" disabled=off>
                    <Icon name=icon(kind) />
                    {button}
                </button>
            </div>
        </form>
        <Turn id kind=kind turn="drop" text="Throw the plan away" />
    }
    .into_any()
}

/// A button that pauses, resumes, cancels or throws away.
#[component]
fn Turn(id: i64, kind: RequestKind, turn: &'static str, text: &'static str) -> impl IntoView {
    let base = use_base();
    if refused(kind.right()).is_some() {
        return view! { <button type="button" disabled=true>{text}</button> }.into_any();
    }
    view! {
        <form method="post" action=base.function("turn_operation") class="inline">
            <FormToken />
            <input type="hidden" name="id" value=id.to_string() />
            <button type="submit" name="turn" value=turn>
                {text}
            </button>
        </form>
    }
    .into_any()
}

/// An operation that has begun.
#[component]
fn Running(page: Page) -> impl IntoView {
    let base = use_base();
    let operation = page.operation.clone();
    let (id, stage) = (operation.id, operation.stage);
    let counts = operation.counts;
    let (taken, of) =
        (counts.done() + counts.left_alone(), operation.planned.unwrap_or(counts.asked).max(counts.asked));
    let outcome = sentences::outcome(&operation);
    let said = sentences::stage(&operation);
    let of_kind = operation.kind;
    let due = (of_kind == RequestKind::Retry && counts.reset > 0).then(|| due_of(&page.feeds, &page.applications));
    let (kind, note, badge) = (outcome_kind(&operation), operation.note.clone(), operation.clone());
    let live = stage.is_under_way();
    view! {
        <Head operation=operation.clone() />
        {live.then(|| view! { <Course ask=base.operation_course(id) stage=stage.word().to_owned() /> })}
        <div data-live="course">
        <Notice kind>
            <p>
                <StageBadge operation=badge />
                " "
                <strong>{outcome}</strong>
            </p>
            {stage
                .is_under_way()
                .then(|| {
                    view! {
                        <p>
                            <progress value=taken.to_string() max=of.to_string() aria-label="Rows that had their turn" data-course-bar=""></progress>
                            " "
                            <span data-course="taken">{words::number(taken)}</span>
                            " of "
                            {words::count(of, "row")}
                        </p>
                    }
                })}
            {(!said.is_empty()).then(|| view! { <p>{said}</p> })}
            {note.map(|note| view! { <p>{visible(&note)}</p> })}
            {due}
        </Notice>
        </div>
        <div class="bar">
            {matches!(stage, Stage::Running | Stage::Trying).then(|| view! { <Turn id kind=of_kind turn="pause" text="Pause" /> })}
            {(stage == Stage::Paused).then(|| view! { <Turn id kind=of_kind turn="resume" text="Go on" /> })}
            {(stage == Stage::Trying).then(|| view! { <Turn id kind=of_kind turn="resume" text="Go on without waiting" /> })}
            {stage.is_under_way().then(|| view! { <Turn id kind=of_kind turn="cancel" text="Cancel" /> })}
            {(operation.followed.failed_again > 0)
                .then(|| {
                    let text = format!("Retry those that failed again ({})…", words::number(operation.followed.failed_again));
                    view! { <PlanButton kind=RequestKind::Retry of=PlanOf::FailedAgain(id) text /> }
                })}
            {(page.restorable > 0 && !stage.is_under_way())
                .then(|| {
                    let text = format!("Put {} back…", words::count(page.restorable, "event"));
                    view! {
                        <PlanButton kind=RequestKind::Restore of=PlanOf::CopiesOf(id) text />
                        <a class="button" href=base.discarded(Some(id))>
                            "What was discarded"
                        </a>
                    }
                })}
        </div>
        <div data-live="outcomes">
            <Outcomes operation=operation.clone() />
        </div>
        <FactsOf operation=operation.clone() />
        <Rows id kind=operation.kind rows=page.rows next=page.next applications=page.applications />
    }
    .into_any()
}

/// What the consumer made of the rows, as the watcher saw it.
#[component]
fn Outcomes(operation: Operation) -> impl IntoView {
    let seen = operation.followed;
    if operation.kind != RequestKind::Retry || seen.all() == 0 {
        return ().into_any();
    }
    let number = |name: &'static str, value: u64, text: &'static str, word: &'static str, icon: &'static str| {
        view! {
            <li>
                <Badge word icon text />
                " "
                <span data-course=name>{words::number(value)}</span>
            </li>
        }
    };
    let same = (seen.failed_again > 0).then(|| {
        format!("Of those that failed again, {} with the same fault as before.", words::number(seen.same_fault))
    });
    view! {
        <section class="sheet" aria-labelledby="outcomes">
            <header>
                <h2 id="outcomes">"What became of them"</h2>
                <span class="small muted push">{followed(&operation)}</span>
            </header>
            <div class="pad">
                <ul class="plain counts">
                    {number("open", seen.open, "Requested, not tried yet", "requested", "retry")}
                    {number("resolved", seen.resolved, "Resolved", "running", "running")}
                    {number("failed_again", seen.failed_again, "Failed again", "exhausted", "exhausted")}
                    {number("overwritten", seen.overwritten, "Overwritten by the running consumer", "warning", "failing")}
                    {number("gone", seen.gone, "Gone, cause unknown", "gone", "unknown")}
                </ul>
                {same.map(|same| view! { <p>{same}</p> })}
                {(seen.overwritten > 0)
                    .then(|| {
                        view! {
                            <p>
                                "A consumer that held a row while it was reset writes its own count over it. Such a reset is set again up to three times; what stands here was lost even so: retry it when the consumer is idle."
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
                <dt>"Ended"</dt>
                <dd>
                    {match operation.finished_at {
                        Some(at) => view! { <At at=at exact=true /> }.into_any(),
                        None => "under way".into_any(),
                    }}
                </dd>
                {operation
                    .planned
                    .map(|planned| {
                        view! {
                            <dt>"Planned"</dt>
                            <dd>{words::count(planned, "row")}</dd>
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
                            <dt>"Rate"</dt>
                            <dd>{format!("at most {} a minute", words::number(per_minute))}</dd>
                        }
                    })}
                {pace
                    .try_first
                    .map(|first| {
                        view! {
                            <dt>"First"</dt>
                            <dd>
                                {format!("{}; on if {} of them succeed", words::count(first.rows.into(), "row"), words::number(first.needed))}
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
                        None => view! { <span class="none">"none given"</span> }.into_any(),
                    }}
                </dd>
            </dl>
        </div>
    }
    .into_any()
}

/// When the reset takes effect, for each application with rows that were reset.
fn due_of(feeds: &[FeedOfPlan], applications: &[ApplicationInfo]) -> AnyView {
    applications
        .iter()
        .filter_map(|info| {
            // What has no feed address no retry job finds.
            let reset: Vec<u64> = feeds
                .iter()
                .map(|feed| &feed.planned)
                .filter(|planned| planned.app == info.key && planned.feed_uri.is_some() && planned.reset > 0)
                .map(|planned| planned.reset)
                .collect();
            sentences::retry_schedule(info, &reset)
        })
        .map(|sentence| view! { <p>{sentence}</p> })
        .collect_view()
        .into_any()
}

#[component]
fn Rows(
    id: i64,
    kind: RequestKind,
    rows: Vec<RowCourse>,
    next: Option<i64>,
    applications: Vec<ApplicationInfo>,
) -> impl IntoView {
    let base = use_base();
    if rows.is_empty() {
        return view! {
            <p class="sheet empty">
                "No rows stand here. " <a href=base.operation(id)>"To the first rows"</a>
            </p>
        }
        .into_any();
    }
    let guard = match kind {
        RequestKind::Retry => "each is reset only if it still has the retries that were seen",
        RequestKind::Discard => "each is removed only if it is still as it was copied",
        RequestKind::Restore => "each is put back only if it is not there again",
    };
    view! {
        <section class="sheet" aria-labelledby="rows">
            <header>
                <h2 id="rows">"Rows"</h2>
                <span class="small muted push">{guard}</span>
            </header>
            <table class="cards">
                <thead>
                    <tr>
                        <th scope="col">"Failed event"</th>
                        <th scope="col">"Outcome"</th>
                        <th scope="col">"Event id"</th>
                        <th scope="col">"Feed"</th>
                        <th scope="col" class="num">"Retries seen"</th>
                    </tr>
                </thead>
                <tbody>{rows.into_iter().map(|each| row(each, &applications)).collect_view()}</tbody>
            </table>
            {next
                .map(|next| {
                    view! {
                        <nav class="pager" aria-label="Pages">
                            <a class="button" href=base.operation(id)>
                                "First rows"
                            </a>
                            <a class="button" href=base.operation_after(id, next) rel="next">
                                "More rows"
                            </a>
                        </nav>
                    }
                })}
        </section>
    }
    .into_any()
}

fn row(course: RowCourse, applications: &[ApplicationInfo]) -> impl IntoView {
    let base = use_base();
    let row = course.row.clone();
    let app = applications.iter().find(|info| info.key == row.app).map_or(row.app.clone(), |info| info.name.clone());
    let now = match row.outcome {
        Some(RowOutcome::Restored { id }) => id,
        _ => row.id,
    };
    let event = EventKey { app: row.app.clone(), id: now };
    let id = |text: Option<String>| match text {
        Some(text) => view! { <ShortId text=visible(&text) keep=32 /> }.into_any(),
        None => view! { <span class="none">"none"</span> }.into_any(),
    };
    view! {
        <tr>
            <th scope="row">
                <a href=base.failed_event(&event, None)>{format!("{app} {now}")}</a>
            </th>
            <td data-label="Outcome">{outcome(&course)}</td>
            <td data-label="Event id">{id(row.event_id)}</td>
            <td data-label="Feed">{id(row.feed_uri)}</td>
            <td class="num" data-label="Retries seen">
                {row.seen_retries.map(|retries| view! { <Number value=retries /> })}
            </td>
        </tr>
    }
}

/// What became of a row: what the watcher saw, or else what the operation did.
fn outcome(course: &RowCourse) -> AnyView {
    let base = use_base();
    let (word, icon, text, more) = match (&course.row.outcome, course.seen) {
        (Some(RowOutcome::Reset), Some(RequestOutcome::Resolved)) => ("running", "running", "Resolved", None),
        (Some(RowOutcome::Reset), Some(RequestOutcome::FailedAgain)) => {
            let more = course.new_fault.as_ref().map(|(same, fault)| match same {
                true => "With the same fault.".to_owned(),
                false => format!("With another fault: {}", fingerprint::title(fault)),
            });
            ("exhausted", "exhausted", "Failed again", more)
        }
        (Some(RowOutcome::Reset), Some(RequestOutcome::Overwritten)) => {
            ("warning", "failing", "Overwritten by the running consumer", None)
        }
        (Some(RowOutcome::Reset), Some(RequestOutcome::Gone)) => {
            ("gone", "unknown", "Gone, cause unknown", Some("It left the table; nobody saw why.".to_owned()))
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

type Told = (&'static str, &'static str, &'static str, Option<String>);

fn own_outcome(row: &OperationRow) -> Told {
    match &row.outcome {
        Some(RowOutcome::Reset) => ("requested", "retry", "Retry requested", None),
        Some(RowOutcome::Discarded) => ("gone", "stopped", "Discarded", None),
        Some(RowOutcome::Restored { id }) if *id == row.id => ("running", "running", "Put back", None),
        Some(RowOutcome::Restored { .. }) => {
            let told = format!("Its id {} was taken: it has a new one.", row.id);
            ("running", "running", "Put back", Some(told))
        }
        Some(RowOutcome::AlreadyThere) => {
            ("gone", "info", "There again", Some("The consumer has it again by itself: not doubled.".to_owned()))
        }
        Some(RowOutcome::Taken { .. }) => {
            ("warning", "waiting", "Left to another operation", Some("That one had it under way.".to_owned()))
        }
        Some(RowOutcome::Changed { retries }) => (
            "warning",
            "failing",
            "Changed meanwhile",
            Some(match retries {
                Some(retries) => format!("It had {retries} retries by then and was left alone."),
                None => "It was not as it was seen, and was left alone.".to_owned(),
            }),
        ),
        Some(RowOutcome::Gone) => ("gone", "unknown", "Gone", Some("It is not in the table any more.".to_owned())),
        Some(RowOutcome::Failed { reason }) => ("problem", "exhausted", "Not written", Some(reason.clone())),
        Some(RowOutcome::Uncertain { reason }) => ("warning", "unknown", "Uncertain", Some(reason.clone())),
        Some(RowOutcome::Busy { .. }) => (
            "warning",
            "waiting",
            "Busy",
            Some("Another transaction has it locked: nothing was written, and its turn comes again.".to_owned()),
        ),
        None => ("unknown", "waiting", "Not reached", None),
    }
}
