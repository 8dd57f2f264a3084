//! Who a request comes from: found out once, before anything else looks at it.
//!
//! A session's cookie, a token, Basic credentials or the word of a trusted proxy make a [`Person`]. Whether that person may
//! do what they ask is not decided here but at the door of each route, see [`super::door`].

use std::{net::SocketAddr, time::Duration};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Uri, header},
    middleware::Next,
    response::Response,
};
use axum_extra::headers::{Authorization, HeaderMapExt, authorization};
use chrono::{TimeDelta, Utc};

use super::{
    client::{self, Came},
    cookies::{self, Kind},
    door::{must_change, wants_page},
    headers, secrets,
    service_tokens::{self, Found, Service},
    sign_in::{self, Proved, needs_code},
};
use crate::{
    error::Problem,
    model::{
        Person, Role,
        access::{KnownBy, is_name},
        filter::pairs,
    },
    paths::Base,
    server::{
        config::{Mode, Proxy, Way},
        operations::Actor,
        state::Console,
        store::{Account, StoreError},
    },
};

/// What open pages ask for by themselves, below the base path: their stream of changes, and what they read because of it.
const ASKED_BY_PAGES: [&str; 2] = ["/events", "/api/news"];

/// In the query string of a page that an open page reads anew by itself.
const READ_ANEW: &str = "live";

/// What a person is known by in this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Nothing,
    /// A session, by the hash of its id.
    Session([u8; 32]),
    Token,
    /// The token of a machine.
    Service,
    Basic,
    Proxy,
    Open,
}

/// A request, as far as coming in is concerned.
#[derive(Clone, Debug)]
pub struct Visit {
    pub came: Came,
    pub person: Option<Person>,
    pub proof: Proof,
    /// The machine that came with its token. It is nobody, but for the one thing that its token opens.
    pub service: Option<Service>,
    /// The account that the person has here.
    pub account: Option<i64>,
    /// They signed in with a one-time password and must choose one of their own first.
    pub must_change: bool,
    /// Why what the request carried was not taken.
    pub problem: Option<Problem>,
    /// A session was carried that does not go on any more.
    pub session_lost: bool,
    /// What forms of this visitor are bound to.
    pub secret: String,
    /// The secret of a sign-in that waits for its second step.
    pub pending: Option<String>,
    /// The mark of the browser, and whether it is new.
    pub browser: (String, bool),
    /// The request carries a token, whatever became of it.
    pub is_token: bool,
    /// Something a browser sends of its own is in the request, so that another site's page may have caused it.
    pub from_browser: bool,
}

impl Visit {
    fn nobody(came: Came, headers: &HeaderMap, console: &Console) -> Self {
        let base = &console.parts.config.base;
        let mark = cookies::read(headers, Kind::Browser, base, came.https);
        let browser = mark.map_or_else(|| (secrets::new(), true), |mark| (mark, false));
        Self {
            person: None,
            proof: Proof::Nothing,
            service: None,
            account: None,
            must_change: false,
            problem: None,
            session_lost: false,
            secret: browser.0.clone(),
            pending: cookies::read(headers, Kind::Pending, base, came.https),
            browser,
            is_token: headers.typed_get::<Authorization<authorization::Bearer>>().is_some(),
            from_browser: from_browser(headers),
            came,
        }
    }

    /// Whether changes that this visitor asks for must carry a form's token. A program that proves itself with every
    /// request need not: no other site's page can make a browser send a token of ours, or Basic credentials without
    /// any mark of a browser.
    pub fn needs_form_token(&self) -> bool {
        match self.proof {
            Proof::Token => false,
            Proof::Session(_) => true,
            Proof::Basic | Proof::Proxy | Proof::Open | Proof::Service | Proof::Nothing => self.from_browser,
        }
    }

    /// How they are known, for records: the way of signing in, or the proof where that says more.
    pub fn signed_in_by(&self, person: &Person) -> &'static str {
        match self.proof {
            Proof::Token => "token",
            Proof::Basic => "basic",
            _ => person.known_by.word(),
        }
    }

    /// This person on record, as they came.
    pub fn actor(&self, person: &Person) -> Actor {
        Actor {
            who: person.name.clone(),
            signed_in_by: self.signed_in_by(person).to_owned(),
            address: self.came.address(),
        }
    }

    fn refused(mut self, problem: Problem) -> Self {
        self.problem = Some(problem);
        self
    }
}

/// What browsers send and programs do not.
fn from_browser(headers: &HeaderMap) -> bool {
    let marks = ["origin", "referer", "cookie", "sec-fetch-site", "sec-fetch-mode", "upgrade-insecure-requests"];
    marks.iter().any(|mark| headers.contains_key(*mark)) || wants_page(headers)
}

/// Finds out who asks, and hands that on with the request.
pub async fn meet(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let came = Came::of(&console.parts.config.reached, peer, request.headers());
    client::warn_of_untrusted(&came, request.headers());
    let used = !asked_by_a_page(request.uri(), request.headers(), &console.parts.config.base);
    let visit = visit(&console, came, request.headers(), used).await;
    let page = wants_page(request.headers());
    let (mark, fresh) = visit.browser.clone();
    let https = visit.came.https;
    request.extensions_mut().insert(visit);
    let mut response = next.run(request).await;
    if https {
        // Only where it came that way: a hospital without HTTPS must not be told to use it.
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, headers::ONE_YEAR_OF_HTTPS);
    }
    if fresh && page && !response.headers().contains_key(header::SET_COOKIE) && is_page(&response) {
        let cookie = cookies::set(Kind::Browser, &mark, &console.parts.config.base, https);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Whether an open page asks by itself, which is no use of the session: a session that nobody touches ends.
///
/// Paths and query strings of ours decide, because over plain HTTP browsers say nothing more. Where they do say what a
/// request is for, only a navigation counts. So whatever somebody adds to a request can let their session end earlier,
/// and nothing that they add keeps it longer.
fn asked_by_a_page(uri: &Uri, headers: &HeaderMap, base: &Base) -> bool {
    let below = uri.path().strip_prefix(base.as_str()).unwrap_or(uri.path());
    let read_anew = || pairs(uri.query().unwrap_or_default()).any(|(key, _)| key == READ_ANEW);
    let by_a_script = headers.get_all("sec-fetch-mode").iter().any(|mode| mode != "navigate");
    let ahead =
        headers.contains_key("sec-purpose") || headers.get("purpose").is_some_and(|for_what| for_what == "prefetch");
    ASKED_BY_PAGES.contains(&below) || by_a_script || ahead || read_anew()
}

fn is_page(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html"))
}

async fn visit(console: &Console, came: Came, headers: &HeaderMap, used: bool) -> Visit {
    let visit = Visit::nobody(came, headers, console);
    // Before the way of signing in is looked at: a machine's token opens the same thing in all of them.
    if let Some(bearer) = headers.typed_get::<Authorization<authorization::Bearer>>() {
        match service_tokens::find(&console.parts, &visit.came, bearer.token()).await {
            Ok(Found::Machine(service)) => return Visit { proof: Proof::Service, service: Some(service), ..visit },
            Ok(Found::NotValid(problem)) => return visit.refused(problem),
            Ok(Found::Nothing) => {}
            Err(error) => return visit.refused(error.into()),
        }
    }
    match &console.parts.config.access.way {
        Way::Open => Visit { person: Some(Person::anybody()), proof: Proof::Open, ..visit },
        Way::Proxy(proxy) => by_proxy(proxy, visit, headers),
        Way::Accounts | Way::Openmrs(_) if headers.contains_key(header::AUTHORIZATION) => {
            by_authorization(console, visit, headers).await
        }
        Way::Accounts | Way::Openmrs(_) => by_session(console, visit, headers, used).await,
    }
}

/// Whether what somebody came in with opens the console to the same person still: for an answer that goes on for long.
/// What a proxy said cannot be asked again.
pub async fn goes_on(console: &Console, visit: &Visit, proofs: &HeaderMap) -> bool {
    match visit.proof {
        Proof::Nothing | Proof::Proxy | Proof::Open => true,
        Proof::Session(_) | Proof::Token | Proof::Service | Proof::Basic => {
            let now = self::visit(console, visit.came.clone(), proofs, false).await;
            let same_machine = now.service.is_some() == visit.service.is_some();
            now.person == visit.person && now.must_change == visit.must_change && same_machine
        }
    }
}

/// The headers of a request by which somebody proves who they are.
pub fn proofs(headers: &HeaderMap) -> HeaderMap {
    let proofs = [header::COOKIE, header::AUTHORIZATION];
    let mut kept = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| proofs.contains(name)) {
        kept.append(name, value.clone());
    }
    kept
}

/// The headers count only where the connection itself comes from a trusted proxy. Each may be there once.
fn by_proxy(proxy: &Proxy, visit: Visit, headers: &HeaderMap) -> Visit {
    if !visit.came.through_proxy {
        return visit.refused(Problem::not_signed_in(
            "This console is used through a proxy that names the user. This request did not come through the proxy.",
            "Open the console at the usual address of your hospital.",
        ));
    }
    let mut names = headers.get_all(&proxy.user_header).into_iter();
    let name = names.next().and_then(|name| std::str::from_utf8(name.as_bytes()).ok()).map(str::trim);
    let name = name.filter(|name| is_name(name));
    let (Some(name), None) = (name, names.next()) else {
        return visit.refused(Problem::not_signed_in(
            "The proxy did not name the user.",
            format!("The proxy must send the name once, in the header {}.", proxy.user_header),
        ));
    };
    let Some(groups) = groups(proxy, headers) else {
        return visit.refused(Problem::not_signed_in(
            "The proxy did not name your groups clearly.",
            format!(
                "The proxy must remove the header {} of browsers, and send it at most once.",
                proxy.groups_header.as_deref().unwrap_or_default()
            ),
        ));
    };
    let Some(role) = proxy.roles.role(groups.iter().copied()).or(proxy.otherwise) else {
        return visit.refused(Problem::refused(
            format!("The proxy knows you as {name}, but none of your groups has access to this console."),
            "Ask the administrator of this console (setting access.proxy).",
        ));
    };
    let person =
        Person { name: name.to_owned(), role, applications: None, known_by: KnownBy::Proxy, reading_only: false };
    Visit { person: Some(person), proof: Proof::Proxy, ..visit }
}

/// Returns the groups that the proxy names; none where it names none. `None` where the header is there several times, or
/// is no text: a proxy that adds its header to the one that a browser sent must not make anybody an administrator.
fn groups<'h>(proxy: &Proxy, headers: &'h HeaderMap) -> Option<Vec<&'h str>> {
    let Some(header) = &proxy.groups_header else { return Some(Vec::new()) };
    let mut values = headers.get_all(header).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Some(Vec::new()),
        (Some(value), None) => Some(std::str::from_utf8(value.as_bytes()).ok()?.split([',', ';']).collect()),
        (Some(_), Some(_)) => None,
    }
}

async fn by_authorization(console: &Console, visit: Visit, headers: &HeaderMap) -> Visit {
    if let Some(bearer) = headers.typed_get::<Authorization<authorization::Bearer>>() {
        return match by_token(console, &visit, bearer.token()).await {
            Ok(Some((_, account))) if account.must_change => visit.refused(Problem::refused(
                format!("This token does not work until {} has chosen a new password.", account.name),
                "Sign in with this account in a browser and choose a password.",
            )),
            Ok(Some((person, account))) => {
                Visit { person: Some(person), proof: Proof::Token, account: Some(account.id), ..visit }
            }
            Ok(None) => visit.refused(Problem::not_signed_in(
                "This token is unknown, has expired, or was revoked.",
                "Create a new token on your account page.",
            )),
            Err(error) => visit.refused(error.into()),
        };
    }
    let Some(basic) = headers.typed_get::<Authorization<authorization::Basic>>() else {
        return visit.refused(Problem::not_signed_in(
            "The header Authorization has neither a token nor a name and password.",
            "Send \"Bearer\" with a token of this console, or \"Basic\" with a name and a password.",
        ));
    };
    match sign_in::prove_again(console, &visit, basic.username(), basic.password()).await {
        // A one-time password is for a sign-in, and a program does not choose another one after it.
        Ok(Proved::Account(account)) if account.must_change => visit.refused(must_change()),
        Ok(Proved::Account(account)) if needs_code(console, &account) => visit.refused(Problem::refused(
            format!("Basic cannot be used for {}: this account has a second factor.", account.name),
            "Create a token on the account page, and send it as Bearer.",
        )),
        Ok(proved) => {
            let account = match &proved {
                Proved::Account(account) => Some(account.id),
                Proved::Openmrs(_) => None,
            };
            Visit { person: Some(proved.person()), proof: Proof::Basic, account, ..visit }
        }
        Err(problem) => visit.refused(problem),
    }
}

async fn by_token(console: &Console, visit: &Visit, token: &str) -> Result<Option<(Person, Account)>, StoreError> {
    if console.parts.config.access.way.mode() != Mode::Accounts {
        return Ok(None);
    }
    let store = &console.parts.store;
    let now = Utc::now();
    let Some((token, account)) = store.token(&secrets::hash(token)).await? else { return Ok(None) };
    if token.expires_at.is_some_and(|at| at <= now) || account.disabled_at.is_some() {
        return Ok(None);
    }
    let address = visit.came.address();
    let every = time_delta(console.parts.config.access.use_written_every());
    let written = token.last_used_at.is_some_and(|at| now - at < every);
    if !written || token.last_address.as_deref() != Some(address.as_str()) {
        store.touch_token(token.id, &address).await?;
    }
    let role = token.role.min(account.role);
    Ok(Some((Person { role, reading_only: token.reading_only, ..person_of(&account) }, account)))
}

fn time_delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

async fn by_session(console: &Console, visit: Visit, headers: &HeaderMap, used: bool) -> Visit {
    let base = &console.parts.config.base;
    let Some(secret) = cookies::read(headers, Kind::Session, base, visit.came.https) else { return visit };
    let hash = secrets::hash(&secret);
    match going_on(console, &hash, &visit.came, used).await {
        Ok(Some((person, account))) => Visit {
            person: Some(person),
            proof: Proof::Session(hash),
            must_change: account.as_ref().is_some_and(|account| account.must_change),
            account: account.map(|account| account.id),
            secret,
            ..visit
        },
        Ok(None) => Visit { session_lost: true, ..visit },
        Err(error) => visit.refused(error.into()),
    }
}

/// Whose session this is, if it goes on. One that has ended is forgotten. `used`: by a person, not by an open page.
async fn going_on(
    console: &Console,
    hash: &[u8; 32],
    came: &Came,
    used: bool,
) -> Result<Option<(Person, Option<Account>)>, StoreError> {
    let (store, access) = (&console.parts.store, &console.parts.config.access);
    let Some((session, account)) = store.session(hash).await? else { return Ok(None) };
    let now = Utc::now();
    let ended = now - session.last_used_at > time_delta(access.ends_unused_after())
        || now - session.created_at > time_delta(access.session_longest);
    let person = match (&account, access.way.mode()) {
        (Some(account), Mode::Accounts) if account.disabled_at.is_none() => {
            // A role may have to have a second factor since the session began.
            let lacks = access.demands_second_factor(account.role) && !account.second_factor;
            (!lacks).then(|| person_of(account))
        }
        (None, Mode::Openmrs) => Some(person_of_openmrs(&session.name, session.role)),
        _ => None,
    };
    let Some(person) = person.filter(|_| !ended) else {
        store.end_session(hash).await?;
        return Ok(None);
    };
    let address = came.address();
    let every = time_delta(access.use_written_every());
    if used && (now - session.last_used_at >= every || session.address != address) {
        store.touch_session(hash, &address).await?;
    }
    Ok(Some((person, account)))
}

/// The person that an account is.
pub fn person_of(account: &Account) -> Person {
    Person {
        name: account.name.clone(),
        role: account.role,
        applications: account.applications.clone(),
        known_by: KnownBy::Account,
        reading_only: false,
    }
}

/// The person whom OpenMRS knows.
pub fn person_of_openmrs(name: &str, role: Role) -> Person {
    Person { name: name.to_owned(), role, applications: None, known_by: KnownBy::Openmrs, reading_only: false }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn what_a_page_asks_for_by_itself_is_no_use_and_nothing_added_to_a_request_makes_it_one() {
        let by_a_page = |base: &str, uri: &str, headers: &[(&str, &str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()));
            asked_by_a_page(&uri.parse().unwrap(), &headers.collect(), &Base::parse(base).unwrap())
        };
        let navigates = [("sec-fetch-mode", "navigate"), ("sec-fetch-user", "?1"), ("accept", "text/html")];
        for uri in [
            "/x/events",
            "/x/api/news?query=&mark=",
            "/x/failed-events/odoo/1?live=1",
            "/x/operations/1?a=b&live=1",
            "/x?live",
        ] {
            assert!(by_a_page("/x", uri, &[]), "{uri}");
            assert!(by_a_page("/x", uri, &navigates), "{uri} with headers that a script cannot set");
        }
        assert!(by_a_page("/", "/events", &[]));
        for uri in ["/x", "/x/failed-events?q=live", "/x/api/own_account", "/x/api/retry", "/x/events/1", "/events"] {
            let below_x = uri.starts_with("/x");
            assert_eq!(by_a_page("/x", uri, &[]), !below_x, "{uri}");
            assert_eq!(by_a_page("/x", uri, &navigates), !below_x, "{uri}");
            for headers in [[("sec-fetch-mode", "cors")], [("sec-purpose", "prefetch")], [("purpose", "prefetch")]] {
                assert!(by_a_page("/x", uri, &headers), "{uri} {headers:?}");
            }
        }
    }
}
