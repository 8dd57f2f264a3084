//! Retrying: the oldest five that are not exhausted, each with its own outcome.

use atomfeed::{Consumer, Event, Failure, Limits, RetryEnd, Stall, Transaction, Worker};

use crate::support::{
    database::{FEED, Failed, Server, TestDatabase, Variant},
    feeds::{PATIENTS, Script, Stand, id, keep, lines, open, worked},
};

everywhere! {
    a_retry_that_succeeds_deletes_the_row_and_its_log
    a_retry_that_fails_counts_one_and_logs_the_new_error
    a_batch_is_the_five_oldest
    one_success_removes_both_rows_of_a_pair_and_the_worker_is_asked_once
    a_row_without_a_time_stops_the_retries_of_its_feed
    a_worker_that_fails_late_leaves_nothing_behind
}

on_each_server! {
    an_exhausted_row_is_never_looked_at_until_its_retries_are_set_lower
    a_success_leaves_the_log_and_the_rows_of_other_feeds
    what_the_row_keeps_is_what_the_worker_gets
    failed_at_stays_the_time_of_the_first_failure
    two_retries_at_once_keep_one_success_and_log_no_orphan
}

on!(mysql_unsigned_ids, Mysql, OpenMrs: a_row_with_the_largest_id_is_retried);
on!(postgres_numeric_ids, Postgres, OpenElis: a_row_with_the_largest_id_is_retried);
on!(postgres_integer_ids, Postgres, OpenElisDump: a_row_with_the_largest_id_is_retried);
on!(sqlite_rowids, Sqlite, Text: a_row_with_the_largest_id_is_retried);
on!(mysql_module_atomfeed, Mysql, ModuleAtomfeed: without_a_retry_log_a_failing_retry_is_rolled_back_and_never_counted);
on!(sqlite_oldest_tables, Sqlite, Oldest: without_a_count_of_retries_none_is_ever_exhausted);

fn failed(database: &TestDatabase, id_: i128, uuid: &str, retries: i64) -> Failed {
    let mut row = database.failed(id_);
    row.feed = Some(PATIENTS);
    row.event_id = Some(id(uuid));
    row.retries = retries;
    row
}

async fn rows(database: &mut TestDatabase) -> Vec<String> {
    if database.has_retries() {
        lines(database, "failed_events", &["id", "retries"]).await
    } else {
        lines(database, "failed_events", &["id"]).await
    }
}

async fn a_retry_that_succeeds_deletes_the_row_and_its_log(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    database.insert(&[failed(database, 1, "a", 1)]).await;
    if database.has_retry_log() {
        database.log(1, Some(PATIENTS), "2026-11-01T09:00:00Z", &id("a"), "again").await;
        database.log(2, Some(PATIENTS), "2026-11-01T09:01:00Z", &id("other"), "again").await;
    }
    let run = stand.consumer.process_failed_events().await;
    assert_eq!((run.resolved, run.failed), (1, 0), "{}", run.end);
    assert_eq!(worked(database).await, ["a"]);
    assert_eq!(rows(database).await, [""; 0]);
    if database.has_retry_log() {
        assert_eq!(lines(database, "failed_event_retry_log", &["id"]).await, ["2"]);
    }
}

async fn a_retry_that_fails_counts_one_and_logs_the_new_error(database: &mut TestDatabase) {
    if !database.has_retry_log() {
        return;
    }
    let stand = Stand::new(database).await;
    database.insert(&[failed(database, 1, "a", 1)]).await;
    stand.script.fail("a", Failure::new("still not there").with_trace("java.lang.RuntimeException: still"));
    let run = stand.consumer.process_failed_events().await;
    assert_eq!((run.resolved, run.failed), (0, 1), "{}", run.end);
    let error = "still not therejava.lang.RuntimeException: still";
    let log =
        lines(database, "failed_event_retry_log", &["feed_uri", "event_id", "event_content", "error_message"]).await;
    assert_eq!(log, [format!("{PATIENTS}|{}|/openmrs/ws/rest/v1/encounter/1|{error}", id("a"))]);
    let first = lines(database, "failed_events", &["error_message"]).await;
    assert_eq!(first, ["Failed processing event 1"], "the row keeps the error of the first failure");
    if database.has_retries() {
        assert_eq!(rows(database).await, ["1|2"]);
    }
}

async fn a_batch_is_the_five_oldest(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let uuids = ["a", "b", "c", "d", "e", "f", "g"];
    let batch: Vec<Failed> = uuids.iter().zip(1..).map(|(uuid, place)| failed(database, place, uuid, 0)).collect();
    database.insert(&batch).await;
    let run = stand.consumer.process_failed_events().await;
    assert_eq!(run.resolved, 5, "{}", run.end);
    assert_eq!(stand.script.seen(), ["a", "b", "c", "d", "e"]);
    assert_eq!(stand.consumer.process_failed_events().await.resolved, 2);
    assert_eq!(worked(database).await, uuids);
}

async fn one_success_removes_both_rows_of_a_pair_and_the_worker_is_asked_once(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    database.insert(&[failed(database, 1, "a", 0), failed(database, 2, "b", 0), failed(database, 3, "a", 1)]).await;
    let run = stand.consumer.process_failed_events().await;
    assert_eq!(run.resolved, 2, "{}", run.end);
    assert_eq!(worked(database).await, ["a", "b"]);
    assert_eq!(rows(database).await, [""; 0]);
}

async fn a_row_without_a_time_stops_the_retries_of_its_feed(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let mut timeless = failed(database, 2, "b", 0);
    timeless.failed_at = "NULL".to_owned();
    database.insert(&[failed(database, 1, "a", 0), timeless]).await;
    // If the column accepts no NULL, the server writes the current time, and nothing is wrong.
    if lines(database, "failed_events", &["id", "failed_at"]).await.iter().all(|row| !row.ends_with("NULL")) {
        return;
    }
    let run = stand.consumer.process_failed_events().await;
    assert!(matches!(&run.end, RetryEnd::Stalled(Stall::NoFailedAt(row)) if row == "2"), "{}", run.end);
    assert_eq!(stand.script.seen(), [""; 0]);
    assert_eq!(rows(database).await.len(), 2);
}

async fn a_worker_that_fails_late_leaves_nothing_behind(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    database.insert(&[failed(database, 1, "a", 0)]).await;
    stand.script.fail_after_writing("a", Failure::new("failed late"));
    stand.consumer.process_failed_events().await;
    assert_eq!(worked(database).await, [""; 0]);
    assert_eq!(rows(database).await.len(), 1);
}

async fn an_exhausted_row_is_never_looked_at_until_its_retries_are_set_lower(database: &mut TestDatabase) {
    let stand = Stand::with(database, Limits { max_retry: 3, ..Limits::default() }).await;
    database.insert(&[failed(database, 1, "a", 0)]).await;
    stand.script.fail("a", Failure::new("no"));
    for _ in 0..5 {
        stand.consumer.process_failed_events().await;
    }
    assert_eq!(rows(database).await, ["1|3"]);
    assert_eq!(stand.script.seen().len(), 3);
    assert_eq!(lines(database, "failed_event_retry_log", &["event_id"]).await.len(), 3);
    let table = database.table("failed_events");
    database.run(&format!("UPDATE {table} SET retries = 0")).await;
    stand.script.fix();
    assert_eq!(stand.consumer.process_failed_events().await.resolved, 1);
}

async fn a_success_leaves_the_log_and_the_rows_of_other_feeds(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let mut elsewhere = failed(database, 1, "a", 0);
    elsewhere.feed = Some(FEED);
    database.insert(&[elsewhere, failed(database, 2, "a", 0)]).await;
    database.log(1, Some(FEED), "2026-11-01T09:00:00Z", &id("a"), "again").await;
    assert_eq!(stand.consumer.process_failed_events().await.resolved, 1);
    assert_eq!(rows(database).await, ["1|0"]);
    assert_eq!(lines(database, "failed_event_retry_log", &["id"]).await, ["1"]);
}

async fn what_the_row_keeps_is_what_the_worker_gets(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let mut row = failed(database, 1, "a", 0);
    row.content = Some("{\"name\": \"ECHO & more\"}".to_owned());
    row.tags = Some("Encounter,urgent");
    database.insert(&[row]).await;
    stand.consumer.process_failed_events().await;
    let event = stand.script.events().pop().expect("an event");
    assert_eq!((event.id.as_str(), event.uuid()), (id("a").as_str(), "a"));
    assert_eq!(event.content.as_deref(), Some("{\"name\": \"ECHO & more\"}"));
    assert_eq!(event.title.as_deref(), Some("Encounter"));
    assert_eq!(event.categories, ["Encounter", "urgent"]);
    assert_eq!((event.page, event.updated), (None, None));
}

async fn failed_at_stays_the_time_of_the_first_failure(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    database.insert(&[failed(database, 1, "a", 0)]).await;
    let before = lines(database, "failed_events", &["failed_at"]).await;
    stand.script.fail("a", Failure::new("no"));
    stand.consumer.process_failed_events().await;
    assert_eq!(rows(database).await, ["1|1"]);
    assert_eq!(lines(database, "failed_events", &["failed_at"]).await, before);
}

async fn two_retries_at_once_keep_one_success_and_log_no_orphan(database: &mut TestDatabase) {
    /// Lets another run resolve everything while its own first event is being handled.
    struct Late(Consumer<Script>);
    impl Worker for Late {
        async fn process(&self, event: &Event, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
            self.0.process_failed_events().await;
            if event.uuid() == "a" {
                return Err(Failure::new("the other run was first"));
            }
            keep(event.uuid(), transaction).await
        }
    }
    let stand = Stand::new(database).await;
    let (open, client) = (open(database), stand.feeds.client());
    let consumer = Consumer::new(open, client, PATIENTS, Limits::default(), Late(stand.consumer)).expect("a consumer");
    for first in ["a", "b"] {
        database.insert(&[failed(database, 1, first, 0), failed(database, 2, "c", 0)]).await;
        let run = consumer.process_failed_events().await;
        assert_eq!((run.resolved, run.failed), (0, 0), "{}", run.end);
        assert!(matches!(run.end, RetryEnd::Done), "{}", run.end);
        assert_eq!(rows(database).await, [""; 0]);
    }
    assert_eq!(worked(database).await, ["a", "c", "b", "c"], "each of the four rows once");
    assert_eq!(lines(database, "failed_event_retry_log", &["id"]).await, [""; 0]);
}

async fn a_row_with_the_largest_id_is_retried(database: &mut TestDatabase) {
    let largest = match (database.server, database.variant) {
        (Server::Postgres, Variant::OpenElis) => {
            let table = database.table("failed_events");
            database.run(&format!("ALTER TABLE {table} ALTER COLUMN id TYPE numeric(20, 0)")).await;
            i128::from(u64::MAX)
        }
        (Server::Postgres, _) => i128::from(i32::MAX),
        (Server::Sqlite, _) => i128::from(i64::MAX),
        _ => i128::from(u64::MAX) - 1,
    };
    let stand = Stand::new(database).await;
    // With a neighbouring id that a floating-point number cannot distinguish.
    database.insert(&[failed(database, largest - 1, "a", 9), failed(database, largest, "b", 0)]).await;
    stand.script.fail("b", Failure::new("not yet"));
    let run = stand.consumer.process_failed_events().await;
    assert_eq!((run.resolved, run.failed), (0, 1), "{}", run.end);
    stand.script.fix();
    let run = stand.consumer.process_failed_events().await;
    assert_eq!((run.resolved, run.failed), (1, 0), "{}", run.end);
    assert_eq!(rows(database).await, [format!("{}|9", largest - 1)]);
}

async fn without_a_retry_log_a_failing_retry_is_rolled_back_and_never_counted(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    database.insert(&[failed(database, 1, "a", 0)]).await;
    stand.script.fail("a", Failure::new("no"));
    let run = stand.consumer.process_failed_events().await;
    assert!(matches!(run.end, RetryEnd::Stalled(Stall::NoRetryLog { .. })), "{}", run.end);
    assert_eq!(rows(database).await, ["1|0"]);
    // Once the table exists, the next run counts without a restart.
    open(database).create_consumer_tables().await.expect("the table is made");
    assert_eq!(stand.consumer.process_failed_events().await.failed, 1);
    assert_eq!(rows(database).await, ["1|1"]);
}

async fn without_a_count_of_retries_none_is_ever_exhausted(database: &mut TestDatabase) {
    let stand = Stand::with(database, Limits { max_retry: 1, ..Limits::default() }).await;
    database.insert(&[failed(database, 1, "a", 0)]).await;
    stand.script.fail("a", Failure::new("no"));
    for _ in 0..3 {
        assert_eq!(stand.consumer.process_failed_events().await.failed, 1);
    }
    assert_eq!(lines(database, "failed_event_retry_log", &["event_id"]).await.len(), 3);
}
