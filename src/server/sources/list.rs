//! Lists of failed events: by key in both directions, and the bounded search for a text.
//!
//! A page begins at a key, never at a number of skipped rows, so rows that appear or disappear elsewhere do not move
//! it. In both orders by time, rows without one (see [`Found::no_date`]) come last, by their ids.

use std::collections::{HashMap, HashSet};

use crate::{
    model::{
        Backend, EventState, FailedEvent, FailedEventRow, RowId, Stamp,
        error_text::KEY_CHARS,
        feed::in_address,
        filter::{Direction, Filter, Order, Position},
        search::{Search, Term, is_mark},
    },
    server::config::Application,
};

use super::{
    ListRequest, ListRow, ListRows, SCAN_LIMIT, SearchIn, SourceError, TextLimit, clock,
    connection::{Record, Session},
    fault,
    rows::{failed_event_columns, read_failed_event},
    schema::{Found, Schema, Table},
    sql::{self, Statement, escape_like},
};

/// Returns the table `failed_events`, or the error that it is missing.
pub(super) fn failed_events<'a>(app: &Application, schema: &'a Schema) -> Result<Found<'a>, SourceError> {
    schema.table(Table::FailedEvents).map_err(|reason| fault::not_here(app, &reason))
}

/// Returns a page of failed events. `newest` and `named`: see [`super::Source::list_with`].
pub(super) async fn list(
    session: &mut Session<'_>,
    request: &ListRequest<'_>,
    newest: &[(RowId, RowId)],
    named: Option<RowId>,
) -> Result<ListRows, SourceError> {
    match request.filter.search() {
        None => page(session, request).await,
        Some(wanted) => search(session, request, &wanted, newest, named).await,
    }
}

/// The direction in which rows are read, and from where.
pub(super) struct Walk<'a> {
    by_id: bool,
    /// Towards larger keys.
    up: bool,
    /// Towards the end of the list, where the rows without a time are.
    forward: bool,
    from: Option<&'a Position>,
    /// The row that has the key of `from` belongs to the page.
    inclusive: bool,
}

impl<'a> Walk<'a> {
    pub fn new(order: Order, has_time: bool, direction: Direction, from: Option<&'a Position>) -> Self {
        let backward = direction == Direction::Backward;
        Self {
            by_id: order.by_id() || !has_time,
            up: order.descending() == backward,
            forward: !backward,
            from,
            // Reading forward from just before the key includes the key's own row, and so does reading backward from
            // just after it.
            inclusive: from.is_some_and(|from| from.after == backward),
        }
    }

    pub fn order_by(&self, table: &Found<'_>) -> String {
        let way = if self.up { "ASC" } else { "DESC" };
        let id = table.expression("id");
        if self.by_id {
            return format!("{id} {way}");
        }
        let (no_date, failed_at) = (table.no_date("failed_at"), table.expression("failed_at"));
        let undated = if self.forward { "ASC" } else { "DESC" };
        // For rows without a time, the value of the column is ignored.
        format!(
            "CASE WHEN {no_date} THEN 1 ELSE 0 END {undated}, CASE WHEN {no_date} THEN NULL ELSE {failed_at} END {way}, {id} \
             {way}"
        )
    }

    /// Appends ` AND (the key is past the start of the page)`.
    fn push_beyond(&self, statement: &mut Statement, table: &Found<'_>) {
        let Some(from) = self.from else { return };
        let id = table.expression("id");
        let beyond = match (self.up, self.inclusive) {
            (true, false) => ">",
            (true, true) => ">=",
            (false, false) => "<",
            (false, true) => "<=",
        };
        let time = table.column("failed_at").filter(|_| !self.by_id);
        let Some(column) = time else {
            statement.push(format!(" AND {id} {beyond} ")).id(&table.id, from.id);
            return;
        };
        let (no_date, failed_at) = (table.no_date("failed_at"), table.expression("failed_at"));
        let dated = from.failed_at.as_ref().filter(|text| !Stamp { text: (*text).clone(), at: None }.is_no_date());
        match dated {
            Some(text) => {
                let further = if self.up { ">" } else { "<" };
                statement.push(format!(" AND ((NOT {no_date} AND ({failed_at} {further} ")).time(column, text);
                statement.push(format!(" OR ({failed_at} = ")).time(column, text);
                statement.push(format!(" AND {id} {beyond} ")).id(&table.id, from.id);
                statement.push(")))");
                statement.push(if self.forward { format!(" OR {no_date})") } else { ")".to_owned() });
            }
            None => {
                statement.push(format!(" AND (({no_date} AND {id} {beyond} ")).id(&table.id, from.id);
                statement.push(if self.forward { "))".to_owned() } else { format!(") OR NOT {no_date})") });
            }
        }
    }
}

/// Most ids in one statement.
const ROWS_OF_STATEMENT: usize = 500;

async fn page(session: &mut Session<'_>, request: &ListRequest<'_>) -> Result<ListRows, SourceError> {
    let app = session.link.app;
    let schema = session.schema.clone();
    let table = failed_events(app, &schema)?;
    let has_time = table.column("failed_at").is_some();
    let walk = Walk::new(request.filter.order, has_time, request.direction, request.from);
    let mut chosen = session.link.statement("1 = 1");
    push_filter(&mut chosen, app, &table, request.filter);
    walk.push_beyond(&mut chosen, &table);
    let order_by = walk.order_by(&table);
    let rows = if walk.by_id && request.filter.takes_every_row() {
        // The primary key already has the rows of the page in order: nothing must be searched or sorted.
        chosen.text = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {order_by} LIMIT {}",
            failed_event_columns(&table, request.texts),
            table.name,
            chosen.text,
            request.limit
        );
        read_rows(session, &table, chosen, request.texts).await?
    } else {
        chosen_rows(session, &table, chosen, &order_by, request.limit, request.texts).await?
    };
    Ok(ListRows { rows: in_list_order(rows, request.direction), stopped_at: None, scanned: 0 })
}

/// Reads the rows that a condition selects. The keys are found and sorted first, without the long texts; only the rows
/// of the page are read in full.
///
/// Two statements, so that no planner can choose to join the page with the whole table. They are consistent because
/// they share a transaction.
pub(super) async fn chosen_rows(
    session: &mut Session<'_>,
    table: &Found<'_>,
    condition: Statement,
    order_by: &str,
    limit: u32,
    texts: TextLimit,
) -> Result<Vec<FailedEventRow>, SourceError> {
    let mut statement = condition;
    statement.text = format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {order_by} LIMIT {limit}",
        table.text("id"),
        table.name,
        statement.text
    );
    let keys = session.link.rows(statement).await?;
    let ids: Vec<RowId> = keys.into_iter().filter_map(|mut record| record.number().map(RowId)).collect();
    let mut rows = rows_by_id(session, table, &ids, texts).await?;
    let places: HashMap<RowId, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    rows.sort_by_key(|row| places.get(&row.id).copied());
    Ok(rows)
}

/// Returns the rows with these ids that are in the table, in any order.
pub(super) async fn rows_by_id(
    session: &mut Session<'_>,
    table: &Found<'_>,
    ids: &[RowId],
    texts: TextLimit,
) -> Result<Vec<FailedEventRow>, SourceError> {
    let mut rows = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(ROWS_OF_STATEMENT) {
        let columns = failed_event_columns(table, texts);
        let mut statement = session.link.statement(format!("SELECT {columns} FROM {} WHERE ", table.name));
        statement.id_in(&table.expression("id"), &table.id, chunk.iter().copied());
        rows.extend(read_rows(session, table, statement, texts).await?);
    }
    Ok(rows)
}

/// Returns the rows of a statement that selects [`failed_event_columns`]. Rows of a view without an id are left out: no
/// page can name them or continue after them.
pub(super) async fn read_rows(
    session: &mut Session<'_>,
    table: &Found<'_>,
    statement: Statement,
    texts: TextLimit,
) -> Result<Vec<FailedEventRow>, SourceError> {
    let app = session.link.app;
    let records = session.link.rows(statement).await?;
    let named = records.into_iter().filter(Record::begins_with_a_number);
    Ok(named.map(|mut record| read_failed_event(app, table, texts, &mut record)).collect())
}

fn in_list_order(mut rows: Vec<FailedEventRow>, direction: Direction) -> Vec<ListRow> {
    if direction == Direction::Backward {
        rows.reverse();
    }
    let position = |row: &FailedEventRow| Position {
        failed_at: row.failed_at.as_ref().filter(|stamp| !stamp.is_no_date()).map(|stamp| stamp.text.clone()),
        id: row.id,
        after: true,
    };
    rows.into_iter().map(|row| ListRow { position: position(&row), listed_at: row.failed_at.clone(), row }).collect()
}

/// Searches the next [`SCAN_LIMIT`] rows by id: upwards for "oldest first", as ids grow with time.
async fn search(
    session: &mut Session<'_>,
    request: &ListRequest<'_>,
    wanted: &Search,
    newest: &[(RowId, RowId)],
    named: Option<RowId>,
) -> Result<ListRows, SourceError> {
    let app = session.link.app;
    let schema = session.schema.clone();
    let table = failed_events(app, &schema)?;
    let order = if request.filter.order.descending() { Order::IdDown } else { Order::IdUp };
    let walk = Walk::new(order, true, request.direction, request.from);
    let bound = window_bound(session, &table, &walk).await?;
    let in_window = |id: RowId| match bound {
        Some((bound, _)) if walk.up => id <= bound,
        Some((bound, _)) => id >= bound,
        None => true,
    };
    let newest: Vec<(RowId, RowId)> = newest.iter().copied().filter(|(id, _)| in_window(*id)).collect();
    let of_latest = match request.search {
        SearchIn::Everything => latest_with(session, &newest, &wanted.terms).await?,
        SearchIn::IdAndTitle => vec![Vec::new(); wanted.terms.len()],
    };

    let mut chosen = session.link.statement("1 = 1");
    push_filter(&mut chosen, app, &table, request.filter);
    push_window(&mut chosen, &table, &walk, bound.map(|(id, _)| id));
    chosen.push(if wanted.terms.is_empty() { " AND ((1 = 0" } else { " AND ((1 = 1" });
    for (term, ids) in wanted.terms.iter().zip(&of_latest) {
        push_search_or(&mut chosen, &table, request.search.columns(), &pattern(term), ids);
    }
    chosen.push(")");
    if let Some(named) = named {
        chosen.push(" OR ").id_in(&table.expression("id"), &table.id, [named]);
    }
    chosen.push(")");
    let rows = chosen_rows(session, &table, chosen, &walk.order_by(&table), request.limit, request.texts).await?;

    // A full page ends at its last row: rows after it do not count as searched for this page.
    let full = rows.len() == request.limit as usize;
    let looked_up_to = if full { rows.last().map(|row| row.id) } else { bound.map(|(id, _)| id) };
    let mut count = session.link.statement(format!(
        "SELECT {} FROM {} WHERE 1 = 1",
        sql::as_text(table.backend, "COUNT(*)"),
        table.name
    ));
    push_window(&mut count, &table, &walk, looked_up_to);
    let scanned = session.link.row(count).await?.count();
    let stopped_at = match bound {
        Some((id, true)) if !full => {
            Some(Position { failed_at: None, id, after: request.direction == Direction::Forward })
        }
        _ => None,
    };
    Ok(ListRows { rows: in_list_order(rows, request.direction), stopped_at, scanned })
}

/// Returns the id of the last row that a search may read, and whether there are rows after it. `None` if the rest of
/// the table is shorter than that.
pub(super) async fn window_bound(
    session: &mut Session<'_>,
    table: &Found<'_>,
    walk: &Walk<'_>,
) -> Result<Option<(RowId, bool)>, SourceError> {
    let mut statement = session.link.statement(format!("SELECT {} FROM {} WHERE 1 = 1", table.text("id"), table.name));
    walk.push_beyond(&mut statement, table);
    statement.push(format!(" ORDER BY {} LIMIT 2 OFFSET {}", walk.order_by(table), SCAN_LIMIT - 1));
    let mut ids = session.link.rows(statement).await?.into_iter().filter_map(|mut row| row.number().map(RowId));
    let bound = ids.next();
    Ok(bound.map(|bound| (bound, ids.next().is_some())))
}

/// Appends the condition that a row is between the start of the walk and `bound`, inclusive.
pub(super) fn push_window(statement: &mut Statement, table: &Found<'_>, walk: &Walk<'_>, bound: Option<RowId>) {
    walk.push_beyond(statement, table);
    if let Some(bound) = bound {
        let towards = if walk.up { "<=" } else { ">=" };
        statement.push(format!(" AND {} {towards} ", table.expression("id"))).id(&table.id, bound);
    }
}

/// Number of characters of a text that are searched: as many as a failed event's page shows. No database can be stopped
/// within one comparison, and with a pattern of [`crate::model::filter::SEARCHED`] characters, one with a text of this
/// length takes some tenths of a second at worst.
const SEARCHED_OF_TEXT: u32 = FailedEvent::TEXT_LIMIT;

/// Most rows of the retry log that one statement of a search names.
const ATTEMPTS_OF_STATEMENT: usize = 2_000;

/// Returns, for each term, the failed events whose newest attempt has an error that contains it. The attempts are found
/// by the log's primary key.
async fn latest_with(
    session: &mut Session<'_>,
    newest: &[(RowId, RowId)],
    terms: &[Term],
) -> Result<Vec<Vec<RowId>>, SourceError> {
    let mut found = vec![Vec::new(); terms.len()];
    let schema = session.schema.clone();
    let Ok(log) = schema.table(Table::RetryLog) else { return Ok(found) };
    if log.column("error_message").is_none() || terms.is_empty() {
        return Ok(found);
    }
    let error = sql::beginning(log.backend, &log.expression("error_message"), SEARCHED_OF_TEXT);
    for chunk in newest.chunks(ATTEMPTS_OF_STATEMENT) {
        let mut statement = session.link.statement(format!("SELECT {}", log.text("id")));
        for term in terms {
            statement.push(", CASE WHEN ").like(&error, &pattern(term)).push(" THEN 'x' END");
        }
        statement.push(format!(" FROM {} WHERE ", log.name));
        statement.id_in(&log.expression("id"), &log.id, chunk.iter().map(|(_, log_id)| *log_id));
        let rows = session.link.rows(statement).await?;
        let mut ids: Vec<HashSet<RowId>> = vec![HashSet::new(); terms.len()];
        for mut row in rows {
            let Some(id) = row.number().map(RowId) else { continue };
            for ids in &mut ids {
                if row.text().is_some() {
                    ids.insert(id);
                }
            }
        }
        for (found, ids) in found.iter_mut().zip(ids) {
            found.extend(chunk.iter().filter(|(_, log_id)| ids.contains(log_id)).map(|(id, _)| *id));
        }
    }
    Ok(found)
}

/// Returns the LIKE pattern for texts that contain the term, however their quotation marks and apostrophes are typeset.
fn pattern(term: &Term) -> String {
    let escape_like = |text: &str| escape_like(text).replace(is_mark, "_");
    match (term, term.shortened_uuid()) {
        (_, Some(digits)) => {
            let digits = digits.into_iter().map(|digit| digit.map_or('_', char::from));
            format!("%{}%", digits.collect::<String>())
        }
        (Term::Word(text) | Term::Phrase(text), None) => format!("%{}%", escape_like(text)),
        (Term::Shortened(head, tail), None) => format!("%{}%{}%", escape_like(head), escape_like(tail)),
    }
}

/// Appends the condition that the beginning of one of the columns contains the text.
pub(super) fn push_search(statement: &mut Statement, table: &Found<'_>, columns: &[&str], text: &str) {
    push_search_or(statement, table, columns, &format!("%{}%", escape_like(text)), &[]);
}

/// Appends the condition that the beginning of one of the columns is like the pattern, or that the row is one of these.
fn push_search_or(statement: &mut Statement, table: &Found<'_>, columns: &[&str], pattern: &str, ids: &[RowId]) {
    statement.push(" AND (1 = 0");
    for column in columns.iter().filter(|column| table.column(column).is_some()) {
        let beginning = sql::beginning(table.backend, &table.expression(column), SEARCHED_OF_TEXT);
        statement.push(" OR ").like(&beginning, pattern);
    }
    if !ids.is_empty() {
        statement.push(" OR ").id_in(&table.expression("id"), &table.id, ids.iter().copied());
    }
    statement.push(")");
}

/// Appends the conditions of a filter, except its text.
fn push_filter(statement: &mut Statement, app: &Application, table: &Found<'_>, filter: &Filter) {
    if let Some(feed) = filter.feed.as_deref() {
        push_feed(statement, table, Some(feed));
    }
    if let Some(category) = &filter.category {
        push_category(statement, table, category.trim());
    }
    if let Some(state) = filter.state {
        push_state(statement, app, table, state);
    }
    for (at, comparison) in [(filter.from, ">="), (filter.until, "<")] {
        let Some(at) = at else { continue };
        match table.column("failed_at") {
            Some(column) => {
                statement.push(format!(" AND {} {comparison} ", table.expression("failed_at")));
                statement.time(column, &clock::key(app.time_zone, column.kind, at));
                // A zero date compares as before every time, but is not a time.
                statement.push(format!(" AND NOT {}", table.no_date("failed_at")));
            }
            None => {
                statement.push(" AND 1 = 0");
            }
        }
    }
}

/// Appends the condition that a row belongs to exactly this feed. The empty address and NULL both mean no address.
pub(super) fn push_feed(statement: &mut Statement, table: &Found<'_>, feed: Option<&str>) {
    let column = table.expression("feed_uri");
    match feed {
        None | Some("") => statement.push(format!(" AND ({column} IS NULL OR {column} = '')")),
        Some(feed) => statement.push(" AND ").equals_key(&column, feed),
    };
}

/// Appends the condition that a row is in this state.
pub(super) fn push_state(statement: &mut Statement, app: &Application, table: &Found<'_>, state: EventState) {
    let retries = table.expression("retries");
    match (state, app.info.limits.max_retry) {
        (EventState::Unknown, _) => statement.push(format!(" AND {retries} IS NULL")),
        (EventState::Waiting, None) => statement.push(" AND 1 = 0"),
        (EventState::Exhausted, None) => statement.push(format!(" AND {retries} IS NOT NULL")),
        (EventState::Waiting, Some(max)) => statement.push(format!(" AND {retries} < ")).int(max),
        (EventState::Exhausted, Some(max)) => statement.push(format!(" AND {retries} >= ")).int(max),
    };
}

/// Appends the condition that the category is one of the row's tags, or that of the feed's address: the address ends in
/// `/<category>/recent` or in `/<category>/<page number>`, with the category unchanged or encoded.
fn push_category(statement: &mut Statement, table: &Found<'_>, category: &str) {
    let escaped = escape_like(category);
    let encoded = in_address(category);
    statement.push(" AND (1 = 0");
    if table.column("tags").is_some() {
        let tags = sql::beginning(table.backend, &table.expression("tags"), KEY_CHARS);
        let listed = format!("REPLACE(REPLACE(TRIM({tags}), ', ', ','), ' ,', ',')");
        let listed = match table.backend {
            Backend::MySql => format!("CONCAT(',', {listed}, ',')"),
            _ => format!("(',' || {listed} || ',')"),
        };
        statement.push(" OR ").like(&listed, &format!("%,{escaped},%"));
    }
    if table.column("feed_uri").is_some() {
        let feed = sql::beginning(table.backend, &table.expression("feed_uri"), KEY_CHARS);
        let forms = if encoded == category { vec![escaped] } else { vec![escaped, escape_like(&encoded)] };
        for escaped in forms {
            statement.push(" OR ").like(&feed, &format!("%/{escaped}/recent"));
            match table.backend {
                Backend::MySql => {
                    let page = format!("SUBSTRING_INDEX({feed}, '/', -1)");
                    statement.push(format!(" OR ({page} REGEXP '^[0-9]+$' AND "));
                    let without = format!("LEFT({feed}, CHAR_LENGTH({feed}) - CHAR_LENGTH({page}))");
                    statement.like(&without, &format!("%/{escaped}/")).push(")");
                }
                Backend::Postgres | Backend::Sqlite => {
                    statement.push(format!(" OR ({feed} NOT LIKE '%/' AND "));
                    statement.like(&format!("RTRIM({feed}, '0123456789')"), &format!("%/{escaped}/")).push(")");
                }
            }
        }
    }
    statement.push(")");
}
