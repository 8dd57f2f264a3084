//! What an account may do: reading needs no more than SELECT, retrying no more than two columns; and the report of
//! `check`. The accounts have the rights of `packaging/grants`, so that these scripts are tested, too.

use atomfeed_console::{
    model::{Availability, RowId, filter::Filter, operation::RowOutcome},
    server::{
        check::{Report, check_one},
        config::Secret,
        sources::{ListRequest, ResetRow, SearchIn, Source, SourceErrorKind, TextLimit},
    },
};

use crate::support::database::{FEED, Failed, Login, TestDatabase};

on!(mysql, Mysql, OpenMrs: an_account_for_looking_sees_everything_and_is_refused_a_retry
    a_check_of_an_account_says_what_is_to_be_fixed_and_only_that
    an_account_for_retrying_needs_two_columns_only a_table_that_may_not_be_read_is_named
    the_configuration_can_forbid_a_retry accounts_of_every_kind_come_in);
on!(mysql_old, MysqlOld, OpenMrs: an_account_for_looking_sees_everything_and_is_refused_a_retry
    a_check_of_an_account_says_what_is_to_be_fixed_and_only_that
    an_account_for_retrying_needs_two_columns_only a_table_that_may_not_be_read_is_named);
on!(postgres, Postgres, OpenElis: an_account_for_looking_sees_everything_and_is_refused_a_retry
    a_check_of_an_account_says_what_is_to_be_fixed_and_only_that
    an_account_for_retrying_needs_two_columns_only a_table_that_may_not_be_read_is_named
    the_configuration_can_forbid_a_retry accounts_of_every_kind_come_in);
on!(sqlite, Sqlite, Text: the_configuration_can_forbid_a_retry);

/// Returns the rights on tables (`SELECT ON markers`) that the script grants: those for reading, and those for reading
/// and acting.
fn granted(database: &TestDatabase) -> (Vec<&'static str>, Vec<&'static str>) {
    let (script, place) = if database.is_mysql() {
        (include_str!("../../packaging/grants/mysql.sql"), "openmrs.")
    } else {
        (include_str!("../../packaging/grants/postgresql.sql"), "clinlims.")
    };
    let tables = |part: &'static str| -> Vec<&'static str> {
        let grants = part.lines().filter_map(|line| line.strip_prefix("GRANT ")?.split(" TO ").next());
        let on_tables = grants.filter(|grant| grant.contains(&format!(" ON {place}")));
        on_tables.map(|grant| &*grant.replace(place, "").leak()).collect()
    };
    let (looking, acting) = script.split_once("-- 2. Acting").expect("the script has two parts");
    let (acting, _) = acting.split_once("-- 3. Records").expect("the script has a third part");
    let (looking, acting) = (tables(looking), tables(acting));
    // To retry, and to discard and restore on both tables.
    assert_eq!((looking.len(), acting.len()), (7, 3), "{looking:?} {acting:?}");
    (looking.clone(), [looking, acting].concat())
}

fn source_as(database: &TestDatabase, (user, password): (String, Secret)) -> Source {
    database.source_with(|app| {
        app.database.user = user;
        app.database.password = password;
    })
}

async fn looks_everywhere(source: &Source) {
    let poll = source.poll().await.expect("a look");
    assert_eq!(poll.missing, Vec::<String>::new());
    let filter = Filter::default();
    let request = ListRequest {
        filter: &filter,
        from: None,
        direction: Default::default(),
        limit: 10,
        texts: TextLimit::LIST,
        search: SearchIn::Everything,
    };
    assert_eq!(source.list(&request).await.expect("a list").rows.len(), 1);
    assert!(source.event(RowId(1)).await.expect("an answer").is_some());
    let publisher = source.publisher(None).await.expect("an answer");
    assert!(publisher.categories.here().is_some() && publisher.queue.here().is_some());
    source.check().await.expect("a report");
}

async fn an_account_for_looking_sees_everything_and_is_refused_a_retry(database: &mut TestDatabase) {
    let row = Failed { retries: 5, ..database.failed(1) };
    database.insert(&[row]).await;
    let account = database.account(Login::Usual, &granted(database).0).await;
    let source = source_as(database, account);
    looks_everywhere(&source).await;
    let refused = source.poll().await.expect("a look").retry_refused.expect("it may not");
    assert!(refused.contains("may not change retries") && refused.contains("Laboratory"), "{refused}");
    let error = source.reset(&[ResetRow { id: RowId(1), seen_retries: 5 }]).await.expect_err("it may not");
    assert_eq!(error.kind, SourceErrorKind::NotAllowed);
    assert!(error.reason.contains("Laboratory") && error.advice.contains("Grant"), "{error:?}");
    let report = source.check().await.expect("a report");
    let failed_events = &report.tables[0];
    assert!(failed_events.may_select);
    assert_eq!((failed_events.may_update, failed_events.may_delete), (Some(false), Some(false)));
}

async fn an_account_for_retrying_needs_two_columns_only(database: &mut TestDatabase) {
    let rows = [Failed { retries: 5, ..database.failed(1) }, Failed { retries: 5, ..database.failed(2) }];
    database.insert(&rows).await;
    // Without the rights for discarding and restoring.
    let acting = granted(database).1.into_iter();
    let retrying: Vec<_> = acting.filter(|grant| !grant.starts_with("INSERT")).collect();
    let account = database.account(Login::Usual, &retrying).await;
    let source = source_as(database, account);
    assert_eq!(source.poll().await.expect("a look").retry_refused, None);
    let asked = [(1, 5), (2, 4), (3, 5)].map(|(id, seen_retries)| ResetRow { id: RowId(id), seen_retries });
    let outcomes = source.reset(&asked).await.expect("it may");
    assert_eq!(outcomes, [RowOutcome::Reset, RowOutcome::Changed { retries: Some(5) }, RowOutcome::Gone]);
    let report = source.check().await.expect("a report");
    assert_eq!((report.tables[0].may_update, report.tables[0].may_delete), (Some(true), Some(false)));
}

/// Returns the sentences below a title of a report.
fn sentences<'r>(report: &'r Report, title: &str) -> Vec<&'r str> {
    let below = report.text.split_once(&format!("\n  {title}:\n")).map_or("", |(_, below)| below);
    below.lines().map_while(|line| line.strip_prefix("  * ")).collect()
}

async fn a_check_of_an_account_says_what_is_to_be_fixed_and_only_that(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    database.marker(FEED, Some("entry"), Some("http://openmrs:8080/page/36")).await;
    let (looking, acting) = granted(database);
    // Rights, read_only, and the sentences to fix; none if all is well.
    let cases: [(&[&str], bool, &[&str]); 6] = [
        (&acting, false, &[]),
        (&acting, true, &[]),
        (&looking, true, &[]),
        (&looking, false, &["may not change retries"]),
        (&["SELECT ON failed_events", "SELECT ON markers"], true, &[]),
        (&["SELECT ON failed_events"], true, &["markers"]),
    ];
    for (rights, read_only, to_fix) in cases {
        let account = database.account(Login::Usual, rights).await;
        let mut app = source_as(database, account).app().clone();
        app.info.read_only = read_only;
        let report = check_one(&app).await;
        assert_eq!(report.well, to_fix.is_empty(), "{rights:?}\n{}", report.text);
        let told = sentences(&report, "What to fix");
        assert_eq!(told.len(), to_fix.len(), "{rights:?}\n{}", report.text);
        for (told, words) in told.iter().zip(to_fix) {
            assert!(told.contains(words), "{told}");
        }
        // A table that the account may not read exists: the report must not claim that it is missing.
        assert!(!report.text.contains("retry_log does not exist."), "{}", report.text);
        let known = sentences(&report, "Good to know");
        assert_eq!(known.iter().any(|told| told.contains("read_only is set")), read_only, "{known:?}");
    }
}

async fn a_table_that_may_not_be_read_is_named(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    database.marker(FEED, Some("entry"), Some("http://openmrs:8080/page/36")).await;
    let account = database.account(Login::Usual, &["SELECT ON failed_events"]).await;
    let source = source_as(database, account);
    let poll = source.poll().await.expect("a look");
    let Availability::NotHere(reason) = &poll.markers else { panic!("the markers may not be read") };
    assert!(reason.contains("markers") && reason.contains("may not read"), "{reason}");
    assert_eq!(poll.failures.here().expect("the failed events").len(), 1);
    // The retry log exists: nothing else may be claimed.
    assert_eq!(poll.hazards, Vec::<String>::new());
    let right =
        if database.is_mysql() { "failed_event_retry_log (or the right to read it)" } else { "no right to read it" };
    assert!(poll.missing.iter().any(|missing| missing.contains(right)), "{:?}", poll.missing);
    let error = source.attempts_of_event("x", false).await.expect_err("the log may not be read");
    assert_eq!(error.kind, SourceErrorKind::NotHere);
    assert!(source.publisher(None).await.expect("an answer").categories.here().is_none());
    let queue = source.queue().await.expect("an answer");
    assert!(
        matches!(&queue, Some(Availability::NotHere(reason)) if reason.contains("event_records_queue") && reason.contains("may not read")),
        "{queue:?}"
    );
}

async fn the_configuration_can_forbid_a_retry(database: &mut TestDatabase) {
    let row = Failed { retries: 5, ..database.failed(1) };
    database.insert(&[row]).await;
    let source = database.source_with(|app| app.info.read_only = true);
    let refused = source.poll().await.expect("a look").retry_refused.expect("it is forbidden");
    assert!(refused.contains("read-only"), "{refused}");
    let error = source.reset(&[ResetRow { id: RowId(1), seen_retries: 5 }]).await.expect_err("it is forbidden");
    assert_eq!(error.kind, SourceErrorKind::NotAllowed);
    assert_eq!(source.event(RowId(1)).await.expect("an answer").expect("the row").row.retries, Some(5));
}

async fn accounts_of_every_kind_come_in(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    for method in database.version.methods() {
        let account = database.account(Login::By(method), &granted(database).0).await;
        looks_everywhere(&source_as(database, account)).await;
    }
}
