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

/// Why a form was not taken; in the context of the page that it stands on.
#[derive(Clone, Debug)]
pub struct FormProblem(pub Problem);

/// Why whoever looks may not do what needs this right, and who can change that; `None`: they may.
pub fn refused(right: Right) -> Option<String> {
    let lacking = use_visitor().person?.lacks(right)?;
    Some(format!("{lacking} {}", lacking.advice()))
}

/// Whoever looks at this page. While routes are only listed it is nobody.
pub fn use_visitor() -> Visitor {
    use_context().unwrap_or_default()
}
