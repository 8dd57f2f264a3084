//! Forms that were refused. Without a script, the browser is redirected to the page of the form, whose address names
//! the refusal, so that a reload sends nothing again. There the reason is shown, and what was entered.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, StatusCode, header, request},
};

use super::{
    http::status_of,
    routes,
    security::{
        authenticate::Caller,
        authorize::{wants_page, way_back},
        secrets,
    },
    store::folded,
};
use crate::{
    error::Problem,
    model::filter::pairs,
    paths::{API_PREFIX, Base, FORM_TOKEN, REFUSED},
};

/// How long a refusal can be shown: a user may sign in again only after a break.
const KEPT_FOR: Duration = Duration::from_secs(3_600);

/// Maximum bytes of one form, of all of them, and their number. The oldest are dropped first.
const LARGEST: usize = 256 << 10;
const LARGEST_SUM: usize = 4 << 20;
const MOST: usize = 1_000;

/// Fields that are never written into a page, because they are credentials. In addition, all fields with `password` or
/// `code` in their name.
const SECRETS: [&str; 4] = ["current", "new", "again", FORM_TOKEN];

/// A refused form: the page that shows why, and the input that it shows again.
#[derive(Clone, Debug)]
pub struct RefusedForm {
    /// Its path and query below the base.
    pub page: String,
    /// The page has no place of its own for the problem: the layout shows it above.
    pub above: bool,
    /// The name of the server function.
    pub function: String,
    pub typed: Vec<(String, String)>,
    pub problem: Problem,
    /// The status of the page.
    pub status: StatusCode,
}

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

/// Who sent a refused form, and may see it again.
#[derive(Debug, PartialEq, Eq)]
pub enum Sender {
    /// Whoever has the secret that the forms of the page were bound to, as a hash.
    Secret([u8; 32]),
    /// The user with this name, as accounts compare them.
    Person(String),
}

impl Sender {
    /// Returns the sender of a request. `None` if the next request will not have the same secret: then nothing can be
    /// shown again.
    pub fn of(caller: &Caller) -> Option<Self> {
        let lasting = !caller.browser.1 || caller.secret != caller.browser.0;
        lasting.then(|| Self::Secret(secrets::hash(&caller.secret)))
    }
}

#[derive(Debug)]
struct Kept {
    id: String,
    sender: Sender,
    form: Arc<RefusedForm>,
    bytes: usize,
    since: Instant,
}

/// The refused forms of the last hour, in memory.
#[derive(Debug, Default)]
pub struct RefusedForms(Mutex<VecDeque<Kept>>);

impl RefusedForms {
    /// Keeps a form, and returns the address of its page. `None` if the form or the address is too long.
    pub fn keep(&self, base: &Base, sender: Sender, form: RefusedForm) -> Option<String> {
        let page = form.page.clone();
        let id = self.keep_only(sender, form)?;
        base.refused(&page, &id)
    }

    /// Keeps a form, and returns the id that its page's address must have as [`REFUSED`]. `None` if it is too long.
    pub fn keep_only(&self, sender: Sender, form: RefusedForm) -> Option<String> {
        let bytes = form.page.len() + form.typed.iter().map(|(key, value)| key.len() + value.len() + 64).sum::<usize>();
        if bytes > LARGEST {
            return None;
        }
        let id = secrets::hex(&secrets::random::<16>());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(Kept { id: id.clone(), sender, form: Arc::new(form), bytes, since: Instant::now() });
        let mut sum: usize = kept.iter().map(|kept| kept.bytes).sum();
        while let Some(oldest) = kept.front() {
            if oldest.since.elapsed() < KEPT_FOR && sum <= LARGEST_SUM && kept.len() <= MOST {
                break;
            }
            sum -= oldest.bytes;
            kept.pop_front();
        }
        Some(id)
    }

    /// Returns the refused form that a page's query string names, if this caller sent it.
    pub fn of_page(&self, caller: &Caller, query: Option<&str>) -> Option<Arc<RefusedForm>> {
        let (_, id) = pairs(query?).find(|(key, _)| key == REFUSED)?;
        let secret = Sender::Secret(secrets::hash(&caller.secret));
        let person = caller.person.as_ref().map(|person| Sender::Person(folded(&person.name)));
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|kept| kept.id == id && kept.since.elapsed() < KEPT_FOR)?;
        (found.sender == secret || Some(&found.sender) == person.as_ref()).then(|| found.form.clone())
    }
}
