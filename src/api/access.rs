//! Sign-in and sign-out, the user's own account, and the administration of all accounts.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::clock;
use crate::{
    error::Problem,
    model::{ApplicationInfo, Person, Role},
};

/// The user's own account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnAccount {
    pub person: Person,
    /// The account is kept by this console, with its own password and tokens.
    pub kept_here: bool,
    pub must_change: bool,
    /// Names of the applications that the user may see; `None` if all.
    pub applications: Option<Vec<String>>,
    pub sessions: Vec<OwnSession>,
    pub tokens: Vec<OwnToken>,
    /// A token that was just created; returned only once.
    pub new_token: Option<String>,
    /// Minimum password length.
    pub shortest: usize,
    /// When a second factor was set up, and the number of recovery codes left; `None` if there is no second factor.
    pub second_factor: Option<(DateTime<Utc>, i64)>,
    /// The user's role requires a second factor.
    pub second_factor_demanded: bool,
    /// What was just done; returned only once.
    pub done: Option<String>,
}

/// A session of the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnSession {
    pub number: i64,
    /// It is the session of this request.
    pub this: bool,
    pub created_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    pub address: String,
    pub browser: String,
}

/// A token of a user, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnToken {
    pub id: i64,
    pub label: String,
    pub role: Role,
    pub reading_only: bool,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    /// It has expired.
    pub expired: bool,
    pub last_used_at: Option<DateTime<Utc>>,
    pub last_address: Option<String>,
}

/// All accounts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountsPage {
    pub accounts: Vec<AccountRow>,
    pub applications: Vec<ApplicationInfo>,
    /// Name and one-time password of an account that was just created or given a new password; returned only once.
    pub new_password: Option<(String, String)>,
    /// All tokens, each with its owner's name, sorted by owner.
    pub tokens: Vec<(String, OwnToken)>,
    /// What was just done; returned only once.
    pub done: Option<String>,
}

/// One account, as administrators see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountRow {
    pub name: String,
    /// It is the caller's own account.
    pub own: bool,
    pub role: Role,
    /// Keys of the applications that the account may see; `None` if all.
    pub applications: Option<BTreeSet<String>>,
    /// It has a one-time password that was not used or not replaced yet.
    pub must_change: bool,
    pub disabled: bool,
    pub second_factor: bool,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
    pub last_sign_in_at: Option<DateTime<Utc>>,
}

/// Signs in and redirects to `to`, a path and query below the base.
#[server(prefix = "/api", endpoint = "sign_in")]
pub async fn sign_in(
    #[server(default)] name: String,
    #[server(default)] password: String,
    #[server(default)] to: String,
) -> Result<(), Problem> {
    use crate::server::security::{
        cookies,
        sign_in::{self, Stage},
    };
    let console = super::console()?;
    let caller = super::caller()?;
    let browser = super::browsers_name();
    let begun = match sign_in::sign_in(&console, &caller, &name, &password, &to, &browser).await? {
        Stage::Begun(begun) => begun,
        Stage::SecondStep { secret } => {
            super::give_cookie(&console, &caller, cookies::Kind::Pending, &secret);
            if caller.browser.1 {
                // The pending sign-in is bound to the browser mark: a browser without one gets it now.
                super::give_cookie(&console, &caller, cookies::Kind::Browser, &caller.browser.0);
            }
            super::go_to(&console.parts.config.base.second_step());
            return Ok(());
        }
    };
    super::give_cookie(&console, &caller, cookies::Kind::Session, &begun.secret);
    super::give_cookie(&console, &caller, cookies::Kind::Browser, &begun.mark);
    let base = &console.parts.config.base;
    let on = base.inside(&to).unwrap_or_else(|| base.overview());
    super::go_to(if begun.must_change { base.account() } else { on }.as_str());
    Ok(())
}

/// Ends the session.
#[server(prefix = "/api", endpoint = "sign_out")]
pub async fn sign_out() -> Result<(), Problem> {
    use crate::server::security::sign_in;
    let console = super::console()?;
    let caller = super::caller()?;
    sign_in::sign_out(&console, &caller).await?;
    super::leave_browser(&console, &caller);
    super::go_to(&console.parts.config.base.sign_in(None));
    Ok(())
}

/// Ends all sessions of the user.
#[server(prefix = "/api", endpoint = "sign_out_everywhere")]
pub async fn sign_out_everywhere() -> Result<(), Problem> {
    use crate::server::security::report::{self, Happened};
    let console = super::console()?;
    let caller = super::in_a_session()?;
    let person = super::person()?;
    let ending = async { Ok(console.parts.store.end_sessions(&person.name).await?) };
    report::on_record(&console, &caller, &person.name, Happened::SessionsEnded, ending).await?;
    super::leave_browser(&console, &caller);
    super::go_to(&console.parts.config.base.sign_in(None));
    Ok(())
}

/// Ends one of the user's sessions.
#[server(prefix = "/api", endpoint = "end_session")]
pub async fn end_session(number: i64) -> Result<(), Problem> {
    use crate::server::security::report::{self, Happened};
    let console = super::console()?;
    let caller = super::in_a_session()?;
    let person = super::person()?;
    let ending = async {
        let ended = console.parts.store.end_session_of(&person.name, number).await?;
        let gone = || Problem::not_found("This session has already ended.", "See the list of sessions.");
        if ended { Ok(()) } else { Err(gone()) }
    };
    report::on_record(&console, &caller, &person.name, Happened::SessionEnded, ending).await?;
    super::say_done(&console, "The session has ended.".to_owned())?;
    super::go_to(&console.parts.config.base.account());
    Ok(())
}

/// Returns the caller's account.
#[server(prefix = "/api", input = GetUrl, endpoint = "own_account")]
pub async fn view_own_account() -> Result<OwnAccount, Problem> {
    use crate::server::security::{
        authenticate::{Caller, Credential},
        passwords,
        sign_in::ShownOnce,
    };
    let console = super::console()?;
    let caller: Caller = super::caller()?;
    let person = super::person()?;
    let store = &console.parts.store;
    let own = match caller.credential {
        Credential::Session(hash) => Some(hash),
        _ => None,
    };
    let sessions = if own.is_some() { store.sessions_of(&person.name).await? } else { Vec::new() };
    let tokens = match caller.account {
        Some(account) => store.tokens_of(account).await?,
        None => Vec::new(),
    };
    let factor = match caller.account {
        Some(account) => store.second_factor(account).await?,
        None => None,
    };
    let seen = console.seen_by(&person);
    let new_token = console.parts.sign_in_service.take_shown(&caller, |what| match what {
        ShownOnce::Token(token) => Some(token.clone()),
        _ => None,
    });
    Ok(OwnAccount {
        kept_here: caller.account.is_some(),
        must_change: caller.must_change,
        applications: person.applications.as_ref().map(|_| seen.applications().map(|info| info.name.clone()).collect()),
        sessions: sessions
            .into_iter()
            .map(|session| OwnSession {
                this: own.is_some_and(|own| own.as_slice() == session.hash),
                number: session.number,
                created_at: session.created_at,
                last_used_at: session.last_used_at,
                address: session.address,
                browser: session.browser,
            })
            .collect(),
        tokens: tokens.into_iter().map(shown).collect(),
        new_token,
        shortest: passwords::SHORTEST,
        second_factor: factor.map(|factor| (factor.set_at, factor.codes_left)),
        second_factor_demanded: console.parts.config.access.demands_second_factor(person.role),
        done: super::done()?,
        person,
    })
}

/// Saves the user's page preferences: by sign-in mode and name, or in the browser if the console is open.
#[server(prefix = "/api", endpoint = "save_preferences")]
pub async fn save_preferences(
    #[server(default)] zone: String,
    #[server(default)] clock: String,
    #[server(default)] theme: String,
    #[server(default)] keys: String,
) -> Result<(), Problem> {
    use crate::{
        model::{Clock, Preferences, Theme, Zone, access::KnownBy},
        server::security::cookies,
    };
    let console = super::console()?;
    let caller = super::caller()?;
    let person = super::person()?;
    let zone = zone.trim();
    let zone = match (zone.is_empty(), Zone::named(zone)) {
        (true, _) => None,
        (false, Some(zone)) => Some(zone.name().to_owned()),
        (false, None) => {
            let unknown = Problem::bad_request(
                "There is no such time zone.",
                "Choose one from the list, such as Asia/Kolkata, or leave the field empty.",
            );
            return Err(unknown.at("zone"));
        }
    };
    let chosen = Preferences {
        zone,
        clock: Clock::ALL.into_iter().find(|one| one.word() == clock).unwrap_or_default(),
        theme: Theme::ALL.into_iter().find(|one| one.word() == theme).unwrap_or_default(),
        letter_keys: !keys.is_empty(),
    };
    if person.known_by == KnownBy::Open {
        super::append_cookie(cookies::keep_preferences(&chosen, &console.parts.config.base, caller.client.https));
    } else {
        console.parts.store.set_preferences(person.known_by.word(), &person.name, &chosen).await?;
    }
    super::say_done(&console, "Your preferences are saved.".to_owned())?;
    super::go_to(&console.parts.config.base.account());
    Ok(())
}

#[cfg(feature = "ssr")]
fn shown(token: crate::server::store::Token) -> OwnToken {
    OwnToken {
        expired: token.expires_at.is_some_and(|at| at <= clock::now()),
        id: token.id,
        label: token.label,
        role: token.role,
        reading_only: token.reading_only,
        created_at: token.created_at,
        expires_at: token.expires_at,
        last_used_at: token.last_used_at,
        last_address: token.last_address,
    }
}

/// Changes the user's password. Their other sessions end, and with `end_tokens` their tokens too.
#[server(prefix = "/api", endpoint = "change_password")]
pub async fn change_password(
    #[server(default)] current: String,
    #[server(default)] new: String,
    #[server(default)] again: String,
    #[server(default)] end_tokens: Option<String>,
) -> Result<(), Problem> {
    use crate::server::security::{cookies, sign_in};
    let console = super::console()?;
    let caller = super::in_a_session()?;
    let account = super::own_account_name(&caller)?;
    if new != again {
        let different = Problem::bad_request(
            "The two passwords are not the same.",
            "Nothing was changed. Enter the new password twice.",
        );
        return Err(different.at("again"));
    }
    let end_tokens = end_tokens.is_some();
    let secret = sign_in::change_password(&console, &caller, &account, &current, &new, end_tokens).await?;
    super::give_cookie(&console, &caller, cookies::Kind::Session, &secret);
    super::go_to(&format!("{}?changed=password", console.parts.config.base.account()));
    Ok(())
}

/// Creates a token for scripts. `days` is its lifetime; empty: no end. The password is asked for again, because a token
/// outlasts the session.
#[server(prefix = "/api", endpoint = "make_token")]
pub async fn make_token(
    #[server(default)] password: String,
    #[server(default)] label: String,
    role: Role,
    #[server(default)] reading: Option<String>,
    #[server(default)] days: String,
) -> Result<(), Problem> {
    use crate::server::{
        security::{
            report::{self, Happened},
            secrets,
            sign_in::{self, ShownOnce},
        },
        store::NewToken,
    };
    const MOST: usize = 50;
    let console = super::console()?;
    let caller = super::in_a_session()?;
    let person = super::person()?;
    super::own_account_name(&caller)?;
    let Some(account) = caller.account.filter(|_| !caller.must_change) else {
        return Err(Problem::refused("Choose a new password before you create tokens.", "Change your password first."));
    };
    let label: String = label.trim().chars().filter(|char| !char.is_control()).take(100).collect();
    if label.is_empty() {
        let needed = Problem::bad_request(
            "The token needs a name.",
            "Enter what will use the token, such as \"nightly report\".",
        );
        return Err(needed.at("label"));
    }
    if role > person.role {
        let more = Problem::bad_request("A token cannot have a higher role than you.", "Choose a lower role.");
        return Err(more.at("role"));
    }
    let days = match days.trim() {
        "" => None,
        text => Some(text.parse::<u32>().ok().filter(|days| (1..=3_650).contains(days)).ok_or_else(|| {
            Problem::bad_request(
                "This is not a number of days.",
                "Choose 1 to 3650, or leave the field empty for no end.",
            )
            .at("days")
        })?),
    };
    if console.parts.store.tokens_of(account).await?.len() >= MOST {
        return Err(Problem::bad_request(format!("You can have at most {MOST} tokens."), "Revoke unused tokens."));
    }
    sign_in::confirm(&console, &caller, &person.name, &password, "password").await?;
    let token = format!("afc_{}", secrets::new());
    let new = NewToken {
        account,
        hash: &secrets::hash(&token),
        label: &label,
        role,
        reading_only: reading.is_some(),
        expires_at: days.map(|days| clock::now() + chrono::TimeDelta::days(days.into())),
    };
    let making = async { Ok(console.parts.store.add_token(&new).await?) };
    report::on_record(&console, &caller, &person.name, Happened::TokenMade { label: &label }, making).await?;
    console.parts.sign_in_service.show_once(&caller, ShownOnce::Token(token));
    super::go_to(&format!("{}#tokens", console.parts.config.base.account()));
    Ok(())
}

/// Revokes one of the user's tokens.
#[server(prefix = "/api", endpoint = "revoke_token")]
pub async fn revoke_token(id: i64) -> Result<(), Problem> {
    use crate::server::security::report::{self, Happened};
    let console = super::console()?;
    let caller = super::in_a_session()?;
    let person = super::person()?;
    let revoking = async {
        let revoked = match caller.account {
            Some(account) => console.parts.store.end_token(account, id).await?,
            None => false,
        };
        if revoked { Ok(()) } else { Err(super::token_gone()) }
    };
    let what = Happened::TokenRevoked { id, of: &person.name };
    report::on_record(&console, &caller, &person.name, what, revoking).await?;
    super::say_done(&console, "The token is revoked.".to_owned())?;
    super::go_to(&console.parts.config.base.account());
    Ok(())
}

/// Lists all accounts.
#[server(prefix = "/api", input = GetUrl, endpoint = "list_accounts")]
pub async fn list_accounts() -> Result<AccountsPage, Problem> {
    use crate::server::security::sign_in::ShownOnce;
    let console = super::accounts_console()?;
    let caller = super::caller()?;
    let new_password = console.parts.sign_in_service.take_shown(&caller, |what| match what {
        ShownOnce::Password { name, password } => Some((name.clone(), password.clone())),
        _ => None,
    });
    let accounts = console.parts.store.accounts().await?;
    let tokens = console.parts.store.all_tokens().await?;
    Ok(AccountsPage {
        tokens: tokens.into_iter().map(|(owner, token)| (owner, shown(token))).collect(),
        accounts: accounts
            .into_iter()
            .map(|account| AccountRow {
                own: caller.account == Some(account.id),
                name: account.name,
                role: account.role,
                applications: account.applications,
                must_change: account.must_change,
                disabled: account.disabled_at.is_some(),
                second_factor: account.second_factor,
                created_at: account.created_at,
                created_by: account.created_by,
                last_sign_in_at: account.last_sign_in_at,
            })
            .collect(),
        applications: console.applications().cloned().collect(),
        new_password,
        done: super::done()?,
    })
}

/// Creates an account with a one-time password. `all` (not empty) or `applications` says what it may see, never both.
#[server(prefix = "/api", endpoint = "add_account")]
pub async fn add_account(
    #[server(default)] name: String,
    role: Role,
    #[server(default)] all: String,
    #[server(default)] applications: Vec<String>,
) -> Result<(), Problem> {
    use crate::server::{
        security::{
            report::{self, Happened},
            sign_in::{self, ShownOnce},
        },
        store::{NewAccount, folded},
    };
    let console = super::accounts_console()?;
    let (caller, person) = (super::caller()?, super::person()?);
    sign_in::check_new_name(&console.parts.store, &name).await.map_err(|problem| problem.at_if(400, "name"))?;
    let applications = super::chosen_applications(&console, !all.is_empty(), applications)?;
    let (password, kept) = console.parts.sign_in_service.checker.one_time().await?;
    let account =
        NewAccount { name: folded(&name), role, applications, password: kept, created_by: person.name.clone() };
    let adding = async {
        if console.parts.store.add_account(&account).await? {
            return Ok(());
        }
        let taken = Problem::bad_request(
            format!("The account {} already exists.", account.name),
            "Choose another name, or create a new one-time password for that account.",
        );
        Err(taken.at("name"))
    };
    report::on_record(&console, &caller, &person.name, Happened::AccountAdded { name: &account.name }, adding).await?;
    console.parts.sign_in_service.show_once(&caller, ShownOnce::Password { name: account.name, password });
    super::go_to(&console.parts.config.base.accounts());
    Ok(())
}

/// Changes role and applications of an account: see [`add_account`]. Its sessions end.
#[server(prefix = "/api", endpoint = "change_account")]
pub async fn change_account(
    name: String,
    role: Role,
    #[server(default)] all: String,
    #[server(default)] applications: Vec<String>,
) -> Result<(), Problem> {
    use crate::server::security::report::{self, Happened};
    let console = super::accounts_console()?;
    let (caller, person) = (super::caller()?, super::person()?);
    super::not_ones_own(&person, &name)?;
    let applications = super::chosen_applications(&console, !all.is_empty(), applications)?;
    let changing =
        async { super::changed(console.parts.store.set_rights(&name, role, applications.as_ref()).await?, &name) };
    report::on_record(&console, &caller, &person.name, Happened::AccountChanged { name: &name }, changing).await?;
    super::say_done(&console, format!("The account {name} is changed: role {role}. The user is signed out."))?;
    super::go_to(&console.parts.config.base.accounts());
    Ok(())
}

/// Disables an account, or enables it again. Its sessions end; its tokens do not work while it is disabled.
#[server(prefix = "/api", endpoint = "disable_account")]
pub async fn disable_account(name: String, disabled: bool) -> Result<(), Problem> {
    use crate::server::security::report::{self, Happened};
    let console = super::accounts_console()?;
    let (caller, person) = (super::caller()?, super::person()?);
    super::not_ones_own(&person, &name)?;
    let what =
        if disabled { Happened::AccountDisabled { name: &name } } else { Happened::AccountEnabled { name: &name } };
    let changing = async { super::changed(console.parts.store.set_disabled(&name, disabled).await?, &name) };
    report::on_record(&console, &caller, &person.name, what, changing).await?;
    let sentence = if disabled {
        format!("The account {name} is disabled. The user is signed out.")
    } else {
        format!("The account {name} is enabled again.")
    };
    super::say_done(&console, sentence)?;
    super::go_to(&console.parts.config.base.accounts());
    Ok(())
}

/// Gives an account a new one-time password. Its sessions and tokens end.
#[server(prefix = "/api", endpoint = "new_password")]
pub async fn new_password(name: String) -> Result<(), Problem> {
    use crate::server::security::{
        report::{self, Happened},
        sign_in::ShownOnce,
    };
    let console = super::accounts_console()?;
    let (caller, person) = (super::caller()?, super::person()?);
    super::not_ones_own(&person, &name)?;
    let (password, kept) = console.parts.sign_in_service.checker.one_time().await?;
    let changing = async { super::changed(console.parts.store.set_password(&name, &kept, None).await?, &name) };
    report::on_record(&console, &caller, &person.name, Happened::PasswordChanged { of: &name }, changing).await?;
    console.parts.sign_in_service.show_once(&caller, ShownOnce::Password { name, password });
    super::go_to(&console.parts.config.base.accounts());
    Ok(())
}

/// Revokes one token of an account, or all of them without `id`.
#[server(prefix = "/api", endpoint = "revoke_tokens_of")]
pub async fn revoke_tokens_of(name: String, #[server(default)] id: Option<i64>) -> Result<(), Problem> {
    use crate::server::security::report::{self, Happened};
    let console = super::accounts_console()?;
    let (caller, person) = (super::caller()?, super::person()?);
    let store = &console.parts.store;
    let Some(account) = store.account(&name).await? else {
        return super::changed(Err(crate::server::store::Unchanged::NoAccount), &name);
    };
    let what = match id {
        Some(id) => Happened::TokenRevoked { id, of: &account.name },
        None => Happened::TokensRevoked { of: &account.name },
    };
    let revoking = async {
        let revoked = match id {
            Some(id) => store.end_token(account.id, id).await?,
            None => store.end_tokens(account.id).await? > 0,
        };
        if revoked { Ok(()) } else { Err(super::token_gone()) }
    };
    report::on_record(&console, &caller, &person.name, what, revoking).await?;
    let revoked = if id.is_some() { "1 token is revoked" } else { "All tokens are revoked" };
    super::say_done(&console, format!("{revoked}: {name}."))?;
    super::go_to(&console.parts.config.base.accounts());
    Ok(())
}
