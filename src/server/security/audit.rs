//! The only writer of the audit log: sanitizes and shortens entries, appends them to the chain in the store, and writes
//! each as a line to the log.
//!
//! What must be recorded is recorded *before* it happens: [`Audit::record`] fails if the store cannot be written, and
//! the caller then does nothing.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, OnceCell};

use super::{counted::Counted, secrets};
use crate::{
    error::Problem,
    model::{
        audit::{AuditEntry, AuditKind, AuditOutcome},
        error_text::visible_line,
    },
    server::{
        config::Secret,
        store::{Store, StoreError},
    },
};

pub use crate::server::store::Entry;

/// Target of the audit lines in the log, by which a collector selects them.
pub const TARGET: &str = "audit";

/// Maximum number of characters of names and addresses, and of descriptions and reasons.
const NAME_CHARS: usize = 200;
const TEXT_CHARS: usize = 2000;

/// `signed_in_by` of entries of commands on the machine itself.
pub const COMMAND_LINE: &str = "the command line";

/// The audit log of a running console. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    store: Store,
    pub(super) counted: Counted,
    /// Number of the newest entry that has its line in the log; `None` if this process has written none yet.
    told: Arc<Mutex<Option<i64>>>,
    /// Key for hashing searched texts.
    searches: Arc<OnceCell<Secret>>,
}

impl Audit {
    pub fn new(store: Store) -> Self {
        Self { store, counted: Counted::default(), told: Arc::default(), searches: Arc::default() }
    }

    /// Describes a searched text for the audit log, by its length and a hash with a secret of this store, because users
    /// search for names and numbers of patients. Equal searches have equal hashes, and the text cannot be found by
    /// trying.
    ///
    /// # Errors
    /// Fails if the store cannot be used.
    pub async fn of_search(&self, text: &str) -> Result<String, Problem> {
        let secret = self.searches.get_or_try_init(|| self.store.secret("searches")).await?;
        let searched = text.trim().to_lowercase();
        let hash = secrets::derived("search", &format!("{} {searched}", secret.reveal()));
        Ok(format!("a text of {} characters with the hash {}", text.chars().count(), secrets::hex(&hash[..8])))
    }

    /// Records an entry in the chain, and writes it as a line to the log.
    ///
    /// # Errors
    /// Fails if the store cannot be written: the action to be recorded must not happen.
    pub async fn record(&self, entry: Entry) -> Result<AuditEntry, Problem> {
        let written = self.store.append_audit(&harmless(entry)).await.map_err(not_written)?;
        self.tell(&written).await;
        Ok(written)
    }

    /// Records an entry about something that does not happen before a later write of the store is on the disk: the entry
    /// gets there with that write. [`Audit::tell_what_others_wrote`] must follow it, and writes the entry to the log.
    ///
    /// # Errors
    /// Fails if the store cannot be written: the action to be recorded must not happen.
    pub async fn record_ahead(&self, entry: Entry) -> Result<(), Problem> {
        self.store.append_audit_quickly(&harmless(entry)).await.map_err(not_written)
    }

    /// Removes the entries that are older than this, and records the removal. What cannot be removed now stays until
    /// the next time.
    pub async fn remove_before(&self, cutoff: DateTime<Utc>) {
        match self.store.remove_old_audit(cutoff, Entry::of_console(AuditKind::EntriesRemoved)).await {
            Ok(Some(written)) => self.tell(&written).await,
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "old entries of the audit log could not be removed"),
        }
    }

    /// Writes an entry to the log, after those that another process has appended to the chain before it: a collector
    /// must not find a gap where nothing was removed.
    async fn tell(&self, entry: &AuditEntry) {
        let mut told = self.told.lock().await;
        match *told {
            Some(newest) if newest >= entry.sequence => return,
            Some(newest) => {
                self.tell_between(newest, entry.sequence).await;
            }
            None => {}
        }
        log(entry);
        *told = Some(entry.sequence);
    }

    /// Writes to the log what commands on the machine have appended to the chain since the console ended. Called once,
    /// at start.
    pub async fn begin_to_tell(&self) {
        match self.store.newest_audit_but_of(COMMAND_LINE).await {
            Ok(newest) => *self.told.lock().await = Some(newest),
            Err(error) => tracing::error!(%error, "the audit log could not be read"),
        }
        self.tell_what_others_wrote().await;
    }

    /// Writes to the log what is in the chain and not in the log: entries of other processes, such as the command
    /// `account`, and those of [`Audit::record_ahead`].
    pub async fn tell_what_others_wrote(&self) {
        let mut told = self.told.lock().await;
        if let Some(newest) = *told {
            *told = Some(self.tell_between(newest, i64::MAX).await);
        }
    }

    /// Writes the entries between two numbers to the log, and returns the newest number that was written.
    async fn tell_between(&self, after: i64, before: i64) -> i64 {
        match self.store.audit_between(after, before).await {
            Ok(entries) => {
                entries.iter().for_each(log);
                entries.last().map_or(after, |entry| entry.sequence)
            }
            Err(error) => {
                tracing::error!(%error, "the audit log could not be read");
                after
            }
        }
    }
}

impl Entry {
    /// Creates an entry about a completed action; the other methods add details.
    pub fn new(who: &str, signed_in_by: &str, address: &str, kind: AuditKind) -> Self {
        Self {
            who: who.to_owned(),
            signed_in_by: signed_in_by.to_owned(),
            address: address.to_owned(),
            kind,
            app: None,
            what: String::new(),
            reason: None,
            outcome: AuditOutcome::Done,
            action: None,
        }
    }

    /// Creates an entry of the console itself.
    pub fn of_console(kind: AuditKind) -> Self {
        Self::new("console", "", "", kind)
    }

    /// Creates an entry of a command on the machine itself, with the machine's user as the address.
    pub fn of_command_line(kind: AuditKind) -> Self {
        Self::new("console", COMMAND_LINE, &user_of_machine(), kind)
    }

    /// Sets the key of the application that the entry is about.
    pub fn app(self, app: &str) -> Self {
        Self { app: Some(app.to_owned()), ..self }
    }

    /// Sets ids, counts and names, as a phrase; never a password, a token, a payload or an error text.
    pub fn what(self, what: impl Into<String>) -> Self {
        Self { what: what.into(), ..self }
    }

    pub fn reason(self, reason: Option<&str>) -> Self {
        Self { reason: reason.map(str::to_owned), ..self }
    }

    pub fn outcome(self, outcome: AuditOutcome) -> Self {
        Self { outcome, ..self }
    }

    /// Sets the id of the recorded action that the entry belongs to.
    pub fn action(self, action: i64) -> Self {
        Self { action: Some(action), ..self }
    }
}

fn not_written(error: StoreError) -> Problem {
    tracing::error!(%error, "the audit log could not be written");
    let todo = match error.outage() {
        Some(outage) => format!("{} {}", outage.sentence(), outage.advice()),
        None => "Ask the administrator. The log of the console has the reason.".to_owned(),
    };
    Problem::unavailable("The audit log cannot be written, so this was not done.", todo)
}

/// Returns the system's name of the user who runs this process.
fn user_of_machine() -> String {
    #[cfg(unix)]
    {
        let number = rustix::process::getuid().as_raw();
        let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = known.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(number)).then(|| name.to_owned())
        });
        let name = name.unwrap_or_else(|| format!("number {number}"));
        // `SUDO_USER` counts only for root: only root can have been another user before, and only root could forge it.
        let before = std::env::var("SUDO_USER").ok().filter(|before| number == 0 && !before.is_empty());
        before.map_or_else(|| format!("user {name}"), |before| format!("user {name}, by sudo from {before}"))
    }
    #[cfg(not(unix))]
    {
        format!("user {}", std::env::var("USERNAME").unwrap_or_else(|_| "unknown".to_owned()))
    }
}

/// Sanitizes and shortens names and reasons from outside: none may act on a terminal, a page or a log, or fill the
/// disk.
fn harmless(entry: Entry) -> Entry {
    let short = |text: &str, chars: usize| -> String { visible_line(text).chars().take(chars).collect() };
    Entry {
        who: short(&entry.who, NAME_CHARS),
        signed_in_by: short(&entry.signed_in_by, NAME_CHARS),
        address: short(&entry.address, NAME_CHARS),
        app: entry.app.map(|app| short(&app, NAME_CHARS)),
        what: short(&entry.what, TEXT_CHARS),
        reason: entry.reason.map(|reason| short(&reason, TEXT_CHARS)),
        ..entry
    }
}

/// Writes an entry to the log, with its place in the chain: an external collector is the witness that the chain in the
/// store was not rebuilt.
fn log(entry: &AuditEntry) {
    tracing::info!(
        target: TARGET,
        sequence = entry.sequence,
        at = entry.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        who = entry.who,
        signed_in_by = entry.signed_in_by,
        address = entry.address,
        kind = entry.kind,
        app = entry.app,
        what = entry.what,
        reason = entry.reason,
        outcome = entry.outcome,
        action = entry.action,
        hash = entry.hash,
        "audit"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Captures the log; `take` returns the numbers of its entries in order.
    #[derive(Clone, Default)]
    struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn take(&self) -> Vec<i64> {
            let lines = std::mem::take(&mut *self.0.lock().unwrap());
            let lines = String::from_utf8(lines).unwrap();
            let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            lines.filter_map(|line| line["sequence"].as_i64()).collect()
        }
    }

    /// Otherwise a collector would find a gap, which looks like tampering.
    #[tokio::test]
    async fn what_the_command_line_puts_on_record_has_its_line_in_the_running_consoles_log() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("console.db");
        let store = Store::open(&file).await.unwrap();
        let command = || Audit::new(store.clone());
        let by_command = |kind| Entry::of_command_line(kind).what("account asha added");
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        let silent = tracing::subscriber::NoSubscriber::default();
        {
            let _nobody_listens = tracing::subscriber::set_default(silent);
            Audit::new(store.clone()).record(Entry::of_console(AuditKind::ConsoleStopped)).await.unwrap();
            // While no console runs.
            command().record(by_command(AuditKind::AccountChanged)).await.unwrap();
        }
        let _collector = tracing::subscriber::set_default(log);
        let running = Audit::new(store.clone());
        running.begin_to_tell().await;
        assert_eq!(lines.take(), [2], "what came before it is told at its start, and nothing twice");
        running.record(Entry::of_console(AuditKind::ConsoleStarted)).await.unwrap();
        assert_eq!(lines.take(), [3]);
        {
            let _nobody_listens = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::default());
            for _ in 0..2 {
                command().record(by_command(AuditKind::AccountChanged)).await.unwrap();
            }
        }
        running.tell_what_others_wrote().await;
        assert_eq!(lines.take(), [4, 5]);
        running.tell_what_others_wrote().await;
        {
            let _nobody_listens = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::default());
            command().record(by_command(AuditKind::TokenRevoked)).await.unwrap();
        }
        running.record(Entry::of_console(AuditKind::ConsoleStopped)).await.unwrap();
        assert_eq!(lines.take(), [6, 7], "in the order of the chain");
        let entries = store.audit_between(1, 3).await.unwrap();
        let [entry] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!((entry.who.as_str(), entry.signed_in_by.as_str()), ("console", "the command line"));
        assert!(entry.address.starts_with("user ") && entry.address.len() > 5, "{}", entry.address);
    }

    #[tokio::test]
    async fn what_comes_from_outside_is_made_harmless_and_short() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::new(Store::open(&folder.path().join("console.db")).await.unwrap());
        let hostile = "x\r\n\x1b[2J\u{202e}\0";
        let entry = Entry::new(hostile, "account", hostile, AuditKind::SignInFailed)
            .what(hostile)
            .reason(Some(&"ü".repeat(100_000)));
        let written = audit.record(entry).await.unwrap();
        assert_eq!(written.who, "x␊␛[2J⟦RLO⟧␀");
        assert_eq!(written.who, written.address);
        assert_eq!(written.reason.unwrap().chars().count(), TEXT_CHARS);
    }

    #[tokio::test]
    async fn what_cannot_be_recorded_is_a_problem_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        let audit = Audit::new(store.clone());
        store.close().await;
        let problem = audit.record(Entry::of_console(AuditKind::ConsoleStarted)).await.unwrap_err();
        assert_eq!(problem.status, 503);
        assert!(problem.what.contains("was not done"), "{problem}");
    }
}
