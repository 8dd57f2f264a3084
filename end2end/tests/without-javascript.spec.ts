// Every page and every form, in a browser that runs no script.
import { expect, test } from "../fixtures";
import { allPages, expectOnRecord, filter, keyOf, keysOnPage, mostUrgent, nextPage, others, previousPage, retryNotice, rows } from "../screens";

// Chromium reports that it did not load the module, because scripts are disabled.
const WITHOUT_SCRIPTS = /^request: .*\.js: csp$|^console: .* was preloaded using link preload/;

test.use({ javaScriptEnabled: false, provoked: WITHOUT_SCRIPTS });

test("the main job: from the overview to a retried event and its record", async ({ page, ownHospital }) => {
  await page.goto(ownHospital.at(""));
  await expect(page.getByRole("main").getByText("Stopped", { exact: true }).first()).toBeVisible();
  await mostUrgent(page).click();
  await filter(page, { application: "Odoo", state: "exhausted" });
  const event = await keyOf(rows(page).first());
  const before = others(ownHospital, event);
  await rows(page).first().getByRole("link").first().click();
  await page.getByRole("button", { name: "Retry", exact: true }).click();

  await expect(retryNotice(page, 1)).toBeVisible();
  expect(ownHospital.retries(event.app, event.id)).toBe(0);
  expect(others(ownHospital, event)).toEqual(before);
  await expectOnRecord(page, ownHospital, event);
});

test("the selected rows of a list are retried", async ({ page, ownHospital }) => {
  await page.goto(ownHospital.at("/failed-events?app=odoo&state=exhausted"));
  const events = [await keyOf(rows(page).nth(1)), await keyOf(rows(page).nth(2))];
  await rows(page).nth(1).getByRole("checkbox").check();
  await rows(page).nth(2).getByRole("checkbox").check();
  await page.getByRole("button", { name: /^Retry .*selected/ }).click();
  await expect(retryNotice(page, 2)).toBeVisible();
  for (const event of events) expect(ownHospital.retries(event.app, event.id)).toBe(0);
});

test("pages go forward and back", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events"));
  const first = await keysOnPage(page);
  await nextPage(page).click();
  const second = await keysOnPage(page);
  expect(second.filter((key) => first.includes(key))).toEqual([]);
  await previousPage(page).click();
  expect(await keysOnPage(page)).toEqual(first);
});

test("every page is whole, and nothing on it waits for a script", async ({ page, hospital }) => {
  for (const [name, address] of await allPages(page, hospital)) {
    const answer = await page.goto(address);
    expect(answer?.status(), name).toBe(200);
    await expect(page.getByRole("heading", { level: 1 }), name).toHaveCount(1);
    await expect(page.getByText(/loading/i), name).toHaveCount(0);
    // Controls that need a script are not shown.
    await expect(page.getByRole("button", { name: /copy/i }), name).toHaveCount(0);
  }
});

test.describe("refused", () => {
  test.use({ provoked: new RegExp(`${WITHOUT_SCRIPTS.source}|^status 400: .*&refused=\\w+$`) });

  test("a refused form leads to its page, which can be reloaded", async ({ page, ownHospital }) => {
    await page.goto(ownHospital.at("/failed-events?app=odoo&state=exhausted"));
    await page.getByRole("button", { name: /^Retry .*selected/ }).click();
    for (const _ of [1, 2]) {
      await expect(page.getByText("No failed event is selected.").first()).toBeVisible();
      await expect(page).toHaveURL(/\/failed-events\?app=odoo&state=exhausted&refused=/);
      await page.reload();
    }
  });
});

test("the address of a filtered list has only what was chosen", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events"));
  await filter(page, { application: "Odoo" });
  await expect(page).toHaveURL(/\/failed-events\?app=odoo(&sort=newest)?$/);
});
