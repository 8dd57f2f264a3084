//! Feeds that are broken, wrong or hostile: a clear error, bounded memory and time, and an unchanged marker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use atomfeed::{Client, ClientError, ClientSettings, Consumer, FeedEnd, FeedRun, Limits, Stall, WalkError};
use axum::{Router, extract::Path, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    database::TestDatabase,
    feeds::{PATIENTS, Page, Script, Stand, client_of, id, lines, make_worked, open, patients, worked},
};

// The database plays no part, so one is enough.
on!(sqlite, Sqlite, Text: what_is_no_page_stalls_the_feed_with_its_reason a_link_to_another_origin_is_never_followed
    pages_in_a_ring_end_the_walk a_ring_on_the_way_forward_repeats_nothing ten_thousand_pages_are_walked
    an_answer_without_end_is_not_read_to_its_end a_publisher_that_never_answers_is_given_up
    a_publisher_that_sends_byte_by_byte_is_given_up headers_without_end_are_not_read_to_their_end
    an_answer_that_breaks_off_is_no_page);

const RECENT: &str = "/openmrs/ws/atomfeed/patient/recent";

/// Checks that the feed stalled and that neither marker nor tables have changed.
async fn stalled(run: FeedRun, database: &mut TestDatabase) -> Stall {
    assert_eq!((run.processed, run.failed), (0, 0));
    for table in ["failed_events", "failed_event_retry_log"] {
        assert_eq!(lines(database, table, &["id"]).await, [""; 0]);
    }
    assert_eq!(lines(database, "markers", &["feed_uri"]).await, [""; 0]);
    match run.end {
        FeedEnd::Stalled(stall) => stall,
        end => panic!("the feed should have stalled: {end}"),
    }
}

async fn what_is_no_page_stalls_the_feed_with_its_reason(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let good = Page { via: patients(1), next: None, previous: None, entries: vec!["a".to_owned()] }.to_xml();
    let deep = format!("{}{}", "<b>".repeat(200_000), "</b>".repeat(200_000));
    let bomb = "<!DOCTYPE feed [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>";
    let login = "<!DOCTYPE html>\n<html><body><form action=\"/openmrs/login\"></form></body></html>";
    let reasons = [
        (login.to_owned(), "the answer is a web page and no feed"),
        ("<HTML><body>login</body></HTML>".to_owned(), "the answer is a web page and no feed"),
        (good.replace("<feed", &format!("{bomb}<feed")), "the answer declares a document type"),
        (good[..good.len() / 2].to_owned(), "the answer is no well-formed XML"),
        (good.replace("</entry>", "</feed>"), "the answer is no well-formed XML"),
        (good.replace("Patient AOP", "&unknown;"), "the answer is no well-formed XML"),
        (
            good.replace("</feed>", &format!("{}</feed>", "<b/>".repeat(600_000))),
            "the answer has more than 500000 elements",
        ),
        (good.replace("rel=\"via\"", "rel=\"alternate\""), "the page has no link to its own numbered address"),
        (
            good.replace(&format!("\"via\" type=\"application/atom+xml\" href=\"{}", patients(1)), "\"via\" href=\"1"),
            "the page's link rel=\"via\" is \"1\", which is no whole address",
        ),
        (
            good.replace("\n<author>", "<link rel=\"next-archive\" href=\"/openmrs/ws/atomfeed/patient/2\"/><author>"),
            "the page's link rel=\"next-archive\" is \"/openmrs/ws/atomfeed/patient/2\", which is no whole address",
        ),
        (
            good.replace("\n<author>", "<link rel=\"prev-archive\" href=\"\"/><author>"),
            "the page's link rel=\"prev-archive\" is \"\", which is no whole address",
        ),
        (good.replace(&id("a"), " "), "entry 1 of the page has no id"),
        ("<rss/>".to_owned(), "the answer is XML, but no Atom feed: its outermost element is <rss>"),
        (String::new(), "the answer is no well-formed XML"),
    ];
    for (body, reason) in reasons {
        stand.feeds.answer(RECENT, 200, "text/html", body);
        let stall = stalled(stand.consumer.process_events().await, database).await;
        let Stall::Walk(WalkError::Page { address, error }) = stall else { panic!("{reason}: {stall}") };
        assert_eq!(address, PATIENTS);
        assert!(error.to_string().starts_with(reason), "{reason}: {error}");
    }
    // Nested two hundred thousand times, which crashes a recursive reader; and with another media type.
    stand.feeds.answer(RECENT, 200, "text/html", good.replace("</feed>", &format!("{deep}</feed>")));
    assert_eq!(stand.consumer.process_events().await.processed, 1);
}

async fn a_link_to_another_origin_is_never_followed(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let good = Page { via: patients(1), next: None, previous: Some(patients(0)), entries: Vec::new() };
    for page in [
        Page { previous: Some("http://example.org:8080/openmrs/ws/atomfeed/patient/1".to_owned()), ..good.clone() },
        Page { previous: Some("https://openmrs:8080/1".to_owned()), ..good.clone() },
        Page { via: "http://openmrs:8081/1".to_owned(), ..good },
    ] {
        stand.feeds.page(PATIENTS, &page);
        let stall = stalled(stand.consumer.process_events().await, database).await;
        assert!(matches!(stall, Stall::Walk(WalkError::Client(ClientError::OtherOrigin { .. }))), "{stall}");
    }
}

async fn pages_in_a_ring_end_the_walk(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    let page = |number: usize, previous: usize| Page {
        via: patients(number),
        next: None,
        previous: Some(patients(previous)),
        entries: vec![format!("e{number}")],
    };
    // To itself, and in a ring of three.
    for (number, previous) in [(3, 3), (3, 2), (2, 1), (1, 3)] {
        stand.feeds.page(&patients(number), &page(number, previous));
        stand.feeds.page(PATIENTS, &page(3, if previous == 3 { 3 } else { 2 }));
        let stall = stand.consumer.process_events().await;
        if (number, previous) == (3, 3) || number == 1 {
            let stall = stalled(stall, database).await;
            assert!(matches!(&stall, Stall::Walk(WalkError::Ring(_))), "{stall}");
        }
    }
}

async fn a_ring_on_the_way_forward_repeats_nothing(database: &mut TestDatabase) {
    let stand = Stand::new(database).await;
    for (number, next) in [(1, 2), (2, 1)] {
        let page = Page {
            via: patients(number),
            next: Some(patients(next)),
            previous: None,
            entries: vec![format!("e{number}")],
        };
        stand.feeds.page(&patients(number), &page);
    }
    database.marker(PATIENTS, Some(&id("e1")), Some(&patients(1))).await;
    let run = stand.consumer.process_events().await;
    assert!(matches!(&run.end, FeedEnd::Stalled(Stall::Walk(WalkError::Ring(_)))), "{}", run.end);
    assert_eq!(worked(database).await, ["e2"]);
    assert_eq!(lines(database, "markers", &["last_read_entry_id"]).await, [id("e2")]);
}

async fn ten_thousand_pages_are_walked(database: &mut TestDatabase) {
    const PAGES: usize = 10_000;
    make_worked(database).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let page = async move |Path(page): Path<String>| {
        counted.fetch_add(1, Ordering::Relaxed);
        let number = page.parse().unwrap_or(PAGES);
        Page {
            via: patients(number),
            next: (number < PAGES).then(|| patients(number + 1)),
            previous: (number > 1).then(|| patients(number - 1)),
            // Few events: the walk is what is tested.
            entries: if number % 1000 == 1 { vec![format!("e{number}")] } else { Vec::new() },
        }
        .to_xml()
    };
    let router = Router::new().route("/openmrs/ws/atomfeed/patient/{page}", get(page));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    let consumer = Consumer::new(open(database), client_of(address), PATIENTS, Limits::default(), Script::default());
    let run = consumer.expect("a consumer").process_events().await;
    assert!(matches!(run.end, FeedEnd::CaughtUp), "{}", run.end);
    assert_eq!(run.processed, 10);
    assert_eq!(asked.load(Ordering::Relaxed), 2 * PAGES - 1, "each page once back and once forward");
    assert_eq!(worked(database).await[..2], ["e1", "e1001"]);
}

/// A raw TCP server: the test decides what each connection gets after its request.
async fn raw<F, A>(answer: F) -> Client
where
    F: Fn(TcpStream) -> A + Send + Sync + 'static,
    A: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            if stream.read(&mut request).await.is_ok() {
                // The client shows the result.
                tokio::spawn(answer(stream));
            }
        }
    });
    let settings = ClientSettings {
        via: Some(address),
        read_timeout: Duration::from_millis(300),
        timeout: Duration::from_secs(1),
        largest_answer: 1024 * 1024,
        ..ClientSettings::default()
    };
    Client::new("http://openmrs:8080", settings).expect("a client")
}

async fn stall_of(client: Client, database: &mut TestDatabase) -> ClientError {
    make_worked(database).await;
    let consumer = Consumer::new(open(database), client, PATIENTS, Limits::default(), Script::default());
    let run = consumer.expect("a consumer").process_events().await;
    match stalled(run, database).await {
        Stall::Walk(WalkError::Client(error)) => error,
        stall => panic!("{stall}"),
    }
}

async fn an_answer_without_end_is_not_read_to_its_end(database: &mut TestDatabase) {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let client = raw(move |mut stream| {
        let counted = Arc::clone(&counted);
        async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await?;
            for _ in 0..1000 {
                stream.write_all(&[b' '; 1_000_000]).await?;
                counted.fetch_add(1_000_000, Ordering::Relaxed);
            }
            Ok(())
        }
    })
    .await;
    let error = stall_of(client, database).await;
    assert!(matches!(error, ClientError::TooLarge { limit: 1_048_576, .. }), "{error}");
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < 100_000_000, "the connection was closed, but {sent} bytes went through");
}

async fn a_publisher_that_never_answers_is_given_up(database: &mut TestDatabase) {
    let client = raw(async move |stream: TcpStream| {
        std::future::pending::<()>().await;
        drop(stream);
        Ok(())
    })
    .await;
    let error = stall_of(client, database).await;
    assert_eq!(error, ClientError::TimedOut(PATIENTS.to_owned()));
}

async fn a_publisher_that_sends_byte_by_byte_is_given_up(database: &mut TestDatabase) {
    let client = raw(async move |mut stream: TcpStream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await?;
        loop {
            stream.write_all(b" ").await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let error = stall_of(client, database).await;
    assert_eq!(error, ClientError::TimedOut(PATIENTS.to_owned()));
}

async fn headers_without_end_are_not_read_to_their_end(database: &mut TestDatabase) {
    let client = raw(async move |mut stream: TcpStream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
        loop {
            stream.write_all(format!("X-A: {}\r\n", "a".repeat(1000)).as_bytes()).await?;
        }
    })
    .await;
    let error = stall_of(client, database).await;
    assert!(matches!(error, ClientError::Broken(..)), "{error}");
}

async fn an_answer_that_breaks_off_is_no_page(database: &mut TestDatabase) {
    let page = Page { via: patients(1), next: None, previous: None, entries: vec!["a".to_owned()] }.to_xml();
    let client = raw(move |mut stream| {
        let page = page.clone();
        async move {
            // Well-formed, but shorter than announced.
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len() + 10);
            stream.write_all(head.as_bytes()).await
        }
    })
    .await;
    let error = stall_of(client, database).await;
    assert!(matches!(error, ClientError::Broken(..)), "{error}");
}
