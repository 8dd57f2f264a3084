//! The old console's `application.yml`, unchanged.
//!
//! It is a Spring Boot file, which may contain thousands of other keys, so an unknown key is a warning, not an error.
//! It has no kinds and limits: they are inferred from the applications' names, and pages call them "assumed".
//!
//! A file of several documents is read as Spring Boot reads it: a document that names a profile counts if that is
//! active (`SPRING_PROFILES_ACTIVE`), and values of later documents replace those of earlier ones.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    model::{ApplicationInfo, Kind, Limits},
    paths::Base,
};

use super::{
    Application, Database, Fault, Secret, Unconfigured, address,
    address::Address,
    entries::{self, Entry},
    environment::{Environment, Syntax, expand, expand_by, is_literal},
    faults::{Faults, Place},
    jdbc::{self, Jdbc},
    layers::Layer,
    names, presets, toml_file,
};

/// The old console's own port, from the file built into it.
const PORT: u16 = 9080;

/// The texts of the file as written. A password such as `007` must not become the number 7.
#[derive(Default, Deserialize)]
struct OldFile {
    #[serde(default)]
    server: Option<OldServer>,
    #[serde(default, rename = "appConfigs", alias = "app-configs", alias = "app_configs", alias = "appconfigs")]
    applications: Option<Vec<Option<OldApplication>>>,
}

impl OldFile {
    /// Returns this document, completed from `earlier`. A list is one value: lists of two documents are not merged.
    fn over(self, earlier: OldFile) -> OldFile {
        let (own, earlier_server) = (self.server.unwrap_or_default(), earlier.server.unwrap_or_default());
        OldFile {
            server: Some(OldServer {
                port: own.port.or(earlier_server.port),
                context_path: own.context_path.or(earlier_server.context_path),
            }),
            applications: self.applications.or(earlier.applications),
        }
    }
}

#[derive(Default, Deserialize)]
struct OldServer {
    #[serde(default)]
    port: Option<String>,
    #[serde(default, rename = "contextPath", alias = "context-path", alias = "context_path", alias = "contextpath")]
    context_path: Option<String>,
}

#[derive(Default, Deserialize)]
struct OldApplication {
    #[serde(default, rename = "appName", alias = "app-name", alias = "app_name", alias = "appname")]
    name: Option<String>,
    #[serde(default, rename = "dbUrl", alias = "db-url", alias = "db_url", alias = "dburl")]
    url: Option<String>,
    #[serde(default, rename = "dbUser", alias = "db-user", alias = "db_user", alias = "dbuser")]
    user: Option<String>,
    #[serde(default, rename = "dbPassword", alias = "db-password", alias = "db_password", alias = "dbpassword")]
    password: Option<String>,
}

/// Reads the old console's file.
pub(super) fn read(text: &str, environment: &Environment, faults: &mut Faults) -> Layer {
    let mut reader = Reader { environment, faults, warnings: Vec::new(), lacking: None, literal_password: false };
    let Some(trees) = reader.trees(text) else {
        return Layer::default();
    };
    let documents: Vec<OldFile> = match serde_saphyr::from_multiple(text) {
        Ok(documents) => documents,
        Err(error) => {
            // Its shape is wrong somewhere; the line is added if known.
            let line = error.location().map(|location| location.line() as usize);
            reader.faults.add(
                &Place { key: String::new(), line },
                "has a list or a table where a text is expected, or the other way round",
            );
            return Layer::default();
        }
    };
    let mut old = OldFile::default();
    // Both skip the same empty documents.
    for (number, (tree, document)) in (1..).zip(trees.iter().zip(documents)) {
        if reader.counts(number, tree) {
            reader.check_shape(tree);
            old = document.over(old);
        }
    }
    let server = old.server.unwrap_or_default();
    let port = reader.port(server.port.as_deref());
    let base = reader.base(server.context_path.as_deref());
    let entries = reader.applications(old.applications.unwrap_or_default());
    Layer {
        // As in the old console: the proxy is another container.
        listen: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        base,
        applications: Some(entries),
        warnings: reader.warnings,
        literal_password: reader.literal_password,
        ..Layer::default()
    }
}

struct Reader<'r> {
    environment: &'r Environment,
    faults: &'r mut Faults,
    warnings: Vec<String>,
    /// What an application's entry lacks, while it is read.
    lacking: Option<Vec<Fault>>,
    /// The file itself contains a database password.
    literal_password: bool,
}

impl Reader<'_> {
    /// Returns the file's documents as trees. The parser's own message is not passed on: it shows the line, which may
    /// contain a password.
    fn trees(&mut self, text: &str) -> Option<Vec<Value>> {
        match serde_saphyr::from_multiple(text) {
            Ok(trees) => Some(trees),
            Err(error) => {
                let line = error.location().map(|location| location.line() as usize);
                let reason = "is not valid YAML here (keys once each, indented with spaces)";
                self.faults.add(&Place { key: String::new(), line }, reason);
                None
            }
        }
    }

    /// Returns whether a document counts: it names no profile, or an active one. Warns of a document that does not.
    fn counts(&mut self, number: usize, tree: &Value) -> bool {
        let Some(wanted) = profile_of(tree) else { return true };
        let active = self.environment.get("SPRING_PROFILES_ACTIVE").unwrap_or_default();
        let active: Vec<&str> = active.split(',').map(str::trim).filter(|profile| !profile.is_empty()).collect();
        // Spring's own default profile is active if no other is.
        let is_active = |wanted: &str| active.contains(&wanted) || active.is_empty() && wanted == "default";
        let counts = wanted.split(',').map(str::trim).any(|wanted| match wanted.strip_prefix('!') {
            Some(unwanted) => !is_active(unwanted.trim()),
            None => is_active(wanted),
        });
        if !counts {
            self.warnings.push(format!(
                "application.yml: document {number} is for a profile that SPRING_PROFILES_ACTIVE does not name: ignored."
            ));
        }
        counts
    }

    /// Warns of ignored keys.
    fn check_shape(&mut self, tree: &Value) {
        // The profile was read before.
        let known: &[&str] =
            if profile_of(tree).is_some() { &["server", "appconfigs", "spring"] } else { &["server", "appconfigs"] };
        self.warn_unknown(tree, "", known);
        for (key, value) in tree.as_object().into_iter().flatten() {
            match relaxed(key).as_str() {
                "server" => self.warn_unknown(value, "server.", &["port", "contextpath"]),
                "appconfigs" => {
                    for (index, application) in value.as_array().into_iter().flatten().enumerate() {
                        let path = format!("appConfigs[{}].", index + 1);
                        self.warn_unknown(application, &path, &["appname", "dburl", "dbuser", "dbpassword"]);
                    }
                }
                _ => {}
            }
        }
    }

    fn warn_unknown(&mut self, table: &Value, path: &str, known: &[&str]) {
        let unknown = table
            .as_object()
            .into_iter()
            .flat_map(|table| table.keys())
            .filter(|key| !known.contains(&relaxed(key).as_str()));
        self.warnings.extend(
            unknown.map(|key| format!("application.yml: {path}{key} is not known to this console and ignored.")),
        );
    }

    fn port(&mut self, text: Option<&str>) -> u16 {
        let Some(text) = text.and_then(|text| self.expanded("server.port", text)) else {
            return PORT;
        };
        text.trim().parse().unwrap_or_else(|_| {
            self.fault("server.port", "is not a number from 0 to 65535");
            PORT
        })
    }

    fn base(&mut self, text: Option<&str>) -> Option<Base> {
        let text = self.expanded("server.contextPath", text?)?;
        toml_file::base(&text).map_err(|reason| self.fault("server.contextPath", reason)).ok()
    }

    fn applications(&mut self, old: Vec<Option<OldApplication>>) -> Vec<Entry> {
        let mut named = Vec::new();
        let mut entries = Vec::new();
        for (index, old) in old.into_iter().enumerate() {
            let number = index + 1;
            let path = format!("appConfigs[{number}]");
            self.lacking = Some(Vec::new());
            let read = self.application(&path, number, &old.unwrap_or_default());
            let lacking = self.lacking.take().unwrap_or_default();
            named.push((Place { key: format!("{path}.appName"), line: None }, number, read.info.name.clone()));
            entries.push((read.into_entry(lacking), None));
        }
        names::check_unique(&named, self.faults);
        presets::with_usual_publishers(entries)
    }

    fn name(&mut self, path: &str, text: Option<&str>) -> Option<String> {
        let key = format!("{path}.appName");
        let name = self.filled(&key, text, "is missing: each application needs one")?;
        if let Some(reason) = names::wrong(&name) {
            self.lack(&key, reason);
            return None;
        }
        Some(name.trim().to_owned())
    }

    /// Reads an entry as far as possible.
    fn application(&mut self, path: &str, number: usize, old: &OldApplication) -> Read {
        let name = self.name(path, old.name.as_deref()).unwrap_or_else(|| entries::nameless(number));
        let url_key = format!("{path}.dbUrl");
        let url = self.filled(&url_key, old.url.as_deref(), "is missing");
        let jdbc = url.and_then(|url| jdbc::parse(&url).map_err(|reason| self.lack(&url_key, reason)).ok());
        let of_address = jdbc.as_ref().and_then(|jdbc| jdbc.user.clone()).filter(|user| !user.trim().is_empty());
        let user = self.user(&format!("{path}.dbUser"), old.user.as_deref(), of_address);
        let password = old.password.as_deref().map(|password| {
            self.literal_password |= is_literal(password, Syntax::Spring);
            self.expanded(&format!("{path}.dbPassword"), password).unwrap_or_default()
        });
        self.literal_password |= old.url.as_deref().is_some_and(has_literal_password);
        let info = self.info(number, name, jdbc.as_ref());
        if let Some(jdbc) = &jdbc {
            self.warnings.extend(jdbc.notes.iter().map(|note| format!("{}: in its JDBC address, {note}.", info.name)));
        }
        let time_zone = self.time_zone();
        Read { info, jdbc, user, password, time_zone }
    }

    /// Returns the entry's user, or the address's if the entry has none.
    fn user(&mut self, key: &str, text: Option<&str>, of_address: Option<String>) -> Option<String> {
        let own = match text {
            Some(text) => Some(self.expanded(key, text)?).filter(|user| !user.trim().is_empty()),
            None => None,
        };
        let user = own.or(of_address);
        if user.is_none() {
            let what = if text.is_some() { "is empty" } else { "is missing" };
            self.lack(key, format!("{what}: the console signs in to the database with it"));
        }
        user
    }

    fn info(&mut self, number: usize, name: String, jdbc: Option<&Jdbc>) -> ApplicationInfo {
        let kind = presets::kind_of(&name);
        self.warnings.push(match kind {
            Some(kind) => {
                format!("{name}: assumed to be {} from the name; limits and schedule are assumed.", kind.word())
            }
            None => format!(
                "{name}: the kind is not known from the name; the library's own limits and schedule are assumed."
            ),
        });
        let kind = kind.unwrap_or(Kind::Custom);
        let address = jdbc.map(|jdbc| {
            address::shown(&Address::Server {
                backend: jdbc.backend,
                host: jdbc.host.clone(),
                port: jdbc.port,
                database: jdbc.database.clone(),
            })
        });
        ApplicationInfo {
            key: names::key(&name, number),
            name,
            kind,
            kind_assumed: true,
            address: address.unwrap_or_default(),
            limits: Limits { assumed: true, ..presets::limits(kind) },
            feed_limits: Vec::new(),
            concerns: Default::default(),
            time_zone: self.time_zone().name().to_owned(),
            refresh_secs: toml_file::REFRESH_DEFAULT.as_secs(),
            publishes: Vec::new(),
            public_url: None,
            read_only: false,
            feed_texts: Default::default(),
        }
    }

    /// The old file has no time zone: like its Java, this console uses the container's, from `TZ`.
    fn time_zone(&mut self) -> chrono_tz::Tz {
        let Some(text) = self.environment.get("TZ").filter(|text| !text.is_empty()) else {
            return chrono_tz::UTC;
        };
        text.trim_start_matches(':').parse().unwrap_or_else(|_| {
            let warning =
                "The environment variable TZ is not an IANA time zone: UTC is assumed for columns without a zone.";
            if !self.warnings.iter().any(|known| known == warning) {
                self.warnings.push(warning.to_owned());
            }
            chrono_tz::UTC
        })
    }

    /// Returns a text that must be present and not empty.
    fn filled(&mut self, key: &str, text: Option<&str>, missing: &str) -> Option<String> {
        let Some(text) = text else {
            self.lack(key, missing);
            return None;
        };
        let text = self.expanded(key, text)?;
        if text.trim().is_empty() {
            self.lack(key, "is empty");
            return None;
        }
        Some(text)
    }

    fn expanded(&mut self, key: &str, text: &str) -> Option<String> {
        match expand(text, self.environment, Syntax::Spring) {
            Ok(text) => Some(text),
            Err(reasons) => {
                reasons.into_iter().for_each(|reason| self.lack(key, reason));
                None
            }
        }
    }

    /// Records what an application's entry lacks; outside of an entry, it is a fault of the file.
    fn lack(&mut self, key: &str, reason: impl Into<String>) {
        let place = Place { key: key.to_owned(), line: None };
        let fault = self.faults.fault(&place, reason);
        match &mut self.lacking {
            Some(lacking) => lacking.push(fault),
            None => self.faults.add(&place, fault.reason),
        }
    }

    fn fault(&mut self, key: &str, reason: impl Into<String>) {
        self.faults.add(&Place { key: key.to_owned(), line: None }, reason);
    }
}

/// An entry of `appConfigs` as far as it could be read.
struct Read {
    info: ApplicationInfo,
    jdbc: Option<Jdbc>,
    user: Option<String>,
    password: Option<String>,
    time_zone: chrono_tz::Tz,
}

impl Read {
    fn into_entry(self, lacking: Vec<Fault>) -> Entry {
        let Read { info, jdbc, user, password, time_zone } = self;
        let (Some(jdbc), Some(user), true) = (jdbc, user, lacking.is_empty()) else {
            return Entry::Lacking(Box::new(Unconfigured { info, place: 0, lacking }));
        };
        Entry::Whole(Box::new(Application {
            info,
            database: Database {
                backend: jdbc.backend,
                host: jdbc.host,
                port: jdbc.port,
                database: jdbc.database,
                schema: jdbc.schema,
                user,
                password: password.map(Secret::new).or(jdbc.password).unwrap_or_default(),
                tls: jdbc.tls,
                ca: jdbc.ca,
            },
            time_zone,
            pool_size: toml_file::POOL_SIZE_DEFAULT,
            connect_timeout: jdbc.connect_timeout.unwrap_or(toml_file::CONNECT_TIMEOUT_DEFAULT),
            statement_timeout: jdbc.statement_timeout.unwrap_or(toml_file::STATEMENT_TIMEOUT_DEFAULT),
            refresh: toml_file::REFRESH_DEFAULT,
            own_concerns: Default::default(),
            probe: None,
        }))
    }
}

/// Returns whether a JDBC address contains a password that no variable supplies.
fn has_literal_password(url: &str) -> bool {
    // What does not depend on the variables comes from the file.
    let with = |value: &'static str| {
        let url = expand(url, &Environment::default(), Syntax::Spring)
            .or_else(|_| expand_by(url, Syntax::Spring, |_| Some(value)));
        jdbc::parse(&url.ok()?).ok()?.password
    };
    with("a").is_some_and(|password| !password.reveal().is_empty() && Some(password) == with("b"))
}

/// Returns the profiles that a document names: `spring.profiles` until Spring Boot 2.4,
/// `spring.config.activate.on-profile` after it, with dots or as tables. `None`: it applies to all.
fn profile_of(tree: &Value) -> Option<String> {
    let found = at(tree, "springconfigactivateonprofile").or_else(|| at(tree, "springprofiles"))?;
    match found {
        Value::String(profiles) => Some(profiles.clone()),
        Value::Array(profiles) => Some(profiles.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
        _ => None,
    }
}

/// Returns the value at a path without punctuation, whether its keys are tables or contain dots.
fn at<'v>(tree: &'v Value, path: &str) -> Option<&'v Value> {
    tree.as_object()?.iter().find_map(|(key, value)| {
        let rest = path.strip_prefix(&relaxed(key))?;
        if rest.is_empty() { Some(value) } else { at(value, rest) }
    })
}

/// Spring treats `contextPath`, `context-path` and `context_path` as one key.
fn relaxed(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
