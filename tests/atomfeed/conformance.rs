//! Runs the cases of `tests/conformance`; its README explains them.

use std::{collections::BTreeMap, fs, path::Path};

use atomfeed::{Consumer, Failure, FeedEnd, FeedSettings, FirstRun, Limits, NewEvent, PageNumber, Publisher, RetryEnd};
use roxmltree::{Document, Node};
use serde::Deserialize;
use toml::Value;

use crate::support::{
    database::{Server, TestDatabase, Variant, literal},
    feeds::{Entry, Feeds, PATIENTS, Page, Script, id, lines, make_worked, open, patients, worked},
    schema,
};

everywhere! { every_case_that_the_schema_allows }

type Rows = BTreeMap<String, Vec<BTreeMap<String, Value>>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    rule: String,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    consumer: Settings,
    #[serde(default)]
    before: Rows,
    #[serde(default)]
    pages: BTreeMap<String, Served>,
    #[serde(default)]
    run: Vec<Step>,
    worked: Option<Vec<String>>,
    #[serde(default)]
    after: Rows,
    #[serde(default)]
    served: Vec<Expected>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    max_failed_events: u64,
    max_retry: u32,
    fails: BTreeMap<String, String>,
    same_publisher: Vec<String>,
    /// `oldest` or `recent`.
    begins: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_failed_events: 10_000,
            max_retry: 5,
            fails: BTreeMap::new(),
            same_publisher: Vec::new(),
            begins: "oldest".to_owned(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Served {
    Recent(usize),
    Numbered(Numbered),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbered {
    entries: Vec<String>,
    next: Option<usize>,
    previous: Option<usize>,
    /// Origin of its links, instead of the usual one.
    origin: Option<String>,
    /// ISO-8859-1: the page's encoding; the media type names it only if `declared` is true.
    charset: Option<String>,
    #[serde(default)]
    declared: bool,
    /// Title of its entries, instead of the usual one.
    title: Option<String>,
    /// Length of its entries' texts, filled with `x`, by uuid.
    #[serde(default)]
    long: BTreeMap<String, Long>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Long {
    title: usize,
    content: usize,
    category: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    what: String,
    end: Option<String>,
    behind: Option<u32>,
    #[serde(default)]
    queued: Vec<Queued>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Queued {
    uuid: String,
    title: String,
    content: Option<String>,
    category: Option<String>,
    tags: Option<String>,
}

impl From<Queued> for NewEvent {
    fn from(Queued { uuid, title, content, category, tags }: Queued) -> Self {
        Self { content, category, tags, ..NewEvent::new(uuid, "", title, "") }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    page: String,
    #[serde(default = "the_patients")]
    category: String,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    missing: bool,
    error: Option<String>,
    entries: Option<Vec<String>>,
    links: Option<Vec<String>>,
    #[serde(default)]
    feed: BTreeMap<String, Value>,
    #[serde(default)]
    entry: Vec<BTreeMap<String, Value>>,
    #[serde(default)]
    xml: Vec<String>,
}

fn the_patients() -> String {
    "patient".to_owned()
}

fn cases() -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let files = fs::read_dir(folder).expect("the folder of the cases").map(|file| file.expect("a file").path());
    let mut cases: Vec<(String, Case)> = files
        .filter(|file| file.extension().is_some_and(|ending| ending == "toml"))
        .map(|file| {
            let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(&file).expect("a case can be read");
            let text = text.replace("{feed}", PATIENTS).replace("{page}", &patients("")).replace("{id}", &id(""));
            let case = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, case)
        })
        .collect();
    cases.sort_by(|one, other| one.0.cmp(&other.0));
    cases
}

async fn every_case_that_the_schema_allows(database: &mut TestDatabase) {
    make_worked(database).await;
    let mut ran = 0;
    for (name, case) in cases() {
        if case.needs.iter().all(|need| has(database, need)) {
            println!("{name}: {}", case.rule);
            clear(database).await;
            run(database, &name, &case).await;
            ran += 1;
        }
    }
    assert!(ran >= 4, "only {ran} cases ran");
}

/// Returns whether the schema variant has what a case needs.
fn has(database: &TestDatabase, need: &str) -> bool {
    match need {
        "publisher" => database.publishes(),
        "category" | "retries" => database.has_retries(),
        "ignores-case" => database.is_mysql(),
        "minds-case" => !database.is_mysql(),
        "retry-log" => database.has_retry_log(),
        "null-markers" => !matches!(database.variant, Variant::Odoo | Variant::Odoo10),
        // limits: SQLite cuts nothing, and the module's texts are unlimited. null-times: on MySQL 5.x NULL in a
        // TIMESTAMP becomes the current time.
        "limits" => database.server != Server::Sqlite && database.variant != Variant::ModuleAtomfeed,
        "null-times" => database.server != Server::MysqlOld,
        need => panic!("a case needs {need:?}, which is no word of the README"),
    }
}

async fn clear(database: &mut TestDatabase) {
    for table in schema::TABLES {
        if !schema::columns(database.server, database.variant, table).is_empty() {
            database.run(&format!("DELETE FROM {}", database.table(table))).await;
        }
    }
    let worked = if database.server == Server::Postgres { "public.worked" } else { "worked" };
    database.run(&format!("DELETE FROM {worked}")).await;
    restart_ids(database, &BTreeMap::new()).await;
}

/// Sets the next id to the one after the existing rows.
async fn restart_ids(database: &mut TestDatabase, rows: &Rows) {
    for name in schema::TABLES {
        if !schema::columns(database.server, database.variant, name).contains(&"id".to_owned()) {
            continue;
        }
        let (table, next) = (database.table(name), rows.get(name).map_or(0, Vec::len) + 1);
        match database.server {
            Server::Mysql | Server::MysqlOld => {
                database.run(&format!("ALTER TABLE {table} AUTO_INCREMENT = {next}")).await;
            }
            Server::Postgres => {
                let sequence = format!("SELECT pg_get_serial_sequence('{table}', 'id')");
                if let Some(sequence) = database.value(&sequence).await {
                    database.run(&format!("SELECT setval('{sequence}', {next}, false)")).await;
                }
            }
            // Without AUTOINCREMENT SQLite continues after the largest id.
            Server::Sqlite => {}
        }
    }
}

async fn run(database: &mut TestDatabase, name: &str, case: &Case) {
    for (table, rows) in &case.before {
        for (place, row) in rows.iter().enumerate() {
            insert(database, table, place + 1, row).await;
        }
    }
    restart_ids(database, &case.before).await;
    let feeds = serve(&case.pages).await;
    let client = feeds.client_with(&case.consumer.same_publisher);
    let begins = match case.consumer.begins.as_str() {
        "oldest" => FirstRun::OldestPage,
        "recent" => FirstRun::RecentPage,
        begins => panic!("{name}: a consumer begins with the oldest or the recent page, not {begins:?}"),
    };
    let script = Script::default();
    for (uuid, message) in &case.consumer.fails {
        script.fail(uuid, Failure::new(message.as_str()));
    }
    let limits = Limits {
        max_failed_events: case.consumer.max_failed_events,
        max_retry: case.consumer.max_retry,
        retry_batch: 5,
    };
    let consumer = Consumer::new(open(database), client, PATIENTS, limits, script).expect("a consumer");
    let consumer = consumer.beginning(begins);
    let settings = FeedSettings {
        author: "OpenMRS".to_owned(),
        generator: "OpenMRS Feed Publisher".to_owned(),
        ..FeedSettings::new("http://openmrs:8080/openmrs/ws/atomfeed", "Patient AOP", "bec795b1")
    };
    let publisher = Publisher::new(open(database), settings);
    for step in &case.run {
        let end = match step.what.as_str() {
            "events" => match consumer.process_events().await.end {
                FeedEnd::CaughtUp => "caught up".to_owned(),
                FeedEnd::Stopped { .. } => "stopped".to_owned(),
                stalled @ FeedEnd::Stalled(_) => stalled.to_string(),
            },
            "retries" => match consumer.process_failed_events().await.end {
                RetryEnd::Done => "done".to_owned(),
                stalled @ RetryEnd::Stalled(_) => stalled.to_string(),
            },
            "queue" => {
                let mut transaction = publisher.database().begin();
                for event in &step.queued {
                    publisher.queue(&mut transaction, event.clone().into()).await.expect("it is queued");
                }
                transaction.commit().await.map_or_else(|error| error.to_string(), |()| "done".to_owned())
            }
            "publish" => publisher.publish_queued().await.map_or_else(|error| error.to_string(), |_| "done".to_owned()),
            "offsets" => {
                let written = publisher.write_offset_markers(step.behind.expect("offsets say how far behind")).await;
                written.map_or_else(|error| error.to_string(), |_| "done".to_owned())
            }
            what => panic!("{name}: a step {what:?}"),
        };
        if let Some(expected) = &step.end {
            assert!(end.starts_with(expected), "{name}: the run ended so: {end}");
        }
    }
    if let Some(expected) = &case.worked {
        assert_eq!(&worked(database).await, expected, "{name}");
    }
    for (table, rows) in &case.after {
        compare(database, name, table, rows).await;
    }
    for expected in &case.served {
        compare_page(&publisher, name, expected).await;
    }
}

async fn serve(pages: &BTreeMap<String, Served>) -> Feeds {
    let feeds = Feeds::start().await;
    let recent = pages.values().find_map(|page| match page {
        Served::Recent(number) => Some(number.to_string()),
        Served::Numbered(_) => None,
    });
    assert!(recent.is_some() || pages.is_empty(), "a feed has a recent page");
    for (name, page) in pages {
        let Served::Numbered(served) = page else { continue };
        let page = Page {
            via: patients(name),
            next: served.next.map(patients),
            previous: served.previous.map(patients),
            entries: Vec::new(),
        };
        let mut xml = page.to_xml_with(&served.entries.iter().map(|uuid| entry(served, uuid)).collect::<Vec<_>>());
        if let Some(origin) = &served.origin {
            xml = xml.replace("http://openmrs:8080", origin);
        }
        let mut kind = "application/atom+xml".to_owned();
        let body = match served.charset.as_deref() {
            None => xml.into_bytes(),
            Some("ISO-8859-1") => {
                if served.declared {
                    kind += "; charset=ISO-8859-1";
                }
                xml.chars().map(|letter| u8::try_from(u32::from(letter)).expect("a letter of ISO-8859-1")).collect()
            }
            Some(charset) => panic!("{name}: {charset:?} is no word of the README"),
        };
        let mut addresses = vec![patients(name)];
        addresses.extend((recent.as_ref() == Some(name)).then(|| PATIENTS.to_owned()));
        for address in addresses {
            let path = address.strip_prefix("http://openmrs:8080").expect("an address of the publisher");
            feeds.answer(path, 200, &kind, body.clone());
        }
    }
    feeds
}

/// Returns an entry as its page contains it.
fn entry(page: &Numbered, uuid: &str) -> Entry {
    let usual = Entry::new(uuid);
    let long = page.long.get(uuid).cloned().unwrap_or_default();
    let text = |length: usize, usual: String| if length > 0 { "x".repeat(length) } else { usual };
    Entry {
        title: text(long.title, page.title.clone().unwrap_or(usual.title)),
        content: text(long.content, usual.content),
        categories: vec![text(long.category, "patient".to_owned())],
        ..Entry::new(uuid)
    }
}

async fn insert(database: &mut TestDatabase, table: &str, id: usize, row: &BTreeMap<String, Value>) {
    let known = schema::columns(database.server, database.variant, table);
    assert!(!known.is_empty(), "{table} is not there: the case needs more than it says");
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    let quote = if database.is_mysql() { '`' } else { '"' };
    for column in known {
        let value = match row.get(&column) {
            Some(Value::String(text)) if text == "NULL" => "NULL".to_owned(),
            Some(Value::String(text)) => literal(Some(text)),
            Some(Value::Integer(number)) => number.to_string(),
            Some(Value::Datetime(at)) => database.at(&at.to_string()),
            Some(value) => panic!("{table}.{column}: {value} is neither text nor number"),
            None if column == "id" => id.to_string(),
            None if matches!(column.as_str(), "failed_at" | "timestamp" | "date_created") => {
                database.at("2026-11-01T08:00:00Z")
            }
            None => continue,
        };
        columns.push(format!("{quote}{column}{quote}"));
        values.push(value);
    }
    let (table, columns) = (database.table(table), columns.join(", "));
    database.run(&format!("INSERT INTO {table} ({columns}) VALUES ({})", values.join(", "))).await;
}

async fn compare(database: &mut TestDatabase, name: &str, table: &str, rows: &[BTreeMap<String, Value>]) {
    let known = schema::columns(database.server, database.variant, table);
    if known.is_empty() {
        return;
    }
    let named = rows.first().map(|row| row.keys().cloned().collect()).unwrap_or_else(|| vec![known[0].clone()]);
    let columns: Vec<&str> = named.iter().filter(|column| known.contains(column)).map(String::as_str).collect();
    let mut found = lines(database, table, &columns).await;
    assert_eq!(found.len(), rows.len(), "{name}: {table}: {found:#?}");
    for row in rows {
        let expected: Vec<String> = columns
            .iter()
            .map(|&column| match &row[column] {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            })
            .collect();
        let expected = expected.join("|");
        let place = found.iter().position(|found| matches(found, &columns, &expected));
        let place = place.unwrap_or_else(|| panic!("{name}: {table} has no row {expected}: {found:#?}"));
        found.remove(place);
    }
}

/// Returns whether a row is the expected one; an expected text that ends with `…` is a beginning.
fn matches(found: &str, columns: &[&str], expected: &str) -> bool {
    let (found, expected): (Vec<&str>, Vec<&str>) = (found.split('|').collect(), expected.split('|').collect());
    found.len() == columns.len()
        && expected.iter().zip(found).all(|(expected, found)| match expected.strip_suffix('…') {
            Some(beginning) => found.starts_with(beginning),
            None => found == *expected,
        })
}

async fn compare_page(publisher: &Publisher, name: &str, expected: &Expected) {
    let number = match expected.page.as_str() {
        "recent" => PageNumber::Recent,
        number => PageNumber::Number(number.parse().expect("a page is `recent` or a number")),
    };
    let category = (!expected.all).then_some(expected.category.as_str());
    let page = match (publisher.page(category, number).await, &expected.error) {
        (Ok(page), None) => page,
        (Ok(_), Some(error)) => panic!("{name}: page {} has no error {error}", expected.page),
        (Err(error), Some(beginning)) => return assert!(error.to_string().starts_with(beginning), "{name}: {error}"),
        (Err(error), None) => panic!("{name}: {error}"),
    };
    let Some(page) = page else {
        assert!(expected.missing, "{name}: there is no page {}", expected.page);
        return;
    };
    assert!(!expected.missing, "{name}: there is a page {}", expected.page);
    let document = Document::parse(&page).expect("the page is XML");
    let feed = document.root_element();
    let entries: Vec<Node<'_, '_>> = children(feed, "entry").collect();
    if let Some(uuids) = &expected.entries {
        let ids: Vec<&str> = entries.iter().filter_map(|entry| children(*entry, "id").next()?.text()).collect();
        let all: Vec<String> = uuids.iter().map(|uuid| id(uuid)).collect();
        assert_eq!(ids, all, "{name}: page {}", expected.page);
    }
    if let Some(all) = &expected.links {
        let links = children(feed, "link").map(|link| {
            let address = link.attribute("href").unwrap_or_default();
            let end = address.rsplit('/').next().unwrap_or_default();
            format!("{} {end}", link.attribute("rel").unwrap_or_default())
        });
        assert_eq!(&links.collect::<Vec<_>>(), all, "{name}: page {}", expected.page);
    }
    compare_elements(name, feed, &expected.feed);
    for (place, elements) in expected.entry.iter().enumerate() {
        compare_elements(&format!("{name}: entry {place}"), entries[place], elements);
    }
    for part in &expected.xml {
        assert!(page.contains(part), "{name}: the page does not hold {part}: {page}");
    }
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.has_tag_name(("http://www.w3.org/2005/Atom", name)))
}

/// Compares the named elements of a feed or an entry.
fn compare_elements(name: &str, node: Node<'_, '_>, expected: &BTreeMap<String, Value>) {
    for (element, expected) in expected {
        let text = |name| children(node, name).next().map(|child| child.text().unwrap_or_default().to_owned());
        let found: Value = match element.as_str() {
            "title" => text("title").unwrap_or_default().into(),
            "id" => text("id").unwrap_or_default().into(),
            "generator" => text("generator").unwrap_or_default().into(),
            "updated" => text("updated").unwrap_or_default().into(),
            "published" => text("published").unwrap_or_default().into(),
            "content" => text("content").unwrap_or_else(|| "no element".to_owned()).into(),
            "authors" => children(node, "author")
                .filter_map(|author| children(author, "name").next()?.text())
                .collect::<Vec<_>>()
                .into(),
            "categories" => {
                children(node, "category").filter_map(|category| category.attribute("term")).collect::<Vec<_>>().into()
            }
            element => panic!("{name}: {element:?} is no word of the README"),
        };
        assert_eq!(&found, expected, "{name}: {element}");
    }
}
