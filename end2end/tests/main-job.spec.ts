// The main task: see what is wrong, open it, retry it, see what was done.
import { expect, test } from "../fixtures";
import { expectAlive, expectOnRecord, filter, keyIn, keyOf, mostUrgent, navigation, openAlive, others, retryNotice, rows } from "../screens";

test("by mouse: from the overview to a retried event and its record", async ({ page, ownHospital }) => {
  await page.goto(ownHospital.at(""));
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(page.getByRole("main").getByText("Stopped", { exact: true }).first()).toBeVisible();
  await mostUrgent(page).click();

  await filter(page, { application: "Odoo", state: "exhausted" });
  await expect(page).toHaveURL(/app=odoo/);
  await expect(page).toHaveURL(/state=exhausted/);
  const row = rows(page).first();
  await expect(row).toContainText("Retries used up");
  const event = await keyOf(row);
  const before = others(ownHospital, event);
  const [failedAt] = ownHospital.sql(event.app, `select failed_at from failed_events where id = ${event.id}`);
  expect(ownHospital.retries(event.app, event.id)).toBeGreaterThan(0);

  await row.getByRole("link").first().click();
  await expect(page.getByRole("heading", { name: /error/i }).first()).toBeVisible();
  await expect(page.getByRole("heading", { name: /payload/i }).first()).toBeVisible();
  await page.getByRole("button", { name: "Retry", exact: true }).click();

  await expect(retryNotice(page, 1)).toBeVisible();
  expect(ownHospital.retries(event.app, event.id)).toBe(0);
  expect(ownHospital.sql(event.app, `select failed_at from failed_events where id = ${event.id}`)).toEqual([failedAt]);
  expect(others(ownHospital, event)).toEqual(before);
  await expectOnRecord(page, ownHospital, event);
});

test("by mouse: the selected rows are retried, and no others", async ({ page, ownHospital }) => {
  await page.goto(ownHospital.at("/failed-events?app=odoo&state=exhausted"));
  const [first, second, third] = [await keyOf(rows(page).nth(0)), await keyOf(rows(page).nth(1)), await keyOf(rows(page).nth(2))];
  const left = ownHospital.retries(third.app, third.id);
  const discard = page.getByRole("button", { name: "Discard selected…" });
  await expect(discard).toBeHidden();
  await rows(page).nth(0).getByRole("checkbox").check();
  await expect(discard).toBeEnabled();
  await rows(page).nth(1).getByRole("checkbox").check();
  await page.getByRole("button", { name: "Retry 2", exact: true }).click();

  await expect(retryNotice(page, 2)).toBeVisible();
  expect(ownHospital.retries(first.app, first.id)).toBe(0);
  expect(ownHospital.retries(second.app, second.id)).toBe(0);
  expect(ownHospital.retries(third.app, third.id)).toBe(left);
});

test("a row that changed since it was seen is left alone, and the page says so", async ({ page, ownHospital }) => {
  await page.goto(ownHospital.at("/failed-events?app=odoo&state=exhausted"));
  const event = await keyOf(rows(page).first());
  await rows(page).first().getByRole("link").first().click();
  ownHospital.sql(event.app, `update failed_events set retries = 77 where id = ${event.id}`);
  await page.getByRole("button", { name: "Retry", exact: true }).click();

  await expect(page.getByText(/changed/i).first()).toBeVisible();
  expect(ownHospital.retries(event.app, event.id)).toBe(77);
});

test("a whole feed: the plan names the number, and exactly those rows are reset", async ({ page, ownHospital }) => {
  await page.goto(ownHospital.at("/failed-events?app=odoo&state=exhausted"));
  const event = await keyOf(rows(page).first());
  const [feed] = ownHospital.sql(event.app, `select feed_uri from failed_events where id = ${event.id}`);
  const inFeed = `feed_uri = '${feed}'`;
  const [exhausted] = ownHospital.sql(event.app, `select count(*) from failed_events where ${inFeed} and retries >= 5`);
  const elsewhere = ownHospital.sql(event.app, `select id, retries from failed_events where not (${inFeed}) order by id`);

  await page.goto(ownHospital.at(`/failed-events?app=${event.app}&state=exhausted&feed=${encodeURIComponent(feed)}`));
  await page.getByRole("button", { name: /^Retry all [\d,]+…$/ }).click();
  await expect(page).toHaveURL(/\/operations\/\d+/);
  const number = new RegExp(`\\b${Number(exhausted).toLocaleString("en-GB")}\\b`);
  await expect(page.getByRole("main")).toContainText(number);
  await page.getByRole("main").getByRole("button", { name: /^Retry/ }).click();

  await expect(page).toHaveURL(/\/operations\/\d+/);
  await expect(page.getByRole("main")).toContainText(number);
  await expect
    .poll(() => ownHospital.sql(event.app, `select count(*) from failed_events where ${inFeed} and retries >= 5`))
    .toEqual(["0"]);
  expect(ownHospital.sql(event.app, `select id, retries from failed_events where not (${inFeed}) order by id`)).toEqual(elsewhere);
});

test("by keyboard only: from the overview to a retried event and its record", async ({ page, ownHospital }) => {
  await openAlive(page, ownHospital.at(""));
  // The first stop is the link that skips the navigation, and it works.
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the content" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main")).toBeFocused();
  await tabTo("main a[href*='/failed-events?']");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/failed-events\?/);
  await expectAlive(page);

  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/failed-events\/[^/]+\/\d+/);
  await expectAlive(page);
  const event = keyIn(page.url());
  const before = others(ownHospital, event);
  expect(ownHospital.retries(event.app, event.id)).toBeGreaterThan(0);
  await page.keyboard.press("r");

  await expect(retryNotice(page, 1)).toBeVisible();
  expect(ownHospital.retries(event.app, event.id)).toBe(0);
  expect(others(ownHospital, event)).toEqual(before);

  // The focus is on the message, and the navigation is before it.
  await expect(retryNotice(page, 1).locator("p[tabindex='-1']")).toBeFocused();
  await tabTo("nav[aria-label=Main] a[href$='/operations']", "Shift+Tab");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(ownHospital.at("/operations"));
  await tabTo("main a[href*='/operations/']");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/operations\/\d+$/);
  const row = page.getByRole("row").filter({ has: page.locator(`a[href*='/failed-events/${event.app}/${event.id}']`) });
  await expect(row).toContainText("Retry requested");

  /** Presses Tab until a matching element has the focus, which must be visible. */
  async function tabTo(selector: string, key = "Tab"): Promise<void> {
    for (let presses = 0; presses < 150; presses++) {
      await page.keyboard.press(key);
      const focused = page.locator(":focus");
      if (await focused.evaluate((element, wanted) => element.matches(wanted), selector).catch(() => false)) {
        const outline = await focused.evaluate((element) => {
          const style = getComputedStyle(element);
          return style.outlineStyle !== "none" || style.boxShadow !== "none";
        });
        expect(outline, `the focus on ${selector} can be seen`).toBe(true);
        return;
      }
    }
    throw new Error(`150 times ${key} did not come to ${selector}`);
  }
});

test("keys help a person on a list", async ({ page, hospital }) => {
  // Every exhausted event can be selected; the first of other events may have nothing to reset.
  await openAlive(page, hospital.at("/failed-events?state=exhausted"));
  await page.keyboard.press("/");
  await expect(page.getByRole("searchbox").first()).toBeFocused();
  await page.keyboard.type("jxr");
  await expect(page.getByRole("checkbox", { name: /^Select (?!all)/, checked: true })).toHaveCount(0);
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keys" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog", { name: "Keys" })).toBeHidden();
  // A closing dialog returns the focus a moment later: an earlier key press affects no row.
  await expect(async () => {
    await page.keyboard.press("j");
    await expect(page.locator("table tbody :focus")).toHaveCount(1, { timeout: 500 });
  }).toPass();
  await page.keyboard.press("x");
  await expect(page.getByRole("checkbox", { name: /^Select (?!all)/, checked: true })).toHaveCount(1);
});

test("the navigation leads to every screen and says where one is", async ({ page, hospital }) => {
  await page.goto(hospital.at(""));
  for (const [name, path] of [
    ["Failed events", "/failed-events"],
    ["Applications", "/applications"],
    ["Groups", "/groups"],
    ["Operations", "/operations"],
    ["Help", "/help"],
    ["Overview", ""],
  ]) {
    await navigation(page).getByRole("link", { name }).click();
    await expect(page).toHaveURL(hospital.at(path));
    await expect(navigation(page).getByRole("link", { name })).toHaveAttribute("aria-current", "page");
    await expect(page.getByRole("heading", { level: 1 })).toHaveCount(1);
  }
});
