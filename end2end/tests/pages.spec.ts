// What must hold on every page: accessibility in both colour schemes, and the three widths.
import AxeBuilder from "@axe-core/playwright";

import { expect, test } from "../fixtures";
import { allPages, openAlive } from "../screens";

for (const colorScheme of ["light", "dark"] as const) {
  test(`axe finds no violation on any page, ${colorScheme}`, async ({ page, hospital }) => {
    test.setTimeout(120_000);
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const [name, address] of await allPages(page, hospital)) {
      await page.goto(address);
      const { violations } = await new AxeBuilder({ page }).analyze();
      const found = violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.html}`));
      expect(found, name).toEqual([]);
    }
  });
}

for (const width of [1440, 768, 390]) {
  test(`${width} pixels: nothing is cut off or scrolls sideways`, async ({ page, hospital }, info) => {
    test.setTimeout(120_000);
    await page.setViewportSize({ width, height: 900 });
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      for (const [name, address] of await allPages(page, hospital)) {
        await page.goto(address);
        await page.screenshot({ path: info.outputPath(`${name} ${width} ${colorScheme}.png`), fullPage: true });
        const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect(beyond, `pixels beyond the right edge: ${name}`).toBeLessThanOrEqual(0);
      }
    }
    // The main action is seen without scrolling sideways, and is large enough to be hit.
    const [, event] = (await allPages(page, hospital)).find(([name]) => name === "failed event") ?? [];
    await page.goto(event ?? "");
    const retry = page.getByRole("button", { name: "Retry", exact: true });
    await retry.scrollIntoViewIfNeeded();
    await expect(retry).toBeInViewport({ ratio: 1 });
    expect((await retry.boundingBox())?.height).toBeGreaterThanOrEqual(24);
  });
}

test("the fields of a form stand below their labels' beginnings", async ({ page, hospital }) => {
  await page.setViewportSize({ width: 768, height: 900 });
  for (const path of ["/audit", "/failed-events?app=openelis&sort=id-down"]) {
    await page.goto(hospital.at(path));
    const labels = page.getByRole("main").locator("form[method=get] label:has(> span):visible");
    expect(await labels.count(), path).toBeGreaterThan(5);
    const beside = await labels.evaluateAll((labels) =>
      labels
        .filter((label) => label.querySelector("input, select")?.getBoundingClientRect().x !== label.getBoundingClientRect().x)
        .map((label) => label.textContent),
    );
    expect(beside, path).toEqual([]);
  }
});

test.describe("where an instant takes much room", () => {
  test.use({ locale: "en-US", timezoneId: "UTC" });

  test("a name in the audit log is not broken", async ({ page, hospital }) => {
    await page.setViewportSize({ width: 768, height: 900 });
    await page.goto(hospital.at("/audit"));
    const named = page.locator("bdi").filter({ hasText: /^administrator$/ });
    const cell = page.getByRole("cell").filter({ has: named }).first();
    await expect(page.getByRole("cell").locator("time").first()).toHaveText(/[AP]M/);
    expect(await cell.locator("bdi").evaluate((bdi) => bdi.getClientRects().length)).toBe(1);
    expect(await cell.evaluate((td) => getComputedStyle(td).display)).toBe("table-cell");
  });
});

test("nothing moves when the page comes alive", async ({ page, hospital }) => {
  await page.addInitScript(() => {
    const moved = window as unknown as { moved: number };
    moved.moved = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) moved.moved += (entry as unknown as { value: number }).value;
    }).observe({ type: "layout-shift", buffered: true });
  });
  for (const [name, address] of await allPages(page, hospital)) {
    // The stream of changes stays open: the network is never idle.
    await openAlive(page, address);
    const moved = await page.evaluate(() => (window as unknown as { moved: number }).moved);
    expect(moved, `cumulative layout shift: ${name}`).toBeLessThan(0.02);
  }
});

test.describe("what is not there", () => {
  test.use({ provoked: /^status 40[04]:/ });

  test("is a page that says what happened and what to do", async ({ page, hospital }) => {
    for (const [path, status] of [
      ["/no-such-page", 404],
      ["/applications/no-such-application", 404],
      ["/failed-events/odoo/999999999", 404],
      ["/failed-events?state=broken", 400],
      ["/failed-events?sort=id-up", 400],
    ] as const) {
      const answer = await page.goto(hospital.at(path));
      expect(answer?.status(), path).toBe(status);
      await expect(page.getByRole("heading", { level: 1 }), path).toHaveCount(1);
      await expect(page.getByRole("main").getByRole("link").first(), path).toBeVisible();
    }
  });
});
