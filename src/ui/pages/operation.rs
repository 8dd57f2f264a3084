//! One operation: its plan before anything is changed, its progress while it runs, and the outcome of each row.

mod plan;
mod rows;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};

use super::operations::{StageBadge, place};
use crate::{
    api::operations::{FeedOfPlan, OperationPage as Page, view_operation},
    error::Problem,
    model::{
        ApplicationInfo,
        application::name_of,
        error_text::visible,
        feed_names::{NamedFeed, called},
        fingerprint,
        ledger::RequestKind,
        obstacle::no_address,
        operation::{Operation, Stage, WhichRows},
        time_left::{FeedWork, time_left},
    },
    ui::{
        components::{
            At, Badge, FormToken, Notice, NoticeKind, PlanButton, PlanOf, here, loaded, now, outcome_kind, use_base,
        },
        due,
        islands::Follows,
        sentences,
        visitor::refused,
        words,
    },
};
use plan::Plan;
use rows::Rows;

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
    let planned = page.feeds.iter().filter(|feed| !no_address(feed.planned.feed_uri.as_deref()));
    planned
        .filter_map(|FeedOfPlan { planned: feed, feed: seen, .. }| {
            let info = page.applications.iter().find(|info| info.key == feed.app)?;
            let limits = info.limits_of(feed.feed_uri.as_deref());
            Some(FeedWork { rows: feed.rows, waiting: seen.as_ref().map_or(0, |seen| seen.counts.waiting), limits })
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
    let late = page.feeds.iter().filter_map(|feed| Some((feed.feed.as_ref()?.signs.unretried_since?, feed)));
    let (since, feed) = late.min_by_key(|(since, _)| *since)?;
    let name = match page.feeds.as_slice() {
        [_] => "this feed".to_owned(),
        _ => {
            let FeedOfPlan { planned, .. } = feed;
            let feed = called(&page.names, &page.applications, &planned.app, planned.feed_uri.as_deref());
            format!("the feed {feed} of {}", name_of(&page.applications, &planned.app))
        }
    };
    Some(due::overdue(&name, since, now()))
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
