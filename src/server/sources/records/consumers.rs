//! What the consumers have of a record: OpenELIS, Odoo and the PACS integration.
//!
//! Each look-up takes the path that has an index: OpenELIS by the patient, Odoo by the patient's identifier, PACS by
//! the order. A path without one is taken only in tables of up to [`super::tables::SCANNED`] rows.

use crate::model::Stamp;

use super::{
    super::connection::{Record, Session},
    answer::{Answer, Lack},
    tables::{From, Tables, zone},
};

/// Most rows of one answer.
const ROWS: u32 = 2_000;

/// A patient as OpenELIS or Odoo has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub uuid: Option<String>,
    pub identifier: Option<String>,
    pub changed: Option<Stamp>,
    /// Odoo: it was not archived. Always true for OpenELIS.
    pub active: bool,
}

/// A test of a sample in OpenELIS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabTest {
    pub patient: Option<String>,
    /// The sample's uuid, which is that of the encounter.
    pub sample: String,
    /// As printed; `None` until the sample is collected.
    pub accession: Option<String>,
    pub entered: Option<Stamp>,
    pub test: Option<String>,
    /// `Technical Acceptance`, `Finalized`, …
    pub status: Option<String>,
    pub changed: Option<Stamp>,
    pub test_concept: Option<String>,
    pub panel_concept: Option<String>,
}

/// A line of a sale order in Odoo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillLine {
    pub bill: String,
    /// `draft`, `sale`, `done`, `cancel`.
    pub state: Option<String>,
    /// The patient's identifier.
    pub identifier: Option<String>,
    pub patient: Option<String>,
    pub encounter: Option<String>,
    pub order: Option<String>,
    pub created: Option<Stamp>,
}

/// An order in the PACS integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagingOrder {
    pub order: String,
    pub number: Option<String>,
    pub created: Option<Stamp>,
}

/// Returns the copies of a patient in OpenELIS.
pub(in super::super) async fn lab_patient(session: &mut Session<'_>, tables: &Tables, uuid: &str) -> Answer<Vec<Copy>> {
    let zone = zone(session.link.app);
    let from = From::table(tables, "patient", "pt", &["id", "uuid"])?;
    let columns = from.columns(&["pt.uuid", "pt.lastupdated"]);
    let mut statement = session.link.statement(format!("SELECT {columns} FROM {} WHERE ", from.text));
    statement.equals("pt.uuid", uuid).push(format!(" LIMIT {ROWS}"));
    let read = |mut row: Record| Copy {
        uuid: row.key(),
        identifier: None,
        changed: from.stamp(zone, "pt.lastupdated", row.text()),
        active: true,
    };
    Ok(session.link.rows(statement).await?.into_iter().map(read).collect())
}

/// How samples are chosen.
#[derive(Clone, Copy, Debug)]
pub enum SamplesBy<'a> {
    /// Of a patient, in these encounters.
    Encounters { patient: &'a str, encounters: &'a [String] },
    /// The accession number as printed.
    Accession(&'a str),
    /// The sample's own uuid, which has no index.
    Uuids(&'a [String]),
}

/// Returns the tests of samples. A sample without tests is one row without a test.
pub(in super::super) async fn lab_tests(
    session: &mut Session<'_>,
    tables: &Tables,
    by: SamplesBy<'_>,
) -> Answer<Vec<LabTest>> {
    if matches!(by, SamplesBy::Uuids(_))
        && let Some(reason) = tables.too_large(&mut session.link, "sample", "uuid").await?
    {
        return Err(Lack::NotHere(reason));
    }
    let zone = zone(session.link.app);
    let from = From::table(tables, "sample", "s", &["id", "uuid", "accession_number"])?
        .join("sample_human", "sh", "sh.samp_id = s.id", &["samp_id", "patient_id"])?
        .join("patient", "pt", "pt.id = sh.patient_id", &["id", "uuid"])?
        .left("sample_item", "si", "si.samp_id = s.id", &["id", "samp_id"]);
    let from = if from.has("si.id") {
        from.left("analysis", "a", "a.sampitem_id = si.id", &["sampitem_id", "test_id", "status_id"])
    } else {
        from
    };
    let from = if from.has("a.test_id") {
        let references = &["item_id", "external_id", "type"];
        from.left("test", "t", "t.id = a.test_id", &["id", "name"])
            .left("status_of_sample", "ts", "ts.id = a.status_id", &["id", "name"])
            .left("external_reference", "et", "et.item_id = a.test_id AND et.type = 'Test'", references)
            .left("external_reference", "ep", "ep.item_id = a.panel_id AND ep.type = 'Panel'", references)
    } else {
        from
    };
    let columns = [
        "pt.uuid",
        "s.uuid",
        "s.accession_number",
        "s.entered_date",
        "t.name",
        "ts.name",
        "a.lastupdated",
        "et.external_id",
        "ep.external_id",
    ];
    let mut statement = session.link.statement(format!("SELECT {} FROM {} WHERE ", from.columns(&columns), from.text));
    match by {
        SamplesBy::Encounters { patient, encounters } => {
            statement.equals("pt.uuid", patient).push(" AND ").text_in("s.uuid", encounters);
        }
        SamplesBy::Accession(number) => drop(statement.equals("s.accession_number", number)),
        SamplesBy::Uuids(uuids) => drop(statement.text_in("s.uuid", uuids)),
    }
    statement.push(format!(" ORDER BY s.id LIMIT {ROWS}"));
    let read = |mut row: Record| LabTest {
        patient: row.key(),
        sample: row.key().unwrap_or_default(),
        accession: row.key().filter(|number| !number.trim().is_empty()),
        entered: from.stamp(zone, "s.entered_date", row.text()),
        test: row.key(),
        status: row.key(),
        changed: from.stamp(zone, "a.lastupdated", row.text()),
        test_concept: row.key(),
        panel_concept: row.key(),
    };
    Ok(session.link.rows(statement).await?.into_iter().map(read).collect())
}

/// Returns the partners of Odoo with one of these identifiers.
pub(in super::super) async fn partners(
    session: &mut Session<'_>,
    tables: &Tables,
    identifiers: &[String],
) -> Answer<Vec<Copy>> {
    if let Some(reason) = tables.too_large(&mut session.link, "res_partner", "ref").await? {
        return Err(Lack::NotHere(reason));
    }
    let zone = zone(session.link.app);
    let from = From::table(tables, "res_partner", "p", &["id", "ref"])?;
    let columns = from.columns(&["p.uuid", "p.ref", "p.create_date", "p.active"]);
    let mut statement = session.link.statement(format!("SELECT {columns} FROM {} WHERE ", from.text));
    statement.text_in("p.ref", identifiers).push(format!(" ORDER BY p.id LIMIT {ROWS}"));
    let read = |mut row: Record| Copy {
        uuid: row.key(),
        identifier: row.key(),
        changed: from.stamp(zone, "p.create_date", row.text()),
        active: !row.text().is_some_and(|active| matches!(active.as_str(), "0" | "f" | "false")),
    };
    Ok(session.link.rows(statement).await?.into_iter().map(read).collect())
}

/// How lines of bills are chosen.
#[derive(Clone, Copy, Debug)]
pub enum LinesBy<'a> {
    /// Of a patient by identifiers, in these encounters.
    Encounters { identifiers: &'a [String], encounters: &'a [String] },
    /// The number of the bill.
    Bill(&'a str),
}

/// Returns lines of sale orders. A bill without lines is one row without encounter and order.
pub(in super::super) async fn bill_lines(
    session: &mut Session<'_>,
    tables: &Tables,
    by: LinesBy<'_>,
) -> Answer<Vec<BillLine>> {
    let (table, column) = match by {
        LinesBy::Encounters { .. } => ("res_partner", "ref"),
        LinesBy::Bill(_) => ("sale_order", "name"),
    };
    if let Some(reason) = tables.too_large(&mut session.link, table, column).await? {
        return Err(Lack::NotHere(reason));
    }
    let zone = zone(session.link.app);
    let lines = ["order_id", "external_id", "external_order_id"];
    let from = From::table(tables, "res_partner", "p", &["id", "ref"])?
        .join("sale_order", "so", "so.partner_id = p.id", &["id", "name", "partner_id"])?
        .left("sale_order_line", "sol", "sol.order_id = so.id", &lines);
    if matches!(by, LinesBy::Encounters { .. }) && !from.has("sol.external_id") {
        return Err(From::table(tables, "sale_order_line", "sol", &lines).err().unwrap_or_default().into());
    }
    let columns =
        ["so.name", "so.state", "p.ref", "p.uuid", "sol.external_id", "sol.external_order_id", "sol.create_date"];
    let mut statement = session.link.statement(format!("SELECT {} FROM {} WHERE ", from.columns(&columns), from.text));
    match by {
        LinesBy::Encounters { identifiers, encounters } => {
            statement.text_in("p.ref", identifiers).push(" AND ").text_in("sol.external_id", encounters);
        }
        LinesBy::Bill(number) => drop(statement.equals("so.name", number)),
    }
    statement.push(format!(" ORDER BY so.id LIMIT {ROWS}"));
    let read = |mut row: Record| BillLine {
        bill: row.key().unwrap_or_default(),
        state: row.key(),
        identifier: row.key(),
        patient: row.key(),
        encounter: row.key(),
        order: row.key(),
        created: from.stamp(zone, "sol.create_date", row.text()),
    };
    Ok(session.link.rows(statement).await?.into_iter().map(read).collect())
}

/// Returns the orders that the PACS integration has.
pub(in super::super) async fn imaging_orders(
    session: &mut Session<'_>,
    tables: &Tables,
    uuids: &[String],
) -> Answer<Vec<ImagingOrder>> {
    if let Some(reason) = tables.too_large(&mut session.link, "test_order", "order_uuid").await? {
        return Err(Lack::NotHere(reason));
    }
    let zone = zone(session.link.app);
    let from = From::table(tables, "test_order", "o", &["order_uuid"])?;
    let columns = from.columns(&["o.order_uuid", "o.order_number", "o.date_created"]);
    let mut statement = session.link.statement(format!("SELECT {columns} FROM {} WHERE ", from.text));
    statement.text_in("o.order_uuid", uuids).push(format!(" LIMIT {ROWS}"));
    let read = |mut row: Record| ImagingOrder {
        order: row.key().unwrap_or_default(),
        number: row.key(),
        created: from.stamp(zone, "o.date_created", row.text()),
    };
    Ok(session.link.rows(statement).await?.into_iter().map(read).collect())
}

/// A product of Odoo, by the uuid of its drug or concept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    pub uuid: String,
    pub name: Option<String>,
    pub active: bool,
}

/// Returns products by uuid.
pub(in super::super) async fn products(
    session: &mut Session<'_>,
    tables: &Tables,
    uuids: &[String],
) -> Answer<Vec<Product>> {
    if let Some(reason) = tables.too_large(&mut session.link, "product_product", "uuid").await? {
        return Err(Lack::NotHere(reason));
    }
    let from = From::table(tables, "product_product", "pp", &["id", "uuid"])?;
    let from = if from.has("pp.product_tmpl_id") {
        from.left("product_template", "pt", "pt.id = pp.product_tmpl_id", &["id", "name"])
    } else {
        from
    };
    let columns = from.columns(&["pp.uuid", "pt.name", "pp.active"]);
    let mut statement = session.link.statement(format!("SELECT {columns} FROM {} WHERE ", from.text));
    statement.text_in("pp.uuid", uuids).push(format!(" ORDER BY pp.id LIMIT {ROWS}"));
    let read = |mut row: Record| Product {
        uuid: row.key().unwrap_or_default(),
        name: row.key(),
        active: !row.text().is_some_and(|active| matches!(active.as_str(), "0" | "f" | "false")),
    };
    Ok(session.link.rows(statement).await?.into_iter().map(read).collect())
}

/// Returns the order types that Odoo or the PACS integration takes; `None` if it has no such table (OpenERP 7 has a
/// text in `order_type_shop_map`).
pub(in super::super) async fn order_types(session: &mut Session<'_>, tables: &Tables) -> Answer<Option<Vec<String>>> {
    if !tables.has_table("order_type") {
        return Ok(None);
    }
    let from = From::table(tables, "order_type", "t", &["name"])?;
    let statement =
        session.link.statement(format!("SELECT {} FROM {} LIMIT {ROWS}", from.columns(&["t.name"]), from.text));
    Ok(Some(session.link.rows(statement).await?.into_iter().filter_map(|mut row| row.key()).collect()))
}

/// Returns which concepts OpenELIS knows, each with the name of its test or panel.
pub(in super::super) async fn lab_references(
    session: &mut Session<'_>,
    tables: &Tables,
    uuids: &[String],
) -> Answer<Vec<Product>> {
    if let Some(reason) = tables.too_large(&mut session.link, "external_reference", "external_id").await? {
        return Err(Lack::NotHere(reason));
    }
    let from = From::table(tables, "external_reference", "er", &["item_id", "external_id", "type"])?
        .left("test", "t", "er.type = 'Test' AND t.id = er.item_id", &["id", "name"])
        .left("panel", "p", "er.type = 'Panel' AND p.id = er.item_id", &["id", "name"]);
    let columns = from.columns(&["er.external_id", "t.name", "p.name"]);
    let mut statement = session.link.statement(format!("SELECT {columns} FROM {} WHERE ", from.text));
    statement.text_in("er.external_id", uuids).push(format!(" LIMIT {ROWS}"));
    let read = |mut row: Record| {
        let uuid = row.key().unwrap_or_default();
        let (test, panel) = (row.key(), row.key());
        Product { uuid, name: test.or(panel), active: true }
    };
    Ok(session.link.rows(statement).await?.into_iter().map(read).collect())
}
