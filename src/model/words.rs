//! Sentences, numbers and ages as people read them. Pure functions: what a page claims is decided and tested here.
//!
//! A sentence never says more than the console knows. The console sees tables, not the consumer: whether a consumer
//! runs at all, and whether a retry will succeed, it cannot know.

use chrono::{DateTime, Utc};

/// A text as markup, for the few places where Leptos 0.8 writes one into a page as it comes: the document's title, and what
/// stands in a `textarea`.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A number with separators: `1,042`.
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

/// A count with its noun: `no failed events`, `1 failed event`, `1,042 failed events`.
pub fn count(value: u64, noun: &str) -> String {
    match value {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{} {noun}s", number(value)),
    }
}

/// A number at the beginning of a sentence: `One`, `12`.
pub fn numeral(value: u64) -> String {
    const SMALL: [&str; 10] = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine"];
    let small = usize::try_from(value).ok().and_then(|index| SMALL.get(index));
    small.map_or_else(|| number(value), |word| (*word).to_owned())
}

/// A count at the beginning of a sentence: `One feed`, `12 feeds`.
pub fn count_first(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", numeral(value), if value == 1 { "" } else { "s" })
}

/// Several things in a sentence: `a`, `a and b`, `a, b and c`.
pub fn listed(parts: impl IntoIterator<Item = String>) -> String {
    let mut parts: Vec<String> = parts.into_iter().collect();
    match parts.pop() {
        Some(last) if !parts.is_empty() => format!("{} and {last}", parts.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// The time between two runs, which may be shorter than a second: `0.75 s`, `6 s`, `2 min`.
pub fn interval(seconds: f64) -> String {
    if seconds >= 120.0 {
        return format!("{:.0} min", seconds / 60.0);
    }
    let text = format!("{seconds:.2}");
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A span of time in its largest unit: `4 s`, `12 min`, `3 h`, `9 d`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", number(seconds / 86_400)),
    }
}

/// How long before (or after) `now` an instant is: `just now`, `4 s ago`, `in 3 min`. Older than 60 days: the date.
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    let distance = seconds.unsigned_abs();
    if distance > 60 * 86_400 {
        at.format("%-d %b %Y").to_string()
    } else if distance == 0 {
        "just now".to_owned()
    } else if seconds > 0 {
        format!("{} ago", span(distance))
    } else {
        format!("in {}", span(distance))
    }
}

/// An instant in full: `23 Nov 2026, 14:05:06 UTC`.
pub fn instant(at: DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M:%S UTC").to_string()
}

/// A long text shortened in the middle to at most `keep` characters: where it begins, what is left out, how it ends.
/// Ids and addresses differ at both ends, so both stay.
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
        assert_eq!(count_first(1, "feed"), "One feed");
        assert_eq!(count_first(9, "feed"), "Nine feeds");
        assert_eq!(count_first(10, "feed"), "10 feeds");
    }

    #[test]
    fn things_are_listed_as_in_a_sentence() {
        let of = |parts: &[&str]| listed(parts.iter().map(|part| (*part).to_owned()));
        assert_eq!(of(&[]), "");
        assert_eq!(of(&["a"]), "a");
        assert_eq!(of(&["a", "b"]), "a and b");
        assert_eq!(of(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn ages_are_told_in_their_largest_unit() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for (seconds, text) in [
            (0, "just now"),
            (4, "4 s ago"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (7_199, "119 min ago"),
            (7_200, "2 h ago"),
            (86_400, "24 h ago"),
            (172_800, "2 d ago"),
            (-90, "in 1 min"),
        ] {
            assert_eq!(ago(now - TimeDelta::seconds(seconds), now), text, "{seconds} s");
        }
        assert_eq!(ago(now - TimeDelta::days(61), now), "15 Nov 2026");
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
