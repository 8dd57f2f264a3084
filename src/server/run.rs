//! Starts the server from a checked configuration, and ends it cleanly. Also sets up the log.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{net::TcpListener, signal};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use super::{
    config::{AuthMode, Config, LogForm, LogLevel},
    connections::{self, Limits},
    http,
    log_limit::LogLimit,
    operations, output,
    security::{
        audit::{self, Entry},
        openmrs::OpenmrsClient,
        passwords::PasswordChecker,
        service_tokens, sign_in,
        vault::NoKey,
    },
    state::Console,
    store::Store,
    upkeep,
};
use crate::{
    demo::Hospital,
    model::{application::COMPLETE_ENTRY, audit::AuditKind, error_text::visible_line},
};

/// How long running requests and batches may take after the console was asked to stop.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or Ctrl-C; runs the demo hospital if there is one.
///
/// # Errors
/// Fails if the store cannot be opened or the address is taken.
pub async fn run(config: Config, hospital: Option<Arc<Hospital>>) -> anyhow::Result<()> {
    let log_limit = begin_log(config.log, config.log_level);
    tokio::spawn(log_limit.clone().tell_for_ever());
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for lacking in &config.unconfigured {
        tracing::warn!("{} {COMPLETE_ENTRY}", lacking.sentence());
    }
    let store = Store::open(&config.store).await?;
    if let AuthMode::Openmrs(settings) = &config.access.way {
        OpenmrsClient::new(settings.clone()).context("OpenMRS cannot be used for sign-in")?;
    }
    if config.access.way == AuthMode::Open {
        tracing::warn!("sign-in is off: everyone who reaches this console can see and change everything");
    }
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!("cannot listen on {}; is another program using it? Choose one with --listen", config.listen)
    })?;
    let address = listener.local_addr()?;
    // Only now, when it can be printed: a start that failed would lose the one-time password.
    let said = sign_in::first_accounts(&config, &store, &PasswordChecker::new()).await?;
    let base = config.base.clone();
    if let Some(hospital) = &hospital {
        hospital.catch_up().await?;
    }
    let console = Console::with_hospital(config, store.clone(), hospital);
    let parts = console.parts.clone();
    parts.audit.begin_to_tell().await;
    service_tokens::settle(&console).await?;
    if parts.config.access.way == AuthMode::Accounts {
        match parts.sign_in_service.second_factors.vault.key(&parts.store).await {
            Ok(_) => {}
            // This locks no one out, and does not affect other accounts.
            Err(NoKey::Unusable(unusable)) => tracing::error!(
                "{unusable}. Until this is fixed, accounts with a second factor sign in with a recovery code, or after the \
                 command account reset-second-factor"
            ),
            Err(NoKey::Store(error)) => return Err(error.into()),
        }
    }
    let started = Entry::of_console(AuditKind::ConsoleStarted).what(env!("CARGO_PKG_VERSION"));
    parts.audit.record(started).await.map_err(|problem| anyhow::anyhow!("{problem}"))?;
    tokio::spawn({
        let parts = parts.clone();
        async move {
            upkeep::remove_old_audit_entries(&parts.config, parts.audit.clone(), parts.stopping.clone()).await;
        }
    });
    tokio::spawn(upkeep::tell_what_others_wrote(parts.audit.clone(), parts.stopping.clone()));
    if let Some(hospital) = &parts.hospital {
        hospital.start(&parts.stopping, &parts.running).await?;
    }
    operations::go_on(&console).await?;
    tokio::spawn(operations::housekeeping(console.clone()));
    let router = http::router(console);
    let shown =
        if address.ip().is_unspecified() { SocketAddr::new([127, 0, 0, 1].into(), address.port()) } else { address };
    tracing::info!(applications = parts.sources.len(), store = %parts.config.store.display(), "listening on {address}");
    // On standard output, where users and scripts look for it.
    output::say(format_args!("The console answers at http://{shown}{}", base.overview()));
    for line in said {
        output::say(line);
    }

    let stopping = parts.stopping.clone();
    tokio::spawn(async move {
        asked_to_stop().await;
        tracing::info!("ending");
        stopping.cancel();
    });
    let network = parts.config.network.clone();
    connections::serve(listener, router, network, Limits::of_system(), parts.stopping.clone(), LAST_WORDS).await;
    parts.running.close();
    if tokio::time::timeout(LAST_WORDS, parts.running.wait()).await.is_err() {
        tracing::warn!("an operation was still writing a batch; it continues at the next start");
    }
    parts.audit.tell_counted().await;
    log_limit.tell();
    // If this cannot be recorded, the log says so; the console ends anyway.
    let _ = parts.audit.record(Entry::of_console(AuditKind::ConsoleStopped)).await;
    store.close().await;
    Ok(())
}

/// Sets up the log on standard error. `RUST_LOG`, if set, selects more exactly what is logged. A panic is a line of the
/// log like any other. Returns the log's limit, which must report what it omitted.
fn begin_log(form: LogForm, level: LogLevel) -> LogLimit {
    // Of the libraries only what an administrator can use: sqlx logs every slow statement at WARN, with its text. The
    // audit log's lines are always included, for a collector.
    let usual = format!("warn,sqlx=error,atomfeed_console={},{}=info", level.word(), audit::TARGET);
    let (filter, not_understood) = filter(std::env::var(EnvFilter::DEFAULT_ENV).ok().as_deref(), &usual);
    // A second server in one process keeps the first one's log.
    let limit = LogLimit::default();
    let _ = match form {
        LogForm::Plain => plain(filter, limit.clone(), || OneLine(io::stderr())).try_init(),
        LogForm::Json => json(filter, limit.clone(), || OneLine(io::stderr())).try_init(),
    };
    if let Some(error) = not_understood {
        tracing::warn!(%error, "the environment variable RUST_LOG is not understood, and not used");
    }
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a part of the console panicked")));
    limit
}

/// Returns the filter of `RUST_LOG` if that has any directive, otherwise the usual one; and why `RUST_LOG` is invalid.
fn filter(rust_log: Option<&str>, usual: &str) -> (EnvFilter, Option<String>) {
    // An empty list lets nothing through, not even the audit log. Container managers set variables to empty values.
    let said = rust_log.filter(|said| said.split(',').any(|directive| !directive.trim().is_empty()));
    match said.map(EnvFilter::try_new) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(usual), Some(error.to_string())),
        None => (EnvFilter::new(usual), None),
    }
}

/// Plain text, for users. Without colours: nothing in a line may control a terminal.
fn plain<W>(filter: EnvFilter, limit: LogLimit, writer: W) -> impl SubscriberInitExt
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let log = fmt::layer().with_writer(writer).with_ansi(false).with_target(false);
    tracing_subscriber::registry().with(filter).with(log.with_filter(limit))
}

/// JSON, for collectors.
fn json<W>(filter: EnvFilter, limit: LogLimit, writer: W) -> impl SubscriberInitExt
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let log = fmt::layer().with_writer(writer).with_ansi(false).json().flatten_event(true);
    tracing_subscriber::registry().with(filter).with(log.with_filter(limit))
}

/// Writes each event as one line without control characters: an error can quote a text of a database, and a line end in
/// that text must not begin another line.
struct OneLine<W>(W);

impl<W: io::Write> io::Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = visible_line(text.trim_end_matches('\n'));
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::Dispatch;

    use super::*;

    const HOSTILE: &str = "x\x1b[2J\u{9b}31m\r\n2026-11-24T00:00:00Z ERROR forged\u{202e}\0";

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(form: LogForm) -> Vec<String> {
        lines_of(form, LogLimit::default(), || {
            tracing::warn!(what = HOSTILE, shown = %HOSTILE, debugged = ?HOSTILE, "{HOSTILE}");
            tracing::info!(target: audit::TARGET, who = HOSTILE, reason = %HOSTILE, "audit");
        })
    }

    fn lines_of(form: LogForm, limit: LogLimit, happens: impl FnOnce()) -> Vec<String> {
        let kept = Kept::default();
        let writer = kept.clone();
        let filter = EnvFilter::new("trace");
        let dispatch: Dispatch = match form {
            LogForm::Plain => plain(filter, limit, move || OneLine(writer.clone())).into(),
            LogForm::Json => json(filter, limit, move || OneLine(writer.clone())).into(),
        };
        tracing::dispatcher::with_default(&dispatch, happens);
        let kept = kept.0.lock().unwrap().clone();
        String::from_utf8(kept).unwrap().split_terminator('\n').map(str::to_owned).collect()
    }

    #[test]
    fn a_hostile_text_makes_no_line_and_moves_no_cursor() {
        for form in [LogForm::Plain, LogForm::Json] {
            let lines = lines(form);
            assert_eq!(lines.len(), 2, "{lines:#?}");
            for line in lines {
                assert!(!line.contains(|letter: char| letter.is_control() || letter == '\u{202e}'), "{line:?}");
                assert!(line.contains("forged"), "nothing is left out: {line}");
            }
        }
    }

    #[test]
    fn a_variable_that_says_nothing_leaves_the_log_as_it_is() {
        let usual = "warn,audit=info";
        for (said, filtered, not_understood) in [
            (None, "audit=info,warn", false),
            (Some(""), "audit=info,warn", false),
            (Some(" , "), "audit=info,warn", false),
            (Some("debug"), "debug", false),
            (Some("off"), "off", false),
            (Some("a=b=c"), "audit=info,warn", true),
        ] {
            let (filter, why) = super::filter(said, usual);
            assert_eq!((filter.to_string().as_str(), why.is_some()), (filtered, not_understood), "{said:?}");
        }
    }

    #[test]
    fn a_flood_of_lines_is_cut_and_counted_in_both_forms() {
        for form in [LogForm::Plain, LogForm::Json] {
            let limit = LogLimit::default();
            let lines = lines_of(form, limit.clone(), || {
                for number in 0..10_000 {
                    tracing::warn!(target: "atomfeed_console::server::http", number, "refused");
                    tracing::info!(target: audit::TARGET, number, "audit");
                }
                limit.tell();
            });
            let refused = lines.iter().filter(|line| line.contains("refused") && !line.contains("left out")).count();
            // More than five if writing them takes longer than a fifth of a second.
            assert!((5..500).contains(&refused), "{refused} lines");
            assert_eq!(lines.len(), refused + 10_000 + 1, "and the audit log's lines are all there");
            let told = lines.last().expect("a line");
            assert!(told.contains("left out") && told.contains(&(10_000 - refused).to_string()), "{told}");
        }
    }

    #[test]
    fn a_collector_finds_the_lines_of_the_audit_log() {
        let lines = lines(LogForm::Json);
        let line: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!((line["target"].as_str(), line["message"].as_str()), (Some("audit"), Some("audit")));
    }
}
