//! Estimates how long a retry of many events takes, by the rules of the retry jobs, corrected by the pace so far.
//!
//! Each run of a retry job retries the `retry_batch` oldest failed events of a feed whose retries are not used up (see
//! `ui/due.rs`). Events that fail again are retried run after run until their retries are used up, and only then the
//! next ones are: an event that fails takes `max_retry` times as long as one that succeeds.

use chrono::{DateTime, Utc};

use super::{
    Limits,
    operation::{Operation, Stage},
};

/// The part of a retry that the retry job of one feed processes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedWork {
    /// Number of the retry's events on this feed.
    pub rows: u64,
    /// Number of all events of the feed that wait for a retry, also of those that are not part of this one.
    pub waiting: u64,
    pub limits: Limits,
}

/// The seconds until each event of a retry has a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLeft {
    /// If the events without a result fail again at the same rate as those with one.
    pub about: u64,
    /// If all events without a result fail again, and the feed's other waiting events are older and fail, too.
    pub most: u64,
}

/// Returns how long a retry job needs until each of so many waiting events of a feed has a result: `about` if each
/// succeeds at the first try, `most` if all fail. `None` if no job retries.
pub fn forecast(limits: &Limits, events: u64) -> Option<TimeLeft> {
    let tries = u64::try_from(limits.max_retry?).unwrap_or_default().max(1);
    let (batches, every) = (events.div_ceil(u64::from(limits.retry_batch.max(1))), limits.retry_interval_secs);
    // For the last batch, only the first try counts.
    let most = batches.saturating_sub(1).saturating_mul(tries).saturating_add(batches.min(1));
    Some(TimeLeft { about: batches.saturating_mul(every), most: most.saturating_mul(every) })
}

/// Factor by which the pace so far may lengthen or shorten an estimate at most: if the job processed other events of
/// the feed first, the pace says little.
const MOST_CORRECTION: u64 = 4;

/// Returns how long a retry will take from now on. `None` if there is no result yet, nothing is awaited, the retry is
/// paused, or no job retries.
///
/// Counts the events that have a result for every feed alike, because only their sum is known.
pub fn time_left(operation: &Operation, feeds: &[FeedWork], now: DateTime<Utc>) -> Option<TimeLeft> {
    let (awaited, tried) = (operation.awaited(), operation.tried());
    let elapsed = u64::try_from((now - operation.started_at).num_seconds()).ok()?;
    if awaited == 0 || tried == 0 || operation.stage == Stage::Paused {
        return None;
    }
    let counts = operation.counts;
    let unwritten = match operation.stage {
        Stage::Running | Stage::Trying => counts.to_come() + counts.busy,
        _ => 0,
    };
    let seen =
        Seen { open: awaited.saturating_add(unwritten), tried, failed: operation.followed.failed_again, elapsed };
    let longest = |share, others| feeds.iter().filter_map(|feed| seen.left(feed, share, others)).max();
    // A speed limit can be slower than the retry jobs, which retry the last events after they are written.
    let last_run = feeds.iter().map(|feed| feed.limits.retry_interval_secs).max().unwrap_or_default();
    let written = operation.pace.per_minute.filter(|_| unwritten > 0);
    let writing =
        written.map_or(0, |per_minute| unwritten.saturating_mul(60) / u64::from(per_minute.max(1)) + last_run);
    let about = longest(Share { failing: seen.failed.min(tried), of: tried }, false)?.max(writing);
    Some(TimeLeft { about, most: longest(Share { failing: 1, of: 1 }, true)?.max(about) })
}

/// The share of events that fail.
#[derive(Clone, Copy)]
struct Share {
    failing: u64,
    of: u64,
}

/// The progress of a retry.
#[derive(Clone, Copy)]
struct Seen {
    open: u64,
    tried: u64,
    failed: u64,
    /// Seconds since it was started.
    elapsed: u64,
}

impl Seen {
    /// Returns the seconds that the retry job of one feed needs if this share of the open events fails again; `with_others`:
    /// including the feed's other waiting events. `None` if the feed has no retry job.
    fn left(self, feed: &FeedWork, share: Share, with_others: bool) -> Option<u64> {
        let limits = &feed.limits;
        let more_tries = u64::try_from(limits.max_retry?).unwrap_or_default().max(1) - 1;
        let (batch, every) = (u64::from(limits.retry_batch.max(1)), limits.retry_interval_secs.max(1));
        let open = self.open.min(feed.rows);
        let tried = self.tried.min(feed.rows);
        let failed = self.failed.min(tried);

        // Up to a batch of those that failed again are waiting, too.
        let others = feed.waiting.saturating_sub(open.saturating_add(batch));
        let open = if with_others { open.saturating_add(others) } else { open };
        // For the last batch, only the first try counts. It may be smaller than the others.
        let followed = open.saturating_sub(1) / batch * batch;
        let again = followed.saturating_mul(more_tries).saturating_mul(share.failing).div_ceil(share.of.max(1));
        // The events that failed again last are retried before them; by the schedule, some of these retries are done.
        let in_front = failed.min(batch);
        let through = tried.saturating_add((failed - in_front).saturating_mul(more_tries));
        let by_schedule = (self.elapsed / every).saturating_mul(batch);
        let before = in_front.saturating_mul(more_tries);
        let before = before - by_schedule.saturating_sub(through).min(before);

        let runs = open.saturating_add(again).saturating_add(before).div_ceil(batch);
        let left = runs.saturating_mul(every);
        // The longest and the shortest time to reach the present progress.
        let most_tries = tried.saturating_add(failed.saturating_mul(more_tries));
        let slow = (most_tries.div_ceil(batch) + 2).saturating_mul(every);
        let quick = (through / batch).saturating_sub(1).saturating_mul(every);
        let corrected = |elapsed: u64, expected: u64| {
            u64::try_from(u128::from(left) * u128::from(elapsed) / u128::from(expected)).unwrap_or(u64::MAX)
        };
        Some(if self.elapsed > slow {
            corrected(self.elapsed.min(slow.saturating_mul(MOST_CORRECTION)), slow)
        } else if self.elapsed < quick {
            corrected(self.elapsed.max(quick / MOST_CORRECTION), quick)
        } else {
            left
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        ledger::RequestKind,
        operation::{Followed, OutcomeCounts},
        samples::{limits, operation},
    };

    fn retry(followed: Followed) -> Operation {
        let asked = followed.all();
        let counts = OutcomeCounts { asked, reset: asked, ..OutcomeCounts::default() };
        operation(RequestKind::Retry, Stage::Ended, counts, followed)
    }

    fn after(seconds: u64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::try_from(seconds).unwrap())
    }

    /// Returns every estimate that a reader sees of a retry whose events fail again or not, with the second at which
    /// they see it, and the second at which the last event was tried.
    fn estimates(fails: &[bool], real_interval: u64) -> (Vec<(u64, TimeLeft)>, u64) {
        let (max, batch) = (limits().max_retry.unwrap(), limits().retry_batch as usize);
        let work = [FeedWork { rows: fails.len() as u64, waiting: 0, limits: limits() }];
        let mut tries = vec![0; fails.len()];
        let mut seen = Followed { open: fails.len() as u64, ..Followed::default() };
        let (mut told, mut run) = (Vec::new(), 7);
        loop {
            let waits = |row: &usize| tries[*row] == 0 || fails[*row] && tries[*row] < max;
            let taken: Vec<usize> = (0..fails.len()).filter(waits).take(batch).collect();
            for row in taken {
                if tries[row] == 0 {
                    seen.open -= 1;
                    *(if fails[row] { &mut seen.failed_again } else { &mut seen.resolved }) += 1;
                }
                tries[row] += 1;
            }
            if seen.open == 0 {
                return (told, run);
            }
            for at in (run..run + real_interval).step_by(6) {
                told.push((at, time_left(&retry(seen), &work, after(at)).expect("an estimate")));
            }
            run += real_interval;
        }
    }

    /// Returns by how many tenths of an earlier estimate (plus five runs) the estimates grow; at least ten.
    fn grows_by_tenths(estimates: impl Iterator<Item = u64>) -> u64 {
        let (mut least, mut tenths) = (u64::MAX, 10);
        for estimate in estimates {
            let beyond = estimate.saturating_sub(5 * limits().retry_interval_secs);
            tenths = tenths.max((u128::from(beyond) * 10).div_ceil(u128::from(least.max(1))) as u64);
            least = least.min(estimate);
        }
        tenths
    }

    #[test]
    fn what_is_left_does_not_grow_while_the_same_events_fail_again_and_again() {
        for (what, share) in [("all", 1), ("half", 2), ("a tenth", 10)] {
            let fails: Vec<bool> = (0..896).map(|row| row % share == 0).collect();
            let (told, _) = estimates(&fails, limits().retry_interval_secs);
            let tenths = grows_by_tenths(told.iter().map(|(_, left)| left.about));
            assert!(tenths <= 12, "{what}: {tenths} tenths of an earlier estimate");
        }
        let (told, end) = estimates(&[true; 896], limits().retry_interval_secs);
        for (at, left) in told {
            assert!(left.about.abs_diff(end - at) <= 150, "at {at} of {end}: {left:?}");
        }
    }

    #[test]
    fn the_most_that_is_left_never_grows_and_is_never_too_little() {
        let late = |row: usize| row > 100;
        let kinds: [&dyn Fn(usize) -> bool; 4] = [&|_| true, &|_| false, &|row| row % 2 == 0, &late];
        for (which, fails) in kinds.into_iter().enumerate() {
            let (told, end) = estimates(&(0..896).map(fails).collect::<Vec<_>>(), limits().retry_interval_secs);
            let tenths = grows_by_tenths(told.iter().map(|(_, left)| left.most));
            assert_eq!(tenths, 10, "{which}");
            for (at, left) in told {
                assert!(left.most + 180 >= end - at && left.about <= left.most, "{which}, at {at} of {end}: {left:?}");
            }
        }
    }

    #[test]
    fn other_events_of_the_feed_can_make_it_longer() {
        let seen = Followed { open: 90, resolved: 10, ..Followed::default() };
        let left =
            |waiting| time_left(&retry(seen), &[FeedWork { rows: 100, waiting, limits: limits() }], after(60)).unwrap();
        assert_eq!(left(0), left(95), "these are its own");
        let (alone, among) = (left(95), left(1095));
        assert_eq!(alone.about, among.about, "they may be newer");
        assert_eq!(among.most - alone.most, 1000 / 5 * 5 * 30);
    }

    #[test]
    fn the_last_events_of_a_speed_limit_are_retried_after_they_are_written() {
        let seen = Followed { open: 10, resolved: 10, ..Followed::default() };
        let counts = OutcomeCounts { asked: 80, reset: 20, ..OutcomeCounts::default() };
        let slow = Operation {
            counts,
            stage: Stage::Running,
            pace: crate::operation::Pace { per_minute: Some(1), try_first: None },
            ..retry(seen)
        };
        let work = [FeedWork { rows: 80, waiting: 10, limits: limits() }];
        assert_eq!(time_left(&slow, &work, after(60)).unwrap().about, 60 * 60 + 30);
    }

    #[test]
    fn a_forecast_has_both_ends() {
        let forecast = |events| super::forecast(&limits(), events).unwrap();
        let runs = |about: u64, most: u64| TimeLeft { about: about * 30, most: most * 30 };
        assert_eq!([forecast(0), forecast(5), forecast(8)], [runs(0, 0), runs(1, 1), runs(2, 6)]);
        for events in [1, 5, 6, 19, 20, 21] {
            let (_, end) = estimates(&vec![true; events], limits().retry_interval_secs);
            // The first run comes after 7 s, and at once what it does is known.
            assert_eq!(forecast(events as u64).most, end - 7 + limits().retry_interval_secs, "{events}");
        }
        assert_eq!(super::forecast(&Limits { max_retry: None, ..limits() }, 5), None);
    }

    #[test]
    fn a_retry_job_that_is_slower_than_the_settings_say_makes_the_estimate_longer() {
        let (told, end) = estimates(&[true; 200], 3 * limits().retry_interval_secs);
        let (at, half) = told[told.len() / 2];
        assert!(half.about.abs_diff(end - at) < (end - at) / 4, "at {at} of {end}: {half:?}");
    }

    #[test]
    fn there_is_no_estimate_without_a_result_or_a_retry_job() {
        let work = [FeedWork { rows: 100, waiting: 100, limits: limits() }];
        let left = |followed, work: &[FeedWork]| time_left(&retry(followed), work, after(60));
        let half = Followed { open: 50, failed_again: 50, ..Followed::default() };
        assert!(left(half, &work).is_some());
        assert_eq!(left(Followed { open: 100, ..Followed::default() }, &work), None);
        assert_eq!(left(Followed { resolved: 100, ..Followed::default() }, &work), None);
        let nobody = FeedWork { limits: Limits { max_retry: None, ..limits() }, ..work[0] };
        assert_eq!(left(half, &[nobody]), None);
        let paused = Operation { stage: Stage::Paused, ..retry(half) };
        assert_eq!(time_left(&paused, &work, after(60)), None);
    }

    #[test]
    fn the_longest_feed_decides() {
        let feeds = [3, 90, 7].map(|rows| FeedWork { rows, waiting: rows, limits: limits() });
        let seen = Followed { open: 90, resolved: 10, ..Followed::default() };
        let left = |feeds: &[FeedWork]| time_left(&retry(seen), feeds, after(60)).unwrap();
        assert_eq!(left(&feeds), left(&feeds[1..2]));
        assert_eq!(left(&feeds), TimeLeft { about: 18 * 30, most: (90 + 85 * 4) / 5 * 30 });
    }
}
