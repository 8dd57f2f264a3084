//! Buttons that lead to the plan of an operation. Making a plan writes its rows to the store, so a form makes it and
//! not a link.

use leptos::prelude::*;

use super::{Back, FormToken, Icon, use_base};
use crate::{model::ledger::RequestKind, ui::visitor::refused};

/// The source of a plan's rows: the form's field and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanOf {
    /// A list's query string.
    List(String),
    /// A group, by its fault.
    Group(i64),
    /// A group, by its fault, after the patients for whom its events wait.
    WaitsFor(i64),
    /// The rows of an operation that failed again.
    FailedAgain(i64),
    /// The rows that an operation discarded.
    CopiesOf(i64),
}

impl PlanOf {
    fn field(&self) -> (&'static str, String) {
        match self {
            PlanOf::List(query) => ("query", query.clone()),
            PlanOf::Group(fault) => ("group", fault.to_string()),
            PlanOf::WaitsFor(fault) => ("waits_for", fault.to_string()),
            PlanOf::FailedAgain(operation) => ("failed_again", operation.to_string()),
            PlanOf::CopiesOf(operation) => ("copies_of", operation.to_string()),
        }
    }
}

/// A form with one button. Empty if the user lacks the right.
#[component]
pub fn PlanButton(
    kind: RequestKind,
    of: PlanOf,
    #[prop(into)] text: String,
    /// Context for screen reader users, who hear the button without its line: " Odoo, encounter".
    #[prop(optional_no_strip)]
    about: Option<String>,
    /// The page's main action.
    #[prop(optional)]
    primary: bool,
    /// Why the operation is not possible here for any user.
    #[prop(optional_no_strip)]
    forbidden: Option<String>,
) -> impl IntoView {
    let base = use_base();
    if refused(kind.right()).is_some() {
        return ().into_any();
    }
    let (name, value) = of.field();
    view! {
        <form method="post" action=base.function("plan_operation") class="inline">
            <FormToken />
            <Back />
            <input type="hidden" name=name value=value />
            <PlanSubmit kind text about class=if primary { "primary" } else { "" } forbidden />
        </form>
    }
    .into_any()
}

/// The button of a form that leads to a plan. Empty if the user lacks the right; disabled, with the reason next to it,
/// if no user may do it.
#[component]
pub fn PlanSubmit(
    kind: RequestKind,
    #[prop(into)] text: String,
    /// As in [`PlanButton`].
    #[prop(optional_no_strip)]
    about: Option<String>,
    #[prop(optional)] class: &'static str,
    /// Why the operation is not possible here for any user.
    #[prop(optional_no_strip)]
    forbidden: Option<String>,
) -> impl IntoView {
    if refused(kind.right()).is_some() {
        return ().into_any();
    }
    let about = about.map(|about| view! { <span class="unseen">{about}</span> });
    match forbidden {
        Some(why) => view! {
            <button type="submit" disabled=true>
                <Icon name=icon(kind) />
                {text} {about}
            </button>
            <span class="small muted">{why}</span>
        }
        .into_any(),
        None => view! {
            <button type="submit" name="kind" value=kind.word() class=class>
                <Icon name=icon(kind) />
                {text} {about}
            </button>
        }
        .into_any(),
    }
}

/// The icon of an operation.
pub fn icon(kind: RequestKind) -> &'static str {
    match kind {
        RequestKind::Retry | RequestKind::Restore => "retry",
        RequestKind::Discard => "stopped",
    }
}
