//! The applications of an account or a token: all, or some of them. Two radio buttons, because a box "all" next to
//! boxes of single applications would be ambiguous.

use std::collections::BTreeSet;

use leptos::prelude::*;

use super::FieldProblem;
use crate::{model::ApplicationInfo, ui::visitor::FormProblem};

/// The fields `all` (not empty: all of them) and `applications[]`.
#[component]
pub fn ApplicationChoice(
    #[prop(into)] legend: String,
    /// Distinguishes the fields of this form from those of other forms on the page.
    #[prop(into)]
    id: String,
    /// Keys; `None` if all.
    chosen: Option<BTreeSet<String>>,
    applications: Vec<ApplicationInfo>,
    /// The form as sent and refused.
    sent: Option<FormProblem>,
) -> impl IntoView {
    let (all, chosen) = match &sent {
        Some(sent) => {
            let chosen: BTreeSet<String> = sent.values("applications[]").map(str::to_owned).collect();
            (sent.value("all").is_some_and(|all| !all.is_empty()), chosen)
        }
        None => (chosen.is_none(), chosen.unwrap_or_default()),
    };
    let problem = sent.as_ref().and_then(|sent| sent.at("applications")).cloned();
    let told = format!("applications-problem-{id}");
    let wrong = problem.is_some();
    let boxes = applications.into_iter().map(|app| {
        let checked = chosen.contains(&app.key);
        view! {
            <label class="tick">
                <input type="checkbox" name="applications[]" value=app.key checked=checked />
                <span>{app.name}</span>
            </label>
        }
    });
    view! {
        <fieldset class="rights" aria-describedby=wrong.then(|| told.clone()) data-all-or-some="">
            <legend>{legend}</legend>
            <label class="tick">
                <input
                    type="radio"
                    name="all"
                    value="1"
                    checked=all
                    autofocus=wrong
                    aria-describedby=wrong.then(|| told.clone())
                />
                <span>"All applications (including future ones)"</span>
            </label>
            <label class="tick">
                <input type="radio" name="all" value="" checked=!all />
                <span>"Only these:"</span>
            </label>
            <div class="some">{boxes.collect_view()}</div>
        </fieldset>
        {problem.map(|problem| view! { <FieldProblem id=told problem /> })}
    }
    .into_any()
}
