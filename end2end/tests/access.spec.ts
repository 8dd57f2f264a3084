// Coming in, going out, and what is not one's own, as people do it.
import type { Page } from "@playwright/test";

import { expect, test } from "../fixtures";
import { password } from "../hospital";
import { keyOf, navigation, rows } from "../screens";

test.use({ role: null });

function who(page: Page) {
  return page.getByRole("banner").getByRole("link", { name: /viewer|operator|administrator/ });
}

async function signIn(page: Page, role: "viewer" | "operator" | "administrator") {
  await page.getByLabel("Name").fill(role);
  await page.getByLabel("Password").fill(password(role));
  await page.getByRole("button", { name: "Sign in" }).click();
}

test("signing in and out by keyboard leads back to where one was", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events?app=odoo&q=a%20b"));
  await expect(page.getByRole("heading", { level: 1, name: "Sign in" })).toBeVisible();
  await expect(page.getByLabel("Name")).toBeFocused();
  await page.keyboard.type("operator");
  await page.keyboard.press("Tab");
  await page.keyboard.type(password("operator"));
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(hospital.at("/failed-events?app=odoo&q=a%20b"));
  await expect(who(page)).toContainText("operator");

  await page.getByRole("button", { name: "Sign out" }).focus();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(hospital.at("/sign-in"));
  await page.goto(hospital.at("/operations"));
  await expect(page.getByRole("heading", { level: 1, name: "Sign in" })).toBeVisible();
});

test.describe("a wrong password", () => {
  test.use({ provoked: /^status 401:/ });

  test("is told on the spot, and the right one still lets in", async ({ page, hospital }) => {
    await page.goto(hospital.at("/sign-in"));
    await page.getByLabel("Name").fill("viewer");
    await page.getByLabel("Password").fill("something else entirely");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("alert")).toContainText("The name or the password is not right.");
    await signIn(page, "viewer");
    await expect(who(page)).toContainText("viewer");
  });
});

test.describe("without JavaScript", () => {
  test.use({
    javaScriptEnabled: false,
    provoked: /^request: .*\.js: csp$|^console: .* was preloaded using link preload/,
  });

  test("one signs in, retries and signs out", async ({ page, ownHospital }) => {
    await page.goto(ownHospital.at("/failed-events?app=odoo&state=exhausted"));
    await signIn(page, "operator");
    const event = await keyOf(rows(page).first());
    await rows(page).first().getByRole("button", { name: /^Retry / }).click();
    await expect(page.getByRole("status").filter({ hasText: "Retry requested for 1 row" })).toBeVisible();
    await navigation(page).getByRole("link", { name: "Operations" }).click();
    await expect(page.getByRole("main")).toContainText("operator");
    expect(event.app).toBe("odoo");
    await page.getByRole("button", { name: "Sign out" }).click();
    await expect(page.getByRole("heading", { level: 1, name: "Sign in" })).toBeVisible();
  });
});

test("what a viewer may not do is off, and says why", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events?app=odoo&state=exhausted"));
  await signIn(page, "viewer");
  await expect(page.getByText("does not include the right to retry failed events").first()).toBeVisible();
  await expect(page.getByRole("button", { name: "Retry selected" })).toBeDisabled();
  await expect(rows(page).first().getByRole("checkbox")).toBeDisabled();
  await rows(page).first().getByRole("link").first().click();
  const retry = page.getByRole("button", { name: "Retry", exact: true });
  await expect(retry).toHaveAttribute("aria-disabled", "true");
  await expect(navigation(page).getByRole("link", { name: "Accounts" })).toHaveCount(0);
});

test.describe("a session that has ended", () => {
  // The open page asks for its stream of changes again, and is refused.
  test.use({ provoked: /^status 401:/ });

  test("leads to the sign-in page, which says so, and back", async ({ page, context, ownHospital }) => {
    await page.goto(ownHospital.at("/sign-in"));
    await signIn(page, "operator");
    await page.goto(ownHospital.at("/failed-events?app=odoo&state=exhausted"));
    const elsewhere = await context.browser()!.newContext();
    await ownHospital.signIn(elsewhere, "operator");
    const other = await elsewhere.newPage();
    await other.goto(ownHospital.at("/account"));
    await other.getByRole("button", { name: "Sign out everywhere" }).click();
    await expect(other).toHaveURL(ownHospital.at("/sign-in"));
    await elsewhere.close();

    await rows(page).first().getByRole("button", { name: /^Retry / }).click();
    await expect(page.getByText("Your session has ended.")).toBeVisible();
    await signIn(page, "operator");
    // Back on the list, which says that the retry was not done, with the row still ticked.
    await expect(page).toHaveURL((url) => url.href.startsWith(ownHospital.at("/failed-events?app=odoo&state=exhausted&undone=retry")));
    await expect(page.getByText(/was not done/)).toBeVisible();
    await expect(rows(page).first().getByRole("checkbox")).toBeChecked();
  });
});

test("an administrator adds an account, whose owner chooses a password", async ({ page, browser, ownHospital }) => {
  await ownHospital.signIn(page.context(), "administrator");
  await page.goto(ownHospital.at(""));
  await navigation(page).getByRole("link", { name: "Accounts" }).click();
  const form = page.getByRole("region", { name: "New account" });
  await form.getByLabel("Name").fill("asha");
  await form.getByLabel("Role").selectOption("operator");
  await form.getByRole("button", { name: "Add the account" }).click();
  const oneTime = (await page.locator("[data-new-password]").textContent())!.trim();
  await page.reload();
  await expect(page.locator("[data-new-password]")).toHaveCount(0);

  const context = await browser.newContext();
  const theirs = await context.newPage();
  await theirs.goto(ownHospital.at("/failed-events"));
  await theirs.getByLabel("Name").fill("asha");
  await theirs.getByLabel("Password").fill(oneTime);
  await theirs.getByRole("button", { name: "Sign in" }).click();
  await expect(theirs.getByText("Choose a password of your own.")).toBeVisible();
  await theirs.getByLabel("Current password").fill(oneTime);
  await theirs.getByLabel("New password", { exact: true }).fill("copper tunnel violin marsh");
  await theirs.getByLabel("New password again").fill("copper tunnel violin marsh");
  await theirs.getByRole("button", { name: "Change the password" }).click();
  await expect(theirs.getByText("The password was changed.")).toBeVisible();
  await theirs.goto(ownHospital.at("/failed-events"));
  await expect(rows(theirs).first()).toBeVisible();
  await context.close();
});

for (const width of [390, 1440]) {
  test(`the sign-in page and the accounts fit ${width} px`, async ({ page, hospital }) => {
    await page.setViewportSize({ width, height: 900 });
    for (const path of ["/sign-in", "/account", "/accounts"]) {
      if (path === "/account") await hospital.signIn(page.context());
      await page.goto(hospital.at(path));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(wide, path).toBe(0);
    }
  });
}
