import { chromium } from "playwright-core";
const [,, base, out, ...args] = process.argv;
const b = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const ctx = await b.newContext({ viewport: { width: 1440, height: 900 }, timezoneId: "Asia/Kolkata" });
const p = await ctx.newPage();
await p.goto(base + "/sign-in");
await p.getByLabel("User name").fill("administrator");
await p.getByLabel("Password", { exact: true }).fill("lantern-goat-administrator");
await p.getByRole("button", { name: "Sign in" }).click();
for (const spec of args) {
  const [name, path, w, h, scheme, full] = spec.split("|");
  await p.setViewportSize({ width: +w, height: +h });
  await p.emulateMedia({ colorScheme: scheme || "light" });
  await p.goto(base + path);
  await p.waitForTimeout(700);
  await p.screenshot({ path: `${out}/${name}.png`, fullPage: full === "full" });
}
await b.close();
