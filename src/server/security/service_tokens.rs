//! Tokens of machines: created on a page or the command line, or named by the settings. Each opens one thing, in every
//! authentication mode, and identifies the machine, never a user.

use std::collections::BTreeSet;

use anyhow::bail;
use chrono::TimeDelta;

use super::{audit::Entry, client::ClientInfo, names::may_be_recorded, secrets};
use crate::{
    clock,
    error::Problem,
    model::{
        Person, Role,
        access::{KnownBy, ServiceRight},
        audit::{AuditKind, AuditOutcome},
    },
    server::{
        config::NamedToken,
        state::{Console, Parts},
        store::{NewServiceToken, ServiceToken, Store, StoreError},
    },
};

/// Prefix of the tokens that are created here. Tokens of the settings may begin differently.
const PREFIX: &str = "afs_";

/// Maximum number of unrevoked service tokens.
pub const MOST: usize = 100;
/// Maximum number of characters of a name.
pub const LONGEST_NAME: usize = 100;
/// Maximum number of days that a token can be valid.
pub const LONGEST_DAYS: u32 = 3_650;

/// A machine that sent its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub opens: ServiceRight,
    /// Keys of the applications that it may see; `None` if all.
    pub applications: Option<BTreeSet<String>>,
}

impl Service {
    /// Returns the person on the routes that the token opens: one who can see, but change nothing.
    pub fn person(&self) -> Person {
        Person {
            name: self.name.clone(),
            role: Role::Viewer,
            applications: self.applications.clone(),
            known_by: KnownBy::Service,
            reading_only: true,
        }
    }

    /// Returns the problem of using the token elsewhere.
    pub fn refused(&self) -> Problem {
        Problem::refused(
            format!("This is a service token: it opens only {}.", self.opens.meaning()),
            "For anything else, use an account or a token of a user.",
        )
    }
}

/// Result of looking up the token of a request.
#[derive(Clone, Debug)]
pub enum Found {
    Machine(Service),
    /// A token that belonged to a machine, or looks like it.
    NotValid(Problem),
    /// Not the token of a machine.
    Nothing,
}

/// Finds the machine with this token, and records the use.
///
/// # Errors
/// Fails if the store cannot be used.
pub async fn find(parts: &Parts, client: &ClientInfo, token: &str) -> Result<Found, StoreError> {
    let Some(found) = parts.store.service_token(&secrets::hash(token)).await? else {
        return Ok(if token.starts_with(PREFIX) { not_valid() } else { Found::Nothing });
    };
    let now = clock::now();
    if found.revoked_at.is_some() || found.expires_at.is_some_and(|at| at <= now) {
        return Ok(not_valid());
    }
    let address = client.address();
    let every = TimeDelta::from_std(parts.config.access.use_written_every()).unwrap_or(TimeDelta::MAX);
    let written = found.last_used_at.is_some_and(|at| now - at < every);
    if !written || found.last_address.as_deref() != Some(address.as_str()) {
        parts.store.touch_service_token(found.id, &address).await?;
    }
    Ok(Found::Machine(Service { name: found.name, opens: found.opens, applications: found.applications }))
}

fn not_valid() -> Found {
    Found::NotValid(Problem::not_signed_in(
        "This service token is unknown, has expired, or was revoked.",
        "An administrator can create another one on the page Service tokens.",
    ))
}

/// A token to be created.
#[derive(Clone, Debug)]
pub struct Asked {
    pub name: String,
    pub opens: ServiceRight,
    pub applications: Option<BTreeSet<String>>,
    /// `None` if it never expires.
    pub days: Option<u32>,
}

impl Asked {
    /// Checks a user's input. `days` may be empty: no end.
    ///
    /// # Errors
    /// Fails if the name or the number of days cannot be used.
    pub fn checked(
        name: &str,
        opens: ServiceRight,
        applications: Option<BTreeSet<String>>,
        days: &str,
    ) -> Result<Self, Problem> {
        let name = name.trim();
        if name.chars().count() > LONGEST_NAME || !may_be_recorded(name) {
            let unfit = Problem::bad_request(
                "This name cannot be used for a service token.",
                format!(
                    "Enter the machine that will use the token, in 1 to {LONGEST_NAME} characters, such as \"nagios\"."
                ),
            );
            return Err(unfit.at("name"));
        }
        let days = match days.trim() {
            "" => None,
            text => {
                Some(text.parse::<u32>().ok().filter(|days| (1..=LONGEST_DAYS).contains(days)).ok_or_else(|| {
                    Problem::bad_request(
                        "This is not a number of days.",
                        format!("Choose 1 to {LONGEST_DAYS}, or leave the field empty for no end."),
                    )
                    .at("days")
                })?)
            }
        };
        Ok(Self { name: name.to_owned(), opens, applications, days })
    }

    /// Returns the description of the token for the audit log.
    pub fn what(&self) -> String {
        what(&self.name, self.opens, self.applications.as_ref())
    }

    /// Creates the token and returns it with its number; it cannot be shown again.
    ///
    /// # Errors
    /// Fails if the name exists, there are too many tokens, or the store cannot be written.
    pub async fn make(&self, store: &Store, by: &str) -> Result<(i64, String), Problem> {
        let going_on = store.service_tokens().await?.iter().filter(|token| token.revoked_at.is_none()).count();
        if going_on >= MOST {
            return Err(Problem::bad_request(
                format!("There can be at most {MOST} service tokens."),
                "Revoke unused tokens.",
            ));
        }
        let token = format!("{PREFIX}{}", secrets::new());
        let new = NewServiceToken {
            hash: &secrets::hash(&token),
            name: &self.name,
            opens: self.opens,
            applications: self.applications.as_ref(),
            created_by: Some(by),
            expires_at: self.days.map(|days| clock::now() + TimeDelta::days(days.into())),
        };
        match store.add_service_token(&new).await? {
            Some(number) => Ok((number, token)),
            None => Err(Problem::bad_request(
                format!("The service token {:?} already exists.", self.name),
                "Choose another name, or revoke that token first.",
            )
            .at("name")),
        }
    }
}

/// Returns the description of a token for the audit log.
fn what(name: &str, opens: ServiceRight, applications: Option<&BTreeSet<String>>) -> String {
    let of = applications
        .map(|keys| format!(" of {}", keys.iter().map(String::as_str).collect::<Vec<_>>().join(", ")))
        .unwrap_or_default();
    format!("service token {name} for {opens}{of}")
}

/// Returns the description of a revoked token for the audit log.
pub fn what_is_revoked(token: &ServiceToken) -> String {
    format!("service token {} ({})", token.name, token.id)
}

/// Revokes the token of a machine.
///
/// # Errors
/// Fails if there is no such token, or the store cannot be written.
pub async fn revoke(store: &Store, id: i64) -> Result<(), Problem> {
    if store.revoke_service_token(id).await? {
        return Ok(());
    }
    Err(gone())
}

/// Returns the problem that a token does not exist, or no longer.
pub fn gone() -> Problem {
    Problem::not_found("This service token was already revoked.", "See the list.")
}

/// Returns the unrevoked token with this id.
///
/// # Errors
/// Fails if there is no such token.
pub async fn going_on(store: &Store, id: i64) -> Result<ServiceToken, Problem> {
    let tokens = store.service_tokens().await?;
    tokens.into_iter().find(|token| token.id == id && token.revoked_at.is_none()).ok_or_else(gone)
}

/// Replaces the store's tokens from the settings by those that the settings name now, and records the changes. A
/// revoked token stays revoked.
///
/// # Errors
/// Fails if a token or a name is also that of a token created on this console, or the store cannot be written.
pub async fn settle(console: &Console) -> anyhow::Result<()> {
    let Parts { store, audit, config, .. } = &*console.parts;
    let wanted = &config.access.service_tokens;
    let there = store.service_tokens().await?;
    let hash = |token: &NamedToken| secrets::hash(token.token.reveal());
    let of_hash = |hash: &[u8; 32]| there.iter().find(|kept| kept.hash == hash);
    let made = |kept: &&ServiceToken| !kept.from_settings;
    for token in wanted {
        if of_hash(&hash(token)).is_some_and(|kept| !kept.from_settings) {
            bail!(
                "The token_file of the service token {:?} has a token that was already created on this console. Put another \
                 token into the file.",
                token.name
            );
        }
        if there.iter().filter(made).any(|kept| kept.name == token.name) {
            bail!(
                "The service token {:?} was already created on this console. Revoke that token, or use another name in the \
                 settings.",
                token.name
            );
        }
    }
    let on_record = async |kind: AuditKind, what: String| {
        let entry = Entry::of_console(kind).what(what).outcome(AuditOutcome::Done);
        audit.record(entry).await.map_err(|problem| anyhow::anyhow!("{problem}"))
    };
    let hashes: Vec<[u8; 32]> = wanted.iter().map(hash).collect();
    for kept in there.iter().filter(|kept| kept.from_settings && kept.revoked_at.is_none()) {
        if !hashes.iter().any(|hash| kept.hash == hash) {
            let what = format!("{}: the settings do not name it any more", what_is_revoked(kept));
            on_record(AuditKind::TokenRevoked, what).await?;
            store.forget_service_token(kept.id).await?;
        }
    }
    // Existing tokens first: a name may have moved from one to another.
    for (token, hash) in wanted.iter().zip(&hashes) {
        let Some(kept) = of_hash(hash) else { continue };
        if let Some(at) = kept.revoked_at {
            tracing::warn!(
                "the service token {:?} of the settings was revoked at {}, and opens nothing: put another token into its file",
                token.name,
                at.format("%Y-%m-%d %H:%M UTC")
            );
        } else if (&kept.name, kept.opens, &kept.applications) != (&token.name, token.opens, &token.applications) {
            let what = what(&token.name, token.opens, token.applications.as_ref());
            on_record(AuditKind::TokenMade, format!("{what}: the settings say so now")).await?;
            store.change_service_token(kept.id, &token.name, token.opens, token.applications.as_ref()).await?;
        }
    }
    for (token, hash) in wanted.iter().zip(&hashes) {
        if of_hash(hash).is_some() {
            continue;
        }
        let what = what(&token.name, token.opens, token.applications.as_ref());
        on_record(AuditKind::TokenMade, format!("{what}, from the settings")).await?;
        let new = NewServiceToken {
            hash,
            name: &token.name,
            opens: token.opens,
            applications: token.applications.as_ref(),
            created_by: None,
            expires_at: None,
        };
        store.add_service_token(&new).await?;
    }
    Ok(())
}
