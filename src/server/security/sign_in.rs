//! Sign-in and sign-out: verifies names and passwords, begins and ends sessions, and creates the first accounts.

mod new_accounts;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Semaphore;

use super::{
    authenticate::{Caller, Credential, person_of, person_of_openmrs},
    guessing::{Attempt, Guessing, Refusal},
    openmrs::{Known, OpenmrsClient},
    passwords::PasswordChecker,
    report::{self, Happened},
    second_factor::{self, SecondFactors, Shown},
    secrets,
};
use crate::{
    clock,
    error::Problem,
    model::Person,
    server::{
        config::{AuthMode, Config},
        shares::network,
        state::Console,
        store::{Account, Keep, NewPassword, NewSession, StoreError, folded},
    },
};
pub use new_accounts::{check_new_name, first_accounts};

/// How long verified Basic credentials are accepted without verifying them again.
const VERIFIED_FOR: Duration = Duration::from_secs(300);
/// Maximum number of credentials that are remembered as verified.
const MOST_VERIFIED: usize = 1_000;
/// Maximum number of sign-ins that are delayed at the same time because of other attempts: more than one address may
/// have connections, so that one machine cannot take every place.
const MOST_WAITING: usize = 1_000;
/// After how long OpenMRS is asked again about a wrong name and password.
const ASKED_AGAIN: TimeDelta = TimeDelta::minutes(5);
/// How long something that is shown once waits for its page.
const SHOWN_WITHIN: Duration = Duration::from_secs(300);
/// Maximum number of characters of a name that is looked up.
const LONGEST_NAME: usize = 100;
/// Maximum number of characters of the browser's own name that are stored.
const LONGEST_BROWSER: usize = 300;

/// Name of the account that the first start creates.
pub const FIRST_ACCOUNT: &str = "administrator";

/// State for authenticating users.
#[derive(Debug)]
pub struct SignInService {
    pub checker: PasswordChecker,
    pub second_factors: SecondFactors,
    guessing: Guessing,
    openmrs: Option<OpenmrsClient>,
    waiting: Semaphore,
    /// Keyed digests of recently verified Basic credentials: useless without the key.
    verified: Mutex<HashMap<[u8; 32], Remembered>>,
    /// Credentials that are being verified now.
    verifying: Mutex<HashMap<[u8; 32], Arc<tokio::sync::Mutex<()>>>>,
    key: [u8; 32],
    /// New secrets, each to be shown once, by the secret that their caller's forms are bound to.
    to_show: Mutex<HashMap<[u8; 32], ToShow>>,
}

#[derive(Debug)]
struct ToShow {
    what: ShownOnce,
    since: Instant,
}

#[derive(Clone, Debug)]
struct Remembered {
    at: Instant,
    who: RememberedAs,
}

#[derive(Clone, Debug)]
enum RememberedAs {
    /// Valid while neither password nor rights have changed since.
    Account(DateTime<Utc>),
    Openmrs(Known),
}

/// Something that is shown to a person once, on their next page.
#[derive(Clone, PartialEq, Eq)]
pub enum ShownOnce {
    Token(String),
    ServiceToken {
        name: String,
        token: String,
    },
    Password {
        name: String,
        password: String,
    },
    /// What a form did, as a sentence.
    Done(String),
    /// With the page to continue to, unless it is the account page.
    RecoveryCodes {
        codes: Vec<String>,
        to: Option<String>,
    },
}

impl ShownOnce {
    /// Returns the sentence about what a form did.
    pub fn done(&self) -> Option<String> {
        match self {
            ShownOnce::Done(sentence) => Some(sentence.clone()),
            _ => None,
        }
    }
}

impl std::fmt::Debug for ShownOnce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl SignInService {
    pub fn new(config: &Config) -> Self {
        let openmrs = match &config.access.way {
            AuthMode::Openmrs(settings) => match OpenmrsClient::new(settings.clone()) {
                Ok(asking) => Some(asking),
                Err(error) => {
                    tracing::error!("OpenMRS cannot be asked who may come in: {error:#}");
                    None
                }
            },
            _ => None,
        };
        Self {
            checker: PasswordChecker::new(),
            second_factors: SecondFactors::new(config),
            guessing: Guessing::default(),
            openmrs,
            waiting: Semaphore::new(MOST_WAITING),
            verified: Mutex::default(),
            verifying: Mutex::default(),
            key: secrets::random(),
            to_show: Mutex::default(),
        }
    }

    /// Stores something for the next page of this caller.
    pub fn show_once(&self, caller: &Caller, what: ShownOnce) {
        self.show_once_to(&caller.secret, what);
    }

    /// The same for a caller whose forms will be bound to this secret.
    pub fn show_once_to(&self, secret: &str, what: ShownOnce) {
        let mut to_show = self.to_show.lock().unwrap_or_else(PoisonError::into_inner);
        to_show.retain(|_, kept| kept.since.elapsed() < SHOWN_WITHIN);
        to_show.insert(secrets::hash(secret), ToShow { what, since: Instant::now() });
    }

    /// Removes and returns what is to be shown to this caller, if `wanted` accepts it.
    pub fn take_shown<T>(&self, caller: &Caller, wanted: impl FnOnce(&ShownOnce) -> Option<T>) -> Option<T> {
        let mut to_show = self.to_show.lock().unwrap_or_else(PoisonError::into_inner);
        let key = secrets::hash(&caller.secret);
        let found = wanted(&to_show.get(&key)?.what)?;
        let kept = to_show.remove(&key)?;
        (kept.since.elapsed() < SHOWN_WITHIN).then_some(found)
    }

    /// Returns a number that identifies a password tried on a name, while `until` is unchanged.
    fn guess(&self, name: &str, until: Option<i64>, password: &str) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.digest(&format!("{} {name}", until.unwrap_or_default()), password);
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    fn digest(&self, name: &str, password: &str) -> [u8; 32] {
        secrets::derived(&format!("{}\0{name}", secrets::hex(&self.key)), password)
    }
}

/// A user whose password was right.
#[derive(Clone, Debug)]
pub enum Verified {
    Account(Account),
    Openmrs(Known),
}

impl Verified {
    pub fn person(&self) -> Person {
        match self {
            Verified::Account(account) => person_of(account),
            Verified::Openmrs(known) => person_of_openmrs(&known.name, known.role),
        }
    }
}

/// The same message for a wrong name, a wrong password and a disabled account.
fn not_right() -> Problem {
    Problem::not_signed_in(
        "Wrong user name or password.",
        "Try again. If you forgot the password, ask an administrator for a new one.",
    )
    .at("password")
}

/// Verifies a name and a password, equally slowly for names that exist and names that do not.
///
/// # Errors
/// Fails if they are wrong, were tried too often, or cannot be checked now.
async fn verify(console: &Console, caller: &Caller, name: &str, password: &str) -> Result<Verified, Problem> {
    let keeper = &console.parts.sign_in_service;
    let name = name.trim();
    if name.is_empty() || password.is_empty() || name.chars().count() > LONGEST_NAME {
        return Err(not_right());
    }
    let mark = (!caller.browser.1).then(|| secrets::hash(&caller.browser.0));
    let mut people = match &mark {
        Some(mark) => console.parts.store.people_of_browser(mark).await?,
        None => Vec::new(),
    };
    let known = people.contains(&folded(name));
    people.retain(|other| *other != folded(name));
    let voucher = keeper.guessing.voucher(people, &folded(name));
    let account = console.parts.store.account(name).await?;
    let exists = match &console.parts.config.access.way {
        // The console knows users of OpenMRS only from earlier sign-ins.
        AuthMode::Openmrs(_) => console.parts.store.has_signed_in(name).await?,
        _ => account.is_some(),
    };
    // A change of password in OpenMRS is not visible here: a wrong password may be tried again some minutes later.
    let until = match &console.parts.config.access.way {
        AuthMode::Openmrs(_) => Some(clock::now().timestamp() / ASKED_AGAIN.num_seconds()),
        _ => account.map(|account| account.password_set_at.timestamp_millis()),
    };
    let guess = keeper.guess(&folded(name), until, password);
    let address = caller.client.from.map(network);
    let attempt = Attempt { name: folded(name), address, browser: mark, known, voucher, guess };
    let wait = match keeper.guessing.begin(&attempt, Instant::now()) {
        Ok(wait) => wait,
        Err(refused) => {
            let (happened, problem) = match refused {
                Refusal::Later(wait) => (Happened::SignInTooOften, Problem::too_often(wait)),
                Refusal::Wrong => (Happened::SignInFailed, Problem::wrong_again()),
            };
            tracing::warn!(address = caller.client.address(), "sign-ins come faster than they are taken");
            // The sign-in is refused even if this cannot be recorded.
            let _ = report::sign_in_failed(console, caller, exists.then_some(attempt.name.as_str()), happened).await;
            return Err(problem);
        }
    };
    if wait > Duration::ZERO {
        let waiting = keeper.waiting.try_acquire().map_err(|_| {
            keeper.guessing.not_made(&attempt);
            Problem::unavailable("Too many people are signing in now.", "Wait some seconds, then try again.")
        })?;
        tokio::time::sleep(wait).await;
        drop(waiting);
    }
    let verified = match &console.parts.config.access.way {
        AuthMode::Accounts => of_account(console, name, password).await,
        AuthMode::Openmrs(_) => of_openmrs(keeper, name, password).await,
        AuthMode::Proxy(_) | AuthMode::Open => Ok(None),
    };
    match verified {
        Ok(Some(verified)) => {
            keeper.guessing.succeeded(&attempt);
            Ok(verified)
        }
        Ok(None) => {
            keeper.guessing.was_wrong(&attempt, Instant::now());
            // The sign-in is refused even if this cannot be recorded.
            let exists = exists.then_some(attempt.name.as_str());
            let _ = report::sign_in_failed(console, caller, exists, Happened::SignInFailed).await;
            Err(not_right())
        }
        Err(NotVerified { problem, who }) => {
            keeper.guessing.not_made(&attempt);
            if let Some((name, happened)) = who {
                // The sign-in is refused even if this cannot be recorded.
                let _ = report::sign_in_refused(console, caller, &name, happened).await;
            }
            Err(problem)
        }
    }
}

/// Why a sign-in failed for another reason than wrong credentials.
#[derive(Debug)]
struct NotVerified {
    problem: Problem,
    /// Whose password was right, and why that is not enough.
    who: Option<(String, Happened<'static>)>,
}

impl<P: Into<Problem>> From<P> for NotVerified {
    fn from(problem: P) -> Self {
        Self { problem: problem.into(), who: None }
    }
}

async fn of_account(console: &Console, name: &str, password: &str) -> Result<Option<Verified>, NotVerified> {
    let account = console.parts.store.account(name).await?;
    let account = account.filter(|account| account.disabled_at.is_none());
    let hash = account.as_ref().map(|account| account.password.as_str());
    let right = console.parts.sign_in_service.checker.is_right(password, hash).await?;
    let Some(account) = account.filter(|_| right) else { return Ok(None) };
    if account.password_until.is_some_and(|until| until < clock::now()) {
        let problem = Problem::not_signed_in(
            "This one-time password has expired.",
            "Ask an administrator for another one, or use the command account password on the machine.",
        );
        return Err(NotVerified { problem, who: Some((account.name, Happened::OneTimePasswordExpired)) });
    }
    Ok(Some(Verified::Account(account)))
}

async fn of_openmrs(keeper: &SignInService, name: &str, password: &str) -> Result<Option<Verified>, NotVerified> {
    let asking = keeper.openmrs.as_ref().ok_or_else(|| {
        Problem::unavailable(
            "OpenMRS is needed to sign in, but the settings for it are wrong.",
            "Tell the administrator. The log of the console has the reason.",
        )
    })?;
    let known = asking.who(name, password).await.map_err(|problem| {
        let right = problem.status == 403;
        NotVerified { problem, who: right.then(|| (name.to_owned(), Happened::NoRole)) }
    })?;
    Ok(known.map(Verified::Openmrs))
}

/// Returns the user who was recently verified with credentials of this digest, if that is still valid.
async fn remembered(console: &Console, digest: &[u8; 32], name: &str) -> Result<Option<Verified>, Problem> {
    let found = {
        let verified = console.parts.sign_in_service.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.get(digest).filter(|remembered| remembered.at.elapsed() < VERIFIED_FOR).map(|found| found.who.clone())
    };
    Ok(match found {
        None => None,
        Some(RememberedAs::Openmrs(known)) => Some(Verified::Openmrs(known)),
        Some(RememberedAs::Account(set_at)) => {
            let account = console.parts.store.account(name).await?;
            let same = |account: &Account| account.disabled_at.is_none() && account.password_set_at == set_at;
            account.filter(same).map(Verified::Account)
        }
    })
}

/// Verifies the credentials of a program that sends them with each request. Right ones are accepted for some minutes
/// without verifying them again.
///
/// # Errors
/// Fails as signing in does.
pub async fn verify_again(console: &Console, caller: &Caller, name: &str, password: &str) -> Result<Verified, Problem> {
    let keeper = &console.parts.sign_in_service;
    let digest = keeper.digest(&folded(name), password);
    // Simultaneous requests of a program are verified once, and do not count as guessing.
    let one_at_a_time = {
        let mut verifying = keeper.verifying.lock().unwrap_or_else(PoisonError::into_inner);
        verifying.retain(|_, lock| Arc::strong_count(lock) > 1);
        verifying.entry(digest).or_default().clone()
    };
    let _turn = one_at_a_time.lock().await;
    if let Some(verified) = remembered(console, &digest, name).await? {
        return Ok(verified);
    }
    let found = verify(console, caller, name, password).await?;
    let who = match &found {
        Verified::Account(account) => RememberedAs::Account(account.password_set_at),
        Verified::Openmrs(known) => RememberedAs::Openmrs(known.clone()),
    };
    let mut verified = keeper.verified.lock().unwrap_or_else(PoisonError::into_inner);
    verified.retain(|_, remembered| remembered.at.elapsed() < VERIFIED_FOR);
    if verified.len() < MOST_VERIFIED {
        verified.insert(digest, Remembered { at: Instant::now(), who });
    }
    Ok(found)
}

/// A session that was begun.
#[derive(Clone, Debug)]
pub struct Begun {
    pub person: Person,
    /// For the cookie.
    pub secret: String,
    /// The browser's new mark, for the other cookie.
    pub mark: String,
    /// The password must be changed before anything else.
    pub must_change: bool,
}

/// State of a sign-in after the password was right.
#[derive(Clone, Debug)]
pub enum Stage {
    Begun(Begun),
    /// There is no session yet: a code is needed, or an app must be set up first. The secret is for the cookie.
    SecondStep {
        secret: String,
    },
}

/// Performs the first step of signing in, with name and password: the only step without a second factor. `to` is the
/// page to continue to.
///
/// # Errors
/// Fails if the credentials are wrong, were tried too often, or cannot be checked now.
pub async fn sign_in(
    console: &Console,
    caller: &Caller,
    name: &str,
    password: &str,
    to: &str,
    browser: &str,
) -> Result<Stage, Problem> {
    let verified = verify(console, caller, name, password).await?;
    if let Verified::Account(account) = &verified {
        if account.must_change && account.password_used_at.is_some() {
            return Err(used_before(console, caller, &account.name).await);
        }
        if needs_code(console, account) {
            let secret = console.parts.sign_in_service.second_factors.begin(caller, account, to);
            return Ok(Stage::SecondStep { secret });
        }
    }
    begin(console, caller, &verified, name, browser, Happened::SignedIn).await.map(Stage::Begun)
}

/// Returns whether this account needs more than a password to sign in.
pub fn needs_code(console: &Console, account: &Account) -> bool {
    account.second_factor || console.parts.config.access.demands_second_factor(account.role)
}

/// Performs the second step of signing in, with a code. Also returns the page to continue to.
///
/// # Errors
/// Fails if the code is wrong, was tried too often, or cannot be checked now, or if the sign-in must start again.
pub async fn second_step(
    console: &Console,
    caller: &Caller,
    code: &str,
    browser: &str,
) -> Result<(Begun, String), Problem> {
    let keeper = &console.parts.sign_in_service;
    let (pending, account) = second_factor::account_of(console, caller).await?;
    let (codes, how) = match &pending.enrolling {
        None => match second_factor::verify_code(console, caller, &account, code).await? {
            Shown::Code => (None, Happened::SignedInByCode),
            Shown::RecoveryCode(left) => (None, Happened::SignedInByRecoveryCode { left }),
        },
        Some(seed) => {
            let codes = second_factor::set(console, caller, &account, seed, code, &[]).await?;
            (Some(codes), Happened::SignedInByCode)
        }
    };
    keeper.second_factors.end(caller);
    let begun = begin(console, caller, &Verified::Account(account), &pending.name, browser, how).await?;
    let base = &console.parts.config.base;
    let on =
        if begun.must_change { base.account() } else { base.inside(&pending.to).unwrap_or_else(|| base.overview()) };
    let Some(codes) = codes else { return Ok((begun, on)) };
    keeper.show_once_to(&begun.secret, ShownOnce::RecoveryCodes { codes, to: Some(on) });
    let shown = base.second_factor();
    Ok((begun, shown))
}

/// Begins a session with a new id, and ends the session of the request. `name` is the name as typed: from now on the
/// browser is known for it.
async fn begin(
    console: &Console,
    caller: &Caller,
    verified: &Verified,
    name: &str,
    browser: &str,
    how: Happened<'_>,
) -> Result<Begun, Problem> {
    let person = verified.person();
    let (account, must_change) = match verified {
        Verified::Account(account) => (Some(account.id), account.must_change),
        Verified::Openmrs(_) => (None, false),
    };
    let secret = secrets::new();
    let (store, access) = (&console.parts.store, &console.parts.config.access);
    let browser: String = browser.chars().filter(|char| !char.is_control()).take(LONGEST_BROWSER).collect();
    let new = NewSession {
        hash: &secrets::hash(&secret),
        account,
        name: &person.name,
        role: person.role,
        address: &caller.client.address(),
        browser: &browser,
        one_time: must_change,
    };
    let before = match caller.credential {
        Credential::Session(hash) => Some(hash),
        _ => None,
    };
    report::happens(console, caller, &person.name, how).await?;
    let idle = TimeDelta::from_std(access.ends_unused_after()).unwrap_or(TimeDelta::MAX);
    if !store.begin_session(&new, before.as_ref().map(|hash| hash.as_slice()), idle).await? {
        return Err(used_before(console, caller, &person.name).await);
    }
    // Someone who knows the browser's previous mark may have planted it there.
    let mark = secrets::new();
    store.rename_browser(&secrets::hash(&caller.browser.0), &secrets::hash(&mark)).await?;
    store.know_browser(&secrets::hash(&mark), name).await?;
    Ok(Begun { person, secret, mark, must_change })
}

/// Returns the problem that the one-time password was right but already used, and records it.
async fn used_before(console: &Console, caller: &Caller, name: &str) -> Problem {
    // The sign-in is refused even if this cannot be recorded.
    let _ = report::sign_in_refused(console, caller, name, Happened::OneTimePasswordUsed).await;
    Problem::not_signed_in(
        "This one-time password was already used.",
        "Ask an administrator for another one, or use the command account password on the machine. If it was not \
         you who used it, say so.",
    )
}

/// Checks a password that a person chose, and returns it in the form that is stored.
///
/// # Errors
/// Fails if the password is too weak, or too many others are waiting.
pub async fn chosen(checker: &PasswordChecker, name: &str, password: &str) -> Result<NewPassword, Problem> {
    checker.accepts(password, name).await?;
    Ok(NewPassword { hash: checker.hash(password).await?, must_change: false, until: None })
}

/// Verifies the password of a signed-in user again, before a change that outlasts the session. `field` is the name of
/// the password field on the form.
///
/// # Errors
/// Fails if the password is wrong, was tried too often, or cannot be checked now.
pub async fn confirm(
    console: &Console,
    caller: &Caller,
    name: &str,
    password: &str,
    field: &'static str,
) -> Result<(), Problem> {
    verify(console, caller, name, password).await.map(drop).map_err(|problem| match problem.status {
        401 => {
            let which = if field == "current" { "current password" } else { "password" };
            Problem::bad_request(format!("The {which} is wrong."), "Nothing was changed. Try again.").at(field)
        }
        _ => problem,
    })
}

/// Changes the user's own password. Ends their other sessions, and their tokens if `end_tokens` is set. Returns the new
/// secret of this session, for the cookie.
///
/// # Errors
/// Fails if the current password is wrong, or the new one is too weak.
pub async fn change_password(
    console: &Console,
    caller: &Caller,
    name: &str,
    current: &str,
    new: &str,
    end_tokens: bool,
) -> Result<String, Problem> {
    let Credential::Session(hash) = caller.credential else { return Err(only_in_a_session()) };
    confirm(console, caller, name, current, "current").await?;
    if current == new {
        let same = Problem::bad_request("The new password is the same as the current one.", "Choose another one.");
        return Err(same.at("new"));
    }
    let kept =
        chosen(&console.parts.sign_in_service.checker, name, new).await.map_err(|problem| problem.at_if(400, "new"))?;
    let secret = secrets::new();
    let store = &console.parts.store;
    report::on_record(console, caller, name, Happened::PasswordChanged { of: name }, async {
        store.rotate_session(&hash, &secrets::hash(&secret)).await?;
        let keep = Keep { session: &secrets::hash(&secret), tokens: !end_tokens };
        let changed = store.set_password(name, &kept, Some(keep)).await?;
        changed.map_err(|_| Problem::not_found(format!("There is no account {name:?}."), ""))
    })
    .await?;
    Ok(secret)
}

/// Sessions and tokens of a person cannot be managed with a token.
pub fn only_in_a_session() -> Problem {
    Problem::refused("This needs a sign-in with a browser.", "Sign in, and use your account page.")
}

/// Ends the session of a request.
///
/// # Errors
/// Fails if the store cannot be written.
pub async fn sign_out(console: &Console, caller: &Caller) -> Result<(), StoreError> {
    if let Credential::Session(hash) = caller.credential {
        console.parts.store.end_session(&hash).await?;
        // The sign-out succeeds even if it cannot be recorded.
        let _ = report::happens(console, caller, name_of(caller), Happened::SignedOut).await;
    }
    Ok(())
}

fn name_of(caller: &Caller) -> &str {
    caller.person.as_ref().map_or("nobody", |person| person.name.as_str())
}
