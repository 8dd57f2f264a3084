//! The life of one failed event, from the poll that first saw it to its end, also long after its row was deleted.

use std::collections::BTreeMap;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

use crate::{
    api::history::{CopyPage, LifePage as Page, view_life},
    model::{
        ApplicationInfo, EventKey,
        application::name_of,
        error_text::visible,
        filter::ListQuery,
        history::HistoryQuery,
        ledger::{Fault, Happened, LedgerEntry, LedgerEvent, LedgerRequest, LifeState, RequestKind, RequestOutcome},
        operation::Discarded,
    },
    ui::{
        components::{
            At, Back, Between, Called, FormToken, LifeBadge, Neighbours, Notice, NoticeKind, PlanSubmit, ShortId,
            Since, list_at, loaded, since_heading, use_base,
        },
        due,
        islands::Follows,
        visitor::{refused, use_visitor},
        words,
    },
};

#[component]
pub fn LifePage() -> impl IntoView {
    let id = use_params_map().read_untracked().get("id").unwrap_or_default();
    loaded(view_life(id), |page| view! { <Life page list=None /> })
}

/// A life; also shown on a failed event's own page after its row is deleted. `list`: the list from which it was opened.
#[component]
pub fn Life(page: Page, list: Option<ListQuery>) -> impl IntoView {
    let base = use_base();
    let event = page.event.clone();
    let heading = event.naming().event(&page.info.name);
    let title = format!("{heading}: {}", event.state.label());
    let key = EventKey { app: event.app.clone(), id: event.row_id };
    let feed = HistoryQuery::of_feed(&event.app, event.feed_uri.as_deref());
    let crumbs = match &list {
        // The list does not contain it any more: the next event is in its place.
        Some(list) => {
            view! { <a href=list_at(&base, list, page.next.as_ref().unwrap_or(&key))>"Back to the list"</a> }.into_any()
        }
        None => view! { <a href=base.history(&HistoryQuery::default())>"History"</a> }.into_any(),
    };
    let list = list.unwrap_or_default();
    view! {
        <Title text=title />
        <Follows app=Some(event.app.clone()) again=None />
        <div class="head">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb">
                    {crumbs} <a href=base.application(&event.app)>{page.info.name.clone()}</a>
                    <a href=base.history(&feed)>"History of this feed"</a>
                </nav>
                <h1>{heading}</h1>
                <Called called=event.called.clone() />
                <p class="lead">
                    <LifeBadge state=event.state asked=event.asked />
                    " "
                    {since_heading([&event.failed_since()])}
                    " "
                    <Since since=event.failed_since() />
                    "."
                </p>
            </div>
            <Neighbours previous=page.previous.clone() next=page.next.clone() list />
        </div>
        <Ending page=page.clone() key />
        <div class="event">
            <div class="column">
                <section class="sheet" aria-labelledby="life-title">
                    <header>
                        <h2 id="life-title">"What happened"</h2>
                        <span class="small muted push">"newest first"</span>
                    </header>
                    <Timeline page=page.clone() />
                </section>
            </div>
            <div class="column">
                <Details event=event.clone() />
                <SameRecord events=page.same_record applications=page.applications />
            </div>
        </div>
    }
    .into_any()
}

/// A discarded event of which only the copy is known.
#[component]
pub fn CopyOfRow(page: CopyPage, list: ListQuery) -> impl IntoView {
    let base = use_base();
    let CopyPage { info, copy } = page;
    let heading = copy.naming().event(&info.name);
    let key = EventKey { app: copy.app.clone(), id: copy.row_id };
    let (back, of_application) = (list_at(&base, &list, &key), base.application(&info.key));
    let discarded = base.discarded(Some(copy.operation));
    view! {
        <Title text=format!("{heading}: {}", LifeState::Discarded.label()) />
        <Follows app=Some(info.key.clone()) again=None />
        <div class="head">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb">
                    <a href=back>"Back to the list"</a>
                    <a href=of_application>{info.name.clone()}</a>
                    <a href=discarded>"Discarded events"</a>
                </nav>
                <h1>{heading}</h1>
            </div>
        </div>
        <DiscardedNote copy=Some(copy) request=None info />
    }
    .into_any()
}

/// The meaning of its state, in a sentence, and what can be done.
#[component]
fn Ending(page: Page, key: EventKey) -> impl IntoView {
    let base = use_base();
    let event = page.event.clone();
    let why = event.ended_why.as_deref().map(|why| format!(" {}", visible(why)));
    let when = event.ended.map(|moment| view! { " " <At at=moment.at /> });
    match event.state {
        LifeState::Waiting | LifeState::Exhausted | LifeState::Unknown => {
            let href = base.failed_event(&key, None);
            view! {
                <Notice kind=NoticeKind::Info>
                    <p data-say="">{open_words(event.state)}</p>
                    <p>
                        <a class="button primary" href=href>
                            "Open the failed event"
                        </a>
                    </p>
                </Notice>
            }
            .into_any()
        }
        LifeState::Resolved => {
            let said = resolved_words(&page, use_visitor().person.map(|person| person.name).as_deref());
            view! {
                <Notice kind=NoticeKind::Done>
                    <p tabindex="-1" data-outcome="">
                        <strong data-say="">{said}</strong>
                        {when}
                        {why}
                    </p>
                </Notice>
            }
            .into_any()
        }
        LifeState::Gone => view! {
            <Notice kind=NoticeKind::Warning>
                <p tabindex="-1" data-outcome="">
                    <strong data-say="">"Removed from the table, reason unknown."</strong>
                    {when}
                    {why}
                </p>
            </Notice>
        }
        .into_any(),
        LifeState::Discarded => {
            view! { <DiscardedNote copy=page.copy request=discard_of(&page.requests) info=page.info /> }.into_any()
        }
    }
}

fn open_words(state: LifeState) -> &'static str {
    match state {
        LifeState::Waiting => "This event is waiting for its next retry.",
        LifeState::Exhausted => "All retries of this event failed.",
        _ => "This event is in the table. It is not known whether it will be retried.",
    }
}

/// `Resolved 2 s after your retry.`
fn resolved_words(page: &Page, you: Option<&str>) -> String {
    let helped = |request: &&LedgerRequest| {
        request.kind == RequestKind::Retry
            && request.outcome.is_some_and(|(outcome, _)| outcome == RequestOutcome::Resolved)
    };
    let request = page.requests.iter().rev().find(helped);
    match (request, page.event.ended) {
        (Some(request), Some(ended)) => {
            let seconds = u64::try_from((ended.at - request.at).num_seconds()).unwrap_or_default();
            let whose = match you {
                Some(you) if you == request.who => "your retry".to_owned(),
                _ => format!("a retry by {}", visible(&request.who)),
            };
            format!("Resolved {} after {whose}.", words::span(seconds))
        }
        _ => "Resolved by an automatic retry.".to_owned(),
    }
}

fn discard_of(requests: &[LedgerRequest]) -> Option<LedgerRequest> {
    requests.iter().rev().find(|request| request.kind == RequestKind::Discard).cloned()
}

/// By whom and why it was discarded, and the button to restore it.
#[component]
fn DiscardedNote(copy: Option<Discarded>, request: Option<LedgerRequest>, info: ApplicationInfo) -> impl IntoView {
    let base = use_base();
    let asked = request.map(|request| (request.who, request.at, request.operation));
    let asked = asked.or_else(|| copy.as_ref().map(|copy| (copy.who.clone(), copy.at, copy.operation)));
    let who = asked.as_ref().map(|(who, ..)| format!(" by {}", visible(who))).unwrap_or_default();
    let at = asked.as_ref().map(|(_, at, _)| view! { " " <At at=*at /> });
    let operation = asked.map(
        |(_, _, operation)| view! { " " <a href=base.operation(operation)>{format!("Operation {operation}")}</a> },
    );
    let uncertain = copy.as_ref().is_some_and(|copy| !copy.certain);
    let reason = copy.as_ref().and_then(|copy| copy.reason.clone());
    let undo = match copy {
        Some(Discarded { restored: Some((at, operation, _)), .. }) => view! {
            <p>
                "Restored " <At at=at /> " by " <a href=base.operation(operation)>{format!("operation {operation}")}</a> "."
            </p>
        }
        .into_any(),
        Some(copy) => {
            let until = copy.until.map(|until| {
                view! { <span class="small muted">"Can be restored until " <At at=until exact=true /> "."</span> }
            });
            if refused(RequestKind::Restore.right()).is_some() {
                view! { <p>{until}</p> }.into_any()
            } else {
                view! {
                    <form method="post" action=base.function("plan_operation") class="bar">
                        <FormToken />
                        <Back />
                        <input type="hidden" name="copies[]" value=copy.id.to_string() />
                        <PlanSubmit kind=RequestKind::Restore text="Restore…" forbidden=due::forbidden([&info]) />
                        {until}
                    </form>
                }
                .into_any()
            }
        }
        None => view! { <p>"The copy was deleted: the event cannot be restored."</p> }.into_any(),
    };
    view! {
        <Notice kind=NoticeKind::Info>
            <p tabindex="-1" data-outcome="">
                <strong data-say="">{format!("Discarded{who}.")}</strong>
                {at}
                {operation}
            </p>
            {uncertain.then(|| view! { <p>"It is not known whether the console or the application removed it."</p> })}
            {reason.map(|reason| view! { <p>"Reason: " <bdi>{visible(&reason)}</bdi></p> })}
            {undo}
        </Notice>
    }
    .into_any()
}

#[component]
fn Details(event: LedgerEvent) -> impl IntoView {
    let text = |text: Option<String>| match text {
        Some(text) => view! { <ShortId text=visible(&text) keep=40 /> }.into_any(),
        None => view! { <span class="none">"none"</span> }.into_any(),
    };
    // What was discarded, or removed for an unknown reason, was not resolved.
    let resolved = event.state == LifeState::Resolved && event.failed_at.is_some();
    let lasted = event
        .lasted()
        .filter(|_| resolved)
        .and_then(|lasted| u64::try_from(lasted.num_seconds()).ok())
        .map(words::span);
    view! {
        <section class="sheet" aria-labelledby="facts-title">
            <header>
                <h2 id="facts-title">"Details"</h2>
            </header>
            <dl class="facts pad">
                <dt>"Event id"</dt>
                <dd>{text(event.event_id.clone())}</dd>
                <dt>"Record"</dt>
                <dd>{text(event.record.clone())}</dd>
                <dt>"Feed"</dt>
                <dd>{text(event.feed_uri.clone())}</dd>
                {lasted.map(|lasted| view! { <dt>"Time to resolve"</dt> <dd>{lasted}</dd> })}
                <dt>"Failed retries"</dt>
                <dd>{words::number(event.attempts)}</dd>
                <dt>"Retry counter"</dt>
                <dd>{event.retries.map_or_else(|| "not known".to_owned(), words::number)}</dd>
                <dt>"Database row"</dt>
                <dd>
                    <code>{event.row_id.to_string()}</code>
                </dd>
            </dl>
            <p class="pad small muted">
                {if event.state == LifeState::Discarded {
                    "The history keeps ids, times and states. Error texts and payload are in the copy that was made."
                } else {
                    "The history keeps ids, times and states. Error texts and payload were removed with the row."
                }}
            </p>
        </section>
    }
    .into_any()
}

/// Other failed events of the same record, also ones that left their table.
#[component]
fn SameRecord(events: Vec<LedgerEvent>, applications: Vec<ApplicationInfo>) -> impl IntoView {
    let base = use_base();
    let rows = events
        .into_iter()
        .map(|event| {
            let name = name_of(&applications, &event.app);
            view! {
                <li>
                    <LifeBadge state=event.state asked=event.asked />
                    <span>
                        <a href=base.life(event.id)>{event.naming().event(&name)}</a>
                        <Called called=event.called.clone() />
                        <span class="small muted block">
                            {since_heading([&event.failed_since()])} " " <Since since=event.failed_since() compact=true />
                        </span>
                    </span>
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="sheet" aria-labelledby="same-title">
            <header>
                <h2 id="same-title">"Same record"</h2>
            </header>
            {if rows.is_empty() {
                view! { <p class="pad muted">"No other failed events of this record."</p> }.into_any()
            } else {
                view! { <ul class="same plain pad">{rows}</ul> }.into_any()
            }}
        </section>
    }
    .into_any()
}

/// What happened, newest first. Entries from the console's own records alone are folded.
#[component]
fn Timeline(page: Page) -> impl IntoView {
    let event = page.event.clone();
    let fault = |id: i64| fault_words(&page.faults, id);
    let mut number = 0_u64;
    let (mut items, mut books): (Vec<AnyView>, Vec<AnyView>) = (Vec::new(), Vec::new());
    let last_end = page.entries.iter().rposition(|entry| matches!(entry.what, Happened::Ended { .. }));
    for (place, entry) in page.entries.iter().enumerate() {
        if entry.what == Happened::Attempt {
            number += 1;
        }
        let is_last = last_end == Some(place) && !event.state.is_open();
        let (class, words) = entry_words(entry, number, is_last.then_some(event.state));
        let item = view! {
            <li class=class data-key=place.to_string()>
                <b>{words}</b>
                {entry.fault.map(fault)}
                {entry.who.clone().map(|who| visible(&format!(", by {who}")))}
                <span class="small muted block">
                    <Between moment=entry.moment />
                </span>
            </li>
        };
        let place = if is_bookkeeping(entry.what) { &mut books } else { &mut items };
        place.push(item.into_any());
    }
    items.reverse();
    books.reverse();
    let notes = words::number(books.len() as u64 + 1);
    view! {
        <ol class="timeline">
            {items}
            <li class="waiting" data-key="first">
                <b>"First failure"</b>
                {fault(event.first_fault)}
                <span class="small muted block">
                    {match (event.failed_at, event.moves) {
                        (Some(at), false) => view! { <At at exact=true /> }.into_any(),
                        (Some(at), true) => view! { "not later than " <At at exact=true /> ", when its row was last changed" }
                            .into_any(),
                        (None, _) => "time not known".into_any(),
                    }}
                </span>
            </li>
        </ol>
        <details class="earlier pad">
            <summary>{format!("Changes seen by the console ({notes})")}</summary>
            <ol class="timeline">
                {books}
                <li data-key="seen">
                    <b>"First seen by the console"</b>
                    <span class="small muted block">
                        <Between moment=event.seen />
                    </span>
                </li>
            </ol>
        </details>
    }
    .into_any()
}

fn is_bookkeeping(what: Happened) -> bool {
    matches!(what, Happened::Retries { .. } | Happened::Moved | Happened::Earlier)
}

fn fault_words(faults: &BTreeMap<i64, Fault>, id: i64) -> Option<String> {
    let fault = faults.get(&id)?;
    Some(visible(&format!(": {}", crate::model::fingerprint::title(&fault.fingerprint))))
}

/// `1 failed retry`, `3 failed retries`.
pub(super) fn failed_retries(count: u64) -> String {
    match count {
        1 => "1 failed retry".to_owned(),
        _ => format!("{} failed retries", words::number(count)),
    }
}

/// The colour class of an entry, and its text. `state`: that of the event's present end; an earlier end, after which
/// the event came back, may have been another.
fn entry_words(entry: &LedgerEntry, number: u64, state: Option<LifeState>) -> (&'static str, String) {
    let count = |retries: Option<i64>| retries.map_or_else(|| "unknown".to_owned(), words::number);
    match entry.what {
        Happened::Attempt => ("exhausted", format!("Retry {} failed", words::number(number))),
        Happened::Earlier => ("", "Earlier attempt, of an earlier failure of the same event: not counted".to_owned()),
        Happened::Retries { before, after } => {
            ("", format!("Retry counter changed from {} to {}", count(before), count(after)))
        }
        Happened::Requested { before: Some(before) } => {
            ("waiting", format!("Retry requested after {}", failed_retries(before.unsigned_abs())))
        }
        Happened::Requested { before: None } => ("waiting", "Retry requested".to_owned()),
        Happened::Overwritten { after } => {
            ("exhausted", format!("Retry lost: a running retry set the counter to {}", count(after)))
        }
        Happened::Discarded => ("", "Discard requested".to_owned()),
        Happened::Restored => ("waiting", "Restored".to_owned()),
        Happened::Moved => ("", "Feed address changed".to_owned()),
        Happened::Ended { state: noted } => match noted.or(state) {
            Some(state) => (state.word(), state.label().to_owned()),
            None => ("", "Removed from the table".to_owned()),
        },
        Happened::Withdrawn => ("", "The request changed nothing in the database".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::model::{RowId, ledger::Moment, samples};

    #[test]
    fn every_entry_says_what_happened() {
        let entry = |what| LedgerEntry {
            moment: Moment::exactly(DateTime::UNIX_EPOCH),
            what,
            fault: None,
            operation: None,
            who: None,
        };
        let said = |what| entry_words(&entry(what), 2, Some(LifeState::Resolved)).1;
        assert_eq!(said(Happened::Attempt), "Retry 2 failed");
        assert!(said(Happened::Earlier).starts_with("Earlier attempt, of an earlier failure"));
        assert_eq!(said(Happened::Retries { before: Some(3), after: Some(4) }), "Retry counter changed from 3 to 4");
        assert_eq!(said(Happened::Requested { before: Some(5) }), "Retry requested after 5 failed retries");
        assert_eq!(said(Happened::Requested { before: Some(1) }), "Retry requested after 1 failed retry");
        let ended = |state| Happened::Ended { state };
        assert_eq!(said(ended(None)), "Resolved");
        assert_eq!(said(ended(Some(LifeState::Discarded))), LifeState::Discarded.label(), "as it was then");
        let earlier = entry_words(&entry(ended(None)), 2, None);
        assert_eq!(earlier, ("", "Removed from the table".to_owned()), "what was not noted is not guessed");
    }

    #[test]
    fn a_resolved_event_says_whose_retry_it_was_and_how_long_it_took() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let request = |outcome| LedgerRequest {
            kind: RequestKind::Retry,
            operation: 1,
            who: "asha".to_owned(),
            at: at(100),
            retries_before: Some(5),
            outcome,
            fault: None,
        };
        let event = LedgerEvent {
            id: 1,
            app: "odoo".to_owned(),
            row_id: RowId(1),
            feed_uri: None,
            event_id: None,
            record: None,
            title: None,
            failed_at: None,
            moves: false,
            seen: Moment::exactly(at(0)),
            retries: None,
            state: LifeState::Resolved,
            asked: None,
            first_fault: 1,
            fault: 1,
            attempts: 0,
            ended: Some(Moment::exactly(at(102))),
            ended_why: None,
            called: None,
        };
        let page = |requests| Page {
            info: samples::view("Odoo", samples::up(), Vec::new()).info,
            event: event.clone(),
            entries: Vec::new(),
            requests,
            faults: BTreeMap::new(),
            same_record: Vec::new(),
            applications: Vec::new(),
            copy: None,
            previous: None,
            next: None,
        };
        let resolved = Some((RequestOutcome::Resolved, Moment::exactly(at(102))));
        assert_eq!(resolved_words(&page(vec![request(resolved)]), Some("asha")), "Resolved 2 s after your retry.");
        assert_eq!(
            resolved_words(&page(vec![request(resolved)]), Some("binta")),
            "Resolved 2 s after a retry by asha."
        );
        let failed = Some((RequestOutcome::FailedAgain, Moment::exactly(at(101))));
        for requests in [vec![], vec![request(failed)], vec![request(None)]] {
            assert_eq!(resolved_words(&page(requests), Some("asha")), "Resolved by an automatic retry.");
        }
    }
}
