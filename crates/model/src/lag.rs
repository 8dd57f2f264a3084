//! How far a consumer is behind its publisher, and where that leads at the present pace. Pure functions.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Reader, RowId,
    words::{count, number, span, time_of_day},
};

/// How far the consumer of a feed is behind its publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// The event read last, in the publisher's table.
    pub read_to: RowId,
    /// Events of the feed after it.
    pub unread: u64,
    /// They were not counted to the end: there are more.
    pub more: bool,
    /// When the oldest of them was published, if that is known.
    pub since: Option<DateTime<Utc>>,
    /// When this was counted.
    pub at: DateTime<Utc>,
}

/// What was measured of a feed at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LagSample {
    pub at: DateTime<Utc>,
    /// Unread events; `None` if they were not known.
    pub unread: Option<u64>,
    /// How old the oldest unread event was, in seconds.
    pub age_secs: Option<u64>,
    /// Failed events.
    pub failed: u64,
}

/// Where the lag and the failed events of a feed lead at the present pace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// Change of the number of unread events, per hour.
    pub unread_per_hour: Option<i64>,
    /// When nothing is unread any more.
    pub level_at: Option<DateTime<Utc>>,
    /// When there are as many failed events as stop the feed.
    pub limit_at: Option<DateTime<Utc>>,
}

/// A forecast is made from the samples of this time, if they cover at least a part of it.
pub const WINDOW: TimeDelta = TimeDelta::hours(1);
const LEAST: TimeDelta = TimeDelta::minutes(4);
const FEWEST: usize = 4;

/// A forecast beyond this says nothing.
const HORIZON: TimeDelta = TimeDelta::days(3);

impl Lag {
    /// Returns how old the oldest unread event is at a time; `None` if nothing is unread, or its time is not known.
    pub fn age(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        self.since.filter(|_| self.unread > 0).map(|since| (now - since).max(TimeDelta::zero()))
    }

    /// Returns it in a few words: `level`, `12 events behind, 4 min`, `20,000 events or more behind`.
    pub fn in_short(&self, now: DateTime<Utc>) -> String {
        if self.unread == 0 {
            return "level".to_owned();
        }
        let more = if self.more { " or more" } else { "" };
        let age = self.age(now).and_then(|age| u64::try_from(age.num_seconds()).ok());
        let age = age.map(|secs| format!(", {}", span(secs))).unwrap_or_default();
        format!("{}{more} behind{age}", count(self.unread, "event"))
    }
}

impl Forecast {
    /// Returns the forecast from samples, oldest first, for a feed that this many failed events stop.
    pub fn of(samples: &[LagSample], limit: Option<u64>) -> Self {
        let Some(last) = samples.last() else { return Self::default() };
        let recent: Vec<&LagSample> = samples.iter().filter(|sample| last.at - sample.at <= WINDOW).collect();
        let per_second = |of: &dyn Fn(&LagSample) -> Option<u64>| {
            let points: Vec<(f64, f64)> = recent
                .iter()
                .filter_map(|sample| Some(((sample.at - last.at).as_seconds_f64(), of(sample)? as f64)))
                .collect();
            slope(&points)
        };
        let ahead = |events: u64, rate: f64| {
            let seconds = events as f64 / rate;
            (seconds <= HORIZON.as_seconds_f64()).then(|| last.at + TimeDelta::seconds(seconds.round() as i64))
        };
        let unread = per_second(&|sample| sample.unread);
        let level_at = match (last.unread, unread) {
            (Some(events), Some(rate)) if events > 0 && rate < 0.0 => ahead(events, -rate),
            _ => None,
        };
        let failing = per_second(&|sample| Some(sample.failed)).filter(|rate| *rate > 0.0);
        let room = limit.and_then(|limit| limit.checked_sub(last.failed)).filter(|room| *room > 0);
        let limit_at = failing.zip(room).and_then(|(rate, room)| ahead(room, rate));
        Self { unread_per_hour: unread.map(|rate| (rate * 3600.0).round() as i64), level_at, limit_at }
    }

    /// Returns the trend in a few words; `None` if it is not known, or nothing changes.
    pub fn trend(&self) -> Option<String> {
        let change = self.unread_per_hour.filter(|change| *change != 0)?;
        let word = if change > 0 { "growing" } else { "falling" };
        Some(format!("{word} by {} an hour", number(change.unsigned_abs())))
    }

    /// Returns when the consumer is level, in words: `level at 14:10 at this pace`.
    pub fn level(&self, reader: &Reader, now: DateTime<Utc>) -> Option<String> {
        let at = self.level_at.filter(|at| *at > now)?;
        // Beyond half a day, a time of day could be that of another day.
        Some(match at - now < TimeDelta::hours(12) {
            true => {
                let at = time_of_day(reader.zone.local(at), reader.preferences.clock);
                format!("level at {at} at this pace")
            }
            false => format!("level in about {} at this pace", about(at - now)),
        })
    }

    /// Returns when the feed stops, in words: `reaches its limit in about 3 h`.
    pub fn limit(&self, now: DateTime<Utc>) -> Option<String> {
        let left = self.limit_at.filter(|at| *at > now)? - now;
        Some(format!("reaches its limit in about {}", about(left)))
    }
}

fn about(left: TimeDelta) -> String {
    span(u64::try_from(left.num_seconds()).unwrap_or_default().max(60))
}

/// Returns the change per second, by least squares; `None` from too few samples or too short a time.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let first = points.first()?.0;
    let last = points.last()?.0;
    if points.len() < FEWEST || last - first < LEAST.as_seconds_f64() {
        return None;
    }
    let size = points.len() as f64;
    let (mean_x, mean_y) = (
        points.iter().map(|point| point.0).sum::<f64>() / size,
        points.iter().map(|point| point.1).sum::<f64>() / size,
    );
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
    }

    fn samples(values: impl IntoIterator<Item = (u64, u64)>) -> Vec<LagSample> {
        let sample =
            |(minute, (unread, failed))| LagSample { at: at(minute), unread: Some(unread), age_secs: None, failed };
        (0..).zip(values).map(sample).collect()
    }

    #[test]
    fn a_falling_lag_is_level_at_the_time_that_its_pace_gives() {
        // 10 events a minute.
        let forecast = Forecast::of(&samples((0..10).map(|minute| (200 - minute * 10, 0))), None);
        assert_eq!(forecast.unread_per_hour, Some(-600));
        assert_eq!(forecast.level_at, Some(at(9 + 11)));
        assert_eq!(forecast.trend().as_deref(), Some("falling by 600 an hour"));
        assert_eq!(forecast.level(&Reader::default(), at(9)).as_deref(), Some("level at 08:20 at this pace"));
        assert_eq!(forecast.level(&Reader::default(), at(30)), None, "that time is past");
    }

    #[test]
    fn a_growing_or_unchanged_lag_is_never_level() {
        let growing = Forecast::of(&samples((0..10).map(|minute| (200 + minute, 0))), None);
        assert_eq!((growing.level_at, growing.trend().as_deref()), (None, Some("growing by 60 an hour")));
        let unchanged = Forecast::of(&samples((0..10).map(|_| (200, 0))), None);
        assert_eq!((unchanged.level_at, unchanged.trend()), (None, None));
        let slow = Forecast::of(&samples((0..10).map(|minute| (1_000_000 - minute, 0))), None);
        assert_eq!(slow.level_at, None, "in years");
    }

    #[test]
    fn failures_reach_the_limit_at_their_pace() {
        let failing = samples((0..10).map(|minute| (0, 10 + minute)));
        let forecast = Forecast::of(&failing, Some(199));
        assert_eq!(forecast.limit_at, Some(at(9 + 180)));
        assert_eq!(forecast.limit(at(9)).as_deref(), Some("reaches its limit in about 3 h"));
        assert_eq!(Forecast::of(&failing, None).limit_at, None, "no limit");
        assert_eq!(Forecast::of(&failing, Some(10)).limit_at, None, "it is stopped");
        assert_eq!(Forecast::of(&samples((0..10).map(|minute| (0, 30 - minute))), Some(40)).limit_at, None);
    }

    #[test]
    fn little_is_no_ground_for_a_forecast() {
        assert_eq!(Forecast::of(&[], Some(5)), Forecast::default());
        assert_eq!(Forecast::of(&samples([(9, 1), (7, 2), (5, 3)]), Some(5)), Forecast::default(), "three samples");
        let mut unknown = samples((0..10).map(|minute| (200 - minute * 10, 0)));
        unknown.iter_mut().skip(2).for_each(|sample| sample.unread = None);
        assert_eq!(Forecast::of(&unknown, None).level_at, None);
    }

    #[test]
    fn a_lag_is_told_in_events_and_minutes() {
        let lag = |unread, more, minutes: Option<i64>| Lag {
            read_to: RowId(1),
            unread,
            more,
            since: minutes.map(|minutes| at(-minutes)),
            at: at(0),
        };
        assert_eq!(lag(0, false, None).in_short(at(0)), "level");
        assert_eq!(lag(1, false, Some(4)).in_short(at(0)), "1 event behind, 4 min");
        assert_eq!(lag(20_000, true, None).in_short(at(0)), "20,000 events or more behind");
        assert_eq!(lag(5, false, Some(-4)).in_short(at(0)), "5 events behind, 0 s", "clocks differ");
    }
}
