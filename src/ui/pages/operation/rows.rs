//! The rows of an operation and their outcomes.

use leptos::prelude::*;

use crate::{
    api::operations::OperationPage as Page,
    model::{
        ApplicationInfo, EventKey, FailedSince,
        application::name_of,
        error_text::visible,
        feed_names::{NamedFeed, called},
        fingerprint,
        ledger::{RequestKind, RequestOutcome},
        operation::{OperationRow, RowCourse, RowOutcome, Stage, WhichRows},
    },
    ui::{
        components::{Badge, Called, Number, ShortId, Since, Steps, since_heading, use_base},
        words,
    },
};

#[component]
pub(super) fn Rows(page: Page) -> impl IntoView {
    let base = use_base();
    let Page { operation, rows, next, which, names, applications, .. } = page;
    let (id, kind) = (operation.id, operation.kind);
    let planned = matches!(operation.stage, Stage::Planning | Stage::Draft);
    let all = (which != WhichRows::All).then(|| {
        view! {
            <a class="push" href=base.operation_rows(id, WhichRows::All, None)>
                "Show all"
            </a>
        }
    });
    if rows.is_empty() {
        return view! {
            <p class="sheet empty" id="rows">
                "No events here. " <a href=base.operation(id)>"Show all events of this operation"</a>
            </p>
        }
        .into_any();
    }
    let guard = match kind {
        RequestKind::Retry => "Skipped if changed in the meantime.",
        RequestKind::Discard => "Skipped if changed since the copy.",
        RequestKind::Restore => "Skipped if the event failed again since its discard.",
    };
    let heading = match which {
        WhichRows::All => "Events",
        WhichRows::Open => "Events without a result yet",
        WhichRows::Resolved => "Resolved events",
        WhichRows::FailedAgain => "Events that failed again",
        WhichRows::Overwritten => "Events whose retry was lost",
        WhichRows::Gone => "Removed events, reason unknown",
        WhichRows::Cause(_) => "Events that failed again with this cause",
    };
    let times: Vec<FailedSince> = rows.iter().filter_map(|course| course.since.clone()).collect();
    let since = since_heading(&times);
    view! {
        <section class="sheet" aria-labelledby="rows">
            <header>
                <h2 id="rows">{heading}</h2>
                <span class="small muted">{guard}</span>
                {all}
            </header>
            <table class="cards">
                <caption class="unseen">{heading}</caption>
                <thead>
                    <tr>
                        <th scope="col">"Event"</th>
                        <th scope="col">{if planned { "Error" } else { "Result" }}</th>
                        {planned.then(|| view! { <th scope="col">{since}</th> })}
                        <th scope="col">"Event id"</th>
                        <th scope="col">"Feed"</th>
                        <th scope="col" class="num">"Retries before"</th>
                    </tr>
                </thead>
                <tbody>{rows.into_iter().map(|each| row(each, &names, &applications, planned)).collect_view()}</tbody>
            </table>
            <Steps
                first=next.map(|_| ("First events", base.operation_rows(id, which, None)))
                next=next.map(|next| ("More events", base.operation_rows(id, which, Some(next))))
            />
        </section>
    }
    .into_any()
}

fn row(
    course: RowCourse,
    names: &[NamedFeed],
    applications: &[ApplicationInfo],
    planned: bool,
) -> impl IntoView + use<> {
    let base = use_base();
    let row = course.row.clone();
    let app = name_of(applications, &row.app);
    let now = match row.outcome {
        Some(RowOutcome::Restored { id }) => id,
        _ => row.id,
    };
    let event = EventKey { app: row.app.clone(), id: now };
    let not_known = || view! { <span class="none">"not known"</span> }.into_any();
    let id = |text: Option<String>| match text {
        Some(text) => view! { <ShortId text=visible(&text) keep=if planned { 20 } else { 32 } /> }.into_any(),
        None if !course.named => not_known(),
        None => view! { <span class="none">"none"</span> }.into_any(),
    };
    let feed = match course.named {
        true => called(names, applications, &row.app, row.feed_uri.as_deref()).into_any(),
        false => not_known(),
    };
    let error = || match course.fault.as_deref() {
        Some(fault) => visible(&fingerprint::title(fault)).into_any(),
        None => not_known(),
    };
    view! {
        <tr>
            <th scope="row">
                <a href=base.failed_event(&event, None)>{course.naming().event(&app)}</a>
                <Called called=course.called.clone() />
                <span class="small muted block">{format!("row {now}")}</span>
            </th>
            <td data-label=if planned { "Error" } else { "Result" }>{if planned { error() } else { outcome(&course) }}</td>
            {planned
                .then(|| {
                    let heading = since_heading(course.since.as_ref());
                    let since = course.since.clone().map(|since| view! { <Since since compact=true /> });
                    view! { <td data-label=heading>{since}</td> }
                })}
            <td data-label="Event id">{id(row.event_id)}</td>
            <td data-label="Feed">{feed}</td>
            <td class="num" data-label="Retries before">
                {row.seen_retries.map(|retries| view! { <Number value=retries /> })}
            </td>
        </tr>
    }
}

/// The outcome of a row: what the watcher saw, otherwise what the operation did.
pub(super) fn outcome(course: &RowCourse) -> AnyView {
    let base = use_base();
    let (word, icon, text, more) = match (&course.row.outcome, course.seen) {
        (Some(RowOutcome::Reset), Some(RequestOutcome::Resolved)) => ("running", "running", "Resolved", None),
        (Some(RowOutcome::Reset), Some(RequestOutcome::FailedAgain)) => {
            let more = course.new_fault.as_ref().map(|(same, fault)| match same {
                true => "Same error as before.".to_owned(),
                false => format!("New error: {}", fingerprint::title(fault)),
            });
            ("exhausted", "exhausted", "Failed again", more)
        }
        (Some(RowOutcome::Reset), Some(RequestOutcome::Overwritten)) => {
            ("warning", "failing", "Retry lost", Some("Another retry was running.".to_owned()))
        }
        (Some(RowOutcome::Reset), Some(RequestOutcome::Gone)) => ("gone", "unknown", "Removed, reason unknown", None),
        (Some(RowOutcome::Reset), None) if course.unfollowed => {
            let why = match i64::try_from(course.row.id.0) {
                Ok(_) => "the event left the table before the console saw it there.",
                Err(_) => "the history has no ids above 9,223,372,036,854,775,807.",
            };
            ("requested", "retry", "Retry requested", Some(format!("The result is not followed: {why}")))
        }
        _ => own_outcome(&course.row),
    };
    let other = match course.row.outcome {
        Some(RowOutcome::Taken { operation }) => {
            Some(view! { <a href=base.operation(operation)>{format!("Operation {operation}")}</a> })
        }
        _ => None,
    };
    view! {
        <div>
            <Badge word=word icon=icon text=text />
            {more.map(|text| view! { <span class="small muted">{visible(&text)}</span> })}
            {other}
        </div>
    }
    .into_any()
}

/// `103 MB`, `0.5 MB`.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(1 << 10).saturating_mul(10).div_ceil(1 << 10);
    match (tenths / 10, tenths % 10) {
        (whole, part) if whole < 10 && part > 0 => format!("{whole}.{part} MB"),
        (whole, part) => format!("{} MB", words::number(whole + u64::from(part > 0))),
    }
}

type Told = (&'static str, &'static str, &'static str, Option<String>);

fn own_outcome(row: &OperationRow) -> Told {
    match &row.outcome {
        Some(RowOutcome::Reset) => ("requested", "retry", "Retry requested", None),
        Some(RowOutcome::Discarded) => ("gone", "stopped", "Discarded", None),
        Some(RowOutcome::Restored { id }) if *id == row.id => ("running", "running", "Restored", None),
        Some(RowOutcome::Restored { .. }) => {
            let told = format!("Row {} was in use: it has a new number.", row.id);
            ("running", "running", "Restored", Some(told))
        }
        Some(RowOutcome::AlreadyThere) => {
            let told = "The event is in the table again: it failed again since its discard, or was restored. Its copy is kept.";
            ("gone", "info", "Skipped", Some(told.to_owned()))
        }
        Some(RowOutcome::TooLong { bytes, limit }) => {
            let (bytes, limit) = (megabytes(*bytes), megabytes(*limit));
            let told = match row.copy {
                None => format!(
                    "Too long to be copied: {bytes}, the limit is {limit}. Nothing was changed. Fix the event in the application's database."
                ),
                Some(_) => format!(
                    "Too long for the database: {bytes}, and it takes {limit} at a time (max_allowed_packet). The copy is kept. Raise \
                     the limit, then restore again."
                ),
            };
            ("warning", "failing", "Skipped", Some(told))
        }
        Some(RowOutcome::Taken { .. }) => {
            ("warning", "waiting", "Skipped", Some("Another operation is running.".to_owned()))
        }
        Some(RowOutcome::Changed { retries }) => (
            "warning",
            "failing",
            "Skipped",
            Some(match retries {
                Some(retries) => format!("Changed in the meantime: {retries} retries."),
                None => "Changed in the meantime.".to_owned(),
            }),
        ),
        Some(RowOutcome::Gone) => ("gone", "unknown", "Skipped", Some("Not in the table any more.".to_owned())),
        Some(RowOutcome::Failed { reason }) => ("problem", "exhausted", "Not written", Some(reason.clone())),
        Some(RowOutcome::Uncertain { reason }) => ("warning", "unknown", "Uncertain", Some(reason.clone())),
        Some(RowOutcome::Busy { .. }) => {
            ("warning", "waiting", "Locked", Some("Locked by another transaction. Will be tried again.".to_owned()))
        }
        None => ("unknown", "waiting", "Not started", None),
    }
}
