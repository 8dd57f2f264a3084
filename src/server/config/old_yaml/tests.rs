use crate::model::Backend;

use super::super::Tls;
use super::*;

/// As found in real installations.
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

/// Returns all errors, of the file or of an entry.
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
    assert_eq!((openmrs.database.user.as_str(), openmrs.database.password.reveal()), ("openmrs-user", "s3cr3t-Pa55"));
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
        assert!(faults.iter().any(|fault| fault.starts_with(&format!("application.yml: {key}"))), "{key}\n{faults:#?}");
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
