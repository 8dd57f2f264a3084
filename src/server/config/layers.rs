//! What wins: the command line, then the environment, then the file of `--config`, then `Leptos.toml`.
//!
//! Each is read into a [`Layer`]; a setting comes from the first layer that has it. The list of applications is one
//! setting: lists of two files are never mixed.

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
    Access, Application, Command, ConcernLayer, Config, DemoAccounts, Environment, Fault, LogForm, LogLevel, Mode,
    NamedToken, Openmrs, Origin, Proxy, Reached, Refused, Secret, Way,
    access::{self, network},
    entries::{Entry, separated},
    faults::{Faults, Place, nearest, one_of, unreadable},
    old_yaml, presets, secrecy, toml_file,
};

/// The file that Leptos and the console share; looked for in the working directory.
const LEPTOS_FILE: &str = "Leptos.toml";
const STORE_FILE: &str = "atomfeed-console.db";
/// Five years of 365 days and a leap day.
const DEFAULT_AUDIT_DAYS: u64 = 1_826;
/// How long the history of what left its table is kept where nobody says.
const KEEP_HISTORY_DAYS: u64 = 730;
/// How long copies of discarded failed events are kept where nobody says.
const KEEP_DISCARDED_DAYS: u64 = 365;
const DEFAULT_BASE: &str = "/atomfeed-console";
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9080);

/// How the variables of ours begin.
const VARIABLE: &str = "ATOMFEED_CONSOLE_";
/// How they go on, in lower case. The command line itself reads `config`.
const VARIABLE_ENDS: [&str; 9] =
    ["listen", "base_path", "store", "access", "public_origin", "trusted_proxies", "log_form", "log_level", "config"];

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct CommandLine {
    pub listen: Option<SocketAddr>,
    pub base: Option<Base>,
    /// Relative to the working directory.
    pub store: Option<PathBuf>,
    /// How people come in.
    pub access: Option<Mode>,
}

/// A token of a machine as a file names it.
#[derive(Clone, Debug)]
pub(super) struct ServiceTokenEntry {
    pub name: String,
    pub opens: ServiceRight,
    /// As they are written; `None`: all.
    pub applications: Option<Vec<String>>,
    pub token: Secret,
    /// A fault of `applications`, without its reason.
    pub of_applications: Fault,
}

/// What one place says; every setting may be absent.
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
    pub read_only: Option<bool>,
    pub mask_texts: Option<bool>,
    /// `Some(None)`: for good.
    pub audit_keep_days: Option<Option<u64>>,
    /// Days; the inner `None`: for good.
    pub keep_discarded: Option<Option<u64>>,
    pub keep_history: Option<Option<u64>>,
    pub concerns: ConcernLayer,
    pub applications: Option<Vec<Entry>>,
    pub warnings: Vec<String>,
    /// A database's password stands in the file that this layer is from.
    pub literal_password: bool,
}

impl Layer {
    /// This layer, with `lower` where it says nothing.
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
            read_only: self.read_only.or(lower.read_only),
            mask_texts: self.mask_texts.or(lower.mask_texts),
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
/// [`Refused`] with everything that is wrong in all of the places.
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

/// The faults together with what single entries lack, in the order of the files: who corrects a file is told of all at once.
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

/// How people come in, from all places together.
fn access_of(layer: &Layer, faults: &mut Vec<Fault>) -> Access {
    let mut fault = |key: &str, reason: &str| {
        faults.push(Fault { source: "access".into(), line: None, key: key.into(), reason: reason.into() });
        Way::Accounts
    };
    let way = match layer.access.unwrap_or(Mode::Accounts) {
        Mode::Accounts => Way::Accounts,
        Mode::Open => Way::Open,
        Mode::Openmrs => layer.openmrs.clone().map_or_else(
            || fault("mode", "openmrs needs a whole table [access.openmrs] in the configuration file"),
            Way::Openmrs,
        ),
        Mode::Proxy if layer.trusted_proxies.as_ref().is_none_or(Vec::is_empty) => {
            fault("mode", "proxy needs trusted_proxies: the addresses from which the header with the name is accepted")
        }
        Mode::Proxy => layer.proxy.clone().map_or_else(
            || fault("mode", "proxy needs a whole table [access.proxy] in the configuration file"),
            Way::Proxy,
        ),
    };
    let service_tokens = named_tokens(layer, faults);
    let session_longest = layer.session_longest.unwrap_or(access::LONGEST_DEFAULT);
    // Where only the longer one was shortened, it is the bound of both.
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

/// The tokens of machines, with the keys of the applications that they name.
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

/// The configuration of `demo`: the demo's applications, and a store in their folder. Of `Leptos.toml` only the base
/// path and the log count: an address or a store that was meant for the hospital must not be the demo's.
///
/// # Errors
/// [`Refused`] when the environment or `Leptos.toml` is wrong.
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
    let mut access = Access { way: Way::Accounts, ..access_of(&Layer::default(), &mut faults) };
    if !faults.is_empty() {
        return Err(Refused { faults });
    }
    match layer.access {
        Some(Mode::Open) => access.way = Way::Open,
        _ => access.demo = Some(demo_accounts(layer.listen.unwrap_or(DEFAULT_LISTEN))),
    }
    Ok(Config { demo: true, ..config(layer, data, leptos, access) })
}

/// On the loopback address the passwords are known and shown: whoever sees the page has the machine anyway. Anywhere
/// else they are random, and only standard output tells them.
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
        Way::Openmrs(openmrs) => warnings.extend(secrecy::unencrypted(&openmrs.url)),
        Way::Proxy(proxy) => warnings.extend(groups_are_believed(proxy)),
        Way::Accounts | Way::Open => {}
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
        reached: Reached {
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
        read_only,
        mask_texts: layer.mask_texts.unwrap_or(true),
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

/// Says what the proxy has to do where its word decides about roles: whether it does, the console cannot see.
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

/// The environment's variables.
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

/// A warning for a variable that looks like a slip. Others that begin like ours are left alone: container managers make
/// variables out of every service's name.
fn misspelt(name: &str) -> Option<String> {
    let end = name.strip_prefix(VARIABLE)?.to_lowercase();
    let near = nearest(&end, &VARIABLE_ENDS).filter(|near| *near != end)?;
    Some(format!("The environment variable {name} is not known, did you mean {VARIABLE}{}?", near.to_uppercase()))
}

/// The file of `--config`: the old console's `application.yml` by its ending, otherwise our own.
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

/// The layer of a file, with a warning where everybody may read a password in it.
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

/// Leptos' own options: from `Leptos.toml` in `dir` where there is one, otherwise built in, so that a binary that was
/// copied somewhere needs no file.
///
/// # Errors
/// The table `[package.metadata.leptos]` is missing or wrong.
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
    // The reason may quote the file, which may hold a password further down: it is not passed on.
    get_configuration(Some(path))
        .map(|configuration| configuration.leptos_options)
        .map_err(|_| fault("is not what Leptos expects; output-name is needed in this table".to_owned()))
}

fn built_in() -> LeptosOptions {
    LeptosOptions::builder().output_name("atomfeed-console").site_pkg_dir("pkg").env(Env::PROD).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLICATION: &str = "[[application]]\nname = \"A\"\nkind = \"pacs\"\ndatabase = \"postgres://h/d\"\nuser = \"u\"\npassword = \"s3cr3t-Pa55\"\n";
    const LEPTOS: &str =
        "[package.metadata.leptos]\noutput-name = \"atomfeed-console\"\nhash-file = \"of-this-file\"\n";

    /// A working directory with these files.
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
        let own = format!(
            "[concerns]\nnear_limit = \"off\"\n{}",
            of_application("[application.concerns]\nnear_limit = 50\n")
        );
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
        let old =
            "appConfigs:\n- {appName: PACS, dbUrl: 'jdbc:postgresql://h/d', dbUser: u, dbPassword: s3cr3t-Pa55}\n";
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
        assert_eq!(
            (config.leptos.output_name.as_ref(), config.leptos.site_pkg_dir.as_ref()),
            ("atomfeed-console", "pkg")
        );
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
        assert!(
            refused.contains("access.service_token[1].applications: names an application that is not"),
            "{refused}"
        );
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
            [
                "The environment variable ATOMFEED_CONSOLE_BASEPATH is not known, did you mean ATOMFEED_CONSOLE_BASE_PATH?"
            ]
        );
    }

    #[test]
    fn the_demo_listens_on_loopback_whatever_leptos_toml_says_for_the_hospital() {
        let leptos =
            format!("{LEPTOS}[console]\nlisten = \"0.0.0.0:80\"\nstore = \"hospital.db\"\nbase_path = \"/x\"\n");
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
        let folder = folder(&[("Leptos.toml", include_str!("../../../Leptos.toml")), ("console.toml", APPLICATION)]);
        let config = load_in(&folder, CommandLine::default(), &Environment::default()).unwrap();
        assert_eq!(config.leptos.output_name.as_ref(), "atomfeed-console");
        assert_eq!((config.listen, config.base), (DEFAULT_LISTEN, default_base()));
    }

    #[test]
    fn the_full_example_of_the_documentation_is_right_and_names_every_setting() {
        let documentation = include_str!("../../../docs/configuration.md");
        let example = documentation.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let folder = folder(&[("console.toml", example), ("odoo.password", "s3cr3t-Pa55\n"), ("hospital-ca.pem", "")]);
        let environment = Environment::from([
            ("OPENMRS_DB_HOST", "openmrsdb"),
            ("OPENMRS_DB_PASSWORD", "s3cr3t-Pa55"),
            ("OPENELIS_DB_PASSWORD", "s3cr3t-Pa55"),
        ]);
        let config = load_in(&folder, CommandLine::default(), &environment).unwrap();
        let addresses: Vec<_> =
            config.applications.iter().map(|application| application.info.address.as_str()).collect();
        assert_eq!(
            addresses,
            ["openmrsdb:3306/openmrs", "openelisdb:5432/clinlims", "odoodb:5432/odoo", "consumer.db"]
        );
        assert_eq!(config.applications[2].info.limits.feed_interval_secs, 60);
        assert!(!format!("{config:?}").contains("s3cr3t"));
        for key in toml_file::APPLICATION_KEYS {
            let written = [format!("\n{key} = "), format!("\n[[application.{key}]]")];
            assert!(written.iter().any(|line| example.contains(line)), "{key} is not in the example");
            assert!(documentation.contains(&format!("| `{key}` |")), "{key} is not described");
        }
        for key in toml_file::CONCERN_KEYS {
            assert!(example.contains(&format!("{key} = ")), "{key} is not in the example");
            assert!(documentation.contains(&format!("| `{key}` |")), "{key} is not described");
        }
        let odoo = &config.applications[2].info.concerns;
        assert_eq!((odoo.retry_overdue_secs, odoo.queue_age_secs, odoo.compare_markers), (Some(300), Some(600), true));
        assert!(odoo.is_idle(Some("http://openelis:8052/openelis/ws/feed/patient/recent")));
    }
}
