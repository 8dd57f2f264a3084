//! Passwords: which are good enough, and how one is proved without being kept.
//!
//! The rules are those of NIST SP 800-63B: length is what counts, and nothing about letters, digits or signs is asked.
//! A password is the only thing a person shows here, so it has at least 15 characters, as that standard asks for one that
//! stands alone. What everybody tries first is refused with the reason, and a password never expires by itself.
//!
//! Proving is slow on purpose. Only a few proofs run at the same time, away from the threads that serve pages, so that a
//! flood of sign-ins makes other sign-ins wait and nothing else.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::{Output, ParamsString, Salt},
};
use chrono::{TimeDelta, Utc};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use super::secrets;
use crate::{error::Problem, server::store::NewPassword};

/// Characters of the shortest password.
pub const SHORTEST: usize = 15;
/// Characters of the longest that is read: far more than anyone types, and too few to keep the machine busy.
pub const LONGEST: usize = 256;
/// How long a one-time password can be used.
pub const ONE_TIME: TimeDelta = TimeDelta::days(7);

/// Different characters that a password needs: fewer is a run of a key or two.
const FEWEST_DIFFERENT: usize = 5;

/// The longest run that must not be all there is.
const LONGEST_RUN: usize = 5;

/// How long somebody waits for their turn to be proved.
const PATIENCE: Duration = Duration::from_secs(10);

/// Words that bad passwords are made of.
static COMMON: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let lines = include_str!("common_passwords.txt").lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
});

/// Why a text can be no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    #[error("It has {0} characters; at least {SHORTEST} are needed.")]
    Short(usize),
    #[error("It is longer than {LONGEST} characters.")]
    Long,
    #[error("It repeats a few characters, or counts up or down.")]
    Monotonous,
    #[error(
        "It is nothing but words that everybody tries first: common passwords, your name, or the name of this console."
    )]
    Common,
}

impl Weak {
    /// What would be better.
    pub fn advice() -> &'static str {
        "Four or five words that have nothing to do with each other are easy to remember and hard to guess."
    }
}

impl From<Weak> for Problem {
    fn from(weak: Weak) -> Self {
        Problem::bad_request(format!("This password cannot be used. {weak}"), Weak::advice())
    }
}

/// As it is compared: a character that can be written in two ways is one.
fn normal(password: &str) -> String {
    password.nfkc().collect()
}

/// Whether a password is good enough for the person of this name.
///
/// # Errors
/// [`Weak`], with the reason.
pub fn check(password: &str, name: &str) -> Result<(), Weak> {
    let password = normal(password);
    let length = password.chars().count();
    if length < SHORTEST {
        return Err(Weak::Short(length));
    }
    if length > LONGEST {
        return Err(Weak::Long);
    }
    if is_monotonous(&password) {
        return Err(Weak::Monotonous);
    }
    if is_common(&password, name) {
        return Err(Weak::Common);
    }
    Ok(())
}

/// Whether a password is a short run over and over, or characters in their order.
fn is_monotonous(password: &str) -> bool {
    let chars: Vec<char> = password.chars().collect();
    let different = chars.iter().collect::<BTreeSet<_>>().len();
    let repeats = (1..=LONGEST_RUN).any(|run| chars.iter().zip(&chars[run..]).all(|(one, other)| one == other));
    // "0" follows "9": 1234567890123456 is one run.
    let digits: Option<Vec<u32>> = chars.iter().map(|char| char.to_digit(10)).collect();
    let counts = digits.is_some_and(|digits| {
        let step = |by: u32| digits.windows(2).all(|two| (two[0] + by) % 10 == two[1]);
        (0..10).any(step)
    });
    different < FEWEST_DIFFERENT || repeats || counts
}

/// Whether the letters of a password are nothing but common words and the person's name. What digits and signs stand
/// around them makes no difference: they are what everybody adds.
fn is_common(password: &str, name: &str) -> bool {
    let letters: Vec<char> = password.to_lowercase().chars().filter(|char| char.is_alphabetic()).collect();
    let name: String = name.to_lowercase().chars().filter(|char| char.is_alphabetic()).collect();
    if letters.is_empty() {
        return false;
    }
    // Where a word may begin: at the beginning, and after every word that begins where one may.
    let mut reached = vec![false; letters.len() + 1];
    reached[0] = true;
    for from in 0..letters.len() {
        if !reached[from] {
            continue;
        }
        let mut word = String::new();
        for (to, letter) in letters.iter().enumerate().skip(from) {
            word.push(*letter);
            if COMMON.contains(word.as_str()) || word == name {
                reached[to + 1] = true;
            }
        }
    }
    reached[letters.len()]
}

/// A password for one sign-in: letters and digits that nobody takes for another, in groups that can be read out.
pub fn one_time() -> String {
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
    // Two bytes a letter: what is left over when they are divided favours no letter that anyone could notice.
    let drawn: Vec<char> = secrets::random::<40>()
        .chunks_exact(2)
        .map(|two| usize::from(two[0]) << 8 | usize::from(two[1]))
        .map(|number| char::from(LETTERS[number % LETTERS.len()]))
        .collect();
    drawn.chunks(5).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// Proves passwords, a few at a time.
#[derive(Clone, Debug)]
pub struct Prover {
    turns: Arc<Semaphore>,
    /// A hash that no password is known for: proving against it takes as long as against any other.
    nobody: Arc<str>,
}

impl Prover {
    pub fn new() -> Self {
        // One less than there are, so that pages are served while passwords are proved.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Arc::new(Semaphore::new(cores.saturating_sub(1).clamp(1, 4)));
        Self { turns, nobody: nobodys().or_else(|| hash(&one_time())).unwrap_or_default().into() }
    }

    /// Whether this is the password of that hash. Without a hash it is not, and takes as long to say so.
    ///
    /// # Errors
    /// Too many others are waiting.
    pub async fn proves(&self, password: &str, hash: Option<&str>) -> Result<bool, Problem> {
        // A longer text is no password, and must not cost more than one.
        let password: String = normal(password).chars().take(LONGEST + 1).collect();
        let (real, hash) = (hash.is_some(), hash.map_or_else(|| self.nobody.clone(), Arc::from));
        let fits = self.slowly(move || verify(&password, &hash)).await?;
        Ok(real && fits)
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// Too many others are waiting, or the machine has no memory for it.
    pub async fn hash(&self, password: &str) -> Result<String, Problem> {
        let password = normal(password);
        let hashed = self.slowly(move || hash(&password)).await?;
        hashed.ok_or_else(|| Problem::internal("The password could not be kept."))
    }

    /// A one-time password and how it is kept.
    ///
    /// # Errors
    /// As [`Prover::hash`].
    pub async fn one_time(&self) -> Result<(String, NewPassword), Problem> {
        let password = one_time();
        let hash = self.hash(&password).await?;
        Ok((password, NewPassword { hash, must_change: true, until: Some(Utc::now() + ONE_TIME) }))
    }

    async fn slowly<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let busy = || {
            Problem::unavailable("Too many people are signing in at this moment.", "Wait some seconds, then try again.")
        };
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned());
        let turn = turn.await.map_err(|_| busy())?.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "a password could not be proved");
            Problem::internal("The password could not be checked.")
        })
    }
}

impl Default for Prover {
    fn default() -> Self {
        Self::new()
    }
}

/// Argon2id with 19 MiB, two passes and one lane, as OWASP advises.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

fn hash(password: &str) -> Option<String> {
    let salt = secrets::random::<16>();
    let hashed = argon2().hash_password_with_salt(password.as_bytes(), &salt);
    hashed.map(|hash: PasswordHash| hash.to_string()).map_err(|error| tracing::error!(%error, "Argon2 failed")).ok()
}

/// What [`hash`] could have answered, drawn instead of calculated: that costs 19 MiB, which a console that starts should
/// not take.
fn nobodys() -> Option<String> {
    let drawn = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(Params::default()).ok()?,
        salt: Some(Salt::new(&secrets::random::<16>()).ok()?),
        hash: Some(Output::new(&secrets::random::<{ Params::DEFAULT_OUTPUT_LEN }>()).ok()?),
    };
    Some(drawn.to_string())
}

fn verify(password: &str, hash: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(hash) else { return false };
    argon2().verify_password(password.as_bytes(), &parsed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_what_counts_and_nothing_is_composed() {
        for good in [
            "copper tunnel violin marsh",
            "nnnn lantern goat pillow",
            "छोटी नदी के पार पहाड़ है",
            "1839205571930284",
            "Sunset-Over-The-Rift-Valley",
        ] {
            assert_eq!(check(good, "asha"), Ok(()), "{good}");
        }
        assert_eq!(check("fourteen chars", "asha"), Err(Weak::Short(14)));
        assert_eq!(check(&"lantern goat ".repeat(20), "asha"), Err(Weak::Long));
    }

    #[test]
    fn what_everybody_tries_first_is_refused() {
        for bad in [
            "PasswordPassword",
            "Password!2026!!!!",
            "bahmni-hospital-1",
            "Asha-Openmrs-2026",
            "atomfeed console",
            "qwertyuiop123456",
            "correct horse battery staple",
            "this is my password",
            "iloveyouiloveyou",
        ] {
            assert_eq!(check(bad, "asha"), Err(Weak::Common), "{bad}");
        }
        for bad in [
            "aaaaaaaaaaaaaaaaaaaa",
            "1111111111111111",
            "abababababababab",
            "x7kq9x7kq9x7kq9x7kq9",
            "1234567890123456",
            "9876543210987654",
        ] {
            assert_eq!(check(bad, "asha"), Err(Weak::Monotonous), "{bad}");
        }
    }

    #[test]
    fn one_time_passwords_are_good_passwords_and_never_the_same() {
        let (one, other) = (one_time(), one_time());
        assert_eq!(one.len(), 23, "{one}");
        assert_ne!(one, other);
        assert_eq!(check(&one, "asha"), Ok(()));
    }

    /// Else the time that a refusal takes would tell which names there are.
    #[test]
    fn a_name_that_nobody_has_costs_the_same_proof() {
        let of = |hash: &str| {
            let hash = PasswordHash::new(hash).unwrap();
            let lengths = (hash.salt.unwrap().len(), hash.hash.unwrap().len());
            (hash.algorithm, hash.version, hash.params, lengths)
        };
        let (nobodys, other) = (nobodys().unwrap(), nobodys().unwrap());
        assert_eq!(of(&nobodys), of(&hash("copper tunnel violin marsh").unwrap()));
        assert_ne!(nobodys, other);
    }

    #[tokio::test]
    async fn a_password_is_proved_however_its_characters_were_typed() {
        let prover = Prover::new();
        let hash = prover.hash("Zoe\u{301} walks the dog").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(prover.proves("Zo\u{e9} walks the dog", Some(&hash)).await.unwrap());
        assert!(!prover.proves("Zoe walks the dog", Some(&hash)).await.unwrap());
        assert!(!prover.proves("anything", None).await.unwrap(), "nobody's password is no password");
        assert!(!prover.proves("anything", Some("no hash at all")).await.unwrap());
    }
}
