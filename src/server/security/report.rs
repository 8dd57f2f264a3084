//! What happens at the door is put on record in one place: who came and went, whose account and tokens were changed.

use super::{audit::Entry, visit::Visit};
use crate::{
    error::Problem,
    model::{
        access::KnownBy,
        audit::{AuditKind, AuditOutcome},
    },
    server::state::Console,
};

/// Something that happens at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened<'h> {
    SignedIn,
    SignedInByCode,
    SignedInByRecoveryCode {
        left: i64,
    },
    SignInFailed,
    /// It was not even tried, because others were just before.
    SignInTooOften,
    /// The password was right, the code of the second factor was not.
    CodeNotRight,
    /// The password was right, but it was a one-time password that had been used.
    OneTimePasswordUsed,
    /// The password was right, but it was a one-time password whose time is over.
    OneTimePasswordExpired,
    /// The password was right, and the person has no role here.
    NoRole,
    SignedOut,
    SessionEnded,
    SessionsEnded,
    PasswordChanged {
        of: &'h str,
    },
    AccountAdded {
        name: &'h str,
    },
    AccountChanged {
        name: &'h str,
    },
    AccountDisabled {
        name: &'h str,
    },
    AccountEnabled {
        name: &'h str,
    },
    SecondFactorSet {
        of: &'h str,
    },
    SecondFactorEnded {
        of: &'h str,
    },
    /// By somebody else.
    SecondFactorReset {
        of: &'h str,
    },
    RecoveryCodesMade {
        of: &'h str,
    },
    TokenMade {
        label: &'h str,
    },
    TokenRevoked {
        id: i64,
        of: &'h str,
    },
    TokensRevoked {
        of: &'h str,
    },
    /// The token of a machine, as [`super::service_tokens`] describes it.
    ServiceTokenMade {
        what: &'h str,
    },
    ServiceTokenRevoked {
        what: &'h str,
    },
}

impl Happened<'_> {
    fn kind(self) -> AuditKind {
        match self {
            Happened::SignedIn | Happened::SignedInByCode | Happened::SignedInByRecoveryCode { .. } => {
                AuditKind::SignIn
            }
            Happened::SignInFailed
            | Happened::SignInTooOften
            | Happened::CodeNotRight
            | Happened::OneTimePasswordUsed
            | Happened::OneTimePasswordExpired
            | Happened::NoRole => AuditKind::SignInFailed,
            Happened::SignedOut => AuditKind::SignOut,
            Happened::SessionEnded | Happened::SessionsEnded => AuditKind::SessionEnded,
            Happened::PasswordChanged { .. }
            | Happened::AccountAdded { .. }
            | Happened::AccountChanged { .. }
            | Happened::AccountDisabled { .. }
            | Happened::AccountEnabled { .. }
            | Happened::SecondFactorSet { .. }
            | Happened::SecondFactorEnded { .. }
            | Happened::SecondFactorReset { .. }
            | Happened::RecoveryCodesMade { .. } => AuditKind::AccountChanged,
            Happened::TokenMade { .. } | Happened::ServiceTokenMade { .. } => AuditKind::TokenMade,
            Happened::TokenRevoked { .. } | Happened::TokensRevoked { .. } | Happened::ServiceTokenRevoked { .. } => {
                AuditKind::TokenRevoked
            }
        }
    }

    /// What was done, and to what, beside the person who did it.
    fn what(self) -> String {
        match self {
            Happened::SignedIn | Happened::SignInFailed | Happened::SignedOut => String::new(),
            Happened::SignInTooOften => "not tried: sign-ins come faster than they are taken".to_owned(),
            Happened::SignedInByCode => "with a code".to_owned(),
            Happened::SignedInByRecoveryCode { left } => format!("with a recovery code; {left} left"),
            Happened::CodeNotRight => "the code of the second factor was not right".to_owned(),
            Happened::SecondFactorSet { of } => format!("second factor of {of} set up"),
            Happened::SecondFactorEnded { of } => format!("second factor of {of} turned off"),
            Happened::SecondFactorReset { of } => format!("second factor of {of} reset"),
            Happened::RecoveryCodesMade { of } => format!("new recovery codes of {of}"),
            Happened::OneTimePasswordUsed => "the one-time password had been used".to_owned(),
            Happened::OneTimePasswordExpired => "the one-time password had expired".to_owned(),
            Happened::NoRole => "the password was right; no role opens this console".to_owned(),
            Happened::SessionEnded => "one session".to_owned(),
            Happened::SessionsEnded => "every session".to_owned(),
            Happened::PasswordChanged { of } => format!("password of {of} changed"),
            Happened::AccountAdded { name } => format!("account {name} added"),
            Happened::AccountChanged { name } => format!("rights of {name} changed"),
            Happened::AccountDisabled { name } => format!("account {name} disabled"),
            Happened::AccountEnabled { name } => format!("account {name} enabled"),
            Happened::TokenMade { label } => format!("token {label}"),
            Happened::TokenRevoked { id, of } => format!("token {id} of {of}"),
            Happened::TokensRevoked { of } => format!("every token of {of}"),
            Happened::ServiceTokenMade { what } | Happened::ServiceTokenRevoked { what } => what.to_owned(),
        }
    }
}

fn entry(visit: &Visit, who: &str, what: Happened<'_>) -> Entry {
    let by = visit.person.as_ref().map_or("", |person| visit.signed_in_by(person));
    Entry::new(who, by, &visit.came.address(), what.kind()).what(what.what())
}

/// Puts on record what is about to happen, in one entry: who does it, from where.
///
/// # Errors
/// The audit log cannot be written: then it must not happen.
pub async fn happens(console: &Console, visit: &Visit, who: &str, what: Happened<'_>) -> Result<(), Problem> {
    console.parts.audit.record(entry(visit, who, what).outcome(AuditOutcome::Done)).await.map(drop)
}

/// Failed sign-ins of one person that go on record one by one, in one minute.
const FAILED_OF_ONE: u32 = 10;

/// Puts a failed sign-in on record: `who` is the account that was tried; `None`, where there is no such account. What was
/// typed as a name may be a password: so only names that exist go on record, and all others together as a number, once
/// a minute.
///
/// # Errors
/// The audit log cannot be written.
pub async fn sign_in_failed(
    console: &Console,
    visit: &Visit,
    who: Option<&str>,
    what: Happened<'_>,
) -> Result<(), Problem> {
    let (who, at_once) = who.map_or(("(unknown name)", 1), |who| (who, FAILED_OF_ONE));
    let entry = entry(visit, who, what).outcome(AuditOutcome::Refused);
    console.parts.audit.record_counted(entry, at_once).await
}

/// Puts on record that somebody who knows the password of an account did not come in all the same.
///
/// # Errors
/// The audit log cannot be written.
pub async fn sign_in_refused(console: &Console, visit: &Visit, who: &str, what: Happened<'_>) -> Result<(), Problem> {
    let entry = entry(visit, who, what).outcome(AuditOutcome::Refused);
    console.parts.audit.record_counted(entry, FAILED_OF_ONE).await
}

/// Refusals of one person that go on record one by one, in one minute.
const REFUSED_OF_ONE: u32 = 5;

/// Puts on record that somebody was refused what they asked for. A token that is not known has no name.
///
/// # Errors
/// The audit log cannot be written.
pub async fn refused(console: &Console, visit: &Visit, asked: &str, problem: &Problem) -> Result<(), Problem> {
    let (who, by, at_once) = match (&visit.person, &visit.service) {
        (Some(person), _) => (person.name.as_str(), visit.signed_in_by(person), REFUSED_OF_ONE),
        (None, Some(service)) => (service.name.as_str(), KnownBy::Service.word(), REFUSED_OF_ONE),
        (None, None) => ("(unknown user)", "", 1),
    };
    let entry = Entry::new(who, by, &visit.came.address(), AuditKind::AccessRefused);
    let entry = entry.what(format!("{asked}: {}", problem.what)).outcome(AuditOutcome::Refused);
    console.parts.audit.record_counted(entry, at_once).await
}

/// Makes a change with its beginning and its end on record.
///
/// # Errors
/// The audit log cannot be written, and nothing was changed; or what the change itself says.
pub async fn on_record<T>(
    console: &Console,
    visit: &Visit,
    who: &str,
    what: Happened<'_>,
    change: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let entry = entry(visit, who, what);
    console.parts.audit.record(entry.clone().outcome(AuditOutcome::Begun)).await?;
    let changed = change.await;
    let outcome = if changed.is_ok() { AuditOutcome::Done } else { AuditOutcome::Failed };
    // The beginning is there; that the end cannot be written is in the console's log.
    let _ = console.parts.audit.record(entry.outcome(outcome)).await;
    changed
}
