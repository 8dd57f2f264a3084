// The running demo hospital: each failure has a cause, and its retry succeeds once the cause is fixed.
import { beyondTheEdge, thinTexts } from "../accessible";
import { expect, test as plain } from "../fixtures";
import { Hospital } from "../hospital";

/** A hospital at the highest pace. */
const test = plain.extend<{ busy: Hospital }>({
  busy: async ({ context }, use) => {
    const busy = await Hospital.start(undefined, 100);
    await busy.signIn(context);
    await use(busy);
    await busy.stop();
  },
});

const NOT_SET_UP = "%was not setup properly%";

test("a retry fails again, the cause is mended, and the next retry comes through", async ({ page, busy }) => {
  test.setTimeout(120_000);
  // An event whose first and latest error both say so.
  const [id] = busy.sql(
    "openelis",
    `select max(id) from failed_events f where retries = 10 and error_message like '${NOT_SET_UP}'
       and (select error_message from failed_event_retry_log l where l.event_id = f.event_id order by l.id desc limit 1)
         like '${NOT_SET_UP}'`,
  );
  const attempts = () =>
    Number(busy.sql("openelis", `select count(*) from failed_event_retry_log where event_id in
      (select event_id from failed_events where id = ${id})`)[0]);
  const before = attempts();
  const retry = async () => {
    await page.goto(busy.at(`/failed-events/openelis/${id}`));
    await page.getByRole("button", { name: "Retry", exact: true }).click();
    await expect(page).toHaveURL(/done=/);
  };
  await retry();
  // After ten more attempts, it is exhausted again.
  await expect.poll(() => attempts(), { timeout: 40_000 }).toBe(before + 10);
  expect(busy.retries("openelis", id)).toBe(10);

  await page.getByRole("link", { name: "Simulate problems" }).click();
  // The oldest problem: another one may have occurred by chance.
  await page.getByRole("button", { name: "Set up the tests" }).first().click();
  await expect(page).toHaveURL(busy.at("/demo"));

  // If a running retry overwrote the reset, the console resets it again, so the event may be resolved already.
  await page.goto(busy.at(`/failed-events/openelis/${id}`));
  const button = page.getByRole("button", { name: "Retry", exact: true });
  await expect(button.or(page.getByText("Resolved").first()).first()).toBeVisible();
  if (await button.isVisible()) await retry();
  await expect.poll(() => busy.retries("openelis", id), { timeout: 40_000 }).toBeUndefined();
  expect(attempts()).toBe(0);
  // It is no longer in the hospital's databases: this comes from the console's history.
  await expect(async () => {
    await page.goto(busy.at(`/failed-events/openelis/${id}`));
    await expect(page.getByRole("main")).toContainText("Resolved", { timeout: 500 });
  }).toPass();
});

test("what a consumer says of itself fits on a phone", async ({ page, busy }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await expect(async () => {
    await page.goto(busy.at("/demo"));
    await expect(page.getByText("Too many failed events").first()).toBeVisible({ timeout: 500 });
  }).toPass();
  expect(await beyondTheEdge(page)).toBeLessThanOrEqual(0);
});

test("an operation says beside each number what failed again", async ({ page, busy }) => {
  test.setTimeout(90_000);
  await page.goto(busy.at("/failed-events?app=openelis&state=exhausted"));
  await page.getByRole("button", { name: /^Retry all .*…$/ }).click();
  await page.getByRole("button", { name: /^Retry .*failed events?$/ }).click();
  const causes = page.getByRole("region", { name: "Results" }).locator("ul.causes > li");
  await expect(async () => {
    await page.reload();
    await expect(causes.first()).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 60_000 });
  const links = causes.first().getByRole("link");
  const [number, cause] = await Promise.all([links.first().boundingBox(), links.last().boundingBox()]);
  if (!number || !cause) throw new Error("The cause cannot be seen.");
  expect(cause.x).toBeGreaterThan(number.x);
  expect(Math.abs(cause.y - number.y)).toBeLessThan(8);
  expect(await thinTexts(page)).toEqual([]);
});

test("the progress of a retry is announced", async ({ page, busy }) => {
  test.setTimeout(120_000);
  await page.goto(busy.at("/failed-events?app=openelis&state=exhausted"));
  await page.getByRole("button", { name: /^Retry all .*…$/ }).click();
  await page.getByRole("button", { name: /^Retry .*failed events?$/ }).click();
  await expect(page.locator("#voice")).toContainText(/[1-9]0 % tried/, { timeout: 60_000 });
});

test("its feeds can be opened", async ({ page, busy }) => {
  await page.goto(busy.at("/demo"));
  const links = await page.locator("#feeds").locator("xpath=ancestor::section").getByRole("link").all();
  expect(links.length).toBeGreaterThan(5);
  for (const link of links) {
    const answer = await page.request.get(`${busy.origin}${await link.getAttribute("href")}`);
    expect(answer.status()).toBe(200);
    expect(await answer.text()).toContain('<feed xmlns="http://www.w3.org/2005/Atom"');
  }
});

test.describe("without JavaScript", () => {
  // Chromium reports that it did not load the module, because scripts are disabled.
  test.use({ javaScriptEnabled: false, provoked: /^request: .*\.js: csp$|^console: .* was preloaded using link preload/ });

  test("something is broken and mended", async ({ page, busy }) => {
    await page.goto(busy.at("/demo"));
    await page.getByRole("button", { name: "Stop OpenMRS" }).click();
    await expect(page.getByText("OpenMRS is down.")).toBeVisible();
    await expect(page.getByRole("button", { name: "Stop OpenMRS" })).toHaveCount(0);
    // The consumers say that they cannot read. Nothing else shows it, because no event fails.
    await expect(async () => {
      await page.reload();
      await expect(page.getByText("Unexpected response status 502").first()).toBeVisible({ timeout: 500 });
    }).toPass();
    await page.getByRole("button", { name: "Start OpenMRS" }).click();
    await expect(page.getByText("OpenMRS is down.")).toHaveCount(0);
    // Both are in the audit log.
    await page.goto(busy.at("/audit"));
    await expect(page.getByRole("row").filter({ hasText: "problem simulated (demo)" })).toContainText("Stop OpenMRS");
    await expect(page.getByRole("row").filter({ hasText: "problem fixed (demo)" })).toContainText("OpenMRS is down.");
  });
});
