//! An error text for reading: its innermost cause first, then the message and its causes, with the frames of libraries
//! folded.

use std::collections::HashSet;

use leptos::prelude::*;

use crate::model::{
    differences::differ,
    error_text::{Cause, ErrorText, Frame, Run, visible},
};

/// A stack trace. Folds with `<details>`, so that it works without JavaScript.
#[component]
pub fn Trace(
    error: ErrorText,
    /// What the text belongs to, so that the folded parts of several traces on one page have unique names.
    #[prop(into)]
    of: String,
    /// The error to compare with: parts that it lacks are marked.
    #[prop(optional_no_strip)]
    other: Option<ErrorText>,
) -> impl IntoView {
    let known: HashSet<String> = other
        .iter()
        .flat_map(|other| &other.causes)
        .flat_map(|cause| &cause.frames)
        .map(|frame| frame.text.clone())
        .collect();
    let compared = other.is_some();
    let mut folds = 0;
    let causes = error.causes.iter().enumerate().map(|(index, cause)| {
        let counterpart = other.as_ref().map(|other| other.causes.get(index));
        view! {
            <div class="cause">
                <p class="thrown">{(index > 0).then_some("Caused by: ")} {thrown(cause, counterpart)}</p>
                {cause
                    .runs()
                    .into_iter()
                    .map(|run| match run {
                        Run::Application(frames) => lines(frames, compared.then_some(&known)).into_any(),
                        Run::Library { frames, summary } => {
                            folds += 1;
                            view! {
                                <details class="library">
                                    <summary>
                                        {summary} <span class="unseen">{format!(" of {of}, part {folds}")}</span>
                                    </summary>
                                    {lines(frames, compared.then_some(&known))}
                                </details>
                            }
                                .into_any()
                        }
                    })
                    .collect_view()}
                {cause.more.map(|more| view! { <p class="more">{format!("… {more} more, as in the exception above")}</p> })}
            </div>
        }
    });
    // The innermost cause is at the end of a Java trace, after everything that only wrapped it.
    let innermost = error.causes.last().filter(|cause| error.causes.len() > 1 && !cause.message.trim().is_empty());
    let innermost =
        innermost.map(|cause| view! { <p class="innermost">"Cause: " <b>{visible(&cause.message)}</b></p> });
    view! { <div class="trace">{innermost} {causes.collect_view()}</div> }.into_any()
}

/// Class and message of an exception, with the parts marked that its counterpart in the other error lacks.
fn thrown(cause: &Cause, counterpart: Option<Option<&Cause>>) -> impl IntoView + use<> {
    let class = cause.class.as_deref().map(|class| {
        let changed = counterpart.is_some_and(|other| other.is_none_or(|other| other.class != cause.class));
        let separator = if cause.message.is_empty() { "" } else { ": " };
        view! {
            <span class="class">{piece(class, changed)}</span>
            {separator}
        }
    });
    let message = match counterpart {
        None => vec![piece(&cause.message, false)],
        Some(None) => vec![piece(&cause.message, true)],
        Some(Some(other)) => {
            let difference = differ(&other.message, &cause.message);
            difference.latest.iter().map(|segment| piece(&segment.text, segment.changed)).collect()
        }
    };
    view! { {class} <b>{message}</b> }.into_any()
}

fn piece(text: &str, changed: bool) -> AnyView {
    let text = visible(text);
    if changed { view! { <mark>{text}</mark> }.into_any() } else { text.into_any() }
}

fn lines(frames: &[Frame], known: Option<&HashSet<String>>) -> impl IntoView + use<> {
    let lines = frames
        .iter()
        .map(|frame| {
            let changed = known.is_some_and(|known| !known.contains(&frame.text));
            view! { <li>"at\u{a0}" {piece(&frame.text, changed)}</li> }
        })
        .collect_view();
    view! { <ul class="frames">{lines}</ul> }.into_any()
}
