//! `atomfeed-console service-token …`: manages service tokens on the machine itself, also while the console runs.

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use super::{
    accounts_cli::{applications_of, on_record},
    config::Config,
    output::{self, remark, say},
    security::{
        audit::COMMAND_LINE,
        service_tokens::{self, Asked},
    },
    store::{ServiceToken, Store},
};
use crate::clock;
use crate::model::{access::ServiceRight, audit::AuditKind, error_text::visible_line};

/// The task of a command.
#[derive(Clone, Debug)]
pub enum Task {
    List,
    Add {
        name: String,
        right: ServiceRight,
        applications: Vec<String>,
        days: Option<u32>,
    },
    /// A token by its number.
    Revoke {
        number: i64,
    },
}

/// Runs the task, and prints what was done.
///
/// # Errors
/// Fails with a message for the user if the name is taken, there is no such token, or the store cannot be opened.
pub async fn run(config: &Config, task: Task) -> anyhow::Result<()> {
    let store = Store::open(&config.store).await?;
    let done = act(config, &store, task).await;
    store.close().await;
    done
}

async fn act(config: &Config, store: &Store, task: Task) -> anyhow::Result<()> {
    match task {
        Task::List => list(store).await,
        Task::Add { name, right, applications, days } => {
            let applications = applications_of(config, applications)?;
            let days = days.map(|days| days.to_string()).unwrap_or_default();
            let asked = Asked::checked(&name, right, applications, &days)?;
            let mut made = (0, String::new());
            on_record(store, AuditKind::TokenMade, asked.what(), async {
                made = asked.make(store, COMMAND_LINE).await?;
                Ok(())
            })
            .await?;
            let (number, token) = made;
            if let Err(error) = output::secret(&token) {
                revoke(store, number).await?;
                return Err(error).context("The token could not be printed. It was revoked");
            }
            remark(format_args!(
                "This is the token of {}. It will not be shown again. It opens {}.",
                visible_line(&asked.name),
                asked.opens.meaning()
            ));
            Ok(())
        }
        Task::Revoke { number } => {
            let token = revoke(store, number).await?;
            say(format_args!("The service token {} ({number}) is revoked.", visible_line(&token.name)));
            Ok(())
        }
    }
}

/// Revokes a token, on record, and returns it.
async fn revoke(store: &Store, number: i64) -> anyhow::Result<ServiceToken> {
    let token = service_tokens::going_on(store, number).await?;
    on_record(store, AuditKind::TokenRevoked, service_tokens::what_is_revoked(&token), async {
        Ok(service_tokens::revoke(store, number).await?)
    })
    .await?;
    Ok(token)
}

async fn list(store: &Store) -> anyhow::Result<()> {
    let tokens = store.service_tokens().await?;
    if tokens.is_empty() {
        say("There are no service tokens.");
    }
    for token in tokens {
        say(line(&token, clock::now()));
    }
    Ok(())
}

fn line(token: &ServiceToken, now: DateTime<Utc>) -> String {
    let time = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
    let of = match &token.applications {
        None => "all applications".to_owned(),
        Some(keys) => keys.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    };
    let by = if token.from_settings { "the settings" } else { token.created_by.as_str() };
    let end = match (token.revoked_at, token.expires_at) {
        (Some(at), _) => format!("revoked {}", time(at)),
        (None, None) => "no end".to_owned(),
        (None, Some(at)) if at <= now => "expired".to_owned(),
        (None, Some(at)) => format!("until {}", time(at)),
    };
    let used = match (token.last_used_at, &token.last_address) {
        (Some(at), Some(address)) => format!("last used {} from {address}", time(at)),
        (Some(at), None) => format!("last used {}", time(at)),
        (None, _) => "never used".to_owned(),
    };
    format!(
        "{:>6}  {:<24} {} of {of}, created {} by {}, {end}, {used}",
        token.id,
        visible_line(&token.name),
        token.opens,
        time(token.created_at),
        visible_line(by)
    )
}
