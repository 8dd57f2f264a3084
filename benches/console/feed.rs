//! An invented feed over HTTP, and the worker that its events are given to.

use atomfeed::{Event, Failure, Transaction, Worker};
use axum::Router;
use tokio::net::TcpListener;

use crate::database::Dialect;

/// Worker that writes one row for each event, as the smallest integration does.
pub struct Rows(pub Dialect);

impl Worker for Rows {
    async fn process(&self, event: &Event, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        const INSERT: &str = "INSERT INTO worked (uuid) VALUES (?)";
        match self.0 {
            Dialect::MySql => {
                sqlx::query(INSERT).bind(event.uuid()).execute(transaction.mysql().await?).await.map(drop)?
            }
            Dialect::Sqlite => {
                sqlx::query(INSERT).bind(event.uuid()).execute(transaction.sqlite().await?).await.map(drop)?;
            }
            Dialect::Postgres => {
                let insert = "INSERT INTO clinlims.worked (uuid) VALUES ($1)";
                sqlx::query(insert).bind(event.uuid()).execute(transaction.postgres().await?).await.map(drop)?;
            }
        }
        Ok(())
    }
}

/// Serves on a free port, and returns the address.
pub async fn serve(router: Router) -> anyhow::Result<std::net::SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// Returns a page of five entries of a feed below this path; the newest page has no next one.
pub fn page_of(feed: &str, pages: u64, number: u64) -> String {
    let link =
        |relation: &str, page: u64| format!("<link rel=\"{relation}\" href=\"http://openmrs:8080/{feed}/{page}\"/>");
    let mut xml = format!("<feed xmlns=\"http://www.w3.org/2005/Atom\">{}", link("via", number));
    if number < pages {
        xml += &link("next-archive", number + 1);
    }
    if number > 1 {
        xml += &link("prev-archive", number - 1);
    }
    for entry in 0..5 {
        xml += &format!(
            "<entry><title>Patient</title><id>tag:atomfeed.ict4h.org:{number:030}-{entry:05}</id>\
             <updated>2026-11-01T08:00:00Z</updated><content type=\"application/vnd.atomfeed+xml\">\
             <![CDATA[/openmrs/ws/rest/v1/patient/{number:030}-{entry:05}?v=full]]></content></entry>"
        );
    }
    xml + "</feed>"
}
