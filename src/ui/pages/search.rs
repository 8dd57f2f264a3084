//! The search: how the text was understood, what fails now, and what failed before.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_url;

use crate::{
    api::{
        records::{EVENTS_OF_RECORDS, FoundRecord},
        search::{FoundRow, SearchPage as Page, view_search},
    },
    model::{
        EventKey,
        application::name_of,
        error_text::visible,
        event_names::Naming,
        feed_names::called,
        filter::{Filter, ListQuery, Place},
        ledger::LedgerEvent,
        record::PersonsShown,
        search::{Search, SearchKind, Term},
    },
    ui::{
        components::{
            At, Called, EventBadge, LifeBadge, Marked, MissingParts, Notice, NoticeKind, Since, Steps, loaded,
            marked_name, since_heading, use_base,
        },
        visitor::use_visitor,
        words,
    },
};

/// The search page. The page's query string determines everything that it shows.
#[component]
pub fn SearchPage() -> impl IntoView {
    let query = use_url().read_untracked().search().trim_start_matches('?').to_owned();
    loaded(view_search(query), |page| view! { <Results page /> })
}

#[component]
fn Results(page: Page) -> impl IntoView {
    let heading = heading(&page);
    let understood = understood(&page);
    let nothing = page.now.is_empty()
        && page.past.is_empty()
        && page.groups.is_empty()
        && page.records.is_empty()
        && page.leads.is_none();
    let base = use_base();
    let on = |href: String, text: &'static str| view! { <p class="small"><a rel="next" href=href>{text}</a></p> };
    let older_now = page.more_now.as_ref().filter(|_| page.now.is_empty());
    let older_now = older_now.map(|more| on(base.search(more), "Search older events that fail now"));
    let older_past = page.more_past.as_ref().filter(|_| page.past.is_empty());
    let older_past = older_past.map(|more| on(base.search(more), "Search older events that were resolved or removed"));
    view! {
        <Title text=heading.clone() />
        <div class="head">
            <div>
                <h1>{heading}</h1>
                {understood.map(|understood| view! { <p class="lead">"Searched for " {understood} "."</p> })}
            </div>
        </div>
        <Notes page=page.clone() />
        {page
            .leads
            .clone()
            .map(|(href, what)| {
                view! {
                    <p class="sheet pad">
                        "This is a link of the console: " <a href=href>"open " {what}</a>
                    </p>
                }
            })}
        {nothing.then(|| view! { <Nothing page=page.clone() /> })}
        {(!page.records.is_empty()).then(|| view! { <Records page=page.clone() /> })}
        {(!page.groups.is_empty()).then(|| view! { <Groups page=page.clone() /> })}
        {(!page.now.is_empty()).then(|| view! { <Now page=page.clone() /> })}
        {older_now}
        {(!page.past.is_empty()).then(|| view! { <Past page=page.clone() /> })}
        {older_past}
        {(!nothing && !page.search.terms.is_empty()).then(|| view! { <Payloads page /> })}
    }
    .into_any()
}

/// `Nothing found for X`; `3 failing now, 2 earlier: X`.
fn heading(page: &Page) -> String {
    let typed = visible(page.query.typed.trim());
    let number = |found: usize, more: bool, what: &str| match (found, more) {
        (0, _) => None,
        (found, false) => Some(format!("{} {what}", words::number(found as u64))),
        (found, true) => Some(format!("more than {} {what}", words::number(found as u64))),
    };
    let now = number(page.now.len(), page.more_now.is_some() || page.further.is_some(), "failing now");
    let past = number(page.past.len(), page.more_past.is_some(), "earlier");
    let records = number(page.records.len(), false, if page.records.len() == 1 { "record" } else { "records" });
    let found: Vec<String> = records.into_iter().chain(now).chain(past).collect();
    if typed.is_empty() {
        "Search".to_owned()
    } else if !found.is_empty() {
        format!("{}: {typed}", words::capitalised(&found.join(", ")))
    } else if page.leads.is_some() || !page.groups.is_empty() {
        format!("Search: {typed}")
    } else if page.more_now.is_some() || page.more_past.is_some() {
        format!("Nothing found yet for {typed}")
    } else if !page.missing.is_empty() {
        let names = words::listed(page.missing.iter().map(|part| visible(&part.app.name)));
        format!("Nothing found for {typed} ({names} could not be read)")
    } else {
        format!("Nothing found for {typed}")
    }
}

/// How the search text was understood, in words.
fn understood(page: &Page) -> Option<String> {
    let Search { kind, terms, .. } = &page.search;
    let only = terms.first().map(|term| visible(&term.in_words())).unwrap_or_default();
    let row = page.named.as_ref().map(|(app, key)| format!("row {} of {app}", key.id));
    let words = match kind {
        SearchKind::Nothing => return None,
        SearchKind::Uuid => format!("the uuid {only}: an event, a record, or an error that names it"),
        SearchKind::EventId => format!("the event id {only}"),
        SearchKind::Shortened => match terms.first() {
            Some(Term::Shortened(head, tail)) => {
                format!("an id that begins with {} and ends with {}", visible(head), visible(tail))
            }
            _ => only,
        },
        SearchKind::Link(_) => return row,
        SearchKind::Words => match terms.as_slice() {
            // As typed: punctuation around a word is not searched for, but was typed.
            [Term::Word(_)] if row.is_none() => visible(page.query.typed.trim()),
            [_] => only,
            terms => format!(
                "all of these: {}",
                terms.iter().map(|term| visible(&term.in_words())).collect::<Vec<_>>().join(" · ")
            ),
        },
    };
    Some(match row {
        Some(row) => format!("{row}, and for {words}"),
        None => words,
    })
}

/// Notes on the limits of the answer.
#[component]
fn Notes(page: Page) -> impl IntoView {
    let cut = page.search.cut.then_some("Only the longest words were searched for.");
    let short = page.too_short.then_some("Too many matches. Type a longer word.");
    let building = page
        .building
        .iter()
        .map(|(name, done, all)| format!("{name}: {} of {}", words::number(*done), words::number(*all)));
    let building: Vec<String> = building.collect();
    let building = (!building.is_empty()).then(|| {
        format!(
            "The search index is being built ({}). Until then the newest rows of these applications are searched.",
            building.join("; ")
        )
    });
    let masked = page.masked.clone().filter(|_| !page.search.terms.is_empty());
    let lacking = page.records_lacking.iter().map(|reason| view! { <p class="small muted">{visible(reason)}</p> });
    let lacking = lacking.collect_view();
    view! {
        <MissingParts parts=page.missing.clone() what="answer" />
        {lacking}
        {building.map(|text| view! { <Notice kind=NoticeKind::Info>{text}</Notice> })}
        {[cut, short].into_iter().flatten().map(|text| view! { <p class="small muted">{text}</p> }).collect_view()}
        {masked
            .map(|why| {
                view! { <p class="small muted">"Searched: ids and titles. Error texts were not searched. " {why}</p> }
            })}
    }
    .into_any()
}

/// What can be searched, if nothing was found.
#[component]
fn Nothing(page: Page) -> impl IntoView {
    let searched = !page.search.terms.is_empty();
    let names: Vec<String> = page.applications.iter().map(|info| visible(&info.name)).collect();
    let row = format!("an application and a row: {} 1125", names.first().map_or("Odoo", String::as_str));
    let limited = use_visitor().person.is_some_and(|person| person.applications.is_some());
    // The same whatever was typed: it must not show whether there is more.
    let limited = limited.then(|| {
        let names = if names.is_empty() { "none".to_owned() } else { words::listed(names) };
        format!("Only the applications that your account may see are searched: {names}. If you need another one, ask an administrator.")
    });
    view! {
        <section class="sheet" aria-labelledby="can-be-searched">
            <header>
                <h2 id="can-be-searched">"What you can search for"</h2>
            </header>
            <div class="pad">
                <ul class="list">
                    {(page.persons != PersonsShown::Nothing)
                        .then(|| {
                            view! {
                                <li>"a patient's identifier, an order number (ORD-307), an accession number or a bill"</li>
                            }
                        })}
                    {(page.persons == PersonsShown::Names)
                        .then(|| view! { <li>"the beginning of a patient's names, three letters at least"</li> })}
                    <li>"the uuid of an event or of a record, whole, shortened (b7e352da…26c2) or within an address"</li>
                    <li>"an event id, with or without tag:atomfeed.ict4h.org:"</li>
                    <li>{row}</li>
                    <li>"a link of this console"</li>
                    <li>"words of a title or of an error, in any order; \"words in quotes\" for the exact text"</li>
                </ul>
                {(page.persons == PersonsShown::Nothing)
                    .then(|| {
                        view! {
                            <p>
                                "You cannot search for patients and orders. Open the patient or the order in Bahmni, and copy the uuid from the address."
                            </p>
                        }
                    })}
                {limited.map(|limited| view! { <p>{limited}</p> })}
                {searched.then(|| view! { <InPayloads page /> })}
            </div>
        </section>
    }
    .into_any()
}

/// A link to the search through payloads, which are not in the index.
#[component]
fn Payloads(page: Page) -> impl IntoView {
    view! { <InPayloads page /> }
}

#[component]
fn InPayloads(page: Page) -> impl IntoView {
    let base = use_base();
    if page.masked.is_some() {
        return ().into_any();
    }
    if let Some(further) = page.further.clone() {
        return view! {
            <p class="small">
                "The newest rows were read, also their payloads. " <a href=further>"Read older rows"</a>
            </p>
        }
        .into_any();
    }
    if !page.scans.is_empty() && page.building.is_empty() {
        return view! { <p class="small muted">"Payloads and stack traces of all failed events were searched, too."</p> }
            .into_any();
    }
    let filter = Filter { text: Some(page.query.typed.clone()), ..Filter::default() };
    let list = base.failed_events(&ListQuery { filter, place: Place::default() });
    view! {
        <p class="small">
            "Payloads and stack traces are not in the search index. "
            <a href=list>"Search them, the newest 20,000 failed events of each application first"</a>
        </p>
    }
    .into_any()
}

/// The records that people mean by the text, and the failed events of them.
#[component]
fn Records(page: Page) -> impl IntoView {
    let base = use_base();
    let record = |found: &FoundRecord| {
        let label = found.name.label().unwrap_or_else(|| found.name.record.short());
        view! {
            <tr>
                <td data-label="What">{found.name.record.kind.in_words()}</td>
                <th scope="row" data-label="Record">
                    <a href=base.record(&found.app, &found.name.record)>{label}</a>
                </th>
                <td data-label="In">{visible(&found.place)}</td>
                <td data-label="Found by">{found.by.clone()}</td>
            </tr>
        }
    };
    let records = page.records.iter().map(record).collect_view();
    let events = page.of_records.iter().map(|event| past_row(&page, event)).collect_view();
    let most = page.of_records.len() >= EVENTS_OF_RECORDS as usize;
    view! {
        <section class="sheet" aria-labelledby="records-found">
            <header>
                <h2 id="records-found">"Records"</h2>
            </header>
            <table class="cards">
                <caption class="unseen">"Records that match: what, name, application, by what they were found"</caption>
                <thead>
                    <tr>
                        <th scope="col">"What"</th>
                        <th scope="col">"Record"</th>
                        <th scope="col">"In"</th>
                        <th scope="col">"Found by"</th>
                    </tr>
                </thead>
                <tbody>{records}</tbody>
            </table>
        </section>
        <section class="sheet" aria-labelledby="of-records">
            <header>
                <h2 id="of-records">"Failed events of these records"</h2>
                {most.then(|| view! { <span class="small muted push">{format!("the newest {EVENTS_OF_RECORDS}")}</span> })}
            </header>
            {if page.of_records.is_empty() {
                view! { <p class="pad muted">"None since the console follows the feeds."</p> }.into_any()
            } else {
                view! {
                    <table class="cards">
                        <caption class="unseen">"Failed events of the records found: state, record, application, when it was removed"</caption>
                        <thead>
                            <tr>
                                <th scope="col">"State"</th>
                                <th scope="col">"Failed event"</th>
                                <th scope="col">"Where"</th>
                                <th scope="col">"Removed"</th>
                            </tr>
                        </thead>
                        <tbody>{events}</tbody>
                    </table>
                }
                    .into_any()
            }}
        </section>
    }
    .into_any()
}

/// Groups whose error matches.
#[component]
fn Groups(page: Page) -> impl IntoView {
    let base = use_base();
    let search = page.search.clone();
    let items = page
        .groups
        .iter()
        .map(|group| {
            view! {
                <li>
                    <a href=base.group(group.fault)>
                        <Marked text=visible(&group.title) search=search.clone() />
                    </a>
                    " "
                    <span class="muted">{words::count(group.failed, "failed event")}</span>
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="sheet" aria-labelledby="groups-found">
            <header>
                <h2 id="groups-found">"Errors with these words"</h2>
            </header>
            <ul class="plain pad">{items}</ul>
        </section>
    }
    .into_any()
}

/// What fails now.
#[component]
fn Now(page: Page) -> impl IntoView {
    let base = use_base();
    let times: Vec<_> = page.now.iter().map(|found| found.row.failed_since()).collect();
    let since = since_heading(&times);
    let more = page.more_now.as_ref().map(|more| base.search(more));
    let rows = page.now.iter().map(|found| row(&page, found)).collect_view();
    view! {
        <section class="sheet" aria-labelledby="now">
            <header>
                <h2 id="now">"Failing now"</h2>
                <span class="small muted push">"last seen first"</span>
            </header>
            <table class="cards">
                <caption class="unseen">"Failed events that match: state, record, latest error, application, first failure"</caption>
                <thead>
                    <tr>
                        <th scope="col">"State"</th>
                        <th scope="col">"Failed event"</th>
                        <th scope="col">"Latest error"</th>
                        <th scope="col">"Where"</th>
                        <th scope="col">{since}</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
            <Steps label="More that fail now" next=more.map(|href| ("More", href)) />
        </section>
    }
    .into_any()
}

fn row(page: &Page, found: &FoundRow) -> impl IntoView + use<> {
    let base = use_base();
    let FoundRow { row, record, around } = found.clone();
    let search = page.search.clone();
    let place = name_of(&page.applications, &row.app);
    let feed = called(&page.names, &page.applications, &row.app, row.feed_uri.as_deref());
    let key = EventKey { app: row.app.clone(), id: row.id };
    let naming = Naming { record: record.as_deref(), ..row.naming() };
    let id = naming.id();
    // Several failed events of one record have the same name.
    let same = |other: &&FoundRow| other.row.app == row.app && other.record.is_some() && other.record == record;
    let twins = page.now.iter().filter(same).count() > 1;
    let apart = twins.then(|| view! { <span class="unseen">{format!(", row {}", row.id)}</span> });
    let by_id = id.as_deref().is_some_and(|id| search.terms.iter().any(|term| term.is_in(id)));
    // The record is shown; an event's own id only if the search found it.
    let event = row.event_id.clone().filter(|event| id.as_ref() != Some(event));
    let event = event.filter(|event| !by_id && search.terms.iter().any(|term| term.is_in(event)));
    view! {
        <tr>
            <td data-label="State">
                <EventBadge state=row.state />
            </td>
            <th scope="row" data-label="Failed event">
                <a href=base.failed_event(&key, None)>
                    {marked_name(&naming, &place, &search)}
                    {apart}
                </a>
                <Called called=row.called.clone() />
                {event
                    .map(|event| {
                        view! {
                            <span class="small muted block whole">
                                "event " <Marked text=visible(&event) search=search.clone() />
                            </span>
                        }
                    })}
            </th>
            <td data-label="Latest error" class="said">
                <div>
                    <Marked text=row.says() search=search.clone() />
                    {around
                        .map(|around| {
                            view! {
                                <span class="small muted block">
                                    <Marked text=visible(&around) search=search.clone() />
                                </span>
                            }
                        })}
                </div>
            </td>
            <td data-label="Where">
                <div>
                    {place} <span class="muted">" · " {feed}</span>
                    <span class="small muted block">"row " {row.id.to_string()}</span>
                </div>
            </td>
            <td data-label=since_heading([&row.failed_since()])>
                <Since since=row.failed_since() />
            </td>
        </tr>
    }
}

fn past_row(page: &Page, event: &LedgerEvent) -> impl IntoView + use<> {
    let base = use_base();
    let place = name_of(&page.applications, &event.app);
    let feed = called(&page.names, &page.applications, &event.app, event.feed_uri.as_deref());
    view! {
        <tr>
            <td data-label="State">
                <LifeBadge state=event.state asked=event.asked />
            </td>
            <th scope="row" data-label="Failed event">
                <a href=base.life(event.id)>
                    {marked_name(&event.naming(), &place, &page.search)}
                </a>
                <Called called=event.called.clone() />
            </th>
            <td data-label="Where">
                <div>
                    {place} <span class="muted">" · " {feed}</span>
                    <span class="small muted block">"row " {event.row_id.to_string()}</span>
                </div>
            </td>
            <td data-label="Since">{event.ended.map(|ended| view! { <At at=ended.at /> })}</td>
        </tr>
    }
}

/// Events that left their table.
#[component]
fn Past(page: Page) -> impl IntoView {
    let base = use_base();
    let more = page.more_past.as_ref().map(|more| base.search(more));
    let rows = page.past.iter().map(|event| past_row(&page, event)).collect_view();
    view! {
        <section class="sheet" aria-labelledby="past">
            <header>
                <h2 id="past">"Earlier: resolved, removed or discarded"</h2>
            </header>
            <table class="cards">
                <caption class="unseen">"Failed events of the past that match: state, record, application, when it was removed"</caption>
                <thead>
                    <tr>
                        <th scope="col">"State"</th>
                        <th scope="col">"Failed event"</th>
                        <th scope="col">"Where"</th>
                        <th scope="col">"Since"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
            <Steps label="More of the past" next=more.map(|href| ("More", href)) />
        </section>
    }
    .into_any()
}
