//! What every form carries.

use leptos::prelude::*;

use crate::{paths::FORM_TOKEN, ui::visitor::use_visitor};

/// The hidden field that proves that a form is one of ours. Every form that is posted begins with it.
#[component]
pub fn FormToken() -> impl IntoView {
    view! { <input type="hidden" name=FORM_TOKEN value=use_visitor().form_token /> }
}

/// Why the form of this page was not taken, where it was not.
#[component]
pub fn FormTold() -> impl IntoView {
    use leptos::prelude::use_context;

    use super::{Notice, NoticeKind};
    use crate::ui::visitor::FormProblem;

    use_context::<FormProblem>().map(|FormProblem(problem)| {
        view! {
            <Notice kind=NoticeKind::Problem>
                <strong>{problem.what}</strong>
                <p>{problem.todo}</p>
            </Notice>
        }
    })
}
