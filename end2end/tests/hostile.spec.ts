// Texts from databases and addresses are shown as text: whatever they contain, none of it runs or becomes a link.
import { expect, test } from "../fixtures";
import { keyOf, rows } from "../screens";

const MARKUP = `</title></script><img src="x" onerror="alert(1)"><script>alert(2)</script>`;
const LINK = "javascript:alert(3)";

test.use({ provoked: /^status 404:/ });

test.beforeEach(({ page }) => {
  page.on("dialog", (dialog) => {
    throw new Error(`a hostile text ran: ${dialog.message()}`);
  });
});

test("hostile rows of a database are shown as they are", async ({ page, ownHospital }) => {
  const [id] = ownHospital.sql("odoo", "select max(id) from failed_events");
  const quoted = `'${MARKUP.replaceAll("'", "''")}'`;
  ownHospital.sql(
    "odoo",
    `update failed_events set error_message = ${quoted}, title = ${quoted}, event_content = '${LINK}',
       event_id = ${quoted}, tags = ${quoted}, feed_uri = '${LINK}', failed_at = '2999-01-01 00:00:00' where id = ${id}`,
  );
  ownHospital.sql("odoo", `update failed_event_retry_log set error_message = ${quoted}, feed_uri = '${LINK}'`);
  await page.goto(ownHospital.at("/failed-events?app=odoo"));
  expect((await keyOf(rows(page).first())).id).toBe(id);
  await expect(rows(page).first()).toContainText(`<img src="x" onerror="alert(1)">`);
  await expectHarmless();

  await rows(page).first().getByRole("link").first().click();
  await expect(page.getByRole("main")).toContainText(`<script>alert(2)</script>`);
  await expect(page.getByRole("main")).toContainText(LINK);
  await expectHarmless();
  for (const path of ["", "/applications/odoo"]) {
    await page.goto(ownHospital.at(path));
    await expectHarmless();
  }

  async function expectHarmless(): Promise<void> {
    await expect(page.locator("img")).toHaveCount(0);
    await expect(page.locator("a[href^='javascript' i], form[action^='javascript' i]")).toHaveCount(0);
    expect(await page.locator("script:not([nonce])").count()).toBe(0);
  }
});

test("characters that act are shown and do not act", async ({ page, ownHospital }) => {
  const [id] = ownHospital.sql("odoo", "select max(id) from failed_events");
  const acting = "'turned ' || char(8238) || 'round ' || char(27) || '[2J'";
  ownHospital.sql(
    "odoo",
    `update failed_events set error_message = ${acting}, title = ${acting}, event_content = ${acting},
       event_id = ${acting}, tags = ${acting}, failed_at = '2999-01-01 00:00:00' where id = ${id}`,
  );
  await page.goto(ownHospital.at("/failed-events?app=odoo"));
  await expect(rows(page).first()).toContainText("turned ⟦RLO⟧round ␛[2J");
  await rows(page).first().getByRole("link").first().click();
  for (const path of [null, "/audit", "/failed-events?app=odoo"]) {
    if (path) await page.goto(ownHospital.at(path));
    expect(await page.locator("body").innerText()).not.toMatch(/[\u202e\u001b]/);
  }
});

test("hostile parts of an address are shown as they are", async ({ page, hospital }) => {
  const text = encodeURIComponent(MARKUP);
  for (const path of [
    `/failed-events?q=${text}`,
    `/failed-events?feed=${text}`,
    `/search?q=${text}`,
    `/failed-events?category=${text}`,
    `/applications/${text}`,
    `/failed-events/${text}/1`,
    `/${text}`,
  ]) {
    await page.goto(hospital.at(path));
    await expect(page.getByRole("heading", { level: 1 }), path).toHaveCount(1);
    await expect(page.locator("img"), path).toHaveCount(0);
    expect(await page.locator("script:not([nonce])").count(), path).toBe(0);
  }
});
