//! The tokens of machines: which there are, making one, and revoking one.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

use crate::{
    error::Problem,
    model::{ApplicationInfo, access::ServiceRight},
};

/// Every token of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceTokensPage {
    pub tokens: Vec<ServiceTokenRow>,
    pub applications: Vec<ApplicationInfo>,
    /// Name and token that was just made. It is here once.
    pub new_token: Option<(String, String)>,
    /// What was just done. It is here once.
    pub done: Option<String>,
    /// Making one takes the password of whoever asks.
    pub asks_password: bool,
}

/// A token of a machine, without what proves it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceTokenRow {
    pub id: i64,
    pub name: String,
    pub opens: ServiceRight,
    /// Keys of the applications that it tells of; `None`: all.
    pub applications: Option<BTreeSet<String>>,
    /// `None`: the settings name it.
    pub created_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Its time is over.
    pub expired: bool,
    pub last_used_at: Option<DateTime<Utc>>,
    pub last_address: Option<String>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Every token of a machine.
#[server(prefix = "/api", input = GetUrl, endpoint = "list_service_tokens")]
pub async fn list_service_tokens() -> Result<ServiceTokensPage, Problem> {
    use crate::server::security::{sign_in::ShownOnce, visit::Proof};
    let console = super::service_tokens_console()?;
    let visit = super::visit()?;
    let new_token = console.parts.doorkeeper.take_shown(&visit, |what| match what {
        ShownOnce::ServiceToken { name, token } => Some((name.clone(), token.clone())),
        _ => None,
    });
    let now = Utc::now();
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
        asks_password: matches!(visit.proof, Proof::Session(_)),
    })
}

/// Makes a token for a machine. `days` is how long it can be used; empty: without an end. A token outlasts the session, so
/// the password is asked for again where there is one.
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
        report::{self, Happened},
        service_tokens::Asked,
        sign_in::{self, ShownOnce},
        visit::Proof,
    };
    let console = super::service_tokens_console()?;
    let (visit, person) = (super::visit()?, super::person()?);
    let applications = super::chosen_applications(&console, !all.is_empty(), applications)?;
    let asked = Asked::checked(&name, right, applications, &days)?;
    match visit.proof {
        Proof::Session(_) => sign_in::confirm(&console, &visit, &person.name, &password, "password").await?,
        // Nobody has a password of this console's there.
        Proof::Proxy | Proof::Open => {}
        // What a program holds must not make more of its kind.
        Proof::Token | Proof::Basic | Proof::Service | Proof::Nothing => return Err(sign_in::only_in_a_session()),
    }
    let making = asked.make(&console.parts.store, &person.name);
    let what = asked.what();
    let token =
        report::on_record(&console, &visit, &person.name, Happened::ServiceTokenMade { what: &what }, making).await?;
    console.parts.doorkeeper.show_once(&visit, ShownOnce::ServiceToken { name: asked.name, token });
    super::go_to(&console.parts.config.base.service_tokens());
    Ok(())
}

/// Revokes the token of a machine.
#[server(prefix = "/api", endpoint = "revoke_service_token")]
pub async fn revoke_service_token(id: i64) -> Result<(), Problem> {
    use crate::server::security::{
        report::{self, Happened},
        service_tokens,
    };
    let console = super::service_tokens_console()?;
    let (visit, person) = (super::visit()?, super::person()?);
    let store = &console.parts.store;
    let what = service_tokens::what_is_revoked(&service_tokens::going_on(store, id).await?);
    let revoking = service_tokens::revoke(store, id);
    report::on_record(&console, &visit, &person.name, Happened::ServiceTokenRevoked { what: &what }, revoking).await?;
    super::say_done(&console, "The service token is revoked.".to_owned())?;
    super::go_to(&console.parts.config.base.service_tokens());
    Ok(())
}
