// What every test gets: a hospital, and an eye on every page that ends the test when something went wrong behind it.
import { expect, test as base, type BrowserContext } from "@playwright/test";

import { Hospital, type Role } from "./hospital";

type Options = {
  /** Faults that the test provokes on purpose, such as `/^status 404/`; usually none. */
  provoked: RegExp;
};

type Fixtures = {
  /** A hospital that this test alone uses, because it changes data. */
  ownHospital: Hospital;
  /** A hospital for tests that only look. */
  hospital: Hospital;
  /** Who is signed in in both; null: nobody. */
  role: Role | null;
  watchedContext: void;
};

type WorkerFixtures = {
  sharedHospital: Hospital;
};

export const test = base.extend<Options & Fixtures, WorkerFixtures>({
  provoked: [/^$/, { option: true }],

  role: ["administrator", { option: true }],

  sharedHospital: [
    async ({}, use) => {
      const hospital = await Hospital.start();
      await use(hospital);
      await hospital.stop();
    },
    { scope: "worker" },
  ],

  hospital: async ({ sharedHospital, context, role }, use) => {
    if (role) await sharedHospital.signIn(context, role);
    await use(sharedHospital);
  },

  ownHospital: async ({ context, role }, use) => {
    const hospital = await Hospital.start();
    if (role) await hospital.signIn(context, role);
    hospital.receives(context);
    await use(hospital);
    await hospital.stop();
  },

  watchedContext: [
    async ({ context, provoked }, use) => {
      const faults = watch(context);
      await use();
      const unexpected = faults.filter((fault) => !provoked.test(fault));
      expect(unexpected, "console errors, CSP violations and failed requests of all pages").toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

/** Collects what a person would see in the browser's developer tools as red. */
function watch(context: BrowserContext): string[] {
  const faults: string[] = [];
  context.on("console", (message) => {
    const text = message.text();
    // Chromium reports a status of 400 and more here as well; the response below decides about it.
    if (message.type() === "error" && !/status of \d{3}/.test(text)) faults.push(`console: ${text}`);
    // A module that is loaded beforehand and compiled late says how busy the machine is. One that is not used at all, because
    // it was asked for otherwise, has a warning of its own.
    const late = /was preloaded using link preload but not used within a few seconds/.test(text);
    if (message.type() === "warning" && !late) faults.push(`console: ${text}`);
  });
  context.on("weberror", (error) => faults.push(`uncaught: ${error.error().message}`));
  context.on("requestfailed", (request) => {
    const reason = request.failure()?.errorText;
    // What the browser itself gives up, because the page it was for is left, is no failure: the tab's icon, a navigation
    // that turns into a download. A server that fails or a policy that forbids has a reason of its own.
    if (reason !== "net::ERR_ABORTED") {
      faults.push(`request: ${request.method()} ${request.url()}: ${reason}`);
    }
  });
  context.on("response", (response) => {
    if (response.status() >= 400) faults.push(`status ${response.status()}: ${response.url()}`);
  });
  return faults;
}
