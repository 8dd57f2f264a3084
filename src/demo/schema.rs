//! The tables of the four applications, with the differences of the real ones.
//!
//! The column types are those of the original databases; SQLite keeps them as words. PACS has an old schema without
//! `tags` and publishes nothing, and only OpenMRS and PACS forbid two markers for one feed. Ids are never reused, like
//! those from the sequences of the original databases; SQLite does this only on request (AUTOINCREMENT).

/// OpenMRS: MySQL, which treats `encounter` and `Encounter` as equal.
pub(super) const OPENMRS: &str = "
    CREATE TABLE failed_events (
        id integer PRIMARY KEY AUTOINCREMENT, feed_uri varchar(255), failed_at timestamp, error_message varchar(4000),
        event_id varchar(255), event_content varchar(4000), error_hash_code int, title varchar(255),
        retries int NOT NULL DEFAULT 0, tags varchar(255));
    CREATE TABLE failed_event_retry_log (
        id integer PRIMARY KEY AUTOINCREMENT, feed_uri varchar(255), failed_at timestamp, error_message varchar(4000),
        event_id varchar(255), event_content varchar(4000), error_hash_code int);
    CREATE TABLE markers (
        feed_uri varchar(255) PRIMARY KEY, last_read_entry_id varchar(250), feed_uri_for_last_read_entry varchar(255));
    CREATE TABLE event_records (
        id integer PRIMARY KEY AUTOINCREMENT, uuid varchar(40), title varchar(255), timestamp timestamp, uri varchar(255),
        object varchar(1000), category varchar(255) COLLATE NOCASE, date_created timestamp, tags varchar(255));
    CREATE INDEX event_records_category_idx ON event_records (category);
    CREATE TABLE event_records_queue (
        id integer PRIMARY KEY AUTOINCREMENT, uuid varchar(40), title varchar(255), timestamp timestamp, uri varchar(255),
        object varchar(1000), category varchar(255) COLLATE NOCASE, tags varchar(255));
    CREATE TABLE chunking_history (id integer PRIMARY KEY AUTOINCREMENT, chunk_length bigint, start bigint);
    CREATE TABLE event_records_offset_marker (
        id integer PRIMARY KEY AUTOINCREMENT, event_id int, event_count int, category varchar(255) COLLATE NOCASE);";

/// OpenELIS: PostgreSQL, schema clinlims.
pub(super) const OPENELIS: &str = "
    CREATE TABLE failed_events (
        id integer PRIMARY KEY AUTOINCREMENT, feed_uri varchar(255), failed_at timestamp(6), error_message varchar(4000),
        event_id varchar(255), event_content varchar(4000), error_hash_code int, title varchar(255),
        retries int NOT NULL DEFAULT 0, tags varchar(255));
    CREATE TABLE failed_event_retry_log (
        id integer PRIMARY KEY AUTOINCREMENT, feed_uri varchar(255), failed_at timestamp(6), error_message varchar(4000),
        event_id varchar(255), event_content varchar(4000), error_hash_code int);
    CREATE TABLE markers (
        id integer PRIMARY KEY AUTOINCREMENT, feed_uri varchar(250), last_read_entry_id varchar(250),
        feed_uri_for_last_read_entry varchar(250));
    CREATE TABLE event_records (
        id integer PRIMARY KEY AUTOINCREMENT, uuid varchar(40), title varchar(255), timestamp timestamptz, uri varchar(255),
        object varchar(1000), category varchar(255), date_created timestamptz, tags varchar(255));
    CREATE TABLE event_records_queue (
        id integer PRIMARY KEY AUTOINCREMENT, uuid varchar(40), title varchar(255), timestamp timestamptz, uri varchar(255),
        object varchar(1000), category varchar(255), tags varchar(255));
    CREATE TABLE chunking_history (id integer PRIMARY KEY AUTOINCREMENT, chunk_length bigint, start bigint);
    CREATE TABLE event_records_offset_marker (
        id integer PRIMARY KEY, event_id int, event_count int, category varchar(255));";

/// Odoo: PostgreSQL, schema public. Odoo defines its own table of markers, with its four housekeeping columns.
pub(super) const ODOO: &str = "
    CREATE TABLE failed_events (
        id integer PRIMARY KEY AUTOINCREMENT, feed_uri varchar(255), failed_at timestamp, error_message varchar(4000),
        event_id varchar(255), event_content varchar(4000), error_hash_code int, title varchar(255),
        retries int NOT NULL DEFAULT 0, tags varchar(255));
    CREATE TABLE failed_event_retry_log (
        id integer PRIMARY KEY AUTOINCREMENT, feed_uri varchar(255), failed_at timestamp, error_message varchar(4000),
        event_id varchar(255), event_content varchar(4000), error_hash_code int);
    CREATE TABLE markers (
        id integer PRIMARY KEY, feed_uri varchar(250) NOT NULL, last_read_entry_id varchar(250) NOT NULL,
        feed_uri_for_last_read_entry varchar(250) NOT NULL, create_uid int, create_date timestamp, write_uid int,
        write_date timestamp);
    CREATE TABLE event_records (
        id integer PRIMARY KEY AUTOINCREMENT, uuid varchar(40), title varchar(255), timestamp timestamp, uri varchar(255),
        object varchar(1000), category varchar(255), date_created timestamp, tags varchar(255));
    CREATE TABLE event_records_queue (
        id integer PRIMARY KEY AUTOINCREMENT, uuid varchar(40), title varchar(255), timestamp timestamp, uri varchar(255),
        object varchar(1000), category varchar(255), tags varchar(255));
    CREATE TABLE chunking_history (id integer PRIMARY KEY, chunk_length bigint, start bigint);
    CREATE TABLE event_records_offset_marker (
        id integer PRIMARY KEY, event_id int, event_count int, category varchar(255));";

/// pacs-integration: PostgreSQL 9.6, schema public.
pub(super) const PACS: &str = "
    CREATE TABLE failed_events (
        id integer PRIMARY KEY AUTOINCREMENT, feed_uri varchar(255), failed_at timestamp, error_message varchar(4000),
        event_id varchar(255), event_content varchar(4000), error_hash_code int, title varchar(255),
        retries int NOT NULL DEFAULT 0);
    CREATE TABLE failed_event_retry_log (
        id integer PRIMARY KEY AUTOINCREMENT, feed_uri varchar(255), failed_at timestamp, error_message varchar(4000),
        event_id varchar(255), event_content varchar(4000), error_hash_code int);
    CREATE TABLE markers (
        feed_uri varchar(255) PRIMARY KEY, last_read_entry_id varchar(250), feed_uri_for_last_read_entry varchar(255));
    CREATE TABLE event_records_offset_marker (
        id integer PRIMARY KEY, event_id int, event_count int, category varchar(255));";
