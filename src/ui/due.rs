//! What a retry does and when it takes effect, in words. Pure functions.
//!
//! The rules are the consumers' own (ICT4H/atomfeed, `FailedEventsJob`): a run of the retry job processes the oldest
//! rows of a feed whose retries are below the limit, `retry_batch` of them; a user's retry sets retries to 0 and
//! nothing more. The tables do not show whether the consumer runs at all, so every promise here is conditional.

use chrono::{DateTime, Utc};

use crate::{
    model::{
        ApplicationInfo, EventState, FailedEventRow, Feed, Limits, Obstacle,
        time_left::{TimeLeft, forecast},
    },
    ui::words,
};

/// What "Retry" on a failed event would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It takes effect at the consumer's next run.
    Plain,
    /// The event is still waiting: a running retry job can write its own count over the reset.
    Risky,
    /// The retry is impossible or has no effect; the reason as a whole sentence.
    Off(String),
}

impl Offer {
    /// `refused`: why nothing can be retried in this application, if so.
    pub fn of(row: &FailedEventRow, refused: Option<&str>) -> Self {
        if let Some(obstacle) = row.obstacle() {
            return Offer::Off(obstacle.why().to_owned());
        }
        match (refused, row.retries, row.state) {
            (Some(reason), _, _) => Offer::Off(reason.to_owned()),
            (None, None, _) => Offer::Off("The table has no retry counter for this event.".to_owned()),
            (None, Some(0), _) => Offer::Off("The retry counter is 0 already: a retry changes nothing.".to_owned()),
            (None, Some(_), EventState::Exhausted) => Offer::Plain,
            (None, Some(_), _) => Offer::Risky,
        }
    }

    /// Returns whether a retry is possible.
    pub fn is_open(&self) -> bool {
        !matches!(self, Offer::Off(_))
    }
}

pub use crate::model::{explain::NEVER_FOUND, obstacle::UNTITLED};

/// The warning next to a retry of an event that is still waiting.
pub const RISK: &str = "This event will be retried anyway. If a retry is running right now, your request may be lost.";

/// Returns why no action is possible in any of these applications; `None` if at least one of them allows actions.
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
        format!("No action is allowed on {names} (read_only in the configuration).")
    })
}

/// The form value that identifies a row to retry: `application:id:retries`. `None` if the retry count is not known.
pub fn row_value(row: &FailedEventRow) -> Option<String> {
    Some(format!("{}:{}:{}", row.app, row.id, row.retries?))
}

/// The retry count: `5 of 5`, `3`, `not known`.
pub fn retries(retries: Option<i64>, limits: Option<&Limits>) -> String {
    match (retries, limits.and_then(|limits| limits.max_retry)) {
        (Some(retries), Some(max)) => format!("{} of {}", words::number(retries), words::number(max)),
        (Some(retries), None) => words::number(retries),
        (None, _) => "not known".to_owned(),
    }
}

/// Where a retry count of 0 comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetBack {
    /// The retry count that the console saw before the reset.
    pub from: Option<i64>,
    /// Recorded failed retries of the present failure; `None` if there is no retry log.
    pub attempts: Option<u64>,
}

impl SetBack {
    fn in_words(self) -> String {
        let from = self.from.and_then(|from| u64::try_from(from).ok());
        match from.or(self.attempts) {
            Some(1) => "The retry counter was set to 0 after 1 failed retry. ".to_owned(),
            Some(tried @ 2..) => {
                format!("The retry counter was set to 0 after {} failed retries. ", words::number(tried))
            }
            Some(0) | None => String::new(),
        }
    }
}

/// The meaning of a failed event's state: one sentence of cause, one of what comes next.
pub fn state(row: &FailedEventRow, limits: &Limits, set_back: SetBack) -> String {
    let done = retries(row.retries, Some(limits));
    match (row.obstacle(), row.state) {
        (Some(Obstacle::NoTime), EventState::Waiting) => {
            return format!(
                "Retries: {done}. This row has no time and blocks all retries of its feed. Discard the event."
            );
        }
        (Some(_), EventState::Waiting | EventState::Exhausted) => {
            return format!("Retries: {done}. A retry does not help this event.");
        }
        _ => {}
    }
    match (row.state, row.retries) {
        (EventState::Exhausted, _) if limits.max_retry.is_none() => {
            "This application does not retry. Fix it in the application.".to_owned()
        }
        (EventState::Exhausted, _) => {
            let max = limits.max_retry.and_then(|max| u64::try_from(max).ok()).unwrap_or_default();
            match max {
                1 => "The only retry failed. Press Retry to try again.".to_owned(),
                max => format!("All {} retries failed. Press Retry to try again.", words::number(max)),
            }
        }
        (EventState::Waiting, Some(..=0)) => format!("{}Waiting for the next retry.", set_back.in_words()),
        (EventState::Waiting, _) => format!("{done} retries failed. It will be retried automatically."),
        (EventState::Unknown, _) => {
            "The table has no retry counter: it is not known whether this event will be retried.".to_owned()
        }
    }
}

/// The sentence for a waiting event whose retry is long overdue. `feed`: "this feed", or the name of one.
pub fn overdue(feed: &str, since: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let ago = words::span((now - since).num_seconds().unsigned_abs());
    format!(
        "No event of {feed} was retried for {ago}. The retry job of the application is probably not running: check it and \
         its log."
    )
}

/// Says why no event of a feed is retried while rows without a time wait in it: the time of the next retry is then
/// unknown. `None` if no such row is known.
pub fn blocked(feed: Option<&Feed>) -> Option<String> {
    match feed?.counts.blocking {
        0 => None,
        1 => Some(
            "A waiting event of this feed has no time of failure. It blocks all retries of the feed: discard that event first."
                .to_owned(),
        ),
        rows => Some(format!(
            "{} waiting events of this feed have no time of failure. They block all retries of the feed: discard those events \
             first.",
            words::number(rows)
        )),
    }
}

/// When the consumer retries an event that waits in the queue. `ahead`: the number of events of the feed before it.
pub fn turn(limits: &Limits, ahead: Option<u64>) -> String {
    let next = format!("Next retry within {}, if the retry job runs", words::span(limits.retry_interval_secs));
    turn_from(&next, "This event is the first in the queue.", limits, ahead)
}

/// The same for an event whose retries are used up: it is in no queue until a user presses Retry.
pub fn turn_after_retry(limits: &Limits, ahead: Option<u64>) -> String {
    let every = words::span(limits.retry_interval_secs);
    let next = format!("After Retry, the next run comes within {every}, if the retry job runs");
    turn_from(&next, "This event will be the first in the queue.", limits, ahead)
}

fn turn_from(next: &str, first: &str, limits: &Limits, ahead: Option<u64>) -> String {
    if limits.max_retry.is_none() {
        return "This application does not retry. Fix the event in the application.".to_owned();
    }
    let batch = limits.retry_batch;
    match ahead {
        None => format!("{next}. Each retry takes the {batch} oldest waiting events of the feed."),
        Some(0) => format!("{next}. {first}"),
        Some(ahead) => {
            let verb = if ahead == 1 { "is" } else { "are" };
            let ahead_words = words::count(ahead, "event");
            let how_long = forecast(limits, ahead.saturating_add(1)).filter(|_| ahead >= u64::from(batch.max(1)));
            let how_long = how_long.map(|TimeLeft { about, most }| {
                format!(": at least {}, up to {} if they fail again", words::span(about), words::span(most))
            });
            format!("{next}. {ahead_words} {verb} ahead in the queue, {batch} per run{}.", how_long.unwrap_or_default())
        }
    }
}

/// How long a whole feed takes; `events` is the number of all events then waiting.
pub fn work(limits: &Limits, events: u64) -> String {
    let (what, batch, every) =
        (words::count(events, "event"), limits.retry_batch, words::span(limits.retry_interval_secs));
    let takes = match forecast(limits, events) {
        Some(TimeLeft { about, most }) if about < most => format!(
            ": at least {}, if each succeeds at the first try, and up to {} if all fail again",
            words::span(about),
            words::span(most)
        ),
        Some(TimeLeft { about, .. }) => format!(": {}", words::span(about)),
        None => String::new(),
    };
    format!("If the retry job runs: {what}, {batch} per run every {every}{takes}.")
}

/// Says that the limits on a page are assumed, if they are not configured.
pub fn assumed(info: &ApplicationInfo) -> Option<String> {
    info.limits.assumed.then(|| {
        format!("The limits of {} are assumed from its name; they are set in its consumer's own properties.", info.name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RowId, Stamp, samples};

    fn limits(max_retry: Option<i64>) -> Limits {
        Limits { max_retry, ..samples::limits() }
    }

    fn row(retries: Option<i64>) -> FailedEventRow {
        FailedEventRow {
            id: RowId(7),
            feed_uri: Some("http://openmrs/feed/recent".into()),
            failed_at: Some(Stamp::of(chrono::DateTime::UNIX_EPOCH)),
            retries,
            state: EventState::of(retries, &limits(Some(5))),
            ..samples::failed_event()
        }
    }

    #[test]
    fn the_turn_of_an_event_follows_from_those_ahead_of_it() {
        let turn = |ahead| turn(&limits(Some(5)), ahead);
        assert_eq!(
            turn(Some(0)),
            "Next retry within 30 s, if the retry job runs. This event is the first in the queue."
        );
        assert!(turn(Some(1)).ends_with(". 1 event is ahead in the queue, 5 per run."), "{}", turn(Some(1)));
        assert!(turn(Some(4)).ends_with(". 4 events are ahead in the queue, 5 per run."));
        // With five ahead the first run is full.
        assert!(
            turn(Some(5)).ends_with(
                "5 events are ahead in the queue, 5 per run: at least 60 s, up to 3 min if they fail again."
            ),
            "{}",
            turn(Some(5))
        );
        assert!(
            turn(Some(1_000)).ends_with("5 per run: at least 2 h, up to 8 h if they fail again."),
            "{}",
            turn(Some(1000))
        );
        assert!(turn(None).ends_with("Each retry takes the 5 oldest waiting events of the feed."));
    }

    #[test]
    fn an_event_whose_retries_are_used_up_is_in_no_queue_before_its_retry() {
        assert_eq!(
            turn_after_retry(&limits(Some(5)), Some(0)),
            "After Retry, the next run comes within 30 s, if the retry job runs. This event will be the first in the queue."
        );
        let behind = turn_after_retry(&limits(Some(5)), Some(7));
        assert!(behind.starts_with("After Retry, ") && behind.contains("7 events are ahead in the queue"), "{behind}");
        assert!(turn_after_retry(&limits(None), Some(0)).contains("does not retry"));
    }

    #[test]
    fn a_consumer_that_never_retries_promises_nothing() {
        assert!(turn(&limits(None), Some(0)).contains("does not retry"));
    }

    #[test]
    fn a_batch_of_zero_in_the_settings_does_not_stop_a_page() {
        let odd = Limits { retry_batch: 0, ..limits(Some(5)) };
        assert!(turn(&odd, Some(3)).contains("at least 2 min"), "{}", turn(&odd, Some(3)));
        assert!(work(&odd, 3).contains("at least 90 s"), "{}", work(&odd, 3));
    }

    #[test]
    fn a_whole_feed_takes_its_runs() {
        assert_eq!(
            work(&limits(Some(5)), 1_000),
            "If the retry job runs: 1,000 events, 5 per run every 30 s: at least 2 h, if each succeeds at the first try, and up to \
             8 h if all fail again."
        );
        assert!(work(&limits(Some(5)), 6).contains("at least 60 s"));
        assert!(work(&limits(Some(5)), 5).ends_with("every 30 s: 30 s."));
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
        assert_eq!(state(&row(Some(5)), &limits(Some(5))), "All 5 retries failed. Press Retry to try again.");
        assert!(state(&row(Some(2)), &limits(Some(5))).starts_with("2 of 5 retries failed. It will be retried"));
        assert_eq!(state(&row(Some(0)), &limits(Some(5))), "Waiting for the next retry.");
        assert!(state(&row(None), &limits(Some(5))).contains("no retry counter"));
        for retries in [5, 2, 0] {
            let homeless = FailedEventRow { feed_uri: Some(" ".into()), ..row(Some(retries)) };
            assert_eq!(
                state(&homeless, &limits(Some(5))),
                format!("Retries: {retries} of 5. A retry does not help this event.")
            );
        }
        let timeless = state(&FailedEventRow { failed_at: None, ..row(Some(2)) }, &limits(Some(5)));
        assert!(timeless.contains("blocks all retries of its feed"), "{timeless}");
        let never = FailedEventRow { state: EventState::Exhausted, ..row(Some(0)) };
        assert!(state(&never, &limits(None)).contains("does not retry"));
    }

    #[test]
    fn retries_of_0_say_where_they_come_from() {
        let said = |from, attempts| state(&row(Some(0)), &limits(Some(5)), SetBack { from, attempts });
        assert_eq!(
            said(Some(10), Some(7)),
            "The retry counter was set to 0 after 10 failed retries. Waiting for the next retry."
        );
        assert!(said(None, Some(3)).starts_with("The retry counter was set to 0 after 3 failed retries. Waiting"));
        assert!(said(None, Some(1)).starts_with("The retry counter was set to 0 after 1 failed retry. Waiting"));
        assert_eq!(said(None, Some(0)), "Waiting for the next retry.");
    }

    #[test]
    fn a_row_that_blocks_its_feed_is_named_as_the_reason() {
        let feed = |blocking| {
            let mut feed = crate::model::samples::feed_with(3, 0, 3);
            feed.counts.blocking = blocking;
            feed
        };
        assert_eq!((blocked(None), blocked(Some(&feed(0)))), (None, None));
        let one = blocked(Some(&feed(1))).expect("a reason");
        assert!(one.starts_with("A waiting event of this feed has no time") && one.contains("that event"), "{one}");
        let more = blocked(Some(&feed(1_200))).expect("a reason");
        assert!(more.starts_with("1,200 waiting events of this feed have no time"), "{more}");
    }

    #[test]
    fn a_retry_that_has_not_come_is_said_to_be_overdue() {
        let since = chrono::DateTime::UNIX_EPOCH;
        let said = overdue("this feed", since, since + chrono::TimeDelta::hours(8));
        assert!(said.starts_with("No event of this feed was retried for 8 h."), "{said}");
    }
}
