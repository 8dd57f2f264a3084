// Signing in, signing out, and access without the right, as users do it.
import type { Page } from "@playwright/test";

import { expect, test } from "../fixtures";
import { password } from "../hospital";
import { keyOf, navigation, openAlive, rows } from "../screens";

test.use({ role: null });

function who(page: Page) {
  return page.getByRole("banner").getByRole("link", { name: /viewer|operator|administrator/ });
}

async function signIn(page: Page, role: "viewer" | "operator" | "administrator") {
  await page.getByLabel("User name").fill(role);
  await page.getByLabel("Password", { exact: true }).fill(password(role));
  await page.getByRole("button", { name: "Sign in" }).click();
}

test("signing in and out by keyboard leads back to where one was", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events?app=odoo&q=a%20b"));
  await expect(page.getByRole("heading", { level: 1, name: "Sign in" })).toBeVisible();
  await expect(page.getByLabel("User name")).toBeFocused();
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
    await page.getByLabel("User name").fill("viewer");
    await page.getByLabel("Password", { exact: true }).fill("something else entirely");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("alert")).toContainText("Wrong user name or password.");
    // The message belongs to the field, which has the focus; the name is kept.
    await expect(page).toHaveTitle(/^Sign-in failed/);
    await expect(page.getByLabel("User name")).toHaveValue("viewer");
    await expect(page.getByLabel("Password", { exact: true })).toBeFocused();
    await expect(page.getByLabel("Password", { exact: true })).toHaveAccessibleDescription(/Wrong user name or password/);
    await page.getByRole("button", { name: "Show password" }).click();
    await expect(page.getByLabel("Password", { exact: true })).toHaveAttribute("type", "text");
    await page.getByRole("button", { name: "Show password" }).click();
    await expect(page.getByLabel("Password", { exact: true })).toHaveAttribute("type", "password");
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
    await expect(page.getByRole("status").filter({ hasText: "Retry requested for 1 event" })).toBeVisible();
    await navigation(page).getByRole("link", { name: "Operations" }).click();
    await expect(page.getByRole("main")).toContainText("operator");
    expect(event.app).toBe("odoo");
    await page.getByRole("button", { name: "Sign out" }).click();
    await expect(page.getByRole("heading", { level: 1, name: "Sign in" })).toBeVisible();
  });
});

test("what a viewer may not do is offered neither on the list nor on the event", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events?app=odoo&state=exhausted"));
  await signIn(page, "viewer");
  const list = page.getByRole("table", { name: /^Failed events/ });
  await expect(list.getByRole("rowheader").first()).toBeVisible();
  await expect(page.getByText(/^Only (operators|administrators) /)).toHaveCount(0);
  await expect(page.getByRole("button", { name: /^(Retry|Discard)/ })).toHaveCount(0);
  await expect(list.getByRole("checkbox")).toHaveCount(0);
  await list.getByRole("rowheader").getByRole("link").first().click();
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(page).toHaveURL(/\/failed-events\/odoo\/\d+/);
  await expect(page.getByRole("button", { name: /^(Retry|Discard)/ })).toHaveCount(0);
  await expect(navigation(page).getByRole("link", { name: "Accounts" })).toHaveCount(0);
});

test.describe("a session that has ended", () => {
  // The open page requests its stream of changes again, and is refused.
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
  await form.getByLabel("User name").fill("asha");
  await form.getByLabel("Role").selectOption("operator");
  await form.getByRole("button", { name: "Add account" }).click();
  await expect(page.getByRole("button", { name: "Copy password" })).toBeVisible();
  const oneTime = (await page.locator("[data-new-password]").textContent())!.trim();
  await page.reload();
  await expect(page.locator("[data-new-password]")).toHaveCount(0);

  const context = await browser.newContext();
  const theirs = await context.newPage();
  await theirs.goto(ownHospital.at("/failed-events"));
  await theirs.getByLabel("User name").fill("asha");
  await theirs.getByLabel("Password", { exact: true }).fill(oneTime);
  await theirs.getByRole("button", { name: "Sign in" }).click();
  await expect(theirs.getByText("Choose a new password.")).toBeVisible();
  await theirs.getByLabel("Current password").fill(oneTime);
  await theirs.getByLabel("New password", { exact: true }).fill("copper tunnel violin marsh");
  await theirs.getByLabel("New password again").fill("copper tunnel violin marsh");
  await theirs.getByRole("button", { name: "Change password" }).click();
  await expect(theirs.getByText("The password is changed.")).toBeVisible();
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

test("an account is for all applications or for some; what ends a session asks first", async ({ page, ownHospital }) => {
  await ownHospital.signIn(page.context(), "administrator");
  await openAlive(page, ownHospital.at("/accounts"));
  const form = page.getByRole("region", { name: "New account" });
  await form.getByLabel("User name").fill("asha");
  await expect(form.getByLabel("All applications (including future ones)")).toBeChecked();
  await form.getByLabel("Odoo").check();
  await expect(form.getByLabel("Only these:")).toBeChecked();
  await form.getByRole("button", { name: "Add account" }).click();
  const row = page.getByRole("row", { name: /^asha/ });
  await expect(row.getByRole("cell", { name: "Odoo", exact: true })).toBeVisible();

  await row.getByText("Change").click();
  await row.getByText("Disable…").click();
  await expect(row).toContainText("The user is signed out, and cannot sign in.");
  await row.getByRole("button", { name: "Disable of asha" }).click();
  await expect(page.getByRole("status").filter({ hasText: "The account asha is disabled." }).first()).toBeVisible();
});

test.describe("without JavaScript, a form with two meanings", () => {
  test.use({
    javaScriptEnabled: false,
    provoked: /^status 400:|^request: .*\.js: csp$|^console: .* was preloaded using link preload/,
  });

  test("comes back with the message at the field and with what was typed", async ({ page, ownHospital }) => {
    await ownHospital.signIn(page.context(), "administrator");
    await page.goto(ownHospital.at("/accounts"));
    const form = page.getByRole("region", { name: "New account" });
    await form.getByLabel("User name").fill("asha");
    await form.getByLabel("Odoo").check();
    await form.getByRole("button", { name: "Add account" }).click();
    await expect(form.getByRole("alert")).toContainText("All applications and some");
    await expect(form.getByLabel("User name")).toHaveValue("asha");
    await expect(form.getByLabel("Odoo")).toBeChecked();
    await form.getByLabel("Only these:").check();
    await form.getByRole("button", { name: "Add account" }).click();
    await expect(page.getByRole("row", { name: /^asha/ }).getByRole("cell", { name: "Odoo", exact: true })).toBeVisible();
  });
});

test.describe("what was typed when the session ended", () => {
  test.use({ provoked: /^status 401:/ });

  test("is there again after signing in, and never a password", async ({ page, context, ownHospital }) => {
    await page.goto(ownHospital.at("/sign-in"));
    await signIn(page, "administrator");
    await openAlive(page, ownHospital.at("/accounts"));
    const form = page.getByRole("region", { name: "New account" });
    await form.getByLabel("User name").fill("asha");
    await form.getByLabel("Role").selectOption("operator");
    await form.getByLabel("Odoo").check();
    const elsewhere = await context.browser()!.newContext();
    await ownHospital.signIn(elsewhere, "administrator");
    const other = await elsewhere.newPage();
    await other.goto(ownHospital.at("/account"));
    await other.getByRole("button", { name: "Sign out everywhere" }).click();
    await expect(other).toHaveURL(ownHospital.at("/sign-in"));
    await elsewhere.close();

    await form.getByRole("button", { name: "Add account" }).click();
    await expect(page.getByText("Your session has ended.")).toBeVisible();
    // A wrong password in between does not lose the text.
    await page.getByLabel("User name").fill("administrator");
    await page.getByLabel("Password", { exact: true }).fill("not the right one");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByText("Wrong user name or password.").first()).toBeVisible();
    expect(await page.evaluate(() => JSON.stringify(sessionStorage))).not.toContain("not the right one");
    await signIn(page, "administrator");
    await expect(page).toHaveURL((url) => url.href.startsWith(ownHospital.at("/accounts")));
    await expect(form.getByLabel("User name")).toHaveValue("asha");
    await expect(form.getByLabel("Role")).toHaveValue("operator");
    await expect(form.getByLabel("Odoo")).toBeChecked();
    await expect(page.getByText("What you entered is restored: check it, then send it again.")).toBeVisible();
    // Only once: the next visit starts with an empty form.
    await page.goto(ownHospital.at("/accounts"));
    await expect(form.getByLabel("User name")).toHaveValue("");
  });
});

test.describe("before the session ends", () => {
  test.use({ role: "administrator" });

  const soon = (page: Page) => page.getByText("Your session ends in about 2 minutes. Save what you typed.");

  test("a user with unsent input is warned two minutes before", async ({ page, ownHospital }) => {
    await page.clock.install();
    await openAlive(page, ownHospital.at("/accounts"));
    await page.getByRole("region", { name: "New account" }).getByLabel("User name").fill("asha");
    await page.clock.fastForward("57:30");
    await expect(soon(page)).toBeHidden();
    await page.clock.fastForward("01:00");
    await expect(soon(page)).toBeVisible();
    await expect(soon(page)).toHaveRole("status");
  });

  test("a user without unsent input is not warned", async ({ page, ownHospital }) => {
    await page.clock.install();
    await openAlive(page, ownHospital.at("/accounts"));
    await expect(page.getByRole("region", { name: "New account" })).toBeVisible();
    await page.clock.fastForward("58:30");
    await expect(soon(page)).toBeHidden();
  });
});

test.describe("preferences", () => {
  test.use({ timezoneId: "Africa/Nairobi", provoked: /^status 400:/ });

  test("follow the person, and pages are written by them", async ({ page, browser, ownHospital }) => {
    await ownHospital.signIn(page.context(), "operator");
    await openAlive(page, ownHospital.at("/failed-events"));
    await expect(page.getByRole("contentinfo")).toContainText("Times are in Africa/Nairobi.");
    // The server writes the next page in that zone.
    await page.goto(ownHospital.at("/account"));
    await expect(page.locator("html")).toHaveAttribute("data-reader-zone", "Africa/Nairobi");
    const form = page.getByRole("region", { name: "Preferences" });
    await form.getByLabel("Time zone").fill("Mars/Olympus");
    await form.getByRole("button", { name: "Save preferences" }).click();
    await expect(form.getByRole("alert")).toContainText("There is no such time zone.");
    await form.getByLabel("Time zone").fill("Asia/Kolkata");
    await form.getByLabel("Times").selectOption("12");
    await form.getByLabel("Theme").selectOption("dark");
    await form.getByLabel(/Single-letter keys/).uncheck();
    await form.getByRole("button", { name: "Save preferences" }).click();
    await expect(page.getByText("Your preferences are saved.").first()).toBeVisible();
    await expect(page.locator("body")).toHaveCSS("background-color", "rgba(0, 0, 0, 0)");
    expect(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme)).toBe("dark");

    // In another browser too; single letters are no keyboard shortcuts there either.
    const elsewhere = await browser.newContext({ timezoneId: "Africa/Nairobi" });
    await ownHospital.signIn(elsewhere, "operator");
    const other = await elsewhere.newPage();
    await openAlive(other, ownHospital.at("/failed-events?app=odoo&state=exhausted"));
    await expect(other.getByRole("contentinfo")).toContainText("Times are in Asia/Kolkata.");
    await expect(rows(other).first().locator("time").first()).toHaveAttribute("title", / [ap]m UTC\+5:30$/);
    await other.keyboard.press("j");
    await expect(rows(other).first().getByRole("link").first()).not.toBeFocused();
    await other.keyboard.press("?");
    await expect(other.getByRole("dialog")).toHaveCount(0);
    await elsewhere.close();
  });
});
