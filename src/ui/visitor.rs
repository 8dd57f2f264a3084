//! The user who views a page, for the parts that depend on it: the header, the buttons, the token of every form.

use leptos::prelude::use_context;

use crate::{
    error::Problem,
    model::{Person, Right, Role},
};

/// The user who views the page, in the context of every page.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// `None` if not signed in.
    pub person: Option<Person>,
    /// The token that every form of the page contains.
    pub form_token: String,
    pub signs_in: SignsIn,
    /// Scheme and host of the request: `https://hospital.example`.
    pub origin: String,
    /// Seconds without a page after which the session ends; `None` if there is no session.
    pub session_idle: Option<u64>,
    /// The request came with an ended session.
    pub session_lost: bool,
    /// The demo's accounts and passwords, if the sign-in page shows them.
    pub demo_accounts: Vec<(Role, String)>,
}

/// How users sign in on a page of the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignsIn {
    WithAccount,
    WithOpenmrs,
    /// No sign-in: a proxy names the user, or the console is open.
    #[default]
    Nowhere,
}

/// Why a form was refused, in the context of the page that contains it.
#[derive(Clone, Debug)]
pub struct FormProblem {
    pub problem: Problem,
    /// The server function to which the form was sent.
    pub function: String,
    /// The entered and chosen values, without passwords and codes.
    pub typed: Vec<(String, String)>,
    /// The layout shows the problem above the page, because the page contains the form and does not show the problem
    /// itself.
    pub told_above: bool,
}

impl FormProblem {
    /// Returns the problem if the form was sent to this server function.
    pub fn of(function: &str) -> Option<Self> {
        use_context::<Self>().filter(|sent| sent.function == function)
    }

    /// Returns the first value of a field.
    pub fn value(&self, field: &str) -> Option<&str> {
        self.typed.iter().find(|(key, _)| key == field).map(|(_, value)| value.as_str())
    }

    /// Returns all values of a field.
    pub fn values<'s>(&'s self, field: &'s str) -> impl Iterator<Item = &'s str> {
        self.typed.iter().filter(move |(key, _)| key == field).map(|(_, value)| value.as_str())
    }

    /// Returns the problem if it is about this field.
    pub fn at(&self, field: &str) -> Option<&Problem> {
        Some(&self.problem).filter(|problem| problem.field.as_deref() == Some(field))
    }
}

/// Returns the problem and the values of the refused form of this page, if the layout shows the problem. `None` if the
/// page is not the answer to such a form.
pub fn not_taken() -> Option<(Problem, Vec<(String, String)>)> {
    let sent = use_context::<FormProblem>().filter(|sent| sent.told_above)?;
    Some((sent.problem, sent.typed))
}

/// Returns what was entered into a field of the refused form; `None` if nothing was, or if the page is not the answer
/// to a form.
pub fn typed(field: &str) -> Option<String> {
    let (_, fields) = not_taken()?;
    fields.into_iter().find(|(key, _)| key == field).map(|(_, value)| value)
}

/// Like [`typed`], for a field that can occur any number of times, such as check boxes.
pub fn ticked(field: &str) -> Vec<String> {
    let fields = not_taken().map(|(_, fields)| fields).unwrap_or_default();
    fields.into_iter().filter(|(key, _)| key == field).map(|(_, value)| value).collect()
}

/// Returns why the user lacks this right, and who can change that; `None` if the user has it.
pub fn refused(right: Right) -> Option<String> {
    let lacking = use_visitor().person?.lacks(right)?;
    Some(format!("{lacking} {}", lacking.advice()))
}

/// The same in one short sentence, shown in place of the button.
pub fn lacking(right: Right) -> Option<String> {
    Some(use_visitor().person?.lacks(right)?.to_string())
}

/// Returns the user who views this page; the default while routes are only listed.
pub fn use_visitor() -> Visitor {
    use_context().unwrap_or_default()
}
