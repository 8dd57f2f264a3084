//! Our own file: TOML, read key by key, so that everything wrong in it is found in one go, with its line.
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

/// The least and the most that a timeout may be.
pub(super) const TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
const REFRESH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
/// A week: some jobs are switched off by an interval that never comes round.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(604_800));
const POOL_SIZE: RangeInclusive<u64> = 1..=20;
const MAX_FAILED_EVENTS: RangeInclusive<u64> = 1..=1_000_000_000;
const MAX_RETRY: RangeInclusive<u64> = 1..=1_000_000;
const RETRY_BATCH: RangeInclusive<u64> = 1..=10_000;
/// The columns that hold feed addresses are no longer than this.
const LONGEST_ADDRESS: usize = 255;
/// A file with a password or a token is small; anything larger is another file by mistake.
const LARGEST_SECRET_FILE: u64 = 4_096;

const TOP_KEYS: [&str; 15] = [
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
/// Of the table `concerns`, the console's and an application's.
pub(super) const CONCERN_KEYS: [&str; 5] =
    ["near_limit", "queue_age", "retry_overdue", "compare_markers", "idle_feeds"];
const PERCENT: RangeInclusive<u64> = 1..=100;
/// Looks at a quiet hospital are two minutes apart, and clocks of two machines differ.
const QUEUE_AGE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(604_800));
const RETRY_OVERDUE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(604_800));
/// Of the tables `audit`, `discarded` and `history`.
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
/// Of the tables `access.service_token`.
pub(super) const SERVICE_TOKEN_KEYS: [&str; 4] = ["name", "right", "token_file", "applications"];
/// Characters of the shortest token of a machine, and how many different ones it has at least.
const SHORTEST_TOKEN: usize = 32;
const FEWEST_DIFFERENT: usize = 8;
pub(super) const OPENMRS_KEYS: [&str; 6] = ["url", "ca", "timeout", "viewer", "operator", "administrator"];
pub(super) const PROXY_KEYS: [&str; 6] =
    ["user_header", "groups_header", "viewer", "operator", "administrator", "otherwise"];
/// A session that ends while somebody reads a page helps nobody; one of weeks is none.
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

/// Of the tables `application.feed`.
const FEED_KEYS: [&str; 2] = ["uri", "max_failed_events"];

/// What the default of the settings is that no preset gives.
pub(super) const REFRESH_DEFAULT: Duration = Duration::from_secs(10);
pub(super) const POOL_SIZE_DEFAULT: u32 = 8;
pub(super) const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
pub(super) const STATEMENT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Reads a file of ours. `inside` is the table that holds the settings; `None`: they stand at the top.
/// `Leptos.toml` has them in `[console]`, beside the table that is Leptos' own.
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

/// What is a concern, for the whole console or for one application.
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

/// Who may come in.
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

/// The roles that must have a second factor.
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

/// The tokens of machines.
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

/// The token in a file, without the newline that editors put at the end.
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

/// The address to listen on; the reason otherwise.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| {
        "is not an address and port; examples: 127.0.0.1:9080, 0.0.0.0:9080 (every address) and [::1]:9080".to_owned()
    })
}

/// The base path; the reason otherwise.
pub(super) fn base(text: &str) -> Result<Base, String> {
    Base::parse(text).map_err(|bad| format!("is not a base path; {bad}"))
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
    /// The feed addresses it publishes, where the file says so.
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

/// Reads every key, also after the first that is wrong. What concerns the way to the database is noted for this entry
/// alone: see [`Table::lack`].
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

/// Where a browser of the hospital reaches an application.
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

/// The database, and its address for people, empty where that cannot be used.
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
    // Read also when the address is wrong, so that what is wrong with them is told in the same go.
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

/// The file's text without the newline that editors put at the end. `what` it must hold.
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

/// The preset's limits, with what the file says in their place.
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

/// Reads what the file says of single feeds.
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

/// The zone of an IANA name; the reason otherwise.
fn time_zone(text: &str) -> Result<chrono_tz::Tz, String> {
    text.parse().map_err(|_| "is not an IANA time zone; examples: UTC, Asia/Kolkata, Africa/Nairobi".to_owned())
}

/// Beginnings of feeds' addresses.
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

/// What reading a file needs at every key.
struct File<'f> {
    text: &'f str,
    /// What a relative path is relative to.
    dir: &'f Path,
    environment: &'f Environment,
    faults: &'f mut Faults,
    /// While an application's table is read: what its entry lacks.
    lacking: Option<Vec<Fault>>,
    /// What an administrator should know although nothing is wrong.
    warnings: Vec<String>,
    /// A database's password stands in the file itself.
    literal_password: bool,
}

/// A table of the file. Each way to read a key answers `None` where it is not there, and also where it is wrong; the
/// fault is then noted.
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

    /// Notes that an application's entry does not say how to connect to its database. This concerns the entry alone; in
    /// any other table it is a fault of the file.
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

    /// Notes a fault if the key is there at all.
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

    /// A text with its variables put in.
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

    /// Whether a key's text is what the file says, whatever the environment holds.
    fn is_literal(&self, key: &str) -> bool {
        let text = self.entry(key).and_then(|value| value.get_ref().as_str());
        text.is_some_and(|text| environment::is_literal(text, Syntax::Ours))
    }

    /// A text that must not be empty.
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

    /// A path, from the file's own folder where it is relative.
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

    /// A number, or the one word that stands for "no bound" (then the inner value is `None`).
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

    /// Seconds as a number, or a text such as `30s`, `2m`, `1h`.
    fn duration(&mut self, key: &str, bounds: (Duration, Duration)) -> Option<Duration> {
        self.duration_or(key, bounds, "")
    }

    /// A time, or a word for none.
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

    /// A table below this one, read by `read`.
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

    /// A list of tables below this one, each read by `read` with its number, counted from 1.
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

/// Whole seconds of `30`, `30s`, `2m`, `1h`, `7d`.
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
mod tests {
    use super::*;

    /// The faults of the file, not those of an entry alone.
    fn read_in(dir: &Path, text: &str, environment: &Environment) -> (Layer, Vec<String>) {
        let mut faults = Faults::of("console.toml");
        let layer = read(text, dir, None, environment, &mut faults);
        (layer, faults.into_list().iter().map(ToString::to_string).collect())
    }

    /// What the entries lack.
    fn lacking(layer: Layer) -> Vec<Fault> {
        let (_, unconfigured) = entries::separated(layer.applications.unwrap_or_default());
        unconfigured.into_iter().flat_map(|entry| entry.lacking).collect()
    }

    /// Everything that is wrong with a file, as a refusal tells it.
    fn wrong(dir: &Path, text: &str, environment: &Environment) -> Vec<String> {
        let mut faults = Faults::of("console.toml");
        let layer = read(text, dir, None, environment, &mut faults);
        let mut all: Vec<Fault> = faults.into_list().into_iter().chain(lacking(layer)).collect();
        all.sort_by_key(|fault| fault.line);
        all.iter().map(ToString::to_string).collect()
    }

    /// The applications of a file that has no faults.
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

    /// A whole application with these lines added.
    fn with(lines: &str) -> String {
        format!(
            "[[application]]\nname = \"A\"\nkind = \"odoo\"\ndatabase = \"postgres://h/d\"\nuser = \"u\"\n{lines}\n"
        )
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
        for (content, password) in
            [("s3cr3t", "s3cr3t"), ("s3cr3t\n", "s3cr3t"), (" s\r\n", " s"), ("${A}\n\n", "${A}\n")]
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

    /// Puts the password into every place of a file where a tired person could put it.
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
                for text in [with(&format!("{key} = {value}")), format!("[[application]]\n{key} = {value}\nname = 1\n")]
                {
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
}
