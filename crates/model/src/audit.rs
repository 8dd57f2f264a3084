//! Types of the audit log: its entries, and the kinds of entries.
//!
//! An entry says who did or saw what, when, from where, why, and with what outcome. It never holds a password, a token,
//! a payload or an error text: `what` names applications, ids and counts.

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    filter::{NO_TIME, instant},
    query::{BadQuery, check_length, check_value, pairs, push},
};

/// What happened. The words are in the store and in the hash chain: they are never changed, only added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AuditKind {
    ConsoleStarted,
    ConsoleStopped,
    SignIn,
    /// The name is recorded only if an account has it: people type their password into the wrong field.
    SignInFailed,
    /// The user was refused what they may not see or do, or the client sent an unknown token.
    AccessRefused,
    SignOut,
    /// An account was created, changed or disabled, or its password was set.
    AccountChanged,
    SessionEnded,
    TokenMade,
    TokenRevoked,
    /// The payload of a failed event was shown or downloaded.
    PayloadViewed,
    /// The whole error text of a failed event was downloaded, or read again by an open page.
    ErrorViewed,
    /// Pages named the patients behind events, by identifier or name.
    PersonsViewed,
    /// Failed events were downloaded, with their payloads if the user may see them.
    Exported,
    Retried,
    Discarded,
    Restored,
    /// A note on a fault was written, changed or removed.
    NoteChanged,
    /// A trouble of the demo hospital was ended, or begun.
    DemoFixed,
    DemoBroken,
    /// The audit log was downloaded.
    AuditExported,
    /// Entries older than the setting allows were removed; the chain continues after them.
    EntriesRemoved,
    /// Copies of discarded failed events were removed because they expired: they can no longer be restored.
    CopiesRemoved,
    /// The history of failed events that were deleted from their tables long ago was removed.
    HistoryRemoved,
    /// The store was copied.
    StoreBackedUp,
    /// The store was replaced by a backup, which lacks everything written after it was made.
    StoreRestored,
}

impl AuditKind {
    /// Every kind, in the order of the filter form.
    pub const ALL: [AuditKind; 26] = [
        AuditKind::SignIn,
        AuditKind::SignInFailed,
        AuditKind::AccessRefused,
        AuditKind::SignOut,
        AuditKind::SessionEnded,
        AuditKind::AccountChanged,
        AuditKind::TokenMade,
        AuditKind::TokenRevoked,
        AuditKind::PayloadViewed,
        AuditKind::ErrorViewed,
        AuditKind::PersonsViewed,
        AuditKind::Exported,
        AuditKind::Retried,
        AuditKind::Discarded,
        AuditKind::Restored,
        AuditKind::NoteChanged,
        AuditKind::DemoFixed,
        AuditKind::DemoBroken,
        AuditKind::AuditExported,
        AuditKind::EntriesRemoved,
        AuditKind::CopiesRemoved,
        AuditKind::HistoryRemoved,
        AuditKind::StoreBackedUp,
        AuditKind::StoreRestored,
        AuditKind::ConsoleStarted,
        AuditKind::ConsoleStopped,
    ];

    /// Returns the word in the store, in log lines and in the URL.
    pub fn word(self) -> &'static str {
        match self {
            AuditKind::ConsoleStarted => "console_started",
            AuditKind::ConsoleStopped => "console_stopped",
            AuditKind::SignIn => "sign_in",
            AuditKind::SignInFailed => "sign_in_failed",
            AuditKind::AccessRefused => "access_refused",
            AuditKind::SignOut => "sign_out",
            AuditKind::AccountChanged => "account_changed",
            AuditKind::SessionEnded => "session_ended",
            AuditKind::TokenMade => "token_made",
            AuditKind::TokenRevoked => "token_revoked",
            AuditKind::PayloadViewed => "payload_viewed",
            AuditKind::ErrorViewed => "error_viewed",
            AuditKind::PersonsViewed => "persons_viewed",
            AuditKind::Exported => "exported",
            AuditKind::Retried => "retry",
            AuditKind::Discarded => "discard",
            AuditKind::Restored => "restore",
            AuditKind::NoteChanged => "note_changed",
            AuditKind::DemoFixed => "demo_mended",
            AuditKind::DemoBroken => "demo_broken",
            AuditKind::AuditExported => "audit_exported",
            AuditKind::EntriesRemoved => "entries_removed",
            AuditKind::CopiesRemoved => "copies_removed",
            AuditKind::HistoryRemoved => "history_removed",
            AuditKind::StoreBackedUp => "store_backed_up",
            AuditKind::StoreRestored => "store_restored",
        }
    }

    /// Returns the label that people read.
    pub fn label(self) -> &'static str {
        match self {
            AuditKind::ConsoleStarted => "console started",
            AuditKind::ConsoleStopped => "console stopped",
            AuditKind::SignIn => "signed in",
            AuditKind::SignInFailed => "sign-in failed",
            AuditKind::AccessRefused => "access refused",
            AuditKind::SignOut => "signed out",
            AuditKind::AccountChanged => "account changed",
            AuditKind::SessionEnded => "session ended",
            AuditKind::TokenMade => "token made",
            AuditKind::TokenRevoked => "token revoked",
            AuditKind::PayloadViewed => "payload seen",
            AuditKind::ErrorViewed => "error text seen",
            AuditKind::PersonsViewed => "patients seen",
            AuditKind::Exported => "failed events downloaded",
            AuditKind::Retried => "retry",
            AuditKind::Discarded => "discard",
            AuditKind::Restored => "restore",
            AuditKind::NoteChanged => "note changed",
            AuditKind::DemoFixed => "problem fixed (demo)",
            AuditKind::DemoBroken => "problem simulated (demo)",
            AuditKind::AuditExported => "audit log downloaded",
            AuditKind::EntriesRemoved => "old entries removed",
            AuditKind::CopiesRemoved => "old copies removed",
            AuditKind::HistoryRemoved => "old history removed",
            AuditKind::StoreBackedUp => "store backed up",
            AuditKind::StoreRestored => "store restored",
        }
    }

    /// Returns the kind with this word, if this version knows it.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

impl fmt::Display for AuditKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The outcome of what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditOutcome {
    /// It is about to be done; another entry with the same action reports the result.
    Begun,
    Done,
    /// Only a part of it was done; `what` says which.
    Partly,
    /// It was not allowed.
    Refused,
    Failed,
}

impl AuditOutcome {
    pub const ALL: [AuditOutcome; 5] =
        [AuditOutcome::Begun, AuditOutcome::Done, AuditOutcome::Partly, AuditOutcome::Refused, AuditOutcome::Failed];

    /// Returns the word in the store, in log lines and on the page.
    pub fn word(self) -> &'static str {
        match self {
            AuditOutcome::Begun => "begun",
            AuditOutcome::Done => "done",
            AuditOutcome::Partly => "partly",
            AuditOutcome::Refused => "refused",
            AuditOutcome::Failed => "failed",
        }
    }
}

impl fmt::Display for AuditOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A recorded entry.
///
/// Kind and outcome are kept as words: an entry that a newer version wrote, or that someone changed, must still be
/// shown and verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// 1 for the first one ever, without a gap.
    pub sequence: i64,
    /// To the millisecond.
    pub at: DateTime<Utc>,
    /// The user's name; empty if not signed in, "console" for the console itself.
    pub who: String,
    /// How the user had signed in: "account", "token", "openmrs", "proxy", "open"; empty if not signed in.
    pub signed_in_by: String,
    /// The client's address; empty for the console itself.
    pub address: String,
    pub kind: String,
    /// The key of the one application that it concerns.
    pub app: Option<String>,
    /// Ids, counts and names, as a phrase.
    pub what: String,
    /// The reason that the user gave.
    pub reason: Option<String>,
    pub outcome: String,
    /// The recorded action that it belongs to.
    pub action: Option<i64>,
    /// SHA-256 over the hash of the previous entry and everything above, in hexadecimal digits.
    pub hash: String,
}

impl AuditEntry {
    /// Returns the label of the kind; the word itself if this version does not know it.
    pub fn kind_label(&self) -> &str {
        AuditKind::of_word(&self.kind).map_or(self.kind.as_str(), |kind| kind.label())
    }
}

/// Which entries to show. The URL holds all of it except `only`, which depends on the user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFilter {
    /// Exactly this name.
    pub who: Option<String>,
    pub kind: Option<AuditKind>,
    /// The key of an application.
    pub app: Option<String>,
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// A part of what, reason, address or name, ignoring the case of ASCII letters.
    pub text: Option<String>,
    /// Only entries about one of these applications, or about none; `None`: all.
    pub only: Option<BTreeSet<String>>,
}

impl AuditFilter {
    /// Parses the page's query string; the second part is the number of an entry to begin below.
    ///
    /// # Errors
    /// Fails if a value is invalid or too long.
    pub fn parse(query: &str) -> Result<(Self, Option<i64>), BadQuery> {
        check_length(query)?;
        let mut filter = Self::default();
        let mut before = None;
        for (key, value) in pairs(query) {
            if value.is_empty() {
                continue;
            }
            check_value(&key, &value)?;
            let shown: String = value.chars().take(60).collect();
            let bad = |reason: &str| BadQuery { key: key.clone(), value: shown.clone(), reason: reason.to_owned() };
            match key.as_str() {
                "who" => filter.who = Some(value),
                "kind" => {
                    let kind = AuditKind::of_word(&value).ok_or_else(|| bad("there is no such kind of entry"))?;
                    filter.kind = Some(kind);
                }
                "app" => filter.app = Some(value),
                "from" => filter.from = Some(instant(&value).ok_or_else(|| bad(NO_TIME))?),
                "until" => filter.until = Some(instant(&value).ok_or_else(|| bad(NO_TIME))?),
                "q" => filter.text = Some(value),
                "before" => before = Some(value.parse().map_err(|_| bad("this is no number of an entry"))?),
                _ => {}
            }
        }
        Ok((filter, before))
    }

    /// Returns the filter's part of the query string.
    pub fn to_query(&self) -> String {
        let mut out = String::new();
        let time = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string();
        for (key, value) in [
            ("who", self.who.clone()),
            ("kind", self.kind.map(|kind| kind.word().to_owned())),
            ("app", self.app.clone()),
            ("from", self.from.map(time)),
            ("until", self.until.map(time)),
            ("q", self.text.clone()),
        ] {
            if let Some(value) = value {
                push(&mut out, key, &value);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_comes_back_from_its_url() {
        let query = "who=Asha%20%26%20co&kind=payload_viewed&app=odoo&from=2026-11-01T00:00:00Z&q=%3Cb%3E";
        let (filter, before) = AuditFilter::parse(query).unwrap();
        assert_eq!((filter.who.as_deref(), filter.kind), (Some("Asha & co"), Some(AuditKind::PayloadViewed)));
        assert_eq!((AuditFilter::parse(&filter.to_query()).unwrap().0, before), (filter, None));
        assert_eq!(AuditFilter::parse("who=&kind=&before=12&x=y").unwrap(), (AuditFilter::default(), Some(12)));
        for key in ["who", "app", "q"] {
            assert!(AuditFilter::parse(&format!("{key}={}", "x".repeat(1_001))).is_err(), "{key}");
        }
        for query in ["kind=x", "from=yesterday", "until=0000-00-00", "before=x", "before=99999999999999999999"] {
            assert!(AuditFilter::parse(query).is_err(), "{query}");
        }
    }

    #[test]
    fn every_kind_is_listed_once_and_found_by_its_word() {
        for (number, kind) in AuditKind::ALL.into_iter().enumerate() {
            assert_eq!(AuditKind::of_word(kind.word()), Some(kind));
            assert!(AuditKind::ALL[..number].iter().all(|other| other.word() != kind.word()), "{kind:?}");
        }
        assert_eq!(AuditKind::of_word("sign in"), None);
    }
}
