//! The errors and the payload of a failed event.

use leptos::prelude::*;

use super::key;
use crate::{
    api::failed_events::EventPage,
    model::{
        Attempt, EventKey, FailedEvent, FailedSince, RowId,
        error_text::{ErrorText, parse, visible},
        payload::{self},
    },
    ui::{
        components::{PayloadView, Since, Trace, use_base},
        words,
    },
};

const MARKED: &str = "differences are highlighted";

/// The latest error and the first, with the differences marked.
#[component]
pub(super) fn Errors(event: FailedEvent, key: EventKey, latest: Option<Attempt>, masked: bool) -> impl IntoView {
    let first_text = event.row.error.clone().unwrap_or_default();
    let first = parse(&first_text);
    let shown = first_text.chars().count() as u64;
    // A masked text is already complete, and cannot be downloaded.
    let rest = (event.error_chars > shown && !masked).then_some(event.error_chars);
    let latest_text = latest.as_ref().and_then(|attempt| attempt.error.clone());
    let Some((attempt, latest_text)) = latest.zip(latest_text) else {
        return view! {
            <ErrorSheet title="Error" id="error-first" since=event.row.failed_since() text=first_text error=first whole=rest.map(|_| Text::First(key)) rest />
        }
        .into_any();
    };
    let newest = parse(&latest_text);
    let same = newest.causes == first.causes;
    // If another chain of exceptions was thrown, marks would cover everything.
    let kind = |error: &ErrorText| error.causes.iter().map(|cause| cause.class.clone()).collect::<Vec<_>>();
    let alike = kind(&newest) == kind(&first);
    let other = |error: &ErrorText| alike.then(|| error.clone());
    view! {
        <ErrorSheet
            title="Latest error"
            id="error-latest"
            since=FailedSince::First(attempt.failed_at)
            text=latest_text
            error=newest.clone()
            note=if same { "" } else if alike { MARKED } else { "different from the first error" }
            other=other(&first)
            whole=(attempt.error_cut && !masked).then(|| Text::Attempt(key.clone(), attempt.id))
        />
        {if same {
            view! {
                <section class="sheet pad">
                    <p>
                        "The first error ("
                        <Since since=event.row.failed_since() />
                        ") was the same. "
                        {rest.is_some().then(|| view! { <Whole text=Text::First(key) of="the first error".to_owned() /> })}
                    </p>
                </section>
            }
                .into_any()
        } else {
            view! {
                <ErrorSheet
                    title="First error"
                    id="error-first"
                    since=event.row.failed_since()
                    text=first_text
                    error=first
                    note=if alike { MARKED } else { "different from the latest error" }
                    other=other(&newest)
                    whole=rest.map(|_| Text::First(key))
                    rest
                />
            }
                .into_any()
        }}
    }
    .into_any()
}

/// An error whose full text can be downloaded.
#[derive(Clone)]
pub(super) enum Text {
    First(EventKey),
    Attempt(EventKey, RowId),
}

/// `of`: what the full text belongs to.
#[component]
pub(super) fn Whole(text: Text, of: String) -> impl IntoView {
    let base = use_base();
    let href = match text {
        Text::First(event) => base.whole_error(&event),
        Text::Attempt(event, attempt) => base.whole_attempt(&event, attempt),
    };
    view! {
        <a href=href download="">
            "Download the whole text"
            <span class="unseen">{format!(" of {of}")}</span>
        </a>
    }
    .into_any()
}

/// One error: its trace folded, and the text as stored.
#[component]
fn ErrorSheet(
    title: &'static str,
    id: &'static str,
    since: FailedSince,
    text: String,
    error: ErrorText,
    /// How it compares to the other error, for the heading.
    #[prop(default = "")]
    note: &'static str,
    /// The other error, against which differences are marked.
    #[prop(default = None)]
    other: Option<ErrorText>,
    /// The downloadable full text, if the page does not show all of it.
    #[prop(default = None)]
    whole: Option<Text>,
    /// The full text's length in characters, if known and the page does not show all of it.
    #[prop(default = None)]
    rest: Option<u64>,
) -> impl IntoView {
    let via = error.via.clone();
    let cut = error.cut && whole.is_none();
    let empty = text.trim().is_empty();
    view! {
        <section class="sheet" aria-labelledby=format!("{id}-title")>
            <header>
                <h2 id=format!("{id}-title")>{title}</h2>
                <span class="small muted">
                    <Since since />
                    {(!note.is_empty()).then(|| format!(" · {note}"))}
                </span>
                <CopyButton from=id what=format!("the {}", title.to_lowercase()) />
            </header>
            {if empty {
                view! { <p class="pad none">"There is no error text."</p> }.into_any()
            } else {
                view! { <Trace of=format!("the {}", title.to_lowercase()) error other /> }.into_any()
            }}
            <div class="pad small muted">
                {cut
                    .then(|| {
                        view! { <p>"The application cut this text. The last causes may be missing."</p> }
                    })}
                {whole
                    .map(|text| {
                        let said = match rest {
                            Some(chars) => format!("This is the beginning of {} characters. ", words::number(chars)),
                            None => "This is its beginning. ".to_owned(),
                        };
                        view! { <p>{said} <Whole text of=format!("the {}", title.to_lowercase()) /></p> }
                    })} {via.map(|via| view! { <p>"Feed page " <code class="id">{visible(&via)}</code></p> })}
                <details class="raw">
                    <summary>"Raw text" <span class="unseen">{format!(" of the {}", title.to_lowercase())}</span></summary>
                    <pre id=id class="machine" tabindex="0" role="region" aria-label=format!("{title}, raw text")>
                        {visible(&text)}
                    </pre>
                </details>
            </div>
        </section>
    }
    .into_any()
}

/// Copies the text of an element. Hidden until the island that copies is loaded.
#[component]
fn CopyButton(
    from: &'static str,
    /// What is copied.
    what: String,
) -> impl IntoView {
    let label = format!("Copy {what}");
    view! {
        <button
            type="button"
            class="quiet push"
            data-copy=""
            data-copy-from=from
            data-done="Copied"
            aria-label=label
            hidden=true
        >
            "Copy"
        </button>
    }
    .into_any()
}

#[component]
pub(super) fn PayloadSheet(page: EventPage) -> impl IntoView {
    if let Some(masked) = page.masked {
        let size = match page.event.payload_chars {
            0 => "This event has no payload.".to_owned(),
            chars => format!("{} characters, masked.", words::number(chars)),
        };
        return view! {
            <section class="sheet" aria-labelledby="payload-title" data-keep="">
                <header>
                    <h2 id="payload-title">"Payload"</h2>
                    <span class="small muted">{masked.payload_kind}</span>
                </header>
                <p class="pad none">{size}</p>
            </section>
        }
        .into_any();
    }
    let base = use_base();
    let row = &page.event.row;
    let key = key(&page);
    let link = page.record_link.clone();
    let text = row.payload.clone();
    let chars = page.event.payload_chars;
    let shown = text.as_deref().map_or(0, |text| text.chars().count() as u64);
    let kind = text.as_deref().map(|text| payload::parse(text).in_words());
    view! {
        <section class="sheet" aria-labelledby="payload-title" data-keep="">
            <header>
                <h2 id="payload-title">"Payload"</h2>
                <span class="small muted">{kind}</span>
                {text.is_some().then(|| view! { <CopyButton from="payload" what="the payload".to_owned() /> })}
            </header>
            {match text {
                None => view! { <p class="pad none">"This event has no payload."</p> }.into_any(),
                Some(text) => {
                    view! {
                        <PayloadView text=text.clone() link />
                        <div class="pad small muted">
                            {(chars > shown)
                                .then(|| {
                                    format!("This is the beginning of {} characters. ", words::number(chars))
                                })}
                            <a href=base.whole_payload(&key) download="">
                                "Download"
                            </a> <details class="raw">
                                <summary>"Raw text" <span class="unseen">" of the payload"</span></summary>
                                <pre id="payload" class="machine" tabindex="0" role="region" aria-label="Payload, raw text">
                                    {visible(&text)}
                                </pre>
                            </details>
                        </div>
                    }
                        .into_any()
                }
            }}
        </section>
    }
    .into_any()
}
