//! One group: what the fault means, its note, its failed events by state, and what can be done.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map, use_url};

use super::{
    groups::about,
    operations::{BeyondTheEnd, place},
};
use crate::{
    api::groups::{self, WaitsFor, view_group},
    error::Problem,
    model::{
        ApplicationInfo, EventKey, Obstacle, Right, Stamp,
        advice::advise_on,
        application::name_of,
        error_text::{parse, visible},
        feed_names::{NamedFeed, called},
        filter::{Filter, ListQuery},
        group::{Group, Note, WrittenNote},
        ledger::{LedgerEvent, LifeState, RequestKind},
    },
    ui::{
        components::{
            At, Back, Badge, Called, DayChart, Done, FormToken, FormTold, Icon, Notice, NoticeKind, Number, Outcome,
            PlanButton, PlanOf, Since, Steps, Trace, loaded, since_heading, title_of, use_base,
        },
        due,
        islands::Follows,
        visitor::{FormProblem, lacking, refused},
        words,
    },
};

#[component]
pub fn GroupPage() -> impl IntoView {
    let fault = use_params_map().read_untracked().get("fault").unwrap_or_default();
    let state = use_query_map().read_untracked().get("state").filter(|state| !state.is_empty());
    let query = use_url().read_untracked().search().trim_start_matches('?').to_owned();
    let before = place("before");
    let later = matches!(before, Ok(Some(_)));
    let answer = async move {
        let fault =
            fault.parse().map_err(|_| Problem::not_found("There is no such group.", "Open the list of groups."))?;
        Ok((view_group(fault, state, before?).await?, Done::of_query(&query).await))
    };
    loaded(answer, move |(page, done)| view! { <OneGroup page done later /> })
}

#[component]
fn OneGroup(
    page: groups::GroupPage,
    done: Option<Done>,
    /// It is not the first page of the group's events.
    later: bool,
) -> impl IntoView {
    let base = use_base();
    let group = page.group.clone();
    let title = visible(&group.title);
    let advice = advise_on(&group.fingerprint, &about(&group, &page.applications));
    let gone = advice.is_some_and(|advice| advice.gone);
    let apps = group.apps();
    let refused = page.retry_refused.clone();
    let helped = group.exhausted.saturating_sub(page.beyond_help);
    let retry = helped > 0 && apps.iter().any(|app| !refused.iter().any(|(key, _)| key == app));
    let fault = group.fault;
    let forbidden = due::forbidden(page.applications.iter().filter(|info| apps.contains(&info.key.as_str())));
    view! {
        <Title text=title_of(&title) />
        // The answer to a refused form contains the user's input, which an automatic reload would lose.
        {FormProblem::of("write_note").is_none().then(|| view! { <Follows app=None again=None /> })}
        <Outcome done />
        <div class="head">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb">
                    <a href=base.groups(false)>"Groups"</a>
                </nav>
                <h1>{title}</h1>
                <p class="lead">{summary(&group, &page.applications)}</p>
            </div>
        </div>
        {page
            .done
            .clone()
            .map(|sentence| {
                view! {
                    <div data-stays="">
                        <Notice kind=NoticeKind::Done>{sentence}</Notice>
                    </div>
                }
            })}
        <FormTold />
        <NoteConflict group=group.clone() />
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
                                        "No advice for this error yet. Write a note when you know what it means."
                                    </p>
                                }
                                    .into_any()
                            }
                        }}
                        <div class="bar">
                            {retry
                                .then(|| {
                                    let text = format!("Retry {}…", words::count(helped, "event"));
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
                        {page.waits_for.map(|waits| view! { <Waiting waits fault /> })}
                        {(gone && group.failed() > 0)
                            .then(|| {
                                view! {
                                    <p class="small muted">
                                        "If the record was deleted, discard the event: a retry fails again."
                                    </p>
                                }
                            })}
                        {beyond_help(page.beyond_help).map(|sentence| view! { <p class="small">{sentence}</p> })}
                        {match lacking(RequestKind::Retry.right()) {
                            Some(why) if group.failed() > 0 => view! { <p class="small muted">{why}</p> }.into_any(),
                            Some(_) => ().into_any(),
                            None => {
                                refused
                                    .into_iter()
                                    .filter(|(key, _)| apps.contains(&key.as_str()))
                                    .map(|(_, why)| view! { <p class="small muted">{visible(&why)}</p> })
                                    .collect_view()
                                    .into_any()
                            }
                        }}
                    </div>
                </section>
                <Examples examples=page.examples events=page.events.clone() applications=page.applications.clone() />
                <Events
                    group=group.clone()
                    state=page.state
                    events=page.events
                    next=page.next
                    names=page.names
                    refused=page.retry_refused
                    applications=page.applications.clone()
                    later
                />
            </div>
            <div class="column">
                <NoteSheet group=group.clone() earlier=page.earlier_notes />
                <section class="sheet" aria-labelledby="trend-title">
                    <header>
                        <h2 id="trend-title">"First failures with this error, two weeks"</h2>
                    </header>
                    <div class="pad">
                        <DayChart days=group.days.clone() wide=true />
                        <p class="small muted">
                            {group.first_seen.map(|at| view! { "First seen " <At at=at /> ". " })}
                            {group.last_seen.map(|at| view! { "Last seen " <At at=at /> "." })}
                        </p>
                        <dl class="facts">
                            <dt>"Error pattern"</dt>
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

/// Says which exhausted events of the group a retry leaves out.
fn beyond_help(rows: u64) -> Option<String> {
    let whose = match rows {
        0 => return None,
        1 => "1 event cannot be retried: it has".to_owned(),
        rows => format!("{} events cannot be retried: they have", words::number(rows)),
    };
    Some(format!("{whose} no feed address or no time of failure. Discard these events."))
}

fn summary(group: &Group, applications: &[ApplicationInfo]) -> String {
    let apps = words::listed(group.apps().into_iter().map(|app| name_of(applications, app)));
    match group.failed() {
        0 => "No failed event has this error now.".to_owned(),
        failed => format!("{} in {apps}.", words::count_first(failed, "failed event")),
    }
}

/// Full error texts of the group: the innermost cause first, by which the group is named.
#[component]
fn Examples(
    examples: Vec<groups::Example>,
    events: Vec<LedgerEvent>,
    applications: Vec<ApplicationInfo>,
) -> impl IntoView {
    let base = use_base();
    (!examples.is_empty()).then(|| {
        let number = words::count(examples.len() as u64, "example");
        let texts = examples
            .into_iter()
            .enumerate()
            .map(|(place, example)| {
                let name = name_of(&applications, &example.event.app);
                let label = format!("Error text {}", place + 1);
                let event =
                    events.iter().find(|event| event.app == example.event.app && event.row_id == example.event.id);
                let called = event.map(|event| event.naming().event(&name));
                let called = called.unwrap_or_else(|| format!("event {} of {}", example.event.id, visible(&name)));
                let link = format!("Open {called}");
                view! {
                    <div class="raw">
                        <div tabindex="0" role="region" aria-label=label>
                            <Trace of=format!("error text {}", place + 1) error=parse(&example.text) />
                        </div>
                        <p class="small pad">
                            <a href=base.failed_event(&example.event, None)>{link}</a>
                        </p>
                    </div>
                }
            })
            .collect_view();
        view! {
            <section class="sheet" aria-labelledby="examples-title">
                <header>
                    <h2 id="examples-title">"Error text"</h2>
                    <span class="small muted push">{number}</span>
                </header>
                {texts}
            </section>
        }
    })
}

/// The parts of a note with their names.
fn parts(note: &Note) -> AnyView {
    let parts = [("What it is", &note.what), ("What to do", &note.todo), ("Owner", &note.looks_after)];
    parts
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| {
            view! {
                <dt>{name}</dt>
                <dd class="lines">{visible(text)}</dd>
            }
        })
        .collect_view()
        .into_any()
}

/// The note, the form to write it, and its earlier versions.
#[component]
fn NoteSheet(group: Group, earlier: Vec<WrittenNote>) -> impl IntoView {
    let sent = FormProblem::of("write_note");
    let conflict = sent.as_ref().is_some_and(|sent| sent.at("seen").is_some());
    // If a note was saved since the form was opened, saving this one is a conflict.
    let seen_then = || sent.as_ref()?.value("seen")?.parse().ok();
    let seen = seen_then().filter(|_| !conflict).unwrap_or(group.note_version);
    let written = group.note;
    let note = written.as_ref().map(|written| written.note.clone()).unwrap_or_default();
    let shown = (!note.is_empty()).then(|| view! { <dl class="facts">{parts(&note)}</dl> });
    let by = written.map(|written| {
        view! {
            <p class="small muted">"Written by " {visible(&written.who)} ", " <At at=written.at /> "."</p>
        }
    });
    let typed = sent.filter(|_| !conflict).map(|sent| typed(&sent));
    view! {
        <section class="sheet" aria-labelledby="note-title">
            <header>
                <h2 id="note-title">"Note"</h2>
                <span class="small muted push">"kept after events are resolved"</span>
            </header>
            <div class="pad">
                {shown}
                {by}
                {match refused(Right::Note) {
                    Some(_) if seen == 0 => view! { <p class="none">"No note."</p> }.into_any(),
                    Some(_) => ().into_any(),
                    // Two forms for one note would be one too many.
                    None if conflict => ().into_any(),
                    None => view! { <NoteForm fault=group.fault seen written=note typed /> }.into_any(),
                }}
                {(!earlier.is_empty()).then(|| view! { <Earlier earlier /> })}
            </div>
        </section>
    }
    .into_any()
}

/// Returns the note as entered into a refused form.
fn typed(sent: &FormProblem) -> Note {
    let part = |field: &str| sent.value(field).unwrap_or_default();
    Note::typed(part("what"), part("todo"), part("looks_after"))
}

#[component]
fn Earlier(earlier: Vec<WrittenNote>) -> impl IntoView {
    let number = words::count(earlier.len() as u64, "earlier version");
    let versions = earlier
        .into_iter()
        .map(|written| {
            view! {
                <li>
                    <p class="small muted">{visible(&written.who)} ", " <At at=written.at exact=true /></p>
                    {if written.note.is_empty() {
                        view! { <p class="none">"The note was removed."</p> }.into_any()
                    } else {
                        view! { <dl class="facts">{parts(&written.note)}</dl> }.into_any()
                    }}
                </li>
            }
        })
        .collect_view();
    view! {
        <details data-key="earlier">
            <summary>{number}</summary>
            <ol class="plain versions">{versions}</ol>
        </details>
    }
    .into_any()
}

/// Two versions of a note, side by side: the saved one, and the one that could not be saved.
#[component]
fn NoteConflict(group: Group) -> impl IntoView {
    let base = use_base();
    let sent = FormProblem::of("write_note").filter(|sent| sent.at("seen").is_some());
    sent.map(|sent| {
        let mine = typed(&sent);
        let saved = group.note.clone();
        let theirs = match saved {
            Some(written) => view! {
                <p class="small muted">"Written by " {visible(&written.who)} ", " <At at=written.at /> "."</p>
                <dl class="facts">{parts(&written.note)}</dl>
            }
            .into_any(),
            None => view! { <p class="none">"The note was removed."</p> }.into_any(),
        };
        view! {
            <section class="sheet" aria-labelledby="conflict-title">
                <header>
                    <h2 id="conflict-title" tabindex="-1" autofocus=true>
                        "Two versions of the note"
                    </h2>
                </header>
                <div class="pad">
                    <Notice kind=NoticeKind::Problem>
                        <strong>{sent.problem.what.clone()}</strong>
                        <p>{sent.problem.todo.clone()}</p>
                    </Notice>
                    <div class="sides">
                        <section aria-labelledby="saved-version">
                            <h3 id="saved-version">"Saved version"</h3>
                            {theirs}
                            <p class="bar">
                                <a class="button" href=base.group(group.fault)>
                                    "Keep the saved version"
                                </a>
                            </p>
                        </section>
                        <section aria-labelledby="your-version">
                            <h3 id="your-version">"Your version"</h3>
                            <NoteFields fault=group.fault seen=group.note_version note=mine button="Save your version instead" />
                        </section>
                    </div>
                </div>
            </section>
        }
    })
}

#[component]
fn NoteForm(fault: i64, seen: i64, written: Note, typed: Option<Note>) -> impl IntoView {
    let new = written.is_empty();
    let open = new || typed.is_some();
    view! {
        <details open=open data-key="write">
            <summary>{if new { "Write a note" } else { "Change the note" }}</summary>
            <NoteFields fault seen note=typed.unwrap_or(written) button="Save note" />
        </details>
    }
    .into_any()
}

/// `seen` is the version that the writer has seen.
#[component]
fn NoteFields(fault: i64, seen: i64, note: Note, button: &'static str) -> impl IntoView {
    let base = use_base();
    let limit = Note::LIMIT.to_string();
    view! {
        <form method="post" action=base.function("write_note") class="ask" data-keep-typed="">
            <FormToken />
            <input type="hidden" name="fault" value=fault.to_string() />
            <input type="hidden" name="seen" value=seen.to_string() />
            <label>
                <span>"What it is"</span>
                <textarea name="what" rows="2" maxlength=limit.clone()>{words::escaped(&visible(&note.what))}</textarea>
            </label>
            <label>
                <span>"What to do"</span>
                <textarea name="todo" rows="3" maxlength=limit>{words::escaped(&visible(&note.todo))}</textarea>
            </label>
            <label>
                <span>"Owner"</span>
                <input name="looks_after" maxlength="200" value=visible(&note.looks_after) autocomplete="off" />
            </label>
            <div class="bar">
                <button type="submit">{button}</button>
            </div>
        </form>
    }
    .into_any()
}

/// The failed events of the group in one state, and links to the other states.
#[component]
fn Events(
    group: Group,
    state: LifeState,
    events: Vec<LedgerEvent>,
    next: Option<i64>,
    names: Vec<NamedFeed>,
    /// Why nothing can be retried, by application.
    refused: Vec<(String, String)>,
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
                        {each.label()}
                        " "
                        <Number value=count />
                    </a>
                </li>
            }
        })
        .collect_view();
    let times: Vec<_> = events.iter().map(LedgerEvent::failed_since).collect();
    let heading = since_heading(&times);
    let mine = crate::ui::visitor::refused(Right::Retry).is_none();
    let offers: Vec<Option<String>> = events.iter().map(|event| retried(event, &refused).filter(|_| mine)).collect();
    let any = offers.iter().any(Option::is_some);
    let rows = events
        .into_iter()
        .zip(offers)
        .map(|(event, offer)| row(event, any.then_some(offer), &names, &applications))
        .collect_view();
    let table = view! {
        <table class="cards">
            <caption class="unseen">"Failed events of this group, newest first"</caption>
            <thead>
                <tr>
                    <th scope="col">"State"</th>
                    <th scope="col">"Failed event"</th>
                    <th scope="col">{heading}</th>
                    <th scope="col">"Application"</th>
                    <th scope="col" class="num">"Retries"</th>
                    {any
                        .then(|| {
                            view! {
                                <th scope="col">
                                    <span class="unseen">"Action"</span>
                                </th>
                            }
                        })}
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    };
    let table = match any {
        true => view! {
            <form method="post" action=base.function("retry")>
                <FormToken />
                <Back />
                {table}
            </form>
        }
        .into_any(),
        false => table.into_any(),
    };
    view! {
        <section class="sheet" aria-labelledby="events-title">
            <header>
                <h2 id="events-title">"Failed events"</h2>
                {(group.failed() > 0)
                    .then(|| {
                        let filter = Filter { group: Some(fault), ..Filter::default() };
                        let list = ListQuery { filter, ..ListQuery::default() };
                        view! {
                            <a href=base.failed_events(&list)>"Open as list"</a>
                            <a href=base.export(&list, "csv") download="">
                                "Export CSV"
                            </a>
                        }
                    })}
                <ul class="plain states push">{tabs}</ul>
            </header>
            {table}
            {beyond.map(|newest| view! { <BeyondTheEnd newest /> })}
            <Steps
                first=next.map(|_| ("First", base.group_events(fault, state.word(), None)))
                next=next.map(|next| ("More", base.group_events(fault, state.word(), Some(next))))
            />
        </section>
    }
    .into_any()
}

/// Returns the form value that identifies the row of this event for a retry; `None` if it cannot be retried here. A
/// waiting event is retried from its own page, which shows the warning.
fn retried(event: &LedgerEvent, refused: &[(String, String)]) -> Option<String> {
    let failed_at = event.failed_at.map(Stamp::of);
    let helps = Obstacle::in_columns(event.feed_uri.as_deref(), failed_at.as_ref()).is_none();
    let open = helps && event.state == LifeState::Exhausted && !refused.iter().any(|(app, _)| *app == event.app);
    event.retries.filter(|_| open).map(|retries| format!("{}:{}:{retries}", event.app, event.row_id))
}

/// The patients for whom the events wait, and the plan that retries the patients first.
#[component]
fn Waiting(waits: WaitsFor, fault: i64) -> impl IntoView {
    let WaitsFor { events, more, patients, to_retry, waiting, nothing } = waits;
    let newest = if more { "The newest " } else { "" };
    let mut said = vec![format!(
        "{newest}{} of {} wait: the patient is missing.",
        words::count(events, "event"),
        words::count(patients, "patient")
    )];
    if to_retry > 0 {
        said.push(format!("The own event of {} failed too: retry it first.", words::count(to_retry, "patient")));
    }
    if waiting > 0 {
        said.push(format!("The own event of {} waits for its next try.", words::count(waiting, "patient")));
    }
    if nothing > 0 {
        said.push(format!(
            "Of {} no event fails: not published, or already processed. Save the patient again, or retry the events.",
            words::count(nothing, "patient")
        ));
    }
    let text = format!("Retry {}, then what waits…", words::count(to_retry, "patient"));
    view! {
        <div class="in-group">
            <p>{said.join(" ")}</p>
            {(to_retry > 0).then(|| view! { <PlanButton kind=RequestKind::Retry of=PlanOf::WaitsFor(fault) text /> })}
        </div>
    }
    .into_any()
}

fn row(
    event: LedgerEvent,
    retry: Option<Option<String>>,
    names: &[NamedFeed],
    applications: &[ApplicationInfo],
) -> impl IntoView + use<> {
    let base = use_base();
    let name = name_of(applications, &event.app);
    let feed = called(names, applications, &event.app, event.feed_uri.as_deref());
    let label = event.naming().event(&name);
    let of = applications.iter().find(|info| info.key == event.app).and_then(|info| info.limits.max_retry);
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
    let spoken = format!("{label}, row {}", event.row_id);
    let asked = event.asked.map(|asked| asked.label());
    view! {
        <tr>
            <td data-label="State">
                <div>
                    <Badge word icon text=event.state.label() /> {asked.map(|asked| view! { <span class="small muted">{asked}</span> })}
                </div>
            </td>
            <th scope="row">
                {if event.state.is_open() {
                    view! { <a href=base.failed_event(&key, None)>{label}</a> }.into_any()
                } else {
                    view! { <a href=base.life(event.id)>{label}</a> }.into_any()
                }} <Called called=event.called.clone() />
            </th>
            <td data-label=since_heading([&since])>
                <Since since=since.clone() />
            </td>
            <td data-label="Application">{visible(&name)} <span class="muted">" · " {feed}</span></td>
            <td class="num" data-label="Retries">
                {event.retries.map(|retries| view! { <Number value=retries /> })} {of.map(|most| format!(" of {most}"))}
            </td>
            {retry
                .map(|row| {
                    let button = row.map(|row| {
                        view! {
                            <button type="submit" class="quiet" name="only" value=row aria-label=format!("Retry {spoken}")>
                                "Retry"
                            </button>
                        }
                    });
                    view! { <td class="num act">{button}</td> }
                })}
        </tr>
    }
}
