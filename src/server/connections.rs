//! Connections: accepted within limits, so that no client locks out the others, and ended cleanly.
//!
//! `axum::serve` waits without limit for a client's headers and for a client that does not read, and accepts any number
//! of connections. Here, the head of each request and each pause in reading a response have a time limit, each address
//! has a maximum of connections, and a client above the limit is refused with a message instead of waiting.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{
    Extension, Router,
    extract::{ConnectInfo, Request},
    http::{StatusCode, Version, header, uri::Authority},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::Layer;

use super::{
    config::NetworkSettings,
    shares::{Share, Shares, network},
};

/// Open files that are reserved for databases, the store and exports.
const OTHER_FILES: u64 = 256;

/// Bytes of a response that the system buffers for a client that has not read them yet. Containers and service units
/// count them as the console's memory, and without a limit the system lets them grow to some megabytes a connection.
const SENT_AHEAD: usize = 256 << 10;

/// The limits of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time. Multiplied by [`Limits::head_bytes`], this is the maximum size of all heads
    /// together.
    pub most: usize,
    /// Connections at the same time from one address. A trusted proxy may have `most` minus this.
    pub of_one: usize,
    /// How long the head of a request may take, and how long a connection may stay open between two requests.
    pub head: Duration,
    /// Maximum bytes of a request's head: address and headers.
    pub head_bytes: usize,
    /// How long a client may read nothing of a response.
    pub stalled: Duration,
}

impl Limits {
    /// Returns limits with as many connections as the system allows, at most 2,000: some dozens of users have some
    /// hundreds, and the heads of 2,000 need at most 32 MB.
    pub fn of_system() -> Self {
        let files = raise_open_files();
        let most = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).clamp(64, 2_000);
        if most < 1_000 {
            tracing::warn!(
                connections = most,
                "the system allows few open files; raise LimitNOFILE (systemd) or ulimit -n for more connections"
            );
        }
        Self {
            most,
            of_one: most / 5,
            head: Duration::from_secs(20),
            head_bytes: 16 << 10,
            stalled: Duration::from_secs(45),
        }
    }

    /// Returns the number of connections that a client at this address may have at the same time.
    fn of(&self, address: IpAddr, settings: &NetworkSettings) -> usize {
        if settings.trusts(address) { self.most - self.of_one } else { self.of_one }
    }
}

/// Raises the limit of open files to the process's maximum, up to `ENOUGH`, and returns it.
#[cfg(unix)]
fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// A sufficient number; some systems allow so many that tables for all of them would fill the memory.
    const ENOUGH: u64 = 65_536;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(ENOUGH).min(ENOUGH);
    let current = current.unwrap_or(ENOUGH);
    if current >= wanted {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            current
        }
    }
}

/// Returns no limit, because the system has none.
#[cfg(not(unix))]
fn raise_open_files() -> u64 {
    u64::MAX
}

/// Serves until `stopping`, then waits at most `last_words` for running requests.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: NetworkSettings,
    limits: Limits,
    stopping: CancellationToken,
    last_words: Duration,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(limits.head_bytes);
    let router = router.layer(middleware::from_fn(with_one_host));
    let places = Shares::new(limits.most);
    let graceful = GracefulShutdown::new();
    loop {
        let (stream, address) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = stopping.cancelled() => break,
        };
        // An IPv4 client of an IPv6 socket counts by its IPv4 address.
        let client = address.ip().to_canonical();
        let Ok(place) = places.take(&network(client), limits.of(client, &settings)) else {
            tokio::spawn(refuse(stream));
            continue;
        };
        let service = TowerToHyperService::new(Extension(ConnectInfo(address)).layer(router.clone()));
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.stalled));
        let connection = graceful.watch(http.serve_connection(TokioIo::new(Box::pin(stream)), service));
        tokio::spawn(async move {
            let _place: Share<IpAddr> = place;
            // A client that disconnects, stops reading or sends invalid requests needs no warning.
            if let Err(error) = connection.await {
                tracing::trace!(%error, "a connection ended");
            }
        });
    }
    drop(listener);
    if timeout(last_words, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests still open after {} s were ended", last_words.as_secs());
    }
}

/// Refuses a request without exactly one valid Host header (RFC 9112, 3.2): a proxy in front may have read another
/// host. HTTP/1.0 has no hosts.
async fn with_one_host(request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).into_iter();
    let sound = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.is_empty() || Authority::try_from(host.as_bytes()).is_ok(),
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    };
    if sound {
        return next.run(request).await;
    }
    (StatusCode::BAD_REQUEST, "A request has to name the host that it is for once, in a header Host.\n").into_response()
}

/// Returns the next connection. If the system has none left to give, tries again after a second.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Small responses are sent at once. If this cannot be set, they are sent a little later.
                let _ = stream.set_nodelay(true);
                bound_sent_ahead(&stream);
                return (stream, address);
            }
            Err(error) if of_one_client(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Bounds the system's buffer for responses of a connection. If it cannot be set, the system's own bound applies.
#[cfg(unix)]
fn bound_sent_ahead(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(stream, SENT_AHEAD);
}

#[cfg(not(unix))]
fn bound_sent_ahead(_: &TcpStream) {}

fn of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Answers with the reason and disconnects. Waits at most 2 s for a client that does not read.
async fn refuse(mut stream: TcpStream) {
    const ANSWER: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Length: 76\r\n\r\n\
        There are too many connections to the console. Close some, then try again.\r\n";
    let _ = timeout(Duration::from_secs(1), stream.write_all(ANSWER.as_bytes())).await;
    let _ = timeout(Duration::from_secs(1), stream.shutdown()).await;
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use axum::{body::Body, routing::get};
    use futures::stream;
    use tokio::{
        io::AsyncReadExt,
        net::TcpSocket,
        sync::{Notify, mpsc},
        task::JoinHandle,
    };

    use super::*;

    const LIMITS: Limits = Limits {
        most: 12,
        of_one: 8,
        head: Duration::from_millis(200),
        head_bytes: 16 << 10,
        stalled: Duration::from_secs(60),
    };

    /// The start and the permitted end of the request to `/slow`.
    #[derive(Default)]
    struct Slow {
        begun: Notify,
        go_on: Notify,
    }

    async fn server(limits: Limits) -> (SocketAddr, CancellationToken, JoinHandle<()>, Arc<Slow>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = Arc::<Slow>::default();
        let waits = slow.clone();
        let router = Router::new()
            .route("/", get(async |ConnectInfo(from): ConnectInfo<SocketAddr>| from.ip().to_string()))
            .route(
                "/slow",
                get(move || async move {
                    waits.begun.notify_one();
                    waits.go_on.notified().await;
                    "whole"
                }),
            )
            .route(
                "/endless",
                get(async || Body::from_stream(stream::repeat(Ok::<_, Infallible>("x".repeat(1 << 16))))),
            );
        let stopping = CancellationToken::new();
        // 127.0.0.99 is a trusted proxy.
        let settings =
            NetworkSettings { trusted_proxies: vec!["127.0.0.99/32".parse().unwrap()], ..NetworkSettings::default() };
        let serving = serve(listener, router, settings, limits, stopping.clone(), Duration::from_secs(5));
        (address, stopping, tokio::spawn(serving), slow)
    }

    async fn connect(from: &str, to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        socket.connect(to).await.unwrap()
    }

    /// Returns everything received until the server disconnects.
    async fn rest(mut stream: TcpStream) -> String {
        let mut said = Vec::new();
        let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await.expect("it ends");
        String::from_utf8_lossy(&said).into_owned()
    }

    async fn ask(mut stream: TcpStream, path: &str) -> String {
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        rest(stream).await
    }

    /// All heads together count against the console's bound of 160 MB, and one address must leave room for others.
    #[test]
    fn the_limits_of_a_running_console_bound_the_memory_of_all_heads() {
        let limits = Limits::of_system();
        assert!(limits.most * limits.head_bytes <= 32 << 20, "{limits:?}");
        assert!(limits.of_one * 5 <= limits.most, "{limits:?}");
        assert!(limits.head <= Duration::from_secs(30) && limits.stalled <= Duration::from_secs(60), "{limits:?}");
    }

    #[tokio::test]
    async fn who_opens_all_of_their_connections_keeps_nobody_else_out() {
        let (address, ..) = server(Limits { head: Duration::from_secs(60), ..LIMITS }).await;
        let mut idle = Vec::new();
        for _ in 0..LIMITS.of_one {
            idle.push(connect("127.0.0.1", address).await);
        }
        let one_more = rest(connect("127.0.0.1", address).await).await;
        assert!(one_more.starts_with("HTTP/1.1 503 ") && one_more.contains("Retry-After: 10"), "{one_more}");
        let body = one_more.split("\r\n\r\n").nth(1).unwrap();
        assert!(one_more.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
        assert!(ask(connect("127.0.0.2", address).await, "/").await.ends_with("127.0.0.2"));
        // A place is free again as soon as its connection has ended.
        idle.pop();
        let again = loop {
            let said = ask(connect("127.0.0.1", address).await, "/").await;
            if !said.starts_with("HTTP/1.1 503 ") {
                break said;
            }
        };
        assert!(again.ends_with("127.0.0.1"), "{again}");
    }

    #[tokio::test]
    async fn a_trusted_proxy_has_room_for_everybody_behind_it() {
        let limits = Limits { most: 12, of_one: 4, head: Duration::from_secs(60), ..LIMITS };
        let (address, ..) = server(limits).await;
        let mut proxied = Vec::new();
        for _ in 0..limits.most - limits.of_one {
            proxied.push(connect("127.0.0.99", address).await);
        }
        assert!(rest(connect("127.0.0.99", address).await).await.starts_with("HTTP/1.1 503 "));
        assert!(
            ask(connect("127.0.0.1", address).await, "/").await.ends_with("127.0.0.1"),
            "and leaves some to others"
        );
    }

    #[tokio::test]
    async fn who_takes_nothing_of_an_answer_is_hung_up_on_and_who_waits_for_one_is_not() {
        let limits = Limits { most: 12, of_one: 1, stalled: Duration::from_millis(200), ..LIMITS };
        let (address, _, _, slow) = server(limits).await;
        let mut patient = connect("127.0.0.2", address).await;
        patient.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        slow.begun.notified().await;
        let mut deaf = connect("127.0.0.1", address).await;
        deaf.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        // It holds the one place of its address until the server disconnects it.
        while ask(connect("127.0.0.1", address).await, "/").await.starts_with("HTTP/1.1 503 ") {}
        drop(deaf);
        slow.go_on.notify_one();
        assert!(rest(patient).await.ends_with("whole"), "an answer may take longer than that to begin");
    }

    #[tokio::test]
    async fn a_request_says_once_for_which_host_it_is() {
        let (address, ..) = server(LIMITS).await;
        for (head, status) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n", 200),
            ("GET / HTTP/1.1\r\nHost: [::1]:9080\r\n", 200),
            ("GET / HTTP/1.0\r\n", 200),
            ("GET / HTTP/1.1\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nHost: evil.example\r\n", 400),
            ("GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x, evil.example\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x/y\r\n", 400),
            ("GET http://x/ HTTP/1.1\r\n", 400),
        ] {
            let mut stream = connect("127.0.0.1", address).await;
            stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
            let said = rest(stream).await;
            assert_eq!(said.split(' ').nth(1), Some(status.to_string().as_str()), "{head:?}: {said}");
        }
    }

    #[tokio::test]
    async fn all_addresses_together_have_a_limit_too() {
        let (address, ..) = server(Limits { head: Duration::from_secs(60), ..LIMITS }).await;
        let mut idle = Vec::new();
        for number in 0..LIMITS.most {
            idle.push(connect(&format!("127.0.0.{}", 2 + number % 3), address).await);
        }
        assert!(rest(connect("127.0.0.9", address).await).await.starts_with("HTTP/1.1 503 "));
    }

    #[tokio::test]
    async fn a_client_that_sends_no_head_or_a_slow_one_is_hung_up_on() {
        let (address, ..) = server(LIMITS).await;
        let silent = connect("127.0.0.1", address).await;
        let mut slow = connect("127.0.0.1", address).await;
        let (ended, mut over) = mpsc::channel::<()>(1);
        let dripping = tokio::spawn(async move {
            let _ended = ended;
            for letter in "GET / HTTP/1.1\r\n".chars().chain(std::iter::repeat('x')) {
                if slow.write_all(&[letter as u8]).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        rest(silent).await;
        timeout(Duration::from_secs(10), over.recv()).await.expect("the slow one is hung up on");
        dripping.await.unwrap();
        let mut kept = connect("127.0.0.1", address).await;
        kept.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(rest(kept).await.ends_with("127.0.0.1"), "and so is one that asks for nothing more");
    }

    #[tokio::test]
    async fn a_huge_head_is_refused() {
        let (address, ..) = server(Limits { head: Duration::from_secs(60), ..LIMITS }).await;
        let long = "x".repeat(LIMITS.head_bytes);
        let mut stream = connect("127.0.0.1", address).await;
        let _ = stream.write_all(format!("GET / HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n").as_bytes()).await;
        let said = rest(stream).await;
        assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
        let many = "X: y\r\n".repeat(1_000);
        let mut stream = connect("127.0.0.1", address).await;
        let _ = stream.write_all(format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n").as_bytes()).await;
        let said = rest(stream).await;
        assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
    }

    #[tokio::test]
    async fn the_end_waits_for_requests_under_way_and_for_nobody_else() {
        let (address, stopping, serving, slow) = server(Limits { head: Duration::from_secs(60), ..LIMITS }).await;
        let _idle = connect("127.0.0.1", address).await;
        let mut asking = connect("127.0.0.1", address).await;
        asking.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        slow.begun.notified().await;
        stopping.cancel();
        slow.go_on.notify_one();
        assert!(rest(asking).await.ends_with("whole"));
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }
}
