//! Applications and their feeds, from the snapshot of the last polls.

use chrono::{DateTime, Utc};
use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::model::Right;
use crate::{
    error::Problem,
    model::{ApplicationView, cause::FeedCauses, operation::FeedRetry, publisher::Publisher},
};

/// Returns all applications in configured order, from the snapshot.
#[server(prefix = "/api", input = GetUrl, endpoint = "applications")]
pub async fn list_applications() -> Result<Vec<ApplicationView>, Problem> {
    let (console, reader) = (super::console_for(Right::See)?, super::reader());
    Ok(console.views().await.into_iter().map(|view| console.with_concerns(view, &reader)).collect())
}

/// What happened since the user's last visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinceVisit {
    /// When the user's last visit ended.
    pub at: DateTime<Utc>,
    /// Events that failed for the first time since then.
    pub failed: u64,
    /// Events that were resolved since then.
    pub resolved: u64,
    /// Feeds that stopped since then and are still stopped.
    pub stopped: u64,
}

/// All data of the overview.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverviewData {
    /// All applications in configured order.
    pub views: Vec<ApplicationView>,
    /// Why feeds fail.
    pub causes: Vec<FeedCauses>,
    /// Retries in progress, the newest first.
    pub retries: Vec<FeedRetry>,
    /// `None` on the first visit, or if the store cannot tell.
    pub since: Option<SinceVisit>,
}

/// Returns the overview, with what happened since the user's last visit.
#[server(prefix = "/api", input = GetUrl, endpoint = "overview")]
pub async fn view_overview() -> Result<OverviewData, Problem> {
    use crate::server::{causes, history, operations, visits};
    let (console, reader) = (super::console_for(Right::See)?, super::reader());
    let mut views: Vec<ApplicationView> =
        console.views().await.into_iter().map(|view| console.with_concerns(view, &reader)).collect();
    history::add_days(&console, &mut views).await;
    let causes = causes::of_feeds(&console).await;
    let retries = operations::retries(&console).await;
    let since = match super::last_visit(&console).await {
        Some(at) => visits::since(&console, &views, at).await,
        None => None,
    };
    Ok(OverviewData { views, causes, retries, since })
}

/// Returns why feeds fail.
#[server(prefix = "/api", input = GetUrl, endpoint = "feed_causes")]
pub async fn list_feed_causes() -> Result<Vec<FeedCauses>, Problem> {
    let console = super::console_for(Right::See)?;
    Ok(crate::server::causes::of_feeds(&console).await)
}

/// Returns the retries in progress by feed, newest first.
#[server(prefix = "/api", input = GetUrl, endpoint = "feed_retries")]
pub async fn list_feed_retries() -> Result<Vec<FeedRetry>, Problem> {
    let console = super::console_for(Right::See)?;
    Ok(crate::server::operations::retries(&console).await)
}

/// Returns one application by its key.
#[server(prefix = "/api", input = GetUrl, endpoint = "application")]
pub async fn view_application(app: String) -> Result<ApplicationView, Problem> {
    let (console, reader) = (super::console_for(Right::See)?, super::reader());
    let key = &console.info(&app)?.key;
    let view = console.view(key).await.ok_or_else(|| Problem::internal(format!("{app} is not watched.")))?;
    let mut view = console.with_concerns(view, &reader);
    crate::server::history::add_days(&console, std::slice::from_mut(&mut view)).await;
    Ok(view)
}

/// Returns what an application itself publishes; counted on request and cached for a while.
#[server(prefix = "/api", input = GetUrl, endpoint = "publisher")]
pub async fn view_publisher(app: String) -> Result<Publisher, Problem> {
    let console = super::console_for(Right::See)?;
    let mut publisher = console.parts.publishers.of(console.source(&app)?).await?;
    // The age of the queue is told as on the overview, also if its rows have no time.
    let seen = console.view(&app).await.and_then(|view| view.seen);
    if let (crate::model::Availability::Here(queue), Some(now)) = (&mut publisher.queue, publisher.counted_at.at) {
        *queue = std::mem::take(queue).seen_at(now, seen.as_ref().and_then(|seen| seen.queue.as_ref()));
    }
    Ok(publisher)
}
