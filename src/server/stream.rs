//! Server-sent events: open pages are told *that* something is different, by application and row ids; what it is, they read
//! as a reload would. So a stream holds no data, and one page or fifty cost a source the same: nothing.
//!
//! The stream ends when the console does, so that no open page holds up its end; pages come back by themselves.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, stream};
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, broadcast::error::RecvError},
    time::{Instant, Interval, interval, sleep_until},
};

use super::{http::Seen, state::Console, watch::Change};
use crate::error::Problem;

/// Streams at a time. A hospital has some dozens of readers; more than this is no reader.
const STREAMS: usize = 500;

/// A sign of life, for proxies that end what is silent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How often an open page counts as somebody who looks.
const READS: Duration = Duration::from_secs(60);

/// How long a stream lasts. The page opens the next one at once, and that one asks anew who reads: a session that has
/// ended, or a right that was taken away, ends what is told.
const LASTS: Duration = Duration::from_secs(600);

/// The open streams.
#[derive(Debug)]
pub struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS)))
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
/// There are too many streams already.
pub async fn events(Seen(console): Seen) -> Result<Response, Problem> {
    let permit = console.parts.streams.0.clone().try_acquire_owned().map_err(|_| {
        Problem::unavailable(
            format!("{STREAMS} pages are open already, and no more can be kept up to date."),
            "Close pages that nobody reads; a reload shows the present state at any time.",
        )
    })?;
    let stream = Sse::new(told(console, permit)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // nginx holds answers back until they are whole, unless it is told not to.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, stream).into_response())
}

/// A stream's state: while it lives, it holds its place.
struct Open {
    console: Console,
    changes: tokio::sync::broadcast::Receiver<Change>,
    reads: Interval,
    until: Instant,
    greeted: bool,
    _permit: OwnedSemaphorePermit,
}

fn told(console: Console, permit: OwnedSemaphorePermit) -> impl Stream<Item = Result<Event, Infallible>> {
    let changes = console.parts.watch.changes();
    let until = Instant::now() + LASTS;
    let open = Open { console, changes, reads: interval(READS), until, greeted: false, _permit: permit };
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
