//! The base path, and every URL of the console, built in one place.
//!
//! The base path is a runtime setting, so one binary serves any. On the server it is a context value of the request; the
//! browser finds whole addresses in the page and builds none.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::{
    EventKey,
    audit::AuditFilter,
    filter::{Filter, ListQuery},
};

/// Where the server functions live, below the base path.
pub const API_PREFIX: &str = "/api";

/// The field of every form that proves that it is one of ours.
pub const FORM_TOKEN: &str = "form_token";

/// Everything that could end or change a path segment is encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The base path: empty, or `/segment[/segment…]` without a final slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base(String);

/// Why a text is no base path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a base path is / or like /atomfeed-console: letters, digits, '-', '_' and '.' between slashes, no '..'")]
pub struct BadBase;

impl Base {
    /// Reads a base path as people write it: with or without slashes at its ends; `/` and the empty text mean none.
    ///
    /// # Errors
    /// [`BadBase`] for anything that would need encoding or could climb out.
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

    /// The base path itself: empty, or with a slash in front and none at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A path of ours below the base. `path` begins with a slash.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    pub fn overview(&self) -> String {
        if self.0.is_empty() { "/".to_owned() } else { self.0.clone() }
    }

    pub fn application(&self, app: &str) -> String {
        self.at(&format!("/applications/{}", segment(app)))
    }

    pub fn applications(&self) -> String {
        self.at("/applications")
    }

    pub fn failed_events(&self, list: &ListQuery) -> String {
        with_query(self.at("/failed-events"), &list.to_query())
    }

    /// A failed event's page; `list` is where it was opened from, for "previous", "next" and the way back.
    pub fn failed_event(&self, event: &EventKey, list: Option<&ListQuery>) -> String {
        let path = self.at(&format!("/failed-events/{}/{}", segment(&event.app), event.id));
        with_query(path, &list.map(ListQuery::to_query).unwrap_or_default())
    }

    /// The whole first error of a failed event, as a file.
    pub fn whole_error(&self, event: &EventKey) -> String {
        self.at(&format!("/failed-events/{}/{}/error.txt", segment(&event.app), event.id))
    }

    /// The whole payload of a failed event, as a file.
    pub fn whole_payload(&self, event: &EventKey) -> String {
        self.at(&format!("/failed-events/{}/{}/payload.txt", segment(&event.app), event.id))
    }

    /// What matches, as a file; `form` is `csv` or `ndjson`.
    pub fn export(&self, list: &ListQuery, form: &str) -> String {
        with_query(self.at(&format!("/failed-events.{form}")), &list.filter.to_query())
    }

    /// Whether failed events came since a list was read; `mark` is the list's own.
    pub fn news(&self, filter: &Filter, mark: &str) -> String {
        let mut query = String::new();
        crate::model::filter::push(&mut query, "query", &filter.to_query());
        crate::model::filter::push(&mut query, "mark", mark);
        with_query(self.at(&format!("{API_PREFIX}/news")), &query)
    }

    /// The plan of a retry of all exhausted failed events of a feed.
    pub fn plan_feed_retry(&self, app: &str, feed: Option<&str>) -> String {
        let mut query = String::new();
        crate::model::filter::push(&mut query, "app", app);
        match feed {
            Some(feed) => crate::model::filter::push(&mut query, "feed", feed),
            None => crate::model::filter::push(&mut query, "nofeed", "1"),
        }
        with_query(self.at("/retry"), &query)
    }

    pub fn actions(&self) -> String {
        self.at("/actions")
    }

    /// The record of actions from below this id on: its next page.
    pub fn actions_before(&self, before: i64) -> String {
        with_query(self.actions(), &format!("before={before}"))
    }

    pub fn action(&self, id: i64) -> String {
        self.at(&format!("/actions/{id}"))
    }

    /// An action's page from the rows after this place on.
    pub fn action_after(&self, id: i64, after: i64) -> String {
        with_query(self.action(id), &format!("after={after}"))
    }

    /// The audit log from below the entry of this number on; `None`: from the newest on.
    pub fn audit(&self, filter: &AuditFilter, before: Option<i64>) -> String {
        let mut query = filter.to_query();
        if let Some(before) = before {
            crate::model::filter::push(&mut query, "before", &before.to_string());
        }
        with_query(self.at("/audit"), &query)
    }

    /// What of the audit log matches, as a file.
    pub fn audit_export(&self, filter: &AuditFilter) -> String {
        with_query(self.at("/audit.csv"), &filter.to_query())
    }

    /// The sign-in page; `to` is where to go on, a path and query below the base.
    pub fn sign_in(&self, to: Option<&str>) -> String {
        let mut query = String::new();
        if let Some(to) = to.filter(|to| !matches!(*to, "" | "/")) {
            crate::model::filter::push(&mut query, "to", to);
        }
        with_query(self.at("/sign-in"), &query)
    }

    /// The page of one's own account.
    pub fn account(&self) -> String {
        self.at("/account")
    }

    /// The page of all accounts.
    pub fn accounts(&self) -> String {
        self.at("/accounts")
    }

    /// Where a form is sent: the server function of this name.
    pub fn function(&self, name: &str) -> String {
        self.at(&format!("{API_PREFIX}/{name}"))
    }

    /// A page of ours by a path and query below the base that came from outside. `None` for anything that could lead
    /// somewhere else.
    pub fn inside(&self, to: &str) -> Option<String> {
        let (path, query) = to.split_once('?').unwrap_or((to, ""));
        let ours = path.starts_with('/')
            && !path.starts_with("//")
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
        assert_eq!(base.sign_in(Some("/failed-events?app=a")), "/x/sign-in?to=/failed-events%3Fapp%3Da");
        assert_eq!(base.sign_in(Some("/")), "/x/sign-in");
    }

    #[test]
    fn urls_follow_the_base() {
        let event = EventKey { app: "odoo".into(), id: crate::model::RowId(7) };
        let base = Base::parse("/x/y").unwrap();
        assert_eq!(base.overview(), "/x/y");
        assert_eq!(base.failed_event(&event, None), "/x/y/failed-events/odoo/7");
        assert_eq!(base.plan_feed_retry("odoo", Some("http://a/b?c&d")), "/x/y/retry?app=odoo&feed=http://a/b%3Fc%26d");
        assert_eq!(base.actions_before(40), "/x/y/actions?before=40");
        assert_eq!(base.action_after(40, 7), "/x/y/actions/40?after=7");
        let asha = AuditFilter { who: Some("Asha D".into()), ..AuditFilter::default() };
        assert_eq!(base.audit(&asha, Some(7)), "/x/y/audit?who=Asha%20D&before=7");
        assert_eq!(base.audit_export(&AuditFilter::default()), "/x/y/audit.csv");
        let odoo = ListQuery::parse("app=odoo&q=a b").unwrap().filter;
        assert_eq!(base.news(&odoo, "7 8"), "/x/y/api/news?query=app%3Dodoo%26q%3Da%2520b&mark=7%208");
        let none = Base::parse("/").unwrap();
        assert_eq!(none.overview(), "/");
        assert_eq!(none.actions(), "/actions");
    }
}
