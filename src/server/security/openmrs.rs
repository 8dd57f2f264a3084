//! Checks names and passwords against the hospital's OpenMRS, and maps its roles and privileges to ours.
//!
//! `GET {url}/ws/rest/v1/session` with Basic credentials returns the user. The console ends the session that OpenMRS
//! begins for it at once, and does not store the password.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use reqwest::{Certificate, Client, Response, header, redirect::Policy};
use serde::Deserialize;

use super::names::may_be_recorded;
use crate::{error::Problem, model::Role, server::config::Openmrs};

/// Bytes of the largest response that is read: a user with all existing privileges takes a tenth of it.
const LARGEST: usize = 2 << 20;

/// Maximum number of simultaneous checks: a flood of sign-ins must not flood OpenMRS.
const AT_ONCE: usize = 4;

/// What OpenMRS knows about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The name as OpenMRS writes it.
    pub name: String,
    pub role: Role,
}

/// Client of the session service of OpenMRS.
#[derive(Clone, Debug)]
pub struct OpenmrsClient {
    settings: Openmrs,
    client: Client,
    turns: Arc<tokio::sync::Semaphore>,
}

#[derive(Debug, Deserialize)]
struct Session {
    #[serde(default)]
    authenticated: bool,
    user: Option<User>,
}

#[derive(Debug, Deserialize)]
struct User {
    username: Option<String>,
    #[serde(rename = "systemId")]
    system_id: Option<String>,
    #[serde(default)]
    roles: Vec<Named>,
    #[serde(default)]
    privileges: Vec<Named>,
}

/// A role or a privilege. OpenMRS versions differ in which of the two fields they fill.
#[derive(Debug, Deserialize)]
struct Named {
    name: Option<String>,
    display: Option<String>,
}

impl Named {
    fn name(&self) -> Option<&str> {
        self.name.as_deref().or(self.display.as_deref())
    }
}

impl OpenmrsClient {
    /// Creates a client with these settings.
    ///
    /// # Errors
    /// Fails if the file with the certificate authorities contains none, or TLS cannot be set up.
    pub fn new(settings: Openmrs) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        // Installing a second provider in the process has no effect.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout.min(Duration::from_secs(5)))
            // Following a redirect would send the password elsewhere.
            .redirect(Policy::none())
            .no_proxy();
        if let Some(file) = &settings.ca {
            let text = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
            let authorities = Certificate::from_pem_bundle(&text)
                .with_context(|| format!("{} holds no certificates", file.display()))?;
            client = client.tls_certs_merge(authorities);
        }
        let client = client.build().context("the connection to OpenMRS cannot be set up")?;
        Ok(Self { settings, client, turns: Arc::new(tokio::sync::Semaphore::new(AT_ONCE)) })
    }

    /// Returns the user with this name and password; `None` if they are wrong.
    ///
    /// # Errors
    /// Fails if OpenMRS does not answer, returns something unexpected, or requires more. Status 403 if they are right,
    /// but the user has no role here, or a name that cannot be used.
    pub async fn who(&self, name: &str, password: &str) -> Result<Option<Known>, Problem> {
        // Basic cannot send a name with a colon, so no such user can sign in.
        if name.is_empty() || name.contains(':') {
            return Ok(None);
        }
        let turn = tokio::time::timeout(self.settings.timeout, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(silent("it is busy with other sign-ins")) };
        let url = format!("{}/ws/rest/v1/session", self.settings.url.as_str().trim_end_matches('/'));
        let answer = self
            .client
            .get(&url)
            .basic_auth(name, Some(password))
            .header(header::ACCEPT, "application/json")
            .send()
            .await
            .map_err(|error| silent(&in_words(&error)))?;
        let known = self.read(answer, &url).await?;
        let Some(user) = known else { return Ok(None) };
        let names = || user.roles.iter().chain(&user.privileges).filter_map(Named::name);
        let shown = user.username.clone().filter(|name| !name.is_empty()).or(user.system_id.clone());
        let shown = shown.unwrap_or_else(|| name.to_owned());
        if !may_be_recorded(&shown) {
            return Err(Problem::refused(
                "This console cannot use your name in OpenMRS: it is too long, has control characters, or is a word of the \
                 console.",
                "Ask the OpenMRS administrator for another user name.",
            ));
        }
        match self.settings.roles.role(names().collect::<Vec<_>>()) {
            Some(role) => Ok(Some(Known { name: shown, role })),
            None => Err(Problem::refused(
                format!("OpenMRS knows {shown}, but no role or privilege there gives access to this console."),
                "Ask the OpenMRS administrator, or the administrator of this console (setting access.openmrs).",
            )),
        }
    }

    async fn read(&self, mut answer: Response, url: &str) -> Result<Option<User>, Problem> {
        let status = answer.status();
        match status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(None),
            StatusCode::NO_CONTENT => {
                return Err(Problem::unavailable(
                    "OpenMRS asks this user for a second factor. This console cannot pass it on.",
                    "Sign in as a user without a second factor, or ask the administrator for another way to sign in.",
                ));
            }
            status if status.is_redirection() => {
                return Err(Problem::unavailable(
                    "OpenMRS is starting, or is being set up.",
                    "Wait some minutes, then try again. If this continues, the address of OpenMRS in the configuration is wrong.",
                ));
            }
            status => return Err(silent(&format!("it answers with the status {}", status.as_u16()))),
        }
        self.end_session(&answer, url);
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| silent(&in_words(&error)))? {
            if body.len() + piece.len() > LARGEST {
                return Err(silent("the answer is too large for OpenMRS"));
            }
            body.extend_from_slice(&piece);
        }
        let session: Session = serde_json::from_slice(&body).map_err(|error| {
            tracing::warn!(%error, "OpenMRS did not answer as OpenMRS does");
            silent("the address is not the REST service of OpenMRS")
        })?;
        Ok(session.user.filter(|_| session.authenticated))
    }

    /// Ends the session that OpenMRS began, without waiting for it. If that fails, OpenMRS ends it after a while.
    fn end_session(&self, answer: &Response, url: &str) {
        let cookies = answer.headers().get_all(header::SET_COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let Some(cookie) =
            cookies.filter_map(|cookie| cookie.split(';').next()).find(|cookie| cookie.contains("JSESSIONID"))
        else {
            return;
        };
        let end = self.client.delete(url).header(header::COOKIE, cookie);
        tokio::spawn(async move {
            if let Err(error) = end.send().await {
                tracing::debug!(%error, "the session in OpenMRS could not be ended");
            }
        });
    }
}

/// Returns why a request failed, without the address: only the log contains it.
fn in_words(error: &reqwest::Error) -> String {
    tracing::warn!(%error, "OpenMRS could not be asked");
    if error.is_timeout() {
        "it takes too long to answer".to_owned()
    } else if error.is_connect() {
        "it cannot be reached".to_owned()
    } else {
        "the connection broke".to_owned()
    }
}

fn silent(why: &str) -> Problem {
    Problem::unavailable(
        format!("OpenMRS is needed to sign in, but does not answer: {why}."),
        "Try again in a minute. If this continues, tell the administrator. The log of the console has the details.",
    )
}
