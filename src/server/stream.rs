//! Server-sent events: open pages receive *that* something is different, by application and row ids; they read the
//! change itself as a reload would. So a stream contains no data, and one page or fifty cost a source nothing.
//!
//! The stream ends when the console does, so that no open page delays that, and some seconds after its reader loses the
//! right to read. Pages reconnect by themselves, and then receive the reason.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures::{Stream, stream};
use serde::Serialize;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, Interval, MissedTickBehavior, interval, interval_at, sleep_until},
};

use super::{
    http::Seen,
    security::authenticate::{self, Caller},
    shares::{Full, Holder, Share, Shares},
    state::Console,
    watch::Change,
};
use crate::error::Problem;

/// Streams at a time of all clients. A hospital has some dozens of readers; more streams than this are not readers.
const STREAMS: usize = 500;

/// Streams at a time of one session or token. Browsers open at most six to one server.
const OF_SESSION: usize = 20;

/// Streams at a time of one user, which may be a whole department with one name, or of one address if there is no
/// sign-in.
const OF_PERSON: usize = 100;

/// The interval of keep-alive events, by which a page detects a half-open connection, and a proxy keeps a silent one.
/// Pages wait for two of them, and report within ten seconds that the stream has stopped.
const ALIVE: Duration = Duration::from_secs(3);

/// How often an open page counts as a reader.
const READS: Duration = Duration::from_secs(60);

/// How often a reader's authorization is checked again: a session that has ended, a token that was revoked, an account
/// that was disabled or has other rights ends the stream.
const ASKS: Duration = Duration::from_secs(5);

/// How long a stream lasts. The page opens the next one at once.
const LASTS: Duration = Duration::from_secs(600);

/// The time after which a refused client may try again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// The open streams.
#[derive(Debug)]
pub struct Streams {
    of_sessions: Arc<Shares<Holder>>,
    of_people: Arc<Shares<Holder>>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { of_sessions: Shares::new(STREAMS), of_people: Shares::new(STREAMS) }
    }
}

/// The shares that a stream has, of its session and of its user.
type Place = (Share<Holder>, Share<Holder>);

impl Streams {
    fn take(&self, caller: &Caller) -> Result<Place, Problem> {
        let (session, person) = (Holder::session(caller), Holder::person(caller));
        let of_session = if session == person && caller.account.is_none() { OF_PERSON } else { OF_SESSION };
        let taken = self.of_sessions.take(&session, of_session);
        let taken = taken.and_then(|taken| Ok((taken, self.of_people.take(&person, OF_PERSON)?)));
        let refusal = |full| match full {
            Full::ForOne => {
                Problem::too_many("Too many open pages.", "Close some of them. A reload shows the current state.")
            }
            Full::ForEverybody => Problem::unavailable(
                format!("{STREAMS} pages are open: no more can be updated automatically."),
                "Close some of them. A reload shows the current state.",
            ),
        };
        taken.map_err(|full| refusal(full).after(ASK_AGAIN))
    }
}

/// The data of an event: what a poll changed.
#[derive(Debug, Serialize)]
struct Told<'a> {
    app: &'a str,
    /// The number of new failed events.
    appeared: u64,
    rows: Vec<String>,
}

/// `/events`
///
/// # Errors
/// Fails if there are too many streams already, of all clients or of this one.
pub async fn events(
    Seen(console): Seen,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = console.parts.streams.take(&caller)?;
    let reader = Reader { caller, proofs: authenticate::proofs(&headers) };
    let stream = Sse::new(told(console, reader, place));
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // nginx buffers a response until it is complete, unless this header forbids it.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, stream).into_response())
}

/// The reader of a stream, and the headers with the credentials.
struct Reader {
    caller: Caller,
    proofs: HeaderMap,
}

/// A stream's state, which holds its shares until it is dropped.
struct Open {
    console: Console,
    reader: Reader,
    asks: Interval,
    changes: tokio::sync::broadcast::Receiver<Change>,
    reads: Interval,
    alive: Interval,
    until: Instant,
    greeted: bool,
    _place: Place,
}

fn told(console: Console, reader: Reader, place: Place) -> impl Stream<Item = Result<Event, Infallible>> {
    let changes = console.parts.watch.changes();
    let until = Instant::now() + LASTS;
    let mut asks = interval_at(Instant::now() + ASKS, ASKS);
    // One tick is enough for all that were missed.
    asks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alive = interval_at(Instant::now() + ALIVE, ALIVE);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reads = interval(READS);
    let open = Open { console, reader, asks, changes, reads, alive, until, greeted: false, _place: place };
    stream::unfold(open, |mut open| async move {
        // A page must know that the stream is open before it can report that it was lost.
        if !open.greeted {
            open.greeted = true;
            return Some((Ok(Event::default().event("open").data("{}")), open));
        }
        loop {
            let stopping = open.console.parts.stopping.clone();
            tokio::select! {
                () = stopping.cancelled() => return None,
                () = sleep_until(open.until) => return None,
                _ = open.asks.tick() => {
                    if !authenticate::goes_on(&open.console, &open.reader.caller, &open.reader.proofs).await {
                        return None;
                    }
                }
                _ = open.alive.tick() => return Some((Ok(Event::default().event("alive").data("{}")), open)),
                _ = open.reads.tick() => open.console.parts.watch.reads(),
                change = open.changes.recv() => match change {
                    Ok(change) if shown(&open.console, &change) => return Some((Ok(event(&change)), open)),
                    Ok(_) => {}
                    // The stream missed changes: the page reads everything again.
                    Err(RecvError::Lagged(_)) => return Some((Ok(Event::default().event("change").data("{}")), open)),
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    })
}

/// Returns whether the reader of a stream may know of a change: the one place that decides it.
fn shown(console: &Console, change: &Change) -> bool {
    console.source(&change.app).is_ok()
}

fn event(change: &Change) -> Event {
    let told = Told {
        app: &change.app,
        appeared: change.appeared,
        rows: change.rows.iter().map(ToString::to_string).collect(),
    };
    let data = serde_json::to_string(&told).unwrap_or_else(|_| "{}".to_owned());
    Event::default().event(if change.changed { "change" } else { "look" }).data(data)
}
