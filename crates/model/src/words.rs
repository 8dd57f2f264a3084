//! Sentences, numbers and ages as people read them. Pure functions: what a page claims is decided and tested here.
//!
//! A sentence never says more than the console knows. The console sees tables, not the consumer: it cannot know whether
//! a consumer runs at all, nor whether a retry will succeed.

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};

/// Whether times use the 24-hour or the 12-hour clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    #[default]
    H24,
    H12,
}

impl Clock {
    pub const ALL: [Clock; 2] = [Clock::H24, Clock::H12];

    /// Returns the word that is stored and sent.
    pub fn word(self) -> &'static str {
        match self {
            Clock::H24 => "24",
            Clock::H12 => "12",
        }
    }

    /// Returns the label that people read.
    pub fn label(self) -> &'static str {
        match self {
            Clock::H24 => "24 hours (17:06)",
            Clock::H12 => "12 hours (5:06 pm)",
        }
    }
}

/// Escapes a text for HTML, for the few places where Leptos 0.8 writes one into a page unescaped: the document's title,
/// and the content of a `textarea`.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns a text with its first letter in upper case.
pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// Returns a number with separators: `1,042`.
pub fn number(value: impl Into<i128>) -> String {
    let value: i128 = value.into();
    let digits = value.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0 {
        out.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns a count with its noun: `no failed events`, `1 failed event`, `1,042 failed events`.
pub fn count(value: u64, noun: &str) -> String {
    match value {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{} {noun}s", number(value)),
    }
}

/// Returns a count for the beginning of a sentence: `No feeds`, `1 feed`, `12 feeds`.
pub fn count_first(value: u64, noun: &str) -> String {
    match value {
        0 => format!("No {noun}s"),
        _ => count(value, noun),
    }
}

/// Returns several things as in a sentence: `a`, `a and b`, `a, b and c`.
pub fn listed(parts: impl IntoIterator<Item = String>) -> String {
    let mut parts: Vec<String> = parts.into_iter().collect();
    match parts.pop() {
        Some(last) if !parts.is_empty() => format!("{} and {last}", parts.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// Returns the time between two runs, which may be shorter than a second: `0.75 s`, `6 s`, `2 min`.
pub fn interval(seconds: f64) -> String {
    if seconds >= 120.0 {
        return format!("{:.0} min", seconds / 60.0);
    }
    let text = format!("{seconds:.2}");
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Returns a span of time, rounded, in the unit that people would choose: `90 s`, `12 min`, `2 h` (from 90 minutes on),
/// `9 days` (from 2 days on). Used for all ages, waits, intervals and estimates, so that no two places write the same
/// span differently.
pub fn span(seconds: u64) -> String {
    let rounded = |unit: u64| seconds.saturating_add(unit / 2) / unit;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..5_400 => format!("{} min", rounded(60)),
        5_400..172_800 => format!("{} h", rounded(3_600)),
        _ => format!("{} days", number(rounded(86_400))),
    }
}

/// An instant as a local clock shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    pub at: NaiveDateTime,
    /// Minutes that the clock is ahead of UTC.
    pub offset: i32,
}

impl Local {
    pub fn utc(at: DateTime<Utc>) -> Self {
        Self { at: at.naive_utc(), offset: 0 }
    }

    /// Returns the seconds since 1970, in UTC.
    fn seconds(&self) -> i64 {
        self.at.and_utc().timestamp() - i64::from(self.offset) * 60
    }
}

/// Written out instead of using chrono's formatting, which would enlarge the browser's module.
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn month(at: &NaiveDateTime) -> &'static str {
    MONTHS.get(at.month0() as usize).copied().unwrap_or_default()
}

/// Returns the time of day: `17:06`, `5:06 pm`.
pub fn time_of_day(local: Local, clock: Clock) -> String {
    let (hour, minute) = (local.at.hour(), local.at.minute());
    match clock {
        Clock::H24 => format!("{hour:02}:{minute:02}"),
        Clock::H12 => {
            let half = if hour < 12 { "am" } else { "pm" };
            format!("{}:{minute:02} {half}", (hour + 11) % 12 + 1)
        }
    }
}

/// Returns an instant, short: `29 Nov 02:56`; with the year if it is not the present one.
pub fn moment(local: Local, now: Local, clock: Clock) -> String {
    let year = if local.at.year() == now.at.year() { String::new() } else { format!(" {}", local.at.year()) };
    format!("{} {}{year} {}", local.at.day(), month(&local.at), time_of_day(local, clock))
}

/// Returns an instant in full: `Sun 29 Nov 2026, 02:56:25 UTC+5:30`.
pub fn in_full(local: Local, clock: Clock) -> String {
    let at = local.at;
    let time = match clock {
        Clock::H24 => format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second()),
        Clock::H12 => {
            let (time, half) = (time_of_day(local, clock), if at.hour() < 12 { " am" } else { " pm" });
            format!("{}:{:02}{half}", time.trim_end_matches(half), at.second())
        }
    };
    format!("{} {}, {time} {}", at.weekday(), date(&at), zone(local))
}

/// Returns an instant for a sentence, to the minute: `29 Nov 2026, 02:56`; with ` UTC+5:30` if `named`.
pub fn in_sentence(local: Local, clock: Clock, named: bool) -> String {
    let zone = if named { format!(" {}", zone(local)) } else { String::new() };
    format!("{}, {}{zone}", date(&local.at), time_of_day(local, clock))
}

fn date(at: &NaiveDateTime) -> String {
    format!("{} {} {}", at.day(), month(at), at.year())
}

/// Returns the clock's distance from UTC: `UTC`, `UTC+5:30`.
fn zone(local: Local) -> String {
    match (local.offset.unsigned_abs() / 60, local.offset.unsigned_abs() % 60) {
        (0, 0) => "UTC".to_owned(),
        (hours, minutes) => {
            let sign = if local.offset < 0 { '-' } else { '+' };
            let minutes = if minutes == 0 { String::new() } else { format!(":{minutes:02}") };
            format!("UTC{sign}{hours}{minutes}")
        }
    }
}

/// Returns how long before (or after) `now` an instant is: `just now`, `4 s ago`, `2 h ago`, `yesterday 17:06`; if
/// older: the instant.
pub fn ago(local: Local, now: Local, clock: Clock) -> String {
    /// Below this, hours say more than "yesterday".
    const NIGHT: u64 = 6 * 3_600;
    let seconds = now.seconds() - local.seconds();
    let distance = seconds.unsigned_abs();
    let words = match distance {
        0 => return "just now".to_owned(),
        1..60 => format!("{distance} s"),
        60..3_600 => format!("{} min", distance / 60),
        3_600..86_400 => format!("{} h", distance / 3_600),
        _ => String::new(),
    };
    let days = now.at.date().signed_duration_since(local.at.date()).num_days();
    match (seconds > 0, days) {
        (true, 0) if !words.is_empty() => format!("{words} ago"),
        (true, _) if distance < NIGHT => format!("{words} ago"),
        (true, 1) => format!("yesterday {}", time_of_day(local, clock)),
        (false, _) if !words.is_empty() => format!("in {words}"),
        _ => moment(local, now, clock),
    }
}

/// Shortens a long text in the middle to at most `keep` characters: its beginning, the omitted part, and its end. Ids
/// and addresses differ at both ends, so both remain.
pub fn middle(text: &str, keep: usize) -> Option<(&str, &str, &str)> {
    let length = text.chars().count();
    if length <= keep {
        return None;
    }
    let tail = keep / 2;
    let place = |chars: usize| text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
    let (from, until) = (place(keep - tail - 1), place(length - tail));
    Some((&text[..from], &text[from..until], &text[until..]))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn numbers_have_separators() {
        for (value, text) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567"), (100_000, "100,000")]
        {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn nouns_follow_their_number() {
        assert_eq!(count(0, "failed event"), "no failed events");
        assert_eq!(count(1, "failed event"), "1 failed event");
        assert_eq!(count(1042, "failed event"), "1,042 failed events");
        assert_eq!(count_first(1, "feed"), "1 feed");
        assert_eq!(count_first(0, "feed"), "No feeds");
        assert_eq!(count_first(1_042, "feed"), "1,042 feeds");
    }

    #[test]
    fn spans_are_said_as_people_say_them() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (149, "2 min"),
            (5_399, "90 min"),
            (5_400, "2 h"),
            (7_199, "2 h"),
            (9_000, "3 h"),
            (172_799, "48 h"),
            (172_800, "2 days"),
            (u64::MAX, "213,503,982,334,601 days"),
        ] {
            assert_eq!(span(seconds), text, "{seconds} s");
        }
    }

    #[test]
    fn things_are_listed_as_in_a_sentence() {
        let of = |parts: &[&str]| listed(parts.iter().map(|part| (*part).to_owned()));
        assert_eq!(of(&[]), "");
        assert_eq!(of(&["a"]), "a");
        assert_eq!(of(&["a", "b"]), "a and b");
        assert_eq!(of(&["a", "b", "c"]), "a, b and c");
    }

    /// A time of a clock that is five and a half hours ahead.
    fn kolkata(text: &str) -> Local {
        Local { at: NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap(), offset: 330 }
    }

    #[test]
    fn ages_are_told_in_their_largest_unit_and_as_days_of_the_reader() {
        let now = kolkata("2026-11-29 21:38:00");
        for (at, text) in [
            ("2026-11-29 21:38:00", "just now"),
            ("2026-11-29 21:37:56", "4 s ago"),
            ("2026-11-29 21:37:00", "1 min ago"),
            ("2026-11-29 20:38:01", "59 min ago"),
            ("2026-11-29 19:39:00", "1 h ago"),
            ("2026-11-29 00:10:00", "21 h ago"),
            ("2026-11-28 23:59:59", "yesterday 23:59"),
            ("2026-11-28 00:00:00", "yesterday 00:00"),
            ("2026-11-27 17:06:00", "27 Nov 17:06"),
            ("2025-11-29 21:38:00", "29 Nov 2025 21:38"),
            ("2026-11-29 21:39:30", "in 1 min"),
            ("2026-11-30 20:38:00", "in 23 h"),
            ("2026-12-30 20:38:00", "30 Dec 20:38"),
        ] {
            assert_eq!(ago(kolkata(at), now, Clock::H24), text, "{at}");
        }
        let night = kolkata("2026-11-29 01:00:00");
        assert_eq!(ago(kolkata("2026-11-28 23:30:00"), night, Clock::H24), "1 h ago");
        assert_eq!(ago(kolkata("2026-11-28 17:06:00"), night, Clock::H12), "yesterday 5:06 pm");
        // The same instant, in two zones.
        let utc = Local { at: kolkata("2026-11-29 02:56:25").at - TimeDelta::minutes(330), offset: 0 };
        assert_eq!(ago(utc, kolkata("2026-11-29 02:56:29"), Clock::H24), "4 s ago");
    }

    #[test]
    fn an_instant_is_short_in_the_text_and_whole_on_hover() {
        let (at, now) = (kolkata("2026-11-29 02:56:25"), kolkata("2026-12-01 00:00:00"));
        assert_eq!(moment(at, now, Clock::H24), "29 Nov 02:56");
        assert_eq!(moment(at, kolkata("2027-01-01 00:00:00"), Clock::H24), "29 Nov 2026 02:56");
        assert_eq!(in_full(at, Clock::H24), "Sun 29 Nov 2026, 02:56:25 UTC+5:30");
        assert_eq!(in_full(at, Clock::H12), "Sun 29 Nov 2026, 2:56:25 am UTC+5:30");
        assert_eq!(in_full(Local { offset: -180, ..at }, Clock::H24), "Sun 29 Nov 2026, 02:56:25 UTC-3");
        assert_eq!(in_full(Local { offset: 0, ..at }, Clock::H24), "Sun 29 Nov 2026, 02:56:25 UTC");
        assert_eq!(time_of_day(kolkata("2026-11-29 00:05:00"), Clock::H12), "12:05 am");
        assert_eq!(time_of_day(kolkata("2026-11-29 12:05:00"), Clock::H12), "12:05 pm");
    }

    #[test]
    fn shortening_keeps_both_ends_and_loses_nothing() {
        let id = "tag:atomfeed.ict4h.org:be4d353b-ac7b-4ee5-a5ac-1ca2f4b4d8e2";
        let (head, mid, tail) = middle(id, 24).unwrap();
        assert_eq!(format!("{head}{mid}{tail}"), id);
        assert_eq!((head, tail), ("tag:atomfee", "1ca2f4b4d8e2"));
        assert_eq!(middle("short", 24), None);
        let (head, mid, tail) = middle("äöü€äöü€äöü€", 6).unwrap();
        assert_eq!((head, mid, tail), ("äö", "ü€äöü€ä", "öü€"));
    }
}
