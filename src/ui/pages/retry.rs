//! The plan of retrying all exhausted failed events of a feed: what it would do, before it is done.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_url;

use crate::{
    api::failed_events::{RetryPlan, plan_feed_retry},
    model::{
        EventState,
        error_text::visible,
        filter::{Filter, ListQuery, pairs},
    },
    paths::API_PREFIX,
    ui::{
        components::{Icon, Notice, NoticeKind, ProblemView, SeenAtWork, ShortId, use_base},
        due, words,
    },
};

/// The plan for the application and feed of the query string; without a feed, for the rows that have no address.
#[component]
pub fn RetryFeedPage() -> impl IntoView {
    let query = use_url().read_untracked().search().to_owned();
    let (app, feed) = asked(&query);
    view! {
        <Await future=plan_feed_retry(app, feed) blocking=true let:answer>
            {match answer.clone() {
                Ok(plan) => view! { <Plan plan /> }.into_any(),
                Err(problem) => view! { <ProblemView problem /> }.into_any(),
            }}
        </Await>
    }
}

fn asked(query: &str) -> (String, Option<String>) {
    let value = |name: &str| pairs(query).find(|(key, _)| key == name).map(|(_, value)| value);
    (value("app").unwrap_or_default(), value("feed").filter(|feed| !feed.is_empty()))
}

#[component]
fn Plan(plan: RetryPlan) -> impl IntoView {
    let base = use_base();
    let info = plan.info.clone();
    let list = ListQuery {
        filter: Filter {
            apps: vec![info.key.clone()],
            feed: Some(plan.feed.clone().unwrap_or_default()),
            state: Some(EventState::Exhausted),
            ..Filter::default()
        },
        ..ListQuery::default()
    };
    let cancel = base.failed_events(&list);
    let nothing = plan.exhausted == 0;
    let heading = if nothing {
        "Nothing to retry in this feed".to_owned()
    } else {
        format!("Retry {} of a feed", words::count(plan.exhausted, "failed event"))
    };
    let feed = match &plan.feed {
        Some(feed) => view! { <ShortId text=visible(feed) keep=96 /> }.into_any(),
        None => "the rows without a feed address".into_any(),
    };
    view! {
        <Title text=heading.clone() />
        <div class="head">
            <div>
                <p class="crumbs">
                    <a href=cancel.clone()>"Exhausted failed events of the feed"</a>
                    <a href=base.application(&info.key)>{info.name.clone()}</a>
                </p>
                <h1>{heading}</h1>
                <p class="lead">{feed}</p>
            </div>
        </div>
        <section class="sheet plan" aria-label="The plan">
            <div class="pad">
                {(!nothing).then(|| view! { <Effect plan=plan.clone() /> })}
                <Ask plan cancel />
            </div>
        </section>
    }
    .into_any()
}

/// What it would do, in sentences.
#[component]
fn Effect(plan: RetryPlan) -> impl IntoView {
    let limits = &plan.info.limits;
    let all = plan.exhausted.saturating_add(plan.waiting);
    let stopped = limits.max_failed_events.filter(|max| all >= *max).map(|max| {
        format!(
            "The feed is stopped: it has {} or more failed events, the limit. Nothing new is read from it until some of \
             them succeed.",
            words::number(max)
        )
    });
    let up_to = plan.up_to.map(|id| {
        format!("Rows up to id {id} are taken: nothing joins that becomes exhausted with a higher id after this page.")
    });
    let waiting = (plan.waiting > 0).then(|| {
        format!(
            "{} of the feed wait already and are tried in between, by id, oldest first.",
            words::count_first(plan.waiting, "failed event")
        )
    });
    let work = match limits.max_retry {
        None => due::turn(limits, None),
        Some(_) => due::work(limits, all),
    };
    view! {
        {stopped.map(|sentence| view! { <Notice kind=NoticeKind::Warning>{sentence}</Notice> })}
        <ul class="effects">
            <li>
                {format!(
                    "{} of this feed: retries is set to 0, and nothing else is changed.",
                    words::count_first(plan.exhausted, "exhausted failed event"),
                )}
            </li>
            {up_to.map(|sentence| view! { <li>{sentence}</li> })}
            {waiting.map(|sentence| view! { <li>{sentence}</li> })}
            <li>{work}</li>
            <li>
                "Events whose cause is not gone fail again, until they are exhausted once more. "
                <SeenAtWork stamp=plan.last_seen_at_work.clone() />
            </li>
            {due::assumed(&plan.info).map(|sentence| view! { <li>{sentence}</li> })}
        </ul>
    }
    .into_any()
}

/// The question, or why it cannot be asked.
#[component]
fn Ask(plan: RetryPlan, cancel: String) -> impl IntoView {
    let base = use_base();
    if let Some(why) = plan.retry_refused {
        return view! {
            <Notice kind=NoticeKind::Warning>
                <strong>"Nothing can be retried here. "</strong>
                {why}
            </Notice>
            <p>
                <a class="button" href=cancel>"Back"</a>
            </p>
        }
        .into_any();
    }
    let Some(up_to) = plan.up_to.filter(|_| plan.exhausted > 0) else {
        return view! {
            <Notice kind=NoticeKind::Info>"This feed has no exhausted failed event now: there is nothing to retry."</Notice>
            <p>
                <a class="button" href=cancel>"Back"</a>
            </p>
        }
        .into_any();
    };
    view! {
        <form method="post" action=base.at(&format!("{API_PREFIX}/retry_feed")) class="ask">
            <input type="hidden" name="app" value=plan.info.key />
            {plan.feed.map(|feed| view! { <input type="hidden" name="feed" value=feed /> })}
            <input type="hidden" name="up_to" value=up_to.to_string() />
            <label>
                <span>"Reason, for the record (may stay empty)"</span>
                <input name="reason" maxlength="500" autocomplete="off" />
            </label>
            <div class="bar">
                <button type="submit" class="primary">
                    <Icon name="retry" />
                    {format!("Retry {}", words::count(plan.exhausted, "failed event"))}
                </button>
                <a class="button" href=cancel>
                    "Cancel"
                </a>
            </div>
        </form>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::asked;
    use crate::paths::Base;

    #[test]
    fn the_plan_reads_the_address_that_the_console_writes() {
        let base = Base::parse("/x").unwrap();
        for feed in [Some("http://openmrs:8080/a?b=c&d=%20ü"), None] {
            let url = base.plan_feed_retry("odoo", feed);
            let (_, query) = url.split_once('?').unwrap();
            assert_eq!(asked(query), ("odoo".to_owned(), feed.map(str::to_owned)));
        }
    }
}
