//! Records authentication in the audit log: sign-ins and sign-outs, refusals, and changes of accounts and tokens.

use super::{audit::Entry, authenticate::Caller};
use crate::{
    error::Problem,
    model::{
        access::KnownBy,
        audit::{AuditKind, AuditOutcome},
    },
    server::state::Console,
};

/// An event of authentication or account management.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened<'h> {
    SignedIn,
    SignedInByCode,
    SignedInByRecoveryCode {
        left: i64,
    },
    SignInFailed,
    /// The sign-in was not tried, because there were too many just before.
    SignInTooOften,
    /// The password was right, the code of the second factor was not.
    CodeNotRight,
    /// The password was right, but was a one-time password that had been used.
    OneTimePasswordUsed,
    /// The password was right, but was a one-time password that had expired.
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
    /// Reset by another user.
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

    /// Describes what was done, and to what, without the person who did it.
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

fn entry(caller: &Caller, who: &str, what: Happened<'_>) -> Entry {
    let by = caller.person.as_ref().map_or("", |person| caller.signed_in_by(person));
    Entry::new(who, by, &caller.client.address(), what.kind()).what(what.what())
}

/// Records in one entry what is about to happen, with the user and their address.
///
/// # Errors
/// Fails if the audit log cannot be written: the action must not happen.
pub async fn happens(console: &Console, caller: &Caller, who: &str, what: Happened<'_>) -> Result<(), Problem> {
    console.parts.audit.record(entry(caller, who, what).outcome(AuditOutcome::Done)).await.map(drop)
}

/// Number of failed sign-ins of one person that are recorded separately in one minute.
const FAILED_OF_ONE: u32 = 10;

/// Records a failed sign-in. `who` is the account that was tried; `None` if there is no such account. A password may be
/// typed as the name, so only existing names are recorded, and all others together as a number, once a minute.
///
/// # Errors
/// Fails if the audit log cannot be written.
pub async fn sign_in_failed(
    console: &Console,
    caller: &Caller,
    who: Option<&str>,
    what: Happened<'_>,
) -> Result<(), Problem> {
    let (who, at_once) = who.map_or(("(unknown name)", 1), |who| (who, FAILED_OF_ONE));
    let entry = entry(caller, who, what).outcome(AuditOutcome::Refused);
    let reason = entry.what.clone();
    console.parts.audit.record_counted(entry, &reason, at_once).await
}

/// Records that someone who knows the password of an account was refused.
///
/// # Errors
/// Fails if the audit log cannot be written.
pub async fn sign_in_refused(console: &Console, caller: &Caller, who: &str, what: Happened<'_>) -> Result<(), Problem> {
    let entry = entry(caller, who, what).outcome(AuditOutcome::Refused);
    let reason = entry.what.clone();
    console.parts.audit.record_counted(entry, &reason, FAILED_OF_ONE).await
}

/// Number of refusals of one person that are recorded separately in one minute.
const REFUSED_OF_ONE: u32 = 5;

/// Records that a request was refused. The sender of an unknown token has no name.
///
/// # Errors
/// Fails if the audit log cannot be written.
pub async fn refused(console: &Console, caller: &Caller, asked: &str, problem: &Problem) -> Result<(), Problem> {
    let (who, by, at_once) = match (&caller.person, &caller.service) {
        (Some(person), _) => (person.name.as_str(), caller.signed_in_by(person), REFUSED_OF_ONE),
        (None, Some(service)) => (service.name.as_str(), KnownBy::Service.word(), REFUSED_OF_ONE),
        (None, None) => ("(unknown user)", "", 1),
    };
    let entry = Entry::new(who, by, &caller.client.address(), AuditKind::AccessRefused);
    let entry = entry.what(format!("{asked}: {}", problem.what)).outcome(AuditOutcome::Refused);
    console.parts.audit.record_counted(entry, &problem.what, at_once).await
}

/// Makes a change, and records its beginning and its end.
///
/// # Errors
/// Fails if the audit log cannot be written, and nothing was changed; or with the problem of the change itself.
pub async fn on_record<T>(
    console: &Console,
    caller: &Caller,
    who: &str,
    what: Happened<'_>,
    change: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let entry = entry(caller, who, what);
    console.parts.audit.record(entry.clone().outcome(AuditOutcome::Begun)).await?;
    let changed = change.await;
    let outcome = if changed.is_ok() { AuditOutcome::Done } else { AuditOutcome::Failed };
    // The beginning is recorded; if the end cannot be, the console's log says so.
    let _ = console.parts.audit.record(entry.outcome(outcome)).await;
    changed
}
