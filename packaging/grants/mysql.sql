-- The minimum rights that the console needs on MySQL or MariaDB (OpenMRS, Crater and similar applications).
--
-- Before running this: replace openmrs by your database's name, '%' by the console's host if you know it, and the
-- password by your own. Leave out the tables that your database does not have: MySQL refuses a GRANT on a missing
-- table. `atomfeed-console check` says afterwards what is still missing.
--
-- Run the first part for reading only, both for acting.

-- 1. Looking only ------------------------------------------------------------------------------------------------------

CREATE USER 'atomfeed_console'@'%' IDENTIFIED BY 'a password of your own';

GRANT SELECT ON openmrs.failed_events TO 'atomfeed_console'@'%';
GRANT SELECT ON openmrs.failed_event_retry_log TO 'atomfeed_console'@'%';
GRANT SELECT ON openmrs.markers TO 'atomfeed_console'@'%';
GRANT SELECT ON openmrs.event_records TO 'atomfeed_console'@'%';
GRANT SELECT ON openmrs.event_records_queue TO 'atomfeed_console'@'%';
GRANT SELECT ON openmrs.event_records_offset_marker TO 'atomfeed_console'@'%';
GRANT SELECT ON openmrs.chunking_history TO 'atomfeed_console'@'%';

-- Optional, for OpenMRS: whether publishing is switched off. The view shows these settings alone, and not the whole table
-- global_property. Remove the two hyphens before each line.
--
-- CREATE SQL SECURITY DEFINER VIEW openmrs.atomfeed_settings AS
--     SELECT property, property_value FROM openmrs.global_property
--     WHERE property IN ('encounter.feed.publish.url', 'atomfeed.enable.publish',
--         'atomfeed.publish.eventsForPatientProgramStateChange', 'atomfeed.publish.eventsForAppointments');
-- GRANT SELECT ON openmrs.atomfeed_settings TO 'atomfeed_console'@'%';

-- 2. Acting ------------------------------------------------------------------------------------------------------------

-- Retry sets retries to 0. failed_at is written as well, with its present value: with ON UPDATE CURRENT_TIMESTAMP, as
-- MySQL 5.x creates this column, it would otherwise become the time of the retry. No row is locked for reading, and no
-- other column is written.
GRANT UPDATE (retries, failed_at) ON openmrs.failed_events TO 'atomfeed_console'@'%';

-- Discarding a failed event deletes it with its retry log, and restoring inserts both again: leave these out if the
-- console must not do that.
GRANT INSERT, DELETE ON openmrs.failed_events TO 'atomfeed_console'@'%';
GRANT INSERT, DELETE ON openmrs.failed_event_retry_log TO 'atomfeed_console'@'%';
