//! Texts far longer than the known schemas allow: cut by the database, and searched only as far as they are shown.

use atomfeed_console::{
    model::{
        FailedEvent,
        filter::{Direction, Filter, PASTED},
    },
    server::sources::{ListRequest, SearchIn, Source, TextLimit},
};

use crate::support::database::{Server, TestDatabase};

on_each_server! {
    a_search_compares_the_beginning_of_a_text_and_comes_to_its_end
}

/// Makes the columns of texts as wide as the database has them, as in tables that people made by hand.
async fn widen(database: &mut TestDatabase, table: &str, columns: &[&str]) {
    let name = database.table(table);
    for column in columns {
        match database.server {
            Server::Mariadb | Server::Mariadb57 => {
                database.run(&format!("ALTER TABLE {name} MODIFY {column} LONGTEXT")).await;
            }
            Server::Postgres => database.run(&format!("ALTER TABLE {name} ALTER {column} TYPE text")).await,
            Server::Sqlite => {}
        }
    }
}

/// A text of so many letters, as the database makes it.
fn letters(database: &TestDatabase, number: u32) -> String {
    match database.server {
        Server::Sqlite => format!("REPLACE(HEX(ZEROBLOB({})), '00', 'xx')", number / 2),
        _ => format!("REPEAT('x', {number})"),
    }
}

async fn found(source: &Source, text: &str) -> usize {
    let filter = Filter { text: Some(text.to_owned()), ..Filter::default() };
    let request = ListRequest {
        filter: &filter,
        from: None,
        direction: Direction::Forward,
        limit: 10,
        texts: TextLimit::LIST,
        search: SearchIn::Everything,
    };
    source.list(&request).await.expect("the search comes to its end").rows.len()
}

async fn a_search_compares_the_beginning_of_a_text_and_comes_to_its_end(database: &mut TestDatabase) {
    let rows = [database.failed(1), database.failed(2)];
    database.insert(&rows).await;
    widen(database, "failed_events", &["error_message"]).await;
    let (table, long) = (database.table("failed_events"), letters(database, 5_000_000));
    let mysql = database.is_mysql();
    let join = |parts: [&str; 2]| match mysql {
        true => format!("CONCAT({}, {})", parts[0], parts[1]),
        false => format!("{} || {}", parts[0], parts[1]),
    };
    let (end, begin) = (join([&long, "'needle'"]), join(["'pin'", &long]));
    database.run(&format!("UPDATE {table} SET error_message = {end} WHERE id = 1")).await;
    database.run(&format!("UPDATE {table} SET error_message = {begin} WHERE id = 2")).await;
    let source = database.source();
    // The worst there is: at every letter of the text it fails at the last letter of the pattern.
    assert_eq!(found(&source, &format!("{}y", "x".repeat(PASTED - 1))).await, 2, "its first letters are all x");
    assert_eq!(found(&source, &format!("{}y", "x".repeat(199))).await, 0);
    assert_eq!(found(&source, "pinx").await, 1);
    assert_eq!(found(&source, "needle").await, 0, "five million letters in");
    let shown = FailedEvent::TEXT_LIMIT - 6;
    let edge = join([&letters(database, shown), "'needle'"]);
    database.run(&format!("UPDATE {table} SET error_message = {edge} WHERE id = 1")).await;
    assert_eq!(found(&source, "needle").await, 1, "as far as a page shows a text");
}
