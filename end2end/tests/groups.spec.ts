// Groups: many failed events, few causes; a note that all users see; retries from a group.
import { expect, test } from "../fixtures";
import { groupOfFirst, navigation, openAlive, writeNote, writeNotesAtOnce } from "../screens";

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
      await page.getByRole("textbox", { name: "Owner" }).fill("support desk");
      await page.getByRole("button", { name: "Save note" }).click();
      await expect(page.getByRole("region", { name: "Note" })).toContainText("support desk");
      await page.getByRole("region", { name: "Failed events" }).locator("tbody a[href*='/failed-events/']").first().click();
      await expect(page.getByRole("main")).toContainText("Patients come late since the move");
    });
  });
}

test.describe("two people write a note at once", () => {
  test.use({ provoked: /^status 409:/ });

  test("and the second one sees both versions side by side", async ({ page, context, ownHospital }) => {
    const conflict = await writeNotesAtOnce(page, context, ownHospital.at("/groups/1"));
    await expect(conflict.getByRole("region", { name: "Saved version" })).toContainText("hers: the patient comes late");
    await expect(conflict.getByRole("textbox", { name: "What it is" })).toHaveValue("his: call the lab");
    await conflict.getByRole("button", { name: "Save your version instead" }).click();
    const note = page.getByRole("region", { name: "Note" });
    await expect(note).toContainText("his: call the lab");
    await note.getByText("1 earlier version").click();
    await expect(note).toContainText("hers: the patient comes late");
  });

  test("also where the second one's page has followed meanwhile", async ({ page, context, ownHospital }) => {
    test.setTimeout(90_000);
    const group = await groupOfFirst(page, ownHospital);
    await openAlive(page, group);
    await page.getByRole("textbox", { name: "What it is" }).fill("his: call the lab");
    const other = await context.newPage();
    await other.goto(group);
    await writeNote(other, "hers: the patient comes late");
    await expect(other.getByText("The note is saved.").first()).toBeVisible();

    // After a change his page is read again: her note is shown above the form, and his text stays in it.
    await page.bringToFront();
    ownHospital.sql(
      "odoo",
      "insert into failed_events (feed_uri, failed_at, error_message, event_id, event_content, title, retries) " +
        "select feed_uri, failed_at, error_message, event_id || '-new', event_content, title, 0 from failed_events order by id limit 1",
    );
    const note = page.getByRole("region", { name: "Note" });
    await expect(note).toContainText("hers: the patient comes late", { timeout: 40_000 });
    await expect(page.getByRole("textbox", { name: "What it is" })).toHaveValue("his: call the lab");
    await page.getByRole("button", { name: "Save note" }).click();
    const conflict = page.getByRole("region", { name: "Two versions of the note" });
    await expect(conflict.getByRole("region", { name: "Saved version" })).toContainText("hers: the patient comes late");
    await expect(conflict.getByRole("textbox", { name: "What it is" })).toHaveValue("his: call the lab");
    // Otherwise the page would be read again without the typed text.
    await expect(page.locator("[data-live]")).toHaveCount(0);
  });
});
