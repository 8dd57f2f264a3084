//! The second factor: six-digit codes that a phone app calculates from a secret and the time (RFC 6238).
//!
//! With it, signing in has two steps. Between them there is no session, only a pending sign-in in memory, bound to its
//! own secret in a cookie and to the browser, for ten minutes and a few codes. The secret of an app that is being set
//! up stays in memory until a code has shown that the app has it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use totp_rs::{Builder, Secret, Totp};

use super::{authenticate::Caller, guessing::doubled, passwords, report, secrets, vault::Vault};
use crate::{
    clock,
    error::{Problem, whole_seconds},
    model::access::Enrolment,
    server::{config::Config, security::report::Happened, state::Console, store::Account},
};

/// How long a user has for the second step, or for setting up an app.
const PENDING_FOR: Duration = Duration::from_secs(600);
/// Number of codes that can be tried before the password must be entered again.
const TRIES: u32 = 10;
/// Maximum number of sign-ins between their two steps, and of apps being set up; and of such sign-ins of one account.
const MOST: usize = 1_000;
const MOST_OF_ONE: usize = 10;
/// Number of codes that can be tried without waiting, in general and in a known browser.
const FREE: u32 = 5;
const FREE_KNOWN: u32 = 10;
/// Longest time that a lane is closed.
const LONGEST_CLOSED: Duration = Duration::from_secs(20);
/// A lane without activity for this long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);
/// Number of recovery codes of an account.
pub const RECOVERY_CODES: usize = 10;
/// Number of letters and digits of a recovery code.
const RECOVERY_CHARS: usize = 15;
/// Name of the console in an app.
const ISSUER: &str = "Atomfeed Console";

/// The secret from which an app calculates codes.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed([u8; 20]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Seed {
    fn new() -> Self {
        Self(secrets::random())
    }

    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn totp(&self, name: &str) -> Result<Totp, Problem> {
        let built = Builder::new()
            .with_secret(Secret::new_stack(self.0))
            .with_account_name(name.to_owned())
            .with_issuer(Some(ISSUER))
            .with_skew(1)
            .build();
        built.map_err(|error| Problem::internal(format!("no codes can be calculated: {error}")))
    }

    /// Returns the time step of this code: the current step or one of its neighbours.
    pub(super) fn step(&self, code: &str, now: DateTime<Utc>) -> Result<Option<i64>, Problem> {
        // The standard counts from 1970: a clock before it has no codes.
        let Ok(seconds) = u64::try_from(now.timestamp()) else { return Ok(None) };
        Ok(self.totp("")?.check(code, seconds).and_then(|step| i64::try_from(step).ok()))
    }

    /// Returns what a page shows for setting up an app.
    ///
    /// # Errors
    /// Fails if the name cannot be part of the address that an app reads.
    pub fn enrolment(&self, name: &str, host: &str) -> Result<Enrolment, Problem> {
        // Without the port: two consoles on one machine are rare, and the address must not contain a colon.
        let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let host = host.rsplit_once(':').filter(|(_, after)| port(after)).map_or(host, |(before, _)| before);
        let label = if host.is_empty() { name.to_owned() } else { format!("{name}@{}", host.replace(':', ".")) };
        let totp = self.totp(&label)?;
        let address = totp.to_url().map_err(|error| Problem::internal(format!("no address for an app: {error}")))?;
        let drawn = qrcode::QrCode::new(address.as_bytes())
            .map_err(|error| Problem::internal(format!("no QR code can be drawn: {error}")))?;
        let width = drawn.width();
        let mut path = String::new();
        for (at, color) in drawn.to_colors().into_iter().enumerate() {
            if color == qrcode::Color::Dark {
                // Offset by four white modules, as the standard requires.
                path.push_str(&format!("M{} {}h1v1h-1z", at % width + 4, at / width + 4));
            }
        }
        Ok(Enrolment { secret: grouped(&totp.secret().to_base32()), address, width: width + 8, path })
    }
}

/// Splits a text into groups of four, as people read it out.
fn grouped(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// A sign-in between its two steps.
#[derive(Clone, Debug)]
pub struct Pending {
    pub account: i64,
    pub name: String,
    /// Page to continue to: a path and query below the base.
    pub to: String,
    /// The app that must be set up first; `None` if there is one.
    pub enrolling: Option<Seed>,
    /// If the account has another value, the password that was right is no longer its password.
    password_set_at: DateTime<Utc>,
    browser: [u8; 32],
    tries: u32,
    since: Instant,
}

#[derive(Debug)]
struct Enrolling {
    seed: Seed,
    since: Instant,
}

/// An account, and a browser from which it has signed in before. All other browsers share one lane, at any address.
type Lane = (i64, Option<[u8; 32]>);

/// Codes that were tried recently. A code is one of a million, so an attacker guesses from many addresses; and who gets
/// this far knows the password. So all unknown browsers together are slowed down, and a right password resets nothing.
#[derive(Debug, Default)]
struct Guessing {
    lanes: Mutex<HashMap<Lane, (u32, Instant)>>,
}

impl Guessing {
    /// Counts a code that is about to be tried. It counts as wrong until [`Guessing::succeeded`] is called.
    ///
    /// # Errors
    /// Fails with the time after which the next code can be tried.
    fn begin(&self, lane: Lane, now: Instant) -> Result<(), Duration> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, (_, last)| now.duration_since(*last) < FORGOTTEN);
        let (failed, last) = lanes.entry(lane).or_insert((0, now));
        let free = if lane.1.is_some() { FREE_KNOWN } else { FREE };
        let open = *last + doubled(*failed, free, LONGEST_CLOSED);
        if open > now {
            return Err(open - now);
        }
        *failed += 1;
        *last = now;
        Ok(())
    }

    fn not_made(&self, lane: Lane) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((failed, _)) = lanes.get_mut(&lane) {
            *failed = failed.saturating_sub(1);
        }
    }

    fn succeeded(&self, lane: Lane) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).remove(&lane);
    }
}

/// State of second factors while the console runs.
#[derive(Debug)]
pub struct SecondFactors {
    pub vault: Vault,
    guessing: Guessing,
    /// Sign-ins between their two steps, by the digest of the cookie's secret.
    pending: Mutex<HashMap<[u8; 32], Pending>>,
    /// Apps being set up on the account page, by the digest of the session's secret.
    enrolling: Mutex<HashMap<[u8; 32], Enrolling>>,
}

impl SecondFactors {
    pub fn new(config: &Config) -> Self {
        Self {
            vault: Vault::new(config),
            guessing: Guessing::default(),
            pending: Mutex::default(),
            enrolling: Mutex::default(),
        }
    }

    /// Stores a sign-in whose password was right, and returns the secret for its cookie.
    pub fn begin(&self, caller: &Caller, account: &Account, to: &str) -> String {
        let secret = secrets::new();
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.retain(|_, pending| pending.since.elapsed() < PENDING_FOR);
        // Only users with a right password get here, so the oldest entry is removed.
        while oldest(&pending, |other| other.account == account.id, MOST_OF_ONE) {
            remove_oldest(&mut pending, |other| other.account == account.id);
        }
        while oldest(&pending, |_| true, MOST) {
            remove_oldest(&mut pending, |_| true);
        }
        let new = Pending {
            account: account.id,
            name: account.name.clone(),
            to: to.to_owned(),
            enrolling: (!account.second_factor).then(Seed::new),
            password_set_at: account.password_set_at,
            browser: secrets::hash(&caller.browser.0),
            tries: 0,
            since: Instant::now(),
        };
        pending.insert(secrets::hash(&secret), new);
        secret
    }

    /// Returns the sign-in of this caller that waits for its second step.
    pub fn pending(&self, caller: &Caller) -> Option<Pending> {
        let key = secrets::hash(caller.pending.as_deref()?);
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let found = pending.get(&key)?;
        let goes_on = found.since.elapsed() < PENDING_FOR && found.browser == secrets::hash(&caller.browser.0);
        goes_on.then(|| found.clone())
    }

    /// Counts a code that is about to be tried; returns `false` if the password must be entered again.
    fn counts(&self, caller: &Caller) -> bool {
        let Some(secret) = caller.pending.as_deref() else { return false };
        let key = secrets::hash(secret);
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(found) = pending.get_mut(&key) else { return false };
        found.tries += 1;
        if found.tries <= TRIES {
            return true;
        }
        pending.remove(&key);
        false
    }

    /// Forgets the pending sign-in of this caller.
    pub fn end(&self, caller: &Caller) {
        if let Some(secret) = caller.pending.as_deref() {
            self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&secrets::hash(secret));
        }
    }

    /// Begins to set up an app for the signed-in user.
    pub fn enrol(&self, caller: &Caller) {
        let mut enrolling = self.enrolling.lock().unwrap_or_else(PoisonError::into_inner);
        enrolling.retain(|_, enrolling| enrolling.since.elapsed() < PENDING_FOR);
        if enrolling.len() < MOST {
            enrolling.insert(secrets::hash(&caller.secret), Enrolling { seed: Seed::new(), since: Instant::now() });
        }
    }

    /// Returns the app that the signed-in user is setting up.
    pub fn enrolling(&self, caller: &Caller) -> Option<Seed> {
        let enrolling = self.enrolling.lock().unwrap_or_else(PoisonError::into_inner);
        let found = enrolling.get(&secrets::hash(&caller.secret))?;
        (found.since.elapsed() < PENDING_FOR).then(|| found.seed.clone())
    }

    fn enrolled(&self, caller: &Caller) {
        self.enrolling.lock().unwrap_or_else(PoisonError::into_inner).remove(&secrets::hash(&caller.secret));
    }
}

fn oldest(pending: &HashMap<[u8; 32], Pending>, of: impl Fn(&Pending) -> bool, most: usize) -> bool {
    pending.values().filter(|pending| of(pending)).count() >= most
}

fn remove_oldest(pending: &mut HashMap<[u8; 32], Pending>, of: impl Fn(&Pending) -> bool) {
    let found = pending.iter().filter(|(_, pending)| of(pending)).min_by_key(|(_, pending)| pending.since);
    if let Some(key) = found.map(|(key, _)| *key) {
        pending.remove(&key);
    }
}

/// The kind of code that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Code,
    /// A recovery code, and how many are left.
    RecoveryCode(i64),
}

/// Returns what was typed, in lower case and without the characters between groups.
fn typed(code: &str) -> String {
    code.chars().filter(|char| !char.is_whitespace() && *char != '-').take(100).collect::<String>().to_lowercase()
}

/// Returns the stored form of a recovery code. It has 74 bits, too many to try them all.
fn recovery_hash(account: i64, code: &str) -> [u8; 32] {
    secrets::derived(&format!("recovery code of account {account}"), code)
}

/// Returns new recovery codes, as shown and as stored.
pub fn recovery_codes(account: i64) -> (Vec<String>, Vec<[u8; 32]>) {
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| passwords::readable(RECOVERY_CHARS)).collect();
    let hashes = codes.iter().map(|code| recovery_hash(account, &typed(code))).collect();
    (codes, hashes)
}

fn not_right() -> Problem {
    Problem::not_signed_in(
        "Wrong code.",
        "Enter the 6 digits that your app shows now. If the code is wrong again, compare the phone's clock with another one. A \
         recovery code is right once.",
    )
    .at("code")
}

fn used_before() -> Problem {
    Problem::not_signed_in("This code was already used.", "Wait for the next code (at most 30 s).").at("code")
}

/// Verifies a code of an account's app or one of its recovery codes.
///
/// # Errors
/// Fails if the code is wrong, was used before, was tried too often, or cannot be checked now.
pub async fn verify_code(console: &Console, caller: &Caller, account: &Account, code: &str) -> Result<Shown, Problem> {
    let store = &console.parts.store;
    let factors = &console.parts.sign_in_service.second_factors;
    let code = typed(code);
    let mark = secrets::hash(&caller.browser.0);
    let known = !caller.browser.1 && store.knows_browser(&mark, &account.name).await?;
    let lane = (account.id, known.then_some(mark));
    if let Err(wait) = factors.guessing.begin(lane, Instant::now()) {
        tracing::warn!(address = caller.client.address(), "codes come faster than they are taken");
        // The code is refused even if this cannot be recorded.
        let _ = report::sign_in_refused(console, caller, &account.name, Happened::SignInTooOften).await;
        return Err(Problem::too_many(
            "Several wrong codes were entered for this account.",
            format!("Wait {} s, then try again with the next code.", whole_seconds(wait)),
        )
        .after(wait));
    }
    match checked(console, account, &code).await {
        Ok(Checked::Right(shown)) => {
            factors.guessing.succeeded(lane);
            Ok(shown)
        }
        Ok(wrong) => {
            // The code is refused even if this cannot be recorded.
            let _ = report::sign_in_refused(console, caller, &account.name, Happened::CodeNotRight).await;
            Err(if matches!(wrong, Checked::UsedBefore) { used_before() } else { not_right() })
        }
        Err(problem) => {
            factors.guessing.not_made(lane);
            Err(problem)
        }
    }
}

enum Checked {
    Right(Shown),
    UsedBefore,
    Wrong,
}

async fn checked(console: &Console, account: &Account, code: &str) -> Result<Checked, Problem> {
    let store = &console.parts.store;
    if code.len() == RECOVERY_CHARS {
        if !store.take_recovery_code(account.id, &recovery_hash(account.id, code)).await? {
            return Ok(Checked::Wrong);
        }
        let left = store.second_factor(account.id).await?.map_or(0, |factor| factor.codes_left);
        return Ok(Checked::Right(Shown::RecoveryCode(left)));
    }
    let Some(factor) = store.second_factor(account.id).await? else { return Ok(Checked::Wrong) };
    let vault = &console.parts.sign_in_service.second_factors.vault;
    let key = vault.key(store).await?;
    let seed = key.open(account.id, &factor.secret).as_deref().and_then(Seed::of);
    let seed = seed.ok_or_else(|| {
        tracing::error!(account = account.name, "the secret of a second factor cannot be decrypted");
        Problem::unavailable(
            "Codes of this account cannot be checked: the secret cannot be decrypted.",
            "You can sign in with a recovery code. An administrator can reset the second factor.",
        )
    })?;
    Ok(match seed.step(code, clock::now())? {
        None => Checked::Wrong,
        Some(step) if store.take_step(account.id, step).await? => Checked::Right(Shown::Code),
        Some(_) => Checked::UsedBefore,
    })
}

/// Makes the app that is being set up the account's second factor, if a code shows that it works. Returns the recovery
/// codes, which cannot be shown again.
///
/// # Errors
/// Fails if the code is wrong, or the key or the store cannot be used.
pub async fn set(
    console: &Console,
    caller: &Caller,
    account: &Account,
    seed: &Seed,
    code: &str,
    keep_session: &[u8],
) -> Result<Vec<String>, Problem> {
    let store = &console.parts.store;
    let Some(step) = seed.step(&typed(code), clock::now())? else {
        return Err(Problem::bad_request(
            "Wrong code.",
            "Enter the 6 digits that your app shows now for this secret. If the code is wrong again, compare the phone's clock \
             with another one.",
        )
        .at("code"));
    };
    let key = console.parts.sign_in_service.second_factors.vault.key(store).await?;
    let sealed = key.seal(account.id, seed.bytes())?;
    let (codes, hashes) = recovery_codes(account.id);
    report::on_record(console, caller, &account.name, Happened::SecondFactorSet { of: &account.name }, async {
        // The state when this page was requested.
        let replace = account.second_factor;
        if store.set_second_factor(account.id, &sealed, step, &hashes, keep_session, replace).await? {
            return Ok(());
        }
        Err(Problem::conflict(
            "A second factor of this account was just set up in another browser.",
            "Sign in with a code of that app. If this was not you, tell an administrator: the audit log has the time.",
        ))
    })
    .await?;
    console.parts.sign_in_service.second_factors.enrolled(caller);
    Ok(codes)
}

/// Returns the account of a pending sign-in, if its password is still the one that was right. Counts a code that is
/// about to be tried.
///
/// # Errors
/// Fails if the sign-in must start again.
pub async fn account_of(console: &Console, caller: &Caller) -> Result<(Pending, Account), Problem> {
    let factors = &console.parts.sign_in_service.second_factors;
    let begin_again = || {
        Problem::not_signed_in(
            "This sign-in took too long, or too many codes were tried.",
            "Start again with your user name and password.",
        )
    };
    let pending = factors.pending(caller).ok_or_else(begin_again)?;
    let account = console.parts.store.account(&pending.name).await?.filter(|account| {
        account.id == pending.account
            && account.disabled_at.is_none()
            && account.password_set_at == pending.password_set_at
            && account.second_factor == pending.enrolling.is_none()
    });
    let Some(account) = account.filter(|_| factors.counts(caller)) else {
        factors.end(caller);
        return Err(begin_again());
    };
    Ok((pending, account))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test values of RFC 6238, appendix B: their last six digits are the six-digit code.
    #[test]
    fn codes_are_those_of_the_standard_in_the_step_and_those_beside_it() {
        let seed = Seed(*b"12345678901234567890");
        let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap();
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = seconds / 30;
            assert_eq!(seed.step(code, at(seconds)).unwrap(), Some(step), "{seconds}");
            assert_eq!(seed.step(code, at((step + 2) * 30 - 1)).unwrap(), Some(step), "one step late");
            assert_eq!(seed.step(code, at((step - 1) * 30)).unwrap(), Some(step), "one step early");
            assert_eq!(seed.step(code, at((step + 2) * 30)).unwrap(), None, "two late");
            assert_eq!(seed.step(code, at((step - 1) * 30 - 1)).unwrap(), None, "two early");
        }
        for code in ["", "28708", "2870820", "+87082", "２８７０８２", "28708a"] {
            assert_eq!(seed.step(code, at(59)).unwrap(), None, "{code}");
        }
    }

    #[test]
    fn an_app_reads_whose_codes_they_are_and_the_secret_stands_there_as_text() {
        let seed = Seed(*b"12345678901234567890");
        let enrolment = seed.enrolment("asha", "hospital.example:9080").unwrap();
        assert_eq!(enrolment.secret, "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
        assert_eq!(
            enrolment.address,
            "otpauth://totp/Atomfeed%20Console:asha%40hospital.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Atomfeed%20Console"
        );
        assert!(enrolment.width > 40 && enrolment.path.starts_with("M4 4h1v1h-1z"), "{enrolment:?}");
        for host in ["[::1]:9080", "[::1]", "", "localhost"] {
            seed.enrolment("asha@ward", host).unwrap();
        }
    }

    #[test]
    fn codes_are_guessed_slowly_and_the_owner_goes_on_in_a_known_browser() {
        let guessing = Guessing::default();
        let begun = Instant::now();
        let (mut made, mut now) = (0, begun);
        while now < begun + Duration::from_secs(3_600) {
            now += Duration::from_millis(100);
            made += u32::from(guessing.begin((1, None), now).is_ok());
        }
        assert!((100..200).contains(&made), "{made} of a million codes in an hour");
        assert_eq!(guessing.begin((1, Some([7; 32])), now), Ok(()));
        assert_eq!(guessing.begin((2, None), now), Ok(()), "another account");
        assert_eq!(guessing.begin((1, None), now + FORGOTTEN), Ok(()), "and it is forgotten");
        guessing.succeeded((1, None));
        assert_eq!((0..10).filter(|_| guessing.begin((1, None), now).is_ok()).count(), 5);
    }

    #[test]
    fn recovery_codes_are_ten_and_taken_however_they_are_typed() {
        let (codes, hashes) = recovery_codes(7);
        assert_eq!((codes.len(), hashes.len()), (10, 10));
        let code = &codes[0];
        assert_eq!((code.len(), code.matches('-').count()), (17, 2), "{code}");
        for written in [code.clone(), code.replace('-', " "), code.to_uppercase(), code.replace('-', "")] {
            assert_eq!(recovery_hash(7, &typed(&written)), hashes[0]);
        }
        assert_ne!(recovery_hash(8, &typed(code)), hashes[0], "of this account alone");
    }
}
