//! The one error type that users see: what happened, what to do, and which HTTP status.
//!
//! Which constructor to use: [`Problem::not_found`] for something that does not exist (any more),
//! [`Problem::bad_request`] for invalid input, [`Problem::refused`] for what is not allowed, [`Problem::conflict`] for
//! what is impossible in the present state, [`Problem::unavailable`] for a source that does not answer, and
//! [`Problem::internal`] for the console's own faults, whose details go to the log, under an id that the page shows.

use leptos::prelude::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};
use server_fn::codec::JsonEncoding;

use crate::model::error_text::shortened;

/// What happened and what to do, as sentences for users, and the HTTP status for programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{what} {todo}")]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What happened, as a whole sentence, without secrets.
    pub what: String,
    /// What to do, as a whole sentence; may be empty.
    pub todo: String,
    /// The form field that the problem is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Seconds until the same request can be made again, if known; sent as `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<u64>,
}

/// Returns the seconds of a duration, rounded up.
pub fn whole_seconds(time: std::time::Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Maximum characters of a sentence.
const LONGEST: usize = 2_000;

impl Problem {
    fn new(status: u16, what: impl Into<String>, todo: impl Into<String>) -> Self {
        // Some sentences quote what was sent, which can be a form of a megabyte.
        let bounded = |text: String| if text.len() > LONGEST { shortened(&text, LONGEST) } else { text };
        Self { status, what: bounded(what.into()), todo: bounded(todo.into()), field: None, wait: None }
    }

    /// Returns the problem with the form field that it is about; the form's page shows it there.
    #[must_use]
    pub fn at(self, field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..self }
    }

    /// Returns the problem with the time after which the request can be repeated.
    #[must_use]
    pub fn after(self, wait: std::time::Duration) -> Self {
        Self { wait: Some(whole_seconds(wait)), ..self }
    }

    /// Returns the problem with this form field if it has this status. Other problems, such as a console that cannot do
    /// it now, are shown above the form.
    #[must_use]
    pub fn at_if(self, status: u16, field: &str) -> Self {
        if self.status == status { self.at(field) } else { self }
    }

    /// Something that does not exist, or does not exist any more. 404.
    pub fn not_found(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(404, what, todo)
    }

    /// Invalid input. 400.
    pub fn bad_request(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(400, what, todo)
    }

    /// Something that is not allowed: a missing right, another origin. 403.
    pub fn refused(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(403, what, todo)
    }

    /// Something impossible in the present state, for any user: it was done before, or there is nothing to do. 409.
    pub fn conflict(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(409, what, todo)
    }

    /// An unknown user, or one without valid credentials. 401.
    pub fn not_signed_in(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(401, what, todo)
    }

    /// A password was tried too often; the next attempt can be made after `wait`. 429.
    pub fn too_often(wait: std::time::Duration) -> Self {
        let seconds = whole_seconds(wait);
        Self::new(
            429,
            "This name was tried with a wrong password several times.",
            format!(
                "Wait {seconds} s, then try again. Your account is not locked. If this continues, use a browser that you or a \
                 colleague has signed in from before, or another address."
            ),
        )
        .after(wait)
    }

    /// A name was tried with wrong passwords too often, and now with one of them again. 429.
    pub fn wrong_again() -> Self {
        Self::new(
            429,
            "Wrong user name or password. The same password was tried a moment ago.",
            "Try another password. Your account is not locked.",
        )
    }

    /// The user has reached a limit for one user. 429.
    pub fn too_many(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(429, what, todo)
    }

    /// A request of more than `limit` bytes. 413.
    pub fn too_large(limit: u64) -> Self {
        let limit = if limit < 1 << 20 { format!("{} kB", limit >> 10) } else { format!("{} MB", limit >> 20) };
        Self::new(413, "The request is too large.", format!("Send less at a time: the limit is {limit}."))
    }

    /// A source that does not answer. 503.
    pub fn unavailable(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(503, what, todo)
    }

    /// A fault of the console itself. 500. The details go to the log under an id; the user sees only the id, because
    /// the details can contain anything.
    #[cfg(feature = "ssr")]
    pub fn internal(inside: impl std::fmt::Display) -> Self {
        let id = format!("{:06x}", fastrand::u32(..1 << 24));
        tracing::error!(fault = id, %inside, "the console failed");
        Self::new(
            500,
            format!("The console failed. This error has the id {id}."),
            "Try again. If it fails again, give the id to your administrator. The log of the console has the details.",
        )
    }

    /// A fault of the console's own code in the browser.
    #[cfg(not(feature = "ssr"))]
    pub fn internal(inside: impl std::fmt::Display) -> Self {
        Self::new(500, inside.to_string(), "Reload the page and try again.")
    }
}

impl From<crate::model::filter::BadQuery> for Problem {
    fn from(bad: crate::model::filter::BadQuery) -> Self {
        Problem::bad_request(
            format!("Invalid filter in the link: {bad}."),
            "Correct the link, or open the list without a filter.",
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
            | ServerFnErrorErr::Deserialization(reason) => {
                not_understood(&reason);
                Problem::bad_request("The form was not understood.", "Reload the page and try again.")
            }
            ServerFnErrorErr::Request(_) => {
                Problem::unavailable("The console could not be reached.", "Check the network, then try again.")
            }
            other => Problem::internal(format!("The console could not answer: {other}.")),
        }
    }
}

/// Logs why a form was not understood. The library's message does not help the user who fills in the form.
fn not_understood(reason: &str) {
    #[cfg(feature = "ssr")]
    tracing::warn!(reason = without_quoted(reason), "a form was not understood");
    #[cfg(not(feature = "ssr"))]
    let _ = reason;
}

/// Returns the text without the part from its first to its last quotation mark: that part was sent with the form, and
/// can be a secret.
#[cfg(feature = "ssr")]
fn without_quoted(reason: &str) -> String {
    let whole = match (reason.split_once('"'), reason.rsplit_once('"')) {
        (Some((before, _)), Some((_, after))) => format!("{before}…{after}"),
        _ => reason.to_owned(),
    };
    shortened(&whole, 200)
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_told_with_its_limit() {
        assert_eq!(Problem::too_large(1 << 20).todo, "Send less at a time: the limit is 1 MB.");
        assert_eq!(Problem::too_large(16 << 10).todo, "Send less at a time: the limit is 16 kB.");
    }

    #[test]
    fn a_form_that_is_not_understood_shows_nothing_of_a_library_and_logs_nothing_that_was_sent() {
        let inside = "invalid type: string \"hunter \\\"2\", expected a sequence";
        let problem = Problem::from_server_fn_error(ServerFnErrorErr::Args(inside.into()));
        assert_eq!((problem.status, problem.what.as_str()), (400, "The form was not understood."));
        assert_eq!(without_quoted(inside), "invalid type: string …, expected a sequence");
        assert_eq!(without_quoted("missing field `id`"), "missing field `id`");
    }

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
