//! The configuration: command line, environment, file and `Leptos.toml`, checked as a whole before anything starts.
//!
//! All errors are found before the console starts and are reported at once: an administrator who corrects a file over a
//! slow connection must not do it error by error. No message ever quotes a value, because a value can be a misplaced
//! password; file, line and key are enough.
//!
//! This module reads files and the environment it is given. It opens no database and no socket.

mod access;
mod address;
mod command;
mod concerns;
mod entries;
mod environment;
mod faults;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod jdbc;
mod layers;
mod names;
mod old_yaml;
mod presets;
mod secrecy;
mod toml_file;

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use leptos::config::LeptosOptions;

use crate::{
    model::{ApplicationInfo, Backend, Person, Right, Role, record::PersonsShown},
    paths::Base,
};

pub use access::{
    Access, AuthMode, DemoAccounts, Mode, NamedToken, NetworkSettings, Openmrs, Origin, Proxy, RoleNames,
};
pub use command::Command;
pub use concerns::ConcernLayer;
pub use entries::{Unconfigured, in_configured_order};
pub use environment::Environment;
pub use faults::{Fault, Refused};
pub use layers::{CommandLine, demo, leptos_options, load};
pub use presets::limits as usual_limits;

/// A password or token. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the secret itself; for the database driver and for hashing only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How the connection to a database is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    Off,
    /// Encrypted if the server offers it; the certificate is not checked.
    #[default]
    Preferred,
    /// Always encrypted; the certificate is not checked.
    Required,
    /// Always encrypted; certificate and host name are checked, against `ca` or the system's authorities.
    Verified,
}

/// Address and login of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    pub backend: Backend,
    /// Host name or address; empty for SQLite.
    pub host: String,
    pub port: u16,
    /// The database's name; the file for SQLite.
    pub database: String,
    /// PostgreSQL: the schema that holds the tables. `None`: `public`.
    pub schema: Option<String>,
    pub user: String,
    pub password: Secret,
    pub tls: Tls,
    /// A PEM file with the authorities that [`Tls::Verified`] trusts.
    pub ca: Option<PathBuf>,
}

/// One application as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    /// What pages may show.
    pub info: ApplicationInfo,
    pub database: Database,
    /// The time zone of columns without one.
    pub time_zone: chrono_tz::Tz,
    /// Maximum number of connections.
    pub pool_size: u32,
    pub connect_timeout: Duration,
    /// The maximum duration of one statement.
    pub statement_timeout: Duration,
    /// Time between two polls.
    pub refresh: Duration,
    /// Concern settings of this application alone; those in force are in `info`.
    pub own_concerns: ConcernLayer,
    /// How to request a feed that it publishes. `None`: it is not requested.
    pub probe: Option<ProbeSettings>,
}

/// How the console requests a feed of a publisher, to see what consumers get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSettings {
    /// The address of the feed. No other origin is requested.
    pub address: String,
    /// Time between two requests.
    pub every: Duration,
    pub login: ProbeLogin,
}

/// How the probe signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeLogin {
    Nobody,
    /// Name and password with every request.
    Basic {
        user: String,
        password: Secret,
    },
    /// Name and password once, at an address that sets a cookie.
    Session {
        address: String,
        user: String,
        password: Secret,
    },
}

/// How the console writes its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogForm {
    /// One line per message, for people.
    #[default]
    Plain,
    /// One object per line, for programs.
    Json,
}

impl LogForm {
    /// The words of the configuration file.
    const WORDS: [(&'static str, LogForm); 2] = [("plain", LogForm::Plain), ("json", LogForm::Json)];
}

/// How much the console writes to its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The words of the configuration file.
    const WORDS: [(&'static str, LogLevel); 5] = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];

    /// Returns the word of the configuration file, which `tracing` uses, too.
    pub fn word(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// What pages show of the records behind events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordSettings {
    /// Records are looked up at all.
    pub enabled: bool,
    /// The lowest role that sees names of persons; `None`: nobody.
    pub names: Option<Role>,
}

impl Default for RecordSettings {
    fn default() -> Self {
        Self { enabled: true, names: Some(Role::Administrator) }
    }
}

impl RecordSettings {
    /// Returns how much of the persons behind records someone may see. Without the right to read payloads, nothing.
    pub fn shown_to(self, person: &Person) -> PersonsShown {
        match self.names {
            _ if !self.enabled || !person.may(Right::Read) => PersonsShown::Nothing,
            Some(role) if person.role >= role => PersonsShown::Names,
            _ => PersonsShown::Identifiers,
        }
    }
}

/// Everything the console needs to start.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub base: Base,
    /// The store's SQLite file.
    pub store: PathBuf,
    /// Builds the commands that act on this console.
    pub command: Command,
    pub log: LogForm,
    pub log_level: LogLevel,
    /// Name of the hospital, shown on every page and on paper.
    pub hospital: Option<String>,
    /// Nothing is ever written to any application, and every application is shown as read-only.
    pub read_only: bool,
    /// Users without [`crate::model::Right::Read`] see error texts and payloads masked.
    pub mask_texts: bool,
    /// What pages show of the records behind events.
    pub records: RecordSettings,
    /// Age at which audit entries are removed; `None`: never.
    pub audit_keep: Option<Duration>,
    /// Who may sign in, and how.
    pub access: Access,
    /// How requests reach the console.
    pub network: NetworkSettings,
    /// The applications that can be connected to.
    pub applications: Vec<Application>,
    /// Applications whose entry lacks what a connection needs, in the order of their positions.
    pub unconfigured: Vec<Unconfigured>,
    /// How long discarded failed events can be restored; `None`: forever.
    pub keep_discarded: Option<chrono::TimeDelta>,
    /// How long the history of events removed from their table is kept; `None`: forever.
    pub keep_history: Option<chrono::TimeDelta>,
    /// The applications are the demo hospital.
    pub demo: bool,
    /// Notices for the administrator, such as ignored JDBC parameters and assumed kinds.
    pub warnings: Vec<String>,
    /// From `Leptos.toml` if it exists, otherwise built in.
    pub leptos: LeptosOptions,
}

impl Config {
    /// Returns what pages may show of every application in configured order, including those that are not configured.
    pub fn infos(&self) -> Vec<&ApplicationInfo> {
        let whole = self.applications.iter().map(|application| &application.info).collect();
        in_configured_order(whole, self.unconfigured.iter().map(|lacking| (lacking.place, &lacking.info)))
    }

    /// Checks that there is anything to serve.
    ///
    /// # Errors
    /// Fails if no application is completely configured; the error holds everything that is missing.
    pub fn has_an_application(&self) -> Result<(), Refused> {
        if !self.applications.is_empty() {
            return Ok(());
        }
        Err(Refused { faults: self.unconfigured.iter().flat_map(|lacking| lacking.lacking.clone()).collect() })
    }
}
