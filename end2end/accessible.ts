// What a tool can tell of how accessible a page is.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";

/**
 * What axe finds by the rules that it has on by default and by the one of the size of targets (WCAG 2.5.8), each with its
 * element. Of a page that was looked at in light, the dark theme changes the colours alone: there axe is asked about
 * colours, which is a small part of the time that all its rules take.
 */
export async function violations(page: Page, rules: "all" | "colours" = "all"): Promise<string[]> {
  const axe = new AxeBuilder({ page });
  if (rules === "all") axe.options({ rules: { "target-size": { enabled: true } } });
  else axe.withRules(["color-contrast", "link-in-text-block"]);
  const { violations } = await axe.analyze();
  return violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.html}`));
}

/** How many pixels of a page lie beyond the right edge of the window. */
export async function beyondTheEdge(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
}

/**
 * Texts of a page that stand in a column of a few letters: more than three lines with fewer than eight characters each. A
 * text that may break anywhere does so wherever its column does not say how wide it has to be.
 */
export async function thinTexts(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const hidden = (element: Element | null): boolean =>
      element instanceof HTMLElement &&
      ((element.offsetWidth <= 1 && getComputedStyle(element).position === "absolute") || hidden(element.parentElement));
    const found: string[] = [];
    const walker = document.createTreeWalker(document.querySelector("main") ?? document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.textContent?.trim() ?? "";
      const element = node.parentElement;
      if (text.length < 12 || !element?.checkVisibility({ visibilityProperty: true }) || hidden(element)) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const lines = new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size;
      if (lines > 3 && text.length / lines < 8) found.push(`${lines} lines: ${text}`);
    }
    return found;
  });
}
