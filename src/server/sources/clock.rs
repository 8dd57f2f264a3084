//! Conversion of times between a database's text and an instant, in both directions.
//!
//! Nothing here can panic, whatever a column or a URL contains: arithmetic is checked, and a time outside of the years
//! 1 to 9999 has a text, but no instant.

use chrono::{DateTime, Datelike, Days, FixedOffset, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

use crate::model::Stamp;

use super::schema::ColumnKind;

/// Returns the time that a database printed. A text that is not a time of the years 1 to 9999 keeps its text and has no
/// instant.
pub(super) fn stamp(zone: Tz, kind: ColumnKind, text: String) -> Stamp {
    let at = instant(zone, kind, &text).filter(|at| (1..=9999).contains(&at.year()));
    Stamp { text, at }
}

fn instant(zone: Tz, kind: ColumnKind, text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if matches!(kind, ColumnKind::Millis | ColumnKind::Written { .. })
        && let Ok(millis) = text.parse::<i64>()
    {
        return DateTime::from_timestamp_millis(millis);
    }
    let (naive, offset) = split_offset(text);
    let naive = parse(naive)?;
    match (offset, kind) {
        (Some(offset), _) => offset.from_local_datetime(&naive).single().map(|at| at.to_utc()),
        (None, ColumnKind::Instant) => Some(naive.and_utc()),
        (None, _) => Some(from_local(zone, naive)),
    }
}

/// Splits `Z`, `+05`, `+05:30` or `-0330` off the end of a time.
fn split_offset(text: &str) -> (&str, Option<FixedOffset>) {
    if let Some(naive) = text.strip_suffix(['Z', 'z']) {
        return (naive, FixedOffset::east_opt(0));
    }
    // The date's own hyphens come before the eleventh character.
    let Some(place) = text.char_indices().skip(11).find(|(_, mark)| matches!(mark, '+' | '-')).map(|(place, _)| place)
    else {
        return (text, None);
    };
    let digits: String = text[place + 1..].chars().filter(char::is_ascii_digit).collect();
    let two = |from: usize| digits.get(from..from + 2).map_or(Some(0), |part| part.parse::<i32>().ok());
    let seconds = two(0).zip(two(2)).map(|(hours, minutes)| hours * 3600 + minutes * 60);
    let sign = if text[place..].starts_with('-') { -1 } else { 1 };
    (text[..place].trim_end(), seconds.and_then(|seconds| FixedOffset::east_opt(sign * seconds)))
}

fn parse(text: &str) -> Option<NaiveDateTime> {
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.into()))
}

/// Returns the instant of a local time. A time in an hour that occurs twice means its first occurrence; a skipped time
/// is read with the offset before the clock was put forward.
pub(super) fn from_local(zone: Tz, naive: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&naive) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc(),
        LocalResult::None => {
            // No zone skips more than a day (Samoa did that once).
            let before = naive.checked_sub_days(Days::new(2)).unwrap_or(naive);
            let offset = zone.offset_from_utc_datetime(&before).fix();
            naive.checked_sub_offset(offset).unwrap_or(naive).and_utc()
        }
    }
}

/// Returns the local time in a zone at an instant.
fn local(zone: Tz, at: DateTime<Utc>) -> NaiveDateTime {
    let naive = at.naive_utc();
    naive.checked_add_offset(zone.offset_from_utc_datetime(&naive).fix()).unwrap_or(naive)
}

/// Returns the nearest time of the years 1 to 9999: not every database reads times outside of these.
fn in_bounds(naive: NaiveDateTime) -> NaiveDateTime {
    match naive.year() {
        ..1 => NaiveDate::from_ymd_opt(1, 1, 1).map_or(naive, NaiveDateTime::from),
        1..=9999 => naive,
        _ => NaiveDate::from_ymd_opt(9999, 12, 31).and_then(|day| day.and_hms_opt(23, 59, 59)).unwrap_or(naive),
    }
}

/// Returns how a column of this kind holds an instant, or the nearest instant that it can hold.
pub(super) fn key(zone: Tz, kind: ColumnKind, at: DateTime<Utc>) -> String {
    const BLANK: &str = "%Y-%m-%d %H:%M:%S%.6f";
    match kind {
        ColumnKind::Instant => in_bounds(at.naive_utc()).format(BLANK).to_string(),
        ColumnKind::Millis => at.timestamp_millis().to_string(),
        ColumnKind::Written { t, utc } => {
            let naive = in_bounds(if utc { at.naive_utc() } else { local(zone, at) });
            let form = if t { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
            // As text, `10:00:00` sorts before `10:00:00.5`; a fraction of zeros would not sort before `10:00:00`.
            let fraction = naive.format("%.6f").to_string();
            let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
            format!("{}{fraction}", naive.format(form))
        }
        _ => in_bounds(local(zone, at)).format(BLANK).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;

    const BERLIN: Tz = chrono_tz::Europe::Berlin;

    fn utc(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn a_time_without_zone_is_read_where_the_application_is() {
        let read = |text: &str| stamp(BERLIN, ColumnKind::Local, text.into()).at;
        assert_eq!(read("2026-07-01 12:00:00"), Some(utc("2026-07-01T10:00:00Z")));
        assert_eq!(read("2026-01-01 12:00:00.000001"), Some(utc("2026-01-01T11:00:00.000001Z")));
        // The hour that occurs twice: its first occurrence.
        assert_eq!(read("2026-10-25 02:30:00"), Some(utc("2026-10-25T00:30:00Z")));
        // The skipped hour: as on a clock that was not put forward.
        assert_eq!(read("2026-03-29 02:30:00"), Some(utc("2026-03-29T01:30:00Z")));
    }

    #[test]
    fn an_instant_is_not_shifted() {
        let read = |text: &str| stamp(BERLIN, ColumnKind::Instant, text.into()).at;
        assert_eq!(read("2026-07-01 12:00:00"), Some(utc("2026-07-01T12:00:00Z")));
        assert_eq!(read("2026-07-01 12:00:00.5+00"), Some(utc("2026-07-01T12:00:00.5Z")));
        assert_eq!(read("2026-07-01 12:00:00+05:30"), Some(utc("2026-07-01T06:30:00Z")));
    }

    #[test]
    fn sqlite_says_times_in_many_ways() {
        let kind = ColumnKind::Written { t: false, utc: false };
        let read = |text: &str| stamp(BERLIN, kind, text.into()).at;
        assert_eq!(read("1782907200000"), Some(utc("2026-07-01T12:00:00Z")));
        assert_eq!(read("2026-07-01T12:00:00Z"), Some(utc("2026-07-01T12:00:00Z")));
        assert_eq!(read("2026-07-01T12:00:00-0330"), Some(utc("2026-07-01T15:30:00Z")));
        assert_eq!(read("2026-07-01 12:00"), Some(utc("2026-07-01T10:00:00Z")));
        assert_eq!(read("2026-07-01"), Some(utc("2026-06-30T22:00:00Z")));
    }

    #[test]
    fn what_is_no_time_keeps_its_text() {
        for text in ["0000-00-00 00:00:00", "infinity", "-infinity", "yesterday", "", "2026-02-30 00:00:00", "ü-+"] {
            let stamp = stamp(BERLIN, ColumnKind::Local, text.into());
            assert_eq!((stamp.text.as_str(), stamp.at), (text, None));
        }
    }

    #[test]
    fn a_key_reads_back_as_the_instant_it_was_made_of() {
        let at = utc("2026-07-01T12:00:00.25Z");
        for kind in [
            ColumnKind::Instant,
            ColumnKind::Local,
            ColumnKind::Millis,
            ColumnKind::Written { t: false, utc: false },
            ColumnKind::Written { t: true, utc: false },
        ] {
            assert_eq!(instant(BERLIN, kind, &key(BERLIN, kind, at)), Some(at), "{kind:?}");
        }
    }

    #[test]
    fn the_ends_of_time_are_no_reason_to_panic() {
        let far_west = chrono_tz::America::Los_Angeles;
        let far_east = chrono_tz::Pacific::Kiritimati;
        let kinds = [
            (ColumnKind::Instant, "0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.000000"),
            (ColumnKind::Local, "0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.000000"),
            (ColumnKind::Written { t: false, utc: false }, "0001-01-01 00:00:00", "9999-12-31 23:59:59"),
        ];
        for zone in [far_west, far_east] {
            for (kind, first, last) in kinds {
                assert_eq!(key(zone, kind, DateTime::<Utc>::MIN_UTC), first, "{kind:?}");
                assert_eq!(key(zone, kind, DateTime::<Utc>::MAX_UTC), last, "{kind:?}");
            }
            for naive in [NaiveDateTime::MIN, NaiveDateTime::MAX] {
                assert!((from_local(zone, naive).naive_utc() - naive).abs() <= Duration::hours(15));
            }
        }
        // In year 1 in UTC, but before it where clocks are behind UTC.
        assert_eq!(key(far_west, ColumnKind::Local, utc("0001-01-01T00:00:00Z")), "0001-01-01 00:00:00.000000");
    }

    #[test]
    fn a_time_beyond_four_digits_of_a_year_keeps_its_text_only() {
        let kind = ColumnKind::Millis;
        for millis in [i64::MAX, 8_210_266_876_799_000, 253_402_300_800_000, -62_167_219_200_000] {
            let stamp = stamp(BERLIN, kind, millis.to_string());
            assert_eq!((stamp.text, stamp.at), (millis.to_string(), None));
        }
        assert!(stamp(BERLIN, kind, "253402300799000".into()).at.is_some());
    }

    #[test]
    fn a_whole_second_sorts_before_its_fractions_as_text() {
        let kind = ColumnKind::Written { t: true, utc: true };
        assert_eq!(key(BERLIN, kind, utc("2026-07-01T12:00:00Z")), "2026-07-01T12:00:00");
        assert!(key(BERLIN, kind, utc("2026-07-01T12:00:00Z")).as_str() < "2026-07-01T12:00:00.000Z");
    }
}
