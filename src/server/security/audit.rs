//! The audit log's only door: what is to be recorded is made harmless and short here, written to the chain in the
//! store, and told to the log as a line of its own.
//!
//! Whatever must be on record is recorded *before* it happens: [`Audit::record`] fails where the store cannot be
//! written, and the caller then does nothing.

use chrono::{DateTime, Utc};

use super::counted::Counted;
use crate::{
    error::Problem,
    model::{
        audit::{AuditEntry, AuditKind, AuditOutcome},
        error_text::visible_line,
    },
    server::store::Store,
};

pub use crate::server::store::Entry;

/// The target of the lines in the log, for a collector to pick them by.
pub const TARGET: &str = "audit";

/// Characters of a name or an address, and of what and why.
const NAME_CHARS: usize = 200;
const TEXT_CHARS: usize = 2000;

/// The audit log of a running console. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    store: Store,
    pub(super) counted: Counted,
}

impl Audit {
    pub fn new(store: Store) -> Self {
        Self { store, counted: Counted::default() }
    }

    /// Puts an entry on record, in the chain and as a line in the log.
    ///
    /// # Errors
    /// The store cannot be written: whatever was to be recorded must not happen.
    pub async fn record(&self, entry: Entry) -> Result<AuditEntry, Problem> {
        match self.store.append_audit(&harmless(entry)).await {
            Ok(written) => {
                log(&written);
                Ok(written)
            }
            Err(error) => {
                tracing::error!(%error, "the audit log could not be written");
                Err(Problem::unavailable(
                    "The audit log cannot be written, so this was not done.",
                    "Ask the administrator: the console's log says why. Often the disk is full.",
                ))
            }
        }
    }

    /// Removes the entries that are older than this, which is an entry of its own. What cannot be removed now stays
    /// until the next time.
    pub async fn remove_before(&self, cutoff: DateTime<Utc>) {
        match self.store.remove_old_audit(cutoff, Entry::of_console(AuditKind::EntriesRemoved)).await {
            Ok(Some(written)) => log(&written),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "old entries of the audit log could not be removed"),
        }
    }
}

impl Entry {
    /// An entry about something that was done; the other methods say more.
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

    /// An entry of the console itself.
    pub fn of_console(kind: AuditKind) -> Self {
        Self::new("console", "", "", kind)
    }

    /// The key of the application that it is about.
    pub fn app(self, app: &str) -> Self {
        Self { app: Some(app.to_owned()), ..self }
    }

    /// Ids, counts and names, as a phrase; never a password, a token, a payload or an error text.
    pub fn what(self, what: impl Into<String>) -> Self {
        Self { what: what.into(), ..self }
    }

    pub fn reason(self, reason: Option<&str>) -> Self {
        Self { reason: reason.map(str::to_owned), ..self }
    }

    pub fn outcome(self, outcome: AuditOutcome) -> Self {
        Self { outcome, ..self }
    }

    /// The id of the action on record that it belongs to.
    pub fn action(self, action: i64) -> Self {
        Self { action: Some(action), ..self }
    }
}

/// Names and reasons come from outside: nothing in them may act on a terminal, a page or a log, or fill the disk.
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

/// The same as a line in the log, with the place in the chain: a collector elsewhere is the witness that the chain in
/// the store was not made anew.
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
