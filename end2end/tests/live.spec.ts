// Open pages follow what happens, by themselves, and never move what is under the reader's hands.
import { expect, test } from "../fixtures";
import { keysOnPage, openAlive, rows } from "../screens";

/** The demo hospital is looked at every ten seconds; what it saw reaches open pages at once. */
const SEEN = { timeout: 40_000 };

/** One more failed event, as a consumer would write it. */
const FAIL =
  "insert into failed_events (feed_uri, failed_at, error_message, event_id, event_content, title, retries) " +
  "select feed_uri, failed_at, error_message, event_id || '-new', event_content, title, 0 from failed_events order by id limit 1";

test.describe.configure({ timeout: 90_000 });

test("counts on the overview change by themselves", async ({ page, ownHospital }) => {
  await openAlive(page, ownHospital.at(""));
  const waiting = page.getByRole("row", { name: /Odoo/ }).locator("[data-label='Waiting']");
  const before = Number((await waiting.innerText()).replaceAll(",", ""));
  ownHospital.sql("odoo", FAIL);
  await expect(waiting).toHaveText(new RegExp(`^\\s*${(before + 1).toLocaleString("en")}\\s*$`), SEEN);
});

test("a list announces what came and stays where it is", async ({ page, ownHospital }) => {
  await openAlive(page, ownHospital.at("/failed-events?app=odoo"));
  const before = await keysOnPage(page);
  const place = await rows(page).nth(3).boundingBox();
  ownHospital.sql("odoo", FAIL);
  const news = page.locator("a.fresh");
  await expect(news).toContainText("1 new failed event", SEEN);
  expect(await keysOnPage(page)).toEqual(before);
  // The announcement takes its place above the rows; the rows themselves keep their order and their size.
  expect((await rows(page).nth(3).boundingBox())?.height).toBe(place?.height);
});

test("a failed event's page follows its retry to the end", async ({ page, ownHospital }) => {
  await page.goto(ownHospital.at("/failed-events?app=odoo&state=exhausted"));
  const [key] = await keysOnPage(page);
  const id = key.split("/")[1];
  await openAlive(page, ownHospital.at(`/failed-events/${key}`));
  await page.getByRole("button", { name: "Retry", exact: true }).click();
  await expect(page.getByText("Retry requested").first()).toBeVisible(SEEN);
  // The consumer tries, and it fails again.
  ownHospital.sql(
    "odoo",
    "insert into failed_event_retry_log (feed_uri, failed_at, error_message, event_id, event_content) " +
      `select feed_uri, failed_at, 'java.lang.RuntimeException: not this time', event_id, event_content from failed_events where id = ${id}; ` +
      `update failed_events set retries = 1 where id = ${id}`,
  );
  await expect(page.getByText("Failed again").first()).toBeVisible(SEEN);
});

test("a lost connection is shown and comes back", async ({ page, ownHospital, context }) => {
  await openAlive(page, ownHospital.at(""));
  const lost = page.getByText("The connection to the console is lost");
  await expect(lost).toBeHidden();
  await context.route("**/events", (route) => route.abort("aborted"));
  // A page that comes into sight opens its stream anew.
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange", { bubbles: true })));
  await expect(lost).toBeVisible();
  await context.unroute("**/events");
  await expect(lost).toBeHidden({ timeout: 20_000 });
});

test("the seventh tab does not hang", async ({ context, ownHospital }) => {
  for (let tab = 0; tab < 8; tab++) {
    const page = await context.newPage();
    await page.bringToFront();
    await page.goto(ownHospital.at(""), { timeout: 15_000 });
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    // A headless browser hides no tab by itself.
    await page.evaluate(() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    });
  }
});
