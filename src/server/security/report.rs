//! What happens at the door goes on record in one place: who came and went, whose account and tokens were changed.

use super::{audit::Entry, visit::Visit};
use crate::{
    error::Problem,
    model::audit::{AuditKind, AuditOutcome},
    server::{config::Mode, state::Console},
};

/// Something that happened at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened<'h> {
    SignedIn,
    SignInFailed,
    SignedOut,
    SessionEnded,
    SessionsEnded,
    PasswordChanged { of: &'h str },
    AccountAdded { name: &'h str },
    AccountChanged { name: &'h str },
    AccountDisabled { name: &'h str },
    AccountEnabled { name: &'h str },
    TokenMade { label: &'h str },
    TokenRevoked { id: i64 },
}

impl Happened<'_> {
    fn kind(self) -> AuditKind {
        match self {
            Happened::SignedIn => AuditKind::SignIn,
            Happened::SignInFailed => AuditKind::SignInFailed,
            Happened::SignedOut => AuditKind::SignOut,
            Happened::SessionEnded | Happened::SessionsEnded => AuditKind::SessionEnded,
            Happened::PasswordChanged { .. }
            | Happened::AccountAdded { .. }
            | Happened::AccountChanged { .. }
            | Happened::AccountDisabled { .. }
            | Happened::AccountEnabled { .. } => AuditKind::AccountChanged,
            Happened::TokenMade { .. } => AuditKind::TokenMade,
            Happened::TokenRevoked { .. } => AuditKind::TokenRevoked,
        }
    }

    fn outcome(self) -> AuditOutcome {
        match self {
            Happened::SignInFailed => AuditOutcome::Failed,
            _ => AuditOutcome::Done,
        }
    }

    fn what(self) -> String {
        match self {
            Happened::SignedIn | Happened::SignedOut | Happened::SignInFailed | Happened::SessionEnded => String::new(),
            Happened::SessionsEnded => "all sessions".to_owned(),
            Happened::PasswordChanged { of } => format!("password of {of}"),
            Happened::AccountAdded { name } => format!("{name} added"),
            Happened::AccountChanged { name } => format!("role and applications of {name}"),
            Happened::AccountDisabled { name } => format!("{name} disabled"),
            Happened::AccountEnabled { name } => format!("{name} enabled"),
            Happened::TokenMade { label } => label.to_owned(),
            Happened::TokenRevoked { id } => format!("token {id}"),
        }
    }
}

/// Puts on record what happened: who did it, from where.
///
/// # Errors
/// The audit log cannot be written.
pub async fn happened(console: &Console, visit: &Visit, who: &str, what: Happened<'_>) -> Result<(), Problem> {
    let by = match console.parts.config.access.way.mode() {
        Mode::Accounts => "account",
        Mode::Openmrs => "openmrs",
        Mode::Proxy => "proxy",
        Mode::Open => "open",
    };
    let entry = Entry::new(who, by, &visit.came.address(), what.kind()).what(what.what()).outcome(what.outcome());
    console.parts.audit.record(entry).await?;
    Ok(())
}
