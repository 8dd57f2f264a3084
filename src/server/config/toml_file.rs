//! The console's own file: TOML, read key by key, so that all errors are found in one pass, with their lines.
//!
//! The keys, their meaning and their bounds are in docs/configuration.md.

pub(super) mod access;
mod probe;
mod table;
mod values;

use std::{fs, net::SocketAddr, ops::RangeInclusive, path::Path, time::Duration};

use toml::de::DeTable;

use crate::{
    model::{ApplicationInfo, Backend, FeedLimit, Kind, Limits, Role, application::FeedTexts},
    paths::Base,
};

use super::{
    Application, ConcernLayer, Database, Fault, LogForm, LogLevel, Origin, ProbeSettings, Secret, Tls, Unconfigured,
    address::{self, Address},
    entries::{self, Entry},
    environment::Environment,
    faults::{Faults, Place, one_of, unreadable},
    layers::Layer,
    names, presets,
};
use access::networks;
use table::{File, Table, line_of};
use values::{LONGEST_ADDRESS, password, web_address};

/// Minimum and maximum of a timeout.
pub(super) const TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
const REFRESH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
/// A week: some jobs are switched off by an interval that never elapses.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(604_800));
const POOL_SIZE: RangeInclusive<u64> = 1..=20;
const MAX_FAILED_EVENTS: RangeInclusive<u64> = 1..=1_000_000_000;
const MAX_RETRY: RangeInclusive<u64> = 1..=1_000_000;
const RETRY_BATCH: RangeInclusive<u64> = 1..=10_000;
/// The longest name of a hospital, in characters: it is a part of a line.
const LONGEST_HOSPITAL: usize = 100;

pub(super) const TOP_KEYS: [&str; 17] = [
    "hospital",
    "listen",
    "base_path",
    "store",
    "public_origin",
    "trusted_proxies",
    "hosts",
    "read_only",
    "mask_texts",
    "records",
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
pub(super) const KEEP_KEYS: [&str; 1] = ["keep_days"];
const KEEP_DAYS: RangeInclusive<u64> = 1..=36_500;
pub(super) const LOG_KEYS: [&str; 2] = ["form", "level"];
/// Keys of the table `records`.
pub(super) const RECORD_KEYS: [&str; 2] = ["enabled", "names"];
/// Who sees names of persons. A viewer never does.
const NAMES: [(&str, Option<Role>); 3] =
    [("administrator", Some(Role::Administrator)), ("operator", Some(Role::Operator)), ("nobody", None)];
pub(super) const APPLICATION_KEYS: [&str; 33] = [
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
    "feed_address",
    "feed_title",
    "feed_id_prefix",
    "probe",
    "probe_every",
    "probe_user",
    "probe_password",
    "probe_password_file",
    "probe_login",
    "concerns",
    "read_only",
];

/// Keys of the tables `application.feed`.
pub(super) const FEED_KEYS: [&str; 2] = ["uri", "max_failed_events"];

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

fn layer(top: &mut Table<'_, '_>) -> Layer {
    top.refuse_unknown(&TOP_KEYS);
    let log = top.table("log", |log| {
        log.refuse_unknown(&LOG_KEYS);
        (log.choice("form", &LogForm::WORDS), log.choice("level", &LogLevel::WORDS))
    });
    let (log_form, log_level) = log.unwrap_or_default();
    let records = top.table("records", |records| {
        records.refuse_unknown(&RECORD_KEYS);
        (records.flag("enabled"), records.choice("names", &NAMES))
    });
    let (records_enabled, records_names) = records.unwrap_or_default();
    let mut kept = |name: &str| {
        let days = top.table(name, |table| {
            table.refuse_unknown(&KEEP_KEYS);
            table.number_or_word("keep_days", KEEP_DAYS, "forever")
        });
        days.flatten()
    };
    let (audit_keep_days, keep_discarded, keep_history) = (kept("audit"), kept("discarded"), kept("history"));
    let access = top.table("access", access::access).unwrap_or_default();
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
        records_enabled,
        records_names,
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
    // Characters without a width are no name.
    if fits && name.chars().any(char::is_alphanumeric) {
        Ok(name.to_owned())
    } else {
        Err(format!("must be one line of 1 to {LONGEST_HOSPITAL} characters"))
    }
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
    probe: Option<ProbeSettings>,
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
            probe,
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
                probe,
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
    let probe = probe::probe(table);
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
        feed_texts: FeedTexts {
            address: table.parsed("feed_address", feed_address),
            title: table.text("feed_title"),
            id_prefix: table.text("feed_id_prefix"),
        },
    };
    let pool_size = pool_size.and_then(|size| u32::try_from(size).ok()).unwrap_or(POOL_SIZE_DEFAULT);
    Read {
        info,
        database,
        time_zone,
        pool_size,
        connect_timeout,
        statement_timeout,
        refresh,
        own_concerns,
        probe,
        publishes,
    }
}

/// Reads the address at which browsers in the hospital reach an application.
fn public_url(text: &str) -> Result<String, String> {
    web_address(text).ok_or_else(|| {
        "is the address of this application in the browsers of the hospital, such as https://bahmni.hospital.example"
            .to_owned()
    })
}

/// Reads the address of an application's feeds, before the category.
fn feed_address(text: &str) -> Result<String, String> {
    web_address(text).ok_or_else(|| {
        "is the address of its feeds before the category, such as http://openmrs:8080/openmrs/ws/atomfeed".to_owned()
    })
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
    let password = password(table, "password", "password_file");
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

#[cfg(test)]
mod tests;
