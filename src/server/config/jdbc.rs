//! JDBC addresses, as in the old console's `application.yml`.
//!
//! Parameters that change how a connection is made are applied; every other is reported as ignored, so that no one
//! believes it is in force. Names and meanings are from the documentation of MySQL Connector/J, MariaDB Connector/J and
//! pgjdbc.

use std::{path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;

use crate::model::Backend;

use super::{Secret, Tls, address};

/// The allowed forms, for messages.
const ALLOWED: &str = "allowed are jdbc:mysql://host:port/database, jdbc:mariadb://host:port/database and \
                       jdbc:postgresql://host:port/database?currentSchema=schema (each also without the port)";

/// The parts of a JDBC address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Jdbc {
    pub backend: Backend,
    pub host: String,
    pub port: u16,
    pub database: String,
    pub schema: Option<String>,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub tls: Tls,
    pub ca: Option<PathBuf>,
    pub connect_timeout: Option<Duration>,
    pub statement_timeout: Option<Duration>,
    /// Parameters that are ignored or interpreted differently, a sentence each, without values.
    pub notes: Vec<String>,
}

/// Reads a JDBC address.
///
/// # Errors
/// Returns the reason, which never quotes the address: it may contain a password.
pub(super) fn parse(text: &str) -> Result<Jdbc, String> {
    let rest = text.trim().strip_prefix("jdbc:").ok_or_else(|| format!("is not a JDBC address; {ALLOWED}"))?;
    let (driver, rest) = rest.split_once(':').ok_or_else(|| format!("is not a JDBC address; {ALLOWED}"))?;
    let backend = match driver {
        "mysql" | "mariadb" => Backend::MySql,
        "postgresql" => Backend::Postgres,
        _ => return Err(format!("has a driver that is not known; {ALLOWED}")),
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut jdbc = place_of(backend, place)?;
    let tls = TlsWords { checks_by_itself: driver == "mariadb", ..TlsWords::default() };
    apply(&mut jdbc, &parameters(query), tls);
    Ok(jdbc)
}

fn place_of(backend: Backend, place: &str) -> Result<Jdbc, String> {
    let (authority, database) = match place.strip_prefix("//") {
        Some(place) => place.split_once('/').unwrap_or((place, "")),
        // pgjdbc's short form: a database on this machine. For the driver, slashes with nothing between them mean the
        // same, but they indicate a template that was not filled in.
        None if backend == Backend::Postgres => ("localhost", place),
        None => return Err(format!("has no // after the driver; {ALLOWED}")),
    };
    let (login, authority) = match authority.rsplit_once('@') {
        Some((login, authority)) => (Some(login), authority),
        None => (None, authority),
    };
    let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
        Some((user, password)) => (Some(decoded(user)), Some(Secret::new(decoded(password)))),
        None => (None, None),
    };
    let (host, port) = address::host_and_port(authority, address::usual_port(backend))?;
    Ok(Jdbc {
        backend,
        host,
        port,
        database: address::database_name(&decoded(database))?,
        schema: None,
        user,
        password,
        tls: Tls::Preferred,
        ca: None,
        connect_timeout: None,
        statement_timeout: None,
        notes: Vec::new(),
    })
}

/// Removes the percent encoding of a part of an address; returns it unchanged if the result is not UTF-8.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), |decoded| decoded.into_owned())
}

/// Returns name and value of each parameter. `;` between them, and `&amp;` from an XML file, occur in practice.
fn parameters(query: &str) -> Vec<(String, String)> {
    query
        .replace("&amp;", "&")
        .split(['&', ';'])
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn apply(jdbc: &mut Jdbc, parameters: &[(String, String)], mut tls: TlsWords) {
    for (name, value) in parameters {
        match (jdbc.backend, name.to_ascii_lowercase().as_str()) {
            (_, "user") => jdbc.user = Some(value.clone()),
            (_, "password") => jdbc.password = Some(Secret::new(value.clone())),
            (_, "connecttimeout") => jdbc.connect_timeout = timeout(jdbc, name, value),
            (_, "sockettimeout") => jdbc.statement_timeout = timeout(jdbc, name, value),
            (Backend::Postgres, "currentschema") => schema(jdbc, value),
            (Backend::Postgres, "sslrootcert") => jdbc.ca = Some(PathBuf::from(value)),
            (Backend::MySql, "servertimezone" | "connectiontimezone") => jdbc
                .notes
                .push(format!("{name} is not needed and ignored: MySQL's TIMESTAMP is an instant and is read as one")),
            (_, known) if tls.takes(jdbc.backend, known, value) => {}
            _ => jdbc.notes.push(ignored(name)),
        }
    }
    jdbc.tls = tls.meaning(jdbc);
    if jdbc.tls != Tls::Verified && jdbc.ca.take().is_some() {
        jdbc.notes.push("sslrootcert is ignored: without sslmode=verify-full nothing is checked against it".to_owned());
    }
}

/// Reports an ignored parameter by name, unless it is not a name: a misplaced password must not be printed.
fn ignored(name: &str) -> String {
    let is_name = name.len() <= 60 && name.chars().all(|char| char.is_ascii_alphabetic() || "._".contains(char));
    let name = if is_name { name } else { "a parameter whose name is none" };
    format!("{name} is ignored")
}

fn schema(jdbc: &mut Jdbc, value: &str) {
    let mut schemas = value.split(',').map(str::trim).filter(|schema| !schema.is_empty());
    jdbc.schema = schemas.next().map(str::to_owned);
    if schemas.next().is_some() {
        jdbc.notes.push("currentSchema names several schemas: only the first one is used".to_owned());
    }
}

/// Connector/J counts timeouts in milliseconds, pgjdbc in seconds; 0 means none. The console's own bounds apply.
fn timeout(jdbc: &mut Jdbc, name: &str, value: &str) -> Option<Duration> {
    let duration = match (value.parse().ok(), jdbc.backend) {
        (None | Some(0), _) => {
            jdbc.notes.push(format!("{name} is ignored: it sets no limit, and the console always has one"));
            return None;
        }
        (Some(seconds), Backend::Postgres) => Duration::from_secs(seconds),
        (Some(milliseconds), _) => Duration::from_millis(milliseconds),
    };
    let bounded = duration.clamp(super::toml_file::TIMEOUT.0, super::toml_file::TIMEOUT.1);
    if bounded != duration {
        jdbc.notes.push(format!("{name} is outside of 1 second to 10 minutes: the nearest allowed value is used"));
    }
    Some(bounded)
}

/// TLS parameters, before they are combined.
#[derive(Debug, Default)]
struct TlsWords {
    /// MariaDB's driver checks the certificate with useSsl=true; MySQL's needs another parameter for that.
    checks_by_itself: bool,
    /// sslMode and sslmode: the most explicit parameter, which overrides the others.
    mode: Option<Tls>,
    /// The mode says to check the certificate but not the host's name.
    without_name: bool,
    /// useSSL and ssl.
    wanted: Option<bool>,
    required: bool,
    verify: Option<bool>,
}

impl TlsWords {
    /// Reads a TLS parameter; returns `false` if it is not one, or if its value means nothing.
    fn takes(&mut self, backend: Backend, name: &str, value: &str) -> bool {
        let value = value.to_ascii_lowercase();
        // pgjdbc reads `ssl` without a value as true.
        let yes = match value.as_str() {
            "true" | "yes" | "1" | "" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => None,
        };
        match (backend, name, yes) {
            (_, "sslmode", _) => {
                self.mode = mode(&value);
                self.without_name = matches!(value.as_str(), "verify_ca" | "verify-ca");
            }
            (Backend::MySql, "usessl", Some(yes)) | (Backend::Postgres, "ssl", Some(yes)) => self.wanted = Some(yes),
            (Backend::MySql, "requiressl", Some(yes)) => self.required = yes,
            (Backend::MySql, "verifyservercertificate", Some(yes)) => self.verify = Some(yes),
            (Backend::MySql, "trustservercertificate", Some(yes)) => self.verify = Some(!yes),
            (Backend::Postgres, "sslfactory", _) if value.ends_with("nonvalidatingfactory") => {
                self.verify = Some(false)
            }
            _ => return false,
        }
        name != "sslmode" || self.mode.is_some()
    }

    fn meaning(&self, jdbc: &mut Jdbc) -> Tls {
        if let Some(mode) = self.mode {
            if self.without_name {
                jdbc.notes.push(
                    "the host's name in the certificate is checked as well, which verify-ca leaves out".to_owned(),
                );
            }
            return mode;
        }
        match (jdbc.backend, self.wanted) {
            (_, Some(false)) => Tls::Off,
            // With ssl=true pgjdbc checks the certificate, too, unless the factory says otherwise.
            (Backend::Postgres, Some(true)) if self.verify != Some(false) => {
                jdbc.notes.push("ssl=true is read as sslmode=verify-full, as the driver does".to_owned());
                Tls::Verified
            }
            (Backend::Postgres, Some(true)) => Tls::Required,
            (Backend::MySql, Some(true)) if self.verify.unwrap_or(self.checks_by_itself) => Tls::Verified,
            (Backend::MySql, Some(true)) if self.checks_by_itself => Tls::Required,
            (Backend::MySql, _) if self.required => Tls::Required,
            _ => Tls::Preferred,
        }
    }
}

fn mode(word: &str) -> Option<Tls> {
    Some(match word.replace('-', "_").as_str() {
        "disable" | "disabled" => Tls::Off,
        "allow" | "prefer" | "preferred" => Tls::Preferred,
        // MariaDB's "trust": encrypted, the certificate is not checked.
        "require" | "required" | "trust" => Tls::Required,
        "verify_ca" | "verify_full" | "verify_identity" => Tls::Verified,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(text: &str) -> Vec<String> {
        parse(text).unwrap().notes
    }

    #[test]
    fn places_are_read_in_every_form_of_the_field() {
        for (text, backend, host, port, database) in [
            ("jdbc:mysql://openmrsdb/openmrs", Backend::MySql, "openmrsdb", 3306, "openmrs"),
            ("jdbc:mysql://10.1.2.3:3307/openmrs?useSSL=false", Backend::MySql, "10.1.2.3", 3307, "openmrs"),
            ("jdbc:mariadb://db/crater", Backend::MySql, "db", 3306, "crater"),
            ("jdbc:postgresql://odoodb:5433/odoo", Backend::Postgres, "odoodb", 5433, "odoo"),
            ("jdbc:postgresql://[2001:db8::1]/odoo", Backend::Postgres, "2001:db8::1", 5432, "odoo"),
            ("jdbc:postgresql:odoo", Backend::Postgres, "localhost", 5432, "odoo"),
            ("jdbc:postgresql://db/my%20base", Backend::Postgres, "db", 5432, "my base"),
        ] {
            let jdbc = parse(text).unwrap();
            assert_eq!(
                (jdbc.backend, jdbc.host.as_str(), jdbc.port, jdbc.database.as_str()),
                (backend, host, port, database)
            );
        }
    }

    #[test]
    fn an_address_that_leads_nowhere_says_what_it_has_not() {
        for (text, reason) in [
            ("jdbc:mysql:///openmrs", "names no host"),
            ("jdbc:mysql://:3306/openmrs", "names no host"),
            ("jdbc:postgresql:///odoo", "names no host"),
            ("jdbc:postgresql:///", "names no host"),
            ("jdbc:postgresql://", "names no host"),
            ("jdbc:postgresql:", "names no database"),
            ("jdbc:mysql://db/", "names no database"),
            ("jdbc:mysql://db", "names no database"),
            ("jdbc:mysql://db/?useSSL=false", "names no database"),
            ("jdbc:h2:mem:s3cr3t;DB_CLOSE_DELAY=-1", "has a driver that is not known"),
            ("jdbc:oracle:thin:@s3cr3t:1521/x", "has a driver that is not known"),
            ("jdbc:mysql:replication://a,b/s3cr3t", "has no // after the driver"),
            ("jdbc:mysql://a,b/s3cr3t", "has a host with characters"),
            ("", "is not a JDBC address"),
        ] {
            let told = parse(text).expect_err(text);
            assert!(told.starts_with(reason) && !told.contains("s3cr3t"), "{text}: {told}");
        }
    }

    #[test]
    fn the_schema_of_openelis_is_found() {
        let jdbc = parse("jdbc:postgresql://openelisdb/clinlims?currentSchema=clinlims").unwrap();
        assert_eq!((jdbc.schema.as_deref(), jdbc.notes.len()), (Some("clinlims"), 0));
        let jdbc = parse("jdbc:postgresql://db/x?currentSchema=clinlims,public").unwrap();
        assert_eq!(jdbc.schema.as_deref(), Some("clinlims"));
        assert!(jdbc.notes[0].contains("only the first"), "{:?}", jdbc.notes);
    }

    #[test]
    fn tls_parameters_mean_what_the_drivers_say() {
        for (text, tls) in [
            ("jdbc:mysql://h/d", Tls::Preferred),
            ("jdbc:mysql://h/d?useSSL=false", Tls::Off),
            ("jdbc:mysql://h/d?useSSL=true", Tls::Preferred),
            ("jdbc:mysql://h/d?useSSL=true&requireSSL=true", Tls::Required),
            ("jdbc:mysql://h/d?useSSL=true&verifyServerCertificate=true", Tls::Verified),
            ("jdbc:mysql://h/d?requireSSL=true&amp;verifyServerCertificate=false", Tls::Required),
            ("jdbc:mysql://h/d?sslMode=VERIFY_IDENTITY&useSSL=false", Tls::Verified),
            ("jdbc:mysql://h/d?sslMode=DISABLED", Tls::Off),
            ("jdbc:mariadb://h/d?sslMode=trust", Tls::Required),
            ("jdbc:mariadb://h/d?useSsl=true", Tls::Verified),
            ("jdbc:mariadb://h/d?useSsl=true&trustServerCertificate=true", Tls::Required),
            ("jdbc:postgresql://h/d?sslmode=require", Tls::Required),
            ("jdbc:postgresql://h/d?sslmode=verify-ca", Tls::Verified),
            ("jdbc:postgresql://h/d?ssl", Tls::Verified),
            ("jdbc:postgresql://h/d?ssl=true&sslfactory=org.postgresql.ssl.NonValidatingFactory", Tls::Required),
        ] {
            assert_eq!(parse(text).unwrap().tls, tls, "{text}");
        }
    }

    #[test]
    fn timeouts_are_counted_as_each_driver_counts() {
        let jdbc = parse("jdbc:mysql://h/d?connectTimeout=7000&socketTimeout=60000").unwrap();
        assert_eq!(jdbc.connect_timeout, Some(Duration::from_secs(7)));
        assert_eq!(jdbc.statement_timeout, Some(Duration::from_secs(60)));
        let jdbc = parse("jdbc:postgresql://h/d?connectTimeout=7&socketTimeout=0").unwrap();
        assert_eq!((jdbc.connect_timeout, jdbc.statement_timeout), (Some(Duration::from_secs(7)), None));
        assert_eq!(jdbc.notes.len(), 1);
        let jdbc = parse("jdbc:postgresql://h/d?socketTimeout=99999").unwrap();
        assert_eq!(jdbc.statement_timeout, Some(Duration::from_secs(600)));
    }

    #[test]
    fn every_other_parameter_is_named_as_ignored() {
        assert_eq!(
            notes("jdbc:mysql://h/d?autoReconnect=true&characterEncoding=UTF-8"),
            ["autoReconnect is ignored", "characterEncoding is ignored"]
        );
        assert!(notes("jdbc:mysql://h/d?serverTimezone=Asia/Kolkata")[0].starts_with("serverTimezone is not needed"));
        assert!(notes("jdbc:postgresql://h/d?sslmode=verify-ca")[0].contains("host's name"));
        assert_eq!(notes("jdbc:postgresql://h/d?sslmode=nonsense"), ["sslmode is ignored"]);
    }

    #[test]
    fn a_login_in_the_address_is_used_and_never_shown() {
        for text in [
            "jdbc:mysql://root:s3cr3t%2DPa55@h/d?x%20s3cr3t-Pa55=1",
            "jdbc:postgresql://h/d?user=root&password=s3cr3t-Pa55&socketTimeout=s3cr3t-Pa55&sslmode=s3cr3t-Pa55",
        ] {
            let jdbc = parse(text).unwrap();
            assert_eq!(jdbc.user.as_deref(), Some("root"));
            assert_eq!(jdbc.password.as_ref().map(Secret::reveal), Some("s3cr3t-Pa55"));
            assert!(!format!("{jdbc:?}").contains("s3cr3t"), "{jdbc:?}");
        }
        for text in
            ["mysql://root:s3cr3t@h/d", "jdbc:s3cr3t", "jdbc:mysql:s3cr3t", "jdbc:mysql://a:s3cr3t/d", "jdbc:h2:s3cr3t"]
        {
            assert!(!parse(text).expect_err(text).contains("s3cr3t"));
        }
    }
}
