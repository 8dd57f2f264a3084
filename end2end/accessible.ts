// Automatic checks of a page's accessibility.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";

/**
 * Returns what axe finds with its default rules and the rule for target sizes (WCAG 2.5.8), each with its element. The
 * dark theme changes only the colours of a page that was checked in the light theme: there only the colour rules run,
 * which takes a small part of the time of all rules.
 */
export async function violations(page: Page, rules: "all" | "colours" = "all"): Promise<string[]> {
  // The pages have no frames. Without the legacy mode, each analysis opens another page to join the frames' results; and
  // what is well is not described.
  const axe = new AxeBuilder({ page }).setLegacyMode(true);
  const only = { type: "rule" as const, values: ["color-contrast", "link-in-text-block"] };
  const chosen = rules === "all" ? { rules: { "target-size": { enabled: true } } } : { runOnly: only };
  axe.options({ resultTypes: ["violations"], ...chosen });
  const { violations } = await axe.analyze();
  return violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.html}`));
}

/** Returns how many pixels of a page are beyond the right edge of the window. */
export async function beyondTheEdge(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
}

/**
 * Returns texts of a page in a column of a few letters: more than three lines with fewer than eight characters each. A
 * text that may break anywhere does so if its column has no minimum width.
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
