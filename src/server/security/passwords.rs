//! Password rules, and verification of passwords that the console stores only as hashes.
//!
//! The rules follow NIST SP 800-63B: length counts; letters, digits or signs are not required. A password is the only
//! credential here, so it has at least 15 characters, as that standard requires for a password used alone. Passwords
//! that are tried first are refused with the reason, and a password never expires by itself. zxcvbn estimates the
//! number of guesses: it knows common passwords, names and English words, dates, keys and sequences, and the usual
//! substitutes for letters. This module checks what zxcvbn does not detect.
//!
//! Verification is slow on purpose. Only a few run at the same time, outside the threads that serve pages, so that a
//! flood of sign-ins delays only other sign-ins.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::{Output, ParamsString, Salt},
};
use chrono::TimeDelta;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use super::secrets;
use crate::{clock, error::Problem, server::store::NewPassword};

/// Minimum number of characters of a password.
pub const SHORTEST: usize = 15;
/// Maximum number of characters of a password: far more than anyone types, and too few to keep the machine busy.
pub const LONGEST: usize = 256;
/// How long a one-time password is valid.
pub const ONE_TIME: TimeDelta = TimeDelta::days(7);

/// Minimum number of different characters: fewer come from one or two keys.
const FEWEST_DIFFERENT: usize = 5;

/// Longest run of characters that counts as short.
const SHORT_RUN: usize = 5;

/// Minimum number of characters that do not follow from the previous one, as `2` follows from `1` and `w` from `q`.
const FEWEST_OF_THEIR_OWN: usize = 7;

/// Minimum number of guesses for a password, as a power of ten.
const FEWEST_GUESSES: f64 = 13.0;
/// The same without blanks and signs, which add little to a known phrase but much to the estimate.
const FEWEST_GUESSES_BARE: f64 = 10.0;
/// The same for the letters of a password that is one word among digits and signs, such as a name with a telephone
/// number.
const FEWEST_GUESSES_OF_A_WORD: f64 = 8.0;

/// Rows of the keyboard. Keys above one another are neighbours, too: `1qaz2wsx` runs down the columns.
const KEYS: [&str; 4] = ["1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./"];

/// Letters and their usual substitutes.
const IN_PLACE_OF: [(char, &str); 11] = [
    ('a', "@4"),
    ('b', "8"),
    ('e', "3"),
    ('g', "9"),
    ('i', "1!|"),
    ('l', "1|"),
    ('o', "0"),
    ('s', "$5"),
    ('t', "7+"),
    ('z', "2"),
    ('x', "*"),
];

/// Number of characters whose guesses are estimated. A password whose beginning takes enough guesses is good enough,
/// and many signs that can replace letters make the estimate slow.
const ESTIMATED: usize = 32;

/// How long a sign-in waits for its turn to be verified.
const PATIENCE: Duration = Duration::from_secs(10);

/// Words that bad passwords are made of.
static COMMON: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let lines = include_str!("common_passwords.txt").lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
});

/// Why a text cannot be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    #[error("The password has {0} characters; at least {SHORTEST} are needed.")]
    Short(usize),
    #[error("The password is longer than {LONGEST} characters.")]
    Long,
    #[error("The password repeats itself, counts up or down, or follows the alphabet or the keyboard.")]
    Monotonous,
    #[error(
        "The password has only words that are easy to guess: common passwords, your name, or the name of this console."
    )]
    Common,
    #[error("It has no letter: dates, telephone numbers and known numbers are tried first.")]
    NoLetter,
    #[error("It is one word with digits and signs around it, which are tried together with every word and name.")]
    OneWord,
    #[error("It can be guessed: it is made of common words, names, dates or sequences that are tried first.")]
    Guessable,
}

impl Weak {
    /// Returns advice for a better password.
    pub fn advice() -> &'static str {
        "Use four or five unrelated words: easy to remember and hard to guess."
    }
}

impl From<Weak> for Problem {
    fn from(weak: Weak) -> Self {
        Problem::bad_request(format!("This password cannot be used. {weak}"), Weak::advice())
    }
}

/// Normalizes a password for comparison: a character that can be written in two ways becomes one.
fn normal(password: &str) -> String {
    password.nfkc().collect()
}

/// Checks whether a password is good enough for the person with this name.
///
/// # Errors
/// Fails with [`Weak`], which contains the reason.
pub fn check(password: &str, name: &str) -> Result<(), Weak> {
    let password = normal(password);
    let length = password.chars().count();
    if length < SHORTEST {
        return Err(Weak::Short(length));
    }
    if length > LONGEST {
        return Err(Weak::Long);
    }
    let chars: Vec<char> = password.to_lowercase().chars().collect();
    if is_one_run(&chars) {
        return Err(Weak::Monotonous);
    }
    if is_common(&chars, name) {
        return Err(Weak::Common);
    }
    if follows_from_its_beginning(&chars) {
        return Err(Weak::Monotonous);
    }
    if !chars.iter().any(|char| char.is_alphabetic()) {
        return Err(Weak::NoLetter);
    }
    let own: Vec<&str> = name.split(|char: char| !char.is_alphanumeric()).chain(COMMON.iter().copied()).collect();
    let takes = |text: &str, fewest: f64| {
        let beginning: String = text.chars().take(ESTIMATED).collect();
        zxcvbn::zxcvbn(&beginning, &own).guesses_log10() >= fewest
    };
    let word = password.trim_matches(|char: char| !char.is_alphabetic());
    if word.chars().all(char::is_alphabetic) && word.len() < password.len() && !takes(word, FEWEST_GUESSES_OF_A_WORD) {
        return Err(Weak::OneWord);
    }
    let bare: String = password.chars().filter(|char| char.is_alphanumeric()).collect();
    if !takes(&password, FEWEST_GUESSES) || !takes(&bare, FEWEST_GUESSES_BARE) {
        return Err(Weak::Guessable);
    }
    Ok(())
}

/// Returns whether a password has too few different characters, repeats a short run, or counts in digits by a fixed
/// step.
fn is_one_run(chars: &[char]) -> bool {
    let different = chars.iter().collect::<BTreeSet<_>>().len();
    // "0" follows "9": 1234567890123456 is one run.
    let digits: Option<Vec<u32>> = chars.iter().map(|char| char.to_digit(10)).collect();
    let counts = digits.is_some_and(|digits| {
        let step = |by: u32| digits.windows(2).all(|two| (two[0] + by) % 10 == two[1]);
        (0..10).any(step)
    });
    different < FEWEST_DIFFERENT || repeats(chars, SHORT_RUN) || counts
}

/// Returns whether most of a password follows from its beginning: repeated, or typed along the digits, the alphabet or
/// the keyboard.
fn follows_from_its_beginning(chars: &[char]) -> bool {
    // "a1b2c3d4" is two interleaved runs.
    let one = of_their_own(chars.iter().copied());
    let between =
        of_their_own(chars.iter().copied().step_by(2)) + of_their_own(chars.iter().copied().skip(1).step_by(2));
    // A repetition of at least half the password counts once, and must be long enough by itself.
    repeats(chars, (SHORTEST - 1).min(chars.len() * 2 / 3)) || one.min(between) < FEWEST_OF_THEIR_OWN
}

fn repeats(chars: &[char], longest: usize) -> bool {
    (1..=longest.min(chars.len())).any(|run| chars.iter().zip(&chars[run..]).all(|(one, other)| one == other))
}

/// Returns the number of characters that do not follow from the previous one.
fn of_their_own(chars: impl Iterator<Item = char>) -> usize {
    let mut before = None;
    chars.filter(|char| !before.replace(*char).is_some_and(|before| follows(before, *char))).count()
}

/// Returns whether two characters are equal, or neighbours in the alphabet, among the digits or on the keyboard.
fn follows(one: char, other: char) -> bool {
    let in_order = u32::from(one).abs_diff(u32::from(other)) <= 1 && one.is_alphanumeric() && other.is_alphanumeric();
    let around = matches!((one, other), ('9', '0') | ('0', '9'));
    let key = |char: char| KEYS.iter().enumerate().find_map(|(row, keys)| Some((row, keys.find(char)?)));
    let beside = match (key(one), key(other)) {
        (Some((row, column)), Some((other_row, other_column))) => {
            row.abs_diff(other_row) <= 1 && column.abs_diff(other_column) <= 1
        }
        _ => false,
    };
    one == other || in_order || around || beside
}

/// Returns whether the letters of a password are only common words and the person's name, also with substitutes for
/// letters. Digits and signs around and between them do not count: everyone adds them.
fn is_common(chars: &[char], name: &str) -> bool {
    let name: String = name.to_lowercase().chars().filter(|char| char.is_alphabetic()).collect();
    if !chars.iter().any(|char| char.is_alphabetic()) {
        return false;
    }
    let words: Vec<Vec<char>> = COMMON
        .iter()
        .copied()
        .chain([name.as_str()])
        .map(|word| word.chars().collect())
        .filter(|word: &Vec<char>| !word.is_empty())
        .collect();
    // Where a word may begin: at the start, after each word that begins at such a position, and after digits and signs.
    let mut reached = vec![false; chars.len() + 1];
    reached[0] = true;
    for from in 0..chars.len() {
        if !reached[from] {
            continue;
        }
        reached[from + 1] |= !chars[from].is_alphabetic();
        for word in &words {
            for to in ends_of(word, chars, from) {
                reached[to] = true;
            }
        }
    }
    reached[chars.len()]
}

/// Maximum number of digits and signs between two letters of a word. Without a limit, one in a few thousand random
/// hexadecimal passwords contains a common word.
const MOST_BETWEEN: usize = 3;

/// Returns where a word that begins at `from` can end: a few digits and signs may be between its letters.
fn ends_of(word: &[char], chars: &[char], from: usize) -> BTreeSet<usize> {
    let mut at = BTreeSet::from([from]);
    for (place, letter) in word.iter().enumerate() {
        let mut next = BTreeSet::new();
        for after in at {
            let mut here = after;
            while let Some(char) = chars.get(here) {
                if stands_for(*char, *letter) {
                    next.insert(here + 1);
                }
                // Characters before the whole word are not part of it.
                if place == 0 || char.is_alphabetic() || here - after == MOST_BETWEEN {
                    break;
                }
                here += 1;
            }
        }
        at = next;
        if at.is_empty() {
            break;
        }
    }
    at
}

fn stands_for(char: char, letter: char) -> bool {
    char == letter || IN_PLACE_OF.iter().any(|(known, instead)| *known == letter && instead.contains(char))
}

/// Returns a password for one sign-in: letters and digits that cannot be confused, in groups that can be read out.
pub fn one_time() -> String {
    readable(20)
}

/// Returns this number of random letters and digits that cannot be confused, in groups of five.
pub fn readable(chars: usize) -> String {
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
    // With two bytes per letter, the remainder of the division favours no letter noticeably.
    let drawn: Vec<char> = (0..chars)
        .map(|_| usize::from(u16::from_be_bytes(secrets::random())))
        .map(|number| char::from(LETTERS[number % LETTERS.len()]))
        .collect();
    drawn.chunks(5).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// Verifies passwords, a few at a time.
#[derive(Clone, Debug)]
pub struct PasswordChecker {
    turns: Arc<Semaphore>,
    /// A hash without a known password: verifying against it takes as long as against any other.
    dummy: Arc<str>,
}

impl PasswordChecker {
    pub fn new() -> Self {
        // One less than the number of cores, so that pages are served while passwords are verified.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Arc::new(Semaphore::new(cores.saturating_sub(1).clamp(1, 4)));
        Self { turns, dummy: dummy_hash().or_else(|| hash(&one_time())).unwrap_or_default().into() }
    }

    /// Returns whether the password matches the hash. Without a hash it returns `false`, after the same time.
    ///
    /// # Errors
    /// Fails if too many others are waiting.
    pub async fn is_right(&self, password: &str, hash: Option<&str>) -> Result<bool, Problem> {
        // A longer text is not a password, and must not cost more than one.
        let password: String = normal(password).chars().take(LONGEST + 1).collect();
        let (real, hash) = (hash.is_some(), hash.map_or_else(|| self.dummy.clone(), Arc::from));
        let fits = self.run_blocking(move || verify(&password, &hash)).await?;
        Ok(real && fits)
    }

    /// Checks whether a password is good enough for the person with this name: [`check`], which takes as long as a
    /// verification.
    ///
    /// # Errors
    /// Fails if the password is too weak, or too many others are waiting.
    pub async fn accepts(&self, password: &str, name: &str) -> Result<(), Problem> {
        let (password, name) = (password.to_owned(), name.to_owned());
        self.run_blocking(move || check(&password, &name)).await?.map_err(Problem::from)
    }

    /// Returns the hash of a new password.
    ///
    /// # Errors
    /// Fails if too many others are waiting, or the machine has too little memory.
    pub async fn hash(&self, password: &str) -> Result<String, Problem> {
        let password = normal(password);
        let hashed = self.run_blocking(move || hash(&password)).await?;
        hashed.ok_or_else(|| Problem::internal("The password could not be kept."))
    }

    /// Returns a one-time password, and the same in the form that is stored.
    ///
    /// # Errors
    /// Fails as [`PasswordChecker::hash`] does.
    pub async fn one_time(&self) -> Result<(String, NewPassword), Problem> {
        let password = one_time();
        let hash = self.hash(&password).await?;
        Ok((password, NewPassword { hash, must_change: true, until: Some(clock::now() + ONE_TIME) }))
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let busy = || Problem::unavailable("Too many people are signing in now.", "Wait some seconds, then try again.");
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned());
        let turn = turn.await.map_err(|_| busy())?.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "a password could not be verified");
            Problem::internal("The password could not be checked.")
        })
    }
}

impl Default for PasswordChecker {
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

/// Returns a hash as [`hash`] could return it, but random: calculating one costs 19 MiB, which a starting console
/// should not use.
fn dummy_hash() -> Option<String> {
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
            "kufa wala ngoma tatu",
            "lanterngoatpillowmarsh",
            "x7Kq9-fT2w-LmP4",
            "42 Walruses ate my tie!",
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
            "Passw0rdPassw0rd",
            "p455w0rdp455w0rd",
            "iloveyouiloveyou",
            "P@ssw0rd12345678",
            "abcdefgh12345678",
            "a1b2c3d4e5f6g7h8",
            "qwertyuiop123456",
            "qwertyuiopasdfgh",
            "1qaz2wsx3edc4rfv",
            "!qaz1qaz2wsx3edc",
            "1q2w3e4r5t6y7u8i",
            "asdfghjkl;'asdfghjkl",
            "Password!2026!!!!",
            "bahmni-hospital-1",
            "Asha-Openmrs-2026",
            "4sh4-0p3nmr5-2026",
            "atomfeed console",
            "correct horse battery staple",
            "this is my password",
            "P@ssw0rd-2026-07",
            "P4$$w0rd!P4$$word",
            "p.a.s.s.w.o.r.d.2026",
            "8ahmn1-h0sp1t4l-2026",
            "adm1n1str4t0r-2026",
            "we1c0me-2-0penMRS",
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
            "1357913579135791",
            "lantern goat lantern goat",
            "k7Qx9fT2wK7qX9Ft2W",
            "123456123456123456",
            "123456789123456789",
            "12345678987654321",
            "11223344556677889900",
            "987654321987654321",
            "123123456456789789",
            "01011990010119900101",
            "abcdefghijklmnop",
            "fghijklmnopqrstu",
            "1q2w3e4r5t6z7u8i",
            "f1g2h3i4j5k6l7m8",
            "2wsx3edc4rfv5tgb",
            "zyxwvutsrqponmlk",
            "AbCdEfGhIjKlMnOpQr",
            "aabbccddeeffgghhii",
            "абвгдежзийклмнопр",
            "poiuytrewqlkjhgf",
            "zaq12wsxcde34rfv",
            "qazwsxedcrfvtgby",
        ] {
            assert_eq!(check(bad, "asha"), Err(Weak::Monotonous), "{bad}");
        }
    }

    #[test]
    fn digits_alone_are_refused() {
        for bad in [
            "1839205571930284",
            "31415926535897932",
            "27182818284590452",
            "2468101214161820",
            "3.14159265358979",
            "12/03/1987-04/05/1991",
            "+977 9847 203918 42",
        ] {
            assert_eq!(check(bad, "asha"), Err(Weak::NoLetter), "{bad}");
        }
    }

    #[test]
    fn one_word_among_digits_is_refused() {
        for bad in [
            "christopher12345",
            "alexander1234567",
            "krishna123456789",
            "bangladesh123456",
            "ramesh9847203918",
            "9847-203918-Priyanka",
            "Thapa!9847203918",
        ] {
            assert_eq!(check(bad, "asha"), Err(Weak::OneWord), "{bad}");
        }
    }

    #[test]
    fn what_is_guessed_early_is_refused() {
        for bad in [
            "manchestercity123",
            "iloveyouforever",
            "happybirthday123",
            "Happy Birthday 2026",
            "merrychristmas1",
            "Merry Christmas 1!",
            "godisgood1234567",
            "justinbieber123",
            "onetwothreefour",
            "one two three four five",
            "unitedstatesofamerica",
            "United States of America",
            "thequickbrownfox",
            "the quick brown fox jumps",
            "arsenalarsenal1",
            "thankyouverymuch",
            "thank you very much",
            "tobeornottobe123",
            "To be or not to be",
            "JohnSmith19700101",
            "michael.19850312",
            "Kathmandu2026!!!",
            "m4nch3st3rc1ty2026",
            "yadhtribyppah123",
            "qazxswedcvfrtgb1",
            "liverpoolfc12345",
            "sunshine&rainbow",
            "youllneverwalkalone",
            "jaishreeram12345",
            "omnamahshivaya108",
        ] {
            assert!(check(bad, "asha").is_err(), "{bad}");
        }
        assert!(check("Asha-Devi-19870312", "asha.devi").is_err(), "a name of two words");
    }

    #[test]
    fn letters_far_apart_are_no_word() {
        assert_eq!(check("a53454277b4986c1f5351259e44358d9", "asha"), Ok(()));
    }

    #[test]
    fn what_is_drawn_by_lot_is_taken() {
        for _ in 0..200 {
            let (one_time, bytes) = (one_time(), secrets::random::<16>());
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(check(&one_time, "asha"), Ok(()), "{one_time}");
            assert_eq!(check(&hex, "asha"), Ok(()), "{hex}");
        }
    }

    #[test]
    fn one_time_passwords_are_good_passwords_and_never_the_same() {
        let (one, other) = (one_time(), one_time());
        assert_eq!(one.len(), 23, "{one}");
        assert_ne!(one, other);
        assert_eq!(check(&one, "asha"), Ok(()));
    }

    /// Otherwise the duration of a refusal would reveal which names exist.
    #[test]
    fn a_name_that_nobody_has_costs_the_same_proof() {
        let of = |hash: &str| {
            let hash = PasswordHash::new(hash).unwrap();
            let lengths = (hash.salt.unwrap().len(), hash.hash.unwrap().len());
            (hash.algorithm, hash.version, hash.params, lengths)
        };
        let (dummy_hash, other) = (dummy_hash().unwrap(), dummy_hash().unwrap());
        assert_eq!(of(&dummy_hash), of(&hash("copper tunnel violin marsh").unwrap()));
        assert_ne!(dummy_hash, other);
    }

    #[tokio::test]
    async fn a_password_is_proved_however_its_characters_were_typed() {
        let checker = PasswordChecker::new();
        let hash = checker.hash("Zoe\u{301} walks the dog").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(checker.is_right("Zo\u{e9} walks the dog", Some(&hash)).await.unwrap());
        assert!(!checker.is_right("Zoe walks the dog", Some(&hash)).await.unwrap());
        assert!(!checker.is_right("anything", None).await.unwrap(), "nobody's password is no password");
        assert!(!checker.is_right("anything", Some("no hash at all")).await.unwrap());
    }
}
