//! Roles, the rights that they carry, and the person of a request.
//!
//! A right is checked where the work is done, in the server function or the route; a page evaluates the same rule only
//! to say in advance why a button is off. Pure functions: `server/security` identifies the person.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a user may do in general. Each role has the rights of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees states, counts, ids and the normalised fault.
    Viewer,
    /// Reads error texts and payloads, and retries.
    Operator,
    /// Discards and restores, and manages accounts and audit.
    Administrator,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Administrator];

    /// Returns the word of the configuration, the store and the forms.
    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Administrator => "administrator",
        }
    }

    /// Returns what the role is for, as a sentence about a user.
    pub fn meaning(self) -> &'static str {
        match self {
            Role::Viewer => "Can view.",
            Role::Operator => "Can also read error texts and payloads, and retry.",
            Role::Administrator => "Can also discard, restore and manage users.",
        }
    }

    pub fn may(self, right: Right) -> bool {
        self >= right.needs()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that is not a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is viewer, operator or administrator")]
pub struct NoRole;

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        Role::ALL.into_iter().find(|role| role.word() == text).ok_or(NoRole)
    }
}

/// A single permission of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Right {
    /// States, counts, ids and the normalised fault, of the applications that the user may see.
    See,
    /// Error texts and payloads, which the console masks for users without this right.
    Read,
    /// Request retries from the consumers.
    Retry,
    /// Write notes for colleagues.
    Note,
    /// Remove failed events from a source, and restore them.
    Discard,
    /// Create, change and disable accounts, and service tokens.
    Accounts,
    /// Read the audit log.
    Audit,
}

impl Right {
    pub const ALL: [Right; 7] =
        [Right::See, Right::Read, Right::Retry, Right::Note, Right::Discard, Right::Accounts, Right::Audit];

    /// Returns the lowest role that has it.
    pub fn needs(self) -> Role {
        match self {
            Right::See => Role::Viewer,
            Right::Read | Right::Retry | Right::Note => Role::Operator,
            Right::Discard | Right::Accounts | Right::Audit => Role::Administrator,
        }
    }

    /// Returns whether using it changes something: a read-only token does not carry it.
    pub fn changes(self) -> bool {
        match self {
            Right::See | Right::Read | Right::Audit => false,
            Right::Retry | Right::Note | Right::Discard | Right::Accounts => true,
        }
    }

    /// Returns the end of "the right to …".
    pub fn to_do(self) -> &'static str {
        match self {
            Right::See => "see the feeds and their failed events",
            Right::Read => "read error texts and payloads",
            Right::Retry => "retry failed events",
            Right::Note => "write notes",
            Right::Discard => "discard and restore failed events",
            Right::Accounts => "manage users and service tokens",
            Right::Audit => "read the audit log",
        }
    }
}

/// What a user needs to set up an authenticator app.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// In base 32, in groups of four.
    pub secret: String,
    /// The address that apps read, `otpauth://…`.
    pub address: String,
    /// Squares of the QR code in a row, including the white margin.
    pub width: usize,
    /// Its dark squares, as an SVG path.
    pub path: String,
}

/// Keeps the secret out of logs.
impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a service token opens. Each token opens only one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceRight {
    /// The state of everything: `/status`.
    Status,
}

impl ServiceRight {
    pub const ALL: [ServiceRight; 1] = [ServiceRight::Status];

    /// Returns the word of the configuration, the store and the forms.
    pub fn word(self) -> &'static str {
        match self {
            ServiceRight::Status => "status",
        }
    }

    /// Returns what it opens, as the end of "it opens …".
    pub fn meaning(self) -> &'static str {
        match self {
            ServiceRight::Status => "/status, for a monitoring system",
        }
    }
}

impl fmt::Display for ServiceRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that is not a service right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the right of a service token is status")]
pub struct NoServiceRight;

impl FromStr for ServiceRight {
    type Err = NoServiceRight;

    fn from_str(text: &str) -> Result<Self, NoServiceRight> {
        ServiceRight::ALL.into_iter().find(|right| right.word() == text).ok_or(NoServiceRight)
    }
}

/// How the console identified a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownBy {
    /// An account of the console.
    Account,
    /// The hospital's OpenMRS.
    Openmrs,
    /// The reverse proxy in front of the console.
    Proxy,
    /// No one signs in here.
    Open,
    /// A service token.
    Service,
}

impl KnownBy {
    /// Returns the word in records.
    pub fn word(self) -> &'static str {
        match self {
            KnownBy::Account => "account",
            KnownBy::Openmrs => "openmrs",
            KnownBy::Proxy => "proxy",
            KnownBy::Open => "open",
            KnownBy::Service => "service",
        }
    }
}

/// The person or service that sends a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The name that is shown and recorded.
    pub name: String,
    pub role: Role,
    /// Keys of the applications that they may see; `None`: all.
    pub applications: Option<BTreeSet<String>>,
    pub known_by: KnownBy,
    /// Whether they use a read-only token.
    pub reading_only: bool,
}

impl Person {
    /// Returns the person of every request where no one signs in.
    pub fn anybody() -> Self {
        Self {
            name: "anybody".to_owned(),
            role: Role::Administrator,
            applications: None,
            known_by: KnownBy::Open,
            reading_only: false,
        }
    }

    pub fn may(&self, right: Right) -> bool {
        self.lacks(right).is_none()
    }

    /// Returns why this person lacks the right; `None` if they have it.
    pub fn lacks(&self, right: Right) -> Option<Lacking> {
        if !self.role.may(right) {
            Some(Lacking { right, why: Why::Role(self.role) })
        } else if self.reading_only && right.changes() {
            Some(Lacking { right, why: Why::ReadingOnly })
        } else {
            None
        }
    }

    /// # Errors
    /// Fails with [`Lacking`], which says what is missing and who can give it.
    pub fn demand(&self, right: Right) -> Result<(), Lacking> {
        self.lacks(right).map_or(Ok(()), Err)
    }

    /// Returns whether they may see the application with this key.
    pub fn sees(&self, app: &str) -> bool {
        self.applications.as_ref().is_none_or(|apps| apps.contains(app))
    }
}

/// A right that a person lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Lacking {
    pub right: Right,
    pub why: Why,
}

/// Why they lack it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Their role, which does not have it.
    Role(Role),
    /// Their token is read-only.
    ReadingOnly,
}

impl Lacking {
    /// Returns what to do about it, as a whole sentence.
    pub fn advice(&self) -> String {
        match self.why {
            Why::Role(_) => {
                format!("An administrator can give you the role {}.", self.right.needs())
            }
            Why::ReadingOnly => "Create another token on your account page.".to_owned(),
        }
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Why::Role(_) => {
                let roles = match self.right.needs() {
                    Role::Viewer => "people with a role",
                    Role::Operator => "operators and administrators",
                    Role::Administrator => "administrators",
                };
                write!(f, "Only {roles} can {}.", self.right.to_do())
            }
            Why::ReadingOnly => f.write_str("This token can only read."),
        }
    }
}

/// The longest name of a person, in characters.
pub const LONGEST_NAME: usize = 100;

/// Names that records use for the console itself, for everyone where no one signs in, and for the command line.
pub const RESERVED_NAMES: [&str; 3] = ["console", "anybody", "the command line"];

/// Returns whether a person may have this name: visible, not too long, on one line, and not one that records use for
/// the console itself.
pub fn is_name(name: &str) -> bool {
    let plain = name.trim();
    !plain.is_empty()
        && plain.chars().count() <= LONGEST_NAME
        && !plain.chars().any(char::is_control)
        && !plain.starts_with('(')
        && !RESERVED_NAMES.iter().any(|reserved| plain.eq_ignore_ascii_case(reserved))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(role: Role) -> Person {
        Person { role, ..Person::anybody() }
    }

    #[test]
    fn each_role_can_do_what_the_one_before_it_can() {
        for right in Right::ALL {
            for (lower, higher) in [(Role::Viewer, Role::Operator), (Role::Operator, Role::Administrator)] {
                assert!(!lower.may(right) || higher.may(right), "{lower} {right:?}");
            }
            assert!(Role::Administrator.may(right));
        }
        assert!(Role::Viewer.may(Right::See) && !Role::Viewer.may(Right::Read) && !Role::Viewer.may(Right::Retry));
        assert!(Role::Operator.may(Right::Retry) && !Role::Operator.may(Right::Discard));
    }

    #[test]
    fn a_token_for_reading_changes_nothing_whoever_made_it() {
        let reader = Person { reading_only: true, ..person(Role::Administrator) };
        for right in Right::ALL {
            assert_eq!(reader.may(right), !right.changes(), "{right:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_right_and_who_can_give_it() {
        let lacking = person(Role::Viewer).demand(Right::Retry).unwrap_err();
        assert_eq!(lacking.to_string(), "Only operators and administrators can retry failed events.");
        assert_eq!(lacking.advice(), "An administrator can give you the role operator.");
    }

    #[test]
    fn a_limited_person_sees_their_applications_alone() {
        let limited = Person { applications: Some(BTreeSet::from(["odoo".to_owned()])), ..person(Role::Operator) };
        assert!(limited.sees("odoo") && !limited.sees("openmrs"));
        assert!(person(Role::Viewer).sees("openmrs"));
    }

    #[test]
    fn a_role_is_read_from_its_word_alone() {
        for role in Role::ALL {
            assert_eq!(role.word().parse(), Ok(role));
        }
        assert_eq!("Administrator".parse::<Role>(), Err(NoRole));
    }
}
