//! The invented history of a busy hospital, the same on every backend and in every run, as SQL that all three
//! understand. All texts are generated here, so values are part of the statements.

use std::fmt::Write as _;

use atomfeed_console::clock;
use chrono::{DateTime, TimeDelta, Utc};

/// Rows per INSERT: large enough to be quick, and well below every server's largest packet.
const BATCH: u64 = 500;

/// The feeds that the application reads, and the categories it publishes.
const CATEGORIES: [&str; 5] = ["patient", "encounter", "lab", "drug", "saleable"];

/// Number of records that the events are about, so that some failed events share one.
pub const RECORDS: u64 = 40_000;

/// How many rows each table gets.
#[derive(Clone, Copy, Debug)]
pub struct History {
    pub failed: u64,
    pub attempts: u64,
    pub published: u64,
}

impl History {
    /// Returns the INSERT statements for all tables, built one at a time: together they would be some hundred
    /// megabytes.
    pub fn statements(&self) -> impl Iterator<Item = String> + use<> {
        let now = clock::now();
        let History { failed, attempts, published } = *self;
        let failed_events = batches(
            "failed_events (id, feed_uri, failed_at, error_message, event_id, event_content, error_hash_code, title, \
             retries, tags)",
            failed,
            move |n| failed_event(n, failed, now),
        );
        let retry_log = batches(
            "failed_event_retry_log (id, feed_uri, failed_at, error_message, event_id, event_content, error_hash_code)",
            attempts,
            move |n| attempt(n, failed, now),
        );
        let event_records = batches(
            "event_records (id, uuid, title, timestamp, uri, object, category, date_created, tags)",
            published,
            move |n| event_record(n, published, now),
        );
        let others = [
            values("markers (feed_uri, last_read_entry_id, feed_uri_for_last_read_entry)", CATEGORIES.map(marker)),
            values("chunking_history (id, chunk_length, start)", ["1, 5, 1".to_owned()]),
        ];
        failed_events.chain(retry_log).chain(event_records).chain(others)
    }

    /// Returns the feed address of most failed events.
    pub fn feed() -> String {
        feed(0)
    }

    /// Returns the category of most published events.
    pub fn category() -> &'static str {
        CATEGORIES[0]
    }

    /// Returns the event id of a failed event.
    pub fn event_id(row: u64) -> String {
        format!("tag:atomfeed.ict4h.org:{}", uuid(row, 1))
    }

    /// Returns the uuid of a failed event's record.
    pub fn record(row: u64) -> String {
        uuid(row % RECORDS, 2)
    }

    /// Returns an invented uuid, the same every time; one salt for each kind of record.
    pub fn uuid(n: u64, salt: u64) -> String {
        uuid(n, salt)
    }
}

/// Returns INSERT statements of `rows` rows, each numbered from 1 on.
pub fn batches(into: &'static str, rows: u64, row: impl Fn(u64) -> String + Copy) -> impl Iterator<Item = String> {
    let starts = (0..rows).step_by(usize::try_from(BATCH).unwrap_or(usize::MAX));
    starts.map(move |start| values(into, (start..rows.min(start + BATCH)).map(|n| row(n + 1))))
}

fn values(into: &str, rows: impl IntoIterator<Item = String>) -> String {
    let mut sql = format!("INSERT INTO {into} VALUES ");
    for (index, row) in rows.into_iter().enumerate() {
        let _ = write!(sql, "{}({row})", if index == 0 { "" } else { ", " });
    }
    sql
}

fn failed_event(n: u64, of: u64, now: DateTime<Utc>) -> String {
    let retries = if n.is_multiple_of(10) { n / 10 % 5 } else { 5 };
    format!(
        "{n}, '{}', '{}', 'Failed processing event in feed [{}] \n{}', '{}', '{}', {}, 'Encounter', {retries}, 'Encounter'",
        feed(n),
        time(now, of - n, of),
        page(n),
        error(n),
        History::event_id(n),
        content(n),
        hash(n, 3) % 2_000_000_000,
    )
}

/// Attempts cycle through all failed events, so that each gets its share.
fn attempt(n: u64, failed: u64, now: DateTime<Utc>) -> String {
    let row = n % failed + 1;
    format!(
        "{n}, '{}', '{}', '{}', '{}', '{}', {}",
        feed(row),
        time(now, failed - row, failed),
        error(row + n),
        History::event_id(row),
        content(row),
        hash(n, 4) % 2_000_000_000,
    )
}

fn event_record(n: u64, of: u64, now: DateTime<Utc>) -> String {
    let at = time(now, of - n, of);
    let category = CATEGORIES[index(n)];
    format!("{n}, '{}', 'Encounter', '{at}', NULL, '{}', '{category}', '{at}', ''", uuid(n, 5), content(n))
}

fn marker(category: &str) -> String {
    let feed = format!("http://openmrs:8080/openmrs/ws/atomfeed/{category}");
    format!("'{feed}/recent', '{}', '{feed}/2143'", History::event_id(1))
}

/// Most events are of one feed, as in hospitals: usually a single feed is stopped.
fn index(n: u64) -> usize {
    match n % 10 {
        0..6 => 0,
        rest => (rest - 5) as usize,
    }
}

fn feed(n: u64) -> String {
    format!("http://openmrs:8080/openmrs/ws/atomfeed/{}/recent", CATEGORIES[index(n)])
}

fn page(n: u64) -> String {
    format!("http://openmrs:8080/openmrs/ws/atomfeed/{}/{}", CATEGORIES[index(n)], n / 5 + 1)
}

fn content(n: u64) -> String {
    format!("/openmrs/ws/rest/v1/bahmnicore/bahmniencounter/{}?includeAll=true", History::record(n))
}

/// Returns an error of about two thousand characters, of one of four faults.
fn error(n: u64) -> String {
    let what = match n % 4 {
        0 => format!("Patient with uuid ''{}'' not found", History::record(n)),
        1 => "java.net.SocketTimeoutException: Read timed out".to_owned(),
        2 => "Bad response code of 404".to_owned(),
        _ => format!("Previous order id {} does not exist", hash(n, 6) % 100_000),
    };
    let mut text = format!("{what}java.lang.RuntimeException: {what}\n");
    for cause in 0..3 {
        for frame in 0..8 {
            let _ = writeln!(
                text,
                "\tat org.example.feed.Worker{cause}.step{frame}(Worker{cause}.java:{})",
                40 + frame * 9
            );
        }
        let _ = writeln!(text, "Caused by: org.example.feed.FeedException: {what}");
    }
    text
}

/// Spreads times evenly over the last 14 days, the last one now; `back` of `of` rows before it.
fn time(now: DateTime<Utc>, back: u64, of: u64) -> String {
    let seconds = 14 * 86_400 * back / of.max(1);
    (now - TimeDelta::seconds(i64::try_from(seconds).unwrap_or_default())).format("%Y-%m-%d %H:%M:%S").to_string()
}

fn uuid(n: u64, salt: u64) -> String {
    let (high, low) = (hash(n, salt), hash(n, salt + 100));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

/// SplitMix64: well spread, and the same everywhere.
fn hash(n: u64, salt: u64) -> u64 {
    let mut x = n.wrapping_add(salt << 40).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
