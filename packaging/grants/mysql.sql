-- The least rights that the console needs on MySQL or MariaDB (OpenMRS, Crater and others of their kind).
--
-- Before running this: put your database's name in the place of openmrs, the console's host in the place of '%' if you
-- know it, and a password of your own. Leave out the tables that your database does not have: MySQL refuses a GRANT on a
-- table that is not there. `atomfeed-console check` says afterwards what is still missing.
--
-- Run the first part for looking only, both for acting.

-- 1. Looking only ------------------------------------------------------------------------------------------------------

CREATE USER 'atomfeed_console'@'%' IDENTIFIED BY 'a password of your own';

GRANT SELECT ON openmrs.failed_events TO 'atomfeed_console'@'%';
GRANT SELECT ON openmrs.failed_event_retry_log TO 'atomfeed_console'@'%';
GRANT SELECT ON openmrs.markers TO 'atomfeed_console'@'%';
GRANT SELECT ON openmrs.event_records TO 'atomfeed_console'@'%';
GRANT SELECT ON openmrs.event_records_queue TO 'atomfeed_console'@'%';
GRANT SELECT ON openmrs.event_records_offset_marker TO 'atomfeed_console'@'%';
GRANT SELECT ON openmrs.chunking_history TO 'atomfeed_console'@'%';

-- 2. Acting ------------------------------------------------------------------------------------------------------------

-- Retry sets retries to 0. failed_at is written as well, to the value it has: with ON UPDATE CURRENT_TIMESTAMP, as MySQL
-- 5.x made this column, it would otherwise become the time of the click.
-- No row is locked to be read, and no other column is written.
GRANT UPDATE (retries, failed_at) ON openmrs.failed_events TO 'atomfeed_console'@'%';

-- Discarding a failed event deletes it with its retry log, and restoring puts both back: leave these out where that must
-- not be done from the console.
GRANT INSERT, DELETE ON openmrs.failed_events TO 'atomfeed_console'@'%';
GRANT INSERT, DELETE ON openmrs.failed_event_retry_log TO 'atomfeed_console'@'%';
