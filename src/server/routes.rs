//! The one table of all routes of the console, and of what each of them needs.
//!
//! The router is made from this table only, so that no page, server function or download can exist without a line here.
//! A page or server function that is missing from this table is not reachable, and a test reports it.

use axum::{
    http::{HeaderMap, Method},
    routing::{MethodRouter, get, post},
};

use super::{
    audit_export, compat, export, feeds, health, history, http,
    security::authorize::Needs::{self, Nothing, Right as Has, RightOrToken, SignedIn},
    site,
    state::Console,
    status, stream,
};
use crate::model::{
    Right::{Accounts, Audit, Note, Retry, See},
    access::ServiceRight,
};

/// A route, below the base path.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// In axum's form: `/failed-events/{app}/{id}`.
    pub path: &'static str,
    pub needs: Needs,
    pub answers: Answers,
    /// The page, below the base, that shows what is wrong with a form sent here.
    pub told_on: Option<&'static str>,
}

/// How a route is handled.
#[derive(Clone, Copy, Debug)]
pub enum Answers {
    /// A page of `ui/app.rs`.
    Page,
    /// A server function of `api`; its method is the function's own.
    Function,
    /// A handler that reads.
    Get(fn() -> MethodRouter<Console>),
    /// A handler that reads much: see [`super::downloads`].
    Download(fn() -> MethodRouter<Console>),
    /// A handler that changes something.
    Post(fn() -> MethodRouter<Console>),
}

impl Route {
    /// Returns the handler, without the authorization.
    pub fn handler(&self) -> MethodRouter<Console> {
        match self.answers {
            Answers::Page => get(http::page),
            Answers::Function if self.method() == Method::POST => post(http::server_function),
            Answers::Function => get(http::server_function),
            Answers::Get(handler) | Answers::Download(handler) | Answers::Post(handler) => handler(),
        }
    }

    /// Returns the method of its requests.
    pub fn method(&self) -> Method {
        match self.answers {
            Answers::Page | Answers::Get(_) | Answers::Download(_) => Method::GET,
            Answers::Post(_) => Method::POST,
            Answers::Function => {
                let functions = server_fn::axum::server_fn_paths();
                let own = functions.filter(|(path, _)| *path == self.path).map(|(_, method)| method).next();
                // A function that does not exist answers nothing, whatever the method.
                own.unwrap_or(Method::GET)
            }
        }
    }
}

const fn page(path: &'static str, needs: Needs) -> Route {
    Route { path, needs, answers: Answers::Page, told_on: None }
}

const fn function(path: &'static str, needs: Needs) -> Route {
    Route { path, needs, answers: Answers::Function, told_on: None }
}

const fn form(path: &'static str, needs: Needs, told_on: &'static str) -> Route {
    Route { path, needs, answers: Answers::Function, told_on: Some(told_on) }
}

const fn reads(path: &'static str, needs: Needs, handler: fn() -> MethodRouter<Console>) -> Route {
    Route { path, needs, answers: Answers::Get(handler), told_on: None }
}

const fn download(path: &'static str, needs: Needs, handler: fn() -> MethodRouter<Console>) -> Route {
    Route { path, needs, answers: Answers::Download(handler), told_on: None }
}

const fn changes(path: &'static str, needs: Needs, handler: fn() -> MethodRouter<Console>) -> Route {
    Route { path, needs, answers: Answers::Post(handler), told_on: None }
}

/// All routes.
pub const ROUTES: &[Route] = &[
    // Pages.
    page("/", Has(See)),
    page("/applications", Has(See)),
    page("/applications/{app}", Has(See)),
    page("/applications/{app}/feeds", Has(See)),
    page("/applications/{app}/feed", Has(See)),
    page("/failed-events", Has(See)),
    page("/failed-events/{app}/{id}", Has(See)),
    page("/search", Has(See)),
    page("/records/{app}/{kind}/{uuid}", Has(See)),
    page("/groups", Has(See)),
    page("/groups/{fault}", Has(See)),
    page("/operations", Has(See)),
    page("/operations/{id}", Has(See)),
    page("/discarded", Has(See)),
    page("/history", Has(See)),
    page("/history/{id}", Has(See)),
    page("/audit", Has(Audit)),
    // It contains nothing of this hospital.
    page("/help", Nothing),
    page("/demo", Has(See)),
    page("/sign-in", Nothing),
    page("/sign-in/code", Nothing),
    page("/account", SignedIn),
    page("/account/second-factor", SignedIn),
    page("/accounts", Has(Accounts)),
    page("/service-tokens", Has(Accounts)),
    // Server functions.
    function("/api/applications", Has(See)),
    function("/api/application", Has(See)),
    function("/api/publisher", Has(See)),
    function("/api/feeds", Has(See)),
    function("/api/feed", Has(See)),
    function("/api/failed_events", Has(See)),
    function("/api/causes", Has(See)),
    function("/api/feed_causes", Has(See)),
    function("/api/feed_retries", Has(See)),
    function("/api/overview", Has(See)),
    function("/api/news", Has(See)),
    function("/api/failed_event", Has(See)),
    function("/api/retry", Has(Retry)),
    function("/api/groups", Has(See)),
    function("/api/group", Has(See)),
    form("/api/write_note", Has(Note), "/groups/{fault}"),
    function("/api/operations", Has(See)),
    function("/api/operation", Has(See)),
    function("/api/discarded", Has(See)),
    // The minimum that any operation needs; the function checks what the operation in question needs.
    function("/api/plan_operation", Has(Retry)),
    function("/api/start_operation", Has(Retry)),
    function("/api/turn_operation", Has(Retry)),
    function("/api/history", Has(See)),
    function("/api/search", Has(See)),
    function("/api/start_search", Has(See)),
    function("/api/record", Has(See)),
    function("/api/life", Has(See)),
    function("/api/life_of_row", Has(See)),
    function("/api/copy_of_row", Has(See)),
    function("/api/audit", Has(Audit)),
    form("/api/sign_in", Nothing, "/sign-in"),
    function("/api/second_step", Nothing),
    form("/api/sign_in_code", Nothing, "/sign-in/code"),
    function("/api/sign_out", SignedIn),
    function("/api/sign_out_everywhere", SignedIn),
    function("/api/own_account", SignedIn),
    form("/api/end_session", SignedIn, "/account"),
    form("/api/change_password", SignedIn, "/account"),
    form("/api/make_token", SignedIn, "/account"),
    form("/api/revoke_token", SignedIn, "/account"),
    form("/api/save_preferences", SignedIn, "/account"),
    function("/api/own_second_factor", SignedIn),
    form("/api/begin_second_factor", SignedIn, "/account"),
    form("/api/confirm_second_factor", SignedIn, "/account/second-factor"),
    form("/api/new_recovery_codes", SignedIn, "/account"),
    form("/api/end_second_factor", SignedIn, "/account"),
    function("/api/list_accounts", Has(Accounts)),
    form("/api/add_account", Has(Accounts), "/accounts"),
    form("/api/change_account", Has(Accounts), "/accounts"),
    form("/api/disable_account", Has(Accounts), "/accounts"),
    form("/api/new_password", Has(Accounts), "/accounts"),
    form("/api/revoke_tokens_of", Has(Accounts), "/accounts"),
    form("/api/reset_second_factor", Has(Accounts), "/accounts"),
    function("/api/list_service_tokens", Has(Accounts)),
    form("/api/make_service_token", Has(Accounts), "/service-tokens"),
    form("/api/revoke_service_token", Has(Accounts), "/service-tokens"),
    function("/api/demo_hospital", Has(See)),
    function("/api/demo_mend", Has(Retry)),
    function("/api/demo_break", Has(Retry)),
    // Downloads.
    download("/failed-events.csv", Has(See), || get(export::csv)),
    download("/failed-events.ndjson", Has(See), || get(export::ndjson)),
    download("/failed-events/{app}/{id}/error.txt", Has(See), || get(export::whole_error)),
    download("/failed-events/{app}/{id}/payload.txt", Has(See), || get(export::whole_payload)),
    download("/applications/{app}/feed.xml", Has(See), || get(feeds::source)),
    download("/history.csv", Has(See), || get(history::csv)),
    // Changes, for open pages.
    reads("/events", Has(See), || get(stream::events)),
    // The status, for a monitoring system.
    reads("/status", RightOrToken(See, ServiceRight::Status), || get(status::status)),
    download("/audit.csv", Has(Audit), || get(audit_export::csv)),
    // The old console's JSON.
    reads("/apps", Has(See), || get(compat::apps)),
    reads("/apps/{app}/feedStatus", Has(See), || get(compat::feed_status)),
    download("/apps/{app}/failedEvent", Has(See), || get(compat::failed_events)),
    download("/apps/{app}/failedEvent/{event_id}/retryLog", Has(See), || get(compat::retry_log)),
    changes("/apps/{app}/failedEvent/{event_id}/resetRetryCount", Has(Retry), || post(compat::reset_retry_count)),
    // Without authorization.
    reads("/overview", Nothing, || get(http::home)),
    reads("/health", Nothing, || get(health::health)),
    reads("/ready", Nothing, || get(health::ready)),
    reads("/favicon.svg", Nothing, || get(|headers: HeaderMap| site::root_file("favicon.svg", headers))),
    reads("/favicon-good.svg", Nothing, || get(|headers: HeaderMap| site::root_file("favicon-good.svg", headers))),
    reads("/favicon-bad.svg", Nothing, || get(|headers: HeaderMap| site::root_file("favicon-bad.svg", headers))),
    reads("/robots.txt", Nothing, || get(|headers: HeaderMap| site::root_file("robots.txt", headers))),
    reads("/pkg/{version}/{file}", Nothing, || get(site::package_file)),
];

/// Returns the route with this path in the table.
pub fn of(path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.path == path)
}
