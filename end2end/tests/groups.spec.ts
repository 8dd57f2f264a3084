// Groups: many failed events, few faults; a note that everybody sees; retried from there.
import { expect, test } from "../fixtures";
import { navigation } from "../screens";

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? "with JavaScript" : "without JavaScript", () => {
    test.use({
      javaScriptEnabled,
      provoked: javaScriptEnabled ? /^$/ : /^request: .*\.js: csp$|^console: .* was preloaded using link preload/,
    });

    test("a fault is one line, says what it means, and carries a note to its failed events", async ({ page, ownHospital }) => {
      await page.goto(ownHospital.at(""));
      await navigation(page).getByRole("link", { name: "Groups" }).click();
      // The watcher may still be reading the databases for the first time.
      const fault = page.getByRole("link", { name: "Patient with uuid '…' not found in ELIS", exact: true });
      await expect(async () => {
        await page.reload();
        await expect(fault).toHaveCount(1, { timeout: 500 });
      }).toPass();
      await fault.click();
      await expect(page.getByRole("main")).toContainText("The encounter came before its patient");

      await page.getByRole("textbox", { name: "What it is" }).fill("Patients come late since the move");
      await page.getByRole("textbox", { name: "Who looks after it" }).fill("support desk");
      await page.getByRole("button", { name: "Save the note" }).click();
      await expect(page.getByRole("region", { name: "Note" })).toContainText("support desk");
      await page.getByRole("region", { name: "Failed events" }).locator("tbody a[href*='/failed-events/']").first().click();
      await expect(page.getByRole("main")).toContainText("Patients come late since the move");
    });
  });
}
