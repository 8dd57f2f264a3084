//! A failed event: a row of `failed_events`, its state, and its rows in `failed_event_retry_log`.

use std::{fmt, str::FromStr};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Limits, Obstacle, Stamp,
    error_text::{headline, visible},
    record::RecordRef,
};

/// The `id` of a row in a source. Wide enough for MySQL's `bigint unsigned` and PostgreSQL's `numeric(10,0)`.
///
/// A string in JSON: a browser's numbers are exact only up to 2^53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub i128);

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RowId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(RowId)
    }
}

impl Serialize for RowId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RowId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Identifies a failed event: the application's key and the row's id. Event ids repeat across feeds and cannot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventKey {
    pub app: String,
    pub id: RowId,
}

/// The state of a failed event that is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventState {
    /// retries < maxRetry: the consumer will retry it by itself.
    Waiting,
    /// retries >= maxRetry: not retried until a user requests it.
    Exhausted,
    /// The table has no `retries` column, or it is NULL.
    Unknown,
}

impl EventState {
    /// Returns the state. `None` for `retries` is SQL NULL or a missing column. Without a maxRetry no job retries:
    /// exhausted.
    pub fn of(retries: Option<i64>, limits: &Limits) -> Self {
        match (retries, limits.max_retry) {
            (None, _) => EventState::Unknown,
            (Some(_), None) => EventState::Exhausted,
            (Some(retries), Some(max)) if retries < max => EventState::Waiting,
            (Some(_), Some(_)) => EventState::Exhausted,
        }
    }
}

/// A failed event as a list shows it: the long texts are cut by the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedEventRow {
    pub app: String,
    pub id: RowId,
    pub feed_uri: Option<String>,
    /// When it first failed; if [`FailedEventRow::moves`], when its row was last changed.
    pub failed_at: Option<Stamp>,
    /// The beginning of the first error (300 characters in lists).
    pub error: Option<String>,
    pub event_id: Option<String>,
    /// The beginning of the payload (300 characters in lists).
    pub payload: Option<String>,
    pub title: Option<String>,
    pub retries: Option<i64>,
    pub tags: Option<String>,
    pub state: EventState,
    /// Whether the database rewrites `failed_at` with every change of the row (MySQL: ON UPDATE CURRENT_TIMESTAMP).
    #[serde(default)]
    pub moves: bool,
    /// What the ledger knows of its first sight.
    #[serde(default)]
    pub first_sight: Option<FirstSight>,
    /// The newest failed retry of its present failure. `None` if none is known, and the first error is the latest.
    #[serde(default)]
    pub latest: Option<Latest>,
    /// What the innermost cause of its latest error says, if more of the error was read than is here.
    #[serde(default)]
    pub cause: Option<String>,
    /// Its group and its failed retries, as far as the ledger knows them.
    #[serde(default)]
    pub known: Option<KnownOf>,
    /// In a search: the part of its texts that matches, if its cause does not show the match.
    #[serde(default)]
    pub quote: Option<String>,
    /// What people call its record, as far as the reader may know it: `GAN203007 · Consultation`.
    #[serde(default)]
    pub called: Option<String>,
    /// The key of the application that its record belongs to, and the record; `None` if unknown.
    #[serde(default)]
    pub of_record: Option<(String, RecordRef)>,
}

/// What the ledger knows of a failed event in addition to its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownOf {
    /// The group of its latest error.
    pub group: i64,
    /// Number of failed retries that were seen.
    pub attempts: u64,
}

/// A failed retry as a list knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latest {
    pub failed_at: Option<Stamp>,
    /// The beginning of its error, as long as that of the first one.
    pub error: Option<String>,
}

impl FailedEventRow {
    /// Returns why no retry helps this event; `None` if a retry takes effect.
    pub fn obstacle(&self) -> Option<Obstacle> {
        Obstacle::in_columns(self.feed_uri.as_deref(), self.failed_at.as_ref())
    }

    /// Returns the latest error: of the newest failed retry, or the first one if no retry has a recorded error.
    pub fn latest_error(&self) -> Option<&str> {
        self.latest.as_ref().and_then(|latest| latest.error.as_deref()).or(self.error.as_deref())
    }

    /// Returns when the latest error occurred.
    pub fn latest_at(&self) -> Option<&Stamp> {
        match &self.latest {
            Some(latest) => latest.failed_at.as_ref(),
            None => self.failed_at.as_ref(),
        }
    }

    /// Returns when it first failed. If `failed_at` moves, the first sight is closer to that, if it was earlier.
    pub fn failed_since(&self) -> FailedSince {
        let at = self.failed_at.as_ref().and_then(|stamp| stamp.at);
        match self.first_sight {
            _ if !self.moves || self.failed_at.as_ref().is_none_or(Stamp::is_no_date) => {
                FailedSince::First(self.failed_at.clone())
            }
            Some(seen) if at.is_none_or(|at| seen.at < at) => seen.failed_since(),
            _ => FailedSince::Changed(self.failed_at.clone()),
        }
    }

    /// Returns what the innermost cause of the latest error says in one sentence, made visible; never empty.
    pub fn says(&self) -> String {
        self.cause.clone().unwrap_or_else(|| says(self.latest_error()))
    }

    /// Returns the texts by which a list shows it, and its title, which can be shown in plainer words.
    pub fn shown_in_lists(&self) -> Vec<String> {
        let naming = self.naming();
        let title = self.title.clone().unwrap_or_default();
        vec![self.says(), naming.kind(), naming.id().unwrap_or_default(), title]
    }

    /// Returns from when on failed retries of its event belong to its present failure: see [`present_since`].
    /// `first_sight`: when the ledger first saw the row, or its `failed_at` at that time.
    pub fn present_since(&self, first_sight: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        present_since(self.failed_at.as_ref().and_then(|stamp| stamp.at), self.moves, first_sight)
    }

    /// Returns which failed retries of its event belong to its present failure, in the order of `newest_first`: see
    /// [`present_attempts`]. `since`: as [`FailedEventRow::present_since`] returns it.
    pub fn present_attempts(
        &self,
        since: Option<DateTime<Utc>>,
        newest_first: &[Option<DateTime<Utc>>],
    ) -> impl Iterator<Item = bool> {
        let by_time = newest_first.iter().map(move |at| (since.zip(*at).is_none_or(|(since, at)| at >= since), *at));
        present_attempts(self.moves, self.retries, since, newest_first.len() as u64, by_time)
    }
}

/// The earliest time at which the ledger knows a row to have been a failed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstSight {
    pub at: DateTime<Utc>,
    /// It is the `failed_at` that the row had when it was first seen, not the time of the first sight.
    pub of_row: bool,
}

impl FirstSight {
    /// `failed_at`: the value at first sight, if that was a date. `seen_at`: the time of the first sight.
    pub fn of(failed_at: Option<DateTime<Utc>>, seen_at: DateTime<Utc>) -> Self {
        match failed_at.filter(|at| *at <= seen_at) {
            Some(at) => Self { at, of_row: true },
            None => Self { at: seen_at, of_row: false },
        }
    }

    /// Returns what the time means where the database does not keep the first failure.
    pub fn failed_since(self) -> FailedSince {
        if self.of_row { FailedSince::ChangedBefore(self.at) } else { FailedSince::Seen(self.at) }
    }
}

/// When a failed event first failed, as far as that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FailedSince {
    /// Its first failure.
    First(Option<Stamp>),
    /// The database does not keep the first failure; the console first saw it failed at this time.
    Seen(DateTime<Utc>),
    /// The database does not keep the first failure: this was the last change of its row when the console first saw
    /// it.
    ChangedBefore(DateTime<Utc>),
    /// The database does not keep the first failure: this is the last change of its row.
    Changed(Option<Stamp>),
}

impl FailedSince {
    /// Returns what the time means.
    pub fn word(&self) -> &'static str {
        match self {
            FailedSince::First(_) => "first failed",
            FailedSince::Seen(_) => "first seen",
            FailedSince::ChangedBefore(_) => "last change when first seen",
            FailedSince::Changed(_) => "last changed",
        }
    }

    pub fn at(&self) -> Option<DateTime<Utc>> {
        match self {
            FailedSince::Seen(at) | FailedSince::ChangedBefore(at) => Some(*at),
            FailedSince::First(stamp) | FailedSince::Changed(stamp) => stamp.as_ref()?.at,
        }
    }
}

/// Returns what the innermost cause of an error says in one sentence, made visible; never empty. Lists, pages and
/// exports all name an error by this.
pub fn says(error: Option<&str>) -> String {
    let said = error.map(headline).unwrap_or_default();
    if said.trim().is_empty() { "No error text".to_owned() } else { visible(&said) }
}

/// How long before the last change of a row the failed retry that changed it can have been logged: the consumer reads
/// the time of the log entry from its own clock, before it writes; the database sets the time of the change.
const LOGGED_BEFORE: TimeDelta = TimeDelta::seconds(60);

/// Returns from when on failed retries of an event belong to the present failure of a row. Earlier ones belong to an
/// earlier failure of the same event, whose row was deleted while its retry log remained. `None` if that is not known,
/// and all of them count.
///
/// `moves`: `failed_at` is the time of the last change. Then only the time that the row had when it was first seen is
/// conclusive.
pub fn present_since(
    failed_at: Option<DateTime<Utc>>,
    moves: bool,
    first_sight: Option<DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    let failed_at = failed_at?;
    if moves {
        return first_sight.map_or(failed_at, |seen| seen.min(failed_at)).checked_sub_signed(LOGGED_BEFORE);
    }
    // One of the two columns may have no fractions of a second.
    Some(failed_at.trunc_subsecs(0))
}

/// The longest pause between two failed retries of one failure. Where times do not decide, an older retry belongs to an
/// earlier failure.
const LONGEST_PAUSE: TimeDelta = TimeDelta::days(30);

/// Returns which failed retries of an event belong to the present failure of its row, in the order of `newest_first`:
/// each with whether it does by its time ([`present_since`]), and its time. `logged`: how many there are in the log.
///
/// If `failed_at` does not move, the time decides. If it moves, the row may have been retried long before it was first
/// seen. The consumer adds one to `retries` with every failed retry that it logs: so as many of the newest ones belong
/// to it as the row counts, up to a pause of more than 30 days: what was logged before such a pause belongs
/// to an earlier failure. The row may also have been changed by another client since, so that even the newest retry is
/// older; but then the log has them all. If the log has fewer than the row counts, and the newest is not present by its
/// time, all belong to an earlier failure: the last retry would have been logged when it moved the time.
pub fn present_attempts(
    moves: bool,
    retries: Option<i64>,
    since: Option<DateTime<Utc>>,
    logged: u64,
    newest_first: impl IntoIterator<Item = (bool, Option<DateTime<Utc>>)>,
) -> impl Iterator<Item = bool> {
    let retries = retries.and_then(|retries| u64::try_from(retries).ok()).filter(|_| moves).unwrap_or_default();
    let mut counted = None;
    let mut next = since;
    (0..).zip(newest_first).map(move |(newer, (by_time, at))| {
        let counted = counted.get_or_insert(if by_time || logged >= retries { retries } else { 0 });
        if next.zip(at).is_some_and(|(next, at)| next - at > LONGEST_PAUSE) {
            *counted = 0;
        }
        next = at.or(next);
        by_time || newer < *counted
    })
}

/// A failed event as its own page shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedEvent {
    /// With the texts cut at [`FailedEvent::TEXT_LIMIT`] characters.
    pub row: FailedEventRow,
    /// The whole length of error and payload, in characters.
    pub error_chars: u64,
    pub payload_chars: u64,
    pub error_hash_code: Option<i64>,
    /// The failed retries of its present failure, oldest first; only the newest [`FailedEvent::ATTEMPT_LIMIT`].
    pub attempts: super::Availability<Vec<Attempt>>,
    /// Their total number.
    pub attempts_total: u64,
    /// Failed retries in the retry log that belong to an earlier failure of the same event, oldest first; only the
    /// newest [`FailedEvent::EARLIER_LIMIT`].
    pub earlier: Vec<Attempt>,
    /// Their total number.
    pub earlier_total: u64,
}

impl FailedEvent {
    /// The most characters of error text and payload on a page; the whole can be downloaded.
    pub const TEXT_LIMIT: u32 = 64 * 1024;
    /// The same for an attempt's error, except the latest one. The consumers cut at 4,000.
    pub const ATTEMPT_TEXT_LIMIT: u32 = 16 * 1024;
    /// The most attempts on a page.
    pub const ATTEMPT_LIMIT: u32 = 50;
    /// The most attempts of earlier failures on a page.
    pub const EARLIER_LIMIT: u32 = 10;

    /// Returns the newest failed retry of its present failure: its error is the latest one.
    pub fn latest(&self) -> Option<&Attempt> {
        self.attempts.here().and_then(|attempts| attempts.last())
    }
}

/// A row of `failed_event_retry_log`: a retry that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub id: RowId,
    /// As logged; differs from the failed event's if host names were rewritten later.
    pub feed_uri: Option<String>,
    pub failed_at: Option<Stamp>,
    /// Cut at [`FailedEvent::TEXT_LIMIT`] characters.
    pub error: Option<String>,
    /// Whether the error has more than that; the whole can be downloaded.
    #[serde(default)]
    pub error_cut: bool,
    pub event_id: Option<String>,
    /// Not read for a page, which does not show it.
    pub payload: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<DateTime<Utc>> {
        Some(DateTime::parse_from_rfc3339(text).expect("a time").to_utc())
    }

    #[test]
    fn what_was_tried_before_the_first_failure_is_of_an_earlier_one() {
        assert_eq!(present_since(at("2026-11-26T10:00:00.7Z"), false, None), at("2026-11-26T10:00:00Z"));
        // The ledger may have seen the row later, or an older one with this id: failed_at itself decides.
        assert_eq!(
            present_since(at("2026-11-26T10:00:00Z"), false, at("2026-11-01T00:00:00Z")),
            at("2026-11-26T10:00:00Z")
        );
        assert_eq!(present_since(None, false, at("2026-11-01T00:00:00Z")), None);
        assert_eq!(present_since(None, true, None), None);
    }

    #[test]
    fn a_time_that_moves_is_not_called_the_first_failure() {
        let stamp = at("2026-11-26T10:00:00Z").map(Stamp::of);
        let row = FailedEventRow {
            failed_at: stamp.clone(),
            error: Some("first".into()),
            retries: Some(1),
            state: EventState::Waiting,
            first_sight: Some(FirstSight { at: at("2026-11-01T00:00:00Z").expect("a time"), of_row: false }),
            ..crate::samples::failed_event()
        };
        assert_eq!(row.failed_since(), FailedSince::First(stamp.clone()));
        let moving = FailedEventRow { moves: true, ..row.clone() };
        assert_eq!(moving.failed_since(), FailedSince::Seen(at("2026-11-01T00:00:00Z").expect("a time")));
        let seen_at = at("2026-11-26T10:00:00Z").expect("a time");
        let late = FailedEventRow { first_sight: Some(FirstSight::of(None, seen_at)), ..moving.clone() };
        assert_eq!(late.failed_since(), FailedSince::Changed(stamp));
        let changed = FirstSight::of(at("2026-11-01T00:00:00Z"), seen_at);
        let moved = FailedEventRow { first_sight: Some(changed), ..moving.clone() };
        assert_eq!(moved.failed_since(), FailedSince::ChangedBefore(changed.at));
        // A clock that is ahead.
        assert_eq!(FirstSight::of(at("2026-11-27T00:00:00Z"), seen_at).failed_since(), FailedSince::Seen(seen_at));
        assert_eq!(FailedEventRow { first_sight: None, ..moving }.failed_since().word(), "last changed");
        // A row is named by its latest error.
        assert_eq!((row.says().as_str(), row.latest_error()), ("first", Some("first")));
        let again = FailedEventRow { latest: Some(Latest { failed_at: None, error: Some("again".into()) }), ..row };
        assert_eq!((again.says().as_str(), again.latest_error()), ("again", Some("again")));
    }

    /// Returns how many of these retries, newest first, belong to the failure of a row of 26 November.
    fn present(moves: bool, retries: Option<i64>, newest_first: &[&str]) -> usize {
        let row = FailedEventRow {
            failed_at: at("2026-11-26T10:00:00Z").map(Stamp::of),
            moves,
            retries,
            ..crate::samples::failed_event()
        };
        let times: Vec<_> = newest_first.iter().map(|text| at(text)).collect();
        row.present_attempts(row.present_since(None), &times).filter(|present| *present).count()
    }

    const RETRIED: [&str; 5] = [
        "2026-11-26T10:00:00Z",
        "2026-11-26T09:00:00Z",
        "2026-11-26T08:00:00Z",
        "2026-11-10T07:00:00Z",
        "2026-11-09T07:00:00Z",
    ];

    #[test]
    fn where_the_time_moves_as_many_of_the_newest_retries_count_as_the_row_says() {
        for (moves, retries, number) in [
            (true, Some(5), 5),
            (true, Some(9), 5),
            (true, Some(3), 3),
            (true, Some(0), 1),
            (true, Some(-1), 1),
            (true, None, 1),
            (false, Some(5), 1),
        ] {
            assert_eq!(present(moves, retries, &RETRIED), number, "{moves} {retries:?}");
        }
    }

    #[test]
    fn fewer_retries_than_the_row_counts_are_of_an_earlier_failure_unless_the_newest_is_of_its_time() {
        // Another client moved the time.
        assert_eq!(present(true, Some(4), &RETRIED[1..]), 4);
        assert_eq!(present(true, Some(3), &RETRIED[1..]), 3);
        for logged in [1, 4] {
            assert_eq!(present(true, Some(5), &RETRIED[1..=logged]), 0);
        }
        // The log was shortened.
        assert_eq!(present(true, Some(5), &RETRIED[..1]), 1);
    }

    #[test]
    fn what_was_tried_long_before_the_following_retry_is_of_an_earlier_failure() {
        let old = ["2025-06-01T03:00:00Z", "2025-06-01T02:00:00Z", "2025-06-01T01:00:00Z", "2025-06-01T00:00:00Z"];
        let with_old = |fresh: usize| [&RETRIED[..fresh], &old[..]].concat();
        for (retries, fresh) in [(Some(10), 1), (Some(3), 1), (Some(4), 0), (Some(2), 0), (Some(9), 5), (Some(5), 3)] {
            assert_eq!(present(true, retries, &with_old(fresh)), fresh, "{retries:?}");
        }
        // Also if the times of later ones are equally old, as after an older log was restored.
        let restored = [&RETRIED[..1], &old[..1], &RETRIED[1..2], &old[1..2]].concat();
        assert_eq!(present(true, Some(4), &restored), 1);
    }

    #[test]
    fn where_the_time_moves_with_every_change_the_first_sight_tells() {
        assert_eq!(
            present_since(at("2026-11-26T10:00:00Z"), true, at("2026-11-01T00:01:00Z")),
            at("2026-11-01T00:00:00Z")
        );
        assert_eq!(
            present_since(at("2026-11-26T10:00:00Z"), true, at("2026-11-27T00:00:00Z")),
            at("2026-11-26T09:59:00Z")
        );
        assert_eq!(present_since(at("2026-11-26T10:00:00Z"), true, None), at("2026-11-26T09:59:00Z"));
    }
}
