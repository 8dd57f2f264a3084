//! From a checked configuration to a running server, and to its clean end.

use std::{io::IsTerminal, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{net::TcpListener, signal};
use tracing_subscriber::EnvFilter;

use super::{
    config::{Config, LogForm, LogLevel},
    http, operations,
    state::Console,
    store::Store,
};
use crate::demo::Hospital;

/// How long requests and batches under way may take once the console was told to end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or Ctrl-C; on the demo hospital, with it at work.
///
/// # Errors
/// The store cannot be opened, or the address is taken.
pub async fn run(config: Config, hospital: Option<Arc<Hospital>>) -> anyhow::Result<()> {
    begin_log(config.log, config.log_level);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let store = Store::open(&config.store).await?;
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!("cannot listen on {}; is another program using it? Choose one with --listen", config.listen)
    })?;
    let address = listener.local_addr()?;
    let base = config.base.clone();
    let console = Console::with_hospital(config, store.clone(), hospital);
    let parts = console.parts.clone();
    if let Some(hospital) = &parts.hospital {
        hospital.start(&parts.stopping, &parts.running).await?;
    }
    operations::go_on(&console).await?;
    tokio::spawn(operations::housekeeping(console.clone()));
    let router = http::router(console);
    let shown =
        if address.ip().is_unspecified() { SocketAddr::new([127, 0, 0, 1].into(), address.port()) } else { address };
    tracing::info!(applications = parts.sources.len(), store = %parts.config.store.display(), "listening on {address}");
    // On standard output, where a person and a script look for it.
    println!("The console answers at http://{shown}{}", base.overview());

    let stopping = parts.stopping.clone();
    tokio::spawn(async move {
        asked_to_stop().await;
        tracing::info!("ending");
        stopping.cancel();
    });
    let server = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>());
    let stopping = parts.stopping.clone();
    let serving = server.with_graceful_shutdown(async move { stopping.cancelled().await });
    let patience = async {
        parts.stopping.cancelled().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        ended = serving => ended?,
        () = patience => tracing::warn!("requests still open after {} s were ended", LAST_WORDS.as_secs()),
    }
    parts.running.close();
    if tokio::time::timeout(LAST_WORDS, parts.running.wait()).await.is_err() {
        tracing::warn!("an operation was still writing a batch; it is looked at again at the next start");
    }
    store.close().await;
    Ok(())
}

/// The log goes to standard error. `RUST_LOG` says more exactly what is wanted, where it is set.
fn begin_log(form: LogForm, level: LogLevel) {
    // Of the libraries only what an administrator can use: sqlx tells every slow statement at WARN, with its text.
    let usual = format!("warn,sqlx=error,atomfeed_console={}", level.word());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // A second server in one process keeps the first one's log.
    let _ = match form {
        LogForm::Plain => log.try_init(),
        LogForm::Json => log.json().flatten_event(true).try_init(),
    };
}

async fn asked_to_stop() {
    #[cfg(unix)]
    {
        let mut term = match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(term) => term,
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be watched; only Ctrl-C ends the console");
                let _ = signal::ctrl_c().await;
                return;
            }
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = signal::ctrl_c() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = signal::ctrl_c().await;
}
