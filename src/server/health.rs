//! The health of the console itself, for monitoring: whether the process is alive, and whether it can do its work.

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use super::state::Console;

/// `/health`: the process answers.
pub async fn health() -> &'static str {
    "ok\n"
}

/// `/ready`: the store can be read and written, so that actions can be recorded. A source that is down does not make
/// the console unready: the console must be there to report it.
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
