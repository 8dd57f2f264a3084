//! HTTP to one publisher: its feeds and its resources, with limits on time and size, and with its login.
//!
//! A client connects to one origin only (scheme, host, port): neither a link in a page nor a redirect sends credentials
//! anywhere else. Other origins can be declared as the same publisher, for instance its name behind a proxy; their
//! addresses are requested at the client's own origin. If the publisher listens somewhere else than its name says, set
//! `via`: the client connects to that socket address and sends the logical host in `Host`.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use reqwest::{
    RequestBuilder, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE},
    redirect::Policy,
};
use tokio::sync::Mutex;
use url::{Origin, Url};

/// How a client authenticates at the publisher.
#[derive(Clone, Default)]
pub enum Login {
    /// No authentication.
    #[default]
    Nobody,
    /// Name and password with every request.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// Name and password once, at an address that answers with a cookie (OpenMRS: `/openmrs/ws/rest/v1/session`), then
    /// the cookie with every request until it is refused.
    Session {
        /// The path or address of the login.
        address: String,
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Basic { .. } => "Basic",
            Self::Session { .. } => "Session",
        })
    }
}

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the next bytes.
    pub read_timeout: Duration,
    /// Longest duration of a whole answer.
    pub timeout: Duration,
    /// Most bytes of an answer.
    pub largest_answer: usize,
    /// How to authenticate.
    pub login: Login,
    /// Whether to follow one redirect, within the publisher's origin.
    pub follow_redirect: bool,
    /// Other origins of the same publisher, used in its links and in markers that other programs wrote
    /// (`https://hospital.example.org` for an OpenMRS behind a proxy). Their addresses are read from the client's own
    /// origin.
    pub same_publisher: Vec<String>,
    /// Socket address where the publisher listens, in plain HTTP; its own address if `None`.
    pub via: Option<SocketAddr>,
}

impl Default for ClientSettings {
    /// The timeouts of the Java library (10 s and 20 s), at most 60 s and 8 MiB per answer, no login, no redirect.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(20),
            timeout: Duration::from_secs(60),
            largest_answer: 8 * 1024 * 1024,
            login: Login::Nobody,
            follow_redirect: false,
            same_publisher: Vec::new(),
            via: None,
        }
    }
}

/// Error of a request to the publisher. The first three texts are those of the Java library.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// 404.
    #[error("Resource not found at {0}")]
    NotFound(String),
    /// 401 or 403.
    #[error("User not authorized")]
    NotAuthorized,
    /// Any other status that is not a success.
    #[error("Unexpected response status {0}")]
    Status(u16),
    /// The connection was refused, or the name is unknown.
    #[error("Connect to {0} failed: {1}")]
    Connect(String, String),
    /// Connecting, waiting or reading took too long.
    #[error("Read timed out: {0}")]
    TimedOut(String),
    /// The answer broke off or is not HTTP.
    #[error("The answer of {0} broke off: {1}")]
    Broken(String, String),
    /// More bytes than allowed; the rest was not read.
    #[error("The answer of {address} is larger than {limit} bytes and was not read further")]
    TooLarge {
        /// The requested address.
        address: String,
        /// The limit.
        limit: usize,
    },
    /// A scheme, host or port other than the publisher's.
    #[error(
        "{address} is not of {origin}: the client reads only from the publisher of the feed. If it is the same publisher, name its origin in the client's settings"
    )]
    OtherOrigin {
        /// The address.
        address: String,
        /// The publisher.
        origin: String,
    },
    /// Not an http or https address.
    #[error("{0:?} is no http or https address")]
    Address(String),
    /// An address with a name and password in it. The error text omits them.
    #[error("{0} has a name and a password in it, which are no part of an address: give them as the client's login")]
    Credentials(String),
    /// The login was refused or returned no cookie.
    #[error("Could not authenticate with {0}: {1}")]
    Login(String, String),
    /// The HTTP client could not be created.
    #[error("No HTTP client could be made: {0}")]
    Client(String),
}

/// An answer of the publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The address that answered, with the publisher's logical host.
    pub address: String,
    /// The HTTP status.
    pub status: u16,
    /// The media type as the publisher sends it; empty if none.
    pub content_type: String,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the answer if its status is a success.
    ///
    /// # Errors
    /// Fails with the status if it is not a success.
    pub fn success(self) -> Result<Self, ClientError> {
        match self.status {
            200..=299 => Ok(self),
            404 => Err(ClientError::NotFound(self.address)),
            401 | 403 => Err(ClientError::NotAuthorized),
            status => Err(ClientError::Status(status)),
        }
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// HTTP to one publisher. Clones share connections and login.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    /// Scheme, host and port of the publisher, and the path `/`.
    origin: Url,
    /// Other origins of the same publisher.
    same_publisher: Vec<Origin>,
    settings: ClientSettings,
    /// The `Cookie` header from the login.
    session: Mutex<Option<String>>,
}

impl Client {
    /// Creates a client for the publisher at this address. Only scheme, host and port of the address matter, and of
    /// those in `same_publisher`.
    ///
    /// # Errors
    /// Fails if one of the addresses is not http or https, or if `via` is set for an https address.
    pub fn new(address: &str, settings: ClientSettings) -> Result<Self, ClientError> {
        let mut origin = http_address(address)?;
        origin.set_path("/");
        origin.set_query(None);
        origin.set_fragment(None);
        let same_publisher = settings.same_publisher.iter().map(|other| http_address(other).map(|url| url.origin()));
        let same_publisher = same_publisher.collect::<Result<_, ClientError>>()?;
        if settings.via.is_some() && origin.scheme() != "http" {
            return Err(ClientError::Client(format!("{address} is https, which cannot go via a plain socket address")));
        }
        // rustls has one cryptography provider per process; one that is already installed stays.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .read_timeout(settings.read_timeout)
            .timeout(settings.timeout)
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .user_agent(concat!("atomfeed-console/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::Client(reason(&error)))?;
        Ok(Self(Arc::new(Inner { http, origin, same_publisher, settings, session: Mutex::default() })))
    }

    /// Gets a path or an absolute address of the publisher, whatever the status. Logs in if needed.
    ///
    /// # Errors
    /// Fails if the answer is not complete, or if the login failed.
    pub async fn get(&self, address: &str) -> Result<Answer, ClientError> {
        self.get_as(address, "*/*").await
    }

    /// Same as [`Self::get`], but accepts only a success.
    ///
    /// # Errors
    /// As [`Self::get`], and if the status is not a success.
    pub async fn read(&self, address: &str) -> Result<Answer, ClientError> {
        self.get(address).await?.success()
    }

    /// Gets a page of a feed.
    pub(super) async fn feed_page(&self, address: &str) -> Result<Answer, ClientError> {
        self.get_as(address, "application/atom+xml").await?.success()
    }

    async fn get_as(&self, address: &str, accept: &'static str) -> Result<Answer, ClientError> {
        let url = self.resolve(address)?;
        let answer = self.with_redirect(url.clone(), accept).await?;
        let Login::Session { .. } = self.0.settings.login else { return Ok(answer) };
        if answer.status != 401 && answer.status != 403 {
            return Ok(answer);
        }
        // The session has expired: tries once more with a new one.
        *self.0.session.lock().await = None;
        self.with_redirect(url, accept).await
    }

    async fn with_redirect(&self, url: Url, accept: &'static str) -> Result<Answer, ClientError> {
        let (answer, location) = self.once(&url, accept).await?;
        match location.filter(|_| self.0.settings.follow_redirect && (300..400).contains(&answer.status)) {
            None => Ok(answer),
            Some(location) => {
                let to = url.join(&location).map_err(|_| ClientError::Address(location))?;
                let to = self.resolve(to.as_str())?;
                self.once(&to, accept).await.map(|(answer, _)| answer)
            }
        }
    }

    async fn once(&self, url: &Url, accept: &'static str) -> Result<(Answer, Option<String>), ClientError> {
        let mut request = self.request(url)?.header(ACCEPT, accept);
        match &self.0.settings.login {
            Login::Nobody => {}
            Login::Basic { user, password } => request = request.basic_auth(user, Some(password)),
            Login::Session { address, user, password } => {
                request = request.header(COOKIE, self.session(address, user, password).await?);
            }
        }
        self.answer(url, request).await.map(|(answer, headers)| (answer, headers.location))
    }

    /// Builds a request to where the publisher listens, with its logical host.
    fn request(&self, url: &Url) -> Result<RequestBuilder, ClientError> {
        let Some(via) = self.0.settings.via else { return Ok(self.0.http.get(url.clone())) };
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut to = Url::parse(&format!("http://{via}/")).map_err(|_| ClientError::Address(via.to_string()))?;
        to.set_path(url.path());
        to.set_query(url.query());
        Ok(self.0.http.get(to).header(HOST, host))
    }

    async fn answer(&self, url: &Url, request: RequestBuilder) -> Result<(Answer, Headers), ClientError> {
        let address = url.as_str();
        let mut response = request.send().await.map_err(|error| fault(address, &error))?;
        let headers = Headers::of(response.headers());
        let limit = self.0.settings.largest_answer;
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| fault(address, &error))? {
            if body.len() + part.len() > limit {
                return Err(ClientError::TooLarge { address: address.to_owned(), limit });
            }
            body.extend_from_slice(&part);
        }
        let answer = Answer {
            address: address.to_owned(),
            status: response.status().as_u16(),
            content_type: headers.content_type.clone(),
            body,
        };
        Ok((answer, headers))
    }

    /// Returns the login's cookies, logging in if there are none.
    async fn session(&self, address: &str, user: &str, password: &str) -> Result<String, ClientError> {
        let mut session = self.0.session.lock().await;
        if let Some(cookies) = &*session {
            return Ok(cookies.clone());
        }
        let url = self.resolve(address)?;
        let request = self.request(&url)?.header(ACCEPT, "application/json").basic_auth(user, Some(password));
        let (answer, headers) = self.answer(&url, request).await?;
        let refused = |why: &str| ClientError::Login(url.to_string(), why.to_owned());
        if answer.status == StatusCode::NO_CONTENT.as_u16() {
            return Err(refused("two factor authentication is enabled for this account"));
        }
        if !(200..300).contains(&answer.status) {
            return Err(refused(&format!("the login answered with status {}", answer.status)));
        }
        let told: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
        if told.is_some_and(|told| told.get("authenticated").and_then(serde_json::Value::as_bool) == Some(false)) {
            return Err(refused("name or password is wrong"));
        }
        if headers.cookies.is_empty() {
            return Err(refused("the login gave no cookie"));
        }
        Ok(session.insert(headers.cookies).clone())
    }

    /// Resolves a path or an address to an absolute address, if it belongs to the publisher.
    pub(super) fn resolve(&self, address: &str) -> Result<Url, ClientError> {
        if address.trim().is_empty() {
            return Err(ClientError::Address(address.to_owned()));
        }
        let url = self.0.origin.join(address).map_err(|_| ClientError::Address(without_password(address)))?;
        let url = http_address(url.as_str())?;
        if url.origin() == self.0.origin.origin() {
            return Ok(url);
        }
        if self.0.same_publisher.contains(&url.origin()) {
            let mut own = self.0.origin.clone();
            own.set_path(url.path());
            own.set_query(url.query());
            return Ok(own);
        }
        let origin = self.0.origin.origin().ascii_serialization();
        Err(ClientError::OtherOrigin { address: url.to_string(), origin })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("origin", &self.0.origin.as_str())
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}

/// The headers used from an answer.
struct Headers {
    location: Option<String>,
    content_type: String,
    /// Names and values of the cookies, as they are sent back.
    cookies: String,
}

impl Headers {
    fn of(headers: &reqwest::header::HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let cookies: Vec<&str> = headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next())
            .map(str::trim)
            .filter(|cookie| cookie.contains('='))
            .collect();
        Self {
            location: text(LOCATION),
            content_type: text(CONTENT_TYPE).unwrap_or_default(),
            cookies: cookies.join("; "),
        }
    }
}

/// Parses an http or https address; refuses one with a name or password in it.
fn http_address(address: &str) -> Result<Url, ClientError> {
    let url = Url::parse(address).map_err(|_| ClientError::Address(without_password(address)))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(ClientError::Address(without_password(address)));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ClientError::Credentials(without_password(address)));
    }
    Ok(url)
}

/// Returns an address safe for an error message: the part before an `@` in its host can be a password.
fn without_password(address: &str) -> String {
    let (scheme, rest) = address.split_once("//").map_or(("", address), |(scheme, rest)| (scheme, rest));
    let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..host].rfind('@') {
        Some(at) if !scheme.is_empty() => format!("{scheme}//…{}", &rest[at..]),
        _ => address.to_owned(),
    }
}

fn fault(address: &str, error: &reqwest::Error) -> ClientError {
    let address = address.to_owned();
    if error.is_timeout() {
        ClientError::TimedOut(address)
    } else if error.is_connect() {
        ClientError::Connect(address, reason(error))
    } else {
        ClientError::Broken(address, reason(error))
    }
}

/// Returns the innermost cause, which is the informative one.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
