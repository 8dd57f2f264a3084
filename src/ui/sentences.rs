//! What the states mean, in sentences: the cause, and what to do. Pure functions, so that every claim has a test.
//!
//! A sentence never says more than the console knows. It sees tables, not the consumer: whether a consumer runs at all,
//! and whether a retry will succeed, it cannot know. A limit that was not configured is called assumed.

use super::words::{count, count_first, number, numeral, span};
use crate::model::{
    ApplicationInfo, ApplicationView, Availability, Feed, FeedState, Reach, Seen,
    concerns::ConcernKind,
    feed::category_of,
    ledger::RequestKind,
    operation::{Operation, Stage},
};

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

    let sum = |rows: fn(&Seen) -> Option<u64>| {
        views.iter().filter_map(|view| view.seen.as_deref()).filter_map(rows).sum::<u64>()
    };
    match sum(|seen| seen.exhausted) {
        0 => {}
        1 => sentences.push("One event needs a person.".to_owned()),
        exhausted => sentences.push(format!("{} need a person.", count_first(exhausted, "event"))),
    }
    if !sentences.is_empty() {
        return sentences.join(" ");
    }
    // An entry that is not whole is told at the end.
    let concerns = views.iter().flat_map(|view| &view.concerns).map(|concern| concern.kind);
    match concerns.filter(|kind| *kind != ConcernKind::NotConfigured).count() as u64 {
        0 => {}
        1 => return "One thing needs attention.".to_owned(),
        concerns => return format!("{} need attention.", count_first(concerns, "thing")),
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
    let busy = match operation.finished_at {
        Some(_) => "busy: locked by another transaction, and left as they were",
        None => "busy: locked by another transaction, and tried again",
    };
    for (rows, what) in [
        (counts.already_there, "there again, and not doubled"),
        (counts.taken, "left to another operation"),
        (counts.changed, "changed meanwhile and left alone"),
        (counts.gone, "gone from the table"),
        (counts.failed, "not written"),
        (counts.uncertain, "uncertain: it is not known whether the change came through"),
        (counts.busy, busy),
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
    use chrono::DateTime;

    use super::*;
    use crate::model::{
        Limits, concerns,
        operation::{Followed, OutcomeCounts, Pace},
        samples::{down, feed_with, limits, unconfigured, up, view},
    };

    #[test]
    fn where_nobody_retries_no_schedule_is_told() {
        let mut info = view("OpenMRS", up(), vec![]).info;
        info.limits = Limits { max_retry: None, max_failed_events: None, ..limits() };
        assert_eq!(retry_schedule(&info, &[3]), None);
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
    fn the_headline_is_not_calm_while_something_is_a_concern() {
        let concerned = |feeds| {
            let mut odoo = view("Odoo", up(), feeds);
            odoo.concerns = concerns::of(&odoo, &[], DateTime::from_timestamp(1_800_000_000, 0).unwrap());
            odoo
        };
        assert_eq!(headline(&[concerned(vec![feed_with(900, 0, 900)])]), "One thing needs attention.");
        let two = [concerned(vec![feed_with(900, 0, 900)]), concerned(vec![feed_with(999, 0, 999)])];
        assert_eq!(headline(&two), "Two things need attention.");
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
            untitled: 0,
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
