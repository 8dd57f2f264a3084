//! Precedence: the command line, then the environment, then the file of `--config`, then `Leptos.toml`.
//!
//! Each is read into a [`Layer`]; a setting comes from the first layer that has it. The list of applications is one
//! setting: the lists of two files are never merged.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use leptos::config::{Env, LeptosOptions, get_configuration};

use crate::{
    model::{Role, access::ServiceRight},
    paths::Base,
    server::security::passwords,
};

use super::{
    Access, Application, AuthMode, Command, ConcernLayer, Config, DemoAccounts, Environment, Fault, LogForm, LogLevel,
    Mode, NamedToken, NetworkSettings, Openmrs, Origin, Proxy, RecordSettings, Refused, Secret,
    access::{self, network},
    entries::{Entry, separated},
    faults::{Faults, Place, nearest, one_of, unreadable},
    old_yaml, presets, secrecy, toml_file,
};

/// The file that Leptos and the console share, in the working directory.
const LEPTOS_FILE: &str = "Leptos.toml";
const STORE_FILE: &str = "atomfeed-console.db";
/// Five years of 365 days and a leap day.
const DEFAULT_AUDIT_DAYS: u64 = 1_826;
/// Default for how long the history of events removed from their table is kept.
const KEEP_HISTORY_DAYS: u64 = 730;
/// Default for how long copies of discarded failed events are kept.
const KEEP_DISCARDED_DAYS: u64 = 365;
const DEFAULT_BASE: &str = "/atomfeed-console";
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9080);

/// Prefix of the console's variables.
const VARIABLE: &str = "ATOMFEED_CONSOLE_";
/// The rest of their names, in lower case. The command line itself reads `config`.
const VARIABLE_ENDS: [&str; 9] =
    ["listen", "base_path", "store", "access", "public_origin", "trusted_proxies", "log_form", "log_level", "config"];

/// Settings of the command line.
#[derive(Clone, Debug, Default)]
pub struct CommandLine {
    pub listen: Option<SocketAddr>,
    pub base: Option<Base>,
    /// Relative to the working directory.
    pub store: Option<PathBuf>,
    /// How users sign in.
    pub access: Option<Mode>,
}

/// A service token as a file names it.
#[derive(Clone, Debug)]
pub(super) struct ServiceTokenEntry {
    pub name: String,
    pub opens: ServiceRight,
    /// As written; `None` means all.
    pub applications: Option<Vec<String>>,
    pub token: Secret,
    /// A fault for `applications`, without its reason.
    pub of_applications: Fault,
}

/// Settings of one place; each may be absent.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub listen: Option<SocketAddr>,
    pub base: Option<Base>,
    pub store: Option<PathBuf>,
    pub access: Option<Mode>,
    pub session_idle: Option<Duration>,
    pub session_longest: Option<Duration>,
    pub openmrs: Option<Openmrs>,
    pub proxy: Option<Proxy>,
    pub second_factor: Option<Vec<Role>>,
    pub second_factor_key: Option<PathBuf>,
    pub service_tokens: Option<Vec<ServiceTokenEntry>>,
    pub public_origin: Option<Origin>,
    pub trusted_proxies: Option<Vec<IpNet>>,
    pub hosts: Option<Vec<String>>,
    pub log_form: Option<LogForm>,
    pub log_level: Option<LogLevel>,
    pub hospital: Option<String>,
    pub read_only: Option<bool>,
    pub mask_texts: Option<bool>,
    /// `Some(None)`: forever.
    pub records_enabled: Option<bool>,
    /// `Some(None)`: nobody.
    pub records_names: Option<Option<Role>>,
    pub audit_keep_days: Option<Option<u64>>,
    /// Days; the inner `None`: forever.
    pub keep_discarded: Option<Option<u64>>,
    pub keep_history: Option<Option<u64>>,
    pub concerns: ConcernLayer,
    pub applications: Option<Vec<Entry>>,
    pub warnings: Vec<String>,
    /// The file of this layer contains a database password.
    pub literal_password: bool,
}

impl Layer {
    /// Returns this layer, with the settings it lacks from `lower`.
    pub(super) fn over(self, lower: Layer) -> Layer {
        Layer {
            listen: self.listen.or(lower.listen),
            base: self.base.or(lower.base),
            store: self.store.or(lower.store),
            access: self.access.or(lower.access),
            session_idle: self.session_idle.or(lower.session_idle),
            session_longest: self.session_longest.or(lower.session_longest),
            openmrs: self.openmrs.or(lower.openmrs),
            proxy: self.proxy.or(lower.proxy),
            second_factor: self.second_factor.or(lower.second_factor),
            second_factor_key: self.second_factor_key.or(lower.second_factor_key),
            service_tokens: self.service_tokens.or(lower.service_tokens),
            public_origin: self.public_origin.or(lower.public_origin),
            trusted_proxies: self.trusted_proxies.or(lower.trusted_proxies),
            hosts: self.hosts.or(lower.hosts),
            log_form: self.log_form.or(lower.log_form),
            log_level: self.log_level.or(lower.log_level),
            hospital: self.hospital.or(lower.hospital),
            read_only: self.read_only.or(lower.read_only),
            mask_texts: self.mask_texts.or(lower.mask_texts),
            records_enabled: self.records_enabled.or(lower.records_enabled),
            records_names: self.records_names.or(lower.records_names),
            audit_keep_days: self.audit_keep_days.or(lower.audit_keep_days),
            keep_discarded: self.keep_discarded.or(lower.keep_discarded),
            keep_history: self.keep_history.or(lower.keep_history),
            concerns: self.concerns.over(lower.concerns),
            applications: self.applications.or(lower.applications),
            warnings: self.warnings.into_iter().chain(lower.warnings).collect(),
            literal_password: self.literal_password || lower.literal_password,
        }
    }
}

impl From<CommandLine> for Layer {
    fn from(line: CommandLine) -> Self {
        Layer { listen: line.listen, base: line.base, store: line.store, access: line.access, ..Layer::default() }
    }
}

/// Reads the configuration for `serve` and `check`. `file` is that of `--config`; `dir` is the working directory.
///
/// # Errors
/// Fails with [`Refused`], which holds all errors of all places.
pub fn load(line: CommandLine, environment: &Environment, file: Option<&Path>, dir: &Path) -> Result<Config, Refused> {
    let mut faults = Vec::new();
    let from_environment = environment_layer(environment, dir, &mut faults);
    let from_file = file.map(|file| file_layer(file, environment, &mut faults)).unwrap_or_default();
    let from_leptos = leptos_layer(dir, environment, &mut faults);
    let leptos = leptos_or_fault(dir, &mut faults);
    let named_store = line.store.as_ref().or(from_environment.store.as_ref()).cloned();
    let layer = Layer::from(line).over(from_environment).over(from_file).over(from_leptos);
    if layer.applications.as_ref().is_none_or(Vec::is_empty) && faults.is_empty() {
        faults.push(no_applications(file));
    }
    let access = access_of(&layer, &mut faults);
    if !faults.is_empty() {
        return Err(Refused { faults: with_lacking(faults, layer.applications.unwrap_or_default()) });
    }
    let beside = file.and_then(Path::parent).unwrap_or(dir);
    let command = Command {
        folder: std::path::absolute(dir.join(".")).unwrap_or_default(),
        config: file.map(Path::to_owned),
        store: named_store,
    };
    Ok(Config { command, ..config(layer, beside, leptos, access) })
}

/// Adds what single entries lack to the faults, in the order of the files, so that all are reported at once.
fn with_lacking(mut faults: Vec<Fault>, entries: Vec<Entry>) -> Vec<Fault> {
    let (_, unconfigured) = separated(entries);
    faults.extend(unconfigured.into_iter().flat_map(|entry| entry.lacking));
    let mut sources: Vec<String> = Vec::new();
    for fault in &faults {
        if !sources.contains(&fault.source) {
            sources.push(fault.source.clone());
        }
    }
    faults.sort_by_key(|fault| (sources.iter().position(|source| *source == fault.source), fault.line));
    faults
}

/// Combines the access settings of all places.
fn access_of(layer: &Layer, faults: &mut Vec<Fault>) -> Access {
    let mut fault = |key: &str, reason: &str| {
        faults.push(Fault { source: "access".into(), line: None, key: key.into(), reason: reason.into() });
        AuthMode::Accounts
    };
    let way = match layer.access.unwrap_or(Mode::Accounts) {
        Mode::Accounts => AuthMode::Accounts,
        Mode::Open => AuthMode::Open,
        Mode::Openmrs => layer.openmrs.clone().map_or_else(
            || fault("mode", "openmrs needs a whole table [access.openmrs] in the configuration file"),
            AuthMode::Openmrs,
        ),
        Mode::Proxy if layer.trusted_proxies.as_ref().is_none_or(Vec::is_empty) => {
            fault("mode", "proxy needs trusted_proxies: the addresses from which the header with the name is accepted")
        }
        Mode::Proxy => layer.proxy.clone().map_or_else(
            || fault("mode", "proxy needs a whole table [access.proxy] in the configuration file"),
            AuthMode::Proxy,
        ),
    };
    let service_tokens = named_tokens(layer, faults);
    let session_longest = layer.session_longest.unwrap_or(access::LONGEST_DEFAULT);
    // If only the longer one was shortened, it limits both.
    let session_idle = layer.session_idle.unwrap_or(access::IDLE_DEFAULT).min(session_longest);
    Access {
        way,
        session_idle,
        session_longest,
        second_factor: layer.second_factor.clone().unwrap_or_default(),
        second_factor_key: layer.second_factor_key.clone(),
        service_tokens,
        demo: None,
    }
}

/// Returns the service tokens, with the keys of the applications that they name.
fn named_tokens(layer: &Layer, faults: &mut Vec<Fault>) -> Vec<NamedToken> {
    let infos: Vec<_> = layer.applications.iter().flatten().map(Entry::info).collect();
    let mut named = Vec::new();
    for entry in layer.service_tokens.iter().flatten() {
        let mut keys = BTreeSet::new();
        for wanted in entry.applications.iter().flatten() {
            match infos.iter().find(|info| info.key == *wanted || info.name.eq_ignore_ascii_case(wanted)) {
                Some(info) => drop(keys.insert(info.key.clone())),
                None => faults.push(Fault {
                    reason: "names an application that is not configured; allowed are the names of the entries \
                             [[application]]"
                        .to_owned(),
                    ..entry.of_applications.clone()
                }),
            }
        }
        named.push(NamedToken {
            name: entry.name.clone(),
            opens: entry.opens,
            applications: entry.applications.as_ref().map(|_| keys),
            token: entry.token.clone(),
        });
    }
    named
}

/// Returns the configuration of `demo`: the demo's applications, and a store in their folder. `Leptos.toml` supplies
/// only the base path and the log: the demo must not use an address or a store meant for the hospital.
///
/// # Errors
/// Fails with [`Refused`] if the environment or `Leptos.toml` is wrong.
pub fn demo(
    line: CommandLine,
    environment: &Environment,
    dir: &Path,
    data: &Path,
    applications: Vec<Application>,
) -> Result<Config, Refused> {
    let mut faults = Vec::new();
    let entries = applications.into_iter().map(|application| Entry::Whole(Box::new(application))).collect();
    let mut from_environment = environment_layer(environment, dir, &mut faults);
    from_environment.store = None;
    let from_leptos = leptos_layer(dir, environment, &mut faults);
    let from_leptos = Layer {
        base: from_leptos.base,
        log_form: from_leptos.log_form,
        log_level: from_leptos.log_level,
        ..Layer::default()
    };
    let leptos = leptos_or_fault(dir, &mut faults);
    let layer = Layer { applications: Some(entries), ..Layer::from(line) }.over(from_environment).over(from_leptos);
    if let Some(Mode::Openmrs | Mode::Proxy) = layer.access {
        let reason = "the demo hospital needs accounts or open".to_owned();
        faults.push(Fault { source: "access".into(), line: None, key: "mode".into(), reason });
    }
    let mut access = Access { way: AuthMode::Accounts, ..access_of(&Layer::default(), &mut faults) };
    if !faults.is_empty() {
        return Err(Refused { faults });
    }
    match layer.access {
        Some(Mode::Open) => access.way = AuthMode::Open,
        _ => access.demo = Some(demo_accounts(layer.listen.unwrap_or(DEFAULT_LISTEN))),
    }
    Ok(Config { demo: true, hospital: Some("Demo hospital".to_owned()), ..config(layer, data, leptos, access) })
}

/// On the loopback address the passwords are known and shown: those who see the page have access to the machine anyway.
/// Elsewhere they are random and only printed to standard output.
fn demo_accounts(listen: SocketAddr) -> DemoAccounts {
    let shown = listen.ip().is_loopback();
    let password = |role: Role| if shown { format!("lantern-goat-{role}") } else { passwords::one_time() };
    DemoAccounts { accounts: Role::ALL.map(|role| (role, password(role))).into(), shown }
}

fn config(layer: Layer, beside: &Path, leptos: LeptosOptions, access: Access) -> Config {
    let read_only = layer.read_only.unwrap_or(false);
    let mut entries = layer.applications.unwrap_or_default();
    for entry in &mut entries {
        entry.info_mut().read_only |= read_only;
    }
    let (mut applications, unconfigured) = separated(entries);
    for application in &mut applications {
        let concerns = application.own_concerns.clone().over(layer.concerns.clone());
        application.info.concerns = concerns.settings(presets::concerns(application.info.kind));
    }
    let mut warnings = layer.warnings;
    match &access.way {
        AuthMode::Openmrs(openmrs) => warnings.extend(secrecy::unencrypted(&openmrs.url)),
        AuthMode::Proxy(proxy) => warnings.extend(groups_are_believed(proxy)),
        AuthMode::Accounts | AuthMode::Open => {}
    }
    let no_proxy = layer.trusted_proxies.as_ref().is_none_or(Vec::is_empty);
    if no_proxy && layer.public_origin.as_ref().is_some_and(|origin| origin.https) {
        warnings.push(
            "public_origin begins with https://, so that a proxy is in front of the console, and trusted_proxies names none: \
             all users count as one address, in the audit log and where guessing is slowed down."
                .to_owned(),
        );
    }
    let keep_days = layer.audit_keep_days.unwrap_or(Some(DEFAULT_AUDIT_DAYS));
    Config {
        access,
        network: NetworkSettings {
            public_origin: layer.public_origin,
            trusted_proxies: layer.trusted_proxies.unwrap_or_default(),
            hosts: layer.hosts.unwrap_or_default(),
        },
        listen: layer.listen.unwrap_or(DEFAULT_LISTEN),
        base: layer.base.unwrap_or_else(default_base),
        store: layer.store.unwrap_or_else(|| beside.join(STORE_FILE)),
        command: Command::default(),
        log: layer.log_form.unwrap_or_default(),
        log_level: layer.log_level.unwrap_or_default(),
        hospital: layer.hospital,
        read_only,
        mask_texts: layer.mask_texts.unwrap_or(true),
        records: RecordSettings {
            enabled: layer.records_enabled.unwrap_or(RecordSettings::default().enabled),
            names: layer.records_names.unwrap_or(RecordSettings::default().names),
        },
        audit_keep: keep_days.map(|days| Duration::from_secs(days * 86_400)),
        keep_discarded: layer.keep_discarded.unwrap_or(Some(KEEP_DISCARDED_DAYS)).and_then(days),
        keep_history: layer.keep_history.unwrap_or(Some(KEEP_HISTORY_DAYS)).and_then(days),
        applications,
        unconfigured,
        demo: false,
        warnings,
        leptos,
    }
}

/// Warns what the proxy must do if its headers decide about roles: the console cannot see whether it does.
fn groups_are_believed(proxy: &Proxy) -> Option<String> {
    let groups = proxy.groups_header.as_ref()?;
    Some(format!(
        "access.proxy.groups_header: a client that can send the header {groups} through the proxy gets any role. The proxy must \
         replace or remove what browsers send in {groups} and in {user}, also for people without a group; \
         docs/access.md says how to try it.",
        user = proxy.user_header
    ))
}

fn days(days: u64) -> Option<chrono::TimeDelta> {
    i64::try_from(days).ok().and_then(chrono::TimeDelta::try_days)
}

fn default_base() -> Base {
    Base::parse(DEFAULT_BASE).unwrap_or_else(|_| unreachable!("{DEFAULT_BASE} is a base path"))
}

fn no_applications(file: Option<&Path>) -> Fault {
    let (source, reason) = match file {
        Some(file) => (
            file.display().to_string(),
            "names no application: add an [[application]] for each database, or try the demo command".to_owned(),
        ),
        None => (
            "command line".to_owned(),
            format!(
                "no application is configured: give a file with --config FILE, or an [[console.application]] in {LEPTOS_FILE}"
            ),
        ),
    };
    Fault { source, line: None, key: String::new(), reason }
}

/// Reads the environment's variables.
fn environment_layer(environment: &Environment, dir: &Path, found: &mut Vec<Fault>) -> Layer {
    let mut faults = Faults::of("environment");
    let layer = Layer {
        listen: variable("LISTEN", environment, &mut faults, toml_file::listen),
        base: variable("BASE_PATH", environment, &mut faults, toml_file::base),
        store: variable("STORE", environment, &mut faults, |text| {
            if text.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(dir.join(text)) }
        }),
        access: variable("ACCESS", environment, &mut faults, |text| word(text, &Mode::WORDS)),
        public_origin: variable("PUBLIC_ORIGIN", environment, &mut faults, Origin::parse),
        trusted_proxies: variable("TRUSTED_PROXIES", environment, &mut faults, |text| {
            text.split(',').filter(|part| !part.trim().is_empty()).map(network).collect()
        }),
        log_form: variable("LOG_FORM", environment, &mut faults, |text| word(text, &LogForm::WORDS)),
        log_level: variable("LOG_LEVEL", environment, &mut faults, |text| word(text, &LogLevel::WORDS)),
        warnings: environment.names().filter_map(misspelt).collect(),
        ..Layer::default()
    };
    found.extend(faults.into_list());
    layer
}

fn variable<T>(
    end: &str,
    environment: &Environment,
    faults: &mut Faults,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let key = format!("{VARIABLE}{end}");
    let parsed = parse(environment.get(&key)?);
    parsed.map_err(|reason| faults.add(&Place { key, line: None }, reason)).ok()
}

fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    found.ok_or_else(|| format!("is not a known word; allowed are {}", one_of(&allowed)))
}

/// Warns of a variable that looks misspelt. Others with the console's prefix are ignored: container managers create
/// variables from every service's name.
fn misspelt(name: &str) -> Option<String> {
    let end = name.strip_prefix(VARIABLE)?.to_lowercase();
    let near = nearest(&end, &VARIABLE_ENDS).filter(|near| *near != end)?;
    Some(format!("The environment variable {name} is not known, did you mean {VARIABLE}{}?", near.to_uppercase()))
}

/// Reads the file of `--config`: the old console's `application.yml` by its extension, otherwise the console's own.
fn file_layer(file: &Path, environment: &Environment, found: &mut Vec<Fault>) -> Layer {
    let mut faults = Faults::of(file.display().to_string());
    let layer = match text_of(file) {
        Err(reason) => {
            faults.add(&Place::default(), reason);
            Layer::default()
        }
        Ok(text) if is_yaml(file) => old_yaml::read(&text, environment, &mut faults),
        Ok(text) => toml_file::read(&text, folder_of(file), None, environment, &mut faults),
    };
    found.extend(faults.into_list());
    warned_of_everybody(layer, file)
}

/// Returns the layer of a file, with a warning if all users can read a password in it.
fn warned_of_everybody(mut layer: Layer, file: &Path) -> Layer {
    if layer.literal_password {
        layer.warnings.extend(secrecy::readable_by_everybody(file));
    }
    layer
}

fn is_yaml(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("yml") || ending.eq_ignore_ascii_case("yaml"))
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

fn text_of(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| unreadable(&error))
}

fn leptos_layer(dir: &Path, environment: &Environment, found: &mut Vec<Fault>) -> Layer {
    let file = dir.join(LEPTOS_FILE);
    if !file.exists() {
        return Layer::default();
    }
    let mut faults = Faults::of(file.display().to_string());
    let layer = match text_of(&file) {
        Ok(text) => toml_file::read(&text, dir, Some("console"), environment, &mut faults),
        Err(reason) => {
            faults.add(&Place::default(), reason);
            Layer::default()
        }
    };
    found.extend(faults.into_list());
    warned_of_everybody(layer, &file)
}

fn leptos_or_fault(dir: &Path, found: &mut Vec<Fault>) -> LeptosOptions {
    leptos_options(dir).unwrap_or_else(|fault| {
        found.push(fault);
        built_in()
    })
}

/// Returns Leptos' own options: from `Leptos.toml` in `dir` if it exists, otherwise built in, so that a copied binary
/// needs no file.
///
/// # Errors
/// Fails if the table `[package.metadata.leptos]` is missing or wrong.
pub fn leptos_options(dir: &Path) -> Result<LeptosOptions, Fault> {
    let file = dir.join(LEPTOS_FILE);
    if !file.exists() {
        return Ok(built_in());
    }
    let fault = |reason: String| Fault {
        source: file.display().to_string(),
        line: None,
        key: "package.metadata.leptos".to_owned(),
        reason,
    };
    let path = file.to_str().ok_or_else(|| fault("is in a folder whose name is not UTF-8".to_owned()))?;
    // The reason may quote the file, which may contain a password: it is not passed on.
    get_configuration(Some(path))
        .map(|configuration| configuration.leptos_options)
        .map_err(|_| fault("is not what Leptos expects; output-name is needed in this table".to_owned()))
}

fn built_in() -> LeptosOptions {
    LeptosOptions::builder().output_name("atomfeed-console").site_pkg_dir("pkg").env(Env::PROD).build()
}

#[cfg(test)]
mod tests;
