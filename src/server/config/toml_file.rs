//! The console's own file: TOML, read key by key, so that all errors are found in one pass, with their lines.
//!
//! The keys, their meaning and their bounds are in docs/configuration.md.

use std::{fs, net::SocketAddr, ops::RangeInclusive, path::Path, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use url::Url;

use crate::{
    model::{ApplicationInfo, Backend, FeedLimit, Kind, Limits, Role, access::ServiceRight},
    paths::Base,
};

use super::{
    Application, ConcernLayer, Database, Fault, LogForm, LogLevel, Mode, Openmrs, Origin, Proxy, RoleNames, Secret,
    Tls, Unconfigured,
    access::network,
    address::{self, Address},
    entries::{self, Entry},
    environment::{self, Environment, Syntax, expand},
    faults::{Faults, Place, did_you_mean, one_of, unreadable},
    layers::{Layer, ServiceTokenEntry},
    names, presets, secrecy,
};

/// Minimum and maximum of a timeout.
pub(super) const TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
const REFRESH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
/// A week: some jobs are switched off by an interval that never elapses.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(604_800));
const POOL_SIZE: RangeInclusive<u64> = 1..=20;
const MAX_FAILED_EVENTS: RangeInclusive<u64> = 1..=1_000_000_000;
const MAX_RETRY: RangeInclusive<u64> = 1..=1_000_000;
const RETRY_BATCH: RangeInclusive<u64> = 1..=10_000;
/// The columns that hold feed addresses are no longer than this.
const LONGEST_ADDRESS: usize = 255;
/// The longest name of a hospital, in characters: it is a part of a line.
const LONGEST_HOSPITAL: usize = 100;
/// A file with a password or a token is small; a larger one was named by mistake.
const LARGEST_SECRET_FILE: u64 = 4_096;

const TOP_KEYS: [&str; 16] = [
    "hospital",
    "listen",
    "base_path",
    "store",
    "public_origin",
    "trusted_proxies",
    "hosts",
    "read_only",
    "mask_texts",
    "access",
    "log",
    "audit",
    "discarded",
    "history",
    "concerns",
    "application",
];
/// Keys of the table `concerns`, the console's and an application's.
pub(super) const CONCERN_KEYS: [&str; 5] =
    ["near_limit", "queue_age", "retry_overdue", "compare_markers", "idle_feeds"];
const PERCENT: RangeInclusive<u64> = 1..=100;
/// Polls of a quiet hospital are two minutes apart, and clocks of two machines differ.
const QUEUE_AGE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(604_800));
const RETRY_OVERDUE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(604_800));
/// Keys of the tables `audit`, `discarded` and `history`.
const KEEP_KEYS: [&str; 1] = ["keep_days"];
const KEEP_DAYS: RangeInclusive<u64> = 1..=36_500;
const LOG_KEYS: [&str; 2] = ["form", "level"];
pub(super) const ACCESS_KEYS: [&str; 8] = [
    "mode",
    "session_idle",
    "session_longest",
    "second_factor",
    "second_factor_key",
    "openmrs",
    "proxy",
    "service_token",
];
/// Keys of the tables `access.service_token`.
pub(super) const SERVICE_TOKEN_KEYS: [&str; 4] = ["name", "right", "token_file", "applications"];
/// Minimum length of a service token, and minimum number of different characters in it.
const SHORTEST_TOKEN: usize = 32;
const FEWEST_DIFFERENT: usize = 8;
pub(super) const OPENMRS_KEYS: [&str; 6] = ["url", "ca", "timeout", "viewer", "operator", "administrator"];
pub(super) const PROXY_KEYS: [&str; 6] =
    ["user_header", "groups_header", "viewer", "operator", "administrator", "otherwise"];
/// A session that ends while a user reads a page is of no use; one of weeks hardly ends.
const SESSION: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(604_800));
const OPENMRS_TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
const OPENMRS_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
pub(super) const APPLICATION_KEYS: [&str; 24] = [
    "name",
    "kind",
    "database",
    "schema",
    "user",
    "password",
    "password_file",
    "tls",
    "tls_ca",
    "time_zone",
    "max_failed_events",
    "max_retry",
    "feed_interval",
    "retry_interval",
    "retry_batch",
    "feed",
    "refresh",
    "pool_size",
    "connect_timeout",
    "statement_timeout",
    "publishes",
    "public_url",
    "concerns",
    "read_only",
];

/// Keys of the tables `application.feed`.
const FEED_KEYS: [&str; 2] = ["uri", "max_failed_events"];

/// Defaults of the settings that no preset has.
pub(super) const REFRESH_DEFAULT: Duration = Duration::from_secs(10);
pub(super) const POOL_SIZE_DEFAULT: u32 = 8;
pub(super) const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
pub(super) const STATEMENT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Reads the console's own file. `inside` is the table that holds the settings; `None`: the top level. `Leptos.toml`
/// has them in `[console]`, next to Leptos' own table.
pub(super) fn read(
    text: &str,
    dir: &Path,
    inside: Option<&str>,
    environment: &Environment,
    faults: &mut Faults,
) -> Layer {
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            let line = error.span().map(|span| line_of(text, span.start));
            faults.add(&Place { key: String::new(), line }, format!("is not valid TOML: {}", error.message()));
            return Layer::default();
        }
    };
    let mut file =
        File { text, dir, environment, faults, lacking: None, warnings: Vec::new(), literal_password: false };
    let mut top = Table { path: String::new(), line: None, table: &table, file: &mut file };
    let read = match inside {
        None => layer(&mut top),
        Some(inside) => {
            top.refuse_unknown(&["package", inside]);
            top.table(inside, layer).unwrap_or_default()
        }
    };
    Layer { warnings: file.warnings, literal_password: file.literal_password, ..read }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

fn layer(top: &mut Table<'_, '_>) -> Layer {
    top.refuse_unknown(&TOP_KEYS);
    let log = top.table("log", |log| {
        log.refuse_unknown(&LOG_KEYS);
        (log.choice("form", &LogForm::WORDS), log.choice("level", &LogLevel::WORDS))
    });
    let (log_form, log_level) = log.unwrap_or_default();
    let mut kept = |name: &str| {
        let days = top.table(name, |table| {
            table.refuse_unknown(&KEEP_KEYS);
            table.number_or_word("keep_days", KEEP_DAYS, "forever")
        });
        days.flatten()
    };
    let (audit_keep_days, keep_discarded, keep_history) = (kept("audit"), kept("discarded"), kept("history"));
    let access = top.table("access", access).unwrap_or_default();
    Layer {
        public_origin: top.parsed("public_origin", Origin::parse),
        trusted_proxies: networks(top),
        hosts: top.texts("hosts").map(|hosts| hosts.iter().map(|host| host.trim().to_lowercase()).collect()),
        ..access
    }
    .over(Layer {
        listen: top.parsed("listen", listen),
        base: top.parsed("base_path", base),
        store: top.path("store"),
        log_form,
        log_level,
        hospital: top.parsed("hospital", hospital),
        read_only: top.flag("read_only"),
        mask_texts: top.flag("mask_texts"),
        audit_keep_days,
        keep_discarded,
        keep_history,
        concerns: top.table("concerns", concerns).unwrap_or_default(),
        applications: applications(top),
        ..Layer::default()
    })
}

/// Reads concern settings, of the whole console or of one application.
fn concerns(table: &mut Table<'_, '_>) -> ConcernLayer {
    table.refuse_unknown(&CONCERN_KEYS);
    ConcernLayer {
        near_limit: table.number_or_word("near_limit", PERCENT, "off"),
        queue_age: table.duration_or_word("queue_age", QUEUE_AGE, "off"),
        retry_overdue: table.duration_or_word("retry_overdue", RETRY_OVERDUE, "off"),
        compare_markers: table.flag("compare_markers"),
        idle_feeds: addresses(table, "idle_feeds"),
    }
}

/// Reads the table `access`.
fn access(table: &mut Table<'_, '_>) -> Layer {
    table.refuse_unknown(&ACCESS_KEYS);
    let mode = table.choice("mode", &Mode::WORDS);
    let session_idle = table.duration("session_idle", SESSION);
    let session_longest = table.duration("session_longest", SESSION);
    if let (Some(idle), Some(longest)) = (session_idle, session_longest)
        && idle > longest
    {
        table.fault("session_idle", "is longer than session_longest, so it has no effect");
    }
    let openmrs = table.table("openmrs", openmrs).flatten();
    let proxy = table.table("proxy", proxy).flatten();
    for (key, of) in [("openmrs", Mode::Openmrs), ("proxy", Mode::Proxy)] {
        if mode.is_some_and(|mode| mode != of) {
            table.refuse(key, &format!("is only used with mode = \"{key}\""));
        }
    }
    let second_factor = second_factor(table);
    let second_factor_key = table.path("second_factor_key");
    for key in ["second_factor", "second_factor_key"] {
        if mode.is_some_and(|mode| mode != Mode::Accounts) {
            table.refuse(key, "is only used with mode = \"accounts\"");
        }
    }
    let service_tokens = service_tokens(table);
    Layer {
        access: mode,
        session_idle,
        session_longest,
        second_factor,
        second_factor_key,
        openmrs,
        proxy,
        service_tokens,
        ..Layer::default()
    }
}

/// Reads the roles that must have a second factor.
fn second_factor(table: &mut Table<'_, '_>) -> Option<Vec<Role>> {
    let words = table.texts("second_factor")?;
    let mut roles = Vec::new();
    for word in words {
        match word.parse() {
            Ok(role) => roles.push(role),
            Err(_) => {
                let allowed: Vec<&str> = Role::ALL.iter().map(|role| role.word()).collect();
                table.fault(
                    "second_factor",
                    format!("names something that is not a role; allowed are {}", one_of(&allowed)),
                );
            }
        }
    }
    Some(roles)
}

/// Reads the service tokens.
fn service_tokens(access: &mut Table<'_, '_>) -> Option<Vec<ServiceTokenEntry>> {
    let mut read: Vec<ServiceTokenEntry> = Vec::new();
    access.tables("service_token", |_, table| {
        table.refuse_unknown(&SERVICE_TOKEN_KEYS);
        for (key, why) in [
            ("name", "it says which machine uses the token, in the list and on record"),
            ("right", "it is what the token opens, such as \"status\""),
            ("token_file", "it is a file that holds the token and nothing else"),
        ] {
            if !table.has(key) {
                table.missing(key, why);
            }
        }
        let name = table.filled("name").map(|name| name.trim().to_owned());
        if let Some(wrong) = name.as_deref().and_then(names::wrong) {
            table.fault("name", wrong);
        }
        let opens = table.choice("right", &ServiceRight::ALL.map(|right| (right.word(), right)));
        let applications = table.texts("applications");
        if applications.as_ref().is_some_and(Vec::is_empty) {
            table.fault("applications", "is empty: name applications, or leave the key out for all of them");
        }
        let token = table
            .path("token_file")
            .and_then(|file| token_of(&file).map_err(|reason| table.fault("token_file", reason)).ok());
        let (Some(name), Some(opens), Some(token)) = (name, opens, token) else { return };
        if read.iter().any(|other| other.name == name) {
            table.fault("name", "is also the name of another service token; each needs its own");
        }
        if read.iter().any(|other| other.token == token) {
            table.fault("token_file", "holds the token of another service token; each needs its own");
        }
        let place = table.place_of("applications");
        let of_applications = table.file.faults.fault(&place, "");
        read.push(ServiceTokenEntry { name, opens, applications, token, of_applications });
    })?;
    Some(read)
}

/// Returns the token in a file, without the newline that editors add at the end.
fn token_of(file: &Path) -> Result<Secret, String> {
    let Secret(token) = secret_of(file, "token")?;
    if secrecy::anybody_reads(file) {
        return Err("can be read by all users of this machine, so that all of them have the token: remove this right \
                    (chmod o-r), or give the secret the mode 0400 where a container manager makes the file"
            .to_owned());
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            "holds a space, a second line or another character that a header cannot carry: it must hold the token \
                    and nothing else"
                .to_owned(),
        );
    }
    let different = token.bytes().collect::<std::collections::BTreeSet<_>>().len();
    if token.len() < SHORTEST_TOKEN || different < FEWEST_DIFFERENT {
        return Err(format!(
            "holds a token that could be guessed: at least {SHORTEST_TOKEN} random characters are needed, such as \
             `openssl rand -hex 32` makes"
        ));
    }
    Ok(Secret::new(token))
}

fn openmrs(table: &mut Table<'_, '_>) -> Option<Openmrs> {
    table.refuse_unknown(&OPENMRS_KEYS);
    if !table.has("url") {
        table.missing("url", "it is the address of OpenMRS, such as https://openmrs:8080/openmrs");
    }
    let url = table.parsed("url", openmrs_url);
    let ca = table.path("ca");
    if let Some(file) = &ca
        && let Err(error) = fs::File::open(file)
    {
        table.fault("ca", unreadable(&error));
    }
    let timeout = table.duration("timeout", OPENMRS_TIMEOUT).unwrap_or(OPENMRS_TIMEOUT_DEFAULT);
    let roles = role_names(table);
    if roles.is_empty() {
        table.fault(
            "viewer",
            "is missing, and so are operator and administrator: no one could sign in; each is a list of roles or privileges of OpenMRS",
        );
    }
    Some(Openmrs { url: url?, ca, timeout, roles })
}

fn openmrs_url(text: &str) -> Result<Url, String> {
    let allowed = "is not an address of OpenMRS; examples: https://openmrs:8080/openmrs, without user or password";
    let url = Url::parse(text.trim().trim_end_matches('/')).map_err(|_| allowed.to_owned())?;
    let nobody = url.username().is_empty() && url.password().is_none();
    let fine = matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && nobody;
    if fine { Ok(url) } else { Err(allowed.to_owned()) }
}

fn proxy(table: &mut Table<'_, '_>) -> Option<Proxy> {
    table.refuse_unknown(&PROXY_KEYS);
    if !table.has("user_header") {
        table.missing("user_header", "it is the header in which the proxy names the user, such as X-Remote-User");
    }
    let user_header = table.parsed("user_header", header_name);
    let groups_header = table.parsed("groups_header", header_name);
    if groups_header.is_some() && groups_header == user_header {
        table.fault("groups_header", "is the header that user_header names; the proxy has to use one for each");
    }
    let otherwise = table.choice("otherwise", &Role::ALL.map(|role| (role.word(), role)));
    let roles = role_names(table);
    if groups_header.is_none() && !table.has("groups_header") && !roles.is_empty() {
        table
            .missing("groups_header", "the names in viewer, operator and administrator are group names in this header");
    }
    if roles.is_empty() && !table.has("otherwise") {
        table.missing(
            "otherwise",
            "without it and without group names no one could sign in; it is the role of all other users",
        );
    }
    Some(Proxy { user_header: user_header?, groups_header, roles, otherwise })
}

fn header_name(text: &str) -> Result<String, String> {
    axum::http::HeaderName::try_from(text.trim())
        .map(|name| name.as_str().to_owned())
        .map_err(|_| "is not a name of a header; examples: X-Remote-User".to_owned())
}

fn role_names(table: &mut Table<'_, '_>) -> RoleNames {
    RoleNames {
        viewer: table.texts("viewer").unwrap_or_default(),
        operator: table.texts("operator").unwrap_or_default(),
        administrator: table.texts("administrator").unwrap_or_default(),
    }
}

fn networks(top: &mut Table<'_, '_>) -> Option<Vec<ipnet::IpNet>> {
    let texts = top.texts("trusted_proxies")?;
    let mut networks = Vec::new();
    for text in texts {
        match network(&text) {
            Ok(network) => networks.push(network),
            Err(reason) => top.fault("trusted_proxies", reason),
        }
    }
    Some(networks)
}

/// Reads the address to listen on; returns the reason on failure.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| {
        "is not an address and port; examples: 127.0.0.1:9080, 0.0.0.0:9080 (every address) and [::1]:9080".to_owned()
    })
}

/// Reads the base path; returns the reason on failure.
pub(super) fn base(text: &str) -> Result<Base, String> {
    Base::parse(text).map_err(|bad| format!("is not a base path; {bad}"))
}

/// Checks the name of a hospital.
fn hospital(text: &str) -> Result<String, String> {
    let name = text.trim();
    let fits = (1..=LONGEST_HOSPITAL).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(name.to_owned()) } else { Err(format!("must be one line of 1 to {LONGEST_HOSPITAL} characters")) }
}

fn applications(top: &mut Table<'_, '_>) -> Option<Vec<Entry>> {
    let mut named = Vec::new();
    let mut entries = Vec::new();
    top.tables("application", |number, table| {
        let faults = table.file.faults.count();
        table.file.lacking = Some(Vec::new());
        let read = application(number, table);
        let mut lacking = table.file.lacking.take().unwrap_or_default();
        lacking.sort_by_key(|fault| fault.line);
        named.push((table.place_of("name"), number, read.info.name.clone()));
        let whole = table.file.faults.count() == faults && lacking.is_empty();
        entries.push(read.into_entry(whole, lacking));
    })?;
    names::check_unique(&named, top.file.faults);
    Some(presets::with_usual_publishers(entries))
}

/// A table of `application` as far as it could be read.
struct Read {
    info: ApplicationInfo,
    database: Option<Database>,
    time_zone: chrono_tz::Tz,
    pool_size: u32,
    connect_timeout: Duration,
    statement_timeout: Duration,
    refresh: Duration,
    own_concerns: ConcernLayer,
    /// The feed addresses it publishes, if the file has them.
    publishes: Option<Vec<String>>,
}

impl Read {
    fn into_entry(self, whole: bool, lacking: Vec<Fault>) -> (Entry, Option<Vec<String>>) {
        let Read {
            info,
            database,
            time_zone,
            pool_size,
            connect_timeout,
            statement_timeout,
            refresh,
            own_concerns,
            publishes,
        } = self;
        let entry = match database.filter(|_| whole) {
            Some(database) => Entry::Whole(Box::new(Application {
                info,
                database,
                time_zone,
                pool_size,
                connect_timeout,
                statement_timeout,
                refresh,
                own_concerns,
            })),
            None => Entry::Lacking(Box::new(Unconfigured { info, place: 0, lacking })),
        };
        (entry, publishes)
    }
}

/// Reads every key, also after the first error. Errors of the database connection are recorded for this entry alone:
/// see [`Table::lack`].
fn application(number: usize, table: &mut Table<'_, '_>) -> Read {
    table.refuse_unknown(&APPLICATION_KEYS);
    if !table.has("name") {
        table.missing("name", "each application needs one");
    }
    let name = table.text("name");
    if let Some(reason) = name.as_deref().and_then(names::wrong) {
        table.fault("name", reason);
    }
    let name = name.unwrap_or_else(|| entries::nameless(number));
    let kind = table.choice("kind", &Kind::ALL.map(|kind| (kind.word(), kind)));
    if !table.has("kind") {
        table.missing("kind", &format!("it is one of {}", one_of(&Kind::ALL.map(Kind::word))));
    }
    let kind = kind.unwrap_or(Kind::Custom);
    let (database, address) = database(table);
    let limits = limits(kind, table);
    let feed_limits = feed_limits(table);
    let time_zone = table.parsed("time_zone", time_zone).unwrap_or(chrono_tz::UTC);
    let pool_size = table.number("pool_size", POOL_SIZE);
    let connect_timeout = table.duration("connect_timeout", TIMEOUT).unwrap_or(CONNECT_TIMEOUT_DEFAULT);
    let statement_timeout = table.duration("statement_timeout", TIMEOUT).unwrap_or(STATEMENT_TIMEOUT_DEFAULT);
    let refresh = table.duration("refresh", REFRESH).unwrap_or(REFRESH_DEFAULT);
    let publishes = addresses(table, "publishes");
    let public_url = table.parsed("public_url", public_url);
    let own_concerns = table.table("concerns", concerns).unwrap_or_default();
    let read_only = table.flag("read_only").unwrap_or(false);
    let info = ApplicationInfo {
        key: names::key(&name, number),
        name: name.trim().to_owned(),
        kind,
        kind_assumed: false,
        address,
        limits,
        feed_limits,
        concerns: Default::default(),
        time_zone: time_zone.name().to_owned(),
        refresh_secs: refresh.as_secs(),
        publishes: Vec::new(),
        public_url,
        read_only,
    };
    let pool_size = pool_size.and_then(|size| u32::try_from(size).ok()).unwrap_or(POOL_SIZE_DEFAULT);
    Read { info, database, time_zone, pool_size, connect_timeout, statement_timeout, refresh, own_concerns, publishes }
}

/// Reads the address at which browsers in the hospital reach an application.
fn public_url(text: &str) -> Result<String, String> {
    const WANTED: &str = "is the address of this application in the browsers of the hospital, such as \
                          https://bahmni.hospital.example";
    let text = text.trim();
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let plain = |letter: char| letter.is_ascii_graphic() && !"\"'<>\\^`{|}@?#".contains(letter);
    let named = host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[');
    if !named || !host.chars().all(plain) || host.len() > LONGEST_ADDRESS {
        return Err(WANTED.to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Returns the database, and its address for display, empty if it cannot be used.
fn database(table: &mut Table<'_, '_>) -> (Option<Database>, String) {
    if !table.has("database") {
        table.lack("database", format!("is missing: {}", address::ALLOWED));
    }
    let text = table.text("database");
    if text.as_ref().is_some_and(|text| !text.starts_with("sqlite:")) && !table.has("user") {
        table.lack("user", "is missing: the console signs in to the database with it");
    }
    let address = text.and_then(|text| {
        let parsed = address::parse(&text, table.file.dir);
        parsed.map_err(|reason| table.lack("database", reason)).ok()
    });
    match &address {
        Some(Address::File(_)) => {
            for key in ["schema", "user", "password", "password_file", "tls", "tls_ca"] {
                table.refuse(key, "is not used with SQLite: remove it");
            }
        }
        Some(Address::Server { backend: Backend::MySql, .. }) => {
            table.refuse("schema", "is not used with MySQL, where the database is the schema: remove it");
        }
        _ => {}
    }
    // Read even if the address is wrong, so that their errors are reported at the same time.
    let schema = table.filled("schema");
    let user = table.filled("user");
    let password = password(table);
    let (tls, ca) = tls(table);
    let Some(address) = address else { return (None, String::new()) };
    let shown = address::shown(&address);
    let database = match address {
        Address::File(file) => match file.to_str() {
            Some(file) => sqlite(file),
            None => {
                table.lack("database", "names a file below a folder whose name is not UTF-8");
                return (None, String::new());
            }
        },
        Address::Server { backend, host, port, database } => {
            Database { backend, host, port, database, schema, user: user.unwrap_or_default(), password, tls, ca }
        }
    };
    (Some(database), shown)
}

fn sqlite(file: &str) -> Database {
    Database {
        backend: Backend::Sqlite,
        host: String::new(),
        port: 0,
        database: file.to_owned(),
        schema: None,
        user: String::new(),
        password: Secret::default(),
        tls: Tls::Off,
        ca: None,
    }
}

fn password(table: &mut Table<'_, '_>) -> Secret {
    if table.has("password") && table.has("password_file") {
        table.fault("password_file", "is set together with password: keep one of the two");
    }
    if let Some(password) = table.text("password") {
        table.file.literal_password |= table.is_literal("password");
        return Secret::new(password);
    }
    let Some(file) = table.path("password_file") else {
        return Secret::default();
    };
    match secret_of(&file, "password") {
        Ok(password) => {
            table.file.warnings.extend(secrecy::readable_by_everybody(&file));
            password
        }
        Err(reason) => {
            table.lack("password_file", reason);
            Secret::default()
        }
    }
}

/// Returns the file's text without the newline that editors add at the end. `what`: its expected content.
fn secret_of(file: &Path, what: &str) -> Result<Secret, String> {
    let length = fs::metadata(file).map_err(|error| unreadable(&error))?.len();
    if length > LARGEST_SECRET_FILE {
        return Err(format!("is larger than {LARGEST_SECRET_FILE} bytes: this is not a file with a {what}"));
    }
    let text = fs::read_to_string(file).map_err(|error| unreadable(&error))?;
    let password = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if password.is_empty() {
        return Err(format!("is empty: write the {what} into it"));
    }
    Ok(Secret::new(password))
}

fn tls(table: &mut Table<'_, '_>) -> (Tls, Option<std::path::PathBuf>) {
    let words =
        [("off", Tls::Off), ("preferred", Tls::Preferred), ("required", Tls::Required), ("verified", Tls::Verified)];
    let tls = table.choice("tls", &words).unwrap_or_default();
    let ca = table.path("tls_ca");
    if let Some(file) = &ca {
        if tls != Tls::Verified {
            table.fault("tls_ca", "is only used with tls = \"verified\"");
        }
        if let Err(error) = fs::File::open(file) {
            table.lack("tls_ca", unreadable(&error));
        }
    }
    (tls, ca)
}

/// Returns the preset's limits, overridden by the file's.
fn limits(kind: Kind, table: &mut Table<'_, '_>) -> Limits {
    let mut limits = presets::limits(kind);
    if let Some(most) = table.number_or_word("max_failed_events", MAX_FAILED_EVENTS, "unlimited") {
        limits.max_failed_events = most;
    }
    if let Some(most) = table.number_or_word("max_retry", MAX_RETRY, "never") {
        limits.max_retry = most.and_then(|most| i64::try_from(most).ok());
    }
    if let Some(interval) = table.duration("feed_interval", INTERVAL) {
        limits.feed_interval_secs = interval.as_secs();
    }
    if let Some(interval) = table.duration("retry_interval", INTERVAL) {
        limits.retry_interval_secs = interval.as_secs();
    }
    if let Some(batch) = table.number("retry_batch", RETRY_BATCH).and_then(|batch| u32::try_from(batch).ok()) {
        limits.retry_batch = batch;
    }
    limits
}

/// Reads the settings of single feeds.
fn feed_limits(table: &mut Table<'_, '_>) -> Vec<FeedLimit> {
    let mut limits: Vec<FeedLimit> = Vec::new();
    table.tables("feed", |_, feed| {
        feed.refuse_unknown(&FEED_KEYS);
        if !feed.has("uri") {
            feed.missing("uri", "it is the feed's address, as its application's page shows it");
        }
        let uri = feed.text("uri").map(|uri| uri.trim().to_owned());
        if !feed.has("max_failed_events") {
            feed.missing("max_failed_events", "it is what this table is for");
        }
        let most = feed.number_or_word("max_failed_events", MAX_FAILED_EVENTS, "unlimited");
        let (Some(uri), Some(max_failed_events)) = (uri, most) else { return };
        if uri.is_empty() {
            feed.fault("uri", "is empty");
        } else if uri.chars().count() > LONGEST_ADDRESS {
            feed.fault("uri", format!("is longer than {LONGEST_ADDRESS} characters, so no feed can have it"));
        } else if limits.iter().any(|limit| limit.uri == uri) {
            feed.fault("uri", "is also the address of an earlier table of this application; each feed has one");
        } else {
            limits.push(FeedLimit { uri, max_failed_events });
        }
    });
    limits
}

/// Reads an IANA time zone; returns the reason on failure.
fn time_zone(text: &str) -> Result<chrono_tz::Tz, String> {
    text.parse().map_err(|_| "is not an IANA time zone; examples: UTC, Asia/Kolkata, Africa/Nairobi".to_owned())
}

/// Reads prefixes of feed addresses.
fn addresses(table: &mut Table<'_, '_>, key: &str) -> Option<Vec<String>> {
    let prefixes = table.texts(key)?;
    if prefixes.iter().any(|prefix| prefix.trim().is_empty() || prefix.chars().count() > LONGEST_ADDRESS) {
        table.fault(
            key,
            format!("has an entry that is empty or longer than {LONGEST_ADDRESS} characters; an entry is the beginning of a feed's address"),
        );
    }
    Some(prefixes)
}

/// State for reading a file, shared by all tables.
struct File<'f> {
    text: &'f str,
    /// Base of relative paths.
    dir: &'f Path,
    environment: &'f Environment,
    faults: &'f mut Faults,
    /// What an application's entry lacks, while its table is read.
    lacking: Option<Vec<Fault>>,
    /// Notices for the administrator that are not errors.
    warnings: Vec<String>,
    /// The file itself contains a database password.
    literal_password: bool,
}

/// A table of the file. Each method that reads a key returns `None` if it is missing or wrong; an error is then
/// recorded as a fault.
struct Table<'t, 'f> {
    path: String,
    line: Option<usize>,
    table: &'t DeTable<'t>,
    file: &'t mut File<'f>,
}

impl<'t> Table<'t, '_> {
    fn entry(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn place_of(&self, key: &str) -> Place {
        let line = self.entry(key).map(|value| line_of(self.file.text, value.span().start)).or(self.line);
        Place { key: self.key_path(key), line }
    }

    fn fault(&mut self, key: &str, reason: impl Into<String>) {
        let place = self.place_of(key);
        self.file.faults.add(&place, reason);
    }

    /// Records that an application's entry lacks what a connection to its database needs. This affects the entry alone;
    /// in any other table it is a fault of the file.
    fn lack(&mut self, key: &str, reason: impl Into<String>) {
        let place = self.place_of(key);
        let fault = self.file.faults.fault(&place, reason);
        match &mut self.file.lacking {
            Some(lacking) => lacking.push(fault),
            None => self.file.faults.add(&place, fault.reason),
        }
    }

    fn missing(&mut self, key: &str, why: &str) {
        self.fault(key, format!("is missing: {why}"));
    }

    /// Records a fault if the key is present.
    fn refuse(&mut self, key: &str, reason: &str) {
        if self.has(key) {
            self.fault(key, reason);
        }
    }

    fn refuse_unknown(&mut self, known: &[&str]) {
        for (name, _) in self.table {
            let key: &str = name.get_ref();
            if !known.contains(&key) {
                let line = Some(line_of(self.file.text, name.span().start));
                let reason = format!("is not a known key{}", did_you_mean(key, known));
                self.file.faults.add(&Place { key: self.key_path(key), line }, reason);
            }
        }
    }

    fn wrong_type(&mut self, key: &str, found: &DeValue<'_>, wanted: &str) {
        self.fault(key, format!("is {}, but must be {wanted}", with_article(found)));
    }

    /// Reads a text and expands its variables.
    fn text(&mut self, key: &str) -> Option<String> {
        match self.entry(key)?.get_ref() {
            DeValue::String(text) => self.expanded(key, text),
            other => {
                self.wrong_type(key, other, "a text in quotes");
                None
            }
        }
    }

    fn expanded(&mut self, key: &str, text: &str) -> Option<String> {
        match expand(text, self.file.environment, Syntax::Ours) {
            Ok(text) => Some(text),
            Err(reasons) => {
                reasons.into_iter().for_each(|reason| self.lack(key, reason));
                None
            }
        }
    }

    /// Returns whether the file alone determines a key's text, whatever the environment holds.
    fn is_literal(&self, key: &str) -> bool {
        let text = self.entry(key).and_then(|value| value.get_ref().as_str());
        text.is_some_and(|text| environment::is_literal(text, Syntax::Ours))
    }

    /// Reads a text that must not be empty.
    fn filled(&mut self, key: &str) -> Option<String> {
        let text = self.text(key)?;
        if text.trim().is_empty() {
            self.lack(key, "is empty");
            return None;
        }
        Some(text)
    }

    fn parsed<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(key)?;
        parse(&text).map_err(|reason| self.fault(key, reason)).ok()
    }

    /// Reads a path, relative to the file's own folder.
    fn path(&mut self, key: &str) -> Option<std::path::PathBuf> {
        self.filled(key).map(|text| self.file.dir.join(text))
    }

    fn choice<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let near = did_you_mean(&text, &allowed);
            self.fault(key, format!("is not a known word; allowed are {}{near}", one_of(&allowed)));
        }
        found
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        match self.entry(key)?.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            other => {
                self.wrong_type(key, other, "true or false without quotes");
                None
            }
        }
    }

    fn number(&mut self, key: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let wanted = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        match self.entry(key)?.get_ref() {
            DeValue::Integer(number) => {
                let number = u64::from_str_radix(number.as_str(), number.radix()).ok();
                let fine = number.filter(|number| bounds.contains(number));
                if fine.is_none() {
                    self.fault(key, format!("is outside of what is allowed: {wanted}"));
                }
                fine
            }
            other => {
                self.wrong_type(key, other, &wanted);
                None
            }
        }
    }

    /// Reads a number, or the one word for "no bound" (then the inner value is `None`).
    fn number_or_word(&mut self, key: &str, bounds: RangeInclusive<u64>, word: &str) -> Option<Option<u64>> {
        if !matches!(self.entry(key)?.get_ref(), DeValue::String(_)) {
            return self.number(key, bounds).map(Some);
        }
        if self.text(key)? == word {
            return Some(None);
        }
        let (least, most) = (bounds.start(), bounds.end());
        self.fault(key, format!("must be a whole number from {least} to {most} without quotes, or \"{word}\""));
        None
    }

    /// Reads seconds as a number, or a text such as `30s`, `2m`, `1h`.
    fn duration(&mut self, key: &str, bounds: (Duration, Duration)) -> Option<Duration> {
        self.duration_or(key, bounds, "")
    }

    /// Reads a duration, or the word for none (then the inner value is `None`).
    fn duration_or_word(&mut self, key: &str, bounds: (Duration, Duration), word: &str) -> Option<Option<Duration>> {
        match self.entry(key)?.get_ref() {
            DeValue::String(text) if *text == word => Some(None),
            _ => self.duration_or(key, bounds, &format!("; or \"{word}\"")).map(Some),
        }
    }

    fn duration_or(&mut self, key: &str, (least, most): (Duration, Duration), also: &str) -> Option<Duration> {
        let wanted = format!(
            "a time from {} to {}: whole seconds, or a text such as \"30s\", \"2m\" or \"1h\"{also}",
            in_words(least),
            in_words(most)
        );
        let seconds = match self.entry(key)?.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::String(_) => seconds(&self.text(key)?),
            other => {
                self.wrong_type(key, other, &wanted);
                return None;
            }
        };
        let duration = seconds.map(Duration::from_secs).filter(|duration| (least..=most).contains(duration));
        if duration.is_none() {
            self.fault(key, format!("must be {wanted}"));
        }
        duration
    }

    fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let wanted = "a list of texts in quotes, such as [\"http://openmrs:8080/openmrs/\"]";
        let DeValue::Array(array) = self.entry(key)?.get_ref() else {
            let found = self.entry(key)?.get_ref();
            self.wrong_type(key, found, wanted);
            return None;
        };
        let mut texts = Vec::new();
        for value in array.iter() {
            match value.get_ref() {
                DeValue::String(text) => texts.extend(self.expanded(key, text)),
                _ => self.fault(key, format!("has an entry that is not a text; it must be {wanted}")),
            }
        }
        Some(texts)
    }

    /// Reads a table below this one with `read`.
    fn table<T>(&mut self, key: &str, read: impl FnOnce(&mut Table<'_, '_>) -> T) -> Option<T> {
        let line = self.place_of(key).line;
        match self.entry(key)?.get_ref() {
            DeValue::Table(table) => {
                Some(read(&mut Table { path: self.key_path(key), line, table, file: &mut *self.file }))
            }
            other => {
                self.wrong_type(key, other, &format!("a table: [{}]", self.key_path(key)));
                None
            }
        }
    }

    /// Reads a list of tables below this one, each with `read` and its number, counted from 1.
    fn tables(&mut self, key: &str, mut read: impl FnMut(usize, &mut Table<'_, '_>)) -> Option<()> {
        let wanted = format!("a list of tables, each begun with [[{}]]", self.key_path(key));
        let DeValue::Array(array) = self.entry(key)?.get_ref() else {
            let found = self.entry(key)?.get_ref();
            self.wrong_type(key, found, &wanted);
            return None;
        };
        for (index, value) in array.iter().enumerate() {
            let number = index + 1;
            let path = format!("{}[{number}]", self.key_path(key));
            let line = Some(line_of(self.file.text, value.span().start));
            match value.get_ref() {
                DeValue::Table(table) => read(number, &mut Table { path, line, table, file: &mut *self.file }),
                _ => self
                    .file
                    .faults
                    .add(&Place { key: path, line }, format!("is not a table, but must be one of {wanted}")),
            }
        }
        Some(())
    }
}

fn with_article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Returns the seconds of `30`, `30s`, `2m`, `1h`, `7d`.
fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit = match text[digits.len()..].trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

fn in_words(duration: Duration) -> String {
    match duration.as_secs() {
        1 => "1 second".to_owned(),
        604_800 => "7 days".to_owned(),
        3_600 => "1 hour".to_owned(),
        seconds if seconds % 60 == 0 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests;
