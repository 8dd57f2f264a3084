//! How a request arrived: from which address, over HTTPS or not, and for which host.
//!
//! Behind a proxy, the connection is the proxy's. What a proxy says is accepted only if its address is trusted, and
//! only as far back as the chain of trusted proxies reaches: the sender of the request can write everything further
//! left in a header.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header};

use crate::{
    error::Problem,
    server::config::{NetworkSettings, Origin},
};

/// Address, scheme and host of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Address of the client; `None` if the router is called without a connection.
    pub from: Option<IpAddr>,
    /// Whether the last hop was a trusted proxy.
    pub through_proxy: bool,
    pub https: bool,
    /// The requested host, with the port if one was given; in lower case.
    pub host: String,
    /// The host in the request's own `Host` header, whatever a proxy says.
    pub asked: String,
}

impl ClientInfo {
    /// Determines how a request with these headers arrived on a connection from `peer`.
    pub fn of(network: &NetworkSettings, peer: Option<IpAddr>, headers: &HeaderMap) -> Self {
        let peer = peer.map(|peer| peer.to_canonical());
        let through_proxy = peer.is_some_and(|peer| network.trusts(peer));
        let asked = text(headers, header::HOST.as_str()).trim().to_lowercase();
        let mut client = Self { from: peer, through_proxy, https: false, host: asked.clone(), asked };
        if through_proxy {
            let said = Said::of(headers);
            client.from = said.origin(network).or(peer);
            client.https = said.https;
            if let Some(host) = said.host {
                client.host = host.to_lowercase();
            }
        }
        // Even without a trusted proxy, the host name of an HTTPS `public_origin` implies HTTPS.
        client.https |=
            network.public_origin.as_ref().is_some_and(|origin| origin.https && is_host(origin, &client.host));
        client
    }

    /// Returns the address as text, for records and logs.
    pub fn address(&self) -> String {
        self.from.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
    }
}

/// Logs, at most once an hour, that a proxy is not trusted: everyone behind it then counts as one address, so that one
/// who guesses there makes all of them wait.
pub fn warn_of_untrusted(client: &ClientInfo, headers: &HeaderMap) {
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    const EVERY: Duration = Duration::from_secs(3_600);
    if !is_from_untrusted(client, headers) {
        return;
    }
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.is_none_or(|at| at.elapsed() >= EVERY) {
        *said = Some(Instant::now());
        tracing::warn!(
            address = client.address(),
            "a request says that it came through a proxy, but its address is not in trusted_proxies: if it is the hospital's \
             proxy, all its clients count as one address in the audit log and in the limits of failed sign-ins"
        );
    }
}

/// Returns whether a request claims to come through a proxy although its peer is not a trusted proxy.
fn is_from_untrusted(client: &ClientInfo, headers: &HeaderMap) -> bool {
    !client.through_proxy
        && client.from.is_some()
        && ["forwarded", "x-forwarded-for"].iter().any(|name| headers.contains_key(*name))
}

/// What proxies report about a request.
struct Said {
    /// Addresses of the hops, the last one first.
    steps: Vec<String>,
    https: bool,
    host: Option<String>,
}

impl Said {
    /// Reads `Forwarded` (RFC 7239) if present, otherwise the older `X-Forwarded-…`.
    fn of(headers: &HeaderMap) -> Self {
        let forwarded = all(headers, "forwarded");
        if forwarded.is_empty() {
            let steps = all(headers, "x-forwarded-for");
            let proto = all(headers, "x-forwarded-proto");
            return Self {
                steps: steps.iter().rev().cloned().collect(),
                https: proto.last().is_some_and(|proto| proto.eq_ignore_ascii_case("https")),
                host: all(headers, "x-forwarded-host").last().cloned(),
            };
        }
        let part = |element: &str, name: &str| {
            element.split(';').find_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
            })
        };
        let last = forwarded.last().cloned().unwrap_or_default();
        Self {
            steps: forwarded.iter().rev().map(|element| part(element, "for").unwrap_or_default()).collect(),
            https: part(&last, "proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https")),
            host: part(&last, "host"),
        }
    }

    /// Returns the first address, from the last hop back, that is not a trusted proxy. A part that is not an address
    /// ends the chain: then the last valid one counts.
    fn origin(&self, network: &NetworkSettings) -> Option<IpAddr> {
        let mut last = None;
        for step in &self.steps {
            let Some(address) = address(step) else { break };
            last = Some(address);
            if !network.trusts(address) {
                break;
            }
        }
        last
    }
}

/// Parses an address as proxies write it: alone, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let alone = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parsed = alone.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    parsed.map(|address| address.to_canonical())
}

/// Returns the parts of a list header, also if it occurs several times.
fn all(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let parts = values.flat_map(|value| value.split(','));
    parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Returns whether a host, with or without a port, is that of an origin.
fn is_host(origin: &Origin, host: &str) -> bool {
    let usual = if origin.https { ":443" } else { ":80" };
    origin.host == host || format!("{}{usual}", origin.host) == host
}

/// Refuses a request for a host name that is not the console's, where that can be known.
///
/// Another site can point its own name at this machine, so that its pages have the "same origin" as the console (DNS
/// rebinding). Where users sign in here, it gains nothing: their cookies are not sent to that name. So, unless
/// `public_origin` or `hosts` list the names, only a console that trusts requests refuses names (an open one, and one
/// whose users are named by a proxy), and only names that a stranger could have registered: `hospital-pc`,
/// `console.local` and addresses are always accepted.
///
/// # Errors
/// Fails with status 403 and the setting that allows the name.
pub fn check_host(network: &NetworkSettings, believed: bool, host: &str) -> Result<(), Problem> {
    let name = without_port(host);
    let literal = address(name).is_some();
    let unregistrable =
        literal || name.is_empty() || !name.contains('.') || UNREGISTRABLE.iter().any(|end| name.ends_with(end));
    let named = network.hosts.iter().any(|known| known == name || known == host)
        || network.public_origin.as_ref().is_some_and(|origin| without_port(&origin.host) == name);
    let names_are_known = network.public_origin.is_some() || !network.hosts.is_empty();
    if named || unregistrable || !(names_are_known || believed) {
        return Ok(());
    }
    Err(Problem::refused(
        format!("{name:?} is not a known name of this console."),
        "If the name is right, an administrator can add it to the configuration: public_origin or hosts.",
    ))
}

/// Suffixes of names that no one can register on the internet.
const UNREGISTRABLE: [&str; 8] =
    [".localhost", ".local", ".lan", ".internal", ".home.arpa", ".localdomain", ".test", ".intranet"];

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn network(proxies: &[&str]) -> NetworkSettings {
        let trusted_proxies = proxies.iter().map(|net| net.parse().unwrap()).collect();
        NetworkSettings { trusted_proxies, ..NetworkSettings::default() }
    }

    fn client(network: &NetworkSettings, peer: &str, headers: &[(&str, &str)]) -> ClientInfo {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            });
        ClientInfo::of(network, Some(peer.parse().unwrap()), &headers)
    }

    #[test]
    fn nobody_but_a_trusted_proxy_is_believed() {
        let headers = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("host", "A.lan:80"),
        ];
        let direct = client(&network(&[]), "10.0.0.9", &headers);
        assert_eq!((direct.address().as_str(), direct.https, direct.host.as_str()), ("10.0.0.9", false, "a.lan:80"));
        let behind = client(&network(&["10.0.0.0/8"]), "10.0.0.9", &headers);
        assert_eq!((behind.address().as_str(), behind.https, behind.host.as_str()), ("1.2.3.4", true, "evil.example"));
    }

    #[test]
    fn a_proxy_that_is_not_trusted_is_told_from_one_that_is() {
        let said = |network: &NetworkSettings, name: &'static str| {
            let headers = [(HeaderName::from_static(name), HeaderValue::from_static("1.2.3.4"))];
            let headers: HeaderMap = headers.into_iter().collect();
            is_from_untrusted(&ClientInfo::of(network, Some([10, 0, 0, 9].into()), &headers), &headers)
        };
        for name in ["x-forwarded-for", "forwarded"] {
            assert!(said(&network(&[]), name) && said(&network(&["10.0.0.8/32"]), name), "{name}");
            assert!(!said(&network(&["10.0.0.9/32"]), name), "{name}");
        }
        assert!(!said(&network(&[]), "x-forwarded-host"), "browsers' tools send others");
    }

    #[test]
    fn a_chain_is_read_from_the_right_through_trusted_steps_alone() {
        let network = network(&["10.0.0.0/8"]);
        for (chain, from) in [
            ("6.6.6.6, 1.2.3.4, 10.0.0.5", "1.2.3.4"),
            ("10.0.0.5", "10.0.0.5"),
            ("1.2.3.4, rubbish, 10.0.0.5", "10.0.0.5"),
            ("rubbish", "10.0.0.9"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("1.2.3.4:4711", "1.2.3.4"),
            ("", "10.0.0.9"),
        ] {
            assert_eq!(client(&network, "10.0.0.9", &[("x-forwarded-for", chain)]).address(), from, "{chain}");
        }
        let twice = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4")];
        assert_eq!(
            client(&network, "::ffff:10.0.0.9", &twice).address(),
            "1.2.3.4",
            "a second header goes on the right"
        );
    }

    #[test]
    fn the_standard_header_is_read_too() {
        let forwarded = "for=6.6.6.6;proto=http, for=\"[2001:db8::7]:99\"; proto=https;host=console.example";
        let client = client(&network(&["10.0.0.9/32"]), "10.0.0.9", &[("forwarded", forwarded)]);
        assert_eq!(
            (client.address().as_str(), client.https, client.host.as_str()),
            ("2001:db8::7", true, "console.example")
        );
    }

    #[test]
    fn the_public_origin_says_that_its_name_is_https() {
        let origin = Origin { https: true, host: "console.example".into() };
        let network = NetworkSettings { public_origin: Some(origin), ..NetworkSettings::default() };
        assert!(client(&network, "10.0.0.9", &[("host", "console.example")]).https);
        assert!(client(&network, "10.0.0.9", &[("host", "console.example:443")]).https);
        assert!(!client(&network, "10.0.0.9", &[("host", "10.1.2.3:9080")]).https);
    }

    #[test]
    fn names_of_the_network_need_no_configuration() {
        let nothing = NetworkSettings::default();
        for host in ["10.1.2.3:9080", "[::1]:9080", "localhost:9080", "hospital-pc", "console.local", "x.home.arpa", ""]
        {
            assert_eq!(check_host(&nothing, true, host), Ok(()), "{host}");
        }
        assert!(check_host(&nothing, true, "evil.example:9080").is_err(), "open to everybody");
        assert_eq!(check_host(&nothing, false, "console.example"), Ok(()), "where people sign in, no name is lost");
        let known = NetworkSettings { hosts: vec!["console.example".into()], ..NetworkSettings::default() };
        assert_eq!(check_host(&known, true, "console.example:9080"), Ok(()));
        assert_eq!(check_host(&known, false, "hospital-pc:9080"), Ok(()));
        assert!(check_host(&known, false, "other.example").is_err());
    }
}
