//! Authorization of every route: which callers may use it, and whether a change was requested by one of our own pages.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::{OriginalUri, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;
use url::Url;

use super::{authenticate::Caller, form_token, secrets};
use crate::{
    error::Problem,
    model::{Right, access::ServiceRight, error_text::shortened, filter::pairs},
    paths::{API_PREFIX, Base, Undone},
    server::{
        config::Mode,
        http::{LARGEST_BODY, LOGGED, status_of},
        refused::{RefusedForm, Sender, SentForm},
        routes,
        shares::Holder,
        state::Console,
    },
};

/// Response extension: authorization, or the guard before it, refused the request.
#[derive(Clone, Copy, Debug)]
pub struct RefusedEarly;

/// Bytes of the largest form that an unknown user may send: the sign-in form.
const LARGEST_OF_ANYBODY: u64 = 16 << 10;

/// Bytes of a form that is read at once. A selection of a few hundred rows is smaller.
const SMALL: u64 = 64 << 10;

/// Maximum number of larger forms that are read at a time, in total and per person.
pub const LARGE_FORMS: usize = 8;
const LARGE_OF_ONE: usize = 2;

/// How long a large form waits for its turn.
const LARGE_WAITS: Duration = Duration::from_secs(20);

/// What a route requires of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: the route contains no one's data.
    Nothing,
    /// A signed-in user, even one who must change their password first.
    SignedIn,
    /// A user with this right.
    Right(Right),
    /// A user with this right, or a machine whose token opens the route.
    RightOrToken(Right, ServiceRight),
}

/// The requirement of a route, and the console.
#[derive(Clone, Debug)]
pub struct Authorization {
    pub console: Console,
    pub needs: Needs,
}

/// Passes an authorized request on, or returns why it is refused.
pub async fn authorize(
    State(Authorization { console, needs }): State<Authorization>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return Problem::internal("The request has no caller in its context.").into_response();
    };
    let path = request.extensions().get::<OriginalUri>().map_or_else(|| request.uri().clone(), |uri| uri.0.clone());
    if let Err(problem) = passes(needs, &caller) {
        let (parts, body) = request.into_parts();
        let body = match parts.method == Method::POST && wants_page(&parts.headers) {
            true => to_bytes(body, READ_OF_REFUSED).await.unwrap_or_default(),
            false => Bytes::new(),
        };
        return refuse(&console, needs, &caller, (&parts, &body), path.path(), problem).await;
    }
    if let (Needs::RightOrToken(..), Some(service)) = (needs, &caller.service) {
        // A service counts as a person only on routes that its token opens.
        request.extensions_mut().insert(Caller { person: Some(service.person()), ..caller.clone() });
    }
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let size = request.body().size_hint().upper();
    if needs == Needs::Nothing && size.is_none_or(|size| size > LARGEST_OF_ANYBODY) {
        return Problem::too_large(LARGEST_OF_ANYBODY).into_response();
    }
    // Held until there is a response: the body stays in memory that long.
    let _large = match size {
        Some(..=SMALL) => None,
        _ => match console.parts.large_forms.wait(&Holder::person(&caller), LARGE_OF_ONE, LARGE_WAITS).await {
            Ok(share) => Some(share),
            Err(_) => return many_large_forms().into_response(),
        },
    };
    if !caller.needs_form_token() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return Problem::too_large(LARGEST_BODY as u64).into_response();
    };
    let fits = form_token::carried(&parts.headers, &body).is_some_and(|token| form_token::fits(&token, &caller.secret));
    if fits {
        return next.run(Request::from_parts(parts, Body::from(body))).await;
    }
    let shown = shortened(path.path(), LOGGED);
    tracing::warn!(path = shown, address = %caller.client.address(), "refused: no token of a form");
    refuse(&console, needs, &caller, (&parts, &body), path.path(), no_token()).await
}

fn many_large_forms() -> Problem {
    Problem::unavailable("Too many large forms.", "Try again later, or select fewer rows.")
}

fn passes(needs: Needs, caller: &Caller) -> Result<(), Problem> {
    if needs == Needs::Nothing {
        return Ok(());
    }
    if let Some(service) = &caller.service {
        return match needs {
            Needs::RightOrToken(_, opens) if opens == service.opens => Ok(()),
            _ => Err(service.refused()),
        };
    }
    let Some(person) = &caller.person else {
        return Err(caller.problem.clone().unwrap_or_else(not_signed_in));
    };
    match needs {
        Needs::Right(_) | Needs::RightOrToken(..) if caller.must_change => Err(must_change()),
        Needs::Right(right) | Needs::RightOrToken(right, _) => Ok(person.demand(right)?),
        Needs::Nothing | Needs::SignedIn => Ok(()),
    }
}

fn not_signed_in() -> Problem {
    Problem::not_signed_in("You are not signed in.", "Sign in, then try again.")
}

/// Returns the problem of a user with a one-time password, who must choose another one first.
pub fn must_change() -> Problem {
    Problem::refused("Choose a new password first.", "See your account page.")
}

fn no_token() -> Problem {
    Problem::refused(
        "This form is not from this console, or is from an earlier session. Nothing was changed.",
        "Reload the page and try again. The browser must accept the cookies of this console.",
    )
}

/// Redirects a browser to the page that helps; returns the problem to a program.
async fn refuse(
    console: &Console,
    needs: Needs,
    caller: &Caller,
    (parts, body): (&request::Parts, &Bytes),
    path: &str,
    problem: Problem,
) -> Response {
    let base = &console.parts.config.base;
    let page = wants_page(&parts.headers);
    let signs_in = matches!(console.parts.config.access.way.mode(), Mode::Accounts | Mode::Openmrs);
    if page && caller.must_change && problem.status == 403 && caller.person.is_some() {
        return see_other(&base.account());
    }
    if page && signs_in && problem.status == 401 && !parts.headers.contains_key(header::AUTHORIZATION) {
        let undone = undone(console, caller, parts, path, body, &problem).await;
        let named = || undone.as_ref()?.back.clone().filter(|to| base.inside(to).is_some());
        let back = way_back(parts, base, caller).or_else(named);
        return see_other(&match (back, &undone) {
            (Some(back), Some(undone)) => base.sign_in_after(&back, undone),
            (back, _) => base.sign_in(back.as_deref()),
        });
    }
    let mut response = answer(path, base, &problem);
    if problem.status == 401 {
        challenge(response.headers_mut(), caller, signs_in, matches!(needs, Needs::RightOrToken(..)));
    }
    // What was entered is shown again only if the browser says that a page of ours sent it: the token does not.
    let from_page = parts.headers.contains_key(header::ORIGIN) || parts.headers.contains_key(header::REFERER);
    // A page that the user may not see either would be refused, and recorded, once more.
    let may_see =
        |form: &SentForm| form.told_on.and_then(routes::of).is_none_or(|page| passes(page.needs, caller).is_ok());
    let form = SentForm::of(base, caller, parts, path, body).filter(|form| from_page && may_see(form));
    if let Some(form) = form.and_then(|form| form.refused_early(&problem)) {
        response.extensions_mut().insert(form);
    }
    response.extensions_mut().insert(problem);
    response.extensions_mut().insert(RefusedEarly);
    response
}

/// Bytes of a form that are read of a caller who may not send it: enough for a list with some thousand selected rows.
const READ_OF_REFUSED: usize = 64 * 1024;

/// Returns what a browser's form was for and which rows were selected when its session had ended, so that the form's
/// page can say that nothing was done, and select them again. Keeps what was entered for the last user of the browser.
async fn undone(
    console: &Console,
    caller: &Caller,
    parts: &request::Parts,
    path: &str,
    body: &Bytes,
    problem: &Problem,
) -> Option<Undone> {
    if parts.method != Method::POST {
        return None;
    }
    let sent = SentForm::of(&console.parts.config.base, caller, parts, path, body);
    let form = String::from_utf8_lossy(body);
    let rows = pairs(&form).filter(|(key, _)| matches!(key.as_str(), "rows[]" | "only"));
    // Without the retries, which may have changed by then.
    let chosen = rows.filter_map(|(_, row)| row.rsplit_once(':').map(|(event, _)| event.to_owned())).collect();
    let what = match path.rsplit('/').next() {
        Some("retry") => "retry",
        Some("plan_operation") => "plan",
        Some("start_operation") => "start",
        _ => "form",
    };
    // It is shown after the user has signed in again.
    let refused = sent.and_then(|sent| sent.refused_early(problem));
    let refused = refused.map(|form| RefusedForm { status: StatusCode::OK, ..form });
    let back = refused.as_ref().map(|form| form.page.clone());
    let mut kept = None;
    if let (Some(form), (mark, false)) = (refused, &caller.browser) {
        let people = console.parts.store.people_of_browser(&secrets::hash(mark)).await.unwrap_or_default();
        let last = people.into_iter().next().map(Sender::Person);
        kept = last.and_then(|last| console.parts.refused.keep_only(last, form));
    }
    Some(Undone { what, chosen, back, kept })
}

/// Returns a problem in the format of the API that the path belongs to.
fn answer(path: &str, base: &Base, problem: &Problem) -> Response {
    let status = status_of(problem);
    let below = path.strip_prefix(base.as_str()).unwrap_or(path);
    if below == "/apps" || below.starts_with("/apps/") {
        (status, axum::Json(json!({ "error": problem.what, "advice": problem.todo }))).into_response()
    } else if below.starts_with(API_PREFIX) {
        (status, axum::Json(problem)).into_response()
    } else {
        (status, format!("{problem}\n")).into_response()
    }
}

/// Tells a program how to authenticate. Never offers Basic to a browser: it would ask for a password in its own window,
/// and then send it with everything that other sites' pages make it send.
fn challenge(headers: &mut HeaderMap, caller: &Caller, signs_in: bool, takes_service_tokens: bool) {
    if signs_in || takes_service_tokens {
        let bearer = HeaderValue::from_static("Bearer realm=\"Atomfeed Console\"");
        headers.append(header::WWW_AUTHENTICATE, bearer);
    }
    if signs_in && !caller.from_browser {
        let basic = HeaderValue::from_static("Basic realm=\"Atomfeed Console\", charset=\"UTF-8\"");
        headers.append(header::WWW_AUTHENTICATE, basic);
    }
}

/// Redirects a browser, which requests the address with GET.
pub fn see_other(to: &str) -> Response {
    let location = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// Returns the page to go back to, below the base: the requested one, or the one that contains the form.
pub fn way_back(parts: &request::Parts, base: &Base, caller: &Caller) -> Option<String> {
    let below = |path: &str, query: Option<&str>| {
        let path = path.strip_prefix(base.as_str())?;
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let to = format!("{}{query}", if path.is_empty() { "/" } else { path });
        base.inside(&to).map(|_| to)
    };
    if parts.method == Method::GET {
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |uri| &uri.0);
        return below(uri.path(), uri.query());
    }
    let referer = Url::parse(parts.headers.get(header::REFERER)?.to_str().ok()?).ok()?;
    let host = match referer.port() {
        Some(port) => format!("{}:{port}", referer.host_str()?),
        None => referer.host_str()?.to_owned(),
    };
    (host == caller.client.host).then(|| below(referer.path(), referer.query())).flatten()
}

/// Returns whether a page is requested, by a browser and not by its script.
pub fn wants_page(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}
