//! The feeds as routes of a web server.

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::publisher::{MissingPage, PageNumber, Publisher};

/// Serves `/{category}/recent` and `/{category}/{number}`, and `/recent` and `/{number}` for all categories together.
/// Nest it where the publisher's feeds are (`/openmrs/ws/atomfeed`). Pages are `application/xml`, so that browsers
/// display them. [`MissingPage`] decides the answer for a page that does not exist.
pub fn router(publisher: Publisher) -> Router {
    Router::new().route("/{page}", get(all)).route("/{category}/{page}", get(of_category)).with_state(publisher)
}

async fn all(State(publisher): State<Publisher>, Path(page): Path<String>) -> Response {
    answer(&publisher, None, &page).await
}

async fn of_category(State(publisher): State<Publisher>, Path((category, page)): Path<(String, String)>) -> Response {
    answer(&publisher, Some(&category), &page).await
}

async fn answer(publisher: &Publisher, category: Option<&str>, page: &str) -> Response {
    let number = match page {
        "recent" => PageNumber::Recent,
        page => match page.parse() {
            Ok(number) => PageNumber::Number(number),
            Err(_) => return (StatusCode::NOT_FOUND, "There is no such page.").into_response(),
        },
    };
    match publisher.page(category, number).await {
        Ok(Some(xml)) => {
            let headers =
                [(header::CONTENT_TYPE, "application/xml; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
            (headers, xml).into_response()
        }
        Ok(None) => missing(number, publisher.settings().missing_page),
        Err(error) => {
            tracing::warn!(%error, category, page, "a page of a feed could not be made");
            (StatusCode::SERVICE_UNAVAILABLE, "The feed cannot be read from the database just now.").into_response()
        }
    }
}

/// Returns the answer for a page that does not exist, with the message of the Java library (`NumberFeedGenerator`),
/// which its clients see in an error page of its server.
fn missing(number: PageNumber, answer: MissingPage) -> Response {
    let status = match answer {
        MissingPage::NotFound => StatusCode::NOT_FOUND,
        MissingPage::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let message = match number {
        PageNumber::Number(number) if number < 1 => "feedId must not be null and must be greater than 0",
        _ => "feed does not exist",
    };
    (status, message).into_response()
}
