//! What a source guarantees, on every database and every schema variant in use.
//!
//! Each test is a function on its own database; `everywhere!` makes a test of it for every server and variant,
//! `on_each_server!` for one variant per server. `scripts/test-databases` starts the servers.

/// A module of tests for one server and variant. Its name begins with the server's name, which selects the tests of one
/// kind of server.
macro_rules! on {
    ($module:ident, $server:ident, $variant:ident: $($test:ident)*) => {
        mod $module {
            use crate::support::database::{Server, TestDatabase, Variant};
            const _: () = assert!(Server::$server.begins(stringify!($module)), "the name begins with the server's");
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let mut database = TestDatabase::new(Server::$server, Variant::$variant).await;
                    super::$test(&mut database).await;
                    database.remove().await;
                }
            )*
        }
    };
}

macro_rules! on_each_server {
    ($($test:ident)*) => {
        on!(mysql, Mysql, OpenMrs: $($test)*);
        on!(mysql_old, MysqlOld, OpenMrs: $($test)*);
        on!(postgres, Postgres, OpenElis: $($test)*);
        on!(sqlite, Sqlite, Text: $($test)*);
    };
}

macro_rules! everywhere {
    ($($test:ident)*) => {
        on!(mysql_openmrs, Mysql, OpenMrs: $($test)*);
        on!(mysql_old_openmrs, MysqlOld, OpenMrs: $($test)*);
        on!(postgres_openelis, Postgres, OpenElis: $($test)*);
        on!(sqlite_text, Sqlite, Text: $($test)*);
        on!(mysql_latin1, Mysql, Latin1: $($test)*);
        on!(mysql_module, Mysql, ModuleAtomfeed: $($test)*);
        on!(mysql_old_oldest, MysqlOld, Oldest: $($test)*);
        on!(postgres_dump, Postgres, OpenElisDump: $($test)*);
        on!(postgres_odoo, Postgres, Odoo: $($test)*);
        on!(postgres_odoo10, Postgres, Odoo10: $($test)*);
        on!(postgres_pacs, Postgres, Pacs: $($test)*);
        on!(postgres_oldest, Postgres, Oldest: $($test)*);
        on!(sqlite_millis, Sqlite, Millis: $($test)*);
        on!(sqlite_oldest, Sqlite, Oldest: $($test)*);
    };
}

mod busy;
mod connection;
mod discard;
mod events;
mod hurt;
mod ledger;
mod limits;
mod lists;
mod looks;
mod pages;
mod published;
mod records;
mod reset;
mod rights;
mod times;
