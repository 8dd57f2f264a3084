//! What happens at the door is told in one place: who came and went, whose account and tokens were changed.

use super::client::Came;

/// Something that happened at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened<'h> {
    SignedIn,
    SignInFailed,
    /// Attempts come faster than they are taken.
    SlowedDown,
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
    TokenMade {
        label: &'h str,
    },
    TokenRevoked {
        id: i64,
    },
}

impl Happened<'_> {
    /// The word of the log.
    pub fn word(self) -> &'static str {
        match self {
            Happened::SignedIn => "signed in",
            Happened::SignInFailed => "sign-in failed",
            Happened::SlowedDown => "sign-in slowed down",
            Happened::SignedOut => "signed out",
            Happened::SessionEnded => "session ended",
            Happened::SessionsEnded => "signed out everywhere",
            Happened::PasswordChanged { .. } => "password changed",
            Happened::AccountAdded { .. } => "account added",
            Happened::AccountChanged { .. } => "account changed",
            Happened::AccountDisabled { .. } => "account disabled",
            Happened::AccountEnabled { .. } => "account enabled",
            Happened::TokenMade { .. } => "token made",
            Happened::TokenRevoked { .. } => "token revoked",
        }
    }

    /// What it happened to, beside the person who did it.
    pub fn what(self) -> String {
        match self {
            Happened::PasswordChanged { of: name }
            | Happened::AccountAdded { name }
            | Happened::AccountChanged { name }
            | Happened::AccountDisabled { name }
            | Happened::AccountEnabled { name } => name.to_owned(),
            Happened::TokenMade { label } => label.to_owned(),
            Happened::TokenRevoked { id } => format!("token {id}"),
            _ => String::new(),
        }
    }
}

/// Tells what happened: who did it, from where.
pub fn happened(came: &Came, who: &str, what: Happened<'_>) {
    let (word, of, address) = (what.word(), what.what(), came.address());
    match what {
        Happened::SignInFailed | Happened::SlowedDown => tracing::warn!(who, address, of, "{word}"),
        _ => tracing::info!(who, address, of, "{word}"),
    }
}
