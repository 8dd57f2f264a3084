//! `atomfeed-console account …`: manages accounts on the machine itself, also while the console runs.
//!
//! A password is typed twice without being shown, or read from standard input. It is never an argument, because every
//! user of the machine can see arguments, and shells keep them in histories.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};

use super::{
    config::{Config, Mode},
    output::{self, remark, say},
    security::{
        audit::{Audit, COMMAND_LINE, Entry},
        passwords::PasswordChecker,
        sign_in::{check_new_name, chosen},
    },
    store::{Account, NewAccount, NewPassword, Store, Unchanged, folded},
};
use crate::model::{
    Role,
    audit::{AuditKind, AuditOutcome},
    error_text::visible_line,
};

/// The task of a command.
#[derive(Clone, Debug)]
pub enum Task {
    List,
    Add {
        name: String,
        role: Role,
        applications: Vec<String>,
        one_time: bool,
    },
    Password {
        name: String,
        one_time: bool,
    },
    Disable {
        name: String,
    },
    Enable {
        name: String,
    },
    ResetSecondFactor {
        name: String,
    },
    /// The tokens of one account, or of all.
    Tokens {
        name: Option<String>,
    },
    /// A token by its number, or all of the account's.
    Revoke {
        name: String,
        number: Option<i64>,
    },
}

/// Runs the task, and prints what was done.
///
/// # Errors
/// Fails with a message for the user if there is no such account, the password is weak, or the store cannot be opened.
pub async fn run(config: &Config, task: Task) -> anyhow::Result<()> {
    if config.access.way.mode() != Mode::Accounts {
        remark("Note: access.mode is not \"accounts\". Sign-in with an account is not possible now.");
    }
    let store = Store::open(&config.store).await?;
    let done = act(config, &store, task).await;
    store.close().await;
    done
}

async fn act(config: &Config, store: &Store, task: Task) -> anyhow::Result<()> {
    match task {
        Task::List => list(store).await,
        Task::Add { name, role, applications, one_time } => {
            check_new_name(store, &name).await?;
            let applications = applications_of(config, applications)?;
            if store.account(&name).await?.is_some() {
                bail!("The account {} already exists.", folded(&name));
            }
            let password = password(&name, one_time).await?;
            let name = folded(&name);
            let new =
                NewAccount { name: name.clone(), role, applications, password, created_by: COMMAND_LINE.to_owned() };
            on_record(store, AuditKind::AccountChanged, format!("account {name} added"), async {
                if !store.add_account(&new).await? {
                    bail!("The account {name} already exists.");
                }
                Ok(())
            })
            .await?;
            say(format_args!("The account {name} was added, as {role}."));
            Ok(())
        }
        Task::Password { name, one_time } => {
            let name = existing(store, &name).await?.name;
            let password = password(&name, one_time).await?;
            on_record(store, AuditKind::AccountChanged, format!("password of {name} changed"), async {
                changed(store.set_password(&name, &password, None).await?, &name)
            })
            .await?;
            say(format_args!(
                "The password of {name} was changed; its sessions have ended, and its tokens are revoked."
            ));
            Ok(())
        }
        Task::Disable { name } => {
            on_record(store, AuditKind::AccountChanged, format!("account {name} disabled"), async {
                changed(store.set_disabled(&name, true).await?, &name)
            })
            .await?;
            say(format_args!("The account {name} is disabled; its sessions have ended, and its tokens do not work."));
            Ok(())
        }
        Task::Enable { name } => {
            on_record(store, AuditKind::AccountChanged, format!("account {name} enabled"), async {
                changed(store.set_disabled(&name, false).await?, &name)
            })
            .await?;
            say(format_args!("The account {name} is enabled, and its tokens work again."));
            Ok(())
        }
        Task::ResetSecondFactor { name } => {
            let name = existing(store, &name).await?.name;
            on_record(store, AuditKind::AccountChanged, format!("second factor of {name} reset"), async {
                let reset = store.reset_second_factor(&name, &[]).await?;
                if reset == Ok(false) {
                    bail!("{name} has no second factor. Nothing was changed.");
                }
                changed(reset.map(drop), &name)
            })
            .await?;
            say(format_args!(
                "The second factor of {name} is reset; its sessions have ended. The password alone is enough to sign in."
            ));
            Ok(())
        }
        Task::Tokens { name } => tokens(store, name).await,
        Task::Revoke { name, number } => revoke(store, &name, number).await,
    }
}

async fn existing(store: &Store, name: &str) -> anyhow::Result<Account> {
    store.account(name).await?.with_context(|| format!("There is no account {name:?}."))
}

async fn tokens(store: &Store, name: Option<String>) -> anyhow::Result<()> {
    let only = match name {
        Some(name) => Some(existing(store, &name).await?.name),
        None => None,
    };
    let mut tokens = store.all_tokens().await?;
    tokens.retain(|(owner, _)| only.as_ref().is_none_or(|only| only == owner));
    if tokens.is_empty() {
        say("There are no tokens.");
    }
    let time = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
    for (owner, token) in tokens {
        let reading = if token.reading_only { ", reading only" } else { "" };
        let until = token.expires_at.map_or_else(|| "no end".to_owned(), |at| format!("until {}", time(at)));
        let used = match (token.last_used_at, token.last_address) {
            (Some(at), Some(address)) => format!("last used {} from {address}", time(at)),
            (Some(at), None) => format!("last used {}", time(at)),
            (None, _) => "never used".to_owned(),
        };
        let label = visible_line(&token.label);
        say(format_args!("{:>6}  {owner:<24} {}{reading}, {until}, {used}: {label}", token.id, token.role.word()));
    }
    Ok(())
}

async fn revoke(store: &Store, name: &str, number: Option<i64>) -> anyhow::Result<()> {
    let account = existing(store, name).await?;
    let name = &account.name;
    let what = match number {
        Some(number) => format!("token {number} of {name}"),
        None => format!("every token of {name}"),
    };
    on_record(store, AuditKind::TokenRevoked, what, async {
        match number {
            Some(number) if !store.end_token(account.id, number).await? => {
                bail!("{name} has no token {number}. List the tokens with: account tokens {name}.")
            }
            Some(number) => say(format_args!("The token {number} of {name} is revoked.")),
            None => {
                let ended = store.end_tokens(account.id).await?;
                say(format_args!("Revoked tokens of {name}: {ended}."));
            }
        }
        Ok(())
    })
    .await
}

/// Makes a change, and records its beginning and its end in the audit log. A change that cannot be recorded is not
/// made.
pub(super) async fn on_record(
    store: &Store,
    kind: AuditKind,
    what: String,
    change: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let audit = Audit::new(store.clone());
    let entry = Entry::of_command_line(kind).what(what);
    audit.record(entry.clone().outcome(AuditOutcome::Begun)).await?;
    let done = change.await;
    let outcome = if done.is_ok() { AuditOutcome::Done } else { AuditOutcome::Failed };
    // If the end cannot be recorded, the change is not undone: its beginning is recorded.
    if let Err(problem) = audit.record(entry.outcome(outcome)).await {
        remark(format_args!("Note: {problem}"));
    }
    done
}

async fn list(store: &Store) -> anyhow::Result<()> {
    let accounts = store.accounts().await?;
    if accounts.is_empty() {
        say("There are no accounts. The first start of the console adds an administrator.");
    }
    for account in accounts {
        let applications = match &account.applications {
            None => "all applications".to_owned(),
            Some(keys) => keys.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        };
        let last = account.last_sign_in_at.map_or_else(
            || "never signed in".to_owned(),
            |at| format!("last signed in {}", at.format("%Y-%m-%d %H:%M UTC")),
        );
        let state = if account.disabled_at.is_some() {
            ", disabled"
        } else if account.must_change {
            ", one-time password"
        } else {
            ""
        };
        let factor = if account.second_factor { ", second factor" } else { "" };
        say(format_args!("{:<24} {:<14} {applications}, {last}{state}{factor}", account.name, account.role.word()));
    }
    Ok(())
}

/// Returns the keys of the applications with these keys or names; `None` (all applications) if there are none.
pub(super) fn applications_of(
    config: &Config,
    wanted: Vec<String>,
) -> anyhow::Result<Option<std::collections::BTreeSet<String>>> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let keys = wanted.into_iter().map(|wanted| {
        let known = config.infos();
        let found = known.iter().find(|info| info.key == wanted || info.name.eq_ignore_ascii_case(&wanted));
        let names = known.iter().map(|info| info.name.as_str()).collect::<Vec<_>>().join(", ");
        found
            .map(|info| info.key.clone())
            .with_context(|| format!("There is no application {wanted:?}. The configured applications are: {names}."))
    });
    keys.collect::<anyhow::Result<_>>().map(Some)
}

fn changed(done: Result<(), Unchanged>, name: &str) -> anyhow::Result<()> {
    match done {
        Ok(()) => Ok(()),
        Err(Unchanged::NoAccount) => bail!("There is no account {name:?}."),
        Err(Unchanged::LastAdministrator) => {
            bail!("{name} is the last administrator of all applications. Add another one first.")
        }
    }
}

/// Returns the new password: generated and printed, or typed by the user.
async fn password(name: &str, one_time: bool) -> anyhow::Result<NewPassword> {
    let checker = PasswordChecker::new();
    if one_time {
        let (password, kept) = checker.one_time().await?;
        output::secret(format_args!("One-time password: {password}"))
            .context("The one-time password could not be printed. Nothing was changed")?;
        say("It is valid for 7 days and for one sign-in. It must be changed at this sign-in.");
        return Ok(kept);
    }
    let typed = read_password()?;
    Ok(chosen(&checker, &folded(name), &typed).await?)
}

fn read_password() -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).context("There is no password on standard input")?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let ask = |what: &str| -> anyhow::Result<String> {
        output::ask(format_args!("{what}: "));
        rpassword::read_password().context("The password could not be read")
    };
    let (first, second) = (ask("Password")?, ask("Password again")?);
    if first != second {
        bail!("The two passwords are not the same. Nothing was changed.");
    }
    Ok(first)
}
