//! Reads every failed event of one feed, with its texts, for the old console's JSON.
//!
//! Reads in the order of the primary key, in one transaction, with a bound on the bytes that are held at a time. May
//! use the source's connections and nothing else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, stream};
use tokio::sync::mpsc;

use crate::model::{FailedEventRow, RowId};

use super::{
    Source, SourceError, TextLimit,
    connection::{Record, Session},
    list::{failed_events, push_feed},
    rows::{failed_event_columns, read_failed_event},
};

/// Most rows of one statement.
const ROWS: u32 = 1_000;

/// Rows that are passed on together, while their statement is still being read.
const TOGETHER: usize = 100;

/// Most bytes that are held of one statement's rows. A thousand rows fit if their errors have 4,000 letters, the
/// longest that the consumers write.
const BYTES: usize = 6 << 20;

/// How long one transaction may last: a slower reader must not keep the database from removing old versions of rows.
const TRANSACTION_LASTS: Duration = Duration::from_secs(30);

/// Streams the rows, read ahead by at most one statement. A statement is read to its end, however slow the reader is:
/// before it is sent, there is room for all of its rows.
pub(super) fn stream(
    source: Arc<Source>,
    feed: String,
) -> impl Stream<Item = Result<Vec<FailedEventRow>, SourceError>> + use<> {
    let (give, take) = mpsc::channel((ROWS as usize).div_ceil(TOGETHER) + 1);
    tokio::spawn(async move {
        if let Err(error) = read(&source, &feed, &give).await {
            // The send fails only if the reader was dropped, which then needs no error.
            let _ = give.send(Err(error)).await;
        }
    });
    stream::unfold(take, async |mut take| Some((take.recv().await?, take)))
}

type Give = mpsc::Sender<Result<Vec<FailedEventRow>, SourceError>>;

/// Reads until the feed has no more rows or the reader is dropped.
async fn read(source: &Source, feed: &str, give: &Give) -> Result<(), SourceError> {
    let (mut after, mut limit) = (None, ROWS);
    loop {
        let began = Instant::now();
        let mut session = source.session().await?;
        let outcome = loop {
            let step = match step(&mut session, feed, after, limit, give).await {
                Ok(Some(step)) => step,
                Ok(None) => break Ok(true),
                Err(error) => break Err(error),
            };
            (after, limit) = (step.last, step.limit);
            if !step.more || began.elapsed() > TRANSACTION_LASTS {
                break Ok(!step.more);
            }
        };
        if session.end(outcome).await? {
            return Ok(());
        }
    }
}

/// Result of one statement.
struct Step {
    last: Option<RowId>,
    more: bool,
    /// Most rows for the next statement.
    limit: u32,
}

/// Reads the next rows and passes them on; `None` if the reader was dropped.
async fn step(
    session: &mut Session<'_>,
    feed: &str,
    after: Option<RowId>,
    limit: u32,
    give: &Give,
) -> Result<Option<Step>, SourceError> {
    let app = session.link.app;
    let schema = session.schema.clone();
    let table = failed_events(app, &schema)?;
    let texts = TextLimit::EXPORT;
    let mut statement = session.link.statement(format!(
        "SELECT {} FROM {} WHERE 1 = 1",
        failed_event_columns(&table, texts),
        table.name
    ));
    push_feed(&mut statement, &table, Some(feed));
    if let Some(after) = after {
        statement.push(format!(" AND {} > ", table.expression("id"))).id(&table.id, after);
    }
    statement.push(format!(" ORDER BY {} LIMIT {limit}", table.expression("id")));
    let Ok(mut room) = give.reserve_many((limit as usize).div_ceil(TOGETHER)).await else { return Ok(None) };
    let (mut taken, mut last, mut together) = (0, after, Vec::with_capacity(TOGETHER));
    let whole = session
        .link
        .give_rows(statement, BYTES, |mut record: Record| {
            taken += 1;
            // Rows of a view can lack an id: reading could not continue after them.
            if record.begins_with_a_number() {
                let row = read_failed_event(app, &table, texts, &mut record);
                last = Some(row.id);
                together.push(row);
            }
            if together.len() == TOGETHER
                && let Some(room) = room.next()
            {
                room.send(Ok(std::mem::replace(&mut together, Vec::with_capacity(TOGETHER))));
            }
        })
        .await?;
    if !together.is_empty()
        && let Some(room) = room.next()
    {
        room.send(Ok(together));
    }
    let more = last != after && (!whole || taken == limit);
    // The next rows are probably as long: asks for as many as fit, so that none is read in vain a second time.
    Ok(Some(Step { last, more, limit: if whole { limit } else { taken.max(1) } }))
}
