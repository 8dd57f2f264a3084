// Fixtures of every test: a hospital, and a watch on every page that fails the test on an error in the browser.
import { expect, test as base, type BrowserContext } from "@playwright/test";

import { Hospital, type Role } from "./hospital";

type Options = {
  /** Errors that the test provokes on purpose, such as `/^status 404/`; usually none. */
  provoked: RegExp;
};

type Fixtures = {
  /** A hospital that this test alone uses, because it changes data. */
  ownHospital: Hospital;
  /** A hospital for tests that only read. */
  hospital: Hospital;
  /** The role that is signed in in both; null: none. */
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

/** Collects the errors that the browser's developer tools would show. */
function watch(context: BrowserContext): string[] {
  const faults: string[] = [];
  context.on("console", (message) => {
    const text = message.text();
    // Chromium reports a status of 400 and more here as well; the response handler below covers it.
    if (message.type() === "error" && !/status of \d{3}/.test(text)) faults.push(`console: ${text}`);
    // A preloaded module that is compiled late only shows that the machine is busy. If it is not used at all, because
    // its request did not match the preload, there is a separate warning.
    const late = /was preloaded using link preload but not used within a few seconds/.test(text);
    if (message.type() === "warning" && !late) faults.push(`console: ${text}`);
  });
  context.on("weberror", (error) => faults.push(`uncaught: ${error.error().message}`));
  context.on("requestfailed", (request) => {
    const reason = request.failure()?.errorText;
    // A request that the browser itself aborts, because its page was left, is not a failure: the tab's icon, a
    // navigation that becomes a download. A failing server or a forbidding policy has a different reason.
    if (reason !== "net::ERR_ABORTED") {
      faults.push(`request: ${request.method()} ${request.url()}: ${reason}`);
    }
  });
  context.on("response", (response) => {
    if (response.status() >= 400) faults.push(`status ${response.status()}: ${response.url()}`);
  });
  return faults;
}
