//! The feeds that an application publishes, as pages.

use leptos::{prelude::*, server_fn::codec::GetUrl};

#[cfg(feature = "ssr")]
use crate::model::{Right, feed_pages::FeedQuery};
use crate::{
    error::Problem,
    model::feed_pages::{FeedList, FeedPage},
};

/// Returns all feeds of a publisher, with their consumers.
#[server(prefix = "/api", input = GetUrl, endpoint = "feeds")]
pub async fn view_feeds(app: String) -> Result<FeedList, Problem> {
    crate::server::feeds::list(&super::console_for(Right::See)?, &app).await
}

/// Returns a page of a feed; `query` as a [feed query](crate::model::feed_pages::FeedQuery) writes it.
#[server(prefix = "/api", input = GetUrl, endpoint = "feed")]
pub async fn view_feed(app: String, query: String) -> Result<FeedPage, Problem> {
    let console = super::console_for(Right::See)?;
    crate::server::feeds::page(&console, &app, &FeedQuery::parse(&query)).await
}
