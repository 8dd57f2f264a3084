//! Who may sign in: the settings of `[access]`, and of the network between a browser and the console.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use url::Url;

use crate::model::{Role, access::ServiceRight};

use super::Secret;

/// The settings of `[access]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    pub way: AuthMode,
    /// Idle time after which a session ends.
    pub session_idle: Duration,
    /// Maximum duration of a session, however much it is used.
    pub session_longest: Duration,
    /// The roles whose accounts must have a second factor.
    pub second_factor: Vec<Role>,
    /// The file with the key that encrypts the secrets of second factors; `None`: next to the store.
    pub second_factor_key: Option<PathBuf>,
    /// Service tokens named in the settings.
    pub service_tokens: Vec<NamedToken>,
    /// The demo's accounts with their passwords; the sign-in page may show them.
    pub demo: Option<DemoAccounts>,
}

/// A service token named in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedToken {
    pub name: String,
    pub opens: ServiceRight,
    /// Keys of the applications whose state it may read; `None`: all.
    pub applications: Option<BTreeSet<String>>,
    /// The content of its file.
    pub token: Secret,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            way: AuthMode::Accounts,
            session_idle: IDLE_DEFAULT,
            session_longest: LONGEST_DEFAULT,
            second_factor: Vec::new(),
            second_factor_key: None,
            service_tokens: Vec::new(),
            demo: None,
        }
    }
}

impl Access {
    /// Returns whether accounts of this role must have a second factor.
    pub fn demands_second_factor(&self, role: Role) -> bool {
        self.way == AuthMode::Accounts && self.second_factor.contains(&role)
    }

    /// Returns how often the use of a session or a token is stored: every minute, or every twentieth of `session_idle`
    /// if that is shorter, so that a session in use does not end.
    pub fn use_written_every(&self) -> Duration {
        (self.session_idle / 20).min(Duration::from_secs(60))
    }

    /// Returns how long after the last stored use a session ends: later uses may not be stored yet.
    pub fn ends_unused_after(&self) -> Duration {
        self.session_idle + self.use_written_every()
    }
}

pub(super) const IDLE_DEFAULT: Duration = Duration::from_secs(3_600);
pub(super) const LONGEST_DEFAULT: Duration = Duration::from_secs(12 * 3_600);

/// How users sign in.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum AuthMode {
    /// With an account of the console itself.
    #[default]
    Accounts,
    /// With their name and password in OpenMRS.
    Openmrs(Openmrs),
    /// Identity from a trusted reverse-proxy header.
    Proxy(Proxy),
    /// Without signing in.
    Open,
}

/// The words of the setting `mode`, without the settings of each mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Accounts,
    Openmrs,
    Proxy,
    Open,
}

impl Mode {
    pub const WORDS: [(&'static str, Mode); 4] =
        [("accounts", Mode::Accounts), ("openmrs", Mode::Openmrs), ("proxy", Mode::Proxy), ("open", Mode::Open)];
}

impl AuthMode {
    pub fn mode(&self) -> Mode {
        match self {
            AuthMode::Accounts => Mode::Accounts,
            AuthMode::Openmrs(_) => Mode::Openmrs,
            AuthMode::Proxy(_) => Mode::Proxy,
            AuthMode::Open => Mode::Open,
        }
    }
}

/// Names in another system that map to each role. The highest matching role applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleNames {
    pub viewer: Vec<String>,
    pub operator: Vec<String>,
    pub administrator: Vec<String>,
}

impl RoleNames {
    /// Returns the role of a user with these names in the other system; `None`: no access.
    pub fn role<'n>(&self, names: impl IntoIterator<Item = &'n str> + Clone) -> Option<Role> {
        let has = |wanted: &[String]| {
            names.clone().into_iter().any(|name| wanted.iter().any(|want| want.eq_ignore_ascii_case(name.trim())))
        };
        if has(&self.administrator) {
            Some(Role::Administrator)
        } else if has(&self.operator) {
            Some(Role::Operator)
        } else if has(&self.viewer) {
            Some(Role::Viewer)
        } else {
            None
        }
    }

    pub fn is_empty(&self) -> bool {
        self.viewer.is_empty() && self.operator.is_empty() && self.administrator.is_empty()
    }
}

/// The hospital's OpenMRS, and how its roles and privileges map to the console's.
#[derive(Clone, Debug, PartialEq)]
pub struct Openmrs {
    /// The address of OpenMRS, such as `https://openmrs.example/openmrs`, without a trailing slash.
    pub url: Url,
    /// A PEM file with authorities to trust in addition to the system's own.
    pub ca: Option<PathBuf>,
    pub timeout: Duration,
    pub roles: RoleNames,
}

/// Headers in which a proxy names the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    pub user_header: String,
    /// Names of groups or roles, separated by commas or semicolons.
    pub groups_header: Option<String>,
    pub roles: RoleNames,
    /// The role of a user whose groups match nothing; `None`: no access.
    pub otherwise: Option<Role>,
}

/// The demo's accounts and their passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoAccounts {
    pub accounts: Vec<(Role, String)>,
    /// The sign-in page shows the passwords: only if no other machine can see it.
    pub shown: bool,
}

/// How requests reach the console.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSettings {
    /// The console's address seen from outside: scheme, host and port.
    pub public_origin: Option<Origin>,
    /// Proxies whose forwarding headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Allowed host names besides the public origin's.
    pub hosts: Vec<String>,
}

impl NetworkSettings {
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&address))
    }
}

/// Scheme, host and port, as a browser writes them in `Origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub https: bool,
    /// With the port, unless it is the scheme's default.
    pub host: String,
}

impl Origin {
    /// Reads `https://host` or `http://host:port`; returns the reason on failure.
    pub fn parse(text: &str) -> Result<Self, String> {
        let allowed = "is not an origin; examples: https://hospital.example and http://10.1.2.3:9080, without a path";
        let url = Url::parse(text.trim()).map_err(|_| allowed.to_owned())?;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(allowed.to_owned()),
        };
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let nobody = url.username().is_empty() && url.password().is_none();
        let Some(name) = url.host_str().filter(|_| bare && nobody) else { return Err(allowed.to_owned()) };
        let host = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        Ok(Self { https, host })
    }
}

/// Reads an address or a network; returns the reason on failure.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse::<IpNet>().ok().or_else(alone).ok_or_else(|| {
        "has an entry that is neither an address nor a network; examples: 127.0.0.1, 172.16.0.0/12, fd00::/8".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_role_that_matches_is_taken() {
        let names = RoleNames {
            viewer: vec!["Clinician".into()],
            operator: vec!["IT Support".into()],
            administrator: vec!["System Developer".into()],
        };
        assert_eq!(names.role(["Clinician", "it support"]), Some(Role::Operator));
        assert_eq!(names.role(["Clinician", " System Developer "]), Some(Role::Administrator));
        assert_eq!(names.role(["Registrar"]), None);
        assert_eq!(RoleNames::default().role(["", "Clinician"]), None);
    }

    #[test]
    fn a_session_that_is_used_does_not_end_whatever_the_setting() {
        for idle in [60, 61, 90, 600, 3_600, 604_800] {
            let access = Access { session_idle: Duration::from_secs(idle), ..Access::default() };
            let (every, ends) = (access.use_written_every(), access.ends_unused_after());
            // The worst case: used just before the next write is due, then again just before the session ends.
            assert!(every + access.session_idle <= ends, "{idle} s");
            assert!(
                ends <= access.session_idle * 21 / 20,
                "{idle} s: an unused session ends, a twentieth late at most"
            );
            assert!(every >= Duration::from_secs(1) && every <= Duration::from_secs(60), "{idle} s");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_more() {
        for (text, https, host) in [
            ("https://hospital.example", true, "hospital.example"),
            ("https://Hospital.Example/", true, "hospital.example"),
            ("http://10.1.2.3:9080", false, "10.1.2.3:9080"),
            ("https://hospital.example:443", true, "hospital.example"),
        ] {
            assert_eq!(Origin::parse(text), Ok(Origin { https, host: host.into() }), "{text}");
        }
        for text in
            ["hospital.example", "https://a.example/atomfeed-console", "ftp://a", "https://u@a", "https://a?b", ""]
        {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_proxy_is_trusted_by_address_or_network_also_where_ipv6_carries_ipv4() {
        let settings = NetworkSettings {
            trusted_proxies: ["127.0.0.1", "172.16.0.0/12"].map(|text| network(text).unwrap()).into(),
            ..NetworkSettings::default()
        };
        for (address, trusted) in
            [("127.0.0.1", true), ("::ffff:127.0.0.1", true), ("172.20.0.3", true), ("10.0.0.1", false), ("::1", false)]
        {
            assert_eq!(settings.trusts(address.parse().unwrap()), trusted, "{address}");
        }
        assert!(network("proxy.example").is_err());
    }
}
