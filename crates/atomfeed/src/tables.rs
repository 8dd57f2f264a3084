//! Creates the tables for a new integration in a form that the Java library can use as well.
//!
//! A publisher's tables follow that library's migrations (`sql/db_migrations.xml` of its server) with the changes of
//! OpenMRS: on MySQL the ids are `int`, because the library reads them as Java's `Integer`, and `timestamp` has a
//! default, because the library never writes that column of `event_records`. SQLite, which the library does not
//! support, needs neither.

use super::{
    database::{Backend, Database, DatabaseError, Reads, Statement},
    shape::TableName,
};

impl Database {
    /// Creates the missing tables of a consumer: markers, failed_events, failed_event_retry_log.
    ///
    /// # Errors
    /// Fails if the database refuses.
    pub async fn create_consumer_tables(&self) -> Result<(), DatabaseError> {
        use TableName::{FailedEventRetryLog, FailedEvents, Markers};
        self.create(&[Markers, FailedEvents, FailedEventRetryLog]).await
    }

    /// Creates the missing tables of a publisher, and the usual row of chunking_history (five events per page, from the
    /// first event on) if that table is empty.
    ///
    /// # Errors
    /// Fails if the database refuses.
    pub async fn create_publisher_tables(&self) -> Result<(), DatabaseError> {
        use TableName::{ChunkingHistory, EventRecords, EventRecordsQueue, OffsetMarker};
        self.create(&[EventRecordsQueue, EventRecords, ChunkingHistory, OffsetMarker]).await?;
        let shape = self.shape().await?;
        let mut transaction = self.begin();
        let rows = format!("SELECT {} FROM {}", self.text("COUNT(*)"), self.table(ChunkingHistory));
        let rows = transaction.rows(Statement::new(rows)).await?;
        if rows.into_iter().next().and_then(|mut row| row.number::<u64>()) == Some(0) {
            let usual = vec![("chunk_length", 5.into()), ("start", 1.into())];
            shape.table(ChunkingHistory)?.insert(&mut transaction, usual).await?;
        }
        transaction.commit().await
    }

    async fn create(&self, tables: &[TableName]) -> Result<(), DatabaseError> {
        for &name in tables {
            let columns: Vec<String> =
                self.columns_of(name).iter().map(|(column, kind)| format!("{} {kind}", self.column(column))).collect();
            let create = format!("CREATE TABLE IF NOT EXISTS {} ({})", self.table(name), columns.join(", "));
            let mut transaction = self.begin();
            transaction.execute(Statement::new(create)).await?;
            transaction.commit().await?;
        }
        self.forget_shape();
        Ok(())
    }

    fn columns_of(&self, name: TableName) -> Vec<(&'static str, &'static str)> {
        let Types { failed_key, failed_at, key, time } = Types::of(self.backend());
        let (text, long) = ("varchar(255)", "varchar(4000)");
        let failed = [
            ("id", failed_key),
            ("feed_uri", text),
            ("failed_at", failed_at),
            ("error_message", long),
            ("event_id", text),
            ("event_content", long),
            ("error_hash_code", "int"),
        ];
        let event = [
            ("id", key),
            ("uuid", "varchar(40)"),
            ("title", text),
            ("timestamp", time),
            ("uri", text),
            ("object", "varchar(1000)"),
            ("category", text),
            ("tags", text),
        ];
        match name {
            TableName::Markers => vec![
                ("feed_uri", "varchar(255) NOT NULL PRIMARY KEY"),
                ("last_read_entry_id", text),
                ("feed_uri_for_last_read_entry", text),
            ],
            TableName::FailedEvents => {
                [&failed[..], &[("title", text), ("retries", "int NOT NULL DEFAULT 0"), ("tags", text)]].concat()
            }
            TableName::FailedEventRetryLog => failed.to_vec(),
            TableName::EventRecordsQueue => event.to_vec(),
            TableName::EventRecords => [&event[..], &[("date_created", time)]].concat(),
            TableName::ChunkingHistory => vec![("id", key), ("chunk_length", "bigint"), ("start", "bigint")],
            TableName::OffsetMarker => {
                vec![("id", key), ("event_id", "int"), ("event_count", "int"), ("category", text)]
            }
        }
    }
}

/// Column types that differ between the databases.
struct Types {
    /// Ids of a consumer's tables.
    failed_key: &'static str,
    failed_at: &'static str,
    /// Ids of a publisher's tables.
    key: &'static str,
    /// Times of a publisher's tables.
    time: &'static str,
}

impl Types {
    fn of(backend: Backend) -> Self {
        match backend {
            Backend::MySql => Self {
                failed_key: "bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY",
                failed_at: "timestamp(3) NULL DEFAULT NULL",
                key: "int NOT NULL AUTO_INCREMENT PRIMARY KEY",
                time: "timestamp(6) NULL DEFAULT CURRENT_TIMESTAMP(6)",
            },
            Backend::Postgres => Self {
                failed_key: "serial PRIMARY KEY",
                failed_at: "timestamp without time zone",
                key: "serial PRIMARY KEY",
                time: "timestamp without time zone DEFAULT CURRENT_TIMESTAMP(6)",
            },
            Backend::Sqlite => Self {
                failed_key: "integer PRIMARY KEY AUTOINCREMENT",
                failed_at: "timestamp",
                key: "integer PRIMARY KEY AUTOINCREMENT",
                time: "timestamp",
            },
        }
    }
}
