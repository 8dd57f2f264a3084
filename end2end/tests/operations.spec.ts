// Operations from plan to end, with and without JavaScript: the plan, then the progress, then the restore.
import { expect, test } from "../fixtures";
import { keyOf, rows } from "../screens";

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? "with JavaScript" : "without JavaScript", () => {
    test.use({
      javaScriptEnabled,
      provoked: javaScriptEnabled ? /^$/ : /^request: .*\.js: csp$|^console: .* was preloaded using link preload/,
    });

    test("all that match are planned first, and nothing is touched until the plan is started", async ({ page, ownHospital }) => {
      await page.goto(ownHospital.at("/failed-events?app=pacs&state=exhausted"));
      const [before] = ownHospital.sql("pacs", "select count(*) from failed_events where retries >= 10");
      await page.getByRole("button", { name: /^Retry all .*…$/ }).click();
      await expect(page).toHaveURL(/\/operations\/\d+\?back=/);
      await expect(page.getByRole("region", { name: "The plan" })).toContainText("New failures are not included.");
      expect(ownHospital.sql("pacs", "select count(*) from failed_events where retries >= 10")).toEqual([before]);

      await page.getByRole("textbox", { name: /^Reason/ }).fill("The modality is back");
      await page.getByRole("button", { name: /^Retry .*failed events?$/ }).click();
      await expect(page.getByRole("main")).toContainText("Retry requested for");
      await expect(page.getByRole("main")).toContainText("The modality is back");
    });

    test("a discard says what it means, needs a reason, and can be undone", async ({ page, ownHospital }) => {
      await page.goto(ownHospital.at("/failed-events?app=odoo&state=exhausted"));
      const event = await keyOf(rows(page).first());
      const whole = () => ownHospital.sql(event.app, `select * from failed_events where id = ${event.id}`);
      const before = whole();
      await rows(page).first().getByRole("checkbox").check();
      await page.getByRole("button", { name: "Discard selected…" }).click();
      await expect(page.getByRole("region", { name: "The plan" })).toContainText("never process this event");
      await page.getByRole("button", { name: /^Discard 1 failed event$/ }).click();
      expect(whole(), "a discard without a reason is not begun").toEqual(before);
      await page.getByRole("textbox", { name: /^Reason/ }).fill("a test of the trial");
      await page.getByRole("button", { name: /^Discard 1 failed event$/ }).click();
      await expect(page.getByRole("main")).toContainText("Discarded 1 event.");
      expect(whole()).toEqual([]);

      await page.getByRole("link", { name: "Show the discarded events" }).click();
      await expect(page.getByRole("row").filter({ hasText: "a test of the trial" })).toHaveCount(1);
      await page.getByRole("button", { name: /^Restore all 1 of this operation…$/ }).click();
      await page.getByRole("button", { name: /^Restore 1 failed event$/ }).click();
      await expect(page.getByRole("main")).toContainText("Restored 1 event.");
      expect(whole()).toEqual(before);
    });
  });
}
