//! Limits the log, so that it does not grow as fast as requests arrive: only a limited number of equal lines per second
//! is written, and then the number of those that were omitted.
//!
//! Lines of the same place in the source count as equal. Lines of the audit log are never omitted: their number is
//! bounded where they are made. Nor are those of `debug` and `trace`, which an administrator has requested.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Metadata,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Filter};

use super::{http::LOGGED, security::audit};
use crate::model::error_text::shortened;

/// Lines of one place that are written per second, in the long run.
const A_SECOND: f64 = 5.0;

/// Lines of one place that are written at once: each application has its own at the start, or when the network is lost.
const AT_ONCE: f64 = 60.0;

/// The same for lines that any client can cause by a request.
const AT_ONCE_BY_REQUESTS: f64 = 5.0;

/// The modules of these lines.
const OF_REQUESTS: [&str; 2] = ["atomfeed_console::server::http", "atomfeed_console::server::security"];

/// How often the log reports what was omitted.
const TOLD_EVERY: Duration = Duration::from_secs(2);

/// The limit of a log. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct LogLimit(Arc<Mutex<HashMap<Identifier, Place>>>);

/// A place in the source that writes lines.
#[derive(Debug)]
struct Place {
    /// Lines that may be written now.
    left: f64,
    since: Instant,
    /// The message of its lines, without their fields.
    says: String,
    left_out: u64,
}

impl LogLimit {
    /// Returns whether a line of this place is written now; `says` returns its message.
    fn takes(&self, metadata: &'static Metadata<'static>, now: Instant, says: impl FnOnce() -> String) -> bool {
        if *metadata.level() > Level::INFO || metadata.target() == audit::TARGET {
            return true;
        }
        let by_requests = OF_REQUESTS.iter().any(|module| metadata.target().starts_with(module));
        let at_once = if by_requests { AT_ONCE_BY_REQUESTS } else { AT_ONCE };
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Place { left: at_once, since: now, says: String::new(), left_out: 0 };
        let place = places.entry(metadata.callsite()).or_insert_with(fresh);
        let passed = now.saturating_duration_since(place.since).as_secs_f64();
        place.left = (place.left + passed * A_SECOND).min(at_once);
        place.since = now;
        if place.left >= 1.0 {
            place.left -= 1.0;
            return true;
        }
        if place.left_out == 0 {
            place.says = says();
        }
        place.left_out += 1;
        false
    }

    /// Returns what was omitted since the last call: the message of the lines, and their number.
    fn take_left_out(&self) -> Vec<(String, u64)> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = places.values_mut().filter(|place| place.left_out > 0);
        left_out.map(|place| (std::mem::take(&mut place.says), std::mem::take(&mut place.left_out))).collect()
    }

    /// Writes into the log what was omitted.
    pub fn tell(&self) {
        for (says, lines) in self.take_left_out() {
            tracing::warn!(lines, says, "lines like these were left out of the log");
        }
    }

    /// Calls [`LogLimit::tell`] every two seconds, as long as the process runs.
    pub async fn tell_for_ever(self) {
        let mut times = tokio::time::interval(TOLD_EVERY);
        loop {
            times.tick().await;
            self.tell();
        }
    }
}

impl<S> Filter<S> for LogLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.takes(event.metadata(), Instant::now(), || {
            let mut says = Message::default();
            event.record(&mut says);
            shortened(&says.0, LOGGED)
        })
    }
}

/// The message of a line.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::{Callsite, callsite::DefaultCallsite, metadata::Kind};

    use super::*;

    /// A place in the source that writes lines of this level.
    macro_rules! place {
        ($level:expr, $target:expr) => {{
            static PLACE: DefaultCallsite = DefaultCallsite::new(&LINE);
            static LINE: Metadata<'static> = tracing::metadata! {
                name: "line",
                target: $target,
                level: $level,
                fields: &[],
                callsite: &PLACE,
                kind: Kind::EVENT,
            };
            PLACE.metadata()
        }};
    }

    /// Returns the number of these lines that are written at one time.
    fn written(limit: &LogLimit, place: &'static Metadata<'static>, now: Instant, lines: u32) -> usize {
        (0..lines).filter(|_| limit.takes(place, now, || "refused".to_owned())).count()
    }

    #[test]
    fn what_a_request_can_cause_is_written_a_few_times_a_second_and_then_counted() {
        let (limit, begun) = (LogLimit::default(), Instant::now());
        let refused = place!(Level::WARN, "atomfeed_console::server::http");
        assert_eq!(written(&limit, refused, begun, 1_000), 5);
        assert_eq!(limit.take_left_out(), [("refused".to_owned(), 995)]);
        assert_eq!(limit.take_left_out(), [], "told once");
        let a_minute: usize =
            (1..=60).map(|second| written(&limit, refused, begun + Duration::from_secs(second), 1_000)).sum();
        assert_eq!(a_minute, 300);
        let later = begun + Duration::from_secs(600);
        assert_eq!(written(&limit, refused, later, 1_000), 5, "a long rest saves up no flood");
    }

    #[test]
    fn each_place_has_its_own_and_the_consoles_own_news_fit_in() {
        let (limit, now) = (LogLimit::default(), Instant::now());
        let (one, other) =
            (place!(Level::WARN, "atomfeed_console::server::watch"), place!(Level::ERROR, "atomfeed_console::error"));
        assert_eq!(written(&limit, one, now, 50), 50, "of fifty applications that do not answer");
        assert_eq!((written(&limit, one, now, 1_000), written(&limit, other, now, 1_000)), (10, 60));
    }

    #[test]
    fn the_audit_log_and_what_somebody_asked_for_is_written_whole() {
        let (limit, now) = (LogLimit::default(), Instant::now());
        for whole in [place!(Level::INFO, "audit"), place!(Level::DEBUG, "atomfeed_console::server::http")] {
            assert_eq!(written(&limit, whole, now, 1_000), 1_000);
        }
        assert!(limit.take_left_out().is_empty());
    }
}
