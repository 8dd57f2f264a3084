//! Determines who sends a request, once, before anything else reads it.
//!
//! A session's cookie, a token, Basic credentials or a trusted proxy's header identify a [`Person`]. Whether that
//! person may do what they request is decided at each route, see [`super::authorize`].

use std::{net::SocketAddr, time::Duration};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Uri, header},
    middleware::Next,
    response::Response,
};
use axum_extra::headers::{Authorization, HeaderMapExt, authorization};
use chrono::TimeDelta;

use super::{
    authorize::{must_change, wants_page},
    client::{self, ClientInfo},
    cookies::{self, Kind},
    headers,
    names::may_be_recorded,
    secrets,
    service_tokens::{self, Found, Service},
    sign_in::{self, Verified, needs_code},
};
use crate::{
    clock,
    error::Problem,
    model::{Person, Role, access::KnownBy, filter::pairs},
    paths::Base,
    server::{
        config::{AuthMode, Mode, Proxy},
        operations::Actor,
        state::Console,
        store::{Account, StoreError},
    },
};

/// Paths that open pages request by themselves, below the base path: their stream of changes, and what they read due to
/// it.
const ASKED_BY_PAGES: [&str; 2] = ["/events", "/api/news"];

/// Parameter in the query string of a page that an open page reloads by itself.
const READ_ANEW: &str = "live";

/// How a request identifies its person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
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

/// What is known about the sender of a request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub client: ClientInfo,
    pub person: Option<Person>,
    pub credential: Credential,
    /// The machine whose token the request contains. It is a person only for what its token opens.
    pub service: Option<Service>,
    /// The person's account on this console.
    pub account: Option<i64>,
    /// The user signed in with a one-time password and must first choose another one.
    pub must_change: bool,
    /// Why the request's credential was not accepted.
    pub problem: Option<Problem>,
    /// The request contains a session that has ended.
    pub session_lost: bool,
    /// The secret that this caller's forms are bound to.
    pub secret: String,
    /// The secret of a sign-in that waits for its second step.
    pub pending: Option<String>,
    /// The mark of the browser, and whether it is new.
    pub browser: (String, bool),
    /// Whether the request contains a token, valid or not.
    pub is_token: bool,
    /// Whether the request contains something that browsers send by themselves, so that another site's page may have
    /// caused it.
    pub from_browser: bool,
}

impl Caller {
    fn anonymous(client: ClientInfo, headers: &HeaderMap, console: &Console) -> Self {
        let base = &console.parts.config.base;
        let mark = cookies::read(headers, Kind::Browser, base, client.https);
        let browser = mark.map_or_else(|| (secrets::new(), true), |mark| (mark, false));
        Self {
            person: None,
            credential: Credential::Nothing,
            service: None,
            account: None,
            must_change: false,
            problem: None,
            session_lost: false,
            secret: browser.0.clone(),
            pending: cookies::read(headers, Kind::Pending, base, client.https),
            browser,
            is_token: headers.typed_get::<Authorization<authorization::Bearer>>().is_some(),
            from_browser: from_browser(headers),
            client,
        }
    }

    /// Returns whether this caller's changes must contain a form token. A program that sends its credential with every
    /// request needs none: no other site's page can make a browser send a token of ours, or Basic credentials without
    /// any sign of a browser.
    pub fn needs_form_token(&self) -> bool {
        match self.credential {
            Credential::Token => false,
            Credential::Session(_) => true,
            Credential::Basic | Credential::Proxy | Credential::Open | Credential::Service | Credential::Nothing => {
                self.from_browser
            }
        }
    }

    /// Returns how the person is known, for records: the authentication mode, or the credential if that says more.
    pub fn signed_in_by(&self, person: &Person) -> &'static str {
        match self.credential {
            Credential::Token => "token",
            Credential::Basic => "basic",
            _ => person.known_by.word(),
        }
    }

    /// Returns the actor for records: the person, their credential and address.
    pub fn actor(&self, person: &Person) -> Actor {
        Actor {
            who: person.name.clone(),
            signed_in_by: self.signed_in_by(person).to_owned(),
            address: self.client.address(),
        }
    }

    fn refused(mut self, problem: Problem) -> Self {
        self.problem = Some(problem);
        self
    }
}

/// Returns whether the request has headers that browsers send and programs do not.
fn from_browser(headers: &HeaderMap) -> bool {
    let marks = ["origin", "referer", "cookie", "sec-fetch-site", "sec-fetch-mode", "upgrade-insecure-requests"];
    marks.iter().any(|mark| headers.contains_key(*mark)) || wants_page(headers)
}

/// Determines the caller, and adds it to the request.
pub async fn authenticate(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let client = ClientInfo::of(&console.parts.config.network, peer, request.headers());
    client::warn_of_untrusted(&client, request.headers());
    let used = !asked_by_a_page(request.uri(), request.headers(), &console.parts.config.base);
    let caller = identify(&console, client, request.headers(), used).await;
    let page = wants_page(request.headers());
    let (mark, fresh) = caller.browser.clone();
    let https = caller.client.https;
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    if https {
        // Only on responses over HTTPS: a hospital without HTTPS must not be forced to use it.
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, headers::ONE_YEAR_OF_HTTPS);
    }
    if fresh && page && !response.headers().contains_key(header::SET_COOKIE) && is_page(&response) {
        let cookie = cookies::set(Kind::Browser, &mark, &console.parts.config.base, https);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Returns whether an open page made the request by itself. That is not a use of the session, so an untouched session
/// ends.
///
/// Our paths and query strings decide, because over plain HTTP browsers report nothing more. If they do report the
/// purpose of a request, only a navigation counts. So additions to a request can end its session earlier, but cannot
/// keep it longer.
fn asked_by_a_page(uri: &Uri, headers: &HeaderMap, base: &Base) -> bool {
    let below = uri.path().strip_prefix(base.as_str()).unwrap_or(uri.path());
    let by_a_script = headers.get_all("sec-fetch-mode").iter().any(|mode| mode != "navigate");
    let ahead =
        headers.contains_key("sec-purpose") || headers.get("purpose").is_some_and(|for_what| for_what == "prefetch");
    ASKED_BY_PAGES.contains(&below) || by_a_script || ahead || reads_anew(uri)
}

/// Returns whether an open page reloads itself by this request.
pub fn reads_anew(uri: &Uri) -> bool {
    pairs(uri.query().unwrap_or_default()).any(|(key, _)| key == READ_ANEW)
}

fn is_page(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html"))
}

async fn identify(console: &Console, client: ClientInfo, headers: &HeaderMap, used: bool) -> Caller {
    let caller = Caller::anonymous(client, headers, console);
    // Checked before the authentication mode: a machine's token opens the same in all modes.
    if let Some(bearer) = headers.typed_get::<Authorization<authorization::Bearer>>() {
        match service_tokens::find(&console.parts, &caller.client, bearer.token()).await {
            Ok(Found::Machine(service)) => {
                return Caller { credential: Credential::Service, service: Some(service), ..caller };
            }
            Ok(Found::NotValid(problem)) => return caller.refused(problem),
            Ok(Found::Nothing) => {}
            Err(error) => return caller.refused(error.into()),
        }
    }
    match &console.parts.config.access.way {
        AuthMode::Open => Caller { person: Some(Person::anybody()), credential: Credential::Open, ..caller },
        AuthMode::Proxy(proxy) => by_proxy(proxy, caller, headers),
        AuthMode::Accounts | AuthMode::Openmrs(_) if headers.contains_key(header::AUTHORIZATION) => {
            by_authorization(console, caller, headers).await
        }
        AuthMode::Accounts | AuthMode::Openmrs(_) => by_session(console, caller, headers, used).await,
    }
}

/// Returns whether a caller's credential still gives access to the same person, for long-running responses. What a
/// proxy reported cannot be checked again.
pub async fn goes_on(console: &Console, caller: &Caller, proofs: &HeaderMap) -> bool {
    match caller.credential {
        Credential::Nothing | Credential::Proxy | Credential::Open => true,
        Credential::Session(_) | Credential::Token | Credential::Service | Credential::Basic => {
            let now = identify(console, caller.client.clone(), proofs, false).await;
            let same_machine = now.service.is_some() == caller.service.is_some();
            now.person == caller.person && now.must_change == caller.must_change && same_machine
        }
    }
}

/// Returns the headers of a request that contain credentials.
pub fn proofs(headers: &HeaderMap) -> HeaderMap {
    let proofs = [header::COOKIE, header::AUTHORIZATION];
    let mut kept = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| proofs.contains(name)) {
        kept.append(name, value.clone());
    }
    kept
}

/// Identifies the person by a proxy's headers, on connections from a trusted proxy only. Each header may occur once.
fn by_proxy(proxy: &Proxy, caller: Caller, headers: &HeaderMap) -> Caller {
    if !caller.client.through_proxy {
        return caller.refused(Problem::not_signed_in(
            "This console is used through a proxy that names the user. This request did not come through the proxy.",
            "Open the console at the usual address of your hospital.",
        ));
    }
    let mut names = headers.get_all(&proxy.user_header).into_iter();
    let name = names.next().and_then(|name| std::str::from_utf8(name.as_bytes()).ok()).map(str::trim);
    // Pages show several blanks as one.
    let name = name.map(|name| name.split_whitespace().collect::<Vec<_>>().join(" "));
    let name = name.as_deref().filter(|name| may_be_recorded(name));
    let (Some(name), None) = (name, names.next()) else {
        return caller.refused(Problem::not_signed_in(
            "The proxy did not name the user.",
            format!(
                "The proxy must send the name once, in the header {}. Names that records use for the console itself, such as \
                 \"console\", are not accepted.",
                proxy.user_header
            ),
        ));
    };
    let Some(groups) = groups(proxy, headers) else {
        return caller.refused(Problem::not_signed_in(
            "The proxy did not name your groups clearly.",
            format!(
                "The proxy must remove the header {} of browsers, and send it at most once.",
                proxy.groups_header.as_deref().unwrap_or_default()
            ),
        ));
    };
    let Some(role) = proxy.roles.role(groups.iter().copied()).or(proxy.otherwise) else {
        return caller.refused(Problem::refused(
            format!("The proxy knows you as {name}, but none of your groups has access to this console."),
            "Ask the administrator of this console (setting access.proxy).",
        ));
    };
    let person =
        Person { name: name.to_owned(), role, applications: None, known_by: KnownBy::Proxy, reading_only: false };
    Caller { person: Some(person), credential: Credential::Proxy, ..caller }
}

/// Returns the groups that the proxy names, possibly none. `None` if the header occurs several times or is not text: a
/// proxy that adds its header to the browser's own must not make anyone an administrator.
fn groups<'h>(proxy: &Proxy, headers: &'h HeaderMap) -> Option<Vec<&'h str>> {
    let Some(header) = &proxy.groups_header else { return Some(Vec::new()) };
    let mut values = headers.get_all(header).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Some(Vec::new()),
        (Some(value), None) => Some(std::str::from_utf8(value.as_bytes()).ok()?.split([',', ';']).collect()),
        (Some(_), Some(_)) => None,
    }
}

async fn by_authorization(console: &Console, caller: Caller, headers: &HeaderMap) -> Caller {
    if let Some(bearer) = headers.typed_get::<Authorization<authorization::Bearer>>() {
        return match by_token(console, &caller, bearer.token()).await {
            Ok(Some((_, account))) if account.must_change => caller.refused(Problem::refused(
                format!("This token does not work until {} has chosen a new password.", account.name),
                "Sign in with this account in a browser and choose a password.",
            )),
            Ok(Some((person, account))) => {
                Caller { person: Some(person), credential: Credential::Token, account: Some(account.id), ..caller }
            }
            Ok(None) => caller.refused(Problem::not_signed_in(
                "This token is unknown, has expired, or was revoked.",
                "Create a new token on your account page.",
            )),
            Err(error) => caller.refused(error.into()),
        };
    }
    let Some(basic) = headers.typed_get::<Authorization<authorization::Basic>>() else {
        return caller.refused(Problem::not_signed_in(
            "The header Authorization has neither a token nor a name and password.",
            "Send \"Bearer\" with a token of this console, or \"Basic\" with a name and a password.",
        ));
    };
    match sign_in::verify_again(console, &caller, basic.username(), basic.password()).await {
        // A one-time password is only for a sign-in, and a program would not choose another one after it.
        Ok(Verified::Account(account)) if account.must_change => caller.refused(must_change()),
        Ok(Verified::Account(account)) if needs_code(console, &account) => caller.refused(Problem::refused(
            format!("Basic cannot be used for {}: this account has a second factor.", account.name),
            "Create a token on the account page, and send it as Bearer.",
        )),
        Ok(verified) => {
            let account = match &verified {
                Verified::Account(account) => Some(account.id),
                Verified::Openmrs(_) => None,
            };
            Caller { person: Some(verified.person()), credential: Credential::Basic, account, ..caller }
        }
        Err(problem) => caller.refused(problem),
    }
}

async fn by_token(console: &Console, caller: &Caller, token: &str) -> Result<Option<(Person, Account)>, StoreError> {
    if console.parts.config.access.way.mode() != Mode::Accounts {
        return Ok(None);
    }
    let store = &console.parts.store;
    let now = clock::now();
    let Some((token, account)) = store.token(&secrets::hash(token)).await? else { return Ok(None) };
    if token.expires_at.is_some_and(|at| at <= now) || account.disabled_at.is_some() {
        return Ok(None);
    }
    let address = caller.client.address();
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

async fn by_session(console: &Console, caller: Caller, headers: &HeaderMap, used: bool) -> Caller {
    let base = &console.parts.config.base;
    let Some(secret) = cookies::read(headers, Kind::Session, base, caller.client.https) else { return caller };
    let hash = secrets::hash(&secret);
    match going_on(console, &hash, &caller.client, used).await {
        Ok(Some((person, account))) => Caller {
            person: Some(person),
            credential: Credential::Session(hash),
            must_change: account.as_ref().is_some_and(|account| account.must_change),
            account: account.map(|account| account.id),
            secret,
            ..caller
        },
        Ok(None) => Caller { session_lost: true, ..caller },
        Err(error) => caller.refused(error.into()),
    }
}

/// Returns the person of a session that is still valid; deletes one that has ended. `used`: by a person, not an open
/// page.
async fn going_on(
    console: &Console,
    hash: &[u8; 32],
    client: &ClientInfo,
    used: bool,
) -> Result<Option<(Person, Option<Account>)>, StoreError> {
    let (store, access) = (&console.parts.store, &console.parts.config.access);
    let Some((session, account)) = store.session(hash).await? else { return Ok(None) };
    let now = clock::now();
    let ended = now - session.last_used_at > time_delta(access.ends_unused_after())
        || now - session.created_at > time_delta(access.session_longest);
    let person = match (&account, access.way.mode()) {
        (Some(account), Mode::Accounts) if account.disabled_at.is_none() => {
            // The role may require a second factor only since the session began.
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
    let address = client.address();
    let every = time_delta(access.use_written_every());
    if used && (now - session.last_used_at >= every || session.address != address) {
        store.touch_session(hash, &address).await?;
    }
    Ok(Some((person, account)))
}

/// Returns the person of an account.
pub fn person_of(account: &Account) -> Person {
    Person {
        name: account.name.clone(),
        role: account.role,
        applications: account.applications.clone(),
        known_by: KnownBy::Account,
        reading_only: false,
    }
}

/// Returns the person of a user in OpenMRS.
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
