//! The configuration: command line, environment, file and `Leptos.toml`, checked as a whole before anything starts.
//!
//! Everything that is wrong is found before the console says a word, and told at once: an administrator who corrects a
//! file over a slow connection must not do it error by error. No message ever quotes a value, because a value can be a
//! password in the wrong place; file, line and key say enough.
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
    model::{ApplicationInfo, Backend},
    paths::Base,
};

pub use access::{Access, DemoAccounts, Mode, NamedToken, Openmrs, Origin, Proxy, Reached, RoleNames, Way};
pub use command::Command;
pub use concerns::ConcernLayer;
pub use entries::{Unconfigured, in_configured_order};
pub use environment::Environment;
pub use faults::{Fault, Refused};
pub use layers::{CommandLine, demo, leptos_options, load};
pub use presets::limits as usual_limits;

/// A password. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The password itself; for the database driver only.
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
    /// Encrypted where the server offers it; the certificate is not checked.
    #[default]
    Preferred,
    /// Encrypted or not at all; the certificate is not checked.
    Required,
    /// Encrypted, certificate and host name checked, against `ca` or the system's authorities.
    Verified,
}

/// Where a source is and how to get in.
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
    /// What pages may know.
    pub info: ApplicationInfo,
    pub database: Database,
    /// The zone of columns that carry none.
    pub time_zone: chrono_tz::Tz,
    /// Connections held at the most.
    pub pool_size: u32,
    pub connect_timeout: Duration,
    /// The longest that one statement may run.
    pub statement_timeout: Duration,
    /// Between two looks.
    pub refresh: Duration,
    /// What is said of concerns for this application alone; what holds is in `info`.
    pub own_concerns: ConcernLayer,
}

/// How the console writes its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogForm {
    /// A line a message, for people.
    #[default]
    Plain,
    /// An object a line, for programs.
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

    /// The word of the configuration file, which is also the one that `tracing` knows.
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

/// Everything the console needs to start.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub base: Base,
    /// The store's SQLite file.
    pub store: PathBuf,
    /// The commands that act on this console.
    pub command: Command,
    pub log: LogForm,
    pub log_level: LogLevel,
    /// Nothing is ever written to any application; then each of them says so, too.
    pub read_only: bool,
    /// Who lacks [`crate::model::Right::Read`] sees error texts and payloads masked.
    pub mask_texts: bool,
    /// How old audit entries become before they are removed; `None`: they stay for good.
    pub audit_keep: Option<Duration>,
    /// Who may come in.
    pub access: Access,
    /// The way that requests take.
    pub reached: Reached,
    /// The applications that can be connected to.
    pub applications: Vec<Application>,
    /// Those whose entry does not say how, in the order of their places.
    pub unconfigured: Vec<Unconfigured>,
    /// How long discarded failed events can be put back; `None`: for good.
    pub keep_discarded: Option<chrono::TimeDelta>,
    /// How long the history of what left its table is kept; `None`: for good.
    pub keep_history: Option<chrono::TimeDelta>,
    /// The applications are the demo hospital.
    pub demo: bool,
    /// What an administrator should know: ignored JDBC parameters, assumed kinds.
    pub warnings: Vec<String>,
    /// From `Leptos.toml` where there is one, otherwise built in.
    pub leptos: LeptosOptions,
}

impl Config {
    /// Returns what pages may know of every application in configured order, also of those that are not configured.
    pub fn infos(&self) -> Vec<&ApplicationInfo> {
        let whole = self.applications.iter().map(|application| &application.info).collect();
        in_configured_order(whole, self.unconfigured.iter().map(|lacking| (lacking.place, &lacking.info)))
    }

    /// Whether there is anything to serve.
    ///
    /// # Errors
    /// No application is configured whole; with everything that is missing.
    pub fn has_an_application(&self) -> Result<(), Refused> {
        if !self.applications.is_empty() {
            return Ok(());
        }
        Err(Refused { faults: self.unconfigured.iter().flat_map(|lacking| lacking.lacking.clone()).collect() })
    }
}
