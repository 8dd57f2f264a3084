//! Server-sent events: open pages are told *that* something is different, by application and row ids; what it is, they read
//! as a reload would. So a stream holds no data, and one page or fifty cost a source the same: nothing.
//!
//! The stream ends when the console does, so that no open page holds up its end, and some seconds after whoever reads it may
//! not read any more; pages come back by themselves, and are then told why not.

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
    security::visit::{self, Visit},
    shares::{Full, Holder, Share, Shares},
    state::Console,
    watch::Change,
};
use crate::error::Problem;

/// Streams at a time. A hospital has some dozens of readers; more than this is no reader.
const STREAMS: usize = 500;

/// Streams at a time of one session or token. Browsers open six to one server at the most.
const OF_SESSION: usize = 20;

/// Streams at a time of one person, who may be a whole department with one name, or of one address where nobody signs in.
const OF_PERSON: usize = 100;

/// A sign of life, by which a page knows a connection that is only half there, and for proxies that end what is silent. Pages
/// wait for two of them, and say within ten seconds that they have stopped.
const ALIVE: Duration = Duration::from_secs(3);

/// How often an open page counts as somebody who looks.
const READS: Duration = Duration::from_secs(60);

/// How often it is asked whether whoever reads a stream still may: a session that has ended, a token that was revoked, an
/// account that was disabled or has other rights ends the stream.
const ASKS: Duration = Duration::from_secs(5);

/// How long a stream lasts. The page opens the next one at once.
const LASTS: Duration = Duration::from_secs(600);

/// After how long to ask again where all are taken.
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

/// The place that a stream takes, of its session's and of its person's.
type Place = (Share<Holder>, Share<Holder>);

impl Streams {
    fn take(&self, visit: &Visit) -> Result<Place, Problem> {
        let (session, person) = (Holder::session(visit), Holder::person(visit));
        let of_session = if session == person && visit.account.is_none() { OF_PERSON } else { OF_SESSION };
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

/// What a page is told of a look.
#[derive(Debug, Serialize)]
struct Told<'a> {
    app: &'a str,
    /// Failed events that came.
    came: u64,
    rows: Vec<String>,
}

/// `/events`
///
/// # Errors
/// There are too many streams already, of everybody or of whoever asks.
pub async fn events(
    Seen(console): Seen,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = console.parts.streams.take(&visit)?;
    let reader = Reader { visit, proofs: visit::proofs(&headers) };
    let stream = Sse::new(told(console, reader, place));
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // nginx holds answers back until they are whole, unless it is told not to.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, stream).into_response())
}

/// Who reads a stream, and by what they came in.
struct Reader {
    visit: Visit,
    proofs: HeaderMap,
}

/// A stream's state: while it lives, it holds its place.
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
    // Of what was missed, once is enough.
    asks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alive = interval_at(Instant::now() + ALIVE, ALIVE);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reads = interval(READS);
    let open = Open { console, reader, asks, changes, reads, alive, until, greeted: false, _place: place };
    stream::unfold(open, |mut open| async move {
        // A page must know that the stream stands before it can say that it was lost.
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
                    if !visit::goes_on(&open.console, &open.reader.visit, &open.reader.proofs).await {
                        return None;
                    }
                }
                _ = open.alive.tick() => return Some((Ok(Event::default().event("alive").data("{}")), open)),
                _ = open.reads.tick() => open.console.parts.watch.reads(),
                change = open.changes.recv() => match change {
                    Ok(change) if shown(&open.console, &change) => return Some((Ok(event(&change)), open)),
                    Ok(_) => {}
                    // It missed some: the page reads everything anew.
                    Err(RecvError::Lagged(_)) => return Some((Ok(Event::default().event("change").data("{}")), open)),
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    })
}

/// Whether the reader of a stream may know of a change: the one place that decides it.
fn shown(console: &Console, change: &Change) -> bool {
    console.source(&change.app).is_ok()
}

fn event(change: &Change) -> Event {
    let told =
        Told { app: &change.app, came: change.appeared, rows: change.rows.iter().map(ToString::to_string).collect() };
    let data = serde_json::to_string(&told).unwrap_or_else(|_| "{}".to_owned());
    Event::default().event(if change.changed { "change" } else { "look" }).data(data)
}
