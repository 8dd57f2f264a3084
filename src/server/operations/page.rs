//! The page of an operation: its plan with the present state of the feeds, and the outcomes of its rows.

use std::collections::BTreeSet;

use super::counted;
use crate::{
    api::operations::{FeedOfPlan, OperationPage},
    error::Problem,
    model::{
        feed_names,
        ledger::RequestKind,
        masking,
        operation::{Operation, PlannedFeed, Stage, WhichRows},
    },
    server::{state::Console, store::WhichCopies},
};

/// Rows on one page.
const PAGE: usize = 100;

/// Maximum number of causes on a page: further ones have few rows each.
const CAUSES: u32 = 10;

/// Returns an operation and a page of its rows from position `from` on.
///
/// # Errors
/// Fails if there is no such operation.
pub async fn page(console: &Console, id: i64, from: Option<i64>, which: WhichRows) -> Result<OperationPage, Problem> {
    let store = &console.parts.store;
    let operation = counted(console, id).await?;
    let mut feeds = store.planned_feeds(&operation).await?;
    if operation.stage == Stage::Draft && operation.kind == RequestKind::Retry {
        count_waiting(console, id, &mut feeds).await?;
    }
    let refused = if operation.stage == Stage::Draft { refused(console, &operation, &feeds).await } else { Vec::new() };
    let mut rows = store.courses(id, which, from.unwrap_or(0), PAGE as u32 + 1).await?;
    let mut causes = store.causes_of(id, CAUSES).await?;
    let next = rows.get(PAGE).map(|(position, _)| *position);
    rows.truncate(PAGE);
    if operation.followed.unfollowed == 0 {
        rows.iter_mut().for_each(|(_, row)| row.unfollowed = false);
    }
    if console.masked().is_some() {
        for (_, fault) in rows.iter_mut().filter_map(|(_, row)| row.new_fault.as_mut()) {
            *fault = masking::fault(fault);
        }
        for fault in rows.iter_mut().filter_map(|(_, row)| row.fault.as_mut()) {
            *fault = masking::fault(fault);
        }
        causes.iter_mut().for_each(|cause| cause.said = masking::fault(&cause.said));
    }
    let copies = WhichCopies { operation: Some(id), restorable: true, ..WhichCopies::default() };
    let restorable = if operation.kind == RequestKind::Discard { store.discarded_count(&copies).await? } else { 0 };
    let applications: Vec<_> = console.applications().cloned().collect();
    let past = feeds.iter().map(|feed| (feed.app.clone(), feed.feed_uri.clone()));
    let names = feed_names::with_past(console.named_feeds().await, past, &applications);
    Ok(OperationPage {
        so_far: store.planned_so_far(id).await?,
        feeds: with_states(console, feeds).await,
        refused,
        keep_days: console.parts.config.keep_discarded.map(|keep| keep.num_days()),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        next,
        which,
        causes,
        restorable,
        applications,
        names,
        operation,
    })
}

/// Counts the rows of a plan that wait for an automatic retry, by the limits of their applications.
async fn count_waiting(console: &Console, id: i64, feeds: &mut [PlannedFeed]) -> Result<(), Problem> {
    let apps: BTreeSet<String> = feeds.iter().map(|feed| feed.app.clone()).collect();
    for app in apps {
        let Some(max) = console.info(&app).ok().and_then(|info| info.limits.max_retry) else { continue };
        let waiting = console.parts.store.planned_below(id, &app, max).await?;
        for feed in feeds.iter_mut().filter(|feed| feed.app == app) {
            feed.waiting = waiting.get(&feed.feed_uri).copied().unwrap_or_default();
        }
    }
    Ok(())
}

/// Returns feeds with their last known state.
async fn with_states(console: &Console, feeds: Vec<PlannedFeed>) -> Vec<FeedOfPlan> {
    let views = console.views().await;
    let state = |planned: &PlannedFeed| {
        let view = views.iter().find(|view| view.info.key == planned.app)?;
        let feeds = view.seen.as_ref()?.feeds.here()?;
        feeds.iter().find(|feed| feed.uri == planned.feed_uri).cloned()
    };
    feeds.into_iter().map(|planned| FeedOfPlan { feed: state(&planned), planned }).collect()
}

/// Returns why a plan's applications would refuse it, as far as is known now.
async fn refused(console: &Console, operation: &Operation, feeds: &[PlannedFeed]) -> Vec<String> {
    let mut refused = Vec::new();
    let mut apps: Vec<&str> = feeds.iter().map(|feed| feed.app.as_str()).collect();
    apps.sort_unstable();
    apps.dedup();
    for app in apps {
        let source = match console.source(app) {
            Ok(source) => source,
            Err(problem) => {
                refused.push(problem.what);
                continue;
            }
        };
        let why = match operation.kind {
            RequestKind::Retry => {
                let view = console.view(app).await;
                Ok(view.and_then(|view| view.seen?.retry_refused.clone()))
            }
            RequestKind::Discard => source.discard_refused().await,
            RequestKind::Restore => source.restore_refused().await,
        };
        match why {
            Ok(why) => refused.extend(why),
            Err(error) => refused.push(error.reason),
        }
    }
    refused
}
