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

-- 3. Records: patients, orders and results behind the events --------------------------------------------------------------

-- By column, so that values of results and amounts cannot be read at all. Run the part of your application.

-- OpenELIS (schema clinlims). Neither result nor site_information, which holds passwords:
GRANT SELECT (id, uuid, lastupdated) ON clinlims.patient TO atomfeed_console;
GRANT SELECT (id, uuid, accession_number, entered_date) ON clinlims.sample TO atomfeed_console;
GRANT SELECT (samp_id, patient_id) ON clinlims.sample_human TO atomfeed_console;
GRANT SELECT (id, samp_id) ON clinlims.sample_item TO atomfeed_console;
GRANT SELECT (sampitem_id, test_id, panel_id, status_id, lastupdated) ON clinlims.analysis TO atomfeed_console;
GRANT SELECT (id, name) ON clinlims.test, clinlims.panel, clinlims.status_of_sample TO atomfeed_console;
GRANT SELECT (item_id, external_id, type) ON clinlims.external_reference TO atomfeed_console;

-- Odoo and OpenERP 7 (schema public). OpenERP 7 has no order_type:
-- GRANT SELECT (id, ref, uuid, active, create_date) ON public.res_partner TO atomfeed_console;
-- GRANT SELECT (id, name, state, partner_id) ON public.sale_order TO atomfeed_console;
-- GRANT SELECT (order_id, external_id, external_order_id, create_date) ON public.sale_order_line TO atomfeed_console;
-- GRANT SELECT (id, product_tmpl_id, uuid, active) ON public.product_product TO atomfeed_console;
-- GRANT SELECT (id, name) ON public.product_template TO atomfeed_console;
-- GRANT SELECT (name) ON public.order_type TO atomfeed_console;

-- PACS integration (schema public). Not order_details, whose messages hold names and birth dates:
-- GRANT SELECT (order_uuid, order_number, date_created) ON public.test_order TO atomfeed_console;
-- GRANT SELECT (name) ON public.order_type TO atomfeed_console;
