//! Server functions by subject: the browser's only door, and the pages' way to the server. Each is thin: it checks,
//! validates, calls `server`, and maps errors.

pub mod demo;
pub mod failed_events;
pub mod groups;
pub mod history;
pub mod operations;
pub mod overview;

#[cfg(feature = "ssr")]
use crate::{error::Problem, server::operations::Actor, server::state::Console};

/// The running console, from the context of the request.
#[cfg(feature = "ssr")]
fn console() -> Result<Console, Problem> {
    leptos::prelude::use_context().ok_or_else(|| Problem::internal("The request has lost its console."))
}

/// Who asks, from the context of the request.
#[cfg(feature = "ssr")]
fn actor() -> Result<Actor, Problem> {
    leptos::prelude::use_context().ok_or_else(|| Problem::internal("The request has lost its sender."))
}

/// The demo hospital, where the console runs on it.
#[cfg(feature = "ssr")]
fn hospital() -> Result<std::sync::Arc<crate::demo::Hospital>, Problem> {
    console()?.parts.hospital.clone().ok_or_else(|| {
        Problem::not_found(
            "This console runs on a real hospital.",
            "What can be broken and mended is in the demo only.",
        )
    })
}

/// Sends the browser on to a page of ours after a form was taken.
#[cfg(feature = "ssr")]
fn go_to(url: &str) {
    use axum::http::{HeaderValue, StatusCode, header};
    let Some(response) = leptos::prelude::use_context::<leptos_axum::ResponseOptions>() else { return };
    if let Ok(location) = HeaderValue::from_str(url) {
        // 303: the browser asks for the page with GET, and a reload does not send the form again.
        response.set_status(StatusCode::SEE_OTHER);
        response.insert_header(header::LOCATION, location);
    }
}

/// Sends the browser back to where it was, a path and query below the base, with the number of the operation it asked
/// for. Anything that is not such a path leads to the operation's own page.
#[cfg(feature = "ssr")]
fn go_back(console: &Console, back: &str, operation: i64) {
    use crate::model::filter::{pairs, push};
    let base = &console.parts.config.base;
    let (path, query) = back.split_once('?').unwrap_or((back, ""));
    let ours = path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~%".contains(&byte));
    if !ours {
        return go_to(&base.operation(operation));
    }
    let mut kept = String::new();
    for (key, value) in pairs(query).filter(|(key, _)| key != "done") {
        push(&mut kept, &key, &value);
    }
    push(&mut kept, "done", &operation.to_string());
    go_to(&format!("{}?{kept}", base.at(path)));
}
