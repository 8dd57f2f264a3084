-- The minimum rights that the console needs on PostgreSQL (OpenELIS, Odoo, PACS).
--
-- Before running this, connected to the application's database: replace clinlims after DATABASE by its name, clinlims
-- after SCHEMA and before each table by its schema (Odoo and PACS: public), and the password by your own. Leave out the
-- tables that your database does not have. `atomfeed-console check` says afterwards what is still missing.
--
-- Run the first part for reading only, both for acting.

-- 1. Looking only ------------------------------------------------------------------------------------------------------

CREATE ROLE atomfeed_console LOGIN PASSWORD 'a password of your own';

GRANT CONNECT ON DATABASE clinlims TO atomfeed_console;
-- Without USAGE on the schema no right on its tables has any effect.
GRANT USAGE ON SCHEMA clinlims TO atomfeed_console;

GRANT SELECT ON clinlims.failed_events TO atomfeed_console;
GRANT SELECT ON clinlims.failed_event_retry_log TO atomfeed_console;
GRANT SELECT ON clinlims.markers TO atomfeed_console;
GRANT SELECT ON clinlims.event_records TO atomfeed_console;
GRANT SELECT ON clinlims.event_records_queue TO atomfeed_console;
GRANT SELECT ON clinlims.event_records_offset_marker TO atomfeed_console;
GRANT SELECT ON clinlims.chunking_history TO atomfeed_console;

-- 2. Acting ------------------------------------------------------------------------------------------------------------

-- Retry sets retries to 0. No row is locked for reading, and no other column is written.
GRANT UPDATE (retries) ON clinlims.failed_events TO atomfeed_console;

-- Discarding a failed event deletes it with its retry log, and restoring inserts both again: leave these out if the
-- console must not do that. An id that is in use by then is replaced by a new one of the sequence, if there is one
-- (Odoo, PACS); with the right to read the sequence, an id that it would issue again is not used.
GRANT INSERT, DELETE ON clinlims.failed_events TO atomfeed_console;
GRANT INSERT, DELETE ON clinlims.failed_event_retry_log TO atomfeed_console;
-- GRANT USAGE, SELECT ON SEQUENCE public.failed_events_id_seq TO atomfeed_console;
-- GRANT USAGE, SELECT ON SEQUENCE public.failed_event_retry_log_id_seq TO atomfeed_console;
