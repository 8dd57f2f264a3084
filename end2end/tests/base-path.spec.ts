// One binary under any base path: links, assets, forms and islands follow it.
import { expect, test } from "../fixtures";
import { Hospital } from "../hospital";
import { keyOf, openAlive, retryNotice, rows } from "../screens";

for (const base of ["/x/y", ""]) {
  test(`under ${base || "/"}: pages, style, islands and a retry`, async ({ page }) => {
    const hospital = await Hospital.start(base);
    try {
      await hospital.signIn(page.context());
      await page.goto(hospital.at("/"));
      await expect(page).toHaveURL(base ? hospital.at("") : hospital.at("/"));
      await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
      const links = await page.locator("a[href^='/']").evaluateAll((all) => all.map((link) => link.getAttribute("href") ?? ""));
      expect(links.filter((href) => !`${href}/`.startsWith(`${base}/`))).toEqual([]);

      await openAlive(page, hospital.at("/failed-events?state=exhausted"));
      // Only a started island reacts to a key.
      await page.keyboard.press("?");
      await expect(page.getByRole("dialog", { name: "Keys" })).toBeVisible();
      await page.keyboard.press("Escape");
      const event = await keyOf(rows(page).first());
      await rows(page).first().getByRole("button", { name: /^Retry / }).click();
      await expect(retryNotice(page, 1)).toBeVisible();
      expect(new URL(page.url()).pathname).toBe(`${base}/failed-events`);
      expect(hospital.retries(event.app, event.id)).toBe(0);
    } finally {
      await hospital.stop();
    }
  });
}

test("a final slash leads to the same page", async ({ page, hospital }) => {
  for (const path of ["", "/failed-events", "/groups", "/operations"]) {
    const answer = await page.goto(hospital.at(`${path}/`));
    expect(answer?.status()).toBe(200);
    await expect(page).toHaveURL(hospital.at(path));
  }
});
