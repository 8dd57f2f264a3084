//! The records behind the events of the demo hospital agree over its systems, and with what was read and what failed.

use std::path::Path;

use atomfeed_console::{
    demo::{self, Hospital, Options},
    model::demo::Example,
};
use sqlx::SqliteConnection;

use super::{ENCOUNTERS, PATIENTS, count, life::Working, open};

/// Opens all databases of a new hospital at once, each under its system's name.
async fn hospital(folder: &Path) -> SqliteConnection {
    // The same hospital in every run.
    let now = "2026-11-30T08:30:00Z".parse().expect("a time");
    demo::prepare(folder, Options::at(now), 0).await.expect("a hospital");
    together(folder).await
}

async fn together(folder: &Path) -> SqliteConnection {
    // Databases that are attached to one in memory would be in memory, too.
    let mut database = open(folder, "together").await;
    for system in ["openmrs", "openelis", "odoo", "pacs"] {
        let file = folder.join(format!("{system}.db")).to_string_lossy().into_owned();
        sqlx::query(sqlx::AssertSqlSafe(format!("ATTACH ? AS {system}")))
            .bind(file)
            .execute(&mut database)
            .await
            .expect("the system's database");
    }
    database
}

#[tokio::test]
async fn what_a_system_has_of_another_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut database = hospital(folder.path()).await;
    // Each counts rows that refer to nothing, or to something else than they should.
    for wrong in [
        "SELECT count(*) FROM odoo.sale_order_line l WHERE NOT EXISTS (SELECT 1 FROM openmrs.orders o
            JOIN openmrs.encounter e USING (encounter_id) JOIN openmrs.person p ON p.person_id = o.patient_id
            JOIN odoo.sale_order s ON s.id = l.order_id JOIN odoo.res_partner r ON r.id = s.partner_id
            WHERE o.uuid = l.external_order_id AND e.uuid = l.external_id AND r.uuid = p.uuid)",
        "SELECT count(*) FROM odoo.sale_order_line l JOIN odoo.product_product pp ON pp.id = l.product_id
            JOIN openmrs.orders o ON o.uuid = l.external_order_id JOIN openmrs.concept c USING (concept_id)
            LEFT JOIN openmrs.drug_order dr ON dr.order_id = o.order_id
            LEFT JOIN openmrs.drug d ON d.drug_id = dr.drug_inventory_id
            WHERE pp.uuid <> ifnull(d.uuid, c.uuid)",
        "SELECT count(*) FROM odoo.sale_order_line WHERE product_id NOT IN (SELECT id FROM odoo.product_product)",
        "SELECT count(*) FROM odoo.product_product WHERE product_tmpl_id NOT IN (SELECT id FROM odoo.product_template)",
        "SELECT count(*) FROM odoo.res_partner r WHERE NOT EXISTS (SELECT 1 FROM openmrs.patient_identifier i
            JOIN openmrs.person p ON p.person_id = i.patient_id WHERE p.uuid = r.uuid AND i.identifier = r.ref)",
        "SELECT count(*) FROM openelis.patient e JOIN openelis.patient_identity y ON y.patient_id = e.id
            WHERE NOT EXISTS (SELECT 1 FROM openmrs.patient_identifier i
            JOIN openmrs.person p ON p.person_id = i.patient_id WHERE p.uuid = e.uuid AND i.identifier = y.identity_data)",
        // A sample of somebody who came without an order has no encounter before OpenMRS has read its event.
        "SELECT count(*) FROM openelis.sample s JOIN openelis.sample_human h ON h.samp_id = s.id
            JOIN openelis.patient pt ON pt.id = h.patient_id
            WHERE NOT EXISTS (SELECT 1 FROM openmrs.encounter e JOIN openmrs.person p ON p.person_id = e.patient_id
                WHERE e.uuid = s.uuid AND p.uuid = pt.uuid)
            AND NOT EXISTS (SELECT 1 FROM openmrs.failed_events f WHERE instr(f.event_content, s.uuid))",
        "SELECT count(*) FROM openelis.sample s JOIN openelis.sample_item i ON i.samp_id = s.id
            JOIN openelis.analysis a ON a.sampitem_id = i.id
            JOIN openelis.external_reference r ON r.item_id = ifnull(a.panel_id, a.test_id)
                AND r.type = CASE WHEN a.panel_id IS NULL THEN 'Test' ELSE 'Panel' END
            JOIN openmrs.encounter e ON e.uuid = s.uuid
            WHERE NOT EXISTS (SELECT 1 FROM openmrs.orders o JOIN openmrs.concept c USING (concept_id)
                WHERE o.encounter_id = e.encounter_id AND c.uuid = r.external_id)",
        "SELECT count(*) FROM openelis.analysis WHERE test_id NOT IN (SELECT id FROM openelis.test)
            OR status_id NOT IN (SELECT id FROM openelis.status_of_sample WHERE status_type = 'ANALYSIS')",
        "SELECT count(*) FROM pacs.test_order t WHERE NOT EXISTS (SELECT 1 FROM openmrs.orders o
            WHERE o.uuid = t.order_uuid AND o.order_number = t.order_number AND o.order_type_id = 3)",
        "SELECT count(*) FROM openmrs.orders WHERE accession_number NOT IN (SELECT uuid FROM openelis.sample)",
        "SELECT count(*) FROM openmrs.obs b JOIN openmrs.orders o ON o.order_id = b.order_id
            WHERE b.person_id <> o.patient_id OR b.concept_id <> o.concept_id OR o.accession_number IS NULL",
        "SELECT count(*) FROM openmrs.drug_order WHERE drug_inventory_id NOT IN (SELECT drug_id FROM openmrs.drug)",
        "SELECT count(*) FROM openmrs.orders o JOIN openmrs.encounter e USING (encounter_id)
            WHERE e.patient_id <> o.patient_id OR concept_id NOT IN (SELECT concept_id FROM openmrs.concept_name)",
        // The records of the events.
        "SELECT count(*) FROM openmrs.event_records r WHERE category = 'patient'
            AND substr(object, 29, 36) NOT IN (SELECT uuid FROM openmrs.person)",
        "SELECT count(*) FROM openmrs.event_records r WHERE title = 'Encounter'
            AND substr(object, 48, 36) NOT IN (SELECT uuid FROM openmrs.encounter)",
        "SELECT count(*) FROM openmrs.event_records r WHERE title = 'Bed-Assignment'
            AND substr(object, 42, 36) NOT IN (SELECT uuid FROM openmrs.bed_patient_assignment_map)",
        "SELECT count(*) FROM openmrs.event_records r WHERE title IN ('test', 'panel', 'reference data')
            AND substr(object, instr(object, '-data/') + 6 + CASE title WHEN 'test' THEN 5 WHEN 'panel' THEN 6 ELSE 10 END, 36)
                NOT IN (SELECT uuid FROM openmrs.concept)",
        "SELECT count(*) FROM openmrs.event_records r WHERE title = 'drug'
            AND substr(object, 41, 36) NOT IN (SELECT uuid FROM openmrs.drug)",
        "SELECT count(*) FROM openelis.event_records r
            WHERE substr(object, 29, 36) NOT IN (SELECT uuid FROM openelis.sample WHERE accession_number IS NOT NULL)",
    ] {
        assert_eq!(count(&mut database, wrong).await, 0, "{wrong}");
    }
    for many in [
        "SELECT count(*) FROM openmrs.patient",
        "SELECT count(*) FROM openmrs.orders",
        "SELECT count(*) FROM odoo.sale_order_line",
        "SELECT count(*) FROM openelis.analysis",
        "SELECT count(*) FROM openmrs.obs",
        "SELECT count(*) FROM pacs.test_order",
    ] {
        assert!(count(&mut database, many).await > 100, "{many}");
    }
}

/// Returns the events of a feed that its consumer has read, with whether they failed.
fn read(consumer: &str, feed: &str, category: &str, title: &str, at: usize) -> String {
    format!(
        "SELECT substr(r.object, {at}, 36) AS record, EXISTS (SELECT 1 FROM {consumer}.failed_events f
            WHERE f.feed_uri = '{feed}' AND f.event_id = 'tag:atomfeed.ict4h.org:' || r.uuid) AS failed,
            r.id <= (SELECT x.id FROM openmrs.event_records x JOIN {consumer}.markers m
                ON m.last_read_entry_id = 'tag:atomfeed.ict4h.org:' || x.uuid WHERE m.feed_uri = '{feed}') AS was_read
        FROM openmrs.event_records r WHERE r.category = '{category}' AND r.title = '{title}'"
    )
}

#[tokio::test]
async fn what_was_read_and_did_not_fail_has_arrived_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut database = hospital(folder.path()).await;
    // An order of the encounter that each consumer takes, and where it has it.
    let ordered = |types: &str| {
        format!(
            "SELECT o.uuid, o.concept_id FROM openmrs.orders o JOIN openmrs.encounter e USING (encounter_id)
            WHERE e.uuid = record AND o.order_type_id IN ({types}) AND o.order_action = 'NEW'
                AND o.order_id NOT IN (SELECT order_id FROM openmrs.test_order)"
        )
    };
    let patients = |consumer| read(consumer, PATIENTS, "patient", "Patient", 29);
    let encounters = |consumer| read(consumer, ENCOUNTERS, "Encounter", "Encounter", 48);
    let cases = [
        (patients("openelis"), "true".to_owned(), "record IN (SELECT uuid FROM openelis.patient)", 0),
        (patients("odoo"), "true".to_owned(), "record IN (SELECT uuid FROM odoo.res_partner)", 0),
        (
            encounters("openelis"),
            format!("EXISTS ({})", ordered("1")),
            "record IN (SELECT uuid FROM openelis.sample)",
            0,
        ),
        // A line was removed.
        (
            encounters("odoo"),
            format!("EXISTS ({})", ordered("1, 2, 3")),
            "record IN (SELECT external_id FROM odoo.sale_order_line)",
            1,
        ),
        (
            encounters("pacs"),
            format!("EXISTS ({})", ordered("3")),
            "EXISTS (SELECT 1 FROM pacs.test_order t JOIN openmrs.orders o ON o.uuid = t.order_uuid
                JOIN openmrs.encounter e USING (encounter_id) WHERE e.uuid = record)",
            0,
        ),
    ];
    for (events, wanted, arrived, most) in cases {
        let sql = format!(
            "WITH events AS MATERIALIZED ({events}) SELECT
                ifnull(sum(was_read AND NOT failed AND {wanted} AND NOT {arrived}), 0) AS missing,
                ifnull(sum((failed OR NOT was_read) AND {arrived}), 0) AS too_many,
                ifnull(sum(was_read AND NOT failed AND {arrived}), 0) AS arrived, ifnull(sum(failed), 0) AS failed
            FROM events"
        );
        let (missing, too_many, there, failed): (i64, i64, i64, i64) =
            sqlx::query_as(sqlx::AssertSqlSafe(sql.clone())).fetch_one(&mut database).await.expect("counts");
        assert!(missing <= most && too_many == 0, "{missing} are missing, {too_many} too many: {sql}");
        assert!(there > 50 && failed > 20, "{there} have arrived, {failed} failed: {sql}");
    }
    let queued = "SELECT count(*) FROM openmrs.event_records_queue q
        JOIN openmrs.encounter e ON e.uuid = substr(q.object, 48, 36)
        WHERE e.uuid NOT IN (SELECT uuid FROM openelis.sample)
            AND e.uuid NOT IN (SELECT external_id FROM odoo.sale_order_line)";
    assert_eq!(count(&mut database, queued).await, 2);
}

#[tokio::test]
async fn an_encounter_fails_for_its_patient_exactly_if_the_consumer_lacks_the_patient() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut database = hospital(folder.path()).await;
    for (consumer, said, lacks) in [
        ("odoo", "Patient Id not found", "p.uuid NOT IN (SELECT uuid FROM odoo.res_partner)"),
        ("openelis", "not found in ELIS", "p.uuid NOT IN (SELECT uuid FROM openelis.patient)"),
    ] {
        let sql = format!(
            "WITH failed AS MATERIALIZED (SELECT f.event_content, {lacks} AS lacks, ifnull((SELECT l.error_message
                    FROM {consumer}.failed_event_retry_log l WHERE l.event_id = f.event_id AND l.feed_uri = f.feed_uri
                    ORDER BY l.id DESC LIMIT 1), f.error_message) LIKE '%{said}%' AS says
                FROM {consumer}.failed_events f
                JOIN openmrs.encounter e ON e.uuid = substr(f.event_content, 48, 36)
                JOIN openmrs.person p ON p.person_id = e.patient_id WHERE f.feed_uri = '{ENCOUNTERS}')
            SELECT sum(lacks AND says), sum(lacks <> says) FROM failed"
        );
        // The retry log has no index, and a temporary one makes this quick.
        let index = format!("CREATE INDEX {consumer}.by_event ON failed_event_retry_log (event_id)");
        sqlx::query(sqlx::AssertSqlSafe(index)).execute(&mut database).await.expect("an index");
        let (agree, differ): (i64, i64) =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(&mut database).await.expect("counts");
        assert!(agree > 10 && differ == 0, "{consumer}: {agree} agree, {differ} differ");
    }
}

async fn examples(folder: &Path) -> Vec<Example> {
    Hospital::open(folder, 0).await.expect("an open hospital").view().await.expect("a view").examples
}

fn number<'a>(examples: &'a [Example], title: &str) -> &'a str {
    let example = examples.iter().find(|example| example.title == title).expect(title);
    example.number.as_deref().expect(title)
}

#[tokio::test]
async fn there_is_a_record_to_follow_for_every_station() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut database = hospital(folder.path()).await;
    let examples = examples(folder.path()).await;
    assert_eq!(examples.len(), 11);
    // In each: ?1 is the number, `o` the order and `e` its encounter.
    const PUBLISHED: &str = "EXISTS (SELECT 1 FROM openmrs.event_records WHERE instr(object, e.uuid))";
    const BILLED: &str = "EXISTS (SELECT 1 FROM odoo.sale_order_line l WHERE l.external_order_id = o.uuid)";
    const FAILED: &str = "EXISTS (SELECT 1 FROM odoo.failed_events f WHERE instr(f.event_content, e.uuid))";
    const REFUSED: &str = "EXISTS (SELECT 1 FROM openelis.failed_events f WHERE instr(f.event_content, e.uuid))";
    const SAMPLED: &str = "EXISTS (SELECT 1 FROM openelis.sample s WHERE s.uuid = e.uuid)";
    for (title, holds) in [
        (
            "Not expected",
            format!(
                "{PUBLISHED} AND NOT {BILLED} AND NOT {FAILED} AND (SELECT name FROM openmrs.order_type t
                WHERE t.order_type_id = o.order_type_id) NOT IN (SELECT name FROM odoo.order_type)"
            ),
        ),
        (
            "Not expected by anyone",
            format!(
                "{PUBLISHED} AND NOT {BILLED} AND NOT {SAMPLED} AND NOT {FAILED} AND NOT {REFUSED}
                AND o.order_id IN (SELECT order_id FROM openmrs.test_order)"
            ),
        ),
        (
            "Never published",
            format!(
                "NOT {PUBLISHED} AND NOT {BILLED} AND NOT {SAMPLED}
                AND NOT EXISTS (SELECT 1 FROM openmrs.event_records_queue WHERE instr(object, e.uuid))"
            ),
        ),
        (
            "In the queue",
            format!(
                "NOT {PUBLISHED} AND NOT {BILLED}
                AND EXISTS (SELECT 1 FROM openmrs.event_records_queue WHERE instr(object, e.uuid))"
            ),
        ),
        ("Published, but not read", format!("{PUBLISHED} AND NOT {FAILED} AND NOT {BILLED}")),
        ("Failed itself", format!("{REFUSED} AND NOT {SAMPLED} AND NOT {FAILED}")),
        (
            "Failed because its patient failed before",
            format!(
                "{FAILED} AND NOT {BILLED} AND EXISTS (SELECT 1 FROM odoo.failed_events f
                JOIN openmrs.person p ON p.person_id = o.patient_id WHERE instr(f.event_content, '/patient/' || p.uuid))"
            ),
        ),
        ("Read, but gone", format!("{PUBLISHED} AND NOT {FAILED} AND NOT {BILLED}")),
        (
            "Arrived",
            format!("{BILLED} AND {SAMPLED} AND EXISTS (SELECT 1 FROM openmrs.obs b WHERE b.order_id = o.order_id)"),
        ),
    ] {
        let sql = format!(
            "SELECT {holds} FROM openmrs.orders o JOIN openmrs.encounter e USING (encounter_id) WHERE o.order_number = ?1"
        );
        let order = number(&examples, title);
        let held: Option<bool> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(order)
            .fetch_optional(&mut database)
            .await
            .expect("an answer");
        assert_eq!(held, Some(true), "{title}: {order}");
    }
    let waits: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM openelis.sample s JOIN openelis.sample_item i ON i.samp_id = s.id
            JOIN openelis.analysis a ON a.sampitem_id = i.id JOIN openelis.status_of_sample t ON t.id = a.status_id
            WHERE s.accession_number = ? AND t.name = 'Technical Acceptance'",
    )
    .bind(number(&examples, "Waits in the laboratory"))
    .fetch_one(&mut database)
    .await
    .expect("a count");
    assert!(waits > 0);
    let twice: i64 = sqlx::query_scalar("SELECT count(*) FROM openmrs.patient_identifier WHERE identifier = ?")
        .bind(number(&examples, "Two patients with one identifier"))
        .fetch_one(&mut database)
        .await
        .expect("a count");
    let shared =
        "SELECT count(*) FROM (SELECT 1 FROM openmrs.patient_identifier GROUP BY identifier HAVING count(*) > 1)";
    assert_eq!((twice, count(&mut database, shared).await), (2, 1));
}

/// Resets a failed event of Odoo until it is gone: something else can break Odoo for a moment.
async fn retry(working: &Working, id: i64) {
    let sql = "SELECT ifnull(max(retries), -1) FROM failed_events WHERE id = ?";
    loop {
        working.execute("odoo", "UPDATE failed_events SET retries = 0 WHERE id = ? AND retries = 5", id).await;
        let ended = std::sync::atomic::AtomicI64::new(0);
        working
            .until("odoo", sql, id, |retries| {
                ended.store(retries, std::sync::atomic::Ordering::Relaxed);
                retries == -1 || retries == 5
            })
            .await;
        if ended.into_inner() == -1 {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encounter_comes_through_after_its_patient_and_not_before() {
    let working = Working::begin().await;
    let order =
        number(&working.hospital.view().await.expect("a view").examples, "Failed because its patient failed before")
            .to_owned();
    let mut all = together(working.folder()).await;
    let (encounter, patient, encounter_uuid, patient_uuid): (i64, i64, String, String) = sqlx::query_as(
        "SELECT f.id, (SELECT id FROM odoo.failed_events x WHERE instr(x.event_content, '/patient/' || p.uuid)), e.uuid, p.uuid
        FROM openmrs.orders o JOIN openmrs.encounter e USING (encounter_id)
        JOIN openmrs.person p ON p.person_id = o.patient_id
        JOIN odoo.failed_events f ON instr(f.event_content, e.uuid) WHERE o.order_number = ?",
    )
    .bind(&order)
    .fetch_one(&mut all)
    .await
    .expect("two failed events");
    let lines = "SELECT count(*) FROM sale_order_line WHERE external_id = ?";
    let partners = "SELECT count(*) FROM res_partner WHERE uuid = ?";
    let mut odoo = open(working.folder(), "odoo").await;
    let counted = async |odoo: &mut SqliteConnection, sql: &'static str, uuid: &str| -> i64 {
        sqlx::query_scalar(sql).bind(uuid.to_owned()).fetch_one(odoo).await.expect(sql)
    };

    // Alone, it fails again with the same error. Something else can have broken Odoo at the same moment.
    let same = "SELECT count(*) FROM failed_event_retry_log l JOIN failed_events f USING (event_id)
        WHERE f.id = ? AND l.error_message LIKE '%Patient Id not found in Odoo%'";
    let before: i64 = sqlx::query_scalar(same).bind(encounter).fetch_one(&mut odoo).await.expect("a count");
    working.execute("odoo", "UPDATE failed_events SET retries = 0 WHERE id = ?", encounter).await;
    working.until("odoo", same, encounter, |now| now > before).await;
    assert_eq!(counted(&mut odoo, lines, &encounter_uuid).await, 0);
    assert_eq!(counted(&mut odoo, partners, &patient_uuid).await, 0);

    retry(&working, patient).await;
    assert_eq!(counted(&mut odoo, partners, &patient_uuid).await, 1);
    retry(&working, encounter).await;
    assert!(counted(&mut odoo, lines, &encounter_uuid).await > 0, "{order} is billed");
    working.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patients_that_a_person_adds_to_odoo_are_there_and_their_encounters_come_through() {
    let working = Working::begin().await;
    let mut all = together(working.folder()).await;
    // A patient that no event ever told of.
    let encounter: i64 = sqlx::query_scalar(
        "SELECT f.id FROM odoo.failed_events f JOIN openmrs.encounter e ON e.uuid = substr(f.event_content, 48, 36)
        JOIN openmrs.person p ON p.person_id = e.patient_id
        WHERE p.uuid NOT IN (SELECT uuid FROM odoo.res_partner)
            AND p.uuid NOT IN (SELECT substr(object, 29, 36) FROM openmrs.event_records WHERE category = 'patient')
        LIMIT 1",
    )
    .fetch_one(&mut all)
    .await
    .expect("a failed encounter");
    working.hospital.fix(working.trouble("Odoo does not know").await).await.expect("mended");
    retry(&working, encounter).await;
    working.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_published_waits_in_the_queue_and_is_only_in_openmrs() {
    let working = Working::begin().await;
    working.hospital.break_something("not-published").await.expect("broken");
    let queue = "SELECT count(*) FROM event_records_queue WHERE ? = 0";
    working.until("openmrs", queue, 0, |waiting| waiting > 2).await;
    let shown = || async {
        working
            .hospital
            .view()
            .await
            .expect("a view")
            .examples
            .iter()
            .any(|one| one.title == "In the queue" && one.number.is_some())
    };
    while !shown().await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let mut all = together(working.folder()).await;
    let elsewhere = "SELECT count(*) FROM openmrs.event_records_queue q WHERE
        EXISTS (SELECT 1 FROM openelis.patient p WHERE instr(q.object, p.uuid))
        OR EXISTS (SELECT 1 FROM odoo.sale_order_line l WHERE instr(q.object, l.external_id))";
    assert_eq!(count(&mut all, elsewhere).await, 0);
    working.hospital.fix(working.trouble("publisher task is stopped").await).await.expect("mended");
    working.until("openmrs", queue, 0, |waiting| waiting <= 2).await;
    working.end().await;
}
