//! The publishing side: queues events, moves them onto the feeds, and serves feeds as pages. Uses the publisher's
//! tables only.

use std::{fmt, io, sync::Arc};

use chrono::NaiveTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock;

use super::{
    chunking::{Chunking, PageRange},
    database::{Backend, Database, DatabaseError, Reads, Record, Statement, Transaction, Value},
    event::{NewEvent, published_tags},
    fit::{Change, fit, fit_id},
    page::{Draft, Entry, PublishedRow},
    shape::{Moved, Shape, Table, TableName},
    store::{Alphabet, is_unfit},
};

/// How many events the offset markers stay behind the newest event.
pub const MARKERS_STAY_BEHIND: u32 = 1000;

/// Most events moved from the queue in one transaction.
const BATCH: i64 = 200;

/// Characters to encode in a category that is part of an address: all except those that RFC 3986 allows in a path
/// segment. So `a,b` stays unchanged, as in the links of the Java library.
const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Texts and addresses of the pages, and how missing pages are answered.
///
/// ```
/// use atomfeed::FeedSettings;
///
/// let settings = FeedSettings {
///     author: "Laboratory".to_owned(),
///     generator: "Laboratory feeds".to_owned(),
///     ..FeedSettings::new("http://lab:8080/feeds", "Results", "5a2f9d52-0d5c-4b55-8d5b-9d4b6b1a7c11")
/// };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSettings {
    /// Address of the feeds as consumers call it: `http://openmrs:8080/openmrs/ws/atomfeed`. Pages link to each other
    /// by it, wherever they are served. Without a trailing slash.
    pub base: String,
    /// Title of every feed.
    pub title: String,
    /// The id of a page is this prefix, `+` and the page number.
    pub id_prefix: String,
    /// Name of the author, written once per page. `Atomfeed` unless set.
    pub author: String,
    /// Name of the program that makes the feeds. `Atomfeed` unless set; OpenMRS uses `OpenMRS Feed Publisher`.
    pub generator: String,
    /// Address of that program. `https://github.com/ICT4H/atomfeed` unless set.
    pub generator_uri: String,
    /// How [`router`](super::router) answers requests for missing pages.
    pub missing_page: MissingPage,
}

/// How a request for a page that does not exist is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingPage {
    /// 404: the address is wrong and the server is healthy.
    #[default]
    NotFound,
    /// 500 and the message of the Java library's server, for consumers that look for it.
    ServerError,
}

impl FeedSettings {
    /// Settings for feeds at this address, with defaults for the other fields.
    pub fn new(base: impl Into<String>, title: impl Into<String>, id_prefix: impl Into<String>) -> Self {
        Self {
            base: base.into().trim_end_matches('/').to_owned(),
            title: title.into(),
            id_prefix: id_prefix.into(),
            author: "Atomfeed".to_owned(),
            generator: "Atomfeed".to_owned(),
            generator_uri: "https://github.com/ICT4H/atomfeed".to_owned(),
            missing_page: MissingPage::default(),
        }
    }

    /// Returns the logical address of a page.
    pub fn address(&self, category: Option<&str>, number: PageNumber) -> String {
        let base = &self.base;
        match category {
            None => format!("{base}/{number}"),
            Some(category) => {
                format!("{base}/{}/{number}", utf8_percent_encode(category, IN_A_PATH))
            }
        }
    }

    /// Returns a page as XML, with these rows as its entries: page `page` of `newest` pages, requested as `number`.
    ///
    /// # Errors
    /// Fails if the page cannot be written.
    pub fn page(
        &self,
        category: Option<&str>,
        number: PageNumber,
        page: i64,
        newest: i64,
        rows: Vec<PublishedRow>,
    ) -> io::Result<String> {
        self.xml(category, number, page, newest, rows.into_iter().map(Entry::from).collect())
    }

    fn xml(
        &self,
        category: Option<&str>,
        number: PageNumber,
        page: i64,
        newest: i64,
        entries: Vec<Entry>,
    ) -> io::Result<String> {
        let numbered = |page| self.address(category, PageNumber::Number(page));
        let mut links = vec![("self", self.address(category, number)), ("via", numbered(page))];
        if page < newest {
            links.push(("next-archive", numbered(page + 1)));
        }
        if page > 1 {
            links.push(("prev-archive", numbered(page - 1)));
        }
        // For an empty feed the Java library writes the last midnight.
        let midnight = crate::clock::now().date_naive().and_time(NaiveTime::MIN).and_utc();
        let draft = Draft {
            title: &self.title,
            id: format!("{}+{page}", self.id_prefix),
            author: &self.author,
            generator: &self.generator,
            generator_uri: &self.generator_uri,
            updated: entries.iter().map(|entry| entry.at).max().unwrap_or(midnight),
            links,
            entries,
        };
        draft.to_xml()
    }
}

/// Publisher of feeds. Clones share database and settings.
#[derive(Clone)]
pub struct Publisher {
    database: Database,
    settings: Arc<FeedSettings>,
}

/// Selects a page of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageNumber {
    /// The newest page, at an address that does not change.
    Recent,
    /// A page by its number; 1 is the oldest.
    Number(i64),
}

impl fmt::Display for PageNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recent => f.write_str("recent"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// A row of event_records_offset_marker: the number of the category's events up to and including `event_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offset {
    event_id: i64,
    events: i64,
}

impl Publisher {
    /// Creates a publisher on the tables of this database.
    pub fn new(database: Database, settings: FeedSettings) -> Self {
        Self { database, settings: Arc::new(settings) }
    }

    /// The database it publishes from.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The settings of its pages.
    pub fn settings(&self) -> &FeedSettings {
        &self.settings
    }

    /// Adds an event to the queue in the caller's transaction, so that it is published if and only if the change it
    /// reports is committed. Columns that the table does not have are left out: the oldest tables have no category and
    /// only the feed of all events.
    ///
    /// # Errors
    /// Fails if the table is missing, a text is too long for its column, or the database refuses the row.
    pub async fn queue(&self, transaction: &mut Transaction<'_>, event: NewEvent) -> Result<(), DatabaseError> {
        let shape = transaction.shape().await?;
        let queue = shape.table(TableName::EventRecordsQueue)?;
        let at = self.database.time(event.at, queue.has_zone("timestamp"));
        let tags = event.queued_tags();
        let values: Vec<(&'static str, Value)> = vec![
            ("uuid", event.uuid.into()),
            ("title", event.title.into()),
            ("timestamp", at.into()),
            ("uri", event.uri.into()),
            ("object", event.content.into()),
            ("category", event.category.into()),
            ("tags", tags.into()),
        ];
        queue.insert(transaction, values).await
    }

    /// Moves the events of the queue onto the feeds, oldest first, and returns their number. The Java library does this
    /// every 2 seconds. Each event is moved exactly once, even if the process ends at any point.
    ///
    /// A text too long for its column of event_records is cut, and letters that the column cannot hold become `?`, with
    /// a warning in the log: an event that cannot be moved would hold back all later events of all feeds.
    ///
    /// # Errors
    /// Fails if a table is missing or the database refuses a statement. Events moved before that stay moved.
    pub async fn publish_queued(&self) -> Result<u64, DatabaseError> {
        let mut moved = 0;
        // How many events are still moved in separate transactions after one did not fit.
        let mut singly = 0;
        loop {
            let most = if singly > 0 { 1 } else { BATCH };
            let batch = match self.publish_batch(most, Alphabet::OfColumns).await {
                // The columns differ from what the database reported. Reads them again and moves events one by one, so
                // that only an event that still does not fit is written in ASCII, which every column can hold.
                Err(error) if is_unfit(&error) => {
                    self.database.forget_shape();
                    singly = BATCH;
                    match self.publish_batch(1, Alphabet::OfColumns).await {
                        Err(error) if is_unfit(&error) => self.publish_batch(1, Alphabet::Ascii).await?,
                        batch => batch?,
                    }
                }
                batch => batch?,
            };
            singly = (singly - 1).max(0);
            moved += batch;
            if batch == 0 {
                return Ok(moved);
            }
        }
    }

    async fn publish_batch(&self, most: i64, alphabet: Alphabet) -> Result<u64, DatabaseError> {
        let mut shape = self.shape(&[TableName::EventRecordsQueue, TableName::EventRecords]).await?;
        let database = &self.database;
        let table = database.table(TableName::EventRecordsQueue);
        // Locked, so that the second of two concurrent jobs waits. SQLite allows only one writer anyway.
        let lock = if database.backend() == Backend::Sqlite { "" } else { " FOR UPDATE" };
        let (queue, records) = (shape.table(TableName::EventRecordsQueue)?, shape.table(TableName::EventRecords)?);
        // The database itself copies texts that fit in any case.
        let fits = |column: &str| {
            alphabet == Alphabet::OfColumns && records.capacity(column).takes_all_of(&queue.capacity(column))
        };
        let texts: Vec<&'static str> = ["uuid", "title", "uri", "object"]
            .into_iter()
            .filter(|column| *column == "uuid" || !fits(column))
            .collect();
        let columns = ["id", "timestamp", "category", "tags"].iter().chain(&texts);
        let columns = columns.map(|column| queue.text(database, column)).collect::<Vec<_>>().join(", ");
        let oldest = Statement::new(format!("SELECT {columns} FROM {table} ORDER BY {table}.id LIMIT {most}{lock}"));
        let mut transaction = database.begin();
        let now = clock::now();
        let (mut moved, mut looked_anew, mut said) = (0, false, Vec::new());
        for row in transaction.rows(oldest).await? {
            let Some(row) = Queued::of(row, &texts, database) else { continue };
            let mut fitted = row.fitted(&mut transaction, shape.table(TableName::EventRecords)?, alphabet).await?;
            if !fitted.changes.is_empty() && !looked_anew {
                // The columns may have been enlarged since they were read.
                database.forget_shape();
                shape = transaction.shape().await?;
                fitted = row.fitted(&mut transaction, shape.table(TableName::EventRecords)?, alphabet).await?;
                looked_anew = true;
            }
            let (queue, records) = (shape.table(TableName::EventRecordsQueue)?, shape.table(TableName::EventRecords)?);
            transaction.execute(records.moved(database, queue, row.id, fitted.row, now)).await?;
            transaction.execute(Statement::new(format!("DELETE FROM {table} WHERE id = ?")).with(row.id)).await?;
            moved += 1;
            if !fitted.changes.is_empty() {
                let uuid = row.texts.into_iter().find_map(|(column, text)| text.filter(|_| column == "uuid"));
                said.push((uuid.unwrap_or_default(), fitted.changes.join("; ")));
            }
        }
        transaction.commit().await?;
        for (event, changes) in said {
            tracing::warn!(
                event,
                changes,
                "an event is not published whole: its texts do not fit the columns of event_records"
            );
        }
        Ok(moved)
    }

    /// Returns a page as XML: of a category, or of all events if `category` is `None`. `None` if there is no such page.
    /// The database compares categories by its own rules, as with the Java library: on MySQL `encounter` usually equals
    /// `Encounter` and trailing blanks do not matter; on PostgreSQL they are different categories.
    ///
    /// # Errors
    /// Fails if a table is missing, chunking_history yields no pages, or the database does not answer.
    pub async fn page(&self, category: Option<&str>, number: PageNumber) -> Result<Option<String>, DatabaseError> {
        let shape = self.shape(&[TableName::EventRecords, TableName::ChunkingHistory]).await?;
        let category = category.filter(|category| !category.trim().is_empty());
        // PostgreSQL texts cannot hold a NUL, and a query with one fails.
        if category.is_some_and(|category| category.contains('\0')) {
            return Ok(None);
        }
        if category.is_some() && !shape.table(TableName::EventRecords)?.has("category") {
            return Err(DatabaseError::NoColumn { table: TableName::EventRecords, column: "category" });
        }
        let feed = Feed { database: &self.database, shape: &shape, category };
        let not_written = |error| DatabaseError::from(sqlx::Error::Io(error));
        // A snapshot, so that the feed does not grow between counting and reading.
        let mut snapshot = self.database.snapshot();
        let (chunking, offset) = feed.chunking_and_offset(&mut snapshot).await?;
        if number == PageNumber::Recent
            && let Some((page, entries)) = feed.newest(&mut snapshot, &chunking, offset).await?
        {
            return self.settings.xml(feed.category, number, page, page, entries).map(Some).map_err(not_written);
        }
        let (events, last) = feed.count(&mut snapshot, offset).await?;
        let newest = chunking.pages(events);
        let page = match number {
            PageNumber::Recent => newest,
            PageNumber::Number(page) => page,
        };
        let entries = match chunking.page(page, events) {
            Some(range) => feed.entries(&mut snapshot, range, offset, (events, last)).await?,
            // A feed without events has an empty page at `recent` and no numbered page.
            None if number == PageNumber::Recent => Vec::new(),
            None => return Ok(None),
        };
        self.settings.xml(feed.category, number, page, newest, entries).map(Some).map_err(not_written)
    }

    /// Returns the logical address of a page.
    pub fn address(&self, category: Option<&str>, number: PageNumber) -> String {
        self.settings.address(category, number)
    }

    /// Rewrites the offset markers of every category and of all events together, so that they are `behind` events
    /// behind the newest. The Java library does this once a day with [`MARKERS_STAY_BEHIND`]. Counts from the
    /// beginning, so it also fixes markers that no longer agree with the table. Returns the number of markers written.
    ///
    /// # Errors
    /// Fails if a table is missing or the database refuses a statement; then no marker is changed.
    pub async fn write_offset_markers(&self, behind: u32) -> Result<u64, DatabaseError> {
        let shape = self.shape(&[TableName::EventRecords, TableName::ChunkingHistory, TableName::OffsetMarker]).await?;
        let records = shape.table(TableName::EventRecords)?;
        let mut transaction = self.database.begin();
        let mut categories = vec![None];
        if records.has("category") {
            let (category, table) =
                (records.plain(&self.database, "category"), self.database.table(TableName::EventRecords));
            let distinct =
                format!("SELECT DISTINCT {category} FROM {table} WHERE {category} IS NOT NULL AND {category} <> ''");
            categories.extend(transaction.rows(Statement::new(distinct)).await?.iter_mut().map(Record::text));
        }
        let mut written = 0;
        for category in categories {
            let feed = Feed { database: &self.database, shape: &shape, category: category.as_deref() };
            written += u64::from(feed.write_offset(&mut transaction, i64::from(behind)).await?);
        }
        transaction.commit().await?;
        Ok(written)
    }

    async fn shape(&self, needed: &[TableName]) -> Result<Arc<Shape>, DatabaseError> {
        self.database.shape_with(needed).await
    }
}

/// A row of the queue.
struct Queued {
    id: i64,
    /// The database accepts its time again: strict modes of MySQL refuse `0000-00-00`, which older rows have.
    has_time: bool,
    /// The uuid and the texts that may not fit, by column.
    texts: Vec<(&'static str, Option<String>)>,
    category: Option<String>,
    tags: Option<String>,
}

impl Queued {
    fn of(mut row: Record, texts: &[&'static str], database: &Database) -> Option<Self> {
        let id = row.number::<i64>();
        let time = row.text();
        let has_time =
            database.backend() != Backend::MySql || time.is_none_or(|time| database.instant(&time).is_some());
        let (category, tags) = (row.text(), row.text());
        let texts = texts.iter().map(|column| (*column, row.text())).collect();
        Some(Self { id: id?, has_time, texts, category, tags })
    }

    /// Fits the row to the columns of event_records.
    async fn fitted(
        &self,
        transaction: &mut Transaction<'_>,
        records: &Table,
        alphabet: Alphabet,
    ) -> Result<Fitted, DatabaseError> {
        let mut fitted = Fitted { row: Moved { has_time: self.has_time, ..Moved::default() }, changes: Vec::new() };
        let category = ("category", self.category.clone());
        for (column, text) in self.texts.iter().chain([&category]) {
            let column = *column;
            let capacity = alphabet.in_use(records.capacity(column));
            let Some(text) = text else {
                if !capacity.takes_null {
                    fitted.row.texts.push((column, String::new()));
                }
                continue;
            };
            let (kept, change) = match column {
                "uuid" => fit_id(transaction, &capacity, text).await?,
                _ => fit(transaction, &capacity, text).await?,
            };
            if fitted.note(records, column, change) {
                fitted.row.texts.push((column, kept));
            }
        }
        let capacity = alphabet.in_use(records.capacity("tags"));
        fitted.row.tags = match published_tags(self.category.clone(), self.tags.clone()) {
            Some(tags) => {
                let (kept, change) = fit(transaction, &capacity, &tags).await?;
                fitted.note(records, "tags", change);
                Some(kept)
            }
            None => (!capacity.takes_null).then(String::new),
        };
        Ok(fitted)
    }
}

/// A row as event_records can keep it, with a description of each change.
struct Fitted {
    row: Moved,
    changes: Vec<String>,
}

impl Fitted {
    fn note(&mut self, records: &Table, column: &str, change: Option<Change>) -> bool {
        let change = change.filter(|_| records.has(column));
        self.changes.extend(change.iter().map(|change| format!("{column} {change}")));
        change.is_some()
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("database", &self.database).field("settings", &self.settings).finish()
    }
}

/// The events of one feed.
struct Feed<'a> {
    database: &'a Database,
    shape: &'a Shape,
    /// `None` for the feed of all events.
    category: Option<&'a str>,
}

impl Feed<'_> {
    async fn chunking(&self, transaction: &mut Transaction<'_>) -> Result<Chunking, DatabaseError> {
        let (length, start) = (self.database.text("chunk_length"), self.database.text(&self.database.column("start")));
        let table = self.database.table(TableName::ChunkingHistory);
        let select =
            format!("SELECT {}, {length}, {start} FROM {table} ORDER BY {table}.id", self.database.text("id"),);
        let rows = transaction.rows(Statement::new(select)).await?;
        let rows: Vec<_> =
            rows.into_iter().map(|mut row| (row.number().unwrap_or_default(), row.number(), row.number())).collect();
        Ok(Chunking::new(&rows)?)
    }

    /// Reads the chunking and the marker of this category, compared as the database compares the events' categories.
    /// The Java library ignores case on every database; where `Lab` and `lab` are two feeds, as on PostgreSQL, it then
    /// counts with the marker of the other feed and serves empty pages. A feed without a marker is counted from the
    /// beginning and has the same pages. One statement reads both, because round trips to the database are most of the
    /// cost of a page.
    async fn chunking_and_offset(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<(Chunking, Option<Offset>), DatabaseError> {
        if !self.shape.has(TableName::OffsetMarker) {
            return Ok((self.chunking(transaction).await?, None));
        }
        let database = self.database;
        let (chunks, markers) = (database.table(TableName::ChunkingHistory), database.table(TableName::OffsetMarker));
        let [id, length, start] = ["id", "chunk_length", &database.column("start")].map(|column| database.text(column));
        let [marker, event, events] = ["id", "event_id", "event_count"].map(|column| database.text(column));
        let select = format!(
            "SELECT 'chunks', {id}, {length}, {start} FROM {chunks} \
             UNION ALL SELECT 'marker', {marker}, {event}, {events} FROM {markers} WHERE {} = ?",
            self.shape.table(TableName::OffsetMarker)?.plain(database, "category")
        );
        let select = Statement::new(select).with(self.category.unwrap_or_default());
        let (mut stretches, mut offsets) = (Vec::new(), Vec::new());
        for mut row in transaction.rows(select).await? {
            let chunks = row.text().as_deref() == Some("chunks");
            let (id, first, second) = (row.number::<i64>().unwrap_or_default(), row.number(), row.number());
            if chunks {
                stretches.push((id, first, second));
            } else if let (Some(event_id), Some(events)) = (first, second) {
                offsets.push((id, Offset { event_id, events }));
            }
        }
        stretches.sort_by_key(|(id, ..)| *id);
        let first = offsets.into_iter().min_by_key(|(id, _)| *id);
        Ok((Chunking::new(&stretches)?, first.map(|(_, offset)| offset)))
    }

    /// `FROM` and `WHERE` of the feed's events after this id, with a placeholder for the category if there is one. The
    /// id is part of the statement text, so that query planners see how few rows follow it; it changes only when the
    /// markers move.
    fn behind(&self, id: i64) -> Result<String, DatabaseError> {
        let from = format!("FROM {} WHERE id > {id}", self.database.table(TableName::EventRecords));
        if self.category.is_none() {
            return Ok(from);
        }
        let category = self.shape.table(TableName::EventRecords)?.plain(self.database, "category");
        Ok(format!("{from} AND {category} = ?"))
    }

    /// Selects from the feed's events after this id.
    fn events_after(&self, select: &str, id: i64) -> Result<Statement, DatabaseError> {
        let statement = Statement::new(format!("{select} {}", self.behind(id)?));
        Ok(self.category.into_iter().fold(statement, Statement::with))
    }

    /// Returns how many events the feed has, and the id of the newest.
    async fn count(
        &self,
        transaction: &mut Transaction<'_>,
        offset: Option<Offset>,
    ) -> Result<(i64, i64), DatabaseError> {
        let start = offset.unwrap_or(Offset { event_id: 0, events: 0 });
        let select = format!("SELECT {}, {}", self.database.text("COUNT(*)"), self.database.text("MAX(id)"));
        let counted = transaction.rows(self.events_after(&select, start.event_id)?).await?;
        let (behind, newest) = match counted.into_iter().next() {
            Some(mut row) => (row.number().unwrap_or(0), row.number().unwrap_or(start.event_id)),
            None => (0, start.event_id),
        };
        Ok((start.events + behind, newest))
    }

    /// Returns the number and the entries of the newest page. One statement counts and reads, because every consumer
    /// requests the newest page at every run. `None` if fewer events follow the marker than the page holds.
    async fn newest(
        &self,
        transaction: &mut Transaction<'_>,
        chunking: &Chunking,
        offset: Option<Offset>,
    ) -> Result<Option<(i64, Vec<Entry>)>, DatabaseError> {
        let (columns, table) = (self.columns()?, self.database.table(TableName::EventRecords));
        let start = offset.unwrap_or(Offset { event_id: 0, events: 0 });
        let from = self.behind(start.event_id)?;
        let (count, most) = (self.database.text("COUNT(*)"), chunking.newest_length());
        let select = format!("SELECT (SELECT {count} {from}), {columns} {from} ORDER BY {table}.id DESC LIMIT {most}");
        let statement = match self.category {
            Some(category) => Statement::new(select).with(category).with(category),
            None => Statement::new(select),
        };
        let mut rows = transaction.rows(statement).await?;
        // The first column of every row is the count.
        let behind = rows.iter_mut().filter_map(Record::number::<i64>).last().unwrap_or(0);
        let events = start.events + behind;
        let page = chunking.pages(events);
        let Some(range) = chunking.page(page, events).filter(|range| range.last >= events) else { return Ok(None) };
        let wanted = usize::try_from(events - range.first + 1).unwrap_or(usize::MAX);
        if rows.len() < wanted {
            return Ok(None);
        }
        rows.truncate(wanted);
        Ok(Some((page, rows.into_iter().rev().map(|row| self.entry(row)).collect())))
    }

    async fn entries(
        &self,
        transaction: &mut Transaction<'_>,
        range: PageRange,
        offset: Option<Offset>,
        (events, last): (i64, i64),
    ) -> Result<Vec<Entry>, DatabaseError> {
        // Starts at the marker if the page begins after it, otherwise at the beginning.
        let start = offset.filter(|offset| range.first > offset.events).unwrap_or(Offset { event_id: 0, events: 0 });
        let mut statement = self.events_after(&format!("SELECT {}", self.columns()?), start.event_id)?;
        let table = self.database.table(TableName::EventRecords);
        let (limit, skipped) = (range.last.min(events) - range.first + 1, (range.first - 1 - start.events).max(0));
        // The newest page is read backwards from the feed's end, without skipping all earlier events. The end is the id
        // found when counting: at READ COMMITTED a database may show more events by now.
        let newest = range.last >= events;
        statement = match newest {
            true => statement.and(&format!(" AND id <= ? ORDER BY {table}.id DESC LIMIT {limit}")).with(last),
            false => statement.and(&format!(" ORDER BY {table}.id LIMIT {limit} OFFSET {skipped}")),
        };
        let mut rows = transaction.rows(statement).await?;
        if newest {
            rows.reverse();
        }
        Ok(rows.into_iter().map(|row| self.entry(row)).collect())
    }

    /// Columns that [`Self::entry`] reads.
    fn columns(&self) -> Result<String, DatabaseError> {
        let records = self.shape.table(TableName::EventRecords)?;
        let columns = ["uuid", "title", "timestamp", "date_created", "object", "category", "tags"];
        Ok(columns.map(|column| records.text(self.database, column)).join(", "))
    }

    fn entry(&self, mut row: Record) -> Entry {
        let (uuid, title) = (row.text().unwrap_or_default(), row.text().unwrap_or_default());
        let published = row.text().and_then(|text| self.database.instant(&text));
        let queued = row.text().and_then(|text| self.database.instant(&text));
        let (object, category, tags) = (row.text(), row.text(), row.text());
        // If the time is missing or unreadable (`0000-00-00`), the time at which the event was queued.
        PublishedRow { uuid, title, at: published.or(queued), object, category, tags }.into()
    }

    /// Writes the feed's offset marker and returns whether it did. The marker points at the last event of the page that
    /// holds the event `behind` places before the newest. A category that does not fit the marker's column gets no
    /// marker, and its pages are counted from the beginning: it must not hold up the markers of the other feeds.
    async fn write_offset(&self, transaction: &mut Transaction<'_>, behind: i64) -> Result<bool, DatabaseError> {
        let capacity = self.shape.table(TableName::OffsetMarker)?.capacity("category");
        let category = self.category.unwrap_or_default();
        if let (_, Some(change)) = fit(transaction, &capacity, category).await? {
            tracing::warn!(category, "a category has no offset marker: it would have to be {change}");
            return Ok(false);
        }
        let (events, _) = self.count(transaction, None).await?;
        let chunking = self.chunking(transaction).await?;
        let marked = events - behind;
        if marked <= 0 {
            return Ok(false);
        }
        let Some(range) = chunking.page(chunking.pages(marked), marked) else { return Ok(false) };
        let position = range.last.min(events);
        let select = format!("SELECT {}", self.database.text("id"));
        let table = self.database.table(TableName::EventRecords);
        let order = format!(" ORDER BY {table}.id LIMIT 1 OFFSET {}", position - 1);
        let last = self.events_after(&select, 0)?.and(&order);
        let Some(event_id) = transaction.rows(last).await?.into_iter().next().and_then(|mut row| row.number()) else {
            return Ok(false);
        };
        self.put_offset(transaction, Offset { event_id, events: position }).await?;
        Ok(true)
    }

    async fn put_offset(&self, transaction: &mut Transaction<'_>, offset: Offset) -> Result<(), DatabaseError> {
        let category = self.category.unwrap_or_default();
        let table = self.database.table(TableName::OffsetMarker);
        let markers = self.shape.table(TableName::OffsetMarker)?;
        let known = markers.plain(self.database, "category");
        let update = Statement::new(format!("UPDATE {table} SET event_id = ?, event_count = ? WHERE {known} = ?"))
            .with(offset.event_id)
            .with(offset.events)
            .with(category);
        if transaction.execute(update).await? == 0 {
            let values: Vec<(&'static str, Value)> = vec![
                ("event_id", offset.event_id.into()),
                ("event_count", offset.events.into()),
                ("category", category.into()),
            ];
            markers.insert(transaction, values).await?;
        }
        Ok(())
    }
}
