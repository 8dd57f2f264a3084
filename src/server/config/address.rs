//! Database addresses in the console's file: `mysql://host:port/database`, `postgres://host/database`, `sqlite:file`.
//!
//! An address never contains the user or the password: those are separate settings, so that an address can be shown.

use std::{
    net::Ipv6Addr,
    path::{Path, PathBuf},
};

use crate::model::Backend;

/// The allowed forms, for messages.
pub(super) const ALLOWED: &str = "allowed are mysql://host:port/database, postgres://host:port/database (both also without \
                                  the port) and sqlite:file";

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Server { backend: Backend, host: String, port: u16, database: String },
    File(PathBuf),
}

/// The default port of this kind of server.
pub(super) fn usual_port(backend: Backend) -> u16 {
    match backend {
        Backend::MySql => 3306,
        Backend::Postgres => 5432,
        Backend::Sqlite => 0,
    }
}

/// Reads an address. A relative SQLite file is relative to `dir`, the configuration's folder.
///
/// # Errors
/// Returns the reason, which never quotes the address: it may contain a password.
pub(super) fn parse(text: &str, dir: &Path) -> Result<Address, String> {
    if let Some(file) = text.strip_prefix("sqlite:") {
        let file = file.strip_prefix("//").unwrap_or(file);
        if file.is_empty() || file.contains('\0') {
            return Err(format!("names no file; {ALLOWED}"));
        }
        return Ok(Address::File(dir.join(file)));
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("is not an address of a database; {ALLOWED}"))?;
    let backend = match scheme {
        "mysql" | "mariadb" => Backend::MySql,
        "postgres" | "postgresql" => Backend::Postgres,
        _ => return Err(format!("begins with a word that is not known; {ALLOWED}")),
    };
    if rest.contains('@') {
        return Err("holds a user or a password; use the keys user and password or password_file".to_owned());
    }
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    if database.contains(['?', '#']) {
        return Err(
            "has parameters after the database's name; use the keys tls, time_zone, connect_timeout and others"
                .to_owned(),
        );
    }
    let (host, port) = host_and_port(authority, usual_port(backend))?;
    Ok(Address::Server { backend, host, port, database: database_name(database)? })
}

/// Reads `host`, `host:port` or `[IPv6]:port`.
pub(super) fn host_and_port(text: &str, usual: u16) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("has a \"[\" without a \"]\" in the host")?;
            host.parse::<Ipv6Addr>().map_err(|_| "has no IPv6 address between \"[\" and \"]\"")?;
            (
                host,
                if after.is_empty() {
                    None
                } else {
                    Some(
                        after
                            .strip_prefix(':')
                            .ok_or("has something after the \"]\" of the host that is not a port")?,
                    )
                },
            )
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err("names no host; for a database on this machine write localhost".to_owned());
    }
    let plain = |char: char| char.is_alphanumeric() || "-_.:".contains(char);
    if !host.chars().all(plain) {
        return Err("has a host with characters that no host has (several hosts are not supported)".to_owned());
    }
    let port = match port {
        None => usual,
        Some(port) => {
            port.parse().ok().filter(|port| *port > 0).ok_or("has a port that is not a number from 1 to 65535")?
        }
    };
    Ok((host.to_owned(), port))
}

/// Checks the database's name after the slash.
pub(super) fn database_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("names no database after the host".to_owned())
    } else if text.contains('/') || text.chars().any(char::is_control) {
        Err("has a \"/\" or a control character in the database's name".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// Formats an address for display: host, port and database, or the file's name.
pub(super) fn shown(address: &Address) -> String {
    match address {
        Address::Server { host, port, database, .. } if host.contains(':') => format!("[{host}]:{port}/{database}"),
        Address::Server { host, port, database, .. } => format!("{host}:{port}/{database}"),
        Address::File(file) => file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(backend: Backend, host: &str, port: u16, database: &str) -> Address {
        Address::Server { backend, host: host.into(), port, database: database.into() }
    }

    #[test]
    fn addresses_are_read_with_and_without_port() {
        for (text, expected, people) in [
            ("mysql://db/openmrs", server(Backend::MySql, "db", 3306, "openmrs"), "db:3306/openmrs"),
            ("mariadb://db:3307/x", server(Backend::MySql, "db", 3307, "x"), "db:3307/x"),
            ("postgres://10.0.0.7/odoo", server(Backend::Postgres, "10.0.0.7", 5432, "odoo"), "10.0.0.7:5432/odoo"),
            ("postgresql://[::1]:99/x", server(Backend::Postgres, "::1", 99, "x"), "[::1]:99/x"),
            ("sqlite:elis.db", Address::File("/etc/console/elis.db".into()), "elis.db"),
            ("sqlite:///data/elis.db", Address::File("/data/elis.db".into()), "elis.db"),
        ] {
            let address = parse(text, Path::new("/etc/console")).unwrap();
            assert_eq!(address, expected, "{text}");
            assert_eq!(shown(&address), people);
        }
    }

    #[test]
    fn bad_addresses_are_refused_without_being_quoted() {
        for text in [
            "",
            "s3cr3t",
            "oracle://s3cr3t/x",
            "mysql:/s3cr3t",
            "mysql://root:s3cr3t@db/x",
            "mysql://db/x?password=s3cr3t",
            "mysql://db",
            "mysql:///s3cr3t",
            "mysql://db:s3cr3t/x",
            "mysql://db:0/x",
            "mysql://db:70000/x",
            "mysql://a,b/x",
            "postgres://[s3cr3t]/x",
            "postgres://[::1/x",
            "postgres://[::1]s3cr3t/x",
            "postgres://db/a/s3cr3t",
            "sqlite:",
        ] {
            let reason = parse(text, Path::new(".")).expect_err(text);
            assert!(!reason.contains("s3cr3t"), "{text}: {reason}");
        }
    }
}
