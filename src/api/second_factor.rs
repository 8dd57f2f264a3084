//! The second factor: the second step of signing in, the user's own app and recovery codes, and the reset for another
//! account.

use chrono::{DateTime, Utc};
use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

use crate::{error::Problem, model::access::Enrolment};

/// Data of the page for the second step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecondStep {
    /// The user whose password was correct.
    pub name: String,
    /// The app that must be set up first; `None` if the user has one.
    pub enrolment: Option<Enrolment>,
}

/// Data of the page for the user's own second factor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnSecondFactor {
    /// An app that is being set up.
    pub enrolment: Option<Enrolment>,
    /// Recovery codes that were just created, and the page to continue with; returned only once.
    pub new_codes: Option<(Vec<String>, Option<String>)>,
    /// When it was set up; `None` if there is no second factor.
    pub set_at: Option<DateTime<Utc>>,
    /// Number of unused recovery codes.
    pub codes_left: i64,
    /// The user's role requires a second factor.
    pub demanded: bool,
}

/// Returns what the second step of signing in needs.
#[server(prefix = "/api", input = GetUrl, endpoint = "second_step")]
pub async fn view_second_step() -> Result<SecondStep, Problem> {
    let console = super::console()?;
    let caller = super::caller()?;
    let pending = console.parts.sign_in_service.second_factors.pending(&caller).ok_or_else(|| {
        Problem::bad_request(
            "No sign-in is waiting for a code in this browser.",
            "Start with your user name and password. The browser must accept the cookies of this console.",
        )
    })?;
    let enrolment = match &pending.enrolling {
        Some(seed) => Some(seed.enrolment(&pending.name, &caller.client.host)?),
        None => None,
    };
    Ok(SecondStep { name: pending.name, enrolment })
}

/// Completes the second step of signing in with a code of the app, or a recovery code.
#[server(prefix = "/api", endpoint = "sign_in_code")]
pub async fn sign_in_code(#[server(default)] code: String) -> Result<(), Problem> {
    use crate::server::security::{cookies, sign_in};
    let console = super::console()?;
    let caller = super::caller()?;
    let (begun, to) = sign_in::second_step(&console, &caller, &code, &super::browsers_name()).await?;
    super::give_cookie(&console, &caller, cookies::Kind::Session, &begun.secret);
    super::give_cookie(&console, &caller, cookies::Kind::Browser, &begun.mark);
    super::take_cookie(&console, &caller, cookies::Kind::Pending);
    super::go_to(&to);
    Ok(())
}

/// Returns the user's own second factor.
#[server(prefix = "/api", input = GetUrl, endpoint = "own_second_factor")]
pub async fn view_own_second_factor() -> Result<OwnSecondFactor, Problem> {
    use crate::server::security::sign_in::ShownOnce;
    let console = super::console()?;
    let caller = super::in_a_session()?;
    let name = super::own_account_name(&caller)?;
    let person = super::person()?;
    let keeper = &console.parts.sign_in_service;
    let new_codes = keeper.take_shown(&caller, |what| match what {
        ShownOnce::RecoveryCodes { codes, to } => Some((codes.clone(), to.clone())),
        _ => None,
    });
    let factor = match caller.account {
        Some(account) => console.parts.store.second_factor(account).await?,
        None => None,
    };
    let enrolment = match keeper.second_factors.enrolling(&caller) {
        Some(seed) => Some(seed.enrolment(&name, &caller.client.host)?),
        None => None,
    };
    Ok(OwnSecondFactor {
        enrolment,
        new_codes,
        set_at: factor.as_ref().map(|factor| factor.set_at),
        codes_left: factor.map_or(0, |factor| factor.codes_left),
        demanded: console.parts.config.access.demands_second_factor(person.role),
    })
}

/// Verifies by password, and by a code if there is a second factor, that the account's owner is changing how it signs
/// in.
#[cfg(feature = "ssr")]
async fn owner(
    console: &crate::server::state::Console,
    caller: &crate::server::security::authenticate::Caller,
    password: &str,
    code: &str,
) -> Result<crate::server::store::Account, Problem> {
    use crate::server::security::{second_factor, sign_in};
    let name = super::own_account_name(caller)?;
    if caller.must_change {
        return Err(Problem::refused("Choose a new password first.", "See your account page."));
    }
    sign_in::confirm(console, caller, &name, password, "password").await?;
    let gone = || Problem::not_found("Your account was removed.", "Ask an administrator.");
    let account = console.parts.store.account(&name).await?.ok_or_else(gone)?;
    if account.second_factor {
        second_factor::verify_code(console, caller, &account, code).await.map_err(|problem| match problem.status {
            401 => Problem::bad_request(problem.what, format!("Nothing was changed. {}", problem.todo)).at("code"),
            _ => problem,
        })?;
    }
    Ok(account)
}

/// Like [`owner`], but fails first if there is no second factor: a page loaded before it was turned off still shows the
/// form, and the page of the answer has no field at which to report a problem.
#[cfg(feature = "ssr")]
async fn owner_with_second_factor(
    console: &crate::server::state::Console,
    caller: &crate::server::security::authenticate::Caller,
    password: &str,
    code: &str,
) -> Result<crate::server::store::Account, Problem> {
    let account = console.parts.store.account(&super::own_account_name(caller)?).await?;
    if account.is_some_and(|account| !account.second_factor) {
        return Err(Problem::bad_request(
            "There is no second factor. Nothing was changed.",
            "It was turned off meanwhile.",
        ));
    }
    owner(console, caller, password, code).await
}

/// Starts to set up an app, also as a replacement for an existing one.
#[server(prefix = "/api", endpoint = "begin_second_factor")]
pub async fn begin_second_factor(
    #[server(default)] password: String,
    #[server(default)] code: String,
) -> Result<(), Problem> {
    let console = super::console()?;
    let caller = super::in_a_session()?;
    owner(&console, &caller, &password, &code).await?;
    let factors = &console.parts.sign_in_service.second_factors;
    // Reports a missing or unusable key now, not after the user has typed a secret into a phone.
    factors.vault.key(&console.parts.store).await?;
    factors.enrol(&caller);
    super::go_to(&console.parts.config.base.second_factor());
    Ok(())
}

/// Makes the app that is being set up the second factor once a correct code confirms it.
#[server(prefix = "/api", endpoint = "confirm_second_factor")]
pub async fn confirm_second_factor(#[server(default)] code: String) -> Result<(), Problem> {
    use crate::server::security::{authenticate::Credential, second_factor, sign_in::ShownOnce};
    let console = super::console()?;
    let caller = super::in_a_session()?;
    let name = super::own_account_name(&caller)?;
    let keeper = &console.parts.sign_in_service;
    let begin_again =
        || Problem::bad_request("No app is being set up, or the time is over.", "Start again on your account page.");
    let seed = keeper.second_factors.enrolling(&caller).ok_or_else(begin_again)?;
    let account = console.parts.store.account(&name).await?.ok_or_else(begin_again)?;
    let Credential::Session(session) = caller.credential else { return Err(begin_again()) };
    let codes = second_factor::set(&console, &caller, &account, &seed, &code, &session).await;
    let codes = codes.map_err(|problem| problem.at_if(400, "code"))?;
    keeper.show_once(&caller, ShownOnce::RecoveryCodes { codes, to: None });
    super::go_to(&console.parts.config.base.second_factor());
    Ok(())
}

/// Replaces the recovery codes.
#[server(prefix = "/api", endpoint = "new_recovery_codes")]
pub async fn new_recovery_codes(
    #[server(default)] password: String,
    #[server(default)] code: String,
) -> Result<(), Problem> {
    use crate::server::security::{
        report::{self, Happened},
        second_factor,
        sign_in::ShownOnce,
    };
    let console = super::console()?;
    let caller = super::in_a_session()?;
    let account = owner_with_second_factor(&console, &caller, &password, &code).await?;
    let (codes, hashes) = second_factor::recovery_codes(account.id);
    let what = Happened::RecoveryCodesMade { of: &account.name };
    report::on_record(&console, &caller, &account.name, what, async {
        Ok(console.parts.store.set_recovery_codes(account.id, &hashes).await?)
    })
    .await?;
    console.parts.sign_in_service.show_once(&caller, ShownOnce::RecoveryCodes { codes, to: None });
    super::go_to(&console.parts.config.base.second_factor());
    Ok(())
}

/// Turns the user's own second factor off, if the role allows it.
#[server(prefix = "/api", endpoint = "end_second_factor")]
pub async fn end_second_factor(
    #[server(default)] password: String,
    #[server(default)] code: String,
) -> Result<(), Problem> {
    use crate::server::security::{
        authenticate::Credential,
        report::{self, Happened},
    };
    let console = super::console()?;
    let caller = super::in_a_session()?;
    let person = super::person()?;
    if console.parts.config.access.demands_second_factor(person.role) {
        return Err(Problem::refused(
            format!("Your role, {}, must have a second factor here.", person.role),
            "You can set up another phone instead.",
        ));
    }
    let account = owner_with_second_factor(&console, &caller, &password, &code).await?;
    let session = match caller.credential {
        Credential::Session(hash) => hash.to_vec(),
        _ => Vec::new(),
    };
    let what = Happened::SecondFactorEnded { of: &account.name };
    report::on_record(&console, &caller, &account.name, what, async {
        let ended = console.parts.store.reset_second_factor(&account.name, &session).await?;
        super::changed(ended.map(drop), &account.name)
    })
    .await?;
    super::say_done(&console, "The second factor is turned off.".to_owned())?;
    super::go_to(&console.parts.config.base.account());
    Ok(())
}

/// Removes the second factor of another account, for a user who has lost phone and codes.
#[server(prefix = "/api", endpoint = "reset_second_factor")]
pub async fn reset_second_factor(name: String) -> Result<(), Problem> {
    use crate::server::security::report::{self, Happened};
    let console = super::accounts_console()?;
    let (caller, person) = (super::caller()?, super::person()?);
    super::not_ones_own(&person, &name)?;
    let resetting = async {
        let reset = console.parts.store.reset_second_factor(&name, &[]).await?;
        match super::changed(reset.map(drop), &name) {
            Ok(()) if reset == Ok(false) => {
                Err(Problem::bad_request(format!("{name} has no second factor."), "Nothing was changed."))
            }
            other => other,
        }
    };
    report::on_record(&console, &caller, &person.name, Happened::SecondFactorReset { of: &name }, resetting).await?;
    super::say_done(&console, format!("{name} has no second factor now. The user is signed out."))?;
    super::go_to(&console.parts.config.base.accounts());
    Ok(())
}
