//! Server functions by subject: the browser's only interface to the server, also used by the pages while they are
//! rendered. Each function is thin: it checks rights, validates, calls `server`, and maps errors.

pub mod access;
pub mod audit;
pub mod demo;
pub mod failed_events;
pub mod feeds;
pub mod groups;
pub mod history;
pub mod operations;
pub mod overview;
pub mod records;
pub mod search;
pub mod second_factor;
pub mod service_tokens;

#[cfg(feature = "ssr")]
use crate::{
    error::Problem,
    model::{Person, Right},
    server::{operations::Actor, security::authenticate::Caller, state::Console},
};

/// Returns the user of the request, from its context.
#[cfg(feature = "ssr")]
fn person() -> Result<Person, Problem> {
    leptos::prelude::use_context().ok_or_else(|| Problem::internal("The request has no user in its context."))
}

/// Returns the console restricted to what the user may see; fails without this right.
#[cfg(feature = "ssr")]
fn console_for(right: Right) -> Result<Console, Problem> {
    let person = person()?;
    person.demand(right)?;
    let zone = leptos::prelude::with_context(|reader: &crate::model::Reader| reader.zone).unwrap_or_default();
    Ok(console()?.seen_by(&person).in_zone(zone))
}

/// Returns the reader's time zone and clock; for a program, which has none, UTC and 24 hours.
#[cfg(feature = "ssr")]
fn reader() -> crate::model::Reader {
    leptos::prelude::use_context().unwrap_or_default()
}

/// Returns the unrestricted console, for sign-in and accounts, not for applications.
#[cfg(feature = "ssr")]
fn console() -> Result<Console, Problem> {
    leptos::prelude::use_context().ok_or_else(|| Problem::internal("The request has no console in its context."))
}

/// Returns the console for account management; fails unless the user may manage accounts and the console keeps them.
#[cfg(feature = "ssr")]
fn accounts_console() -> Result<Console, Problem> {
    use crate::server::config::Mode;
    let person = person()?;
    person.demand(Right::Accounts)?;
    // Account managers can give themselves any right, so only users with all applications may manage accounts.
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

/// Returns the console for the management of service tokens, in every mode of signing in.
#[cfg(feature = "ssr")]
fn service_tokens_console() -> Result<Console, Problem> {
    let person = person()?;
    person.demand(Right::Accounts)?;
    // A token can cover every application, so only users who see all of them may manage tokens.
    if person.applications.is_some() {
        return Err(Problem::refused(
            "Only administrators of all applications can manage service tokens.",
            "Ask an administrator of all applications.",
        ));
    }
    console()
}

/// Returns the caller if it has a browser session: a program with a token must not manage sessions or tokens.
#[cfg(feature = "ssr")]
fn in_a_session() -> Result<Caller, Problem> {
    use crate::server::security::{authenticate::Credential, sign_in};
    let caller = caller()?;
    match caller.credential {
        Credential::Session(_) => Ok(caller),
        _ => Err(sign_in::only_in_a_session()),
    }
}

/// Returns the name of the user's account; fails if the console does not keep the account.
#[cfg(feature = "ssr")]
fn own_account_name(caller: &Caller) -> Result<String, Problem> {
    let person = person()?;
    if caller.account.is_none() {
        return Err(Problem::not_found(
            "Your account is not an account of this console.",
            "Change your password in the system of your account. Tokens are only for accounts of the console.",
        ));
    }
    Ok(person.name)
}

/// Refuses changes to the user's own account: no one changes their own rights or locks themselves out.
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

/// Maps the store's refusal of an account change to a problem.
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

/// The problem of a token that does not exist or was revoked.
#[cfg(feature = "ssr")]
fn token_gone() -> Problem {
    Problem::not_found("This token was already revoked.", "See the list.")
}

/// Returns the applications that a form names; `None` if all. A form that says both is refused, because one of its two
/// readings gives more rights than the other.
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

/// Stores a sentence about what a form did, for the caller's next page.
#[cfg(feature = "ssr")]
fn say_done(console: &Console, sentence: String) -> Result<(), Problem> {
    use crate::server::security::sign_in::ShownOnce;
    console.parts.sign_in_service.show_once(&caller()?, ShownOnce::Done(sentence));
    Ok(())
}

/// Takes the stored sentence about what a form did, if there is one for this caller.
#[cfg(feature = "ssr")]
fn done() -> Result<Option<String>, Problem> {
    use crate::server::security::sign_in::ShownOnce;
    // The sentence is for a page that a user opened, not for a program or a page that reloads itself.
    let Ok(caller) = caller() else { return Ok(None) };
    if reads_anew() {
        return Ok(None);
    }
    Ok(console()?.parts.sign_in_service.take_shown(&caller, ShownOnce::done))
}

/// Sets a cookie with this response.
#[cfg(feature = "ssr")]
fn give_cookie(console: &Console, caller: &Caller, kind: crate::server::security::cookies::Kind, value: &str) {
    use crate::server::security::cookies;
    let cookie = cookies::set(kind, value, &console.parts.config.base, caller.client.https);
    append_cookie(cookie);
}

/// Removes a cookie with this response.
#[cfg(feature = "ssr")]
fn take_cookie(console: &Console, caller: &Caller, kind: crate::server::security::cookies::Kind) {
    use crate::server::security::cookies;
    append_cookie(cookies::remove(kind, &console.parts.config.base, caller.client.https));
}

/// Returns the browser's `User-Agent`.
#[cfg(feature = "ssr")]
fn browsers_name() -> String {
    let parts: Option<axum::http::request::Parts> = leptos::prelude::use_context();
    let name = parts.as_ref().and_then(|parts| parts.headers.get("user-agent")).and_then(|value| value.to_str().ok());
    name.unwrap_or_default().to_owned()
}

/// Removes the session's cookie with this response, and the browser's stored pages if the console may clear data for
/// the whole origin.
#[cfg(feature = "ssr")]
fn leave_browser(console: &Console, caller: &Caller) {
    use crate::server::security::{cookies, headers};
    let base = &console.parts.config.base;
    append_cookie(cookies::remove(cookies::Kind::Session, base, caller.client.https));
    if let Some(response) = leptos::prelude::use_context::<leptos_axum::ResponseOptions>()
        && let Some(data) = headers::to_clear(base, caller.client.https)
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

/// Returns the caller of the request, from its context.
#[cfg(feature = "ssr")]
fn caller() -> Result<Caller, Problem> {
    leptos::prelude::use_context().ok_or_else(|| Problem::internal("The request has no caller in its context."))
}

/// Returns when the caller's last visit ended. A page that reloads itself does not count as a visit.
#[cfg(feature = "ssr")]
async fn last_visit(console: &Console) -> Option<chrono::DateTime<chrono::Utc>> {
    crate::server::visits::last(console, &caller().ok()?, reads_anew()).await
}

/// Returns whether this request is the automatic reload of an open page.
#[cfg(feature = "ssr")]
fn reads_anew() -> bool {
    let anew = leptos::prelude::with_context(|parts: &axum::http::request::Parts| {
        parts.uri.query().is_some_and(|query| query.split('&').any(|part| part == "live=1"))
    });
    anew.unwrap_or_default()
}

/// Returns who is recorded for what the request does, and from where.
#[cfg(feature = "ssr")]
fn actor() -> Result<Actor, Problem> {
    leptos::prelude::use_context().ok_or_else(|| Problem::internal("The request has no sender in its context."))
}

/// Returns the demo hospital, if the console runs on it and the user has this right.
#[cfg(feature = "ssr")]
fn hospital(right: Right) -> Result<std::sync::Arc<crate::demo::Hospital>, Problem> {
    console_for(right)?.parts.hospital.clone().ok_or_else(|| {
        Problem::not_found("This console runs with a real hospital.", "Problems can be simulated in the demo only.")
    })
}

/// Redirects the browser to a page of the console after a form was accepted.
#[cfg(feature = "ssr")]
fn go_to(url: &str) {
    use axum::http::{HeaderValue, StatusCode, header};
    let Some(response) = leptos::prelude::use_context::<leptos_axum::ResponseOptions>() else { return };
    if let Ok(location) = HeaderValue::from_str(url) {
        // 303: the browser requests the page with GET, and a reload does not send the form again.
        response.set_status(StatusCode::SEE_OTHER);
        response.insert_header(header::LOCATION, location);
    }
}

/// Redirects the browser back to its page (a path and query below the base), with the number of the requested
/// operation. Anything that is not such a path, or is too long for a header, leads to the operation's own page.
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
    // If there are several places, the last one is of this request.
    let place = pairs(query).filter(|(key, _)| key == "at").last();
    for (key, value) in pairs(query).filter(|(key, _)| key != "done" && key != "at").chain(place) {
        push(&mut kept, &key, &value);
    }
    push(&mut kept, "done", &operation.to_string());
    // A list opens at the row that was acted on.
    let place = if path == "/failed-events" { "#here" } else { "" };
    let back = base.inside(&format!("{path}?{kept}")).map(|back| back + place);
    go_to(&back.unwrap_or_else(|| base.operation(operation)));
}
