//! Service tokens, for machines: listing, creating and revoking them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::clock;
use crate::{
    error::Problem,
    model::{ApplicationInfo, access::ServiceRight},
};

/// All service tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceTokensPage {
    pub tokens: Vec<ServiceTokenRow>,
    pub applications: Vec<ApplicationInfo>,
    /// Name and token that was just created; returned only once.
    pub new_token: Option<(String, String)>,
    /// What was just done; returned only once.
    pub done: Option<String>,
    /// Creating one requires the caller's password.
    pub asks_password: bool,
}

/// A service token, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceTokenRow {
    pub id: i64,
    pub name: String,
    pub opens: ServiceRight,
    /// Keys of the applications that it covers; `None` if all.
    pub applications: Option<BTreeSet<String>>,
    /// `None` if the token comes from the settings.
    pub created_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    /// It has expired.
    pub expired: bool,
    pub last_used_at: Option<DateTime<Utc>>,
    pub last_address: Option<String>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Lists all service tokens.
#[server(prefix = "/api", input = GetUrl, endpoint = "list_service_tokens")]
pub async fn list_service_tokens() -> Result<ServiceTokensPage, Problem> {
    use crate::server::security::{authenticate::Credential, sign_in::ShownOnce};
    let console = super::service_tokens_console()?;
    let caller = super::caller()?;
    let new_token = console.parts.sign_in_service.take_shown(&caller, |what| match what {
        ShownOnce::ServiceToken { name, token } => Some((name.clone(), token.clone())),
        _ => None,
    });
    let now = clock::now();
    let tokens = console.parts.store.service_tokens().await?;
    Ok(ServiceTokensPage {
        tokens: tokens
            .into_iter()
            .map(|token| ServiceTokenRow {
                expired: token.expires_at.is_some_and(|at| at <= now),
                id: token.id,
                name: token.name,
                opens: token.opens,
                applications: token.applications,
                created_by: (!token.from_settings).then_some(token.created_by),
                created_at: token.created_at,
                expires_at: token.expires_at,
                last_used_at: token.last_used_at,
                last_address: token.last_address,
                revoked_at: token.revoked_at,
            })
            .collect(),
        applications: console.applications().cloned().collect(),
        new_token,
        done: super::done()?,
        asks_password: matches!(caller.credential, Credential::Session(_)),
    })
}

/// Creates a service token. `days` is its lifetime; empty: no end. The password is asked for again in a session,
/// because a token outlasts it.
#[server(prefix = "/api", endpoint = "make_service_token")]
pub async fn make_service_token(
    #[server(default)] password: String,
    #[server(default)] name: String,
    right: ServiceRight,
    #[server(default)] all: String,
    #[server(default)] applications: Vec<String>,
    #[server(default)] days: String,
) -> Result<(), Problem> {
    use crate::server::security::{
        authenticate::Credential,
        report::{self, Happened},
        service_tokens::Asked,
        sign_in::{self, ShownOnce},
    };
    let console = super::service_tokens_console()?;
    let (caller, person) = (super::caller()?, super::person()?);
    let applications = super::chosen_applications(&console, !all.is_empty(), applications)?;
    let asked = Asked::checked(&name, right, applications, &days)?;
    match caller.credential {
        Credential::Session(_) => sign_in::confirm(&console, &caller, &person.name, &password, "password").await?,
        // In these modes users have no password in this console.
        Credential::Proxy | Credential::Open => {}
        // A program's credential must not create further credentials.
        Credential::Token | Credential::Basic | Credential::Service | Credential::Nothing => {
            return Err(sign_in::only_in_a_session());
        }
    }
    let making = asked.make(&console.parts.store, &person.name);
    let what = asked.what();
    let (_, token) =
        report::on_record(&console, &caller, &person.name, Happened::ServiceTokenMade { what: &what }, making).await?;
    console.parts.sign_in_service.show_once(&caller, ShownOnce::ServiceToken { name: asked.name, token });
    super::go_to(&console.parts.config.base.service_tokens());
    Ok(())
}

/// Revokes a service token.
#[server(prefix = "/api", endpoint = "revoke_service_token")]
pub async fn revoke_service_token(id: i64) -> Result<(), Problem> {
    use crate::server::security::{
        report::{self, Happened},
        service_tokens,
    };
    let console = super::service_tokens_console()?;
    let (caller, person) = (super::caller()?, super::person()?);
    let store = &console.parts.store;
    let what = service_tokens::what_is_revoked(&service_tokens::going_on(store, id).await?);
    let revoking = service_tokens::revoke(store, id);
    report::on_record(&console, &caller, &person.name, Happened::ServiceTokenRevoked { what: &what }, revoking).await?;
    super::say_done(&console, "The service token is revoked.".to_owned())?;
    super::go_to(&console.parts.config.base.service_tokens());
    Ok(())
}
