//! Cookies of sessions, of browsers (their mark), and of sign-ins between the two steps.
//!
//! All are `HttpOnly` and bound to the base path. Over HTTPS they are `Secure`, and their names have a prefix with
//! which a browser accepts them neither over plain HTTP nor from a neighbouring name: `__Host-` if the console has the
//! whole host, `__Secure-` if it has a path of it.
//!
//! `SameSite=Lax`, not `Strict`: users open events from links in mails and chats, and would see the sign-in page each
//! time. Changes are POST requests, with which Lax omits the cookie when another site sends them.

use axum::http::{HeaderMap, HeaderValue, header};
use axum_extra::extract::cookie::{Cookie, SameSite};

use crate::{
    model::{Preferences, Zone},
    paths::Base,
};

/// How long the mark of a browser and its reader's preferences are kept.
const MARK_DAYS: i64 = 180;

/// The kinds of cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The session's id; deleted when the browser is closed.
    Session,
    /// A sign-in that waits for its second step.
    Pending,
    /// Binds the forms of a user without a session, and identifies a known browser.
    Browser,
}

impl Kind {
    fn name(self, base: &Base, https: bool) -> String {
        let own = match self {
            Kind::Session => "atomfeed_session",
            Kind::Pending => "atomfeed_signing_in",
            Kind::Browser => "atomfeed_browser",
        };
        match (https, base.as_str().is_empty()) {
            (false, _) => own.to_owned(),
            (true, true) => format!("__Host-{own}"),
            (true, false) => format!("__Secure-{own}"),
        }
    }
}

/// Returns the value of a request's cookie. Over HTTPS, a cookie without the prefix is ignored.
pub fn read(headers: &HeaderMap, kind: Kind, base: &Base, https: bool) -> Option<String> {
    let name = kind.name(base, https);
    // Ours are 64 hexadecimal digits: anything else is not worth reading the store.
    let ours = |value: &&str| value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    values(headers, &name).find(ours).map(str::to_owned)
}

/// Returns the values of all cookies of a request with this name.
fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lists = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let cookies = lists.flat_map(|list| list.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.filter(move |(key, _)| *key == name).map(|(_, value)| value)
}

/// Preferences of the readers of an open console, which does not know their names.
const PREFERENCES: &str = "atomfeed_preferences";
/// Time zone of the browser, which its own script writes.
const ZONE: &str = "atomfeed_zone";

/// Returns the preferences of a reader of an open console.
pub fn preferences(headers: &HeaderMap) -> Preferences {
    values(headers, PREFERENCES).next().map(Preferences::read).unwrap_or_default()
}

/// Returns the header that stores preferences.
pub fn keep_preferences(chosen: &Preferences, base: &Base, https: bool) -> HeaderValue {
    header_of(&kept(&bare(PREFERENCES.to_owned(), &chosen.text(), base, https)))
}

/// Returns the time zone that the browser reported.
pub fn zone(headers: &HeaderMap) -> Option<Zone> {
    values(headers, ZONE).next().and_then(Zone::named)
}

/// Returns the header that sets a cookie.
pub fn set(kind: Kind, value: &str, base: &Base, https: bool) -> HeaderValue {
    let cookie = bare(kind.name(base, https), value, base, https);
    header_of(&if kind == Kind::Browser { kept(&cookie) } else { cookie })
}

/// Returns the header that deletes a cookie.
pub fn remove(kind: Kind, base: &Base, https: bool) -> HeaderValue {
    header_of(&format!("{}; Max-Age=0", bare(kind.name(base, https), "", base, https)))
}

/// Returns a cookie that is deleted when the browser is closed.
fn bare(name: String, value: &str, base: &Base, https: bool) -> String {
    let path = if base.as_str().is_empty() { "/" } else { base.as_str() };
    let cookie = Cookie::build((name, value.to_owned()))
        .path(path.to_owned())
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(https);
    cookie.build().to_string()
}

/// Returns the same cookie, kept when the browser is closed.
fn kept(cookie: &str) -> String {
    format!("{cookie}; Max-Age={}", MARK_DAYS * 24 * 3_600)
}

fn header_of(cookie: &str) -> HeaderValue {
    HeaderValue::from_str(cookie).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_bound_to_the_path_and_to_https_where_there_is_some() {
        let value = "0a".repeat(32);
        let base = Base::parse("/x").unwrap();
        let shown = |kind, base: &Base, https| set(kind, &value, base, https).to_str().unwrap().to_owned();
        assert_eq!(
            shown(Kind::Session, &base, false),
            format!("atomfeed_session={value}; HttpOnly; SameSite=Lax; Path=/x")
        );
        let secure = shown(Kind::Session, &base, true);
        assert!(secure.starts_with("__Secure-atomfeed_session=") && secure.contains("; Secure"), "{secure}");
        let whole = shown(Kind::Session, &Base::parse("/").unwrap(), true);
        assert!(whole.starts_with("__Host-atomfeed_session=") && whole.contains("; Path=/"), "{whole}");
    }

    #[test]
    fn preferences_and_zone_are_read_as_they_were_kept() {
        let chosen = Preferences { zone: Some("Asia/Kolkata".into()), letter_keys: false, ..Preferences::default() };
        let kept = keep_preferences(&chosen, &Base::parse("/x").unwrap(), false).to_str().unwrap().to_owned();
        assert!(kept.contains("; Path=/x") && kept.contains("HttpOnly"), "{kept}");
        let cookies = format!("{}; atomfeed_zone=Africa/Nairobi", kept.split(';').next().unwrap());
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&cookies).unwrap())]);
        assert_eq!(preferences(&headers), chosen);
        assert_eq!(zone(&headers).unwrap().name(), "Africa/Nairobi");
        for odd in ["", "<b>", "Mars/Olympus", "../../etc"] {
            let cookie = format!("atomfeed_zone={odd}");
            let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&cookie).unwrap())]);
            assert_eq!(zone(&headers), None, "{odd}");
        }
    }

    #[test]
    fn only_a_cookie_of_ours_is_read() {
        let base = Base::parse("/x").unwrap();
        let value = "0a".repeat(32);
        let read = |cookies: &str, https| {
            let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(cookies).unwrap())]);
            super::read(&headers, Kind::Session, &base, https)
        };
        assert_eq!(read(&format!("a=b; atomfeed_session={value}; c=d"), false), Some(value.clone()));
        assert_eq!(read(&format!("__Secure-atomfeed_session={value}"), true), Some(value.clone()));
        assert_eq!(
            read(&format!("atomfeed_session={value}"), true),
            None,
            "set over plain HTTP by somebody in between"
        );
        assert_eq!(read("atomfeed_session=short", false), None);
        assert_eq!(read(&format!("atomfeed_session=short; atomfeed_session={value}"), false), Some(value));
    }
}
