//! For whoever watches the console itself: is the process alive, and can it do its work?

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use super::state::Console;

/// `/health`: the process answers.
pub async fn health() -> &'static str {
    "ok\n"
}

/// `/ready`: the store can be read and written, so that actions can be put on record. A source that is down does not make
/// the console unready: it is there to say so.
pub async fn ready(State(console): State<Console>) -> (StatusCode, Json<Value>) {
    let up = console.parts.started.elapsed().as_secs();
    match console.parts.store.ready().await {
        Ok(()) => (StatusCode::OK, Json(json!({ "status": "ready", "up_seconds": up }))),
        Err(reason) => {
            let reason = format!("the console's own database cannot be used: {reason}");
            let body = json!({ "status": "not ready", "reason": reason, "up_seconds": up });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}
