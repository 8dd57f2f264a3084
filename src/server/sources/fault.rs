//! Turns the drivers' errors into sentences for users.
//!
//! Every reason names the application and the address. No sentence contains a password: the drivers' messages contain
//! none, and nothing else is inserted.

use std::{io, time::Duration};

use sqlx::{Error, mysql::MySqlDatabaseError, postgres::PgDatabaseError};

use crate::{
    model::{Backend, error_text::visible_line, masking},
    server::config::{Application, Tls},
};

use super::{SourceError, SourceErrorKind};

use SourceErrorKind::{Locked, Lost, NotAllowed, NotHere, Other, Refused, TimedOut, Unreachable};

/// A sentence on what happened and one on what to do, still without the application's name.
struct Finding {
    kind: SourceErrorKind,
    what: String,
    advice: String,
}

fn finding(kind: SourceErrorKind, what: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { kind, what: what.into(), advice: advice.into() }
}

fn tell(app: &Application, found: Finding) -> SourceError {
    SourceError {
        kind: found.kind,
        reason: format!("{} ({}): {}.", app.info.name, app.info.address, found.what.trim_end_matches('.')),
        advice: found.advice,
    }
}

/// Returns the error that no connection was made within the connect timeout.
pub(super) fn connect_timeout(app: &Application) -> SourceError {
    tell(
        app,
        finding(
            TimedOut,
            format!("no connection within {}", in_words(app.connect_timeout)),
            "Check whether the database server runs and whether a firewall blocks the console.",
        ),
    )
}

/// Returns the error that every connection of the pool is in use.
pub(super) fn busy(app: &Application) -> SourceError {
    tell(
        app,
        finding(
            Unreachable,
            format!("all {} connections are in use", app.pool_size),
            "Try again in a moment. If it happens often, raise the application's pool size.",
        ),
    )
}

/// Returns the error that a statement exceeded its timeout.
pub(super) fn statement_timeout(app: &Application) -> SourceError {
    tell(app, too_slow(app))
}

fn too_slow(app: &Application) -> Finding {
    finding(
        TimedOut,
        format!("no answer within {}", in_words(app.statement_timeout)),
        "The database is busy, or another program holds a lock. Try again, narrow the request, or raise the \
         application's statement timeout.",
    )
}

fn locked() -> Finding {
    finding(
        Locked,
        "another program holds a lock on what this needs",
        "Try again in a moment. If it fails again, find the open transaction in the database.",
    )
}

/// Returns the error that something required is missing.
pub(super) fn not_here(app: &Application, what: &str) -> SourceError {
    tell(app, finding(NotHere, what, "Check the configured database and schema. `check` lists what was found."))
}

/// Returns the error that the account, the schema or the configuration forbids the request.
pub(super) fn not_allowed(app: &Application, what: &str) -> SourceError {
    tell(app, finding(NotAllowed, what, GRANT))
}

/// Advice for a missing right.
const GRANT: &str = "Grant the account the right that is missing (the documentation has the scripts), or leave the \
                     application read-only.";

/// Returns the error of a connection that could not be made.
pub(super) fn connecting(app: &Application, error: &Error) -> SourceError {
    tell(app, classify_connect(app, error))
}

fn classify_connect(app: &Application, error: &Error) -> Finding {
    let database = &app.database;
    let place = match database.backend {
        Backend::Sqlite => database.database.clone(),
        _ => format!("{}:{}", database.host, database.port),
    };
    match error {
        Error::Database(_) => classify(app, error),
        Error::Io(io) => match io.kind() {
            io::ErrorKind::ConnectionRefused => finding(
                Unreachable,
                format!("the connection to {place} was refused: no database server listens there"),
                "Check whether the database server runs, and whether host and port are right.",
            ),
            io::ErrorKind::TimedOut => finding(
                TimedOut,
                format!("no connection to {place}: the network did not answer in time"),
                "Check whether the host is up and whether a firewall blocks the console.",
            ),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => finding(
                Unreachable,
                format!("{place} ended the connection before it was ready"),
                "The database server may be starting or stopping; the console tries again automatically.",
            ),
            io::ErrorKind::InvalidData => tls_finding(app, &io.to_string()),
            _ if io.to_string().contains("lookup address") => finding(
                Unreachable,
                format!("the host name {} is not known", database.host),
                "Correct the host name, or check the name service of the console's machine.",
            ),
            _ => finding(
                Unreachable,
                format!("no connection to {place}: {io}"),
                "Check whether the database server runs and can be reached from where the console runs.",
            ),
        },
        Error::Tls(cause) => tls_finding(app, &cause.to_string()),
        Error::Protocol(cause) => match Method::asked_for(database.backend, cause) {
            Some(method) => method.finding(app),
            None => finding(
                Unreachable,
                format!("{place} did not answer as a database server of this kind does"),
                "The server may be starting or stopping; if this continues, check whether the port belongs to another program.",
            ),
        },
        other => finding(
            Other,
            format!("no connection to {place}: {other}"),
            "Check whether the address belongs to a database of the configured kind.",
        ),
    }
}

/// The TLS versions that the console supports, in words for the database's administrator.
const TLS_KNOWN: &str = "version 1.2 of TLS or newer";

/// Advice if the server has no usable encryption.
const NO_TLS: &str = "where the network between is trusted, set tls to \"preferred\" (encrypted where the server can) or \
                      \"off\" for this application";

fn tls_finding(app: &Application, cause: &str) -> Finding {
    let demanded = match app.database.tls {
        Tls::Verified => "verified",
        Tls::Required => "required",
        Tls::Preferred => "preferred",
        Tls::Off => "off",
    };
    match tls_trouble(cause) {
        Some(TlsTrouble::None) => finding(
            Refused,
            format!("no encrypted connection: the server offers none, and tls = \"{demanded}\" demands one"),
            format!("Switch encryption (TLS) on in the database server, or, {NO_TLS}."),
        ),
        Some(TlsTrouble::TooOld) => finding(
            Refused,
            format!("no encrypted connection: the server's TLS is too old, the console needs {TLS_KNOWN}"),
            format!(
                "MySQL 5.6 and older, and 5.7 of some makers, have no newer one: use a newer database server, or, {NO_TLS}."
            ),
        ),
        None if app.database.tls == Tls::Verified => finding(
            Refused,
            format!("no encrypted connection: {cause}"),
            "Check whether the certificate is valid for this host name and whether the configured authority signed it.",
        ),
        None => finding(
            Refused,
            format!("no encrypted connection: {cause}"),
            format!("Check whether the database server offers {TLS_KNOWN}, or, {NO_TLS}."),
        ),
    }
}

/// Why a server's encryption cannot be used, apart from its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TlsTrouble {
    /// It offers none.
    None,
    /// It offers only versions or ciphers that are no longer safe.
    TooOld,
}

/// Recognizes the trouble in the messages of the driver and its TLS library.
fn tls_trouble(cause: &str) -> Option<TlsTrouble> {
    if cause.contains("does not support TLS") {
        return Some(TlsTrouble::None);
    }
    let too_old = ["ProtocolVersion", "HandshakeFailure", "ServerDoesNotSupportTls12Or13", "NoCipherSuitesInCommon"];
    // A server that does not understand the handshake may end the connection without an answer.
    let unanswered = cause.contains("handshake eof") || cause.contains("corrupt message");
    (unanswered || too_old.iter().any(|word| cause.contains(word))).then_some(TlsTrouble::TooOld)
}

/// Returns, in words, why a connection is not encrypted although encryption is preferred.
pub(super) fn unencrypted(cause: Option<&str>) -> String {
    match cause.map(tls_trouble) {
        None | Some(Some(TlsTrouble::None)) => "the server offers no encryption (TLS)".to_owned(),
        Some(Some(TlsTrouble::TooOld)) => format!("the server's TLS is too old, the console needs {TLS_KNOWN}"),
        Some(None) => format!("the server's TLS cannot be used ({})", visible_line(cause.unwrap_or_default())),
    }
}

/// An authentication method that the server requires and the driver does not support.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Method {
    backend: Backend,
    name: String,
}

impl Method {
    /// Recognizes the method in the driver's message at the handshake.
    fn asked_for(backend: Backend, cause: &str) -> Option<Self> {
        let word = |prefix: &str| {
            let (_, rest) = cause.split_once(prefix)?;
            // The location in the driver's source code follows in brackets.
            Some(rest.split(" (").next().unwrap_or(rest).trim().to_owned())
        };
        let name = match backend {
            Backend::MySql if cause.contains("mysql_cleartext_plugin disabled") => "mysql_clear_password".to_owned(),
            // A server before 5.5 requests it without its name.
            Backend::MySql if cause.contains("expected NUL in byte sequence") => OLD_PASSWORD.to_owned(),
            Backend::MySql => word("unknown authentication plugin: ")?,
            Backend::Postgres => match word("unknown authentication method: ") {
                Some(number) => match number.as_str() {
                    "2" => "Kerberos 5".to_owned(),
                    "6" => "scm".to_owned(),
                    "7" | "8" => "gss (Kerberos)".to_owned(),
                    "9" => "sspi (Windows)".to_owned(),
                    number => format!("number {number} of the protocol"),
                },
                None => word("unsupported SASL authentication mechanisms: ")?,
            },
            Backend::Sqlite => return None,
        };
        Some(Self { backend, name: visible_line(&name).to_string() })
    }

    fn finding(&self, app: &Application) -> Finding {
        let user = &app.database.user;
        let name = match self.name.as_str() {
            OLD_PASSWORD => "mysql_old_password (the form of passwords before MySQL 4.1)",
            "client_ed25519" => "ed25519",
            "dialog" => "PAM (dialog)",
            "auth_gssapi_client" => "GSSAPI (auth_gssapi_client)",
            "mysql_clear_password" => "mysql_clear_password (LDAP or PAM)",
            name => name,
        };
        let advice = match (self.backend, self.name.as_str()) {
            (Backend::Postgres, _) => {
                "In the server's pg_hba.conf allow this user from the console's address by scram-sha-256 or md5."
                    .to_owned()
            }
            (_, OLD_PASSWORD) => format!(
                "Store the password in the current format: SET old_passwords = 0; SET PASSWORD FOR '{user}'@'…' = \
                 PASSWORD('…')."
            ),
            _ => format!(
                "Give the user a method that the console knows (mysql_native_password, caching_sha2_password or \
                 sha256_password). MariaDB: ALTER USER '{user}'@'…' IDENTIFIED VIA mysql_native_password USING \
                 PASSWORD('…'). MySQL: ALTER USER '{user}'@'…' IDENTIFIED WITH caching_sha2_password BY '…'."
            ),
        };
        let what = format!("the server asks the user {user} to sign in by {name}, which the console does not know");
        finding(Refused, what, advice)
    }
}

const OLD_PASSWORD: &str = "mysql_old_password";

/// Returns the error of a statement that failed.
pub(super) fn statement(app: &Application, error: &Error) -> SourceError {
    tell(app, classify(app, error))
}

/// Returns whether the connection cannot be used any more after this error.
pub(super) fn ends_connection(error: &Error) -> bool {
    match error {
        Error::Database(error) => match error.try_downcast_ref::<MySqlDatabaseError>() {
            Some(error) => ends_mysql(error.number()),
            None => error
                .try_downcast_ref::<PgDatabaseError>()
                .is_some_and(|error| error.code().starts_with("57P") || error.code().starts_with("08")),
        },
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        _ => false,
    }
}

fn classify(app: &Application, error: &Error) -> Finding {
    if let Error::Database(refusal) = error {
        // A server can quote a row in its message.
        let message = &visible_line(refusal.message());
        let known = if let Some(error) = refusal.try_downcast_ref::<MySqlDatabaseError>() {
            mysql(app, error.number(), message)
        } else if let Some(error) = refusal.try_downcast_ref::<PgDatabaseError>() {
            postgres(app, error.code(), message)
        } else {
            // The lowest byte of SQLite's extended codes is the plain code.
            let code = refusal.code().and_then(|code| code.parse::<i64>().ok()).unwrap_or_default();
            sqlite(app, code & 0xff, message)
        };
        return known.unwrap_or_else(|| {
            // Viewers read this error, too, and the message can quote a value of a row.
            tracing::warn!(app = app.info.key, said = %message, "the database refused a statement");
            finding(
                Other,
                format!("the database says: {}", masking::fault(message)),
                "The log of the console has the whole message.",
            )
        });
    }
    if ends_connection(error) {
        return lost();
    }
    finding(Other, format!("the answer could not be read: {error}"), "The log of the console has the details.")
}

fn lost() -> Finding {
    finding(
        Lost,
        "the connection was lost before the answer came",
        "Check whether the database server was restarted; the console reconnects automatically.",
    )
}

fn mysql(app: &Application, number: u16, message: &str) -> Option<Finding> {
    Some(match number {
        1045 => password_refused(app),
        // The account belongs to a user of the operating system (unix_socket, auth_socket).
        1698 => finding(
            Refused,
            format!(
                "the user {} does not sign in with a password, but as a user of the server's own machine",
                app.database.user
            ),
            "Create an account with a password for the console; the documentation has the scripts.",
        ),
        1820 | 1862 => finding(
            Refused,
            format!("the password of the user {} has expired", app.database.user),
            "Give the user a new password, and the console the same one; an account of a program needs a password that does not \
             expire.",
        ),
        3118 | 4151 => finding(
            Refused,
            format!("the user {} is locked", app.database.user),
            "Unlock it (ALTER USER … ACCOUNT UNLOCK), or configure another one.",
        ),
        // The server refuses passwords of the old format (secure_auth), or reports that the console does not support
        // it.
        1251 | 1275 => Method { backend: Backend::MySql, name: OLD_PASSWORD.to_owned() }.finding(app),
        1524 => finding(
            Refused,
            format!("the user {} signs in by a method that the server does not have: {message}", app.database.user),
            "Give the user a method that both know: ALTER USER … IDENTIFIED WITH caching_sha2_password BY '…'.",
        ),
        _ if message.contains("require_secure_transport") => finding(
            Refused,
            "the server requires encryption (require_secure_transport)",
            format!("Set tls to \"required\" or \"verified\" for this application; the console needs {TLS_KNOWN}."),
        ),
        1044 => finding(
            Refused,
            format!("the user {} may not use the database {}", app.database.user, app.database.database),
            GRANT,
        ),
        1130 => finding(
            Refused,
            format!("the server does not allow the address of the console: {message}"),
            "Create the account for the address that the console connects from.",
        ),
        1049 => unknown_database(app),
        1040 | 1203 | 1226 => too_many_connections(message),
        1142 | 1143 | 1227 | 1370 => no_right(message),
        1146 | 1054 => not_there(message),
        // Statement timeouts (MySQL, MariaDB), interrupted.
        3024 | 1969 | 1317 => too_slow(app),
        // Lock wait timeout; a lock that the statement must not wait for.
        1205 | 3572 => locked(),
        1290 | 1792 | 1836 | 3989 => read_only(message),
        1213 => deadlock(),
        _ if ends_mysql(number) => lost(),
        _ => return None,
    })
}

/// Returns whether the error means shutdown in progress, connection aborted or killed, a network error seen by the
/// server, or a packet that is too long for it.
fn ends_mysql(number: u16) -> bool {
    matches!(number, 1053 | 1152 | 1153 | 1158..=1161 | 1184 | 1927 | 3169 | 4031)
}

fn postgres(app: &Application, code: &str, message: &str) -> Option<Finding> {
    Some(match code {
        "28P01" => password_refused(app),
        "28000" => finding(
            Refused,
            format!("the server refuses the user {}: {message}", app.database.user),
            "Check the account and the server's pg_hba.conf (who may connect from where and how).",
        ),
        "3D000" => unknown_database(app),
        "53300" => too_many_connections(message),
        "42501" => no_right(message),
        "42P01" | "42703" | "3F000" => not_there(message),
        "57014" => too_slow(app),
        "55P03" => locked(),
        "25006" => read_only(message),
        "40P01" | "40001" => deadlock(),
        "57P03" => finding(
            Unreachable,
            format!("the server is not ready: {message}"),
            "The server is starting or stopping; the console tries again automatically.",
        ),
        "22007" | "22008" => finding(
            Other,
            "the place in the list is not a time that the database knows",
            "Start again at the beginning of the list.",
        ),
        _ if code.starts_with("57P") || code.starts_with("08") => lost(),
        _ => return None,
    })
}

fn sqlite(app: &Application, code: i64, message: &str) -> Option<Finding> {
    let file = &app.database.database;
    Some(match code {
        14 => finding(
            Unreachable,
            format!("the file {file} cannot be opened"),
            "Check whether the file is there and whether the console may read it.",
        ),
        26 | 11 => finding(
            Other,
            format!("the file {file} is not a valid SQLite database: {message}"),
            "Check the path. If it is right, restore the file from a copy.",
        ),
        9 => too_slow(app),
        5 | 6 => locked(),
        8 => read_only(message),
        3 | 23 => no_right(message),
        1 if message.contains("no such table") || message.contains("no such column") => not_there(message),
        _ => return None,
    })
}

fn password_refused(app: &Application) -> Finding {
    finding(
        Refused,
        format!("the password of the user {} was refused", app.database.user),
        "Correct the user or the password in the configuration. The user must be allowed to connect from the console's address.",
    )
}

fn unknown_database(app: &Application) -> Finding {
    finding(
        Refused,
        format!("the server has no database {}", app.database.database),
        "Correct the database's name in the configuration.",
    )
}

fn too_many_connections(message: &str) -> Finding {
    finding(
        Unreachable,
        format!("the server takes no more connections: {message}"),
        "Other programs use all connections. Wait, or raise the server's limit.",
    )
}

fn no_right(message: &str) -> Finding {
    finding(NotAllowed, format!("the account lacks a right: {message}"), GRANT)
}

fn not_there(message: &str) -> Finding {
    finding(
        NotHere,
        format!("something is missing: {message}"),
        "The schema may just have changed: the console reads the schema again. If this continues, run `check`.",
    )
}

fn read_only(message: &str) -> Finding {
    finding(
        NotAllowed,
        format!("the database does not allow writing: {message}"),
        "The database may be a replica or read-only. Configure the address that the application writes to.",
    )
}

fn deadlock() -> Finding {
    finding(Other, "the application changed the same rows at the same moment; nothing was written", "Try again.")
}

fn in_words(duration: Duration) -> String {
    if duration.subsec_millis() == 0 && duration.as_secs() > 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}
