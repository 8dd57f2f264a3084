// What assistive technology needs, as far as a tool can test it: axe on every page and state, at four widths and in
// both themes; distinct names of controls; visible borders; targets that are large enough; what is read aloud.
import type { Locator, Page } from "@playwright/test";

import { beyondTheEdge, violations } from "../accessible";
import { expect, test } from "../fixtures";
import type { Hospital } from "../hospital";
import { allPages, expectAlive, openAlive, openLink, rows } from "../screens";

/** A page, and the steps that bring it into the state to check. */
type State = [name: string, address: string, then?: (page: Page) => Promise<void>];

/** Returns every page that can be opened by its address alone. */
async function everyPage(page: Page, hospital: Hospital): Promise<[name: string, address: string][]> {
  return [
    ...(await allPages(page, hospital)),
    ["failed events by cause", hospital.at("/failed-events?by=cause")],
    ["history", hospital.at("/history")],
    ["history, searched", hospital.at("/history?find=tag%3Anothing")],
    ["audit", hospital.at("/audit")],
    ["accounts", hospital.at("/accounts")],
    ["service tokens", hospital.at("/service-tokens")],
    ["account", hospital.at("/account")],
    ["group", hospital.at("/groups/1")],
  ];
}

/** Returns every page, and further states of pages with other contents. */
async function states(page: Page, hospital: Hospital): Promise<State[]> {
  return [
    ...(await everyPage(page, hospital)),
    [
      "accounts, changing one",
      hospital.at("/accounts"),
      async (page) => {
        await page.getByRole("row", { name: /^viewer/ }).getByText("Change", { exact: false }).first().click();
        await page.getByRole("row", { name: /^viewer/ }).getByText("Disable…").click();
      },
    ],
    [
      "failed events, selected",
      hospital.at("/failed-events?app=odoo&state=exhausted"),
      async (page) => {
        await expectAlive(page);
        await rows(page).first().getByRole("checkbox").check();
      },
    ],
    [
      "keys",
      hospital.at("/failed-events"),
      async (page) => {
        await expectAlive(page);
        await page.keyboard.press("?");
        await expect(page.getByRole("dialog")).toBeVisible();
      },
    ],
    ["no page", hospital.at("/no-such-page")],
  ];
}

for (const width of [320, 390, 768, 1440]) {
  test.describe(`${width} px`, () => {
    test.use({ provoked: /^status 404:/ });

    test("axe finds no violation in any state and theme, and nothing scrolls sideways", async ({ page, hospital }) => {
      test.setTimeout(480_000);
      await page.setViewportSize({ width, height: 900 });
      for (const [name, address, then] of await states(page, hospital)) {
        await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
        await page.goto(address);
        await then?.(page);
        expect.soft(await violations(page), name).toEqual([]);
        expect.soft(await beyondTheEdge(page), `pixels beyond the right edge: ${name}`).toBeLessThanOrEqual(0);
        await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
        expect.soft(await violations(page, "colours"), `${name}, dark`).toEqual([]);
      }
    });
  });
}

// 720 px is a screen of 1440 px at 200 %; 1024 px is the narrowest desktop screen.
for (const width of [720, 1024]) {
  test.describe(`${width} px`, () => {
    test.use({ provoked: /^status 404:/ });

    test("nothing scrolls sideways in any state", async ({ page, hospital }) => {
      test.setTimeout(120_000);
      await page.setViewportSize({ width, height: 900 });
      for (const [name, address, then] of await states(page, hospital)) {
        await page.goto(address);
        await then?.(page);
        expect.soft(await beyondTheEdge(page), `pixels beyond the right edge: ${name}`).toBeLessThanOrEqual(0);
      }
    });
  });
}

test("in colours that the system chooses, nothing is told by a background alone", async ({ page, hospital }) => {
  test.setTimeout(120_000);
  await page.emulateMedia({ forcedColors: "active" });
  for (const [name, address] of await everyPage(page, hospital)) {
    await page.goto(address);
    expect(await page.evaluate(() => matchMedia("(forced-colors: active)").matches)).toBe(true);
    // Transparent borders become lines in this mode, so an underline marks the current page.
    const tabs = await page.getByRole("navigation", { name: "Main" }).getByRole("link").evaluateAll((tabs) =>
      tabs.map((tab) => [tab.hasAttribute("aria-current"), getComputedStyle(tab).textDecorationLine === "underline"]),
    );
    for (const [current, underlined] of tabs) expect.soft(underlined, `the current page: ${name}`).toBe(current);
    // Fields and buttons have a border, and states have a word and a sign.
    const faults = await page.locator("main").evaluate((main) => {
      const shown = (element: Element) => (element as HTMLElement).checkVisibility({ visibilityProperty: true });
      const faults: string[] = [];
      for (const control of main.querySelectorAll("button, .button, input:not([type=hidden], [type=checkbox], [type=radio]), select, textarea")) {
        const { borderTopWidth, borderTopStyle, borderTopColor, backgroundColor } = getComputedStyle(control);
        const edge = parseFloat(borderTopWidth) > 0 && borderTopStyle !== "none" && borderTopColor !== backgroundColor;
        if (shown(control) && !edge) faults.push(`no edge: ${control.outerHTML.slice(0, 120)}`);
      }
      for (const state of main.querySelectorAll(".state")) {
        if (!shown(state)) continue;
        const sign = state.querySelector("svg")?.getBoundingClientRect();
        if (!state.textContent?.trim() || !sign?.width) faults.push(`no word or sign: ${state.outerHTML.slice(0, 120)}`);
      }
      return faults;
    });
    expect.soft(faults, name).toEqual([]);
  }
});

test.describe("someone who is not signed in", () => {
  test.use({ role: null, provoked: /^status 401:/ });

  test("meets no violation either, also after a wrong password", async ({ page, hospital }) => {
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      await page.goto(hospital.at("/sign-in"));
      expect(await violations(page)).toEqual([]);
      await page.getByLabel("User name").fill("viewer");
      await page.getByLabel("Password", { exact: true }).fill("something else entirely");
      await page.getByRole("button", { name: "Sign in" }).click();
      await expect(page.getByRole("alert")).toBeVisible();
      expect(await violations(page)).toEqual([]);
    }
  });
});

test("controls of one name do the same on every page", async ({ page, hospital }) => {
  test.setTimeout(480_000);
  const more: State[] = [
    ["failed events by cause", hospital.at("/failed-events?by=cause")],
    ["failed events, searched", hospital.at("/failed-events?q=patient")],
  ];
  for (const [name, address] of [...(await states(page, hospital)), ...more].filter(([name]) => name !== "no page")) {
    await page.goto(address);
    const doubled = await page.getByRole("main").evaluate((main) => {
      const seen = new Map<string, string>();
      const doubled: string[] = [];
      const named = (element: Element) =>
        (element.getAttribute("aria-label") ?? element.textContent ?? "").replace(/\s+/g, " ").trim();
      for (const control of main.querySelectorAll("button, summary, input[type=checkbox], a[href]")) {
        if (!(control as HTMLElement).checkVisibility()) continue;
        const label = control instanceof HTMLInputElement ? control.labels?.[0] : undefined;
        const text = label ? named(label) : named(control);
        const form = control.closest("form");
        const fields = [...(form?.querySelectorAll("input[type=hidden]") ?? [])].map((field) => (field as HTMLInputElement).value);
        const button = control as HTMLButtonElement;
        const does = control.tagName === "A"
          ? (control as HTMLAnchorElement).href
          : control.tagName === "BUTTON"
            ? `${form?.action} ${button.name}=${button.value} ${fields.slice(1).join(" ")}`
            : `${control.tagName} ${doubled.length}.${seen.size}`;
        const kind = `${control.tagName === "A" ? "link" : "control"} ${text}`;
        if (seen.has(kind) && seen.get(kind) !== does) doubled.push(kind);
        seen.set(kind, does);
      }
      return doubled;
    });
    expect.soft(doubled, name).toEqual([]);
  }
});

/** Returns the contrast ratio of two colours as WCAG defines it. */
function contrast(a: string, b: string): number {
  const light = (colour: string) => {
    const [red, green, blue] = (colour.match(/[\d.]+/g) ?? []).map((part) => Number(part) / 255);
    const linear = (part: number) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  };
  const [high, low] = [light(a), light(b)].sort((one, other) => other - one);
  return (high + 0.05) / (low + 0.05);
}

for (const colorScheme of ["light", "dark"] as const) {
  test(`the border of a field stands out, ${colorScheme}`, async ({ page, hospital }) => {
    await page.emulateMedia({ colorScheme });
    for (const path of ["/failed-events", "/audit", "/account", "/groups/1"]) {
      await page.goto(hospital.at(path));
      const fields = page.getByRole("main").locator("input:not([type=hidden], [type=checkbox], [type=radio]), select, textarea");
      const colours = await fields.evaluateAll((fields) =>
        fields
          .filter((field) => (field as HTMLElement).checkVisibility())
          .map((field) => [getComputedStyle(field).borderTopColor, getComputedStyle(field).backgroundColor]),
      );
      expect(colours.length, path).toBeGreaterThan(0);
      for (const [border, ground] of colours) expect(contrast(border, ground), path).toBeGreaterThanOrEqual(3);
    }
  });
}

test("what is pressed on a phone is large enough", async ({ page, hospital }) => {
  test.setTimeout(120_000);
  await page.setViewportSize({ width: 390, height: 900 });
  for (const [name, address] of await allPages(page, hospital)) {
    await page.goto(address);
    // A link within a sentence is as high as its line; WCAG 2.5.8 exempts these.
    const small = await page.locator("button, input[type=checkbox], input[type=radio], summary, .crumbs a, .chip a, .button").evaluateAll(
      (controls) =>
        controls
          .filter((control) => (control as HTMLElement).checkVisibility({ visibilityProperty: true }) && !control.closest(".unseen"))
          .map((control) => [control.outerHTML.slice(0, 120), control.getBoundingClientRect()] as const)
          .filter(([, { width, height }]) => width > 1 && (width < 24 || height < 24))
          .map(([html, { width, height }]) => `${width} × ${height}: ${html}`),
    );
    expect.soft(small, name).toEqual([]);
  }
});

test("what a form did is said aloud", async ({ page, ownHospital }) => {
  await openAlive(page, ownHospital.at("/account"));
  await page.getByRole("button", { name: "Save preferences" }).click();
  await expect(page.locator("#voice")).toContainText("Your preferences are saved.");
});

test("a text that scrolls is reached by keyboard and has a name, and so have the crumbs", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events"));
  await openLink(rows(page).first()).click();
  await expect(page.getByRole("navigation", { name: "Breadcrumb" })).toBeVisible();
  const raw = page.getByRole("main").locator("details.raw", { has: page.locator("summary", { hasText: "Raw text" }) });
  expect(await raw.count()).toBeGreaterThan(1);
  for (const box of await raw.all()) {
    await box.locator("summary").click();
    const text = box.getByRole("region", { name: /, raw text$/ });
    await expect(text).toBeVisible();
    await text.focus();
    await expect(text).toBeFocused();
  }
});

test("every table has a name, and its rows have heads", async ({ page, hospital }) => {
  test.setTimeout(120_000);
  for (const [name, address] of await everyPage(page, hospital)) {
    await page.goto(address);
    const without = await page.locator("main table").evaluateAll((tables) =>
      tables
        .filter((table) => !table.querySelector("caption")?.textContent?.trim()
          || [...table.querySelectorAll("tbody tr")].some((row) => !row.querySelector("th[scope=row]")))
        .map((table) => table.outerHTML.slice(0, 200)),
    );
    expect.soft(without, name).toEqual([]);
  }
});

test("on paper a page says when and where it was, and nothing that one could press", async ({ page, hospital }) => {
  await page.goto(hospital.at("/failed-events?app=odoo&state=exhausted"));
  await page.emulateMedia({ media: "print" });
  const head = page.locator(".on-paper");
  await expect(head).toBeVisible();
  await expect(head).toContainText(hospital.at("/failed-events?app=odoo&state=exhausted"));
  await expect(head).toContainText(/\d{1,2} \w{3} \d\d:\d\d/);
  await expect(page.getByRole("navigation", { name: "Main" })).toBeHidden();
  await expect(page.getByRole("form", { name: "Filter" })).toBeHidden();
  await expect(page.locator("main button:visible, main input:visible, main .chip a:visible")).toHaveCount(0);
  await expect(page.getByRole("rowheader").first()).toBeVisible();
  // The first row is on the first page: content longer than a page must not be moved to the next one.
  expect((await page.pdf({ format: "A4" })).length).toBeGreaterThan(0);
  const top = await page.locator("main tbody tr").first().evaluate((row) => row.getBoundingClientRect().top);
  expect(top).toBeLessThan(600);
});

for (const [name, path] of [["overview", ""], ["group", "/groups/1"]]) {
  test(`the ${name} on paper says when and where it was, and begins on the first page`, async ({ page, hospital }) => {
    await page.goto(hospital.at(path));
    await page.emulateMedia({ media: "print" });
    const head = page.locator(".on-paper");
    await expect(head).toContainText(hospital.at(path));
    await expect(head).toContainText(/\d{1,2} \w{3} \d\d:\d\d/);
    await expect(page.getByRole("navigation", { name: "Main" })).toBeHidden();
    await expect(page.locator("main").locator("button:visible, input:visible, textarea:visible, .button:visible")).toHaveCount(0);
    const heading = page.getByRole("heading", { level: 1 });
    await expect(heading).toBeVisible();
    // This is the size of an A4 page. Content longer than a page must not be moved to the next one.
    await page.setViewportSize({ width: 794, height: 1123 });
    const top = async (of: Locator) => of.evaluate((element) => element.getBoundingClientRect().top + window.scrollY);
    expect(await top(heading)).toBeLessThan(250);
    expect(await top(page.getByRole("main").getByRole("region").first())).toBeLessThan(500);
    const split = await page.locator("main .sheet").evaluateAll((sheets) =>
      sheets.filter((sheet) => getComputedStyle(sheet).breakInside === "avoid").map((sheet) => sheet.outerHTML.slice(0, 120)),
    );
    expect(split, "a sheet is never held together").toEqual([]);
  });
}

test.describe("whatever language the browser speaks", () => {
  test.use({ locale: "ar-EG", timezoneId: "Africa/Cairo" });

  test("times and numbers are written in the page's", async ({ page, hospital }) => {
    for (const path of ["/audit", "/groups", "/failed-events?app=odoo&state=exhausted"]) {
      await openAlive(page, hospital.at(path));
      const texts = await page.locator("main time, main data.number").evaluateAll((all) =>
        all.flatMap((one) => [one.textContent ?? "", one.getAttribute("title") ?? ""]),
      );
      expect(texts.length, path).toBeGreaterThanOrEqual(4);
      expect(texts.filter((text) => /[^\x20-\x7e]/.test(text)), path).toEqual([]);
      // Again with the texts of the server, which now knows the zone.
      await page.reload();
      const offset = await page.locator("main time").first().getAttribute("title");
      expect(offset, path).toMatch(/^\w{3} \d{1,2} \w{3} \d{4}, \d\d:\d\d:\d\d UTC\+[23]$/);
    }
  });
});
