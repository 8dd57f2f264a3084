//! The systems' own tables that hold the records behind the events: the real names, and the columns that lead from a
//! record to what people call it, with the indexes of the real databases.
//!
//! Some are missing on purpose, as they are in hospitals: OpenELIS has none on `sample.uuid` and
//! `external_reference.external_id`, PACS none at all but its primary keys.

/// OpenMRS. Identifiers and names are compared without regard to case, as in MySQL.
pub(in crate::demo) const OPENMRS: &str = "
    CREATE TABLE IF NOT EXISTS person (
        person_id integer PRIMARY KEY AUTOINCREMENT, gender varchar(50), birthdate date,
        birthdate_estimated tinyint NOT NULL DEFAULT 0, dead tinyint NOT NULL DEFAULT 0, date_created datetime,
        date_changed datetime, voided tinyint NOT NULL DEFAULT 0, uuid char(38) NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS patient (
        patient_id integer PRIMARY KEY, date_created datetime, date_changed datetime, voided tinyint NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS patient_identifier_type (
        patient_identifier_type_id integer PRIMARY KEY, name varchar(50) NOT NULL, uuid char(38) NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS patient_identifier (
        patient_identifier_id integer PRIMARY KEY AUTOINCREMENT, patient_id int NOT NULL,
        identifier varchar(50) NOT NULL COLLATE NOCASE, identifier_type int NOT NULL,
        preferred tinyint NOT NULL DEFAULT 0, date_created datetime, voided tinyint NOT NULL DEFAULT 0);
    CREATE INDEX IF NOT EXISTS identifier_name ON patient_identifier (identifier);
    CREATE INDEX IF NOT EXISTS idx_patient_identifier_patient ON patient_identifier (patient_id);
    CREATE TABLE IF NOT EXISTS person_name (
        person_name_id integer PRIMARY KEY AUTOINCREMENT, preferred tinyint NOT NULL DEFAULT 0, person_id int NOT NULL,
        given_name varchar(50) COLLATE NOCASE, middle_name varchar(50) COLLATE NOCASE,
        family_name varchar(50) COLLATE NOCASE, date_created datetime, voided tinyint NOT NULL DEFAULT 0);
    CREATE INDEX IF NOT EXISTS name_for_patient ON person_name (person_id);
    CREATE INDEX IF NOT EXISTS first_name ON person_name (given_name);
    CREATE INDEX IF NOT EXISTS last_name ON person_name (family_name);
    CREATE TABLE IF NOT EXISTS encounter_type (encounter_type_id integer PRIMARY KEY, name varchar(50) NOT NULL);
    CREATE TABLE IF NOT EXISTS location (location_id integer PRIMARY KEY, name varchar(255) NOT NULL);
    CREATE TABLE IF NOT EXISTS encounter (
        encounter_id integer PRIMARY KEY AUTOINCREMENT, encounter_type int NOT NULL, patient_id int NOT NULL,
        location_id int, encounter_datetime datetime NOT NULL, date_created datetime, date_changed datetime,
        voided tinyint NOT NULL DEFAULT 0, visit_id int, uuid char(38) NOT NULL UNIQUE);
    CREATE INDEX IF NOT EXISTS encounter_patient ON encounter (patient_id);
    CREATE INDEX IF NOT EXISTS encounter_visit_id_fk ON encounter (visit_id);
    CREATE INDEX IF NOT EXISTS encounter_datetime_idx ON encounter (encounter_datetime);
    CREATE TABLE IF NOT EXISTS order_type (
        order_type_id integer PRIMARY KEY, name varchar(255) NOT NULL, java_class_name varchar(255) NOT NULL);
    CREATE TABLE IF NOT EXISTS orders (
        order_id integer PRIMARY KEY AUTOINCREMENT, order_type_id int NOT NULL, concept_id int NOT NULL,
        encounter_id int NOT NULL, patient_id int NOT NULL, order_number varchar(50) NOT NULL,
        order_action varchar(50) NOT NULL DEFAULT 'NEW', previous_order_id int, accession_number varchar(255),
        urgency varchar(50) NOT NULL DEFAULT 'ROUTINE', date_activated datetime, date_stopped datetime,
        date_created datetime, voided tinyint NOT NULL DEFAULT 0, fulfiller_status varchar(50),
        uuid char(38) NOT NULL UNIQUE);
    CREATE INDEX IF NOT EXISTS orders_order_number ON orders (order_number);
    CREATE INDEX IF NOT EXISTS orders_accession_number ON orders (accession_number);
    CREATE INDEX IF NOT EXISTS orders_in_encounter ON orders (encounter_id);
    CREATE INDEX IF NOT EXISTS order_for_patient ON orders (patient_id);
    CREATE INDEX IF NOT EXISTS previous_order_id_order_id ON orders (previous_order_id);
    CREATE TABLE IF NOT EXISTS concept (
        concept_id integer PRIMARY KEY AUTOINCREMENT, retired tinyint NOT NULL DEFAULT 0, class_id int,
        is_set tinyint NOT NULL DEFAULT 0, date_created datetime, uuid char(38) NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS concept_name (
        concept_name_id integer PRIMARY KEY AUTOINCREMENT, concept_id int, name varchar(255) NOT NULL COLLATE NOCASE,
        locale varchar(50) NOT NULL, locale_preferred tinyint DEFAULT 0, concept_name_type varchar(50),
        voided tinyint NOT NULL DEFAULT 0);
    CREATE INDEX IF NOT EXISTS name_of_concept ON concept_name (name);
    CREATE INDEX IF NOT EXISTS name_for_concept ON concept_name (concept_id);
    CREATE TABLE IF NOT EXISTS drug (
        drug_id integer PRIMARY KEY AUTOINCREMENT, concept_id int NOT NULL, name varchar(255),
        retired tinyint NOT NULL DEFAULT 0, uuid char(38) NOT NULL UNIQUE);
    CREATE INDEX IF NOT EXISTS primary_drug_concept ON drug (concept_id);
    CREATE TABLE IF NOT EXISTS drug_order (
        order_id integer PRIMARY KEY, drug_inventory_id int, drug_non_coded varchar(255));
    CREATE TABLE IF NOT EXISTS test_order (order_id integer PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS obs (
        obs_id integer PRIMARY KEY AUTOINCREMENT, person_id int NOT NULL, concept_id int NOT NULL, encounter_id int,
        order_id int, obs_datetime datetime NOT NULL, obs_group_id int, value_numeric double, date_created datetime,
        voided tinyint NOT NULL DEFAULT 0, uuid char(38) NOT NULL UNIQUE);
    CREATE INDEX IF NOT EXISTS obs_order ON obs (order_id);
    CREATE INDEX IF NOT EXISTS encounter_observations ON obs (encounter_id);
    CREATE INDEX IF NOT EXISTS person_obs ON obs (person_id);
    CREATE TABLE IF NOT EXISTS person_merge_log (
        person_merge_log_id integer PRIMARY KEY, winner_person_id int NOT NULL, loser_person_id int NOT NULL,
        date_created datetime, voided tinyint NOT NULL DEFAULT 0);
    CREATE INDEX IF NOT EXISTS person_merge_log_winner ON person_merge_log (winner_person_id);
    CREATE INDEX IF NOT EXISTS person_merge_log_loser ON person_merge_log (loser_person_id);
    CREATE TABLE IF NOT EXISTS global_property (property varchar(255) PRIMARY KEY, property_value text);
    CREATE TABLE IF NOT EXISTS bed_patient_assignment_map (
        bed_patient_assignment_map_id integer PRIMARY KEY AUTOINCREMENT, patient_id int, encounter_id int,
        date_started datetime, date_stopped datetime, uuid char(38) UNIQUE);
    CREATE TABLE IF NOT EXISTS patient_program (
        patient_program_id integer PRIMARY KEY AUTOINCREMENT, patient_id int NOT NULL, program_id int NOT NULL,
        uuid char(38) NOT NULL UNIQUE);";

/// OpenELIS.
pub(in crate::demo) const OPENELIS: &str = "
    CREATE TABLE IF NOT EXISTS person (
        id integer PRIMARY KEY AUTOINCREMENT, last_name varchar(50), first_name varchar(50), middle_name varchar(50),
        lastupdated timestamp);
    CREATE TABLE IF NOT EXISTS patient (
        id integer PRIMARY KEY AUTOINCREMENT, person_id integer NOT NULL, gender varchar(1), birth_date timestamp,
        entered_birth_date varchar(10), uuid varchar(100) CONSTRAINT unique_uuid_constraint UNIQUE,
        lastupdated timestamp);
    CREATE TABLE IF NOT EXISTS patient_identity_type (id integer PRIMARY KEY, identity_type varchar(30));
    CREATE TABLE IF NOT EXISTS patient_identity (
        id integer PRIMARY KEY AUTOINCREMENT, identity_type_id integer, patient_id integer, identity_data varchar(255),
        lastupdated timestamp);
    CREATE INDEX IF NOT EXISTS patient_identity_patient_id_idx ON patient_identity (patient_id);
    CREATE TABLE IF NOT EXISTS sample (
        id integer PRIMARY KEY AUTOINCREMENT, accession_number varchar(20) CONSTRAINT accnum_uk UNIQUE,
        uuid varchar(100), status_id integer, priority integer, entered_date timestamp, collection_date timestamp,
        lastupdated timestamp);
    CREATE INDEX IF NOT EXISTS sample_lastupdated_idx ON sample (lastupdated);
    CREATE TABLE IF NOT EXISTS sample_human (
        id integer PRIMARY KEY AUTOINCREMENT, samp_id integer NOT NULL UNIQUE, patient_id integer,
        lastupdated timestamp);
    CREATE INDEX IF NOT EXISTS sample_human_patient_id_idx ON sample_human (patient_id);
    CREATE TABLE IF NOT EXISTS sample_item (
        id integer PRIMARY KEY AUTOINCREMENT, samp_id integer, typeosamp_id integer, lastupdated timestamp);
    CREATE INDEX IF NOT EXISTS sample_item_samp_id_idx ON sample_item (samp_id);
    CREATE TABLE IF NOT EXISTS analysis (
        id integer PRIMARY KEY AUTOINCREMENT, sampitem_id integer, test_id integer, panel_id integer,
        status_id integer, entry_date timestamp, released_date timestamp, lastupdated timestamp);
    CREATE INDEX IF NOT EXISTS analysis_sampitem_fk_i ON analysis (sampitem_id);
    CREATE TABLE IF NOT EXISTS test (
        id integer PRIMARY KEY AUTOINCREMENT, name varchar(255) NOT NULL, is_active varchar(1) DEFAULT 'Y',
        lastupdated timestamp);
    CREATE TABLE IF NOT EXISTS panel (
        id integer PRIMARY KEY AUTOINCREMENT, name varchar(255), lastupdated timestamp);
    CREATE TABLE IF NOT EXISTS status_of_sample (
        id integer PRIMARY KEY, name varchar(30), status_type varchar(10) NOT NULL);
    CREATE TABLE IF NOT EXISTS external_reference (
        id integer PRIMARY KEY AUTOINCREMENT, item_id integer NOT NULL, external_id varchar(50) NOT NULL,
        type varchar(50) NOT NULL, UNIQUE (item_id, type));";

/// Odoo 16, as of July 2026. A template's name is a text per language.
pub(in crate::demo) const ODOO: &str = "
    CREATE TABLE IF NOT EXISTS res_partner (
        id integer PRIMARY KEY AUTOINCREMENT, name varchar, ref varchar, uuid varchar, active boolean DEFAULT 1,
        create_date timestamp, write_date timestamp);
    CREATE INDEX IF NOT EXISTS res_partner_ref_index ON res_partner (ref);
    CREATE TABLE IF NOT EXISTS sale_order (
        id integer PRIMARY KEY AUTOINCREMENT, name varchar NOT NULL, state varchar, origin varchar,
        partner_id integer NOT NULL, partner_invoice_id integer, shop_id integer, date_order timestamp,
        invoice_status varchar, create_date timestamp, write_date timestamp);
    CREATE INDEX IF NOT EXISTS sale_order_partner_id_index ON sale_order (partner_id);
    CREATE INDEX IF NOT EXISTS sale_order_state_index ON sale_order (state);
    CREATE TABLE IF NOT EXISTS sale_order_line (
        id integer PRIMARY KEY AUTOINCREMENT, order_id integer NOT NULL, product_id integer, product_uom_qty numeric,
        external_id varchar, external_order_id varchar, dispensed boolean, create_date timestamp,
        write_date timestamp);
    CREATE INDEX IF NOT EXISTS sale_order_line_order_id_index ON sale_order_line (order_id);
    CREATE INDEX IF NOT EXISTS sale_order_line_external_order_id_index ON sale_order_line (external_order_id)
        WHERE external_order_id IS NOT NULL;
    CREATE TABLE IF NOT EXISTS product_template (
        id integer PRIMARY KEY AUTOINCREMENT, name jsonb NOT NULL, active boolean DEFAULT 1, sale_ok boolean DEFAULT 1,
        type varchar);
    CREATE TABLE IF NOT EXISTS product_product (
        id integer PRIMARY KEY AUTOINCREMENT, product_tmpl_id integer NOT NULL, uuid varchar, active boolean DEFAULT 1,
        create_date timestamp, write_date timestamp);
    CREATE INDEX IF NOT EXISTS product_product_uuid_index ON product_product (uuid);
    CREATE TABLE IF NOT EXISTS order_type (id integer PRIMARY KEY, name varchar NOT NULL);
    CREATE TABLE IF NOT EXISTS sale_shop (id integer PRIMARY KEY, name varchar NOT NULL);
    CREATE TABLE IF NOT EXISTS order_type_shop_map (
        id integer PRIMARY KEY AUTOINCREMENT, order_type integer NOT NULL, shop_id integer, location_name varchar,
        location_id integer);";

/// pacs-integration.
pub(in crate::demo) const PACS: &str = "
    CREATE TABLE IF NOT EXISTS order_type (id integer PRIMARY KEY, name varchar(25) NOT NULL, modality_id integer);
    CREATE TABLE IF NOT EXISTS test_order (
        id integer PRIMARY KEY AUTOINCREMENT, order_type_id integer NOT NULL, order_uuid varchar(255) NOT NULL,
        order_number varchar(16), test_name varchar(255), test_uuid varchar(255), creator varchar(255),
        date_created timestamp, comment varchar(255));";
