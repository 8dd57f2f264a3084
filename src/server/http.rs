//! Builds the router; tests use the same one.
//!
//! The layers from outside in: the log line, security headers, authentication, pages for problems, the guard against
//! other sites' pages, limits on size and time, compression; then the table of `routes.rs`, each route with its
//! authorization, all below the base path.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{FromRequestParts, OriginalUri, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, any, get},
};
use leptos::{nonce::Nonce, prelude::*};
use leptos_axum::AxumRouteListing;
use tower_http::{
    CompressionLevel, catch_panic::CatchPanicLayer, compression::CompressionLayer, limit::RequestBodyLimitLayer,
    timeout::TimeoutLayer,
};
use tracing::Instrument;

use super::{
    config::Mode,
    downloads, health,
    operations::Actor,
    refused::{RefusedForm, Sender, SentForm},
    routes::{self, Answers, ROUTES},
    security::{
        authenticate::{self, Caller, Credential, reads_anew},
        authorize::{self, Authorization, Needs, RefusedEarly, see_other, wants_page},
        client, cookies, form_token, headers, origin, report,
    },
    state::Console,
};
use crate::{
    demo::Hospital,
    error::Problem,
    model::{Person, Reader, Right, Zone, access::KnownBy, error_text::shortened},
    paths::{Base, LONGEST_WAY, stays},
    ui::{
        app::{App, HospitalName, InDemoHospital, PageProblem, ReadOnlyConsole, shell},
        visitor::{FormProblem, SignsIn, Visitor},
    },
};

/// Maximum bytes of a form: a selection of a thousand rows is a tenth of this.
pub const LARGEST_BODY: usize = 1 << 20;

/// Maximum characters of a path, or of other input, that a log line and a response quote.
pub const LOGGED: usize = 200;

/// Maximum time until a response begins. Sources have shorter limits of their own.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

/// Returns the router of the whole console.
pub fn router(console: Console) -> Router {
    let base = console.parts.config.base.as_str().to_owned();
    // The demo hospital's systems are separate servers that only share the port: the console's rules do not apply to
    // them.
    let hospital = console.parts.hospital.as_ref().map(Hospital::routes);
    let inner = inside(&console);
    let outer = if base.is_empty() {
        inner
    } else {
        let home = console.parts.config.base.home();
        Router::new()
            .nest(&base, inner)
            .route("/", get(move || async move { Redirect::temporary(&home) }))
            // For a container's health check, which should not need to know the base path.
            .route("/health", get(health::health))
            .route("/ready", get(health::ready))
            .fallback(no_page)
    };
    outer
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LONGEST_ANSWER))
        // Limits the body itself, because server functions read it without axum's extractors.
        .layer(RequestBodyLimitLayer::new(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(console.clone(), guard))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(console.clone(), show_problems))
        .layer(middleware::from_fn_with_state(console.clone(), authenticate::authenticate))
        .layer(middleware::from_fn(headers::set_safe_headers))
        .layer(middleware::from_fn(log))
        .with_state(console)
        .merge(hospital.unwrap_or_default())
}

/// Returns everything below the base path: each route of the table, with its authorization.
fn inside(console: &Console) -> Router<Console> {
    warn_of_routes_without_authorization();
    let behind = |needs: Needs, handler: MethodRouter<Console>| {
        handler.layer(middleware::from_fn_with_state(
            Authorization { console: console.clone(), needs },
            authorize::authorize,
        ))
    };
    let mut router =
        Router::<Console>::new().fallback_service(behind(Needs::Nothing, any(no_page)).with_state(console.clone()));
    for route in ROUTES {
        let mut handler = route.handler();
        if let Answers::Download(_) = route.answers {
            handler = handler.layer(middleware::from_fn_with_state(console.clone(), downloads::in_turn));
        }
        router = router.route(route.path, behind(route.needs, handler));
    }
    router
}

/// Returns pages and server functions that exist in the program but not in the table: they are not reachable.
pub fn without_authorization() -> Vec<String> {
    let functions = server_fn::axum::server_fn_paths().map(|(path, _)| path.to_owned());
    pages().iter().cloned().chain(functions).filter(|path| routes::of(path).is_none()).collect()
}

/// Returns the paths of the pages of `ui/app.rs`. Listed once per process: Leptos renders the layout to find them, and
/// meanwhile no resource of the whole process loads. The pages have none (see `loaded`); but a new list for every
/// router would be wasted work.
fn pages() -> &'static [String] {
    static PAGES: OnceLock<Vec<String>> = OnceLock::new();
    PAGES.get_or_init(|| {
        let listed = leptos_axum::generate_route_list(App);
        let path = |page: &AxumRouteListing| if page.path().is_empty() { "/" } else { page.path() }.to_owned();
        listed.iter().map(path).collect()
    })
}

fn warn_of_routes_without_authorization() {
    for path in without_authorization() {
        tracing::error!(path, "is not in the table of routes, and is not reachable");
    }
}

/// What a page shows besides its content, or in its place.
#[derive(Clone, Debug)]
enum Shown {
    Refused(Arc<RefusedForm>),
    Problem(Problem),
}

/// Renders a page with its own nonce. Without a script, a browser sends the empty fields of a filter form: such an
/// address is redirected to the one without them.
pub async fn page(State(console): State<Console>, OriginalUri(uri): OriginalUri, request: Request) -> Response {
    if let Some(to) = without_empty_fields(&uri) {
        return see_other(&to);
    }
    let caller = request.extensions().get::<Caller>();
    let refused = caller.and_then(|caller| {
        let name = caller.person.as_ref().map(|person| person.name.as_str());
        console.parts.refused.of_page(&caller.secret, name, uri.query())
    });
    let mut response = render(console, request, refused.clone().map(Shown::Refused)).await;
    if let Some(form) = refused.filter(|_| response.status() == StatusCode::OK && !reads_anew(&uri)) {
        *response.status_mut() = form.status;
        set_wait(&mut response, form.problem.wait);
    }
    response
}

/// Returns an address without the parameters of its query string that have no value. `None` if all have one, or the
/// address does not fit into a header.
fn without_empty_fields(uri: &Uri) -> Option<String> {
    let query = uri.query()?;
    let has_value = |part: &&str| !part.is_empty() && part.split_once('=').is_none_or(|(_, value)| !value.is_empty());
    let kept: Vec<&str> = query.split('&').filter(has_value).collect();
    let (path, kept) = (uri.path(), kept.join("&"));
    let to = if kept.is_empty() { path.to_owned() } else { format!("{path}?{kept}") };
    (kept.len() < query.len() && to.len() <= LONGEST_WAY && stays(path)).then_some(to)
}

async fn render(console: Console, request: Request, shown: Option<Shown>) -> Response {
    let nonce = Nonce::new();
    let policy = headers::page_policy(&nonce);
    let options = console.options.clone();
    let base = console.parts.config.base.clone();
    let caller = request.extensions().get::<Caller>().cloned();
    let reader = reader_of(&console, caller.as_ref(), request.headers()).await;
    let context = move || {
        // After Leptos' own nonce, which it creates earlier and which the header would not contain.
        provide_context(nonce.clone());
        provide(&console, caller.as_ref());
        provide_context(reader.clone());
        if let Some(name) = console.parts.config.hospital.clone() {
            provide_context(HospitalName(name));
        }
        if console.parts.config.read_only {
            provide_context(ReadOnlyConsole);
        }
        if let Some(hospital) = &console.parts.hospital {
            provide_context(InDemoHospital { pace: hospital.pace() });
        }
        match shown.clone() {
            Some(Shown::Refused(form)) => {
                let RefusedForm { problem, function, typed, above, .. } = (*form).clone();
                provide_context(FormProblem { problem, function, typed, told_above: above });
            }
            Some(Shown::Problem(problem)) => provide_context(PageProblem(problem)),
            None => {}
        }
    };
    let document = move || shell(options.clone(), base.clone());
    let rendered = leptos_axum::render_app_async_with_context(context, document);
    let mut response = to_its_end(async move { rendered(request).await }).await;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// Runs work in a separate task, which continues if the client disconnects: what it began in a database would continue
/// there, and Leptos removes the request's context from code that still uses it.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work.in_current_span()).await {
        Ok(done) => done,
        // Passes the panic on to the layer that answers and logs it.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The process is ending, and no request is answered any more.
        Err(_) => std::future::pending().await,
    }
}

/// Returns how the user wants pages. If users are not known by name, their browser keeps the preferences.
async fn reader_of(console: &Console, caller: Option<&Caller>, headers: &HeaderMap) -> Reader {
    let person = caller.and_then(|caller| caller.person.as_ref());
    let preferences = match person {
        Some(person) if person.known_by != KnownBy::Open => {
            // If the store cannot be read, the page is shown without preferences.
            let kept = console.parts.store.preferences(person.known_by.word(), &person.name).await;
            kept.ok().flatten().unwrap_or_default()
        }
        _ => cookies::preferences(headers),
    };
    let own = preferences.zone.as_deref().and_then(Zone::named).or_else(|| cookies::zone(headers));
    Reader { preferences, zone_known: own.is_some(), zone: own.unwrap_or_else(|| configured_zone(console)) }
}

/// Returns the hospital's zone: the only one except UTC that the applications' settings name. Otherwise the default.
fn configured_zone(console: &Console) -> Zone {
    let named = console.parts.config.applications.iter().map(|app| app.time_zone);
    let named: BTreeSet<_> = named.filter(|zone| *zone != chrono_tz::UTC).map(|zone| zone.name()).collect();
    match named.first() {
        Some(name) if named.len() == 1 => Zone::named(name).unwrap_or_default(),
        _ => Zone::default(),
    }
}

/// Provides the context of pages and server functions.
fn provide(console: &Console, caller: Option<&Caller>) {
    provide_context(console.clone());
    provide_context(console.parts.config.base.clone());
    let Some(caller) = caller else { return };
    let access = &console.parts.config.access;
    let shown = access.demo.as_ref().filter(|demo| demo.shown);
    provide_context(Visitor {
        person: caller.person.clone(),
        form_token: form_token::issue(&caller.secret),
        signs_in: match access.way.mode() {
            Mode::Accounts => SignsIn::WithAccount,
            Mode::Openmrs => SignsIn::WithOpenmrs,
            Mode::Proxy | Mode::Open => SignsIn::Nowhere,
        },
        origin: format!("{}://{}", if caller.client.https { "https" } else { "http" }, caller.client.host),
        session_idle: matches!(caller.credential, Credential::Session(_)).then(|| access.session_idle.as_secs()),
        session_lost: caller.session_lost,
        demo_accounts: shown.map(|demo| demo.accounts.clone()).unwrap_or_default(),
    });
    if let Some(person) = caller.person.clone() {
        provide_context(caller.actor(&person));
        provide_context(person);
    }
    provide_context(caller.clone());
}

/// The page that a form was sent from, a path and query below the base; empty if not known. In the context of the
/// server function that processes the form.
#[derive(Clone, Debug, Default)]
pub struct CameFrom(pub String);

/// Handles a server function. A plain form gets a redirect or a page, never raw JSON: see `show_problems`.
pub async fn server_function(State(console): State<Console>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return Problem::too_large(LARGEST_BODY as u64).into_response();
    };
    let from = match parts.extensions.get::<Caller>() {
        Some(caller) => SentForm::of(&console.parts.config.base, caller, &parts, parts.uri.path(), &body),
        None => None,
    };
    // Leptos would redirect a form whose function failed to its page, with the error in the query string, where anyone
    // could write one. With this header, it returns the error itself.
    parts.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let caller = parts.extensions.get::<Caller>().cloned();
    let reader = reader_of(&console, caller.as_ref(), &parts.headers).await;
    let sent_from = CameFrom(from.as_ref().and_then(|from| from.page.clone()).unwrap_or_default());
    let context = move || {
        provide(&console, caller.as_ref());
        provide_context(reader.clone());
        provide_context(sent_from.clone());
    };
    let request = Request::from_parts(parts, Body::from(body));
    let answered = leptos_axum::handle_server_fns_with_context(context, request);
    let response = to_its_end(async move { answered.await.into_response() }).await;
    if response.status().is_success() || response.status().is_redirection() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    if let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) {
        parts.status = status_of(&problem);
        if let Some(form) = from.and_then(|from| from.refused(&problem)) {
            parts.extensions.insert(form);
        }
        parts.extensions.insert(problem);
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(bytes))
}

/// Redirects to the overview.
pub async fn home(State(console): State<Console>) -> Redirect {
    Redirect::to(&console.parts.config.base.overview())
}

/// Answers an unknown address. One with trailing slashes is redirected to the address without them.
async fn no_page(State(console): State<Console>, OriginalUri(uri): OriginalUri, method: Method) -> Response {
    let path = uri.path();
    let trimmed = path.trim_end_matches('/');
    // Only below the base, and never by steps or slashes that lead out of it or, as `//host`, to another site.
    let ours = path.starts_with(console.parts.config.base.as_str()) && stays(trimmed);
    if method == Method::GET && trimmed != path && !trimmed.is_empty() && ours {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let without = format!("{trimmed}{query}");
        if without.len() <= LONGEST_WAY {
            return Redirect::permanent(&without).into_response();
        }
    }
    nothing_at(&console.parts.config.base, &shortened(path, LOGGED)).into_response()
}

fn nothing_at(base: &Base, path: &str) -> Problem {
    let (home, prefix) = (base.overview(), base.as_str());
    let below = path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if below {
        return Problem::not_found(format!("There is no page {path}."), format!("Go to the overview: {home}."));
    }
    // One of the console's own addresses, if a proxy removed the base path from it.
    Problem::not_found(
        format!("There is no page {path}: all pages of this console are below {prefix}."),
        format!(
            "If you opened {prefix}{path}, a proxy removed {prefix} from the address. The proxy must pass addresses on unchanged \
             (docs/access.md, Proxies). Otherwise go to the overview: {home}."
        ),
    )
}

pub fn status_of(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Answers a request whose handler panicked. The panic hook has logged the place.
fn panicked(said: Box<dyn std::any::Any + Send>) -> Response {
    let said = said.downcast_ref::<String>().map(String::as_str).or_else(|| said.downcast_ref::<&str>().copied());
    Problem::internal(format_args!("a request panicked: {}", said.unwrap_or("it did not say why"))).into_response()
}

/// Text, for programs; `show_problems` makes a page of it for browsers.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (status_of(&self), format!("{self}\n")).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Answers a browser's request that ended in a [`Problem`] with a page that shows it: a redirect to the page of the form
/// if it was one, otherwise a page with nothing else.
async fn show_problems(State(console): State<Console>, request: Request, next: Next) -> Response {
    let wants_page = wants_page(request.headers());
    let caller = request.extensions().get::<Caller>().cloned();
    let asked = format!("{} {}", request.method(), shortened(request.uri().path(), LOGGED));
    let cookies: Vec<_> = request.headers().get_all(header::COOKIE).iter().cloned().collect();
    let with_password = request.headers().contains_key(header::AUTHORIZATION);
    let response = next.run(request).await;
    let problem = problem_of(&response);
    if let (Some(problem), Some(caller)) = (&problem, &caller)
        && is_recorded(problem, caller, response.extensions().get::<RefusedEarly>().is_some(), with_password)
    {
        // The request is refused even if this cannot be recorded.
        let _ = report::refused(&console, caller, &asked, problem).await;
    }
    let wait = problem.as_ref().and_then(|problem| problem.wait);
    let mut response = match problem {
        Some(problem) if wants_page => {
            let form = response.extensions().get::<RefusedForm>().cloned();
            let sender = caller.as_ref().and_then(Sender::of);
            let kept = form
                .clone()
                .zip(sender)
                .and_then(|(form, sender)| console.parts.refused.keep(&console.parts.config.base, sender, form));
            let status = status_of(&problem);
            // No route has this address: its page shows the problem instead.
            let path = form.as_ref().map_or("/problem/page", |form| form.page.as_str());
            let mut request = Request::builder().uri(path).body(Body::empty()).unwrap_or_default();
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            // Cookies hold the user's preferences.
            for cookie in cookies {
                request.headers_mut().append(header::COOKIE, cookie);
            }
            match kept {
                Some(to) => see_other(&to),
                // The browser keeps no cookies, or the form is too large: the page is at the form's address.
                None => {
                    let shown = form.map_or(Shown::Problem(problem), |form| Shown::Refused(Arc::new(form)));
                    let mut response = render(console, request, Some(shown)).await;
                    *response.status_mut() = status;
                    response
                }
            }
        }
        _ => response,
    };
    set_wait(&mut response, wait);
    response
}

/// Says in how many seconds a refused request can be sent again, if that is known.
fn set_wait(response: &mut Response, seconds: Option<u64>) {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
}

/// Returns whether a refusal is recorded here: of a known user, of a user whom a proxy knows and who has no role, and
/// of a token. A wrong name or password is recorded where it is verified, and an impossible change of a row is not a
/// matter of access.
fn is_recorded(problem: &Problem, caller: &Caller, refused_early: bool, with_password: bool) -> bool {
    let by_the_proxy = || !with_password && caller.problem.as_ref() == Some(problem);
    // Some server functions need more than the authorization of their route.
    let lacks_a_right = |person: &Person| {
        let lacking = Right::ALL.into_iter().filter_map(|right| person.lacks(right));
        lacking.map(Problem::from).any(|lacking| lacking == *problem)
    };
    match problem.status {
        403 if refused_early => caller.person.is_some() || caller.is_token || by_the_proxy(),
        403 => caller.person.as_ref().is_some_and(lacks_a_right),
        401 => caller.is_token,
        _ => false,
    }
}

/// Returns the problem of a response, also if a layer of the router reports it only by the status.
fn problem_of(response: &Response) -> Option<Problem> {
    let said = response.extensions().get::<Problem>().cloned();
    said.or_else(|| match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Some(Problem::too_large(LARGEST_BODY as u64)),
        StatusCode::GATEWAY_TIMEOUT => Some(Problem::unavailable(
            format!("Stopped after {} s.", LONGEST_ANSWER.as_secs()),
            "Narrow the filter, or choose one application.",
        )),
        _ => None,
    })
}

/// Refuses requests from another site's page, for a host name that is not the console's, or with a backslash in the
/// path.
async fn guard(State(console): State<Console>, request: Request, next: Next) -> Response {
    let config = &console.parts.config;
    if request.uri().path().contains('\\') {
        // Browsers read it as a slash: a path that begins with a slash and a backslash leads to another host.
        return Problem::bad_request("The address has a backslash in its path.", "Correct the address.")
            .into_response();
    }
    let caller = request.extensions().get::<Caller>();
    let (host, asked) =
        caller.map(|caller| (caller.client.host.as_str(), caller.client.asked.as_str())).unwrap_or_default();
    // If the request itself names the user, or there is no sign-in, a page of a rebound host name could do everything;
    // and it can add any header to requests to its own name, also those of a proxy.
    let believed = matches!(config.access.way.mode(), Mode::Open | Mode::Proxy);
    let checked = origin::check(request.method(), request.headers(), host, config.network.public_origin.as_ref())
        .and_then(|()| client::check_host(&config.network, believed, host))
        .and_then(|()| if believed { client::check_host(&config.network, believed, asked) } else { Ok(()) });
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            let (path, what) = (shortened(request.uri().path(), LOGGED), shortened(&problem.what, LOGGED));
            tracing::warn!(path, what, "refused");
            let mut response = problem.into_response();
            response.extensions_mut().insert(RefusedEarly);
            response
        }
    }
}

/// Logs one line per request, at a level that keeps the log short on a busy day.
async fn log(request: Request, next: Next) -> Response {
    let begun = std::time::Instant::now();
    let method = request.method().clone();
    let path = shortened(request.uri().path(), LOGGED);
    let response = next.run(request).await;
    let (status, ms) = (response.status().as_u16(), begun.elapsed().as_secs_f64() * 1000.0);
    if response.status().is_server_error() && status != 503 {
        tracing::error!(%method, path, status, ms, "request");
    } else {
        tracing::debug!(%method, path, status, ms, "request");
    }
    response
}

/// The user to record for a request, with the address.
impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        let caller = caller_of(parts)?;
        let person =
            caller.person.as_ref().ok_or_else(|| Problem::internal("The request has no user in its context."))?;
        Ok(caller.actor(person))
    }
}

/// The console as the user may see it; for handlers that are not server functions.
#[derive(Clone, Debug)]
pub struct Seen(pub Console);

impl FromRequestParts<Console> for Seen {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, console: &Console) -> Result<Self, Problem> {
        let caller = caller_of(parts)?;
        let person =
            caller.person.as_ref().ok_or_else(|| Problem::internal("The request has no user in its context."))?;
        Ok(Self(console.seen_by(person)))
    }
}

/// The same, where times of a request are in the user's zone.
#[derive(Clone, Debug)]
pub struct SeenInZone(pub Console);

impl FromRequestParts<Console> for SeenInZone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, console: &Console) -> Result<Self, Problem> {
        let Seen(seen) = Seen::from_request_parts(parts, console).await?;
        let reader = reader_of(console, parts.extensions.get(), &parts.headers).await;
        Ok(Self(seen.in_zone(reader.zone)))
    }
}

fn caller_of(parts: &request::Parts) -> Result<&Caller, Problem> {
    parts.extensions.get().ok_or_else(|| Problem::internal("The request has no caller in its context."))
}
