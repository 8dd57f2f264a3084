//! All applications on the overview: their states in one line on top, and the table.

use leptos::prelude::*;

use super::{
    At, DayChart, FeedBadge, NotHere, Number, ReachBadge, When,
    concerns::{badge as concern_badge, urgency},
    use_base,
};
use crate::{
    model::{ApplicationView, Availability, DayCount, Reach, Seen, concern::About, error_text::visible},
    ui::{sentences, words},
};

/// Every application with its worst state, in one line.
#[component]
pub fn ApplicationStrip(views: Vec<ApplicationView>) -> impl IntoView {
    let base = use_base();
    let items = views.into_iter().map(|view| {
        view! {
            <li>
                <a href=base.application(&view.info.key)>
                    <span>{visible(&view.info.name)}</span>
                    " "
                    {worst(&view)}
                    {problem(&view)}
                </a>
            </li>
        }
    });
    view! {
        <ul class="plain strip" aria-label="Applications and their worst states">
            {items.collect_view()}
        </ul>
    }
    .into_any()
}

/// Returns the badge of the most urgent problem of the whole application, although its database answers.
fn problem(view: &ApplicationView) -> Option<AnyView> {
    let reached = matches!(view.reach, Reach::Reachable { .. });
    let of_application = view.concerns.iter().filter(|concern| reached && concern.about == About::Application);
    let worst = of_application.map(|concern| concern.kind).min_by_key(|kind| urgency(*kind))?;
    let (class, badge) = concern_badge(worst);
    (class == "problem").then(|| view! { " " {badge} }.into_any())
}

/// Returns the badge of an application's worst feeds, or why their states are not known.
fn worst(view: &ApplicationView) -> AnyView {
    match (&view.reach, sentences::feeds_by_state(view).first()) {
        (Reach::Reachable { .. }, Some(&(state, feeds))) => {
            let text = format!("{} {}", words::number(feeds), state.after_number());
            view! { <FeedBadge state text /> }.into_any()
        }
        _ => feed_states(view),
    }
}

/// The table. A database that does not answer keeps the numbers of its last successful poll, with their age.
#[component]
pub fn ApplicationsTable(views: Vec<ApplicationView>) -> impl IntoView {
    // One scale for all: bars of equal height are equal numbers of failures.
    let most = views.iter().flat_map(|view| &view.days).map(|day| day.failures).max().unwrap_or_default();
    view! {
        <table class="cards">
            <caption class="unseen">"Applications: feeds, failed events, oldest failure, failures of 14 days"</caption>
            <thead>
                <tr>
                    <th scope="col">"Application"</th>
                    <th scope="col">"Feeds"</th>
                    <th scope="col" class="num">"Waiting for retry"</th>
                    <th scope="col" class="num">"Retries used up"</th>
                    <th scope="col" class="num">"Oldest failure"</th>
                    <th scope="col">"Failed, 14 days"</th>
                </tr>
            </thead>
            <tbody>{views.into_iter().map(|view| row(view, most)).collect_view()}</tbody>
        </table>
    }
}

fn row(view: ApplicationView, most: u64) -> impl IntoView {
    let base = use_base();
    let none = match view.reach {
        Reach::NotConfigured { .. } => "No numbers: its database is not known.",
        _ => "No numbers yet.",
    };
    let numbers = view.seen.as_deref().map_or_else(
        || view! { <td colspan="4" class="none">{none}</td> }.into_any(),
        |seen| numbers(seen, view.days.clone(), most).into_any(),
    );
    view! {
        <tr>
            <th scope="row">
                <a href=base.application(&view.info.key)>{view.info.name.clone()}</a>
                <span class="small muted">{server(&view)}</span>
            </th>
            <td data-label="Feeds">
                <div class="stack">
                    {feed_states(&view)} <span class="small muted">
                        <LookedAt view=view.clone() />
                    </span>
                </div>
            </td>
            {numbers}
        </tr>
    }
}

fn numbers(seen: &Seen, days: Vec<DayCount>, most: u64) -> impl IntoView + use<> {
    let in_days: u64 = days.iter().map(|day| day.failures).sum();
    view! {
        <td class="num" data-label="Waiting for retry">
            {known(seen.waiting)}
        </td>
        <td class="num" data-label="Retries used up">
            {known(seen.exhausted)}
        </td>
        <td class="num" data-label="Oldest failure">
            {match seen.failed {
                None => known(None),
                Some(0) => view! { <span class="none">"none"</span> }.into_any(),
                Some(_) => view! { <When stamp=seen.oldest_failure.clone() /> }.into_any(),
            }}
        </td>
        <td data-label="Failed, 14 days">
            {if seen.failed.is_none() || days.is_empty() {
                known(None)
            } else {
                view! {
                    <div class="spark">
                        <DayChart days scale=most /> <Number value=in_days />
                    </div>
                }
                    .into_any()
            }}
        </td>
    }
}

/// A number of failed events, or "not known".
pub fn known(number: Option<u64>) -> AnyView {
    match number {
        Some(number) => view! { <Number value=number /> }.into_any(),
        None => view! { <span class="none">"not known"</span> }.into_any(),
    }
}

fn server(view: &ApplicationView) -> String {
    match &view.reach {
        Reach::Reachable { server } => server.clone(),
        _ => view.info.address.clone(),
    }
}

/// The states of an application's feeds, or why they cannot be seen.
pub fn feed_states(view: &ApplicationView) -> AnyView {
    let reach = view.reach.clone();
    match (&view.reach, view.seen.as_ref().map(|seen| &seen.feeds)) {
        (Reach::Reachable { .. }, Some(Availability::Here(feeds))) if feeds.is_empty() => {
            view! { <span class="none">"no feeds"</span> }.into_any()
        }
        (Reach::Reachable { .. }, Some(Availability::Here(_))) => sentences::feeds_by_state(view)
            .into_iter()
            .map(|(state, feeds)| {
                let text = format!("{} {}", words::number(feeds), state.after_number());
                view! { <FeedBadge state=state text=text /> }
            })
            .collect_view()
            .into_any(),
        (Reach::Reachable { .. }, Some(Availability::NotHere(reason))) => {
            view! { <NotHere reason=reason.clone() /> }.into_any()
        }
        _ => view! { <ReachBadge reach=reach /> }.into_any(),
    }
}

/// The age of the numbers.
#[component]
pub fn LookedAt(view: ApplicationView) -> impl IntoView {
    match (&view.reach, view.seen_at, view.looked_at) {
        (Reach::Unreachable { .. }, Some(seen), _) => {
            view! { "numbers of the last successful check, " <At at=seen /> }.into_any()
        }
        (Reach::Unreachable { .. }, None, _) => view! { "not seen since the console started" }.into_any(),
        (_, _, Some(looked)) => view! { "checked " <At at=looked /> }.into_any(),
        (_, _, None) => ().into_any(),
    }
}
