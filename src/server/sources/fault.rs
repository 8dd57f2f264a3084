//! What a database's refusal means to a person: the driver's errors turned into sentences.
//!
//! Every reason names the application and the address. No sentence holds a password: the drivers' messages have none,
//! and nothing else is put in.

use std::{io, time::Duration};

use sqlx::{Error, mysql::MySqlDatabaseError, postgres::PgDatabaseError};

use crate::{
    model::{Backend, error_text::visible_line},
    server::config::{Application, Tls},
};

use super::{SourceError, SourceErrorKind};

use SourceErrorKind::{Lost, NotAllowed, NotHere, Other, Refused, TimedOut, Unreachable};

/// A sentence on what happened and one on what to do, without the application's name yet.
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

/// No connection within the connect timeout.
pub(super) fn connect_timeout(app: &Application) -> SourceError {
    tell(
        app,
        finding(
            TimedOut,
            format!("no connection within {}", in_words(app.connect_timeout)),
            "See whether the database server runs and whether a firewall lets the console through to it.",
        ),
    )
}

/// Every connection of the pool is in use.
pub(super) fn busy(app: &Application) -> SourceError {
    tell(
        app,
        finding(
            Unreachable,
            format!("all {} connections are in use and none became free", app.pool_size),
            "Try again in a moment. If it happens often, raise the application's pool size.",
        ),
    )
}

/// The statement took longer than it may.
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

/// Something this needs is not there.
pub(super) fn not_here(app: &Application, what: &str) -> SourceError {
    tell(
        app,
        finding(
            NotHere,
            what,
            "See whether the configured database and schema are the right ones; `check` lists what was found.",
        ),
    )
}

/// The account, the schema or the configuration forbids it.
pub(super) fn not_allowed(app: &Application, what: &str) -> SourceError {
    tell(app, finding(NotAllowed, what, GRANT))
}

/// What to do about a missing right.
const GRANT: &str = "Grant the account the right that is missing (the documentation has the scripts), or leave the \
                     application for looking only.";

/// A connection that could not be made.
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
                "See whether the database server runs, and whether host and port are right.",
            ),
            io::ErrorKind::TimedOut => finding(
                TimedOut,
                format!("no connection to {place}: the network did not answer in time"),
                "See whether the host is up and whether a firewall lets the console through to it.",
            ),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => finding(
                Unreachable,
                format!("{place} ended the connection before it was ready"),
                "The database server may be starting or stopping; the console tries again by itself.",
            ),
            io::ErrorKind::InvalidData => tls_finding(app, &io.to_string()),
            _ if io.to_string().contains("lookup address") => finding(
                Unreachable,
                format!("the host name {} is not known", database.host),
                "Correct the host name, or see whether the name service answers where the console runs.",
            ),
            _ => finding(
                Unreachable,
                format!("no connection to {place}: {io}"),
                "See whether the database server runs and can be reached from where the console runs.",
            ),
        },
        Error::Tls(cause) => tls_finding(app, &cause.to_string()),
        Error::Protocol(_) => finding(
            Unreachable,
            format!("{place} did not answer as a database server of this kind does"),
            "The server may be starting or stopping; if it stays, see whether the port belongs to another program.",
        ),
        other => finding(
            Other,
            format!("no connection to {place}: {other}"),
            "See whether the address belongs to a database of the configured kind.",
        ),
    }
}

fn tls_finding(app: &Application, cause: &str) -> Finding {
    let advice = match app.database.tls {
        Tls::Verified => {
            "See whether the certificate is valid for this host name and whether the configured \
                          authority signed it."
        }
        _ => "See whether the database server offers TLS 1.2 or newer, or choose another TLS setting.",
    };
    finding(Refused, format!("no encrypted connection: {cause}"), advice)
}

/// A statement that failed.
pub(super) fn statement(app: &Application, error: &Error) -> SourceError {
    tell(app, classify(app, error))
}

/// Whether the connection is of no use any more after this error.
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
        // A server can quote a row in it.
        let message = &visible_line(refusal.message());
        let known = if let Some(error) = refusal.try_downcast_ref::<MySqlDatabaseError>() {
            mysql(app, error.number(), message)
        } else if let Some(error) = refusal.try_downcast_ref::<PgDatabaseError>() {
            postgres(app, error.code(), message)
        } else {
            // SQLite's extended codes carry the plain one in the lowest byte.
            let code = refusal.code().and_then(|code| code.parse::<i64>().ok()).unwrap_or_default();
            sqlite(app, code & 0xff, message)
        };
        return known.unwrap_or_else(|| {
            finding(
                Other,
                format!("the database says: {message}"),
                "The console's log and the database's log say more.",
            )
        });
    }
    if ends_connection(error) {
        return lost();
    }
    finding(Other, format!("the answer could not be read: {error}"), "The console's log says more.")
}

fn lost() -> Finding {
    finding(
        Lost,
        "the connection was lost before the answer came",
        "See whether the database server was restarted; the console connects again by itself.",
    )
}

fn mysql(app: &Application, number: u16, message: &str) -> Option<Finding> {
    Some(match number {
        1045 | 1698 | 1862 => password_refused(app),
        1044 => finding(
            Refused,
            format!("the user {} may not use the database {}", app.database.user, app.database.database),
            GRANT,
        ),
        1130 => finding(
            Refused,
            format!("the server does not let the console's address in: {message}"),
            "Create the account for the address that the console connects from.",
        ),
        1049 => unknown_database(app),
        1040 | 1203 | 1226 => too_many_connections(message),
        1142 | 1143 | 1227 | 1370 => no_right(message),
        1146 | 1054 => not_there(message),
        // Statement timeouts (MySQL, MariaDB), interrupted, lock wait timeout.
        3024 | 1969 | 1317 | 1205 => too_slow(app),
        1290 | 1792 | 1836 | 3989 => read_only(message),
        1213 => deadlock(),
        _ if ends_mysql(number) => lost(),
        _ => return None,
    })
}

/// Shutdown in progress, connection aborted or killed, network errors as the server saw them.
fn ends_mysql(number: u16) -> bool {
    matches!(number, 1053 | 1152 | 1158..=1161 | 1184 | 1927 | 3169 | 4031)
}

fn postgres(app: &Application, code: &str, message: &str) -> Option<Finding> {
    Some(match code {
        "28P01" => password_refused(app),
        "28000" => finding(
            Refused,
            format!("the server refuses the user {}: {message}", app.database.user),
            "See the account and the server's pg_hba.conf, which says who may connect from where and how.",
        ),
        "3D000" => unknown_database(app),
        "53300" => too_many_connections(message),
        "42501" => no_right(message),
        "42P01" | "42703" | "3F000" => not_there(message),
        "57014" | "55P03" => too_slow(app),
        "25006" => read_only(message),
        "40P01" | "40001" => deadlock(),
        "57P03" => finding(
            Unreachable,
            format!("the server is not ready: {message}"),
            "It is starting or stopping; the console tries again by itself.",
        ),
        "22007" | "22008" => finding(
            Other,
            "the place in the list is no time that the database knows",
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
            "See whether the file is there and whether the console may read it.",
        ),
        26 | 11 => finding(
            Other,
            format!("the file {file} is not a sound SQLite database: {message}"),
            "See whether the path is right; restore the file from a copy if it is.",
        ),
        5 | 6 | 9 => too_slow(app),
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
        "Correct the user or the password in the configuration. The user must be allowed in from the console's address.",
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
        "Other programs hold them all. Wait, or raise the server's limit.",
    )
}

fn no_right(message: &str) -> Finding {
    finding(NotAllowed, format!("the account lacks a right: {message}"), GRANT)
}

fn not_there(message: &str) -> Finding {
    finding(
        NotHere,
        format!("something expected is not there: {message}"),
        "The schema may just have changed; the console reads it anew. If it stays, `check` lists what was found.",
    )
}

fn read_only(message: &str) -> Finding {
    finding(
        NotAllowed,
        format!("the database does not let anything be written: {message}"),
        "It may be a replica or set read-only. Configure the address of the one that the application writes to.",
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
