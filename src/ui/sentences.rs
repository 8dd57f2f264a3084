//! What the states mean, in sentences: the cause, and what to do. Pure functions, so that every claim has a test.
//!
//! A sentence never says more than the console knows. It sees tables, not the consumer: whether a consumer runs at all,
//! and whether a retry will succeed, it cannot know. A limit that was not configured is called assumed.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::words::{capitalised, count, count_first, listed, number, span};
use crate::{
    api::overview::SinceVisit,
    model::{
        ApplicationInfo, ApplicationView, Availability, Feed, Reach, Seen, ShownState,
        concerns::ConcernKind,
        error_text::visible,
        feed::category_of,
        ledger::RequestKind,
        operation::{FeedRetry, Operation},
        quiet::{QuietPublisher, in_short},
        time_left::TimeLeft,
    },
};

/// A key to sort by: the worst state first, and the feeds of one state by their failed events, most first.
pub fn worst_first(state: ShownState, failed: u64) -> impl Ord {
    (state, u64::MAX - failed)
}

/// How many feeds of an application are in each state, the worst state first; states without feeds are left out.
pub fn feeds_by_state(view: &ApplicationView) -> Vec<(ShownState, u64)> {
    by_state(&states_of(view).collect::<Vec<_>>())
}

fn by_state(states: &[ShownState]) -> Vec<(ShownState, u64)> {
    ShownState::ALL
        .into_iter()
        .map(|state| (state, states.iter().filter(|other| **other == state).count() as u64))
        .filter(|(_, feeds)| *feeds > 0)
        .collect()
}

fn states_of(view: &ApplicationView) -> impl Iterator<Item = ShownState> {
    feeds_of(view).iter().map(|feed| ShownState::of(feed, &view.info))
}

/// `1 feed is stopped, 2 have failures`; `None` without any of the feeds in these states.
fn feeds_sentence(by_state: &[(ShownState, u64)]) -> Option<String> {
    let mut sentence = String::new();
    for (state, feeds) in by_state {
        let (one, several) = match state {
            ShownState::Stopped => ("is stopped", "are stopped"),
            ShownState::NotReading => ("is not reading", "are not reading"),
            ShownState::CannotContinue => ("cannot continue", "cannot continue"),
            ShownState::NearLimit => ("is near the limit", "are near the limit"),
            ShownState::RetryOverdue => ("has overdue retries", "have overdue retries"),
            ShownState::Failing => ("has failures", "have failures"),
            ShownState::Unknown => ("has an unknown state", "have an unknown state"),
            ShownState::Running => ("is running", "are running"),
        };
        let what = if *feeds == 1 { one } else { several };
        if sentence.is_empty() {
            sentence = format!("{} {what}", count(*feeds, "feed"));
        } else {
            sentence.push_str(&format!(", {} {what}", number(*feeds)));
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
        (reach @ Reach::Unreachable { .. }, _) => reach.trouble().unwrap_or_default().to_owned(),
        (Reach::NotConfigured { .. }, _) => "not configured".to_owned(),
        (Reach::NotYet, _) | (_, None) => "not checked yet".to_owned(),
        (Reach::Reachable { .. }, Some(Seen { feeds: Availability::NotHere(_), .. })) => {
            "its feeds cannot be read".to_owned()
        }
        (Reach::Reachable { .. }, Some(_)) => {
            let by_state = feeds_by_state(view);
            match by_state.as_slice() {
                [] => "no feeds".to_owned(),
                [(ShownState::Running, 1)] => "its feed is running".to_owned(),
                [(ShownState::Running, feeds)] => format!("all {} feeds are running", number(*feeds)),
                _ => {
                    let troubled: Vec<_> =
                        by_state.iter().copied().filter(|(state, _)| *state != ShownState::Running).collect();
                    feeds_sentence(&troubled).unwrap_or_default()
                }
            }
        }
    }
}

/// The same as the heading of its page. `quiet`: the quiet publishers that it reads from.
pub fn application_heading(view: &ApplicationView, quiet: &[QuietPublisher], now: DateTime<Utc>) -> String {
    let name = &view.info.name;
    match view.reach {
        Reach::Reachable { .. } => {
            let running = states_of(view).all(|state| state == ShownState::Running);
            let nothing_read = in_short(quiet, now);
            match nothing_read {
                Some(nothing_read) if running => format!("{name}: {nothing_read}"),
                Some(nothing_read) => format!("{name}: {}, {nothing_read}", application(view)),
                None => format!("{name}: {}", application(view)),
            }
        }
        Reach::Unreachable { .. } => format!("{name} {}", application(view)),
        Reach::NotYet => format!("{name} has not been checked yet"),
        Reach::NotConfigured { .. } => format!("{name} is not configured"),
    }
}

/// The overview in a few words: what is broken, and how much needs action. Counts what was last seen. `quiet`: the quiet
/// publishers.
pub fn headline(views: &[ApplicationView], quiet: &[QuietPublisher], now: DateTime<Utc>) -> String {
    if views.is_empty() {
        return "No application is configured.".to_owned();
    }
    let mut sentences = Vec::new();
    let unread: Vec<&ApplicationView> = unread(views).collect();
    match unread.as_slice() {
        [] => {}
        [view] => sentences.push(format!("{} {}.", view.info.name, application(view))),
        more => {
            let trouble = if all_are_silent(more.iter().copied()) { "do not answer" } else { "cannot be read" };
            sentences.push(format!("{} {trouble}.", count(more.len() as u64, "application")));
        }
    }
    // Nothing fails where nothing is read: the numbers alone would look healthy.
    sentences.extend(in_short(quiet, now).map(|words| format!("{}.", capitalised(&words))));
    let feeds: Vec<ShownState> = views.iter().flat_map(states_of).collect();
    let broken: Vec<_> = by_state(&feeds).into_iter().filter(|(state, _)| reads_nothing(*state)).collect();
    sentences.extend(feeds_sentence(&broken).map(|sentence| format!("{sentence}.")));

    let sum = |rows: fn(&Seen) -> Option<u64>| {
        views.iter().filter_map(|view| view.seen.as_deref()).filter_map(rows).sum::<u64>()
    };
    match sum(|seen| seen.exhausted) {
        0 => {}
        1 => sentences.push("1 failed event needs action.".to_owned()),
        exhausted => sentences.push(format!("{} need action.", count(exhausted, "failed event"))),
    }
    if !sentences.is_empty() {
        return sentences.join(" ");
    }
    // An entry that is not whole is told at the end.
    let concerns = views.iter().flat_map(|view| &view.concerns).map(|concern| concern.kind);
    match concerns.filter(|kind| *kind != ConcernKind::NotConfigured).count() as u64 {
        0 => {}
        1 => return "1 problem needs attention.".to_owned(),
        concerns => return format!("{} need attention.", count(concerns, "problem")),
    }
    if views.iter().any(|view| view.reach == Reach::NotYet) {
        return "Checking the applications for the first time.".to_owned();
    }
    let running = match feeds.iter().filter(|state| **state == ShownState::Running).count() as u64 {
        all if all == feeds.len() as u64 && all > 1 => format!("All {} feeds are running.", number(all)),
        all if all == feeds.len() as u64 && all == 1 => "The feed is running.".to_owned(),
        _ => "Nothing needs action.".to_owned(),
    };
    let mut calm = match sum(|seen| seen.waiting) {
        0 => format!("{running} No failed events."),
        1 => "Nothing needs action. 1 failed event will be retried automatically.".to_owned(),
        waiting => {
            format!("Nothing needs action. {} will be retried automatically.", count(waiting, "failed event"))
        }
    };
    let lacking: Vec<&ApplicationView> =
        views.iter().filter(|view| matches!(view.reach, Reach::NotConfigured { .. })).collect();
    match lacking.as_slice() {
        [] => {}
        [view] => calm.push_str(&format!(" {} is not configured.", view.info.name)),
        more => calm.push_str(&format!(" {} are not configured.", count(more.len() as u64, "application"))),
    }
    calm
}

/// Those whose database cannot be read.
fn unread(views: &[ApplicationView]) -> impl Iterator<Item = &ApplicationView> {
    views.iter().filter(|view| view.reach.trouble().is_some())
}

/// Whether no server of these answered at all, not even with a refusal.
fn all_are_silent<'v>(mut views: impl Iterator<Item = &'v ApplicationView>) -> bool {
    views.all(|view| matches!(view.reach, Reach::Unreachable { answers: false, .. }))
}

/// How many applications' databases cannot be read, as a part of a heading: `2 not answering`. `None` where all can.
pub fn unread_in_short(views: &[ApplicationView]) -> Option<(u64, &'static str)> {
    match unread(views).count() as u64 {
        0 => None,
        some if all_are_silent(unread(views)) => Some((some, "not answering")),
        some => Some((some, "not readable")),
    }
}

/// Nothing new is read from a feed in this state.
fn reads_nothing(state: ShownState) -> bool {
    matches!(state, ShownState::Stopped | ShownState::NotReading | ShownState::CannotContinue)
}

/// The overview in the title of its tab: the worst alone. `Overview` where nothing is broken.
pub fn tab(views: &[ApplicationView], quiet: &[QuietPublisher]) -> String {
    let unread = unread_in_short(views);
    let feeds: Vec<ShownState> = views.iter().flat_map(states_of).collect();
    let worst_feeds = by_state(&feeds).into_iter().find(|(state, _)| reads_nothing(*state));
    let worst = match (unread, worst_feeds) {
        (None, None) => match quiet {
            [] => return "Overview".to_owned(),
            [publisher] => format!("nothing read from {}", visible(&publisher.name)),
            several => format!("nothing read from {}", count(several.len() as u64, "publisher")),
        },
        (None, Some((state, feeds))) => format!("{} {}", count(feeds, "feed"), state.after_number()),
        (Some((databases, trouble)), _) => format!("{} {trouble}", count(databases, "database")),
    };
    format!("(!) {worst}")
}

/// What answered: the databases, which is all that the console asks.
pub fn answered(views: &[ApplicationView]) -> String {
    let asked: Vec<&ApplicationView> =
        views.iter().filter(|view| !matches!(view.reach, Reach::NotConfigured { .. })).collect();
    let answering = asked.iter().filter(|view| matches!(view.reach, Reach::Reachable { .. })).count();
    match (answering, asked.len()) {
        (1, 1) => "The database answered.".to_owned(),
        (all, of) if all == of => format!("All {} databases answered.", number(all as u64)),
        (some, of) => {
            // Who refuses the console answers as well.
            let what = if all_are_silent(unread(views)) { "answered" } else { "could be read" };
            format!("{} of {} {what}.", number(some as u64), count(of as u64, "database"))
        }
    }
}

/// What is new since a visit, as the text of a link: `11 new`.
pub fn new_since(since: &SinceVisit) -> String {
    match since.failed {
        0 => "nothing new".to_owned(),
        failed => format!("{} new", number(failed)),
    }
}

/// What else happened since a visit: `, 3 resolved, 1 feed stopped`.
pub fn rest_since(since: &SinceVisit) -> String {
    let mut rest = format!(", {} resolved", number(since.resolved));
    if since.stopped > 0 {
        rest.push_str(&format!(", {} stopped", count(since.stopped, "feed")));
    }
    rest
}

/// Whose numbers are not of now, because the database does not answer.
pub fn shown_as_last_seen(views: &[ApplicationView]) -> Option<String> {
    let seen = views.iter().filter(|view| view.reach.trouble().is_some() && view.seen.is_some());
    let names: Vec<String> = seen.map(|view| view.info.name.clone()).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    (!names.is_empty()).then(|| format!("{} {verb} shown as last seen.", listed(names)))
}

/// Of which applications the ledger's counts may be of before, because they cannot be read now.
pub fn counted_as_last_seen(names: &[String]) -> Option<String> {
    let whose = if names.len() == 1 { "Its events are" } else { "Their events are" };
    let listed = listed(names.iter().map(|name| visible(name)));
    (!names.is_empty()).then(|| format!("{listed} could not be read. {whose} counted as last seen."))
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

/// The names of the applications with these keys, as a list for a sentence; empty: none of them is configured.
pub fn applications_named(keys: &BTreeSet<String>, applications: &[ApplicationInfo]) -> String {
    listed(applications.iter().filter(|app| keys.contains(&app.key)).map(|app| app.name.clone()))
}

/// What a page says where it has no failed events to show: `unread` are the names of the applications that could not be
/// read, and `others` says whether others could.
pub fn none_failed(unread: impl IntoIterator<Item = String>, others: bool) -> String {
    match listed(unread.into_iter().map(|name| visible(&name))) {
        none if none.is_empty() => "No failed events".to_owned(),
        _ if others => "No failed events in the applications that answered".to_owned(),
        names => format!("{names} could not be read"),
    }
}

/// What an operation is called.
pub fn deed(kind: RequestKind) -> &'static str {
    match kind {
        RequestKind::Retry => "Retry",
        RequestKind::Discard => "Discard",
        RequestKind::Restore => "Restore",
    }
}

/// What an operation is about, as a heading: a feed's address in it gives way to its category.
pub fn scope(operation: &Operation) -> String {
    let short = |word: &str| match category_of(word) {
        Some(category) if word.contains("://") => format!("the {category} feed"),
        _ => word.to_owned(),
    };
    let words: Vec<String> = operation.scope.split(' ').map(short).collect();
    visible(&format!("{} {}", deed(operation.kind), words.join(" ")))
}

/// A retry of a feed that is in progress: `Retry by operator in progress: 472 of 1,000 tried`.
pub fn retry_in_progress(retry: &FeedRetry) -> String {
    let stands = if retry.paused { "paused" } else { "in progress" };
    let feeds = if retry.feeds > 1 { format!(" in {}", count(retry.feeds, "feed")) } else { String::new() };
    let (tried, all) = (number(retry.tried), number(retry.all));
    format!("Retry by {} {stands}: {tried} of {all} tried{feeds}", visible(&retry.who))
}

/// What became of an operation's rows so far, and how long the rest takes, where that is known.
pub fn outcome(operation: &Operation, left: Option<TimeLeft>) -> String {
    let counts = operation.counts;
    if counts.asked == 0 {
        return "There was nothing to do.".to_owned();
    }
    let mut sentence = match operation.kind {
        RequestKind::Retry => results(operation, left).unwrap_or_else(|| sent(operation)),
        RequestKind::Discard => done("Discarded", counts.discarded, counts.asked),
        RequestKind::Restore => done("Restored", counts.restored, counts.asked),
    };
    let finished = operation.finished_at.is_some();
    for (rows, what) in [
        (counts.already_there, "in the table again and not duplicated (copy kept)"),
        (counts.taken, "skipped (another operation is running)"),
        (counts.changed, "skipped (changed in the meantime)"),
        (counts.gone, "not in the table any more"),
        (counts.too_long, "skipped (too long)"),
        (counts.failed, "not written"),
        (counts.uncertain, "uncertain: it is not known whether the change was written"),
        (counts.busy, if finished { "locked by another transaction" } else { "locked, will be tried again" }),
        (counts.to_come(), if finished { "not started" } else { "not started yet" }),
    ] {
        if rows > 0 {
            sentence.push_str(&format!(" {} {what}.", number(rows)));
        }
    }
    match operation.followed.unfollowed {
        0 => {}
        rows => sentence.push_str(&format!(" The result of {} is not followed.", count(rows, "event"))),
    }
    sentence
}

/// `Discarded 2 events.`, `Restored 2 of 3 events.`
fn done(what: &str, done: u64, asked: u64) -> String {
    if done == asked {
        format!("{what} {}.", count(asked, "event"))
    } else {
        format!("{what} {} of {}.", number(done), count(asked, "event"))
    }
}

/// A retry without any result.
fn sent(operation: &Operation) -> String {
    let requested = done("Retry requested for", operation.counts.reset, operation.counts.asked);
    if operation.awaited() > 0 { format!("{requested} Waiting for results.") } else { requested }
}

/// The results of a retry; `None`: there are none yet.
fn results(operation: &Operation, left: Option<TimeLeft>) -> Option<String> {
    let seen = operation.followed;
    if operation.tried() == 0 {
        return None;
    }
    let parts = [
        (seen.resolved, "succeeded"),
        (seen.failed_again, "failed again"),
        (seen.overwritten, "lost (another retry was running)"),
        (seen.gone, "removed, reason unknown"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(rows, _)| *rows > 0).map(|(rows, what)| format!("{} {what}", number(*rows))).collect();
    let parts = parts.join(", ");
    if seen.open == 0 {
        return Some(format!("{parts}."));
    }
    let left = left.map(|left| format!(" {}", time_left(left, seen.failed_again > 0)));
    let (tried, all) = (number(operation.tried()), number(seen.all()));
    Some(format!("{tried} of {all} tried: {parts}.{}", left.unwrap_or_default()))
}

/// `About 19 min left, up to 90 min if the others fail again.` `failing`: some failed again.
fn time_left(left: TimeLeft, failing: bool) -> String {
    let (about, most) = (span(left.about.max(1)), span(left.most.max(1)));
    match (about == most, failing) {
        (true, true) => format!("Up to {most} left: events that fail again are tried again before the others."),
        (true, false) => format!("About {about} left."),
        (false, _) => format!("About {about} left, up to {most} if the others fail again."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        FeedState, Limits, Reader, concerns,
        operation::{Followed, OutcomeCounts, Stage},
        samples::{self, down, feed_with, limits, shut, unconfigured, up, view},
    };

    #[test]
    fn where_nobody_retries_no_schedule_is_told() {
        let mut info = view("OpenMRS", up(), vec![]).info;
        info.limits = Limits { max_retry: None, max_failed_events: None, ..limits() };
        assert_eq!(retry_schedule(&info, &[3]), None);
    }

    #[test]
    fn the_headline_tells_what_is_broken_and_how_much_needs_action() {
        let stopped = || feed_with(9, 1005, 1014);
        let lab = || feed_with(0, 37, 37);
        let fine = || feed_with(0, 0, 0);
        for (views, sentence) in [
            (vec![], "No application is configured."),
            (vec![view("Odoo", up(), vec![fine()])], "The feed is running. No failed events."),
            (vec![view("Odoo", up(), vec![fine(), fine()])], "All 2 feeds are running. No failed events."),
            (
                vec![view("Odoo", up(), vec![feed_with(2, 0, 2)])],
                "Nothing needs action. 2 failed events will be retried automatically.",
            ),
            (
                vec![view("Odoo", up(), vec![stopped()]), view("OpenELIS", up(), vec![lab(), fine()])],
                "1 feed is stopped. 1,042 failed events need action.",
            ),
            (vec![view("Odoo", down(), vec![fine()])], "Odoo does not answer."),
            (
                vec![view("Odoo", down(), vec![]), view("PACS", down(), vec![feed_with(0, 1, 1)])],
                "2 applications do not answer. 1 failed event needs action.",
            ),
            (vec![view("Odoo", shut(), vec![fine()])], "Odoo cannot be read."),
            (vec![view("Odoo", down(), vec![]), view("PACS", shut(), vec![])], "2 applications cannot be read."),
            (vec![view("Odoo", Reach::NotYet, vec![])], "Checking the applications for the first time."),
            (
                vec![view("PACS", up(), vec![fine()]), unconfigured("Odoo")],
                "The feed is running. No failed events. Odoo is not configured.",
            ),
            (
                vec![view("PACS", up(), vec![fine()]), unconfigured("Odoo"), unconfigured("OpenELIS")],
                "The feed is running. No failed events. 2 applications are not configured.",
            ),
        ] {
            assert_eq!(headline(&views, &[], now()), sentence);
        }
    }

    #[test]
    fn the_tab_tells_the_worst() {
        let stopped = || view("Odoo", up(), vec![feed_with(9, 1005, 1014), feed_with(0, 1, 1)]);
        let fails = || view("Odoo", up(), vec![feed_with(0, 1, 1)]);
        assert_eq!(tab(&[stopped()], &[]), "(!) 1 feed stopped");
        assert_eq!(tab(&[stopped(), view("PACS", down(), vec![])], &[]), "(!) 1 database not answering");
        assert_eq!(tab(&[stopped(), view("PACS", shut(), vec![])], &[]), "(!) 1 database not readable");
        assert_eq!(tab(&[fails()], &[]), "Overview");
        assert_eq!(tab(&[fails()], &[quiet("OpenMRS", 70)]), "(!) nothing read from OpenMRS");
        assert_eq!(
            tab(&[fails()], &[quiet("OpenMRS", 70), quiet("OpenELIS", 90)]),
            "(!) nothing read from 2 publishers"
        );
        assert_eq!(tab(&[stopped()], &[quiet("OpenMRS", 70)]), "(!) 1 feed stopped");
    }

    fn quiet(name: &str, minutes: i64) -> QuietPublisher {
        let since = now() - chrono::TimeDelta::minutes(minutes);
        QuietPublisher { name: name.into(), since, usual_secs: 120, read_by: vec!["odoo".into()] }
    }

    #[test]
    fn a_retry_in_progress_says_whose_it_is_and_how_far_it_has_come() {
        let retry = FeedRetry {
            app: "odoo".into(),
            uri: None,
            rows: 1000,
            operation: 7,
            who: "operator".into(),
            paused: false,
            tried: 472,
            all: 1000,
            feeds: 1,
        };
        assert_eq!(retry_in_progress(&retry), "Retry by operator in progress: 472 of 1,000 tried");
        let retry = FeedRetry { paused: true, feeds: 3, ..retry };
        assert_eq!(retry_in_progress(&retry), "Retry by operator paused: 472 of 1,000 tried in 3 feeds");
    }

    #[test]
    fn a_quiet_publisher_is_told_before_what_is_running() {
        let fine = || view("Odoo", up(), vec![feed_with(0, 0, 0)]);
        let openmrs = [quiet("OpenMRS", 70)];
        assert_eq!(headline(&[fine()], &openmrs, now()), "Nothing read from OpenMRS for 70 min.");
        let stopped = view("Odoo", up(), vec![feed_with(9, 1000, 1009)]);
        assert_eq!(
            headline(&[stopped], &openmrs, now()),
            "Nothing read from OpenMRS for 70 min. 1 feed is stopped. 1,000 failed events need action."
        );
        assert_eq!(application_heading(&fine(), &openmrs, now()), "Odoo: nothing read from OpenMRS for 70 min");
        let failing = view("Odoo", up(), vec![feed_with(2, 0, 2)]);
        assert_eq!(
            application_heading(&failing, &openmrs, now()),
            "Odoo: 1 feed has failures, nothing read from OpenMRS for 70 min"
        );
    }

    #[test]
    fn what_answered_is_databases_and_not_applications() {
        let fine = || view("Odoo", up(), vec![]);
        assert_eq!(answered(&[fine(), fine(), unconfigured("PACS")]), "All 2 databases answered.");
        assert_eq!(answered(&[fine(), view("PACS", down(), vec![])]), "1 of 2 databases answered.");
        assert_eq!(answered(&[fine(), view("PACS", shut(), vec![])]), "1 of 2 databases could be read.");
        assert_eq!(answered(&[fine()]), "The database answered.");
    }

    #[test]
    fn what_happened_since_a_visit_is_told_in_numbers() {
        let since = SinceVisit { at: chrono::DateTime::UNIX_EPOCH, failed: 11, resolved: 3, stopped: 1 };
        assert_eq!(format!("{}{}", new_since(&since), rest_since(&since)), "11 new, 3 resolved, 1 feed stopped");
        let quiet = SinceVisit { failed: 0, resolved: 0, stopped: 0, ..since };
        assert_eq!(format!("{}{}", new_since(&quiet), rest_since(&quiet)), "nothing new, 0 resolved");
    }

    #[test]
    fn numbers_of_a_silent_database_are_said_to_be_old() {
        let fine = || view("OpenELIS", up(), vec![feed_with(0, 0, 0)]);
        assert_eq!(shown_as_last_seen(&[fine()]), None);
        let odoo = || view("Odoo", down(), vec![feed_with(0, 1000, 1000)]);
        assert_eq!(shown_as_last_seen(&[fine(), odoo()]).unwrap(), "Odoo is shown as last seen.");
        let three = ["Odoo", "OpenMRS", "Crater"].map(|name| view(name, down(), vec![]));
        assert_eq!(shown_as_last_seen(&three).unwrap(), "Odoo, OpenMRS and Crater are shown as last seen.");
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
                "1 feed is stopped, 1 is not reading, 2 have failures",
            ),
            (down(), vec![feed_with(0, 0, 0)], "does not answer"),
            (shut(), vec![feed_with(0, 0, 0)], "cannot be read"),
        ] {
            assert_eq!(application(&view("Odoo", reach, feeds)), sentence);
        }
    }

    #[test]
    fn a_feed_has_one_state_in_the_heading_and_in_the_table() {
        let mut lost = feed_with(0, 0, 0);
        (lost.markers[0].page_uri, lost.state) = (Some("?".into()), FeedState::Unknown);
        let mut overdue = feed_with(3, 0, 3);
        overdue.signs.unretried_since = DateTime::from_timestamp(1_800_000_000, 0);
        let odoo = view("Odoo", up(), vec![overdue, lost, feed_with(0, 1, 1)]);
        assert_eq!(
            feeds_by_state(&odoo),
            [(ShownState::CannotContinue, 1), (ShownState::RetryOverdue, 1), (ShownState::Failing, 1)]
        );
        assert_eq!(application(&odoo), "1 feed cannot continue, 1 has overdue retries, 1 has failures");
        assert_eq!(headline(&[odoo], &[], now()), "1 feed cannot continue. 1 failed event needs action.");
    }

    #[test]
    fn the_headline_is_not_calm_while_something_is_a_concern() {
        let concerned = |feeds| {
            let mut odoo = view("Odoo", up(), feeds);
            odoo.concerns =
                concerns::of(&odoo, &[], DateTime::from_timestamp(1_800_000_000, 0).unwrap(), &Reader::default());
            odoo
        };
        assert_eq!(headline(&[concerned(vec![feed_with(900, 0, 900)])], &[], now()), "1 problem needs attention.");
        let two = [concerned(vec![feed_with(900, 0, 900)]), concerned(vec![feed_with(999, 0, 999)])];
        assert_eq!(headline(&two, &[], now()), "2 problems need attention.");
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
        let ended = samples::operation(kind, Stage::Ended, counts, Followed::default());
        Operation { finished_at: Some(ended.started_at), scope: "2 selected failed events".into(), ..ended }
    }

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(720)
    }

    #[test]
    fn every_row_of_an_operation_is_accounted_for() {
        let counts = OutcomeCounts { asked: 1, reset: 1, ..OutcomeCounts::default() };
        assert_eq!(outcome(&operation(RequestKind::Retry, counts), None), "Retry requested for 1 event.");
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
            outcome(&operation(RequestKind::Retry, counts), None),
            "Retry requested for 1,188 of 1,200 events. 2 skipped (another operation is running). 4 skipped (changed in the \
             meantime). 1 not in the table any more. 2 not written. 3 not started."
        );
        let running = Operation { finished_at: None, ..operation(RequestKind::Retry, counts) };
        assert!(outcome(&running, None).ends_with("3 not started yet."), "{}", outcome(&running, None));
        let counts = OutcomeCounts { asked: 3, restored: 2, already_there: 1, ..OutcomeCounts::default() };
        assert_eq!(
            outcome(&operation(RequestKind::Restore, counts), None),
            "Restored 2 of 3 events. 1 in the table again and not duplicated (copy kept)."
        );
        let nothing = operation(RequestKind::Discard, OutcomeCounts::default());
        assert_eq!(outcome(&nothing, None), "There was nothing to do.");
    }

    #[test]
    fn a_retry_says_what_was_tried_what_came_of_it_and_what_is_left() {
        let counts = OutcomeCounts { asked: 1_000, reset: 1_000, ..OutcomeCounts::default() };
        let left = Some(TimeLeft { about: 800, most: 15_000 });
        let said = |followed| outcome(&Operation { followed, ..operation(RequestKind::Retry, counts) }, left);
        assert_eq!(
            said(Followed { open: 1_000, ..Followed::default() }),
            "Retry requested for 1,000 events. Waiting for results."
        );
        assert_eq!(
            said(Followed { open: 528, resolved: 44, failed_again: 428, ..Followed::default() }),
            "472 of 1,000 tried: 44 succeeded, 428 failed again. About 13 min left, up to 4 h if the others \
             fail again."
        );
        assert_eq!(
            said(Followed { resolved: 44, failed_again: 954, overwritten: 1, gone: 1, ..Followed::default() }),
            "44 succeeded, 954 failed again, 1 lost (another retry was running), 1 removed, reason unknown."
        );
        assert_eq!(
            said(Followed { resolved: 998, unfollowed: 2, ..Followed::default() }),
            "998 succeeded. The result of 2 events is not followed."
        );
    }

    #[test]
    fn the_time_left_is_a_limit_where_what_fails_makes_it_longer() {
        let said = |about, most, failing| time_left(TimeLeft { about, most }, failing);
        assert_eq!(
            said(26_700, 26_730, true),
            "Up to 7 h left: events that fail again are tried again before the others."
        );
        assert_eq!(said(60, 60, false), "About 60 s left.");
        assert_eq!(said(5_400, 26_700, false), "About 2 h left, up to 7 h if the others fail again.");
    }

    #[test]
    fn an_operation_on_a_feed_is_named_by_its_category() {
        let of =
            |kind, text: &str| scope(&Operation { scope: text.into(), ..operation(kind, OutcomeCounts::default()) });
        assert_eq!(
            of(
                RequestKind::Retry,
                "all failed events with retries used up from http://openmrs:8080/openmrs/ws/atomfeed/lab/recent in Odoo"
            ),
            "Retry all failed events with retries used up from the lab feed in Odoo"
        );
        assert_eq!(of(RequestKind::Discard, "2 selected failed events"), "Discard 2 selected failed events");
        assert_eq!(of(RequestKind::Restore, "all failed events of x:y"), "Restore all failed events of x:y");
    }
}
