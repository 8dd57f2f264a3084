//! Server functions by subject: the browser's only door, and the pages' way to the server. Each is thin: it checks,
//! validates, calls `server`, and maps errors.

pub mod access;
pub mod audit;
pub mod demo;
pub mod failed_events;
pub mod groups;
pub mod history;
pub mod operations;
pub mod overview;
pub mod search;
pub mod second_factor;
pub mod service_tokens;

#[cfg(feature = "ssr")]
use crate::{
    error::Problem,
    model::{Person, Right},
    server::{operations::Actor, security::visit::Visit, state::Console},
};

/// Who asks, from the context of the request.
#[cfg(feature = "ssr")]
fn person() -> Result<Person, Problem> {
    leptos::prelude::use_context().ok_or_else(|| Problem::internal("The request has lost its person."))
}

/// The console as the person who asks may see it, if they have this right.
#[cfg(feature = "ssr")]
fn console_for(right: Right) -> Result<Console, Problem> {
    let person = person()?;
    person.demand(right)?;
    let zone = leptos::prelude::with_context(|reader: &crate::model::Reader| reader.zone).unwrap_or_default();
    Ok(console()?.seen_by(&person).in_zone(zone))
}

/// Returns the time zone and the clock of the person who reads; for a program, which has none, UTC and 24 hours.
#[cfg(feature = "ssr")]
fn reader() -> crate::model::Reader {
    leptos::prelude::use_context().unwrap_or_default()
}

/// The console itself, for what is about coming in and not about applications.
#[cfg(feature = "ssr")]
fn console() -> Result<Console, Problem> {
    leptos::prelude::use_context().ok_or_else(|| Problem::internal("The request has lost its console."))
}

/// The console for somebody who looks after accounts, where it keeps any.
#[cfg(feature = "ssr")]
fn accounts_console() -> Result<Console, Problem> {
    use crate::server::config::Mode;
    let person = person()?;
    person.demand(Right::Accounts)?;
    // Whoever gives out rights can give them to themselves: so nobody does who has not all of them.
    if person.applications.is_some() {
        return Err(Problem::refused(
            "Only administrators of all applications can manage accounts.",
            "Ask an administrator of all applications.",
        ));
    }
    let console = console()?;
    let instead = match console.parts.config.access.way.mode() {
        Mode::Accounts => return Ok(console),
        Mode::Openmrs => "users sign in with their OpenMRS account",
        Mode::Proxy => "a proxy names the users",
        Mode::Open => "there is no sign-in",
    };
    Err(Problem::not_found(
        format!("This console has no accounts: {instead}."),
        "The setting access.mode says how users sign in.",
    ))
}

/// The console for somebody who looks after the tokens of machines, in every way of signing in.
#[cfg(feature = "ssr")]
fn service_tokens_console() -> Result<Console, Problem> {
    let person = person()?;
    person.demand(Right::Accounts)?;
    // A token can tell of every application: so nobody makes one who does not see them all.
    if person.applications.is_some() {
        return Err(Problem::refused(
            "Only administrators of all applications can manage service tokens.",
            "Ask an administrator of all applications.",
        ));
    }
    console()
}

/// The visit of somebody who has signed in with a browser: what is about their session or their tokens is not for a
/// program that holds one.
#[cfg(feature = "ssr")]
fn in_a_session() -> Result<Visit, Problem> {
    use crate::server::security::{sign_in, visit::Proof};
    let visit = visit()?;
    match visit.proof {
        Proof::Session(_) => Ok(visit),
        _ => Err(sign_in::only_in_a_session()),
    }
}

/// The name of the person's account, where the console keeps it.
#[cfg(feature = "ssr")]
fn own_account_name(visit: &Visit) -> Result<String, Problem> {
    let person = person()?;
    if visit.account.is_none() {
        return Err(Problem::not_found(
            "Your account is not an account of this console.",
            "Change your password in the system of your account. Tokens are only for accounts of the console.",
        ));
    }
    Ok(person.name)
}

/// Nobody changes their own rights, and nobody shuts themselves out.
#[cfg(feature = "ssr")]
fn not_ones_own(person: &Person, name: &str) -> Result<(), Problem> {
    if person.name == crate::server::store::folded(name) {
        return Err(Problem::refused(
            "This is your own account.",
            "Another administrator can change it. Change your password on your account page.",
        ));
    }
    Ok(())
}

/// What the store says of a change to an account.
#[cfg(feature = "ssr")]
fn changed(done: Result<(), crate::server::store::Unchanged>, name: &str) -> Result<(), Problem> {
    use crate::server::store::Unchanged;
    done.map_err(|why| match why {
        Unchanged::NoAccount => Problem::not_found(format!("There is no account {name:?}."), "See the list."),
        Unchanged::LastAdministrator => Problem::refused(
            format!("{name} is the last administrator of all applications."),
            "At least one administrator of all applications is needed. Add another one first.",
        ),
    })
}

/// A token that is not there, or not there any more.
#[cfg(feature = "ssr")]
fn token_gone() -> Problem {
    Problem::not_found("This token was already revoked.", "See the list.")
}

/// The applications that a form names; `None`: all. A form that says both gives more rights than one of its two meanings, so
/// it is not taken.
#[cfg(feature = "ssr")]
fn chosen_applications(
    console: &Console,
    all: bool,
    chosen: Vec<String>,
) -> Result<Option<std::collections::BTreeSet<String>>, Problem> {
    let chosen: std::collections::BTreeSet<String> = chosen.into_iter().filter(|key| !key.is_empty()).collect();
    match (all, chosen.is_empty()) {
        (true, true) => return Ok(None),
        (true, false) => {
            let both = Problem::bad_request(
                "All applications and some applications are selected.",
                "Choose all applications, or select some.",
            );
            return Err(both.at("applications"));
        }
        (false, true) => {
            let none = Problem::bad_request("No application is selected.", "Choose all applications, or select some.");
            return Err(none.at("applications"));
        }
        (false, false) => {}
    }
    for key in &chosen {
        console.info(key).map_err(|problem| problem.at("applications"))?;
    }
    Ok(Some(chosen))
}

/// Keeps a sentence for the next page that the visitor sees: what a form did.
#[cfg(feature = "ssr")]
fn say_done(console: &Console, sentence: String) -> Result<(), Problem> {
    use crate::server::security::sign_in::ShownOnce;
    console.parts.doorkeeper.show_once(&visit()?, ShownOnce::Done(sentence));
    Ok(())
}

/// The sentence of what a form did, where one is kept for this visitor.
#[cfg(feature = "ssr")]
fn done() -> Result<Option<String>, Problem> {
    use crate::server::security::sign_in::ShownOnce;
    // A program asks for data; a sentence is for a page, and for one that somebody has opened.
    let Ok(visit) = visit() else { return Ok(None) };
    if reads_anew() {
        return Ok(None);
    }
    Ok(console()?.parts.doorkeeper.take_shown(&visit, ShownOnce::done))
}

/// Gives the browser a cookie with this answer.
#[cfg(feature = "ssr")]
fn give_cookie(console: &Console, visit: &Visit, kind: crate::server::security::cookies::Kind, value: &str) {
    use crate::server::security::cookies;
    let cookie = cookies::set(kind, value, &console.parts.config.base, visit.came.https);
    append_cookie(cookie);
}

/// Takes a cookie from the browser with this answer.
#[cfg(feature = "ssr")]
fn take_cookie(console: &Console, visit: &Visit, kind: crate::server::security::cookies::Kind) {
    use crate::server::security::cookies;
    append_cookie(cookies::remove(kind, &console.parts.config.base, visit.came.https));
}

/// What the browser calls itself.
#[cfg(feature = "ssr")]
fn browsers_name() -> String {
    let parts: Option<axum::http::request::Parts> = leptos::prelude::use_context();
    let name = parts.as_ref().and_then(|parts| parts.headers.get("user-agent")).and_then(|value| value.to_str().ok());
    name.unwrap_or_default().to_owned()
}

/// Takes the session's cookie from the browser with this answer, and what the browser has kept of the pages where the
/// console may speak for the whole origin.
#[cfg(feature = "ssr")]
fn leave_browser(console: &Console, visit: &Visit) {
    use crate::server::security::{cookies, headers};
    let base = &console.parts.config.base;
    append_cookie(cookies::remove(cookies::Kind::Session, base, visit.came.https));
    if let Some(response) = leptos::prelude::use_context::<leptos_axum::ResponseOptions>()
        && let Some(data) = headers::to_clear(base, visit.came.https)
    {
        response.insert_header(headers::CLEAR_SITE_DATA, data);
    }
}

#[cfg(feature = "ssr")]
fn append_cookie(cookie: axum::http::HeaderValue) {
    if let Some(response) = leptos::prelude::use_context::<leptos_axum::ResponseOptions>() {
        response.append_header(axum::http::header::SET_COOKIE, cookie);
    }
}

/// The request as far as coming in is concerned, from its context.
#[cfg(feature = "ssr")]
fn visit() -> Result<Visit, Problem> {
    leptos::prelude::use_context().ok_or_else(|| Problem::internal("The request has lost its visitor."))
}

/// When the last visit of whoever asks ended, where this is one. A page that is read anew by itself is none.
#[cfg(feature = "ssr")]
async fn last_visit(console: &Console) -> Option<chrono::DateTime<chrono::Utc>> {
    crate::server::visits::last(console, &visit().ok()?, reads_anew()).await
}

/// Whether an open page reads itself anew, which nobody asked for.
#[cfg(feature = "ssr")]
fn reads_anew() -> bool {
    let anew = leptos::prelude::with_context(|parts: &axum::http::request::Parts| {
        parts.uri.query().is_some_and(|query| query.split('&').any(|part| part == "live=1"))
    });
    anew.unwrap_or_default()
}

/// Who goes on record for what the request does, and from where.
#[cfg(feature = "ssr")]
fn actor() -> Result<Actor, Problem> {
    leptos::prelude::use_context().ok_or_else(|| Problem::internal("The request has lost its sender."))
}

/// The demo hospital, where the console runs on it, for somebody with this right.
#[cfg(feature = "ssr")]
fn hospital(right: Right) -> Result<std::sync::Arc<crate::demo::Hospital>, Problem> {
    console_for(right)?.parts.hospital.clone().ok_or_else(|| {
        Problem::not_found("This console runs with a real hospital.", "Problems can be simulated in the demo only.")
    })
}

/// Sends the browser on to a page of ours after a form was taken.
#[cfg(feature = "ssr")]
fn go_to(url: &str) {
    use axum::http::{HeaderValue, StatusCode, header};
    let Some(response) = leptos::prelude::use_context::<leptos_axum::ResponseOptions>() else { return };
    if let Ok(location) = HeaderValue::from_str(url) {
        // 303: the browser asks for the page with GET, and a reload does not send the form again.
        response.set_status(StatusCode::SEE_OTHER);
        response.insert_header(header::LOCATION, location);
    }
}

/// Sends the browser back to where it was, a path and query below the base, with the number of the operation it asked
/// for. Anything that is not such a path, or is too long for a header, leads to the operation's own page.
#[cfg(feature = "ssr")]
fn go_back(console: &Console, back: &str, operation: i64) {
    use crate::{
        model::filter::{pairs, push},
        paths::LONGEST_WAY,
    };
    let base = &console.parts.config.base;
    let back = if back.len() > LONGEST_WAY { "" } else { back };
    let (path, query) = back.split_once('?').unwrap_or((back, ""));
    let mut kept = String::new();
    // Of several places the last one is that of this time.
    let place = pairs(query).filter(|(key, _)| key == "at").last();
    for (key, value) in pairs(query).filter(|(key, _)| key != "done" && key != "at").chain(place) {
        push(&mut kept, &key, &value);
    }
    push(&mut kept, "done", &operation.to_string());
    // A list comes back where it was: at the row that was acted on.
    let place = if path == "/failed-events" { "#here" } else { "" };
    let back = base.inside(&format!("{path}?{kept}")).map(|back| back + place);
    go_to(&back.unwrap_or_else(|| base.operation(operation)));
}
