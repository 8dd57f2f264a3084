//! Fields and messages that forms share: the form token, the page to return to, and problems of refused forms.

use leptos::prelude::*;
use leptos_router::hooks::use_location;

use super::{Icon, Notice, NoticeKind};
use crate::{
    error::Problem,
    paths::{FORM_TOKEN, is_of_one_view},
    ui::visitor::{FormProblem, use_visitor},
};

/// The hidden field that shows that a form is from this console. Every posted form begins with it.
#[component]
pub fn FormToken() -> impl IntoView {
    view! { <input type="hidden" name=FORM_TOKEN value=use_visitor().form_token /> }
}

/// Hidden field with the page that contains the form (a path and query below the base), to which the browser returns.
#[component]
pub fn Back() -> impl IntoView {
    view! { <input type="hidden" name="back" value=here() /> }
}

/// Returns path and query of this page below the base, without parameters that apply to one view only.
pub fn here() -> String {
    use crate::model::filter::{pairs, push};

    let path = use_location().pathname.get_untracked();
    let search = use_location().search.get_untracked();
    let mut query = String::new();
    for (key, value) in pairs(search.trim_start_matches('?')) {
        if !is_of_one_view(&key) && key != "at" {
            push(&mut query, &key, &value);
        }
    }
    // The router has an empty path for the overview, whose path is "/".
    let path = if path.is_empty() { "/".to_owned() } else { path };
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

/// The problem of a field of this page's refused form, next to the field, which references it by [`field_told`].
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

/// Returns the id of the problem text of a refused field, for its `aria-describedby`.
pub fn field_told(name: &str) -> Option<String> {
    told_of(name).map(|_| format!("{}-told", field_id(name)))
}

fn told_of(name: &str) -> Option<Problem> {
    let (problem, _) = crate::ui::visitor::not_taken()?;
    (problem.field.as_deref() == Some(name)).then_some(problem)
}

/// Returns the id of the element to which a message about this field links.
pub fn field_id(name: &str) -> String {
    format!("field-{name}")
}

/// Returns the title of a page with forms; it begins with "Not saved" if a form was refused.
pub fn title_of(page: &str) -> String {
    match use_context::<FormProblem>() {
        Some(_) => format!("Not saved · {page}"),
        None => page.to_owned(),
    }
}

/// The problem of a field, below it. The field references it by `aria-describedby`.
#[component]
pub fn FieldProblem(id: String, problem: Problem) -> impl IntoView {
    view! {
        <p class="field-problem" id=id role="alert">
            <Icon name="stopped" />
            <span>{problem.what} " " {problem.todo}</span>
        </p>
    }
}

/// A field of a form that may have been refused: its problem, and the attributes that reference it.
#[derive(Clone, Debug)]
pub struct Field {
    id: String,
    problem: Option<Problem>,
}

impl Field {
    /// Returns the field with this name in the form for a server function.
    pub fn of(function: &str, name: &str) -> Self {
        let problem = FormProblem::of(function).and_then(|sent| sent.at(name).cloned());
        Self { id: format!("{function}-{name}-problem"), problem }
    }

    /// Returns whether the field has a problem; then the page sets the focus here.
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

    /// Shows the problem below the field.
    pub fn told(self) -> impl IntoView {
        let Self { id, problem } = self;
        problem.map(|problem| view! { <FieldProblem id problem /> })
    }
}

/// Returns what was entered into a field of a refused form; `None` if this form was not sent.
pub fn typed_into(function: &str, name: &str) -> Option<String> {
    Some(FormProblem::of(function)?.value(name).unwrap_or_default().to_owned())
}

/// The problem of this page's refused form, if it concerns no single field.
#[component]
pub fn FormTold() -> impl IntoView {
    let told = use_context::<FormProblem>().filter(|sent| sent.problem.field.is_none() && !sent.told_above);
    told.map(|FormProblem { problem, .. }| view! { <Told problem /> })
}

/// Why a form was refused.
#[component]
pub fn Told(problem: Problem) -> impl IntoView {
    view! {
        <Notice kind=NoticeKind::Problem>
            <strong>{problem.what}</strong>
            <p>{problem.todo}</p>
        </Notice>
    }
}
