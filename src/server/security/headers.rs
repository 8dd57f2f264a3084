//! Response headers that restrict the browser to this page's own module and style.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use leptos::nonce::Nonce;

use crate::paths::Base;

/// Returns the policy of a page. The nonce is for the one inline script, which Leptos writes to load the module.
pub fn page_policy(nonce: &Nonce) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(NOTHING)
}

/// The policy of all responses that are not pages.
const NOTHING: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");

/// Makes browsers use only HTTPS for this host, for a year. Subdomains are excluded: they are not ours.
pub const ONE_YEAR_OF_HTTPS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Tells a browser which data of an origin to delete (W3C, Clear Site Data).
pub const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Returns what a browser deletes at sign-out: cached pages and files. Only over HTTPS, where browsers obey, and only
/// where the console has the whole host: all paths share an origin, and OpenMRS and Bahmni keep their own data there.
/// Never cookies: those of the whole domain would be deleted.
pub fn to_clear(base: &Base, https: bool) -> Option<HeaderValue> {
    (https && base.as_str().is_empty()).then_some(HeaderValue::from_static("\"cache\", \"storage\""))
}

/// Sets the headers that a response does not have yet.
pub async fn set_safe_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    default(headers, header::CONTENT_SECURITY_POLICY, NOTHING);
    default(headers, header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    default(headers, header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Not no-referrer: browsers would then send `Origin: null` with every form.
    default(headers, header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    let none = HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()");
    default(headers, HeaderName::from_static("permissions-policy"), none);
    default(headers, HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    default(headers, HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    // Pages and responses contain data from patients' records: no cache may keep them.
    default(headers, header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn default(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}
