//! The one error type a person meets: what happened, what to do, which HTTP status.
//!
//! Which to use where: [`Problem::not_found`] for something that is not there (any more), [`Problem::bad_request`] for
//! input that means nothing, [`Problem::refused`] for what must not be done, [`Problem::conflict`] for what cannot be done
//! as things stand, [`Problem::unavailable`] for a source that does not answer, and [`Problem::internal`] for our own faults, whose details go to the log, under an id that the page shows.

use leptos::prelude::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};
use server_fn::codec::JsonEncoding;

use crate::model::error_text::shortened;

/// A sentence of what happened, one of what to do, and the HTTP status that says the same to a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{what} {todo}")]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What happened, as a whole sentence, without secrets.
    pub what: String,
    /// What to do, as a whole sentence; may be empty.
    pub todo: String,
}

/// Characters of a sentence at the most.
const LONGEST: usize = 2_000;

impl Problem {
    fn new(status: u16, what: impl Into<String>, todo: impl Into<String>) -> Self {
        // What was sent is quoted in some of them, and can be a form of a megabyte.
        let bounded = |text: String| if text.len() > LONGEST { shortened(&text, LONGEST) } else { text };
        Self { status, what: bounded(what.into()), todo: bounded(todo.into()) }
    }

    /// Something that is not there, or not there any more. 404.
    pub fn not_found(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(404, what, todo)
    }

    /// Input that means nothing. 400.
    pub fn bad_request(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(400, what, todo)
    }

    /// Something that must not be done: a missing right, another origin. 403.
    pub fn refused(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(403, what, todo)
    }

    /// Something that cannot be done as things stand, whoever asks: it was done before, or there is nothing to do. 409.
    pub fn conflict(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(409, what, todo)
    }

    /// Somebody whom the console does not know, or who did not prove who they are. 401.
    pub fn not_signed_in(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(401, what, todo)
    }

    /// A password was tried too often; the next attempt can be made after `wait`. 429.
    pub fn too_often(wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs() + 1;
        Self::new(
            429,
            "This name was tried with a wrong password several times.",
            format!(
                "Wait {seconds} s, then enter the same again: whoever comes back is let through. Nobody is locked out."
            ),
        )
    }

    /// A name was tried with a wrong password too often, and now with one of those again. 429.
    pub fn wrong_again() -> Self {
        Self::new(
            429,
            "The name or the password is not right: the same was tried a moment ago.",
            "Try another password. Nobody is locked out.",
        )
    }

    /// Whoever asks has all that one may have at a time. 429.
    pub fn too_many(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(429, what, todo)
    }

    /// A form larger than any of ours. 413.
    pub fn too_large() -> Self {
        Self::new(413, "The request is larger than the console reads.", "Select fewer rows at a time.")
    }

    /// A source that does not answer. 503.
    pub fn unavailable(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(503, what, todo)
    }

    /// A fault of the console itself. 500. What it was goes to the log under an id; a person gets the id alone, because
    /// the inside of a fault can hold anything.
    #[cfg(feature = "ssr")]
    pub fn internal(inside: impl std::fmt::Display) -> Self {
        let id = format!("{:06x}", fastrand::u32(..1 << 24));
        tracing::error!(fault = id, %inside, "the console failed");
        Self::new(
            500,
            format!("The console failed. This fault has the id {id}."),
            "Try again. If it stays, tell your administrator the id: the console's log says more under it.",
        )
    }

    /// A fault of the console's own part in the browser.
    #[cfg(not(feature = "ssr"))]
    pub fn internal(inside: impl std::fmt::Display) -> Self {
        Self::new(500, inside.to_string(), "Reload the page and try again.")
    }
}

impl From<crate::model::filter::BadQuery> for Problem {
    fn from(bad: crate::model::filter::BadQuery) -> Self {
        Problem::bad_request(
            format!("The address of this list has a part that means nothing: {bad}."),
            "Correct it, or start again with the whole list.",
        )
    }
}

impl From<crate::model::access::Lacking> for Problem {
    fn from(lacking: crate::model::access::Lacking) -> Self {
        Problem::refused(lacking.to_string(), lacking.advice())
    }
}

impl FromServerFnError for Problem {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Args(reason)
            | ServerFnErrorErr::MissingArg(reason)
            | ServerFnErrorErr::Deserialization(reason) => Problem::bad_request(
                format!("The request could not be understood: {reason}."),
                "Reload the page and try again.",
            ),
            ServerFnErrorErr::Request(_) => {
                Problem::unavailable("The console could not be reached.", "Check the network, then try again.")
            }
            other => Problem::internal(format!("The console could not answer: {other}.")),
        }
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_quotes_no_more_than_fits_on_a_page() {
        let problem = Problem::bad_request(format!("{:?} means nothing.", "ü".repeat(1 << 20)), "Try again.");
        assert_eq!(problem.what.chars().count(), LONGEST);
        assert_eq!(problem.todo, "Try again.");
    }

    #[test]
    fn a_fault_of_ours_shows_an_id_and_not_its_inside() {
        let problem = Problem::internal("table secret_plans is locked");
        assert_eq!(problem.status, 500);
        assert!(!problem.to_string().contains("secret_plans"), "{problem}");
        let id = problem.what.trim_end_matches('.').rsplit(' ').next().unwrap();
        assert_eq!((id.len(), id.bytes().all(|byte| byte.is_ascii_hexdigit())), (6, true), "{problem}");
        assert_ne!(problem.what, Problem::internal("another").what, "each fault has its own");
    }
}
