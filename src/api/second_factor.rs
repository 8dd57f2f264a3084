//! The second factor: the second step of signing in, one's own app and recovery codes, and the reset of somebody else's.

use chrono::{DateTime, Utc};
use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

use crate::{error::Problem, model::access::Enrolment};

/// What the page of the second step shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecondStep {
    /// Whose password was right.
    pub name: String,
    /// The app that has to be set up first; `None`: there is one.
    pub enrolment: Option<Enrolment>,
}

/// What the page of one's own second factor shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnSecondFactor {
    /// An app that is being set up.
    pub enrolment: Option<Enrolment>,
    /// Recovery codes that were just made, and the page to go on to. They are here once.
    pub new_codes: Option<(Vec<String>, Option<String>)>,
    /// When it was set up; `None`: there is none.
    pub set_at: Option<DateTime<Utc>>,
    /// Recovery codes that were not used yet.
    pub codes_left: i64,
    /// The role must have one.
    pub demanded: bool,
}

/// What the second step of signing in is about.
#[server(prefix = "/api", input = GetUrl, endpoint = "second_step")]
pub async fn view_second_step() -> Result<SecondStep, Problem> {
    let console = super::console()?;
    let visit = super::visit()?;
    let pending = console.parts.doorkeeper.second_factors.pending(&visit).ok_or_else(|| {
        Problem::bad_request(
            "No sign-in is waiting for a code in this browser.",
            "Start with your user name and password. The browser must accept the cookies of this console.",
        )
    })?;
    let enrolment = match &pending.enrolling {
        Some(seed) => Some(seed.enrolment(&pending.name, &visit.came.host)?),
        None => None,
    };
    Ok(SecondStep { name: pending.name, enrolment })
}

/// The second step of signing in: a code of the app, or a recovery code.
#[server(prefix = "/api", endpoint = "sign_in_code")]
pub async fn sign_in_code(#[server(default)] code: String) -> Result<(), Problem> {
    use crate::server::security::{cookies, sign_in};
    let console = super::console()?;
    let visit = super::visit()?;
    let (begun, to) = sign_in::second_step(&console, &visit, &code, &super::browsers_name()).await?;
    super::give_cookie(&console, &visit, cookies::Kind::Session, &begun.secret);
    super::give_cookie(&console, &visit, cookies::Kind::Browser, &begun.mark);
    super::take_cookie(&console, &visit, cookies::Kind::Pending);
    super::go_to(&to);
    Ok(())
}

/// One's own second factor.
#[server(prefix = "/api", input = GetUrl, endpoint = "own_second_factor")]
pub async fn view_own_second_factor() -> Result<OwnSecondFactor, Problem> {
    use crate::server::security::sign_in::ShownOnce;
    let console = super::console()?;
    let visit = super::in_a_session()?;
    let name = super::own_account_name(&visit)?;
    let person = super::person()?;
    let keeper = &console.parts.doorkeeper;
    let new_codes = keeper.take_shown(&visit, |what| match what {
        ShownOnce::RecoveryCodes { codes, to } => Some((codes.clone(), to.clone())),
        _ => None,
    });
    let factor = match visit.account {
        Some(account) => console.parts.store.second_factor(account).await?,
        None => None,
    };
    let enrolment = match keeper.second_factors.enrolling(&visit) {
        Some(seed) => Some(seed.enrolment(&name, &visit.came.host)?),
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

/// Proves with the password, and with a code where there is a second factor, that it is the account's owner who changes
/// how one signs in with it.
#[cfg(feature = "ssr")]
async fn owner(
    console: &crate::server::state::Console,
    visit: &crate::server::security::visit::Visit,
    password: &str,
    code: &str,
) -> Result<crate::server::store::Account, Problem> {
    use crate::server::security::{second_factor, sign_in};
    let name = super::own_account_name(visit)?;
    if visit.must_change {
        return Err(Problem::refused("Choose a new password first.", "See your account page."));
    }
    sign_in::confirm(console, visit, &name, password, "password").await?;
    let gone = || Problem::not_found("Your account was removed.", "Ask an administrator.");
    let account = console.parts.store.account(&name).await?.ok_or_else(gone)?;
    if account.second_factor {
        second_factor::prove(console, visit, &account, code).await.map_err(|problem| match problem.status {
            401 => Problem::bad_request(problem.what, format!("Nothing was changed. {}", problem.todo)).at("code"),
            _ => problem,
        })?;
    }
    Ok(account)
}

/// The same where there is a second factor, which is asked first: in a page from before it was turned off, there is still a
/// form, and on the page that the answer is, there is no field to tell it at.
#[cfg(feature = "ssr")]
async fn owner_with_second_factor(
    console: &crate::server::state::Console,
    visit: &crate::server::security::visit::Visit,
    password: &str,
    code: &str,
) -> Result<crate::server::store::Account, Problem> {
    let account = console.parts.store.account(&super::own_account_name(visit)?).await?;
    if account.is_some_and(|account| !account.second_factor) {
        return Err(Problem::bad_request(
            "There is no second factor. Nothing was changed.",
            "It was turned off meanwhile.",
        ));
    }
    owner(console, visit, password, code).await
}

/// Begins to set up an app, also in the place of one that there is.
#[server(prefix = "/api", endpoint = "begin_second_factor")]
pub async fn begin_second_factor(
    #[server(default)] password: String,
    #[server(default)] code: String,
) -> Result<(), Problem> {
    let console = super::console()?;
    let visit = super::in_a_session()?;
    owner(&console, &visit, &password, &code).await?;
    let factors = &console.parts.doorkeeper.second_factors;
    // Said now, and not after somebody has typed a secret into their phone.
    factors.vault.key(&console.parts.store).await?;
    factors.enrol(&visit);
    super::go_to(&console.parts.config.base.second_factor());
    Ok(())
}

/// Makes the app that is being set up the second factor, once it shows a right code.
#[server(prefix = "/api", endpoint = "confirm_second_factor")]
pub async fn confirm_second_factor(#[server(default)] code: String) -> Result<(), Problem> {
    use crate::server::security::{second_factor, sign_in::ShownOnce, visit::Proof};
    let console = super::console()?;
    let visit = super::in_a_session()?;
    let name = super::own_account_name(&visit)?;
    let keeper = &console.parts.doorkeeper;
    let begin_again =
        || Problem::bad_request("No app is being set up, or the time is over.", "Start again on your account page.");
    let seed = keeper.second_factors.enrolling(&visit).ok_or_else(begin_again)?;
    let account = console.parts.store.account(&name).await?.ok_or_else(begin_again)?;
    let Proof::Session(session) = visit.proof else { return Err(begin_again()) };
    let codes = second_factor::set(&console, &visit, &account, &seed, &code, &session).await;
    let codes = codes.map_err(|problem| problem.at_if(400, "code"))?;
    keeper.show_once(&visit, ShownOnce::RecoveryCodes { codes, to: None });
    super::go_to(&console.parts.config.base.second_factor());
    Ok(())
}

/// Makes other recovery codes.
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
    let visit = super::in_a_session()?;
    let account = owner_with_second_factor(&console, &visit, &password, &code).await?;
    let (codes, hashes) = second_factor::recovery_codes(account.id);
    let what = Happened::RecoveryCodesMade { of: &account.name };
    report::on_record(&console, &visit, &account.name, what, async {
        Ok(console.parts.store.set_recovery_codes(account.id, &hashes).await?)
    })
    .await?;
    console.parts.doorkeeper.show_once(&visit, ShownOnce::RecoveryCodes { codes, to: None });
    super::go_to(&console.parts.config.base.second_factor());
    Ok(())
}

/// Does without a second factor again, where the role lets one.
#[server(prefix = "/api", endpoint = "end_second_factor")]
pub async fn end_second_factor(
    #[server(default)] password: String,
    #[server(default)] code: String,
) -> Result<(), Problem> {
    use crate::server::security::{
        report::{self, Happened},
        visit::Proof,
    };
    let console = super::console()?;
    let visit = super::in_a_session()?;
    let person = super::person()?;
    if console.parts.config.access.demands_second_factor(person.role) {
        return Err(Problem::refused(
            format!("Your role, {}, must have a second factor here.", person.role),
            "You can set up another phone instead.",
        ));
    }
    let account = owner_with_second_factor(&console, &visit, &password, &code).await?;
    let session = match visit.proof {
        Proof::Session(hash) => hash.to_vec(),
        _ => Vec::new(),
    };
    let what = Happened::SecondFactorEnded { of: &account.name };
    report::on_record(&console, &visit, &account.name, what, async {
        let ended = console.parts.store.reset_second_factor(&account.name, &session).await?;
        super::changed(ended.map(drop), &account.name)
    })
    .await?;
    super::say_done(&console, "The second factor is turned off.".to_owned())?;
    super::go_to(&console.parts.config.base.account());
    Ok(())
}

/// Takes the second factor of somebody else's account away, for somebody who has lost phone and codes.
#[server(prefix = "/api", endpoint = "reset_second_factor")]
pub async fn reset_second_factor(name: String) -> Result<(), Problem> {
    use crate::server::security::report::{self, Happened};
    let console = super::accounts_console()?;
    let (visit, person) = (super::visit()?, super::person()?);
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
    report::on_record(&console, &visit, &person.name, Happened::SecondFactorReset { of: &name }, resetting).await?;
    super::say_done(&console, format!("{name} has no second factor now. The user is signed out."))?;
    super::go_to(&console.parts.config.base.accounts());
    Ok(())
}
