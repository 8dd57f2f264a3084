//! A network between the console and a server, which a test can cut at a chosen moment.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Forwards connections to a server until it is cut.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
    cut: watch::Sender<u64>,
}

struct State {
    /// New connections are closed at once.
    closed: AtomicBool,
    /// Connections stay open, but nothing that is sent arrives.
    silent: AtomicBool,
    /// Cut when the client sends this, for the given number of times; it still reaches the server.
    on_sight_of: Mutex<(&'static [u8], usize)>,
    /// Connections forwarded so far.
    passed_on: AtomicUsize,
    /// Messages of clients forwarded so far.
    messages: AtomicUsize,
    /// Messages of clients to forward until one connection is cut, once; 0 if no cut is due.
    cut_after: AtomicUsize,
}

impl Proxy {
    /// Listens on a free port of this machine.
    pub async fn to(server_port: u16) -> Self {
        Self::on("127.0.0.1", server_port).await
    }

    /// Same as [`Self::to`], on another address of this machine.
    pub async fn on(address: &str, server_port: u16) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State {
            closed: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            on_sight_of: Mutex::new((b"", 0)),
            passed_on: AtomicUsize::new(0),
            messages: AtomicUsize::new(0),
            cut_after: AtomicUsize::new(0),
        });
        let (cut, cuts) = watch::channel(0);
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !shared.closed.load(Ordering::SeqCst)
                    && let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)).await
                {
                    shared.passed_on.fetch_add(1, Ordering::SeqCst);
                    let mut cuts = cuts.clone();
                    // Earlier cuts do not concern this connection.
                    cuts.mark_unchanged();
                    tokio::spawn(pass_on(client, server, Arc::clone(&shared), cuts));
                }
            }
        });
        Self { port, state, cut }
    }

    /// Ends every connection and lets no new one through.
    pub fn close(&self) {
        self.state.closed.store(true, Ordering::SeqCst);
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.state.closed.store(false, Ordering::SeqCst);
    }

    /// Returns how many connections were made through it so far.
    pub fn connections(&self) -> usize {
        self.state.passed_on.load(Ordering::SeqCst)
    }

    /// Returns how many messages clients have sent through it so far. A client that waits for each answer sends one per
    /// statement.
    pub fn messages(&self) -> usize {
        self.state.messages.load(Ordering::SeqCst)
    }

    /// Drops everything sent from now on, like a firewall that has forgotten the connections.
    pub fn silence(&self) {
        self.state.silent.store(true, Ordering::SeqCst);
    }

    /// Cuts the connection on which the client sends `word`, after the server received it and before its answer is
    /// back. Works only without TLS.
    pub fn cut_on(&self, word: &'static [u8]) {
        self.cut_times_on(1, word);
    }

    /// The same for the next `times` connections.
    pub fn cut_times_on(&self, times: usize, word: &'static [u8]) {
        *self.state.on_sight_of.lock().expect("no test panicked here") = (word, times);
    }

    /// Cuts the connection on which a client sends the message with this number, counted from now on, before the answer
    /// is back; 0 cancels a cut that did not happen. Returns whether one was still due.
    pub fn cut_after(&self, messages: usize) -> bool {
        self.state.cut_after.swap(messages, Ordering::SeqCst) > 0
    }
}

async fn pass_on(mut client: TcpStream, mut server: TcpStream, state: Arc<State>, mut cuts: watch::Receiver<u64>) {
    let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            _ = cuts.changed() => return,
            read = client.read(&mut up) => match read {
                Ok(length) if length > 0 && state.silent.load(Ordering::SeqCst) => {}
                Ok(length) if length > 0 => {
                    state.messages.fetch_add(1, Ordering::SeqCst);
                    if server.write_all(&up[..length]).await.is_err() {
                        return;
                    }
                    let left = |left: usize| left.checked_sub(1);
                    if state.cut_after.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left) == Ok(1) {
                        return;
                    }
                    let mut cut = state.on_sight_of.lock().expect("no test panicked here");
                    let (word, times) = *cut;
                    if times > 0 && up[..length].windows(word.len()).any(|part| part == word) {
                        cut.1 -= 1;
                        return;
                    }
                }
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(length) if length > 0 && state.silent.load(Ordering::SeqCst) => {}
                Ok(length) if length > 0 && client.write_all(&down[..length]).await.is_ok() => {}
                _ => return,
            },
        }
    }
}
