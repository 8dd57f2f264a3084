//! Downloads at a time: each reads its source and holds some rows in memory until its reader has taken them, so everybody
//! together can have so many, and each so many of these.
//!
//! Who has all of theirs waits a moment for one to end: a script that asks for several at once is served in turn.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;

use super::{
    security::visit::Visit,
    shares::{Full, Holder, Share, Shares},
    state::Console,
};
use crate::error::Problem;

/// Downloads of everybody at a time.
const MOST: usize = 8;

/// Downloads of one person at a time; where nobody signs in, of one address.
const OF_ONE: usize = 3;

/// How long a download waits for its turn.
const WAITS: Duration = Duration::from_secs(20);

/// After how long to ask again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// The downloads that are under way.
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
    /// Downloads of which each waits so long for its turn.
    pub fn waiting(waits: Duration) -> Self {
        Self { shares: Shares::new(MOST), waits }
    }

    /// Takes a place for a download of somebody; waits for one that ends where there is none.
    ///
    /// # Errors
    /// None ended in time: 429 where whoever asks has all of their own, 503 where everybody together has all.
    pub async fn take(&self, who: &Holder) -> Result<Share<Holder>, Problem> {
        self.shares.wait(who, OF_ONE, self.waits).await.map_err(|full| refusal(full).after(ASK_AGAIN))
    }
}

/// Lets a download begin when it is its turn, and counts it until its reader has taken the last of it, or has gone away.
pub async fn in_turn(State(console): State<Console>, request: Request, next: Next) -> Response {
    let who = request.extensions().get::<Visit>().map_or(Holder::Unknown, Holder::person);
    let share = match console.parts.downloads.take(&who).await {
        Ok(share) => share,
        Err(problem) => return problem.into_response(),
    };
    let response = next.run(request).await;
    // The body holds the share for as long as it lives.
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
