//! What a retry does and when it takes effect, in words. Pure functions.
//!
//! The rules are the consumers' own (ICT4H/atomfeed, `FailedEventsJob`): a run of the retry job takes the oldest rows of
//! a feed whose retries are below the limit, `retry_batch` of them; a retry by a person sets retries to 0 and nothing
//! more. Whether the consumer runs at all cannot be seen from its tables, so every promise here is conditional.

use crate::{
    model::{ApplicationInfo, EventState, FailedEventRow, Limits, Obstacle},
    ui::words,
};

/// What pressing "Retry" on a failed event would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It takes effect at the consumer's next run.
    Plain,
    /// The event still waits: a run under way can write its own count over the reset.
    Risky,
    /// It cannot be done, or would do nothing; why, as a whole sentence.
    Off(String),
}

impl Offer {
    /// `refused`: why nothing can be retried in this application, if that is so.
    pub fn of(row: &FailedEventRow, refused: Option<&str>) -> Self {
        if let Some(obstacle) = Obstacle::of(row) {
            return Offer::Off(obstacle.why().to_owned());
        }
        match (refused, row.retries, row.state) {
            (Some(reason), _, _) => Offer::Off(reason.to_owned()),
            (None, None, _) => Offer::Off("The table does not say how often this event was retried.".to_owned()),
            (None, Some(0), _) => {
                Offer::Off("There is nothing to reset: its retries are 0, so it is tried at the next runs.".to_owned())
            }
            (None, Some(_), EventState::Exhausted) => Offer::Plain,
            (None, Some(_), _) => Offer::Risky,
        }
    }

    /// Whether it can be done.
    pub fn is_open(&self) -> bool {
        !matches!(self, Offer::Off(_))
    }
}

pub use crate::model::{explain::NEVER_FOUND, obstacle::UNTITLED};

/// The warning beside a retry of an event that still waits.
pub const RISK: &str = "A waiting event is tried again anyway. A run of the consumer that is under way now can write its \
                        own count over the reset.";

/// Why nobody may do anything to these applications; `None`: in one of them at least something may be done.
pub fn forbidden<'a>(applications: impl IntoIterator<Item = &'a ApplicationInfo>) -> Option<String> {
    let mut names = Vec::new();
    for info in applications {
        if !info.read_only {
            return None;
        }
        names.push(info.name.clone());
    }
    (!names.is_empty()).then(|| {
        let names = words::listed(names);
        format!("The configuration allows no action on {names}: the administrator can change read_only in it.")
    })
}

/// How a retry names its row: `application:id:retries`. `None` where the retries are not known.
pub fn row_value(row: &FailedEventRow) -> Option<String> {
    Some(format!("{}:{}:{}", row.app, row.id, row.retries?))
}

/// How often it was retried: `5 of 5`, `3`, `not known`.
pub fn retries(retries: Option<i64>, limits: Option<&Limits>) -> String {
    match (retries, limits.and_then(|limits| limits.max_retry)) {
        (Some(retries), Some(max)) => format!("{} of {}", words::number(retries), words::number(max)),
        (Some(retries), None) => words::number(retries),
        (None, _) => "not known".to_owned(),
    }
}

/// Where retries that are 0 come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetBack {
    /// The retries that the console saw before they were set back.
    pub from: Option<i64>,
    /// Failed retries of the present failure on record; `None`: there is no retry log.
    pub attempts: Option<u64>,
}

impl SetBack {
    fn in_words(self) -> String {
        match (self.from, self.attempts) {
            (Some(from), _) => format!("Its retries were set back from {} to 0.", words::number(from)),
            (None, Some(0)) => "Not retried yet.".to_owned(),
            (None, Some(1)) => "Its retries were set back to 0 after 1 failed retry.".to_owned(),
            (None, Some(tried)) => {
                format!("Its retries were set back to 0 after {} failed retries.", words::number(tried))
            }
            (None, None) => "Not retried yet, or its retries were set back to 0.".to_owned(),
        }
    }
}

/// What the state of a failed event means: one sentence of cause, one of what comes next.
pub fn state(row: &FailedEventRow, limits: &Limits, set_back: SetBack) -> String {
    let done = retries(row.retries, Some(limits));
    match (Obstacle::of(row), row.state) {
        (Some(Obstacle::NoTime), EventState::Waiting) => {
            return format!(
                "Retried {done} times. It waits and has no time of failure: the consumer cannot read it, and every retry of \
                 its feed stops."
            );
        }
        (Some(_), EventState::Waiting | EventState::Exhausted) => {
            return format!("Retried {done} times. No retry helps it.");
        }
        _ => {}
    }
    match (row.state, row.retries) {
        (EventState::Exhausted, _) if limits.max_retry.is_none() => {
            "This consumer never retries by itself. Only a change on its side brings the event in.".to_owned()
        }
        (EventState::Exhausted, _) => format!("Retried {done} times. Nobody tries again until a person retries it."),
        (EventState::Waiting, Some(..=0)) => {
            format!("{} The consumer tries it again by itself.", set_back.in_words())
        }
        (EventState::Waiting, _) => format!("Retried {done} times. The consumer tries it again by itself."),
        (EventState::Unknown, _) => {
            "This table does not say how often it was retried, so nobody can tell whether it is tried again.".to_owned()
        }
    }
}

/// When the consumer comes to an event that is reset now. `ahead`: how many events of the feed it takes before it.
pub fn turn(limits: &Limits, ahead: Option<u64>) -> String {
    let every = limits.retry_interval_secs;
    if limits.max_retry.is_none() {
        return "This consumer is not known to retry failed events: the reset alone may change nothing.".to_owned();
    }
    let batch = limits.retry_batch;
    let next = format!("The next run is due within {}, if the consumer runs", duration(every));
    match ahead {
        None => format!("{next}; a run takes the {batch} oldest events of the feed that wait."),
        Some(0) => format!("{next}, and begins with this event."),
        Some(ahead) => {
            let verb = if ahead == 1 { "is" } else { "are" };
            let ahead_words = words::count(ahead, "older event");
            match ahead / u64::from(batch.max(1)) {
                0 => format!("{next}; {ahead_words} {verb} ahead of it in the same run, {batch} a run."),
                runs => format!(
                    "{next}; {ahead_words} {verb} ahead of it, {batch} a run: its turn comes in run {}, after about {}.",
                    words::number(runs + 1),
                    duration(every.saturating_mul(runs + 1)),
                ),
            }
        }
    }
}

/// How long a whole feed takes, `events` being everything that waits then.
pub fn work(limits: &Limits, events: u64) -> String {
    let runs = events.div_ceil(u64::from(limits.retry_batch.max(1)));
    let batch = limits.retry_batch;
    let every = limits.retry_interval_secs;
    let about = duration(every.saturating_mul(runs));
    format!(
        "{}, {batch} a run every {}: {}, about {about}, if the consumer runs and every event succeeds at once.",
        words::count(events, "event"),
        duration(every),
        words::count(runs, "run"),
    )
}

/// Where the limits that a page speaks of are from, when nobody configured them.
pub fn assumed(info: &ApplicationInfo) -> Option<String> {
    info.limits.assumed.then(|| {
        format!("The limits of {} are assumed from its name; they are set in its consumer's own properties.", info.name)
    })
}

/// A span of time, rounded to what a person would say: `30 s`, `100 min`, `5 h`, `3 days`.
pub fn duration(seconds: u64) -> String {
    let rounded = |unit: u64| seconds.saturating_add(unit / 2) / unit;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", rounded(60)),
        7_200..=172_799 => format!("{} h", rounded(3_600)),
        _ => format!("{} days", words::number(rounded(86_400))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RowId, Stamp};

    fn limits(max_retry: Option<i64>) -> Limits {
        Limits {
            max_failed_events: Some(1000),
            max_retry,
            feed_interval_secs: 30,
            retry_interval_secs: 30,
            retry_batch: 5,
            assumed: false,
        }
    }

    fn row(retries: Option<i64>) -> FailedEventRow {
        FailedEventRow {
            app: "odoo".into(),
            id: RowId(7),
            feed_uri: Some("http://openmrs/feed/recent".into()),
            failed_at: Some(Stamp::of(chrono::DateTime::UNIX_EPOCH)),
            error: None,
            event_id: None,
            payload: None,
            title: None,
            retries,
            tags: None,
            state: EventState::of(retries, &limits(Some(5))),
            moves: false,
            first_sight: None,
            latest: None,
            cause: None,
        }
    }

    #[test]
    fn spans_are_said_as_people_say_them() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (6_000, "100 min"),
            (7_200, "2 h"),
            (9_000, "3 h"),
            (172_800, "2 days"),
            (u64::MAX, "213,503,982,334,601 days"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds} s");
        }
    }

    #[test]
    fn the_turn_of_an_event_follows_from_those_ahead_of_it() {
        let turn = |ahead| turn(&limits(Some(5)), ahead);
        assert_eq!(turn(Some(0)), "The next run is due within 30 s, if the consumer runs, and begins with this event.");
        assert!(
            turn(Some(1)).ends_with("; 1 older event is ahead of it in the same run, 5 a run."),
            "{}",
            turn(Some(1))
        );
        assert!(turn(Some(4)).ends_with("; 4 older events are ahead of it in the same run, 5 a run."));
        // With five ahead the first run is full.
        assert!(turn(Some(5)).ends_with("its turn comes in run 2, after about 60 s."), "{}", turn(Some(5)));
        assert!(turn(Some(1_000)).ends_with("its turn comes in run 201, after about 101 min."), "{}", turn(Some(1000)));
        assert!(turn(None).ends_with("a run takes the 5 oldest events of the feed that wait."));
    }

    #[test]
    fn a_consumer_that_never_retries_promises_nothing() {
        assert!(turn(&limits(None), Some(0)).contains("not known to retry"));
    }

    #[test]
    fn a_batch_of_zero_in_the_settings_does_not_stop_a_page() {
        let odd = Limits { retry_batch: 0, ..limits(Some(5)) };
        assert!(turn(&odd, Some(3)).contains("run 4"));
        assert!(work(&odd, 3).contains("3 runs"));
    }

    #[test]
    fn a_whole_feed_takes_its_runs() {
        assert_eq!(
            work(&limits(Some(5)), 1_000),
            "1,000 events, 5 a run every 30 s: 200 runs, about 100 min, if the consumer runs and every event succeeds at once."
        );
        assert!(work(&limits(Some(5)), 6).contains("2 runs, about 60 s"));
    }

    #[test]
    fn a_retry_is_offered_only_where_it_does_something() {
        assert_eq!(Offer::of(&row(Some(5)), None), Offer::Plain);
        assert_eq!(Offer::of(&row(Some(6)), None), Offer::Plain);
        assert_eq!(Offer::of(&row(Some(2)), None), Offer::Risky);
        assert_eq!(Offer::of(&row(Some(-2)), None), Offer::Risky);
        assert!(!Offer::of(&row(Some(0)), None).is_open());
        assert!(!Offer::of(&row(None), None).is_open());
        let zero = Stamp { text: "0000-00-00 00:00:00".into(), at: None };
        for retries in [Some(5), Some(2), Some(0), None] {
            for failed_at in [None, Some(zero.clone())] {
                let timeless = FailedEventRow { failed_at, ..row(retries) };
                assert_eq!(Offer::of(&timeless, None), Offer::Off(Obstacle::NoTime.why().into()));
            }
            let homeless = FailedEventRow { feed_uri: None, ..row(retries) };
            assert_eq!(Offer::of(&homeless, None), Offer::Off(Obstacle::NoFeedAddress.why().into()));
        }
        assert_eq!(Offer::of(&row(Some(5)), Some("Read only.")), Offer::Off("Read only.".into()));
    }

    #[test]
    fn a_row_is_named_with_the_retries_that_were_seen() {
        assert_eq!(row_value(&row(Some(5))).as_deref(), Some("odoo:7:5"));
        assert_eq!(row_value(&row(Some(-1))).as_deref(), Some("odoo:7:-1"));
        assert_eq!(row_value(&row(None)), None);
    }

    #[test]
    fn states_say_what_comes_next() {
        let state = |row: &FailedEventRow, limits: &Limits| state(row, limits, SetBack::default());
        assert!(state(&row(Some(5)), &limits(Some(5))).starts_with("Retried 5 of 5 times. Nobody"));
        assert!(state(&row(Some(2)), &limits(Some(5))).starts_with("Retried 2 of 5 times. The consumer"));
        assert!(state(&row(Some(0)), &limits(Some(5))).starts_with("Not retried yet, or"));
        assert!(state(&row(None), &limits(Some(5))).contains("does not say"));
        for retries in [5, 2, 0] {
            let homeless = FailedEventRow { feed_uri: Some(" ".into()), ..row(Some(retries)) };
            assert_eq!(state(&homeless, &limits(Some(5))), format!("Retried {retries} of 5 times. No retry helps it."));
        }
        let timeless = state(&FailedEventRow { failed_at: None, ..row(Some(2)) }, &limits(Some(5)));
        assert!(timeless.ends_with("every retry of its feed stops."), "{timeless}");
        let never = FailedEventRow { state: EventState::Exhausted, ..row(Some(0)) };
        assert!(state(&never, &limits(None)).contains("never retries by itself"));
    }

    #[test]
    fn retries_of_0_say_where_they_come_from() {
        let said = |from, attempts| state(&row(Some(0)), &limits(Some(5)), SetBack { from, attempts });
        assert_eq!(
            said(Some(10), Some(7)),
            "Its retries were set back from 10 to 0. The consumer tries it again by itself."
        );
        assert!(said(None, Some(3)).starts_with("Its retries were set back to 0 after 3 failed retries. The"));
        assert!(said(None, Some(1)).starts_with("Its retries were set back to 0 after 1 failed retry. The"));
        assert!(said(None, Some(0)).starts_with("Not retried yet. The"));
    }
}
