//! One group: what the fault means, what people know about it, its failed events by state, and what can be done.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};

use super::operations::{BeyondTheEnd, place};
use crate::{
    api::groups::{self, view_group},
    error::Problem,
    model::{
        ApplicationInfo, EventKey, Right,
        advice::advise,
        error_text::visible,
        feed::category_of,
        filter::{Filter, ListQuery},
        group::{Group, Note},
        ledger::{LedgerEvent, LifeState, RequestKind},
    },
    ui::{
        components::{
            At, Badge, DayChart, FormToken, Icon, Number, PlanButton, PlanOf, ShortId, Since, loaded, since_heading,
            use_base,
        },
        due,
        visitor::refused,
        words,
    },
};

#[component]
pub fn GroupPage() -> impl IntoView {
    let fault = use_params_map().read_untracked().get("fault").unwrap_or_default();
    let state = use_query_map().read_untracked().get("state").filter(|state| !state.is_empty());
    let before = place("before");
    let later = matches!(before, Ok(Some(_)));
    let answer = async move {
        let fault = fault.parse().map_err(|_| {
            Problem::not_found("There is no such group: groups are named by numbers.", "Open the list of groups.")
        })?;
        view_group(fault, state, before?).await
    };
    loaded(answer, move |page| view! { <OneGroup page later /> })
}

#[component]
fn OneGroup(
    page: groups::GroupPage,
    /// It is not the first page of its events.
    later: bool,
) -> impl IntoView {
    let base = use_base();
    let group = page.group.clone();
    let title = visible(&group.title);
    let advice = advise(&group.fingerprint);
    let gone = advice.is_some_and(|advice| advice.gone);
    let apps = group.apps();
    let refused = page.retry_refused.clone();
    let helped = group.exhausted.saturating_sub(page.beyond_help);
    let retry = helped > 0 && apps.iter().any(|app| !refused.iter().any(|(key, _)| key == app));
    let fault = group.fault;
    let forbidden = due::forbidden(page.applications.iter().filter(|info| apps.contains(&info.key.as_str())));
    view! {
        <Title text=title.clone() />
        <div class="head">
            <div>
                <p class="crumbs">
                    <a href=base.groups(false)>"Groups"</a>
                </p>
                <h1>{title}</h1>
                <p class="lead">{summary(&group, &page.applications)}</p>
            </div>
        </div>
        <div class="event">
            <div class="column">
                <section class="sheet standing" aria-label="Meaning and actions">
                    <div class="pad">
                        {match advice {
                            Some(advice) => {
                                view! {
                                    <div class="advice">
                                        <Icon name="info" />
                                        <div>
                                            <p>
                                                <strong>{advice.meaning}</strong>
                                            </p>
                                            <p>{advice.todo}</p>
                                        </div>
                                    </div>
                                }
                                    .into_any()
                            }
                            None => {
                                view! {
                                    <p class="muted">
                                        "This error is not among those that are known. A note says to everybody what was found out."
                                    </p>
                                }
                                    .into_any()
                            }
                        }}
                        <div class="bar">
                            {retry
                                .then(|| {
                                    let text = format!("Retry {}…", words::count(helped, "exhausted event"));
                                    view! {
                                        <PlanButton kind=RequestKind::Retry of=PlanOf::Group(fault) text primary=true />
                                    }
                                })}
                            {(group.failed() > 0)
                                .then(|| {
                                    let text = format!("Discard {}…", words::count(group.failed(), "event"));
                                    view! { <PlanButton kind=RequestKind::Discard of=PlanOf::Group(fault) text forbidden=forbidden.clone() /> }
                                })}
                        </div>
                        {(gone && group.failed() > 0)
                            .then(|| {
                                view! {
                                    <p class="small muted">
                                        "A retry fails again where the record was deleted for good. Discarding is what is left then."
                                    </p>
                                }
                            })}
                        {beyond_help(page.beyond_help).map(|sentence| view! { <p class="small">{sentence}</p> })}
                        {refused
                            .into_iter()
                            .filter(|(key, _)| apps.contains(&key.as_str()))
                            .map(|(_, why)| view! { <p class="small muted">{visible(&why)}</p> })
                            .collect_view()}
                    </div>
                </section>
                <Events
                    group=group.clone()
                    state=page.state
                    events=page.events
                    next=page.next
                    applications=page.applications.clone()
                    later
                />
            </div>
            <div class="column">
                <NoteSheet group=group.clone() />
                <section class="sheet" aria-labelledby="trend-title">
                    <header>
                        <h2 id="trend-title">"First failures, two weeks"</h2>
                    </header>
                    <div class="pad">
                        <DayChart days=group.days.clone() wide=true />
                        <p class="small muted">
                            {group.first_seen.map(|at| view! { "First seen " <At at=at /> ". " })}
                            {group.last_seen.map(|at| view! { "Last seen " <At at=at /> "." })}
                        </p>
                        <dl class="facts">
                            <dt>"Told from others by"</dt>
                            <dd>
                                <code class="whole">{visible(&group.fingerprint)}</code>
                            </dd>
                        </dl>
                    </div>
                </section>
            </div>
        </div>
    }
    .into_any()
}

/// Which exhausted events of the group a retry leaves out.
fn beyond_help(rows: u64) -> Option<String> {
    let whose = match rows {
        0 => return None,
        1 => "One exhausted event cannot be retried: it carries".to_owned(),
        rows => format!("{} exhausted events cannot be retried: they carry", words::number(rows)),
    };
    Some(format!(
        "{whose} no feed address, by which a retry job looks, or no time of failure, which the consumer needs."
    ))
}

fn summary(group: &Group, applications: &[ApplicationInfo]) -> String {
    let apps = words::listed(group.apps().into_iter().map(|app| {
        applications.iter().find(|info| info.key == app).map_or_else(|| app.to_owned(), |info| info.name.clone())
    }));
    match group.failed() {
        0 => "No failed event has this fault now.".to_owned(),
        failed => format!("{} in {apps}.", words::count_first(failed, "failed event")),
    }
}

/// What somebody wrote down, and the form to write it.
#[component]
fn NoteSheet(group: Group) -> impl IntoView {
    let written = group.note;
    let note = written.as_ref().map(|written| written.note.clone()).unwrap_or_default();
    let parts = [
        ("What it is", note.what.clone()),
        ("What to do", note.todo.clone()),
        ("Who looks after it", note.looks_after.clone()),
    ];
    let shown = parts
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| {
            view! {
                <dt>{name}</dt>
                <dd class="lines">{visible(&text)}</dd>
            }
        })
        .collect_view();
    let by = written.map(|written| {
        view! {
            <p class="small muted">"Written by " {visible(&written.who)} ", " <At at=written.at /> "."</p>
        }
    });
    view! {
        <section class="sheet" aria-labelledby="note-title">
            <header>
                <h2 id="note-title">"Note"</h2>
                <span class="small muted push">"stays when the failed events are gone"</span>
            </header>
            <div class="pad">
                <dl class="facts">{shown}</dl>
                {by}
                {match refused(Right::Note) {
                    Some(why) => view! { <p class="small muted">{why}</p> }.into_any(),
                    None => view! { <NoteForm fault=group.fault note /> }.into_any(),
                }}
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn NoteForm(fault: i64, note: Note) -> impl IntoView {
    let base = use_base();
    let open = note.is_empty();
    let limit = Note::LIMIT.to_string();
    view! {
        <details open=open>
            <summary>{if open { "Write a note" } else { "Change the note" }}</summary>
            <form method="post" action=base.function("write_note") class="ask">
                <FormToken />
                <input type="hidden" name="fault" value=fault.to_string() />
                <label>
                    <span>"What it is"</span>
                    <textarea name="what" rows="2" maxlength=limit.clone()>{words::escaped(&visible(&note.what))}</textarea>
                </label>
                <label>
                    <span>"What to do"</span>
                    <textarea name="todo" rows="3" maxlength=limit>{words::escaped(&visible(&note.todo))}</textarea>
                </label>
                <label>
                    <span>"Who looks after it"</span>
                    <input name="looks_after" maxlength="200" value=visible(&note.looks_after) autocomplete="off" />
                </label>
                <div class="bar">
                    <button type="submit">"Save the note"</button>
                </div>
            </form>
        </details>
    }
    .into_any()
}

/// The failed events of the group in one state, and the way to the other states.
#[component]
fn Events(
    group: Group,
    state: LifeState,
    events: Vec<LedgerEvent>,
    next: Option<i64>,
    applications: Vec<ApplicationInfo>,
    later: bool,
) -> impl IntoView {
    let base = use_base();
    let beyond = (later && events.is_empty()).then(|| base.group_events(group.fault, state.word(), None));
    let counts = [
        (LifeState::Exhausted, group.exhausted),
        (LifeState::Waiting, group.waiting),
        (LifeState::Unknown, group.unknown),
        (LifeState::Resolved, group.resolved),
        (LifeState::Gone, group.gone),
        (LifeState::Discarded, group.discarded),
    ];
    let fault = group.fault;
    let tabs = counts
        .into_iter()
        .filter(|(each, count)| *count > 0 || *each == state)
        .map(|(each, count)| {
            view! {
                <li>
                    <a href=base.group_events(fault, each.word(), None) aria-current=(each == state).then_some("page")>
                        {capital(each.word())}
                        " "
                        <Number value=count />
                    </a>
                </li>
            }
        })
        .collect_view();
    let times: Vec<_> = events.iter().map(LedgerEvent::failed_since).collect();
    let heading = since_heading(&times);
    let rows = events.into_iter().map(|event| row(event, &applications)).collect_view();
    view! {
        <section class="sheet" aria-labelledby="events-title">
            <header>
                <h2 id="events-title">"Failed events"</h2>
                {(group.failed() > 0)
                    .then(|| {
                        let filter = Filter { group: Some(fault), ..Filter::default() };
                        let list = ListQuery { filter, ..ListQuery::default() };
                        view! { <a href=base.failed_events(&list)>"As a list, to filter, select and export"</a> }
                    })}
                <ul class="plain states push">{tabs}</ul>
            </header>
            <table class="cards">
                <thead>
                    <tr>
                        <th scope="col">"State"</th>
                        <th scope="col">"Failed event"</th>
                        <th scope="col">{heading}</th>
                        <th scope="col">"Record"</th>
                        <th scope="col" class="num">"Retries"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
            {beyond.map(|newest| view! { <BeyondTheEnd newest /> })}
            {next
                .map(|next| {
                    view! {
                        <nav class="pager" aria-label="Pages">
                            <a class="button" href=base.group_events(fault, state.word(), None)>
                                "First"
                            </a>
                            <a class="button" href=base.group_events(fault, state.word(), Some(next)) rel="next">
                                "More"
                            </a>
                        </nav>
                    }
                })}
        </section>
    }
    .into_any()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

fn row(event: LedgerEvent, applications: &[ApplicationInfo]) -> impl IntoView {
    let base = use_base();
    let name =
        applications.iter().find(|info| info.key == event.app).map_or(event.app.clone(), |info| info.name.clone());
    let category = event.feed_uri.as_deref().and_then(category_of).map(visible);
    let label = format!("{name} {}", event.row_id);
    let key = EventKey { app: event.app.clone(), id: event.row_id };
    let (word, icon) = match event.state {
        LifeState::Waiting => ("waiting", "waiting"),
        LifeState::Exhausted => ("exhausted", "exhausted"),
        LifeState::Unknown => ("unknown", "unknown"),
        LifeState::Resolved => ("running", "running"),
        LifeState::Gone => ("gone", "unknown"),
        LifeState::Discarded => ("gone", "stopped"),
    };
    let since = event.failed_since();
    let id = event.record.or(event.event_id);
    let asked = event.asked.map(|asked| asked.word());
    view! {
        <tr>
            <td data-label="State">
                <div>
                    <Badge word icon text=capital(event.state.word()) /> {asked.map(|asked| view! { <span class="small muted">{asked}</span> })}
                </div>
            </td>
            <th scope="row">
                {if event.state.is_open() {
                    view! { <a href=base.failed_event(&key, None)>{label}</a> }.into_any()
                } else {
                    label.into_any()
                }} {category.map(|category| view! { <span class="muted">" · " {category}</span> })}
            </th>
            <td data-label=since_heading([&since])>
                <Since since=since.clone() />
            </td>
            <td data-label="Record">
                {match id {
                    Some(id) => view! { <ShortId text=visible(&id) keep=24 /> }.into_any(),
                    None => view! { <span class="none">"none"</span> }.into_any(),
                }}
            </td>
            <td class="num" data-label="Retries">
                {event.retries.map(|retries| view! { <Number value=retries /> })}
            </td>
        </tr>
    }
}
