//! Operations: plans, their progress and results, and discarded events.

use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::model::Right;
use crate::{
    error::Problem,
    model::{
        ApplicationInfo, Feed,
        feed_names::NamedFeed,
        operation::{CauseCount, Discarded, Operation, PlannedFeed, RowCourse, WhichRows},
    },
};

/// A page of the operations, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationsPage {
    pub operations: Vec<Operation>,
    /// `before` of the next page.
    pub next: Option<i64>,
    /// Number of discarded failed events that can be restored.
    pub restorable: u64,
}

/// Lists operations, newest first; the page contains ids below `before`.
#[server(prefix = "/api", input = GetUrl, endpoint = "operations")]
pub async fn list_operations(before: Option<i64>) -> Result<OperationsPage, Problem> {
    const PAGE: usize = 50;
    let console = super::console_for(Right::See)?;
    let store = &console.parts.store;
    let mut operations = store.operations(before, PAGE as u32 + 1, console.only()).await?;
    let more = operations.len() > PAGE;
    operations.truncate(PAGE);
    let as_seen = operations.into_iter().map(|operation| crate::server::operations::as_seen(&console, operation));
    let operations: Vec<Operation> = futures::future::join_all(as_seen).await;
    let only = console.only().cloned();
    let which = crate::server::store::WhichCopies { restorable: true, only, ..Default::default() };
    let restorable = store.discarded_count(&which).await?;
    let next = operations.last().filter(|_| more).map(|operation| operation.id);
    Ok(OperationsPage { next, operations, restorable })
}

/// A feed of a plan, with its present numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedOfPlan {
    pub planned: PlannedFeed,
    /// The feed at the last poll; `None` if the console has not seen it.
    pub feed: Option<Feed>,
}

/// One operation with its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationPage {
    pub operation: Operation,
    /// Rows recorded so far while the plan is being made.
    pub so_far: u64,
    /// The feeds of the operation's rows.
    pub feeds: Vec<FeedOfPlan>,
    /// Why parts of a plan that has not started will be refused.
    pub refused: Vec<String>,
    /// Days that copies of discarded events are kept; `None` if forever.
    pub keep_days: Option<i64>,
    /// A page of the rows, in processing order.
    pub rows: Vec<RowCourse>,
    /// `from` of the next page of rows.
    pub next: Option<i64>,
    /// Which rows are shown.
    pub which: WhichRows,
    /// The causes with which rows of a retry failed again, the most frequent first.
    pub causes: Vec<CauseCount>,
    /// Number of copies of this operation that can still be restored.
    pub restorable: u64,
    pub applications: Vec<ApplicationInfo>,
    /// Names of the feeds of all applications.
    #[serde(default)]
    pub names: Vec<NamedFeed>,
}

/// Returns one operation; `from` pages through its rows, and `which` selects the rows shown ([`WhichRows`]).
#[server(prefix = "/api", input = GetUrl, endpoint = "operation")]
pub async fn view_operation(
    id: i64,
    from: Option<i64>,
    #[server(default)] which: Option<String>,
) -> Result<OperationPage, Problem> {
    let which = which.as_deref().map(WhichRows::from_word).unwrap_or_default();
    let console = super::console_for(Right::See)?;
    let mut page = crate::server::operations::page(&console, id, from, which).await?;
    crate::server::records::call(&console, &super::actor()?, &format!("operation {id}"), &mut page.rows).await?;
    Ok(page)
}

/// Makes a plan: the fixed set of rows that an operation would process. Changes no source.
///
/// A form posts `kind` (`retry`, `discard` or `restore`) and one of: `query` (a list's query string; empty:
/// everything), `rows` (`app:id:retries`), `group` (a fault's number), `waits_for` (a fault's number: the events of the
/// patients for whom its events wait, and then these), `failed_again` (an operation), `copies` (of
/// discarded events), or `copies_of` (an operation). Dropping the plan returns to the page from which the form was
/// sent.
#[server(prefix = "/api", endpoint = "plan_operation")]
pub async fn plan_operation(
    kind: String,
    #[server(default)] query: Given,
    #[server(default)] rows: Vec<String>,
    #[server(default)] group: Option<i64>,
    #[server(default)] waits_for: Option<i64>,
    #[server(default)] failed_again: Option<i64>,
    #[server(default)] copies: Vec<i64>,
    #[server(default)] copies_of: Option<i64>,
) -> Result<(), Problem> {
    use crate::{
        model::ledger::RequestKind,
        server::operations::{self, Matching, SeenEvent},
    };
    let kind = RequestKind::of_word(&kind).ok_or_else(|| {
        Problem::bad_request(format!("{kind:?} is not an operation."), "Use the buttons of the pages.")
    })?;
    let console = super::console_for(kind.right())?;
    let what = match (query.0, group, failed_again, copies_of) {
        _ if kind == RequestKind::Restore => match copies_of {
            Some(operation) => Matching::CopiesOf(operation),
            None => Matching::Copies(copies),
        },
        _ if kind == RequestKind::Retry && waits_for.is_some() => Matching::WaitsFor(waits_for.unwrap_or_default()),
        (_, Some(fault), ..) => Matching::Group(fault),
        (_, _, Some(operation), _) => Matching::FailedAgain(operation),
        (Some(query), ..) => Matching::Filter(console.list_query(&query)?.filter),
        _ => {
            let events = rows.iter().map(|row| SeenEvent::parse(row).ok_or_else(|| not_a_row(row)));
            Matching::Rows(events.collect::<Result<_, _>>()?)
        }
    };
    let id = operations::plan(&console, super::actor()?, kind, what).await?;
    let crate::server::http::CameFrom(page) = use_context().unwrap_or_default();
    super::go_to(&console.parts.config.base.plan(id, &page));
    Ok(())
}

/// A form field that may be empty. An `Option` would read an empty field as one that was not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "Option<String>")]
pub struct Given(pub Option<String>);

impl From<String> for Given {
    fn from(text: String) -> Self {
        Self(Some(text))
    }
}

impl From<Given> for Option<String> {
    fn from(given: Given) -> Self {
        given.0
    }
}

#[cfg(feature = "ssr")]
pub(super) fn not_a_row(row: &str) -> Problem {
    Problem::bad_request(format!("{row:?} does not name a failed event."), "Reload the list and try again.")
}

/// Starts a planned operation. `per_minute`, `try_first` and `try_needed` may be empty.
#[server(prefix = "/api", endpoint = "start_operation")]
pub async fn start_operation(
    id: i64,
    #[server(default)] reason: Option<String>,
    #[server(default)] per_minute: Option<String>,
    #[server(default)] try_first: Option<String>,
    #[server(default)] try_needed: Option<String>,
) -> Result<(), Problem> {
    use crate::model::operation::{Pace, TryFirst};
    let console = console_for_operation(id).await?;
    let per_minute = number("The maximum per minute", "per_minute", per_minute)?;
    let rows = number("The number of events to test with", "try_first", try_first)?;
    let needed = number("The number that must succeed", "try_needed", try_needed)?;
    let try_first = rows.map(|rows| TryFirst { rows, needed: needed.unwrap_or(rows).min(rows) });
    let pace = Pace { per_minute, try_first };
    let reason = super::failed_events::said(reason);
    crate::server::operations::start(&console, &super::actor()?, id, reason, pace).await?;
    crate::server::operations::wait_a_moment(&console, id).await;
    super::go_to(&console.parts.config.base.operation(id));
    Ok(())
}

/// Returns the console if the user has the right for this operation's kind.
#[cfg(feature = "ssr")]
async fn console_for_operation(id: i64) -> Result<crate::server::state::Console, Problem> {
    let console = super::console_for(Right::See)?;
    super::console_for(crate::server::operations::find(&console, id).await?.kind.right())
}

/// Parses a field that is empty or contains a whole number from 1 to 1,000,000.
#[cfg(feature = "ssr")]
fn number(what: &str, field: &str, text: Option<String>) -> Result<Option<u32>, Problem> {
    let text = text.unwrap_or_default();
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number| (1..=1_000_000).contains(number));
    number.map(Some).ok_or_else(|| {
        Problem::bad_request(format!("{what} must be a whole number."), "Enter a number from 1 to 1,000,000.").at(field)
    })
}

/// Pauses, resumes or cancels an operation, or drops a plan: `turn` is `pause`, `resume`, `cancel` or `drop`. After
/// `drop` the browser is redirected to `back`, a path and query below the base, or to the operations without one.
#[server(prefix = "/api", endpoint = "turn_operation")]
pub async fn turn_operation(id: i64, turn: String, #[server(default)] back: String) -> Result<(), Problem> {
    use crate::server::operations;
    let console = console_for_operation(id).await?;
    let actor = super::actor()?;
    let base = &console.parts.config.base;
    match turn.as_str() {
        "pause" => operations::pause(&console, &actor, id).await?,
        "resume" => operations::resume(&console, &actor, id).await?,
        "cancel" => operations::cancel(&console, &actor, id).await?,
        "drop" => {
            operations::drop_plan(&console, &super::person()?, &actor, id).await?;
            super::go_to(&base.inside(&back).unwrap_or_else(|| base.operations()));
            return Ok(());
        }
        _ => return Err(Problem::bad_request(format!("{turn:?} is not an action."), "Use the buttons of the page.")),
    }
    super::go_to(&base.operation(id));
    Ok(())
}

/// Discarded failed events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiscardedPage {
    pub discarded: Vec<Discarded>,
    /// `before` of the next page.
    pub next: Option<i64>,
    /// The operation to which the list is restricted.
    pub operation: Option<i64>,
    pub restorable: u64,
    /// Days that copies are kept; `None` if forever.
    pub keep_days: Option<i64>,
    pub applications: Vec<ApplicationInfo>,
}

/// Lists discarded failed events, newest first.
#[server(prefix = "/api", input = GetUrl, endpoint = "discarded")]
pub async fn list_discarded(operation: Option<i64>, before: Option<i64>) -> Result<DiscardedPage, Problem> {
    const PAGE: usize = 100;
    let console = super::console_for(Right::See)?;
    let keep = console.parts.config.keep_discarded;
    let only = console.only().cloned();
    let which = crate::server::store::WhichCopies { operation, only, ..Default::default() };
    let store = &console.parts.store;
    let mut discarded = store.discarded(&which, before, PAGE as u32 + 1, keep).await?;
    let more = discarded.len() > PAGE;
    discarded.truncate(PAGE);
    if console.masked().is_some() {
        discarded.iter_mut().for_each(|copy| copy.fault = crate::model::masking::fault(&copy.fault));
    }
    crate::server::records::call(&console, &super::actor()?, "discarded events", &mut discarded).await?;
    let restorable = store.discarded_count(&crate::server::store::WhichCopies { restorable: true, ..which }).await?;
    Ok(DiscardedPage {
        next: discarded.last().filter(|_| more).map(|copy| copy.id),
        discarded,
        operation,
        restorable,
        keep_days: keep.map(|keep| keep.num_days()),
        applications: console.applications().cloned().collect(),
    })
}
