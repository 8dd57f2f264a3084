//! Limits concurrent downloads: each reads its source and holds some rows in memory until its client has read them. So
//! there is a maximum for all users together, and one for each user.
//!
//! A user with the maximum waits a moment for a download to end: a script that requests several at once is served in
//! turn.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;

use super::{
    security::authenticate::Caller,
    shares::{Full, Holder, Share, Shares},
    state::Console,
};
use crate::error::Problem;

/// Concurrent downloads of all users.
const MOST: usize = 8;

/// Concurrent downloads of one user, or of one address if there is no sign-in.
const OF_ONE: usize = 3;

/// How long a download waits for its turn.
const WAITS: Duration = Duration::from_secs(20);

/// The time after which a refused client may try again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// The running downloads.
#[derive(Debug)]
pub struct Downloads {
    shares: Arc<Shares<Holder>>,
    waits: Duration,
}

impl Default for Downloads {
    fn default() -> Self {
        Self::waiting(WAITS)
    }
}

impl Downloads {
    /// Returns a limit where each download waits at most this time for its turn.
    pub fn waiting(waits: Duration) -> Self {
        Self { shares: Shares::new(MOST), waits }
    }

    /// Reserves a download for a user; if none is free, waits for one to end.
    ///
    /// # Errors
    /// Fails if none ended in time: 429 if the user has the maximum of one user, 503 if all users together have the
    /// maximum.
    pub async fn take(&self, who: &Holder) -> Result<Share<Holder>, Problem> {
        self.shares.wait(who, OF_ONE, self.waits).await.map_err(|full| refusal(full).after(ASK_AGAIN))
    }
}

/// Starts a download when it is its turn, and counts it until its client has read all of it or has disconnected.
pub async fn in_turn(State(console): State<Console>, request: Request, next: Next) -> Response {
    let who = request.extensions().get::<Caller>().map_or(Holder::Unknown, Holder::person);
    let share = match console.parts.downloads.take(&who).await {
        Ok(share) => share,
        Err(problem) => return problem.into_response(),
    };
    let response = next.run(request).await;
    // The body holds the share until it is dropped.
    response.map(|body| {
        Body::new(body.map_err(move |error| {
            let _held = &share;
            error
        }))
    })
}

fn refusal(full: Full) -> Problem {
    match full {
        Full::ForOne => Problem::too_many(
            format!("{OF_ONE} of your downloads are running, and none ended in {} s.", WAITS.as_secs()),
            "Wait until one has ended, then try again.",
        ),
        Full::ForEverybody => Problem::unavailable(
            format!("{MOST} downloads are running, and none ended in {} s.", WAITS.as_secs()),
            "Try again later.",
        ),
    }
}
