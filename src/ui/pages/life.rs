//! The life of one failed event, from its first sight to its end, also when its row is long gone.

use std::collections::BTreeMap;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

use super::history::{EventTable, what};
use crate::{
    api::history::{LifePage as Page, view_life},
    model::{
        EventKey,
        error_text::visible,
        history::HistoryQuery,
        ledger::{Fault, Happened, LedgerEntry, LedgerEvent, LifeState},
    },
    ui::{
        components::{At, Between, LifeBadge, ShortId, loaded, use_base},
        words,
    },
};

#[component]
pub fn LifePage() -> impl IntoView {
    let id = use_params_map().read_untracked().get("id").unwrap_or_default();
    loaded(view_life(id), |page| view! { <Life page /> })
}

/// A life; also what a failed event's own page shows once its row is gone.
#[component]
pub fn Life(page: Page) -> impl IntoView {
    let base = use_base();
    let heading = format!("{}: {}", what(&page.event), page.event.state.word());
    let event = page.event.clone();
    let key = EventKey { app: event.app.clone(), id: event.row_id };
    let feed = HistoryQuery::of_feed(&event.app, event.feed_uri.as_deref());
    view! {
        <Title text=heading.clone() />
        <div data-live="life" data-live-app=event.app.clone()>
            <div class="head">
                <div>
                    <p class="crumbs">
                        <a href=base.history(&HistoryQuery::default())>"History"</a>
                        <a href=base.history(&HistoryQuery::of_app(&event.app))>{page.info.name.clone()}</a>
                        <a href=base.history(&feed)>"its feed"</a>
                    </p>
                    <h1>{heading}</h1>
                    <p class="lead">{ending(&event)}</p>
                </div>
                {event
                    .state
                    .is_open()
                    .then(|| view! { <a class="button primary" href=base.failed_event(&key, None)>"Open the failed event"</a> })}
            </div>
            <div class="event">
                <div class="column">
                    <section class="sheet" aria-labelledby="life-title">
                        <header>
                            <h2 id="life-title">"What happened"</h2>
                            <LifeBadge state=event.state asked=event.asked />
                        </header>
                        <ol class="timeline">{timeline(&page)}</ol>
                    </section>
                </div>
                <div class="column">
                    <Facts event=event.clone() />
                    <section class="sheet" aria-labelledby="same-title">
                        <header>
                            <h2 id="same-title">"Same record"</h2>
                        </header>
                        {if page.same_record.is_empty() {
                            view! { <p class="pad muted">"The console has seen no other failed event of this record."</p> }.into_any()
                        } else {
                            view! {
                                <EventTable
                                    events=page.same_record
                                    applications=page.applications
                                    caption="Other failed events of the same record"
                                />
                            }
                                .into_any()
                        }}
                    </section>
                </div>
            </div>
        </div>
    }
    .into_any()
}

/// What its state means, in one sentence.
fn ending(event: &LedgerEvent) -> AnyView {
    let why = event.ended_why.as_deref().map(|why| format!(" {}", visible(why)));
    let said = match event.state {
        LifeState::Waiting => "It is in the table of failed events, and the consumer will try it again.",
        LifeState::Exhausted => {
            "It is in the table of failed events, and nobody tries it again until a person retries it."
        }
        LifeState::Unknown => "It is in the table of failed events; whether it will be tried again cannot be told.",
        LifeState::Resolved => "Its retry succeeded: the row and its retry log left the table together",
        LifeState::Gone => "It left the table, and why is not known",
        LifeState::Discarded => "A person removed it with this console; the consumer never processes it",
    };
    match event.ended {
        Some(moment) => view! { {said} ", " <Between moment /> "." {why} }.into_any(),
        None => said.into_any(),
    }
}

#[component]
fn Facts(event: LedgerEvent) -> impl IntoView {
    let text = |text: Option<String>| match text {
        Some(text) => view! { <ShortId text=visible(&text) keep=40 /> }.into_any(),
        None => view! { <span class="none">"none"</span> }.into_any(),
    };
    let lasted = event.lasted().and_then(|lasted| u64::try_from(lasted.num_seconds()).ok()).map(words::span);
    view! {
        <section class="sheet" aria-labelledby="facts-title">
            <header>
                <h2 id="facts-title">"Facts"</h2>
            </header>
            <dl class="facts pad">
                <dt>"Event id"</dt>
                <dd>{text(event.event_id.clone())}</dd>
                <dt>"Record"</dt>
                <dd>{text(event.record.clone())}</dd>
                <dt>"Feed"</dt>
                <dd>{text(event.feed_uri.clone())}</dd>
                <dt>"Id of the row"</dt>
                <dd>
                    <code>{event.row_id.to_string()}</code>
                </dd>
                <dt>"Retries"</dt>
                <dd>{event.retries.map_or_else(|| "not known".to_owned(), words::number)}</dd>
                <dt>"Failed retries seen"</dt>
                <dd>{words::number(event.attempts)}</dd>
                {lasted.map(|lasted| view! { <dt>"Was a failed event for"</dt> <dd>{lasted}</dd> })}
            </dl>
            <p class="pad small muted">
                "The history keeps ids, times and states; the texts of errors and the payload left with the row."
            </p>
        </section>
    }
    .into_any()
}

fn timeline(page: &Page) -> AnyView {
    let event = &page.event;
    let fault = |id: i64| fault_words(&page.faults, id);
    let first = view! {
        <li class="waiting">
            <b>"First failure"</b>
            {fault(event.first_fault)}
            <span class="small muted block">
                {match (event.failed_at, event.moves) {
                    (Some(at), false) => view! { <At at exact=true /> }.into_any(),
                    (Some(at), true) => view! { "not later than " <At at exact=true /> ", when its row was changed last before that" }
                        .into_any(),
                    (None, _) => "at a time that is not known".into_any(),
                }}
            </span>
        </li>
        <li>
            <b>"First seen by the console"</b>
            <span class="small muted block">
                <Between moment=event.seen />
            </span>
        </li>
    };
    let mut number = 0_u64;
    let entries: Vec<AnyView> = page
        .entries
        .iter()
        .map(|entry| {
            if entry.what == Happened::Attempt {
                number += 1;
            }
            let (class, words) = entry_words(entry, number, event.state);
            view! {
                <li class=class>
                    <b>{words}</b>
                    {entry.fault.map(fault)}
                    {entry.who.clone().map(|who| visible(&format!(", asked for by {who}")))}
                    <span class="small muted block">
                        <Between moment=entry.moment />
                    </span>
                </li>
            }
            .into_any()
        })
        .collect();
    view! { {first} {entries} }.into_any()
}

fn fault_words(faults: &BTreeMap<i64, Fault>, id: i64) -> Option<String> {
    let fault = faults.get(&id)?;
    Some(visible(&format!(": {}", crate::model::fingerprint::title(&fault.fingerprint))))
}

/// The class that colours an entry, and what it says.
fn entry_words(entry: &LedgerEntry, number: u64, state: LifeState) -> (&'static str, String) {
    let count = |retries: Option<i64>| retries.map_or_else(|| "unknown".to_owned(), words::number);
    match entry.what {
        Happened::Attempt => ("exhausted", format!("Failed retry {}", words::number(number))),
        Happened::Earlier => {
            ("", "Earlier attempt, of an earlier failure of the same event; it counts for nothing".to_owned())
        }
        Happened::Retries { before, after } => ("", format!("Retries went from {} to {}", count(before), count(after))),
        Happened::Requested { before: Some(before) } => {
            ("waiting", format!("Retry requested; retries were {}", words::number(before)))
        }
        Happened::Requested { before: None } => ("waiting", "Retry requested".to_owned()),
        Happened::Overwritten { after } => {
            ("exhausted", format!("The retry was overwritten: a count of {} was written over the reset", count(after)))
        }
        Happened::Discarded => ("", "Discard requested".to_owned()),
        Happened::Restored => ("waiting", "Put back into the table".to_owned()),
        Happened::Moved => ("", "Its feed's address was rewritten".to_owned()),
        Happened::Ended if state.is_open() => ("", "Left the table".to_owned()),
        Happened::Ended => (state.word(), format!("Left the table: {}", state.word())),
        Happened::Withdrawn => ("", "The request did not reach the database".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ledger::Moment;

    #[test]
    fn every_entry_says_what_happened() {
        let entry = |what| LedgerEntry {
            moment: Moment::exactly(chrono::DateTime::UNIX_EPOCH),
            what,
            fault: None,
            operation: None,
            who: None,
        };
        let said = |what| entry_words(&entry(what), 2, LifeState::Resolved).1;
        assert_eq!(said(Happened::Attempt), "Failed retry 2");
        assert!(said(Happened::Earlier).starts_with("Earlier attempt, of an earlier failure"));
        assert_eq!(said(Happened::Retries { before: Some(3), after: Some(4) }), "Retries went from 3 to 4");
        assert_eq!(said(Happened::Requested { before: Some(5) }), "Retry requested; retries were 5");
        assert_eq!(said(Happened::Ended), "Left the table: resolved");
    }
}
