//! Guessing is made slow, and nobody can lock anybody else out by it.
//!
//! Attempts are counted in lanes. Somebody who has signed in from a browser before has a lane of their own there, which
//! nobody else can fill. Where a colleague has signed in from the browser, the colleague's name vouches for it: only what is
//! tried in browsers of that same colleague is in the same lane, however many browsers that are. Everyone else shares a lane
//! with whoever tries the same name from the same address: after a few attempts it opens only now and then, for one attempt.
//!
//! Who gets that one decides whether a person gets in beside a machine that guesses. A machine tries another password each
//! time; a person comes back with the same one. So while others wait, an attempt is not made when it comes first, but when
//! it comes back; what was wrong a moment ago takes nobody's turn; and who has waited longest goes first, where each further
//! password from the same browser comes later in the row. Nobody waits for what does not go on coming back. A machine that
//! comes back again and again with each of hundreds of passwords, each from a browser of its own, is as good as a row of
//! hundreds of people: whoever comes after them waits. No order of turns could change that, short of trying all of its
//! passwords. The ways past it are the lanes that it cannot fill.
//!
//! Beside that, many attempts from one address, or on one name from anywhere, make each further one wait a little; it is
//! never refused for what others do.
//!
//! All of it is in memory: it is forgotten when the console ends, and within a quarter of an hour.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Attempts that a person may need to remember the right password.
const FREE: u32 = 5;
/// The same in a browser that they have signed in from before.
const FREE_KNOWN: u32 = 10;
/// Attempts of a whole ward behind one address, or on one name from everywhere.
const FREE_SHARED: u32 = 30;
/// A lane of one person opens at least this often.
const LONGEST_CLOSED: Duration = Duration::from_secs(20);
/// The longest that anybody waits for what others do.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// After so long, an attempt that came first while others waited may come back.
const BACK_AFTER: Duration = Duration::from_secs(1);
/// An attempt that was refused and does not come back within so long is forgotten.
const WAITED_FOR: Duration = Duration::from_secs(60);
/// Nobody is kept waiting for an attempt that is later than so much after the time that it was told.
const LATE: Duration = Duration::from_secs(20);
/// How much later in the row each further password of a browser comes.
const FURTHER: Duration = Duration::from_secs(20);
const MOST_FURTHER: u32 = 10_000;
/// A lane in which nothing happened for so long is forgotten, and so is a password that was wrong.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);
/// Lanes that are remembered.
const MOST: usize = 20_000;
/// Passwords that are remembered, by a part of a hash, in one lane and in all.
const MOST_IN_LANE: usize = 4_000;
const MOST_GUESSES: usize = 100_000;
/// How many attempts are made between two looks at how much is remembered.
const TIDIED_EVERY: u32 = 200;

/// Somebody who tries to sign in.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// As accounts compare it.
    pub name: String,
    /// All that one client has of addresses is one: see [`crate::server::shares::network`].
    pub address: Option<IpAddr>,
    /// The mark of the browser, where it came with one.
    pub browser: Option<[u8; 32]>,
    /// This name has signed in from that browser before.
    pub known: bool,
    /// Somebody else who has: see [`Guessing::voucher`].
    pub voucher: Option<String>,
    /// Stands for name and password: the same for the same ones.
    pub guess: u64,
}

/// Why an attempt is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It can be made after so long, with the same password.
    Later(Duration),
    /// It was made a moment ago, and was wrong.
    Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Known([u8; 32], String),
    /// Who vouches for the browser, and the name that is tried.
    Vouched(String, String),
    Strange(String, Option<IpAddr>),
    Address(Option<IpAddr>),
    Name(String),
}

#[derive(Clone, Debug)]
struct Tries {
    failed: u32,
    last: Instant,
    /// What was tried lately and was wrong, or was refused and may come back. Empty in lanes that are shared.
    guesses: HashMap<u64, Guess>,
}

/// A password that was tried lately.
#[derive(Clone, Copy, Debug)]
struct Guess {
    /// From which browser; `None`: without a mark.
    browser: Option<[u8; 32]>,
    since: Instant,
    last: Instant,
    /// Its place in the row: when it came, and later for each password from its browser before it.
    place: Instant,
    /// When it was told to come back.
    back_at: Instant,
    /// How often it was refused.
    refused: u32,
    /// It was proved to be wrong.
    wrong: bool,
}

impl Guess {
    fn new(attempt: &Attempt, now: Instant) -> Self {
        Self { browser: attempt.browser, since: now, last: now, place: now, back_at: now, refused: 0, wrong: false }
    }
}

/// What was tried lately.
#[derive(Debug, Default)]
pub struct Guessing {
    lanes: Mutex<Lanes>,
}

#[derive(Debug, Default)]
struct Lanes {
    lanes: HashMap<Lane, Tries>,
    since_tidied: u32,
}

impl Guessing {
    /// Returns which of the people who have signed in from a browser vouches for it when this name is tried there: the one in
    /// whose browsers it was tried least, so that none of them can spoil it for the others.
    pub fn voucher(&self, people: Vec<String>, name: &str) -> Option<String> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let tried =
            |by: &String| lanes.lanes.get(&Lane::Vouched(by.clone(), name.to_owned())).map_or(0, |it| it.failed);
        people.into_iter().min_by_key(tried)
    }

    /// Counts an attempt that is about to be made, and returns how long it has to wait first. It counts as failed until
    /// [`Guessing::succeeded`] is told otherwise, so that attempts made at the same time are all counted.
    ///
    /// # Errors
    /// It is not this attempt's turn, or it was wrong a moment ago.
    pub fn begin(&self, attempt: &Attempt, now: Instant) -> Result<Duration, Refusal> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.tidy(now);
        let (own, free) = own(attempt);
        lanes.of(&own, now).turn(attempt, free, now)?;
        let mut wait = Duration::ZERO;
        if !is_known(attempt) {
            for lane in shared(attempt) {
                let tries = lanes.of(&lane, now);
                wait = wait.max(doubled(tries.failed, FREE_SHARED, LONGEST_WAIT));
                tries.add(now);
            }
        }
        lanes.of(&own, now).add(now);
        Ok(wait)
    }

    /// The attempt could not be made after all: nobody knows whether it was right.
    pub fn not_made(&self, attempt: &Attempt) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = shared(attempt).into_iter().filter(|_| !is_known(attempt));
        for lane in shared.chain([own(attempt).0]) {
            if let Some(tries) = lanes.lanes.get_mut(&lane) {
                tries.failed = tries.failed.saturating_sub(1);
            }
        }
    }

    /// The attempt was wrong.
    pub fn was_wrong(&self, attempt: &Attempt, now: Instant) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let guess = Guess { wrong: true, ..Guess::new(attempt, now) };
        lanes.of(&own(attempt).0, now).guesses.insert(attempt.guess, guess);
    }

    /// The attempt was right: it and the mistakes before it are forgotten, in this person's lane.
    pub fn succeeded(&self, attempt: &Attempt) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.lanes.remove(&own(attempt).0);
        // Somebody who knows one password must not wash away what they tried on others.
        for lane in shared(attempt).into_iter().filter(|_| !is_known(attempt)) {
            if let Some(tries) = lanes.lanes.get_mut(&lane) {
                tries.failed = tries.failed.saturating_sub(1);
            }
        }
    }
}

impl Tries {
    fn new(now: Instant) -> Self {
        Self { failed: 0, last: now, guesses: HashMap::new() }
    }

    fn add(&mut self, now: Instant) {
        self.failed = self.failed.saturating_add(1);
        self.last = now;
    }

    /// Whether an attempt is made now. What is refused is remembered, so that it can come back.
    fn turn(&mut self, attempt: &Attempt, free: u32, now: Instant) -> Result<(), Refusal> {
        let closed = doubled(self.failed, free, LONGEST_CLOSED);
        if closed.is_zero() {
            return Ok(());
        }
        self.guesses
            .retain(|_, guess| now.duration_since(guess.last) < if guess.wrong { FORGOTTEN } else { WAITED_FOR });
        let before = self.guesses.get(&attempt.guess).copied();
        if before.is_some_and(|guess| guess.wrong) {
            return Err(Refusal::Wrong);
        }
        let opens = (self.last + closed).max(before.map_or(now, |guess| guess.since + BACK_AFTER));
        let others = self.others_first(attempt, before, now);
        if opens <= now && others.is_none() {
            return Ok(());
        }
        let others = others.map_or(Duration::ZERO, |until| until.saturating_duration_since(now).min(LONGEST_CLOSED));
        let wait = opens.saturating_duration_since(now).max(BACK_AFTER).max(others);
        let place = before.map_or_else(|| self.place(attempt, now), |guess| guess.place);
        let guess = self.guesses.entry(attempt.guess).or_insert_with(|| Guess { place, ..Guess::new(attempt, now) });
        guess.last = now;
        guess.back_at = now + wait;
        guess.refused += 1;
        self.bound();
        Err(Refusal::Later(wait))
    }

    /// The place in the row of an attempt that comes for the first time.
    fn place(&self, attempt: &Attempt, now: Instant) -> Instant {
        let before = self.guesses.values().filter(|guess| guess.browser == attempt.browser).count();
        now + FURTHER * u32::try_from(before).unwrap_or(u32::MAX).min(MOST_FURTHER)
    }

    /// Until when the attempts of others go before this one, as far as they come; `None`: it is its turn.
    fn others_first(&self, attempt: &Attempt, before: Option<Guess>, now: Instant) -> Option<Instant> {
        // One browser is not in its own way. What has no mark can be anybody's.
        let is_other = |other: u64, guess: &Guess| {
            other != attempt.guess && !guess.wrong && (guess.browser.is_none() || guess.browser != attempt.browser)
        };
        let mut others = self.guesses.iter().filter(|(other, guess)| is_other(**other, guess)).map(|(_, guess)| guess);
        // Who comes for the first time comes once more while anybody waits.
        let Some(before) = before else { return others.next().map(|_| now) };
        let ahead =
            others.filter(|guess| guess.refused > 1 && now < guess.back_at + LATE && guess.place < before.place);
        ahead.map(|guess| guess.back_at + LATE).max()
    }

    /// How many passwords were tried from each browser.
    fn tried(&self) -> HashMap<Option<[u8; 32]>, usize> {
        let mut tried = HashMap::new();
        for guess in self.guesses.values() {
            *tried.entry(guess.browser).or_default() += 1;
        }
        tried
    }

    /// Forgets the older half of what the browser tried that tried most, where there is too much.
    fn bound(&mut self) {
        if self.guesses.len() <= MOST_IN_LANE {
            return;
        }
        let Some((most, _)) = self.tried().into_iter().max_by_key(|(_, count)| *count) else { return };
        let mut times: Vec<Instant> =
            self.guesses.values().filter(|guess| guess.browser == most).map(|guess| guess.last).collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        self.guesses.retain(|_, guess| guess.browser != most || guess.last > middle);
    }
}

impl Lanes {
    /// Returns a lane, empty where nothing happened in it for long.
    fn of(&mut self, lane: &Lane, now: Instant) -> &mut Tries {
        let tries = self.lanes.entry(lane.clone()).or_insert_with(|| Tries::new(now));
        if now.duration_since(tries.last) >= FORGOTTEN {
            *tries = Tries::new(now);
        }
        tries
    }

    /// Forgets what is old, and what is oldest where there is still too much.
    fn tidy(&mut self, now: Instant) {
        self.since_tidied += 1;
        if self.since_tidied >= TIDIED_EVERY {
            self.since_tidied = 0;
            for kept in [WAITED_FOR, WAITED_FOR / 6, Duration::ZERO] {
                if self.lanes.values().map(|tries| tries.guesses.len()).sum::<usize>() <= MOST_GUESSES {
                    break;
                }
                for tries in self.lanes.values_mut() {
                    tries.guesses.retain(|_, guess| now.duration_since(guess.last) < kept);
                }
            }
        }
        if self.lanes.len() <= MOST {
            return;
        }
        self.lanes.retain(|_, tries| now.duration_since(tries.last) < FORGOTTEN);
        if self.lanes.len() > MOST {
            let mut times: Vec<Instant> = self.lanes.values().map(|tries| tries.last).collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            self.lanes.retain(|_, tries| tries.last >= middle);
        }
    }
}

fn is_known(attempt: &Attempt) -> bool {
    attempt.known && attempt.browser.is_some()
}

fn own(attempt: &Attempt) -> (Lane, u32) {
    match (attempt.browser, &attempt.voucher) {
        (Some(browser), _) if attempt.known => (Lane::Known(browser, attempt.name.clone()), FREE_KNOWN),
        (Some(_), Some(by)) => (Lane::Vouched(by.clone(), attempt.name.clone()), FREE),
        _ => (Lane::Strange(attempt.name.clone(), attempt.address), FREE),
    }
}

fn shared(attempt: &Attempt) -> [Lane; 2] {
    [Lane::Address(attempt.address), Lane::Name(attempt.name.clone())]
}

/// Half a second after the free attempts, then twice as long each time.
fn doubled(failed: u32, free: u32, most: Duration) -> Duration {
    match failed.checked_sub(free) {
        None => Duration::ZERO,
        Some(over) => (Duration::from_millis(500) * 2_u32.pow(over.min(10))).min(most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another guess each time.
    fn stranger(name: &str, address: &str) -> Attempt {
        use std::sync::atomic::{AtomicU64, Ordering};
        static GUESS: AtomicU64 = AtomicU64::new(0);
        let guess = GUESS.fetch_add(1, Ordering::Relaxed);
        Attempt { name: name.into(), address: address.parse().ok(), browser: None, known: false, voucher: None, guess }
    }

    #[test]
    fn a_few_mistakes_cost_nothing_and_then_the_lane_opens_less_and_less_often() {
        let guessing = Guessing::default();
        let now = Instant::now();
        for _ in 0..FREE {
            assert_eq!(guessing.begin(&stranger("asha", "10.0.0.1"), now), Ok(Duration::ZERO));
        }
        let refused = guessing.begin(&stranger("asha", "10.0.0.1"), now);
        assert!(matches!(refused, Err(Refusal::Later(_))), "{refused:?}");
        let (mut later, mut made) = (now, 0);
        while later < now + Duration::from_secs(600) {
            // Somebody who knows how it works: each guess comes back when it may.
            let guess = stranger("asha", "10.0.0.1");
            while let Err(refused) = guessing.begin(&guess, later) {
                let Refusal::Later(wait) = refused else { panic!("{refused:?}") };
                later += wait;
            }
            guessing.was_wrong(&guess, later);
            made += 1;
        }
        assert!(made < 45, "{made} guesses in ten minutes");
        let forgotten = guessing.begin(&stranger("asha", "10.0.0.1"), later + FORGOTTEN);
        assert_eq!(forgotten, Ok(Duration::ZERO), "and it is forgotten");
    }

    /// What a machine does 30 times a second: which attempt it makes then.
    type Machine = fn(u64) -> (Option<[u8; 32]>, u64);

    const MARK: Option<[u8; 32]> = Some([1; 32]);

    fn mark(number: u64) -> Option<[u8; 32]> {
        let mut mark = [2; 32];
        mark[..8].copy_from_slice(&number.to_be_bytes());
        Some(mark)
    }

    /// How long it takes a person with the right password, who does what they are told, beside a machine that has been at
    /// work for five minutes. `mistakes`: wrong passwords that they try first.
    fn gets_in(machine: Machine, browser: Option<[u8; 32]>, mistakes: u64) -> Option<Duration> {
        let person = Attempt { browser, ..stranger("asha", "10.0.0.1") };
        person_gets_in(machine, 300, &person, mistakes)
    }

    /// The same for whom these attempts are of, whatever their guess is, and a machine that has been at work for so many
    /// seconds.
    fn person_gets_in(machine: Machine, begun_before: u64, person: &Attempt, mistakes: u64) -> Option<Duration> {
        const RIGHT: u64 = 1 << 40;
        let (guessing, begun) = (Guessing::default(), Instant::now());
        let begins = Duration::from_secs(begun_before);
        let (mut next, mut typed) = (begins, RIGHT - mistakes);
        let attempt = |browser, guess| Attempt { browser, guess, ..stranger("asha", "10.0.0.1") };
        for tick in 0..(30 * (begun_before + 120)) {
            let passed = Duration::from_millis(1000 * tick / 30);
            let now = begun + passed;
            let (mark, guess) = machine(tick);
            let tried = attempt(mark, guess);
            if guessing.begin(&tried, now).is_ok() {
                guessing.was_wrong(&tried, now);
            }
            if passed < next {
                continue;
            }
            let tried = Attempt { guess: typed, ..person.clone() };
            // Whoever reads a page and types a password needs some seconds.
            next = passed + Duration::from_secs(3);
            match guessing.begin(&tried, now) {
                Ok(wait) if typed == RIGHT => return Some(passed - begins + wait),
                Ok(_) => {
                    guessing.was_wrong(&tried, now);
                    typed += 1;
                }
                Err(Refusal::Later(wait)) => next += wait,
                Err(Refusal::Wrong) => panic!("nobody has tried {typed}"),
            }
        }
        None
    }

    #[test]
    fn whoever_has_the_right_password_gets_in_within_a_minute_beside_a_machine() {
        let machines: [(&str, Machine); 8] = [
            ("another guess each time, without a mark", |tick| (None, tick)),
            ("another guess each time, from one browser", |tick| (MARK, tick)),
            ("the same guess for ever", |_| (None, 7)),
            ("the same guess for ever, from one browser", |_| (MARK, 7)),
            ("a list over and over", |tick| (None, tick % 10)),
            ("another browser each time", |tick| (mark(tick), tick)),
            ("each guess comes back from its browser, as a person's does", |tick| {
                (MARK, if tick % 2 == 0 { tick } else { tick.saturating_sub(61) })
            }),
            ("a long list over and over", |tick| (None, tick % 1_000)),
        ];
        for (what, machine) in machines {
            let found = gets_in(machine, Some([9; 32]), 0);
            assert!(
                found.is_some_and(|found| found <= Duration::from_secs(60)),
                "in a browser, beside {what}: {found:?}"
            );
        }
        let new = Attempt { browser: Some([9; 32]), ..stranger("asha", "10.0.0.1") };
        let found = person_gets_in(CROWD, LONG, &new, 0);
        assert!(found.is_some_and(|found| found <= Duration::from_secs(60)), "in a browser, beside a crowd: {found:?}");
        let without_marks: Machine = |tick| (None, CROWD(tick).1);
        let found = person_gets_in(without_marks, LONG, &stranger("asha", "10.0.0.1"), 0);
        assert!(
            found.is_some_and(|found| found <= Duration::from_secs(60)),
            "a script, beside such guesses: {found:?}"
        );
        // A program that comes with Basic, and has no mark.
        for (what, machine) in &machines[..6] {
            let found = gets_in(*machine, None, 0);
            assert!(found.is_some_and(|found| found <= Duration::from_secs(60)), "a script, beside {what}: {found:?}");
        }
        let mistaken = gets_in(|tick| (MARK, tick), Some([9; 32]), 1);
        assert!(mistaken.is_some_and(|found| found <= Duration::from_secs(120)), "after a mistake: {mistaken:?}");
        let mistaken = person_gets_in(CROWD, LONG, &new, 1);
        assert!(mistaken.is_some_and(|found| found <= Duration::from_secs(120)), "beside a crowd: {mistaken:?}");
    }

    /// For so many seconds a crowd is at work before: longer than anything that waits is remembered.
    const LONG: u64 = 70;

    /// 15 guesses a second, each from a browser of its own that comes back with it two seconds later, as a person does.
    const CROWD: Machine = |tick| {
        let number = if tick.is_multiple_of(2) { tick } else { tick.saturating_sub(61) };
        (mark(number), number)
    };

    #[test]
    fn where_a_colleague_has_signed_in_a_person_gets_in_beside_a_machine_that_is_a_crowd() {
        let colleague =
            |by: &str| Attempt { browser: Some([9; 32]), voucher: Some(by.to_owned()), ..stranger("asha", "10.0.0.1") };
        let found = person_gets_in(CROWD, LONG, &colleague("binta"), 0);
        assert!(found.is_some_and(|found| found <= Duration::from_secs(60)), "{found:?}");
        let mistaken = person_gets_in(CROWD, LONG, &colleague("binta"), 6);
        assert!(mistaken.is_some_and(|found| found <= Duration::from_secs(60)), "after mistakes: {mistaken:?}");
        let at_home = Attempt { known: true, ..colleague("binta") };
        assert!(person_gets_in(CROWD, LONG, &at_home, 0).is_some_and(|found| found <= Duration::from_secs(60)));
        let elsewhere = Attempt { browser: Some([9; 32]), ..stranger("asha", "10.0.0.2") };
        assert!(person_gets_in(CROWD, LONG, &elsewhere, 0).is_some_and(|found| found <= Duration::from_secs(60)));
    }

    #[test]
    fn however_many_browsers_somebody_signs_in_from_they_vouch_once() {
        let guessing = Guessing::default();
        let begun = Instant::now();
        let mut made = 0;
        for tick in 0..(30 * 300) {
            let now = begun + Duration::from_millis(1000 * tick / 30);
            let (mark, guess) = CROWD(tick);
            let voucher = guessing.voucher(vec!["mallory".into()], "asha");
            let tried = Attempt { browser: mark, guess, voucher, ..stranger("asha", "10.0.0.1") };
            if guessing.begin(&tried, now).is_ok() {
                guessing.was_wrong(&tried, now);
                made += 1;
            }
        }
        assert!(made < 25, "{made} guesses in five minutes");
        // Nor can they spoil a browser that others have signed in from, too.
        let people = vec!["mallory".to_owned(), "binta".to_owned()];
        assert_eq!(guessing.voucher(people, "asha").as_deref(), Some("binta"));
        assert_eq!(guessing.voucher(Vec::new(), "asha"), None);
    }

    #[test]
    fn a_machine_that_never_comes_back_is_not_proved_while_others_wait() {
        let guessing = Guessing::default();
        let begun = Instant::now();
        let person = Attempt { browser: Some([9; 32]), ..stranger("asha", "10.0.0.1") };
        let made = |from: u64| {
            let ticks = (from..from + 900).map(|tick| begun + Duration::from_millis(1000 * tick / 30));
            ticks.filter(|now| guessing.begin(&stranger("asha", "10.0.0.1"), *now).is_ok()).count()
        };
        assert!(made(0) <= FREE as usize + 1, "without a mark they are in one another's way");
        assert!(guessing.begin(&person, begun + Duration::from_secs(30)).is_err());
        assert_eq!(made(901), 0);
        assert!(guessing.begin(&person, begun + Duration::from_secs(61)).is_ok());
    }

    #[test]
    fn a_wrong_guess_is_not_made_again_for_a_while() {
        let guessing = Guessing::default();
        let now = Instant::now();
        let guess = stranger("asha", "10.0.0.1");
        for _ in 0..FREE {
            assert!(guessing.begin(&guess, now).is_ok());
            guessing.was_wrong(&guess, now);
        }
        let at = |seconds| now + Duration::from_secs(seconds);
        for seconds in [0, 1, 60, 899] {
            assert_eq!(guessing.begin(&guess, at(seconds)), Err(Refusal::Wrong), "{seconds} s");
        }
        assert!(guessing.begin(&stranger("asha", "10.0.0.1"), at(1)).is_ok(), "another one is");
        assert_eq!(guessing.begin(&guess, at(902)), Ok(Duration::ZERO), "it is forgotten");
    }

    #[test]
    fn nobody_is_locked_out_by_what_others_try() {
        let guessing = Guessing::default();
        let now = Instant::now();
        for number in 0..1000 {
            let _ = guessing.begin(&stranger("asha", &format!("10.1.{}.{}", number / 250, number % 250)), now);
            let _ = guessing.begin(&stranger("asha", "10.0.0.1"), now);
            let _ = guessing.begin(&stranger(&format!("name{number}"), "10.0.0.1"), now);
        }
        let at_home = Attempt { browser: Some([7; 32]), known: true, ..stranger("asha", "10.0.0.1") };
        assert_eq!(
            guessing.begin(&at_home, now),
            Ok(Duration::ZERO),
            "in her own browser, even at the attacker's address"
        );
        let elsewhere = guessing.begin(&stranger("asha", "10.9.9.9"), now);
        assert_eq!(elsewhere, Ok(LONGEST_WAIT), "in a new browser she waits a little, and is let in");
        assert_eq!(guessing.begin(&stranger("binta", "10.0.0.1"), now), Ok(LONGEST_WAIT), "so does her neighbour");
        assert_eq!(guessing.begin(&stranger("binta", "10.9.9.9"), now), Ok(Duration::ZERO), "and nobody else");
    }

    #[test]
    fn in_ones_own_browser_nothing_has_to_be_sent_twice() {
        let guessing = Guessing::default();
        let mut now = Instant::now();
        let own = || Attempt { browser: Some([7; 32]), ..stranger("asha", "10.0.0.1") };
        for _ in 0..FREE + 3 {
            if let Err(Refusal::Later(wait)) = guessing.begin(&own(), now) {
                now += wait;
                assert!(guessing.begin(&own(), now).is_ok(), "another password, after the wait");
            }
        }
    }

    #[test]
    fn attempts_at_the_same_time_are_all_counted() {
        let guessing = Guessing::default();
        let now = Instant::now();
        let begun = (0..100).filter(|_| guessing.begin(&stranger("asha", "10.0.0.1"), now).is_ok()).count();
        assert_eq!(begun, FREE as usize);
    }

    #[test]
    fn the_right_password_forgives_its_own_lane_alone() {
        let guessing = Guessing::default();
        let now = Instant::now();
        let own = stranger("mallory", "10.0.0.1");
        for number in 0..FREE_SHARED {
            let _ = guessing.begin(&stranger(&format!("name{number}"), "10.0.0.1"), now);
            let _ = guessing.begin(&own, now);
            guessing.succeeded(&own);
        }
        assert!(guessing.begin(&stranger("next", "10.0.0.1"), now).unwrap() > Duration::ZERO);
    }

    #[test]
    fn memory_is_bounded() {
        let guessing = Guessing::default();
        let now = Instant::now();
        for number in 0..30_000_u32 {
            let _ = guessing
                .begin(&stranger(&format!("name{number}"), "10.0.0.1"), now + Duration::from_millis(number.into()));
        }
        assert!(guessing.lanes.lock().unwrap().lanes.len() <= MOST + 3);
        for _ in 0..MOST_IN_LANE + 100 {
            let _ = guessing.begin(&stranger("asha", "10.0.0.1"), now);
        }
        let waits = Guess { refused: 1, ..Guess::new(&stranger("asha", "10.0.0.1"), now) };
        for tries in guessing.lanes.lock().unwrap().lanes.values_mut().take(2 * MOST_GUESSES / MOST_IN_LANE) {
            tries.guesses = (0..MOST_IN_LANE as u64).map(|guess| (guess, waits)).collect();
        }
        for _ in 0..TIDIED_EVERY {
            let _ = guessing.begin(&stranger("binta", "10.0.0.1"), now);
        }
        let lanes = guessing.lanes.lock().unwrap();
        let guesses: Vec<usize> = lanes.lanes.values().map(|tries| tries.guesses.len()).collect();
        assert!(guesses.iter().all(|guesses| *guesses <= MOST_IN_LANE), "{guesses:?}");
        assert!(guesses.iter().sum::<usize>() <= MOST_GUESSES + TIDIED_EVERY as usize);
    }
}
