// Open pages update by themselves, and never move what the user points at.
import type { Page } from "@playwright/test";

import { expect, test } from "../fixtures";
import type { Hospital } from "../hospital";
import { groupOfFirst, keysOnPage, openAlive, rows } from "../screens";

/** The demo hospital is polled every ten seconds; changes then reach open pages at once. */
const SEEN = { timeout: 40_000 };

/** Adds one failed event, as a consumer would write it. */
const FAIL =
  "insert into failed_events (feed_uri, failed_at, error_message, event_id, event_content, title, retries) " +
  "select feed_uri, failed_at, error_message, event_id || '-new', event_content, title, 0 from failed_events order by id limit 1";

test.describe.configure({ timeout: 90_000 });

test("counts on the overview change by themselves", async ({ page, ownHospital }) => {
  await openAlive(page, ownHospital.at(""));
  const waiting = page.getByRole("row", { name: /Odoo/ }).locator("[data-label='Waiting for retry']");
  const before = Number((await waiting.innerText()).replaceAll(",", ""));
  ownHospital.sql("odoo", FAIL);
  await expect(waiting).toHaveText(new RegExp(`^\\s*${(before + 1).toLocaleString("en")}\\s*$`), SEEN);
});

test("the overview's lines keep their places while the pointer is among them", async ({ page, ownHospital }) => {
  const lines = page.getByRole("table", { name: /^Feeds with failures/ }).locator("tbody tr");
  // The watcher may still be reading the databases for the first time, and causes come with that.
  let read: string[] = [];
  await expect(async () => {
    const before = read;
    await page.goto(ownHospital.at(""));
    read = await lines.locator(".causes").allInnerTexts();
    expect(read.length).toBeGreaterThan(0);
    expect(read).toEqual(before);
  }).toPass({ intervals: [2_000], timeout: 40_000 });
  await openAlive(page, ownHospital.at(""));
  const names = () => lines.getByRole("rowheader").locator("a:first-child").allInnerTexts();
  const before = await names();
  const odoo = before.findIndex((name) => name.endsWith("→ Odoo"));
  const other = before.findLastIndex((name) => !name.endsWith("→ Odoo"));
  expect(odoo, "a line of Odoo stands above the one that is aimed at").toBeLessThan(other);
  const aimed = lines.nth(other);
  await aimed.scrollIntoViewIfNeeded();
  const place = await aimed.boundingBox();
  await page.mouse.move(10, 10);
  await page.mouse.move((place?.x ?? 0) + 20, (place?.y ?? 0) + 10);
  // This would remove the lines of Odoo.
  ownHospital.sql("odoo", "delete from failed_events");
  await expect(page.locator("tr.ended").first()).toBeVisible(SEEN);
  // A feed of Odoo that cannot continue keeps its line anyway.
  const ended = await page.locator("tr.ended").getByRole("rowheader").locator("a:first-child").allInnerTexts();
  expect(ended.filter((name) => !name.endsWith("→ Odoo"))).toEqual([]);
  // New lines are below.
  expect((await names()).slice(0, before.length)).toEqual(before);
  expect((await aimed.boundingBox())?.y).toBe(place?.y);
  await page.mouse.move(10, 10);
  const known = async () => (await names()).filter((name) => before.includes(name));
  await expect.poll(known, SEEN).toEqual(before.filter((name) => !ended.includes(name)));
  await expect(page.locator("tr.ended")).toHaveCount(0);
});

for (const [name, path, part] of [
  ["groups", "/groups", "td[data-label='Failed events']"],
  ["causes", "/failed-events?app=odoo&by=cause", "td[data-label='Failed events']"],
] as const) {
  test(`counts of ${name} change by themselves`, async ({ page, ownHospital }) => {
    // The watcher may still be reading the databases for the first time.
    await expect(async () => {
      await openAlive(page, ownHospital.at(path));
      await expect(page.locator(part).first()).toBeVisible({ timeout: 500 });
    }).toPass();
    const counts = async () => (await page.locator(part).allInnerTexts()).join(" ");
    const before = await counts();
    ownHospital.sql("odoo", FAIL);
    await expect.poll(counts, SEEN).not.toBe(before);
  });
}

test("the states of applications change by themselves", async ({ page, ownHospital }) => {
  await openAlive(page, ownHospital.at("/applications"));
  const state = page.getByRole("row", { name: /Odoo/ }).locator("[data-label='State']");
  await expect(state).toContainText("stopped");
  ownHospital.sql("odoo", "delete from failed_events");
  await expect(state).not.toContainText("stopped", SEEN);
});

test("a group's page follows, and what is typed into its note stays", async ({ page, ownHospital }) => {
  await openAlive(page, await groupOfFirst(page, ownHospital));
  const lead = page.getByRole("main").locator(".lead");
  const before = await lead.innerText();
  const what = page.getByRole("textbox", { name: "What it is" });
  await what.fill("The price list is old");
  ownHospital.sql("odoo", FAIL);
  await expect(lead).not.toHaveText(before, SEEN);
  await expect(what).toHaveValue("The price list is old");
  await expect(what).toBeFocused();
});

test("a list announces what came and stays where it is", async ({ page, ownHospital }) => {
  await openAlive(page, ownHospital.at("/failed-events?app=odoo"));
  const before = await keysOnPage(page);
  const place = await rows(page).nth(3).boundingBox();
  ownHospital.sql("odoo", FAIL);
  const news = page.locator("a.fresh");
  await expect(news).toContainText("1 new failed event", SEEN);
  expect(await keysOnPage(page)).toEqual(before);
  // The announcement appears above the rows; the rows themselves keep their order and size.
  expect((await rows(page).nth(3).boundingBox())?.height).toBe(place?.height);
});

/** Opens the page of the first exhausted event of Odoo, requests its retry and returns its id. */
async function retried(page: Page, hospital: Hospital): Promise<string> {
  await page.goto(hospital.at("/failed-events?app=odoo&state=exhausted"));
  const [key] = await keysOnPage(page);
  await openAlive(page, hospital.at(`/failed-events/${key}?app=odoo&state=exhausted`));
  await page.getByRole("button", { name: "Retry", exact: true }).click();
  await expect(page.getByText("Retry requested").first()).toBeVisible(SEEN);
  return key.split("/")[1];
}

test("a failed event's page follows a retry that fails otherwise, and no part of it contradicts another", async ({ page, ownHospital }) => {
  const id = await retried(page, ownHospital);
  // What the user has opened stays open.
  await page.getByText("Raw text").first().click();
  // The console must have seen the request before the application tries.
  await page.waitForTimeout(11_000);
  ownHospital.sql(
    "odoo",
    "insert into failed_event_retry_log (feed_uri, failed_at, error_message, event_id, event_content) " +
      `select feed_uri, datetime('now'), 'java.lang.RuntimeException: not this time', event_id, event_content from failed_events where id = ${id}; ` +
      `update failed_events set retries = 1 where id = ${id}`,
  );
  const main = page.getByRole("main");
  await expect(main.getByRole("heading", { level: 1 })).toContainText("not this time", SEEN);
  await expect(page.getByText("Failed again").first()).toBeVisible();
  await expect(main.locator("[data-outcome]").first()).toContainText("1 failed again");
  await expect(main.getByRole("region", { name: "Latest error", exact: true })).toContainText("not this time");
  await expect(main.getByRole("region", { name: "Details" })).toContainText("1 of 5");
  await expect(main.locator("details.raw").first()).toHaveAttribute("open", "");
  await expect(main.getByRole("region", { name: "Payload" })).toContainText("Download");
  await expect(page.locator("#voice")).toContainText("Failed again");
});

test("a row that is resolved while its page is open says so in the same place, with the next of the list", async ({ page, ownHospital }) => {
  const id = await retried(page, ownHospital);
  const address = page.url();
  await page.waitForTimeout(11_000);
  ownHospital.sql(
    "odoo",
    `delete from failed_event_retry_log where event_id = (select event_id from failed_events where id = ${id}); ` +
      `delete from failed_events where id = ${id}`,
  );
  await expect(page.getByRole("main").getByText(/Resolved \d+ s after your retry\./)).toBeVisible(SEEN);
  expect(page.url()).toBe(address);
  await expect(page.getByRole("button", { name: "Retry", exact: true })).toHaveCount(0);
  await expect(page.getByText("no result yet")).toHaveCount(0);
  await expect(page.locator("#voice")).toContainText("Resolved");
  await expect(page.getByRole("link", { name: "Back to the list" })).toHaveAttribute("href", /state=exhausted/);
  await page.getByRole("link", { name: "Next →" }).click();
  await expect(page.getByRole("button", { name: "Retry", exact: true })).toBeVisible();
});

test("an open page brings what changed, and keeps focus and ticks", async ({ page, ownHospital }) => {
  await openAlive(page, ownHospital.at("/failed-events?app=odoo&state=exhausted"));
  const heading = page.getByRole("heading", { level: 1 });
  const before = await heading.innerText();
  const keys = await keysOnPage(page);
  const box = rows(page).nth(2).getByRole("checkbox");
  await box.check();
  await rows(page).nth(3).getByRole("checkbox").focus();
  ownHospital.sql("odoo", FAIL.replace("title, 0 from", "title, 5 from"));
  await expect(heading).not.toHaveText(before, SEEN);
  expect(await keysOnPage(page)).toEqual(keys);
  await expect(box).toBeChecked();
  await expect(rows(page).nth(3).getByRole("checkbox")).toBeFocused();
  // A row that is no longer in the list keeps its place, and is marked.
  const [, id] = keys[0].split("/");
  ownHospital.sql("odoo", `delete from failed_events where id = ${id}`);
  const gone = page.locator("tr.ended");
  await expect(gone).toHaveCount(1, SEEN);
  await expect(gone.getByRole("checkbox")).toBeDisabled();
  await expect(gone.locator(".state").first()).toHaveCSS("opacity", "0.6");
  await expect(gone.locator("a").first()).toHaveAttribute("href", new RegExp(`/${id}(\\?|$)`));
});

test("a lost connection is shown and comes back", async ({ page, ownHospital, context }) => {
  await openAlive(page, ownHospital.at(""));
  const lost = page.getByText("Connection lost. This page stopped at");
  await expect(lost).toBeHidden();
  await context.route("**/events", (route) => route.abort("aborted"));
  // A page that becomes visible opens its stream again.
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange", { bubbles: true })));
  await expect(lost).toBeVisible();
  await expect(page.locator("body")).toHaveClass(/stale/);
  await context.unroute("**/events");
  await expect(lost).toBeHidden({ timeout: 20_000 });
  await expect(page.locator("body")).not.toHaveClass(/stale/);
});

test("when a page stopped is told in the reader's zone and clock, and its states turn grey", async ({ page, ownHospital, context }) => {
  await page.goto(ownHospital.at("/account"));
  const form = page.getByRole("region", { name: "Preferences" });
  // A zone with an offset of a half hour.
  await form.getByLabel("Time zone").fill("Asia/Kolkata");
  await form.getByLabel("Times").selectOption("12");
  await form.getByRole("button", { name: "Save preferences" }).click();
  await openAlive(page, ownHospital.at(""));
  await context.route("**/events", (route) => route.abort("aborted"));
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange", { bubbles: true })));
  const lost = page.getByText(/Connection lost\. This page stopped at \d{1,2}:\d\d [ap]m\. Reconnecting/);
  await expect(lost).toBeVisible();
  const clock = (zone: string) => (at: number) =>
    new Date(at).toLocaleTimeString("en-US", { timeZone: zone, hour: "numeric", minute: "2-digit" }).toLowerCase().replace(/\s/, " ");
  const told = (await lost.locator("b").innerText()).trim();
  // It stopped within the last minutes, by a clock in Kolkata.
  const minutes = [0, 1, 2, 3].map((ago) => Date.now() - ago * 60_000);
  expect(minutes.map(clock("Asia/Kolkata"))).toContain(told);
  await expect(page.getByRole("main").locator(".state").first()).toHaveCSS("opacity", "0.75");
});

test("a console that stands still is told within ten seconds", async ({ page, ownHospital }) => {
  await openAlive(page, ownHospital.at(""));
  await page.waitForTimeout(1_000);
  ownHospital.freeze();
  const lost = page.getByText(/Connection lost\. This page stopped at \d\d:\d\d\. Reconnecting/);
  await expect(lost).toBeVisible({ timeout: 10_000 });
  await expect(page.locator("body")).toHaveClass(/stale/);
  ownHospital.thaw();
  await expect(lost).toBeHidden({ timeout: 40_000 });
});

/** The message of a page that cannot be read again, although its stream works. */
const UNREAD = /This page cannot be updated\. It stopped at \d\d:\d\d\. Trying again/;

/** The request by which an open page reads itself again. */
const READ_AGAIN = /[?&]live=1$/;

test.describe("a page that cannot be read again says so within ten seconds, and is read when it can be", () => {
  test.use({ provoked: /^status (503|403|429):/ });

  for (const status of [503, 403, 429]) {
    test(`status ${status}`, async ({ page, ownHospital, context }) => {
      await openAlive(page, ownHospital.at(""));
      const waiting = page.getByRole("row", { name: /Odoo/ }).locator("[data-label='Waiting for retry']");
      const before = await waiting.innerText();
      await context.route(READ_AGAIN, (route) => route.fulfill({ status, contentType: "application/json", body: '{"what":"no"}' }));
      const asked = page.waitForRequest(READ_AGAIN, SEEN);
      ownHospital.sql("odoo", FAIL);
      await asked;
      const told = page.getByText(UNREAD);
      await expect(told).toBeVisible({ timeout: 10_000 });
      await expect(page.locator("body")).toHaveClass(/stale/);
      await expect(page.getByText("Connection lost.")).toBeHidden();
      await expect(waiting).toHaveText(before);
      await context.unroute(READ_AGAIN);
      await expect(told).toBeHidden(SEEN);
      await expect(page.locator("body")).not.toHaveClass(/stale/);
      await expect(waiting).not.toHaveText(before);
    });
  }

  test("no answer", async ({ page, ownHospital, context }) => {
    await openAlive(page, ownHospital.at(""));
    // The request is never answered.
    await context.route(READ_AGAIN, () => {});
    const asked = page.waitForRequest(READ_AGAIN, SEEN);
    ownHospital.sql("odoo", FAIL);
    await asked;
    await expect(page.getByText(UNREAD)).toBeVisible({ timeout: 10_000 });
    await context.unroute(READ_AGAIN);
    await expect(page.getByText(UNREAD)).toBeHidden(SEEN);
  });

  test("a page of something else in between", async ({ page, ownHospital, context }) => {
    await openAlive(page, ownHospital.at(""));
    const heading = await page.getByRole("heading", { level: 1 }).innerText();
    const foreign = "<!doctype html><title>Wi-Fi</title><main><h1>Sign in to the network</h1></main>";
    await context.route(READ_AGAIN, (route) => route.fulfill({ contentType: "text/html", body: foreign }));
    ownHospital.sql("odoo", FAIL);
    await expect(page.getByText(UNREAD)).toBeVisible(SEEN);
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(heading);
  });
});

test.describe("after signing out", () => {
  test.use({ provoked: /^status 401:/ });

  test("an open page says that it has stopped, and leads to the sign-in", async ({ page, context, ownHospital }) => {
    await openAlive(page, ownHospital.at("/failed-events?app=odoo"));
    const other = await context.newPage();
    await other.goto(ownHospital.at("/help"));
    await other.getByRole("button", { name: "Sign out" }).click();
    await page.bringToFront();
    const told = page.getByText(/You are signed out\. This page stopped at \d\d:\d\d\./);
    await expect(told).toBeVisible({ timeout: 10_000 });
    await expect(page.locator("body")).toHaveClass(/stale/);
    await told.getByRole("link", { name: "Sign in" }).click();
    await expect(page).toHaveURL(/\/sign-in\?to=(%2F|\/)failed-events/);
  });
});

test("the seventh tab does not hang", async ({ context, ownHospital }) => {
  for (let tab = 0; tab < 8; tab++) {
    const page = await context.newPage();
    await page.bringToFront();
    await page.goto(ownHospital.at(""), { timeout: 15_000 });
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    // A headless browser does not hide tabs by itself.
    await page.evaluate(() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    });
  }
});
