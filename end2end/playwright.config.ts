// Browser tests of the release binary, in the Chromium of the system (Playwright's own is not downloaded).
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

import { defineConfig } from "@playwright/test";

function chromium(): string {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const folders = (process.env.PATH ?? "").split(delimiter);
  for (const file of names.flatMap((name) => folders.map((folder) => join(folder, name)))) {
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not executable: try the next one.
    }
  }
  throw new Error(`None of ${names.join(", ")} is on PATH. scripts/setup test installs Chromium on Debian.`);
}

export default defineConfig({
  testDir: "tests",
  outputDir: "test-results",
  // A test that needs a second try shows a bug of the console or of the test.
  retries: 0,
  workers: 2,
  // Files differ much in length; every test has a hospital of its own, or reads in that of its worker.
  fullyParallel: true,
  forbidOnly: Boolean(process.env.CI),
  timeout: 30_000,
  expect: { timeout: 10_000 },
  reporter: [["list"]],
  use: {
    browserName: "chromium",
    headless: true,
    viewport: { width: 1440, height: 900 },
    // Neither the server's zone nor UTC, so that a time in the wrong zone is noticed.
    timezoneId: "Asia/Kolkata",
    locale: "en-IN",
    screenshot: "only-on-failure",
    launchOptions: {
      executablePath: chromium(),
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
