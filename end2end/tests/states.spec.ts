// States of pages after actions: axe finds no violations, in both themes, and nothing scrolls sideways, from a phone to
// a desktop screen and at 200 % zoom of it.
import { createHmac } from "node:crypto";

import type { Page } from "@playwright/test";

import { beyondTheEdge, thinTexts, violations } from "../accessible";
import { expect, test } from "../fixtures";
import { type Hospital, password } from "../hospital";
import { keyOf, rows, writeNotesAtOnce } from "../screens";

/** Widths at which axe runs: cards and table. At the others only the layout changes, and axe takes seconds per run. */
const LOOKED_AT = [390, 1440];

/** 720 px is a screen of 1440 px at 200 %. */
const WIDTHS = [320, 390, 720, 768, 1024, 1440];

/** Checks an open page at every width and in both themes, then restores width and theme. */
async function expectAccessible(page: Page, name: string): Promise<void> {
  const before = page.viewportSize();
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      const where = `${name}, ${colorScheme}, ${width} px`;
      expect.soft(await beyondTheEdge(page), `pixels beyond the right edge: ${where}`).toBeLessThanOrEqual(0);
      if (width >= 700) expect.soft(await thinTexts(page), `a few letters a line: ${where}`).toEqual([]);
      if (!LOOKED_AT.includes(width)) continue;
      expect.soft(await violations(page, colorScheme === "light" ? "all" : "colours"), where).toEqual([]);
    }
  }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
  if (before) await page.setViewportSize(before);
}

const reason = (page: Page) => page.getByRole("textbox", { name: /^Reason/ });

/** Creates a plan that discards one row of the list, and leaves it open. */
async function discardOne(page: Page, hospital: Hospital, place: number): Promise<void> {
  await page.goto(hospital.at("/failed-events?app=odoo&state=exhausted"));
  await rows(page).nth(place).getByRole("checkbox").check();
  await page.getByRole("button", { name: "Discard selected…" }).click();
  await expect(page.getByRole("region", { name: "The plan" })).toBeVisible();
}

/** Creates a plan that retries all events of an application with retries used up. */
async function retryAll(page: Page, hospital: Hospital, app: string): Promise<void> {
  await page.goto(hospital.at(`/failed-events?app=${app}&state=exhausted`));
  await page.getByRole("button", { name: /^Retry all .*…$/ }).click();
  await expect(page.getByRole("region", { name: "The plan" })).toBeVisible();
}

test.describe("an operation", () => {
  test.use({ provoked: /^status 400:/ });

  test("as a plan, in progress, paused and ended, and a form of it that came back", async ({ page, ownHospital }) => {
    test.setTimeout(600_000);
    await discardOne(page, ownHospital, 0);
    await expectAccessible(page, "plan of a discard");

    // The browser itself would not send a form without the reason.
    await page.locator("form", { has: reason(page) }).evaluate((form) => ((form as HTMLFormElement).noValidate = true));
    await page.getByRole("button", { name: "Discard 1 failed event" }).click();
    await expect(reason(page)).toHaveAccessibleDescription(/reason/);
    await expectAccessible(page, "a form that came back");

    await reason(page).fill("a test of the trial");
    await page.getByRole("button", { name: "Discard 1 failed event" }).click();
    await expect(page.getByRole("main")).toContainText("Discarded 1 event.");
    await expect(page.locator("main strong[data-say]")).toContainText("Discarded 1 event.");
    await expectAccessible(page, "operation, ended");

    await page.getByRole("link", { name: "Show the discarded events" }).click();
    await expect(page.getByRole("row").filter({ hasText: "a test of the trial" })).toHaveCount(1);
    await expectAccessible(page, "discarded events");

    await retryAll(page, ownHospital, "odoo");
    await expectAccessible(page, "plan of a retry");
    await page.getByText("Options: limit the speed or test a few first").click();
    await expectAccessible(page, "plan of a retry, with its options");
    // One a minute: it is in progress for as long as this test takes.
    await page.getByRole("textbox", { name: /^Maximum per minute/ }).fill("1");
    await page.getByRole("button", { name: /^Retry .*failed events$/ }).click();
    await expect(page.getByRole("button", { name: "Pause" })).toBeVisible();
    await expectAccessible(page, "operation, in progress");
    await page.getByRole("button", { name: "Pause" }).click();
    await expect(page.getByRole("button", { name: "Continue" })).toBeVisible();
    await expectAccessible(page, "operation, paused");
    await page.getByRole("button", { name: "Cancel" }).click();
    await expect(page.getByRole("button", { name: "Cancel" })).toHaveCount(0);
    await expectAccessible(page, "operation, cancelled");
  });
});

test("a failed event that was discarded, and one that left its table", async ({ page, ownHospital }) => {
  test.setTimeout(240_000);
  await discardOne(page, ownHospital, 0);
  await reason(page).fill("a test of the trial");
  await page.getByRole("button", { name: "Discard 1 failed event" }).click();
  await expect(page.getByRole("main")).toContainText("Discarded 1 event.");
  const discarded = await page.getByRole("rowheader").getByRole("link").first().getAttribute("href");
  await page.goto(`${ownHospital.origin}${discarded}`);
  await expect(page.getByText("a test of the trial").first()).toBeVisible();
  await expectAccessible(page, "life, discarded");

  await page.goto(ownHospital.at("/failed-events?app=odoo&state=exhausted"));
  const { app, id } = await keyOf(rows(page).first());
  ownHospital.sql(
    app,
    `delete from failed_event_retry_log where event_id = (select event_id from failed_events where id = ${id}); ` +
      `delete from failed_events where id = ${id}`,
  );
  // The console sees this with its next check, within ten seconds.
  await expect(async () => {
    await page.goto(ownHospital.at(`/failed-events/${app}/${id}`));
    await expect(page.getByText(/^(Resolved|Removed)/).first()).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 25_000 });
  await expectAccessible(page, "life, resolved");
});

test.describe("two versions of a note", () => {
  test.use({ provoked: /^status 409:/ });

  test("side by side, and a note with earlier versions", async ({ page, context, ownHospital }) => {
    test.setTimeout(480_000);
    const conflict = await writeNotesAtOnce(page, context, ownHospital.at("/groups/1"));
    await expect(conflict).toBeVisible();
    await expectAccessible(page, "conflict of notes");
    await conflict.getByRole("button", { name: "Save your version instead" }).click();
    await page.getByRole("region", { name: "Note" }).getByText("1 earlier version").click();
    await expectAccessible(page, "a note with an earlier version");
  });
});

/** Returns the code of a secret as an app shows it now (RFC 4226 and 6238). */
function codeOf(secret: string): string {
  const bits = [...secret.replace(/\s/g, "")]
    .map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0"))
    .join("");
  const key = Buffer.from(bits.match(/[01]{8}/g)!.map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const digest = createHmac("sha1", key).update(step).digest();
  const number = digest.readUInt32BE(digest[19] & 0xf) & 0x7fff_ffff;
  return String(number % 1_000_000).padStart(6, "0");
}

test.describe("the second factor", () => {
  test.use({ role: "operator" });

  test("set up, with its recovery codes, and asked for", async ({ page, ownHospital }) => {
    test.setTimeout(240_000);
    await page.goto(ownHospital.at("/account"));
    const own = page.getByRole("region", { name: "Second factor" });
    await own.getByText("Set up a second factor").click();
    await own.getByLabel("Your password").fill(password("operator"));
    await own.getByRole("button", { name: "Set up", exact: true }).click();
    await expect(page.getByRole("img", { name: /^QR code/ })).toBeVisible();
    await expectAccessible(page, "second factor, set up");

    await page.getByRole("textbox", { name: "Code" }).fill(codeOf(await page.locator("[data-secret]").innerText()));
    await page.getByRole("button", { name: "Use this app" }).click();
    await expect(page.locator("[data-recovery-code]").first()).toBeVisible();
    await expectAccessible(page, "recovery codes");

    await page.getByRole("banner").getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("User name").fill("operator");
    await page.getByLabel("Password", { exact: true }).fill(password("operator"));
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("heading", { level: 1, name: "Second step" })).toBeVisible();
    await expectAccessible(page, "second step");
  });
});
