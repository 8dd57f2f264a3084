//! HTTP routes of the demo hospital's systems: their feeds, and the records that events refer to.
//!
//! The same routes are served on two ports: the console's own, where a user opens a feed, and a separate one, where the
//! systems communicate whatever the console's port, sign-in and limits are.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Hospital, System,
    answers::{self, Answer},
    category_of_path,
};
use crate::{
    clock,
    demo::{faults::Fault, history::Category},
    model::payload::{record_kind, record_uuid},
};
use atomfeed::PageNumber;

/// How long a slow system delays its response: longer than the clients wait.
const TOO_LATE: Duration = Duration::from_secs(4);

/// Returns the feeds that a user may open, with descriptions of their content.
pub(super) fn feeds() -> Vec<(String, String)> {
    Category::ALL
        .into_iter()
        .filter_map(|category| {
            let path = format!("/{}", category.feed().splitn(4, '/').nth(3)?);
            Some((category.told().to_owned(), path))
        })
        .collect()
}

/// Returns the routes of feeds and records.
pub(super) fn routes(hospital: Arc<Hospital>) -> Router {
    Router::new()
        .route("/openmrs/ws/atomfeed/{category}/{page}", get(openmrs_feed))
        .route("/openelis/ws/feed/{category}/{page}", get(openelis_feed))
        .route("/feed/{category}/{page}", get(odoo_feed))
        .route("/openmrs/ws/rest/v1/{*record}", get(openmrs_record))
        .route("/openelis/ws/rest/{*record}", get(openelis_record))
        .with_state(hospital)
}

/// Serves the port on which the systems communicate; returns its address.
pub(super) async fn serve(
    hospital: Arc<Hospital>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<SocketAddr> {
    let none = "the demo hospital's systems found no port to speak to each other";
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context(none)?;
    let address = listener.local_addr().context(none)?;
    let ended = stop.clone().cancelled_owned();
    let server = axum::serve(listener, routes(hospital)).with_graceful_shutdown(ended);
    tasks.spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the demo hospital's systems cannot speak to each other any more");
        }
    });
    Ok(address)
}

type At = State<Arc<Hospital>>;

async fn openmrs_feed(State(hospital): At, Path((category, page)): Path<(String, String)>) -> Response {
    feed(&hospital, System::Openmrs, &category, &page).await
}

async fn openelis_feed(State(hospital): At, Path((category, page)): Path<(String, String)>) -> Response {
    feed(&hospital, System::Openelis, &category, &page).await
}

async fn odoo_feed(State(hospital): At, Path((category, page)): Path<(String, String)>) -> Response {
    feed(&hospital, System::Odoo, &category, &page).await
}

async fn feed(hospital: &Hospital, system: System, category: &str, page: &str) -> Response {
    // A system that is down serves no feed either. All other faults concern single records.
    match hospital
        .troubles
        .against("", clock::now(), |fault| fault == Fault::PublisherDown && fault.shows_in_answers(system))
        .await
    {
        Ok(None) => {}
        Ok(Some(_)) => return down(),
        Err(error) => return failed(&error),
    }
    let number = match page {
        "recent" => Some(PageNumber::Recent),
        number => number.parse().ok().map(PageNumber::Number),
    };
    let publisher = hospital.part(system).and_then(|part| part.publisher.as_ref());
    // Under the name in the address, in any case: OpenMRS' database is not case-sensitive.
    let known = category_of_path(category, system).is_some();
    let (Some(publisher), Some(number), true) = (publisher, number, known) else { return missing() };
    match publisher.page(Some(category), number).await {
        Ok(Some(xml)) => ([(header::CONTENT_TYPE, "application/atom+xml; charset=utf-8")], xml).into_response(),
        Ok(None) => missing(),
        Err(error) => failed(&error),
    }
}

async fn openmrs_record(State(hospital): At, Path(path): Path<String>) -> Response {
    record(&hospital, System::Openmrs, &path).await
}

async fn openelis_record(State(hospital): At, Path(path): Path<String>) -> Response {
    record(&hospital, System::Openelis, &path).await
}

async fn record(hospital: &Hospital, system: System, path: &str) -> Response {
    let Some(uuid) = record_uuid(path) else { return missing() };
    match hospital.troubles.against(&uuid, clock::now(), |fault| fault.shows_in_answers(system)).await {
        Ok(None) => {}
        Ok(Some(hit)) => return refused(hit.fault).await,
        Err(error) => return failed(&error),
    }
    match answer(hospital, system, path, &uuid).await {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(error) => failed(&error),
    }
}

/// Reads a record from the system's tables. A bed and a relationship are answered without any content.
async fn answer(hospital: &Hospital, system: System, path: &str, uuid: &str) -> anyhow::Result<Answer> {
    let part = hospital.part(system).context("a system of the demo hospital is missing")?;
    let mut transaction = part.database.begin();
    let connection = transaction.sqlite().await?;
    Ok(match record_kind(path) {
        _ if system == System::Openelis => answers::accession(connection, uuid).await?,
        Some("encounter") => answers::encounter(connection, uuid).await?,
        Some("patient") => Answer { patient: answers::patient(connection, uuid).await?, ..Answer::of(uuid) },
        _ => answers::item(connection, uuid).await?,
    })
}

/// Returns a number derived from a record's uuid.
pub(super) fn number_of(uuid: &str) -> u32 {
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).take(7).collect();
    u32::from_str_radix(&digits, 16).unwrap_or(0) % 1_000_000
}

async fn refused(fault: Fault) -> Response {
    match fault {
        Fault::Gone => missing(),
        Fault::Forbidden => (StatusCode::FORBIDDEN, "This account may not read the record.\n").into_response(),
        Fault::LoginPage => Html(
            "<html><head><title>OpenELIS</title></head><body><h1>Login</h1><form method=\"post\"></form></body></html>",
        )
        .into_response(),
        Fault::PublisherTimeout => {
            tokio::time::sleep(TOO_LATE).await;
            (StatusCode::GATEWAY_TIMEOUT, "It took too long.\n").into_response()
        }
        _ => down(),
    }
}

/// Replaces a refused connection: the systems are one process here, and its port stays open.
fn down() -> Response {
    (StatusCode::BAD_GATEWAY, "This system of the demo hospital is down.\n").into_response()
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response()
}

fn failed(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "the demo hospital could not answer");
    (StatusCode::INTERNAL_SERVER_ERROR, "The demo hospital could not answer.\n").into_response()
}
