//! Making the tables, for an integration that begins: the structure that the original's own migrations give them.

use super::{
    database::{Backend, Database, DatabaseError, Statement},
    shape::TableName,
};

impl Database {
    /// Makes the tables of a consumer that are not there yet: markers, failed_events, failed_event_retry_log.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn create_consumer_tables(&self) -> Result<(), DatabaseError> {
        use TableName::{FailedEventRetryLog, FailedEvents, Markers};
        self.create(&[Markers, FailedEvents, FailedEventRetryLog]).await
    }

    /// Makes the tables of a publisher that are not there yet, and the usual row of chunking_history (five events a
    /// page, from the first on) if it has none.
    ///
    /// # Errors
    /// The database refuses.
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
        let (key, time) = match self.backend() {
            Backend::MySql => ("bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY", "timestamp(3) NULL DEFAULT NULL"),
            Backend::Postgres => ("serial PRIMARY KEY", "timestamp without time zone"),
            Backend::Sqlite => ("integer PRIMARY KEY AUTOINCREMENT", "timestamp"),
        };
        let (text, long) = ("varchar(255)", "varchar(4000)");
        let failed = [
            ("id", key),
            ("feed_uri", text),
            ("failed_at", time),
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
