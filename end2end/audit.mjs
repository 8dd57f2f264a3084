// What scripts/audit runs: a demo hospital, a signed-in browser, Lighthouse several times a page, and the medians.
import { execFileSync, spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

const HELP = `scripts/audit [--runs N] [--desktop] [PAGE...]
  --runs N    runs a page, of which the median counts (5)
  --desktop   as on a desktop, without a slow network and a slow processor
  PAGE        overview, list, event, groups, group, history, operation, applications (all)
Fails where the median of the performance is below 95, or anything moves.`;

/** What must hold for every page. */
const GOAL = { performance: 95, shift: 0 };

const args = process.argv.slice(2);
if (args.includes("--help")) {
  console.log(HELP);
  process.exit(0);
}
const at = args.indexOf("--runs");
const runs = at < 0 ? 5 : Number(args[at + 1]);
if (!Number.isInteger(runs) || runs < 1) throw new Error(HELP);
const desktop = args.includes("--desktop");
const wanted = args.filter((arg, place) => !arg.startsWith("--") && (at < 0 || place !== at + 1));

function chromium() {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    for (const folder of (process.env.PATH ?? "").split(delimiter)) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // Not this one.
      }
    }
  }
  throw new Error("There is no Chromium on PATH: scripts/setup test installs it on Debian.");
}

/** Starts a demo hospital in which nobody is at work, and answers its origin once it listens. */
function hospital(data) {
  const child = spawn(
    process.env.CONSOLE_BINARY,
    ["demo", "--listen", "127.0.0.1:0", "--pace", "0", "--data", data],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const origin = new Promise((resolve, reject) => {
    let said = "";
    const hear = (text) => {
      said += text;
      const found = /answers at (http:\/\/[^/\s]+)/.exec(said);
      if (found) resolve(found[1]);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.on("exit", () => reject(new Error(`The console did not start.\n${said}`)));
  });
  return { child, origin };
}

/** A browser without a window: it keeps cookies, and sends forms with their token. */
class Browser {
  cookies = new Map();

  constructor(base) {
    this.base = base;
  }

  async ask(path, fields) {
    const answer = await fetch(this.base + path, {
      method: fields ? "POST" : "GET",
      redirect: "manual",
      headers: { accept: "text/html", cookie: this.cookie() },
      body: fields && new URLSearchParams(fields),
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [name, value] = cookie.split(";")[0].split("=");
      this.cookies.set(name, value);
    }
    return answer;
  }

  /** Sends a form, and answers where it leads to. */
  async form(path, fields) {
    // The token belongs to the session: a page of it carries one.
    const page = await this.ask(this.cookies.has("atomfeed_session") ? "/help" : "/sign-in");
    const token = /name="form_token" value="([0-9a-f]+)"/.exec(await page.text())?.[1] ?? "";
    const answer = await this.ask(path, { form_token: token, ...fields });
    if (answer.status !== 303) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.headers.get("location");
  }

  cookie() {
    return [...this.cookies].map((pair) => pair.join("=")).join("; ");
  }
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** One run: what Lighthouse says of an address. */
function measure(address, cookie, folder) {
  const file = join(folder, "report.json");
  execFileSync(
    process.env.LIGHTHOUSE,
    [
      address,
      "--quiet",
      "--output=json",
      `--output-path=${file}`,
      "--only-categories=performance,accessibility,best-practices",
      "--chrome-flags=--headless=new --no-sandbox --disable-gpu",
      `--extra-headers=${JSON.stringify({ Cookie: cookie })}`,
      ...(desktop ? ["--preset=desktop"] : []),
    ],
    { env: { ...process.env, CHROME_PATH: chromium() }, stdio: ["ignore", "ignore", "inherit"] },
  );
  const { categories, audits, runtimeError } = JSON.parse(readFileSync(file, "utf8"));
  if (runtimeError) throw new Error(`${address}: ${runtimeError.message}`);
  const value = (name) => audits[name].numericValue;
  return {
    performance: categories.performance.score * 100,
    accessibility: categories.accessibility.score * 100,
    practices: categories["best-practices"].score * 100,
    first: value("first-contentful-paint"),
    largest: value("largest-contentful-paint"),
    blocking: value("total-blocking-time"),
    shift: value("cumulative-layout-shift"),
  };
}

const data = mkdtempSync(join(tmpdir(), "atomfeed-console-audit-"));
const { child, origin } = hospital(data);
try {
  const base = `${await origin}/atomfeed-console`;
  const browser = new Browser(base);
  await browser.form("/api/sign_in", { name: "administrator", password: "lantern-goat-administrator" });
  // The browser tells its zone on the first page, as it does to everybody.
  browser.cookies.set("atomfeed_zone", "Asia/Kolkata");
  const list = await (await browser.ask("/failed-events?app=odoo&state=exhausted")).text();
  const event = /\/failed-events\/odoo\/-?\d+/.exec(list)?.[0];
  const operation = await browser.form("/api/plan_operation", { kind: "retry", query: "app=odoo&state=exhausted" });
  const pages = {
    overview: "",
    list: "/failed-events",
    event,
    groups: "/groups",
    group: "/groups/1",
    history: "/history",
    operation: operation.slice(operation.indexOf("/operations/")),
    applications: "/applications",
  };
  const unknown = wanted.filter((name) => !(name in pages));
  if (unknown.length) throw new Error(`There is no page ${unknown.join(", ")}.\n${HELP}`);
  console.log(`Medians of ${runs} ${runs === 1 ? "run" : "runs"}, ${desktop ? "desktop" : "mobile"}:\n`);
  console.log("| page | performance | accessibility | best practices | FCP | LCP | blocked | layout shift |");
  console.log("|---|---|---|---|---|---|---|---|");
  const missed = [];
  for (const [name, path] of Object.entries(pages)) {
    if (wanted.length && !wanted.includes(name)) continue;
    const found = Array.from({ length: runs }, () => measure(base + path, browser.cookie(), data));
    const of = (key) => median(found.map((run) => run[key]));
    const seconds = (key) => `${(of(key) / 1000).toFixed(1)} s`;
    console.log(
      `| ${name} | ${Math.round(of("performance"))} | ${Math.round(of("accessibility"))} | ${Math.round(of("practices"))} | ` +
        `${seconds("first")} | ${seconds("largest")} | ${Math.round(of("blocking"))} ms | ${of("shift").toFixed(3)} |`,
    );
    if (of("performance") < GOAL.performance || of("shift") > GOAL.shift) missed.push(name);
  }
  if (missed.length) {
    console.error(`\nBelow the goal (performance ${GOAL.performance}, layout shift ${GOAL.shift}): ${missed.join(", ")}`);
    process.exitCode = 1;
  }
} finally {
  child.kill();
  rmSync(data, { recursive: true, force: true });
}
