//! Guessing is made slow, and nobody can lock anybody else out by it.
//!
//! Attempts are counted in lanes. Somebody who has signed in from a browser before has a lane of their own there, which
//! nobody else can fill. Everyone else shares a lane with whoever tries the same name from the same address: after a few
//! attempts it opens only now and then. Beside that, many attempts from one address, or on one name from anywhere, make
//! each further one wait a little; it is never refused for what others do.
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
const LONGEST_CLOSED: Duration = Duration::from_secs(30);
/// The longest that anybody waits for what others do.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// A lane in which nothing happened for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);
/// Lanes that are remembered.
const MOST: usize = 20_000;

/// Somebody who tries to sign in.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// As accounts compare it.
    pub name: String,
    pub address: Option<IpAddr>,
    /// The browser, where this name has signed in from it before.
    pub known_browser: Option<[u8; 32]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Known([u8; 32], String),
    Strange(String, Option<IpAddr>),
    Address(Option<IpAddr>),
    Name(String),
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    failed: u32,
    last: Instant,
}

/// What was tried lately.
#[derive(Debug, Default)]
pub struct Guessing {
    lanes: Mutex<HashMap<Lane, Tries>>,
}

impl Guessing {
    /// Counts an attempt that is about to be made, and answers how long it has to wait first. It counts as failed until
    /// [`Guessing::succeeded`] is told otherwise, so that attempts made at the same time are all counted.
    ///
    /// # Errors
    /// The lane is closed, for so long.
    pub fn begin(&self, attempt: &Attempt, now: Instant) -> Result<Duration, Duration> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let (own, free) = own(attempt);
        let tries = count(&mut lanes, &own, now);
        let closed = doubled(tries.failed, free, LONGEST_CLOSED);
        let open_again = tries.last + closed;
        if open_again > now && closed > Duration::ZERO {
            return Err(open_again - now);
        }
        let mut wait = Duration::ZERO;
        if attempt.known_browser.is_none() {
            for lane in shared(attempt) {
                wait = wait.max(doubled(count(&mut lanes, &lane, now).failed, FREE_SHARED, LONGEST_WAIT));
                add(&mut lanes, lane, now);
            }
        }
        add(&mut lanes, own, now);
        tidy(&mut lanes, now);
        Ok(wait)
    }

    /// The attempt could not be made after all: nobody knows whether it was right.
    pub fn not_made(&self, attempt: &Attempt) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = shared(attempt).into_iter().filter(|_| attempt.known_browser.is_none());
        for lane in shared.chain([own(attempt).0]) {
            if let Some(tries) = lanes.get_mut(&lane) {
                tries.failed = tries.failed.saturating_sub(1);
            }
        }
    }

    /// The attempt was right: it and the mistakes before it are forgotten, in this person's lane.
    pub fn succeeded(&self, attempt: &Attempt) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.remove(&own(attempt).0);
        // Somebody who knows one password must not wash away what they tried on others.
        for lane in shared(attempt).into_iter().filter(|_| attempt.known_browser.is_none()) {
            if let Some(tries) = lanes.get_mut(&lane) {
                tries.failed = tries.failed.saturating_sub(1);
            }
        }
    }
}

fn own(attempt: &Attempt) -> (Lane, u32) {
    match attempt.known_browser {
        Some(browser) => (Lane::Known(browser, attempt.name.clone()), FREE_KNOWN),
        None => (Lane::Strange(attempt.name.clone(), attempt.address), FREE),
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

fn count(lanes: &mut HashMap<Lane, Tries>, lane: &Lane, now: Instant) -> Tries {
    match lanes.get(lane) {
        Some(tries) if now.duration_since(tries.last) < FORGOTTEN => *tries,
        _ => Tries { failed: 0, last: now },
    }
}

fn add(lanes: &mut HashMap<Lane, Tries>, lane: Lane, now: Instant) {
    let failed = count(lanes, &lane, now).failed.saturating_add(1);
    lanes.insert(lane, Tries { failed, last: now });
}

/// Forgets what is old, and what is oldest where there is still too much.
fn tidy(lanes: &mut HashMap<Lane, Tries>, now: Instant) {
    if lanes.len() <= MOST {
        return;
    }
    lanes.retain(|_, tries| now.duration_since(tries.last) < FORGOTTEN);
    if lanes.len() > MOST {
        let mut times: Vec<Instant> = lanes.values().map(|tries| tries.last).collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        lanes.retain(|_, tries| tries.last >= middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(name: &str, address: &str) -> Attempt {
        Attempt { name: name.into(), address: address.parse().ok(), known_browser: None }
    }

    #[test]
    fn a_few_mistakes_cost_nothing_and_then_the_lane_opens_less_and_less_often() {
        let guessing = Guessing::default();
        let now = Instant::now();
        let asha = stranger("asha", "10.0.0.1");
        for _ in 0..FREE {
            assert_eq!(guessing.begin(&asha, now), Ok(Duration::ZERO));
        }
        assert_eq!(guessing.begin(&asha, now), Err(Duration::from_millis(500)));
        let mut later = now;
        let mut made = 0;
        while later < now + Duration::from_secs(600) {
            later += guessing.begin(&asha, later).err().unwrap_or_default();
            made += u32::from(guessing.begin(&asha, later).is_ok());
        }
        assert!(made < 40, "{made} guesses in ten minutes");
        assert_eq!(guessing.begin(&asha, later + FORGOTTEN), Ok(Duration::ZERO), "and it is forgotten");
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
        let at_home = Attempt { known_browser: Some([7; 32]), ..stranger("asha", "10.0.0.1") };
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
        assert!(guessing.lanes.lock().unwrap().len() <= MOST + 2);
    }
}
