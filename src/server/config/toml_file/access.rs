//! The table `access`: how people and machines sign in, and the proxies in front.

use std::{fs, path::Path, time::Duration};

use url::Url;

use super::{
    super::{
        Mode, Openmrs, Proxy, RoleNames, Secret,
        access::network,
        faults::{one_of, unreadable},
        layers::{Layer, ServiceTokenEntry},
        names, secrecy,
    },
    table::Table,
    values::secret_of,
};
use crate::model::{Role, access::ServiceRight};

pub(in crate::server::config) const ACCESS_KEYS: [&str; 8] = [
    "mode",
    "session_idle",
    "session_longest",
    "second_factor",
    "second_factor_key",
    "openmrs",
    "proxy",
    "service_token",
];
/// A session that ends while a user reads a page is of no use; one of weeks hardly ends.
const SESSION: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(604_800));
/// Keys of the tables `access.service_token`.
pub(super) const SERVICE_TOKEN_KEYS: [&str; 4] = ["name", "right", "token_file", "applications"];
/// Minimum length of a service token, and minimum number of different characters in it.
const SHORTEST_TOKEN: usize = 32;
const FEWEST_DIFFERENT: usize = 8;
pub(super) const PROXY_KEYS: [&str; 6] =
    ["user_header", "groups_header", "viewer", "operator", "administrator", "otherwise"];
pub(super) const OPENMRS_KEYS: [&str; 6] = ["url", "ca", "timeout", "viewer", "operator", "administrator"];
const OPENMRS_TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
const OPENMRS_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Reads the table `access`.
pub(super) fn access(table: &mut Table<'_, '_>) -> Layer {
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
    let without_login = url.username().is_empty() && url.password().is_none();
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    if is_web && url.query().is_none() && without_login { Ok(url) } else { Err(allowed.to_owned()) }
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

pub(super) fn networks(top: &mut Table<'_, '_>) -> Option<Vec<ipnet::IpNet>> {
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
