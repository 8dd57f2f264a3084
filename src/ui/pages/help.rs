//! Help: the terms, what a retry does, what the console cannot see, and the keys.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    model::{
        EventState, ShownState,
        ledger::{Asked, LifeState},
    },
    ui::{
        components::{Badge, EventBadge, FeedBadge, LifeBadge},
        islands::KeyList,
    },
};

#[component]
pub fn HelpPage() -> impl IntoView {
    view! {
        <Title text="Help" />
        <div class="head">
            <div>
                <h1>"Help"</h1>
                <p class="lead">
                    "Hospital systems tell each other about changes through Atom feeds. Each application stores how far it has read, and "
                    "keeps events that it could not process as failed events. This console shows both, and can retry failed events."
                </p>
            </div>
        </div>
        <div class="columns">
            <Words />
            <div class="group">
                <Retry />
                <Limits />
                <Keys />
            </div>
        </div>
    }
}

#[component]
fn Words() -> impl IntoView {
    let events = [
        (EventState::Waiting, "The consumer retries it automatically. Nothing to do yet."),
        (EventState::Exhausted, "All retries failed. No automatic retry. Fix the cause, then press Retry."),
        (EventState::Unknown, "The table has no retry counter for this event."),
    ];
    let lives = [
        (LifeState::Waiting, Some(Asked::Requested), "A retry was requested. The consumer has not run yet."),
        (LifeState::Exhausted, Some(Asked::FailedAgain), "The requested retry failed."),
        (
            LifeState::Exhausted,
            Some(Asked::Overwritten),
            "The consumer was running and overwrote the request. Retry again.",
        ),
        (LifeState::Resolved, None, "A retry succeeded."),
        (
            LifeState::Gone,
            None,
            "Removed; the reason is not known: the first retry succeeded, or the event was deleted in the database.",
        ),
        (LifeState::Discarded, None, "Removed with this console. Can be restored."),
    ];
    view! {
        <section class="sheet" aria-labelledby="words">
            <header>
                <h2 id="words">"What the words mean"</h2>
            </header>
            <div class="pad">
                <h3>"A failed event is"</h3>
                <dl class="facts">
                    {lives
                        .into_iter()
                        .map(|(state, asked, text)| {
                            view! {
                                <dt>
                                    <LifeBadge state asked />
                                </dt>
                                <dd>{text}</dd>
                            }
                        })
                        .collect_view()}
                    {events
                        .into_iter()
                        .map(|(state, text)| {
                            view! {
                                <dt>
                                    <EventBadge state=state />
                                </dt>
                                <dd>{text}</dd>
                            }
                        })
                        .collect_view()}
                    <dt>
                        <Badge word="warning" icon="failing" text="Retry overdue" />
                    </dt>
                    <dd>"It waits for a retry, and no event of its feed was retried for long. Check the retry job of the application."</dd>
                </dl>
                <h3>"A feed is"</h3>
                <dl class="facts">
                    {ShownState::ALL
                        .map(|state| {
                            view! {
                                <dt>
                                    <FeedBadge state=state />
                                </dt>
                                <dd>{state.meaning()}</dd>
                            }
                        })
                        .collect_view()}
                </dl>
                <h3>"Other words"</h3>
                <dl class="facts">
                    <dt>"Consumer"</dt>
                    <dd>"The part of an application that reads feeds of other systems."</dd>
                    <dt>"Publisher"</dt>
                    <dd>"The system whose feed is read."</dd>
                    <dt>"Read position"</dt>
                    <dd>"How far a consumer has read a feed: the last event and its page. The database calls it a marker."</dd>
                    <dt>"Offset marker"</dt>
                    <dd>"The publisher's own shortcut for counting its events. It is not a read position."</dd>
                    <dt>"Payload"</dt>
                    <dd>
                        "What the event carries: nearly always the link to a record. A retry reads the current version of the record."
                    </dd>
                    <dt>"Assumed"</dt>
                    <dd>
                        "A limit or kind that was not configured but taken from the application's name. The consumer may have another one."
                    </dd>
                </dl>
            </div>
        </section>
    }
}

#[component]
fn Retry() -> impl IntoView {
    view! {
        <section class="sheet" aria-labelledby="retry">
            <header>
                <h2 id="retry">"What a retry does"</h2>
            </header>
            <ul class="pad list">
                <li>"A retry sets the retry counter to 0. Nothing else changes. The console does not process events itself."</li>
                <li>"The consumer's next retry run takes the oldest events first, a few in each run. Many events take many runs."</li>
                <li>
                    "An event is skipped if it was retried or removed in the meantime. The result says so."
                </li>
                <li>"A success removes the event and its retry log from the database. A failure adds one to the counter."</li>
                <li>
                    "A stopped feed continues when events succeed. Fix the cause first, then retry."
                </li>
                <li>
                    "An event that waits for its retry can be retried now too. If a retry is running right now, your request may be lost."
                </li>
                <li>"Every retry is in the audit log, with the user and the result of each event."</li>
            </ul>
        </section>
    }
}

#[component]
fn Limits() -> impl IntoView {
    view! {
        <section class="sheet" aria-labelledby="unseen">
            <header>
                <h2 id="unseen">"What the console cannot see"</h2>
            </header>
            <ul class="pad list">
                <li>
                    "The console reads databases, not consumers: it cannot see whether a consumer runs. It shows the last activity of each."
                </li>
                <li>"Successful events are not recorded. No activity can mean \"up to date\" or \"stopped\"."</li>
                <li>"“No failed events” does not prove that everything arrived: a consumer can skip an event without an error."</li>
            </ul>
        </section>
    }
}

#[component]
fn Keys() -> impl IntoView {
    view! {
        <section class="sheet" aria-labelledby="help-keys">
            <header>
                <h2 id="help-keys">"Keys"</h2>
                <span class="small muted push">
                    <kbd>"?"</kbd>
                    " shows them on every page"
                </span>
            </header>
            <KeyList />
        </section>
    }
}
