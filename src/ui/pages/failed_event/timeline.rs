//! What happened to a failed event that still fails, newest first.

use leptos::prelude::*;

use super::{Text, Whole};
use crate::{
    model::{
        Attempt, Availability, EventKey, FailedEvent, FailedSince,
        error_text::{parse, visible},
        says,
    },
    ui::{
        components::{At, ShortId, Trace, When},
        pages::life::failed_retries,
        words,
    },
};

/// All recorded failed retries, newest first, and the first failure. A successful retry leaves no record. Attempts of
/// an earlier failure are listed separately and not counted.
#[component]
pub(super) fn Timeline(event: FailedEvent, key: EventKey, masked: bool) -> impl IntoView {
    let feed = event.row.feed_uri.clone();
    let first = says(event.row.error.as_deref());
    let since = event.row.failed_since();
    let attempts = match event.attempts {
        Availability::Here(attempts) => attempts,
        Availability::NotHere(reason) => {
            return view! {
                <section class="sheet" aria-labelledby="time-title">
                    <header>
                        <h2 id="time-title">"What happened"</h2>
                    </header>
                    <p class="pad none">"Retries are not recorded here: " {reason} "."</p>
                    <ol class="timeline">
                        <FirstFailure said=first since />
                    </ol>
                </section>
            }
            .into_any();
        }
    };
    let left_out = event.attempts_total.saturating_sub(attempts.len() as u64);
    let total = event.attempts_total.max(attempts.len() as u64);
    let items = attempts
        .iter()
        .enumerate()
        .rev()
        .map(|(index, attempt)| {
            let before = index.checked_sub(1).and_then(|index| attempts.get(index));
            let number = total - (attempts.len() - 1 - index) as u64;
            let repeated = before.is_some_and(|before| before.error == attempt.error);
            let elsewhere = attempt.feed_uri.clone().filter(|uri| Some(uri) != feed.as_ref());
            let whole = (attempt.error_cut && !masked).then(|| Text::Attempt(key.clone(), attempt.id));
            view! { <TimelineItem attempt=attempt.clone() number repeated elsewhere whole /> }
        })
        .collect_view();
    view! {
        <section class="sheet" aria-labelledby="time-title">
            <header>
                <h2 id="time-title">"What happened"</h2>
                <span class="small muted push">{failed_retries(total)} ", newest first"</span>
            </header>
            <ol class="timeline">
                {items}
                {(left_out > 0)
                    .then(|| {
                        view! {
                            <li class="muted">{format!("Older retries, not shown: {}.", words::number(left_out))}</li>
                        }
                    })} <FirstFailure said=first since />
            </ol>
            <EarlierAttempts attempts=event.earlier total=event.earlier_total />
        </section>
    }
    .into_any()
}

/// The retry log's attempts of this event from before its present failure.
#[component]
fn EarlierAttempts(attempts: Vec<Attempt>, total: u64) -> impl IntoView {
    let left_out = total.saturating_sub(attempts.len() as u64);
    (!attempts.is_empty()).then(|| {
        let items = attempts
            .into_iter()
            .rev()
            .map(|attempt| {
                view! {
                    <li>
                        <b>"Earlier attempt"</b>
                        {format!(": {}", says(attempt.error.as_deref()))}
                        <span class="small muted block">
                            <When stamp=attempt.failed_at exact=true />
                        </span>
                    </li>
                }
            })
            .collect_view();
        view! {
            <details class="earlier pad">
                <summary>{words::count(total, "earlier attempt")}</summary>
                <p class="small muted">
                    "Retries of an earlier failure of the same event. They are not counted here."
                </p>
                <ol class="timeline">{items}</ol>
                {(left_out > 0).then(|| format!("Not shown: {}.", words::number(left_out)))}
            </details>
        }
    })
}

#[component]
fn FirstFailure(said: String, since: FailedSince) -> impl IntoView {
    view! {
        <li class="waiting" data-key="first">
            <b>"First failure"</b>
            ": "
            {said}
            <span class="small muted block">
                {match since {
                    FailedSince::First(stamp) => view! { <When stamp exact=true /> }.into_any(),
                    FailedSince::Seen(at) | FailedSince::ChangedBefore(at) => view! { "not later than " <At at exact=true /> }.into_any(),
                    FailedSince::Changed(stamp) => {
                        view! { "not later than " <When stamp exact=true /> ", when its row was last changed" }.into_any()
                    }
                }}
            </span>
        </li>
    }
    .into_any()
}

#[component]
fn TimelineItem(
    attempt: Attempt,
    number: u64,
    /// The error is identical to that of the previous attempt.
    repeated: bool,
    /// The feed address in the log, if it differs from the event's.
    elsewhere: Option<String>,
    /// The error, if the page does not show all of it.
    whole: Option<Text>,
) -> impl IntoView {
    let said = says(attempt.error.as_deref());
    let error = attempt.error.as_deref().map(parse).filter(|_| !repeated);
    view! {
        <li class="exhausted" data-key=format!("attempt-{number}")>
            <b>{format!("Retry {} failed", words::number(number))}</b>
            {if repeated { ", same error".to_owned() } else { format!(": {said}") }}
            <span class="small muted block">
                <When stamp=attempt.failed_at exact=true />
            </span>
            {elsewhere
                .map(|uri| {
                    view! {
                        <span class="small muted block">
                            "Logged under another feed address: " <ShortId text=visible(&uri) keep=60 />
                        </span>
                    }
                })}
            {error
                .map(|error| {
                    view! {
                        <details>
                            <summary class="small">
                                "Show error" <span class="unseen">{format!(" of retry {}", words::number(number))}</span>
                            </summary>
                            <Trace of=format!("retry {}", words::number(number)) error other=None />
                            {whole.map(|text| view! { <p class="small muted">"This is its beginning. " <Whole text of=format!("the error of retry {number}") /></p> })}
                        </details>
                    }
                })}
        </li>
    }
    .into_any()
}
