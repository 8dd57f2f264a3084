//! Connections: accepted within limits, so that no client keeps the others out, and ended cleanly.
//!
//! `axum::serve` waits for a client's headers for ever and takes as many connections as come. Here a client has some
//! seconds for the head of each request, an address has its share of the connections, and who comes when there is none
//! left is told so instead of waiting.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Extension, Router, extract::ConnectInfo};
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
use tokio_util::sync::CancellationToken;
use tower::Layer;

/// Files that are left for databases, the store and exports.
const OTHER_FILES: u64 = 256;

/// What clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time.
    pub most: usize,
    /// Connections at the same time from one address. A reverse proxy is one address, too.
    pub of_one: usize,
    /// How long the head of a request may take, and how long a connection may stay open between two.
    pub head: Duration,
    /// Bytes of a request's head: address and headers.
    pub head_bytes: usize,
}

impl Limits {
    /// As many connections as the system allows, at most ten thousand.
    pub fn of_system() -> Self {
        let files = raise_open_files();
        let most = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).clamp(64, 10_000);
        if most < 1_000 {
            tracing::warn!(
                connections = most,
                "the system allows few open files; raise LimitNOFILE (systemd) or ulimit -n for more connections"
            );
        }
        Self { most, of_one: most / 4, head: Duration::from_secs(20), head_bytes: 64 << 10 }
    }
}

/// Lets the process open as many files as it is allowed to at all; answers how many that are.
#[cfg(unix)]
fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// What is enough; some systems allow so many that tables made for all of them would fill the memory.
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

/// Where there is no such limit.
#[cfg(not(unix))]
fn raise_open_files() -> u64 {
    u64::MAX
}

/// Connections that are open, by address.
#[derive(Debug, Default)]
struct Open {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

/// A connection's place; given back when it is dropped.
struct Place {
    open: Arc<Mutex<Open>>,
    address: IpAddr,
}

impl Place {
    /// `None` where the address, or everybody, has all that there are.
    fn take(open: &Arc<Mutex<Open>>, address: IpAddr, limits: &Limits) -> Option<Self> {
        let mut now = open.lock().unwrap_or_else(PoisonError::into_inner);
        let here = now.of.get(&address).copied().unwrap_or(0);
        if now.all >= limits.most || here >= limits.of_one {
            return None;
        }
        now.all += 1;
        now.of.insert(address, here + 1);
        Some(Self { open: open.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut now = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        now.all -= 1;
        match now.of.get_mut(&self.address) {
            Some(here) if *here > 1 => *here -= 1,
            _ => drop(now.of.remove(&self.address)),
        }
    }
}

/// Serves until `stopping`, then lets requests under way end for at most `last_words`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stopping: CancellationToken,
    last_words: Duration,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(limits.head_bytes);
    let open = Arc::<Mutex<Open>>::default();
    let graceful = GracefulShutdown::new();
    loop {
        let (stream, address) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = stopping.cancelled() => break,
        };
        // An IPv4 client of an IPv6 socket is the IPv4 client that it is.
        let Some(place) = Place::take(&open, address.ip().to_canonical(), &limits) else {
            tokio::spawn(refuse(stream));
            continue;
        };
        let service = TowerToHyperService::new(Extension(ConnectInfo(address)).layer(router.clone()));
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // A client that goes away or sends nonsense is its own affair.
            if let Err(error) = connection.await {
                tracing::trace!(%error, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(last_words, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests still open after {} s were ended", last_words.as_secs());
    }
}

/// The next connection; a system that has none left to give is asked again a little later.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Small answers go at once. Where that cannot be set they go a little later.
                let _ = stream.set_nodelay(true);
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

fn of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Says why and hangs up. A client that does not even take that is not waited for.
async fn refuse(mut stream: TcpStream) {
    const ANSWER: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Length: 76\r\n\r\n\
        There are too many connections to the console. Close some, then try again.\r\n";
    let _ = timeout(Duration::from_secs(1), stream.write_all(ANSWER.as_bytes())).await;
    let _ = timeout(Duration::from_secs(1), stream.shutdown()).await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::AsyncReadExt,
        net::TcpSocket,
        sync::{Notify, mpsc},
        task::JoinHandle,
    };

    use super::*;

    const LIMITS: Limits = Limits { most: 12, of_one: 8, head: Duration::from_millis(200), head_bytes: 16 << 10 };

    /// What the request to `/slow` says and waits for.
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
            );
        let stopping = CancellationToken::new();
        let serving = serve(listener, router, limits, stopping.clone(), Duration::from_secs(5));
        (address, stopping, tokio::spawn(serving), slow)
    }

    async fn connect(from: &str, to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        socket.connect(to).await.unwrap()
    }

    /// Everything that comes until the other side hangs up.
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
        // A place is free again as soon as its connection is gone.
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
