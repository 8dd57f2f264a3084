//! Help: the words, what a retry does, what the console cannot see, and the keys.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    model::{
        EventState, FeedState,
        ledger::{Asked, LifeState},
    },
    ui::{
        components::{EventBadge, FeedBadge, LifeBadge},
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
                    "Systems of the hospital tell each other what happened through Atom feeds. Each reader keeps a marker of how far it "
                    "has read, and sets aside what it could not process as failed events. This console shows both, and asks for retries."
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
        (EventState::Waiting, "The consumer will try it again by itself. Nothing to do yet."),
        (
            EventState::Exhausted,
            "It has been tried as often as the consumer tries. Nobody will try again until a person asks for it.",
        ),
        (EventState::Unknown, "The table does not tell how often it was tried."),
    ];
    let lives = [
        (LifeState::Waiting, Some(Asked::Requested), "A person reset it; the consumer has not run since."),
        (LifeState::Exhausted, Some(Asked::FailedAgain), "It was tried after a person had asked for it, and failed."),
        (
            LifeState::Exhausted,
            Some(Asked::Overwritten),
            "The consumer held it while it was reset, and wrote its own count over it: the request is lost.",
        ),
        (LifeState::Resolved, None, "Its retry succeeded: it left the table together with its retry log."),
        (
            LifeState::Gone,
            None,
            "It left the table, and why is not known: its first retry succeeded, or somebody deleted it.",
        ),
        (LifeState::Discarded, None, "A person removed it with this console; it can be put back."),
    ];
    let feeds = [
        (FeedState::Running, "No failed events, and a marker that says where to go on."),
        (FeedState::Failing, "It has failed events, but fewer than the consumer's limit: new events can be read."),
        (
            FeedState::Stopped,
            "It has as many failed events as the consumer allows. Nothing new is read until some of them succeed or are removed.",
        ),
        (FeedState::Stalled, "The marker stands still while the publisher goes on."),
        (FeedState::Unknown, "Nothing tells how it is doing, or its marker names no page to go on from."),
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
                </dl>
                <h3>"A feed is"</h3>
                <dl class="facts">
                    {feeds
                        .into_iter()
                        .map(|(state, text)| {
                            view! {
                                <dt>
                                    <FeedBadge state=state />
                                </dt>
                                <dd>{text}</dd>
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
                    <dt>"Marker"</dt>
                    <dd>"How far a consumer has read a feed: the last entry, and the page it stood on."</dd>
                    <dt>"Offset marker"</dt>
                    <dd>"The publisher's own shortcut for counting its events. It is not a consumer's marker."</dd>
                    <dt>"Payload"</dt>
                    <dd>
                        "What the event carries: nearly always the address of a record, which is read again as it is at the time of the retry."
                    </dd>
                    <dt>"Assumed"</dt>
                    <dd>
                        "A limit or kind that was not configured but taken from the application's name. The consumer's own setting may differ."
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
                <li>"It sets the row's number of retries back to 0, and changes nothing else. The console processes no event itself."</li>
                <li>"The consumer's next retry run takes the row up, the oldest rows first, a few a run. Many rows take many runs."</li>
                <li>
                    "A row is reset only if it still has the retries that you saw. If it was tried or removed meanwhile it is left alone, and you are told."
                </li>
                <li>"A success removes the row and its retry log from the database. A failure counts one retry more."</li>
                <li>
                    "A retry does not open a stopped feed. A success does: it makes room. So mend the cause first, and retry then."
                </li>
                <li>
                    "A row that is still waiting can be retried too; but a run that holds it already can write its own count over yours."
                </li>
                <li>"Every retry is kept on record, with who asked for it and what became of each row."</li>
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
                    "It reads the databases, not the consumers. Whether a consumer runs at all it cannot tell; it shows when one was last seen at work."
                </li>
                <li>"Successes leave no trace in these tables. A quiet feed may be in step, or may have stopped without a word."</li>
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
                    " shows them on every page, where scripts are allowed"
                </span>
            </header>
            <KeyList />
        </section>
    }
}
