//! Who asks, and what they may do: roles, the rights that they carry, and the person of a request.
//!
//! A right is checked where the work is done, in the server function or the route; a page only asks the same question to
//! say beforehand why a button is off. Pure: where a person comes from is `server/security`'s matter.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What somebody may do in general. Each role can do what the one before it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees states, counts, ids and the normalised fault.
    Viewer,
    /// Reads error texts and payloads, and retries.
    Operator,
    /// Discards and restores, and looks after accounts and audit.
    Administrator,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Administrator];

    /// The word of the configuration, the store and the forms.
    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Administrator => "administrator",
        }
    }

    /// What the role is for, as a sentence about somebody.
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

/// A word that names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is viewer, operator or administrator")]
pub struct NoRole;

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        Role::ALL.into_iter().find(|role| role.word() == text).ok_or(NoRole)
    }
}

/// One thing that a person may do or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Right {
    /// States, counts, ids and the normalised fault, of the applications that are the person's.
    See,
    /// Error texts and payloads as they are, where the console masks them for those who may not.
    Read,
    /// Ask the consumers to try again.
    Retry,
    /// Write notes for colleagues.
    Note,
    /// Take failed events out of a source, and put them back.
    Discard,
    /// Make, change and disable accounts, and the tokens of machines.
    Accounts,
    /// Read the audit log.
    Audit,
}

impl Right {
    pub const ALL: [Right; 7] =
        [Right::See, Right::Read, Right::Retry, Right::Note, Right::Discard, Right::Accounts, Right::Audit];

    /// The least role that has it.
    pub fn needs(self) -> Role {
        match self {
            Right::See => Role::Viewer,
            Right::Read | Right::Retry | Right::Note => Role::Operator,
            Right::Discard | Right::Accounts | Right::Audit => Role::Administrator,
        }
    }

    /// Whether using it changes something: a token for reading only does not carry it.
    pub fn changes(self) -> bool {
        match self {
            Right::See | Right::Read | Right::Audit => false,
            Right::Retry | Right::Note | Right::Discard | Right::Accounts => true,
        }
    }

    /// As the end of "the right to …".
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

/// What somebody needs to set up an app that calculates codes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// In base 32, in groups of four.
    pub secret: String,
    /// The address that apps read, `otpauth://…`.
    pub address: String,
    /// Squares of the QR code in a row, with the white around it.
    pub width: usize,
    /// Its dark squares, as an SVG path.
    pub path: String,
}

/// The secret never goes to a log.
impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What the token of a machine opens. Each token opens one thing, and nothing beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceRight {
    /// How everything is: `/status`.
    Status,
}

impl ServiceRight {
    pub const ALL: [ServiceRight; 1] = [ServiceRight::Status];

    /// The word of the configuration, the store and the forms.
    pub fn word(self) -> &'static str {
        match self {
            ServiceRight::Status => "status",
        }
    }

    /// What it opens, as the end of "it opens …".
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

/// A word that names no right of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the right of a service token is status")]
pub struct NoServiceRight;

impl FromStr for ServiceRight {
    type Err = NoServiceRight;

    fn from_str(text: &str) -> Result<Self, NoServiceRight> {
        ServiceRight::ALL.into_iter().find(|right| right.word() == text).ok_or(NoServiceRight)
    }
}

/// How the console came to know a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownBy {
    /// An account of the console's own.
    Account,
    /// The hospital's OpenMRS.
    Openmrs,
    /// The reverse proxy in front of the console.
    Proxy,
    /// Nobody signs in here.
    Open,
    /// The token of a machine.
    Service,
}

impl KnownBy {
    /// The word on record.
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

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The name that is shown, and that goes on record.
    pub name: String,
    pub role: Role,
    /// Keys of the applications that they may see; `None`: all.
    pub applications: Option<BTreeSet<String>>,
    pub known_by: KnownBy,
    /// They came with a token that is for reading only.
    pub reading_only: bool,
}

impl Person {
    /// Whoever it is, where nobody signs in.
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

    /// What stands between this person and the right; `None`: they have it.
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
    /// [`Lacking`], which says what is missing and who can give it.
    pub fn demand(&self, right: Right) -> Result<(), Lacking> {
        self.lacks(right).map_or(Ok(()), Err)
    }

    /// Whether the application of this key is theirs to see.
    pub fn sees(&self, app: &str) -> bool {
        self.applications.as_ref().is_none_or(|apps| apps.contains(app))
    }
}

/// A right that somebody does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Lacking {
    pub right: Right,
    pub why: Why,
}

/// Why they do not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// This is their role.
    Role(Role),
    /// Their token is for reading only.
    ReadingOnly,
}

impl Lacking {
    /// What to do about it, as a whole sentence.
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

/// Characters of the longest name that somebody may come with.
pub const LONGEST_NAME: usize = 100;

/// Names that records use for the console itself, for whoever comes to an open one, and for nobody in particular.
const NOBODYS: [&str; 3] = ["console", "anybody", "the command line"];

/// Whether somebody may be called so: with something to see, not too long, on one line, and not as the console itself is
/// called in records.
pub fn is_name(name: &str) -> bool {
    let plain = name.trim();
    !plain.is_empty()
        && plain.chars().count() <= LONGEST_NAME
        && !plain.chars().any(char::is_control)
        && !plain.starts_with('(')
        && !NOBODYS.iter().any(|nobodys| plain.eq_ignore_ascii_case(nobodys))
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
