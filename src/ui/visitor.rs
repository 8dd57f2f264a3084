//! Who looks at a page, for the parts of it that depend on that: the header, the buttons, the token of every form.

use leptos::prelude::use_context;

use crate::{
    error::Problem,
    model::{Person, Right, Role},
};

/// Whoever looks, in the context of every page.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// `None`: not signed in.
    pub person: Option<Person>,
    /// What every form of the page carries.
    pub form_token: String,
    pub signs_in: SignsIn,
    /// Scheme and host by which the console was asked: `https://hospital.example`.
    pub origin: String,
    /// After so many seconds without a page their session ends; `None`: there is none.
    pub session_idle: Option<u64>,
    /// They come with a session that has ended.
    pub session_lost: bool,
    /// The demo's accounts and passwords, where the sign-in page shows them.
    pub demo_accounts: Vec<(Role, String)>,
}

/// How people sign in on a page of the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignsIn {
    WithAccount,
    WithOpenmrs,
    /// There is nothing to sign in to: a proxy says who it is, or it does not matter.
    #[default]
    Nowhere,
}

/// Why a form was not taken, in the context of the page that it stands on.
#[derive(Clone, Debug)]
pub struct FormProblem {
    pub problem: Problem,
    /// The server function that it was sent to.
    pub function: String,
    /// What was typed and chosen, without passwords and codes.
    pub typed: Vec<(String, String)>,
    /// The layout says it above the page, because the page is the one that the form was sent from and none of its own says it.
    pub told_above: bool,
}

impl FormProblem {
    /// Of the form that is sent to this server function.
    pub fn of(function: &str) -> Option<Self> {
        use_context::<Self>().filter(|sent| sent.function == function)
    }

    /// The first value of a field.
    pub fn value(&self, field: &str) -> Option<&str> {
        self.typed.iter().find(|(key, _)| key == field).map(|(_, value)| value.as_str())
    }

    /// Every value of a field.
    pub fn values<'s>(&'s self, field: &'s str) -> impl Iterator<Item = &'s str> {
        self.typed.iter().filter(move |(key, _)| key == field).map(|(_, value)| value.as_str())
    }

    /// The problem, where it is about this field.
    pub fn at(&self, field: &str) -> Option<&Problem> {
        Some(&self.problem).filter(|problem| problem.field.as_deref() == Some(field))
    }
}

/// The form of this page that was not taken, where the layout says so: its problem and what was sent. `None`: the page is
/// not the answer to such a form.
pub fn not_taken() -> Option<(Problem, Vec<(String, String)>)> {
    let sent = use_context::<FormProblem>().filter(|sent| sent.told_above)?;
    Some((sent.problem, sent.typed))
}

/// What was typed into a field of the form that was not taken; `None`: nothing, or the page is not the answer to a form.
pub fn typed(field: &str) -> Option<String> {
    let (_, fields) = not_taken()?;
    fields.into_iter().find(|(key, _)| key == field).map(|(_, value)| value)
}

/// The same of a field that can be there any number of times, as boxes are.
pub fn ticked(field: &str) -> Vec<String> {
    let fields = not_taken().map(|(_, fields)| fields).unwrap_or_default();
    fields.into_iter().filter(|(key, _)| key == field).map(|(_, value)| value).collect()
}

/// Why whoever looks may not do what needs this right, and who can change that; `None`: they may.
pub fn refused(right: Right) -> Option<String> {
    let lacking = use_visitor().person?.lacks(right)?;
    Some(format!("{lacking} {}", lacking.advice()))
}

/// The same in one short sentence, for the place where the button would be.
pub fn lacking(right: Right) -> Option<String> {
    Some(use_visitor().person?.lacks(right)?.to_string())
}

/// Whoever looks at this page. While routes are only listed it is nobody.
pub fn use_visitor() -> Visitor {
    use_context().unwrap_or_default()
}
