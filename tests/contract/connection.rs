//! Sources that are down, refuse, are slow, or are lost half way, and that recover by themselves.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use atomfeed_console::{
    model::{
        RowId,
        filter::{Direction, Filter},
    },
    server::{
        check::check_one,
        config::{Secret, Tls},
        sources::{ListRequest, SearchIn, Source, SourceError, SourceErrorKind, TextLimit},
        store::Store,
        watch::Watch,
    },
};

#[cfg(unix)]
use sqlx::Connection as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    database::{Login, Maker, Server, TestDatabase},
    proxy::Proxy,
};

on!(mysql, Mysql, OpenMrs: a_wrong_password_is_said_without_the_password an_unknown_database_is_said
    nobody_listening_is_said_at_once an_unknown_host_is_said a_source_comes_back_by_itself
    a_lock_held_by_another_program_ends_in_time tls_is_as_strict_as_configured
    a_changed_schema_is_read_anew more_requests_than_connections_wait_their_turn a_silent_host_is_given_up
    dead_connections_cost_one_timeout_together a_statement_that_nobody_waits_for_is_stopped
    a_lost_database_is_tried_again_at_the_usual_pace a_server_without_encryption_is_named
    a_method_of_signing_in_that_is_not_known_is_named);
on!(mysql_old, MysqlOld, OpenMrs: a_statement_that_nobody_waits_for_is_stopped);
on!(postgres, Postgres, OpenElis: a_wrong_password_is_said_without_the_password an_unknown_database_is_said
    nobody_listening_is_said_at_once an_unknown_host_is_said a_source_comes_back_by_itself
    a_lock_held_by_another_program_ends_in_time tls_is_as_strict_as_configured
    a_server_without_encryption_is_named a_method_of_signing_in_that_is_not_known_is_named
    a_changed_schema_is_read_anew more_requests_than_connections_wait_their_turn a_silent_host_is_given_up
    dead_connections_cost_one_timeout_together a_lost_database_is_tried_again_at_the_usual_pace);
#[cfg(target_os = "linux")]
on!(sqlite_on_linux, Sqlite, Text: a_look_leaves_the_locks_on_the_file);
#[cfg(unix)]
on!(sqlite_on_unix, Sqlite, Text: a_file_that_is_moved_away_or_replaced_is_not_read_on);
on!(sqlite, Sqlite, Text: a_missing_file_is_said_and_not_made a_file_that_is_no_database_is_said
    a_lock_held_by_another_program_ends_in_time a_changed_schema_is_read_anew
    more_requests_than_connections_wait_their_turn a_statement_without_end_ends_in_time
    every_statement_has_its_own_time);

/// Returns the error of a first poll, which names the application and contains no password.
async fn refusal(source: &Source) -> SourceError {
    let error = source.poll().await.expect_err("it cannot be reached");
    let told = format!("{error:?}");
    assert!(error.reason.contains("Laboratory") && error.reason.contains(&source.app().info.address), "{told}");
    assert!(!told.contains("geheim") && !told.contains("throw-away"), "{told}");
    assert!(error.advice.ends_with('.') && error.reason.ends_with('.'), "{told}");
    error
}

async fn a_wrong_password_is_said_without_the_password(database: &mut TestDatabase) {
    let error = refusal(&database.source_with(|app| app.database.password = Secret::new("geheim"))).await;
    assert_eq!(error.kind, SourceErrorKind::Refused);
    assert!(error.reason.contains(&format!("the user {}", database.app.database.user)), "{}", error.reason);
    assert!(error.reason.contains("password"), "{}", error.reason);
}

async fn an_unknown_database_is_said(database: &mut TestDatabase) {
    let error = refusal(&database.source_with(|app| app.database.database = "nowhere".to_owned())).await;
    assert_eq!(error.kind, SourceErrorKind::Refused);
    assert!(error.reason.contains("no database nowhere"), "{}", error.reason);
}

async fn nobody_listening_is_said_at_once(database: &mut TestDatabase) {
    let free = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        listener.local_addr().expect("an address").port()
    };
    let started = Instant::now();
    let source = database.source_with(|app| app.database.port = free);
    let error = refusal(&source).await;
    assert_eq!(error.kind, SourceErrorKind::Unreachable);
    assert!(error.reason.contains(&format!("127.0.0.1:{free} was refused")), "{}", error.reason);
    // Pages that query it meanwhile get the same error without another attempt.
    assert_eq!(source.event(RowId(1)).await, Err(error));
    assert!(started.elapsed() < Duration::from_secs(2));
}

async fn an_unknown_host_is_said(database: &mut TestDatabase) {
    let error = refusal(&database.source_with(|app| app.database.host = "nowhere.invalid".to_owned())).await;
    assert_eq!(error.kind, SourceErrorKind::Unreachable);
    assert!(error.reason.contains("nowhere.invalid"), "{}", error.reason);
}

async fn a_silent_host_is_given_up(database: &mut TestDatabase) {
    // It accepts the connection and never sends anything.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let source = database.source_with(|app| {
        app.database.port = port;
        app.connect_timeout = Duration::from_millis(300);
    });
    let started = Instant::now();
    let error = refusal(&source).await;
    assert_eq!(error.kind, SourceErrorKind::TimedOut);
    assert!(error.reason.contains("300 ms") && started.elapsed() < Duration::from_secs(2), "{}", error.reason);
}

async fn dead_connections_cost_one_timeout_together(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    let proxy = Proxy::to(database.app.database.port).await;
    let source = database.source_with(|app| {
        app.database.port = proxy.port;
        app.pool_size = 4;
        app.connect_timeout = Duration::from_millis(1500);
        app.statement_timeout = Duration::from_secs(5);
    });
    // Concurrently, so that each needs its own connection.
    for answer in futures::future::join_all((0..4).map(|_| source.event(RowId(1)))).await {
        answer.expect("an answer");
    }
    proxy.silence();
    let started = Instant::now();
    let error = source.event(RowId(1)).await.expect_err("nothing arrives any more");
    assert_eq!(error.kind, SourceErrorKind::TimedOut, "{error:?}");
    // One timeout of a kept connection and one of a new one; the four one after the other would make it five.
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

/// The duration of a poll that only waited for connections says nothing about what polls cost the database.
async fn a_lost_database_is_tried_again_at_the_usual_pace(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    let proxy = Proxy::to(database.app.database.port).await;
    let source = Arc::new(database.source_with(|app| {
        app.database.port = proxy.port;
        app.connect_timeout = Duration::from_secs(1);
        app.refresh = Duration::from_millis(100);
    }));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&folder.path().join("console.db")).await.expect("a store");
    let stop = CancellationToken::new();
    let watch = Watch::start(std::slice::from_ref(&source), &store, &stop);
    until(|| watch.in_step(&source.app().info.key), "the first read").await;
    proxy.silence();
    let before = proxy.connections();
    // A poll tries twice. If its duration counted, the second poll would follow after nine times that duration, which
    // is half a minute.
    until(|| proxy.connections() >= before + 4, "the second look in vain").await;
    stop.cancel();
}

async fn until(is_so: impl Fn() -> bool, what: &str) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

#[cfg(unix)]
async fn a_file_that_is_moved_away_or_replaced_is_not_read_on(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    let source = database.source();
    source.poll().await.expect("an answer");
    let file = database.app.database.database.clone();
    let away = format!("{file}.away");
    std::fs::rename(&file, &away).expect("a file");
    let gone = refusal(&source).await;
    assert!(source.event(RowId(1)).await.is_err(), "{gone:?}");
    // Another file at the same path is another database.
    std::fs::copy(&away, &file).expect("a copy");
    let mut copy = sqlx::SqliteConnection::connect(&format!("sqlite:{file}")).await.expect("the copy");
    sqlx::raw_sql("DELETE FROM failed_events").execute(&mut copy).await.expect("the row is there");
    copy.close().await.expect("it is written");
    source.poll().await.expect("an answer");
    assert!(source.event(RowId(1)).await.expect("an answer").is_none());
    std::fs::rename(&away, &file).expect("the first one again");
    assert!(source.event(RowId(1)).await.expect("an answer").is_some());
}

async fn a_statement_that_nobody_waits_for_is_stopped(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    // The server's own time limits are far away, as on MySQL 5.6, which has none.
    let source = database.source_with(|app| app.statement_timeout = Duration::from_secs(60));
    source.event(RowId(1)).await.expect("an answer");
    // Work, not a lock: a server that waits for a lock notices by itself that the client is gone.
    database
        .run(
            "RENAME TABLE failed_events TO kept; CREATE VIEW failed_events AS \
             SELECT * FROM kept WHERE BENCHMARK(1000000000, SHA2(kept.title, 256)) = 0",
        )
        .await;
    let waiting = format!(
        "SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.processlist \
         WHERE db = '{}' AND command <> 'Sleep' AND id <> CONNECTION_ID()",
        database.app.database.database
    );
    let left = tokio::time::timeout(Duration::from_millis(500), source.event(RowId(1))).await;
    assert!(left.is_err(), "it works for minutes");
    let started = Instant::now();
    while database.value(&waiting).await.as_deref() != Some("0") {
        assert!(started.elapsed() < Duration::from_secs(5), "the statement still waits");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    database.run("DROP VIEW failed_events; RENAME TABLE kept TO failed_events").await;
    assert!(source.event(RowId(1)).await.expect("an answer").is_some());
}

/// Returns a source with a time limit of one second, whose failed_events then becomes a view that must count first.
async fn counting_source(database: &mut TestDatabase, numbers: &str, rows: &str) -> Source {
    let row = database.failed(1);
    database.insert(&[row]).await;
    let source = database.source_with(|app| app.statement_timeout = Duration::from_secs(1));
    source.event(RowId(1)).await.expect("an answer");
    let counting = format!(
        "ALTER TABLE failed_events RENAME TO kept; \
         CREATE VIEW failed_events AS WITH RECURSIVE numbers(number) AS \
         (SELECT 1 UNION ALL SELECT number + 1 FROM numbers {numbers}) SELECT kept.* FROM kept, numbers {rows}"
    );
    database.run(&counting).await;
    source
}

async fn a_statement_without_end_ends_in_time(database: &mut TestDatabase) {
    let source = counting_source(database, "", "").await;
    let filter = Filter::default();
    let request = ListRequest {
        filter: &filter,
        from: None,
        direction: Direction::Forward,
        limit: 1,
        texts: TextLimit::LIST,
        search: SearchIn::Everything,
    };
    let error = source.list(&request).await.expect_err("it sorts for ever");
    assert_eq!(error.kind, SourceErrorKind::TimedOut, "{error:?}");
    // If the statement still ran, it would keep others from writing.
    let started = Instant::now();
    database.run("UPDATE kept SET retries = 1").await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

async fn every_statement_has_its_own_time(database: &mut TestDatabase) {
    // Slow enough for its time to be checked while it runs, and far below a second.
    let source = counting_source(database, "WHERE number < 20000", "WHERE number = 20000").await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let event = source.event(RowId(1)).await.expect("the time of the statement before it is over, and its own is not");
    assert!(event.is_some());
}

async fn a_source_comes_back_by_itself(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    let proxy = Proxy::to(database.app.database.port).await;
    let source = database.source_with(|app| app.database.port = proxy.port);
    assert!(source.event(RowId(1)).await.expect("an answer").is_some());

    proxy.close();
    let error = refusal(&source).await;
    assert!(matches!(error.kind, SourceErrorKind::Unreachable | SourceErrorKind::Lost), "{error:?}");
    assert!(source.event(RowId(1)).await.is_err());

    proxy.open();
    // A poll tries at once; pages try after the pause at the latest.
    source.poll().await.expect("it is back");
    assert!(source.event(RowId(1)).await.expect("an answer").is_some());

    proxy.close();
    source.event(RowId(1)).await.expect_err("it is gone again");
    proxy.open();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(source.event(RowId(1)).await.expect("the pause is over").is_some());
}

async fn a_lock_held_by_another_program_ends_in_time(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    let source = database.source_with(|app| app.statement_timeout = Duration::from_secs(1));
    source.poll().await.expect("nobody holds a lock yet");
    let table = database.table("failed_events");
    let (lock, free) = match database.server {
        Server::Postgres => (format!("BEGIN; LOCK TABLE {table}"), "COMMIT"),
        Server::Sqlite => ("BEGIN EXCLUSIVE".to_owned(), "COMMIT"),
        _ => (format!("LOCK TABLES {table} WRITE"), "UNLOCK TABLES"),
    };
    database.run(&lock).await;
    let started = Instant::now();
    let error = source.event(RowId(1)).await.expect_err("the table is locked");
    assert_eq!(error.kind, SourceErrorKind::TimedOut, "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    database.run(free).await;
    assert!(source.event(RowId(1)).await.expect("the lock is gone").is_some());
}

/// Returns a source whose account the server accepts only over an encrypted connection, so that an answer verifies
/// encryption.
async fn encrypted_source(database: &mut TestDatabase, tls: Tls, ca: Option<&str>, host: &str) -> Source {
    let (user, password) = database.account(Login::Encrypted, &["SELECT ON failed_events"]).await;
    database.source_with(|app| {
        (app.database.user, app.database.password) = (user, password);
        (app.database.tls, app.database.ca) = (tls, ca.map(Into::into));
        app.database.host = host.to_owned();
    })
}

async fn tls_is_as_strict_as_configured(database: &mut TestDatabase) {
    let ca = std::env::var("TEST_CA").expect("scripts/test-databases made an authority");
    let ours = Some(ca.as_str());
    if database.version.tls_is_too_old() {
        return tls_that_is_too_old_is_named(database, ours).await;
    }
    // The server offers TLS, with a certificate of the tests' own authority for localhost and 127.0.0.1.
    for (tls, ca, host) in [
        (Tls::Preferred, None, "127.0.0.1"),
        (Tls::Required, None, "127.0.0.1"),
        (Tls::Verified, ours, "127.0.0.1"),
        (Tls::Verified, ours, "localhost"),
    ] {
        let source = encrypted_source(database, tls, ca, host).await;
        source.poll().await.unwrap_or_else(|error| panic!("{tls:?} at {host}: {error:?}"));
        if database.server == Server::Postgres {
            let user = &source.app().database.user;
            let open = format!(
                "SELECT string_agg(DISTINCT ssl::text, ',') FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE usename = '{user}'"
            );
            assert_eq!(database.value(&open).await.as_deref(), Some("true"), "{tls:?}");
        }
    }
    // Signed by an authority that the system does not know.
    let error = refusal(&encrypted_source(database, Tls::Verified, None, "127.0.0.1").await).await;
    assert_eq!(error.kind, SourceErrorKind::Refused, "{error:?}");
    assert!(error.reason.contains("encrypted"), "{}", error.reason);
    // Signed, but for names other than the requested one.
    let proxy = Proxy::on("127.0.0.2", database.app.database.port).await;
    let mut app = encrypted_source(database, Tls::Verified, ours, "127.0.0.2").await.app().clone();
    app.database.port = proxy.port;
    let error = refusal(&Source::new(app)).await;
    assert_eq!(error.kind, SourceErrorKind::Refused, "{error:?}");
    assert!(error.reason.contains("encrypted"), "{}", error.reason);
    // Without encryption: an account of the MySQL family that requires it is refused, the PostgreSQL account connects
    // in plain text.
    let plain = encrypted_source(database, Tls::Off, None, "127.0.0.1").await;
    assert_eq!(plain.poll().await.is_ok(), !database.is_mysql());
}

/// A server whose encryption is too old for today's clients, as that of MySQL 5.6.
async fn tls_that_is_too_old_is_named(database: &mut TestDatabase, ca: Option<&str>) {
    for tls in [Tls::Required, Tls::Verified] {
        let error = refusal(&encrypted_source(database, tls, ca, "127.0.0.1").await).await;
        assert_eq!(error.kind, SourceErrorKind::Refused, "{error:?}");
        assert!(error.reason.contains("TLS is too old, the console needs version 1.2"), "{}", error.reason);
        assert!(error.advice.contains("a newer database server"), "{}", error.advice);
    }
    let mut app = database.app.clone();
    app.database.tls = Tls::Preferred;
    Source::new(app.clone()).poll().await.expect("it comes in without encryption");
    let report = check_one(&app).await;
    assert!(report.text.contains("The connection is not encrypted"), "{}", report.text);
    assert!(report.text.contains("the server's TLS is too old"), "{}", report.text);
}

/// Forwards connections to the database like a server without TLS: PostgreSQL declines when asked, MySQL does not list
/// it among its capabilities. Returns the port.
async fn without_tls(database: &TestDatabase) -> u16 {
    let (server, mysql) = (database.app.database.port, database.is_mysql());
    serving(move |mut client| async move {
        let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
        if mysql {
            let mut head = [0; 4];
            server.read_exact(&mut head).await?;
            let mut greeting = vec![0; usize::from(head[0]) | usize::from(head[1]) << 8];
            server.read_exact(&mut greeting).await?;
            // After the protocol number and the version: the connection's number, 8 bytes, a zero, and the
            // capabilities.
            let version = greeting.iter().position(|byte| *byte == 0).expect("the version ends");
            greeting[version + 15] &= !0x08;
            client.write_all(&head).await?;
            client.write_all(&greeting).await?;
        } else {
            let mut asked = [0; 8];
            client.read_exact(&mut asked).await?;
            if asked[4..] == [4, 210, 22, 47] {
                client.write_all(b"N").await?;
            } else {
                server.write_all(&asked).await?;
            }
        }
        tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
    })
    .await
}

/// Serves every connection to a free port. Returns the port.
async fn serving<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client));
        }
    });
    port
}

async fn a_server_without_encryption_is_named(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    let port = without_tls(database).await;
    for tls in [Tls::Required, Tls::Verified] {
        let source = database.source_with(|app| (app.database.port, app.database.tls) = (port, tls));
        let error = refusal(&source).await;
        assert_eq!(error.kind, SourceErrorKind::Refused, "{error:?}");
        assert!(error.reason.contains("no encrypted connection: the server offers none"), "{}", error.reason);
        assert!(
            error.advice.contains("Switch encryption (TLS) on") && error.advice.contains("tls to"),
            "{}",
            error.advice
        );
    }
    let preferred = |port| {
        let mut app = database.app.clone();
        (app.database.port, app.database.tls) = (port, Tls::Preferred);
        app
    };
    let report = check_one(&preferred(port)).await;
    let told =
        "The connection is not encrypted, password and data are sent unencrypted: the server offers no encryption";
    assert!(report.text.contains("reachable  yes") && report.text.contains(told), "{}", report.text);
    let report = check_one(&preferred(database.app.database.port)).await;
    let is_not = report.text.contains("The connection is not encrypted");
    assert_eq!(is_not, database.version.tls_is_too_old(), "{}", report.text);
}

/// Greeting of a server older than MySQL 8: its version, a salt of 20 bytes, no TLS, and the method it prefers.
fn greeting(method: &str) -> Vec<u8> {
    let mut packet = b"\x0a5.5.62\0\x01\0\0\0".to_vec();
    packet.extend(b"saltsalt\0");
    // Protocol 4.1, salts, methods by name; latin1; autocommit.
    packet.extend(0x8200_u16.to_le_bytes());
    packet.extend([8, 2, 0]);
    packet.extend(0x0008_u16.to_le_bytes());
    packet.push(21);
    packet.extend([0; 10]);
    packet.extend(b"saltsaltsalt\0");
    packet.extend(method.as_bytes());
    packet.push(0);
    packet
}

fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a small packet").to_le_bytes();
    [&length[..3], &[number], body].concat()
}

/// A server of the database's kind that requires every client to sign in by this method. Returns the port. For
/// PostgreSQL `method` is the number of the method and the following bytes.
async fn asking_for(mysql: bool, greets: &'static str, method: &'static [u8]) -> u16 {
    serving(move |mut client| async move {
        let mut said = [0; 1024];
        if mysql {
            client.write_all(&packet(0, &greeting(greets))).await?;
            assert!(client.read(&mut said).await? > 0, "the client answers the greeting");
            client.write_all(&packet(2, method)).await?;
        } else {
            assert!(client.read(&mut said).await? > 0, "the client says who it is");
            let length = u32::try_from(4 + method.len()).expect("a small message").to_be_bytes();
            client.write_all(&[b"R", &length[..], method].concat()).await?;
        }
        // The client disconnects first.
        client.read(&mut said).await.map(drop)
    })
    .await
}

async fn a_method_of_signing_in_that_is_not_known_is_named(database: &mut TestDatabase) {
    const NATIVE: &str = "mysql_native_password";
    let mysql: [(&str, &[u8], &str); 8] = [
        (NATIVE, b"\xfemysql_old_password\0saltsalt\0", "mysql_old_password"),
        // Before 5.5: without a method name.
        (NATIVE, b"\xfe", "mysql_old_password"),
        (NATIVE, b"\xfeclient_ed25519\0saltsaltsaltsaltsaltsaltsaltsalt", "ed25519"),
        (NATIVE, b"\xfeparsec\0saltsaltsaltsaltsaltsaltsaltsalt", "parsec"),
        (NATIVE, b"\xfedialog\0\x04Password: ", "PAM"),
        (NATIVE, b"\xfemysql_clear_password\0", "mysql_clear_password"),
        (NATIVE, b"\xfeauth_gssapi_client\0", "GSSAPI"),
        // Named in the server's greeting.
        ("authentication_webauthn_client", b"", "authentication_webauthn_client"),
    ];
    let postgres: [(&str, &[u8], &str); 4] = [
        ("", &[0, 0, 0, 7], "gss (Kerberos)"),
        ("", &[0, 0, 0, 9], "sspi (Windows)"),
        ("", &[0, 0, 0, 2], "Kerberos 5"),
        ("", b"\0\0\0\x0aOAUTHBEARER\0\0", "OAUTHBEARER"),
    ];
    let cases = if database.is_mysql() { &mysql[..] } else { &postgres[..] };
    for (greets, method, name) in cases {
        let port = asking_for(database.is_mysql(), greets, method).await;
        let source = database.source_with(|app| {
            (app.database.port, app.database.tls) = (port, Tls::Off);
            app.database.user = "reader".to_owned();
        });
        is_named(&source, name).await;
    }
    // Methods of the test servers themselves that the console does not know.
    let version = database.version;
    let mut own = Vec::new();
    match version.maker {
        Maker::MariaDb => {
            own.push("ed25519");
            if version.number >= (11, 6) {
                own.push("parsec");
            }
            for method in &own {
                database.run(&format!("INSTALL PLUGIN IF NOT EXISTS {method} SONAME 'auth_{method}'")).await;
            }
        }
        Maker::MySql if version.number < (5, 7) => own.push("mysql_old_password"),
        _ => {}
    }
    for method in own {
        let (user, password) = database.account(Login::By(method), &["SELECT ON failed_events"]).await;
        let source = database.source_with(|app| (app.database.user, app.database.password) = (user, password));
        is_named(&source, method).await;
    }
}

/// Checks that the error and the report both name the required method, and say what to do.
async fn is_named(source: &Source, method: &str) {
    let error = refusal(source).await;
    assert_eq!(error.kind, SourceErrorKind::Refused, "{method}: {error:?}");
    let told = format!("the user {} to sign in by {method}", source.app().database.user);
    assert!(error.reason.contains(&told) && error.reason.contains("does not know"), "{method}: {}", error.reason);
    let known = ["mysql_native_password", "scram-sha-256", "old_passwords = 0"];
    assert!(known.iter().any(|known| error.advice.contains(known)), "{method}: {}", error.advice);
    let report = check_one(source.app()).await;
    assert!(!report.well && report.text.contains(&told) && report.text.contains(&error.advice), "{}", report.text);
}

async fn a_changed_schema_is_read_anew(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    let source = database.source();
    source.event(RowId(1)).await.expect("an answer");
    let table = database.table("failed_events");
    database.run(&format!("ALTER TABLE {table} DROP COLUMN tags")).await;
    let error = source.event(RowId(1)).await.expect_err("a column went");
    assert_eq!(error.kind, SourceErrorKind::NotHere, "{error:?}");
    let event = source.event(RowId(1)).await.expect("the schema was read anew").expect("the row");
    assert_eq!(event.row.tags, None);
    let missing = source.poll().await.expect("a look").missing;
    assert_eq!(missing, ["the column tags of failed_events"]);
}

async fn more_requests_than_connections_wait_their_turn(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    let source = database.source_with(|app| app.pool_size = 1);
    let asked = (0..20).map(|_| source.event(RowId(1)));
    for answer in futures::future::join_all(asked).await {
        assert!(answer.expect("an answer").is_some());
    }
}

async fn a_missing_file_is_said_and_not_made(database: &mut TestDatabase) {
    let missing = format!("{}.not", database.app.database.database);
    let error = refusal(&database.source_with(|app| app.database.database = missing.clone())).await;
    assert_eq!(error.kind, SourceErrorKind::Unreachable);
    assert!(error.reason.contains("cannot be opened"), "{}", error.reason);
    assert!(!std::path::Path::new(&missing).exists());
}

async fn a_file_that_is_no_database_is_said(database: &mut TestDatabase) {
    let other = format!("{}.txt", database.app.database.database);
    std::fs::write(&other, "not a database, but long enough to look like one ".repeat(100)).expect("a file");
    let error = refusal(&database.source_with(|app| app.database.database = other)).await;
    assert!(error.reason.contains("not a valid SQLite database"), "{}", error.reason);
}

/// A process that closes a file, whatever it was opened for, loses all its locks on it. SQLite handles this for its own
/// connections, but not for other code in the same process: without its locks another program may remove the file while
/// it is read.
#[cfg(target_os = "linux")]
async fn a_look_leaves_the_locks_on_the_file(database: &mut TestDatabase) {
    use std::os::unix::fs::MetadataExt;
    let inode = std::fs::metadata(&database.app.database.database).expect("the file").ino().to_string();
    let held = || {
        let locks = std::fs::read_to_string("/proc/locks").expect("the system's locks");
        // "1: POSIX ADVISORY READ 1234 fe:00:99 128 128": the sixth field is device and inode.
        let of_file = |line: &&str| {
            let place = line.split_whitespace().nth(5).and_then(|place| place.rsplit(':').next());
            line.contains("POSIX") && place == Some(inode.as_str())
        };
        locks.lines().filter(of_file).count()
    };
    database.run("BEGIN").await;
    database.value("SELECT count(*) FROM failed_events").await;
    assert!(held() > 0, "a reader holds a lock");
    database.source().poll().await.expect("a look");
    assert!(held() > 0, "the look has taken the reader's lock away");
    database.run("COMMIT").await;
}
