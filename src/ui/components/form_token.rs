//! What every form carries.

use leptos::prelude::*;
use leptos_router::hooks::use_location;

use super::{Icon, Notice, NoticeKind};
use crate::{
    error::Problem,
    paths::FORM_TOKEN,
    ui::visitor::{FormProblem, use_visitor},
};

/// The hidden field that proves that a form is one of ours. Every form that is posted begins with it.
#[component]
pub fn FormToken() -> impl IntoView {
    view! { <input type="hidden" name=FORM_TOKEN value=use_visitor().form_token /> }
}

/// The page that a form stands on, a path and query below the base: where it comes back to.
#[component]
pub fn Back() -> impl IntoView {
    view! { <input type="hidden" name="back" value=here() /> }
}

/// The path and query of this page below the base, without what only a moment's visit adds.
pub fn here() -> String {
    use crate::model::filter::{pairs, push};

    let path = use_location().pathname.get_untracked();
    let search = use_location().search.get_untracked();
    let mut query = String::new();
    for (key, value) in pairs(search.trim_start_matches('?')) {
        if !matches!(key.as_str(), "done" | "at" | "undone" | "chosen" | "live") {
            push(&mut query, &key, &value);
        }
    }
    // Without the router's own slash of an empty path, the overview is "/".
    let path = if path.is_empty() { "/".to_owned() } else { path };
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

/// What is wrong with a field of the form of this page, beside it; the field names it by [`field_told`].
#[component]
pub fn FieldTold(name: &'static str) -> impl IntoView {
    told_of(name).map(|problem| {
        view! {
            <span class="field-told" id=format!("{}-told", field_id(name))>
                {problem.what} " " {problem.todo}
            </span>
        }
    })
}

/// The id of what describes a field whose content was not taken, for its `aria-describedby`.
pub fn field_told(name: &str) -> Option<String> {
    told_of(name).map(|_| format!("{}-told", field_id(name)))
}

fn told_of(name: &str) -> Option<Problem> {
    let (problem, _) = crate::ui::visitor::not_taken()?;
    (problem.field.as_deref() == Some(name)).then_some(problem)
}

/// The id of the element that a message about this field leads to.
pub fn field_id(name: &str) -> String {
    format!("field-{name}")
}

/// The title of a page with forms: it says first when one was not taken.
pub fn title_of(page: &str) -> String {
    match use_context::<FormProblem>() {
        Some(_) => format!("Not saved · {page}"),
        None => page.to_owned(),
    }
}

/// What is wrong with a field, below it. The field names it by `aria-describedby`.
#[component]
pub fn FieldProblem(id: String, problem: Problem) -> impl IntoView {
    view! {
        <p class="field-problem" id=id role="alert">
            <Icon name="stopped" />
            <span>{problem.what} " " {problem.todo}</span>
        </p>
    }
}

/// A field of a form that may have come back: what is wrong with it, and how the field names it.
#[derive(Clone, Debug)]
pub struct Field {
    id: String,
    problem: Option<Problem>,
}

impl Field {
    /// The field of this name of the form that is sent to a server function.
    pub fn of(function: &str, name: &str) -> Self {
        let problem = FormProblem::of(function).and_then(|sent| sent.at(name).cloned());
        Self { id: format!("{function}-{name}-problem"), problem }
    }

    /// Whether the page begins here.
    pub fn is_wrong(&self) -> bool {
        self.problem.is_some()
    }

    /// For `aria-invalid`.
    pub fn invalid(&self) -> Option<&'static str> {
        self.is_wrong().then_some("true")
    }

    /// For `aria-describedby`.
    pub fn described_by(&self) -> Option<String> {
        self.is_wrong().then(|| self.id.clone())
    }

    /// What is wrong, below the field.
    pub fn told(self) -> impl IntoView {
        let Self { id, problem } = self;
        problem.map(|problem| view! { <FieldProblem id problem /> })
    }
}

/// What was typed into the forms of a page stays in those that were not taken; `None`: this form was not sent.
pub fn typed_into(function: &str, name: &str) -> Option<String> {
    Some(FormProblem::of(function)?.value(name).unwrap_or_default().to_owned())
}

/// Why the form of this page was not taken, where it was not and no field says it.
#[component]
pub fn FormTold() -> impl IntoView {
    let told = use_context::<FormProblem>().filter(|sent| sent.problem.field.is_none() && !sent.told_above);
    told.map(|FormProblem { problem, .. }| view! { <Told problem /> })
}

/// Why a form was not taken.
#[component]
pub fn Told(problem: Problem) -> impl IntoView {
    view! {
        <Notice kind=NoticeKind::Problem>
            <strong>{problem.what}</strong>
            <p>{problem.todo}</p>
        </Notice>
    }
}
