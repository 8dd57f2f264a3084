//! What needs attention: first problems of whole applications, then one line per feed with a problem.

use leptos::prelude::*;

use super::{
    At, Badge, FeedAction, FeedBadge, RetriesInProgress, TopCauses, When, feed_links::page_of, known, now, use_base,
};
use crate::{
    model::{
        ApplicationInfo, ApplicationView, Feed, FeedState, Reach, ShownState,
        cause::FeedCauses,
        concern::{About, Concern, ConcernKind},
        error_text::visible,
        feed_names::FeedName,
        operation::FeedRetry,
    },
    ui::words,
};

/// Problems of whole applications, the worst first: a database that does not answer, then what can break a consumer.
/// All are shown: there are only a few lines per application.
#[component]
pub fn Alerts(views: Vec<ApplicationView>) -> impl IntoView {
    let base = use_base();
    let mut all: Vec<(&ApplicationView, &Concern)> = views
        .iter()
        .flat_map(|view| view.concerns.iter().map(move |concern| (view, concern)))
        .filter(|(_, concern)| concern.about == About::Application)
        .collect();
    if all.is_empty() {
        return ().into_any();
    }
    // The order of the applications is kept, so that nothing changes places under the pointer.
    all.sort_by_key(|(_, concern)| urgency(concern.kind));
    let items = all.into_iter().map(|(view, concern)| {
        let (word, badge) = badge(concern.kind);
        let seen = (concern.kind == ConcernKind::Unreachable).then(|| last_check(view));
        view! {
            <li class=format!("alert {word}") data-key=format!("{} {}", view.info.key, concern.kind.word())>
                <div>{badge}</div>
                <div class="say">
                    <p>
                        <b>{concern.title.clone()}</b>
                        " "
                        {concern.cause.clone()}
                        " "
                        <span class="todo">{concern.todo.clone()}</span>
                        " "
                        {seen}
                    </p>
                </div>
                <a href=base.application(&view.info.key)>"Open " {view.info.name.clone()}</a>
            </li>
        }
    });
    view! {
        <section class="sheet" aria-labelledby="alerts">
            <h2 id="alerts" class="unseen">"Problems of whole applications"</h2>
            <ul class="plain alerts" data-steady="">{items.collect_view()}</ul>
        </section>
    }
    .into_any()
}

/// The rank of a concern about a whole application, the most urgent first.
pub(super) fn urgency(kind: ConcernKind) -> usize {
    const ORDER: [ConcernKind; 12] = [
        ConcernKind::Unreachable,
        ConcernKind::FeedNotServed,
        ConcernKind::Hazard,
        ConcernKind::FeedsNotSeen,
        ConcernKind::FailuresNotSeen,
        ConcernKind::QueueStands,
        ConcernKind::QueueNotSeen,
        ConcernKind::FeedDiffers,
        ConcernKind::Outdated,
        ConcernKind::TimesAhead,
        ConcernKind::NotConfigured,
        ConcernKind::HistoryGap,
    ];
    ORDER.iter().position(|other| *other == kind).unwrap_or(ORDER.len())
}

/// A feed with a problem: one line of the overview.
struct Line<'a> {
    view: &'a ApplicationView,
    feed: &'a Feed,
    /// Its concerns, the most urgent first.
    concerns: Vec<&'a Concern>,
}

/// Returns the feeds with problems, the worst first; within a state in configured order, whatever their numbers are.
fn lines(views: &[ApplicationView]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for view in views.iter().filter(|view| matches!(view.reach, Reach::Reachable { .. })) {
        for feed in view.feeds() {
            let about = |concern: &&Concern| matches!(&concern.about, About::Feed(uri) if *uri == feed.uri);
            let concerns: Vec<&Concern> = view.concerns.iter().filter(about).collect();
            if feed.counts.total > 0 || !concerns.is_empty() || feed.state == FeedState::Stalled {
                lines.push(Line { view, feed, concerns });
            }
        }
    }
    lines.sort_by_key(|line| match (line.concerns.first(), line.feed.state) {
        (Some(concern), _) => (0, Some(concern.kind)),
        (None, FeedState::Failing) => (1, None),
        (None, _) => (2, None),
    });
    lines
}

/// Returns the number of visible feeds without problems.
pub fn quiet_feeds(views: &[ApplicationView]) -> u64 {
    let reachable = views.iter().filter(|view| matches!(view.reach, Reach::Reachable { .. }));
    let feeds = reachable.map(|view| view.feeds().len()).sum::<usize>();
    (feeds - lines(views).len()) as u64
}

/// One line per feed with a problem: state, since when, how many, why, and one action.
#[component]
pub fn FeedLines(views: Vec<ApplicationView>, causes: Vec<FeedCauses>, retries: Vec<FeedRetry>) -> impl IntoView {
    let lines = lines(&views);
    if lines.is_empty() {
        return ().into_any();
    }
    let applications: Vec<&ApplicationInfo> = views.iter().map(|view| &view.info).collect();
    let rows = lines.iter().map(|line| row(line, &causes, &retries, &applications)).collect_view();
    let quiet = quiet_feeds(&views);
    let verb = if quiet == 1 { "is" } else { "are" };
    view! {
        <section class="sheet" aria-labelledby="attention">
            <header>
                <h2 id="attention">"Feeds with failures"</h2>
                {(quiet > 0)
                    .then(|| {
                        view! {
                            <span class="small muted push">
                                {format!("{} {verb} running without failed events.", words::count(quiet, "other feed"))}
                            </span>
                        }
                    })}
            </header>
            <table class="cards feed-lines">
                <caption class="unseen">"Feeds with failures, the worst first"</caption>
                <thead>
                    <tr>
                        <th scope="col">"State"</th>
                        <th scope="col">"Feed"</th>
                        <th scope="col">"Since"</th>
                        <th scope="col" class="num">"Failed events"</th>
                        <th scope="col">"Causes"</th>
                        <th scope="col">
                            <span class="unseen">"What to do"</span>
                        </th>
                    </tr>
                </thead>
                <tbody data-steady="">{rows}</tbody>
            </table>
        </section>
    }
    .into_any()
}

fn row(line: &Line<'_>, causes: &[FeedCauses], retries: &[FeedRetry], applications: &[&ApplicationInfo]) -> AnyView {
    let Line { view, feed, concerns } = line;
    let base = use_base();
    let info = &view.info;
    let siblings = view.feeds();
    let name = FeedName::of(feed.uri.as_deref(), siblings, applications).label();
    let href = page_of(info, feed, &base);
    let state = ShownState::of(feed, info);
    // For failures the numbers are enough; everything else needs a sentence.
    let said = concerns.iter().filter(|concern| concern.kind != ConcernKind::Exhausted).map(|concern| {
        let title = || Some(format!("{}. ", concern.title));
        let (title, todo) = match concern.kind {
            // Badge and button already say these titles and actions.
            ConcernKind::FeedStopped | ConcernKind::RetryOverdue | ConcernKind::NearLimit => (None, None),
            // The repair takes several steps, which the application's page explains.
            ConcernKind::MarkerUnusable | ConcernKind::MarkerNamesNoEvent => (title(), None),
            _ => (title(), Some(concern.todo.clone())),
        };
        view! { <span class="small">{title} {concern.cause.clone()} " " {todo}</span> }
    });
    // Nothing new fails on a stopped feed.
    let since = match feed.state {
        FeedState::Stopped => feed.newest_failure.clone(),
        _ => feed.oldest_failure.clone(),
    };
    let refused = view.seen.as_ref().and_then(|seen| seen.retry_refused.clone());
    let counts = feed.counts;
    let used_up = (counts.exhausted > 0).then(|| {
        view! { <span class="small muted">{format!("{} with retries used up", words::number(counts.exhausted))}</span> }
    });
    let retries = FeedRetry::of(retries, &info.key, feed.uri.as_deref());
    let about = format!("{name} → {}", info.name);
    let own = FeedCauses::of(causes, &info.key, feed.uri.as_deref()).to_vec();
    view! {
        <tr class=state.class() data-key=format!("{} {}", info.key, visible(feed.uri.as_deref().unwrap_or_default()))>
            <td data-label="State">
                <FeedBadge state />
            </td>
            <th scope="row">
                <a href=href>{about.clone()}</a>
                {said.collect_view()} {outlook(feed)} <RetriesInProgress retries=retries.clone() />
            </th>
            <td data-label="Since">{(counts.total > 0).then(|| view! { <When stamp=since /> })}</td>
            <td class="num" data-label="Failed events">
                <div>{known(feed.signs.failures_not_known.is_none().then_some(counts.total))} {used_up}</div>
            </td>
            <td data-label="Causes">
                <TopCauses app=info.key.clone() uri=feed.uri.clone() causes=own total=counts.total about=about.clone() />
            </td>
            <td class="act">
                <FeedAction info=info.clone() feed=(*feed).clone() refused=refused retries about />
            </td>
        </tr>
    }
    .into_any()
}

/// How far the consumer of a feed is behind and when the feed stops, if there is anything to say.
fn outlook(feed: &Feed) -> Option<AnyView> {
    let now = now();
    let behind = feed.lag.as_ref().filter(|lag| lag.unread > 0).map(|lag| lag.in_short(now));
    let told: Vec<String> = behind.into_iter().chain(feed.forecast.limit(now)).collect();
    (!told.is_empty()).then(|| {
        let told = words::capitalised(&told.join("; "));
        view! { <span class="small muted">{format!("{told}.")}</span> }.into_any()
    })
}

/// Returns whether the overview can only report that all is well.
pub fn is_well(views: &[ApplicationView]) -> bool {
    let answering = |view: &ApplicationView| matches!(view.reach, Reach::Reachable { .. }) && view.seen.is_some();
    !views.is_empty() && views.iter().all(|view| answering(view) && view.concerns.is_empty()) && lines(views).is_empty()
}

/// Returns the colour class of a concern, and its badge.
pub(super) fn badge(kind: ConcernKind) -> (&'static str, AnyView) {
    let of_state = |state: ShownState| (state.class(), view! { <FeedBadge state=state /> }.into_any());
    let of = |word, icon, text: &'static str| (word, view! { <Badge word=word icon=icon text=text /> }.into_any());
    match kind {
        ConcernKind::FeedStopped => of_state(ShownState::Stopped),
        ConcernKind::FeedStalled => of_state(ShownState::NotReading),
        ConcernKind::MarkerUnusable | ConcernKind::MarkerNamesNoEvent => of_state(ShownState::CannotContinue),
        ConcernKind::QueueStands => of("stalled", "waiting", "Not publishing"),
        ConcernKind::FeedNotServed => of("problem", "unreachable", "Feed not served"),
        ConcernKind::FeedDiffers => of("warning", "failing", "Feed differs"),
        ConcernKind::Unreachable => of("problem", "unreachable", "Unreachable"),
        ConcernKind::FeedsNotSeen | ConcernKind::FailuresNotSeen | ConcernKind::QueueNotSeen => {
            of("problem", "unknown", "Not readable")
        }
        ConcernKind::Outdated => of("unknown", "waiting", "Old"),
        ConcernKind::NearLimit => of_state(ShownState::NearLimit),
        ConcernKind::RetryOverdue => of_state(ShownState::RetryOverdue),
        ConcernKind::Exhausted => of("exhausted", "exhausted", "Retries used up"),
        ConcernKind::Hazard => of("problem", "failing", "Hazard"),
        ConcernKind::TimesAhead => of("warning", "failing", "Wrong times"),
        ConcernKind::NotConfigured => of("unknown", "unknown", "Not configured"),
        ConcernKind::HistoryGap => of("unknown", "unknown", "History incomplete"),
    }
}

/// When the numbers that are still shown were read.
fn last_check(view: &ApplicationView) -> AnyView {
    match view.seen_at {
        Some(at) => view! { <span class="muted">"Last successful check " <At at=at /> "."</span> }.into_any(),
        None => view! { <span class="muted">"Not seen since the console started."</span> }.into_any(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Reader, concerns,
        samples::{down, feed_with, up, view},
    };

    fn with_concerns(mut view: ApplicationView) -> ApplicationView {
        let now = view.looked_at.unwrap_or_default();
        view.concerns = concerns::of(&view, &[&view.info], now, &Reader::default());
        view
    }

    #[test]
    fn the_worst_feed_comes_first_and_numbers_change_no_places() {
        let order = |first: u64, second: u64| {
            let mut fine = feed_with(0, 0, 0);
            fine.uri = Some("http://openmrs:8080/openmrs/ws/atomfeed/drug/recent".into());
            let views = [
                with_concerns(view("OpenELIS", up(), vec![feed_with(0, first, first)])),
                with_concerns(view("PACS", up(), vec![feed_with(0, second, second)])),
                with_concerns(view("Odoo", up(), vec![feed_with(0, 1000, 1000), fine])),
                with_concerns(view("OpenMRS", up(), vec![feed_with(3, 0, 3)])),
            ];
            lines(&views).iter().map(|line| line.view.info.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(order(2, 9), ["Odoo", "OpenELIS", "PACS", "OpenMRS"]);
        assert_eq!(order(9, 2), order(2, 9));
    }

    #[test]
    fn all_is_well_only_where_everything_was_seen_and_nothing_fails() {
        let fine = || with_concerns(view("Odoo", up(), vec![feed_with(0, 0, 0)]));
        assert!(is_well(&[fine()]));
        assert_eq!(quiet_feeds(&[fine(), fine()]), 2);
        for other in [
            with_concerns(view("PACS", down(), vec![])),
            view("PACS", Reach::NotYet, vec![]),
            with_concerns(view("PACS", up(), vec![feed_with(1, 0, 1)])),
        ] {
            assert!(!is_well(&[fine(), other]));
        }
        assert!(!is_well(&[]));
    }
}
