// Access to the screens as users see them: by role and text, never by style.
import { type BrowserContext, expect, type Locator, type Page } from "@playwright/test";

import type { Hospital } from "./hospital";

/** Identifies a failed event. */
export type EventKey = { app: string; id: string };

export function navigation(page: Page): Locator {
  return page.getByRole("navigation", { name: "Main" });
}

/** Waits until the page's islands are alive: they set this attribute as the last step of their start. */
export async function expectAlive(page: Page): Promise<void> {
  await expect(page.locator("html[data-alive]")).toHaveCount(1);
}

export async function openAlive(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await expectAlive(page);
}

/** Returns the link from the overview to the failed events of the feed that needs attention first. */
export function mostUrgent(page: Page): Locator {
  return page.getByRole("table", { name: /^Feeds with failures/ }).getByRole("rowheader").getByRole("link").first();
}

/** Returns a page's message after a retry of this number of rows. */
export function retryNotice(page: Page, rows: number): Locator {
  return page.getByRole("main").getByRole("status").filter({ hasText: new RegExp(`Retry requested for ${rows} event`) });
}

/** Returns the list's rows. */
export function rows(page: Page): Locator {
  return page.getByRole("row").filter({ has: page.getByRole("checkbox", { name: /^Select (?!all)/ }) });
}

export function nextPage(page: Page): Locator {
  return page.getByRole("navigation", { name: "Pages of the list" }).locator("a[rel=next]");
}

export function previousPage(page: Page): Locator {
  return page.getByRole("navigation", { name: "Pages of the list" }).locator("a[rel=prev]");
}

/** Returns the link of a row to its failed event. */
export function openLink(row: Locator): Locator {
  return row.locator("a[href*='/failed-events/']").first();
}

export async function keyOf(row: Locator): Promise<EventKey> {
  return keyIn((await openLink(row).getAttribute("href")) ?? "");
}

/** Returns application and id in the address of a failed event's page. */
export function keyIn(address: string): EventKey {
  const found = /\/failed-events\/([^/?]+)\/(-?\d+)/.exec(address);
  if (!found) throw new Error(`${address} is no failed event's address`);
  return { app: decodeURIComponent(found[1]), id: found[2] };
}

/** Returns the keys of all rows of the list's page, in order. */
export async function keysOnPage(page: Page): Promise<string[]> {
  const links = await rows(page).locator("a[href*='/failed-events/']").evaluateAll((all) => all.map((a) => a.getAttribute("href")));
  return links.map((href) => {
    const { app, id } = keyIn(href ?? "");
    return `${app}/${id}`;
  });
}

/** Fills in the filter form and sends it. */
export async function filter(page: Page, choices: { application?: string; state?: string }): Promise<void> {
  const form = page.getByRole("form", { name: "Filter" });
  if (choices.application) await form.getByRole("combobox", { name: "Application", exact: true }).selectOption({ label: choices.application });
  if (choices.state) await form.getByLabel("State").selectOption(choices.state);
  await form.getByRole("button", { name: "Filter" }).click();
}

/**
 * Returns the filter in the page's address, without parameters that only report the last action. A form sends every
 * field, also those without effect, which are left out: empty ones, and the default order.
 */
export function filterIn(page: Page): Record<string, string> {
  const query = new URL(page.url()).searchParams;
  return Object.fromEntries(["app", "state", "feed", "category", "q", "sort"].flatMap((key) => {
    const value = query.get(key);
    return value && !(key === "sort" && value === "newest") ? [[key, value]] : [];
  }));
}

/** Expects that the newest operation retried this failed event. */
export async function expectOnRecord(page: Page, hospital: Hospital, event: EventKey): Promise<void> {
  await navigation(page).getByRole("link", { name: "Operations" }).click();
  await expect(page).toHaveURL(hospital.at("/operations"));
  await page.getByRole("main").locator("a[href*='/operations/']").first().click();
  await expect(page).toHaveURL(/\/operations\/\d+$/);
  const row = page.getByRole("row").filter({ has: page.locator(`a[href*='/failed-events/${event.app}/${event.id}']`) });
  await expect(row).toHaveCount(1);
  await expect(row).toContainText("Retry requested");
}

/** Returns the rows of all failed events but one from the database: a retry must not change them. */
export function others(hospital: Hospital, event: EventKey): string[] {
  return hospital.sql(
    event.app,
    `select id, retries, failed_at, error_message from failed_events where id <> ${BigInt(event.id)} order by id`,
  );
}

/** Returns every page of the console, by name; the failed event is the first of the list. */
export async function allPages(page: Page, hospital: Hospital): Promise<[string, string][]> {
  await page.goto(hospital.at("/failed-events?state=exhausted"));
  const { app, id } = await keyOf(rows(page).first());
  await page.goto(hospital.at("/applications"));
  const application = await page.getByRole("main").locator("a[href*='/applications/']").first().getAttribute("href");
  const [patient] = hospital.sql("openmrs", "select uuid from person order by person_id limit 1");
  const [identifier] = hospital.sql("openmrs", "select identifier from patient_identifier order by patient_id limit 1");
  const [encounter] = hospital.sql("openmrs", "select e.uuid from encounter e join orders o on o.encounter_id = e.encounter_id limit 1");
  const [order] = hospital.sql("openmrs", "select uuid from orders order by order_id limit 1");
  const [sample] = hospital.sql("openelis", "select uuid from sample where accession_number is not null order by id limit 1");
  return [
    ["overview", hospital.at("")],
    ["applications", hospital.at("/applications")],
    ["application", `${hospital.origin}${application}`],
    ["failed events", hospital.at("/failed-events")],
    ["failed events, filtered", hospital.at(`/failed-events?app=${app}&state=exhausted&sort=id-up`)],
    ["failed events, none", hospital.at("/failed-events?q=nothing-has-this-text")],
    ["search", hospital.at("/search?q=patient")],
    ["search, nothing found", hospital.at("/search?q=ZZZ999999")],
    ["search, a patient", hospital.at(`/search?q=${identifier}`)],
    ["patient", hospital.at(`/records/openmrs/patient/${patient}`)],
    ["encounter", hospital.at(`/records/openmrs/encounter/${encounter}`)],
    ["order", hospital.at(`/records/openmrs/order/${order}`)],
    ["lab sample", hospital.at(`/records/openelis/accession/${sample}`)],
    ["feeds", hospital.at("/applications/openmrs/feeds")],
    ["feed", hospital.at("/applications/openmrs/feed?category=encounter")],
    ["failed event", hospital.at(`/failed-events/${app}/${id}`)],
    ["groups", hospital.at("/groups")],
    ["groups without failed events", hospital.at("/groups?quiet=1")],
    ["operations", hospital.at("/operations")],
    ["discarded", hospital.at("/discarded")],
    ["help", hospital.at("/help")],
    ["demo hospital", hospital.at("/demo")],
  ];
}

/** Returns the address of the group of Odoo's first failed event, once the console has grouped it. */
export async function groupOfFirst(page: Page, hospital: Hospital): Promise<string> {
  const [id] = hospital.sql("odoo", "select id from failed_events order by id limit 1");
  await page.goto(hospital.at(`/failed-events/odoo/${id}`));
  const link = page.getByRole("main").locator("a[href*='/groups/']").first();
  await expect(async () => {
    await page.reload();
    await expect(link).toBeVisible({ timeout: 500 });
  }).toPass();
  return new URL((await link.getAttribute("href")) ?? "", hospital.origin).href;
}

/** Writes a note on an open group page. */
export async function writeNote(page: Page, what: string): Promise<void> {
  await page.getByRole("textbox", { name: "What it is" }).fill(what);
  await page.getByRole("button", { name: "Save note" }).click();
}

/** Opens a group and types a note, saves another one in a second page, then that of the first. Returns the two versions. */
export async function writeNotesAtOnce(page: Page, context: BrowserContext, group: string): Promise<Locator> {
  await expect(async () => expect((await page.goto(group))?.status()).toBe(200)).toPass();
  // A page that is read again shows her note as long as nothing is typed, and then there is no conflict.
  await page.getByRole("textbox", { name: "What it is" }).fill("his: call the lab");
  const other = await context.newPage();
  await other.goto(group);
  await writeNote(other, "hers: the patient comes late");
  await expect(other.getByRole("region", { name: "Note" })).toContainText("hers: the patient comes late");
  await page.getByRole("button", { name: "Save note" }).click();
  return page.getByRole("region", { name: "Two versions of the note" });
}
