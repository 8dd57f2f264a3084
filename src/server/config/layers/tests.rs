use std::collections::BTreeSet;

use super::*;

const APPLICATION: &str = "[[application]]\nname = \"A\"\nkind = \"pacs\"\ndatabase = \"postgres://h/d\"\nuser = \"u\"\npassword = \"s3cr3t-Pa55\"\n";
const LEPTOS: &str = "[package.metadata.leptos]\noutput-name = \"atomfeed-console\"\nhash-file = \"of-this-file\"\n";

/// Creates a working directory with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn load_in(folder: &tempfile::TempDir, line: CommandLine, environment: &Environment) -> Result<Config, Refused> {
    load(line, environment, Some(&folder.path().join("console.toml")), folder.path())
}

#[test]
fn a_read_only_console_has_read_only_applications() {
    let folder = folder(&[("console.toml", &format!("read_only = true\n{APPLICATION}"))]);
    let config = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap();
    assert!(config.read_only && config.applications.iter().all(|application| application.info.read_only));
    fs::write(folder.path().join("console.toml"), APPLICATION).unwrap();
    let config = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap();
    assert!(!config.read_only && !config.applications[0].info.read_only);
}

#[test]
fn concerns_are_of_the_console_and_over_them_of_an_application() {
    let near = |files: &[(&str, &str)]| {
        let folder = folder(files);
        let config = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap();
        config.applications[0].info.concerns.near_limit_percent
    };
    let of_application = |lines: &str| format!("{APPLICATION}{lines}");
    let leptos = format!("{LEPTOS}[console.concerns]\nnear_limit = 60\n");
    let console = format!("[concerns]\nnear_limit = 90\n{APPLICATION}");
    assert_eq!(near(&[("console.toml", APPLICATION)]), Some(80));
    assert_eq!(near(&[("console.toml", APPLICATION), ("Leptos.toml", &leptos)]), Some(60));
    assert_eq!(near(&[("console.toml", &console), ("Leptos.toml", &leptos)]), Some(90));
    let own = format!("[concerns]\nnear_limit = 90\n{}", of_application("concerns = { near_limit = \"off\" }\n"));
    assert_eq!(near(&[("console.toml", &own)]), None);
    let own =
        format!("[concerns]\nnear_limit = \"off\"\n{}", of_application("[application.concerns]\nnear_limit = 50\n"));
    assert_eq!(near(&[("console.toml", &own)]), Some(50));

    let all = |text: &str| {
        let folder = folder(&[("console.toml", text)]);
        let config = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap();
        config.applications[0].info.concerns.clone()
    };
    let others = "queue_age = \"1h\"\nretry_overdue = 120\ncompare_markers = false\nidle_feeds = [\"/x/\"]\n";
    let console = all(&format!("[concerns]\n{others}{APPLICATION}"));
    assert_eq!((console.queue_age_secs, console.retry_overdue_secs), (Some(3_600), Some(120)));
    assert_eq!((console.compare_markers, console.idle_feeds), (false, vec!["/x/".to_owned()]));
    let own = "[application.concerns]\nqueue_age = \"off\"\nretry_overdue = \"off\"\ncompare_markers = true\nidle_feeds = []\n";
    let own = all(&format!("[concerns]\n{others}{}", of_application(own)));
    assert_eq!((own.queue_age_secs, own.retry_overdue_secs, own.compare_markers), (None, None, true));
    assert!(own.idle_feeds.is_empty());
}

#[test]
fn the_hospital_has_the_name_of_the_file() {
    let of = |text: &str| {
        let folder = folder(&[("console.toml", &format!("{text}{APPLICATION}"))]);
        load_in(&folder, CommandLine::default(), &Environment::default()).unwrap().hospital
    };
    assert_eq!(of(""), None);
    assert_eq!(of("hospital = \"  District Hospital \"\n").as_deref(), Some("District Hospital"));
}

#[test]
fn texts_are_masked_and_audit_entries_stay_five_years_unless_the_file_says_otherwise() {
    let of = |text: &str| {
        let folder = folder(&[("console.toml", &format!("{text}{APPLICATION}"))]);
        let config = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap();
        (config.mask_texts, config.audit_keep.map(|keep| keep.as_secs() / 86_400))
    };
    assert_eq!(of(""), (true, Some(1_826)));
    assert_eq!(of("mask_texts = false\n[audit]\nkeep_days = 30\n"), (false, Some(30)));
    assert_eq!(of("[audit]\nkeep_days = \"forever\"\n"), (true, None));
}

#[test]
fn the_command_line_wins_over_the_environment_over_the_file_over_leptos_toml() {
    let leptos = format!(
        "{LEPTOS}[console]\nlisten = \"127.0.0.1:1\"\nbase_path = \"/leptos\"\nlog = {{ level = \"debug\" }}\n"
    );
    let file = format!("listen = \"127.0.0.1:2\"\n{APPLICATION}");
    let folder = folder(&[("Leptos.toml", &leptos), ("console.toml", &file)]);
    let environment = Environment::from([("ATOMFEED_CONSOLE_LISTEN", "127.0.0.1:3")]);
    let line = CommandLine { listen: Some("127.0.0.1:4".parse().unwrap()), ..CommandLine::default() };
    let port = |line: &CommandLine, environment: &Environment| {
        load_in(&folder, line.clone(), environment).unwrap().listen.port()
    };
    assert_eq!(port(&line, &environment), 4);
    assert_eq!(port(&CommandLine::default(), &environment), 3);
    assert_eq!(port(&CommandLine::default(), &Environment::default()), 2);
    fs::write(folder.path().join("console.toml"), APPLICATION).unwrap();
    assert_eq!(port(&CommandLine::default(), &Environment::default()), 1);

    let config = load_in(&folder, line, &environment).unwrap();
    assert_eq!((config.base.as_str(), config.log_level), ("/leptos", LogLevel::Debug));
    assert_eq!(config.leptos.hash_file.as_ref(), "of-this-file");
}

#[test]
fn the_commands_of_a_console_name_its_file_and_a_store_that_the_file_does_not_name() {
    let folder = folder(&[("console.toml", APPLICATION)]);
    let (file, store) = (folder.path().join("console.toml"), folder.path().join("other.db"));
    let command = |line: CommandLine, environment: &Environment| {
        load_in(&folder, line, environment).unwrap().command.line("account list")
    };
    let of_file = format!("atomfeed-console account list --config {}", file.display());
    assert_eq!(command(CommandLine::default(), &Environment::default()), of_file);
    let with_store = format!("{of_file} --store {}", store.display());
    let line = CommandLine { store: Some(store.clone()), ..CommandLine::default() };
    assert_eq!(command(line, &Environment::default()), with_store);
    let environment = Environment::from([("ATOMFEED_CONSOLE_STORE", store.to_str().unwrap())]);
    assert_eq!(command(CommandLine::default(), &environment), with_store);
}

#[test]
fn an_entry_that_is_not_whole_is_set_aside_and_told_where_the_file_is_refused() {
    let lacking =
        "[[application]]\nname = \"B\"\nkind = \"odoo\"\ndatabase = \"postgres://${NOWHERE}/d\"\nuser = \"\"\n";
    let folder = folder(&[("console.toml", &format!("read_only = true\n{lacking}{APPLICATION}"))]);
    let config = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap();
    assert_eq!(config.infos().iter().map(|info| info.name.as_str()).collect::<Vec<_>>(), ["B", "A"]);
    assert!(config.infos().iter().all(|info| info.read_only) && config.has_an_application().is_ok());
    let [unconfigured] = &config.unconfigured[..] else { panic!("{config:?}") };
    assert_eq!(
        unconfigured.sentence(),
        "B is not configured. console.toml:5: application[1].database: the environment variable NOWHERE is not set; \
             console.toml:6: application[1].user: is empty."
    );
    fs::write(folder.path().join("console.toml"), lacking).unwrap();
    let config = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap();
    assert_eq!(config.has_an_application().unwrap_err().faults.len(), 2, "there is nothing to serve");
    fs::write(folder.path().join("console.toml"), format!("{lacking}passwrod = \"x\"\n{APPLICATION}log = 1\n"))
        .unwrap();
    let refused = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap_err().to_string();
    let places = ["has 4 errors", "console.toml:4: ", "console.toml:5: ", "console.toml:6: ", "console.toml:13: "];
    let found: Vec<usize> = places.iter().map(|place| refused.find(place).expect(place)).collect();
    assert!(found.is_sorted(), "{refused}");
}

#[cfg(unix)]
#[test]
fn a_password_that_everybody_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let old = "appConfigs:\n- {appName: PACS, dbUrl: 'jdbc:postgresql://h/d', dbUser: u, dbPassword: s3cr3t-Pa55}\n";
    let by_file = APPLICATION.replace("password = \"s3cr3t-Pa55\"", "password_file = \"pw\"");
    let by_variable = APPLICATION.replace("s3cr3t-Pa55", "${PW}");
    let folder = folder(&[
        ("a.toml", APPLICATION),
        ("b.toml", &by_file),
        ("c.toml", &by_variable),
        ("d.yml", old),
        ("pw", "s3cr3t-Pa55\n"),
    ]);
    let environment = Environment::from([("PW", "s3cr3t-Pa55")]);
    let warnings = |name: &str, mode: u32| {
        for file in [name, "pw"] {
            fs::set_permissions(folder.path().join(file), fs::Permissions::from_mode(mode)).unwrap();
        }
        let file = folder.path().join(name);
        let config = load(CommandLine::default(), &environment, Some(&file), folder.path()).unwrap();
        let told = config.warnings.into_iter().filter(|warning| warning.contains("read by all users"));
        told.collect::<Vec<_>>()
    };
    for (file, named) in
        [("a.toml", Some("a.toml")), ("b.toml", Some("pw")), ("c.toml", None), ("d.yml", Some("d.yml"))]
    {
        assert_eq!(warnings(file, 0o640), Vec::<String>::new(), "{file}");
        let told = warnings(file, 0o644);
        assert_eq!(told.len(), usize::from(named.is_some()), "{file}: {told:?}");
        if let (Some(named), [told]) = (named, &told[..]) {
            assert!(told.contains(&format!("/{named} holds a password")) && !told.contains("s3cr3t"), "{told}");
        }
    }
}

#[test]
fn a_proxy_that_is_not_named_is_warned_of() {
    for (settings, warned) in [
        ("public_origin = \"https://hospital.example\"", 1),
        ("public_origin = \"https://hospital.example\"\ntrusted_proxies = []", 1),
        ("public_origin = \"https://hospital.example\"\ntrusted_proxies = [\"127.0.0.1\"]", 0),
        ("public_origin = \"http://10.1.2.3:9080\"", 0),
        ("", 0),
    ] {
        let folder = folder(&[("console.toml", &format!("{settings}\n{APPLICATION}"))]);
        let config = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap();
        let told = config.warnings.iter().filter(|warning| warning.contains("trusted_proxies names none"));
        assert_eq!(told.count(), warned, "{settings}");
    }
}

#[test]
fn groups_that_a_proxy_names_are_warned_of() {
    let file = |access: &str| {
        format!(
            "trusted_proxies = [\"127.0.0.1\"]\n[access]\nmode = \"proxy\"\n[access.proxy]\n{access}\n{APPLICATION}"
        )
    };
    let read = |access: &str| {
        load_in(&folder(&[("console.toml", &file(access))]), CommandLine::default(), &Environment::default())
    };
    let told = |access: &str| {
        let told = read(access).unwrap().warnings.into_iter().filter(|warning| warning.contains("groups_header"));
        told.collect::<Vec<_>>()
    };
    let user = "user_header = \"X-Remote-User\"";
    assert_eq!(told(&format!("{user}\notherwise = \"viewer\"")), Vec::<String>::new());
    let warned = told(&format!("{user}\ngroups_header = \"X-Remote-Groups\"\nadministrator = [\"it\"]"));
    let [warning] = &warned[..] else { panic!("{warned:?}") };
    for part in ["x-remote-groups", "x-remote-user", "replace or remove", "docs/access.md"] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    let same = read(&format!("{user}\ngroups_header = \"x-remote-user\"\nadministrator = [\"it\"]")).unwrap_err();
    assert!(same.to_string().contains("is the header that user_header names"), "{same}");
}

#[test]
fn a_file_alone_is_enough_and_the_rest_is_default() {
    let elsewhere = folder(&[]);
    let folder = folder(&[("console.toml", APPLICATION)]);
    let file = folder.path().join("console.toml");
    let config = load(CommandLine::default(), &Environment::default(), Some(&file), elsewhere.path()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:9080");
    assert_eq!(config.base.as_str(), "/atomfeed-console");
    assert_eq!(config.store, folder.path().join("atomfeed-console.db"));
    assert_eq!((config.log, config.log_level, config.demo), (LogForm::Plain, LogLevel::Info, false));
    assert_eq!((config.leptos.output_name.as_ref(), config.leptos.site_pkg_dir.as_ref()), ("atomfeed-console", "pkg"));
    assert!(!format!("{config:?}").contains("s3cr3t"));
}

#[test]
fn a_service_token_names_its_applications_by_name_or_short_form() {
    let token = "[[access.service_token]]\nname = \"n\"\nright = \"status\"\ntoken_file = \"t\"\n";
    let text = |applications: &str| format!("{APPLICATION}\n{token}applications = [{applications}]\n");
    let folder = folder(&[("t", "0123456789abcdef0123456789abcdef")]);
    #[cfg(unix)]
    fs::set_permissions(folder.path().join("t"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for name in ["\"A\"", "\"a\""] {
        fs::write(folder.path().join("console.toml"), text(name)).unwrap();
        let config = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap();
        assert_eq!(config.access.service_tokens[0].applications, Some(BTreeSet::from(["a".to_owned()])));
    }
    fs::write(folder.path().join("console.toml"), text("\"Nobody\"")).unwrap();
    let refused = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap_err().to_string();
    assert!(refused.contains("access.service_token[1].applications: names an application that is not"), "{refused}");
    assert!(!refused.contains("Nobody"), "{refused}");
}

#[test]
fn leptos_toml_alone_is_enough_too() {
    let leptos = format!("{LEPTOS}{}", APPLICATION.replace("[[application]]", "[[console.application]]"));
    let folder = folder(&[("Leptos.toml", &leptos)]);
    let config = load(CommandLine::default(), &Environment::default(), None, folder.path()).unwrap();
    assert_eq!(config.applications.len(), 1);
    assert_eq!(config.store, folder.path().join("atomfeed-console.db"));
}

#[test]
fn the_old_file_is_known_by_its_ending_and_keeps_its_wide_address() {
    let old = "server: {port: 9081}\nappConfigs:\n- {appName: PACS, dbUrl: 'jdbc:postgresql://h/d', dbUser: u}\n";
    let folder = folder(&[("application.yml", old)]);
    let file = folder.path().join("application.yml");
    let config = load(CommandLine::default(), &Environment::default(), Some(&file), folder.path()).unwrap();
    assert_eq!((config.listen.to_string().as_str(), config.base.as_str()), ("0.0.0.0:9081", "/atomfeed-console"));
    assert_eq!(config.store, folder.path().join("atomfeed-console.db"));
    let line = CommandLine { listen: Some("127.0.0.1:1".parse().unwrap()), ..CommandLine::default() };
    let config = load(line, &Environment::default(), Some(&file), folder.path()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:1");
}

#[test]
fn faults_of_all_places_are_told_together() {
    let leptos = format!("{LEPTOS}[console]\nlissten = \"127.0.0.1:1\"\n[other]\n");
    let folder = folder(&[("Leptos.toml", &leptos), ("console.toml", "base_path = 1\n")]);
    let environment =
        Environment::from([("ATOMFEED_CONSOLE_LISTEN", "s3cr3t-Pa55"), ("ATOMFEED_CONSOLE_LOG_FORM", "xml")]);
    let refused = load_in(&folder, CommandLine::default(), &environment).unwrap_err().to_string();
    for part in [
        "has 5 errors",
        "environment: ATOMFEED_CONSOLE_LISTEN: is not an address",
        "environment: ATOMFEED_CONSOLE_LOG_FORM: is not a known word; allowed are plain or json",
        "console.toml:1: base_path: is a whole number",
        "Leptos.toml:5: console.lissten: is not a known key, did you mean \"listen\"?",
        "Leptos.toml:6: other: is not a known key",
    ] {
        assert!(refused.contains(part), "{part}\n{refused}");
    }
    assert!(!refused.contains("s3cr3t"), "{refused}");
}

#[test]
fn a_missing_file_and_a_file_without_applications_are_refused() {
    let folder = folder(&[]);
    let refused = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap_err();
    assert!(refused.to_string().contains("cannot be read"), "{refused}");
    fs::write(folder.path().join("console.toml"), "listen = \"127.0.0.1:1\"\n").unwrap();
    let refused = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap_err();
    assert!(refused.to_string().contains("names no application"), "{refused}");
    let refused = load(CommandLine::default(), &Environment::default(), None, folder.path()).unwrap_err();
    assert!(refused.to_string().contains("--config FILE"), "{refused}");
}

#[test]
fn a_misspelt_variable_is_named_and_those_of_container_managers_are_left_alone() {
    let folder = folder(&[("console.toml", APPLICATION)]);
    let environment = Environment::from([
        ("ATOMFEED_CONSOLE_BASEPATH", "/x"),
        ("ATOMFEED_CONSOLE_PORT", "tcp://10.0.0.1:9080"),
        ("ATOMFEED_CONSOLE_SERVICE_HOST", "10.0.0.1"),
    ]);
    let config = load_in(&folder, CommandLine::default(), &environment).unwrap();
    let of_variables: Vec<_> = config.warnings.iter().filter(|warning| warning.contains("variable ATOM")).collect();
    assert_eq!(
        of_variables,
        ["The environment variable ATOMFEED_CONSOLE_BASEPATH is not known, did you mean ATOMFEED_CONSOLE_BASE_PATH?"]
    );
}

#[test]
fn the_demo_listens_on_loopback_whatever_leptos_toml_says_for_the_hospital() {
    let leptos = format!("{LEPTOS}[console]\nlisten = \"0.0.0.0:80\"\nstore = \"hospital.db\"\nbase_path = \"/x\"\n");
    let folder = folder(&[("Leptos.toml", &leptos)]);
    let data = Path::new("/data");
    let made = |line, environment: &Environment| demo(line, environment, folder.path(), data, Vec::new()).unwrap();
    let config = made(CommandLine::default(), &Environment::default());
    assert_eq!((config.listen, config.base.as_str(), config.demo), (DEFAULT_LISTEN, "/x", true));
    assert_eq!(config.store, Path::new("/data/atomfeed-console.db"));
    let line = CommandLine { listen: Some("0.0.0.0:0".parse().unwrap()), ..CommandLine::default() };
    assert_eq!(made(line, &Environment::default()).listen.to_string(), "0.0.0.0:0");
}

#[test]
fn the_leptos_toml_of_this_project_is_right() {
    let folder = folder(&[("Leptos.toml", include_str!("../../../../Leptos.toml")), ("console.toml", APPLICATION)]);
    let config = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap();
    assert_eq!(config.leptos.output_name.as_ref(), "atomfeed-console");
    assert_eq!((config.listen, config.base), (DEFAULT_LISTEN, default_base()));
}

const DOCUMENTATION: &str = include_str!("../../../../docs/configuration.md");

/// Returns the words in code marks of one column of the table below a heading of the documentation.
fn column(heading: &str, column: usize) -> BTreeSet<&'static str> {
    let below = DOCUMENTATION.split_once(&format!("# {heading}\n")).expect("the heading").1;
    let rows = below.split("\n#").next().unwrap_or_default().lines().filter(|line| line.starts_with("| "));
    // Every second part is between two marks.
    rows.flat_map(|row| row.split('|').nth(column + 1).unwrap_or_default().split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_tables_of_the_documentation_have_every_setting_and_no_others() {
    let inside =
        |table: &'static str, keys: &[&str]| keys.iter().map(|key| format!("{table}.{key}")).collect::<Vec<_>>();
    let of_tables = [
        inside("access", &toml_file::access::ACCESS_KEYS),
        inside("log", &toml_file::LOG_KEYS),
        inside("records", &toml_file::RECORD_KEYS),
        inside("audit", &toml_file::KEEP_KEYS),
        inside("history", &toml_file::KEEP_KEYS),
        inside("discarded", &toml_file::KEEP_KEYS),
    ]
    .concat();
    let tables = ["access", "log", "records", "audit", "history", "discarded", "concerns", "application"];
    let plain = toml_file::TOP_KEYS.into_iter().filter(|key| !tables.contains(key));
    assert_eq!(column("The console", 0), plain.chain(of_tables.iter().map(String::as_str)).collect());
    assert_eq!(column("An application", 0), BTreeSet::from(toml_file::APPLICATION_KEYS));
    assert_eq!(column("One feed", 0), BTreeSet::from(toml_file::FEED_KEYS));
    assert_eq!(column("Concerns", 0), BTreeSet::from(toml_file::CONCERN_KEYS));
    let variables = VARIABLE_ENDS.map(|end| format!("{VARIABLE}{}", end.to_uppercase()));
    assert_eq!(column("What wins", 2), variables.iter().map(String::as_str).collect());
}

#[test]
fn the_full_example_of_the_documentation_is_right_and_names_every_setting() {
    let example = DOCUMENTATION.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = folder(&[
        ("console.toml", example),
        ("odoo.password", "s3cr3t-Pa55\n"),
        ("openelis-feed.password", "s3cr3t-Pa55\n"),
        ("hospital-ca.pem", ""),
    ]);
    let environment = Environment::from([
        ("OPENMRS_DB_HOST", "openmrsdb"),
        ("OPENMRS_DB_PASSWORD", "s3cr3t-Pa55"),
        ("OPENMRS_FEED_PASSWORD", "s3cr3t-Pa55"),
        ("OPENELIS_DB_PASSWORD", "s3cr3t-Pa55"),
    ]);
    let config = load_in(&folder, CommandLine::default(), &environment).unwrap();
    let addresses: Vec<_> = config.applications.iter().map(|application| application.info.address.as_str()).collect();
    assert_eq!(addresses, ["openmrsdb:3306/openmrs", "openelisdb:5432/clinlims", "odoodb:5432/odoo", "consumer.db"]);
    assert_eq!(config.applications[2].info.limits.feed_interval_secs, 60);
    assert!(!format!("{config:?}").contains("s3cr3t"));
    for key in toml_file::APPLICATION_KEYS {
        let written = [format!("\n{key} = "), format!("\n[[application.{key}]]")];
        assert!(written.iter().any(|line| example.contains(line)), "{key} is not in the example");
    }
    for key in toml_file::CONCERN_KEYS {
        assert!(example.contains(&format!("{key} = ")), "{key} is not in the example");
    }
    let odoo = &config.applications[2].info.concerns;
    assert_eq!((odoo.retry_overdue_secs, odoo.queue_age_secs, odoo.compare_markers), (Some(300), Some(600), true));
    assert!(odoo.is_idle(Some("http://openelis:8052/openelis/ws/feed/patient/recent")));
}
