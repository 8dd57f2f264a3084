//! Keeps a source's ledger in step with its table: rows that were added, changed or deleted.
//!
//! The table has no index except its primary key and is not read whole. Both sides compute the same sums by buckets of
//! ids ([`crate::server::digest`]); rows are compared only in buckets whose sums differ, some thousands at a time. What
//! happened between two polls, in which order, and how long ago the last poll was therefore does not matter: the ledger
//! is brought to the table's present state, and changes found this way carry the times of the two polls.
//!
//! The first read goes through the whole table once, lowest id first, and resumes after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use crate::{
    clock,
    model::{
        EventState, FailedEventRow, Limits, Marker, RowId, fingerprint,
        ledger::{LifeState, Moment},
        payload::record_uuid,
    },
    server::{
        digest::{self, Digest},
        sources::{LogRow, RowKey, Source, SourceError, SourceErrorKind, TableSums, WholeRow},
        store::{
            Store, StoreError,
            ledger::{
                Appeared, Changed, Ended, Fingerprint, LedgerCursor, LedgerRow, Moved, NewAttempt, Page, Progress,
                Work, Written,
            },
        },
    },
};

/// Rows compared at a time, without their long texts.
const CHUNK: u32 = 2_000;

/// Rows read with their texts at a time: some megabytes.
const TEXTS: u32 = 500;

/// Approximate upper limit of the number of buckets for the whole table.
const BUCKETS: i64 = 512;

/// Width of the narrowest bucket: about as many ids as rows are compared at once.
const NARROWEST: i64 = 2_048;

/// Number of parts into which a bucket with too many rows to compare is split.
const SPLIT: i64 = 16;

/// Changes held in memory before they are written.
const PAGE: usize = 2_000;

/// Chunks of the first read that are written together. More rows mean fewer writes of each page of the store's indexes,
/// but more memory. The texts are dropped earlier.
const CHUNKS_OF_A_PAGE: usize = 4;

/// The same for a first read of more than [`MANY`] ids.
const CHUNKS_OF_A_LONG_PAGE: usize = 16;

/// Pages of chunks per poll of a first read; after each poll, the console's pages show its progress.
const PAGES_OF_A_POLL: usize = 4;

/// Ids ahead of a first read above which it and the store use more memory.
const MANY: i64 = 150_000;

/// Maximum number of rows that a poll names to open pages.
const NAMED: usize = 200;

/// Why a poll did not finish.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a poll found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PollChanges {
    pub appeared: u64,
    pub changed: u64,
    pub ended: u64,
    pub attempts: u64,
    /// Requests whose outcome is now known.
    pub settled: u64,
    /// The affected rows, at most 200.
    pub rows: Vec<RowId>,
    /// The first read is still under way: poll again soon.
    pub unfinished: bool,
    /// The table has rows with ids that the ledger cannot hold.
    pub beyond: bool,
}

impl PollChanges {
    /// Returns whether nothing differs from the last poll.
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

/// Updates one source's ledger.
#[derive(Debug)]
pub struct Follower {
    store: Store,
    limits: Limits,
    cursor: LedgerCursor,
    /// Bucket width, and the ledger's sums by bucket as of the last poll.
    width: i64,
    sums: Option<HashMap<i64, Digest>>,
    /// Buckets whose sums differ although their rows do not: the database calculates with other values than it prints.
    odd: HashMap<i64, (Digest, Digest)>,
    /// The last rows of the retry log as of the last poll.
    log_seen: BTreeMap<i64, String>,
    /// The store was set to bulk mode for this long first read.
    expects_much: bool,
}

impl Follower {
    /// Opens the ledger of an application.
    ///
    /// # Errors
    /// Fails if the store cannot be used.
    pub async fn open(store: &Store, app: &str, limits: &Limits) -> Result<Self, StoreError> {
        let mut cursor = store.open_cursor(app, clock::now()).await?;
        store.apply_max_retry(&mut cursor, limits.max_retry).await?;
        Ok(Self {
            store: store.clone(),
            limits: *limits,
            cursor,
            width: NARROWEST,
            sums: None,
            odd: HashMap::new(),
            log_seen: BTreeMap::new(),
            expects_much: false,
        })
    }

    /// Returns since when the source is watched, and whether it has been read whole.
    pub fn since(&self) -> (DateTime<Utc>, bool) {
        (self.cursor.since, self.cursor.read_whole)
    }

    /// Stores the positions of the markers; returns when consumers were last seen at work.
    ///
    /// # Errors
    /// Fails if the store cannot be used.
    pub async fn note_markers(&mut self, markers: &[Marker]) -> Result<HashMap<String, Work>, StoreError> {
        let mut stands = BTreeMap::<String, String>::new();
        for marker in markers {
            let Some(uri) = marker.feed_uri.as_ref().filter(|uri| !uri.is_empty()) else { continue };
            let entry = marker.last_read_entry_id.as_deref().unwrap_or_default();
            let page = marker.page_uri.as_deref().unwrap_or_default();
            // Several markers for one feed are stored as one text.
            stands.entry(uri.clone()).or_default().push_str(&format!("{entry} {page}\n"));
        }
        self.store.note_markers(&mut self.cursor, &stands, clock::now()).await
    }

    /// Polls once: brings the ledger to the table's present state.
    ///
    /// # Errors
    /// Fails if the source or the store fails. What was already written remains, and the next poll continues from it.
    pub async fn catch_up(&mut self, source: &Source) -> Result<PollChanges, FollowError> {
        let mut pass = Pass {
            began: clock::now(),
            source,
            page: Page::default(),
            found: PollChanges::default(),
            broken: None,
            changed_buckets: BTreeSet::new(),
            log_is_there: true,
        };
        match self.compare(&mut pass).await {
            Ok(()) => Ok(pass.found),
            Err(error) => {
                // The store may hold more than the remembered sums say.
                self.sums = None;
                Err(error)
            }
        }
    }

    async fn compare(&mut self, pass: &mut Pass<'_>) -> Result<(), FollowError> {
        let known = self.store.id_span(&mut self.cursor).await?;
        let (width, read_whole) = (self.width, self.cursor.read_whole);
        let mut chosen = width;
        let table_sums = pass.source.table_sums(|span| {
            chosen = width_for(join(span, known), width);
            // The first read covers all rows: no sums are needed.
            read_whole.then_some(chosen)
        });
        let table_sums = match table_sums.await {
            Ok(table_sums) => table_sums,
            // Nothing to watch: the table does not exist here.
            Err(error) if error.kind == SourceErrorKind::NotHere => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if chosen != self.width {
            (self.width, self.sums) = (chosen, None);
            self.odd.clear();
        }
        pass.found.beyond = table_sums.beyond;
        pass.log_is_there = table_sums.log.is_some();
        self.store.note_moves(&mut self.cursor, table_sums.moves).await?;
        self.notice_another_database(pass, &table_sums);
        if !self.cursor.read_whole {
            return self.first_read(pass, &table_sums, known).await;
        }
        let sums = self.sums(known).await?;
        let there: HashMap<i64, Digest> = table_sums.buckets.iter().copied().collect();
        let numbers: BTreeSet<i64> = there.keys().chain(sums.keys()).copied().collect();
        for number in numbers {
            let both =
                (there.get(&number).copied().unwrap_or_default(), sums.get(&number).copied().unwrap_or_default());
            if both.0 != both.1 && self.odd.get(&number) != Some(&both) {
                self.bucket(pass, number, both).await?;
            }
        }
        self.read_log_tail(pass, table_sums.log.unwrap_or_default()).await?;
        self.end(pass, Progress { looked_at: Some(pass.began), ..Progress::default() }).await?;
        self.refresh(pass).await?;
        Ok(())
    }

    /// A different identity means different rows: a dump was restored, or another database now has this address. Rows
    /// that are the same in both continue; for missing rows the reason is unknown.
    fn notice_another_database(&mut self, pass: &mut Pass<'_>, table_sums: &TableSums) {
        let (Some(before), Some(now)) = (&self.cursor.identity, &table_sums.identity) else {
            pass.page.progress.identity = table_sums.identity.clone();
            return;
        };
        if before != now {
            tracing::warn!(application = %pass.source.app().info.name, "the database is not the one of the last poll");
            pass.page.progress.identity = Some(now.clone());
            pass.broken = Some(
                "The database, or its table failed_events, was replaced or restored. It is not known what happened to the failed \
                 events that are missing now."
                    .to_owned(),
            );
            pass.page.progress.broke = pass.broken.clone();
            self.log_seen.clear();
        }
    }

    /// Reads the table once, some chunks per poll, then the retry log.
    async fn first_read(
        &mut self,
        pass: &mut Pass<'_>,
        table_sums: &TableSums,
        known: Option<(i64, i64)>,
    ) -> Result<(), FollowError> {
        let next = known.map_or(Some(i64::MIN), |(_, highest)| highest.checked_add(1));
        let next = next.filter(|from| table_sums.span.is_some_and(|(_, highest)| highest >= *from));
        let to_come =
            table_sums.span.zip(next).map_or(0, |((lowest, highest), from)| highest.saturating_sub(from.max(lowest)));
        if to_come > MANY && !self.expects_much {
            self.store.set_bulk_mode(true).await?;
            self.expects_much = true;
        }
        let chunks = if self.expects_much { CHUNKS_OF_A_LONG_PAGE } else { CHUNKS_OF_A_PAGE };
        let mut rows = read_rows(pass.source, next, &self.limits, chunks).await?;
        for _ in 0..PAGES_OF_A_POLL {
            if rows.read.is_empty() {
                break;
            }
            pass.page.appeared = rows.read;
            // The next rows are read and their errors are fingerprinted while these are written.
            let next = read_rows(pass.source, rows.next, &self.limits, chunks);
            let written = write(&self.store, &mut self.cursor, None, clock::now(), &mut pass.page, &mut pass.found);
            let (next, written) = tokio::join!(next, written);
            written?;
            rows = next?;
        }
        if !rows.read.is_empty() {
            pass.found.unfinished = true;
            return Ok(());
        }
        let mut attempts = read_log(pass.source, self.cursor.log_to, chunks).await?;
        for _ in 0..PAGES_OF_A_POLL {
            let Some(last) = attempts.next else {
                if std::mem::take(&mut self.expects_much) {
                    self.store.set_bulk_mode(false).await?;
                }
                let progress = Progress { looked_at: Some(pass.began), read_whole: true, ..Progress::default() };
                return self.end(pass, progress).await;
            };
            pass.page.progress.log_to = Some(last);
            pass.page.attempts = attempts.read;
            let next = read_log(pass.source, Some(last), chunks);
            let written = write(&self.store, &mut self.cursor, None, clock::now(), &mut pass.page, &mut pass.found);
            let (next, written) = tokio::join!(next, written);
            written?;
            attempts = next?;
        }
        pass.found.unfinished = true;
        Ok(())
    }

    /// Returns the ledger's sums by bucket.
    async fn sums(&mut self, known: Option<(i64, i64)>) -> Result<HashMap<i64, Digest>, StoreError> {
        if let Some(sums) = &self.sums {
            return Ok(sums.clone());
        }
        let sums = match known {
            Some(known) => self.store.ledger_digests(&self.cursor, known, self.width).await?.into_iter().collect(),
            None => HashMap::new(),
        };
        self.sums = Some(HashMap::clone(&sums));
        Ok(sums)
    }

    /// After a poll, updates the remembered sums of the buckets that it changed.
    async fn refresh(&mut self, pass: &Pass<'_>) -> Result<(), StoreError> {
        for number in &pass.changed_buckets {
            let range = digest::bucket(*number, self.width);
            let now = self.store.ledger_digests(&self.cursor, range, self.width).await?;
            let Some(sums) = &mut self.sums else { return Ok(()) };
            match now.into_iter().find(|(bucket, _)| bucket == number) {
                Some((_, digest)) => sums.insert(*number, digest),
                None => sums.remove(number),
            };
        }
        Ok(())
    }

    /// Compares the rows of a bucket whose sums differ, splitting it into narrower buckets if it is too full.
    async fn bucket(&mut self, pass: &mut Pass<'_>, number: i64, both: (Digest, Digest)) -> Result<(), FollowError> {
        let before = (pass.found.clone(), pass.page.len());
        let mut ranges = vec![(digest::bucket(number, self.width), self.width, both.0.rows.max(both.1.rows))];
        while let Some((range, width, rows)) = ranges.pop() {
            if rows <= CHUNK.into() || width <= 1 {
                self.rows(pass, range).await?;
                continue;
            }
            let width = (width / SPLIT).max(1);
            let there: HashMap<i64, Digest> = pass.source.digests(range, width).await?.into_iter().collect();
            let known: HashMap<i64, Digest> =
                self.store.ledger_digests(&self.cursor, range, width).await?.into_iter().collect();
            for part in there.keys().chain(known.keys()).collect::<BTreeSet<_>>() {
                let of = |sums: &HashMap<i64, Digest>| sums.get(part).copied().unwrap_or_default();
                if of(&there) != of(&known) {
                    let (first, last) = digest::bucket(*part, width);
                    let range = (first.max(range.0), last.min(range.1));
                    ranges.push((range, width, of(&there).rows.max(of(&known).rows)));
                }
            }
        }
        if before == (pass.found.clone(), pass.page.len()) {
            self.odd.insert(number, both);
        } else {
            self.odd.remove(&number);
            pass.changed_buckets.insert(number);
        }
        Ok(())
    }

    /// Compares the rows of a range with the ledger.
    async fn rows(&mut self, pass: &mut Pass<'_>, range: (i64, i64)) -> Result<(), FollowError> {
        let mut first = range.0;
        loop {
            let there = pass.source.row_keys((first, range.1), CHUNK).await?;
            // Rows may have been added since they were counted: compare no further than the last row read.
            let last = if there.len() < CHUNK as usize { range.1 } else { there.last().map_or(range.1, |row| row.id) };
            let known = self.store.ledger_rows(&self.cursor, (first, last)).await?;
            self.pair_up(pass, there, known).await?;
            match last.checked_add(1) {
                Some(next) if last < range.1 => first = next,
                _ => return Ok(()),
            }
        }
    }

    async fn pair_up(
        &mut self,
        pass: &mut Pass<'_>,
        there: Vec<RowKey>,
        known: Vec<LedgerRow>,
    ) -> Result<(), FollowError> {
        let mut known: BTreeMap<i64, LedgerRow> = known.into_iter().map(|row| (row.row_id, row)).collect();
        let (mut new, mut gone) = (Vec::new(), Vec::new());
        for row in there {
            let Some(old) = known.remove(&row.id) else {
                new.push(RowId(row.id.into()));
                continue;
            };
            if old.event_id != row.event_id {
                self.notice_ids_that_begin_again(pass);
                new.push(RowId(row.id.into()));
                gone.push(old);
            } else if old.feed_uri != row.feed_uri.clone().filter(|uri| !uri.is_empty()) {
                // If its retries changed too, the next poll finds that.
                pass.page.moved.push(Moved { row: old, feed_uri: row.feed_uri, mark: row.mark });
            } else if old.retries != row.retries || old.mark != row.mark {
                let state = EventState::of(row.retries, &self.limits).into();
                pass.page.changed.push(Changed { row: old, retries: row.retries, state, mark: row.mark });
            }
        }
        gone.extend(known.into_values());
        self.ends(pass, gone).await?;
        if pass.page.len() >= PAGE {
            self.write(pass).await?;
        }
        for ids in new.chunks(TEXTS as usize) {
            let rows = pass.source.whole_rows_of(ids).await?;
            pass.page.appeared.extend(rows.iter().filter_map(|row| appeared(row, &self.limits)));
            if pass.page.len() >= PAGE {
                self.write(pass).await?;
            }
        }
        Ok(())
    }

    fn notice_ids_that_begin_again(&mut self, pass: &mut Pass<'_>) {
        if pass.broken.is_none() {
            pass.broken = Some(
                "Ids were used again for other failed events: the table was emptied or restored from a dump. It is not known what \
                 happened to the earlier events with these ids."
                    .to_owned(),
            );
            pass.page.progress.broke = pass.broken.clone();
            self.log_seen.clear();
        }
    }

    /// Decides how rows ended that are missing from the table.
    async fn ends(&mut self, pass: &mut Pass<'_>, gone: Vec<LedgerRow>) -> Result<(), FollowError> {
        if gone.is_empty() {
            return Ok(());
        }
        let events: Vec<i64> = gone.iter().map(|row| row.id).collect();
        let discarded = self.store.being_discarded(&events).await?;
        let logs = self.store.log_ids_of(&events).await?;
        let ids: Vec<i64> = logs.values().flatten().copied().collect();
        let present = if pass.broken.is_none() { pass.source.log_present(&ids).await? } else { BTreeSet::new() };
        let mut ended = Vec::with_capacity(gone.len());
        for row in gone {
            let log = logs.get(&row.id);
            let (state, why) = if discarded.contains(&row.id) {
                (LifeState::Discarded, None)
            } else {
                end_of(pass, log.map(Vec::as_slice).unwrap_or_default(), &present)
            };
            ended.push(Ended { row, state, why: why.map(str::to_owned) });
        }
        // The consumer treats rows with the same feed and event as one: one success removes both.
        let resolved: BTreeSet<(i64, String)> =
            ended.iter().filter(|end| end.state == LifeState::Resolved).filter_map(|end| pair(&end.row)).collect();
        for end in &mut ended {
            if end.state == LifeState::Gone && pair(&end.row).is_some_and(|pair| resolved.contains(&pair)) {
                (end.state, end.why) = (LifeState::Resolved, None);
            }
        }
        pass.page.ended.extend(ended);
        Ok(())
    }

    /// Reads rows added to the retry log since the last poll. Of the last few, those already read are recognized by
    /// their ids, because transactions may commit in another order than their ids.
    async fn read_log_tail(&mut self, pass: &mut Pass<'_>, tail: Vec<(i64, String)>) -> Result<(), FollowError> {
        // Events first: an attempt belongs to a row that is in the ledger.
        self.write(pass).await?;
        let Some(newest) = tail.first().map(|(id, _)| *id) else { return Ok(()) };
        let lowest = tail.last().map_or(newest, |(id, _)| *id);
        // If more rows were added than the tail shows, reads the rows before it.
        while self.cursor.log_to.is_none_or(|read| read < lowest - 1) {
            let rows = pass.source.log_above(self.cursor.log_to, TEXTS).await?;
            let Some(last) = rows.last() else { break };
            pass.page.progress.log_to = Some(last.id);
            pass.page.attempts.extend(rows.into_iter().filter_map(attempt));
            self.write(pass).await?;
        }
        let unread: Vec<i64> =
            tail.iter().filter(|(id, row)| self.log_seen.get(id) != Some(row)).map(|(id, _)| *id).collect();
        if !unread.is_empty() {
            pass.page.attempts.extend(pass.source.log_of(&unread).await?.into_iter().filter_map(attempt));
        }
        pass.page.progress.log_to = Some(newest);
        self.log_seen = tail.into_iter().collect();
        Ok(())
    }

    async fn write(&mut self, pass: &mut Pass<'_>) -> Result<(), FollowError> {
        if pass.page.is_empty() && pass.page.progress.broke.is_none() && pass.page.progress.log_to.is_none() {
            return Ok(());
        }
        let after = self.cursor.read_whole.then_some(self.cursor.looked_at).flatten();
        write(&self.store, &mut self.cursor, after, clock::now(), &mut pass.page, &mut pass.found).await
    }

    /// Writes the remaining changes, and that the poll is complete.
    async fn end(&mut self, pass: &mut Pass<'_>, progress: Progress) -> Result<(), FollowError> {
        let after = self.cursor.read_whole.then_some(self.cursor.looked_at).flatten();
        pass.page.progress.looked_at = progress.looked_at;
        pass.page.progress.read_whole = progress.read_whole;
        write(&self.store, &mut self.cursor, after, clock::now(), &mut pass.page, &mut pass.found).await
    }
}

/// State of one poll under way.
struct Pass<'a> {
    began: DateTime<Utc>,
    source: &'a Source,
    /// Changes not yet written.
    page: Page,
    found: PollChanges,
    /// Why rows may be missing without a trace.
    broken: Option<String>,
    changed_buckets: BTreeSet<i64>,
    log_is_there: bool,
}

/// Some chunks of the first read.
struct Read<T> {
    /// In the ledger's form.
    read: Vec<T>,
    /// Where the next chunks begin; `None` if there are no more.
    next: Option<i64>,
}

/// Reads rows from an id on.
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

/// Reads rows of the retry log above an id; `next` is the highest id read.
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

/// Fingerprints some thousand errors on a separate thread, so that pages do not wait for it, and meanwhile the source
/// is asked for the next rows.
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
            // Only a panic can fail this, and it is logged; the next poll's sums reveal the missing rows.
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
    cursor: &mut LedgerCursor,
    after: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
    page: &mut Page,
    found: &mut PollChanges,
) -> Result<(), FollowError> {
    let page = std::mem::take(page);
    let written = store.write_page(cursor, Moment { after, at }, &page).await?;
    found.add(&page, &written);
    Ok(())
}

/// Decides how a row ended that no user discarded, from what remains of its retry log.
fn end_of(pass: &Pass<'_>, log: &[i64], present: &BTreeSet<i64>) -> (LifeState, Option<&'static str>) {
    const BROKEN: &str = "The database was replaced or restored, and the row is missing now.";
    const NO_TABLE: &str = "Without a retry log, a success and a deletion look the same.";
    const NO_LOG: &str = "No retry log yet: the first retry succeeded, or the row was deleted in the database.";
    const LEFT: &str = "Deleted in the database: the retry log is still there.";
    match log {
        _ if pass.broken.is_some() => (LifeState::Gone, Some(BROKEN)),
        [] if !pass.log_is_there => (LifeState::Gone, Some(NO_TABLE)),
        [] => (LifeState::Gone, Some(NO_LOG)),
        log if log.iter().any(|id| present.contains(id)) => (LifeState::Gone, Some(LEFT)),
        _ => (LifeState::Resolved, None),
    }
}

/// The key by which the consumer finds a row.
fn pair(row: &LedgerRow) -> Option<(i64, String)> {
    Some((row.feed_id, row.event_id.clone()?))
}

/// Returns the span that covers both spans.
fn join(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
}

/// Returns a width with which the span has at most about [`BUCKETS`] buckets: the current one if it suffices.
fn width_for(span: Option<(i64, i64)>, width: i64) -> i64 {
    let Some((lowest, highest)) = span else { return width };
    let ids = i128::from(highest) - i128::from(lowest);
    let mut fitting = width.max(NARROWEST);
    while ids / i128::from(fitting) > i128::from(BUCKETS) && fitting < i64::MAX / 2 {
        fitting *= 2;
    }
    fitting
}

/// Converts a row to the ledger's form. `None` if the ledger cannot hold its id, which [`PollChanges::beyond`] reports.
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

/// Returns the uuid of the record that a failed event is about.
fn record(row: &FailedEventRow) -> Option<String> {
    let of_payload = row.payload.as_deref().and_then(record_uuid);
    of_payload.or_else(|| row.event_id.as_deref().and_then(record_uuid)).map(|uuid| uuid.to_lowercase())
}

/// Converts a row of the retry log to the ledger's form. `None` if it has no event id.
fn attempt(row: LogRow) -> Option<NewAttempt> {
    Some(NewAttempt {
        log_id: row.id,
        feed_uri: row.feed_uri,
        event_id: row.event_id?,
        at: row.failed_at.and_then(|stamp| stamp.at),
        fault: fingerprint(row.error.as_deref()),
    })
}

/// Returns what an error text is grouped by. The only place where the ledger computes it.
fn fingerprint(error: Option<&str>) -> Fingerprint {
    let fingerprint = fingerprint::of(error);
    (fingerprint.version.into(), fingerprint.text)
}

#[cfg(test)]
mod tests;
