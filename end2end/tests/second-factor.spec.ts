// The second factor, from setup to signing in without the phone, as users do it with an app.
import { createHmac } from "node:crypto";

import type { Page } from "@playwright/test";

import { expect, test } from "../fixtures";
import { type Hospital, password } from "../hospital";

// The tests send wrong codes. Without JavaScript, Chromium reports that it did not load the module.
const PROVOKED = /^status 40[01]: .*(\/api\/(confirm_second_factor|sign_in_code)|\/(account\/second-factor|sign-in\/code)\?refused=\w+)$/;
const WITHOUT_SCRIPTS = /^request: .*\.js: csp$|^console: .* was preloaded using link preload/;

test.use({ role: null, provoked: PROVOKED });

/** Returns the code that an app shows `later` steps of half a minute from now (RFC 4226 and 6238). */
function codeOf(secret: string, later = 0): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret.replaceAll(" ", "")].map((letter) => letters.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + later));
  const digest = createHmac("sha1", key).update(step).digest();
  const number = digest.readUInt32BE(digest[19] & 0xf) & 0x7fff_ffff;
  return `${number % 1_000_000}`.padStart(6, "0");
}

/** Returns a code that is not valid at any time near the present. */
function wrongCode(secret: string): string {
  const right = [-2, -1, 0, 1, 2].map((later) => codeOf(secret, later));
  for (let number = 0; ; number += 1) {
    const code = `${number}`.padStart(6, "0");
    if (!right.includes(code)) return code;
  }
}

function who(page: Page) {
  return page.getByRole("banner").getByRole("link", { name: /operator/ });
}

function codeField(page: Page) {
  return page.getByLabel("Code", { exact: true });
}

async function signIn(page: Page): Promise<void> {
  await page.getByLabel("User name").fill("operator");
  await page.getByLabel("Password", { exact: true }).fill(password("operator"));
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function signOut(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Sign in" })).toBeVisible();
}

/** Types a code that is not accepted: the message belongs to the field, which has the focus. */
async function isNotTaken(page: Page, code: string, button: string): Promise<void> {
  await codeField(page).fill(code);
  await page.getByRole("button", { name: button, exact: true }).click();
  await expect(page.getByRole("alert")).toContainText("Wrong code.");
  await expect(codeField(page)).toHaveAccessibleDescription(/Wrong code/);
  await expect(codeField(page)).toHaveAttribute("aria-invalid", "true");
  await expect(codeField(page)).toBeFocused();
  await expect(codeField(page)).toHaveValue("");
}

/** Sets up an app on the account page; returns its secret and the recovery codes. */
async function setUp(page: Page, hospital: Hospital): Promise<{ secret: string; recovery: string[] }> {
  await page.goto(hospital.at("/account"));
  const section = page.getByRole("region", { name: "Second factor" });
  await section.getByText("Set up a second factor", { exact: true }).click();
  await section.getByLabel("Your password").fill(password("operator"));
  await section.getByRole("button", { name: "Set up", exact: true }).click();

  await expect(page).toHaveURL(hospital.at("/account/second-factor"));
  await expect(page.getByRole("img", { name: /^QR code/ })).toBeVisible();
  const shown = page.locator("[data-secret]");
  const secret = ((await shown.textContent()) ?? "").trim();
  expect(secret).toMatch(/^([A-Z2-7]{4} ){7}[A-Z2-7]{4}$/);
  await isNotTaken(page, wrongCode(secret), "Use this app");
  await expect(shown, "the app that was read in stays right").toHaveText(secret);

  await codeField(page).fill(codeOf(secret));
  await page.getByRole("button", { name: "Use this app" }).click();
  await expect(page.getByText("The second factor is set up.")).toBeVisible();
  await expect(page.locator("[data-secret]")).toHaveCount(0);
  const recovery = await page.locator("[data-recovery-code]").allTextContents();
  expect(recovery).toHaveLength(10);
  await page.getByRole("link", { name: "I have kept them" }).click();
  await expect(page).toHaveURL(hospital.at("/account"));
  await expect(section).toContainText("10 recovery codes left.");
  return { secret, recovery };
}

/** All steps, in one browser. */
async function fromSettingUpToARecoveryCode(page: Page, hospital: Hospital): Promise<void> {
  await page.goto(hospital.at("/sign-in"));
  await signIn(page);
  await expect(who(page)).toBeVisible();
  const { secret, recovery } = await setUp(page, hospital);
  await signOut(page);

  // The password alone opens nothing, and the requested page is kept over both steps.
  const wanted = hospital.at("/failed-events?app=odoo&q=a%20b");
  await page.goto(wanted);
  await signIn(page);
  await expect(page).toHaveURL(hospital.at("/sign-in/code"));
  await expect(page.getByRole("heading", { level: 1, name: "Second step" })).toBeVisible();
  await expect(codeField(page)).toBeFocused();
  await expect(who(page)).toHaveCount(0);
  await isNotTaken(page, wrongCode(secret), "Sign in");
  await expect(page).toHaveTitle(/^Sign-in failed/);
  // Each code works once: this is the next one after the code of the setup.
  await codeField(page).fill(codeOf(secret, 1));
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(wanted);
  await expect(who(page)).toBeVisible();
  await signOut(page);

  // Without the phone, with a code that works once.
  await page.goto(hospital.at("/sign-in"));
  await signIn(page);
  await codeField(page).fill(recovery[0]);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(who(page)).toBeVisible();
  await page.goto(hospital.at("/account"));
  await expect(page.getByRole("region", { name: "Second factor" })).toContainText("9 recovery codes left.");
  await signOut(page);
  await page.goto(hospital.at("/sign-in"));
  await signIn(page);
  await isNotTaken(page, recovery[0], "Sign in");
}

test("is set up, asked for, and done without by a recovery code", async ({ page, ownHospital }) => {
  await fromSettingUpToARecoveryCode(page, ownHospital);
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false, provoked: new RegExp(`${PROVOKED.source}|${WITHOUT_SCRIPTS.source}`) });

  test("the same works", async ({ page, ownHospital }) => {
    await fromSettingUpToARecoveryCode(page, ownHospital);
  });
});
