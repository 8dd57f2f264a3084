//! Keeps a source's book in step with its table: what came, what changed, what left.
//!
//! The table has no index but its primary key, and is not read whole. Both sides are asked for the same sums by buckets of
//! ids ([`crate::server::digest`]); only in buckets whose sums differ are rows compared, some thousands at a time. So it
//! does not matter what happened between two looks, in which order, or how long ago the last one was: the book is brought
//! to what the table says now, and what it learns that way has the times of the two looks.
//!
//! The first read of all goes through the table once, lowest id first, and goes on after a restart where it was.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use crate::{
    model::{
        EventState, FailedEventRow, Limits, Marker, RowId, fingerprint,
        ledger::{LifeState, Moment},
        payload::record_uuid,
    },
    server::{
        digest::{self, Digest},
        sources::{Glance, LogRow, RowKey, Source, SourceError, SourceErrorKind, WholeRow},
        store::{
            Store, StoreError,
            ledger::{
                Appeared, Book, BookRow, Changed, Ended, Fingerprint, Moved, NewAttempt, Page, Progress, Work, Written,
            },
        },
    },
};

/// Rows that are compared at a time, without their long texts.
const CHUNK: u32 = 2_000;

/// Rows that are read with their texts at a time: some megabytes.
const TEXTS: u32 = 500;

/// Buckets that the whole table is seen in, at the most about.
const BUCKETS: i64 = 512;

/// The narrowest bucket: as many ids as rows are compared at once.
const NARROWEST: i64 = 2_048;

/// A bucket that is too full to be compared is seen in so many.
const SPLIT: i64 = 16;

/// Changes that are held in memory before they are written.
const PAGE: usize = 2_000;

/// Chunks of the first read that are written together: the more rows, the fewer times a page of the store's indexes is
/// written, and the more memory. Their texts are not kept so long.
const CHUNKS_OF_A_PAGE: usize = 4;

/// The same where there are [`MANY`].
const CHUNKS_OF_A_LONG_PAGE: usize = 16;

/// Such pages that one look takes: after that, the console's pages see how far it has come.
const PAGES_OF_A_LOOK: usize = 4;

/// Ids that a first read has before it, from which on it and the store take more memory for it.
const MANY: i64 = 150_000;

/// Rows that a look names to open pages, of each kind.
const NAMED: usize = 200;

/// Why a look did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub appeared: u64,
    pub changed: u64,
    pub ended: u64,
    pub attempts: u64,
    /// Requests whose outcome is known now.
    pub settled: u64,
    /// The rows in question, lowest id first of each kind: no more than some hundreds.
    pub rows: Vec<RowId>,
    /// The first read is still under way: look again soon.
    pub unfinished: bool,
    /// Rows with ids that the ledger cannot hold.
    pub beyond: bool,
}

impl Found {
    /// Nothing is different from the last look.
    pub fn is_quiet(&self) -> bool {
        self.appeared + self.changed + self.ended + self.attempts + self.settled == 0
    }

    fn add(&mut self, page: &Page, written: &Written) {
        self.appeared += written.appeared;
        self.changed += (page.changed.len() + page.moved.len()) as u64;
        self.ended += written.ended;
        self.attempts += written.attempts;
        self.settled += written.settled.len() as u64;
        let ids = page.changed.iter().map(|row| row.row.row_id);
        let ids =
            ids.chain(page.ended.iter().map(|row| row.row.row_id)).chain(page.appeared.iter().map(|row| row.row_id));
        let room = NAMED.saturating_sub(self.rows.len());
        self.rows.extend(ids.take(room).map(|id| RowId(id.into())));
    }
}

/// The watcher's hand on one source's book.
#[derive(Debug)]
pub struct Follower {
    store: Store,
    limits: Limits,
    book: Book,
    /// The width of the buckets, and the sums of the book by bucket, as of the last look.
    width: i64,
    sums: Option<HashMap<i64, Digest>>,
    /// Buckets whose sums differ although their rows do not: what the database calculates with is not what it prints.
    odd: HashMap<i64, (Digest, Digest)>,
    /// The rows at the end of the retry log as they were read last.
    log_seen: BTreeMap<i64, String>,
    /// The store was told that this first read is a long one.
    expects_much: bool,
}

impl Follower {
    /// Opens the book of an application.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn open(store: &Store, app: &str, limits: &Limits) -> Result<Self, StoreError> {
        let mut book = store.open_book(app, Utc::now()).await?;
        store.apply_max_retry(&mut book, limits.max_retry).await?;
        Ok(Self {
            store: store.clone(),
            limits: *limits,
            book,
            width: NARROWEST,
            sums: None,
            odd: HashMap::new(),
            log_seen: BTreeMap::new(),
            expects_much: false,
        })
    }

    /// Since when the source is watched, and whether it has been read whole.
    pub fn since(&self) -> (DateTime<Utc>, bool) {
        (self.book.since, self.book.read_whole)
    }

    /// Keeps where the markers stand, and answers when consumers were last seen at work.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn note_markers(&mut self, markers: &[Marker]) -> Result<HashMap<String, Work>, StoreError> {
        let mut stands = BTreeMap::<String, String>::new();
        for marker in markers {
            let Some(uri) = marker.feed_uri.as_ref().filter(|uri| !uri.is_empty()) else { continue };
            let entry = marker.last_read_entry_id.as_deref().unwrap_or_default();
            let page = marker.page_uri.as_deref().unwrap_or_default();
            // More than one marker for a feed stand together as one.
            stands.entry(uri.clone()).or_default().push_str(&format!("{entry} {page}\n"));
        }
        self.store.note_markers(&mut self.book, &stands, Utc::now()).await
    }

    /// One look: brings the book to what the table says.
    ///
    /// # Errors
    /// The source or the store failed half way. What was written stays, and the next look goes on from it.
    pub async fn look(&mut self, source: &Source) -> Result<Found, FollowError> {
        let mut look = Look {
            began: Utc::now(),
            source,
            page: Page::default(),
            found: Found::default(),
            broken: None,
            changed_buckets: BTreeSet::new(),
            log_is_there: true,
        };
        match self.compare(&mut look).await {
            Ok(()) => Ok(look.found),
            Err(error) => {
                // What is in the store may be more than what is remembered of it.
                self.sums = None;
                Err(error)
            }
        }
    }

    async fn compare(&mut self, look: &mut Look<'_>) -> Result<(), FollowError> {
        let known = self.store.book_span(&mut self.book).await?;
        let (width, read_whole) = (self.width, self.book.read_whole);
        let mut chosen = width;
        let glance = look.source.glance(|span| {
            chosen = width_for(join(span, known), width);
            // The first read goes through everything: nothing is to be compared.
            read_whole.then_some(chosen)
        });
        let glance = match glance.await {
            Ok(glance) => glance,
            // Nothing to watch: no such table here.
            Err(error) if error.kind == SourceErrorKind::NotHere => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if chosen != self.width {
            (self.width, self.sums) = (chosen, None);
            self.odd.clear();
        }
        look.found.beyond = glance.beyond;
        look.log_is_there = glance.log.is_some();
        self.store.note_moves(&mut self.book, glance.moves).await?;
        self.notice_another_database(look, &glance);
        if !self.book.read_whole {
            return self.first_read(look, &glance, known).await;
        }
        let sums = self.sums(known).await?;
        let there: HashMap<i64, Digest> = glance.buckets.iter().copied().collect();
        let numbers: BTreeSet<i64> = there.keys().chain(sums.keys()).copied().collect();
        for number in numbers {
            let both =
                (there.get(&number).copied().unwrap_or_default(), sums.get(&number).copied().unwrap_or_default());
            if both.0 != both.1 && self.odd.get(&number) != Some(&both) {
                self.bucket(look, number, both).await?;
            }
        }
        self.read_log_tail(look, glance.log.unwrap_or_default()).await?;
        self.end(look, Progress { looked_at: Some(look.began), ..Progress::default() }).await?;
        self.refresh(look).await?;
        Ok(())
    }

    /// Another identity means that the rows are not the ones that were there: a dump was restored, or another database
    /// stands at the address. What is the same in both goes on; what is not there any more left for a reason unknown.
    fn notice_another_database(&mut self, look: &mut Look<'_>, glance: &Glance) {
        let (Some(before), Some(now)) = (&self.book.identity, &glance.identity) else {
            look.page.progress.identity = glance.identity.clone();
            return;
        };
        if before != now {
            tracing::warn!(application = %look.source.app().info.name, "the database is another one than at the last look");
            look.page.progress.identity = Some(now.clone());
            look.broken = Some(
                "The database, or its table failed_events, was replaced or restored. It is not known what happened to the failed \
                 events that are missing now."
                    .to_owned(),
            );
            look.page.progress.broke = look.broken.clone();
            self.log_seen.clear();
        }
    }

    /// Reads the table through once, some chunks a look, then the retry log.
    async fn first_read(
        &mut self,
        look: &mut Look<'_>,
        glance: &Glance,
        known: Option<(i64, i64)>,
    ) -> Result<(), FollowError> {
        let next = known.map_or(Some(i64::MIN), |(_, highest)| highest.checked_add(1));
        let next = next.filter(|from| glance.span.is_some_and(|(_, highest)| highest >= *from));
        let to_come =
            glance.span.zip(next).map_or(0, |((lowest, highest), from)| highest.saturating_sub(from.max(lowest)));
        if to_come > MANY && !self.expects_much {
            self.store.expect_much(true).await?;
            self.expects_much = true;
        }
        let chunks = if self.expects_much { CHUNKS_OF_A_LONG_PAGE } else { CHUNKS_OF_A_PAGE };
        let mut rows = read_rows(look.source, next, &self.limits, chunks).await?;
        for _ in 0..PAGES_OF_A_LOOK {
            if rows.read.is_empty() {
                break;
            }
            look.page.appeared = rows.read;
            // The next ones are read, and their errors are told apart, while these are written.
            let next = read_rows(look.source, rows.next, &self.limits, chunks);
            let written = write(&self.store, &mut self.book, None, Utc::now(), &mut look.page, &mut look.found);
            let (next, written) = tokio::join!(next, written);
            written?;
            rows = next?;
        }
        if !rows.read.is_empty() {
            look.found.unfinished = true;
            return Ok(());
        }
        let mut attempts = read_log(look.source, self.book.log_to, chunks).await?;
        for _ in 0..PAGES_OF_A_LOOK {
            let Some(last) = attempts.next else {
                if std::mem::take(&mut self.expects_much) {
                    self.store.expect_much(false).await?;
                }
                let progress = Progress { looked_at: Some(look.began), read_whole: true, ..Progress::default() };
                return self.end(look, progress).await;
            };
            look.page.progress.log_to = Some(last);
            look.page.attempts = attempts.read;
            let next = read_log(look.source, Some(last), chunks);
            let written = write(&self.store, &mut self.book, None, Utc::now(), &mut look.page, &mut look.found);
            let (next, written) = tokio::join!(next, written);
            written?;
            attempts = next?;
        }
        look.found.unfinished = true;
        Ok(())
    }

    /// The sums of the book by bucket.
    async fn sums(&mut self, known: Option<(i64, i64)>) -> Result<HashMap<i64, Digest>, StoreError> {
        if let Some(sums) = &self.sums {
            return Ok(sums.clone());
        }
        let sums = match known {
            Some(known) => self.store.book_digests(&self.book, known, self.width).await?.into_iter().collect(),
            None => HashMap::new(),
        };
        self.sums = Some(HashMap::clone(&sums));
        Ok(sums)
    }

    /// After a look, brings the remembered sums up to date where the look changed rows.
    async fn refresh(&mut self, look: &Look<'_>) -> Result<(), StoreError> {
        for number in &look.changed_buckets {
            let range = digest::bucket(*number, self.width);
            let now = self.store.book_digests(&self.book, range, self.width).await?;
            let Some(sums) = &mut self.sums else { return Ok(()) };
            match now.into_iter().find(|(bucket, _)| bucket == number) {
                Some((_, digest)) => sums.insert(*number, digest),
                None => sums.remove(number),
            };
        }
        Ok(())
    }

    /// A bucket whose sums differ: compared row by row, or seen in narrower ones first.
    async fn bucket(&mut self, look: &mut Look<'_>, number: i64, both: (Digest, Digest)) -> Result<(), FollowError> {
        let before = (look.found.clone(), look.page.len());
        let mut ranges = vec![(digest::bucket(number, self.width), self.width, both.0.rows.max(both.1.rows))];
        while let Some((range, width, rows)) = ranges.pop() {
            if rows <= CHUNK.into() || width <= 1 {
                self.rows(look, range).await?;
                continue;
            }
            let width = (width / SPLIT).max(1);
            let there: HashMap<i64, Digest> = look.source.digests(range, width).await?.into_iter().collect();
            let known: HashMap<i64, Digest> =
                self.store.book_digests(&self.book, range, width).await?.into_iter().collect();
            for part in there.keys().chain(known.keys()).collect::<BTreeSet<_>>() {
                let of = |sums: &HashMap<i64, Digest>| sums.get(part).copied().unwrap_or_default();
                if of(&there) != of(&known) {
                    let (first, last) = digest::bucket(*part, width);
                    let range = (first.max(range.0), last.min(range.1));
                    ranges.push((range, width, of(&there).rows.max(of(&known).rows)));
                }
            }
        }
        if before == (look.found.clone(), look.page.len()) {
            self.odd.insert(number, both);
        } else {
            self.odd.remove(&number);
            look.changed_buckets.insert(number);
        }
        Ok(())
    }

    /// Compares the rows of a range with the book.
    async fn rows(&mut self, look: &mut Look<'_>, range: (i64, i64)) -> Result<(), FollowError> {
        let mut first = range.0;
        loop {
            let there = look.source.row_keys((first, range.1), CHUNK).await?;
            // Rows may have come since they were counted: no further than the last one read.
            let last = if there.len() < CHUNK as usize { range.1 } else { there.last().map_or(range.1, |row| row.id) };
            let known = self.store.book_rows(&self.book, (first, last)).await?;
            self.pair_up(look, there, known).await?;
            match last.checked_add(1) {
                Some(next) if last < range.1 => first = next,
                _ => return Ok(()),
            }
        }
    }

    async fn pair_up(
        &mut self,
        look: &mut Look<'_>,
        there: Vec<RowKey>,
        known: Vec<BookRow>,
    ) -> Result<(), FollowError> {
        let mut known: BTreeMap<i64, BookRow> = known.into_iter().map(|row| (row.row_id, row)).collect();
        let (mut new, mut gone) = (Vec::new(), Vec::new());
        for row in there {
            let Some(old) = known.remove(&row.id) else {
                new.push(RowId(row.id.into()));
                continue;
            };
            if old.event_id != row.event_id {
                self.notice_ids_that_begin_again(look);
                new.push(RowId(row.id.into()));
                gone.push(old);
            } else if old.feed_uri != row.feed_uri.clone().filter(|uri| !uri.is_empty()) {
                // Its retries, if they changed too, are found at the next look.
                look.page.moved.push(Moved { row: old, feed_uri: row.feed_uri, mark: row.mark });
            } else if old.retries != row.retries || old.mark != row.mark {
                let state = EventState::of(row.retries, &self.limits).into();
                look.page.changed.push(Changed { row: old, retries: row.retries, state, mark: row.mark });
            }
        }
        gone.extend(known.into_values());
        self.ends(look, gone).await?;
        if look.page.len() >= PAGE {
            self.write(look).await?;
        }
        for ids in new.chunks(TEXTS as usize) {
            let rows = look.source.whole_rows_of(ids).await?;
            look.page.appeared.extend(rows.iter().filter_map(|row| appeared(row, &self.limits)));
            if look.page.len() >= PAGE {
                self.write(look).await?;
            }
        }
        Ok(())
    }

    fn notice_ids_that_begin_again(&mut self, look: &mut Look<'_>) {
        if look.broken.is_none() {
            look.broken = Some(
                "Ids were used again for other failed events: the table was emptied or restored from a dump. It is not known what \
                 happened to the earlier events with these ids."
                    .to_owned(),
            );
            look.page.progress.broke = look.broken.clone();
            self.log_seen.clear();
        }
    }

    /// Decides how rows ended that are not there any more.
    async fn ends(&mut self, look: &mut Look<'_>, gone: Vec<BookRow>) -> Result<(), FollowError> {
        if gone.is_empty() {
            return Ok(());
        }
        let events: Vec<i64> = gone.iter().map(|row| row.id).collect();
        let discarded = self.store.being_discarded(&events).await?;
        let logs = self.store.log_ids_of(&events).await?;
        let ids: Vec<i64> = logs.values().flatten().copied().collect();
        let present = if look.broken.is_none() { look.source.log_present(&ids).await? } else { BTreeSet::new() };
        let mut ended = Vec::with_capacity(gone.len());
        for row in gone {
            let log = logs.get(&row.id);
            let (state, why) = if discarded.contains(&row.id) {
                (LifeState::Discarded, None)
            } else {
                end_of(look, log.map(Vec::as_slice).unwrap_or_default(), &present)
            };
            ended.push(Ended { row, state, why: why.map(str::to_owned) });
        }
        // A pair of feed and event that stands twice is one to the consumer: one success removes both rows.
        let resolved: BTreeSet<(i64, String)> =
            ended.iter().filter(|end| end.state == LifeState::Resolved).filter_map(|end| pair(&end.row)).collect();
        for end in &mut ended {
            if end.state == LifeState::Gone && pair(&end.row).is_some_and(|pair| resolved.contains(&pair)) {
                (end.state, end.why) = (LifeState::Resolved, None);
            }
        }
        look.page.ended.extend(ended);
        Ok(())
    }

    /// Rows of the retry log that came since the last look. Those of the last few that were read already are known by
    /// their ids, because transactions may commit in another order than their ids.
    async fn read_log_tail(&mut self, look: &mut Look<'_>, tail: Vec<(i64, String)>) -> Result<(), FollowError> {
        // Events first: an attempt belongs to a row that the book knows.
        self.write(look).await?;
        let Some(newest) = tail.first().map(|(id, _)| *id) else { return Ok(()) };
        let lowest = tail.last().map_or(newest, |(id, _)| *id);
        // Where more came than the tail shows, what lies before it is read through.
        while self.book.log_to.is_none_or(|read| read < lowest - 1) {
            let rows = look.source.log_above(self.book.log_to, TEXTS).await?;
            let Some(last) = rows.last() else { break };
            look.page.progress.log_to = Some(last.id);
            look.page.attempts.extend(rows.into_iter().filter_map(attempt));
            self.write(look).await?;
        }
        let unread: Vec<i64> =
            tail.iter().filter(|(id, row)| self.log_seen.get(id) != Some(row)).map(|(id, _)| *id).collect();
        if !unread.is_empty() {
            look.page.attempts.extend(look.source.log_of(&unread).await?.into_iter().filter_map(attempt));
        }
        look.page.progress.log_to = Some(newest);
        self.log_seen = tail.into_iter().collect();
        Ok(())
    }

    async fn write(&mut self, look: &mut Look<'_>) -> Result<(), FollowError> {
        if look.page.is_empty() && look.page.progress.broke.is_none() && look.page.progress.log_to.is_none() {
            return Ok(());
        }
        let after = self.book.read_whole.then_some(self.book.looked_at).flatten();
        write(&self.store, &mut self.book, after, Utc::now(), &mut look.page, &mut look.found).await
    }

    /// Writes the rest, and that the look is through.
    async fn end(&mut self, look: &mut Look<'_>, progress: Progress) -> Result<(), FollowError> {
        let after = self.book.read_whole.then_some(self.book.looked_at).flatten();
        look.page.progress.looked_at = progress.looked_at;
        look.page.progress.read_whole = progress.read_whole;
        write(&self.store, &mut self.book, after, Utc::now(), &mut look.page, &mut look.found).await
    }
}

/// One look under way.
struct Look<'a> {
    began: DateTime<Utc>,
    source: &'a Source,
    /// What is not yet written.
    page: Page,
    found: Found,
    /// Why rows may have left without a trace.
    broken: Option<String>,
    changed_buckets: BTreeSet<i64>,
    log_is_there: bool,
}

/// Some chunks of the first read.
struct Read<T> {
    /// As the book enters them.
    read: Vec<T>,
    /// Where the next ones begin; `None`: there were no more.
    next: Option<i64>,
}

/// Rows from an id on.
async fn read_rows(
    source: &Source,
    from: Option<i64>,
    limits: &Limits,
    chunks: usize,
) -> Result<Read<Appeared>, FollowError> {
    let mut told = Telling::default();
    let mut next = from;
    for _ in 0..chunks {
        let Some(from) = next else { break };
        let rows = source.whole_rows((from, i64::MAX), TEXTS).await?;
        let highest = rows.last().and_then(|row| i64::try_from(row.row.id.0).ok());
        next = highest.and_then(|highest| highest.checked_add(1));
        let limits = *limits;
        told.tell(move || rows.iter().filter_map(|row| appeared(row, &limits)).collect()).await;
    }
    Ok(Read { read: told.all().await, next })
}

/// Rows of the retry log above an id; `next` is the highest one read.
async fn read_log(source: &Source, above: Option<i64>, chunks: usize) -> Result<Read<NewAttempt>, FollowError> {
    let mut told = Telling::default();
    let mut last = None;
    for _ in 0..chunks {
        let rows = source.log_above(last.or(above), TEXTS).await?;
        let Some(newest) = rows.last() else { break };
        last = Some(newest.id);
        told.tell(move || rows.into_iter().filter_map(attempt).collect()).await;
    }
    Ok(Read { read: told.all().await, next: last })
}

/// Telling some thousand errors apart takes a while: on a thread of its own, so that pages do not wait for it, and while
/// the source is asked for the next ones.
struct Telling<T> {
    told: Vec<T>,
    under_way: Option<tokio::task::JoinHandle<Vec<T>>>,
}

impl<T> Default for Telling<T> {
    fn default() -> Self {
        Self { told: Vec::new(), under_way: None }
    }
}

impl<T: Send + 'static> Telling<T> {
    async fn tell(&mut self, work: impl FnOnce() -> Vec<T> + Send + 'static) {
        self.finish().await;
        self.under_way = Some(tokio::task::spawn_blocking(work));
    }

    async fn finish(&mut self) {
        if let Some(under_way) = self.under_way.take() {
            // It can only fail by a panic, which the log has told; what is missing then is found by the next look's sums.
            self.told.extend(under_way.await.unwrap_or_default());
        }
    }

    async fn all(mut self) -> Vec<T> {
        self.finish().await;
        self.told
    }
}

async fn write(
    store: &Store,
    book: &mut Book,
    after: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
    page: &mut Page,
    found: &mut Found,
) -> Result<(), FollowError> {
    let page = std::mem::take(page);
    let written = store.write_page(book, Moment { after, at }, &page).await?;
    found.add(&page, &written);
    Ok(())
}

/// How a row ended that a person did not discard, by what is left of its retry log.
fn end_of(look: &Look<'_>, log: &[i64], present: &BTreeSet<i64>) -> (LifeState, Option<&'static str>) {
    const BROKEN: &str = "The database was replaced or restored, and the row is missing now.";
    const NO_TABLE: &str = "Without a retry log, a success and a deletion look the same.";
    const NO_LOG: &str = "No retry log yet: the first retry succeeded, or the row was deleted in the database.";
    const LEFT: &str = "Deleted in the database: the retry log is still there.";
    match log {
        _ if look.broken.is_some() => (LifeState::Gone, Some(BROKEN)),
        [] if !look.log_is_there => (LifeState::Gone, Some(NO_TABLE)),
        [] => (LifeState::Gone, Some(NO_LOG)),
        log if log.iter().any(|id| present.contains(id)) => (LifeState::Gone, Some(LEFT)),
        _ => (LifeState::Resolved, None),
    }
}

/// What the consumer finds a row by.
fn pair(row: &BookRow) -> Option<(i64, String)> {
    Some((row.feed_id, row.event_id.clone()?))
}

/// The span of two spans.
fn join(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
}

/// Buckets so wide that the span lies in about [`BUCKETS`] of them. The width that is in use stays while it does.
fn width_for(span: Option<(i64, i64)>, width: i64) -> i64 {
    let Some((lowest, highest)) = span else { return width };
    let ids = i128::from(highest) - i128::from(lowest);
    let mut fitting = width.max(NARROWEST);
    while ids / i128::from(fitting) > i128::from(BUCKETS) && fitting < i64::MAX / 2 {
        fitting *= 2;
    }
    fitting
}

/// A row as the book enters it. Ids that the ledger cannot hold are told by [`Found::beyond`].
fn appeared(whole: &WholeRow, limits: &Limits) -> Option<Appeared> {
    let WholeRow { row, mark } = whole;
    Some(Appeared {
        mark: *mark,
        row_id: i64::try_from(row.id.0).ok()?,
        feed_uri: row.feed_uri.clone().filter(|uri| !uri.is_empty()),
        event_id: row.event_id.clone(),
        record: record(row),
        title: row.title.clone(),
        failed_at: row.failed_at.clone(),
        retries: row.retries,
        state: EventState::of(row.retries, limits).into(),
        fault: fingerprint(row.error.as_deref()),
    })
}

/// The uuid of the record that a failed event is about.
fn record(row: &FailedEventRow) -> Option<String> {
    let of_payload = row.payload.as_deref().and_then(record_uuid);
    of_payload.or_else(|| row.event_id.as_deref().and_then(record_uuid)).map(|uuid| uuid.to_lowercase())
}

/// A row of the retry log as the book enters it. One without an event's id belongs to none.
fn attempt(row: LogRow) -> Option<NewAttempt> {
    Some(NewAttempt {
        log_id: row.id,
        feed_uri: row.feed_uri,
        event_id: row.event_id?,
        at: row.failed_at.and_then(|stamp| stamp.at),
        fault: fingerprint(row.error.as_deref()),
    })
}

/// What an error text is grouped by. The one place where the ledger asks for it.
fn fingerprint(error: Option<&str>) -> Fingerprint {
    let fingerprint = fingerprint::of(error);
    (fingerprint.version.into(), fingerprint.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_grow_with_the_table_and_no_sooner() {
        assert_eq!(width_for(None, NARROWEST), NARROWEST);
        assert_eq!(width_for(Some((1, 1_000_000)), NARROWEST), NARROWEST);
        assert_eq!(width_for(Some((1, 10_000_000)), NARROWEST), 32_768);
        assert_eq!(width_for(Some((1, 10)), 32_768), 32_768, "what is in use stays");
        let widest = width_for(Some((i64::MIN, i64::MAX)), NARROWEST);
        assert!(u64::MAX / u64::try_from(widest).unwrap() <= 2 * u64::try_from(BUCKETS).unwrap());
    }
}
