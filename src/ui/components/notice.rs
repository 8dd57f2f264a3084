//! A message on top of a page or of a part of it.

use leptos::prelude::*;

use super::Icon;
use crate::api::failed_events::MissingPart;

/// The kind of a notice; determines icon and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// Something worth knowing.
    Info,
    /// The requested action is done.
    Done,
    /// Something to be careful about.
    Warning,
    /// Something that did not work.
    Problem,
}

/// A notice. Screen readers announce problems at once, and everything else in turn.
#[component]
pub fn Notice(kind: NoticeKind, children: Children) -> impl IntoView {
    let (word, icon, role) = match kind {
        NoticeKind::Info => ("info", "info", "status"),
        NoticeKind::Done => ("done", "running", "status"),
        NoticeKind::Warning => ("warning", "failing", "status"),
        NoticeKind::Problem => ("problem", "stopped", "alert"),
    };
    view! {
        <div class=format!("notice {word}") role=role>
            <Icon name=icon />
            <div>{children()}</div>
        </div>
    }
}

/// Applications that did not answer; the rest of the page is shown.
#[component]
pub fn MissingParts(
    parts: Vec<MissingPart>,
    /// The part of the page that lacks them: `list`.
    what: &'static str,
) -> impl IntoView {
    parts
        .into_iter()
        .map(|part| {
            view! {
                <Notice kind=NoticeKind::Problem>
                    <strong>{part.app.name} {format!(" is missing from this {what}. ")}</strong>
                    {part.reason}
                    " "
                    {part.advice}
                </Notice>
            }
        })
        .collect_view()
}
