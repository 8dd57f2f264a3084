// What must hold on every page, at three widths. accessibility.spec.ts has what assistive technology needs.
import { beyondTheEdge, thinTexts } from "../accessible";
import { expect, test } from "../fixtures";
import { allPages, navigation, openAlive } from "../screens";

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
        const cut = await page.locator("main .sheet table").evaluateAll((tables: HTMLTableElement[]) =>
          tables
            .map((table) => [table.caption?.textContent, table.scrollWidth - (table.closest(".sheet")?.clientWidth ?? 0)])
            .filter(([, over]) => Number(over) > 1),
        );
        expect(cut, `tables wider than their sheets: ${name}`).toEqual([]);
      }
    }
    // The main action is visible without scrolling sideways, and large enough to hit.
    const [, event] = (await allPages(page, hospital)).find(([name]) => name === "failed event") ?? [];
    await page.goto(event ?? "");
    const retry = page.getByRole("button", { name: "Retry", exact: true });
    await retry.scrollIntoViewIfNeeded();
    await expect(retry).toBeInViewport({ ratio: 1 });
    expect((await retry.boundingBox())?.height).toBeGreaterThanOrEqual(24);
  });
}

test("between a phone and a desk's screen every text has a column that can be read", async ({ page, hospital }) => {
  test.setTimeout(120_000);
  const others = ["history", "audit", "accounts", "account", "service-tokens", "failed-events?by=cause"];
  const pages = [...(await allPages(page, hospital)), ...others.map((path) => [path, hospital.at(`/${path}`)])];
  for (const [name, address] of pages) {
    await page.goto(address);
    for (const width of [700, 768, 900, 1024, 1200]) {
      await page.setViewportSize({ width, height: 900 });
      expect.soft(await thinTexts(page), `a few letters a line: ${name}, ${width} px`).toEqual([]);
      expect.soft(await beyondTheEdge(page), `pixels beyond the right edge: ${name}, ${width} px`).toBeLessThanOrEqual(0);
    }
  }
});

test("the overview is not much longer on a smaller screen", async ({ page, hospital }) => {
  await page.goto(hospital.at(""));
  const height = async (width: number) => {
    await page.setViewportSize({ width, height: 900 });
    return page.evaluate(() => document.documentElement.scrollHeight);
  };
  const desk = await height(1440);
  for (const width of [700, 768, 900, 1024]) expect(await height(width), `${width} px`).toBeLessThanOrEqual(2.5 * desk);
});

test("the header cuts neither the search's hint nor who is signed in", async ({ page, hospital }) => {
  await page.goto(hospital.at(""));
  const search = page.getByRole("searchbox");
  const name = page.getByRole("banner").getByRole("link", { name: /^administrator/ });
  for (const width of [320, 390, 700, 768, 900, 1024, 1366, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    const room = await search.evaluate((input: HTMLInputElement) => {
      const style = getComputedStyle(input);
      const context = document.createElement("canvas").getContext("2d");
      if (!context) throw new Error("The browser measures no texts.");
      context.font = style.font;
      const inside = input.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      return inside - context.measureText(input.placeholder).width;
    });
    expect(room, `pixels that the hint leaves, ${width} px`).toBeGreaterThanOrEqual(0);
    expect(await name.evaluate((link) => link.scrollWidth - link.clientWidth), `pixels cut, ${width} px`).toBeLessThanOrEqual(0);
  }
});

test("on a phone the header is low, and the tab of the page is in view", async ({ page, hospital }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const [path, name] of [["", "Overview"], ["/history", "History"], ["/operations", "Operations"], ["/help", "Help"]]) {
    await openAlive(page, hospital.at(path));
    const header = await page.getByRole("banner").boundingBox();
    expect(header?.height, path).toBeLessThan(150);
    const tab = navigation(page).getByRole("link", { name, exact: true });
    await expect(tab).toHaveAttribute("aria-current", "page");
    await expect(tab).toBeInViewport({ ratio: 1 });
  }
});

test("the form for an account is as wide as the table above it", async ({ page, hospital }) => {
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.goto(hospital.at("/accounts"));
  const table = await page.getByRole("region", { name: "All accounts" }).boundingBox();
  const form = await page.getByRole("region", { name: "New account" }).boundingBox();
  expect(form?.width).toBe(table?.width);
});

test("the buttons of one row that simulate a problem stand at one height", async ({ page, hospital }) => {
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.goto(hospital.at("/demo"));
  const buttons = page.getByRole("region", { name: "Simulate a problem" }).getByRole("button");
  const cells = page.getByRole("region", { name: "Simulate a problem" }).getByRole("listitem");
  expect(await cells.count()).toBeGreaterThan(3);
  const beside = await Promise.all([0, 1].map((place) => buttons.nth(place).boundingBox()));
  expect(beside[0]?.x).toBeLessThan(beside[1]?.x ?? 0);
  expect(beside[0]?.y).toBe(beside[1]?.y);
});

test.describe("someone who is not signed in", () => {
  test.use({ role: null });

  test("sees the name of the console on a phone", async ({ page, hospital }) => {
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto(hospital.at("/sign-in"));
    const name = page.getByRole("banner").getByText("Atomfeed Console");
    expect((await name.boundingBox())?.width).toBeGreaterThan(100);
  });
});

test("the fields of a form stand below their labels' beginnings", async ({ page, hospital }) => {
  await page.setViewportSize({ width: 768, height: 900 });
  for (const path of ["/audit", "/failed-events?app=openelis&sort=id-down"]) {
    await page.goto(hospital.at(path));
    const more = page.getByRole("main").locator("form[method=get] summary").first();
    if (path.startsWith("/failed-events")) await more.click();
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

test("the overview has a line for each feed with failures, and the worst says why", async ({ page, hospital }) => {
  await page.goto(hospital.at(""));
  await expect(page).toHaveTitle(/^\(!\) 1 feed stopped/);
  await expect(page.getByRole("main")).toContainText("All 4 databases answered.");
  const lines = page.getByRole("table", { name: /^Feeds with failures/ });
  const worst = lines.getByRole("row").nth(1);
  await expect(worst).toContainText("Stopped");
  await expect(worst.getByRole("listitem").first()).toContainText(/^\s*[\d,]+ \S/);
  await expect(worst.getByRole("link", { name: "See causes" })).toBeVisible();
  // At most one action in each line.
  for (const line of await lines.getByRole("row").all()) {
    expect(await line.locator("td.act").locator("a, button").count()).toBeLessThanOrEqual(1);
  }
  await worst.getByRole("link", { name: "See causes" }).click();
  await expect(page.getByRole("table", { name: /^Causes/ })).toBeVisible();
});

test("a name in the audit log is not broken", async ({ page, hospital }) => {
  await page.setViewportSize({ width: 1024, height: 900 });
  await page.goto(hospital.at("/audit"));
  const named = page.locator("bdi").filter({ hasText: /^administrator$/ });
  const cell = page.getByRole("cell").filter({ has: named }).first();
  expect(await cell.locator("bdi").evaluate((bdi) => bdi.getClientRects().length)).toBe(1);
  expect(await cell.evaluate((td) => getComputedStyle(td).display)).toBe("table-cell");
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
