//! Applications and their feeds, as last seen.

use leptos::{prelude::*, server_fn::codec::GetUrl};

#[cfg(feature = "ssr")]
use crate::model::Right;
use crate::{
    error::Problem,
    model::{ApplicationView, publisher::Publisher},
};

/// Every application in configured order, from the snapshot.
#[server(prefix = "/api", input = GetUrl, endpoint = "applications")]
pub async fn list_applications() -> Result<Vec<ApplicationView>, Problem> {
    let console = super::console_for(Right::See)?;
    Ok(console.views().await.into_iter().map(|view| console.with_concerns(view)).collect())
}

/// One application by its key.
#[server(prefix = "/api", input = GetUrl, endpoint = "application")]
pub async fn view_application(app: String) -> Result<ApplicationView, Problem> {
    let console = super::console_for(Right::See)?;
    let key = &console.info(&app)?.key;
    let view = console.view(key).await.ok_or_else(|| Problem::internal(format!("{app} is not watched.")))?;
    Ok(console.with_concerns(view))
}

/// What an application publishes itself; counted when asked, and kept for a while.
#[server(prefix = "/api", input = GetUrl, endpoint = "publisher")]
pub async fn view_publisher(app: String) -> Result<Publisher, Problem> {
    let console = super::console_for(Right::See)?;
    console.parts.publishers.of(console.source(&app)?).await
}
