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

-- 3. Records: patients, orders and results behind the events --------------------------------------------------------------

-- By column, so that values of results, addresses and amounts cannot be read at all. Leave out what you do not want to be
-- shown: without person_name there are no names, and everything else works. Leave out tables that your version lacks.
GRANT SELECT (person_id, uuid, voided) ON openmrs.person TO 'atomfeed_console'@'%';
GRANT SELECT (patient_id, identifier, identifier_type, preferred, voided) ON openmrs.patient_identifier TO 'atomfeed_console'@'%';
GRANT SELECT (person_id, given_name, middle_name, family_name, preferred, voided) ON openmrs.person_name TO 'atomfeed_console'@'%';
GRANT SELECT (winner_person_id, loser_person_id, voided) ON openmrs.person_merge_log TO 'atomfeed_console'@'%';
GRANT SELECT (encounter_id, uuid, encounter_type, encounter_datetime, patient_id, location_id, voided, date_created, date_changed) ON openmrs.encounter TO 'atomfeed_console'@'%';
GRANT SELECT (encounter_type_id, name) ON openmrs.encounter_type TO 'atomfeed_console'@'%';
GRANT SELECT (location_id, name) ON openmrs.location TO 'atomfeed_console'@'%';
GRANT SELECT (order_id, uuid, order_number, order_type_id, concept_id, encounter_id, patient_id, order_action, voided, date_stopped, date_created) ON openmrs.orders TO 'atomfeed_console'@'%';
GRANT SELECT (order_type_id, name) ON openmrs.order_type TO 'atomfeed_console'@'%';
GRANT SELECT (order_id) ON openmrs.test_order TO 'atomfeed_console'@'%';
-- From OpenMRS 2.5:
-- GRANT SELECT (order_id) ON openmrs.referral_order TO 'atomfeed_console'@'%';
GRANT SELECT (order_id, drug_inventory_id, drug_non_coded) ON openmrs.drug_order TO 'atomfeed_console'@'%';
GRANT SELECT (drug_id, uuid, name, retired) ON openmrs.drug TO 'atomfeed_console'@'%';
GRANT SELECT (concept_id, uuid, retired) ON openmrs.concept TO 'atomfeed_console'@'%';
GRANT SELECT (concept_id, name, locale, locale_preferred, concept_name_type, voided) ON openmrs.concept_name TO 'atomfeed_console'@'%';
-- That a result is there, never its value:
GRANT SELECT (order_id, date_created, obs_group_id, voided) ON openmrs.obs TO 'atomfeed_console'@'%';
-- Where these modules are installed:
-- GRANT SELECT (uuid, patient_id) ON openmrs.bed_patient_assignment_map TO 'atomfeed_console'@'%';
-- GRANT SELECT (uuid, patient_id) ON openmrs.patient_program TO 'atomfeed_console'@'%';
-- GRANT SELECT (uuid, patient_id) ON openmrs.patient_appointment TO 'atomfeed_console'@'%';
