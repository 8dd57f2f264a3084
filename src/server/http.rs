//! The router put together. Tests drive this very router.
//!
//! From outside in: the log line, the safe headers, the guard against other sites' pages, limits on size and time,
//! compression; then pages, server functions, files, downloads and the old console's JSON, all below the base path.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, FromRequestParts, OriginalUri, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get, post},
};
use leptos::{nonce::Nonce, prelude::*};
use leptos_axum::LeptosRoutes;
use tower_http::{
    CompressionLevel, catch_panic::CatchPanicLayer, compression::CompressionLayer, limit::RequestBodyLimitLayer,
    timeout::TimeoutLayer,
};

use super::{
    compat, export, health, history,
    operations::Actor,
    security::{headers, origin},
    site,
    state::Console,
    stream,
};
use crate::{
    demo::Hospital,
    error::Problem,
    ui::app::{App, InDemoHospital, PageProblem, shell},
};

/// The largest form that is read: a selection of a thousand rows is a tenth of this.
const LARGEST_BODY: usize = 1 << 20;

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
        let home = base.clone();
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
        .layer(middleware::from_fn(guard))
        // The panic hook has logged it; the page tells no inside.
        .layer(CatchPanicLayer::custom(|_| Problem::internal("The console failed.").into_response()))
        .layer(middleware::from_fn_with_state(console.clone(), show_problems))
        .layer(middleware::from_fn(headers::set_safe_headers))
        .layer(middleware::from_fn(log))
        .with_state(console)
        .merge(hospital.unwrap_or_default())
}

/// Everything below the base path.
fn inside(console: &Console) -> Router<Console> {
    let for_routes = console.clone();
    let pages = leptos_axum::generate_route_list_with_exclusions_and_ssg_and_context(App, None, move || {
        provide_context(for_routes.clone());
        provide_context(for_routes.parts.config.base.clone());
    })
    .0;
    let mut router = Router::<Console>::new().leptos_routes_with_handler(pages, page).fallback(no_page);
    for (path, method) in server_fn::axum::server_fn_paths() {
        let route: MethodRouter<Console> =
            if method == Method::GET { get(server_function) } else { post(server_function) };
        router = router.route(path, route);
    }
    router
        .route("/failed-events.csv", get(export::csv))
        .route("/failed-events.ndjson", get(export::ndjson))
        .route("/failed-events/{app}/{id}/error.txt", get(export::whole_error))
        .route("/failed-events/{app}/{id}/payload.txt", get(export::whole_payload))
        .route("/events", get(stream::events))
        .route("/history.csv", get(history::csv))
        .route("/apps", get(compat::apps))
        .route("/apps/{app}/feedStatus", get(compat::feed_status))
        .route("/apps/{app}/failedEvent", get(compat::failed_events))
        .route("/apps/{app}/failedEvent/{event_id}/retryLog", get(compat::retry_log))
        .route("/apps/{app}/failedEvent/{event_id}/resetRetryCount", post(compat::reset_retry_count))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/favicon.svg", get(|headers: HeaderMap| site::root_file("favicon.svg", headers)))
        .route("/robots.txt", get(|headers: HeaderMap| site::root_file("robots.txt", headers)))
        .route("/pkg/{version}/{file}", get(site::package_file))
}

/// A page, rendered with a nonce of its own.
async fn page(State(console): State<Console>, request: Request) -> Response {
    render(console, request, None).await
}

async fn render(console: Console, request: Request, problem: Option<Problem>) -> Response {
    let nonce = Nonce::new();
    let policy = headers::page_policy(&nonce);
    let status = problem.as_ref().map(status_of);
    let options = console.options.clone();
    let base = console.parts.config.base.clone();
    let context = move || {
        // After Leptos' own, which it mints before and which the header would not know.
        provide_context(nonce.clone());
        provide_context(console.clone());
        provide_context(console.parts.config.base.clone());
        if let Some(hospital) = &console.parts.hospital {
            provide_context(InDemoHospital { pace: hospital.pace() });
        }
        if let Some(problem) = problem.clone() {
            provide_context(PageProblem(problem));
        }
    };
    let document = move || shell(options.clone(), base.clone());
    let mut response = leptos_axum::render_app_async_with_context(context, document)(request).await;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    if let Some(status) = status {
        *response.status_mut() = status;
    }
    response
}

/// A server function. A plain form gets a redirect or a page, never raw JSON: see [`show_problems`].
async fn server_function(
    State(console): State<Console>,
    ClientAddress(address): ClientAddress,
    request: Request,
) -> Response {
    let (mut parts, body) = request.into_parts();
    // Leptos would send a form whose function failed back to its page, with the error in the query string, where anyone
    // could write one. Asked as a program, it answers the error itself.
    parts.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let actor = Actor { who: "local".to_owned(), address };
    let context = move || {
        provide_context(console.clone());
        provide_context(console.parts.config.base.clone());
        provide_context(actor.clone());
    };
    let request = Request::from_parts(parts, body);
    let response = leptos_axum::handle_server_fns_with_context(context, request).await.into_response();
    if response.status().is_success() || response.status().is_redirection() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    if let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) {
        parts.status = status_of(&problem);
        parts.extensions.insert(problem);
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(bytes))
}

/// An address that is nothing. One with a slash too many at its end is sent to the one without.
async fn no_page(State(console): State<Console>, OriginalUri(uri): OriginalUri, method: Method) -> Response {
    let path = uri.path();
    let trimmed = path.trim_end_matches('/');
    // Only below the base and never to `//host`, which would lead to another site.
    let ours = path.starts_with(console.parts.config.base.as_str()) && !trimmed.starts_with("//");
    if method == Method::GET && trimmed != path && !trimmed.is_empty() && ours {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        return Redirect::permanent(&format!("{trimmed}{query}")).into_response();
    }
    let home = console.parts.config.base.overview();
    Problem::not_found(format!("There is nothing at {path}."), format!("Begin at the overview, {home}."))
        .into_response()
}

fn status_of(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// As text, for programs; `show_problems` makes a page of it for browsers.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (status_of(&self), format!("{self}\n")).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Answers a browser's request that ended in a [`Problem`] with a page that says so.
async fn show_problems(State(console): State<Console>, request: Request, next: Next) -> Response {
    let wants_page = accepts_html(request.headers());
    let response = next.run(request).await;
    match problem_of(&response) {
        Some(problem) if wants_page => {
            // An address that no route has: the page shows the problem in its place.
            let request = Request::builder().uri("/problem/page").body(Body::empty()).unwrap_or_default();
            render(console, request, Some(problem)).await
        }
        _ => response,
    }
}

/// The problem that an answer says, also where a layer of the router has put it in a status alone.
fn problem_of(response: &Response) -> Option<Problem> {
    let said = response.extensions().get::<Problem>().cloned();
    said.or_else(|| match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Some(Problem::too_large()),
        StatusCode::GATEWAY_TIMEOUT => Some(Problem::unavailable(
            format!("This took longer than {} s and was given up.", LONGEST_ANSWER.as_secs()),
            "Narrow the filter, or look at the applications one by one.",
        )),
        _ => None,
    })
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}

async fn guard(request: Request, next: Next) -> Response {
    match origin::check(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            tracing::warn!(path = request.uri().path(), what = %problem.what, "refused");
            problem.into_response()
        }
    }
}

/// One line per request, at a level that a busy day can bear.
async fn log(request: Request, next: Next) -> Response {
    let begun = std::time::Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let (status, ms) = (response.status().as_u16(), begun.elapsed().as_secs_f64() * 1000.0);
    if response.status().is_server_error() && status != 503 {
        tracing::error!(%method, path, status, ms, "request");
    } else {
        tracing::debug!(%method, path, status, ms, "request");
    }
    response
}

/// The address a request came from: "unknown" where the router is driven without a connection.
#[derive(Clone, Debug)]
pub struct ClientAddress(pub String);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Infallible> {
        let connection = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(connection.map_or_else(|| "unknown".to_owned(), |ConnectInfo(address)| address.ip().to_string())))
    }
}
