// Patients, orders and results: found by what people say, named beside events, and followed on their way.
import { expect, test } from "../fixtures";

test("a patient's identifier leads to the patient, and stands in no address", async ({ page, hospital }) => {
  const [identifier, uuid] = hospital
    .sql(
      "openmrs",
      `select i.identifier || ' ' || p.uuid from patient_identifier i join person p on p.person_id = i.patient_id
         where i.voided = 0 and 1 = (select count(*) from patient_identifier j where j.identifier = i.identifier)
         order by i.patient_id limit 1`,
    )[0]
    .split(" ");
  await page.goto(hospital.at(""));
  await page.getByRole("search").getByRole("searchbox").fill(identifier);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/search\?kept=/);
  expect(page.url()).not.toContain(identifier);
  const found = page.getByRole("table", { name: /Records that match/ }).getByRole("link", { name: new RegExp(identifier) });
  await expect(found.first()).toHaveAttribute("href", new RegExp(`/records/openmrs/patient/${uuid}$`));
  await found.first().click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText(identifier);
  await expect(page.getByRole("heading", { name: "Where is it?" })).toBeVisible();
  await expect(page.getByRole("table", { name: /Records that belong/ })).toBeVisible();
});

test("each example of the demo is where its page says", async ({ page, hospital }) => {
  test.setTimeout(120_000);
  const verdicts: [string, RegExp][] = [
    ["Not expected", /Not expected/],
    ["Not expected by anyone", /Not expected/],
    ["Never published", /Never published/],
    ["Published, but not read", /Not read yet|Arrived/],
    ["Failed itself", /Failed/],
    ["Failed because its patient failed before", /patient failed before it/],
    ["Read, but gone", /Read, but not there/],
    ["Arrived", /Arrived/],
  ];
  for (const [title, verdict] of verdicts) {
    await page.goto(hospital.at("/demo"));
    const item = page.getByRole("listitem").filter({ has: page.getByText(title, { exact: true }) });
    await item.getByRole("link").first().click();
    const records = page.getByRole("table", { name: /Records that match/ });
    await records.getByRole("link").first().click();
    await expect(page.getByRole("table", { name: /The way of each part/ }), title).toContainText(verdict);
  }
});

test("an encounter that waits for its patient comes through after the patient, in one plan", async ({ page, hospital }) => {
  const waits = page.getByRole("button", { name: /^Retry \d+ patients?, then what waits/ });
  await page.goto(hospital.at("/groups"));
  await page.getByRole("link", { name: /Patient Id not found in Odoo/ }).first().click();
  await expect(waits).toBeVisible();
  await waits.click();
  await expect(page).toHaveURL(/\/operations\/\d+/);
  const first = page.getByLabel(/Test with the first/);
  await expect(first).not.toHaveValue("");
});

test("a failed event is named by its patient and leads to its record", async ({ page, hospital }) => {
  const [id] = hospital.sql(
    "odoo",
    "select id from failed_events where title = 'Encounter' and event_content like '%encounter/%' order by id desc limit 1",
  );
  await page.goto(hospital.at(`/failed-events/odoo/${id}`));
  await page.getByRole("link", { name: "Where is it?" }).click();
  await expect(page).toHaveURL(/\/records\/openmrs\/encounter\//);
  await expect(page.getByRole("heading", { name: "Where is it?" })).toBeVisible();
});
