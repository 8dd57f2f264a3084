//! `atomfeed-console check`: reads which tables every application's database has and what the account may do, and
//! prints it.
//!
//! Pure functions make the report from what the source found, so that it can be tested without a database. Nothing is
//! changed anywhere.

use std::{fmt::Write as _, time::Duration};

use chrono::TimeDelta;
use futures::future::join_all;

use crate::model::{Backend, probe::ProbeAnswer, stamp::Ahead, words::span};

use super::{
    config::{Application, Config, Tls, Unconfigured, in_configured_order},
    output::{remark, say},
    sources::{CheckReport, Source, SourceError, SourceErrorKind, TableReport},
    watch::probe_once,
};

/// The tables without which the console shows nothing.
const NEEDED: [&str; 2] = ["failed_events", "markers"];
/// The table that a retry writes to.
const FAILED_EVENTS: &str = "failed_events";
const RETRY_LOG: &str = "failed_event_retry_log";
/// A larger difference of the clocks makes times on the pages misleading.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(60);
/// A check runs a dozen statements, and is limited to the time of this number of statement timeouts.
const STATEMENTS: u32 = 20;

/// The report of one application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub text: String,
    /// There is nothing to fix.
    pub well: bool,
}

/// Checks every application at the same time and prints the reports in configured order. Returns whether all is well.
pub async fn check(config: &Config) -> bool {
    for warning in &config.warnings {
        remark(format_args!("Note: {warning}"));
    }
    let reports = join_all(config.applications.iter().map(check_one)).await;
    let lacking = config.unconfigured.iter().map(|lacking| (lacking.place, not_configured(lacking)));
    let reports = in_configured_order(reports, lacking);
    let unwell = reports.iter().filter(|report| !report.well).count();
    let verdict = match unwell {
        0 => format!("OK: {}.\n", applications(reports.len())),
        _ => format!("Problems to fix: {unwell} of {}.\n", applications(reports.len())),
    };
    let text: String = reports.iter().map(|report| format!("{}\n", report.text)).chain([verdict]).collect();
    say(text.trim_end_matches('\n'));
    unwell == 0
}

fn applications(count: usize) -> String {
    if count == 1 { "1 application".to_owned() } else { format!("{count} applications") }
}

/// Checks one application.
pub async fn check_one(application: &Application) -> Report {
    let served = async {
        match &application.probe {
            Some(settings) => Some(probe_once(settings).await),
            None => None,
        }
    };
    let (outcome, served) = tokio::join!(ask(application), served);
    report(application, &outcome, served.as_ref())
}

/// Returns the report of an application whose configuration entry does not say how to connect.
fn not_configured(unconfigured: &Unconfigured) -> Report {
    let info = &unconfigured.info;
    let mut text = format!("{} ({}, not configured)\n", line(&info.name), info.kind.word());
    fact(&mut text, "reachable", "not checked: the entry in the configuration is not complete");
    let lacking: Vec<String> = unconfigured.lacking.iter().map(|fault| line(&fault.to_string())).collect();
    list(&mut text, "What to fix", &lacking);
    Report { text, well: false }
}

async fn ask(application: &Application) -> Result<CheckReport, SourceError> {
    let most = application.connect_timeout + application.statement_timeout * STATEMENTS;
    let source = Source::new(application.clone());
    tokio::time::timeout(most, source.check()).await.unwrap_or_else(|_| Err(too_slow(application, most)))
}

fn too_slow(application: &Application, most: Duration) -> SourceError {
    SourceError {
        kind: SourceErrorKind::TimedOut,
        reason: format!("{} did not answer every question within {} s.", application.info.name, most.as_secs()),
        advice: "Find out why the database is busy, or raise connect_timeout and statement_timeout.".to_owned(),
    }
}

/// Returns the whole report of an application.
fn report(
    application: &Application,
    outcome: &Result<CheckReport, SourceError>,
    served: Option<&ProbeAnswer>,
) -> Report {
    let info = &application.info;
    let mut text = format!("{} ({}, {})\n", line(&info.name), info.kind.word(), line(&info.address));
    let (mut to_fix, to_know) = match outcome {
        Err(error) => {
            fact(&mut text, "reachable", &format!("no: {}", line(&error.reason)));
            (vec![error.advice.clone()], Vec::new())
        }
        Ok(found) => {
            facts(&mut text, application, found);
            text.push('\n');
            text.push_str(&table(&found.tables));
            (to_fix(application, found), to_know(application, found))
        }
    };
    if let Some(served) = served {
        fact(&mut text, "feed", &served_in_short(served));
        if let ProbeAnswer::Failed { kind, .. } = served {
            to_fix.push(format!("Its feed cannot be read. {}", kind.advice()));
        }
    }
    list(&mut text, "What to fix", &to_fix);
    list(&mut text, "Good to know", &to_know);
    Report { text, well: outcome.is_ok() && to_fix.is_empty() }
}

fn facts(text: &mut String, application: &Application, found: &CheckReport) {
    fact(text, "reachable", "yes");
    fact(text, "server", &line(&found.server));
    let clock = match found.clock {
        Some(clock) => format!("{} ({})", clock.format("%Y-%m-%d %H:%M:%S UTC"), difference(clock - found.own_clock)),
        None => "not known".to_owned(),
    };
    fact(text, "clock", &clock);
    fact(text, "session", &line(&found.time_zone));
    if let Some(url) = &application.info.public_url {
        fact(text, "public URL", &line(url));
    }
    fact(text, "time zone", &format!("{} for columns that carry none", application.info.time_zone));
}

/// Returns what its feed answered, in one line.
fn served_in_short(served: &ProbeAnswer) -> String {
    match served {
        ProbeAnswer::Feed(page) => format!("answers with {}, entries: {}", line(&page.page), page.entries),
        ProbeAnswer::Failed { reason, .. } => line(reason),
    }
}

fn fact(text: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  {name:<10} {value}");
}

/// "the same as here", "3 s ahead of this machine", "12 min behind this machine".
fn difference(difference: TimeDelta) -> String {
    let seconds = difference.num_seconds();
    let side = if seconds > 0 { "ahead of" } else { "behind" };
    match seconds.unsigned_abs() {
        0..=1 => "the same as here".to_owned(),
        seconds => format!("{} {side} this machine", span(seconds)),
    }
}

/// Returns the tables, aligned. A column of rights contains yes, no, or - if the console never needs the right.
fn table(tables: &[TableReport]) -> String {
    let head = ["table", "found", "rows", "read", "insert", "update", "delete", "missing columns"].map(str::to_owned);
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(tables.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..8).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::from(" ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let width = *width;
            // Numbers are aligned right, so that they can be compared.
            let _ = if column == 2 { write!(line, " {cell:>width$} ") } else { write!(line, " {cell:<width$} ") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(table: &TableReport) -> [String; 8] {
    if !table.found {
        let dash = || "-".to_owned();
        return [table.name.to_owned(), "no".to_owned(), dash(), dash(), dash(), dash(), dash(), String::new()];
    }
    let yes_no = |may: Option<bool>| match may {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    };
    [
        table.name.to_owned(),
        "yes".to_owned(),
        table.rows.map_or("-".to_owned(), grouped),
        yes_no(Some(table.may_select)).to_owned(),
        yes_no(table.may_insert).to_owned(),
        yes_no(table.may_update).to_owned(),
        yes_no(table.may_delete).to_owned(),
        table.missing_columns.join(", "),
    ]
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns what prevents the console, or the consumer, from working.
fn to_fix(application: &Application, found: &CheckReport) -> Vec<String> {
    let mut to_fix = Vec::new();
    let place = match (&application.database.schema, application.database.backend) {
        (Some(schema), _) => format!("in the schema {schema}"),
        (None, Backend::Postgres) => "in the schema public; name another one with the setting schema".to_owned(),
        (None, _) => "in this database".to_owned(),
    };
    for name in NEEDED {
        match found.tables.iter().find(|table| table.name == name) {
            Some(table) if !table.found => to_fix.push(format!(
                "The table {name} was not found {place}. Check the address: is this the database of {}?{}",
                line(&application.info.name),
                if table.may_be_hidden {
                    " The table may also be hidden because the account has no right to read it."
                } else {
                    ""
                }
            )),
            Some(table) if !table.may_select => to_fix.push(format!("Give the account the right SELECT on {name}.")),
            Some(_) => {}
            None => to_fix.push(format!("The table {name} could not be checked.")),
        }
    }
    // An unreadable table is reported above; a table without the column retries is as its consumer made it.
    let could_retry = |table: &TableReport| table.name == FAILED_EVENTS && table.may_select && has_retries(table);
    if let Some(reason) = &found.retry_refused
        && !application.info.read_only
        && found.tables.iter().any(could_retry)
    {
        to_fix.push(format!(
            "{} packaging/grants has the necessary rights. If retries are not wanted here, set read_only = true for \
             this application.",
            line(reason)
        ));
    }
    to_fix.extend(found.hazards.iter().map(|hazard| line(hazard)));
    to_fix
}

fn has_retries(table: &TableReport) -> bool {
    !table.missing_columns.contains(&"retries")
}

/// Returns what prevents nothing, but explains what the pages show.
fn to_know(application: &Application, found: &CheckReport) -> Vec<String> {
    let mut to_know = Vec::new();
    let ahead = found.clock.map(|clock| clock - found.own_clock);
    if let Some(ahead) = ahead.filter(|ahead| ahead.abs() > CLOCK_TOLERANCE) {
        to_know.push(format!(
            "The server's clock is {}: all ages are wrong by this difference. Set both clocks by NTP.",
            difference(ahead)
        ));
    }
    to_know.extend(time_zone_doubtful(application, found));
    let unknown = application.info.feed_limits.iter().filter(|limit| !found.feeds.contains(&limit.uri));
    to_know.extend(unknown.map(|limit| {
        format!(
            "application.feed: no read position and no failed event has the address {}. The limit is not used.",
            line(&limit.uri)
        )
    }));
    for table in found.tables.iter().filter(|table| !NEEDED.contains(&table.name)) {
        if !table.found {
            to_know.extend(absent(table));
        } else if !table.may_select {
            to_know.push(format!("The account cannot read {}. With the right SELECT the pages show more.", table.name));
        }
    }
    if found.tables.iter().any(|table| table.name == FAILED_EVENTS && !has_retries(table)) {
        to_know.push(format!(
            "{FAILED_EVENTS} has no column retries that the account may read: events cannot be retried. If the column is \
             there, the account needs the right to read it."
        ));
    }
    to_know.extend(found.records_lacking.iter().map(|lack| format!("Records: {}", line(lack))));
    if application.info.read_only {
        to_know.push("read_only is set: retries are not possible here.".to_owned());
    }
    if matches!(application.database.tls, Tls::Off) && application.database.backend != Backend::Sqlite {
        to_know.push("tls = \"off\": the password and the data are sent unencrypted.".to_owned());
    }
    if let Some(reason) = &found.unencrypted {
        to_know.push(format!(
            "The connection is not encrypted, password and data are sent unencrypted: {}.",
            line(reason)
        ));
    }
    to_know
}

/// Returns a note if the newest failure is in the future of the database's own clock, which a wrong time zone causes.
fn time_zone_doubtful(application: &Application, found: &CheckReport) -> Option<String> {
    let ahead = Ahead::of(found.newest_failure.as_ref(), found.clock.unwrap_or(found.own_clock))?;
    let far = span(ahead.0.num_seconds().unsigned_abs());
    let newest = line(&found.newest_failure.as_ref()?.text);
    let zone = &application.info.time_zone;
    Some(if ahead.may_be_the_zone() {
        format!(
            "The newest failed_at, {newest}, is {far} in the future if times without a zone are {zone}. If this database \
             uses another zone, set time_zone."
        )
    } else {
        format!("The newest failed_at, {newest}, is {far} in the future. Check the clock of the database and that row.")
    })
}

/// Returns what it means that a table was not found. `None` for a retry log that is known to be missing: that is a
/// hazard.
fn absent(table: &TableReport) -> Option<String> {
    let name = table.name;
    let what = if table.may_be_hidden {
        format!("{name} does not exist, or the account may not read it")
    } else {
        format!("{name} does not exist")
    };
    match (name, table.may_be_hidden) {
        (RETRY_LOG, false) => None,
        (RETRY_LOG, true) => Some(format!(
            "{what}: only the first error of an event can be shown. If the table does not exist, the retry counter cannot \
             grow."
        )),
        _ => Some(format!("{what}: the pages show \"not available here\".")),
    }
}

fn list(text: &mut String, title: &str, sentences: &[String]) {
    if sentences.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n  {title}:");
    for sentence in sentences {
        let _ = writeln!(text, "  * {sentence}");
    }
}

/// Returns text from a database on one line, without characters that could move the cursor of a terminal.
fn line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::{
        model::Stamp,
        server::config::{self, CommandLine, Environment},
    };

    const FEED: &str = "http://openmrs:8080/openmrs/ws/atomfeed/lab/recent";

    /// A change of a healthy report.
    type Change<'c> = &'c dyn Fn(&mut CheckReport);

    fn application(settings: &str) -> Application {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("console.toml");
        let text = format!(
            "[[application]]\nname = \"OpenELIS\"\nkind = \"openelis\"\ndatabase = \"postgres://db/clinlims\"\n\
             user = \"u\"\npassword = \"s3cr3t-Pa55\"\n{settings}\n"
        );
        std::fs::write(&file, text).unwrap();
        let config = config::load(CommandLine::default(), &Environment::default(), Some(&file), folder.path()).unwrap();
        config.applications[0].clone()
    }

    fn table(name: &'static str, rows: u64) -> TableReport {
        let written = [FAILED_EVENTS, RETRY_LOG].contains(&name).then_some(true);
        TableReport {
            name,
            found: true,
            may_be_hidden: false,
            missing_columns: Vec::new(),
            rows: Some(rows),
            may_select: true,
            may_insert: written,
            may_update: written,
            may_delete: written,
        }
    }

    fn now() -> DateTime<Utc> {
        "2026-03-01T08:30:00Z".parse().unwrap()
    }

    fn healthy() -> CheckReport {
        CheckReport {
            server: "PostgreSQL 15.18".into(),
            clock: Some(now()),
            own_clock: now(),
            time_zone: "UTF8, Etc/UTC".into(),
            unencrypted: None,
            tables: vec![table(FAILED_EVENTS, 1_234_567), table(RETRY_LOG, 12), table("markers", 3)],
            newest_failure: Some(Stamp::of(now() - TimeDelta::hours(1))),
            feeds: [FEED.to_owned()].into(),
            retry_refused: None,
            hazards: Vec::new(),
            records_lacking: Vec::new(),
        }
    }

    /// An account that may only read.
    fn looking_only(found: &mut CheckReport) {
        found.tables[0].may_update = Some(false);
        found.retry_refused = Some("The account u may not change retries.".into());
    }

    fn report_of(settings: &str, change: impl Fn(&mut CheckReport)) -> Report {
        let mut found = healthy();
        change(&mut found);
        report(&application(settings), &Ok(found), None)
    }

    #[test]
    fn a_healthy_application_is_a_table_and_nothing_to_fix() {
        let report = report_of("", |_| {});
        assert_eq!(
            report.text,
            "\
OpenELIS (openelis, db:5432/clinlims)
  reachable  yes
  server     PostgreSQL 15.18
  clock      2026-03-01 08:30:00 UTC (the same as here)
  session    UTF8, Etc/UTC
  time zone  UTC for columns that carry none

  table                   found       rows  read  insert  update  delete  missing columns
  failed_events           yes    1,234,567  yes   yes     yes     yes
  failed_event_retry_log  yes           12  yes   yes     yes     yes
  markers                 yes            3  yes   -       -       -
"
        );
        assert!(report.well);
    }

    #[test]
    fn what_keeps_the_console_from_its_work_has_to_be_fixed() {
        let cases: [(&str, Change<'_>); 6] = [
            ("The table failed_events was not found in the schema public", &|found| found.tables[0].found = false),
            ("The table markers was not found", &|found| found.tables[2].found = false),
            ("The table markers could not be checked", &|found| found.tables.truncate(2)),
            ("the right SELECT on markers", &|found| found.tables[2].may_select = false),
            ("The account u may not change retries.", &looking_only),
            ("2 failed events have no failed_at", &|found| {
                found.hazards.push("2 failed events have no failed_at: their feed's retries stop.".into());
            }),
        ];
        for (sentence, change) in cases {
            let report = report_of("", change);
            assert!(!report.well && report.text.contains("What to fix"), "{sentence}\n{}", report.text);
            assert!(report.text.contains(sentence), "{sentence}\n{}", report.text);
        }
    }

    #[test]
    fn what_only_explains_the_pages_does_not_have_to_be_fixed() {
        let with_limit = |feed: &str| format!("[[application.feed]]\nuri = \"{feed}\"\nmax_failed_events = 5");
        let cases: [(&str, &str, Change<'_>); 10] = [
            (
                &with_limit("http://openmrs:8080/lab"),
                "no failed event has the address http://openmrs:8080/lab",
                &|_| {},
            ),
            ("time_zone = \"UTC\"", "is 6 h in the future if times without a zone are UTC", &|found| {
                found.newest_failure = Some(Stamp::of(now() + TimeDelta::minutes(330)));
            }),
            ("", "Check the clock of the database and that row", &|found| {
                found.newest_failure = Some(Stamp::of(now() + TimeDelta::days(4000)));
            }),
            ("read_only = true", "read_only is set", &looking_only),
            ("", "only the first error", &|found| {
                (found.tables[1].found, found.tables[1].may_be_hidden) = (false, true);
            }),
            ("", "failed_events has no column retries", &|found| {
                found.tables[0].missing_columns = vec!["retries"];
                found.retry_refused = Some("The table failed_events has no column retries.".into());
            }),
            ("", "The account cannot read event_records", &|found| {
                found.tables.push(TableReport { may_select: false, ..table("event_records", 0) });
            }),
            ("", "12 min behind this machine", &|found| found.clock = Some(now() - TimeDelta::minutes(12))),
            ("", "90 s ahead of this machine", &|found| found.clock = Some(now() + TimeDelta::seconds(90))),
            ("tls = \"off\"", "unencrypted", &|_| {}),
        ];
        for (settings, sentence, change) in cases {
            let report = report_of(settings, change);
            assert!(report.well && report.text.contains("Good to know"), "{sentence}\n{}", report.text);
            assert!(report.text.contains(sentence), "{sentence}\n{}", report.text);
        }
    }

    #[test]
    fn what_is_in_order_is_not_doubted() {
        let text = report_of(&format!("[[application.feed]]\nuri = \"{FEED}\"\nmax_failed_events = 5"), |_| {}).text;
        assert!(!text.contains("Good to know"), "{text}");
        // The database's times are compared with its own clock.
        let text = report_of("", |found| {
            found.clock = Some(now() + TimeDelta::hours(5));
            found.newest_failure = Some(Stamp::of(now() + TimeDelta::hours(5)));
        });
        assert!(!text.text.contains("time_zone"), "{}", text.text);
    }

    #[test]
    fn an_application_without_a_whole_entry_is_a_report_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("console.toml");
        let text = "[[application]]\nname = \"Odoo\"\nkind = \"odoo\"\ndatabase = \"postgres:///\"\nuser = \"\"\n";
        std::fs::write(&file, text).unwrap();
        let config = config::load(CommandLine::default(), &Environment::default(), Some(&file), folder.path()).unwrap();
        let report = not_configured(&config.unconfigured[0]);
        assert!(!report.well);
        for part in [
            "Odoo (odoo, not configured)\n",
            "What to fix:",
            ":4: application[1].database: names no host",
            ":5: application[1].user: is empty",
        ] {
            assert!(report.text.contains(part), "{part}\n{}", report.text);
        }
    }

    #[test]
    fn nothing_is_told_twice() {
        let report = report_of("", |found| {
            found.tables[0].found = false;
            found.tables[0].may_select = false;
            found.retry_refused = Some("Nothing can be retried: the table failed_events does not exist.".into());
            found.tables[1].found = false;
            found.hazards.push("The table failed_event_retry_log does not exist: retries never grow.".into());
        });
        let told = |words: &str| report.text.lines().filter(|line| line.contains('*') && line.contains(words)).count();
        assert_eq!((told("table failed_events "), told(RETRY_LOG)), (1, 1), "{}", report.text);
    }

    #[test]
    fn missing_columns_are_named_and_absent_tables_have_no_rights() {
        let report = report_of("", |found| {
            found.tables[0].missing_columns = vec!["retries", "tags"];
            found.tables[1] = TableReport { found: false, rows: None, ..table(RETRY_LOG, 0) };
        });
        assert!(report.text.contains("yes     yes     yes     retries, tags\n"), "{}", report.text);
        assert!(
            report.text.contains("\n  failed_event_retry_log  no             -  -     -       -       -\n"),
            "{}",
            report.text
        );
    }

    #[test]
    fn a_database_that_does_not_answer_says_why_and_what_to_do() {
        let error = SourceError {
            kind: SourceErrorKind::Unreachable,
            reason: "OpenELIS cannot be reached at db:5432: connection refused.".into(),
            advice: "Start the database, or correct its address.".into(),
        };
        let report = report(&application(""), &Err(error), None);
        assert!(!report.well);
        assert!(report.text.contains("reachable  no: OpenELIS cannot be reached"), "{}", report.text);
        assert!(report.text.contains("* Start the database, or correct its address."), "{}", report.text);
    }

    #[test]
    fn text_from_a_database_cannot_move_the_terminals_cursor() {
        let report = report_of("", |found| {
            found.server = "\u{1b}[2JPostgreSQL\n15".into();
            found.hazards.push("a\rb".into());
        });
        assert!(!report.text.contains(['\u{1b}', '\r']) && report.text.contains("PostgreSQL 15"), "{:?}", report.text);
    }
}
