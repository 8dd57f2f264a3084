//! What needs attention, the most pressing first.

use leptos::prelude::*;

use super::{At, Badge, FeedBadge, FeedLinks, use_base};
use crate::{
    model::{ApplicationInfo, ApplicationView, FeedState, application::COMPLETE_ENTRY},
    ui::{
        sentences::{self, Concern},
        words,
    },
};

/// Concerns that a page shows; the rest is a number.
const SHOWN: usize = 8;

/// The list, or nothing where nothing needs attention.
#[component]
pub fn Concerns(views: Vec<ApplicationView>) -> impl IntoView {
    let concerns = sentences::concerns(&views);
    if concerns.is_empty() {
        return ().into_any();
    }
    let more = concerns.len().saturating_sub(SHOWN);
    let applications: Vec<&ApplicationInfo> = views.iter().map(|view| &view.info).collect();
    let shown = concerns.iter().take(SHOWN).map(|concern| item(concern, &applications)).collect_view();
    let base = use_base();
    view! {
        <section class="sheet" aria-labelledby="attention">
            <header>
                <h2 id="attention">"Needs attention first"</h2>
            </header>
            <ul class="concerns">{shown}</ul>
            {(more > 0)
                .then(|| {
                    view! {
                        <p class="pager">
                            {format!("And {} more.", words::number(more as u64))}
                            <a href=base.applications()>"All applications"</a>
                        </p>
                    }
                })}
        </section>
    }
    .into_any()
}

fn item(concern: &Concern<'_>, applications: &[&ApplicationInfo]) -> AnyView {
    let base = use_base();
    let application = |view: &ApplicationView, text: &str| view! { <a class="button" href=base.application(&view.info.key)>{text.to_owned()}</a> };
    let open = |view| view! { <div class="bar">{application(view, "Open the application")}</div> }.into_any();
    match concern {
        Concern::Feed { view, feed } => {
            let saying = sentences::feed(feed, &view.info.limits_of(feed.uri.as_deref()));
            let refused = view.seen.as_ref().and_then(|seen| seen.retry_refused.clone());
            let (word, badge) = match feed.state {
                FeedState::Stopped | FeedState::Stalled => {
                    (feed.state.word(), view! { <FeedBadge state=feed.state /> }.into_any())
                }
                _ => ("exhausted", view! { <Badge word="exhausted" icon="exhausted" text="Exhausted" /> }.into_any()),
            };
            let links = view! { <FeedLinks info=view.info.clone() feed=(*feed).clone() refused=refused /> };
            let title = sentences::feed_title(view, feed, applications);
            row(word, badge, title, saying.cause, saying.todo, links.into_any())
        }
        Concern::Silent { view, reason, advice } => {
            let badge = view! { <Badge word="unreachable" icon="unreachable" text="Unreachable" /> };
            row(
                "unreachable",
                badge.into_any(),
                (*reason).to_owned(),
                (*advice).to_owned(),
                String::new(),
                view! { <div class="bar">{last_good_look(view)} {application(view, "Open the application")}</div> }
                    .into_any(),
            )
        }
        Concern::Hidden { view, reason } => row(
            "unknown",
            view! { <Badge word="unknown" icon="unknown" text="Not seen" /> }.into_any(),
            format!("The feeds of {} cannot be seen", view.info.name),
            format!("Not available here: {reason}."),
            "Check the database, the schema and what the account may read.".to_owned(),
            open(view),
        ),
        Concern::Hazard { view, hazard } => row(
            "warning",
            view! { <Badge word="warning" icon="failing" text="Hazard" /> }.into_any(),
            format!("Something in {} can break its consumer", view.info.name),
            (*hazard).to_owned(),
            String::new(),
            open(view),
        ),
        Concern::NotConfigured { view, lacking } => row(
            "unknown",
            view! { <Badge word="unknown" icon="unknown" text="Not configured" /> }.into_any(),
            format!("{} is not configured", view.info.name),
            format!("{}.", lacking.join("; ")),
            COMPLETE_ENTRY.to_owned(),
            open(view),
        ),
        Concern::Ahead { view, saying } => row(
            "warning",
            view! { <Badge word="warning" icon="failing" text="Times" /> }.into_any(),
            format!("Times of {} lie in the future", view.info.name),
            saying.cause.clone(),
            saying.todo.clone(),
            open(view),
        ),
        Concern::OutOfStep { view, why } => row(
            "unknown",
            view! { <Badge word="unknown" icon="unknown" text="Not followed" /> }.into_any(),
            format!("The history of {} has a gap", view.info.name),
            (*why).to_owned(),
            String::new(),
            open(view),
        ),
    }
}

/// When numbers that are still shown were read.
fn last_good_look(view: &ApplicationView) -> AnyView {
    match view.seen_at {
        Some(at) => view! { <p class="small muted">"Last good look " <At at=at /> "."</p> }.into_any(),
        None => view! { <p class="small muted">"Not seen since the console started."</p> }.into_any(),
    }
}

fn row(word: &'static str, badge: AnyView, title: String, cause: String, todo: String, links: AnyView) -> AnyView {
    view! {
        <li class=format!("concern {word}")>
            <div>{badge}</div>
            <div class="say">
                <h3>{title}</h3>
                <p>{cause}</p>
                {(!todo.is_empty()).then(|| view! { <p class="todo">{todo}</p> })}
            </div>
            {links}
        </li>
    }
    .into_any()
}
