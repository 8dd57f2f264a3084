//! Signing in and out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Semaphore;
use unicode_security::{MixedScript as _, skeleton};

use super::{
    guessing::{Attempt, Guessing, Refusal},
    openmrs::{Asking, Known},
    passwords::Prover,
    report::{self, Happened},
    second_factor::{self, SecondFactors, Shown},
    secrets,
    visit::{Proof, Visit, person_of, person_of_openmrs},
};
use crate::{
    error::Problem,
    model::{Person, Role, access::is_name},
    server::{
        config::{Config, DemoAccounts, Way},
        shares::network,
        state::Console,
        store::{Account, Keep, NewAccount, NewPassword, NewSession, Store, StoreError, folded},
    },
};

/// How long Basic credentials that were proved are taken without proving them again.
const PROVED_FOR: Duration = Duration::from_secs(300);
/// Credentials that are remembered as proved.
const MOST_PROVED: usize = 1_000;
/// Sign-ins that wait for what others did, at the same time: more than one address may have connections, so that a machine
/// alone does not take every place.
const MOST_WAITING: usize = 1_000;
/// After how long OpenMRS is asked again about a name and a password that were wrong.
const ASKED_AGAIN: TimeDelta = TimeDelta::minutes(5);
/// How long something that is shown once waits for its page.
const SHOWN_WITHIN: Duration = Duration::from_secs(300);
/// Characters of the longest name that is looked up.
const LONGEST_NAME: usize = 100;
/// What is kept of a browser's name for itself.
const LONGEST_BROWSER: usize = 300;

/// The name of the account that the first start makes.
pub const FIRST_ACCOUNT: &str = "administrator";

/// What the console needs to know who comes.
#[derive(Debug)]
pub struct Doorkeeper {
    pub prover: Prover,
    pub second_factors: SecondFactors,
    guessing: Guessing,
    openmrs: Option<Asking>,
    waiting: Semaphore,
    /// Digests of Basic credentials that were proved lately. The key makes them useless to whoever reads the memory later.
    proved: Mutex<HashMap<[u8; 32], Remembered>>,
    /// Credentials that are being proved now.
    proving: Mutex<HashMap<[u8; 32], Arc<tokio::sync::Mutex<()>>>>,
    key: [u8; 32],
    /// Secrets that were just made, each to be shown once, by what the forms of their visitor are bound to.
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
    /// As long as neither password nor rights have changed since.
    Account(DateTime<Utc>),
    Openmrs(Known),
}

/// Something that is shown to a person once, on the next page that they see.
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
    /// With the page to go on to, where that is not one's account.
    RecoveryCodes {
        codes: Vec<String>,
        to: Option<String>,
    },
}

impl ShownOnce {
    /// The sentence of what a form did.
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

impl Doorkeeper {
    pub fn new(config: &Config) -> Self {
        let openmrs = match &config.access.way {
            Way::Openmrs(settings) => match Asking::new(settings.clone()) {
                Ok(asking) => Some(asking),
                Err(error) => {
                    tracing::error!("OpenMRS cannot be asked who may come in: {error:#}");
                    None
                }
            },
            _ => None,
        };
        Self {
            prover: Prover::new(),
            second_factors: SecondFactors::new(config),
            guessing: Guessing::default(),
            openmrs,
            waiting: Semaphore::new(MOST_WAITING),
            proved: Mutex::default(),
            proving: Mutex::default(),
            key: secrets::random(),
            to_show: Mutex::default(),
        }
    }

    /// Keeps something for the next page that this visitor sees.
    pub fn show_once(&self, visit: &Visit, what: ShownOnce) {
        self.show_once_to(&visit.secret, what);
    }

    /// The same for a visitor whose forms will be bound to this secret.
    pub fn show_once_to(&self, secret: &str, what: ShownOnce) {
        let mut to_show = self.to_show.lock().unwrap_or_else(PoisonError::into_inner);
        to_show.retain(|_, kept| kept.since.elapsed() < SHOWN_WITHIN);
        to_show.insert(secrets::hash(secret), ToShow { what, since: Instant::now() });
    }

    /// Takes what is to be shown to this visitor, if `wanted` knows it.
    pub fn take_shown<T>(&self, visit: &Visit, wanted: impl FnOnce(&ShownOnce) -> Option<T>) -> Option<T> {
        let mut to_show = self.to_show.lock().unwrap_or_else(PoisonError::into_inner);
        let key = secrets::hash(&visit.secret);
        let found = wanted(&to_show.get(&key)?.what)?;
        let kept = to_show.remove(&key)?;
        (kept.since.elapsed() < SHOWN_WITHIN).then_some(found)
    }

    /// Stands for a password that is tried on a name, as long as `until` is the same.
    fn guess(&self, name: &str, until: Option<i64>, password: &str) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.digest(&format!("{} {name}", until.unwrap_or_default()), password);
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    fn digest(&self, name: &str, password: &str) -> [u8; 32] {
        secrets::derived(&format!("{}\0{name}", secrets::hex(&self.key)), password)
    }
}

/// Somebody whose password was right.
#[derive(Clone, Debug)]
pub enum Proved {
    Account(Account),
    Openmrs(Known),
}

impl Proved {
    pub fn person(&self) -> Person {
        match self {
            Proved::Account(account) => person_of(account),
            Proved::Openmrs(known) => person_of_openmrs(&known.name, known.role),
        }
    }
}

/// The same words for a wrong name, a wrong password and a disabled account.
fn not_right() -> Problem {
    Problem::not_signed_in(
        "Wrong user name or password.",
        "Try again. If you forgot the password, ask an administrator for a new one.",
    )
    .at("password")
}

/// Proves a name and a password, as slowly for a name that nobody has as for one that somebody has.
///
/// # Errors
/// They are not right, were tried too often, or cannot be checked now.
async fn prove(console: &Console, visit: &Visit, name: &str, password: &str) -> Result<Proved, Problem> {
    let keeper = &console.parts.doorkeeper;
    let name = name.trim();
    if name.is_empty() || password.is_empty() || name.chars().count() > LONGEST_NAME {
        return Err(not_right());
    }
    let mark = (!visit.browser.1).then(|| secrets::hash(&visit.browser.0));
    let mut people = match &mark {
        Some(mark) => console.parts.store.people_of_browser(mark).await?,
        None => Vec::new(),
    };
    let known = people.contains(&folded(name));
    people.retain(|other| *other != folded(name));
    let voucher = keeper.guessing.voucher(people, &folded(name));
    let account = console.parts.store.account(name).await?;
    let exists = match &console.parts.config.access.way {
        // Whom OpenMRS knows, the console knows from earlier sign-ins alone.
        Way::Openmrs(_) => console.parts.store.has_signed_in(name).await?,
        _ => account.is_some(),
    };
    // When OpenMRS takes another password is not known here: what was wrong is asked again some minutes later.
    let until = match &console.parts.config.access.way {
        Way::Openmrs(_) => Some(Utc::now().timestamp() / ASKED_AGAIN.num_seconds()),
        _ => account.map(|account| account.password_set_at.timestamp_millis()),
    };
    let guess = keeper.guess(&folded(name), until, password);
    let address = visit.came.from.map(network);
    let attempt = Attempt { name: folded(name), address, browser: mark, known, voucher, guess };
    let wait = match keeper.guessing.begin(&attempt, Instant::now()) {
        Ok(wait) => wait,
        Err(refused) => {
            let (happened, problem) = match refused {
                Refusal::Later(wait) => (Happened::SignInTooOften, Problem::too_often(wait)),
                Refusal::Wrong => (Happened::SignInFailed, Problem::wrong_again()),
            };
            tracing::warn!(address = visit.came.address(), "sign-ins come faster than they are taken");
            // They stay outside whether it could be written or not.
            let _ = report::sign_in_failed(console, visit, exists.then_some(attempt.name.as_str()), happened).await;
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
    let proved = match &console.parts.config.access.way {
        Way::Accounts => of_account(console, name, password).await,
        Way::Openmrs(_) => of_openmrs(keeper, name, password).await,
        Way::Proxy(_) | Way::Open => Ok(None),
    };
    match proved {
        Ok(Some(proved)) => {
            keeper.guessing.succeeded(&attempt);
            Ok(proved)
        }
        Ok(None) => {
            keeper.guessing.was_wrong(&attempt, Instant::now());
            // They stay outside whether it could be written or not.
            let exists = exists.then_some(attempt.name.as_str());
            let _ = report::sign_in_failed(console, visit, exists, Happened::SignInFailed).await;
            Err(not_right())
        }
        Err(NotProved { problem, who }) => {
            keeper.guessing.not_made(&attempt);
            if let Some((name, happened)) = who {
                // They stay outside whether it could be written or not.
                let _ = report::sign_in_refused(console, visit, &name, happened).await;
            }
            Err(problem)
        }
    }
}

/// Why nobody is signed in, although nobody was wrong.
#[derive(Debug)]
struct NotProved {
    problem: Problem,
    /// Whose password was right all the same, and why that is not enough.
    who: Option<(String, Happened<'static>)>,
}

impl<P: Into<Problem>> From<P> for NotProved {
    fn from(problem: P) -> Self {
        Self { problem: problem.into(), who: None }
    }
}

async fn of_account(console: &Console, name: &str, password: &str) -> Result<Option<Proved>, NotProved> {
    let account = console.parts.store.account(name).await?;
    let account = account.filter(|account| account.disabled_at.is_none());
    let hash = account.as_ref().map(|account| account.password.as_str());
    let right = console.parts.doorkeeper.prover.proves(password, hash).await?;
    let Some(account) = account.filter(|_| right) else { return Ok(None) };
    if account.password_until.is_some_and(|until| until < Utc::now()) {
        let problem = Problem::not_signed_in(
            "This one-time password has expired.",
            "Ask an administrator for another one, or use the command account password on the machine.",
        );
        return Err(NotProved { problem, who: Some((account.name, Happened::OneTimePasswordExpired)) });
    }
    Ok(Some(Proved::Account(account)))
}

async fn of_openmrs(keeper: &Doorkeeper, name: &str, password: &str) -> Result<Option<Proved>, NotProved> {
    let asking = keeper.openmrs.as_ref().ok_or_else(|| {
        Problem::unavailable(
            "OpenMRS is needed to sign in, but the settings for it are wrong.",
            "Tell the administrator. The log of the console has the reason.",
        )
    })?;
    let known = asking.who(name, password).await.map_err(|problem| {
        let right = problem.status == 403;
        NotProved { problem, who: right.then(|| (name.to_owned(), Happened::NoRole)) }
    })?;
    Ok(known.map(Proved::Openmrs))
}

/// What was proved lately with credentials of this digest, if it still holds.
async fn remembered(console: &Console, digest: &[u8; 32], name: &str) -> Result<Option<Proved>, Problem> {
    let found = {
        let proved = console.parts.doorkeeper.proved.lock().unwrap_or_else(PoisonError::into_inner);
        proved.get(digest).filter(|remembered| remembered.at.elapsed() < PROVED_FOR).map(|found| found.who.clone())
    };
    Ok(match found {
        None => None,
        Some(RememberedAs::Openmrs(known)) => Some(Proved::Openmrs(known)),
        Some(RememberedAs::Account(set_at)) => {
            let account = console.parts.store.account(name).await?;
            let same = |account: &Account| account.disabled_at.is_none() && account.password_set_at == set_at;
            account.filter(same).map(Proved::Account)
        }
    })
}

/// Proves the credentials of a program that sends them with each request. Once right, they are taken for some minutes.
///
/// # Errors
/// As signing in.
pub async fn prove_again(console: &Console, visit: &Visit, name: &str, password: &str) -> Result<Proved, Problem> {
    let keeper = &console.parts.doorkeeper;
    let digest = keeper.digest(&folded(name), password);
    // A program that sends several requests at once is proved once, and not taken for one that guesses.
    let one_at_a_time = {
        let mut proving = keeper.proving.lock().unwrap_or_else(PoisonError::into_inner);
        proving.retain(|_, lock| Arc::strong_count(lock) > 1);
        proving.entry(digest).or_default().clone()
    };
    let _turn = one_at_a_time.lock().await;
    if let Some(proved) = remembered(console, &digest, name).await? {
        return Ok(proved);
    }
    let found = prove(console, visit, name, password).await?;
    let who = match &found {
        Proved::Account(account) => RememberedAs::Account(account.password_set_at),
        Proved::Openmrs(known) => RememberedAs::Openmrs(known.clone()),
    };
    let mut proved = keeper.proved.lock().unwrap_or_else(PoisonError::into_inner);
    proved.retain(|_, remembered| remembered.at.elapsed() < PROVED_FOR);
    if proved.len() < MOST_PROVED {
        proved.insert(digest, Remembered { at: Instant::now(), who });
    }
    Ok(found)
}

/// A session that has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    pub person: Person,
    /// For the cookie.
    pub secret: String,
    /// The browser's new mark, for the other cookie.
    pub mark: String,
    /// Nothing else can be done before the password is changed.
    pub must_change: bool,
}

/// How far a sign-in has come once the password was right.
#[derive(Clone, Debug)]
pub enum Stage {
    Begun(Begun),
    /// There is no session yet: a code is needed, or an app has to be set up first. For the cookie.
    SecondStep {
        secret: String,
    },
}

/// Takes somebody's name and password: the first step of signing in, and the only one without a second factor. `to` is
/// where they want to go on.
///
/// # Errors
/// The credentials are not right, were tried too often, or cannot be checked now.
pub async fn sign_in(
    console: &Console,
    visit: &Visit,
    name: &str,
    password: &str,
    to: &str,
    browser: &str,
) -> Result<Stage, Problem> {
    let proved = prove(console, visit, name, password).await?;
    if let Proved::Account(account) = &proved {
        if account.must_change && account.password_used_at.is_some() {
            return Err(used_before(console, visit, &account.name).await);
        }
        if needs_code(console, account) {
            let secret = console.parts.doorkeeper.second_factors.begin(visit, account, to);
            return Ok(Stage::SecondStep { secret });
        }
    }
    begin(console, visit, &proved, name, browser, Happened::SignedIn).await.map(Stage::Begun)
}

/// Whether a password alone does not let this account in.
pub fn needs_code(console: &Console, account: &Account) -> bool {
    account.second_factor || console.parts.config.access.demands_second_factor(account.role)
}

/// Takes the code of the second step, and returns where to go on, too.
///
/// # Errors
/// The code is not right, was tried too often, or cannot be checked now; or the sign-in has to begin again.
pub async fn second_step(
    console: &Console,
    visit: &Visit,
    code: &str,
    browser: &str,
) -> Result<(Begun, String), Problem> {
    let keeper = &console.parts.doorkeeper;
    let (pending, account) = second_factor::account_of(console, visit).await?;
    let (codes, how) = match &pending.enrolling {
        None => match second_factor::prove(console, visit, &account, code).await? {
            Shown::Code => (None, Happened::SignedInByCode),
            Shown::RecoveryCode(left) => (None, Happened::SignedInByRecoveryCode { left }),
        },
        Some(seed) => {
            let codes = second_factor::set(console, visit, &account, seed, code, &[]).await?;
            (Some(codes), Happened::SignedInByCode)
        }
    };
    keeper.second_factors.end(visit);
    let begun = begin(console, visit, &Proved::Account(account), &pending.name, browser, how).await?;
    let base = &console.parts.config.base;
    let on =
        if begun.must_change { base.account() } else { base.inside(&pending.to).unwrap_or_else(|| base.overview()) };
    let Some(codes) = codes else { return Ok((begun, on)) };
    keeper.show_once_to(&begun.secret, ShownOnce::RecoveryCodes { codes, to: Some(on) });
    let shown = base.second_factor();
    Ok((begun, shown))
}

/// Begins a session: it gets an id that nobody has seen before, and the one that the request came with ends. `name` is what
/// was typed: the browser is known by it from now on.
async fn begin(
    console: &Console,
    visit: &Visit,
    proved: &Proved,
    name: &str,
    browser: &str,
    how: Happened<'_>,
) -> Result<Begun, Problem> {
    let person = proved.person();
    let (account, must_change) = match proved {
        Proved::Account(account) => (Some(account.id), account.must_change),
        Proved::Openmrs(_) => (None, false),
    };
    let secret = secrets::new();
    let (store, access) = (&console.parts.store, &console.parts.config.access);
    let browser: String = browser.chars().filter(|char| !char.is_control()).take(LONGEST_BROWSER).collect();
    let new = NewSession {
        hash: &secrets::hash(&secret),
        account,
        name: &person.name,
        role: person.role,
        address: &visit.came.address(),
        browser: &browser,
        one_time: must_change,
    };
    let before = match visit.proof {
        Proof::Session(hash) => Some(hash),
        _ => None,
    };
    report::happens(console, visit, &person.name, how).await?;
    let idle = TimeDelta::from_std(access.ends_unused_after()).unwrap_or(TimeDelta::MAX);
    if !store.begin_session(&new, before.as_ref().map(|hash| hash.as_slice()), idle).await? {
        return Err(used_before(console, visit, &person.name).await);
    }
    // The mark that the browser came with may have been planted in it by somebody who knows it, too.
    let mark = secrets::new();
    store.rename_browser(&secrets::hash(&visit.browser.0), &secrets::hash(&mark)).await?;
    store.know_browser(&secrets::hash(&mark), name).await?;
    Ok(Begun { person, secret, mark, must_change })
}

/// The one-time password was right, and has been used.
async fn used_before(console: &Console, visit: &Visit, name: &str) -> Problem {
    // They stay outside whether it could be written or not.
    let _ = report::sign_in_refused(console, visit, name, Happened::OneTimePasswordUsed).await;
    Problem::not_signed_in(
        "This one-time password was already used.",
        "Ask an administrator for another one, or use the command account password on the machine. If it was not \
         you who used it, say so.",
    )
}

/// Makes the accounts that a first start needs, and answers what to print, once.
///
/// # Errors
/// The store cannot be written.
pub async fn first_accounts(config: &Config, store: &Store, prover: &Prover) -> anyhow::Result<Vec<String>> {
    let access = &config.access;
    if access.way != Way::Accounts {
        return Ok(Vec::new());
    }
    if let Some(demo) = &access.demo {
        return demo_accounts(demo, store, prover).await;
    }
    if store.has_accounts().await? {
        return Ok(Vec::new());
    }
    let (password, kept) = prover.one_time().await?;
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

/// The demo's accounts have the passwords of this start, whatever an earlier one gave them.
async fn demo_accounts(demo: &DemoAccounts, store: &Store, prover: &Prover) -> anyhow::Result<Vec<String>> {
    let mut said = vec!["The demo hospital has three accounts:".to_owned()];
    for (role, password) in &demo.accounts {
        let kept = NewPassword { hash: prover.hash(password).await?, must_change: false, until: None };
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

/// Whether a text can be the name of an account.
///
/// # Errors
/// The reason.
fn check_name(name: &str) -> Result<(), Problem> {
    let length = name.trim().chars().count();
    let fine = |char: char| char.is_alphanumeric() || "._-@+".contains(char);
    if (1..=64).contains(&length) && name.trim().chars().all(fine) && is_name(name) {
        return Ok(());
    }
    Err(Problem::bad_request(
        "This name cannot be used for an account.",
        "A name has 1 to 64 letters, digits and . _ - @ +, without spaces, and is not a word of the console, such \
         as console.",
    ))
}

/// Checks the name of a new account, and that it looks like no other one's.
///
/// # Errors
/// The name cannot be used, what it is taken for, or the store cannot be read.
pub async fn check_new_name(store: &Store, name: &str) -> Result<(), Problem> {
    check_name(name)?;
    let accounts = store.accounts().await?;
    check_look(name, accounts.iter().map(|account| account.name.as_str()))
}

/// Whether the name of a new account can be told by eye from every other: it is of one script, and does not look like the
/// name of one of these accounts. Accounts that there are keep their names.
///
/// # Errors
/// What it is taken for.
fn check_look<'n>(name: &str, accounts: impl IntoIterator<Item = &'n str>) -> Result<(), Problem> {
    let name = folded(name);
    if !name.as_str().is_single_script() {
        return Err(Problem::bad_request(
            "This name mixes letters of different scripts, such as Latin and Cyrillic.",
            "Use letters of one script: names that look alike cannot be told apart in the audit log.",
        ));
    }
    let look = |name: &str| skeleton(name).collect::<String>();
    let this = look(&name);
    match accounts.into_iter().find(|other| **other != *name && look(other) == this) {
        None => Ok(()),
        Some(other) => Err(Problem::bad_request(
            format!("This name looks like the name of the account {other}."),
            "Choose another name: names that look alike cannot be told apart in the audit log.",
        )),
    }
}

/// A password of a person's own, checked and ready to be kept.
///
/// # Errors
/// It is too weak, or too many others are waiting.
pub async fn chosen(prover: &Prover, name: &str, password: &str) -> Result<NewPassword, Problem> {
    prover.accepts(password, name).await?;
    Ok(NewPassword { hash: prover.hash(password).await?, must_change: false, until: None })
}

/// Has somebody who is signed in prove their password once more, before something that outlasts the session. `which`
/// is the password's name on the form.
///
/// # Errors
/// It is not right, was tried too often, or cannot be checked now.
pub async fn confirm(
    console: &Console,
    visit: &Visit,
    name: &str,
    password: &str,
    field: &'static str,
) -> Result<(), Problem> {
    prove(console, visit, name, password).await.map(drop).map_err(|problem| match problem.status {
        401 => {
            let which = if field == "current" { "current password" } else { "password" };
            Problem::bad_request(format!("The {which} is wrong."), "Nothing was changed. Try again.").at(field)
        }
        _ => problem,
    })
}

/// Changes somebody's own password. Their other sessions end, their tokens where it is asked for, and this session gets
/// another id: for the cookie.
///
/// # Errors
/// The current password is not right, or the new one is too weak.
pub async fn change_password(
    console: &Console,
    visit: &Visit,
    name: &str,
    current: &str,
    new: &str,
    end_tokens: bool,
) -> Result<String, Problem> {
    let Proof::Session(hash) = visit.proof else { return Err(only_in_a_session()) };
    confirm(console, visit, name, current, "current").await?;
    if current == new {
        let same = Problem::bad_request("The new password is the same as the current one.", "Choose another one.");
        return Err(same.at("new"));
    }
    let kept =
        chosen(&console.parts.doorkeeper.prover, name, new).await.map_err(|problem| problem.at_if(400, "new"))?;
    let secret = secrets::new();
    let store = &console.parts.store;
    report::on_record(console, visit, name, Happened::PasswordChanged { of: name }, async {
        store.rotate_session(&hash, &secrets::hash(&secret)).await?;
        let keep = Keep { session: &secrets::hash(&secret), tokens: !end_tokens };
        let changed = store.set_password(name, &kept, Some(keep)).await?;
        changed.map_err(|_| Problem::not_found(format!("There is no account {name:?}."), ""))
    })
    .await?;
    Ok(secret)
}

/// What is about a person's own session or tokens is not for a program that holds a token.
pub fn only_in_a_session() -> Problem {
    Problem::refused("This needs a sign-in with a browser.", "Sign in, and use your account page.")
}

/// Ends the session of a request.
///
/// # Errors
/// The store cannot be written.
pub async fn sign_out(console: &Console, visit: &Visit) -> Result<(), StoreError> {
    if let Proof::Session(hash) = visit.proof {
        console.parts.store.end_session(&hash).await?;
        // Nobody is kept inside because the log cannot be written.
        let _ = report::happens(console, visit, name_of(visit), Happened::SignedOut).await;
    }
    Ok(())
}

fn name_of(visit: &Visit) -> &str {
    visit.person.as_ref().map_or("nobody", |person| person.name.as_str())
}
