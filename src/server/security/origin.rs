//! Changing requests must come from the console's own pages.
//!
//! A browser reports where a request comes from: `Sec-Fetch-Site` on HTTPS and on localhost, `Origin` with every POST,
//! and `Referer`. On plain HTTP in a hospital's network there is no `Sec-Fetch-Site`, so each of the three is checked
//! if present. A program that is not a browser sends none of them and is accepted: this check stops pages of other
//! sites in a user's browser, and a browser cannot be made to omit all three.

use axum::http::{HeaderMap, Method, header};
use url::Url;

use crate::{error::Problem, server::config::Origin};

/// Refuses a changing request that another site's page sent. `host` is the requested host, as trusted proxies report
/// it; `public` is the configured address where users see the console.
///
/// # Errors
/// Fails with status 403 and the header value that caused it.
pub fn check(method: &Method, headers: &HeaderMap, host: &str, public: Option<&Origin>) -> Result<(), Problem> {
    if method.is_safe() {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("(unreadable)"));
    if let Some(site) = text("sec-fetch-site")
        && site != "same-origin"
        && site != "none"
    {
        return Err(refused(&format!("the browser calls it {site}")));
    }
    let ours = |address: &str| is_of(address, host) || public.is_some_and(|public| is_public(address, public));
    if let Some(origin) = text(header::ORIGIN.as_str()) {
        return if ours(origin) { Ok(()) } else { Err(refused(&format!("it comes from {origin}"))) };
    }
    if let Some(referer) = text(header::REFERER.as_str()) {
        return if ours(referer) { Ok(()) } else { Err(refused("it comes from another site")) };
    }
    Ok(())
}

/// Returns whether an address has the host that the request was sent to. The scheme is not compared: behind a proxy
/// that serves HTTPS, the console itself sees plain HTTP.
fn is_of(address: &str, host: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let Some(name) = url.host_str() else { return false };
    let with_port = match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    };
    let usual_port = if url.scheme() == "https" { ":443" } else { ":80" };
    let host = host.trim().to_ascii_lowercase();
    matches!(url.scheme(), "http" | "https") && (with_port == host || format!("{with_port}{usual_port}") == host)
}

/// Returns whether an address is of the public origin, including the scheme.
fn is_public(address: &str, public: &Origin) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    Origin::parse(&url.origin().ascii_serialization()).is_ok_and(|origin| origin == *public)
}

fn refused(why: &str) -> Problem {
    Problem::refused(
        format!("This request was not sent by a page of this console: {why}. Nothing was changed."),
        "Open the console and try again. A proxy must pass on the Host header unchanged; otherwise set public_origin in the configuration.",
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn post(headers: &[(&str, &str)]) -> Result<(), Problem> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect::<HeaderMap>();
        let host = headers.get(header::HOST).map_or("", |host| host.to_str().unwrap()).to_owned();
        check(&Method::POST, &headers, &host, None)
    }

    #[test]
    fn our_own_pages_may_post() {
        for headers in [
            &[("host", "10.1.2.3:9080"), ("origin", "http://10.1.2.3:9080")][..],
            &[("host", "hospital.example"), ("origin", "https://hospital.example"), ("sec-fetch-site", "same-origin")],
            &[("host", "hospital.example:443"), ("origin", "https://hospital.example")],
            &[("host", "Hospital.Example"), ("referer", "https://hospital.example/atomfeed-console/failed-events?x=1")],
            &[("host", "[::1]:9080"), ("origin", "http://[::1]:9080")],
            // A script, not a browser.
            &[("host", "hospital.example")],
        ] {
            assert_eq!(post(headers), Ok(()), "{headers:?}");
        }
    }

    #[test]
    fn pages_of_other_sites_may_not() {
        for headers in [
            &[("host", "10.1.2.3:9080"), ("origin", "http://evil.example")][..],
            &[("host", "10.1.2.3:9080"), ("origin", "http://10.1.2.3:9081")],
            &[("host", "10.1.2.3:9080"), ("origin", "null")],
            &[("host", "10.1.2.3:9080"), ("referer", "http://evil.example/10.1.2.3:9080")],
            &[("host", "10.1.2.3:9080"), ("sec-fetch-site", "cross-site")],
            &[("host", "10.1.2.3:9080"), ("sec-fetch-site", "same-site"), ("origin", "http://10.1.2.3:9080")],
            &[("origin", "http://10.1.2.3:9080")],
            &[("host", "a.example"), ("origin", "http://a.example.evil.example")],
        ] {
            let refused = post(headers).expect_err("refused");
            assert_eq!(refused.status, 403, "{headers:?}");
        }
    }

    #[test]
    fn reading_is_no_change() {
        let headers = HeaderMap::from_iter([(header::ORIGIN, "http://evil.example".parse().unwrap())]);
        assert_eq!(check(&Method::GET, &headers, "", None), Ok(()));
    }

    #[test]
    fn the_public_origin_may_post_whatever_host_the_proxy_passes_on() {
        let public = Origin { https: true, host: "console.example".into() };
        let post = |origin: &'static str| {
            let headers = HeaderMap::from_iter([(header::ORIGIN, origin.parse().unwrap())]);
            check(&Method::POST, &headers, "inner:9080", Some(&public))
        };
        assert_eq!(post("https://console.example"), Ok(()));
        for other in ["http://console.example", "https://console.example:8443", "https://other.example", "null"] {
            assert!(post(other).is_err(), "{other}");
        }
    }
}
