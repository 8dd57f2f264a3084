//! Forms that were refused. Without a script, the browser is redirected to the page of the form, whose address names
//! the refusal, so that a reload sends nothing again. There the reason is shown, and what was entered.

mod kept;

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, header, request},
};

use super::{
    http::status_of,
    routes,
    security::{
        authenticate::Caller,
        authorize::{wants_page, way_back},
        secrets,
    },
};
use crate::{
    error::Problem,
    model::filter::pairs,
    paths::{API_PREFIX, Base, FORM_TOKEN},
};
pub use kept::{RefusedForm, RefusedForms, Sender};

/// Fields that are never written into a page, because they are credentials. In addition, all fields with `password` or
/// `code` in their name.
const SECRETS: [&str; 4] = ["current", "new", "again", FORM_TOKEN];

/// A browser's form, and the page that it was sent from.
#[derive(Clone, Debug, Default)]
pub struct SentForm {
    /// A path and query below the base.
    pub page: Option<String>,
    function: String,
    /// The page that the table of routes names for the function, as a route, and its path.
    pub told_on: Option<&'static str>,
    own_page: Option<String>,
    typed: Vec<(String, String)>,
}

impl SentForm {
    /// Reads a form. `None` if the request is not a form of a browser's page. `path` is that of the server function,
    /// with or without the base.
    pub fn of(base: &Base, caller: &Caller, parts: &request::Parts, path: &str, body: &Bytes) -> Option<Self> {
        if parts.method != Method::POST || !is_form(&parts.headers) || !wants_page(&parts.headers) {
            return None;
        }
        let text = String::from_utf8_lossy(body);
        let secret = |key: &str| SECRETS.contains(&key) || key.contains("password") || key.contains("code");
        let typed: Vec<(String, String)> = pairs(&text).filter(|(key, _)| !secret(key)).collect();
        let back = typed.iter().find(|(key, _)| key == "back").map(|(_, back)| back.clone());
        let referer = way_back(parts, base, caller);
        let page = [back, referer].into_iter().flatten().find(|page| base.inside(page).is_some() && is_page(page));
        let path = path.strip_prefix(base.as_str()).unwrap_or(path);
        let told_on = routes::of(path).and_then(|route| route.told_on);
        let own_page = told_on.and_then(|told_on| own_page(told_on, &typed));
        let function = path.rsplit('/').next().unwrap_or_default().to_owned();
        Some(Self { page, function, told_on, own_page, typed })
    }

    /// Returns the refusal of this form. `None` if it is not known which page shows it.
    pub fn refused(self, problem: &Problem) -> Option<RefusedForm> {
        let above = self.own_page.is_none();
        let page = self.own_page.or(self.page)?;
        let status = status_of(problem);
        Some(RefusedForm { page, above, function: self.function, typed: self.typed, problem: problem.clone(), status })
    }

    /// The same for a form that did not reach its function. The layout shows why, because the page may not have a place
    /// for it.
    pub fn refused_early(self, problem: &Problem) -> Option<RefusedForm> {
        self.refused(problem).map(|form| RefusedForm { above: true, ..form })
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

/// Returns whether a path and query below the base may be a page: addresses of server functions are not.
fn is_page(page: &str) -> bool {
    !page.starts_with(API_PREFIX)
}

/// Returns the page that the table of routes names for a function. The path can have a field of the form as a segment,
/// in braces. `None` if the form has no such field, or its value is not alphanumeric.
fn own_page(told_on: &str, typed: &[(String, String)]) -> Option<String> {
    let value = |name: &str| typed.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let plain = |value: &String| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let parts = told_on.split('/').map(|part| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(name) => value(name).filter(plain),
        None => Some(part.to_owned()),
    });
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}

impl Sender {
    /// Returns the sender of a request. `None` if the next request will not have the same secret: then nothing can be
    /// shown again.
    pub fn of(caller: &Caller) -> Option<Self> {
        let lasting = !caller.browser.1 || caller.secret != caller.browser.0;
        lasting.then(|| Self::Secret(secrets::hash(&caller.secret)))
    }
}
