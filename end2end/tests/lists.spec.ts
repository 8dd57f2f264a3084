// Lists: what the URL says is never lost, and pages are the same going and coming.
import { expect, test } from "../fixtures";
import { filter, filterIn, keyOf, keysOnPage, navigation, nextPage, previousPage, retryNotice, rows } from "../screens";

test("paging forward and back gives the same rows, each once", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events"));
  const pages: string[][] = [];
  for (;;) {
    pages.push(await keysOnPage(page));
    if (pages.length === 4 || (await nextPage(page).count()) === 0) break;
    await nextPage(page).click();
    await expect(page).toHaveURL(/after=|before=/);
  }
  const all = pages.flat();
  expect(pages.length).toBeGreaterThan(1);
  expect(new Set(all).size).toBe(all.length);
  for (const expected of pages.slice(0, -1).reverse()) {
    await previousPage(page).click();
    await expect.poll(() => keysOnPage(page)).toEqual(expected);
  }
});

test("acting on one row keeps the filter and the place", async ({ page, ownHospital }) => {
  await page.goto(ownHospital.at("/failed-events"));
  await filter(page, { application: "Odoo", state: "exhausted" });
  const kept = filterIn(page);
  expect(kept).toMatchObject({ app: "odoo", state: "exhausted" });
  const event = await keyOf(rows(page).first());
  await rows(page).first().getByRole("button", { name: /^Retry / }).click();
  await expect(retryNotice(page, 1)).toBeVisible();
  expect(ownHospital.retries(event.app, event.id)).toBe(0);
  expect(filterIn(page)).toEqual(kept);
  expect(await keysOnPage(page)).not.toContain(`${event.app}/${event.id}`);
});

test("an event opened from a list leads back to it, and to its neighbours", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events?app=odoo&state=exhausted"));
  const [first, second] = await keysOnPage(page);
  await rows(page).first().getByRole("link").first().click();
  await expect(page).toHaveURL(new RegExp(`/failed-events/${first}\\?`));
  await page.getByRole("link", { name: /next/i }).click();
  await expect(page).toHaveURL(new RegExp(`/failed-events/${second}\\?`));
  await page.getByRole("link", { name: /previous/i }).click();
  await expect(page).toHaveURL(new RegExp(`/failed-events/${first}\\?`));
  await page.getByRole("main").locator("a[href*='/failed-events?']").first().click();
  expect(filterIn(page)).toEqual({ app: "odoo", state: "exhausted" });
});

test("each part of a filter can be taken away", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events?app=odoo&state=exhausted&q=uuid"));
  await page.getByRole("link", { name: /Remove the filter State/ }).click();
  expect(filterIn(page)).toEqual({ app: "odoo", q: "uuid" });
  await page.getByRole("link", { name: "Remove all filters" }).click();
  expect(filterIn(page)).toEqual({});
});

test("the search field of the header finds by text", async ({ page, hospital }) => {
  await page.goto(hospital.at(""));
  const [id] = hospital.sql("odoo", "select event_id from failed_events order by id desc limit 1");
  await page.getByRole("search").getByRole("searchbox").fill(id.slice(-12));
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/[?&]q=/);
  await expect(rows(page).first()).toBeVisible();
  const [found] = await keysOnPage(page);
  expect(hospital.sql("odoo", `select event_id from failed_events where id = ${found.split("/")[1]}`)).toEqual([id]);
});

test("what matches is downloaded as CSV and as NDJSON", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events?app=odoo&state=exhausted"));
  const [expected] = hospital.sql("odoo", "select count(*) from failed_events where retries >= 5");
  for (const form of ["CSV", "NDJSON"]) {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("link", { name: new RegExp(`\\b${form}\\b`) }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(new RegExp(`\\.${form.toLowerCase()}$`));
    if (form === "NDJSON") {
      const chunks: Buffer[] = [];
      for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
      const lines = Buffer.concat(chunks).toString().split("\n").filter(Boolean);
      expect(lines.length).toBe(Number(expected));
      for (const line of lines) JSON.parse(line);
    }
  }
  await navigation(page).getByRole("link", { name: "Overview" }).click();
});
