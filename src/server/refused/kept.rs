//! Refused forms in memory, each for whoever sent it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::StatusCode;

use crate::{
    error::Problem,
    model::filter::pairs,
    paths::{Base, REFUSED},
    server::{security::secrets, store::folded},
};

/// How long a refusal can be shown: a user may sign in again only after a break.
const KEPT_FOR: Duration = Duration::from_secs(3_600);

/// Maximum bytes of one form, of all of them, and their number. The oldest are dropped first.
const LARGEST: usize = 256 << 10;
const LARGEST_SUM: usize = 4 << 20;
const MOST: usize = 1_000;

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

/// Who sent a refused form, and may see it again.
#[derive(Debug, PartialEq, Eq)]
pub enum Sender {
    /// Whoever has the secret that the forms of the page were bound to, as a hash.
    Secret([u8; 32]),
    /// The user with this name, as accounts compare them.
    Person(String),
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

    /// Returns the refused form that a page's query string names, if it was sent by whoever has this secret, or by the
    /// user with this name.
    pub fn of_page(&self, secret: &str, name: Option<&str>, query: Option<&str>) -> Option<Arc<RefusedForm>> {
        let (_, id) = pairs(query?).find(|(key, _)| key == REFUSED)?;
        let secret = Sender::Secret(secrets::hash(secret));
        let person = name.map(|name| Sender::Person(folded(name)));
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|kept| kept.id == id && kept.since.elapsed() < KEPT_FOR)?;
        (found.sender == secret || Some(&found.sender) == person.as_ref()).then(|| found.form.clone())
    }
}
