//! The old console's `application.yml`, unchanged.
//!
//! It is a Spring Boot file: thousands of other keys can stand in it, so an unknown key is a warning and no error. It
//! says nothing of kinds and limits: they are inferred from the applications' names, and pages call them "assumed".

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    model::{ApplicationInfo, Kind, Limits},
    paths::Base,
};

use super::{
    Application, Database, Secret, address,
    address::Address,
    environment::{Environment, Syntax, expand},
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
    applications: Option<Vec<OldApplication>>,
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
    let mut reader = Reader { environment, faults, warnings: Vec::new() };
    let Some(tree) = reader.tree(text) else {
        return Layer::default();
    };
    reader.check_shape(&tree);
    let old: OldFile = match serde_saphyr::from_str(text) {
        Ok(old) => old,
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
    let server = old.server.unwrap_or_default();
    let port = reader.port(server.port.as_deref());
    let base = reader.base(server.context_path.as_deref());
    let applications = reader.applications(old.applications.unwrap_or_default());
    Layer {
        // As the old console did: the proxy is another container.
        listen: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        base,
        applications: Some(applications),
        warnings: reader.warnings,
        ..Layer::default()
    }
}

struct Reader<'r> {
    environment: &'r Environment,
    faults: &'r mut Faults,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// The file as a tree. The parser's own message is not passed on: it shows the line, which may hold a password.
    fn tree(&mut self, text: &str) -> Option<Value> {
        match serde_saphyr::from_str(text) {
            Ok(tree) => Some(tree),
            Err(error) => {
                let line = error.location().map(|location| location.line() as usize);
                let reason = "is no valid YAML here (one document, keys once each, indented with spaces)";
                self.faults.add(&Place { key: String::new(), line }, reason);
                None
            }
        }
    }

    /// Names the keys that are not looked at.
    fn check_shape(&mut self, tree: &Value) {
        self.warn_unknown(tree, "", &["server", "appconfigs"]);
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
            self.fault("server.port", "is no number from 0 to 65535");
            PORT
        })
    }

    fn base(&mut self, text: Option<&str>) -> Option<Base> {
        let text = self.expanded("server.contextPath", text?)?;
        toml_file::base(&text).map_err(|reason| self.fault("server.contextPath", reason)).ok()
    }

    fn applications(&mut self, old: Vec<OldApplication>) -> Vec<Application> {
        let mut named = Vec::new();
        let mut applications = Vec::new();
        for (index, old) in old.into_iter().enumerate() {
            let number = index + 1;
            let path = format!("appConfigs[{number}]");
            let name = self.name(&path, old.name.as_deref());
            if let Some(name) = &name {
                named.push((Place { key: format!("{path}.appName"), line: None }, number, name.clone()));
            }
            applications.extend(self.application(&path, number, name, &old).map(|application| (application, None)));
        }
        names::check_unique(&named, self.faults);
        presets::with_usual_publishers(applications)
    }

    fn name(&mut self, path: &str, text: Option<&str>) -> Option<String> {
        let name = self.required(&format!("{path}.appName"), text)?;
        if let Some(reason) = names::wrong(&name) {
            self.fault(&format!("{path}.appName"), reason);
            return None;
        }
        Some(name.trim().to_owned())
    }

    fn application(
        &mut self,
        path: &str,
        number: usize,
        name: Option<String>,
        old: &OldApplication,
    ) -> Option<Application> {
        let url_key = format!("{path}.dbUrl");
        let url = self.required(&url_key, old.url.as_deref());
        let jdbc = url.and_then(|url| jdbc::parse(&url).map_err(|reason| self.fault(&url_key, reason)).ok());
        let user = old.user.as_deref().map(|user| self.expanded(&format!("{path}.dbUser"), user));
        let password = old.password.as_deref().map(|password| self.expanded(&format!("{path}.dbPassword"), password));
        let (name, jdbc) = (name?, jdbc?);
        // Both were written, but one could not be read: the fault is noted.
        let (user, password) = (
            user.map_or(Some(None), |user| user.map(Some))?,
            password.map_or(Some(None), |password| password.map(Some))?,
        );
        let Some(user) = user.or_else(|| jdbc.user.clone()) else {
            self.fault(&format!("{path}.dbUser"), "is missing: the console signs in to the database with it");
            return None;
        };
        let password = password.map(Secret::new).or_else(|| jdbc.password.clone()).unwrap_or_default();
        self.warnings.extend(jdbc.notes.iter().map(|note| format!("{name}: in its JDBC address, {note}.")));
        Some(self.assemble(number, name, user, password, jdbc))
    }

    fn assemble(&mut self, number: usize, name: String, user: String, password: Secret, jdbc: Jdbc) -> Application {
        let kind = presets::kind_of(&name);
        self.warnings.push(match kind {
            Some(kind) => {
                format!("{name}: taken for {} by its name; its limits and schedule are assumed.", kind.word())
            }
            None => format!("{name}: its name tells no kind; the library's own limits and schedule are assumed."),
        });
        let kind = kind.unwrap_or(Kind::Custom);
        let time_zone = self.time_zone();
        let shown = address::shown(&Address::Server {
            backend: jdbc.backend,
            host: jdbc.host.clone(),
            port: jdbc.port,
            database: jdbc.database.clone(),
        });
        Application {
            info: ApplicationInfo {
                key: names::key(&name, number),
                name,
                kind,
                kind_assumed: true,
                address: shown,
                limits: Limits { assumed: true, ..presets::limits(kind) },
                feed_limits: Vec::new(),
                time_zone: time_zone.name().to_owned(),
                refresh_secs: toml_file::REFRESH_DEFAULT.as_secs(),
                publishes: Vec::new(),
                read_only: false,
            },
            database: Database {
                backend: jdbc.backend,
                host: jdbc.host,
                port: jdbc.port,
                database: jdbc.database,
                schema: jdbc.schema,
                user,
                password,
                tls: jdbc.tls,
                ca: jdbc.ca,
            },
            time_zone,
            pool_size: toml_file::POOL_SIZE_DEFAULT,
            connect_timeout: jdbc.connect_timeout.unwrap_or(toml_file::CONNECT_TIMEOUT_DEFAULT),
            statement_timeout: jdbc.statement_timeout.unwrap_or(toml_file::STATEMENT_TIMEOUT_DEFAULT),
            refresh: toml_file::REFRESH_DEFAULT,
        }
    }

    /// The old file has no time zone: like its Java, this console takes the container's own, from `TZ`.
    fn time_zone(&mut self) -> chrono_tz::Tz {
        let Some(text) = self.environment.get("TZ").filter(|text| !text.is_empty()) else {
            return chrono_tz::UTC;
        };
        text.trim_start_matches(':').parse().unwrap_or_else(|_| {
            let warning =
                "The environment variable TZ is no IANA time zone: UTC is assumed for columns without a zone.";
            if !self.warnings.iter().any(|known| known == warning) {
                self.warnings.push(warning.to_owned());
            }
            chrono_tz::UTC
        })
    }

    fn required(&mut self, key: &str, text: Option<&str>) -> Option<String> {
        match text {
            Some(text) => self.expanded(key, text),
            None => {
                self.fault(key, "is missing");
                None
            }
        }
    }

    fn expanded(&mut self, key: &str, text: &str) -> Option<String> {
        match expand(text, self.environment, Syntax::Spring) {
            Ok(text) => Some(text),
            Err(reasons) => {
                reasons.into_iter().for_each(|reason| self.fault(key, reason));
                None
            }
        }
    }

    fn fault(&mut self, key: &str, reason: impl Into<String>) {
        self.faults.add(&Place { key: key.to_owned(), line: None }, reason);
    }
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

    fn read_with(text: &str, environment: &Environment) -> (Layer, Vec<String>) {
        let mut faults = Faults::of("application.yml");
        let layer = read(text, environment, &mut faults);
        (layer, faults.into_list().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_old_file_works_unchanged() {
        let (layer, faults) = read_with(OLD, &environment());
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(layer.listen.unwrap().to_string(), "0.0.0.0:9080");
        assert_eq!(layer.base.unwrap().as_str(), "/atomfeed-console");
        let [openmrs, openelis] = &layer.applications.unwrap()[..] else { panic!("two applications") };

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
            "OpenMRS: taken for openmrs by its name",
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
        let application = &layer.applications.unwrap()[0];
        assert_eq!((application.info.name.as_str(), application.info.kind), ("2024", Kind::Custom));
        assert_eq!((application.database.user.as_str(), application.database.password.reveal()), ("yes", "007"));
        assert_eq!(application.info.time_zone, "UTC");
    }

    #[test]
    fn springs_other_ways_to_write_a_key_are_understood() {
        let text = "server: {port: '${PORT:9090}', context-path: /}\napp-configs:\n- {app-name: X, db-url: 'jdbc:mysql://u:p@h/d'}\n";
        let (layer, faults) = read_with(text, &Environment::default());
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!((layer.listen.unwrap().port(), layer.base.unwrap().as_str()), (9090, ""));
        let application = &layer.applications.unwrap()[0];
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
