//! The base path, and every URL of the console, built in one place.
//!
//! The base path is a runtime setting, so that one binary can serve under any path. On the server it is a context value
//! of the request; the browser uses the addresses in the page and builds none.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::model::{
    EventKey, RowId,
    audit::AuditFilter,
    feed_pages::FeedQuery,
    filter::{Filter, ListQuery},
    history::HistoryQuery,
    operation::WhichRows,
    record::RecordRef,
    search::SearchQuery,
};

/// The path of the server functions, below the base path.
pub const API_PREFIX: &str = "/api";

/// The field of every form that holds the form token, which shows that the form is the console's own.
pub const FORM_TOKEN: &str = "form_token";

/// The parameter of a page's address that names a refused form to show there.
pub const REFUSED: &str = "refused";

/// Maximum bytes of a redirect address. It is sent in a header, and a response's headers must fit into what proxies
/// accept: 4 KB at the least.
pub const LONGEST_WAY: usize = 3_000;

/// A form that was not processed because its session had ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undone {
    /// `retry`, `plan`, `start` or `form`.
    pub what: &'static str,
    /// The failed events that were selected, as `application:id`.
    pub chosen: Vec<String>,
    /// The page that contains the form, if the request does not say it otherwise.
    pub back: Option<String>,
    /// The id by which what was entered is found again.
    pub kept: Option<String>,
}

/// Everything that could end or change a path segment is encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The base path: empty, or `/segment[/segment…]` without a final slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base(String);

/// Why a text is not a base path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a base path is / or like /atomfeed-console: letters, digits, '-', '_' and '.' between slashes, no '..'")]
pub struct BadBase;

impl Base {
    /// Parses a base path, with or without slashes at its ends; `/` and the empty text mean none.
    ///
    /// # Errors
    /// Fails with [`BadBase`] if the text would need encoding or could lead out of the base (`..`).
    pub fn parse(text: &str) -> Result<Self, BadBase> {
        let trimmed = text.trim().trim_matches('/');
        if trimmed.is_empty() {
            return Ok(Self(String::new()));
        }
        let fine = trimmed.split('/').all(|segment| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        });
        if fine { Ok(Self(format!("/{trimmed}"))) } else { Err(BadBase) }
    }

    /// Returns the base path: empty, or with a leading slash and no trailing one.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the address of a path below the base. `path` begins with a slash.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    pub fn overview(&self) -> String {
        if self.0.is_empty() { "/".to_owned() } else { self.0.clone() }
    }

    /// The redirect target of the bare host; it redirects to the overview. It has its own address, so that a request
    /// for the bare host which a proxy made from the base path ends instead of being redirected in a circle.
    pub fn home(&self) -> String {
        self.at("/overview")
    }

    pub fn application(&self, app: &str) -> String {
        self.at(&format!("/applications/{}", segment(app)))
    }

    /// The feeds that an application publishes.
    pub fn feeds(&self, app: &str) -> String {
        self.at(&format!("/applications/{}/feeds", segment(app)))
    }

    /// A page of one of these feeds. The category is in the query: it can hold a slash, which proxies refuse in a path.
    pub fn feed(&self, app: &str, query: &FeedQuery) -> String {
        with_query(self.at(&format!("/applications/{}/feed", segment(app))), &query.to_query())
    }

    /// The XML of a page, as its publisher would serve it.
    pub fn feed_source(&self, app: &str, query: &FeedQuery) -> String {
        with_query(self.at(&format!("/applications/{}/feed.xml", segment(app))), &query.to_query())
    }

    pub fn applications(&self) -> String {
        self.at("/applications")
    }

    pub fn failed_events(&self, list: &ListQuery) -> String {
        with_query(self.at("/failed-events"), &list.to_query())
    }

    /// The list of failed events with the number of all matches, where it must be counted in the tables.
    pub fn counted(&self, filter: &Filter) -> String {
        let mut query = filter.to_query();
        crate::model::filter::push(&mut query, "count", "all");
        with_query(self.at("/failed-events"), &query)
    }

    /// The list of failed events by cause.
    pub fn causes(&self, filter: &Filter) -> String {
        let mut query = filter.to_query();
        crate::model::filter::push(&mut query, "by", "cause");
        with_query(self.at("/failed-events"), &query)
    }

    /// A failed event's page; `list` is the list it was opened from, for "previous", "next" and the link back.
    pub fn failed_event(&self, event: &EventKey, list: Option<&ListQuery>) -> String {
        self.failed_event_of(&event.app, event.id, &list.map(ListQuery::to_query).unwrap_or_default())
    }

    /// As [`Base::failed_event`], for the rows of one list: its query string is written once for all of them.
    pub fn failed_event_of(&self, app: &str, id: RowId, list: &str) -> String {
        with_query(self.at(&format!("/failed-events/{}/{id}", segment(app))), list)
    }

    /// The whole first error of a failed event, as a file.
    pub fn whole_error(&self, event: &EventKey) -> String {
        self.at(&format!("/failed-events/{}/{}/error.txt", segment(&event.app), event.id))
    }

    /// The whole error of an attempt of a failed event, by its row of the retry log, as a file.
    pub fn whole_attempt(&self, event: &EventKey, attempt: RowId) -> String {
        with_query(self.whole_error(event), &format!("attempt={attempt}"))
    }

    /// The whole payload of a failed event, as a file.
    pub fn whole_payload(&self, event: &EventKey) -> String {
        self.at(&format!("/failed-events/{}/{}/payload.txt", segment(&event.app), event.id))
    }

    /// The failed events that match, as a file; `form` is `csv` or `ndjson`.
    pub fn export(&self, list: &ListQuery, form: &str) -> String {
        with_query(self.at(&format!("/failed-events.{form}")), &list.filter.to_query())
    }

    /// The check for new failed events since a list was read; `mark` is the list's mark.
    pub fn news(&self, filter: &Filter, mark: &str) -> String {
        let mut query = String::new();
        crate::model::filter::push(&mut query, "query", &filter.to_query());
        crate::model::filter::push(&mut query, "mark", mark);
        with_query(self.at(&format!("{API_PREFIX}/news")), &query)
    }

    /// Operations, running and past.
    pub fn operations(&self) -> String {
        self.at("/operations")
    }

    /// The operations with lower ids: the next page.
    pub fn operations_before(&self, before: i64) -> String {
        with_query(self.operations(), &format!("before={before}"))
    }

    /// An operation: its plan, its progress, and the outcome of its rows.
    pub fn operation(&self, id: i64) -> String {
        self.at(&format!("/operations/{id}"))
    }

    /// The rows of an operation: which of them, and after which position.
    pub fn operation_rows(&self, id: i64, which: WhichRows, after: Option<i64>) -> String {
        let mut query = String::new();
        if let Some(word) = which.word() {
            crate::model::filter::push(&mut query, "rows", &word);
        }
        if let Some(after) = after {
            crate::model::filter::push(&mut query, "after", &after.to_string());
        }
        with_query(self.operation(id), &query)
    }

    /// Discarded failed events; those of one operation, if it is given.
    pub fn discarded(&self, operation: Option<i64>) -> String {
        let query = operation.map(|id| format!("operation={id}")).unwrap_or_default();
        with_query(self.at("/discarded"), &query)
    }

    /// The next page of discarded failed events.
    pub fn discarded_before(&self, operation: Option<i64>, before: i64) -> String {
        let query = operation.map(|id| format!("operation={id}&")).unwrap_or_default();
        with_query(self.at("/discarded"), &format!("{query}before={before}"))
    }

    /// Groups of failed events; `quiet`: groups that have none any more.
    pub fn groups(&self, quiet: bool) -> String {
        with_query(self.at("/groups"), if quiet { "quiet=1" } else { "" })
    }

    /// A group of failed events.
    pub fn group(&self, fault: i64) -> String {
        self.at(&format!("/groups/{fault}"))
    }

    /// A group's events in one state; `before`: only those with a lower ledger number.
    pub fn group_events(&self, fault: i64, state: &str, before: Option<i64>) -> String {
        let before = before.map(|before| format!("&before={before}")).unwrap_or_default();
        with_query(self.group(fault), &format!("state={state}{before}"))
    }

    /// The stream of changes.
    pub fn events(&self) -> String {
        self.at("/events")
    }

    /// The history of failed events; `query` as [`crate::model::history::HistoryQuery`] writes it.
    pub fn history(&self, query: &HistoryQuery) -> String {
        with_query(self.at("/history"), &query.to_query())
    }

    /// The page of a record of an application.
    pub fn record(&self, app: &str, record: &RecordRef) -> String {
        self.at(&format!("/records/{}/{}/{}", segment(app), record.kind, segment(&record.uuid)))
    }

    /// The results of a search.
    pub fn search(&self, query: &SearchQuery) -> String {
        with_query(self.at("/search"), &query.to_query())
    }

    /// The history as a file.
    pub fn history_file(&self, query: &HistoryQuery) -> String {
        with_query(self.at("/history.csv"), &query.to_query())
    }

    /// The life of one failed event, by its ledger number.
    pub fn life(&self, id: i64) -> String {
        self.at(&format!("/history/{id}"))
    }

    /// The audit log from the entry before this number on; `None`: from the newest on.
    pub fn audit(&self, filter: &AuditFilter, before: Option<i64>) -> String {
        let mut query = filter.to_query();
        if let Some(before) = before {
            crate::model::filter::push(&mut query, "before", &before.to_string());
        }
        with_query(self.at("/audit"), &query)
    }

    /// The entries of the audit log that match, as a file.
    pub fn audit_export(&self, filter: &AuditFilter) -> String {
        with_query(self.at("/audit.csv"), &filter.to_query())
    }

    /// The sign-in page; `to` is the page that follows it, a path and query below the base. It is omitted if it is too
    /// long.
    pub fn sign_in(&self, to: Option<&str>) -> String {
        let mut query = String::new();
        if let Some(to) = to.filter(|to| !matches!(*to, "" | "/") && to.len() <= LONGEST_WAY) {
            crate::model::filter::push(&mut query, "to", to);
        }
        let way = with_query(self.at("/sign-in"), &query);
        if way.len() <= LONGEST_WAY { way } else { self.at("/sign-in") }
    }

    /// The sign-in page after a form whose session had ended; `to` is the page that contains the form. Its address
    /// reports what was not done, and the selected events if they fit.
    pub fn sign_in_after(&self, to: &str, undone: &Undone) -> String {
        use crate::model::filter::{pairs, push};
        let (path, query) = to.split_once('?').unwrap_or((to, ""));
        let mut kept = String::new();
        for (key, value) in pairs(query).filter(|(key, _)| !is_of_one_view(key)) {
            push(&mut kept, &key, &value);
        }
        push(&mut kept, "undone", undone.what);
        if let Some(id) = &undone.kept {
            push(&mut kept, REFUSED, id);
        }
        let mut ticked = kept.clone();
        undone.chosen.iter().for_each(|event| push(&mut ticked, "chosen", event));
        let nowhere = self.sign_in(None);
        [ticked, kept]
            .into_iter()
            .map(|query| self.sign_in(Some(&format!("{path}?{query}"))))
            .find(|way| *way != nowhere)
            .unwrap_or_else(|| self.sign_in(Some(to)))
    }

    /// A page (a path and query below the base) that shows a refused form. `None` if the address would be too long.
    pub fn refused(&self, page: &str, id: &str) -> Option<String> {
        use crate::model::filter::{pairs, push};
        let (path, query) = page.split_once('?').unwrap_or((page, ""));
        let mut kept = String::new();
        pairs(query).filter(|(key, _)| !is_of_one_view(key)).for_each(|(key, value)| push(&mut kept, &key, &value));
        push(&mut kept, REFUSED, id);
        self.inside(&format!("{path}?{kept}"))
    }

    /// The page of a plan that was made on the page at `back`, a path and query below the base.
    pub fn plan(&self, id: i64, back: &str) -> String {
        let mut query = String::new();
        if self.inside(back).is_some() {
            crate::model::filter::push(&mut query, "back", back);
        }
        let way = with_query(self.operation(id), &query);
        if way.len() <= LONGEST_WAY { way } else { self.operation(id) }
    }

    /// The page of the user's own account.
    pub fn account(&self) -> String {
        self.at("/account")
    }

    /// The page of the user's own second factor.
    pub fn second_factor(&self) -> String {
        self.at("/account/second-factor")
    }

    /// The page of the second step of signing in.
    pub fn second_step(&self) -> String {
        self.at("/sign-in/code")
    }

    /// The page of all accounts.
    pub fn accounts(&self) -> String {
        self.at("/accounts")
    }

    /// The page of service tokens.
    pub fn service_tokens(&self) -> String {
        self.at("/service-tokens")
    }

    /// The address of the server function of this name.
    pub fn function(&self, name: &str) -> String {
        self.at(&format!("{API_PREFIX}/{name}"))
    }

    /// Returns the address of a page of the console, by an untrusted path and query below the base. `None` if it could
    /// lead elsewhere, or is longer than [`LONGEST_WAY`].
    pub fn inside(&self, to: &str) -> Option<String> {
        if to.len() > LONGEST_WAY {
            return None;
        }
        let (path, query) = to.split_once('?').unwrap_or((to, ""));
        let ours = path.starts_with('/')
            && stays(path)
            && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~%".contains(&byte))
            && query.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte));
        if !ours {
            return None;
        }
        Some(if path == "/" { with_query(self.overview(), query) } else { with_query(self.at(path), query) })
    }

    /// The demo hospital's own page.
    pub fn demo(&self) -> String {
        self.at("/demo")
    }

    pub fn help(&self) -> String {
        self.at("/help")
    }

    /// A file of the built site, by its path below the site's root.
    pub fn asset(&self, path: &str) -> String {
        self.at(&format!("/{path}"))
    }
}

/// Returns whether a parameter of a page's address is about one view of the page.
pub fn is_of_one_view(key: &str) -> bool {
    matches!(key, "done" | "undone" | "chosen" | "live" | REFUSED)
}

/// Returns whether a path names the same place however often it is decoded: without steps (`.`, `..`), empty segments,
/// backslashes and control characters, by which browsers and proxies get to another place than the one read here.
pub fn stays(path: &str) -> bool {
    let mut path = path.to_owned();
    loop {
        let mut segments = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
        if path.contains("//") || path.contains('\\') || path.contains(char::is_control) {
            return false;
        }
        if segments.any(|segment| matches!(segment, "." | "..")) {
            return false;
        }
        let decoded = percent_decode_str(&path).decode_utf8_lossy().into_owned();
        if decoded == path {
            return true;
        }
        path = decoded;
    }
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

fn with_query(path: String, query: &str) -> String {
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_read_as_people_write_it() {
        for (text, base) in [
            ("", ""),
            ("/", ""),
            ("//", ""),
            ("atomfeed-console", "/atomfeed-console"),
            ("/atomfeed-console/", "/atomfeed-console"),
            (" /x/y ", "/x/y"),
        ] {
            assert_eq!(Base::parse(text).unwrap().as_str(), base, "{text:?}");
        }
        for text in ["/a//b", "/..", "/a/../b", "/a b", "/a?x", "/%41", "/ä", "/{x}", "https://host/a"] {
            assert_eq!(Base::parse(text), Err(BadBase), "{text:?}");
        }
    }

    #[test]
    fn a_way_on_leads_to_our_own_pages_alone() {
        let base = Base::parse("/x").unwrap();
        assert_eq!(
            base.inside("/failed-events?app=odoo&q=a%20b").as_deref(),
            Some("/x/failed-events?app=odoo&q=a%20b")
        );
        assert_eq!(base.inside("/").as_deref(), Some("/x"));
        for to in
            ["", "//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a\r\nSet-Cookie: x=1", "/a?\n"]
        {
            assert_eq!(base.inside(to), None, "{to:?}");
        }
        for to in [
            "/..",
            "/../openmrs/x",
            "/..//evil.example",
            "/failed-events/../../openmrs",
            "/a/./b",
            "/.",
            "/a//b",
            "/a//",
            "/%2e%2e/openmrs",
            "/%2E./openmrs",
            "/.%2e",
            "/a/%2e%2e%2f%2e%2e%2fopenmrs",
            "/%252e%252e/openmrs",
            "/..;/openmrs",
            "/..%3bx/openmrs",
            "/%5cevil.example",
            "/%2fevil.example",
            "/a%0d%0ab",
            "/..?app=odoo",
        ] {
            assert_eq!(base.inside(to), None, "{to:?}");
            assert_eq!(Base::parse("/").unwrap().inside(to), None, "{to:?} below the root");
        }
        for to in [
            "/groups/3?state=a/../b",
            "/failed-events/a..b/7",
            "/...",
            "/a%2520b",
            "/failed-events/%E0%A4%85/1",
            "/operations/",
        ] {
            assert!(base.inside(to).is_some_and(|on| on == format!("/x{to}")), "{to:?}");
        }
        assert_eq!(base.sign_in(Some("/failed-events?app=a")), "/x/sign-in?to=/failed-events%3Fapp%3Da");
        assert_eq!(base.sign_in(Some("/")), "/x/sign-in");
        let long = format!("/failed-events?q={}", "x".repeat(LONGEST_WAY));
        assert_eq!((base.inside(&long), base.sign_in(Some(&long)).as_str()), (None, "/x/sign-in"));
        let encoded = format!("/failed-events?q={}", "%20".repeat(700));
        assert!(base.inside(&encoded).is_some());
        assert_eq!(base.sign_in(Some(&encoded)), "/x/sign-in", "encoded once more it is too long");
    }

    #[test]
    fn urls_follow_the_base() {
        let event = EventKey { app: "odoo".into(), id: crate::model::RowId(7) };
        let base = Base::parse("/x/y").unwrap();
        assert_eq!(base.overview(), "/x/y");
        assert_eq!(base.failed_event(&event, None), "/x/y/failed-events/odoo/7");
        let asha = AuditFilter { who: Some("Asha D".into()), ..AuditFilter::default() };
        assert_eq!(base.audit(&asha, Some(7)), "/x/y/audit?who=Asha%20D&before=7");
        assert_eq!(base.audit_export(&AuditFilter::default()), "/x/y/audit.csv");
        assert_eq!(base.operations_before(40), "/x/y/operations?before=40");
        assert_eq!(base.operation_rows(40, WhichRows::All, Some(7)), "/x/y/operations/40?after=7");
        assert_eq!(base.operation_rows(40, WhichRows::Gone, None), "/x/y/operations/40?rows=removed");
        assert_eq!(base.group_events(3, "exhausted", Some(9)), "/x/y/groups/3?state=exhausted&before=9");
        assert_eq!(base.discarded_before(Some(4), 9), "/x/y/discarded?operation=4&before=9");
        let odoo = ListQuery::parse("app=odoo&q=a b").unwrap().filter;
        assert_eq!(base.news(&odoo, "7 8"), "/x/y/api/news?query=app%3Dodoo%26q%3Da%2520b&mark=7%208");
        let none = Base::parse("/").unwrap();
        assert_eq!(none.overview(), "/");
        assert_eq!(none.operations(), "/operations");
    }
}
