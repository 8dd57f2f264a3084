//! What the states mean, in sentences: the cause, and what to do. Pure functions, so that every claim has a test.
//!
//! A sentence never says more than the console knows. It sees tables, not the consumer: whether a consumer runs at all,
//! and whether a retry will succeed, it cannot know. A limit that was not configured is called assumed.

use super::{
    due,
    feed_names::FeedName,
    words::{count, count_first, number, numeral, span},
};
use crate::model::{
    ApplicationInfo, ApplicationView, Availability, Feed, FeedState, Limits, Reach, Seen,
    feed::category_of,
    ledger::RequestKind,
    operation::{Operation, Stage},
    stamp::Ahead,
};

/// Why something is as it is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    pub cause: String,
    pub todo: String,
}

/// The state of a feed, explained.
pub fn feed(feed: &Feed, limits: &Limits) -> Saying {
    let counts = feed.counts;
    let (mut cause, mut todo) = match feed.state {
        FeedState::Stopped => (stopped_cause(counts.total, limits), stopped_todo(feed, limits)),
        FeedState::Failing => (failing_cause(feed, limits), failing_todo(feed, limits)),
        FeedState::Running => ("No failed events.".to_owned(), "Nothing to do.".to_owned()),
        FeedState::Stalled => (
            "The marker stands still while the publisher goes on.".to_owned(),
            "Look into the consumer's log, for example for “Last Read entry not found in feed”.".to_owned(),
        ),
        FeedState::Unknown => unknown(feed),
    };
    match feed.markers.len() {
        0 if counts.total > 0 && feed.uri.is_some() => cause.push_str(
            " No marker has this address: the consumer has not recorded reading it, or the address was changed later.",
        ),
        0 | 1 => {}
        several => cause.push_str(&format!(
            " {several} markers have this address; which of them the consumer goes by cannot be told from here."
        )),
    }
    if feed.uri.is_none() && counts.total > 0 {
        todo = format!("{} Handle them in the application itself.", due::NEVER_FOUND);
    }
    Saying { cause, todo }
}

fn stopped_cause(total: u64, limits: &Limits) -> String {
    let events = count(total, "failed event");
    let max = number(limits.max_failed_events.unwrap_or(total));
    if limits.assumed {
        format!("Nothing new is read from this feed if its limit is {max}, as assumed: there are {events}.")
    } else {
        format!("Nothing new is read from this feed: {events}, the limit is {max}.")
    }
}

fn stopped_todo(feed: &Feed, limits: &Limits) -> String {
    let counts = feed.counts;
    let max = number(limits.max_failed_events.unwrap_or(counts.total));
    if counts.exhausted == 0 && counts.waiting > 0 {
        return format!(
            "They are waiting: the consumer tries them again by itself, and reads on when fewer than {max} are left."
        );
    }
    if counts.exhausted == 0 {
        return format!("Open them and mend the cause: the feed is read again when fewer than {max} are left.");
    }
    let mut todo = format!(
        "Retrying does not help until some succeed: mend the cause first, then retry the {} exhausted.",
        number(counts.exhausted)
    );
    if counts.waiting > 0 {
        todo.push_str(&format!(" {} waiting and tried again without you.", are(counts.waiting)));
    }
    todo
}

fn failing_cause(feed: &Feed, limits: &Limits) -> String {
    let counts = feed.counts;
    let unknown = counts.total.saturating_sub(counts.waiting).saturating_sub(counts.exhausted);
    let (kinds, parts): (Vec<&str>, Vec<String>) = [
        (counts.waiting, "waiting for another try"),
        (counts.exhausted, "exhausted"),
        (unknown, "without a known number of retries"),
    ]
    .into_iter()
    .filter(|(rows, _)| *rows > 0)
    .map(|(rows, what)| (what, format!("{} {what}", number(rows))))
    .unzip();
    let events = count_first(counts.total, "failed event");
    let mut cause = match (parts.as_slice(), counts.total) {
        ([_], 1) => format!("{events}, {}.", kinds[0]),
        ([_], _) => format!("{events}, all {}.", kinds[0]),
        _ => format!("{events}: {}.", parts.join(", ")),
    };
    // Far from the limit it is no news.
    let near = |max: &u64| counts.total >= max / 10;
    if let Some(max) = limits.max_failed_events.filter(near) {
        let assumed = if limits.assumed { ", as assumed" } else { "" };
        cause.push_str(&format!(" At {} the feed stops{assumed}.", number(max)));
    }
    cause
}

fn failing_todo(feed: &Feed, limits: &Limits) -> String {
    match (feed.counts.exhausted, feed.counts.waiting, limits.max_retry) {
        (1.., _, None) => {
            "By its settings this consumer has no retry job: mend each case in the application itself.".to_owned()
        }
        (1, _, Some(_)) if feed.counts.total == 1 => "Nobody tries it again: mend the cause, then retry it.".to_owned(),
        (1.., _, Some(_)) => "Nobody tries the exhausted ones again: mend the cause, then retry them.".to_owned(),
        (0, 1.., Some(max)) => {
            format!("Nothing to do yet: the consumer tries each of them up to {max} times by itself.")
        }
        _ => "Open them to see what failed.".to_owned(),
    }
}

fn unknown(feed: &Feed) -> (String, String) {
    if feed.markers.is_empty() {
        ("Neither a marker nor a failed event tells how this feed is doing.".to_owned(), "Nothing to do.".to_owned())
    } else {
        (
            "Its marker names no page to go on from. The original consumer fails on such a marker and reads nothing."
                .to_owned(),
            "Have the marker completed in the application's database by someone who knows where reading shall go on."
                .to_owned(),
        )
    }
}

/// `1 is`, `12 are`.
fn are(value: u64) -> String {
    format!("{} {}", number(value), if value == 1 { "is" } else { "are" })
}

/// The states of feeds, the one that needs a person most first.
const WORST_FIRST: [FeedState; 5] =
    [FeedState::Stopped, FeedState::Stalled, FeedState::Failing, FeedState::Unknown, FeedState::Running];

/// A key to sort by: the worst state first, and the feeds of one state by their failed events, most first.
pub fn worst_first(state: FeedState, failed: u64) -> impl Ord {
    (WORST_FIRST.iter().position(|other| *other == state), u64::MAX - failed)
}

/// How many feeds of an application are in each state, the worst state first; states without feeds are left out.
pub fn feeds_by_state(feeds: &[Feed]) -> Vec<(FeedState, u64)> {
    WORST_FIRST
        .into_iter()
        .map(|state| (state, feeds.iter().filter(|feed| feed.state == state).count() as u64))
        .filter(|(_, feeds)| *feeds > 0)
        .collect()
}

/// `One feed is stopped, two are failing`; `None` without any of the feeds in these states.
fn feeds_sentence(by_state: &[(FeedState, u64)]) -> Option<String> {
    let mut sentence = String::new();
    for (state, feeds) in by_state {
        let word = match state {
            FeedState::Stopped => "stopped",
            FeedState::Stalled => "stalled",
            FeedState::Failing => "failing",
            FeedState::Unknown => "in an unknown state",
            FeedState::Running => "running",
        };
        let verb = if *feeds == 1 { "is" } else { "are" };
        if sentence.is_empty() {
            sentence = format!("{} {verb} {word}", count_first(*feeds, "feed"));
        } else {
            let rest = numeral(*feeds).to_lowercase();
            sentence.push_str(&format!(", {rest} {verb} {word}"));
        }
    }
    (!sentence.is_empty()).then_some(sentence)
}

fn feeds_of(view: &ApplicationView) -> &[Feed] {
    view.seen.as_ref().and_then(|seen| seen.feeds.here()).map_or(&[], Vec::as_slice)
}

/// One application in a sentence, without its name.
pub fn application(view: &ApplicationView) -> String {
    match (&view.reach, view.seen.as_deref()) {
        (Reach::Unreachable { .. }, _) => "does not answer".to_owned(),
        (Reach::NotConfigured { .. }, _) => "not configured".to_owned(),
        (Reach::NotYet, _) | (_, None) => "not looked at yet".to_owned(),
        (Reach::Reachable { .. }, Some(Seen { feeds: Availability::NotHere(_), .. })) => {
            "its feeds cannot be seen".to_owned()
        }
        (Reach::Reachable { .. }, Some(_)) => {
            let by_state = feeds_by_state(feeds_of(view));
            match by_state.as_slice() {
                [] => "no feeds".to_owned(),
                [(FeedState::Running, 1)] => "its feed is running".to_owned(),
                [(FeedState::Running, feeds)] => format!("all {} feeds are running", number(*feeds)),
                _ => {
                    let troubled: Vec<_> =
                        by_state.iter().copied().filter(|(state, _)| *state != FeedState::Running).collect();
                    decapitalised(&feeds_sentence(&troubled).unwrap_or_default())
                }
            }
        }
    }
}

/// The same as the heading of its page.
pub fn application_heading(view: &ApplicationView) -> String {
    let name = &view.info.name;
    match view.reach {
        Reach::Reachable { .. } => format!("{name}: {}", application(view)),
        Reach::Unreachable { .. } => format!("{name} does not answer"),
        Reach::NotYet => format!("{name} has not been looked at yet"),
        Reach::NotConfigured { .. } => format!("{name} is not configured"),
    }
}

fn decapitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The overview in a few words: what is broken, and how much needs a person. Counts what was last seen.
pub fn headline(views: &[ApplicationView]) -> String {
    if views.is_empty() {
        return "No application is configured.".to_owned();
    }
    let mut sentences = Vec::new();
    let feeds: Vec<Feed> = views.iter().flat_map(feeds_of).cloned().collect();
    let broken: Vec<_> = feeds_by_state(&feeds)
        .into_iter()
        .filter(|(state, _)| matches!(state, FeedState::Stopped | FeedState::Stalled))
        .collect();
    sentences.extend(feeds_sentence(&broken).map(|sentence| format!("{sentence}.")));

    let silent: Vec<&str> = views
        .iter()
        .filter(|view| matches!(view.reach, Reach::Unreachable { .. }))
        .map(|view| view.info.name.as_str())
        .collect();
    match silent.as_slice() {
        [] => {}
        [name] => sentences.push(format!("{name} does not answer.")),
        more => sentences.push(format!("{} do not answer.", count_first(more.len() as u64, "application"))),
    }

    let sum = |rows: fn(&Seen) -> u64| views.iter().filter_map(|view| view.seen.as_deref()).map(rows).sum::<u64>();
    match sum(|seen| seen.exhausted) {
        0 => {}
        1 => sentences.push("One event needs a person.".to_owned()),
        exhausted => sentences.push(format!("{} need a person.", count_first(exhausted, "event"))),
    }
    if !sentences.is_empty() {
        return sentences.join(" ");
    }
    if views.iter().any(|view| view.reach == Reach::NotYet) {
        return "Looking at the applications for the first time.".to_owned();
    }
    let mut calm = match sum(|seen| seen.waiting) {
        0 => "Nothing needs a person.".to_owned(),
        1 => "Nothing needs a person. One event is waiting for another try.".to_owned(),
        waiting => {
            format!("Nothing needs a person. {} are waiting for another try.", count_first(waiting, "event"))
        }
    };
    let lacking: Vec<&ApplicationView> =
        views.iter().filter(|view| matches!(view.reach, Reach::NotConfigured { .. })).collect();
    match lacking.as_slice() {
        [] => {}
        [view] => calm.push_str(&format!(" {} is not configured.", view.info.name)),
        more => calm.push_str(&format!(" {} are not configured.", count_first(more.len() as u64, "application"))),
    }
    calm
}

/// Whose numbers are not of now, because the database does not answer.
pub fn shown_as_last_seen(views: &[ApplicationView]) -> Option<String> {
    let names: Vec<&str> = views
        .iter()
        .filter(|view| matches!(view.reach, Reach::Unreachable { .. }) && view.seen.is_some())
        .map(|view| view.info.name.as_str())
        .collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    (!names.is_empty()).then(|| format!("{} {verb} shown as last seen.", names.join(", ")))
}

/// Something that needs a person's attention.
#[derive(Clone, Debug, PartialEq)]
pub enum Concern<'a> {
    /// A feed that is stopped, stalled, or has exhausted events.
    Feed { view: &'a ApplicationView, feed: &'a Feed },
    /// A database that does not answer.
    Silent { view: &'a ApplicationView, reason: &'a str, advice: &'a str },
    /// A database that answers, but whose feeds cannot be seen.
    Hidden { view: &'a ApplicationView, reason: &'a str },
    /// Something that will break the consumer itself.
    Hazard { view: &'a ApplicationView, hazard: &'a str },
    /// The ledger does not follow a database.
    OutOfStep { view: &'a ApplicationView, why: &'a str },
    /// Failures whose times lie in the future.
    Ahead { view: &'a ApplicationView, saying: Saying },
    /// An application that is never asked, because its entry in the configuration is not whole.
    NotConfigured { view: &'a ApplicationView, lacking: &'a [String] },
}

/// What needs attention, the most pressing first: feeds that read nothing, databases that do not answer or hide their
/// feeds, feeds with exhausted events (most first), hazards, gaps of the ledger, entries that are not whole. Of a database that does not answer only
/// that is said: its feeds may be in another state by now.
pub fn concerns(views: &[ApplicationView]) -> Vec<Concern<'_>> {
    let mut ranked: Vec<(u8, u64, Concern<'_>)> = Vec::new();
    for view in views {
        if let Reach::Unreachable { reason, advice } = &view.reach {
            ranked.push((1, 0, Concern::Silent { view, reason, advice }));
            continue;
        }
        if let Reach::NotConfigured { lacking } = &view.reach {
            ranked.push((6, 0, Concern::NotConfigured { view, lacking }));
        }
        let Some(seen) = &view.seen else { continue };
        if let Availability::NotHere(reason) = &seen.feeds {
            ranked.push((2, 0, Concern::Hidden { view, reason }));
        }
        for feed in feeds_of(view) {
            let rank = match feed.state {
                FeedState::Stopped | FeedState::Stalled => 0,
                _ if feed.counts.exhausted > 0 => 3,
                _ => continue,
            };
            ranked.push((rank, feed.counts.total, Concern::Feed { view, feed }));
        }
        ranked.extend(seen.hazards.iter().map(|hazard| (4, 0, Concern::Hazard { view, hazard })));
        ranked.extend(ahead(view).map(|saying| (4, 0, Concern::Ahead { view, saying })));
        ranked.extend(seen.out_of_step.iter().map(|why| (5, 0, Concern::OutOfStep { view, why })));
    }
    ranked.sort_by_key(|(rank, size, _)| (*rank, u64::MAX - size));
    ranked.into_iter().map(|(_, _, concern)| concern).collect()
}

/// Explains failures whose times lay in the future when they were seen; `None` where there are none.
pub fn ahead(view: &ApplicationView) -> Option<Saying> {
    let newest = view.seen.as_ref()?.newest_failure.as_ref();
    let ahead = Ahead::of(newest, view.seen_at?)?;
    let far = span(ahead.0.num_seconds().unsigned_abs());
    let todo = if ahead.may_be_the_zone() {
        format!(
            "Times without a zone are read as {}: if this database keeps another zone, set time_zone to it; otherwise set its \
             clock.",
            view.info.time_zone
        )
    } else {
        "No time zone is so far off: look at the clock of its database, and at that row.".to_owned()
    };
    Some(Saying { cause: format!("The newest failure lies {far} in the future."), todo })
}

/// A feed's concern as a headline: what does not work, and for whom. `applications`: everything configured, for the
/// name of the publisher where two feeds of the application are of one category.
pub fn feed_title(view: &ApplicationView, feed: &Feed, applications: &[&ApplicationInfo]) -> String {
    let info = &view.info;
    let app = &info.name;
    let name = FeedName::of(feed.uri.as_deref(), feeds_of(view), applications).in_sentence();
    match feed.state {
        FeedState::Stopped if info.limits_of(feed.uri.as_deref()).assumed => {
            format!("{app} probably reads nothing new from {name}")
        }
        FeedState::Stopped => format!("{app} reads nothing new from {name}"),
        FeedState::Stalled => format!("{app} stands still on {name}"),
        _ if feed.uri.is_none() => {
            format!("{app} has {} without a feed address", count(feed.counts.exhausted, "exhausted event"))
        }
        _ => format!("{app} has given up on {} from {name}", count(feed.counts.exhausted, "event")),
    }
}

/// When a retry takes effect, by the schedule in the settings; `reset`: how many rows of each feed. `None` where there are
/// none, and where nobody retries.
pub fn retry_schedule(info: &ApplicationInfo, reset: &[u64]) -> Option<String> {
    let limits = &info.limits;
    limits.max_retry?;
    // A run takes a batch of every feed: they are done when the longest is.
    let longest = reset.iter().copied().max()?;
    let batch = u64::from(limits.retry_batch.max(1));
    let runs = longest.div_ceil(batch);
    let assumed = if limits.assumed { " (assumed)" } else { "" };
    let every = span(limits.retry_interval_secs);
    let how_long = if runs > 1 {
        let feeds = if reset.len() > 1 { format!(" of {}", count(reset.len() as u64, "feed")) } else { String::new() };
        format!(
            " {}{feeds} take at least {} runs, {}.",
            count_first(reset.iter().sum(), "event"),
            number(runs),
            span(runs.saturating_mul(limits.retry_interval_secs))
        )
    } else {
        String::new()
    };
    Some(format!(
        "If the retry job of {} runs, it runs every {every}{assumed} and takes {batch} events of a feed at a time, oldest \
         first.{how_long}",
        info.name
    ))
}

/// What an operation is called.
pub fn deed(kind: RequestKind) -> &'static str {
    match kind {
        RequestKind::Retry => "Retry",
        RequestKind::Discard => "Discard",
        RequestKind::Restore => "Put back",
    }
}

/// What an operation is about, as a heading: a feed's address in it gives way to its category.
pub fn scope(operation: &Operation) -> String {
    let short = |word: &str| match category_of(word) {
        Some(category) if word.contains("://") => format!("the {category} feed"),
        _ => word.to_owned(),
    };
    let words: Vec<String> = operation.scope.split(' ').map(short).collect();
    crate::model::error_text::visible(&format!("{} {}", deed(operation.kind), words.join(" ")))
}

/// How far an operation has come, in one sentence. What hinders it is in its note.
pub fn stage(operation: &Operation) -> String {
    let counts = operation.counts;
    let taken = counts.done() + counts.left_alone();
    let of = operation.planned.unwrap_or(counts.asked).max(counts.asked);
    match operation.stage {
        Stage::Planning => "Its plan is being made.".to_owned(),
        Stage::Draft => "Nothing has begun: this is its plan.".to_owned(),
        Stage::Running => format!("Under way: {} of {} had their turn.", number(taken), count(of, "row")),
        Stage::Trying => format!("The first {} had their turn.", count(taken, "row")),
        Stage::Paused => format!("Paused: {} of {} had their turn.", number(taken), count(of, "row")),
        Stage::Cancelled => format!("Cancelled: {} of {} had their turn.", number(taken), count(of, "row")),
        Stage::Ended => match operation.note {
            Some(_) => format!("Ended early: {} of {} had their turn.", number(taken), count(of, "row")),
            None => String::new(),
        },
    }
}

/// What became of an operation's rows, as far as its own part goes.
pub fn outcome(operation: &Operation) -> String {
    let counts = operation.counts;
    if counts.asked == 0 {
        return "There was nothing to do.".to_owned();
    }
    let (done, what) = match operation.kind {
        RequestKind::Retry => (counts.reset, "Retry requested for"),
        RequestKind::Discard => (counts.discarded, "Discarded"),
        RequestKind::Restore => (counts.restored, "Put back"),
    };
    let mut sentence = if done == counts.asked {
        format!("{what} {}.", count(counts.asked, "row"))
    } else {
        format!("{what} {} of {}.", number(done), count(counts.asked, "row"))
    };
    let to_come = if operation.finished_at.is_some() { "not reached" } else { "still to come" };
    for (rows, what) in [
        (counts.already_there, "there again, and not doubled"),
        (counts.taken, "left to another operation"),
        (counts.changed, "changed meanwhile and left alone"),
        (counts.gone, "gone from the table"),
        (counts.failed, "not written"),
        (counts.uncertain, "uncertain: it is not known whether the change came through"),
        (counts.to_come(), to_come),
    ] {
        if rows > 0 {
            sentence.push_str(&format!(" {} {what}.", number(rows)));
        }
    }
    sentence
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::model::{
        FeedCounts, FeedLimit, Kind, Marker, Stamp,
        operation::{Followed, OutcomeCounts, Pace},
    };

    fn limits() -> Limits {
        Limits {
            max_failed_events: Some(1000),
            max_retry: Some(5),
            feed_interval_secs: 30,
            retry_interval_secs: 30,
            retry_batch: 5,
            assumed: false,
        }
    }

    fn feed_with(waiting: u64, exhausted: u64, total: u64) -> Feed {
        let counts = FeedCounts { waiting, exhausted, total };
        Feed {
            uri: Some("http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent".into()),
            markers: vec![Marker {
                feed_uri: None,
                last_read_entry_id: Some("tag:atomfeed.ict4h.org:1".into()),
                page_uri: Some("http://openmrs:8080/openmrs/ws/atomfeed/encounter/36".into()),
            }],
            category: Some("encounter".into()),
            counts,
            oldest_failure: None,
            newest_failure: None,
            last_seen_at_work: None,
            state: FeedState::of(&counts, true, &limits()),
        }
    }

    fn view(name: &str, reach: Reach, feeds: Vec<Feed>) -> ApplicationView {
        let sum = |rows: fn(&FeedCounts) -> u64| feeds.iter().map(|feed| rows(&feed.counts)).sum();
        ApplicationView {
            info: ApplicationInfo {
                key: name.to_lowercase(),
                name: name.into(),
                kind: Kind::Odoo,
                kind_assumed: false,
                address: "db/odoo".into(),
                limits: limits(),
                feed_limits: vec![],
                time_zone: "UTC".into(),
                refresh_secs: 15,
                publishes: vec![],
                read_only: false,
            },
            reach,
            looked_at: DateTime::from_timestamp(1_800_000_000, 0),
            seen_at: DateTime::from_timestamp(1_800_000_000, 0),
            seen: Some(Arc::new(Seen {
                waiting: sum(|counts| counts.waiting),
                exhausted: sum(|counts| counts.exhausted),
                failed: sum(|counts| counts.total),
                feeds: Availability::Here(feeds),
                days: vec![],
                oldest_failure: None,
                newest_failure: None,
                newest: Vec::new(),
                retry_refused: None,
                missing: vec![],
                hazards: vec![],
                out_of_step: None,
            })),
        }
    }

    fn up() -> Reach {
        Reach::Reachable { server: "PostgreSQL 15".into() }
    }

    fn down() -> Reach {
        Reach::Unreachable { reason: "Refused.".into(), advice: "Start it.".into() }
    }

    fn unconfigured(name: &str) -> ApplicationView {
        let lacking = vec!["console.toml:9: application[2].user: is empty".to_owned()];
        let reach = Reach::NotConfigured { lacking };
        ApplicationView { seen: None, seen_at: None, looked_at: None, ..view(name, reach, vec![]) }
    }

    #[test]
    fn an_application_without_a_whole_entry_is_told_last_with_what_is_missing() {
        let views = [unconfigured("Odoo"), view("OpenELIS", up(), vec![feed_with(0, 1, 1)])];
        let concerns = concerns(&views);
        assert!(matches!(concerns[0], Concern::Feed { .. }));
        let Concern::NotConfigured { view, lacking } = concerns[1] else { panic!("{concerns:?}") };
        assert_eq!((view.info.name.as_str(), lacking.len()), ("Odoo", 1));
        assert_eq!(application(view), "not configured");
        assert_eq!(application_heading(view), "Odoo is not configured");
    }

    #[test]
    fn times_in_the_future_make_the_time_zone_doubtful() {
        let at = |ahead| {
            let mut odoo = view("Odoo", up(), vec![]);
            let newest = Stamp::of(odoo.seen_at.unwrap() + ahead);
            Arc::make_mut(odoo.seen.as_mut().unwrap()).newest_failure = Some(newest);
            odoo
        };
        assert_eq!(ahead(&at(TimeDelta::minutes(-1))), None);
        let odoo = at(TimeDelta::minutes(330));
        let saying = ahead(&odoo).unwrap();
        assert_eq!(saying.cause, "The newest failure lies 5 h in the future.");
        assert!(saying.todo.contains("read as UTC") && saying.todo.contains("time_zone"), "{}", saying.todo);
        assert!(!ahead(&at(TimeDelta::days(400))).unwrap().todo.contains("time_zone"));
        let views = [odoo];
        assert!(matches!(concerns(&views)[..], [Concern::Ahead { .. }]), "{:?}", concerns(&views));
    }

    #[test]
    fn a_stopped_feed_names_its_count_and_its_limit() {
        let saying = feed(&feed_with(12, 988, 1000), &limits());
        assert_eq!(saying.cause, "Nothing new is read from this feed: 1,000 failed events, the limit is 1,000.");
        assert_eq!(
            saying.todo,
            "Retrying does not help until some succeed: mend the cause first, then retry the 988 exhausted. 12 are \
             waiting and tried again without you."
        );
    }

    #[test]
    fn an_assumed_limit_is_never_told_as_a_fact() {
        let assumed = Limits { assumed: true, ..limits() };
        assert!(feed(&feed_with(0, 1000, 1000), &assumed).cause.contains("as assumed"));
        assert!(feed(&feed_with(0, 300, 300), &assumed).cause.contains("as assumed"));
        let mut odoo = view("Odoo", up(), vec![]);
        odoo.info.limits.assumed = true;
        assert!(feed_title(&odoo, &feed_with(0, 1000, 1000), &[]).contains("probably"));
    }

    #[test]
    fn a_feed_with_a_limit_of_its_own_is_told_by_that_and_never_as_assumed() {
        let mut odoo = view("Odoo", up(), vec![]);
        odoo.info.limits.assumed = true;
        let uri = feed_with(0, 0, 0).uri.unwrap();
        odoo.info.feed_limits = vec![FeedLimit { uri, max_failed_events: Some(50) }];
        let mut stopped = feed_with(0, 50, 50);
        let limits = odoo.info.limits_of(stopped.uri.as_deref());
        stopped.state = FeedState::of(&stopped.counts, true, &limits);
        assert_eq!(
            feed(&stopped, &limits).cause,
            "Nothing new is read from this feed: 50 failed events, the limit is 50."
        );
        assert_eq!(feed_title(&odoo, &stopped, &[]), "Odoo reads nothing new from the encounter feed");
        let lost = Feed { uri: None, ..feed_with(0, 999, 999) };
        assert!(!feed(&lost, &odoo.info.limits_of(None)).cause.contains("stops"));
    }

    #[test]
    fn two_concerns_about_feeds_of_one_category_have_different_titles() {
        let mut lab = feed_with(0, 24, 24);
        lab.uri = Some("http://openelis:8052/openelis/ws/feed/encounter/recent".into());
        let odoo = view("Odoo", up(), vec![feed_with(0, 24, 24), lab]);
        let titles: Vec<String> = feeds_of(&odoo).iter().map(|feed| feed_title(&odoo, feed, &[])).collect();
        assert_eq!(
            titles,
            [
                "Odoo has given up on 24 events from the encounter feed of openmrs:8080",
                "Odoo has given up on 24 events from the encounter feed of openelis:8052",
            ]
        );
    }

    #[test]
    fn waiting_events_ask_nothing_of_a_person() {
        let saying = feed(&feed_with(1, 0, 1), &limits());
        assert_eq!(saying.cause, "One failed event, waiting for another try.");
        assert!(saying.todo.starts_with("Nothing to do yet"), "{}", saying.todo);
    }

    #[test]
    fn one_exhausted_event_is_told_in_the_singular() {
        let saying = feed(&feed_with(0, 1, 1), &limits());
        assert_eq!(saying.cause, "One failed event, exhausted.");
        assert_eq!(saying.todo, "Nobody tries it again: mend the cause, then retry it.");
    }

    #[test]
    fn the_limit_is_named_when_it_comes_near() {
        let cause = feed(&feed_with(60, 40, 100), &limits()).cause;
        assert_eq!(cause, "100 failed events: 60 waiting for another try, 40 exhausted. At 1,000 the feed stops.");
        assert!(!feed(&feed_with(50, 40, 90), &limits()).cause.contains("stops"));
    }

    #[test]
    fn where_nobody_retries_nobody_is_told_to_retry() {
        let nobody = Limits { max_retry: None, max_failed_events: None, ..limits() };
        let saying = feed(&feed_with(0, 3, 3), &nobody);
        assert_eq!(saying.cause, "Three failed events, all exhausted.");
        assert!(saying.todo.contains("no retry job"), "{}", saying.todo);
        let mut info = view("OpenMRS", up(), vec![]).info;
        info.limits = nobody;
        assert_eq!(retry_schedule(&info, &[3]), None);
    }

    #[test]
    fn rows_without_a_feed_address_are_never_found_by_a_retry_job() {
        let mut lost = feed_with(0, 3, 3);
        lost.uri = None;
        lost.category = None;
        lost.markers.clear();
        let saying = feed(&lost, &limits());
        assert!(saying.todo.contains("never finds them"), "{}", saying.todo);
        assert!(!saying.cause.contains("No marker"), "{}", saying.cause);
    }

    #[test]
    fn missing_and_doubled_markers_are_told() {
        let mut odd = feed_with(0, 3, 3);
        odd.markers.push(odd.markers[0].clone());
        assert!(feed(&odd, &limits()).cause.contains("2 markers have this address"));
        odd.markers.clear();
        assert!(feed(&odd, &limits()).cause.contains("No marker has this address"));
    }

    #[test]
    fn a_marker_without_a_page_is_no_running_feed() {
        let mut blank = feed_with(0, 0, 0);
        blank.markers[0].page_uri = None;
        blank.state = FeedState::of(&blank.counts, false, &limits());
        assert!(feed(&blank, &limits()).cause.contains("names no page"));
    }

    #[test]
    fn the_headline_tells_what_is_broken_and_how_much_needs_a_person() {
        let stopped = || feed_with(9, 1005, 1014);
        let lab = || feed_with(0, 37, 37);
        let fine = || feed_with(0, 0, 0);
        for (views, sentence) in [
            (vec![], "No application is configured."),
            (vec![view("Odoo", up(), vec![fine()])], "Nothing needs a person."),
            (
                vec![view("Odoo", up(), vec![feed_with(2, 0, 2)])],
                "Nothing needs a person. Two events are waiting for another try.",
            ),
            (
                vec![view("Odoo", up(), vec![stopped()]), view("OpenELIS", up(), vec![lab(), fine()])],
                "One feed is stopped. 1,042 events need a person.",
            ),
            (vec![view("Odoo", down(), vec![fine()])], "Odoo does not answer."),
            (
                vec![view("Odoo", down(), vec![]), view("PACS", down(), vec![feed_with(0, 1, 1)])],
                "Two applications do not answer. One event needs a person.",
            ),
            (vec![view("Odoo", Reach::NotYet, vec![])], "Looking at the applications for the first time."),
            (
                vec![view("PACS", up(), vec![fine()]), unconfigured("Odoo")],
                "Nothing needs a person. Odoo is not configured.",
            ),
            (
                vec![view("PACS", up(), vec![fine()]), unconfigured("Odoo"), unconfigured("OpenELIS")],
                "Nothing needs a person. Two applications are not configured.",
            ),
        ] {
            assert_eq!(headline(&views), sentence);
        }
    }

    #[test]
    fn numbers_of_a_silent_database_are_said_to_be_old() {
        let fine = || view("OpenELIS", up(), vec![feed_with(0, 0, 0)]);
        assert_eq!(shown_as_last_seen(&[fine()]), None);
        let odoo = || view("Odoo", down(), vec![feed_with(0, 1000, 1000)]);
        assert_eq!(shown_as_last_seen(&[fine(), odoo()]).unwrap(), "Odoo is shown as last seen.");
        let mut never = view("PACS", down(), vec![]);
        never.seen = None;
        assert_eq!(shown_as_last_seen(&[never]), None);
    }

    #[test]
    fn an_application_is_told_in_a_sentence() {
        let mut stalled = feed_with(0, 0, 0);
        stalled.state = FeedState::Stalled;
        for (reach, feeds, sentence) in [
            (up(), vec![], "no feeds"),
            (up(), vec![feed_with(0, 0, 0)], "its feed is running"),
            (up(), vec![feed_with(0, 0, 0); 3], "all 3 feeds are running"),
            (
                up(),
                vec![feed_with(0, 1, 1), feed_with(0, 0, 0), stalled, feed_with(0, 2, 2), feed_with(0, 1000, 1000)],
                "one feed is stopped, one is stalled, two are failing",
            ),
            (down(), vec![feed_with(0, 0, 0)], "does not answer"),
        ] {
            assert_eq!(application(&view("Odoo", reach, feeds)), sentence);
        }
    }

    #[test]
    fn the_most_pressing_concern_comes_first() {
        let mut odoo = view("Odoo", up(), vec![feed_with(0, 2, 2), feed_with(0, 1000, 1000), feed_with(4, 0, 4)]);
        Arc::make_mut(odoo.seen.as_mut().unwrap()).hazards.push("A row without a time.".into());
        Arc::make_mut(odoo.seen.as_mut().unwrap()).out_of_step = Some("A gap.".into());
        let elis = view("OpenELIS", up(), vec![feed_with(0, 37, 37)]);
        let pacs = view("PACS", down(), vec![feed_with(0, 1000, 1000)]);
        let views = [pacs, elis, odoo];
        let told: Vec<String> = concerns(&views)
            .iter()
            .map(|concern| match concern {
                Concern::Feed { view, feed } => format!("{} {}", view.info.name, feed.counts.total),
                Concern::Silent { view, .. } => format!("{} silent", view.info.name),
                Concern::Hidden { view, .. } => format!("{} hidden", view.info.name),
                Concern::Hazard { hazard, .. } => (*hazard).to_owned(),
                Concern::OutOfStep { why, .. } => (*why).to_owned(),
                Concern::Ahead { view, .. } => format!("{} ahead", view.info.name),
                Concern::NotConfigured { view, .. } => format!("{} not configured", view.info.name),
            })
            .collect();
        assert_eq!(told, ["Odoo 1000", "PACS silent", "OpenELIS 37", "Odoo 2", "A row without a time.", "A gap."]);
    }

    #[test]
    fn a_retry_is_told_with_its_batches() {
        let info = view("Odoo", up(), vec![]).info;
        assert_eq!(
            retry_schedule(&info, &[100]).unwrap(),
            "If the retry job of Odoo runs, it runs every 30 s and takes 5 events of a feed at a time, oldest first. 100 \
             events take at least 20 runs, 10 min."
        );
        let feeds = retry_schedule(&info, &[12, 60]).unwrap();
        assert!(feeds.ends_with(" 72 events of 2 feeds take at least 12 runs, 6 min."), "{feeds}");
        assert!(!retry_schedule(&info, &[5, 5]).unwrap().contains("at least"));
        assert_eq!(retry_schedule(&info, &[]), None);
    }

    fn operation(kind: RequestKind, counts: OutcomeCounts) -> Operation {
        Operation {
            id: 1,
            started_at: DateTime::UNIX_EPOCH,
            finished_at: Some(DateTime::UNIX_EPOCH),
            who: "local".into(),
            address: "127.0.0.1".into(),
            kind,
            scope: "2 selected failed events".into(),
            reason: None,
            stage: Stage::Ended,
            note: None,
            planned: None,
            left_out: None,
            pace: Pace::default(),
            later_resolved: 0,
            later_failed: 0,
            counts,
            followed: Followed::default(),
        }
    }

    #[test]
    fn every_row_of_an_operation_is_accounted_for() {
        let counts = OutcomeCounts { asked: 1, reset: 1, ..OutcomeCounts::default() };
        assert_eq!(outcome(&operation(RequestKind::Retry, counts)), "Retry requested for 1 row.");
        let counts = OutcomeCounts {
            asked: 1200,
            reset: 1188,
            changed: 4,
            gone: 1,
            failed: 2,
            taken: 2,
            ..OutcomeCounts::default()
        };
        assert_eq!(
            outcome(&operation(RequestKind::Retry, counts)),
            "Retry requested for 1,188 of 1,200 rows. 2 left to another operation. 4 changed meanwhile and left alone. 1 \
             gone from the table. 2 not written. 3 not reached."
        );
        let running = Operation { finished_at: None, ..operation(RequestKind::Retry, counts) };
        assert!(outcome(&running).ends_with("3 still to come."), "{}", outcome(&running));
        let counts = OutcomeCounts { asked: 3, restored: 2, already_there: 1, ..OutcomeCounts::default() };
        assert_eq!(
            outcome(&operation(RequestKind::Restore, counts)),
            "Put back 2 of 3 rows. 1 there again, and not doubled."
        );
        assert_eq!(outcome(&operation(RequestKind::Discard, OutcomeCounts::default())), "There was nothing to do.");
    }

    #[test]
    fn an_operation_on_a_feed_is_named_by_its_category() {
        let of =
            |kind, text: &str| scope(&Operation { scope: text.into(), ..operation(kind, OutcomeCounts::default()) });
        assert_eq!(
            of(
                RequestKind::Retry,
                "all exhausted failed events of http://openmrs:8080/openmrs/ws/atomfeed/lab/recent in Odoo"
            ),
            "Retry all exhausted failed events of the lab feed in Odoo"
        );
        assert_eq!(of(RequestKind::Discard, "2 selected failed events"), "Discard 2 selected failed events");
        assert_eq!(of(RequestKind::Restore, "all failed events of x:y"), "Put back all failed events of x:y");
    }

    #[test]
    fn an_operation_says_how_far_it_has_come() {
        let counts = OutcomeCounts { asked: 5_000, reset: 500, ..OutcomeCounts::default() };
        let at = |at| stage(&Operation { stage: at, planned: Some(5_000), ..operation(RequestKind::Retry, counts) });
        assert_eq!(at(Stage::Running), "Under way: 500 of 5,000 rows had their turn.");
        assert_eq!(at(Stage::Paused), "Paused: 500 of 5,000 rows had their turn.");
        assert_eq!(at(Stage::Trying), "The first 500 rows had their turn.");
        assert_eq!(at(Stage::Ended), "");
        let old = Operation { note: Some("The console was ended.".into()), ..operation(RequestKind::Retry, counts) };
        assert_eq!(stage(&old), "Ended early: 500 of 5,000 rows had their turn.");
    }
}
