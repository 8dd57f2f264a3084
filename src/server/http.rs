//! The router put together. Tests drive this very router.
//!
//! From outside in: the log line, the safe headers, who it is that asks, the guard against other sites' pages, limits on
//! size and time, compression; then what the table of `routes.rs` has, each behind its door, all below the base path.

use std::{collections::BTreeSet, sync::OnceLock, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{FromRequestParts, OriginalUri, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request},
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
    routes::{self, Answers, ROUTES},
    security::{
        client, cookies,
        door::{self, AtTheDoor, Door, Needs, wants_page},
        form_token, headers, origin, report,
        visit::{self, Proof, Visit},
    },
    state::Console,
};
use crate::{
    demo::Hospital,
    error::Problem,
    model::{Person, Reader, Right, Zone, access::KnownBy, error_text::shortened, filter::pairs},
    paths::{API_PREFIX, Base, FORM_TOKEN, LONGEST_WAY, stays},
    ui::{
        app::{App, InDemoHospital, PageOfForm, PageProblem, ReadOnlyConsole, shell},
        visitor::{FormProblem, SignsIn, Visitor},
    },
};

/// The largest form that is read: a selection of a thousand rows is a tenth of this.
pub const LARGEST_BODY: usize = 1 << 20;

/// Characters of a path, or of what else was sent, that a line of the log and an answer quote.
pub const LOGGED: usize = 200;

/// The longest until an answer begins. Sources have shorter limits of their own.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

/// The whole console as a router.
pub fn router(console: Console) -> Router {
    let base = console.parts.config.base.as_str().to_owned();
    // The demo hospital's systems are other servers, which only share the port: the console's rules are not theirs.
    let hospital = console.parts.hospital.as_ref().map(Hospital::routes);
    let inner = inside(&console);
    let outer = if base.is_empty() {
        inner
    } else {
        let home = console.parts.config.base.home();
        Router::new()
            .nest(&base, inner)
            .route("/", get(move || async move { Redirect::temporary(&home) }))
            // For a container's health check, which should not have to know the base path.
            .route("/health", get(health::health))
            .route("/ready", get(health::ready))
            .fallback(no_page)
    };
    outer
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LONGEST_ANSWER))
        // On the body itself: server functions read it without axum's extractors.
        .layer(RequestBodyLimitLayer::new(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(console.clone(), guard))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(console.clone(), show_problems))
        .layer(middleware::from_fn_with_state(console.clone(), visit::meet))
        .layer(middleware::from_fn(headers::set_safe_headers))
        .layer(middleware::from_fn(log))
        .with_state(console)
        .merge(hospital.unwrap_or_default())
}

/// Everything below the base path: each line of the table, behind its door.
fn inside(console: &Console) -> Router<Console> {
    warn_of_what_has_no_door();
    let behind = |needs: Needs, handler: MethodRouter<Console>| {
        handler.layer(middleware::from_fn_with_state(Door { console: console.clone(), needs }, door::door))
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

/// Pages and server functions that the program has and the table does not: they are not reachable.
pub fn without_a_door() -> Vec<String> {
    let functions = server_fn::axum::server_fn_paths().map(|(path, _)| path.to_owned());
    pages().iter().cloned().chain(functions).filter(|path| routes::of(path).is_none()).collect()
}

/// The paths of the pages of `ui/app.rs`. Listed once a process: Leptos draws the layout to find them, and while it does
/// no resource of the whole process loads. The pages have none (see `loaded`); a list made anew for every router would
/// still be work for nothing.
fn pages() -> &'static [String] {
    static PAGES: OnceLock<Vec<String>> = OnceLock::new();
    PAGES.get_or_init(|| {
        let listed = leptos_axum::generate_route_list(App);
        let path = |page: &AxumRouteListing| if page.path().is_empty() { "/" } else { page.path() }.to_owned();
        listed.iter().map(path).collect()
    })
}

fn warn_of_what_has_no_door() {
    for path in without_a_door() {
        tracing::error!(path, "is not in the table of routes, and is not reachable");
    }
}

/// A page, rendered with a nonce of its own.
pub async fn page(State(console): State<Console>, request: Request) -> Response {
    render(console, request, None).await
}

async fn render(console: Console, request: Request, problem: Option<Problem>) -> Response {
    let nonce = Nonce::new();
    let policy = headers::page_policy(&nonce);
    let status = problem.as_ref().map(status_of);
    let options = console.options.clone();
    let base = console.parts.config.base.clone();
    let visit = request.extensions().get::<Visit>().cloned();
    let reader = reader_of(&console, visit.as_ref(), request.headers()).await;
    let told = request.extensions().get::<ToldOn>().cloned();
    let context = move || {
        // After Leptos' own, which it mints before and which the header would not know.
        provide_context(nonce.clone());
        provide(&console, visit.as_ref());
        provide_context(reader.clone());
        if console.parts.config.read_only {
            provide_context(ReadOnlyConsole);
        }
        if let Some(hospital) = &console.parts.hospital {
            provide_context(InDemoHospital { pace: hospital.pace() });
        }
        match (problem.clone(), told.clone()) {
            (Some(problem), Some(ToldOn { page, above, function, typed })) => {
                provide_context(FormProblem { problem, function, typed, told_above: above });
                provide_context(PageOfForm(page));
            }
            (Some(problem), None) => provide_context(PageProblem(problem)),
            (None, _) => {}
        }
    };
    let document = move || shell(options.clone(), base.clone());
    let rendered = leptos_axum::render_app_async_with_context(context, document);
    let mut response = to_its_end(async move { rendered(request).await }).await;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    if let Some(status) = status {
        *response.status_mut() = status;
    }
    response
}

/// Does work in a task of its own, which goes on where the request goes away: what it began in a database would go on there,
/// and Leptos takes the request's context from what is still at work with it.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work.in_current_span()).await {
        Ok(done) => done,
        // For the layer that answers and logs it.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The process is ending, and nobody is answered any more.
        Err(_) => std::future::pending().await,
    }
}

/// How whoever reads a page wants it. Where nobody is known by name, their browser keeps it.
async fn reader_of(console: &Console, visit: Option<&Visit>, headers: &HeaderMap) -> Reader {
    let person = visit.and_then(|visit| visit.person.as_ref());
    let preferences = match person {
        Some(person) if person.known_by != KnownBy::Open => {
            // A page is shown all the same where the store cannot be read.
            let kept = console.parts.store.preferences(person.known_by.word(), &person.name).await;
            kept.ok().flatten().unwrap_or_default()
        }
        _ => cookies::preferences(headers),
    };
    let own = preferences.zone.as_deref().and_then(Zone::named).or_else(|| cookies::zone(headers));
    Reader { preferences, zone_known: own.is_some(), zone: own.unwrap_or_else(|| configured_zone(console)) }
}

/// The one zone that the applications' settings name, if there is one: the hospital's.
fn configured_zone(console: &Console) -> Zone {
    let named = console.parts.config.applications.iter().map(|app| app.time_zone);
    let named: BTreeSet<_> = named.filter(|zone| *zone != chrono_tz::UTC).map(|zone| zone.name()).collect();
    match named.first() {
        Some(name) if named.len() == 1 => Zone::named(name).unwrap_or_default(),
        _ => Zone::default(),
    }
}

/// What pages and server functions find in their context.
fn provide(console: &Console, visit: Option<&Visit>) {
    provide_context(console.clone());
    provide_context(console.parts.config.base.clone());
    let Some(visit) = visit else { return };
    let access = &console.parts.config.access;
    let shown = access.demo.as_ref().filter(|demo| demo.shown);
    provide_context(Visitor {
        person: visit.person.clone(),
        form_token: form_token::issue(&visit.secret),
        signs_in: match access.way.mode() {
            Mode::Accounts => SignsIn::WithAccount,
            Mode::Openmrs => SignsIn::WithOpenmrs,
            Mode::Proxy | Mode::Open => SignsIn::Nowhere,
        },
        origin: format!("{}://{}", if visit.came.https { "https" } else { "http" }, visit.came.host),
        session_idle: matches!(visit.proof, Proof::Session(_)).then(|| access.session_idle.as_secs()),
        session_lost: visit.session_lost,
        demo_accounts: shown.map(|demo| demo.accounts.clone()).unwrap_or_default(),
    });
    if let Some(person) = visit.person.clone() {
        provide_context(visit.actor(&person));
        provide_context(person);
    }
    provide_context(visit.clone());
}

/// In the answer of a form that was not taken: the page that says why, and what it shows again.
#[derive(Clone, Debug)]
struct ToldOn {
    /// Its path and query below the base.
    page: String,
    /// The page has no place of its own for it: the layout says it above.
    above: bool,
    /// The name of the server function.
    function: String,
    typed: Vec<(String, String)>,
}

/// The page that a form was sent from, a path and query below the base; empty where that is not known. In the context of
/// the server function that takes the form.
#[derive(Clone, Debug, Default)]
pub struct CameFrom(pub String);

/// The page that a form was sent from, and what was sent, read before the form is taken.
#[derive(Debug, Default)]
struct SentFrom {
    page: Option<String>,
    typed: Vec<(String, String)>,
}

/// What is never written into a page: what proves who somebody is. Beside these, whatever is called a password or a code.
const SECRETS: [&str; 4] = ["current", "new", "again", FORM_TOKEN];

impl SentFrom {
    /// Reads a browser's form, and gives the request back with it.
    async fn of(base: &Base, request: Request) -> Result<(Option<Self>, Request), Problem> {
        let is_form = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_form = is_form.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if request.method() != Method::POST || !is_form || !wants_page(request.headers()) {
            return Ok((None, request));
        }
        let visit = request.extensions().get::<Visit>();
        let referer = visit.and_then(|visit| door::way_back(&request, base, visit));
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, LARGEST_BODY).await.map_err(|_| Problem::too_large(LARGEST_BODY as u64))?;
        let text = String::from_utf8_lossy(&body);
        let secret = |key: &str| SECRETS.contains(&key) || key.contains("password") || key.contains("code");
        let typed: Vec<(String, String)> = pairs(&text).filter(|(key, _)| !secret(key)).collect();
        let back = typed.iter().find(|(key, _)| key == "back").map(|(_, back)| back.clone());
        let page = [back, referer].into_iter().flatten().find(|page| base.inside(page).is_some() && is_page(page));
        Ok((Some(Self { page, typed }), Request::from_parts(parts, Body::from(body))))
    }

    /// The page of its own that the table of routes names for the function. It can name a field of the form between two
    /// slashes, in braces; `None`: the form does not say it.
    fn own_page(&self, told_on: &str) -> Option<String> {
        let value = |name: &str| self.typed.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let plain = |value: &String| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let parts =
            told_on.split('/').map(|part| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) => value(name).filter(plain),
                None => Some(part.to_owned()),
            });
        Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
    }
}

/// Whether a path and query below the base may be a page: what is sent to is none.
fn is_page(page: &str) -> bool {
    !page.starts_with(API_PREFIX)
}

/// Whether the page that a form was sent from says why it was not taken: not where that page could not be shown either.
fn is_told_there(problem: &Problem) -> bool {
    matches!(problem.status, 400 | 403..=499 | 503)
}

/// A server function. A plain form gets a redirect or a page, never raw JSON: see `show_problems`.
pub async fn server_function(State(console): State<Console>, request: Request) -> Response {
    let told_on = routes::of(request.uri().path()).and_then(|route| route.told_on);
    let (from, request) = match SentFrom::of(&console.parts.config.base, request).await {
        Ok(read) => read,
        Err(problem) => return problem.into_response(),
    };
    let (mut parts, body) = request.into_parts();
    // Leptos would send a form whose function failed back to its page, with the error in the query string, where anyone
    // could write one. Asked as a program, it answers the error itself.
    parts.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let visit = parts.extensions.get::<Visit>().cloned();
    let reader = reader_of(&console, visit.as_ref(), &parts.headers).await;
    let path = parts.uri.path().to_owned();
    let sent_from = CameFrom(from.as_ref().and_then(|from| from.page.clone()).unwrap_or_default());
    let context = move || {
        provide(&console, visit.as_ref());
        provide_context(reader.clone());
        provide_context(sent_from.clone());
    };
    let request = Request::from_parts(parts, body);
    let answered = leptos_axum::handle_server_fns_with_context(context, request);
    let response = to_its_end(async move { answered.await.into_response() }).await;
    if response.status().is_success() || response.status().is_redirection() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    if let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) {
        parts.status = status_of(&problem);
        let from = from.unwrap_or_default();
        let own = told_on.and_then(|page| from.own_page(page));
        let above = own.is_none();
        let there = from.page.filter(|_| is_told_there(&problem));
        if let Some(page) = own.or(there) {
            let function = path.rsplit('/').next().unwrap_or_default().to_owned();
            let told_on = ToldOn { page, above, function, typed: from.typed };
            parts.extensions.insert(told_on);
        }
        parts.extensions.insert(problem);
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(bytes))
}

/// Leads to the overview.
pub async fn home(State(console): State<Console>) -> Redirect {
    Redirect::to(&console.parts.config.base.overview())
}

/// An address that is nothing. One with a slash too many at its end is sent to the one without.
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
    // What a proxy leaves of the console's own addresses when it takes the base path away.
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

/// The answer to a request whose handler panicked. The panic's hook has logged where.
fn panicked(said: Box<dyn std::any::Any + Send>) -> Response {
    let said = said.downcast_ref::<String>().map(String::as_str).or_else(|| said.downcast_ref::<&str>().copied());
    Problem::internal(format_args!("a request panicked: {}", said.unwrap_or("it did not say why"))).into_response()
}

/// As text, for programs; `show_problems` makes a page of it for browsers.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (status_of(&self), format!("{self}\n")).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Answers a browser's request that ended in a [`Problem`] with a page that says so: the page of the form, where that
/// shows it in its place, otherwise one that has nothing else.
async fn show_problems(State(console): State<Console>, request: Request, next: Next) -> Response {
    let wants_page = wants_page(request.headers());
    let visit = request.extensions().get::<Visit>().cloned();
    let asked = format!("{} {}", request.method(), shortened(request.uri().path(), LOGGED));
    let cookies: Vec<_> = request.headers().get_all(header::COOKIE).iter().cloned().collect();
    let with_password = request.headers().contains_key(header::AUTHORIZATION);
    let response = next.run(request).await;
    let problem = problem_of(&response);
    if let (Some(problem), Some(visit)) = (&problem, &visit)
        && is_recorded(problem, visit, response.extensions().get::<AtTheDoor>().is_some(), with_password)
    {
        // They are refused whether it could be written or not.
        let _ = report::refused(&console, visit, &asked, problem).await;
    }
    let wait = problem.as_ref().and_then(|problem| problem.wait);
    let mut response = match problem {
        Some(problem) if wants_page => {
            let told_on = response.extensions().get::<ToldOn>().cloned();
            // An address that no route has: the page shows the problem in its place.
            let path = told_on.as_ref().map_or("/problem/page", |told_on| told_on.page.as_str());
            let mut request = Request::builder().uri(path).body(Body::empty()).unwrap_or_default();
            if let Some(told_on) = told_on {
                request.extensions_mut().insert(told_on);
            }
            if let Some(visit) = visit {
                request.extensions_mut().insert(visit);
            }
            // How the reader wants pages.
            for cookie in cookies {
                request.headers_mut().append(header::COOKIE, cookie);
            }
            render(console, request, Some(problem)).await
        }
        _ => response,
    };
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Whether a refusal goes on record here: of a person whom the console knows, of one whom a proxy knows and who has no role,
/// and of a token. A wrong name or password is on record where it is proved, and what cannot be done to a row is no access.
fn is_recorded(problem: &Problem, visit: &Visit, at_the_door: bool, with_password: bool) -> bool {
    let by_the_proxy = || !with_password && visit.problem.as_ref() == Some(problem);
    // Some server functions ask for more than their door does.
    let lacks_a_right = |person: &Person| {
        let lacking = Right::ALL.into_iter().filter_map(|right| person.lacks(right));
        lacking.map(Problem::from).any(|lacking| lacking == *problem)
    };
    match problem.status {
        403 if at_the_door => visit.person.is_some() || visit.is_token || by_the_proxy(),
        403 => visit.person.as_ref().is_some_and(lacks_a_right),
        401 => visit.is_token,
        _ => false,
    }
}

/// The problem that an answer says, also where a layer of the router has put it in a status alone.
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

/// Refuses what is asked for by another site's page, for a name that is not the console's, or at a path that no program
/// writes.
async fn guard(State(console): State<Console>, request: Request, next: Next) -> Response {
    let config = &console.parts.config;
    if request.uri().path().contains('\\') {
        // To a browser it is a slash: what begins with one and this leads to another host.
        return Problem::bad_request("The address has a backslash in its path.", "Correct the address.")
            .into_response();
    }
    let visit = request.extensions().get::<Visit>();
    let (host, asked) = visit.map(|visit| (visit.came.host.as_str(), visit.came.asked.as_str())).unwrap_or_default();
    // Where the request itself says who somebody is, or nobody has to be anybody, a page of a rebound name could do
    // everything; and it can add any header to what it sends to its own name, also those of a proxy.
    let believed = matches!(config.access.way.mode(), Mode::Open | Mode::Proxy);
    let checked = origin::check(request.method(), request.headers(), host, config.reached.public_origin.as_ref())
        .and_then(|()| client::check_host(&config.reached, believed, host))
        .and_then(|()| if believed { client::check_host(&config.reached, believed, asked) } else { Ok(()) });
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            let (path, what) = (shortened(request.uri().path(), LOGGED), shortened(&problem.what, LOGGED));
            tracing::warn!(path, what, "refused");
            let mut response = problem.into_response();
            response.extensions_mut().insert(AtTheDoor);
            response
        }
    }
}

/// One line per request, at a level that a busy day can bear.
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

/// Who goes on record for a request, and from where.
impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        let visit = visit_of(parts)?;
        let person = visit.person.as_ref().ok_or_else(|| Problem::internal("The request has lost its person."))?;
        Ok(visit.actor(person))
    }
}

/// The console as whoever asks may see it; for handlers that are no server functions.
#[derive(Clone, Debug)]
pub struct Seen(pub Console);

impl FromRequestParts<Console> for Seen {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, console: &Console) -> Result<Self, Problem> {
        let visit = visit_of(parts)?;
        let person = visit.person.as_ref().ok_or_else(|| Problem::internal("The request has lost its person."))?;
        Ok(Self(console.seen_by(person)))
    }
}

/// The same, where times of a request are in the zone that its reader chose.
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

fn visit_of(parts: &request::Parts) -> Result<&Visit, Problem> {
    parts.extensions.get().ok_or_else(|| Problem::internal("The request has lost its visitor."))
}
