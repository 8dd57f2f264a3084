//! The first accounts of a console, and which names new accounts may have.

use unicode_security::MixedScript as _;

use super::{
    super::{
        names::{appearance, may_be_recorded},
        passwords::PasswordChecker,
    },
    FIRST_ACCOUNT,
};
use crate::{
    error::Problem,
    model::Role,
    server::{
        config::{AuthMode, Config, DemoAccounts},
        store::{Keep, NewAccount, NewPassword, Store, folded},
    },
};

/// Creates the accounts that a first start needs, and returns the lines to print, once.
///
/// # Errors
/// Fails if the store cannot be written.
pub async fn first_accounts(config: &Config, store: &Store, checker: &PasswordChecker) -> anyhow::Result<Vec<String>> {
    let access = &config.access;
    if access.way != AuthMode::Accounts {
        return Ok(Vec::new());
    }
    if let Some(demo) = &access.demo {
        return demo_accounts(demo, store, checker).await;
    }
    if store.has_accounts().await? {
        return Ok(Vec::new());
    }
    let (password, kept) = checker.one_time().await?;
    let account = NewAccount {
        name: FIRST_ACCOUNT.to_owned(),
        role: Role::Administrator,
        applications: None,
        password: kept,
        created_by: "the first start".to_owned(),
    };
    if !store.add_account(&account).await? {
        return Ok(Vec::new());
    }
    Ok(vec![
        "This is the first start: there are no accounts yet.".to_owned(),
        format!("Sign in as {FIRST_ACCOUNT} with the one-time password {password}"),
        "The password is shown only now, and is valid for 7 days. If you lose it, create another one with".to_owned(),
        format!("  {}", config.command.line(&format!("account password {FIRST_ACCOUNT} --one-time"))),
    ])
}

/// Gives the demo's accounts the passwords of this start, whatever an earlier start set.
async fn demo_accounts(demo: &DemoAccounts, store: &Store, checker: &PasswordChecker) -> anyhow::Result<Vec<String>> {
    let mut said = vec!["The demo hospital has three accounts:".to_owned()];
    for (role, password) in &demo.accounts {
        let kept = NewPassword { hash: checker.hash(password).await?, must_change: false, until: None };
        let account = NewAccount {
            name: role.word().to_owned(),
            role: *role,
            applications: None,
            password: kept.clone(),
            created_by: "the demo".to_owned(),
        };
        if !store.add_account(&account).await? {
            let tokens_stay = Keep { session: &[], tokens: true };
            let _ = store.set_password(role.word(), &kept, Some(tokens_stay)).await?;
        }
        said.push(format!("  {:<15} {password}", role.word()));
    }
    Ok(said)
}

/// Checks whether a text can be the name of an account.
///
/// # Errors
/// Fails with the reason.
fn check_name(name: &str) -> Result<(), Problem> {
    let length = name.trim().chars().count();
    let is_allowed = |char: char| char.is_alphanumeric() || "._-@+".contains(char);
    if (1..=64).contains(&length) && name.trim().chars().all(is_allowed) && may_be_recorded(name) {
        return Ok(());
    }
    Err(Problem::bad_request(
        "This name cannot be used for an account.",
        "A name has 1 to 64 letters, digits and . _ - @ +, without spaces, and is not a word of the console, such \
         as console.",
    ))
}

/// Checks the name of a new account, and that it does not look like another account's name.
///
/// # Errors
/// Fails if the name cannot be used, if it looks like another account's name, or if the store cannot be read.
pub async fn check_new_name(store: &Store, name: &str) -> Result<(), Problem> {
    check_name(name)?;
    let accounts = store.accounts().await?;
    check_likeness(name, accounts.iter().map(|account| account.name.as_str()))
}

/// Checks that the name of a new account cannot be confused with another by eye: it uses one script, and does not look
/// like the name of one of these accounts. Existing accounts keep their names.
///
/// # Errors
/// Fails if the name mixes scripts, or if it looks like another account's name, which the error states.
fn check_likeness<'n>(name: &str, accounts: impl IntoIterator<Item = &'n str>) -> Result<(), Problem> {
    let name = folded(name);
    if !name.as_str().is_single_script() {
        return Err(Problem::bad_request(
            "This name mixes letters of different scripts, such as Latin and Cyrillic.",
            "Use letters of one script: names that look alike cannot be told apart in the audit log.",
        ));
    }
    let this = appearance(&name);
    match accounts.into_iter().find(|other| **other != *name && appearance(other) == this) {
        None => Ok(()),
        Some(other) => Err(Problem::bad_request(
            format!("This name looks like the name of the account {other}."),
            "Choose another name: names that look alike cannot be told apart in the audit log.",
        )),
    }
}
