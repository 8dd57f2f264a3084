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
    /// The field of the form that it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Seconds after which the same can be asked for again, where that is known: the answer's `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<u64>,
}

/// Seconds after which this time is over, for certain.
pub fn whole_seconds(time: std::time::Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Characters of a sentence at the most.
const LONGEST: usize = 2_000;

impl Problem {
    fn new(status: u16, what: impl Into<String>, todo: impl Into<String>) -> Self {
        // What was sent is quoted in some of them, and can be a form of a megabyte.
        let bounded = |text: String| if text.len() > LONGEST { shortened(&text, LONGEST) } else { text };
        Self { status, what: bounded(what.into()), todo: bounded(todo.into()), field: None, wait: None }
    }

    /// The same, about this field of a form: the page that the form stands on says it there.
    #[must_use]
    pub fn at(self, field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..self }
    }

    /// The same, with the time after which it can be asked for again.
    #[must_use]
    pub fn after(self, wait: std::time::Duration) -> Self {
        Self { wait: Some(whole_seconds(wait)), ..self }
    }

    /// The same about this field, if the field is what the status is about; a console that cannot do it now says so above.
    #[must_use]
    pub fn at_if(self, status: u16, field: &str) -> Self {
        if self.status == status { self.at(field) } else { self }
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

    /// A name was tried with a wrong password too often, and now with one of those again. 429.
    pub fn wrong_again() -> Self {
        Self::new(
            429,
            "Wrong user name or password. The same password was tried a moment ago.",
            "Try another password. Your account is not locked.",
        )
    }

    /// Whoever asks has all that one may have at a time. 429.
    pub fn too_many(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(429, what, todo)
    }

    /// Something sent that is larger than what is taken, which is so many bytes. 413.
    pub fn too_large(limit: u64) -> Self {
        let limit = if limit < 1 << 20 { format!("{} kB", limit >> 10) } else { format!("{} MB", limit >> 20) };
        Self::new(413, "The request is too large.", format!("Send less at a time: the limit is {limit}."))
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
            format!("The console failed. This error has the id {id}."),
            "Try again. If it fails again, give the id to your administrator. The log of the console has the details.",
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

/// Logs why a form was not understood. What the library says of it does not help a person who fills in a form.
fn not_understood(reason: &str) {
    #[cfg(feature = "ssr")]
    tracing::warn!(reason = without_quoted(reason), "a form was not understood");
    #[cfg(not(feature = "ssr"))]
    let _ = reason;
}

/// Returns the text without the part from its first to its last quotation mark: that part was sent with the form, and can be a
/// secret.
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
