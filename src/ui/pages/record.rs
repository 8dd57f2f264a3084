//! A record's page: what people call it, where it is on its way to every consumer, and its failed events.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

use crate::{
    api::records::{Reached, RecordPage as Page, RelatedRecord, Station, Step, Verdict, Way, view_record},
    model::{
        Stamp,
        application::name_of,
        error_text::visible,
        ledger::LedgerEvent,
        record::{PersonsShown, RecordName, RecordRef},
    },
    ui::{
        components::{
            At, Badge, Called, LifeBadge, Notice, NoticeKind, ShortId, TicketText, When, loaded, moment, ticket_time,
            use_base,
        },
        words,
    },
};

/// The page of a record.
#[component]
pub fn RecordPage() -> impl IntoView {
    let params = use_params_map().read_untracked().clone();
    let param = |name: &str| params.get(name).unwrap_or_default();
    loaded(view_record(param("app"), param("kind"), param("uuid")), |page| view! { <Record page /> })
}

#[component]
fn Record(page: Page) -> impl IntoView {
    let base = use_base();
    let heading = page.name.label().unwrap_or_else(|| page.name.record.short());
    let kind = page.name.record.kind.in_words();
    let lacking: Vec<String> = page.lacking.iter().map(|reason| visible(reason)).collect();
    let lacking = lacking.into_iter().map(|reason| view! { <Notice kind=NoticeKind::Warning>{reason}</Notice> });
    let lacking = lacking.collect_view();
    view! {
        <Title text=heading.clone() />
        <div class="head">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb">
                    <a href=base.application(&page.info.key)>{visible(&page.info.name)}</a>
                    <span>{kind}</span>
                </nav>
                <h1>{heading}</h1>
                <p class="lead">
                    {kind} " of " {visible(&page.info.name)}
                    {page.at.clone().map(|stamp| view! { ", " <When stamp=stamp exact=true /> })} "."
                    {page.name.voided.then_some(" It is voided: no longer in use.")}
                </p>
            </div>
        </div>
        {(page.persons == PersonsShown::Nothing)
            .then(|| {
                view! {
                    <Notice kind=NoticeKind::Info>
                        "You see the kind and the uuid of a record. Identifiers, orders and the way to other systems are shown to operators and administrators, if this console looks up records."
                    </Notice>
                }
            })}
        {lacking}
        <Ways page=page.clone() />
        <div class="event">
            <div class="column">
                <Related page=page.clone() />
                <Failures page=page.clone() />
            </div>
            <div class="column">
                <Timeline page=page.clone() />
                <Facts page=page.clone() />
                {(!page.ways.is_empty()).then(|| view! { <TicketText text=ticket(&page) /> })}
            </div>
        </div>
    }
    .into_any()
}

/// Returns class and icon of a verdict's badge.
fn badge(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Arrived => ("running", "running"),
        Verdict::Failed | Verdict::NeverPublished | Verdict::Gone => ("exhausted", "exhausted"),
        Verdict::Waiting | Verdict::Queued | Verdict::Unread | Verdict::NotYet => ("waiting", "waiting"),
        Verdict::NotExpected | Verdict::Discarded | Verdict::CannotTell => ("unknown", "unknown"),
    }
}

/// The way to every consumer, with its verdict.
#[component]
fn Ways(page: Page) -> impl IntoView {
    if page.ways.is_empty() {
        return ().into_any();
    }
    let rows = page.ways.iter().map(|way| view! { <WayRow way=way.clone() /> }).collect_view();
    view! {
        <section class="sheet" aria-labelledby="ways-title">
            <header>
                <h2 id="ways-title">"Where is it?"</h2>
            </header>
            <table class="cards ways">
                <caption class="unseen">"The way of each part to each system: what, to which system, where it is, why"</caption>
                <thead>
                    <tr>
                        <th scope="col">"What"</th>
                        <th scope="col">"To"</th>
                        <th scope="col">"Where it is"</th>
                        <th scope="col">"Why"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </section>
    }
    .into_any()
}

#[component]
fn WayRow(way: Way) -> impl IntoView {
    let base = use_base();
    let (word, icon) = badge(way.verdict);
    let what = visible(&way.what);
    let named = match &way.record {
        Some((app, record)) => view! { <a href=base.record(app, record)>{what}</a> }.into_any(),
        None => what.into_any(),
    };
    let steps = way.steps.iter().map(|step| view! { <StepItem step=step.clone() /> }).collect_view();
    view! {
        <tr>
            <th scope="row" data-label="What">
                {named}
            </th>
            <td data-label="To">
                <a href=base.application(&way.consumer.key)>{visible(&way.consumer.name)}</a>
            </td>
            <td data-label="Where it is">
                <Badge word icon text=way.verdict.in_words() />
            </td>
            <td data-label="Why">
                <div>
                    {visible(&way.why)}
                    {(!way.steps.is_empty()).then(|| view! { <ol class="way-steps small">{steps}</ol> })}
                </div>
            </td>
        </tr>
    }
    .into_any()
}

#[component]
fn StepItem(step: Step) -> impl IntoView {
    let base = use_base();
    let (class, word) = match &step.reached {
        Reached::Yes(_) | Reached::Passed => ("done", "yes"),
        Reached::No => ("open", "no"),
        Reached::Unknown(_) => ("unclear", "not known"),
    };
    let time = match &step.reached {
        Reached::Yes(Some(stamp)) => Some(view! { " " <When stamp=stamp.clone() exact=true /> }),
        _ => None,
    };
    let reason = match &step.reached {
        Reached::Unknown(reason) => Some(visible(reason)),
        _ => None,
    };
    let evidence = step.evidence.as_deref().map(visible);
    let evidence = match (&step.event, evidence) {
        (Some(event), Some(text)) => view! { " " <a href=base.failed_event(event, None)>{text}</a> }.into_any(),
        (None, Some(text)) => view! { <span class="muted">" " {text}</span> }.into_any(),
        (_, None) => ().into_any(),
    };
    view! {
        <li class=class title=reason>
            {step.station.in_words()} <span class="unseen">": " {word}</span> {time} {evidence}
        </li>
    }
    .into_any()
}

/// The records that belong to this one.
#[component]
fn Related(page: Page) -> impl IntoView {
    if page.related.is_empty() {
        return ().into_any();
    }
    let rows = page.related.iter().map(|related| view! { <RelatedRow related=related.clone() /> }).collect_view();
    view! {
        <section class="sheet" aria-labelledby="related-title">
            <header>
                <h2 id="related-title">"What belongs to it"</h2>
            </header>
            <table class="cards">
                <caption class="unseen">"Records that belong to this one: what it is, its name, its time"</caption>
                <thead>
                    <tr>
                        <th scope="col">"What"</th>
                        <th scope="col">"Record"</th>
                        <th scope="col">"When"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </section>
    }
    .into_any()
}

#[component]
fn RelatedRow(related: RelatedRecord) -> impl IntoView {
    let base = use_base();
    let RelatedRecord { app, name, role } = related;
    let label = name.label().unwrap_or_else(|| name.record.short());
    view! {
        <tr>
            <td data-label="What">{role}</td>
            <th scope="row" data-label="Record">
                <a href=base.record(&app, &name.record)>{label}</a>
            </th>
            <td data-label="When">{name.at.map(|stamp| view! { <When stamp=stamp exact=true /> })}</td>
        </tr>
    }
    .into_any()
}

/// The failed events of the record and of what belongs to it.
#[component]
fn Failures(page: Page) -> impl IntoView {
    view! {
        <section class="sheet" aria-labelledby="failures-title">
            <header>
                <h2 id="failures-title">"Failed events"</h2>
            </header>
            {if page.events.is_empty() {
                view! { <p class="pad muted">"No event of it failed since the console follows the feeds."</p> }.into_any()
            } else {
                let rows = page.events.iter().map(|event| failure(&page, event)).collect_view();
                view! {
                    <table class="cards">
                        <caption class="unseen">"Failed events of the record, present and past: state, event, system, since"</caption>
                        <thead>
                            <tr>
                                <th scope="col">"State"</th>
                                <th scope="col">"Failed event"</th>
                                <th scope="col">"In"</th>
                                <th scope="col">"First failed"</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                }
                    .into_any()
            }}
        </section>
    }
    .into_any()
}

fn failure(page: &Page, event: &LedgerEvent) -> impl IntoView + use<> {
    let base = use_base();
    let place = name_of(&page.applications, &event.app);
    view! {
        <tr>
            <td data-label="State">
                <LifeBadge state=event.state asked=event.asked />
            </td>
            <th scope="row" data-label="Failed event">
                <a href=base.life(event.id)>{event.naming().event(&place)}</a>
                <Called called=event.called.clone() />
            </th>
            <td data-label="In">{place}</td>
            <td data-label="First failed">
                <At at=event.first_sight().at />
            </td>
        </tr>
    }
}

/// What happened, over all systems, in the reader's time zone.
#[component]
fn Timeline(page: Page) -> impl IntoView {
    let moments = moments(&page);
    if moments.is_empty() {
        return ().into_any();
    }
    let items = moments
        .into_iter()
        .map(|(at, text)| {
            view! {
                <li>
                    <At at exact=true />
                    " "
                    {text}
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="sheet" aria-labelledby="timeline-title">
            <header>
                <h2 id="timeline-title">"Over all systems"</h2>
            </header>
            <ol class="plain pad lines">{items}</ol>
        </section>
    }
    .into_any()
}

/// Returns what happened when, oldest first.
fn moments(page: &Page) -> Vec<(chrono::DateTime<chrono::Utc>, String)> {
    let mut moments = Vec::new();
    let mut add = |stamp: Option<&Stamp>, text: String| {
        if let Some(at) = stamp.and_then(|stamp| stamp.at)
            && !moments.contains(&(at, text.clone()))
        {
            moments.push((at, text));
        }
    };
    for way in &page.ways {
        let to = visible(&way.consumer.name);
        for step in &way.steps {
            let Reached::Yes(stamp) = &step.reached else { continue };
            let evidence =
                step.evidence.as_deref().map(|evidence| format!(" ({})", visible(evidence))).unwrap_or_default();
            let text = match step.station {
                Station::Raised => "saved".to_owned(),
                Station::Published => format!("published{evidence}"),
                Station::Read => format!("read by {to}"),
                Station::Processed => continue,
                Station::Arrived => format!("{} arrived in {to}{evidence}", visible(&way.what)),
            };
            add(stamp.as_ref(), words::capitalised(&text));
        }
    }
    for event in &page.events {
        let name = event.naming().record();
        let place = name_of(&page.applications, &event.app);
        add(Some(&Stamp::of(event.first_sight().at)), format!("{name} failed in {place}"));
        if let Some(ended) = event.ended {
            add(Some(&Stamp::of(ended.at)), format!("{name}: {} in {place}", event.state.label().to_lowercase()));
        }
    }
    moments.sort();
    moments
}

#[component]
fn Facts(page: Page) -> impl IntoView {
    let list = |label: &str, values: &[String]| {
        (!values.is_empty())
            .then(|| (label.to_owned(), values.iter().map(|value| visible(value)).collect::<Vec<_>>().join(", ")))
    };
    let RecordName { identifiers, person, accessions, bills, record, .. } = &page.name;
    let mut facts: Vec<(String, String)> = Vec::new();
    facts.extend(list("Identifiers", identifiers));
    facts.extend(person.as_deref().map(|person| ("Name".to_owned(), visible(person))));
    facts.extend(list("Accession", accessions));
    facts.extend(list("Bill", bills));
    facts.extend(page.facts.iter().map(|(label, value)| (visible(label), visible(value))));
    let facts = facts.into_iter().map(|(label, value)| view! { <dt>{label}</dt> <dd>{value}</dd> }).collect_view();
    let uuid = record.uuid.clone();
    view! {
        <section class="sheet" aria-labelledby="facts-title">
            <header>
                <h2 id="facts-title">"Details"</h2>
            </header>
            <dl class="facts inner">
                {facts} <dt>"uuid"</dt> <dd>
                    <ShortId text=uuid keep=72 />
                </dd>
                {page
                    .link
                    .clone()
                    .map(|href| {
                        view! {
                            <dt>"In " {visible(&page.info.name)}</dt>
                            <dd>
                                <a href=href rel="noreferrer" target="_blank">
                                    "Open it there"
                                </a>
                            </dd>
                        }
                    })}
            </dl>
        </section>
    }
    .into_any()
}

/// Returns the page as text for a ticket, which leaves the hospital: kinds, uuids, order numbers and verdicts; no
/// identifier, no name, no test.
fn ticket(page: &Page) -> String {
    let RecordRef { kind, uuid } = &page.name.record;
    let mut out = format!("{} {uuid} of {}\n", kind.in_words(), visible(&page.info.name));
    for number in page.name.orders.iter().filter_map(|order| order.number.as_deref()) {
        out.push_str(&format!("Order: {}\n", visible(number)));
    }
    for way in &page.ways {
        let of = way.record.as_ref().map(|(_, record)| format!("{} ", record.short())).unwrap_or_default();
        out.push_str(&format!("{of}to {}: {}\n", visible(&way.consumer.name), way.verdict.in_words()));
        for step in &way.steps {
            let reached = match &step.reached {
                Reached::Yes(Some(stamp)) => match stamp.at {
                    Some(at) => ticket_time(at),
                    None => "yes".to_owned(),
                },
                Reached::Yes(None) | Reached::Passed => "yes".to_owned(),
                Reached::No => "no".to_owned(),
                Reached::Unknown(reason) => format!("not known: {}", visible(reason)),
            };
            out.push_str(&format!("  {}: {reached}\n", step.station.in_words()));
        }
    }
    for event in &page.events {
        let place = name_of(&page.applications, &event.app);
        let first = moment(event.first_sight().at);
        out.push_str(&format!(
            "Failed event {} in {place}: {}, first failed {first}\n",
            event.row_id,
            event.state.label()
        ));
    }
    out
}
