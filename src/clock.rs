//! The time of day, which only this module reads (clippy.toml forbids the other ways), so that tests can set it.
//!
//! What is waited for or measured is not a time of day: for that there is `Instant`.

use std::{cell::Cell, time::SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

thread_local! {
    static AHEAD: Cell<TimeDelta> = const { Cell::new(TimeDelta::zero()) };
}

/// Returns the time of day. In the browser this module has none.
pub fn now() -> DateTime<Utc> {
    #[expect(clippy::disallowed_methods, reason = "everything else asks this function")]
    let now = DateTime::<Utc>::from(SystemTime::now());
    now + AHEAD.get()
}

/// Moves this thread's clock, for a test: forward, or backward with a negative time. The tests of tokio run on one
/// thread, with all tasks they spawn, except blocking ones.
///
/// The clock is right again when the returned value is dropped.
#[must_use]
pub fn moved_by(by: TimeDelta) -> Moved {
    AHEAD.set(AHEAD.get() + by);
    Moved(by)
}

/// The clock is moved as long as this lives.
#[derive(Debug)]
pub struct Moved(TimeDelta);

impl Drop for Moved {
    fn drop(&mut self) {
        AHEAD.set(AHEAD.get() - self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_clock_goes_on_and_is_right_again() {
        let before = now();
        {
            let _an_hour_later = moved_by(TimeDelta::hours(1));
            let _and_a_minute_back = moved_by(TimeDelta::minutes(-1));
            let passed = now() - before;
            assert!((TimeDelta::minutes(59)..TimeDelta::minutes(60)).contains(&passed), "{passed}");
            let elsewhere = std::thread::spawn(now).join().expect("the time of another thread");
            assert!(elsewhere - before < TimeDelta::minutes(1), "other tests keep their time");
        }
        assert!(now() - before < TimeDelta::minutes(1));
    }
}
