//! Events whose texts do not fit the columns are recorded as far as the columns can hold them, logged, and passed over.

use std::sync::{Arc, Mutex};

use atomfeed::{Consumer, Database, Event, Failure, FeedEnd, Limits, RetryEnd, Stall, Transaction, Worker};
use sqlx::{Connection, PgConnection, postgres::PgPoolOptions};

use crate::support::{
    database::{Server, TestDatabase, Variant},
    feeds::{Entry, Feeds, PATIENTS, Page, Stand, client_of, id, lines, open, patients, worked},
    log::Log,
};

everywhere! {
    texts_that_are_too_long_are_cut_and_the_feed_goes_on
    a_long_id_is_kept_short_in_the_marker_as_well
}

on_each_server! {
    only_the_letters_that_a_column_has_not_become_others
    columns_that_were_made_larger_meanwhile_are_used_as_they_are
    an_error_with_a_nul_is_recorded
    an_event_without_a_title_goes_into_a_column_that_takes_no_null
}

on!(mysql_latin1_letters, Mysql, Latin1: only_the_letters_that_a_column_has_not_become_others);
on!(mysql_old_latin1_letters, MysqlOld, Latin1: only_the_letters_that_a_column_has_not_become_others);
on!(mysql_mixed_letters, Mysql, OpenMrs: each_column_has_its_own_letters a_text_column_counts_bytes
    a_log_with_smaller_columns_takes_the_retry a_page_in_letters_that_the_marker_has_not_is_written_in_ascii
    a_page_that_is_longer_than_the_marker_stalls_the_feed);
on!(mysql_old_mixed_letters, MysqlOld, OpenMrs: each_column_has_its_own_letters a_text_column_counts_bytes
    a_page_that_is_longer_than_the_marker_stalls_the_feed);
on!(postgres_latin1, Postgres, Odoo: a_database_in_latin1_takes_what_it_has_letters_for
    a_log_with_smaller_columns_takes_the_retry);

/// Serves a page with these entries, and nothing after it.
fn serve(feeds: &Feeds, entries: &[Entry]) {
    let page = Page { via: patients(1), next: None, previous: None, entries: Vec::new() };
    let xml = page.to_xml_with(entries);
    for path in ["/openmrs/ws/atomfeed/patient/recent", "/openmrs/ws/atomfeed/patient/1"] {
        feeds.answer(path, 200, "application/atom+xml", xml.clone());
    }
}

/// Returns how many characters a column accepts in this variant.
fn room(database: &TestDatabase, column: &str) -> usize {
    match (database.server, column) {
        (Server::Sqlite, _) => usize::MAX,
        (_, "event_content" | "error_message") if database.variant == Variant::ModuleAtomfeed => usize::MAX,
        (_, "event_content" | "error_message") => 4000,
        _ => 255,
    }
}

async fn cell(database: &mut TestDatabase, column: &str) -> String {
    lines(database, "failed_events", &[column]).await.pop().expect("a failed event")
}

async fn texts_that_are_too_long_are_cut_and_the_feed_goes_on(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let wide = Entry {
        content: "c".repeat(5000),
        title: "t".repeat(300),
        categories: vec!["g".repeat(200), "h".repeat(200)],
        ..Entry::new("wide")
    };
    serve(&stand.feeds, &[Entry::new("a"), wide, Entry::new("b")]);
    stand.script.fail("wide", Failure::new("no such patient").with_trace("x".repeat(9000)));
    let run = stand.consumer.process_events().await;
    assert!(matches!(run.end, FeedEnd::CaughtUp), "{}", run.end);
    assert_eq!((run.processed, run.failed), (2, 1));
    assert_eq!(worked(database).await, ["a", "b"]);
    let (content, title) = (cell(database, "event_content").await, cell(database, "title").await);
    assert_eq!(content.len(), room(database, "event_content").min(5000));
    assert_eq!(title.len(), room(database, "title").min(300));
    let error = cell(database, "error_message").await;
    assert!(error.starts_with(&format!("Failed processing event in feed [{}] \nno such patientx", patients(1))));
    assert!(error.len() <= 4000, "{}", error.len());
    for (column, from) in [("event_content", 5000), ("title", 300)] {
        let said = error.contains(&format!("{column} cut from {from} to {} characters", room(database, column)));
        assert_eq!(said, from > room(database, column), "{column}: {}", &error[error.len() - 300..]);
    }
    if database.has_retries() {
        let tags = format!("{},{}", "g".repeat(200), "h".repeat(200));
        assert_eq!(cell(database, "tags").await, tags[..room(database, "tags").min(401)]);
    }
    let hash = error.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    assert_eq!(cell(database, "error_hash_code").await, hash.to_string(), "the hash is that of the stored text");
    // It is an ordinary failed event: retried, counted, and resolved.
    if database.has_retry_log() {
        let run = stand.consumer.process_failed_events().await;
        assert_eq!((run.resolved, run.failed), (0, 1), "{}", run.end);
    }
    stand.script.fix();
    assert_eq!(stand.consumer.process_failed_events().await.resolved, 1);
    for table in ["failed_events", "failed_event_retry_log"] {
        if table == "failed_events" || database.has_retry_log() {
            assert_eq!(lines(database, table, &["event_id"]).await, [""; 0]);
        }
    }
}

/// Records the ids of events; fails at long ones if told to. Writes nothing.
#[derive(Clone, Default)]
struct Ids(Arc<Mutex<Vec<String>>>, bool);

impl Worker for Ids {
    async fn process(&self, event: &Event, _: &mut Transaction<'_>) -> Result<(), Failure> {
        self.0.lock().expect("no panic").push(event.id.clone());
        if self.1 && event.id.len() > 100 { Err(Failure::new("no")) } else { Ok(()) }
    }
}

async fn a_long_id_is_kept_short_in_the_marker_as_well(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    // Two that differ only after the part that the columns can hold.
    let long = ["1", "2"].map(|end| format!("{}{end}", "e".repeat(300)));
    let entries = [Entry::new(&long[0]), Entry::new(&long[1])];
    for fails in [true, false] {
        database.run(&format!("DELETE FROM {}", database.table("markers"))).await;
        let seen = Ids(Arc::default(), fails);
        let consumer = Consumer::new(open(database), stand.feeds.client(), PATIENTS, Limits::default(), seen.clone())
            .expect("one");
        serve(&stand.feeds, &entries[..1]);
        let run = consumer.process_events().await;
        assert_eq!(run.processed + run.failed, 1, "{}", run.end);
        serve(&stand.feeds, &entries);
        let run = consumer.process_events().await;
        assert_eq!(run.processed + run.failed, 1, "{}", run.end);
        let run = consumer.process_events().await;
        assert!(matches!(run.end, FeedEnd::CaughtUp), "{}", run.end);
        assert_eq!(*seen.0.lock().expect("no panic"), [id(&long[0]), id(&long[1])], "each once");
    }
    let mut kept = lines(database, "failed_events", &["event_id"]).await;
    kept.dedup();
    assert_eq!(kept.len(), 2, "two events stay two");
    for kept in kept {
        assert_eq!(kept.len(), room(database, "event_id").min(id(&long[0]).len()));
        assert!(kept.starts_with(&id(&"e".repeat(200))));
    }
    // Each is resolved separately.
    let consumer = Consumer::new(open(database), stand.feeds.client(), PATIENTS, Limits::default(), Ids::default());
    let run = consumer.expect("a consumer").process_failed_events().await;
    assert_eq!(run.resolved, 2, "{}", run.end);
    assert_eq!(lines(database, "failed_events", &["event_id"]).await, [""; 0]);
}

const LETTERS: &str = "Größe Пациент 😀 é रोगी end";

/// Returns `LETTERS` as a column of this character set holds them.
fn in_charset(charset: &str) -> String {
    let has = |letter: char| match charset {
        "latin1" => letter <= '\u{FF}',
        "utf8mb3" => letter <= '\u{FFFF}',
        "cp1251" => letter.is_ascii() || ('\u{410}'..='\u{44F}').contains(&letter),
        _ => true,
    };
    LETTERS.chars().map(|letter| if has(letter) { letter } else { '?' }).collect()
}

async fn only_the_letters_that_a_column_has_not_become_others(database: &mut TestDatabase) {
    let charsets: &[&str] = match (database.is_mysql(), database.variant) {
        (true, Variant::Latin1) => &["latin1"],
        (true, _) => &["utf8mb4", "utf8mb3", "cp1251"],
        (false, _) => &["unicode"],
    };
    let stand = Stand::new(database).await;
    for charset in charsets {
        if database.is_mysql() {
            let table = database.table("failed_events");
            database.run(&format!("DELETE FROM {table}; DELETE FROM {}", database.table("markers"))).await;
            database.run(&format!("ALTER TABLE {table} CONVERT TO CHARACTER SET {charset}")).await;
        }
        let odd = Entry {
            content: format!("/patient/{LETTERS}"),
            title: LETTERS.to_owned(),
            categories: vec![LETTERS.to_owned()],
            ..Entry::new("odd")
        };
        serve(&stand.feeds, &[odd, Entry::new("b")]);
        stand.script.fail("odd", Failure::new(format!("not found: {LETTERS}")));
        let consumer = Consumer::new(
            open(database),
            stand.feeds.client(),
            PATIENTS,
            Limits { max_failed_events: 100, ..Limits::default() },
            stand.script.clone(),
        );
        let run = consumer.expect("a consumer").process_events().await;
        assert_eq!((run.processed, run.failed), (1, 1), "{charset}: {}", run.end);
        let kept = in_charset(charset);
        assert_eq!(cell(database, "event_content").await, format!("/patient/{kept}"), "{charset}");
        assert_eq!(cell(database, "title").await, kept, "{charset}");
        assert_eq!(cell(database, "tags").await, kept, "{charset}");
        let error = cell(database, "error_message").await;
        assert!(error.contains(&format!("not found: {kept}")), "{charset}: {error}");
        let replaced = LETTERS.chars().zip(kept.chars()).filter(|(one, other)| one != other).count();
        match replaced {
            0 => assert!(!error.contains("kept whole"), "{error}"),
            1 => assert!(error.contains("title with 1 character replaced"), "{error}"),
            _ => assert!(error.contains(&format!("title with {replaced} characters replaced")), "{error}"),
        }
    }
}

async fn each_column_has_its_own_letters(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let table = database.table("failed_events");
    database
        .run(&format!(
            "ALTER TABLE {table} MODIFY title varchar(255) CHARACTER SET latin1, \
             MODIFY tags varchar(20) CHARACTER SET utf8mb3, MODIFY event_content varchar(4000) CHARACTER SET utf8mb4, \
             MODIFY error_message varchar(4000) CHARACTER SET ascii"
        ))
        .await;
    let odd = Entry {
        content: LETTERS.to_owned(),
        title: LETTERS.to_owned(),
        categories: vec![LETTERS.to_owned()],
        ..Entry::new("odd")
    };
    serve(&stand.feeds, &[odd]);
    stand.script.fail("odd", Failure::new("größer"));
    let log = Log::start();
    let run = stand.consumer.process_events().await;
    assert_eq!(run.failed, 1, "{}", run.end);
    assert_eq!(cell(database, "event_content").await, LETTERS);
    assert_eq!(cell(database, "title").await, in_charset("latin1"));
    assert_eq!(cell(database, "tags").await, in_charset("utf8mb3").chars().take(20).collect::<String>());
    let error = cell(database, "error_message").await;
    assert!(error.contains("gr??er") && error.contains("tags cut from 26 to 20 characters"), "{error}");
    let said = log.lines();
    assert!(said.iter().any(|line| line.contains("not kept whole") && line.contains(&id("odd"))), "{said:?}");
}

async fn a_text_column_counts_bytes(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let table = database.table("failed_events");
    database.run(&format!("ALTER TABLE {table} MODIFY event_content text, MODIFY title tinytext")).await;
    let odd = Entry { content: "П".repeat(40_000), title: "П".repeat(200), ..Entry::new("odd") };
    serve(&stand.feeds, &[odd]);
    stand.script.fail("odd", Failure::new("no"));
    let run = stand.consumer.process_events().await;
    assert_eq!(run.failed, 1, "{}", run.end);
    // 65,535 and 255 bytes, and no half letter.
    assert_eq!(cell(database, "event_content").await, "П".repeat(32_767));
    assert_eq!(cell(database, "title").await, "П".repeat(127));
}

async fn columns_that_were_made_larger_meanwhile_are_used_as_they_are(database: &mut TestDatabase) {
    if database.server == Server::Sqlite {
        // Nothing is too long for SQLite.
        return;
    }
    let stand = Stand::new(database).await;
    serve(&stand.feeds, &[Entry { title: "t".repeat(300), ..Entry::new("a") }]);
    stand.script.fail("a", Failure::new("no"));
    assert_eq!(stand.consumer.process_events().await.failed, 1);
    assert_eq!(cell(database, "title").await.len(), 255);
    let (failed, markers) = (database.table("failed_events"), database.table("markers"));
    database.run(&format!("DELETE FROM {failed}; DELETE FROM {markers}")).await;
    let larger = if database.is_mysql() { "MODIFY title varchar(400)" } else { "ALTER COLUMN title TYPE varchar(400)" };
    database.run(&format!("ALTER TABLE {failed} {larger}")).await;
    assert_eq!(stand.consumer.process_events().await.failed, 1);
    assert_eq!(cell(database, "title").await.len(), 300);
    // And smaller than before.
    database.run(&format!("DELETE FROM {failed}; DELETE FROM {markers}")).await;
    let smaller = if database.is_mysql() { "MODIFY title varchar(20)" } else { "ALTER COLUMN title TYPE varchar(20)" };
    database.run(&format!("ALTER TABLE {failed} {smaller}")).await;
    let run = stand.consumer.process_events().await;
    assert_eq!(run.failed, 1, "{}", run.end);
    assert_eq!(cell(database, "title").await.len(), 20);
}

async fn an_error_with_a_nul_is_recorded(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a", "b"]]);
    stand.script.fail("a", Failure::new("half\0way").with_trace("trace\0"));
    let run = stand.consumer.process_events().await;
    assert_eq!((run.processed, run.failed), (1, 1), "{}", run.end);
    let error = cell(database, "error_message").await;
    assert!(error.ends_with("half\u{FFFD}waytrace\u{FFFD}"), "{error}");
    let run = stand.consumer.process_failed_events().await;
    assert!(matches!(run.end, RetryEnd::Done) && run.failed == 1, "{}", run.end);
}

async fn an_event_without_a_title_goes_into_a_column_that_takes_no_null(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let table = database.table("failed_events");
    match database.server {
        Server::Mysql | Server::MysqlOld => {
            database.run(&format!("ALTER TABLE {table} MODIFY title varchar(255) NOT NULL")).await;
        }
        Server::Postgres => database.run(&format!("ALTER TABLE {table} ALTER COLUMN title SET NOT NULL")).await,
        // SQLite cannot alter a column, so it gets a new one.
        Server::Sqlite => {
            database.run(&format!("ALTER TABLE {table} DROP COLUMN title")).await;
            database.run(&format!("ALTER TABLE {table} ADD COLUMN title TEXT NOT NULL DEFAULT 'none'")).await;
        }
    }
    let page = Page { via: patients(1), next: None, previous: None, entries: vec!["a".to_owned()] };
    let xml = page.to_xml().replace("<entry><title>Patient</title>", "<entry>");
    stand.feeds.answer("/openmrs/ws/atomfeed/patient/recent", 200, "application/atom+xml", xml);
    stand.script.fail("a", Failure::new("no"));
    let run = stand.consumer.process_events().await;
    assert_eq!(run.failed, 1, "{}", run.end);
    assert_eq!(cell(database, "title").await, "");
}

async fn a_log_with_smaller_columns_takes_the_retry(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let table = database.table("failed_event_retry_log");
    for column in ["event_content", "event_id", "error_message"] {
        let change = if database.is_mysql() {
            format!("MODIFY {column} varchar(30)")
        } else {
            format!("ALTER COLUMN {column} TYPE varchar(30)")
        };
        database.run(&format!("ALTER TABLE {table} {change}")).await;
    }
    let uuid = "e".repeat(36);
    stand.feeds.patients(&[&[&uuid]]);
    stand.script.fail(&uuid, Failure::new("a cause that is longer than thirty characters"));
    assert_eq!(stand.consumer.process_events().await.failed, 1);
    let run = stand.consumer.process_failed_events().await;
    assert_eq!(run.failed, 1, "{}", run.end);
    let logged = lines(database, "failed_event_retry_log", &["event_id", "event_content"]).await;
    assert_eq!(logged.len(), 1);
    assert!(logged[0].starts_with("tag:atomfeed.ict4h.or~"), "{logged:?}");
    stand.script.fix();
    assert_eq!(stand.consumer.process_failed_events().await.resolved, 1);
    assert_eq!(lines(database, "failed_event_retry_log", &["event_id"]).await, [""; 0], "its log goes with it");
}

async fn a_page_in_letters_that_the_marker_has_not_is_written_in_ascii(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    database.run(&format!("ALTER TABLE {} CONVERT TO CHARACTER SET latin1", database.table("markers"))).await;
    let page = Page { via: patients("Пациент/1"), next: None, previous: None, entries: vec!["a".to_owned()] };
    stand.feeds.page(PATIENTS, &page);
    let run = stand.consumer.process_events().await;
    assert_eq!(run.processed, 1, "{}", run.end);
    let marker = lines(database, "markers", &["feed_uri_for_last_read_entry"]).await;
    assert_eq!(marker, [patients("%D0%9F%D0%B0%D1%86%D0%B8%D0%B5%D0%BD%D1%82/1")]);
}

/// Part of an address cannot be read, so it is not cut, not even on a server that would cut it silently.
async fn a_page_that_is_longer_than_the_marker_stalls_the_feed(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    stand.feeds.patients(&[&["a"]]);
    assert_eq!(stand.consumer.process_events().await.processed, 1);
    let long = patients("x".repeat(300));
    let page = |entries: &[&str]| Page {
        via: long.clone(),
        next: None,
        previous: None,
        entries: entries.iter().map(|&uuid| uuid.to_owned()).collect(),
    };
    stand.feeds.page(&patients(1), &page(&["a", "b"]));
    let run = stand.consumer.process_events().await;
    let FeedEnd::Stalled(Stall::Database(error)) = run.end else { panic!("{}", run.end) };
    assert!(error.to_string().contains("markers.feed_uri_for_last_read_entry"), "{error}");
    assert_eq!(lines(database, "markers", &["last_read_entry_id"]).await, [id("a")]);
    assert_eq!(worked(database).await, ["a"]);
}

async fn a_database_in_latin1_takes_what_it_has_letters_for(database: &mut TestDatabase) {
    let name = format!("{}_latin1", database.app.database.database);
    database
        .run(&format!("CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"))
        .await;
    let at = &database.app.database;
    let address = format!("postgres://{}:{}@{}:{}/{name}", at.user, at.password.reveal(), at.host, at.port);
    let pool = PgPoolOptions::new().max_connections(2).connect(&address).await.expect("the database answers");
    let ours = Database::postgres(pool.clone(), None);
    ours.create_consumer_tables().await.expect("the tables are made");
    let feeds = Feeds::start().await;
    let odd = Entry { title: LETTERS.to_owned(), content: LETTERS.to_owned(), ..Entry::new("odd") };
    serve(&feeds, &[Entry { id: Some(format!("tag:{}П", "x".repeat(200))), ..odd }]);
    let worker = Ids(Arc::default(), true);
    let consumer = Consumer::new(ours, client_of(feeds.address), PATIENTS, Limits::default(), worker.clone());
    let consumer = consumer.expect("a consumer");
    let run = consumer.process_events().await;
    assert_eq!(run.failed, 1, "{}", run.end);
    let run = consumer.process_events().await;
    assert_eq!((run.failed, run.processed), (0, 0), "the marker is found again: {}", run.end);
    let mut link = PgConnection::connect(&address).await.expect("the database answers");
    let row: (String, String) =
        sqlx::query_as("SELECT title, event_content FROM failed_events").fetch_one(&mut link).await.expect("a row");
    assert_eq!(row, (in_charset("latin1"), in_charset("latin1")));
    link.close().await.expect("the connection ends");
    pool.close().await;
    database.run(&format!("DROP DATABASE {name}")).await;
}
