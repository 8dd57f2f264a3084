//! The meaning of each state in sentences: the cause, and what to do. Pure functions, so that every claim has a test.
//!
//! A sentence never says more than the console knows. The console sees tables, not the consumer: it cannot know whether
//! a consumer runs at all, or whether a retry will succeed. A limit that was not configured is called assumed.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::words::{capitalised, count, count_first, listed, number, span};
use crate::{
    api::overview::Happened,
    model::{
        ApplicationInfo, ApplicationView, Availability, Reach, Seen, ShownState,
        concern::ConcernKind,
        error_text::visible,
        feed::category_of,
        ledger::RequestKind,
        operation::{FeedRetry, Operation},
        quiet::{QuietPublisher, in_short},
        time_left::{TimeLeft, forecast},
    },
};

/// A sort key: the worst state first; within a state, the feeds with the most failed events first.
pub fn worst_first(state: ShownState, failed: u64) -> impl Ord {
    (state, u64::MAX - failed)
}

/// Returns the number of an application's feeds in each state, the worst state first, without empty states.
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
    view.feeds().iter().map(|feed| ShownState::of(feed, &view.info))
}

/// `1 feed is stopped, 2 have failures`; `None` if no feed is in these states.
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

/// Describes one application in a sentence, without its name.
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

/// The same as the heading of the application's page. `quiet`: the quiet publishers from which it reads.
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

/// The headline of the overview: what is broken, and how much needs action. Counts the data of the last polls. `quiet`:
/// the quiet publishers.
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
    // Nothing fails if nothing is read: the numbers alone would look healthy.
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
    // An incomplete configuration entry is mentioned at the end.
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

/// Returns the applications whose database cannot be read.
fn unread(views: &[ApplicationView]) -> impl Iterator<Item = &ApplicationView> {
    views.iter().filter(|view| view.reach.trouble().is_some())
}

/// Returns whether none of these servers answered at all, not even with a refusal.
fn all_are_silent<'v>(mut views: impl Iterator<Item = &'v ApplicationView>) -> bool {
    views.all(|view| matches!(view.reach, Reach::Unreachable { answers: false, .. }))
}

/// Counts the applications whose database cannot be read, as part of a heading: `2 not answering`. `None` if all can be
/// read.
pub fn unread_in_short(views: &[ApplicationView]) -> Option<(u64, &'static str)> {
    match unread(views).count() as u64 {
        0 => None,
        some if all_are_silent(unread(views)) => Some((some, "not answering")),
        some => Some((some, "not readable")),
    }
}

/// Returns whether nothing new is read from a feed in this state.
fn reads_nothing(state: ShownState) -> bool {
    matches!(state, ShownState::Stopped | ShownState::NotReading | ShownState::CannotContinue)
}

/// The tab title of the overview: only the worst problem. `Overview` if nothing is broken.
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

/// Says which databases answered; the console asks nothing else.
pub fn answered(views: &[ApplicationView]) -> String {
    let asked: Vec<&ApplicationView> =
        views.iter().filter(|view| !matches!(view.reach, Reach::NotConfigured { .. })).collect();
    let answering = asked.iter().filter(|view| matches!(view.reach, Reach::Reachable { .. })).count();
    match (answering, asked.len()) {
        (1, 1) => "The database answered.".to_owned(),
        (all, of) if all == of => format!("All {} databases answered.", number(all as u64)),
        (some, of) => {
            // A server that refuses the console has answered, too.
            let what = if all_are_silent(unread(views)) { "answered" } else { "could be read" };
            format!("{} of {} {what}.", number(some as u64), count(of as u64, "database"))
        }
    }
}

/// What is new since a time, as the text of a link: `11 new`.
pub fn new_since(since: &Happened) -> String {
    match since.failed {
        0 => "nothing new".to_owned(),
        failed => format!("{} new", number(failed)),
    }
}

/// What else happened since then: `, 3 resolved, 1 feed stopped`.
pub fn rest_since(since: &Happened) -> String {
    let mut rest = format!(", {} resolved", number(since.resolved));
    if since.stopped > 0 {
        rest.push_str(&format!(", {} stopped", count(since.stopped, "feed")));
    }
    rest
}

/// Names the applications whose numbers are old, because their database does not answer.
pub fn shown_as_last_seen(views: &[ApplicationView]) -> Option<String> {
    let seen = views.iter().filter(|view| view.reach.trouble().is_some() && view.seen.is_some());
    let names: Vec<String> = seen.map(|view| view.info.name.clone()).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    (!names.is_empty()).then(|| format!("{} {verb} shown as last seen.", listed(names)))
}

/// Names the applications whose ledger counts may be old, because they cannot be read now.
pub fn counted_as_last_seen(names: &[String]) -> Option<String> {
    let whose = if names.len() == 1 { "Its events are" } else { "Their events are" };
    let listed = listed(names.iter().map(|name| visible(name)));
    (!names.is_empty()).then(|| format!("{listed} could not be read. {whose} counted as last seen."))
}

/// When a retry takes effect, by the configured schedule; `reset`: the number of rows of each feed. `None` if there are
/// no rows, or if the application never retries.
pub fn retry_schedule(info: &ApplicationInfo, reset: &[u64]) -> Option<String> {
    let limits = &info.limits;
    // Each run processes a batch of every feed, so the longest feed determines the end.
    let longest = reset.iter().copied().max()?;
    let TimeLeft { about, most } = forecast(limits, longest)?;
    let batch = u64::from(limits.retry_batch.max(1));
    let runs = longest.div_ceil(batch);
    let assumed = if limits.assumed { " (assumed)" } else { "" };
    let every = span(limits.retry_interval_secs);
    let how_long = if runs > 1 {
        let feeds = if reset.len() > 1 { format!(" of {}", count(reset.len() as u64, "feed")) } else { String::new() };
        format!(
            " {}{feeds} take at least {} runs, {}, and up to {} if all fail again.",
            count_first(reset.iter().sum(), "event"),
            number(runs),
            span(about),
            span(most)
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

/// Lists the names of the applications with these keys for a sentence; empty if none of them is configured.
pub fn applications_named(keys: &BTreeSet<String>, applications: &[ApplicationInfo]) -> String {
    listed(applications.iter().filter(|app| keys.contains(&app.key)).map(|app| app.name.clone()))
}

/// The sentence of a page without failed events to show: `unread` are the names of the applications that could not be
/// read, and `others` says whether others could be.
pub fn none_failed(unread: impl IntoIterator<Item = String>, others: bool) -> String {
    match listed(unread.into_iter().map(|name| visible(&name))) {
        none if none.is_empty() => "No failed events".to_owned(),
        _ if others => "No failed events in the applications that answered".to_owned(),
        names => format!("{names} could not be read"),
    }
}

/// The name of an operation kind.
pub fn deed(kind: RequestKind) -> &'static str {
    match kind {
        RequestKind::Retry => "Retry",
        RequestKind::Discard => "Discard",
        RequestKind::Restore => "Restore",
    }
}

/// The heading of an operation: a feed's address in it is replaced by its category.
pub fn scope(operation: &Operation) -> String {
    let short = |word: &str| match category_of(word) {
        Some(category) if word.contains("://") => format!("the {category} feed"),
        _ => word.to_owned(),
    };
    let words: Vec<String> = operation.scope.split(' ').map(short).collect();
    visible(&format!("{} {}", deed(operation.kind), words.join(" ")))
}

/// A feed's retry in progress: `Retry by operator in progress: 472 of 1,000 tried`.
pub fn retry_in_progress(retry: &FeedRetry) -> String {
    let stands = if retry.paused { "paused" } else { "in progress" };
    let feeds = if retry.feeds > 1 { format!(" in {}", count(retry.feeds, "feed")) } else { String::new() };
    let (tried, all) = (number(retry.tried), number(retry.all));
    format!("Retry by {} {stands}: {tried} of {all} tried{feeds}", visible(&retry.who))
}

/// The outcome of an operation's rows so far, and the time left if known.
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

/// The sentence of a retry without any result.
fn sent(operation: &Operation) -> String {
    let requested = done("Retry requested for", operation.counts.reset, operation.counts.asked);
    if operation.awaited() > 0 { format!("{requested} Waiting for results.") } else { requested }
}

/// The results of a retry; `None` if there are none yet.
fn results(operation: &Operation, left: Option<TimeLeft>) -> Option<String> {
    let seen = operation.followed;
    if seen.open == seen.all() {
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
mod tests;
