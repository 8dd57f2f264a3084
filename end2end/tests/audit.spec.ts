// The audit log as administrators use it, and what viewers see of texts that they must not read.
import type { Page } from "@playwright/test";

import { expect, test } from "../fixtures";
import { rows } from "../screens";

/** Returns the rows of the log's table. */
function entries(page: Page) {
  return page.getByRole("table", { name: /Audit log/ }).locator("tbody tr");
}

test("a look at a payload stands in the audit log, and is found by its kind", async ({ page, ownHospital }) => {
  await page.goto(ownHospital.at("/failed-events?app=odoo"));
  await rows(page).first().getByRole("link").first().click();
  await expect(page.getByRole("heading", { level: 2, name: "Payload" })).toBeVisible();

  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Audit" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Audit log" })).toBeVisible();
  const seen = entries(page).filter({ hasText: "payload seen" });
  await expect(seen).toHaveCount(1);
  await expect(seen).toContainText("administrator");
  // The list and the page named patients, too.
  await expect(entries(page).filter({ hasText: "patients seen" }).first()).toBeVisible();
  await expect(page.getByRole("table", { name: /Audit log/ })).toContainText("signed in");

  const search = page.getByRole("form", { name: "Search" });
  await search.getByLabel("What happened").selectOption("payload_viewed");
  await search.getByRole("button", { name: "Search" }).click();
  await expect(page).toHaveURL(/kind=payload_viewed/);
  await expect(entries(page)).toHaveCount(1);
  await search.getByLabel("Who").fill("nobody of this name");
  await search.getByRole("button", { name: "Search" }).click();
  await expect(page.getByRole("main")).toContainText("No results.");
});

test.describe("without JavaScript", () => {
  // Chromium reports that it did not load the module, because scripts are disabled.
  test.use({ javaScriptEnabled: false, provoked: /^request: .*\.js: csp$|^console: .* was preloaded using link preload/ });

  test("the audit log is searched and paged all the same", async ({ page, ownHospital }) => {
    await page.goto(ownHospital.at("/audit"));
    await page.getByLabel("Search in text, reason, name and address").fill("no such text");
    await page.getByRole("form", { name: "Search" }).getByRole("button", { name: "Search" }).click();
    await expect(page.getByRole("main")).toContainText("No results.");
  });
});

test.describe("a viewer", () => {
  test.use({ role: "viewer", provoked: /^status 403:/ });

  test("sees the kind of fault and no text", async ({ page, hospital }) => {
    await page.goto(hospital.at("/failed-events?app=odoo"));
    await expect(page.getByRole("main")).toContainText("Error texts are masked");
    // Without checkboxes.
    await page.getByRole("rowheader").first().getByRole("link").first().click();
    await expect(page.getByRole("main")).toContainText("Error texts and payload are masked");
    await expect(page.getByRole("main").getByRole("link", { name: "Download" })).toHaveCount(0);
  });

  test("is not offered the audit log, and not let into it", async ({ page, hospital }) => {
    await page.goto(hospital.at(""));
    await expect(page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Audit" })).toHaveCount(0);
    await page.goto(hospital.at("/audit"));
    await expect(page.getByRole("main")).toContainText("Only administrators can read the audit log");
  });
});
