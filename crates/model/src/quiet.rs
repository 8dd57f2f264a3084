//! Publishers from which nothing was read for unusually long. A consumer whose publisher is down has no failures:
//! nothing new arrives, and every table looks healthy. Pure functions.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    ApplicationInfo, ApplicationView, Reach,
    error_text::visible,
    feed_names::publisher,
    words::{listed, span},
};

/// Usual pauses without a read before it is reported.
const PAUSES: i32 = 10;
/// It is never reported sooner than this.
const LEAST: TimeDelta = TimeDelta::hours(1);

/// A publisher from which nothing was read for unusually long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietPublisher {
    pub name: String,
    /// When something was last read from it.
    pub since: DateTime<Utc>,
    /// The usual pause, in seconds.
    pub usual_secs: u64,
    /// The keys of the applications that read from it.
    pub read_by: Vec<String>,
}

impl QuietPublisher {
    /// Returns it as a sentence.
    pub fn in_words(&self, now: DateTime<Utc>) -> String {
        format!(
            "Nothing has been read from {} for {}; usually something every {}.",
            visible(&self.name),
            span(self.quiet_secs(now)),
            span(self.usual_secs)
        )
    }

    fn quiet_secs(&self, now: DateTime<Utc>) -> u64 {
        u64::try_from((now - self.since).num_seconds()).unwrap_or_default()
    }
}

/// Returns all of them in a few words, for a heading: `nothing read from OpenMRS for 70 min`. `None` if there are none.
pub fn in_short(quiet: &[QuietPublisher], now: DateTime<Utc>) -> Option<String> {
    let least = quiet.iter().map(|publisher| publisher.quiet_secs(now)).min()?;
    let at_least = if quiet.len() > 1 { "at least " } else { "" };
    let names = listed(quiet.iter().map(|publisher| visible(&publisher.name)));
    Some(format!("nothing read from {names} for {at_least}{}", span(least)))
}

/// Returns the publishers that are quiet, by all feeds that are read from them. Feeds that are stopped, or read rarely
/// by the settings, say nothing about their publisher.
pub fn publishers(views: &[ApplicationView], now: DateTime<Utc>) -> Vec<QuietPublisher> {
    let applications: Vec<&ApplicationInfo> = views.iter().map(|view| &view.info).collect();
    let mut known: Vec<QuietPublisher> = Vec::new();
    for view in views.iter().filter(|view| matches!(view.reach, Reach::Reachable { .. })) {
        for feed in view.feeds() {
            let (Some(uri), Some(since), Some(usual_secs)) =
                (feed.uri.as_deref(), feed.signs.read_at, feed.signs.read_every_secs)
            else {
                continue;
            };
            let Some(name) = publisher(uri, &applications) else { continue };
            if view.info.concerns.is_idle(Some(uri)) || feed.state == super::FeedState::Stopped {
                continue;
            }
            match known.iter_mut().find(|publisher| publisher.name == name) {
                Some(publisher) => {
                    publisher.since = publisher.since.max(since);
                    publisher.usual_secs = publisher.usual_secs.min(usual_secs);
                    if !publisher.read_by.contains(&view.info.key) {
                        publisher.read_by.push(view.info.key.clone());
                    }
                }
                None => {
                    let read_by = vec![view.info.key.clone()];
                    known.push(QuietPublisher { name: name.to_owned(), since, usual_secs, read_by });
                }
            }
        }
    }
    known.retain(|publisher| {
        let usual = i64::try_from(publisher.usual_secs).ok().and_then(TimeDelta::try_seconds).unwrap_or(LEAST);
        now - publisher.since > usual.checked_mul(PAUSES).unwrap_or(TimeDelta::MAX).max(LEAST)
    });
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{feed_with, up, view};

    #[test]
    fn a_publisher_is_quiet_when_no_feed_of_it_is_read_for_ten_usual_pauses_and_an_hour() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let reads = |minutes_ago: i64, every: Option<u64>| {
            let mut feed = feed_with(0, 0, 0);
            feed.signs.read_at = Some(now - TimeDelta::minutes(minutes_ago));
            feed.signs.read_every_secs = every;
            feed
        };
        let quiet = |feeds: Vec<_>| publishers(&[view("Odoo", up(), feeds)], now);
        let told = quiet(vec![reads(70, Some(120))]);
        assert_eq!(
            told[0].in_words(now),
            "Nothing has been read from openmrs:8080 for 70 min; usually something every 2 min."
        );
        assert_eq!(in_short(&told, now).unwrap(), "nothing read from openmrs:8080 for 70 min");
        assert_eq!(told[0].read_by, ["odoo"]);
        let two = [
            told[0].clone(),
            QuietPublisher { name: "OpenELIS".into(), since: now - TimeDelta::minutes(95), ..told[0].clone() },
        ];
        assert_eq!(in_short(&two, now).unwrap(), "nothing read from openmrs:8080 and OpenELIS for at least 70 min");
        assert_eq!(in_short(&[], now), None);
        assert_eq!(quiet(vec![reads(50, Some(120))]), [], "never before an hour");
        assert_eq!(quiet(vec![reads(70, Some(600))]), [], "not before ten usual pauses");
        assert_eq!(quiet(vec![reads(70, Some(120)), reads(3, Some(9_000))]), [], "another of its feeds is read");
        assert_eq!(quiet(vec![reads(700, None)]), [], "what is usual is not known yet");
        let mut stopped = reads(700, Some(120));
        stopped.state = crate::FeedState::Stopped;
        assert_eq!(quiet(vec![stopped]), [], "a stopped feed tells nothing of its publisher");
    }
}
