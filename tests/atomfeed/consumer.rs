//! Consuming: from the marker on, in order, each event once.

use atomfeed_console::atomfeed::{
    Consumer, Event, Failure, FeedEnd, FeedSettings, Limits, NewEvent, Publisher, Stall, Transaction, Worker,
};

use crate::support::{
    database::{Server, TestDatabase, Variant},
    feeds::{PATIENTS, Page, Script, Stand, id, keep, lines, open, open_with, patients, worked},
};

everywhere! {
    without_a_marker_it_walks_back_to_the_first_page_and_starts_there
    with_a_marker_it_goes_on_after_the_last_read_entry
    an_entry_that_is_not_on_its_page_stalls_the_feed_and_nothing_is_consumed
    a_failing_event_is_recorded_and_the_marker_moves_on
    the_error_is_the_pages_address_message_and_trace_cut_at_4000_characters
    the_workers_writes_and_the_marker_are_kept_together_or_not_at_all
    with_max_failed_events_the_feed_is_stopped_before_the_next_entry
    a_pair_that_failed_before_only_gets_retries_of_0
    an_event_that_fails_on_two_feeds_is_two_rows
    a_worker_that_panics_has_failed_like_any_other
}

on_each_server! {
    failed_events_of_other_feeds_do_not_stop_this_one
    a_feed_without_events_is_caught_up_and_writes_no_marker
    a_marker_that_somebody_moves_meanwhile_is_not_written_over
    two_first_runs_at_once_handle_nothing_twice
    one_connection_is_enough
    a_content_longer_than_its_column_is_an_error_and_not_a_shorter_content
}

on!(mariadb_markers, Mariadb, OpenMrs: a_marker_without_a_page_stalls_the_feed
    a_marker_without_an_entry_starts_at_its_page);
on!(mariadb_latin1_texts, Mariadb, Latin1: an_error_that_the_column_cannot_hold_does_not_hold_the_feed);
on!(postgres_elis_markers, Postgres, OpenElis: a_marker_without_a_page_stalls_the_feed
    a_marker_without_an_entry_starts_at_its_page
    two_markers_of_one_feed_move_together);
on!(postgres_odoo_markers, Postgres, Odoo: two_markers_of_one_feed_move_together
    a_worker_that_goes_on_after_an_error_of_its_own_has_failed);
on!(sqlite_markers, Sqlite, Text: a_marker_without_a_page_stalls_the_feed
    a_marker_without_an_entry_starts_at_its_page);

async fn marker(database: &mut TestDatabase) -> Vec<String> {
    lines(database, "markers", &["feed_uri", "last_read_entry_id", "feed_uri_for_last_read_entry"]).await
}

fn marker_at(uuid: &str, page: usize) -> Vec<String> {
    vec![format!("{PATIENTS}|{}|{}", id(uuid), patients(page))]
}

async fn without_a_marker_it_walks_back_to_the_first_page_and_starts_there(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a", "b"], &["c", "d"], &["e"]]);
    let run = stand.consumer.process_events().await;
    assert!(matches!(run.end, FeedEnd::CaughtUp), "{}", run.end);
    assert_eq!((run.processed, run.failed), (5, 0));
    assert_eq!(worked(database).await, ["a", "b", "c", "d", "e"]);
    assert_eq!(marker(database).await, marker_at("e", 3));
    let asked = stand.feeds.asked();
    let pages: Vec<&str> = asked.iter().filter_map(|path| path.rsplit('/').next()).collect();
    assert_eq!(pages, ["recent", "2", "1", "2", "3"]);
}

async fn with_a_marker_it_goes_on_after_the_last_read_entry(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a", "b"], &["c", "d"], &["e"]]);
    database.marker(PATIENTS, Some(&id("c")), Some(&patients(2))).await;
    let run = stand.consumer.process_events().await;
    assert_eq!((run.processed, run.end.to_string().as_str()), (2, "Caught up with the feed."));
    assert_eq!(worked(database).await, ["d", "e"]);
    // The newest page grows, and the next run goes on within it.
    stand.feeds.patients(&[&["a", "b"], &["c", "d"], &["e", "f"], &["g"]]);
    let run = stand.consumer.process_events().await;
    assert_eq!(run.processed, 2);
    assert_eq!(worked(database).await, ["d", "e", "f", "g"]);
    assert_eq!(marker(database).await, marker_at("g", 4));
}

async fn an_entry_that_is_not_on_its_page_stalls_the_feed_and_nothing_is_consumed(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a", "b"], &["c"]]);
    database.marker(PATIENTS, Some(&id("gone")), Some(&patients(1))).await;
    let run = stand.consumer.process_events().await;
    assert!(matches!(run.end, FeedEnd::Stalled(Stall::EntryNotFound { .. })), "{}", run.end);
    assert_eq!(run.end.to_string(), "Last Read entry not found in feed.");
    assert_eq!(worked(database).await, [""; 0]);
    assert_eq!(marker(database).await, marker_at("gone", 1));
}

async fn a_failing_event_is_recorded_and_the_marker_moves_on(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a", "b", "c"]]);
    stand.script.fail("b", Failure::new("no such patient"));
    let run = stand.consumer.process_events().await;
    assert_eq!((run.processed, run.failed), (2, 1));
    assert_eq!(worked(database).await, ["a", "c"]);
    assert_eq!(marker(database).await, marker_at("c", 1));
    let row = lines(database, "failed_events", &["feed_uri", "event_id", "event_content", "title"]).await;
    assert_eq!(row, [format!("{PATIENTS}|{}|/openmrs/ws/rest/v1/patient/b?v=full|Patient", id("b"))]);
    assert!(lines(database, "failed_events", &["failed_at"]).await[0].starts_with("20"), "it has a time");
    if database.has_retries() {
        let (retries, tags) =
            (lines(database, "failed_events", &["retries"]).await, lines(database, "failed_events", &["tags"]).await);
        assert_eq!((retries[0].as_str(), tags[0].as_str()), ("0", "patient"));
    }
}

async fn the_error_is_the_pages_address_message_and_trace_cut_at_4000_characters(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a"], &["b"]]);
    let trace = format!("java.lang.RuntimeException: no\n{}", "\tat org.example.A.b(A.java:1)\n".repeat(200));
    stand.script.fail("a", Failure::new("no such patient").with_trace(trace.as_str()));
    stand.consumer.process_events().await;
    let whole = format!("Failed processing event in feed [{}] \nno such patient{trace}", patients(1));
    let error = lines(database, "failed_events", &["error_message"]).await;
    assert_eq!(error, [whole[..4000].to_owned()]);
    let hash = whole[..4000].bytes().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    assert_eq!(lines(database, "failed_events", &["error_hash_code"]).await, [hash.to_string()]);
}

async fn the_workers_writes_and_the_marker_are_kept_together_or_not_at_all(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a", "b"]]);
    stand.script.fail_after_writing("b", Failure::new("failed late"));
    let run = stand.consumer.process_events().await;
    assert_eq!((run.processed, run.failed), (1, 1));
    assert_eq!(worked(database).await, ["a"]);
    assert_eq!(marker(database).await, marker_at("b", 1));
}

async fn with_max_failed_events_the_feed_is_stopped_before_the_next_entry(database: &mut TestDatabase) {
    let stand = Stand::with(database, Limits { max_failed_events: 2, ..Limits::default() }).await;
    stand.feeds.patients(&[&["a", "b", "c", "d"]]);
    for uuid in ["a", "c"] {
        stand.script.fail(uuid, Failure::new("no"));
    }
    let run = stand.consumer.process_events().await;
    assert!(matches!(run.end, FeedEnd::Stopped { failed_events: 2, .. }), "{}", run.end);
    assert_eq!(
        run.end.to_string(),
        format!("Too many failed events for URI:{PATIENTS} have failed while processing. Cannot continue.")
    );
    assert_eq!((run.processed, run.failed), (1, 2));
    assert_eq!(marker(database).await, marker_at("c", 1));
    // Exhausted rows count too; a deletion is what lets it go on.
    let table = database.table("failed_events");
    if database.has_retries() {
        database.run(&format!("UPDATE {table} SET retries = 99")).await;
    }
    assert!(matches!(stand.consumer.process_events().await.end, FeedEnd::Stopped { .. }));
    database.run(&format!("DELETE FROM {table} WHERE event_id = '{}'", id("a"))).await;
    let run = stand.consumer.process_events().await;
    assert!(matches!(run.end, FeedEnd::CaughtUp), "{}", run.end);
    assert_eq!(worked(database).await, ["b", "d"]);
}

async fn failed_events_of_other_feeds_do_not_stop_this_one(database: &mut TestDatabase) {
    let stand = Stand::with(database, Limits { max_failed_events: 1, ..Limits::default() }).await;
    stand.feeds.patients(&[&["a"]]);
    let elsewhere = database.failed(7);
    database.insert(&[elsewhere]).await;
    let run = stand.consumer.process_events().await;
    assert!(matches!(run.end, FeedEnd::CaughtUp), "{}", run.end);
}

async fn a_pair_that_failed_before_only_gets_retries_of_0(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a"]]);
    let mut row = database.failed(7);
    row.feed = Some(PATIENTS);
    row.event_id = Some(id("a"));
    row.retries = 3;
    database.insert(&[row]).await;
    let times = lines(database, "failed_events", &["failed_at"]).await;
    stand.script.fail("a", Failure::new("another error"));
    let run = stand.consumer.process_events().await;
    assert_eq!(run.failed, 1);
    assert_eq!(lines(database, "failed_events", &["id", "error_message"]).await, ["7|Failed processing event 7"]);
    assert_eq!(lines(database, "failed_events", &["failed_at"]).await, times, "an update of retries is no new failure");
    if database.has_retries() {
        assert_eq!(lines(database, "failed_events", &["retries"]).await, ["0"]);
    }
}

async fn an_event_that_fails_on_two_feeds_is_two_rows(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a"]]);
    let mut row = database.failed(7);
    row.event_id = Some(id("a"));
    database.insert(&[row]).await;
    stand.script.fail("a", Failure::new("no"));
    stand.consumer.process_events().await;
    assert_eq!(lines(database, "failed_events", &["feed_uri"]).await.len(), 2);
}

async fn a_worker_that_panics_has_failed_like_any_other(database: &mut TestDatabase) {
    struct Panics;
    impl Worker for Panics {
        async fn process(&self, event: &Event, _: &mut Transaction) -> Result<(), Failure> {
            panic!("{} is odd", event.uuid());
        }
    }
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a"]]);
    let open = open(database);
    let consumer = Consumer::new(open, stand.feeds.client(), PATIENTS, Limits::default(), Panics).expect("a consumer");
    let run = consumer.process_events().await;
    assert_eq!((run.processed, run.failed), (0, 1));
    let error = lines(database, "failed_events", &["error_message"]).await;
    assert!(error[0].ends_with("The worker panicked: a is odd"), "{error:?}");
}

async fn a_feed_without_events_is_caught_up_and_writes_no_marker(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&[]]);
    let run = stand.consumer.process_events().await;
    assert!(matches!(run.end, FeedEnd::CaughtUp), "{}", run.end);
    assert_eq!(marker(database).await, [""; 0]);
}

async fn a_marker_that_somebody_moves_meanwhile_is_not_written_over(database: &mut TestDatabase) {
    /// Moves the marker through a connection of its own while an event is at work.
    struct Meddler(Consumer<Script>);
    impl Worker for Meddler {
        async fn process(&self, event: &Event, transaction: &mut Transaction) -> Result<(), Failure> {
            if event.uuid() == "b" {
                self.0.process_events().await;
            }
            keep(event.uuid(), transaction).await
        }
    }
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a", "b", "c"]]);
    let (open, client) = (open(database), stand.feeds.client());
    let consumer = Consumer::new(open, client, PATIENTS, Limits::default(), Meddler(stand.consumer));
    let run = consumer.expect("a consumer").process_events().await;
    assert!(matches!(run.end, FeedEnd::Stalled(Stall::MarkerMoved(_))), "{}", run.end);
    assert_eq!(worked(database).await, ["a", "b", "c"], "two runs at once handle nothing twice");
    assert_eq!(marker(database).await, marker_at("c", 1));
}

async fn two_first_runs_at_once_handle_nothing_twice(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a", "b", "c", "d", "e"], &["f", "g"]]);
    let (first, second) = tokio::join!(stand.consumer.process_events(), stand.consumer.process_events());
    assert_eq!(first.processed + second.processed, worked(database).await.len() as u64, "{first:?} {second:?}");
    // Whatever came of the two, the next run has nothing to mend.
    stand.consumer.process_events().await;
    let mut done = worked(database).await;
    done.sort_unstable();
    assert_eq!(done, ["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(marker(database).await, marker_at("g", 2));
    assert_eq!(lines(database, "failed_events", &["id"]).await, [""; 0]);
}

async fn one_connection_is_enough(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a", "b"]]);
    stand.script.fail("b", Failure::new("not yet"));
    // Each use of the protocol is the first one of its database, whose tables it does not know yet.
    let own = || open_with(database, None, 1);
    let settings = FeedSettings::new("http://openmrs:8080/openmrs/ws/atomfeed", "Patient AOP", "bec795b1");
    let publisher = Publisher::new(own(), settings);
    let mut transaction = publisher.database().begin();
    publisher.queue(&mut transaction, NewEvent::new("x", "patient", "Patient", "/x")).await.expect("it is queued");
    transaction.commit().await.expect("it is kept");
    assert_eq!(publisher.publish_queued().await.expect("the job runs"), 1);
    let consumer = Consumer::new(own(), stand.feeds.client(), PATIENTS, Limits::default(), stand.script.clone());
    let run = consumer.expect("a consumer").process_events().await;
    assert_eq!((run.processed, run.failed), (1, 1), "{}", run.end);
    stand.script.mend();
    let consumer = Consumer::new(own(), stand.feeds.client(), PATIENTS, Limits::default(), stand.script.clone());
    let run = consumer.expect("a consumer").process_failed_events().await;
    assert_eq!(run.resolved, 1, "{}", run.end);
}

async fn a_content_longer_than_its_column_is_an_error_and_not_a_shorter_content(database: &mut TestDatabase) {
    if database.server == Server::Sqlite {
        // Nothing is too long for SQLite.
        return;
    }
    let stand = Stand::new(database).await;
    let long = "x".repeat(5000);
    let xml = Page { via: patients(1), next: None, previous: None, entries: vec!["a".to_owned()] }.to_xml();
    stand.feeds.answer("/openmrs/ws/atomfeed/patient/recent", 200, "application/xml", xml.replace("?v=full", &long));
    stand.script.fail("a", Failure::new("no"));
    let run = stand.consumer.process_events().await;
    assert!(matches!(run.end, FeedEnd::Stalled(Stall::NotRecorded { .. })), "{}", run.end);
    assert!(run.end.to_string().contains("the column takes 4000"), "{}", run.end);
    assert_eq!(marker(database).await, [""; 0]);
}

async fn a_marker_without_a_page_stalls_the_feed(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a"]]);
    database.marker(PATIENTS, Some(&id("a")), None).await;
    let run = stand.consumer.process_events().await;
    assert!(matches!(run.end, FeedEnd::Stalled(Stall::MarkerWithoutPage(_))), "{}", run.end);
    assert_eq!(worked(database).await, [""; 0]);
}

async fn a_marker_without_an_entry_starts_at_its_page(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a", "b"], &["c", "d"]]);
    database.marker(PATIENTS, None, Some(&patients(2))).await;
    let run = stand.consumer.process_events().await;
    assert_eq!(run.processed, 2);
    assert_eq!(worked(database).await, ["c", "d"]);
    assert_eq!(marker(database).await, marker_at("d", 2));
}

async fn two_markers_of_one_feed_move_together(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a", "b", "c"]]);
    database.marker(PATIENTS, Some(&id("a")), Some(&patients(1))).await;
    database.marker(PATIENTS, Some(&id("b")), Some(&patients(1))).await;
    let run = stand.consumer.process_events().await;
    assert_eq!(run.processed, 2, "{}", run.end);
    assert_eq!(marker(database).await, [marker_at("c", 1), marker_at("c", 1)].concat());
}

async fn a_worker_that_goes_on_after_an_error_of_its_own_has_failed(database: &mut TestDatabase) {
    struct Careless;
    impl Worker for Careless {
        async fn process(&self, _: &Event, transaction: &mut Transaction) -> Result<(), Failure> {
            // PostgreSQL takes nothing after this until the transaction ends.
            let connection = transaction.postgres().await?;
            assert!(sqlx::query("SELECT * FROM no_such_table").execute(connection).await.is_err());
            Ok(())
        }
    }
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a"]]);
    let open = open(database);
    let consumer =
        Consumer::new(open, stand.feeds.client(), PATIENTS, Limits::default(), Careless).expect("a consumer");
    let run = consumer.process_events().await;
    assert_eq!((run.processed, run.failed), (0, 1), "{}", run.end);
    assert_eq!(marker(database).await, marker_at("a", 1));
}

async fn an_error_that_the_column_cannot_hold_does_not_hold_the_feed(database: &mut TestDatabase) {
    assert_eq!(database.variant, Variant::Latin1);
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a"]]);
    stand.script.fail("a", Failure::new("रोगी not found, café"));
    let run = stand.consumer.process_events().await;
    assert_eq!(run.failed, 1, "{}", run.end);
    let error = database.value(&format!("SELECT error_message FROM {}", database.table("failed_events"))).await;
    let error = error.expect("an error");
    assert!(error.ends_with("not found, caf?") || error.ends_with("not found, café"), "{error}");
}
