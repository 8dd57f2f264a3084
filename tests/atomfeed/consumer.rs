//! Consuming: from the marker on, in order, each event once.

use atomfeed::{
    Consumer, Event, Failure, FeedEnd, FeedSettings, FirstRun, Limits, NewEvent, Publisher, Stall, Transaction, Worker,
    router,
};
use axum::Router;
use tokio::net::TcpListener;

use crate::support::{
    database::{Failed, Server, TestDatabase},
    feeds::{
        Entry, Feeds, PATIENTS, Page, Script, Stand, client_of, id, keep, lines, make_worked, open, open_through,
        open_with, patients, worked,
    },
    log::Log,
    proxy::Proxy,
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
    a_marker_whose_page_is_no_whole_address_stalls_the_feed
    a_page_that_is_gone_is_said_with_its_address
}

on_each_server! {
    failed_events_of_other_feeds_do_not_stop_this_one
    a_feed_without_events_is_caught_up_and_writes_no_marker
    a_marker_that_somebody_moves_meanwhile_is_not_written_over
    two_first_runs_at_once_handle_nothing_twice
    one_connection_is_enough
    without_a_marker_it_can_begin_with_the_newest_page
    a_page_in_another_encoding_is_read
    a_violated_rule_is_recorded_with_its_detail
    the_last_connection_of_the_pool_is_left_to_the_worker_and_to_the_publisher
}

on!(mysql_round_trips, Mysql, OpenMrs: an_event_costs_its_six_statements_and_no_more);
on!(mysql_old_round_trips, MysqlOld, OpenMrs: an_event_costs_its_six_statements_and_no_more);
on!(postgres_round_trips, Postgres, OpenElis: an_event_costs_its_six_statements_and_no_more);
on!(mysql_markers, Mysql, OpenMrs: a_marker_without_a_page_stalls_the_feed
    a_marker_without_an_entry_starts_at_its_page);
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

async fn without_a_marker_it_can_begin_with_the_newest_page(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let log = Log::start();
    let said = |page: usize| {
        let lines = log.lines();
        lines.iter().filter(|line| line.contains("has no marker") && line.contains(&patients(page))).count()
    };
    let consumer = || {
        Consumer::new(open(database), stand.feeds.client(), PATIENTS, Limits::default(), stand.script.clone())
            .expect("a consumer")
            .beginning(FirstRun::RecentPage)
    };
    // For a feed without events every run is the first, and nothing is logged.
    stand.feeds.patients(&[&[]]);
    assert!(matches!(consumer().process_events().await.end, FeedEnd::CaughtUp));
    assert_eq!(said(1), 0);
    stand.feeds.patients(&[&["a", "b"], &["c", "d"], &["e", "f"]]);
    let run = consumer().process_events().await;
    assert_eq!(run.processed, 2, "{}", run.end);
    assert_eq!(said(3), 1, "{:?}", log.lines());
    // From there on it reads as usual.
    stand.feeds.patients(&[&["a", "b"], &["c", "d"], &["e", "f"], &["g"]]);
    assert_eq!(consumer().process_events().await.processed, 1);
    assert_eq!(said(3) + said(4), 1);
    assert_eq!(worked(database).await, ["e", "f", "g"]);
    // Beginning with the oldest page, the default, is logged as well.
    database.run(&format!("DELETE FROM {}", database.table("markers"))).await;
    assert_eq!(stand.consumer.process_events().await.processed, 7);
    assert_eq!(said(1), 1, "{:?}", log.lines());
}

async fn a_marker_whose_page_is_no_whole_address_stalls_the_feed(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a", "b"]]);
    for (page, is_none) in
        [("", true), ("  ", true), ("?", false), ("/openmrs/ws/atomfeed/patient/1", false), ("1", false)]
    {
        database.run(&format!("DELETE FROM {}", database.table("markers"))).await;
        database.marker(PATIENTS, Some(&id("a")), Some(page)).await;
        let run = stand.consumer.process_events().await;
        match &run.end {
            FeedEnd::Stalled(Stall::MarkerWithoutPage(feed)) => assert!(is_none && feed == PATIENTS, "{page:?}"),
            FeedEnd::Stalled(Stall::MarkerAddress { page: said, .. }) => assert!(!is_none && said == page, "{page:?}"),
            end => panic!("{page:?}: {end}"),
        }
        assert!(run.end.to_string().contains(PATIENTS), "{}", run.end);
    }
    assert_eq!(stand.feeds.asked(), [""; 0], "nothing is guessed from such a marker");
    assert_eq!(worked(database).await, [""; 0]);
}

async fn a_page_that_is_gone_is_said_with_its_address(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a"]]);
    database.marker(PATIENTS, Some(&id("z")), Some(&patients(9))).await;
    let java = "<html><body><h1>HTTP Status 500</h1><pre>java.lang.RuntimeException: feed does not exist</pre></body>";
    let path = "/openmrs/ws/atomfeed/patient/9";
    for (status, body, why) in [
        (404, "", format!("Resource not found at {}", patients(9))),
        (500, java, "Unexpected response status 500".to_owned()),
        (410, "", "Unexpected response status 410".to_owned()),
    ] {
        stand.feeds.answer(path, status, "text/html", body);
        let run = stand.consumer.process_events().await;
        let FeedEnd::Stalled(Stall::PageGone { feed, page, .. }) = &run.end else { panic!("{status}: {}", run.end) };
        assert_eq!((feed.as_str(), page), (PATIENTS, &patients(9)));
        let beginning = format!(
            "Page gone, the marker needs repair: {}, which the marker of {PATIENTS} names, cannot be read ({why})",
            patients(9)
        );
        assert!(run.end.to_string().starts_with(&beginning), "{}", run.end);
    }
    // An unavailable publisher is not a missing page.
    for (status, recent) in [(503, 200), (404, 404), (500, 500), (401, 200)] {
        stand.feeds.answer(path, status, "text/html", "");
        let page = Page { via: patients(1), next: None, previous: None, entries: vec!["a".to_owned()] };
        stand.feeds.answer("/openmrs/ws/atomfeed/patient/recent", recent, "application/atom+xml", page.to_xml());
        let run = stand.consumer.process_events().await;
        assert!(matches!(run.end, FeedEnd::Stalled(Stall::Walk(_))), "{status}, {recent}: {}", run.end);
    }
    assert_eq!(marker(database).await, marker_at("z", 9));
    assert_eq!(worked(database).await, [""; 0]);
}

async fn a_page_in_another_encoding_is_read(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let log = Log::start();
    let xml = |declared: &str| {
        let page = Page { via: patients(1), next: None, previous: None, entries: Vec::new() };
        let entry = Entry { title: "Größe".to_owned(), ..Entry::new("a") };
        page.to_xml_with(&[entry]).replace("encoding=\"UTF-8\"", declared)
    };
    let latin1 = |text: &str| text.chars().map(|letter| u8::try_from(u32::from(letter)).expect("of latin1")).collect();
    let wide = |text: &str, mark: bool| -> Vec<u8> {
        let units = mark.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    };
    let utf8 = |text: &str| text.as_bytes().to_vec();
    let cases: [(&str, Vec<u8>, &str, bool); 9] = [
        ("application/atom+xml; charset=ISO-8859-1", latin1(&xml("")), "Größe", true),
        ("application/atom+xml", latin1(&xml("encoding='iso-8859-1'")), "Größe", true),
        ("application/atom+xml; charset=UTF-8", latin1(&xml("encoding=\"UTF-8\"")), "Gr\u{FFFD}\u{FFFD}e", true),
        ("application/atom+xml", latin1(&xml("")), "Gr\u{FFFD}\u{FFFD}e", true),
        ("application/atom+xml; charset=no-such", latin1(&xml("")), "Gr\u{FFFD}\u{FFFD}e", true),
        ("application/atom+xml", wide(&xml("encoding=\"UTF-16\""), true), "Größe", true),
        ("application/atom+xml", wide(&xml("encoding=\"UTF-16\""), false), "Größe", true),
        // Declared wrongly by a server that sends the same charset for everything.
        ("text/xml; charset=\"ISO-8859-1\"", utf8(&xml("encoding=\"iso-8859-1\"")), "Größe", false),
        ("application/atom+xml", utf8(&format!("\u{FEFF}{}", xml("encoding=\"UTF-8\""))), "Größe", false),
    ];
    for (place, (kind, body, title, said)) in cases.into_iter().enumerate() {
        database.run(&format!("DELETE FROM {}", database.table("markers"))).await;
        let lines = log.lines().len();
        stand.feeds.answer("/openmrs/ws/atomfeed/patient/recent", 200, kind, body);
        let run = stand.consumer.process_events().await;
        assert_eq!(run.processed, 1, "case {place}: {}", run.end);
        assert_eq!(stand.script.events().pop().and_then(|event| event.title).as_deref(), Some(title), "case {place}");
        let new = log.lines().split_off(lines);
        assert_eq!(new.iter().any(|line| line.contains("not UTF-8")), said, "case {place}: {new:?}");
    }
}

/// With the server's message, and on PostgreSQL without the line of its source.
async fn a_violated_rule_is_recorded_with_its_detail(database: &mut TestDatabase) {
    struct Twice;
    impl Worker for Twice {
        async fn process(&self, event: &Event, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
            keep(event.uuid(), transaction).await
        }
    }
    let stand = Stand::new(database).await;
    let worked = if database.server == Server::Postgres { "public.worked" } else { "worked" };
    database.run(&format!("CREATE UNIQUE INDEX once ON {worked} (uuid)")).await;
    database.run(&format!("INSERT INTO {worked} (uuid) VALUES ('a')")).await;
    stand.feeds.patients(&[&["a"]]);
    let consumer = Consumer::new(open(database), stand.feeds.client(), PATIENTS, Limits::default(), Twice);
    let run = consumer.expect("a consumer").process_events().await;
    assert_eq!(run.failed, 1, "{}", run.end);
    let error = lines(database, "failed_events", &["error_message"]).await.pop().expect("a failed event");
    let said = match database.server {
        Server::Postgres => {
            "error returned from database: duplicate key value violates unique constraint \"once\"\n  \
             Detail: Key (uuid)=(a) already exists."
        }
        Server::Sqlite => "error returned from database: (code: 2067) UNIQUE constraint failed: worked.uuid",
        Server::Mysql | Server::MysqlOld => "error returned from database: 1062 (23000): Duplicate entry 'a' for key",
    };
    assert!(error.contains(&format!("sqlx::Error: {said}")), "{error}");
    assert!(!error.contains(" at line "), "{error}");
}

async fn with_a_marker_it_goes_on_after_the_last_read_entry(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a", "b"], &["c", "d"], &["e"]]);
    database.marker(PATIENTS, Some(&id("c")), Some(&patients(2))).await;
    let run = stand.consumer.process_events().await;
    assert_eq!((run.processed, run.end.to_string().as_str()), (2, "Caught up with the feed."));
    assert_eq!(worked(database).await, ["d", "e"]);
    // The newest page grows, and the next run continues within it.
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
    let text = format!(
        "Last Read entry not found in feed. The marker of {PATIENTS} names the entry {} on the page {}, which does not \
         hold it. Write an entry and the page that holds it into the marker.",
        id("gone"),
        patients(1)
    );
    assert_eq!(run.end.to_string(), text);
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
    // Exhausted rows count too; only a deletion lets the feed continue.
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
        async fn process(&self, event: &Event, _: &mut Transaction<'_>) -> Result<(), Failure> {
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
    /// Moves the marker over a separate connection while an event is being handled.
    struct Meddler(Consumer<Script>);
    impl Worker for Meddler {
        async fn process(&self, event: &Event, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
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
    // However the two ended, the next run has nothing to repair.
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
    // Each use of the protocol opens the database anew, without knowing its tables yet.
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
    stand.script.fix();
    let consumer = Consumer::new(own(), stand.feeds.client(), PATIENTS, Limits::default(), stand.script.clone());
    let run = consumer.expect("a consumer").process_failed_events().await;
    assert_eq!(run.resolved, 1, "{}", run.end);
}

/// Its worker reads through the pool, and its publisher is in the same process.
async fn the_last_connection_of_the_pool_is_left_to_the_worker_and_to_the_publisher(database: &mut TestDatabase) {
    struct Reader(Script);
    impl Worker for Reader {
        async fn process(&self, event: &Event, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
            let mut other = transaction.database().begin();
            keep("read", &mut other).await?;
            other.rollback().await?;
            self.0.process(event, transaction).await
        }
    }
    make_worked(database).await;
    let table = database.table("chunking_history");
    let start = if database.is_mysql() { "`start`" } else { "\"start\"" };
    database.run(&format!("INSERT INTO {table} (id, chunk_length, {start}) VALUES (1, 2, 1)")).await;
    let only = open_with(database, None, 1);
    let settings = FeedSettings::new("http://openmrs:8080/openmrs/ws/atomfeed", "Patient AOP", "bec795b1");
    let publisher = Publisher::new(only.clone(), settings);
    let mut transaction = only.begin();
    for uuid in ["a", "b", "c"] {
        publisher.queue(&mut transaction, NewEvent::new(uuid, "patient", "Patient", "/x")).await.expect("it is queued");
    }
    transaction.commit().await.expect("it is kept");
    publisher.publish_queued().await.expect("the job runs");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let client = client_of(listener.local_addr().expect("an address"));
    let router = Router::new().nest("/openmrs/ws/atomfeed", router(publisher));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let script = Script::default();
    script.fail("b", Failure::new("not yet"));
    let consumer = Consumer::new(only, client, PATIENTS, Limits::default(), Reader(script.clone()));
    let consumer = consumer.expect("a consumer");
    let run = consumer.process_events().await;
    assert_eq!((run.processed, run.failed), (2, 1), "{}", run.end);
    script.fix();
    let run = consumer.process_failed_events().await;
    assert_eq!(run.resolved, 1, "{}", run.end);
    assert_eq!(worked(database).await, ["a", "c", "b"]);
}

/// Messages per event: the count of failed events, BEGIN, the worker's INSERT, the marker read and written, COMMIT; per
/// retry: whether the row is there, BEGIN, the worker's INSERT, two DELETEs, COMMIT.
async fn an_event_costs_its_six_statements_and_no_more(database: &mut TestDatabase) {
    const MORE: usize = 40;
    make_worked(database).await;
    let proxy = Proxy::to(database.app.database.port).await;
    let feeds = Feeds::start().await;
    let script = Script::default();
    let limits = Limits { max_failed_events: 1000, retry_batch: 1000, ..Limits::default() };
    let through = open_through(database, Some(proxy.port));
    let consumer = Consumer::new(through, feeds.client(), PATIENTS, limits, script.clone()).expect("a consumer");
    let uuids: Vec<String> = (0..400).map(|number| format!("e{number}")).collect();
    let uuids: Vec<&str> = uuids.iter().map(String::as_str).collect();
    let mut sent = Vec::new();
    // The first run reads the tables and prepares the statements.
    for events in [10, 20, 30 + MORE] {
        feeds.patients(&[&uuids[..events]]);
        let before = proxy.messages();
        let run = consumer.process_events().await;
        assert!(matches!(run.end, FeedEnd::CaughtUp), "{}", run.end);
        sent.push(proxy.messages() - before);
    }
    // The difference of two runs leaves out what each run sends once for itself. That still varies by some messages,
    // and messages can arrive as one. One statement more would be 7.
    let each = (sent[2] - sent[1]) as f64 / MORE as f64;
    assert!((5.0..=6.6).contains(&each), "{each} messages for an event: {sent:?}");

    sent.clear();
    // More rows than a connection keeps statements: with the id in its text, each statement would be closed again.
    for rows in [10, 110, 110 + MORE] {
        let batch: Vec<Failed> = (1..=rows)
            .map(|number| {
                let mut row = database.failed(number as i128);
                row.feed = Some(PATIENTS);
                row
            })
            .collect();
        database.insert(&batch).await;
        let before = proxy.messages();
        let run = consumer.process_failed_events().await;
        assert_eq!(run.resolved, rows as u64, "{}", run.end);
        sent.push(proxy.messages() - before);
    }
    let each = (sent[2] - sent[1]) as f64 / MORE as f64;
    assert!((5.0..=6.6).contains(&each), "{each} messages for a retry: {sent:?}");
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
        async fn process(&self, _: &Event, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
            // PostgreSQL accepts nothing after this until the transaction ends.
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
