//! The token in every form: a page of another site can send a form, but cannot read one of ours.
//!
//! It is derived from the secret of the session's cookie, or of the browser's mark if there is no session, and is not
//! stored. Each page masks it anew, so that compressed responses do not reveal it bit by bit.

use axum::http::{HeaderMap, header};

use super::secrets;
use crate::model::filter::pairs;

/// The field of the form.
pub use crate::paths::FORM_TOKEN as FIELD;

/// The header that contains the token if there is no form.
const HEADER: &str = "x-form-token";

/// Returns a token for a page: a mask, and the masked token.
pub fn issue(secret: &str) -> String {
    let mask = secrets::random::<32>();
    let token = secrets::derived("form", secret);
    let masked: Vec<u8> = mask.iter().zip(token).map(|(mask, byte)| mask ^ byte).collect();
    secrets::hex(&mask) + &secrets::hex(&masked)
}

/// Returns whether a token belongs to this secret.
pub fn fits(token: &str, secret: &str) -> bool {
    let bytes: Option<Vec<u8>> =
        (0..128).step_by(2).map(|at| token.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok())).collect();
    let Some(bytes) = bytes.filter(|_| token.len() == 128) else { return false };
    let (mask, masked) = bytes.split_at(32);
    let token: Vec<u8> = mask.iter().zip(masked).map(|(mask, byte)| mask ^ byte).collect();
    secrets::same(&secrets::hex(&token), &secrets::hex(&secrets::derived("form", secret)))
}

/// Returns the token in a request's header or form.
pub fn carried(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let in_header = headers.get(HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    in_header.or_else(|| {
        let form = std::str::from_utf8(body).ok().filter(|_| is_form(headers))?;
        pairs(form).find(|(key, _)| key == FIELD).map(|(_, value)| value)
    })
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_is_of_one_secret_and_looks_different_on_every_page() {
        let (secret, other) = (secrets::new(), secrets::new());
        let (one, two) = (issue(&secret), issue(&secret));
        assert_ne!(one, two);
        assert!(fits(&one, &secret) && fits(&two, &secret));
        assert!(!fits(&one, &other));
        for broken in ["", "00", &one[..127], &format!("{one}0"), &"é".repeat(64), &"0".repeat(128)] {
            assert!(!fits(broken, &secret), "{broken}");
        }
    }

    #[test]
    fn it_is_found_in_a_form_or_a_header() {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        let form = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
        assert_eq!(carried(&form, b"a=b&form_token=0a&c=d").as_deref(), Some("0a"));
        assert_eq!(carried(&form, b"a=b"), None);
        assert_eq!(carried(&HeaderMap::new(), b"form_token=0a"), None, "a text of another kind is no form");
        let script = HeaderMap::from_iter([(HEADER.parse().unwrap(), HeaderValue::from_static("0b"))]);
        assert_eq!(carried(&script, b"").as_deref(), Some("0b"));
    }
}
