-- The least rights that the console needs on PostgreSQL (OpenELIS, Odoo, PACS).
--
-- Before running this, connected to the application's database: put its name in the place of clinlims, its schema in the
-- place of clinlims after SCHEMA and before each table (Odoo and PACS: public), and a password of your own. Leave out the
-- tables that your database does not have. `atomfeed-console check` says afterwards what is still missing.
--
-- Run the first part for looking only, both for acting.

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

-- Retry sets retries to 0. No row is locked to be read, and no other column is written.
GRANT UPDATE (retries) ON clinlims.failed_events TO atomfeed_console;

-- Discarding a failed event deletes it with its retry log, and restoring puts both back: leave these out where that must
-- not be done from the console. An id that is taken meanwhile is replaced by a new one of the sequence, where there is
-- one (Odoo, PACS); with the right to read it, an id that it would give out again is not used.
GRANT INSERT, DELETE ON clinlims.failed_events TO atomfeed_console;
GRANT INSERT, DELETE ON clinlims.failed_event_retry_log TO atomfeed_console;
-- GRANT USAGE, SELECT ON SEQUENCE public.failed_events_id_seq TO atomfeed_console;
-- GRANT USAGE, SELECT ON SEQUENCE public.failed_event_retry_log_id_seq TO atomfeed_console;
