use super::*;

/// Returns the faults of the file, without those of a single entry.
fn read_in(dir: &Path, text: &str, environment: &Environment) -> (Layer, Vec<String>) {
    let mut faults = Faults::of("console.toml");
    let layer = read(text, dir, None, environment, &mut faults);
    (layer, faults.into_list().iter().map(ToString::to_string).collect())
}

/// Returns what the entries lack.
fn lacking(layer: Layer) -> Vec<Fault> {
    let (_, unconfigured) = entries::separated(layer.applications.unwrap_or_default());
    unconfigured.into_iter().flat_map(|entry| entry.lacking).collect()
}

/// Returns all errors of a file, as a refusal reports them.
fn wrong(dir: &Path, text: &str, environment: &Environment) -> Vec<String> {
    let mut faults = Faults::of("console.toml");
    let layer = read(text, dir, None, environment, &mut faults);
    let mut all: Vec<Fault> = faults.into_list().into_iter().chain(lacking(layer)).collect();
    all.sort_by_key(|fault| fault.line);
    all.iter().map(ToString::to_string).collect()
}

/// Returns the applications of a file without faults.
fn whole(text: &str) -> Vec<Application> {
    let (layer, faults) = read_in(Path::new("/etc/console"), text, &Environment::default());
    assert_eq!(faults, Vec::<String>::new());
    let (applications, lacking) = entries::separated(layer.applications.unwrap());
    assert_eq!(lacking, []);
    applications
}

fn faults(text: &str) -> Vec<String> {
    wrong(Path::new("/nowhere"), text, &Environment::default())
}

/// Returns a complete application with these lines added.
fn with(lines: &str) -> String {
    format!("[[application]]\nname = \"A\"\nkind = \"odoo\"\ndatabase = \"postgres://h/d\"\nuser = \"u\"\n{lines}\n")
}

fn only_application(text: &str) -> Application {
    let mut applications = whole(text);
    assert_eq!(applications.len(), 1);
    applications.remove(0)
}

#[test]
fn four_lines_are_an_application_and_the_rest_is_preset() {
    let application = only_application(&with(""));
    assert_eq!(application.info.key, "a");
    assert_eq!(application.info.address, "h:5432/d");
    assert_eq!(application.info.limits, presets::limits(Kind::Odoo));
    assert_eq!(application.info.limits.max_failed_events, Some(1_000));
    assert!(!application.info.kind_assumed && !application.info.limits.assumed && !application.info.read_only);
    assert_eq!((application.time_zone, application.pool_size), (chrono_tz::UTC, 8));
    assert_eq!(application.database.tls, Tls::Preferred);
    assert_eq!(application.refresh, Duration::from_secs(10));
    assert_eq!(application.connect_timeout, Duration::from_secs(5));
    assert_eq!(application.statement_timeout, Duration::from_secs(10));
}

#[test]
fn what_the_file_says_stands_in_the_place_of_the_preset() {
    let application = only_application(&with(
        "max_failed_events = \"unlimited\"\nmax_retry = \"never\"\nfeed_interval = \"2m\"\nretry_interval = 45\n\
             retry_batch = 7\nrefresh = \"1h\"\npool_size = 20\nconnect_timeout = \"1s\"\nstatement_timeout = 600\n\
             time_zone = \"Asia/Kolkata\"\ntls = \"required\"\nread_only = true\npublishes = []\nschema = \"clinlims\"",
    ));
    let limits = &application.info.limits;
    assert_eq!((limits.max_failed_events, limits.max_retry), (None, None));
    assert_eq!((limits.feed_interval_secs, limits.retry_interval_secs, limits.retry_batch), (120, 45, 7));
    assert_eq!((application.refresh.as_secs(), application.info.refresh_secs), (3_600, 3_600));
    assert_eq!((application.connect_timeout.as_secs(), application.statement_timeout.as_secs()), (1, 600));
    assert_eq!((application.info.time_zone.as_str(), application.database.tls), ("Asia/Kolkata", Tls::Required));
    assert_eq!(application.database.schema.as_deref(), Some("clinlims"));
    assert!(application.info.read_only && application.info.publishes.is_empty());
}

#[test]
fn a_feed_may_have_a_limit_of_its_own() {
    let feed = |uri: &str, lines: &str| format!("[[application.feed]]\nuri = \"{uri}\"\n{lines}\n");
    let application = only_application(
        &(with("max_failed_events = 2000")
            + &feed("http://openmrs:8080/openmrs/ws/atomfeed/lab/recent", "max_failed_events = 50")
            + &feed(" http://openelis:8052/openelis/ws/feed/patient/recent ", "max_failed_events = \"unlimited\"")),
    );
    let most = |uri| application.info.limits_of(uri).max_failed_events;
    assert_eq!(most(Some("http://openmrs:8080/openmrs/ws/atomfeed/lab/recent")), Some(50));
    assert_eq!(most(Some("http://openelis:8052/openelis/ws/feed/patient/recent")), None);
    assert_eq!(most(Some("http://openmrs:8080/openmrs/ws/atomfeed/drug/recent")), Some(2_000));
    assert_eq!(most(None), None, "what has no address is counted by no consumer");
    for (lines, key) in [
        ("[[application.feed]]\nmax_failed_events = 5", "feed[1].uri"),
        ("[[application.feed]]\nuri = \"http://a\"", "feed[1].max_failed_events"),
        (&feed("http://a", "max_failed_events = 0"), "feed[1].max_failed_events"),
        (&feed("http://a", "max_failed_event = 5\nmax_failed_events = 5"), "feed[1].max_failed_event"),
        (&feed(" ", "max_failed_events = 5"), "feed[1].uri"),
        (&feed(&"x".repeat(256), "max_failed_events = 5"), "feed[1].uri"),
        (&feed("http://a", "max_failed_events = 5").repeat(2), "feed[2].uri"),
    ] {
        let found = faults(&with(lines));
        assert!(found.len() == 1 && found[0].contains(&format!(": application[1].{key}: ")), "{lines}: {found:?}");
    }
}

#[test]
fn a_threshold_of_concerns_is_within_its_bounds_or_off() {
    for (settings, key) in [
        ("near_limit = 0", "near_limit"),
        ("near_limit = 101", "near_limit"),
        ("near_limit = \"never\"", "near_limit"),
        ("near = 80", "near"),
        ("queue_age = 0", "queue_age"),
        ("queue_age = \"29s\"", "queue_age"),
        ("queue_age = \"8d\"", "queue_age"),
        ("queue_age = \"never\"", "queue_age"),
        ("queue_age = 1.5", "queue_age"),
        ("queue_age = -600", "queue_age"),
        ("retry_overdue = 59", "retry_overdue"),
        ("retry_overdue = \"8d\"", "retry_overdue"),
        ("retry_overdue = false", "retry_overdue"),
        ("compare_markers = \"yes\"", "compare_markers"),
        ("idle_feeds = \"/openelis/\"", "idle_feeds"),
        ("idle_feeds = [\"\"]", "idle_feeds"),
        ("idle_feeds = [1]", "idle_feeds"),
    ] {
        let console = format!("[concerns]\n{settings}\n{}", with(""));
        let application = with(&format!("concerns = {{ {settings} }}"));
        for (text, place) in [(console, "concerns"), (application, "application[1].concerns")] {
            let found = faults(&text);
            assert!(found.len() == 1 && found[0].contains(&format!(": {place}.{key}: ")), "{settings}: {found:?}");
        }
    }
}

#[test]
fn the_usual_feeds_are_given_to_the_only_application_of_a_kind() {
    let openmrs = |name: &str, more: &str| {
        format!("[[application]]\nname = \"{name}\"\nkind = \"openmrs\"\ndatabase = \"sqlite:x\"\n{more}\n")
    };
    let publishers = |text: &str| -> Vec<Vec<String>> {
        whole(text).into_iter().map(|application| application.info.publishes).collect()
    };
    assert_eq!(publishers(&openmrs("A", ""))[0][0], "http://openmrs:8080/openmrs/");
    let two = publishers(&(openmrs("A", "") + &openmrs("B", "publishes = [\"http://b/\"]")));
    assert_eq!(two, [vec![], vec!["http://b/".to_owned()]]);
}

#[test]
fn keys_of_the_probe_are_refused_where_they_send_a_password_nowhere_or_elsewhere() {
    let application = "[[application]]\nname = \"A\"\nkind = \"openmrs\"\ndatabase = \"mysql://h/d\"\nuser = \"u\"\n";
    let probe = "probe = \"http://h:8050/openmrs/ws/atomfeed/patient/recent\"\n";
    let user = "probe_user = \"feeds\"\n";
    for (keys, reason) in [
        ("probe_every = \"1m\"\n".to_owned(), "probe_every: is set without probe"),
        (user.to_owned(), "probe_user: is set without probe"),
        (format!("{probe}probe_password = \"x\"\n"), "probe_password: is set without probe_user"),
        (format!("{probe}probe_every = 5\n"), "probe_every: must be a time from 10 seconds to 1 hour"),
        (
            format!("{probe}{user}probe_login = \"http://h/session\"\n"),
            "probe_login: is of another scheme, host or port",
        ),
        (
            format!("{probe}{user}probe_login = \"https://h:8050/s\"\n"),
            "probe_login: is of another scheme, host or port",
        ),
        (
            format!("{probe}{user}probe_password = \"x\"\nprobe_password_file = \"f\"\n"),
            "probe_password_file: is set together with probe_password",
        ),
    ] {
        let found = faults(&format!("{application}{keys}"));
        assert!(matches!(&found[..], [one] if one.contains(reason)), "{keys}: {found:?}");
    }
}

#[test]
fn every_key_refuses_a_value_of_another_type_or_out_of_bounds() {
    for (key, values) in [
        ("name", &["1", "\"\"", "[]"][..]),
        ("kind", &["1", "\"openmsr\"", "true"]),
        ("database", &["1", "\"h/d\"", "{}"]),
        ("schema", &["1", "\"\""]),
        ("user", &["1", "\" \""]),
        ("password", &["1", "true", "[]"]),
        ("password_file", &["1", "\"missing\"", "\"\""]),
        ("tls", &["true", "\"on\"", "\"Off\""]),
        ("tls_ca", &["1", "\"missing.pem\""]),
        ("time_zone", &["5", "\"IST+5\"", "\"\""]),
        ("max_failed_events", &["0", "-1", "1.5", "\"10\"", "\"never\"", "true", "99999999999999999999999"]),
        ("max_retry", &["0", "-1", "\"unlimited\"", "1979-05-27"]),
        ("feed_interval", &["0", "\"0s\"", "\"8d\"", "\"169h\"", "1.5", "\"\""]),
        ("retry_interval", &["0", "\"-1s\"", "[1]"]),
        ("retry_batch", &["0", "10001", "\"5\""]),
        ("refresh", &["0", "\"2h\"", "\"fast\"", "99999999999999999999"]),
        ("pool_size", &["0", "21", "\"3\"", "3.0"]),
        ("connect_timeout", &["0", "601", "\"11m\"", "true"]),
        ("statement_timeout", &["0", "601", "\"1000000000000000000h\""]),
        ("publishes", &["\"http://a/\"", "[1]", "[\"\"]", "{}"]),
        (
            "public_url",
            &["1", "\"\"", "\"bahmni\"", "\"ftp://a\"", "\"https://\"", "\"https://a@b\"", "\"https://a?b\""],
        ),
        ("feed_address", &["1", "\"openmrs\"", "\"http://openmrs/?x\""]),
        ("feed_title", &["1", "[]"]),
        ("feed_id_prefix", &["[1]"]),
        ("probe", &["1", "\"\"", "\"openmrs\"", "\"ftp://a/f\"", "\"http://u:p@a/f\"", "\"http:///f\""]),
        ("concerns", &["80", "[80]"]),
        ("feed", &["\"http://a/recent\"", "{ uri = \"http://a/recent\" }"]),
        ("read_only", &["1", "\"true\""]),
    ] {
        for value in values {
            let lines = ["name = \"A\"", "kind = \"odoo\"", "database = \"postgres://h/d\"", "user = \"u\""];
            let others = lines.iter().filter(|line| !line.starts_with(&format!("{key} ")));
            let text = others.fold("[[application]]\n".to_owned(), |text, line| text + line + "\n");
            let found = faults(&format!("{text}{key} = {value}\n"));
            let line = text.lines().count() + 1;
            let start = format!("console.toml:{line}: application[1].{key}: ");
            assert!(
                !found.is_empty() && found.iter().all(|fault| fault.starts_with(&start)),
                "{key} = {value}: {found:?}"
            );
        }
    }
}

#[test]
fn the_tables_at_the_top_refuse_other_types_too() {
    for (text, key) in [
        ("listen = 9080", "listen"),
        ("listen = \"9080\"", "listen"),
        ("listen = \"localhost\"", "listen"),
        ("base_path = \"/a/../b\"", "base_path"),
        ("store = 1", "store"),
        ("log = \"plain\"", "log"),
        ("[log]\nform = \"xml\"", "log.form"),
        ("[log]\nlevel = 3", "log.level"),
        ("read_only = 1", "read_only"),
        ("mask_texts = \"no\"", "mask_texts"),
        ("hospital = 5", "hospital"),
        ("hospital = \" \"", "hospital"),
        ("hospital = \"\\u200b\"", "hospital"),
        ("audit = 5", "audit"),
        ("[audit]\nkeep_days = 0", "audit.keep_days"),
        ("[audit]\nkeep_days = \"always\"", "audit.keep_days"),
        ("[audit]\nkeep = 5", "audit.keep"),
        ("[discarded]\nkeep_days = 0", "discarded.keep_days"),
        ("[discarded]\nkeep_days = \"always\"", "discarded.keep_days"),
        ("[discarded]\nkeep = 3", "discarded.keep"),
        ("[history]\nkeep_days = 0", "history.keep_days"),
        ("[access]\nsecond_factor = \"administrator\"", "access.second_factor"),
        ("[access]\nsecond_factor = [\"king\"]", "access.second_factor"),
        ("[access]\nsecond_factor_key = 1", "access.second_factor_key"),
        ("[access]\nmode = \"open\"\nsecond_factor = [\"viewer\"]", "access.second_factor"),
        ("application = 1", "application"),
        ("[application]\nname = \"A\"", "application"),
        ("application = [1]", "application[1]"),
    ] {
        let found = faults(text);
        assert!(found.len() == 1 && found[0].contains(&format!(": {key}: ")), "{text}: {found:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_line() {
    let found = faults(
        "listen = \"here\"\ncolour = 1\n[log]\nformat = \"json\"\n[[application]]\nname = \"A\"\nkind = \"odo\"\n\
             passwrod = \"x\"\n[[application]]\nname = \"a\"\nkind = \"pacs\"\ndatabase = \"postgres://${HOST}/${NAME}\"\n\
             user = \"u\"\ntls = 1\n",
    );
    let starts = [
        "console.toml:1: listen: is not an address",
        "console.toml:2: colour: is not a known key",
        "console.toml:4: log.format: is not a known key, did you mean \"form\"?",
        "console.toml:5: application[1].database: is missing",
        "console.toml:7: application[1].kind: is not a known word; allowed are openmrs, openelis, odoo, pacs, crater or custom, did you mean \"odoo\"?",
        "console.toml:8: application[1].passwrod: is not a known key, did you mean \"password\"?",
        "console.toml:10: application[2].name: is also the name of application[1]",
        "console.toml:12: application[2].database: the environment variable HOST is not set",
        "console.toml:12: application[2].database: the environment variable NAME is not set",
        "console.toml:14: application[2].tls: is a whole number, but must be a text in quotes",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (fault, start) in found.iter().zip(starts) {
        assert!(fault.starts_with(start), "{fault}\n{start}");
    }
}

#[test]
fn what_an_entry_lacks_concerns_that_entry_only() {
    let environment = Environment::from([("EMPTY", ""), ("SCHEMA", "s")]);
    let entry = |replaced: &str, by: &str| with("").replace(replaced, by);
    for (text, key, words) in [
        (entry("postgres://h/d", "postgres://${HOST}/d"), "database", "the environment variable HOST is not set"),
        (entry("postgres://h/d", "postgres://${EMPTY}/d"), "database", "names no host"),
        (entry("postgres://h/d", "postgres:///"), "database", "names no host"),
        (entry("postgres://h/d", "postgres://h"), "database", "names no database"),
        (entry("postgres://h/d", "postgres://h/"), "database", "names no database"),
        (entry("postgres://h/d", "jdbc:h2:mem:x"), "database", "is not an address"),
        (entry("postgres://h/d", "oracle://h/d"), "database", "begins with a word"),
        (entry("postgres://h/d", ""), "database", "is not an address"),
        (entry("postgres://h/d", "postgres://h:0/d"), "database", "has a port"),
        (entry("database = \"postgres://h/d\"\n", ""), "database", "is missing"),
        (entry("user = \"u\"\n", ""), "user", "is missing"),
        (entry("\"u\"", "\" \""), "user", "is empty"),
        (entry("\"u\"", "\"${EMPTY}\""), "user", "is empty"),
        (entry("\"u\"", "\"${USER}\""), "user", "USER is not set"),
        (with("password = \"${PW}\""), "password", "PW is not set"),
        (with("password_file = \"missing\""), "password_file", "there is no such file"),
        (with("schema = \"${EMPTY}\""), "schema", "is empty"),
        (with("tls = \"verified\"\ntls_ca = \"missing.pem\""), "tls_ca", "there is no such file"),
        (with("time_zone = \"${ZONE}\""), "time_zone", "ZONE is not set"),
        (entry("\"odoo\"", "\"${KIND}\""), "kind", "KIND is not set"),
        (entry("\"A\"", "\"${NAME}\""), "name", "NAME is not set"),
        (with("publishes = [\"${BASE}/openmrs\"]"), "publishes", "BASE is not set"),
    ] {
        let text = text + "[[application]]\nname = \"B\"\nkind = \"pacs\"\ndatabase = \"sqlite:b\"\n";
        let (layer, faults) = read_in(Path::new("/nowhere"), &text, &environment);
        assert_eq!(faults, Vec::<String>::new(), "{text}");
        let (whole, lacking) = entries::separated(layer.applications.unwrap());
        assert_eq!(whole.len(), 1, "{text}");
        let [entry] = &lacking[..] else { panic!("{text}: {lacking:?}") };
        let told: Vec<String> = entry.lacking.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{text}: {told:?}");
        assert!(told[0].contains(&format!(": application[1].{key}: ")) && told[0].contains(words), "{told:?}");
        assert_eq!(entry.info.name, if key == "name" { "Application 1" } else { "A" });
    }
}

#[test]
fn a_mistake_in_a_key_or_a_type_is_one_of_the_file_wherever_it_stands() {
    for lines in [
        "passwrod = \"x\"",
        "pool_size = \"3\"",
        "tls = \"on\"",
        "password = 7",
        "time_zone = \"IST+5\"",
        "schema = []",
    ] {
        let (_, faults) = read_in(Path::new("/nowhere"), &with(lines), &Environment::default());
        assert_eq!(faults.len(), 1, "{lines}: {faults:?}");
    }
    let (_, faults) = read_in(Path::new("/nowhere"), "store = \"${STORE}\"", &Environment::default());
    assert_eq!(faults, ["console.toml:1: store: the environment variable STORE is not set"]);
}

#[test]
fn settings_that_mean_nothing_together_are_refused() {
    for (lines, key) in [
        ("password = \"a\"\npassword_file = \"/dev/null\"", "password_file"),
        ("tls_ca = \"/dev/null\"", "tls_ca"),
        ("tls = \"off\"\ntls_ca = \"/dev/null\"", "tls_ca"),
    ] {
        let found = faults(&with(lines));
        assert!(found.iter().any(|fault| fault.contains(&format!("application[1].{key}: "))), "{lines}: {found:?}");
    }
    let sqlite =
        "[[application]]\nname = \"A\"\nkind = \"odoo\"\ndatabase = \"sqlite:x\"\nuser = \"u\"\ntls = \"off\"\n";
    assert_eq!(faults(sqlite).len(), 2);
    let mysql = "[[application]]\nname = \"A\"\nkind = \"crater\"\ndatabase = \"mysql://h/d\"\nschema = \"x\"\n";
    assert_eq!(faults(mysql).len(), 2, "a schema is refused and a user is missing");
}

#[test]
fn a_password_comes_from_the_file_without_its_last_newline() {
    let dir = tempfile::tempdir().unwrap();
    for (content, password) in [("s3cr3t", "s3cr3t"), ("s3cr3t\n", "s3cr3t"), (" s\r\n", " s"), ("${A}\n\n", "${A}\n")]
    {
        fs::write(dir.path().join("pw"), content).unwrap();
        let (layer, faults) = read_in(dir.path(), &with("password_file = \"pw\""), &Environment::default());
        assert_eq!(faults, Vec::<String>::new());
        let (applications, _) = entries::separated(layer.applications.unwrap());
        assert_eq!(applications[0].database.password.reveal(), password);
    }
    for content in [&b""[..], b"\n", b"\xff\xfe", &[b'x'; 5_000]] {
        fs::write(dir.path().join("pw"), content).unwrap();
        let (layer, faults) = read_in(dir.path(), &with("password_file = \"pw\""), &Environment::default());
        assert_eq!((faults.len(), lacking(layer).len()), (0, 1), "{faults:?}");
    }
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn service_token(lines: &str) -> String {
    format!("[[access.service_token]]\nname = \"nagios\"\nright = \"status\"\ntoken_file = \"t\"\n{lines}\n")
}

fn write_private(file: &Path, content: &[u8]) {
    fs::write(file, content).unwrap();
    #[cfg(unix)]
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
}

#[test]
fn a_service_token_comes_from_a_file_that_holds_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    for content in [TOKEN.to_owned(), format!("{TOKEN}\n"), format!("{TOKEN}\r\n")] {
        write_private(&dir.path().join("t"), content.as_bytes());
        let (layer, faults) = read_in(dir.path(), &service_token(""), &Environment::default());
        assert_eq!(faults, Vec::<String>::new());
        let tokens = layer.service_tokens.unwrap();
        assert_eq!((tokens[0].name.as_str(), tokens[0].token.reveal()), ("nagios", TOKEN));
        assert!(!format!("{tokens:?}").contains(TOKEN));
    }
    let long = [b'x'; 5_000];
    for (content, says) in [
        (&b""[..], "is empty: write the token into it"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "UTF-8"),
        (&long, "larger than 4096 bytes: this is not a file with a token"),
        (b"0123456789abcdef0123456789abcde", "could be guessed: at least 32"),
        (b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "could be guessed"),
        (b"0123456789abcdef 0123456789abcdef", "holds a space"),
        (b"0123456789abcdef0123456789abcdef\n\n", "a second line"),
        ("0123456789abcdef0123456789abcdéf".as_bytes(), "a header cannot carry"),
    ] {
        write_private(&dir.path().join("t"), content);
        let found = wrong(dir.path(), &service_token(""), &Environment::default());
        assert_eq!(found.len(), 1, "{content:?}: {found:?}");
        assert!(found[0].contains("console.toml:4: access.service_token[1].token_file: "), "{found:?}");
        assert!(found[0].contains(says) && !found[0].contains("0123456789abcdef"), "{found:?}");
    }
    fs::remove_file(dir.path().join("t")).unwrap();
    assert!(wrong(dir.path(), &service_token(""), &Environment::default())[0].contains("token_file: "));
}

#[cfg(unix)]
#[test]
fn a_token_that_everybody_on_the_machine_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_private(&dir.path().join("t"), TOKEN.as_bytes());
    fs::set_permissions(dir.path().join("t"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let found = wrong(dir.path(), &service_token(""), &Environment::default());
    assert!(found.len() == 1 && found[0].contains("can be read by all users of this machine"), "{found:?}");
}

#[test]
fn a_service_token_has_a_name_of_its_own_a_right_and_a_token() {
    let dir = tempfile::tempdir().unwrap();
    write_private(&dir.path().join("t"), TOKEN.as_bytes());
    for (text, keys) in [
        ("[access]\nservice_token = 1".to_owned(), &["access.service_token"][..]),
        ("[access.service_token]\nname = \"x\"".to_owned(), &["access.service_token"]),
        (
            "[[access.service_token]]".to_owned(),
            &["service_token[1].name", "service_token[1].right", "service_token[1].token_file"],
        ),
        (service_token("token = \"x\""), &["service_token[1].token"]),
        (service_token("applications = []"), &["service_token[1].applications"]),
        (service_token("applications = \"Odoo\""), &["service_token[1].applications"]),
        (service_token("").replace("\"status\"", "\"everything\""), &["service_token[1].right"]),
        (service_token("").replace("nagios", " "), &["service_token[1].name"]),
        (
            format!("{}{}", service_token(""), service_token("")),
            &["service_token[2].name", "service_token[2].token_file"],
        ),
    ] {
        let found = wrong(dir.path(), &text, &Environment::default());
        assert_eq!(found.len(), keys.len(), "{text}: {found:?}");
        for key in keys {
            assert!(found.iter().any(|fault| fault.contains(&format!("{key}: "))), "{text}: {found:?}");
        }
    }
}

#[test]
fn paths_are_meant_beside_the_file() {
    let text = format!(
        "store = \"data/store.db\"\n{}",
        with("").replace("postgres://h/d", "sqlite:elis.db").replace("user = \"u\"\n", "")
    );
    let (layer, faults) = read_in(Path::new("/etc/console"), &text, &Environment::default());
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(layer.store.unwrap(), Path::new("/etc/console/data/store.db"));
    let (applications, _) = entries::separated(layer.applications.unwrap());
    assert_eq!(applications[0].database.database, "/etc/console/elis.db");
}

const PASSWORD: &str = "s3cr3t-Pa55";

/// Puts the password into every place of a file where it could be put by mistake.
#[test]
fn no_message_ever_holds_a_password() {
    let environment = Environment::from([("PW", PASSWORD)]);
    let values = [
        format!("\"{PASSWORD}\""),
        "\"${PW}\"".to_owned(),
        format!("\"${{{PASSWORD}\""),
        format!("\"mysql://root:{PASSWORD}@h/d\""),
        format!("\"mysql://h/d?password={PASSWORD}\""),
        format!("\"jdbc:mysql://h/d?password={PASSWORD}\""),
        format!("\"postgres://[{PASSWORD}]:1/d\""),
        format!("\"postgres://h:{PASSWORD}/d\""),
        format!("[\"{PASSWORD}\", 1]"),
        format!("{{ a = \"{PASSWORD}\" }}"),
        format!("\"{PASSWORD}"),
        format!("'''{PASSWORD}"),
        format!("\"\\q{PASSWORD}\""),
        format!("\"{PASSWORD}\" \"{PASSWORD}\""),
        format!("12 {PASSWORD}"),
    ];
    let mut told = 0;
    for key in APPLICATION_KEYS.into_iter().chain(["passwrod"]) {
        for value in &values {
            for text in [with(&format!("{key} = {value}")), format!("[[application]]\n{key} = {value}\nname = 1\n")] {
                let faults = wrong(Path::new("/nowhere"), &text, &environment);
                told += faults.len();
                assert!(!faults.join("\n").contains(PASSWORD), "{text}\n{faults:?}");
                let (layer, _) = read_in(Path::new("/nowhere"), &text, &environment);
                let (applications, _) = entries::separated(layer.applications.unwrap_or_default());
                for application in applications {
                    assert_eq!(format!("{:?}", application.database.password), "***");
                }
            }
        }
    }
    for key in TOP_KEYS {
        for value in &values {
            let faults = wrong(Path::new("/nowhere"), &format!("{key} = {value}\n"), &environment);
            told += faults.len();
            assert!(!faults.join("\n").contains(PASSWORD), "{key} = {value}\n{faults:?}");
        }
    }
    assert!(told > 500, "nearly all of these files are wrong, but only {told} faults were told");
}
