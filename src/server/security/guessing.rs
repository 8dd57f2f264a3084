//! Slows down password guessing in such a way that no one can lock out another user.
//!
//! Attempts are counted in lanes. A user who has signed in from a browser before has a separate lane there, which no
//! one else can fill. If a colleague has signed in from the browser, the colleague's name vouches for it: one lane
//! counts all attempts on a name in browsers of that colleague, however many there are. All other attempts on the same
//! name from the same address share a lane. After a few attempts, a lane opens only now and then, for one attempt.
//!
//! Which attempt that is decides whether a person gets in while a machine guesses. A machine tries another password
//! each time; a person repeats the same one. So while others wait, an attempt is made only when it is repeated; a
//! password that was wrong a moment ago uses up no turn; and who has waited longest goes first, where each further
//! password of the same browser has a later place in the queue. Attempts that are not repeated any more delay no one. A
//! machine that keeps repeating hundreds of passwords, each from its own browser, is like a queue of hundreds of
//! people: who comes later waits. No order of turns could change that, except trying all of its passwords. The lanes
//! that it cannot fill avoid that wait.
//!
//! In addition, many attempts from one address, or on one name from anywhere, delay each further one a little; it is
//! never refused because of others.
//!
//! All of this is in memory: it is forgotten when the console ends, and within a quarter of an hour.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Number of attempts that a person may need to remember the right password.
const FREE: u32 = 5;
/// The same in a browser from which they have signed in before.
const FREE_KNOWN: u32 = 10;
/// Number of free attempts of a whole ward behind one address, or on one name from everywhere.
const FREE_SHARED: u32 = 30;
/// Longest time that the lane of one person is closed.
const LONGEST_CLOSED: Duration = Duration::from_secs(20);
/// Longest delay of an attempt because of others.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// Time after which a first attempt, refused because others waited, may be repeated.
const BACK_AFTER: Duration = Duration::from_secs(1);
/// A refused attempt that is not repeated within this time is forgotten.
const WAITED_FOR: Duration = Duration::from_secs(60);
/// An attempt delays no others once it is later than its announced time by more than this.
const LATE: Duration = Duration::from_secs(20);
/// How much later in the queue each further password of a browser is.
const FURTHER: Duration = Duration::from_secs(20);
const MOST_FURTHER: u32 = 10_000;
/// A lane without activity for this long is forgotten, and so is a wrong password.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);
/// Maximum number of lanes that are remembered.
const MOST: usize = 20_000;
/// Maximum number of passwords that are remembered, by a part of a hash, in one lane and in total.
const MOST_IN_LANE: usize = 4_000;
const MOST_GUESSES: usize = 100_000;
/// Number of attempts between two checks of how much is remembered.
const TIDIED_EVERY: u32 = 200;

/// An attempt to sign in.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The name in the form in which accounts compare it.
    pub name: String,
    /// All addresses of one client count as one: see [`crate::server::shares::network`].
    pub address: Option<IpAddr>,
    /// The mark of the browser, if it sent one.
    pub browser: Option<[u8; 32]>,
    /// Whether this name has signed in from that browser before.
    pub known: bool,
    /// Another user who has signed in from it: see [`Guessing::voucher`].
    pub voucher: Option<String>,
    /// Number that identifies name and password.
    pub guess: u64,
}

/// Why an attempt was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It can be made after this time, with the same password.
    Later(Duration),
    /// It was made a moment ago, with a wrong password.
    Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Known([u8; 32], String),
    /// The user who vouches for the browser, and the name that is tried.
    Vouched(String, String),
    Strange(String, Option<IpAddr>),
    Address(Option<IpAddr>),
    Name(String),
}

#[derive(Clone, Debug)]
struct Tries {
    failed: u32,
    last: Instant,
    /// Recent passwords that were wrong, or were refused and may be repeated. Empty in shared lanes.
    guesses: HashMap<u64, Guess>,
}

/// A password that was tried recently.
#[derive(Clone, Copy, Debug)]
struct Guess {
    /// The mark of its browser; `None` if there was none.
    browser: Option<[u8; 32]>,
    since: Instant,
    last: Instant,
    /// Place in the queue: time of the first attempt, later for each earlier password of its browser.
    place: Instant,
    /// Announced time from which it may be repeated.
    back_at: Instant,
    /// How often it was refused.
    refused: u32,
    /// Whether it was verified and wrong.
    wrong: bool,
}

impl Guess {
    fn new(attempt: &Attempt, now: Instant) -> Self {
        Self { browser: attempt.browser, since: now, last: now, place: now, back_at: now, refused: 0, wrong: false }
    }
}

/// Recent attempts to sign in.
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
    /// Returns which of the users who have signed in from a browser vouches for it when this name is tried there: the
    /// one in whose browsers it was tried least, so that none of them can spoil it for the others.
    pub fn voucher(&self, people: Vec<String>, name: &str) -> Option<String> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let tried =
            |by: &String| lanes.lanes.get(&Lane::Vouched(by.clone(), name.to_owned())).map_or(0, |it| it.failed);
        people.into_iter().min_by_key(tried)
    }

    /// Counts an attempt that is about to be made, and returns how long it must wait first. It counts as failed until
    /// [`Guessing::succeeded`] is called, so that simultaneous attempts are all counted.
    ///
    /// # Errors
    /// Fails if it is not this attempt's turn, or its password was wrong a moment ago.
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

    /// Uncounts an attempt that could not be made: whether it was right is unknown.
    pub fn not_made(&self, attempt: &Attempt) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = shared(attempt).into_iter().filter(|_| !is_known(attempt));
        for lane in shared.chain([own(attempt).0]) {
            if let Some(tries) = lanes.lanes.get_mut(&lane) {
                tries.failed = tries.failed.saturating_sub(1);
            }
        }
    }

    /// Remembers that the attempt was wrong.
    pub fn was_wrong(&self, attempt: &Attempt, now: Instant) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let guess = Guess { wrong: true, ..Guess::new(attempt, now) };
        lanes.of(&own(attempt).0, now).guesses.insert(attempt.guess, guess);
    }

    /// Forgets a right attempt and the mistakes before it, in this person's lane.
    pub fn succeeded(&self, attempt: &Attempt) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.lanes.remove(&own(attempt).0);
        // In shared lanes, knowing one password must not erase attempts on other names.
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

    /// Checks whether an attempt is made now. A refused one is remembered, so that it can be repeated.
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

    /// Returns the place in the queue of a first attempt.
    fn place(&self, attempt: &Attempt, now: Instant) -> Instant {
        let before = self.guesses.values().filter(|guess| guess.browser == attempt.browser).count();
        now + FURTHER * u32::try_from(before).unwrap_or(u32::MAX).min(MOST_FURTHER)
    }

    /// Returns until when others go before this attempt, if they are repeated; `None` if it is its turn.
    fn others_first(&self, attempt: &Attempt, before: Option<Guess>, now: Instant) -> Option<Instant> {
        // A browser does not delay itself. Attempts without a mark can be from anyone.
        let is_other = |other: u64, guess: &Guess| {
            other != attempt.guess && !guess.wrong && (guess.browser.is_none() || guess.browser != attempt.browser)
        };
        let mut others = self.guesses.iter().filter(|(other, guess)| is_other(**other, guess)).map(|(_, guess)| guess);
        // A first attempt must be repeated while others wait.
        let Some(before) = before else { return others.next().map(|_| now) };
        let ahead =
            others.filter(|guess| guess.refused > 1 && now < guess.back_at + LATE && guess.place < before.place);
        ahead.map(|guess| guess.back_at + LATE).max()
    }

    /// Returns how many passwords were tried from each browser.
    fn tried(&self) -> HashMap<Option<[u8; 32]>, usize> {
        let mut tried = HashMap::new();
        for guess in self.guesses.values() {
            *tried.entry(guess.browser).or_default() += 1;
        }
        tried
    }

    /// If there are too many passwords, forgets the older half of those of the browser that tried most.
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
    /// Returns a lane, emptied if it had no activity for long.
    fn of(&mut self, lane: &Lane, now: Instant) -> &mut Tries {
        let tries = self.lanes.entry(lane.clone()).or_insert_with(|| Tries::new(now));
        if now.duration_since(tries.last) >= FORGOTTEN {
            *tries = Tries::new(now);
        }
        tries
    }

    /// Forgets old entries, and the oldest ones if there are still too many.
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

/// Returns half a second after the free attempts, then twice as long each time, at most `most`.
pub(super) fn doubled(failed: u32, free: u32, most: Duration) -> Duration {
    match failed.checked_sub(free) {
        None => Duration::ZERO,
        Some(over) => (Duration::from_millis(500) * 2_u32.pow(over.min(10))).min(most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns an attempt with another guess each time.
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
            // An attacker who knows the rules: each guess is repeated as soon as allowed.
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

    /// Returns the attempt that a machine makes at each tick, 30 times a second.
    type Machine = fn(u64) -> (Option<[u8; 32]>, u64);

    const MARK: Option<[u8; 32]> = Some([1; 32]);

    fn mark(number: u64) -> Option<[u8; 32]> {
        let mut mark = [2; 32];
        mark[..8].copy_from_slice(&number.to_be_bytes());
        Some(mark)
    }

    /// Returns how long a person with the right password, who follows the instructions, needs to get in beside a
    /// machine that has been guessing for five minutes. `mistakes`: number of wrong passwords that they try first.
    fn gets_in(machine: Machine, browser: Option<[u8; 32]>, mistakes: u64) -> Option<Duration> {
        let person = Attempt { browser, ..stranger("asha", "10.0.0.1") };
        person_gets_in(machine, 300, &person, mistakes)
    }

    /// The same for a person with these attempts, whatever their guess is, and a machine that has been guessing for
    /// this number of seconds.
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
            // Reading a page and typing a password takes some seconds.
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
        // A program that uses Basic, and has no mark.
        for (what, machine) in &machines[..6] {
            let found = gets_in(*machine, None, 0);
            assert!(found.is_some_and(|found| found <= Duration::from_secs(60)), "a script, beside {what}: {found:?}");
        }
        let mistaken = gets_in(|tick| (MARK, tick), Some([9; 32]), 1);
        assert!(mistaken.is_some_and(|found| found <= Duration::from_secs(120)), "after a mistake: {mistaken:?}");
        let mistaken = person_gets_in(CROWD, LONG, &new, 1);
        assert!(mistaken.is_some_and(|found| found <= Duration::from_secs(120)), "beside a crowd: {mistaken:?}");
    }

    /// Seconds for which a crowd has been guessing before: longer than any waiting attempt is remembered.
    const LONG: u64 = 70;

    /// 15 guesses a second, each from its own browser and repeated there two seconds later, as a person does.
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
        // Nor can they spoil a browser from which others have signed in, too.
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
