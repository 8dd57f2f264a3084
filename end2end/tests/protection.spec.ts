// How a real browser behaves with the headers and checks, on plain HTTP as in a hospital's network.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { expect, test } from "../fixtures";
import { keyOf, rows } from "../screens";

test.use({ provoked: /^status 403:|^console: .*inline script violates/ });

test("a form on another site cannot retry", async ({ page, ownHospital }) => {
  await page.goto(ownHospital.at("/failed-events?app=odoo&state=exhausted"));
  const event = await keyOf(rows(page).first());
  const retries = ownHospital.retries(event.app, event.id);
  const other = await otherSite(`<!doctype html><title>other</title><form method="post" action="${ownHospital.at("/api/retry")}">
    <input name="only" value="${event.app}:${event.id}:${retries}"><button>Win</button></form>`);
  try {
    await page.goto(`http://127.0.0.1:${(other.address() as AddressInfo).port}/`);
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.request().method() === "POST"),
      page.getByRole("button", { name: "Win" }).click(),
    ]);
    expect(answer.status()).toBe(403);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    expect(ownHospital.retries(event.app, event.id)).toBe(retries);
  } finally {
    other.close();
  }
});

test("an injected script does not run", async ({ page, hospital }) => {
  await page.route("**/help", async (route) => {
    const answer = await route.fetch();
    const body = (await answer.text()).replace("</main>", "<script>document.title = 'owned'</script></main>");
    await route.fulfill({ response: answer, body });
  });
  const violation = page.waitForEvent("console", (message) => /Content Security Policy/.test(message.text()));
  await page.goto(hospital.at("/help"));
  await violation;
  await expect(page).not.toHaveTitle("owned");
});

async function otherSite(html: string): Promise<Server> {
  const server = createServer((_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end(html);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
