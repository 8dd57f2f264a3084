//! The old console's `application.yml`, unchanged.
//!
//! It is a Spring Boot file: thousands of other keys can stand in it, so an unknown key is a warning and no error. It
//! says nothing of kinds and limits: they are inferred from the applications' names, and pages call them "assumed".
//!
//! A file of several documents is read as Spring Boot reads it: a document that names a profile counts where that is
//! active (`SPRING_PROFILES_ACTIVE`), and what a later one says stands in the place of what an earlier one said.

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

/// The old console's own port, from the file inside of it.
const PORT: u16 = 9080;

/// The texts of the file as they stand there. A password such as `007` must not become the number 7.
#[derive(Default, Deserialize)]
struct OldFile {
    #[serde(default)]
    server: Option<OldServer>,
    #[serde(default, rename = "appConfigs", alias = "app-configs", alias = "app_configs", alias = "appconfigs")]
    applications: Option<Vec<Option<OldApplication>>>,
}

impl OldFile {
    /// This document, with `earlier` where it says nothing. A list is one value: the lists of two documents are not mixed.
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
            // Its shape is wrong somewhere; where that is known, the fault is noted already.
            let line = error.location().map(|location| location.line() as usize);
            reader.faults.add(
                &Place { key: String::new(), line },
                "has a list or a table where a text is expected, or the other way round",
            );
            return Layer::default();
        }
    };
    let mut old = OldFile::default();
    // Both leave out the same empty documents.
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
        // As the old console did: the proxy is another container.
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
    /// While an application's entry is read: what it lacks.
    lacking: Option<Vec<Fault>>,
    /// A database's password stands in the file itself.
    literal_password: bool,
}

impl Reader<'_> {
    /// The file's documents as trees. The parser's own message is not passed on: it shows the line, which may hold a
    /// password.
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

    /// Whether a document counts: it names no profile, or one that is active. One that does not is named in a warning.
    fn counts(&mut self, number: usize, tree: &Value) -> bool {
        let Some(wanted) = profile_of(tree) else { return true };
        let active = self.environment.get("SPRING_PROFILES_ACTIVE").unwrap_or_default();
        let active: Vec<&str> = active.split(',').map(str::trim).filter(|profile| !profile.is_empty()).collect();
        // Spring's own default profile is active where no other is.
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

    /// Names the keys that are not looked at.
    fn check_shape(&mut self, tree: &Value) {
        // A profile was looked at before.
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

    /// Reads an entry as far as it can be read.
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

    /// The user, or where the entry names none, the one that the address names.
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
        }
    }

    /// The old file has no time zone: like its Java, this console takes the container's own, from `TZ`.
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

    /// A text that must be there and not be empty.
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

    /// Notes what an application's entry lacks; outside of an entry, a fault of the file.
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
        }))
    }
}

/// Whether a JDBC address holds a password that no variable gives.
fn has_literal_password(url: &str) -> bool {
    // What stays the same whatever the variables hold is what the file says.
    let with = |value: &'static str| {
        let url = expand(url, &Environment::default(), Syntax::Spring)
            .or_else(|_| expand_by(url, Syntax::Spring, |_| Some(value)));
        jdbc::parse(&url.ok()?).ok()?.password
    };
    with("a").is_some_and(|password| !password.reveal().is_empty() && Some(password) == with("b"))
}

/// The profiles that a document is for, as it names them: `spring.profiles` until Spring Boot 2.4, after it
/// `spring.config.activate.on-profile`, with dots or as tables. `None`: it is for all.
fn profile_of(tree: &Value) -> Option<String> {
    let found = at(tree, "springconfigactivateonprofile").or_else(|| at(tree, "springprofiles"))?;
    match found {
        Value::String(profiles) => Some(profiles.clone()),
        Value::Array(profiles) => Some(profiles.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
        _ => None,
    }
}

/// The value at a path that was joined without any punctuation, whether its keys are tables or have dots in them.
fn at<'v>(tree: &'v Value, path: &str) -> Option<&'v Value> {
    tree.as_object()?.iter().find_map(|(key, value)| {
        let rest = path.strip_prefix(&relaxed(key))?;
        if rest.is_empty() { Some(value) } else { at(value, rest) }
    })
}

/// Spring takes `contextPath`, `context-path` and `context_path` for one key.
fn relaxed(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use crate::model::Backend;

    use super::super::Tls;
    use super::*;

    /// As it is found in the field.
    const OLD: &str = "\
server:
  port: 9080
  contextPath: /atomfeed-console
appConfigs:
-
   appName: OpenMRS
   dbUrl: jdbc:mysql://${OPENMRS_DB_HOST}/openmrs
   dbUser: ${OPENMRS_DB_USERNAME}
   dbPassword: ${OPENMRS_DB_PASSWORD}
-
   appName: OpenELIS
   dbUrl: jdbc:postgresql://openelisdb/clinlims?currentSchema=clinlims
   dbUser: ${OPENELIS_DB_USER}
   dbPassword: ${OPENELIS_DB_PASSWORD}
";

    fn environment() -> Environment {
        Environment::from([
            ("OPENMRS_DB_HOST", "openmrsdb"),
            ("OPENMRS_DB_USERNAME", "openmrs-user"),
            ("OPENMRS_DB_PASSWORD", "s3cr3t-Pa55"),
            ("OPENELIS_DB_USER", "clinlims"),
            ("OPENELIS_DB_PASSWORD", "007: #x"),
            ("TZ", "Asia/Kolkata"),
        ])
    }

    /// Everything that is wrong, with the file or with an entry.
    fn read_with(text: &str, environment: &Environment) -> (Layer, Vec<String>) {
        let mut faults = Faults::of("application.yml");
        let layer = read(text, environment, &mut faults);
        let lacking = entries(&layer).1.into_iter().flat_map(|entry| entry.lacking);
        let told = faults.into_list().into_iter().chain(lacking).map(|fault| fault.to_string()).collect();
        (layer, told)
    }

    fn entries(layer: &Layer) -> (Vec<Application>, Vec<Unconfigured>) {
        entries::separated(layer.applications.clone().unwrap_or_default())
    }

    #[test]
    fn the_old_file_works_unchanged() {
        let (layer, faults) = read_with(OLD, &environment());
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(layer.listen.unwrap().to_string(), "0.0.0.0:9080");
        assert_eq!(layer.base.as_ref().unwrap().as_str(), "/atomfeed-console");
        let [openmrs, openelis] = &entries(&layer).0[..] else { panic!("two applications") };

        assert_eq!((openmrs.info.name.as_str(), openmrs.info.key.as_str()), ("OpenMRS", "openmrs"));
        assert_eq!((openmrs.info.kind, openmrs.database.backend), (Kind::Openmrs, Backend::MySql));
        assert!(openmrs.info.kind_assumed && openmrs.info.limits.assumed);
        assert_eq!(openmrs.info.address, "openmrsdb:3306/openmrs");
        assert_eq!(
            (openmrs.database.user.as_str(), openmrs.database.password.reveal()),
            ("openmrs-user", "s3cr3t-Pa55")
        );
        assert_eq!(openmrs.database.tls, Tls::Preferred);

        assert_eq!((openelis.info.kind, openelis.database.backend), (Kind::Openelis, Backend::Postgres));
        assert_eq!((openelis.database.host.as_str(), openelis.database.port), ("openelisdb", 5432));
        assert_eq!(openelis.database.schema.as_deref(), Some("clinlims"));
        assert_eq!(openelis.database.password.reveal(), "007: #x");
        assert_eq!(openelis.info.time_zone, "Asia/Kolkata");
        assert_eq!(openelis.info.limits.max_retry, Some(10));
    }

    #[test]
    fn what_is_assumed_or_ignored_is_told_and_nothing_secret() {
        let text = OLD.replace("/openmrs\n", "/openmrs?autoReconnect=true&password=s3cr3t-Pa55\n")
            + "   pool: 3\nspring:\n  datasource:\n    password: s3cr3t-Pa55\n";
        let (layer, faults) = read_with(&text, &environment());
        assert_eq!(faults, Vec::<String>::new());
        let warnings = layer.warnings.join("\n");
        for part in [
            "OpenMRS: assumed to be openmrs from the name",
            "OpenMRS: in its JDBC address, autoReconnect is ignored",
            "appConfigs[2].pool is not known",
            "spring is not known",
        ] {
            assert!(warnings.contains(part), "{part}\n{warnings}");
        }
        assert!(!warnings.contains("s3cr3t"), "{warnings}");
    }

    #[test]
    fn scalars_stay_the_texts_they_are() {
        let (layer, faults) = read_with(
            "appConfigs:\n- appName: 2024\n  dbUrl: jdbc:mysql://h/d\n  dbUser: yes\n  dbPassword: 007\n",
            &Environment::default(),
        );
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(layer.listen.unwrap().port(), PORT);
        let application = &entries(&layer).0[0];
        assert_eq!((application.info.name.as_str(), application.info.kind), ("2024", Kind::Custom));
        assert_eq!((application.database.user.as_str(), application.database.password.reveal()), ("yes", "007"));
        assert_eq!(application.info.time_zone, "UTC");
    }

    #[test]
    fn springs_other_ways_to_write_a_key_are_understood() {
        let text = "server: {port: '${PORT:9090}', context-path: /}\napp-configs:\n- {app-name: X, db-url: 'jdbc:mysql://u:p@h/d'}\n";
        let (layer, faults) = read_with(text, &Environment::default());
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!((layer.listen.unwrap().port(), layer.base.as_ref().unwrap().as_str()), (9090, ""));
        let application = &entries(&layer).0[0];
        assert_eq!((application.database.user.as_str(), application.database.password.reveal()), ("u", "p"));
        assert!(
            !layer.warnings.iter().any(|warning| warning.contains("not known to this console")),
            "{:?}",
            layer.warnings
        );
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let (_, faults) = read_with(
            "server: {port: 99999, contextPath: /a b}\nappConfigs:\n- {appName: A, dbUrl: 'jdbc:oracle:x', dbUser: '${U}'}\n\
             - {appName: a, dbUrl: 'jdbc:mysql://h/d'}\n- {}\n",
            &Environment::default(),
        );
        let keys = [
            "server.port: ",
            "server.contextPath: ",
            "appConfigs[1].dbUrl: has a driver",
            "appConfigs[1].dbUser: the environment variable U is not set",
            "appConfigs[2].dbUser: is missing",
            "appConfigs[2].appName: is also the name of appConfigs[1]",
            "appConfigs[3].appName: is missing",
            "appConfigs[3].dbUrl: is missing",
            "appConfigs[3].dbUser: is missing",
        ];
        for key in keys {
            assert!(
                faults.iter().any(|fault| fault.starts_with(&format!("application.yml: {key}"))),
                "{key}\n{faults:#?}"
            );
        }
        assert_eq!(faults.len(), keys.len(), "{faults:#?}");
    }

    #[test]
    fn an_entry_of_an_unfilled_template_leaves_the_others_be() {
        let environment = Environment::from([("EMPTY", ""), ("U", "u")]);
        for (entry, words) in [
            (
                "appName: Odoo\n  dbUrl: 'jdbc:postgresql:///'\n  dbUser:\n  dbPassword:",
                &["dbUrl: names no host", "dbUser: is missing"][..],
            ),
            ("appName: Odoo\n  dbUrl: 'jdbc:mysql:///'\n  dbUser: ''", &["dbUrl: names no host", "dbUser: is empty"]),
            ("appName: Odoo\n  dbUrl: 'jdbc:postgresql://${EMPTY}/odoo'\n  dbUser: ${U}", &["dbUrl: names no host"]),
            (
                "appName: Odoo\n  dbUrl: 'jdbc:postgresql://${HOST}/odoo'\n  dbUser: ${NOBODY}",
                &["dbUrl: the environment variable HOST", "dbUser: the environment variable NOBODY"],
            ),
            (
                "appName: Odoo\n  dbUrl: 'jdbc:h2:mem:s3cr3t;MODE=MySQL'\n  dbUser: sa",
                &["dbUrl: has a driver that is not known"],
            ),
            (
                "appName: Odoo\n  dbUrl: 'jdbc:mysql://h/d'\n  dbUser: u\n  dbPassword: ${PW}",
                &["dbPassword: the environment variable PW"],
            ),
            ("appName: Odoo\n  dbUrl:\n  dbUser: ' '", &["dbUrl: is missing", "dbUser: is empty"]),
            ("appName: ${NAME}\n  dbUrl: 'jdbc:mysql://h/d'\n  dbUser: u", &["appName: the environment variable NAME"]),
            ("appName: ''\n  dbUrl: 'jdbc:mysql://h/d'\n  dbUser: u", &["appName: is empty"]),
            ("", &["appName: is missing", "dbUrl: is missing", "dbUser: is missing"]),
        ] {
            let text =
                format!("appConfigs:\n- appName: OpenMRS\n  dbUrl: jdbc:mysql://db/openmrs\n  dbUser: u\n- {entry}\n");
            let mut faults = Faults::of("application.yml");
            let layer = read(&text, &environment, &mut faults);
            assert_eq!(faults.into_list(), [], "{text}");
            let (whole, lacking) = entries(&layer);
            assert_eq!((whole.len(), lacking.len()), (1, 1), "{text}");
            assert_eq!(lacking[0].info.name, if entry.starts_with("appName: Odoo") { "Odoo" } else { "Application 2" });
            let told: Vec<String> = lacking[0].lacking.iter().map(ToString::to_string).collect();
            assert_eq!(told.len(), words.len(), "{text}: {told:?}");
            for (told, words) in told.iter().zip(words) {
                assert!(told.contains(&format!("appConfigs[2].{words}")) && !told.contains("s3cr3t"), "{told}");
            }
        }
    }

    #[test]
    fn the_user_of_the_address_counts_where_the_entry_has_none() {
        for (user, expected) in [("", "a"), ("  dbUser: b\n", "b")] {
            let text = format!("appConfigs:\n- appName: A\n  dbUrl: 'jdbc:mysql://h/d?user=a'\n{user}");
            let (layer, told) = read_with(&text, &Environment::default());
            assert_eq!(told, Vec::<String>::new());
            assert_eq!(entries(&layer).0[0].database.user, expected);
        }
        let (_, told) =
            read_with("appConfigs:\n- {appName: A, dbUrl: 'jdbc:mysql://h/d?user='}\n", &Environment::default());
        assert_eq!(
            told,
            ["application.yml: appConfigs[1].dbUser: is missing: the console signs in to the database with it"]
        );
    }

    #[test]
    fn a_later_document_says_what_counts_as_in_spring() {
        let text = "server: {port: 9081, contextPath: /a}\nappConfigs:\n- {appName: A, dbUrl: 'jdbc:mysql://h/a', dbUser: u}\n\
                    ---\nserver: {port: 9082}\n---\n\
                    spring: {profiles: docker}\nappConfigs:\n- {appName: B, dbUrl: 'jdbc:mysql://h/b', dbUser: u}\n\
                    ---\nspring.config.activate.on-profile: '!docker'\nserver: {contextPath: /c}\n---\n";
        for (profiles, port, base, name) in [
            ("", 9082, "/c", "A"),
            ("docker", 9082, "/a", "B"),
            ("test, docker", 9082, "/a", "B"),
            ("test", 9082, "/c", "A"),
        ] {
            let environment = Environment::from([("SPRING_PROFILES_ACTIVE", profiles)]);
            let (layer, told) = read_with(text, &environment);
            assert_eq!(told, Vec::<String>::new());
            let (whole, _) = entries(&layer);
            assert_eq!(whole.len(), 1, "the lists of two documents are not mixed");
            let found = (layer.listen.unwrap().port(), layer.base.unwrap(), whole[0].info.name.clone());
            assert_eq!((found.0, found.1.as_str(), found.2.as_str()), (port, base, name), "{profiles}");
            let ignored = layer.warnings.iter().filter(|warning| warning.contains("is for a profile")).count();
            assert_eq!(ignored, 1, "{:?}", layer.warnings);
        }
        let (_, told) = read_with("server: {port: 1}\n---\nappConfigs: [a: b: c\n", &Environment::default());
        assert!(told[0].starts_with("application.yml:3: is not valid YAML"), "{told:?}");
    }

    #[test]
    fn a_password_that_stands_in_the_file_is_known_to() {
        for (lines, literal) in [
            ("dbPassword: s3cr3t", true),
            ("dbPassword: ${PW}", false),
            ("dbPassword: ${PW:s3cr3t}", true),
            ("dbPassword:", false),
            ("", false),
        ] {
            let of = |url: &str| {
                let text = format!("appConfigs:\n- appName: A\n  dbUrl: '{url}'\n  dbUser: u\n  {lines}\n");
                read_with(&text, &Environment::from([("PW", "x"), ("H", "h")])).0.literal_password
            };
            assert_eq!(of("jdbc:mysql://h/d"), literal, "{lines}");
            assert!(of("jdbc:mysql://u:s3cr3t@${H}/d") && of("jdbc:postgresql://h/d?password=s3cr3t"));
            assert_eq!(of("jdbc:postgresql://h/d?password=${PW}"), literal, "{lines}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_says_where_and_never_shows_the_line() {
        for text in [
            "appConfigs:\n- dbPassword: s3cr3t-Pa55: x: y\n",
            "appConfigs:\n\tdbPassword: s3cr3t-Pa55\n",
            "appConfigs:\n- dbPassword: [s3cr3t-Pa55\n",
            "appConfigs: s3cr3t-Pa55\n",
            "appConfigs:\n- dbPassword: [s3cr3t-Pa55]\n  appName: x\n",
            "appConfigs:\n- dbPassword: \"s3cr3t-Pa55\n",
            "s3cr3t-Pa55",
            "appConfigs:\n- dbUrl: jdbc:mysql://root:s3cr3t-Pa55@/x\n  dbUser: '${s3cr3t-Pa55 }'\n",
        ] {
            let (layer, faults) = read_with(text, &Environment::default());
            assert!(!faults.is_empty(), "{text}");
            let told = format!("{faults:?} {:?}", layer.warnings);
            assert!(!told.contains("s3cr3t"), "{text}: {told}");
        }
    }
}
