// Lists: the state in the URL is never lost, and pages are the same forwards and backwards.
import { beyondTheEdge } from "../accessible";
import { expect, test } from "../fixtures";
import {
  expectAlive, filter, filterIn, keyIn, keyOf, keysOnPage, navigation, nextPage, openAlive, previousPage, retryNotice, rows,
} from "../screens";

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

test("after a retry the place on the list is kept", async ({ page, ownHospital }) => {
  await openAlive(page, ownHospital.at("/failed-events?state=exhausted"));
  const before = await keysOnPage(page);
  await rows(page).nth(35).getByRole("button", { name: /^Retry / }).click();
  await expect(retryNotice(page, 1)).toBeVisible();
  await expectAlive(page);
  // The row no longer matches the filter: the row in its place is visible and focused, so keys continue there.
  const here = page.locator("tr:has(> :target)");
  await expect(here).toBeInViewport();
  await expect(here.locator("a[data-open]")).toBeFocused();
  expect(await keysOnPage(page)).toContain(before[36]);
  expect(await keyOf(here)).toEqual(keyIn(`/failed-events/${before[36]}`));
});

for (const way of ["the link", "the browser"] as const) {
  test(`back from an event by ${way}, its row is in sight and has the focus`, async ({ page, hospital }) => {
    await openAlive(page, hospital.at("/failed-events?app=odoo&state=exhausted"));
    const before = await keysOnPage(page);
    const row = rows(page).nth(35);
    await row.getByRole("link").first().click();
    await expect(page).toHaveURL(new RegExp(`/failed-events/${before[35]}\\?`));
    if (way === "the link") await page.getByRole("link", { name: "Back to the list" }).click();
    else await page.goBack();
    await expectAlive(page);
    expect(await keysOnPage(page)).toEqual(before);
    await expect(row).toBeInViewport();
    await expect(row.locator("a[data-open]")).toBeFocused();
    // Keys continue there.
    await page.keyboard.press("j");
    await expect(rows(page).nth(36).locator("a[data-open]")).toBeFocused();
  });
}

for (const role of ["administrator", "operator", "viewer"] as const) {
  test.describe(`seen by the ${role}`, () => {
    test.use({ role });

    test("a dozen failed events are seen at once", async ({ page, hospital }) => {
      await page.setViewportSize({ width: 1366, height: 768 });
      await openAlive(page, hospital.at("/failed-events?app=odoo&state=exhausted"));
      const heads = page.getByRole("table", { name: /^Failed events/ }).getByRole("rowheader");
      const seen = await heads.evaluateAll((heads) => heads.filter((head) => head.getBoundingClientRect().bottom <= 768).length);
      expect(seen).toBeGreaterThanOrEqual(12);
      await expect(page.getByText(/^Only (operators|administrators) /)).toHaveCount(0);
    });

    test("the list's bar ends within the page", async ({ page, hospital }) => {
      await openAlive(page, hospital.at("/failed-events"));
      for (const width of [320, 768, 1024, 1200, 1440]) {
        await page.setViewportSize({ width, height: 900 });
        const last = await page.getByRole("link", { name: "Group by cause" }).boundingBox();
        expect((last?.x ?? width) + (last?.width ?? 0), `${width} px`).toBeLessThanOrEqual(width);
        expect(await beyondTheEdge(page), `${width} px`).toBeLessThanOrEqual(0);
      }
    });
  });
}

test("nothing moves when rows are ticked or new ones come", async ({ page, ownHospital }) => {
  await openAlive(page, ownHospital.at("/failed-events"));
  const place = async () => (await rows(page).nth(5).boundingBox())?.y;
  const before = await place();
  await rows(page).getByRole("checkbox").and(page.locator(":enabled")).first().check();
  expect(await place()).toBe(before);
  await page.evaluate(() => document.querySelector(".fresh")?.removeAttribute("hidden"));
  await expect(page.locator(".fresh").first()).toBeVisible();
  expect(await place()).toBe(before);
  // Far down the list, the announcement is still seen.
  await rows(page).last().scrollIntoViewIfNeeded();
  await expect(page.locator(".fresh").first()).toBeInViewport();
});

for (const width of [390, 768]) {
  test(`${width} pixels: the list's bar has no empty room, and ticking a row moves nothing`, async ({ page, hospital }) => {
    await page.setViewportSize({ width, height: 900 });
    await openAlive(page, hospital.at("/failed-events"));
    const all = page.getByRole("button", { name: /^Retry all/ });
    const ticked = page.locator("[data-retry-selected]");
    const first = await all.boundingBox();
    const tick = await page.getByRole("checkbox", { name: "Select all on this page" }).boundingBox();
    const last = await page.getByRole("link", { name: "Group by cause" }).boundingBox();
    const row = await rows(page).first().boundingBox();
    if (!first || !tick || !last || !row) throw new Error("The bar cannot be seen.");
    expect(first.y - (tick.y + tick.height), "pixels between the box and the buttons").toBeLessThan(24);
    expect(row.y - (last.y + last.height), "pixels below the buttons").toBeLessThan(40);
    await expect(ticked).toBeHidden();

    await rows(page).getByRole("checkbox").and(page.locator(":enabled")).first().check();
    await expect(ticked).toBeVisible();
    await expect(all).toBeHidden();
    expect(await rows(page).first().boundingBox()).toEqual(row);
  });
}

test("on a desk's screen no record is cut, and the errors have the room that the others leave", async ({ page, hospital }) => {
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.goto(hospital.at("/failed-events"));
  const table = page.getByRole("table", { name: /^Failed events/ });
  const cut = await table
    .getByRole("rowheader")
    .evaluateAll((heads) => heads.filter((head) => head.scrollWidth > head.clientWidth).map((head) => head.textContent));
  expect(cut).toEqual([]);
  const width = async (name: RegExp) => (await table.getByRole("columnheader", { name }).boundingBox())?.width ?? 0;
  expect(await width(/^Latest error/)).toBeGreaterThan(2 * (await width(/^Feed/)));
});

test("one click groups the list by cause, and a cause leads to its events", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events?app=odoo&state=exhausted"));
  await page.getByRole("link", { name: "Group by cause" }).click();
  const causes = page.getByRole("table", { name: /^Causes/ });
  const count = Number((await causes.getByRole("row").nth(1).getByRole("cell").first().innerText()).replaceAll(",", ""));
  await causes.getByRole("rowheader").getByRole("link").first().click();
  expect(filterIn(page)).toEqual({ app: "odoo", state: "exhausted" });
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(new RegExp(`^${count.toLocaleString("en-GB")} failed event`));
});

test.describe("where the reader's day begins before UTC's", () => {
  test.use({ timezoneId: "Asia/Kolkata" });

  test("a range up to now stays one in the address", async ({ page, hospital }) => {
    await openAlive(page, hospital.at("/failed-events"));
    await page.getByRole("combobox", { name: "Time", exact: true }).selectOption({ label: "Since yesterday 18:00" });
    await page.getByRole("button", { name: "Filter" }).click();
    await expect(page).toHaveURL(/since=yesterday-18%3A00|since=yesterday-18:00/);
    await expect(page.getByRole("list", { name: "What is filtered" })).toContainText("Since yesterday 18:00");
    const kept = await page.context().cookies();
    expect(kept.find((cookie) => cookie.name === "atomfeed_zone")?.value).toMatch(/Asia\/(Kolkata|Calcutta)/);
    await page.goto(hospital.at("/failed-events?from=2026-01-01T12:30"));
    await expect(page.getByRole("list", { name: "What is filtered" }).locator("time")).toContainText("18:00");
  });
});

test("the head of the column of times sorts by it", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events?app=odoo"));
  const [newest] = await keysOnPage(page);
  await page.getByRole("columnheader", { name: /First failed|Failed since/ }).getByRole("link").click();
  await expect(page).toHaveURL(/sort=oldest/);
  await expect(page.getByRole("columnheader", { name: /First failed|Failed since/ })).toHaveAttribute("aria-sort", "ascending");
  expect((await keysOnPage(page))[0]).not.toBe(newest);
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

test("the search field of the header finds whatever was copied, and marks it", async ({ page, hospital }) => {
  const [row] = hospital.sql("odoo", "select id from failed_events order by id desc limit 1");
  const [id] = hospital.sql("odoo", `select event_id from failed_events where id = ${row}`);
  const uuid = id.slice(-36);
  for (const typed of [id, ` {${uuid.toUpperCase()}} `, `${uuid.slice(0, 8)}…${uuid.slice(-4)}`, `Odoo ${row}`]) {
    await page.goto(hospital.at(""));
    await page.getByRole("search").getByRole("searchbox").fill(typed);
    await page.keyboard.press("Enter");
    await expect(page).toHaveURL(/\/search\?q=/);
    const found = page.getByRole("table", { name: /Failed events that match/ }).getByRole("link");
    await expect(found.first()).toHaveAttribute("href", new RegExp(`/failed-events/odoo/${row}$`));
  }
  await page.goto(hospital.at("/search?q=ZZZ999999"));
  await expect(page.getByRole("heading", { name: "Nothing found for ZZZ999999" })).toBeVisible();
});

test("what matches is downloaded as CSV and as JSON lines", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events?app=odoo&state=exhausted"));
  const [expected] = hospital.sql("odoo", "select count(*) from failed_events where retries >= 5");
  for (const [form, ending] of [["CSV", "csv"], ["JSON lines", "ndjson"]] as const) {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("link", { name: new RegExp(`\\b${form}\\b`) }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(new RegExp(`\\.${ending}$`));
    if (ending === "ndjson") {
      const chunks: Buffer[] = [];
      for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
      const lines = Buffer.concat(chunks).toString().split("\n").filter(Boolean);
      expect(lines.length).toBe(Number(expected));
      for (const line of lines) JSON.parse(line);
    }
  }
  await navigation(page).getByRole("link", { name: "Overview" }).click();
});
