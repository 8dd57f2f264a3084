//! Causes of failed events, as the user may see them: of a list, and of every feed. The numbers are the ledger's;
//! titles are masked if the user may not read error texts.

use std::collections::BTreeMap;

use super::{state::Console, store::StoreError};
use crate::model::{
    ApplicationView, Reach,
    advice::Subject,
    cause::{Cause, FeedCauses},
    filter::Filter,
    fingerprint,
    ledger::LifeState,
    masking,
};

/// Maximum causes that a page lists; of further ones, it shows the number.
pub const MOST: usize = 100;

/// Returns the part of a filter that can be counted: applications, feed and state. The ledger's counts know no times
/// and no texts.
pub fn countable(filter: &Filter) -> Filter {
    Filter { apps: filter.apps.clone(), feed: filter.feed.clone(), state: filter.state, ..Filter::default() }
}

/// Returns the names of the filter's applications whose failed events could not be read at the last poll, so that the
/// ledger's counts of them are older; and whether there are other applications.
pub async fn unread(console: &Console, filter: &Filter) -> (Vec<String>, bool) {
    let wanted = console.views().await.into_iter().filter(|view| filter.wants_app(&view.info.key));
    let lost = |view: &ApplicationView| {
        let not_known = || view.seen.as_ref().is_some_and(|seen| seen.failures_not_known.is_some());
        matches!(view.reach, Reach::Unreachable { .. } | Reach::NotConfigured { .. }) || not_known()
    };
    let (mut unread, read): (Vec<_>, Vec<_>) = wanted.partition(lost);
    // Applications that are not configured count only if the filter names them.
    unread.retain(|view| !matches!(view.reach, Reach::NotConfigured { .. }) || filter.apps.contains(&view.info.key));
    (unread.into_iter().map(|view| view.info.name).collect(), !read.is_empty())
}

/// Returns the causes of the failed events of a filter, as far as it is [`countable`], the largest first; and the
/// number of all causes.
///
/// # Errors
/// Fails if the store cannot be read.
pub async fn of_list(console: &Console, filter: &Filter) -> Result<(Vec<Cause>, usize), StoreError> {
    let mut causes = BTreeMap::<i64, Cause>::new();
    for app in console.applications().filter(|info| filter.wants_app(&info.key)) {
        for count in console.parts.store.ledger_counts(&app.key, None).await? {
            let feed = count.feed_uri.as_deref().unwrap_or_default();
            let state = filter.state.is_none_or(|state| LifeState::from(state) == count.state);
            if !count.state.is_open() || !state || filter.feed.as_deref().is_some_and(|wanted| wanted != feed) {
                continue;
            }
            let new =
                || Cause { fault: count.fault, title: String::new(), failed: 0, used_up: 0, about: Subject::default() };
            let cause = causes.entry(count.fault).or_insert_with(new);
            cause.failed += count.count;
            cause.about.add(Some(app.kind), count.feed_uri.as_deref());
            if count.state == LifeState::Exhausted {
                cause.used_up += count.count;
            }
        }
    }
    let mut causes: Vec<Cause> = causes.into_values().collect();
    let all = causes.len();
    causes.sort_by_key(|cause| (std::cmp::Reverse(cause.failed), cause.fault));
    causes.truncate(MOST);
    let faults: Vec<i64> = causes.iter().map(|cause| cause.fault).collect();
    let faults = console.parts.store.faults(&faults).await?;
    for cause in &mut causes {
        cause.title = faults.get(&cause.fault).map(|fault| fingerprint::title(&fault.fingerprint)).unwrap_or_default();
        mask(console, cause);
    }
    Ok((causes, all))
}

/// Returns the largest causes of every feed; none if the store does not answer, so that the page can still show what is
/// broken.
pub async fn of_feeds(console: &Console) -> Vec<FeedCauses> {
    let mut feeds = match console.parts.store.causes_of_feeds(console.only()).await {
        Ok(feeds) => feeds,
        Err(error) => {
            tracing::warn!(%error, "the causes of feeds are not known");
            Vec::new()
        }
    };
    for cause in feeds.iter_mut().flat_map(|feed| &mut feed.causes) {
        mask(console, cause);
    }
    feeds
}

fn mask(console: &Console, cause: &mut Cause) {
    if console.masked().is_some() {
        cause.title = masking::fault(&cause.title);
    }
}
